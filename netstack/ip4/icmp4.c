/* icmp4.c: ICMP (RFC 792, 1122 3.2.2): answers echoes, sends errors, and tells who sent it of errors about a
 * packet. Everything but echo requests is also given to raw and ping sockets. */
#include "netstack/proto/icmp.h"

#include "netstack/proto/ip4.h"
#include "netstack/wire.h"

#define ERROR_NS    1000000ULL /* a thousand errors a second, 50 at once: net.ipv4.icmp_msgs_per_sec, _burst */
#define ERROR_BURST 50u
#define QUOTE_MAX   548u /* RFC 1812 4.3.2.3: the whole datagram is at most 576 */

bool icmp_may_send(struct wire *w)
{
	uint64_t now = wire_now(w), earned;
	bool ok;

	mutex_lock(&w->lock);
	earned = (now - w->icmp_credit_at) / ERROR_NS;
	if (earned) {
		w->icmp_credit = (uint32_t)MIN(w->icmp_credit + earned, (uint64_t)ERROR_BURST);
		w->icmp_credit_at = now;
	}
	ok = w->icmp_credit > 0;
	if (ok)
		w->icmp_credit--;
	mutex_unlock(&w->lock);
	if (!ok)
		WCOUNT(w, icmp_limited);
	return ok;
}

static void icmp4_output(struct wire *w, const struct net_addr *src, const struct net_addr *dst, struct pkt *p,
			 uint8_t tos, uint32_t oif)
{
	struct ip_out o = {.src = *src, .dst = *dst, .protocol = PROTO_ICMP, .tos = tos};
	struct route r;

	p->l4_len = ICMP_HLEN;
	p->csum_at = 2;
	pkt_fill_csum(p);
	if (w->up->route(w->up_arg, dst, 0, &r) < 0 && w->up->route(w->up_arg, dst, oif, &r) < 0)
		return;
	if (r.local)
		return;
	o.r = &r;
	if (net_addr_any(src))
		o.src = r.src;
	WCOUNT(w, icmp_out);
	(void)wire_ip_output(w, p, &o);
}

static void answer_echo(struct wire *w, const struct ip_in *in, const struct icmp_hdr *h)
{
	struct net_addr any = net_addr4(0);
	struct pkt p;

	pkt_init(&p);
	icmp_put(pkt_push(&p, ICMP_HLEN), ICMP_ECHO_REPLY, 0, h->rest);
	pkt_add(&p, in->p.data + ICMP_HLEN, in->p.len - ICMP_HLEN);
	icmp4_output(w, in->unicast ? &in->p.dst : &any, &in->p.src, &p, in->p.tos & 0xfc, in->p.ifindex);
}

void icmp4_send_error(struct wire *w, const struct ip_in *in, uint8_t type, uint8_t code, uint32_t rest)
{
	uint32_t n = MIN(in->header_len + in->p.len, QUOTE_MAX);
	struct pkt p;

	if (!in->unicast || (in->p.protocol == PROTO_ICMP && (in->p.len < 1 || icmp4_is_error(in->p.data[0]))))
		return;
	if (net_addr_any(&in->p.src) || !icmp_may_send(w))
		return;
	pkt_init(&p);
	icmp_put(pkt_push(&p, ICMP_HLEN), type, code, rest);
	/* a datagram of fragments lies elsewhere than its header */
	pkt_add(&p, in->header, MIN(n, in->header_len));
	if (n > in->header_len)
		pkt_add(&p, in->p.data, n - in->header_len);
	icmp4_output(w, &in->p.dst, &in->p.src, &p, 0xc0, in->p.ifindex);
}

void icmp4_input(struct wire *w, const struct ip_in *in)
{
	struct icmp_hdr h;

	WCOUNT(w, icmp_in);
	if (!icmp_parse(in->p.data, in->p.len, &h) || csum_finish(csum_add(0, in->p.data, in->p.len)) != 0)
		return;
	if (h.type == ICMP_ECHO) {
		if (in->unicast) /* broadcasts aren't answered: net.ipv4.icmp_echo_ignore_broadcasts */
			answer_echo(w, in, &h);
	} else if (icmp4_is_error(h.type)) {
		uint32_t info = 0;

		if (h.type == ICMP_UNREACH && h.code == ICMP_UNREACH_FRAG)
			info = h.rest & 0xffff;
		else if (h.type == ICMP_PARAM_PROBLEM)
			info = h.rest >> 24;
		ip_quoted_error(w, in->p.data + ICMP_HLEN, in->p.len - ICMP_HLEN, false, &in->p.src, h.type,
				h.code, info);
	}
	w->up->deliver(w->up_arg, &in->p);
}
