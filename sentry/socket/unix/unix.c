/* unix.c: making, polling, shutting down and releasing AF_UNIX sockets, and their options. */
#include <string.h>

#include "platform/abi/errno.h"
#include "platform/abi/ioctl.h"
#include "platform/base/arena.h"
#include "platform/base/random.h"
#include "platform/base/strbuf.h"
#include "sentry/socket/unix/internal.h"

void unix_peer_set(struct unix_peer *p, const struct sock_caller *c)
{
	struct cred *old = p->cred;

	p->pid = c->pid;
	p->cred = c->at && c->at->cred ? cred_get((struct cred *)c->at->cred) : NULL;
	if (old)
		cred_put(old);
}

static const struct socket_ops *ops_of(int type)
{
	switch (type) {
	case LINUX_SOCK_STREAM:
		return &unix_stream_ops;
	case LINUX_SOCK_SEQPACKET:
		return &unix_seqpacket_ops;
	default:
		return &unix_dgram_ops;
	}
}

int unix_new(int type, const struct sock_caller *c, struct unix_sock **out)
{
	struct unix_state *st = unix_state();
	struct unix_sock *u = kmalloc(sizeof(*u));

	if (!u)
		return -ENOMEM;
	socket_init(&u->s, ops_of(type), LINUX_AF_UNIX, type, 0, c);
	mutex_init(&u->lock, RANK_SOCKET);
	u->net_ns = c->net_ns;
	list_init(&u->records);
	list_init(&u->msgs);
	list_init(&u->accept_queue);
	list_init(&u->accept_node);
	list_init(&u->waiters);
	list_init(&u->waiting);
	list_init(&u->all_node);
	list_init(&u->name_node);
	list_init(&u->inflight_node);
	mutex_lock(&st->names_lock);
	list_add_tail(&st->all, &u->all_node);
	mutex_unlock(&st->names_lock);
	*out = u;
	return 0;
}

void unix_put(struct unix_sock *u)
{
	struct unix_state *st = unix_state();

	if (!refs_put(&u->s.refs))
		return;
	mutex_lock(&st->names_lock);
	list_del(&u->all_node);
	mutex_unlock(&st->names_lock);
	unix_addr_put(u->addr);
	if (u->peer_id.cred)
		cred_put(u->peer_id.cred);
	kfree(u->ring);
	kfree(u);
}

static int check_protocol(int *type, int protocol)
{
	if (protocol && protocol != LINUX_AF_UNIX)
		return -EPROTONOSUPPORT;
	switch (*type) {
	case LINUX_SOCK_STREAM:
	case LINUX_SOCK_DGRAM:
	case LINUX_SOCK_SEQPACKET:
		return 0;
	case LINUX_SOCK_RAW: /* as Linux: an old name for datagrams */
		*type = LINUX_SOCK_DGRAM;
		return 0;
	default:
		return -ESOCKTNOSUPPORT;
	}
}

static int unix_create(int type, int protocol, const struct sock_caller *c, struct socket **out)
{
	struct unix_sock *u;
	int ret = check_protocol(&type, protocol);

	if (ret == 0)
		ret = unix_new(type, c, &u);
	if (ret == 0)
		*out = &u->s;
	return ret;
}

static int unix_pair(int type, int protocol, const struct sock_caller *c, struct socket *out[2])
{
	struct unix_sock *a, *b;
	int ret = check_protocol(&type, protocol);

	if (ret < 0)
		return ret;
	ret = unix_new(type, c, &a);
	if (ret < 0)
		return ret;
	ret = unix_new(type, c, &b);
	if (ret < 0) {
		unix_put(a);
		return ret;
	}
	unix_peer_set(&a->peer_id, c);
	unix_peer_set(&b->peer_id, c);
	unix_link_pair(a, b);
	out[0] = &a->s;
	out[1] = &b->s;
	return 0;
}

const struct socket_family unix_family = {
	.family = LINUX_AF_UNIX,
	.create = unix_create,
	.pair = unix_pair,
};

int unix_init(void)
{
	struct unix_state *st = kmalloc(sizeof(*st));

	if (!st)
		return -ENOMEM;
	mutex_init(&st->names_lock, RANK_SOCKET_NAMES);
	mutex_init(&st->gc_lock, RANK_SOCKET_GC);
	for (int i = 0; i < UNIX_NAME_BUCKETS; i++)
		list_init(&st->names[i]);
	for (int i = 0; i < UNIX_USER_BUCKETS; i++)
		list_init(&st->users[i]);
	list_init(&st->all);
	list_init(&st->inflight);
	list_init(&st->doomed);
	st->hash_key = random_u64();
	st->gc_at = UNIX_GC_MIN;
	socket_register(&unix_family);
	socket_family_set_state(LINUX_AF_UNIX, st);
	return 0;
}

