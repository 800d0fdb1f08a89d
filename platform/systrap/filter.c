/* filter.c: what a guest process may ask of the host: a short list of calls, from the stub's text only,
 * with bounded arguments; everything else becomes SIGSYS. The guest can jump to the stub's `syscall`
 * instructions with any registers, so each rule is written as if the guest made the call itself:
 *
 *   futex WAIT/WAKE       on the process's own slots, no timeout
 *   rt_sigreturn, rt_sigprocmask(SETMASK), sigaltstack, arch_prctl(SET_FS/SET_GS): its own thread's state
 *   mmap munmap mprotect mremap madvise mincore: its own memory outside the stub region; descriptors only
 *                         below STUB_FD_MAX (none is open but while the sentry has one mapped)
 *   mmap over the slots   in one exact form (a forked child replaces its parent's)
 *   clone                 exactly fork to a child of the sentry, or exactly a thread
 *   recvmsg on 0, close and dup2(2, 0) on descriptors below STUB_FD_MAX, prctl(PDEATHSIG, KILL),
 *                         getppid, sched_yield, exit */
#include "platform/systrap/internal.h"

#include "platform/systrap/filter.h"

#include <linux/audit.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "platform/base/bug.h"

struct builder {
	struct sock_filter *prog;
	unsigned n;
	unsigned rule; /* index of the current rule's test of the number */
};

#define ARG_LO(i) (offsetof(struct seccomp_data, args) + 8 * (i))
#define ARG_HI(i) (ARG_LO(i) + 4)
#define TRAP	  SECCOMP_RET_TRAP
#define HI(x)	  ((uint32_t)((uint64_t)(x) >> 32))
#define LO(x)	  ((uint32_t)(x))

static void emit(struct builder *b, uint16_t code, uint32_t k, uint8_t jt, uint8_t jf)
{
	BUG_ON(b->n >= FILTER_MAX);
	b->prog[b->n++] = (struct sock_filter){.code = code, .jt = jt, .jf = jf, .k = k};
}

static void load(struct builder *b, unsigned offset)
{
	emit(b, BPF_LD | BPF_W | BPF_ABS, offset, 0, 0);
}

static void ret(struct builder *b, uint32_t action)
{
	emit(b, BPF_RET | BPF_K, action, 0, 0);
}

/* The accumulator must compare true (or the call is trapped). */
static void must(struct builder *b, uint16_t op, uint32_t k)
{
	emit(b, BPF_JMP | op | BPF_K, k, 1, 0);
	ret(b, TRAP);
}

static void must_not(struct builder *b, uint16_t op, uint32_t k)
{
	emit(b, BPF_JMP | op | BPF_K, k, 0, 1);
	ret(b, TRAP);
}

static void arg_is(struct builder *b, int i, uint64_t v)
{
	load(b, ARG_LO(i));
	must(b, BPF_JEQ, LO(v));
	load(b, ARG_HI(i));
	must(b, BPF_JEQ, HI(v));
}

/* 32-bit argument: the kernel looks at the low half only */
static void arg32_is(struct builder *b, int i, uint32_t v)
{
	load(b, ARG_LO(i));
	must(b, BPF_JEQ, v);
}

static void arg32_is_one_of(struct builder *b, int i, uint32_t v, uint32_t w)
{
	load(b, ARG_LO(i));
	emit(b, BPF_JMP | BPF_JEQ | BPF_K, v, 2, 0);
	emit(b, BPF_JMP | BPF_JEQ | BPF_K, w, 1, 0);
	ret(b, TRAP);
}

/* Rules: the body of `begin(nr)` ... `end()` runs when the number is nr, and falls through to ALLOW. The
 * number is loaded anew for each rule. */
static void begin(struct builder *b, uint32_t nr)
{
	load(b, offsetof(struct seccomp_data, nr));
	b->rule = b->n;
	emit(b, BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 0);
}

