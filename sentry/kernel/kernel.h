/* kernel.h: the root of a sandbox's kernel, its tasks and processes, and everything that blocks, signals or
 * keeps time. Whoever needs state starts from the struct task that every entry receives.
 *
 * Names: a `task` is a thread; a `process` is a thread group; both have ids in each pid namespace they are
 * visible in. Each task is driven by one sentry thread (task->run loop in run.c). */
#pragma once

#include "platform/abi/errno.h"
#include "platform/abi/types.h"
#include "platform/base/arena.h"
#include "platform/base/list.h"
#include "platform/base/lock.h"
#include "platform/base/rbtree.h"
#include "platform/base/refs.h"
#include "platform/base/waitq.h"
#include "platform/platform.h"
#include "sentry/cred/cred.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/file.h"
#include "sentry/vfs/vfs.h"

struct kernel;
struct ns;
struct pid;
struct pid_ns;
struct process;
struct bpf_prog;
struct session;
struct task;
struct tty;
struct strbuf;

#define TASK_COMM_LEN 16

/* What upper rooms plug into the kernel: set by boot before the first task runs. */
struct kernel_ops {
	/* serves ev's call; the result, -ERESTART*, or SYSCALL_REGS_SET. Everything the handlers need hangs
	 * off t. */
	int64_t (*syscall)(struct task *t, const struct run_event *ev);
	/* execve's work behind the path: see loader.h */
	int (*load)(struct task *t, struct file *exe, const char *filename, void *exec_args);
	/* the initial process has ended: status as wait(2) reports it */
	void (*init_exited)(struct kernel *k, int status);
	/* gives a new network namespace its stack (priv, destroy); initial: the first one. May be NULL */
	int (*net_ns_created)(struct kernel *k, struct ns *ns, bool initial);
	void *arg; /* boot's own */
};

/* What a handler returns that has set all registers itself (rt_sigreturn, a successful execve): the run loop
 * leaves them alone. Not an errno. */
#define SYSCALL_REGS_SET INT64_MIN

struct uts_ns {
	struct refs refs;
	struct mutex lock;
	char nodename[65], domainname[65]; /* [lock] */
	struct user_ns *owner;		   /* [I] */
	uint64_t ino;			   /* [I] */
};

/* Namespaces that have no state in this room: what lies behind hangs off priv (System V IPC, a network
 * stack), made on first use by its owner, destroyed through destroy. */
struct ns {
	struct refs refs;
	struct user_ns *owner;		/* [I] reference */
	uint64_t ino;			/* [I] */
	uint32_t type;			/* [I] LINUX_CLONE_NEWIPC, NEWNET, NEWCGROUP, NEWTIME */
	void *priv;			/* [a] set once */
	void (*destroy)(struct ns *ns); /* set before priv */
};

/* pid_namespaces(7) */
struct pid_ns {
	struct refs refs;
	struct kernel *kernel; /* [I] */
	struct pid_ns *parent; /* [I] reference; NULL: initial */
	struct user_ns *owner; /* [I] reference */
	uint32_t level;	       /* [I] */
	uint64_t ino;	       /* [I] */
	int32_t last;	       /* [tasklist_lock] the id given last */
	uint32_t count;	       /* [tasklist_lock] ids in use */
	bool dead;	       /* [tasklist_lock] its init is gone: no new ids */
	struct rbtree ids;     /* [tasklist_lock] struct pid_nr by nr */
	struct process *init;  /* [tasklist_lock] borrowed; the child reaper */
};

struct pid_nr {
	struct rbnode node; /* [tasklist_lock] */
	struct pid_ns *ns;  /* [I] reference */
	int32_t nr;	    /* [I] */
};

/* One identity: a number in each namespace level it is visible in. It outlives what it names. */
struct pid {
	struct refs refs;
	struct kernel *kernel;	 /* [I] */
	struct task *task;	 /* [tasklist_lock] the thread so numbered, until it is released */
	struct process *process; /* [tasklist_lock] the process so numbered, until it is reaped */
	struct list group;	 /* [tasklist_lock] process->pgrp_node of the members of this process group */
	struct list session;	 /* [tasklist_lock] process->session_node of the members of this session */
	struct waitq wq;	 /* pidfd readers: the process ended */
	bool released;		 /* [tasklist_lock] its numbers are free again */
	uint32_t levels;	 /* [I] nrs holds this many; the last is its own namespace */
	struct pid_nr nrs[];
};
static inline struct pid *pid_get(struct pid *p)
{
	refs_get(&p->refs);
	return p;
}
void pid_put(struct pid *p);
/* The number in ns; 0 when not visible there. */
int32_t pid_nr_in(const struct pid *p, const struct pid_ns *ns);

