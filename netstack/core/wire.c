/* wire.c: the lower half of a stack: links in, links out, and its life. */
#include "netstack/transport/tcp_conn.h"
#include <stdio.h>

#include "netstack/link/pcap.h"
#include "netstack/wire.h"
#include "platform/base/clock.h"
#include "platform/base/random.h"

static uint64_t host_clock(void *arg)
{
	(void)arg;
	return clock_monotonic_ns();
}

int wire_create(const struct wire_up *up, void *arg, uint64_t (*clock)(void *), void *clock_arg,
		struct wire **out)
{
	struct wire *w = kmalloc(sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->conns = kmalloc(CONN_BUCKETS * sizeof(*w->conns));
	if (!w->conns) {
		kfree(w);
		return -ENOMEM;
	}
	w->up = up;
	w->up_arg = arg;
	w->clock = clock ? clock : host_clock;
	w->clock_arg = clock_arg;
	timers_init(&w->timers);
	random_bytes(w->secret, sizeof(w->secret));
	w->ip_id = (uint32_t)random_u64();
	mutex_init(&w->lock, RANK_NET_WIRE);
	for (uint32_t i = 0; i < NEIGH_BUCKETS; i++)
		list_init(&w->neighs[i]);
	for (uint32_t i = 0; i < CONN_BUCKETS; i++) {
		mutex_init(&w->conns[i].lock, RANK_NET_WIRE);
		list_init(&w->conns[i].conns);
	}
	list_init(&w->frags);
	net_timer_init(&w->neigh_timer, neigh_timer_run, NULL);
	net_timer_init(&w->frag_timer, frag_timer_run, NULL);
	w->tcp_mem = TCP_MEM_BYTES;
	w->cookie_after = 512;
	w->ecn = 2;
	snprintf(w->cc, sizeof(w->cc), "cubic");
	*out = w;
	return 0;
}

void wire_destroy(struct wire *w)
{
	struct pbuf *b, *tmp;

	tcp_conns_drop_all(w);
	neigh_drop_all(w);
	frag_drop_all(w);
	for (uint32_t i = 0; i < WIRE_LINKS; i++) {
		struct link *l = w->links[i];

		if (!l)
			continue;
		list_for_each_safe (b, tmp, &l->queue, node)
			kfree(b);
		l->ops->close(l);
	}
	kfree(w->conns);
	kfree(w);
}

uint64_t wire_run_timers(struct wire *w)
{
	return timers_run(&w->timers, wire_now(w));
}

int wire_attach(struct wire *w, struct link *l)
{
	struct link *none = NULL;

	l->w = w;
	mutex_init(&l->lock, RANK_NET_LINK);
	list_init(&l->queue);
	for (uint32_t i = 0; i < WIRE_LINKS; i++) {
		if (__atomic_compare_exchange_n(&w->links[i], &none, l, false, __ATOMIC_ACQ_REL,
						__ATOMIC_RELAXED))
			return 0;
		none = NULL;
	}
	l->ops->close(l);
	return -ENOSPC;
}

struct link *wire_link(struct wire *w, uint32_t ifindex)
{
	struct link *l;

