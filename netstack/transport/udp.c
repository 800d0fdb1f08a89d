/* udp.c: UDP (RFC 768, udp(7)). A datagram for this machine goes from the sender's memory into one message, and
 * that into the receiver's queue, on the sender's thread; headers are made only for the wire and for raw
 * sockets that listen in. */
#include "netstack/internal.h"

#define UDP_HEADER   8u
#define UDP_MAX4     (65535u - 20 - UDP_HEADER)
#define UDP_MAX6     (65535u - UDP_HEADER)
#define RECEIVERS    64u
#define ECONN	     ECONNREFUSED
#define TYPE_UNREACH 3
#define CODE_PORT    3
#define TYPE6	     1
#define CODE6_PORT   4
#define ORIGIN_ICMP  2
#define ORIGIN_ICMP6 3

static struct net_msg *msg_new(const struct dgram_dst *d, uint32_t len)
{
	struct net_msg *m = net_msg_new(len);

	if (m) {
		m->src = d->from;
		m->dst = d->to;
		m->ifindex = d->ifindex;
		m->ttl = d->ttl;
		m->tos = d->tos;
	}
	return m;
}

/* May sk have what is sent to a group? Its own membership, or anybody's if it takes all groups. */
static bool takes_group(struct net_sock *sk, const struct net_msg *m, bool joined)
{
	bool v4 = net_addr_is4(&m->dst.addr), ok;

	if (v4 ? sk->family != 4 && sk->opts.v6only : sk->family == 4)
		return false;
	mutex_lock(&sk->lock);
	ok = net_addr_any(&sk->local.addr) || net_addr_eq(&sk->local.addr, &m->dst.addr);
	if (ok && sk->connected)
		ok = sk->remote.port == m->src.port && net_addr_eq(&sk->remote.addr, &m->src.addr);
	if (ok && sk->opts.bound_if)
		ok = sk->opts.bound_if == m->ifindex;
	if (ok && net_addr_multicast(&m->dst.addr))
		ok = dgram_is_member(sk, &m->dst.addr, m->ifindex) ||
		     (joined && (v4 ? sk->opts.mc_all : sk->opts.mc_all6));
	mutex_unlock(&sk->lock);
	return ok;
}

/* To every socket on the port that wants it. */
static bool deliver_many(struct net_stack *st, int kind, struct net_msg *m)
{
	struct net_sock **all = kmalloc(RECEIVERS * sizeof(*all));
	bool joined = !net_addr_multicast(&m->dst.addr) || group_joined(st, &m->dst.addr, m->ifindex),
	     any = false;
	uint32_t n = all ? port_find_all(st, kind, m->dst.port, all, RECEIVERS) : 0, i;
	struct net_msg *copy;

	for (i = 0; i < n; i++) {
		if (takes_group(all[i], m, joined)) {
			copy = net_msg_copy(m);
			if (copy) {
				dgram_deliver(all[i], copy);
				any = true;
			}
		}
		sk_put(all[i]);
	}
	kfree(all);
	kfree(m);
	return any;
}

/* Takes m. False: nobody has the port; m is the caller's again. */
static bool deliver(struct net_stack *st, int kind, struct net_msg *m)
{
	struct net_sock *to = port_find_dgram(st, kind, &m->dst, &m->src, m->ifindex);

	if (UNLIKELY(!to)) {
		COUNT(st, udp_no_port);
		return false;
	}
	COUNT(st, udp_in);
	dgram_deliver(to, m);
	sk_put(to);
	return true;
}

/* m could not be delivered on this machine: as ICMP "port unreachable" would tell its sender. Takes m. */
static void refused(struct net_sock *sk, struct net_msg *m)
{
	bool v4 = net_addr_is4(&m->dst.addr);

	m->offender = m->dst;
	m->offender.port = 0;
	m->ee_errno = ECONN;
	m->ee_origin = v4 ? ORIGIN_ICMP : ORIGIN_ICMP6;
	m->ee_type = v4 ? TYPE_UNREACH : TYPE6;
	m->ee_code = v4 ? CODE_PORT : CODE6_PORT;
	m->src = m->dst; /* recvmsg names where it was sent to */
	dgram_error(sk, m, ECONN, true);
}

