/* clone.c: fork, vfork, clone, clone3: checks, copies or shares every part, gives the child its identity,
 * and starts its thread last. Nothing is visible to others before task_link. */
#include "sentry/kernel/internal.h"
#include "sentry/kernel/keys.h"

#include <string.h>

#define NEW_NS                                                                                                 \
	(LINUX_CLONE_NEWNS | LINUX_CLONE_NEWUTS | LINUX_CLONE_NEWIPC | LINUX_CLONE_NEWPID |                    \
	 LINUX_CLONE_NEWNET | LINUX_CLONE_NEWCGROUP | LINUX_CLONE_NEWTIME)

static bool has(uint64_t flags, uint64_t bits)
{
	return (flags & bits) == bits;
}

static int check_flags(struct task *t, const struct clone_args *a)
{
	uint64_t f = a->flags;

	if (has(f, LINUX_CLONE_NEWNS | LINUX_CLONE_FS) || has(f, LINUX_CLONE_NEWUSER | LINUX_CLONE_FS) ||
	    ((f & LINUX_CLONE_THREAD) && !(f & LINUX_CLONE_SIGHAND)) ||
	    ((f & LINUX_CLONE_SIGHAND) && !(f & LINUX_CLONE_VM)) ||
	    has(f, LINUX_CLONE_SIGHAND | LINUX_CLONE_CLEAR_SIGHAND))
		return -EINVAL;
	if ((f & LINUX_CLONE_PARENT) && t->process->p->unkillable)
		return -EINVAL;
	if ((f & LINUX_CLONE_THREAD) &&
	    ((f & (LINUX_CLONE_NEWUSER | LINUX_CLONE_NEWPID)) || t->child_pid_ns != task_pid_ns(t)))
		return -EINVAL;
	if ((f & LINUX_CLONE_PIDFD) && (f & (LINUX_CLONE_DETACHED | LINUX_CLONE_THREAD)))
		return -EINVAL;
	if (f & LINUX_CLONE_INTO_CGROUP)
		return -EOPNOTSUPP;
	if (a->exit_signal && !signal_valid(a->exit_signal))
		return -EINVAL;
	return 0;
}

static int check_limits(struct task *t)
{
	struct kernel *k = t->kernel;

	uint32_t max = __atomic_load_n(&k->max_tasks, __ATOMIC_RELAXED);

	if (max && __atomic_load_n(&k->task_count, __ATOMIC_RELAXED) >= max)
		return -EAGAIN;
	if (t->cred->uid != 0 && t->p->user && user_tasks(t->p->user) >= task_rlimit(t, LINUX_RLIMIT_NPROC) &&
	    !cred_has_cap_in(t->cred, LINUX_CAP_SYS_RESOURCE, k->user_ns) &&
	    !cred_has_cap_in(t->cred, LINUX_CAP_SYS_ADMIN, k->user_ns))
		return -EAGAIN;
	return 0;
}

static int copy_cred(struct task *t, struct task *c, uint64_t flags)
{
	struct cred *cred;
	int ret = 0;

	if (flags & LINUX_CLONE_NEWUSER)
		ret = cred_new_user_ns(t, &cred);
	else
		cred = cred_get(t->cred);
	if (ret < 0)
		return ret;
	ret = user_get(t->kernel, cred->uid, &c->p->user);
	if (ret < 0) {
		cred_put(cred);
		return ret;
	}
	__atomic_add_fetch(&c->p->user->tasks, 1, __ATOMIC_RELAXED);
	c->cred = cred;
	return 0;
}

static int copy_files(struct task *t, struct task *c, uint64_t flags)
{
	int ret = 0;

	if (flags & LINUX_CLONE_FILES)
		c->fds = fdtable_get_ref(t->fds);
	else
		ret = fdtable_copy(t->fds, &c->fds);
	if (ret < 0)
		return ret;
	if (flags & LINUX_CLONE_FS) {
		c->fs = fs_context_get(t->fs);
		/* the umask isn't ours alone any more */
		__atomic_fetch_or(&t->work, TASK_WORK_FACTS, __ATOMIC_SEQ_CST);
	} else {
		ret = fs_context_copy(t->fs, &c->fs);
	}
	return ret;
}

