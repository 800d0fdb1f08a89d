/* sched.c: scheduling books: nice values, policies, affinity. The host decides what runs; what a guest sets
 * is checked as Linux does and read back. */
#include <string.h>

#include "platform/abi/resource.h"
#include "platform/base/thread.h"
#include "sentry/kernel/internal.h"

#define RT_PRIO_MIN 1
#define RT_PRIO_MAX 99

struct task *task_find_or_self(struct task *t, int32_t tid)
{
	return tid == 0 ? task_get(t) : task_find(t, tid);
}

static bool may_schedule(struct task *t, struct task *target)
{
	struct cred *tc = task_cred_get(target);
	bool ok;

	if (!tc)
		return true;
	ok = t->cred->euid == tc->euid || t->cred->euid == tc->uid ||
	     cred_has_cap_in(t->cred, LINUX_CAP_SYS_NICE, tc->user_ns);
	cred_put(tc);
	return ok;
}

static bool cap_nice(struct task *t)
{
	return cred_has_cap_in(t->cred, LINUX_CAP_SYS_NICE, t->kernel->user_ns);
}

void sched_get(struct task *target, struct sched_info *out)
{
	struct task_private *p = target->p;

	*out = (struct sched_info){.policy = p->policy,
				   .rt_priority = p->rt_priority,
				   .nice = p->nice,
				   .reset_on_fork = p->reset_on_fork,
				   .runtime = p->dl_runtime,
				   .deadline = p->dl_deadline,
				   .period = p->dl_period};
}

static bool rt_policy(uint32_t policy)
{
	return policy == LINUX_SCHED_FIFO || policy == LINUX_SCHED_RR;
}

static int check_policy(const struct sched_info *in)
{
	switch (in->policy) {
	case LINUX_SCHED_NORMAL:
	case LINUX_SCHED_BATCH:
	case LINUX_SCHED_IDLE:
		return in->rt_priority == 0 ? 0 : -EINVAL;
	case LINUX_SCHED_FIFO:
	case LINUX_SCHED_RR:
		return in->rt_priority >= RT_PRIO_MIN && in->rt_priority <= RT_PRIO_MAX ? 0 : -EINVAL;
	case LINUX_SCHED_DEADLINE:
		return in->runtime && in->runtime <= in->deadline && (!in->period || in->deadline <= in->period)
			       ? 0
			       : -EINVAL;
	default:
		return -EINVAL;
	}
}

static int check_right(struct task *t, struct task *target, const struct sched_info *in)
{
	struct task_private *p = target->p;

	if (cap_nice(t))
		return 0;
	if (!may_schedule(t, target))
		return -EPERM;
	if (rt_policy(in->policy)) {
		uint64_t limit = task_rlimit(target, LINUX_RLIMIT_RTPRIO);

		if (in->policy != p->policy && limit == 0)
			return -EPERM;
		if (in->rt_priority > p->rt_priority && in->rt_priority > limit)
			return -EPERM;
	}
	if (in->policy == LINUX_SCHED_DEADLINE)
		return -EPERM;
	if (p->policy == LINUX_SCHED_IDLE && in->policy != LINUX_SCHED_IDLE &&
	    20 - (uint64_t)(int64_t)p->nice > task_rlimit(target, LINUX_RLIMIT_NICE))
		return -EPERM;
	if (p->reset_on_fork && !in->reset_on_fork)
		return -EPERM;
	return 0;
}

int sched_set(struct task *t, struct task *target, const struct sched_info *in)
{
	struct task_private *p = target->p;
	int ret = check_policy(in);

	if (ret == 0)
		ret = check_right(t, target, in);
	if (ret == 0 && in->nice != p->nice && !rt_policy(in->policy))
		ret = sched_set_nice(t, target, in->nice);
	if (ret < 0)
		return ret;
	p->policy = in->policy;
	p->rt_priority = in->rt_priority;
	p->reset_on_fork = in->reset_on_fork;
	p->dl_runtime = in->runtime;
	p->dl_deadline = in->deadline;
	p->dl_period = in->period ? in->period : in->deadline;
	return 0;
}

