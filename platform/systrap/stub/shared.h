/* shared.h: the memory that the stub and the sentry share, and the words they say to each other. Included
 * by the stub (freestanding C and assembler) and by the sentry.
 *
 * A guest can write all of it at any time and can also play the stub: nothing in here is trusted by the
 * sentry, which reads each field once, checks it, and never follows a pointer out of a slot. */
#pragma once

/* Layout of the stub region in every guest process (platform.h: SBX_STUB_START). */
#define STUB_TEXT_ADDR	0x7ec000000000
#define STUB_TEXT_SIZE	0x10000
#define STUB_CONF_ADDR	0x7ec000010000 /* one read-only page: struct stub_config */
#define STUB_WORDS_ADDR 0x7ec000020000 /* read-only, shared by all: platform/base/changes.h */
#define STUB_WORDS_SIZE 0x5000
#define STUB_FUTEX_WORD 0x4000 /* in it: uint32_t, waiters on shared futexes in the sentry */
#define STUB_SLOTS_ADDR 0x7ec010000000
#define STUB_REGION_END 0x7ec100000000
/* Files that a thread reads from, LENT_FILES of them for each slot; the guest may change what lies here. */
#define STUB_WINDOWS_ADDR 0x7ed000000000
#define WINDOW_SIZE	  0x400000
#define LENT_FILES	  8 /* platform.h: CONTEXT_FILES */

/* One slot per guest thread, in a memfd of its process. */
#define SLOT_SIZE      0x40000
#define SLOT_COUNT     4096
#define SLOTS_SIZE     0x40000000 /* SLOT_SIZE * SLOT_COUNT */
#define SLOT_STACK_TOP 0x1000	  /* the stub's own stack grows down from here to the end of the header */
#define SLOT_SMALL     0x1000	  /* small copies: inputs, a second input, outputs */
#define SMALL_IN2      0x600	  /* offsets in it */
#define SMALL_OUT      0x800
#define SMALL_END      0x1000
#define SLOT_FP	       0x2000 /* xsave area, 64-byte aligned */
#define SLOT_FP_SIZE   0x4000
#define SLOT_ALT       0x6000 /* signal stack */
#define SLOT_ALT_SIZE  0xa000
#define SLOT_DATA      0x10000 /* copies */
#define SLOT_DATA_SIZE 0x10000
#define DATA_OUT       0x8000	 /* larger outputs, in it */
#define SLOT_SCRATCH   0x18000	 /* the same place, for commands: nothing may be left in it then */
#define SLOT_BATCH     SLOT_DATA /* the place of larger inputs, for struct stub_op[BATCH_MAX] and their data */
#define BATCH_MAX      64
#define BATCH_DATA     0x1400 /* offset of the data, in it */
#define BATCH_SIZE     0x8000
#define SCRATCH_SIZE   0x8000
#define SLOT_ANSWERS   0x20000 /* struct stub_answers */
#define IN_MAX	       0x8000  /* inputs that travel with the call */
#define OUT_PROBE_MAX  0x4000  /* outputs that may travel back */
#define OUT_RECORDS    4

/* slot.turn: who may use the slot, and whether the other one sleeps on the word. */
#define TURN_SENTRY	 1 /* else the stub's */
#define TURN_SLEEPS	 2 /* the one who waits is (about to be) in futex_wait */
#define SPIN_CLASSES	 64
#define SPIN_PENALTY_MAX 127
#define YIELDS		 3
#define HOPELESS	 32
#define STUB_CALL_WORDS	 8 /* platform.h: CALL_WORDS */
/* Changing text costs 110 to 350 us where page tables are expensive, a signal 3.5 us more than a jump. */
#define TRAPS_ENOUGH 32

#define TURN_DEAD 4 /* set by the sentry's reaper: the process is gone */

/* slot.kind, from the stub */
#define MSG_SYSCALL 1 /* from a patched site: registers are in regs; nr, arg */
#define MSG_TRAP    2 /* by SIGSYS: registers are in the frame; nr, arg */
#define MSG_FAULT   3 /* frame; arg: signo, code, address, trapno, error code */
#define MSG_KICKED  4 /* frame, or regs when frame is 0 */
#define MSG_DONE    5 /* result of a command in arg[0] */
#define MSG_FAILED  6 /* an operation of the batch: batch_failed, batch_error; what was to come wasn't done */

