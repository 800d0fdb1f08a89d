/* task.h: making, ending and waiting for tasks; ids, groups, sessions; scheduling books; namespaces. What
 * the system calls of those names call after they have read their arguments. */
#pragma once

#include "platform/abi/sched.h"
#include "sentry/kernel/kernel.h"

/* ---- clone(2) ---- */
struct clone_args {
	uint64_t flags; /* CLONE_* without the signal */
	int exit_signal;
	uaddr_t pidfd, child_tid, parent_tid, tls;
	uaddr_t stack;		/* top; 0: as the parent's */
	const int32_t *set_tid; /* innermost namespace first */
	uint32_t set_tid_count;
};
/* The child's id as the caller sees it, or -errno. */
MUST_CHECK int64_t task_clone(struct task *t, const struct clone_args *a);

/* ---- execve(2) ---- */
struct exec_args;
/* name relative to at, lookup: LOOKUP_*; filename: what the program is told (AT_EXECFN, scripts). argv,
 * envp: guest arrays. SYSCALL_REGS_SET on success. */
MUST_CHECK int64_t task_exec(struct task *t, const struct vfs_at *at, const char *name, const char *filename,
			     uint32_t lookup, uaddr_t argv, uaddr_t envp);
/* loader_exec's begin: kernel_ops.load is a call of loader_exec with it. */
MUST_CHECK int task_exec_begin(struct task *t, struct exec_args *a);

/* ---- exit(2) ---- both mark the task; it ends when the handler has returned */
void task_exit_thread(struct task *t, int code);
void task_exit_group(struct task *t, int code);

/* ---- wait(2) ---- */
struct wait_args {
	int which;	    /* LINUX_P_ALL, P_PID, P_PGID */
	struct pid *pid;    /* for P_PID, P_PGID: borrowed; NULL: matches nothing */
	int options;	    /* LINUX_W* */
	bool nohang_eagain; /* P_PIDFD on a non-blocking pidfd */
};
struct wait_result {
	int32_t pid;	 /* 0: nothing (WNOHANG) */
	int status;	 /* as wait4 stores it */
	int code, value; /* CLD_*, si_status */
	uint32_t uid;	 /* kernel id */
	struct linux_rusage usage;
};
MUST_CHECK int task_wait(struct task *t, const struct wait_args *a, struct wait_result *out);

/* ---- ids ---- */
struct pid *task_pid_find(struct task *t, int32_t nr); /* in t's namespace; reference or NULL */
int32_t task_ppid(struct task *t);
MUST_CHECK int task_setpgid(struct task *t, int32_t pid, int32_t pgid);
MUST_CHECK int task_getpgid(struct task *t, int32_t pid);
MUST_CHECK int task_getsid(struct task *t, int32_t pid);
MUST_CHECK int task_setsid(struct task *t);

/* ---- pidfd ---- */
MUST_CHECK int pidfd_create(struct task *t, struct pid *pid, uint32_t flags, struct file **out);
struct pid *pidfd_pid(struct file *f); /* borrowed; NULL: not a pidfd */

/* ---- scheduling books ---- */
struct sched_info {
	uint32_t policy, rt_priority;
	int32_t nice;
	bool reset_on_fork;
	uint64_t runtime, deadline, period;
};
/* tid 0: the caller. A reference, or NULL. */
struct task *task_find_or_self(struct task *t, int32_t tid);
void sched_get(struct task *target, struct sched_info *out);
MUST_CHECK int sched_set(struct task *t, struct task *target, const struct sched_info *in);
MUST_CHECK int sched_set_nice(struct task *t, struct task *target, int nice);
#define SCHED_MASK_WORDS 16
void sched_get_mask(struct task *target, uint64_t mask[SCHED_MASK_WORDS]);
MUST_CHECK int sched_set_mask(struct task *t, struct task *target, const uint64_t mask[SCHED_MASK_WORDS]);
/* PRIO_*: best nice value, or -ESRCH; set: -errno */
MUST_CHECK int sched_getpriority(struct task *t, int which, int who, int *nice);
MUST_CHECK int sched_setpriority(struct task *t, int which, int who, int nice);
/* sched_yield's host side */
void sched_yield_cpu(void);

/* ---- usage ---- */
void task_rusage(struct task *t, int who, struct linux_rusage *out); /* LINUX_RUSAGE_* */

/* ---- namespaces ---- */
MUST_CHECK int task_unshare(struct task *t, uint64_t flags);
MUST_CHECK int task_setns(struct task *t, struct file *f, uint64_t flags);

/* ---- books of prctl(2) and the like: plain fields ---- */
int task_pdeath_signal(struct task *t);
void task_set_pdeath_signal(struct task *t, int sig);
bool task_subreaper(struct task *t);
void task_set_subreaper(struct task *t, bool on);
uint64_t task_timer_slack(struct task *t);
void task_set_timer_slack(struct task *t, uint64_t ns); /* 0: the default */
uint32_t task_personality(struct task *t);
void task_set_personality(struct task *t, uint32_t p);
void task_set_clear_tid(struct task *t, uaddr_t addr);
uaddr_t task_clear_tid(struct task *t);
void task_set_robust_list(struct task *t, uaddr_t head);
uaddr_t task_robust_list(struct task *t);
/* rseq(2) */
MUST_CHECK int task_rseq(struct task *t, uaddr_t addr, uint32_t len, uint32_t flags, uint32_t sig);
/* restart_syscall(2) */
int64_t task_restart(struct task *t);
int32_t task_ioprio(struct task *t);
void task_set_ioprio(struct task *t, int32_t v);

/* arch_prctl(2): FS and GS bases; the caller has checked the address. */
void task_set_segment_base(struct task *t, bool gs, uint64_t base);
uint64_t task_segment_base(struct task *t, bool gs);

/* membarrier(2) */
void task_set_membarrier(struct task *t);
bool task_membarrier(struct task *t);
int task_barrier(struct task *t);
