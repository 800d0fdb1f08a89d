/* limits.c: what RLIMIT_AS, RLIMIT_DATA and RLIMIT_MEMLOCK say. limits NULL: no limits (the loader). */
#include "sentry/mem/mem.h"
#include "sentry/mm/internal.h"

bool mm_may_expand(const struct mm *mm, struct rlimits *limits, uint64_t pages, bool data)
{
	if (!limits || pages == 0)
		return true;
	if (mm->total_pages + pages > rlimit_cur(limits, LINUX_RLIMIT_AS) / PAGE_SIZE)
		return false;
	return !data || mm->data_pages + pages <= rlimit_cur(limits, LINUX_RLIMIT_DATA) / PAGE_SIZE;
}

bool mm_overcommits(uint64_t bytes)
{
	uint64_t limit = mem_limit();

	return limit && bytes > limit;
}

int mm_may_lock(const struct mm *mm, struct rlimits *limits, uint64_t pages)
{
	uint64_t limit = limits ? rlimit_cur(limits, LINUX_RLIMIT_MEMLOCK) : LINUX_RLIM_INFINITY;

	if (limit == 0)
		return -EPERM;
	return mm->locked_pages + pages > limit / PAGE_SIZE ? -EAGAIN : 0;
}
