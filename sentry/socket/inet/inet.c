/* inet.c: the operations of AF_INET and AF_INET6 sockets, each a few lines around a call of the stack. */
#include <string.h>

#include "platform/abi/fcntl.h"
#include "platform/abi/prctl.h"
#include "platform/base/arena.h"
#include "sentry/socket/inet/internal.h"

#define PROTOCOL_MAX 256

bool inet_may(const struct sock_caller *c, int cap)
{
	return c && c->at && c->at->cred && cred_has_cap(c->at->cred, cap);
}

static uint32_t caller_uid(const struct sock_caller *c)
{
	return c && c->at && c->at->cred ? c->at->cred->euid : 0;
}

static int inet_bind(struct socket *s, const struct sock_caller *c, const struct sockaddr_buf *a)
{
	uint32_t flags = inet_may(c, LINUX_CAP_NET_BIND_SERVICE) ? NET_BIND_PRIVILEGED : 0;
	struct inet_sockaddr4 in;
	struct net_name name;
	int ret;

	if (s->family == LINUX_AF_INET && a->len >= sizeof(in) && a->family == LINUX_AF_UNSPEC) {
		memcpy(&in, a->bytes, sizeof(in));
		if (in.addr != 0)
			return -EAFNOSUPPORT;
		name = (struct net_name){.addr = net_addr4(0), .port = be16(in.port)};
	} else {
		ret = inet_name_in(s->family, a, false, &name);
		if (ret < 0)
			return ret;
	}
	return net_bind(inet_of(s)->sk, &name, flags);
}

static int inet_listen(struct socket *s, const struct sock_caller *c, int backlog)
{
	(void)c;
	return s->type == LINUX_SOCK_STREAM ? net_listen(inet_of(s)->sk, backlog) : -EOPNOTSUPP;
}

static int inet_connect(struct socket *s, const struct sock_caller *c, const struct sockaddr_buf *a,
			uint32_t file_flags)
{
	struct net_sock *sk = inet_of(s)->sk;
	struct net_name name;
	int ret;

	(void)c, (void)file_flags;
	if (a->len < sizeof(a->family))
		return -EINVAL;
	if (a->family == LINUX_AF_UNSPEC)
		return net_disconnect(sk);
	if (s->family == LINUX_AF_INET6 && a->family == LINUX_AF_INET && s->type != LINUX_SOCK_STREAM)
		ret = inet_name_in(LINUX_AF_INET, a, false, &name);
	else
		ret = inet_name_in(s->family, a, false, &name);
	if (ret < 0)
		return ret;
	if (s->family == LINUX_AF_INET6 && net_addr_is4(&name.addr) && net_sock_opts(sk)->v6only)
		return -ENETUNREACH;
	return net_connect(sk, &name);
}

static int inet_connect_result(struct socket *s)
{
	return net_connect_result(inet_of(s)->sk);
}

static const struct socket_ops inet_ops;

static int wrap(struct net_sock *sk, int family, int type, int protocol, const struct sock_caller *c,
		struct inet_sock **out)
{
	struct inet_sock *i = kmalloc(sizeof(*i));

	if (!i) {
		net_sock_close(sk);
		return -ENOMEM;
	}
	socket_init(&i->s, &inet_ops, family, type, protocol, c);
	i->s.wait = net_sock_waitq(sk);
	i->sk = sk;
	inet_hints_init(i);
	net_sock_adopt(sk, i, caller_uid(c));
	*out = i;
	return 0;
}

static int inet_accept(struct socket *s, const struct sock_caller *c, struct socket **out,
		       struct sockaddr_buf *peer)
{
	struct inet_sock *from = inet_of(s), *i;
	struct net_name name;
	struct net_sock *sk;
	int ret = s->type == LINUX_SOCK_STREAM ? net_accept(from->sk, &sk) : -EOPNOTSUPP;

	if (ret < 0)
		return ret;
	if (net_peer_name(sk, &name) < 0) /* it has gone already */
		name = (struct net_name){.addr = s->family == LINUX_AF_INET ? net_addr4(0)
									    : (struct net_addr){.w = {0}}};
	ret = wrap(sk, s->family, s->type, s->protocol, c, &i);
	if (ret < 0)
		return ret;
	i->s.options = s->options;
	i->s.sndbuf = s->sndbuf;
	i->s.rcvbuf = s->rcvbuf;
	i->s.linger = s->linger;
	i->s.priority = s->priority;
	i->s.mark = s->mark;
	i->s.rcvlowat = s->rcvlowat;
	i->wanted = from->wanted;
	memcpy(i->hints, from->hints, sizeof(i->hints));
	inet_name_out(s->family, &name, peer);
	*out = &i->s;
	return 0;
}

