/* internal.h: what only sentry/kernel sees: the private halves of tasks and processes, and the functions
 * its files share. Locks: tasklist_lock, then process->lock (rank SIGHAND), then the action table's.
 * Neither is held across a call to mm, vfs or the platform but for kick. */
#pragma once

#include "platform/abi/sched.h"
#include "platform/abi/signal.h"
#include "platform/base/bug.h"
#include "platform/base/clock.h"
#include "sentry/kernel/futex.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/ptrace.h"
#include "sentry/kernel/seccomp.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/timer.h"
#include "sentry/kernel/tty.h"

#define CPUMASK_WORDS 16 /* 1024 processors, as the usual cpu_set_t */

/* A real user: what RLIMIT_NPROC and RLIMIT_SIGPENDING count by. */
struct user {
	struct rbnode node; /* [users->lock] by uid */
	uint32_t uid;	    /* [I] kernel id */
	uint32_t refs;	    /* [users->lock] tasks that hold it */
	uint32_t tasks;	    /* [a] */
	uint32_t queued;    /* [a] signals queued */
};

struct user_table {
	struct mutex lock; /* rank CRED */
	struct rbtree users;
};

struct sigqueue {
	struct list node;
	struct linux_siginfo info;
	struct user *user;	   /* counted there; NULL: not counted (preallocated) */
	struct posix_timer *timer; /* its owner; NULL: freed on delivery */
};

struct sigpending {
	uint64_t set;	   /* [process lock] */
	struct list queue; /* [process lock] struct sigqueue */
};

/* Shared by CLONE_SIGHAND. */
struct sigactions {
	struct refs refs;
	struct mutex lock;			  /* rank SIGACTION, inside the process's */
	struct linux_sigaction action[SIG_COUNT]; /* [lock]; sa_handler also [a] */
	uint64_t plain;				  /* [a] a set: those that are all zero, or fewer */
};

/* How restart_syscall(2) goes on. */
struct restart_block {
	int64_t (*fn)(struct task *t, struct restart_block *r);
	uint64_t deadline; /* absolute CLOCK_MONOTONIC ns; 0: none */
	uint64_t a[6];
};

struct task_start {
	uaddr_t stack, tls, child_tid;
	uint64_t flags;		      /* CLONE_* */
	const struct init_args *init; /* the first task: what to execute */
};

/* The tracer's view of a task: ptrace.c. All [tasklist_lock] unless marked. */
struct trace {
	struct task *tracer; /* borrowed; NULL: not traced */
	struct list node;    /* in tracer->p->tracees */
	uint32_t options;    /* PTRACE_O_*; changed while stopped */
	bool seized;
	bool stopped;	    /* in a trace stop; the tracer may look and change */
	bool reported;	    /* the stop was already waited for */
	bool listening;	    /* PTRACE_LISTEN */
	bool interrupt;	    /* PTRACE_INTERRUPT is due */
	bool notify;	    /* [a] seized, and a SIGCONT came: a stop is due that tells of it */
	uint32_t stop_code; /* as in the wait status: signal | event << 8 */
	uint64_t message;   /* PTRACE_GETEVENTMSG */
	struct linux_siginfo info;
	bool have_info;
	int inject;	     /* signal to go on with */
	uint32_t resume;     /* how: TRACE_RESUME_* */
	uint32_t go;	     /* [a] futex-like flag: resumed */
	bool in_syscall;     /* between entry and exit stop */
	uint32_t syscall_op; /* PTRACE_SYSCALL_INFO_* of the stop */
	uint32_t seccomp_data;
	struct trace_request *request; /* [a] for the stopped task to run */
};

struct task_private {
	struct task *self;	 /* [I] */
	struct list thread_node; /* with process->tasks */
	struct user *user;	 /* [T]; others under the process's lock */

	uint64_t blocked;		   /* [process lock], written by the task only */
	uint64_t saved_mask;		   /* [T] what sigsuspend and ppoll return to */
	uint64_t real_blocked;		   /* [process lock] sigtimedwait: what is blocked in truth; else 0 */
	bool restore_mask;		   /* [T] */
	struct sigpending pending;	   /* [process lock] */
	struct linux_sigaltstack altstack; /* [T] */

