/* ip_opts.c: IPPROTO_IP options (ip(7)), raw sockets' own (raw(7), icmp(7)), and group membership. */
#include <string.h>

#include "platform/abi/prctl.h"
#include "sentry/socket/inet/internal.h"

#define FIELD(f)    offsetof(struct net_opts, f)
#define TTL_DEFAULT 64
#define IP_MTU_MAX  65535u

static const struct opt_desc options[] = {
	{LINUX_IP_TTL, OPT_I16, FIELD(ttl), -1, 255, TTL_DEFAULT},
	{LINUX_IP_FREEBIND, OPT_BOOL, FIELD(freebind), 0, 0, 0},
	{LINUX_IP_MULTICAST_LOOP, OPT_BOOL, FIELD(mc_loop), 0, 0, 0},
	{LINUX_IP_MULTICAST_ALL, OPT_BOOL, FIELD(mc_all), 0, 0, 0},
	{LINUX_IP_RECVERR, OPT_BOOL, FIELD(recverr), 0, 0, 0},
	{LINUX_IP_MTU_DISCOVER, OPT_U8, FIELD(pmtu), 0, 5, 0},
	{LINUX_IP_PKTINFO, OPT_WANT, WANT_PKTINFO, 0, 0, 0},
	{LINUX_IP_RECVTTL, OPT_WANT, WANT_TTL, 0, 0, 0},
	{LINUX_IP_RECVTOS, OPT_WANT, WANT_TOS, 0, 0, 0},
	{LINUX_IP_RECVOPTS, OPT_WANT, WANT_OPTS, 0, 0, 0},
	{LINUX_IP_RETOPTS, OPT_WANT, WANT_RETOPTS, 0, 0, 0},
	{LINUX_IP_RECVORIGDSTADDR, OPT_WANT, WANT_ORIGDST, 0, 0, 0},
	{LINUX_IP_RECVFRAGSIZE, OPT_WANT, WANT_FRAGSIZE, 0, 0, 0},
	{LINUX_IP_CHECKSUM, OPT_WANT, WANT_CHECKSUM, 0, 0, 0},
	{LINUX_IP_PASSSEC, OPT_WANT, WANT_PASSSEC, 0, 0, 0},
	{LINUX_IP_BIND_ADDRESS_NO_PORT, OPT_WANT, WANT_NO_PORT, 0, 0, 0},
	{LINUX_IP_RECVERR_RFC4884, OPT_WANT, WANT_PATHMTU, 0, 0, 0},
};

/* ---- multicast ---- */

struct ip_mreqn {
	uint32_t group, addr;
	int32_t ifindex;
};

static int mreq_in(const void *val, uint32_t len, bool may_be_addr, struct ip_mreqn *m)
{
	memset(m, 0, sizeof(*m));
	if (len >= sizeof(*m))
		memcpy(m, val, sizeof(*m));
	else if (len >= 8)
		memcpy(m, val, 8);
	else if (may_be_addr && len >= 4)
		memcpy(&m->addr, val, 4);
	else
		return -EINVAL;
	return 0;
}

/* The interface that an mreq names: by number, or by an address it has. 0: none named. -ENODEV */
static int mreq_if(struct inet_sock *i, const struct ip_mreqn *m, uint32_t *index)
{
	struct net_stack *st = net_sock_stack(i->sk);
	struct net_addr want = net_addr4(m->addr);
	struct net_addr_info a;
	struct net_if_info info;

	*index = (uint32_t)m->ifindex;
	if (*index)
		return net_if_find(st, *index, NULL, &info) ? 0 : -ENODEV;
	if (!m->addr)
		return 0;
	for (uint32_t n = 0; net_addr_at(st, n, &a); n++) {
		if (net_addr_eq(&a.addr, &want)) {
			*index = a.if_index;
			return 0;
		}
	}
	return -ENODEV;
}

static int membership(struct inet_sock *i, int name, const void *val, uint32_t len)
{
	struct net_addr group;
	struct ip_mreqn m;
	uint32_t index;
	int ret = mreq_in(val, len, false, &m);

	if (ret < 0)
		return ret;
	ret = mreq_if(i, &m, &index);
	if (ret < 0)
		return ret;
	group = net_addr4(m.group);
	return name == LINUX_IP_ADD_MEMBERSHIP ? net_join(i->sk, &group, index)
					       : net_leave(i->sk, &group, index);
}

