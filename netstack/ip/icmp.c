/* icmp.c: ICMP (RFC 792) and ICMPv6 (RFC 4443) as the sockets need them: echoes are answered, errors find the
 * socket that sent what they are about. */
#include "netstack/internal.h"

#define ECHO	      8
#define ECHO_REPLY    0
#define UNREACH	      3
#define TIME_EXCEEDED 11
#define PARAM_PROBLEM 12
#define ECHO6	      128
#define ECHO6_REPLY   129
#define UNREACH6      1
#define TOO_BIG6      2
#define EXCEEDED6     3
#define PARAM6	      4
#define ICMP_HEAD     8u
#define IP4_HEAD      20u
#define IP6_HEAD      40u
#define QUOTE_MAX     548u
#define ORIGIN_ICMP   2
#define ORIGIN_ICMP6  3

static void put_checksum(uint8_t *icmp, uint32_t len, const struct net_addr *src, const struct net_addr *dst)
{
	uint16_t sum;

	icmp[2] = icmp[3] = 0;
	sum = net_checksum(net_addr_is4(src) ? 0 : net_pseudo_sum(src, dst, PROTO_ICMP6, len), icmp, len);
	icmp[2] = (uint8_t)(sum >> 8);
	icmp[3] = (uint8_t)sum;
}

/* Sends an ICMP message back to where p came from. */
static void answer(struct net_stack *st, const struct ip_packet *p, uint8_t *icmp, uint32_t len)
{
	struct dgram_dst d = {.to = {.addr = p->src}, .from = {.addr = p->dst}, .ttl = 64, .tos = p->tos};

	if (route_find(st, &p->src, net_addr_linklocal6(&p->src) ? p->ifindex : 0, &d.route) < 0)
		return;
	if (net_addr_multicast(&p->dst) || !net_addr_is_local(st, &p->dst))
		d.from.addr = d.route.src;
	d.ifindex = d.route.ifindex;
	put_checksum(icmp, len, &d.from.addr, &d.to.addr);
	COUNT(st, icmp_out);
	if (ip_output(st, &d, p->v6 ? PROTO_ICMP6 : PROTO_ICMP, icmp, len, false) < 0)
		COUNT(st, icmp_errors);
}

static void echo(struct net_stack *st, const struct ip_packet *p)
{
	uint8_t *copy;

	COUNT(st, icmp_echo_in);
	/* RFC 1122 3.2.2.6: a broadcast's echo may be dropped, as net.ipv4.icmp_echo_ignore_broadcasts */
	if (!p->v6 && (net_addr_multicast(&p->dst) || !net_addr_is_local(st, &p->dst)))
		return;
	copy = kmalloc(p->len);
	if (!copy)
		return;
	memcpy(copy, p->data, p->len);
	copy[0] = p->v6 ? ECHO6_REPLY : ECHO_REPLY;
	answer(st, p, copy, p->len);
	kfree(copy);
}

/* The IP header of the quoted packet, made again from what is known of it. */
static uint32_t quote_header(const struct ip_packet *p, uint8_t *out)
{
	if (p->v6) {
		memset(out, 0, IP6_HEAD);
		out[0] = 0x60;
		out[4] = (uint8_t)(p->len >> 8);
		out[5] = (uint8_t)p->len;
		out[6] = p->protocol;
		out[7] = p->ttl;
		memcpy(out + 8, p->src.b, 16);
		memcpy(out + 24, p->dst.b, 16);
		return IP6_HEAD;
	}
	memset(out, 0, IP4_HEAD);
	out[0] = 0x45;
	out[2] = (uint8_t)((p->len + IP4_HEAD) >> 8);
	out[3] = (uint8_t)(p->len + IP4_HEAD);
	out[8] = p->ttl;
	out[9] = p->protocol;
	memcpy(out + 12, p->src.b + 12, 4);
	memcpy(out + 16, p->dst.b + 12, 4);
	return IP4_HEAD;
}

void icmp_port_unreachable(struct net_stack *st, const struct ip_packet *about)
{
	uint32_t quoted = MIN(about->len, QUOTE_MAX), head;
	uint8_t *icmp;

	if (net_addr_multicast(&about->dst))
		return;
	icmp = kmalloc(ICMP_HEAD + IP6_HEAD + quoted);
	if (!icmp)
		return;
	icmp[0] = about->v6 ? UNREACH6 : UNREACH;
	icmp[1] = about->v6 ? 4 : 3;
	head = quote_header(about, icmp + ICMP_HEAD);
	memcpy(icmp + ICMP_HEAD + head, about->data, quoted);
	answer(st, about, icmp, ICMP_HEAD + head + quoted);
	kfree(icmp);
}

/* ---- errors ---- */

/* By code of "destination unreachable" (RFC 1122 section 3.2.2.1, RFC 1812); hard: the socket gives up. */
static const struct {
	uint8_t err;
	bool hard;
} unreach4[16] =
	{
		{ENETUNREACH, false},  {EHOSTUNREACH, false}, {ENOPROTOOPT, true},  {ECONNREFUSED, true},
		{EMSGSIZE, false},     {EOPNOTSUPP, false},   {ENETUNREACH, true},  {EHOSTDOWN, true},
		{ENONET, true},	       {ENETUNREACH, true},   {EHOSTUNREACH, true}, {ENETUNREACH, false},
		{EHOSTUNREACH, false}, {EHOSTUNREACH, true},  {EHOSTUNREACH, true}, {EHOSTUNREACH, true},
},
  unreach6[7] = {
	  {ENETUNREACH, false}, {EACCES, true}, {EHOSTUNREACH, false}, {EHOSTUNREACH, false},
	  {ECONNREFUSED, true}, {EACCES, true}, {EACCES, true},
};

