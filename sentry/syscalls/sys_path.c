/* sys_path.c: calls that make, remove and rename names: mkdir(2), mknod(2), unlink(2), rename(2), link(2),
 * symlink(2), readlink(2). */
#include "sentry/syscalls/answers.h"
#include "sentry/syscalls/internal.h"

static int64_t do_mkdir(struct task *t, int dirfd, uaddr_t name, uint32_t mode)
{
	struct at_name n;
	int ret = at_begin(t, dirfd, name, &n);

	if (ret < 0)
		return ret;
	ret = vfs_mkdir(&n.at, n.name, mode & 01777);
	at_end(&n);
	return ret;
}

int64_t sys_mkdir(struct task *t, const struct sysargs *a)
{
	return do_mkdir(t, LINUX_AT_FDCWD, arg_addr(a, 0), arg_u32(a, 1));
}

int64_t sys_mkdirat(struct task *t, const struct sysargs *a)
{
	return do_mkdir(t, arg_int(a, 0), arg_addr(a, 1), arg_u32(a, 2));
}

static int64_t do_mknod(struct task *t, int dirfd, uaddr_t name, uint32_t mode, uint32_t dev)
{
	uint32_t type = mode & LINUX_S_IFMT;
	struct at_name n;
	int ret;

	switch (type) {
	case 0:
		type = LINUX_S_IFREG;
		FALLTHROUGH;
	case LINUX_S_IFREG:
	case LINUX_S_IFIFO:
	case LINUX_S_IFSOCK:
		dev = 0;
		break;
	case LINUX_S_IFCHR:
	case LINUX_S_IFBLK:
		break;
	case LINUX_S_IFDIR:
		return -EPERM;
	default:
		return -EINVAL;
	}
	ret = at_begin(t, dirfd, name, &n);
	if (ret < 0)
		return ret;
	ret = vfs_mknod(&n.at, n.name, type | (mode & 07777), dev);
	at_end(&n);
	return ret;
}

int64_t sys_mknod(struct task *t, const struct sysargs *a)
{
	return do_mknod(t, LINUX_AT_FDCWD, arg_addr(a, 0), arg_u32(a, 1), arg_u32(a, 2));
}

int64_t sys_mknodat(struct task *t, const struct sysargs *a)
{
	return do_mknod(t, arg_int(a, 0), arg_addr(a, 1), arg_u32(a, 2), arg_u32(a, 3));
}

static int64_t do_unlink(struct task *t, int dirfd, uaddr_t name, bool dir)
{
	struct at_name n;
	int ret = at_begin(t, dirfd, name, &n);

	if (ret < 0)
		return ret;
	ret = dir ? vfs_rmdir(&n.at, n.name) : vfs_unlink(&n.at, n.name);
	at_end(&n);
	return ret;
}

int64_t sys_unlink(struct task *t, const struct sysargs *a)
{
	return do_unlink(t, LINUX_AT_FDCWD, arg_addr(a, 0), false);
}

int64_t sys_rmdir(struct task *t, const struct sysargs *a)
{
	return do_unlink(t, LINUX_AT_FDCWD, arg_addr(a, 0), true);
}

int64_t sys_unlinkat(struct task *t, const struct sysargs *a)
{
	uint32_t flags = arg_u32(a, 2);

	if (flags & ~(uint32_t)LINUX_AT_REMOVEDIR)
		return -EINVAL;
	return do_unlink(t, arg_int(a, 0), arg_addr(a, 1), flags & LINUX_AT_REMOVEDIR);
}

static int64_t do_rename(struct task *t, int olddir, uaddr_t old, int newdir, uaddr_t new, uint32_t flags)
{
	struct at_name from, to;
	int ret;

	if (flags & ~(uint32_t)(LINUX_RENAME_NOREPLACE | LINUX_RENAME_EXCHANGE | LINUX_RENAME_WHITEOUT))
		return -EINVAL;
	if ((flags & LINUX_RENAME_EXCHANGE) && (flags & (LINUX_RENAME_NOREPLACE | LINUX_RENAME_WHITEOUT)))
		return -EINVAL;
	ret = at_begin(t, olddir, old, &from);
	if (ret < 0)
		return ret;
	ret = at_begin(t, newdir, new, &to);
	if (ret == 0) {
		ret = vfs_rename(&from.at, from.name, &to.at, to.name, flags);
		at_end(&to);
	}
	at_end(&from);
	return ret;
}

int64_t sys_rename(struct task *t, const struct sysargs *a)
{
	return do_rename(t, LINUX_AT_FDCWD, arg_addr(a, 0), LINUX_AT_FDCWD, arg_addr(a, 1), 0);
}

int64_t sys_renameat(struct task *t, const struct sysargs *a)
{
	return do_rename(t, arg_int(a, 0), arg_addr(a, 1), arg_int(a, 2), arg_addr(a, 3), 0);
}

