/* checksum.c: the Internet checksum, eight bytes at a time. */
#include "netstack/core/checksum.h"

#include <string.h>

static uint32_t fold64(uint64_t s)
{
	s = (s & 0xffffffff) + (s >> 32);
	s = (s & 0xffffffff) + (s >> 32);
	return (uint32_t)s;
}

uint32_t csum_add(uint32_t sum, const void *ptr, size_t n)
{
	const uint8_t *p = ptr;
	uint64_t a = sum, b = 0, v[4];
	uint16_t half;

	for (; n >= 32; n -= 32, p += 32) {
		memcpy(v, p, 32);
		a += (v[0] & 0xffffffff) + (v[0] >> 32) + (v[1] & 0xffffffff) + (v[1] >> 32);
		b += (v[2] & 0xffffffff) + (v[2] >> 32) + (v[3] & 0xffffffff) + (v[3] >> 32);
	}
	a += b;
	for (; n >= 4; n -= 4, p += 4) {
		uint32_t w;

		memcpy(&w, p, 4);
		a += w;
	}
	if (n >= 2) {
		memcpy(&half, p, 2);
		a += half;
		p += 2;
		n -= 2;
	}
	if (n) {
		half = 0;
		memcpy(&half, p, 1);
		a += half;
	}
	return fold64(a);
}

uint32_t csum_copy(uint32_t sum, void *dst, const void *src, size_t n)
{
	memcpy(dst, src, n);
	return csum_add(sum, dst, n);
}

uint32_t csum_add_odd(uint32_t sum, const void *p, size_t n)
{
	uint16_t part = csum_fold(csum_add(0, p, n));

	return csum_join(sum, (uint16_t)(part << 8 | part >> 8));
}

uint32_t csum_pseudo(const void *src, const void *dst, size_t addr_len, uint8_t proto, uint32_t len)
{
	uint8_t tail[8] = {(uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8),
			   (uint8_t)len, [7] = proto};

	return csum_add(csum_add(csum_add(0, src, addr_len), dst, addr_len), tail, sizeof(tail));
}
