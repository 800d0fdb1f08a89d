/* futex_internal.h: what futex.c, futex_pi.c and robust.c share. A waiter lives on its task's stack and is
 * queued in the bucket of its key; whoever takes it off under the bucket's lock clears `queued` last, and
 * touches it no more: the task may be gone at once. Buckets: rank FUTEX, pairs by address; guest memory is
 * read and changed while they are held. */
#pragma once

#include "sentry/kernel/internal.h"

#define FUTEX_BUCKETS 1024

struct futex_bucket {
	struct mutex lock;
	struct list waiters; /* [lock] */
};

struct futex_table {
	uint64_t seed;	     /* [I] */
	uint32_t pi_waiters; /* [a] so that exits need not look for them */
	struct futex_bucket buckets[FUTEX_BUCKETS];
};

struct futex_waiter {
	struct list node;	     /* [bucket] */
	struct futex_key key;	     /* [bucket] changes when requeued */
	struct futex_bucket *bucket; /* [a] changes when requeued, under both */
	struct task *task;	     /* [I] */
	uint32_t bitset;	     /* [I] */
	uint32_t queued;	     /* [a] */
	bool pi;		     /* [bucket] waits for the lock in the word, not for a wake-up */
	bool granted;		     /* before queued goes: it owns the lock */
	bool wants_pi;		     /* [I] FUTEX_WAIT_REQUEUE_PI: only for CMP_REQUEUE_PI to take */
	struct futex_key pi_key;     /* [I] where it may be requeued to */
};

#define WAKE_BATCH 16
struct futex_wakes {
	struct task *tasks[WAKE_BATCH];
	uint32_t count;
};

MUST_CHECK int futex_key_get(struct task *t, uaddr_t addr, bool is_private, struct futex_key *key);
struct futex_bucket *futex_bucket_of(struct task *t, const struct futex_key *key);
static inline bool futex_key_equal(const struct futex_key *a, const struct futex_key *b)
{
	return a->object == b->object && a->offset == b->offset;
}
MUST_CHECK int futex_read(struct task *t, uaddr_t addr, uint32_t *v);
/* 0 when *addr was `from` and is `to` now; -EAGAIN when it differed; -EFAULT */
MUST_CHECK int futex_cas(struct task *t, uaddr_t addr, uint32_t from, uint32_t to);
void futex_enqueue_locked(struct futex_bucket *b, struct futex_waiter *w);
/* Takes w off; its task is woken by futex_wakes_flush, or here when the batch is full. */
void futex_release_locked(struct futex_waiter *w, struct futex_wakes *wakes);
void futex_wakes_flush(struct futex_wakes *wakes);
/* Takes w off if it is still queued: true. */
bool futex_unqueue(struct futex_waiter *w);
void futex_move_locked(struct futex_waiter *w, struct futex_bucket *to, const struct futex_key *key);
void futex_owner_dies(struct task *t);
/* The owner of the PI lock at addr has marked it as left: the first waiter takes it. */
void futex_pi_left(struct task *t, uaddr_t addr);
