/* futex.h: futex(2), futex_waitv(2), the futex2 calls. */
#pragma once

#include "platform/abi/futex.h"
#include "sentry/kernel/kernel.h"

struct futex_wait_args {
	uaddr_t addr;
	uint32_t value, bitset;
	bool is_private;
	uint64_t deadline; /* monotonic ns; 0: none */
};
/* 0 when woken, -EAGAIN, -ETIMEDOUT, -EINTR forms (-ERESTART*) */
MUST_CHECK int64_t futex_wait(struct task *t, const struct futex_wait_args *a, bool restartable);
MUST_CHECK int futex_wake(struct task *t, uaddr_t addr, bool is_private, uint32_t count, uint32_t bitset);
/* cmp: compare *addr with value first. wake at addr, move the next `move` waiters to addr2. */
MUST_CHECK int futex_requeue(struct task *t, uaddr_t addr, bool is_private, uaddr_t addr2, bool is_private2,
			     uint32_t wake, uint32_t move, bool cmp, uint32_t value);
MUST_CHECK int futex_wake_op(struct task *t, uaddr_t addr, uaddr_t addr2, bool is_private, uint32_t wake,
			     uint32_t wake2, uint32_t op);
MUST_CHECK int futex_lock_pi(struct task *t, uaddr_t addr, bool is_private, uint64_t deadline, bool try);
MUST_CHECK int futex_unlock_pi(struct task *t, uaddr_t addr, bool is_private);
MUST_CHECK int64_t futex_wait_requeue_pi(struct task *t, const struct futex_wait_args *a, uaddr_t addr2);
MUST_CHECK int futex_cmp_requeue_pi(struct task *t, uaddr_t addr, bool is_private, uaddr_t addr2, uint32_t move,
				    uint32_t value);
/* The index of the one that was woken, or an error as futex_wait. */
MUST_CHECK int64_t futex_waitv(struct task *t, const struct futex_wait_args *v, uint32_t count,
			       uint64_t deadline);
