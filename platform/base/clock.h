/* clock.h: host clocks through the vDSO; no system call on the usual path. Nanoseconds. */
#pragma once

#include "platform/base/attr.h"

#define NSEC_PER_SEC 1000000000ULL

uint64_t clock_monotonic_ns(void);
uint64_t clock_boottime_ns(void);
/* since the epoch; signed, as time_t is */
int64_t clock_realtime_ns(void);
/* CPU time of the calling host thread */
uint64_t clock_thread_cpu_ns(void);
/* Another thread of this process: a handle for it, taken by itself, and its CPU time (0 when it is gone). */
int32_t clock_thread_handle(void);
uint64_t clock_thread_cpu_of(int32_t handle);
