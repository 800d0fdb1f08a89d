/* connect.c: listening, connecting and accepting, and the books of who waits for whom. Both ends of a
 * connection exist from connect on; accept only hands the second one out. */
#include <string.h>

#include "platform/abi/errno.h"
#include "platform/base/arena.h"
#include "sentry/socket/unix/internal.h"

void unix_link_pair(struct unix_sock *a, struct unix_sock *b)
{
	if (a->s.type != LINUX_SOCK_DGRAM) {
		__atomic_store_n(&a->state, UNIX_CONNECTED, __ATOMIC_RELEASE);
		__atomic_store_n(&b->state, UNIX_CONNECTED, __ATOMIC_RELEASE);
	}
	__atomic_store_n(&a->peer, unix_get(b), __ATOMIC_RELEASE);
	__atomic_store_n(&b->peer, unix_get(a), __ATOMIC_RELEASE);
}

int unix_wait_add(struct unix_sock *target, struct unix_sock *waiter)
{
	struct unix_state *st = unix_state();
	struct unix_wait *w, *fresh = kmalloc(sizeof(*fresh));

	if (!fresh)
		return -ENOMEM;
	mutex_lock(&st->names_lock);
	list_for_each (w, &waiter->waiting, by) {
		if (w->target == target)
			goto out;
	}
	fresh->target = target;
	fresh->waiter = waiter;
	list_add_tail(&target->waiters, &fresh->at);
	list_add_tail(&waiter->waiting, &fresh->by);
	fresh = NULL;
out:
	mutex_unlock(&st->names_lock);
	kfree(fresh);
	return 0;
}

static void wait_remove_locked(struct unix_wait *w)
{
	list_del(&w->at);
	list_del(&w->by);
	kfree(w);
}

void unix_wait_wake(struct unix_sock *target)
{
	struct unix_state *st = unix_state();
	struct unix_wait *w, *tmp;

	mutex_lock(&st->names_lock);
	list_for_each_safe (w, tmp, &target->waiters, at) {
		waitq_wake(&w->waiter->s.wq, OUT_EVENTS);
		wait_remove_locked(w);
	}
	mutex_unlock(&st->names_lock);
}

void unix_wait_forget(struct unix_sock *u)
{
	struct unix_state *st = unix_state();
	struct unix_wait *w, *tmp;

	mutex_lock(&st->names_lock);
	list_for_each_safe (w, tmp, &u->waiting, by)
		wait_remove_locked(w);
	mutex_unlock(&st->names_lock);
}

int unix_listen(struct socket *s, const struct sock_caller *c, int backlog)
{
	struct unix_sock *u = unix_of(s);
	int ret = 0;

	mutex_lock(&u->lock);
	if (!u->addr || u->state == UNIX_CONNECTED || u->connecting) {
		ret = -EINVAL;
	} else {
		u->backlog = MIN((uint32_t)backlog, UNIX_SOMAXCONN);
		unix_peer_set(&u->peer_id, c);
		__atomic_store_n(&u->state, UNIX_LISTENING, __ATOMIC_RELEASE);
	}
	mutex_unlock(&u->lock);
	if (ret == 0)
		unix_wait_wake(u); /* the backlog may have grown */
	return ret;
}

/* Both locked: the last checks, then the connection. */
static int link_locked(struct unix_sock *u, struct unix_sock *l, struct unix_sock *e)
{
	if (l->dead || l->state != UNIX_LISTENING || (l->shut & UNIX_RCV_SHUT))
		return -ECONNREFUSED;
	if (l->accept_count > l->backlog)
		return -EAGAIN;
	if (u->state == UNIX_CONNECTED)
		return -EISCONN;
	if (u->state != UNIX_UNCONNECTED)
		return -EINVAL;
	e->embryo = true;
	if (l->addr) {
		refs_get(&l->addr->refs);
		e->addr = l->addr;
		e->binding = true;
	}
	e->s.options = l->s.options & (1ULL << LINUX_SO_PASSCRED | 1ULL << LINUX_SO_PASSSEC);
	u->peer_id.pid = l->peer_id.pid;
	if (!u->peer_id.cred && l->peer_id.cred)
		u->peer_id.cred = cred_get(l->peer_id.cred);
	unix_link_pair(u, e);
	list_add_tail(&l->accept_queue, &e->accept_node);
	__atomic_store_n(&l->accept_count, l->accept_count + 1, __ATOMIC_RELEASE);
	return 0;
}

/* One attempt at listener l. */
static int connect_to(struct unix_sock *u, struct unix_sock *l, const struct sock_caller *c)
{
	struct unix_sock *e;
	int ret;

	if (u == l)
		return u->state == UNIX_LISTENING ? -EINVAL : -ECONNREFUSED;
	ret = unix_new(u->s.type, c, &e);
	if (ret < 0)
		return ret;
	e->net_ns = l->net_ns;
	unix_peer_set(&e->peer_id, c);
	mutex_lock_pair(&u->lock, &l->lock);
	ret = link_locked(u, l, e);
	if (ret == -EAGAIN) {
		l->has_waiters = true;
		if (unix_wait_add(l, u) < 0)
			ret = -ENOMEM;
	}
	mutex_unlock_pair(&u->lock, &l->lock);
	if (ret < 0) {
		unix_put(e);
		return ret;
	}
	waitq_wake(&l->s.wq, IN_EVENTS);
	waitq_wake(&u->s.wq, OUT_EVENTS);
	return 0;
}

