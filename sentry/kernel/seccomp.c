/* seccomp.c: strict mode and filters (seccomp(2)). Filters form a chain from the newest to the oldest,
 * shared by children; all run, and the most restrictive answer counts. */
#include "sentry/kernel/seccomp.h"

#include <string.h>

#include "platform/abi/x86_64/nr.h"
#include "platform/base/log.h"
#include "sentry/kernel/internal.h"

#define CHAIN_MAX 32768 /* instructions of a whole chain, plus 4 a filter, as Linux counts */

struct seccomp_filter {
	struct refs refs;
	struct seccomp_filter *prev; /* [I] reference */
	struct bpf_prog *prog;	     /* [I] owned */
	uint32_t total;		     /* [I] cost of the chain up to here */
	uint32_t count;		     /* [I] filters of the chain */
	bool log;		     /* [I] */
	uint64_t free[CALL_WORDS];   /* [I] by number: calls that the chain allows, whatever their arguments */
};

static bool is_free(const struct seccomp_filter *f, int64_t nr)
{
	uint32_t n = (uint32_t)nr;

	return n < CALL_WORDS * 64 && (f->free[n / 64] >> n % 64 & 1);
}

/* Once for each filter; f->prev is set. */
static void find_free(struct seccomp_filter *f)
{
	uint32_t r;

	for (int32_t nr = 0; nr < CALL_WORDS * 64; nr++)
		if ((!f->prev || is_free(f->prev, nr)) &&
		    bpf_answer(f->prog, nr, LINUX_AUDIT_ARCH_X86_64, &r) &&
		    (r & LINUX_SECCOMP_RET_ACTION_FULL) == LINUX_SECCOMP_RET_ALLOW)
			f->free[nr / 64] |= 1UL << nr % 64;
}

bool seccomp_free_calls(struct task *t, uint64_t *free)
{
	bool filtered;

	mutex_lock(&t->process->lock);
	filtered = t->p->seccomp_mode == LINUX_SECCOMP_MODE_FILTER;
	if (filtered)
		memcpy(free, t->p->filter->free, sizeof(t->p->filter->free));
	mutex_unlock(&t->process->lock);
	return filtered;
}

struct seccomp_filter *seccomp_filter_get(struct seccomp_filter *f)
{
	refs_get(&f->refs);
	return f;
}

void seccomp_filter_put(struct seccomp_filter *f)
{
	while (f && refs_put(&f->refs)) {
		struct seccomp_filter *prev = f->prev;

		kfree(f->prog);
		kfree(f);
		f = prev;
	}
}

uint32_t seccomp_filter_count(struct seccomp_filter *f)
{
	return f ? f->count : 0;
}

uint32_t seccomp_mode(struct task *t)
{
	return t->p->seccomp_mode;
}

static void switch_on(struct task *t)
{
	__atomic_fetch_or(&t->syscall_work, SYSCALL_WORK_SECCOMP, __ATOMIC_SEQ_CST);
	task_set_work(t, TASK_WORK_FACTS);
}

int seccomp_set_strict(struct task *t)
{
	if (t->p->seccomp_mode == LINUX_SECCOMP_MODE_FILTER)
		return -EINVAL;
	mutex_lock(&t->process->lock);
	t->p->seccomp_mode = LINUX_SECCOMP_MODE_STRICT;
	mutex_unlock(&t->process->lock);
	switch_on(t);
	return 0;
}

/* Is a, or nothing, part of the chain that ends in b? */
static bool is_ancestor(const struct seccomp_filter *a, const struct seccomp_filter *b)
{
	if (!a)
		return true;
	for (; b; b = b->prev)
		if (a == b)
			return true;
	return false;
}

/* All other threads must stand on a part of t's chain. The one that doesn't. [process lock] */
static struct task *can_not_follow_locked(struct task *t)
{
	struct task_private *tp;

