/* netstack.h: the whole public API of the network stack. It knows nothing of tasks, descriptors or the sentry:
 * the embedder hands in names, a struct net_io for data, and waits on net_sock_waitq. No call waits: -EAGAIN,
 * -EINPROGRESS. Errors are negative errno. Memory comes from the arena.
 *
 * Addresses are 16 bytes; an IPv4 address is the v4-mapped IPv6 one everywhere inside, so one code serves both
 * families and dual-stack sockets. Ports and interface numbers are in host order. */
#pragma once

#include <string.h>

#include "platform/base/attr.h"
#include "platform/base/waitq.h"

struct net_stack;
struct net_sock;

struct net_addr {
	union {
		uint8_t b[16];
		uint32_t w[4];
		uint64_t q[2];
	};
};
struct net_name {
	struct net_addr addr;
	uint16_t port;
	uint32_t scope, flow; /* sin6_scope_id, sin6_flowinfo */
};

static inline struct net_addr net_addr4(uint32_t be)
{
	struct net_addr a = {.w = {0, 0, 0, be}};

	a.b[10] = a.b[11] = 0xff;
	return a;
}
static inline bool net_addr_is4(const struct net_addr *a)
{
	return a->q[0] == 0 && a->w[2] == __builtin_bswap32(0xffff);
}
/* 0.0.0.0 or :: */
static inline bool net_addr_any(const struct net_addr *a)
{
	return a->q[0] == 0 && a->w[3] == 0 && (a->w[2] == 0 || a->w[2] == __builtin_bswap32(0xffff));
}
static inline bool net_addr_eq(const struct net_addr *a, const struct net_addr *b)
{
	return a->q[0] == b->q[0] && a->q[1] == b->q[1];
}
static inline bool net_addr_multicast(const struct net_addr *a)
{
	return net_addr_is4(a) ? (a->b[12] & 0xf0) == 0xe0 : a->b[0] == 0xff;
}
static inline bool net_addr_linklocal6(const struct net_addr *a)
{
	return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

/* Where data comes from or goes to. move copies at most n bytes to (send) or from (recv) buf and lowers resid;
 * less than n only at a fault, -EFAULT when nothing moved. */
struct net_io {
	ssize_t (*move)(struct net_io *io, void *buf, size_t n);
	void *arg;
	uint64_t resid;
	/* optional, sending: the last n bytes that moved did not after all */
	void (*back)(struct net_io *io, size_t n);
};

enum net_kind {
	NET_TCP,
	NET_UDP,
	NET_UDPLITE, /* RFC 3828, with its own ports */
	NET_RAW,
	NET_PING,
	NET_KINDS,
};

/* UDP or UDP-Lite */
static inline bool net_kind_udp(int kind)
{
	return kind == NET_UDP || kind == NET_UDPLITE;
}

/* Values are those of Linux, as tcpi_state and /proc/net/tcp show them. */
enum net_state {
	NET_ESTABLISHED = 1,
	NET_SYN_SENT,
	NET_SYN_RECV,
	NET_FIN_WAIT1,
	NET_FIN_WAIT2,
	NET_TIME_WAIT,
	NET_CLOSE,
	NET_CLOSE_WAIT,
	NET_LAST_ACK,
	NET_LISTEN,
	NET_CLOSING,
};

#define NET_CC_MAX 16
#define NET_IF_MAX 16 /* IFNAMSIZ */

/* Options: plain fields that the embedder sets at any time and the stack reads; a stale read is harmless. */
struct net_opts {
	bool reuseaddr, reuseport, broadcast, keepalive, oobinline, linger_on, v6only, freebind, transparent,
		dontroute;
	bool sndbuf_set, rcvbuf_set; /* else automatic */
	int32_t sndbuf, rcvbuf;	     /* as getsockopt shows them */
	int32_t linger, rcvlowat;
	uint32_t mark, bound_if;
	/* IP */
	int16_t ttl, hops; /* -1: the default */
	uint8_t tos, tclass;
	uint8_t mc_ttl, mc_hops;
	bool mc_loop, mc_loop6, mc_all, mc_all6, hdrincl, recverr, recverr6;
	uint8_t pmtu, pmtu6;
	uint32_t mc_if, mc_if6;
	struct net_addr mc_addr;
	/* UDP */
	uint16_t send_cover, recv_cover; /* UDPLITE_*_CSCOV; 0: all */
	bool cork, no_check, no_check6_tx, no_check6_rx, gro;
	uint16_t gso_size;
	/* raw */
	uint32_t icmp_filter;
	uint32_t icmp6_filter[8];
	int32_t raw_checksum; /* offset, -1: none */
	/* TCP */
	bool nodelay, tcp_cork, quickack, fastopen_connect, save_syn, thin;
	int32_t maxseg, keepidle, keepintvl, keepcnt, syncnt, linger2, defer_accept, window_clamp, fastopen;
	uint32_t user_timeout, notsent_lowat; /* milliseconds; bytes, 0: no limit */
	uint8_t minttl, minhops;
	char cc[NET_CC_MAX];
};

/* ---- stacks ---- */

struct net_config {
	bool lo_up; /* as in a fresh machine; else as in a fresh network namespace */
};
MUST_CHECK int net_stack_create(const struct net_config *c, struct net_stack **out);
void net_stack_get(struct net_stack *st);
void net_stack_put(struct net_stack *st);

struct net_if_info {
	uint32_t index, flags, mtu; /* IFF_* as Linux numbers them */
	uint32_t promiscuity;
	uint16_t type; /* ARPHRD_* */
	char name[NET_IF_MAX];
	uint8_t hw[6], hw_len;
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes, rx_dropped, tx_dropped;
	char kind[16];	       /* of a virtual link: "dummy", "veth", "bridge" */
	uint32_t master, peer; /* interface numbers, 0: none; peer: of a veth, in its own stack */
	bool peer_here;	       /* the peer is in the same stack */
};
struct net_addr_info {
	struct net_addr addr;
	uint8_t prefix, scope; /* of the family's own width; RT_SCOPE_* */
	uint32_t if_index;
	char label[NET_IF_MAX];
};
struct net_route_info {
	struct net_addr dst, gateway, src;
	bool v6, has_gateway, local;
	uint8_t prefix, scope, type, protocol; /* RTN_*, RTPROT_* */
	uint32_t if_index, metric, table;
};
/* The n-th, from 0; false: there is none. */
bool net_if_at(struct net_stack *st, uint32_t n, struct net_if_info *out);
bool net_if_find(struct net_stack *st, uint32_t index, const char *name, struct net_if_info *out);
bool net_addr_at(struct net_stack *st, uint32_t n, struct net_addr_info *out);
bool net_route_at(struct net_stack *st, uint32_t n, struct net_route_info *out);
/* What a packet to dst would do. -ENETUNREACH */
MUST_CHECK int net_route_get(struct net_stack *st, const struct net_addr *dst, uint32_t oif,
			     struct net_route_info *out);
bool net_addr_is_local(struct net_stack *st, const struct net_addr *a);
/* -ENODEV, -EEXIST, -EADDRNOTAVAIL, -ENOMEM */
MUST_CHECK int net_if_set_flags(struct net_stack *st, uint32_t index, uint32_t flags, uint32_t mask);
MUST_CHECK int net_if_set_mtu(struct net_stack *st, uint32_t index, uint32_t mtu);
/* One user more (1) or less (-1) who wants the frames of others too. */
void net_if_promiscuous(struct net_stack *st, uint32_t index, int delta);
MUST_CHECK int net_addr_add(struct net_stack *st, const struct net_addr_info *a);
MUST_CHECK int net_addr_del(struct net_stack *st, const struct net_addr_info *a);
MUST_CHECK int net_route_add(struct net_stack *st, const struct net_route_info *r);
MUST_CHECK int net_route_del(struct net_stack *st, const struct net_route_info *r);

/* What has changed, for who watches; called without locks. */
enum net_event_kind { NET_EVENT_LINK, NET_EVENT_ADDR, NET_EVENT_ROUTE, NET_EVENT_NEIGH };
struct net_neigh_info {
	struct net_addr addr;
	uint32_t if_index;
	uint8_t hw[6], state; /* NUD_* */
};
struct net_event {
	enum net_event_kind what;
	bool gone;
	union {
		struct net_if_info link;
		struct net_addr_info addr;
		struct net_route_info route;
		struct net_neigh_info neigh;
	};
};
void net_set_watch(struct net_stack *st, void (*fn)(struct net_stack *st, const struct net_event *e));

/* Virtual links, down at first. Names are checked. -EEXIST, -EOPNOTSUPP: kind, -EINVAL: name, -ENOMEM, -ENOSPC
 */
struct net_virt_end {
	char name[NET_IF_MAX];
	uint8_t hw[6];
	bool has_hw;
	uint32_t mtu; /* 0: the usual one */
};
struct net_virt_config {
	const char *kind; /* "dummy", "veth", "bridge" */
	struct net_virt_end end, peer;
	struct net_stack *peer_stack; /* NULL: the same */
};
MUST_CHECK int net_virt_add(struct net_stack *st, const struct net_virt_config *c, uint32_t *ifindex);
/* Virtual links only; a veth takes its peer with it. -EOPNOTSUPP, -ENODEV */
MUST_CHECK int net_if_del(struct net_stack *st, uint32_t index);
MUST_CHECK int net_if_rename(struct net_stack *st, uint32_t index, const char *name);
MUST_CHECK int net_if_set_hw(struct net_stack *st, uint32_t index, const uint8_t *hw);
/* Makes an interface a bridge's port; 0: no longer one. */
MUST_CHECK int net_if_set_master(struct net_stack *st, uint32_t index, uint32_t master);
/* It becomes an interface of that name of another stack, down and without addresses. -EINVAL: it can't move */
MUST_CHECK int net_if_move(struct net_stack *st, uint32_t index, struct net_stack *to, const char *name);
/* The first free name of a pattern that ends with %d. */
MUST_CHECK int net_if_free_name(struct net_stack *st, const char *pattern, char *out);

/* Neighbours. -ENODEV, -ENOENT, -ENOMEM */
bool net_neigh_at(struct net_stack *st, uint32_t n, struct net_neigh_info *out);
MUST_CHECK int net_neigh_set(struct net_stack *st, const struct net_neigh_info *n, bool create);
MUST_CHECK int net_neigh_del(struct net_stack *st, const struct net_neigh_info *n);

struct net_counters {
	uint64_t tcp_active, tcp_passive, tcp_fails, tcp_resets, tcp_established, tcp_in, tcp_out, tcp_rst_out;
	uint64_t udp_in, udp_no_port, udp_out, udp_errors, udp_rcvbuf_errors;
	uint64_t icmp_in, icmp_out, icmp_echo_in, icmp_echo_rep_in, icmp_unreach_in, icmp_errors;
	uint64_t ip_in, ip_out, ip_delivers;
	uint32_t inuse[NET_KINDS][2]; /* by family: 0 IPv4, 1 IPv6 */
	uint32_t time_wait, orphans;
};
void net_counters(struct net_stack *st, struct net_counters *out);

/* ---- links to the world outside ---- */

/* A descriptor that carries one frame a message becomes an interface that is up. It is taken, as pcap_fd is. */
struct net_link_config {
	const char *name;
	int fd;
	bool is_socket; /* else a TAP device */
	bool ethernet;	/* else IP packets without a header */
	bool vnet_hdr;	/* each frame begins with a struct virtio_net_hdr of ten bytes */
	uint8_t hw[6];
	uint32_t mtu;
	int pcap_fd; /* a copy of all packets goes there; 0: none */
};
/* Before the stack has sockets. -EEXIST, -ENOMEM, -ENOSPC */
MUST_CHECK int net_link_add(struct net_stack *st, const struct net_link_config *c, uint32_t *ifindex);
/* The embedder has one thread that waits for the links' descriptors (to write as well while net_link_waits says
 * so) and for the next deadline, and calls these. Absolute CLOCK_MONOTONIC ns, UINT64_MAX: none. */
uint64_t net_run_timers(struct net_stack *st);
/* kick: the deadline has moved forward; from any thread, may hold locks: it wakes that thread and does no more.
 */
void net_set_kick(struct net_stack *st, void (*kick)(void *arg), void *arg);
void *net_kick_arg(struct net_stack *st);
/* Called with kick's argument when the stack goes. */
void net_set_release(struct net_stack *st, void (*release)(void *arg));
int net_link_fd(struct net_stack *st, uint32_t ifindex);
bool net_link_waits(struct net_stack *st, uint32_t ifindex);
/* Packets that came, or an error of the descriptor. */
int net_link_ready(struct net_stack *st, uint32_t ifindex, bool in, bool out);

/* ---- frames, as packet(7) sockets see and send them ---- */

struct net_frame {
	uint32_t ifindex, mark;
	uint16_t protocol, hw_type; /* ETH_P_* of what stands behind the link header; ARPHRD_* */
	uint8_t type;		    /* PACKET_HOST, ... */
	uint8_t src[6], src_len;    /* the link-layer sender; 0: the link has no addresses */
	const uint8_t *data;	    /* from the link header on */
	uint32_t len, net_off;	    /* net_off: of what stands behind the link header */
	bool csum_unfinished;	    /* the transport checksum is left to the link */
	bool outgoing;
};
struct net_tap {
	struct list node;  /* [the stack's tap lock] */
	uint32_t ifindex;  /* [a] 0: all */
	uint16_t protocol; /* [a] ETH_P_*; ETH_P_ALL sees outgoing frames too; 0: nothing */
	/* Locks of the stack may be held: it may copy, and wake. */
	void (*fn)(struct net_tap *tap, const struct net_frame *f);
};
void net_tap_add(struct net_stack *st, struct net_tap *tap);
/* When it returns, fn isn't running and won't be called. */
void net_tap_del(struct net_stack *st, struct net_tap *tap);
/* Sends a frame that begins with its link header (net_off bytes, 0: the link has none) on an interface; other
 * packet sockets see it, from doesn't (NULL: all do). -ENXIO, -ENETDOWN, -EMSGSIZE, -EINVAL: too short */
MUST_CHECK int net_frame_send(struct net_stack *st, uint32_t ifindex, const uint8_t *frame, uint32_t len,
			      const struct net_tap *from);
/* What stands before the network header: 14 on links with Ethernet frames and on lo, else 0. */
uint32_t net_if_header(const struct net_if_info *i);
/* UDP to addr:port goes to addr:to instead and answers come from port again, as with REDIRECT of iptables: so a
 * service of the machine's own keeps clear of the ports that programs may want. Once, before there are sockets.
 */
void net_redirect_udp(struct net_stack *st, const struct net_addr *addr, uint16_t port, uint16_t to);

/* ---- or a NAT: TCP connections are sockets of the host, which sbx-net (netstack/nat) opens and hands over;
 * datagrams go through it ---- */

struct net_nat_config {
	const char *name;
	int ctl_fd, dgram_fd; /* to sbx-net: connections, datagrams (netstack/nat/msg.h); taken */
	uint8_t hw[6];	      /* shown; no frame has it */
	uint32_t mtu;
	int pcap_fd;		    /* a copy of all datagrams goes there, taken; 0: none */
	struct net_addr resolver;   /* of the loopback's network, and yet sbx-net's */
	uint64_t rate_in, rate_out; /* bytes a second; 0: no limit */
};
/* Before the stack has sockets. -EEXIST, -ENOMEM, or what the host says. */
MUST_CHECK int net_nat_add(struct net_stack *st, const struct net_nat_config *c, uint32_t *ifindex);
/* Waits for events and does what they ask for: one thread of the embedder calls it again and again. */
void net_nat_poll(struct net_stack *st);
struct net_nat_counters {
	uint64_t connects, accepted, refused, failed; /* refused: by the policy */
	uint64_t tcp_in, tcp_out;		      /* bytes */
	uint64_t dgrams_in, dgrams_out, dgrams_dropped, dgram_bytes_in, dgram_bytes_out;
};
/* False: this stack has no NAT. */
bool net_nat_counters(struct net_stack *st, struct net_nat_counters *out);

/* ---- sockets ---- */

/* family: 4 or 6. owner, uid: the embedder's, uid decides about SO_REUSEPORT. */
MUST_CHECK int net_sock_create(struct net_stack *st, enum net_kind kind, int family, int protocol, void *owner,
			       uint32_t uid, struct net_sock **out);
/* The embedder is done with it. */
void net_sock_close(struct net_sock *sk);
struct net_opts *net_sock_opts(struct net_sock *sk);
struct waitq *net_sock_waitq(struct net_sock *sk);
struct net_stack *net_sock_stack(struct net_sock *sk);
/* Of an accepted socket: now owned by the embedder. */
void net_sock_adopt(struct net_sock *sk, void *owner, uint32_t uid);
/* Buffer options have changed. */
void net_sock_buffers_changed(struct net_sock *sk);
/* Options that act at once have (TCP_NODELAY, TCP_CORK, keepalive, ...). */
void net_sock_options_changed(struct net_sock *sk);

/* UDP, raw and ping sockets: fn is asked, with the socket locked, how many bytes of what arrived to keep (0:
 * none); NULL: all. What it sees begins with the transport header (of raw IPv4 sockets: the IP header). */
void net_sock_set_filter(struct net_sock *sk, uint32_t (*fn)(void *owner, const struct net_frame *f));

#define NET_BIND_PRIVILEGED 1u /* ports below 1024 are allowed */
MUST_CHECK int net_bind(struct net_sock *sk, const struct net_name *name, uint32_t flags);
MUST_CHECK int net_listen(struct net_sock *sk, int backlog);
/* TCP: -EINPROGRESS once begun, even when the result is there already; others: the default destination */
MUST_CHECK int net_connect(struct net_sock *sk, const struct net_name *name);
/* What a connect that was in progress came to; -EAGAIN: not decided. TCP only */
MUST_CHECK int net_connect_result(struct net_sock *sk);
MUST_CHECK int net_disconnect(struct net_sock *sk);
MUST_CHECK int net_accept(struct net_sock *sk, struct net_sock **out);
/* -ENOTCONN */
MUST_CHECK int net_local_name(struct net_sock *sk, struct net_name *out);
MUST_CHECK int net_peer_name(struct net_sock *sk, struct net_name *out);
MUST_CHECK int net_shutdown(struct net_sock *sk, bool rd, bool wr);
uint32_t net_ready(struct net_sock *sk);
enum net_state net_sock_state(struct net_sock *sk);
/* SO_ERROR, positive, and clears it: as far as the stack has heard of it; so_error asks the host, too. */
int net_take_error(struct net_sock *sk);
int net_so_error(struct net_sock *sk);

#define NET_OOB	     1u
#define NET_PEEK     2u
#define NET_TRUNC    4u /* recv: the true length of a datagram; a stream's bytes are dropped */
#define NET_MORE     8u
#define NET_ERRQUEUE 16u
#define NET_EOR	     32u

/* What goes with data besides its bytes. */
struct net_tx {
	uint32_t flags;
	const struct net_name *name; /* NULL: the default destination */
	bool has_src, has_ttl, has_tos;
	struct net_addr src;
	uint32_t ifindex;
	int16_t ttl;
	uint8_t tos;
	uint16_t gso_size;
};
struct net_rx {
	uint32_t flags;		    /* in */
	bool truncated, oob, error; /* out; error: from the error queue */
	bool is_datagram;
	struct net_name src, dst; /* dst: the header's destination */
	uint32_t ifindex;
	uint8_t ttl, tos;
	uint64_t stamp_ns; /* CLOCK_REALTIME */
	uint32_t drops;
	/* error queue */
	int32_t ee_errno;
	uint8_t ee_origin, ee_type, ee_code;
	uint32_t ee_info, ee_data;
	struct net_name offender;
};
ssize_t net_send(struct net_sock *sk, struct net_io *io, const struct net_tx *tx);
ssize_t net_recv(struct net_sock *sk, struct net_io *io, struct net_rx *rx);
/* FIONREAD, SIOCOUTQ, SIOCATMARK. -EINVAL for a listener */
/* UDP: what was held back by MSG_MORE goes. */
MUST_CHECK int net_uncork(struct net_sock *sk);
int64_t net_inq(struct net_sock *sk);
int64_t net_outq(struct net_sock *sk);
bool net_at_mark(struct net_sock *sk);

struct net_tcp_info {
	uint8_t state;
	uint64_t bytes_sent, bytes_received, segs_out, segs_in;
	uint32_t mss, unread, unsent, sndbuf, rcvbuf, backlog, backlog_max;
	uint64_t last_send_ns, last_recv_ns; /* CLOCK_MONOTONIC; 0: never */
	/* what only segments have; a connection within this machine shows the constants of a perfect path */
	uint8_t ca_state, retransmits, probes, backoff, options, snd_wscale,
		rcv_wscale; /* options: TCPI_OPT_* */
	uint32_t rto_us, ato_us, rtt_us, rttvar_us, min_rtt_us, rcv_rtt_us;
	uint32_t snd_mss, rcv_mss, advmss, pmtu, cwnd, ssthresh, rcv_ssthresh, reordering;
	uint32_t unacked, sacked, lost, retrans, total_retrans, rcv_space, snd_wnd, rcv_wnd;
	uint32_t data_segs_in, data_segs_out, delivered, delivered_ce, dsack_dups, reord_seen, ooo_packets;
	uint64_t pacing_rate, delivery_rate, bytes_acked, bytes_retrans, busy_us, rwnd_limited_us,
		sndbuf_limited_us;
};
void net_tcp_info(struct net_sock *sk, struct net_tcp_info *out);

/* Multicast. if_index 0: as routed. -ENODEV, -EADDRINUSE, -EADDRNOTAVAIL, -ENOBUFS */
MUST_CHECK int net_join(struct net_sock *sk, const struct net_addr *group, uint32_t if_index);
MUST_CHECK int net_leave(struct net_sock *sk, const struct net_addr *group, uint32_t if_index);

/* A socket as /proc/net and sock_diag show it. */
struct net_show {
	enum net_kind kind;
	uint8_t family, state, protocol;
	struct net_name local, remote;
	uint32_t uid, rx_queue, tx_queue, refs, drops;
	uint8_t shut, v6only;		 /* bit 0: reading, 1: writing */
	const struct net_tcp_info *info; /* TCP, not TIME_WAIT; valid during the callback */
	uint64_t timeout_ns;		 /* TIME_WAIT: left */
	void *owner;			 /* NULL: nobody's; valid during the callback */
	const void *sk;
};
/* The callback runs with the socket's lock held; it may copy. */
void net_for_each(struct net_stack *st, enum net_kind kind, int family,
		  void (*fn)(void *arg, const struct net_show *s), void *arg);
