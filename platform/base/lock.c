/* lock.c: futex locks (after "Futexes Are Tricky", mutex 2), with a short spin before sleeping because a
 * cross-processor wake-up costs tens of microseconds. Debug builds keep a stack of held ranks per thread
 * and abort on a wrong order. */
#include "platform/base/lock.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "platform/base/bug.h"
#include "platform/base/clock.h"
#include "platform/base/log.h"

#define SPIN_LIMIT 100

static const char *const rank_names[] = {
#define LOCKRANK(name) [name] = #name,
#include "platform/base/lockrank.def"
#undef LOCKRANK
};

const char *lockrank_name(enum lockrank rank)
{
	return rank < RANK_COUNT ? rank_names[rank] : "?";
}

#ifdef SBX_LOCK_CHECK

#define HELD_MAX 24

/* Debug builds only; the in-thread sentry (platform pku) isn't built with it. */
static _Thread_local struct {
	const void *lock[HELD_MAX];
	uint16_t rank[HELD_MAX];
	int count;
} held;

static void check_lock(const void *lock, uint16_t rank, bool nested)
{
	for (int i = 0; i < held.count; i++) {
		if (held.lock[i] == lock) {
			log_error("lock order: %s taken twice", lockrank_name(rank));
			BUG();
		}
		if (rank == RANK_NONE || held.rank[i] == RANK_NONE)
			continue;
		if (held.rank[i] > rank || (held.rank[i] == rank && !nested)) {
			log_error("lock order: %s taken while %s is held", lockrank_name(rank),
				  lockrank_name(held.rank[i]));
			BUG();
		}
	}
	BUG_ON(held.count == HELD_MAX);
	held.lock[held.count] = lock;
	held.rank[held.count++] = rank;
}

static void check_unlock(const void *lock)
{
	for (int i = held.count - 1; i >= 0; i--) {
		if (held.lock[i] != lock)
			continue;
		for (held.count--; i < held.count; i++) {
			held.lock[i] = held.lock[i + 1];
			held.rank[i] = held.rank[i + 1];
		}
		return;
	}
	log_error("lock order: unlock of a lock that isn't held");
	BUG();
}

void lock_assert_none_held(void)
{
	for (int i = 0; i < held.count; i++)
		log_error("blocking with %s held", lockrank_name(held.rank[i]));
	BUG_ON(held.count);
}

#else

static inline void check_lock(const void *lock, uint16_t rank, bool nested)
{
	(void)lock, (void)rank, (void)nested;
}

static inline void check_unlock(const void *lock)
{
	(void)lock;
}

void lock_assert_none_held(void)
{
}

#endif

int futex_wait_word(uint32_t *word, uint32_t value, uint64_t deadline_ns)
{
	struct timespec ts = {(time_t)(deadline_ns / NSEC_PER_SEC), (long)(deadline_ns % NSEC_PER_SEC)};
	long r = syscall(SYS_futex, word, FUTEX_WAIT_BITSET, value, deadline_ns ? &ts : NULL, NULL,
			 FUTEX_BITSET_MATCH_ANY);

	return r < 0 ? -errno : 0;
}

void futex_wake_word(uint32_t *word, int count)
{
	syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
}

static inline void relax(void)
{
	__builtin_ia32_pause();
}

void mutex_init(struct mutex *m, enum lockrank rank)
{
	*m = (struct mutex){.rank = (uint16_t)rank};
}

static NOINLINE void lock_slow(struct mutex *m)
{
	for (int i = 0; i < SPIN_LIMIT; i++) {
		uint32_t expected = 0;

		if (__atomic_load_n(&m->word, __ATOMIC_RELAXED) == 0 &&
		    __atomic_compare_exchange_n(&m->word, &expected, 1, false, __ATOMIC_ACQUIRE,
						__ATOMIC_RELAXED))
			return;
		relax();
	}
	while (__atomic_exchange_n(&m->word, 2, __ATOMIC_ACQUIRE) != 0)
		(void)futex_wait_word(&m->word, 2, 0);
}

static ALWAYS_INLINE void take(struct mutex *m)
{
	uint32_t expected = 0;

	if (UNLIKELY(!__atomic_compare_exchange_n(&m->word, &expected, 1, false, __ATOMIC_ACQUIRE,
						  __ATOMIC_RELAXED)))
		lock_slow(m);
}

void mutex_lock(struct mutex *m) NO_LOCK_CHECK
{
	check_lock(m, m->rank, false);
	take(m);
}

