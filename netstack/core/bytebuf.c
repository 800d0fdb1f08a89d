/* bytebuf.c: bytes by sequence number, in chunks. */
#include "netstack/core/bytebuf.h"

#include <string.h>

#include "platform/abi/errno.h"
#include "platform/base/arena.h"
#include "platform/base/bug.h"

#define SLOTS_MIN 4u

static uint32_t number_of(uint32_t pos)
{
	return pos >> CHUNK_SHIFT;
}

static int grow(struct bytebuf *b, uint32_t base, uint32_t need)
{
	uint32_t slots = b->slots ? b->slots : SLOTS_MIN;
	uint8_t **chunks;

	while (slots < need)
		slots *= 2;
	chunks = kmalloc(slots * sizeof(*chunks));
	if (!chunks)
		return -ENOMEM;
	for (uint32_t i = 0; i < b->slots; i++) {
		uint32_t k = number_of(base) + i;

		chunks[k & (slots - 1)] = b->chunks[k & (b->slots - 1)];
	}
	kfree(b->chunks);
	b->chunks = chunks;
	b->slots = slots;
	return 0;
}

static bool take_chunk(struct bytebuf *b, uint8_t **c)
{
	*c = kmalloc(CHUNK_SIZE);
	if (*c && b->used)
		__atomic_add_fetch(b->used, CHUNK_SIZE, __ATOMIC_RELAXED);
	return *c != NULL;
}

static void give_chunk(struct bytebuf *b, uint8_t **c)
{
	if (*c && b->used)
		__atomic_sub_fetch(b->used, CHUNK_SIZE, __ATOMIC_RELAXED);
	kfree(*c);
	*c = NULL;
}

int bytebuf_reserve(struct bytebuf *b, uint32_t base, uint32_t from, uint32_t to)
{
	uint32_t span = ((number_of(to - 1) - number_of(base)) & (UINT32_MAX >> CHUNK_SHIFT)) + 1, k;

	if (from == to)
		return 0;
	if (span > b->slots && grow(b, base, span) < 0)
		return -ENOMEM;
	for (k = number_of(from);; k = (k + 1) & (UINT32_MAX >> CHUNK_SHIFT)) {
		uint8_t **c = &b->chunks[k & (b->slots - 1)];

		if (!*c && !take_chunk(b, c))
			return -ENOMEM;
		if (k == number_of(to - 1))
			return 0;
	}
}

uint8_t *bytebuf_at(const struct bytebuf *b, uint32_t pos, uint32_t *n)
{
	uint32_t at = pos & (CHUNK_SIZE - 1);
	uint8_t *c = b->chunks[number_of(pos) & (b->slots - 1)];

	BUG_ON(!c);
	if (*n > CHUNK_SIZE - at)
		*n = CHUNK_SIZE - at;
	return c + at;
}

void bytebuf_put(struct bytebuf *b, uint32_t pos, const uint8_t *p, uint32_t n)
{
	while (n) {
		uint32_t part = n;
		uint8_t *to = bytebuf_at(b, pos, &part);

		memcpy(to, p, part);
		pos += part;
		p += part;
		n -= part;
	}
}

void bytebuf_drop(struct bytebuf *b, uint32_t from, uint32_t to, bool last)
{
	uint32_t k, end = number_of(to);

	if (!b->slots || (from == to && !last))
		return;
	for (k = number_of(from); k != end; k = (k + 1) & (UINT32_MAX >> CHUNK_SHIFT))
		give_chunk(b, &b->chunks[k & (b->slots - 1)]);
	if (last)
		give_chunk(b, &b->chunks[end & (b->slots - 1)]);
}

void bytebuf_free(struct bytebuf *b)
{
	for (uint32_t i = 0; i < b->slots; i++)
		give_chunk(b, &b->chunks[i]);
	kfree(b->chunks);
	b->chunks = NULL;
	b->slots = 0;
}
