/* route.c: routes, and where a packet to an address goes. A stack whose only interface is the loopback with its
 * usual addresses (lo_only) answers without a lock. */
#include "netstack/internal.h"

#define SCOPE_UNIVERSE 0
#define SCOPE_HOST     254
#define SCOPE_LINK     253
#define RTN_UNICAST_   1
#define RTN_LOCAL_     2
#define RTN_BROADCAST_ 3
#define RTPROT_KERNEL_ 2
#define TABLE_MAIN     254
#define TABLE_LOCAL    255

static bool prefix_match(const struct net_addr *a, const struct net_addr *b, uint32_t bits)
{
	uint32_t whole = bits / 8, rest = bits % 8;

	if (memcmp(a->b, b->b, whole) != 0)
		return false;
	return !rest || ((a->b[whole] ^ b->b[whole]) >> (8 - rest)) == 0;
}

/* Prefix lengths are of the family; addresses are all 128 bits long. */
static uint32_t wide(const struct net_addr *a, uint32_t prefix)
{
	return net_addr_is4(a) ? prefix + 96 : prefix;
}

/* a with the bits behind its prefix cleared, or set. */
static struct net_addr masked(const struct net_addr *a, uint32_t prefix, bool ones)
{
	struct net_addr m = *a;

	for (uint32_t bit = wide(a, prefix); bit < 128; bit++) {
		if (ones)
			m.b[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
		else
			m.b[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
	}
	return m;
}

/* The n-th entry of the local table that an address is the reason for: its prefix if it is the loopback's,
 * itself, and its broadcast address. Returns how many there are. */
static uint32_t local_route(const struct net_addr_info *a, uint32_t n, struct net_route_info *out)
{
	bool v6 = !net_addr_is4(&a->addr);
	uint8_t full = v6 ? 128 : 32;
	uint32_t prefixes = a->if_index == NET_LO_INDEX && a->prefix < full, broadcasts = !v6 && a->prefix < 31;

	*out = (struct net_route_info){.dst = a->addr,
				       .src = a->addr,
				       .v6 = v6,
				       .local = true,
				       .prefix = full,
				       .scope = v6 ? SCOPE_UNIVERSE : SCOPE_HOST,
				       .type = RTN_LOCAL_,
				       .protocol = RTPROT_KERNEL_,
				       .if_index = a->if_index,
				       .table = TABLE_LOCAL};
	if (prefixes && n == 0) {
		out->dst = masked(&a->addr, a->prefix, false);
		out->prefix = a->prefix;
	} else if (n == prefixes + 1) {
		out->dst = masked(&a->addr, a->prefix, true);
		out->type = RTN_BROADCAST_;
		out->scope = SCOPE_LINK;
	}
	return prefixes + 1 + broadcasts;
}

bool net_route_at(struct net_stack *st, uint32_t n, struct net_route_info *out)
{
	struct net_route_entry *r;
	struct net_ifaddr *a;
	bool found = false;

	rwlock_read(&st->lock);
	list_for_each (a, &st->addrs, node) {
		uint32_t count = local_route(&a->info, n, out);

		if (n < count) {
			found = true;
			goto out;
		}
		n -= count;
	}
	list_for_each (r, &st->routes, node) {
		if (n-- == 0) {
			*out = r->info;
			found = true;
			break;
		}
	}
out:
	rwlock_read_unlock(&st->lock);
	return found;
}

static bool same_route(const struct net_route_info *a, const struct net_route_info *b)
{
	return a->v6 == b->v6 && a->prefix == b->prefix && a->metric == b->metric &&
	       net_addr_eq(&a->dst, &b->dst);
}

/* The route to the neighbours that an address on a link (not the loopback) brings with it. */
bool route_of_addr(const struct net_addr_info *a, struct net_route_info *out)
{
	bool v6 = !net_addr_is4(&a->addr);

	if (a->if_index == NET_LO_INDEX || a->prefix >= (v6 ? 128 : 32))
		return false;
	*out = (struct net_route_info){.dst = masked(&a->addr, a->prefix, false),
				       .src = a->addr,
				       .v6 = v6,
				       .prefix = a->prefix,
				       .scope = v6 ? SCOPE_UNIVERSE : SCOPE_LINK,
				       .type = RTN_UNICAST_,
				       .protocol = RTPROT_KERNEL_,
				       .if_index = a->if_index,
				       .metric = v6 ? 256 : 0,
				       .table = TABLE_MAIN};
	return true;
}

int net_route_add(struct net_stack *st, const struct net_route_info *info)
{
	struct net_event e = {.what = NET_EVENT_ROUTE};
	struct net_route_entry *r;
	uint32_t n = 0;
	int ret = 0;

	rwlock_write(&st->lock);
	list_for_each (r, &st->routes, node) {
		if (same_route(&r->info, info))
			ret = -EEXIST;
		n++;
	}
	if (ret == 0 && !stack_if_locked(st, info->if_index, NULL))
		ret = -ENODEV;
	if (ret == 0 && n >= NET_ADDRS_MAX)
		ret = -ENOBUFS;
	r = ret == 0 ? kmalloc(sizeof(*r)) : NULL;
	if (r) {
		r->info = *info;
		if (!r->info.table)
			r->info.table = TABLE_MAIN;
		e.route = r->info;
		list_add_tail(&st->routes, &r->node);
		stack_update_locked(st);
	} else if (ret == 0) {
		ret = -ENOMEM;
	}
	rwlock_write_unlock(&st->lock);
	if (ret == 0)
		stack_tell(st, &e);
	return ret;
}

int net_route_del(struct net_stack *st, const struct net_route_info *info)
{
	struct net_event e = {.what = NET_EVENT_ROUTE, .gone = true};
	struct net_route_entry *r, *tmp;
	int ret = -ESRCH;

	rwlock_write(&st->lock);
	list_for_each_safe (r, tmp, &st->routes, node) {
		if (same_route(&r->info, info) && (!info->if_index || info->if_index == r->info.if_index) &&
		    (!info->has_gateway || net_addr_eq(&info->gateway, &r->info.gateway))) {
			e.route = r->info;
			list_del(&r->node);
			kfree(r);
			ret = 0;
			break;
		}
	}
	stack_update_locked(st);
	rwlock_write_unlock(&st->lock);
	if (ret == 0)
		stack_tell(st, &e);
	return ret;
}

/* ---- routing ---- */

void addr_fix_dst(struct net_addr *a)
{
	if (!net_addr_any(a))
		return;
	if (net_addr_is4(a))
		*a = net_addr4(__builtin_bswap32(0x7f000001));
	else
		a->b[15] = 1;
}

static bool is_loopback(const struct net_addr *a)
{
	static const struct net_addr lo6 = {.b = {[15] = 1}};

	return net_addr_is4(a) ? a->b[12] == 127 : net_addr_eq(a, &lo6);
}

static void lo_route(const struct net_addr *dst, struct route *out)
{
	*out = (struct route){.ifindex = NET_LO_INDEX, .mtu = MTU_LO, .local = true};
	out->src = net_addr_is4(dst) ? net_addr4(__builtin_bswap32(0x7f000001)) : *dst;
	if (net_addr_is4(dst) && dst->w[3] == __builtin_bswap32(0x7fffffff))
		out->broadcast = true;
}

static bool if_up_locked(struct net_stack *st, uint32_t index)
{
	struct net_iface *i = stack_if_locked(st, index, NULL);

	return i && (i->info.flags & IFF_UP_);
}

/* The source for packets that leave by an interface. */
static bool source_on_locked(struct net_stack *st, uint32_t index, bool v4, struct net_addr *out)
{
	struct net_ifaddr *a;

	list_for_each (a, &st->addrs, node) {
		if (a->info.if_index == index && net_addr_is4(&a->info.addr) == v4) {
			*out = a->info.addr;
			return true;
		}
	}
	return false;
}

static bool local_locked(struct net_stack *st, const struct net_addr *dst, struct route *out)
{
	struct net_ifaddr *a;

	list_for_each (a, &st->addrs, node) {
		bool lo4 = a->info.if_index == NET_LO_INDEX && net_addr_is4(&a->info.addr) &&
			   net_addr_is4(dst) && prefix_match(dst, &a->info.addr, 96u + a->info.prefix);

		if ((!lo4 && !net_addr_eq(&a->info.addr, dst)) || !if_up_locked(st, a->info.if_index))
			continue;
		*out = (struct route){
			.src = a->info.addr, .ifindex = NET_LO_INDEX, .mtu = MTU_LO, .local = true};
		return true;
	}
	return false;
}

/* 255.255.255.255, and the broadcast address of one of the interface's prefixes. */
static bool broadcast_locked(struct net_stack *st, const struct net_addr *dst, uint32_t index)
{
	struct net_ifaddr *a;

	if (dst->w[3] == UINT32_MAX)
		return true;
	list_for_each (a, &st->addrs, node) {
		struct net_addr last = masked(&a->info.addr, a->info.prefix, true);

		if (a->info.if_index == index && net_addr_is4(&a->info.addr) && a->info.prefix < 31 &&
		    net_addr_eq(&last, dst))
			return true;
	}
	return false;
}

static int find_locked(struct net_stack *st, const struct net_addr *dst, uint32_t oif, struct route *out)
{
	struct net_route_entry *r, *best = NULL;
	bool v4 = net_addr_is4(dst);

	if (!net_addr_multicast(dst) && local_locked(st, dst, out) &&
	    (LIKELY(net_addr_any(&st->resolver)) || !net_addr_eq(&st->resolver, dst)))
		return 0;
	list_for_each (r, &st->routes, node) {
		if (r->info.v6 == v4 || (oif && r->info.if_index != oif) ||
		    !if_up_locked(st, r->info.if_index) ||
		    !prefix_match(dst, &r->info.dst, wide(&r->info.dst, r->info.prefix)))
			continue;
		if (!best || r->info.prefix > best->info.prefix ||
		    (r->info.prefix == best->info.prefix && r->info.metric < best->info.metric))
			best = r;
	}
	*out = (struct route){.multicast = net_addr_multicast(dst)};
	if (best && best->info.has_gateway) {
		out->has_gateway = true;
		out->gateway = best->info.gateway;
	}
	if (best)
		out->ifindex = best->info.if_index;
	else if (oif && if_up_locked(st, oif) && (out->multicast || v4 || net_addr_linklocal6(dst)))
		out->ifindex = oif; /* on the link, as SO_BINDTODEVICE and multicast interfaces say */
	else
		return -ENETUNREACH;
	if (best && !net_addr_any(&best->info.src))
		out->src = best->info.src;
	else if (!source_on_locked(st, out->ifindex, v4, &out->src))
		return v4 ? -ENETUNREACH : -EADDRNOTAVAIL;
	out->local = out->ifindex == NET_LO_INDEX;
	out->mtu = stack_if_locked(st, out->ifindex, NULL)->info.mtu;
	out->broadcast = v4 && broadcast_locked(st, dst, out->ifindex);
	return 0;
}

int route_find(struct net_stack *st, const struct net_addr *dst, uint32_t oif, struct route *out)
{
	int ret;

	if (LIKELY(__atomic_load_n(&st->lo_up, __ATOMIC_RELAXED) && is_loopback(dst) && oif <= NET_LO_INDEX)) {
		if (LIKELY(__atomic_load_n(&st->lo_only, __ATOMIC_RELAXED))) {
			lo_route(dst, out);
			return 0;
		}
	}
	rwlock_read(&st->lock);
	ret = find_locked(st, dst, oif, out);
	rwlock_read_unlock(&st->lock);
	return ret;
}

int net_route_get(struct net_stack *st, const struct net_addr *dst, uint32_t oif, struct net_route_info *out)
{
	struct route r;
	int ret = route_find(st, dst, oif, &r);

	if (ret < 0)
		return ret;
	*out = (struct net_route_info){.dst = *dst,
				       .src = r.src,
				       .v6 = !net_addr_is4(dst),
				       .local = r.local,
				       .prefix = net_addr_is4(dst) ? 32 : 128,
				       .scope = SCOPE_UNIVERSE,
				       .type = r.local ? RTN_LOCAL_ : RTN_UNICAST_,
				       .if_index = r.ifindex,
				       .table = r.local ? TABLE_LOCAL : TABLE_MAIN};
	return 0;
}

bool net_addr_is_local(struct net_stack *st, const struct net_addr *a)
{
	struct route r;
	bool found;

	if (net_addr_multicast(a))
		return false;
	if (__atomic_load_n(&st->lo_only, __ATOMIC_RELAXED))
		return is_loopback(a);
	rwlock_read(&st->lock);
	found = local_locked(st, a, &r);
	rwlock_read_unlock(&st->lock);
	return found;
}

int addr_check_bind(struct net_stack *st, const struct net_sock *sk, const struct net_addr *a)
{
	if (net_addr_any(a) || sk->opts.freebind || sk->opts.transparent)
		return 0;
	if (net_addr_multicast(a))
		return sk->kind == NET_TCP ? -EADDRNOTAVAIL : 0;
	if (net_addr_is4(a) && a->w[3] == 0xffffffff)
		return sk->kind == NET_TCP ? -EADDRNOTAVAIL : 0;
	return net_addr_is_local(st, a) ? 0 : -EADDRNOTAVAIL;
}
