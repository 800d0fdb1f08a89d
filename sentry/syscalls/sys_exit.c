/* sys_exit.c: exit(2), exit_group(2). */
#include "sentry/kernel/task.h"
#include "sentry/syscalls/internal.h"

int64_t sys_exit(struct task *t, const struct sysargs *a)
{
	task_exit_thread(t, arg_int(a, 0));
	return SYSCALL_REGS_SET;
}

int64_t sys_exit_group(struct task *t, const struct sysargs *a)
{
	task_exit_group(t, arg_int(a, 0));
	return SYSCALL_REGS_SET;
}
