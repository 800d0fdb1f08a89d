/* memory.c: mappings, changed by the guest's own thread on our word. The kernel's books decide; here only
 * what would harm the platform is refused. A descriptor is sent right before it is mapped and closed right
 * after; a guest that plays the stub in between gains what the descriptor itself allows, no more. */
#include "platform/systrap/internal.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "platform/abi/mman.h"
#include "platform/host/hostcall.h"

static int check_range(uaddr_t addr, uint64_t size)
{
	uaddr_t end = addr + size;

	if (!size || ((addr | size) & ~PAGE_MASK) || end < addr || addr < GUEST_VA_MIN || end > GUEST_VA_END)
		return -EINVAL;
	return addr < SBX_HOLE_END && end > SBX_HOLE_START ? -EINVAL : 0;
}

static int host_prot(uint32_t prot)
{
	return (prot & LINUX_PROT_READ ? PROT_READ : 0) | (prot & LINUX_PROT_WRITE ? PROT_WRITE : 0) |
	       (prot & LINUX_PROT_EXEC ? PROT_EXEC : 0);
}

/* What a stub says an mmap or mremap gave: the place that was asked for, or an error. */
static int at_result(int64_t got, uaddr_t want)
{
	if (got == (int64_t)want)
		return 0;
	return got < 0 && got >= -4095 ? (int)got : -EFAULT;
}

static int zero_result(int64_t got)
{
	return got >= -4095 && got <= 0 ? (int)got : -EFAULT;
}

static int64_t map_fd(struct sys_context *c, const struct map_request *r, int flags)
{
	struct sys_proc *proc = c->proc;
	int64_t ret;

	LOCK(&proc->fd_lock);
	ret = stub_send_fds(proc, &r->fd, 1);
	if (ret == 0)
		ret = stub_command(c, CMD_MAP_FD, 0, r->addr, r->size, (uint64_t)host_prot(r->prot),
				   (uint64_t)flags, r->offset, 0);
	mutex_unlock(&proc->fd_lock);
	return ret;
}

int systrap_map(struct context *ctx, const struct map_request *r)
{
	struct sys_context *c = sys_context(ctx);
	int flags = MAP_FIXED | (r->shared ? MAP_SHARED : MAP_PRIVATE);
	int64_t ret = check_range(r->addr, r->size);

	if (ret < 0)
		return (int)ret;
	c->fresh = false;
	flags |= r->noreserve ? MAP_NORESERVE : 0;
	flags |= r->populate ? MAP_POPULATE : 0;
	flags |= r->growsdown ? MAP_GROWSDOWN : 0;
	patch_lock_text(c);
	patch_forget(c, r->addr, r->size);
	flags |= r->fd < 0 ? MAP_ANONYMOUS : 0;
	if (batch_map(c, r->addr, r->size, host_prot(r->prot), flags, r->fd, r->offset))
		ret = (int64_t)r->addr;
	else if (r->fd >= 0)
		ret = map_fd(c, r, flags);
	else
		ret = stub_command(c, CMD_CALL, SYS_mmap, r->addr, r->size, (uint64_t)host_prot(r->prot),
				   (uint64_t)flags, (uint64_t)-1, 0);
	ret = at_result(ret, r->addr);
	if (ret == 0 && !r->shared && r->prot & LINUX_PROT_EXEC)
		patch_note_text(c, r->addr, r->size, r->prot);
	patch_unlock_text(c);
	if (ret < 0)
		return (int)ret;
	/* advice: a host without them is no reason to fail */
	if (r->hugepage && !batch_call(c, SYS_madvise, r->addr, r->size, MADV_HUGEPAGE, 0, 0, true))
		(void)stub_command(c, CMD_CALL, SYS_madvise, r->addr, r->size, MADV_HUGEPAGE, 0, 0, 0);
	return 0;
}

