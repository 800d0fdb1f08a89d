/* arp.c: ARP (RFC 826), with the conflict rules' courtesy of RFC 5227: requests for our addresses are answered,
 * what anybody says of himself updates what is known already. */
#include "netstack/proto/arp.h"

#include "netstack/wire.h"

static void arp_send(struct link *l, const struct arp_pkt *a, const uint8_t *to)
{
	uint8_t body[ARP_LEN];
	struct pkt p;

	arp_put(body, a);
	pkt_init(&p);
	pkt_add(&p, body, ARP_LEN);
	WCOUNT(l->w, arp_out);
	link_eth_output(l, &p, to, ETH_P_ARP);
}

void arp_request(struct link *l, uint32_t target, const uint8_t *to)
{
	static const uint8_t everybody[ETH_ALEN] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	struct arp_pkt a = {.op = ARP_REQUEST, .tpa = target};
	struct net_addr src;

	if (!l->w->up->source(l->w->up_arg, l->ifindex, true, &src))
		return;
	memcpy(a.sha, l->hw, ETH_ALEN);
	a.spa = src.w[3];
	arp_send(l, &a, to ? to : everybody);
}

void arp_input(struct link *l, const uint8_t *p, size_t n)
{
	struct arp_pkt a, reply = {.op = ARP_REPLY};
	struct net_addr spa, tpa;
	bool for_us;

	WCOUNT(l->w, arp_in);
	if (!arp_parse(p, n, &a))
		return;
	spa = net_addr4(a.spa);
	tpa = net_addr4(a.tpa);
	for_us = l->w->up->is_local(l->w->up_arg, &tpa) && tpa.b[12] != 127;
	if (a.spa && !net_addr_multicast(&spa) && a.spa != 0xffffffff &&
	    !l->w->up->is_local(l->w->up_arg, &spa))
		neigh_learn(l, &spa, a.sha, true, a.op == ARP_REPLY && for_us, for_us);
	if (a.op != ARP_REQUEST || !for_us)
		return;
	memcpy(reply.sha, l->hw, ETH_ALEN);
	memcpy(reply.tha, a.sha, ETH_ALEN);
	reply.spa = a.tpa;
	reply.tpa = a.spa;
	arp_send(l, &reply, a.sha);
}
