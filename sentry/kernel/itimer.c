/* itimer.c: setitimer(2), RLIMIT_CPU, and the poll that drives every timer on CPU time: while one is armed,
 * a timer looks again when the time could have been used up at the earliest (all processors busy), but not
 * more often than a tick. Lock: the process's. */
#include "sentry/kernel/internal.h"

#define CPU_TICK_NS 4000000ULL

static void signal_from_timer(struct process *p, int sig)
{
	struct linux_siginfo info;

	signal_info_kernel(sig, LINUX_SI_KERNEL, &info);
	(void)signal_send_process(p, sig, &info);
}

static void real_expired(struct timer *timer)
{
	struct process_private *pp = container_of(timer, struct process_private, itimer_real);
	struct process *p = pp->self;
	struct itimer *it = &pp->itimers[LINUX_ITIMER_REAL];
	uint64_t now = kernel_now();
	bool fire = false;

	mutex_lock(&p->lock);
	if (it->expires && it->expires <= now) {
		fire = true;
		if (it->interval) {
			it->expires += (now - it->expires) / it->interval * it->interval + it->interval;
			timer_set(timer, it->expires);
		} else {
			it->expires = 0;
		}
	} else if (it->expires) {
		timer_set(timer, it->expires);
	}
	mutex_unlock(&p->lock);
	if (fire)
		signal_from_timer(p, LINUX_SIGALRM);
}

/* Returns the CPU time until which this timer needs no look; fires it when due. [process lock] */
static uint64_t cpu_itimer_locked(struct process *p, int which, uint64_t now)
{
	struct itimer *it = &p->p->itimers[which];
	int sig = which == LINUX_ITIMER_VIRTUAL ? LINUX_SIGVTALRM : LINUX_SIGPROF;
	struct linux_siginfo info;

	if (!it->expires)
		return UINT64_MAX;
	if (it->expires > now)
		return it->expires - now;
	it->expires = it->interval ? now + it->interval : 0;
	signal_info_kernel(sig, LINUX_SI_KERNEL, &info);
	(void)signal_send_locked(p, NULL, sig, &info);
	return it->expires ? it->interval : UINT64_MAX;
}

static uint64_t cpu_limit_locked(struct process *p, uint64_t now, uint64_t soft, uint64_t hard)
{
	uint64_t secs = now / NSEC_PER_SEC;

	if (soft == LINUX_RLIM_INFINITY && hard == LINUX_RLIM_INFINITY)
		return UINT64_MAX;
	if (secs >= hard) {
		process_group_exit_locked(p, LINUX_SIGKILL, NULL);
		return UINT64_MAX;
	}
	if (p->p->cpu_limit_next < soft)
		p->p->cpu_limit_next = soft;
	if (secs >= p->p->cpu_limit_next) {
		struct linux_siginfo info;

		signal_info_kernel(LINUX_SIGXCPU, LINUX_SI_KERNEL, &info);
		(void)signal_send_locked(p, NULL, LINUX_SIGXCPU, &info);
		p->p->cpu_limit_next = secs + 1;
	}
	secs = MIN(p->p->cpu_limit_next, hard);
	return secs >= UINT64_MAX / NSEC_PER_SEC ? UINT64_MAX : secs * NSEC_PER_SEC - now;
}

static void cpu_look(struct timer *timer)
{
	struct process_private *pp = container_of(timer, struct process_private, cpu_timer);
	struct process *p = pp->self;
	uint64_t utime, stime, soft, hard, next, n;

	process_cpu_time(p, &utime, &stime);
	mutex_lock(&p->limits.lock);
	soft = p->limits.r[LINUX_RLIMIT_CPU].rlim_cur;
	hard = p->limits.r[LINUX_RLIMIT_CPU].rlim_max;
	mutex_unlock(&p->limits.lock);
	mutex_lock(&p->lock);
	next = cpu_itimer_locked(p, LINUX_ITIMER_VIRTUAL, utime);
	n = cpu_itimer_locked(p, LINUX_ITIMER_PROF, utime + stime);
	next = MIN(next, n);
	n = cpu_limit_locked(p, utime + stime, soft, hard);
	next = MIN(next, n);
	n = posix_timers_cpu_locked(p);
	next = MIN(next, n);
	pp->cpu_timer_on = next != UINT64_MAX && pp->live > 0;
	if (pp->cpu_timer_on)
		timer_set(timer, kernel_now() + MAX(next / p->kernel->cpu_count, CPU_TICK_NS));
	mutex_unlock(&p->lock);
}

void cpu_timers_kick_locked(struct process *p)
{
	if (p->p->cpu_timer_on && p->p->live)
		return;
	p->p->cpu_timer_on = true;
	timer_set(&p->p->cpu_timer, kernel_now() + CPU_TICK_NS);
}

void cpu_limit_changed(struct process *p)
{
	mutex_lock(&p->lock);
	cpu_timers_kick_locked(p);
	mutex_unlock(&p->lock);
}

void process_timers_init(struct process *p)
{
	p->p->self = p;
	timer_init(&p->p->itimer_real, p->kernel->timers, real_expired);
	timer_init(&p->p->cpu_timer, p->kernel->timers, cpu_look);
}

void process_timers_exit(struct process *p, bool exec)
{
	posix_timers_delete_all(p);
	if (exec)
		return;
	mutex_lock(&p->lock);
	for (int i = 0; i < 3; i++)
		p->p->itimers[i] = (struct itimer){0};
	mutex_unlock(&p->lock);
	timer_cancel_sync(&p->p->itimer_real);
	timer_cancel_sync(&p->p->cpu_timer);
}

static uint64_t itimer_now(struct process *p, int which)
{
	uint64_t utime, stime;

	if (which == LINUX_ITIMER_REAL)
		return kernel_now();
	process_cpu_time(p, &utime, &stime);
	return which == LINUX_ITIMER_VIRTUAL ? utime : utime + stime;
}

static void itimer_left_locked(const struct itimer *it, uint64_t now, uint64_t *value, uint64_t *interval)
{
	*interval = it->interval;
	*value = !it->expires ? 0 : it->expires > now ? it->expires - now : 1000;
}

int itimer_get(struct task *t, int which, uint64_t *value, uint64_t *interval)
{
	struct process *p = t->process;
	uint64_t now;

	if (which < 0 || which > 2)
		return -EINVAL;
	now = itimer_now(p, which);
	mutex_lock(&p->lock);
	itimer_left_locked(&p->p->itimers[which], now, value, interval);
	mutex_unlock(&p->lock);
	return 0;
}

int itimer_set(struct task *t, int which, uint64_t value, uint64_t interval, uint64_t *old_value,
	       uint64_t *old_interval)
{
	struct process *p = t->process;
	struct itimer *it;
	uint64_t now;

	if (which < 0 || which > 2)
		return -EINVAL;
	now = itimer_now(p, which);
	it = &p->p->itimers[which];
	mutex_lock(&p->lock);
	itimer_left_locked(it, now, old_value, old_interval);
	it->interval = interval;
	it->expires = !value ? 0 : value > INT64_MAX - now ? INT64_MAX : now + value;
	if (which == LINUX_ITIMER_REAL) {
		if (value)
			timer_set(&p->p->itimer_real, it->expires);
		else
			(void)timer_cancel(&p->p->itimer_real);
	} else if (value) {
		cpu_timers_kick_locked(p);
	}
	mutex_unlock(&p->lock);
	return 0;
}
