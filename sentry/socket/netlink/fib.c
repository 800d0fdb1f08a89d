/* fib.c: NETLINK_ROUTE's routes and rules. The rules are the three that every kernel begins with. */
#include <string.h>

#include "platform/abi/errno.h"
#include "platform/abi/socket.h"
#include "sentry/socket/netlink/internal.h"

#define FRA_PRIORITY	 6
#define FRA_SUPPRESS_LEN 14
#define FRA_TABLE	 15
#define FRA_PROTOCOL	 21
#define FR_ACT_TO_TBL	 1
#define RTPROT_KERNEL	 2
#define RTN_UNICAST	 1
#define RTN_MULTICAST	 5
#define TABLE_DEFAULT	 253
#define TABLE_MAIN	 254
#define TABLE_LOCAL	 255
#define SCOPE_LINK	 253
#define CLONED		 0x200u

struct rtmsg {
	uint8_t family, dst_len, src_len, tos, table, protocol, scope, type;
	uint32_t flags;
};
struct fib_rule_hdr {
	uint8_t family, dst_len, src_len, tos, table, res1, res2, action;
	uint32_t flags;
};

void nl_add_route(struct nl_request *r, const struct net_route_info *i, uint16_t type, uint16_t nl_flags,
		  uint32_t flags)
{
	static const uint32_t cacheinfo[8];
	struct rtmsg m = {.family = i->v6 ? LINUX_AF_INET6 : LINUX_AF_INET,
			  .dst_len = i->prefix,
			  .table = (uint8_t)(i->table < 256 ? i->table : 252),
			  .protocol = i->protocol,
			  .scope = i->scope,
			  .type = i->type,
			  .flags = flags};
	size_t at = nl_begin(r, type, nl_flags, &m, sizeof(m));
	uint8_t pref = 0;

	nl_attr_u32(r, LINUX_RTA_TABLE, i->table);
	if (i->prefix)
		nl_attr_addr(r, LINUX_RTA_DST, &i->dst, i->v6);
	if (i->v6 || i->metric)
		nl_attr_u32(r, LINUX_RTA_PRIORITY, i->metric);
	if (!i->v6 && !net_addr_any(&i->src))
		nl_attr_addr(r, LINUX_RTA_PREFSRC, &i->src, false);
	if (i->v6 && (flags & CLONED))
		nl_attr_addr(r, LINUX_RTA_PREFSRC, &i->src, true);
	if (i->has_gateway)
		nl_attr_addr(r, LINUX_RTA_GATEWAY, &i->gateway, i->v6);
	nl_attr_u32(r, LINUX_RTA_OIF, i->if_index);
	if (i->v6) {
		nl_attr(r, LINUX_RTA_CACHEINFO, cacheinfo, sizeof(cacheinfo));
		nl_attr(r, LINUX_RTA_PREF, &pref, 1);
	}
	nl_end(r, at);
}

void nl_dump_routes(struct nl_request *r, uint8_t family)
{
	struct net_route_info i;
	uint32_t table = 0;

	if (r->strict && r->body_len >= sizeof(struct rtmsg) &&
	    !nl_find_u32(r, sizeof(struct rtmsg), LINUX_RTA_TABLE, &table))
		table = r->body[offsetof(struct rtmsg, table)];
	for (int v6 = 0; v6 < 2; v6++) {
		if (family != LINUX_AF_UNSPEC && family != (v6 ? LINUX_AF_INET6 : LINUX_AF_INET))
			continue;
		for (int local = 0; local < 2;
		     local++) /* the main table first, as Linux's order of table numbers */
			for (uint32_t n = 0; net_route_at(r->st, n, &i); n++)
				if (i.v6 == v6 && (i.table == TABLE_LOCAL) == local &&
				    (!table || table == i.table))
					nl_add_route(r, &i, LINUX_RTM_NEWROUTE, LINUX_NLM_F_MULTI, 0);
	}
}

