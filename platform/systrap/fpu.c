/* fpu.c: the extended state. It lies in the signal frame when the guest came by signal (the host kernel
 * saved it there and loads it from there), else in the thread's registers: the stub saves it on request, and by
 * itself with calls that are likely to need it. */
#include "platform/systrap/internal.h"

#include <errno.h>
#include <string.h>

#include "platform/arch/x86_64/cpuid.h"
#include "platform/base/arena.h"
#include "platform/base/bytes.h"

#define LEGACY_SIZE   512UL
#define HEADER_SIZE   64UL
#define SW_RESERVED   464 /* 48 bytes that the host kernel uses in frames */
#define MXCSR_OFFSET  24
#define XSTATE_FP_SSE 3UL
#define XSTATE_TILE   (3UL << 17) /* needs a permission that guest processes don't have */

void fpu_probe(struct sys_platform *p)
{
	uint8_t area[LEGACY_SIZE] ALIGNED(64) = {0};
	uint32_t lo, hi, mask;

	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	p->xfeatures = ((uint64_t)hi << 32 | lo) & ~XSTATE_TILE;
	p->fp_size = cpuid_xstate_end(p->xfeatures);
	__asm__ volatile("fxsave64 (%0)" ::"r"(area) : "memory");
	mask = get_le32(area + 28);
	p->mxcsr_mask = mask ? mask : 0xffbf;
	BUG_ON(p->fp_size > SLOT_FP_SIZE);
}

size_t systrap_fpstate_size(struct platform *p, uint64_t *xfeatures)
{
	*xfeatures = sys_platform(p)->xfeatures;
	return sys_platform(p)->fp_size;
}

/* The state in c's frame, or NULL when the frame has none where it could be. */
static uint8_t *frame_area(struct sys_context *c)
{
	struct stub_frame *f = context_frame(c);
	uint64_t off = f->fpstate - slot_address(c->index);

	if (off < SLOT_ALT || off % 64 ||
	    off > SLOT_ALT + SLOT_ALT_SIZE - sys_platform(c->base.platform)->fp_size)
		return NULL;
	return (uint8_t *)c->slot + off;
}

static uint8_t *slot_area(struct sys_context *c)
{
	return (uint8_t *)c->slot + SLOT_FP;
}

int systrap_fpstate_get(struct context *ctx, void *buf, size_t *size)
{
	struct sys_context *c = sys_context(ctx);
	size_t need = sys_platform(ctx->platform)->fp_size;
	uint8_t *area, *out = buf;

	if (*size < need)
		return -EINVAL;
	if (c->frame) {
		area = frame_area(c);
		if (!area)
			return -EFAULT;
	} else {
		area = slot_area(c);
		if (!c->fp_here) {
			memset(area + LEGACY_SIZE, 0, HEADER_SIZE);
			if (stub_command(c, CMD_FP_SAVE, 0, 0, 0, 0, 0, 0, 0) < 0)
				return -ESRCH;
		}
	}
	memcpy(buf, area, need);
	memset(out + SW_RESERVED, 0, LEGACY_SIZE - SW_RESERVED);
	put_le64(out + LEGACY_SIZE, get_le64(out + LEGACY_SIZE) & sys_platform(ctx->platform)->xfeatures);
	memset(out + LEGACY_SIZE + 8, 0, HEADER_SIZE - 8);
	*size = need;
	return 0;
}

/* A full, valid area in full, from size bytes of buf. */
static int complete(struct sys_platform *p, uint8_t *full, const void *buf, size_t size)
{
	uint64_t has;

	if (!size) {
		put_le16(full, 0x037f);
		put_le32(full + MXCSR_OFFSET, 0x1f80);
		return 0;
	}
	if (size < LEGACY_SIZE)
		return -EINVAL;
	size = MIN(size, p->fp_size);
	memcpy(full, buf, size);
	if (size < LEGACY_SIZE + HEADER_SIZE) {
		memset(full + LEGACY_SIZE, 0, HEADER_SIZE);
		put_le64(full + LEGACY_SIZE, XSTATE_FP_SSE);
	}
	has = get_le64(full + LEGACY_SIZE);
	if ((has & ~p->xfeatures) || (get_le32(full + MXCSR_OFFSET) & ~p->mxcsr_mask))
		return -EINVAL;
	if (size < p->fp_size && (has & ~XSTATE_FP_SSE) && cpuid_xstate_end(has) > size)
		return -EINVAL;
	for (size_t i = 8; i < HEADER_SIZE; i++)
		if (full[LEGACY_SIZE + i])
			return -EINVAL;
	return 0;
}

int systrap_fpstate_set(struct context *ctx, const void *buf, size_t size)
{
	struct sys_platform *p = sys_platform(ctx->platform);
	struct sys_context *c = sys_context(ctx);
	uint8_t *full = kmalloc(p->fp_size), *area;
	int ret;

	if (!full)
		return -ENOMEM;
	ret = complete(p, full, buf, size);
	if (ret < 0)
		goto out;
	area = c->frame ? frame_area(c) : slot_area(c);
	if (!area) {
		ret = -EFAULT;
		goto out;
	}
	memcpy(area, full, c->frame ? SW_RESERVED : LEGACY_SIZE);
	memcpy(area + LEGACY_SIZE, full + LEGACY_SIZE, p->fp_size - LEGACY_SIZE);
	if (!c->frame && !batch_fp_load(c) && stub_command(c, CMD_FP_LOAD, 0, 0, 0, 0, 0, 0, 0) < 0)
		ret = -ESRCH;
	c->fp_here = !c->frame && ret == 0;
out:
	kfree(full);
	return ret;
}

void fpu_copy_frame(struct sys_context *c, struct sys_context *child)
{
	uint8_t *from = frame_area(c), *to = slot_area(child);
	size_t size = sys_platform(c->base.platform)->fp_size;

	if (!from)
		return;
	memcpy(to, from, size);
	memset(to + SW_RESERVED, 0, LEGACY_SIZE - SW_RESERVED);
	/* The stub loads it without a check: it must not fault on what the guest may have written. */
	put_le64(to + LEGACY_SIZE, get_le64(to + LEGACY_SIZE) & sys_platform(c->base.platform)->xfeatures);
	memset(to + LEGACY_SIZE + 8, 0, HEADER_SIZE - 8);
	put_le32(to + MXCSR_OFFSET, get_le32(to + MXCSR_OFFSET) & sys_platform(c->base.platform)->mxcsr_mask);
	child->slot->restore_fp = 1;
}
