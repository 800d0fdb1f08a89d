/* sys_lock.c: flock(2) and the record locks of fcntl(2), with the waiting that the vfs doesn't do. */
#include "sentry/syscalls/internal.h"
#include "sentry/syscalls/lock.h"

struct lock_request {
	struct file *f;
	struct linux_flock fl;
	int32_t pid;
	bool ofd;
	int flock_op; /* flock(2) when not 0 */
	void *owner;
};

static int lock_try(struct lock_request *r)
{
	if (r->flock_op)
		return vfs_flock(r->f, r->flock_op);
	return vfs_posix_lock(r->f, r->owner, r->pid, r->ofd, &r->fl);
}

/* Record locks of processes tell a circle of waiters (EDEADLK); the other kinds can't. */
static int lock_sleep(struct task *t, struct lock_request *r)
{
	struct lock_wait lw;
	int ret;

	if (r->flock_op || r->ofd)
		return task_block(t, 0);
	ret = vfs_posix_wait_begin(r->f, r->owner, &r->fl, &lw);
	if (ret < 0)
		return ret;
	ret = task_block(t, 0);
	vfs_posix_wait_end(r->f, &lw);
	return ret;
}

static int lock_wait(struct task *t, struct lock_request *r, bool wait)
{
	struct waitq *wq;
	struct waiter w;
	int ret = lock_try(r);

	if (ret != -EAGAIN || !wait)
		return ret;
	ret = vfs_flock_waitq(r->f, &wq);
	if (ret < 0)
		return ret;
	task_waiter(t, &w, EV_ALL);
	waitq_add(wq, &w);
	while ((ret = lock_try(r)) == -EAGAIN) {
		ret = lock_sleep(t, r);
		if (ret < 0)
			break;
	}
	waitq_del(wq, &w);
	return ret;
}

int64_t sys_flock(struct task *t, const struct sysargs *a)
{
	int op = arg_int(a, 1), kind = op & ~LINUX_LOCK_NB;
	struct lock_request r = {.flock_op = kind};
	int64_t ret;

	if (kind != LINUX_LOCK_SH && kind != LINUX_LOCK_EX && kind != LINUX_LOCK_UN)
		return -EINVAL;
	r.f = sys_file(t, arg_int(a, 0));
	if (!r.f)
		return -EBADF;
	ret = lock_wait(t, &r, !(op & LINUX_LOCK_NB));
	file_put(r.f);
	return ret;
}

int64_t lock_query(struct task *t, struct file *f, uaddr_t arg, bool ofd)
{
	struct linux_flock fl;
	int ret = copy_from_user(t, &fl, arg, sizeof(fl));

	if (ret < 0)
		return ret;
	if (fl.l_type != LINUX_F_RDLCK && fl.l_type != LINUX_F_WRLCK && !(ofd && fl.l_type == LINUX_F_UNLCK))
		return -EINVAL;
	if (ofd && fl.l_pid != 0)
		return -EINVAL;
	ret = vfs_posix_getlk(f, task_lock_owner(t), ofd, &fl);
	if (ret < 0)
		return ret;
	return copy_to_user(t, arg, &fl, sizeof(fl));
}

/* Another thread may have closed the descriptor while we got the lock, and the close found nothing to
 * release: then nobody would ever release it. */
static int lock_settle(struct task *t, int fd, struct lock_request *r)
{
	struct file *now;
	bool same;

	if (r->ofd || r->fl.l_type == LINUX_F_UNLCK)
		return 0;
	now = fdtable_get(t->fds, fd);
	same = now == r->f;
	if (now)
		file_put(now);
	if (same)
		return 0;
	vfs_locks_release(r->f, r->owner);
	return -EBADF;
}

int64_t lock_set(struct task *t, int fd, struct file *f, uaddr_t arg, bool ofd, bool wait)
{
	struct lock_request r = {.f = f, .ofd = ofd, .owner = task_lock_owner(t)};
	int ret = copy_from_user(t, &r.fl, arg, sizeof(r.fl));

	if (ret < 0)
		return ret;
	if (ofd && r.fl.l_pid != 0)
		return -EINVAL;
	if ((r.fl.l_type == LINUX_F_RDLCK && !FILE_CAN_READ(f)) ||
	    (r.fl.l_type == LINUX_F_WRLCK && !FILE_CAN_WRITE(f)))
		return -EBADF;
	r.pid = ofd ? -1 : task_tgid_in(t, t);
	ret = lock_wait(t, &r, wait);
	return ret < 0 ? ret : lock_settle(t, fd, &r);
}
