/* internal.h: the ptrace platform's own. See platform/ptrace/README.md for how its parts fit.
 *
 * An address space is a host process, a context is a host thread of it, traced by the sentry thread that
 * bound it. A traced thread is always in a ptrace-stop unless its owner is inside run or an injected call.
 */
#pragma once

#include <linux/audit.h>

#include "platform/abi/errno.h"
#include "platform/base/lock.h"
#include "platform/platform.h"

/* Sent to a guest thread to make it leave run; it never sees it. */
#define KICK_SIGNAL 10 /* SIGUSR1 */

/* In every guest process: one page of stub text, one page of scratch memory. */
#define STUB_TEXT    SBX_STUB_START
#define STUB_SCRATCH (SBX_STUB_START + PAGE_SIZE)
#define STUB_END     (SBX_STUB_START + 2 * PAGE_SIZE)

extern const char ptrace_stub_begin[], ptrace_stub_end[];
extern const char ptrace_stub_call[], ptrace_stub_call_trap[];
extern const char ptrace_stub_clone[], ptrace_stub_clone_trap[];
extern const char ptrace_stub_cmpxchg[], ptrace_stub_cmpxchg_trap[];
extern const char ptrace_stub_idle[], ptrace_stub_idle_end[], ptrace_stub_exit[];

/* Where a label of the stub lies in a guest process. */
static inline uaddr_t stub_addr(const char *label)
{
	return STUB_TEXT + (uaddr_t)(label - ptrace_stub_begin);
}

/* A host thread that the calling thread traces. */
struct tracee {
	int tid;
	bool watch; /* it is the first of several threads: see tracee_resume */
	bool dying; /* it was killed from outside and must not be resumed, only let go */
	bool ended; /* it is gone and reaped: tid means nothing any more */
};

struct ptrace_platform {
	struct platform base;
	struct mutex zygote_lock; /* who holds it may trace the zygote */
	struct tracee zygote;	  /* [zygote_lock] */
	int sentry_pid;		  /* [I] */
	uaddr_t vdso_keep[2];	  /* [I] what stays of the host's in every process: the vDSO, also if it isn't
				     shown */
	size_t xstate_size;	  /* [I] */
	uint64_t xfeatures;	  /* [I] */
};

struct ptrace_aspace {
	struct aspace base;
	/* Keeps pid from changing while somebody who doesn't run here uses it. */
	struct rwlock pid_lock;
	int pid; /* [pid_lock; owners of a context may read it] 0: the process is gone or was handed on */
	uint32_t contexts; /* [a] whose host thread is in the process */
	bool vdso_changed; /* [a] the guest has touched the vDSO's mapping */
	bool threaded;	   /* [a] has had more than one context: see context_cpu_time */
};

#define KICK_PENDING 1u /* someone asked; stays until a run has reported it */
#define KICK_INSIDE  2u /* the owner is between entry and exit of run: a signal gets through */

struct ptrace_context {
	struct context base;
	struct tracee t;	/* [T] */
	bool bound;		/* [T] */
	bool leader;		/* [T] t is the first thread of the process */
	bool regs_valid;	/* [T] regs is what the thread has, or will be given */
	bool regs_dirty;	/* [T] regs must be loaded before the guest runs */
	bool result_dirty;	/* [T] only rax must */
	uint32_t kick;		/* [a] KICK_* */
	struct guest_regs regs; /* [T] */
	struct mutex cpu_lock;
	uint64_t cpu_base, cpu_entered; /* [cpu_lock] */
};

static inline struct ptrace_platform *ptrace_platform_of(struct platform *p)
{
	return container_of(p, struct ptrace_platform, base);
}

static inline struct ptrace_aspace *ptrace_aspace_of(struct aspace *as)
{
	return container_of(as, struct ptrace_aspace, base);
}

static inline struct ptrace_context *ptrace_context_of(struct context *c)
{
	return container_of(c, struct ptrace_context, base);
}

/* ---- tracee.c: one traced host thread */

/* Makes the caller the tracer of a thread that is in, or on its way to, the stub's idle loop, and stops it.
 * process: it is the first of its process, which then dies with the sentry. -ESRCH when it died. */
MUST_CHECK int tracee_attach(struct tracee *t, bool process);
/* EXITKILL: the tracer's end is the thread's end. TRACEEXIT: a first thread that is killed says so at once;
 * otherwise its end is reported only when all other threads are gone. No option that attaches to new
 * threads: they belong to other tracers. */
#define TRACE_OPTIONS (PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXIT)
/* One host call by stub code: its result, -ESRCH too when the thread is gone or dying. */
int64_t tracee_call(struct tracee *t, long nr, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4,
		    uint64_t a5);
/* Lets it go to the stub's label, untraced. Nothing happens when it is dying. */
void tracee_release(struct tracee *t, const char *label, bool leader);
/* Runs stub code: loads r, resumes, waits until the int3 at label trap was executed, reads r back. With
 * catch_fault, -EFAULT when it faults on the way. -ESRCH when the thread is gone or dying. */
