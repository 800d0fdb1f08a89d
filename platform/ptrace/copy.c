/* copy.c: reaching into guest memory from the sentry: process_vm_readv and writev, which honour the
 * mappings' protection and say how far they came. */
#include "platform/ptrace/internal.h"

#include <sys/uio.h>

#include "platform/host/hostcall.h"
#include "platform/host/proc.h"

/* Everything the guest may name: below the end, outside the hole. Shortens size to what is in front of it.
 */
static size_t copy_bound(uaddr_t addr, size_t size)
{
	uaddr_t end = addr < SBX_HOLE_START ? SBX_HOLE_START : GUEST_VA_END;

	if (addr >= GUEST_VA_END || (addr >= SBX_HOLE_START && addr < SBX_HOLE_END))
		return 0;
	return MIN(size, end - addr);
}

static ssize_t copy_vm(int pid, bool write, uaddr_t addr, void *buf, size_t size)
{
	size_t done = 0;

	/* one call moves at most INT_MAX bytes, rounded down */
	while (done < size) {
		struct iovec local = {.iov_base = (char *)buf + done, .iov_len = size - done};
		struct iovec remote = {.iov_base = (void *)(addr + done), .iov_len = size - done};
		ssize_t n = write ? hc_process_vm_writev(pid, &local, 1, &remote, 1)
				  : hc_process_vm_readv(pid, &local, 1, &remote, 1);

		if (n <= 0)
			break;
		done += (size_t)n;
		if (done < size && n < 0x1000000)
			break; /* it met a bad page */
	}
	return (ssize_t)done;
}

static ssize_t copy_any(struct aspace *base, struct context *c, bool write, uaddr_t addr, void *buf,
			size_t size)
{
	struct ptrace_aspace *as = ptrace_aspace_of(base);
	ssize_t n = 0;

	if (!size)
		return 0;
	if (c) /* an owner's own space doesn't change under it */
		return copy_vm(as->pid, write, addr, buf, size);
	rwlock_read(&as->pid_lock);
	if (as->pid)
		n = copy_vm(as->pid, write, addr, buf, size);
	rwlock_read_unlock(&as->pid_lock);
	return n;
}

bool copy_scratch(struct ptrace_context *c, void *dst, size_t size)
{
	return copy_vm(ptrace_aspace_of(c->base.as)->pid, false, STUB_SCRATCH, dst, size) == (ssize_t)size;
}

ssize_t ptrace_copy_in(struct aspace *as, struct context *c, void *dst, uaddr_t src, size_t size)
{
	return copy_any(as, c, false, src, dst, copy_bound(src, size));
}

ssize_t ptrace_copy_out(struct aspace *as, struct context *c, uaddr_t dst, const void *src, size_t size)
{
	return copy_any(as, c, true, dst, (void *)(uintptr_t)src, copy_bound(dst, size));
}

ssize_t ptrace_poke(struct aspace *base, uaddr_t dst, const void *src, size_t size)
{
	struct ptrace_aspace *as = ptrace_aspace_of(base);
	ssize_t n;

	size = copy_bound(dst, size);
	n = copy_any(base, NULL, true, dst, (void *)(uintptr_t)src, size);
	if ((size_t)n == size)
		return n;
	rwlock_read(&as->pid_lock);
	if (as->pid)
		n += proc_poke(as->pid, dst + (size_t)n, (const char *)src + n, size - (size_t)n);
	rwlock_read_unlock(&as->pid_lock);
	return n;
}

/* The instruction is executed by the guest's own thread, so it is atomic with all that the guest does, and
 * the guest's page tables judge the access. */
int ptrace_cmpxchg_u32(struct context *ctx, uaddr_t addr, uint32_t *expected, uint32_t desired)
{
	struct ptrace_context *c = ptrace_context_of(ctx);
	struct guest_regs r;
	int ret;

	if (addr % sizeof(uint32_t) || copy_bound(addr, sizeof(uint32_t)) != sizeof(uint32_t))
		return -EFAULT;
	if (!context_alive(c) || context_fetch_regs(c) < 0)
		return -EFAULT;
	arch_stub_cmpxchg(&r, addr, *expected, desired);
	c->regs_dirty = true;
	ret = tracee_run_stub(&c->t, &r, ptrace_stub_cmpxchg_trap, true);
	if (ret < 0)
		return -EFAULT;
	*expected = (uint32_t)regs_result(&r);
	return 0;
}

uint64_t ptrace_resident(struct aspace *base)
{
	struct ptrace_aspace *as = ptrace_aspace_of(base);
	uint64_t n;

	rwlock_read(&as->pid_lock);
	n = as->pid ? proc_resident(as->pid) : 0;
	rwlock_read_unlock(&as->pid_lock);
	return n;
}
