/* sock.c: what all sockets have in common: life, names, errors, and the way to each transport. */
#include "netstack/internal.h"
#include "platform/base/clock.h"

static const struct net_opts default_opts = {
	.rcvlowat = 1,
	.ttl = -1,
	.hops = -1,
	.mc_ttl = 1,
	.mc_hops = 1,
	.mc_loop = true,
	.mc_loop6 = true,
	.mc_all = true,
	.mc_all6 = true,
	.pmtu = 1,
	.pmtu6 = 1,
	.raw_checksum = -1,
	.keepidle = 7200,
	.keepintvl = 75,
	.keepcnt = 9,
	.syncnt = 6,
	.linger2 = 60,
	.quickack = true,
	.cc = "cubic",
};

int net_sock_create(struct net_stack *st, enum net_kind kind, int family, int protocol, void *owner,
		    uint32_t uid, struct net_sock **out)
{
	struct net_sock *sk;
	int ret = kind == NET_TCP ? tcp_create(&sk) : dgram_create(&sk);

	if (ret < 0)
		return ret;
	refs_init(&sk->refs);
	net_stack_get(st);
	sk->st = st;
	sk->kind = (uint8_t)kind;
	sk->family = (uint8_t)family;
	sk->protocol = (uint8_t)protocol;
	sk->state = NET_CLOSE;
	sk->owner = owner;
	sk->uid = uid;
	sk->opts = default_opts;
	if (kind == NET_PING || (kind == NET_RAW && protocol == PROTO_ICMP6))
		sk->opts.raw_checksum = 2;
	mutex_init(&sk->lock, RANK_NETSTACK);
	waitq_init(&sk->wq);
	list_init(&sk->bind.node);
	list_init(&sk->all_node);
	if (family == 4)
		sk->local.addr = sk->remote.addr = net_addr4(0);
	mutex_lock(&st->socks_lock);
	list_add_tail(&st->socks[kind], &sk->all_node);
	mutex_unlock(&st->socks_lock);
	__atomic_add_fetch(&st->counters.inuse[kind][family == 6], 1, __ATOMIC_RELAXED);
	*out = sk;
	return 0;
}

void sk_put(struct net_sock *sk)
{
	struct net_stack *st = sk->st;

	if (!refs_put(&sk->refs))
		return;
	mutex_lock(&st->socks_lock);
	list_del(&sk->all_node);
	mutex_unlock(&st->socks_lock);
	__atomic_sub_fetch(&st->counters.inuse[sk->kind][sk->family == 6], 1, __ATOMIC_RELAXED);
	port_release(sk);
	if (sk->kind == NET_TCP)
		tcp_destroy(sk);
	else
		dgram_destroy(sk);
	net_stack_put(st);
}

void net_sock_close(struct net_sock *sk)
{
	if (sk->kind == NET_TCP)
		tcp_close(sk);
	else
		dgram_close(sk);
	sk_put(sk);
}

struct net_opts *net_sock_opts(struct net_sock *sk)
{
	return &sk->opts;
}

struct waitq *net_sock_waitq(struct net_sock *sk)
{
	return &sk->wq;
}

struct net_stack *net_sock_stack(struct net_sock *sk)
{
	return sk->st;
}

enum net_state net_sock_state(struct net_sock *sk)
{
	return sk_state(sk);
}

void net_sock_adopt(struct net_sock *sk, void *owner, uint32_t uid)
{
	mutex_lock(&sk->lock);
	sk->owner = owner;
	sk->uid = uid;
	mutex_unlock(&sk->lock);
}

int net_take_error(struct net_sock *sk)
{
	if (!__atomic_load_n(&sk->error, __ATOMIC_RELAXED))
		return 0;
	return __atomic_exchange_n(&sk->error, 0, __ATOMIC_ACQ_REL);
}

int net_so_error(struct net_sock *sk)
{
	if (sk->kind == NET_TCP && sk->st->wire && sk->st->wire->pull_error) {
		mutex_lock(&sk->lock);
		if (tcp_of(sk)->wire)
			sk->st->wire->pull_error(tcp_of(sk));
		mutex_unlock(&sk->lock);
	}
	return net_take_error(sk);
}

static int check_bind(struct net_sock *sk, const struct net_name *name, uint32_t flags)
{
	if (sk->family == 6 && sk->opts.v6only && net_addr_is4(&name->addr))
		return -EINVAL;
	if (!net_addr_is4(&name->addr) && net_addr_linklocal6(&name->addr) && !name->scope &&
	    !sk->opts.bound_if)
		return -EINVAL;
	if (sk->family == 6 && sk->kind == NET_TCP && net_addr_multicast(&name->addr))
		return -EINVAL;
	if (addr_check_bind(sk->st, sk, &name->addr) < 0)
		return -EADDRNOTAVAIL;
	if (name->port && name->port < 1024 && !(flags & NET_BIND_PRIVILEGED) && sk->kind != NET_RAW &&
	    sk->kind != NET_PING)
		return -EACCES;
	return 0;
}

