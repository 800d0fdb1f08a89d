/* dgram.c: UDP and ICMP echoes: a connected socket of the host for each flow of the guest, so that only the
 * other end's answers come back and its errors are told. The sockets stay here: one that takes datagrams would
 * also send them to anybody. The least recently used flow goes when there are too many. */
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include <linux/errqueue.h>

#include "netstack/nat/internal.h"
#include "platform/abi/errno.h"
#include "platform/base/clock.h"
#include "platform/base/hash.h"
#include "platform/base/log.h"
#include "platform/host/hostcall.h"

#define IDLE_NS	     (60 * NSEC_PER_SEC)
#define IDLE_ECHO_NS (15 * NSEC_PER_SEC)
#define PEER_NS	     (180 * NSEC_PER_SEC)
#define BATCH	     32
#define ECHO_HEAD    8u

struct key {
	uint8_t src[16], dst[16];
	uint16_t sport, dport;
	uint8_t protocol, unused[3];
};

struct flow {
	struct source s; /* first */
	struct list lru, node;
	struct key key;
	uint64_t used;
	uint8_t ttl;
};

struct peer {
	uint8_t addr[16]; /* as the guest sees it */
	uint16_t port;
	struct endpoint real;
	uint64_t seen; /* 0: free */
};

/* A UDP port of the host that leads to one of the guest's. */
struct published {
	struct source s; /* first */
	struct list node;
	uint16_t guest_port;
	bool v6;
	unsigned next_peer;
	struct peer peers[PEERS_MAX];
};

/* ---- flows ---- */

static struct key key_of(const struct nat_msg *m)
{
	struct key k = {.sport = m->sport, .dport = m->dport, .protocol = m->protocol};

	memcpy(k.src, m->src, 16);
	memcpy(k.dst, m->dst, 16);
	return k;
}

static struct list *bucket_of(struct broker *b, const struct key *k)
{
	return &b->buckets[hash_bytes(b->hash_key, k, sizeof(*k)) % FLOW_BUCKETS];
}

static struct flow *find(struct broker *b, const struct key *k)
{
	struct flow *f;

	list_for_each (f, bucket_of(b, k), node)
		if (memcmp(&f->key, k, sizeof(*k)) == 0)
			return f;
	return NULL;
}

static void end(struct broker *b, struct flow *f)
{
	list_del(&f->lru);
	list_del(&f->node);
	b->flow_count--;
	source_end(b, &f->s);
}

bool dgram_expire(struct broker *b)
{
	struct flow *f, *tmp;

	list_for_each_safe (f, tmp, &b->flows, lru) {
		uint64_t idle = f->key.protocol == IPPROTO_UDP ? IDLE_NS : IDLE_ECHO_NS;

		if (b->now < f->used + idle)
			break;
		end(b, f);
	}
	return b->flow_count;
}

static void touch(struct broker *b, struct flow *f)
{
	f->used = clock_monotonic_ns();
	list_del(&f->lru);
	list_add_tail(&b->flows, &f->lru);
}

/* A message to the guest about what came for f. */
static struct nat_msg inward(const struct flow *f)
{
	struct nat_msg m = {.type = NAT_DGRAM, .protocol = f->key.protocol};

	memcpy(m.src, f->key.dst, 16);
	memcpy(m.dst, f->key.src, 16);
	m.sport = f->key.dport;
	m.dport = f->key.sport;
	return m;
}

static void told(struct broker *b, struct flow *f, const struct sock_extended_err *e,
		 const struct endpoint *from)
{
	struct nat_msg m = {.type = NAT_ERROR,
			    .protocol = f->key.protocol,
			    .sport = f->key.sport,
			    .dport = f->key.dport,
			    .icmp_type = e->ee_type,
			    .icmp_code = e->ee_code,
			    .info = e->ee_info};

	memcpy(m.src, f->key.src, 16);
	memcpy(m.dst, f->key.dst, 16);
	addr_inward(b, from->addr, m.from);
	say_dgram(b, &m, NULL, 0);
}

