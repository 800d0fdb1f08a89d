/* udp.h: UDP headers (RFC 768): parse and put, no state. */
#pragma once

#include "platform/base/bytes.h"

#define UDP_HLEN 8

struct udp_hdr {
	uint16_t sport, dport, len, sum;
};

/* len covers header and data; what stands behind it isn't the datagram's. */
static inline MUST_CHECK bool udp_parse(const uint8_t *p, size_t n, struct udp_hdr *out)
{
	if (n < UDP_HLEN)
		return false;
	out->sport = get_be16(p);
	out->dport = get_be16(p + 2);
	out->len = get_be16(p + 4);
	memcpy(&out->sum, p + 6, 2);
	return out->len >= UDP_HLEN && out->len <= n;
}

static inline void udp_put(uint8_t *p, uint16_t sport, uint16_t dport, uint16_t len, uint16_t sum)
{
	put_be16(p, sport);
	put_be16(p + 2, dport);
	put_be16(p + 4, len);
	memcpy(p + 6, &sum, 2);
}
