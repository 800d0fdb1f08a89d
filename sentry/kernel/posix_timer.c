/* posix_timer.c: timer_create(2) and its siblings. A timer owns the queue entry of its signal, so that
 * expiry never fails; expiries while the signal is still queued are counted as overruns. Lock: the
 * process's. */
#include "sentry/kernel/internal.h"

struct posix_timer {
	struct refs refs;	 /* the process's list, and the timer thread while it runs */
	struct list node;	 /* [process lock] in process->p->posix_timers */
	struct process *process; /* [I] borrowed: a process outlives its timers */
	int32_t id;		 /* [I] */
	int32_t clock;		 /* [I] */
	int cpu_kind;		 /* [I] CPU clocks: 1 counts the guest's own time only */
	struct task *cpu_task;	 /* [I] reference; CPU clocks: NULL counts the whole process */
	struct timer timer;	 /* for clocks that advance by themselves */
	uint64_t expires;	 /* [process lock] ns of clock (CPU clocks) or monotonic; 0: off */
	uint64_t interval;	 /* [process lock] */
	int notify;		 /* [I] SIGEV_* */
	struct task *target;	 /* [I] SIGEV_THREAD_ID: reference */
	struct sigqueue sig;	 /* [process lock] */
	int64_t overrun;	 /* [process lock] since the signal was queued */
	int32_t last_overrun;	 /* [process lock] of the signal delivered last */
	bool deleted;		 /* [process lock] */
};

static int overrun_clamp(int64_t n)
{
	return n > INT32_MAX ? INT32_MAX : (int32_t)n;
}

void posix_timer_signal_taken_locked(struct process *p, struct sigqueue *q, struct linux_siginfo *info)
{
	struct posix_timer *pt = q->timer;

	(void)p;
	pt->last_overrun = overrun_clamp(pt->overrun);
	pt->overrun = 0;
	info->timer.si_overrun = pt->last_overrun;
	info->timer.si_sys_private = 0;
}

static void notify_locked(struct posix_timer *pt, uint64_t extra)
{
	int ret;

	pt->overrun += (int64_t)extra;
	if (pt->notify == LINUX_SIGEV_NONE)
		return;
	ret = signal_send_preallocated_locked(pt->process, pt->target, &pt->sig);
	if (ret == 1)
		pt->overrun++; /* still queued from before */
}

static void expired(struct timer *timer)
{
	struct posix_timer *pt = container_of(timer, struct posix_timer, timer);
	struct process *p = pt->process;
	uint64_t now = kernel_now(), missed = 0;

	mutex_lock(&p->lock);
	if (!pt->deleted && pt->expires && pt->expires <= now) {
		if (pt->interval) {
			missed = (now - pt->expires) / pt->interval;
			pt->expires += (missed + 1) * pt->interval;
			timer_set(timer, pt->expires);
		} else {
			pt->expires = 0;
		}
		notify_locked(pt, missed);
	} else if (!pt->deleted && pt->expires) {
		timer_set(timer, pt->expires);
	}
	mutex_unlock(&p->lock);
}

static uint64_t cpu_of(struct task *t, int kind)
{
	return task_cpu_user(t) + (kind == 1 ? 0 : task_cpu_system(t));
}

static uint64_t cpu_now_locked(struct posix_timer *pt)
{
	struct process *p = pt->process;
	struct task_private *tp;
	uint64_t v;

	if (pt->cpu_task)
		return cpu_of(pt->cpu_task, pt->cpu_kind);
	v = p->p->dead_utime + (pt->cpu_kind == 1 ? 0 : p->p->dead_stime);
	process_for_each (tp, p)
		v += cpu_of(tp->self, pt->cpu_kind);
	return v;
}

uint64_t posix_timers_cpu_locked(struct process *p)
{
	uint64_t next = UINT64_MAX, now, missed;
	struct posix_timer *pt;

	list_for_each (pt, &p->p->posix_timers, node) {
		if (!pt->expires || !clock_is_cpu(pt->clock))
			continue;
		now = cpu_now_locked(pt);
		if (pt->expires <= now) {
			missed = pt->interval ? (now - pt->expires) / pt->interval : 0;
			pt->expires = pt->interval ? pt->expires + (missed + 1) * pt->interval : 0;
			notify_locked(pt, missed);
		}
		if (pt->expires)
			next = MIN(next, pt->expires - now);
	}
	return next;
}

