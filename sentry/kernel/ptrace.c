/* ptrace.c: the stops of traced tasks and who traces whom (ptrace(2)). A stopped task waits on its own
 * thread and, because only that thread may touch its registers, runs the tracer's requests there. What the
 * requests are is ptrace_request.c's. Lock: tasklist_lock for struct trace. */
#include "sentry/kernel/ptrace_internal.h"

static void attach_locked(struct task *tracer, struct task *t, bool seized, uint32_t options)
{
	struct trace *tr = &t->p->trace;

	tr->seized = seized;
	tr->options = options;
	tr->in_syscall = tr->stopped = false;
	tr->interrupt = tr->notify = false;
	tr->listening = false;
	__atomic_store_n(&tr->tracer, tracer, __ATOMIC_RELEASE);
	list_add_tail(&tracer->p->tracees, &tr->node);
}

/* t is free again and goes on. */
static void detach_locked(struct task *t, int sig)
{
	struct trace *tr = &t->p->trace;

	list_del(&tr->node);
	__atomic_store_n(&tr->tracer, NULL, __ATOMIC_RELEASE);
	tr->options = 0;
	tr->stopped = false;
	tr->inject = sig;
	tr->resume = TRACE_RESUME_CONT;
	__atomic_fetch_and(&t->syscall_work, ~SYSCALL_WORK_TRACE, __ATOMIC_SEQ_CST);
	mutex_lock(&t->process->lock);
	if (t->process->p->stop_signal) /* it joins the group stop that it was kept out of */
		task_set_work(t, TASK_WORK_STOP);
	__atomic_store_n(&tr->go, 1, __ATOMIC_SEQ_CST);
	task_poke(t);
	mutex_unlock(&t->process->lock);
}

static void notify_tracer_locked(struct task *t, int code, int value)
{
	struct process *tp = t->p->trace.tracer->process;
	struct linux_siginfo info = {.si_signo = LINUX_SIGCHLD, .si_code = code};
	struct sigactions *a = tp->p->actions;
	bool quiet;

	info.chld.si_pid = pid_nr_in(t->pid, pid_ns_of(tp->pid));
	info.chld.si_status = value;
	mutex_lock(&a->lock);
	quiet = a->action[LINUX_SIGCHLD - 1].sa_handler == LINUX_SIG_IGN ||
		(a->action[LINUX_SIGCHLD - 1].sa_flags & LINUX_SA_NOCLDSTOP);
	mutex_unlock(&a->lock);
	if (!quiet)
		(void)signal_send_process(tp, LINUX_SIGCHLD, &info);
	waitq_wake(&tp->p->child_wq, EV_IN);
}

static void serve_request(struct task *t)
{
	struct trace *tr = &t->p->trace;
	struct trace_request *r = __atomic_exchange_n(&tr->request, NULL, __ATOMIC_ACQ_REL);

	if (!r)
		return;
	r->result = r->fn(t, r);
	__atomic_store_n(&r->done, 1, __ATOMIC_RELEASE);
	futex_wake_word(&r->done, 1);
}

/* For a stop on the way out everything is over but for SIGKILL itself. */
static bool must_go(struct task *t, bool exiting)
{
	if (!(__atomic_load_n(&t->work, __ATOMIC_SEQ_CST) & TASK_WORK_EXIT))
		return false;
	return !exiting || t->process->p->group_code == LINUX_SIGKILL;
}

