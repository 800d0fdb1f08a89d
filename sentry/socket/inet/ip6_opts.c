/* ip6_opts.c: IPPROTO_IPV6 options (ipv6(7), RFC 3493, RFC 3542). */
#include <string.h>

#include "platform/abi/prctl.h"
#include "sentry/socket/inet/internal.h"

#define FIELD(f)      offsetof(struct net_opts, f)
#define HOPS_DEFAULT  64
#define PREFER_PUBTMP 0x100u

static const struct opt_desc options[] = {
	{LINUX_IPV6_UNICAST_HOPS, OPT_I16, FIELD(hops), -1, 255, HOPS_DEFAULT},
	{LINUX_IPV6_MULTICAST_LOOP, OPT_BOOL, FIELD(mc_loop6), 0, 1, 0},
	{LINUX_IPV6_MULTICAST_ALL, OPT_BOOL, FIELD(mc_all6), 0, 0, 0},
	{LINUX_IPV6_RECVERR, OPT_BOOL, FIELD(recverr6), 0, 0, 0},
	{LINUX_IPV6_MTU_DISCOVER, OPT_U8, FIELD(pmtu6), 0, 5, 0},
	{LINUX_IPV6_FREEBIND, OPT_BOOL, FIELD(freebind), 0, 0, 0},
	{LINUX_IPV6_RECVPKTINFO, OPT_WANT, WANT_PKTINFO6, 0, 0, 0},
	{LINUX_IPV6_2292PKTINFO, OPT_WANT, WANT_2292PKTINFO, 0, 0, 0},
	{LINUX_IPV6_RECVHOPLIMIT, OPT_WANT, WANT_HOPLIMIT, 0, 0, 0},
	{LINUX_IPV6_2292HOPLIMIT, OPT_WANT, WANT_2292HOPLIMIT, 0, 0, 0},
	{LINUX_IPV6_RECVTCLASS, OPT_WANT, WANT_TCLASS, 0, 0, 0},
	{LINUX_IPV6_RECVHOPOPTS, OPT_WANT, WANT_HOPOPTS, 0, 0, 0},
	{LINUX_IPV6_RECVRTHDR, OPT_WANT, WANT_RTHDR, 0, 0, 0},
	{LINUX_IPV6_RECVDSTOPTS, OPT_WANT, WANT_DSTOPTS, 0, 0, 0},
	{LINUX_IPV6_FLOWINFO, OPT_WANT, WANT_FLOWINFO, 0, 0, 0},
	{LINUX_IPV6_RECVPATHMTU, OPT_WANT, WANT_PATHMTU, 0, 0, 0},
	{LINUX_IPV6_RECVORIGDSTADDR, OPT_WANT, WANT_ORIGDST6, 0, 0, 0},
	{LINUX_IPV6_RECVFRAGSIZE, OPT_WANT, WANT_FRAGSIZE6, 0, 0, 0},
	{LINUX_IPV6_DONTFRAG, OPT_WANT, WANT_DONTFRAG, 0, 0, 0},
	{LINUX_IPV6_AUTOFLOWLABEL, OPT_WANT, WANT_AUTOFLOW, 0, 0, 0},
	{LINUX_IPV6_FLOWINFO_SEND, OPT_WANT, WANT_FLOWSEND, 0, 0, 0},
};

struct ipv6_mreq {
	uint8_t group[16];
	int32_t ifindex;
};

static int membership(struct inet_sock *i, int name, const void *val, uint32_t len)
{
	struct net_addr group;
	struct ipv6_mreq m;

	if (len < sizeof(m))
		return -EINVAL;
	if (i->s.type == LINUX_SOCK_STREAM)
		return -EPROTO;
	memcpy(&m, val, sizeof(m));
	memcpy(group.b, m.group, sizeof(m.group));
	if (name == LINUX_IPV6_ADD_MEMBERSHIP)
		return net_join(i->sk, &group, (uint32_t)m.ifindex);
	return net_leave(i->sk, &group, (uint32_t)m.ifindex);
}

static int set_mc_if(struct inet_sock *i, int32_t v)
{
	struct net_if_info info;

	if (i->s.type == LINUX_SOCK_STREAM)
		return -ENOPROTOOPT;
	if (v && !net_if_find(net_sock_stack(i->sk), (uint32_t)v, NULL, &info))
		return -ENODEV;
	net_sock_opts(i->sk)->mc_if6 = (uint32_t)v;
	return 0;
}

/* A connected IPv4-mapped socket may become an AF_INET one; nothing today needs it. */
static int set_v6only(struct inet_sock *i, int32_t v)
{
	struct net_name local;

	if (net_local_name(i->sk, &local) < 0 || local.port || net_sock_state(i->sk) != NET_CLOSE)
		return -EINVAL;
	net_sock_opts(i->sk)->v6only = v != 0;
	return 0;
}

