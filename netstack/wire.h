/* wire.h: state that the lower half of the stack shares: links, neighbours, IP, the TCP engine over segments.
 * What the lower half needs of the upper (sockets, addresses, routes) comes through struct wire_up, so that it
 * can be tested by itself.
 *
 * Locks, outermost first: NET_CONN one connection (tcp_conn.h); then, each taken for a few lines only,
 * NET_WIRE (neighbours, reassembly, buckets of connections, path MTUs), NET_LINK (a link's output queue),
 * NET_TIMERS. Upcalls are made with none of them held, but route and is_local, which may be made under
 * NET_CONN. */
#pragma once

#include <sys/uio.h>

#include "netstack/core/checksum.h"
#include "netstack/core/pbuf.h"
#include "netstack/core/timers.h"
#include "netstack/internal.h"
#include "netstack/proto/eth.h"
#include "platform/base/hash.h"

#define WIRE_LINKS    128u
#define CONN_BUCKETS  1024u
#define NEIGH_BUCKETS 64u
#define NEIGH_MAX     1024u /* entries */
#define NEIGH_QUEUE   64u   /* packets that wait for one address */
#define TCP_MEM_BYTES (256u * 1024 * 1024)
#define FRAG_BYTES    (4u * 1024 * 1024)
#define PMTU_SLOTS    256u

struct wire;
struct link;
struct tcp_conn;
struct tcp_listener;

/* What the upper half gives. */
struct wire_up {
	int (*route)(void *arg, const struct net_addr *dst, uint32_t oif, struct route *out);
	bool (*is_local)(void *arg, const struct net_addr *a);
	/* a datagram of another protocol than TCP, whole and with its IP header checked */
	void (*deliver)(void *arg, const struct ip_packet *p);
	void (*icmp_error)(void *arg, const struct icmp_error *e);
	/* Passive opens: a listener with a reference, NULL: none. */
	void *(*listener)(void *arg, const struct net_name *local, const struct net_name *remote,
			  uint32_t ifindex);
	void (*listener_put)(void *listener);
	bool (*listener_full)(void *listener);
	/* Settings for a child, before its SYN-ACK. */
	void (*listener_config)(void *listener, struct tcp_conn *c);
	/* The handshake is over; sets the connection's user. -EAGAIN: full, -ECONNREFUSED. No lock is held. */
	int (*child)(void *listener, struct tcp_conn *c);
	/* References of a user; both may be NULL. get is called with the connection locked, put without a lock.
	 */
	void (*user_get)(void *user);
	void (*user_put)(void *user);
	/* Something happened to a connection with a user; no lock is held. events: TCP_EV_* */
	void (*event)(void *user, struct tcp_conn *c, uint32_t events);
	/* a source for a packet on an interface: true when there is one of the family */
	bool (*source)(void *arg, uint32_t ifindex, bool v4, struct net_addr *out);
	/* Router advertisements: a prefix to make an address of (prefix_len 64), a default router. May be NULL.
	 */
	void (*autoconf)(void *arg, uint32_t ifindex, const struct net_addr *addr, uint8_t prefix_len,
			 const struct net_addr *router);
	/* Frames, for those who listen in: does anybody, and one. Locks may be held. Both may be NULL. */
	bool (*tapped)(void *arg);
	void (*tap)(void *arg, struct link *l, const uint8_t *frame, uint32_t n, bool outgoing,
		    bool csum_unfinished);
};

enum neigh_state { NEIGH_INCOMPLETE, NEIGH_REACHABLE, NEIGH_STALE, NEIGH_PROBE, NEIGH_PERMANENT };

struct neigh {
	struct list node; /* [wire->lock], as all here */
	struct net_addr addr;
	uint32_t ifindex;
	uint8_t hw[ETH_ALEN], state, probes;
	uint64_t when; /* of the next step */
	uint64_t used;
	struct list queue; /* of pbufs */
	uint32_t queued;
};

struct pmtu_entry {
	struct net_addr dst;
	uint32_t mtu; /* 0: free */
	uint64_t expires;
};

struct conn_bucket {
	struct mutex lock; /* rank NET_WIRE */
	struct list conns;
};

struct wire_counters {
	uint64_t ip_in, ip_bad, ip_out, ip_frags_in, ip_reassembled, ip_frag_dropped, ip_frags_out;
	uint64_t tcp_in, tcp_bad_checksum, tcp_out, tcp_retrans, tcp_rto, tcp_rst_in, tcp_rst_out,
		tcp_challenge;
	uint64_t tcp_paws, tcp_ooo, tcp_dsack, tcp_fast_recovery, tcp_tlp, tcp_syn_cookies_sent,
		tcp_syn_cookies_ok;
	uint64_t tcp_mem_dropped;
	uint64_t tcp_syn_dropped, tcp_listen_overflow, tcp_undo, tcp_probes, tcp_keepalive;
	uint64_t arp_in, arp_out, nd_in, nd_out, neigh_failed, icmp_in, icmp_out, icmp_limited;
};
#define WCOUNT(w, field)      ((void)__atomic_add_fetch(&(w)->counters.field, 1, __ATOMIC_RELAXED))
#define WCOUNT_N(w, field, n) ((void)__atomic_add_fetch(&(w)->counters.field, (n), __ATOMIC_RELAXED))