static struct posix_timer *find_locked(struct process *p, int32_t id)
{
	struct posix_timer *pt;

	list_for_each (pt, &p->p->posix_timers, node)
		if (pt->id == id)
			return pt;
	return NULL;
}

static int set_notification(struct task *t, struct posix_timer *pt, const struct linux_sigevent *ev)
{
	struct linux_siginfo *info = &pt->sig.info;

	pt->notify = ev ? ev->sigev_notify : LINUX_SIGEV_SIGNAL;
	info->si_signo = ev ? ev->sigev_signo : LINUX_SIGALRM;
	info->si_code = LINUX_SI_TIMER;
	info->timer.si_tid = pt->id;
	if (ev)
		info->timer.si_value = ev->sigev_value;
	else
		info->timer.si_value.sival_int = pt->id;
	switch (pt->notify) {
	case LINUX_SIGEV_NONE:
		return 0;
	case LINUX_SIGEV_SIGNAL | LINUX_SIGEV_THREAD_ID:
		pt->target = task_find(t, ev->sigev_tid);
		if (!pt->target || pt->target->process != t->process)
			return -EINVAL;
		break;
	case LINUX_SIGEV_SIGNAL:
	case LINUX_SIGEV_THREAD: /* the library's business; a signal here */
		break;
	default:
		return -EINVAL;
	}
	return signal_valid(info->si_signo) ? 0 : -EINVAL;
}

/* The CPU clock of the process or of one of its threads; other processes' aren't offered. */
static int set_cpu_clock(struct task *t, struct posix_timer *pt, int32_t clock)
{
	int32_t nr = clock < 0 ? ~(clock >> 3) : 0;
	bool thread = clock < 0 ? (clock & 4) != 0 : clock == LINUX_CLOCK_THREAD_CPUTIME_ID;

	pt->cpu_kind = clock < 0 ? clock & 3 : 2;
	if (pt->cpu_kind == 3)
		return -EINVAL;
	if (!thread)
		return nr == 0 || nr == task_tgid_in(t, t) ? 0 : -EINVAL;
	pt->cpu_task = nr ? task_find(t, nr) : task_get(t);
	return pt->cpu_task && pt->cpu_task->process == t->process ? 0 : -EINVAL;
}

static int set_clock(struct task *t, struct posix_timer *pt, int32_t clock)
{
	pt->clock = clock;
	if (clock_is_cpu(clock))
		return set_cpu_clock(t, pt, clock);
	switch (clock) {
	case LINUX_CLOCK_REALTIME:
	case LINUX_CLOCK_MONOTONIC:
	case LINUX_CLOCK_BOOTTIME:
	case LINUX_CLOCK_TAI:
		return 0;
	case LINUX_CLOCK_REALTIME_ALARM:
	case LINUX_CLOCK_BOOTTIME_ALARM:
		return cred_has_cap_in(t->cred, LINUX_CAP_WAKE_ALARM, t->kernel->user_ns) ? 0 : -EPERM;
	case LINUX_CLOCK_MONOTONIC_RAW:
	case LINUX_CLOCK_REALTIME_COARSE:
	case LINUX_CLOCK_MONOTONIC_COARSE:
		return -EOPNOTSUPP;
	default:
		return -EINVAL;
	}
}

static void timer_put(struct posix_timer *pt)
{
	if (!refs_put(&pt->refs))
		return;
	task_put(pt->target);
	task_put(pt->cpu_task);
	kfree(pt);
}

int posix_timer_create(struct task *t, int32_t clock, const struct linux_sigevent *ev, int32_t *id)
{
	struct process *p = t->process;
	struct posix_timer *pt = kmalloc(sizeof(*pt));
	int ret = 0;

	if (!pt)
		return -ENOMEM;
	refs_init(&pt->refs);
	pt->process = p;
	pt->sig.timer = pt;
	list_init(&pt->sig.node);
	timer_init(&pt->timer, t->kernel->timers, expired);
	mutex_lock(&p->lock);
	if (p->p->posix_timer_count >= rlimit_cur(&p->limits, LINUX_RLIMIT_SIGPENDING))
		ret = -EAGAIN;
	do
		pt->id = p->p->next_timer_id++ & INT32_MAX;
	while (find_locked(p, pt->id));
	mutex_unlock(&p->lock);
	if (ret == 0)
		ret = set_clock(t, pt, clock);
	if (ret == 0)
		ret = set_notification(t, pt, ev);
	if (ret < 0) {
		timer_put(pt);
		return ret;
	}
	mutex_lock(&p->lock);
	list_add_tail(&p->p->posix_timers, &pt->node);
	p->p->posix_timer_count++;
	mutex_unlock(&p->lock);
	*id = pt->id;
	return 0;
}

