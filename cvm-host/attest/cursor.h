/* cursor.h: taking bytes off the front of evidence. A cursor notes once that something wasn't there and goes on
 * harmlessly, so that only the end of a parser needs a check. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/base/bytes.h"

struct cursor {
	const uint8_t *p, *end;
	bool bad;
};

/* The next n bytes, or NULL when there aren't so many (or were not before). */
static inline const uint8_t *take(struct cursor *c, size_t n)
{
	const uint8_t *p = c->p;

	if (c->bad || (size_t)(c->end - c->p) < n) {
		c->bad = true;
		return NULL;
	}
	c->p += n;
	return p;
}

static inline uint16_t take_le16(struct cursor *c)
{
	const uint8_t *p = take(c, 2);

	return p ? get_le16(p) : 0;
}

static inline uint32_t take_le32(struct cursor *c)
{
	const uint8_t *p = take(c, 4);

	return p ? get_le32(p) : 0;
}
