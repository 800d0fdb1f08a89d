/* internal.h: state that the layers of the stack share.
 *
 * Locks (ranks in platform/base/lockrank.def, outermost first):
 *   NET_SEND   a TCP socket's senders, one at a time: its end of the outgoing pipe
 *   NET_RECV   a TCP socket's receivers, one at a time: its end of the incoming pipe
 *   NET_PIPE   the memory of a pipe: held to take bytes out of it and to make it larger
 *   NETSTACK   a socket's state; a listener before who connects to it; else pairs by address
 *   NET_TABLE  one bucket of ports; the list of all sockets; interfaces, addresses and routes
 * Data moves under NET_SEND, NET_RECV and NET_PIPE alone, so that the two ends of a connection copy at the same
 * time on two processors. */
#pragma once

#include "netstack/netstack.h"
#include "platform/abi/errno.h"
#include "platform/base/arena.h"
#include "platform/base/bug.h"
#include "platform/base/list.h"
#include "platform/base/refs.h"

#define IFF_UP_	      0x1u
#define IFF_LOOPBACK_ 0x8u
#define IFF_RUNNING_  0x40u
#define IFF_PROMISC_  0x100u
#define IFF_LOWER_UP_ 0x10000u
#define PORT_BUCKETS  1024u
#define PORT_FIRST    32768u /* net.ipv4.ip_local_port_range */
#define PORT_LAST     60999u
#define TIME_WAIT_NS  60000000000ULL
#define TIME_WAIT_MAX 16384u
#define MSL_REUSE_NS  1000000000ULL
#define NET_LO_INDEX  1u
#define NET_ADDRS_MAX 256u /* addresses, routes */
#define MTU_LO	      65536u
#define PROTO_ICMP    1
#define PROTO_TCP     6
#define PROTO_UDP     17
#define PROTO_UDPLITE 136
#define PROTO_ICMP6   58

#define IN_EVENTS  (EV_IN | EV_RDNORM)
#define OUT_EVENTS (EV_OUT | EV_WRNORM)

struct net_wire_ops;

/* A claim on a port: a socket's, or what is left of a connection in TIME_WAIT. */
struct net_bind {
	struct list node;    /* [bucket] */
	struct net_port *on; /* [bucket] NULL: no port */
	struct net_sock *sk; /* [I] NULL: TIME_WAIT */
	struct net_addr addr, raddr;
	uint16_t port, rport;
	bool any6; /* bound to :: and takes IPv4 too */
	bool any;  /* bound to any address of its family */
	bool reuse, reuseport, listening, by_connect;
	uint32_t dev, uid;
	uint64_t expires;    /* TIME_WAIT */
	struct list tw_node; /* [tw_lock] */
	bool tw_fin_wait2;
};

struct net_port {
	struct net_port *next; /* [bucket] */
	uint16_t port;
	struct list binds, listeners; /* [bucket] */
};

struct net_bucket {
	struct mutex lock; /* rank NET_TABLE */
	struct net_port *ports;
};

struct net_table {
	struct net_bucket buckets[PORT_BUCKETS];
};

struct net_iface {
	struct net_if_info info; /* [st->lock] */
	struct list node;
};
struct net_ifaddr {
	struct net_addr_info info;
	struct list node;
};
struct net_route_entry {
	struct net_route_info info;
	struct list node;
};

struct net_group {
	struct list node;
	struct net_addr addr;
	uint32_t ifindex, count;
};

