/* ethernet.c: who has which hardware address: the table of neighbours for ARP and neighbour discovery (RFC 4861
 * section 7.3: INCOMPLETE, REACHABLE, STALE and PROBE; DELAY is part of PROBE), and packets that wait for an
 * answer. Packets leave with no lock held. */
#include "netstack/wire.h"

#define REACHABLE_NS 30000000000ULL
#define RETRANS_NS   1000000000ULL
#define PROBES	     3
#define STALE_NS     600000000000ULL

static struct list *bucket_of(struct wire *w, const struct net_addr *a)
{
	return &w->neighs[hash_bytes(w->secret[0], a->b, 16) % NEIGH_BUCKETS];
}

static struct neigh *find_locked(struct wire *w, const struct net_addr *a, uint32_t ifindex)
{
	struct neigh *n;

	list_for_each (n, bucket_of(w, a), node)
		if (n->ifindex == ifindex && net_addr_eq(&n->addr, a))
			return n;
	return NULL;
}

static void free_queue(struct list *queue)
{
	struct pbuf *b, *tmp;

	list_for_each_safe (b, tmp, queue, node)
		kfree(b);
	list_init(queue);
}

static void free_locked(struct wire *w, struct neigh *n)
{
	list_del(&n->node);
	free_queue(&n->queue);
	w->neigh_count--;
	kfree(n);
}

/* Room for a new one: the one of its bucket, or of any, that was used least lately goes. */
static void evict_locked(struct wire *w)
{
	struct neigh *n, *oldest = NULL;

	for (uint32_t i = 0; i < NEIGH_BUCKETS; i++)
		list_for_each (n, &w->neighs[i], node)
			if (!oldest || n->used < oldest->used)
				oldest = n;
	if (oldest)
		free_locked(w, oldest);
}

static struct neigh *create_locked(struct wire *w, const struct net_addr *a, uint32_t ifindex, uint64_t now)
{
	struct neigh *n;

	if (w->neigh_count >= NEIGH_MAX)
		evict_locked(w);
	n = kmalloc(sizeof(*n));
	if (!n)
		return NULL;
	n->addr = *a;
	n->ifindex = ifindex;
	n->used = now;
	n->when = TIMER_NEVER;
	list_init(&n->queue);
	list_add(bucket_of(w, a), &n->node);
	w->neigh_count++;
	return n;
}

static void solicit(struct link *l, const struct net_addr *a, const uint8_t *to)
{
	if (net_addr_is4(a))
		arp_request(l, a->w[3], to);
	else
		nd6_solicit(l, a, to);
}

void link_eth_output(struct link *l, struct pkt *p, const uint8_t *dst, uint16_t type)
{
	eth_put(pkt_push(p, ETH_HLEN), dst, l->hw, type);
	link_xmit(l, p);
}

/* RFC 1112 6.4, RFC 2464 section 7 */
static bool fixed_address(const struct net_addr *a, uint8_t *hw)
{
	if (net_addr_is4(a)) {
		if (a->w[3] == 0xffffffff) {
			memset(hw, 0xff, ETH_ALEN);
			return true;
		}
		if (!net_addr_multicast(a))
			return false;
		memcpy(hw, (uint8_t[]){0x01, 0x00, 0x5e, a->b[13] & 0x7f, a->b[14], a->b[15]}, ETH_ALEN);
		return true;
	}
	if (!net_addr_multicast(a))
		return false;
	memcpy(hw, (uint8_t[]){0x33, 0x33, a->b[12], a->b[13], a->b[14], a->b[15]}, ETH_ALEN);
	return true;
}

