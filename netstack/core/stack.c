/* stack.c: a network stack: its interfaces, addresses and routes, and where a packet to an address goes. A
 * stack whose only interface is the loopback with its usual addresses (lo_only) answers without a lock. */
#include "netstack/internal.h"
#include "platform/base/random.h"

#define LO_INDEX	 1u
#define ARPHRD_LOOPBACK_ 772
#define SCOPE_UNIVERSE	 0
#define SCOPE_HOST	 254
#define SCOPE_LINK	 253
#define RTN_UNICAST_	 1
#define RTN_LOCAL_	 2
#define RTPROT_KERNEL_	 2
#define TABLE_MAIN	 254
#define TABLE_LOCAL	 255
#define ADDRS_MAX	 256u

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

static void update_fast_locked(struct net_stack *st)
{
	struct net_iface *lo = list_first(&st->ifaces, struct net_iface, node);
	struct net_ifaddr *a;
	bool v4 = false, v6 = false, other = lo->node.next != &st->ifaces || !list_empty(&st->routes);
	static const struct net_addr lo6 = {.b = {[15] = 1}};

	list_for_each (a, &st->addrs, node) {
		if (net_addr_is4(&a->info.addr) && a->info.addr.b[12] == 127 && a->info.prefix == 8)
			v4 = true;
		else if (net_addr_eq(&a->info.addr, &lo6))
			v6 = true;
		else
			other = true;
	}
	__atomic_store_n(&st->lo_up, (lo->info.flags & IFF_UP_) != 0, __ATOMIC_RELEASE);
	__atomic_store_n(&st->lo_only, !other && v4 && v6 && (lo->info.flags & IFF_UP_), __ATOMIC_RELEASE);
}

static int add_addr_locked(struct net_stack *st, const struct net_addr_info *info)
{
	struct net_ifaddr *a;
	uint32_t n = 0;

	list_for_each (a, &st->addrs, node) {
		if (net_addr_eq(&a->info.addr, &info->addr) && a->info.if_index == info->if_index)
			return -EEXIST;
		n++;
	}
	if (n >= ADDRS_MAX)
		return -ENOBUFS;
	a = kmalloc(sizeof(*a));
	if (!a)
		return -ENOMEM;
	a->info = *info;
	list_add_tail(&st->addrs, &a->node);
	return 0;
}

/* What bringing the loopback up gives it. */
static int lo_addresses_locked(struct net_stack *st)
{
	struct net_addr_info v4 = {.addr = net_addr4(__builtin_bswap32(0x7f000001)),
				   .prefix = 8,
				   .scope = SCOPE_HOST,
				   .if_index = LO_INDEX,
				   .label = "lo"};
	struct net_addr_info v6 = {
		.addr = {.b = {[15] = 1}}, .prefix = 128, .scope = SCOPE_HOST, .if_index = LO_INDEX};
	int ret = add_addr_locked(st, &v4);

	if (ret < 0 && ret != -EEXIST)
		return ret;
	ret = add_addr_locked(st, &v6);
	return ret == -EEXIST ? 0 : ret;
}

static int make_lo(struct net_stack *st, bool up)
{
	struct net_iface *lo = kmalloc(sizeof(*lo));
	int ret = 0;

	if (!lo)
		return -ENOMEM;
	lo->info = (struct net_if_info){.index = LO_INDEX,
					.flags = IFF_LOOPBACK_,
					.mtu = MTU_LO,
					.type = ARPHRD_LOOPBACK_,
					.name = "lo",
					.hw_len = 6};
	list_add_tail(&st->ifaces, &lo->node);
	if (up) {
		lo->info.flags |= IFF_UP_ | IFF_RUNNING_ | IFF_LOWER_UP_;
		ret = lo_addresses_locked(st);
	}
	update_fast_locked(st);
	return ret;
}

