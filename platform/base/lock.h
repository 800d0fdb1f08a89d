/* lock.h: the sentry's own locks: one futex word, usable by every process that maps the memory it lies
 * in, with a name and a rank. A holder must not block for guest events. Unlocked is all zero but for the
 * rank, so zeroed memory is an unlocked, unranked lock. */
#pragma once

#include "platform/base/attr.h"

enum lockrank {
#define LOCKRANK(name) name,
#include "platform/base/lockrank.def"
#undef LOCKRANK
	RANK_COUNT
};

struct CAPABILITY("mutex") mutex {
	uint32_t word; /* [a] 0 free, 1 held, 2 held with waiters */
	uint16_t rank; /* [I] */
	uint16_t pad;
};

/* Writers are preferred; readers don't nest. */
struct CAPABILITY("mutex") rwlock {
	uint32_t word; /* [a] bit 31 writer, bit 30 somebody waits, else count of readers */
	uint16_t rank; /* [I] */
	uint16_t pad;
};

void mutex_init(struct mutex *m, enum lockrank rank);
void mutex_lock(struct mutex *m) ACQUIRES(m);
MUST_CHECK bool mutex_trylock(struct mutex *m) TRY_ACQUIRES(true, m);
void mutex_unlock(struct mutex *m) RELEASES(m);
/* Two of one rank, in address order; the same lock twice is taken once. */
void mutex_lock_pair(struct mutex *a, struct mutex *b) NO_LOCK_CHECK;
void mutex_unlock_pair(struct mutex *a, struct mutex *b) NO_LOCK_CHECK;
/* A child object's lock of the same rank as the parent's that is held (a tree walked downwards). */
void mutex_lock_nested(struct mutex *m) ACQUIRES(m);
/* For BUG_ON only. */
bool mutex_is_locked(const struct mutex *m);

void rwlock_init(struct rwlock *l, enum lockrank rank);
void rwlock_read(struct rwlock *l) ACQUIRES(l);
void rwlock_read_unlock(struct rwlock *l) RELEASES(l);
void rwlock_write(struct rwlock *l) ACQUIRES(l);
void rwlock_write_unlock(struct rwlock *l) RELEASES(l);

const char *lockrank_name(enum lockrank rank);
/* Debug builds: aborts when the calling thread holds any lock (before it blocks). */
void lock_assert_none_held(void);

/* Futex waits on a shared word, as used by locks and sleepers. Times are absolute CLOCK_MONOTONIC ns; 0
 * waits for ever. Returns 0, -EAGAIN (value differed), -ETIMEDOUT or -EINTR. */
int futex_wait_word(uint32_t *word, uint32_t value, uint64_t deadline_ns);
void futex_wake_word(uint32_t *word, int count);