void neigh_output(struct link *l, const struct net_addr *next_hop, struct pkt *p)
{
	uint16_t type = net_addr_is4(next_hop) ? ETH_P_IP4 : ETH_P_IP6;
	struct wire *w = l->w;
	uint8_t hw[ETH_ALEN], probe_to[ETH_ALEN];
	bool known = true, ask = false, probe = false;
	uint64_t now = wire_now(w);
	struct neigh *n;
	struct pbuf *b;

	if (fixed_address(next_hop, hw)) {
		link_eth_output(l, p, hw, type);
		return;
	}
	mutex_lock(&w->lock);
	n = find_locked(w, next_hop, l->ifindex);
	if (!n) {
		n = create_locked(w, next_hop, l->ifindex, now);
		if (!n) {
			mutex_unlock(&w->lock);
			return;
		}
		n->state = NEIGH_INCOMPLETE;
		n->probes = 1;
		n->when = now + RETRANS_NS;
		ask = true;
	}
	n->used = now;
	if (n->state == NEIGH_INCOMPLETE) {
		known = false;
		if (n->queued < NEIGH_QUEUE && (b = pbuf_copy(p))) {
			list_add_tail(&n->queue, &b->node);
			n->queued++;
		}
	} else {
		memcpy(hw, n->hw, ETH_ALEN);
		if (n->state == NEIGH_REACHABLE && now >= n->when)
			n->state = NEIGH_STALE;
		if (n->state == NEIGH_STALE) { /* used again: ask whether it is still there */
			n->state = NEIGH_PROBE;
			n->probes = 1;
			n->when = now + RETRANS_NS;
			memcpy(probe_to, hw, ETH_ALEN);
			probe = true;
		}
	}
	if (ask || probe)
		net_timer_set(&w->timers, &w->neigh_timer, MIN(now + RETRANS_NS, w->neigh_timer.deadline));
	mutex_unlock(&w->lock);
	if (known)
		link_eth_output(l, p, hw, type);
	if (ask || probe)
		solicit(l, next_hop, probe ? probe_to : NULL);
}

void neigh_learn(struct link *l, const struct net_addr *addr, const uint8_t *hw, bool override, bool solicited,
		 bool create)
{
	struct wire *w = l->w;
	uint64_t now = wire_now(w);
	struct list ready;
	struct pbuf *b, *tmp;
	struct neigh *n;
	bool same;

	if (eth_is_multicast(hw))
		return;
	list_init(&ready);
	mutex_lock(&w->lock);
	n = find_locked(w, addr, l->ifindex);
	if (!n && create) {
		n = create_locked(w, addr, l->ifindex, now);
		if (n)
			n->state = NEIGH_INCOMPLETE;
	}
	if (n && n->state != NEIGH_PERMANENT) {
		same = n->state != NEIGH_INCOMPLETE && memcmp(n->hw, hw, ETH_ALEN) == 0;
		if (n->state == NEIGH_INCOMPLETE || same || override) {
			memcpy(n->hw, hw, ETH_ALEN);
			if (solicited || (n->state == NEIGH_REACHABLE && same)) {
				n->state = NEIGH_REACHABLE;
				n->when = now + REACHABLE_NS;
			} else if (!same) {
				n->state = NEIGH_STALE;
			}
			n->probes = 0;
			list_splice_tail(&ready, &n->queue);
			n->queued = 0;
		}
	}
	mutex_unlock(&w->lock);
	list_for_each_safe (b, tmp, &ready, node) {
		link_eth_output(l, &b->pkt, hw, net_addr_is4(addr) ? ETH_P_IP4 : ETH_P_IP6);
		kfree(b);
	}
}

/* What a neighbour that doesn't answer costs those whose packets wait: told by the caller, without locks. */
static void unreachable(struct wire *w, struct list *lost)
{
	struct pbuf *b, *tmp;

	list_for_each_safe (b, tmp, lost, node) {
		WCOUNT(w, neigh_failed);
		ip_tell_unreachable(w, &b->pkt);
		kfree(b);
	}
}

struct due {
	struct net_addr addr;
	uint32_t ifindex;
	uint8_t hw[ETH_ALEN];
	bool unicast;
};
#define DUE_MAX 16

/* One step of a neighbour whose time has come. True: ask again. */
static bool step_locked(struct wire *w, struct neigh *n, uint64_t now, struct due *due, struct list *lost)
{
	if (n->state == NEIGH_PERMANENT)
		return false;
	if (n->state == NEIGH_STALE || n->state == NEIGH_REACHABLE) {
		if (now - n->used > STALE_NS)
			free_locked(w, n);
		return false;
	}
	if (n->probes >= PROBES) {
		list_splice_tail(lost, &n->queue);
		free_locked(w, n);
		return false;
	}
	n->probes++;
	n->when = now + RETRANS_NS;
	*due = (struct due){.addr = n->addr, .ifindex = n->ifindex, .unicast = n->state == NEIGH_PROBE};
	memcpy(due->hw, n->hw, ETH_ALEN);
	return true;
}

