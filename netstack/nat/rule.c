/* rule.c: see rule.h. */
#include "netstack/nat/rule.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "platform/abi/errno.h"

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

int nat_addr_parse(const char *text, uint8_t out[16])
{
	memcpy(out, mapped, 12);
	if (inet_pton(AF_INET, text, out + 12) == 1 || inet_pton(AF_INET6, text, out) == 1)
		return 0;
	return -EINVAL;
}

bool nat_prefix_matches(const uint8_t a[16], const uint8_t b[16], unsigned prefix)
{
	unsigned whole = prefix / 8, rest = prefix % 8;

	return memcmp(a, b, whole) == 0 && (!rest || (a[whole] ^ b[whole]) >> (8 - rest) == 0);
}

bool nat_name_matches(const char *pattern, const char *name)
{
	size_t n = strlen(name), p = strlen(pattern);

	if (strcmp(pattern, "*") == 0 || strcmp(pattern, name) == 0)
		return true;
	/* "*.x" has one byte more than ".x" */
	return pattern[0] == '*' && p > 1 && n > p - 1 && strcmp(name + n - (p - 1), pattern + 1) == 0;
}

static int parse_number(const char *text, unsigned max, const char **end, unsigned *out)
{
	char *stop;
	unsigned long v;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	v = strtoul(text, &stop, 10);
	if (v > max)
		return -EINVAL;
	*end = stop;
	*out = (unsigned)v;
	return 0;
}

static int parse_ports(const char *text, struct nat_rule *out)
{
	unsigned first, last;

	if (parse_number(text, 65535, &text, &first) < 0 || !first)
		return -EINVAL;
	last = first;
	if (*text == '-' && parse_number(text + 1, 65535, &text, &last) < 0)
		return -EINVAL;
	if (*text || last < first)
		return -EINVAL;
	out->first = (uint16_t)first;
	out->last = (uint16_t)last;
	return 0;
}

static int parse_name(const char *host, size_t n, struct nat_rule *out)
{
	if (n && host[n - 1] == '.')
		n--;
	if (!n || n >= NAT_NAME_MAX)
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)host[i];

		if (!isalnum(c) && c != '-' && c != '_' && (c != '.' || i == 0) &&
		    (c != '*' || i != 0 || (n > 1 && host[1] != '.')))
			return -EINVAL;
		out->name[i] = (char)tolower(c);
	}
	out->is_name = true;
	/* 1.2.3 and 10.0.0.1000 are meant as addresses */
	return strspn(out->name, "0123456789.") == n ? -EINVAL : 0;
}

/* ADDRESS or ADDRESS/PREFIX. -ENOENT: it is no address. */
static int parse_network(const char *host, size_t n, struct nat_rule *out)
{
	char text[64];
	char *slash;
	const char *end;
	unsigned prefix, width;

	if (n >= sizeof(text))
		return -ENOENT;
	memcpy(text, host, n);
	text[n] = 0;
	slash = strchr(text, '/');
	if (slash)
		*slash++ = 0;
	if (nat_addr_parse(text, out->addr) < 0)
		return slash ? -EINVAL : -ENOENT;
	width = memcmp(out->addr, mapped, 12) == 0 && strchr(text, '.') ? 32 : 128;
	prefix = width;
	if (slash && (parse_number(slash, width, &end, &prefix) < 0 || *end))
		return -EINVAL;
	out->prefix = (uint8_t)(prefix + 128 - width);
	return 0;
}

int nat_rule_parse(const char *text, struct nat_rule *out)
{
	const char *end, *ports = NULL;
	int ret;

	memset(out, 0, sizeof(*out));
	out->last = 65535;
	if (*text == '[') {
		text++;
		end = strchr(text, ']');
		if (!end || (end[1] && end[1] != ':'))
			return -EINVAL;
		if (end[1])
			ports = end + 2;
	} else {
		end = strchr(text, ':');
		if (end && !strchr(end + 1, ':'))
			ports = end + 1;
		else
			end = text + strlen(text);
	}
	if (ports && parse_ports(ports, out) < 0)
		return -EINVAL;
	ret = parse_network(text, (size_t)(end - text), out);
	return ret == -ENOENT ? parse_name(text, (size_t)(end - text), out) : ret;
}
