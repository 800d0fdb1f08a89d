/* netlink.c: netlink sockets. Requests are served at once, in send; the answers are queued for recv. Of the
 * protocols there are NETLINK_ROUTE (route.c, fib.c), NETLINK_SOCK_DIAG (diag.c) and NETLINK_KOBJECT_UEVENT, on
 * which nothing ever happens. */
#include <string.h>

#include "platform/abi/errno.h"
#include "platform/abi/ioctl.h"
#include "platform/abi/socket.h"
#include "platform/base/arena.h"
#include "sentry/socket/filter.h"
#include "sentry/socket/netlink/internal.h"

#define REQUEST_MAX   65536u
#define QUEUE_MAX     212992u
#define DUMP_MAX      (16u * 1024 * 1024)
#define DATAGRAM_MAX  8192u
#define NLM_F_ACK_BIT 4u
#define IN_EVENTS     (EV_IN | EV_RDNORM)

struct sockaddr_nl {
	uint16_t family, pad;
	uint32_t pid, groups;
};

static struct nl_sock *nl_of(struct socket *s)
{
	return (struct nl_sock *)s;
}

static uint32_t new_portid(const struct socket *s)
{
	struct nl_state *state = socket_family_state(LINUX_AF_NETLINK);
	uint32_t n = __atomic_fetch_add(&state->next_port, 1, __ATOMIC_RELAXED);

	/* the first socket of a process usually gets its process id; nobody may rely on more than
	 * uniqueness */
	return n == 0 && s->creator_pid ? (uint32_t)s->creator_pid : 0x80000000u + n;
}

static void fill_name(const struct nl_sock *n, struct sockaddr_buf *out, bool kernel)
{
	struct sockaddr_nl a = {.family = LINUX_AF_NETLINK};

	if (!kernel) {
		a.pid = n->portid;
		a.groups = (uint32_t)n->groups;
	}
	memcpy(out->bytes, &a, sizeof(a));
	out->len = sizeof(a);
}

static int read_name(const struct sockaddr_buf *a, struct sockaddr_nl *out)
{
	if (a->len < sizeof(*out) || a->family != LINUX_AF_NETLINK)
		return -EINVAL;
	memcpy(out, a->bytes, sizeof(*out));
	return 0;
}

static struct nl_state *nl_state(void)
{
	return socket_family_state(LINUX_AF_NETLINK);
}

/* Has another socket of the protocol and the namespace the port? */
static bool port_taken(struct nl_sock *me, uint32_t pid)
{
	struct nl_sock *n;
	bool taken = false;

	mutex_lock(&nl_state()->lock);
	list_for_each (n, &nl_state()->all, all_node)
		if (n != me && n->s.protocol == me->s.protocol && n->s.stack == me->s.stack && n->portid == pid)
			taken = true;
	mutex_unlock(&nl_state()->lock);
	return taken;
}

static int nl_bind(struct socket *s, const struct sock_caller *c, const struct sockaddr_buf *a)
{
	struct nl_sock *n = nl_of(s);
	struct sockaddr_nl sa;
	int ret = read_name(a, &sa);

	(void)c;
	if (ret < 0)
		return ret;
	if (sa.pid && port_taken(n, sa.pid))
		return -EADDRINUSE;
	mutex_lock(&n->lock);
	if (n->portid && sa.pid && sa.pid != n->portid)
		ret = -EINVAL;
	else if (!n->portid)
		n->portid = sa.pid ? sa.pid : new_portid(s);
	if (ret == 0)
		n->groups = (n->groups & ~(uint64_t)UINT32_MAX) | sa.groups;
	mutex_unlock(&n->lock);
	return ret;
}

static int nl_connect(struct socket *s, const struct sock_caller *c, const struct sockaddr_buf *a,
		      uint32_t file_flags)
{
	struct nl_sock *n = nl_of(s);
	struct sockaddr_nl sa;
	int ret;

	(void)c, (void)file_flags;
	if (a->len >= 2 && a->family == LINUX_AF_UNSPEC)
		return 0;
	ret = read_name(a, &sa);
	if (ret < 0)
		return ret;
	if (sa.pid != 0)
		return -ECONNREFUSED; /* only the kernel listens */
	mutex_lock(&n->lock);
	if (!n->portid)
		n->portid = new_portid(s);
	mutex_unlock(&n->lock);
	return 0;
}

