/* filter.h: the seccomp filter of guest processes. */
#pragma once

#include <linux/filter.h>

#include "platform/base/attr.h"

#define FILTER_MAX 256

/* Fills in prog (room for FILTER_MAX); the count of instructions. */
unsigned filter_build(struct sock_filter *prog);
