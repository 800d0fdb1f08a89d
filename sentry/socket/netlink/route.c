/* route.c: NETLINK_ROUTE (rtnetlink(7)): links and addresses of the socket's network stack; which request is
 * whose. Routes and rules are in fib.c. */
#include <string.h>

#include "platform/abi/errno.h"
#include "platform/abi/ioctl.h"
#include "platform/abi/prctl.h"
#include "platform/abi/socket.h"
#include "sentry/socket/netlink/internal.h"

#define PERMANENT    0x80u /* IFA_F_PERMANENT */
#define OPER_UNKNOWN 0
#define OPER_DOWN    2
#define OPER_UP	     6
#define STATS64_SIZE 200

struct ifinfomsg {
	uint8_t family, pad;
	uint16_t type;
	int32_t index;
	uint32_t flags, change;
};

struct ifaddrmsg {
	uint8_t family, prefix, flags, scope;
	uint32_t index;
};

/* ---- attributes of a request ---- */

bool nl_find(const struct nl_request *r, uint32_t fixed, uint16_t type, const void **data, uint32_t *size)
{
	uint32_t at = ROUND_UP(fixed, 4u);

	while (r->body_len >= 4 && at <= r->body_len - 4) {
		uint16_t len, got;

		memcpy(&len, r->body + at, 2);
		memcpy(&got, r->body + at + 2, 2);
		if (len < 4 || len > r->body_len - at)
			return false;
		if ((got & 0x3fff) == type) {
			*data = r->body + at + 4;
			*size = len - 4u;
			return true;
		}
		at += ROUND_UP((uint32_t)len, 4u);
	}
	return false;
}

bool nl_find_u32(const struct nl_request *r, uint32_t fixed, uint16_t type, uint32_t *v)
{
	const void *data;
	uint32_t size;

	if (!nl_find(r, fixed, type, &data, &size) || size < sizeof(*v))
		return false;
	memcpy(v, data, sizeof(*v));
	return true;
}

bool nl_find_addr(const struct nl_request *r, uint32_t fixed, uint16_t type, bool v6, struct net_addr *a)
{
	const void *data;
	uint32_t size, be;

	if (!nl_find(r, fixed, type, &data, &size) || size < (v6 ? 16u : 4u))
		return false;
	if (v6) {
		memcpy(a->b, data, 16);
	} else {
		memcpy(&be, data, 4);
		*a = net_addr4(be);
	}
	return true;
}

void nl_attr_addr(struct nl_request *r, uint16_t type, const struct net_addr *a, bool v6)
{
	nl_attr(r, type, v6 ? a->b : a->b + 12, v6 ? 16 : 4);
}

/* ---- links ---- */

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

static void add_link(struct nl_request *r, const struct net_if_info *i, uint16_t flags)
{
	static const uint8_t zeros[8];
	struct ifinfomsg m = {.type = i->type, .index = (int32_t)i->index, .flags = i->flags};
	bool up = (i->flags & LINUX_IFF_UP) != 0, lo = (i->flags & LINUX_IFF_LOOPBACK) != 0;
	uint8_t oper = lo && up ? OPER_UNKNOWN : up ? OPER_UP : OPER_DOWN, carrier = up, all_ones[6];
	size_t at = nl_begin(r, LINUX_RTM_NEWLINK, flags, &m, sizeof(m));

	memset(all_ones, 0xff, sizeof(all_ones));
	nl_attr(r, LINUX_IFLA_IFNAME, i->name, strnlen(i->name, sizeof(i->name) - 1) + 1);
	nl_attr_u32(r, LINUX_IFLA_TXQLEN, 1000);
	nl_attr(r, LINUX_IFLA_OPERSTATE, &oper, 1);
	nl_attr(r, LINUX_IFLA_LINKMODE, zeros, 1);
	nl_attr_u32(r, LINUX_IFLA_MTU, i->mtu);
	nl_attr_u32(r, LINUX_IFLA_GROUP, 0);
	nl_attr_u32(r, LINUX_IFLA_PROMISCUITY, i->promiscuity);
	nl_attr_u32(r, LINUX_IFLA_NUM_TX_QUEUES, 1);
	nl_attr_u32(r, LINUX_IFLA_NUM_RX_QUEUES, 1);
	nl_attr(r, LINUX_IFLA_CARRIER, &carrier, 1);
	nl_attr(r, LINUX_IFLA_QDISC, up ? "noqueue" : "noop", up ? 8 : 5);
	nl_attr(r, LINUX_IFLA_ADDRESS, i->hw, i->hw_len);
	nl_attr(r, LINUX_IFLA_BROADCAST, lo ? zeros : all_ones, i->hw_len);
	add_stats(r, i);
	nl_end(r, at);
}

