/* checksum.h: the Internet checksum (RFC 1071). A partial sum is 32 bits, not yet folded; sums of pieces add up
 * as long as every piece but the last has an even length. Bytes are summed as the machine loads them, which is
 * right in any byte order as long as the result is stored the same way. */
#pragma once

#include "platform/base/attr.h"

uint32_t csum_add(uint32_t sum, const void *p, size_t n);
/* Copies n bytes and sums them. */
uint32_t csum_copy(uint32_t sum, void *dst, const void *src, size_t n);
/* A piece that begins at an odd offset of the whole. */
uint32_t csum_add_odd(uint32_t sum, const void *p, size_t n);

static inline uint32_t csum_join(uint32_t a, uint32_t b)
{
	uint64_t s = (uint64_t)a + b;

	return (uint32_t)s + (uint32_t)(s >> 32);
}

static inline uint16_t csum_fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum += sum >> 16;
	return (uint16_t)sum;
}

/* What goes into the header (and 0 over a packet whose checksum is right). */
static inline uint16_t csum_finish(uint32_t sum)
{
	return (uint16_t)~csum_fold(sum);
}

/* The pseudo-header: both addresses are addr_len bytes (4 or 16), len is of the transport header and its data.
 */
uint32_t csum_pseudo(const void *src, const void *dst, size_t addr_len, uint8_t proto, uint32_t len);
