/* stub.c: the part of systrap that lives in guest processes and runs with the guest's rights. It tells the
 * sentry what the guest did and does on the host what the sentry says. No libc, no data, no locks; a slot
 * (shared.h) is all it knows. Whatever it does wrong on a guest's behest can only hurt that guest. */
#include <stddef.h>

#include "platform/systrap/stub/shared.h"
#include "platform/systrap/stub/stub.h"

#define SYS_close	3
#define SYS_mmap	9
#define SYS_munmap	11
#define SYS_mprotect	10
#define SYS_sigprocmask 14
#define SYS_sched_yield 24
#define SYS_recvmsg	47
#define SYS_exit	60
#define SYS_sigaltstack 131
#define SYS_futex	202
#define SYS_exit_group	231

#define CONF ((const struct stub_config *)STUB_CONF_ADDR)

long stub_sys(long nr, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = 0;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
	return ret;
}

/* ---- the word */

static void post(struct stub_slot *s, uint16_t kind)
{
	uint32_t old;

	s->kind = kind;
	old = __atomic_exchange_n(&s->turn, TURN_SENTRY, __ATOMIC_SEQ_CST);
	if (old & TURN_SLEEPS)
		stub_sys(SYS_futex, (long)&s->turn, FUTEX_WAKE, 1, 0);
}

static uint32_t this_cpu(void)
{
	uint32_t lo, hi, aux;

	__asm__ volatile("rdtscp" : "=a"(lo), "=d"(hi), "=c"(aux));
	return aux & 0xfff;
}

static int is_ours(struct stub_slot *s)
{
	return !(__atomic_load_n(&s->turn, __ATOMIC_ACQUIRE) & TURN_SENTRY);
}

/* On one processor: lets the other run. */
static int yield_for(struct stub_slot *s)
{
	for (int i = 0; i < YIELDS; i++) {
		stub_sys(SYS_sched_yield, 0, 0, 0, 0);
		s->stub_cpu = this_cpu();
		if (is_ours(s))
			return 1;
	}
	return 0;
}

static int look_for(struct stub_slot *s)
{
	uint64_t n = s->spin;

	for (uint64_t i = 0; i < n; i++) {
		if (is_ours(s))
			return 1;
		if (i == 8 && s->sentry_cpu == s->stub_cpu)
			break;
		__builtin_ia32_pause();
	}
	return s->sentry_cpu == s->stub_cpu && yield_for(s);
}

/* Waits awake for a while, if calls of this kind used to be answered soon. */
static int spin(struct stub_slot *s, unsigned class)
{
	if (s->skip[class]) {
		s->skip[class]--;
		return 0;
	}
	if (look_for(s)) {
		s->penalty[class] /= 2;
		s->spins_won++;
		return 1;
	}
	s->penalty[class] = s->penalty[class] < SPIN_PENALTY_MAX ? s->penalty[class] * 2 + 1 : SPIN_PENALTY_MAX;
	s->skip[class] = s->penalty[class];
	return 0;
}

static void await(struct stub_slot *s, unsigned class)
{
	uint32_t t;

	if (spin(s, class))
		return;
	for (;;) {
		t = __atomic_load_n(&s->turn, __ATOMIC_ACQUIRE);
		if (!(t & TURN_SENTRY))
			break;
		if (!(t & TURN_SLEEPS) && !__atomic_compare_exchange_n(&s->turn, &t, t | TURN_SLEEPS, 0,
								       __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE))
			continue;
		s->sleeps++;
		stub_sys(SYS_futex, (long)&s->turn, FUTEX_WAIT, t | TURN_SLEEPS, 0);
	}
	s->stub_cpu = this_cpu();
}

/* ---- commands */

/* The descriptor of a message on our socket, or -errno. */
static long receive_fd(int *second)
{
	struct {
		size_t len;
		int level, type;
		int fd[2];
	} cmsg;
	char byte;
	struct {
		void *base;
		size_t len;
	} iov = {&byte, 1};
	struct {
		void *name;
		uint32_t namelen, pad;
		void *iov;
		size_t iovlen;
		void *control;
		size_t controllen;
		int flags, pad2;
	} msg = {0, 0, 0, &iov, 1, &cmsg, sizeof(cmsg), 0, 0};
	long r;

	cmsg.len = 0;
	do {
		r = stub_sys(SYS_recvmsg, STUB_SOCK, (long)&msg, 0, 0);
	} while (r == -EINTR);
	if (r < 0)
		return r;
	if (cmsg.len < 20)
		return -EBADF;
	if (second)
		*second = cmsg.len >= 24 ? cmsg.fd[1] : -1;
	return cmsg.fd[0];
}

