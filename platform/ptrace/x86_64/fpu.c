/* fpu.c: the extended state, in the standard form of XSAVE, through PTRACE_{GET,SET}REGSET. The host kernel
 * validates what is set (header, reserved bits, MXCSR); it wants the whole area, so shorter ones are
 * completed here. */
#include "platform/ptrace/internal.h"

#include <linux/elf.h>
#include <linux/ptrace.h>
#include <string.h>
#include <sys/uio.h>

#include "platform/arch/x86_64/cpuid.h"
#include "platform/base/arena.h"
#include "platform/base/bytes.h"
#include "platform/host/hostcall.h"

#define LEGACY_SIZE   512UL
#define HEADER_SIZE   64UL
#define SW_RESERVED   464 /* software's 48 bytes; the host stores the feature mask there */
#define MXCSR_OFFSET  24
#define XSTATE_FP_SSE 3UL

static int64_t regset(struct tracee *t, long req, void *buf, size_t size)
{
	struct iovec iov = {.iov_base = buf, .iov_len = size};
	long ret = t->ended ? -ESRCH : hc_ptrace(req, t->tid, NT_X86_XSTATE, (uint64_t)(uintptr_t)&iov);

	return ret < 0 ? ret : (int64_t)iov.iov_len;
}

int fpu_reset(struct ptrace_platform *p, struct tracee *t)
{
	uint8_t *buf = kmalloc(p->xstate_size);
	int64_t ret;

	if (!buf)
		return -ENOMEM;
	put_le16(buf, 0x037f);
	put_le32(buf + MXCSR_OFFSET, 0x1f80);
	put_le64(buf + LEGACY_SIZE, XSTATE_FP_SSE);
	ret = regset(t, PTRACE_SETREGSET, buf, p->xstate_size);
	kfree(buf);
	return (int)MIN(ret, (int64_t)0);
}

int fpu_setup(struct ptrace_platform *p, struct tracee *t)
{
	size_t room = 64 * 1024;
	uint8_t *buf = kmalloc(room);
	int64_t n;

	if (!buf)
		return -ENOMEM;
	n = regset(t, PTRACE_GETREGSET, buf, room);
	if (n >= (int64_t)(LEGACY_SIZE + HEADER_SIZE)) {
		p->xstate_size = (size_t)n;
		p->xfeatures = get_le64(buf + SW_RESERVED);
	}
	kfree(buf);
	if (n < 0)
		return (int)n;
	return p->xstate_size ? fpu_reset(p, t) : -ENODEV;
}

size_t ptrace_fpstate_size(struct platform *p, uint64_t *xfeatures)
{
	*xfeatures = ptrace_platform_of(p)->xfeatures;
	return ptrace_platform_of(p)->xstate_size;
}

int ptrace_fpstate_get(struct context *ctx, void *buf, size_t *size)
{
	struct ptrace_context *c = ptrace_context_of(ctx);
	size_t need = ptrace_platform_of(ctx->platform)->xstate_size;
	int64_t n;

	if (*size < need)
		return -EINVAL;
	n = regset(&c->t, PTRACE_GETREGSET, buf, need);
	if (n < 0)
		return (int)n;
	memset((char *)buf + SW_RESERVED, 0, LEGACY_SIZE - SW_RESERVED);
	*size = (size_t)n;
	return 0;
}

int ptrace_fpstate_set(struct context *ctx, const void *buf, size_t size)
{
	struct ptrace_platform *p = ptrace_platform_of(ctx->platform);
	struct ptrace_context *c = ptrace_context_of(ctx);
	uint8_t *full;
	uint64_t has;
	int64_t ret;

	if (!size)
		return fpu_reset(p, &c->t);
	if (size < LEGACY_SIZE)
		return -EINVAL;
	full = kmalloc(p->xstate_size);
	if (!full)
		return -ENOMEM;
	size = MIN(size, p->xstate_size);
	memcpy(full, buf, size);
	memset(full + SW_RESERVED, 0, LEGACY_SIZE - SW_RESERVED);
	if (size < LEGACY_SIZE + HEADER_SIZE) {
		memset(full + LEGACY_SIZE, 0, HEADER_SIZE);
		put_le64(full + LEGACY_SIZE, XSTATE_FP_SSE);
	}
	has = get_le64(full + LEGACY_SIZE);
	if ((has & ~p->xfeatures) ||
	    (size < p->xstate_size && cpuid_xstate_end(has) > size && (has & ~XSTATE_FP_SSE)))
		ret = -EINVAL;
	else
		ret = regset(&c->t, PTRACE_SETREGSET, full, p->xstate_size);
	kfree(full);
	return ret < 0 ? (ret == -ESRCH ? -ESRCH : -EINVAL) : 0;
}