	process_for_each (tp, t->process) {
		if (tp->self == t || tp->exiting)
			continue;
		if (tp->seccomp_mode == LINUX_SECCOMP_MODE_STRICT || !is_ancestor(tp->filter, t->p->filter))
			return tp->self;
	}
	return NULL;
}

static void follow_locked(struct task *t)
{
	struct task_private *tp;

	process_for_each (tp, t->process) {
		struct seccomp_filter *had = tp->filter;

		if (tp->self == t || tp->exiting)
			continue;
		tp->filter = seccomp_filter_get(t->p->filter);
		tp->seccomp_mode = LINUX_SECCOMP_MODE_FILTER;
		if (t->cred->no_new_privs && tp->self->cred && !tp->self->cred->no_new_privs)
			tp->inherit_no_new_privs = true;
		switch_on(tp->self);
		task_poke(tp->self);
		seccomp_filter_put(had);
	}
}

int seccomp_add_filter(struct task *t, struct bpf_prog *prog, uint32_t flags)
{
	struct seccomp_filter *f = kmalloc(sizeof(*f));
	struct task *stuck = NULL;
	int ret = 0;

	if (!f) {
		kfree(prog);
		return -ENOMEM;
	}
	refs_init(&f->refs);
	f->prog = prog;
	f->log = (flags & LINUX_SECCOMP_FILTER_FLAG_LOG) != 0;
	mutex_lock(&t->kernel->tasklist_lock);
	mutex_lock(&t->process->lock);
	f->total = prog->count + 4 + (t->p->filter ? t->p->filter->total : 0);
	f->count = 1 + (t->p->filter ? t->p->filter->count : 0);
	if (t->p->seccomp_mode == LINUX_SECCOMP_MODE_STRICT)
		ret = -EINVAL;
	else if (f->total > CHAIN_MAX)
		ret = -ENOMEM;
	else if (flags & LINUX_SECCOMP_FILTER_FLAG_TSYNC)
		stuck = can_not_follow_locked(t);
	if (stuck)
		ret = flags & LINUX_SECCOMP_FILTER_FLAG_TSYNC_ESRCH ? -ESRCH
								    : pid_nr_in(stuck->pid, task_pid_ns(t));
	if (ret == 0) {
		f->prev = t->p->filter; /* its reference moves into the chain */
		find_free(f);
		t->p->filter = f;
		t->p->seccomp_mode = LINUX_SECCOMP_MODE_FILTER;
		if (flags & LINUX_SECCOMP_FILTER_FLAG_TSYNC)
			follow_locked(t);
	}
	mutex_unlock(&t->process->lock);
	mutex_unlock(&t->kernel->tasklist_lock);
	if (ret)
		seccomp_filter_put(f);
	else
		switch_on(t);
	return ret;
}

/* Of two answers the smaller action (as a signed number) wins; of equal ones the newer filter's. */
static uint32_t run_chain(struct seccomp_filter *f, const struct seccomp_data *d, bool *log)
{
	uint32_t best = LINUX_SECCOMP_RET_ALLOW, r;

	*log = false;
	for (; f; f = f->prev) {
		r = bpf_run(f->prog, d);
		if ((int32_t)(r & LINUX_SECCOMP_RET_ACTION_FULL) <
		    (int32_t)(best & LINUX_SECCOMP_RET_ACTION_FULL)) {
			best = r;
			*log = f->log;
		}
	}
	return best;
}

static void fill_data(struct task *t, const struct run_event *ev, struct seccomp_data *d)
{
	d->nr = (int32_t)ev->nr;
	d->arch = LINUX_AUDIT_ARCH_X86_64;
	d->instruction_pointer = regs_ip(task_regs(t, false));
	for (int i = 0; i < 6; i++)
		d->args[i] = ev->args[i];
}

static void send_sigsys(struct task *t, const struct seccomp_data *d, uint32_t data)
{
	struct linux_siginfo info = {
		.si_signo = LINUX_SIGSYS, .si_code = LINUX_SYS_SECCOMP, .si_errno = (int32_t)data};

	info.sys.si_call_addr = d->instruction_pointer;
	info.sys.si_syscall = d->nr;
	info.sys.si_arch = d->arch;
	signal_force(t, LINUX_SIGSYS, &info);
}

