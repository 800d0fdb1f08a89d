/* sys_xattr.c: extended attributes (xattr(7)): twelve old calls and the four *at ones over three ways to name
 * the file. */
#include "sentry/syscalls/internal.h"

/* Which file: by name (followed or not), or by descriptor. */
struct xattr_target {
	struct path path;
	struct file *f; /* reference when by descriptor */
};

static int target_at(struct task *t, int dirfd, uaddr_t name, uint32_t flags, struct xattr_target *x)
{
	struct at_name n;
	int ret;

	x->f = NULL;
	ret = at_begin_null(t, dirfd, name, flags & LINUX_AT_EMPTY_PATH, &n);
	if (ret < 0)
		return ret;
	ret = vfs_lookup(&n.at, n.name, at_lookup(flags), &x->path);
	at_end(&n);
	return ret;
}

static int target_fd(struct task *t, int fd, struct xattr_target *x)
{
	x->f = sys_file(t, fd);
	if (!x->f)
		return -EBADF;
	x->path = x->f->path;
	return 0;
}

static void target_put(struct xattr_target *x)
{
	if (x->f)
		file_put(x->f);
	else
		path_put(&x->path);
}

static int get_name(struct task *t, uaddr_t src, char name[LINUX_XATTR_NAME_MAX + 1])
{
	ssize_t n = strncpy_from_user(t, name, src, LINUX_XATTR_NAME_MAX + 1);

	if (n == 0 || n == -ENAMETOOLONG)
		return -ERANGE;
	return n < 0 ? (int)n : 0;
}

static int64_t xattr_get(struct task *t, struct xattr_target *x, uaddr_t uname, uaddr_t value, uint64_t size)
{
	char name[LINUX_XATTR_NAME_MAX + 1], *buf = NULL;
	int64_t ret = get_name(t, uname, name);

	if (ret < 0)
		return ret;
	size = MIN(size, (uint64_t)LINUX_XATTR_SIZE_MAX);
	if (size) {
		buf = kmalloc(size);
		if (!buf)
			return -ENOMEM;
	}
	ret = vfs_getxattr(&x->path, t->cred, name, buf, size);
	if (ret > 0 && size) {
		int err = copy_to_user(t, value, buf, (size_t)ret);

		if (err < 0)
			ret = err;
	}
	kfree(buf);
	return ret;
}

static int64_t xattr_set(struct task *t, struct xattr_target *x, uaddr_t uname, uaddr_t value, uint64_t size,
			 uint32_t flags)
{
	char name[LINUX_XATTR_NAME_MAX + 1], *buf = NULL;
	int ret;

	if (flags & ~(uint32_t)(LINUX_XATTR_CREATE | LINUX_XATTR_REPLACE))
		return -EINVAL;
	ret = get_name(t, uname, name);
	if (ret < 0)
		return ret;
	if (size > LINUX_XATTR_SIZE_MAX)
		return -E2BIG;
	if (size) {
		buf = kmalloc(size);
		if (!buf)
			return -ENOMEM;
		ret = copy_from_user(t, buf, value, size);
	}
	if (ret == 0)
		ret = vfs_setxattr(&x->path, t->cred, name, buf, size, (int)flags);
	kfree(buf);
	return ret;
}

static int64_t xattr_list(struct task *t, struct xattr_target *x, uaddr_t list, uint64_t size)
{
	char *buf = NULL;
	int64_t ret;

	size = MIN(size, (uint64_t)LINUX_XATTR_LIST_MAX);
	if (size) {
		buf = kmalloc(size);
		if (!buf)
			return -ENOMEM;
	}
	ret = vfs_listxattr(&x->path, t->cred, buf, size);
	if (ret > 0 && size) {
		int err = copy_to_user(t, list, buf, (size_t)ret);

		if (err < 0)
			ret = err;
	}
	kfree(buf);
	return ret;
}

static int64_t xattr_remove(struct task *t, struct xattr_target *x, uaddr_t uname)
{
	char name[LINUX_XATTR_NAME_MAX + 1];
	int ret = get_name(t, uname, name);

	return ret < 0 ? ret : vfs_removexattr(&x->path, t->cred, name);
}

/* Each old call in its three forms. */
#define XATTR_FORM(call, open_target, do_it)                                                                   \
	int64_t call(struct task *t, const struct sysargs *a)                                                  \
	{                                                                                                      \
		struct xattr_target x;                                                                         \
		int64_t ret = open_target;                                                                     \
                                                                                                               \
		if (ret < 0)                                                                                   \
			return ret;                                                                            \
		ret = do_it;                                                                                   \
		target_put(&x);                                                                                \
		return ret;                                                                                    \
	}
