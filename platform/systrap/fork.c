/* fork.c: making and ending contexts. A host process is made by the stub of another one (CLONE_PARENT, so
 * it is our child): the parent's for fork, the zygote's for a fresh space. Exec always takes a fresh
 * process: guest code may have prepared the old one (threads and mappings that only it knows of), and the
 * new image may have more rights than the old. */
#include "platform/systrap/internal.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "platform/base/arena.h"
#include "platform/base/thread.h"
#include "platform/host/hostcall.h"

#define WALL 0x40000000

/* The pid that a stub reports is a guest's word: it must be a child of ours, of the guests' group, and none
 * that we know. What is left are children that the same guest made. */
static int check_pid(struct sys_platform *p, int64_t pid)
{
	siginfo_t info;

	if (pid <= 0 || pid > INT32_MAX)
		return pid < 0 && pid >= -4095 ? (int)pid : -ESRCH;
	if (hc_getpgid((int)pid) != p->pgid || proc_is_registered(p, (int)pid))
		return -ESRCH;
	if (hc_waitid(P_PID, (int)pid, &info, WEXITED | WNOWAIT | WNOHANG | WALL) < 0)
		return -ESRCH;
	return 0;
}

static int check_tid(struct sys_proc *proc, int64_t tid)
{
	int ret = -ESRCH;

	if (tid <= 0 || tid > INT32_MAX)
		return tid < 0 && tid >= -4095 ? (int)tid : -ESRCH;
	if (proc_use(proc))
		ret = hc_tgkill(proc->pid, (int)tid, 0);
	proc_unuse(proc);
	return ret;
}

/* Registers, and the frame that they would be loaded from. */
static void copy_state(struct sys_context *from, struct sys_context *to)
{
	regs_pull(from);
	to->regs = from->regs;
	to->regs_valid = to->regs_dirty = true;
	to->nr = from->nr;
	to->fs_base = from->fs_base;
	to->gs_base = from->gs_base;
	to->host_fs = from->host_fs;
	to->host_gs = from->host_gs;
}

/* A process forked by parent's stub, with one context in parent's state. c is fresh. */
static int fork_process(struct sys_context *parent, struct sys_context *c)
{
	struct sys_platform *p = sys_platform(parent->base.platform);
	struct sys_aspace *as;
	struct sys_proc *proc;
	int ret, fds[2];
	int64_t pid;

	copies_flush(parent);
	parent->fresh = false;
	ret = proc_alloc(p, &proc, &fds[1]);
	if (ret < 0)
		return ret;
	fds[0] = proc->memfd;
	ret = proc_take_slot(proc, c, parent->index);
	if (ret < 0)
		goto put_proc;
	ret = aspace_alloc(p, proc, &as);
	if (ret < 0)
		goto drop_slot;
	slot_init(c);
	copy_state(parent, c);
	c->unrun = true;
	if (parent->frame) {
		c->frame = parent->frame;
		c->slot->frame = slot_address(c->index) + c->frame;
		memcpy((char *)c->slot + c->frame, (char *)parent->slot + c->frame,
		       SLOT_ALT + SLOT_ALT_SIZE - c->frame);
	}
	patch_lock_text(parent); /* no half of a patch is inherited */
	LOCK(&parent->proc->fd_lock);
	pid = stub_send_fds(parent->proc, fds, 2);
	if (pid == 0)
		pid = stub_command(parent, CMD_FORK, 0, 0, 0, 0, 0, 0, 0);
	mutex_unlock(&parent->proc->fd_lock);
	patch_unlock_text(parent);
	ret = check_pid(p, pid);
	if (ret < 0)
		goto put_aspace;
	LOCK(&parent->proc->lock);
	proc->patches = patch_book_get(parent->proc->patches);
	for (int i = 0; i < TRAP_COUNTS; i++) {
		proc->traps[i].site = __atomic_load_n(&parent->proc->traps[i].site, __ATOMIC_RELAXED);
		proc->traps[i].count = __atomic_load_n(&parent->proc->traps[i].count, __ATOMIC_RELAXED);
	}
	for (int i = 0; i < HOPELESS; i++)
		proc->hopeless[i] = c->slot->hopeless[i] =
			__atomic_load_n(&parent->proc->hopeless[i], __ATOMIC_RELAXED);
	mutex_unlock(&parent->proc->lock);
	c->tid = (int)pid;
	c->slot->tid = 1; /* never free while the process lives */
	proc_register(proc, (int)pid);
	STAT_INC(parent, forks);
	c->base.as = &as->base;
	hc_close(fds[1]);
	proc_put(proc);
	return 0;
put_aspace:
	aspace_put(&as->base);
drop_slot:
	(void)proc_drop_slot(proc, c);
put_proc:
	hc_close(fds[1]);
	proc_put(proc);
	return ret;
}

