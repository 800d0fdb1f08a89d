/* sys_attr.c: changing attributes: chmod(2), chown(2), utimensat(2) and its elders, truncate(2), fallocate(2).
 */
#include "sentry/syscalls/internal.h"

static int64_t setattr_at(struct task *t, int dirfd, uaddr_t name, uint32_t lookup, const struct iattr *attr)
{
	struct at_name n;
	int ret = at_begin(t, dirfd, name, &n);

	if (ret < 0)
		return ret;
	ret = vfs_setattr(&n.at, n.name, lookup, attr);
	at_end(&n);
	return ret;
}

static int64_t setattr_fd(struct task *t, int fd, const struct iattr *attr)
{
	struct file *f = sys_file(t, fd);
	int ret;

	if (!f)
		return -EBADF;
	ret = vfs_setattr_path(&f->path, t->cred, attr);
	file_put(f);
	return ret;
}

static struct iattr mode_attr(uint32_t mode)
{
	return (struct iattr){.valid = ATTR_MODE, .mode = mode & 07777};
}

int64_t sys_chmod(struct task *t, const struct sysargs *a)
{
	struct iattr attr = mode_attr(arg_u32(a, 1));

	return setattr_at(t, LINUX_AT_FDCWD, arg_addr(a, 0), LOOKUP_FOLLOW, &attr);
}

int64_t sys_fchmod(struct task *t, const struct sysargs *a)
{
	struct iattr attr = mode_attr(arg_u32(a, 1));

	return setattr_fd(t, arg_int(a, 0), &attr);
}

int64_t sys_fchmodat(struct task *t, const struct sysargs *a)
{
	struct iattr attr = mode_attr(arg_u32(a, 2));

	return setattr_at(t, arg_int(a, 0), arg_addr(a, 1), LOOKUP_FOLLOW, &attr);
}

int64_t sys_fchmodat2(struct task *t, const struct sysargs *a)
{
	struct iattr attr = mode_attr(arg_u32(a, 2));
	uint32_t flags = arg_u32(a, 3);

	if (flags & ~(uint32_t)(LINUX_AT_SYMLINK_NOFOLLOW | LINUX_AT_EMPTY_PATH))
		return -EINVAL;
	return setattr_at(t, arg_int(a, 0), arg_addr(a, 1), at_lookup(flags), &attr);
}

static int owner_attr(struct task *t, uint32_t uid, uint32_t gid, struct iattr *attr)
{
	*attr = (struct iattr){0};
	if (uid != ID_INVALID) {
		attr->valid |= ATTR_UID;
		attr->uid = user_ns_to_kuid(t->cred->user_ns, uid);
		if (attr->uid == ID_INVALID)
			return -EINVAL;
	}
	if (gid != ID_INVALID) {
		attr->valid |= ATTR_GID;
		attr->gid = user_ns_to_kgid(t->cred->user_ns, gid);
		if (attr->gid == ID_INVALID)
			return -EINVAL;
	}
	attr->valid |= ATTR_CTIME;
	return 0;
}

static int64_t do_chown(struct task *t, int dirfd, uaddr_t name, uint32_t uid, uint32_t gid, uint32_t flags)
{
	struct iattr attr;
	int ret;

	if (flags & ~(uint32_t)(LINUX_AT_SYMLINK_NOFOLLOW | LINUX_AT_EMPTY_PATH))
		return -EINVAL;
	ret = owner_attr(t, uid, gid, &attr);
	if (ret < 0)
		return ret;
	return setattr_at(t, dirfd, name, at_lookup(flags), &attr);
}

int64_t sys_chown(struct task *t, const struct sysargs *a)
{
	return do_chown(t, LINUX_AT_FDCWD, arg_addr(a, 0), arg_u32(a, 1), arg_u32(a, 2), 0);
}

int64_t sys_lchown(struct task *t, const struct sysargs *a)
{
	return do_chown(t, LINUX_AT_FDCWD, arg_addr(a, 0), arg_u32(a, 1), arg_u32(a, 2),
			LINUX_AT_SYMLINK_NOFOLLOW);
}

int64_t sys_fchownat(struct task *t, const struct sysargs *a)
{
	return do_chown(t, arg_int(a, 0), arg_addr(a, 1), arg_u32(a, 2), arg_u32(a, 3), arg_u32(a, 4));
}

int64_t sys_fchown(struct task *t, const struct sysargs *a)
{
	struct iattr attr;
	int ret = owner_attr(t, arg_u32(a, 1), arg_u32(a, 2), &attr);

	return ret < 0 ? ret : setattr_fd(t, arg_int(a, 0), &attr);
}

