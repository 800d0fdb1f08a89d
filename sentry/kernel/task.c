/* task.c: the task object: allocation, its parts as others may see them, guest memory for handlers, pending
 * work. Parts (mm, fds, fs, cred) are read by the task itself without a lock and changed under its
 * process's lock, so that others can take references. */
#include "sentry/kernel/internal.h"
#include "sentry/kernel/keys.h"

#include <string.h>

#include "platform/base/thread.h"

struct task_full {
	struct task task;
	struct task_private private;
};

int task_alloc(struct kernel *k, struct task **out)
{
	struct task_full *full = kmalloc(sizeof(*full));
	struct task *t;

	if (!full)
		return -ENOMEM;
	t = &full->task;
	t->p = &full->private;
	refs_init(&t->refs);
	t->kernel = k;
	t->p->self = t;
	list_init(&t->p->thread_node);
	list_init(&t->p->tracees);
	list_init(&t->p->trace.node);
	list_init(&t->p->pi_owned);
	sigpending_init(&t->p->pending);
	t->p->altstack.ss_flags = (int32_t)LINUX_SS_DISABLE;
	t->p->state = 'R';
	t->p->exit_signal = -1;
	t->p->timer_slack = t->p->timer_slack_default = 50000;
	t->p->start_ns = clock_boottime_ns();
	__atomic_add_fetch(&k->task_count, 1, __ATOMIC_RELAXED);
	*out = t;
	return 0;
}

void task_put(struct task *t)
{
	struct kernel *k;

	if (!t || !refs_put(&t->refs))
		return;
	k = t->kernel;
	sigpending_flush(k, &t->p->pending);
	keys_exit(t);
	seccomp_filter_put(t->p->filter);
	kfree(t->p->futex);
	if (t->cred)
		cred_put(t->cred);
	if (t->p->user) {
		__atomic_sub_fetch(&t->p->user->tasks, 1, __ATOMIC_RELAXED);
		user_put(k, t->p->user);
	}
	pid_put(t->pid);
	process_put(t->process);
	kfree(t->bounce);
	kfree(t->lent);
	kfree(t);
	if (__atomic_sub_fetch(&k->task_count, 1, __ATOMIC_ACQ_REL) == 0)
		futex_wake_word(&k->task_count, INT32_MAX);
}

void task_drop_parts(struct task *t)
{
	struct mm *mm = t->mm;
	struct fdtable *fds = t->fds;
	struct fs_context *fs = t->fs;
	struct mount_ns *mount_ns = t->mount_ns;

	mutex_lock(&t->process->lock);
	t->mm = NULL;
	t->fds = NULL;
	t->fs = NULL;
	t->mount_ns = NULL;
	mutex_unlock(&t->process->lock);
	if (fds)
		fdtable_put(fds, fds);
	if (fs)
		fs_context_put(fs);
	if (t->ctx) {
		struct context *ctx = t->ctx;

		mutex_lock(&t->process->lock);
		t->p->utime = task_platform(t)->cpu_time(ctx);
		t->ctx = NULL; /* nobody kicks it from here on */
		mutex_unlock(&t->process->lock);
		task_platform(t)->context_destroy(ctx);
	}
	if (mm)
		mm_put(mm);
	if (mount_ns)
		mount_ns_put(mount_ns);
	uts_ns_put(t->uts_ns);
	ns_put(t->ipc_ns);
	ns_put(t->net_ns);
	ns_put(t->cgroup_ns);
	ns_put(t->time_ns);
	pid_ns_put(t->child_pid_ns);
	t->uts_ns = NULL;
	t->ipc_ns = t->net_ns = t->cgroup_ns = t->time_ns = NULL;
	t->child_pid_ns = NULL;
	kfree(t->bounce);
	t->bounce = NULL;
}

#define PART_GET(name, type, field, get)                                                                       \
	struct type *name(struct task *t)                                                                      \
	{                                                                                                      \
		struct type *part;                                                                             \
                                                                                                               \
		mutex_lock(&t->process->lock);                                                                 \
		part = t->field;                                                                               \
		if (part)                                                                                      \
			get(part);                                                                             \
		mutex_unlock(&t->process->lock);                                                               \
		return part;                                                                                   \
	}
PART_GET(task_mm_get, mm, mm, mm_get)
PART_GET(task_fds_get, fdtable, fds, fdtable_get_ref)
PART_GET(task_fs_get, fs_context, fs, fs_context_get)
PART_GET(task_cred_get, cred, cred, cred_get)
PART_GET(task_mount_ns_get, mount_ns, mount_ns, mount_ns_get)

struct rlimits *task_rlimits(struct task *t)
{
	return &t->process->limits;
}

/* Does c reach anything that old didn't? Then others who could look at the process before may see too much.
 * All capabilities in a namespace that old owns are nothing new. */
