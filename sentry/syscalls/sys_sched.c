/* sys_sched.c: scheduling: policies, nice values, affinity, yielding; I/O priorities. */
#include "platform/abi/resource.h"
#include "sentry/kernel/task.h"
#include "sentry/syscalls/internal.h"

#define RR_INTERVAL_NS 100000000LL

int64_t sys_sched_yield(struct task *t, const struct sysargs *a)
{
	(void)t, (void)a;
	sched_yield_cpu();
	return 0;
}

int64_t sys_getpriority(struct task *t, const struct sysargs *a)
{
	int nice, ret = sched_getpriority(t, arg_int(a, 0), arg_int(a, 1), &nice);

	return ret < 0 ? ret : 20 - nice; /* as the system call says it: 1 to 40 */
}

int64_t sys_setpriority(struct task *t, const struct sysargs *a)
{
	int nice = arg_int(a, 2);

	nice = nice < -20 ? -20 : nice > 19 ? 19 : nice;
	return sched_setpriority(t, arg_int(a, 0), arg_int(a, 1), nice);
}

static int set_scheduler(struct task *t, int32_t pid, int policy, uaddr_t param)
{
	struct linux_sched_param p;
	struct sched_info s;
	struct task *target;
	int ret;

	if (pid < 0 || !param)
		return -EINVAL;
	if (copy_from_user(t, &p, param, sizeof(p)) < 0)
		return -EFAULT;
	target = task_find_or_self(t, pid);
	if (!target)
		return -ESRCH;
	sched_get(target, &s);
	if (policy >= 0) {
		s.reset_on_fork = ((uint32_t)policy & LINUX_SCHED_RESET_ON_FORK) != 0;
		s.policy = (uint32_t)policy & ~(uint32_t)LINUX_SCHED_RESET_ON_FORK;
	}
	s.rt_priority = (uint32_t)p.sched_priority;
	ret = s.policy == LINUX_SCHED_DEADLINE ? -EINVAL : sched_set(t, target, &s);
	task_put(target);
	return ret;
}

int64_t sys_sched_setscheduler(struct task *t, const struct sysargs *a)
{
	if (arg_int(a, 1) < 0)
		return -EINVAL;
	return set_scheduler(t, arg_int(a, 0), arg_int(a, 1), arg_addr(a, 2));
}

int64_t sys_sched_setparam(struct task *t, const struct sysargs *a)
{
	return set_scheduler(t, arg_int(a, 0), -1, arg_addr(a, 1));
}

static int get_info(struct task *t, int32_t pid, struct sched_info *s)
{
	struct task *target;

	if (pid < 0)
		return -EINVAL;
	target = task_find_or_self(t, pid);
	if (!target)
		return -ESRCH;
	sched_get(target, s);
	task_put(target);
	return 0;
}

int64_t sys_sched_getscheduler(struct task *t, const struct sysargs *a)
{
	struct sched_info s;
	int ret = get_info(t, arg_int(a, 0), &s);

	if (ret < 0)
		return ret;
	return s.policy | (s.reset_on_fork ? LINUX_SCHED_RESET_ON_FORK : 0u);
}

int64_t sys_sched_getparam(struct task *t, const struct sysargs *a)
{
	struct linux_sched_param p;
	struct sched_info s;
	int ret = arg_addr(a, 1) ? get_info(t, arg_int(a, 0), &s) : -EINVAL;

	if (ret < 0)
		return ret;
	p.sched_priority = (int32_t)s.rt_priority;
	return copy_to_user(t, arg_addr(a, 1), &p, sizeof(p));
}

static int64_t priority_bound(int policy, int rt)
{
	switch (policy) {
	case LINUX_SCHED_FIFO:
	case LINUX_SCHED_RR:
		return rt;
	case LINUX_SCHED_NORMAL:
	case LINUX_SCHED_BATCH:
	case LINUX_SCHED_IDLE:
	case LINUX_SCHED_DEADLINE:
		return 0;
	default:
		return -EINVAL;
	}
}

