/* process.c: thread groups, process groups and sessions: membership, setpgid(2), setsid(2). What a process
 * does when it ends is exit.c's. Lock: tasklist_lock. */
#include "sentry/kernel/internal.h"

int process_create(struct kernel *k, struct process **out)
{
	struct process *p = kmalloc(sizeof(*p));
	struct process_private *pp = kmalloc(sizeof(*pp));

	if (!p || !pp) {
		kfree(p);
		kfree(pp);
		return -ENOMEM;
	}
	p->p = pp;
	refs_init(&p->refs);
	p->kernel = k;
	mutex_init(&p->lock, RANK_SIGHAND);
	list_init(&p->node);
	list_init(&p->tasks);
	list_init(&p->children);
	list_init(&p->sibling);
	list_init(&p->pgrp_node);
	list_init(&p->session_node);
	rlimits_init(&p->limits);
	p->start_ns = clock_boottime_ns();
	sigpending_init(&pp->pending);
	waitq_init(&pp->signal_wq);
	waitq_init(&pp->child_wq);
	list_init(&pp->posix_timers);
	process_timers_init(p);
	*out = p;
	return 0;
}

void process_put(struct process *p)
{
	if (!p || !refs_put(&p->refs))
		return;
	BUG_ON(p->leader || !list_empty(&p->tasks));
	process_timers_exit(p, false);
	sigpending_flush(p->kernel, &p->p->pending);
	if (p->p->actions)
		sigactions_put(p->p->actions);
	process_drop_exe(p);
	pid_put(p->pgrp);
	pid_put(p->pid);
	session_put(p->session);
	kfree(p->p);
	kfree(p);
}

int session_create(struct pid *sid, struct process *leader, struct session **out)
{
	struct session *s = kmalloc(sizeof(*s));

	if (!s)
		return -ENOMEM;
	refs_init(&s->refs);
	s->sid = pid_get(sid);
	s->leader = leader;
	*out = s;
	return 0;
}

struct session *session_get(struct session *s)
{
	refs_get(&s->refs);
	return s;
}

/* Without locks: a terminal may go with it. */
void session_put(struct session *s)
{
	if (!s || !refs_put(&s->refs))
		return;
	BUG_ON(s->tty);
	pid_put(s->sid);
	kfree(s);
}

void process_set_pgrp_locked(struct process *p, struct pid *pgrp, struct pid **old)
{
	*old = p->pgrp;
	list_del(&p->pgrp_node);
	p->pgrp = pgrp ? pid_get(pgrp) : NULL;
	if (pgrp)
		list_add_tail(&pgrp->group, &p->pgrp_node);
	if (*old && list_empty(&(*old)->group))
		pid_release_locked(*old);
}

void process_set_session_locked(struct process *p, struct session *s, struct session **old)
{
	*old = p->session;
	list_del(&p->session_node);
	p->session = s ? session_get(s) : NULL;
	if (s)
		list_add_tail(&s->sid->session, &p->session_node);
	if (*old && list_empty(&(*old)->sid->session))
		pid_release_locked((*old)->sid);
}

bool pgrp_orphaned_locked(struct pid *pgrp, struct process *ignore)
{
	struct process *p;

	list_for_each (p, &pgrp->group, pgrp_node) {
		if (p == ignore || p->p->zombie || !p->parent)
			continue; /* init counts as a parent: it may be the shell */
		if (p->parent->pgrp != pgrp && p->parent->session == p->session)
			return false;
	}
	return true;
}

bool pgrp_has_stopped_locked(struct pid *pgrp)
{
	struct process *p;

	list_for_each (p, &pgrp->group, pgrp_node)
		if (__atomic_load_n(&p->p->stopped, __ATOMIC_RELAXED))
			return true;
	return false;
}

/* The group pgid names inside session s, or NULL. */
static struct pid *pgrp_in_session_locked(struct task *t, int32_t pgid, struct session *s)
{
	struct pid *pid = pid_find_locked(task_pid_ns(t), pgid);
	struct process *p;

	if (!pid)
		return NULL;
	p = list_first(&pid->group, struct process, pgrp_node);
	return p && p->session == s ? pid : NULL;
}

static int setpgid_locked(struct task *t, struct process *p, int32_t pgid, struct pid **old)
{
	struct process *self = t->process;
	struct pid *pgrp = p->pid;

	if (p->parent == self) {
		if (p->session != self->session)
			return -EPERM;
		if (p->p->has_exec)
			return -EACCES;
	} else if (p != self) {
		return -ESRCH;
	}
	if (p->session->sid == p->pid)
		return -EPERM; /* a session leader */
	if (pgid != pid_nr_in(p->pid, task_pid_ns(t))) {
		pgrp = pgrp_in_session_locked(t, pgid, self->session);
		if (!pgrp)
			return -EPERM;
	}
	if (pgrp != p->pgrp)
		process_set_pgrp_locked(p, pgrp, old);
	return 0;
}

