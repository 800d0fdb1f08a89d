/* icmp.h: ICMP (RFC 792) and ICMPv6 (RFC 4443, 4861): numbers and the common header, no state. */
#pragma once

#include "platform/base/bytes.h"

#define ICMP_HLEN 8

#define ICMP_ECHO_REPLY	   0
#define ICMP_UNREACH	   3
#define ICMP_ECHO	   8
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAM_PROBLEM 12
#define ICMP_UNREACH_PORT  3
#define ICMP_UNREACH_PROTO 2
#define ICMP_UNREACH_FRAG  4

#define ICMP6_UNREACH	    1
#define ICMP6_TOO_BIG	    2
#define ICMP6_TIME_EXCEEDED 3
#define ICMP6_PARAM_PROBLEM 4
#define ICMP6_ECHO	    128
#define ICMP6_ECHO_REPLY    129
#define ICMP6_MLD_QUERY	    130
#define ICMP6_MLD_REPORT    131
#define ICMP6_MLD_DONE	    132
#define ICMP6_RS	    133
#define ICMP6_RA	    134
#define ICMP6_NS	    135
#define ICMP6_NA	    136
#define ICMP6_MLD2_REPORT   143
#define ICMP6_UNREACH_PORT  4

struct icmp_hdr {
	uint8_t type, code;
	uint32_t rest; /* what the second word says: an MTU, a pointer; echo: id and sequence */
};

static inline MUST_CHECK bool icmp_parse(const uint8_t *p, size_t n, struct icmp_hdr *out)
{
	if (n < ICMP_HLEN)
		return false;
	out->type = p[0];
	out->code = p[1];
	out->rest = get_be32(p + 4);
	return true;
}

/* The checksum is left zero. */
static inline void icmp_put(uint8_t *p, uint8_t type, uint8_t code, uint32_t rest)
{
	p[0] = type;
	p[1] = code;
	put_be16(p + 2, 0);
	put_be32(p + 4, rest);
}

/* Errors are never answered with errors (RFC 1122 3.2.2, RFC 4443 2.4). */
static inline bool icmp4_is_error(uint8_t type)
{
	return type == ICMP_UNREACH || type == 4 || type == 5 || type == ICMP_TIME_EXCEEDED ||
	       type == ICMP_PARAM_PROBLEM;
}

static inline bool icmp6_is_error(uint8_t type)
{
	return type < 128;
}

/* Options of neighbour discovery. */
#define ND_OPT_SOURCE_LL 1
#define ND_OPT_TARGET_LL 2
#define ND_OPT_PREFIX	 3
#define ND_OPT_MTU	 5

struct nd_options {
	const uint8_t *source_ll, *target_ll; /* six bytes each, or NULL */
	const uint8_t *prefix;		      /* the last prefix option, 32 bytes, or NULL */
	uint32_t mtu;			      /* 0: none */
};

/* False: one has a length of zero or doesn't fit, and the whole message is to be ignored (RFC 4861, 4.6). */
static inline MUST_CHECK bool nd_parse_options(const uint8_t *p, size_t n, struct nd_options *out)
{
	*out = (struct nd_options){0};
	while (n) {
		size_t len = n >= 2 ? p[1] * 8u : 0;

		if (len == 0 || len > n)
			return false;
		if (p[0] == ND_OPT_SOURCE_LL && len == 8)
			out->source_ll = p + 2;
		else if (p[0] == ND_OPT_TARGET_LL && len == 8)
			out->target_ll = p + 2;
		else if (p[0] == ND_OPT_PREFIX && len == 32)
			out->prefix = p;
		else if (p[0] == ND_OPT_MTU && len == 8)
			out->mtu = get_be32(p + 4);
		p += len;
		n -= len;
	}
	return true;
}