static void kill_process(struct task *t)
{
	mutex_lock(&t->process->lock);
	process_group_exit_locked(t->process, LINUX_SIGSYS, NULL);
	mutex_unlock(&t->process->lock);
}

static void kill_thread(struct task *t)
{
	if (t->process->task_count == 1) {
		kill_process(t);
		return;
	}
	t->p->exit_code = LINUX_SIGSYS;
	__atomic_fetch_or(&t->work, TASK_WORK_EXIT, __ATOMIC_SEQ_CST);
}

static bool strict_check(struct task *t, const struct run_event *ev, int64_t *result)
{
	switch (ev->nr) {
	case LINUX_NR_read:
	case LINUX_NR_write:
	case LINUX_NR_exit:
	case LINUX_NR_rt_sigreturn:
		return true;
	default:
		t->p->exit_code = LINUX_SIGKILL;
		*result = -ENOSYS;
		if (t->process->task_count == 1) {
			mutex_lock(&t->process->lock);
			process_group_exit_locked(t->process, LINUX_SIGKILL, NULL);
			mutex_unlock(&t->process->lock);
		}
		__atomic_fetch_or(&t->work, TASK_WORK_EXIT, __ATOMIC_SEQ_CST);
		return false;
	}
}

static bool act(struct task *t, const struct run_event *ev, uint32_t r, const struct seccomp_data *d,
		int64_t *result)
{
	uint32_t data = r & LINUX_SECCOMP_RET_DATA;

	switch (r & LINUX_SECCOMP_RET_ACTION_FULL) {
	case LINUX_SECCOMP_RET_ALLOW:
		return true;
	case LINUX_SECCOMP_RET_LOG:
		log_info("seccomp: task %d: call %d logged", t->tid, d->nr);
		return true;
	case LINUX_SECCOMP_RET_ERRNO:
		*result = -(int64_t)MIN(data, 4095u);
		return false;
	case LINUX_SECCOMP_RET_TRAP:
		/* the handler sees the call's number in rax, as if nothing had been done */
		regs_set_result(task_regs(t, true), ev->nr);
		send_sigsys(t, d, data);
		*result = SYSCALL_REGS_SET;
		return false;
	case LINUX_SECCOMP_RET_TRACE:
		if (ptrace_seccomp(t, data, result))
			return *result == 0;
		*result = -ENOSYS;
		return false;
	case LINUX_SECCOMP_RET_USER_NOTIF: /* no listener can exist: see seccomp(2)'s handler */
		*result = -ENOSYS;
		return false;
	case LINUX_SECCOMP_RET_KILL_THREAD:
		kill_thread(t);
		*result = -ENOSYS;
		return false;
	default:
		kill_process(t);
		*result = -ENOSYS;
		return false;
	}
}

bool seccomp_check(struct task *t, const struct run_event *ev, int64_t *result)
{
	struct seccomp_filter *f;
	struct seccomp_data d;
	bool log, go;
	uint32_t r;

	if (t->p->seccomp_mode == LINUX_SECCOMP_MODE_DISABLED)
		return true;
	if (t->p->seccomp_mode == LINUX_SECCOMP_MODE_STRICT)
		return strict_check(t, ev, result);
	mutex_lock(&t->process->lock); /* TSYNC may replace the chain */
	f = t->p->filter;
	if (is_free(f, ev->nr)) {
		mutex_unlock(&t->process->lock);
		return true;
	}
	seccomp_filter_get(f);
	mutex_unlock(&t->process->lock);
	fill_data(t, ev, &d);
	r = run_chain(f, &d, &log);
	if (log)
		log_info("seccomp: task %d: call %d answered %#x", t->tid, d.nr, r);
	go = act(t, ev, r, &d, result);
	seccomp_filter_put(f);
	return go;
}