static long map_fd(const uint64_t *arg)
{
	long fd = receive_fd(NULL);
	uint64_t args[6];
	long r;

	if (fd < 0)
		return fd;
	for (int i = 0; i < 4; i++)
		args[i] = arg[i];
	args[4] = (uint64_t)fd;
	args[5] = arg[4];
	r = stub_call(SYS_mmap, args);
	stub_sys(SYS_close, fd, 0, 0, 0);
	return r;
}

static long do_fork(struct stub_slot *s)
{
	const uint64_t kicks = 1UL << (STUB_SIG_KICK - 1), none = 0;
	int second = -1;
	long first = receive_fd(&second);
	long pid;

	if (first != 1 || second != 2)
		return first < 0 ? first : -EMFILE;
	/* A kick must wait until the child has slots of its own: before that its handler would run in ours. One
	 * that came by signal has kicks blocked as it is, and unblocks them by returning. */
	if (!s->frame)
		stub_sys(SYS_sigprocmask, 2, (long)&kicks, 0, 8);
	pid = stub_fork(s);
	if (!s->frame)
		stub_sys(SYS_sigprocmask, 2, (long)&none, 0, 8);
	stub_sys(SYS_close, 1, 0, 0, 0);
	stub_sys(SYS_close, 2, 0, 0, 0);
	return pid;
}

void stub_clear(void)
{
	for (uint64_t i = 0; i < CONF->gap_count; i++)
		stub_sys(SYS_munmap, (long)CONF->gap[i].start, (long)(CONF->gap[i].end - CONF->gap[i].start), 0,
			 0);
}

static void fp(struct stub_slot *s, int load)
{
	void *area = (char *)s + SLOT_FP;
	uint32_t lo = (uint32_t)CONF->fp_mask, hi = (uint32_t)(CONF->fp_mask >> 32);

	if (load)
		__asm__ volatile("xrstor64 (%0)" ::"r"(area), "a"(lo), "d"(hi) : "memory");
	else
		__asm__ volatile("xsave64 (%0)" ::"r"(area), "a"(lo), "d"(hi) : "memory");
}

static void store_jump(uint8_t *at, const uint8_t *jump)
{
	for (int i = 0; i < 5; i++)
		at[i] = jump[i];
}

/* The jump in one store, when it lies in one aligned word: other threads see the old or the new
 * instruction. */
static void store_word(uint64_t start, const uint8_t *jump)
{
	uint64_t *word = (uint64_t *)(start & ~7UL), v = *word;
	unsigned shift = 8 * (start & 7);
	uint64_t bits = 0;

	for (int i = 0; i < 5; i++)
		bits |= (uint64_t)jump[i] << (8 * i);
	v = (v & ~(0xffffffffffUL << shift)) | bits << shift;
	__atomic_store_n(word, v, __ATOMIC_SEQ_CST);
}

/* Taking a right away and giving it back interrupts all processors that run this process: they fetch anew.
 */
static void sync_cores(const struct stub_patch *o)
{
	stub_sys(SYS_mprotect, (long)o->text, (long)o->text_size, PROT_R | PROT_X, 0);
	stub_sys(SYS_mprotect, (long)o->text, (long)o->text_size, PROT_R | PROT_W | PROT_X, 0);
}

static long patch(struct stub_slot *s)
{
	struct stub_patch *o = (struct stub_patch *)((char *)s + SLOT_SCRATCH);
	volatile uint8_t *first = (volatile uint8_t *)o->start;
	long r;

	if (o->code_size) {
		r = stub_sys(SYS_mprotect, (long)o->pool, (long)o->pool_size, PROT_R | PROT_W | PROT_X, 0);
		if (r == 0 && stub_copy((void *)o->tramp, o->code, o->code_size) != o->code_size)
			r = -EFAULT;
		stub_sys(SYS_mprotect, (long)o->pool, (long)o->pool_size, PROT_R | PROT_X, 0);
		if (r < 0)
			return r;
	}
	r = stub_sys(SYS_mprotect, (long)o->text, (long)o->text_size, PROT_R | PROT_W | PROT_X, 0);
	if (r < 0)
		return r;
	if ((o->start & 7) <= 3) {
		store_word(o->start, o->jump);
	} else if (o->alone) {
		store_jump((uint8_t *)o->start, o->jump);
	} else {
		/* who comes by meets int3, and is sent there again by the sentry */
		*first = 0xcc;
		sync_cores(o);
		for (int i = 1; i < 5; i++)
			first[i] = o->jump[i];
		sync_cores(o);
		*first = o->jump[0];
	}
	return stub_sys(SYS_mprotect, (long)o->text, (long)o->text_size, (long)o->text_prot, 0);
}