MUST_CHECK int tracee_run_stub(struct tracee *t, struct guest_regs *r, const char *trap, bool catch_fault);
/* The next stop or the end. 0 and a wait status, or -ESRCH; sets t->ended. */
MUST_CHECK int tracee_wait(struct tracee *t, int *status);
MUST_CHECK int tracee_get_regs(struct tracee *t, struct guest_regs *r);
/* What the host would refuse or misread is made harmless first. */
MUST_CHECK int tracee_set_regs(struct tracee *t, const struct guest_regs *r);
/* Resumes a stopped thread, request PTRACE_CONT or SYSEMU, just after its registers were loaded.
 *
 * A first thread that was killed while stopped stops once more on its way out. Resumed from there it ends,
 * but its end is reported only after that of all other threads, whose owners may sleep: the wait would not
 * come back. So a thread to watch is looked at first. A kill that comes right in between can't be seen, but
 * the thread takes longer to get to that stop than its tracer takes to resume it. */
MUST_CHECK int tracee_resume(struct tracee *t, long request);

/* ---- <processor>/arch.c: the only code that names registers */
#define ARCH_AUDIT	   AUDIT_ARCH_X86_64
#define ARCH_RESULT_OFFSET 80 /* of the result register in struct user, for PTRACE_POKEUSR */
/* Registers to run the stub with, from a label; for a call; for a clone (parent: see the stub); for a
 * compare-and-exchange. */
void arch_stub_regs(struct guest_regs *r, const char *label);
void arch_stub_call(struct guest_regs *r, long nr, const uint64_t args[6]);
void arch_stub_clone(struct guest_regs *r, uint64_t flags, int parent);
void arch_stub_cmpxchg(struct guest_regs *r, uaddr_t addr, uint32_t expected, uint32_t desired);
/* Makes harmless what the host would refuse or misread. */
void arch_loadable_regs(struct guest_regs *r);
/* Fills in trapno and err of a fault. */
void arch_describe_trap(struct run_event *ev, const struct guest_regs *r);

/* ---- zygote.c: the clean process that every fresh address space is a copy of */
MUST_CHECK int zygote_create(struct ptrace_platform *p);
void zygote_destroy(struct ptrace_platform *p);
/* A new process in the stub's idle loop, untraced: its id, or -errno. */
MUST_CHECK int zygote_fork(struct ptrace_platform *p);

/* ---- context.c */
/* A host call in c's thread: its result. -ESRCH too when the thread is gone. */
int64_t context_call(struct ptrace_context *c, long nr, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3,
		     uint64_t a4, uint64_t a5);
/* Is c's thread there to be resumed? */
bool context_alive(struct ptrace_context *c);
/* Reads the registers if they aren't known. */
MUST_CHECK int context_fetch_regs(struct ptrace_context *c);
/* Unmaps everything of the process but the stub and the vDSO. */
MUST_CHECK int context_unmap_all(struct ptrace_platform *p, struct tracee *t);

int ptrace_context_create(struct platform *p, struct context **out);
int ptrace_context_fork(struct context *c, struct context **out);
int ptrace_context_thread(struct context *c, struct context **out);
int ptrace_context_new_aspace(struct context *c);
int ptrace_context_bind(struct context *c);
void ptrace_context_destroy(struct context *c);
struct guest_regs *ptrace_regs(struct context *c, bool write);
void ptrace_set_result(struct context *c, int64_t result);
uint64_t ptrace_cpu_time(struct context *c);

/* ---- run.c */
int ptrace_run(struct context *c, struct run_event *ev);
void ptrace_kick(struct context *c);

/* ---- <processor>/fpu.c */
/* Learns size and features from a traced thread and gives it the initial state. */
MUST_CHECK int fpu_setup(struct ptrace_platform *p, struct tracee *t);
MUST_CHECK int fpu_reset(struct ptrace_platform *p, struct tracee *t);
int ptrace_fpstate_get(struct context *c, void *buf, size_t *size);
int ptrace_fpstate_set(struct context *c, const void *buf, size_t size);
size_t ptrace_fpstate_size(struct platform *p, uint64_t *xfeatures);

/* ---- aspace.c */
/* Takes over pid, also on failure (it is killed then). */
MUST_CHECK int ptrace_aspace_create(struct platform *p, int pid, struct ptrace_aspace **out);
/* Kills and reaps a process none of whose threads is traced. */
void process_kill(int pid);
void ptrace_aspace_destroy(struct aspace *as);
int ptrace_map(struct context *c, const struct map_request *r);
int ptrace_unmap(struct context *c, uaddr_t addr, uint64_t size);
int ptrace_protect(struct context *c, uaddr_t addr, uint64_t size, uint32_t prot);
int ptrace_remap(struct context *c, uaddr_t old, uint64_t old_size, uaddr_t new_addr, uint64_t new_size,
		 uint32_t flags);
int ptrace_advise(struct context *c, uaddr_t addr, uint64_t size, int advice);
int ptrace_mincore(struct context *c, uaddr_t addr, uint64_t size, uint8_t *vec);

/* ---- copy.c */
/* From the scratch page of c's process. */
MUST_CHECK bool copy_scratch(struct ptrace_context *c, void *dst, size_t size);
ssize_t ptrace_copy_in(struct aspace *as, struct context *c, void *dst, uaddr_t src, size_t size);
ssize_t ptrace_copy_out(struct aspace *as, struct context *c, uaddr_t dst, const void *src, size_t size);
ssize_t ptrace_poke(struct aspace *as, uaddr_t dst, const void *src, size_t size);
int ptrace_cmpxchg_u32(struct context *c, uaddr_t addr, uint32_t *expected, uint32_t desired);
uint64_t ptrace_resident(struct aspace *as);
