/* raw.c: raw sockets (raw(7)): packets of one IP protocol. IPv4 sockets receive the IP header too. */
#include "netstack/internal.h"

#define IP_HEADER    20u
#define RAW_MAX	     65535u
#define PROTO_RAW    255
#define RECEIVERS    64u
#define VERSION_IHL4 0x45

/* A header as the packet would have had it (RFC 791 section 3.1). */
static void make_header(const struct ip_packet *p, uint8_t *h)
{
	uint32_t total = IP_HEADER + p->len;
	uint16_t sum;

	memset(h, 0, IP_HEADER);
	h[0] = VERSION_IHL4;
	h[1] = p->tos;
	h[2] = (uint8_t)(total >> 8);
	h[3] = (uint8_t)total;
	h[6] = 0x40; /* don't fragment */
	h[8] = p->ttl;
	h[9] = p->protocol;
	memcpy(h + 12, p->src.b + 12, 4);
	memcpy(h + 16, p->dst.b + 12, 4);
	sum = net_checksum(0, h, IP_HEADER);
	h[10] = (uint8_t)(sum >> 8);
	h[11] = (uint8_t)sum;
}

/* ICMP_FILTER and ICMP6_FILTER: set bits are types not wanted. */
static bool filtered(const struct net_sock *sk, const struct ip_packet *p)
{
	uint8_t type = p->len ? p->data[0] : 0;

	if (p->protocol == PROTO_ICMP && !p->v6)
		return type < 32 && (sk->opts.icmp_filter >> type & 1);
	if (p->protocol == PROTO_ICMP6 && p->v6)
		return sk->opts.icmp6_filter[type / 32] >> (type % 32) & 1;
	return false;
}

static bool wants(struct net_sock *sk, const struct ip_packet *p)
{
	bool ok = (sk->family == 6) == p->v6 && sk->protocol == p->protocol && !filtered(sk, p);

	if (!ok || (sk->opts.bound_if && sk->opts.bound_if != p->ifindex))
		return false;
	mutex_lock(&sk->lock);
	if (!net_addr_any(&sk->local.addr) && !net_addr_eq(&sk->local.addr, &p->dst))
		ok = false;
	if (sk->connected && !net_addr_eq(&sk->remote.addr, &p->src))
		ok = false;
	mutex_unlock(&sk->lock);
	return ok;
}

static void deliver(struct net_sock *sk, const struct ip_packet *p)
{
	uint32_t head = p->v6 ? 0 : IP_HEADER;
	struct net_msg *m = net_msg_new(head + p->len);

	if (!m)
		return;
	m->src.addr = p->src;
	m->dst.addr = p->dst;
	if (net_addr_linklocal6(&p->src))
		m->src.scope = p->ifindex;
	m->ifindex = p->ifindex;
	m->ttl = p->ttl;
	m->tos = p->tos;
	if (head)
		make_header(p, m->data);
	memcpy(m->data + head, p->data, p->len);
	dgram_deliver(sk, m);
}

bool raw_input(struct net_stack *st, const struct ip_packet *p)
{
	struct net_sock **all, *sk;
	bool any = false;
	uint32_t n = 0;

	if (!__atomic_load_n(&st->counters.inuse[NET_RAW][p->v6], __ATOMIC_RELAXED))
		return false;
	all = kmalloc(RECEIVERS * sizeof(*all));
	if (!all)
		return false;
	mutex_lock(&st->socks_lock);
	list_for_each (sk, &st->socks[NET_RAW], all_node) {
		if (n == RECEIVERS)
			break;
		if (sk->protocol == p->protocol && refs_get_unless_zero(&sk->refs))
			all[n++] = sk;
	}
	mutex_unlock(&st->socks_lock);
	while (n--) {
		if (wants(all[n], p)) {
			deliver(all[n], p);
			any = true;
		}
		sk_put(all[n]);
	}
	kfree(all);
	return any;
}

/* The caller's own header (IP_HDRINCL): what it leaves open is filled in; the rest is believed within reason.
 */
static int take_header(const struct dgram_dst *d, uint8_t *packet, uint32_t len, struct ip_packet *p)
{
	uint32_t ihl;

	if (len < IP_HEADER)
		return -EINVAL;
	ihl = (packet[0] & 0xfu) * 4;
	if (ihl < IP_HEADER || ihl > len)
		return -EINVAL;
	p->protocol = packet[9];
	p->ttl = packet[8];
	p->tos = packet[1];
	p->src = d->from.addr;
	if (packet[12] | packet[13] | packet[14] | packet[15])
		memcpy(p->src.b + 12, packet + 12, 4);
	memcpy(p->dst.b + 12, packet + 16, 4);
	p->data = packet + ihl;
	p->len = len - ihl;
	return 0;
}

/* ICMPv6's checksum is the kernel's business, others' where IPV6_CHECKSUM says. */
static int fill_checksum(struct net_sock *sk, const struct dgram_dst *d, uint8_t *data, uint32_t len)
{
	int32_t at = sk->opts.raw_checksum;
	uint16_t sum;

	if (sk->family != 6 || at < 0)
		return 0;
	if ((uint32_t)at + 2 > len)
		return -EINVAL;
	data[at] = data[at + 1] = 0;
	sum = net_checksum(net_pseudo_sum(&d->from.addr, &d->to.addr, sk->protocol, len), data, len);
	data[at] = (uint8_t)(sum >> 8);
	data[at + 1] = (uint8_t)sum;
	return 0;
}

ssize_t raw_send(struct net_sock *sk, struct net_io *io, const struct net_tx *tx)
{
	bool own_header = sk->family == 4 && (sk->opts.hdrincl || sk->protocol == PROTO_RAW);
	uint32_t len = (uint32_t)MIN(io->resid, (uint64_t)RAW_MAX + 1);
	struct dgram_dst d;
	struct ip_packet p;
	uint8_t *packet;
	ssize_t ret;

	if (len > RAW_MAX)
		return -EMSGSIZE;
	ret = dgram_route(sk, tx, &d);
	if (ret < 0)
		return ret;
	packet = kmalloc(len ? len : 1);
	if (!packet)
		return -ENOBUFS;
	ret = len ? io->move(io, packet, len) : 0;
	if (ret >= 0 && (uint32_t)ret < len)
		ret = -EFAULT;
	p = (struct ip_packet){.protocol = sk->protocol, .dst = d.to.addr, .data = packet, .len = len};
	if (ret >= 0)
		ret = own_header ? take_header(&d, packet, len, &p) : fill_checksum(sk, &d, packet, len);
	if (ret >= 0) {
		if (own_header) {
			d.from.addr = p.src;
			d.ttl = p.ttl;
			d.tos = p.tos;
		}
		ret = ip_output(sk->st, &d, p.protocol, p.data, p.len, sk->opts.pmtu >= 2);
	}
	kfree(packet);
	return ret < 0 ? ret : (ssize_t)len;
}
