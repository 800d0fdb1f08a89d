/* ip4.h: IPv4 headers (RFC 791): parse and put, no state. Addresses are in network order, all else in host
 * order. */
#pragma once

#include "netstack/core/checksum.h"
#include "platform/base/bytes.h"

#define IP4_HLEN     20
#define IP4_HLEN_MAX 60
#define IP4_MTU_MIN  68
#define IP4_DF	     0x4000
#define IP4_MF	     0x2000
#define IP4_OFFSET   0x1fff

struct ip4_hdr {
	uint8_t hlen, tos, ttl, protocol;
	uint16_t total, id;
	bool df, mf;
	uint32_t offset; /* of a fragment, in bytes */
	uint32_t src, dst;
};

/* Checks version, lengths and checksum; bytes behind total are padding of the link. */
static inline MUST_CHECK bool ip4_parse(const uint8_t *p, size_t n, struct ip4_hdr *out)
{
	uint16_t frag;

	if (n < IP4_HLEN || p[0] >> 4 != 4)
		return false;
	out->hlen = (uint8_t)((p[0] & 15) * 4);
	out->total = get_be16(p + 2);
	if (out->hlen < IP4_HLEN || out->total < out->hlen || out->total > n)
		return false;
	if (csum_finish(csum_add(0, p, out->hlen)) != 0)
		return false;
	out->tos = p[1];
	out->id = get_be16(p + 4);
	frag = get_be16(p + 6);
	out->df = frag & IP4_DF;
	out->mf = frag & IP4_MF;
	out->offset = (uint32_t)(frag & IP4_OFFSET) * 8;
	out->ttl = p[8];
	out->protocol = p[9];
	memcpy(&out->src, p + 12, 4);
	memcpy(&out->dst, p + 16, 4);
	return true;
}

/* A header without options, with its checksum. */
static inline void ip4_put(uint8_t *p, const struct ip4_hdr *h)
{
	uint16_t sum;

	p[0] = 0x45;
	p[1] = h->tos;
	put_be16(p + 2, h->total);
	put_be16(p + 4, h->id);
	put_be16(p + 6, (uint16_t)((h->df ? IP4_DF : 0) | (h->mf ? IP4_MF : 0) | h->offset / 8));
	p[8] = h->ttl;
	p[9] = h->protocol;
	p[10] = p[11] = 0;
	memcpy(p + 12, &h->src, 4);
	memcpy(p + 16, &h->dst, 4);
	sum = csum_finish(csum_add(0, p, IP4_HLEN));
	memcpy(p + 10, &sum, 2);
}
