/* signal.h: signals as their system calls see them (signal(7)). Sets are 64-bit: bit 0 is signal 1. */
#pragma once

#include "platform/abi/signal.h"
#include "sentry/kernel/kernel.h"

#define SIG_COUNT      64
#define SIG_BIT(s)     (1ULL << ((s)-1))
#define SIG_RTMIN      32 /* from here on signals queue */
#define SIG_UNMASKABLE (SIG_BIT(LINUX_SIGKILL) | SIG_BIT(LINUX_SIGSTOP))

static inline bool signal_valid(int sig)
{
	return sig >= 1 && sig <= SIG_COUNT;
}

/* A siginfo as kill(2) and tgkill(2) make it. */
void signal_info_user(struct task *sender, int sig, int code, struct linux_siginfo *info);
void signal_info_kernel(int sig, int code, struct linux_siginfo *info);

/* May sender signal target (kill(2)'s rules)? 0 or -EPERM. */
MUST_CHECK int signal_may_send(struct task *sender, struct process *target, int sig);

/* kill(2), tkill, tgkill (tgid -1: any), and the queue forms, permission included. */
MUST_CHECK int signal_kill(struct task *t, int32_t pid, int sig);
MUST_CHECK int signal_tgkill(struct task *t, int32_t tgid, int32_t tid, int sig);
MUST_CHECK int signal_queue_process(struct task *t, int32_t pid, int sig, struct linux_siginfo *info);
MUST_CHECK int signal_queue_task(struct task *t, int32_t tgid, int32_t tid, int sig,
				 struct linux_siginfo *info);

/* sigaction(2): both may be NULL. */
MUST_CHECK int signal_action(struct task *t, int sig, const struct linux_sigaction *new,
			     struct linux_sigaction *old);
/* sigprocmask(2); how LINUX_SIG_*. */
MUST_CHECK int signal_mask(struct task *t, int how, uint64_t set);
uint64_t signal_blocked(struct task *t);
uint64_t signal_pending_set(struct task *t); /* sigpending(2): blocked and pending */
/* ppoll, pselect, epoll_pwait: installs set for the duration of the call. The old mask comes back when the
 * call ends without a handler run, or as the mask the handler returns to: nothing to undo by the caller,
 * but signal_mask_restore when the call was not interrupted. */
void signal_mask_swap(struct task *t, uint64_t set);
void signal_mask_restore(struct task *t);
/* sigtimedwait(2): the signal or -EAGAIN, -EINTR. deadline: monotonic ns, 0: none; poll: don't wait */
MUST_CHECK int signal_wait(struct task *t, uint64_t set, uint64_t deadline, bool poll,
			   struct linux_siginfo *info);
MUST_CHECK int signal_altstack(struct task *t, const struct linux_sigaltstack *new,
			       struct linux_sigaltstack *old);
/* rt_sigreturn(2): SYSCALL_REGS_SET; a bad frame kills with SIGSEGV. */
int64_t signal_return(struct task *t);
/* A processor exception or seccomp trap: can't be blocked or ignored. */
void signal_force(struct task *t, int sig, const struct linux_siginfo *info);

MUST_CHECK int signalfd_create(struct task *t, uint64_t set, uint32_t flags, struct file **out);
/* signalfd(2) on an existing one; -EINVAL when f isn't. */
MUST_CHECK int signalfd_update(struct file *f, uint64_t set);
