/* sys_ipc.c: System V IPC and POSIX message queues: arguments in, kernel/ipc.h does the work. */
#include "sentry/kernel/ipc.h"
#include "sentry/kernel/settings.h"
#include "sentry/kernel/timer.h"
#include "sentry/syscalls/internal.h"

int64_t sys_semget(struct task *t, const struct sysargs *a)
{
	return sem_get(t, arg_int(a, 0), arg_int(a, 1), arg_int(a, 2));
}

static int64_t do_semop(struct task *t, int id, uaddr_t uops, uint64_t count, uint64_t deadline)
{
	struct linux_sembuf few[8], *ops = few;
	int64_t ret;

	if (count < 1 || id < 0)
		return -EINVAL;
	if (count > setting(t->kernel, SET_SEMOPM))
		return -E2BIG;
	if (count > ARRAY_SIZE(few)) {
		ops = kmalloc(count * sizeof(*ops));
		if (!ops)
			return -ENOMEM;
	}
	ret = copy_from_user(t, ops, uops, count * sizeof(*ops));
	if (ret == 0)
		ret = sem_op(t, id, ops, (uint32_t)count, deadline);
	if (ops != few)
		kfree(ops);
	return ret;
}

int64_t sys_semop(struct task *t, const struct sysargs *a)
{
	return do_semop(t, arg_int(a, 0), arg_addr(a, 1), arg_u32(a, 2), 0);
}

int64_t sys_semtimedop(struct task *t, const struct sysargs *a)
{
	struct linux_timespec ts;
	uint64_t deadline = 0;
	int ret;

	if (arg_addr(a, 3)) {
		ret = get_timespec(t, arg_addr(a, 3), &ts);
		if (ret < 0)
			return ret;
		deadline = deadline_after(timespec_ns(&ts));
	}
	return do_semop(t, arg_int(a, 0), arg_addr(a, 1), arg_u32(a, 2), deadline);
}

int64_t sys_semctl(struct task *t, const struct sysargs *a)
{
	return sem_ctl(t, arg_int(a, 0), arg_int(a, 1), arg_int(a, 2) & ~LINUX_IPC_64, arg_u64(a, 3));
}

int64_t sys_shmget(struct task *t, const struct sysargs *a)
{
	return shm_get(t, arg_int(a, 0), arg_u64(a, 1), arg_int(a, 2));
}

int64_t sys_shmat(struct task *t, const struct sysargs *a)
{
	return shm_attach(t, arg_int(a, 0), arg_addr(a, 1), arg_int(a, 2));
}

int64_t sys_shmdt(struct task *t, const struct sysargs *a)
{
	return shm_detach(t, arg_addr(a, 0));
}

int64_t sys_shmctl(struct task *t, const struct sysargs *a)
{
	return shm_ctl(t, arg_int(a, 0), arg_int(a, 1) & ~LINUX_IPC_64, arg_addr(a, 2));
}

int64_t sys_msgget(struct task *t, const struct sysargs *a)
{
	return msg_get(t, arg_int(a, 0), arg_int(a, 1));
}

int64_t sys_msgsnd(struct task *t, const struct sysargs *a)
{
	return msg_send(t, arg_int(a, 0), arg_addr(a, 1), arg_u64(a, 2), arg_int(a, 3));
}

int64_t sys_msgrcv(struct task *t, const struct sysargs *a)
{
	return msg_receive(t, arg_int(a, 0), arg_addr(a, 1), arg_u64(a, 2), arg_i64(a, 3), arg_int(a, 4));
}

int64_t sys_msgctl(struct task *t, const struct sysargs *a)
{
	return msg_ctl(t, arg_int(a, 0), arg_int(a, 1) & ~LINUX_IPC_64, arg_addr(a, 2));
}

/* ---- POSIX message queues ---- */

#define MQ_PRIORITIES 32768

/* The C library took the leading slash away. */
static int mq_name(struct task *t, uaddr_t uname, char **out)
{
	int ret = getname(t, uname, out);

	if (ret < 0)
		return ret;
	if (!(*out)[0])
		ret = -ENOENT;
	else if (strchr(*out, '/') || strcmp(*out, ".") == 0 || strcmp(*out, "..") == 0)
		ret = -EACCES;
	else if (strlen(*out) > VFS_NAME_MAX)
		ret = -ENAMETOOLONG;
	if (ret < 0)
		kfree(*out);
	return ret;
}

int64_t sys_mq_open(struct task *t, const struct sysargs *a)
{
	uint32_t flags = arg_u32(a, 1);
	struct linux_mq_attr attr;
	struct file *f;
	char *name;
	int ret = 0;

	if (arg_addr(a, 3) && (flags & LINUX_O_CREAT))
		ret = copy_from_user(t, &attr, arg_addr(a, 3), sizeof(attr));
	if (ret == 0)
		ret = mq_name(t, arg_addr(a, 0), &name);
	if (ret < 0)
		return ret;
	ret = mq_open_file(t, name, flags, arg_u32(a, 2), arg_addr(a, 3) ? &attr : NULL, &f);
	kfree(name);
	return ret < 0 ? ret : sys_install(t, f, flags & LINUX_O_CLOEXEC);
}

int64_t sys_mq_unlink(struct task *t, const struct sysargs *a)
{
	char *name;
	int ret = mq_name(t, arg_addr(a, 0), &name);

	if (ret < 0)
		return ret;
	ret = mq_unlink_name(t, name);
	kfree(name);
	return ret;
}

struct mq_call {
	struct task *t;
	struct file *f;
	void *buf;
	size_t size;
	uint32_t priority;
	bool receive;
	uint64_t deadline;
};

