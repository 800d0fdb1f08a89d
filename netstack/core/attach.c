/* attach.c: where the two halves of a stack meet for everything but TCP connections (transport/tcp_join.c):
 * links of the embedder become interfaces, arriving datagrams go up, datagrams of sockets go down. */
#include "netstack/core/attach.h"

#include "netstack/link/virt.h"
#include "netstack/proto/icmp.h"
#include "netstack/proto/udp.h"
#include "platform/base/clock.h"

#define IFF_BROADCAST_ 0x2u
#define IFF_NOARP_     0x80u
#define IFF_MULTICAST_ 0x1000u
#define ARPHRD_ETHER_  1
#define ARPHRD_NONE_   0xfffe

static int up_route(void *arg, const struct net_addr *dst, uint32_t oif, struct route *out)
{
	return route_find(arg, dst, oif, out);
}

static bool up_is_local(void *arg, const struct net_addr *a)
{
	return net_addr_is_local(arg, a);
}

static bool up_source(void *arg, uint32_t ifindex, bool v4, struct net_addr *out)
{
	struct net_stack *st = arg;
	struct net_ifaddr *a;
	bool found = false;

	rwlock_read(&st->lock);
	list_for_each (a, &st->addrs, node) {
		if (a->info.if_index != ifindex || net_addr_is4(&a->info.addr) != v4)
			continue;
		if (!found || (!v4 && net_addr_linklocal6(&a->info.addr))) {
			*out = a->info.addr;
			found = true;
		}
	}
	rwlock_read_unlock(&st->lock);
	return found;
}

static void up_deliver(void *arg, const struct ip_packet *p)
{
	struct net_stack *st = arg;
	bool icmp = p->protocol == PROTO_ICMP || p->protocol == PROTO_ICMP6;

	if (!icmp) {
		ip_deliver(st, p);
		return;
	}
	/* the wire has answered what is to be answered, and told of errors */
	COUNT(st, ip_in);
	COUNT(st, icmp_in);
	(void)raw_input(st, p);
	if (p->len >= ICMP_HLEN && p->data[0] == (p->v6 ? ICMP6_ECHO_REPLY : ICMP_ECHO_REPLY))
		ping_input(st, p);
}

static void up_icmp_error(void *arg, const struct icmp_error *e)
{
	ip_error(arg, e);
}

static void up_autoconf(void *arg, uint32_t ifindex, const struct net_addr *addr, uint8_t prefix_len,
			const struct net_addr *router)
{
	struct net_addr_info a = {.addr = *addr, .prefix = prefix_len, .if_index = ifindex};
	struct net_route_info r = {
		.v6 = true, .has_gateway = true, .type = 1, .protocol = 9, .if_index = ifindex, .metric = 1024};

	if (prefix_len && net_addr_add(arg, &a) < 0)
		return; /* it is there already, or there is no room */
	if (!router)
		return;
	r.gateway = *router;
	if (net_route_add(arg, &r) < 0)
		return;
}

static bool up_tapped(void *arg)
{
	return stack_tapped(arg);
}

static void up_tap(void *arg, struct link *l, const uint8_t *frame, uint32_t n, bool outgoing,
		   bool csum_unfinished)
{
	tap_frame(arg, l->ifindex, frame, n, outgoing, csum_unfinished);
}

static const struct wire_up socket_up = {
	.route = up_route,
	.is_local = up_is_local,
	.source = up_source,
	.deliver = up_deliver,
	.icmp_error = up_icmp_error,
	.autoconf = up_autoconf,
	.tapped = up_tapped,
	.tap = up_tap,
	.listener = tcp_join_listener,
	.listener_put = tcp_join_listener_put,
	.listener_full = tcp_join_listener_full,
	.listener_config = tcp_join_listener_config,
	.child = tcp_join_child,
	.event = tcp_join_event,
	.user_get = tcp_join_user_get,
	.user_put = tcp_join_user_put,
};

static int wire_output(struct net_stack *st, const struct route *r, const struct ip_packet *ip,
		       bool dont_fragment)
{
	struct ip_out o = {.src = ip->src,
			   .dst = ip->dst,
			   .protocol = ip->protocol,
			   .ttl = ip->ttl,
			   .tos = ip->tos,
			   .df = dont_fragment,
			   .r = r};
	struct pkt p;

	pkt_init(&p);
	pkt_add(&p, ip->data, ip->len);
	return wire_ip_output(st->wire_priv, &p, &o);
}

static const struct net_wire_ops wire_ops = {
	.output = wire_output,
	.connect = tcp_join_connect,
	.send = tcp_join_send,
	.recv = tcp_join_recv,
	.ready = tcp_join_ready,
	.shutdown = tcp_join_shutdown,
	.close = tcp_join_close,
	.destroy = tcp_join_destroy,
	.info = tcp_join_info,
	.inq = tcp_join_inq,
	.outq = tcp_join_outq,
	.at_mark = tcp_join_at_mark,
	.options_changed = tcp_join_options_changed,
};

int stack_wire(struct net_stack *st, struct wire **out)
{
	struct wire *w;
	int ret = 0;

	mutex_lock(&st->wire_lock);
	w = st->wire_priv;
	if (st->nat) {
		ret = -EOPNOTSUPP; /* sockets have one way out */
	} else if (!w) {
		ret = wire_create(&socket_up, st, NULL, NULL, &w);
		if (ret == 0) {
			w->timers.kick_arg = st->kick_arg;
			w->timers.kick = st->kick;
			__atomic_store_n(&st->wire_priv, w, __ATOMIC_RELEASE);
			__atomic_store_n(&st->wire, &wire_ops, __ATOMIC_RELEASE);
		}
	}
	mutex_unlock(&st->wire_lock);
	*out = w;
	return ret;
}