/* What the peer of a connection learns when u goes away. */
static void tell_peer(struct unix_sock *u, struct unix_sock *peer, bool unread)
{
	if (u->s.type != LINUX_SOCK_DGRAM) {
		mutex_lock(&peer->lock);
		unix_shut_locked(peer, UNIX_ALL_SHUT);
		if (unread)
			__atomic_store_n(&peer->s.error, ECONNRESET, __ATOMIC_RELEASE);
		mutex_unlock(&peer->lock);
	}
	waitq_wake(&peer->s.wq, EV_HUP | EV_RDHUP | IN_EVENTS | OUT_EVENTS);
}

static void free_msgs(struct list *msgs)
{
	struct unix_msg *m, *tmp;

	list_for_each_safe (m, tmp, msgs, node) {
		list_del(&m->node);
		unix_msg_free(m);
	}
}

static void release_embryos(struct list *queue)
{
	struct unix_sock *e, *tmp;

	list_for_each_safe (e, tmp, queue, accept_node) {
		list_del(&e->accept_node);
		unix_release(&e->s); /* embryos have none of their own: one level */
	}
}

void unix_release(struct socket *s)
{
	struct unix_sock *u = unix_of(s), *peer, *connecting;
	struct list records, msgs, embryos;
	bool unread;

	list_init(&records);
	list_init(&msgs);
	list_init(&embryos);
	unix_unbind(u);
	mutex_lock(&u->lock);
	u->dead = true;
	unix_shut_locked(u, UNIX_ALL_SHUT);
	peer = u->peer;
	__atomic_store_n(&u->peer, NULL, __ATOMIC_RELEASE);
	connecting = u->connecting;
	u->connecting = NULL;
	unread = u->used != 0 || u->msg_count != 0 || u->embryo;
	list_splice_tail(&records, &u->records);
	list_splice_tail(&msgs, &u->msgs);
	list_splice_tail(&embryos, &u->accept_queue);
	u->accept_count = 0;
	u->msg_count = u->msg_bytes = u->used = 0;
	s->file = NULL;
	mutex_unlock(&u->lock);
	if (peer) {
		tell_peer(u, peer, unread);
		unix_put(peer);
	}
	if (connecting)
		unix_put(connecting);
	unix_wait_wake(u);
	unix_wait_forget(u);
	release_embryos(&embryos);
	free_msgs(&msgs);
	unix_scm_free_list(&records);
	unix_put(u);
	if (__atomic_load_n(&unix_state()->inflight_socks, __ATOMIC_RELAXED))
		unix_gc();
}

static int unix_shutdown(struct socket *s, int how)
{
	struct unix_sock *u = unix_of(s), *peer = NULL;
	uint8_t mine, theirs = 0;

	if (how < LINUX_SHUT_RD || how > LINUX_SHUT_RDWR)
		return -EINVAL;
	mine = (uint8_t)(how + 1);
	mutex_lock(&u->lock);
	unix_shut_locked(u, mine);
	if (u->peer && s->type != LINUX_SOCK_DGRAM)
		peer = unix_get(u->peer);
	mutex_unlock(&u->lock);
	waitq_wake(&s->wq, EV_RDHUP | IN_EVENTS | OUT_EVENTS | EV_HUP);
	unix_wait_wake(u);
	if (!peer)
		return 0;
	if (mine & UNIX_RCV_SHUT)
		theirs |= UNIX_SND_SHUT;
	if (mine & UNIX_SND_SHUT)
		theirs |= UNIX_RCV_SHUT;
	mutex_lock(&peer->lock);
	unix_shut_locked(peer, theirs);
	mutex_unlock(&peer->lock);
	waitq_wake(&peer->s.wq, EV_RDHUP | IN_EVENTS | OUT_EVENTS | EV_HUP);
	unix_put(peer);
	return 0;
}

static int unix_getname(struct socket *s, bool peer, struct sockaddr_buf *out)
{
	struct unix_sock *u = unix_of(s), *p;

	if (!peer) {
		unix_addr_fill(u, out);
		return 0;
	}
	mutex_lock(&u->lock);
	p = u->peer ? unix_get(u->peer) : NULL;
	mutex_unlock(&u->lock);
	if (!p)
		return -ENOTCONN;
	unix_addr_fill(p, out);
	unix_put(p);
	return 0;
}

/* Common to all types: errors, shutdowns, something to read. */
static uint32_t ready_common(struct unix_sock *u)
{
	uint8_t shut = unix_shut(u);
	uint32_t ev = 0;

	if (__atomic_load_n(&u->s.error, __ATOMIC_ACQUIRE))
		ev |= EV_ERR;
	if (shut == UNIX_ALL_SHUT)
		ev |= EV_HUP;
	if (shut & UNIX_RCV_SHUT)
		ev |= EV_RDHUP | IN_EVENTS;
	if (__atomic_load_n(&u->used, __ATOMIC_ACQUIRE) || __atomic_load_n(&u->msg_count, __ATOMIC_ACQUIRE) ||
	    __atomic_load_n(&u->accept_count, __ATOMIC_ACQUIRE))
		ev |= IN_EVENTS;
	return ev;
}

