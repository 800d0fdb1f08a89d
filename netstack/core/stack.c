/* stack.c: a network stack: its interfaces, addresses and routes, what is there of them and
 * how it changes. */
#include "netstack/core/attach.h"
#include "platform/base/random.h"

#define ARPHRD_LOOPBACK_ 772
#define SCOPE_HOST	 254

void stack_update_locked(struct net_stack *st)
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
	if (n >= NET_ADDRS_MAX)
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
				   .if_index = NET_LO_INDEX,
				   .label = "lo"};
	struct net_addr_info v6 = {
		.addr = {.b = {[15] = 1}}, .prefix = 128, .scope = SCOPE_HOST, .if_index = NET_LO_INDEX};
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
	lo->info = (struct net_if_info){.index = NET_LO_INDEX,
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
	stack_update_locked(st);
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
	mutex_init(&st->wire_lock, RANK_NET_POOL);
	mutex_init(&st->tap_lock, RANK_NET_TAPS);
	st->last_index = NET_LO_INDEX;
	list_init(&st->taps);
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
	if (st->wire_priv || st->nat)
		stack_wire_destroy(st);
	if (st->release)
		st->release(st->kick_arg);
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
	if (i->info.index == NET_LO_INDEX) {
		out->rx_packets = out->tx_packets = __atomic_load_n(&st->lo_packets, __ATOMIC_RELAXED);
		out->rx_bytes = out->tx_bytes = __atomic_load_n(&st->lo_bytes, __ATOMIC_RELAXED);
	} else {
		stack_fill_link(st, out);
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

struct net_iface *stack_if_locked(struct net_stack *st, uint32_t index, const char *name)
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
	i = stack_if_locked(st, index, name);
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

/* ---- changing it ---- */

int net_if_set_flags(struct net_stack *st, uint32_t index, uint32_t flags, uint32_t mask)
{
	struct link *l = stack_link(st, index);
	struct net_iface *i;
	bool changed = false;
	int ret = 0;

	rwlock_write(&st->lock);
	i = stack_if_locked(st, index, NULL);
	if (!i) {
		ret = -ENODEV;
	} else if (mask & IFF_UP_) {
		changed = ((flags ^ i->info.flags) & IFF_UP_) != 0;
		if (l)
			__atomic_store_n(&l->up, (flags & IFF_UP_) != 0, __ATOMIC_RELEASE);
		if (flags & IFF_UP_) {
			i->info.flags |= IFF_UP_ | IFF_RUNNING_ | IFF_LOWER_UP_;
			if (i->info.index == NET_LO_INDEX)
				ret = lo_addresses_locked(st);
		} else {
			i->info.flags &= ~(IFF_UP_ | IFF_RUNNING_ | IFF_LOWER_UP_);
		}
		stack_update_locked(st);
	}
	rwlock_write_unlock(&st->lock);
	if (changed) {
		stack_tell_if(st, index);
		if (flags & IFF_UP_)
			stack_if_went_up(st, index);
		else
			stack_if_went_down(st, index);
	}
	return ret;
}

void net_if_promiscuous(struct net_stack *st, uint32_t index, int delta)
{
	struct net_iface *i;

	rwlock_write(&st->lock);
	i = stack_if_locked(st, index, NULL);
	if (i) {
		i->info.promiscuity += (uint32_t)delta;
		if (i->info.promiscuity)
			i->info.flags |= IFF_PROMISC_;
		else
			i->info.flags &= ~IFF_PROMISC_;
	}
	rwlock_write_unlock(&st->lock);
}

int net_if_set_mtu(struct net_stack *st, uint32_t index, uint32_t mtu)
{
	struct link *l = stack_link(st, index);
	struct net_iface *i;

	if (mtu < (l ? 68u : 1u) || mtu > (l ? 65535u : 0x7fffffffu))
		return -EINVAL;
	rwlock_write(&st->lock);
	i = stack_if_locked(st, index, NULL);
	if (i)
		i->info.mtu = mtu;
	if (i && l)
		__atomic_store_n(&l->mtu, mtu, __ATOMIC_RELAXED);
	rwlock_write_unlock(&st->lock);
	if (i)
		stack_tell_if(st, index);
	return i ? 0 : -ENODEV;
}

static bool if_is_up(struct net_stack *st, uint32_t index)
{
	struct net_if_info i;

	return net_if_find(st, index, NULL, &i) && (i.flags & IFF_UP_);
}

int net_addr_add(struct net_stack *st, const struct net_addr_info *a)
{
	struct net_event e = {.what = NET_EVENT_ADDR};
	struct net_route_info r;
	int ret;

	if (a->prefix > (net_addr_is4(&a->addr) ? 32 : 128))
		return -EINVAL;
	rwlock_write(&st->lock);
	ret = stack_if_locked(st, a->if_index, NULL) ? add_addr_locked(st, a) : -ENODEV;
	stack_update_locked(st);
	rwlock_write_unlock(&st->lock);
	if (ret < 0)
		return ret;
	e.addr = *a;
	stack_tell(st, &e);
	if (if_is_up(st, a->if_index) && route_of_addr(a, &r))
		(void)!net_route_add(st, &r); /* it may stand there already */
	return 0;
}

int net_addr_del(struct net_stack *st, const struct net_addr_info *info)
{
	struct net_event e = {.what = NET_EVENT_ADDR, .gone = true};
	struct net_ifaddr *a, *tmp;
	struct net_route_info r;
	int ret = -EADDRNOTAVAIL;

	rwlock_write(&st->lock);
	list_for_each_safe (a, tmp, &st->addrs, node) {
		if (a->info.if_index == info->if_index && net_addr_eq(&a->info.addr, &info->addr)) {
			ret = route_of_addr(&a->info, &r) ? 1 : 0;
			e.addr = a->info;
			list_del(&a->node);
			kfree(a);
			break;
		}
	}
	stack_update_locked(st);
	rwlock_write_unlock(&st->lock);
	if (ret >= 0)
		stack_tell(st, &e);
	if (ret == 1)
		(void)!net_route_del(st, &r);
	return MIN(ret, 0);
}

void net_counters(struct net_stack *st, struct net_counters *out)
{
	*out = st->counters;
	out->time_wait = __atomic_load_n(&st->tw_count, __ATOMIC_RELAXED);
}
