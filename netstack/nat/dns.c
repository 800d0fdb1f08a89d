/* dns.c: the resolver that the guest asks: passes each query on to one of the host's name servers, from a
 * socket and under an id of its own, and remembers which addresses were answered for which name. A query that
 * isn't whole, or whose name the policy doesn't allow, goes nowhere. */
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "netstack/nat/internal.h"
#include "platform/abi/errno.h"
#include "platform/base/clock.h"
#include "platform/base/random.h"
#include "platform/host/hostcall.h"

#define TRY_NS	   (3 * NSEC_PER_SEC)
#define STREAM_NS  (20 * NSEC_PER_SEC)
#define SERVFAIL   2
#define REFUSED	   5
#define STREAM_BUF (65536u + 2)

/* A query of a datagram on its way. */
struct query {
	struct source s; /* first */
	struct list node;
	struct nat_msg back; /* to whom the answer goes */
	struct dns_question q;
	uint64_t until;
	unsigned tries, server;
	uint8_t guest_id[2], id[2];
	size_t size;
	uint8_t text[DNS_MAX];
};

struct lesson {
	struct broker *b;
	const char *name;
};

static void learn(void *arg, const uint8_t addr[16], uint32_t ttl)
{
	struct lesson *l = arg;

	policy_learn(l->b, l->name, addr, ttl);
}

/* ---- datagrams ---- */

static void reply(struct broker *b, const struct nat_msg *back, const uint8_t *text, size_t n)
{
	say_dgram(b, back, text, n);
}

static void refuse(struct broker *b, const struct nat_msg *back, const uint8_t *text, size_t n,
		   const struct dns_question *q, unsigned rcode)
{
	uint8_t out[512];
	size_t size = dns_refuse(text, n, q, rcode, out, sizeof(out));

	if (size)
		reply(b, back, out, size);
}

static void query_end(struct broker *b, struct query *q)
{
	list_del(&q->node);
	b->query_count--;
	source_end(b, &q->s);
}

static void query_ready(struct broker *b, struct source *s, uint32_t events)
{
	struct query *q = container_of(s, struct query, s);
	struct lesson l = {b, q->q.name};
	ssize_t n;

	(void)events;
	while ((n = hc_recvfrom(s->fd, b->buf, sizeof(b->buf), MSG_DONTWAIT, NULL, NULL)) >= 0) {
		if (n < 2 || memcmp(b->buf, q->id, 2) != 0 ||
		    dns_parse_answer(b->buf, (size_t)n, &q->q, learn, &l) < 0)
			continue;
		memcpy(b->buf, q->guest_id, 2);
		reply(b, &q->back, b->buf, (size_t)n);
		query_end(b, q);
		return;
	}
	if (n != -EAGAIN && n != -EINTR)
		q->until = b->now; /* nobody there: the next one */
}

/* Asks the next name server. -errno: none is left. */
static int ask(struct broker *b, struct query *q)
{
	while (q->tries < 2 * b->server_count) {
		const struct endpoint *server = &b->servers[q->server++ % b->server_count];
		struct sockaddr_storage sa;
		unsigned size = sockaddr_of(server->addr, server->port, &sa);
		int ret;

		q->tries++;
		if (q->s.fd >= 0)
			(void)hc_close(q->s.fd);
		random_bytes(q->id, 2);
		memcpy(q->text, q->id, 2);
		q->s.fd = hc_socket(sa.ss_family, SOCK_DGRAM | SOCK_NONBLOCK, 0);
		ret = q->s.fd < 0 ? q->s.fd : hc_connect(q->s.fd, (struct sockaddr *)&sa, size);
		if (ret == 0)
			ret = source_add(b, &q->s, EPOLLIN);
		if (ret == 0 &&
		    hc_sendto(q->s.fd, q->text, q->size, MSG_DONTWAIT, NULL, 0) == (ssize_t)q->size) {
			q->until = clock_monotonic_ns() + TRY_NS;
			return 0;
		}
	}
	return -EHOSTUNREACH;
}

