/* dgram.c: what UDP, raw and ping sockets have in common: the queue of datagrams, the error queue, connecting,
 * readiness. What a queue holds is bounded by SO_RCVBUF, counted as Linux counts it. */
#include "netstack/internal.h"
#include "platform/base/clock.h"

#define RCVBUF_DEFAULT 212992

int dgram_create(struct net_sock **out)
{
	struct dgram_sock *d = kmalloc(sizeof(*d));

	if (!d)
		return -ENOMEM;
	list_init(&d->msgs);
	list_init(&d->errors);
	list_init(&d->members);
	*out = &d->sk;
	return 0;
}

static void free_msgs(struct list *msgs)
{
	struct net_msg *m, *tmp;

	list_for_each_safe (m, tmp, msgs, node)
		kfree(m);
	list_init(msgs);
}

void dgram_destroy(struct net_sock *sk)
{
	struct dgram_sock *d = dgram_of(sk);

	free_msgs(&d->msgs);
	free_msgs(&d->errors);
	kfree(d->cork);
	kfree(d);
}

void dgram_close(struct net_sock *sk)
{
	struct dgram_sock *d = dgram_of(sk);

	dgram_leave_all(sk);
	mutex_lock(&sk->lock);
	sk->owner = NULL;
	__atomic_store_n(&sk->closed, true, __ATOMIC_RELEASE);
	sk_add_shut(sk, SHUT_ALL);
	port_release(sk);
	free_msgs(&d->msgs);
	free_msgs(&d->errors);
	d->count = d->bytes = d->error_count = 0;
	mutex_unlock(&sk->lock);
}

struct net_msg *net_msg_new(uint32_t len)
{
	struct net_msg *m = kmalloc(sizeof(*m) + len);

	if (!m)
		return NULL;
	m->len = len;
	m->charge = dgram_charge(len);
	m->stamp_ns = (uint64_t)clock_realtime_ns();
	return m;
}

struct net_msg *net_msg_copy(const struct net_msg *from)
{
	struct net_msg *m = kmalloc(sizeof(*m) + from->len);

	if (m) {
		memcpy(m, from, sizeof(*m) + from->len);
		list_init(&m->node);
	}
	return m;
}

/* An sk_buff's 256 bytes and its data, which kmalloc rounds up: headers, bytes, skb_shared_info. */
uint32_t dgram_charge(uint32_t n)
{
	uint32_t data = ROUND_UP(n + 28 + 16, 64u) + 320, size = 512;

	if (data > 4096)
		return ROUND_UP(data, 4096u) + 256;
	while (size < data)
		size *= 2;
	return size + 256;
}

void net_sock_set_filter(struct net_sock *sk, uint32_t (*fn)(void *owner, const struct net_frame *f))
{
	mutex_lock(&sk->lock);
	sk->filter = fn;
	mutex_unlock(&sk->lock);
}

#define UDP_HEADER 8u

/* UDP's header is made again for the filter to see. */
static uint8_t *with_header(const struct net_msg *m)
{
	uint8_t *p = kmalloc(UDP_HEADER + m->len);
	uint16_t fields[4] = {__builtin_bswap16(m->src.port), __builtin_bswap16(m->dst.port),
			      __builtin_bswap16((uint16_t)(UDP_HEADER + m->len)), 0};

	if (p) {
		memcpy(p, fields, UDP_HEADER);
		memcpy(p + UDP_HEADER, m->data, m->len);
	}
	return p;
}

/* False: the filter doesn't want it. */
static bool filter_locked(struct net_sock *sk, struct net_msg *m)
{
	uint32_t head = net_kind_udp(sk->kind) ? UDP_HEADER : 0, keep;
	struct net_frame f = {.ifindex = m->ifindex,
			      .mark = sk->opts.mark,
			      .protocol = net_addr_is4(&m->dst.addr) ? 0x0800 : 0x86dd,
			      .len = head + m->len};
	uint8_t *made = head ? with_header(m) : NULL;

	if (head && !made)
		return false;
	f.data = made ? made : m->data;
	keep = sk->filter(sk->owner, &f);
	kfree(made);
	if (!keep)
		return false;
	keep = MAX(keep, head) - head;
	m->len = MIN(m->len, keep);
	return true;
}