/* cover: how many bytes UDP-Lite's checksum covers (RFC 3828 section 3.1); 0: it is UDP. checksum: UDP's may be
 * left out. */
static void build_header(uint8_t *h, const struct dgram_dst *d, uint32_t len, uint32_t cover, bool checksum)
{
	uint16_t fields[4] = {__builtin_bswap16(d->from.port), __builtin_bswap16(d->to.port), 0, 0};
	uint8_t protocol = cover ? PROTO_UDPLITE : PROTO_UDP;
	uint16_t sum;

	fields[2] = __builtin_bswap16(!cover ? (uint16_t)len : cover < len ? (uint16_t)cover : 0);
	memcpy(h, fields, sizeof(fields));
	if (!checksum && !cover)
		return;
	sum = net_checksum(net_pseudo_sum(&d->from.addr, &d->to.addr, protocol, len), h,
			   cover && cover < len ? cover : len);
	h[6] = (uint8_t)((sum ? sum : 0xffff) >> 8);
	h[7] = (uint8_t)(sum ? sum : 0xffff);
}

/* The datagram with its header; *len. NULL: no memory */
static uint8_t *make_packet(const struct net_sock *sk, const struct dgram_dst *d, const struct net_msg *m,
			    uint32_t *len)
{
	bool v4 = net_addr_is4(&d->to.addr), checksum = !(v4 ? sk->opts.no_check : sk->opts.no_check6_tx);
	uint32_t cover = 0;
	uint8_t *packet = kmalloc(UDP_HEADER + m->len);

	*len = UDP_HEADER + m->len;
	if (!packet)
		return NULL;
	if (sk->kind == NET_UDPLITE)
		cover = sk->opts.send_cover ? MIN((uint32_t)sk->opts.send_cover, *len) : *len;
	memcpy(packet + UDP_HEADER, m->data, m->len);
	build_header(packet, d, *len, cover, checksum);
	return packet;
}

/* A packet for raw sockets to see. */
static struct ip_packet as_packet(const struct net_sock *sk, const struct dgram_dst *d, const uint8_t *data,
				  uint32_t len)
{
	return (struct ip_packet){.v6 = !net_addr_is4(&d->to.addr),
				  .protocol = sk->protocol,
				  .ttl = d->ttl,
				  .tos = d->tos,
				  .src = d->from.addr,
				  .dst = d->to.addr,
				  .ifindex = d->ifindex,
				  .data = data,
				  .len = len};
}

static bool witnesses(struct net_stack *st)
{
	return stack_tapped(st) || __atomic_load_n(&st->counters.inuse[NET_RAW][0], __ATOMIC_RELAXED) ||
	       __atomic_load_n(&st->counters.inuse[NET_RAW][1], __ATOMIC_RELAXED);
}

/* Raw sockets see datagrams too, and the ICMP errors about those that nobody takes: then the error comes back
 * to the sender through them, and m is done with. */
static bool send_with_witnesses(struct net_sock *sk, const struct dgram_dst *d, struct net_msg *m)
{
	struct ip_packet p;
	uint32_t len;
	uint8_t *packet = make_packet(sk, d, m, &len);

	if (!packet)
		return deliver(sk->st, sk->kind, m);
	p = as_packet(sk, d, packet, len);
	if (stack_tapped(sk->st))
		tap_local(sk->st, &p);
	(void)raw_input(sk->st, &p);
	if (!deliver(sk->st, sk->kind, m)) {
		icmp_port_unreachable(sk->st, &p);
		kfree(m);
	}
	kfree(packet);
	return true;
}

/* Packet sockets see what goes to a group on the loopback. */
static void tap_group(struct net_sock *sk, const struct dgram_dst *d, const struct net_msg *m)
{
	uint32_t len;
	uint8_t *packet = make_packet(sk, d, m, &len);
	struct ip_packet p;

	if (!packet)
		return;
	p = as_packet(sk, d, packet, len);
	tap_local(sk->st, &p);
	kfree(packet);
}

