/* deliver.c: what a task does before it goes back to the guest: signals are taken and acted upon, stops are
 * waited out, an interrupted system call is set up to be restarted or ends with EINTR (signal(7)). Runs on
 * the task's own thread without locks. */
#include "platform/abi/x86_64/nr.h"
#include "platform/base/log.h"
#include "sentry/kernel/core.h"
#include "sentry/kernel/internal.h"

enum outcome {
	NOTHING, /* no signal left */
	AGAIN,	 /* one was consumed; look for more */
	HANDLER, /* the guest goes on in a handler */
	FATAL,
};

static void restart_without_handler(struct task *t, int64_t restart)
{
	struct guest_regs *r = task_regs(t, true);

	if (restart == -ERESTART_RESTARTBLOCK)
		regs_restart_syscall(r, LINUX_NR_restart_syscall);
	else
		regs_restart_syscall(r, t->event.nr);
}

static void restart_before_handler(struct task *t, int64_t restart, const struct linux_sigaction *sa)
{
	struct guest_regs *r = task_regs(t, true);

	if (restart == -ERESTARTNOINTR || (restart == -ERESTARTSYS && (sa->sa_flags & LINUX_SA_RESTART)))
		regs_restart_syscall(r, t->event.nr);
	else
		regs_set_result(r, -EINTR);
}

static void action_take(struct process *p, int sig, struct linux_sigaction *out)
{
	struct sigactions *a = p->p->actions;

	mutex_lock(&a->lock);
	*out = a->action[sig - 1];
	if ((out->sa_flags & LINUX_SA_RESETHAND) && out->sa_handler != LINUX_SIG_IGN)
		a->action[sig - 1].sa_handler = LINUX_SIG_DFL;
	mutex_unlock(&a->lock);
}

static enum outcome run_handler(struct task *t, const struct linux_sigaction *sa, int sig,
				const struct linux_siginfo *info, int64_t *restart)
{
	uint64_t saved = t->p->restore_mask ? t->p->saved_mask : t->p->blocked;
	uint64_t blocked = t->p->blocked | sa->sa_mask;

	if (*restart)
		restart_before_handler(t, *restart, sa);
	*restart = 0;
	if (sigframe_push(t, sa, sig, info, saved) < 0) {
		struct linux_siginfo segv;

		signal_info_kernel(LINUX_SIGSEGV, LINUX_SI_KERNEL, &segv);
		if (sig == LINUX_SIGSEGV) {
			struct linux_sigaction dfl = {0};

			if (signal_action(t, LINUX_SIGSEGV, &dfl, NULL) < 0)
				return FATAL;
		}
		signal_force(t, LINUX_SIGSEGV, &segv);
		return AGAIN;
	}
	t->p->restore_mask = false;
	if (!(sa->sa_flags & LINUX_SA_NODEFER))
		blocked |= SIG_BIT(sig);
	signal_set_blocked(t, blocked);
	return HANDLER;
}

/* Starts a group stop; cont_seen: continues so far when the signal was taken. */
static void stop_begin(struct task *t, int sig, uint32_t cont_seen)
{
	struct process *p = t->process;
	struct task_private *tp;

	mutex_lock(&p->lock);
	if (p->p->group_exit || p->p->cont_count != cont_seen) {
		mutex_unlock(&p->lock);
		return;
	}
	if (!p->p->stop_signal) {
		p->p->stop_signal = sig;
		p->p->stop_left = 0;
		p->p->stopped = false;
		process_for_each (tp, p) {
			tp->stop_counted = tp->exiting;
			if (!tp->exiting)
				p->p->stop_left++;
			if (tp->self != t && !tp->exiting)
				task_set_work(tp->self, TASK_WORK_STOP);
		}
	}
	mutex_unlock(&p->lock);
	__atomic_fetch_or(&t->work, TASK_WORK_STOP, __ATOMIC_SEQ_CST);
}

/* True when t was the last of its process to park. [process lock] */
bool signal_stop_count_locked(struct task *t)
{
	struct process *p = t->process;

	if (!p->p->stop_signal || t->p->stop_counted)
		return false;
	t->p->stop_counted = true;
	if (p->p->stop_left > 0)
		p->p->stop_left--;
	if (p->p->stop_left > 0 || p->p->stopped)
		return false;
	p->p->stopped = true;
	p->p->wait_events = (p->p->wait_events & ~WAIT_CONTINUED) | WAIT_STOPPED;
	return true;
}

static void tell_parent(struct process *p, int why, int status)
{
	mutex_lock(&p->kernel->tasklist_lock);
	parent_notify_stop_locked(p, why, status);
	mutex_unlock(&p->kernel->tasklist_lock);
}

/* Parks for as long as the group stop lasts. */
static void stop_wait(struct task *t)
{
	struct process *p = t->process;
	bool last, continued;
	uint32_t epoch;
	int sig;

	mutex_lock(&p->lock);
	sig = p->p->stop_signal;
	epoch = p->p->cont_count;
	last = signal_stop_count_locked(t);
	mutex_unlock(&p->lock);
	if (!sig)
		return;
	if (last)
		tell_parent(p, LINUX_CLD_STOPPED, sig);
	if (t->p->trace.tracer) {
		ptrace_group_stop(t, sig);
		return;
	}
	if (task_platform(t)->settle)
		task_platform(t)->settle(t->ctx);
	task_state_set(t, 'T');
	/* A continue ends this stop even when the next has begun by the time we look. */
	while (__atomic_load_n(&p->p->stop_signal, __ATOMIC_SEQ_CST) &&
	       __atomic_load_n(&p->p->cont_count, __ATOMIC_SEQ_CST) == epoch && !ptrace_is_traced(t) &&
	       !(__atomic_load_n(&t->work, __ATOMIC_SEQ_CST) & TASK_WORK_EXIT))
		task_park(t);
	task_state_set(t, 'R');
	mutex_lock(&p->lock);
	continued = p->p->tell_continued;
	p->p->tell_continued = false;
	if (continued)
		p->p->wait_events |= WAIT_CONTINUED;
	mutex_unlock(&p->lock);
	if (continued)
		tell_parent(p, LINUX_CLD_CONTINUED, LINUX_SIGCONT);
}