int64_t sys_sched_get_priority_max(struct task *t, const struct sysargs *a)
{
	(void)t;
	return priority_bound(arg_int(a, 0), 99);
}

int64_t sys_sched_get_priority_min(struct task *t, const struct sysargs *a)
{
	(void)t;
	return priority_bound(arg_int(a, 0), 1);
}

int64_t sys_sched_rr_get_interval(struct task *t, const struct sysargs *a)
{
	struct linux_timespec ts = {0};
	struct sched_info s;
	int ret = get_info(t, arg_int(a, 0), &s);

	if (ret < 0)
		return ret;
	if (s.policy == LINUX_SCHED_RR)
		ts.tv_nsec = RR_INTERVAL_NS;
	else if (s.policy != LINUX_SCHED_FIFO)
		ts.tv_nsec = 4000000;
	return copy_to_user(t, arg_addr(a, 1), &ts, sizeof(ts));
}

int64_t sys_sched_setaffinity(struct task *t, const struct sysargs *a)
{
	uint64_t mask[SCHED_MASK_WORDS] = {0};
	uint32_t size = arg_u32(a, 1);
	struct task *target;
	int ret;

	if (copy_from_user(t, mask, arg_addr(a, 2), MIN((size_t)size, sizeof(mask))) < 0)
		return -EFAULT;
	target = task_find_or_self(t, arg_int(a, 0));
	if (!target)
		return -ESRCH;
	ret = sched_set_mask(t, target, mask);
	task_put(target);
	return ret;
}

int64_t sys_sched_getaffinity(struct task *t, const struct sysargs *a)
{
	uint32_t size = arg_u32(a, 1), bytes = ROUND_UP((t->kernel->cpu_count + 7) / 8, 8u);
	uint64_t mask[SCHED_MASK_WORDS];
	struct task *target;

	if (size < bytes || (size & 7))
		return -EINVAL;
	target = task_find_or_self(t, arg_int(a, 0));
	if (!target)
		return -ESRCH;
	sched_get_mask(target, mask);
	task_put(target);
	bytes = MIN(bytes, (uint32_t)sizeof(mask));
	return copy_to_user(t, arg_addr(a, 2), mask, bytes) < 0 ? -EFAULT : (int64_t)bytes;
}

/* struct sched_attr, version 1 */
struct sched_attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
};

#define ATTR_FLAGS (LINUX_SCHED_FLAG_RESET_ON_FORK | LINUX_SCHED_FLAG_KEEP_ALL | LINUX_SCHED_FLAG_RECLAIM)

static int get_attr(struct task *t, uaddr_t addr, struct sched_attr *attr)
{
	uint32_t ours = sizeof(*attr), size;

	if (copy_from_user(t, &size, addr, sizeof(size)) < 0)
		return -EFAULT;
	if (size == 0)
		size = LINUX_SCHED_ATTR_SIZE_VER0;
	if (size < LINUX_SCHED_ATTR_SIZE_VER0 || size > PAGE_SIZE)
		goto bad_size;
	*attr = (struct sched_attr){0};
	if (copy_from_user(t, attr, addr, MIN(size, ours)) < 0)
		return -EFAULT;
	for (uint32_t i = ours; i < size; i++) {
		uint8_t c;

		if (copy_from_user(t, &c, addr + i, 1) < 0)
			return -EFAULT;
		if (c)
			goto bad_size;
	}
	return 0;
bad_size:
	return copy_to_user(t, addr, &ours, sizeof(ours)) < 0 ? -EFAULT : -E2BIG;
}

