/* sys_pid.c: ids, groups, sessions, kill(2) and its kin, pidfds. */
#include "platform/abi/misc.h"
#include "sentry/fs/proc/proc.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"
#include "sentry/syscalls/internal.h"

int64_t sys_getpid(struct task *t, const struct sysargs *a)
{
	(void)a;
	return task_tgid_in(t, t);
}

int64_t sys_gettid(struct task *t, const struct sysargs *a)
{
	(void)a;
	return task_tid_in(t, t);
}

int64_t sys_getppid(struct task *t, const struct sysargs *a)
{
	(void)a;
	return task_ppid(t);
}

int64_t sys_setpgid(struct task *t, const struct sysargs *a)
{
	if (arg_int(a, 0) < 0)
		return -ESRCH;
	return task_setpgid(t, arg_int(a, 0), arg_int(a, 1));
}

int64_t sys_getpgid(struct task *t, const struct sysargs *a)
{
	return arg_int(a, 0) < 0 ? -ESRCH : task_getpgid(t, arg_int(a, 0));
}

int64_t sys_getpgrp(struct task *t, const struct sysargs *a)
{
	(void)a;
	return task_getpgid(t, 0);
}

int64_t sys_setsid(struct task *t, const struct sysargs *a)
{
	(void)a;
	return task_setsid(t);
}

int64_t sys_getsid(struct task *t, const struct sysargs *a)
{
	return arg_int(a, 0) < 0 ? -ESRCH : task_getsid(t, arg_int(a, 0));
}

int64_t sys_kill(struct task *t, const struct sysargs *a)
{
	return signal_kill(t, arg_int(a, 0), arg_int(a, 1));
}

int64_t sys_tkill(struct task *t, const struct sysargs *a)
{
	return signal_tgkill(t, -1, arg_int(a, 0), arg_int(a, 1));
}

int64_t sys_tgkill(struct task *t, const struct sysargs *a)
{
	if (arg_int(a, 0) <= 0)
		return -EINVAL;
	return signal_tgkill(t, arg_int(a, 0), arg_int(a, 1), arg_int(a, 2));
}

int64_t sys_pidfd_open(struct task *t, const struct sysargs *a)
{
	uint32_t flags = arg_u32(a, 1);
	struct process *p;
	struct pid *pid;
	struct file *f;
	int ret;

	if ((flags & ~(uint32_t)LINUX_PIDFD_NONBLOCK) || arg_int(a, 0) <= 0)
		return -EINVAL;
	pid = task_pid_find(t, arg_int(a, 0));
	if (!pid)
		return -ESRCH;
	p = pid_process_get(pid);
	if (!p) { /* a thread that leads no process */
		pid_put(pid);
		return -ENOENT;
	}
	process_put(p);
	ret = pidfd_create(t, pid, flags, &f);
	pid_put(pid);
	return ret < 0 ? ret : sys_install(t, f, true);
}

/* The process behind a pidfd, with a reference. proc_too: an open /proc/<pid> does as well. */
static int pidfd_process(struct task *t, int fd, bool proc_too, struct process **out)
{
	struct file *f = sys_file(t, fd);
	struct pid *pid;

	if (!f)
		return -EBADF;
	pid = pidfd_pid(f);
	if (!pid && proc_too)
		pid = procfs_dir_pid(f);
	*out = pid ? pid_process_get(pid) : NULL;
	file_put(f);
	return !pid ? -EBADF : *out ? 0 : -ESRCH;
}

int64_t sys_pidfd_send_signal(struct task *t, const struct sysargs *a)
{
	struct linux_siginfo info;
	int sig = arg_int(a, 1), ret;
	struct process *p;

	if (arg_u32(a, 3))
		return -EINVAL;
	if (arg_addr(a, 2)) {
		if (copy_from_user(t, &info, arg_addr(a, 2), sizeof(info)) < 0)
			return -EFAULT;
		if (info.si_signo != sig)
			return -EINVAL;
	} else {
		signal_info_user(t, sig, LINUX_SI_USER, &info);
	}
	if (sig != 0 && !signal_valid(sig))
		return -EINVAL;
	ret = pidfd_process(t, arg_int(a, 0), true, &p);
	if (ret < 0)
		return ret;
	if (arg_addr(a, 2) && p != t->process && (info.si_code >= 0 || info.si_code == LINUX_SI_TKILL))
		ret = -EPERM;
	if (ret == 0)
		ret = signal_may_send(t, p, sig);
	if (ret == 0 && sig)
		ret = signal_send_process(p, sig, &info);
	process_put(p);
	return ret;
}

int64_t sys_pidfd_getfd(struct task *t, const struct sysargs *a)
{
	struct fdtable *fds;
	struct task *target;
	struct process *p;
	struct file *f = NULL;
	int ret;

	if (arg_u32(a, 2))
		return -EINVAL;
	ret = pidfd_process(t, arg_int(a, 0), false, &p);
	if (ret < 0)
		return ret;
	target = process_leader_get(p);
	process_put(p);
	if (!target)
		return -ESRCH;
	ret = task_may_access(t, target) ? -EBADF : -EPERM;
	fds = ret == -EBADF ? task_fds_get(target) : NULL;
	if (fds) {
		f = fdtable_get(fds, arg_int(a, 1));
		if (f && target != t)
			task_settle_file(target, fds, arg_int(a, 1));
		fdtable_put(fds, fds);
	}
	task_put(target);
	return f ? sys_install(t, f, true) : ret;
}
