/* dgram.c: SOCK_DGRAM and SOCK_SEQPACKET: whole messages in the receiver's list. A sender is limited by its
 * own buffer (what it sent and nobody has read) and by the length of the receiver's queue; the receiver
 * wakes those it turned away. */
#include <string.h>

#include "platform/abi/errno.h"
#include "platform/abi/fcntl.h"
#include "platform/base/arena.h"
#include "sentry/socket/filter.h"
#include "sentry/socket/unix/internal.h"

static uint32_t charge_of(uint32_t len)
{
	return len + UNIX_OVERHEAD;
}

/* Gives the sender its room back. */
static void uncharge(struct unix_sock *sender, uint32_t n)
{
	uint32_t after = __atomic_sub_fetch(&sender->sent_charge, n, __ATOMIC_ACQ_REL);

	if (!unix_writable((uint64_t)after + n, sender->s.sndbuf) && unix_writable(after, sender->s.sndbuf))
		waitq_wake(&sender->s.wq, OUT_EVENTS);
}

void unix_msg_free(struct unix_msg *msg)
{
	uncharge(msg->sender, charge_of(msg->len));
	unix_put(msg->sender);
	unix_scm_free(msg->scm);
	kfree(msg);
}

/* Only a receiver that isn't connected back to the sender limits its queue's length. */
static bool queue_full(const struct unix_sock *u, const struct unix_sock *to)
{
	return __atomic_load_n(&to->msg_count, __ATOMIC_ACQUIRE) >= UNIX_DGRAM_QLEN && to->peer != u;
}

bool unix_dgram_has_room(struct unix_sock *u, struct unix_sock *peer)
{
	bool room;

	if (!queue_full(u, peer))
		return true;
	mutex_lock(&peer->lock);
	room = !queue_full(u, peer) || peer->dead || (peer->shut & UNIX_RCV_SHUT);
	if (!room) {
		peer->has_waiters = true;
		room = unix_wait_add(peer, u) < 0;
	}
	mutex_unlock(&peer->lock);
	return room;
}

/* The receiver with a reference. */
static int find_target(struct unix_sock *u, const struct sock_caller *c, struct sock_msg *m,
		       struct unix_sock **out)
{
	struct unix_sock *to = NULL;

	if (u->s.type == LINUX_SOCK_SEQPACKET && u->state != UNIX_CONNECTED)
		return -ENOTCONN;
	if (m->name && m->name->len && u->s.type != LINUX_SOCK_SEQPACKET)
		return unix_find(c, m->name, u->s.type, u->net_ns, out);
	mutex_lock(&u->lock);
	if (u->peer)
		to = unix_get(u->peer);
	mutex_unlock(&u->lock);
	if (!to)
		return -ENOTCONN;
	*out = to;
	return 0;
}

void unix_dgram_disconnected(struct unix_sock *u, struct unix_sock *old)
{
	struct unix_msg *m, *tmp;
	struct list msgs;

	list_init(&msgs);
	mutex_lock(&u->lock);
	list_splice_tail(&msgs, &u->msgs);
	u->msg_bytes = 0;
	__atomic_store_n(&u->msg_count, 0, __ATOMIC_RELEASE);
	mutex_unlock(&u->lock);
	if (list_empty(&msgs))
		return;
	list_for_each_safe (m, tmp, &msgs, node) {
		list_del(&m->node);
		unix_msg_free(m);
	}
	unix_wait_wake(u);
	mutex_lock(&old->lock);
	if (!old->dead && old->peer == u)
		__atomic_store_n(&old->s.error, ECONNRESET, __ATOMIC_RELEASE);
	mutex_unlock(&old->lock);
	waitq_wake(&old->s.wq, EV_ERR);
}

/* A connected datagram socket whose peer is gone is unconnected again. */
static int peer_is_dead(struct unix_sock *u, struct unix_sock *to)
{
	bool was_peer;

	if (u->s.type == LINUX_SOCK_SEQPACKET)
		return -EPIPE;
	mutex_lock(&u->lock);
	was_peer = u->peer == to;
	if (was_peer)
		__atomic_store_n(&u->peer, NULL, __ATOMIC_RELEASE);
	mutex_unlock(&u->lock);
	if (was_peer) {
		unix_dgram_disconnected(u, to);
		unix_put(to);
	}
	return -ECONNREFUSED;
}

