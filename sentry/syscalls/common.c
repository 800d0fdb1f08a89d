/* common.c: descriptors, names relative to descriptors, vectors and times, as many handlers need them. */
#include "sentry/syscalls/internal.h"

struct file *sys_file_any(struct task *t, int fd)
{
	return fdtable_get(t->fds, fd);
}

struct file *sys_file(struct task *t, int fd)
{
	struct file *f = fdtable_get(t->fds, fd);

	if (f && UNLIKELY(f->flags & LINUX_O_PATH)) {
		file_put(f);
		return NULL;
	}
	return f;
}

int64_t sys_install(struct task *t, struct file *f, bool cloexec)
{
	int fd = fdtable_install(t->fds, f, 0, task_rlimit(t, LINUX_RLIMIT_NOFILE), cloexec);

	file_put(f);
	return fd;
}

int64_t sys_install_pair(struct task *t, struct file *f[2], bool cloexec, uaddr_t out)
{
	uint64_t limit = task_rlimit(t, LINUX_RLIMIT_NOFILE);
	int fd[2], ret;

	fd[0] = fdtable_install(t->fds, f[0], 0, limit, cloexec);
	ret = fd[0];
	if (ret < 0)
		goto out;
	fd[1] = fdtable_install(t->fds, f[1], 0, limit, cloexec);
	ret = fd[1];
	if (ret < 0)
		goto close_first;
	ret = copy_to_user(t, out, fd, sizeof(fd));
	if (ret == 0)
		goto out;
	if (fdtable_close(t->fds, fd[1], task_lock_owner(t)) < 0)
		ret = -EFAULT; /* another thread was faster; nothing to undo */
close_first:
	if (fdtable_close(t->fds, fd[0], task_lock_owner(t)) < 0 && ret == 0)
		ret = -EFAULT;
out:
	file_put(f[1]);
	file_put(f[0]);
	return ret < 0 ? ret : 0;
}

