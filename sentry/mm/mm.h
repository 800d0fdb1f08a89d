/* mm.h: the books of a guest address space: which mappings it has, and why. Every change is mirrored
 * through the platform into the host address space, which does the actual work (page tables, copy on
 * write, faults). One struct mm is shared by the tasks of a thread group (and vfork children).
 *
 * Calls that change mappings take the caller's context and are made by a task that runs in this mm. Lock:
 * mm->lock, rank MM, held across the platform calls so that books and host agree. */
#pragma once

#include "platform/base/lock.h"
#include "platform/base/rbtree.h"
#include "platform/base/refs.h"
#include "platform/platform.h"
#include "sentry/cred/cred.h"
#include "sentry/mm/mappable.h"
#include "sentry/mm/usermem.h"

struct strbuf;
struct vma_name;

enum vma_kind {
	VMA_NORMAL,
	VMA_STACK,  /* [stack] */
	VMA_HEAP,   /* [heap] */
	VMA_VDSO,   /* [vdso] */
	VMA_VVAR,   /* [vvar] */
	VMA_HIDDEN, /* the platform's own, not shown, not changeable by the guest */
};

struct vma {
	struct rbnode node;    /* [mm lock] keyed by start; VMAs don't overlap */
	uint64_t gap, max_gap; /* [mm lock] free bytes before start; the most in the subtree */
	uaddr_t start, end;    /* [mm lock] */
	uint32_t prot;	       /* [mm lock] LINUX_PROT_* */
	uint32_t max_prot;     /* [mm lock] what mprotect may reach (file opened read-only) */
	uint32_t flags;	       /* [mm lock] LINUX_MAP_SHARED, NORESERVE, GROWSDOWN, LOCKED, and VMA_ACCOUNT */
	enum vma_kind kind;    /* [mm lock] */
	struct mappable *file; /* [mm lock] NULL: anonymous private; shared anonymous has a mappable too */
	uint64_t offset;       /* [mm lock] of start in file; anonymous: the address it was first mapped at */
	bool dontfork, wipeonfork, dontdump; /* [mm lock] */
	struct vma_name *anon_name;	     /* [mm lock] PR_SET_VMA_ANON_NAME; reference */
};

/* What the first thread of a forked child has to do to its own space: see mm_fork_finish. */
struct mm_fixup {
	uaddr_t start, end;
	uint32_t prot;
	bool wipe; /* else unmap */
};

struct mm {
	struct refs refs;
	struct aspace *as; /* [I] after creation; holds a reference */
	struct mutex lock;
	struct rbtree vmas;					     /* [lock] */
	uint64_t total_pages, data_pages, locked_pages, stack_pages; /* [lock] for limits and /proc */
	uint32_t map_count;					     /* [lock] VMAs that the guest can see */
	bool lock_future;					     /* [lock] mlockall(MCL_FUTURE) */
	struct mm_fixup *fixups; /* [lock] owned; left by fork until mm_fork_finish */
	uint32_t fixup_count;	 /* [lock] */
	uaddr_t mmap_top;	 /* [I] top-down allocation starts here */
	uaddr_t brk_start, brk;	 /* [lock] */
	uaddr_t start_code, end_code, start_data, end_data, start_stack; /* [lock] set by the loader */
	uaddr_t arg_start, arg_end, env_start, env_end;			 /* [lock] */
	uint64_t auxv[48];						 /* [lock] pairs, for /proc/pid/auxv */
	uint32_t auxv_count;						 /* [lock] words */
	struct mappable *exe;		/* [lock] holds a reference; for /proc/pid/exe identity only */
	uint32_t dumpable;		/* [a] PR_SET_DUMPABLE */
	void *aio;			/* [a] set once: contexts of io_setup(2), for the system calls */
	void (*aio_destroy)(void *aio); /* set before aio */
	uint64_t id;			/* [I] unique, for private futex keys */
	bool moved;			/* [I] the space was handed to a fresh mm */
};

/* The books for a fresh address space that ctx has just been given (context_create, context_new_aspace).
 * Picks mmap_top below the stack with the usual randomisation; records the vDSO and the hole. */
MUST_CHECK int mm_create(struct context *ctx, struct mm **out);
/* fork: the books of child's space, copied from mm. The caller holds mm's lock from before context_fork
 * until after this call, see mm_fork_begin. */
MUST_CHECK int mm_fork(struct mm *mm, struct context *child, struct mm **out);
void mm_fork_begin(struct mm *mm) ACQUIRES(mm->lock);
void mm_fork_end(struct mm *mm) RELEASES(mm->lock);
/* In the child's own thread, once its context is bound and before it runs: unmaps what fork doesn't inherit
 * (MADV_DONTFORK) and wipes MADV_WIPEONFORK ranges. A failure must kill the child. */
MUST_CHECK int mm_fork_finish(struct mm *mm, struct context *ctx);
static inline struct mm *mm_get(struct mm *mm)
{
	refs_get(&mm->refs);
	return mm;
}
void mm_put(struct mm *mm);

