/* brk.c: the program break. */
#include "sentry/mm/internal.h"

static int brk_grow(struct mm *mm, struct context *ctx, struct rlimits *limits, struct mm_batch *b,
		    uaddr_t start, uaddr_t end)
{
	struct map_request r = {.addr = start,
				.size = end - start,
				.prot = LINUX_PROT_READ | LINUX_PROT_WRITE,
				.populate = mm->lock_future,
				.fd = -1};
	struct vma *v;
	int ret;

	/* One page more must be free, so that a mapping above stays apart. */
	if (!mm_is_free(mm, start, r.size + PAGE_SIZE) ||
	    !mm_may_expand(mm, limits, r.size / PAGE_SIZE, true) || mm_count_exceeded(mm, 1) ||
	    mm_overcommits(r.size))
		return -ENOMEM;
	if (mm->lock_future && mm_may_lock(mm, limits, r.size / PAGE_SIZE) < 0)
		return -EAGAIN;
	ret = mm_ops(mm)->map(ctx, &r);
	if (ret < 0)
		return ret;
	v = mm_batch_take(b);
	v->start = start;
	v->end = end;
	v->prot = r.prot;
	v->max_prot = PROT_ALL;
	v->flags = VMA_ACCOUNT | (mm->lock_future ? (uint32_t)LINUX_MAP_LOCKED : 0);
	v->kind = VMA_HEAP;
	v->offset = start;
	vma_link(mm, v);
	mm_merge_range(mm, b, start, end);
	return 0;
}

static int brk_locked(struct mm *mm, struct context *ctx, struct rlimits *limits, struct mm_batch *b,
		      uaddr_t brk)
{
	uaddr_t old_end = ROUND_UP(mm->brk, PAGE_SIZE), new_end;
	uint64_t limit = rlimit_cur(limits, LINUX_RLIMIT_DATA);

	if (brk < mm->brk_start || brk >= GUEST_VA_END)
		return -ENOMEM;
	if (limit < LINUX_RLIM_INFINITY && (brk - mm->brk_start) + (mm->end_data - mm->start_data) > limit)
		return -ENOMEM;
	new_end = ROUND_UP(brk, PAGE_SIZE);
	if (new_end < old_end)
		return mm_unmap_locked(mm, ctx, b, new_end, old_end);
	if (new_end > old_end)
		return brk_grow(mm, ctx, limits, b, old_end, new_end);
	return 0;
}

uaddr_t mm_brk(struct mm *mm, struct context *ctx, struct rlimits *limits, uaddr_t brk)
{
	struct mm_batch b;
	uaddr_t result;

	if (mm_batch_begin(&b, 2) < 0)
		return mm->brk;
	mutex_lock(&mm->lock);
	if (brk_locked(mm, ctx, limits, &b, brk) == 0)
		mm->brk = brk;
	result = mm->brk;
	mutex_unlock(&mm->lock);
	mm_batch_end(&b);
	return result;
}