int net_bind(struct net_sock *sk, const struct net_name *name, uint32_t flags)
{
	int ret = check_bind(sk, name, flags);

	if (ret < 0)
		return ret;
	mutex_lock(&sk->lock);
	if (sk->kind == NET_RAW) {
		sk->local = *name;
		sk->local.port = sk->protocol;
	} else if (sk->state != NET_CLOSE || sk->bind.port) {
		ret = -EINVAL;
	} else {
		ret = port_bind(sk, &name->addr, name->port);
		if (ret == 0)
			sk->bound_port = name->port != 0;
	}
	if (ret == 0) {
		sk->local.scope = name->scope;
		sk->bound_addr = !net_addr_any(&name->addr);
	}
	mutex_unlock(&sk->lock);
	return ret;
}

int net_listen(struct net_sock *sk, int backlog)
{
	return sk->kind == NET_TCP ? tcp_listen(sk, backlog) : -EOPNOTSUPP;
}

void net_redirect_udp(struct net_stack *st, const struct net_addr *addr, uint16_t port, uint16_t to)
{
	st->redirect_addr = *addr;
	st->redirect_to = to;
	__atomic_store_n(&st->redirect_port, port, __ATOMIC_RELEASE);
}

/* Does a name with that port mean the redirected service? inside: the port that it has in truth. */
static bool is_redirected(const struct net_sock *sk, const struct net_name *name, bool inside)
{
	const struct net_stack *st = sk->st;
	uint16_t port = __atomic_load_n(&st->redirect_port, __ATOMIC_ACQUIRE);

	return UNLIKELY(port) && sk->kind == NET_UDP && name->port == (inside ? st->redirect_to : port) &&
	       net_addr_eq(&name->addr, &st->redirect_addr);
}

int net_connect(struct net_sock *sk, const struct net_name *name)
{
	struct net_name inside;

	if (sk->kind == NET_TCP)
		return tcp_connect(sk, name);
	if (is_redirected(sk, name, false)) {
		inside = *name;
		inside.port = sk->st->redirect_to;
		name = &inside;
	}
	return dgram_connect(sk, name);
}

int net_connect_result(struct net_sock *sk)
{
	return sk->kind == NET_TCP ? tcp_connect_result(sk) : 0;
}

int net_disconnect(struct net_sock *sk)
{
	return sk->kind == NET_TCP ? tcp_disconnect(sk) : dgram_disconnect(sk);
}

int net_accept(struct net_sock *sk, struct net_sock **out)
{
	return sk->kind == NET_TCP ? tcp_accept(sk, out) : -EOPNOTSUPP;
}

int net_local_name(struct net_sock *sk, struct net_name *out)
{
	mutex_lock(&sk->lock);
	*out = sk->local;
	mutex_unlock(&sk->lock);
	return 0;
}

int net_peer_name(struct net_sock *sk, struct net_name *out)
{
	uint8_t state;
	int ret = 0;

	mutex_lock(&sk->lock);
	state = sk->state;
	if (!sk->connected || (sk->kind == NET_TCP && (state == NET_CLOSE || state == NET_SYN_SENT)))
		ret = -ENOTCONN;
	else
		*out = sk->remote;
	mutex_unlock(&sk->lock);
	if (ret == 0 && is_redirected(sk, out, true))
		out->port = sk->st->redirect_port;
	return ret;
}

int net_shutdown(struct net_sock *sk, bool rd, bool wr)
{
	return sk->kind == NET_TCP ? tcp_shutdown(sk, rd, wr) : dgram_shutdown(sk, rd, wr);
}

uint32_t net_ready(struct net_sock *sk)
{
	return sk->kind == NET_TCP ? tcp_ready(sk) : dgram_ready(sk);
}

/* Sending from an unbound socket binds it to a port. */
static int autobind(struct net_sock *sk)
{
	int ret = 0;

	if (LIKELY(sk->bind.port || sk->kind == NET_RAW))
		return 0;
	mutex_lock(&sk->lock);
	if (!sk->bind.port)
		ret = port_bind(sk, &sk->local.addr, 0);
	mutex_unlock(&sk->lock);
	return ret == -EADDRINUSE ? -EAGAIN : ret;
}

static ssize_t send_udp(struct net_sock *sk, struct net_io *io, const struct net_tx *tx)
{
	struct net_name inside;
	struct net_tx to;

	if (LIKELY(!tx->name || !is_redirected(sk, tx->name, false)))
		return udp_send(sk, io, tx);
	inside = *tx->name;
	inside.port = sk->st->redirect_to;
	to = *tx;
	to.name = &inside;
	return udp_send(sk, io, &to);
}