struct session {
	struct refs refs;
	struct pid *sid;	/* [I] reference */
	struct tty *tty;	/* [tasklist_lock] controlling terminal (tty.h), a reference; NULL: none */
	struct process *leader; /* [tasklist_lock] borrowed; NULL once it is gone */
};

/* A thread group. Its signal state, timers and what only this room needs are in p (internal.h). */
struct process {
	struct refs refs;
	struct kernel *kernel;	/* [I] */
	struct mutex lock;	/* rank SIGHAND: signals, timers, and the parts of its tasks that others read */
	struct list node;	/* [tasklist_lock] in kernel->processes, oldest first */
	struct pid *pid;	/* [I] reference */
	int32_t tgid;		/* [I] in the initial pid namespace */
	struct task *leader;	/* [tasklist_lock] reference; changes when another thread execs */
	struct list tasks;	/* changed under tasklist_lock and lock, read under either: internal.h */
	uint32_t task_count;	/* as tasks */
	struct process *parent; /* [tasklist_lock] borrowed; pid 1's is NULL */
	struct list children, sibling; /* [tasklist_lock] */
	struct pid *pgrp;	       /* [tasklist_lock] reference */
	struct list pgrp_node;	       /* [tasklist_lock] */
	struct session *session;       /* [tasklist_lock] reference */
	struct list session_node;      /* [tasklist_lock] */
	struct rlimits limits;
	struct path exe;       /* [lock] reference; what /proc/pid/exe shows; mnt NULL before the first exec */
	int32_t oom_score_adj; /* [a] */
	uint64_t start_ns;     /* [I] CLOCK_BOOTTIME */
	struct sem_undo_list *sem_undo; /* [a] sysv_sem.c; NULL until SEM_UNDO is used */
	struct process_private *p;	/* internal.h */
};
static inline struct process *process_get(struct process *p)
{
	refs_get(&p->refs);
	return p;
}
void process_put(struct process *p);

struct kernel {
	struct kernel_ops ops;				  /* [I] */
	struct platform *platform;			  /* [I] */
	struct vfs *vfs;				  /* [I] */
	struct user_ns *user_ns;			  /* [I] the initial one */
	struct pid_ns *pid_ns;				  /* [I] the initial one */
	struct uts_ns *uts_ns;				  /* [I] the initial one */
	struct ns *ipc_ns, *net_ns, *cgroup_ns, *time_ns; /* [I] the initial ones */
	struct mutex tasklist_lock;    /* rank TASKLIST, low: process tree, groups, sessions, pid tables; nobody
					* calls another room but for cred while holding it */
	struct list processes;	       /* [tasklist_lock] */
	uint32_t process_count;	       /* [tasklist_lock] */
	uint32_t task_count;	       /* [a] */
	uint64_t forks;		       /* [a] since boot, for /proc/stat */
	uint32_t max_tasks;	       /* [a] --pids; 0: no limit */
	uint32_t cpu_count;	       /* [I] what the guest sees */
	uint64_t max_memory;	       /* [a] --memory; 0: the host's */
	uint64_t boot_ns;	       /* [I] CLOCK_BOOTTIME at start: the guest's btime */
	uint64_t next_ns_ino;	       /* [a] */
	uint64_t boot_id[2];	       /* [I] random, set by fs/proc when it is registered */
	struct futex_table *futexes;   /* [I] */
	struct user_table *users;      /* [I] */
	struct key_table *keys;	       /* [I] keys.h */
	struct settings *settings;     /* [I] settings.h */
	struct timer_queue *timers;    /* [I] */
	uint64_t host_memory;	       /* [I] set by boot: the host's RAM in bytes; 0: unknown */
	uint64_t missing_calls[8];     /* [a] bitmap by number: already logged as not implemented */
	struct kernel_stats *stats;    /* [I] stats.h; NULL: not collected */
	struct strace *strace;	       /* [I] NULL: off */
	struct sigio *sigio;	       /* [a] fasync.c; NULL until O_ASYNC is used */
	const char *release, *version; /* [I] uname */
};

/* Why system calls of a task take the slow way: bits of task->syscall_work. */
#define SYSCALL_WORK_SECCOMP 0x1u
#define SYSCALL_WORK_TRACE   0x2u

