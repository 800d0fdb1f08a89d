/* platform.h: what the kernel asks of a platform: address spaces whose mappings it decides, and contexts
 * that run guest code until something happens. See platform/README.md for the contract in prose.
 *
 * Vocabulary. A `struct aspace` is the host side of one guest address space (on ptrace and systrap: one
 * host process). A `struct context` is the host side of one task (there: one host thread), driven by one
 * sentry thread at a time, its owner: every function below that takes a context is called by the owner,
 * but for kick. Mapping calls name a context that runs in the address space, because the platform may have
 * to let it execute them; the kernel never changes the mappings of a space that the caller isn't in.
 *
 * Both structures are embedded at the head of the platform's own and live in the arena.
 * All results are 0 or a negative errno unless said otherwise. */
#pragma once

#include "platform/abi/types.h"
#include "platform/arch/x86_64/regs.h"
#include "platform/base/attr.h"
#include "platform/base/refs.h"

struct platform_ops;

/* Guest addresses: everything below GUEST_VA_END but for the hole that sbx keeps for itself. */
#define GUEST_VA_MIN   0x10000UL
#define GUEST_VA_END   0x7ffffffff000UL
#define SBX_HOLE_START 0x7e8000000000UL
#define SBX_HOLE_END   0x7f0000000000UL
/* in the hole: the arena (arena.h), then the platform's own pages in guest processes */
#define SBX_STUB_START 0x7ec000000000UL

struct platform {
	const struct platform_ops *ops; /* [I] */
	/* The host's vDSO and its data pages as they lie in every guest process (0: none). The kernel shows
	 * them in the guest's map and passes vdso_start in the auxiliary vector. */
	uaddr_t vvar_start, vdso_start, vdso_end; /* [I] */
	/* CHANGE_WORDS words (base/changes.h) that guests can read and the sentry writes, for answers given
	 * again; NULL: the platform gives none. */
	uint64_t *words; /* [I] */
};

struct aspace {
	struct platform *platform; /* [I] */
	struct refs refs;
	/* Called by the platform for pages of its own inside the guest's range (trampolines): finds room of
	 * size bytes within reach of near, records it as hidden, and returns it, or 0. Set by mm. It takes mm's
	 * lock: never call it from inside a mapping call (map, unmap, protect, remap, advise, fork). */
	uaddr_t (*alloc_hidden)(void *owner, uaddr_t near, uint64_t reach, uint64_t size);
	void *owner; /* [I] set by mm; borrowed */
};

struct context {
	struct platform *platform; /* [I] */
	struct aspace *as;	   /* [T] the space it runs in; holds a reference */
	/* Set by the kernel before each run. own: nothing is pending, so the platform may let the guest change
	 * its signal mask by itself; run_event says so, and sigmask_now tells others meanwhile. */
	uint64_t sigmask; /* [T] */
	bool sigmask_own; /* [T] */
	/* Also before each run: the signals (bit n - 1) whose action is SIG_DFL with nothing else set. The
	 * platform may say so to the guest, and take note of new flags, mask and restorer of theirs
	 * (run_event.actions_set); 0: nothing of the kind, because somebody else may change them. */
	uint64_t plain_signals; /* [T] */
	uint32_t sigmask_out; /* [a] set by the platform when the guest has the mask, cleared by the kernel when
			       * it has taken it back */
};

enum run_reason {
	RUN_SYSCALL,	/* nr and args are filled in; finish with context_set_result or by changing registers */
	RUN_FAULT,	/* a processor exception: signo, code, addr as the host's siginfo says */
	RUN_KICKED,	/* somebody called kick; the guest may not have run at all */
	RUN_MAP_FAILED, /* a mapping change that was reported as done could not be made: nr of the call, or -1
			 * when it belongs to an image or a child that hasn't run; code: -errno; args[0],
			 * args[1]: the place and size that was to be mapped, size 0 for other changes */
	RUN_EXITED,	/* the host thread is gone (killed from outside); only destroy is allowed */
};

#define CONTEXT_FILES 8 /* open files lent to a context, by descriptor modulo it */

