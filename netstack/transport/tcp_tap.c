/* tcp_tap.c: the segments that a connection within this machine would have been, for packet sockets that listen
 * in on the loopback: nobody else sees them, and nothing depends on them. What a ring's byte n is, is sequence
 * number n + 1 behind an initial one. */
#include "netstack/internal.h"
#include "netstack/proto/tcp.h"
#include "platform/base/bytes.h"
#include "platform/base/hash.h"

#define HEAD	20u
#define SYN_LEN 24u		   /* with its MSS */
#define MSS	(65535u - 20 - 32) /* as Linux cuts on lo */
#define WINDOW	65535u

static uint32_t isn_of(const struct net_stack *st, const void *pipe)
{
	return (uint32_t)hash_bytes(st->key, &pipe, sizeof(pipe));
}

/* The next number of what was put into a pipe. */
static uint32_t next_of(const struct net_stack *st, const struct tcp_pipe *p)
{
	if (!p)
		return 0;
	return isn_of(st, p) + 1 + (uint32_t)__atomic_load_n(&p->tail, __ATOMIC_RELAXED) +
	       __atomic_load_n(&p->fin, __ATOMIC_RELAXED);
}

struct seg {
	const struct net_name *from, *to;
	uint32_t seq, ack;
	uint8_t flags;
	const struct tcp_pipe *p; /* of data: len bytes at at */
	uint64_t at;
	uint32_t len;
};

static void show(struct net_stack *st, const struct seg *s)
{
	uint32_t head = s->flags & TCP_SYN ? SYN_LEN : HEAD;
	uint8_t *b = kmalloc(head + s->len);
	struct ip_packet ip = {.v6 = !net_addr_is4(&s->to->addr),
			       .protocol = PROTO_TCP,
			       .ttl = 64,
			       .src = s->from->addr,
			       .dst = s->to->addr,
			       .ifindex = NET_LO_INDEX,
			       .data = b,
			       .len = head + s->len};
	uint16_t sum;

	if (!b)
		return;
	put_be16(b, s->from->port);
	put_be16(b + 2, s->to->port);
	put_be32(b + 4, s->seq);
	put_be32(b + 8, s->flags & TCP_ACK ? s->ack : 0);
	b[12] = (uint8_t)(head / 4 << 4);
	b[13] = s->flags;
	put_be16(b + 14, WINDOW);
	if (s->flags & TCP_SYN)
		put_be32(b + HEAD, 2u << 24 | 4u << 16 | MSS);
	for (uint32_t n = 0; n < s->len; n++)
		b[head + n] = s->p->buf[(s->at + n) & (s->p->size - 1)];
	sum = net_checksum(net_pseudo_sum(&ip.src, &ip.dst, PROTO_TCP, ip.len), b, ip.len);
	put_be16(b + 16, sum);
	tap_local(st, &ip);
	kfree(b);
}

void tcp_tap_open(const struct tcp_sock *c)
{
	struct net_stack *st = c->sk.st;
	uint32_t ours = isn_of(st, c->out), theirs = isn_of(st, c->in);
	struct seg s = {.from = &c->sk.local, .to = &c->sk.remote, .seq = ours, .flags = TCP_SYN};

	show(st, &s);
	show(st,
	     &(struct seg){
		     .from = s.to, .to = s.from, .seq = theirs, .ack = ours + 1, .flags = TCP_SYN | TCP_ACK});
	s.seq++;
	s.ack = theirs + 1;
	s.flags = TCP_ACK;
	show(st, &s);
}

void tcp_tap_refused(const struct tcp_sock *c)
{
	uint32_t isn = isn_of(c->sk.st, c);
	struct seg s = {.from = &c->sk.local, .to = &c->sk.remote, .seq = isn, .flags = TCP_SYN};

	show(c->sk.st, &s);
	show(c->sk.st, &(struct seg){.from = s.to, .to = s.from, .ack = isn + 1, .flags = TCP_RST | TCP_ACK});
}

void tcp_tap_data(const struct tcp_sock *t, uint64_t n)
{
	struct net_stack *st = t->sk.st;
	uint64_t at = t->out->tail - n;
	uint32_t isn = isn_of(st, t->out);
	struct seg s = {.from = &t->sk.local, .to = &t->sk.remote, .p = t->out, .ack = next_of(st, t->in)};

	for (; n; n -= s.len, at += s.len) {
		s.len = (uint32_t)MIN(n, (uint64_t)MSS);
		s.at = at;
		s.seq = isn + 1 + (uint32_t)at;
		s.flags = (uint8_t)(TCP_ACK | (s.len == n ? TCP_PSH : 0));
		show(st, &s);
	}
	show(st, &(struct seg){.from = s.to,
			       .to = s.from,
			       .seq = s.ack,
			       .ack = isn + 1 + (uint32_t)at,
			       .flags = TCP_ACK});
}

void tcp_tap_end(const struct tcp_sock *t, bool reset)
{
	struct net_stack *st = t->sk.st;
	struct seg s = {.from = &t->sk.local,
			.to = &t->sk.remote,
			.seq = next_of(st, t->out),
			.ack = next_of(st, t->in),
			.flags = (uint8_t)(TCP_ACK | (reset ? TCP_RST : TCP_FIN))};

	show(st, &s);
	if (!reset)
		show(st, &(struct seg){
				 .from = s.to, .to = s.from, .seq = s.ack, .ack = s.seq + 1, .flags = TCP_ACK});
}
