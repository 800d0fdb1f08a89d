/* travel.c: memory that travels with a call. The stub has copied small inputs into the slot before it
 * handed the call over, and has found out that the output can be written to; we serve the kernel's copies
 * from there, and leave outputs with the answer. Each input is copied once (the kernel's own rule), so a
 * guest that changes the slot meanwhile gains what it gains by changing its memory.
 *
 * Outputs that are left must look as if they had been written: whatever else touches the guest's memory or
 * mappings for this context flushes them first. */
#include "platform/systrap/internal.h"

#include <string.h>

#include "platform/systrap/stub/calls.h"

#define OUT_ROOM (SLOT_DATA_SIZE - DATA_OUT)

static void start_in(struct sys_context *c, const struct run_event *ev, int i, const struct call_piece *p)
{
	uint32_t size = __atomic_load_n(&c->slot->in_size[i], __ATOMIC_RELAXED);
	uint32_t max = i ? SMALL_OUT - SMALL_IN2 : p->path ? SMALL_IN2 : IN_MAX;

	if (!size || size > max)
		return;
	c->copies.in[i].at = ev->args[p->at];
	c->copies.in[i].size = size;
	c->copies.in[i].path = p->path;
	if (i)
		c->copies.in[i].off = SLOT_SMALL + SMALL_IN2;
	else
		c->copies.in[i].off = p->path || size <= SMALL_IN2 ? SLOT_SMALL : SLOT_DATA;
}

void copies_start(struct sys_context *c, const struct run_event *ev)
{
	const struct call_shape *shape = call_shape((uint64_t)ev->nr);

	memset(&c->copies, 0, sizeof(c->copies));
	if (!shape)
		return;
	for (int i = 0; i < 2; i++)
		if (shape->in[i].at != NO_ARG)
			start_in(c, ev, i, &shape->in[i]);
	if (shape->out.at == NO_ARG)
		return;
	c->copies.out_at = ev->args[shape->out.at];
	c->copies.out_size = __atomic_load_n(&c->slot->out_ready, __ATOMIC_RELAXED);
}

ssize_t copies_in(struct sys_context *c, void *dst, uaddr_t src, size_t size)
{
	if (c->copies.count) /* it may ask for what it just wrote */
		return -1;
	for (int i = 0; i < 2; i++) {
		size_t have = c->copies.in[i].size;
		uaddr_t skip = src - c->copies.in[i].at;

		if (skip >= have)
			continue;
		/* A path is asked for up to the end of its page, and ends where its NUL is. */
		if (size > have - skip &&
		    !(c->copies.in[i].path && (size >= PAGE_SIZE || IS_ALIGNED(src + size, PAGE_SIZE))))
			continue;
		size = MIN(size, have - skip);
		memcpy(dst, (char *)c->slot + c->copies.in[i].off + skip, size);
		STAT_INC(c, travelled);
		return (ssize_t)size;
	}
	return -1;
}

/* Room for size bytes, an offset in the slot, or 0. All of a call's outputs lie in the small page, or
 * behind. */
static uint32_t out_room(struct call_copies *k, size_t size)
{
	uint32_t small = SMALL_END - SMALL_OUT, off;

	if (k->out_used + size <= small) {
		off = SLOT_SMALL + SMALL_OUT + k->out_used;
	} else {
		k->out_used = MAX(k->out_used, small);
		if (k->out_used - small + size > OUT_ROOM)
			return 0;
		off = SLOT_DATA + DATA_OUT + k->out_used - small;
	}
	k->out_used += ROUND_UP((uint32_t)size, 8U);
	return off;
}

bool copies_out(struct sys_context *c, uaddr_t dst, const void *src, size_t size)
{
	struct call_copies *k = &c->copies;
	uint32_t off;

	if (dst < k->out_at || dst - k->out_at > k->out_size || size > k->out_size - (dst - k->out_at) ||
	    k->count == OUT_RECORDS)
		return false;
	off = out_room(k, size);
	if (!off)
		return false;
	memcpy((char *)c->slot + off, src, size);
	c->slot->out[k->count].at = dst;
	c->slot->out[k->count].off = off;
	c->slot->out[k->count].size = (uint32_t)size;
	c->slot->out_count = ++k->count;
	STAT_INC(c, travelled);
	return true;
}

/* From where they lie, by the host; else the stub delivers them as it does with an answer. (Its plain copies
 * pass through the place where larger outputs wait.) */
void copies_flush(struct sys_context *c)
{
	struct call_copies *k = &c->copies;
	uint32_t count = k->count;
	bool by_stub;

	if (!count)
		return;
	k->count = 0;
	k->out_size = 0; /* from here on at once */
	by_stub = copy_prefers_stub(c);
	/* The list lies in the slot: a guest that changed it writes elsewhere in its own memory. */
	for (uint32_t i = 0; i < count && !by_stub; i++) {
		uaddr_t at = __atomic_load_n(&c->slot->out[i].at, __ATOMIC_RELAXED);
		uint32_t off = __atomic_load_n(&c->slot->out[i].off, __ATOMIC_RELAXED);
		uint32_t size = __atomic_load_n(&c->slot->out[i].size, __ATOMIC_RELAXED);

		if (off > SLOT_SIZE || size > SLOT_SIZE - off)
			break;
		by_stub = copy_by_host(c, true, at, (char *)c->slot + off, size) < 0;
	}
	if (by_stub)
		(void)stub_command(c, CMD_DELIVER, 0, 0, 0, 0, 0, 0, 0);
	c->slot->out_count = 0;
}
