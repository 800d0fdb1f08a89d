/* info.c: CPU time and the snapshots that /proc, times(2) and getrusage(2) show. */
#include <string.h>

#include "sentry/kernel/internal.h"

/* The guest's own time; the host side's while it lives, else what it left. [process lock] or the task
 * itself */
uint64_t task_cpu_user(struct task *t)
{
	if (!t->ctx)
		return t->p->utime;
	return task_platform(t)->cpu_time(t->ctx);
}

/* Time spent in the sentry on its behalf. */
uint64_t task_cpu_system(struct task *t)
{
	uint32_t host = __atomic_load_n(&t->p->host_tid, __ATOMIC_ACQUIRE);
	uint64_t now;

	if (!host)
		return t->p->stime;
	now = clock_thread_cpu_of((int32_t)host);
	return now > t->p->cpu_base ? now - t->p->cpu_base : 0;
}

void process_cpu_time(struct process *p, uint64_t *utime, uint64_t *stime)
{
	struct task_private *tp;

	mutex_lock(&p->lock);
	*utime = p->p->dead_utime;
	*stime = p->p->dead_stime;
	process_for_each (tp, p) {
		*utime += task_cpu_user(tp->self);
		*stime += task_cpu_system(tp->self);
	}
	mutex_unlock(&p->lock);
}

static struct linux_timeval timeval(uint64_t ns)
{
	return (struct linux_timeval){(int64_t)(ns / NSEC_PER_SEC), (int64_t)(ns % NSEC_PER_SEC / 1000)};
}

static uint64_t resident_now(struct process *p)
{
	uint64_t virtual_size, resident = 0, data, stack, text;
	struct mm *mm = NULL;

	mutex_lock(&p->lock);
	if (p->leader && p->leader->mm)
		mm = mm_get(p->leader->mm);
	mutex_unlock(&p->lock);
	if (!mm)
		return 0;
	mm_usage(mm, &virtual_size, &resident, &data, &stack, &text);
	mm_put(mm);
	return resident / 1024;
}

/* Own and children's, as wait4(2) reports for a child. */
void rusage_fill(struct process *p, struct linux_rusage *r)
{
	uint64_t utime, stime, rss;

	memset(r, 0, sizeof(*r));
	process_cpu_time(p, &utime, &stime);
	mutex_lock(&p->lock);
	rss = MAX(p->p->max_rss, p->p->child_max_rss);
	r->ru_utime = timeval(utime + p->p->child_utime);
	r->ru_stime = timeval(stime + p->p->child_stime);
	r->ru_nvcsw = (int64_t)p->p->dead_voluntary;
	r->ru_nivcsw = (int64_t)p->p->dead_involuntary;
	r->ru_maxrss = (int64_t)rss;
	mutex_unlock(&p->lock);
}

static void rusage_self(struct process *p, struct linux_rusage *r)
{
	uint64_t utime, stime, now = resident_now(p);
	struct task_private *tp;

	process_cpu_time(p, &utime, &stime);
	r->ru_utime = timeval(utime);
	r->ru_stime = timeval(stime);
	mutex_lock(&p->lock);
	p->p->max_rss = MAX(p->p->max_rss, now);
	r->ru_maxrss = (int64_t)p->p->max_rss;
	r->ru_nvcsw = (int64_t)p->p->dead_voluntary;
	r->ru_nivcsw = (int64_t)p->p->dead_involuntary;
	process_for_each (tp, p) {
		r->ru_nvcsw += (int64_t)tp->voluntary;
		r->ru_nivcsw += (int64_t)tp->involuntary;
	}
	mutex_unlock(&p->lock);
}

void task_rusage(struct task *t, int who, struct linux_rusage *r)
{
	struct process *p = t->process;

	memset(r, 0, sizeof(*r));
	switch (who) {
	case LINUX_RUSAGE_THREAD:
		r->ru_utime = timeval(task_cpu_user(t));
		r->ru_stime = timeval(task_cpu_system(t));
		r->ru_nvcsw = (int64_t)t->p->voluntary;
		r->ru_nivcsw = (int64_t)t->p->involuntary;
		r->ru_maxrss = (int64_t)resident_now(p);
		return;
	case LINUX_RUSAGE_CHILDREN:
		mutex_lock(&p->lock);
		r->ru_utime = timeval(p->p->child_utime);
		r->ru_stime = timeval(p->p->child_stime);
		r->ru_maxrss = (int64_t)p->p->child_max_rss;
		mutex_unlock(&p->lock);
		return;
	default:
		rusage_self(p, r);
	}
}