static void send_here(struct net_sock *sk, const struct dgram_dst *d, struct net_msg *m)
{
	struct net_stack *st = sk->st;
	bool taken;

	COUNT(st, udp_out);
	COUNT_LO(st, 1, m->len + 28u + 14u);
	if (UNLIKELY(d->route.multicast || d->route.broadcast)) {
		if (stack_tapped(st))
			tap_group(sk, d, m);
		if (d->route.broadcast || (net_addr_is4(&d->to.addr) ? sk->opts.mc_loop : sk->opts.mc_loop6))
			(void)deliver_many(st, sk->kind, m);
		else
			kfree(m);
		return;
	}
	taken = UNLIKELY(witnesses(st)) ? send_with_witnesses(sk, d, m) : deliver(st, sk->kind, m);
	if (UNLIKELY(!taken))
		refused(sk, m);
}

static int send_out(struct net_sock *sk, const struct dgram_dst *d, struct net_msg *m)
{
	bool v4 = net_addr_is4(&d->to.addr);
	uint32_t len;
	uint8_t *packet = make_packet(sk, d, m, &len);
	int ret = -ENOBUFS;

	if (packet) {
		COUNT(sk->st, udp_out);
		ret = ip_output(sk->st, d, sk->protocol, packet, len,
				(v4 ? sk->opts.pmtu : sk->opts.pmtu6) >= 2);
		kfree(packet);
	}
	if (ret == 0 && d->route.multicast && (v4 ? sk->opts.mc_loop : sk->opts.mc_loop6))
		(void)deliver_many(sk->st, sk->kind, m);
	else
		kfree(m);
	return ret;
}

/* One datagram of len bytes from io. */
static ssize_t send_one(struct net_sock *sk, const struct dgram_dst *d, struct net_io *io, uint32_t len)
{
	struct net_msg *m = msg_new(d, len);
	ssize_t ret;

	if (!m)
		return -ENOBUFS;
	ret = len ? io->move(io, m->data, len) : 0;
	if (ret < 0 || (uint32_t)ret < len) {
		kfree(m);
		return -EFAULT;
	}
	if (LIKELY(d->route.local)) {
		send_here(sk, d, m);
		return (ssize_t)len;
	}
	ret = send_out(sk, d, m);
	return ret < 0 ? ret : (ssize_t)len;
}

static ssize_t send_to(struct net_sock *sk, struct net_io *io, const struct net_tx *tx)
{
	uint32_t gso = tx->gso_size ? tx->gso_size : sk->opts.gso_size, max;
	ssize_t ret, total = 0;
	struct dgram_dst d;

	if (tx->name && !tx->name->port)
		return -EINVAL;
	ret = dgram_route(sk, tx, &d);
	if (ret < 0)
		return ret;
	max = net_addr_is4(&d.to.addr) ? UDP_MAX4 : UDP_MAX6;
	if (io->resid > max)
		return -EMSGSIZE;
	if (LIKELY(!gso || io->resid <= gso))
		return send_one(sk, &d, io, (uint32_t)io->resid);
	if (io->resid > (uint64_t)gso * 64)
		return -EINVAL; /* UDP_MAX_SEGMENTS */
	while (io->resid) {
		ret = send_one(sk, &d, io, (uint32_t)MIN(io->resid, (uint64_t)gso));
		if (ret < 0)
			return total ? total : ret;
		total += ret;
	}
	return total;
}

/* ---- MSG_MORE and UDP_CORK: parts become one datagram ---- */

static ssize_t from_memory(struct net_io *io, void *buf, size_t n)
{
	const uint8_t **at = io->arg;

	memcpy(buf, *at, n);
	*at += n;
	io->resid -= n;
	return (ssize_t)n;
}

