/* aspace.c: address spaces as host processes, and their mappings, which the guest's own thread changes by
 * injected calls. The kernel's books decide; here only what would harm the platform is refused: the hole
 * and what lies outside the guest's range. */
#include "platform/ptrace/internal.h"

#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "platform/abi/mman.h"
#include "platform/base/arena.h"
#include "platform/host/hostcall.h"

void process_kill(int pid)
{
	int status, ret;

	hc_kill(pid, SIGKILL);
	do {
		ret = hc_wait4(pid, &status, __WALL, NULL);
	} while (ret == -EINTR || (ret == pid && WIFSTOPPED(status)));
}

int ptrace_aspace_create(struct platform *p, int pid, struct ptrace_aspace **out)
{
	struct ptrace_aspace *as = kmalloc(sizeof(*as));

	if (!as) {
		process_kill(pid);
		return -ENOMEM;
	}
	refs_init(&as->base.refs);
	as->base.platform = p;
	rwlock_init(&as->pid_lock, RANK_PLATFORM);
	as->pid = pid;
	*out = as;
	return 0;
}

void ptrace_aspace_destroy(struct aspace *base)
{
	struct ptrace_aspace *as = ptrace_aspace_of(base);

	if (as->pid)
		process_kill(as->pid);
	kfree(as);
}

/* May the kernel change [addr, addr + size)? Notes when the vDSO is in it. */
static int aspace_range(struct aspace *base, uaddr_t addr, uint64_t size)
{
	struct platform *p = base->platform;
	uaddr_t end = addr + size;

	if (!size || ((addr | size) & ~PAGE_MASK) || end < addr || addr < GUEST_VA_MIN || end > GUEST_VA_END)
		return -EINVAL;
	if (addr < SBX_HOLE_END && end > SBX_HOLE_START)
		return -EINVAL;
	if (addr < p->vdso_end && end > p->vvar_start)
		__atomic_store_n(&ptrace_aspace_of(base)->vdso_changed, true, __ATOMIC_RELAXED);
	return 0;
}

static int host_prot(uint32_t prot)
{
	return (prot & LINUX_PROT_READ ? PROT_READ : 0) | (prot & LINUX_PROT_WRITE ? PROT_WRITE : 0) |
	       (prot & LINUX_PROT_EXEC ? PROT_EXEC : 0);
}

int ptrace_map(struct context *ctx, const struct map_request *r)
{
	struct ptrace_context *c = ptrace_context_of(ctx);
	int flags = MAP_FIXED | (r->shared ? MAP_SHARED : MAP_PRIVATE);
	int64_t ret = aspace_range(ctx->as, r->addr, r->size);

	if (ret < 0)
		return (int)ret;
	if (r->fd < 0)
		flags |= MAP_ANONYMOUS;
	if (r->noreserve)
		flags |= MAP_NORESERVE;
	if (r->populate)
		flags |= MAP_POPULATE;
	if (r->growsdown)
		flags |= MAP_GROWSDOWN;
	ret = context_call(c, SYS_mmap, r->addr, r->size, (uint64_t)host_prot(r->prot), (uint64_t)flags,
			   (uint64_t)(int64_t)(r->fd < 0 ? -1 : r->fd), r->fd < 0 ? 0 : r->offset);
	if (ret < 0)
		return (int)ret;
	if (r->hugepage) /* advice: a host without them is no reason to fail */
		(void)context_call(c, SYS_madvise, r->addr, r->size, MADV_HUGEPAGE, 0, 0, 0);
	return 0;
}

int ptrace_unmap(struct context *ctx, uaddr_t addr, uint64_t size)
{
	int ret = aspace_range(ctx->as, addr, size);

	if (ret < 0)
		return ret;
	return (int)context_call(ptrace_context_of(ctx), SYS_munmap, addr, size, 0, 0, 0, 0);
}

int ptrace_protect(struct context *ctx, uaddr_t addr, uint64_t size, uint32_t prot)
{
	int ret = aspace_range(ctx->as, addr, size);

	if (ret < 0)
		return ret;
	return (int)context_call(ptrace_context_of(ctx), SYS_mprotect, addr, size, (uint64_t)host_prot(prot), 0,
				 0, 0);
}

int ptrace_remap(struct context *ctx, uaddr_t old, uint64_t old_size, uaddr_t new_addr, uint64_t new_size,
		 uint32_t flags)
{
	uint64_t host_flags = 0;
	int64_t ret;

	/* old_size 0 makes a second mapping of a shared one */
	ret = aspace_range(ctx->as, old, old_size ?: PAGE_SIZE);
	if (ret == 0)
		ret = aspace_range(ctx->as, new_addr, new_size);
	if (ret < 0)
		return (int)ret;
	if (flags & LINUX_MREMAP_DONTUNMAP)
		host_flags |= MREMAP_DONTUNMAP;
	/* in place, the host moves nothing and wants no target */
	if (old != new_addr)
		host_flags |= MREMAP_MAYMOVE | MREMAP_FIXED;
	ret = context_call(ptrace_context_of(ctx), SYS_mremap, old, old_size, new_size, host_flags, new_addr,
			   0);
	return ret < 0 ? (int)ret : 0;
}

int ptrace_advise(struct context *ctx, uaddr_t addr, uint64_t size, int advice)
{
	int ret = aspace_range(ctx->as, addr, size);

	if (ret < 0)
		return ret;
	switch (advice) {
	case LINUX_MADV_NORMAL:
	case LINUX_MADV_RANDOM:
	case LINUX_MADV_SEQUENTIAL:
	case LINUX_MADV_WILLNEED:
	case LINUX_MADV_DONTNEED:
	case LINUX_MADV_FREE:
	case LINUX_MADV_REMOVE:
	case LINUX_MADV_DONTFORK:
	case LINUX_MADV_DOFORK:
	case LINUX_MADV_HUGEPAGE:
	case LINUX_MADV_NOHUGEPAGE:
	case LINUX_MADV_DONTDUMP:
	case LINUX_MADV_DODUMP:
	case LINUX_MADV_WIPEONFORK:
	case LINUX_MADV_KEEPONFORK:
	case LINUX_MADV_COLD:
	case LINUX_MADV_PAGEOUT:
	case LINUX_MADV_POPULATE_READ:
	case LINUX_MADV_POPULATE_WRITE:
	case LINUX_MADV_DONTNEED_LOCKED:
	case LINUX_MADV_COLLAPSE:
		return (int)context_call(ptrace_context_of(ctx), SYS_madvise, addr, size, (uint64_t)advice, 0,
					 0, 0);
	default: /* merging would tell tenants about each other; poisoning is not for guests */
		return -EINVAL;
	}
}

/* The host writes the answer to the scratch page, which other threads of the guest could reach too: the
 * answer is the guest's own business, and is masked. */
int ptrace_mincore(struct context *ctx, uaddr_t addr, uint64_t size, uint8_t *vec)
{
	struct ptrace_context *c = ptrace_context_of(ctx);
	int64_t ret = aspace_range(ctx->as, addr, size);

	while (ret == 0 && size) {
		uint64_t part = MIN(size, PAGE_SIZE * PAGE_SIZE), pages = part / PAGE_SIZE;

		ret = context_call(c, SYS_mincore, addr, part, STUB_SCRATCH, 0, 0, 0);
		if (ret == 0 && !copy_scratch(c, vec, pages))
			ret = -EFAULT;
		for (uint64_t i = 0; ret == 0 && i < pages; i++)
			vec[i] &= 1;
		addr += part;
		size -= part;
		vec += pages;
	}
	return (int)ret;
}