/* ICMP errors that the host got about what we sent. */
static void drain_errors(struct broker *b, struct flow *f)
{
	char control[512], data[64];
	unsigned size = sizeof(int);
	int pending;

	for (int i = 0; i < BATCH; i++) {
		struct iovec iov = {data, sizeof(data)};
		struct msghdr h = {.msg_iov = &iov,
				   .msg_iovlen = 1,
				   .msg_control = control,
				   .msg_controllen = sizeof(control)};
		struct {
			struct sock_extended_err e;
			struct sockaddr_storage from;
		} what;

		if (hc_recvmsg(f->s.fd, &h, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
			break;
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c; c = CMSG_NXTHDR(&h, c)) {
			struct endpoint from = {.port = 0};
			size_t n = MIN((size_t)c->cmsg_len - CMSG_LEN(0), sizeof(what));

			memset(&what, 0, sizeof(what));
			memcpy(&what, CMSG_DATA(c), n);
			if (what.e.ee_origin != SO_EE_ORIGIN_ICMP && what.e.ee_origin != SO_EE_ORIGIN_ICMP6)
				continue;
			if (!endpoint_of(&what.from, &from))
				memcpy(from.addr, f->key.dst, 16);
			told(b, f, &what.e, &from);
		}
	}
	(void)hc_getsockopt(f->s.fd, SOL_SOCKET, SO_ERROR, &pending, &size); /* it was among them */
}

static void flow_ready(struct broker *b, struct source *s, uint32_t events)
{
	struct flow *f = container_of(s, struct flow, s);
	struct nat_msg m = inward(f);

	if (events & EPOLLERR)
		drain_errors(b, f);
	for (int i = 0; i < BATCH; i++) {
		ssize_t n = hc_recvfrom(s->fd, b->buf, NAT_DGRAM_MAX, MSG_DONTWAIT, NULL, NULL);

		if (n < 0)
			break;
		touch(b, f);
		say_dgram(b, &m, b->buf, (size_t)n);
	}
}

static int open_socket(const struct nat_msg *m, bool v4)
{
	int protocol = m->protocol == IPPROTO_UDP ? 0 : m->protocol, one = 1;
	int fd = hc_socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK, protocol);

	if (fd >= 0)
		(void)hc_setsockopt(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_RECVERR : IPV6_RECVERR, &one,
				    sizeof(one));
	return fd;
}

static int flow_open(struct broker *b, const struct nat_msg *m, const uint8_t to[16], struct flow **out)
{
	struct sockaddr_storage sa;
	unsigned size = sockaddr_of(to, m->dport, &sa);
	struct flow *f = calloc(1, sizeof(*f));
	int ret;

	if (!f)
		return -ENOMEM;
	if (b->flow_count >= FLOWS_MAX)
		end(b, list_first(&b->flows, struct flow, lru));
	f->key = key_of(m);
	f->s.ready = flow_ready;
	f->s.fd = open_socket(m, sa.ss_family == AF_INET);
	ret = f->s.fd < 0 ? f->s.fd : hc_connect(f->s.fd, (struct sockaddr *)&sa, size);
	if (ret == 0)
		ret = source_add(b, &f->s, EPOLLIN);
	if (ret < 0) {
		if (f->s.fd >= 0)
			(void)hc_close(f->s.fd);
		free(f);
		return ret;
	}
	list_add_tail(&b->flows, &f->lru);
	list_add_tail(bucket_of(b, &f->key), &f->node);
	b->flow_count++;
	*out = f;
	return 0;
}

/* Why nothing can go there, as the network would say it. */
static void cannot(struct broker *b, const struct nat_msg *m, int err)
{
	bool v4 = addr_is4(m->dst);

	if ((err == -EACCES || err == -EPERM) && m->protocol != IPPROTO_UDP && !b->told_ping) {
		b->told_ping = true;
		log_warn("ping is refused: the host's net.ipv4.ping_group_range leaves this user out");
	}
	switch (err) {
	case -EACCES:
	case -EPERM:
		say_prohibited(b, m);
		break;
	case -EHOSTUNREACH:
		say_error(b, m, v4 ? 3 : 1, v4 ? 1 : 3);
		break;
	case -ENOMEM:
	case -EMFILE:
	case -ENFILE:
	case -ENOBUFS:
		break; /* it is lost */
	default:
		say_error(b, m, v4 ? 3 : 1, 0);
	}
}

static void set_ttl(struct flow *f, const struct nat_msg *m)
{
	bool v4 = addr_is4(m->dst);
	int ttl = m->ttl;

	if (!ttl || ttl == f->ttl || (!f->ttl && ttl == 64))
		return;
	f->ttl = m->ttl;
	(void)hc_setsockopt(f->s.fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_TTL : IPV6_UNICAST_HOPS, &ttl,
			    sizeof(ttl));
}

/* ---- published ports ---- */

