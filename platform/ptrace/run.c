/* run.c: running guest code until something happens. Guest code only ever runs through PTRACE_SYSEMU: each
 * of its system calls stops before the host has looked at it, and is not executed. */
#include "platform/ptrace/internal.h"

#include <linux/ptrace.h>
#include <signal.h>
#include <sys/wait.h>

#include "platform/base/clock.h"
#include "platform/host/hostcall.h"

void ptrace_kick(struct context *ctx)
{
	struct ptrace_context *c = ptrace_context_of(ctx);
	uint32_t old = __atomic_fetch_or(&c->kick, KICK_PENDING, __ATOMIC_SEQ_CST);

	/* When the owner isn't inside it sees the flag before it enters. When it is, the signal stops the
	 * thread at the latest when it next enters guest code. A stale signal, or one to a thread that has
	 * taken over a dead one's number, is a guest thread's and is dropped there. */
	if ((old & KICK_INSIDE) && !(old & KICK_PENDING))
		hc_tgkill(ptrace_aspace_of(ctx->as)->pid, c->t.tid, KICK_SIGNAL);
}

static bool kick_enter(struct ptrace_context *c)
{
	uint32_t old = __atomic_fetch_or(&c->kick, KICK_INSIDE, __ATOMIC_SEQ_CST);

	if (!(old & KICK_PENDING))
		return true;
	__atomic_store_n(&c->kick, 0, __ATOMIC_SEQ_CST);
	return false;
}

/* The signal of a kick has arrived: true unless it was reported before. */
static bool kick_take(struct ptrace_context *c)
{
	return __atomic_fetch_and(&c->kick, ~KICK_PENDING, __ATOMIC_SEQ_CST) & KICK_PENDING;
}

static int run_load(struct ptrace_context *c)
{
	int ret = 0;

	if (c->regs_dirty)
		ret = tracee_set_regs(&c->t, &c->regs);
	else if (c->result_dirty)
		ret = (int)hc_ptrace(PTRACE_POKEUSR, c->t.tid, ARCH_RESULT_OFFSET,
				     (uint64_t)regs_result(&c->regs));
	return ret;
}

/* A system call: what it is, as the host saw it. Registers are fetched only when somebody asks. */
static bool decode_syscall(struct ptrace_context *c, struct run_event *ev)
{
	struct ptrace_syscall_info info;
	long n = hc_ptrace(PTRACE_GET_SYSCALL_INFO, c->t.tid, sizeof(info), (uint64_t)(uintptr_t)&info);

	if (n < 0 || info.op != PTRACE_SYSCALL_INFO_ENTRY) {
		ev->reason = RUN_EXITED;
		return true;
	}
	ev->reason = RUN_SYSCALL;
	/* legacy entries and 32-bit code speak another ABI, which isn't offered */
	ev->nr = info.arch == ARCH_AUDIT ? (int64_t)(int32_t)info.entry.nr : -1;
	for (int i = 0; i < 6; i++)
		ev->args[i] = info.entry.args[i];
	return true;
}

static bool decode_signal(struct ptrace_context *c, int sig, struct run_event *ev)
{
	siginfo_t info = {0};

	if (sig == KICK_SIGNAL) {
		ev->reason = RUN_KICKED;
		return kick_take(c);
	}
	if (sig != SIGSEGV && sig != SIGBUS && sig != SIGFPE && sig != SIGILL && sig != SIGTRAP)
		return false;
	if (hc_ptrace(PTRACE_GETSIGINFO, c->t.tid, 0, (uint64_t)(uintptr_t)&info) < 0) {
		ev->reason = RUN_EXITED;
		return true;
	}
	if (info.si_code <= 0) /* sent by a process of the host */
		return false;
	ev->reason = RUN_FAULT;
	ev->signo = sig;
	ev->code = info.si_code;
	ev->addr = (uaddr_t)(uintptr_t)info.si_addr;
	arch_describe_trap(ev, ptrace_regs(&c->base, false));
	return true;
}

/* true: an event; false: nothing that concerns the guest, resume. */
static bool decode(struct ptrace_context *c, int status, struct run_event *ev)
{
	int sig = WSTOPSIG(status), event = status >> 16;

	if (c->t.ended || c->t.dying) {
		ev->reason = RUN_EXITED;
		return true;
	}
	if (event) /* a group stop from outside */
		return false;
	if (sig == (SIGTRAP | 0x80))
		return decode_syscall(c, ev);
	return decode_signal(c, sig, ev);
}

/* The process was reaped with its first thread: its number must not be used again. */
static void run_reaped(struct ptrace_context *c)
{
	struct ptrace_aspace *as = ptrace_aspace_of(c->base.as);

	rwlock_write(&as->pid_lock);
	if (c->t.ended && c->leader)
		as->pid = 0;
	rwlock_write_unlock(&as->pid_lock);
}

static void run_account(struct ptrace_context *c, bool enter)
{
	uint64_t now;

	if (!__atomic_load_n(&ptrace_aspace_of(c->base.as)->threaded, __ATOMIC_RELAXED))
		return;
	now = clock_monotonic_ns();
	mutex_lock(&c->cpu_lock);
	if (c->cpu_entered)
		c->cpu_base += now - c->cpu_entered;
	c->cpu_entered = enter ? now : 0;
	mutex_unlock(&c->cpu_lock);
}

static void run_guest(struct ptrace_context *c, struct run_event *ev)
{
	int status;

	do {
		c->regs_valid = false;
		if (tracee_resume(&c->t, PTRACE_SYSEMU) < 0 || tracee_wait(&c->t, &status) < 0) {
			ev->reason = RUN_EXITED;
			return;
		}
	} while (!decode(c, status, ev));
}

int ptrace_run(struct context *ctx, struct run_event *ev)
{
	struct ptrace_context *c = ptrace_context_of(ctx);

	if (!kick_enter(c)) {
		ev->reason = RUN_KICKED;
		return 0;
	}
	if (!context_alive(c) || run_load(c) < 0) {
		ev->reason = RUN_EXITED;
	} else {
		c->regs_dirty = c->result_dirty = false;
		run_account(c, true);
		run_guest(c, ev);
		run_account(c, false);
	}
	__atomic_fetch_and(&c->kick, ~KICK_INSIDE, __ATOMIC_SEQ_CST);
	if (c->t.ended)
		run_reaped(c);
	return 0;
}
