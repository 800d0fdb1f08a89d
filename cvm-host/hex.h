/* hex.h: hexadecimal text and bytes. */
#pragma once

#include "platform/base/attr.h"

/* Decodes a whole string of an even number of digits of either case into at most `max` bytes. Returns the count
 * of bytes, -EINVAL for anything else, -E2BIG when there is no room. */
MUST_CHECK ssize_t hex_decode(const char *text, void *out, size_t max);
/* The same for `len` characters without a NUL; strict: lower case only. */
MUST_CHECK ssize_t hex_decode_lower(const char *text, size_t len, void *out, size_t max);
/* 2 * size digits and a NUL into `out`. */
void hex_encode(const void *data, size_t size, char *out);
