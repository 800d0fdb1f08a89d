/* sys_process_vm.c: process_vm_readv(2), process_vm_writev(2), process_madvise(2): another task's memory, for
 * those who may trace it. */
#include "sentry/kernel/task.h"
#include "sentry/syscalls/internal.h"

/* The memory of process pid, with a reference. */
static int target_mm(struct task *t, int32_t pid, struct mm **out)
{
	struct task *target = task_find(t, pid);
	struct mm *mm;
	int ret;

	if (!target)
		return -ESRCH;
	ret = -EPERM;
	if (target == t || target->process == t->process || task_may_access(t, target)) {
		mm = task_mm_get(target);
		ret = mm ? 0 : -ESRCH;
		*out = mm;
	}
	task_put(target);
	return ret;
}

struct vm_cursor {
	const struct iov_buf *b;
	uint32_t i;
	uint64_t off;
};

/* The rest of the current segment; false at the end. */
static bool vm_cursor_next(struct vm_cursor *c, uaddr_t *addr, uint64_t *n)
{
	while (c->i < c->b->count && c->off == c->b->v[c->i].iov_len) {
		c->i++;
		c->off = 0;
	}
	if (c->i == c->b->count)
		return false;
	*addr = c->b->v[c->i].iov_base + c->off;
	*n = c->b->v[c->i].iov_len - c->off;
	return true;
}

static int64_t vm_copy(struct task *t, struct mm *mm, const struct iov_buf *local, const struct iov_buf *remote,
		       bool write)
{
	struct usermem here = task_usermem(t), there = mm_usermem(mm, NULL);
	struct vm_cursor l = {.b = local}, r = {.b = remote};
	char *buf = task_bounce(t);
	uaddr_t la, ra;
	uint64_t ln, rn;
	int64_t done = 0;

	if (!buf)
		return -ENOMEM;
	while (vm_cursor_next(&l, &la, &ln) && vm_cursor_next(&r, &ra, &rn)) {
		size_t n = MIN(MIN(ln, rn), (uint64_t)TASK_BOUNCE_SIZE), got, put;

		if (task_interrupted(t))
			return done ? done : -EINTR;
		got = write ? here.ops->in(&here, buf, la, n) : there.ops->in(&there, buf, ra, n);
		put = !got    ? 0
		      : write ? there.ops->out(&there, ra, buf, got)
			      : here.ops->out(&here, la, buf, got);
		done += (int64_t)put;
		if (put < n)
			return done ? done : -EFAULT;
		l.off += n;
		r.off += n;
	}
	return done;
}

static int64_t process_vm(struct task *t, const struct sysargs *a, bool write)
{
	struct iov_buf local, remote;
	struct mm *mm;
	int64_t ret;

	if (arg_u64(a, 5) != 0)
		return -EINVAL;
	ret = iov_import(t, arg_addr(a, 1), arg_u64(a, 2), &local);
	if (ret < 0)
		return ret;
	ret = iov_import(t, arg_addr(a, 3), arg_u64(a, 4), &remote);
	if (ret == 0 && local.total && remote.total) {
		ret = target_mm(t, arg_int(a, 0), &mm);
		if (ret == 0) {
			ret = vm_copy(t, mm, &local, &remote, write);
			mm_put(mm);
		}
	}
	iov_release(&remote);
	iov_release(&local);
	return ret;
}

int64_t sys_process_vm_readv(struct task *t, const struct sysargs *a)
{
	return process_vm(t, a, false);
}

int64_t sys_process_vm_writev(struct task *t, const struct sysargs *a)
{
	return process_vm(t, a, true);
}

static bool remote_advice(int advice)
{
	return advice == LINUX_MADV_COLD || advice == LINUX_MADV_PAGEOUT || advice == LINUX_MADV_WILLNEED ||
	       advice == LINUX_MADV_COLLAPSE;
}

/* Advice that frees nothing: for another process it is taken note of; for oneself it is madvise(2). */
int64_t sys_process_madvise(struct task *t, const struct sysargs *a)
{
	struct process *p = NULL;
	struct iov_buf b;
	struct file *f;
	struct pid *pid;
	int64_t ret;
	uint32_t i;

	if (arg_u32(a, 4) != 0)
		return -EINVAL;
	ret = iov_import(t, arg_addr(a, 1), arg_u64(a, 2), &b);
	if (ret < 0)
		return ret;
	f = sys_file(t, arg_int(a, 0));
	pid = f ? pidfd_pid(f) : NULL;
	ret = -EBADF;
	if (pid)
		p = pid_process_get(pid);
	if (pid && !p)
		ret = -ESRCH;
	if (p) {
		ret = (int64_t)b.total;
		if (!remote_advice(arg_int(a, 3)) && p != t->process)
			ret = -EINVAL;
		else if (p != t->process && !capable(t, LINUX_CAP_SYS_NICE))
			ret = -EPERM;
		for (i = 0; ret >= 0 && p == t->process && i < b.count; i++) {
			int err = mm_madvise(t->mm, t->ctx, b.v[i].iov_base, b.v[i].iov_len, arg_int(a, 3));

			if (err < 0)
				ret = err;
		}
		process_put(p);
	}
	if (f)
		file_put(f);
	iov_release(&b);
	return ret;
}