	uint32_t in_guest;	   /* [a] platform->run is on: a kick is needed */
	char state;		   /* [a] as /proc shows it */
	bool exiting;		   /* [process lock] no signal goes to it any more */
	bool dead;		   /* [tasklist_lock] its thread is through exit */
	bool stop_counted;	   /* [process lock] parked, or counted as such, in the group stop */
	struct cred *exec_cred;	   /* [T] while in execve: what it will have */
	bool exec_nosuid;	   /* [T] the mount says so */
	int start_result;	   /* [a] of the first process: 1: not known yet */
	int exit_code;		   /* [T], after dead [I] */
	struct task *vfork_parent; /* [T] reference; waits for our exec or exit */
	uint32_t vfork_done;	   /* [a] the child has gone on */
	uaddr_t clear_child_tid, set_child_tid; /* [T] */
	uaddr_t robust_list;			/* [a] others: get_robust_list */
	int exit_signal;			/* [tasklist_lock] leader's: sent to the parent; -1: none */
	int pdeath_signal;			/* [a] */
	struct task *parent_task;     /* [tasklist_lock] borrowed: the thread that made it, for __WNOTHREAD,
					 pdeath */
	struct restart_block restart; /* [T] */
	struct task_start start;      /* [T] until the first instruction */

	int32_t nice;				     /* [a] */
	uint32_t policy, rt_priority;		     /* [a] */
	bool reset_on_fork;			     /* [a] */
	uint64_t dl_runtime, dl_deadline, dl_period; /* [a] */
	uint64_t cpumask[CPUMASK_WORDS];	     /* [process lock] */
	uint64_t timer_slack, timer_slack_default;   /* [a] */
	uint32_t personality;			     /* [T] */
	int32_t ioprio;				     /* [a] */

	struct seccomp_filter *filter; /* [T] head of the chain; others under process lock (TSYNC) */
	uint32_t seccomp_mode;	       /* [T], as filter */
	bool inherit_no_new_privs;     /* [process lock] TSYNC: to be put into its credential by itself */

	uint32_t host_tid;		 /* [a] 0: not running */
	uint64_t cpu_base;		 /* [I] the host thread's CPU time when it took this task over */
	uint64_t utime, stime;		 /* [process lock] once exited */
	uint64_t start_ns;		 /* [I] boottime */
	uint64_t voluntary, involuntary; /* [a] */
	uint64_t fault_trapno, fault_err, fault_addr; /* [T] of the last exception */

	struct key *session_ring, *process_ring, *thread_ring; /* [KEYS] references; NULL: none */
	int32_t request_ring;				       /* [T] KEYCTL_SET_REQKEY_KEYRING */

	uaddr_t rseq;		     /* [T] */
	uint32_t rseq_len, rseq_sig; /* [T] */

	struct trace trace;
	struct list tracees;	  /* [tasklist_lock] */
	struct futex_task *futex; /* [T] futex.c */
	struct list pi_owned;	  /* [FUTEX] PI states it owns */
};

/* What wait(2) has to tell about a live process, [process lock] */
#define WAIT_STOPPED   0x1u
#define WAIT_CONTINUED 0x2u

struct itimer {
	uint64_t expires, interval; /* [process lock] REAL: monotonic ns; VIRTUAL, PROF: CPU ns; 0: off */
};

struct process_private {
	struct process *self;		       /* [I] */
	struct inode *exe_denied;	       /* [process lock] exe's, which nobody may write to; reference */
	struct sigactions *actions;	       /* changes only in exec, by the only task; reference */
	struct sigpending pending;	       /* [process lock] */
	struct waitq signal_wq;		       /* signalfd */
	struct waitq child_wq;		       /* wait4 */
	bool group_exit;		       /* [process lock] everybody leaves with group_code */
	int group_code;			       /* [process lock] wait status */
	struct task *exec_task;		       /* [process lock] waits for the others to go */
	uint32_t undead;		       /* [tasklist_lock] tasks that aren't through exit */
	uint32_t live;			       /* [process lock] tasks that haven't begun to exit */
	bool zombie;			       /* [tasklist_lock] all tasks are gone, not reaped */
	bool reaped;			       /* [tasklist_lock] */
	bool autoreap;			       /* [tasklist_lock] nobody waits */
	int exit_code;			       /* [tasklist_lock] status when zombie */
	void (*exited)(void *arg, int status); /* [I] init_args.exited */
	void *exited_arg;		       /* [I] */
	bool unkillable; /* [I] init of a pid namespace: default actions from inside don't apply */
	bool subreaper;	 /* [a] */
	bool membarrier; /* [a] registered for private expedited barriers */
	bool has_exec;	 /* [a] execed since fork (setpgid's EACCES) */

	int stop_signal;      /* [process lock] group stop in progress or in force; 0: none */
	uint32_t stop_left;   /* [process lock] tasks that are still to park */
	bool stopped;	      /* [process lock] all parked */
	uint32_t cont_count;  /* [process lock] SIGCONTs so far: a stop signal taken before one is void */
	bool tell_continued;  /* [process lock] the first task that resumes tells the parent */
	uint32_t wait_events; /* [process lock] WAIT_* not yet consumed */