static int set_int(struct inet_sock *i, const struct sock_caller *c, int name, int32_t v)
{
	struct net_opts *o = net_sock_opts(i->sk);
	bool stream = i->s.type == LINUX_SOCK_STREAM;

	switch (name) {
	case LINUX_IPV6_V6ONLY:
		return set_v6only(i, v);
	case LINUX_IPV6_TCLASS:
		if (v < -1 || v > 255)
			return -EINVAL;
		o->tclass = v < 0 ? 0 : stream ? (uint8_t)((v & ~3) | (o->tclass & 3)) : (uint8_t)v;
		return 0;
	case LINUX_IPV6_MULTICAST_HOPS:
		if (stream)
			return -ENOPROTOOPT;
		if (v < -1 || v > 255)
			return -EINVAL;
		o->mc_hops = v < 0 ? 1 : (uint8_t)v;
		return 0;
	case LINUX_IPV6_MULTICAST_IF:
		return set_mc_if(i, v);
	case LINUX_IPV6_MTU:
		return v && v < 1280 ? -EINVAL : 0;
	case LINUX_IPV6_MINHOPCOUNT:
		if (v < 0 || v > 255)
			return -EINVAL;
		o->minhops = (uint8_t)v;
		return 0;
	case LINUX_IPV6_ADDR_PREFERENCES:
		i->addr_pref = (uint32_t)v;
		return 0;
	case LINUX_IPV6_UNICAST_IF:
		return 0;
	case LINUX_IPV6_TRANSPARENT:
		if (v && !inet_may(c, LINUX_CAP_NET_RAW) && !inet_may(c, LINUX_CAP_NET_ADMIN))
			return -EPERM;
		o->transparent = v != 0;
		return 0;
	case LINUX_IPV6_CHECKSUM:
		if (i->s.type != LINUX_SOCK_RAW)
			return -ENOPROTOOPT;
		if (i->s.protocol == LINUX_IPPROTO_ICMPV6 || (v > 0 && (v & 1)))
			return -EINVAL;
		o->raw_checksum = v < 0 ? -1 : v;
		return 0;
	case LINUX_IPV6_HDRINCL:
		return i->s.type == LINUX_SOCK_RAW && !v ? 0 : -ENOPROTOOPT;
	default:
		return -ENOPROTOOPT;
	}
}

int ip6_set(struct inet_sock *i, const struct sock_caller *c, int name, const void *val, uint32_t len)
{
	int32_t v;
	int ret;

	switch (name) {
	case LINUX_IPV6_ADD_MEMBERSHIP:
	case LINUX_IPV6_DROP_MEMBERSHIP:
		return membership(i, name, val, len);
	case LINUX_MCAST_JOIN_GROUP:
	case LINUX_MCAST_LEAVE_GROUP:
		return i->s.type == LINUX_SOCK_STREAM ? -EPROTO : inet_group(i, name, val, len);
	case LINUX_IPV6_PKTINFO:
	case LINUX_IPV6_HOPOPTS:
	case LINUX_IPV6_DSTOPTS:
	case LINUX_IPV6_RTHDR:
	case LINUX_IPV6_RTHDRDSTOPTS:
		return len == 0 ? 0 : -EOPNOTSUPP; /* sticky extension headers */
	default:
		break;
	}
	if (len < sizeof(v))
		return -EINVAL;
	memcpy(&v, val, sizeof(v));
	ret = inet_opt_set(i, options, ARRAY_SIZE(options), name, v);
	return ret == 1 ? 0 : ret < 0 ? ret : set_int(i, c, name, v);
}

int ip6_get(struct inet_sock *i, int name, void *val, uint32_t *len)
{
	struct net_opts *o = net_sock_opts(i->sk);
	int32_t v;

	switch (name) {
	case LINUX_IPV6_V6ONLY:
		v = o->v6only;
		break;
	case LINUX_IPV6_TCLASS:
		v = o->tclass;
		break;
	case LINUX_IPV6_MULTICAST_HOPS:
		v = o->mc_hops;
		break;
	case LINUX_IPV6_MULTICAST_IF:
		v = (int32_t)o->mc_if6;
		break;
	case LINUX_IPV6_MTU:
		if (inet_get_mtu(i, &v) < 0)
			return -ENOTCONN;
		break;
	case LINUX_IPV6_MINHOPCOUNT:
		v = o->minhops;
		break;
	case LINUX_IPV6_UNICAST_IF:
		v = 0;
		break;
	case LINUX_IPV6_ADDR_PREFERENCES:
		v = (int32_t)(i->addr_pref ? i->addr_pref : PREFER_PUBTMP);
		break;
	case LINUX_IPV6_TRANSPARENT:
		v = o->transparent;
		break;
	case LINUX_IPV6_CHECKSUM:
		if (i->s.type != LINUX_SOCK_RAW)
			return -ENOPROTOOPT;
		v = o->raw_checksum;
		break;
	case LINUX_IPV6_HOPOPTS:
	case LINUX_IPV6_DSTOPTS:
	case LINUX_IPV6_RTHDR:
	case LINUX_IPV6_RTHDRDSTOPTS:
		*len = 0;
		return 0;
	default:
		if (!inet_opt_get(i, options, ARRAY_SIZE(options), name, &v))
			return -ENOPROTOOPT;
		break;
	}
	return socket_option_put(val, len, &v, sizeof(v));
}
