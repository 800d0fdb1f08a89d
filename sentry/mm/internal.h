/* internal.h: what the files of sentry/mm share. Everything here needs mm->lock unless it says otherwise.
 *
 * How a change is made: 1. without the lock, resolve the file's host descriptor and allocate the VMAs that
 * may be needed (mm_batch); 2. with it, check everything, make the platform call, and only then edit the
 * tree, which can't fail any more; 3. without it, mm_batch_end drops what became unused, because dropping a
 * file may take locks that rank above mm's. */
#pragma once

#include "platform/abi/errno.h"
#include "platform/abi/mman.h"
#include "platform/base/arena.h"
#include "platform/base/bug.h"
#include "sentry/mm/mm.h"

#define MM_MAX_MAP_COUNT 65530u
#define MM_HUGE_PAGE	 (2UL << 20)

/* In vma->flags: counts as committed memory (private and once writable). Linux doesn't merge a mapping that
 * does with one that doesn't, and neither do we. */
#define VMA_ACCOUNT 0x80000000u
#define VMA_FLAGS_KEPT                                                                                         \
	((uint32_t)(LINUX_MAP_SHARED | LINUX_MAP_GROWSDOWN | LINUX_MAP_LOCKED | LINUX_MAP_NORESERVE))
#define PROT_ALL ((uint32_t)(LINUX_PROT_READ | LINUX_PROT_WRITE | LINUX_PROT_EXEC))

struct vma_name {
	struct refs refs;
	char text[];
};

struct mm_batch {
	struct vma *spare; /* linked through node.parent */
	struct vma *dead;
};

static inline uint64_t vma_size(const struct vma *v)
{
	return v->end - v->start;
}

static inline bool vma_is_shared(const struct vma *v)
{
	return v->flags & LINUX_MAP_SHARED;
}

static inline bool vma_is_anon(const struct vma *v)
{
	return !v->file && v->kind != VMA_VDSO && v->kind != VMA_VVAR && v->kind != VMA_HIDDEN;
}

/* Belongs to the platform: the guest can neither see nor change it. */
static inline bool vma_is_hidden(const struct vma *v)
{
	return v->kind == VMA_HIDDEN;
}

/* The vDSO and its data: seen, but not to be moved, replaced or removed. */
static inline bool vma_is_special(const struct vma *v)
{
	return v->kind == VMA_VDSO || v->kind == VMA_VVAR;
}

/* vmatree.c: the tree, and its search for gaps. */
struct vma *vma_first(const struct mm *mm);
struct vma *vma_next(const struct vma *v);
struct vma *vma_prev(const struct vma *v);
/* The first VMA that ends behind addr, or NULL. */
struct vma *vma_find(const struct mm *mm, uaddr_t addr);
/* The VMA that addr lies in, or NULL. */
struct vma *vma_at(const struct mm *mm, uaddr_t addr);
void vma_tree_insert(struct mm *mm, struct vma *v);
void vma_tree_remove(struct mm *mm, struct vma *v);
/* v->start or v->end has changed (order unchanged). */
void vma_tree_resized(struct mm *mm, struct vma *v);
/* The highest place for size bytes in [low, high), aligned; 0 when there is none. */
uaddr_t vma_tree_gap(const struct mm *mm, uint64_t size, uint64_t align, uaddr_t low, uaddr_t high);

/* vma.c: single VMAs: allocation, splitting, merging, accounts. */
MUST_CHECK int mm_batch_begin(struct mm_batch *b, uint32_t count); /* no lock */
struct vma *mm_batch_take(struct mm_batch *b);
void mm_batch_end(struct mm_batch *b);			 /* no lock */
void vma_set_file(struct vma *v, struct mappable *file); /* takes a reference; counts the mapping */
void vma_link(struct mm *mm, struct vma *v);
void vma_discard(struct mm *mm, struct mm_batch *b, struct vma *v);
/* v becomes [start, at); returns the new VMA [at, end). */
struct vma *vma_split(struct mm *mm, struct mm_batch *b, struct vma *v, uaddr_t at);
void vma_resize(struct mm *mm, struct vma *v, uaddr_t start, uaddr_t end);
void vma_set_prot(struct mm *mm, struct vma *v, uint32_t prot);
void vma_set_locked(struct mm *mm, struct vma *v, bool locked);
/* Joins neighbours that agree in everything, from the one before start to the one behind end. */
void mm_merge_range(struct mm *mm, struct mm_batch *b, uaddr_t start, uaddr_t end);
/* Splits so that no VMA crosses start or end (two spares at most); the first one at or behind start. */
struct vma *mm_isolate(struct mm *mm, struct mm_batch *b, uaddr_t start, uaddr_t end);
/* Removes all but hidden VMAs from the range (two spares at most). */
void mm_clear_range(struct mm *mm, struct mm_batch *b, uaddr_t start, uaddr_t end);
bool mm_range_has(const struct mm *mm, uaddr_t start, uaddr_t end, bool (*what)(const struct vma *v));
/* Would `more` VMAs more be too many? */
bool mm_count_exceeded(const struct mm *mm, uint32_t more);
struct vma_name *vma_name_get(struct vma_name *n);
void vma_name_put(struct vma_name *n);
bool vma_name_equal(const struct vma_name *a, const struct vma_name *b);

/* The end of the part from start that is mapped without holes and visible, at most end. */
uaddr_t mm_covered(const struct mm *mm, uaddr_t start, uaddr_t end);

/* mm.c: an mm without VMAs for ctx's space; and making it the one that the space's platform asks. */
MUST_CHECK int mm_alloc(struct context *ctx, struct mm **out);
void mm_own_aspace(struct mm *mm);

/* limits.c: RLIMIT_AS, RLIMIT_DATA: would `pages` more pages (data: private writable) be too many? */
bool mm_may_expand(const struct mm *mm, struct rlimits *limits, uint64_t pages, bool data);
/* As Linux's heuristic overcommit: a single request for more than the machine has is refused. */
bool mm_overcommits(uint64_t bytes);
MUST_CHECK int mm_may_lock(const struct mm *mm, struct rlimits *limits, uint64_t pages);

/* Platform calls for mm's own space. */
static inline const struct platform_ops *mm_ops(const struct mm *mm)
{
	return mm->as->platform->ops;
}

/* Unmaps [start, end) on the host and in the books, sparing hidden parts. */
MUST_CHECK int mm_unmap_locked(struct mm *mm, struct context *ctx, struct mm_batch *b, uaddr_t start,
			       uaddr_t end);

static inline bool mm_range_ok(uaddr_t addr, uint64_t size)
{
	return size <= GUEST_VA_END && addr <= GUEST_VA_END - size;
}
