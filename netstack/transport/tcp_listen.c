/* tcp_listen.c: listening sockets whose visitors are on this machine: a connection is made at once, into the
 * queue that accept(2) empties; who finds that full waits as SYN_SENT until there is room. */
#include "netstack/internal.h"

/* c (SYN_SENT) and a new child of l: connected. Both locked. -ENOMEM */
int tcp_link_locked(struct tcp_sock *l, struct tcp_sock *c)
{
	struct tcp_pipe *up = tcp_pipe_create(l->sk.st), *down = tcp_pipe_create(l->sk.st);
	struct net_sock *csk;
	struct tcp_sock *n;

	if (!up || !down)
		goto no_pipes;
	if (net_sock_create(l->sk.st, NET_TCP, l->sk.family, PROTO_TCP, NULL, l->sk.uid, &csk) < 0)
		goto no_pipes;
	n = tcp_of(csk);
	csk->opts = l->sk.opts;
	csk->local = c->sk.remote;
	csk->remote = c->sk.local;
	csk->connected = true;
	if (port_join(csk, &l->sk) < 0)
		goto no_port;
	n->in = up;
	n->out = down;
	c->in = down;
	c->out = up;
	refs_get(&up->refs);
	refs_get(&down->refs);
	n->peer = tcp_of(sk_get(&c->sk));
	c->peer = tcp_of(sk_get(csk));
	tcp_caps_locked(n, c);
	n->embryo = true;
	sk_set_state(csk, NET_ESTABLISHED);
	sk_set_state(&c->sk, NET_ESTABLISHED);
	c->sk.connected = true;
	list_add_tail(&l->queue, &n->qnode); /* the creation's reference */
	if (l->sk.opts.defer_accept) {
		n->deferred = true;
		n->listener = tcp_of(sk_get(&l->sk));
	} else {
		__atomic_store_n(&l->queued, l->queued + 1, __ATOMIC_RELEASE);
	}
	if (UNLIKELY(stack_tapped(l->sk.st)))
		tcp_tap_open(c);
	COUNT(l->sk.st, tcp_passive);
	__atomic_add_fetch(&l->sk.st->counters.tcp_established, 2, __ATOMIC_RELAXED);
	return 0;
no_port:
	csk->connected = false;
	sk_put(csk);
no_pipes:
	if (up)
		tcp_pipe_put(up);
	if (down)
		tcp_pipe_put(down);
	return -ENOMEM;
}

bool tcp_queue_full(const struct tcp_sock *l)
{
	return l->queued > l->backlog;
}

/* The first data of a connection that its listener put off. */
void tcp_undefer(struct tcp_sock *n)
{
	struct tcp_sock *l = NULL;

	mutex_lock(&n->sk.lock);
	if (n->deferred && n->listener)
		l = tcp_of(sk_get(&n->listener->sk));
	mutex_unlock(&n->sk.lock);
	if (!l)
		return;
	mutex_lock(&l->sk.lock);
	if (n->deferred && l->sk.state == NET_LISTEN) {
		__atomic_store_n(&n->deferred, false, __ATOMIC_RELEASE);
		__atomic_store_n(&l->queued, l->queued + 1, __ATOMIC_RELEASE);
	}
	mutex_unlock(&l->sk.lock);
	waitq_wake(&l->sk.wq, IN_EVENTS);
	sk_put(&l->sk);
}

int tcp_listen(struct net_sock *sk, int backlog)
{
	struct tcp_sock *t = tcp_of(sk);
	int ret = 0;

	mutex_lock(&sk->lock);
	if (sk->connected || t->in_progress || (sk->state != NET_CLOSE && sk->state != NET_LISTEN)) {
		ret = -EINVAL;
		goto out;
	}
	t->backlog = (uint32_t)backlog;
	if (sk->state == NET_LISTEN)
		goto out;
	if (!sk->bind.port)
		ret = port_bind(sk, &sk->local.addr, 0);
	if (ret == 0)
		ret = port_listen(sk);
	if (ret == 0) {
		__atomic_store_n(&sk->shut, 0, __ATOMIC_RELEASE);
		sk_set_state(sk, NET_LISTEN);
	}
out:
	mutex_unlock(&sk->lock);
	return ret;
}

