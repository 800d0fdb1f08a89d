/* nat.h: what nat.c, nat_tcp.c and nat_dgram.c share: the sentry's side of `--network nat`. It stands where the
 * wire stands (struct net_wire_ops), but below it are no segments: a TCP connection is a socket of the host
 * that sbx-net has connected and handed over, which is read and written here; datagrams go through sbx-net.
 *
 * Locks: a connection's lock (rank NET_CONN) holds what is waited for; nat->lock (NET_WIRE) the table of
 * connections, so that whoever finds one there can take a reference to its socket. */
#pragma once

#include "netstack/internal.h"
#include "netstack/link/pcap.h"
#include "netstack/nat/msg.h"

struct epoll_event;

#define NAT_CONNS   8192u
#define NAT_BOUNCE  (128u * 1024)
#define NAT_BUFFERS 4u
#define NAT_PARKED  32u

/* Tags of events; above them are ids of connections. */
enum {
	NAT_TAG_CTL,
	NAT_TAG_DGRAM,
	NAT_TAG_KICK,
	NAT_TAGS = 16,
};

/* Bytes that may pass; filled at `rate` a second, at most a tenth of a second's worth. */
struct nat_rate {
	uint64_t rate; /* [I] 0: no limit */
	uint64_t left; /* [lock] */
	uint64_t when; /* [lock] ns: filled up to then */
};

/* A published port's connection whose listener has no room. */
struct nat_parked {
	struct nat_msg m;
	int fd;
	uint64_t until;
};

struct nat {
	struct net_stack *st; /* [I] not a reference */
	uint32_t ifindex;
	int ctl, dgram, ep, kick; /* [I] */
	bool dead;		  /* [a] sbx-net is gone */
	struct mutex lock;	  /* rank NET_WIRE */
	struct nat_conn **slots;  /* [lock] NAT_CONNS */
	uint32_t next, used;	  /* [lock] where to look for a free one */
	uint32_t generation;	  /* [lock] */
	struct nat_rate in, out;
	bool throttled;			      /* [lock] some connection waits for its share */
	uint8_t *packet;		      /* [poller] a message with its payload */
	uint8_t *ip_packet;		      /* [poller] as it goes up */
	struct nat_parked parked[NAT_PARKED]; /* [poller] */
	uint32_t parked_count;
	uint8_t *bounce[NAT_BUFFERS]; /* made when first needed; [bit of taken] */
	uint32_t taken;		      /* [a] */
	struct pcap *pcap;
	struct net_nat_counters counters; /* [a] */
};
#define NAT_COUNT(n, field, by) ((void)__atomic_add_fetch(&(n)->counters.field, (by), __ATOMIC_RELAXED))

/* A TCP socket's t->wire. */
struct nat_conn {
	struct nat *n;
	struct tcp_sock *t; /* [n->lock] NULL: closed. No reference: the socket is there until it has closed */
	uint64_t id;	    /* [n->lock] 0: not in the table */
	int fd;		    /* [a] set once, under n->lock; -1: none */
	struct mutex lock;  /* rank NET_CONN */
	uint32_t armed;	    /* [lock] EPOLL* that are waited for */
	uint32_t starved;   /* [a] EV_* that wait for the rate's next share */
	bool local;	    /* [I] the resolver's: a UNIX socket, no options */
	bool finished;	    /* [recv_lock] the other end's FIN was seen */
	uint8_t *left;	    /* [recv_lock] what the host gave and the caller's memory could not take */
	uint32_t left_at, left_len;
	uint64_t sent, received; /* [a] */
	struct net_opts set;	 /* [lock] options as the host's socket has them */
};

static inline struct nat *nat_of(const struct net_stack *st)
{
	return st->nat;
}

/* nat.c */
extern const struct net_wire_ops nat_wire_ops;
/* A buffer of NAT_BOUNCE bytes for one call. NULL: no memory */
uint8_t *nat_bounce_get(struct nat *n, int *which);
void nat_bounce_put(struct nat *n, uint8_t *buf, int which);
/* How many of want bytes may pass now; they count as passed. */
uint64_t nat_rate_take(struct nat *n, struct nat_rate *r, uint64_t want);
void nat_rate_give_back(struct nat *n, struct nat_rate *r, uint64_t n_bytes);
bool nat_rate_empty(struct nat *n, struct nat_rate *r);
void nat_kick(struct nat *n);

/* nat_tcp.c */
int nat_connect(struct tcp_sock *t, const struct route *r);
ssize_t nat_send(struct tcp_sock *t, struct net_io *io, const struct net_tx *tx);
ssize_t nat_recv(struct tcp_sock *t, struct net_io *io, struct net_rx *rx);
uint32_t nat_ready(struct tcp_sock *t);
void nat_shutdown(struct tcp_sock *t, bool rd, bool wr);
void nat_close(struct tcp_sock *t, bool abort);
void nat_destroy(struct tcp_sock *t);
void nat_pull_error(struct tcp_sock *t);
int64_t nat_inq(struct tcp_sock *t);
int64_t nat_outq(struct tcp_sock *t);
bool nat_at_mark(struct tcp_sock *t);
/* The poller: an event of connection `id`; a message with the descriptor fd (taken; -1: none). */
void nat_conn_event(struct nat *n, uint64_t id, uint32_t events);
void nat_connected(struct nat *n, const struct nat_msg *m, int fd);
/* False: the listener has no room, fd is the caller's still. */
bool nat_accepted(struct nat *n, const struct nat_msg *m, int fd);
/* Everybody who waits for the rate's next share tries again. */
void nat_feed(struct nat *n);
/* sbx-net is gone: who waits for it fails. */
void nat_fail_pending(struct nat *n);
/* RST to whoever is at the other end. */
void nat_reset(int fd);

/* nat_opts.c */
void nat_configure(struct nat_conn *c);
void nat_options_changed(struct tcp_sock *t);
void nat_info(struct tcp_sock *t, struct net_tcp_info *out);

/* nat_dgram.c */
int nat_output(struct net_stack *st, const struct route *r, const struct ip_packet *p, bool dont_fragment);
void nat_dgram_input(struct nat *n, const struct nat_msg *m, const uint8_t *data, uint32_t len);
