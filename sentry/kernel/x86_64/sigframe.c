/* sigframe.c: the signal frame of x86-64 Linux: what a handler finds on its stack, and the way back through
 * rt_sigreturn(2). The frame lies in guest memory and is hostile on the way back: flags are masked, segment
 * selectors are ours whatever it says, and extended state is checked by the platform. */
#include <string.h>

#include "sentry/kernel/internal.h"

#define REDZONE 128
#define USER_CS 0x33
#define USER_SS 0x2b

#define FP_MAGIC1      0x46505853u
#define FP_MAGIC2      0x46505845u
#define FP_MAGIC2_SIZE 4
#define FXSAVE_SIZE    512
#define XSAVE_HEADER   64
#define SW_OFFSET      464 /* of struct fpx_sw in the legacy area */

#define UC_FP_XSTATE	     1u
#define UC_SIGCONTEXT_SS     2u
#define UC_STRICT_RESTORE_SS 4u

#define EFLAGS_TF 0x100u
#define EFLAGS_DF 0x400u
#define EFLAGS_RF 0x10000u
/* what a guest may set: CF PF AF ZF SF TF DF OF RF AC */
#define EFLAGS_USER                                                                                            \
	(0x1u | 0x4u | 0x10u | 0x40u | 0x80u | EFLAGS_TF | EFLAGS_DF | 0x800u | EFLAGS_RF | 0x40000u)
#define EFLAGS_FIXED 0x202u

struct fpx_sw {
	uint32_t magic1, extended_size;
	uint64_t xfeatures;
	uint32_t xstate_size, padding[7];
};

struct sigcontext {
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15, di, si, bp, bx, dx, ax, cx, sp, ip, flags;
	uint16_t cs, gs, fs, ss;
	uint64_t err, trapno, oldmask, cr2, fpstate, reserved[8];
};

struct ucontext {
	uint64_t flags, link;
	struct linux_sigaltstack stack;
	struct sigcontext mc;
	uint64_t sigmask;
};

struct rt_sigframe {
	uint64_t pretcode;
	struct ucontext uc;
	struct linux_siginfo info;
};

_Static_assert(sizeof(struct sigcontext) == 256, "as <asm/sigcontext.h>");
_Static_assert(sizeof(struct ucontext) == 304, "as <asm/ucontext.h>");
_Static_assert(sizeof(struct rt_sigframe) == 440, "as Linux");
_Static_assert(sizeof(struct fpx_sw) == 48, "as <asm/sigcontext.h>");

static bool in_altstack(const struct linux_sigaltstack *s, uint64_t sp)
{
	return sp > s->ss_sp && sp - s->ss_sp <= s->ss_size;
}

/* Where the frame begins building down from; *alt: on the alternate stack. */
static uint64_t frame_top(struct task *t, const struct linux_sigaction *sa, const struct guest_regs *r,
			  bool *alt)
{
	const struct linux_sigaltstack *s = &t->p->altstack;
	bool autodisarm = ((uint32_t)s->ss_flags & LINUX_SS_AUTODISARM) != 0;
	uint64_t sp = r->rsp - REDZONE;

	*alt = s->ss_size && !autodisarm && in_altstack(s, r->rsp);
	if ((sa->sa_flags & LINUX_SA_ONSTACK) && s->ss_size && !*alt) {
		*alt = true;
		return s->ss_sp + s->ss_size;
	}
	return sp;
}