static int nl_getname(struct socket *s, bool peer, struct sockaddr_buf *out)
{
	struct nl_sock *n = nl_of(s);

	mutex_lock(&n->lock);
	fill_name(n, out, peer);
	mutex_unlock(&n->lock);
	return 0;
}

/* ---- building ---- */
static void pad4(struct strbuf *out)
{
	static const char zeros[4];

	if (out->len % 4)
		strbuf_add(out, zeros, 4 - out->len % 4);
}

size_t nl_begin(struct nl_request *r, uint16_t type, uint16_t flags, const void *fixed, size_t size)
{
	struct nl_header h = {.type = type, .flags = flags, .seq = r->h.seq, .pid = r->portid};
	size_t at = r->out->len;

	strbuf_add(r->out, &h, sizeof(h));
	strbuf_add(r->out, fixed, size);
	pad4(r->out);
	return at;
}

void nl_attr(struct nl_request *r, uint16_t type, const void *data, size_t size)
{
	uint16_t head[2] = {(uint16_t)(size + 4), type};

	strbuf_add(r->out, head, sizeof(head));
	strbuf_add(r->out, data, size);
	pad4(r->out);
}

void nl_attr_u32(struct nl_request *r, uint16_t type, uint32_t v)
{
	nl_attr(r, type, &v, sizeof(v));
}

void nl_end(struct nl_request *r, size_t at)
{
	uint32_t len = (uint32_t)(r->out->len - at);

	if (strbuf_ok(r->out))
		memcpy(r->out->data + at, &len, sizeof(len));
}

size_t nl_nest_begin(struct nl_request *r, uint16_t type)
{
	size_t at = r->out->len;

	nl_attr(r, type, "", 0);
	return at;
}

void nl_nest_end(struct nl_request *r, size_t at)
{
	uint16_t len = (uint16_t)(r->out->len - at);

	if (strbuf_ok(r->out))
		memcpy(r->out->data + at, &len, sizeof(len));
}

/* As netlink_ack has it: an error quotes the request unless the asker knows its own requests (CAP_ACK). */
static void answer_error(const struct nl_sock *n, struct nl_request *r, int error)
{
	bool quote = error && !nl_option(n, LINUX_NETLINK_CAP_ACK),
	     tlv = r->why && nl_option(n, LINUX_NETLINK_EXT_ACK);
	uint16_t flags = (uint16_t)((quote ? 0 : LINUX_NLM_F_CAPPED) | (tlv ? LINUX_NLM_F_ACK_TLVS : 0));
	size_t at = nl_begin(r, LINUX_NLMSG_ERROR, flags, &error, sizeof(error));

	strbuf_add(r->out, &r->h, sizeof(r->h));
	if (quote) {
		strbuf_add(r->out, r->body, r->body_len);
		pad4(r->out);
	}
	if (tlv)
		nl_attr(r, LINUX_NLMSGERR_ATTR_MSG, r->why, strlen(r->why) + 1);
	nl_end(r, at);
}

/* ---- sending: serves each request of the datagram ---- */
static void serve(struct nl_sock *n, struct nl_request *r)
{
	int ret;

	if (r->h.type < 16) /* NLMSG_NOOP and the like */
		return;
	if (!(r->h.flags & 1)) /* NLM_F_REQUEST */
		return;
	ret = n->s.protocol == LINUX_NETLINK_ROUTE	 ? nl_route(r)
	      : n->s.protocol == LINUX_NETLINK_SOCK_DIAG ? nl_diag(r)
							 : -EOPNOTSUPP;
	if (ret < 0 || (r->h.flags & NLM_F_ACK_BIT))
		answer_error(n, r, ret);
}

/* Queues data as one datagram. A dump may be as long as what there is to tell. group: of a notice. */
static int queue_one(struct nl_sock *n, const void *data, size_t len, bool dump, uint32_t group)
{
	struct filter_packet p = {.data = data, .len = (uint32_t)len};
	uint32_t keep = socket_filter_run(&n->s, &p);
	struct nl_msg *m;
	int ret = 0;

	if (!keep)
		return 0;
	m = kmalloc(sizeof(*m) + keep);
	if (!m)
		return -ENOMEM;
	m->len = keep;
	m->group = group;
	memcpy(m->data, data, keep);
	mutex_lock(&n->lock);
	if (n->bytes + m->len > (dump ? DUMP_MAX : MAX((uint32_t)n->s.rcvbuf, group ? 0 : QUEUE_MAX))) {
		ret = -ENOBUFS;
		if (group && !nl_option(n, LINUX_NETLINK_NO_ENOBUFS))
			n->overrun = true;
	} else {
		list_add_tail(&n->msgs, &m->node);
		n->count++;
		n->bytes += m->len;
	}
	mutex_unlock(&n->lock);
	if (ret < 0)
		kfree(m);
	return ret;
}