int net_stack_create(const struct net_config *c, struct net_stack **out)
{
	struct net_stack *st = kmalloc(sizeof(*st));
	uint64_t seed[2];

	if (!st)
		return -ENOMEM;
	refs_init(&st->refs);
	rwlock_init(&st->lock, RANK_NET_TABLE);
	mutex_init(&st->socks_lock, RANK_NET_TABLE);
	mutex_init(&st->tw_lock, RANK_NET_POOL);
	list_init(&st->ifaces);
	list_init(&st->addrs);
	list_init(&st->routes);
	list_init(&st->groups);
	list_init(&st->tw);
	random_bytes(seed, sizeof(seed));
	st->key = seed[0];
	st->port_counter = (uint32_t)seed[1];
	st->ping_id = (uint32_t)(seed[1] >> 32);
	for (int i = 0; i < NET_KINDS; i++) {
		list_init(&st->socks[i]);
		if (i == NET_RAW)
			continue;
		st->tables[i] = kmalloc(sizeof(*st->tables[i])); /* zero is an unlocked, empty bucket */
		if (!st->tables[i])
			goto fail;
		for (uint32_t b = 0; b < PORT_BUCKETS; b++)
			mutex_init(&st->tables[i]->buckets[b].lock, RANK_NET_TABLE);
	}
	if (make_lo(st, c->lo_up) < 0)
		goto fail;
	*out = st;
	return 0;
fail:
	net_stack_put(st);
	return -ENOMEM;
}

void net_stack_get(struct net_stack *st)
{
	refs_get(&st->refs);
}

static void free_nodes(struct net_stack *st)
{
	struct net_iface *i, *itmp;
	struct net_ifaddr *a, *atmp;
	struct net_route_entry *r, *rtmp;
	struct net_bind *b, *btmp;
	struct net_group *g, *gtmp;

	list_for_each_safe (g, gtmp, &st->groups, node)
		kfree(g);
	list_for_each_safe (i, itmp, &st->ifaces, node)
		kfree(i);
	list_for_each_safe (a, atmp, &st->addrs, node)
		kfree(a);
	list_for_each_safe (r, rtmp, &st->routes, node)
		kfree(r);
	list_for_each_safe (b, btmp, &st->tw, tw_node)
		kfree(b);
}

void net_stack_put(struct net_stack *st)
{
	if (!refs_put(&st->refs))
		return;
	free_nodes(st);
	for (int i = 0; i < NET_KINDS; i++) {
		for (uint32_t b = 0; st->tables[i] && b < PORT_BUCKETS; b++) {
			struct net_port *p = st->tables[i]->buckets[b].ports, *next;

			for (; p; p = next) { /* of TIME_WAITs alone: sockets hold the stack */
				next = p->next;
				kfree(p);
			}
		}
		kfree(st->tables[i]);
	}
	kfree(st);
}

/* ---- looking at it ---- */

static void fill_if(struct net_stack *st, const struct net_iface *i, struct net_if_info *out)
{
	*out = i->info;
	if (i->info.index == LO_INDEX) {
		out->rx_packets = out->tx_packets = __atomic_load_n(&st->lo_packets, __ATOMIC_RELAXED);
		out->rx_bytes = out->tx_bytes = __atomic_load_n(&st->lo_bytes, __ATOMIC_RELAXED);
	}
}

bool net_if_at(struct net_stack *st, uint32_t n, struct net_if_info *out)
{
	struct net_iface *i;
	bool found = false;

	rwlock_read(&st->lock);
	list_for_each (i, &st->ifaces, node) {
		if (n-- == 0) {
			fill_if(st, i, out);
			found = true;
			break;
		}
	}
	rwlock_read_unlock(&st->lock);
	return found;
}

static struct net_iface *find_if_locked(struct net_stack *st, uint32_t index, const char *name)
{
	struct net_iface *i;

	list_for_each (i, &st->ifaces, node)
		if (name ? strncmp(i->info.name, name, NET_IF_MAX) == 0 : i->info.index == index)
			return i;
	return NULL;
}

bool net_if_find(struct net_stack *st, uint32_t index, const char *name, struct net_if_info *out)
{
	struct net_iface *i;

	rwlock_read(&st->lock);
	i = find_if_locked(st, index, name);
	if (i)
		fill_if(st, i, out);
	rwlock_read_unlock(&st->lock);
	return i != NULL;
}