struct run_event {
	enum run_reason reason;
	int64_t nr;	      /* RUN_SYSCALL */
	uint64_t args[6];     /* RUN_SYSCALL: one copy; the guest can't change it any more */
	int signo, code;      /* RUN_FAULT: SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP */
	uaddr_t addr;	      /* RUN_FAULT: si_addr */
	uint64_t trapno, err; /* RUN_FAULT: for the signal frame; zero when unknown */
	bool umask_changed;   /* any: the guest set its umask since the last event (context_facts.umask_own) */
	uint32_t umask;
	bool robust_changed; /* any: the guest set the head of its list of robust futexes */
	uaddr_t robust;
	bool sigmask_changed; /* any: the same of its signal mask (context.sigmask_own) */
	uint64_t sigmask;
	uint64_t actions_set; /* any: of context.plain_signals, those whose action the guest replaced by this
				 one: */
	uint64_t action_flags, action_restorer, action_mask; /* and SIG_DFL */
	uint32_t moved;			  /* any: bits of the lent files whose position the guest changed */
	uint64_t moved_to[CONTEXT_FILES]; /* where to; at most INT64_MAX */
};

/* How a mapping is backed. */
struct map_request {
	uaddr_t addr;  /* page aligned; replaces what is there */
	uint64_t size; /* page aligned, not zero */
	uint32_t prot; /* LINUX_PROT_READ | WRITE | EXEC */
	bool shared;   /* MAP_SHARED, else MAP_PRIVATE */
	bool noreserve, populate, growsdown, hugepage;
	int fd;		 /* host descriptor to map, -1 for anonymous; borrowed for the call */
	uint64_t offset; /* into fd */
};

#define CALL_WORDS 8 /* calls have numbers below 64 times that */

/* Answers that depend on nothing but the task. */
struct context_facts {
	int32_t pid, tid, ppid, pgid, sid;
	uint32_t uid, euid, gid, egid;
	uint64_t sigmask; /* blocked signals when published; a change of the mask alone isn't published */
	bool umask_own;	  /* nobody shares the umask: the platform may change it, and says so in run_event */
	uint32_t umask;
	bool no_fast; /* answer nothing (the task is traced or logged) */
	/* CALL_WORDS words, a bit for each call that may be answered; NULL: all. Borrowed for publish. */
	const uint64_t *allowed;
};

/* An answer about a name or a descriptor, which the platform may give again in the kernel's place while the
 * words are what they were, and until the next publish. */
enum answer_kind {
	ANSWER_MISSING,	 /* -ENOENT, whatever the call */
	ANSWER_STAT,	 /* out: struct linux_stat */
	ANSWER_STATX,	 /* out: struct linux_statx; mode: the mask asked for */
	ANSWER_ACCESS,	 /* 0; mode: MODE_OK bits, and ANSWER_EACCESS */
	ANSWER_NOT_LINK, /* -EINVAL of readlink(2); ANSWER_NOFOLLOW */
};
#define ANSWER_NOFOLLOW 1u /* flags: of a symbolic link itself */
#define ANSWER_FD	2u /* of the descriptor `dir`; no path */
#define ANSWER_EACCESS	8u
#define ANSWER_DIR_ROOT 0u /* dir of absolute paths; */
#define ANSWER_DIR_CWD	1u /* of those that start at the current directory; others: whatever names one */
struct context_answer {
	enum answer_kind kind;
	uint32_t flags, mode;
	uint64_t dir;
	const char *path; /* path_len bytes, without the NUL */
	uint32_t path_len, out_size;
	const void *out;
	uint32_t word[2];  /* indices */
	uint64_t value[2]; /* not busy */
	/* Optional (fd -1: none): descriptor fd is the directory `dir`, while this word stays. */
	int fd;
	uint32_t fd_word;
	uint64_t fd_value;
};

/* An open file whose reads and writes the platform may carry out in the kernel's place while the words are what
 * they were, and until the next publish. */
