/* wait.c: wait4(2) and waitid(2): children of the process (or of the thread alone), and the tasks it
 * traces. Lock: tasklist_lock during a scan. */
#include "sentry/kernel/internal.h"

struct scan {
	struct task *t;
	const struct wait_args *a;
	struct wait_result *r;
	struct list dead; /* reaped: to be freed without the lock */
	bool candidates;  /* somebody may match later */
};

static bool wants_pid(const struct wait_args *a, struct pid *pid, struct pid *pgrp)
{
	switch (a->which) {
	case LINUX_P_ALL:
		return true;
	case LINUX_P_PID:
		return a->pid && pid == a->pid;
	default:
		return a->pid && pgrp == a->pid;
	}
}

/* __WCLONE asks for children that don't send SIGCHLD, the default for those that do. */
static bool wants_kind(const struct wait_args *a, struct process *p)
{
	bool clone_child = p->leader->p->exit_signal != LINUX_SIGCHLD;

	return ((uint32_t)a->options & LINUX_WALL) ||
	       clone_child == (((uint32_t)a->options & LINUX_WCLONE) != 0);
}

static void result_id(struct scan *s, struct task *leader, struct pid *pid)
{
	s->r->pid = pid_nr_in(pid, task_pid_ns(s->t));
	s->r->uid = leader->cred ? leader->cred->uid : 0;
}

static void add_child_times(struct process *parent, struct process *p)
{
	uint64_t utime, stime, rss = MAX(p->p->max_rss, p->p->child_max_rss);

	process_cpu_time(p, &utime, &stime);
	mutex_lock(&parent->lock);
	parent->p->child_utime += utime + p->p->child_utime;
	parent->p->child_stime += stime + p->p->child_stime;
	parent->p->child_max_rss = MAX(parent->p->child_max_rss, rss);
	mutex_unlock(&parent->lock);
}

static bool take_zombie(struct scan *s, struct process *p)
{
	int status = p->p->exit_code;

	if (!(s->a->options & LINUX_WEXITED))
		return false;
	result_id(s, p->leader, p->pid);
	s->r->status = status;
	s->r->code = exit_code_class(status);
	s->r->value = status & 0x7f ? status & 0x7f : (status >> 8) & 0xff;
	rusage_fill(p, &s->r->usage);
	if (s->a->options & LINUX_WNOWAIT)
		return true;
	if (p->leader->p->trace.tracer && p->parent != s->t->process) {
		ptrace_release_zombie_locked(p, &s->dead); /* the real parent gets it now */
		return true;
	}
	add_child_times(s->t->process, p);
	process_reap_locked(p, &s->dead);
	return true;
}

/* A stop or continue of the whole process. */
static bool take_event(struct scan *s, struct process *p)
{
	bool stopped = false, continued = false;
	int sig;

	mutex_lock(&p->lock);
	sig = p->p->stop_signal;
	if ((p->p->wait_events & WAIT_STOPPED) && (s->a->options & LINUX_WUNTRACED) && p->p->stopped)
		stopped = true;
	else if ((p->p->wait_events & WAIT_CONTINUED) && (s->a->options & LINUX_WCONTINUED))
		continued = true;
	if (!(s->a->options & LINUX_WNOWAIT))
		p->p->wait_events &= ~(stopped ? WAIT_STOPPED : continued ? WAIT_CONTINUED : 0);
	mutex_unlock(&p->lock);
	if (!stopped && !continued)
		return false;
	result_id(s, p->leader, p->pid);
	s->r->status = stopped ? (sig << 8) | 0x7f : 0xffff;
	s->r->code = stopped ? LINUX_CLD_STOPPED : LINUX_CLD_CONTINUED;
	s->r->value = stopped ? sig : LINUX_SIGCONT;
	rusage_fill(p, &s->r->usage);
	return true;
}

