/* opts.c: SOL_PACKET options (packet(7)) and memberships. */
#include <string.h>

#include "platform/base/arena.h"
#include "sentry/socket/packet/internal.h"

#define MEMBERS_MAX 64u

struct packet_mreq {
	int32_t ifindex;
	uint16_t type, alen;
	uint8_t addr[8];
};

static bool same(const struct packet_member *m, const struct packet_mreq *r)
{
	return m->ifindex == r->ifindex && m->type == r->type && m->alen == r->alen &&
	       memcmp(m->addr, r->addr, r->alen) == 0;
}

static int add_member(struct packet_sock *p, const struct packet_mreq *r)
{
	struct packet_member *m, *fresh;
	struct net_if_info info;
	uint32_t n = 0;

	if (r->ifindex <= 0 || !net_if_find(p->st, (uint32_t)r->ifindex, NULL, &info))
		return -ENODEV;
	if (r->alen > 8 || r->alen > info.hw_len || r->type > LINUX_PACKET_MR_UNICAST)
		return -EINVAL;
	fresh = kmalloc(sizeof(*fresh));
	if (!fresh)
		return -ENOBUFS;
	mutex_lock(&p->lock);
	list_for_each (m, &p->members, node) {
		n++;
		if (same(m, r)) {
			m->count++;
			mutex_unlock(&p->lock);
			kfree(fresh);
			return 0;
		}
	}
	if (n < MEMBERS_MAX) {
		*fresh = (struct packet_member){
			.ifindex = r->ifindex, .type = r->type, .alen = r->alen, .count = 1};
		memcpy(fresh->addr, r->addr, sizeof(r->addr));
		list_add_tail(&p->members, &fresh->node);
		fresh = NULL;
	}
	mutex_unlock(&p->lock);
	if (fresh) {
		kfree(fresh);
		return -ENOBUFS;
	}
	if (r->type == LINUX_PACKET_MR_PROMISC)
		net_if_promiscuous(p->st, (uint32_t)r->ifindex, 1);
	return 0;
}

/* One that isn't there is no error, as Linux has it. */
static int drop_member(struct packet_sock *p, const struct packet_mreq *r)
{
	struct packet_member *m, *found = NULL;

	mutex_lock(&p->lock);
	list_for_each (m, &p->members, node) {
		if (same(m, r)) {
			if (--m->count == 0) {
				list_del(&m->node);
				found = m;
			}
			break;
		}
	}
	mutex_unlock(&p->lock);
	if (found && found->type == LINUX_PACKET_MR_PROMISC)
		net_if_promiscuous(p->st, (uint32_t)found->ifindex, -1);
	kfree(found);
	return 0;
}

void packet_members_drop(struct packet_sock *p)
{
	struct packet_member *m, *tmp;

	list_for_each_safe (m, tmp, &p->members, node) {
		if (m->type == LINUX_PACKET_MR_PROMISC)
			net_if_promiscuous(p->st, (uint32_t)m->ifindex, -1);
		list_del(&m->node);
		kfree(m);
	}
}

static int member(struct packet_sock *p, int name, const void *val, uint32_t len)
{
	struct packet_mreq r = {0};

	if (len < sizeof(r))
		return -EINVAL;
	memcpy(&r, val, sizeof(r));
	return name == LINUX_PACKET_ADD_MEMBERSHIP ? add_member(p, &r) : drop_member(p, &r);
}

static bool *flag_of(struct packet_sock *p, int name)
{
	switch (name) {
	case LINUX_PACKET_AUXDATA:
		return &p->auxdata;
	case LINUX_PACKET_ORIGDEV:
		return &p->origdev;
	case LINUX_PACKET_LOSS:
		return &p->loss;
	case LINUX_PACKET_TX_HAS_OFF:
		return &p->tx_has_off;
	case LINUX_PACKET_QDISC_BYPASS:
		return &p->qdisc_bypass;
	case LINUX_PACKET_IGNORE_OUTGOING:
		return &p->ignore_outgoing;
	default:
		return NULL;
	}
}

static bool has_rings(struct packet_sock *p)
{
	return p->rx.block_count || p->tx.block_count;
}

