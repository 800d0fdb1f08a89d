/* packet.c: AF_PACKET sockets: making, binding, frames in and out. */
#include "sentry/socket/packet/internal.h"

#include <string.h>

#include "platform/abi/ioctl.h"
#include "platform/abi/prctl.h"
#include "platform/base/arena.h"
#include "platform/base/bytes.h"
#include "platform/base/clock.h"

#define IN_EVENTS     (EV_IN | EV_RDNORM)
#define OUT_EVENTS    (EV_OUT | EV_WRNORM | EV_WRBAND)
#define NAME_LEN      20u /* sizeof(struct sockaddr_ll) */
#define SPKT_LEN      18u /* struct sockaddr_pkt: family, device[14], protocol */
#define FRAME_MAX     (65536u + 14)
#define ARPHRD_ETHER_ 1
#define LOOPBACK      772
#define ALEN	      6

static uint16_t be16(uint16_t v)
{
	return __builtin_bswap16(v);
}

/* ---- in ---- */

static bool dgram(const struct packet_sock *p)
{
	return p->s.type == LINUX_SOCK_DGRAM;
}

static struct packet_msg *msg_new(const struct packet_sock *p, const struct net_frame *f, uint32_t keep)
{
	uint32_t skip = dgram(p) ? f->net_off : 0;
	struct packet_msg *m = kmalloc(sizeof(*m) + keep);

	if (!m)
		return NULL;
	m->from = (struct sockaddr_ll){.family = LINUX_AF_PACKET,
				       .protocol = be16(f->protocol),
				       .ifindex = (int32_t)f->ifindex,
				       .hatype = f->hw_type,
				       .pkttype = f->type,
				       .halen = f->src_len};
	memcpy(m->from.addr, f->src, f->src_len);
	m->stamp_ns = (uint64_t)clock_realtime_ns();
	m->len = f->len - skip;
	m->kept = keep;
	m->net_off = f->net_off - skip;
	m->status = PACKET_STATUS_USER | (f->csum_unfinished ? PACKET_STATUS_CSUM_OPEN : 0);
	memcpy(m->data, f->data + skip, keep);
	return m;
}

static bool queue_locked(struct packet_sock *p, const struct net_frame *f, uint32_t keep)
{
	struct packet_msg *m;

	if (p->bytes > (uint32_t)p->s.rcvbuf)
		return false;
	m = msg_new(p, f, keep);
	if (!m)
		return false;
	list_add_tail(&p->msgs, &m->node);
	__atomic_store_n(&p->bytes, p->bytes + keep + 768u, __ATOMIC_RELAXED);
	__atomic_store_n(&p->count, p->count + 1, __ATOMIC_RELEASE);
	return true;
}

void packet_deliver(struct packet_sock *p, const struct net_frame *f)
{
	uint32_t skip = dgram(p) ? f->net_off : 0, keep;
	struct filter_packet fp = {.data = f->data + skip,
				   .len = f->len - skip,
				   .link = f->data,
				   .net = f->data + f->net_off,
				   .protocol = f->protocol,
				   .hw_type = f->hw_type,
				   .type = f->type,
				   .ifindex = f->ifindex,
				   .mark = f->mark};
	bool put;

	if (f->outgoing && __atomic_load_n(&p->ignore_outgoing, __ATOMIC_RELAXED))
		return;
	keep = socket_filter_run(&p->s, &fp);
	if (!keep)
		return;
	mutex_lock(&p->lock);
	put = p->rx.block_count ? packet_ring_put_locked(p, f, keep, dgram(p)) : queue_locked(p, f, keep);
	if (put)
		p->packets++;
	else
		p->drops++;
	mutex_unlock(&p->lock);
	if (put)
		waitq_wake(&p->s.wq, IN_EVENTS);
}

static void on_frame(struct net_tap *t, const struct net_frame *f)
{
	packet_deliver(container_of(t, struct packet_sock, tap), f);
}

/* What is heard follows from interface and protocol. */
static void hook(struct packet_sock *p)
{
	__atomic_store_n(&p->tap.ifindex, p->ifindex, __ATOMIC_RELAXED);
	__atomic_store_n(&p->tap.protocol, p->protocol, __ATOMIC_RELAXED);
	if (!p->hooked && p->protocol) {
		p->hooked = true;
		net_tap_add(p->st, &p->tap);
	}
}

/* ---- names ---- */

