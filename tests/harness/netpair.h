/* netpair.h: network stacks without a network: a clock that tests move, hosts (the lower half of a stack,
 * netstack/wire.h, with a small upper half of the test's own), and a cable between two of them that loses,
 * repeats, delays, reorders and damages packets; or a host alone, whose packets the test looks at and to which
 * it sends its own. */
#pragma once

#include "netstack/transport/tcp_conn.h"

struct nethost;

struct netuser {
	struct nethost *host;
	struct tcp_conn *conn;
	uint32_t events;      /* TCP_EV_* since the test cleared it */
	struct netuser *next; /* of a listener's */
};

struct netlisten {
	uint16_t port;
	struct tcp_cfg cfg;
	bool full, refuses;
	struct netuser *accepted; /* the newest first */
	uint32_t count;
	int refs;
};

struct netframe {
	struct list node;
	uint64_t at;
	uint32_t len;
	uint8_t data[];
};

/* What happens to packets on the way to a host. In units of 1/10000. */
struct nethazard {
	uint32_t lose, repeat, reorder, damage;
	uint64_t delay_ns, reorder_ns;
	uint64_t rate;	     /* bytes a second; 0: no limit */
	uint32_t queue;	     /* packets that may wait for the rate; 0: 1000 */
	uint32_t drop_above; /* frames with more bytes than this vanish; 0: none */
};

struct netsim {
	uint64_t now;
	uint64_t random;
	struct list hosts;
};

struct nethost {
	struct list node;
	struct netsim *sim;
	struct wire *w;
	struct link *l;
	struct nethost *peer; /* NULL: frames stay in out */
	struct net_addr addr4, addr6, ll6;
	struct netlisten listen[4];
	struct list in;	 /* frames on their way to it, by time */
	struct list out; /* frames it sent, for the test */
	struct nethazard hazard;
	uint64_t line_free; /* when the line to it is free again */
	uint32_t line_queue;
	uint64_t frames_lost;
	/* the last datagram and the last ICMP error that were delivered */
	struct ip_packet got;
	uint8_t got_data[65536];
	uint32_t got_count, error_count;
	struct icmp_error error;
};

void netsim_init(struct netsim *s, uint64_t seed);
/* number n: 10.0.0.n and fd00::n; link features LINK_* */
struct nethost *nethost_create(struct netsim *s, uint8_t n, uint32_t features, uint32_t mtu);
void netpair_connect(struct nethost *a, struct nethost *b);
/* Delivers frames and runs timers until done says so or ns have passed. True: done. */
bool netsim_run(struct netsim *s, uint64_t ns, bool (*done)(void *arg), void *arg);
void netsim_fini(struct netsim *s);
uint32_t netsim_random(struct netsim *s, uint32_t below);

struct netlisten *nethost_listen(struct nethost *h, uint16_t port);
/* v6: by the IPv6 addresses */
struct netuser *nethost_connect(struct nethost *h, struct nethost *to, uint16_t port, bool v6,
				const struct tcp_cfg *cfg);
void netuser_free(struct netuser *u);
/* The same bytes at the same places for everybody: byte i of a stream. */
uint8_t netuser_byte(uint64_t i);
/* Sends bytes [from, from+n) of the stream; how many went, or an error. */
ssize_t netuser_send(struct netuser *u, uint64_t from, uint32_t n, uint32_t flags);
/* Reads what is there and checks that it is the stream's from at on. Bytes, 0: end, -EAGAIN. */
ssize_t netuser_recv(struct netuser *u, uint64_t at);

/* ---- one host alone ---- */

/* A frame that a test sends: from host 2 (which needs not exist) to h. */
struct netseg {
	uint16_t sport, dport, window;
	uint32_t seq, ack;
	uint8_t flags, ecn;
	struct tcp_opts o;
	uint32_t len, urgent;
	bool v6, bad_checksum;
};
void nethost_inject(struct nethost *h, const struct netseg *s);
void nethost_inject_ip(struct nethost *h, uint8_t protocol, bool v6, const uint8_t *data, uint32_t n);
void nethost_frame(struct nethost *h, const uint8_t *frame, uint32_t n);
/* The next frame that it sent; NULL: none. kfree. */
struct netframe *nethost_sent(struct nethost *h);
/* The next TCP segment that it sent. False: none (others are skipped). */
struct netout {
	struct tcp_hdr h;
	struct tcp_opts o;
	uint32_t len;
	uint8_t tos;
	bool checksum_ok, df;
	uint8_t data[65536];
};
bool nethost_sent_tcp(struct nethost *h, struct netout *out);
/* Host h takes a's address for granted, without asking. */
void nethost_know(struct nethost *h, const struct net_addr *a);