/* Who waited for room gets it. l locked; they are woken by the caller. */
static struct tcp_sock *admit_locked(struct tcp_sock *l)
{
	struct tcp_sock *c = list_first(&l->pending, struct tcp_sock, qnode);

	if (!c || tcp_queue_full(l))
		return NULL;
	list_del(&c->qnode);
	mutex_lock_nested(&c->sk.lock);
	if (c->sk.state == NET_SYN_SENT && tcp_link_locked(l, c) < 0)
		tcp_refuse_locked(c, ENOMEM);
	c->listener = NULL;
	mutex_unlock(&c->sk.lock);
	return c; /* the pending list's reference */
}

int tcp_accept(struct net_sock *sk, struct net_sock **out)
{
	struct tcp_sock *l = tcp_of(sk), *n, *found = NULL, *c = NULL;
	int ret = -EAGAIN;

	mutex_lock(&sk->lock);
	if (sk->state != NET_LISTEN) {
		mutex_unlock(&sk->lock);
		return -EINVAL;
	}
	list_for_each (n, &l->queue, qnode) {
		if (!n->deferred) {
			found = n;
			break;
		}
	}
	if (found) {
		list_del(&found->qnode);
		found->embryo = false;
		__atomic_store_n(&l->queued, l->queued - 1, __ATOMIC_RELEASE);
		c = admit_locked(l);
		ret = 0;
	}
	mutex_unlock(&sk->lock);
	if (c) {
		tcp_wake_all(c);
		sk_put(&c->sk);
		sk_put(sk); /* c's hold of its listener; the caller has its own */
	}
	if (!found)
		return ret;
	mutex_lock(&found->sk.lock);
	n = found->listener;
	found->listener = NULL;
	mutex_unlock(&found->sk.lock);
	if (n)
		sk_put(&n->sk);
	*out = &found->sk;
	return 0;
}

/* Nobody will accept from l again. */
void tcp_end_listening(struct tcp_sock *l)
{
	struct tcp_sock *n, *tmp;
	struct list children, waiters;

	list_init(&children);
	list_init(&waiters);
	mutex_lock(&l->sk.lock);
	if (l->sk.state != NET_LISTEN) {
		mutex_unlock(&l->sk.lock);
		return;
	}
	port_unlisten(&l->sk);
	sk_set_state(&l->sk, NET_CLOSE);
	if (!l->sk.bound_port)
		port_release(&l->sk);
	list_splice_tail(&children, &l->queue);
	__atomic_store_n(&l->queued, 0, __ATOMIC_RELEASE);
	list_splice_tail(&waiters, &l->pending);
	list_for_each (n, &waiters, qnode) {
		mutex_lock_nested(&n->sk.lock);
		n->listener = NULL;
		if (n->sk.state == NET_SYN_SENT)
			tcp_refuse_locked(n, ECONNREFUSED);
		mutex_unlock(&n->sk.lock);
	}
	mutex_unlock(&l->sk.lock);
	list_for_each_safe (n, tmp, &waiters, qnode) {
		list_del(&n->qnode);
		tcp_wake_all(n);
		sk_put(&n->sk);
		sk_put(&l->sk);
	}
	list_for_each_safe (n, tmp, &children, qnode) {
		list_del(&n->qnode);
		tcp_abort_child(n);
	}
}

/* c no longer waits for room at a listener. */
void tcp_leave_pending(struct tcp_sock *c)
{
	struct tcp_sock *l;
	bool was = false;

	mutex_lock(&c->sk.lock);
	l = c->listener && c->sk.state == NET_SYN_SENT ? tcp_of(sk_get(&c->listener->sk)) : NULL;
	mutex_unlock(&c->sk.lock);
	if (l) {
		mutex_lock(&l->sk.lock);
		mutex_lock_nested(&c->sk.lock);
		if (c->listener == l && c->sk.state == NET_SYN_SENT) {
			list_del(&c->qnode);
			c->listener = NULL;
			was = true;
		}
		mutex_unlock(&c->sk.lock);
		mutex_unlock(&l->sk.lock);
		if (was) {
			sk_put(&l->sk);
			sk_put(&c->sk);
		}
		sk_put(&l->sk);
	}
	mutex_lock(&c->sk.lock);
	if (c->sk.state == NET_SYN_SENT)
		sk_set_state(&c->sk, NET_CLOSE);
	mutex_unlock(&c->sk.lock);
}