/* Stops until the tracer says how to go on: the signal to go on with. */
static int stop(struct task *t, uint32_t code, const struct linux_siginfo *info, uint64_t message, bool exiting)
{
	struct trace *tr = &t->p->trace;
	struct kernel *k = t->kernel;
	int inject;

	if (task_platform(t)->settle && !exiting)
		task_platform(t)->settle(t->ctx);
	mutex_lock(&k->tasklist_lock);
	if (!tr->tracer || must_go(t, exiting)) {
		mutex_unlock(&k->tasklist_lock);
		return 0;
	}
	tr->stop_code = code;
	tr->message = message;
	tr->have_info = info != NULL;
	if (info)
		tr->info = *info;
	tr->inject = 0;
	tr->resume = TRACE_RESUME_CONT;
	tr->reported = false;
	__atomic_store_n(&tr->go, 0, __ATOMIC_SEQ_CST);
	tr->stopped = true;
	notify_tracer_locked(t, LINUX_CLD_TRAPPED, (int)(code & 0x7f));
	mutex_unlock(&k->tasklist_lock);
	task_state_set(t, 't');
	while (!__atomic_load_n(&tr->go, __ATOMIC_SEQ_CST) && !must_go(t, exiting)) {
		if (__atomic_load_n(&tr->listening, __ATOMIC_SEQ_CST) &&
		    __atomic_load_n(&tr->notify, __ATOMIC_SEQ_CST))
			break; /* the next stop tells */
		serve_request(t);
		task_park(t);
	}
	task_state_set(t, 'R');
	mutex_lock(&k->tasklist_lock);
	tr->stopped = false;
	tr->listening = false;
	inject = tr->inject;
	mutex_unlock(&k->tasklist_lock);
	/* a request that came just before the end gets its answer */
	struct trace_request *r = __atomic_exchange_n(&tr->request, NULL, __ATOMIC_ACQ_REL);

	if (r) {
		r->result = -ESRCH;
		__atomic_store_n(&r->done, 1, __ATOMIC_RELEASE);
		futex_wake_word(&r->done, 1);
	}
	if (tr->resume == TRACE_RESUME_STEP)
		regs_single_step(task_regs(t, true), true);
	return inject;
}

bool ptrace_is_traced(struct task *t)
{
	return __atomic_load_n(&t->p->trace.tracer, __ATOMIC_ACQUIRE) != NULL;
}

int ptrace_signal(struct task *t, int sig, struct linux_siginfo *info, int64_t *restart)
{
	struct trace *tr = &t->p->trace;
	struct guest_regs *r = task_regs(t, true);
	int64_t rax;
	int inject;

	regs_single_step(r, false);
	if (*restart) /* what Linux shows, and debuggers save and restore */
		regs_set_result(r, *restart);
	inject = stop(t, (uint32_t)sig, info, 0, false);
	r = task_regs(t, false);
	rax = regs_result(r);
	*restart = 0;
	if (regs_syscall_nr(r) >= 0 && rax <= -ERESTARTSYS && rax >= -ERESTART_RESTARTBLOCK) {
		*restart = rax;
		t->event.nr = regs_syscall_nr(r);
	}
	if (!inject)
		return 0;
	if (inject != sig) {
		*info = (struct linux_siginfo){.si_signo = inject, .si_code = LINUX_SI_USER};
	} else {
		*info = tr->info;
		info->si_signo = inject;
	}
	if (t->p->blocked & SIG_BIT(inject)) {
		(void)signal_send_task(t, inject, info);
		return 0;
	}
	return inject;
}

static uint32_t syscall_code(const struct trace *tr)
{
	return LINUX_SIGTRAP | (tr->options & LINUX_PTRACE_O_TRACESYSGOOD ? 0x80u : 0);
}

static void inject_after(struct task *t, int sig)
{
	if (sig)
		(void)signal_send_task(t, sig, &(struct linux_siginfo){.si_signo = sig});
}

static void reload_event(struct task *t, struct run_event *ev)
{
	struct guest_regs *r = task_regs(t, false);

	ev->nr = regs_syscall_nr(r);
	for (int i = 0; i < 6; i++)
		ev->args[i] = regs_syscall_arg(r, i);
}

bool ptrace_syscall_enter(struct task *t, struct run_event *ev, int64_t *result)
{
	struct trace *tr = &t->p->trace;
	bool emulated;

	if (!(__atomic_load_n(&t->syscall_work, __ATOMIC_RELAXED) & SYSCALL_WORK_TRACE))
		return true;
	regs_set_result(task_regs(t, true), -ENOSYS);
	emulated = tr->resume == TRACE_RESUME_SYSEMU;
	tr->in_syscall = true;
	tr->syscall_op = LINUX_PTRACE_SYSCALL_INFO_ENTRY;
	inject_after(t, stop(t, syscall_code(tr), NULL, LINUX_PTRACE_EVENTMSG_SYSCALL_ENTRY, false));
	tr->syscall_op = LINUX_PTRACE_SYSCALL_INFO_NONE;
	reload_event(t, ev);
	if (emulated) {
		tr->in_syscall = false;
		*result = SYSCALL_REGS_SET;
		return false;
	}
	if (ev->nr < 0) {
		*result = regs_result(task_regs(t, false));
		return false;
	}
	return true;
}

