/* signal.c: queues of pending signals and sending: who gets it, what it does at once (stop and continue,
 * kill), what is dropped. Delivery is deliver.c's. Locks: the process's; senders to groups hold
 * tasklist_lock too. */
#include <string.h>

#include "sentry/kernel/internal.h"

#define SIG_STOPS                                                                                              \
	(SIG_BIT(LINUX_SIGSTOP) | SIG_BIT(LINUX_SIGTSTP) | SIG_BIT(LINUX_SIGTTIN) | SIG_BIT(LINUX_SIGTTOU))
#define SIG_IGNORED_BY_DEFAULT                                                                                 \
	(SIG_BIT(LINUX_SIGCONT) | SIG_BIT(LINUX_SIGCHLD) | SIG_BIT(LINUX_SIGWINCH) | SIG_BIT(LINUX_SIGURG))
#define SIG_SYNCHRONOUS                                                                                        \
	(SIG_BIT(LINUX_SIGSEGV) | SIG_BIT(LINUX_SIGBUS) | SIG_BIT(LINUX_SIGILL) | SIG_BIT(LINUX_SIGTRAP) |     \
	 SIG_BIT(LINUX_SIGFPE) | SIG_BIT(LINUX_SIGSYS))

void sigpending_init(struct sigpending *p)
{
	p->set = 0;
	list_init(&p->queue);
}

static void sigqueue_free(struct kernel *k, struct sigqueue *q)
{
	(void)k;
	if (q->timer)
		return; /* lives with its timer */
	if (q->user) {
		__atomic_sub_fetch(&q->user->queued, 1, __ATOMIC_RELAXED);
		user_put(k, q->user);
	}
	kfree(q);
}

void sigpending_flush(struct kernel *k, struct sigpending *p)
{
	struct sigqueue *q, *tmp;

	p->set = 0;
	list_for_each_safe (q, tmp, &p->queue, node) {
		list_del(&q->node);
		sigqueue_free(k, q);
	}
}

static void flush_set(struct kernel *k, struct sigpending *p, uint64_t set)
{
	struct sigqueue *q, *tmp;

	if (!(p->set & set))
		return;
	p->set &= ~set;
	list_for_each_safe (q, tmp, &p->queue, node) {
		if (!(set & SIG_BIT(q->info.si_signo)))
			continue;
		list_del(&q->node);
		sigqueue_free(k, q);
	}
}

void signal_flush_set_locked(struct process *p, uint64_t set)
{
	struct task_private *tp;

	flush_set(p->kernel, &p->p->pending, set);
	process_for_each (tp, p)
		flush_set(p->kernel, &tp->pending, set);
}

void sigactions_find_plain(struct sigactions *a)
{
	static const struct linux_sigaction zero;
	uint64_t set = 0;

	for (int i = 0; i < SIG_COUNT; i++)
		if (!memcmp(&a->action[i], &zero, sizeof(zero)))
			set |= SIG_BIT(i + 1);
	__atomic_store_n(&a->plain, set, __ATOMIC_RELAXED);
}

int sigactions_create(struct sigactions **out)
{
	struct sigactions *a = kmalloc(sizeof(*a));

	if (!a)
		return -ENOMEM;
	refs_init(&a->refs);
	mutex_init(&a->lock, RANK_SIGACTION);
	a->plain = ~0UL;
	*out = a;
	return 0;
}

int sigactions_copy(struct sigactions *from, bool clear, struct sigactions **out)
{
	struct sigactions *a;
	int ret = sigactions_create(&a);

	if (ret < 0)
		return ret;
	mutex_lock(&from->lock);
	memcpy(a->action, from->action, sizeof(a->action));
	mutex_unlock(&from->lock);
	for (int i = 0; clear && i < SIG_COUNT; i++)
		if (a->action[i].sa_handler != LINUX_SIG_IGN)
			a->action[i] = (struct linux_sigaction){0};
	sigactions_find_plain(a);
	*out = a;
	return 0;
}

struct sigactions *sigactions_get(struct sigactions *a)
{
	refs_get(&a->refs);
	return a;
}

void sigactions_put(struct sigactions *a)
{
	if (refs_put(&a->refs))
		kfree(a);
}

