/* stats.h: counters per system call, kept when kernel->stats is set (--stats). */
#pragma once

#include "platform/abi/x86_64/nr.h"
#include "platform/base/attr.h"

struct call_stats {
	uint64_t calls, errors, ns; /* [a] */
};

struct kernel_stats {
	struct call_stats call[LINUX_NR_MAX + 1];
	uint64_t unknown;		/* [a] numbers beyond the table */
	uint64_t faults, kicks, blocks; /* [a] exceptions seen, runs interrupted, times a task slept */
};
