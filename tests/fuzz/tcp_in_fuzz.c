/* tcp_in_fuzz.c: a host of the wire against hostile packets, with state: the input is a list of steps: a frame
 * as it is, a TCP segment near a live connection's numbers, data of the user's, time. Memory errors and broken
 * counts are found by the sanitizers and the checks at the end. */
#include <stdlib.h>

#include "tests/harness/netpair.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void segment(struct nethost *h, struct netuser *u, const uint8_t *d)
{
	struct tcp_conn *c = u ? u->conn : NULL;
	struct netseg s = {.sport = (uint16_t)(5000 + (d[0] & 3)),
			   .dport = 80,
			   .flags = d[1],
			   .window = get_le16(d + 2),
			   .seq = (c ? c->rcv_nxt : 1000) + (uint32_t)(int8_t)d[4] * (1 + (d[5] & 63)),
			   .ack = (c ? c->snd_nxt : 0) + (uint32_t)(int8_t)d[6] * (1 + (d[7] & 63)),
			   .len = get_le16(d + 8) % 3000,
			   .urgent = d[10],
			   .ecn = d[11] & 3,
			   .v6 = d[11] & 4,
			   .o = {.mss = (d[11] & 8) ? get_le16(d + 12) : 0,
				 .has_ts = d[11] & 16,
				 .sack_ok = d[11] & 32,
				 .has_wscale = d[11] & 64,
				 .wscale = d[12],
				 .tsval = get_le32(d + 12),
				 .sack_count = d[13] & 3}};

	if (s.o.has_wscale && s.o.wscale > 14)
		s.o.wscale = 14;
	for (int i = 0; i < s.o.sack_count; i++)
		s.o.sack[i] = (struct tcp_block){s.ack + (uint32_t)d[14] * 100 * (uint32_t)i,
						 s.ack + (uint32_t)d[15] * 100};
	nethost_inject(h, &s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool once;
	struct netsim sim = {.now = 1000000000000UL, .random = 5};
	struct netframe *f;
	struct nethost *h;
	struct netlisten *l;
	struct netuser *u;
	struct net_addr peer;
	size_t n;

	if (!once && arena_init() < 0)
		abort();
	once = true;
	list_init(&sim.hosts);
	h = nethost_create(&sim, 1, LINK_ETHER | (size & 1 ? LINK_TSO : 0), 1500);
	l = nethost_listen(h, 80);
	peer = h->addr4;
	peer.b[15] = 2;
	nethost_know(h, &peer);
	while (size >= 17) {
		uint8_t step = data[0];

		switch (step & 7) {
		case 0:
			n = MIN((size_t)(data[1] | (data[2] & 3) << 8), size - 17);
			nethost_frame(h, data + 17, (uint32_t)n);
			data += n;
			size -= n;
			break;
		case 1:
			for (u = l->accepted; u; u = u->next)
				if (u->conn->user)
					netuser_send(u, 0, get_le16(data + 1), data[3] & NET_MORE);
			break;
		case 2:
			for (u = l->accepted; u; u = u->next) {
				struct net_io none = {.resid = 65536};
				bool oob = false;

				if (u->conn->user)
					(void)conn_recv(u->conn, &none, NET_TRUNC, &oob);
			}
			break;
		case 3:
			netsim_run(&sim, (uint64_t)get_le16(data + 1) * (data[3] & 1 ? 1000000 : 100000000),
				   NULL, NULL);
			break;
		case 4:
			if (l->accepted && l->accepted->conn->user) {
				if (data[1] & 1)
					conn_shutdown(l->accepted->conn, false, true);
				else
					conn_close(l->accepted->conn, data[1] & 2);
			}
			break;
		default:
			segment(h, l->accepted, data + 1);
			break;
		}
		data += 17;
		size -= 17;
		while ((f = nethost_sent(h)))
			kfree(f);
	}
	while ((u = l->accepted)) {
		l->accepted = u->next;
		if (u->conn->user)
			conn_close(u->conn, true);
		netuser_free(u);
	}
	netsim_run(&sim, 1000UL * 1000000000, NULL, NULL);
	if (h->w->half_open || h->w->conn_count || h->w->time_waits || l->refs)
		abort();
	netsim_fini(&sim);
	return 0;
}
