/* sys_fd.c: dup(2), fcntl(2) but for record locks (sys_lock.c). */
#include "sentry/fs/pipe/pipe.h"
#include "sentry/fs/tmpfs/tmpfs.h"
#include "sentry/kernel/fasync.h"
#include "sentry/kernel/settings.h"
#include "sentry/syscalls/internal.h"
#include "sentry/syscalls/lock.h"

int64_t sys_dup(struct task *t, const struct sysargs *a)
{
	struct file *f = sys_file_any(t, arg_int(a, 0));

	return f ? sys_install(t, f, false) : -EBADF;
}

static int64_t do_dup3(struct task *t, int old, int new, bool cloexec)
{
	uint64_t limit = task_rlimit(t, LINUX_RLIMIT_NOFILE);
	struct file *f;
	int ret;

	if (new < 0 || (uint64_t) new >= limit)
		return -EBADF;
	f = sys_file_any(t, old);
	if (!f)
		return -EBADF;
	ret = fdtable_install_at(t->fds, f, new, limit, cloexec, task_lock_owner(t));
	file_put(f);
	return ret < 0 ? ret : new;
}

int64_t sys_dup2(struct task *t, const struct sysargs *a)
{
	int old = arg_int(a, 0), new = arg_int(a, 1);
	struct file *f;

	if (old != new)
		return do_dup3(t, old, new, false);
	f = sys_file_any(t, old);
	if (!f)
		return -EBADF;
	file_put(f);
	return new;
}

int64_t sys_dup3(struct task *t, const struct sysargs *a)
{
	uint32_t flags = arg_u32(a, 2);

	if (flags & ~(uint32_t)LINUX_O_CLOEXEC)
		return -EINVAL;
	if (arg_int(a, 0) == arg_int(a, 1))
		return -EINVAL;
	return do_dup3(t, arg_int(a, 0), arg_int(a, 1), flags & LINUX_O_CLOEXEC);
}

static int64_t dup_from(struct task *t, struct file *f, uint64_t min, bool cloexec)
{
	uint64_t limit = task_rlimit(t, LINUX_RLIMIT_NOFILE);

	if (min >= limit || min > INT32_MAX)
		return -EINVAL;
	return fdtable_install(t->fds, f, (int)min, limit, cloexec);
}

#define SETFL_MASK (LINUX_O_APPEND | LINUX_O_NONBLOCK | LINUX_O_DIRECT | LINUX_O_NOATIME | LINUX_O_ASYNC)

static int64_t set_status(struct task *t, int fd, struct file *f, uint32_t flags)
{
	uint32_t old = __atomic_load_n(&f->flags, __ATOMIC_RELAXED);

	if ((flags & ~old & LINUX_O_NOATIME) && t->cred->fsuid != f->inode->uid &&
	    !capable(t, LINUX_CAP_FOWNER))
		return -EPERM;
	if ((flags ^ old) & LINUX_O_ASYNC) {
		int ret = file_set_async(t, f, fd, flags & LINUX_O_ASYNC);

		if (ret < 0)
			return ret;
	}
	return sys_change_flags(f, SETFL_MASK, flags);
}

static int64_t set_hint(struct task *t, uaddr_t arg, bool set)
{
	uint64_t hint = 0; /* RWH_WRITE_LIFE_NOT_SET */
	int ret;

	if (!set)
		return copy_to_user(t, arg, &hint, sizeof(hint));
	ret = copy_from_user(t, &hint, arg, sizeof(hint));
	if (ret < 0)
		return ret;
	return hint <= 5 ? 0 : -EINVAL; /* advice: taken and not kept */
}

static int64_t set_lease(struct task *t, struct file *f, int arg)
{
	if (arg != LINUX_F_RDLCK && arg != LINUX_F_WRLCK && arg != LINUX_F_UNLCK)
		return -EINVAL;
	if (t->cred->fsuid != f->inode->uid && !capable(t, LINUX_CAP_LEASE))
		return -EACCES;
	/* as on a file system that can't break leases */
	return arg == LINUX_F_UNLCK ? -EAGAIN : -EINVAL;
}

static int64_t fcntl_owner(struct task *t, struct file *f, uint32_t cmd, uint64_t arg)
{
	struct linux_f_owner_ex ex;
	uint32_t ids[2] = {0, 0};
	int ret;

	switch (cmd) {
	case LINUX_F_GETOWN:
		file_get_owner(t, f, &ex);
		return ex.type == LINUX_F_OWNER_PGRP ? -(int64_t)ex.pid : ex.pid;
	case LINUX_F_SETOWN:
		if ((int32_t)arg == INT32_MIN)
			return -EINVAL;
		ex.type = (int32_t)arg < 0 ? LINUX_F_OWNER_PGRP : LINUX_F_OWNER_PID;
		ex.pid = (int32_t)arg < 0 ? -(int32_t)arg : (int32_t)arg;
		return file_set_owner(t, f, &ex);
	case LINUX_F_GETOWN_EX:
		file_get_owner(t, f, &ex);
		return copy_to_user(t, arg, &ex, sizeof(ex));
	case LINUX_F_SETOWN_EX:
		ret = copy_from_user(t, &ex, arg, sizeof(ex));
		if (ret < 0)
			return ret;
		if (ex.type < LINUX_F_OWNER_TID || ex.type > LINUX_F_OWNER_PGRP || ex.pid < 0)
			return -EINVAL;
		return file_set_owner(t, f, &ex);
	case LINUX_F_GETOWNER_UIDS:
		ids[0] = show_uid(t, f->cred->uid);
		ids[1] = show_uid(t, f->cred->euid);
		return copy_to_user(t, arg, ids, sizeof(ids));
	case LINUX_F_GETSIG:
		return __atomic_load_n(&f->owner_sig, __ATOMIC_RELAXED);
	default: /* F_SETSIG */
		if (arg > 64)
			return -EINVAL;
		__atomic_store_n(&f->owner_sig, (int32_t)arg, __ATOMIC_RELAXED);
		return 0;
	}
}

