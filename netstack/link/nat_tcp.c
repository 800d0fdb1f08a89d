/* nat_tcp.c: TCP sockets whose connection is a socket of the host. sbx-net connects it, as its policy allows,
 * and hands it over; from then on it is read and written here, on the thread that asks. What is waited for is
 * armed once (EPOLLONESHOT), so that a stream that flows wakes nobody. */
#include "netstack/link/nat.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/sockios.h>

#include "platform/base/log.h"
#include "platform/host/hostcall.h"

#define ARM_IN	(EPOLLIN | EPOLLPRI | EPOLLRDHUP)
#define ARM_OUT EPOLLOUT

static struct nat_conn *conn_of(const struct tcp_sock *t)
{
	return t->wire;
}

static int fd_of(const struct nat_conn *c)
{
	return __atomic_load_n(&c->fd, __ATOMIC_ACQUIRE);
}

/* ---- the table of connections ---- */

static int enter_locked(struct nat *n, struct nat_conn *c, struct tcp_sock *t)
{
	if (n->used == NAT_CONNS)
		return -ENOBUFS;
	while (n->slots[n->next])
		n->next = (n->next + 1) % NAT_CONNS;
	c->id = (uint64_t)++n->generation << 32 | (n->next + NAT_TAGS);
	c->t = t;
	n->slots[n->next] = c;
	n->used++;
	return 0;
}

static void leave_locked(struct nat *n, struct nat_conn *c)
{
	if (!c->id)
		return;
	n->slots[(uint32_t)c->id - NAT_TAGS] = NULL;
	n->used--;
	c->id = 0;
	c->t = NULL;
}

static struct nat_conn *find_locked(struct nat *n, uint64_t id)
{
	uint32_t slot = (uint32_t)id - NAT_TAGS;
	struct nat_conn *c = slot < NAT_CONNS ? n->slots[slot] : NULL;

	return c && c->id == id ? c : NULL;
}

/* Its socket, with a reference; NULL: it is closed. The connection stays as long as the reference is held. */
static struct tcp_sock *find(struct nat *n, uint64_t id, struct nat_conn **out)
{
	struct tcp_sock *t = NULL;
	struct nat_conn *c;

	mutex_lock(&n->lock);
	c = find_locked(n, id);
	if (c) {
		t = tcp_of(sk_get(&c->t->sk));
		*out = c;
	}
	mutex_unlock(&n->lock);
	return t;
}

static struct nat_conn *conn_new(struct nat *n)
{
	struct nat_conn *c = kmalloc(sizeof(*c));

	if (c) {
		c->n = n;
		c->fd = -1;
		mutex_init(&c->lock, RANK_NET_CONN);
	}
	return c;
}

/* ---- waiting ---- */

static void arm_locked(struct nat_conn *c, uint32_t events)
{
	struct epoll_event ev = {.events = events | EPOLLONESHOT, .data.u64 = c->id};

	if (fd_of(c) < 0)
		return;
	c->armed = events;
	(void)hc_epoll_ctl(c->n->ep, EPOLL_CTL_MOD, fd_of(c), &ev);
}

static void arm(struct nat_conn *c, uint32_t events)
{
	mutex_lock(&c->lock);
	if ((c->armed & events) != events)
		arm_locked(c, c->armed | events);
	mutex_unlock(&c->lock);
}

static int add_to_epoll(struct nat_conn *c)
{
	struct epoll_event ev = {.events = EPOLLONESHOT, .data.u64 = c->id};

	return hc_epoll_ctl(c->n->ep, EPOLL_CTL_ADD, fd_of(c), &ev);
}

/* Nothing may pass for now: the poller wakes us when something may. */
static void starve(struct nat_conn *c, uint32_t events)
{
	struct nat *n = c->n;
	bool first;

	__atomic_fetch_or(&c->starved, events, __ATOMIC_SEQ_CST);
	mutex_lock(&n->lock);
	first = !n->throttled;
	n->throttled = true;
	mutex_unlock(&n->lock);
	if (first)
		nat_kick(n);
}

