/* decode.h: see decode.c. */
#pragma once

#include "platform/base/attr.h"

/* The length of the instruction at p if it can be moved, else 0. */
size_t decode_movable(const uint8_t *p, size_t avail);