/* slot.kind, from the sentry */
#define CMD_RESUME   16 /* go on, result in arg[0] */
#define CMD_CONTINUE 17 /* go on with the registers as they stand in regs or the frame */
#define CMD_CALL     18 /* host system call nr(arg...) */
#define CMD_MAP_FD   19 /* a descriptor lies in the socket: mmap(arg[0..3], it, arg[4]), close it */
#define CMD_FORK     20 /* two descriptors lie in the socket: the child's slots and socket */
#define CMD_THREAD   21 /* a thread on slot arg[0] (address), flags arg[1] */
#define CMD_EXIT     22 /* end this thread; before that wake a waiter on the word at arg[0], if there is one */
#define CMD_FP_SAVE  23 /* xsave to the slot's area */
#define CMD_FP_LOAD  24 /* xrstor from it */
#define CMD_COPY_IN  25 /* arg[0] guest address, arg[1] size (to SLOT_DATA): bytes copied */
#define CMD_COPY_OUT 26
#define CMD_CMPXCHG  27 /* arg[0] address, [1] expected, [2] desired: arg[0] 0 or -EFAULT, arg[1] found */
#define CMD_PATCH    29 /* as struct stub_patch says */
#define CMD_CLEAR    28 /* unmap everything but the stub's and the vDSO's */
#define CMD_NOTHING  30 /* for the sake of the batch */
#define CMD_DELIVER  31 /* the outputs that were left, now */

/* Offsets for assembler; checked by static asserts in the sentry. */
#define SLOT_SELF   0x40
#define SLOT_STACK  0x48
#define SLOT_FRAME  0x50
#define SLOT_KICK   0x58
#define SLOT_BUSY   0x5c
#define SLOT_FAR    0x70
#define SLOT_REGS   0x80
#define SLOT_TIER0  0x268 /* count */
#define SLOT_QUICK  0x280 /* uint32_t[QUICK_CALLS]: constant answers + 1 by number, 0: ask */
#define QUICK_CALLS 336
#define R_R15	    (SLOT_REGS + 0)
#define R_R14	    (SLOT_REGS + 8)
#define R_R13	    (SLOT_REGS + 16)
#define R_R12	    (SLOT_REGS + 24)
#define R_RBP	    (SLOT_REGS + 32)
#define R_RBX	    (SLOT_REGS + 40)
#define R_R11	    (SLOT_REGS + 48)
#define R_R10	    (SLOT_REGS + 56)
#define R_R9	    (SLOT_REGS + 64)
#define R_R8	    (SLOT_REGS + 72)
#define R_RAX	    (SLOT_REGS + 80)
#define R_RCX	    (SLOT_REGS + 88)
#define R_RDX	    (SLOT_REGS + 96)
#define R_RSI	    (SLOT_REGS + 104)
#define R_RDI	    (SLOT_REGS + 112)
#define R_ORIG	    (SLOT_REGS + 120)
#define R_RIP	    (SLOT_REGS + 128)
#define R_EFLAGS    (SLOT_REGS + 136)
#define R_RSP	    (SLOT_REGS + 144)

/* Descriptors of a guest process. */
#define STUB_SOCK   0
#define STUB_FD_MAX 8

/* CLONE_VM | FS | FILES | SIGHAND | THREAD | SYSVSEM | SETTLS | CHILD_CLEARTID: the only thread form */
#define STUB_THREAD_FLAGS 0x2d0f00

#ifndef __ASSEMBLER__
#include <stdint.h>

struct stub_regs {
	uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
	uint64_t orig_rax, rip, eflags, rsp;
};

/* struct sigaction as the kernel has it */
struct stub_action {
	uint64_t handler, flags, restorer, mask;
};