/* Out of the list and of the signal queue; the caller cancels and puts. [process lock] */
static void remove_locked(struct posix_timer *pt)
{
	list_del(&pt->node);
	signal_unqueue_locked(pt->process, pt->target, &pt->sig);
	pt->process->p->posix_timer_count--;
	pt->deleted = true;
	pt->expires = 0;
}

int posix_timer_delete(struct task *t, int32_t id)
{
	struct process *p = t->process;
	struct posix_timer *pt;

	mutex_lock(&p->lock);
	pt = find_locked(p, id);
	if (pt)
		remove_locked(pt);
	mutex_unlock(&p->lock);
	if (!pt)
		return -EINVAL;
	timer_cancel_sync(&pt->timer);
	timer_put(pt);
	return 0;
}

void posix_timers_delete_all(struct process *p)
{
	struct posix_timer *pt;

	for (;;) {
		mutex_lock(&p->lock);
		pt = list_first(&p->p->posix_timers, struct posix_timer, node);
		if (pt)
			remove_locked(pt);
		mutex_unlock(&p->lock);
		if (!pt)
			return;
		timer_cancel_sync(&pt->timer);
		timer_put(pt);
	}
}

static void left_locked(struct posix_timer *pt, struct linux_itimerspec *out)
{
	uint64_t now = clock_is_cpu(pt->clock) ? cpu_now_locked(pt) : kernel_now();

	*out = (struct linux_itimerspec){.it_interval = timespec_from_ns((int64_t)pt->interval)};
	if (pt->expires)
		out->it_value = timespec_from_ns(pt->expires > now ? (int64_t)(pt->expires - now) : 1);
}

int posix_timer_get(struct task *t, int32_t id, struct linux_itimerspec *out)
{
	struct posix_timer *pt;

	mutex_lock(&t->process->lock);
	pt = find_locked(t->process, id);
	if (pt)
		left_locked(pt, out);
	mutex_unlock(&t->process->lock);
	return pt ? 0 : -EINVAL;
}

/* Expiry in the timer's own terms; 0: off. [process lock] */
static uint64_t expiry_locked(struct task *t, struct posix_timer *pt, bool absolute, uint64_t value)
{
	uint64_t now;

	if (!value)
		return 0;
	if (!clock_is_cpu(pt->clock)) {
		now = kernel_now();
		if (absolute)
			return pt->clock == LINUX_CLOCK_MONOTONIC ? value
								  : clock_to_monotonic(t, pt->clock, value);
	} else {
		now = cpu_now_locked(pt);
		if (absolute)
			return value;
	}
	return value > INT64_MAX - now ? INT64_MAX : now + value;
}

int posix_timer_set(struct task *t, int32_t id, int flags, const struct linux_itimerspec *in,
		    struct linux_itimerspec *old)
{
	struct process *p = t->process;
	struct posix_timer *pt;

	if (!timespec_valid(&in->it_interval) || !timespec_valid(&in->it_value))
		return -EINVAL;
	mutex_lock(&p->lock);
	pt = find_locked(p, id);
	if (!pt) {
		mutex_unlock(&p->lock);
		return -EINVAL;
	}
	left_locked(pt, old);
	signal_unqueue_locked(p, pt->target, &pt->sig); /* an old expiry's signal is void */
	pt->overrun = 0;
	pt->interval = timespec_to_ns(&in->it_interval);
	pt->expires = expiry_locked(t, pt, (flags & LINUX_TIMER_ABSTIME) != 0, timespec_to_ns(&in->it_value));
	if (clock_is_cpu(pt->clock)) {
		if (pt->expires)
			cpu_timers_kick_locked(p);
	} else if (pt->expires) {
		timer_set(&pt->timer, pt->expires);
	} else {
		(void)timer_cancel(&pt->timer);
	}
	mutex_unlock(&p->lock);
	return 0;
}

int posix_timer_overrun(struct task *t, int32_t id)
{
	struct posix_timer *pt;
	int ret = -EINVAL;

	mutex_lock(&t->process->lock);
	pt = find_locked(t->process, id);
	if (pt)
		ret = pt->last_overrun;
	mutex_unlock(&t->process->lock);
	return ret;
}