static uaddr_t handler_of(struct process *p, int sig)
{
	return __atomic_load_n(&p->p->actions->action[sig - 1].sa_handler, __ATOMIC_RELAXED);
}

bool signal_ignored_locked(struct process *p, int sig)
{
	uaddr_t h = handler_of(p, sig);

	return h == LINUX_SIG_IGN || (h == LINUX_SIG_DFL && (SIG_IGNORED_BY_DEFAULT & SIG_BIT(sig)));
}

/* What t blocks at this moment: the guest may have changed it since it left us last. */
static uint64_t blocked_now(struct task *t)
{
	const struct platform_ops *ops = task_platform(t);

	if (!t->ctx || !__atomic_load_n(&t->ctx->sigmask_out, __ATOMIC_SEQ_CST))
		return t->p->blocked;
	return ops->sigmask_now(t->ctx) & ~SIG_UNMASKABLE;
}

/* Would it have no effect at all? Blocked signals stay pending, as the handler may change; a tracer wants
 * to see everything. force: from outside of the pid namespace, or the kernel. */
static bool dropped(struct process *p, struct task *t, int sig, bool force)
{
	uaddr_t h = handler_of(p, sig);

	if (p->p->unkillable && h == LINUX_SIG_DFL &&
	    !(force && (sig == LINUX_SIGKILL || sig == LINUX_SIGSTOP)))
		return true;
	if ((blocked_now(t) | t->p->real_blocked) & SIG_BIT(sig))
		return false;
	if (t->p->trace.tracer && sig != LINUX_SIGKILL)
		return false;
	return signal_ignored_locked(p, sig);
}

static bool wants(struct task *t, int sig)
{
	if (t->p->exiting || (blocked_now(t) & SIG_BIT(sig)))
		return false;
	return true;
}

/* A blocked signal is pending now: t may not unblock it without us any more. */
static void end_mask_offer(struct task *t)
{
	if (task_platform(t)->sigmask_now && t->ctx && __atomic_load_n(&t->p->in_guest, __ATOMIC_SEQ_CST))
		task_platform(t)->kick(t->ctx);
}

/* Makes somebody look at it. */
static void signal_wake_locked(struct process *p, struct task *only, int sig)
{
	struct task_private *tp;
	struct task *t = only ? only : p->leader;

	waitq_wake(&p->p->signal_wq, EV_IN | EV_RDNORM);
	if (t && t->process == p && wants(t, sig)) {
		task_set_work(t, TASK_WORK_SIGNAL);
		return;
	}
	if (only) {
		end_mask_offer(only);
		return;
	}
	process_for_each (tp, p) {
		if (!wants(tp->self, sig))
			continue;
		task_set_work(tp->self, TASK_WORK_SIGNAL);
		return;
	}
	process_for_each (tp, p)
		end_mask_offer(tp->self);
}

void process_group_exit_locked(struct process *p, int status, struct task *except)
{
	struct task_private *tp;

	if (!p->p->group_exit) {
		p->p->group_exit = true;
		p->p->group_code = status;
	}
	p->p->stop_signal = 0;
	p->p->stopped = false;
	process_for_each (tp, p)
		if (tp->self != except)
			task_set_work(tp->self, TASK_WORK_EXIT);
}

static void continue_locked(struct process *p)
{
	struct task_private *tp;

	signal_flush_set_locked(p, SIG_STOPS);
	p->p->cont_count++;
	process_for_each (tp, p) {
		if (!tp->trace.seized || !ptrace_is_traced(tp->self))
			continue;
		__atomic_store_n(&tp->trace.notify, true, __ATOMIC_SEQ_CST);
		task_set_work(tp->self, TASK_WORK_STOP);
		task_poke(tp->self);
	}
	if (!p->p->stop_signal)
		return;
	if (p->p->stopped)
		p->p->tell_continued = true;
	p->p->stop_signal = 0;
	p->p->stopped = false;
	p->p->wait_events &= ~WAIT_STOPPED;
	process_for_each (tp, p) {
		tp->stop_counted = false;
		task_poke(tp->self);
	}
}

static void info_fill(struct linux_siginfo *dst, int sig, const struct linux_siginfo *info)
{
	if (info)
		*dst = *info;
	else
		signal_info_kernel(sig, LINUX_SI_KERNEL, dst);
	dst->si_signo = sig;
}