void neigh_timer_run(struct net_timer *t)
{
	struct wire *w = container_of(t, struct wire, neigh_timer);
	uint64_t now = wire_now(w), next = TIMER_NEVER;
	struct due due[DUE_MAX];
	uint32_t count = 0;
	struct neigh *n, *tmp;
	struct list lost;

	list_init(&lost);
	mutex_lock(&w->lock);
	for (uint32_t i = 0; i < NEIGH_BUCKETS; i++) {
		list_for_each_safe (n, tmp, &w->neighs[i], node) {
			bool asking = n->state == NEIGH_INCOMPLETE || n->state == NEIGH_PROBE;

			if ((asking && n->when <= now && count < DUE_MAX) || !asking) {
				if (step_locked(w, n, now, &due[count], &lost))
					count++;
				else
					continue;
			}
			if (asking)
				next = MIN(next, MAX(n->when, now + 1000000));
		}
	}
	net_timer_set(&w->timers, &w->neigh_timer, next);
	mutex_unlock(&w->lock);
	for (uint32_t i = 0; i < count; i++) {
		struct link *l = wire_link(w, due[i].ifindex);

		if (l)
			solicit(l, &due[i].addr, due[i].unicast ? due[i].hw : NULL);
	}
	unreachable(w, &lost);
}

void neigh_drop_link(struct wire *w, uint32_t ifindex)
{
	struct neigh *n, *tmp;

	mutex_lock(&w->lock);
	for (uint32_t i = 0; i < NEIGH_BUCKETS; i++)
		list_for_each_safe (n, tmp, &w->neighs[i], node)
			if (n->ifindex == ifindex)
				free_locked(w, n);
	mutex_unlock(&w->lock);
}

void neigh_drop_all(struct wire *w)
{
	struct neigh *n, *tmp;

	net_timer_cancel(&w->timers, &w->neigh_timer);
	for (uint32_t i = 0; i < NEIGH_BUCKETS; i++)
		list_for_each_safe (n, tmp, &w->neighs[i], node)
			free_locked(w, n);
}

/* ---- as rtnetlink(7) shows and changes them ---- */

#define NUD_INCOMPLETE 0x01
#define NUD_REACHABLE  0x02
#define NUD_STALE      0x04
#define NUD_PROBE      0x10
#define NUD_PERMANENT  0x80

static void fill_info(const struct neigh *n, struct net_neigh_info *out)
{
	static const uint8_t states[] = {NUD_INCOMPLETE, NUD_REACHABLE, NUD_STALE, NUD_PROBE, NUD_PERMANENT};

	*out = (struct net_neigh_info){.addr = n->addr, .if_index = n->ifindex, .state = states[n->state]};
	memcpy(out->hw, n->hw, ETH_ALEN);
}

bool net_neigh_at(struct net_stack *st, uint32_t at, struct net_neigh_info *out)
{
	struct wire *w = __atomic_load_n(&st->wire_priv, __ATOMIC_ACQUIRE);
	bool found = false;
	struct neigh *n;

	if (!w)
		return false;
	mutex_lock(&w->lock);
	for (uint32_t i = 0; i < NEIGH_BUCKETS && !found; i++) {
		list_for_each (n, &w->neighs[i], node) {
			if (at-- == 0) {
				fill_info(n, out);
				found = true;
				break;
			}
		}
	}
	mutex_unlock(&w->lock);
	return found;
}

int net_neigh_set(struct net_stack *st, const struct net_neigh_info *info, bool create)
{
	struct link *l = stack_link(st, info->if_index);
	struct net_event e = {.what = NET_EVENT_NEIGH};
	uint64_t now;
	struct neigh *n;

	if (!l)
		return -ENODEV;
	now = wire_now(l->w);
	mutex_lock(&l->w->lock);
	n = find_locked(l->w, &info->addr, info->if_index);
	if (!n && !create) {
		mutex_unlock(&l->w->lock);
		return -ENOENT;
	}
	if (!n)
		n = create_locked(l->w, &info->addr, info->if_index, now);
	if (n) {
		memcpy(n->hw, info->hw, ETH_ALEN);
		n->state = info->state & NUD_PERMANENT	 ? NEIGH_PERMANENT
			   : info->state & NUD_REACHABLE ? NEIGH_REACHABLE
							 : NEIGH_STALE;
		n->when = now + REACHABLE_NS;
		fill_info(n, &e.neigh);
	}
	mutex_unlock(&l->w->lock);
	if (n)
		stack_tell(st, &e);
	return n ? 0 : -ENOMEM;
}

int net_neigh_del(struct net_stack *st, const struct net_neigh_info *info)
{
	struct link *l = stack_link(st, info->if_index);
	struct net_event e = {.what = NET_EVENT_NEIGH, .gone = true};
	struct neigh *n;

	if (!l)
		return -ENODEV;
	mutex_lock(&l->w->lock);
	n = find_locked(l->w, &info->addr, info->if_index);
	if (n) {
		fill_info(n, &e.neigh);
		free_locked(l->w, n);
	}
	mutex_unlock(&l->w->lock);
	if (n)
		stack_tell(st, &e);
	return n ? 0 : -ENOENT;
}