static int copy_namespaces(struct task *t, struct task *c, uint64_t flags)
{
	if ((flags & NEW_NS) && !cred_has_cap_in(c->cred, LINUX_CAP_SYS_ADMIN, c->cred->user_ns))
		return -EPERM;
	return namespaces_copy(t, c, c->cred->user_ns, c->fs, flags);
}

static int copy_mm(struct task *t, struct task *c, uint64_t flags)
{
	const struct platform_ops *ops = task_platform(t);
	int ret;

	if (flags & LINUX_CLONE_VM) {
		ret = ops->context_thread(t->ctx, &c->ctx);
		if (ret == 0)
			c->mm = mm_get(t->mm);
		return ret;
	}
	mm_fork_begin(t->mm);
	ret = ops->context_fork(t->ctx, &c->ctx);
	if (ret == 0)
		ret = mm_fork(t->mm, c->ctx, &c->mm);
	mm_fork_end(t->mm);
	return ret;
}

static void copy_books(struct task *t, struct task *c, uint64_t flags)
{
	struct task_private *from = t->p, *to = c->p;

	memcpy(c->comm, t->comm, sizeof(c->comm));
	to->blocked = from->restore_mask ? from->saved_mask : from->blocked;
	if (!(flags & LINUX_CLONE_VM) || (flags & LINUX_CLONE_VFORK))
		to->altstack = from->altstack;
	if (!(flags & LINUX_CLONE_VM)) {
		to->rseq = from->rseq;
		to->rseq_len = from->rseq_len;
		to->rseq_sig = from->rseq_sig;
	}
	to->nice = from->nice;
	to->policy = from->policy;
	to->rt_priority = from->rt_priority;
	if (from->reset_on_fork) {
		to->policy = LINUX_SCHED_NORMAL;
		to->rt_priority = 0;
		to->nice = from->nice < 0 ? 0 : from->nice;
	}
	keys_fork(t, c, (flags & LINUX_CLONE_THREAD) != 0);
	to->request_ring = from->request_ring;
	memcpy(to->cpumask, from->cpumask, sizeof(to->cpumask));
	to->timer_slack = to->timer_slack_default = from->timer_slack;
	to->personality = from->personality;
	to->ioprio = from->ioprio;
	if (flags & LINUX_CLONE_CHILD_CLEARTID)
		to->clear_child_tid = to->start.child_tid;
}

/* A thread joins the process; else a process of its own. */
static int copy_process(struct task *t, struct task *c, uint64_t flags)
{
	struct process *p, *from = t->process;
	struct path exe;
	int ret;

	if (flags & LINUX_CLONE_THREAD) {
		c->process = process_get(from);
		return 0;
	}
	ret = process_create(t->kernel, &p);
	if (ret < 0)
		return ret;
	c->process = p; /* takes the first reference; the tree's is taken by task_link */
	if (flags & LINUX_CLONE_SIGHAND)
		p->p->actions = sigactions_get(from->p->actions);
	else
		ret = sigactions_copy(from->p->actions, (flags & LINUX_CLONE_CLEAR_SIGHAND) != 0,
				      &p->p->actions);
	if (ret < 0)
		return ret;
	mutex_lock(&from->limits.lock);
	memcpy(p->limits.r, from->limits.r, sizeof(p->limits.r));
	mutex_unlock(&from->limits.lock);
	if (process_exe(from, &exe) == 0) {
		process_set_exe(p, &exe);
		path_put(&exe);
	}
	p->oom_score_adj = from->oom_score_adj;
	return 0;
}

static int make_child(struct task *t, const struct clone_args *a, struct task *c)
{
	uint64_t flags = a->flags;
	int ret;

	c->p->start = (struct task_start){
		.stack = a->stack, .tls = a->tls, .child_tid = a->child_tid, .flags = flags};
	ret = copy_process(t, c, flags);
	if (ret == 0)
		ret = copy_cred(t, c, flags);
	if (ret == 0)
		ret = copy_files(t, c, flags);
	if (ret == 0)
		ret = copy_namespaces(t, c, flags);
	if (ret == 0)
		ret = pid_alloc(c->child_pid_ns, a->set_tid, a->set_tid_count, &c->pid);
	if (ret < 0)
		return ret;
	c->tid = c->pid->nrs[0].nr;
	if (!(flags & LINUX_CLONE_THREAD)) {
		c->process->pid = pid_get(c->pid);
		c->process->tgid = c->tid;
	}
	copy_books(t, c, flags);
	return copy_mm(t, c, flags);
}

