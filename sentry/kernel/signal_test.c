/* Queues of signals, who gets them, groups and ids, on a kernel without anything that runs. */
#include "sentry/kernel/signal.h"

#include <criterion/criterion.h>

#include "sentry/kernel/internal.h"
#include "sentry/vfs/file.h"
#include "tests/harness/fake_platform.h"

static struct kernel *kernel;

static void setup(void)
{
	static const struct kernel_ops ops;
	struct kernel_config kc = {.cpu_count = 2};
	struct fake_platform *fp;

	cr_assert_eq(arena_init(), 0);
	fp = fake_platform_create(false);
	cr_assert_eq(kernel_create(&kc, &fp->p, NULL, &ops, &kernel), 0);
}

/* A process, or with THREAD another thread, as clone would link it. */
static struct task *make_task(struct task *parent, uint64_t flags, struct pid_ns *ns)
{
	struct process *p;
	struct session *s, *none_s;
	struct pid *none;
	struct task *t;

	cr_assert_eq(task_alloc(kernel, &t), 0);
	cr_assert_eq(cred_create(kernel->user_ns, 1000, 1000, 0, &t->cred), 0);
	cr_assert_eq(user_get(kernel, 1000, &t->p->user), 0);
	__atomic_add_fetch(&t->p->user->tasks, 1, __ATOMIC_RELAXED);
	cr_assert_eq(pid_alloc(ns, NULL, 0, &t->pid), 0);
	t->tid = t->pid->nrs[0].nr;
	if (flags & LINUX_CLONE_THREAD) {
		t->process = process_get(parent->process);
	} else {
		cr_assert_eq(process_create(kernel, &p), 0);
		t->process = p;
		cr_assert_eq(sigactions_create(&p->p->actions), 0);
		p->pid = pid_get(t->pid);
		p->tgid = t->tid;
	}
	if (parent) {
		cr_assert_eq(task_link(parent, t, flags, LINUX_SIGCHLD), 0);
		return t;
	}
	p = t->process;
	cr_assert_eq(session_create(p->pid, p, &s), 0);
	mutex_lock(&kernel->tasklist_lock);
	list_add_tail(&p->tasks, &t->p->thread_node);
	p->task_count = p->p->live = p->p->undead = 1;
	p->leader = task_get(t);
	t->pid->task = t;
	t->pid->process = process_get(p);
	list_add_tail(&kernel->processes, &p->node);
	process_set_session_locked(p, s, &none_s);
	process_set_pgrp_locked(p, p->pid, &none);
	ns->init = p;
	mutex_unlock(&kernel->tasklist_lock);
	session_put(s);
	return t;
}

static int dequeue(struct task *t, uint64_t mask, struct linux_siginfo *info)
{
	int sig;

	mutex_lock(&t->process->lock);
	sig = signal_dequeue_locked(t, mask, info);
	mutex_unlock(&t->process->lock);
	return sig;
}

Test(signal, standard_ones_merge_and_realtime_ones_queue, .init = setup)
{
	struct task *t = make_task(NULL, 0, kernel->pid_ns);
	struct linux_siginfo in = {.si_code = LINUX_SI_QUEUE}, out;

	t->p->blocked = ~0UL & ~SIG_UNMASKABLE;
	for (int i = 0; i < 3; i++) {
		in.kill.si_value.sival_int = i;
		cr_assert_eq(signal_send_task(t, LINUX_SIGUSR1, &in), 0);
		cr_assert_eq(signal_send_process(t->process, 40, &in), 0);
	}
	cr_assert_eq(dequeue(t, 0, &out), LINUX_SIGUSR1);
	cr_assert_eq(out.kill.si_value.sival_int, 0);
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(dequeue(t, 0, &out), 40);
		cr_assert_eq(out.kill.si_value.sival_int, i);
	}
	cr_assert_eq(dequeue(t, 0, &out), 0);
	cr_assert_eq(t->p->user->queued, 0);
}

Test(signal, ignored_ones_are_dropped_unless_blocked, .init = setup)
{
	struct task *t = make_task(NULL, 0, kernel->pid_ns);
	struct linux_sigaction ign = {.sa_handler = LINUX_SIG_IGN};
	struct linux_siginfo out;

	cr_assert_eq(signal_action(t, LINUX_SIGUSR1, &ign, NULL), 0);
	cr_assert_eq(signal_send_task(t, LINUX_SIGUSR1, NULL), 0);
	cr_assert_eq(signal_send_task(t, LINUX_SIGCHLD, NULL), 0);
	cr_assert_eq(dequeue(t, 0, &out), 0);
	t->p->blocked = SIG_BIT(LINUX_SIGUSR1);
	cr_assert_eq(signal_send_task(t, LINUX_SIGUSR1, NULL), 0);
	cr_assert_eq(signal_pending_set(t), SIG_BIT(LINUX_SIGUSR1));
	cr_assert_eq(signal_action(t, LINUX_SIGUSR1, &ign, NULL), 0); /* setting it again discards */
	cr_assert_eq(signal_pending_set(t), 0);
	cr_assert_eq(signal_action(t, LINUX_SIGKILL, &ign, NULL), -EINVAL);
}

