/* sys_time.c: clocks and sleeping. The guest's clocks are the host's; it can't set them. */
#include "sentry/kernel/timer.h"
#include "sentry/syscalls/internal.h"

#define USER_HZ 100

static int put_ns(struct task *t, uaddr_t dst, int64_t ns)
{
	struct linux_timespec ts = timespec_from_ns(ns);

	return copy_to_user(t, dst, &ts, sizeof(ts));
}

int64_t sys_clock_gettime(struct task *t, const struct sysargs *a)
{
	int64_t ns;
	int ret = clock_read(t, arg_int(a, 0), &ns);

	return ret < 0 ? ret : put_ns(t, arg_addr(a, 1), ns);
}

int64_t sys_clock_getres(struct task *t, const struct sysargs *a)
{
	int64_t ns;
	int ret = clock_resolution(t, arg_int(a, 0), &ns);

	return ret < 0 || !arg_addr(a, 1) ? ret : put_ns(t, arg_addr(a, 1), ns);
}

int64_t sys_clock_settime(struct task *t, const struct sysargs *a)
{
	struct linux_timespec ts;
	int ret;

	if (arg_int(a, 0) != LINUX_CLOCK_REALTIME)
		return -EINVAL;
	ret = get_timespec(t, arg_addr(a, 1), &ts);
	return ret < 0 ? ret : -EPERM;
}

int64_t sys_clock_nanosleep(struct task *t, const struct sysargs *a)
{
	struct linux_timespec ts;

	if (copy_from_user(t, &ts, arg_addr(a, 2), sizeof(ts)) < 0)
		return -EFAULT;
	if (arg_int(a, 0) == LINUX_CLOCK_THREAD_CPUTIME_ID)
		return -EOPNOTSUPP; /* one can't sleep until oneself has run */
	return task_sleep(t, arg_int(a, 0), (arg_int(a, 1) & LINUX_TIMER_ABSTIME) != 0, &ts, arg_addr(a, 3));
}

int64_t sys_nanosleep(struct task *t, const struct sysargs *a)
{
	struct linux_timespec ts;

	if (copy_from_user(t, &ts, arg_addr(a, 0), sizeof(ts)) < 0)
		return -EFAULT;
	return task_sleep(t, LINUX_CLOCK_MONOTONIC, false, &ts, arg_addr(a, 1));
}

int64_t sys_gettimeofday(struct task *t, const struct sysargs *a)
{
	int64_t now = clock_realtime_ns();
	struct linux_timeval tv = {now / (int64_t)NSEC_PER_SEC, now % (int64_t)NSEC_PER_SEC / 1000};
	int32_t zone[2] = {0};

	if (arg_addr(a, 0) && copy_to_user(t, arg_addr(a, 0), &tv, sizeof(tv)) < 0)
		return -EFAULT;
	if (arg_addr(a, 1) && copy_to_user(t, arg_addr(a, 1), zone, sizeof(zone)) < 0)
		return -EFAULT;
	return 0;
}

int64_t sys_settimeofday(struct task *t, const struct sysargs *a)
{
	struct linux_timeval tv;

	if (arg_addr(a, 0)) {
		if (copy_from_user(t, &tv, arg_addr(a, 0), sizeof(tv)) < 0)
			return -EFAULT;
		if (tv.tv_sec < 0 || tv.tv_usec < 0 || tv.tv_usec >= 1000000)
			return -EINVAL;
	}
	return -EPERM;
}

int64_t sys_time(struct task *t, const struct sysargs *a)
{
	int64_t now = clock_realtime_ns() / (int64_t)NSEC_PER_SEC;

	if (arg_addr(a, 0) && copy_to_user(t, arg_addr(a, 0), &now, sizeof(now)) < 0)
		return -EFAULT;
	return now;
}

static int64_t ticks(uint64_t ns)
{
	return (int64_t)(ns / (NSEC_PER_SEC / USER_HZ));
}

int64_t sys_times(struct task *t, const struct sysargs *a)
{
	uint64_t utime, stime, cutime, cstime;
	struct linux_tms tms;

	if (arg_addr(a, 0)) {
		process_times(t->process, &utime, &stime, &cutime, &cstime);
		tms = (struct linux_tms){ticks(utime), ticks(stime), ticks(cutime), ticks(cstime)};
		if (copy_to_user(t, arg_addr(a, 0), &tms, sizeof(tms)) < 0)
			return -EFAULT;
	}
	return ticks(clock_monotonic_ns());
}

/* struct timex: only read, never set; its 26 words hold the state of a clock that nobody disciplines. */
struct timex {
	uint32_t modes, pad0;
	int64_t offset, freq, maxerror, esterror;
	int32_t status, pad1;
	int64_t constant, precision, tolerance;
	struct linux_timeval time;
	int64_t tick, ppsfreq, jitter;
	int32_t shift, pad2;
	int64_t stabil, jitcnt, calcnt, errcnt, stbcnt;
	int32_t tai, pad3[11];
};
_Static_assert(sizeof(struct timex) == 208, "as <linux/timex.h>");

static int64_t read_timex(struct task *t, uaddr_t addr)
{
	int64_t now = clock_realtime_ns();
	struct timex tx;

	if (copy_from_user(t, &tx, addr, sizeof(tx)) < 0)
		return -EFAULT;
	if (tx.modes != 0 && tx.modes != LINUX_ADJ_OFFSET_SS_READ)
		return -EPERM;
	tx = (struct timex){.maxerror = 16000000,
			    .esterror = 16000000,
			    .status = LINUX_STA_UNSYNC,
			    .constant = 2,
			    .precision = 1,
			    .tolerance = 32768000,
			    .tick = 10000};
	tx.time = (struct linux_timeval){now / (int64_t)NSEC_PER_SEC, now % (int64_t)NSEC_PER_SEC / 1000};
	return copy_to_user(t, addr, &tx, sizeof(tx)) < 0 ? -EFAULT : LINUX_TIME_ERROR;
}

int64_t sys_adjtimex(struct task *t, const struct sysargs *a)
{
	return read_timex(t, arg_addr(a, 0));
}

int64_t sys_clock_adjtime(struct task *t, const struct sysargs *a)
{
	if (arg_int(a, 0) != LINUX_CLOCK_REALTIME)
		return arg_int(a, 0) < 0 || arg_int(a, 0) > LINUX_CLOCK_TAI ? -EINVAL : -EOPNOTSUPP;
	return read_timex(t, arg_addr(a, 1));
}