static bool gains(const struct cred *old, const struct cred *c)
{
	if (old->euid != c->euid || old->egid != c->egid || old->fsuid != c->fsuid || old->fsgid != c->fsgid)
		return true;
	if (old->user_ns == c->user_ns)
		return (c->permitted & ~old->permitted) != 0;
	for (const struct user_ns *ns = c->user_ns; ns->parent; ns = ns->parent)
		if (ns->parent == old->user_ns && ns->owner_uid == old->euid)
			return false;
	return true;
}

void task_set_cred(struct task *t, struct cred *c)
{
	struct cred *old = t->cred;
	struct user *user = NULL, *old_user = NULL;

	if ((!old || old->uid != c->uid) && user_get(t->kernel, c->uid, &user) == 0) {
		__atomic_add_fetch(&user->tasks, 1, __ATOMIC_RELAXED);
		old_user = t->p->user;
	}
	if (old && t->mm && gains(old, c)) {
		__atomic_store_n(&t->mm->dumpable, 0, __ATOMIC_RELAXED);
		t->p->pdeath_signal = 0;
	}
	mutex_lock(&t->process->lock);
	t->cred = c;
	if (user)
		t->p->user = user;
	mutex_unlock(&t->process->lock);
	if (old_user) {
		__atomic_sub_fetch(&old_user->tasks, 1, __ATOMIC_RELAXED);
		user_put(t->kernel, old_user);
	}
	if (old)
		cred_put(old);
	task_set_work(t, TASK_WORK_FACTS);
}

struct vfs_at task_at(struct task *t, const struct path *base)
{
	return (struct vfs_at){.fs = t->fs, .ns = t->mount_ns, .cred = t->cred, .base = base, .task = t};
}

int copy_from_user(struct task *t, void *dst, uaddr_t src, size_t n)
{
	struct usermem um = task_usermem(t);

	return usermem_in(&um, dst, src, n);
}

int copy_to_user(struct task *t, uaddr_t dst, const void *src, size_t n)
{
	struct usermem um = task_usermem(t);

	return usermem_out(&um, dst, src, n);
}

ssize_t strncpy_from_user(struct task *t, char *dst, uaddr_t src, size_t size)
{
	struct usermem um = task_usermem(t);

	return usermem_strncpy(&um, dst, src, size);
}

int getname(struct task *t, uaddr_t src, char **out)
{
	char *name = kmalloc(VFS_PATH_MAX);
	ssize_t n;

	if (!name)
		return -ENOMEM;
	n = strncpy_from_user(t, name, src, VFS_PATH_MAX);
	if (n < 0) {
		kfree(name);
		return (int)n;
	}
	*out = name;
	return 0;
}

void *task_bounce(struct task *t)
{
	if (!t->bounce)
		t->bounce = kmalloc(TASK_BOUNCE_SIZE);
	return t->bounce;
}

void task_set_comm(struct task *t, const char *name)
{
	char comm[TASK_COMM_LEN] = {0};

	memcpy(comm, name, strnlen(name, TASK_COMM_LEN - 1));
	mutex_lock(&t->process->lock);
	memcpy(t->comm, comm, sizeof(comm));
	mutex_unlock(&t->process->lock);
}

void task_state_set(struct task *t, char state)
{
	__atomic_store_n(&t->p->state, state, __ATOMIC_RELAXED);
}

static void wake_word(struct task *t, uint32_t bit)
{
	if (__atomic_fetch_or(&t->wake, bit, __ATOMIC_SEQ_CST) & WAKE_SLEEP)
		futex_wake_word(&t->wake, 1);
}

void task_wake(struct task *t)
{
	wake_word(t, WAKE_EVENT);
}

/* The process's lock is held, or t is the caller: so t->ctx stays. Pairs with the run loop, which sets
 * in_guest before it looks at work. */
void task_poke(struct task *t)
{
	wake_word(t, WAKE_LOOK);
	if (__atomic_load_n(&t->p->in_guest, __ATOMIC_SEQ_CST) && t->ctx)
		task_platform(t)->kick(t->ctx);
}

void task_set_work(struct task *t, uint32_t work)
{
	if ((__atomic_fetch_or(&t->work, work, __ATOMIC_SEQ_CST) & work) != work && work != TASK_WORK_FACTS)
		task_poke(t);
}

/* Nobody looks at its calls one by one, but for filters. */
bool task_is_fast(struct task *t)
{
	uint32_t work = __atomic_load_n(&t->syscall_work, __ATOMIC_RELAXED);

	return !(work & ~SYSCALL_WORK_SECCOMP) && t->p->seccomp_mode != LINUX_SECCOMP_MODE_STRICT &&
	       !t->kernel->strace;
}

