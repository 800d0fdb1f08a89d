/* cpuid.h: questions to the processor. */
#pragma once

#include <cpuid.h>

#include "platform/base/attr.h"

/* Where the last of the given XSAVE components ends in the standard form; at least 576. */
static inline size_t cpuid_xstate_end(uint64_t features)
{
	unsigned size, offset, c, d, low, high;
	size_t end = 576;

	/* a question to the processor is a journey to the host on many virtual machines */
	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	if (features == ((uint64_t)high << 32 | low)) {
		__cpuid_count(0xd, 0, size, offset, c, d);
		return MAX(end, (size_t)offset);
	}
	for (unsigned i = 2; i < 63; i++) {
		if (!(features >> i & 1))
			continue;
		__cpuid_count(0xd, i, size, offset, c, d);
		if (!(c & 1)) /* not a supervisor component */
			end = MAX(end, (size_t)offset + size);
	}
	return end;
}
