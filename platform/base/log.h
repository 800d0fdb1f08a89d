/* log.h: one line of text to the log descriptor. Guest-controlled strings are escaped by the caller
 * with log_escape. The level and descriptor live in the arena header or, in ordinary programs, in the
 * process (log.c keeps them; they are set once before threads start). Never blocks on locks. */
#pragma once

#include "platform/base/attr.h"

enum log_level {
	LOG_ERROR,
	LOG_WARN,
	LOG_INFO,
	LOG_DEBUG,
};

/* fd is borrowed and must stay open */
void log_setup(int fd, enum log_level level, const char *program);
bool log_enabled(enum log_level level);
PRINTF_LIKE(2, 3) void log_line(enum log_level level, const char *fmt, ...);

/* Text as it is to a descriptor, whole even when the host takes it in parts: traces, listings. 0 or -errno. */
int log_write(int fd, const char *text, size_t n);

/* Escapes n bytes of src as C would into dst (size bytes, always terminated); returns dst. */
const char *log_escape(char *dst, size_t size, const char *src, size_t n);

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_WARN, __VA_ARGS__)
#define log_info(...)                                                                                          \
	do {                                                                                                   \
		if (UNLIKELY(log_enabled(LOG_INFO)))                                                           \
			log_line(LOG_INFO, __VA_ARGS__);                                                       \
	} while (0)
#define log_debug(...)                                                                                         \
	do {                                                                                                   \
		if (UNLIKELY(log_enabled(LOG_DEBUG)))                                                          \
			log_line(LOG_DEBUG, __VA_ARGS__);                                                      \
	} while (0)