/* An answer of several messages is cut between them, into datagrams that a reader's buffer takes. */
static int queue_answer(struct nl_sock *n, const struct strbuf *out)
{
	size_t from = 0, at = 0;
	int ret = 0;

	if (!strbuf_ok(out))
		return -ENOMEM;
	while (ret == 0 && at < out->len) {
		uint32_t len;

		memcpy(&len, out->data + at, sizeof(len));
		len = ROUND_UP(len, 4u);
		if (at > from && at + len - from > DATAGRAM_MAX) {
			ret = queue_one(n, out->data + from, at - from, true, 0);
			from = at;
		}
		at += MIN((size_t)len, out->len - at);
	}
	if (ret == 0 && at > from)
		ret = queue_one(n, out->data + from, at - from, from != 0, 0);
	if (at)
		waitq_wake(&n->s.wq, IN_EVENTS);
	return ret;
}

static int serve_all(struct nl_sock *n, const struct sock_caller *c, const uint8_t *buf, size_t size)
{
	struct nl_request r = {.portid = n->portid,
			       .st = n->s.stack,
			       .caller = c,
			       .strict = nl_option(n, LINUX_NETLINK_GET_STRICT_CHK),
			       .cred = c->at ? c->at->cred : NULL};
	size_t at = 0;
	int ret = 0;

	while (ret == 0 && size - at >= sizeof(r.h)) {
		struct strbuf out;

		memcpy(&r.h, buf + at, sizeof(r.h));
		if (r.h.len < sizeof(r.h) || r.h.len > size - at)
			break;
		r.body = buf + at + sizeof(r.h);
		r.body_len = r.h.len - (uint32_t)sizeof(r.h);
		strbuf_init(&out);
		r.out = &out;
		r.why = NULL;
		serve(n, &r);
		ret = queue_answer(n, &out);
		strbuf_fini(&out);
		if (ROUND_UP((size_t)r.h.len, 4) >= size - at)
			break;
		at += ROUND_UP((size_t)r.h.len, 4);
	}
	return ret;
}

void nl_notify(struct net_stack *st, uint32_t group, void (*fill)(struct nl_request *r, const void *arg),
	       const void *arg)
{
	struct nl_state *state = nl_state();
	struct strbuf out;
	struct nl_request r = {.st = st, .out = &out};
	struct nl_sock *n;
	bool made = false;

	if (!state) /* the first interfaces are there before anybody could listen */
		return;
	mutex_lock(&state->lock);
	list_for_each (n, &state->all, all_node) {
		if (n->s.protocol != LINUX_NETLINK_ROUTE || n->s.stack != st || !(n->groups >> (group - 1) & 1))
			continue;
		if (!made) {
			strbuf_init(&out);
			fill(&r, arg);
			made = true;
		}
		if (strbuf_ok(&out) && queue_one(n, out.data, out.len, false, group) != -ENOMEM)
			waitq_wake(&n->s.wq, IN_EVENTS);
	}
	mutex_unlock(&state->lock);
	if (made)
		strbuf_fini(&out);
}

static ssize_t nl_send(struct socket *s, const struct sock_caller *c, struct sock_msg *m)
{
	struct nl_sock *n = nl_of(s);
	size_t size = m->uio->resid;
	struct sockaddr_nl sa;
	uint8_t *buf;
	ssize_t ret;

	if (m->flags & LINUX_MSG_OOB)
		return -EOPNOTSUPP;
	if (m->name && m->name->len) {
		ret = read_name(m->name, &sa);
		if (ret < 0)
			return ret;
		if (sa.pid || sa.groups)
			return sa.groups ? -EPERM : -ECONNREFUSED;
	}
	if (size > REQUEST_MAX)
		return -EMSGSIZE;
	buf = kmalloc(size + 1);
	if (!buf)
		return -ENOMEM;
	mutex_lock(&n->lock);
	if (!n->portid)
		n->portid = new_portid(s);
	mutex_unlock(&n->lock);
	ret = size ? uio_get(m->uio, buf, size) : 0;
	if (ret >= 0 && (size_t)ret != size)
		ret = -EFAULT;
	if (ret >= 0)
		ret = serve_all(n, c, buf, size);
	kfree(buf);
	return ret < 0 ? ret : (ssize_t)size;
}