#define BY_PATH target_at(t, LINUX_AT_FDCWD, arg_addr(a, 0), 0, &x)
#define BY_LINK target_at(t, LINUX_AT_FDCWD, arg_addr(a, 0), LINUX_AT_SYMLINK_NOFOLLOW, &x)
#define BY_FD	target_fd(t, arg_int(a, 0), &x)
#define GET	xattr_get(t, &x, arg_addr(a, 1), arg_addr(a, 2), arg_u64(a, 3))
#define SET	xattr_set(t, &x, arg_addr(a, 1), arg_addr(a, 2), arg_u64(a, 3), arg_u32(a, 4))
#define LIST	xattr_list(t, &x, arg_addr(a, 1), arg_u64(a, 2))
#define REMOVE	xattr_remove(t, &x, arg_addr(a, 1))

XATTR_FORM(sys_getxattr, BY_PATH, GET)
XATTR_FORM(sys_lgetxattr, BY_LINK, GET)
XATTR_FORM(sys_fgetxattr, BY_FD, GET)
XATTR_FORM(sys_setxattr, BY_PATH, SET)
XATTR_FORM(sys_lsetxattr, BY_LINK, SET)
XATTR_FORM(sys_fsetxattr, BY_FD, SET)
XATTR_FORM(sys_listxattr, BY_PATH, LIST)
XATTR_FORM(sys_llistxattr, BY_LINK, LIST)
XATTR_FORM(sys_flistxattr, BY_FD, LIST)
XATTR_FORM(sys_removexattr, BY_PATH, REMOVE)
XATTR_FORM(sys_lremovexattr, BY_LINK, REMOVE)
XATTR_FORM(sys_fremovexattr, BY_FD, REMOVE)

/* ---- the *at forms of Linux 6.13 ---- */

struct xattr_args {
	uaddr_t value;
	uint32_t size, flags;
};

static int check_at_flags(uint32_t flags)
{
	return flags & ~(uint32_t)(LINUX_AT_SYMLINK_NOFOLLOW | LINUX_AT_EMPTY_PATH) ? -EINVAL : 0;
}

static int get_args(struct task *t, uaddr_t src, uint64_t size, struct xattr_args *args)
{
	if (size < sizeof(*args))
		return -EINVAL;
	if (size > sizeof(*args))
		return -E2BIG;
	return copy_from_user(t, args, src, sizeof(*args));
}

int64_t sys_setxattrat(struct task *t, const struct sysargs *a)
{
	struct xattr_target x;
	struct xattr_args args;
	int64_t ret = check_at_flags(arg_u32(a, 2));

	if (ret == 0)
		ret = get_args(t, arg_addr(a, 4), arg_u64(a, 5), &args);
	if (ret == 0)
		ret = target_at(t, arg_int(a, 0), arg_addr(a, 1), arg_u32(a, 2), &x);
	if (ret < 0)
		return ret;
	ret = xattr_set(t, &x, arg_addr(a, 3), args.value, args.size, args.flags);
	target_put(&x);
	return ret;
}

int64_t sys_getxattrat(struct task *t, const struct sysargs *a)
{
	struct xattr_target x;
	struct xattr_args args;
	int64_t ret = check_at_flags(arg_u32(a, 2));

	if (ret == 0)
		ret = get_args(t, arg_addr(a, 4), arg_u64(a, 5), &args);
	if (ret == 0 && args.flags != 0)
		ret = -EINVAL;
	if (ret == 0)
		ret = target_at(t, arg_int(a, 0), arg_addr(a, 1), arg_u32(a, 2), &x);
	if (ret < 0)
		return ret;
	ret = xattr_get(t, &x, arg_addr(a, 3), args.value, args.size);
	target_put(&x);
	return ret;
}

int64_t sys_listxattrat(struct task *t, const struct sysargs *a)
{
	struct xattr_target x;
	int64_t ret = check_at_flags(arg_u32(a, 2));

	if (ret == 0)
		ret = target_at(t, arg_int(a, 0), arg_addr(a, 1), arg_u32(a, 2), &x);
	if (ret < 0)
		return ret;
	ret = xattr_list(t, &x, arg_addr(a, 3), arg_u64(a, 4));
	target_put(&x);
	return ret;
}

int64_t sys_removexattrat(struct task *t, const struct sysargs *a)
{
	struct xattr_target x;
	int64_t ret = check_at_flags(arg_u32(a, 2));

	if (ret == 0)
		ret = target_at(t, arg_int(a, 0), arg_addr(a, 1), arg_u32(a, 2), &x);
	if (ret < 0)
		return ret;
	ret = xattr_remove(t, &x, arg_addr(a, 3));
	target_put(&x);
	return ret;
}
