/* nd6.c: neighbour discovery (RFC 4861) and stateless addresses (RFC 4862): solicitations are answered,
 * advertisements heard, routers give prefixes and themselves to the upper half. */
#include "netstack/proto/icmp.h"
#include "netstack/wire.h"

static const struct net_addr all_nodes = {.b = {0xff, 2, [15] = 1}}, all_routers = {.b = {0xff, 2, [15] = 2}};

static void put_link_option(struct pkt *p, uint8_t *body, uint32_t n, uint8_t type, const uint8_t *hw)
{
	body[n] = type;
	body[n + 1] = 1;
	memcpy(body + n + 2, hw, ETH_ALEN);
	pkt_add(p, body, n + 8);
}

void nd6_solicit(struct link *l, const struct net_addr *target, const uint8_t *to)
{
	struct net_addr dst = {
		.b = {0xff, 2, [11] = 1, [12] = 0xff, target->b[13], target->b[14], target->b[15]}};
	uint8_t body[24];
	struct pkt p;

	pkt_init(&p);
	icmp_put(pkt_push(&p, ICMP_HLEN), ICMP6_NS, 0, 0);
	memcpy(body, target->b, 16);
	put_link_option(&p, body, 16, ND_OPT_SOURCE_LL, l->hw);
	WCOUNT(l->w, nd_out);
	icmp6_output(l, NULL, to ? target : &dst, &p, 255, 0);
}

void nd6_router_solicit(struct link *l)
{
	uint8_t body[8];
	struct pkt p;

	pkt_init(&p);
	icmp_put(pkt_push(&p, ICMP_HLEN), ICMP6_RS, 0, 0);
	put_link_option(&p, body, 0, ND_OPT_SOURCE_LL, l->hw);
	WCOUNT(l->w, nd_out);
	icmp6_output(l, NULL, &all_routers, &p, 255, 0);
}

/* solicited: answers somebody; else to all. */
static void advertise(struct link *l, const struct net_addr *target, const struct net_addr *to)
{
	bool solicited = !net_addr_any(to);
	uint8_t body[24];
	struct pkt p;

	pkt_init(&p);
	icmp_put(pkt_push(&p, ICMP_HLEN), ICMP6_NA, 0, solicited ? 0x60000000 : 0x20000000);
	memcpy(body, target->b, 16);
	put_link_option(&p, body, 16, ND_OPT_TARGET_LL, l->hw);
	WCOUNT(l->w, nd_out);
	icmp6_output(l, target, solicited ? to : &all_nodes, &p, 255, 0);
}

static void solicitation(struct wire *w, const struct ip_in *in)
{
	struct net_addr target;
	struct nd_options o;

	if (in->p.len < 24 || !nd_parse_options(in->p.data + 24, in->p.len - 24, &o))
		return;
	memcpy(target.b, in->p.data + 8, 16);
	if (net_addr_multicast(&target) || !w->up->is_local(w->up_arg, &target))
		return;
	if (net_addr_any(&in->p.src) && o.source_ll)
		return; /* RFC 4861 7.1.1 */
	if (!net_addr_any(&in->p.src) && o.source_ll)
		neigh_learn(in->l, &in->p.src, o.source_ll, true, false, true);
	advertise(in->l, &target, &in->p.src);
}

static void advertisement(const struct ip_in *in)
{
	struct net_addr target;
	struct nd_options o;
	bool solicited, override;

	if (in->p.len < 24 || !nd_parse_options(in->p.data + 24, in->p.len - 24, &o))
		return;
	memcpy(target.b, in->p.data + 8, 16);
	solicited = in->p.data[4] & 0x40;
	override = in->p.data[4] & 0x20;
	if (net_addr_multicast(&target) || (solicited && net_addr_multicast(&in->p.dst)))
		return;
	if (o.target_ll)
		neigh_learn(in->l, &target, o.target_ll, override, solicited, false);
}

/* An address from a /64 prefix and the link's own (RFC 4291 appendix A). */
static struct net_addr eui64(const uint8_t *prefix, const uint8_t *hw)
{
	struct net_addr a;

	memcpy(a.b, prefix, 8);
	a.b[8] = hw[0] ^ 2;
	a.b[9] = hw[1];
	a.b[10] = hw[2];
	a.b[11] = 0xff;
	a.b[12] = 0xfe;
	a.b[13] = hw[3];
	a.b[14] = hw[4];
	a.b[15] = hw[5];
	return a;
}

static void router_advertisement(struct wire *w, const struct ip_in *in)
{
	struct net_addr addr = {0};
	struct nd_options o;
	uint8_t plen = 0;

	if (!net_addr_linklocal6(&in->p.src) || in->p.len < 16 ||
	    !nd_parse_options(in->p.data + 16, in->p.len - 16, &o) || !w->up->autoconf)
		return;
	if (o.source_ll)
		neigh_learn(in->l, &in->p.src, o.source_ll, true, false, true);
	if (o.mtu >= 1280 && o.mtu < __atomic_load_n(&in->l->mtu, __ATOMIC_RELAXED))
		__atomic_store_n(&in->l->mtu, o.mtu, __ATOMIC_RELAXED);
	if (o.prefix && o.prefix[2] == 64 && (o.prefix[3] & 0x40) && get_be32(o.prefix + 4) != 0) {
		addr = eui64(o.prefix + 16, in->l->hw);
		plen = 64;
	}
	w->up->autoconf(w->up_arg, in->l->ifindex, &addr, plen, get_be16(in->p.data + 6) ? &in->p.src : NULL);
}

void nd6_input(struct wire *w, const struct ip_in *in)
{
	WCOUNT(w, nd_in);
	if (in->p.ttl != 255 || in->p.data[1] != 0)
		return; /* from behind a router: forged */
	switch (in->p.data[0]) {
	case ICMP6_NS:
		solicitation(w, in);
		return;
	case ICMP6_NA:
		advertisement(in);
		return;
	case ICMP6_RA:
		router_advertisement(w, in);
		return;
	default:
		return; /* a router's business */
	}
}
