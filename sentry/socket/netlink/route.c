/* route.c: NETLINK_ROUTE (rtnetlink(7)): the loopback interface and its addresses, which is what a sandbox
 * without a network has; enough for getifaddrs(3) and `ip addr`. */
#include <string.h>

#include "platform/abi/errno.h"
#include "platform/abi/ioctl.h"
#include "platform/abi/prctl.h"
#include "platform/abi/socket.h"
#include "sentry/socket/netlink/internal.h"

#define LO_INDEX   1
#define LO_FLAGS   (LINUX_IFF_UP | LINUX_IFF_LOOPBACK | LINUX_IFF_RUNNING | LINUX_IFF_LOWER_UP)
#define MULTI	   2u /* NLM_F_MULTI */
#define SCOPE_HOST 254

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

static void add_link(struct nl_request *r, uint16_t flags)
{
	static const uint8_t zeros[200];
	struct ifinfomsg m = {.type = LINUX_ARPHRD_LOOPBACK, .index = LO_INDEX, .flags = LO_FLAGS};
	size_t at = nl_begin(r, LINUX_RTM_NEWLINK, flags, &m, sizeof(m));

	nl_attr(r, LINUX_IFLA_IFNAME, "lo", 3);
	nl_attr_u32(r, LINUX_IFLA_TXQLEN, 1000);
	nl_attr(r, LINUX_IFLA_OPERSTATE, zeros, 1);
	nl_attr(r, LINUX_IFLA_LINKMODE, zeros, 1);
	nl_attr_u32(r, LINUX_IFLA_MTU, 65536);
	nl_attr_u32(r, LINUX_IFLA_GROUP, 0);
	nl_attr_u32(r, LINUX_IFLA_PROMISCUITY, 0);
	nl_attr_u32(r, LINUX_IFLA_NUM_TX_QUEUES, 1);
	nl_attr_u32(r, LINUX_IFLA_NUM_RX_QUEUES, 1);
	nl_attr(r, LINUX_IFLA_CARRIER, "\1", 1);
	nl_attr(r, LINUX_IFLA_QDISC, "noqueue", 8);
	nl_attr(r, LINUX_IFLA_ADDRESS, zeros, 6);
	nl_attr(r, LINUX_IFLA_BROADCAST, zeros, 6);
	nl_attr(r, LINUX_IFLA_STATS64, zeros, 200);
	nl_attr(r, LINUX_IFLA_STATS, zeros, 96);
	nl_end(r, at);
}

static void add_address(struct nl_request *r, uint8_t family, const void *addr, size_t size, uint8_t prefix)
{
	static const uint32_t forever[4] = {UINT32_MAX, UINT32_MAX, 0, 0};
	struct ifaddrmsg m = {family, prefix, 0x80 /* IFA_F_PERMANENT */, SCOPE_HOST, LO_INDEX};
	size_t at = nl_begin(r, LINUX_RTM_NEWADDR, MULTI, &m, sizeof(m));

	nl_attr(r, LINUX_IFA_ADDRESS, addr, size);
	if (family == LINUX_AF_INET) {
		nl_attr(r, LINUX_IFA_LOCAL, addr, size);
		nl_attr(r, LINUX_IFA_LABEL, "lo", 3);
	}
	nl_attr_u32(r, LINUX_IFA_FLAGS, 0x80);
	nl_attr(r, LINUX_IFA_CACHEINFO, forever, sizeof(forever));
	nl_end(r, at);
}

static void add_addresses(struct nl_request *r, uint8_t family)
{
	static const uint8_t v4[4] = {127, 0, 0, 1}, v6[16] = {[15] = 1};

	if (family == LINUX_AF_UNSPEC || family == LINUX_AF_INET)
		add_address(r, LINUX_AF_INET, v4, sizeof(v4), 8);
	if (family == LINUX_AF_UNSPEC || family == LINUX_AF_INET6)
		add_address(r, LINUX_AF_INET6, v6, sizeof(v6), 128);
}

static void add_done(struct nl_request *r)
{
	int32_t zero = 0;
	size_t at = nl_begin(r, LINUX_NLMSG_DONE, MULTI, &zero, sizeof(zero));

	nl_end(r, at);
}

/* Does a single RTM_GETLINK name the loopback, by index or by IFLA_IFNAME? */
static bool asks_for_lo(const struct nl_request *r)
{
	struct ifinfomsg m;
	uint32_t at = sizeof(m);

	if (r->body_len < sizeof(m))
		return false;
	memcpy(&m, r->body, sizeof(m));
	if (m.index)
		return m.index == LO_INDEX;
	while (r->body_len >= 4 && at <= r->body_len - 4) {
		uint16_t len, type;

		memcpy(&len, r->body + at, 2);
		memcpy(&type, r->body + at + 2, 2);
		if (len < 4 || len > r->body_len - at)
			return false;
		if (type == LINUX_IFLA_IFNAME)
			return len >= 7 && memcmp(r->body + at + 4, "lo", 3) == 0;
		at += ROUND_UP((uint32_t)len, 4u);
	}
	return false;
}

static int dump(struct nl_request *r)
{
	uint8_t family = r->body_len ? r->body[0] : LINUX_AF_UNSPEC;

	switch (r->h.type) {
	case LINUX_RTM_GETLINK:
		add_link(r, MULTI);
		break;
	case LINUX_RTM_GETADDR:
		add_addresses(r, family);
		break;
	case LINUX_RTM_GETROUTE:
	case LINUX_RTM_GETNEIGH:
	case LINUX_RTM_GETRULE:
	case LINUX_RTM_GETQDISC:
	case LINUX_RTM_GETTCLASS:
	case LINUX_RTM_GETTFILTER:
	case LINUX_RTM_GETADDRLABEL:
	case LINUX_RTM_GETNETCONF:
		break; /* there are none */
	default:
		return -EOPNOTSUPP;
	}
	add_done(r);
	return 0;
}

int nl_route(struct nl_request *r)
{
	bool is_get = (r->h.type & 3) == 2; /* NEW, DEL, GET, SET */

	if (!is_get)
		return r->cred && cred_has_cap(r->cred, LINUX_CAP_NET_ADMIN) ? -EOPNOTSUPP : -EPERM;
	if (r->h.flags & LINUX_NLM_F_DUMP) {
		r->h.flags &= (uint16_t)~4u; /* the end of a dump is its acknowledgement */
		return dump(r);
	}
	switch (r->h.type) {
	case LINUX_RTM_GETLINK:
		if (!asks_for_lo(r))
			return -ENODEV;
		add_link(r, 0);
		return 0;
	case LINUX_RTM_GETROUTE:
		return -ENETUNREACH;
	default:
		return -EOPNOTSUPP;
	}
}
