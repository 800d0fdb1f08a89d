/* link.c: NETLINK_ROUTE's interfaces: showing, making (dummy, veth, bridge), changing and deleting them. */
#include <string.h>

#include "platform/abi/errno.h"
#include "platform/abi/ioctl.h"
#include "platform/abi/socket.h"
#include "sentry/socket/netlink/internal.h"

#define OPER_UNKNOWN	    0
#define OPER_DOWN	    2
#define OPER_LOWERLAYERDOWN 3
#define OPER_UP		    6
#define STATS64_SIZE	    200
#define VETH_INFO_PEER	    1
#define NAME_MAX_	    16u

struct ifinfomsg {
	uint8_t family, pad;
	uint16_t type;
	int32_t index;
	uint32_t flags, change;
};

/* ---- showing ---- */

static void add_stats(struct nl_request *r, const struct net_if_info *i)
{
	uint64_t s[STATS64_SIZE / 8] = {i->rx_packets, i->tx_packets, i->rx_bytes, i->tx_bytes, 0, 0,
					i->rx_dropped, i->tx_dropped};
	uint32_t narrow[24] = {0};

	for (int n = 0; n < 8; n++)
		narrow[n] = (uint32_t)s[n];
	nl_attr(r, LINUX_IFLA_STATS64, s, sizeof(s));
	nl_attr(r, LINUX_IFLA_STATS, narrow, sizeof(narrow));
}

static uint8_t oper_of(const struct net_if_info *i)
{
	bool up = (i->flags & LINUX_IFF_UP) != 0;

	if (up && ((i->flags & LINUX_IFF_LOOPBACK) || strcmp(i->kind, "dummy") == 0))
		return OPER_UNKNOWN;
	if (up && !(i->flags & LINUX_IFF_RUNNING))
		return OPER_LOWERLAYERDOWN;
	return up ? OPER_UP : OPER_DOWN;
}

static void add_kind(struct nl_request *r, const struct net_if_info *i)
{
	size_t at;

	if (!i->kind[0] && !i->master)
		return;
	at = nl_nest_begin(r, LINUX_IFLA_LINKINFO);
	if (i->kind[0])
		nl_attr(r, LINUX_IFLA_INFO_KIND, i->kind, strlen(i->kind) + 1);
	if (i->master)
		nl_attr(r, LINUX_IFLA_INFO_SLAVE_KIND, "bridge", 7);
	nl_nest_end(r, at);
}

void nl_add_link(struct nl_request *r, const struct net_if_info *i, uint16_t type, uint16_t flags)
{
	static const uint8_t zeros[8];
	struct ifinfomsg m = {.type = i->type, .index = (int32_t)i->index, .flags = i->flags};
	bool up = (i->flags & LINUX_IFF_UP) != 0, lo = (i->flags & LINUX_IFF_LOOPBACK) != 0;
	uint8_t oper = oper_of(i), carrier = up && (i->flags & LINUX_IFF_RUNNING), all_ones[6];
	size_t at = nl_begin(r, type, flags, &m, sizeof(m));

	memset(all_ones, 0xff, sizeof(all_ones));
	nl_attr(r, LINUX_IFLA_IFNAME, i->name, strnlen(i->name, sizeof(i->name) - 1) + 1);
	nl_attr_u32(r, LINUX_IFLA_TXQLEN, 1000);
	nl_attr(r, LINUX_IFLA_OPERSTATE, &oper, 1);
	nl_attr(r, LINUX_IFLA_LINKMODE, zeros, 1);
	nl_attr_u32(r, LINUX_IFLA_MTU, i->mtu);
	if (!lo) {
		nl_attr_u32(r, LINUX_IFLA_MIN_MTU, 68);
		nl_attr_u32(r, LINUX_IFLA_MAX_MTU, 65535);
	}
	nl_attr_u32(r, LINUX_IFLA_GROUP, 0);
	nl_attr_u32(r, LINUX_IFLA_PROMISCUITY, i->promiscuity);
	nl_attr_u32(r, LINUX_IFLA_NUM_TX_QUEUES, 1);
	nl_attr_u32(r, LINUX_IFLA_NUM_RX_QUEUES, 1);
	nl_attr(r, LINUX_IFLA_CARRIER, &carrier, 1);
	nl_attr(r, LINUX_IFLA_QDISC, up ? "noqueue" : "noop", up ? 8 : 5);
	if (i->master)
		nl_attr_u32(r, LINUX_IFLA_MASTER, i->master);
	if (i->peer) {
		nl_attr_u32(r, LINUX_IFLA_LINK, i->peer);
		if (!i->peer_here)
			nl_attr_u32(r, LINUX_IFLA_LINK_NETNSID, 0);
	}
	nl_attr(r, LINUX_IFLA_ADDRESS, i->hw, i->hw_len);
	nl_attr(r, LINUX_IFLA_BROADCAST, lo ? zeros : all_ones, i->hw_len);
	add_stats(r, i);
	add_kind(r, i);
	nl_end(r, at);
}