	for (uint32_t i = 0; i < WIRE_LINKS; i++) {
		l = __atomic_load_n(&w->links[i], __ATOMIC_ACQUIRE);
		if (!l)
			return NULL;
		if (l->ifindex == ifindex)
			return l;
	}
	return NULL;
}

/* ---- out ---- */

static void sent(struct link *l, const struct pkt *p)
{
	__atomic_add_fetch(&l->tx_packets, 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&l->tx_bytes, pkt_len(p), __ATOMIC_RELAXED);
}

static void dropped(struct link *l)
{
	__atomic_add_fetch(&l->tx_dropped, 1, __ATOMIC_RELAXED);
}

/* Into the queue; true: it has begun to wait. */
static bool enqueue_locked(struct link *l, const struct pkt *p)
{
	bool first = list_empty(&l->queue);
	struct pbuf *b = l->queued < LINK_QUEUE_BYTES ? pbuf_copy(p) : NULL;

	if (!b) {
		dropped(l);
		return false;
	}
	list_add_tail(&l->queue, &b->node);
	__atomic_store_n(&l->queued, l->queued + pkt_len(p) + (uint32_t)sizeof(*b), __ATOMIC_RELAXED);
	return first;
}

/* Those who listen in see it in one piece. */
static void tap_out(struct link *l, const struct pkt *p)
{
	uint8_t *flat = kmalloc(pkt_len(p));

	if (!flat)
		return;
	pkt_flatten(p, flat);
	l->w->up->tap(l->w->up_arg, l, flat, pkt_len(p), true, p->partial_csum);
	kfree(flat);
}

static bool tapped(const struct link *l)
{
	return l->w->up->tapped && l->w->up->tapped(l->w->up_arg);
}

void link_xmit(struct link *l, const struct pkt *p)
{
	if (UNLIKELY(tapped(l)))
		tap_out(l, p);
	link_send(l, p);
}

void link_send(struct link *l, const struct pkt *p)
{
	bool wait = false;
	int ret;

	if (l->pcap)
		pcap_write_pkt(l->pcap, p);
	if (link_busy(l)) {
		mutex_lock(&l->lock);
		if (!list_empty(&l->queue)) {
			enqueue_locked(l, p);
			mutex_unlock(&l->lock);
			return;
		}
		mutex_unlock(&l->lock);
	}
	ret = l->ops->send(l, p);
	if (LIKELY(ret == 0)) {
		sent(l, p);
	} else if (ret == -EAGAIN) {
		mutex_lock(&l->lock);
		wait = enqueue_locked(l, p);
		mutex_unlock(&l->lock);
	} else {
		dropped(l);
	}
	if (wait && l->want_write)
		l->want_write(l);
}

void link_flush(struct link *l)
{
	struct pbuf *b;
	int ret;

	mutex_lock(&l->lock);
	while ((b = list_first(&l->queue, struct pbuf, node))) {
		ret = l->ops->send(l, &b->pkt);
		if (ret == -EAGAIN)
			break;
		if (ret == 0)
			sent(l, &b->pkt);
		else
			dropped(l);
		list_del(&b->node);
		__atomic_store_n(&l->queued, l->queued - pkt_len(&b->pkt) - (uint32_t)sizeof(*b),
				 __ATOMIC_RELAXED);
		kfree(b);
	}
	mutex_unlock(&l->lock);
}

/* ---- in ---- */

void wire_input(struct link *l, const uint8_t *frame, size_t n, bool csum_ok)
{
	struct eth_hdr eth;
	bool to_us = true;
	struct link *bridge = __atomic_load_n(&l->master, __ATOMIC_ACQUIRE);

	if (l->pcap)
		pcap_write(l->pcap, frame, n);
	__atomic_add_fetch(&l->rx_packets, 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&l->rx_bytes, n, __ATOMIC_RELAXED);
	if (UNLIKELY(tapped(l)))
		l->w->up->tap(l->w->up_arg, l, frame, (uint32_t)n, false, false);
	if (UNLIKELY(bridge != NULL)) {
		bridge_input(bridge, l, frame, (uint32_t)n);
		return;
	}
	if (l->features & LINK_ETHER) {
		if (!eth_parse(frame, n, &eth))
			goto drop;
		if (!eth_is_multicast(eth.dst) && memcmp(eth.dst, l->hw, ETH_ALEN) != 0)
			goto drop; /* of somebody else: a bridge floods */
		to_us = !eth_is_multicast(eth.dst);
		frame += ETH_HLEN;
		n -= ETH_HLEN;
	} else if (n >= 1) {
		eth.type = frame[0] >> 4 == 4 ? ETH_P_IP4 : ETH_P_IP6;
	} else {
		goto drop;
	}
	switch (eth.type) {
	case ETH_P_IP4:
		ip4_input(l, frame, n, csum_ok, to_us);
		return;
	case ETH_P_IP6:
		ip6_input(l, frame, n, csum_ok, to_us);
		return;
	case ETH_P_ARP:
		if (l->features & LINK_ETHER)
			arp_input(l, frame, n);
		return;
	default:
		break;
	}
drop:
	__atomic_add_fetch(&l->rx_dropped, 1, __ATOMIC_RELAXED);
}
