/* arena.h: the one memory that holds every kernel object: a memfd mapped shared at ARENA_BASE, so that
 * any process of the sandbox that maps it can run sentry code, and a snapshot is one file. The header at
 * ARENA_BASE is found by address, not through a variable. It lies outside the hole of the guest's address
 * space, for no guest process keeps it, and so that the kernel's parts run (their unit tests do) inside a
 * sandbox too.
 *
 * kmalloc serves any size from size-class caches (up to 32 KiB) or whole pages; memory comes zeroed.
 * Debug builds fill freed memory with 0x6b and, under ASan, poison it. All functions are thread-safe;
 * a NULL result means that the arena is full (-ENOMEM to the guest, never a bug). */
#pragma once

#include "platform/base/attr.h"
#include "platform/base/list.h"
#include "platform/base/lock.h"

#define ARENA_BASE 0x7d0000000000UL
#define ARENA_SIZE (16UL << 30) /* address space; host memory only as touched */

/* Creates the memfd and maps it. Once per process, before anything else of the kernel. 0 or -errno. */
MUST_CHECK int arena_init(void);
/* The memfd; owned by the arena. */
int arena_fd(void);
bool arena_contains(const void *p);

/* Zeroed; aligned to 16 bytes (to the page from PAGE_SIZE on). */
MUST_CHECK void *kmalloc(size_t size);
/* p may be NULL. */
void kfree(void *p);
MUST_CHECK char *kstrdup(const char *s);
MUST_CHECK char *kstrndup(const char *s, size_t n);
MUST_CHECK void *kmemdup(const void *p, size_t n);
/* Usable size of an allocation. */
size_t ksize(const void *p);
/* Grows or shrinks; new bytes are zero; on failure NULL and p stays valid. */
MUST_CHECK void *krealloc(void *p, size_t size);

/* count whole pages, page aligned, zeroed; freed with kfree. */
MUST_CHECK void *kalloc_pages(size_t count);

/* The few entry points that other rooms find their state by (so that it travels with the arena): set once
 * at boot, NULL before. */
enum arena_root {
	ROOT_KERNEL,
	ROOT_PLATFORM,
	ROOT_MEM,
	ROOT_VFS,
	ROOT_SOCKET,
	ROOT_STATS,
	ROOT_POLLER,
	ROOT_COUNT = 16,
};
void *arena_root(enum arena_root which);
void arena_set_root(enum arena_root which, void *p);

struct arena_stats {
	uint64_t used_bytes, page_bytes, peak_page_bytes, objects;
};
void arena_stats(struct arena_stats *out);
