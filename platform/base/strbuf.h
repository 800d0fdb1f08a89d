/* strbuf.h: a growing byte string in the arena (for /proc files, paths). An allocation failure is
 * remembered; check strbuf_ok once at the end. */
#pragma once

#include <stdarg.h>

#include "platform/base/attr.h"

struct strbuf {
	char *data; /* always terminated once something was added */
	size_t len, cap;
	bool failed;
};

void strbuf_init(struct strbuf *b);
void strbuf_fini(struct strbuf *b);
void strbuf_add(struct strbuf *b, const void *p, size_t n);
void strbuf_puts(struct strbuf *b, const char *s);
void strbuf_putc(struct strbuf *b, char c);
PRINTF_LIKE(2, 3) void strbuf_printf(struct strbuf *b, const char *fmt, ...);
/* As /proc/mounts and maps escape: space, tab, newline, backslash as octal. */
void strbuf_puts_octal(struct strbuf *b, const char *s);
static inline bool strbuf_ok(const struct strbuf *b)
{
	return !b->failed;
}
