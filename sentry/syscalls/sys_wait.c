/* sys_wait.c: wait4(2), waitid(2). */
#include "sentry/kernel/task.h"
#include "sentry/syscalls/internal.h"

#define WAIT4_OPTIONS                                                                                          \
	(LINUX_WNOHANG | LINUX_WUNTRACED | LINUX_WCONTINUED | LINUX_WNOTHREAD | LINUX_WALL | LINUX_WCLONE)
#define WAITID_OPTIONS (WAIT4_OPTIONS | LINUX_WEXITED | LINUX_WNOWAIT)

static struct pid *group_of_caller(struct task *t)
{
	struct pid *pid;

	mutex_lock(&t->kernel->tasklist_lock);
	pid = pid_get(t->process->pgrp);
	mutex_unlock(&t->kernel->tasklist_lock);
	return pid;
}

int64_t sys_wait4(struct task *t, const struct sysargs *a)
{
	int32_t pid = arg_int(a, 0);
	uint32_t options = arg_u32(a, 2);
	struct wait_args w = {.which = LINUX_P_PID, .options = (int)(options | LINUX_WEXITED)};
	struct wait_result r;
	int ret;

	if (options & ~(uint32_t)WAIT4_OPTIONS)
		return -EINVAL;
	if (pid == INT32_MIN)
		return -ESRCH;
	if (pid == -1) {
		w.which = LINUX_P_ALL;
	} else if (pid > 0) {
		w.pid = task_pid_find(t, pid);
	} else {
		w.which = LINUX_P_PGID;
		w.pid = pid == 0 ? group_of_caller(t) : task_pid_find(t, -pid);
	}
	ret = task_wait(t, &w, &r);
	pid_put(w.pid);
	if (ret < 0 || r.pid == 0)
		return ret;
	if (arg_addr(a, 1) && copy_to_user(t, arg_addr(a, 1), &r.status, sizeof(r.status)) < 0)
		return -EFAULT;
	if (arg_addr(a, 3) && copy_to_user(t, arg_addr(a, 3), &r.usage, sizeof(r.usage)) < 0)
		return -EFAULT;
	return r.pid;
}

/* Whom waitid is to wait for; w->pid holds a reference. */
static int waitid_target(struct task *t, int which, int32_t id, struct wait_args *w)
{
	struct file *f;
	struct pid *pid;

	w->which = which;
	switch (which) {
	case LINUX_P_ALL:
		return 0;
	case LINUX_P_PID:
		if (id <= 0)
			return -EINVAL;
		w->pid = task_pid_find(t, id);
		return 0;
	case LINUX_P_PGID:
		if (id < 0)
			return -EINVAL;
		w->pid = id == 0 ? group_of_caller(t) : task_pid_find(t, id);
		return 0;
	case LINUX_P_PIDFD:
		if (id < 0)
			return -EINVAL;
		f = sys_file(t, id);
		if (!f)
			return -EBADF;
		pid = pidfd_pid(f);
		if (pid) {
			w->which = LINUX_P_PID;
			w->pid = pid_get(pid);
			w->nohang_eagain = (f->flags & LINUX_O_NONBLOCK) != 0;
		}
		file_put(f);
		return pid ? 0 : -EBADF;
	default:
		return -EINVAL;
	}
}

int64_t sys_waitid(struct task *t, const struct sysargs *a)
{
	uint32_t options = arg_u32(a, 3);
	struct wait_args w = {.options = (int)options};
	struct linux_siginfo info = {0};
	struct wait_result r;
	int ret;

	if (options & ~(uint32_t)WAITID_OPTIONS)
		return -EINVAL;
	if (!(options & (LINUX_WEXITED | LINUX_WSTOPPED | LINUX_WCONTINUED)))
		return -EINVAL;
	ret = waitid_target(t, arg_int(a, 0), arg_int(a, 1), &w);
	if (ret < 0)
		return ret;
	ret = task_wait(t, &w, &r);
	pid_put(w.pid);
	if (ret < 0)
		return ret;
	if (r.pid) {
		info.si_signo = LINUX_SIGCHLD;
		info.si_code = r.code;
		info.chld.si_pid = r.pid;
		info.chld.si_uid = show_uid(t, r.uid);
		info.chld.si_status = r.value;
		if (arg_addr(a, 4) && copy_to_user(t, arg_addr(a, 4), &r.usage, sizeof(r.usage)) < 0)
			return -EFAULT;
	}
	if (arg_addr(a, 2) && copy_to_user(t, arg_addr(a, 2), &info, 48) < 0) /* as far as Linux writes */
		return -EFAULT;
	return 0;
}