static int inet_getname(struct socket *s, bool peer, struct sockaddr_buf *out)
{
	struct net_sock *sk = inet_of(s)->sk;
	struct net_name name;
	int ret = peer ? net_peer_name(sk, &name) : net_local_name(sk, &name);

	if (ret == 0)
		inet_name_out(s->family, &name, out);
	return ret;
}

/* ---- data ---- */

static ssize_t move_in(struct net_io *io, void *buf, size_t n)
{
	struct uio *u = io->arg;
	ssize_t ret = uio_get(u, buf, n);

	io->resid = u->resid;
	return ret;
}

static void move_back(struct net_io *io, size_t n)
{
	uio_back(io->arg, n);
	io->resid += n;
}

static ssize_t move_out(struct net_io *io, void *buf, size_t n)
{
	struct uio *u = io->arg;
	ssize_t ret = uio_put(u, buf, n);

	io->resid = u->resid;
	return ret;
}

static int send_name(struct socket *s, const struct sockaddr_buf *a, struct net_name *name, struct net_tx *tx)
{
	int ret;

	if (!a || !a->len || s->type == LINUX_SOCK_STREAM)
		return 0;
	if (s->family == LINUX_AF_INET6 && a->len >= sizeof(a->family) && a->family == LINUX_AF_UNSPEC)
		return 0;
	ret = inet_name_in(s->family, a, true, name);
	if (ret == 0)
		tx->name = name;
	return ret == -EAFNOSUPPORT && s->family == LINUX_AF_INET6 ? -EINVAL : ret;
}

static ssize_t inet_send(struct socket *s, const struct sock_caller *c, struct sock_msg *m)
{
	struct net_io io = {.move = move_in, .back = move_back, .arg = m->uio, .resid = m->uio->resid};
	struct inet_sock *i = inet_of(s);
	struct net_tx tx = {.flags = 0};
	struct net_name name;
	ssize_t sent;
	int ret;

	if (UNLIKELY(m->flags & (LINUX_MSG_OOB | LINUX_MSG_MORE | LINUX_MSG_EOR)))
		tx.flags = (m->flags & LINUX_MSG_OOB ? NET_OOB : 0) |
			   (m->flags & LINUX_MSG_MORE ? NET_MORE : 0) |
			   (m->flags & LINUX_MSG_EOR ? NET_EOR : 0);
	ret = send_name(s, m->name, &name, &tx);
	if (ret == 0 && UNLIKELY(m->control_len))
		ret = inet_cmsg_in(i, c, m, &tx);
	if (ret < 0)
		return ret;
	sent = net_send(i->sk, &io, &tx);
	if (UNLIKELY(m->flags & LINUX_MSG_ZEROCOPY))
		inet_zerocopy_sent(i, m, sent);
	return sent;
}

static ssize_t inet_recv(struct socket *s, const struct sock_caller *c, struct sock_msg *m)
{
	struct net_io io = {.move = move_out, .arg = m->uio, .resid = m->uio->resid};
	struct inet_sock *i = inet_of(s);
	struct net_rx rx = {.flags = 0};
	uint64_t before = io.resid;
	uint32_t in = m->flags;
	ssize_t ret;

	(void)c;
	if (UNLIKELY(in))
		rx.flags = (in & LINUX_MSG_OOB ? NET_OOB : 0) | (in & LINUX_MSG_PEEK ? NET_PEEK : 0) |
			   (in & LINUX_MSG_TRUNC ? NET_TRUNC : 0) |
			   (in & LINUX_MSG_ERRQUEUE ? NET_ERRQUEUE : 0);
	m->flags = 0;
	m->file_count = 0;
	m->have_cred = false;
	if (UNLIKELY(in & LINUX_MSG_ERRQUEUE) && inet_zerocopy_take(i, &rx)) {
		inet_cmsg_out(i, &rx, m);
		m->flags |= LINUX_MSG_ERRQUEUE;
		return 0;
	}
	if (UNLIKELY(in & LINUX_MSG_ERRQUEUE) && s->type == LINUX_SOCK_STREAM)
		return -EAGAIN;
	ret = net_recv(i->sk, &io, &rx);
	if (ret < 0)
		return ret;
	if (m->uio->resid > io.resid) /* dropped, not copied */
		uio_skip(m->uio, before - io.resid);
	if (rx.truncated)
		m->flags |= LINUX_MSG_TRUNC;
	if (rx.oob)
		m->flags |= LINUX_MSG_OOB;
	if (rx.error)
		m->flags |= LINUX_MSG_ERRQUEUE;
	if (rx.is_datagram) {
		__atomic_store_n(&i->stamp_ns, rx.stamp_ns, __ATOMIC_RELAXED);
		if (m->name)
			inet_name_out(s->family, &rx.src, m->name);
	}
	inet_cmsg_out(i, &rx, m);
	return ret;
}

