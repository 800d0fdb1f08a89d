/* sys_membarrier.c: membarrier(2), on top of the host's: a barrier on all processors that run anything is
 * one on those that run the caller's threads. */
#include "platform/abi/futex.h"
#include "sentry/kernel/task.h"
#include "sentry/syscalls/internal.h"

#define SUPPORTED                                                                                              \
	(LINUX_MEMBARRIER_CMD_GLOBAL | LINUX_MEMBARRIER_CMD_GLOBAL_EXPEDITED |                                 \
	 LINUX_MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED | LINUX_MEMBARRIER_CMD_PRIVATE_EXPEDITED |             \
	 LINUX_MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED)

int64_t sys_membarrier(struct task *t, const struct sysargs *a)
{
	int cmd = arg_int(a, 0);

	if (arg_u32(a, 1))
		return -EINVAL;
	switch (cmd) {
	case LINUX_MEMBARRIER_CMD_QUERY:
		return SUPPORTED;
	case LINUX_MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED:
		return 0;
	case LINUX_MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED:
		task_set_membarrier(t);
		return 0;
	case LINUX_MEMBARRIER_CMD_PRIVATE_EXPEDITED:
		if (!task_membarrier(t))
			return -EPERM;
		FALLTHROUGH;
	case LINUX_MEMBARRIER_CMD_GLOBAL:
	case LINUX_MEMBARRIER_CMD_GLOBAL_EXPEDITED:
		return task_barrier(t);
	default:
		return -EINVAL;
	}
}
