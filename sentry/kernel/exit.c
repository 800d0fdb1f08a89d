/* exit.c: how tasks and processes end: what a task lets go and in which order, zombies, new parents for
 * orphans, what the parent is told, and the end of a whole pid namespace when its init goes. */
#include "sentry/kernel/ipc.h"
#include "sentry/kernel/internal.h"

void task_exit_thread(struct task *t, int code)
{
	t->p->exit_code = (code & 0xff) << 8;
	__atomic_fetch_or(&t->work, TASK_WORK_EXIT, __ATOMIC_SEQ_CST);
}

void task_exit_group(struct task *t, int code)
{
	struct process *p = t->process;

	mutex_lock(&p->lock);
	process_group_exit_locked(p, (code & 0xff) << 8, NULL);
	mutex_unlock(&p->lock);
}

void vfork_release(struct task *t)
{
	struct task *parent = t->p->vfork_parent;

	if (!parent)
		return;
	t->p->vfork_parent = NULL;
	__atomic_store_n(&parent->p->vfork_done, 1, __ATOMIC_RELEASE);
	task_wake(parent);
	task_put(parent);
}

static uint64_t ticks(uint64_t ns)
{
	return ns / (NSEC_PER_SEC / 100);
}

static void child_info(struct process *p, struct process *parent, int sig, int code, int value,
		       struct linux_siginfo *info)
{
	struct task *leader = p->leader;

	*info = (struct linux_siginfo){.si_signo = sig, .si_code = code};
	info->chld.si_pid = pid_nr_in(p->pid, pid_ns_of(parent->pid));
	if (leader && leader->cred && parent->leader && parent->leader->cred)
		info->chld.si_uid = user_ns_from_kuid(parent->leader->cred->user_ns, leader->cred->uid);
	info->chld.si_status = value;
	info->chld.si_utime = (int64_t)ticks(p->p->dead_utime);
	info->chld.si_stime = (int64_t)ticks(p->p->dead_stime);
}

static bool parent_ignores(struct process *parent, uint64_t flag, bool *by_handler)
{
	struct sigactions *a = parent->p->actions;
	struct linux_sigaction sa;

	mutex_lock(&a->lock);
	sa = a->action[LINUX_SIGCHLD - 1];
	mutex_unlock(&a->lock);
	*by_handler = sa.sa_handler == LINUX_SIG_IGN;
	return *by_handler || (sa.sa_flags & flag);
}

void parent_notify_stop_locked(struct process *p, int why, int status)
{
	struct process *parent = p->parent;
	struct linux_siginfo info;
	bool ignored;

	if (!parent)
		return;
	if (!parent_ignores(parent, LINUX_SA_NOCLDSTOP, &ignored)) {
		child_info(p, parent, LINUX_SIGCHLD, why, status, &info);
		(void)signal_send_process(parent, LINUX_SIGCHLD, &info);
	}
	waitq_wake(&parent->p->child_wq, EV_IN);
}

/* True when nobody will wait for it: the caller reaps. */
bool exit_notify_parent_locked(struct process *p)
{
	struct process *parent = p->parent;
	int sig = p->leader->p->exit_signal, status = p->p->exit_code;
	int code = exit_code_class(status);
	int value = status & 0x7f ? status & 0x7f : (status >> 8) & 0xff;
	struct linux_siginfo info;
	bool autoreap = false, ignored = false;

	waitq_wake(&p->pid->wq, EV_IN | EV_RDNORM);
	if (!parent)
		return true;
	if (sig == LINUX_SIGCHLD && !p->leader->p->trace.tracer)
		autoreap = parent_ignores(parent, LINUX_SA_NOCLDWAIT, &ignored);
	if (sig > 0 && !ignored) {
		child_info(p, parent, sig, code, value, &info);
		(void)signal_send_process(parent, sig, &info);
	}
	waitq_wake(&parent->p->child_wq, EV_IN);
	return autoreap;
}

