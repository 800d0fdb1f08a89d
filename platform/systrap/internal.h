/* internal.h: systrap's own structures. See README.md for the idea.
 *
 * proc:    a host process: the slots it shares with us, its socket, its patches. One address space each.
 * aspace:  what the kernel holds of a proc; may outlive the host process.
 * context: one host thread: a slot of its proc.
 *
 * Locks, all of rank PLATFORM, in this order: platform.zygote_lock, proc.text_lock,
 * proc.fd_lock, context where_lock, proc.lock, platform.lock. */
#pragma once

#include "platform/base/list.h"
#include "platform/base/lock.h"
#include "platform/platform.h"
#include "platform/systrap/stub/shared.h"

#define PROC_HASH 256
#define READY_MAX 2

struct systrap_stats {
#define STAT(name) uint64_t name;
#include "platform/systrap/stats.def"
#undef STAT
};

struct sys_platform {
	struct platform base;
	struct mutex lock;
	struct list procs[PROC_HASH]; /* [lock] by host pid */
	struct sys_context *zygote;   /* [I]; used under zygote_lock */
	struct mutex zygote_lock;
	struct sys_context *ready[READY_MAX]; /* [lock] fresh processes for exec */
	uint32_t ready_count;		      /* [lock] */
	uint32_t refilling;		      /* [a] a thread makes more */
	int pgid;			      /* [I] of all guest processes */
	uint32_t spin_limit;		      /* [I] 0: no spare processor */
	uint32_t spinners;		      /* [a] threads that spin now */
	uint32_t spinners_max;		      /* [I] */
	uint32_t closing;		      /* [a] */
	int words_fd;			      /* [I] the memory of base.words */
	uint64_t epoch;			      /* [a] the last one given to a slot */
	uint64_t kick_deadline;		      /* [I] ns that a kicked guest may take before it is killed */
	bool no_process_vm;		      /* [a] the host forbids it: stubs copy */
	uint64_t xfeatures;		      /* [I] */
	size_t fp_size;			      /* [I] */
	uint32_t mxcsr_mask;		      /* [I] */
	const struct stub_header *stub;	      /* [I] our copy of the blob */
	struct systrap_stats stats;	      /* [lock] of contexts that ended */
};

/* How often calls came from a site by signal. */
struct trap_count {
	uaddr_t site;
	uint32_t count;
};

#define TRAP_COUNTS 128

struct sys_proc {
	struct refs refs; /* aspace, contexts, the table while the host process lives */
	struct sys_platform *platform;
	struct list node;	/* [platform lock] */
	int pid;		/* [I] */
	int sock;		/* [I] our end */
	int memfd;		/* [I] */
	char *slots;		/* [I] our view */
	uint32_t dead;		/* [a] */
	uint32_t users;		/* [a] who name the pid to the host now; it is reaped when there are none */
	uint32_t threaded;	/* [a] has or had a second context */
	struct mutex fd_lock;	/* descriptors are on their way: one message at a time */
	struct mutex text_lock; /* text is being patched, or mappings of a threaded process are changed */
	struct mutex lock;
	uint32_t slots_sized;	       /* [lock] slots that the memfd has room for */
	struct sys_context **contexts; /* [lock] by slot, cap of them */
	uint32_t cap;		       /* [lock] */
	uint32_t context_count;	       /* [lock] */
	uint32_t slot_hint;	       /* [lock] */
	uint64_t cpu_seen;	       /* [lock] ns of the host process that were shared out */
	struct patch_book *patches;    /* [lock] NULL: none yet */
	/* [a] direct-mapped by site: of all threads, since one that lives shortly comes by each site once */
	struct trap_count traps[TRAP_COUNTS];
	uint32_t hopeless[HOPELESS]; /* [a] what a new slot gets */
};

struct sys_aspace {
	struct aspace base;
	struct sys_proc *proc; /* [I] */
};

/* What travels with the call that is being served: checked copies of what the stub said. */
struct call_copies {
	struct {
		uaddr_t at;
		uint32_t size, off; /* off: in the slot; size 0: none */
		bool path;
	} in[2];
	uaddr_t out_at;
	uint32_t out_size; /* of the memory that may be written to with the answer */
	uint32_t out_used; /* bytes of the slot's room that are taken */
	uint32_t count;	   /* outputs left so far */
};