void dgram_deliver(struct net_sock *sk, struct net_msg *msg)
{
	struct dgram_sock *d = dgram_of(sk);
	uint32_t limit = (uint32_t)(sk->opts.rcvbuf ? sk->opts.rcvbuf : RCVBUF_DEFAULT);
	bool queued = false;

	mutex_lock(&sk->lock);
	if (UNLIKELY(sk->filter && !sk->closed) && !filter_locked(sk, msg)) {
		mutex_unlock(&sk->lock);
		kfree(msg);
		return;
	}
	if (!sk->closed && d->bytes <= limit) {
		list_add_tail(&d->msgs, &msg->node);
		__atomic_store_n(&d->count, d->count + 1, __ATOMIC_RELEASE);
		__atomic_store_n(&d->bytes, d->bytes + msg->charge, __ATOMIC_RELAXED);
		queued = true;
	} else {
		__atomic_store_n(&d->drops, d->drops + 1, __ATOMIC_RELAXED);
	}
	mutex_unlock(&sk->lock);
	if (queued) {
		waitq_wake(&sk->wq, IN_EVENTS);
		return;
	}
	if (net_kind_udp(sk->kind))
		COUNT(sk->st, udp_rcvbuf_errors);
	kfree(msg);
}

void dgram_error(struct net_sock *sk, struct net_msg *msg, int err, bool hard)
{
	struct dgram_sock *d = dgram_of(sk);
	bool wanted, tell;

	mutex_lock(&sk->lock);
	wanted = net_addr_is4(&sk->remote.addr) && sk->family == 4 ? sk->opts.recverr
								   : sk->opts.recverr || sk->opts.recverr6;
	tell = wanted || (hard && sk->connected);
	if (wanted && msg && !sk->closed && d->error_count < 64) {
		list_add_tail(&d->errors, &msg->node);
		__atomic_store_n(&d->error_count, d->error_count + 1, __ATOMIC_RELEASE);
		msg = NULL;
	}
	if (tell)
		sk_set_error(sk, err);
	mutex_unlock(&sk->lock);
	kfree(msg);
	if (tell)
		waitq_wake(&sk->wq, EV_ERR | IN_EVENTS | OUT_EVENTS);
}

/* ---- connecting ---- */

static int connect_locked(struct net_sock *sk, const struct net_name *name)
{
	struct net_addr dst = name->addr;
	uint32_t oif = sk->opts.bound_if;
	struct route r;
	int ret;

	addr_fix_dst(&dst);
	if (!oif && net_addr_multicast(&dst))
		oif = net_addr_is4(&dst) ? sk->opts.mc_if : sk->opts.mc_if6;
	if (!net_addr_is4(&dst) && net_addr_linklocal6(&dst) && name->scope)
		oif = name->scope;
	ret = route_find(sk->st, &dst, oif, &r);
	if (ret < 0)
		return ret;
	if (r.broadcast && !sk->opts.broadcast)
		return -EACCES;
	if (!sk->bind.port && sk->kind != NET_RAW) {
		ret = port_bind(sk, &sk->local.addr, 0);
		if (ret < 0)
			return ret == -EADDRINUSE ? -EAGAIN : ret;
	}
	if (net_addr_any(&sk->local.addr))
		sk->local.addr = r.src;
	sk->remote = *name;
	sk->remote.addr = dst;
	sk->connected = true;
	sk_set_state(sk, NET_ESTABLISHED);
	if (sk->kind != NET_RAW)
		port_set_remote(sk);
	return 0;
}

int dgram_connect(struct net_sock *sk, const struct net_name *name)
{
	int ret;

	mutex_lock(&sk->lock);
	if (!net_addr_is4(&name->addr) && sk->family == 4)
		ret = -EAFNOSUPPORT;
	else
		ret = connect_locked(sk, name);
	mutex_unlock(&sk->lock);
	return ret;
}

int dgram_disconnect(struct net_sock *sk)
{
	mutex_lock(&sk->lock);
	sk->connected = false;
	sk->remote = (struct net_name){.port = 0};
	if (sk->family == 4)
		sk->remote.addr = net_addr4(0);
	if (!sk->bound_addr)
		sk->local.addr = sk->remote.addr;
	sk_set_state(sk, NET_CLOSE);
	if (sk->kind != NET_RAW && !sk->bound_port) {
		port_release(sk);
		sk->local.port = 0;
	} else if (sk->kind != NET_RAW) {
		port_set_remote(sk);
	}
	mutex_unlock(&sk->lock);
	return 0;
}

