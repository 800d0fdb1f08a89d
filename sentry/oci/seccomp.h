/* seccomp.h: linux.seccomp of a spec as a classic BPF program, for the sentry to apply to the guest. */
#pragma once

#include "platform/base/attr.h"

struct json_object;

/* The program's bytes (malloc, struct sock_filter each). 0, or -1 with a text. */
MUST_CHECK int seccomp_compile(struct json_object *seccomp, void **prog, size_t *size, char *err,
			       size_t err_size);