static void end(struct builder *b)
{
	ret(b, SECCOMP_RET_ALLOW);
	BUG_ON(b->n - b->rule - 1 > 255);
	b->prog[b->rule].jf = (uint8_t)(b->n - b->rule - 1);
}

/* [arg i, arg i + arg j) may not touch the stub region, which starts and ends at multiples of 4 GiB: with
 * the upper halves a and n, a + n + 1 <= start (no carry can add more than one), or a >= end. (That refuses
 * the last 4 GiB before it too, which no guest has.) */
static void range_outside(struct builder *b, int i, int j)
{
	load(b, ARG_HI(j));
	must_not(b, BPF_JGE, 0x8000);
	emit(b, BPF_MISC | BPF_TAX, 0, 0, 0);
	load(b, ARG_HI(i));
	must_not(b, BPF_JGE, 0x8000);
	emit(b, BPF_JMP | BPF_JGE | BPF_K, HI(STUB_REGION_END), 3, 0);
	emit(b, BPF_ALU | BPF_ADD | BPF_X, 0, 0, 0);
	emit(b, BPF_JMP | BPF_JGE | BPF_K, HI(STUB_TEXT_ADDR), 0, 1);
	ret(b, TRAP);
}

static void fd_rule(struct builder *b, int i)
{
	load(b, ARG_LO(i));
	emit(b, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1);
	ret(b, TRAP);
	must_not(b, BPF_JGE, STUB_FD_MAX);
}

static void mmap_rules(struct builder *b)
{
	/* the slots of a forked child */
	load(b, offsetof(struct seccomp_data, nr));
	emit(b, BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 14);
	load(b, ARG_HI(0));
	emit(b, BPF_JMP | BPF_JEQ | BPF_K, HI(STUB_SLOTS_ADDR), 0, 12);
	load(b, ARG_LO(0));
	emit(b, BPF_JMP | BPF_JEQ | BPF_K, LO(STUB_SLOTS_ADDR), 0, 10);
	load(b, ARG_LO(1));
	emit(b, BPF_JMP | BPF_JEQ | BPF_K, SLOTS_SIZE, 0, 8);
	load(b, ARG_HI(1));
	emit(b, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 6);
	load(b, ARG_LO(2));
	emit(b, BPF_JMP | BPF_JEQ | BPF_K, PROT_READ | PROT_WRITE, 0, 4);
	load(b, ARG_LO(3));
	emit(b, BPF_JMP | BPF_JEQ | BPF_K, MAP_SHARED | MAP_FIXED, 0, 2);
	load(b, ARG_LO(4));
	emit(b, BPF_JMP | BPF_JEQ | BPF_K, 1, 1, 0);
	emit(b, BPF_JMP | BPF_JA, 1, 0, 0);
	ret(b, SECCOMP_RET_ALLOW);

	begin(b, SYS_mmap);
	range_outside(b, 0, 1);
	load(b, ARG_LO(3));
	must(b, BPF_JSET, MAP_FIXED);
	must_not(b, BPF_JSET,
		 ~(uint32_t)(MAP_FIXED | MAP_SHARED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
			     MAP_POPULATE | MAP_GROWSDOWN | MAP_STACK));
	load(b, ARG_LO(4));
	emit(b, BPF_JMP | BPF_JEQ | BPF_K, 0xffffffff, 3, 0);
	emit(b, BPF_JMP | BPF_JGE | BPF_K, STUB_FD_MAX, 1, 0);
	emit(b, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1);
	ret(b, TRAP);
	end(b);
}

static void memory_rules(struct builder *b)
{
	static const uint16_t plain[] = {SYS_munmap, SYS_mprotect, SYS_mincore};

	mmap_rules(b);
	for (size_t i = 0; i < ARRAY_SIZE(plain); i++) {
		begin(b, plain[i]);
		range_outside(b, 0, 1);
		end(b);
	}
	begin(b, SYS_madvise);
	range_outside(b, 0, 1);
	load(b, ARG_LO(2));
	must_not(b, BPF_JGE, 26);	   /* no HWPOISON (100), SOFT_OFFLINE (101) */
	must_not(b, BPF_JEQ, MADV_REMOVE); /* would punch holes into files */
	end(b);
	/* either in place, or to where we say */
	begin(b, SYS_mremap);
	range_outside(b, 0, 1);
	range_outside(b, 0, 2);
	range_outside(b, 4, 2);
	load(b, ARG_LO(3));
	emit(b, BPF_JMP | BPF_JEQ | BPF_K, 0, 2, 0);
	must(b, BPF_JSET, MREMAP_FIXED);
	end(b);
}

