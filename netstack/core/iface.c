/* iface.c: interfaces that come, go, change their names and their masters while the stack is in use, and who is
 * told of it. */
#include "netstack/core/attach.h"
#include "netstack/link/virt.h"

#define SCOPE_LINK   253
#define TABLE_LOCAL_ 255

void net_set_watch(struct net_stack *st, void (*fn)(struct net_stack *st, const struct net_event *e))
{
	__atomic_store_n(&st->watch, fn, __ATOMIC_RELEASE);
}

void stack_tell(struct net_stack *st, const struct net_event *e)
{
	void (*fn)(struct net_stack *, const struct net_event *) =
		__atomic_load_n(&st->watch, __ATOMIC_ACQUIRE);

	if (fn)
		fn(st, e);
}

void stack_tell_if(struct net_stack *st, uint32_t index)
{
	struct net_event e = {.what = NET_EVENT_LINK};

	if (net_if_find(st, index, NULL, &e.link))
		stack_tell(st, &e);
}

struct link *stack_link(struct net_stack *st, uint32_t index)
{
	struct wire *w = __atomic_load_n(&st->wire_priv, __ATOMIC_ACQUIRE);

	return w && index ? wire_link(w, index) : NULL;
}

/* What only the link knows of an interface. */
void stack_fill_link(struct net_stack *st, struct net_if_info *i)
{
	struct link *l = stack_link(st, i->index), *master;
	struct net_stack *other = NULL;
	bool up = false;

	if (!l)
		return;
	i->rx_packets = __atomic_load_n(&l->rx_packets, __ATOMIC_RELAXED);
	i->rx_bytes = __atomic_load_n(&l->rx_bytes, __ATOMIC_RELAXED);
	i->tx_packets = __atomic_load_n(&l->tx_packets, __ATOMIC_RELAXED);
	i->tx_bytes = __atomic_load_n(&l->tx_bytes, __ATOMIC_RELAXED);
	i->rx_dropped = __atomic_load_n(&l->rx_dropped, __ATOMIC_RELAXED);
	i->tx_dropped = __atomic_load_n(&l->tx_dropped, __ATOMIC_RELAXED);
	master = __atomic_load_n(&l->master, __ATOMIC_ACQUIRE);
	i->master = master ? master->ifindex : 0;
	strncpy(i->kind, link_kind(l), sizeof(i->kind) - 1);
	if (strcmp(i->kind, "veth") == 0) {
		i->peer = link_peer(l, false, &other, &up);
		i->peer_here = other == st;
		if (!up)
			i->flags &= ~(IFF_RUNNING_ | IFF_LOWER_UP_);
	}
}

static void link_local_address(const uint8_t *hw, struct net_addr *out)
{
	*out = (struct net_addr){.b = {0xfe, 0x80}};
	memcpy(out->b + 8, hw, 3);
	out->b[8] ^= 2;
	out->b[11] = 0xff;
	out->b[12] = 0xfe;
	memcpy(out->b + 13, hw + 3, 3);
}

/* Routes to neighbours are there while their interface is up; all of its routes go when it goes down. */
void stack_if_went_down(struct net_stack *st, uint32_t index)
{
	struct net_route_info r;
	uint32_t n = 0;

	while (net_route_at(st, n, &r)) {
		if (r.table == TABLE_LOCAL_ || r.if_index != index || net_route_del(st, &r) < 0)
			n++;
	}
}

/* And it gets its link-local address (RFC 4862 section 5.3). */
void stack_if_went_up(struct net_stack *st, uint32_t index)
{
	struct link *l = stack_link(st, index);
	struct net_addr_info a = {.prefix = 64, .scope = SCOPE_LINK, .if_index = index}, has;
	struct net_route_info r;

	for (uint32_t n = 0; net_addr_at(st, n, &has); n++)
		if (has.if_index == index && route_of_addr(&has, &r))
			(void)!net_route_add(st, &r); /* it may stand there already */
	if (!l || !link_is_virtual(l) || !(l->features & LINK_ETHER) ||
	    __atomic_load_n(&l->master, __ATOMIC_ACQUIRE))
		return;
	link_local_address(l->hw, &a.addr);
	(void)!net_addr_add(st, &a); /* it may have it */
}

bool if_name_ok(const char *name)
{
	if (!name[0] || strnlen(name, NET_IF_MAX) >= NET_IF_MAX || strcmp(name, ".") == 0 ||
	    strcmp(name, "..") == 0)
		return false;
	for (const char *c = name; *c; c++)
		if (*c == '/' || *c == ':' || *c == ' ' || (*c >= '\t' && *c <= '\r'))
			return false;
	return true;
}

int net_if_rename(struct net_stack *st, uint32_t index, const char *name)
{
	struct net_iface *i;
	struct net_ifaddr *a;
	int ret = 0;

	if (!if_name_ok(name))
		return -EINVAL;
	rwlock_write(&st->lock);
	i = stack_if_locked(st, index, NULL);
	if (!i)
		ret = -ENODEV;
	else if (strcmp(i->info.name, name) != 0 && stack_if_locked(st, 0, name))
		ret = -EEXIST;
	if (ret == 0) {
		memset(i->info.name, 0, NET_IF_MAX);
		strncpy(i->info.name, name, NET_IF_MAX - 1);
		list_for_each (a, &st->addrs, node)
			if (a->info.if_index == index && a->info.label[0])
				memcpy(a->info.label, i->info.name, NET_IF_MAX);
	}
	rwlock_write_unlock(&st->lock);
	if (ret == 0)
		stack_tell_if(st, index);
	return ret;
}