/* Room in l's queue for u, which waits for it; registers u (again: a wake takes the registration away, and
 * another may have been faster) when there is none. */
static bool listener_has_room(struct unix_sock *l, struct unix_sock *u)
{
	bool room;

	mutex_lock(&l->lock);
	room = l->accept_count <= l->backlog || l->dead || (l->shut & UNIX_RCV_SHUT);
	if (!room) {
		l->has_waiters = true;
		room = unix_wait_add(l, u) < 0;
	}
	mutex_unlock(&l->lock);
	return room;
}

/* Unconnected: hung up, unless a connect waits for the listener. */
static uint32_t ready_unconnected(struct unix_sock *u)
{
	struct unix_sock *l;
	uint32_t ev;

	mutex_lock(&u->lock);
	l = u->connecting ? unix_get(u->connecting) : NULL;
	mutex_unlock(&u->lock);
	if (!l)
		return EV_HUP | OUT_EVENTS;
	ev = listener_has_room(l, u) ? OUT_EVENTS : 0;
	unix_put(l);
	return ev;
}

static uint32_t stream_ready(struct socket *s)
{
	struct unix_sock *u = unix_of(s), *peer;
	uint32_t ev = ready_common(u);
	uint8_t state = __atomic_load_n(&u->state, __ATOMIC_ACQUIRE);

	if (state == UNIX_LISTENING)
		return ev;
	if (state == UNIX_UNCONNECTED)
		return ev | ready_unconnected(u);
	peer = unix_peer_of(u);
	if (!peer || unix_writable(__atomic_load_n(&peer->used, __ATOMIC_ACQUIRE), s->sndbuf))
		ev |= OUT_EVENTS;
	return ev;
}

static uint32_t dgram_ready(struct socket *s)
{
	struct unix_sock *u = unix_of(s), *peer;
	uint32_t ev = ready_common(u);
	uint8_t state = __atomic_load_n(&u->state, __ATOMIC_ACQUIRE);
	bool room;

	if (s->type == LINUX_SOCK_SEQPACKET && state == UNIX_LISTENING)
		return ev;
	if (s->type == LINUX_SOCK_SEQPACKET && state == UNIX_UNCONNECTED)
		return ev | ready_unconnected(u);
	room = unix_writable(__atomic_load_n(&u->sent_charge, __ATOMIC_ACQUIRE), s->sndbuf);
	mutex_lock(&u->lock);
	peer = u->peer ? unix_get(u->peer) : NULL;
	mutex_unlock(&u->lock);
	if (peer) {
		room = room && unix_dgram_has_room(u, peer);
		unix_put(peer);
	}
	return ev | (room ? OUT_EVENTS : 0);
}

static int64_t unix_ioctl(struct socket *s, uint32_t cmd, uint64_t arg, const struct usermem *um,
			  const struct cred *cred)
{
	struct unix_sock *u = unix_of(s), *peer;
	struct unix_msg *first;
	int32_t n = 0;

	(void)cred;
	mutex_lock(&u->lock);
	peer = u->peer ? unix_get(u->peer) : NULL;
	first = list_first(&u->msgs, struct unix_msg, node);
	if (cmd == LINUX_SIOCINQ)
		n = s->type == LINUX_SOCK_STREAM      ? (int32_t)u->used
		    : s->type == LINUX_SOCK_SEQPACKET ? (int32_t)u->msg_bytes
		    : first			      ? (int32_t)first->len
						      : 0;
	if (u->state == UNIX_LISTENING)
		n = -1;
	mutex_unlock(&u->lock);
	if (cmd == LINUX_SIOCOUTQ && n == 0)
		n = (int32_t)(s->type != LINUX_SOCK_STREAM ? __atomic_load_n(&u->sent_charge, __ATOMIC_RELAXED)
			      : peer			   ? __atomic_load_n(&peer->used, __ATOMIC_RELAXED)
							   : 0);
	if (peer)
		unix_put(peer);
	if (cmd != LINUX_SIOCINQ && cmd != LINUX_SIOCOUTQ)
		return -ENOTTY;
	if (n < 0)
		return -EINVAL;
	return usermem_out(um, arg, &n, sizeof(n));
}

static int unix_setsockopt(struct socket *s, const struct sock_caller *c, int level, int name, const void *val,
			   uint32_t len)
{
	if (level != LINUX_SOL_SOCKET)
		return -EOPNOTSUPP;
	return socket_setsockopt_generic(s, c, level, name, val, len);
}