/* The extra pending-work bits of a task; any set bit makes the run loop look before it enters the guest. */
#define TASK_WORK_SIGNAL 0x1u /* maybe a deliverable signal */
#define TASK_WORK_EXIT	 0x2u /* exit as soon as possible */
#define TASK_WORK_STOP	 0x4u /* group stop or trace stop */
#define TASK_WORK_FACTS	 0x8u /* ids changed: publish */

struct task {
	struct refs refs;
	struct kernel *kernel;	   /* [I] */
	struct process *process;   /* [I] but exec by another thread: see process.leader */
	struct context *ctx;	   /* [T] */
	struct mm *mm;		   /* [T]; others through task_mm_get */
	struct fdtable *fds;	   /* [T]; others through task_fds_get */
	struct fs_context *fs;	   /* [T]; others through task_fs_get */
	struct mount_ns *mount_ns; /* [T] */
	struct uts_ns *uts_ns;	   /* [T] */
	struct ns *ipc_ns, *net_ns, *cgroup_ns, *time_ns; /* [T] */
	struct pid_ns *child_pid_ns;	       /* [T] where its children get ids; its own is pid's last level */
	struct cred *cred;		       /* [T]; others through task_cred_get */
	int32_t tid;			       /* [I] in the initial pid namespace */
	struct pid *pid;		       /* [tasklist_lock] its ids */
	uint32_t work;			       /* [a] TASK_WORK_* */
	uint32_t wake;			       /* [a] futex word of task_block */
	uint32_t listed_credit, opened_credit; /* [T] see syscalls/answers.h */
	uint32_t lent_count;		       /* [T] files lent with their position: kernel/lent.c */
	uint32_t arrivals;		       /* [a] counts ways out of the guest */
	struct lent *lent;		       /* [T] CONTEXT_FILES of them, owned; NULL: none yet */
	uint32_t syscall_work;		       /* [a] SYSCALL_WORK_*: 0 on the usual path */
	char comm[TASK_COMM_LEN];	       /* [a] byte-wise */
	struct run_event event;		       /* [T] the call being served */
	void *bounce;			       /* [T] 64 KiB, allocated on first use by task_bounce */
	char *strace_line;	/* [T] arguments shown at entry, for calls that replace memory; owned */
	struct task_private *p; /* kernel/internal.h: signals, timers, robust list, ... */
};

/* The caller's view for vfs calls. */
static inline struct usermem task_usermem(struct task *t)
{
	return mm_usermem(t->mm, t->ctx);
}

struct vfs_at task_at(struct task *t, const struct path *base); /* base may be NULL */

/* The forms in which syscall handlers touch guest memory: 0 or -EFAULT. */
MUST_CHECK int copy_from_user(struct task *t, void *dst, uaddr_t src, size_t n);
MUST_CHECK int copy_to_user(struct task *t, uaddr_t dst, const void *src, size_t n);
/* Length, -EFAULT, or -ENAMETOOLONG. */
MUST_CHECK ssize_t strncpy_from_user(struct task *t, char *dst, uaddr_t src, size_t size);
/* A path into a fresh buffer of VFS_PATH_MAX; freed with kfree. -ENAMETOOLONG, -EFAULT; "" is allowed. */
MUST_CHECK int getname(struct task *t, uaddr_t src, char **out);
/* A 64 KiB scratch buffer of the task for moving data; NULL when out of memory. */
void *task_bounce(struct task *t);
#define TASK_BOUNCE_SIZE (64 * 1024UL)

/* Blocking. Between calls the task holds no lock. deadline: CLOCK_MONOTONIC ns, 0 for none.
 * task_block returns 0 when task_wake was called since the last return, -ETIMEDOUT, or -ERESTARTSYS when a
 * signal or exit is pending. */
MUST_CHECK int task_block(struct task *t, uint64_t deadline);
void task_wake(struct task *t);
/* Fills in a waiter that wakes t for the given events. */
void task_waiter(struct task *t, struct waiter *w, uint32_t mask);
bool task_interrupted(struct task *t); /* a signal or exit is pending */

/* One blocking operation each: try, register, try again, block, repeat; O_NONBLOCK honoured. */
ssize_t file_read_block(struct task *t, struct file *f, struct uio *dst);
ssize_t file_write_block(struct task *t, struct file *f,
			 struct uio *src); /* SIGPIPE on -EPIPE; partial writes continue */
ssize_t file_pread_block(struct task *t, struct file *f, struct uio *dst, uint64_t pos);
ssize_t file_pwrite_block(struct task *t, struct file *f, struct uio *src, uint64_t pos);
MUST_CHECK int file_open_block(struct task *t, struct file *f);
/* Generic: waits until f is ready for one of events. 0, -ETIMEDOUT, -ERESTARTSYS */
MUST_CHECK int file_wait(struct task *t, struct file *f, uint32_t events, uint64_t deadline);