/* What the platform may answer in our place; called by the task itself. */
void task_publish(struct task *t)
{
	const struct platform_ops *ops = task_platform(t);
	struct pid_ns *ns = task_pid_ns(t);
	struct context_facts f = {.no_fast = !task_is_fast(t)};
	uint64_t free[CALL_WORDS];

	if (!ops->publish)
		return;
	f.pid = pid_nr(t->process->pid);
	f.tid = pid_nr(t->pid);
	f.ppid = task_ppid(t);
	mutex_lock(&t->kernel->tasklist_lock);
	f.pgid = pid_nr_in(t->process->pgrp, ns);
	f.sid = t->process->session ? pid_nr_in(t->process->session->sid, ns) : 0;
	mutex_unlock(&t->kernel->tasklist_lock);
	f.uid = user_ns_from_kuid(t->cred->user_ns, t->cred->uid);
	f.euid = user_ns_from_kuid(t->cred->user_ns, t->cred->euid);
	f.gid = user_ns_from_kgid(t->cred->user_ns, t->cred->gid);
	f.egid = user_ns_from_kgid(t->cred->user_ns, t->cred->egid);
	f.sigmask = t->p->blocked;
	f.umask_own = refs_read(&t->fs->refs) == 1;
	f.umask = __atomic_load_n(&t->fs->umask, __ATOMIC_RELAXED);
	f.allowed = seccomp_free_calls(t, free) ? free : NULL;
	ops->publish(t->ctx, &f);
	lent_forget(t);
}

/* Books of prctl(2) and the like. */
int task_pdeath_signal(struct task *t)
{
	return t->p->pdeath_signal;
}

void task_set_pdeath_signal(struct task *t, int sig)
{
	__atomic_store_n(&t->p->pdeath_signal, sig, __ATOMIC_RELAXED);
}

bool task_subreaper(struct task *t)
{
	return __atomic_load_n(&t->process->p->subreaper, __ATOMIC_RELAXED);
}

void task_set_subreaper(struct task *t, bool on)
{
	__atomic_store_n(&t->process->p->subreaper, on, __ATOMIC_RELAXED);
}

uint64_t task_timer_slack(struct task *t)
{
	return t->p->timer_slack;
}

void task_set_timer_slack(struct task *t, uint64_t ns)
{
	t->p->timer_slack = ns ? ns : t->p->timer_slack_default;
}

uint32_t task_personality(struct task *t)
{
	return t->p->personality;
}

void task_set_personality(struct task *t, uint32_t p)
{
	t->p->personality = p;
}

void task_set_clear_tid(struct task *t, uaddr_t addr)
{
	t->p->clear_child_tid = addr;
}

uaddr_t task_clear_tid(struct task *t)
{
	return t->p->clear_child_tid;
}

void task_set_robust_list(struct task *t, uaddr_t head)
{
	__atomic_store_n(&t->p->robust_list, head, __ATOMIC_RELAXED);
}

uaddr_t task_robust_list(struct task *t)
{
	return __atomic_load_n(&t->p->robust_list, __ATOMIC_RELAXED);
}

int32_t task_ioprio(struct task *t)
{
	return __atomic_load_n(&t->p->ioprio, __ATOMIC_RELAXED);
}

void task_set_ioprio(struct task *t, int32_t v)
{
	__atomic_store_n(&t->p->ioprio, v, __ATOMIC_RELAXED);
}

void task_set_membarrier(struct task *t)
{
	__atomic_store_n(&t->process->p->membarrier, true, __ATOMIC_RELAXED);
}

bool task_membarrier(struct task *t)
{
	return __atomic_load_n(&t->process->p->membarrier, __ATOMIC_RELAXED);
}

int task_barrier(struct task *t)
{
	/* Entering the sentry was a barrier for the caller itself. */
	if (t->process->task_count == 1 && refs_read(&t->mm->refs) == 1)
		return 0;
	return thread_global_barrier();
}

int64_t task_restart(struct task *t)
{
	struct restart_block r = t->p->restart;

	if (!r.fn)
		return -EINTR;
	return r.fn(t, &r);
}

bool task_may_access(struct task *caller, struct task *target)
{
	struct cred *c = caller->cred, *tc;
	struct mm *mm;
	bool same, ok = true;

	if (caller->process == target->process)
		return true;
	tc = task_cred_get(target);
	if (!tc)
		return false;
	same = c->fsuid == tc->euid && c->fsuid == tc->suid && c->fsuid == tc->uid && c->fsgid == tc->egid &&
	       c->fsgid == tc->sgid && c->fsgid == tc->gid;
	if (!same && !cred_has_cap_in(c, LINUX_CAP_SYS_PTRACE, tc->user_ns))
		ok = false;
	mm = ok ? task_mm_get(target) : NULL;
	if (mm) {
		if (__atomic_load_n(&mm->dumpable, __ATOMIC_RELAXED) != 1 &&
		    !cred_has_cap_in(c, LINUX_CAP_SYS_PTRACE, tc->user_ns))
			ok = false;
		mm_put(mm);
	}
	if (ok && (tc->permitted & ~c->permitted) && !cred_has_cap_in(c, LINUX_CAP_SYS_PTRACE, tc->user_ns))
		ok = false;
	cred_put(tc);
	return ok;
}