static ssize_t mq_try(struct mq_call *c)
{
	if (c->receive)
		return mq_receive(c->f, c->buf, c->size, &c->priority);
	return mq_send(c->t, c->f, c->buf, c->size, c->priority);
}

static ssize_t mq_block(struct mq_call *c)
{
	struct waiter w;
	ssize_t n = mq_try(c);
	int ret;

	if (n != -EAGAIN || (c->f->flags & LINUX_O_NONBLOCK))
		return n;
	task_waiter(c->t, &w, c->receive ? EV_IN : EV_OUT);
	waitq_add(c->f->wq, &w);
	while ((n = mq_try(c)) == -EAGAIN) {
		ret = task_block(c->t, c->deadline);
		if (ret < 0) {
			n = ret;
			break;
		}
	}
	waitq_del(c->f->wq, &w);
	return n;
}

static int mq_begin(struct task *t, const struct sysargs *a, struct mq_call *c)
{
	struct linux_timespec ts;
	int ret;

	if (arg_addr(a, 4)) {
		ret = get_timespec(t, arg_addr(a, 4), &ts);
		if (ret == 0)
			ret = clock_deadline(t, LINUX_CLOCK_REALTIME, true, &ts, &c->deadline);
		if (ret < 0)
			return ret;
	}
	c->t = t;
	c->f = sys_file(t, arg_int(a, 0));
	if (!c->f)
		return -EBADF;
	if (file_is_mq(c->f) && (c->receive ? FILE_CAN_READ(c->f) : FILE_CAN_WRITE(c->f)))
		return 0;
	file_put(c->f);
	return -EBADF;
}

int64_t sys_mq_timedsend(struct task *t, const struct sysargs *a)
{
	struct mq_call c = {.size = arg_u64(a, 2), .priority = arg_u32(a, 3)};
	ssize_t ret;

	if (c.priority >= MQ_PRIORITIES)
		return -EINVAL;
	ret = mq_begin(t, a, &c);
	if (ret < 0)
		return ret;
	ret = -EMSGSIZE;
	if (arg_u64(a, 2) <= mq_message_size(c.f)) {
		c.buf = kmalloc(MAX(c.size, (size_t)1));
		ret = c.buf ? 0 : -ENOMEM;
		if (ret == 0 && c.size)
			ret = copy_from_user(t, c.buf, arg_addr(a, 1), c.size);
		if (ret == 0)
			ret = mq_block(&c);
		kfree(c.buf);
	}
	file_put(c.f);
	return ret;
}

int64_t sys_mq_timedreceive(struct task *t, const struct sysargs *a)
{
	struct mq_call c = {.receive = true};
	ssize_t ret = mq_begin(t, a, &c);

	if (ret < 0)
		return ret;
	ret = -EMSGSIZE;
	if (arg_u64(a, 2) >= mq_message_size(c.f)) {
		c.size = mq_message_size(c.f);
		c.buf = kmalloc(c.size);
		ret = c.buf ? mq_block(&c) : -ENOMEM;
	}
	if (ret >= 0 && copy_to_user(t, arg_addr(a, 1), c.buf, (size_t)ret) < 0)
		ret = -EFAULT;
	if (ret >= 0 && arg_addr(a, 3) && copy_to_user(t, arg_addr(a, 3), &c.priority, sizeof(c.priority)) < 0)
		ret = -EFAULT;
	kfree(c.buf);
	file_put(c.f);
	return ret;
}

int64_t sys_mq_notify(struct task *t, const struct sysargs *a)
{
	struct linux_sigevent ev;
	struct file *f;
	int ret = 0;

	if (arg_addr(a, 1))
		ret = copy_from_user(t, &ev, arg_addr(a, 1), sizeof(ev));
	if (ret < 0)
		return ret;
	if (arg_addr(a, 1)) { /* looked at before the queue is */
		if (ev.sigev_notify != LINUX_SIGEV_NONE && ev.sigev_notify != LINUX_SIGEV_SIGNAL &&
		    ev.sigev_notify != LINUX_SIGEV_THREAD)
			return -EINVAL;
		if (ev.sigev_notify == LINUX_SIGEV_SIGNAL && (ev.sigev_signo < 0 || ev.sigev_signo > 64))
			return -EINVAL;
	}
	f = sys_file(t, arg_int(a, 0));
	if (!f)
		return -EBADF;
	ret = file_is_mq(f) ? mq_notify_set(t, f, arg_addr(a, 1) ? &ev : NULL) : -EBADF;
	file_put(f);
	return ret;
}

int64_t sys_mq_getsetattr(struct task *t, const struct sysargs *a)
{
	struct linux_mq_attr new, old;
	struct file *f;
	int ret = 0;

	if (arg_addr(a, 1)) {
		ret = copy_from_user(t, &new, arg_addr(a, 1), sizeof(new));
		if (ret == 0 && (new.mq_flags & ~(int64_t)LINUX_O_NONBLOCK))
			ret = -EINVAL;
		if (ret < 0)
			return ret;
	}
	f = sys_file(t, arg_int(a, 0));
	if (!f)
		return -EBADF;
	ret = -EBADF;
	if (file_is_mq(f)) {
		mq_get_attr(f, &old);
		ret = arg_addr(a, 1) ? sys_change_flags(f, LINUX_O_NONBLOCK, (uint32_t) new.mq_flags) : 0;
		if (ret == 0 && arg_addr(a, 2))
			ret = copy_to_user(t, arg_addr(a, 2), &old, sizeof(old));
	}
	file_put(f);
	return ret;
}
