/* log.c: formats into a stack buffer and writes once, so that lines of threads don't mix. vsnprintf is
 * the one stdio function used: it formats into a buffer and keeps no stream. */
#include "platform/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "platform/base/bug.h"
#include "platform/base/clock.h"

/* Written once by log_setup before any thread starts: configuration, not kernel state. */
static struct {
	int fd;
	enum log_level level;
	char program[16];
} log_config = {.fd = 2, .level = LOG_WARN, .program = "sbx"};

void log_setup(int fd, enum log_level level, const char *program)
{
	log_config.fd = fd;
	log_config.level = level;
	snprintf(log_config.program, sizeof(log_config.program), "%s", program);
}

bool log_enabled(enum log_level level)
{
	return level <= log_config.level;
}

void log_line(enum log_level level, const char *fmt, ...)
{
	static const char letters[] = "EWID";
	char line[1024];
	uint64_t now;
	va_list ap;
	int n, m;

	if (!log_enabled(level))
		return;
	now = clock_monotonic_ns();
	n = snprintf(line, sizeof(line) - 1, "%s: %c%6llu.%06llu ", log_config.program, letters[level],
		     (unsigned long long)(now / 1000000000), (unsigned long long)(now / 1000 % 1000000));
	va_start(ap, fmt);
	m = vsnprintf(line + n, sizeof(line) - 1 - (size_t)n, fmt, ap);
	va_end(ap);
	n = m < 0 ? n : MIN(n + m, (int)sizeof(line) - 2);
	line[n++] = '\n';
	if (write(log_config.fd, line, (size_t)n) < 0)
		return; /* nowhere left to say it */
}

int log_write(int fd, const char *text, size_t n)
{
	while (n) {
		ssize_t w = write(fd, text, n);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return -errno;
		text += w;
		n -= (size_t)w;
	}
	return 0;
}

const char *log_escape(char *dst, size_t size, const char *src, size_t n)
{
	static const char hex[] = "0123456789abcdef";
	size_t o = 0;

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)src[i];

		if (o + 5 > size)
			break;
		if (c == '\n' || c == '\t' || c == '\\' || c == '"') {
			dst[o++] = '\\';
			dst[o++] = c == '\n' ? 'n' : c == '\t' ? 't' : (char)c;
		} else if (c >= 0x20 && c < 0x7f) {
			dst[o++] = (char)c;
		} else {
			dst[o++] = '\\';
			dst[o++] = 'x';
			dst[o++] = hex[c >> 4];
			dst[o++] = hex[c & 15];
		}
	}
	if (size)
		dst[o] = 0;
	return dst;
}

NORETURN void bug(const char *file, int line, const char *what)
{
	log_error("BUG at %s:%d: %s", file, line, what);
	abort();
}
