/* ptrace.c: the platform that works everywhere: setting up, and the table of operations. */
#include "platform/ptrace/internal.h"

#include <linux/ptrace.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "platform/base/arena.h"
#include "platform/host/hostcall.h"

/* Traces a child that waits, and asks what only Linux 5.3 and later can answer. */
static int probe_child(int pid, char *why, size_t size)
{
	struct ptrace_syscall_info info;
	int status;
	long ret;

	ret = hc_ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD);
	if (ret < 0) {
		snprintf(why, size, "the host forbids ptrace (error %ld; yama or a seccomp profile)", -ret);
		return (int)ret;
	}
	ret = hc_ptrace(PTRACE_INTERRUPT, pid, 0, 0);
	if (ret == 0)
		ret = hc_wait4(pid, &status, __WALL, NULL);
	if (ret >= 0)
		ret = hc_ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), (uint64_t)(uintptr_t)&info);
	if (ret < 0)
		snprintf(why, size, "the host kernel has no PTRACE_GET_SYSCALL_INFO (error %ld)", -ret);
	return (int)MIN(ret, 0L);
}

static int ptrace_probe(char *why, size_t size)
{
	int ret, pid = hc_fork(0);

	if (pid == 0) {
		const uint64_t all = ~0UL;

		hc_sigprocmask(SIG_SETMASK, &all, NULL);
		for (;;)
			hc_ppoll(NULL, 0, NULL, NULL);
	}
	if (pid < 0) {
		snprintf(why, size, "the host gives no process (error %d)", -pid);
		return pid;
	}
	ret = probe_child(pid, why, size);
	process_kill(pid);
	return ret;
}

static int ptrace_create(struct platform **out)
{
	struct ptrace_platform *p = kmalloc(sizeof(*p));
	int ret;

	if (!p)
		return -ENOMEM;
	p->base.ops = &ptrace_platform_ops;
	ret = zygote_create(p);
	if (ret < 0) {
		kfree(p);
		return ret;
	}
	*out = &p->base;
	return 0;
}

static void ptrace_destroy(struct platform *base)
{
	struct ptrace_platform *p = ptrace_platform_of(base);

	zygote_destroy(p);
	kfree(p);
}

const struct platform_ops ptrace_platform_ops = {
	.name = "ptrace",
	.probe = ptrace_probe,
	.create = ptrace_create,
	.destroy = ptrace_destroy,
	.context_create = ptrace_context_create,
	.context_fork = ptrace_context_fork,
	.context_thread = ptrace_context_thread,
	.context_new_aspace = ptrace_context_new_aspace,
	.context_bind = ptrace_context_bind,
	.context_destroy = ptrace_context_destroy,
	.aspace_destroy = ptrace_aspace_destroy,
	.run = ptrace_run,
	.kick = ptrace_kick,
	.regs = ptrace_regs,
	.set_result = ptrace_set_result,
	.fpstate_get = ptrace_fpstate_get,
	.fpstate_set = ptrace_fpstate_set,
	.fpstate_size = ptrace_fpstate_size,
	.map = ptrace_map,
	.unmap = ptrace_unmap,
	.protect = ptrace_protect,
	.remap = ptrace_remap,
	.advise = ptrace_advise,
	.mincore = ptrace_mincore,
	.copy_in = ptrace_copy_in,
	.copy_out = ptrace_copy_out,
	.poke = ptrace_poke,
	.cmpxchg_u32 = ptrace_cmpxchg_u32,
	.publish = NULL, /* every call leaves: there is nothing to answer from */
	.cpu_time = ptrace_cpu_time,
	.resident = ptrace_resident,
};
