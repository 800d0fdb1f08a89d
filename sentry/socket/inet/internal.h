/* internal.h: AF_INET and AF_INET6 sockets: the glue between the socket calls and the network stack
 * (netstack/). It has no locks of its own: the stack's state has its own, and what stands here is atomic words.
 */
#pragma once

#include "netstack/netstack.h"
#include "platform/abi/errno.h"
#include "platform/abi/in.h"
#include "platform/abi/socket.h"
#include "sentry/socket/inet.h"
#include "sentry/socket/socket.h"

struct inet_sock {
	struct socket s;
	struct net_sock *sk; /* [I] ours until release */
	uint64_t wanted;     /* [a] WANT_*: control messages for recvmsg, remembered booleans */
	uint64_t stamp_ns;   /* [a] of the last datagram, SIOCGSTAMP */
	uint32_t stamping;   /* [a] SO_TIMESTAMPING flags */
	uint64_t pacing;     /* [a] SO_MAX_PACING_RATE */
	uint32_t addr_pref;  /* [a] IPV6_ADDR_PREFERENCES */
	uint32_t port_range; /* [a] IP_LOCAL_PORT_RANGE */
	int32_t hints[8];    /* [a] by HINT_* */
	/* MSG_ZEROCOPY: sends so far, and those whose end hasn't been told: [zc_told, zc_sent) */
	uint32_t zc_sent, zc_told; /* [a] */
};

enum want {
	WANT_PKTINFO,
	WANT_TTL,
	WANT_TOS,
	WANT_OPTS,
	WANT_RETOPTS,
	WANT_ORIGDST,
	WANT_FRAGSIZE,
	WANT_CHECKSUM,
	WANT_PASSSEC,
	WANT_PKTINFO6,
	WANT_2292PKTINFO,
	WANT_HOPLIMIT,
	WANT_2292HOPLIMIT,
	WANT_TCLASS,
	WANT_HOPOPTS,
	WANT_RTHDR,
	WANT_DSTOPTS,
	WANT_FLOWINFO,
	WANT_PATHMTU,
	WANT_ORIGDST6,
	WANT_FRAGSIZE6,
	WANT_INQ,
	/* not messages */
	WANT_NO_PORT,
	WANT_NODEFRAG,
	WANT_DONTFRAG,
	WANT_AUTOFLOW,
	WANT_FLOWSEND,
	WANT_ROUTER_ALERT,
	WANT_LOCK_FILTER,
};

static inline struct inet_sock *inet_of(struct socket *s)
{
	return (struct inet_sock *)s;
}
static inline bool inet_wants(const struct inet_sock *i, enum want w)
{
	return (__atomic_load_n(&i->wanted, __ATOMIC_RELAXED) >> w & 1) != 0;
}
static inline void inet_want(struct inet_sock *i, enum want w, bool on)
{
	if (on)
		__atomic_or_fetch(&i->wanted, 1ULL << w, __ATOMIC_RELAXED);
	else
		__atomic_and_fetch(&i->wanted, ~(1ULL << w), __ATOMIC_RELAXED);
}
static inline uint16_t be16(uint16_t v)
{
	return __builtin_bswap16(v);
}
static inline uint32_t be32(uint32_t v)
{
	return __builtin_bswap32(v);
}

/* sockaddr_in and sockaddr_in6, as they lie in memory. */
struct inet_sockaddr4 {
	uint16_t family, port; /* port: big endian */
	uint32_t addr;	       /* big endian */
	uint8_t zero[8];
};
struct inet_sockaddr6 {
	uint16_t family, port;
	uint32_t flow;
	uint8_t addr[16];
	uint32_t scope;
};
#define SOCKADDR6_MIN 24u /* without the scope, RFC 2133 */

/* addr.c. For a socket of family (2 or 10): -EINVAL, -EAFNOSUPPORT. loose: an IPv6 socket takes AF_INET too */
MUST_CHECK int inet_name_in(int family, const struct sockaddr_buf *a, bool loose, struct net_name *out);
void inet_name_out(int family, const struct net_name *n, struct sockaddr_buf *out);

/* cmsg.c */
MUST_CHECK int inet_cmsg_in(struct inet_sock *i, const struct sock_caller *c, const struct sock_msg *m,
			    struct net_tx *tx);
