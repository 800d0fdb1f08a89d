/* tcp_close.c: how a connection within this machine ends: FIN, RST, TIME_WAIT, close(2), shutdown(2) and
 * connect(2) to AF_UNSPEC. What segments would have done happens to the other end at once. */
#include "netstack/internal.h"

/* The connection is over for t; its names stay readable. */
void tcp_done_locked(struct tcp_sock *t)
{
	if (t->sk.state == NET_ESTABLISHED || t->sk.state == NET_CLOSE_WAIT)
		UNCOUNT(t->sk.st, tcp_established);
	sk_set_state(&t->sk, NET_CLOSE);
	sk_add_shut(&t->sk, SHUT_ALL);
	if (!t->sk.bound_port)
		port_release(&t->sk);
}

void tcp_reset_locked(struct tcp_sock *b)
{
	if (b->sk.state == NET_CLOSE || b->sk.state == NET_LISTEN)
		return;
	sk_set_error(&b->sk, b->sk.state == NET_CLOSE_WAIT ? EPIPE : ECONNRESET);
	COUNT(b->sk.st, tcp_resets);
	tcp_done_locked(b);
}

/* a has sent all it will send. Both locked; b may be a (a socket connected to itself). */
void tcp_fin_locked(struct tcp_sock *a, struct tcp_sock *b)
{
	sk_add_shut(&a->sk, SHUT_WR_);
	if (a->sk.state != NET_ESTABLISHED && a->sk.state != NET_CLOSE_WAIT)
		return;
	if (UNLIKELY(stack_tapped(a->sk.st)))
		tcp_tap_end(a, false);
	__atomic_store_n(&a->out->fin, 1, __ATOMIC_RELEASE);
	if (a == b) {
		port_time_wait(&a->sk, false);
		tcp_done_locked(a);
		return;
	}
	if (a->sk.state == NET_ESTABLISHED) {
		UNCOUNT(a->sk.st, tcp_established);
		sk_set_state(&a->sk, NET_FIN_WAIT2);
	} else {
		tcp_done_locked(a);
	}
	sk_add_shut(&b->sk, SHUT_RD_);
	if (b->sk.state == NET_ESTABLISHED) {
		sk_set_state(&b->sk, NET_CLOSE_WAIT);
	} else if (b->sk.state == NET_FIN_WAIT2) {
		if (!b->sk.closed)
			port_time_wait(&b->sk, false);
		else
			port_time_wait_finished(&b->sk);
		tcp_done_locked(b);
	}
}

static void drop_pipes(struct tcp_sock *t)
{
	if (t->in) {
		tcp_flush_counters(t->sk.st, t->in);
		tcp_pipe_put(t->in);
	}
	if (t->out)
		tcp_pipe_put(t->out);
	t->in = t->out = NULL;
}

static void close_states_locked(struct tcp_sock *t, struct tcp_sock *peer, bool abort)
{
	bool unread = t->in && t->in->tail != t->in->head;

	if (abort || unread || (t->sk.opts.linger_on && t->sk.opts.linger == 0)) {
		if (UNLIKELY(stack_tapped(t->sk.st)) && t->sk.state != NET_CLOSE)
			tcp_tap_end(t, true);
		if (peer != t)
			tcp_reset_locked(peer);
		if (t->sk.state != NET_CLOSE)
			COUNT(t->sk.st, tcp_rst_out);
		tcp_done_locked(t);
		return;
	}
	tcp_fin_locked(t, peer);
	if (t->sk.state == NET_FIN_WAIT2)
		port_time_wait(&t->sk, true);
}

/* Takes t apart from its peer; pipes go too if the socket starts anew. */
static void part(struct tcp_sock *t, bool closing, bool abort)
{
	struct tcp_sock *peer;

	mutex_lock(&t->send_lock);
	mutex_lock(&t->recv_lock);
	peer = t->peer;
	if (peer) {
		mutex_lock_pair(&t->sk.lock, &peer->sk.lock);
		close_states_locked(t, peer, abort);
		t->peer = NULL;
	} else {
		mutex_lock(&t->sk.lock);
		tcp_done_locked(t);
	}
	if (closing) {
		__atomic_store_n(&t->sk.closed, true, __ATOMIC_RELEASE);
		t->sk.owner = NULL;
		port_release(&t->sk);
	} else {
		drop_pipes(t);
		sk_set_state(&t->sk, NET_CLOSE);
		tcp_forget_names_locked(t);
	}
	if (peer)
		mutex_unlock_pair(&t->sk.lock, &peer->sk.lock);
	else
		mutex_unlock(&t->sk.lock);
	mutex_unlock(&t->recv_lock);
	mutex_unlock(&t->send_lock);
	if (!peer)
		return;
	if (UNLIKELY(__atomic_load_n(&peer->deferred, __ATOMIC_RELAXED)))
		tcp_undefer(peer);
	tcp_wake_all(peer);
	sk_put(&peer->sk);
}