static int fork_zygote(struct sys_platform *p, struct sys_context **out)
{
	struct sys_context *c;
	int ret = context_alloc(p, &c);

	if (ret < 0)
		return ret;
	LOCK(&p->zygote_lock);
	ret = fork_process(p->zygote, c);
	mutex_unlock(&p->zygote_lock);
	if (ret < 0) {
		kfree(c);
		return ret;
	}
	c->fresh = c->unrun = c->exec = true;
	*out = c;
	return 0;
}

/* Makes the next fresh processes before somebody waits for them. */
void fork_refill(void *platform)
{
	struct sys_platform *p = platform;
	struct sys_context *c;
	bool more = true;

	while (more && !__atomic_load_n(&p->closing, __ATOMIC_ACQUIRE) && fork_zygote(p, &c) == 0) {
		LOCK(&p->lock);
		p->ready[p->ready_count++] = c; /* nobody else adds */
		more = p->ready_count < READY_MAX;
		mutex_unlock(&p->lock);
	}
	__atomic_store_n(&p->refilling, 0, __ATOMIC_SEQ_CST);
	futex_wake_word(&p->refilling, INT32_MAX);
}

void fork_drop_ready(struct sys_platform *p)
{
	uint32_t v;

	while ((v = __atomic_load_n(&p->refilling, __ATOMIC_SEQ_CST)))
		(void)futex_wait_word(&p->refilling, v, 0);
	while (p->ready_count)
		systrap_context_destroy(&p->ready[--p->ready_count]->base);
}

/* A fresh process: one that is ready, or a new one. */
static int take_fresh(struct sys_platform *p, struct sys_context **out)
{
	struct sys_context *c = NULL;
	uint32_t expected = 0;
	bool low;

	LOCK(&p->lock);
	while (p->ready_count && !c) {
		c = p->ready[--p->ready_count];
		if (__atomic_load_n(&c->proc->dead, __ATOMIC_ACQUIRE)) {
			mutex_unlock(&p->lock);
			systrap_context_destroy(&c->base);
			LOCK(&p->lock);
			c = NULL;
		}
	}
	low = p->ready_count < READY_MAX;
	mutex_unlock(&p->lock);
	if (low &&
	    __atomic_compare_exchange_n(&p->refilling, &expected, 1, false, __ATOMIC_SEQ_CST,
					__ATOMIC_SEQ_CST) &&
	    thread_start(fork_refill, p, "refill") < 0)
		__atomic_store_n(&p->refilling, 0, __ATOMIC_SEQ_CST);
	if (!c)
		return fork_zygote(p, out);
	*out = c;
	return 0;
}

/* Not from the ready ones: those are for programs that start programs. */
int systrap_context_create(struct platform *base, struct context **out)
{
	struct sys_context *c;
	int ret = fork_zygote(sys_platform(base), &c);

	if (ret == 0)
		*out = &c->base;
	return ret;
}

int systrap_context_fork(struct context *ctx, struct context **out)
{
	struct sys_context *c;
	int ret = context_alloc(sys_platform(ctx->platform), &c);

	if (ret < 0)
		return ret;
	ret = fork_process(sys_context(ctx), c);
	if (ret < 0) {
		kfree(c);
		return ret;
	}
	*out = &c->base;
	return 0;
}