#define LENT_DATA 1u /* reads of what lies in the host file */
#define LENT_POS  2u /* read(2) and lseek(2) too: the position is nobody else's */
#define LENT_SINK 4u /* writes vanish */
struct context_file {
	int fd;
	uint32_t flags;
	int host_fd;	    /* LENT_DATA: open read-only; borrowed for the call. -1: only the end is known */
	uint64_t host_off;  /* of the file's start in it */
	uint64_t from;	    /* what is read first: a window of the platform's choosing is made from there on */
	uint64_t size, pos; /* the file's */
	uint32_t word[3];
	uint64_t value[3];
};

struct platform_ops {
	const char *name;
	/* Can it work on this host? 0, or -errno with one line of explanation in why. */
	int (*probe)(char *why, size_t size);
	/* Once, before other threads exist. On success *out is set. */
	int (*create)(struct platform **out);
	void (*destroy)(struct platform *p);
	/* Optional: waiting awake would take time from whom is waited for (a quota of processor time). Before
	 * the first context. */
	void (*no_spare_cpu)(struct platform *p);

	/* The first context: a fresh empty address space with one context in it. */
	int (*context_create)(struct platform *p, struct context **out);
	/* A copy of c's address space as host fork makes it (private mappings copy-on-write), with one
	 * context whose registers and FP state are c's. The new context isn't bound. *out holds the only
	 * reference to its space. */
	int (*context_fork)(struct context *c, struct context **out);
	/* Another context in c's address space, with c's registers and FP state, not bound. */
	int (*context_thread)(struct context *c, struct context **out);
	/* For execve: gives c a fresh empty address space (it may reuse the host process when c is the only
	 * context of the old one) and drops its reference to the old one. Registers are undefined until set;
	 * FP state is reset. On failure c is unchanged. */
	int (*context_new_aspace)(struct context *c);
	/* Makes the calling host thread the owner. Once for each context, before anything else by that thread.
	 */
	int (*context_bind)(struct context *c);
	/* Ends the host thread and drops the reference to the space. By the owner (or anybody when it was
	 * never bound). */
	void (*context_destroy)(struct context *c);

	/* The last reference of a space is gone; every context has left it. From any thread. */
	void (*aspace_destroy)(struct aspace *as);

	/* Resumes the guest and waits for an event. Registers that were changed are loaded first. */
	int (*run)(struct context *c, struct run_event *ev);
	/* Makes the current or the next run return RUN_KICKED soon. From any thread; c must stay alive. */
	void (*kick)(struct context *c);

	/* Registers as of the last event; valid until the next run. write: they will be loaded. */
	struct guest_regs *(*regs)(struct context *c, bool write);
	/* The result of the call of the last event; cheaper than regs. */
	void (*set_result)(struct context *c, int64_t result);
	/* The extended state in the layout of XSAVE's standard form as signal frames hold it (512-byte legacy
	 * area, header, components). size: in, the room; out, the size used. */
	int (*fpstate_get)(struct context *c, void *buf, size_t *size);
	/* Hostile content is refused with -EINVAL (reserved bits), never executed. size 0 resets. */
	int (*fpstate_set)(struct context *c, const void *buf, size_t size);
	/* The largest size fpstate_get returns, and the XFEATURE mask it covers. */
	size_t (*fpstate_size)(struct platform *p, uint64_t *xfeatures);

	/* Mappings of c's own address space. */
	int (*map)(struct context *c, const struct map_request *r);
	int (*unmap)(struct context *c, uaddr_t addr, uint64_t size);
	int (*protect)(struct context *c, uaddr_t addr, uint64_t size, uint32_t prot);
	/* Moves old to new (room is made by the call); sizes as mremap(2); flags LINUX_MREMAP_*. new_addr is
	 * always given. */
	int (*remap)(struct context *c, uaddr_t old, uint64_t old_size, uaddr_t new_addr, uint64_t new_size,
		     uint32_t flags);
	/* LINUX_MADV_* that only give advice or drop contents: DONTNEED, FREE, WILLNEED, HUGEPAGE, ... */
	int (*advise)(struct context *c, uaddr_t addr, uint64_t size, int advice);
	/* Residency as mincore(2): one byte a page into vec. */
	int (*mincore)(struct context *c, uaddr_t addr, uint64_t size, uint8_t *vec);

