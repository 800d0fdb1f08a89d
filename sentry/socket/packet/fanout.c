/* fanout.c: PACKET_FANOUT (packet(7)): a group of packet sockets that share the frames between them. A group
 * has one tap, and the sockets' own rest. */
#include <string.h>

#include "platform/base/arena.h"
#include "platform/base/bytes.h"
#include "platform/base/hash.h"
#include "platform/base/random.h"
#include "sentry/socket/packet/internal.h"

#define GROUP_MAX 32u

struct packet_fanout {
	struct list node; /* [list lock] */
	struct net_tap tap;
	struct net_stack *st;			/* [I] held by the members */
	struct mutex lock;			/* rank PACKET_GROUP: members, while a frame is given to one */
	struct packet_sock *members[GROUP_MAX]; /* [lock] */
	uint32_t count, next;			/* [lock] */
	uint16_t id, type, flags, protocol;	/* [I] */
	uint32_t ifindex;			/* [I] */
};

struct groups {
	struct mutex lock; /* rank PACKET_GROUPS */
	struct list all;
};

static struct groups *groups(void)
{
	return socket_family_state(LINUX_AF_PACKET);
}

/* Both directions of a flow go to the same socket. */
static uint32_t flow_hash(const struct net_frame *f)
{
	const uint8_t *ip = f->data + f->net_off;
	uint32_t n = f->len - f->net_off, sum = 0, at;

	if (f->protocol == 0x0800 && n >= 20) {
		sum = get_be32(ip + 12) + get_be32(ip + 16);
		at = (ip[0] & 15u) * 4;
		if ((ip[9] == 6 || ip[9] == 17) && !(get_be16(ip + 6) & 0x3fff) && n >= at + 4)
			sum += get_be16(ip + at) + get_be16(ip + at + 2);
	} else if (f->protocol == 0x86dd && n >= 40) {
		for (at = 8; at < 40; at += 4)
			sum += get_be32(ip + at);
		if ((ip[6] == 6 || ip[6] == 17) && n >= 44)
			sum += get_be16(ip + 40) + get_be16(ip + 42);
	}
	return (uint32_t)hash_bytes(1, &sum, sizeof(sum));
}

static uint32_t choose_locked(struct packet_fanout *g, const struct net_frame *f)
{
	switch (g->type) {
	case LINUX_PACKET_FANOUT_HASH:
		return flow_hash(f) % g->count;
	case LINUX_PACKET_FANOUT_LB:
		return g->next++ % g->count;
	case LINUX_PACKET_FANOUT_RND:
		return (uint32_t)random_u64() % g->count;
	default: /* by processor or queue: there is one of each here */
		return 0;
	}
}

static void on_frame(struct net_tap *t, const struct net_frame *f)
{
	struct packet_fanout *g = container_of(t, struct packet_fanout, tap);

	mutex_lock(&g->lock);
	if (g->count)
		packet_deliver(g->members[choose_locked(g, f)], f);
	mutex_unlock(&g->lock);
}

static struct packet_fanout *find_locked(struct groups *all, const struct packet_sock *p, uint16_t id)
{
	struct packet_fanout *g;

	list_for_each (g, &all->all, node)
		if (g->st == p->st && g->id == id)
			return g;
	return NULL;
}

static int join_locked(struct groups *all, struct packet_sock *p, uint16_t id, uint16_t type, uint16_t flags)
{
	struct packet_fanout *g = find_locked(all, p, id);
	int ret = -EINVAL;

	if (!g) {
		g = kmalloc(sizeof(*g));
		if (!g)
			return -ENOMEM;
		mutex_init(&g->lock, RANK_PACKET_GROUP);
		g->st = p->st;
		g->id = id;
		g->type = type;
		g->flags = flags;
		g->protocol = p->protocol;
		g->ifindex = p->ifindex;
		g->tap = (struct net_tap){.ifindex = p->ifindex, .protocol = p->protocol, .fn = on_frame};
		list_add_tail(&all->all, &g->node);
		net_tap_add(g->st, &g->tap);
	}
	mutex_lock(&g->lock);
	if (g->type == type && g->flags == flags && g->protocol == p->protocol && g->ifindex == p->ifindex) {
		ret = g->count < GROUP_MAX ? 0 : -ENOSPC;
		if (ret == 0)
			g->members[g->count++] = p;
	}
	mutex_unlock(&g->lock);
	if (ret == 0)
		__atomic_store_n(&p->fanout, g, __ATOMIC_RELEASE);
	return ret;
}

int packet_fanout_add(struct packet_sock *p, uint32_t arg)
{
	uint16_t id = (uint16_t)arg, type = arg >> 16 & 0xff, flags = (uint16_t)(arg >> 16 & 0xff00);
	struct groups *all = groups();
	int ret;

	switch (type) {
	case LINUX_PACKET_FANOUT_HASH:
	case LINUX_PACKET_FANOUT_LB:
	case LINUX_PACKET_FANOUT_CPU:
	case LINUX_PACKET_FANOUT_RND:
	case LINUX_PACKET_FANOUT_QM:
		break;
	default: /* rollover and programs aren't offered */
		return -EINVAL;
	}
	if (flags & ~LINUX_PACKET_FANOUT_FLAG_DEFRAG)
		return -EINVAL;
	if (p->fanout)
		return -EALREADY;
	if (!p->hooked)
		return -EINVAL;
	mutex_lock(&all->lock);
	ret = join_locked(all, p, id, type, flags);
	mutex_unlock(&all->lock);
	if (ret == 0) { /* frames come through the group alone */
		net_tap_del(p->st, &p->tap);
		p->hooked = false;
	}
	return ret;
}

void packet_fanout_leave(struct packet_sock *p)
{
	struct packet_fanout *g = p->fanout;
	struct groups *all = groups();
	bool last;

	if (!g)
		return;
	mutex_lock(&all->lock);
	mutex_lock(&g->lock);
	for (uint32_t n = 0; n < g->count; n++) {
		if (g->members[n] == p) {
			g->members[n] = g->members[--g->count];
			break;
		}
	}
	last = g->count == 0;
	mutex_unlock(&g->lock);
	if (last) {
		list_del(&g->node);
		net_tap_del(g->st, &g->tap);
		kfree(g);
	}
	mutex_unlock(&all->lock);
}

int packet_fanout_get(struct packet_sock *p, uint32_t *arg)
{
	struct packet_fanout *g = __atomic_load_n(&p->fanout, __ATOMIC_ACQUIRE);

	*arg = g ? (uint32_t)g->id | ((uint32_t)g->type | g->flags) << 16 : 0;
	return 0;
}

int packet_fanout_init(void)
{
	struct groups *all = kmalloc(sizeof(*all));

	if (!all)
		return -ENOMEM;
	mutex_init(&all->lock, RANK_PACKET_GROUPS);
	list_init(&all->all);
	socket_family_set_state(LINUX_AF_PACKET, all);
	return 0;
}
