/* virt.c: links that end in this machine: dummy, both ends of a veth pair, a bridge's own end. What is sent
 * into a pair waits in a queue for the thread that runs the other end's stack, so that no lock of one stack is
 * held in another. A link that was deleted stays in its stack's list, unused, until another is made or the
 * stack goes: whoever holds a pointer to it without a lock sends into nothing. */
#include "netstack/core/attach.h"
#include "netstack/link/virt.h"
#include "platform/base/clock.h"
#include "platform/base/random.h"

#define QUEUE_MAX 1000u /* net.core.netdev_max_backlog */
#define RUN_MAX	  64u
#define FDB_MAX	  256u
#define FDB_NS	  300000000000ULL /* brctl setageing */

enum { DEAD, DUMMY, VETH, BRIDGE };

struct frame {
	struct list node;
	uint32_t len;
	uint8_t data[];
};

/* A cable. Each end holds a reference. */
struct pair {
	struct refs refs;
	struct mutex lock;    /* rank NET_LINK */
	struct virt *end[2];  /* [lock] NULL: cut off */
	struct list queue[2]; /* [lock] of frames for that end */
	uint32_t queued[2];   /* [a] written under lock */
};

struct fdb_entry {
	uint8_t hw[ETH_ALEN];
	struct link *port; /* NULL: free */
	uint64_t seen;
};

struct virt {
	struct link l;
	struct net_stack *st;  /* [I] */
	struct mutex lock;     /* rank NET_LINK: kind, pair, fdb */
	uint8_t kind;	       /* [a] written under lock */
	struct pair *pair;     /* [lock] a reference */
	uint8_t end;	       /* [lock] */
	struct fdb_entry *fdb; /* [lock] BRIDGE */
};

static struct virt *virt_of(struct link *l)
{
	return container_of(l, struct virt, l);
}

static void pair_put(struct pair *p)
{
	struct frame *f, *tmp;

	if (!refs_put(&p->refs))
		return;
	for (int i = 0; i < 2; i++)
		list_for_each_safe (f, tmp, &p->queue[i], node)
			kfree(f);
	kfree(p);
}

/* ---- frames ---- */

static int veth_send(struct virt *v, const struct pkt *p)
{
	struct frame *f = kmalloc(sizeof(*f) + pkt_len(p));
	struct pair *pair = NULL;
	struct virt *other;
	uint8_t to;
	int ret = -ENETDOWN;

	if (!f)
		return -ENOBUFS;
	f->len = pkt_len(p);
	pkt_flatten(p, f->data);
	mutex_lock(&v->lock);
	if (v->pair) {
		pair = v->pair;
		refs_get(&pair->refs);
	}
	to = (uint8_t)!v->end;
	mutex_unlock(&v->lock);
	if (pair) {
		mutex_lock(&pair->lock);
		other = pair->end[to];
		if (other && __atomic_load_n(&other->l.up, __ATOMIC_RELAXED) && pair->queued[to] < QUEUE_MAX) {
			list_add_tail(&pair->queue[to], &f->node);
			__atomic_store_n(&pair->queued[to], pair->queued[to] + 1, __ATOMIC_RELEASE);
			f = NULL;
			ret = 0;
			stack_kick(other->st);
		}
		mutex_unlock(&pair->lock);
		pair_put(pair);
	}
	kfree(f);
	return ret;
}

static struct frame *veth_take(struct virt *v, bool *more)
{
	struct frame *f = NULL;
	struct pair *p;

	mutex_lock(&v->lock);
	p = v->pair;
	if (p && __atomic_load_n(&p->queued[v->end], __ATOMIC_ACQUIRE)) {
		mutex_lock_nested(&p->lock);
		f = list_first(&p->queue[v->end], struct frame, node);
		if (f) {
			list_del(&f->node);
			__atomic_store_n(&p->queued[v->end], p->queued[v->end] - 1, __ATOMIC_RELEASE);
			*more = p->queued[v->end] != 0;
		}
		mutex_unlock(&p->lock);
	}
	mutex_unlock(&v->lock);
	return f;
}

