/* local.c: the way of an IP packet between sockets and what is below: to this machine at once, on the sender's
 * thread, or to the wire. */
#include "netstack/internal.h"

void ip_deliver(struct net_stack *st, const struct ip_packet *p)
{
	COUNT(st, ip_in);
	(void)raw_input(st, p);
	switch (p->protocol) {
	case PROTO_UDP:
	case PROTO_UDPLITE:
		COUNT(st, ip_delivers);
		udp_input(st, p);
		break;
	case PROTO_ICMP:
	case PROTO_ICMP6:
		if ((p->protocol == PROTO_ICMP6) == p->v6) {
			COUNT(st, ip_delivers);
			icmp_input(st, p);
		}
		break;
	default: /* TCP's segments are the wire's own business */
		break;
	}
}

int ip_output(struct net_stack *st, const struct dgram_dst *d, uint8_t protocol, const uint8_t *data,
	      uint32_t len, bool dont_fragment)
{
	struct ip_packet p = {.v6 = !net_addr_is4(&d->to.addr),
			      .protocol = protocol,
			      .ttl = d->ttl,
			      .tos = d->tos,
			      .src = d->from.addr,
			      .dst = d->to.addr,
			      .ifindex = d->ifindex,
			      .data = data,
			      .len = len};

	COUNT(st, ip_out);
	if (d->route.local) {
		COUNT_LO(st, 1, len + 34u);
		if (UNLIKELY(stack_tapped(st)))
			tap_local(st, &p);
		ip_deliver(st, &p);
		return 0;
	}
	if (!st->wire)
		return -ENETUNREACH;
	return st->wire->output(st, &d->route, &p, dont_fragment);
}
