/* arena.c: page runs from a first-fit free list of page ranges; small objects from size-class slabs of
 * one run each. A page descriptor array in the arena says, for each page, which run and class it belongs
 * to, so kfree needs only the address.
 *
 * Locks: one mutex per size class, one for the pages; both of rank SLAB, class before pages (nested). */
#include "platform/base/arena.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "platform/base/bug.h"

#if SBX_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(p, n)   __asan_poison_memory_region(p, n)
#define UNPOISON(p, n) __asan_unpoison_memory_region(p, n)
#else
#define POISON(p, n)   ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

#ifdef SBX_DEBUG
#define FREE_FILL 1
#else
#define FREE_FILL 0
#endif

#define ARENA_PAGES	(ARENA_SIZE / PAGE_SIZE)
#define POPULATE_PAGES	16 /* twice that once there is more than a little */
#define GIVE_BACK_PAGES 256
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14; older hosts refuse, and fault */
#endif
#define MAX_SMALL 4096
#define MAX_BIN	  64

static const uint16_t class_sizes[] = {16,  32,	 48,  64,  80,	96,   128,  160,  192,	256,
				       320, 384, 512, 640, 768, 1024, 1360, 2048, 2720, 4096};
#define CLASS_COUNT ARRAY_SIZE(class_sizes)

enum page_kind {
	PAGE_FREE,
	PAGE_LARGE, /* first page of a run of `count` */
	PAGE_SLAB,  /* any page of a slab */
	PAGE_TAIL,
};

struct page_desc {
	uint8_t kind;
	uint8_t class_index;
	uint8_t slab_offset; /* page within its slab */
	uint8_t zeroed;
	uint32_t count; /* PAGE_LARGE: pages of the run; PAGE_FREE head and tail: pages of the range */
};

struct slab {
	struct list node;		   /* in class->partial while it has free objects */
	void *free;			   /* singly linked through the objects */
	uint16_t free_count, total, fresh; /* fresh: objects never handed out, at the end */
	uint16_t class_index;
	char *base;
};

struct size_class {
	struct mutex lock;
	struct list partial; /* [lock] */
	uint64_t objects;    /* [lock] */
};

/* At ARENA_BASE. */
struct arena_header {
	uint64_t magic;
	int fd; /* [I] */
	struct mutex page_lock;
	struct list free_bins[MAX_BIN];	 /* [page_lock] free ranges by size; last bin: larger */
	size_t top;			 /* [page_lock] pages from here on were never used */
	size_t populated;		 /* [page_lock] the host has given pages up to here */
	uint64_t used_pages, peak_pages; /* [page_lock] */
	struct size_class classes[CLASS_COUNT];
	void *roots[ROOT_COUNT]; /* [I] after boot */
};

#define ARENA_MAGIC 0x616e657261786273UL
#define HEADER	    ((struct arena_header *)ARENA_BASE)
#define DESC_OFFSET ROUND_UP(sizeof(struct arena_header), PAGE_SIZE)
#define DESCS	    ((struct page_desc *)(ARENA_BASE + DESC_OFFSET))
#define FIRST_PAGE  ((DESC_OFFSET + ROUND_UP(ARENA_PAGES * sizeof(struct page_desc), PAGE_SIZE)) / PAGE_SIZE)

static void *page_addr(size_t page)
{
	return (void *)(ARENA_BASE + page * PAGE_SIZE);
}

static size_t addr_page(const void *p)
{
	return ((uintptr_t)p - ARENA_BASE) / PAGE_SIZE;
}

bool arena_contains(const void *p)
{
	return (uintptr_t)p >= ARENA_BASE && (uintptr_t)p < ARENA_BASE + ARENA_SIZE;
}

int arena_init(void)
{
	int fd = memfd_create("sbx-arena", MFD_CLOEXEC);
	void *p;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)ARENA_SIZE) < 0) {
		close(fd);
		return -errno;
	}
	p = mmap((void *)ARENA_BASE, ARENA_SIZE, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_NORESERVE, fd, 0);
	if (p != (void *)ARENA_BASE) {
		int err = p == MAP_FAILED ? errno : EEXIST;

		close(fd);
		return -err;
	}
	HEADER->magic = ARENA_MAGIC;
	HEADER->fd = fd;
	mutex_init(&HEADER->page_lock, RANK_SLAB);
	for (size_t i = 0; i < MAX_BIN; i++)
		list_init(&HEADER->free_bins[i]);
	HEADER->top = FIRST_PAGE;
	for (size_t i = 0; i < CLASS_COUNT; i++) {
		mutex_init(&HEADER->classes[i].lock, RANK_SLAB);
		list_init(&HEADER->classes[i].partial);
	}
	return 0;
}

void *arena_root(enum arena_root which)
{
	return HEADER->roots[which];
}

void arena_set_root(enum arena_root which, void *p)
{
	HEADER->roots[which] = p;
}

int arena_fd(void)
{
	return HEADER->fd;
}

