/* sigaction.c: what a task does with its own signals: actions, masks, sigtimedwait, alternate stacks; and
 * kill(2)'s lookups and permissions. */
#include "sentry/kernel/internal.h"

#define KNOWN_FLAGS                                                                                            \
	(LINUX_SA_NOCLDSTOP | LINUX_SA_NOCLDWAIT | LINUX_SA_SIGINFO | LINUX_SA_ONSTACK | LINUX_SA_RESTART |    \
	 LINUX_SA_NODEFER | LINUX_SA_RESETHAND | LINUX_SA_RESTORER | LINUX_SA_EXPOSE_TAGBITS)

/* Nobody else can change or read more of them than the handler, which stays SIG_DFL. */
void signal_offer_actions(struct task *t)
{
	struct sigactions *a = t->process->p->actions;

	t->ctx->plain_signals = t->ctx->sigmask_own && t->process->task_count == 1 && refs_read(&a->refs) == 1
					? __atomic_load_n(&a->plain, __ATOMIC_RELAXED)
					: 0;
}

void signal_take_actions(struct task *t)
{
	const struct run_event *ev = &t->event;
	const struct linux_sigaction new = {.sa_flags = ev->action_flags & KNOWN_FLAGS &
							~(uint64_t)(LINUX_SA_NOCLDSTOP | LINUX_SA_NOCLDWAIT),
					    .sa_restorer = ev->action_restorer,
					    .sa_mask = ev->action_mask & ~SIG_UNMASKABLE};
	struct sigactions *a = t->process->p->actions;
	uint64_t set = ev->actions_set & ~SIG_UNMASKABLE;

	mutex_lock(&a->lock);
	for (set &= a->plain; set; set &= set - 1) {
		int i = __builtin_ctzll(set);

		a->action[i] = new;
		a->plain &= ~SIG_BIT(i + 1);
	}
	mutex_unlock(&a->lock);
}

int signal_action(struct task *t, int sig, const struct linux_sigaction *new, struct linux_sigaction *old)
{
	struct process *p = t->process;
	struct sigactions *a = p->p->actions;

	if (!signal_valid(sig) || (new && (SIG_BIT(sig) & SIG_UNMASKABLE)))
		return -EINVAL;
	mutex_lock(&p->lock);
	mutex_lock(&a->lock);
	if (old)
		*old = a->action[sig - 1];
	if (new) {
		a->action[sig - 1] = *new;
		a->action[sig - 1].sa_mask &= ~SIG_UNMASKABLE;
		a->action[sig - 1].sa_flags &= KNOWN_FLAGS;
		__atomic_fetch_and(&a->plain, ~SIG_BIT(sig), __ATOMIC_RELAXED);
	}
	mutex_unlock(&a->lock);
	if (new &&signal_ignored_locked(p, sig))
		signal_flush_set_locked(p, SIG_BIT(sig));
	mutex_unlock(&p->lock);
	return 0;
}

int signal_mask(struct task *t, int how, uint64_t set)
{
	switch (how) {
	case LINUX_SIG_BLOCK:
		set |= t->p->blocked;
		break;
	case LINUX_SIG_UNBLOCK:
		set = t->p->blocked & ~set;
		break;
	case LINUX_SIG_SETMASK:
		break;
	default:
		return -EINVAL;
	}
	signal_set_blocked(t, set);
	return 0;
}

uint64_t signal_blocked(struct task *t)
{
	return t->p->blocked;
}

uint64_t signal_pending_set(struct task *t)
{
	uint64_t set;

	mutex_lock(&t->process->lock);
	set = (t->p->pending.set | t->process->p->pending.set) & t->p->blocked;
	mutex_unlock(&t->process->lock);
	return set;
}

void signal_mask_swap(struct task *t, uint64_t set)
{
	t->p->saved_mask = t->p->blocked;
	t->p->restore_mask = true;
	signal_set_blocked(t, set);
}

void signal_mask_restore(struct task *t)
{
	if (!t->p->restore_mask)
		return;
	t->p->restore_mask = false;
	signal_set_blocked(t, t->p->saved_mask);
}