/* ---- times ---- */

static int one_time(const struct linux_timespec *ts, uint32_t set, uint32_t now, struct linux_timespec *to,
		    uint32_t *valid)
{
	if (ts->tv_nsec == LINUX_UTIME_OMIT)
		return 0;
	if (ts->tv_nsec == LINUX_UTIME_NOW) {
		*valid |= now;
		return 0;
	}
	if (ts->tv_nsec < 0 || ts->tv_nsec >= (int64_t)NSEC_PER_SEC)
		return -EINVAL;
	*to = *ts;
	*valid |= set;
	return 0;
}

/* times NULL: both now */
static int64_t do_utimes(struct task *t, int dirfd, uaddr_t name, const struct linux_timespec *times,
			 uint32_t flags)
{
	struct iattr attr = {.valid = ATTR_ATIME_NOW | ATTR_MTIME_NOW};
	int ret;

	if (times) {
		attr.valid = 0;
		ret = one_time(&times[0], ATTR_ATIME, ATTR_ATIME_NOW, &attr.atime, &attr.valid);
		if (ret == 0)
			ret = one_time(&times[1], ATTR_MTIME, ATTR_MTIME_NOW, &attr.mtime, &attr.valid);
		if (ret < 0)
			return ret;
		if (attr.valid == 0)
			return 0;
	}
	if (flags & ~(uint32_t)(LINUX_AT_SYMLINK_NOFOLLOW | LINUX_AT_EMPTY_PATH))
		return -EINVAL;
	if (name == 0 && dirfd != LINUX_AT_FDCWD)
		return flags ? -EINVAL : setattr_fd(t, dirfd, &attr);
	return setattr_at(t, dirfd, name, at_lookup(flags), &attr);
}

int64_t sys_utimensat(struct task *t, const struct sysargs *a)
{
	struct linux_timespec ts[2];
	int ret;

	if (arg_addr(a, 2) == 0)
		return do_utimes(t, arg_int(a, 0), arg_addr(a, 1), NULL, arg_u32(a, 3));
	ret = copy_from_user(t, ts, arg_addr(a, 2), sizeof(ts));
	if (ret < 0)
		return ret;
	return do_utimes(t, arg_int(a, 0), arg_addr(a, 1), ts, arg_u32(a, 3));
}

static int64_t timeval_utimes(struct task *t, int dirfd, uaddr_t name, uaddr_t times)
{
	struct linux_timespec ts[2];
	struct linux_timeval tv[2];
	int i, ret;

	if (times == 0)
		return do_utimes(t, dirfd, name, NULL, 0);
	ret = copy_from_user(t, tv, times, sizeof(tv));
	if (ret < 0)
		return ret;
	for (i = 0; i < 2; i++) {
		if (tv[i].tv_usec < 0 || tv[i].tv_usec >= 1000000)
			return -EINVAL;
		ts[i].tv_sec = tv[i].tv_sec;
		ts[i].tv_nsec = tv[i].tv_usec * 1000;
	}
	return do_utimes(t, dirfd, name, ts, 0);
}

int64_t sys_utimes(struct task *t, const struct sysargs *a)
{
	return timeval_utimes(t, LINUX_AT_FDCWD, arg_addr(a, 0), arg_addr(a, 1));
}

int64_t sys_futimesat(struct task *t, const struct sysargs *a)
{
	return timeval_utimes(t, arg_int(a, 0), arg_addr(a, 1), arg_addr(a, 2));
}

int64_t sys_utime(struct task *t, const struct sysargs *a)
{
	struct linux_timespec ts[2] = {{0, 0}, {0, 0}};
	int64_t times[2];
	int ret;

	if (arg_addr(a, 1) == 0)
		return do_utimes(t, LINUX_AT_FDCWD, arg_addr(a, 0), NULL, 0);
	ret = copy_from_user(t, times, arg_addr(a, 1), sizeof(times));
	if (ret < 0)
		return ret;
	ts[0].tv_sec = times[0];
	ts[1].tv_sec = times[1];
	return do_utimes(t, LINUX_AT_FDCWD, arg_addr(a, 0), ts, 0);
}

/* ---- size ---- */