static int error_of(const struct icmp_error *e, bool v6, bool *hard)
{
	*hard = false;
	if (v6) {
		if (e->type == UNREACH6 && e->code < 7) {
			*hard = unreach6[e->code].hard;
			return unreach6[e->code].err;
		}
		*hard = e->type == PARAM6;
		return e->type == TOO_BIG6 ? EMSGSIZE : e->type == PARAM6 ? EPROTO : EHOSTUNREACH;
	}
	if (e->type == UNREACH && e->code < 16) {
		*hard = unreach4[e->code].hard;
		return unreach4[e->code].err;
	}
	*hard = e->type == PARAM_PROBLEM;
	return e->type == PARAM_PROBLEM ? EPROTO : EHOSTUNREACH;
}

static void tell(struct net_sock *sk, const struct icmp_error *e)
{
	bool v6 = !net_addr_is4(&e->remote.addr), hard;
	int err = error_of(e, v6, &hard);
	struct net_msg *m = net_msg_new(e->len);

	if (m) {
		m->src = e->remote;
		m->dst = e->local;
		m->ee_errno = err;
		m->ee_origin = v6 ? ORIGIN_ICMP6 : ORIGIN_ICMP;
		m->ee_type = e->type;
		m->ee_code = e->code;
		m->ee_info = e->info;
		m->offender = e->offender;
		memcpy(m->data, e->data, e->len);
	}
	dgram_error(sk, m, err, hard);
}

void ip_error(struct net_stack *st, const struct icmp_error *e)
{
	struct net_sock *sk;
	struct tcp_sock *t;

	switch (e->protocol) {
	case PROTO_UDP:
		sk = port_find_dgram(st, NET_UDP, &e->local, &e->remote, 0);
		break;
	case PROTO_UDPLITE:
		sk = port_find_dgram(st, NET_UDPLITE, &e->local, &e->remote, 0);
		break;
	case PROTO_ICMP:
	case PROTO_ICMP6:
		sk = port_find_dgram(st, NET_PING, &e->local, NULL, 0);
		break;
	case PROTO_TCP:
		t = tcp_find(st, &e->local, &e->remote);
		if (t && t->wire && st->wire && st->wire->error)
			st->wire->error(t, e);
		if (t)
			sk_put(&t->sk);
		return;
	default:
		return;
	}
	if (!sk)
		return;
	tell(sk, e);
	sk_put(sk);
}

static uint16_t be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

/* What the quoted packet was: false when too little of it is there. */
static bool parse_quote(const uint8_t *q, uint32_t len, bool v6, struct icmp_error *e)
{
	uint32_t head, skip;

	if (len < (v6 ? IP6_HEAD : IP4_HEAD))
		return false;
	head = v6 ? IP6_HEAD : (q[0] & 0xfu) * 4;
	if ((q[0] >> 4) != (v6 ? 6 : 4) || head < IP4_HEAD || len < head + 8)
		return false;
	if (v6) {
		memcpy(e->local.addr.b, q + 8, 16);
		memcpy(e->remote.addr.b, q + 24, 16);
		e->protocol = q[6];
	} else {
		uint32_t a;

		memcpy(&a, q + 12, 4);
		e->local.addr = net_addr4(a);
		memcpy(&a, q + 16, 4);
		e->remote.addr = net_addr4(a);
		e->protocol = q[9];
	}
	q += head;
	len -= head;
	if (e->protocol == PROTO_TCP || e->protocol == PROTO_UDP || e->protocol == PROTO_UDPLITE) {
		e->local.port = be16(q);
		e->remote.port = be16(q + 2);
	} else {
		e->local.port = be16(q + 4); /* an echo's identifier */
	}
	skip = e->protocol == PROTO_TCP ? MIN(len, 20u) : 8;
	e->data = q + skip;
	e->len = len - skip;
	return true;
}

static void error_input(struct net_stack *st, const struct ip_packet *p)
{
	struct icmp_error e = {.type = p->data[0], .code = p->data[1], .offender = {.addr = p->src}};

	COUNT(st, icmp_unreach_in);
	if (p->v6 ? e.type == TOO_BIG6 : e.type == UNREACH && e.code == 4)
		e.info = p->v6 ? (uint32_t)be16(p->data + 4) << 16 | be16(p->data + 6) : be16(p->data + 6);
	if (parse_quote(p->data + ICMP_HEAD, p->len - ICMP_HEAD, p->v6, &e))
		ip_error(st, &e);
}

void icmp_input(struct net_stack *st, const struct ip_packet *p)
{
	uint8_t type;

	COUNT(st, icmp_in);
	if (p->len < ICMP_HEAD)
		return;
	if (net_checksum(p->v6 ? net_pseudo_sum(&p->src, &p->dst, PROTO_ICMP6, p->len) : 0, p->data, p->len) !=
	    0)
		return;
	type = p->data[0];
	if (type == (p->v6 ? ECHO6 : ECHO)) {
		echo(st, p);
	} else if (type == (p->v6 ? ECHO6_REPLY : ECHO_REPLY)) {
		COUNT(st, icmp_echo_rep_in);
		ping_input(st, p);
	} else if (p->v6 ? type <= PARAM6 : type == UNREACH || type == TIME_EXCEEDED || type == PARAM_PROBLEM) {
		error_input(st, p);
	}
}