void nat_feed(struct nat *n)
{
	struct tcp_sock *fed[64];
	uint32_t from = 0, count;
	bool in, out;

	if (!n->in.rate && !n->out.rate)
		return;
	in = !nat_rate_empty(n, &n->in);
	out = !nat_rate_empty(n, &n->out);
	if (!in && !out)
		return;
	mutex_lock(&n->lock);
	n->throttled = false;
	do {
		count = 0;
		for (; from < NAT_CONNS && count < ARRAY_SIZE(fed); from++) {
			struct nat_conn *c = n->slots[from];
			uint32_t now = c ? __atomic_load_n(&c->starved, __ATOMIC_SEQ_CST) : 0;

			now &= (in ? IN_EVENTS : 0) | (out ? OUT_EVENTS : 0);
			n->throttled |= c && c->starved & ~now;
			if (!now)
				continue;
			__atomic_fetch_and(&c->starved, ~now, __ATOMIC_SEQ_CST);
			fed[count++] = tcp_of(sk_get(&c->t->sk));
		}
		mutex_unlock(&n->lock);
		for (uint32_t i = 0; i < count; i++) {
			waitq_wake(&fed[i]->sk.wq, IN_EVENTS | OUT_EVENTS);
			sk_put(&fed[i]->sk);
		}
		mutex_lock(&n->lock);
	} while (count == ARRAY_SIZE(fed));
	mutex_unlock(&n->lock);
}

void nat_conn_event(struct nat *n, uint64_t id, uint32_t events)
{
	uint32_t wake = 0, rest;
	struct nat_conn *c;
	struct tcp_sock *t = find(n, id, &c);

	if (!t)
		return;
	if (events & EPOLLIN)
		wake |= IN_EVENTS;
	if (events & EPOLLOUT)
		wake |= OUT_EVENTS;
	if (events & EPOLLPRI)
		wake |= EV_PRI;
	if (events & EPOLLRDHUP)
		wake |= IN_EVENTS | EV_RDHUP;
	if (events & (EPOLLERR | EPOLLHUP))
		wake |= IN_EVENTS | OUT_EVENTS | EV_ERR | EV_HUP | EV_RDHUP;
	mutex_lock(&c->lock);
	rest = c->armed;
	if (wake & (IN_EVENTS | EV_PRI))
		rest &= ~ARM_IN;
	if (wake & OUT_EVENTS)
		rest &= ~ARM_OUT;
	c->armed = 0;
	if (rest)
		arm_locked(c, rest);
	mutex_unlock(&c->lock);
	waitq_wake(&t->sk.wq, wake);
	sk_put(&t->sk);
}

/* ---- connecting ---- */

static void say(struct nat *n, const struct nat_msg *m, int *ret)
{
	struct iovec iov = {(void *)m, sizeof(*m)};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t sent = __atomic_load_n(&n->dead, __ATOMIC_ACQUIRE) ? -ENETDOWN : hc_sendmsg(n->ctl, &h, 0);

	*ret = sent == (ssize_t)sizeof(*m) ? 0 : sent == -EAGAIN ? -ENOBUFS : -ENETDOWN;
}

int nat_connect(struct tcp_sock *t, const struct route *r)
{
	struct nat *n = nat_of(t->sk.st);
	struct nat_msg m = {.type = NAT_CONNECT,
			    .protocol = PROTO_TCP,
			    .sport = t->sk.local.port,
			    .dport = t->sk.remote.port};
	struct nat_conn *c = t->wire ?: conn_new(n); /* one that failed tries again */
	int ret;

	(void)r;
	if (!c)
		return -ENOMEM;
	mutex_lock(&n->lock);
	leave_locked(n, c);
	ret = enter_locked(n, c, t);
	m.id = c->id;
	mutex_unlock(&n->lock);
	memcpy(m.src, t->sk.local.addr.b, 16);
	memcpy(m.dst, t->sk.remote.addr.b, 16);
	c->local = net_addr_eq(&t->sk.remote.addr, &t->sk.st->resolver);
	t->wire = c;
	if (ret == 0)
		say(n, &m, &ret);
	if (ret < 0) {
		mutex_lock(&n->lock);
		leave_locked(n, c);
		mutex_unlock(&n->lock);
		return ret;
	}
	NAT_COUNT(n, connects, 1);
	return 0;
}

static void cancel(struct nat *n, uint64_t id)
{
	struct nat_msg m = {.type = NAT_CANCEL, .id = id};
	int ret;

	say(n, &m, &ret);
}

