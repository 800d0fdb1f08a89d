/* rule.h: one line of the egress policy, as text and parsed. No I/O; sbx checks options with it, sbx-net goes
 * by it. Addresses are 16 bytes, IPv4 ones as v4-mapped IPv6 ones. */
#pragma once

#include "platform/base/attr.h"

#define NAT_NAME_MAX 254u

struct nat_rule {
	bool is_name;
	char name[NAT_NAME_MAX]; /* lower case; "*" for all, "*.DOMAIN" for all below */
	uint8_t addr[16];
	uint8_t prefix;	      /* of 128 */
	uint16_t first, last; /* ports */
};

/* HOST|ADDRESS|NETWORK[:PORT[-PORT]]; an IPv6 address with a port stands in brackets. -EINVAL */
MUST_CHECK int nat_rule_parse(const char *text, struct nat_rule *out);
/* An address without more. -EINVAL */
MUST_CHECK int nat_addr_parse(const char *text, uint8_t out[16]);
/* Does name (lower case) fall under a rule's? */
bool nat_name_matches(const char *pattern, const char *name);
/* The first `prefix` bits are the same. */
bool nat_prefix_matches(const uint8_t a[16], const uint8_t b[16], unsigned prefix);
