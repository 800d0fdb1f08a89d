/* ip4.c: IPv4 in and out (RFC 791, 1122 3.2), and what IPv6 does in the same way: choosing the link, path MTUs,
 * errors about our own packets. Options of arriving packets are skipped; source routes are not followed. */
#include "netstack/proto/ip4.h"

#include "netstack/proto/icmp.h"
#include "netstack/proto/ip6.h"
#include "netstack/wire.h"

#define PMTU_NS	    600000000000ULL /* RFC 1191 6.3 */
#define PMTU_MIN4   552u	    /* net.ipv4.route.min_pmtu */
#define DEFAULT_TTL 64

/* ---- path MTUs ---- */

static struct pmtu_entry *pmtu_slot(struct wire *w, const struct net_addr *dst)
{
	return &w->pmtus[hash_bytes(w->secret[1], dst->b, 16) % PMTU_SLOTS];
}

uint32_t ip_path_mtu(struct wire *w, const struct net_addr *dst, const struct route *r)
{
	struct link *l = wire_link(w, r->ifindex);
	uint32_t mtu = l ? __atomic_load_n(&l->mtu, __ATOMIC_RELAXED) : r->mtu;
	struct pmtu_entry *e = pmtu_slot(w, dst);

	mtu = MIN(mtu, r->mtu);
	if (!__atomic_load_n(&e->mtu, __ATOMIC_RELAXED))
		return mtu;
	mutex_lock(&w->lock);
	if (e->mtu && net_addr_eq(&e->dst, dst)) {
		if (wire_now(w) > e->expires)
			e->mtu = 0;
		else
			mtu = MIN(mtu, e->mtu);
	}
	mutex_unlock(&w->lock);
	return mtu;
}

void ip_pmtu_learn(struct wire *w, const struct net_addr *dst, uint32_t mtu)
{
	struct pmtu_entry *e = pmtu_slot(w, dst);

	mtu = MAX(mtu, net_addr_is4(dst) ? PMTU_MIN4 : IP6_MTU_MIN);
	mutex_lock(&w->lock);
	if (!e->mtu || !net_addr_eq(&e->dst, dst) || mtu < e->mtu) { /* an ICMP never makes it larger */
		e->dst = *dst;
		e->expires = wire_now(w) + PMTU_NS;
		__atomic_store_n(&e->mtu, mtu, __ATOMIC_RELAXED);
	}
	mutex_unlock(&w->lock);
}

/* ---- out ---- */

static void hand_to_link(struct link *l, const struct ip_out *o, struct pkt *p)
{
	const struct net_addr *hop = o->r->has_gateway ? &o->r->gateway : &o->dst;
	struct net_addr broadcast;

	if (!(l->features & LINK_ETHER)) {
		link_xmit(l, p);
		return;
	}
	if (l->features & LINK_NOARP) {
		link_eth_output(l, p, l->hw, net_addr_is4(&o->dst) ? ETH_P_IP4 : ETH_P_IP6);
		return;
	}
	if (o->r->broadcast) {
		broadcast = net_addr4(0xffffffff);
		hop = &broadcast;
	}
	neigh_output(l, hop, p);
}

static void put_header(struct wire *w, struct pkt *p, const struct ip_out *o, uint32_t payload, uint32_t offset,
		       bool more, uint32_t id)
{
	uint8_t ttl = o->ttl ? o->ttl : DEFAULT_TTL;

	WCOUNT(w, ip_out);
	if (net_addr_is4(&o->dst)) {
		struct ip4_hdr h = {.tos = o->tos,
				    .ttl = ttl,
				    .protocol = o->protocol,
				    .id = (uint16_t)id,
				    .total = (uint16_t)(IP4_HLEN + payload),
				    .df = o->df,
				    .mf = more,
				    .offset = offset,
				    .src = o->src.w[3],
				    .dst = o->dst.w[3]};

		p->v6 = false;
		ip4_put(pkt_push(p, IP4_HLEN), &h);
	} else {
		struct ip6_hdr h = {
			.tclass = o->tos, .hops = ttl, .next = o->protocol, .payload = (uint16_t)payload};
		uint8_t *f;

		p->v6 = true;
		if (offset || more) {
			f = pkt_push(p, IP6_FRAG_LEN);
			f[0] = o->protocol;
			f[1] = 0;
			put_be16(f + 2, (uint16_t)(offset | more));
			put_be32(f + 4, id);
			h.next = IP6_FRAGMENT;
			h.payload = (uint16_t)(payload + IP6_FRAG_LEN);
		}
		memcpy(h.src, o->src.b, 16);
		memcpy(h.dst, o->dst.b, 16);
		ip6_put(pkt_push(p, IP6_HLEN), &h);
	}
}