int signal_wait(struct task *t, uint64_t set, uint64_t deadline, bool poll, struct linux_siginfo *info)
{
	struct process *p = t->process;
	int sig, ret;

	set &= ~SIG_UNMASKABLE;
	mutex_lock(&p->lock);
	sig = signal_dequeue_locked(t, ~set, info);
	if (sig || poll) {
		mutex_unlock(&p->lock);
		return sig ? sig : -EAGAIN;
	}
	/* While we wait they count as unblocked, so that a sender wakes us; what is dropped as ignored goes
	 * by real_blocked. */
	t->p->real_blocked = t->p->blocked;
	t->p->blocked &= ~set;
	mutex_unlock(&p->lock);
	do {
		ret = task_block(t, deadline);
		mutex_lock(&p->lock);
		sig = signal_dequeue_locked(t, ~set, info);
		mutex_unlock(&p->lock);
	} while (!sig && ret == 0);
	mutex_lock(&p->lock);
	t->p->blocked = t->p->real_blocked;
	t->p->real_blocked = 0;
	mutex_unlock(&p->lock);
	(void)signal_recheck(t);
	if (sig)
		return sig;
	return ret == -ETIMEDOUT ? -EAGAIN : -EINTR;
}

static bool on_altstack(struct task *t, uint64_t sp)
{
	const struct linux_sigaltstack *s = &t->p->altstack;

	if ((uint32_t)s->ss_flags & LINUX_SS_AUTODISARM)
		return false;
	return sp > s->ss_sp && sp - s->ss_sp <= s->ss_size;
}

int signal_altstack(struct task *t, const struct linux_sigaltstack *new, struct linux_sigaltstack *old)
{
	uint64_t sp = regs_sp(task_regs(t, false));
	struct linux_sigaltstack *s = &t->p->altstack;
	uint32_t flags, mode;

	if (old) {
		*old = *s;
		old->pad = 0;
		flags = (uint32_t)s->ss_flags & LINUX_SS_AUTODISARM;
		if (s->ss_size == 0)
			flags |= LINUX_SS_DISABLE;
		else if (on_altstack(t, sp))
			flags |= LINUX_SS_ONSTACK;
		old->ss_flags = (int32_t)flags;
	}
	if (!new)
		return 0;
	if (on_altstack(t, sp))
		return -EPERM;
	flags = (uint32_t) new->ss_flags;
	mode = flags & ~LINUX_SS_AUTODISARM;
	if (mode != LINUX_SS_DISABLE && mode != LINUX_SS_ONSTACK && mode != 0)
		return -EINVAL;
	if (mode == LINUX_SS_DISABLE) {
		*s = (struct linux_sigaltstack){.ss_flags = (int32_t)flags};
		return 0;
	}
	if (new->ss_size < LINUX_MINSIGSTKSZ)
		return -ENOMEM;
	*s = (struct linux_sigaltstack){
		.ss_sp = new->ss_sp, .ss_flags = (int32_t)flags, .ss_size = new->ss_size};
	return 0;
}

int signal_may_send(struct task *sender, struct process *target, int sig)
{
	struct cred *c = sender->cred, *tc;
	struct task *leader;
	int ret = 0;

	if (target == sender->process)
		return 0;
	mutex_lock(&target->lock);
	leader = target->leader;
	tc = leader && leader->cred ? cred_get(leader->cred) : NULL;
	mutex_unlock(&target->lock);
	if (!tc)
		return 0; /* going: nothing will happen */
	if (c->euid != tc->suid && c->euid != tc->uid && c->uid != tc->suid && c->uid != tc->uid &&
	    !cred_has_cap_in(c, LINUX_CAP_KILL, tc->user_ns) &&
	    !(sig == LINUX_SIGCONT && target->session == sender->process->session))
		ret = -EPERM;
	cred_put(tc);
	return ret;
}

/* The sender in the target's eyes: its id in the target's pid namespace, its uid in the target's user
 * namespace. A sender from outside is the kernel to it. */
static void info_for(struct task *sender, struct process *target, struct linux_siginfo *info)
{
	struct pid_ns *ns = pid_ns_of(target->pid);

	if (info->si_code != LINUX_SI_USER && info->si_code != LINUX_SI_TKILL)
		return;
	if (ns == task_pid_ns(sender))
		return;
	info->kill.si_pid = pid_nr_in(sender->process->pid, ns);
	if (info->kill.si_pid == 0)
		info->si_code = LINUX_SI_KERNEL;
}

static int send_checked_locked(struct task *t, struct process *p, struct task *task, int sig,
			       const struct linux_siginfo *info)
{
	struct linux_siginfo own = *info;
	int ret = signal_may_send(t, p, sig);

	if (ret < 0 || sig == 0)
		return ret;
	info_for(t, p, &own);
	mutex_lock(&p->lock);
	ret = signal_send_locked(p, task, sig, &own);
	mutex_unlock(&p->lock);
	return ret;
}

