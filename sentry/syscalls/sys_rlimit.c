/* sys_rlimit.c: getrlimit(2), setrlimit(2), prlimit(2), getrusage(2). */
#include "sentry/kernel/task.h"
#include "sentry/kernel/timer.h"
#include "sentry/syscalls/internal.h"

static int change(struct task *t, struct task *target, uint32_t resource, const struct linux_rlimit *new,
		  struct linux_rlimit *old)
{
	int ret;

	if (resource >= LINUX_RLIM_NLIMITS)
		return -EINVAL;
	ret = rlimit_change(task_rlimits(target), (int)resource, new, old, capable(t, LINUX_CAP_SYS_RESOURCE));
	if (ret == 0 && new &&resource == LINUX_RLIMIT_CPU)
		cpu_limit_changed(target->process);
	return ret;
}

int64_t sys_getrlimit(struct task *t, const struct sysargs *a)
{
	struct linux_rlimit old;
	int ret = change(t, t, arg_u32(a, 0), NULL, &old);

	return ret < 0 ? ret : copy_to_user(t, arg_addr(a, 1), &old, sizeof(old));
}

int64_t sys_setrlimit(struct task *t, const struct sysargs *a)
{
	struct linux_rlimit new;

	if (copy_from_user(t, &new, arg_addr(a, 1), sizeof(new)) < 0)
		return -EFAULT;
	return change(t, t, arg_u32(a, 0), &new, NULL);
}

/* All of the target's ids must be the caller's real ones, or the caller is privileged over it. */
static bool may_change_limits(struct task *t, struct task *target)
{
	struct cred *c = t->cred, *tc;
	bool ok;

	if (target->process == t->process)
		return true;
	tc = task_cred_get(target);
	if (!tc)
		return false;
	ok = (c->uid == tc->euid && c->uid == tc->suid && c->uid == tc->uid && c->gid == tc->egid &&
	      c->gid == tc->sgid && c->gid == tc->gid) ||
	     cred_has_cap_in(c, LINUX_CAP_SYS_RESOURCE, tc->user_ns);
	cred_put(tc);
	return ok;
}

int64_t sys_prlimit64(struct task *t, const struct sysargs *a)
{
	struct linux_rlimit new, old;
	uaddr_t new_addr = arg_addr(a, 2), old_addr = arg_addr(a, 3);
	struct task *target;
	int ret;

	if (new_addr && copy_from_user(t, &new, new_addr, sizeof(new)) < 0)
		return -EFAULT;
	target = task_find_or_self(t, arg_int(a, 0));
	if (!target)
		return -ESRCH;
	if (may_change_limits(t, target))
		ret = change(t, target, arg_u32(a, 1), new_addr ? &new : NULL, &old);
	else
		ret = -EPERM;
	task_put(target);
	if (ret < 0 || !old_addr)
		return ret;
	return copy_to_user(t, old_addr, &old, sizeof(old));
}

int64_t sys_getrusage(struct task *t, const struct sysargs *a)
{
	struct linux_rusage r;
	int who = arg_int(a, 0);

	if (who != LINUX_RUSAGE_SELF && who != LINUX_RUSAGE_CHILDREN && who != LINUX_RUSAGE_THREAD)
		return -EINVAL;
	task_rusage(t, who, &r);
	return copy_to_user(t, arg_addr(a, 1), &r, sizeof(r));
}
