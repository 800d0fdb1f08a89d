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
struct pid;
struct pid_ns;
struct process;
struct session;
struct task;
struct tty;
struct strbuf;

#define TASK_COMM_LEN 16

/* What upper rooms plug into the kernel: set by boot before the first task runs. */
struct kernel_ops {
	/* serves ev's call; the result, or -ERESTART*. Everything the handlers need hangs off t. */
	int64_t (*syscall)(struct task *t, const struct run_event *ev);
	/* execve's work behind the path: see loader.h */
	int (*load)(struct task *t, struct file *exe, const char *filename, void *exec_args);
	/* the initial process has ended: status as wait(2) reports it */
	void (*init_exited)(struct kernel *k, int status);
};

struct uts_ns {
	struct refs refs;
	struct mutex lock;
	char nodename[65], domainname[65]; /* [lock] */
	struct user_ns *owner;		   /* [I] */
	uint64_t ino;			   /* [I] */
};

struct kernel {
	struct kernel_ops ops;	   /* [I] */
	struct platform *platform; /* [I] */
	struct vfs *vfs;	   /* [I] */
	struct user_ns *user_ns;   /* [I] the initial one */
	struct pid_ns *pid_ns;	   /* [I] the initial one */
	struct uts_ns *uts_ns;	   /* [I] the initial one */
	struct mutex tasklist_lock; /* rank TASKLIST: process tree, groups, sessions, pid tables */
	struct list processes;	   /* [tasklist_lock] */
	uint32_t task_count;	   /* [a] */
	uint32_t max_tasks;	   /* [I] --pids */
	uint32_t cpu_count;	   /* [I] what the guest sees */
	uint64_t max_memory;	   /* [I] --memory; 0: the host's */
	uint64_t boot_ns;	   /* [I] CLOCK_BOOTTIME at start: the guest's btime */
	uint64_t next_ns_ino;	   /* [a] */
	struct futex_table *futexes;   /* [I] */
	struct timer_queue *timers;    /* [I] */
	struct kernel_stats *stats;    /* [I] NULL: not collected */
	struct strace *strace;	       /* [I] NULL: off */
	const char *release, *version; /* [I] uname */
};

/* The extra pending-work bits of a task; any set bit makes the run loop look before it enters the guest. */
#define TASK_WORK_SIGNAL 0x1u /* maybe a deliverable signal */
#define TASK_WORK_EXIT	 0x2u /* exit as soon as possible */
#define TASK_WORK_STOP	 0x4u /* group stop or trace stop */
#define TASK_WORK_FACTS	 0x8u /* ids changed: publish */

struct task {
	struct refs refs;
	struct kernel *kernel;	 /* [I] */
	struct process *process; /* [I] but exec by another thread: see process.leader */
	struct context *ctx;	 /* [T] */
	struct mm *mm;		 /* [T]; others through task_mm_get */
	struct fdtable *fds;	 /* [T]; others through task_fds_get */
	struct fs_context *fs;	 /* [T]; others through task_fs_get */
	struct mount_ns *mount_ns; /* [T] */
	struct uts_ns *uts_ns;	 /* [T] */
	struct cred *cred;	 /* [T]; others through task_cred_get */
	int32_t tid;		 /* [I] in the initial pid namespace */
	struct pid *pid;	 /* [tasklist_lock] its ids */
	uint32_t work;		 /* [a] TASK_WORK_* */
	uint32_t wake;		 /* [a] futex word of task_block */
	char comm[TASK_COMM_LEN]; /* [a] byte-wise */
	struct run_event event;	 /* [T] the call being served */
	void *bounce;		 /* [T] 64 KiB, allocated on first use by task_bounce */
	struct task_private *p;	 /* kernel/internal.h: signals, timers, robust list, ... */
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
ssize_t file_write_block(struct task *t, struct file *f, struct uio *src); /* SIGPIPE on -EPIPE; partial writes continue */
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
int32_t task_tid_in(struct task *viewer, struct task *t);  /* 0 when not visible */
int32_t task_tgid_in(struct task *viewer, struct task *t);
/* Another task's parts, with a reference; NULL once it has exited. */
struct mm *task_mm_get(struct task *t);
struct fdtable *task_fds_get(struct task *t);
struct fs_context *task_fs_get(struct task *t);
struct cred *task_cred_get(struct task *t);
/* Limits are the process's. */
struct rlimits *task_rlimits(struct task *t);
static inline uint64_t task_rlimit(struct task *t, int resource)
{
	return rlimit_cur(task_rlimits(t), resource);
}
/* Installs a new credential (takes the reference); publishes facts. */
void task_set_cred(struct task *t, struct cred *c);
/* May caller inspect or trace target (ptrace_may_access)? */
bool task_may_access(struct task *caller, struct task *target);
/* The id that owns POSIX locks: the fdtable's address. */
static inline void *task_lock_owner(struct task *t)
{
	return t->fds;
}

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
	const struct linux_rlimit *limits; /* LINUX_RLIM_NLIMITS of them */
	const char *path;		   /* resolved by the caller; absolute or relative to cwd */
	const char *const *argv, *const *envp; /* NULL-terminated */
	struct file *terminal;		   /* NULL, or becomes the controlling terminal */
};
/* Runs the first process to its first instruction; -errno as execve would say when it can't be run. The task
 * then runs on its own thread. */
MUST_CHECK int kernel_start_init(struct kernel *k, const struct init_args *a);
/* Kills everything; returns when no task is left. */
void kernel_shutdown(struct kernel *k);
