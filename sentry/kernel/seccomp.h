/* seccomp.h: seccomp(2): strict mode and filters. */
#pragma once

#include "sentry/kernel/bpf.h"
#include "sentry/kernel/kernel.h"

/* Installs a program (takes it, also on failure) for t, or for all threads (SECCOMP_FILTER_FLAG_*). 0,
 * -errno, or with TSYNC the id of a thread that can't follow. */
MUST_CHECK int seccomp_add_filter(struct task *t, struct bpf_prog *prog, uint32_t flags);
MUST_CHECK int seccomp_set_strict(struct task *t);
uint32_t seccomp_mode(struct task *t);