/* Operations that the stub does before it goes on (batch.c). */
struct batch {
	uint32_t count, data; /* data: bytes used */
	uint32_t fds;
	bool failed; /* one was not done; to be reported by the next run */
	int error;
	uaddr_t addr; /* what it was about: a mapping that the books have, or size 0 */
	uint64_t size;
	struct {
		uaddr_t addr;
		uint64_t size;
	} map[64];
};

struct sys_context {
	struct context base;
	struct sys_proc *proc;	     /* [T] */
	struct stub_slot *slot;	     /* [T] our view of it */
	uint32_t index;		     /* [T] slot number */
	struct mutex where_lock;     /* proc and tid against kick and cpu_time from other threads */
	int tid;		     /* [where_lock] */
	uint32_t running;	     /* [a] inside run, the guest may be at work */
	uint32_t kicked;	     /* [a] */
	bool gone;		     /* [T] RUN_EXITED was seen */
	bool fresh;		     /* [T] nothing was done in its space yet */
	bool unrun;		     /* [T] the guest has not run in its space yet */
	bool exec;		     /* [T] unrun, and an image is being made */
	struct batch batch;	     /* [T] */
	char *page;		     /* [T] exec reads strings by the page: a copy of page_at, NULL before */
	uaddr_t page_at;	     /* [T] */
	uint32_t page_size;	     /* [T] bytes of it that could be read; 0: none kept */
	bool has_result;	     /* [T] result is to be loaded */
	bool regs_valid, regs_dirty; /* [T] */
	int64_t result;		     /* [T] */
	int64_t nr;		     /* [T] of the last call, -1 outside one */
	uint64_t frame; /* [T] offset in the slot of the frame's ucontext; 0: registers in the slot */
	uint64_t fs_base, gs_base;    /* [T] what the guest has or wants */
	uint64_t host_fs, host_gs;    /* [T] what its thread has loaded; host_gs 0: the stub's */
	struct guest_regs regs;	      /* [T] */
	bool fp_here;		      /* [T] the slot's area has the extended state, no frame does */
	uaddr_t exit_wake;	      /* [T] the thread's last act: a wake-up there; 0: none */
	struct context_facts facts;   /* [T] as published last */
	uint64_t allowed[CALL_WORDS]; /* [T] facts.allowed */
	struct call_copies copies;    /* [T] */
	struct systrap_stats stats;   /* [T] */
	uint32_t penalty, skip;	      /* [T] of spinning for the guest */
	uint32_t together;	      /* [T] waits with the guest on our own processor */
	uint32_t answers_used;	      /* [T] of the guest's count, seen */
	uint64_t answer_stamp;	      /* [T] */
	uint32_t lent;		      /* [T] bits: files lent with their position */
	uint64_t cpu_ns;	      /* [proc lock] its share so far */
};

static inline struct sys_platform *sys_platform(struct platform *p)
{
	return container_of(p, struct sys_platform, base);
}

static inline struct sys_context *sys_context(struct context *c)
{
	return container_of(c, struct sys_context, base);
}

static inline struct sys_aspace *sys_aspace(struct aspace *as)
{
	return container_of(as, struct sys_aspace, base);
}

/* Locks of this room nest in the order above. */
#define LOCK(m) mutex_lock_nested(m)

/* Each context counts for itself; the sums are folded into the platform's when it ends. */
#define STAT_INC(c, field) ((c)->stats.field++)

static inline uint64_t slot_address(uint32_t index)
{
	return STUB_SLOTS_ADDR + (uint64_t)index * SLOT_SIZE;
}

/* proc.c */
MUST_CHECK int proc_alloc(struct sys_platform *p, struct sys_proc **out, int *child_sock);
void proc_put(struct sys_proc *proc);
void proc_register(struct sys_proc *proc, int pid);
bool proc_is_registered(struct sys_platform *p, int pid);
MUST_CHECK int proc_take_slot(struct sys_proc *proc, struct sys_context *c, uint32_t want);
bool proc_drop_slot(struct sys_proc *proc, struct sys_context *c);
void proc_kill(struct sys_proc *proc);
/* Brackets for calls that name proc's pid. use: false when it is dead; unuse in any case. */
static inline bool proc_use(struct sys_proc *proc)
{
	__atomic_fetch_add(&proc->users, 1, __ATOMIC_SEQ_CST);
	return !__atomic_load_n(&proc->dead, __ATOMIC_SEQ_CST);
}