int systrap_unmap(struct context *ctx, uaddr_t addr, uint64_t size)
{
	struct sys_context *c = sys_context(ctx);
	int ret = check_range(addr, size);

	if (ret < 0)
		return ret;
	patch_lock_text(c);
	patch_forget(c, addr, size);
	if (!batch_call(c, SYS_munmap, addr, size, 0, 0, 0, false))
		ret = zero_result(stub_command(c, CMD_CALL, SYS_munmap, addr, size, 0, 0, 0, 0));
	patch_unlock_text(c);
	return ret;
}

int systrap_protect(struct context *ctx, uaddr_t addr, uint64_t size, uint32_t prot)
{
	struct sys_context *c = sys_context(ctx);
	int ret = check_range(addr, size);

	if (ret < 0)
		return ret;
	patch_lock_text(c);
	if (!batch_call(c, SYS_mprotect, addr, size, (uint64_t)host_prot(prot), 0, 0, false))
		ret = zero_result(stub_command(c, CMD_CALL, SYS_mprotect, addr, size, (uint64_t)host_prot(prot),
					       0, 0, 0));
	if (ret == 0)
		patch_note_prot(c, addr, size, prot);
	patch_unlock_text(c);
	return ret;
}

int systrap_remap(struct context *ctx, uaddr_t old, uint64_t old_size, uaddr_t new_addr, uint64_t new_size,
		  uint32_t flags)
{
	struct sys_context *c = sys_context(ctx);
	uint64_t host_flags = MREMAP_MAYMOVE | MREMAP_FIXED;
	int ret;

	/* old_size 0 makes a second mapping of a shared one */
	ret = check_range(old, old_size ?: PAGE_SIZE);
	if (ret == 0)
		ret = check_range(new_addr, new_size);
	if (ret < 0)
		return ret;
	if (flags & LINUX_MREMAP_DONTUNMAP)
		host_flags |= MREMAP_DONTUNMAP;
	patch_lock_text(c);
	patch_undo(c, old, old_size ?: PAGE_SIZE);
	patch_forget(c, new_addr, new_size);
	if (old == new_addr) /* in place: the host moves nothing, and the target isn't looked at */
		host_flags = 0;
	ret = at_result(stub_command(c, CMD_CALL, SYS_mremap, old, old_size, new_size, host_flags, new_addr, 0),
			new_addr);
	patch_unlock_text(c);
	return ret;
}

int systrap_advise(struct context *ctx, uaddr_t addr, uint64_t size, int advice)
{
	int ret = check_range(addr, size);

	if (ret < 0)
		return ret;
	if (advice == LINUX_MADV_DONTNEED || advice == LINUX_MADV_DONTNEED_LOCKED || advice == LINUX_MADV_FREE)
		patch_forget(sys_context(ctx), addr, size); /* the text is the file's again */
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
		if ((advice == LINUX_MADV_DONTNEED || advice == LINUX_MADV_FREE) &&
		    batch_own(sys_context(ctx), SYS_madvise, addr, size, (uint64_t)advice))
			return 0;
		return zero_result(stub_command(sys_context(ctx), CMD_CALL, SYS_madvise, addr, size,
						(uint64_t)advice, 0, 0, 0));
	default: /* merging would tell tenants about each other; poisoning is not for guests */
		return -EINVAL;
	}
}

int systrap_mincore(struct context *ctx, uaddr_t addr, uint64_t size, uint8_t *vec)
{
	struct sys_context *c = sys_context(ctx);
	int ret = check_range(addr, size);

	copies_flush(c);
	while (ret == 0 && size) {
		uint64_t part = MIN(size, (uint64_t)SCRATCH_SIZE * PAGE_SIZE), pages = part / PAGE_SIZE;

		ret = zero_result(stub_command(c, CMD_CALL, SYS_mincore, addr, part,
					       slot_address(c->index) + SLOT_SCRATCH, 0, 0, 0));
		/* the answer is the guest's own business */
		for (uint64_t i = 0; ret == 0 && i < pages; i++)
			vec[i] = ((const uint8_t *)c->slot)[SLOT_SCRATCH + i] & 1;
		addr += part;
		size -= part;
		vec += pages;
	}
	return ret;
}