	uint64_t dead_utime, dead_stime;	   /* [process lock] of exited threads */
	uint64_t dead_voluntary, dead_involuntary; /* [process lock] */
	uint64_t child_utime, child_stime;	   /* [process lock] of reaped children */
	uint64_t max_rss, child_max_rss;	   /* [process lock] KiB */

	struct itimer itimers[3]; /* [process lock] */
	struct timer itimer_real;
	struct timer cpu_timer;	    /* polls for VIRTUAL, PROF, RLIMIT_CPU, CPU clocks */
	bool cpu_timer_on;	    /* [process lock] */
	uint64_t cpu_limit_next;    /* [process lock] next SIGXCPU at this many s */
	struct list posix_timers;   /* [process lock] */
	uint32_t posix_timer_count; /* [process lock] */
	int32_t next_timer_id;	    /* [process lock] */
};

/* task->wake: */
#define WAKE_EVENT 1u /* task_wake was called */
#define WAKE_LOOK  2u /* look at task->work */
#define WAKE_SLEEP 4u /* the task sleeps on the word */

static inline uint64_t kernel_now(void)
{
	return clock_monotonic_ns();
}

static inline const struct platform_ops *task_platform(const struct task *t)
{
	return t->kernel->platform->ops;
}

static inline struct guest_regs *task_regs(struct task *t, bool write)
{
	return task_platform(t)->regs(t->ctx, write);
}

static inline struct user_ns *task_user_ns(struct task *t)
{
	return t->cred->user_ns;
}

/* ---- users.c ---- */
struct user_table *user_table_create(void);
MUST_CHECK int user_get(struct kernel *k, uint32_t uid, struct user **out);
void user_put(struct kernel *k, struct user *u);
uint32_t user_tasks(struct user *u);

/* ---- pid.c ---- */
MUST_CHECK int pid_ns_create(struct kernel *k, struct pid_ns *parent, struct user_ns *owner,
			     struct pid_ns **out);
struct pid_ns *pid_ns_get(struct pid_ns *ns);
void pid_ns_put(struct pid_ns *ns);
/* Numbers in ns and its ancestors; wanted: ids for set_tid, innermost first. */
MUST_CHECK int pid_alloc(struct pid_ns *ns, const int32_t *wanted, uint32_t wanted_count, struct pid **out);
/* The numbers become free. [tasklist_lock] */
void pid_release_locked(struct pid *pid);
struct pid *pid_find_locked(struct pid_ns *ns, int32_t nr);
static inline struct pid_ns *pid_ns_of(const struct pid *pid)
{
	return pid->nrs[pid->levels - 1].ns;
}
static inline int32_t pid_nr(const struct pid *pid) /* in its own namespace */
{
	return pid->nrs[pid->levels - 1].nr;
}

/* ---- ns.c ---- */
MUST_CHECK int ns_create(struct kernel *k, uint32_t type, struct user_ns *owner, struct ns **out);
struct ns *ns_get(struct ns *ns);
MUST_CHECK int uts_ns_create(struct kernel *k, struct uts_ns *from, struct user_ns *owner, struct uts_ns **out);
struct uts_ns *uts_ns_get(struct uts_ns *ns);
void uts_ns_put(struct uts_ns *ns);

/* ---- process.c ---- */
MUST_CHECK int process_create(struct kernel *k, struct process **out);
/* Group and session membership; the old references are handed back for the caller to put unlocked. */
void process_set_pgrp_locked(struct process *p, struct pid *pgrp, struct pid **old);
void process_set_session_locked(struct process *p, struct session *s, struct session **old);
MUST_CHECK int session_create(struct pid *sid, struct process *leader, struct session **out);
struct session *session_get(struct session *s);
void session_put(struct session *s);
/* No member has a parent in another group of the session: POSIX's orphaned process group. */
bool pgrp_orphaned_locked(struct pid *pgrp, struct process *ignore);
bool pgrp_has_stopped_locked(struct pid *pgrp);
/* pos: struct task_private * */
#define process_for_each(pos, process) list_for_each (pos, &(process)->tasks, thread_node)

/* ---- task.c ---- */
MUST_CHECK int task_alloc(struct kernel *k, struct task **out);
void task_set_work(struct task *t, uint32_t work); /* and makes it look: process lock held, or own */
void task_poke(struct task *t);			   /* same, no new work */
/* The parts a dying task lets go; they become NULL for others. */
void task_drop_parts(struct task *t);
bool task_is_fast(struct task *t);
void task_publish(struct task *t);