ssize_t net_send(struct net_sock *sk, struct net_io *io, const struct net_tx *tx)
{
	int ret;

	if (LIKELY(sk->kind == NET_TCP))
		return tcp_send(sk, io, tx);
	if (tx->flags & NET_OOB)
		return -EOPNOTSUPP;
	ret = net_take_error(sk);
	if (UNLIKELY(ret))
		return -ret;
	if (sk_shut(sk) & SHUT_WR_)
		return -EPIPE;
	ret = autobind(sk);
	if (ret < 0)
		return ret;
	switch (sk->kind) {
	case NET_UDP:
	case NET_UDPLITE:
		return send_udp(sk, io, tx);
	case NET_RAW:
		return raw_send(sk, io, tx);
	default:
		return ping_send(sk, io, tx);
	}
}

int net_uncork(struct net_sock *sk)
{
	return net_kind_udp(sk->kind) ? udp_uncork(sk) : 0;
}

ssize_t net_recv(struct net_sock *sk, struct net_io *io, struct net_rx *rx)
{
	ssize_t n;

	if (LIKELY(sk->kind == NET_TCP))
		return tcp_recv(sk, io, rx);
	n = dgram_recv(sk, io, rx);
	if (n >= 0 && is_redirected(sk, &rx->src, true))
		rx->src.port = sk->st->redirect_port;
	return n;
}

static void show(struct net_sock *sk, struct net_show *out, struct net_tcp_info *info)
{
	*out = (struct net_show){.kind = sk->kind,
				 .family = sk->family,
				 .state = sk->state,
				 .protocol = sk->protocol,
				 .local = sk->local,
				 .remote = sk->remote,
				 .uid = sk->uid,
				 .refs = refs_read(&sk->refs) - 1,
				 .owner = sk->owner,
				 .sk = sk,
				 .shut = sk->shut,
				 .v6only = sk->opts.v6only};
	if (!sk->connected) {
		out->remote = (struct net_name){0};
		if (sk->family == 4)
			out->remote.addr = net_addr4(0);
	}
	if (sk->kind == NET_TCP) {
		struct tcp_sock *t = tcp_of(sk);

		tcp_info_locked(t, info);
		out->info = info;

		if (sk->state == NET_LISTEN) {
			out->rx_queue = t->queued;
			out->tx_queue = t->backlog;
		} else if (t->in) {
			out->rx_queue = (uint32_t)MIN(t->in->tail - t->in->head, (uint64_t)t->in->window);
			out->tx_queue = (uint32_t)net_outq(sk);
		}
	} else {
		out->rx_queue = dgram_of(sk)->bytes;
		out->drops = dgram_of(sk)->drops;
	}
}

static void show_time_waits(struct net_stack *st, int family, void (*fn)(void *arg, const struct net_show *s),
			    void *arg)
{
	uint64_t now = clock_monotonic_ns();
	struct net_bind *b;

	mutex_lock(&st->tw_lock);
	list_for_each (b, &st->tw, tw_node) {
		struct net_show s = {.kind = NET_TCP,
				     .state = b->tw_fin_wait2 ? NET_FIN_WAIT2 : NET_TIME_WAIT,
				     .local = {.addr = b->addr, .port = b->port},
				     .remote = {.addr = b->raddr, .port = b->rport},
				     .refs = 3,
				     .family = net_addr_is4(&b->addr) ? 4 : 6,
				     .sk = b};

		if (b->expires <= now || s.family != family)
			continue;
		s.timeout_ns = b->expires - now;
		fn(arg, &s);
	}
	mutex_unlock(&st->tw_lock);
}

void net_for_each(struct net_stack *st, enum net_kind kind, int family,
		  void (*fn)(void *arg, const struct net_show *s), void *arg)
{
	struct net_sock **all, *sk;
	uint32_t i, n = 0, max = 0;
	struct net_tcp_info info;
	struct net_show s;

	for (i = 0; i < 2; i++)
		max += __atomic_load_n(&st->counters.inuse[kind][i], __ATOMIC_RELAXED);
	max += 16; /* some may come meanwhile */
	all = kmalloc(max * sizeof(*all));
	if (!all)
		return;
	mutex_lock(&st->socks_lock);
	list_for_each (sk, &st->socks[kind], all_node) {
		if (n == max)
			break;
		if (sk->family == family && refs_get_unless_zero(&sk->refs))
			all[n++] = sk;
	}
	mutex_unlock(&st->socks_lock);
	for (i = 0; i < n; i++) {
		mutex_lock(&all[i]->lock);
		show(all[i], &s, &info);
		if (!all[i]->closed && (kind != NET_TCP || s.state != NET_CLOSE))
			fn(arg, &s);
		mutex_unlock(&all[i]->lock);
		sk_put(all[i]);
	}
	kfree(all);
	if (kind == NET_TCP)
		show_time_waits(st, family, fn, arg);
}
