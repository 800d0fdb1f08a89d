/* mem.c: the accounts of all memfiles, kept in the arena behind ROOT_MEM. No locks: atomic counters. */
#include "sentry/mem/mem.h"

#include "platform/abi/errno.h"
#include "platform/base/bug.h"
#include "sentry/mem/internal.h"

static struct mem_state *mem_state(void)
{
	return arena_root(ROOT_MEM);
}

void mem_init(uint64_t max_bytes)
{
	struct mem_state *s = kmalloc(sizeof(*s));

	BUG_ON(!s); /* at boot, in an empty arena */
	s->max_pages = ROUND_UP(max_bytes, PAGE_SIZE) / PAGE_SIZE;
	arena_set_root(ROOT_MEM, s);
}

uint64_t mem_used(void)
{
	struct mem_state *s = mem_state();

	return s ? __atomic_load_n(&s->used_pages, __ATOMIC_RELAXED) * PAGE_SIZE : 0;
}

uint64_t mem_limit(void)
{
	struct mem_state *s = mem_state();

	return s ? s->max_pages * PAGE_SIZE : 0;
}

int mem_charge(uint64_t pages)
{
	struct mem_state *s = mem_state();
	uint64_t used;

	if (!s || pages == 0)
		return 0;
	if (pages > UINT64_MAX / 2)
		return -ENOSPC;
	used = __atomic_add_fetch(&s->used_pages, pages, __ATOMIC_RELAXED);
	if (s->max_pages && used > s->max_pages) {
		__atomic_sub_fetch(&s->used_pages, pages, __ATOMIC_RELAXED);
		return -ENOSPC;
	}
	return 0;
}

void mem_uncharge(uint64_t pages)
{
	struct mem_state *s = mem_state();

	if (s)
		__atomic_sub_fetch(&s->used_pages, pages, __ATOMIC_RELAXED);
}

bool mem_pool_full(void)
{
	struct mem_state *s = mem_state();

	return s && __atomic_load_n(&s->pool_pages, __ATOMIC_RELAXED) >= POOL_MAX;
}

void mem_pool_add(int64_t pages)
{
	struct mem_state *s = mem_state();

	if (s)
		__atomic_add_fetch(&s->pool_pages, (uint64_t)pages, __ATOMIC_RELAXED);
}