/* The link that a request names, by index or by IFLA_IFNAME. */
static int find_link(const struct nl_request *r, struct net_if_info *out)
{
	struct ifinfomsg m;
	char name[NET_IF_MAX] = {0};
	const void *data;
	uint32_t size;

	if (r->body_len < sizeof(m))
		return -EINVAL;
	memcpy(&m, r->body, sizeof(m));
	if (m.index)
		return m.index > 0 && net_if_find(r->st, (uint32_t)m.index, NULL, out) ? 0 : -ENODEV;
	if (!nl_find(r, sizeof(m), LINUX_IFLA_IFNAME, &data, &size))
		return -EINVAL;
	memcpy(name, data, MIN(size, NET_IF_MAX - 1u));
	return net_if_find(r->st, 0, name, out) ? 0 : -ENODEV;
}

static int get_link(struct nl_request *r)
{
	struct net_if_info i;
	int ret = find_link(r, &i);

	if (ret == 0)
		add_link(r, &i, 0);
	return ret;
}

static int set_link(struct nl_request *r)
{
	struct net_if_info i;
	struct ifinfomsg m;
	uint32_t mtu;
	int ret = find_link(r, &i);

	if (ret < 0)
		return ret == -ENODEV && (r->h.flags & LINUX_NLM_F_CREATE) ? -EOPNOTSUPP : ret;
	memcpy(&m, r->body, sizeof(m));
	if (nl_find_u32(r, sizeof(m), LINUX_IFLA_MTU, &mtu))
		ret = net_if_set_mtu(r->st, i.index, mtu);
	if (ret == 0 && (m.change & LINUX_IFF_UP))
		ret = net_if_set_flags(r->st, i.index, m.flags, LINUX_IFF_UP);
	return ret;
}

/* ---- addresses ---- */

static void add_address(struct nl_request *r, const struct net_addr_info *a)
{
	static const uint32_t forever[4] = {UINT32_MAX, UINT32_MAX, 0, 0};
	bool v6 = !net_addr_is4(&a->addr);
	struct ifaddrmsg m = {v6 ? LINUX_AF_INET6 : LINUX_AF_INET, a->prefix, PERMANENT, a->scope, a->if_index};
	size_t at = nl_begin(r, LINUX_RTM_NEWADDR, LINUX_NLM_F_MULTI, &m, sizeof(m));

	nl_attr_addr(r, LINUX_IFA_ADDRESS, &a->addr, v6);
	if (!v6) {
		nl_attr_addr(r, LINUX_IFA_LOCAL, &a->addr, false);
		nl_attr(r, LINUX_IFA_LABEL, a->label, strnlen(a->label, NET_IF_MAX - 1) + 1);
	}
	nl_attr_u32(r, LINUX_IFA_FLAGS, PERMANENT);
	nl_attr(r, LINUX_IFA_CACHEINFO, forever, sizeof(forever));
	nl_end(r, at);
}

static void dump_addresses(struct nl_request *r, uint8_t family)
{
	struct net_addr_info a;

	for (int v6 = 0; v6 < 2; v6++)
		for (uint32_t n = 0; net_addr_at(r->st, n, &a); n++)
			if (net_addr_is4(&a.addr) == !v6 &&
			    (family == LINUX_AF_UNSPEC || family == (v6 ? LINUX_AF_INET6 : LINUX_AF_INET)))
				add_address(r, &a);
}