/* Extended state below *sp; *fp: its address. */
static int push_fpstate(struct task *t, uint64_t *sp, uint64_t *fp)
{
	const struct platform_ops *ops = task_platform(t);
	uint8_t *buf = task_bounce(t);
	size_t size = TASK_BOUNCE_SIZE - FP_MAGIC2_SIZE;
	uint32_t magic2 = FP_MAGIC2;
	struct fpx_sw sw = {.magic1 = FP_MAGIC1};
	uint64_t xfeatures;
	int ret;

	if (!buf)
		return -ENOMEM;
	ops->fpstate_size(t->kernel->platform, &xfeatures);
	ret = ops->fpstate_get(t->ctx, buf, &size);
	if (ret < 0)
		return ret;
	if (size < FXSAVE_SIZE + XSAVE_HEADER) {
		*fp = *sp = ROUND_DOWN(*sp - FXSAVE_SIZE, 64UL);
		return copy_to_user(t, *fp, buf, MIN(size, (size_t)FXSAVE_SIZE));
	}
	sw.xfeatures = xfeatures;
	sw.xstate_size = (uint32_t)size;
	sw.extended_size = (uint32_t)size + FP_MAGIC2_SIZE;
	memcpy(buf + SW_OFFSET, &sw, sizeof(sw));
	memcpy(buf + size, &magic2, sizeof(magic2));
	*fp = *sp = ROUND_DOWN(*sp - size - FP_MAGIC2_SIZE, 64UL);
	return copy_to_user(t, *fp, buf, size + FP_MAGIC2_SIZE);
}

static void fill_context(struct task *t, const struct guest_regs *r, struct sigcontext *c)
{
	c->r8 = r->r8, c->r9 = r->r9, c->r10 = r->r10, c->r11 = r->r11;
	c->r12 = r->r12, c->r13 = r->r13, c->r14 = r->r14, c->r15 = r->r15;
	c->di = r->rdi, c->si = r->rsi, c->bp = r->rbp, c->bx = r->rbx;
	c->dx = r->rdx, c->ax = r->rax, c->cx = r->rcx;
	c->sp = r->rsp, c->ip = r->rip, c->flags = r->eflags;
	c->cs = USER_CS, c->ss = USER_SS;
	c->err = t->p->fault_err;
	c->trapno = t->p->fault_trapno;
	c->cr2 = t->p->fault_addr;
}

int sigframe_push(struct task *t, const struct linux_sigaction *sa, int sig, const struct linux_siginfo *info,
		  uint64_t mask)
{
	struct guest_regs *r = task_regs(t, true);
	struct linux_sigaltstack *s = &t->p->altstack;
	struct rt_sigframe f = {0};
	uint64_t sp, fp;
	bool alt;
	int ret;

	if (!(sa->sa_flags & LINUX_SA_RESTORER))
		return -EFAULT; /* as Linux on x86-64: there is no other way back */
	sp = frame_top(t, sa, r, &alt);
	ret = push_fpstate(t, &sp, &fp);
	if (ret < 0)
		return ret;
	r = task_regs(t, true);
	sp = ROUND_DOWN(sp - sizeof(f), 16UL) - 8;
	if (alt && !in_altstack(s, sp))
		return -EFAULT; /* overflow of the alternate stack */
	f.pretcode = sa->sa_restorer;
	f.uc.flags = UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS;
	f.uc.stack = *s;
	f.uc.sigmask = mask;
	fill_context(t, r, &f.uc.mc);
	f.uc.mc.oldmask = mask;
	f.uc.mc.fpstate = fp;
	f.info = *info;
	ret = copy_to_user(t, sp, &f, sizeof(f));
	if (ret < 0)
		return ret;
	if ((uint32_t)s->ss_flags & LINUX_SS_AUTODISARM)
		*s = (struct linux_sigaltstack){.ss_flags = LINUX_SS_DISABLE};
	r->rdi = (uint64_t)sig;
	r->rsi = sp + offsetof(struct rt_sigframe, info);
	r->rdx = sp + offsetof(struct rt_sigframe, uc);
	r->rax = 0;
	r->rip = sa->sa_handler;
	r->rsp = sp;
	r->eflags &= ~(uint64_t)(EFLAGS_TF | EFLAGS_DF | EFLAGS_RF);
	r->orig_rax = (uint64_t)-1;
	return 0;
}

