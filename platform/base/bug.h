/* bug.h: for our own bugs only, never for what a guest, a gofer or a packet can cause. It ends this
 * sandbox. */
#pragma once

#include "platform/base/attr.h"

NORETURN void bug(const char *file, int line, const char *what);

#define BUG() bug(__FILE__, __LINE__, "unreachable")
#define BUG_ON(cond)                                                                                           \
	do {                                                                                                   \
		if (UNLIKELY(cond))                                                                            \
			bug(__FILE__, __LINE__, #cond);                                                        \
	} while (0)
