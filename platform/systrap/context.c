/* context.c: running a guest thread until something happens, and its registers. The registers lie in the
 * slot (the call came from a patched site) or in the signal frame that the host kernel made on the slot's
 * signal stack; both are guest-writable, so they are copied once, on demand. */
#include "platform/systrap/internal.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>

#include "platform/base/arena.h"
#include "platform/host/hostcall.h"

#define ARCH_SET_GS 0x1001
#define ARCH_SET_FS 0x1002
#define USER_CS	    0x33
#define USER32_CS   0x23
#define USER_SS	    0x2b
/* What a guest may set: arithmetic, trap, direction, nested task, alignment, id. */
#define EFLAGS_USER  0x254dd5UL
#define EFLAGS_FIXED 0x202UL

_Static_assert(sizeof(struct stub_frame) == 304, "struct ucontext");
_Static_assert(offsetof(struct stub_slot, self) == SLOT_SELF, "shared.h");
_Static_assert(offsetof(struct stub_slot, stack) == SLOT_STACK, "shared.h");
_Static_assert(offsetof(struct stub_slot, frame) == SLOT_FRAME, "shared.h");
_Static_assert(offsetof(struct stub_slot, kick) == SLOT_KICK, "shared.h");
_Static_assert(offsetof(struct stub_slot, tier0) == SLOT_TIER0, "shared.h");
_Static_assert(offsetof(struct stub_slot, quick) == SLOT_QUICK, "shared.h");
_Static_assert(sizeof(struct stub_slot) < SLOT_STACK_TOP - 1536, "room for the stub's stack");
_Static_assert(offsetof(struct stub_slot, far) == SLOT_FAR, "shared.h");
_Static_assert(offsetof(struct stub_slot, regs) == SLOT_REGS, "shared.h");
_Static_assert(offsetof(struct stub_slot, regs.rsp) == R_RSP, "shared.h");
_Static_assert(offsetof(struct stub_regs, orig_rax) == offsetof(struct guest_regs, orig_rax), "same head");

/* The frame that the last message named, or NULL when it doesn't lie where frames do. */
struct stub_frame *context_frame(struct sys_context *c)
{
	return c->frame ? (struct stub_frame *)((char *)c->slot + c->frame) : NULL;
}

static void note_frame(struct sys_context *c, uint64_t address)
{
	uint64_t off = address - slot_address(c->index);

	c->frame = 0;
	if (!address)
		return;
	if (off >= SLOT_ALT && off <= SLOT_ALT + SLOT_ALT_SIZE - sizeof(struct stub_frame) && off % 8 == 0)
		c->frame = off;
	else
		proc_kill(c->proc); /* no stub of ours says that; the guest played it */
}

static void pull_frame(struct guest_regs *r, const struct stub_frame *f)
{
	r->r15 = f->r15;
	r->r14 = f->r14;
	r->r13 = f->r13;
	r->r12 = f->r12;
	r->rbp = f->rbp;
	r->rbx = f->rbx;
	r->r11 = f->r11;
	r->r10 = f->r10;
	r->r9 = f->r9;
	r->r8 = f->r8;
	r->rax = f->rax;
	r->rcx = f->rcx;
	r->rdx = f->rdx;
	r->rsi = f->rsi;
	r->rdi = f->rdi;
	r->rip = f->rip;
	r->eflags = f->eflags;
	r->rsp = f->rsp;
	r->cs = f->cs;
	r->ss = f->ss;
}

static void push_frame(struct stub_frame *f, const struct guest_regs *r)
{
	f->r15 = r->r15;
	f->r14 = r->r14;
	f->r13 = r->r13;
	f->r12 = r->r12;
	f->rbp = r->rbp;
	f->rbx = r->rbx;
	f->r11 = r->r11;
	f->r10 = r->r10;
	f->r9 = r->r9;
	f->r8 = r->r8;
	f->rax = r->rax;
	f->rcx = r->rcx;
	f->rdx = r->rdx;
	f->rsi = r->rsi;
	f->rdi = r->rdi;
	f->rip = r->rip;
	f->eflags = (r->eflags & EFLAGS_USER) | EFLAGS_FIXED;
	f->rsp = r->rsp;
	f->cs = r->cs == USER32_CS ? USER32_CS : USER_CS;
	f->ss = USER_SS;
}

static void pull_slot(struct guest_regs *r, const struct stub_slot *s)
{
	memcpy(r, &s->regs, offsetof(struct stub_regs, rip));
	r->rip = s->regs.rip;
	r->eflags = s->regs.eflags;
	r->rsp = s->regs.rsp;
	r->cs = USER_CS;
	r->ss = USER_SS;
}