static int set_word(struct packet_sock *p, int name, int32_t v)
{
	bool *flag = flag_of(p, name);

	if (flag) {
		if (has_rings(p) && (name == LINUX_PACKET_LOSS || name == LINUX_PACKET_TX_HAS_OFF))
			return name == LINUX_PACKET_LOSS ? -EBUSY : 0;
		if (name == LINUX_PACKET_IGNORE_OUTGOING && (v < 0 || v > 1))
			return -EINVAL;
		__atomic_store_n(flag, v != 0, __ATOMIC_RELAXED);
		return 0;
	}
	switch (name) {
	case LINUX_PACKET_VERSION:
		if (v < 0 || v > 2)
			return -EINVAL;
		if (has_rings(p))
			return -EBUSY;
		p->version = (uint32_t)v;
		return 0;
	case LINUX_PACKET_RESERVE:
		if (v < 0)
			return -EINVAL;
		if (has_rings(p))
			return -EBUSY;
		p->reserve = (uint32_t)v;
		return 0;
	case LINUX_PACKET_COPY_THRESH:
		p->copy_thresh = (uint32_t)v;
		return 0;
	case LINUX_PACKET_TIMESTAMP:
		p->timestamp = (uint32_t)v;
		return 0;
	case LINUX_PACKET_FANOUT:
		return packet_fanout_add(p, (uint32_t)v);
	case LINUX_PACKET_VNET_HDR: /* segmentation offload through packet sockets isn't offered */
		return p->s.type != LINUX_SOCK_RAW ? -EINVAL : v ? -EOPNOTSUPP : 0;
	default:
		return -ENOPROTOOPT;
	}
}

int packet_setsockopt(struct socket *s, const struct sock_caller *c, int level, int name, const void *val,
		      uint32_t len)
{
	struct packet_sock *p = packet_of(s);
	int32_t v;

	if (level != LINUX_SOL_PACKET)
		return level == LINUX_SOL_SOCKET ? socket_setsockopt_generic(s, c, level, name, val, len)
						 : -ENOPROTOOPT;
	switch (name) {
	case LINUX_PACKET_ADD_MEMBERSHIP:
	case LINUX_PACKET_DROP_MEMBERSHIP:
		return member(p, name, val, len);
	case LINUX_PACKET_RX_RING:
	case LINUX_PACKET_TX_RING:
		return packet_ring_set(p, name == LINUX_PACKET_TX_RING, val, len);
	default:
		break;
	}
	if (len < sizeof(v))
		return -EINVAL;
	memcpy(&v, val, sizeof(v));
	return set_word(p, name, v);
}

/* tpacket_stats, and the third version's queue freezes (never): reading clears. */
static int get_stats(struct packet_sock *p, void *val, uint32_t *len)
{
	uint32_t s[3];

	mutex_lock(&p->lock);
	s[0] = p->packets + p->drops;
	s[1] = p->drops;
	s[2] = 0;
	p->packets = p->drops = 0;
	mutex_unlock(&p->lock);
	return socket_option_put(val, len, s, p->version == 2 ? 12 : 8);
}

int packet_getsockopt(struct socket *s, const struct sock_caller *c, int level, int name, void *val,
		      uint32_t *len)
{
	struct packet_sock *p = packet_of(s);
	uint32_t fanout = 0;
	bool *flag = flag_of(p, name);
	int32_t v;
	int ret;

	if (level != LINUX_SOL_PACKET)
		return level == LINUX_SOL_SOCKET ? socket_getsockopt_generic(s, c, level, name, val, len)
						 : -ENOPROTOOPT;
	if (flag) {
		v = *flag;
		return socket_option_put(val, len, &v, sizeof(v));
	}
	switch (name) {
	case LINUX_PACKET_STATISTICS:
		return get_stats(p, val, len);
	case LINUX_PACKET_VERSION:
		v = (int32_t)p->version;
		break;
	case LINUX_PACKET_HDRLEN:
		if (*len < sizeof(v))
			return -EINVAL;
		memcpy(&v, val, sizeof(v)); /* in: the version asked about; the caller copied it in */
		v = (int32_t)packet_ring_header((uint32_t)v);
		if (!v)
			return -EINVAL;
		break;
	case LINUX_PACKET_RESERVE:
		v = (int32_t)p->reserve;
		break;
	case LINUX_PACKET_COPY_THRESH:
		v = (int32_t)p->copy_thresh;
		break;
	case LINUX_PACKET_TIMESTAMP:
		v = (int32_t)p->timestamp;
		break;
	case LINUX_PACKET_VNET_HDR:
		v = 0;
		break;
	case LINUX_PACKET_FANOUT:
		ret = packet_fanout_get(p, &fanout);
		if (ret < 0)
			return ret;
		v = (int32_t)fanout;
		break;
	default:
		return -ENOPROTOOPT;
	}
	return socket_option_put(val, len, &v, sizeof(v));
}