struct net_stack {
	struct refs refs;
	struct rwlock lock;		   /* rank NET_TABLE */
	struct list ifaces, addrs, routes; /* [lock] */
	struct list groups;		   /* [lock] multicast */
	bool lo_up, lo_only; /* [a] the usual case, without the lock: only lo, with its usual addresses */
	struct net_table *tables[NET_KINDS];
	struct mutex socks_lock;	 /* rank NET_TABLE */
	struct list socks[NET_KINDS];	 /* [socks_lock] */
	struct mutex tw_lock;		 /* rank NET_POOL */
	struct list tw;			 /* [tw_lock] oldest first */
	uint32_t tw_count;		 /* [a] */
	uint64_t key;			 /* [I] of hashes */
	uint32_t port_counter;		 /* [a] */
	uint32_t ping_id;		 /* [a] */
	struct net_counters counters;	 /* [a] */
	uint64_t ring_bytes;		 /* [a] of TCP within the machine */
	const struct net_wire_ops *wire; /* [I] once a link is attached; NULL: none */
	void *wire_priv;		 /* [wire] */
	void *nat;			 /* [I] struct nat (link/nat.h), which makes wire its own; NULL: none */
	struct net_addr resolver;	 /* [I] of the loopback's network, and yet elsewhere; 0: none */
	uint64_t lo_packets, lo_bytes;	 /* [a] */
	struct mutex tap_lock;		 /* rank NET_TAPS */
	struct list taps;		 /* [tap_lock] */
	uint32_t tap_count;		 /* [a] written under tap_lock */
	void (*watch)(struct net_stack *st, const struct net_event *e); /* [a] */
	void (*kick)(void *arg);	/* [a] for the wire, once there is one */
	void *kick_arg;			/* [I] once kick is set */
	void (*release)(void *arg);	/* [I] */
	uint32_t last_index;		/* [lock] of interfaces ever made */
	struct mutex wire_lock;		/* rank NET_POOL: making the wire */
	const struct net_tap *tap_from; /* [tap_lock] who sends the frame that taps are shown */
	struct net_addr redirect_addr;	/* [I] once redirect_port is set */
	uint16_t redirect_port;		/* [a] of UDP; 0: none */
	uint16_t redirect_to;		/* [I] */
};
#define COUNT(st, field)   ((void)__atomic_add_fetch(&(st)->counters.field, 1, __ATOMIC_RELAXED))
#define UNCOUNT(st, field) ((void)__atomic_sub_fetch(&(st)->counters.field, 1, __ATOMIC_RELAXED))
#define COUNT_LO(st, packets, bytes)                                                                           \
	((void)__atomic_add_fetch(&(st)->lo_packets, (packets), __ATOMIC_RELAXED),                             \
	 (void)__atomic_add_fetch(&(st)->lo_bytes, (bytes), __ATOMIC_RELAXED))

#define SHUT_RD_ 1u
#define SHUT_WR_ 2u
#define SHUT_ALL 3u

struct net_sock {
	struct refs refs;
	struct net_stack *st;	     /* [I] reference */
	uint8_t kind, family;	     /* [I] */
	uint8_t protocol;	     /* [I] */
	uint8_t state;		     /* [a] written under lock */
	uint8_t shut;		     /* [a] written under lock */
	bool closed;		     /* [a] written under lock: the embedder let it go */
	bool bound_addr, bound_port; /* [lock] by bind(2) */
	bool connected;		     /* [lock] has a remote name */
	int32_t error;		     /* [a] */
	uint32_t uid;		     /* [I] */
	void *owner;		     /* [lock] */
	struct mutex lock;	     /* rank NETSTACK */
	struct waitq wq;
	struct net_name local, remote;				    /* [lock] */
	struct net_bind bind;					    /* [bucket] */
	struct list all_node;					    /* [socks_lock] */
	struct net_opts opts;					    /* [a] */
	uint32_t (*filter)(void *owner, const struct net_frame *f); /* [lock] */
};

/* One direction of a connection: the receiver's ring, which the sender fills. */
struct tcp_pipe {
	struct refs refs;
	struct net_stack *st; /* [I] not a reference: the sockets at both ends hold it */
	struct mutex lock;    /* rank NET_PIPE: taking out, and making larger */
	uint64_t head;	      /* [a] bytes ever taken out; written under lock */
	uint8_t apart[64];    /* the receiver's word and the sender's on different cache lines */
	uint64_t tail;	      /* [a] bytes ever put in; written by the sender */
	uint32_t want;	      /* [a] the sender waits for room */
	uint32_t cap;	      /* [a] bytes it may hold */
	uint32_t window;      /* [a] of cap: what counts as received; the rest is the sender's queue */
	uint32_t size;	      /* [a] of buf, a power of two; written with sender and lock */
	uint8_t *buf;	      /* [sender+lock] */
	uint8_t fin;	      /* [a] the sender has finished */
	uint8_t urg;	      /* [a] URG_* */
	uint8_t urg_byte;
	uint64_t urg_pos; /* [a] of the urgent byte */
	uint64_t told;	  /* [sender] of tail: what the interface's counters know */
	uint32_t packets; /* [sender] since then */
};
#define URG_NONE  0
#define URG_VALID 1
#define URG_READ  2