static int kill_group_locked(struct task *t, struct pid *pgrp, int sig, const struct linux_siginfo *info)
{
	struct process *p;
	bool sent = false;
	int ret = -ESRCH;

	list_for_each (p, &pgrp->group, pgrp_node) {
		int r = send_checked_locked(t, p, NULL, sig, info);

		if (r == 0)
			sent = true;
		else
			ret = r;
	}
	return sent ? 0 : ret;
}

static int kill_all_locked(struct task *t, int sig, const struct linux_siginfo *info)
{
	struct pid_ns *ns = task_pid_ns(t);
	struct process *p;
	int ret = -ESRCH, r;
	bool sent = false;

	list_for_each (p, &t->kernel->processes, node) {
		if (p == t->process || p == ns->init || pid_nr_in(p->pid, ns) <= 1)
			continue;
		r = send_checked_locked(t, p, NULL, sig, info);
		if (r != -EPERM)
			sent = true;
		else
			ret = r;
	}
	return sent ? 0 : ret;
}

int signal_kill(struct task *t, int32_t nr, int sig)
{
	struct kernel *k = t->kernel;
	struct linux_siginfo info;
	struct pid *pid;
	int ret = -ESRCH;

	if (sig != 0 && !signal_valid(sig))
		return -EINVAL;
	if (nr == INT32_MIN)
		return -ESRCH;
	signal_info_user(t, sig, LINUX_SI_USER, &info);
	mutex_lock(&k->tasklist_lock);
	if (nr == -1) {
		ret = kill_all_locked(t, sig, &info);
	} else if (nr <= 0) {
		pid = nr == 0 ? t->process->pgrp : pid_find_locked(task_pid_ns(t), -nr);
		if (pid)
			ret = kill_group_locked(t, pid, sig, &info);
	} else {
		pid = pid_find_locked(task_pid_ns(t), nr);
		if (pid && (pid->process || pid->task))
			ret = send_checked_locked(t, pid->process ? pid->process : pid->task->process, NULL,
						  sig, &info);
	}
	mutex_unlock(&k->tasklist_lock);
	return ret;
}

static int send_to_thread(struct task *t, int32_t tgid, int32_t tid, int sig, const struct linux_siginfo *info)
{
	struct kernel *k = t->kernel;
	struct task *target;
	struct pid *pid;
	int ret = -ESRCH;

	mutex_lock(&k->tasklist_lock);
	pid = pid_find_locked(task_pid_ns(t), tid);
	target = pid ? pid->task : NULL;
	if (target && (tgid <= 0 || pid_nr_in(target->process->pid, task_pid_ns(t)) == tgid))
		ret = send_checked_locked(t, target->process, target, sig, info);
	mutex_unlock(&k->tasklist_lock);
	return ret;
}

int signal_tgkill(struct task *t, int32_t tgid, int32_t tid, int sig)
{
	struct linux_siginfo info;

	if (tid <= 0 || tgid == 0 || tgid < -1)
		return -EINVAL;
	if (sig != 0 && !signal_valid(sig))
		return -EINVAL;
	signal_info_user(t, sig, LINUX_SI_TKILL, &info);
	return send_to_thread(t, tgid, tid, sig, &info);
}

/* Nobody may look like the kernel or kill(2) to somebody else. */
static int queue_info_check(struct task *t, int32_t tgid, int sig, struct linux_siginfo *info)
{
	if (sig != 0 && !signal_valid(sig))
		return -EINVAL;
	if ((info->si_code >= 0 || info->si_code == LINUX_SI_TKILL) && tgid != pid_nr(t->process->pid))
		return -EPERM;
	info->si_signo = sig;
	return 0;
}

int signal_queue_process(struct task *t, int32_t nr, int sig, struct linux_siginfo *info)
{
	struct kernel *k = t->kernel;
	struct pid *pid;
	int ret = queue_info_check(t, nr, sig, info);

	if (ret < 0)
		return ret;
	ret = -ESRCH;
	mutex_lock(&k->tasklist_lock);
	pid = nr > 0 ? pid_find_locked(task_pid_ns(t), nr) : NULL;
	if (pid && (pid->process || pid->task))
		ret = send_checked_locked(t, pid->process ? pid->process : pid->task->process, NULL, sig, info);
	mutex_unlock(&k->tasklist_lock);
	return ret;
}

int signal_queue_task(struct task *t, int32_t tgid, int32_t tid, int sig, struct linux_siginfo *info)
{
	int ret;

	if (tid <= 0 || tgid <= 0)
		return -EINVAL;
	ret = queue_info_check(t, tgid, sig, info);
	return ret < 0 ? ret : send_to_thread(t, tgid, tid, sig, info);
}