void process_times(struct process *p, uint64_t *utime, uint64_t *stime, uint64_t *cutime, uint64_t *cstime)
{
	process_cpu_time(p, utime, stime);
	mutex_lock(&p->lock);
	*cutime = p->p->child_utime;
	*cstime = p->p->child_stime;
	mutex_unlock(&p->lock);
}

static void ids_locked(struct pid_ns *viewer, struct task *t, struct task_info *i)
{
	struct process *p = t->process;
	struct task *tracer = t->p->trace.tracer;

	i->tid = pid_nr_in(t->pid, viewer);
	i->tgid = pid_nr_in(p->pid, viewer);
	i->ppid = p->parent ? pid_nr_in(p->parent->pid, viewer) : 0;
	i->pgrp = p->pgrp ? pid_nr_in(p->pgrp, viewer) : 0;
	i->sid = p->session ? pid_nr_in(p->session->sid, viewer) : 0;
	i->tracer = tracer ? pid_nr_in(tracer->pid, viewer) : 0;
	i->tpgid = -1;
	if (p->session && p->session->tty) {
		i->tty_nr = p->session->tty->rdev;
		if (p->session->tty->pgrp)
			i->tpgid = pid_nr_in(p->session->tty->pgrp, viewer);
	}
	i->exit_signal = (uint32_t)t->p->exit_signal;
	i->exit_code = p->p->zombie ? p->p->exit_code : t->p->exit_code;
	i->state = p->p->zombie && t == p->leader ? 'Z' : __atomic_load_n(&t->p->state, __ATOMIC_RELAXED);
	if (t->p->trace.stopped)
		i->state = 't';
}

static void signals_locked(struct task *t, struct task_info *i)
{
	struct sigactions *a = t->process->p->actions;

	i->pending = t->p->pending.set;
	i->shared_pending = t->process->p->pending.set;
	i->blocked = t->p->real_blocked ? t->p->real_blocked : t->p->blocked;
	if (t->p->user)
		i->sig_queued = __atomic_load_n(&t->p->user->queued, __ATOMIC_RELAXED);
	mutex_lock(&a->lock);
	for (int s = 1; s <= SIG_COUNT; s++) {
		uaddr_t h = a->action[s - 1].sa_handler;

		if (h == LINUX_SIG_IGN)
			i->ignored |= SIG_BIT(s);
		else if (h != LINUX_SIG_DFL)
			i->caught |= SIG_BIT(s);
	}
	mutex_unlock(&a->lock);
}

void task_info(struct pid_ns *viewer, struct task *t, bool whole_process, struct task_info *i)
{
	struct process *p = t->process;

	memset(i, 0, sizeof(*i));
	mutex_lock(&t->kernel->tasklist_lock);
	ids_locked(viewer, t, i);
	mutex_unlock(&t->kernel->tasklist_lock);
	i->sig_limit = rlimit_cur(&p->limits, LINUX_RLIMIT_SIGPENDING);
	if (whole_process)
		process_times(p, &i->utime, &i->stime, &i->cutime, &i->cstime);
	mutex_lock(&p->lock);
	memcpy(i->comm, t->comm, sizeof(i->comm));
	i->comm[TASK_COMM_LEN - 1] = 0;
	i->threads = p->task_count;
	if (!whole_process) {
		i->utime = task_cpu_user(t);
		i->stime = task_cpu_system(t);
	}
	signals_locked(t, i);
	if (i->state == 'R' && t->ctx && task_platform(t)->asleep && task_platform(t)->asleep(t->ctx))
		i->state = 'S';
	i->seccomp_mode = t->p->seccomp_mode;
	i->seccomp_filters = seccomp_filter_count(t->p->filter);
	mutex_unlock(&p->lock);
	i->policy = t->p->policy;
	i->rt_priority = t->p->rt_priority;
	i->nice = t->p->nice;
	i->oom_score_adj = __atomic_load_n(&p->oom_score_adj, __ATOMIC_RELAXED);
	i->start_ns = t->p->start_ns;
	i->voluntary = t->p->voluntary;
	i->involuntary = t->p->involuntary;
	i->timer_slack = t->p->timer_slack;
	i->personality = t->p->personality;
}