struct tcp_sock {
	struct net_sock sk;
	struct mutex send_lock, recv_lock; /* ranks NET_SEND, NET_RECV */
	/* The wire engine's state of this connection; NULL: both ends are here and share pipes, or there is no
	 * connection. Set by tcp_wire_ops.connect or tcp_child_create, freed by tcp_wire_ops.destroy.
	 * [send_lock+recv_lock+lock] */
	void *wire;
	struct tcp_sock *peer;	   /* [send_lock+recv_lock+lock] reference */
	struct tcp_pipe *in, *out; /* [send_lock+recv_lock+lock] references */
	bool embryo;		   /* [listener] nobody has accepted it */
	bool in_progress;	   /* [lock] connect has not told its result yet */
	bool deferred;		   /* [a] TCP_DEFER_ACCEPT: data first */
	/* listening */
	struct list queue;	   /* [lock] children, by qnode */
	struct list pending;	   /* [lock] who waits for room in queue, by qnode; references */
	uint32_t queued, backlog;  /* [a] written under lock */
	struct list qnode;	   /* [listener's lock] */
	struct tcp_sock *listener; /* [lock] of a pending one, or of a deferred child; reference */
};

struct net_msg {
	struct list node;
	struct net_name src, dst;
	uint32_t ifindex, len, charge;
	uint8_t ttl, tos;
	uint64_t stamp_ns;
	int32_t ee_errno;
	uint8_t ee_origin, ee_type, ee_code;
	uint32_t ee_info;
	struct net_name offender;
	uint8_t data[];
};

struct net_member {
	struct list node;
	struct net_addr group;
	uint32_t ifindex;
};

/* UDP, raw and ping sockets. */
struct dgram_sock {
	struct net_sock sk;
	struct list msgs, errors;     /* [lock] */
	uint32_t count, bytes, drops; /* [a] written under lock */
	uint32_t error_count;	      /* [a] written under lock */
	struct list members;	      /* [lock] */
	uint32_t member_count;	      /* [lock] */
	/* MSG_MORE: what waits for the rest */
	uint8_t *cork;		 /* [lock] */
	uint32_t cork_len;	 /* [lock] */
	struct net_name cork_to; /* [lock] */
	bool corked;		 /* [lock] */
};
#define MEMBERS_MAX 20u /* net.ipv4.igmp_max_memberships */

static inline struct tcp_sock *tcp_of(struct net_sock *sk)
{
	return container_of(sk, struct tcp_sock, sk);
}
static inline struct dgram_sock *dgram_of(struct net_sock *sk)
{
	return container_of(sk, struct dgram_sock, sk);
}
static inline struct net_sock *sk_get(struct net_sock *sk)
{
	refs_get(&sk->refs);
	return sk;
}
void sk_put(struct net_sock *sk);
static inline void sk_set_state(struct net_sock *sk, uint8_t s)
{
	__atomic_store_n(&sk->state, s, __ATOMIC_RELEASE);
}
static inline uint8_t sk_state(const struct net_sock *sk)
{
	return __atomic_load_n(&sk->state, __ATOMIC_ACQUIRE);
}
static inline uint8_t sk_shut(const struct net_sock *sk)
{
	return __atomic_load_n(&sk->shut, __ATOMIC_ACQUIRE);
}
static inline void sk_add_shut(struct net_sock *sk, uint8_t bits)
{
	__atomic_store_n(&sk->shut, (uint8_t)(sk->shut | bits), __ATOMIC_RELEASE);
}
static inline void sk_set_error(struct net_sock *sk, int err)
{
	__atomic_store_n(&sk->error, err, __ATOMIC_RELEASE);
}

