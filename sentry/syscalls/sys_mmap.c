/* sys_mmap.c: mmap(2) and its family: what a descriptor allows is decided here, the rest in mm. */
#include "sentry/kernel/task.h"
#include "sentry/syscalls/internal.h"

#define MAP_LEGACY                                                                                             \
	(LINUX_MAP_SHARED | LINUX_MAP_PRIVATE | LINUX_MAP_FIXED | LINUX_MAP_ANONYMOUS | LINUX_MAP_DENYWRITE |  \
	 LINUX_MAP_EXECUTABLE | LINUX_MAP_UNINITIALIZED | LINUX_MAP_GROWSDOWN | LINUX_MAP_LOCKED |             \
	 LINUX_MAP_NORESERVE | LINUX_MAP_POPULATE | LINUX_MAP_NONBLOCK | LINUX_MAP_STACK | LINUX_MAP_HUGETLB | \
	 LINUX_MAP_32BIT | LINUX_MAP_FIXED_NOREPLACE |                                                         \
	 ((uint32_t)LINUX_MAP_HUGE_MASK << LINUX_MAP_HUGE_SHIFT))

/* What f's mode and mount allow the mapping to be, now and by mprotect later. */
static int file_protection(struct file *f, uint32_t prot, uint32_t flags, uint32_t *max)
{
	uint32_t type = flags & LINUX_MAP_TYPE;

	*max = LINUX_PROT_READ | LINUX_PROT_WRITE | LINUX_PROT_EXEC;
	if (!FILE_CAN_READ(f))
		return -EACCES;
	if (type != LINUX_MAP_PRIVATE) {
		if (!FILE_CAN_WRITE(f))
			*max &= ~(uint32_t)LINUX_PROT_WRITE;
		if ((prot & LINUX_PROT_WRITE) && !FILE_CAN_WRITE(f))
			return -EACCES;
	}
	if (f->path.mnt && (f->path.mnt->flags & LINUX_MS_NOEXEC)) {
		if (prot & LINUX_PROT_EXEC)
			return -EPERM;
		*max &= ~(uint32_t)LINUX_PROT_EXEC;
	}
	return 0;
}

static int check_type(uint32_t flags)
{
	switch (flags & LINUX_MAP_TYPE) {
	case LINUX_MAP_SHARED:
	case LINUX_MAP_PRIVATE:
		return 0;
	case LINUX_MAP_SHARED_VALIDATE:
		return flags & ~(uint32_t)(MAP_LEGACY | LINUX_MAP_SHARED_VALIDATE) ? -EOPNOTSUPP : 0;
	default:
		return -EINVAL;
	}
}

static int64_t map_file(struct task *t, int fd, struct mmap_args *m)
{
	struct file *f = sys_file(t, fd);
	int64_t ret;

	if (!f)
		return -EBADF;
	ret = m->size ? check_type(m->flags) : -EINVAL;
	if (ret == 0)
		ret = file_protection(f, m->prot, m->flags, &m->max_prot);
	if (ret == 0 && f->ops->map_anon) {
		m->flags |= LINUX_MAP_ANONYMOUS;
		m->offset = 0;
	} else if (ret == 0) {
		ret = file_mappable(f, &m->file);
	}
	if (ret == 0)
		ret = mm_mmap(t->mm, t->ctx, task_rlimits(t), m);
	if (ret == -EPERM && !(m->prot & LINUX_PROT_WRITE) && (m->max_prot & LINUX_PROT_WRITE)) {
		/* sealed against writing: it may still be mapped so that it never becomes writable */
		m->max_prot &= ~(uint32_t)LINUX_PROT_WRITE;
		ret = mm_mmap(t->mm, t->ctx, task_rlimits(t), m);
	}
	file_put(f);
	return ret;
}

int64_t sys_mmap(struct task *t, const struct sysargs *a)
{
	struct mmap_args m = {
		.addr = arg_addr(a, 0),
		.size = arg_u64(a, 1),
		.prot = arg_u32(a, 2),
		.flags = arg_u32(a, 3),
		.offset = arg_u64(a, 5),
	};
	int ret;

	if (!IS_ALIGNED(m.offset, PAGE_SIZE))
		return -EINVAL;
	m.prot &= LINUX_PROT_READ | LINUX_PROT_WRITE | LINUX_PROT_EXEC; /* Linux ignores the rest */
	if (!(m.flags & LINUX_MAP_ANONYMOUS))
		return map_file(t, arg_int(a, 4), &m);
	ret = m.size ? check_type(m.flags) : -EINVAL;
	if (ret < 0)
		return ret;
	if (m.flags & LINUX_MAP_HUGETLB)
		return -ENOMEM; /* as with an empty pool of huge pages */
	m.offset = 0;
	return mm_mmap(t->mm, t->ctx, task_rlimits(t), &m);
}