void inet_cmsg_out(struct inet_sock *i, const struct net_rx *rx, struct sock_msg *m);

/* hints.c. 1: another option */
enum { HINT_CPU, HINT_BUSY, HINT_REHASH, HINT_RCVMARK, HINT_NOFCS, HINT_WIFI };
void inet_hints_init(struct inet_sock *i);
MUST_CHECK int inet_hint_set(struct inet_sock *i, int name, const void *val, uint32_t len);
MUST_CHECK int inet_hint_get(struct inet_sock *i, int name, int32_t *v);
/* sockopt.c: as SO_SNDBUF and SO_RCVBUF show it */
int32_t inet_buffer_size(const struct inet_sock *i, bool snd);

/* zerocopy.c: MSG_ZEROCOPY. A send of n bytes has succeeded. */
void inet_zerocopy_sent(struct inet_sock *i, const struct sock_msg *m, ssize_t n);
static inline bool inet_zerocopy_pending(const struct inet_sock *i)
{
	return __atomic_load_n(&i->zc_sent, __ATOMIC_RELAXED) != __atomic_load_n(&i->zc_told, __ATOMIC_RELAXED);
}
/* What the error queue says of them, as one notice. False: nothing */
bool inet_zerocopy_take(struct inet_sock *i, struct net_rx *rx);

/* sockopt.c, ip_opts.c, ip6_opts.c, tcp_opts.c. The latter: -ENOPROTOOPT. */
int inet_setsockopt(struct socket *s, const struct sock_caller *c, int level, int name, const void *val,
		    uint32_t len);
int inet_getsockopt(struct socket *s, const struct sock_caller *c, int level, int name, void *val,
		    uint32_t *len);
/* The stack's copy of what sockopt.c of the room above keeps. */
void inet_sync_options(struct inet_sock *i);
bool inet_may(const struct sock_caller *c, int cap);

/* An option that is a plain number in struct net_opts or a bit of wanted. */
enum opt_type {
	OPT_BOOL,
	OPT_U8,
	OPT_I16,
	OPT_I32,
	OPT_U32,
	OPT_WANT, /* off: enum want */
};
struct opt_desc {
	int name;
	uint8_t type;
	uint16_t off;
	int64_t min, max; /* out of them: -EINVAL */
	int32_t null;	  /* what -1 reads as (a default), 0: -1 itself */
};
/* 1: done; 0: not in the table */
MUST_CHECK int inet_opt_set(struct inet_sock *i, const struct opt_desc *table, uint32_t count, int name,
			    int64_t v);
bool inet_opt_get(struct inet_sock *i, const struct opt_desc *table, uint32_t count, int name, int32_t *v);
/* An integer as the IP levels take it: four bytes, or one. -EINVAL */
MUST_CHECK int inet_opt_int(const void *val, uint32_t len, int32_t *v);
int inet_opt_put(void *val, uint32_t *len, int32_t v);

int ip_set(struct inet_sock *i, const struct sock_caller *c, int name, const void *val, uint32_t len);
int ip_get(struct inet_sock *i, int name, void *val, uint32_t *len);
int ip6_set(struct inet_sock *i, const struct sock_caller *c, int name, const void *val, uint32_t len);
int ip6_get(struct inet_sock *i, int name, void *val, uint32_t *len);
int tcp_set(struct inet_sock *i, const struct sock_caller *c, int name, const void *val, uint32_t len);
int tcp_get(struct inet_sock *i, int name, void *val, uint32_t *len);
/* IP_MTU, IPV6_MTU. -ENOTCONN */
int inet_get_mtu(struct inet_sock *i, int32_t *v);
/* MCAST_JOIN_GROUP and MCAST_LEAVE_GROUP, the same for both families. */
int inet_group(struct inet_sock *i, int name, const void *val, uint32_t len);

int inet_raw_set(struct inet_sock *i, int name, const void *val, uint32_t len);
int inet_raw_get(struct inet_sock *i, int name, void *val, uint32_t *len);

/* ioctl.c */
int64_t inet_ioctl(struct socket *s, uint32_t cmd, uint64_t arg, const struct usermem *um,
		   const struct cred *cred);
int64_t inet_if_ioctl(struct net_stack *st, uint32_t cmd, uint64_t arg, const struct usermem *um,
		      const struct cred *cred);