static bool stops_by_default(int sig)
{
	return sig == LINUX_SIGSTOP || sig == LINUX_SIGTSTP || sig == LINUX_SIGTTIN || sig == LINUX_SIGTTOU;
}

static bool in_orphaned_group(struct task *t)
{
	bool orphaned;

	mutex_lock(&t->kernel->tasklist_lock);
	orphaned = pgrp_orphaned_locked(t->process->pgrp, NULL);
	mutex_unlock(&t->kernel->tasklist_lock);
	return orphaned;
}

/* The process ends by a signal; the first thread that does this leaves a core file. */
static void end_by(struct task *t, const struct linux_siginfo *info)
{
	struct process *p = t->process;
	bool first;

	mutex_lock(&p->lock);
	first = !p->p->group_exit;
	process_group_exit_locked(p, info->si_signo, t);
	mutex_unlock(&p->lock);
	log_info("process %d ends by signal %d", p->tgid, info->si_signo);
	if (!first || !signal_dumps_core(info->si_signo) || !core_dump(t, info))
		return;
	mutex_lock(&p->lock);
	p->p->group_code |= 0x80;
	mutex_unlock(&p->lock);
}

static enum outcome default_action(struct task *t, const struct linux_siginfo *info, uint32_t cont_seen)
{
	int sig = info->si_signo;
	struct process *p = t->process;

	if (sig == LINUX_SIGCONT || sig == LINUX_SIGCHLD || sig == LINUX_SIGWINCH || sig == LINUX_SIGURG)
		return AGAIN;
	if (p->p->unkillable && sig != LINUX_SIGKILL && sig != LINUX_SIGSTOP)
		return AGAIN; /* blocked when it was sent; init still has no handler */
	if (stops_by_default(sig)) {
		if (sig == LINUX_SIGSTOP || !in_orphaned_group(t))
			stop_begin(t, sig, cont_seen);
		return AGAIN;
	}
	end_by(t, info);
	return FATAL;
}

static enum outcome deliver_one(struct task *t, int64_t *restart)
{
	struct process *p = t->process;
	struct linux_siginfo info;
	struct linux_sigaction sa;
	uint32_t cont_seen;
	int sig;

	mutex_lock(&p->lock);
	sig = signal_dequeue_locked(t, t->p->blocked, &info);
	if (!sig)
		__atomic_fetch_and(&t->work, ~TASK_WORK_SIGNAL, __ATOMIC_SEQ_CST);
	cont_seen = p->p->cont_count;
	mutex_unlock(&p->lock);
	if (!sig)
		return NOTHING;
	if (__atomic_load_n(&t->p->trace.tracer, __ATOMIC_RELAXED) && sig != LINUX_SIGKILL) {
		sig = ptrace_signal(t, sig, &info, restart);
		if (!sig)
			return AGAIN;
	}
	action_take(p, sig, &sa);
	if (sa.sa_handler == LINUX_SIG_IGN)
		return AGAIN;
	if (sa.sa_handler == LINUX_SIG_DFL) {
		info.si_signo = sig; /* a tracer may have changed it */
		return default_action(t, &info, cont_seen);
	}
	return run_handler(t, &sa, sig, &info, restart);
}

static enum outcome deliver(struct task *t, int64_t *restart)
{
	enum outcome o;

	do
		o = deliver_one(t, restart);
	while (o == AGAIN &&
	       !(__atomic_load_n(&t->work, __ATOMIC_RELAXED) & (TASK_WORK_STOP | TASK_WORK_EXIT)));
	return o;
}

bool task_do_work(struct task *t, int64_t restart)
{
	uint32_t work;

	for (;;) {
		work = __atomic_load_n(&t->work, __ATOMIC_SEQ_CST);
		if (work & TASK_WORK_EXIT)
			return false;
		if (work & TASK_WORK_FACTS) {
			__atomic_fetch_and(&t->work, ~TASK_WORK_FACTS, __ATOMIC_SEQ_CST);
			task_publish(t);
			continue;
		}
		if (work & TASK_WORK_STOP) {
			__atomic_fetch_and(&t->work, ~TASK_WORK_STOP, __ATOMIC_SEQ_CST);
			ptrace_do_interrupt(t);
			stop_wait(t);
			continue;
		}
		if (work & TASK_WORK_SIGNAL) {
			if (deliver(t, &restart) == FATAL)
				return false;
			continue;
		}
		if (restart) {
			restart_without_handler(t, restart);
			restart = 0;
		}
		if (!t->p->restore_mask)
			return true;
		signal_mask_restore(t);
	}
}

void signal_force(struct task *t, int sig, const struct linux_siginfo *info)
{
	struct process *p = t->process;
	struct sigactions *a = p->p->actions;
	struct linux_sigaction *sa = &a->action[sig - 1];

	mutex_lock(&p->lock);
	mutex_lock(&a->lock);
	if (sa->sa_handler == LINUX_SIG_IGN || (t->p->blocked & SIG_BIT(sig)))
		*sa = (struct linux_sigaction){0};
	if (sa->sa_handler == LINUX_SIG_DFL)
		p->p->unkillable = false;
	mutex_unlock(&a->lock);
	t->p->blocked &= ~SIG_BIT(sig);
	(void)signal_send_locked(p, t, sig, info);
	mutex_unlock(&p->lock);
}