static void from_kernel(uint32_t group, struct sockaddr_buf *out)
{
	struct sockaddr_nl a = {.family = LINUX_AF_NETLINK,
				.groups = group && group <= 32 ? 1u << (group - 1) : 0};

	memcpy(out->bytes, &a, sizeof(a));
	out->len = sizeof(a);
}

static ssize_t nl_recv(struct socket *s, const struct sock_caller *c, struct sock_msg *m)
{
	bool peek = (m->flags & LINUX_MSG_PEEK) != 0, want_len = (m->flags & LINUX_MSG_TRUNC) != 0;
	struct nl_sock *n = nl_of(s);
	struct nl_msg *msg;
	ssize_t ret = 0;
	size_t len;

	(void)c;
	if (m->flags & LINUX_MSG_OOB)
		return -EOPNOTSUPP;
	m->file_count = 0;
	m->have_cred = socket_option(s, LINUX_SO_PASSCRED); /* the kernel's: no process, root */
	m->cred_pid = 0;
	m->cred_uid = m->cred_gid = 0;
	m->flags &= ~LINUX_MSG_TRUNC;
	mutex_lock(&n->lock);
	msg = list_first(&n->msgs, struct nl_msg, node);
	if (!msg || n->overrun) {
		ret = n->overrun ? -ENOBUFS : -EAGAIN;
		n->overrun = false;
		mutex_unlock(&n->lock);
		return ret;
	}
	len = MIN((uint64_t)msg->len, m->uio->resid);
	if (len) {
		ret = uio_put(m->uio, msg->data, len);
		if (ret != (ssize_t)len)
			ret = -EFAULT;
	}
	if (msg->len > len)
		m->flags |= LINUX_MSG_TRUNC;
	if (m->name)
		from_kernel(msg->group, m->name);
	m->control_len = 0;
	if (nl_option(n, LINUX_NETLINK_PKTINFO))
		socket_cmsg_put(m, LINUX_SOL_NETLINK, LINUX_NETLINK_PKTINFO, &msg->group, sizeof(msg->group));
	if (ret >= 0 && want_len)
		ret = msg->len;
	if (!peek) {
		list_del(&msg->node);
		n->count--;
		n->bytes -= msg->len;
		kfree(msg);
	}
	mutex_unlock(&n->lock);
	return ret;
}

static int membership(struct nl_sock *n, uint32_t group, bool on)
{
	if (!group || group > NL_GROUPS)
		return -EINVAL;
	mutex_lock(&n->lock);
	if (on)
		n->groups |= 1ULL << (group - 1);
	else
		n->groups &= ~(1ULL << (group - 1));
	mutex_unlock(&n->lock);
	return 0;
}

static bool is_flag(int name)
{
	return name == LINUX_NETLINK_PKTINFO || name == LINUX_NETLINK_NO_ENOBUFS ||
	       name == LINUX_NETLINK_BROADCAST_ERROR || name == LINUX_NETLINK_CAP_ACK ||
	       name == LINUX_NETLINK_EXT_ACK || name == LINUX_NETLINK_GET_STRICT_CHK;
}

static int nl_setsockopt(struct socket *s, const struct sock_caller *c, int level, int name, const void *val,
			 uint32_t len)
{
	struct nl_sock *n = nl_of(s);
	uint32_t v = 0;

	if (level != LINUX_SOL_NETLINK)
		return level == LINUX_SOL_SOCKET ? socket_setsockopt_generic(s, c, level, name, val, len)
						 : -ENOPROTOOPT;
	if (len < sizeof(v))
		return -EINVAL;
	memcpy(&v, val, sizeof(v));
	if (name == LINUX_NETLINK_ADD_MEMBERSHIP || name == LINUX_NETLINK_DROP_MEMBERSHIP)
		return membership(n, v, name == LINUX_NETLINK_ADD_MEMBERSHIP);
	if (!is_flag(name))
		return -ENOPROTOOPT;
	if (v)
		__atomic_or_fetch(&n->flags, 1u << name, __ATOMIC_RELAXED);
	else
		__atomic_and_fetch(&n->flags, ~(1u << name), __ATOMIC_RELAXED);
	return 0;
}