struct wire {
	const struct wire_up *up;     /* [I] */
	void *up_arg;		      /* [I] */
	uint64_t (*clock)(void *arg); /* [I] monotonic ns */
	void *clock_arg;	      /* [I] */
	struct timers timers;
	struct link *links[WIRE_LINKS];	   /* [a] by slot; owned; never change once set, until wire_destroy */
	uint64_t secret[2];		   /* [I] of ISNs, cookies and hashes */
	struct mutex lock;		   /* rank NET_WIRE */
	struct list neighs[NEIGH_BUCKETS]; /* [lock] */
	uint32_t neigh_count;		   /* [lock] */
	struct net_timer neigh_timer;
	struct list frags;   /* [lock] datagrams being put together, oldest first */
	uint32_t frag_bytes; /* [lock] */
	struct net_timer frag_timer;
	struct pmtu_entry pmtus[PMTU_SLOTS]; /* [lock] */
	uint64_t icmp_credit_at;	     /* [lock] errors are limited (RFC 1812 4.3.2.8, 4443 2.4f) */
	uint32_t icmp_credit;		     /* [lock] */
	struct conn_bucket *conns;	     /* [I] CONN_BUCKETS */
	uint32_t conn_count, half_open, time_waits; /* [a] */
	uint64_t tcp_bytes,
		tcp_mem;	 /* [a] held by connections' buffers; how much there may be (tcp(7), tcp_mem) */
	uint32_t ip_id;		 /* [a] */
	uint32_t challenge_left; /* [a] RFC 5961 section 7 */
	uint64_t challenge_at;	 /* [a] */
	uint32_t cookie_after;	 /* [a] half-open connections beyond which SYN cookies are sent */
	uint8_t ecn;		 /* [a] net.ipv4.tcp_ecn: 0 never, 1 asks for it, 2 agrees */
	char cc[NET_CC_MAX];	 /* [I] the default */
	struct wire_counters counters;
};

/* Takes nothing over; -ENOMEM. clock NULL: the host's. */
MUST_CHECK int wire_create(const struct wire_up *up, void *arg, uint64_t (*clock)(void *), void *clock_arg,
			   struct wire **out);
/* All connections, links and packets go. Nobody else may be in a call. */
void wire_destroy(struct wire *w);
static inline uint64_t wire_now(struct wire *w)
{
	return w->clock(w->clock_arg);
}
/* Runs what is due; when the next is (UINT64_MAX: nothing). */
uint64_t wire_run_timers(struct wire *w);

/* ---- links ---- */

#define LINK_ETHER	 1u /* frames have Ethernet headers; else they are IP packets */
#define LINK_CSUM	 2u /* the link fills checksums in */
#define LINK_TSO	 4u /* and cuts TCP segments of up to LINK_GSO_MAX bytes */
#define LINK_NOARP	 8u /* neighbours aren't asked for their addresses */
#define LINK_GSO_MAX	 65000u
#define LINK_QUEUE_BYTES (2u * 1024 * 1024)

struct link_ops {
	/* 0; -EAGAIN: no room now, link_flush is to be called when there is; another error: the packet is lost.
	 */
	int (*send)(struct link *l, const struct pkt *p);
	/* Reads what is there, at most budget packets, and gives it to wire_input. How many. */
	int (*receive)(struct link *l, uint32_t budget);
	void (*close)(struct link *l);
};

struct link {
	const struct link_ops *ops; /* [I] */
	struct wire *w;		    /* [I] */
	uint32_t ifindex, features; /* [I] */
	uint32_t mtu;		    /* [a] */
	bool up;		    /* [a] */
	struct link *master;	    /* [a] the bridge whose port it is, or NULL */
	uint8_t hw[ETH_ALEN];	    /* [I] */
	int fd;			    /* [I] owned; -1: none */
	void *priv;		    /* [I] the kind's own */
	struct mutex lock;	    /* rank NET_LINK */
	struct list queue;	    /* [lock] pbufs that wait for room */
	uint32_t queued;	    /* [a] bytes; written under lock */
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes, tx_dropped, rx_dropped; /* [a] */
	void (*want_write)(struct link *l); /* [I] output has begun to wait; may be NULL */
	struct pcap *pcap;		    /* [I] a copy of everything; or NULL */
};

/* Takes l (also on failure: closed). -ENOSPC */
MUST_CHECK int wire_attach(struct wire *w, struct link *l);
struct link *wire_link(struct wire *w, uint32_t ifindex);
/* A packet that came by l. csum_ok: the link vouches for the transport checksum. */
void wire_input(struct link *l, const uint8_t *frame, size_t n, bool csum_ok);
/* A complete frame. */
void link_xmit(struct link *l, const struct pkt *p);
/* The same, unseen by those who listen in. */
void link_send(struct link *l, const struct pkt *p);
/* A frame that came by a port of a bridge's (link/virt.c). */
void bridge_input(struct link *bridge, struct link *from, const uint8_t *frame, uint32_t n);
/* There is room again. */
void link_flush(struct link *l);
static inline bool link_busy(const struct link *l)
{
	return __atomic_load_n(&l->queued, __ATOMIC_RELAXED) != 0;
}

