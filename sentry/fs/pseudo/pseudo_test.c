/* pseudo_test.c: tables as a file system. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "platform/abi/errno.h"
#include "platform/abi/fcntl.h"
#include "sentry/fs/sys/sys.h"
#include "sentry/fs/pseudo/pseudo.h"
#include "tests/harness/fsbox.h"

static struct fsbox box;
static int made;

static int show_count(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	(void)n, (void)f;
	strbuf_printf(out, "text %d\n", ++made);
	return 0;
}

static ssize_t store(struct pseudo_node *n, struct file *f, char *buf, size_t size)
{
	(void)n, (void)f;
	made = buf[0] - '0';
	return (ssize_t)size;
}

static const struct pseudo_entry leaf = {.mode = PSEUDO_REG | 0444, .show = show_count};

static int lookup(struct pseudo_node *n, const char *name, size_t len, struct pseudo_child *out)
{
	(void)n;
	if (len != 2 || name[0] != 'n' || name[1] < '0' || name[1] > '4')
		return -ENOENT;
	*out = (struct pseudo_child){.entry = &leaf, .arg = (uint64_t)(name[1] - '0')};
	return 0;
}

static int iterate(struct pseudo_node *n, struct pseudo_iter *it, uint64_t from)
{
	char name[3] = "n0";

	(void)n;
	for (; from < 5; from++) {
		name[1] = (char)('0' + from);
		if (!pseudo_emit(it, name, leaf.mode, from))
			break;
	}
	return 0;
}

static const struct pseudo_entry dir_entries[] = {
	{"count", PSEUDO_REG | 0644, .show = show_count, .store = store},
	{"link", PSEUDO_LINK | 0777, .target = "dyn/n3"},
	{"dyn", PSEUDO_DIR | 0555, .lookup = lookup, .iterate = iterate},
	{.name = NULL},
};
static const struct pseudo_entry root = {.mode = PSEUDO_DIR | 0555, .children = dir_entries};
static const struct pseudo_fs test_fs = {.type = "test", .file_size = 7};

static void setup(void)
{
	struct super *s;

	fsbox_init(&box);
	cr_assert_eq(pseudo_super_create(box.v, &test_fs, &root, "t", NULL, &s), 0);
	fsbox_mount(&box, s);
	made = 0;
}

TestSuite(pseudo, .init = setup);

Test(pseudo, lists_and_finds)
{
	char buf[64];
	struct kstat st;

	cr_assert_eq(fsbox_list(&box, "/", buf, sizeof(buf)), 0);
	cr_assert_str_eq(buf, "count dyn link ");
	cr_assert_eq(fsbox_list(&box, "/dyn", buf, sizeof(buf)), 0);
	cr_assert_str_eq(buf, "n0 n1 n2 n3 n4 ");
	cr_assert_eq(fsbox_stat(&box, "/dyn/n2", &st), 0);
	cr_assert_eq(st.size, 7);
	cr_assert_eq(fsbox_stat(&box, "/dyn/n9", &st), -ENOENT);
	cr_assert_eq(fsbox_read(&box, "/link", buf, sizeof(buf)), 7);
	cr_assert_eq(vfs_mkdir(&box.at, "/x", 0755), -EPERM);
}

Test(pseudo, a_text_is_made_when_reading_begins)
{
	char buf[16];
	struct file *f;
	struct uio u;

	cr_assert_eq(fsbox_open(&box, "/count", LINUX_O_RDONLY, &f), 0);
	uio_init_kernel(&u, buf, 3);
	cr_assert_eq(file_read(f, &u), 3);
	uio_init_kernel(&u, buf, 16);
	cr_assert_eq(file_read(f, &u), 4);
	cr_assert_eq(made, 1);
	cr_assert_eq(file_seek(f, 0, 0), 0);
	uio_init_kernel(&u, buf, 16);
	cr_assert_eq(file_read(f, &u), 7);
	cr_assert_eq(memcmp(buf, "text 2\n", 7), 0);
	file_put(f);
	cr_assert_eq(fsbox_write(&box, "/count", "7", LINUX_O_TRUNC), 0);
	cr_assert_eq(made, 7);
}