void nl_dump_links(struct nl_request *r)
{
	struct net_if_info i;
	uint32_t master = 0;
	bool by_master = nl_find_u32(r, sizeof(struct ifinfomsg), LINUX_IFLA_MASTER, &master);
	const char *kind = NULL;
	const void *info;
	uint32_t size, kind_size = 0;

	if (nl_find(r, sizeof(struct ifinfomsg), LINUX_IFLA_LINKINFO, &info, &size) &&
	    nl_find_in(info, size, LINUX_IFLA_INFO_KIND, &info, &kind_size))
		kind = info;
	for (uint32_t n = 0; net_if_at(r->st, n, &i); n++) {
		if (by_master && i.master != master)
			continue;
		if (kind && (!kind_size || strncmp(i.kind, kind, kind_size) != 0))
			continue;
		nl_add_link(r, &i, LINUX_RTM_NEWLINK, LINUX_NLM_F_MULTI);
	}
}

/* ---- which one ---- */

static bool name_attr(struct nl_request *r, uint16_t type, char name[NAME_MAX_])
{
	const void *data;
	uint32_t size;

	memset(name, 0, NAME_MAX_);
	if (!nl_find(r, sizeof(struct ifinfomsg), type, &data, &size))
		return false;
	memcpy(name, data, MIN(size, NAME_MAX_ - 1));
	return true;
}

int nl_find_link(struct nl_request *r, struct net_if_info *out)
{
	struct ifinfomsg m;
	char name[NAME_MAX_];

	if (r->body_len < sizeof(m))
		return -EINVAL;
	memcpy(&m, r->body, sizeof(m));
	if (m.index)
		return m.index > 0 && net_if_find(r->st, (uint32_t)m.index, NULL, out) ? 0 : -ENODEV;
	if (!name_attr(r, LINUX_IFLA_IFNAME, name) && !name_attr(r, LINUX_IFLA_ALT_IFNAME, name))
		return -EINVAL;
	return net_if_find(r->st, 0, name, out) ? 0 : -ENODEV;
}

int nl_get_link(struct nl_request *r)
{
	struct net_if_info i;
	int ret = nl_find_link(r, &i);

	if (ret == 0)
		nl_add_link(r, &i, LINUX_RTM_NEWLINK, 0);
	return ret;
}

/* ---- making ---- */

/* The name, address and MTU that a message or a nested one gives. base: its attributes. */
static int end_of(struct nl_request *r, struct net_stack *st, const void *base, uint32_t len,
		  const char *pattern, struct net_virt_end *e)
{
	const void *data;
	uint32_t size;

	if (nl_find_in(base, len, LINUX_IFLA_ADDRESS, &data, &size)) {
		if (size != sizeof(e->hw))
			return -EINVAL;
		memcpy(e->hw, data, sizeof(e->hw));
		if (e->hw[0] & 1)
			return -EADDRNOTAVAIL;
		e->has_hw = true;
	}
	if (nl_find_in(base, len, LINUX_IFLA_MTU, &data, &size) && size >= 4) {
		memcpy(&e->mtu, data, 4);
		if (e->mtu < 68 || e->mtu > 65535) {
			r->why = "mtu out of range";
			return -EINVAL;
		}
	}
	if (nl_find_in(base, len, LINUX_IFLA_IFNAME, &data, &size)) {
		memcpy(e->name, data, MIN(size, NAME_MAX_ - 1));
		if (!strchr(e->name, '%'))
			return 0;
		pattern = e->name;
	}
	return net_if_free_name(st, pattern, e->name);
}

/* The stack that IFLA_NET_NS_PID or _FD names, with a reference; *out stays NULL when none is named. */
static int other_stack(struct nl_request *r, const void *base, uint32_t len, struct net_stack **out)
{
	const void *data;
	uint32_t size;
	int32_t n;
	bool fd = nl_find_in(base, len, LINUX_IFLA_NET_NS_FD, &data, &size);

	if (!fd && !nl_find_in(base, len, LINUX_IFLA_NET_NS_PID, &data, &size))
		return 0;
	if (size < sizeof(n))
		return -EINVAL;
	memcpy(&n, data, sizeof(n));
	if (!r->caller || !r->caller->find_stack)
		return -EOPNOTSUPP;
	return r->caller->find_stack(r->caller, fd, n, out);
}

static int make_veth(struct nl_request *r, struct net_virt_config *c, const void *info, uint32_t size)
{
	struct net_stack *other = NULL;
	const void *data, *peer = NULL;
	uint32_t len = 0, index;
	int ret;

	if (nl_find_in(info, size, LINUX_IFLA_INFO_DATA, &data, &len) &&
	    nl_find_in(data, len, VETH_INFO_PEER, &peer, &len)) {
		if (len < sizeof(struct ifinfomsg))
			return -EINVAL;
		peer = (const uint8_t *)peer + sizeof(struct ifinfomsg);
		len -= (uint32_t)sizeof(struct ifinfomsg);
	} else {
		len = 0;
	}
	ret = other_stack(r, peer, len, &other);
	if (ret < 0)
		return ret;
	c->peer_stack = other;
	ret = end_of(r, other ? other : r->st, peer, len, "veth%d", &c->peer);
	if (ret == 0 && !other && strcmp(c->peer.name, c->end.name) == 0)
		ret = -EEXIST;
	if (ret == 0)
		ret = net_virt_add(r->st, c, &index);
	if (other)
		inet_stack_put(other);
	return ret;
}

