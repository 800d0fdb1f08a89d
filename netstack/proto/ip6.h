/* ip6.h: IPv6 headers and extension headers (RFC 8200): parse and put, no state. */
#pragma once

#include "platform/base/bytes.h"

#define IP6_HLEN     40
#define IP6_FRAG_LEN 8
#define IP6_MTU_MIN  1280
#define IP6_EXT_MAX  8 /* extension headers that are followed */

#define IP6_HOPOPTS  0
#define IP6_ROUTING  43
#define IP6_FRAGMENT 44
#define IP6_NONE     59
#define IP6_DSTOPTS  60

struct ip6_hdr {
	uint8_t tclass, next, hops;
	uint32_t flow;
	uint16_t payload;
	uint8_t src[16], dst[16];
};

static inline MUST_CHECK bool ip6_parse(const uint8_t *p, size_t n, struct ip6_hdr *out)
{
	if (n < IP6_HLEN || p[0] >> 4 != 6)
		return false;
	out->tclass = (uint8_t)(get_be16(p) >> 4);
	out->flow = get_be32(p) & 0xfffff;
	out->payload = get_be16(p + 4);
	if (out->payload > n - IP6_HLEN)
		return false;
	out->next = p[6];
	out->hops = p[7];
	memcpy(out->src, p + 8, 16);
	memcpy(out->dst, p + 24, 16);
	return true;
}

static inline void ip6_put(uint8_t *p, const struct ip6_hdr *h)
{
	put_be32(p, 6u << 28 | (uint32_t)h->tclass << 20 | (h->flow & 0xfffff));
	put_be16(p + 4, h->payload);
	p[6] = h->next;
	p[7] = h->hops;
	memcpy(p + 8, h->src, 16);
	memcpy(p + 24, h->dst, 16);
}

/* What stands between the IPv6 header and its payload. */
struct ip6_chain {
	uint8_t protocol;    /* of the payload, or of the fragment's */
	uint8_t bad;	     /* the header's number that can't be handled, when not ok */
	uint32_t offset;     /* of the payload, from the start of the packet */
	uint32_t bad_at;     /* Parameter Problem points there */
	uint8_t bad_code;    /* its code: 0 erroneous, 1 unknown header, 2 unknown option */
	bool ok, silent;     /* silent: discarded without an error */
	bool fragment, more; /* a fragment header came: the rest isn't looked at */
	uint32_t frag_offset, id;
};

/* An options header: the action for options that are unknown is in their two upper bits (RFC 8200, 4.2). */
static inline bool ip6_options_ok(const uint8_t *p, size_t at, size_t end, struct ip6_chain *out)
{
	while (at < end) {
		if (p[at] == 0) { /* Pad1 */
			at++;
			continue;
		}
		if (end - at < 2 || p[at + 1] > end - at - 2)
			break;
		if (p[at] != 1 && p[at] != 5 && p[at] >> 6) { /* not PadN, Router Alert, nor to be skipped */
			out->bad_at = (uint32_t)at;
			out->bad_code = 2;
			out->silent = p[at] >> 6 == 1;
			return false;
		}
		at += 2u + p[at + 1];
	}
	if (at == end)
		return true;
	out->bad_at = (uint32_t)at;
	out->bad_code = 0;
	return false;
}

/* Follows the chain of a packet of n bytes (header and payload). */
static inline void ip6_walk(const uint8_t *p, size_t n, uint8_t next, struct ip6_chain *out)
{
	size_t at = IP6_HLEN, next_at = 6, len;

	*out = (struct ip6_chain){.ok = true};
	for (int i = 0; i < IP6_EXT_MAX; i++) {
		switch (next) {
		case IP6_FRAGMENT:
			if (n - at < IP6_FRAG_LEN)
				goto bad;
			out->fragment = true;
			out->protocol = p[at];
			out->frag_offset = get_be16(p + at + 2) & 0xfff8u;
			out->more = p[at + 3] & 1;
			out->id = get_be32(p + at + 4);
			out->offset = (uint32_t)at + IP6_FRAG_LEN;
			return;
		case IP6_HOPOPTS:
			if (i)
				goto unknown; /* only first */
			FALLTHROUGH;
		case IP6_DSTOPTS:
		case IP6_ROUTING:
			if (n - at < 8)
				goto bad;
			len = 8u + p[at + 1] * 8u;
			if (len > n - at)
				goto bad;
			if (next == IP6_ROUTING) {
				if (p[at + 3]) { /* segments left: none is processed here (RFC 5095) */
					out->ok = false;
					out->bad_at = (uint32_t)at + 2;
					return;
				}
			} else if (!ip6_options_ok(p, at + 2, at + len, out)) {
				out->ok = false;
				return;
			}
			next = p[at];
			next_at = at;
			at += len;
			continue;
		default:
			out->protocol = next;
			out->offset = (uint32_t)at;
			return;
		}
	}
unknown:
	out->bad_code = 1;
	out->bad = next;
	out->bad_at = (uint32_t)next_at;
	out->ok = false;
	return;
bad:
	out->ok = false;
	out->silent = true;
}