static int64_t operation(struct stub_slot *s, const struct stub_op *o)
{
	switch (o->kind) {
	case CMD_CALL:
		return stub_call(o->nr, o->arg);
	case CMD_MAP_FD:
		return map_fd(o->arg);
	case CMD_COPY_OUT:
		return (int64_t)stub_copy((void *)o->arg[0], (char *)s + SLOT_BATCH + o->arg[2], o->arg[1]);
	case CMD_FP_LOAD:
		fp(s, 1);
		return 0;
	default:
		return -ENOSYS;
	}
}

/* False: one failed, and the rest was left. */
static int batch(struct stub_slot *s)
{
	struct stub_op *ops = (struct stub_op *)((char *)s + SLOT_BATCH);
	uint32_t n = s->batch_count;

	s->batch_count = 0;
	for (uint32_t i = 0; i < n && i < BATCH_MAX; i++) {
		int64_t r = operation(s, &ops[i]);

		if (r != (int64_t)ops[i].want && !ops[i].may_fail) {
			s->batch_failed = i + 1;
			s->batch_error = r;
			return 0;
		}
	}
	return 1;
}

static void command(struct stub_slot *s, uint32_t kind)
{
	char *data = (char *)s + SLOT_SCRATCH;
	uint32_t found;

	switch (kind) {
	case CMD_CALL:
		s->arg[0] = (uint64_t)stub_call(s->nr, s->arg);
		break;
	case CMD_MAP_FD:
		s->arg[0] = (uint64_t)map_fd(s->arg);
		break;
	case CMD_FORK:
		s->arg[0] = (uint64_t)do_fork(s);
		break;
	case CMD_THREAD: {
		struct stub_slot *child = (struct stub_slot *)s->arg[0];

		s->arg[0] = (uint64_t)stub_thread((long)s->arg[1], child, &child->tid, child->fs_base);
		break;
	}
	case CMD_EXIT:
		if (s->arg[0]) { /* glibc's joiner waits as if the word were shared, others privately */
			stub_sys(SYS_futex, (long)s->arg[0], FUTEX_WAKE, 1, 0);
			stub_sys(SYS_futex, (long)s->arg[0], FUTEX_WAKE | FUTEX_PRIVATE, 1, 0);
		}
		stub_sys(SYS_exit, 0, 0, 0, 0);
		break;
	case CMD_FP_SAVE:
	case CMD_FP_LOAD:
		fp(s, kind == CMD_FP_LOAD);
		break;
	case CMD_COPY_IN:
		s->arg[0] = stub_copy(data, (const void *)s->arg[0], s->arg[1]);
		break;
	case CMD_COPY_OUT:
		s->arg[0] = stub_copy((void *)s->arg[0], data, s->arg[1]);
		break;
	case CMD_CMPXCHG:
		found = (uint32_t)s->arg[1];
		s->arg[0] = (uint64_t)(long)stub_cmpxchg((uint32_t *)s->arg[0], &found, (uint32_t)s->arg[2]);
		s->arg[1] = found;
		break;
	case CMD_PATCH:
		s->arg[0] = (uint64_t)patch(s);
		break;
	case CMD_CLEAR:
		stub_clear();
		break;
	case CMD_DELIVER:
		s->arg[0] = (uint64_t)(long)stub_deliver(s);
		break;
	case CMD_NOTHING:
		s->arg[0] = 0;
		break;
	default:
		s->arg[0] = (uint64_t)-ENOSYS;
	}
}