/* ---- bridges (IEEE 802.1D without the spanning tree) ---- */

static struct link *fdb_find(struct virt *b, const uint8_t *hw, uint64_t now)
{
	struct link *port = NULL;

	mutex_lock(&b->lock);
	for (uint32_t i = 0; b->fdb && i < FDB_MAX; i++) {
		struct fdb_entry *e = &b->fdb[i];

		if (e->port && memcmp(e->hw, hw, ETH_ALEN) == 0 && now - e->seen < FDB_NS) {
			port = e->port;
			break;
		}
	}
	mutex_unlock(&b->lock);
	return port;
}

static void fdb_learn(struct virt *b, const uint8_t *hw, struct link *port, uint64_t now)
{
	struct fdb_entry *e, *to = NULL;

	if (eth_is_multicast(hw))
		return;
	mutex_lock(&b->lock);
	for (uint32_t i = 0; b->fdb && i < FDB_MAX; i++) {
		e = &b->fdb[i];
		if (e->port && memcmp(e->hw, hw, ETH_ALEN) == 0) {
			to = e;
			break;
		}
		if (!to || (to->port && (!e->port || e->seen < to->seen)))
			to = e;
	}
	if (to) {
		memcpy(to->hw, hw, ETH_ALEN);
		to->port = port;
		to->seen = now;
	}
	mutex_unlock(&b->lock);
}

static bool port_of(const struct virt *b, const struct link *l)
{
	return l && __atomic_load_n(&l->master, __ATOMIC_ACQUIRE) == &b->l &&
	       __atomic_load_n(&l->up, __ATOMIC_RELAXED);
}

/* Out by one port, or by all but the one that it came by. */
static void bridge_out(struct virt *b, const struct link *from, struct link *to, const struct pkt *p)
{
	struct link *l;

	if (to) {
		if (port_of(b, to) && to != from)
			link_xmit(to, p);
		return;
	}
	for (uint32_t i = 0; i < WIRE_LINKS; i++) {
		l = __atomic_load_n(&b->l.w->links[i], __ATOMIC_ACQUIRE);
		if (!l)
			break;
		if (l != from && port_of(b, l))
			link_xmit(l, p);
	}
}

void bridge_input(struct link *bridge, struct link *from, const uint8_t *frame, uint32_t n)
{
	struct virt *b = virt_of(bridge);
	uint64_t now = wire_now(bridge->w);
	struct link *to = NULL;
	bool multicast;
	struct pkt p;

	if (n < ETH_HLEN || !__atomic_load_n(&bridge->up, __ATOMIC_RELAXED))
		return;
	fdb_learn(b, frame + ETH_ALEN, from, now);
	multicast = eth_is_multicast(frame);
	if (memcmp(frame, bridge->hw, ETH_ALEN) == 0) {
		wire_input(bridge, frame, n, false);
		return;
	}
	if (!multicast)
		to = fdb_find(b, frame, now);
	pkt_init(&p);
	pkt_add(&p, frame, n);
	bridge_out(b, from, to, &p);
	if (multicast)
		wire_input(bridge, frame, n, false);
}

static int bridge_send(struct virt *b, const struct pkt *p)
{
	uint8_t dst[ETH_ALEN];
	const uint8_t *head = pkt_head_len(p) >= ETH_ALEN ? p->room + p->start : p->pieces[0].iov_base;

	if (pkt_len(p) < ETH_HLEN)
		return -EINVAL;
	memcpy(dst, head, ETH_ALEN);
	bridge_out(b, NULL, eth_is_multicast(dst) ? NULL : fdb_find(b, dst, wire_now(b->l.w)), p);
	return 0;
}

/* ---- the link ---- */

static int virt_send(struct link *l, const struct pkt *p)
{
	struct virt *v = virt_of(l);

	switch (__atomic_load_n(&v->kind, __ATOMIC_ACQUIRE)) {
	case DUMMY:
		return 0;
	case VETH:
		return veth_send(v, p);
	case BRIDGE:
		return bridge_send(v, p);
	default:
		return -ENETDOWN;
	}
}

