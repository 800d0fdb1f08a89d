/* systrap.h: what others may know of this platform beyond platform.h. */
#pragma once

#include "platform/platform.h"

/* Counts since the start, by contexts that have ended and those that live. */
struct systrap_counts {
	uint64_t traps, calls; /* arrivals by signal, and from patched sites */
	uint64_t faults, kicks;
	uint64_t spins_won, spins_lost, sleeps; /* waits of the sentry's threads */
	uint64_t commands, forks, threads, copies;
	uint64_t sites_patched, sites_refused;
	uint64_t answered; /* by the stub alone */
};
