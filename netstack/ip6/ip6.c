/* ip6.c: IPv6 in (RFC 8200); out is ip4.c's wire_ip_output. Fragments are put together by ip4/frag.c. */
#include "netstack/proto/ip6.h"

#include "netstack/proto/icmp.h"
#include "netstack/wire.h"

static bool bad_addresses(const struct net_addr *src, const struct net_addr *dst)
{
	static const struct net_addr lo = {.b = {[15] = 1}};

	return net_addr_multicast(src) || net_addr_eq(src, &lo) || net_addr_eq(dst, &lo) || net_addr_is4(src) ||
	       net_addr_is4(dst) || net_addr_any(dst);
}

static void answer_bad(struct wire *w, const struct ip_in *in, const struct ip6_chain *c)
{
	WCOUNT(w, ip_bad);
	if (!c->silent)
		icmp6_send_error(w, in, ICMP6_PARAM_PROBLEM, c->bad_code, c->bad_at);
}

/* The chain of a whole packet behind its fragment header goes on in the payload. */
static bool walk_on(struct ip_in *in, struct ip6_chain *c)
{
	uint8_t *tmp;
	bool ok;

	if (c->protocol != IP6_DSTOPTS && c->protocol != IP6_ROUTING)
		return true;
	tmp = kmalloc(IP6_HLEN + in->p.len); /* the walk begins behind a header */
	if (!tmp)
		return false;
	memcpy(tmp + IP6_HLEN, in->p.data, in->p.len);
	ip6_walk(tmp, IP6_HLEN + in->p.len, c->protocol, c);
	ok = c->ok && !c->fragment;
	if (ok) {
		in->p.data += c->offset - IP6_HLEN;
		in->p.len -= c->offset - IP6_HLEN;
	}
	kfree(tmp);
	return ok;
}

void ip6_input(struct link *l, const uint8_t *p, size_t n, bool csum_ok, bool to_us)
{
	struct wire *w = l->w;
	struct frag_whole whole = {0};
	struct ip6_chain c;
	struct ip6_hdr h;
	struct ip_in in;

	WCOUNT(w, ip_in);
	if (!ip6_parse(p, n, &h)) {
		WCOUNT(w, ip_bad);
		return;
	}
	in = (struct ip_in){.l = l,
			    .header = p,
			    .header_len = IP6_HLEN,
			    .csum_ok = csum_ok,
			    .p = {.v6 = true,
				  .ttl = h.hops,
				  .tos = h.tclass,
				  .ifindex = l->ifindex,
				  .data = p + IP6_HLEN,
				  .len = h.payload}};
	memcpy(in.p.src.b, h.src, 16);
	memcpy(in.p.dst.b, h.dst, 16);
	if (bad_addresses(&in.p.src, &in.p.dst)) {
		WCOUNT(w, ip_bad);
		return;
	}
	in.unicast = to_us && w->up->is_local(w->up_arg, &in.p.dst);
	if (!in.unicast && !net_addr_multicast(&in.p.dst))
		return;
	ip6_walk(p, IP6_HLEN + h.payload, h.next, &c);
	in.p.protocol = c.protocol;
	if (!c.ok) {
		answer_bad(w, &in, &c);
		return;
	}
	in.header_len = c.offset;
	in.p.data = p + c.offset;
	in.p.len = IP6_HLEN + h.payload - c.offset;
	if (c.fragment && (c.more || c.frag_offset)) {
		struct frag_part f = {
			.key = {.src = in.p.src, .dst = in.p.dst, .id = c.id, .ifindex = l->ifindex},
			.offset = c.frag_offset,
			.len = in.p.len,
			.more = c.more,
			.tos = in.p.tos,
			.ttl = in.p.ttl,
			.data = in.p.data,
			.header = p,
			.header_len = c.offset};

		if (!frag_input(w, &f, &whole))
			return;
		in.p.data = whole.data;
		in.p.len = whole.len;
		in.p.tos = whole.tos;
		in.p.ttl = whole.ttl;
		in.csum_ok = false;
	}
	if (!c.fragment || walk_on(&in, &c)) {
		in.p.protocol = c.protocol;
		if (in.p.protocol != IP6_NONE)
			ip_dispatch(w, &in);
	}
	kfree(whole.data);
}
