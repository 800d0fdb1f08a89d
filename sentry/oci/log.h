/* log.h: --log and --log-format as runc has them: what engines read to learn why a command failed. */
#pragma once

#include "platform/base/attr.h"

struct oci_log {
	const char *path; /* NULL: standard error */
	bool json, debug;
};

/* 0, or -1 when the file can't be opened. */
MUST_CHECK int oci_log_open(const struct oci_log *l);
/* level: "error", "warning", "debug". An error also goes to standard error. */
PRINTF_LIKE(2, 3) void oci_log(const char *level, const char *fmt, ...);
/* Errors go to the log alone from here on (a process without standard error of its own). */
void oci_log_quiet(void);
int oci_log_fd(void); /* -1: none */