/* A group without anybody to continue it from outside must not stay stopped: HUP, then CONT. */
static void check_orphaned_locked(struct process *p, struct process *parent, struct process *leaving)
{
	struct pid *pgrp = p->pgrp;

	if (!parent || parent->pgrp == pgrp || parent->session != p->session)
		return; /* it was no link to the outside */
	if (!pgrp_orphaned_locked(pgrp, leaving) || !pgrp_has_stopped_locked(pgrp))
		return;
	(void)signal_send_pgrp_locked(pgrp, LINUX_SIGHUP, NULL);
	(void)signal_send_pgrp_locked(pgrp, LINUX_SIGCONT, NULL);
}

/* Who takes p's children: the nearest subreaper above, else init of its namespace. */
static struct process *reaper_of_locked(struct process *p)
{
	struct pid_ns *ns = pid_ns_of(p->pid);
	struct process *a;

	for (a = p->parent; a && pid_ns_of(a->pid) == ns; a = a->parent)
		if (__atomic_load_n(&a->p->subreaper, __ATOMIC_RELAXED) && !a->p->zombie && a->p->undead)
			return a;
	if (ns->init && ns->init != p)
		return ns->init;
	return ns->parent ? ns->parent->init : NULL;
}

static void pdeath_locked(struct process *child, struct task *dying)
{
	struct task_private *tp;

	mutex_lock(&child->lock);
	process_for_each (tp, child) {
		struct linux_siginfo info;

		if (!tp->pdeath_signal || tp->parent_task != dying)
			continue;
		signal_info_kernel(tp->pdeath_signal, LINUX_SI_USER, &info);
		(void)signal_send_locked(child, tp->self, tp->pdeath_signal, &info);
	}
	mutex_unlock(&child->lock);
}

static void set_parent_task_locked(struct process *child, struct task *from, struct task *to)
{
	struct task_private *tp;

	process_for_each (tp, child)
		if (tp->parent_task == from)
			tp->parent_task = to;
}

/* Also to a guest that runs: it may be told its parent's id without coming out. */
static void process_facts_changed(struct process *p)
{
	struct task_private *tp;

	mutex_lock(&p->lock);
	process_for_each (tp, p) {
		task_set_work(tp->self, TASK_WORK_FACTS);
		task_poke(tp->self);
	}
	mutex_unlock(&p->lock);
}

/* t ends: its children look to another thread, or the process's to another process. */
static void give_children_away_locked(struct task *t, bool process_ends, struct list *dead)
{
	struct process *p = t->process, *c, *tmp, *reaper;
	struct task_private *tp;
	struct task *heir = p->leader;

	list_for_each (c, &p->children, sibling)
		pdeath_locked(c, t);
	if (!process_ends) {
		process_for_each (tp, p)
			if (!tp->dead)
				heir = tp->self;
		list_for_each (c, &p->children, sibling)
			set_parent_task_locked(c, t, heir);
		return;
	}
	reaper = reaper_of_locked(p);
	list_for_each_safe (c, tmp, &p->children, sibling) {
		struct process *old = c->parent;

		list_del(&c->sibling);
		c->parent = reaper;
		if (!reaper) {
			if (c->p->zombie && !c->p->reaped)
				process_reap_locked(c, dead);
			continue;
		}
		list_add_tail(&reaper->children, &c->sibling);
		process_for_each (tp, c)
			tp->parent_task = reaper->leader;
		c->leader->p->exit_signal = LINUX_SIGCHLD;
		process_facts_changed(c);
		check_orphaned_locked(c, old, NULL);
		if (c->p->zombie && exit_notify_parent_locked(c))
			process_reap_locked(c, dead);
	}
}

