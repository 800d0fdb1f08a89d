/* core.h: core files (core(5)). */
#pragma once

#include "sentry/kernel/kernel.h"

/* Does this signal's default action leave a core file? */
bool signal_dumps_core(int sig);
/* Writes the core file of t's process, which dies of info: on t's own thread, without locks, the other threads
 * having been told to go. False: none was written (limit, not dumpable, no place for it). */
bool core_dump(struct task *t, const struct linux_siginfo *info);