void mutex_lock_nested(struct mutex *m) NO_LOCK_CHECK
{
	check_lock(m, m->rank, true);
	take(m);
}

bool mutex_trylock(struct mutex *m) NO_LOCK_CHECK
{
	uint32_t expected = 0;

	if (!__atomic_compare_exchange_n(&m->word, &expected, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return false;
	check_lock(m, RANK_NONE, true); /* a try can't deadlock */
	return true;
}

void mutex_unlock(struct mutex *m) NO_LOCK_CHECK
{
	uint32_t old;

	check_unlock(m);
	old = __atomic_exchange_n(&m->word, 0, __ATOMIC_RELEASE);
	BUG_ON(old == 0);
	if (UNLIKELY(old == 2))
		futex_wake_word(&m->word, 1);
}

void mutex_lock_pair(struct mutex *a, struct mutex *b)
{
	struct mutex *first = a < b ? a : b, *second = a < b ? b : a;

	mutex_lock(first);
	if (first != second)
		mutex_lock_nested(second);
}

void mutex_unlock_pair(struct mutex *a, struct mutex *b)
{
	if (a != b)
		mutex_unlock(b);
	mutex_unlock(a);
}

bool mutex_is_locked(const struct mutex *m)
{
	return __atomic_load_n(&m->word, __ATOMIC_RELAXED) != 0;
}

#define RW_WRITER  0x80000000u
#define RW_WAITING 0x40000000u
#define RW_READERS 0x3fffffffu

void rwlock_init(struct rwlock *l, enum lockrank rank)
{
	*l = (struct rwlock){.rank = (uint16_t)rank};
}

/* Sleeps until the word may have changed from a state that refused us. */
static NOINLINE void rw_wait(struct rwlock *l, uint32_t seen)
{
	if (!(seen & RW_WAITING)) {
		if (!__atomic_compare_exchange_n(&l->word, &seen, seen | RW_WAITING, false, __ATOMIC_RELAXED,
						 __ATOMIC_RELAXED))
			return;
		seen |= RW_WAITING;
	}
	(void)futex_wait_word(&l->word, seen, 0);
}

void rwlock_read(struct rwlock *l) NO_LOCK_CHECK
{
	int spins = 0;

	check_lock(l, l->rank, false);
	for (;;) {
		uint32_t w = __atomic_load_n(&l->word, __ATOMIC_RELAXED);

		if (!(w & (RW_WRITER | RW_WAITING))) {
			if (__atomic_compare_exchange_n(&l->word, &w, w + 1, true, __ATOMIC_ACQUIRE,
							__ATOMIC_RELAXED))
				return;
		} else if (!(w & RW_WRITER) && !(w & RW_READERS)) {
			/* free, with a stale waiting bit */
			if (__atomic_compare_exchange_n(&l->word, &w, 1, true, __ATOMIC_ACQUIRE,
							__ATOMIC_RELAXED)) {
				futex_wake_word(&l->word, INT32_MAX);
				return;
			}
		} else if (spins++ < SPIN_LIMIT) {
			relax();
		} else {
			rw_wait(l, w);
		}
	}
}

static void rw_release(struct rwlock *l, uint32_t sub)
{
	uint32_t w = __atomic_sub_fetch(&l->word, sub, __ATOMIC_RELEASE);

	if (w == RW_WAITING) {
		if (__atomic_compare_exchange_n(&l->word, &w, 0, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			futex_wake_word(&l->word, INT32_MAX);
	}
}

void rwlock_read_unlock(struct rwlock *l) NO_LOCK_CHECK
{
	check_unlock(l);
	rw_release(l, 1);
}

void rwlock_write(struct rwlock *l) NO_LOCK_CHECK
{
	int spins = 0;

	check_lock(l, l->rank, false);
	for (;;) {
		uint32_t w = __atomic_load_n(&l->word, __ATOMIC_RELAXED);

		if (!(w & (RW_WRITER | RW_READERS))) {
			if (__atomic_compare_exchange_n(&l->word, &w, RW_WRITER | (w & RW_WAITING), true,
							__ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
				return;
		} else if (spins++ < SPIN_LIMIT) {
			relax();
		} else {
			rw_wait(l, w);
		}
	}
}

void rwlock_write_unlock(struct rwlock *l) NO_LOCK_CHECK
{
	check_unlock(l);
	rw_release(l, RW_WRITER);
}