/* lent.c */
void lent_sync(struct task *t);
void lent_check(struct task *t);
void lent_forget(struct task *t);
void task_state_set(struct task *t, char state);
uint64_t task_cpu_user(struct task *t);
uint64_t task_cpu_system(struct task *t);

/* ---- block.c ---- */
/* As task_block, but only a kill interrupts. */
MUST_CHECK int task_block_killable(struct task *t, uint64_t deadline);
/* Sleeps until somebody pokes or wakes the task: the caller looks at its condition and calls again. */
void task_park(struct task *t);

/* ---- run.c ---- */
MUST_CHECK int task_start_thread(struct task *t);

/* ---- clone.c ---- */
/* The whole identity of a new task becomes visible: tables, groups, parent. */
MUST_CHECK int task_link(struct task *parent, struct task *child, uint64_t flags, int exit_signal);
void task_unlink(struct task *child);

/* ---- exec.c ---- */
/* The first program: kernel argv and envp; on the task's own thread. */
/* Never visible, or no more: gives all of it back. */
void task_discard(struct task *c);
MUST_CHECK int task_exec_kernel(struct task *t, const struct init_args *a);

/* ---- signal.c ---- */
void sigpending_init(struct sigpending *p);
void sigpending_flush(struct kernel *k, struct sigpending *p);
MUST_CHECK int sigactions_create(struct sigactions **out);
/* With a's lock, or nobody else. */
void sigactions_find_plain(struct sigactions *a);
/* Around a run: which actions the guest may change by itself, and what it did. By the task. */
void signal_offer_actions(struct task *t);
void signal_take_actions(struct task *t);
MUST_CHECK int sigactions_copy(struct sigactions *a, bool clear, struct sigactions **out);
struct sigactions *sigactions_get(struct sigactions *a);
void sigactions_put(struct sigactions *a);
/* With the process's lock held; task NULL: process-wide. 1: already there, -EAGAIN: queue full (rt) */
int signal_send_locked(struct process *p, struct task *task, int sig, const struct linux_siginfo *info);
/* q is the caller's own: 1 when it is queued already. */
int signal_send_preallocated_locked(struct process *p, struct task *task, struct sigqueue *q);
void signal_unqueue_locked(struct process *p, struct task *task, struct sigqueue *q);
int signal_send_pgrp_locked(struct pid *pgrp, int sig, const struct linux_siginfo *info); /* [tasklist_lock] */
/* t is leaving: others take the process's signals over. */
void signal_retarget_exiting_locked(struct task *t);
/* Takes the next signal outside mask; 0: none. [process lock] */
int signal_dequeue_locked(struct task *t, uint64_t mask, struct linux_siginfo *info);
bool signal_pending_locked(struct task *t);
/* Recomputes TASK_WORK_SIGNAL of t. */
bool signal_recheck(struct task *t);
void signal_flush_set_locked(struct process *p, uint64_t set);
void signal_set_blocked(struct task *t, uint64_t set);
/* Whole process leaves with this wait status. [process lock] */
void process_group_exit_locked(struct process *p, int status, struct task *except);
bool signal_ignored_locked(struct process *p, int sig);

/* ---- deliver.c ---- */
/* Signals, stops, exits before the guest runs on. restart: what the call returned (-ERESTART*), 0: none is
 * to be restarted. False: the task has to exit. */
MUST_CHECK bool task_do_work(struct task *t, int64_t restart);
/* Counts t as parked: true when it was the last (then the parent is to be told). [process lock] */
bool signal_stop_count_locked(struct task *t);

/* ---- x86_64/sigframe.c ---- */
MUST_CHECK int sigframe_push(struct task *t, const struct linux_sigaction *sa, int sig,
			     const struct linux_siginfo *info, uint64_t mask);

/* Segment selectors and flags that a guest may run with, whatever it asked for. */
void regs_sanitize(struct guest_regs *r);
void regs_single_step(struct guest_regs *r, bool on);

/* ---- exit.c ---- */
/* CLD_* of a wait status that tells of an end. */
static inline int exit_code_class(int status)
{
	return status & 0x80 ? LINUX_CLD_DUMPED : status & 0x7f ? LINUX_CLD_KILLED : LINUX_CLD_EXITED;
}
/* Ends the calling task: everything goes, t too. Only from the run loop. */
void task_exit(struct task *t);
void process_reap_locked(struct process *p, struct list *dead);
void process_free_reaped(struct list *dead);
void exit_release_thread_locked(struct task *t); /* out of all tables */
void exit_wait(struct task *t);
/* True when nobody will wait for the zombie p: the caller reaps. [tasklist_lock] */
bool exit_notify_parent_locked(struct process *p);
void rusage_fill(struct process *p, struct linux_rusage *r);