/* A socket of the host for a connection that may have been closed meanwhile: then it is the caller's still. */
static bool install(struct nat *n, struct nat_conn *c, uint64_t id, int fd)
{
	bool there;

	mutex_lock(&n->lock);
	there = c->id == id && c->fd < 0;
	if (there)
		__atomic_store_n(&c->fd, fd, __ATOMIC_RELEASE);
	mutex_unlock(&n->lock);
	return there;
}

void nat_connected(struct nat *n, const struct nat_msg *m, int fd)
{
	struct nat_conn *c;
	struct tcp_sock *t = find(n, m->id, &c);
	int error = m->error > 0 && m->error < 4096 ? m->error : fd < 0 ? EMFILE : 0;

	if (error && t) {
		if (m->flags & NAT_REFUSED)
			NAT_COUNT(n, refused, 1);
		else
			NAT_COUNT(n, failed, 1);
		tcp_wire_failed(t, error);
	} else if (t && install(n, c, m->id, fd)) {
		fd = -1;
		if (add_to_epoll(c) < 0) {
			tcp_wire_failed(t, ENOBUFS);
		} else {
			nat_configure(c);
			tcp_wire_connected(t);
		}
	}
	if (fd >= 0)
		(void)hc_close(fd);
	if (t)
		sk_put(&t->sk);
}

void nat_fail_pending(struct nat *n)
{
	for (uint32_t i = 0; i < NAT_CONNS; i++) {
		struct tcp_sock *t = NULL;

		mutex_lock(&n->lock);
		if (n->slots[i] && n->slots[i]->fd < 0)
			t = tcp_of(sk_get(&n->slots[i]->t->sk));
		mutex_unlock(&n->lock);
		if (!t)
			continue;
		tcp_wire_failed(t, ENETDOWN);
		sk_put(&t->sk);
	}
}

void nat_reset(int fd)
{
	struct linger now = {.l_onoff = 1};

	(void)hc_setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	(void)hc_close(fd);
}

bool nat_accepted(struct nat *n, const struct nat_msg *m, int fd)
{
	struct net_name local = {.port = m->dport}, remote = {.port = m->sport};
	struct tcp_sock *child = NULL;
	struct nat_conn *c = NULL;
	struct net_sock *l;
	int ret = -ENOMEM;

	memcpy(local.addr.b, m->dst, 16);
	memcpy(remote.addr.b, m->src, 16);
	l = port_find_listener(n->st, &local, &remote, n->ifindex);
	if (l && tcp_listener_full(tcp_of(l)))
		ret = -EAGAIN;
	else if (l)
		c = conn_new(n);
	if (c)
		ret = tcp_child_create(tcp_of(l), &local, &remote, &child);
	if (c && ret == 0) {
		sk_get(&child->sk); /* ours: it may be accepted and closed at once */
		child->wire = c;
		c->fd = fd;
		mutex_lock(&n->lock);
		ret = enter_locked(n, c, child);
		mutex_unlock(&n->lock);
		if (ret == 0)
			ret = add_to_epoll(c);
		if (ret == 0) {
			nat_configure(c);
			ret = tcp_child_ready(tcp_of(l), child);
		}
		if (ret < 0) {
			mutex_lock(&n->lock);
			leave_locked(n, c);
			mutex_unlock(&n->lock);
			(void)hc_epoll_ctl(n->ep, EPOLL_CTL_DEL, fd, NULL);
			c->fd = -1;
			sk_put(&child->sk);
		} else {
			NAT_COUNT(n, accepted, 1);
		}
		sk_put(&child->sk);
	} else {
		kfree(c);
	}
	if (l)
		sk_put(l);
	if (ret < 0 && ret != -EAGAIN)
		nat_reset(fd);
	return ret != -EAGAIN;
}

/* ---- data ---- */

/* What the host says about a connection that isn't as it was. */
static ssize_t broken(struct tcp_sock *t, ssize_t err)
{
	if (err == -ECONNRESET || err == -ETIMEDOUT || err == -EPIPE || err == -EHOSTUNREACH)
		tcp_wire_failed(t, 0);
	return err;
}

