/* sys_clone.c: clone(2), fork(2), vfork(2). */
#include "sentry/kernel/task.h"
#include "sentry/syscalls/internal.h"

#define CLONE_FLAGS_LEGACY 0xffffffffUL
#define SET_TID_MAX	   32

int64_t sys_fork(struct task *t, const struct sysargs *a)
{
	(void)a;
	return task_clone(t, &(struct clone_args){.exit_signal = LINUX_SIGCHLD});
}

int64_t sys_vfork(struct task *t, const struct sysargs *a)
{
	(void)a;
	return task_clone(t, &(struct clone_args){.flags = LINUX_CLONE_VM | LINUX_CLONE_VFORK,
						  .exit_signal = LINUX_SIGCHLD});
}

int64_t sys_clone(struct task *t, const struct sysargs *a)
{
	uint64_t flags = arg_u64(a, 0) & CLONE_FLAGS_LEGACY;
	struct clone_args c = {
		.flags = flags & ~(uint64_t)LINUX_CSIGNAL,
		.exit_signal = (int)(flags & LINUX_CSIGNAL),
		.stack = arg_addr(a, 1),
		.parent_tid = arg_addr(a, 2),
		.pidfd = arg_addr(a, 2),
		.child_tid = arg_addr(a, 3),
		.tls = arg_addr(a, 4),
	};

	if ((c.flags & LINUX_CLONE_PIDFD) && (c.flags & LINUX_CLONE_PARENT_SETTID))
		return -EINVAL;
	if ((c.flags & LINUX_CLONE_SETTLS) && c.tls >= GUEST_VA_END)
		return -EPERM;
	return task_clone(t, &c);
}

/* A structure that may be longer than ours: then the rest must be zero. */
static int copy_extensible(struct task *t, void *dst, size_t known, uaddr_t src, uint64_t size)
{
	uint8_t rest[64];
	uint64_t off, n;

	if (copy_from_user(t, dst, src, MIN(size, (uint64_t)known)) < 0)
		return -EFAULT;
	for (off = known; off < size; off += n) {
		n = MIN(size - off, (uint64_t)sizeof(rest));
		if (copy_from_user(t, rest, src + off, n) < 0)
			return -EFAULT;
		for (uint64_t i = 0; i < n; i++)
			if (rest[i])
				return -E2BIG;
	}
	return 0;
}

static int check_clone3(const struct linux_clone_args *in, uint64_t size)
{
	uint64_t known = 0xffffffffUL | LINUX_CLONE_CLEAR_SIGHAND | LINUX_CLONE_INTO_CGROUP;

	if ((in->flags & ~known) || (in->flags & (LINUX_CSIGNAL & ~LINUX_CLONE_NEWTIME)) ||
	    (in->flags & LINUX_CLONE_DETACHED))
		return -EINVAL;
	if (in->exit_signal & ~(uint64_t)LINUX_CSIGNAL)
		return -EINVAL;
	if ((in->flags & (LINUX_CLONE_THREAD | LINUX_CLONE_PARENT)) && in->exit_signal)
		return -EINVAL;
	if ((in->stack == 0) != (in->stack_size == 0))
		return -EINVAL;
	if (in->stack && !access_ok(in->stack, in->stack_size))
		return -EINVAL;
	if (in->set_tid_size > SET_TID_MAX || (in->set_tid == 0) != (in->set_tid_size == 0))
		return -EINVAL;
	if ((in->flags & LINUX_CLONE_INTO_CGROUP) &&
	    (size < LINUX_CLONE_ARGS_SIZE_VER2 || in->cgroup > INT32_MAX))
		return -EINVAL;
	if ((in->flags & LINUX_CLONE_SETTLS) && in->tls >= GUEST_VA_END)
		return -EPERM;
	return 0;
}

static int get_set_tid(struct task *t, const struct linux_clone_args *in, int32_t *ids)
{
	struct pid_ns *ns = task_pid_ns(t);

	if (!in->set_tid_size)
		return 0;
	if (in->set_tid_size > ns->level + 1 + (in->flags & LINUX_CLONE_NEWPID ? 1u : 0u))
		return -EINVAL;
	if (copy_from_user(t, ids, in->set_tid, in->set_tid_size * sizeof(*ids)) < 0)
		return -EFAULT;
	for (uint64_t i = 0; i < in->set_tid_size; i++)
		if (ids[i] <= 0)
			return -EINVAL;
	if (!cred_has_cap_in(t->cred, LINUX_CAP_CHECKPOINT_RESTORE, ns->owner) &&
	    !cred_has_cap_in(t->cred, LINUX_CAP_SYS_ADMIN, ns->owner))
		return -EPERM;
	return 0;
}

int64_t sys_clone3(struct task *t, const struct sysargs *a)
{
	struct linux_clone_args in = {0};
	uint64_t size = arg_u64(a, 1);
	int32_t ids[SET_TID_MAX];
	int ret;

	if (size > PAGE_SIZE)
		return -E2BIG;
	if (size < LINUX_CLONE_ARGS_SIZE_VER0)
		return -EINVAL;
	ret = copy_extensible(t, &in, sizeof(in), arg_addr(a, 0), size);
	if (ret == 0)
		ret = check_clone3(&in, size);
	if (ret == 0)
		ret = get_set_tid(t, &in, ids);
	if (ret < 0)
		return ret;
	return task_clone(t, &(struct clone_args){.flags = in.flags,
						  .exit_signal = (int)in.exit_signal,
						  .stack = in.stack + in.stack_size,
						  .parent_tid = in.parent_tid,
						  .pidfd = in.pidfd,
						  .child_tid = in.child_tid,
						  .tls = in.tls,
						  .set_tid = ids,
						  .set_tid_count = (uint32_t)in.set_tid_size});
}

int64_t sys_set_tid_address(struct task *t, const struct sysargs *a)
{
	task_set_clear_tid(t, arg_addr(a, 0));
	return task_tid_in(t, t);
}
