/* tcp_wire.c: what the TCP engine over segments tells a socket, and how it finds one. The engine itself
 * (tcp_in.c, tcp_out.c, ...) hangs on struct net_wire_ops. */
#include "netstack/internal.h"

void tcp_wire_connected(struct tcp_sock *t)
{
	mutex_lock(&t->sk.lock);
	if (t->sk.state == NET_SYN_SENT) {
		t->sk.connected = true;
		sk_set_state(&t->sk, NET_ESTABLISHED);
		COUNT(t->sk.st, tcp_established);
	}
	mutex_unlock(&t->sk.lock);
	tcp_wake_all(t);
}

void tcp_wire_failed(struct tcp_sock *t, int err)
{
	mutex_lock(&t->sk.lock);
	if (t->sk.state == NET_SYN_SENT) {
		tcp_refuse_locked(t, err);
	} else {
		if (err)
			sk_set_error(&t->sk, err);
		tcp_done_locked(t);
	}
	mutex_unlock(&t->sk.lock);
	tcp_wake_all(t);
}

void tcp_wire_state(struct tcp_sock *t, enum net_state state, bool peer_finished)
{
	mutex_lock(&t->sk.lock);
	if (peer_finished)
		sk_add_shut(&t->sk, SHUT_RD_);
	if (state == NET_CLOSE) {
		tcp_done_locked(t);
	} else {
		bool was = t->sk.state == NET_ESTABLISHED || t->sk.state == NET_CLOSE_WAIT;
		bool is = state == NET_ESTABLISHED || state == NET_CLOSE_WAIT;

		sk_set_state(&t->sk, (uint8_t)state);
		if (was && !is)
			UNCOUNT(t->sk.st, tcp_established);
	}
	mutex_unlock(&t->sk.lock);
	tcp_wake_all(t);
}

bool tcp_listener_full(struct tcp_sock *l)
{
	return __atomic_load_n(&l->queued, __ATOMIC_ACQUIRE) > __atomic_load_n(&l->backlog, __ATOMIC_RELAXED);
}

int tcp_child_create(struct tcp_sock *l, const struct net_name *local, const struct net_name *remote,
		     struct tcp_sock **out)
{
	struct net_sock *sk;
	int ret = net_sock_create(l->sk.st, NET_TCP, l->sk.family, PROTO_TCP, NULL, l->sk.uid, &sk);

	if (ret < 0)
		return ret;
	sk->opts = l->sk.opts;
	sk->local = *local;
	sk->remote = *remote;
	sk->connected = true;
	sk_set_state(sk, NET_SYN_RECV);
	ret = port_join(sk, &l->sk);
	if (ret < 0) {
		sk_put(sk);
		return ret;
	}
	tcp_of(sk)->embryo = true;
	*out = tcp_of(sk);
	return 0;
}

int tcp_child_ready(struct tcp_sock *l, struct tcp_sock *child)
{
	int ret = 0;

	mutex_lock(&l->sk.lock);
	if (l->sk.state != NET_LISTEN) {
		ret = -ECONNREFUSED;
	} else if (tcp_queue_full(l)) {
		ret = -EAGAIN;
	} else {
		sk_set_state(&child->sk, NET_ESTABLISHED);
		list_add_tail(&l->queue, &child->qnode);
		__atomic_store_n(&l->queued, l->queued + 1, __ATOMIC_RELEASE);
		COUNT(l->sk.st, tcp_passive);
		COUNT(l->sk.st, tcp_established);
	}
	mutex_unlock(&l->sk.lock);
	if (ret == 0)
		waitq_wake(&l->sk.wq, IN_EVENTS);
	return ret;
}

struct tcp_sock *tcp_find(struct net_stack *st, const struct net_name *local, const struct net_name *remote)
{
	struct net_sock *sk = port_find_connected(st, local, remote);

	return sk ? tcp_of(sk) : NULL;
}
