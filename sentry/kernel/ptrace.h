/* ptrace.h: ptrace(2). */
#pragma once

#include "platform/abi/ptrace.h"
#include "sentry/kernel/kernel.h"

MUST_CHECK int64_t ptrace_request(struct task *t, int64_t request, int32_t pid, uint64_t addr, uint64_t data);