static void push_slot(struct stub_slot *s, const struct guest_regs *r)
{
	memcpy(&s->regs, r, offsetof(struct stub_regs, rip));
	s->regs.rip = r->rip;
	s->regs.eflags = (r->eflags & EFLAGS_USER) | EFLAGS_FIXED;
	s->regs.rsp = r->rsp;
}

void regs_pull(struct sys_context *c)
{
	struct guest_regs *r = &c->regs;
	struct stub_frame *f = context_frame(c);

	if (c->regs_valid)
		return;
	if (f)
		pull_frame(r, f);
	else
		pull_slot(r, c->slot);
	r->rip = patch_ip_to_guest(c, r->rip);
	r->orig_rax = (uint64_t)c->nr;
	r->fs_base = c->fs_base;
	r->gs_base = c->gs_base;
	r->ds = r->es = r->fs = r->gs = 0;
	if (c->has_result)
		r->rax = (uint64_t)c->result;
	c->regs_valid = true;
}

struct guest_regs *systrap_regs(struct context *ctx, bool write)
{
	struct sys_context *c = sys_context(ctx);

	regs_pull(c);
	if (write)
		c->regs_dirty = true;
	return &c->regs;
}

void systrap_set_result(struct context *ctx, int64_t result)
{
	struct sys_context *c = sys_context(ctx);

	c->result = result;
	c->has_result = true;
	if (c->regs_valid)
		c->regs.rax = (uint64_t)result;
}

/* Segment bases that the thread hasn't loaded yet. A refused one (not an address) is left as it was. */
static void load_bases(struct sys_context *c)
{
	if (c->fs_base != c->host_fs) {
		if (c->fs_base < GUEST_VA_END && batch_own(c, SYS_arch_prctl, ARCH_SET_FS, c->fs_base, 0))
			c->host_fs = c->fs_base;
		else if (stub_command(c, CMD_CALL, SYS_arch_prctl, ARCH_SET_FS, c->fs_base, 0, 0, 0, 0) < 0)
			c->fs_base = c->host_fs;
		else
			c->host_fs = c->fs_base;
	}
	if (c->gs_base != c->host_gs) {
		/* The stub's way in needs %gs: a guest that wants it for itself is served by signal. */
		if (c->gs_base)
			patch_disable(c);
		if (stub_command(c, CMD_CALL, SYS_arch_prctl, ARCH_SET_GS,
				 c->gs_base ? c->gs_base : slot_address(c->index), 0, 0, 0, 0) < 0)
			c->gs_base = c->host_gs;
		else
			c->host_gs = c->gs_base;
	}
}

/* Gives the stub what it needs to go on; the command for it. */
static uint32_t load_state(struct sys_context *c)
{
	struct guest_regs *r = &c->regs;
	struct stub_frame *f = context_frame(c);
	uint64_t ip;

	if (!c->regs_dirty) {
		if (!c->has_result)
			return CMD_CONTINUE;
		c->slot->arg[0] = (uint64_t)c->result;
		return CMD_RESUME;
	}
	c->fs_base = r->fs_base;
	c->gs_base = r->gs_base;
	load_bases(c);
	c->slot->far = c->gs_base != 0;
	ip = r->rip;
	r->rip = patch_ip_to_host(c, ip);
	if (f)
		push_frame(f, r);
	else
		push_slot(c->slot, r);
	r->rip = ip;
	return CMD_CONTINUE;
}

/* The kernel was told that it would succeed. */
static int batch_lost(struct sys_context *c, struct run_event *ev)
{
	struct batch *b = &c->batch;

	__atomic_store_n(&c->running, 0, __ATOMIC_SEQ_CST);
	b->failed = false;
	ev->reason = RUN_MAP_FAILED;
	ev->nr = c->unrun ? -1 : c->nr;
	ev->code = b->error;
	ev->args[0] = b->addr;
	ev->args[1] = b->size;
	return 0;
}

static int exited(struct sys_context *c, struct run_event *ev)
{
	__atomic_store_n(&c->running, 0, __ATOMIC_SEQ_CST);
	c->gone = true;
	ev->reason = RUN_EXITED;
	return 0;
}

/* An instruction pointer that the processor can't even load. */
static int wild_ip(struct sys_context *c, struct run_event *ev)
{
	__atomic_store_n(&c->running, 0, __ATOMIC_SEQ_CST);
	c->has_result = false;
	ev->reason = RUN_FAULT;
	ev->signo = SIGSEGV;
	ev->code = SI_KERNEL;
	ev->addr = 0;
	ev->trapno = 13;
	ev->err = 0;
	return 0;
}