void ptrace_syscall_exit(struct task *t)
{
	struct trace *tr = &t->p->trace;

	if (!(__atomic_load_n(&t->syscall_work, __ATOMIC_RELAXED) & SYSCALL_WORK_TRACE) ||
	    tr->resume == TRACE_RESUME_SYSEMU)
		return;
	tr->in_syscall = false;
	tr->syscall_op = LINUX_PTRACE_SYSCALL_INFO_EXIT;
	inject_after(t, stop(t, syscall_code(tr), NULL, LINUX_PTRACE_EVENTMSG_SYSCALL_EXIT, false));
	tr->syscall_op = LINUX_PTRACE_SYSCALL_INFO_NONE;
}

void ptrace_event(struct task *t, int event, uint64_t message)
{
	struct trace *tr = &t->p->trace;

	if (LIKELY(!ptrace_is_traced(t)) || !(tr->options & (1u << event)))
		return;
	inject_after(t, stop(t, LINUX_SIGTRAP | (uint32_t)event << 8, NULL, message,
			     event == LINUX_PTRACE_EVENT_EXIT));
}

void ptrace_exec(struct task *t)
{
	struct linux_siginfo info;

	if (LIKELY(!ptrace_is_traced(t)))
		return;
	if (t->p->trace.options & LINUX_PTRACE_O_TRACEEXEC) {
		ptrace_event(t, LINUX_PTRACE_EVENT_EXEC, (uint64_t)pid_nr(t->pid));
		return;
	}
	if (t->p->trace.seized)
		return;
	signal_info_kernel(LINUX_SIGTRAP, LINUX_SI_USER, &info);
	(void)signal_send_task(t, LINUX_SIGTRAP, &info);
}

bool ptrace_seccomp(struct task *t, uint32_t data, int64_t *result)
{
	struct trace *tr = &t->p->trace;

	if (!ptrace_is_traced(t) || !(tr->options & LINUX_PTRACE_O_TRACESECCOMP))
		return false;
	regs_set_result(task_regs(t, true), -ENOSYS);
	tr->syscall_op = LINUX_PTRACE_SYSCALL_INFO_SECCOMP;
	tr->seccomp_data = data;
	inject_after(t, stop(t, LINUX_SIGTRAP | LINUX_PTRACE_EVENT_SECCOMP << 8, NULL, data, false));
	tr->syscall_op = LINUX_PTRACE_SYSCALL_INFO_NONE;
	reload_event(t, &t->event);
	*result = t->event.nr < 0 ? SYSCALL_REGS_SET : 0;
	return true;
}

void ptrace_do_interrupt(struct task *t)
{
	struct trace *tr = &t->p->trace;
	bool due;

	mutex_lock(&t->kernel->tasklist_lock);
	due = tr->interrupt || tr->notify;
	tr->interrupt = tr->notify = false;
	mutex_unlock(&t->kernel->tasklist_lock);
	if (due)
		(void)stop(t, LINUX_SIGTRAP | LINUX_PTRACE_EVENT_STOP << 8, NULL, 0, false);
}

void ptrace_group_stop(struct task *t, int sig)
{
	struct trace *tr = &t->p->trace;

	(void)stop(t, tr->seized ? (uint32_t)sig | LINUX_PTRACE_EVENT_STOP << 8 : (uint32_t)sig, NULL, 0,
		   false);
}

static uint32_t option_of(int event)
{
	return 1u << event;
}