/* core/stack.c. st->lock held */
struct net_iface *stack_if_locked(struct net_stack *st, uint32_t index, const char *name);
/* Interfaces, addresses or routes have changed: st->lo_up and lo_only follow. */
void stack_update_locked(struct net_stack *st);

/* core/route.c */
/* The route to a link's other machines that an address brings with it; false: none. */
bool route_of_addr(const struct net_addr_info *a, struct net_route_info *out);
struct route {
	struct net_addr src; /* preferred source */
	uint32_t ifindex, mtu;
	bool local, broadcast, multicast;
	bool has_gateway;
	struct net_addr gateway;
};
/* -ENETUNREACH */
MUST_CHECK int route_find(struct net_stack *st, const struct net_addr *dst, uint32_t oif, struct route *out);
/* May a socket be bound to it? -EADDRNOTAVAIL */
MUST_CHECK int addr_check_bind(struct net_stack *st, const struct net_sock *sk, const struct net_addr *a);
/* The destination as the stack takes it: any means the loopback. */
void addr_fix_dst(struct net_addr *a);
bool stack_if_exists(struct net_stack *st, uint32_t index);

/* core/ports.c */
struct net_bucket *port_bucket(struct net_stack *st, int kind, uint16_t port);
/* Claims name's port for sk (0: one is chosen) and sets sk->local. -EADDRINUSE. sk->lock held. */
MUST_CHECK int port_bind(struct net_sock *sk, const struct net_addr *addr, uint16_t port);
/* A port for a connection to remote. -EADDRNOTAVAIL. sk->lock held. */
/* -EADDRNOTAVAIL: another connection has the same two ends. */
MUST_CHECK int port_set_remote_unique(struct net_sock *sk);
MUST_CHECK int port_connect(struct net_sock *sk, const struct net_name *remote);
void port_release(struct net_sock *sk);
/* A child takes part in its listener's port. -ENOMEM */
MUST_CHECK int port_join(struct net_sock *child, struct net_sock *listener);
/* -EADDRINUSE */
MUST_CHECK int port_listen(struct net_sock *sk);
void port_unlisten(struct net_sock *sk);
/* The remote name of a bound socket has changed. */
void port_set_remote(struct net_sock *sk);
/* What sk held stays for a while as TIME_WAIT. */
void port_time_wait(struct net_sock *sk, bool fin_wait2);
/* The other end has finished too: what shows as FIN_WAIT2 is TIME_WAIT now. */
void port_time_wait_finished(struct net_sock *sk);
/* Best match, with a reference. */
struct net_sock *port_find_listener(struct net_stack *st, const struct net_name *local,
				    const struct net_name *remote, uint32_t ifindex);
/* The TCP socket of a connection, with a reference. */
struct net_sock *port_find_connected(struct net_stack *st, const struct net_name *local,
				     const struct net_name *remote);
struct net_sock *port_find_dgram(struct net_stack *st, int kind, const struct net_name *local,
				 const struct net_name *remote, uint32_t ifindex);
/* All datagram sockets on a port, with references; at most max. */
uint32_t port_find_all(struct net_stack *st, int kind, uint16_t port, struct net_sock **out, uint32_t max);