static void published_ready(struct broker *b, struct source *s, uint32_t events)
{
	struct published *p = container_of(s, struct published, s);

	(void)events;
	for (int i = 0; i < BATCH; i++) {
		struct nat_msg m = {.type = NAT_DGRAM, .protocol = IPPROTO_UDP, .dport = p->guest_port};
		struct sockaddr_storage sa;
		unsigned size = sizeof(sa), at = PEERS_MAX;
		struct endpoint from;
		ssize_t n =
			hc_recvfrom(s->fd, b->buf, NAT_DGRAM_MAX, MSG_DONTWAIT, (struct sockaddr *)&sa, &size);

		if (n < 0)
			return;
		if (!endpoint_of(&sa, &from))
			continue;
		addr_inward(b, from.addr, m.src);
		m.sport = from.port;
		memcpy(m.dst, p->v6 ? b->guest6 : b->guest4, 16);
		for (unsigned k = 0; k < PEERS_MAX && at == PEERS_MAX; k++)
			if (p->peers[k].port == m.sport && addr_eq(p->peers[k].addr, m.src))
				at = k;
		if (at == PEERS_MAX) {
			at = p->next_peer;
			p->next_peer = (p->next_peer + 1) % PEERS_MAX;
		}
		p->peers[at] = (struct peer){.port = m.sport, .real = from, .seen = b->now};
		memcpy(p->peers[at].addr, m.src, 16);
		say_dgram(b, &m, b->buf, (size_t)n);
	}
}

/* An answer of a published port to somebody who asked lately. */
static bool answer_published(struct broker *b, const struct nat_msg *m, const uint8_t *data, size_t n)
{
	struct published *p;

	list_for_each (p, &b->ports, node) {
		if (p->guest_port != m->sport || p->v6 == addr_is4(m->dst))
			continue;
		for (unsigned i = 0; i < PEERS_MAX; i++) {
			struct sockaddr_storage sa;
			unsigned size;

			if (!p->peers[i].seen || p->peers[i].port != m->dport ||
			    !addr_eq(p->peers[i].addr, m->dst) || b->now > p->peers[i].seen + PEER_NS)
				continue;
			size = sockaddr_of(p->peers[i].real.addr, p->peers[i].real.port, &sa);
			(void)!hc_sendto(p->s.fd, data, n, MSG_DONTWAIT, (struct sockaddr *)&sa, size);
			return true;
		}
	}
	return false;
}

int dgram_publish(struct broker *b, int fd, uint16_t guest_port)
{
	struct published *p = calloc(1, sizeof(*p));
	struct sockaddr_storage sa;
	unsigned size = sizeof(sa);

	if (!p)
		return -ENOMEM;
	p->s = (struct source){.fd = fd, .ready = published_ready};
	p->guest_port = guest_port;
	p->v6 = hc_getsockname(fd, (struct sockaddr *)&sa, &size) == 0 && sa.ss_family == AF_INET6;
	list_add_tail(&b->ports, &p->node);
	return source_add(b, &p->s, EPOLLIN);
}

/* ---- from the guest ---- */

static bool is_from_guest(const struct broker *b, const struct nat_msg *m, size_t n)
{
	bool v4 = addr_is4(m->dst);

	if (!addr_eq(m->src, v4 ? b->guest4 : b->guest6))
		return false;
	if (m->protocol == IPPROTO_UDP)
		return m->sport && m->dport;
	return m->protocol == (v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6) && n >= ECHO_HEAD && !m->dport;
}

void dgram_request(struct broker *b, const struct nat_msg *m, const uint8_t *data, size_t n)
{
	struct key k = key_of(m);
	struct flow *f;
	uint8_t to[16];
	int ret = 0;

	if (!is_from_guest(b, m, n))
		return;
	if (addr_is_resolver(b, m->dst)) {
		if (m->protocol == IPPROTO_UDP && m->dport == DNS_PORT)
			dns_request(b, m, data, n);
		else
			say_error(b, m, addr_is4(m->dst) ? 3 : 1, addr_is4(m->dst) ? 3 : 4);
		return;
	}
	if (m->protocol == IPPROTO_UDP && answer_published(b, m, data, n))
		return;
	f = find(b, &k);
	if (!f) {
		addr_outward(b, m->dst, to);
		ret = policy_allows(b, to, m->dport) ? flow_open(b, m, to, &f) : -EACCES;
		if (ret < 0) {
			cannot(b, m,
			       ret == -EACCES && m->protocol != IPPROTO_UDP && !policy_allows(b, to, m->dport)
				       ? -EHOSTUNREACH
				       : ret);
			return;
		}
	}
	touch(b, f);
	set_ttl(f, m);
	if (hc_sendto(f->s.fd, data, n, MSG_DONTWAIT, NULL, 0) == -ECONNREFUSED) {
		drain_errors(b, f); /* about an earlier one */
		(void)!hc_sendto(f->s.fd, data, n, MSG_DONTWAIT, NULL, 0);
	}
}