void task_discard(struct task *c)
{
	struct kernel *k = c->kernel;

	if (c->process) {
		mutex_lock(&c->process->lock);
		c->p->exiting = true;
		mutex_unlock(&c->process->lock);
		task_drop_parts(c);
	}
	if (c->pid) {
		mutex_lock(&k->tasklist_lock);
		pid_release_locked(c->pid);
		mutex_unlock(&k->tasklist_lock);
	}
	task_put(c);
}

static void link_process_locked(struct task *parent, struct task *c, uint64_t flags, int exit_signal)
{
	struct process *p = c->process, *from = parent->process, *father = from;
	struct kernel *k = c->kernel;
	struct session *no_session;
	struct pid *no_pid;

	c->p->exit_signal = exit_signal;
	c->p->parent_task = parent;
	if (flags & LINUX_CLONE_PARENT) {
		father = from->parent;
		c->p->exit_signal = from->leader->p->exit_signal;
		c->p->parent_task = from->leader->p->parent_task;
	}
	p->parent = father;
	if (father)
		list_add_tail(&father->children, &p->sibling);
	p->leader = task_get(c);
	c->pid->process = process_get(p);
	list_add_tail(&k->processes, &p->node);
	k->process_count++;
	process_set_session_locked(p, from->session, &no_session);
	process_set_pgrp_locked(p, from->pgrp, &no_pid);
	if (pid_nr(c->pid) == 1 && !pid_ns_of(c->pid)->init) {
		pid_ns_of(c->pid)->init = p;
		p->p->unkillable = true;
	}
}

/* Signals that came before the fork belong to the parent alone, so they are handled first. */
static int link_check_locked(struct task *parent)
{
	struct process *p = parent->process;

	if (p->p->group_exit || p->p->exec_task || p->p->stop_signal || signal_pending_locked(parent))
		return -ERESTARTNOINTR;
	return 0;
}

int task_link(struct task *parent, struct task *c, uint64_t flags, int exit_signal)
{
	struct kernel *k = c->kernel;
	struct process *p = c->process;
	int ret = 0;

	mutex_lock(&k->tasklist_lock);
	mutex_lock(&parent->process->lock);
	ret = link_check_locked(parent);
	if (ret == 0 && pid_ns_of(c->pid)->dead)
		ret = -ENOMEM;
	if (ret == 0) { /* filters as they are now: TSYNC holds the same lock */
		c->p->filter = parent->p->filter ? seccomp_filter_get(parent->p->filter) : NULL;
		c->p->seccomp_mode = parent->p->seccomp_mode;
		if (c->p->seccomp_mode)
			c->syscall_work |= SYSCALL_WORK_SECCOMP;
	}
	if (ret == 0 && (flags & LINUX_CLONE_THREAD)) {
		list_add_tail(&p->tasks, &c->p->thread_node);
		p->task_count++;
		p->p->live++;
		c->p->parent_task = parent->p->parent_task;
	}
	mutex_unlock(&parent->process->lock);
	if (ret < 0) {
		mutex_unlock(&k->tasklist_lock);
		return ret;
	}
	if (!(flags & LINUX_CLONE_THREAD)) {
		mutex_lock(&p->lock);
		list_add_tail(&p->tasks, &c->p->thread_node);
		p->task_count = 1;
		p->p->live = 1;
		if (p->limits.r[LINUX_RLIMIT_CPU].rlim_cur != LINUX_RLIM_INFINITY)
			cpu_timers_kick_locked(p);
		mutex_unlock(&p->lock);
		link_process_locked(parent, c, flags, exit_signal);
	}
	p->p->undead++;
	c->pid->task = c;
	k->forks++;
	mutex_unlock(&k->tasklist_lock);
	return 0;
}

