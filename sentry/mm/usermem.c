/* usermem.c: guest memory through the platform. The mappings themselves say what may be touched; here only
 * addresses that aren't the guest's at all are kept out: beyond its range, and sbx's own hole in it. */
#include "sentry/mm/usermem.h"

#include <string.h>

#include "sentry/mm/internal.h"

/* Bytes from addr that lie in the guest's range. */
static size_t guest_part(uaddr_t addr, size_t n)
{
	uaddr_t end = addr < SBX_HOLE_START ? SBX_HOLE_START : GUEST_VA_END;

	if (addr >= GUEST_VA_END || (addr >= SBX_HOLE_START && addr < SBX_HOLE_END))
		return 0;
	return MIN(n, end - addr);
}

static size_t mm_copy_in(const struct usermem *u, void *dst, uaddr_t src, size_t n)
{
	struct mm *mm = u->mm;
	ssize_t got;

	n = guest_part(src, n);
	if (n == 0 || mm->moved)
		return 0;
	got = mm_ops(mm)->copy_in(mm->as, u->ctx, dst, src, n);
	return got > 0 ? (size_t)got : 0;
}

static size_t mm_copy_out(const struct usermem *u, uaddr_t dst, const void *src, size_t n)
{
	struct mm *mm = u->mm;
	ssize_t put;

	n = guest_part(dst, n);
	if (n == 0 || mm->moved)
		return 0;
	put = mm_ops(mm)->copy_out(mm->as, u->ctx, dst, src, n);
	return put > 0 ? (size_t)put : 0;
}

static size_t mm_zero_out(const struct usermem *u, uaddr_t dst, size_t n)
{
	struct mm *mm = u->mm;
	ssize_t put;

	n = guest_part(dst, n);
	if (n == 0 || mm->moved)
		return 0;
	put = mm_ops(mm)->zero_out(mm->as, u->ctx, dst, n);
	return put > 0 ? (size_t)put : 0;
}

static const struct usermem_ops mm_zero_usermem_ops = {
	.in = mm_copy_in,
	.out = mm_copy_out,
	.zero = mm_zero_out,
};

static const struct usermem_ops mm_usermem_ops = {
	.in = mm_copy_in,
	.out = mm_copy_out,
};

struct usermem mm_usermem(struct mm *mm, struct context *ctx)
{
	return (struct usermem){
		.ops = mm_ops(mm)->zero_out ? &mm_zero_usermem_ops : &mm_usermem_ops, .mm = mm, .ctx = ctx};
}

ssize_t usermem_strncpy(const struct usermem *u, char *dst, uaddr_t src, size_t size)
{
	size_t done = 0;

	while (done < size) {
		/* Up to the page's end: the string may be the last thing mapped. */
		size_t part = MIN(size - done, PAGE_SIZE - ((src + done) & (PAGE_SIZE - 1)));
		size_t got = u->ops->in(u, dst + done, src + done, part);
		char *end = memchr(dst + done, '\0', got);

		if (end)
			return end - dst;
		if (got < part)
			return -EFAULT;
		done += part;
	}
	return -ENAMETOOLONG;
}