int64_t sys_renameat2(struct task *t, const struct sysargs *a)
{
	return do_rename(t, arg_int(a, 0), arg_addr(a, 1), arg_int(a, 2), arg_addr(a, 3), arg_u32(a, 4));
}

static int64_t do_link(struct task *t, int olddir, uaddr_t old, int newdir, uaddr_t new, uint32_t flags)
{
	struct at_name from, to;
	uint32_t lookup = 0;
	int ret;

	if (flags & ~(uint32_t)(LINUX_AT_SYMLINK_FOLLOW | LINUX_AT_EMPTY_PATH))
		return -EINVAL;
	if (flags & LINUX_AT_SYMLINK_FOLLOW)
		lookup |= LOOKUP_FOLLOW;
	if (flags & LINUX_AT_EMPTY_PATH) {
		if (!capable(t, LINUX_CAP_DAC_READ_SEARCH))
			return -ENOENT;
		lookup |= LOOKUP_EMPTY;
	}
	ret = at_begin(t, olddir, old, &from);
	if (ret < 0)
		return ret;
	ret = at_begin(t, newdir, new, &to);
	if (ret == 0) {
		ret = vfs_link(&from.at, from.name, lookup, &to.at, to.name);
		at_end(&to);
	}
	at_end(&from);
	return ret;
}

int64_t sys_link(struct task *t, const struct sysargs *a)
{
	return do_link(t, LINUX_AT_FDCWD, arg_addr(a, 0), LINUX_AT_FDCWD, arg_addr(a, 1), 0);
}

int64_t sys_linkat(struct task *t, const struct sysargs *a)
{
	return do_link(t, arg_int(a, 0), arg_addr(a, 1), arg_int(a, 2), arg_addr(a, 3), arg_u32(a, 4));
}

static int64_t do_symlink(struct task *t, uaddr_t utarget, int dirfd, uaddr_t name)
{
	struct at_name n;
	char *target;
	int ret = getname(t, utarget, &target);

	if (ret < 0)
		return ret;
	ret = -ENOENT;
	if (target[0])
		ret = at_begin(t, dirfd, name, &n);
	if (ret == 0) {
		ret = vfs_symlink(&n.at, target, n.name);
		at_end(&n);
	}
	kfree(target);
	return ret;
}

int64_t sys_symlink(struct task *t, const struct sysargs *a)
{
	return do_symlink(t, arg_addr(a, 0), LINUX_AT_FDCWD, arg_addr(a, 1));
}

int64_t sys_symlinkat(struct task *t, const struct sysargs *a)
{
	return do_symlink(t, arg_addr(a, 0), arg_int(a, 1), arg_addr(a, 2));
}

/* readlinkat(fd, ""): fd is an O_PATH descriptor of the link itself. */
static ssize_t readlink_fd(struct file *f, char *buf, size_t size)
{
	const struct inode *i = f ? f->inode : NULL;

	if (!i || !inode_is(i, LINUX_S_IFLNK) || !i->ops->readlink)
		return -ENOENT;
	return i->ops->readlink(f->inode, buf, size);
}

static int64_t do_readlink(struct task *t, int dirfd, uaddr_t name, uaddr_t ubuf, int32_t size)
{
	struct question q;
	struct at_name n;
	char *buf;
	ssize_t len;
	int ret;

	if (size <= 0)
		return -EINVAL;
	question_begin(&q, t, dirfd);
	ret = at_begin(t, dirfd, name, &n);
	if (ret < 0)
		return ret;
	question_name(&q, &n);
	len = -ENOMEM;
	buf = kmalloc(VFS_PATH_MAX);
	if (!buf)
		goto out;
	len = MIN((size_t)size, (size_t)VFS_PATH_MAX);
	if (n.name[0])
		len = vfs_readlink(&n.at, n.name, buf, (size_t)len);
	else
		len = readlink_fd(n.dir, buf, (size_t)len);
	if (len > 0) {
		ret = copy_to_user(t, ubuf, buf, (size_t)len);
		if (ret < 0)
			len = ret;
	}
	kfree(buf);
	question_missing(&q, &n, false, (int)len);
	q.name = n.name; /* freed by question_end */
	n.name = NULL;
	if (len == -EINVAL)
		question_answer(&q, ANSWER_NOT_LINK, ANSWER_NOFOLLOW, 0, NULL, 0);
	question_end(&q);
out:
	at_end(&n);
	return len;
}

int64_t sys_readlink(struct task *t, const struct sysargs *a)
{
	return do_readlink(t, LINUX_AT_FDCWD, arg_addr(a, 0), arg_addr(a, 1), arg_int(a, 2));
}

int64_t sys_readlinkat(struct task *t, const struct sysargs *a)
{
	return do_readlink(t, arg_int(a, 0), arg_addr(a, 1), arg_addr(a, 2), arg_int(a, 3));
}
