/* uio.c: see uio.h. */
#include "sentry/vfs/uio.h"

#include <string.h>

#include "platform/abi/errno.h"

void uio_init_user(struct uio *u, const struct usermem *um, uaddr_t base, uint64_t n)
{
	*u = (struct uio){.um = um, .seg_count = 1, .resid = n, .single = {base, n}};
	u->segs = &u->single;
}

void uio_init_kernel(struct uio *u, void *base, uint64_t n)
{
	*u = (struct uio){.seg_count = 1, .resid = n, .single = {(uaddr_t)(uintptr_t)base, n}};
	u->segs = &u->single;
}

void uio_init_iov(struct uio *u, const struct usermem *um, const struct linux_iovec *segs, uint32_t count)
{
	*u = (struct uio){.um = um, .segs = segs, .seg_count = count};
	for (uint32_t i = 0; i < count; i++)
		u->resid += segs[i].iov_len;
}

enum direction {
	TO_UIO,
	FROM_UIO,
	ZERO_UIO,
	SKIP_UIO,
};

static const char zeros[4096];

static size_t zero_segment(const struct usermem *um, uaddr_t addr, size_t n)
{
	size_t done = 0;

	if (um->ops->zero && n > sizeof(zeros))
		return um->ops->zero(um, addr, n);
	while (done < n) {
		size_t want = MIN(n - done, sizeof(zeros));
		size_t got = um->ops->out(um, addr + done, zeros, want);

		done += got;
		if (got < want)
			break;
	}
	return done;
}

/* One segment's worth; bytes moved. */
static size_t move_segment(struct uio *u, enum direction dir, char *p, uaddr_t addr, size_t n)
{
	if (dir == SKIP_UIO)
		return n;
	if (!u->um) {
		void *k = (void *)(uintptr_t)addr;

		if (dir == TO_UIO)
			memcpy(k, p, n);
		else if (dir == FROM_UIO)
			memcpy(p, k, n);
		else
			memset(k, 0, n);
		return n;
	}
	if (dir == TO_UIO)
		return u->um->ops->out(u->um, addr, p, n);
	if (dir == FROM_UIO)
		return u->um->ops->in(u->um, p, addr, n);
	return zero_segment(u->um, addr, n);
}

static ssize_t uio_move(struct uio *u, enum direction dir, void *buf, size_t n)
{
	size_t done = 0;

	n = MIN(n, u->resid);
	while (done < n) {
		/* u->single moves with a copy of the struct, so segs may point to the original's */
		const struct linux_iovec *v = &u->segs[u->seg];
		size_t want = MIN(n - done, v->iov_len - u->seg_off), got;

		if (want == 0) {
			u->seg++;
			u->seg_off = 0;
			continue;
		}
		got = move_segment(u, dir, buf ? (char *)buf + done : NULL, v->iov_base + u->seg_off, want);
		done += got;
		u->seg_off += got;
		u->resid -= got;
		if (got < want)
			return done ? (ssize_t)done : -EFAULT;
	}
	return (ssize_t)done;
}

ssize_t uio_put(struct uio *u, const void *src, size_t n)
{
	return uio_move(u, TO_UIO, (void *)(uintptr_t)src, n);
}

ssize_t uio_get(struct uio *u, void *dst, size_t n)
{
	return uio_move(u, FROM_UIO, dst, n);
}

ssize_t uio_put_zeros(struct uio *u, size_t n)
{
	return uio_move(u, ZERO_UIO, NULL, n);
}

void uio_skip(struct uio *u, size_t n)
{
	(void)uio_move(u, SKIP_UIO, NULL, n);
}

void uio_back(struct uio *u, size_t n)
{
	u->resid += n;
	while (n) {
		size_t step = MIN(n, u->seg_off);

		if (step == 0) {
			u->seg--;
			u->seg_off = u->segs[u->seg].iov_len;
			continue;
		}
		u->seg_off -= step;
		n -= step;
	}
}