void exit_release_thread_locked(struct task *t)
{
	struct process *p = t->process;

	mutex_lock(&p->lock);
	list_del(&t->p->thread_node);
	p->task_count--;
	p->p->dead_utime += t->p->utime;
	p->p->dead_stime += t->p->stime;
	p->p->dead_voluntary += t->p->voluntary;
	p->p->dead_involuntary += t->p->involuntary;
	mutex_unlock(&p->lock);
	list_del(&t->p->trace.node);
	t->p->trace.tracer = NULL;
	if (t->pid->task == t)
		t->pid->task = NULL;
	pid_release_locked(t->pid);
}

void process_reap_locked(struct process *p, struct list *dead)
{
	struct pid_ns *ns = pid_ns_of(p->pid);
	struct kernel *k = p->kernel;

	struct task_private *tp, *tmp;

	BUG_ON(p->p->reaped);
	p->p->reaped = true;
	list_for_each_safe (tp, tmp, &p->tasks, thread_node)
		if (tp->self != p->leader) /* threads that a tracer never looked at */
			ptrace_release_thread_locked(tp->self);
	exit_release_thread_locked(p->leader);
	list_del(&p->sibling);
	list_del(&p->node);
	k->process_count--;
	list_del(&p->pgrp_node);
	if (list_empty(&p->pgrp->group))
		pid_release_locked(p->pgrp);
	list_del(&p->session_node);
	if (list_empty(&p->session->sid->session))
		pid_release_locked(p->session->sid);
	p->pid->process = NULL;
	pid_release_locked(p->pid);
	if (ns->init && ns->init != p)
		waitq_wake(&ns->init->p->child_wq, EV_IN); /* it may wait for the namespace to be empty */
	if (ns->init == p)
		ns->init = NULL;
	list_add_tail(dead, &p->node);
}

void process_free_reaped(struct list *dead)
{
	struct process *p;

	while ((p = list_first(dead, struct process, node))) {
		struct task *leader = p->leader;

		list_del(&p->node);
		mutex_lock(&p->lock); /* who still holds p may want to signal it */
		p->leader = NULL;
		mutex_unlock(&p->lock);
		task_put(leader);
		process_put(p);
	}
}

static void process_becomes_zombie_locked(struct task *t, struct list *dead)
{
	struct process *p = t->process;

	p->p->exit_code = p->p->group_exit ? p->p->group_code : p->leader->p->exit_code;
	p->p->zombie = true;
	task_state_set(p->leader, 'Z');
	if (p->session->leader == p)
		p->session->leader = NULL;
	check_orphaned_locked(p, p->parent, p);
	if (p->leader->p->trace.tracer && p->leader->p->trace.tracer->process != p->parent) {
		waitq_wake(&p->pid->wq, EV_IN | EV_RDNORM);
		ptrace_tracee_dead_locked(p->leader); /* the parent's turn comes after the tracer's */
		return;
	}
	if (exit_notify_parent_locked(p))
		process_reap_locked(p, dead);
}

/* The last step: nobody sees t as running any more. */
static void exit_notify(struct task *t)
{
	struct process *p = t->process;
	struct kernel *k = t->kernel;
	struct list dead;
	bool last;

	list_init(&dead);
	mutex_lock(&k->tasklist_lock);
	t->p->dead = true;
	last = --p->p->undead == 0;
	task_state_set(t, t == p->leader ? 'Z' : 'X');
	give_children_away_locked(t, last, &dead);
	if (t->p->trace.tracer && (!last || t != p->leader))
		ptrace_tracee_dead_locked(t);
	if (t != p->leader && t->p->trace.tracer)
		(void)task_get(t); /* until the tracer has seen it */
	else if (t != p->leader)
		exit_release_thread_locked(t);
	if (p->p->exec_task)
		task_wake(p->p->exec_task);
	if (last)
		process_becomes_zombie_locked(t, &dead);
	mutex_unlock(&k->tasklist_lock);
	process_free_reaped(&dead);
}

