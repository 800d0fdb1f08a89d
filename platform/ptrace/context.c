/* context.c: contexts as host threads: making, binding, ending them, and their registers. */
#include "platform/ptrace/internal.h"

#include <linux/ptrace.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#include "platform/base/arena.h"
#include "platform/base/clock.h"
#include "platform/host/hostcall.h"

int context_fetch_regs(struct ptrace_context *c)
{
	int64_t result = regs_result(&c->regs);
	int ret;

	if (c->regs_valid)
		return 0;
	ret = tracee_get_regs(&c->t, &c->regs);
	if (ret < 0)
		return ret;
	if (c->result_dirty)
		regs_set_result(&c->regs, result);
	c->regs_valid = true;
	return 0;
}

bool context_alive(struct ptrace_context *c)
{
	c->t.watch = c->leader && __atomic_load_n(&ptrace_aspace_of(c->base.as)->threaded, __ATOMIC_RELAXED);
	return c->bound && !c->t.ended && !c->t.dying;
}

struct guest_regs *ptrace_regs(struct context *ctx, bool write)
{
	struct ptrace_context *c = ptrace_context_of(ctx);

	/* When the thread is dying the old values are as good as any: it won't run again. */
	if (context_fetch_regs(c) < 0)
		c->regs_valid = true;
	if (write)
		c->regs_dirty = true;
	return &c->regs;
}

void ptrace_set_result(struct context *ctx, int64_t result)
{
	struct ptrace_context *c = ptrace_context_of(ctx);

	/* What the host kernel would take for "restart the call" goes the long way, which says that there
	 * is no call. */
	if (result <= -512 && result >= -516) {
		regs_set_result(ptrace_regs(ctx, true), result);
		return;
	}
	regs_set_result(&c->regs, result);
	c->result_dirty = true;
}

/* ---- injected calls ---- */

/* Runs the stub in c's thread in the guest's place; the guest's registers are loaded again later. */
static int context_run_stub(struct ptrace_context *c, struct guest_regs *r, const char *trap)
{
	int ret = context_alive(c) ? context_fetch_regs(c) : -ESRCH;

	if (ret < 0)
		return ret;
	c->regs_dirty = true;
	return tracee_run_stub(&c->t, r, trap, false);
}

int64_t context_call(struct ptrace_context *c, long nr, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3,
		     uint64_t a4, uint64_t a5)
{
	int ret = context_alive(c) ? context_fetch_regs(c) : -ESRCH;

	if (ret < 0)
		return ret;
	c->regs_dirty = true;
	return tracee_call(&c->t, nr, a0, a1, a2, a3, a4, a5);
}

static int unmap_range(struct tracee *t, uaddr_t start, uaddr_t end)
{
	return start < end ? (int)tracee_call(t, SYS_munmap, start, end - start, 0, 0, 0, 0) : 0;
}

int context_unmap_all(struct ptrace_platform *p, struct tracee *t)
{
	uaddr_t keep[2][2] = {{STUB_TEXT, STUB_END}, {p->vdso_keep[0], p->vdso_keep[1]}};
	int first = keep[1][1] && keep[1][0] < keep[0][0];
	int count = keep[1][1] ? 2 : 1;
	uaddr_t from = 0;

	for (int i = 0; i < count; i++) {
		uaddr_t *k = keep[i ^ first];
		int ret = unmap_range(t, from, k[0]);

		if (ret < 0)
			return ret;
		from = k[1];
	}
	return unmap_range(t, from, GUEST_VA_END);
}

/* ---- making ---- */

/* Takes over the reference to as. */
static struct ptrace_context *context_alloc(struct ptrace_aspace *as, int tid, bool leader)
{
	struct ptrace_context *c = kmalloc(sizeof(*c));

	if (!c)
		return NULL;
	c->base.platform = as->base.platform;
	c->base.as = &as->base;
	c->t.tid = tid;
	c->leader = leader;
	c->regs_valid = c->regs_dirty = true;
	mutex_init(&c->cpu_lock, RANK_PLATFORM);
	__atomic_fetch_add(&as->contexts, 1, __ATOMIC_RELAXED);
	return c;
}

/* The process pid and its first context. Takes over pid. */
static int context_adopt(struct platform *p, int pid, struct ptrace_context **out)
{
	struct ptrace_aspace *as;
	int ret = ptrace_aspace_create(p, pid, &as);

	if (ret < 0)
		return ret;
	*out = context_alloc(as, pid, true);
	if (!*out) {
		aspace_put(&as->base);
		return -ENOMEM;
	}
	return 0;
}