static inline void proc_unuse(struct sys_proc *proc)
{
	__atomic_fetch_sub(&proc->users, 1, __ATOMIC_RELEASE);
}

/* Makes c's thread look, and its owner too. From any thread. */
void proc_signal(struct sys_context *c);
void proc_reaper(void *platform);
void slot_init(struct sys_context *c);
MUST_CHECK int aspace_alloc(struct sys_platform *p, struct sys_proc *proc, struct sys_aspace **out);
MUST_CHECK int context_alloc(struct sys_platform *p, struct sys_context **out);

/* zygote.c */
MUST_CHECK int zygote_start(struct sys_platform *p);

/* handover.c: the owner's side of the word. All return -ESRCH when the process is gone. */
MUST_CHECK int handover_wait(struct sys_context *c, bool guest);
void handover_post(struct sys_context *c, uint32_t kind);
/* A command: nr for CMD_CALL; its result. */
int64_t stub_command(struct sys_context *c, uint32_t cmd, int64_t nr, uint64_t a0, uint64_t a1, uint64_t a2,
		     uint64_t a3, uint64_t a4, uint64_t a5);
MUST_CHECK int stub_send_fds(struct sys_proc *proc, const int *fds, unsigned count);

/* context.c */
int systrap_run(struct context *c, struct run_event *ev);
void systrap_kick(struct context *c);
struct guest_regs *systrap_regs(struct context *c, bool write);
void systrap_set_result(struct context *c, int64_t result);
void regs_pull(struct sys_context *c);

/* patches.c */
void patch_book_put(struct patch_book *b); /* NULL is none */
struct patch_book *patch_book_get(struct patch_book *b);
uint64_t patch_ip_to_guest(struct sys_context *c, uint64_t ip); /* out of a trampoline */
uint64_t patch_ip_to_host(struct sys_context *c, uint64_t ip);	/* off an overwritten instruction */
void patch_arrival(struct sys_context *c); /* a call came by signal: patch its site, if it can be */
bool patch_fault(struct sys_context *c);   /* a fault that a patch caused, and that is repaired */
void patch_disable(struct sys_context *c); /* no patched sites in this process from now on */
/* Mapping changes, as they are made; with the text locked. */
void patch_lock_text(struct sys_context *c);
void patch_unlock_text(struct sys_context *c);
void patch_forget(struct sys_context *c, uaddr_t addr, uint64_t size); /* the contents go */
void patch_undo(struct sys_context *c, uaddr_t addr, uint64_t size);   /* they will move */
void patch_note_text(struct sys_context *c, uaddr_t addr, uint64_t size, uint32_t prot);
void patch_note_prot(struct sys_context *c, uaddr_t addr, uint64_t size, uint32_t prot);

/* fork.c */
void fork_refill(void *platform);
void fork_drop_ready(struct sys_platform *p);
int systrap_context_create(struct platform *p, struct context **out);
int systrap_context_fork(struct context *c, struct context **out);
int systrap_context_thread(struct context *c, struct context **out);
int systrap_context_new_aspace(struct context *c);
int systrap_context_bind(struct context *c);
void systrap_context_destroy(struct context *c);
void systrap_aspace_destroy(struct aspace *as);

/* memory.c */
int systrap_map(struct context *c, const struct map_request *r);
int systrap_unmap(struct context *c, uaddr_t addr, uint64_t size);
int systrap_protect(struct context *c, uaddr_t addr, uint64_t size, uint32_t prot);
int systrap_remap(struct context *c, uaddr_t old, uint64_t old_size, uaddr_t new_addr, uint64_t new_size,
		  uint32_t flags);
int systrap_advise(struct context *c, uaddr_t addr, uint64_t size, int advice);
int systrap_mincore(struct context *c, uaddr_t addr, uint64_t size, uint8_t *vec);

/* travel.c: copies that travel with calls */
void copies_start(struct sys_context *c, const struct run_event *ev);
/* Writes what was left with the answer now, because something else must come after it. */
void copies_flush(struct sys_context *c);
ssize_t copies_in(struct sys_context *c, void *dst, uaddr_t src, size_t size);	   /* -1: not here */
bool copies_out(struct sys_context *c, uaddr_t dst, const void *src, size_t size); /* false: not here */

