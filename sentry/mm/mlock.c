/* mlock.c: mlock(2) and its family: books and limits only. Guest memory is pinned by nobody; the host's own
 * limits on locked memory are not a guest's to use up. */
#include "sentry/mm/internal.h"

static uint64_t unlocked_pages(const struct mm *mm, uaddr_t start, uaddr_t end)
{
	uint64_t pages = 0;

	for (struct vma *v = vma_find(mm, start); v && v->start < end; v = vma_next(v))
		if (!(v->flags & LINUX_MAP_LOCKED) && !vma_is_hidden(v))
			pages += (MIN(v->end, end) - MAX(v->start, start)) / PAGE_SIZE;
	return pages;
}

static int lock_range(struct mm *mm, struct mm_batch *b, uaddr_t start, uaddr_t end, bool lock)
{
	uaddr_t reach = mm_covered(mm, start, end);

	if (reach > start) {
		if (mm_count_exceeded(mm, 2))
			return -ENOMEM;
		for (struct vma *v = mm_isolate(mm, b, start, reach); v && v->start < reach; v = vma_next(v))
			if (!vma_is_special(v))
				vma_set_locked(mm, v, lock);
		mm_merge_range(mm, b, start, reach);
	}
	return reach < end ? -ENOMEM : 0;
}

int mm_mlock(struct mm *mm, struct rlimits *limits, bool cap, uaddr_t addr, uint64_t size, bool lock)
{
	uint64_t limit = rlimit_cur(limits, LINUX_RLIMIT_MEMLOCK);
	uaddr_t start = ROUND_DOWN(addr, PAGE_SIZE);
	struct mm_batch b;
	int ret;

	if (lock && limit == 0 && !cap)
		return -EPERM;
	if (size > UINT64_MAX - 2 * PAGE_SIZE)
		return -EINVAL;
	size = ROUND_UP(size + (addr - start), PAGE_SIZE);
	if (start + size < start)
		return -EINVAL;
	if (size == 0)
		return 0;
	if (!mm_range_ok(start, size))
		return -ENOMEM;
	ret = mm_batch_begin(&b, 2);
	if (ret < 0)
		return ret;
	mutex_lock(&mm->lock);
	if (lock && !cap && mm->locked_pages + unlocked_pages(mm, start, start + size) > limit / PAGE_SIZE)
		ret = -ENOMEM;
	else
		ret = lock_range(mm, &b, start, start + size, lock);
	mutex_unlock(&mm->lock);
	mm_batch_end(&b);
	return ret;
}

int mm_mlockall(struct mm *mm, struct rlimits *limits, bool cap, int flags, bool lock)
{
	uint64_t limit = rlimit_cur(limits, LINUX_RLIMIT_MEMLOCK);
	struct mm_batch b = {0};
	int ret = 0;

	if (lock && (flags == 0 || flags == LINUX_MCL_ONFAULT ||
		     (flags & ~(LINUX_MCL_CURRENT | LINUX_MCL_FUTURE | LINUX_MCL_ONFAULT))))
		return -EINVAL;
	if (lock && limit == 0 && !cap)
		return -EPERM;
	mutex_lock(&mm->lock);
	if (lock && (flags & LINUX_MCL_CURRENT) && !cap && mm->total_pages > limit / PAGE_SIZE) {
		ret = -ENOMEM;
	} else {
		mm->lock_future = lock && (flags & LINUX_MCL_FUTURE);
		for (struct vma *v = vma_first(mm); v; v = vma_next(v))
			if (!vma_is_hidden(v) && !vma_is_special(v) && (!lock || (flags & LINUX_MCL_CURRENT)))
				vma_set_locked(mm, v, lock);
		mm_merge_range(mm, &b, 0, GUEST_VA_END);
	}
	mutex_unlock(&mm->lock);
	mm_batch_end(&b);
	return ret;
}