/* Bytes, -EAGAIN, or an error. One bufferful. */
static ssize_t send_some(struct nat_conn *c, struct net_io *io, const struct net_tx *tx, uint8_t *buf)
{
	struct nat *n = c->n;
	uint64_t want = nat_rate_take(n, &n->out, MIN(io->resid, (uint64_t)NAT_BOUNCE));
	int flags = MSG_DONTWAIT;
	ssize_t got, sent;

	if (!want)
		return -EAGAIN;
	got = io->move(io, buf, want);
	if (got <= 0) {
		nat_rate_give_back(n, &n->out, want);
		return got;
	}
	if (tx->flags & NET_MORE || io->resid)
		flags |= MSG_MORE;
	if (tx->flags & NET_OOB && !io->resid)
		flags |= MSG_OOB;
	sent = hc_sendto(fd_of(c), buf, (size_t)got, flags, NULL, 0);
	if (sent < got)
		io->back(io, (size_t)(got - MAX(sent, (ssize_t)0)));
	nat_rate_give_back(n, &n->out, want - (uint64_t)MAX(sent, (ssize_t)0));
	return sent;
}

ssize_t nat_send(struct tcp_sock *t, struct net_io *io, const struct net_tx *tx)
{
	struct nat_conn *c = conn_of(t);
	ssize_t ret = -net_take_error(&t->sk), total = 0;
	uint8_t *buf;
	int which;

	if (ret)
		return ret;
	if (sk_state(&t->sk) == NET_SYN_SENT)
		return -EAGAIN;
	if (fd_of(c) < 0)
		return -EPIPE;
	buf = nat_bounce_get(c->n, &which);
	if (!buf)
		return -ENOBUFS;
	while (io->resid) {
		ret = send_some(c, io, tx, buf);
		if (ret <= 0)
			break;
		total += ret;
	}
	nat_bounce_put(c->n, buf, which);
	if (total) {
		__atomic_add_fetch(&c->sent, (uint64_t)total, __ATOMIC_RELAXED);
		NAT_COUNT(c->n, tcp_out, (uint64_t)total);
		if (ret == -EAGAIN && !waitq_empty(&t->sk.wq) && !nat_rate_empty(c->n, &c->n->out))
			arm(c, ARM_OUT);
		return total;
	}
	if (ret == -EAGAIN && nat_rate_empty(c->n, &c->n->out))
		starve(c, OUT_EVENTS);
	else if (ret == -EAGAIN)
		arm(c, ARM_OUT);
	return ret < 0 ? broken(t, ret) : ret;
}

/* The other end has finished. recv_lock held */
static void finish(struct tcp_sock *t, struct nat_conn *c)
{
	if (c->finished)
		return;
	c->finished = true;
	tcp_wire_state(t, sk_state(&t->sk) == NET_ESTABLISHED ? NET_CLOSE_WAIT : NET_CLOSE, true);
}

/* Data from buf to the caller; what its memory doesn't take waits in c->left. */
static ssize_t hand_over(struct nat_conn *c, struct net_io *io, uint8_t *buf, size_t n, bool peek)
{
	ssize_t moved = io->move(io, buf, n);
	size_t done = (size_t)MAX(moved, (ssize_t)0);

	if (done == n || peek)
		return moved;
	c->left = kmalloc(n - done);
	if (c->left) {
		memcpy(c->left, buf + done, n - done);
		c->left_len = (uint32_t)(n - done);
		c->left_at = 0;
	}
	return moved;
}

static ssize_t recv_left(struct nat_conn *c, struct net_io *io, const struct net_rx *rx)
{
	uint32_t n = (uint32_t)MIN((uint64_t)c->left_len, io->resid);
	ssize_t moved = (ssize_t)n;

	if (rx->flags & NET_TRUNC)
		io->resid -= n;
	else
		moved = io->move(io, c->left + c->left_at, n);
	if (moved > 0 && !(rx->flags & NET_PEEK)) {
		c->left_at += (uint32_t)moved;
		c->left_len -= (uint32_t)moved;
		if (!c->left_len) {
			kfree(c->left);
			c->left = NULL;
		}
	}
	return moved;
}

