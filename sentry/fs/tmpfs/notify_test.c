/* notify_test.c: inotify over the operations on names and files. */
#include "sentry/fs/tmpfs/testing.h"

TestSuite(inotify, .init = world_setup);

static struct file *in;
static char trace[2048];

static int watch(const char *name, uint32_t mask)
{
	struct path p;
	int wd;

	if (!in)
		OK(inotify_create_file(w.v, w.root, 0, &in));
	OK(vfs_lookup(&w.at, name, LOOKUP_FOLLOW, &p));
	wd = inotify_add(in, p.dentry->inode, mask);
	path_put(&p);
	return wd;
}

/* All queued events as "wd:mask:name " words; cookies as '+' when not 0. */
static const char *events(void)
{
	char buf[4096];
	struct uio u;
	ssize_t n;
	size_t at = 0;

	trace[0] = 0;
	uio_init_kernel(&u, buf, sizeof(buf));
	n = file_read(in, &u);
	if (n == -EAGAIN)
		return trace;
	OK(n);
	for (ssize_t i = 0; i < n;) {
		struct linux_inotify_event e;

		memcpy(&e, buf + i, sizeof(e));
		at += (size_t)snprintf(trace + at, sizeof(trace) - at, "%d:%x:%s%s ", e.wd, e.mask,
				       e.len ? buf + i + sizeof(e) : "", e.cookie ? "+" : "");
		i += (ssize_t)sizeof(e) + e.len;
	}
	return trace;
}

#define EVENTS(text) cr_assert_str_eq(events(), text)

Test(inotify, a_file_in_a_watched_directory)
{
	struct file *f;

	OK(vfs_mkdir(&w.at, "/d", 0755));
	cr_assert_eq(watch("/d", LINUX_IN_ALL_EVENTS), 1);
	OK(t_open(&w.at, "/d/f", LINUX_O_CREAT | LINUX_O_RDWR, 0644, &f));
	EVENTS("1:100:f 1:20:f ");
	OK(t_write(f, "x"));
	OK(t_write(f, "y"));
	EVENTS("1:2:f "); /* merged */
	(void)t_pread(f, trace, 1, 0);
	file_put(f);
	EVENTS("1:1:f 1:8:f ");
	OK(vfs_setattr(&w.at, "/d/f", 0, &(struct iattr){.valid = ATTR_MODE, .mode = 0600}));
	EVENTS("1:4:f ");
	OK(vfs_rename(&w.at, "/d/f", &w.at, "/d/g", 0));
	EVENTS("1:40:f+ 1:80:g+ ");
	OK(vfs_unlink(&w.at, "/d/g"));
	EVENTS("1:200:g ");
	OK(vfs_mkdir(&w.at, "/d/s", 0755));
	OK(vfs_rmdir(&w.at, "/d/s"));
	EVENTS("1:40000100:s 1:40000200:s ");
	OK(vfs_rmdir(&w.at, "/d"));
	EVENTS("1:400: 1:8000: ");
	file_put(in);
}

Test(inotify, the_file_itself)
{
	struct file *f;

	OK(t_create("/f"));
	cr_assert_eq(watch("/f", LINUX_IN_ALL_EVENTS), 1);
	OK(t_open(&w.at, "/f", LINUX_O_RDONLY, 0, &f));
	OK(vfs_unlink(&w.at, "/f"));
	EVENTS("1:20: 1:4: ");
	file_put(f);
	EVENTS("1:10: 1:400: 1:8000: ");
	ERR(inotify_remove(in, 1), EINVAL);
	file_put(in);
}

Test(inotify, masks)
{
	OK(t_create("/f"));
	ERR(watch("/f", 0), EINVAL);
	ERR(watch("/f", LINUX_IN_ALL_EVENTS | LINUX_IN_ONLYDIR), ENOTDIR);
	cr_assert_eq(watch("/f", LINUX_IN_OPEN), 1);
	ERR(watch("/f", LINUX_IN_OPEN | LINUX_IN_MASK_CREATE), EEXIST);
	cr_assert_eq(watch("/f", LINUX_IN_CLOSE | LINUX_IN_MASK_ADD), 1);
	OK(t_touch(&w.at, "/f", LINUX_O_RDONLY, 0));
	EVENTS("1:20: 1:10: ");
	cr_assert_eq(watch("/f", LINUX_IN_OPEN | LINUX_IN_ONESHOT), 1);
	OK(t_touch(&w.at, "/f", LINUX_O_RDONLY, 0));
	EVENTS("1:20: 1:8000: ");
	cr_assert_eq(watch("/f", LINUX_IN_OPEN), 2);
	OK(inotify_remove(in, 2));
	EVENTS("2:8000: ");
	cr_assert_eq(w.v->watch_count, 0);
}

Test(inotify, overflow_and_small_buffers)
{
	char buf[8], big[4096];
	struct uio u;
	bool overflow = false;
	ssize_t n;

	OK(vfs_mkdir(&w.at, "/d", 0755));
	OK(watch("/d", LINUX_IN_CREATE | LINUX_IN_DELETE));
	for (int i = 0; i < 9000; i++) {
		OK(t_create("/d/f"));
		OK(vfs_unlink(&w.at, "/d/f"));
	}
	uio_init_kernel(&u, buf, sizeof(buf));
	ERR(file_read(in, &u), EINVAL);
	for (;;) {
		uio_init_kernel(&u, big, sizeof(big));
		n = file_read(in, &u);
		if (n < 0)
			break;
		for (ssize_t i = 0; i < n;) {
			struct linux_inotify_event e;

			memcpy(&e, big + i, sizeof(e));
			overflow |= e.mask == LINUX_IN_Q_OVERFLOW && e.wd == -1;
			i += (ssize_t)sizeof(e) + e.len;
		}
	}
	cr_assert(overflow);
	cr_assert_eq(n, -EAGAIN);
}

Test(inotify, watches_outlive_the_cache_but_not_the_mount)
{
	OK(vfs_mkdir(&w.at, "/m", 0755));
	OK(vfs_mount(&w.at, "x", "/m", "tmpfs", 0, NULL));
	OK(t_create("/m/f"));
	OK(watch("/m/f", LINUX_IN_OPEN));
	vfs_shrink(w.v, 0);
	OK(t_touch(&w.at, "/m/f", LINUX_O_RDONLY, 0));
	EVENTS("1:20: ");
	OK(vfs_umount(&w.at, "/m", 0));
	EVENTS("1:2000: 1:8000: ");
	file_put(in);
}
