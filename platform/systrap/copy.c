/* copy.c: reaching into guest memory: process_vm_readv and writev, which honour the mappings' protection
 * and say how far they came; where the host forbids them, the guest's own thread copies through its slot.
 */
#include "platform/systrap/internal.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "platform/base/arena.h"
#include "platform/host/hostcall.h"
#include "platform/host/proc.h"

#define STUB_COPY_MAX 8192UL
#define LATE_TRIES    200

/* Everything the guest may name: below the end, outside the hole. Shortens size to what is in front of it.
 */
static size_t copy_bound(uaddr_t addr, size_t size)
{
	uaddr_t end = addr < SBX_HOLE_START ? SBX_HOLE_START : GUEST_VA_END;

	if (addr >= GUEST_VA_END || (addr >= SBX_HOLE_START && addr < SBX_HOLE_END))
		return 0;
	return MIN(size, end - addr);
}

/* Bytes, or -EPERM when it can't be done this way at all. */
static ssize_t copy_vm(int pid, bool write, uaddr_t addr, void *buf, size_t size)
{
	size_t done = 0;

	/* one call moves at most INT_MAX bytes, rounded down */
	while (done < size) {
		struct iovec local = {.iov_base = (char *)buf + done, .iov_len = size - done};
		struct iovec remote = {.iov_base = (void *)(addr + done), .iov_len = size - done};
		ssize_t n = write ? hc_process_vm_writev(pid, &local, 1, &remote, 1)
				  : hc_process_vm_readv(pid, &local, 1, &remote, 1);

		if (n == -EPERM || n == -ENOSYS)
			return -EPERM;
		if (n <= 0)
			break;
		done += (size_t)n;
		if (done < size && n < 0x1000000)
			break; /* it met a bad page */
	}
	return (ssize_t)done;
}

/* The pid stays the process's while it is in use here: see mark_dead. */
static ssize_t copy_proc(struct sys_proc *proc, bool write, uaddr_t addr, void *buf, size_t size)
{
	ssize_t n = 0;

	if (proc_use(proc))
		n = copy_vm(proc->pid, write, addr, buf, size);
	proc_unuse(proc);
	return n;
}

static ssize_t copy_by_stub(struct sys_context *c, bool write, uaddr_t addr, void *buf, size_t size)
{
	char *data = (char *)c->slot + SLOT_SCRATCH;
	size_t done = 0;

	while (done < size) {
		size_t part = MIN(size - done, (size_t)SCRATCH_SIZE);
		int64_t n;

		if (write)
			memcpy(data, (char *)buf + done, part);
		n = stub_command(c, write ? CMD_COPY_OUT : CMD_COPY_IN, 0, addr + done, part, 0, 0, 0, 0);
		if (n <= 0 || n > (int64_t)part)
			break;
		if (!write)
			memcpy((char *)buf + done, data, (size_t)n);
		done += (size_t)n;
		if (n < (int64_t)part)
			break;
	}
	return (ssize_t)done;
}

/* A stub that looks at its word at this moment is faster than the host. */
bool copy_prefers_stub(struct sys_context *c)
{
	const struct sys_platform *p = sys_platform(c->base.platform);

	return __atomic_load_n(&p->no_process_vm, __ATOMIC_RELAXED) ||
	       (p->spin_limit && !(__atomic_load_n(&c->slot->turn, __ATOMIC_RELAXED) & TURN_SLEEPS));
}

ssize_t copy_by_host(struct sys_context *c, bool write, uaddr_t addr, void *buf, size_t size)
{
	struct sys_platform *p = sys_platform(c->base.platform);
	ssize_t n;

	size = copy_bound(addr, size);
	if (!size)
		return 0;
	if (__atomic_load_n(&p->no_process_vm, __ATOMIC_RELAXED))
		return -EPERM;
	STAT_INC(c, copies);
	n = copy_proc(c->proc, write, addr, buf, size);
	if (n < 0)
		__atomic_store_n(&p->no_process_vm, true, __ATOMIC_RELAXED);
	return n;
}

/* By one of the two ways, at once. Also names the guest's memory only: the bounds are checked here again.
 */
ssize_t copy_now(struct sys_context *c, bool write, uaddr_t addr, void *buf, size_t size)
{
	ssize_t n;

	size = copy_bound(addr, size);
	if (c->gone || !size)
		return 0;
	if (size <= STUB_COPY_MAX && copy_prefers_stub(c))
		return copy_by_stub(c, write, addr, buf, size);
	n = copy_by_host(c, write, addr, buf, size);
	return n >= 0 ? n : copy_by_stub(c, write, addr, buf, size);
}

/* Exec reads many strings that lie side by side; nobody else may count on what is kept here. */
static ssize_t copy_strings(struct sys_context *c, void *dst, uaddr_t src, size_t size)
{
	uaddr_t at = src & PAGE_MASK;
	ssize_t n;

	if (src + size > at + PAGE_SIZE)
		return -1;
	if (!c->page)
		c->page = kmalloc(PAGE_SIZE);
	if (!c->page)
		return -1;
	if (!c->page_size || c->page_at != at) {
		n = copy_now(c, false, at, c->page, PAGE_SIZE);
		c->page_at = at;
		c->page_size = (uint32_t)MAX(n, (ssize_t)0);
	}
	if (src - at >= c->page_size)
		return -1;
	size = MIN(size, c->page_size - (src - at));
	memcpy(dst, c->page + (src - at), size);
	return (ssize_t)size;
}

