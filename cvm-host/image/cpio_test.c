/* cpio_test.c: an archive is the same for the same tree, comes apart as it was put together, and a hostile one
 * is refused. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "cvm-host/image/cpio.h"

static struct blob archive(bool turned)
{
	struct cpio_tree t = {0};
	struct blob b = {0};
	struct err e;

	for (int i = 0; i < 3; i++)
		switch (turned ? 2 - i : i) {
		case 0:
			cpio_add(&t, "a", S_IFDIR | 0755, NULL, 0);
			break;
		case 1:
			cpio_add(&t, "a/file", S_IFREG | 0644, "hello", 5);
			break;
		default:
			cpio_add(&t, "link", S_IFLNK | 0777, "a/file", 6);
		}
	cr_assert_eq(cpio_write(&t, &b, &e), 0);
	cpio_free(&t);
	return b;
}

static int collect(void *arg, const struct cpio_view *v)
{
	struct blob *seen = arg;

	blob_add(seen, v->path, strlen(v->path));
	blob_add(seen, ":", 1);
	blob_add(seen, v->data, v->size);
	blob_add(seen, ";", 1);
	return 0;
}

Test(cpio, order_does_not_matter_and_it_comes_apart)
{
	struct blob a = archive(false), b = archive(true), seen = {0};

	cr_assert_eq(a.size, b.size);
	cr_expect_eq(memcmp(a.data, b.data, a.size), 0);
	cr_expect_eq(cpio_read(a.data, a.size, collect, &seen), 0);
	cr_expect_str_eq((char *)seen.data, "a:;a/file:hello;link:a/file;");
	blob_free(&a);
	blob_free(&b);
	blob_free(&seen);
}

Test(cpio, no_byte_that_is_cut_or_changed_leads_outside)
{
	static const char *const bad[] = {"/etc", "..", "../x", "a/../b", "a//b", ".", "a/", ""};
	struct blob a = archive(false), seen = {0};

	for (size_t n = 0; n + 512 < a.size; n++)
		cr_expect_eq(cpio_read(a.data, n, collect, &seen), -EBADMSG, "%zu", n);
	for (size_t i = 0; i < a.size; i++)
		for (int bit = 0; bit < 8; bit++) {
			struct blob copy = {0};
			int ret;

			blob_set(&copy, a.data, a.size);
			copy.data[i] ^= (uint8_t)(1 << bit);
			ret = cpio_read(copy.data, copy.size, collect, &seen);
			cr_expect(ret == 0 || ret == -EBADMSG);
			blob_free(&copy);
		}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct cpio_tree t = {0};
		struct blob b = {0};
		struct err e;

		cpio_add(&t, bad[i], S_IFREG | 0644, "x", 1);
		if (cpio_write(&t, &b, &e) == 0)
			cr_expect_eq(cpio_read(b.data, b.size, collect, &seen), -EBADMSG, "%s", bad[i]);
		cpio_free(&t);
		blob_free(&b);
	}
	blob_free(&a);
	blob_free(&seen);
}

Test(cpio, twice_and_without_a_folder_are_refused)
{
	struct cpio_tree t = {0};
	struct blob b = {0};
	struct err e;

	cpio_add(&t, "a/b", S_IFREG | 0644, "x", 1);
	cr_expect_eq(cpio_write(&t, &b, &e), -EINVAL);
	cpio_add(&t, "a", S_IFDIR | 0755, NULL, 0);
	cpio_add(&t, "a", S_IFDIR | 0755, NULL, 0);
	cr_expect_eq(cpio_write(&t, &b, &e), -EINVAL);
	cpio_free(&t);
	blob_free(&b);
}
