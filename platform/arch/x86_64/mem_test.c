/* mem_test.c: mem.c's functions, under other names, against the C library's: every size up to some hundred at
 * every alignment, and overlapping in every way. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/attr.h"

void *mem_memcpy(void *restrict dst, const void *restrict src, size_t n);
void *mem_memmove(void *dst, const void *src, size_t n);
void *mem_memset(void *dst, int c, size_t n);
int mem_memcmp(const void *a, const void *b, size_t n);
size_t mem_strlen(const char *s);
void *mem_memchr(const void *s, int c, size_t n);

#define MEM_TEST
#define memcpy	mem_memcpy
#define memmove mem_memmove
#define memset	mem_memset
#define memcmp	mem_memcmp
#define strlen	mem_strlen
#define memchr	mem_memchr
#include "platform/arch/x86_64/mem.c"
#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef strlen
#undef memchr

#define SIZE 5000

static unsigned char want[SIZE], got[SIZE], source[SIZE];
static const size_t sizes[] = {0,   1,	 2,   3,   4,	5,   7,	   8,	 9,    15,   16,  17,
			       31,  32,	 33,  47,  48,	49,  63,   64,	 65,   95,   96,  97,
			       127, 128, 129, 200, 255, 511, 1023, 1024, 1025, 2000, 4000};

static void fill(unsigned char *p)
{
	for (size_t i = 0; i < SIZE; i++)
		p[i] = (unsigned char)rand();
}

Test(mem, copies_and_fills_as_the_c_library)
{
	fill(source);
	for (size_t k = 0; k < ARRAY_SIZE(sizes); k++)
		for (size_t a = 0; a < 18; a++)
			for (size_t b = 0; b < 18; b++) {
				size_t n = sizes[k];

				memset(want, 0x55, SIZE);
				memset(got, 0x55, SIZE);
				memcpy(want + 64 + a, source + b, n);
				cr_assert_eq(mem_memcpy(got + 64 + a, source + b, n), got + 64 + a);
				cr_assert_eq(memcmp(want, got, SIZE), 0, "memcpy %zu to %zu from %zu", n, a, b);
				memset(want + 64 + a, (int)b + 0x700, n);
				cr_assert_eq(mem_memset(got + 64 + a, (int)b + 0x700, n), got + 64 + a);
				cr_assert_eq(memcmp(want, got, SIZE), 0, "memset %zu at %zu", n, a);
			}
}

Test(mem, moves_over_itself)
{
	for (size_t k = 0; k < ARRAY_SIZE(sizes); k++)
		for (int distance = -70; distance <= 70; distance++) {
			size_t n = sizes[k], from = 100, to = (size_t)(100 + distance);

			fill(want);
			memcpy(got, want, SIZE);
			memmove(want + to, want + from, n);
			cr_assert_eq(mem_memmove(got + to, got + from, n), got + to);
			cr_assert_eq(memcmp(want, got, SIZE), 0, "memmove %zu by %d", n, distance);
		}
}

static int sign(int v)
{
	return (v > 0) - (v < 0);
}

Test(mem, compares_and_searches_as_the_c_library)
{
	fill(want);
	memcpy(got, want, SIZE);
	for (size_t n = 0; n < 100; n++)
		for (size_t a = 0; a < 17; a++) {
			unsigned char *p = got + a, old;

			cr_assert_eq(mem_memcmp(want + a, p, n), 0);
			for (size_t i = 0; i < n; i++) {
				old = p[i];
				p[i] = (unsigned char)(old + 1 + i);
				cr_assert_eq(sign(mem_memcmp(want + a, p, n)), sign(memcmp(want + a, p, n)),
					     "memcmp %zu differing at %zu", n, i);
				cr_assert_eq(mem_memchr(p, p[i], n), memchr(p, p[i], n));
				cr_assert_eq(mem_memchr(p, old, n), memchr(p, old, n));
				p[i] = old;
			}
		}
	memset(got, 'x', SIZE);
	for (size_t n = 0; n < 200; n++)
		for (size_t a = 0; a < 17; a++) {
			got[a + n] = 0;
			cr_assert_eq(mem_strlen((char *)got + a), n);
			got[a + n] = 'x';
		}
}