static int may_send_locked(struct unix_sock *u, struct unix_sock *to)
{
	if (to->dead)
		return -ECONNREFUSED; /* the caller finds out more */
	if (to->peer && to->peer != u)
		return -EPERM;
	if (to->shut & UNIX_RCV_SHUT)
		return -EPIPE;
	if (queue_full(u, to)) {
		to->has_waiters = true;
		return unix_wait_add(to, u) < 0 ? -ENOMEM : -EAGAIN;
	}
	return 0;
}

/* Checks that need no message yet, so that a sender that waits costs little. */
static int check_send(struct unix_sock *u, struct unix_sock *to, struct sock_msg *m)
{
	uint64_t limit = (uint32_t)u->s.sndbuf;
	bool dead;
	int ret;

	if (m->uio->resid > limit - 32)
		return -EMSGSIZE;
	if (unix_shut(u) & UNIX_SND_SHUT)
		return -EPIPE;
	if (__atomic_load_n(&u->sent_charge, __ATOMIC_ACQUIRE) >= limit)
		return -EAGAIN;
	mutex_lock(&to->lock);
	ret = may_send_locked(u, to);
	dead = to->dead;
	mutex_unlock(&to->lock);
	return dead ? peer_is_dead(u, to) : ret;
}

static int make_msg(struct unix_sock *u, struct uio *src, struct unix_msg **out)
{
	size_t n = src->resid;
	struct unix_msg *msg = kmalloc(sizeof(*msg) + n);

	if (!msg)
		return -ENOMEM;
	if (n && uio_get(src, msg->data, n) != (ssize_t)n) {
		kfree(msg);
		return -EFAULT;
	}
	msg->len = (uint32_t)n;
	msg->sender = unix_get(u);
	__atomic_add_fetch(&u->sent_charge, charge_of(msg->len), __ATOMIC_ACQ_REL);
	*out = msg;
	return 0;
}

/* The receiver's packet filter: false: it doesn't want msg; it may want less of it. */
static bool filter(struct unix_sock *u, struct unix_sock *to, struct unix_msg *msg)
{
	struct filter_packet p = {.data = msg->data, .len = msg->len};
	uint32_t keep = socket_filter_run(&to->s, &p), cut = msg->len - keep;

	if (!keep)
		return !msg->len && !__atomic_load_n(&to->s.filter, __ATOMIC_RELAXED);
	msg->len = keep;
	if (cut)
		uncharge(u, cut);
	return true;
}

static int send_to(struct unix_sock *u, struct unix_sock *to, const struct sock_caller *c, struct sock_msg *m)
{
	struct uio saved = *m->uio;
	uint32_t files = m->file_count;
	struct unix_msg *msg;
	int ret = check_send(u, to, m);

	if (ret < 0)
		return ret;
	ret = make_msg(u, m->uio, &msg);
	if (ret < 0)
		return ret;
	if (m->file_count || m->have_cred || socket_option(&u->s, LINUX_SO_PASSCRED) ||
	    socket_option(&to->s, LINUX_SO_PASSCRED)) {
		ret = unix_scm_take(u, to, c, m, &msg->scm);
		if (ret < 0)
			goto fail;
	}
	if (UNLIKELY(!filter(u, to, msg))) {
		unix_msg_free(msg); /* as if it had arrived */
		return 0;
	}
	mutex_lock(&to->lock);
	ret = may_send_locked(u, to);
	if (ret == 0) {
		list_add_tail(&to->msgs, &msg->node);
		to->msg_bytes += msg->len;
		__atomic_store_n(&to->msg_count, to->msg_count + 1, __ATOMIC_RELEASE);
	}
	mutex_unlock(&to->lock);
	if (ret == 0)
		return 0;
fail:
	unix_msg_free(msg);
	*m->uio = saved;
	m->file_count = files;
	return ret;
}

