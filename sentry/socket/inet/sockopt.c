/* sockopt.c: SOL_SOCKET and UDP options of the IP families, and the tables by which their levels keep plain
 * numbers. */
#include <string.h>

#include "platform/abi/prctl.h"
#include "sentry/socket/filter.h"
#include "sentry/socket/inet/internal.h"

#define IFNAMSIZ	   16u
#define UDPLITE_SEND_CSCOV 10
#define UDPLITE_RECV_CSCOV 11
#define TCP_SNDBUF_NEW	   16384
#define TCP_RCVBUF_NEW	   131072
#define TCP_SNDBUF_AUTO	   2626560

int inet_opt_int(const void *val, uint32_t len, int32_t *v)
{
	if (len >= sizeof(*v))
		memcpy(v, val, sizeof(*v));
	else if (len >= 1)
		*v = *(const uint8_t *)val;
	else
		*v = 0;
	return 0;
}

/* One byte is enough where it fits and the caller has no more room (ip_sockglue.c's habit, which programs rely
 * on). */
int inet_opt_put(void *val, uint32_t *len, int32_t v)
{
	uint8_t small = (uint8_t)v;

	if (*len && *len < sizeof(v) && v >= 0 && v <= 255)
		return socket_option_put(val, len, &small, 1);
	return socket_option_put(val, len, &v, sizeof(v));
}

static const struct opt_desc *find(const struct opt_desc *table, uint32_t count, int name)
{
	for (uint32_t n = 0; n < count; n++)
		if (table[n].name == name)
			return &table[n];
	return NULL;
}

int inet_opt_set(struct inet_sock *i, const struct opt_desc *table, uint32_t count, int name, int64_t v)
{
	const struct opt_desc *d = find(table, count, name);
	uint8_t *at;

	if (!d)
		return 0;
	if (d->type == OPT_WANT) {
		inet_want(i, (enum want)d->off, v != 0);
		return 1;
	}
	at = (uint8_t *)net_sock_opts(i->sk) + d->off;
	if ((d->type != OPT_BOOL || d->max) && (v < d->min || v > d->max))
		return -EINVAL;
	switch (d->type) {
	case OPT_BOOL:
		__atomic_store_n((bool *)at, v != 0, __ATOMIC_RELAXED);
		break;
	case OPT_U8:
		__atomic_store_n(at, (uint8_t)v, __ATOMIC_RELAXED);
		break;
	case OPT_I16:
		__atomic_store_n((int16_t *)at, (int16_t)v, __ATOMIC_RELAXED);
		break;
	default:
		__atomic_store_n((int32_t *)at, (int32_t)v, __ATOMIC_RELAXED);
		break;
	}
	return 1;
}

bool inet_opt_get(struct inet_sock *i, const struct opt_desc *table, uint32_t count, int name, int32_t *v)
{
	const struct opt_desc *d = find(table, count, name);
	const uint8_t *at;

	if (!d)
		return false;
	at = (const uint8_t *)net_sock_opts(i->sk) + d->off;
	switch (d->type) {
	case OPT_WANT:
		*v = inet_wants(i, (enum want)d->off);
		break;
	case OPT_BOOL:
		*v = *(const bool *)at;
		break;
	case OPT_U8:
		*v = *at;
		break;
	case OPT_I16:
		*v = *(const int16_t *)at;
		break;
	default:
		*v = *(const int32_t *)at;
		break;
	}
	if (*v == -1 && d->null)
		*v = d->null;
	return true;
}

void inet_sync_options(struct inet_sock *i)
{
	struct net_opts *o = net_sock_opts(i->sk);
	const struct socket *s = &i->s;

	o->reuseaddr = socket_option(s, LINUX_SO_REUSEADDR);
	o->reuseport = socket_option(s, LINUX_SO_REUSEPORT);
	o->broadcast = socket_option(s, LINUX_SO_BROADCAST);
	o->keepalive = socket_option(s, LINUX_SO_KEEPALIVE);
	o->oobinline = socket_option(s, LINUX_SO_OOBINLINE);
	o->dontroute = socket_option(s, LINUX_SO_DONTROUTE);
	o->no_check = socket_option(s, LINUX_SO_NO_CHECK);
	o->linger_on = socket_option(s, LINUX_SO_LINGER);
	o->linger = s->linger;
	o->mark = (uint32_t)s->mark;
	o->rcvlowat = s->rcvlowat;
}