static int packet_bind(struct socket *s, const struct sock_caller *c, const struct sockaddr_buf *a)
{
	struct packet_sock *p = packet_of(s);
	struct net_if_info info = {0};
	struct sockaddr_ll ll;

	(void)c;
	if (a->len < NAME_LEN || a->family != LINUX_AF_PACKET)
		return -EINVAL;
	memcpy(&ll, a->bytes, sizeof(ll));
	if (__atomic_load_n(&p->fanout, __ATOMIC_ACQUIRE))
		return -EINVAL;
	if (ll.ifindex && (ll.ifindex < 0 || !net_if_find(p->st, (uint32_t)ll.ifindex, NULL, &info)))
		return -ENODEV;
	p->ifindex = (uint32_t)ll.ifindex;
	if (ll.protocol)
		p->protocol = be16(ll.protocol);
	hook(p);
	if (ll.ifindex && !(info.flags & LINUX_IFF_UP))
		__atomic_store_n(&s->error, ENETDOWN, __ATOMIC_RELEASE);
	return 0;
}

static int packet_getname(struct socket *s, bool peer, struct sockaddr_buf *out)
{
	struct packet_sock *p = packet_of(s);
	struct sockaddr_ll ll = {
		.family = LINUX_AF_PACKET, .protocol = be16(p->protocol), .ifindex = (int32_t)p->ifindex};
	struct net_if_info info;

	if (peer)
		return -EOPNOTSUPP;
	if (p->ifindex && net_if_find(p->st, p->ifindex, NULL, &info)) {
		ll.hatype = info.type;
		ll.halen = info.hw_len;
		memcpy(ll.addr, info.hw, info.hw_len);
	}
	memcpy(out->bytes, &ll, sizeof(ll));
	out->len = (uint32_t)offsetof(struct sockaddr_ll, addr) + ll.halen;
	return 0;
}

/* ---- out ---- */

int packet_send_frame(struct packet_sock *p, uint32_t ifindex, uint16_t protocol, const uint8_t *to,
		      const uint8_t *data, uint32_t len)
{
	struct net_if_info info;
	uint8_t *frame;
	uint32_t head;
	int ret;

	if (!dgram(p))
		return net_frame_send(p->st, ifindex, data, len, &p->tap);
	if (!net_if_find(p->st, ifindex, NULL, &info))
		return -ENXIO;
	head = net_if_header(&info);
	if (head && !to && info.type != LOOPBACK)
		return -EINVAL;
	if (!(info.flags & LINUX_IFF_UP))
		return -ENETDOWN;
	frame = kmalloc(head + len);
	if (!frame)
		return -ENOBUFS;
	if (head) {
		if (to)
			memcpy(frame, to, ALEN);
		memcpy(frame + ALEN, info.hw, ALEN);
		put_be16(frame + 12, protocol);
	}
	memcpy(frame + head, data, len);
	ret = net_frame_send(p->st, ifindex, frame, head + len, &p->tap);
	kfree(frame);
	return ret;
}

struct target {
	uint32_t ifindex;
	uint16_t protocol;
	bool has_to;
	uint8_t to[8];
};

static int read_target(struct packet_sock *p, const struct sockaddr_buf *a, struct target *t)
{
	struct sockaddr_ll ll;
	struct net_if_info info;
	char name[15] = {0};

	*t = (struct target){.ifindex = p->ifindex, .protocol = p->protocol};
	if (!a || !a->len)
		return p->s.type == LINUX_SOCK_PACKET ? -ENOTCONN : p->ifindex ? 0 : -ENXIO;
	if (p->s.type == LINUX_SOCK_PACKET) { /* an interface by name (packet(7), SOCK_PACKET) */
		if (a->len < 16)
			return -EINVAL;
		memcpy(name, a->bytes + 2, 14);
		if (!net_if_find(p->st, 0, name, &info))
			return -ENODEV;
		t->ifindex = info.index;
		return 0;
	}
	if (a->len < NAME_LEN)
		return -EINVAL;
	memcpy(&ll, a->bytes, sizeof(ll));
	if (a->len < offsetof(struct sockaddr_ll, addr) + ll.halen)
		return -EINVAL;
	t->ifindex = (uint32_t)ll.ifindex;
	t->protocol = be16(ll.protocol);
	t->has_to = dgram(p) && ll.halen >= ALEN;
	memcpy(t->to, ll.addr, sizeof(t->to));
	return dgram(p) && ll.halen < ALEN ? -EINVAL : 0;
}