/* Signals. info NULL: SI_KERNEL-like from the kernel. Permission is the caller's business. */
int signal_send_task(struct task *t, int sig, const struct linux_siginfo *info);
int signal_send_process(struct process *p, int sig, const struct linux_siginfo *info);
/* Foreground group of a tty and the like: all processes of the group id in the session's namespace. */
int signal_send_pgrp(struct kernel *k, struct pid *pgrp, int sig, const struct linux_siginfo *info);

/* Lookups by number in the caller's pid namespace: with a reference, or NULL. */
struct task *task_find(struct task *caller, int32_t tid);
void task_put(struct task *t);
static inline struct task *task_get(struct task *t)
{
	refs_get(&t->refs);
	return t;
}
int32_t task_tid_in(struct task *viewer, struct task *t); /* 0 when not visible */
int32_t task_tgid_in(struct task *viewer, struct task *t);
/* Another task's parts, with a reference; NULL once it has exited. */
struct mm *task_mm_get(struct task *t);
struct fdtable *task_fds_get(struct task *t);
struct fs_context *task_fs_get(struct task *t);
struct cred *task_cred_get(struct task *t);
struct mount_ns *task_mount_ns_get(struct task *t);
/* Limits are the process's. */
struct rlimits *task_rlimits(struct task *t);
static inline uint64_t task_rlimit(struct task *t, int resource)
{
	return rlimit_cur(task_rlimits(t), resource);
}
/* f, t's descriptor fd, was read (on to position next) or written to: from a number of uses on the platform may
 * do that itself. at_end: the read met the end of the file. The caller holds one reference. */
void task_used_file(struct task *t, int fd, struct file *f, bool write, uint64_t next, bool at_end);
/* Before another task than t uses t's descriptor fd of table fds: its position is in f->pos when this returns,
 * and is not lent again while somebody else has the file. Call it with a reference to the file. */
void task_settle_file(struct task *t, struct fdtable *fds, int fd);

/* A user namespace has got a map: what platforms answer with ids in it is forgotten. Takes the task list's
 * lock. */
void user_ns_map_changed(struct kernel *k);
/* Installs a new credential (takes the reference); publishes facts. */
void task_set_cred(struct task *t, struct cred *c);
/* May caller inspect or trace target (ptrace_may_access)? */
bool task_may_access(struct task *caller, struct task *target);
/* The id that owns POSIX locks: the fdtable's address. */
static inline void *task_lock_owner(struct task *t)
{
	return t->fds;
}

/* Its own pid namespace: borrowed from t->pid. */
struct pid_ns *task_pid_ns(struct task *t);
/* Lookups and walks for /proc: ids as ns numbers them; results with a reference. process_next gives the
 * leader of the process with the lowest id above `after`; task_next the next thread of p. NULL at the end. */
struct task *task_find_in(struct pid_ns *ns, int32_t tid);
struct process *process_find_in(struct pid_ns *ns, int32_t tgid);
struct task *process_next(struct pid_ns *ns, int32_t after);
struct task *task_next(struct process *p, struct pid_ns *ns, int32_t after);
/* A reference, NULL once it is reaped. */
struct process *pid_process_get(struct pid *pid);
struct task *process_leader_get(struct process *p); /* a reference, or NULL */
/* The executable with references; -ENOENT. */
MUST_CHECK int process_exe(struct process *p, struct path *out);
void process_set_exe(struct process *p, const struct path *exe); /* takes its own references */
void process_drop_exe(struct process *p);			 /* its memory is gone */

/* A snapshot of what /proc/pid/{stat,status,sched} tell; ids as viewer numbers them, times in ns. */
struct task_info {
	char comm[TASK_COMM_LEN];
	char state; /* R S D T t Z X */
	int32_t tid, tgid, ppid, pgrp, sid, tracer, tpgid;
	uint64_t tty_nr; /* as dev_t of the controlling terminal, 0: none */
	uint32_t threads, policy, rt_priority, exit_signal, seccomp_mode, seccomp_filters;
	int32_t nice, oom_score_adj, exit_code;			    /* exit_code as wait(2) */
	uint64_t utime, stime, cutime, cstime;			    /* of the process, or of the thread alone */
	uint64_t start_ns;					    /* CLOCK_BOOTTIME */
	uint64_t pending, shared_pending, blocked, ignored, caught; /* signal sets */
	uint64_t sig_queued, sig_limit;
	uint64_t voluntary, involuntary; /* context switches */
	uint64_t timer_slack, personality;
};
void task_info(struct pid_ns *viewer, struct task *t, bool whole_process, struct task_info *out);
void task_set_comm(struct task *t, const char *name);
/* CPU time of a process so far, ns, without and with waited-for children. */
void process_cpu_time(struct process *p, uint64_t *utime, uint64_t *stime);
void process_times(struct process *p, uint64_t *utime, uint64_t *stime, uint64_t *cutime, uint64_t *cstime);

