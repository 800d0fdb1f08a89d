/* sys_kcmp.c: kcmp(2): do two tasks share something? The order of different objects is made up, but stable. */
#include "platform/base/hash.h"
#include "sentry/syscalls/internal.h"

enum kcmp_type {
	KCMP_FILE,
	KCMP_VM,
	KCMP_FILES,
	KCMP_FS,
	KCMP_SIGHAND,
	KCMP_IO,
	KCMP_SYSVSEM,
	KCMP_EPOLL_TFD,
};

/* An address only as far as it orders: mixed, so that a guest learns nothing about the arena. */
static uint64_t blur(struct task *t, const void *p)
{
	return hash_u64((uint64_t)(uintptr_t)p ^ hash_u64(t->kernel->boot_ns));
}

static int64_t compare(struct task *t, const void *a, const void *b)
{
	uint64_t x, y;

	if (a == b)
		return 0;
	x = blur(t, a);
	y = blur(t, b);
	return x < y ? 1 : 2;
}

static struct file *file_of(struct task *target, uint64_t fd)
{
	struct fdtable *fds = task_fds_get(target);
	struct file *f = NULL;

	if (fds && fd <= INT32_MAX)
		f = fdtable_get(fds, (int)fd);
	if (fds)
		fdtable_put(fds, fds);
	return f;
}

static int64_t compare_files(struct task *t, struct task *a, struct task *b, uint64_t fd_a, uint64_t fd_b)
{
	struct file *x = file_of(a, fd_a), *y = file_of(b, fd_b);
	int64_t ret = x && y ? compare(t, x, y) : -EBADF;

	if (x)
		file_put(x);
	if (y)
		file_put(y);
	return ret;
}

static int64_t compare_shared(struct task *t, struct task *a, struct task *b, int type)
{
	struct mm *m, *n;
	struct fdtable *x, *y;
	struct fs_context *f, *g;
	int64_t ret;

	switch (type) {
	case KCMP_VM:
		m = task_mm_get(a);
		n = task_mm_get(b);
		ret = compare(t, m, n);
		mm_put(m);
		mm_put(n);
		return ret;
	case KCMP_FILES:
		x = task_fds_get(a);
		y = task_fds_get(b);
		ret = compare(t, x, y);
		if (x)
			fdtable_put(x, x);
		if (y)
			fdtable_put(y, y);
		return ret;
	case KCMP_FS:
		f = task_fs_get(a);
		g = task_fs_get(b);
		ret = compare(t, f, g);
		if (f)
			fs_context_put(f);
		if (g)
			fs_context_put(g);
		return ret;
	case KCMP_SIGHAND:
		return compare(t, a->process, b->process);
	case KCMP_SYSVSEM: /* who never used SEM_UNDO has none: equal, as on Linux */
		return compare(t, __atomic_load_n(&a->process->sem_undo, __ATOMIC_RELAXED),
			       __atomic_load_n(&b->process->sem_undo, __ATOMIC_RELAXED));
	case KCMP_IO: /* nobody has an I/O context */
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

int64_t sys_kcmp(struct task *t, const struct sysargs *a)
{
	int type = arg_int(a, 2);
	struct task *x, *y;
	int64_t ret = -ESRCH;

	x = task_find(t, arg_int(a, 0));
	y = task_find(t, arg_int(a, 1));
	if (!x || !y)
		goto out;
	ret = -EPERM;
	if (!task_may_access(t, x) || !task_may_access(t, y))
		goto out;
	if (type < KCMP_FILE || type > KCMP_EPOLL_TFD)
		ret = -EINVAL;
	else if (type == KCMP_FILE)
		ret = compare_files(t, x, y, arg_u64(a, 3), arg_u64(a, 4));
	else
		ret = compare_shared(t, x, y, type);
out:
	if (x)
		task_put(x);
	if (y)
		task_put(y);
	return ret;
}