/* Reads the extended state a frame names and loads it. */
static int pop_fpstate(struct task *t, uint64_t fp)
{
	const struct platform_ops *ops = task_platform(t);
	uint8_t *buf = task_bounce(t);
	size_t max = ops->fpstate_size(t->kernel->platform, &(uint64_t){0});
	size_t size = FXSAVE_SIZE;
	struct fpx_sw sw;
	uint32_t magic2;
	int ret;

	if (fp == 0)
		return ops->fpstate_set(t->ctx, NULL, 0);
	if (!buf)
		return -ENOMEM;
	ret = copy_from_user(t, buf, fp, FXSAVE_SIZE);
	if (ret < 0)
		return ret;
	memcpy(&sw, buf + SW_OFFSET, sizeof(sw));
	if (sw.magic1 == FP_MAGIC1 && sw.xstate_size >= FXSAVE_SIZE + XSAVE_HEADER && sw.xstate_size <= max &&
	    sw.xstate_size <= TASK_BOUNCE_SIZE && sw.extended_size == sw.xstate_size + FP_MAGIC2_SIZE) {
		ret = copy_from_user(t, &magic2, fp + sw.xstate_size, sizeof(magic2));
		if (ret < 0)
			return ret;
		if (magic2 == FP_MAGIC2)
			size = sw.xstate_size;
	}
	if (size > FXSAVE_SIZE) {
		ret = copy_from_user(t, buf + FXSAVE_SIZE, fp + FXSAVE_SIZE, size - FXSAVE_SIZE);
		if (ret < 0)
			return ret;
	} else { /* x87 and SSE only */
		uint64_t xstate_bv = 3;

		memset(buf + FXSAVE_SIZE, 0, XSAVE_HEADER);
		memcpy(buf + FXSAVE_SIZE, &xstate_bv, sizeof(xstate_bv));
		size = FXSAVE_SIZE + XSAVE_HEADER;
	}
	memset(buf + SW_OFFSET, 0, sizeof(sw));
	return ops->fpstate_set(t->ctx, buf, size);
}

static void load_context(struct guest_regs *r, const struct sigcontext *c)
{
	r->r8 = c->r8, r->r9 = c->r9, r->r10 = c->r10, r->r11 = c->r11;
	r->r12 = c->r12, r->r13 = c->r13, r->r14 = c->r14, r->r15 = c->r15;
	r->rdi = c->di, r->rsi = c->si, r->rbp = c->bp, r->rbx = c->bx;
	r->rdx = c->dx, r->rax = c->ax, r->rcx = c->cx;
	r->rsp = c->sp, r->rip = c->ip;
	r->eflags = (r->eflags & ~(uint64_t)EFLAGS_USER) | (c->flags & EFLAGS_USER);
	regs_sanitize(r);
	r->orig_rax = (uint64_t)-1;
}

void regs_sanitize(struct guest_regs *r)
{
	r->cs = USER_CS;
	r->ss = USER_SS;
	r->ds = r->es = r->fs = r->gs = 0;
	r->eflags = (r->eflags & EFLAGS_USER) | EFLAGS_FIXED;
}

void regs_single_step(struct guest_regs *r, bool on)
{
	r->eflags = on ? r->eflags | EFLAGS_TF : r->eflags & ~(uint64_t)EFLAGS_TF;
}

int64_t signal_return(struct task *t)
{
	uint64_t sp = task_regs(t, false)->rsp;
	struct linux_siginfo info;
	struct ucontext uc;

	if (copy_from_user(t, &uc, sp - sizeof(uint64_t) + offsetof(struct rt_sigframe, uc), sizeof(uc)) < 0)
		goto bad;
	signal_set_blocked(t, uc.sigmask);
	if (pop_fpstate(t, uc.mc.fpstate) < 0)
		goto bad;
	load_context(task_regs(t, true), &uc.mc);
	/* As Linux, a bad alternate stack in the frame changes nothing. */
	if (signal_altstack(t, &uc.stack, NULL) < 0)
		return SYSCALL_REGS_SET;
	return SYSCALL_REGS_SET;
bad:
	signal_info_kernel(LINUX_SIGSEGV, LINUX_SI_KERNEL, &info);
	signal_force(t, LINUX_SIGSEGV, &info);
	return SYSCALL_REGS_SET;
}