struct stub_slot {
	/* the line that travels */
	uint32_t turn;
	uint16_t kind;
	uint16_t out_ready; /* so many bytes of the call's output can be written to */
	int32_t nr;
	uint16_t in_size[2]; /* bytes of its inputs that lie in the slot */
	uint64_t arg[6];
	/* the stub's; the sentry writes them before the thread starts */
	uint64_t self;	/* this slot's address */
	uint64_t stack; /* top of the stub's stack */
	uint64_t frame; /* struct ucontext of the frame that the thread will return through; 0: none */
	uint32_t kick;	/* look at the sentry before going on */
	uint32_t busy;	/* inside the vDSO on the stub's behalf */
	uint64_t spin;	/* how often to look before sleeping; 0: no processor to spare */
	uint32_t stub_cpu, sentry_cpu; /* where each was when it last woke: no use to spin for one's own */
	uint32_t far;		       /* %gs is the guest's: leave by iret */
	uint32_t pad0[3];
	struct stub_regs regs; /* at 0x80: 152 bytes */
	uint64_t epoch;	       /* answers of others are past */
	uint32_t tid;	       /* at 0x120: cleared by the host when the thread is gone */
	uint32_t restore_fp;   /* a new thread loads the area at SLOT_FP first */
	struct {
		uint64_t sp;
		int32_t flags, pad;
		uint64_t size;
	} altstack;	  /* argument of sigaltstack */
	uint64_t fs_base; /* a new thread's */
	/* the stub's memory of which calls are worth spinning for, by number */
	uint8_t penalty[SPIN_CLASSES], skip[SPIN_CLASSES];
	/* counts, for --stats only */
	uint64_t spins_won, sleeps;
	uint32_t fast;		       /* FAST_*: what else the stub may answer */
	uint32_t umask, umask_changed; /* FAST_UMASK */
	uint32_t mask_changed;	       /* of sigmask, while mask_own */
	uint32_t hopeless[HOPELESS];   /* places that calls come from by signal for good, see HOPELESS_INDEX */
	uint64_t tier0;		       /* at SLOT_TIER0: answers given without the sentry */
	uint64_t sigmask;
	uint64_t mask_own; /* the guest may change it: nothing is pending */
	uint32_t quick[QUICK_CALLS];
	uint64_t robust; /* the head of its list of robust futexes, while robust_changed */
	uint32_t robust_changed;
	uint32_t waits; /* in futex_wait for the guest */
	/* of the process, in the slot with index 0: waiters on private futexes, in the sentry and by stubs */
	uint32_t futex_sentry, futex_stubs;
	/* what is to be done before the next thing that the sentry says */
	uint32_t batch_count;
	uint32_t batch_failed; /* the index of the one that failed, + 1 */
	int64_t batch_error;
	/* outputs, left by the sentry */
	uint32_t out_count;
	uint32_t trap_due; /* this call's place came by signal so often that it is worth patching */
	uint32_t fp_saved; /* with this call: the extended state lies at SLOT_FP */
	struct {
		uint64_t at;
		uint32_t off, size; /* off: in the slot */
	} out[OUT_RECORDS];
	uint8_t trapped[HOPELESS]; /* calls by signal that the stub answered, by place */
	uint64_t sig_plain; /* signals whose action is all zero, which the guest may change the rest of */
	uint64_t sig_set;   /* those that it gave this one: */
	struct stub_action sig_action;
	uint64_t refused[STUB_CALL_WORDS]; /* by number: calls that the sentry must see */
};

#define HOPELESS_INDEX(ip) (((ip) >> 2 ^ (ip) >> 8) % HOPELESS)
#define FAST_TIME	   1u /* clock_gettime and its like through the host's vDSO */
#define FAST_SELF	   2u /* sched_yield, getcpu */
#define FAST_UMASK	   4u
#define FAST_FUTEX	   8u /* waits and wake-ups by the host; list of robust futexes */

/* One operation of a batch, at SLOT_BATCH: CMD_CALL, CMD_MAP_FD (arguments of CMD_MAP_FD), CMD_COPY_OUT (to
 * arg[0], arg[1] bytes, which lie at offset arg[2] in the batch) or CMD_FP_LOAD. Good when the result is want.
 */
struct stub_op {
	uint16_t kind;
	uint16_t nr;
	uint32_t may_fail;
	uint64_t arg[6], want;
};

/* Read-only for the guest, sealed. */
struct stub_config {
	uint64_t sentry; /* its pid, as getppid says */
	uint64_t gap_count;
	struct {
		uint64_t start, end;
	} gap[4];		     /* what CMD_CLEAR unmaps */
	uint64_t fp_mask;	     /* XSAVE components */
	uint64_t vdso_clock_gettime; /* its address, or 0 */
};

/* At STUB_TEXT_ADDR. */
struct stub_header {
	uint64_t magic;
	uint64_t text_end;
	uint64_t on_signal; /* signal handler */
	uint64_t restorer;
	uint64_t start;	  /* first entry of the zygote: rdi slot */
	uint64_t syscall; /* where trampolines jump: rcx is the address after the call */
};

/* struct ucontext as the kernel writes it */
struct stub_frame {
	uint64_t uc_flags, uc_link, ss_sp, ss_flags, ss_size;
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, eflags;
	uint16_t cs, gs, fs, ss;
	uint64_t err, trapno, oldmask, cr2, fpstate, reserved[8], sigmask;
};

/* CMD_PATCH's order, at SLOT_DATA */
struct stub_patch {
	uint64_t text, text_size, text_prot;	    /* pages */
	uint64_t start;				    /* of the jump */
	uint64_t pool, pool_size, tramp, code_size; /* code_size 0: the trampoline stands already */
	uint32_t alone;				    /* no other thread runs */
	uint8_t jump[5];
	uint8_t code[64];
};

struct stub_siginfo {
	int32_t signo, error, code, pad;
	uint64_t addr;
	uint32_t call, arch; /* SIGSYS */
};

#define STUB_MAGIC    0x62757473786273UL
#define STUB_SIG_KICK 10 /* SIGUSR1 */
#endif