/* Remembers the listener that had no room (NULL: forgets). Takes the reference. */
static void set_connecting(struct unix_sock *u, struct unix_sock *l)
{
	struct unix_sock *old;

	mutex_lock(&u->lock);
	old = u->connecting;
	u->connecting = l;
	mutex_unlock(&u->lock);
	if (old)
		unix_put(old);
}

int unix_connect(struct socket *s, const struct sock_caller *c, const struct sockaddr_buf *a,
		 uint32_t file_flags)
{
	struct unix_sock *u = unix_of(s), *l;
	int ret;

	(void)file_flags;
	ret = unix_find(c, a, s->type, u->net_ns, &l);
	if (ret < 0)
		return ret;
	if (socket_option(s, LINUX_SO_PASSCRED)) {
		ret = unix_autobind(u);
		if (ret < 0) {
			unix_put(l);
			return ret;
		}
	}
	ret = connect_to(u, l, c);
	if (ret == -EAGAIN)
		set_connecting(u, unix_get(l));
	else
		set_connecting(u, NULL);
	unix_put(l);
	return ret;
}

/* Called when the listener may have room: tries again. The credentials are those of the first attempt. */
int unix_connect_result(struct socket *s)
{
	struct unix_sock *u = unix_of(s), *l;
	struct sock_caller c = {.pid = s->creator_pid, .net_ns = u->net_ns};
	struct vfs_at at = {.cred = s->file ? s->file->cred : NULL};
	int ret;

	mutex_lock(&u->lock);
	l = u->connecting ? unix_get(u->connecting) : NULL;
	ret = u->state == UNIX_CONNECTED ? 0 : -ENOTCONN;
	mutex_unlock(&u->lock);
	if (!l)
		return ret;
	c.at = &at;
	ret = connect_to(u, l, &c);
	if (ret != -EAGAIN)
		set_connecting(u, NULL);
	unix_put(l);
	return ret;
}

int unix_connect_dgram(struct socket *s, const struct sock_caller *c, const struct sockaddr_buf *a,
		       uint32_t file_flags)
{
	struct unix_sock *u = unix_of(s), *other = NULL, *old, *back;
	int ret = 0;

	(void)file_flags;
	if (a->len < 2)
		return -EINVAL;
	if (a->family != LINUX_AF_UNSPEC) {
		ret = unix_find(c, a, s->type, u->net_ns, &other);
		if (ret == 0 && socket_option(s, LINUX_SO_PASSCRED))
			ret = unix_autobind(u);
		if (ret == 0) {
			back = unix_peer_of(other); /* an address to compare with, never followed */
			if (back && back != u)
				ret = -EPERM;
		}
		if (ret < 0) {
			if (other)
				unix_put(other);
			return ret;
		}
	}
	mutex_lock(&u->lock);
	old = u->peer;
	__atomic_store_n(&u->peer, other, __ATOMIC_RELEASE);
	mutex_unlock(&u->lock);
	unix_wait_forget(u);
	waitq_wake(&s->wq, OUT_EVENTS);
	if (old) {
		if (old != other)
			unix_dgram_disconnected(u, old);
		unix_put(old);
	}
	return 0;
}

int unix_accept(struct socket *s, const struct sock_caller *c, struct socket **out, struct sockaddr_buf *peer)
{
	struct unix_sock *u = unix_of(s), *e, *p;
	bool wake;

	(void)c;
	mutex_lock(&u->lock);
	if (u->state != UNIX_LISTENING) {
		mutex_unlock(&u->lock);
		return -EINVAL;
	}
	e = list_first(&u->accept_queue, struct unix_sock, accept_node);
	if (!e) {
		bool shut = (u->shut & UNIX_RCV_SHUT) != 0;

		mutex_unlock(&u->lock);
		return shut ? -EINVAL : -EAGAIN;
	}
	list_del(&e->accept_node);
	__atomic_store_n(&u->accept_count, u->accept_count - 1, __ATOMIC_RELEASE);
	wake = u->has_waiters;
	u->has_waiters = false;
	mutex_unlock(&u->lock);
	if (wake)
		unix_wait_wake(u);
	mutex_lock(&e->lock);
	e->embryo = false;
	p = e->peer ? unix_get(e->peer) : NULL;
	mutex_unlock(&e->lock);
	if (peer) {
		if (p)
			unix_addr_fill(p, peer);
		else
			*peer = (struct sockaddr_buf){.len = 2, .family = LINUX_AF_UNIX};
	}
	if (p)
		unix_put(p);
	*out = &e->s;
	return 0;
}