/* Both versions: pieces of a multiple of eight bytes, each with its own header. */
static int output_fragments(struct wire *w, struct link *l, struct pkt *whole, const struct ip_out *o,
			    uint32_t mtu)
{
	uint32_t head = net_addr_is4(&o->dst) ? IP4_HLEN : IP6_HLEN + IP6_FRAG_LEN, each = (mtu - head) & ~7u;
	uint32_t total = pkt_len(whole), at = 0, n, id = __atomic_add_fetch(&w->ip_id, 1, __ATOMIC_RELAXED);
	struct pbuf *flat;
	struct pkt p;
	uint8_t *all;

	if (whole->partial_csum)
		pkt_fill_csum(whole);
	flat = kmalloc(sizeof(*flat) + total);
	if (!flat)
		return -ENOBUFS;
	all = flat->data;
	pkt_flatten(whole, all);
	for (; at < total; at += n) {
		n = MIN(each, total - at);
		pkt_init(&p);
		pkt_add(&p, all + at, n);
		put_header(w, &p, o, n, at, at + n < total, id);
		WCOUNT(w, ip_frags_out);
		hand_to_link(l, o, &p);
	}
	kfree(flat);
	return 0;
}

int wire_ip_output(struct wire *w, struct pkt *p, const struct ip_out *o)
{
	struct link *l = wire_link(w, o->r->ifindex);
	uint32_t head = net_addr_is4(&o->dst) ? IP4_HLEN : IP6_HLEN, mtu;

	if (!l)
		return -ENETDOWN;
	mtu = ip_path_mtu(w, &o->dst, o->r);
	if (pkt_len(p) + head > mtu && !p->gso_size) {
		if (o->df || pkt_len(p) > 65535 - head)
			return -EMSGSIZE;
		return output_fragments(w, l, p, o, mtu);
	}
	if (p->partial_csum && !(l->features & LINK_CSUM))
		pkt_fill_csum(p);
	put_header(w, p, o, pkt_len(p), 0, false,
		   o->df ? 0 : __atomic_add_fetch(&w->ip_id, 1, __ATOMIC_RELAXED));
	hand_to_link(l, o, p);
	return 0;
}

/* ---- errors about our own packets ---- */

void ip_quoted_error(struct wire *w, const uint8_t *p, size_t n, bool v6, const struct net_addr *offender,
		     uint8_t type, uint8_t code, uint32_t info)
{
	struct icmp_error e = {.type = type, .code = code, .info = info, .offender = {.addr = *offender}};
	uint32_t at;
	size_t min;

	if (v6) {
		struct ip6_chain c;

		if (n < IP6_HLEN || p[0] >> 4 != 6)
			return;
		memcpy(e.local.addr.b, p + 8, 16);
		memcpy(e.remote.addr.b, p + 24, 16);
		ip6_walk(p, n, p[6], &c);
		if (!c.ok || c.frag_offset)
			return;
		e.protocol = c.protocol;
		at = c.offset;
	} else {
		if (n < IP4_HLEN || p[0] >> 4 != 4 || (get_be16(p + 6) & IP4_OFFSET))
			return;
		memcpy(&e.local.addr, &(struct net_addr){0}, 16);
		e.local.addr = net_addr4(*(const uint32_t *)memcpy(&at, p + 12, 4));
		e.remote.addr = net_addr4(*(const uint32_t *)memcpy(&at, p + 16, 4));
		e.protocol = p[9];
		at = (uint32_t)(p[0] & 15) * 4;
	}
	if (at > n || n - at < 8 || !w->up->is_local(w->up_arg, &e.local.addr))
		return;
	if (e.protocol == PROTO_TCP || e.protocol == PROTO_UDP) {
		e.local.port = get_be16(p + at);
		e.remote.port = get_be16(p + at + 2);
	} else if (e.protocol == PROTO_ICMP || e.protocol == PROTO_ICMP6) {
		e.local.port = get_be16(p + at + 4); /* of an echo */
	}
	if (e.info && (v6 ? type == ICMP6_TOO_BIG : type == ICMP_UNREACH && code == ICMP_UNREACH_FRAG) &&
	    e.protocol != PROTO_TCP)
		ip_pmtu_learn(w, &e.remote.addr, e.info); /* TCP looks at the sequence number first */
	if (e.protocol == PROTO_TCP) {
		tcp_icmp_error(w, &e, get_be32(p + at + 4));
		return;
	}
	min = 8;
	e.data = p + at + min;
	e.len = (uint32_t)(n - at - min);
	w->up->icmp_error(w->up_arg, &e);
}

