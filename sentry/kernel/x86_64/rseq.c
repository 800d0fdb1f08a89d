/* rseq.c: rseq(2). Not offered: a restartable sequence must be aborted whenever the host preempts the
 * guest, which nobody tells us; a sequence that is never aborted would corrupt what it guards. C libraries
 * cope. */
#include "sentry/kernel/internal.h"

int task_rseq(struct task *t, uaddr_t addr, uint32_t len, uint32_t flags, uint32_t sig)
{
	(void)t, (void)addr, (void)len, (void)flags, (void)sig;
	return -ENOSYS;
}
