/* kernel.c: a kernel's birth, its first process, its end. */
#include <string.h>

#include "platform/base/log.h"
#include "sentry/kernel/internal.h"
#include "sentry/kernel/keys.h"
#include "sentry/kernel/settings.h"
#include "sentry/kernel/seccomp.h"

#define NS_INO_FIRST 4026531835UL /* as Linux numbers the initial namespaces */
#define RELEASE	     "6.8.0"
#define VERSION	     "#1 SMP PREEMPT_DYNAMIC"

static int create_namespaces(struct kernel *k, const char *hostname)
{
	int ret;

	k->user_ns->ino = k->next_ns_ino = NS_INO_FIRST;
	ret = pid_ns_create(k, NULL, k->user_ns, &k->pid_ns);
	if (ret == 0)
		ret = uts_ns_create(k, NULL, k->user_ns, &k->uts_ns);
	if (ret == 0)
		ret = ns_create(k, LINUX_CLONE_NEWIPC, k->user_ns, &k->ipc_ns);
	if (ret == 0)
		ret = ns_create(k, LINUX_CLONE_NEWNET, k->user_ns, &k->net_ns);
	if (ret == 0)
		ret = ns_create(k, LINUX_CLONE_NEWCGROUP, k->user_ns, &k->cgroup_ns);
	if (ret == 0)
		ret = ns_create(k, LINUX_CLONE_NEWTIME, k->user_ns, &k->time_ns);
	if (ret < 0)
		return ret;
	strncpy(k->uts_ns->nodename, hostname ? hostname : "sbx", sizeof(k->uts_ns->nodename) - 1);
	strncpy(k->uts_ns->domainname, "(none)", sizeof(k->uts_ns->domainname) - 1);
	return 0;
}

/* A kernel that could not be made is never freed: the program ends. */
int kernel_create(const struct kernel_config *config, struct platform *platform, struct vfs *vfs,
		  const struct kernel_ops *ops, struct kernel **out)
{
	struct kernel *k = kmalloc(sizeof(*k));
	int ret;

	if (!k)
		return -ENOMEM;
	k->ops = *ops;
	k->platform = platform;
	k->vfs = vfs;
	k->cpu_count = config->cpu_count ? config->cpu_count : 1;
	k->max_tasks = config->max_tasks;
	k->max_memory = config->max_memory;
	k->boot_ns = clock_boottime_ns();
	k->release = RELEASE;
	k->version = VERSION;
	mutex_init(&k->tasklist_lock, RANK_TASKLIST);
	list_init(&k->processes);
	k->users = user_table_create();
	k->keys = key_table_create(k);
	k->settings = settings_create();
	if (!k->users || !k->keys || !k->settings)
		return -ENOMEM;
	ret = user_ns_create(NULL, NULL, &k->user_ns);
	if (ret == 0)
		ret = timer_queue_create(k, &k->timers);
	if (ret == 0)
		ret = create_namespaces(k, config->hostname);
	if (ret == 0)
		ret = futex_table_create(&k->futexes);
	if (ret < 0)
		return ret;
	arena_set_root(ROOT_KERNEL, k);
	*out = k;
	return 0;
}

static int init_namespaces(struct kernel *k, struct task *t)
{
	t->uts_ns = uts_ns_get(k->uts_ns);
	t->ipc_ns = ns_get(k->ipc_ns);
	t->net_ns = ns_get(k->net_ns);
	t->cgroup_ns = ns_get(k->cgroup_ns);
	t->time_ns = ns_get(k->time_ns);
	t->child_pid_ns = pid_ns_get(k->pid_ns);
	return pid_alloc(k->pid_ns, NULL, 0, &t->pid);
}

static int init_process(struct kernel *k, struct task *t, const struct init_args *a)
{
	struct process *p;
	int ret = process_create(k, &p);

	if (ret < 0)
		return ret;
	t->process = p;
	ret = sigactions_create(&p->p->actions);
	if (ret < 0)
		return ret;
	if (a->limits)
		memcpy(p->limits.r, a->limits, sizeof(p->limits.r));
	ret = init_namespaces(k, t);
	if (ret < 0)
		return ret;
	t->tid = t->pid->nrs[0].nr;
	p->pid = pid_get(t->pid);
	p->tgid = t->tid;
	return user_get(k, t->cred->uid, &t->p->user);
}

/* Process, group and session of its own; nobody above it. */
static int init_link(struct kernel *k, struct task *t, bool first)
{
	struct process *p = t->process;
	struct session *s, *no_session;
	struct pid *no_pid;
	int ret = session_create(p->pid, p, &s);

	if (ret < 0)
		return ret;
	mutex_lock(&k->tasklist_lock);
	if (k->pid_ns->dead) {
		mutex_unlock(&k->tasklist_lock);
		session_put(s);
		return -ESRCH;
	}
	list_add_tail(&p->tasks, &t->p->thread_node);
	p->task_count = 1;
	p->p->live = p->p->undead = 1;
	p->leader = task_get(t);
	t->pid->task = t;
	t->pid->process = process_get(p);
	list_add_tail(&k->processes, &p->node);
	k->process_count++;
	process_set_session_locked(p, s, &no_session);
	process_set_pgrp_locked(p, p->pid, &no_pid);
	if (first)
		k->pid_ns->init = p;
	mutex_unlock(&k->tasklist_lock);
	session_put(s);
	return 0;
}

