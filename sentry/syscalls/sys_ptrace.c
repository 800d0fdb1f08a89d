/* sys_ptrace.c: ptrace(2). */
#include "sentry/kernel/ptrace.h"
#include "sentry/syscalls/internal.h"

int64_t sys_ptrace(struct task *t, const struct sysargs *a)
{
	return ptrace_request(t, arg_i64(a, 0), arg_int(a, 1), arg_u64(a, 2), arg_u64(a, 3));
}
