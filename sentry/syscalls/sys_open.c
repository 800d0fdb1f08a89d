/* sys_open.c: open(2), openat2(2), close(2), close_range(2). */
#include "platform/abi/sched.h"
#include "sentry/kernel/task.h"
#include "sentry/syscalls/answers.h"

#define OPEN_FLAGS                                                                                             \
	(LINUX_O_ACCMODE | LINUX_O_CREAT | LINUX_O_EXCL | LINUX_O_NOCTTY | LINUX_O_TRUNC | LINUX_O_APPEND |    \
	 LINUX_O_NONBLOCK | LINUX_O_SYNC | LINUX_O_DSYNC | LINUX_O_ASYNC | LINUX_O_DIRECT |                    \
	 LINUX_O_LARGEFILE | LINUX_O_DIRECTORY | LINUX_O_NOFOLLOW | LINUX_O_NOATIME | LINUX_O_CLOEXEC |        \
	 LINUX_O_PATH | LINUX_O_TMPFILE)
#define PATH_FLAGS   (LINUX_O_DIRECTORY | LINUX_O_NOFOLLOW | LINUX_O_PATH | LINUX_O_CLOEXEC)
#define TMPFILE_ONLY (LINUX_O_TMPFILE & ~LINUX_O_DIRECTORY)

static bool will_create(uint64_t flags)
{
	return (flags & LINUX_O_CREAT) || (flags & LINUX_O_TMPFILE) == LINUX_O_TMPFILE;
}

/* The rules of openat2(2); open(2) has masked what it ignores before. */
static int check_how(const struct linux_open_how *how)
{
	const uint64_t resolve = LINUX_RESOLVE_NO_XDEV | LINUX_RESOLVE_NO_MAGICLINKS |
				 LINUX_RESOLVE_NO_SYMLINKS | LINUX_RESOLVE_BENEATH | LINUX_RESOLVE_IN_ROOT |
				 LINUX_RESOLVE_CACHED;
	uint64_t flags = how->flags;

	if ((flags & ~(uint64_t)OPEN_FLAGS) || (how->resolve & ~resolve))
		return -EINVAL;
	if ((how->resolve & LINUX_RESOLVE_BENEATH) && (how->resolve & LINUX_RESOLVE_IN_ROOT))
		return -EINVAL;
	if (will_create(flags) ? how->mode & ~07777UL : how->mode != 0)
		return -EINVAL;
	if ((flags & (LINUX_O_DIRECTORY | LINUX_O_CREAT)) == (LINUX_O_DIRECTORY | LINUX_O_CREAT))
		return -EINVAL;
	if (flags & TMPFILE_ONLY) {
		uint64_t acc = flags & LINUX_O_ACCMODE;

		if (!(flags & LINUX_O_DIRECTORY))
			return -EINVAL;
		if (acc != LINUX_O_WRONLY && acc != LINUX_O_RDWR)
			return -EINVAL;
	}
	if ((flags & LINUX_O_PATH) && (flags & ~(uint64_t)PATH_FLAGS))
		return -EINVAL;
	if (how->resolve & LINUX_RESOLVE_CACHED)
		return flags & (LINUX_O_TRUNC | LINUX_O_CREAT | TMPFILE_ONLY) ? -EAGAIN : 0;
	return 0;
}

static uint32_t resolve_bits(uint64_t resolve)
{
	uint32_t r = 0;

	if (resolve & LINUX_RESOLVE_NO_XDEV)
		r |= LOOKUP_NO_XDEV;
	if (resolve & LINUX_RESOLVE_NO_MAGICLINKS)
		r |= LOOKUP_NO_MAGIC;
	if (resolve & LINUX_RESOLVE_NO_SYMLINKS)
		r |= LOOKUP_NO_LINKS;
	if (resolve & LINUX_RESOLVE_BENEATH)
		r |= LOOKUP_BENEATH;
	if (resolve & LINUX_RESOLVE_IN_ROOT)
		r |= LOOKUP_IN_ROOT;
	return r;
}

