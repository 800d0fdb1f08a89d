/* thread.h: host threads of the sentry. Detached; finished ones are kept parked for reuse, because
 * creating one costs more than waking one. */
#pragma once

#include "platform/base/attr.h"

/* Runs fn(arg) on a thread of the pool, or a new one. -EAGAIN/-ENOMEM when the host has none. */
MUST_CHECK int thread_start(void (*fn)(void *arg), void *arg, const char *name);
/* Lets another thread run. */
void thread_yield(void);
/* A memory barrier on every processor of the host that runs anything: membarrier(2). 0 or -errno. */
int thread_global_barrier(void);