/* RLIMIT_SIGPENDING holds for the receiver's user. NULL: over the limit, or no memory. */
static struct sigqueue *sigqueue_alloc(struct task *t, bool override)
{
	struct user *u = t->p->user;
	struct sigqueue *q;

	if (!u)
		return kmalloc(sizeof(*q));
	if (__atomic_add_fetch(&u->queued, 1, __ATOMIC_RELAXED) >
		    rlimit_cur(&t->process->limits, LINUX_RLIMIT_SIGPENDING) &&
	    !override) {
		__atomic_sub_fetch(&u->queued, 1, __ATOMIC_RELAXED);
		return NULL;
	}
	q = kmalloc(sizeof(*q));
	if (!q || user_get(t->kernel, u->uid, &q->user) < 0) {
		__atomic_sub_fetch(&u->queued, 1, __ATOMIC_RELAXED);
		kfree(q);
		return NULL;
	}
	return q;
}

int signal_send_locked(struct process *p, struct task *task, int sig, const struct linux_siginfo *info)
{
	struct task *t = task ? task : p->leader;
	bool force = !info || info->si_code == LINUX_SI_KERNEL;
	struct sigpending *pending;
	struct sigqueue *q;

	if (!t || p->p->group_exit || (task && task->p->exiting))
		return 0;
	if (sig == LINUX_SIGCONT)
		continue_locked(p);
	else if (SIG_STOPS & SIG_BIT(sig))
		signal_flush_set_locked(p, SIG_BIT(LINUX_SIGCONT));
	if (dropped(p, t, sig, force))
		return 0;
	if (sig == LINUX_SIGKILL) {
		process_group_exit_locked(p, LINUX_SIGKILL, NULL);
		return 0;
	}
	pending = task ? &task->p->pending : &p->p->pending;
	if (sig < SIG_RTMIN && (pending->set & SIG_BIT(sig)))
		return 0;
	q = sigqueue_alloc(t, sig < SIG_RTMIN && (!info || info->si_code >= 0));
	if (q) {
		info_fill(&q->info, sig, info);
		list_add_tail(&pending->queue, &q->node);
	} else if (sig >= SIG_RTMIN && info && info->si_code != LINUX_SI_USER) {
		return -EAGAIN;
	}
	pending->set |= SIG_BIT(sig);
	signal_wake_locked(p, task, sig);
	return 0;
}

int signal_send_preallocated_locked(struct process *p, struct task *task, struct sigqueue *q)
{
	struct sigpending *pending = task ? &task->p->pending : &p->p->pending;
	struct task *t = task ? task : p->leader;
	int sig = q->info.si_signo;

	if (!t || p->p->group_exit || (task && task->p->exiting))
		return 0;
	if (!list_empty(&q->node))
		return 1;
	if (dropped(p, t, sig, false))
		return 0;
	list_add_tail(&pending->queue, &q->node);
	pending->set |= SIG_BIT(sig);
	signal_wake_locked(p, task, sig);
	return 0;
}

void signal_unqueue_locked(struct process *p, struct task *task, struct sigqueue *q)
{
	struct sigpending *pending = task ? &task->p->pending : &p->p->pending;
	struct sigqueue *other;

	if (list_empty(&q->node))
		return;
	list_del(&q->node);
	list_for_each (other, &pending->queue, node)
		if (other->info.si_signo == q->info.si_signo)
			return;
	pending->set &= ~SIG_BIT(q->info.si_signo);
}

int signal_send_task(struct task *t, int sig, const struct linux_siginfo *info)
{
	int ret;

	mutex_lock(&t->process->lock);
	ret = signal_send_locked(t->process, t, sig, info);
	mutex_unlock(&t->process->lock);
	return ret;
}

int signal_send_process(struct process *p, int sig, const struct linux_siginfo *info)
{
	int ret;

	mutex_lock(&p->lock);
	ret = signal_send_locked(p, NULL, sig, info);
	mutex_unlock(&p->lock);
	return ret;
}