void stack_kick(struct net_stack *st)
{
	struct wire *w = st->wire_priv;
	void (*kick)(void *) = w ? __atomic_load_n(&w->timers.kick, __ATOMIC_ACQUIRE) : NULL;

	if (kick)
		kick(w->timers.kick_arg);
}

/* Output waits: the embedder's thread is to look for room. */
static void want_write(struct link *l)
{
	struct timers *ts = &l->w->timers;

	if (ts->kick)
		ts->kick(ts->kick_arg);
}

int stack_add_iface(struct net_stack *st, const char *name, uint32_t mtu, const uint8_t hw[6],
		    uint32_t *ifindex)
{
	struct net_iface *i = kmalloc(sizeof(*i));
	int ret = -EEXIST;

	if (!i)
		return -ENOMEM;
	i->info = (struct net_if_info){.flags = IFF_UP_ | IFF_RUNNING_ | IFF_LOWER_UP_ | IFF_MULTICAST_ |
						IFF_BROADCAST_,
				       .mtu = mtu,
				       .type = ARPHRD_ETHER_,
				       .hw_len = ETH_ALEN};
	memcpy(i->info.hw, hw, ETH_ALEN);
	strncpy(i->info.name, name, NET_IF_MAX - 1);
	rwlock_write(&st->lock);
	if (!stack_if_locked(st, 0, name)) {
		*ifindex = i->info.index = ++st->last_index;
		list_add_tail(&st->ifaces, &i->node);
		stack_update_locked(st);
		i = NULL;
		ret = 0;
	}
	rwlock_write_unlock(&st->lock);
	kfree(i);
	return ret;
}

static int attach(struct net_stack *st, struct link *l, const char *name, uint32_t flags, bool fresh)
{
	struct net_iface *i = kmalloc(sizeof(*i));
	struct wire *w;
	int ret = i ? stack_wire(st, &w) : -ENOMEM;

	if (ret < 0)
		goto fail;
	l->w = w;
	ret = -EEXIST;
	rwlock_write(&st->lock);
	if (!stack_if_locked(st, 0, name)) {
		i->info = (struct net_if_info){.flags = flags, .mtu = l->mtu, .type = ARPHRD_NONE_};
		if (l->features & LINK_ETHER) {
			i->info.flags |= IFF_BROADCAST_;
			i->info.type = ARPHRD_ETHER_;
			i->info.hw_len = ETH_ALEN;
			memcpy(i->info.hw, l->hw, ETH_ALEN);
		}
		strncpy(i->info.name, name, NET_IF_MAX - 1);
		i->info.index = ++st->last_index;
		l->up = (flags & IFF_UP_) != 0;
		__atomic_store_n(&l->ifindex, i->info.index, __ATOMIC_RELEASE);
		l->want_write = want_write;
		list_add_tail(&st->ifaces, &i->node);
		stack_update_locked(st);
		i = NULL;
		ret = 0;
	}
	rwlock_write_unlock(&st->lock);
	if (ret == 0 && fresh)
		ret = wire_attach(w, l);
	else if (ret < 0)
		goto fail;
	if (ret == 0)
		stack_tell_if(st, l->ifindex);
	return ret;
fail:
	kfree(i);
	if (fresh)
		l->ops->close(l);
	else
		link_dead(l);
	return ret;
}

int stack_attach(struct net_stack *st, struct link *l, const char *name)
{
	return attach(st, l, name, IFF_UP_ | IFF_RUNNING_ | IFF_LOWER_UP_ | IFF_MULTICAST_, true);
}

int stack_attach_down(struct net_stack *st, struct link *l, const char *name, bool fresh)
{
	return attach(st, l, name, l->features & LINK_NOARP ? IFF_NOARP_ : IFF_MULTICAST_, fresh);
}

void stack_wire_destroy(struct net_stack *st)
{
	if (st->nat)
		st->wire->stop(st);
	if (st->wire_priv)
		wire_destroy(st->wire_priv);
	st->nat = NULL;
	st->wire_priv = NULL;
	st->wire = NULL;
}

/* ---- what the embedder does ---- */

uint64_t net_run_timers(struct net_stack *st)
{
	struct wire *w = __atomic_load_n(&st->wire_priv, __ATOMIC_ACQUIRE);

	if (!w)
		return UINT64_MAX;
	if (links_run(w)) {
		(void)wire_run_timers(w);
		return 0; /* at once again */
	}
	return wire_run_timers(w);
}

void net_set_kick(struct net_stack *st, void (*kick)(void *arg), void *arg)
{
	struct wire *w;

	mutex_lock(&st->wire_lock);
	st->kick_arg = arg;
	st->kick = kick;
	w = st->wire_priv;
	if (w) {
		w->timers.kick_arg = arg;
		__atomic_store_n(&w->timers.kick, kick, __ATOMIC_RELEASE);
	}
	mutex_unlock(&st->wire_lock);
}

void net_set_release(struct net_stack *st, void (*release)(void *arg))
{
	st->release = release;
}

void *net_kick_arg(struct net_stack *st)
{
	return st->kick_arg;
}

int net_link_fd(struct net_stack *st, uint32_t ifindex)
{
	struct link *l = st->wire_priv ? wire_link(st->wire_priv, ifindex) : NULL;

	return l ? l->fd : -ENODEV;
}

bool net_link_waits(struct net_stack *st, uint32_t ifindex)
{
	struct link *l = wire_link(st->wire_priv, ifindex);

	return l && link_busy(l);
}

int net_link_ready(struct net_stack *st, uint32_t ifindex, bool in, bool out)
{
	struct link *l = wire_link(st->wire_priv, ifindex);

	if (!l)
		return -ENODEV;
	if (out)
		link_flush(l);
	return in ? l->ops->receive(l, 64) : 0;
}
