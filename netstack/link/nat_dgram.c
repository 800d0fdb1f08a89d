/* nat_dgram.c: datagrams by way of sbx-net: UDP, and ICMP echoes. What goes out loses its UDP header, what
 * comes in gets one, and from there on is as a packet from a wire. */
#include <sys/socket.h>

#include "netstack/link/nat.h"
#include "netstack/proto/icmp.h"
#include "platform/host/hostcall.h"

#define UDP_HEADER 8u
#define ICMP_HEAD  8u
#define IP4_HEAD   20u
#define IP6_HEAD   40u

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

/* A packet as it would be on a wire, for --pcap. */
static void record(struct nat *n, const struct ip_packet *p)
{
	uint8_t h[IP6_HEAD] = {0};
	struct pkt k;
	uint32_t head = p->v6 ? IP6_HEAD : IP4_HEAD;

	if (p->v6) {
		h[0] = 0x60;
		put16(h + 4, p->len);
		h[6] = p->protocol;
		h[7] = p->ttl;
		memcpy(h + 8, p->src.b, 16);
		memcpy(h + 24, p->dst.b, 16);
	} else {
		h[0] = 0x45;
		h[1] = p->tos;
		put16(h + 2, p->len + IP4_HEAD);
		h[8] = p->ttl;
		h[9] = p->protocol;
		memcpy(h + 12, p->src.b + 12, 4);
		memcpy(h + 16, p->dst.b + 12, 4);
		put16(h + 10, net_checksum(0, h, IP4_HEAD));
	}
	pkt_init(&k);
	pkt_add(&k, h, head);
	pkt_add(&k, p->data, p->len);
	pcap_write_pkt(n->pcap, &k);
}

/* What sbx-net can pass on; false: nothing of this kind. */
static bool describe(const struct ip_packet *p, struct nat_msg *m, uint32_t *skip)
{
	if (p->protocol == PROTO_UDP && p->len >= UDP_HEADER) {
		m->sport = get16(p->data);
		m->dport = get16(p->data + 2);
		*skip = UDP_HEADER;
		return true;
	}
	if (p->protocol != (p->v6 ? PROTO_ICMP6 : PROTO_ICMP) || p->len < ICMP_HEAD)
		return false;
	if (p->data[0] != (p->v6 ? ICMP6_ECHO : ICMP_ECHO) || p->data[1])
		return false;
	m->sport = get16(p->data + 4);
	*skip = 0;
	return true;
}

int nat_output(struct net_stack *st, const struct route *r, const struct ip_packet *p, bool dont_fragment)
{
	struct nat *n = nat_of(st);
	struct nat_msg m = {.type = NAT_DGRAM, .protocol = p->protocol, .ttl = p->ttl, .tos = p->tos};
	struct iovec iov[2] = {{&m, sizeof(m)}};
	struct msghdr h = {.msg_iov = iov, .msg_iovlen = 2};
	uint32_t skip;
	ssize_t sent;

	(void)dont_fragment;
	if (r->multicast || r->broadcast || !describe(p, &m, &skip))
		return -ENETUNREACH;
	if (__atomic_load_n(&n->dead, __ATOMIC_ACQUIRE))
		return -ENETDOWN;
	if (n->pcap)
		record(n, p);
	if (nat_rate_take(n, &n->out, p->len) < p->len) {
		NAT_COUNT(n, dgrams_dropped, 1); /* as a full queue would */
		return 0;
	}
	memcpy(m.src, p->src.b, 16);
	memcpy(m.dst, p->dst.b, 16);
	iov[1] = (struct iovec){(void *)(p->data + skip), p->len - skip};
	sent = hc_sendmsg(n->dgram, &h, MSG_DONTWAIT);
	if (sent < 0) {
		NAT_COUNT(n, dgrams_dropped, 1);
		return sent == -EAGAIN ? -ENOBUFS : sent == -EMSGSIZE ? -EMSGSIZE : -ENETDOWN;
	}
	NAT_COUNT(n, dgrams_out, 1);
	NAT_COUNT(n, dgram_bytes_out, p->len - skip);
	return 0;
}

static void error_input(struct nat *n, const struct nat_msg *m, const uint8_t *data, uint32_t len)
{
	struct icmp_error e = {.protocol = m->protocol,
			       .type = m->icmp_type,
			       .code = m->icmp_code,
			       .info = m->info,
			       .local.port = m->sport,
			       .remote.port = m->dport,
			       .data = data,
			       .len = MIN(len, 512u)};

	memcpy(e.local.addr.b, m->src, 16);
	memcpy(e.remote.addr.b, m->dst, 16);
	memcpy(e.offender.addr.b, m->from, 16);
	ip_error(n->st, &e);
}

void nat_dgram_input(struct nat *n, const struct nat_msg *m, const uint8_t *data, uint32_t len)
{
	struct ip_packet p = {
		.protocol = m->protocol, .ttl = m->ttl ?: 64, .tos = m->tos, .ifindex = n->ifindex};
	uint32_t sum, at;

	if (m->type == NAT_ERROR) {
		error_input(n, m, data, len);
		return;
	}
	memcpy(p.src.b, m->src, 16);
	memcpy(p.dst.b, m->dst, 16);
	p.v6 = !net_addr_is4(&p.dst);
	if (m->type != NAT_DGRAM || p.v6 == net_addr_is4(&p.src) || len > NAT_DGRAM_MAX - UDP_HEADER)
		return;
	if (nat_rate_take(n, &n->in, len) < len) {
		NAT_COUNT(n, dgrams_dropped, 1);
		return;
	}
	p.data = n->ip_packet;
	if (m->protocol == PROTO_UDP) {
		p.len = len + UDP_HEADER;
		put16(n->ip_packet, m->sport);
		put16(n->ip_packet + 2, m->dport);
		put16(n->ip_packet + 4, p.len);
		put16(n->ip_packet + 6, 0);
		memcpy(n->ip_packet + UDP_HEADER, data, len);
		at = 6;
	} else if (m->protocol == (p.v6 ? PROTO_ICMP6 : PROTO_ICMP) && len >= ICMP_HEAD) {
		p.len = len;
		memcpy(n->ip_packet, data, len);
		put16(n->ip_packet + 2, 0);
		put16(n->ip_packet + 4, m->dport); /* the guest's own identifier */
		at = 2;
	} else {
		return;
	}
	if (p.v6 || m->protocol != PROTO_UDP || n->pcap) {
		sum = net_checksum(
			m->protocol == PROTO_ICMP ? 0 : net_pseudo_sum(&p.src, &p.dst, m->protocol, p.len),
			p.data, p.len);
		put16(n->ip_packet + at, sum ? sum : m->protocol == PROTO_UDP ? 0xffff : 0);
	}
	if (n->pcap)
		record(n, &p);
	NAT_COUNT(n, dgrams_in, 1);
	NAT_COUNT(n, dgram_bytes_in, len);
	ip_deliver(n->st, &p);
}
