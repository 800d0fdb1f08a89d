/* fdtable_test.c: descriptors: lowest first, limits, growth, copies, close-on-exec. */
#include <criterion/criterion.h>

#include "sentry/vfs/internal.h"

static struct vfs *v;
static struct cred *cred;
static struct fdtable *t;
static int released;

static void count_release(struct file *f)
{
	(void)f;
	released++;
}

static const struct file_ops ops = {.release = count_release};

static void setup(void)
{
	struct user_ns *ns;

	cr_assert_eq(arena_init(), 0);
	cr_assert_eq(user_ns_create(NULL, NULL, &ns), 0);
	cr_assert_eq(cred_create(ns, 0, 0, CAPSET_ALL, &cred), 0);
	cr_assert_eq(vfs_create(&v), 0);
	cr_assert_eq(fdtable_create(&t), 0);
}

static struct file *make(void)
{
	struct file *f = NULL;

	cr_assert_eq(file_create_anon(v, &ops, NULL, LINUX_O_RDWR, 0600, cred, NULL, &f), 0);
	return f;
}

/* A new file at the lowest place >= min, held by the table alone. */
static int put_at(int min, uint64_t limit, bool cloexec)
{
	struct file *f = make();
	int fd = fdtable_install(t, f, min, limit, cloexec);

	file_put(f);
	return fd;
}

TestSuite(fdtable, .init = setup);

Test(fdtable, lowest_free)
{
	for (int i = 0; i < 200; i++)
		cr_assert_eq(put_at(0, 1024, false), i);
	cr_assert_eq(fdtable_close(t, 7, t), 0);
	cr_assert_eq(fdtable_close(t, 3, t), 0);
	cr_assert_eq(fdtable_close(t, 3, t), -EBADF);
	cr_assert_eq(put_at(5, 1024, false), 7);
	cr_assert_eq(put_at(0, 1024, false), 3);
	cr_assert_eq(put_at(0, 1024, false), 200);
	cr_assert_eq(put_at(500, 1024, false), 500);
	cr_assert_eq(put_at(0, 1024, false), 201);
	cr_assert_eq(fdtable_next(t, 202), 500);
	cr_assert_eq(fdtable_next(t, 501), -1);
	fdtable_put(t, t);
	cr_assert_eq(released, 205);
}

Test(fdtable, limits)
{
	for (int i = 0; i < 10; i++)
		cr_assert_eq(put_at(0, 10, false), i);
	cr_assert_eq(put_at(0, 10, false), -EMFILE);
	cr_assert_eq(put_at(2000000, 4000000, false), -EMFILE);
	cr_assert_eq(fdtable_get(t, -1), NULL);
	cr_assert_eq(fdtable_get(t, 10), NULL);
	cr_assert_eq(fdtable_get(t, 1 << 30), NULL);
	cr_assert_eq(fdtable_install_at(t, make(), 10, 10, false, t), -EBADF);
	cr_assert_eq(fdtable_install_at(t, make(), -1, 10, false, t), -EBADF);
}

Test(fdtable, replace)
{
	struct file *f = make();

	cr_assert_eq(put_at(0, 1024, false), 0);
	cr_assert_eq(fdtable_install_at(t, f, 0, 1024, true, t), 0);
	cr_assert_eq(released, 1);
	cr_assert_eq(fdtable_get_cloexec(t, 0), 1);
	cr_assert_eq(fdtable_install_at(t, f, 100, 1024, false, t), 100);
	cr_assert_eq(fdtable_get_cloexec(t, 100), 0);
	cr_assert_eq(refs_read(&f->refs), 3);
	cr_assert_eq(t->count, 2);
}

Test(fdtable, copy_and_exec)
{
	struct fdtable *c;

	for (int i = 0; i < 100; i++)
		cr_assert_eq(put_at(0, 1024, i % 2), i);
	cr_assert_eq(fdtable_copy(t, &c), 0);
	fdtable_close_on_exec(c, c);
	cr_assert_eq(c->count, 50);
	cr_assert_eq(t->count, 100);
	cr_assert_eq(fdtable_get_cloexec(c, 1), -EBADF);
	cr_assert_eq(fdtable_get_cloexec(c, 2), 0);
	cr_assert_eq(fdtable_close_range(t, 10, 19, true, t), 0);
	cr_assert_eq(fdtable_get_cloexec(t, 10), 1);
	cr_assert_eq(fdtable_close_range(t, 20, UINT32_MAX, false, t), 0);
	cr_assert_eq(t->count, 20);
	cr_assert_eq(fdtable_close_range(t, 2, 1, false, t), -EINVAL);
	cr_assert_eq(put_at(0, 1024, false), 20);
	fdtable_put(t, t);
	fdtable_put(c, c);
	cr_assert_eq(released, 101);
}
