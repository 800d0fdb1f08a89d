/* waitq.h: the one way to wait. An object that can become ready owns a waitq; a waiter registers a
 * callback with the events it cares for. Events are poll(2)'s bits. The callback runs with the queue's
 * lock held (rank WAITQ): it may only set flags, wake a futex word, or take a lock below WAITQ. */
#pragma once

#include "platform/base/list.h"
#include "platform/base/lock.h"

#define EV_IN	  0x0001u
#define EV_PRI	  0x0002u
#define EV_OUT	  0x0004u
#define EV_ERR	  0x0008u
#define EV_HUP	  0x0010u
#define EV_NVAL	  0x0020u
#define EV_RDNORM 0x0040u
#define EV_RDBAND 0x0080u
#define EV_WRNORM 0x0100u
#define EV_WRBAND 0x0200u
#define EV_MSG	  0x0400u /* dnotify: something happened in a directory */
#define EV_RDHUP  0x2000u
/* not of poll: something an object's own waiters know (a state change) */
#define EV_INTERNAL 0x10000u
#define EV_ALL	    0x1ffffu

struct waitq {
	struct mutex lock;
	struct list waiters; /* [lock] */
};

struct waiter {
	struct list node; /* [waitq lock] */
	uint32_t mask;	  /* [I] while queued; ERR and HUP always match */
	bool exclusive;	  /* [I] while queued; at most one exclusive waiter is called per wake */
	/* true: this waiter took the event (counts for exclusive) */
	bool (*func)(struct waiter *w, uint32_t events);
	void *arg; /* [I] while queued; func's business */
};

void waitq_init(struct waitq *q);
/* Exclusive waiters go to the tail. w must not be queued. */
void waitq_add(struct waitq *q, struct waiter *w);
/* No callback runs after it returns. Safe for a waiter that isn't queued but was initialised. */
void waitq_del(struct waitq *q, struct waiter *w);
/* Calls matching waiters. Must not be called with a lock that a callback may take. */
void waitq_wake(struct waitq *q, uint32_t events);
static inline bool waitq_empty(const struct waitq *q)
{
	return __atomic_load_n(&q->waiters.next, __ATOMIC_ACQUIRE) == &q->waiters;
}
