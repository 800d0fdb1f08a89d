/* clock.c: the guest's clocks, and sleeping on them. The guest sees the host's clocks (its vDSO reads them
 * directly); CPU clocks count what the platform and the sentry used for it. */
#include "sentry/kernel/internal.h"

#define CPUCLOCK_PER_THREAD 4 /* bit 2 of a dynamic CPU clock's id; bits 0-1: 0 prof, 1 virt, 2 sched, 3 fd */

uint64_t timespec_to_ns(const struct linux_timespec *ts)
{
	if ((uint64_t)ts->tv_sec >= INT64_MAX / NSEC_PER_SEC)
		return INT64_MAX;
	return (uint64_t)ts->tv_sec * NSEC_PER_SEC + (uint64_t)ts->tv_nsec;
}

struct linux_timespec timespec_from_ns(int64_t ns)
{
	struct linux_timespec ts = {ns / (int64_t)NSEC_PER_SEC, ns % (int64_t)NSEC_PER_SEC};

	if (ts.tv_nsec < 0) {
		ts.tv_nsec += (int64_t)NSEC_PER_SEC;
		ts.tv_sec--;
	}
	return ts;
}

static uint64_t thread_time(struct task *t, int kind)
{
	uint64_t v;

	mutex_lock(&t->process->lock);
	v = task_cpu_user(t);
	if (kind != 1)
		v += task_cpu_system(t);
	mutex_unlock(&t->process->lock);
	return v;
}

static uint64_t process_time(struct process *p, int kind)
{
	uint64_t utime, stime;

	process_cpu_time(p, &utime, &stime);
	return kind == 1 ? utime : utime + stime;
}

/* A negative id names a CPU clock: clock_getcpuclockid(3), pthread_getcpuclockid(3). */
static int dynamic_read(struct task *t, int32_t clock, int64_t *ns)
{
	int32_t nr = ~(clock >> 3);
	int kind = clock & 3;
	struct process *p;
	struct task *c;

	if (kind == 3)
		return -EINVAL; /* of a device file */
	if (clock & CPUCLOCK_PER_THREAD) {
		c = nr ? task_find(t, nr) : task_get(t);
		if (!c)
			return -EINVAL;
		if (c->process != t->process) {
			task_put(c);
			return -EINVAL;
		}
		*ns = (int64_t)thread_time(c, kind);
		task_put(c);
		return 0;
	}
	p = nr ? process_find_in(task_pid_ns(t), nr) : process_get(t->process);
	if (!p)
		return -EINVAL;
	*ns = (int64_t)process_time(p, kind);
	process_put(p);
	return 0;
}

int clock_read(struct task *t, int32_t clock, int64_t *ns)
{
	switch (clock) {
	case LINUX_CLOCK_REALTIME:
	case LINUX_CLOCK_REALTIME_COARSE:
	case LINUX_CLOCK_REALTIME_ALARM:
	case LINUX_CLOCK_TAI:
		*ns = clock_realtime_ns();
		return 0;
	case LINUX_CLOCK_MONOTONIC:
	case LINUX_CLOCK_MONOTONIC_RAW:
	case LINUX_CLOCK_MONOTONIC_COARSE:
		*ns = (int64_t)clock_monotonic_ns();
		return 0;
	case LINUX_CLOCK_BOOTTIME:
	case LINUX_CLOCK_BOOTTIME_ALARM:
		*ns = (int64_t)clock_boottime_ns();
		return 0;
	case LINUX_CLOCK_PROCESS_CPUTIME_ID:
		*ns = (int64_t)process_time(t->process, 2);
		return 0;
	case LINUX_CLOCK_THREAD_CPUTIME_ID:
		*ns = (int64_t)thread_time(t, 2);
		return 0;
	default:
		return clock < 0 ? dynamic_read(t, clock, ns) : -EINVAL;
	}
}

int clock_resolution(struct task *t, int32_t clock, int64_t *ns)
{
	int64_t dummy;
	int ret = clock_read(t, clock, &dummy);

	if (ret < 0)
		return ret;
	*ns = clock == LINUX_CLOCK_REALTIME_COARSE || clock == LINUX_CLOCK_MONOTONIC_COARSE ? 4000000 : 1;
	return 0;
}