int net_if_set_hw(struct net_stack *st, uint32_t index, const uint8_t *hw)
{
	struct link *l = stack_link(st, index);
	struct net_iface *i;

	if (!l || !link_is_virtual(l))
		return -EOPNOTSUPP;
	if (eth_is_multicast(hw))
		return -EADDRNOTAVAIL;
	rwlock_write(&st->lock);
	i = stack_if_locked(st, index, NULL);
	if (i) {
		memcpy(i->info.hw, hw, ETH_ALEN);
		memcpy(l->hw, hw, ETH_ALEN);
	}
	rwlock_write_unlock(&st->lock);
	if (i)
		stack_tell_if(st, index);
	return i ? 0 : -ENODEV;
}

int net_if_set_master(struct net_stack *st, uint32_t index, uint32_t master)
{
	struct link *l = stack_link(st, index), *m = master ? stack_link(st, master) : NULL;

	if (!l)
		return -EOPNOTSUPP;
	if (master && (!m || strcmp(link_kind(m), "bridge") != 0))
		return m ? -EOPNOTSUPP : -EINVAL;
	if (m == l || (m && strcmp(link_kind(l), "bridge") == 0))
		return -ELOOP;
	if (m && l->master)
		return -EBUSY;
	__atomic_store_n(&l->master, m, __ATOMIC_RELEASE);
	stack_tell_if(st, index);
	return 0;
}

/* Its addresses and routes go, and it is no longer in the list. */
static int unlist(struct net_stack *st, uint32_t index, struct net_if_info *was)
{
	struct net_route_entry *r, *rtmp;
	struct net_ifaddr *a, *atmp;
	struct net_iface *i;

	rwlock_write(&st->lock);
	i = stack_if_locked(st, index, NULL);
	if (i) {
		*was = i->info;
		list_for_each_safe (a, atmp, &st->addrs, node) {
			if (a->info.if_index == index) {
				list_del(&a->node);
				kfree(a);
			}
		}
		list_for_each_safe (r, rtmp, &st->routes, node) {
			if (r->info.if_index == index) {
				list_del(&r->node);
				kfree(r);
			}
		}
		list_del(&i->node);
		kfree(i);
		stack_update_locked(st);
	}
	rwlock_write_unlock(&st->lock);
	return i ? 0 : -ENODEV;
}

static void drop_ports(struct net_stack *st, const struct link *bridge)
{
	struct wire *w = st->wire_priv;

	for (uint32_t n = 0; n < WIRE_LINKS && w->links[n]; n++)
		if (w->links[n]->master == bridge)
			__atomic_store_n(&w->links[n]->master, NULL, __ATOMIC_RELEASE);
}

static int remove_if(struct net_stack *st, uint32_t index)
{
	struct net_event e = {.what = NET_EVENT_LINK, .gone = true};
	struct link *l = stack_link(st, index);
	int ret;

	if (!l || !link_is_virtual(l))
		return -EOPNOTSUPP;
	ret = unlist(st, index, &e.link);
	if (ret < 0)
		return ret;
	drop_ports(st, l);
	neigh_drop_link(l->w, index);
	__atomic_store_n(&l->up, false, __ATOMIC_RELEASE);
	__atomic_store_n(&l->master, NULL, __ATOMIC_RELEASE);
	__atomic_store_n(&l->ifindex, 0, __ATOMIC_RELEASE);
	e.link.flags &= ~IFF_UP_;
	stack_tell(st, &e);
	return 0;
}

/* A veth's other end goes with it; deleting the other end's stack's interface needs a reference to that stack.
 */
int net_if_del(struct net_stack *st, uint32_t index)
{
	struct link *l = stack_link(st, index);
	struct net_stack *other = NULL;
	uint32_t peer = 0;
	bool up;
	int ret;

	if (l && strcmp(link_kind(l), "veth") == 0)
		peer = link_peer(l, true, &other, &up);
	ret = remove_if(st, index);
	if (ret == 0)
		link_dead(l);
	if (peer) {
		l = ret == 0 ? stack_link(other, peer) : NULL;
		if (l && remove_if(other, peer) == 0)
			link_dead(l);
		net_stack_put(other);
	}
	return ret;
}

int net_if_move(struct net_stack *st, uint32_t index, struct net_stack *to, const char *name)
{
	struct link *l = stack_link(st, index);
	struct net_if_info info;
	uint32_t fresh;
	int ret;

	if (!l || !link_is_virtual(l) || strcmp(link_kind(l), "bridge") == 0)
		return -EINVAL;
	if (st == to)
		return 0;
	if (net_if_find(to, 0, name, &info))
		return -EEXIST;
	ret = remove_if(st, index);
	return ret < 0 ? ret : link_move(l, to, name, &fresh);
}

/* A name for a pattern such as "veth%d". -ENFILE: all are taken */
int net_if_free_name(struct net_stack *st, const char *pattern, char *out)
{
	struct net_if_info info;
	size_t len = strnlen(pattern, NET_IF_MAX);

	if (len < 2 || len + 2 > NET_IF_MAX || strcmp(pattern + len - 2, "%d") != 0)
		return -EINVAL;
	for (uint32_t n = 0; n < 100; n++) {
		memset(out, 0, NET_IF_MAX);
		memcpy(out, pattern, len - 2);
		if (n >= 10)
			out[len - 2] = (char)('0' + n / 10);
		out[len - 2 + (n >= 10)] = (char)('0' + n % 10);
		if (!net_if_find(st, 0, out, &info))
			return 0;
	}
	return -ENFILE;
}
