/* nested_test.h: tests of a platform need the place where it puts its own pages; in a guest of another sandbox
 * of ours it is taken (mmap answers EEXIST there), so such tests are skipped. */
#pragma once

#include <criterion/criterion.h>
#include <sys/mman.h>

/* Call first in the set-up of a platform's test suite, with SBX_STUB_START. */
static inline void skip_where_taken(unsigned long place)
{
	void *p =
		mmap((void *)place, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (p == MAP_FAILED)
		cr_skip_test("inside a sandbox the platform's place is taken");
	munmap(p, 4096);
}