int64_t sys_sched_setattr(struct task *t, const struct sysargs *a)
{
	struct sched_attr attr;
	struct sched_info s;
	struct task *target;
	int ret;

	if (arg_int(a, 0) < 0 || !arg_addr(a, 1) || arg_u32(a, 2))
		return -EINVAL;
	ret = get_attr(t, arg_addr(a, 1), &attr);
	if (ret < 0)
		return ret;
	if ((int32_t)attr.policy < 0 || (attr.flags & ~(uint64_t)ATTR_FLAGS))
		return -EINVAL;
	target = task_find_or_self(t, arg_int(a, 0));
	if (!target)
		return -ESRCH;
	sched_get(target, &s);
	if (!(attr.flags & LINUX_SCHED_FLAG_KEEP_POLICY))
		s.policy = attr.policy;
	if (!(attr.flags & LINUX_SCHED_FLAG_KEEP_PARAMS)) {
		s.rt_priority = attr.priority;
		if (s.policy == LINUX_SCHED_NORMAL || s.policy == LINUX_SCHED_BATCH)
			s.nice = attr.nice < -20 ? -20 : attr.nice > 19 ? 19 : attr.nice;
		s.runtime = attr.runtime;
		s.deadline = attr.deadline;
		s.period = attr.period;
	}
	s.reset_on_fork = (attr.flags & LINUX_SCHED_FLAG_RESET_ON_FORK) != 0;
	ret = sched_set(t, target, &s);
	task_put(target);
	return ret;
}

int64_t sys_sched_getattr(struct task *t, const struct sysargs *a)
{
	uint32_t size = arg_u32(a, 2);
	struct sched_attr attr = {0};
	struct sched_info s;
	int ret;

	if (!arg_addr(a, 1) || size < LINUX_SCHED_ATTR_SIZE_VER0 || size > PAGE_SIZE || arg_u32(a, 3))
		return -EINVAL;
	ret = get_info(t, arg_int(a, 0), &s);
	if (ret < 0)
		return ret;
	attr.size = MIN(size, (uint32_t)sizeof(attr));
	attr.policy = s.policy;
	attr.flags = s.reset_on_fork ? LINUX_SCHED_FLAG_RESET_ON_FORK : 0;
	attr.nice = s.nice;
	attr.priority = s.rt_priority;
	attr.runtime = s.runtime;
	attr.deadline = s.deadline;
	attr.period = s.period;
	attr.util_max = 1024;
	return copy_to_user(t, arg_addr(a, 1), &attr, attr.size);
}

/* ---- ioprio_set(2), ioprio_get(2): kept, not acted upon ---- */

#define IOPRIO_WHO_PROCESS 1
#define IOPRIO_CLASS(v)	   ((uint32_t)(v) >> 13)
#define IOPRIO_CLASS_RT	   1
#define IOPRIO_CLASS_IDLE  3

int64_t sys_ioprio_set(struct task *t, const struct sysargs *a)
{
	int which = arg_int(a, 0), prio = arg_int(a, 2);
	struct task *target;

	if (which < 1 || which > 3 || IOPRIO_CLASS(prio) > IOPRIO_CLASS_IDLE)
		return -EINVAL;
	if (IOPRIO_CLASS(prio) == 0 && (prio & 7)) /* no class, but a level in it */
		return -EINVAL;
	if (IOPRIO_CLASS(prio) == IOPRIO_CLASS_RT && !capable(t, LINUX_CAP_SYS_ADMIN))
		return -EPERM;
	if (which != IOPRIO_WHO_PROCESS)
		return 0;
	target = task_find_or_self(t, arg_int(a, 1));
	if (!target)
		return -ESRCH;
	task_set_ioprio(target, prio);
	task_put(target);
	return 0;
}

int64_t sys_ioprio_get(struct task *t, const struct sysargs *a)
{
	int which = arg_int(a, 0);
	struct task *target;
	int64_t v;

	if (which < 1 || which > 3)
		return -EINVAL;
	target = task_find_or_self(t, which == IOPRIO_WHO_PROCESS ? arg_int(a, 1) : 0);
	if (!target)
		return -ESRCH;
	v = task_ioprio(target);
	task_put(target);
	return v;
}