int dgram_shutdown(struct net_sock *sk, bool rd, bool wr)
{
	bool connected;

	mutex_lock(&sk->lock);
	connected = sk->connected;
	if (connected)
		sk_add_shut(sk, (uint8_t)((rd ? SHUT_RD_ : 0) | (wr ? SHUT_WR_ : 0)));
	mutex_unlock(&sk->lock);
	if (!connected)
		return -ENOTCONN;
	waitq_wake(&sk->wq, IN_EVENTS | OUT_EVENTS | EV_HUP | EV_RDHUP);
	return 0;
}

/* ---- receiving ---- */

static void fill_rx(const struct net_msg *m, struct net_rx *rx, uint32_t drops)
{
	rx->src = m->src;
	rx->dst = m->dst;
	rx->ifindex = m->ifindex;
	rx->ttl = m->ttl;
	rx->tos = m->tos;
	rx->stamp_ns = m->stamp_ns;
	rx->drops = drops;
	rx->is_datagram = true;
}

static ssize_t give(const struct net_msg *m, struct net_io *io, struct net_rx *rx)
{
	uint64_t n = MIN((uint64_t)m->len, io->resid);
	ssize_t ret = n ? io->move(io, (void *)m->data, n) : 0;

	if (ret < 0 || (uint64_t)ret < n)
		return -EFAULT;
	rx->truncated = m->len > n;
	return rx->flags & NET_TRUNC ? (ssize_t)m->len : ret;
}

static ssize_t recv_error(struct net_sock *sk, struct net_io *io, struct net_rx *rx)
{
	struct dgram_sock *d = dgram_of(sk);
	struct net_msg *m;
	ssize_t ret;

	mutex_lock(&sk->lock);
	m = list_first(&d->errors, struct net_msg, node);
	if (m) {
		list_del(&m->node);
		__atomic_store_n(&d->error_count, d->error_count - 1, __ATOMIC_RELEASE);
		if (!d->error_count)
			sk_set_error(sk, 0);
		else
			sk_set_error(sk, list_first(&d->errors, struct net_msg, node)->ee_errno);
	}
	mutex_unlock(&sk->lock);
	if (!m)
		return -EAGAIN;
	fill_rx(m, rx, 0);
	rx->error = true;
	rx->ee_errno = m->ee_errno;
	rx->ee_origin = m->ee_origin;
	rx->ee_type = m->ee_type;
	rx->ee_code = m->ee_code;
	rx->ee_info = m->ee_info;
	rx->offender = m->offender;
	ret = give(m, io, rx);
	kfree(m);
	return ret;
}

ssize_t dgram_recv(struct net_sock *sk, struct net_io *io, struct net_rx *rx)
{
	struct dgram_sock *d = dgram_of(sk);
	struct net_msg *m;
	uint32_t drops;
	ssize_t ret;
	int err;

	if (UNLIKELY(rx->flags & NET_ERRQUEUE))
		return recv_error(sk, io, rx);
	if (UNLIKELY(rx->flags & NET_OOB))
		return net_kind_udp(sk->kind) ? -EAGAIN : -EOPNOTSUPP;
	err = net_take_error(sk);
	if (UNLIKELY(err))
		return -err;
	mutex_lock(&sk->lock);
	m = list_first(&d->msgs, struct net_msg, node);
	drops = d->drops;
	if (m && LIKELY(!(rx->flags & NET_PEEK))) {
		list_del(&m->node);
		__atomic_store_n(&d->count, d->count - 1, __ATOMIC_RELEASE);
		__atomic_store_n(&d->bytes, d->bytes - m->charge, __ATOMIC_RELAXED);
	} else if (m) {
		fill_rx(m, rx, drops);
		ret = give(m, io, rx);
		mutex_unlock(&sk->lock);
		return ret;
	}
	mutex_unlock(&sk->lock);
	if (!m)
		return sk_shut(sk) & SHUT_RD_ ? 0 : -EAGAIN;
	fill_rx(m, rx, drops);
	ret = give(m, io, rx);
	kfree(m);
	return ret;
}

