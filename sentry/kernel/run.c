/* run.c: the loop of a task: run the guest, serve what it came out for, look at pending work, again. One
 * sentry thread a task, from the first instruction to the exit. */
#include "platform/abi/signal.h"
#include "platform/base/log.h"
#include "platform/base/thread.h"
#include "sentry/kernel/internal.h"

/* The exception as the signal that Linux makes of it. */
static void fault(struct task *t, const struct run_event *ev)
{
	struct linux_siginfo info = {.si_signo = ev->signo, .si_code = ev->code};

	if (ev->signo == LINUX_SIGSEGV && ev->code == LINUX_SEGV_MAPERR &&
	    mm_grow(t->mm, t->ctx, task_rlimits(t), ev->addr) == 0)
		return;
	info.fault.si_addr = ev->addr;
	t->p->fault_trapno = ev->trapno;
	t->p->fault_err = ev->err;
	if (ev->signo == LINUX_SIGSEGV || ev->signo == LINUX_SIGBUS)
		t->p->fault_addr = ev->addr;
	log_debug("task %d: signal %d code %d at %#lx, ip %#lx", t->tid, ev->signo, ev->code, ev->addr,
		  regs_ip(task_regs(t, false)));
	signal_force(t, ev->signo, &info);
}

/* Returns the -ERESTART* that is to be acted upon, or 0. */
static int64_t serve(struct task *t)
{
	bool traced;
	int64_t ret;

	if (LIKELY(!task_needs_syscall_work(t)) ||
	    (ptrace_syscall_enter(t, &t->event, &ret) && seccomp_check(t, &t->event, &ret)))
		ret = t->kernel->ops.syscall(t, &t->event);
	traced = UNLIKELY(__atomic_load_n(&t->syscall_work, __ATOMIC_RELAXED) & SYSCALL_WORK_TRACE);
	if (ret == SYSCALL_REGS_SET) {
		if (traced)
			ptrace_syscall_exit(t);
		return 0;
	}
	if (UNLIKELY(ret <= -ERESTARTSYS && ret >= -ERESTART_RESTARTBLOCK)) {
		/* A tracer sees the raw value, as on Linux; then the registers are set for the restart. */
		if (traced) {
			task_platform(t)->set_result(t->ctx, ret);
			ptrace_syscall_exit(t);
		}
		return ret;
	}
	task_platform(t)->set_result(t->ctx, ret);
	if (traced)
		ptrace_syscall_exit(t);
	return 0;
}

/* The host side failed us: the process can't go on. */
static void end_group(struct task *t)
{
	mutex_lock(&t->process->lock);
	process_group_exit_locked(t->process, LINUX_SIGKILL, NULL);
	mutex_unlock(&t->process->lock);
}

static void host_lost(struct task *t, const char *what, int err)
{
	log_warn("task %d: %s: error %d", t->tid, what, -err);
	end_group(t);
}

/* The host could not do what we told the guest was done: the books and the answer follow. */
static void map_failed(struct task *t, const struct run_event *ev)
{
	if (ev->nr < 0) {
		host_lost(t, "making the memory of a program", ev->code);
		return;
	}
	log_info("task %d: a mapping failed late: error %d", t->tid, -ev->code);
	if (ev->args[1] && mm_munmap(t->mm, t->ctx, ev->args[0], ev->args[1]) < 0)
		log_info("task %d: and the books can't be changed back", t->tid);
	task_platform(t)->set_result(t->ctx, ev->code);
}

/* While no signal waits, blocking and unblocking is the guest's own business. in_guest is set already: who
 * sends one from now on kicks, also when it is blocked. */
static void offer_mask(struct task *t)
{
	t->ctx->sigmask = t->p->blocked;
	t->ctx->sigmask_own = !(__atomic_load_n(&t->p->pending.set, __ATOMIC_RELAXED) |
				__atomic_load_n(&t->process->p->pending.set, __ATOMIC_RELAXED));
	signal_offer_actions(t);
}

static void take_mask(struct task *t)
{
	if (UNLIKELY(t->event.sigmask_changed))
		signal_set_blocked(t, t->event.sigmask);
	/* not before: until now senders looked there */
	__atomic_store_n(&t->ctx->sigmask_out, 0, __ATOMIC_RELEASE);
}

