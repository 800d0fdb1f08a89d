/* nested.h: tests of a platform need the places where it puts its own pages; in a guest of another sandbox of
 * ours they are taken (mmap answers EEXIST there), so such tests are skipped. */
#pragma once

#include <criterion/criterion.h>
#include <sys/mman.h>

#include "platform/platform.h"

/* Call first in the set-up of a platform's test suite. */
static inline void skip_inside_a_sandbox(void)
{
	void *p = mmap((void *)SBX_STUB_START, PAGE_SIZE, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (p == MAP_FAILED)
		cr_skip_test("inside a sandbox the platform's places are taken");
	munmap(p, PAGE_SIZE);
}
