/* sys_pipe.c: calls that make a descriptor out of nothing: pipe(2), eventfd(2), memfd_create(2), inotify(7). */
#include "sentry/fs/eventfd.h"
#include "sentry/fs/pipe/pipe.h"
#include "sentry/fs/tmpfs/tmpfs.h"
#include "sentry/syscalls/internal.h"

static int64_t do_pipe(struct task *t, uaddr_t out, uint32_t flags)
{
	struct file *f[2];
	int ret;

	if (flags & ~(uint32_t)(LINUX_O_CLOEXEC | LINUX_O_NONBLOCK | LINUX_O_DIRECT))
		return -EINVAL;
	ret = pipe_create(t->kernel->vfs, t->cred, flags & ~(uint32_t)LINUX_O_CLOEXEC, f);
	if (ret < 0)
		return ret;
	return sys_install_pair(t, f, flags & LINUX_O_CLOEXEC, out);
}

int64_t sys_pipe(struct task *t, const struct sysargs *a)
{
	return do_pipe(t, arg_addr(a, 0), 0);
}

int64_t sys_pipe2(struct task *t, const struct sysargs *a)
{
	return do_pipe(t, arg_addr(a, 0), arg_u32(a, 1));
}

static int64_t do_eventfd(struct task *t, uint32_t initval, uint32_t flags)
{
	struct file *f;
	int ret;

	if (flags & ~(uint32_t)(LINUX_EFD_SEMAPHORE | LINUX_EFD_NONBLOCK | LINUX_EFD_CLOEXEC))
		return -EINVAL;
	ret = eventfd_create_file(t->kernel->vfs, t->cred, initval, flags & ~(uint32_t)LINUX_EFD_CLOEXEC, &f);
	if (ret < 0)
		return ret;
	return sys_install(t, f, flags & LINUX_EFD_CLOEXEC);
}

int64_t sys_eventfd(struct task *t, const struct sysargs *a)
{
	return do_eventfd(t, arg_u32(a, 0), 0);
}

int64_t sys_eventfd2(struct task *t, const struct sysargs *a)
{
	return do_eventfd(t, arg_u32(a, 0), arg_u32(a, 1));
}

#define MEMFD_NAME_MAX (VFS_NAME_MAX - 6) /* room for "memfd:" */

int64_t sys_memfd_create(struct task *t, const struct sysargs *a)
{
	char name[MEMFD_NAME_MAX + 1];
	uint32_t flags = arg_u32(a, 1);
	struct file *f;
	ssize_t len = strncpy_from_user(t, name, arg_addr(a, 0), sizeof(name));
	int ret;

	if (len < 0)
		return len == -ENAMETOOLONG ? -EINVAL : len;
	ret = memfd_create_file(t->kernel->vfs, name, flags, t->cred, &f);
	if (ret < 0)
		return ret;
	return sys_install(t, f, flags & LINUX_MFD_CLOEXEC);
}

static int64_t do_inotify_init(struct task *t, uint32_t flags)
{
	struct file *f;
	int ret;

	if (flags & ~(uint32_t)(LINUX_IN_CLOEXEC | LINUX_IN_NONBLOCK))
		return -EINVAL;
	ret = inotify_create_file(t->kernel->vfs, t->cred, flags & LINUX_IN_NONBLOCK, &f);
	if (ret < 0)
		return ret;
	return sys_install(t, f, flags & LINUX_IN_CLOEXEC);
}

int64_t sys_inotify_init(struct task *t, const struct sysargs *a)
{
	(void)a;
	return do_inotify_init(t, 0);
}

int64_t sys_inotify_init1(struct task *t, const struct sysargs *a)
{
	return do_inotify_init(t, arg_u32(a, 0));
}

static int watch_path(struct task *t, struct file *in, uaddr_t uname, uint32_t mask)
{
	uint32_t lookup = mask & LINUX_IN_DONT_FOLLOW ? 0 : LOOKUP_FOLLOW;
	struct at_name n;
	struct path p;
	int ret = at_begin(t, LINUX_AT_FDCWD, uname, &n);

	if (ret < 0)
		return ret;
	if (mask & LINUX_IN_ONLYDIR)
		lookup |= LOOKUP_DIRECTORY;
	ret = vfs_lookup(&n.at, n.name, lookup, &p);
	at_end(&n);
	if (ret < 0)
		return ret;
	ret = vfs_permission(&p, MAY_READ, t->cred);
	if (ret == 0)
		ret = inotify_add(in, p.dentry->inode, mask);
	path_put(&p);
	return ret;
}

#define INOTIFY_BITS                                                                                           \
	(LINUX_IN_ALL_EVENTS | LINUX_IN_UNMOUNT | LINUX_IN_Q_OVERFLOW | LINUX_IN_IGNORED | LINUX_IN_ONLYDIR |  \
	 LINUX_IN_DONT_FOLLOW | LINUX_IN_EXCL_UNLINK | LINUX_IN_MASK_ADD | LINUX_IN_MASK_CREATE |              \
	 LINUX_IN_ISDIR | LINUX_IN_ONESHOT)

int64_t sys_inotify_add_watch(struct task *t, const struct sysargs *a)
{
	uint32_t mask = arg_u32(a, 2);
	struct file *f;
	int64_t ret;

	if (!(mask & (uint32_t)INOTIFY_BITS))
		return -EINVAL;
	f = sys_file(t, arg_int(a, 0));
	if (!f)
		return -EBADF;
	ret = -EINVAL;
	if (file_is_inotify(f) &&
	    (mask & (LINUX_IN_MASK_ADD | LINUX_IN_MASK_CREATE)) != (LINUX_IN_MASK_ADD | LINUX_IN_MASK_CREATE))
		ret = watch_path(t, f, arg_addr(a, 1), mask);
	file_put(f);
	return ret;
}

int64_t sys_inotify_rm_watch(struct task *t, const struct sysargs *a)
{
	struct file *f = sys_file(t, arg_int(a, 0));
	int ret = -EINVAL;

	if (!f)
		return -EBADF;
	if (file_is_inotify(f))
		ret = inotify_remove(f, arg_int(a, 1));
	file_put(f);
	return ret;
}