	/* Bytes copied before the first fault, honouring the mappings' protection; 0 when nothing could be. c:
	 * a context in as owned by the caller, or NULL (another process's memory: ptrace, /proc/pid/mem). */
	ssize_t (*copy_in)(struct aspace *as, struct context *c, void *dst, uaddr_t src, size_t size);
	ssize_t (*copy_out)(struct aspace *as, struct context *c, uaddr_t dst, const void *src, size_t size);
	/* Optional: copy_out of zeros. */
	ssize_t (*zero_out)(struct aspace *as, struct context *c, uaddr_t dst, size_t size);
	/* Ignores write protection of private mappings (breakpoints): ptrace(2) POKE only. */
	ssize_t (*poke)(struct aspace *as, uaddr_t dst, const void *src, size_t size);
	/* Atomic compare-and-exchange of an aligned word: 0 when done or when it differed (*expected is then
	 * what was found), -EFAULT. */
	int (*cmpxchg_u32)(struct context *c, uaddr_t addr, uint32_t *expected, uint32_t desired);

	/* Optional: makes what map and its like, and copy_out, have put off visible to others now. By the
	 * owner, before it lets somebody else look at its memory for longer. */
	void (*settle)(struct context *c);

	/* Optional (NULL: not used): what the platform may answer in the guest's place from now on, until the
	 * next publish. Called by the owner when a value changed, before it returns to the guest. */
	void (*publish)(struct context *c, const struct context_facts *facts);

	/* Optional: remembers an answer. By the owner, between two runs. */
	void (*answer)(struct context *c, const struct context_answer *a);
	/* Optional: how many of these answers the guest took since the last time; its own word. By the owner.
	 */
	uint32_t (*answers_used)(struct context *c);
	/* Optional, all or none: lends a file in place of fd % CONTEXT_FILES; *end: up to where it can be read.
	 * take_back: what was lent there isn't any more. set_position: of what was lent with LENT_POS. By the
	 * owner, between two runs, when positions were looked after (run_event.moved). */
	int (*lend)(struct context *c, const struct context_file *f, uint64_t *end);
	void (*take_back)(struct context *c, unsigned i);
	void (*set_position)(struct context *c, unsigned i, uint64_t pos);

	/* Optional: c's signal mask at this moment, while sigmask_out. From any thread; c must stay alive. The
	 * guest's word: to decide whom to wake, no more. */
	uint64_t (*sigmask_now)(struct context *c);

	/* Optional, together: the platform lets guests wait on and wake futexes on the host, unless told not to
	 * (no_fast). asleep: does c's thread do so now? From any thread. waiters: the kernel has delta more
	 * waiters of its own on private futexes of c's space, or on shared ones; called before they compare.
	 * wake: those on the host; when the kernel wakes on its own account, or for a task with no_fast; how
	 * many it woke. wake_last: one of those on the host, shared or private, as the last thing that c's
	 * thread does before it is destroyed; false: it can't promise that. */
	bool (*asleep)(struct context *c);
	void (*futex_waiters)(struct context *c, bool is_private, int delta);
	int (*futex_wake)(struct context *c, uaddr_t addr, bool is_private, uint32_t count);
	bool (*futex_wake_last)(struct context *c, uaddr_t addr);

	/* CPU time used by the guest in c's host thread, ns; 0 if unknown. From any thread. */
	uint64_t (*cpu_time)(struct context *c);
	/* Resident memory of a space, bytes; 0 if unknown. From any thread. */
	uint64_t (*resident)(struct aspace *as);
	/* Optional: what the platform counted since the start, one call of emit a figure. From any thread. */
	void (*stats)(struct platform *p, void (*emit)(void *arg, const char *name, uint64_t value), void *arg);
};

/* NULL picks the default. Logs why when there is none. */
const struct platform_ops *platform_select(const char *name);

extern const struct platform_ops ptrace_platform_ops;
extern const struct platform_ops systrap_platform_ops;

static inline void aspace_get(struct aspace *as)
{
	refs_get(&as->refs);
}

static inline void aspace_put(struct aspace *as)
{
	if (refs_put(&as->refs))
		as->platform->ops->aspace_destroy(as);
}
