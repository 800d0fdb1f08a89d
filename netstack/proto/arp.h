/* arp.h: ARP for IPv4 over Ethernet (RFC 826): parse and put, no state. IPv4 addresses are in network order. */
#pragma once

#include "netstack/proto/eth.h"

#define ARP_LEN	    28
#define ARP_REQUEST 1
#define ARP_REPLY   2

struct arp_pkt {
	uint16_t op;
	uint8_t sha[ETH_ALEN], tha[ETH_ALEN];
	uint32_t spa, tpa;
};

/* False: too short, or not IPv4 over Ethernet. */
static inline MUST_CHECK bool arp_parse(const uint8_t *p, size_t n, struct arp_pkt *out)
{
	if (n < ARP_LEN || get_be16(p) != 1 || get_be16(p + 2) != ETH_P_IP4 || p[4] != ETH_ALEN || p[5] != 4)
		return false;
	out->op = get_be16(p + 6);
	memcpy(out->sha, p + 8, ETH_ALEN);
	memcpy(&out->spa, p + 14, 4);
	memcpy(out->tha, p + 18, ETH_ALEN);
	memcpy(&out->tpa, p + 24, 4);
	return out->op == ARP_REQUEST || out->op == ARP_REPLY;
}

static inline void arp_put(uint8_t *p, const struct arp_pkt *a)
{
	put_be16(p, 1);
	put_be16(p + 2, ETH_P_IP4);
	p[4] = ETH_ALEN;
	p[5] = 4;
	put_be16(p + 6, a->op);
	memcpy(p + 8, a->sha, ETH_ALEN);
	memcpy(p + 14, &a->spa, 4);
	memcpy(p + 18, a->tha, ETH_ALEN);
	memcpy(p + 24, &a->tpa, 4);
}
