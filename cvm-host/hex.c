/* hex.c: hexadecimal text and bytes. */
#include <errno.h>
#include <string.h>

#include "cvm-host/hex.h"

static int digit(char c, bool upper)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (upper && c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static ssize_t decode(const char *text, size_t len, uint8_t *out, size_t max, bool upper)
{
	if (len % 2)
		return -EINVAL;
	if (len / 2 > max)
		return -E2BIG;
	for (size_t i = 0; i < len; i += 2) {
		int hi = digit(text[i], upper), lo = digit(text[i + 1], upper);

		if (hi < 0 || lo < 0)
			return -EINVAL;
		out[i / 2] = (uint8_t)(hi << 4 | lo);
	}
	return (ssize_t)(len / 2);
}

ssize_t hex_decode(const char *text, void *out, size_t max)
{
	return decode(text, strlen(text), out, max, true);
}

ssize_t hex_decode_lower(const char *text, size_t len, void *out, size_t max)
{
	return decode(text, len, out, max, false);
}

void hex_encode(const void *data, size_t size, char *out)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *b = data;

	for (size_t i = 0; i < size; i++) {
		out[i * 2] = digits[b[i] >> 4];
		out[i * 2 + 1] = digits[b[i] & 15];
	}
	out[size * 2] = 0;
}