static void memory_goodbye(struct task *t, bool last)
{
	struct process *p = t->process;
	uint64_t virtual_size, resident = 0, data, stack, text;
	uint32_t zero = 0;

	if (!t->mm)
		return;
	futex_task_exit(t);
	if (t->p->clear_child_tid && refs_read(&t->mm->refs) > 1 &&
	    copy_to_user(t, t->p->clear_child_tid, &zero, sizeof(zero)) == 0)
		futex_wake_goodbye(t, t->p->clear_child_tid);
	vfork_release(t);
	if (!last)
		return;
	mm_usage(t->mm, &virtual_size, &resident, &data, &stack, &text);
	mutex_lock(&p->lock);
	p->p->max_rss = MAX(p->p->max_rss, resident / 1024);
	mutex_unlock(&p->lock);
}

/* Init of a pid namespace goes last: everybody else in it is killed and reaped first. */
static void namespace_ends(struct task *t, struct pid_ns *ns)
{
	struct kernel *k = t->kernel;
	struct process *p, *tmp;
	struct waiter w;
	struct list dead;
	bool empty;

	list_init(&dead);
	task_waiter(t, &w, EV_IN);
	waitq_add(&t->process->p->child_wq, &w);
	for (;;) {
		mutex_lock(&k->tasklist_lock);
		ns->dead = true;
		empty = true;
		list_for_each_safe (p, tmp, &k->processes, node) {
			if (p == t->process || !pid_nr_in(p->pid, ns))
				continue;
			if (p->p->zombie && (p->parent == t->process || !p->parent)) {
				process_reap_locked(p, &dead);
				continue;
			}
			empty = false;
			mutex_lock(&p->lock);
			process_group_exit_locked(p, LINUX_SIGKILL, NULL);
			mutex_unlock(&p->lock);
		}
		mutex_unlock(&k->tasklist_lock);
		process_free_reaped(&dead);
		if (empty)
			break;
		exit_wait(t);
	}
	waitq_del(&t->process->p->child_wq, &w);
}

/* EXIT is pending already, so only wake-ups count. */
void exit_wait(struct task *t)
{
	task_park(t);
}

void task_exit(struct task *t)
{
	struct process *p = t->process;
	struct pid_ns *ns = task_pid_ns(t);
	bool last, was_last_to_stop, init_ends;
	struct kernel *k = t->kernel;
	int status;

	ptrace_event(t, LINUX_PTRACE_EVENT_EXIT, (uint64_t)t->p->exit_code);
	mutex_lock(&p->lock);
	t->p->exiting = true;
	if (p->p->group_exit)
		t->p->exit_code = p->p->group_code;
	last = --p->p->live == 0;
	if (last && !p->p->group_exit) { /* no signal finds anybody any more */
		p->p->group_exit = true;
		p->p->group_code = p->leader->p->exit_code;
	}
	status = p->p->group_code;
	signal_retarget_exiting_locked(t);
	was_last_to_stop = signal_stop_count_locked(t);
	mutex_unlock(&p->lock);
	if (was_last_to_stop && !last) {
		mutex_lock(&k->tasklist_lock);
		parent_notify_stop_locked(p, LINUX_CLD_STOPPED, p->p->stop_signal);
		mutex_unlock(&k->tasklist_lock);
	}
	memory_goodbye(t, last);
	init_ends = last && ns->init == p;
	if (last) {
		sem_exit(p);
		process_timers_exit(p, false);
		tty_disassociate(t, true);
	}
	mutex_lock(&p->lock);
	t->p->stime = task_cpu_system(t);
	t->p->host_tid = 0;
	mutex_unlock(&p->lock);
	task_drop_parts(t);
	if (last)
		process_drop_exe(p);
	if (init_ends)
		namespace_ends(t, ns);
	ptrace_task_exit(t);
	if (last && p->p->exited)
		p->p->exited(p->p->exited_arg, status); /* before init can see the namespace empty */
	exit_notify(t);
	if (init_ends && ns == k->pid_ns)
		k->ops.init_exited(k, status);
	task_put(t);
}
