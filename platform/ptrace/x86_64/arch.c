/* arch.c: what the ptrace platform knows of x86-64 registers and exceptions. */
#include "platform/ptrace/internal.h"

#include <signal.h>
#include <sys/syscall.h>

_Static_assert(sizeof(struct guest_regs) == 27 * 8, "guest_regs is user_regs_struct");

#define CS_64	   0x33
#define CS_32	   0x23
#define SS_USER	   0x2b
#define FLAGS_IDLE 0x202
#define NO_CALL	   ((uint64_t)-1)

void arch_stub_regs(struct guest_regs *r, const char *label)
{
	*r = (struct guest_regs){
		.rip = stub_addr(label),
		.eflags = FLAGS_IDLE,
		.cs = CS_64,
		.ss = SS_USER,
		.orig_rax = NO_CALL,
	};
}

void arch_stub_call(struct guest_regs *r, long nr, const uint64_t args[6])
{
	arch_stub_regs(r, ptrace_stub_call);
	r->rax = (uint64_t)nr;
	r->rdi = args[0];
	r->rsi = args[1];
	r->rdx = args[2];
	r->r10 = args[3];
	r->r8 = args[4];
	r->r9 = args[5];
}

void arch_stub_clone(struct guest_regs *r, uint64_t flags, int parent)
{
	arch_stub_regs(r, ptrace_stub_clone);
	r->rax = SYS_clone;
	r->rdi = flags;
	r->r12 = (uint64_t)parent;
}

void arch_stub_cmpxchg(struct guest_regs *r, uaddr_t addr, uint32_t expected, uint32_t desired)
{
	arch_stub_regs(r, ptrace_stub_cmpxchg);
	r->rdi = addr;
	r->rax = expected;
	r->rdx = desired;
}

static uint64_t data_selector(uint64_t v)
{
	return (v & 3) == 3 ? v & 0xffff : 0;
}

void arch_loadable_regs(struct guest_regs *r)
{
	/* No call is in progress: the host must not restart one, whatever rax holds. */
	r->orig_rax = NO_CALL;
	/* The host refuses some selectors and bases, and stops half-way when it does. */
	r->cs = (r->cs & 0xffff) == CS_32 ? CS_32 : CS_64;
	r->ss = SS_USER;
	r->ds = data_selector(r->ds);
	r->es = data_selector(r->es);
	r->fs = data_selector(r->fs);
	r->gs = data_selector(r->gs);
	if (r->fs_base >= GUEST_VA_END)
		r->fs_base = 0;
	if (r->gs_base >= GUEST_VA_END)
		r->gs_base = 0;
}

/* Vector numbers and page fault bits of the processor. The host doesn't tell a tracer which exception it
 * was, but signal and code leave little choice. Whether a page fault was a write stays unknown. */
void arch_describe_trap(struct run_event *ev, const struct guest_regs *r)
{
	enum { DE = 0, DB = 1, BP = 3, OF = 4, UD = 6, GP = 13, PF = 14, AC = 17, XM = 19 };
	enum { PF_PROT = 1, PF_USER = 4, PF_FETCH = 16 };

	ev->err = 0;
	switch (ev->signo) {
	case SIGSEGV:
		ev->trapno = ev->code == SI_KERNEL ? GP : PF;
		break;
	case SIGBUS:
		ev->trapno = ev->code == BUS_ADRALN ? AC : PF;
		break;
	case SIGFPE:
		ev->trapno = ev->code == FPE_INTDIV ? DE : ev->code == FPE_INTOVF ? OF : XM;
		break;
	case SIGILL:
		ev->trapno = UD;
		break;
	default:
		ev->trapno = ev->code == SI_KERNEL ? BP : DB;
		break;
	}
	if (ev->trapno != PF)
		return;
	ev->err = PF_USER;
	if (ev->signo == SIGSEGV && ev->code == SEGV_ACCERR)
		ev->err |= PF_PROT;
	if (ev->addr == r->rip)
		ev->err |= PF_FETCH;
}
