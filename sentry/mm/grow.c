/* grow.c: mappings that grow downwards (MAP_GROWSDOWN). A program's own stack is mapped in full when it
 * starts and never comes here. */
#include "sentry/mm/internal.h"

#define STACK_GUARD (1UL << 20)

static int grow_locked(struct mm *mm, struct context *ctx, struct rlimits *limits, struct mm_batch *b,
		       uaddr_t addr)
{
	struct vma *v = vma_find(mm, addr), *prev;
	uaddr_t start = ROUND_DOWN(addr, PAGE_SIZE);
	struct map_request r;
	int ret;

	if (!v || v->start <= addr || !(v->flags & LINUX_MAP_GROWSDOWN) || addr < GUEST_VA_MIN)
		return -EFAULT;
	if (v->end - start > rlimit_cur(limits, LINUX_RLIMIT_STACK))
		return -ENOMEM;
	prev = vma_prev(v);
	if (prev && prev->prot && start - prev->end < STACK_GUARD && !(prev->flags & LINUX_MAP_GROWSDOWN))
		return -ENOMEM;
	if (!mm_may_expand(mm, limits, (v->start - start) / PAGE_SIZE, false))
		return -ENOMEM;
	r = (struct map_request){.addr = start,
				 .size = v->start - start,
				 .prot = v->prot,
				 .noreserve = v->flags & LINUX_MAP_NORESERVE,
				 .fd = -1};
	ret = mm_ops(mm)->map(ctx, &r);
	if (ret < 0)
		return ret;
	vma_resize(mm, v, start, v->end);
	mm_merge_range(mm, b, start, v->end);
	return 0;
}

int mm_grow(struct mm *mm, struct context *ctx, struct rlimits *limits, uaddr_t addr)
{
	struct mm_batch b = {0};
	int ret;

	mutex_lock(&mm->lock);
	ret = grow_locked(mm, ctx, limits, &b, addr);
	mutex_unlock(&mm->lock);
	mm_batch_end(&b);
	return ret;
}