/* ---- eth/ ---- */

/* Sends an IP packet to next_hop on l, asking for its address first if need be. */
void neigh_output(struct link *l, const struct net_addr *next_hop, struct pkt *p);
/* An address was heard of. override: replaces a different one; solicited: and is certain. create: even if
 * nobody asked */
void neigh_learn(struct link *l, const struct net_addr *addr, const uint8_t *hw, bool override, bool solicited,
		 bool create);
void neigh_timer_run(struct net_timer *t);
void arp_input(struct link *l, const uint8_t *p, size_t n);
void arp_request(struct link *l, uint32_t target, const uint8_t *to);
void link_eth_output(struct link *l, struct pkt *p, const uint8_t *dst, uint16_t type);
void neigh_drop_all(struct wire *w);
void neigh_drop_link(struct wire *w, uint32_t ifindex);

/* ---- ip4/, ip6/ ---- */

struct ip_out {
	struct net_addr src, dst;
	uint8_t protocol, ttl, tos; /* ttl 0: the default */
	bool df;
	const struct route *r;
};
/* p is what stands behind the IP header. 0, -EMSGSIZE, -ENETDOWN, -ENOBUFS */
int wire_ip_output(struct wire *w, struct pkt *p, const struct ip_out *o);
/* Of the path, by the route's link and what ICMP said. */
uint32_t ip_path_mtu(struct wire *w, const struct net_addr *dst, const struct route *r);
void ip_pmtu_learn(struct wire *w, const struct net_addr *dst, uint32_t mtu);

/* p, one of our own packets from its IP header on, can't be delivered: as if an ICMP error had come. */
void ip_tell_unreachable(struct wire *w, struct pkt *p);
/* The packet that an ICMP error quotes: tells who sent it. */
void ip_quoted_error(struct wire *w, const uint8_t *p, size_t n, bool v6, const struct net_addr *offender,
		     uint8_t type, uint8_t code, uint32_t info);
void ip4_input(struct link *l, const uint8_t *p, size_t n, bool csum_ok, bool to_us);
void ip6_input(struct link *l, const uint8_t *p, size_t n, bool csum_ok, bool to_us);

/* An arrived packet, as the protocols see it. */
struct ip_in {
	struct ip_packet p;
	struct link *l;
	const uint8_t *header; /* the whole packet from its IP header on */
	uint32_t header_len;   /* up to the payload */
	bool csum_ok;
	bool unicast; /* to one of our addresses */
};
void ip_dispatch(struct wire *w, const struct ip_in *in);

/* Fragments. Once it is whole, *out is the payload (kfree) and its length, total bytes are returned; 0: not
 * yet, or dropped. */
struct frag_key {
	struct net_addr src, dst;
	uint32_t id, ifindex;
	uint8_t protocol;
};
struct frag_part {
	struct frag_key key;
	uint32_t offset, len;
	bool more;
	uint8_t tos, ttl;
	const uint8_t *data;
	const uint8_t *header; /* of the packet, for a Time Exceeded about the first fragment */
	uint32_t header_len;
};
struct frag_whole {
	uint8_t *data;
	uint32_t len;
	uint8_t tos, ttl;
};
bool frag_input(struct wire *w, const struct frag_part *f, struct frag_whole *out);
void frag_timer_run(struct net_timer *t);
void frag_drop_all(struct wire *w);

void icmp4_input(struct wire *w, const struct ip_in *in);
void icmp6_input(struct wire *w, const struct ip_in *in);
/* An error about in's packet; limited in rate; never about errors, multicasts or later fragments. */
void icmp4_send_error(struct wire *w, const struct ip_in *in, uint8_t type, uint8_t code, uint32_t rest);
void icmp6_send_error(struct wire *w, const struct ip_in *in, uint8_t type, uint8_t code, uint32_t rest);
bool icmp_may_send(struct wire *w);
/* src NULL: chosen; hops 0: the default */
void icmp6_output(struct link *l, const struct net_addr *src, const struct net_addr *dst, struct pkt *p,
		  uint8_t hops, uint8_t tos);
void nd6_input(struct wire *w, const struct ip_in *in);
void nd6_solicit(struct link *l, const struct net_addr *target, const uint8_t *to);
void nd6_router_solicit(struct link *l);

/* ---- transport ---- */

void tcp_input(struct wire *w, const struct ip_in *in);
/* An ICMP error about a segment. data: at least 8 bytes of the TCP header. */
void tcp_icmp_error(struct wire *w, const struct icmp_error *e, uint32_t seq);
void tcp_conns_drop_all(struct wire *w);