static int set_mc_if(struct inet_sock *i, const void *val, uint32_t len)
{
	struct net_opts *o = net_sock_opts(i->sk);
	struct ip_mreqn m;
	uint32_t index;
	int ret;

	if (i->s.type == LINUX_SOCK_STREAM)
		return -EINVAL;
	ret = mreq_in(val, len, true, &m);
	if (ret == 0)
		ret = mreq_if(i, &m, &index);
	if (ret < 0)
		return ret == -ENODEV ? -EADDRNOTAVAIL : ret;
	o->mc_if = index;
	o->mc_addr = net_addr4(m.addr);
	return 0;
}

/* struct group_req: interface, then a sockaddr_storage at offset 8 */
int inet_group(struct inet_sock *i, int name, const void *val, uint32_t len)
{
	struct sockaddr_buf a = {.len = 28};
	struct net_name group;
	uint32_t index;
	int ret;

	if (len < 8 + 128)
		return -EINVAL;
	memcpy(&index, val, sizeof(index));
	memcpy(a.bytes, (const uint8_t *)val + 8, a.len);
	ret = inet_name_in(i->s.family, &a, false, &group);
	if (ret < 0)
		return -EADDRNOTAVAIL;
	return name == LINUX_MCAST_JOIN_GROUP ? net_join(i->sk, &group.addr, index)
					      : net_leave(i->sk, &group.addr, index);
}

/* ---- set ---- */