static int change_address(struct nl_request *r, bool add)
{
	struct net_addr_info a = {.prefix = 0};
	struct net_if_info i;
	struct ifaddrmsg m;
	bool v6;

	if (r->body_len < sizeof(m))
		return -EINVAL;
	memcpy(&m, r->body, sizeof(m));
	v6 = m.family == LINUX_AF_INET6;
	if (!v6 && m.family != LINUX_AF_INET)
		return -EAFNOSUPPORT;
	if (!nl_find_addr(r, sizeof(m), LINUX_IFA_LOCAL, v6, &a.addr) &&
	    !nl_find_addr(r, sizeof(m), LINUX_IFA_ADDRESS, v6, &a.addr))
		return -EINVAL;
	if (!net_if_find(r->st, m.index, NULL, &i))
		return -ENODEV;
	a.prefix = m.prefix;
	a.scope = m.scope;
	a.if_index = m.index;
	memcpy(a.label, i.name, sizeof(a.label));
	return add ? net_addr_add(r->st, &a) : net_addr_del(r->st, &a);
}

/* ---- which request ---- */

void nl_done(struct nl_request *r)
{
	int32_t zero = 0;
	size_t at = nl_begin(r, LINUX_NLMSG_DONE, LINUX_NLM_F_MULTI, &zero, sizeof(zero));

	nl_end(r, at);
}

static int dump(struct nl_request *r)
{
	uint8_t family = r->body_len ? r->body[0] : LINUX_AF_UNSPEC;
	struct net_if_info i;

	switch (r->h.type) {
	case LINUX_RTM_GETLINK:
		for (uint32_t n = 0; net_if_at(r->st, n, &i); n++)
			add_link(r, &i, LINUX_NLM_F_MULTI);
		break;
	case LINUX_RTM_GETADDR:
		dump_addresses(r, family);
		break;
	case LINUX_RTM_GETROUTE:
		nl_dump_routes(r, family);
		break;
	case LINUX_RTM_GETRULE:
		nl_dump_rules(r, family);
		break;
	case LINUX_RTM_GETNEIGH:
	case LINUX_RTM_GETQDISC:
	case LINUX_RTM_GETTCLASS:
	case LINUX_RTM_GETTFILTER:
	case LINUX_RTM_GETADDRLABEL:
	case LINUX_RTM_GETNETCONF:
		break; /* there are none */
	default:
		return -EOPNOTSUPP;
	}
	nl_done(r);
	return 0;
}

static int change(struct nl_request *r)
{
	if (!r->cred || !cred_has_cap(r->cred, LINUX_CAP_NET_ADMIN))
		return -EPERM;
	switch (r->h.type) {
	case LINUX_RTM_NEWLINK:
	case LINUX_RTM_SETLINK:
		return set_link(r);
	case LINUX_RTM_NEWADDR:
	case LINUX_RTM_DELADDR:
		return change_address(r, r->h.type == LINUX_RTM_NEWADDR);
	case LINUX_RTM_NEWROUTE:
	case LINUX_RTM_DELROUTE:
		return nl_change_route(r, r->h.type == LINUX_RTM_NEWROUTE);
	default:
		return -EOPNOTSUPP;
	}
}

int nl_route(struct nl_request *r)
{
	bool is_get = (r->h.type & 3) == 2; /* NEW, DEL, GET, SET */

	if (!r->st)
		return -EOPNOTSUPP;
	if (!is_get)
		return change(r);
	if (r->h.flags & LINUX_NLM_F_DUMP) {
		r->h.flags &= (uint16_t)~LINUX_NLM_F_ACK; /* the end of a dump is its acknowledgement */
		return dump(r);
	}
	switch (r->h.type) {
	case LINUX_RTM_GETLINK:
		return get_link(r);
	case LINUX_RTM_GETROUTE:
		return nl_get_route(r);
	default:
		return -EOPNOTSUPP;
	}
}