int udp_uncork(struct net_sock *sk)
{
	struct dgram_sock *d = dgram_of(sk);
	const uint8_t *at;
	struct net_io io = {.move = from_memory, .arg = &at};
	struct net_tx tx = {.flags = 0};
	struct net_name to;
	uint8_t *buf;
	ssize_t ret = 0;

	mutex_lock(&sk->lock);
	at = buf = d->cork;
	io.resid = d->cork_len;
	to = d->cork_to;
	tx.name = d->corked && to.port ? &to : NULL;
	d->cork = NULL;
	d->cork_len = 0;
	if (!d->corked)
		buf = NULL;
	d->corked = false;
	mutex_unlock(&sk->lock);
	if (buf)
		ret = send_to(sk, &io, &tx);
	kfree(buf);
	return ret < 0 ? (int)ret : 0;
}

static ssize_t cork(struct net_sock *sk, struct net_io *io, const struct net_tx *tx)
{
	struct dgram_sock *d = dgram_of(sk);
	uint64_t len = io->resid;
	ssize_t ret = 0;

	mutex_lock(&sk->lock);
	if (!d->cork) {
		d->cork = kmalloc(UDP_MAX6 + 1);
		d->cork_to = tx->name ? *tx->name : (struct net_name){0};
		d->corked = d->cork != NULL;
	}
	if (!d->cork)
		ret = -ENOBUFS;
	else if (len > UDP_MAX4 - d->cork_len)
		ret = -EMSGSIZE;
	else if (len)
		ret = io->move(io, d->cork + d->cork_len, len);
	if (ret >= 0)
		d->cork_len += (uint32_t)ret;
	mutex_unlock(&sk->lock);
	return ret < 0 || (uint64_t)ret == len ? ret : -EFAULT;
}

ssize_t udp_send(struct net_sock *sk, struct net_io *io, const struct net_tx *tx)
{
	bool more = (tx->flags & NET_MORE) || sk->opts.cork;
	ssize_t ret;
	int err;

	if (io->resid > 0xffff)
		return -EMSGSIZE;
	if (LIKELY(!more && !__atomic_load_n(&dgram_of(sk)->corked, __ATOMIC_RELAXED)))
		return send_to(sk, io, tx);
	if (!tx->name && !sk->connected && !dgram_of(sk)->corked)
		return -EDESTADDRREQ;
	ret = cork(sk, io, tx);
	if (ret < 0 || more)
		return ret;
	err = udp_uncork(sk);
	return err < 0 ? err : ret;
}

/* ---- from the wire ---- */

void udp_input(struct net_stack *st, const struct ip_packet *p)
{
	struct dgram_dst d = {.ifindex = p->ifindex, .ttl = p->ttl, .tos = p->tos};
	uint16_t fields[4];
	bool lite = p->protocol == PROTO_UDPLITE;
	int kind = lite ? NET_UDPLITE : NET_UDP;
	struct net_msg *m;
	uint32_t len;

	if (p->len < UDP_HEADER)
		goto bad;
	memcpy(fields, p->data, sizeof(fields));
	len = __builtin_bswap16(fields[2]);
	if (lite && !len)
		len = p->len;
	if (len < UDP_HEADER || len > p->len)
		goto bad;
	if ((fields[3] || p->v6 || lite) &&
	    net_checksum(net_pseudo_sum(&p->src, &p->dst, p->protocol, lite ? p->len : len), p->data, len) != 0)
		goto bad;
	if (lite)
		len = p->len; /* what it said is only how much the checksum covers */
	d.from = (struct net_name){.addr = p->src, .port = __builtin_bswap16(fields[0])};
	d.to = (struct net_name){.addr = p->dst, .port = __builtin_bswap16(fields[1])};
	if (net_addr_linklocal6(&p->src))
		d.from.scope = p->ifindex;
	m = msg_new(&d, len - UDP_HEADER);
	if (!m)
		return;
	memcpy(m->data, p->data + UDP_HEADER, len - UDP_HEADER);
	if (net_addr_multicast(&p->dst) || !net_addr_is_local(st, &p->dst)) {
		(void)deliver_many(st, kind, m); /* a group, or a broadcast address of a link */
	} else if (!deliver(st, kind, m)) {
		kfree(m);
		icmp_port_unreachable(st, p);
	}
	return;
bad:
	COUNT(st, udp_errors);
}