static int get_peergroups(struct unix_sock *u, void *val, uint32_t *len)
{
	struct cred *cred;
	uint32_t need;

	mutex_lock(&u->lock);
	cred = u->peer_id.cred ? cred_get(u->peer_id.cred) : NULL;
	mutex_unlock(&u->lock);
	if (!cred)
		return -ENODATA;
	need = cred->group_count * (uint32_t)sizeof(uint32_t);
	if (*len < need) {
		*len = need;
		cred_put(cred);
		return -ERANGE;
	}
	for (uint32_t i = 0; i < cred->group_count; i++)
		((uint32_t *)val)[i] = cred->groups[i];
	*len = need;
	cred_put(cred);
	return 0;
}

/* Ids of SO_PEERCRED are kernel ids, its pid one of the initial namespace: the caller translates. */
static int unix_getsockopt(struct socket *s, const struct sock_caller *c, int level, int name, void *val,
			   uint32_t *len)
{
	struct unix_sock *u = unix_of(s);
	struct linux_ucred id = {0, ID_INVALID, ID_INVALID};
	int32_t v;

	if (level != LINUX_SOL_SOCKET)
		return -EOPNOTSUPP;
	switch (name) {
	case LINUX_SO_PEERCRED:
		mutex_lock(&u->lock);
		if (u->peer_id.cred)
			id = (struct linux_ucred){u->peer_id.pid, u->peer_id.cred->euid, u->peer_id.cred->egid};
		mutex_unlock(&u->lock);
		return socket_option_put(val, len, &id, sizeof(id));
	case LINUX_SO_PEERGROUPS:
		return get_peergroups(u, val, len);
	case LINUX_SO_ACCEPTCONN:
		v = __atomic_load_n(&u->state, __ATOMIC_ACQUIRE) == UNIX_LISTENING;
		return socket_option_put(val, len, &v, sizeof(v));
	default:
		return socket_getsockopt_generic(s, c, level, name, val, len);
	}
}

static int refuse_listen(struct socket *s, const struct sock_caller *c, int backlog)
{
	(void)s, (void)c, (void)backlog;
	return -EOPNOTSUPP;
}

static int refuse_accept(struct socket *s, const struct sock_caller *c, struct socket **out,
			 struct sockaddr_buf *peer)
{
	(void)s, (void)c, (void)out, (void)peer;
	return -EOPNOTSUPP;
}

#define COMMON_OPS                                                                                             \
	.bind = unix_bind, .getname = unix_getname, .shutdown = unix_shutdown, .setsockopt = unix_setsockopt,  \
	.getsockopt = unix_getsockopt, .ioctl = unix_ioctl, .release = unix_release,                           \
	.connect_result = unix_connect_result

const struct socket_ops unix_stream_ops = {
	COMMON_OPS,
	.listen = unix_listen,
	.connect = unix_connect,
	.accept = unix_accept,
	.send = unix_stream_send,
	.recv = unix_stream_recv,
	.ready = stream_ready,
};

const struct socket_ops unix_seqpacket_ops = {
	COMMON_OPS,
	.listen = unix_listen,
	.connect = unix_connect,
	.accept = unix_accept,
	.send = unix_dgram_send,
	.recv = unix_dgram_recv,
	.ready = dgram_ready,
};

const struct socket_ops unix_dgram_ops = {
	COMMON_OPS,
	.listen = refuse_listen,
	.connect = unix_connect_dgram,
	.accept = refuse_accept,
	.send = unix_dgram_send,
	.recv = unix_dgram_recv,
	.ready = dgram_ready,
};

void unix_show(void *net_ns, struct strbuf *out)
{
	struct unix_state *st = unix_state();
	struct unix_sock *u;

	strbuf_puts(out, "Num       RefCount Protocol Flags    Type St Inode Path\n");
	mutex_lock(&st->names_lock);
	list_for_each (u, &st->all, all_node) {
		const struct unix_addr *a = __atomic_load_n(&u->addr, __ATOMIC_ACQUIRE);

		if (u->net_ns != net_ns)
			continue;
		/* addresses of kernel objects are nobody's business: zeros, as Linux with kptr_restrict */
		strbuf_printf(out, "%016x: %08X %08X %08X %04X %02X %5lu", 0, refs_read(&u->s.refs), 0,
			      u->state == UNIX_LISTENING ? 0x10000 : 0, u->s.type,
			      u->state == UNIX_CONNECTED ? 3 : 1, u->s.ino);
		if (a && a->len) {
			strbuf_putc(out, ' ');
			for (uint32_t i = 0; i < a->len; i++) {
				if (i == a->len - 1 && a->path[0] && !a->path[i])
					break;
				strbuf_putc(out, a->path[i] ? a->path[i] : '@');
			}
		}
		strbuf_putc(out, '\n');
	}
	mutex_unlock(&st->names_lock);
}
