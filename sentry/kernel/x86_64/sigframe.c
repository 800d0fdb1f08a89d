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

/* The extended state begins 456 bytes above the frame: the next multiple of 64 that leaves the frame at 8
 * modulo 16, as a call does. */
#define FRAME_TO_FP 456
#define FP_ROOM	    512 /* where it is built in the bounce buffer */

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
_Static_assert(sizeof(struct rt_sigframe) <= FRAME_TO_FP && FRAME_TO_FP % 16 == 8, "the frame's place");
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

/* The extended state as the frame holds it, into buf; its size, the magic word behind it included. */
static int get_fpstate(struct task *t, uint8_t *buf, size_t room, size_t *total)
{
	const struct platform_ops *ops = task_platform(t);
	struct fpx_sw sw = {.magic1 = FP_MAGIC1};
	uint32_t magic2 = FP_MAGIC2;
	size_t size = room - FP_MAGIC2_SIZE;
	int ret;

	ops->fpstate_size(t->kernel->platform, &sw.xfeatures);
	ret = ops->fpstate_get(t->ctx, buf, &size);
	if (ret < 0)
		return ret;
	if (size < FXSAVE_SIZE + XSAVE_HEADER) {
		*total = FXSAVE_SIZE;
		return 0;
	}
	sw.xstate_size = (uint32_t)size;
	sw.extended_size = (uint32_t)size + FP_MAGIC2_SIZE;
	memcpy(buf + SW_OFFSET, &sw, sizeof(sw));
	memcpy(buf + size, &magic2, sizeof(magic2));
	*total = size + FP_MAGIC2_SIZE;
	return 0;
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

static void fill_frame(struct task *t, struct rt_sigframe *f, const struct linux_sigaction *sa,
		       const struct linux_siginfo *info, uint64_t mask, uint64_t fp)
{
	memset(f, 0, sizeof(*f));
	f->pretcode = sa->sa_restorer;
	f->uc.flags = UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS;
	f->uc.stack = t->p->altstack;
	f->uc.sigmask = mask;
	fill_context(t, task_regs(t, false), &f->uc.mc);
	f->uc.mc.oldmask = mask;
	f->uc.mc.fpstate = fp;
	f->info = *info;
}

/* Frame and extended state are built side by side and copied out in one piece. */
int sigframe_push(struct task *t, const struct linux_sigaction *sa, int sig, const struct linux_siginfo *info,
		  uint64_t mask)
{
	struct linux_sigaltstack *s = &t->p->altstack;
	uint8_t *buf = task_bounce(t), *at = buf + FP_ROOM - FRAME_TO_FP;
	struct guest_regs *r = task_regs(t, true);
	uint64_t sp, fp;
	size_t size;
	bool alt;
	int ret;

	if (!(sa->sa_flags & LINUX_SA_RESTORER))
		return -EFAULT; /* as Linux on x86-64: there is no other way back */
	if (!buf)
		return -ENOMEM;
	ret = get_fpstate(t, buf + FP_ROOM, TASK_BOUNCE_SIZE - FP_ROOM, &size);
	if (ret < 0)
		return ret;
	fp = ROUND_DOWN(frame_top(t, sa, r, &alt) - size, 64UL);
	sp = fp - FRAME_TO_FP;
	if (alt && !in_altstack(s, sp))
		return -EFAULT; /* overflow of the alternate stack */
	fill_frame(t, (struct rt_sigframe *)at, sa, info, mask, fp);
	memset(at + sizeof(struct rt_sigframe), 0, FRAME_TO_FP - sizeof(struct rt_sigframe));
	ret = copy_to_user(t, sp, at, FRAME_TO_FP + size);
	if (ret < 0)
		return ret;
	if ((uint32_t)s->ss_flags & LINUX_SS_AUTODISARM)
		*s = (struct linux_sigaltstack){.ss_flags = LINUX_SS_DISABLE};
	r = task_regs(t, true);
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

/* What is read of a frame, in one piece where it lies as we made it. */
struct frame_copy {
	uint8_t *buf; /* the task's bounce buffer */
	uaddr_t addr; /* of buf's first byte */
	size_t have;  /* bytes copied */
};

/* n bytes at addr: in the copy already, or copied to the end of the buffer now. NULL: bad address. */
static const uint8_t *frame_bytes(struct task *t, struct frame_copy *c, uaddr_t addr, size_t n)
{
	uint8_t *rest = c->buf + TASK_BOUNCE_SIZE / 2;

	if (addr >= c->addr && addr - c->addr <= c->have && c->have - (addr - c->addr) >= n)
		return c->buf + (addr - c->addr);
	if (n > TASK_BOUNCE_SIZE / 2 || copy_from_user(t, rest, addr, n) < 0)
		return NULL;
	return rest;
}

/* Bytes of extended state that the frame really has at fp: with all its marks, else the legacy area alone. */
static size_t fpstate_length(struct task *t, struct frame_copy *c, uint64_t fp, const uint8_t *legacy)
{
	size_t max = task_platform(t)->fpstate_size(t->kernel->platform, &(uint64_t){0});
	const uint8_t *end;
	struct fpx_sw sw;
	uint32_t magic2;

	memcpy(&sw, legacy + SW_OFFSET, sizeof(sw));
	if (sw.magic1 != FP_MAGIC1 || sw.xstate_size < FXSAVE_SIZE + XSAVE_HEADER || sw.xstate_size > max ||
	    sw.extended_size != sw.xstate_size + FP_MAGIC2_SIZE)
		return FXSAVE_SIZE;
	end = frame_bytes(t, c, fp + sw.xstate_size, sizeof(magic2));
	if (!end)
		return 0;
	memcpy(&magic2, end, sizeof(magic2));
	return magic2 == FP_MAGIC2 ? sw.xstate_size : FXSAVE_SIZE;
}

/* Loads the extended state that a frame names. */
static int pop_fpstate(struct task *t, struct frame_copy *c, uint64_t fp)
{
	static const uint64_t x87_and_sse = 3;
	const struct platform_ops *ops = task_platform(t);
	const uint8_t *p;
	uint8_t *state = c->buf;
	size_t size;

	if (fp == 0)
		return ops->fpstate_set(t->ctx, NULL, 0);
	p = frame_bytes(t, c, fp, FXSAVE_SIZE);
	size = p ? fpstate_length(t, c, fp, p) : 0;
	p = size ? frame_bytes(t, c, fp, size) : NULL;
	if (!p)
		return -EFAULT;
	memmove(state, p, size); /* aligned, and the copy isn't needed any more */
	if (size == FXSAVE_SIZE) {
		memset(state + FXSAVE_SIZE, 0, XSAVE_HEADER);
		memcpy(state + FXSAVE_SIZE, &x87_and_sse, sizeof(x87_and_sse));
		size += XSAVE_HEADER;
	}
	memset(state + SW_OFFSET, 0, sizeof(struct fpx_sw));
	return ops->fpstate_set(t->ctx, state, size);
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

/* All of the frame if it is as sigframe_push made it; at least the ucontext. */
static int read_frame(struct task *t, uint64_t sp, struct frame_copy *c, struct ucontext *uc)
{
	size_t whole = task_platform(t)->fpstate_size(t->kernel->platform, &(uint64_t){0});

	c->buf = task_bounce(t);
	c->addr = sp;
	c->have = FRAME_TO_FP - offsetof(struct rt_sigframe, uc) + whole + FP_MAGIC2_SIZE;
	if (!c->buf)
		return -ENOMEM;
	if (c->have > TASK_BOUNCE_SIZE / 2 || copy_from_user(t, c->buf, sp, c->have) < 0) {
		c->have = sizeof(*uc);
		if (copy_from_user(t, c->buf, sp, c->have) < 0)
			return -EFAULT;
	}
	memcpy(uc, c->buf, sizeof(*uc));
	return 0;
}

int64_t signal_return(struct task *t)
{
	/* the restorer's address was popped by the handler's return: the ucontext is next */
	uint64_t sp = task_regs(t, false)->rsp;
	struct linux_siginfo info;
	struct frame_copy copy;
	struct ucontext uc;

	if (read_frame(t, sp, &copy, &uc) < 0)
		goto bad;
	signal_set_blocked(t, uc.sigmask);
	if (pop_fpstate(t, &copy, uc.mc.fpstate) < 0)
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
