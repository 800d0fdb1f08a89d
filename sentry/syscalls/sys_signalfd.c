/* sys_signalfd.c: signalfd(2), signalfd4(2). */
#include "sentry/kernel/signal.h"
#include "sentry/syscalls/internal.h"

static int64_t signalfd(struct task *t, int fd, uaddr_t mask, uint64_t size, uint32_t flags)
{
	struct file *f;
	uint64_t set;
	int ret;

	if (size != sizeof(set) || (flags & ~(uint32_t)(LINUX_SFD_CLOEXEC | LINUX_SFD_NONBLOCK)))
		return -EINVAL;
	if (copy_from_user(t, &set, mask, sizeof(set)) < 0)
		return -EFAULT;
	if (fd == -1) {
		ret = signalfd_create(t, set, flags, &f);
		return ret < 0 ? ret : sys_install(t, f, (flags & LINUX_SFD_CLOEXEC) != 0);
	}
	f = sys_file(t, fd);
	if (!f)
		return -EBADF;
	ret = signalfd_update(f, set);
	file_put(f);
	return ret < 0 ? ret : fd;
}

int64_t sys_signalfd(struct task *t, const struct sysargs *a)
{
	return signalfd(t, arg_int(a, 0), arg_addr(a, 1), arg_u64(a, 2), 0);
}

int64_t sys_signalfd4(struct task *t, const struct sysargs *a)
{
	return signalfd(t, arg_int(a, 0), arg_addr(a, 1), arg_u64(a, 2), arg_u32(a, 3));
}
