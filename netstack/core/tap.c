/* tap.c: who listens in on frames (packet(7) sockets), and frames that they send. On the loopback, data moves
 * between sockets without packets: what a packet would have looked like is made only when somebody looks. */
#include "netstack/proto/eth.h"
#include "netstack/proto/ip4.h"
#include "netstack/proto/ip6.h"
#include "netstack/wire.h"

#define P_ALL		 3
#define P_802_2		 4
#define P_802_3_MIN	 0x600
#define TYPE_HOST	 0 /* PACKET_* */
#define TYPE_BROADCAST	 1
#define TYPE_MULTICAST	 2
#define TYPE_OTHERHOST	 3
#define TYPE_OUTGOING	 4
#define ARPHRD_ETHER_	 1
#define ARPHRD_LOOPBACK_ 772

void net_tap_add(struct net_stack *st, struct net_tap *tap)
{
	mutex_lock(&st->tap_lock);
	list_add_tail(&st->taps, &tap->node);
	__atomic_store_n(&st->tap_count, st->tap_count + 1, __ATOMIC_RELEASE);
	mutex_unlock(&st->tap_lock);
}

void net_tap_del(struct net_stack *st, struct net_tap *tap)
{
	mutex_lock(&st->tap_lock);
	list_del(&tap->node);
	__atomic_store_n(&st->tap_count, st->tap_count - 1, __ATOMIC_RELEASE);
	mutex_unlock(&st->tap_lock);
}

uint32_t net_if_header(const struct net_if_info *i)
{
	return i->type == ARPHRD_ETHER_ || i->type == ARPHRD_LOOPBACK_ ? ETH_HLEN : 0;
}

static void show_locked(struct net_stack *st, const struct net_frame *f)
{
	struct net_tap *t;

	list_for_each (t, &st->taps, node) {
		uint16_t protocol = __atomic_load_n(&t->protocol, __ATOMIC_RELAXED);
		uint32_t ifindex = __atomic_load_n(&t->ifindex, __ATOMIC_RELAXED);

		if (f->outgoing && (t == st->tap_from || protocol != P_ALL))
			continue;
		if ((protocol == P_ALL || (protocol && protocol == f->protocol)) &&
		    (!ifindex || ifindex == f->ifindex))
			t->fn(t, f);
	}
}

static void show(struct net_stack *st, const struct net_frame *f, const struct net_tap *from)
{
	mutex_lock(&st->tap_lock);
	st->tap_from = from;
	show_locked(st, f);
	st->tap_from = NULL;
	mutex_unlock(&st->tap_lock);
}

static uint8_t type_of(const uint8_t *dst, const uint8_t *us)
{
	static const uint8_t all[ETH_ALEN] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

	if (memcmp(dst, all, ETH_ALEN) == 0)
		return TYPE_BROADCAST;
	if (eth_is_multicast(dst))
		return TYPE_MULTICAST;
	return memcmp(dst, us, ETH_ALEN) == 0 ? TYPE_HOST : TYPE_OTHERHOST;
}

static bool fill(const struct net_if_info *i, const uint8_t *frame, uint32_t n, bool outgoing,
		 struct net_frame *f)
{
	struct eth_hdr eth;

	*f = (struct net_frame){.ifindex = i->index,
				.hw_type = i->type,
				.data = frame,
				.len = n,
				.net_off = net_if_header(i),
				.outgoing = outgoing};
	if (!f->net_off) {
		if (!n)
			return false;
		f->protocol = frame[0] >> 4 == 4 ? ETH_P_IP4 : ETH_P_IP6;
	} else {
		if (!eth_parse(frame, n, &eth))
			return false;
		f->protocol = eth.type >= P_802_3_MIN ? eth.type : P_802_2;
		f->type = type_of(eth.dst, i->hw);
		memcpy(f->src, eth.src, ETH_ALEN);
		f->src_len = ETH_ALEN;
	}
	if (outgoing)
		f->type = TYPE_OUTGOING;
	return true;
}

/* st->lock may be held by nobody; the connection's may. */
static void tap_from(struct net_stack *st, uint32_t ifindex, const uint8_t *frame, uint32_t n, bool outgoing,
		     bool csum_unfinished, const struct net_tap *from)
{
	struct net_if_info i;
	struct net_frame f;

	if (!net_if_find(st, ifindex, NULL, &i) || !fill(&i, frame, n, outgoing, &f))
		return;
	if (f.type == TYPE_OTHERHOST && !i.promiscuity)
		return; /* a card would have dropped it */
	f.csum_unfinished = csum_unfinished;
	show(st, &f, from);
}

void tap_frame(struct net_stack *st, uint32_t ifindex, const uint8_t *frame, uint32_t n, bool outgoing,
	       bool csum_unfinished)
{
	tap_from(st, ifindex, frame, n, outgoing, csum_unfinished, NULL);
}

