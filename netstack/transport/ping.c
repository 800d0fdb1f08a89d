/* ping.c: ICMP sockets without privilege (icmp(7)): echo requests whose identifier is the socket's port, and
 * the replies to them. */
#include "netstack/internal.h"

#define ECHO	    8
#define ECHO_REPLY  0
#define ECHO6	    128
#define ECHO6_REPLY 129
#define ICMP_HEAD   8u
#define PING_MAX    65507u

ssize_t ping_send(struct net_sock *sk, struct net_io *io, const struct net_tx *tx)
{
	uint32_t len = (uint32_t)MIN(io->resid, (uint64_t)PING_MAX + 1);
	struct dgram_dst d;
	uint8_t *packet;
	uint16_t sum;
	ssize_t ret;

	if (len > PING_MAX)
		return -EMSGSIZE;
	if (len < ICMP_HEAD)
		return -EINVAL;
	ret = dgram_route(sk, tx, &d);
	if (ret < 0)
		return ret;
	packet = kmalloc(len);
	if (!packet)
		return -ENOBUFS;
	ret = io->move(io, packet, len);
	if (ret >= 0 && (uint32_t)ret < len)
		ret = -EFAULT;
	if (ret >= 0 && (packet[0] != (sk->family == 4 ? ECHO : ECHO6) || packet[1] != 0))
		ret = -EINVAL;
	if (ret >= 0) {
		packet[4] = (uint8_t)(d.from.port >> 8);
		packet[5] = (uint8_t)d.from.port;
		packet[2] = packet[3] = 0;
		sum = net_checksum(sk->family == 4 ? 0
						   : net_pseudo_sum(&d.from.addr, &d.to.addr, PROTO_ICMP6, len),
				   packet, len);
		packet[2] = (uint8_t)(sum >> 8);
		packet[3] = (uint8_t)sum;
		ret = ip_output(sk->st, &d, sk->family == 4 ? PROTO_ICMP : PROTO_ICMP6, packet, len, false);
	}
	kfree(packet);
	return ret < 0 ? ret : (ssize_t)len;
}

void ping_input(struct net_stack *st, const struct ip_packet *p)
{
	struct net_name local = {.addr = p->dst}, remote = {.addr = p->src};
	struct net_sock *sk;
	struct net_msg *m;

	if (p->len < ICMP_HEAD || p->data[0] != (p->v6 ? ECHO6_REPLY : ECHO_REPLY))
		return;
	local.port = (uint16_t)(p->data[4] << 8 | p->data[5]);
	sk = port_find_dgram(st, NET_PING, &local, NULL, p->ifindex);
	if (!sk)
		return;
	m = (sk->family == 6) == p->v6 ? net_msg_new(p->len) : NULL;
	if (m) {
		m->src = remote;
		m->dst = local;
		m->ifindex = p->ifindex;
		m->ttl = p->ttl;
		m->tos = p->tos;
		memcpy(m->data, p->data, p->len);
		dgram_deliver(sk, m);
	}
	sk_put(sk);
}