/* batch.c. add: an operation that is done with the next message to the stub, before what that says; false:
 * do it now, by a command (those are done after what is batched). Only while c is alone in its space. map:
 * for the report of a failure, what the books have mapped (size 0: nothing). */
bool batch_call(struct sys_context *c, int nr, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3,
		uint64_t want, bool may_fail);
/* What may be late among other threads too; the result is to be 0. */
bool batch_own(struct sys_context *c, int nr, uint64_t a0, uint64_t a1, uint64_t a2);
/* Of what lies at SLOT_FP. */
bool batch_fp_load(struct sys_context *c);
bool batch_map(struct sys_context *c, uaddr_t addr, uint64_t size, int prot, int flags, int fd,
	       uint64_t offset);
bool batch_copy_out(struct sys_context *c, uaddr_t dst, const void *src, size_t size);
/* Does them now. */
void batch_flush(struct sys_context *c);
void systrap_settle(struct context *c);
/* May changes of the one context in proc's space still be on their way? From any thread. */
bool batch_is_late(struct sys_proc *proc);
/* With the answer to a message that took the batch along: false when an operation failed. */
bool batch_settle(struct sys_context *c);

/* copy.c */
bool copy_prefers_stub(struct sys_context *c);
/* -EPERM: the host forbids it. */
ssize_t copy_by_host(struct sys_context *c, bool write, uaddr_t addr, void *buf, size_t size);
ssize_t copy_now(struct sys_context *c, bool write, uaddr_t addr, void *buf, size_t size);
ssize_t systrap_copy_in(struct aspace *as, struct context *c, void *dst, uaddr_t src, size_t size);
ssize_t systrap_copy_out(struct aspace *as, struct context *c, uaddr_t dst, const void *src, size_t size);
ssize_t systrap_zero_out(struct aspace *as, struct context *c, uaddr_t dst, size_t size);
ssize_t systrap_poke(struct aspace *as, uaddr_t dst, const void *src, size_t size);
int systrap_cmpxchg_u32(struct context *c, uaddr_t addr, uint32_t *expected, uint32_t desired);

/* fpu.c */
int systrap_fpstate_get(struct context *c, void *buf, size_t *size);
int systrap_fpstate_set(struct context *c, const void *buf, size_t size);
size_t systrap_fpstate_size(struct platform *p, uint64_t *xfeatures);
void fpu_probe(struct sys_platform *p);
/* The FP state of c's frame into the slot area of child (a thread to be). */
void fpu_copy_frame(struct sys_context *c, struct sys_context *child);

/* facts.c */
void systrap_publish(struct context *c, const struct context_facts *f);
void facts_offer(struct sys_context *c);
uint64_t systrap_sigmask_now(struct context *c);
bool systrap_asleep(struct context *c);
void systrap_futex_waiters(struct context *c, bool is_private, int delta);
int systrap_futex_wake(struct context *c, uaddr_t addr, bool is_private, uint32_t count);
bool systrap_futex_wake_last(struct context *c, uaddr_t addr);
void facts_sync(struct sys_context *c, struct run_event *ev);
uint64_t vdso_symbol(uint64_t base, uint64_t size, const char *name);

/* answers.c */
void answers_forget(struct sys_context *c); /* all that c's slot knows */
void systrap_answer(struct context *c, const struct context_answer *a);
uint32_t systrap_answers_used(struct context *c);
int systrap_lend(struct context *c, const struct context_file *f, uint64_t *end);
void systrap_take_back(struct context *c, unsigned i);
void systrap_set_position(struct context *c, unsigned i, uint64_t pos);
void lent_positions(struct sys_context *c, struct run_event *ev); /* positions that the guest changed */

/* systrap.c */
void systrap_add_stats(struct systrap_stats *to, struct sys_context *c);

/* cputime.c */
/* Shares out what proc has used since the last time; before a context comes or goes. */
void cputime_settle(struct sys_proc *proc);
uint64_t systrap_cpu_time(struct context *c);
uint64_t systrap_resident(struct aspace *as);

/* handover.c: the frame that the last message named, or NULL when it doesn't lie where frames do. */
struct stub_frame *context_frame(struct sys_context *c);
