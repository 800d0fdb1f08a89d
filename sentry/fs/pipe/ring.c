/* ring.c: the bytes of a pipe: a ring that doubles up to the capacity, and the marks of packets. An empty
 * ring starts again at its beginning, so that a conversation of short messages stays in a few cache lines.
 * Everything here runs with the pipe's lock held. */
#include <string.h>

#include "platform/abi/errno.h"
#include "platform/base/arena.h"
#include "sentry/fs/pipe/internal.h"

#define RING_MIN 4096u

static int ring_resize(struct pipe *p, uint32_t size)
{
	uint8_t *buf = kmalloc(size);
	uint32_t first;

	if (!buf)
		return -ENOMEM;
	first = MIN(p->used, p->size - p->head);
	if (p->used) {
		memcpy(buf, p->buf + p->head, first);
		memcpy(buf + first, p->buf, p->used - first);
	}
	kfree(p->buf);
	p->buf = buf;
	p->size = size;
	p->head = 0;
	return 0;
}

int pipe_grow_locked(struct pipe *p, size_t n)
{
	uint32_t size = p->size ? p->size : RING_MIN;

	if (LIKELY(p->used + n <= p->size))
		return 0;
	while (size < p->used + n)
		size *= 2;
	return ring_resize(p, size);
}

ssize_t pipe_fill_locked(struct pipe *p, struct uio *src, size_t n)
{
	uint32_t tail = (p->head + p->used) & (p->size - 1);
	size_t first = MIN(n, (size_t)(p->size - tail));
	ssize_t got = uio_get(src, p->buf + tail, first), more;

	if (got < 0)
		return got;
	if ((size_t)got == first && n > first) {
		more = uio_get(src, p->buf, n - first);
		if (more > 0)
			got += more;
	}
	p->used += (uint32_t)got;
	return got;
}

ssize_t pipe_peek_locked(const struct pipe *p, struct uio *dst, size_t n)
{
	size_t first = MIN(n, (size_t)(p->size - p->head));
	ssize_t put = uio_put(dst, p->buf + p->head, first), more;

	if (put < 0)
		return put;
	if ((size_t)put == first && n > first) {
		more = uio_put(dst, p->buf, n - first);
		if (more > 0)
			put += more;
	}
	return put;
}

static void seg_consume(struct pipe *p, size_t n)
{
	while (n && p->seg_count) {
		struct pipe_seg *s = &p->segs[p->seg_head];
		uint32_t k = (uint32_t)MIN(n, (size_t)s->len);

		s->len -= k;
		n -= k;
		if (s->len)
			break;
		p->seg_head = (p->seg_head + 1) % pipe_slots(p);
		p->seg_count--;
	}
}

void pipe_consume_locked(struct pipe *p, size_t n)
{
	p->used -= (uint32_t)n;
	p->head = p->used ? (p->head + (uint32_t)n) & (p->size - 1) : 0;
	if (UNLIKELY(p->segs != NULL))
		seg_consume(p, n);
}

void pipe_mark_locked(struct pipe *p, size_t n, bool packet)
{
	struct pipe_seg *last;
	uint32_t slots = pipe_slots(p);

	if (!p->segs)
		return;
	if (!packet && p->seg_count) {
		last = &p->segs[(p->seg_head + p->seg_count - 1) % slots];
		if (!last->packet) {
			last->len += (uint32_t)n;
			return;
		}
	}
	last = &p->segs[(p->seg_head + p->seg_count) % slots];
	*last = (struct pipe_seg){(uint32_t)n, packet};
	p->seg_count++;
}

size_t pipe_readable_locked(const struct pipe *p, bool *packet)
{
	size_t n = 0;

	*packet = false;
	if (LIKELY(!p->segs))
		return p->used;
	for (uint32_t i = 0; i < p->seg_count; i++) {
		const struct pipe_seg *s = &p->segs[(p->seg_head + i) % pipe_slots(p)];

		if (s->packet && n == 0) {
			*packet = true;
			return s->len;
		}
		if (s->packet)
			break;
		n += s->len;
	}
	return n;
}