/* ---- namespaces.c ---- */
/* The credential of a task that enters a new user namespace of its own. */
MUST_CHECK int cred_new_user_ns(struct task *t, struct cred **out);
/* Fills in c's namespaces: shared with t or new by flags, owned by owner; fs: c's, moved into a new mount
 * ns. */
MUST_CHECK int namespaces_copy(struct task *t, struct task *c, struct user_ns *owner, struct fs_context *fs,
			       uint64_t flags);
void parent_notify_stop_locked(struct process *p, int why, int status);
void vfork_release(struct task *t);

/* ---- futex.c ---- */
MUST_CHECK int futex_table_create(struct futex_table **out);
void futex_task_exit(struct task *t); /* exit and exec: robust list, PI locks; while mm is there */

void futex_wake_exit(struct task *t, uaddr_t addr);
/* The same for the word that tells of a thread's end: done at the latest when its context is destroyed. */
void futex_wake_goodbye(struct task *t, uaddr_t addr);

/* ---- timers ---- */
MUST_CHECK int timer_queue_create(struct kernel *k, struct timer_queue **out);
void process_timers_init(struct process *p);
void process_timers_exit(struct process *p, bool exec); /* exec: POSIX timers only. Without locks */
uint64_t posix_timers_cpu_locked(struct process *p);	/* fires what is due; CPU ns until the next */
void posix_timers_delete_all(struct process *p);
void cpu_timers_kick_locked(struct process *p);
bool clock_is_cpu(int32_t clock);
uint64_t clock_to_monotonic(struct task *t, int32_t clock, uint64_t at);
void posix_timer_signal_taken_locked(struct process *p, struct sigqueue *q, struct linux_siginfo *info);

/* ---- seccomp.c ---- */
struct seccomp_filter *seccomp_filter_get(struct seccomp_filter *f);
void seccomp_filter_put(struct seccomp_filter *f);
uint32_t seccomp_filter_count(struct seccomp_filter *f);
/* Has t filters? Then free[CALL_WORDS] are the calls, a bit each, that they allow whatever the arguments. */
bool seccomp_free_calls(struct task *t, uint64_t *free);

/* ---- signalfd.c ---- */
extern const struct file_ops signalfd_ops;
ssize_t signalfd_read(struct task *t, struct file *f, struct uio *dst);
uint32_t signalfd_ready(struct task *t, struct file *f);

/* ---- tty.c ---- */
/* 0, or -EIO, -ERESTARTSYS after SIGTTIN/SIGTTOU was sent. */
MUST_CHECK int tty_check_read(struct task *t, struct tty *tty);
MUST_CHECK int tty_check_write(struct task *t, struct tty *tty);
/* open(2) of a terminal by a session leader without one */
void tty_opened(struct task *t, struct file *f);
MUST_CHECK int tty_set_controlling(struct task *t, struct tty *tty, bool steal);
struct tty *tty_of_session(struct task *t); /* reference or NULL */
/* The session leader exits or gives it up: HUP and CONT to the foreground. */
void tty_disassociate(struct task *t, bool on_exit);

/* ---- ptrace.c ---- */
/* A stop for a signal that is about to be delivered: the signal to go on with, 0: none. */
int ptrace_signal(struct task *t, int sig, struct linux_siginfo *info, int64_t *restart);
bool ptrace_is_traced(struct task *t);
/* A traced thread is through exit: its tracer waits for it. [tasklist_lock] */
void ptrace_tracee_dead_locked(struct task *t);
void ptrace_syscall_exit(struct task *t);
/* PTRACE_EVENT_*; nothing when it isn't asked for. */
void ptrace_event(struct task *t, int event, uint64_t message);
void ptrace_exec(struct task *t);
/* SECCOMP_RET_TRACE: false: nobody traces it. *result 0: go on with the call as it is in t->event. */
bool ptrace_seccomp(struct task *t, uint32_t data, int64_t *result);
void ptrace_do_interrupt(struct task *t); /* PTRACE_INTERRUPT */
void ptrace_group_stop(struct task *t, int sig);
/* A zombie that its tracer has waited for: untraced, the real parent is told. [tasklist_lock] */
void ptrace_release_zombie_locked(struct process *p, struct list *dead);
void ptrace_release_thread_locked(struct task *t);
void ptrace_clone(struct task *t, struct task *child, uint64_t flags, int event);
void ptrace_task_exit(struct task *t);