static bool scan_children(struct scan *s)
{
	struct process *p, *tmp, *self = s->t->process;

	list_for_each_safe (p, tmp, &self->children, sibling) {
		struct task *tracer = p->leader->p->trace.tracer;

		if (!wants_pid(s->a, p->pid, p->pgrp) || (!tracer && !wants_kind(s->a, p)))
			continue;
		if (((uint32_t)s->a->options & LINUX_WNOTHREAD) && p->leader->p->parent_task != s->t)
			continue;
		s->candidates = true;
		if (tracer && tracer->process != self)
			continue; /* its tracer comes first */
		if (p->p->zombie ? take_zombie(s, p) : (!tracer && take_event(s, p)))
			return true;
	}
	return false;
}

static bool take_traced(struct scan *s, struct task *c)
{
	struct trace *tr = &c->p->trace;

	if (!wants_pid(s->a, c->pid, c->process->pgrp))
		return false;
	s->candidates = true;
	if (c->p->dead) {
		if (c == c->process->leader)
			return c->process->p->zombie && c->process->parent != s->t->process &&
			       take_zombie(s, c->process);
		if (!(s->a->options & LINUX_WEXITED))
			return false;
		result_id(s, c, c->pid);
		s->r->status = c->p->exit_code;
		s->r->code = exit_code_class(c->p->exit_code);
		s->r->value = c->p->exit_code & 0x7f ? c->p->exit_code & 0x7f : c->p->exit_code >> 8;
		if (!(s->a->options & LINUX_WNOWAIT))
			ptrace_release_thread_locked(c);
		return true;
	}
	if (!tr->stopped || tr->reported || tr->listening)
		return false;
	result_id(s, c, c->pid);
	s->r->status = (int)(tr->stop_code << 8) | 0x7f;
	s->r->code = LINUX_CLD_TRAPPED;
	s->r->value = (int)tr->stop_code;
	rusage_fill(c->process, &s->r->usage);
	if (!(s->a->options & LINUX_WNOWAIT))
		tr->reported = true;
	return true;
}

static bool scan_traced_of(struct scan *s, struct task *tracer)
{
	struct task_private *tp, *tmp;

	list_for_each_safe (tp, tmp, &tracer->p->tracees, trace.node)
		if (take_traced(s, tp->self))
			return true;
	return false;
}

static bool scan_traced(struct scan *s)
{
	struct task_private *tp;

	if ((uint32_t)s->a->options & LINUX_WNOTHREAD)
		return scan_traced_of(s, s->t);
	process_for_each (tp, s->t->process)
		if (scan_traced_of(s, tp->self))
			return true;
	return false;
}

/* 1: found, 0: nothing yet, -ECHILD */
static int scan(struct scan *s)
{
	struct kernel *k = s->t->kernel;
	bool found;

	list_init(&s->dead);
	s->candidates = false;
	mutex_lock(&k->tasklist_lock);
	found = scan_children(s) || scan_traced(s);
	mutex_unlock(&k->tasklist_lock);
	process_free_reaped(&s->dead);
	if (found)
		return 1;
	return s->candidates ? 0 : -ECHILD;
}

int task_wait(struct task *t, const struct wait_args *a, struct wait_result *out)
{
	struct scan s = {.t = t, .a = a, .r = out};
	struct waiter w;
	int ret;

	*out = (struct wait_result){0};
	ret = scan(&s);
	if (ret < 0)
		return ret;
	if (ret || (a->options & LINUX_WNOHANG))
		return 0;
	if (a->nohang_eagain)
		return -EAGAIN;
	task_waiter(t, &w, EV_IN);
	waitq_add(&t->process->p->child_wq, &w);
	while ((ret = scan(&s)) == 0) {
		int again;

		ret = task_block(t, 0);
		if (ret == 0)
			continue;
		/* a child's end comes with its signal: it was there before the interruption */
		again = scan(&s);
		if (again)
			ret = again;
		break;
	}
	waitq_del(&t->process->p->child_wq, &w);
	return ret < 0 ? ret : 0;
}
