/* memory.c: what the guest takes for the memory of its machine. */
#include "sentry/kernel/kernel.h"
#include "sentry/mem/mem.h"

#define MEMORY_FALLBACK (4UL << 30)

void kernel_memory(struct kernel *k, uint64_t *total, uint64_t *available)
{
	struct arena_stats arena;
	uint64_t used, max = __atomic_load_n(&k->max_memory, __ATOMIC_RELAXED);

	*total = max ? max : k->host_memory ? k->host_memory : MEMORY_FALLBACK;
	arena_stats(&arena);
	used = arena.page_bytes + mem_used();
	*available = *total > used ? *total - used : 0;
}
