/* book.h: the books of a process's patched call sites (book.c), and what changes them (patches.c). */
#pragma once

#include "platform/patch/patch.h"
#include "platform/systrap/internal.h"

#define POOL_SIZE  0x10000UL
#define POOL_HEAD  64 /* holds the address of the stub's entry */
#define POOL_SLOTS ((POOL_SIZE - POOL_HEAD) / PATCH_TRAMP_SIZE)
#define POOL_REACH 0x60000000UL
#define POOLS_MAX  64
#define SITES_MAX  8192
#define TEXTS_MAX  512

struct site {
	uaddr_t call;	      /* address of the call instruction */
	uaddr_t start;	      /* of the jump */
	uaddr_t tramp, entry; /* the trampoline, and where its pool keeps the stub's entry */
	struct patch_plan plan;
	bool live; /* the jump is in the text */
	uint8_t old[PATCH_JUMP_SIZE];
};

struct pool {
	uaddr_t at;
	uint16_t site_of[POOL_SLOTS]; /* index + 1; 0: free. Never reused: a thread may still be in there. */
};

struct text {
	uaddr_t start, end;
	uint32_t prot;
};

struct patch_book {
	struct refs refs;
	bool disabled;
	uint32_t site_count, site_cap, text_count, pool_count, hash_cap;
	struct site *sites;
	uint16_t *hash;	    /* open addressing by call: index + 1 */
	struct text *texts; /* TEXTS_MAX, sorted by start, disjoint */
	struct pool *pools[POOLS_MAX];
};

/* All with proc->lock held. The book of proc, its own, for a change; NULL without memory. */
struct patch_book *book_own(struct sys_proc *proc);
/* b may be NULL; NULL when the call isn't in it. Valid until the book grows. */
struct site *book_find(const struct patch_book *b, uaddr_t call);
/* Enters a copy of s. Its index + 1, or -ENOMEM. */
MUST_CHECK int book_add(struct patch_book *b, const struct site *s);
/* The private, executable, not writable text that holds [start, end), or NULL. */
const struct text *book_text(const struct patch_book *b, uaddr_t start, uaddr_t end);

/* Has proc any book? Without the lock: once yes, always yes. */
static inline bool has_book(struct sys_proc *proc)
{
	return __atomic_load_n(&proc->patches, __ATOMIC_ACQUIRE) != NULL;
}