static ssize_t packet_send(struct socket *s, const struct sock_caller *c, struct sock_msg *m)
{
	struct packet_sock *p = packet_of(s);
	uint64_t len = m->uio->resid;
	struct target t;
	uint8_t *buf;
	ssize_t ret = read_target(p, m->name, &t);

	if (m->flags & LINUX_MSG_OOB)
		return -EOPNOTSUPP;
	if (ret < 0)
		return ret;
	if (p->tx.block_count)
		return packet_ring_send(p, c, t.ifindex, t.protocol, t.has_to ? t.to : NULL);
	if (len > FRAME_MAX)
		return -EMSGSIZE;
	buf = kmalloc(len ? len : 1);
	if (!buf)
		return -ENOBUFS;
	ret = len ? uio_get(m->uio, buf, len) : 0;
	if (ret >= 0 && (uint64_t)ret < len)
		ret = -EFAULT;
	if (ret >= 0)
		ret = packet_send_frame(p, t.ifindex, t.protocol, t.has_to ? t.to : NULL, buf, (uint32_t)len);
	kfree(buf);
	return ret < 0 ? ret : (ssize_t)len;
}

/* ---- recv ---- */

struct auxdata {
	uint32_t status, len, snaplen;
	uint16_t mac, net, vlan_tci, vlan_tpid;
};

static void put_extras(struct packet_sock *p, const struct packet_msg *msg, struct sock_msg *m)
{
	struct auxdata a = {
		.status = msg->status, .len = msg->len, .snaplen = msg->kept, .net = (uint16_t)msg->net_off};

	m->control_len = 0;
	__atomic_store_n(&p->stamp_ns, msg->stamp_ns, __ATOMIC_RELAXED);
	socket_cmsg_stamp(&p->s, msg->stamp_ns, m);
	if (p->auxdata)
		socket_cmsg_put(m, LINUX_SOL_PACKET, LINUX_PACKET_AUXDATA, &a, sizeof(a));
}

static void put_name(struct packet_sock *p, const struct packet_msg *msg, struct sockaddr_buf *a)
{
	struct net_if_info info;

	if (p->s.type != LINUX_SOCK_PACKET) {
		memcpy(a->bytes, &msg->from, sizeof(msg->from));
		a->len = NAME_LEN;
		return;
	}
	memset(a->bytes, 0, SPKT_LEN);
	a->family = msg->from.hatype;
	if (net_if_find(p->st, (uint32_t)msg->from.ifindex, NULL, &info))
		memcpy(a->bytes + 2, info.name, 13);
	memcpy(a->bytes + 16, &msg->from.protocol, 2);
	a->len = SPKT_LEN;
}

static ssize_t packet_recv(struct socket *s, const struct sock_caller *c, struct sock_msg *m)
{
	const uint32_t known = LINUX_MSG_PEEK | LINUX_MSG_DONTWAIT | LINUX_MSG_TRUNC | LINUX_MSG_ERRQUEUE |
			       LINUX_MSG_CMSG_CLOEXEC;
	bool peek = (m->flags & LINUX_MSG_PEEK) != 0, whole = (m->flags & LINUX_MSG_TRUNC) != 0;
	struct packet_sock *p = packet_of(s);
	struct packet_msg *msg;
	uint64_t n;
	ssize_t ret = 0;

	(void)c;
	if (m->flags & ~known)
		return -EINVAL;
	if (m->flags & LINUX_MSG_ERRQUEUE)
		return -EAGAIN;
	m->flags = 0;
	m->file_count = 0;
	m->have_cred = false;
	ret = socket_take_error(s);
	if (ret)
		return -ret;
	mutex_lock(&p->lock);
	msg = list_first(&p->msgs, struct packet_msg, node);
	if (!msg) {
		mutex_unlock(&p->lock);
		return -EAGAIN;
	}
	if (!peek) {
		list_del(&msg->node);
		__atomic_store_n(&p->bytes, p->bytes - msg->kept - 768u, __ATOMIC_RELAXED);
		__atomic_store_n(&p->count, p->count - 1, __ATOMIC_RELEASE);
		mutex_unlock(&p->lock);
	}
	n = MIN((uint64_t)msg->kept, m->uio->resid);
	if (n && uio_put(m->uio, msg->data, n) != (ssize_t)n)
		ret = -EFAULT;
	if (ret == 0) {
		if (msg->kept > n)
			m->flags |= LINUX_MSG_TRUNC;
		if (m->name)
			put_name(p, msg, m->name);
		put_extras(p, msg, m);
		ret = (ssize_t)(whole ? msg->kept : n);
	}
	if (peek)
		mutex_unlock(&p->lock);
	else
		kfree(msg);
	return ret;
}

