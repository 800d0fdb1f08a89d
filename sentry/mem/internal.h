/* internal.h: what the files of sentry/mem share. */
#pragma once

#include "platform/base/arena.h"
#include "platform/base/lock.h"
#include "sentry/mem/mem.h"

/* A file moves to a host memfd when it grows beyond this many pages, and new pages go there when the arena
 * holds POOL_MAX pages of files: kernel objects must always find room in the arena. */
#define FILE_POOL_MAX (64UL << 20 >> PAGE_SHIFT)
#define POOL_MAX      (6UL << 30 >> PAGE_SHIFT)

/* ROOT_MEM. */
struct mem_state {
	uint64_t max_pages;  /* [I] 0: no limit */
	uint64_t used_pages; /* [a] of all files, wherever they live */
	uint64_t pool_pages; /* [a] those in the arena */
};

/* Sparse array of pages: a radix tree of variable height. Empty nodes are freed, so that its size is
 * bounded by the pages it holds. Not locked. */
#define PAGEMAP_BITS   6
#define PAGEMAP_SLOTS  (1u << PAGEMAP_BITS)
#define PAGEMAP_LEVELS 9 /* 54 bits of page number */

struct pagemap {
	void *root;	 /* height 0: the page itself */
	uint32_t height; /* levels of nodes above the pages */
	uint64_t count;	 /* pages held */
};

void *pagemap_find(const struct pagemap *pm, uint64_t index);
/* index must be free; -ENOMEM */
MUST_CHECK int pagemap_insert(struct pagemap *pm, uint64_t index, void *page);
/* The page that was there, or NULL. */
void *pagemap_remove(struct pagemap *pm, uint64_t index);
/* The smallest index >= from that holds a page; false when there is none. */
bool pagemap_next(const struct pagemap *pm, uint64_t from, uint64_t *index);
/* The smallest index >= from that holds none. */
uint64_t pagemap_next_hole(const struct pagemap *pm, uint64_t from);

struct memfile {
	struct mutex lock;  /* rank MEM */
	uint64_t size;	    /* [lock] */
	struct pagemap map; /* [lock] while fd is -1 */
	int fd;		    /* [lock] -1: pages in the arena; never changes back */
	int readonly_fd;    /* [lock] -1: not asked for yet; the same file, opened for reading */
	uint64_t charged;   /* [lock] pages counted in mem_state, for a file with fd */
};

/* Pages against the limit: -ENOSPC. */
MUST_CHECK int mem_charge(uint64_t pages);
void mem_uncharge(uint64_t pages);
bool mem_pool_full(void);
void mem_pool_add(int64_t pages);

/* The operations on a file that lives in a host memfd (hostfile.c); m->lock held. */
ssize_t hostfile_read(struct memfile *m, void *dst, size_t n, uint64_t off);
ssize_t hostfile_write(struct memfile *m, const void *src, size_t n, uint64_t off);
int hostfile_truncate(struct memfile *m, uint64_t size);
int hostfile_allocate(struct memfile *m, uint64_t off, uint64_t n, bool keep_size);
int hostfile_punch(struct memfile *m, uint64_t off, uint64_t n);
int64_t hostfile_seek(struct memfile *m, uint64_t off, bool data);
uint64_t hostfile_allocated(struct memfile *m);
/* Moves the pages of m into a memfd. */
int hostfile_convert(struct memfile *m);