Test(signal, the_queue_limit_holds_for_realtime_signals, .init = setup)
{
	struct task *t = make_task(NULL, 0, kernel->pid_ns);
	struct linux_siginfo in = {.si_code = LINUX_SI_QUEUE};

	t->process->limits.r[LINUX_RLIMIT_SIGPENDING].rlim_cur = 2;
	t->p->blocked = SIG_BIT(40) | SIG_BIT(LINUX_SIGUSR1);
	cr_assert_eq(signal_send_task(t, 40, &in), 0);
	cr_assert_eq(signal_send_task(t, 40, &in), 0);
	cr_assert_eq(signal_send_task(t, 40, &in), -EAGAIN);
	in.si_code = LINUX_SI_USER;
	cr_assert_eq(signal_send_task(t, LINUX_SIGUSR1, &in), 0); /* kill(2) never fails for that */
	cr_assert_eq(signal_pending_set(t), SIG_BIT(40) | SIG_BIT(LINUX_SIGUSR1));
}

Test(signal, a_process_wide_signal_goes_to_a_thread_that_takes_it, .init = setup)
{
	struct task *t = make_task(NULL, 0, kernel->pid_ns);
	struct task *u =
		make_task(t, LINUX_CLONE_THREAD | LINUX_CLONE_SIGHAND | LINUX_CLONE_VM, kernel->pid_ns);

	t->p->blocked = SIG_BIT(LINUX_SIGUSR1);
	cr_assert_eq(signal_send_process(t->process, LINUX_SIGUSR1, NULL), 0);
	cr_assert_not(t->work & TASK_WORK_SIGNAL);
	cr_assert(u->work & TASK_WORK_SIGNAL);
	cr_assert(task_interrupted(u));
	cr_assert_not(task_interrupted(t));
}

Test(signal, kill_ends_all_threads_and_cont_and_stop_cancel_each_other, .init = setup)
{
	struct task *t = make_task(NULL, 0, kernel->pid_ns);
	struct task *u =
		make_task(t, LINUX_CLONE_THREAD | LINUX_CLONE_SIGHAND | LINUX_CLONE_VM, kernel->pid_ns);

	t->p->blocked = u->p->blocked = SIG_BIT(LINUX_SIGTSTP) | SIG_BIT(LINUX_SIGCONT);
	cr_assert_eq(signal_send_process(t->process, LINUX_SIGTSTP, NULL), 0);
	cr_assert_eq(signal_send_process(t->process, LINUX_SIGCONT, NULL), 0);
	cr_assert_eq(signal_pending_set(t), SIG_BIT(LINUX_SIGCONT));
	cr_assert_eq(signal_send_task(u, LINUX_SIGTSTP, NULL), 0);
	cr_assert_eq(signal_pending_set(t), 0);
	cr_assert_eq(signal_send_task(u, LINUX_SIGKILL, NULL), 0);
	cr_assert((t->work & TASK_WORK_EXIT) && (u->work & TASK_WORK_EXIT));
	cr_assert(t->process->p->group_exit && t->process->p->group_code == LINUX_SIGKILL);
}

Test(pid, each_namespace_counts_for_itself, .init = setup)
{
	struct task *init = make_task(NULL, 0, kernel->pid_ns), *inner;
	struct pid_ns *ns;
	struct pid *pid;
	int32_t wanted[] = {77};

	cr_assert_eq(pid_ns_create(kernel, kernel->pid_ns, kernel->user_ns, &ns), 0);
	inner = make_task(init, 0, ns);
	cr_assert_eq(pid_nr_in(inner->pid, ns), 1);
	cr_assert_eq(pid_nr_in(inner->pid, kernel->pid_ns), 2);
	cr_assert_eq(task_tid_in(inner, init), 0); /* not visible from inside */
	cr_assert_eq(task_tid_in(init, inner), 2);
	cr_assert(inner->process->p->unkillable && ns->init == inner->process);
	cr_assert_eq(pid_alloc(ns, wanted, 1, &pid), 0);
	cr_assert(pid_nr_in(pid, ns) == 77 && pid_nr_in(pid, kernel->pid_ns) == 3);
	cr_assert_eq(pid_alloc(ns, wanted, 1, &pid), -EEXIST);
	cr_assert_null(task_find(inner, 2));
	cr_assert_eq(task_find(init, 2), inner);
}

Test(pid, groups_and_sessions_follow_the_rules, .init = setup)
{
	struct task *shell = make_task(NULL, 0, kernel->pid_ns);
	struct task *a = make_task(shell, 0, kernel->pid_ns), *b = make_task(shell, 0, kernel->pid_ns);

	cr_assert_eq(task_setpgid(shell, a->tid, a->tid), 0);
	cr_assert_eq(task_setpgid(shell, b->tid, a->tid), 0);
	cr_assert_eq(task_getpgid(shell, b->tid), a->tid);
	cr_assert_eq(task_setpgid(a, b->tid, 0), -ESRCH); /* not a child */
	cr_assert_eq(task_setpgid(shell, 0, 0), -EPERM);  /* a session leader */
	cr_assert_eq(task_setpgid(b, 0, 999), -EPERM);	  /* no such group */
	cr_assert_eq(task_setsid(a), -EPERM);		  /* leads a group */
	cr_assert_eq(task_setsid(b), b->tid);
	cr_assert_eq(task_getsid(shell, b->tid), b->tid);
	cr_assert_eq(task_setpgid(shell, b->tid, a->tid), -EPERM); /* another session */
	b->process->p->has_exec = a->process->p->has_exec = true;
	cr_assert_eq(task_setpgid(shell, a->tid, shell->tid), -EACCES);
	mutex_lock(&kernel->tasklist_lock);
	cr_assert_not(pgrp_orphaned_locked(a->process->pgrp, NULL));
	cr_assert(pgrp_orphaned_locked(b->process->pgrp, NULL));
	mutex_unlock(&kernel->tasklist_lock);
}