static void loop(struct task *t)
{
	const struct platform_ops *ops = task_platform(t);
	int64_t restart = 0;
	int ret;

	for (;;) {
		/* Set first, then look: whoever sets work afterwards sees that a kick is needed. */
		__atomic_store_n(&t->p->in_guest, 1, __ATOMIC_SEQ_CST);
		if (UNLIKELY(__atomic_load_n(&t->work, __ATOMIC_SEQ_CST) || restart || t->p->restore_mask)) {
			__atomic_store_n(&t->p->in_guest, 0, __ATOMIC_SEQ_CST);
			if (!task_do_work(t, restart))
				return;
			restart = 0;
			continue;
		}
		if (t->lent_count)
			lent_check(t);
		offer_mask(t);
		ret = ops->run(t->ctx, &t->event);
		take_mask(t);
		if (t->lent_count && t->event.moved)
			lent_sync(t);
		__atomic_store_n(&t->arrivals, t->arrivals + 1, __ATOMIC_RELEASE);
		__atomic_store_n(&t->p->in_guest, 0, __ATOMIC_RELAXED);
		if (UNLIKELY(t->event.actions_set))
			signal_take_actions(t);
		if (UNLIKELY(t->event.umask_changed))
			__atomic_store_n(&t->fs->umask, t->event.umask & 0777, __ATOMIC_RELAXED);
		if (UNLIKELY(t->event.robust_changed))
			task_set_robust_list(t, t->event.robust);
		if (UNLIKELY(ret < 0)) {
			host_lost(t, "run", ret);
			continue;
		}
		switch (t->event.reason) {
		case RUN_SYSCALL:
			restart = serve(t);
			break;
		case RUN_FAULT:
			fault(t, &t->event);
			break;
		case RUN_KICKED:
			t->p->involuntary++;
			(void)signal_recheck(t); /* a sender may have gone by a mask that was just changing */
			break;
		case RUN_MAP_FAILED:
			map_failed(t, &t->event);
			break;
		case RUN_EXITED:
			/* a guest can bring that about: no warning */
			log_info("task %d: its host thread has ended", t->tid);
			end_group(t);
			break;
		}
	}
}

/* What clone(2) left to the child itself: registers and memory are its own only now. */
static void first_steps(struct task *t)
{
	struct guest_regs *r = task_regs(t, true);
	const struct task_start *s = &t->p->start;
	int32_t tid;

	regs_set_result(r, 0);
	if (s->stack)
		regs_set_sp(r, s->stack);
	if (s->flags & LINUX_CLONE_SETTLS)
		regs_set_tls(r, s->tls);
	if (s->flags & LINUX_CLONE_CHILD_SETTID) {
		tid = pid_nr(t->pid);
		if (copy_to_user(t, s->child_tid, &tid, sizeof(tid)) < 0)
			log_debug("task %d: child_tid can't be written", t->tid); /* as Linux: no error */
	}
}

static void task_main(void *arg)
{
	struct task *t = arg;
	int ret;

	t->p->cpu_base = clock_thread_cpu_ns();
	__atomic_store_n(&t->p->host_tid, (uint32_t)clock_thread_handle(), __ATOMIC_RELEASE);
	ret = task_platform(t)->context_bind(t->ctx);
	if (ret < 0) {
		host_lost(t, "bind", ret);
	} else if (t->p->start.init) {
		ret = task_exec_kernel(t, t->p->start.init);
		if (ret < 0) { /* who asked is told */
			log_info("the first program can't be executed: error %d", -ret);
			end_group(t);
		}
		__atomic_store_n(&t->p->start_result, ret, __ATOMIC_RELEASE);
		futex_wake_word((uint32_t *)&t->p->start_result, 1);
	} else {
		ret = mm_fork_finish(t->mm, t->ctx);
		if (ret < 0)
			host_lost(t, "what fork leaves out", ret);
		else
			first_steps(t);
	}
	__atomic_fetch_or(&t->work, TASK_WORK_FACTS, __ATOMIC_SEQ_CST);
	loop(t);
	task_exit(t);
}

int task_start_thread(struct task *t)
{
	char name[16] = "task";
	uint32_t n = (uint32_t)t->tid, len = 4, digits = 1;

	for (uint32_t v = n; v >= 10; v /= 10)
		digits++;
	name[len++] = '-';
	for (uint32_t i = 0; i < digits; i++, n /= 10)
		name[len + digits - 1 - i] = (char)('0' + n % 10);
	return thread_start(task_main, t, name);
}