static int bind_device(struct inet_sock *i, const struct sock_caller *c, uint32_t index)
{
	struct net_opts *o = net_sock_opts(i->sk);
	struct net_if_info info;

	if (o->bound_if && !inet_may(c, LINUX_CAP_NET_RAW))
		return -EPERM;
	if (index && !net_if_find(net_sock_stack(i->sk), index, NULL, &info))
		return -ENODEV;
	__atomic_store_n(&o->bound_if, index, __ATOMIC_RELAXED);
	return 0;
}

static int bind_device_name(struct inet_sock *i, const struct sock_caller *c, const void *val, uint32_t len)
{
	struct net_if_info info = {0};
	char name[IFNAMSIZ + 1] = {0};

	memcpy(name, val, MIN(len, IFNAMSIZ - 1));
	if (name[0] && !net_if_find(net_sock_stack(i->sk), 0, name, &info))
		return -ENODEV;
	return bind_device(i, c, info.index);
}

/* The stack asks, with the socket locked. */
static uint32_t run_filter(void *owner, const struct net_frame *f)
{
	struct inet_sock *i = owner;
	struct filter_packet p = {.data = f->data,
				  .len = f->len,
				  .protocol = f->protocol,
				  .ifindex = f->ifindex,
				  .mark = f->mark};

	return socket_filter_run(&i->s, &p);
}

static int set_socket(struct inet_sock *i, const struct sock_caller *c, int name, const void *val, uint32_t len)
{
	struct net_opts *o = net_sock_opts(i->sk);
	int32_t v = 0;
	int ret;

	if (name == LINUX_SO_BINDTODEVICE)
		return bind_device_name(i, c, val, len);
	ret = inet_hint_set(i, name, val, len);
	if (ret <= 0)
		return ret;
	if (len >= sizeof(v))
		memcpy(&v, val, sizeof(v));
	switch (name) {
	case LINUX_SO_BINDTOIFINDEX:
		return len < sizeof(v) ? -EINVAL : v < 0 ? -EINVAL : bind_device(i, c, (uint32_t)v);
	case LINUX_SO_ZEROCOPY:
		if (i->s.type == LINUX_SOCK_RAW || i->s.protocol == LINUX_IPPROTO_ICMP ||
		    i->s.protocol == LINUX_IPPROTO_ICMPV6)
			return -EOPNOTSUPP;
		if (len >= sizeof(v) && (v < 0 || v > 1))
			return -EINVAL;
		break;
	case LINUX_SO_PASSCRED:
	case LINUX_SO_PASSSEC:
		return -EOPNOTSUPP;
	case LINUX_SO_BSDCOMPAT:
		return 0;
	case LINUX_SO_TIMESTAMPING:
		if (len < sizeof(v))
			return -EINVAL;
		i->stamping = (uint32_t)v;
		return 0;
	case LINUX_SO_MAX_PACING_RATE:
		if (len < sizeof(v))
			return -EINVAL;
		i->pacing = (uint32_t)v;
		return 0;
	case LINUX_SO_ATTACH_FILTER:
		if (i->s.type == LINUX_SOCK_STREAM)
			return -EOPNOTSUPP; /* there are no packets to look at */
		break;
	default:
		break;
	}
	ret = socket_setsockopt_generic(&i->s, c, LINUX_SOL_SOCKET, name, val, len);
	if (ret < 0)
		return ret;
	if (name == LINUX_SO_SNDBUF || name == LINUX_SO_SNDBUFFORCE) {
		o->sndbuf = i->s.sndbuf;
		o->sndbuf_set = true;
		net_sock_buffers_changed(i->sk);
	} else if (name == LINUX_SO_RCVBUF || name == LINUX_SO_RCVBUFFORCE) {
		o->rcvbuf = i->s.rcvbuf;
		o->rcvbuf_set = true;
		net_sock_buffers_changed(i->sk);
	}
	if (name == LINUX_SO_ATTACH_FILTER || name == LINUX_SO_DETACH_FILTER)
		net_sock_set_filter(i->sk, name == LINUX_SO_ATTACH_FILTER ? run_filter : NULL);
	inet_sync_options(i);
	return 0;
}

static const struct opt_desc udp_opts[] = {
	{LINUX_UDP_CORK, OPT_BOOL, offsetof(struct net_opts, cork), 0, 0, 0},
	{LINUX_UDP_NO_CHECK6_TX, OPT_BOOL, offsetof(struct net_opts, no_check6_tx), 0, 0, 0},
	{LINUX_UDP_NO_CHECK6_RX, OPT_BOOL, offsetof(struct net_opts, no_check6_rx), 0, 0, 0},
	{LINUX_UDP_GRO, OPT_BOOL, offsetof(struct net_opts, gro), 0, 0, 0},
};

