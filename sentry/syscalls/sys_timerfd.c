/* sys_timerfd.c: timerfd_create(2) and its siblings. */
#include "sentry/kernel/timer.h"
#include "sentry/syscalls/internal.h"

int64_t sys_timerfd_create(struct task *t, const struct sysargs *a)
{
	uint32_t flags = arg_u32(a, 1);
	struct file *f;
	int ret;

	if (flags & ~(uint32_t)(LINUX_TFD_CLOEXEC | LINUX_TFD_NONBLOCK))
		return -EINVAL;
	ret = timerfd_create(t, arg_int(a, 0), flags, &f);
	return ret < 0 ? ret : sys_install(t, f, (flags & LINUX_TFD_CLOEXEC) != 0);
}

int64_t sys_timerfd_settime(struct task *t, const struct sysargs *a)
{
	struct linux_itimerspec in, old;
	struct file *f;
	int ret;

	if (copy_from_user(t, &in, arg_addr(a, 2), sizeof(in)) < 0)
		return -EFAULT;
	f = sys_file(t, arg_int(a, 0));
	if (!f)
		return -EBADF;
	ret = timerfd_settime(t, f, arg_int(a, 1), &in, &old);
	file_put(f);
	if (ret < 0 || !arg_addr(a, 3))
		return ret;
	return copy_to_user(t, arg_addr(a, 3), &old, sizeof(old));
}

int64_t sys_timerfd_gettime(struct task *t, const struct sysargs *a)
{
	struct linux_itimerspec out;
	struct file *f = sys_file(t, arg_int(a, 0));
	int ret;

	if (!f)
		return -EBADF;
	ret = timerfd_gettime(f, &out);
	file_put(f);
	return ret < 0 ? ret : copy_to_user(t, arg_addr(a, 1), &out, sizeof(out));
}
