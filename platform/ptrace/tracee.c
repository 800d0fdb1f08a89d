/* tracee.c: one traced host thread: attaching, stopping, running stub code, letting go. Every function is
 * called by the tracer thread. A traced thread may be killed from outside at any moment; then ptrace calls
 * answer -ESRCH, and the thread is waited for when its owner lets go of it. */
#include "platform/ptrace/internal.h"

#include <linux/ptrace.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "platform/host/hostcall.h"

#define EVENT_OF(status) ((status) >> 16)

int tracee_wait(struct tracee *t, int *status)
{
	int ret;

	if (t->ended)
		return -ESRCH;
	do {
		ret = hc_wait4(t->tid, status, __WALL, NULL);
	} while (ret == -EINTR);
	if (ret != t->tid) {
		t->ended = true;
		return -ESRCH;
	}
	if (!WIFSTOPPED(*status))
		t->ended = true;
	else if (EVENT_OF(*status) == PTRACE_EVENT_EXIT)
		t->dying = true;
	return 0;
}

/* Looks, without waiting, whether a stopped thread has been killed. */
static bool tracee_killed(struct tracee *t)
{
	int status, ret;

	if (t->ended || t->dying)
		return true;
	ret = hc_wait4(t->tid, &status, __WALL | WNOHANG, NULL);
	if (ret == t->tid && !WIFSTOPPED(status))
		t->ended = true;
	else if (ret == t->tid && EVENT_OF(status) == PTRACE_EVENT_EXIT)
		t->dying = true;
	return t->ended || t->dying;
}

int tracee_get_regs(struct tracee *t, struct guest_regs *r)
{
	if (t->ended)
		return -ESRCH;
	return (int)hc_ptrace(PTRACE_GETREGS, t->tid, 0, (uint64_t)(uintptr_t)r);
}

int tracee_set_regs(struct tracee *t, const struct guest_regs *r)
{
	struct guest_regs safe = *r;

	if (t->ended)
		return -ESRCH;
	arch_loadable_regs(&safe);
	return (int)hc_ptrace(PTRACE_SETREGS, t->tid, 0, (uint64_t)(uintptr_t)&safe);
}

int tracee_resume(struct tracee *t, long request)
{
	if (t->watch && tracee_killed(t))
		return -ESRCH;
	return (int)hc_ptrace(request, t->tid, 0, 0);
}

/* It died while it was being attached to: its end comes soon, as no other thread of it is traced. */
static int tracee_lost(struct tracee *t)
{
	int status;

	while (!t->ended && !tracee_wait(t, &status) && WIFSTOPPED(status))
		(void)hc_ptrace(PTRACE_CONT, t->tid, 0, 0);
	return -ESRCH;
}

int tracee_attach(struct tracee *t, bool process)
{
	struct guest_regs r;
	int status, ret = (int)hc_ptrace(PTRACE_SEIZE, t->tid, 0, TRACE_OPTIONS);

	if (ret < 0)
		return ret;
	if (hc_ptrace(PTRACE_INTERRUPT, t->tid, 0, 0) < 0 || tracee_wait(t, &status) < 0)
		return tracee_lost(t);
	if (t->ended)
		return -ESRCH;
	if (t->dying)
		return tracee_lost(t);
	if (!process)
		return 0;
	/* When it was stopped before it got to the loop, do in its place what it had to do before. */
	if (tracee_get_regs(t, &r) < 0)
		return tracee_lost(t);
	if (regs_ip(&r) >= stub_addr(ptrace_stub_idle) && regs_ip(&r) < stub_addr(ptrace_stub_idle_end))
		return 0;
	if (tracee_call(t, SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0, 0) < 0)
		return tracee_lost(t);
	return 0;
}

/* Does the thread still have memory, that is, isn't it a zombie? */
static bool tracee_has_memory(struct tracee *t)
{
	char byte;
	struct iovec_ {
		void *base;
		size_t size;
	} local = {&byte, 1}, remote = {(void *)STUB_TEXT, 1};

	return hc_process_vm_readv(t->tid, (const struct iovec *)&local, 1, (const struct iovec *)&remote, 1) ==
	       1;
}

/* A thread that was killed from outside: lets it die, and reaps it unless it is a leader, whose process is
 * reaped with the address space. */
static void tracee_bury(struct tracee *t, bool leader)
{
	const struct timespec pause = {.tv_nsec = 100000};

	while (!t->ended) {
		int status, ret = hc_wait4(t->tid, &status, __WALL | WNOHANG, NULL);

		if (ret == -EINTR)
			continue;
		if (ret < 0 || (ret == t->tid && !WIFSTOPPED(status))) {
			t->ended = true;
		} else if (ret == t->tid) {
			if (!hc_ptrace(PTRACE_DETACH, t->tid, 0, 0) && leader)
				return;
		} else {
			if (leader && !tracee_has_memory(t))
				return;
			hc_clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
		}
	}
}

void tracee_release(struct tracee *t, const char *label, bool leader)
{
	struct guest_regs r;

	if (t->ended)
		return;
	arch_stub_regs(&r, label);
	if (tracee_set_regs(t, &r) < 0 || hc_ptrace(PTRACE_DETACH, t->tid, 0, 0) < 0)
		tracee_bury(t, leader);
}

static bool is_fault(struct tracee *t, int sig)
{
	siginfo_t info = {0};

	if (sig != SIGSEGV && sig != SIGBUS && sig != SIGILL && sig != SIGFPE)
		return false;
	return !hc_ptrace(PTRACE_GETSIGINFO, t->tid, 0, (uint64_t)(uintptr_t)&info) && info.si_code > 0;
}

int tracee_run_stub(struct tracee *t, struct guest_regs *r, const char *trap, bool catch_fault)
{
	uaddr_t end = stub_addr(trap) + 1;
	int ret = t->dying ? -ESRCH : tracee_set_regs(t, r);

	while (ret == 0) {
		int status;

		if (tracee_resume(t, PTRACE_CONT) < 0 || tracee_wait(t, &status) < 0 || t->ended || t->dying)
			return -ESRCH;
		if (EVENT_OF(status))
			continue; /* a stop from outside: not honoured */
		if (is_fault(t, WSTOPSIG(status))) {
			/* The stub itself can't fault; should it, the thread must not go on. */
			return catch_fault ? tracee_get_regs(t, r) ?: -EFAULT : -ESRCH;
		}
		if (WSTOPSIG(status) == SIGTRAP) {
			ret = tracee_get_regs(t, r);
			if (ret == 0 && regs_ip(r) == end)
				return 0;
		}
		/* any other signal, a kick's among them, is dropped: the kick flag stays set */
	}
	return ret;
}

int64_t tracee_call(struct tracee *t, long nr, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4,
		    uint64_t a5)
{
	const uint64_t args[6] = {a0, a1, a2, a3, a4, a5};
	struct guest_regs r;
	int ret;

	arch_stub_call(&r, nr, args);
	ret = tracee_run_stub(t, &r, ptrace_stub_call_trap, false);
	return ret < 0 ? ret : regs_result(&r);
}