static void init_books(struct kernel *k, struct task *t, const struct init_args *a)
{
	memset(t->p->cpumask, 0, sizeof(t->p->cpumask));
	for (uint32_t i = 0; i < k->cpu_count && i < CPUMASK_WORDS * 64; i++)
		t->p->cpumask[i / 64] |= 1UL << (i % 64);
	t->p->start.init = a;
	t->p->start_result = 1;
}

/* What is refused after it is linked ends it: it has no thread yet. */
static int init_attach(struct task *t, const struct init_args *a)
{
	int ret = 0;

	if (a->terminal && a->terminal->ops->tty)
		ret = tty_set_controlling(t, a->terminal->ops->tty(a->terminal), false);
	if (ret == 0 && a->filter)
		ret = seccomp_add_filter(t, a->filter, 0);
	else if (a->filter)
		kfree(a->filter);
	if (ret < 0)
		task_unlink(t);
	return ret;
}

static int init_task(struct kernel *k, const struct init_args *a, bool first, struct task **out)
{
	struct task *t;
	int ret = task_alloc(k, &t);

	if (ret < 0)
		return ret;
	t->fs = a->fs;
	t->fds = a->fds;
	t->cred = a->cred;
	t->mount_ns = a->mount_ns;
	init_books(k, t, a);
	ret = init_process(k, t, a);
	if (ret < 0)
		goto fail;
	t->process->oom_score_adj = a->oom_score_adj;
	t->process->p->unkillable = a->unkillable;
	__atomic_add_fetch(&t->p->user->tasks, 1, __ATOMIC_RELAXED);
	ret = k->platform->ops->context_create(k->platform, &t->ctx);
	if (ret == 0)
		ret = init_link(k, t, first);
	if (ret < 0)
		goto fail;
	ret = init_attach(t, a);
	if (ret < 0)
		goto fail_linked;
	t->process->p->exited_arg = a->exited_arg;
	t->process->p->exited = a->exited;
	*out = t;
	return 0;
fail:
	kfree(a->filter);
fail_linked:
	task_discard(t);
	return ret;
}

/* a lives until the program runs: we wait for that here. */
static int start_program(struct task *t)
{
	int ret = task_start_thread(t);

	if (ret < 0) {
		if (t->process->p->exited)
			t->process->p->exited(t->process->p->exited_arg, 0);
		task_unlink(t);
		task_discard(t);
		return ret;
	}
	while (ret == 0 && (ret = __atomic_load_n(&t->p->start_result, __ATOMIC_ACQUIRE)) == 1) {
		(void)futex_wait_word((uint32_t *)&t->p->start_result, 1, 0);
		ret = 0;
	}
	return ret;
}

/* After a failure the kernel is of no use. */
int kernel_start_init(struct kernel *k, const struct init_args *a)
{
	struct task *t;
	int ret = init_task(k, a, true, &t);

	if (ret < 0)
		return ret;
	task_get(t);
	ret = start_program(t);
	task_put(t);
	return ret;
}

int kernel_start_process(struct kernel *k, const struct init_args *a)
{
	uint32_t max = __atomic_load_n(&k->max_tasks, __ATOMIC_RELAXED);
	struct task *t;
	int ret;

	if (max && __atomic_load_n(&k->task_count, __ATOMIC_RELAXED) >= max) {
		kfree(a->filter);
		ret = -EAGAIN;
	} else {
		ret = init_task(k, a, false, &t);
	}
	if (ret < 0) {
		if (a->exited)
			a->exited(a->exited_arg, 0);
		return ret;
	}
	task_get(t);
	ret = start_program(t);
	if (ret == 0)
		ret = t->tid;
	task_put(t);
	return ret;
}

void kernel_shutdown(struct kernel *k)
{
	struct process *p;
	uint32_t left;

	mutex_lock(&k->tasklist_lock);
	k->pid_ns->dead = true;
	list_for_each (p, &k->processes, node) {
		mutex_lock(&p->lock);
		process_group_exit_locked(p, LINUX_SIGKILL, NULL);
		mutex_unlock(&p->lock);
	}
	mutex_unlock(&k->tasklist_lock);
	while ((left = __atomic_load_n(&k->task_count, __ATOMIC_ACQUIRE)) != 0)
		(void)futex_wait_word(&k->task_count, left, kernel_now() + NSEC_PER_SEC / 10);
}