static int make_link(struct nl_request *r)
{
	uint32_t at = sizeof(struct ifinfomsg), size, kind_size, index, master;
	struct net_virt_config c = {.kind = NULL};
	char kind[NAME_MAX_] = {0}, pattern[NAME_MAX_] = {0};
	const void *info, *data;
	struct net_if_info i;
	struct ifinfomsg m;
	int ret;

	if (!nl_find(r, at, LINUX_IFLA_LINKINFO, &info, &size) ||
	    !nl_find_in(info, size, LINUX_IFLA_INFO_KIND, &data, &kind_size)) {
		r->why = "a link's kind is missing";
		return -EOPNOTSUPP;
	}
	memcpy(kind, data, MIN(kind_size, NAME_MAX_ - 1));
	memcpy(pattern, kind, NAME_MAX_ - 3);
	memcpy(pattern + strlen(pattern), "%d", 3);
	c.kind = kind;
	if (strcmp(kind, "dummy") != 0 && strcmp(kind, "veth") != 0 && strcmp(kind, "bridge") != 0) {
		r->why = "Unknown device type";
		return -EOPNOTSUPP;
	}
	ret = end_of(r, r->st, r->body + at, r->body_len - at, pattern, &c.end);
	if (ret < 0)
		return ret;
	ret = strcmp(kind, "veth") == 0 ? make_veth(r, &c, info, size) : net_virt_add(r->st, &c, &index);
	if (ret < 0)
		return ret;
	memcpy(&m, r->body, sizeof(m));
	if (!net_if_find(r->st, 0, c.end.name, &i))
		return -ENODEV;
	if (nl_find_u32(r, at, LINUX_IFLA_MASTER, &master))
		ret = net_if_set_master(r->st, i.index, master);
	if (ret == 0 && (m.change & m.flags & LINUX_IFF_UP))
		ret = net_if_set_flags(r->st, i.index, LINUX_IFF_UP, LINUX_IFF_UP);
	return ret;
}

/* ---- changing ---- */

static int move_link(struct nl_request *r, const struct net_if_info *i, const char *name)
{
	uint32_t at = sizeof(struct ifinfomsg);
	struct net_stack *other = NULL;
	int ret = other_stack(r, r->body + at, r->body_len - at, &other);

	if (ret < 0 || !other)
		return ret;
	ret = net_if_move(r->st, i->index, other, name[0] ? name : i->name);
	inet_stack_put(other);
	return ret < 0 ? ret : 1;
}

static int change_link(struct nl_request *r, const struct net_if_info *i)
{
	uint32_t at = sizeof(struct ifinfomsg), v, size;
	char name[NAME_MAX_] = "";
	const void *data;
	struct ifinfomsg m;
	bool named;
	int ret;

	memcpy(&m, r->body, sizeof(m));
	named = m.index && name_attr(r, LINUX_IFLA_IFNAME, name);
	ret = move_link(r, i, name);
	if (ret)
		return MIN(ret, 0);
	if (nl_find(r, at, LINUX_IFLA_ADDRESS, &data, &size))
		ret = size == 6 ? net_if_set_hw(r->st, i->index, data) : -EINVAL;
	if (ret == 0 && nl_find_u32(r, at, LINUX_IFLA_MTU, &v))
		ret = net_if_set_mtu(r->st, i->index, v);
	if (ret == 0 && named)
		ret = net_if_rename(r->st, i->index, name);
	if (ret == 0 && nl_find_u32(r, at, LINUX_IFLA_MASTER, &v))
		ret = net_if_set_master(r->st, i->index, v);
	if (ret == 0 && (m.change & LINUX_IFF_UP || (!m.change && m.flags)))
		ret = net_if_set_flags(r->st, i->index, m.flags, LINUX_IFF_UP);
	return ret;
}

int nl_new_link(struct nl_request *r)
{
	struct net_if_info i;
	int ret = nl_find_link(r, &i);

	if (ret == 0) {
		if (r->h.type == LINUX_RTM_NEWLINK && (r->h.flags & LINUX_NLM_F_EXCL))
			return -EEXIST;
		return change_link(r, &i);
	}
	if (r->body_len < sizeof(struct ifinfomsg))
		return -EINVAL;
	if (r->h.type != LINUX_RTM_NEWLINK)
		return ret;
	if (!(r->h.flags & LINUX_NLM_F_CREATE))
		return -ENODEV; /* programs ask with nothing at all whether links can be made */
	return make_link(r);
}

int nl_del_link(struct nl_request *r)
{
	struct net_if_info i;
	int ret = nl_find_link(r, &i);

	return ret < 0 ? ret : net_if_del(r->st, i.index);
}
