/* timers.h: the stack's timers: a tree by deadline, and one hook that tells the embedder when the first one has
 * moved forward. A timer that is put off isn't moved: it goes off early, sees that, and is set again, so that
 * setting one for each segment costs nothing. */
#pragma once

#include "platform/base/lock.h"
#include "platform/base/rbtree.h"

#define TIMER_NEVER UINT64_MAX

struct timers;
struct net_timer {
	struct rbnode node;  /* [timers->lock] */
	uint64_t queued_for; /* [timers->lock] TIMER_NEVER: not queued */
	uint64_t deadline;   /* [a] TIMER_NEVER: off */
	/* Runs without a lock, and sets the timer again as the object's own state says. hold is called under
	 * the timers' lock before it: false when the object is going. */
	void (*run)(struct net_timer *t);
	bool (*hold)(struct net_timer *t);
};

struct timers {
	struct mutex lock; /* rank NET_TIMERS */
	struct rbtree tree;
	uint64_t told;		 /* [lock] what the embedder sleeps until */
	void (*kick)(void *arg); /* [I] a deadline before that was set; may be called under any lock */
	void *kick_arg;
};

void timers_init(struct timers *ts);
void net_timer_init(struct net_timer *t, void (*run)(struct net_timer *), bool (*hold)(struct net_timer *));
/* deadline: absolute ns, TIMER_NEVER: off */
void net_timer_set(struct timers *ts, struct net_timer *t, uint64_t deadline);
/* Not queued any more when it returns. It may still be running. */
void net_timer_cancel(struct timers *ts, struct net_timer *t);
/* Runs what is due at now; the next deadline. */
uint64_t timers_run(struct timers *ts, uint64_t now);