static ssize_t recv_some(struct nat_conn *c, struct net_io *io, struct net_rx *rx, uint8_t *buf)
{
	struct nat *n = c->n;
	bool peek = rx->flags & NET_PEEK;
	uint64_t want = MIN(io->resid, (uint64_t)NAT_BOUNCE);
	int flags = MSG_DONTWAIT | (peek ? MSG_PEEK : 0) | (rx->flags & NET_OOB ? MSG_OOB : 0);
	ssize_t got;

	if (!peek)
		want = nat_rate_take(n, &n->in, want);
	if (!want && io->resid)
		return -EAGAIN;
	got = hc_recvfrom(fd_of(c), buf, want, flags, NULL, NULL);
	if (!peek)
		nat_rate_give_back(n, &n->in, want - (uint64_t)MAX(got, (ssize_t)0));
	if (got <= 0)
		return got;
	if (rx->flags & NET_OOB)
		rx->oob = true;
	if (rx->flags & NET_TRUNC) {
		io->resid -= (uint64_t)got;
		return got;
	}
	return hand_over(c, io, buf, (size_t)got, peek);
}

/* As much as is there and fits: a short answer of the host means that there is no more. */
static ssize_t recv_all(struct nat_conn *c, struct net_io *io, struct net_rx *rx)
{
	ssize_t ret, total = 0;
	uint64_t want;
	uint8_t *buf;
	int which;

	buf = nat_bounce_get(c->n, &which);
	if (!buf)
		return -ENOBUFS;
	do {
		want = MIN(io->resid, (uint64_t)NAT_BOUNCE);
		ret = recv_some(c, io, rx, buf);
		if (ret > 0)
			total += ret;
	} while (ret > 0 && (uint64_t)ret == want && io->resid && !(rx->flags & (NET_PEEK | NET_OOB)));
	nat_bounce_put(c->n, buf, which);
	return total ? total : ret;
}

ssize_t nat_recv(struct tcp_sock *t, struct net_io *io, struct net_rx *rx)
{
	struct nat_conn *c = conn_of(t);
	ssize_t ret;

	if (sk_state(&t->sk) == NET_SYN_SENT)
		return -EAGAIN;
	if (c->left && !(rx->flags & NET_OOB) && io->resid)
		return recv_left(c, io, rx);
	if (fd_of(c) < 0) {
		ret = -net_take_error(&t->sk);
		return ret ? ret : -ENOTCONN;
	}
	ret = recv_all(c, io, rx);
	if (ret > 0) {
		if (!(rx->flags & NET_PEEK)) {
			__atomic_add_fetch(&c->received, (uint64_t)ret, __ATOMIC_RELAXED);
			NAT_COUNT(c->n, tcp_in, (uint64_t)ret);
		}
		/* an edge-triggered epoll hears of what comes next only if we do */
		if (!waitq_empty(&t->sk.wq) && !(rx->flags & (NET_PEEK | NET_OOB)))
			arm(c, ARM_IN);
		return ret;
	}
	if (ret == 0) {
		ret = -net_take_error(&t->sk);
		if (ret == 0 && io->resid && !(rx->flags & NET_OOB) && !(sk_shut(&t->sk) & SHUT_RD_))
			finish(t, c);
		return ret;
	}
	if (ret == -EAGAIN && !(rx->flags & NET_OOB)) {
		if (nat_rate_empty(c->n, &c->n->in))
			starve(c, IN_EVENTS);
		else
			arm(c, ARM_IN);
	}
	return rx->flags & NET_OOB ? ret : broken(t, ret);
}

/* ---- looking ---- */

void nat_pull_error(struct tcp_sock *t)
{
	struct nat_conn *c = conn_of(t);
	unsigned size = sizeof(int);
	int err = 0;

	if (fd_of(c) >= 0 && hc_getsockopt(fd_of(c), SOL_SOCKET, SO_ERROR, &err, &size) == 0 && err > 0)
		sk_set_error(&t->sk, err);
}

