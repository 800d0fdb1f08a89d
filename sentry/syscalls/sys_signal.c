/* sys_signal.c: signal actions, masks, waiting for signals, queueing them. */
#include "sentry/kernel/signal.h"
#include "sentry/syscalls/internal.h"

int64_t sys_rt_sigaction(struct task *t, const struct sysargs *a)
{
	struct linux_sigaction new, old;
	uaddr_t new_addr = arg_addr(a, 1), old_addr = arg_addr(a, 2);
	int ret;

	if (arg_u64(a, 3) != sizeof(linux_sigset_t))
		return -EINVAL;
	if (new_addr && copy_from_user(t, &new, new_addr, sizeof(new)) < 0)
		return -EFAULT;
	ret = signal_action(t, arg_int(a, 0), new_addr ? &new : NULL, &old);
	if (ret < 0 || !old_addr)
		return ret;
	return copy_to_user(t, old_addr, &old, sizeof(old));
}

int64_t sys_rt_sigprocmask(struct task *t, const struct sysargs *a)
{
	uint64_t old = signal_blocked(t), set;
	uaddr_t new_addr = arg_addr(a, 1), old_addr = arg_addr(a, 2);
	int ret = 0;

	if (arg_u64(a, 3) != sizeof(set))
		return -EINVAL;
	if (new_addr) {
		if (copy_from_user(t, &set, new_addr, sizeof(set)) < 0)
			return -EFAULT;
		ret = signal_mask(t, arg_int(a, 0), set);
	}
	if (ret < 0 || !old_addr)
		return ret;
	return copy_to_user(t, old_addr, &old, sizeof(old));
}

int64_t sys_rt_sigpending(struct task *t, const struct sysargs *a)
{
	uint64_t set = signal_pending_set(t);

	if (arg_u64(a, 1) > sizeof(set))
		return -EINVAL;
	return copy_to_user(t, arg_addr(a, 0), &set, arg_u64(a, 1));
}

int64_t sys_rt_sigsuspend(struct task *t, const struct sysargs *a)
{
	uint64_t set;
	int ret;

	if (arg_u64(a, 1) != sizeof(set))
		return -EINVAL;
	if (copy_from_user(t, &set, arg_addr(a, 0), sizeof(set)) < 0)
		return -EFAULT;
	signal_mask_swap(t, set);
	do
		ret = task_block(t, 0);
	while (ret == 0);
	return -ERESTARTNOHAND; /* the old mask comes back when a handler returns, or right away */
}

int64_t sys_pause(struct task *t, const struct sysargs *a)
{
	int ret;

	(void)a;
	do
		ret = task_block(t, 0);
	while (ret == 0);
	return -ERESTARTNOHAND;
}

int64_t sys_rt_sigtimedwait(struct task *t, const struct sysargs *a)
{
	uint64_t set, deadline = 0, ns;
	struct linux_timespec ts;
	struct linux_siginfo info;
	bool poll = false;
	int sig;

	if (arg_u64(a, 3) != sizeof(set))
		return -EINVAL;
	if (copy_from_user(t, &set, arg_addr(a, 0), sizeof(set)) < 0)
		return -EFAULT;
	if (arg_addr(a, 2)) {
		int ret = get_timespec(t, arg_addr(a, 2), &ts);

		if (ret < 0)
			return ret;
		ns = timespec_ns(&ts);
		poll = ns == 0;
		deadline = deadline_after(ns);
	}
	sig = signal_wait(t, set, deadline, poll, &info);
	if (sig < 0 || !arg_addr(a, 1))
		return sig;
	return copy_to_user(t, arg_addr(a, 1), &info, sizeof(info)) < 0 ? -EFAULT : sig;
}

int64_t sys_rt_sigqueueinfo(struct task *t, const struct sysargs *a)
{
	struct linux_siginfo info;

	if (copy_from_user(t, &info, arg_addr(a, 2), sizeof(info)) < 0)
		return -EFAULT;
	return signal_queue_process(t, arg_int(a, 0), arg_int(a, 1), &info);
}

int64_t sys_rt_tgsigqueueinfo(struct task *t, const struct sysargs *a)
{
	struct linux_siginfo info;

	if (copy_from_user(t, &info, arg_addr(a, 3), sizeof(info)) < 0)
		return -EFAULT;
	return signal_queue_task(t, arg_int(a, 0), arg_int(a, 1), arg_int(a, 2), &info);
}

int64_t sys_rt_sigreturn(struct task *t, const struct sysargs *a)
{
	(void)a;
	return signal_return(t);
}

int64_t sys_sigaltstack(struct task *t, const struct sysargs *a)
{
	struct linux_sigaltstack new, old;
	uaddr_t new_addr = arg_addr(a, 0), old_addr = arg_addr(a, 1);
	int ret;

	if (new_addr && copy_from_user(t, &new, new_addr, sizeof(new)) < 0)
		return -EFAULT;
	ret = signal_altstack(t, new_addr ? &new : NULL, &old);
	if (ret < 0 || !old_addr)
		return ret;
	return copy_to_user(t, old_addr, &old, sizeof(old));
}