int systrap_context_thread(struct context *ctx, struct context **out)
{
	struct sys_context *parent = sys_context(ctx), *c;
	int ret = context_alloc(sys_platform(ctx->platform), &c);
	int64_t tid;

	if (ret < 0)
		return ret;
	copies_flush(parent);
	parent->fresh = false;
	cputime_settle(parent->proc);
	ret = proc_take_slot(parent->proc, c, UINT32_MAX);
	if (ret < 0)
		goto free_context;
	slot_init(c);
	copy_state(parent, c);
	if (parent->frame)
		fpu_copy_frame(parent, c);
	c->slot->fs_base = c->host_fs;
	c->host_gs = 0;
	__atomic_store_n(&c->slot->tid, 1, __ATOMIC_RELEASE); /* until the host says that it is gone */
	__atomic_store_n(&parent->proc->threaded, 1, __ATOMIC_RELAXED);
	tid = stub_command(parent, CMD_THREAD, 0, slot_address(c->index), STUB_THREAD_FLAGS, 0, 0, 0, 0);
	ret = check_tid(parent->proc, tid);
	if (ret < 0) {
		__atomic_store_n(&c->slot->tid, 0, __ATOMIC_RELEASE);
		goto drop_slot;
	}
	c->tid = (int)tid;
	c->base.as = parent->base.as;
	aspace_get(c->base.as);
	STAT_INC(parent, threads);
	*out = &c->base;
	return 0;
drop_slot:
	(void)proc_drop_slot(parent->proc, c);
free_context:
	kfree(c);
	return ret;
}

/* Ends the host thread (an obedient stub does it; another one ends with its process); with the last one the
 * process. */
static void retire(struct sys_context *c)
{
	struct sys_proc *proc = c->proc;
	bool leaves = c->tid != proc->pid && __atomic_load_n(&proc->context_count, __ATOMIC_RELAXED) > 1;

	refs_get(&proc->refs);
	cputime_settle(proc);
	if (c->exit_wake && !leaves) { /* others may share the word's memory */
		(void)stub_command(c, CMD_CALL, SYS_futex, c->exit_wake, FUTEX_WAKE, 1, 0, 0, 0);
		c->exit_wake = 0;
	}
	LOCK(&c->where_lock);
	/* The first thread stays, waiting: by its id the host finds the memory of all. */
	if (leaves) {
		c->slot->arg[0] = c->exit_wake;
		handover_post(c, CMD_EXIT);
	}
	c->tid = 0;
	if (proc_drop_slot(proc, c)) {
		proc_kill(proc);
		__atomic_store_n(&proc->dead, 1, __ATOMIC_SEQ_CST); /* its memory is nobody's any more */
	}
	mutex_unlock(&c->where_lock);
	proc_put(proc);
}

/* Exec in a space that was never used: the process will do. */
static int renew(struct sys_context *c)
{
	struct aspace *old = c->base.as;
	struct sys_aspace *as;
	int ret = aspace_alloc(sys_platform(c->base.platform), c->proc, &as);

	if (ret < 0)
		return ret;
	c->base.as = &as->base;
	aspace_put(old);
	return 0;
}

int systrap_context_new_aspace(struct context *ctx)
{
	struct sys_context *c = sys_context(ctx), *fresh;
	struct aspace *old = ctx->as;
	int ret;

	copies_flush(c);
	c->page_size = 0;
	if (c->fresh)
		return renew(c);
	ret = take_fresh(sys_platform(ctx->platform), &fresh);
	if (ret < 0)
		return ret;
	retire(c);
	aspace_put(old);
	LOCK(&fresh->proc->lock);
	fresh->proc->contexts[fresh->index] = c;
	mutex_unlock(&fresh->proc->lock);
	LOCK(&c->where_lock);
	c->proc = fresh->proc;
	c->slot = fresh->slot;
	c->index = fresh->index;
	c->tid = fresh->tid;
	mutex_unlock(&c->where_lock);
	c->base.as = fresh->base.as;
	c->frame = fresh->frame;
	memset(&c->copies, 0, sizeof(c->copies));
	c->host_fs = c->host_gs = c->fs_base = c->gs_base = 0;
	c->nr = -1;
	c->has_result = false;
	c->gone = false;
	c->fresh = c->unrun = c->exec = true;
	memset(&c->batch, 0, sizeof(c->batch));
	memset(&c->regs, 0, sizeof(c->regs));
	c->regs_valid = c->regs_dirty = true;
	if (c->facts.tid)
		systrap_publish(ctx, &c->facts);
	kfree(fresh);
	return 0;
}

int systrap_context_bind(struct context *c)
{
	(void)c; /* any thread may talk to a slot */
	return 0;
}

static void fold_stats(struct sys_platform *p, struct sys_context *c)
{
	LOCK(&p->lock);
	systrap_add_stats(&p->stats, c);
	mutex_unlock(&p->lock);
}

void systrap_context_destroy(struct context *ctx)
{
	struct sys_context *c = sys_context(ctx);

	fold_stats(sys_platform(ctx->platform), c);
	retire(c);
	aspace_put(ctx->as);
	kfree(c->page);
	kfree(c);
}
