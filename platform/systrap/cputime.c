/* cputime.c: what a guest uses. The host tells one process another's CPU time and resident memory, but not
 * another's threads': what a process of several has used is shared out among them, so that sums are right.
 */
#include "platform/systrap/internal.h"

#include <time.h>

#include "platform/base/clock.h"
#include "platform/host/hostcall.h"
#include "platform/host/proc.h"

/* the kernel's encoding of a process's CPU clock: clock_getcpuclockid(3) */
static uint64_t process_cpu(int pid)
{
	struct timespec ts;

	if (hc_clock_gettime((int)(~(unsigned)pid << 3 | 2), &ts) < 0)
		return 0;
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

void cputime_settle(struct sys_proc *proc)
{
	uint64_t now = 0, share;

	LOCK(&proc->lock);
	if (proc_use(proc))
		now = process_cpu(proc->pid);
	proc_unuse(proc);
	if (now > proc->cpu_seen && proc->context_count) {
		share = (now - proc->cpu_seen) / proc->context_count;
		proc->cpu_seen = now;
		for (uint32_t i = 0; i < proc->cap; i++)
			if (proc->contexts[i])
				proc->contexts[i]->cpu_ns += share;
	}
	mutex_unlock(&proc->lock);
}

uint64_t systrap_cpu_time(struct context *ctx)
{
	struct sys_context *c = sys_context(ctx);
	uint64_t ns;

	LOCK(&c->where_lock);
	if (c->proc)
		cputime_settle(c->proc);
	ns = c->cpu_ns;
	mutex_unlock(&c->where_lock);
	return ns;
}

uint64_t systrap_resident(struct aspace *base)
{
	struct sys_proc *proc = sys_aspace(base)->proc;

	uint64_t n = 0;

	if (proc_use(proc))
		n = proc_resident(proc->pid);
	proc_unuse(proc);
	return n;
}