static int udp_set(struct inet_sock *i, int name, const void *val, uint32_t len)
{
	struct net_opts *o = net_sock_opts(i->sk);
	int32_t v;
	int ret;

	if (len < sizeof(v))
		return -EINVAL;
	memcpy(&v, val, sizeof(v));
	if (i->s.protocol == LINUX_IPPROTO_UDPLITE &&
	    (name == UDPLITE_SEND_CSCOV || name == UDPLITE_RECV_CSCOV)) {
		uint16_t cover = (uint16_t)(v < 0 || v > 0xffff ? 0xffff : v && v < 8 ? 8 : v);

		*(name == UDPLITE_SEND_CSCOV ? &o->send_cover : &o->recv_cover) = cover;
		return 0;
	}
	if (name == LINUX_UDP_SEGMENT) {
		if (v < 0 || v > 0xffff)
			return -EINVAL;
		__atomic_store_n(&o->gso_size, (uint16_t)v, __ATOMIC_RELAXED);
		return 0;
	}
	ret = inet_opt_set(i, udp_opts, ARRAY_SIZE(udp_opts), name, v);
	if (ret == 1 && name == LINUX_UDP_CORK && !v)
		return net_uncork(i->sk);
	return ret == 1 ? 0 : ret < 0 ? ret : -ENOPROTOOPT;
}

static int udp_get(struct inet_sock *i, int name, void *val, uint32_t *len)
{
	int32_t v;

	if (i->s.protocol == LINUX_IPPROTO_UDPLITE &&
	    (name == UDPLITE_SEND_CSCOV || name == UDPLITE_RECV_CSCOV))
		v = name == UDPLITE_SEND_CSCOV ? net_sock_opts(i->sk)->send_cover
					       : net_sock_opts(i->sk)->recv_cover;
	else if (name == LINUX_UDP_SEGMENT)
		v = net_sock_opts(i->sk)->gso_size;
	else if (!inet_opt_get(i, udp_opts, ARRAY_SIZE(udp_opts), name, &v))
		return -ENOPROTOOPT;
	return socket_option_put(val, len, &v, sizeof(v));
}

static int by_level_set(struct inet_sock *i, const struct sock_caller *c, int level, int name, const void *val,
			uint32_t len)
{
	bool raw = i->s.type == LINUX_SOCK_RAW;

	switch (level) {
	case LINUX_IPPROTO_IP:
		return i->s.family == LINUX_AF_INET6 && raw ? -ENOPROTOOPT : ip_set(i, c, name, val, len);
	case LINUX_IPPROTO_IPV6:
		return i->s.family == LINUX_AF_INET6 ? ip6_set(i, c, name, val, len) : -ENOPROTOOPT;
	case LINUX_IPPROTO_TCP:
		return i->s.type == LINUX_SOCK_STREAM ? tcp_set(i, c, name, val, len) : -ENOPROTOOPT;
	case LINUX_IPPROTO_UDP:
	case LINUX_IPPROTO_UDPLITE:
		return i->s.protocol == level && !raw ? udp_set(i, name, val, len) : -ENOPROTOOPT;
	case LINUX_IPPROTO_ICMPV6:
	case LINUX_SOL_RAW:
		if (raw && (level == LINUX_SOL_RAW) == (i->s.family == LINUX_AF_INET))
			return inet_raw_set(i, name, val, len);
		return -ENOPROTOOPT;
	default:
		return -ENOPROTOOPT;
	}
}

int inet_setsockopt(struct socket *s, const struct sock_caller *c, int level, int name, const void *val,
		    uint32_t len)
{
	if (level == LINUX_SOL_SOCKET)
		return set_socket(inet_of(s), c, name, val, len);
	return by_level_set(inet_of(s), c, level, name, val, len);
}

/* ---- reading ---- */

static int get_device(struct inet_sock *i, void *val, uint32_t *len)
{
	uint32_t index = net_sock_opts(i->sk)->bound_if;
	struct net_if_info info;

	if (!index) {
		*len = 0;
		return 0;
	}
	if (*len < IFNAMSIZ)
		return -EINVAL;
	if (!net_if_find(net_sock_stack(i->sk), index, NULL, &info))
		return -ENODEV;
	return socket_option_put(val, len, info.name, (uint32_t)strnlen(info.name, IFNAMSIZ - 1) + 1);
}