static int64_t do_open(struct task *t, int dirfd, uaddr_t uname, const struct linux_open_how *how)
{
	struct question q;
	struct at_name n;
	struct file *f;
	int64_t fd;
	bool stable;
	int ret = check_how(how);

	if (ret < 0)
		return ret;
	question_begin(&q, t, dirfd);
	ret = at_begin(t, dirfd, uname, &n);
	if (ret == 0 && (how->resolve & LINUX_RESOLVE_IN_ROOT) && dirfd != LINUX_AT_FDCWD && !n.dir)
		ret = at_use_dir(t, dirfd, &n);
	if (ret < 0)
		return ret;
	if (!how->resolve && !(how->flags & (LINUX_O_CREAT | (LINUX_O_TMPFILE & ~LINUX_O_DIRECTORY))))
		question_name(&q, &n);
	ret = vfs_open(&n.at, n.name, (uint32_t)how->flags, (uint32_t)how->mode, resolve_bits(how->resolve),
		       &f);
	if (ret == -ENOENT && n.at.basis)
		question_missing(&q, &n, !(how->flags & LINUX_O_NOFOLLOW), ret);
	at_end(&n);
	if (ret < 0)
		return ret;
	ret = file_open_block(t, f);
	if (ret < 0) {
		file_put(f);
		return ret;
	}
	stable = f->inode->super->stable;
	fd = sys_install(t, f, how->flags & LINUX_O_CLOEXEC);
	if (fd >= 0 && stable && fstat_wanted(t))
		stat_opened(t, (int)fd);
	return fd;
}

/* open(2) ignores what it doesn't know. */
static struct linux_open_how old_how(uint32_t flags, uint32_t mode)
{
	struct linux_open_how how = {.flags = flags & OPEN_FLAGS, .mode = mode & 07777};

	if (how.flags & LINUX_O_PATH)
		how.flags &= PATH_FLAGS;
	else
		how.flags |= LINUX_O_LARGEFILE;
	if (!will_create(how.flags))
		how.mode = 0;
	return how;
}

int64_t sys_open(struct task *t, const struct sysargs *a)
{
	struct linux_open_how how = old_how(arg_u32(a, 1), arg_u32(a, 2));

	return do_open(t, LINUX_AT_FDCWD, arg_addr(a, 0), &how);
}

int64_t sys_openat(struct task *t, const struct sysargs *a)
{
	struct linux_open_how how = old_how(arg_u32(a, 2), arg_u32(a, 3));

	return do_open(t, arg_int(a, 0), arg_addr(a, 1), &how);
}

int64_t sys_creat(struct task *t, const struct sysargs *a)
{
	struct linux_open_how how = old_how(LINUX_O_CREAT | LINUX_O_WRONLY | LINUX_O_TRUNC, arg_u32(a, 1));

	return do_open(t, LINUX_AT_FDCWD, arg_addr(a, 0), &how);
}

/* A structure that may grow: the first known bytes, and the rest must be zero. */
static int copy_struct(struct task *t, void *dst, size_t known, uaddr_t src, uint64_t size)
{
	unsigned char rest[64];
	uint64_t off;
	int ret;

	memset(dst, 0, known);
	ret = copy_from_user(t, dst, src, MIN(size, (uint64_t)known));
	for (off = known; ret == 0 && off < size;) {
		size_t i, n = MIN(size - off, (uint64_t)sizeof(rest));

		ret = copy_from_user(t, rest, src + off, n);
		for (i = 0; ret == 0 && i < n; i++)
			if (rest[i])
				return -E2BIG;
		off += n;
	}
	return ret;
}

int64_t sys_openat2(struct task *t, const struct sysargs *a)
{
	uint64_t size = arg_u64(a, 3);
	struct linux_open_how how;
	int ret;

	if (size < sizeof(how))
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	ret = copy_struct(t, &how, sizeof(how), arg_addr(a, 2), size);
	if (ret < 0)
		return ret;
	if (!(how.flags & LINUX_O_PATH))
		how.flags |= LINUX_O_LARGEFILE;
	return do_open(t, arg_int(a, 0), arg_addr(a, 1), &how);
}

int64_t sys_close(struct task *t, const struct sysargs *a)
{
	int ret = fdtable_close(t->fds, arg_int(a, 0), task_lock_owner(t));

	/* the descriptor is gone; a restart would close another one */
	if (ret <= -ERESTARTSYS)
		ret = -EINTR;
	return ret;
}

int64_t sys_close_range(struct task *t, const struct sysargs *a)
{
	uint32_t first = arg_u32(a, 0), last = arg_u32(a, 1), flags = arg_u32(a, 2);
	int ret;

	if (flags & ~(uint32_t)(LINUX_CLOSE_RANGE_UNSHARE | LINUX_CLOSE_RANGE_CLOEXEC))
		return -EINVAL;
	if (first > last)
		return -EINVAL;
	if ((flags & LINUX_CLOSE_RANGE_UNSHARE) && refs_read(&t->fds->refs) > 1) {
		ret = task_unshare(t, LINUX_CLONE_FILES);
		if (ret < 0)
			return ret;
	}
	return fdtable_close_range(t->fds, first, last, flags & LINUX_CLOSE_RANGE_CLOEXEC, task_lock_owner(t));
}