static int virt_receive(struct link *l, uint32_t budget)
{
	struct virt *v = virt_of(l);
	struct frame *f;
	bool more = true;

	while (more && budget--) {
		more = false;
		f = veth_take(v, &more);
		if (!f)
			break;
		if (__atomic_load_n(&l->up, __ATOMIC_RELAXED))
			wire_input(l, f->data, f->len, false);
		kfree(f);
	}
	return more;
}

/* What was behind it is gone; the struct stays. */
static void disconnect(struct virt *v)
{
	struct pair *pair;
	struct fdb_entry *fdb;
	uint8_t end;

	mutex_lock(&v->lock);
	pair = v->pair;
	end = v->end;
	fdb = v->fdb;
	v->pair = NULL;
	v->fdb = NULL;
	__atomic_store_n(&v->kind, DEAD, __ATOMIC_RELEASE);
	mutex_unlock(&v->lock);
	kfree(fdb);
	if (!pair)
		return;
	mutex_lock(&pair->lock);
	if (pair->end[end] == v)
		pair->end[end] = NULL;
	mutex_unlock(&pair->lock);
	pair_put(pair);
}

static void virt_close(struct link *l)
{
	disconnect(virt_of(l));
	kfree(virt_of(l));
}

static const struct link_ops virt_ops = {virt_send, virt_receive, virt_close};

bool link_is_virtual(const struct link *l)
{
	return l->ops == &virt_ops;
}

const char *link_kind(struct link *l)
{
	static const char *const names[] = {"", "dummy", "veth", "bridge"};

	return link_is_virtual(l) ? names[__atomic_load_n(&virt_of(l)->kind, __ATOMIC_ACQUIRE)] : "";
}

/* The interface at the other end of l's cable: its number in its own stack; 0: none, or cut. */
uint32_t link_peer(struct link *l, bool hold, struct net_stack **st, bool *up)
{
	struct virt *v = virt_of(l), *other;
	uint32_t index = 0;

	*up = false;
	mutex_lock(&v->lock);
	if (v->pair) {
		mutex_lock_nested(&v->pair->lock);
		other = v->pair->end[!v->end];
		if (other) {
			index = other->l.ifindex;
			*up = __atomic_load_n(&other->l.up, __ATOMIC_RELAXED);
			*st = other->st;
			if (hold && !refs_get_unless_zero(&other->st->refs))
				index = 0;
		}
		mutex_unlock(&v->pair->lock);
	}
	mutex_unlock(&v->lock);
	return index;
}

/* One that was deleted is used again. */
static struct virt *revive(struct net_stack *st, struct wire *w)
{
	struct link *l;

	for (uint32_t i = 0; i < WIRE_LINKS; i++) {
		l = __atomic_load_n(&w->links[i], __ATOMIC_ACQUIRE);
		if (!l)
			break;
		if (link_is_virtual(l) && !l->ifindex && virt_of(l)->st == st && virt_of(l)->kind == DEAD)
			return virt_of(l);
	}
	return NULL;
}

static int make(struct net_stack *st, uint8_t kind, struct pair *pair, uint8_t end, const uint8_t *hw,
		uint32_t mtu, const char *name, uint32_t *ifindex)
{
	struct fdb_entry *fdb = NULL;
	struct wire *w;
	struct virt *v;
	int ret = stack_wire(st, &w);
	bool fresh;

	if (ret < 0)
		return ret;
	if (kind == BRIDGE) {
		fdb = kmalloc(FDB_MAX * sizeof(*fdb));
		if (!fdb)
			return -ENOMEM;
	}
	v = revive(st, w);
	fresh = !v;
	if (fresh) {
		v = kmalloc(sizeof(*v));
		if (!v) {
			kfree(fdb);
			return -ENOMEM;
		}
		mutex_init(&v->lock, RANK_NET_LINK);
		v->st = st;
		v->l.ops = &virt_ops;
		v->l.fd = -1;
	}
	v->l.features = LINK_ETHER | (kind == DUMMY ? LINK_NOARP : 0);
	v->l.mtu = mtu ? mtu : 1500;
	memcpy(v->l.hw, hw, ETH_ALEN);
	mutex_lock(&v->lock);
	v->fdb = fdb;
	v->pair = pair;
	v->end = end;
	__atomic_store_n(&v->kind, kind, __ATOMIC_RELEASE);
	mutex_unlock(&v->lock);
	if (pair) {
		refs_get(&pair->refs);
		mutex_lock(&pair->lock);
		pair->end[end] = v;
		mutex_unlock(&pair->lock);
	}
	ret = stack_attach_down(st, &v->l, name, fresh);
	if (ret == 0)
		*ifindex = v->l.ifindex;
	return ret;
}