/* transport/tcp.c and tcp_data.c */
MUST_CHECK int tcp_create(struct net_sock **out);
void tcp_destroy(struct net_sock *sk);
void tcp_close(struct net_sock *sk);
int tcp_listen(struct net_sock *sk, int backlog);
int tcp_connect(struct net_sock *sk, const struct net_name *name);
int tcp_connect_result(struct net_sock *sk);
int tcp_disconnect(struct net_sock *sk);
int tcp_accept(struct net_sock *sk, struct net_sock **out);
int tcp_shutdown(struct net_sock *sk, bool rd, bool wr);
ssize_t tcp_send(struct net_sock *sk, struct net_io *io, const struct net_tx *tx);
ssize_t tcp_recv(struct net_sock *sk, struct net_io *io, struct net_rx *rx);
uint32_t tcp_ready(struct net_sock *sk);
void tcp_undefer(struct tcp_sock *child);
void tcp_info_locked(struct tcp_sock *t, struct net_tcp_info *out);
/* tcp_listen.c: c (SYN_SENT) and a new child of l become connected. Both locked. -ENOMEM */
MUST_CHECK int tcp_link_locked(struct tcp_sock *l, struct tcp_sock *c);
bool tcp_queue_full(const struct tcp_sock *l);
/* Nobody will accept from l again. */
void tcp_end_listening(struct tcp_sock *l);
/* c no longer waits for room at a listener. */
void tcp_leave_pending(struct tcp_sock *c);
/* As an answer of RST to a SYN. */
void tcp_refuse_locked(struct tcp_sock *c, int err);
/* tcp_close.c: the connection is over for t; its names stay readable. */
void tcp_done_locked(struct tcp_sock *t);
/* a has sent all it will send. Both locked; b may be a. */
void tcp_fin_locked(struct tcp_sock *a, struct tcp_sock *b);
/* A child that nobody will accept. Takes the queue's reference. */
void tcp_abort_child(struct tcp_sock *n);
/* An unconnected socket again; what bind(2) gave stays. */
void tcp_forget_names_locked(struct tcp_sock *t);
/* Both locked: b learns that a sent RST. */
void tcp_reset_locked(struct tcp_sock *b);
void tcp_wake_all(struct tcp_sock *t);
struct tcp_pipe *tcp_pipe_create(struct net_stack *st);
void tcp_pipe_put(struct tcp_pipe *p);
/* The room of both directions follows from the options of both ends. Both locked; b may be NULL. */
void tcp_caps_locked(struct tcp_sock *a, struct tcp_sock *b);
void tcp_flush_counters(struct net_stack *st, struct tcp_pipe *p);

/* tcp_tap.c: shows those who listen in on the loopback what segments c's connection would have had: its
 * handshake (c has just connected), its refusal, n bytes that t has just put into its pipe, its FIN or RST.
 * Call only if stack_tapped. */
void tcp_tap_open(const struct tcp_sock *c);
void tcp_tap_refused(const struct tcp_sock *c);
void tcp_tap_data(const struct tcp_sock *t, uint64_t n);
void tcp_tap_end(const struct tcp_sock *t, bool reset);

/* transport/dgram.c */
MUST_CHECK int dgram_create(struct net_sock **out);
void dgram_destroy(struct net_sock *sk);
void dgram_close(struct net_sock *sk);
int dgram_connect(struct net_sock *sk, const struct net_name *name);
int dgram_disconnect(struct net_sock *sk);
int dgram_shutdown(struct net_sock *sk, bool rd, bool wr);
ssize_t dgram_recv(struct net_sock *sk, struct net_io *io, struct net_rx *rx);
uint32_t dgram_ready(struct net_sock *sk);
/* Takes msg. */
void dgram_deliver(struct net_sock *sk, struct net_msg *msg);
struct net_msg *net_msg_new(uint32_t len);
struct net_msg *net_msg_copy(const struct net_msg *m);
/* An ICMP error about what sk sent: as msg (taken; may be NULL) in the error queue if sk wants that, and as
 * SO_ERROR. */
void dgram_error(struct net_sock *sk, struct net_msg *msg, int err, bool hard);
/* Linux's truesize: what a datagram of n bytes counts against SO_RCVBUF. */
uint32_t dgram_charge(uint32_t n);
struct dgram_dst {
	struct net_name to, from;
	uint32_t ifindex;
	struct route route;
	uint8_t ttl, tos;
};
/* Where a send goes: checks the destination, chooses the source. sk->lock not held. */
MUST_CHECK int dgram_route(struct net_sock *sk, const struct net_tx *tx, struct dgram_dst *out);

/* transport/multicast.c */
bool dgram_is_member(struct net_sock *sk, const struct net_addr *group, uint32_t ifindex);
/* Does anybody take part in the group on the interface? */
bool group_joined(struct net_stack *st, const struct net_addr *group, uint32_t ifindex);
void dgram_leave_all(struct net_sock *sk);

