/* munmap.c: munmap(2) and mprotect(2): both work on a range of whatever is mapped there. */
#include "sentry/mm/internal.h"

/* One run without hidden parts. */
static int unmap_run(struct mm *mm, struct context *ctx, struct mm_batch *b, uaddr_t start, uaddr_t end)
{
	int ret = mm_ops(mm)->unmap(ctx, start, end - start);

	if (ret == 0)
		mm_clear_range(mm, b, start, end);
	return ret;
}

int mm_unmap_locked(struct mm *mm, struct context *ctx, struct mm_batch *b, uaddr_t start, uaddr_t end)
{
	uaddr_t at = start;
	struct vma *v = vma_find(mm, start);

	if (mm_range_has(mm, start, end, vma_is_special))
		return -EINVAL;
	if (v && v->start < start && v->end > end && mm_count_exceeded(mm, 1))
		return -ENOMEM;
	while (at < end && (v = vma_find(mm, at)) && v->start < end) {
		uaddr_t first = MAX(at, v->start), last;
		int ret;

		at = last = MIN(v->end, end);
		if (vma_is_hidden(v))
			continue;
		while ((v = vma_next(v)) && v->start < end && !vma_is_hidden(v))
			at = last = MIN(v->end, end);
		ret = unmap_run(mm, ctx, b, first, last);
		if (ret < 0)
			return ret;
	}
	return 0;
}

int mm_munmap(struct mm *mm, struct context *ctx, uaddr_t addr, uint64_t size)
{
	struct mm_batch b;
	int ret;

	if (!IS_ALIGNED(addr, PAGE_SIZE) || size == 0 || !mm_range_ok(addr, size))
		return -EINVAL;
	size = ROUND_UP(size, PAGE_SIZE);
	ret = mm_batch_begin(&b, 2);
	if (ret < 0)
		return ret;
	mutex_lock(&mm->lock);
	ret = mm_unmap_locked(mm, ctx, &b, addr, addr + size);
	mutex_unlock(&mm->lock);
	mm_batch_end(&b);
	return ret;
}

/* How far from start the protection may be set: *reach; the error that stopped it there. */
static int protect_check(struct mm *mm, uaddr_t start, uaddr_t end, uint32_t prot, uaddr_t *reach,
			 bool *changes)
{
	uaddr_t at = start;

	*changes = false;
	for (struct vma *v = vma_find(mm, start); at < end; v = vma_next(v)) {
		*reach = at;
		if (!v || v->start > at || vma_is_hidden(v))
			return -ENOMEM;
		if (prot & ~v->max_prot)
			return -EACCES;
		if (v->prot != prot)
			*changes = true;
		if ((prot & LINUX_PROT_WRITE) && !vma_is_shared(v) &&
		    !(v->flags & (VMA_ACCOUNT | LINUX_MAP_NORESERVE)) &&
		    mm_overcommits(MIN(v->end, end) - MAX(v->start, start)))
			return -ENOMEM;
		at = v->end;
	}
	*reach = end;
	return 0;
}

/* Puts the host's protections back to what the books say. */
static void protect_undo(struct mm *mm, struct context *ctx, uaddr_t start, uaddr_t end)
{
	for (struct vma *v = vma_find(mm, start); v && v->start < end; v = vma_next(v)) {
		uaddr_t first = MAX(v->start, start), last = MIN(v->end, end);

		(void)!mm_ops(mm)->protect(ctx, first, last - first, v->prot);
	}
}

static int protect_locked(struct mm *mm, struct context *ctx, struct mm_batch *b, uaddr_t start, uaddr_t end,
			  uint32_t prot)
{
	uaddr_t reach;
	bool changes;
	int ret = protect_check(mm, start, end, prot, &reach, &changes), err;

	if (reach == start || !changes)
		return ret;
	if (mm_count_exceeded(mm, 2))
		return -ENOMEM;
	err = mm_ops(mm)->protect(ctx, start, reach - start, prot);
	if (err < 0) {
		protect_undo(mm, ctx, start, reach);
		return err;
	}
	for (struct vma *v = mm_isolate(mm, b, start, reach); v && v->start < reach; v = vma_next(v))
		vma_set_prot(mm, v, prot);
	mm_merge_range(mm, b, start, reach);
	return ret;
}

/* PROT_GROWSDOWN: from the beginning of the mapping that grows. */
static int protect_grows(struct mm *mm, uaddr_t *start, uaddr_t end, uint32_t grows)
{
	struct vma *v = vma_find(mm, *start);

	if (!v)
		return -ENOMEM;
	if (grows & LINUX_PROT_GROWSUP)
		return -EINVAL;
	if (v->start >= end || !(v->flags & LINUX_MAP_GROWSDOWN))
		return -EINVAL;
	*start = v->start;
	return 0;
}

int mm_mprotect(struct mm *mm, struct context *ctx, uaddr_t addr, uint64_t size, uint32_t prot)
{
	uint32_t grows = prot & (LINUX_PROT_GROWSDOWN | LINUX_PROT_GROWSUP);
	struct mm_batch b;
	int ret;

	prot &= ~grows;
	if (grows == (LINUX_PROT_GROWSDOWN | LINUX_PROT_GROWSUP) || !IS_ALIGNED(addr, PAGE_SIZE))
		return -EINVAL;
	if (size == 0)
		return 0;
	if (!mm_range_ok(addr, size))
		return -ENOMEM;
	if (prot & ~(PROT_ALL | LINUX_PROT_SEM))
		return -EINVAL;
	prot &= PROT_ALL;
	size = ROUND_UP(size, PAGE_SIZE);
	ret = mm_batch_begin(&b, 2);
	if (ret < 0)
		return ret;
	mutex_lock(&mm->lock);
	if (grows) {
		uaddr_t end = addr + size;

		ret = protect_grows(mm, &addr, end, grows);
		size = end - addr;
	}
	if (ret == 0)
		ret = protect_locked(mm, ctx, &b, addr, addr + size, prot);
	mutex_unlock(&mm->lock);
	mm_batch_end(&b);
	return ret;
}