uint32_t dgram_ready(struct net_sock *sk)
{
	struct dgram_sock *d = dgram_of(sk);
	uint8_t shut = sk_shut(sk);
	uint32_t ev = OUT_EVENTS | EV_WRBAND;

	if (__atomic_load_n(&sk->error, __ATOMIC_ACQUIRE) || __atomic_load_n(&d->error_count, __ATOMIC_ACQUIRE))
		ev |= EV_ERR;
	if (shut & SHUT_RD_)
		ev |= EV_RDHUP | IN_EVENTS;
	if (shut == SHUT_ALL)
		ev |= EV_HUP;
	if (__atomic_load_n(&d->count, __ATOMIC_ACQUIRE))
		ev |= IN_EVENTS;
	return ev;
}

/* ---- sending ---- */

/* Copies of what a send needs to know, so that no lock is held while packets travel. */
struct names {
	struct net_name local, remote;
	bool connected;
};

static uint32_t out_interface(const struct net_sock *sk, const struct net_tx *tx, const struct net_name *to)
{
	bool v4 = net_addr_is4(&to->addr);

	if (sk->opts.bound_if)
		return sk->opts.bound_if;
	if (tx->ifindex)
		return tx->ifindex;
	if (net_addr_multicast(&to->addr))
		return !v4 && to->scope ? to->scope : v4 ? sk->opts.mc_if : sk->opts.mc_if6;
	return !v4 && net_addr_linklocal6(&to->addr) ? to->scope : 0;
}

static uint8_t out_ttl(const struct net_sock *sk, const struct net_tx *tx, const struct net_addr *to)
{
	bool v4 = net_addr_is4(to);
	int16_t own = v4 ? sk->opts.ttl : sk->opts.hops;

	if (tx->has_ttl && tx->ttl >= 0)
		return (uint8_t)tx->ttl;
	if (net_addr_multicast(to))
		return v4 ? sk->opts.mc_ttl : sk->opts.mc_hops;
	return own >= 0 ? (uint8_t)own : 64;
}

static int choose_source(struct net_sock *sk, const struct net_tx *tx, const struct names *n,
			 struct dgram_dst *out)
{
	bool v4 = net_addr_is4(&out->to.addr);

	out->from = n->local;
	if (tx->has_src && !net_addr_any(&tx->src)) {
		if (!net_addr_is_local(sk->st, &tx->src) && !sk->opts.freebind && !sk->opts.transparent)
			return -EINVAL;
		out->from.addr = tx->src;
	} else if (net_addr_any(&n->local.addr) || net_addr_multicast(&n->local.addr)) {
		out->from.addr = v4 && out->route.multicast && !net_addr_any(&sk->opts.mc_addr) &&
						 net_addr_is4(&sk->opts.mc_addr)
					 ? sk->opts.mc_addr
					 : out->route.src;
	}
	return net_addr_is4(&out->from.addr) == v4 ? 0 : -ENETUNREACH;
}

int dgram_route(struct net_sock *sk, const struct net_tx *tx, struct dgram_dst *out)
{
	struct names n;
	bool v4;
	int ret;

	mutex_lock(&sk->lock);
	n = (struct names){sk->local, sk->remote, sk->connected};
	mutex_unlock(&sk->lock);
	if (tx->name)
		out->to = *tx->name;
	else if (n.connected)
		out->to = n.remote;
	else
		return -EDESTADDRREQ;
	if (net_addr_any(&out->to.addr) && sk->family == 6 && net_addr_is4(&n.local.addr) &&
	    !net_addr_any(&n.local.addr))
		out->to.addr = net_addr4(0);
	addr_fix_dst(&out->to.addr);
	v4 = net_addr_is4(&out->to.addr);
	if (v4 && sk->family == 6 && sk->opts.v6only)
		return -ENETUNREACH;
	ret = route_find(sk->st, &out->to.addr, out_interface(sk, tx, &out->to), &out->route);
	if (ret < 0)
		return ret;
	if (out->route.broadcast && !sk->opts.broadcast)
		return -EACCES;
	ret = choose_source(sk, tx, &n, out);
	out->ifindex = out->route.ifindex;
	out->ttl = out_ttl(sk, tx, &out->to.addr);
	out->tos = tx->has_tos ? tx->tos : v4 ? sk->opts.tos : sk->opts.tclass;
	return ret;
}