struct mmap_args {
	uaddr_t addr; /* a hint, or the place with LINUX_MAP_FIXED(_NOREPLACE) */
	uint64_t size;
	uint32_t prot, flags;  /* LINUX_PROT_*, LINUX_MAP_* */
	struct mappable *file; /* borrowed; NULL with LINUX_MAP_ANONYMOUS */
	uint64_t offset;
	uint32_t max_prot; /* 0: all */
	enum vma_kind kind;
};

/* The address on success. limits: RLIMIT_AS, DATA, MEMLOCK are checked. */
MUST_CHECK int64_t mm_mmap(struct mm *mm, struct context *ctx, struct rlimits *limits,
			   const struct mmap_args *a);
/* Where mm_mmap would put size bytes without a hint; 0 when there is no room. For the loader, whose space
 * nobody else changes. */
uaddr_t mm_find_free(struct mm *mm, uint64_t size, uint64_t align);
/* Is [addr, addr + size) free and usable by the guest? */
bool mm_is_free(struct mm *mm, uaddr_t addr, uint64_t size);
MUST_CHECK int mm_munmap(struct mm *mm, struct context *ctx, uaddr_t addr, uint64_t size);
/* shmdt(2): unmaps whatever is left of the attachment at addr of an object with these operations: pieces
 * that lie where offset 0 at addr puts them. -EINVAL when there is none. */
MUST_CHECK int mm_unmap_object(struct mm *mm, struct context *ctx, uaddr_t addr,
			       const struct mappable_ops *ops);
MUST_CHECK int mm_mprotect(struct mm *mm, struct context *ctx, uaddr_t addr, uint64_t size, uint32_t prot);
MUST_CHECK int64_t mm_mremap(struct mm *mm, struct context *ctx, struct rlimits *limits, uaddr_t old,
			     uint64_t old_size, uint64_t new_size, uint32_t flags, uaddr_t new_addr);
/* The new break, or the old one on failure, as brk(2) the system call. */
uaddr_t mm_brk(struct mm *mm, struct context *ctx, struct rlimits *limits, uaddr_t brk);
MUST_CHECK int mm_madvise(struct mm *mm, struct context *ctx, uaddr_t addr, uint64_t size, int advice);
MUST_CHECK int mm_msync(struct mm *mm, struct context *ctx, uaddr_t addr, uint64_t size, int flags);
MUST_CHECK int mm_mincore(struct mm *mm, struct context *ctx, uaddr_t addr, uint64_t size, uaddr_t vec);
MUST_CHECK int mm_mlock(struct mm *mm, struct rlimits *limits, bool cap, uaddr_t addr, uint64_t size,
			bool lock);
MUST_CHECK int mm_mlockall(struct mm *mm, struct rlimits *limits, bool cap, int flags, bool lock);
MUST_CHECK int mm_set_anon_name(struct mm *mm, uaddr_t addr, uint64_t size, const char *name);

/* For shared futexes: a file identity and offset when addr lies in a shared mapping, else the mm's id and
 * addr. -EFAULT when nothing is mapped there. */
struct futex_key {
	uint64_t object, offset;
};
MUST_CHECK int mm_futex_key(struct mm *mm, uaddr_t addr, bool is_private, struct futex_key *out);

/* The mapping at addr, for fault signals: 0 and a copy of its prot and kind, or -EFAULT. */
MUST_CHECK int mm_lookup(struct mm *mm, uaddr_t addr, uint32_t *prot, enum vma_kind *kind);

/* A fault at addr, where nothing is mapped: grows a MAP_GROWSDOWN mapping above down to it. 0: try again.
 */
MUST_CHECK int mm_grow(struct mm *mm, struct context *ctx, struct rlimits *limits, uaddr_t addr);

/* /proc/pid/maps, smaps and statm */
void mm_show_maps(struct mm *mm, struct strbuf *out, bool smaps);
/* For a core file: every mapping that the guest sees (at most max), in order. NULL: no memory. */
struct mm_range {
	uaddr_t start, end;
	uint64_t offset; /* in its file */
	uint64_t dump;	 /* bytes from start that core(5) says belong in it */
	uint32_t prot;
	char *name; /* of its file; NULL: none. Owned */
};
struct mm_range *mm_core_ranges(struct mm *mm, uint32_t max, uint32_t *count);
void mm_ranges_free(struct mm_range *r, uint32_t count);
/* bytes; resident comes from the platform */
void mm_usage(struct mm *mm, uint64_t *virtual_size, uint64_t *resident, uint64_t *data, uint64_t *stack,
	      uint64_t *text);

/* Guest memory of mm; ctx (may be NULL) is a context of it that the caller owns. */
struct usermem mm_usermem(struct mm *mm, struct context *ctx);

/* A shared anonymous object (MAP_SHARED|MAP_ANONYMOUS, System V shm): a memfile behind a mappable. */
MUST_CHECK int anon_shared_create(uint64_t size, const char *name, struct mappable **out);