static void thread_rules(struct builder *b)
{
	begin(b, SYS_clone);
	load(b, ARG_HI(0));
	must(b, BPF_JEQ, 0);
	arg32_is_one_of(b, 0, CLONE_PARENT, STUB_THREAD_FLAGS);
	end(b);
	begin(b, SYS_getppid);
	end(b);
	begin(b, SYS_sched_yield);
	end(b);
	begin(b, SYS_exit);
	end(b);
	begin(b, SYS_exit_group);
	end(b);
	begin(b, SYS_rt_sigprocmask);
	arg32_is(b, 0, 2);
	end(b);
	begin(b, SYS_sigaltstack);
	end(b);
	begin(b, SYS_arch_prctl);
	arg32_is_one_of(b, 0, 0x1001, 0x1002);
	end(b);
	begin(b, SYS_prctl);
	arg_is(b, 0, 1); /* PR_SET_PDEATHSIG */
	arg_is(b, 1, 9);
	end(b);
}

static void fd_rules(struct builder *b)
{
	begin(b, SYS_recvmsg);
	arg32_is(b, 0, STUB_SOCK);
	arg32_is(b, 2, 0);
	end(b);
	begin(b, SYS_close);
	fd_rule(b, 0);
	end(b);
	begin(b, SYS_dup2);
	arg32_is(b, 0, 2);
	arg32_is(b, 1, STUB_SOCK);
	end(b);
}

unsigned filter_build(struct sock_filter *prog)
{
	static const uint8_t futex_ops[] = {FUTEX_WAIT,
					    FUTEX_WAKE,
					    FUTEX_WAIT_BITSET,
					    FUTEX_WAKE_BITSET,
					    FUTEX_WAIT_PRIVATE,
					    FUTEX_WAKE_PRIVATE,
					    FUTEX_WAIT_BITSET_PRIVATE,
					    FUTEX_WAKE_BITSET_PRIVATE,
					    FUTEX_REQUEUE_PRIVATE,
					    FUTEX_CMP_REQUEUE_PRIVATE};
	struct builder b = {.prog = prog};

	load(&b, offsetof(struct seccomp_data, arch));
	must(&b, BPF_JEQ, AUDIT_ARCH_X86_64);
	load(&b, offsetof(struct seccomp_data, instruction_pointer) + 4);
	must(&b, BPF_JEQ, HI(STUB_TEXT_ADDR));
	load(&b, offsetof(struct seccomp_data, instruction_pointer));
	must_not(&b, BPF_JGE, STUB_TEXT_SIZE);

	begin(&b, SYS_futex);
	/* Waits and wake-ups of any word that it can read; requeueing only of private ones: threads of the
	 * sentry sleep on words of the slots, as shared ones, and must not be moved away. */
	load(&b, ARG_LO(1));
	emit(&b, BPF_ALU | BPF_AND | BPF_K, ~(uint32_t)FUTEX_CLOCK_REALTIME, 0, 0);
	for (uint8_t i = 0; i < ARRAY_SIZE(futex_ops); i++)
		emit(&b, BPF_JMP | BPF_JEQ | BPF_K, futex_ops[i], (uint8_t)(ARRAY_SIZE(futex_ops) - i), 0);
	ret(&b, TRAP);
	end(&b);
	begin(&b, SYS_rt_sigreturn);
	end(&b);
	memory_rules(&b);
	thread_rules(&b);
	fd_rules(&b);
	ret(&b, TRAP);
	return b.n;
}