void task_unlink(struct task *c)
{
	struct process *p = c->process;
	struct kernel *k = c->kernel;
	struct list dead;

	list_init(&dead);
	mutex_lock(&k->tasklist_lock);
	mutex_lock(&p->lock);
	c->p->exiting = true;
	p->p->live--;
	mutex_unlock(&p->lock);
	c->p->dead = true;
	p->p->undead--;
	if (p->leader == c)
		process_reap_locked(p, &dead);
	else
		exit_release_thread_locked(c);
	mutex_unlock(&k->tasklist_lock);
	process_free_reaped(&dead);
}

/* The descriptor is reserved before the child exists for others, so that nothing can fail afterwards. */
static int make_pidfd(struct task *t, struct task *c, const struct clone_args *a, int *fd)
{
	struct file *f;
	int ret = pidfd_create(t, c->pid, LINUX_O_CLOEXEC, &f);

	if (ret < 0)
		return ret;
	ret = fdtable_install(t->fds, f, 0, task_rlimit(t, LINUX_RLIMIT_NOFILE), true);
	file_put(f);
	if (ret < 0)
		return ret;
	*fd = ret;
	return copy_to_user(t, a->pidfd, fd, sizeof(*fd));
}

static int tell_parent_tid(struct task *t, struct task *c, const struct clone_args *a)
{
	int32_t tid = pid_nr_in(c->pid, task_pid_ns(t));

	if (!(a->flags & LINUX_CLONE_PARENT_SETTID))
		return 0;
	return copy_to_user(t, a->parent_tid, &tid, sizeof(tid));
}

static void wait_for_vfork(struct task *t)
{
	while (!__atomic_load_n(&t->p->vfork_done, __ATOMIC_ACQUIRE))
		if (task_block_killable(t, 0) == -ERESTARTSYS)
			return;
}

static int trace_event_of(const struct clone_args *a)
{
	if (a->flags & LINUX_CLONE_VFORK)
		return LINUX_PTRACE_EVENT_VFORK;
	return a->exit_signal == LINUX_SIGCHLD ? LINUX_PTRACE_EVENT_FORK : LINUX_PTRACE_EVENT_CLONE;
}

int64_t task_clone(struct task *t, const struct clone_args *a)
{
	int ret, fd = -1, event = trace_event_of(a);
	struct task *c;
	int32_t nr;

	ret = check_flags(t, a);
	if (ret == 0)
		ret = check_limits(t);
	if (ret == 0)
		ret = task_alloc(t->kernel, &c);
	if (ret < 0)
		return ret;
	ret = make_child(t, a, c);
	if (ret == 0 && (a->flags & LINUX_CLONE_PIDFD))
		ret = make_pidfd(t, c, a, &fd);
	if (ret == 0)
		ret = tell_parent_tid(t, c, a);
	if (ret < 0)
		goto fail;
	if (a->flags & LINUX_CLONE_VFORK) {
		c->p->vfork_parent = task_get(t);
		__atomic_store_n(&t->p->vfork_done, 0, __ATOMIC_RELAXED);
	}
	ret = task_link(t, c, a->flags, a->exit_signal);
	if (ret < 0)
		goto fail;
	ptrace_clone(t, c, a->flags, event);
	nr = pid_nr_in(c->pid, task_pid_ns(t));
	task_get(c);
	ret = task_start_thread(c);
	if (ret < 0) {
		task_unlink(c);
		task_put(c);
		ret = -EAGAIN;
		goto fail;
	}
	ptrace_event(t, event, (uint64_t)nr);
	if (a->flags & LINUX_CLONE_VFORK) {
		wait_for_vfork(t);
		ptrace_event(t, LINUX_PTRACE_EVENT_VFORK_DONE, (uint64_t)nr);
	}
	task_put(c);
	return nr;
fail:
	if (fd >= 0 && fdtable_close(t->fds, fd, task_lock_owner(t)) < 0)
		fd = -1; /* closed by another thread already */
	if (c->p->vfork_parent)
		task_put(c->p->vfork_parent);
	c->p->vfork_parent = NULL;
	task_discard(c);
	return ret;
}
