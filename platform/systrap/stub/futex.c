/* futex.c: futexes by the host's own, without the sentry: plain waits and wake-ups of words in this process's
 * memory. The guest's rights suffice for them.
 *
 * Other waiters stand in the sentry's queues (relative timeouts, requeueing, priority inheritance, tasks that
 * are traced, waits that a signal interrupted). So a wake-up looks for both: those on private futexes are
 * counted in the slot with index 0 (they add themselves before they compare, we look after the wake-up); for
 * shared ones the sentry is always asked when the host found too few. The sentry does the same the other way
 * round. */
#include "platform/systrap/stub/stub.h"

#define SYS_futex 202

#define SLOT0 ((struct stub_slot *)STUB_SLOTS_ADDR)

static int is_guest_word(uint64_t at)
{
	return !(at & 3) && at && (at < STUB_TEXT_ADDR || at >= STUB_REGION_END) && at < 0x7ffffffff000;
}

/* The host's answer, or 0 when it must be the sentry's (a signal, a bad address). */
static int wait(struct stub_slot *s, const uint64_t a[6], int64_t *result)
{
	long r;

	s->waits = 1;
	__atomic_fetch_add(&SLOT0->futex_stubs, 1, __ATOMIC_SEQ_CST);
	r = stub_futex_wait(s, a);
	__atomic_fetch_sub(&SLOT0->futex_stubs, 1, __ATOMIC_RELAXED);
	s->waits = 0;
	*result = r;
	return r == 0 || r == -EAGAIN || r == -ETIMEDOUT;
}

static int is_only_ours(uint64_t op)
{
	const uint32_t *word = (const uint32_t *)(STUB_WORDS_ADDR + STUB_FUTEX_WORD);

	return !__atomic_load_n(op & FUTEX_PRIVATE ? &SLOT0->futex_sentry : word, __ATOMIC_SEQ_CST);
}

/* With some woken and others in the sentry, that wakes up to as many again: spurious, as wake-ups may be. */
static int wake(const uint64_t a[6], int64_t *result)
{
	long r = stub_call(SYS_futex, a);
	int count = (int)a[2];

	if (r < 0)
		return 0;
	*result = r;
	return r >= (count > 0 ? count : 1) || is_only_ours(a[1]);
}

/* Moved are those on the host here, those in the sentry there. */
static int requeue(const uint64_t a[6], int64_t *result)
{
	long r = stub_call(SYS_futex, a);

	*result = r;
	return r == -EAGAIN || (r >= 0 && is_only_ours(a[1]));
}

int stub_futex(struct stub_slot *s, const uint64_t a[6], int64_t *result)
{
	uint32_t op = (uint32_t)a[1], command = op & ~(uint32_t)(FUTEX_PRIVATE | FUTEX_REALTIME);

	if (!is_guest_word(a[0]))
		return 0;
	switch (command) {
	case FUTEX_WAIT:
		return !a[3] && !(op & FUTEX_REALTIME) && wait(s, a, result);
	case FUTEX_WAIT_BITSET:
		return (uint32_t)a[5] == ~0u && (!a[3] || is_guest_word(a[3] & ~3UL)) && wait(s, a, result);
	case FUTEX_WAKE:
		return !(op & FUTEX_REALTIME) && wake(a, result);
	case FUTEX_WAKE_BITSET:
		return !(op & FUTEX_REALTIME) && (uint32_t)a[5] == ~0u && wake(a, result);
	case FUTEX_REQUEUE:
	case FUTEX_CMP_REQUEUE:
		return op == (command | FUTEX_PRIVATE) && (int)a[2] >= 0 && (int)a[3] >= 0 &&
		       is_guest_word(a[4]) && requeue(a, result);
	default:
		return 0;
	}
}