static void parse_call(struct sys_context *c, struct run_event *ev)
{
	struct stub_slot *s = c->slot;

	ev->reason = RUN_SYSCALL;
	ev->nr = c->nr = __atomic_load_n(&s->nr, __ATOMIC_RELAXED);
	for (int i = 0; i < 6; i++)
		ev->args[i] = s->arg[i];
	copies_start(c, ev);
}

static void parse_fault(struct sys_context *c, struct run_event *ev)
{
	struct stub_slot *s = c->slot;
	static const uint32_t known =
		1u << SIGSEGV | 1u << SIGBUS | 1u << SIGFPE | 1u << SIGILL | 1u << SIGTRAP;
	uint64_t signo = s->arg[0];

	if (signo > 31 || !(known >> signo & 1))
		signo = SIGSEGV;
	ev->reason = RUN_FAULT;
	ev->signo = (int)signo;
	ev->code = (int)s->arg[1];
	ev->addr = s->arg[2];
	ev->trapno = s->arg[3];
	ev->err = s->arg[4];
	/* These come with an address that siginfo doesn't mean. */
	if (ev->code == SI_KERNEL)
		ev->addr = 0;
}

/* The message of a stub: true when there is something to report. */
static bool parse(struct sys_context *c, struct run_event *ev)
{
	uint16_t kind = __atomic_load_n(&c->slot->kind, __ATOMIC_RELAXED);

	c->nr = -1;
	c->regs_valid = c->regs_dirty = c->has_result = false;
	c->copies.count = c->copies.out_size = c->copies.in[0].size = c->copies.in[1].size = 0;
	c->fp_here = false;
	if (kind == MSG_SYSCALL) {
		c->frame = 0;
		c->fp_here = __atomic_load_n(&c->slot->fp_saved, __ATOMIC_RELAXED);
		STAT_INC(c, calls);
		parse_call(c, ev);
		return true;
	}
	note_frame(c, __atomic_load_n(&c->slot->frame, __ATOMIC_RELAXED));
	switch (kind) {
	case MSG_TRAP:
		STAT_INC(c, traps);
		parse_call(c, ev);
		if (c->frame)
			patch_arrival(c);
		return true;
	case MSG_FAULT:
		if (!c->frame || patch_fault(c))
			return false;
		STAT_INC(c, faults);
		parse_fault(c, ev);
		return true;
	case MSG_KICKED:
		STAT_INC(c, kicks);
		ev->reason = RUN_KICKED;
		return __atomic_exchange_n(&c->kicked, 0, __ATOMIC_SEQ_CST);
	default: /* nonsense: let it go on */
		return false;
	}
}

int systrap_run(struct context *ctx, struct run_event *ev)
{
	struct sys_context *c = sys_context(ctx);
	uint32_t cmd;

	ev->umask_changed = ev->sigmask_changed = ev->robust_changed = false;
	ev->moved = 0;
	ev->actions_set = 0;
	if (c->gone || __atomic_load_n(&c->proc->dead, __ATOMIC_ACQUIRE))
		return exited(c, ev);
	c->fresh = false;
	c->page_size = 0;
	facts_offer(c);
	do {
		if (c->batch.failed)
			return batch_lost(c, ev);
		if (c->regs_dirty && c->regs.rip >> 47)
			return wild_ip(c, ev);
		__atomic_store_n(&c->running, 1, __ATOMIC_SEQ_CST);
		if (__atomic_exchange_n(&c->kicked, 0, __ATOMIC_SEQ_CST)) {
			__atomic_store_n(&c->running, 0, __ATOMIC_SEQ_CST);
			ev->reason = RUN_KICKED;
			return 0;
		}
		cmd = load_state(c);
		handover_post(c, cmd);
		if (handover_wait(c, true) < 0)
			return exited(c, ev);
		if (!batch_settle(c))
			return batch_lost(c, ev);
		c->unrun = c->exec = false;
	} while (!parse(c, ev));
	__atomic_store_n(&c->running, 0, __ATOMIC_SEQ_CST);
	facts_sync(c, ev);
	return 0;
}

/* Dekker with systrap_run: it says running before it looks at kicked, we the other way round. */
void systrap_kick(struct context *ctx)
{
	struct sys_context *c = sys_context(ctx);

	__atomic_store_n(&c->kicked, 1, __ATOMIC_SEQ_CST);
	if (!__atomic_load_n(&c->running, __ATOMIC_SEQ_CST))
		return;
	proc_signal(c);
}
