/* bytebuf.h: the bytes of one direction of a TCP connection, found by sequence number: a ring of chunks,
 * present where there are bytes. Bytes may be put anywhere in the span, so that segments out of order lie where
 * they belong. The array of chunks is replaced only by bytebuf_reserve; chunks never move. No locks. */
#pragma once

#include "platform/base/attr.h"

#define CHUNK_SHIFT 13
#define CHUNK_SIZE  (1u << CHUNK_SHIFT)

struct bytebuf {
	uint8_t **chunks;
	uint32_t slots; /* a power of two; 0: nothing yet */
	uint64_t *used; /* [I] counts the bytes of all chunks of many buffers; NULL: nobody counts */
};

/* Memory for [from, to), of a span that begins at base. -ENOMEM */
MUST_CHECK int bytebuf_reserve(struct bytebuf *b, uint32_t base, uint32_t from, uint32_t to);
/* The memory at pos, as far as it is in one piece, at most *n bytes (which is lowered). */
uint8_t *bytebuf_at(const struct bytebuf *b, uint32_t pos, uint32_t *n);
void bytebuf_put(struct bytebuf *b, uint32_t pos, const uint8_t *p, uint32_t n);
/* [from, to) is no longer needed; the chunk that to lies in stays unless everything is gone (last). */
void bytebuf_drop(struct bytebuf *b, uint32_t from, uint32_t to, bool last);
void bytebuf_free(struct bytebuf *b);