int ptrace_context_create(struct platform *p, struct context **out)
{
	struct ptrace_context *c;
	int ret, pid = zygote_fork(ptrace_platform_of(p));

	if (pid < 0)
		return pid;
	ret = context_adopt(p, pid, &c);
	if (ret < 0)
		return ret;
	arch_stub_regs(&c->regs, ptrace_stub_idle);
	*out = &c->base;
	return 0;
}

static int context_clone(struct ptrace_context *c, uint64_t flags, bool process)
{
	struct guest_regs r;
	int ret;

	arch_stub_clone(&r, flags, process ? ptrace_platform_of(c->base.platform)->sentry_pid : 0);
	ret = context_run_stub(c, &r, ptrace_stub_clone_trap);
	/* a thread that was killed can't fork; its next run says why */
	if (ret < 0)
		return ret == -ESRCH ? -EAGAIN : ret;
	return (int)regs_result(&r);
}

int ptrace_context_fork(struct context *ctx, struct context **out)
{
	struct ptrace_context *c = ptrace_context_of(ctx), *child;
	int ret, pid;

	pid = context_clone(c, CLONE_PARENT | CLONE_FILES, true);
	if (pid < 0)
		return pid;
	ret = context_adopt(ctx->platform, pid, &child);
	if (ret < 0)
		return ret;
	ptrace_aspace_of(child->base.as)->vdso_changed =
		__atomic_load_n(&ptrace_aspace_of(ctx->as)->vdso_changed, __ATOMIC_RELAXED);
	child->regs = c->regs;
	*out = &child->base;
	return 0;
}