static int nl_getsockopt(struct socket *s, const struct sock_caller *c, int level, int name, void *val,
			 uint32_t *len)
{
	struct nl_sock *n = nl_of(s);
	uint64_t groups;
	int32_t v;

	if (level != LINUX_SOL_NETLINK)
		return level == LINUX_SOL_SOCKET ? socket_getsockopt_generic(s, c, level, name, val, len)
						 : -ENOPROTOOPT;
	if (name == LINUX_NETLINK_LIST_MEMBERSHIPS) {
		groups = n->groups;
		(void)socket_option_put(val, len, &groups, *len < 8 ? *len & ~3u : 8);
		*len = 8; /* what there would be */
		return 0;
	}
	if (!is_flag(name))
		return -ENOPROTOOPT;
	if (*len < sizeof(v))
		return -EINVAL;
	v = nl_option(n, name);
	return socket_option_put(val, len, &v, sizeof(v));
}

static uint32_t nl_ready(struct socket *s)
{
	struct nl_sock *n = nl_of(s);

	return EV_OUT | EV_WRNORM | (__atomic_load_n(&n->count, __ATOMIC_ACQUIRE) ? IN_EVENTS : 0);
}

static int nl_shutdown(struct socket *s, int how)
{
	(void)s, (void)how;
	return -EOPNOTSUPP;
}

static int nl_listen(struct socket *s, const struct sock_caller *c, int backlog)
{
	(void)s, (void)c, (void)backlog;
	return -EOPNOTSUPP;
}

static int nl_accept(struct socket *s, const struct sock_caller *c, struct socket **out,
		     struct sockaddr_buf *peer)
{
	(void)s, (void)c, (void)out, (void)peer;
	return -EOPNOTSUPP;
}

static int nl_connect_result(struct socket *s)
{
	(void)s;
	return 0;
}

static void nl_release(struct socket *s)
{
	struct nl_sock *n = nl_of(s);
	struct nl_msg *m, *tmp;

	mutex_lock(&nl_state()->lock);
	list_del(&n->all_node);
	mutex_unlock(&nl_state()->lock);

	list_for_each_safe (m, tmp, &n->msgs, node)
		kfree(m);
	kfree(n);
}

static const struct socket_ops nl_ops = {
	.bind = nl_bind,
	.listen = nl_listen,
	.connect = nl_connect,
	.connect_result = nl_connect_result,
	.accept = nl_accept,
	.getname = nl_getname,
	.send = nl_send,
	.recv = nl_recv,
	.shutdown = nl_shutdown,
	.setsockopt = nl_setsockopt,
	.getsockopt = nl_getsockopt,
	.ready = nl_ready,
	.release = nl_release,
};

static int nl_create(int type, int protocol, const struct sock_caller *c, struct socket **out)
{
	struct nl_sock *n;

	if (type != LINUX_SOCK_RAW && type != LINUX_SOCK_DGRAM)
		return -ESOCKTNOSUPPORT;
	if (protocol != LINUX_NETLINK_ROUTE && protocol != LINUX_NETLINK_KOBJECT_UEVENT &&
	    protocol != LINUX_NETLINK_SOCK_DIAG)
		return -EPROTONOSUPPORT;
	n = kmalloc(sizeof(*n));
	if (!n)
		return -ENOMEM;
	socket_init(&n->s, &nl_ops, LINUX_AF_NETLINK, type, protocol, c);
	mutex_init(&n->lock, RANK_PACKET);
	list_init(&n->msgs);
	mutex_lock(&nl_state()->lock);
	list_add_tail(&nl_state()->all, &n->all_node);
	mutex_unlock(&nl_state()->lock);
	*out = &n->s;
	return 0;
}

const struct socket_family netlink_family = {
	.family = LINUX_AF_NETLINK,
	.create = nl_create,
};

int netlink_init(void)
{
	struct nl_state *state = kmalloc(sizeof(*state));

	if (!state)
		return -ENOMEM;
	mutex_init(&state->lock, RANK_SOCKET_NAMES);
	list_init(&state->all);
	socket_register(&netlink_family);
	socket_family_set_state(LINUX_AF_NETLINK, state);
	return 0;
}