static int inet_shutdown(struct socket *s, int how)
{
	return net_shutdown(inet_of(s)->sk, how != LINUX_SHUT_WR, how != LINUX_SHUT_RD);
}

static uint32_t inet_ready(struct socket *s)
{
	return net_ready(inet_of(s)->sk) | (UNLIKELY(inet_zerocopy_pending(inet_of(s))) ? EV_ERR : 0);
}

static void inet_release(struct socket *s)
{
	struct inet_sock *i = inet_of(s);

	net_sock_close(i->sk);
	kfree(i);
}

static const struct socket_ops inet_ops = {
	.bind = inet_bind,
	.listen = inet_listen,
	.connect = inet_connect,
	.connect_result = inet_connect_result,
	.accept = inet_accept,
	.getname = inet_getname,
	.send = inet_send,
	.recv = inet_recv,
	.shutdown = inet_shutdown,
	.setsockopt = inet_setsockopt,
	.getsockopt = inet_getsockopt,
	.ready = inet_ready,
	.ioctl = inet_ioctl,
	.release = inet_release,
};

/* ---- making ---- */

/* What socket(2) means by type and protocol, which is resolved. */
static int kind_of(int family, int type, int *protocol)
{
	int icmp = family == LINUX_AF_INET ? LINUX_IPPROTO_ICMP : LINUX_IPPROTO_ICMPV6;

	if (*protocol < 0 || *protocol >= PROTOCOL_MAX)
		return -EINVAL;
	switch (type) {
	case LINUX_SOCK_STREAM:
		if (*protocol && *protocol != LINUX_IPPROTO_TCP)
			return -EPROTONOSUPPORT;
		*protocol = LINUX_IPPROTO_TCP;
		return NET_TCP;
	case LINUX_SOCK_DGRAM:
		if (*protocol == icmp)
			return NET_PING;
		if (*protocol == LINUX_IPPROTO_UDPLITE)
			return NET_UDPLITE;
		if (*protocol && *protocol != LINUX_IPPROTO_UDP)
			return -EPROTONOSUPPORT;
		*protocol = LINUX_IPPROTO_UDP;
		return NET_UDP;
	case LINUX_SOCK_RAW:
		return *protocol ? NET_RAW : -EPROTONOSUPPORT;
	default:
		return -ESOCKTNOSUPPORT;
	}
}

static int create(int family, int type, int protocol, const struct sock_caller *c, struct socket **out)
{
	int kind = kind_of(family, type, &protocol), ret;
	struct inet_sock *i;
	struct net_sock *sk;

	if (kind < 0)
		return kind;
	if (kind == NET_RAW && !inet_may(c, LINUX_CAP_NET_RAW))
		return -EPERM;
	if (!c || !c->net_stack)
		return -EAFNOSUPPORT;
	ret = net_sock_create(c->net_stack, (enum net_kind)kind, family == LINUX_AF_INET ? 4 : 6, protocol,
			      NULL, caller_uid(c), &sk);
	if (ret == 0)
		ret = wrap(sk, family, type, protocol, c, &i);
	if (ret < 0)
		return ret;
	if (kind == NET_RAW && protocol == LINUX_IPPROTO_RAW)
		net_sock_opts(sk)->hdrincl = true;
	*out = &i->s;
	return 0;
}

static int create4(int type, int protocol, const struct sock_caller *c, struct socket **out)
{
	return create(LINUX_AF_INET, type, protocol, c, out);
}

static int create6(int type, int protocol, const struct sock_caller *c, struct socket **out)
{
	return create(LINUX_AF_INET6, type, protocol, c, out);
}

static const struct socket_family inet_family = {.family = LINUX_AF_INET, .create = create4};
static const struct socket_family inet6_family = {.family = LINUX_AF_INET6, .create = create6};

static const struct socket_net_ops net_ops = {
	.get = net_stack_get,
	.put = net_stack_put,
	.ioctl = inet_if_ioctl,
};

int inet_init(void)
{
	socket_register(&inet_family);
	socket_register(&inet6_family);
	socket_set_net_ops(&net_ops);
	return 0;
}

int inet_stack_create(bool lo_up, struct net_stack **out)
{
	struct net_config c = {.lo_up = lo_up};

	int ret = net_stack_create(&c, out);

	if (ret == 0)
		net_set_watch(*out, netlink_on_event);
	return ret;
}

void inet_stack_get(struct net_stack *st)
{
	net_stack_get(st);
}

void inet_stack_put(struct net_stack *st)
{
	net_stack_put(st);
}
