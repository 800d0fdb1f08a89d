/* same_file.h: whether two descriptors are of one file (or namespace, or folder): stat(2). */
#pragma once

#include <sys/stat.h>

#include "platform/base/attr.h"

/* false as well when one isn't open. */
static inline bool same_file(int a, int b)
{
	struct stat s, t;

	return fstat(a, &s) == 0 && fstat(b, &t) == 0 && s.st_dev == t.st_dev && s.st_ino == t.st_ino;
}