void dns_request(struct broker *b, const struct nat_msg *m, const uint8_t *data, size_t n)
{
	struct nat_msg back = {
		.type = NAT_DGRAM, .protocol = IPPROTO_UDP, .sport = m->dport, .dport = m->sport};
	struct dns_question question;
	struct query *q;
	unsigned rcode;

	memcpy(back.src, m->dst, 16);
	memcpy(back.dst, m->src, 16);
	if (dns_parse_query(data, n, &question, &rcode) < 0) {
		if (rcode)
			refuse(b, &back, data, n, &question, rcode);
		return;
	}
	if (!policy_allows_name(b, question.name)) {
		refuse(b, &back, data, n, &question, REFUSED);
		return;
	}
	q = b->server_count && b->query_count < QUERIES_MAX ? calloc(1, sizeof(*q)) : NULL;
	if (!q) {
		refuse(b, &back, data, n, &question, SERVFAIL);
		return;
	}
	q->s = (struct source){.fd = -1, .ready = query_ready};
	q->back = back;
	q->q = question;
	q->size = n;
	memcpy(q->text, data, n);
	memcpy(q->guest_id, data, 2);
	list_add_tail(&b->queries, &q->node);
	b->query_count++;
	if (ask(b, q) < 0) {
		refuse(b, &back, data, n, &question, SERVFAIL);
		query_end(b, q);
	}
}

/* ---- streams: a query has its length in front (RFC 7766); one at a time ---- */

struct stream {
	struct source s; /* first: our end of the guest's */
	struct list node;
	struct up {
		struct source s; /* first */
		struct stream *of;
	} * up; /* to a name server; NULL: none */
	struct dns_question q;
	uint8_t guest_id[2];
	uint64_t until;
	size_t have, sent; /* of a query: arrived, passed on */
	size_t got;	   /* of an answer */
	uint8_t in[DNS_MAX + 2], out[STREAM_BUF];
};

static size_t announced(const uint8_t *p)
{
	return (size_t)p[0] << 8 | p[1];
}

static void up_end(struct broker *b, struct stream *st)
{
	if (st->up) {
		st->up->of = NULL;
		source_end(b, &st->up->s);
	}
	st->up = NULL;
}

static void stream_end(struct broker *b, struct stream *st)
{
	up_end(b, st);
	list_del(&st->node);
	b->stream_count--;
	source_end(b, &st->s);
}

/* To the guest; it has room, since it waits for this alone. False: it is gone. */
static bool to_guest(struct stream *st, const uint8_t *text, size_t n)
{
	return hc_sendto(st->s.fd, text, n, MSG_DONTWAIT, NULL, 0) == (ssize_t)n;
}

static bool refuse_stream(struct stream *st, unsigned rcode)
{
	size_t n = dns_refuse(st->in + 2, announced(st->in), &st->q, rcode, st->out + 2, 512);

	st->out[0] = (uint8_t)(n >> 8);
	st->out[1] = (uint8_t)n;
	st->have = 0;
	return n && to_guest(st, st->out, n + 2);
}

static void up_answered(struct broker *b, struct stream *st)
{
	struct lesson l = {b, st->q.name};
	size_t n = announced(st->out);
	bool good = n >= 2 && memcmp(st->out + 2, st->in + 2, 2) == 0 &&
		    dns_parse_answer(st->out + 2, n, &st->q, learn, &l) == 0;

	up_end(b, st);
	source_want(b, &st->s, EPOLLIN);
	memcpy(st->out + 2, st->guest_id, 2);
	memcpy(st->in + 2, st->guest_id, 2);
	if (good ? !to_guest(st, st->out, n + 2) : !refuse_stream(st, SERVFAIL))
		stream_end(b, st);
	st->have = 0;
}

static void up_ready(struct broker *b, struct source *s, uint32_t events)
{
	struct up *up = container_of(s, struct up, s);
	struct stream *st = up->of;
	size_t want = announced(st->in) + 2;
	ssize_t n;

	if (events & EPOLLOUT && st->sent < want) {
		n = hc_sendto(s->fd, st->in + st->sent, want - st->sent, MSG_DONTWAIT, NULL, 0);
		if (n > 0)
			st->sent += (size_t)n;
		if (st->sent == want)
			source_want(b, s, EPOLLIN);
		else if (n < 0 && n != -EAGAIN)
			goto failed;
		return;
	}
	n = hc_recvfrom(s->fd, st->out + st->got, sizeof(st->out) - st->got, MSG_DONTWAIT, NULL, NULL);
	if (n == -EAGAIN)
		return;
	if (n <= 0)
		goto failed;
	st->got += (size_t)n;
	if (st->got >= 2 && st->got >= announced(st->out) + 2)
		up_answered(b, st);
	return;
failed:
	up_end(b, st);
	source_want(b, &st->s, EPOLLIN);
	memcpy(st->in + 2, st->guest_id, 2);
	if (!refuse_stream(st, SERVFAIL))
		stream_end(b, st);
}

