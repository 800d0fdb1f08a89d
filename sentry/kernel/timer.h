/* timer.h: everything that happens later. One host thread sleeps until the earliest deadline (and for ever
 * when there is none) and calls the timers' functions. Clock readings as the guest sees them. */
#pragma once

#include "platform/abi/time.h"
#include "platform/base/clock.h"
#include "sentry/kernel/kernel.h"

/* Embedded in its owner. fn runs on the timer thread without locks; it may set the timer again. */
struct timer {
	struct rbnode node;	   /* [queue lock] */
	struct timer_queue *queue; /* [I] */
	uint64_t expires;	   /* [queue lock] CLOCK_MONOTONIC ns */
	bool queued;		   /* [queue lock] */
	void (*fn)(struct timer *timer);
};

void timer_init(struct timer *timer, struct timer_queue *q, void (*fn)(struct timer *timer));
/* (Re)arms; a deadline in the past fires at once. Any lock ranked above TIMER may be held. */
void timer_set(struct timer *timer, uint64_t expires);
/* Disarms; fn may still be running on the timer thread. True when it was armed. */
bool timer_cancel(struct timer *timer);
/* Disarms, and returns only when fn isn't running. Not from fn, not with a lock that fn takes. */
void timer_cancel_sync(struct timer *timer);

/* clock_gettime(2): ns of a clock, CPU clocks of other tasks included. -EINVAL */
MUST_CHECK int clock_read(struct task *t, int32_t clock, int64_t *ns);
MUST_CHECK int clock_resolution(struct task *t, int32_t clock, int64_t *ns);
/* Converts a deadline of clock (absolute or from now) to CLOCK_MONOTONIC ns, at least 1. */
MUST_CHECK int clock_deadline(struct task *t, int32_t clock, bool absolute, const struct linux_timespec *ts,
			      uint64_t *deadline);
/* 0 <= ns < 1e9 and seconds not negative */
static inline bool timespec_valid(const struct linux_timespec *ts)
{
	return ts->tv_sec >= 0 && ts->tv_nsec >= 0 && ts->tv_nsec < (int64_t)NSEC_PER_SEC;
}
uint64_t timespec_to_ns(const struct linux_timespec *ts); /* saturates at INT64_MAX */
struct linux_timespec timespec_from_ns(int64_t ns);

/* nanosleep and clock_nanosleep; rem: where the rest goes, 0: nowhere */
MUST_CHECK int64_t task_sleep(struct task *t, int32_t clock, bool absolute, const struct linux_timespec *ts,
			      uaddr_t rem);

/* setitimer(2): ns; which LINUX_ITIMER_* */
MUST_CHECK int itimer_get(struct task *t, int which, uint64_t *value, uint64_t *interval);
MUST_CHECK int itimer_set(struct task *t, int which, uint64_t value, uint64_t interval, uint64_t *old_value,
			  uint64_t *old_interval);

/* timer_create(2) and its siblings */
MUST_CHECK int posix_timer_create(struct task *t, int32_t clock, const struct linux_sigevent *ev, int32_t *id);
MUST_CHECK int posix_timer_delete(struct task *t, int32_t id);
MUST_CHECK int posix_timer_get(struct task *t, int32_t id, struct linux_itimerspec *out);
MUST_CHECK int posix_timer_set(struct task *t, int32_t id, int flags, const struct linux_itimerspec *in,
			       struct linux_itimerspec *old);
MUST_CHECK int posix_timer_overrun(struct task *t, int32_t id);

/* timerfd_create(2) and its siblings */
MUST_CHECK int timerfd_create(struct task *t, int32_t clock, uint32_t flags, struct file **out);
MUST_CHECK int timerfd_settime(struct task *t, struct file *f, int flags, const struct linux_itimerspec *in,
			       struct linux_itimerspec *old);
MUST_CHECK int timerfd_gettime(struct file *f, struct linux_itimerspec *out);
/* RLIMIT_CPU changed: begin to watch. */
void cpu_limit_changed(struct process *p);