bool stack_if_exists(struct net_stack *st, uint32_t index)
{
	struct net_if_info unused;

	return net_if_find(st, index, NULL, &unused);
}

bool net_addr_at(struct net_stack *st, uint32_t n, struct net_addr_info *out)
{
	struct net_ifaddr *a;
	bool found = false;

	rwlock_read(&st->lock);
	list_for_each (a, &st->addrs, node) {
		if (n-- == 0) {
			*out = a->info;
			found = true;
			break;
		}
	}
	rwlock_read_unlock(&st->lock);
	return found;
}

/* The local table follows from the addresses; behind it come the routes that were added. */
bool net_route_at(struct net_stack *st, uint32_t n, struct net_route_info *out)
{
	struct net_route_entry *r;
	struct net_ifaddr *a;
	bool found = false;

	rwlock_read(&st->lock);
	list_for_each (a, &st->addrs, node) {
		bool v6 = !net_addr_is4(&a->info.addr);
		uint32_t full = v6 ? 128 : 32,
			 each = a->info.if_index == LO_INDEX && a->info.prefix < full ? 2 : 1;

		if (n >= each) {
			n -= each;
			continue;
		}
		*out = (struct net_route_info){.dst = a->info.addr,
					       .src = a->info.addr,
					       .v6 = v6,
					       .local = true,
					       .prefix = (uint8_t)(n == 0 && each == 2 ? a->info.prefix : full),
					       .scope = v6 ? SCOPE_UNIVERSE : SCOPE_HOST,
					       .type = RTN_LOCAL_,
					       .protocol = RTPROT_KERNEL_,
					       .if_index = a->info.if_index,
					       .table = TABLE_LOCAL};
		if (n == 0 && each == 2)
			for (uint32_t bit = wide(&out->dst, out->prefix); bit < 128; bit++)
				out->dst.b[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
		found = true;
		goto out;
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

/* ---- changing it ---- */

int net_if_set_flags(struct net_stack *st, uint32_t index, uint32_t flags, uint32_t mask)
{
	struct net_iface *i;
	int ret = 0;

	rwlock_write(&st->lock);
	i = find_if_locked(st, index, NULL);
	if (!i) {
		ret = -ENODEV;
	} else if (mask & IFF_UP_) {
		if (flags & IFF_UP_) {
			i->info.flags |= IFF_UP_ | IFF_RUNNING_ | IFF_LOWER_UP_;
			if (i->info.index == LO_INDEX)
				ret = lo_addresses_locked(st);
		} else {
			i->info.flags &= ~(IFF_UP_ | IFF_RUNNING_ | IFF_LOWER_UP_);
		}
		update_fast_locked(st);
	}
	rwlock_write_unlock(&st->lock);
	return ret;
}

int net_if_set_mtu(struct net_stack *st, uint32_t index, uint32_t mtu)
{
	struct net_iface *i;

	if (mtu < 68 || mtu > 0x7fffffff)
		return -EINVAL;
	rwlock_write(&st->lock);
	i = find_if_locked(st, index, NULL);
	if (i)
		i->info.mtu = mtu;
	rwlock_write_unlock(&st->lock);
	return i ? 0 : -ENODEV;
}

int net_addr_add(struct net_stack *st, const struct net_addr_info *a)
{
	int ret;

	if (a->prefix > (net_addr_is4(&a->addr) ? 32 : 128))
		return -EINVAL;
	rwlock_write(&st->lock);
	ret = find_if_locked(st, a->if_index, NULL) ? add_addr_locked(st, a) : -ENODEV;
	update_fast_locked(st);
	rwlock_write_unlock(&st->lock);
	return ret;
}

int net_addr_del(struct net_stack *st, const struct net_addr_info *info)
{
	struct net_ifaddr *a, *tmp;
	int ret = -EADDRNOTAVAIL;

	rwlock_write(&st->lock);
	list_for_each_safe (a, tmp, &st->addrs, node) {
		if (a->info.if_index == info->if_index && net_addr_eq(&a->info.addr, &info->addr)) {
			list_del(&a->node);
			kfree(a);
			ret = 0;
			break;
		}
	}
	update_fast_locked(st);
	rwlock_write_unlock(&st->lock);
	return ret;
}

static bool same_route(const struct net_route_info *a, const struct net_route_info *b)
{
	return a->v6 == b->v6 && a->prefix == b->prefix && a->metric == b->metric &&
	       net_addr_eq(&a->dst, &b->dst);
}

int net_route_add(struct net_stack *st, const struct net_route_info *info)
{
	struct net_route_entry *r;
	uint32_t n = 0;
	int ret = 0;

	rwlock_write(&st->lock);
	list_for_each (r, &st->routes, node) {
		if (same_route(&r->info, info))
			ret = -EEXIST;
		n++;
	}
	if (ret == 0 && !find_if_locked(st, info->if_index, NULL))
		ret = -ENODEV;
	if (ret == 0 && n >= ADDRS_MAX)
		ret = -ENOBUFS;
	r = ret == 0 ? kmalloc(sizeof(*r)) : NULL;
	if (r) {
		r->info = *info;
		if (!r->info.table)
			r->info.table = TABLE_MAIN;
		list_add_tail(&st->routes, &r->node);
		update_fast_locked(st);
	} else if (ret == 0) {
		ret = -ENOMEM;
	}
	rwlock_write_unlock(&st->lock);
	return ret;
}

int net_route_del(struct net_stack *st, const struct net_route_info *info)
{
	struct net_route_entry *r, *tmp;
	int ret = -ESRCH;

	rwlock_write(&st->lock);
	list_for_each_safe (r, tmp, &st->routes, node) {
		if (same_route(&r->info, info)) {
			list_del(&r->node);
			kfree(r);
			ret = 0;
			break;
		}
	}
	update_fast_locked(st);
	rwlock_write_unlock(&st->lock);
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
	*out = (struct route){.ifindex = LO_INDEX, .mtu = MTU_LO, .local = true};
	out->src = net_addr_is4(dst) ? net_addr4(__builtin_bswap32(0x7f000001)) : *dst;
	if (net_addr_is4(dst) && dst->w[3] == __builtin_bswap32(0x7fffffff))
		out->broadcast = true;
}

static bool if_up_locked(struct net_stack *st, uint32_t index)
{
	struct net_iface *i = find_if_locked(st, index, NULL);

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
		bool lo4 = a->info.if_index == LO_INDEX && net_addr_is4(&a->info.addr) && net_addr_is4(dst) &&
			   prefix_match(dst, &a->info.addr, 96u + a->info.prefix);

		if ((!lo4 && !net_addr_eq(&a->info.addr, dst)) || !if_up_locked(st, LO_INDEX))
			continue;
		*out = (struct route){.src = a->info.addr, .ifindex = LO_INDEX, .mtu = MTU_LO, .local = true};
		return true;
	}
	return false;
}

static int find_locked(struct net_stack *st, const struct net_addr *dst, uint32_t oif, struct route *out)
{
	struct net_route_entry *r, *best = NULL;
	bool v4 = net_addr_is4(dst);

	if (!net_addr_multicast(dst) && local_locked(st, dst, out))
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
	*out = (struct route){.mtu = MTU_LO, .multicast = net_addr_multicast(dst)};
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
	out->local = out->ifindex == LO_INDEX;
	return 0;
}

int route_find(struct net_stack *st, const struct net_addr *dst, uint32_t oif, struct route *out)
{
	int ret;

	if (LIKELY(__atomic_load_n(&st->lo_up, __ATOMIC_RELAXED) && is_loopback(dst) && oif <= LO_INDEX)) {
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

void net_counters(struct net_stack *st, struct net_counters *out)
{
	*out = st->counters;
	out->time_wait = __atomic_load_n(&st->tw_count, __ATOMIC_RELAXED);
}