/* A free range keeps its list node in its first page. */
static void bin_insert(size_t page, size_t count)
{
	struct list *node = page_addr(page);

	DESCS[page] = (struct page_desc){.kind = PAGE_FREE, .count = (uint32_t)count};
	DESCS[page + count - 1] = DESCS[page];
	UNPOISON(node, sizeof(*node));
	list_add(&HEADER->free_bins[MIN(count, (size_t)MAX_BIN) - 1], node);
}

static void bin_remove(size_t page)
{
	list_del(page_addr(page));
}

/* Finds a free range of at least count pages: its page, or 0. */
static size_t bin_find(size_t count)
{
	for (size_t b = MIN(count, (size_t)MAX_BIN) - 1; b < MAX_BIN; b++) {
		struct list *n;

		for (n = HEADER->free_bins[b].next; n != &HEADER->free_bins[b]; n = n->next)
			if (DESCS[addr_page(n)].count >= count)
				return addr_page(n);
	}
	return 0;
}

/* A first touch costs the host's fault path, ten times what a page costs in a batch: asks for the next pages
 * together. Large runs are left alone, they may be meant to stay sparse. */
static void pages_populate(size_t count)
{
	size_t ahead = HEADER->top < FIRST_PAGE + 64 * POPULATE_PAGES ? POPULATE_PAGES : 2 * POPULATE_PAGES;

	if (HEADER->top <= HEADER->populated || count > ahead) {
		HEADER->populated = MAX(HEADER->populated, HEADER->top);
		return;
	}
	HEADER->populated = MIN(HEADER->top + ahead, ARENA_PAGES);
	madvise(page_addr(HEADER->top - count), (HEADER->populated - HEADER->top + count) * PAGE_SIZE,
		MADV_POPULATE_WRITE);
}

/* Page number of a run, or 0. *fresh: never used before, so zero. */
static size_t pages_alloc(size_t count, bool *fresh)
{
	size_t page;

	mutex_lock_nested(&HEADER->page_lock);
	page = bin_find(count);
	*fresh = false;
	if (page) {
		size_t have = DESCS[page].count;

		bin_remove(page);
		if (have > count)
			bin_insert(page + count, have - count);
	} else if (HEADER->top + count <= ARENA_PAGES) {
		page = HEADER->top;
		HEADER->top += count;
		pages_populate(count);
		*fresh = true;
	}
	if (page) {
		for (size_t i = 0; i < count; i++)
			DESCS[page + i].kind = PAGE_TAIL;
		HEADER->used_pages += count;
		HEADER->peak_pages = MAX(HEADER->peak_pages, HEADER->used_pages);
	}
	mutex_unlock(&HEADER->page_lock);
	return page;
}

static void pages_free(size_t page, size_t count)
{
	mutex_lock_nested(&HEADER->page_lock);
	HEADER->used_pages -= count;
	if (count >= GIVE_BACK_PAGES) /* give big runs back to the host; they read as zero afterwards */
		madvise(page_addr(page), count * PAGE_SIZE, MADV_REMOVE);
	if (page > FIRST_PAGE && DESCS[page - 1].kind == PAGE_FREE) {
		size_t before = DESCS[page - 1].count;

		bin_remove(page - before);
		page -= before;
		count += before;
	}
	if (page + count < HEADER->top && DESCS[page + count].kind == PAGE_FREE) {
		size_t after = DESCS[page + count].count;

		bin_remove(page + count);
		count += after;
	}
	bin_insert(page, count);
	mutex_unlock(&HEADER->page_lock);
}

void *kalloc_pages(size_t count)
{
	bool fresh;
	size_t page;

	if (count == 0 || count >= ARENA_PAGES)
		return NULL;
	page = pages_alloc(count, &fresh);
	if (!page)
		return NULL;
	DESCS[page] = (struct page_desc){.kind = PAGE_LARGE, .count = (uint32_t)count};
	UNPOISON(page_addr(page), count * PAGE_SIZE);
	if (!fresh)
		memset(page_addr(page), 0, count * PAGE_SIZE);
	return page_addr(page);
}

