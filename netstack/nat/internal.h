/* internal.h of sbx-net: the process that opens sockets of the host for one sandbox's sentry, as the policy
 * that it was started with allows. One thread, one loop. It believes nothing that the sentry says: every
 * message is checked as a hostile program's, and the most it can ask for is what the policy grants. */
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include "netstack/nat/msg.h"
#include "netstack/nat/rule.h"
#include "platform/base/attr.h"
#include "platform/base/list.h"

#define SERVERS_MAX   3
#define RESOLVERS_MAX 3
#define PENDING_MAX   1024u /* connections on their way */
#define FLOWS_MAX     1024u /* UDP and echo */
#define FLOW_BUCKETS  1024u
#define QUERIES_MAX   256u /* to the name servers */
#define STREAMS_MAX   32u  /* of DNS over TCP */
#define NAMES_MAX     4096u
#define PEERS_MAX     256u /* of a published UDP port */
#define DNS_MAX	      4096u
#define DNS_PORT      53

struct broker;

/* A descriptor that is waited for. Embedded; freed by source_end's caller through b->gone. */
struct source {
	int fd;
	bool ended;
	void (*ready)(struct broker *b, struct source *s, uint32_t events);
	struct source *next_gone;
};

struct endpoint {
	uint8_t addr[16];
	uint16_t port;
};

struct known_name {
	uint8_t addr[16];
	uint64_t expires; /* ns; 0: free */
	char name[NAT_NAME_MAX];
};

struct broker {
	int ctl_fd, dgram_fd, ep;
	struct source ctl, dgram;
	struct source *gone; /* to be freed once this round of events is through */
	uint64_t now;	     /* ns, of this round */
	/* as options say */
	uint8_t guest4[16], guest6[16], gateway4[16], gateway6[16];
	uint8_t resolvers[RESOLVERS_MAX][16]; /* what the guest asks: us */
	unsigned resolver_count;
	struct endpoint servers[SERVERS_MAX]; /* whom we ask */
	unsigned server_count;
	struct nat_rule *allow, *deny;
	unsigned allow_count, deny_count;
	/* tables, each bounded */
	struct known_name *names; /* NAMES_MAX */
	unsigned next_name;
	struct list pending; /* struct pending, tcp.c */
	unsigned pending_count;
	struct list flows, buckets[FLOW_BUCKETS]; /* struct flow, dgram.c; flows: least recently used first */
	unsigned flow_count;
	uint64_t hash_key;
	struct list ports; /* struct published of UDP */
	struct list queries, streams;
	unsigned query_count, stream_count, next_server;
	bool told_ping;
	uint8_t buf[sizeof(struct nat_msg) + 65536];
};

/* server.c */
MUST_CHECK int broker_init(struct broker *b);
/* Until the sentry is gone. */
void broker_run(struct broker *b);
MUST_CHECK int source_add(struct broker *b, struct source *s, uint32_t events);
void source_want(struct broker *b, struct source *s, uint32_t events);
/* Closes its descriptor; the memory that begins with s is freed later. */
void source_end(struct broker *b, struct source *s);
/* To the sentry; fd (-1: none) stays ours. A sentry that takes nothing for ten seconds ends us. */
void say(struct broker *b, const struct nat_msg *m, int fd);
void say_dgram(struct broker *b, const struct nat_msg *m, const void *data, size_t n);
/* As an ICMP error about the datagram that m describes. */
void say_error(struct broker *b, const struct nat_msg *m, unsigned type, unsigned code);
/* "administratively prohibited" */
void say_prohibited(struct broker *b, const struct nat_msg *m);

/* addr.c */
bool addr_is4(const uint8_t a[16]);
bool addr_eq(const uint8_t a[16], const uint8_t b[16]);
bool addr_is_resolver(const struct broker *b, const uint8_t a[16]);
/* What the guest calls by one address is another here: the gateway is this host's loopback. */
void addr_outward(const struct broker *b, const uint8_t in[16], uint8_t out[16]);
void addr_inward(const struct broker *b, const uint8_t in[16], uint8_t out[16]);
unsigned sockaddr_of(const uint8_t addr[16], uint16_t port, struct sockaddr_storage *out);
/* False: neither of the two families. */
bool endpoint_of(const struct sockaddr_storage *sa, struct endpoint *out);

/* policy.c: addr is an outward one */
bool policy_allows(struct broker *b, const uint8_t addr[16], uint16_t port);
/* May the guest know what this name stands for? */
bool policy_allows_name(const struct broker *b, const char *name);
/* The name servers said that name has addr, for ttl seconds. */
void policy_learn(struct broker *b, const char *name, const uint8_t addr[16], uint32_t ttl);

/* tcp.c */
void tcp_request(struct broker *b, const struct nat_msg *m);
void tcp_cancel(struct broker *b, uint64_t id);
MUST_CHECK int tcp_publish(struct broker *b, int fd, uint16_t guest_port);

/* dgram.c */
void dgram_request(struct broker *b, const struct nat_msg *m, const uint8_t *data, size_t n);
MUST_CHECK int dgram_publish(struct broker *b, int fd, uint16_t guest_port);
/* Ends what is idle; true while something is left to watch. */
bool dgram_expire(struct broker *b);

/* dns_msg.c: messages of RFC 1035, no I/O */
#define DNS_TYPE_A    1
#define DNS_TYPE_AAAA 28
struct dns_question {
	char name[NAT_NAME_MAX]; /* lower case, without the last dot; "": the root */
	uint16_t type, class;
	size_t end; /* bytes of the message up to here */
};
/* A query of the guest. 0; -EINVAL: it isn't one, *rcode says how to answer (0: not at all). */
MUST_CHECK int dns_parse_query(const uint8_t *m, size_t n, struct dns_question *q, unsigned *rcode);
/* An answer to q: is it whole, and about q? */
MUST_CHECK int dns_parse_answer(const uint8_t *m, size_t n, const struct dns_question *q,
				void (*address)(void *arg, const uint8_t addr[16], uint32_t ttl), void *arg);
/* The query (at least its header) becomes an answer of no records. Bytes */
size_t dns_refuse(const uint8_t *query, size_t n, const struct dns_question *q, unsigned rcode, uint8_t *out,
		  size_t size);

/* dns.c */
void dns_request(struct broker *b, const struct nat_msg *m, const uint8_t *data, size_t n);
/* A connection to the resolver: *fd is the sentry's end. 0 or a positive errno */
int dns_stream(struct broker *b, int *fd);
bool dns_expire(struct broker *b);