static ssize_t copy_own(struct sys_context *c, bool write, uaddr_t addr, void *buf, size_t size)
{
	ssize_t n;

	if (write) {
		c->page_size = 0;
		if (copies_out(c, addr, buf, size) || batch_copy_out(c, addr, buf, size))
			return (ssize_t)size;
	} else {
		n = copies_in(c, buf, addr, size);
		if (n < 0 && (c->nr == SYS_execve || c->nr == SYS_execveat))
			n = copy_strings(c, buf, addr, size);
		if (n >= 0)
			return n;
	}
	systrap_settle(&c->base);
	return copy_now(c, write, addr, buf, size);
}

/* Another one's memory, of which the last changes may be on their way. */
static ssize_t copy_other(struct sys_proc *proc, bool write, uaddr_t addr, void *buf, size_t size)
{
	ssize_t n = copy_proc(proc, write, addr, buf, size);

	for (int i = 0; n >= 0 && (size_t)n < size && batch_is_late(proc) && i < LATE_TRIES; i++) {
		hc_sched_yield();
		n = copy_proc(proc, write, addr, buf, size);
	}
	return MAX(n, (ssize_t)0);
}

static ssize_t copy_any(struct aspace *as, struct context *ctx, bool write, uaddr_t addr, void *buf,
			size_t size)
{
	if (!size)
		return 0;
	if (ctx)
		return copy_own(sys_context(ctx), write, addr, buf, size);
	return copy_other(sys_aspace(as)->proc, write, addr, buf, size);
}

ssize_t systrap_copy_in(struct aspace *as, struct context *c, void *dst, uaddr_t src, size_t size)
{
	return copy_any(as, c, false, src, dst, copy_bound(src, size));
}

ssize_t systrap_copy_out(struct aspace *as, struct context *c, uaddr_t dst, const void *src, size_t size)
{
	return copy_any(as, c, true, dst, (void *)(uintptr_t)src, copy_bound(dst, size));
}

static const char zeros[PAGE_SIZE];

#define ZERO_PIECES 64

/* One page, again and again. */
static ssize_t zero_vm(int pid, uaddr_t addr, size_t size)
{
	struct iovec local[ZERO_PIECES];
	size_t done = 0;

	for (int i = 0; i < ZERO_PIECES; i++)
		local[i] = (struct iovec){(void *)(uintptr_t)zeros, PAGE_SIZE};
	while (done < size) {
		size_t n = MIN(size - done, ZERO_PIECES * PAGE_SIZE);
		struct iovec remote = {.iov_base = (void *)(addr + done), .iov_len = n};
		ssize_t put = hc_process_vm_writev(pid, local, ZERO_PIECES, &remote, 1);

		if (put == -EPERM || put == -ENOSYS)
			return -EPERM;
		if (put <= 0)
			break;
		done += (size_t)put;
		if ((size_t)put < n)
			break;
	}
	return (ssize_t)done;
}

static ssize_t zero_pages(struct aspace *as, struct context *ctx, uaddr_t dst, size_t size)
{
	size_t done = 0;

	while (done < size) {
		size_t n = MIN(size - done, sizeof(zeros));
		ssize_t put = systrap_copy_out(as, ctx, dst + done, zeros, n);

		done += put > 0 ? (size_t)put : 0;
		if (put < (ssize_t)n)
			break;
	}
	return (ssize_t)done;
}

ssize_t systrap_zero_out(struct aspace *as, struct context *ctx, uaddr_t dst, size_t size)
{
	struct sys_proc *proc = sys_aspace(as)->proc;
	ssize_t n = -EPERM;

	size = copy_bound(dst, size);
	if (size <= 4 * sizeof(zeros) || proc->platform->no_process_vm)
		return zero_pages(as, ctx, dst, size);
	if (ctx) {
		sys_context(ctx)->page_size = 0;
		systrap_settle(ctx);
	}
	if (proc_use(proc))
		n = zero_vm(proc->pid, dst, size);
	proc_unuse(proc);
	return n == -EPERM ? zero_pages(as, ctx, dst, size) : n;
}

ssize_t systrap_poke(struct aspace *as, uaddr_t dst, const void *src, size_t size)
{
	struct sys_proc *proc = sys_aspace(as)->proc;
	ssize_t n;

	size = copy_bound(dst, size);
	n = copy_any(as, NULL, true, dst, (void *)(uintptr_t)src, size);
	if ((size_t)n == size)
		return n;
	if (proc_use(proc))
		n += proc_poke(proc->pid, dst + (size_t)n, (const char *)src + n, size - (size_t)n);
	proc_unuse(proc);
	return n;
}

/* The guest's own thread executes the instruction: atomic with all that the guest does. */
int systrap_cmpxchg_u32(struct context *ctx, uaddr_t addr, uint32_t *expected, uint32_t desired)
{
	struct sys_context *c = sys_context(ctx);

	if (addr % sizeof(uint32_t) || copy_bound(addr, sizeof(uint32_t)) != sizeof(uint32_t))
		return -EFAULT;
	copies_flush(c);
	if (stub_command(c, CMD_CMPXCHG, 0, addr, *expected, desired, 0, 0, 0) != 0)
		return -EFAULT;
	*expected = (uint32_t)__atomic_load_n(&c->slot->arg[1], __ATOMIC_RELAXED);
	return 0;
}
