/* tcp.c: TCP sockets (tcp(7)) whose both ends are here: connecting, accepting, finishing. Two ends are paired
 * and share two pipes (tcp_data.c); what segments would have done happens to the other end at once. The states
 * and errors are those that Linux shows for a loopback connection. */
#include "netstack/internal.h"

#define AUTO_WINDOW (1024u * 1024)
#define AUTO_QUEUE  (1024u * 1024)

int tcp_create(struct net_sock **out)
{
	struct tcp_sock *t = kmalloc(sizeof(*t));

	if (!t)
		return -ENOMEM;
	mutex_init(&t->send_lock, RANK_NET_SEND);
	mutex_init(&t->recv_lock, RANK_NET_RECV);
	list_init(&t->queue);
	list_init(&t->pending);
	list_init(&t->qnode);
	*out = &t->sk;
	return 0;
}

void tcp_destroy(struct net_sock *sk)
{
	struct tcp_sock *t = tcp_of(sk);

	if (t->wire)
		sk->st->wire->destroy(t);
	if (t->in) {
		tcp_flush_counters(sk->st, t->in);
		tcp_pipe_put(t->in);
	}
	if (t->out)
		tcp_pipe_put(t->out);
	kfree(t);
}

void tcp_wake_all(struct tcp_sock *t)
{
	waitq_wake(&t->sk.wq, IN_EVENTS | OUT_EVENTS | EV_PRI | EV_HUP | EV_RDHUP | EV_ERR);
}

/* ---- buffers ---- */

static uint32_t window_of(const struct tcp_sock *t)
{
	return t->sk.opts.rcvbuf_set ? MAX((uint32_t)t->sk.opts.rcvbuf / 2, 1152u) : AUTO_WINDOW;
}

static uint32_t queue_of(const struct tcp_sock *t)
{
	return t->sk.opts.sndbuf_set ? MAX((uint32_t)t->sk.opts.sndbuf / 2, 2304u) : AUTO_QUEUE;
}

static void pipe_cap(struct tcp_pipe *p, const struct tcp_sock *from, const struct tcp_sock *to)
{
	uint32_t window = window_of(to);

	__atomic_store_n(&p->window, window, __ATOMIC_RELAXED);
	__atomic_store_n(&p->cap, window + queue_of(from), __ATOMIC_RELEASE);
}

void tcp_caps_locked(struct tcp_sock *a, struct tcp_sock *b)
{
	if (!a->in || !b)
		return;
	pipe_cap(a->in, b, a);
	pipe_cap(a->out, a, b);
}

void net_sock_buffers_changed(struct net_sock *sk)
{
	struct tcp_sock *t = tcp_of(sk), *peer;

	if (sk->kind != NET_TCP)
		return;
	net_sock_options_changed(sk);
	mutex_lock(&sk->lock);
	peer = t->peer ? tcp_of(sk_get(&t->peer->sk)) : NULL;
	mutex_unlock(&sk->lock);
	if (!peer)
		return;
	mutex_lock_pair(&sk->lock, &peer->sk.lock);
	if (t->peer == peer)
		tcp_caps_locked(t, peer);
	mutex_unlock_pair(&sk->lock, &peer->sk.lock);
	sk_put(&peer->sk);
}

void net_sock_options_changed(struct net_sock *sk)
{
	if (sk->kind == NET_TCP && tcp_of(sk)->wire)
		sk->st->wire->options_changed(tcp_of(sk));
}

/* ---- connecting ---- */

/* As an answer of RST to a SYN. */
void tcp_refuse_locked(struct tcp_sock *c, int err)
{
	if (UNLIKELY(stack_tapped(c->sk.st)) && err == ECONNREFUSED)
		tcp_tap_refused(c);
	sk_set_error(&c->sk, err);
	COUNT(c->sk.st, tcp_fails);
	sk_set_state(&c->sk, NET_CLOSE);
	sk_add_shut(&c->sk, SHUT_ALL);
	if (!c->sk.bound_port)
		port_release(&c->sk);
}

/* A connection to itself: both SYNs crossed. */
static int link_self_locked(struct tcp_sock *c)
{
	struct tcp_pipe *p = tcp_pipe_create(c->sk.st);

	if (!p)
		return -ENOMEM;
	refs_get(&p->refs);
	c->in = c->out = p;
	c->peer = tcp_of(sk_get(&c->sk));
	tcp_caps_locked(c, c);
	c->sk.connected = true;
	sk_set_state(&c->sk, NET_ESTABLISHED);
	COUNT(c->sk.st, tcp_established);
	return 0;
}