int64_t sys_truncate(struct task *t, const struct sysargs *a)
{
	struct iattr attr = {.valid = ATTR_SIZE, .size = arg_u64(a, 1)};
	struct at_name n;
	struct kstat k;
	int ret;

	if (arg_i64(a, 1) < 0)
		return -EINVAL;
	ret = at_begin(t, LINUX_AT_FDCWD, arg_addr(a, 0), &n);
	if (ret < 0)
		return ret;
	if (task_rlimit(t, LINUX_RLIMIT_FSIZE) != LINUX_RLIM_INFINITY) {
		ret = vfs_stat(&n.at, n.name, LOOKUP_FOLLOW, LINUX_STATX_SIZE, &k);
		if (ret == 0)
			ret = size_limit(t, k.size, attr.size);
	}
	if (ret == 0)
		ret = vfs_setattr(&n.at, n.name, LOOKUP_FOLLOW, &attr);
	at_end(&n);
	return ret;
}

int64_t sys_ftruncate(struct task *t, const struct sysargs *a)
{
	struct file *f;
	int ret;

	if (arg_i64(a, 1) < 0)
		return -EINVAL;
	f = sys_file(t, arg_int(a, 0));
	if (!f)
		return -EBADF;
	ret = -EINVAL;
	if (inode_is(f->inode, LINUX_S_IFREG) && FILE_CAN_WRITE(f))
		ret = size_limit_file(t, f, arg_u64(a, 1));
	if (ret == 0)
		ret = file_truncate_as(f, arg_u64(a, 1), t->cred);
	file_put(f);
	return ret;
}

/* Which mode bits go together (fallocate(2)). */
static int fallocate_mode(uint32_t mode)
{
	const uint32_t known = LINUX_FALLOC_FL_KEEP_SIZE | LINUX_FALLOC_FL_PUNCH_HOLE |
			       LINUX_FALLOC_FL_COLLAPSE_RANGE | LINUX_FALLOC_FL_ZERO_RANGE |
			       LINUX_FALLOC_FL_INSERT_RANGE | LINUX_FALLOC_FL_UNSHARE_RANGE;

	if (mode & ~known)
		return -EOPNOTSUPP;
	if ((mode & LINUX_FALLOC_FL_PUNCH_HOLE) &&
	    (mode & (LINUX_FALLOC_FL_ZERO_RANGE | LINUX_FALLOC_FL_KEEP_SIZE)) != LINUX_FALLOC_FL_KEEP_SIZE)
		return -EOPNOTSUPP;
	if ((mode & LINUX_FALLOC_FL_COLLAPSE_RANGE) && mode != LINUX_FALLOC_FL_COLLAPSE_RANGE)
		return -EINVAL;
	if ((mode & LINUX_FALLOC_FL_INSERT_RANGE) && mode != LINUX_FALLOC_FL_INSERT_RANGE)
		return -EINVAL;
	if ((mode & LINUX_FALLOC_FL_UNSHARE_RANGE) &&
	    (mode & ~(uint32_t)(LINUX_FALLOC_FL_UNSHARE_RANGE | LINUX_FALLOC_FL_KEEP_SIZE)))
		return -EINVAL;
	return 0;
}

static int do_fallocate(struct task *t, struct file *f, uint32_t mode, uint64_t off, uint64_t len)
{
	int ret;

	if (!FILE_CAN_WRITE(f))
		return -EBADF;
	if (inode_is(f->inode, LINUX_S_IFIFO))
		return -ESPIPE;
	if (inode_is(f->inode, LINUX_S_IFDIR))
		return -EISDIR;
	if (!inode_is(f->inode, LINUX_S_IFREG) && !inode_is(f->inode, LINUX_S_IFBLK))
		return -ENODEV;
	if (len > (uint64_t)INT64_MAX - off)
		return -EFBIG;
	if (!f->ops->fallocate)
		return -EOPNOTSUPP;
	if (!(mode & (LINUX_FALLOC_FL_KEEP_SIZE | LINUX_FALLOC_FL_PUNCH_HOLE))) {
		ret = size_limit_file(t, f, off + len);
		if (ret < 0)
			return ret;
	}
	return vfs_fallocate(f, (int)mode, off, len, t->cred);
}

int64_t sys_fallocate(struct task *t, const struct sysargs *a)
{
	struct file *f = sys_file(t, arg_int(a, 0));
	int ret;

	if (!f)
		return -EBADF;
	ret = arg_i64(a, 2) < 0 || arg_i64(a, 3) <= 0 ? -EINVAL : fallocate_mode(arg_u32(a, 1));
	if (ret == 0)
		ret = do_fallocate(t, f, arg_u32(a, 1), arg_u64(a, 2), arg_u64(a, 3));
	file_put(f);
	return ret;
}
