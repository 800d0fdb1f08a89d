/* seccomp.h: shared by seccomp(2) and prctl(2). */
#pragma once

#include "sentry/syscalls/sys.h"

/* Installs the filter that a struct sock_fprog of the guest describes. */
MUST_CHECK int64_t seccomp_install(struct task *t, uint32_t flags, uaddr_t fprog);
