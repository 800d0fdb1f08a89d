/* eth.h: Ethernet frames: parse and put, no state. Numbers are in host order, addresses are bytes. */
#pragma once

#include "platform/base/bytes.h"

#define ETH_ALEN   6
#define ETH_HLEN   14
#define ETH_P_IP4  0x0800
#define ETH_P_ARP  0x0806
#define ETH_P_IP6  0x86dd
#define ETH_P_VLAN 0x8100

struct eth_hdr {
	uint8_t dst[ETH_ALEN], src[ETH_ALEN];
	uint16_t type;
};

/* False: too short. */
static inline MUST_CHECK bool eth_parse(const uint8_t *p, size_t n, struct eth_hdr *out)
{
	if (n < ETH_HLEN)
		return false;
	memcpy(out->dst, p, ETH_ALEN);
	memcpy(out->src, p + 6, ETH_ALEN);
	out->type = get_be16(p + 12);
	return true;
}

static inline void eth_put(uint8_t *p, const uint8_t *dst, const uint8_t *src, uint16_t type)
{
	memcpy(p, dst, ETH_ALEN);
	memcpy(p + 6, src, ETH_ALEN);
	put_be16(p + 12, type);
}

static inline bool eth_is_multicast(const uint8_t *a)
{
	return a[0] & 1;
}