/* The engine of the wire goes on alone with what is left of the connection. */
static void close_wire(struct tcp_sock *t, bool abort)
{
	mutex_lock(&t->send_lock);
	mutex_lock(&t->recv_lock);
	mutex_lock(&t->sk.lock);
	__atomic_store_n(&t->sk.closed, true, __ATOMIC_RELEASE);
	t->sk.owner = NULL;
	sk_add_shut(&t->sk, SHUT_ALL);
	mutex_unlock(&t->sk.lock);
	t->sk.st->wire->close(t, abort || (t->sk.opts.linger_on && t->sk.opts.linger == 0));
	mutex_unlock(&t->recv_lock);
	mutex_unlock(&t->send_lock);
}

void tcp_abort_child(struct tcp_sock *n)
{
	struct tcp_sock *l;

	mutex_lock(&n->sk.lock);
	l = n->listener;
	n->listener = NULL;
	mutex_unlock(&n->sk.lock);
	if (n->wire)
		close_wire(n, true);
	else
		part(n, true, true);
	if (l)
		sk_put(&l->sk);
	sk_put(&n->sk);
}

void tcp_close(struct net_sock *sk)
{
	struct tcp_sock *t = tcp_of(sk);

	if (t->wire) {
		close_wire(t, false);
		return;
	}

	switch (sk_state(sk)) {
	case NET_LISTEN:
		tcp_end_listening(t);
		break;
	case NET_SYN_SENT:
		tcp_leave_pending(t);
		break;
	default:
		break;
	}
	part(t, true, false);
}

int tcp_disconnect(struct net_sock *sk)
{
	struct tcp_sock *t = tcp_of(sk);

	if (t->wire) {
		mutex_lock(&t->send_lock);
		mutex_lock(&t->recv_lock);
		sk->st->wire->close(t, true);
		mutex_lock(&sk->lock); /* against whoever looks at it */
		sk->st->wire->destroy(t);
		mutex_unlock(&sk->lock);
		mutex_unlock(&t->recv_lock);
		mutex_unlock(&t->send_lock);
	}
	if (sk_state(sk) == NET_LISTEN)
		tcp_end_listening(t);
	else if (sk_state(sk) == NET_SYN_SENT)
		tcp_leave_pending(t);
	part(t, false, sk_state(sk) != NET_CLOSE);
	sk_set_error(sk, 0);
	tcp_wake_all(t);
	return 0;
}

static int shutdown_unconnected(struct tcp_sock *t, bool rd, bool wr)
{
	switch (sk_state(&t->sk)) {
	case NET_LISTEN:
		if (rd) {
			tcp_end_listening(t);
			tcp_wake_all(t);
		}
		return 0;
	case NET_SYN_SENT:
		return tcp_disconnect(&t->sk);
	default:
		mutex_lock(&t->sk.lock);
		sk_add_shut(&t->sk, (uint8_t)((rd ? SHUT_RD_ : 0) | (wr ? SHUT_WR_ : 0)));
		mutex_unlock(&t->sk.lock);
		tcp_wake_all(t);
		return -ENOTCONN;
	}
}

int tcp_shutdown(struct net_sock *sk, bool rd, bool wr)
{
	struct tcp_sock *t = tcp_of(sk), *peer;

	switch (sk_state(sk)) {
	case NET_LISTEN:
	case NET_SYN_SENT:
	case NET_CLOSE:
		return shutdown_unconnected(t, rd, wr);
	default:
		break;
	}
	mutex_lock(&t->send_lock);
	if (t->wire) {
		sk->st->wire->shutdown(t, rd, wr);
		mutex_unlock(&t->send_lock);
		tcp_wake_all(t);
		return 0;
	}
	peer = t->peer ? tcp_of(sk_get(&t->peer->sk)) : NULL;
	if (peer) {
		mutex_lock_pair(&sk->lock, &peer->sk.lock);
		if (rd)
			sk_add_shut(sk, SHUT_RD_);
		if (wr)
			tcp_fin_locked(t, peer);
		mutex_unlock_pair(&sk->lock, &peer->sk.lock);
	}
	mutex_unlock(&t->send_lock);
	if (peer) {
		if (UNLIKELY(__atomic_load_n(&peer->deferred, __ATOMIC_RELAXED)))
			tcp_undefer(peer);
		tcp_wake_all(peer);
		sk_put(&peer->sk);
	}
	tcp_wake_all(t);
	return 0;
}