/* l listens (or did a moment ago) where c wants to go. */
static void meet(struct tcp_sock *l, struct tcp_sock *c)
{
	bool made = false;

	mutex_lock(&l->sk.lock);
	mutex_lock_nested(&c->sk.lock);
	if (c->sk.state != NET_SYN_SENT) {
		; /* given up meanwhile */
	} else if (l->sk.state != NET_LISTEN) {
		tcp_refuse_locked(c, ECONNREFUSED);
	} else if (tcp_queue_full(l)) {
		c->listener = tcp_of(sk_get(&l->sk));
		sk_get(&c->sk);
		list_add_tail(&l->pending, &c->qnode);
	} else if (tcp_link_locked(l, c) < 0) {
		tcp_refuse_locked(c, ENOMEM);
	} else {
		made = !l->sk.opts.defer_accept;
	}
	mutex_unlock(&c->sk.lock);
	mutex_unlock(&l->sk.lock);
	if (made)
		waitq_wake(&l->sk.wq, IN_EVENTS);
}

/* Names and port of a connection to name; *r: its way. */
static int start_locked(struct tcp_sock *t, const struct net_name *name, struct route *r)
{
	struct net_sock *sk = &t->sk;
	struct net_addr dst = name->addr;
	int ret;

	addr_fix_dst(&dst);
	if (net_addr_multicast(&dst))
		return -ENETUNREACH;
	ret = route_find(sk->st, &dst, sk->opts.bound_if, r);
	if (ret < 0)
		return ret;
	if (!r->local && !sk->st->wire)
		return -ENETUNREACH;
	if (r->broadcast)
		return sk->opts.broadcast ? -ENETUNREACH : -EACCES;
	if (net_addr_any(&sk->local.addr))
		sk->local.addr = r->src;
	else if (net_addr_is4(&sk->local.addr) != net_addr_is4(&dst))
		return -ENETUNREACH;
	sk->remote = *name;
	sk->remote.addr = dst;
	ret = sk->bind.port ? port_set_remote_unique(sk) : port_connect(sk, &sk->remote);
	if (ret < 0) {
		if (!sk->bound_addr)
			sk->local.addr = sk->family == 4 ? net_addr4(0) : (struct net_addr){0};
		return ret;
	}
	return 0;
}

static void find_other_end(struct tcp_sock *c)
{
	struct net_sock *l = port_find_listener(c->sk.st, &c->sk.remote, &c->sk.local, 1);

	if (l) {
		meet(tcp_of(l), c);
		sk_put(l);
		return;
	}
	mutex_lock(&c->sk.lock);
	if (c->sk.state == NET_SYN_SENT) {
		if (c->sk.remote.port == c->sk.local.port &&
		    net_addr_eq(&c->sk.remote.addr, &c->sk.local.addr)) {
			if (link_self_locked(c) < 0)
				tcp_refuse_locked(c, ENOMEM);
		} else {
			tcp_refuse_locked(c, ECONNREFUSED);
		}
	}
	mutex_unlock(&c->sk.lock);
}

/* An unconnected socket again; what bind(2) gave stays. */
void tcp_forget_names_locked(struct tcp_sock *t)
{
	struct net_sock *sk = &t->sk;
	struct net_addr none = sk->family == 4 ? net_addr4(0) : (struct net_addr){0};

	sk->connected = false;
	t->in_progress = false;
	sk->remote = (struct net_name){.addr = none};
	if (!sk->bound_addr)
		sk->local.addr = none;
	if (!sk->bound_port) {
		port_release(sk);
		sk->local.port = 0;
	} else {
		port_set_remote(sk);
	}
	__atomic_store_n(&sk->shut, 0, __ATOMIC_RELEASE);
}

int tcp_connect(struct net_sock *sk, const struct net_name *name)
{
	struct tcp_sock *t = tcp_of(sk);
	struct route r = {.local = true};
	int ret = 0;

	mutex_lock(&sk->lock);
	if (t->in_progress) {
		ret = sk->state == NET_SYN_SENT ? -EALREADY : -EAGAIN;
	} else if (sk->connected || sk->state != NET_CLOSE) {
		ret = -EISCONN;
	} else {
		ret = start_locked(t, name, &r);
		if (ret == 0) {
			__atomic_store_n(&sk->shut, 0, __ATOMIC_RELEASE);
			sk_set_error(sk, 0);
			t->in_progress = true;
			sk_set_state(sk, NET_SYN_SENT);
			COUNT(sk->st, tcp_active);
			if (!r.local)
				ret = sk->st->wire->connect(t, &r);
			if (ret < 0) {
				sk_set_state(sk, NET_CLOSE);
				tcp_forget_names_locked(t);
			}
		}
	}
	mutex_unlock(&sk->lock);
	if (ret == -EAGAIN)
		return tcp_connect_result(sk);
	if (ret < 0)
		return ret;
	if (r.local)
		find_other_end(t);
	return -EINPROGRESS;
}

int tcp_connect_result(struct net_sock *sk)
{
	struct tcp_sock *t = tcp_of(sk);
	int ret = 0;

	mutex_lock(&sk->lock);
	if (sk->state == NET_SYN_SENT) {
		ret = -EAGAIN;
	} else if (t->in_progress) {
		t->in_progress = false;
		if (!sk->connected) {
			ret = net_take_error(sk);
			ret = ret ? -ret : -ECONNABORTED;
			tcp_forget_names_locked(t);
		}
	} else if (!sk->connected) {
		ret = -net_take_error(sk);
	}
	mutex_unlock(&sk->lock);
	return ret;
}