int32_t inet_buffer_size(const struct inet_sock *i, bool snd)
{
	const struct net_opts *o = net_sock_opts(i->sk);
	enum net_state state = net_sock_state(i->sk);

	if (snd ? o->sndbuf_set : o->rcvbuf_set)
		return snd ? o->sndbuf : o->rcvbuf;
	if (i->s.type != LINUX_SOCK_STREAM)
		return SOCKET_BUF_DEFAULT;
	if (!snd)
		return TCP_RCVBUF_NEW;
	return state == NET_CLOSE || state == NET_LISTEN || state == NET_SYN_SENT ? TCP_SNDBUF_NEW
										  : TCP_SNDBUF_AUTO;
}

static int get_socket(struct inet_sock *i, const struct sock_caller *c, int name, void *val, uint32_t *len)
{
	uint32_t mem[9] = {0};
	struct sockaddr_buf a;
	struct net_name peer;
	int32_t v;
	int ret = inet_hint_get(i, name, &v);

	if (ret <= 0)
		return ret < 0 ? ret : socket_option_put(val, len, &v, sizeof(v));
	switch (name) {
	case LINUX_SO_ERROR:
		v = net_so_error(i->sk);
		break;
	case LINUX_SO_ACCEPTCONN:
		v = net_sock_state(i->sk) == NET_LISTEN;
		break;
	case LINUX_SO_SNDBUF:
	case LINUX_SO_RCVBUF:
		v = inet_buffer_size(i, name == LINUX_SO_SNDBUF);
		break;
	case LINUX_SO_PASSCRED:
	case LINUX_SO_PASSSEC:
		return -EOPNOTSUPP;
	case LINUX_SO_BSDCOMPAT:
		v = 0;
		break;
	case LINUX_SO_BINDTODEVICE:
		return get_device(i, val, len);
	case LINUX_SO_BINDTOIFINDEX:
		v = (int32_t)net_sock_opts(i->sk)->bound_if;
		break;
	case LINUX_SO_TIMESTAMPING:
		v = (int32_t)i->stamping;
		break;
	case LINUX_SO_MAX_PACING_RATE:
		v = i->pacing ? (int32_t)i->pacing : -1;
		break;
	case LINUX_SO_PEERNAME:
		ret = net_peer_name(i->sk, &peer);
		if (ret < 0)
			return ret;
		inet_name_out(i->s.family, &peer, &a);
		return *len < a.len ? -EINVAL : socket_option_put(val, len, a.bytes, a.len);
	case LINUX_SO_MEMINFO:
		mem[1] = (uint32_t)inet_buffer_size(i, false);
		mem[3] = (uint32_t)inet_buffer_size(i, true);
		return socket_option_put(val, len, mem, sizeof(mem));
	case LINUX_SO_PEERCRED:
		memcpy(mem, (uint32_t[]){0, UINT32_MAX, UINT32_MAX}, 12);
		return socket_option_put(val, len, mem, 12);
	default:
		return socket_getsockopt_generic(&i->s, c, LINUX_SOL_SOCKET, name, val, len);
	}
	return socket_option_put(val, len, &v, sizeof(v));
}

int inet_getsockopt(struct socket *s, const struct sock_caller *c, int level, int name, void *val,
		    uint32_t *len)
{
	struct inet_sock *i = inet_of(s);
	int none = s->family == LINUX_AF_INET ? -EOPNOTSUPP : -ENOPROTOOPT; /* as Linux has it */
	bool raw = s->type == LINUX_SOCK_RAW;

	switch (level) {
	case LINUX_SOL_SOCKET:
		return get_socket(i, c, name, val, len);
	case LINUX_IPPROTO_IP:
		return s->family == LINUX_AF_INET6 && raw ? -ENOPROTOOPT : ip_get(i, name, val, len);
	case LINUX_IPPROTO_IPV6:
		return s->family == LINUX_AF_INET6 ? ip6_get(i, name, val, len) : none;
	case LINUX_IPPROTO_TCP:
		return s->type == LINUX_SOCK_STREAM ? tcp_get(i, name, val, len) : none;
	case LINUX_IPPROTO_UDP:
	case LINUX_IPPROTO_UDPLITE:
		return s->protocol == level && !raw ? udp_get(i, name, val, len) : none;
	case LINUX_IPPROTO_ICMPV6:
	case LINUX_SOL_RAW:
		if (raw && (level == LINUX_SOL_RAW) == (s->family == LINUX_AF_INET))
			return inet_raw_get(i, name, val, len);
		return none;
	default:
		return none;
	}
}