/* Obeys until the sentry says to go on. */
void stub_serve(struct stub_slot *s)
{
	struct stub_frame *frame;
	uint16_t kind;

	for (;;) {
		await(s, (unsigned)s->nr % SPIN_CLASSES);
		kind = s->kind;
		if (s->batch_count && !batch(s)) {
			post(s, MSG_FAILED);
			continue;
		}
		if (kind == CMD_RESUME || kind == CMD_CONTINUE)
			break;
		command(s, kind);
		post(s, MSG_DONE);
	}
	if (s->out_count && stub_deliver(s) < 0 && kind == CMD_RESUME)
		s->arg[0] = (uint64_t)-EFAULT;
	if (kind == CMD_CONTINUE)
		return;
	frame = (struct stub_frame *)s->frame;
	if (frame)
		frame->rax = s->arg[0];
	else
		s->regs.rax = s->arg[0];
}

/* Before a thread's end: with no robust futex in its list the sentry needn't look at that. */
static void look_at_robust(struct stub_slot *s, int64_t nr)
{
	uint64_t head[3];

	if (nr != NR_EXIT || !(s->fast & FAST_FUTEX) || !s->robust ||
	    stub_copy(head, (const void *)s->robust, sizeof(head)) != sizeof(head) || head[0] != s->robust ||
	    head[2])
		return;
	s->robust = 0;
	s->robust_changed = 1;
}

/* A signal to ourselves is delivered with the answer: the sentry needs the extended state for its frame. */
static void save_fp_for_signal(struct stub_slot *s, int64_t nr)
{
	uint64_t *header = (uint64_t *)((char *)s + SLOT_FP + 512);

	s->fp_saved = 0;
	if ((nr != NR_KILL && nr != NR_TKILL && nr != NR_TGKILL) || !s->fast ||
	    (uint32_t)s->arg[0] + 1 != s->quick[nr == NR_TKILL ? NR_GETTID : NR_GETPID])
		return;
	for (int i = 0; i < 8; i++)
		header[i] = 0;
	fp(s, 0);
	s->fp_saved = 1;
}

/* ---- arrivals */

void stub_on_syscall(struct stub_slot *s)
{
	int64_t result;

	s->arg[0] = s->regs.rdi;
	s->arg[1] = s->regs.rsi;
	s->arg[2] = s->regs.rdx;
	s->arg[3] = s->regs.r10;
	s->arg[4] = s->regs.r8;
	s->arg[5] = s->regs.r9;
	if (s->fast && stub_answer(s, (int64_t)s->regs.rax, s->arg, &result)) {
		s->regs.rax = (uint64_t)result;
		return;
	}
	s->frame = 0;
	s->nr = (int32_t)s->regs.rax;
	look_at_robust(s, s->nr);
	save_fp_for_signal(s, s->nr);
	stub_prefetch(s);
	post(s, MSG_SYSCALL);
	stub_serve(s);
}

/* On the way out with a kick pending. */
void stub_on_kick(struct stub_slot *s)
{
	__atomic_store_n(&s->kick, 0, __ATOMIC_SEQ_CST);
	s->frame = 0;
	post(s, MSG_KICKED);
	stub_serve(s);
}

/* May a call that came by signal be answered here? Now and then the sentry must see it, to patch the site. */
static int may_answer_trap(struct stub_slot *s, uint64_t ip)
{
	unsigned i = HOPELESS_INDEX(ip);

	if (s->hopeless[i] == (uint32_t)ip || s->trapped[i] < TRAPS_ENOUGH)
		return 1;
	s->trapped[i] = 0;
	s->trap_due = 1;
	return 0;
}

static void trap(struct stub_slot *s, struct stub_frame *f, int64_t nr)
{
	int64_t result;

	s->arg[0] = f->rdi;
	s->arg[1] = f->rsi;
	s->arg[2] = f->rdx;
	s->arg[3] = f->r10;
	s->arg[4] = f->r8;
	s->arg[5] = f->r9;
	if (s->fast && may_answer_trap(s, f->rip) && stub_answer(s, nr, s->arg, &result)) {
		s->trapped[HOPELESS_INDEX(f->rip)]++;
		f->rax = (uint64_t)result;
		return;
	}
	s->frame = (uint64_t)f;
	s->nr = (int32_t)nr;
	look_at_robust(s, nr);
	stub_prefetch(s);
	post(s, MSG_TRAP);
	stub_serve(s);
}

/* The first steps of a call are undone: as if it stood before them. */
static void undo_quick(struct stub_slot *s, struct stub_frame *f)
{
	uint64_t ip = f->rip;

	if (ip >= (uint64_t)stub_quick_flags)
		f->eflags = f->r11;
	if (ip >= (uint64_t)stub_quick_number)
		f->rax = s->regs.rax;
	if (ip > (uint64_t)stub_syscall_entry)
		f->rsp = s->regs.rsp;
	f->rip = (uint64_t)stub_syscall_entry;
}

