/* segments.c: the FS and GS bases of arch_prctl(2). */
#include "sentry/kernel/task.h"

#include "sentry/kernel/internal.h"

void task_set_segment_base(struct task *t, bool gs, uint64_t base)
{
	struct guest_regs *r = task_regs(t, true);

	if (gs)
		r->gs_base = base;
	else
		r->fs_base = base;
}

uint64_t task_segment_base(struct task *t, bool gs)
{
	const struct guest_regs *r = task_regs(t, false);

	return gs ? r->gs_base : r->fs_base;
}