static void own_address(const struct net_virt_end *e, uint8_t *hw)
{
	uint64_t r = random_u64();

	if (e->has_hw) {
		memcpy(hw, e->hw, ETH_ALEN);
		return;
	}
	memcpy(hw, &r, ETH_ALEN);
	hw[0] = (uint8_t)((hw[0] & 0xfe) | 2); /* locally administered, of one station */
}

int net_virt_add(struct net_stack *st, const struct net_virt_config *c, uint32_t *ifindex)
{
	uint8_t hw[ETH_ALEN];
	struct pair *pair;
	uint32_t other;
	int ret;

	if (!if_name_ok(c->end.name))
		return -EINVAL;
	own_address(&c->end, hw);
	if (strcmp(c->kind, "dummy") == 0)
		return make(st, DUMMY, NULL, 0, hw, c->end.mtu, c->end.name, ifindex);
	if (strcmp(c->kind, "bridge") == 0)
		return make(st, BRIDGE, NULL, 0, hw, c->end.mtu, c->end.name, ifindex);
	if (strcmp(c->kind, "veth") != 0)
		return -EOPNOTSUPP;
	if (!if_name_ok(c->peer.name))
		return -EINVAL;
	pair = kmalloc(sizeof(*pair));
	if (!pair)
		return -ENOMEM;
	refs_init(&pair->refs);
	mutex_init(&pair->lock, RANK_NET_LINK);
	list_init(&pair->queue[0]);
	list_init(&pair->queue[1]);
	/* the peer first: its number is the lower one, as on Linux */
	own_address(&c->peer, hw);
	ret = make(c->peer_stack ? c->peer_stack : st, VETH, pair, 1, hw, c->peer.mtu, c->peer.name, &other);
	if (ret == 0) {
		own_address(&c->end, hw);
		ret = make(st, VETH, pair, 0, hw, c->end.mtu, c->end.name, ifindex);
		if (ret < 0)
			(void)!net_if_del(c->peer_stack ? c->peer_stack : st, other);
	}
	pair_put(pair);
	return ret;
}

/* What l is becomes another link in another stack. The old one is dead. */
int link_move(struct link *l, struct net_stack *to, const char *name, uint32_t *ifindex)
{
	struct virt *v = virt_of(l);
	struct pair *pair;
	uint8_t kind, end, hw[ETH_ALEN];
	uint32_t mtu = l->mtu;
	int ret;

	mutex_lock(&v->lock);
	kind = v->kind;
	pair = v->pair;
	end = v->end;
	if (pair)
		refs_get(&pair->refs);
	mutex_unlock(&v->lock);
	if (kind == BRIDGE || kind == DEAD) { /* NETIF_F_NETNS_LOCAL */
		if (pair)
			pair_put(pair);
		return -EINVAL;
	}
	memcpy(hw, l->hw, ETH_ALEN);
	disconnect(v);
	ret = make(to, kind, pair, end, hw, mtu, name, ifindex);
	if (pair)
		pair_put(pair);
	return ret;
}

void link_dead(struct link *l)
{
	if (link_is_virtual(l))
		disconnect(virt_of(l));
}

bool links_run(struct wire *w)
{
	struct link *l;
	bool more = false;

	for (uint32_t i = 0; i < WIRE_LINKS; i++) {
		l = __atomic_load_n(&w->links[i], __ATOMIC_ACQUIRE);
		if (!l)
			break;
		if (link_is_virtual(l) && l->ops->receive(l, RUN_MAX) > 0)
			more = true;
	}
	return more;
}
