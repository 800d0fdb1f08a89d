/* cmsg.c: control messages of the IP families (ip(7), ipv6(7), socket(7)): what a sender gives along with data,
 * and what a receiver has asked to be told. */
#include <string.h>

#include "platform/abi/prctl.h"
#include "platform/abi/time.h"
#include "sentry/socket/inet/internal.h"

#define HDR	      sizeof(struct linux_cmsghdr)
#define SCM_UDP_GSO   LINUX_UDP_SEGMENT
#define NSEC	      1000000000u
#define STAMP_RX_SOFT 8u  /* SOF_TIMESTAMPING_RX_SOFTWARE */
#define STAMP_SOFT    16u /* SOF_TIMESTAMPING_SOFTWARE */

struct in_pktinfo {
	int32_t ifindex;
	uint32_t spec_dst, addr;
};
struct in6_pktinfo {
	uint8_t addr[16];
	uint32_t ifindex;
};

/* ---- sending ---- */

static int one_int(const uint8_t *data, uint64_t len, int32_t *v)
{
	if (len != sizeof(*v))
		return -EINVAL;
	memcpy(v, data, sizeof(*v));
	return 0;
}

static int in4(int type, const uint8_t *data, uint64_t len, struct net_tx *tx)
{
	struct in_pktinfo p;
	int32_t v;

	switch (type) {
	case LINUX_IP_PKTINFO:
		if (len != sizeof(p))
			return -EINVAL;
		memcpy(&p, data, sizeof(p));
		tx->ifindex = (uint32_t)p.ifindex;
		tx->src = net_addr4(p.spec_dst);
		tx->has_src = p.spec_dst != 0;
		return 0;
	case LINUX_IP_TTL:
		if (one_int(data, len, &v) < 0 || v < 1 || v > 255)
			return -EINVAL;
		tx->ttl = (int16_t)v;
		tx->has_ttl = true;
		return 0;
	case LINUX_IP_TOS:
		if (len == 1)
			v = data[0];
		else if (one_int(data, len, &v) < 0 || v < 0 || v > 255)
			return -EINVAL;
		tx->tos = (uint8_t)v;
		tx->has_tos = true;
		return 0;
	case LINUX_IP_RETOPTS:
		return len ? -EINVAL : 0;
	default:
		return -EINVAL;
	}
}

static int in6(int type, const uint8_t *data, uint64_t len, struct net_tx *tx)
{
	struct in6_pktinfo p;
	int32_t v;

	switch (type) {
	case LINUX_IPV6_PKTINFO:
	case LINUX_IPV6_2292PKTINFO:
		if (len < sizeof(p))
			return -EINVAL;
		memcpy(&p, data, sizeof(p));
		tx->ifindex = p.ifindex;
		memcpy(tx->src.b, p.addr, sizeof(p.addr));
		tx->has_src = !net_addr_any(&tx->src);
		return 0;
	case LINUX_IPV6_HOPLIMIT:
	case LINUX_IPV6_2292HOPLIMIT:
		if (one_int(data, len, &v) < 0 || v < -1 || v > 255)
			return -EINVAL;
		tx->ttl = (int16_t)v;
		tx->has_ttl = v >= 0;
		return 0;
	case LINUX_IPV6_TCLASS:
		if (one_int(data, len, &v) < 0 || v < -1 || v > 255)
			return -EINVAL;
		tx->tos = v < 0 ? 0 : (uint8_t)v;
		tx->has_tos = true;
		return 0;
	case LINUX_IPV6_DONTFRAG:
		return one_int(data, len, &v) < 0 || v < 0 || v > 1 ? -EINVAL : 0;
	default:
		return -EINVAL;
	}
}

static int in_socket(const struct sock_caller *c, int type, uint64_t len)
{
	switch (type) {
	case LINUX_SO_MARK:
		if (!inet_may(c, LINUX_CAP_NET_ADMIN))
			return -EPERM;
		return len == sizeof(uint32_t) ? 0 : -EINVAL;
	case LINUX_SO_TIMESTAMPING:
		return len == sizeof(uint32_t) ? 0 : -EINVAL;
	case LINUX_SCM_TXTIME:
	case LINUX_SCM_RIGHTS: /* ignored by the families that don't pass them */
	case 2:		       /* SCM_CREDENTIALS */
		return 0;
	default:
		return -EINVAL;
	}
}