/* The query in st->in goes to a name server. */
static bool pass_on(struct broker *b, struct stream *st)
{
	const struct endpoint *server;
	struct sockaddr_storage sa;
	struct up *up = b->server_count ? calloc(1, sizeof(*up)) : NULL;
	unsigned size;
	int ret;

	if (!up)
		return false;
	server = &b->servers[b->next_server++ % b->server_count];
	size = sockaddr_of(server->addr, server->port, &sa);
	up->s = (struct source){.fd = hc_socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0),
				.ready = up_ready};
	up->of = st;
	ret = up->s.fd < 0 ? up->s.fd : hc_connect(up->s.fd, (struct sockaddr *)&sa, size);
	if (ret == 0 || ret == -EINPROGRESS)
		ret = source_add(b, &up->s, EPOLLOUT);
	if (ret < 0) {
		if (up->s.fd >= 0)
			(void)hc_close(up->s.fd);
		free(up);
		return false;
	}
	st->up = up;
	st->sent = st->got = 0;
	memcpy(st->guest_id, st->in + 2, 2);
	random_bytes(st->in + 2, 2);
	source_want(b, &st->s, 0); /* one at a time */
	return true;
}

static void stream_ready(struct broker *b, struct source *s, uint32_t events)
{
	struct stream *st = container_of(s, struct stream, s);
	size_t want;
	unsigned rcode;
	ssize_t n;
	bool ok;

	if (st->up) {
		if (events & EPOLLHUP)
			stream_end(b, st);
		return;
	}
	want = st->have < 2 ? 2 : announced(st->in) + 2;
	n = hc_recvfrom(s->fd, st->in + st->have, want - st->have, MSG_DONTWAIT, NULL, NULL);
	if (n == -EAGAIN)
		return;
	if (n <= 0) {
		stream_end(b, st);
		return;
	}
	st->have += (size_t)n;
	st->until = b->now + STREAM_NS;
	if (st->have < 2 || st->have < announced(st->in) + 2) {
		if (st->have >= 2 && announced(st->in) > DNS_MAX)
			stream_end(b, st);
		return;
	}
	if (dns_parse_query(st->in + 2, st->have - 2, &st->q, &rcode) < 0)
		ok = rcode && refuse_stream(st, rcode);
	else if (!policy_allows_name(b, st->q.name))
		ok = refuse_stream(st, REFUSED);
	else
		ok = pass_on(b, st) || refuse_stream(st, SERVFAIL);
	if (!ok)
		stream_end(b, st);
}

int dns_stream(struct broker *b, int *fd)
{
	struct stream *st = b->stream_count < STREAMS_MAX ? calloc(1, sizeof(*st)) : NULL;
	int fds[2], ret;

	if (!st)
		return ECONNREFUSED;
	ret = hc_socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds);
	if (ret == 0) {
		st->s = (struct source){.fd = fds[0], .ready = stream_ready};
		ret = source_add(b, &st->s, EPOLLIN);
		if (ret < 0) {
			(void)hc_close(fds[0]);
			(void)hc_close(fds[1]);
		}
	}
	if (ret < 0) {
		free(st);
		return -ret;
	}
	st->until = clock_monotonic_ns() + STREAM_NS;
	list_add_tail(&b->streams, &st->node);
	b->stream_count++;
	*fd = fds[1];
	return 0;
}

bool dns_expire(struct broker *b)
{
	struct query *q, *qtmp;
	struct stream *st, *stmp;

	list_for_each_safe (q, qtmp, &b->queries, node) {
		if (q->until > b->now || ask(b, q) == 0)
			continue;
		memcpy(q->text, q->guest_id, 2);
		refuse(b, &q->back, q->text, q->size, &q->q, SERVFAIL);
		query_end(b, q);
	}
	list_for_each_safe (st, stmp, &b->streams, node)
		if (st->until < b->now)
			stream_end(b, st);
	return b->query_count || b->stream_count;
}