static uint32_t look(struct tcp_sock *t, struct nat_conn *c)
{
	static const struct timespec now;
	struct pollfd p = {.fd = fd_of(c), .events = POLLIN | POLLOUT | POLLPRI | POLLRDHUP};
	uint32_t ev = 0, missing = 0;

	if (hc_ppoll(&p, 1, &now, NULL) < 0)
		return 0;
	if (p.revents & POLLIN || c->left_len)
		ev |= IN_EVENTS;
	else
		missing |= ARM_IN;
	if (p.revents & POLLOUT)
		ev |= OUT_EVENTS;
	else
		missing |= ARM_OUT;
	if (p.revents & POLLPRI)
		ev |= EV_PRI;
	if (p.revents & POLLRDHUP)
		ev |= EV_RDHUP;
	if (p.revents & POLLHUP)
		ev |= EV_HUP;
	if (p.revents & POLLERR)
		nat_pull_error(t);
	/* the other end has sent what it will send: nobody waits for more of it */
	if (!(p.revents & (POLLHUP | POLLERR)) && missing)
		arm(c, missing);
	if (ev & IN_EVENTS && !(p.revents & (POLLRDHUP | POLLHUP)) && nat_rate_empty(c->n, &c->n->in)) {
		ev &= ~IN_EVENTS;
		starve(c, IN_EVENTS);
	}
	if (ev & OUT_EVENTS && !(p.revents & POLLHUP) && nat_rate_empty(c->n, &c->n->out)) {
		ev &= ~OUT_EVENTS;
		starve(c, OUT_EVENTS);
	}
	return ev;
}

uint32_t nat_ready(struct tcp_sock *t)
{
	struct nat_conn *c;
	uint32_t ev = 0;

	mutex_lock(&t->sk.lock);
	c = t->wire;
	if (c && fd_of(c) >= 0)
		ev = look(t, c);
	else if (sk_state(&t->sk) != NET_SYN_SENT)
		ev = IN_EVENTS | OUT_EVENTS | EV_HUP | EV_RDHUP;
	if (__atomic_load_n(&t->sk.error, __ATOMIC_ACQUIRE))
		ev |= EV_ERR;
	mutex_unlock(&t->sk.lock);
	return ev;
}

static int64_t ask(const struct tcp_sock *t, unsigned long request)
{
	struct nat_conn *c = conn_of(t);
	int v = 0;

	return fd_of(c) >= 0 && hc_ioctl(fd_of(c), request, (unsigned long)&v) == 0 ? v : 0;
}

int64_t nat_inq(struct tcp_sock *t)
{
	return ask(t, FIONREAD) + conn_of(t)->left_len;
}

int64_t nat_outq(struct tcp_sock *t)
{
	return ask(t, SIOCOUTQ);
}

bool nat_at_mark(struct tcp_sock *t)
{
	return !conn_of(t)->left_len && ask(t, SIOCATMARK);
}

/* ---- ending ---- */

/* send_lock held */
void nat_shutdown(struct tcp_sock *t, bool rd, bool wr)
{
	struct nat_conn *c = conn_of(t);
	uint8_t state;

	if (fd_of(c) >= 0)
		(void)hc_shutdown(fd_of(c), rd && wr ? SHUT_RDWR : rd ? SHUT_RD : SHUT_WR);
	mutex_lock(&t->sk.lock);
	sk_add_shut(&t->sk, (uint8_t)((rd ? SHUT_RD_ : 0) | (wr ? SHUT_WR_ : 0)));
	state = t->sk.state;
	mutex_unlock(&t->sk.lock);
	if (wr && state == NET_ESTABLISHED)
		tcp_wire_state(t, NET_FIN_WAIT2, false);
	else if (wr && state == NET_CLOSE_WAIT)
		tcp_wire_state(t, NET_LAST_ACK, false);
}

/* The host goes on alone with what is left: data, FIN, TIME_WAIT. send_lock and recv_lock held */
void nat_close(struct tcp_sock *t, bool abort)
{
	struct nat_conn *c = conn_of(t);
	struct nat *n = c->n;
	uint64_t id;
	int fd;

	mutex_lock(&c->lock); /* nobody is to arm what will be another's descriptor */
	mutex_lock(&n->lock);
	id = c->id;
	fd = c->fd;
	leave_locked(n, c);
	__atomic_store_n(&c->fd, -1, __ATOMIC_RELEASE);
	mutex_unlock(&n->lock);
	mutex_unlock(&c->lock);
	if (fd < 0 && id && sk_state(&t->sk) == NET_SYN_SENT)
		cancel(n, id);
	else if (fd >= 0 && (abort || c->left_len))
		nat_reset(fd);
	else if (fd >= 0)
		(void)hc_close(fd);
	mutex_lock(&t->sk.lock);
	tcp_done_locked(t);
	port_release(&t->sk);
	mutex_unlock(&t->sk.lock);
}

void nat_destroy(struct tcp_sock *t)
{
	struct nat_conn *c = conn_of(t);

	kfree(c->left);
	kfree(c);
	t->wire = NULL;
}