int64_t sys_munmap(struct task *t, const struct sysargs *a)
{
	return mm_munmap(t->mm, t->ctx, arg_addr(a, 0), arg_u64(a, 1));
}

int64_t sys_mprotect(struct task *t, const struct sysargs *a)
{
	uint32_t prot = arg_u32(a, 2);

	if (prot & ~(uint32_t)(LINUX_PROT_READ | LINUX_PROT_WRITE | LINUX_PROT_EXEC | LINUX_PROT_SEM |
			       LINUX_PROT_GROWSDOWN | LINUX_PROT_GROWSUP))
		return -EINVAL;
	return mm_mprotect(t->mm, t->ctx, arg_addr(a, 0), arg_u64(a, 1), prot & ~(uint32_t)LINUX_PROT_SEM);
}

int64_t sys_mremap(struct task *t, const struct sysargs *a)
{
	return mm_mremap(t->mm, t->ctx, task_rlimits(t), arg_addr(a, 0), arg_u64(a, 1), arg_u64(a, 2),
			 arg_u32(a, 3), arg_addr(a, 4));
}

int64_t sys_brk(struct task *t, const struct sysargs *a)
{
	return (int64_t)mm_brk(t->mm, t->ctx, task_rlimits(t), arg_addr(a, 0));
}

int64_t sys_madvise(struct task *t, const struct sysargs *a)
{
	return mm_madvise(t->mm, t->ctx, arg_addr(a, 0), arg_u64(a, 1), arg_int(a, 2));
}

int64_t sys_msync(struct task *t, const struct sysargs *a)
{
	return mm_msync(t->mm, t->ctx, arg_addr(a, 0), arg_u64(a, 1), arg_int(a, 2));
}

int64_t sys_mincore(struct task *t, const struct sysargs *a)
{
	return mm_mincore(t->mm, t->ctx, arg_addr(a, 0), arg_u64(a, 1), arg_addr(a, 2));
}

static bool may_lock(struct task *t)
{
	return capable(t, LINUX_CAP_IPC_LOCK);
}

int64_t sys_mlock(struct task *t, const struct sysargs *a)
{
	return mm_mlock(t->mm, task_rlimits(t), may_lock(t), arg_addr(a, 0), arg_u64(a, 1), true);
}

int64_t sys_mlock2(struct task *t, const struct sysargs *a)
{
	if (arg_u32(a, 2) & ~(uint32_t)LINUX_MLOCK_ONFAULT)
		return -EINVAL;
	return mm_mlock(t->mm, task_rlimits(t), may_lock(t), arg_addr(a, 0), arg_u64(a, 1), true);
}

int64_t sys_munlock(struct task *t, const struct sysargs *a)
{
	return mm_mlock(t->mm, task_rlimits(t), true, arg_addr(a, 0), arg_u64(a, 1), false);
}

int64_t sys_mlockall(struct task *t, const struct sysargs *a)
{
	uint32_t flags = arg_u32(a, 0);

	if (flags == 0 || flags == LINUX_MCL_ONFAULT ||
	    (flags & ~(uint32_t)(LINUX_MCL_CURRENT | LINUX_MCL_FUTURE | LINUX_MCL_ONFAULT)))
		return -EINVAL;
	return mm_mlockall(t->mm, task_rlimits(t), may_lock(t), (int)flags, true);
}

int64_t sys_munlockall(struct task *t, const struct sysargs *a)
{
	(void)a;
	return mm_mlockall(t->mm, task_rlimits(t), true, 0, false);
}

/* Protection keys: as on a machine without them, where only the default key exists. */
int64_t sys_pkey_mprotect(struct task *t, const struct sysargs *a)
{
	if (arg_int(a, 3) != -1)
		return -EINVAL;
	return sys_mprotect(t, a);
}

int64_t sys_pkey_alloc(struct task *t, const struct sysargs *a)
{
	(void)t;
	if (arg_u64(a, 0) || (arg_u64(a, 1) & ~(uint64_t)LINUX_PKEY_ACCESS_MASK))
		return -EINVAL;
	return -ENOSPC;
}

int64_t sys_pkey_free(struct task *t, const struct sysargs *a)
{
	(void)t;
	(void)a;
	return -EINVAL;
}
