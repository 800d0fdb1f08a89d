/* icmp6.c: ICMPv6 (RFC 4443): answers echoes, sends errors, tells who sent it of errors about a packet.
 * Neighbour discovery is nd6.c's. */
#include "netstack/proto/icmp.h"

#include "netstack/proto/ip6.h"
#include "netstack/wire.h"

void icmp6_output(struct link *l, const struct net_addr *src, const struct net_addr *dst, struct pkt *p,
		  uint8_t hops, uint8_t tos)
{
	struct ip_out o = {.dst = *dst, .protocol = PROTO_ICMP6, .ttl = hops, .tos = tos};
	struct wire *w = l->w;
	struct route r;
	uint16_t sum;

	if (net_addr_multicast(dst) || net_addr_linklocal6(dst)) {
		r = (struct route){.ifindex = l->ifindex, .mtu = 65536, .multicast = net_addr_multicast(dst)};
		if (!src && !w->up->source(w->up_arg, l->ifindex, false, &r.src))
			return;
	} else if (w->up->route(w->up_arg, dst, 0, &r) < 0 || r.local) {
		return;
	}
	o.r = &r;
	o.src = src ? *src : r.src;
	p->l4_len = ICMP_HLEN;
	p->csum_at = 2;
	sum = csum_fold(csum_pseudo(o.src.b, o.dst.b, 16, PROTO_ICMP6, pkt_len(p)));
	memcpy(pkt_head(p) + 2, &sum, 2);
	pkt_fill_csum(p);
	WCOUNT(w, icmp_out);
	(void)wire_ip_output(w, p, &o);
}

void icmp6_send_error(struct wire *w, const struct ip_in *in, uint8_t type, uint8_t code, uint32_t rest)
{
	uint32_t n = MIN(in->header_len + in->p.len, (uint32_t)IP6_MTU_MIN - IP6_HLEN - ICMP_HLEN);
	bool exception = type == ICMP6_TOO_BIG || (type == ICMP6_PARAM_PROBLEM && code == 2);
	struct pkt p;

	if (!in->unicast && !exception)
		return;
	if (in->p.protocol == PROTO_ICMP6 && (in->p.len < 1 || icmp6_is_error(in->p.data[0])))
		return;
	if (net_addr_any(&in->p.src) || !icmp_may_send(w))
		return;
	pkt_init(&p);
	icmp_put(pkt_push(&p, ICMP_HLEN), type, code, rest);
	pkt_add(&p, in->header, MIN(n, in->header_len));
	if (n > in->header_len)
		pkt_add(&p, in->p.data, n - in->header_len);
	icmp6_output(in->l, in->unicast ? &in->p.dst : NULL, &in->p.src, &p, 64, 0);
}

static void answer_echo(const struct ip_in *in, const struct icmp_hdr *h)
{
	struct pkt p;

	pkt_init(&p);
	icmp_put(pkt_push(&p, ICMP_HLEN), ICMP6_ECHO_REPLY, 0, h->rest);
	pkt_add(&p, in->p.data + ICMP_HLEN, in->p.len - ICMP_HLEN);
	icmp6_output(in->l, in->unicast ? &in->p.dst : NULL, &in->p.src, &p, 0, in->p.tos & 0xfc);
}

void icmp6_input(struct wire *w, const struct ip_in *in)
{
	struct icmp_hdr h;

	WCOUNT(w, icmp_in);
	if (!icmp_parse(in->p.data, in->p.len, &h))
		return;
	if (csum_finish(csum_join(csum_pseudo(in->p.src.b, in->p.dst.b, 16, PROTO_ICMP6, in->p.len),
				  csum_add(0, in->p.data, in->p.len))) != 0)
		return;
	if (h.type == ICMP6_ECHO) {
		answer_echo(in, &h);
	} else if (h.type >= ICMP6_RS && h.type <= ICMP6_NA) {
		nd6_input(w, in);
	} else if (icmp6_is_error(h.type)) {
		uint32_t info = h.type == ICMP6_TOO_BIG || h.type == ICMP6_PARAM_PROBLEM ? h.rest : 0;

		ip_quoted_error(w, in->p.data + ICMP_HLEN, in->p.len - ICMP_HLEN, true, &in->p.src, h.type,
				h.code, info);
	}
	w->up->deliver(w->up_arg, &in->p);
}