/* transport/udp.c, raw.c, ping.c */
ssize_t udp_send(struct net_sock *sk, struct net_io *io, const struct net_tx *tx);
/* What MSG_MORE and UDP_CORK held back goes. */
int udp_uncork(struct net_sock *sk);
ssize_t raw_send(struct net_sock *sk, struct net_io *io, const struct net_tx *tx);
ssize_t ping_send(struct net_sock *sk, struct net_io *io, const struct net_tx *tx);

/* ---- the wire: what the lower stack (links, IP, the TCP engine over segments) gives the sockets. A stack
 * without links beside lo has none (st->wire NULL), and then every route is local. All functions may be called
 * from any thread; none waits. ---- */
struct ip_packet;
struct icmp_error;
struct net_wire_ops {
	/* Sends p (p->src, dst, protocol, ttl, tos, data: the payload behind the IP header) by r; fragments as
	 * needed unless dont_fragment. No socket lock is held. 0, -EMSGSIZE, -ENOBUFS, -ENETDOWN, -EHOSTUNREACH
	 */
	int (*output)(struct net_stack *st, const struct route *r, const struct ip_packet *p,
		      bool dont_fragment);
	/* A multicast group's first member on an interface came, or its last one went. */
	void (*membership)(struct net_stack *st, const struct net_addr *group, uint32_t ifindex, bool joined);
	/* The rest is of TCP connections. t->sk.lock held, names and port are set: makes t->wire, sends SYN and
	 * sets NET_SYN_SENT. Later the engine calls tcp_wire_connected or tcp_wire_failed. */
	int (*connect)(struct tcp_sock *t, const struct route *r);
	/* send_lock held; recv_lock held. As tcp_send and tcp_recv of netstack.h: bytes, -EAGAIN, an error.
	 * Flags and urgent data are the engine's. */
	ssize_t (*send)(struct tcp_sock *t, struct net_io *io, const struct net_tx *tx);
	ssize_t (*recv)(struct tcp_sock *t, struct net_io *io, struct net_rx *rx);
	/* EV_*, exact; no lock held. Lets the engine know that a waiter for EV_OUT exists if it isn't among
	 * them. */
	uint32_t (*ready)(struct tcp_sock *t);
	/* send_lock held. wr: FIN follows the data. */
	void (*shutdown)(struct tcp_sock *t, bool rd, bool wr);
	/* send_lock and recv_lock held. The embedder is gone: FIN after the data and the rest of the life of
	 * the connection without a socket (abort: RST at once). The engine takes what it needs from t and keeps
	 * a reference (sk_get) as long as it needs t; t->wire stays until destroy. */
	void (*close)(struct tcp_sock *t, bool abort);
	/* The socket starts anew (connect AF_UNSPEC) or goes: t->wire is freed and set to NULL. */
	void (*destroy)(struct tcp_sock *t);
	/* t->sk.lock held */
	void (*info)(struct tcp_sock *t, struct net_tcp_info *out);
	int64_t (*inq)(struct tcp_sock *t);
	int64_t (*outq)(struct tcp_sock *t);
	bool (*at_mark)(struct tcp_sock *t);
	/* An ICMP error about one of t's segments; no lock held. */
	void (*error)(struct tcp_sock *t, const struct icmp_error *e);
	/* Options that act at once changed (TCP_NODELAY, TCP_CORK, SO_KEEPALIVE, TCP_KEEP*, buffers, ...); no
	 * lock. */
	void (*options_changed)(struct tcp_sock *t);
	/* Optional. t->sk.lock held: an error that waits elsewhere becomes SO_ERROR. */
	void (*pull_error)(struct tcp_sock *t);
	/* A NAT's: the stack goes. */
	void (*stop)(struct net_stack *st);
};
/* What the engine tells the sockets. No lock of the socket is held. */
/* SYN_SENT became ESTABLISHED. */
void tcp_wire_connected(struct tcp_sock *t);
/* The connection is over: err is what SO_ERROR will say (0: none), e.g. ECONNREFUSED, ECONNRESET, ETIMEDOUT.
 * State becomes NET_CLOSE, waiters wake. */