/* What an O_PATH descriptor can be asked. */
static bool for_path(uint32_t cmd)
{
	return cmd == LINUX_F_DUPFD || cmd == LINUX_F_DUPFD_CLOEXEC || cmd == LINUX_F_GETFD ||
	       cmd == LINUX_F_SETFD || cmd == LINUX_F_GETFL || cmd == LINUX_F_DUPFD_QUERY;
}

static int64_t same_file(struct task *t, struct file *f, int other)
{
	struct file *g = sys_file_any(t, other);
	int64_t ret = g == f;

	if (!g)
		return -EBADF;
	file_put(g);
	return ret;
}

static int64_t do_fcntl(struct task *t, int fd, struct file *f, uint32_t cmd, uint64_t arg)
{
	switch (cmd) {
	case LINUX_F_DUPFD:
		return dup_from(t, f, arg, false);
	case LINUX_F_DUPFD_CLOEXEC:
		return dup_from(t, f, arg, true);
	case LINUX_F_DUPFD_QUERY:
		return same_file(t, f, (int)arg);
	case LINUX_F_GETFD:
		return fdtable_get_cloexec(t->fds, fd);
	case LINUX_F_SETFD:
		return fdtable_set_cloexec(t->fds, fd, arg & LINUX_FD_CLOEXEC);
	case LINUX_F_GETFL:
		return __atomic_load_n(&f->flags, __ATOMIC_RELAXED) &
		       ~(uint32_t)(LINUX_O_CREAT | LINUX_O_EXCL | LINUX_O_NOCTTY | LINUX_O_TRUNC |
				   LINUX_O_CLOEXEC);
	case LINUX_F_SETFL:
		return set_status(t, fd, f, (uint32_t)arg);
	case LINUX_F_GETLK:
	case LINUX_F_OFD_GETLK:
		return lock_query(t, f, arg, cmd == LINUX_F_OFD_GETLK);
	case LINUX_F_SETLK:
	case LINUX_F_SETLKW:
		return lock_set(t, fd, f, arg, false, cmd == LINUX_F_SETLKW);
	case LINUX_F_OFD_SETLK:
	case LINUX_F_OFD_SETLKW:
		return lock_set(t, fd, f, arg, true, cmd == LINUX_F_OFD_SETLKW);
	case LINUX_F_GETOWN:
	case LINUX_F_SETOWN:
	case LINUX_F_GETOWN_EX:
	case LINUX_F_SETOWN_EX:
	case LINUX_F_GETOWNER_UIDS:
	case LINUX_F_GETSIG:
	case LINUX_F_SETSIG:
		return fcntl_owner(t, f, cmd, arg);
	case LINUX_F_SETPIPE_SZ:
		return pipe_set_size(f, (uint32_t)arg,
				     capable(t, LINUX_CAP_SYS_RESOURCE)
					     ? UINT64_MAX
					     : setting(t->kernel, SET_PIPE_MAX_SIZE));
	case LINUX_F_GETPIPE_SZ:
		return pipe_get_size(f);
	case LINUX_F_ADD_SEALS:
		return memfd_add_seals(f, (uint32_t)arg);
	case LINUX_F_GET_SEALS:
		return memfd_get_seals(f);
	case LINUX_F_GETLEASE:
		return LINUX_F_UNLCK;
	case LINUX_F_SETLEASE:
		return set_lease(t, f, (int)arg);
	case LINUX_F_NOTIFY:
		return file_set_dnotify(t, f, fd, (uint32_t)arg);
	case LINUX_F_GET_RW_HINT:
	case LINUX_F_GET_FILE_RW_HINT:
		return set_hint(t, arg, false);
	case LINUX_F_SET_RW_HINT:
	case LINUX_F_SET_FILE_RW_HINT:
		return set_hint(t, arg, true);
	default:
		return -EINVAL;
	}
}

int64_t sys_fcntl(struct task *t, const struct sysargs *a)
{
	int fd = arg_int(a, 0);
	struct file *f = sys_file_any(t, fd);
	int64_t ret = -EBADF;

	if (!f)
		return -EBADF;
	if (!(f->flags & LINUX_O_PATH) || for_path(arg_u32(a, 1)))
		ret = do_fcntl(t, fd, f, arg_u32(a, 1), arg_u64(a, 2));
	file_put(f);
	return ret;
}
