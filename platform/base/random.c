/* random.c: getrandom(2) in a loop. */
#include "platform/base/random.h"

#include <errno.h>
#include <sys/random.h>

#include "platform/base/bug.h"

void random_bytes(void *dst, size_t n)
{
	char *p = dst;

	while (n) {
		ssize_t r = getrandom(p, n, 0);

		if (r < 0 && errno == EINTR)
			continue;
		BUG_ON(r <= 0);
		p += r;
		n -= (size_t)r;
	}
}

uint64_t random_u64(void)
{
	uint64_t v;

	random_bytes(&v, sizeof(v));
	return v;
}
