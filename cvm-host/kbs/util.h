/* util.h: what the key broker, its client and the tools around them share: an error with words, owned bytes,
 * base64, hex and whole files. Host programs only: malloc, stdio. Functions return 0 or a negative errno. */
#pragma once

#include <stdarg.h>
#include <time.h>

#include "platform/base/attr.h"

/* One sentence for people: what was refused and why. Set by the function that fails first. */
struct err {
	char text[240];
};

/* Returns ret, so that a caller may write `return err_set(e, -EINVAL, ...)`. e may be NULL. */
PRINTF_LIKE(3, 4) int err_set(struct err *e, int ret, const char *fmt, ...);
/* Puts "what: " before the text that is there. Returns ret. */
int err_in(struct err *e, int ret, const char *what);

/* Bytes on the heap, followed by a NUL that size does not count. Zeroed when freed. */
struct blob {
	uint8_t *data;
	size_t size, room;
};

void blob_free(struct blob *b);
/* Frees what was there; a copy of p. Aborts when memory is out, as every allocation here. */
void blob_set(struct blob *b, const void *p, size_t size);
void blob_add(struct blob *b, const void *p, size_t size);
uint8_t *blob_room(struct blob *b, size_t size); /* frees what was there; size zero bytes */
void *xcalloc(size_t count, size_t size);
char *xstrdup(const char *s);
PRINTF_LIKE(1, 2) char *xasprintf(const char *fmt, ...);

/* RFC 4648. Encoders return a string to free(). Decoders take exactly the canonical form: the right alphabet
 * and padding (url: none), no line breaks, unused bits zero. -EINVAL otherwise, with out untouched. */
char *b64_encode(const void *p, size_t size);
char *b64url_encode(const void *p, size_t size);
MUST_CHECK int b64_decode(const char *s, size_t len, struct blob *out);
MUST_CHECK int b64url_decode(const char *s, size_t len, struct blob *out);
/* Lower-case; out has room for 2 * size + 1. */
void bytes_to_hex(char *out, const void *p, size_t size);
char *bytes_hex_string(const void *p, size_t size);		      /* to free() */
MUST_CHECK int bytes_from_hex(const char *s, void *out, size_t size); /* exactly 2 * size digits */

/* A regular file of at most max bytes. */
MUST_CHECK int load_file(const char *path, size_t max, struct blob *out, struct err *e);
/* Replaces path in one step: either the old or the new contents are there after a crash. */
MUST_CHECK int save_file(const char *path, const void *p, size_t size, mode_t mode, struct err *e);

MUST_CHECK int random_fill(void *p, size_t size);
void sha256_of(const void *p, size_t size, uint8_t out[32]);
void sha384_of(const void *p, size_t size, uint8_t out[48]);

/* Seconds since 1970 and monotonic milliseconds. Tests may set the wall clock's offset. */
int64_t wall_now(void);
int64_t mono_ms(void);
void wall_set_offset(int64_t seconds);