int nl_get_route(struct nl_request *r)
{
	struct net_route_info i;
	struct net_addr dst;
	struct rtmsg m;
	uint32_t oif = 0;
	bool v6;
	int ret;

	if (r->body_len < sizeof(m))
		return -EINVAL;
	memcpy(&m, r->body, sizeof(m));
	v6 = m.family == LINUX_AF_INET6;
	if (!nl_find_addr(r, sizeof(m), LINUX_RTA_DST, v6, &dst))
		dst = v6 ? (struct net_addr){.w = {0}} : net_addr4(0);
	(void)nl_find_u32(r, sizeof(m), LINUX_RTA_OIF, &oif);
	ret = net_route_get(r->st, &dst, oif, &i);
	if (ret < 0)
		return ret;
	nl_add_route(r, &i, LINUX_RTM_NEWROUTE, 0, CLONED);
	return 0;
}

int nl_change_route(struct nl_request *r, bool add)
{
	struct net_route_info i = {.type = RTN_UNICAST}, via;
	struct rtmsg m;

	if (r->body_len < sizeof(m))
		return -EINVAL;
	memcpy(&m, r->body, sizeof(m));
	i.v6 = m.family == LINUX_AF_INET6;
	if (!i.v6 && m.family != LINUX_AF_INET)
		return -EAFNOSUPPORT;
	i.prefix = m.dst_len;
	if (i.prefix > (i.v6 ? 128 : 32))
		return -EINVAL;
	i.scope = m.scope;
	i.protocol = m.protocol;
	i.type = m.type;
	i.table = m.table ? m.table : TABLE_MAIN;
	i.dst = i.src = i.v6 ? (struct net_addr){.w = {0}} : net_addr4(0);
	if (!nl_find_addr(r, sizeof(m), LINUX_RTA_DST, i.v6, &i.dst) && i.prefix)
		return -EINVAL;
	i.has_gateway = nl_find_addr(r, sizeof(m), LINUX_RTA_GATEWAY, i.v6, &i.gateway);
	(void)nl_find_addr(r, sizeof(m), LINUX_RTA_PREFSRC, i.v6, &i.src);
	(void)nl_find_u32(r, sizeof(m), LINUX_RTA_OIF, &i.if_index);
	(void)nl_find_u32(r, sizeof(m), LINUX_RTA_PRIORITY, &i.metric);
	(void)nl_find_u32(r, sizeof(m), LINUX_RTA_TABLE, &i.table);
	if (!add)
		return net_route_del(r->st, &i);
	if (!i.if_index) { /* the gateway says which */
		if (!i.has_gateway)
			return -ENODEV;
		if (net_route_get(r->st, &i.gateway, 0, &via) < 0)
			return -ENETUNREACH;
		i.if_index = via.if_index;
	}
	if (!(r->h.flags & LINUX_NLM_F_CREATE))
		return -ENOENT;
	if (r->h.flags & LINUX_NLM_F_REPLACE) {
		struct net_route_info old = i;

		old.if_index = 0;
		old.has_gateway = false;
		(void)!net_route_del(r->st, &old); /* it need not be there */
	}
	return net_route_add(r->st, &i);
}

static void add_rule(struct nl_request *r, uint8_t family, uint32_t priority, uint8_t table)
{
	struct fib_rule_hdr h = {.family = family, .table = table, .action = FR_ACT_TO_TBL};
	size_t at = nl_begin(r, LINUX_RTM_NEWRULE, LINUX_NLM_F_MULTI, &h, sizeof(h));
	uint8_t protocol = RTPROT_KERNEL;

	nl_attr_u32(r, FRA_TABLE, table);
	nl_attr_u32(r, FRA_SUPPRESS_LEN, UINT32_MAX);
	nl_attr(r, FRA_PROTOCOL, &protocol, 1);
	if (priority)
		nl_attr_u32(r, FRA_PRIORITY, priority);
	nl_end(r, at);
}

void nl_dump_rules(struct nl_request *r, uint8_t family)
{
	if (family == LINUX_AF_UNSPEC || family == LINUX_AF_INET) {
		add_rule(r, LINUX_AF_INET, 0, TABLE_LOCAL);
		add_rule(r, LINUX_AF_INET, 32766, TABLE_MAIN);
		add_rule(r, LINUX_AF_INET, 32767, TABLE_DEFAULT);
	}
	if (family == LINUX_AF_UNSPEC || family == LINUX_AF_INET6) {
		add_rule(r, LINUX_AF_INET6, 0, TABLE_LOCAL);
		add_rule(r, LINUX_AF_INET6, 32766, TABLE_MAIN);
	}
}
