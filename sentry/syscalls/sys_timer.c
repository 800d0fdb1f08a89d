/* sys_timer.c: interval timers, alarm(2), POSIX timers. */
#include "platform/abi/signal.h"
#include "sentry/kernel/timer.h"
#include "sentry/syscalls/internal.h"

static int to_ns(const struct linux_timeval *tv, uint64_t *ns)
{
	if (tv->tv_sec < 0 || tv->tv_usec < 0 || tv->tv_usec >= 1000000)
		return -EINVAL;
	if ((uint64_t)tv->tv_sec >= INT64_MAX / NSEC_PER_SEC)
		*ns = INT64_MAX;
	else
		*ns = (uint64_t)tv->tv_sec * NSEC_PER_SEC + (uint64_t)tv->tv_usec * 1000;
	return 0;
}

static struct linux_timeval to_timeval(uint64_t ns)
{
	return (struct linux_timeval){(int64_t)(ns / NSEC_PER_SEC), (int64_t)(ns % NSEC_PER_SEC / 1000)};
}

static int put_itimer(struct task *t, uaddr_t dst, uint64_t value, uint64_t interval)
{
	struct linux_itimerval it = {.it_interval = to_timeval(interval), .it_value = to_timeval(value)};

	return copy_to_user(t, dst, &it, sizeof(it));
}

int64_t sys_getitimer(struct task *t, const struct sysargs *a)
{
	uint64_t value, interval;
	int ret = itimer_get(t, arg_int(a, 0), &value, &interval);

	return ret < 0 ? ret : put_itimer(t, arg_addr(a, 1), value, interval);
}

int64_t sys_setitimer(struct task *t, const struct sysargs *a)
{
	uint64_t value, interval, old_value, old_interval;
	struct linux_itimerval it = {0};
	int ret;

	if (arg_addr(a, 1) && copy_from_user(t, &it, arg_addr(a, 1), sizeof(it)) < 0)
		return -EFAULT;
	if (to_ns(&it.it_value, &value) < 0 || to_ns(&it.it_interval, &interval) < 0)
		return -EINVAL;
	ret = itimer_set(t, arg_int(a, 0), value, interval, &old_value, &old_interval);
	if (ret < 0 || !arg_addr(a, 2))
		return ret;
	return put_itimer(t, arg_addr(a, 2), old_value, old_interval);
}

int64_t sys_alarm(struct task *t, const struct sysargs *a)
{
	uint64_t old, interval;
	int ret = itimer_set(t, LINUX_ITIMER_REAL, arg_u32(a, 0) * NSEC_PER_SEC, 0, &old, &interval);

	if (ret < 0)
		return ret;
	if (old && old < NSEC_PER_SEC / 2)
		return 1; /* never 0 while one was pending */
	return (int64_t)((old + NSEC_PER_SEC / 2) / NSEC_PER_SEC);
}

int64_t sys_timer_create(struct task *t, const struct sysargs *a)
{
	struct linux_sigevent ev;
	int32_t id;
	int ret;

	if (arg_addr(a, 1) && copy_from_user(t, &ev, arg_addr(a, 1), sizeof(ev)) < 0)
		return -EFAULT;
	ret = posix_timer_create(t, arg_int(a, 0), arg_addr(a, 1) ? &ev : NULL, &id);
	if (ret < 0)
		return ret;
	ret = copy_to_user(t, arg_addr(a, 2), &id, sizeof(id));
	if (ret < 0 && posix_timer_delete(t, id) < 0)
		return ret; /* deleted by another thread already */
	return ret;
}

int64_t sys_timer_settime(struct task *t, const struct sysargs *a)
{
	struct linux_itimerspec in, old;
	int ret;

	if (!arg_addr(a, 2))
		return -EINVAL;
	if (copy_from_user(t, &in, arg_addr(a, 2), sizeof(in)) < 0)
		return -EFAULT;
	ret = posix_timer_set(t, arg_int(a, 0), arg_int(a, 1), &in, &old);
	if (ret < 0 || !arg_addr(a, 3))
		return ret;
	return copy_to_user(t, arg_addr(a, 3), &old, sizeof(old));
}

int64_t sys_timer_gettime(struct task *t, const struct sysargs *a)
{
	struct linux_itimerspec out;
	int ret = posix_timer_get(t, arg_int(a, 0), &out);

	return ret < 0 ? ret : copy_to_user(t, arg_addr(a, 1), &out, sizeof(out));
}

int64_t sys_timer_getoverrun(struct task *t, const struct sysargs *a)
{
	return posix_timer_overrun(t, arg_int(a, 0));
}

int64_t sys_timer_delete(struct task *t, const struct sysargs *a)
{
	return posix_timer_delete(t, arg_int(a, 0));
}