int sys_change_flags(struct file *f, uint32_t mask, uint32_t value)
{
	uint32_t old = __atomic_load_n(&f->flags, __ATOMIC_RELAXED), want;
	int ret;

	do {
		want = (old & ~mask) | (value & mask);
		if (want == old)
			return 0;
		if (f->ops->set_flags) {
			ret = f->ops->set_flags(f, want);
			if (ret < 0)
				return ret;
		}
	} while (
		!__atomic_compare_exchange_n(&f->flags, &old, want, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return 0;
}

int at_begin_null(struct task *t, int dirfd, uaddr_t name, bool allow_null, struct at_name *n)
{
	int ret;

	n->dir = NULL;
	n->name = NULL;
	if (name == 0 && allow_null) {
		n->name = kmalloc(1);
		if (!n->name)
			return -ENOMEM;
	} else {
		ret = getname(t, name, &n->name);
		if (ret < 0)
			return ret;
	}
	if (n->name[0] == '/' || dirfd == LINUX_AT_FDCWD) {
		n->at = task_at(t, NULL);
		return 0;
	}
	return at_use_dir(t, dirfd, n);
}

int at_use_dir(struct task *t, int dirfd, struct at_name *n)
{
	int ret;

	n->dir = fdtable_get(t->fds, dirfd);
	ret = -EBADF;
	if (!n->dir)
		goto fail;
	ret = -ENOTDIR;
	if (n->name[0] && !inode_is(n->dir->inode, LINUX_S_IFDIR))
		goto fail;
	n->at = task_at(t, &n->dir->path);
	return 0;
fail:
	at_end(n);
	return ret;
}

int at_begin(struct task *t, int dirfd, uaddr_t name, struct at_name *n)
{
	return at_begin_null(t, dirfd, name, false, n);
}

void at_end(struct at_name *n)
{
	if (n->dir)
		file_put(n->dir);
	kfree(n->name);
	n->dir = NULL;
	n->name = NULL;
}

int at_is_empty(struct task *t, uaddr_t name, uint32_t flags, bool *empty)
{
	char c;
	int ret;

	*empty = false;
	if (!(flags & LINUX_AT_EMPTY_PATH))
		return 0;
	if (name == 0) {
		*empty = true;
		return 0;
	}
	ret = copy_from_user(t, &c, name, 1);
	if (ret == 0)
		*empty = c == 0;
	return ret;
}

int iov_check(struct iov_buf *b)
{
	uint32_t i;

	b->total = 0;
	for (i = 0; i < b->count; i++) {
		struct linux_iovec *v = &b->v[i];

		if ((int64_t)v->iov_len < 0)
			return -EINVAL;
		if (!access_ok(v->iov_base, v->iov_len))
			return -EFAULT;
		if (v->iov_len > UIO_MAX_RW - b->total)
			v->iov_len = UIO_MAX_RW - b->total;
		b->total += v->iov_len;
	}
	return 0;
}

int iov_import(struct task *t, uaddr_t vec, uint64_t count, struct iov_buf *b)
{
	int ret;

	b->v = b->fast;
	b->count = 0;
	b->total = 0;
	if (count > UIO_MAXIOV)
		return -EINVAL;
	if (count > IOV_FAST) {
		b->v = kmalloc(count * sizeof(*b->v));
		if (!b->v)
			return -ENOMEM;
	}
	b->count = (uint32_t)count;
	ret = count ? copy_from_user(t, b->v, vec, count * sizeof(*b->v)) : 0;
	if (ret == 0)
		ret = iov_check(b);
	if (ret < 0)
		iov_release(b);
	return ret;
}

void iov_release(struct iov_buf *b)
{
	if (b->v != b->fast)
		kfree(b->v);
	b->v = b->fast;
	b->count = 0;
}

static int over_limit(struct task *t)
{
	(void)signal_send_task(t, LINUX_SIGXFSZ, NULL);
	return -EFBIG;
}

int size_limit(struct task *t, uint64_t old_size, uint64_t new_size)
{
	if (new_size > old_size && new_size > task_rlimit(t, LINUX_RLIMIT_FSIZE))
		return over_limit(t);
	return 0;
}

uint64_t sys_file_size(struct file *f)
{
	struct kstat k;

	return vfs_stat_path(&f->path, LINUX_STATX_SIZE, &k) < 0 ? 0 : k.size;
}

int size_limit_file(struct task *t, struct file *f, uint64_t new_size)
{
	if (LIKELY(task_rlimit(t, LINUX_RLIMIT_FSIZE) == LINUX_RLIM_INFINITY))
		return 0;
	return size_limit(t, sys_file_size(f), new_size);
}

int write_limit(struct task *t, struct file *f, struct uio *u, uint64_t pos)
{
	uint64_t limit;

	if (!inode_is(f->inode, LINUX_S_IFREG) || u->resid == 0)
		return 0;
	limit = task_rlimit(t, LINUX_RLIMIT_FSIZE);
	if (pos == WRITE_APPEND) {
		if (LIKELY(limit == LINUX_RLIM_INFINITY))
			return 0;
		pos = sys_file_size(f);
	}
	if (pos >= INT64_MAX)
		return -EFBIG;
	u->resid = MIN(u->resid, (uint64_t)INT64_MAX - pos);
	if (LIKELY(limit == LINUX_RLIM_INFINITY))
		return 0;
	if (pos >= limit)
		return over_limit(t);
	u->resid = MIN(u->resid, limit - pos);
	return 0;
}

int timespec_check(const struct linux_timespec *ts)
{
	if (ts->tv_sec < 0 || ts->tv_nsec < 0 || ts->tv_nsec >= (int64_t)NSEC_PER_SEC)
		return -EINVAL;
	return 0;
}

int get_timespec(struct task *t, uaddr_t src, struct linux_timespec *ts)
{
	int ret = copy_from_user(t, ts, src, sizeof(*ts));

	return ret < 0 ? ret : timespec_check(ts);
}

uint64_t timespec_ns(const struct linux_timespec *ts)
{
	uint64_t ns;

	if (mul_overflows((uint64_t)ts->tv_sec, NSEC_PER_SEC, &ns) ||
	    add_overflows(ns, (uint64_t)ts->tv_nsec, &ns))
		return NEVER;
	return ns;
}

uint64_t deadline_after(uint64_t ns)
{
	uint64_t now = clock_monotonic_ns(), end;

	if (ns == NEVER || add_overflows(now, ns, &end))
		return 0; /* for ever */
	return end ? end : 1;
}

void deadline_left(uint64_t deadline, struct linux_timespec *left)
{
	uint64_t now = clock_monotonic_ns(), ns = deadline > now ? deadline - now : 0;

	left->tv_sec = (int64_t)(ns / NSEC_PER_SEC);
	left->tv_nsec = (int64_t)(ns % NSEC_PER_SEC);
}