static int set_byte(struct inet_sock *i, int name, int32_t v)
{
	struct net_opts *o = net_sock_opts(i->sk);
	bool stream = i->s.type == LINUX_SOCK_STREAM;

	switch (name) {
	case LINUX_IP_TOS:
		o->tos = stream ? (uint8_t)((v & ~3) | (o->tos & 3)) : (uint8_t)v;
		return 0;
	case LINUX_IP_MULTICAST_TTL:
		if (stream || v < -1 || v > 255)
			return -EINVAL;
		o->mc_ttl = v < 0 ? 1 : (uint8_t)v;
		return 0;
	case LINUX_IP_MINTTL:
		if (v < 0 || v > 255)
			return -EINVAL;
		o->minttl = (uint8_t)v;
		return 0;
	case LINUX_IP_ROUTER_ALERT:
		if (i->s.type != LINUX_SOCK_RAW)
			return -EINVAL;
		inet_want(i, WANT_ROUTER_ALERT, v != 0);
		return 0;
	case LINUX_IP_HDRINCL:
		if (i->s.type != LINUX_SOCK_RAW)
			return -ENOPROTOOPT;
		o->hdrincl = v != 0;
		return 0;
	case LINUX_IP_NODEFRAG:
		if (i->s.type != LINUX_SOCK_RAW)
			return -ENOPROTOOPT;
		inet_want(i, WANT_NODEFRAG, v != 0);
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

int ip_set(struct inet_sock *i, const struct sock_caller *c, int name, const void *val, uint32_t len)
{
	struct net_opts *o = net_sock_opts(i->sk);
	int32_t v;
	int ret = inet_opt_int(val, len, &v);

	if (ret < 0)
		return ret;
	switch (name) {
	case LINUX_IP_ADD_MEMBERSHIP:
	case LINUX_IP_DROP_MEMBERSHIP:
		return i->s.type == LINUX_SOCK_STREAM ? -EPROTO : membership(i, name, val, len);
	case LINUX_IP_MULTICAST_IF:
		return set_mc_if(i, val, len);
	case LINUX_MCAST_JOIN_GROUP:
	case LINUX_MCAST_LEAVE_GROUP:
		return i->s.type == LINUX_SOCK_STREAM ? -EPROTO : inet_group(i, name, val, len);
	case LINUX_IP_OPTIONS:
		return len == 0 ? 0 : len > 40 ? -EINVAL : -EOPNOTSUPP;
	case LINUX_IP_TRANSPARENT:
		if (v && !inet_may(c, LINUX_CAP_NET_RAW) && !inet_may(c, LINUX_CAP_NET_ADMIN))
			return -EPERM;
		o->transparent = v != 0;
		return 0;
	case LINUX_IP_UNICAST_IF:
		return len == sizeof(v) ? 0 : -EINVAL;
	case LINUX_IP_LOCAL_PORT_RANGE:
		if (len != sizeof(v))
			return -EINVAL;
		i->port_range = (uint32_t)v;
		return 0;
	case LINUX_IP_TTL:
		if (len < 1 || v == 0)
			return -EINVAL;
		break;
	case LINUX_IP_MULTICAST_TTL:
	case LINUX_IP_MULTICAST_LOOP:
	case LINUX_IP_MULTICAST_ALL:
	case LINUX_IP_MINTTL:
		if (len < 1)
			return -EINVAL;
		break;
	default:
		break;
	}
	ret = inet_opt_set(i, options, ARRAY_SIZE(options), name, v);
	return ret == 1 ? 0 : ret < 0 ? ret : set_byte(i, name, v);
}

/* ---- get ---- */

int inet_get_mtu(struct inet_sock *i, int32_t *v)
{
	struct net_route_info r;
	struct net_if_info info;
	struct net_name peer;

	if (net_peer_name(i->sk, &peer) < 0 ||
	    net_route_get(net_sock_stack(i->sk), &peer.addr, net_sock_opts(i->sk)->bound_if, &r) < 0 ||
	    !net_if_find(net_sock_stack(i->sk), r.if_index, NULL, &info))
		return -ENOTCONN;
	*v = (int32_t)MIN(info.mtu, net_addr_is4(&peer.addr) ? IP_MTU_MAX : UINT32_MAX);
	return 0;
}

int ip_get(struct inet_sock *i, int name, void *val, uint32_t *len)
{
	struct net_opts *o = net_sock_opts(i->sk);
	int32_t v;
	int ret;

	switch (name) {
	case LINUX_IP_TOS:
		v = o->tos;
		break;
	case LINUX_IP_MULTICAST_TTL:
		v = o->mc_ttl;
		break;
	case LINUX_IP_MULTICAST_IF:
		return socket_option_put(val, len, &o->mc_addr.w[3], 4);
	case LINUX_IP_OPTIONS:
		*len = 0;
		return 0;
	case LINUX_IP_MTU:
		ret = inet_get_mtu(i, &v);
		if (ret < 0)
			return ret;
		break;
	case LINUX_IP_HDRINCL:
		v = o->hdrincl;
		break;
	case LINUX_IP_ROUTER_ALERT:
		v = inet_wants(i, WANT_ROUTER_ALERT);
		break;
	case LINUX_IP_NODEFRAG:
		v = inet_wants(i, WANT_NODEFRAG);
		break;
	case LINUX_IP_TRANSPARENT:
		v = o->transparent;
		break;
	case LINUX_IP_MINTTL:
		v = o->minttl;
		break;
	case LINUX_IP_UNICAST_IF:
		v = 0;
		break;
	case LINUX_IP_LOCAL_PORT_RANGE:
		v = (int32_t)i->port_range;
		break;
	default:
		if (!inet_opt_get(i, options, ARRAY_SIZE(options), name, &v))
			return -ENOPROTOOPT;
		break;
	}
	return inet_opt_put(val, len, v);
}

/* ---- raw ---- */

int inet_raw_set(struct inet_sock *i, int name, const void *val, uint32_t len)
{
	struct net_opts *o = net_sock_opts(i->sk);

	if (i->s.family == LINUX_AF_INET) {
		if (name != LINUX_ICMP_FILTER || i->s.protocol != LINUX_IPPROTO_ICMP)
			return i->s.protocol == LINUX_IPPROTO_ICMP ? -ENOPROTOOPT : -EOPNOTSUPP;
		memcpy(&o->icmp_filter, val, MIN(len, 4u));
		return 0;
	}
	if (name != LINUX_ICMPV6_FILTER || i->s.protocol != LINUX_IPPROTO_ICMPV6)
		return -EOPNOTSUPP;
	memcpy(o->icmp6_filter, val, MIN(len, (uint32_t)sizeof(o->icmp6_filter)));
	return 0;
}

int inet_raw_get(struct inet_sock *i, int name, void *val, uint32_t *len)
{
	struct net_opts *o = net_sock_opts(i->sk);

	if (i->s.family == LINUX_AF_INET) {
		if (name != LINUX_ICMP_FILTER || i->s.protocol != LINUX_IPPROTO_ICMP)
			return i->s.protocol == LINUX_IPPROTO_ICMP ? -ENOPROTOOPT : -EOPNOTSUPP;
		return socket_option_put(val, len, &o->icmp_filter, 4);
	}
	if (name != LINUX_ICMPV6_FILTER || i->s.protocol != LINUX_IPPROTO_ICMPV6)
		return -EOPNOTSUPP;
	return socket_option_put(val, len, o->icmp6_filter, sizeof(o->icmp6_filter));
}