void ptrace_clone(struct task *t, struct task *child, uint64_t flags, int event)
{
	struct trace *tr = &t->p->trace;
	struct kernel *k = t->kernel;
	bool seized = false, traced = false;

	if (LIKELY(!ptrace_is_traced(t)))
		return;
	mutex_lock(&k->tasklist_lock);
	if (tr->tracer && !(flags & LINUX_CLONE_UNTRACED) &&
	    ((flags & LINUX_CLONE_PTRACE) || (tr->options & option_of(event)))) {
		attach_locked(tr->tracer, child, tr->seized, tr->options);
		traced = true;
		seized = tr->seized;
		child->p->trace.interrupt = seized;
	}
	mutex_unlock(&k->tasklist_lock);
	if (traced && seized)
		__atomic_fetch_or(&child->work, TASK_WORK_STOP, __ATOMIC_SEQ_CST);
	else if (traced)
		(void)signal_send_task(child, LINUX_SIGSTOP, NULL);
}

/* ---- attaching ---- */

int ptrace_traceme(struct task *t)
{
	struct kernel *k = t->kernel;
	struct task *parent;
	int ret = -EPERM;

	mutex_lock(&k->tasklist_lock);
	parent = t->p->parent_task;
	if (!t->p->trace.tracer && parent && !parent->p->dead) {
		attach_locked(parent, t, false, 0);
		ret = 0;
	}
	mutex_unlock(&k->tasklist_lock);
	if (ret == 0)
		task_set_work(t, TASK_WORK_FACTS);
	return ret;
}

int ptrace_attach(struct task *t, struct task *target, bool seize, uint32_t options)
{
	struct kernel *k = t->kernel;
	bool stopped = false;
	int ret = 0;

	if (target->process == t->process || !task_may_access(t, target))
		return -EPERM;
	mutex_lock(&k->tasklist_lock);
	if (target->p->trace.tracer || target->p->dead)
		ret = -EPERM;
	else
		attach_locked(t, target, seize, options);
	mutex_unlock(&k->tasklist_lock);
	if (ret < 0)
		return ret;
	mutex_lock(&target->process->lock);
	stopped = target->process->p->stop_signal != 0;
	if (stopped)
		task_set_work(target, TASK_WORK_STOP);
	task_set_work(target, TASK_WORK_FACTS);
	task_poke(target);
	mutex_unlock(&target->process->lock);
	if (!seize && !stopped)
		(void)signal_send_task(target, LINUX_SIGSTOP, NULL);
	return 0;
}

void ptrace_detach(struct task *target, int sig)
{
	mutex_lock(&target->kernel->tasklist_lock);
	if (target->p->trace.tracer)
		detach_locked(target, sig);
	mutex_unlock(&target->kernel->tasklist_lock);
}

/* ---- ends ---- */

void ptrace_release_thread_locked(struct task *t)
{
	exit_release_thread_locked(t);
	task_put(t); /* what exit_notify kept; the process stays, so nothing big goes with it */
}

void ptrace_release_zombie_locked(struct process *p, struct list *dead)
{
	struct task *leader = p->leader;

	list_del(&leader->p->trace.node);
	leader->p->trace.tracer = NULL;
	if (exit_notify_parent_locked(p))
		process_reap_locked(p, dead);
}

static void tracer_ends_locked(struct task *t, struct list *dead)
{
	struct task_private *tp, *tmp;

	list_for_each_safe (tp, tmp, &t->p->tracees, trace.node) {
		struct task *c = tp->self;
		bool kill = (tp->trace.options & LINUX_PTRACE_O_EXITKILL) != 0;

		if (tp->dead) {
			if (c != c->process->leader)
				ptrace_release_thread_locked(c);
			else if (c->process->p->zombie)
				ptrace_release_zombie_locked(c->process, dead);
			else
				detach_locked(c, 0);
			continue;
		}
		detach_locked(c, 0);
		if (kill)
			(void)signal_send_process(c->process, LINUX_SIGKILL, NULL);
	}
}

void ptrace_task_exit(struct task *t)
{
	struct kernel *k = t->kernel;
	struct list dead;

	list_init(&dead);
	mutex_lock(&k->tasklist_lock);
	tracer_ends_locked(t, &dead);
	mutex_unlock(&k->tasklist_lock);
	process_free_reaped(&dead);
}

void ptrace_tracee_dead_locked(struct task *t)
{
	int status = t->p->exit_code;

	notify_tracer_locked(t, exit_code_class(status), status & 0x7f ? status & 0x7f : status >> 8);
}