static int in_one(struct inet_sock *i, const struct sock_caller *c, const struct linux_cmsghdr *h,
		  const uint8_t *data, struct net_tx *tx)
{
	uint64_t len = h->cmsg_len - HDR;
	uint16_t gso;

	switch (h->cmsg_level) {
	case LINUX_SOL_SOCKET:
		return in_socket(c, h->cmsg_type, len);
	case LINUX_IPPROTO_UDP:
		if (i->s.protocol != LINUX_IPPROTO_UDP || h->cmsg_type != SCM_UDP_GSO || len != sizeof(gso))
			return -EINVAL;
		memcpy(&gso, data, sizeof(gso));
		tx->gso_size = gso;
		return 0;
	case LINUX_IPPROTO_IP:
		/* Linux skips what isn't of its own level, but an IPv6 socket that sends IPv4 takes both */
		return i->s.type == LINUX_SOCK_STREAM ? 0 : in4(h->cmsg_type, data, len, tx);
	case LINUX_IPPROTO_IPV6:
		if (i->s.type == LINUX_SOCK_STREAM || i->s.family != LINUX_AF_INET6)
			return 0;
		return in6(h->cmsg_type, data, len, tx);
	default:
		return 0;
	}
}

int inet_cmsg_in(struct inet_sock *i, const struct sock_caller *c, const struct sock_msg *m, struct net_tx *tx)
{
	const uint8_t *raw = m->control;
	struct linux_cmsghdr h;
	uint64_t off;
	int ret;

	for (off = 0; off + HDR <= m->control_len; off += ROUND_UP((uint64_t)h.cmsg_len, 8)) {
		memcpy(&h, raw + off, HDR);
		if (h.cmsg_len < HDR || h.cmsg_len > m->control_len - off)
			return -EINVAL;
		ret = in_one(i, c, &h, raw + off + HDR, tx);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* ---- receiving ---- */

static void put_int(struct sock_msg *m, int level, int type, int32_t v)
{
	socket_cmsg_put(m, level, type, &v, sizeof(v));
}

static void put_stamps(struct inet_sock *i, const struct net_rx *rx, struct sock_msg *m)
{
	struct linux_timespec ts = {(int64_t)(rx->stamp_ns / NSEC), (int64_t)(rx->stamp_ns % NSEC)}, three[3];

	socket_cmsg_stamp(&i->s, rx->stamp_ns, m);
	if ((i->stamping & (STAMP_RX_SOFT | STAMP_SOFT)) == (STAMP_RX_SOFT | STAMP_SOFT)) {
		memset(three, 0, sizeof(three));
		three[0] = ts;
		socket_cmsg_put(m, LINUX_SOL_SOCKET, LINUX_SO_TIMESTAMPING, three, sizeof(three));
	}
	if (socket_option(&i->s, LINUX_SO_RXQ_OVFL) && rx->drops)
		socket_cmsg_put(m, LINUX_SOL_SOCKET, LINUX_SO_RXQ_OVFL, &rx->drops, sizeof(rx->drops));
}

static void put4(struct inet_sock *i, const struct net_rx *rx, struct sock_msg *m)
{
	struct in_pktinfo p = {
		.ifindex = (int32_t)rx->ifindex, .spec_dst = rx->dst.addr.w[3], .addr = rx->dst.addr.w[3]};
	struct inet_sockaddr4 a = {
		.family = LINUX_AF_INET, .port = be16(rx->dst.port), .addr = rx->dst.addr.w[3]};

	if (inet_wants(i, WANT_PKTINFO)) {
		if (net_addr_multicast(&rx->dst.addr))
			p.spec_dst = be32(0x7f000001);
		socket_cmsg_put(m, LINUX_IPPROTO_IP, LINUX_IP_PKTINFO, &p, sizeof(p));
	}
	if (inet_wants(i, WANT_TTL))
		put_int(m, LINUX_IPPROTO_IP, LINUX_IP_TTL, rx->ttl);
	if (inet_wants(i, WANT_TOS))
		socket_cmsg_put(m, LINUX_IPPROTO_IP, LINUX_IP_TOS, &rx->tos, 1);
	if (inet_wants(i, WANT_ORIGDST))
		socket_cmsg_put(m, LINUX_IPPROTO_IP, LINUX_IP_ORIGDSTADDR, &a, sizeof(a));
}

static void put6(struct inet_sock *i, const struct net_rx *rx, struct sock_msg *m)
{
	struct inet_sockaddr6 a = {.family = LINUX_AF_INET6, .port = be16(rx->dst.port)};
	struct in6_pktinfo p = {.ifindex = rx->ifindex};

	memcpy(p.addr, rx->dst.addr.b, 16);
	memcpy(a.addr, rx->dst.addr.b, 16);
	if (inet_wants(i, WANT_PKTINFO6))
		socket_cmsg_put(m, LINUX_IPPROTO_IPV6, LINUX_IPV6_PKTINFO, &p, sizeof(p));
	if (inet_wants(i, WANT_2292PKTINFO))
		socket_cmsg_put(m, LINUX_IPPROTO_IPV6, LINUX_IPV6_2292PKTINFO, &p, sizeof(p));
	if (net_addr_is4(&rx->dst.addr))
		return;
	if (inet_wants(i, WANT_HOPLIMIT))
		put_int(m, LINUX_IPPROTO_IPV6, LINUX_IPV6_HOPLIMIT, rx->ttl);
	if (inet_wants(i, WANT_TCLASS))
		put_int(m, LINUX_IPPROTO_IPV6, LINUX_IPV6_TCLASS, rx->tos);
	if (inet_wants(i, WANT_2292HOPLIMIT))
		put_int(m, LINUX_IPPROTO_IPV6, LINUX_IPV6_2292HOPLIMIT, rx->ttl);
	if (inet_wants(i, WANT_ORIGDST6))
		socket_cmsg_put(m, LINUX_IPPROTO_IPV6, LINUX_IPV6_ORIGDSTADDR, &a, sizeof(a));
}

/* struct sock_extended_err, and behind it who said so */
static void put_error(struct inet_sock *i, const struct net_rx *rx, struct sock_msg *m)
{
	bool v6 = i->s.family == LINUX_AF_INET6;
	struct {
		uint32_t err;
		uint8_t origin, type, code, pad;
		uint32_t info, data;
		uint8_t offender[28];
	} e = {.err = (uint32_t)rx->ee_errno,
	       .origin = rx->ee_origin,
	       .type = rx->ee_type,
	       .code = rx->ee_code,
	       .info = rx->ee_info,
	       .data = rx->ee_data};
	struct sockaddr_buf a;

	inet_name_out(i->s.family, &rx->offender, &a);
	memcpy(e.offender, a.bytes, a.len);
	socket_cmsg_put(m, v6 ? LINUX_IPPROTO_IPV6 : LINUX_IPPROTO_IP,
			v6 ? LINUX_IPV6_RECVERR : LINUX_IP_RECVERR, &e, 16 + a.len);
}

void inet_cmsg_out(struct inet_sock *i, const struct net_rx *rx, struct sock_msg *m)
{
	uint64_t wanted = __atomic_load_n(&i->wanted, __ATOMIC_RELAXED);

	m->control_len = 0;
	if (!rx->is_datagram) {
		if (UNLIKELY(inet_wants(i, WANT_INQ)))
			put_int(m, LINUX_IPPROTO_TCP, LINUX_TCP_CM_INQ, (int32_t)net_inq(i->sk));
		return;
	}
	if (UNLIKELY(rx->error))
		put_error(i, rx, m);
	if (LIKELY(!wanted && !i->s.options && !i->stamping))
		return;
	put_stamps(i, rx, m);
	if (i->s.family == LINUX_AF_INET6)
		put6(i, rx, m);
	if (net_addr_is4(&rx->dst.addr))
		put4(i, rx, m);
}
