/* mem.c: the few functions on bytes that everything calls, for a C library whose own are plain loops: musl's.
 * 16 bytes at a time, which every x86-64 processor can; long runs are the processor's own business (`rep
 * movsb`). No run is read beyond its page. */
#include <emmintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if !defined(__GLIBC__) || defined(MEM_TEST)

#define LONG 1024

typedef uint64_t u64_any __attribute__((aligned(1), may_alias));
typedef uint32_t u32_any __attribute__((aligned(1), may_alias));
typedef uint16_t u16_any __attribute__((aligned(1), may_alias));

static inline __m128i load(const void *p)
{
	return _mm_loadu_si128(p);
}

static inline void store(void *p, __m128i v)
{
	_mm_storeu_si128(p, v);
}

/* Up to 32 bytes, all read before any is written. */
static inline void copy_short(unsigned char *d, const unsigned char *s, size_t n)
{
	if (n >= 16) {
		__m128i a = load(s), b = load(s + n - 16);

		store(d, a);
		store(d + n - 16, b);
	} else if (n >= 8) {
		uint64_t a = *(const u64_any *)s, b = *(const u64_any *)(s + n - 8);

		*(u64_any *)d = a;
		*(u64_any *)(d + n - 8) = b;
	} else if (n >= 4) {
		uint32_t a = *(const u32_any *)s, b = *(const u32_any *)(s + n - 4);

		*(u32_any *)d = a;
		*(u32_any *)(d + n - 4) = b;
	} else if (n >= 2) {
		uint16_t a = *(const u16_any *)s, b = *(const u16_any *)(s + n - 2);

		*(u16_any *)d = a;
		*(u16_any *)(d + n - 2) = b;
	} else if (n) {
		*d = *s;
	}
}

/* Towards higher addresses; the last 16 bytes are read first, so that d may lie before s. */
static inline void copy_up(unsigned char *d, const unsigned char *s, size_t n)
{
	__m128i last = load(s + n - 16);
	unsigned char *end = d + n - 16;

	for (; d + 32 <= end; d += 32, s += 32) {
		__m128i a = load(s), b = load(s + 16);

		store(d, a);
		store(d + 16, b);
	}
	for (; d < end; d += 16, s += 16)
		store(d, load(s));
	store(end, last);
}

static inline void copy_down(unsigned char *d, const unsigned char *s, size_t n)
{
	__m128i first = load(s);

	for (; n > 32; n -= 32) {
		__m128i a = load(s + n - 16), b = load(s + n - 32);

		store(d + n - 16, a);
		store(d + n - 32, b);
	}
	for (; n > 16; n -= 16)
		store(d + n - 16, load(s + n - 16));
	store(d, first);
}

void *memcpy(void *restrict dst, const void *restrict src, size_t n)
{
	void *d = dst;

	if (n <= 32)
		copy_short(dst, src, n);
	else if (n < LONG)
		copy_up(dst, src, n);
	else
		__asm__ volatile("rep movsb" : "+D"(d), "+S"(src), "+c"(n)::"memory");
	return dst;
}

void *memmove(void *dst, const void *src, size_t n)
{
	void *d = dst;

	if (n <= 32)
		copy_short(dst, src, n);
	else if ((uintptr_t)dst - (uintptr_t)src < n)
		copy_down(dst, src, n);
	else if (n < LONG || (uintptr_t)src - (uintptr_t)dst < 64)
		copy_up(dst, src, n);
	else
		__asm__ volatile("rep movsb" : "+D"(d), "+S"(src), "+c"(n)::"memory");
	return dst;
}

void *memset(void *dst, int c, size_t n)
{
	unsigned char *d = dst, *end = d + n;
	__m128i v = _mm_set1_epi8((char)c);
	void *p = dst;

	if (n >= LONG) {
		__asm__ volatile("rep stosb" : "+D"(p), "+c"(n) : "a"(c) : "memory");
	} else if (n >= 16) {
		for (; d + 16 <= end; d += 16)
			store(d, v);
		store(end - 16, v);
	} else if (n >= 8) {
		*(u64_any *)d = *(u64_any *)(end - 8) = (uint64_t)_mm_cvtsi128_si64(v);
	} else if (n >= 4) {
		*(u32_any *)d = *(u32_any *)(end - 4) = (uint32_t)_mm_cvtsi128_si32(v);
	} else if (n) {
		d[0] = d[n / 2] = d[n - 1] = (unsigned char)c;
	}
	return dst;
}

int memcmp(const void *va, const void *vb, size_t n)
{
	const unsigned char *a = va, *b = vb;

	for (; n >= 16; a += 16, b += 16, n -= 16) {
		unsigned differ = 0xffff ^ (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(load(a), load(b)));

		if (differ) {
			int i = __builtin_ctz(differ);

			return a[i] - b[i];
		}
	}
	if (n >= 8) {
		uint64_t x = __builtin_bswap64(*(const u64_any *)a), y = __builtin_bswap64(*(const u64_any *)b);

		if (x != y)
			return x < y ? -1 : 1;
		a += 8;
		b += 8;
		n -= 8;
	}
	for (; n; a++, b++, n--)
		if (*a != *b)
			return *a - *b;
	return 0;
}

/* The aligned 16 bytes around p: which of them are c. */
static inline unsigned matches(const char *p, __m128i c)
{
	return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(*(const __m128i *)p, c));
}

size_t strlen(const char *s)
{
	const char *p = (const char *)((uintptr_t)s & ~15UL);
	__m128i zero = _mm_setzero_si128();
	unsigned m = matches(p, zero) >> (s - p);

	if (m)
		return (size_t)__builtin_ctz(m);
	do {
		p += 16;
		m = matches(p, zero);
	} while (!m);
	return (size_t)(p - s) + (size_t)__builtin_ctz(m);
}

void *memchr(const void *vs, int c, size_t n)
{
	const char *s = vs, *p = (const char *)((uintptr_t)s & ~15UL);
	__m128i v = _mm_set1_epi8((char)c);
	unsigned m;
	size_t at;

	if (!n)
		return NULL;
	m = matches(p, v) >> (s - p);
	if (m) {
		at = (size_t)__builtin_ctz(m);
		return at < n ? (void *)(s + at) : NULL;
	}
	for (at = 16 - (size_t)(s - p); at < n; at += 16) {
		m = matches(s + at, v);
		if (m) {
			at += (size_t)__builtin_ctz(m);
			return at < n ? (void *)(s + at) : NULL;
		}
	}
	return NULL;
}

#endif