int signal_send_pgrp_locked(struct pid *pgrp, int sig, const struct linux_siginfo *info)
{
	struct process *p;
	int ret = -ESRCH;

	list_for_each (p, &pgrp->group, pgrp_node) {
		int r = signal_send_process(p, sig, info);

		if (ret < 0)
			ret = r;
	}
	return ret;
}

int signal_send_pgrp(struct kernel *k, struct pid *pgrp, int sig, const struct linux_siginfo *info)
{
	int ret;

	mutex_lock(&k->tasklist_lock);
	ret = signal_send_pgrp_locked(pgrp, sig, info);
	mutex_unlock(&k->tasklist_lock);
	return ret;
}

bool signal_pending_locked(struct task *t)
{
	return ((t->p->pending.set | t->process->p->pending.set) & ~t->p->blocked) != 0;
}

bool signal_recheck(struct task *t)
{
	bool pending;

	mutex_lock(&t->process->lock);
	pending = signal_pending_locked(t);
	if (pending)
		__atomic_fetch_or(&t->work, TASK_WORK_SIGNAL, __ATOMIC_SEQ_CST);
	else
		__atomic_fetch_and(&t->work, ~TASK_WORK_SIGNAL, __ATOMIC_SEQ_CST);
	mutex_unlock(&t->process->lock);
	return pending;
}

/* The lowest of set, faults first. */
static int pick(uint64_t set)
{
	if (set & SIG_SYNCHRONOUS)
		set &= SIG_SYNCHRONOUS;
	return set ? __builtin_ctzll(set) + 1 : 0;
}

static void take(struct process *p, struct sigpending *pending, int sig, struct linux_siginfo *info)
{
	struct sigqueue *q, *found = NULL;
	bool more = false;

	list_for_each (q, &pending->queue, node) {
		if (q->info.si_signo != sig)
			continue;
		if (found) {
			more = true;
			break;
		}
		found = q;
	}
	if (!more)
		pending->set &= ~SIG_BIT(sig);
	if (!found) {
		*info = (struct linux_siginfo){.si_signo = sig, .si_code = LINUX_SI_USER};
		return;
	}
	list_del(&found->node);
	*info = found->info;
	if (found->timer)
		posix_timer_signal_taken_locked(p, found, info);
	sigqueue_free(p->kernel, found);
}

int signal_dequeue_locked(struct task *t, uint64_t mask, struct linux_siginfo *info)
{
	struct process *p = t->process;
	int sig = pick(t->p->pending.set & ~mask);

	if (sig) {
		take(p, &t->p->pending, sig, info);
		return sig;
	}
	sig = pick(p->p->pending.set & ~mask);
	if (sig)
		take(p, &p->p->pending, sig, info);
	return sig;
}

void signal_info_kernel(int sig, int code, struct linux_siginfo *info)
{
	*info = (struct linux_siginfo){.si_signo = sig, .si_code = code};
}

void signal_info_user(struct task *sender, int sig, int code, struct linux_siginfo *info)
{
	*info = (struct linux_siginfo){.si_signo = sig, .si_code = code};
	info->kill.si_pid = pid_nr(sender->process->pid);
	info->kill.si_uid = user_ns_from_kuid(sender->cred->user_ns, sender->cred->uid);
}

/* Other threads may be better placed for process-wide signals that t has just blocked. */
static void retarget_locked(struct task *t, uint64_t newly_blocked)
{
	struct process *p = t->process;
	uint64_t set = p->p->pending.set & newly_blocked;
	struct task_private *tp;

	if (!set)
		return;
	process_for_each (tp, p)
		if (tp->self != t && !tp->exiting && (set & ~tp->blocked))
			task_set_work(tp->self, TASK_WORK_SIGNAL);
}

void signal_set_blocked(struct task *t, uint64_t set)
{
	struct process *p = t->process;

	set &= ~SIG_UNMASKABLE;
	if (set == t->p->blocked)
		return;
	mutex_lock(&p->lock);
	retarget_locked(t, set & ~t->p->blocked);
	t->p->blocked = set;
	if (signal_pending_locked(t))
		__atomic_fetch_or(&t->work, TASK_WORK_SIGNAL, __ATOMIC_SEQ_CST);
	mutex_unlock(&p->lock);
}

void signal_retarget_exiting_locked(struct task *t)
{
	retarget_locked(t, ~0UL);
}
