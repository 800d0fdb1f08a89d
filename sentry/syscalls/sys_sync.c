/* sys_sync.c: fsync(2), sync(2), syncfs(2), sync_file_range(2), and the advice calls of files. */
#include "sentry/syscalls/internal.h"

static int64_t do_fsync(struct task *t, int fd, bool data_only)
{
	struct file *f = sys_file(t, fd);
	int ret = 0;

	if (!f)
		return -EBADF;
	if (f->ops->fsync)
		ret = f->ops->fsync(f, data_only);
	else if (!inode_is(f->inode, LINUX_S_IFREG) && !inode_is(f->inode, LINUX_S_IFDIR))
		ret = -EINVAL;
	file_put(f);
	return ret;
}

int64_t sys_fsync(struct task *t, const struct sysargs *a)
{
	return do_fsync(t, arg_int(a, 0), false);
}

int64_t sys_fdatasync(struct task *t, const struct sysargs *a)
{
	return do_fsync(t, arg_int(a, 0), true);
}

static bool can_sync(const struct super *s)
{
	return s->ops && s->ops->sync;
}

static int super_sync(struct super *s)
{
	return can_sync(s) && !s->read_only ? s->ops->sync(s) : 0;
}

int64_t sys_syncfs(struct task *t, const struct sysargs *a)
{
	struct file *f = sys_file(t, arg_int(a, 0));
	int ret;

	if (!f)
		return -EBADF;
	ret = super_sync(f->inode->super);
	file_put(f);
	return ret;
}

#define SYNC_BATCH 64

int64_t sys_sync(struct task *t, const struct sysargs *a)
{
	struct vfs *v = t->kernel->vfs;
	struct super *batch[SYNC_BATCH];
	uint32_t i, n = 0;
	struct mount *m;

	(void)a;
	rwlock_read(&v->mount_lock);
	list_for_each (m, &t->mount_ns->mounts, ns_node) {
		if (n == SYNC_BATCH)
			break;
		if (!can_sync(m->super))
			continue;
		super_get(m->super);
		batch[n++] = m->super;
	}
	rwlock_read_unlock(&v->mount_lock);
	for (i = 0; i < n; i++) {
		(void)super_sync(batch[i]);
		super_put(batch[i]);
	}
	return 0;
}

int64_t sys_sync_file_range(struct task *t, const struct sysargs *a)
{
	uint32_t flags = arg_u32(a, 3);
	int64_t off = arg_i64(a, 1), n = arg_i64(a, 2), end;
	struct file *f = sys_file(t, arg_int(a, 0));
	int ret = -EINVAL;

	if (!f)
		return -EBADF;
	if (flags & ~7u || off < 0 || n < 0 || add_overflows(off, n, &end))
		goto out;
	ret = -ESPIPE;
	if (!inode_is(f->inode, LINUX_S_IFREG) && !inode_is(f->inode, LINUX_S_IFDIR) &&
	    !inode_is(f->inode, LINUX_S_IFBLK) && !inode_is(f->inode, LINUX_S_IFLNK))
		goto out;
	ret = 0;
	if ((flags & LINUX_SYNC_FILE_RANGE_WAIT_AFTER) && f->ops->fsync)
		ret = f->ops->fsync(f, true);
out:
	file_put(f);
	return ret;
}

int64_t sys_fadvise64(struct task *t, const struct sysargs *a)
{
	struct file *f = sys_file(t, arg_int(a, 0));
	int ret = 0;

	if (!f)
		return -EBADF;
	if (inode_is(f->inode, LINUX_S_IFIFO))
		ret = -ESPIPE;
	else if (arg_u32(a, 3) > LINUX_POSIX_FADV_NOREUSE || arg_i64(a, 2) < 0)
		ret = -EINVAL;
	file_put(f);
	return ret;
}

int64_t sys_readahead(struct task *t, const struct sysargs *a)
{
	struct file *f = sys_file(t, arg_int(a, 0));
	int ret = 0;

	if (!f)
		return -EBADF;
	if (!FILE_CAN_READ(f))
		ret = -EBADF;
	else if (!inode_is(f->inode, LINUX_S_IFREG) && !inode_is(f->inode, LINUX_S_IFBLK))
		ret = -EINVAL;
	file_put(f);
	return ret;
}