/* A signal that came while the stub itself ran. */
static void in_stub(struct stub_slot *s, int sig, struct stub_frame *f)
{
	uint64_t ip = f->rip;

	if (sig == STUB_SIG_KICK) {
		s->kick = 1;
		if (ip >= (uint64_t)stub_leave && ip < (uint64_t)stub_leave_far_end) {
			f->rip = (uint64_t)stub_leave;
			f->rdi = (uint64_t)s;
		} else if (ip >= (uint64_t)stub_wait_begin && ip < (uint64_t)stub_wait_end) {
			f->rip = (uint64_t)stub_wait_abort;
		}
		return;
	}
	if (sig == SIGSYS) {
		f->rax = (uint64_t)-EPERM; /* the filter refused it */
		return;
	}
	if (sig == SIGTRAP) {
		/* The guest steps through its code. On the way in, no more: the flags are saved. On the way
		 * out they were just loaded; the step that counts begins after the last jump. */
		if (ip == (uint64_t)stub_leave_jump)
			f->rip = s->regs.rip;
		else if (ip < (uint64_t)stub_leave || ip > (uint64_t)stub_leave_far_end)
			f->eflags &= ~(uint64_t)EFLAGS_TF;
		return;
	}
	if (sig == SIGBUS && (f->eflags & EFLAGS_AC)) {
		f->eflags &= ~(uint64_t)EFLAGS_AC;
		return;
	}
	if (sig != SIGSEGV && sig != SIGBUS)
		stub_sys(SYS_exit_group, 126, 0, 0, 0);
	if (ip == (uint64_t)stub_copy_insn) {
		f->rip = (uint64_t)stub_copy_fixup;
	} else if (ip == (uint64_t)stub_cmpxchg_insn || ip == (uint64_t)stub_touch_insn) {
		f->rip = (uint64_t)stub_cmpxchg_fixup;
	} else if (ip == (uint64_t)stub_syscall_entry) {
		/* The guest took %gs away: its call goes the long way. */
		f->rip = f->rcx;
		trap(s, f, (int64_t)f->rax);
	} else {
		stub_sys(SYS_exit_group, 125, 0, 0, 0);
	}
}

void stub_on_signal(int sig, struct stub_siginfo *info, struct stub_frame *f)
{
	struct stub_slot *s =
		(struct stub_slot *)((uint64_t)__builtin_frame_address(0) & ~(uint64_t)(SLOT_SIZE - 1));

	if (sig == STUB_SIG_KICK && f->rip >= (uint64_t)stub_syscall_entry &&
	    f->rip < (uint64_t)stub_quick_end) {
		undo_quick(s, f);
	} else if (f->rip - STUB_TEXT_ADDR < STUB_TEXT_SIZE || s->busy) {
		in_stub(s, sig, f);
		return;
	}
	if (sig == SIGSYS) {
		/* a 32-bit call has no number */
		trap(s, f, info->arch == ARCH_X86_64 ? (int64_t)f->rax : -1);
		return;
	}
	s->frame = (uint64_t)f;
	s->arg[0] = (uint64_t)sig;
	s->arg[1] = (uint64_t)(long)info->code;
	s->arg[2] = info->addr;
	s->arg[3] = f->trapno;
	s->arg[4] = f->err;
	s->arg[5] = f->cr2;
	if (sig == STUB_SIG_KICK)
		s->kick = 0;
	post(s, sig == STUB_SIG_KICK ? MSG_KICKED : MSG_FAULT);
	stub_serve(s);
}

/* A forked child, in its own slots from here on. */
void stub_child_init(struct stub_slot *s)
{
	const uint64_t none = 0;

	if (!s->frame)
		stub_sys(SYS_sigprocmask, 2, (long)&none, 0, 8);
}

void stub_thread_init(struct stub_slot *s)
{
	uint64_t none = 0;

	stub_sys(SYS_sigaltstack, (long)&s->altstack, 0, 0, 0);
	if (s->restore_fp) {
		s->restore_fp = 0;
		fp(s, 1);
	}
	stub_sys(SYS_sigprocmask, 2, (long)&none, 0, 8);
}
