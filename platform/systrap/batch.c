/* batch.c: operations on a guest's memory that can wait until its thread is told to go on: it does them then,
 * and nobody waits for it in between. Exec maps and fills a whole image in this way without one round trip.
 *
 * Only while the context is the only one in its space: nobody else could see that they are late. With other
 * threads there, only what belongs to the thread itself (segment bases, extended state), and dropping contents:
 * the call for it has not returned, so it may as well come after what others do at the same time. Changes of
 * the map are not like that: the books let others use a place before the host has changed it. The kernel
 * has been told that they succeeded. When one fails after all (the host is out of memory or mappings), the
 * next run reports RUN_MAP_FAILED. */
#include "platform/systrap/internal.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define FDS_MAX 24

_Static_assert(sizeof(struct stub_op) * BATCH_MAX <= BATCH_DATA, "room for the operations");
_Static_assert(ARRAY_SIZE(((struct batch *)0)->map) == BATCH_MAX, "one each");

static bool may_wait(struct sys_context *c, bool among_others)
{
	struct batch *b = &c->batch;

	/* outside a call there is no answer that could be changed */
	return (c->unrun || c->nr >= 0) && !c->gone && !b->failed && b->count < BATCH_MAX && !c->copies.count &&
	       !(c->copies.in[0].size && c->copies.in[0].off == SLOT_DATA) &&
	       (among_others || __atomic_load_n(&c->proc->context_count, __ATOMIC_RELAXED) == 1);
}

static struct stub_op *next(struct sys_context *c, uint16_t kind, uint64_t want)
{
	struct batch *b = &c->batch;
	struct stub_op *o = (struct stub_op *)((char *)c->slot + SLOT_BATCH) + b->count;

	memset(o, 0, sizeof(*o));
	o->kind = kind;
	o->want = want;
	b->map[b->count].size = 0;
	b->count++;
	STAT_INC(c, batched);
	return o;
}

static void publish(struct sys_context *c)
{
	c->slot->batch_failed = 0;
	__atomic_store_n(&c->slot->batch_count, c->batch.count, __ATOMIC_RELEASE);
}

static void add_call(struct sys_context *c, int nr, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3,
		     uint64_t want, bool may_fail)
{
	struct stub_op *o = next(c, CMD_CALL, want);

	o->nr = (uint16_t)nr;
	o->may_fail = may_fail;
	o->arg[0] = a0;
	o->arg[1] = a1;
	o->arg[2] = a2;
	o->arg[3] = a3;
	o->arg[4] = (uint64_t)-1;
	if (nr == SYS_mmap) {
		c->batch.map[c->batch.count - 1].addr = a0;
		c->batch.map[c->batch.count - 1].size = a1;
	}
	publish(c);
}

bool batch_call(struct sys_context *c, int nr, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3,
		uint64_t want, bool may_fail)
{
	if (!may_wait(c, false))
		return false;
	add_call(c, nr, a0, a1, a2, a3, want, may_fail);
	return true;
}

bool batch_own(struct sys_context *c, int nr, uint64_t a0, uint64_t a1, uint64_t a2)
{
	if (!may_wait(c, true))
		return false;
	add_call(c, nr, a0, a1, a2, 0, 0, false);
	return true;
}

bool batch_fp_load(struct sys_context *c)
{
	if (!may_wait(c, true))
		return false;
	(void)next(c, CMD_FP_LOAD, 0);
	publish(c);
	return true;
}

bool batch_map(struct sys_context *c, uaddr_t addr, uint64_t size, int prot, int flags, int fd, uint64_t offset)
{
	struct stub_op *o;

	if (fd < 0)
		return batch_call(c, SYS_mmap, addr, size, (uint64_t)prot, (uint64_t)flags, addr, false);
	if (!may_wait(c, false) || c->batch.fds == FDS_MAX)
		return false;
	LOCK(&c->proc->fd_lock);
	if (stub_send_fds(c->proc, &fd, 1) < 0) {
		mutex_unlock(&c->proc->fd_lock);
		return false;
	}
	mutex_unlock(&c->proc->fd_lock);
	c->batch.fds++;
	o = next(c, CMD_MAP_FD, addr);
	o->arg[0] = addr;
	o->arg[1] = size;
	o->arg[2] = (uint64_t)prot;
	o->arg[3] = (uint64_t)flags;
	o->arg[4] = offset;
	c->batch.map[c->batch.count - 1].addr = addr;
	c->batch.map[c->batch.count - 1].size = size;
	publish(c);
	return true;
}

/* What is being mapped can be written to; so can the one word that a fork writes to its child (and nobody is
 * told when it can't). */
static bool is_writable(struct sys_context *c, uaddr_t dst, size_t size)
{
	const struct batch *b = &c->batch;
	const struct stub_op *ops = (const struct stub_op *)((char *)c->slot + SLOT_BATCH);

	if (!c->exec)
		return size == sizeof(uint32_t);
	for (uint32_t i = 0; i < b->count; i++)
		if (ops[i].arg[2] & PROT_WRITE && dst - b->map[i].addr < b->map[i].size &&
		    size <= b->map[i].size - (dst - b->map[i].addr))
			return true;
	return false;
}

bool batch_copy_out(struct sys_context *c, uaddr_t dst, const void *src, size_t size)
{
	struct batch *b = &c->batch;
	struct stub_op *o;

	if (!c->unrun || !may_wait(c, false) || !is_writable(c, dst, size) ||
	    size > BATCH_SIZE - BATCH_DATA - b->data)
		return false;
	o = next(c, CMD_COPY_OUT, size);
	o->may_fail = !c->exec;
	o->arg[0] = dst;
	o->arg[1] = size;
	o->arg[2] = BATCH_DATA + b->data;
	memcpy((char *)c->slot + SLOT_BATCH + o->arg[2], src, size);
	b->data += ROUND_UP((uint32_t)size, 8U);
	publish(c);
	return true;
}

bool batch_settle(struct sys_context *c)
{
	struct batch *b = &c->batch;
	uint32_t failed, count = b->count;
	int64_t error;

	if (LIKELY(!count))
		return true;
	b->count = b->data = b->fds = 0;
	failed = __atomic_load_n(&c->slot->batch_failed, __ATOMIC_RELAXED);
	error = __atomic_load_n(&c->slot->batch_error, __ATOMIC_RELAXED);
	if (!failed)
		return true;
	/* a guest's word from here on: about its own memory */
	failed = MIN(failed, count) - 1;
	b->failed = true;
	b->error = error < 0 && error >= -4095 ? (int)error : -EFAULT;
	b->addr = b->map[failed].addr;
	b->size = b->map[failed].size;
	return false;
}

void batch_flush(struct sys_context *c)
{
	if (c->batch.count)
		(void)stub_command(c, CMD_NOTHING, 0, 0, 0, 0, 0, 0, 0);
}

void systrap_settle(struct context *ctx)
{
	copies_flush(sys_context(ctx));
	batch_flush(sys_context(ctx));
}

bool batch_is_late(struct sys_proc *proc)
{
	bool late = false;

	LOCK(&proc->lock);
	for (uint32_t i = 0; i < proc->cap && !late && proc->context_count == 1; i++)
		late = proc->contexts[i] &&
		       __atomic_load_n(&proc->contexts[i]->slot->batch_count, __ATOMIC_ACQUIRE);
	mutex_unlock(&proc->lock);
	return late;
}
