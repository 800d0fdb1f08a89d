/* prefetch.c: the copies that travel with a call: small inputs into the slot, and outputs from it when the
 * sentry has answered. */
#include "platform/systrap/stub/calls.h"
#include "platform/systrap/stub/stub.h"

int stub_is_guest(uint64_t at, uint64_t n)
{
	return at + n >= at && (at + n <= STUB_TEXT_ADDR || at >= STUB_REGION_END);
}

/* Where an input of n bytes goes. */
static char *room(struct stub_slot *s, int i, uint64_t n)
{
	if (i)
		return (char *)s + SLOT_SMALL + SMALL_IN2;
	return (char *)s + (n <= SMALL_IN2 ? SLOT_SMALL : SLOT_DATA);
}

#define ONES 0x0101010101010101UL

static int has_nul(const char *p, uint64_t n)
{
	uint64_t i = 0, v;

	for (; i + 8 <= n; i += 8) {
		__builtin_memcpy(&v, p + i, 8);
		v = (v - ONES) & ~v & (ONES << 7);
		if (v)
			return (int)i + __builtin_ctzl(v) / 8 + 1;
	}
	for (; i < n; i++)
		if (!p[i])
			return (int)i + 1;
	return 0;
}

/* Bytes of a path with its NUL, or 0 when it is longer than fits or not there. */
uint64_t stub_copy_path(char *to, uint64_t from, uint64_t max)
{
	uint64_t done = 0;

	while (done < max) {
		uint64_t part = 64 - (from + done) % 64; /* never beyond the page that has the end */
		uint64_t got;
		int end;

		if (part > max - done)
			part = max - done;
		got = stub_copy(to + done, (const void *)(from + done), part);
		end = has_nul(to + done, got);
		if (end)
			return done + (uint64_t)end;
		if (got < part)
			return 0;
		done += got;
	}
	return 0;
}

static uint16_t fetch(struct stub_slot *s, int i, const struct call_piece *p)
{
	uint64_t max = i ? SMALL_OUT - SMALL_IN2 : p->path ? SMALL_IN2 : IN_MAX, n, from = s->arg[p->at];

	if (!from)
		return 0;
	if (p->path)
		return stub_is_guest(from, max) ? (uint16_t)stub_copy_path(room(s, i, max), from, max) : 0;
	n = call_piece_size(p, s->arg, max);
	if (!n || n > max || !stub_is_guest(from, n))
		return 0;
	return stub_copy(room(s, i, n), (const void *)from, n) == n ? (uint16_t)n : 0;
}

/* Could n bytes be written to? Touches each page as a write would. */
static int probe(uint64_t at, uint64_t n)
{
	if (!at || !n || !stub_is_guest(at, n))
		return 0;
	for (uint64_t p = at;; p = (p | 4095) + 1) {
		if (p >= at + n)
			return 1;
		if (stub_touch((void *)p) < 0)
			return 0;
	}
}

/* Called with nr and arg set. */
void stub_prefetch(struct stub_slot *s)
{
	const struct call_shape *c = call_shape((uint64_t)s->nr);
	uint64_t n;

	s->in_size[0] = s->in_size[1] = 0;
	s->out_ready = 0;
	if (!c)
		return;
	for (int i = 0; i < 2; i++)
		if (c->in[i].at != NO_ARG)
			s->in_size[i] = fetch(s, i, &c->in[i]);
	if (c->out.at != NO_ARG) {
		n = call_piece_size(&c->out, s->arg, OUT_PROBE_MAX);
		if (n > OUT_PROBE_MAX)
			n = OUT_PROBE_MAX;
		s->out_ready = (uint16_t)(probe(s->arg[c->out.at], n) ? n : 0);
	}
}

/* The outputs that the sentry left, or -EFAULT. */
int stub_deliver(struct stub_slot *s)
{
	uint32_t count = s->out_count;
	int r = 0;

	s->out_count = 0;
	for (uint32_t i = 0; i < count && i < OUT_RECORDS; i++) {
		const char *from = (char *)s + s->out[i].off;

		if (stub_copy((void *)s->out[i].at, from, s->out[i].size) != s->out[i].size)
			r = -EFAULT;
	}
	return r;
}
