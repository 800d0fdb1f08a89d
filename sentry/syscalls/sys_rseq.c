/* sys_rseq.c: rseq(2), restart_syscall(2). */
#include "sentry/kernel/task.h"
#include "sentry/syscalls/internal.h"

int64_t sys_rseq(struct task *t, const struct sysargs *a)
{
	return task_rseq(t, arg_addr(a, 0), arg_u32(a, 1), arg_u32(a, 2), arg_u32(a, 3));
}

int64_t sys_restart_syscall(struct task *t, const struct sysargs *a)
{
	(void)a;
	return task_restart(t);
}
