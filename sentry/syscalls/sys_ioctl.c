/* sys_ioctl.c: ioctl(2): the commands that concern any descriptor, then the file's own. */
#include "platform/abi/ioctl.h"
#include "sentry/fs/devpts/devpts.h"
#include "sentry/kernel/fasync.h"
#include "sentry/syscalls/internal.h"

static int64_t set_flag(struct task *t, int fd, struct file *f, uint32_t flag, uaddr_t arg)
{
	int32_t on;
	int ret = copy_from_user(t, &on, arg, sizeof(on));

	if (ret < 0)
		return ret;
	if (flag == LINUX_O_ASYNC) {
		ret = file_set_async(t, f, fd, on != 0);
		if (ret < 0)
			return ret;
	}
	return sys_change_flags(f, flag, on ? flag : 0);
}

static int64_t quad_size(struct task *t, struct file *f, uaddr_t arg)
{
	uint64_t size;

	if (!inode_is(f->inode, LINUX_S_IFREG) && !inode_is(f->inode, LINUX_S_IFDIR))
		return -ENOTTY;
	size = sys_file_size(f);
	return copy_to_user(t, arg, &size, sizeof(size));
}

static int64_t bytes_left(struct task *t, struct file *f, uaddr_t arg)
{
	int64_t left = (int64_t)(sys_file_size(f) - __atomic_load_n(&f->pos, __ATOMIC_RELAXED));
	int32_t v = (int32_t)MIN(left, (int64_t)INT32_MAX);

	return copy_to_user(t, arg, &v, sizeof(v));
}

static int64_t block_size(struct task *t, struct file *f, uaddr_t arg)
{
	struct kstat k;
	int ret = vfs_stat_path(&f->path, LINUX_STATX_BASIC_STATS, &k);
	int32_t v;

	if (ret < 0)
		return ret;
	v = (int32_t)k.blksize;
	return copy_to_user(t, arg, &v, sizeof(v));
}

/* SIOCSPGRP, SIOCGPGRP and their file twins */
static int64_t pgrp_ioctl(struct task *t, struct file *f, bool set, uaddr_t arg)
{
	struct linux_f_owner_ex ex;
	int32_t v;
	int ret;

	if (!set) {
		file_get_owner(t, f, &ex);
		v = ex.type == LINUX_F_OWNER_PGRP ? -ex.pid : ex.pid;
		return copy_to_user(t, arg, &v, sizeof(v));
	}
	ret = copy_from_user(t, &v, arg, sizeof(v));
	if (ret < 0)
		return ret;
	if (v == INT32_MIN)
		return -EINVAL;
	ex.type = v < 0 ? LINUX_F_OWNER_PGRP : LINUX_F_OWNER_PID;
	ex.pid = v < 0 ? -v : v;
	return file_set_owner(t, f, &ex);
}

/* TIOCGPTPEER: the slave of a pseudo-terminal's master as a new descriptor. */
static int64_t open_peer(struct task *t, struct file *f, uint32_t flags)
{
	struct file *peer;
	int ret = devpts_open_peer(f, flags, &peer);

	if (ret < 0)
		return ret;
	ret = file_open_block(t, peer);
	if (ret < 0) {
		file_put(peer);
		return ret;
	}
	return sys_install(t, peer, flags & LINUX_O_CLOEXEC);
}

static int64_t open_related_ns(struct task *t, struct file *f, bool parent)
{
	struct file *other;
	int ret = ns_file_related(t, f, parent, &other);

	return ret < 0 ? ret : sys_install(t, other, true);
}

static int64_t do_ioctl(struct task *t, int fd, struct file *f, uint32_t cmd, uint64_t arg)
{
	switch (cmd) {
	case LINUX_FIOCLEX:
		return fdtable_set_cloexec(t->fds, fd, true);
	case LINUX_FIONCLEX:
		return fdtable_set_cloexec(t->fds, fd, false);
	case LINUX_FIONBIO:
		return set_flag(t, fd, f, LINUX_O_NONBLOCK, arg);
	case LINUX_FIOASYNC:
		return set_flag(t, fd, f, LINUX_O_ASYNC, arg);
	case LINUX_FIOQSIZE:
		return quad_size(t, f, arg);
	case LINUX_FIONREAD:
		if (inode_is(f->inode, LINUX_S_IFREG))
			return bytes_left(t, f, arg);
		break;
	case LINUX_FIGETBSZ:
		return block_size(t, f, arg);
	case LINUX_FIOSETOWN:
	case LINUX_SIOCSPGRP:
		if (f->ops->is_socket)
			return pgrp_ioctl(t, f, true, arg);
		break;
	case LINUX_FIOGETOWN:
	case LINUX_SIOCGPGRP:
		if (f->ops->is_socket)
			return pgrp_ioctl(t, f, false, arg);
		break;
	case LINUX_TIOCGPTPEER:
		return open_peer(t, f, (uint32_t)arg);
	case LINUX_NS_GET_USERNS:
		return open_related_ns(t, f, false);
	case LINUX_NS_GET_PARENT:
		return open_related_ns(t, f, true);
	case LINUX_FICLONE:
	case LINUX_FICLONERANGE:
		return -EOPNOTSUPP;
	default:
		break;
	}
	return file_ioctl(t, f, cmd, arg);
}

int64_t sys_ioctl(struct task *t, const struct sysargs *a)
{
	int fd = arg_int(a, 0);
	struct file *f = sys_file(t, fd);
	int64_t ret;

	if (!f)
		return -EBADF;
	ret = do_ioctl(t, fd, f, arg_u32(a, 1), arg_u64(a, 2));
	file_put(f);
	return ret;
}