static uint64_t process_cpu(int pid)
{
	/* a process's clock, as clock_getcpuclockid(3) makes it: CPUCLOCK_SCHED */
	int clock = (int)((~(unsigned)pid << 3) | 2);
	struct timespec ts;

	if (!pid || hc_clock_gettime(clock, &ts) < 0)
		return 0;
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

/* From now on the process's clock isn't one thread's any more. */
static void context_leave_process_clock(struct ptrace_context *c)
{
	struct ptrace_aspace *as = ptrace_aspace_of(c->base.as);

	if (__atomic_load_n(&as->threaded, __ATOMIC_RELAXED))
		return;
	mutex_lock(&c->cpu_lock);
	c->cpu_base += process_cpu(as->pid);
	__atomic_store_n(&as->threaded, true, __ATOMIC_RELAXED);
	mutex_unlock(&c->cpu_lock);
}

int ptrace_context_thread(struct context *ctx, struct context **out)
{
	struct ptrace_context *c = ptrace_context_of(ctx), *child;
	struct ptrace_aspace *as = ptrace_aspace_of(ctx->as);
	int tid;

	aspace_get(&as->base);
	child = context_alloc(as, 0, false);
	if (!child) {
		aspace_put(&as->base);
		return -ENOMEM;
	}
	context_leave_process_clock(c);
	tid = context_clone(c, CLONE_VM | CLONE_THREAD | CLONE_SIGHAND | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM,
			    false);
	if (tid < 0) {
		child->t.ended = true;
		ptrace_context_destroy(&child->base);
		return tid;
	}
	child->t.tid = tid;
	child->regs = c->regs;
	*out = &child->base;
	return 0;
}

int ptrace_context_bind(struct context *ctx)
{
	struct ptrace_context *c = ptrace_context_of(ctx);
	int ret = c->t.ended ? -ESRCH : tracee_attach(&c->t, c->leader);

	if (ret == 0)
		c->bound = true;
	return ret;
}

/* ---- a fresh address space ---- */

/* Hands the process of the old space, emptied, to a new one. */
static int context_reuse_process(struct ptrace_context *c, struct ptrace_aspace *old)
{
	struct ptrace_platform *p = ptrace_platform_of(c->base.platform);
	struct ptrace_aspace *as;
	int pid = old->pid, ret;

	as = kmalloc(sizeof(*as)); /* before anything is lost */
	if (!as)
		return -ENOMEM;
	rwlock_write(&old->pid_lock);
	old->pid = 0;
	rwlock_write_unlock(&old->pid_lock);
	ret = context_unmap_all(p, &c->t);
	if (ret == 0)
		ret = fpu_reset(p, &c->t);
	if (ret < 0) {
		kfree(as);
		rwlock_write(&old->pid_lock);
		old->pid = pid;
		rwlock_write_unlock(&old->pid_lock);
		return ret;
	}
	refs_init(&as->base.refs);
	as->base.platform = c->base.platform;
	rwlock_init(&as->pid_lock, RANK_PLATFORM);
	as->pid = pid;
	as->contexts = 1;
	/* its clock goes on: with threads that have ended in it, if it ever had any */
	as->threaded = __atomic_load_n(&old->threaded, __ATOMIC_RELAXED);
	c->base.as = &as->base;
	return 0;
}

/* Lets go of the host thread: the first one of a process waits, untraced, for the process's end; another
 * one ends. */
static void context_retire(struct ptrace_context *c)
{
	struct ptrace_aspace *as = ptrace_aspace_of(c->base.as);

	if (c->bound)
		tracee_release(&c->t, c->leader ? ptrace_stub_idle : ptrace_stub_exit, c->leader);
	c->bound = false;
	if (c->leader && c->t.ended) {
		rwlock_write(&as->pid_lock);
		as->pid = 0;
		rwlock_write_unlock(&as->pid_lock);
	}
	__atomic_fetch_sub(&as->contexts, 1, __ATOMIC_RELAXED);
}

static int context_change_process(struct ptrace_context *c)
{
	struct ptrace_platform *p = ptrace_platform_of(c->base.platform);
	struct aspace *old = c->base.as;
	struct tracee t = {0};
	struct ptrace_aspace *as;
	uint64_t used;
	int ret;

	t.tid = zygote_fork(p);
	if (t.tid < 0)
		return t.tid;
	ret = ptrace_aspace_create(c->base.platform, t.tid, &as);
	if (ret < 0)
		return ret;
	ret = tracee_attach(&t, true);
	if (ret < 0) {
		aspace_put(&as->base);
		return -EAGAIN;
	}
	used = ptrace_cpu_time(&c->base);
	context_retire(c);
	mutex_lock(&c->cpu_lock);
	c->cpu_base = used;
	c->base.as = &as->base;
	mutex_unlock(&c->cpu_lock);
	as->contexts = 1;
	c->t = t;
	c->bound = c->leader = true;
	aspace_put(old);
	return 0;
}

int ptrace_context_new_aspace(struct context *ctx)
{
	struct ptrace_context *c = ptrace_context_of(ctx);
	struct ptrace_aspace *old = ptrace_aspace_of(ctx->as);
	int ret = -EAGAIN;

	if (c->bound && c->leader && !__atomic_load_n(&old->vdso_changed, __ATOMIC_RELAXED) &&
	    __atomic_load_n(&old->contexts, __ATOMIC_RELAXED) == 1) {
		ret = context_reuse_process(c, old);
		if (ret == 0)
			aspace_put(&old->base);
	}
	/* also when the old process died on the way */
	if (ret < 0)
		ret = context_change_process(c);
	if (ret < 0)
		return ret;
	arch_stub_regs(&c->regs, ptrace_stub_idle);
	c->regs_valid = c->regs_dirty = true;
	c->result_dirty = false;
	return 0;
}

/* ---- ending ---- */

void ptrace_context_destroy(struct context *ctx)
{
	struct ptrace_context *c = ptrace_context_of(ctx);

	/* A thread that nobody bound waits in the idle loop. With its process it goes; alone it must be
	 * told. */
	if (!c->bound && !c->leader && !c->t.ended)
		c->bound = tracee_attach(&c->t, false) == 0;
	context_retire(c);
	aspace_put(ctx->as);
	kfree(c);
}

/* The host tells one process another's CPU time, but not another's threads'. While a process has one
 * context its clock is exact; from the second one on, the time spent inside run stands for it. */
uint64_t ptrace_cpu_time(struct context *ctx)
{
	struct ptrace_context *c = ptrace_context_of(ctx);
	struct ptrace_aspace *as;
	uint64_t ns;

	mutex_lock(&c->cpu_lock);
	as = ptrace_aspace_of(ctx->as);
	ns = c->cpu_base;
	if (!__atomic_load_n(&as->threaded, __ATOMIC_RELAXED))
		ns += process_cpu(as->pid);
	else if (c->cpu_entered)
		ns += clock_monotonic_ns() - c->cpu_entered;
	mutex_unlock(&c->cpu_lock);
	return ns;
}
