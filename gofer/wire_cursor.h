/* wire_cursor.h: writing and reading the primitives of messages; for wire.c alone. Both kinds of cursor note a
 * failure once and go on harmlessly, so that only the end needs a check. */
#pragma once

#include <string.h>

#include "gofer/wire.h"
#include "platform/base/bytes.h"

/* ---- writing: bad is set once something doesn't fit */

struct writer {
	uint8_t *p;
	size_t size, len;
	bool bad;
};

static inline uint8_t *put_room(struct writer *w, size_t n)
{
	uint8_t *p = w->p + w->len;

	if (w->bad || n > w->size - w->len) {
		w->bad = true;
		return NULL;
	}
	w->len += n;
	return p;
}

static inline void put8(struct writer *w, uint8_t v)
{
	uint8_t *p = put_room(w, 1);

	if (p)
		*p = v;
}

static inline void put16(struct writer *w, uint16_t v)
{
	uint8_t *p = put_room(w, 2);

	if (p)
		put_le16(p, v);
}

static inline void put32(struct writer *w, uint32_t v)
{
	uint8_t *p = put_room(w, 4);

	if (p)
		put_le32(p, v);
}

static inline void put64(struct writer *w, uint64_t v)
{
	uint8_t *p = put_room(w, 8);

	if (p)
		put_le64(p, v);
}

static inline void put_bytes(struct writer *w, const void *src, size_t n)
{
	uint8_t *p = put_room(w, n);

	if (p && n)
		memcpy(p, src, n);
}

static inline void put_name(struct writer *w, const struct gofer_name *n)
{
	if (n->len > GOFER_NAME_MAX) {
		w->bad = true;
		return;
	}
	put8(w, (uint8_t)n->len);
	put_bytes(w, n->s, n->len);
}

static inline void put_time(struct writer *w, const struct gofer_time *t)
{
	put64(w, (uint64_t)t->sec);
	put32(w, t->nsec);
}

static inline void put_attr(struct writer *w, const struct gofer_attr *a)
{
	put64(w, a->ino);
	put64(w, a->dev);
	put64(w, a->rdev);
	put64(w, a->size);
	put64(w, a->blocks);
	put32(w, a->mode);
	put32(w, a->uid);
	put32(w, a->gid);
	put32(w, a->nlink);
	put32(w, a->blksize);
	put_time(w, &a->atime);
	put_time(w, &a->mtime);
	put_time(w, &a->ctime);
	put_time(w, &a->btime);
}

static inline bool key_valid(const char *s, size_t len)
{
	return len > 0 && len <= GOFER_NAME_MAX && !memchr(s, 0, len);
}

/* ---- reading: bad is set once something is missing or wrong */

struct reader {
	const uint8_t *p;
	size_t size, off;
	bool bad;
};

static inline const uint8_t *take(struct reader *r, size_t n)
{
	const uint8_t *p = r->p + r->off;

	if (r->bad || n > r->size - r->off) {
		r->bad = true;
		return NULL;
	}
	r->off += n;
	return p;
}

static inline uint8_t take8(struct reader *r)
{
	const uint8_t *p = take(r, 1);

	return p ? *p : 0;
}

static inline uint16_t take16(struct reader *r)
{
	const uint8_t *p = take(r, 2);

	return p ? get_le16(p) : 0;
}

static inline uint32_t take32(struct reader *r)
{
	const uint8_t *p = take(r, 4);

	return p ? get_le32(p) : 0;
}

static inline uint64_t take64(struct reader *r)
{
	const uint8_t *p = take(r, 8);

	return p ? get_le64(p) : 0;
}

static inline void take_name(struct reader *r, struct gofer_name *n, bool key)
{
	size_t len = take8(r);
	const char *s = (const char *)take(r, len);

	if (!s || !(key ? key_valid(s, len) : gofer_name_valid(s, len))) {
		r->bad = true;
		return;
	}
	n->s = s;
	n->len = (uint32_t)len;
}

static inline void take_time(struct reader *r, struct gofer_time *t)
{
	t->sec = (int64_t)take64(r);
	t->nsec = take32(r);
	if (t->nsec >= 1000000000u)
		r->bad = true;
}

static inline void take_attr(struct reader *r, struct gofer_attr *a)
{
	a->ino = take64(r);
	a->dev = take64(r);
	a->rdev = take64(r);
	a->size = take64(r);
	a->blocks = take64(r);
	a->mode = take32(r);
	a->uid = take32(r);
	a->gid = take32(r);
	a->nlink = take32(r);
	a->blksize = take32(r);
	take_time(r, &a->atime);
	take_time(r, &a->mtime);
	take_time(r, &a->ctime);
	take_time(r, &a->btime);
	if (a->mode > 0177777u || (int64_t)a->size < 0)
		r->bad = true;
}

static inline void take_data(struct reader *r, const void **data, uint32_t *size)
{
	*size = take32(r);
	if (*size > GOFER_DATA_MAX)
		r->bad = true;
	*data = take(r, *size);
}
