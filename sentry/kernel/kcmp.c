/* kcmp.c: kcmp(2): do two tasks share a part? Different parts are put in an order that says nothing about where
 * they lie. */
#include "platform/base/hash.h"
#include "sentry/kernel/internal.h"

enum {
	KCMP_FILE,
	KCMP_VM,
	KCMP_FILES,
	KCMP_FS,
	KCMP_SIGHAND,
	KCMP_IO,
	KCMP_SYSVSEM,
};

static const void *file_of(struct task *t, uint64_t fd)
{
	struct fdtable *fds = task_fds_get(t);
	struct file *f;

	if (!fds)
		return NULL;
	f = fd <= INT32_MAX ? fdtable_get(fds, (int)fd) : NULL;
	fdtable_put(fds, fds);
	if (f)
		file_put(f); /* only its address is of interest */
	return f;
}

static int part(struct task *t, int type, uint64_t fd, const void **out)
{
	const void *p = NULL;

	if (type == KCMP_FILE) {
		*out = file_of(t, fd);
		return *out ? 0 : -EBADF;
	}
	mutex_lock(&t->process->lock);
	switch (type) {
	case KCMP_VM:
		p = t->mm;
		break;
	case KCMP_FILES:
		p = t->fds;
		break;
	case KCMP_FS:
		p = t->fs;
		break;
	case KCMP_SIGHAND:
		p = t->process->p->actions;
		break;
	case KCMP_IO:
	case KCMP_SYSVSEM: /* shared by the threads of a process */
		p = t->process;
		break;
	default:
		break;
	}
	mutex_unlock(&t->process->lock);
	*out = p;
	return type >= KCMP_VM && type <= KCMP_SYSVSEM ? 0 : -EINVAL;
}

int task_compare(struct task *t, struct task *a, struct task *b, int type, uint64_t fd_a, uint64_t fd_b)
{
	const void *pa, *pb;
	uint64_t ha, hb;
	int ret;

	if (!task_may_access(t, a) || !task_may_access(t, b))
		return -EPERM;
	ret = part(a, type, fd_a, &pa);
	if (ret == 0)
		ret = part(b, type, fd_b, &pb);
	if (ret < 0)
		return ret;
	if (pa == pb)
		return 0;
	ha = hash_u64((uintptr_t)pa ^ t->kernel->vfs->hash_key);
	hb = hash_u64((uintptr_t)pb ^ t->kernel->vfs->hash_key);
	return ha < hb ? 1 : 2;
}