int task_setpgid(struct task *t, int32_t pid_number, int32_t pgid)
{
	struct kernel *k = t->kernel;
	struct pid *old = NULL, *pid;
	int ret = -ESRCH;

	if (pgid < 0)
		return -EINVAL;
	if (pid_number == 0)
		pid_number = pid_nr(t->process->pid);
	if (pgid == 0)
		pgid = pid_number;
	mutex_lock(&k->tasklist_lock);
	pid = pid_find_locked(task_pid_ns(t), pid_number);
	if (pid && pid->process)
		ret = setpgid_locked(t, pid->process, pgid, &old);
	else if (pid && pid->task)
		ret = -EINVAL; /* a thread that leads no group */
	mutex_unlock(&k->tasklist_lock);
	pid_put(old);
	if (ret == 0)
		task_set_work(t, TASK_WORK_FACTS);
	return ret;
}

/* The process that pid names (0: t's own), [tasklist_lock] */
static struct process *process_named_locked(struct task *t, int32_t nr)
{
	struct pid *pid;

	if (nr == 0)
		return t->process;
	pid = pid_find_locked(task_pid_ns(t), nr);
	if (!pid)
		return NULL;
	return pid->process ? pid->process : pid->task ? pid->task->process : NULL;
}

int task_getpgid(struct task *t, int32_t nr)
{
	struct kernel *k = t->kernel;
	struct process *p;
	int ret = -ESRCH;

	mutex_lock(&k->tasklist_lock);
	p = process_named_locked(t, nr);
	if (p)
		ret = pid_nr_in(p->pgrp, task_pid_ns(t));
	mutex_unlock(&k->tasklist_lock);
	return ret;
}

int task_getsid(struct task *t, int32_t nr)
{
	struct kernel *k = t->kernel;
	struct process *p;
	int ret = -ESRCH;

	mutex_lock(&k->tasklist_lock);
	p = process_named_locked(t, nr);
	if (p)
		ret = p->session ? pid_nr_in(p->session->sid, task_pid_ns(t)) : 0;
	mutex_unlock(&k->tasklist_lock);
	return ret;
}

int task_setsid(struct task *t)
{
	struct session *s, *old_session = NULL;
	struct process *p = t->process;
	struct kernel *k = t->kernel;
	struct pid *old_pgrp = NULL;
	int ret;

	ret = session_create(p->pid, p, &s);
	if (ret < 0)
		return ret;
	mutex_lock(&k->tasklist_lock);
	if (!list_empty(&p->pid->group) || p->session->leader == p) {
		mutex_unlock(&k->tasklist_lock);
		session_put(s);
		return -EPERM;
	}
	process_set_session_locked(p, s, &old_session);
	process_set_pgrp_locked(p, p->pid, &old_pgrp);
	mutex_unlock(&k->tasklist_lock);
	session_put(s);
	session_put(old_session);
	pid_put(old_pgrp);
	task_set_work(t, TASK_WORK_FACTS);
	return pid_nr(p->pid);
}

int32_t task_ppid(struct task *t)
{
	struct kernel *k = t->kernel;
	int32_t nr = 0;

	mutex_lock(&k->tasklist_lock);
	if (t->process->parent)
		nr = pid_nr_in(t->process->parent->pid, task_pid_ns(t));
	mutex_unlock(&k->tasklist_lock);
	return nr;
}

int process_exe(struct process *p, struct path *out)
{
	int ret = -ENOENT;

	mutex_lock(&p->lock);
	if (p->exe.mnt) {
		*out = p->exe;
		path_get(out);
		ret = 0;
	}
	mutex_unlock(&p->lock);
	return ret;
}

/* While a process runs an image nobody may write to it: ETXTBSY. A writer that was faster than the exec
 * keeps its file. */
static void swap_exe(struct process *p, const struct path *exe)
{
	struct inode *denied = NULL, *was;
	struct path old;

	if (exe->mnt && inode_deny_write(exe->dentry->inode) == 0)
		denied = inode_get(exe->dentry->inode);
	mutex_lock(&p->lock);
	old = p->exe;
	was = p->p->exe_denied;
	p->exe = *exe;
	p->p->exe_denied = denied;
	mutex_unlock(&p->lock);
	if (was) {
		inode_allow_write(was);
		inode_put(was);
	}
	if (old.mnt)
		path_put(&old);
}

void process_set_exe(struct process *p, const struct path *exe)
{
	path_get(exe);
	swap_exe(p, exe);
}

void process_drop_exe(struct process *p)
{
	swap_exe(p, &(const struct path){0});
}
