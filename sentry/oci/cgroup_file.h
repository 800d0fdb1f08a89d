/* cgroup_file.h: one file of a control group, written or read as a whole. -1 and errno on failure. */
#pragma once

#include <sys/types.h>

#include "platform/base/attr.h"

MUST_CHECK int cgroup_write(const char *dir, const char *file, const char *text);
/* Terminates buf; cut to size - 1. */
ssize_t cgroup_read(const char *dir, const char *file, char *buf, size_t size);
