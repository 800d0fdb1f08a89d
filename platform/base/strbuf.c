/* strbuf.c: see strbuf.h. */
#include "platform/base/strbuf.h"

#include <stdio.h>
#include <string.h>

#include "platform/base/arena.h"

void strbuf_init(struct strbuf *b)
{
	*b = (struct strbuf){0};
}

void strbuf_fini(struct strbuf *b)
{
	kfree(b->data);
	*b = (struct strbuf){0};
}

static bool reserve(struct strbuf *b, size_t n)
{
	size_t want = b->len + n + 1, cap = b->cap ? b->cap : 128;
	char *p;

	if (b->failed)
		return false;
	if (want <= b->cap)
		return true;
	while (cap < want)
		cap *= 2;
	p = krealloc(b->data, cap);
	if (!p) {
		b->failed = true;
		return false;
	}
	b->data = p;
	b->cap = cap;
	return true;
}

void strbuf_add(struct strbuf *b, const void *p, size_t n)
{
	if (!reserve(b, n))
		return;
	memcpy(b->data + b->len, p, n);
	b->len += n;
	b->data[b->len] = 0;
}

void strbuf_puts(struct strbuf *b, const char *s)
{
	strbuf_add(b, s, strlen(s));
}

void strbuf_putc(struct strbuf *b, char c)
{
	strbuf_add(b, &c, 1);
}

void strbuf_printf(struct strbuf *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0 || !reserve(b, (size_t)n))
		return;
	va_start(ap, fmt);
	vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
}

void strbuf_puts_octal(struct strbuf *b, const char *s)
{
	for (; *s; s++) {
		if (*s == ' ' || *s == '\t' || *s == '\n' || *s == '\\')
			strbuf_printf(b, "\\%03o", (unsigned char)*s);
		else
			strbuf_putc(b, *s);
	}
}
