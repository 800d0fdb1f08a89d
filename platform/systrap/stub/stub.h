/* stub.h: what the stub's C and assembler share, and the pieces of the host ABI it needs. */
#pragma once

#include "platform/systrap/stub/shared.h"

#define EPERM	  1
#define EINTR	  4
#define EBADF	  9
#define EFAULT	  14
#define EINVAL	  22
#define EAGAIN	  11
#define ETIMEDOUT 110
#define EMFILE	  24
#define ENOSYS	  38

#define SIGTRAP 5
#define SIGBUS	7
#define SIGSEGV 11
#define SIGSYS	31

#define EFLAGS_TF   0x100
#define EFLAGS_AC   0x40000
#define ARCH_X86_64 0xc000003eu

#define PROT_R 1
#define PROT_W 2
#define PROT_X 4

#define NR_GETPID	   39
#define NR_EXIT		   60
#define NR_KILL		   62
#define NR_GETTID	   186
#define NR_TKILL	   200
#define NR_TGKILL	   234
#define NR_SET_ROBUST_LIST 273

#define FUTEX_WAIT	  0
#define FUTEX_WAKE	  1
#define FUTEX_REQUEUE	  3
#define FUTEX_CMP_REQUEUE 4
#define FUTEX_WAIT_BITSET 9
#define FUTEX_WAKE_BITSET 10
#define FUTEX_PRIVATE	  128
#define FUTEX_REALTIME	  256

long stub_sys(long nr, long a, long b, long c, long d);
void stub_clear(void);
void stub_serve(struct stub_slot *s);
void stub_on_syscall(struct stub_slot *s);
void stub_on_kick(struct stub_slot *s);
void stub_on_signal(int sig, struct stub_siginfo *info, struct stub_frame *f);
void stub_thread_init(struct stub_slot *s);
void stub_child_init(struct stub_slot *s);

/* prefetch.c */
void stub_prefetch(struct stub_slot *s);
int stub_deliver(struct stub_slot *s);
/* Bytes of a path with its NUL, or 0 when it is longer than max or not there. */
uint64_t stub_copy_path(char *to, uint64_t from, uint64_t max);
int stub_is_guest(uint64_t at, uint64_t n);

/* files.c: reads and writes of lent files. True when the call is done. */
int stub_file(struct stub_slot *s, int64_t nr, const uint64_t a[6], int64_t *result);

/* again.c: calls about names, answered as the sentry answered them before. True when it is answered. */
int stub_again(struct stub_slot *s, int64_t nr, const uint64_t a[6], int64_t *result);

/* answer.c */
int64_t stub_give(uint64_t to, const void *p, uint64_t n); /* into guest memory: 0 or -EFAULT */
int stub_answer(struct stub_slot *s, int64_t nr, const uint64_t a[6], int64_t *result);

/* futex.c */
int stub_futex(struct stub_slot *s, const uint64_t a[6], int64_t *result);

/* entry.S */
extern const char stub_syscall_entry[], stub_quick_flags[], stub_quick_number[], stub_quick_end[], stub_leave[],
	stub_leave_jump[], stub_leave_far_end[], stub_copy_insn[], stub_copy_fixup[], stub_touch_insn[],
	stub_cmpxchg_insn[], stub_cmpxchg_fixup[], stub_wait_begin[], stub_wait_end[], stub_wait_abort[];
int stub_holds(uint32_t word, uint64_t value); /* again.c: of changes.h */
uint64_t stub_copy(void *dst, const void *src, uint64_t n);
int stub_touch(void *p);
int stub_cmpxchg(uint32_t *p, uint32_t *expected, uint32_t desired);
long stub_futex_wait(struct stub_slot *s, const uint64_t args[6]);
long stub_call(long nr, const uint64_t args[6]);
long stub_fork(struct stub_slot *s);
long stub_thread(long flags, struct stub_slot *child, uint32_t *tid, uint64_t fs_base);