static size_t class_of(size_t size)
{
	size_t lo = 0, hi = CLASS_COUNT - 1;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (class_sizes[mid] >= size)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

/* Of the small classes a sandbox that does little needs few objects each. */
static size_t slab_pages(size_t class_index)
{
	return class_sizes[class_index] < 768 ? 4 : 8;
}

static struct slab *slab_create(size_t class_index)
{
	size_t size = class_sizes[class_index], head = ROUND_UP(sizeof(struct slab), (size_t)16);
	size_t pages = slab_pages(class_index);
	bool fresh;
	size_t page = pages_alloc(pages, &fresh);
	struct slab *s;

	if (!page)
		return NULL;
	for (size_t i = 0; i < pages; i++)
		DESCS[page + i] = (struct page_desc){
			.kind = PAGE_SLAB, .class_index = (uint8_t)class_index, .slab_offset = (uint8_t)i};
	s = page_addr(page);
	UNPOISON(s, sizeof(*s));
	*s = (struct slab){.class_index = (uint16_t)class_index, .base = (char *)s + head};
	s->total = (uint16_t)((pages * PAGE_SIZE - head) / size);
	s->fresh = s->free_count = s->total;
	POISON(s->base, s->total * size);
	return s;
}

static void *slab_take(struct slab *s, size_t size)
{
	void *p = s->free;

	if (p) {
		UNPOISON(p, size);
		s->free = *(void **)p;
	} else {
		p = s->base + (size_t)(s->total - s->fresh) * size;
		s->fresh--;
		UNPOISON(p, size);
	}
	s->free_count--;
	return p;
}

void *kmalloc(size_t size)
{
	struct size_class *c;
	struct slab *s;
	size_t ci;
	void *p;

	if (size > MAX_SMALL) {
		if (size > ARENA_SIZE)
			return NULL;
		return kalloc_pages(ROUND_UP(size, PAGE_SIZE) / PAGE_SIZE);
	}
	ci = class_of(size);
	c = &HEADER->classes[ci];
	mutex_lock(&c->lock);
	s = list_first(&c->partial, struct slab, node);
	if (!s) {
		s = slab_create(ci);
		if (!s) {
			mutex_unlock(&c->lock);
			return NULL;
		}
		list_add(&c->partial, &s->node);
	}
	p = slab_take(s, class_sizes[ci]);
	if (s->free_count == 0)
		list_del(&s->node);
	c->objects++;
	mutex_unlock(&c->lock);
	memset(p, 0, class_sizes[ci]);
#if SBX_ASAN
	POISON((char *)p + size, class_sizes[ci] - size);
#endif
	return p;
}

static struct slab *slab_of(const void *p)
{
	size_t page = addr_page(p);

	return page_addr(page - DESCS[page].slab_offset);
}

static void slab_free(void *p)
{
	struct slab *s = slab_of(p);
	struct size_class *c = &HEADER->classes[s->class_index];
	size_t size = class_sizes[s->class_index];
	/* the slab itself may be gone when it is asked */
	size_t pages = slab_pages(s->class_index);
	bool release = false;

	BUG_ON(((uintptr_t)p - (uintptr_t)s->base) % size != 0);
	UNPOISON(p, size);
	if (FREE_FILL)
		memset(p, 0x6b, size);
	mutex_lock(&c->lock);
	*(void **)p = s->free;
	s->free = p;
	POISON(p, size);
	c->objects--;
	if (s->free_count++ == 0)
		list_add(&c->partial, &s->node);
	if (s->free_count == s->total && s->node.next != &c->partial && !SBX_ASAN) {
		list_del(&s->node); /* keep one empty slab per class only */
		release = true;
	}
	mutex_unlock(&c->lock);
	if (release)
		pages_free(addr_page(s), pages);
}

void kfree(void *p)
{
	size_t page;

	if (!p)
		return;
	BUG_ON(!arena_contains(p));
	page = addr_page(p);
	if (DESCS[page].kind == PAGE_SLAB) {
		slab_free(p);
		return;
	}
	BUG_ON(DESCS[page].kind != PAGE_LARGE || !IS_ALIGNED((uintptr_t)p, PAGE_SIZE));
	if (FREE_FILL && DESCS[page].count < 16)
		memset(p, 0x6b, DESCS[page].count * PAGE_SIZE);
	POISON(p, DESCS[page].count * PAGE_SIZE);
	pages_free(page, DESCS[page].count);
}

size_t ksize(const void *p)
{
	size_t page = addr_page(p);

	if (DESCS[page].kind == PAGE_SLAB)
		return class_sizes[DESCS[page].class_index];
	return DESCS[page].count * PAGE_SIZE;
}

void *krealloc(void *p, size_t size)
{
	size_t have = p ? ksize(p) : 0;
	void *q;

	if (p && size <= have && (size > have / 2 || have <= 64)) {
#if SBX_ASAN
		UNPOISON(p, size);
#endif
		return p;
	}
	q = kmalloc(size);
	if (q && p) {
#if SBX_ASAN
		UNPOISON(p, have);
#endif
		memcpy(q, p, MIN(have, size));
		kfree(p);
	}
	return q;
}

void *kmemdup(const void *p, size_t n)
{
	void *q = kmalloc(n ? n : 1);

	if (q)
		memcpy(q, p, n);
	return q;
}

char *kstrndup(const char *s, size_t n)
{
	size_t len = strnlen(s, n);
	char *q = kmalloc(len + 1);

	if (q)
		memcpy(q, s, len);
	return q;
}

char *kstrdup(const char *s)
{
	return kmemdup(s, strlen(s) + 1);
}

void arena_stats(struct arena_stats *out)
{
	*out = (struct arena_stats){0};
	mutex_lock(&HEADER->page_lock);
	out->page_bytes = HEADER->used_pages * PAGE_SIZE;
	out->peak_page_bytes = HEADER->peak_pages * PAGE_SIZE;
	mutex_unlock(&HEADER->page_lock);
	for (size_t i = 0; i < CLASS_COUNT; i++) {
		struct size_class *c = &HEADER->classes[i];

		mutex_lock(&c->lock);
		out->objects += c->objects;
		out->used_bytes += c->objects * class_sizes[i];
		mutex_unlock(&c->lock);
	}
}