bool clock_is_cpu(int32_t clock)
{
	return clock < 0 || clock == LINUX_CLOCK_PROCESS_CPUTIME_ID || clock == LINUX_CLOCK_THREAD_CPUTIME_ID;
}

uint64_t clock_to_monotonic(struct task *t, int32_t clock, uint64_t at)
{
	uint64_t now = kernel_now();
	int64_t there;

	if (clock_read(t, clock, &there) < 0 || at <= (uint64_t)there)
		return 1;
	return at - (uint64_t)there > INT64_MAX - now ? INT64_MAX : now + (at - (uint64_t)there);
}

int clock_deadline(struct task *t, int32_t clock, bool absolute, const struct linux_timespec *ts,
		   uint64_t *deadline)
{
	uint64_t ns, now = kernel_now();

	if (!timespec_valid(ts))
		return -EINVAL;
	ns = timespec_to_ns(ts);
	if (!absolute)
		*deadline = ns > INT64_MAX - now ? INT64_MAX : now + ns;
	else if (clock == LINUX_CLOCK_MONOTONIC)
		*deadline = ns ? ns : 1;
	else
		*deadline = clock_to_monotonic(t, clock, ns);
	return 0;
}

static int64_t sleep_again(struct task *t, struct restart_block *r);

static int64_t sleep_until(struct task *t, uint64_t deadline, uaddr_t rem)
{
	struct linux_timespec left;
	uint64_t now;
	int ret;

	do
		ret = task_block(t, deadline);
	while (ret == 0);
	if (ret == -ETIMEDOUT)
		return 0;
	now = kernel_now();
	if (now >= deadline)
		return 0;
	if (rem) {
		left = timespec_from_ns((int64_t)(deadline - now));
		if (copy_to_user(t, rem, &left, sizeof(left)) < 0)
			return -EFAULT;
	}
	t->p->restart = (struct restart_block){.fn = sleep_again, .deadline = deadline, .a = {rem}};
	return -ERESTART_RESTARTBLOCK;
}

static int64_t sleep_again(struct task *t, struct restart_block *r)
{
	return sleep_until(t, r->deadline, r->a[0]);
}

/* CPU clocks advance only as the guest runs: look again when at the earliest it can have come. */
static int64_t sleep_cpu(struct task *t, int32_t clock, bool absolute, uint64_t ns)
{
	int64_t now;
	int ret = clock_read(t, clock, &now);
	uint64_t target = absolute ? ns : (uint64_t)now + ns;

	while (ret == 0) {
		ret = clock_read(t, clock, &now);
		if (ret == 0 && (uint64_t)now >= target)
			return 0;
		if (ret == 0)
			ret = task_block(t, kernel_now() + MAX(target - (uint64_t)now, (uint64_t)1000000));
		if (ret == -ETIMEDOUT)
			ret = 0;
	}
	return ret == -ERESTARTSYS ? -EINTR : ret;
}

int64_t task_sleep(struct task *t, int32_t clock, bool absolute, const struct linux_timespec *ts, uaddr_t rem)
{
	uint64_t deadline;
	int64_t ret;
	int64_t now;

	ret = clock_read(t, clock, &now);
	if (ret < 0)
		return ret;
	if (clock == LINUX_CLOCK_THREAD_CPUTIME_ID)
		return -EINVAL;
	switch (clock) {
	case LINUX_CLOCK_MONOTONIC_RAW:
	case LINUX_CLOCK_REALTIME_COARSE:
	case LINUX_CLOCK_MONOTONIC_COARSE:
		return -EOPNOTSUPP;
	case LINUX_CLOCK_REALTIME_ALARM:
	case LINUX_CLOCK_BOOTTIME_ALARM:
		if (!cred_has_cap_in(t->cred, LINUX_CAP_WAKE_ALARM, t->kernel->user_ns))
			return -EPERM;
		break;
	default:
		break;
	}
	if (!timespec_valid(ts))
		return -EINVAL;
	if (clock_is_cpu(clock))
		return sleep_cpu(t, clock, absolute, timespec_to_ns(ts));
	ret = clock_deadline(t, clock, absolute, ts, &deadline);
	if (ret < 0)
		return ret;
	ret = sleep_until(t, deadline, absolute ? 0 : rem);
	/* an absolute sleep is simply made again */
	return absolute && ret == -ERESTART_RESTARTBLOCK ? -ERESTARTNOHAND : ret;
}