ssize_t unix_dgram_send(struct socket *s, const struct sock_caller *c, struct sock_msg *m)
{
	struct unix_sock *u = unix_of(s), *to;
	size_t n = m->uio->resid;
	int ret;

	if (m->flags & LINUX_MSG_OOB)
		return -EOPNOTSUPP;
	ret = socket_take_error(s);
	if (ret)
		return -ret;
	if (s->type == LINUX_SOCK_DGRAM && (unix_shut(u) & UNIX_SND_SHUT))
		return n > (uint32_t)s->sndbuf - 32u ? -EMSGSIZE : -EPIPE;
	ret = find_target(u, c, m, &to);
	if (ret < 0)
		return ret;
	if (socket_option(s, LINUX_SO_PASSCRED))
		ret = unix_autobind(u);
	if (ret == 0)
		ret = send_to(u, to, c, m);
	if (ret == 0)
		waitq_wake(&to->s.wq, IN_EVENTS);
	unix_put(to);
	return ret < 0 ? ret : (ssize_t)n;
}

/* Datagram sockets that are shut down end a wait, but say nothing to those who don't wait. */
static ssize_t nothing_there(struct unix_sock *u, const struct sock_msg *m)
{
	const struct file *f = u->s.file;

	if (!(u->shut & UNIX_RCV_SHUT))
		return -EAGAIN;
	if (u->s.type == LINUX_SOCK_SEQPACKET)
		return 0;
	return (m->flags & LINUX_MSG_DONTWAIT) || (f && (f->flags & LINUX_O_NONBLOCK)) ? -EAGAIN : 0;
}

/* Takes the first message off the queue, or (peek) looks at it. */
static ssize_t recv_locked(struct unix_sock *u, struct sock_msg *m, struct unix_msg **done)
{
	struct unix_msg *msg = list_first(&u->msgs, struct unix_msg, node);
	bool peek = (m->flags & LINUX_MSG_PEEK) != 0;
	size_t n;
	ssize_t ret = 0;

	if (!msg)
		return nothing_there(u, m);
	n = MIN((uint64_t)msg->len, m->uio->resid);
	if (n) {
		ret = uio_put(m->uio, msg->data, n);
		if (ret != (ssize_t)n)
			ret = -EFAULT;
	}
	if (ret >= 0) {
		if (msg->len > n)
			m->flags |= LINUX_MSG_TRUNC;
		if (m->name) {
			m->name->len = 0;
			if (__atomic_load_n(&msg->sender->addr, __ATOMIC_ACQUIRE))
				unix_addr_fill(msg->sender, m->name);
		}
		unix_scm_give(u, msg->scm, m, peek);
	}
	if (!peek) {
		list_del(&msg->node);
		u->msg_bytes -= msg->len;
		__atomic_store_n(&u->msg_count, u->msg_count - 1, __ATOMIC_RELEASE);
		*done = msg;
	}
	return ret < 0 ? ret : (ssize_t)msg->len;
}

ssize_t unix_dgram_recv(struct socket *s, const struct sock_caller *c, struct sock_msg *m)
{
	struct unix_sock *u = unix_of(s);
	bool peek = (m->flags & LINUX_MSG_PEEK) && m->files, want_len = (m->flags & LINUX_MSG_TRUNC) != 0;
	struct unix_msg *done = NULL;
	size_t room = m->uio->resid;
	bool wake = false;
	ssize_t ret;

	(void)c;
	if (m->flags & LINUX_MSG_OOB)
		return -EOPNOTSUPP;
	if (s->type == LINUX_SOCK_SEQPACKET && u->state != UNIX_CONNECTED)
		return -ENOTCONN;
	m->file_count = 0;
	m->have_cred = false;
	m->flags &= ~LINUX_MSG_TRUNC;
	ret = socket_take_error(s);
	if (ret)
		return -ret;
	if (peek)
		mutex_lock(&unix_state()->gc_lock);
	mutex_lock(&u->lock);
	ret = recv_locked(u, m, &done);
	if (done && u->has_waiters) {
		u->has_waiters = false;
		wake = true;
	}
	mutex_unlock(&u->lock);
	if (peek)
		mutex_unlock(&unix_state()->gc_lock);
	if (wake)
		unix_wait_wake(u);
	if (done)
		unix_msg_free(done);
	return ret > 0 && !want_len ? (ssize_t)MIN((size_t)ret, room) : ret;
}