void ip_tell_unreachable(struct wire *w, struct pkt *p)
{
	struct net_addr us = {0};
	uint8_t quoted[128];
	uint32_t n = MIN(pkt_head_len(p), (uint32_t)sizeof(quoted)), more;

	memcpy(quoted, pkt_head(p), n);
	if (p->piece_count) {
		more = MIN((uint32_t)p->pieces[0].iov_len, (uint32_t)sizeof(quoted) - n);
		memcpy(quoted + n, p->pieces[0].iov_base, more);
		n += more;
	}
	if (p->v6)
		memcpy(us.b, quoted + 8, 16);
	else
		us = net_addr4(*(const uint32_t *)memcpy(&more, quoted + 12, 4));
	ip_quoted_error(w, quoted, n, p->v6, &us, p->v6 ? ICMP6_UNREACH : ICMP_UNREACH, p->v6 ? 3 : 1, 0);
}

/* ---- in ---- */

static bool bad_source(const struct net_addr *a)
{
	return net_addr_multicast(a) || a->w[3] == 0xffffffff || a->b[12] == 127;
}

/* A link that vouches for a datagram may have left its checksum half done; the sockets want it whole. The bytes
 * are the link's buffer or ours. */
static void finish_udp(const struct ip_in *in)
{
	bool v6 = in->p.v6;
	uint8_t *p = (uint8_t *)in->p.data;
	uint16_t sum = 0;

	if (in->p.len < 8 || (!v6 && !p[6] && !p[7]))
		return;
	memcpy(p + 6, &sum, 2);
	sum = csum_finish(
		csum_join(csum_pseudo(v6 ? in->p.src.b : in->p.src.b + 12, v6 ? in->p.dst.b : in->p.dst.b + 12,
				      v6 ? 16 : 4, PROTO_UDP, in->p.len),
			  csum_add(0, p, in->p.len)));
	if (!sum)
		sum = 0xffff;
	memcpy(p + 6, &sum, 2);
}

void ip_dispatch(struct wire *w, const struct ip_in *in)
{
	switch (in->p.protocol) {
	case PROTO_TCP:
		if (in->unicast)
			tcp_input(w, in);
		return;
	case PROTO_ICMP:
		if (!in->p.v6)
			icmp4_input(w, in);
		return;
	case PROTO_ICMP6:
		if (in->p.v6)
			icmp6_input(w, in);
		return;
	default:
		break;
	}
	if (in->p.protocol == PROTO_UDP && in->csum_ok)
		finish_udp(in);
	w->up->deliver(w->up_arg, &in->p);
}

void ip4_input(struct link *l, const uint8_t *p, size_t n, bool csum_ok, bool to_us)
{
	struct wire *w = l->w;
	struct frag_whole whole = {0};
	struct ip4_hdr h;
	struct ip_in in;

	WCOUNT(w, ip_in);
	if (!ip4_parse(p, n, &h)) {
		WCOUNT(w, ip_bad);
		return;
	}
	in = (struct ip_in){.l = l,
			    .header = p,
			    .header_len = h.hlen,
			    .csum_ok = csum_ok,
			    .p = {.protocol = h.protocol,
				  .ttl = h.ttl,
				  .tos = h.tos,
				  .src = net_addr4(h.src),
				  .dst = net_addr4(h.dst),
				  .ifindex = l->ifindex,
				  .data = p + h.hlen,
				  .len = (uint32_t)h.total - h.hlen}};
	if (bad_source(&in.p.src) || in.p.dst.b[12] == 127) {
		WCOUNT(w, ip_bad);
		return;
	}
	in.unicast = to_us && w->up->is_local(w->up_arg, &in.p.dst);
	if (to_us && !in.unicast && !net_addr_multicast(&in.p.dst))
		return; /* for somebody else: this isn't a router */
	if (h.mf || h.offset) {
		struct frag_part f = {.key = {.src = in.p.src,
					      .dst = in.p.dst,
					      .id = h.id,
					      .ifindex = l->ifindex,
					      .protocol = h.protocol},
				      .offset = h.offset,
				      .len = in.p.len,
				      .more = h.mf,
				      .tos = h.tos,
				      .ttl = h.ttl,
				      .data = in.p.data,
				      .header = p,
				      .header_len = h.hlen};

		if (!frag_input(w, &f, &whole))
			return;
		in.p.data = whole.data;
		in.p.len = whole.len;
		in.p.tos = whole.tos;
		in.p.ttl = whole.ttl;
		in.csum_ok = false;
	}
	ip_dispatch(w, &in);
	kfree(whole.data);
}