/* ---- the loopback ---- */

static void put_ip(uint8_t *at, const struct ip_packet *p)
{
	if (p->v6) {
		struct ip6_hdr h = {.tclass = p->tos,
				    .hops = p->ttl ? p->ttl : 64,
				    .next = p->protocol,
				    .payload = (uint16_t)p->len};

		memcpy(h.src, p->src.b, 16);
		memcpy(h.dst, p->dst.b, 16);
		ip6_put(at, &h);
	} else {
		struct ip4_hdr h = {.tos = p->tos,
				    .ttl = p->ttl ? p->ttl : 64,
				    .protocol = p->protocol,
				    .total = (uint16_t)(IP4_HLEN + p->len),
				    .df = true,
				    .src = p->src.w[3],
				    .dst = p->dst.w[3]};

		ip4_put(at, &h);
	}
}

void tap_local(struct net_stack *st, const struct ip_packet *p)
{
	uint32_t head = ETH_HLEN + (p->v6 ? IP6_HLEN : IP4_HLEN);
	static const uint8_t none[ETH_ALEN];
	uint8_t *frame;

	if (p->len > 65535 - IP4_HLEN)
		return;
	frame = kmalloc(head + p->len);
	if (!frame)
		return;
	eth_put(frame, none, none, p->v6 ? ETH_P_IP6 : ETH_P_IP4);
	put_ip(frame + ETH_HLEN, p);
	memcpy(frame + head, p->data, p->len);
	tap_frame(st, NET_LO_INDEX, frame, head + p->len, true, false);
	tap_frame(st, NET_LO_INDEX, frame, head + p->len, false, false);
	kfree(frame);
}

/* A packet that a packet socket put on the loopback. TCP's segments have no receiver there: connections on this
 * machine are no segments. */
static void lo_input(struct net_stack *st, uint16_t type, const uint8_t *data, uint32_t n)
{
	struct ip_packet p = {.ifindex = NET_LO_INDEX};

	if (type == ETH_P_IP4) {
		struct ip4_hdr h;

		if (!ip4_parse(data, n, &h) || h.mf || h.offset)
			return;
		if ((h.src & 0xff) == 127 || (h.dst & 0xff) == 127)
			return; /* came without a route: a martian (RFC 1812 section 5.3.7) */
		p.protocol = h.protocol;
		p.ttl = h.ttl;
		p.tos = h.tos;
		p.src = net_addr4(h.src);
		p.dst = net_addr4(h.dst);
		p.data = data + h.hlen;
		p.len = (uint32_t)h.total - h.hlen;
	} else if (type == ETH_P_IP6) {
		struct ip6_chain c;
		struct ip6_hdr h;

		if (!ip6_parse(data, n, &h))
			return;
		ip6_walk(data, IP6_HLEN + h.payload, h.next, &c);
		if (!c.ok || c.fragment)
			return;
		p.v6 = true;
		p.protocol = c.protocol;
		p.ttl = h.hops;
		p.tos = h.tclass;
		memcpy(p.src.b, h.src, 16);
		memcpy(p.dst.b, h.dst, 16);
		p.data = data + c.offset;
		p.len = IP6_HLEN + h.payload - c.offset;
	} else {
		return;
	}
	if (net_addr_is_local(st, &p.dst) || net_addr_multicast(&p.dst))
		ip_deliver(st, &p);
}

int net_frame_send(struct net_stack *st, uint32_t ifindex, const uint8_t *frame, uint32_t len,
		   const struct net_tap *from)
{
	struct net_if_info i;
	struct link *l;
	struct pkt p;
	uint32_t head;

	if (!net_if_find(st, ifindex, NULL, &i))
		return -ENXIO;
	if (!(i.flags & IFF_UP_))
		return -ENETDOWN;
	head = net_if_header(&i);
	if (len < head || !len)
		return -EINVAL;
	if (len - head > i.mtu)
		return -EMSGSIZE;
	if (i.index == NET_LO_INDEX) {
		COUNT_LO(st, 1, len);
		tap_from(st, ifindex, frame, len, true, false, from);
		tap_from(st, ifindex, frame, len, false, false, NULL);
		lo_input(st, get_be16(frame + 12), frame + ETH_HLEN, len - ETH_HLEN);
		return 0;
	}
	l = st->wire_priv ? wire_link(st->wire_priv, ifindex) : NULL;
	if (!l)
		return -ENETDOWN;
	pkt_init(&p);
	pkt_add(&p, frame, len);
	if (stack_tapped(st))
		tap_from(st, ifindex, frame, len, true, false, from);
	link_send(l, &p);
	return 0;
}