static uint32_t packet_ready(struct socket *s)
{
	struct packet_sock *p = packet_of(s);
	uint32_t ev = OUT_EVENTS;

	if (__atomic_load_n(&s->error, __ATOMIC_ACQUIRE))
		ev |= EV_ERR;
	if (__atomic_load_n(&p->count, __ATOMIC_ACQUIRE))
		ev |= IN_EVENTS;
	if (__atomic_load_n(&p->rx.block_count, __ATOMIC_ACQUIRE)) {
		mutex_lock(&p->lock);
		if (packet_ring_ready_locked(p))
			ev |= IN_EVENTS;
		mutex_unlock(&p->lock);
	}
	return ev;
}

static int64_t packet_ioctl(struct socket *s, uint32_t cmd, uint64_t arg, const struct usermem *um,
			    const struct cred *cred)
{
	struct packet_sock *p = packet_of(s);
	struct packet_msg *m;
	uint64_t t = __atomic_load_n(&p->stamp_ns, __ATOMIC_RELAXED);
	int64_t pair[2] = {(int64_t)(t / NSEC_PER_SEC), (int64_t)(t % NSEC_PER_SEC)};
	int32_t n;

	(void)cred;
	switch (cmd) {
	case LINUX_SIOCINQ:
		mutex_lock(&p->lock);
		m = list_first(&p->msgs, struct packet_msg, node);
		n = m ? (int32_t)m->kept : 0;
		mutex_unlock(&p->lock);
		return usermem_out(um, arg, &n, sizeof(n));
	case LINUX_SIOCOUTQ:
		n = 0;
		return usermem_out(um, arg, &n, sizeof(n));
	case LINUX_SIOCGSTAMP_OLD:
	case LINUX_SIOCGSTAMP_NEW:
		pair[1] /= 1000;
		FALLTHROUGH;
	case LINUX_SIOCGSTAMPNS_OLD:
	case LINUX_SIOCGSTAMPNS_NEW:
		return t ? usermem_out(um, arg, pair, sizeof(pair)) : -ENOENT;
	default:
		return -ENOTTY;
	}
}

/* ---- life ---- */

void packet_put(struct packet_sock *p)
{
	struct packet_msg *m, *tmp;

	if (!refs_put(&p->s.refs))
		return;
	list_for_each_safe (m, tmp, &p->msgs, node)
		kfree(m);
	packet_ring_fini(p);
	kfree(p);
}

static void packet_release(struct socket *s)
{
	struct packet_sock *p = packet_of(s);

	packet_fanout_leave(p);
	if (p->hooked)
		net_tap_del(p->st, &p->tap);
	packet_members_drop(p);
	packet_put(p);
}

static const struct socket_ops packet_ops = {
	.bind = packet_bind,
	.getname = packet_getname,
	.send = packet_send,
	.recv = packet_recv,
	.setsockopt = packet_setsockopt,
	.getsockopt = packet_getsockopt,
	.ready = packet_ready,
	.ioctl = packet_ioctl,
	.mappable = packet_mappable,
	.release = packet_release,
};

static int packet_create(int type, int protocol, const struct sock_caller *c, struct socket **out)
{
	struct packet_sock *p;

	if (!c || !c->at || !c->at->cred || !cred_has_cap(c->at->cred, LINUX_CAP_NET_RAW))
		return -EPERM;
	if (type != LINUX_SOCK_RAW && type != LINUX_SOCK_DGRAM && type != LINUX_SOCK_PACKET)
		return -ESOCKTNOSUPPORT;
	if (!c->net_stack)
		return -EAFNOSUPPORT;
	p = kmalloc(sizeof(*p));
	if (!p)
		return -ENOMEM;
	socket_init(&p->s, &packet_ops, LINUX_AF_PACKET, type, protocol, c);
	mutex_init(&p->lock, RANK_PACKET);
	list_init(&p->msgs);
	list_init(&p->members);
	p->st = c->net_stack; /* the file holds it */
	p->tap.fn = on_frame;
	p->protocol = be16((uint16_t)protocol);
	hook(p);
	*out = &p->s;
	return 0;
}

static const struct socket_family packet_family = {.family = LINUX_AF_PACKET, .create = packet_create};

int packet_init(void)
{
	socket_register(&packet_family);
	return packet_fanout_init();
}
