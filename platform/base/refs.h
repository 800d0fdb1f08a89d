/* refs.h: reference count. A new object starts at one. Going below zero or up from zero is a bug. */
#pragma once

#include "platform/base/bug.h"

struct refs {
	uint32_t count; /* [a] */
};

static inline void refs_init(struct refs *r)
{
	__atomic_store_n(&r->count, 1, __ATOMIC_RELAXED);
}

static inline void refs_get(struct refs *r)
{
	uint32_t old = __atomic_fetch_add(&r->count, 1, __ATOMIC_RELAXED);

	BUG_ON(old == 0 || old >= INT32_MAX);
}

/* false when the object is already dying: for lookups in tables that hold no reference */
static inline MUST_CHECK bool refs_get_unless_zero(struct refs *r)
{
	uint32_t old = __atomic_load_n(&r->count, __ATOMIC_RELAXED);

	do {
		if (old == 0)
			return false;
	} while (!__atomic_compare_exchange_n(&r->count, &old, old + 1, true, __ATOMIC_ACQUIRE,
					      __ATOMIC_RELAXED));
	return true;
}

/* true when that was the last one: the caller destroys the object */
static inline MUST_CHECK bool refs_put(struct refs *r)
{
	uint32_t old = __atomic_fetch_sub(&r->count, 1, __ATOMIC_ACQ_REL);

	BUG_ON(old == 0 || old > INT32_MAX);
	return old == 1;
}

static inline uint32_t refs_read(const struct refs *r)
{
	return __atomic_load_n(&r->count, __ATOMIC_RELAXED);
}
