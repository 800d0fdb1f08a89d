/* cpuid.h: questions to the processor. */
#pragma once

#include <cpuid.h>

#include "platform/base/attr.h"

/* Where the last of the given XSAVE components ends in the standard form; at least 576. */
static inline size_t cpuid_xstate_end(uint64_t features)
{
	size_t end = 576;

	for (unsigned i = 2; i < 63; i++) {
		unsigned size, offset, c, d;

		if (!(features >> i & 1))
			continue;
		if (!__get_cpuid_count(0xd, i, &size, &offset, &c, &d))
			continue;
		if (!(c & 1)) /* not a supervisor component */
			end = MAX(end, (size_t)offset + size);
	}
	return end;
}