void tcp_wire_failed(struct tcp_sock *t, int err);
/* The other end has sent FIN (state as the RFC says, SHUT_RD_ is set), or the state changed otherwise. */
void tcp_wire_state(struct tcp_sock *t, enum net_state state, bool peer_finished);
/* Passive opens. The engine finds the listener (port_find_listener), keeps its own queue of half-open
 * connections and asks before it answers a SYN: is there room among those that wait for accept? */
bool tcp_listener_full(struct tcp_sock *l);
/* A child of l with the given ends, port joined and options inherited, not yet seen by accept; *out: one
 * reference, the creation's. The caller sets its wire. -ENOMEM */
MUST_CHECK int tcp_child_create(struct tcp_sock *l, const struct net_name *local, const struct net_name *remote,
				struct tcp_sock **out);
/* The handshake is over (state NET_ESTABLISHED is set here): takes the reference. -ECONNREFUSED when l stopped
 * listening, -EAGAIN when it is full: the reference stays the caller's. */
MUST_CHECK int tcp_child_ready(struct tcp_sock *l, struct tcp_sock *child);
/* The socket of an arriving segment, with a reference; NULL: none (then: port_find_listener). */
struct tcp_sock *tcp_find(struct net_stack *st, const struct net_name *local, const struct net_name *remote);
/* An ICMP error about a datagram that was sent from local to remote. */
struct icmp_error {
	uint8_t protocol, type, code;
	uint32_t info; /* path MTU */
	struct net_name local, remote, offender;
	const uint8_t *data; /* of the datagram, behind its transport header */
	uint32_t len;
};
void ip_error(struct net_stack *st, const struct icmp_error *e);

/* core/iface.c */
void stack_tell(struct net_stack *st, const struct net_event *e);
void stack_tell_if(struct net_stack *st, uint32_t index);
struct link *stack_link(struct net_stack *st, uint32_t index);
void stack_fill_link(struct net_stack *st, struct net_if_info *i);
void stack_if_went_up(struct net_stack *st, uint32_t index);
void stack_if_went_down(struct net_stack *st, uint32_t index);

/* core/tap.c: packet sockets that listen in */
static inline bool stack_tapped(const struct net_stack *st)
{
	return __atomic_load_n(&st->tap_count, __ATOMIC_ACQUIRE) != 0;
}
/* A frame on a link, from its link header on. */
void tap_frame(struct net_stack *st, uint32_t ifindex, const uint8_t *frame, uint32_t n, bool outgoing,
	       bool csum_unfinished);
/* A packet that stays on this machine: payload behind the IP header, which is made for those who look. */
struct ip_packet;
void tap_local(struct net_stack *st, const struct ip_packet *p);

/* ip/local.c: a packet that has arrived for this machine: payload behind the IP header. */
struct ip_packet {
	bool v6;
	uint8_t protocol, ttl, tos;
	struct net_addr src, dst;
	uint32_t ifindex;
	const uint8_t *data;
	uint32_t len;
};
void ip_deliver(struct net_stack *st, const struct ip_packet *p);
/* Sends by d's route: to this machine by ip_deliver, else by the wire. */
MUST_CHECK int ip_output(struct net_stack *st, const struct dgram_dst *d, uint8_t protocol, const uint8_t *data,
			 uint32_t len, bool dont_fragment);
/* Raw sockets that want packets of the protocol get copies. True if there was one. */
bool raw_input(struct net_stack *st, const struct ip_packet *p);
void ping_input(struct net_stack *st, const struct ip_packet *p);
/* An arrived datagram with its UDP header. */
void udp_input(struct net_stack *st, const struct ip_packet *p);
/* Answers echo requests, tells raw and ping sockets, and passes errors on. */
void icmp_input(struct net_stack *st, const struct ip_packet *p);
/* "Port unreachable" about a UDP datagram (its payload), from this machine to itself. */
void icmp_port_unreachable(struct net_stack *st, const struct ip_packet *about);
uint16_t net_checksum(uint32_t sum, const void *data, size_t n);
uint32_t net_pseudo_sum(const struct net_addr *src, const struct net_addr *dst, uint8_t protocol, uint32_t len);