/* What /proc/pid/ns shows: the inode number of a namespace of t (LINUX_CLONE_NEW*), 0 when it has exited. */
uint64_t task_ns_ino(struct task *t, uint32_t type, bool for_children);
/* A network namespace, of a file of nsfs (f) or of a process as t numbers it (f NULL), with a reference; for
 * changing it. -EINVAL, -ESRCH, -EPERM */
void ns_put(struct ns *ns); /* NULL is fine */
MUST_CHECK int ns_net_find(struct task *t, struct file *f, int32_t tgid, struct ns **out);
/* An open file of that namespace, for /proc/pid/ns/X and setns; and what it says to readlink. */
MUST_CHECK int ns_file_create(struct task *t, uint32_t type, bool for_children, const struct cred *cred,
			      struct file **out);
/* ioctl_nsfs(2): the user namespace that owns f's namespace, or its parent. -ENOTTY: not such a file; -EPERM:
 * outside of what t may see; -EINVAL: has no parent. */
MUST_CHECK int ns_file_related(struct task *t, struct file *f, bool parent, struct file **out);

/* seccomp(2): applies t's filters to ev. true: go on; false: *result is the call's. */
bool seccomp_check(struct task *t, const struct run_event *ev, int64_t *result);
/* ptrace(2) syscall stops; false: the tracer wants the call skipped, *result is its result. nr and args of ev
 * may have been changed. */
bool ptrace_syscall_enter(struct task *t, struct run_event *ev, int64_t *result);
static inline bool task_needs_syscall_work(const struct task *t)
{
	return __atomic_load_n(&t->syscall_work, __ATOMIC_RELAXED) != 0;
}

/* Files that need to know who calls: terminals (tty.h), signalfd. Syscall handlers use these in place of
 * file->ops->ioctl and file_ready. */
int64_t file_ioctl(struct task *t, struct file *f, uint32_t cmd, uint64_t arg);
uint32_t file_ready_for(struct task *t, struct file *f);
struct waitq *file_wq_for(struct task *t, struct file *f); /* in place of f->wq; NULL: always ready */

/* What the guest takes for the machine's memory, in bytes (sysinfo(2), /proc/meminfo). */
void kernel_memory(struct kernel *k, uint64_t *total, uint64_t *available);

/* Boot. */
struct kernel_config {
	uint32_t cpu_count, max_tasks;
	uint64_t max_memory;
	const char *hostname;
};
MUST_CHECK int kernel_create(const struct kernel_config *config, struct platform *platform, struct vfs *vfs,
			     const struct kernel_ops *ops, struct kernel **out);
/* The first task (pid 1), not started: the caller fills in fs, fds, cred, mount_ns through the arguments
 * (references are taken over), then execs with kernel_start_init. */
struct init_args {
	struct fs_context *fs;
	struct fdtable *fds;
	struct cred *cred;
	struct mount_ns *mount_ns;
	const struct linux_rlimit *limits;     /* LINUX_RLIM_NLIMITS of them */
	const char *path;		       /* resolved by the caller; absolute or relative to cwd */
	const char *const *argv, *const *envp; /* NULL-terminated */
	struct file *terminal;		       /* NULL, or becomes the controlling terminal */
	struct bpf_prog *filter;	       /* NULL, or a seccomp filter that it starts under; taken over */
	int32_t oom_score_adj;
	bool unkillable; /* behaves as init does: signals without a handler don't reach it */
	/* Called once the process has ended, from its last thread: status as wait(2) reports it. NULL: none. */
	void (*exited)(void *arg, int status);
	void *exited_arg;
};
/* Runs the first process to its first instruction; -errno as execve would say when it can't be run. The task
 * then runs on its own thread. */
MUST_CHECK int kernel_start_init(struct kernel *k, const struct init_args *a);
/* The same for a further process without a parent, in the initial namespaces: its id in the initial pid
 * namespace, or -errno. exited is called also when the program could not be executed. */
MUST_CHECK int kernel_start_process(struct kernel *k, const struct init_args *a);
/* Kills everything; returns when no task is left. */
void kernel_shutdown(struct kernel *k);
