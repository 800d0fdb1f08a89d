/* hash.h: a keyed hash for tables whose keys a guest chooses, and mixing for integers. */
#pragma once

#include "platform/base/attr.h"

static inline uint64_t hash_u64(uint64_t x)
{
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93UL;
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93UL;
	x ^= x >> 32;
	return x;
}

/* key: a random value of the table, so that a guest can't aim for collisions */
static inline uint64_t hash_bytes(uint64_t key, const void *p, size_t n)
{
	const unsigned char *s = p;
	uint64_t h = key ^ n;

	for (; n >= 8; n -= 8, s += 8) {
		uint64_t v;

		__builtin_memcpy(&v, s, 8);
		h = hash_u64(h ^ v);
	}
	if (n) {
		uint64_t v = 0;

		__builtin_memcpy(&v, s, n);
		h = hash_u64(h ^ v ^ (n << 56));
	}
	return h;
}
