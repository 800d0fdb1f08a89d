/* multicast.c: who has joined which group on which interface (IP_ADD_MEMBERSHIP, IPV6_JOIN_GROUP). A stack
 * counts the members of each group, so that the wire can tell routers. */
#include "netstack/internal.h"

static bool same(const struct net_member *m, const struct net_addr *group, uint32_t ifindex)
{
	return net_addr_eq(&m->group, group) && (!ifindex || m->ifindex == ifindex);
}

static struct net_group *find_locked(struct net_stack *st, const struct net_addr *group, uint32_t ifindex)
{
	struct net_group *g;

	list_for_each (g, &st->groups, node)
		if (g->ifindex == ifindex && net_addr_eq(&g->addr, group))
			return g;
	return NULL;
}

static int count_in(struct net_stack *st, const struct net_addr *group, uint32_t ifindex)
{
	struct net_group *g;
	bool first = false;

	rwlock_write(&st->lock);
	g = find_locked(st, group, ifindex);
	if (!g) {
		g = kmalloc(sizeof(*g));
		if (g) {
			g->addr = *group;
			g->ifindex = ifindex;
			list_add_tail(&st->groups, &g->node);
			first = true;
		}
	}
	if (g)
		g->count++;
	rwlock_write_unlock(&st->lock);
	if (first && st->wire && st->wire->membership)
		st->wire->membership(st, group, ifindex, true);
	return g ? 0 : -ENOMEM;
}

static void count_out(struct net_stack *st, const struct net_addr *group, uint32_t ifindex)
{
	struct net_group *g;
	bool last = false;

	rwlock_write(&st->lock);
	g = find_locked(st, group, ifindex);
	if (g && --g->count == 0) {
		list_del(&g->node);
		kfree(g);
		last = true;
	}
	rwlock_write_unlock(&st->lock);
	if (last && st->wire && st->wire->membership)
		st->wire->membership(st, group, ifindex, false);
}

/* 224.0.0.1 and ff01::1, ff02::1: every node, always */
static bool all_nodes(const struct net_addr *a)
{
	static const uint8_t all6[13] = {0};

	if (net_addr_is4(a))
		return a->w[3] == __builtin_bswap32(0xe0000001);
	return (a->b[1] == 1 || a->b[1] == 2) && memcmp(a->b + 2, all6, 13) == 0 && a->b[15] == 1;
}

bool group_joined(struct net_stack *st, const struct net_addr *group, uint32_t ifindex)
{
	bool found;

	if (all_nodes(group))
		return true;
	rwlock_read(&st->lock);
	found = find_locked(st, group, ifindex) != NULL;
	rwlock_read_unlock(&st->lock);
	return found;
}

/* Called with sk->lock held. */
bool dgram_is_member(struct net_sock *sk, const struct net_addr *group, uint32_t ifindex)
{
	struct net_member *m;

	list_for_each (m, &dgram_of(sk)->members, node)
		if (same(m, group, ifindex))
			return true;
	return false;
}

/* Interface 0: where a packet to the group would go; without a route, as Linux: no such device. */
static int choose_if(struct net_stack *st, const struct net_addr *group, uint32_t *index)
{
	struct route r;

	if (*index)
		return stack_if_exists(st, *index) ? 0 : -ENODEV;
	if (route_find(st, group, 0, &r) < 0) {
		if (net_addr_is4(group) || !stack_if_exists(st, 1))
			return -ENODEV;
		*index = 1; /* the first interface, when nothing is routed */
		return 0;
	}
	*index = r.ifindex;
	return 0;
}

int net_join(struct net_sock *sk, const struct net_addr *group, uint32_t if_index)
{
	struct dgram_sock *d = dgram_of(sk);
	struct net_member *m;
	int ret;

	if (sk->kind == NET_TCP || !net_addr_multicast(group))
		return -EINVAL;
	ret = choose_if(sk->st, group, &if_index);
	if (ret < 0)
		return ret;
	m = kmalloc(sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->group = *group;
	m->ifindex = if_index;
	ret = count_in(sk->st, group, if_index);
	if (ret < 0) {
		kfree(m);
		return ret;
	}
	mutex_lock(&sk->lock);
	if (dgram_is_member(sk, group, if_index))
		ret = -EADDRINUSE;
	else if (d->member_count >= MEMBERS_MAX)
		ret = -ENOBUFS;
	if (ret == 0) {
		list_add_tail(&d->members, &m->node);
		d->member_count++;
	}
	mutex_unlock(&sk->lock);
	if (ret < 0) {
		count_out(sk->st, group, if_index);
		kfree(m);
	}
	return ret;
}

int net_leave(struct net_sock *sk, const struct net_addr *group, uint32_t if_index)
{
	struct dgram_sock *d = dgram_of(sk);
	struct net_member *m, *found = NULL;

	if (sk->kind == NET_TCP || !net_addr_multicast(group))
		return -EINVAL;
	mutex_lock(&sk->lock);
	list_for_each (m, &d->members, node) {
		if (same(m, group, if_index)) {
			found = m;
			break;
		}
	}
	if (found) {
		list_del(&found->node);
		d->member_count--;
	}
	mutex_unlock(&sk->lock);
	if (!found)
		return -EADDRNOTAVAIL;
	count_out(sk->st, &found->group, found->ifindex);
	kfree(found);
	return 0;
}

void dgram_leave_all(struct net_sock *sk)
{
	struct dgram_sock *d = dgram_of(sk);
	struct net_member *m;

	for (;;) {
		mutex_lock(&sk->lock);
		m = list_first(&d->members, struct net_member, node);
		if (m)
			list_del(&m->node);
		mutex_unlock(&sk->lock);
		if (!m)
			return;
		count_out(sk->st, &m->group, m->ifindex);
		kfree(m);
	}
}
