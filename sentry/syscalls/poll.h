/* poll.h: waiting for several files at once, for poll(2) and select(2); see sys_poll.c. */
#pragma once

#include "sentry/kernel/kernel.h"

struct poll_item {
	struct waiter w;
	struct file *f;	  /* reference; NULL: not looked at */
	struct waitq *wq; /* while queued */
	uint32_t want;	  /* EV_* */
	uint32_t got;
};

/* When to give up. */
struct poll_limit {
	bool now;	   /* don't wait at all */
	uint64_t deadline; /* 0: never */
};

/* Fills in got of each item; the number of items with events, 0 after the deadline, or -ERESTARTNOHAND. */
int64_t poll_wait(struct task *t, struct poll_item *items, uint32_t count, const struct poll_limit *limit);
void poll_put(struct poll_item *items, uint32_t count);
/* A timespec argument; 0: none, wait for ever. */
MUST_CHECK int poll_limit_user(struct task *t, uaddr_t ts, struct poll_limit *limit);
/* ppoll's and pselect's ends: writes the time left back and restores the signal mask. */
int64_t poll_finish(struct task *t, int64_t ret, uaddr_t ts, const struct poll_limit *limit, bool swapped);
/* sigmask argument of size bytes; 0: none. */
MUST_CHECK int poll_sigmask(struct task *t, uaddr_t mask, uint64_t size, bool *swapped);