int sched_set_nice(struct task *t, struct task *target, int nice)
{
	uint64_t limit = task_rlimit(target, LINUX_RLIMIT_NICE);

	nice = nice < -20 ? -20 : nice > 19 ? 19 : nice;
	if (!may_schedule(t, target))
		return -EPERM;
	if (nice < target->p->nice && (uint64_t)(20 - nice) > limit && !cap_nice(t))
		return -EACCES;
	__atomic_store_n(&target->p->nice, nice, __ATOMIC_RELAXED);
	return 0;
}

void sched_get_mask(struct task *target, uint64_t mask[SCHED_MASK_WORDS])
{
	mutex_lock(&target->process->lock);
	memcpy(mask, target->p->cpumask, sizeof(target->p->cpumask));
	mutex_unlock(&target->process->lock);
}

int sched_set_mask(struct task *t, struct task *target, const uint64_t mask[SCHED_MASK_WORDS])
{
	uint64_t own[SCHED_MASK_WORDS] = {0};
	bool any = false;

	if (!may_schedule(t, target))
		return -EPERM;
	for (uint32_t i = 0; i < t->kernel->cpu_count && i < SCHED_MASK_WORDS * 64; i++) {
		own[i / 64] |= mask[i / 64] & (1UL << (i % 64));
		any |= own[i / 64] != 0;
	}
	if (!any)
		return -EINVAL;
	mutex_lock(&target->process->lock);
	memcpy(target->p->cpumask, own, sizeof(own));
	mutex_unlock(&target->process->lock);
	return 0;
}

/* Calls fn for each thread that (which, who) names; -ESRCH when there is none. [tasklist_lock] */
static int for_each_named_locked(struct task *t, int which, int who,
				 int (*fn)(struct task *t, struct task *target, void *arg), void *arg)
{
	struct process *p;
	struct task_private *tp;
	struct pid *pid;
	int ret = -ESRCH, r;
	uint32_t kuid;

	switch (which) {
	case LINUX_PRIO_PROCESS:
		pid = who ? pid_find_locked(task_pid_ns(t), who) : t->pid;
		return pid && pid->task ? fn(t, pid->task, arg) : -ESRCH;
	case LINUX_PRIO_PGRP:
		pid = who ? pid_find_locked(task_pid_ns(t), who) : t->process->pgrp;
		if (!pid)
			return -ESRCH;
		list_for_each (p, &pid->group, pgrp_node)
			process_for_each (tp, p) {
				r = fn(t, tp->self, arg);
				if (ret != 0)
					ret = r;
			}
		return ret;
	case LINUX_PRIO_USER:
		kuid = who ? user_ns_to_kuid(t->cred->user_ns, (uint32_t)who) : t->cred->uid;
		list_for_each (p, &t->kernel->processes, node)
			process_for_each (tp, p) {
				if (!tp->self->cred || tp->self->cred->uid != kuid ||
				    !pid_nr_in(tp->self->pid, task_pid_ns(t)))
					continue;
				r = fn(t, tp->self, arg);
				if (ret != 0)
					ret = r;
			}
		return ret;
	default:
		return -EINVAL;
	}
}

static int best_nice(struct task *t, struct task *target, void *arg)
{
	int *best = arg;

	(void)t;
	*best = MIN(*best, target->p->nice);
	return 0;
}

static int set_one(struct task *t, struct task *target, void *arg)
{
	return sched_set_nice(t, target, *(int *)arg);
}

int sched_getpriority(struct task *t, int which, int who, int *nice)
{
	int ret;

	*nice = 20;
	mutex_lock(&t->kernel->tasklist_lock);
	ret = for_each_named_locked(t, which, who, best_nice, nice);
	mutex_unlock(&t->kernel->tasklist_lock);
	return ret;
}

int sched_setpriority(struct task *t, int which, int who, int nice)
{
	int ret;

	mutex_lock(&t->kernel->tasklist_lock);
	ret = for_each_named_locked(t, which, who, set_one, &nice);
	mutex_unlock(&t->kernel->tasklist_lock);
	return ret;
}

void sched_yield_cpu(void)
{
	thread_yield();
}
