/* neigh.c: NETLINK_ROUTE's neighbours (rtnetlink(7), RTM_NEWNEIGH and its kin), and who is told of changes. */
#include <string.h>

#include "platform/abi/errno.h"
#include "platform/abi/socket.h"
#include "sentry/socket/netlink/internal.h"

#define RTN_UNICAST 1

struct ndmsg {
	uint8_t family, pad1;
	uint16_t pad2;
	int32_t ifindex;
	uint16_t state;
	uint8_t flags, type;
};

void nl_add_neigh(struct nl_request *r, const struct net_neigh_info *n, uint16_t type, uint16_t flags)
{
	bool v6 = !net_addr_is4(&n->addr);
	static const uint32_t cacheinfo[4];
	struct ndmsg m = {.family = v6 ? LINUX_AF_INET6 : LINUX_AF_INET,
			  .ifindex = (int32_t)n->if_index,
			  .state = n->state,
			  .type = RTN_UNICAST};
	size_t at = nl_begin(r, type, flags, &m, sizeof(m));

	nl_attr_addr(r, LINUX_NDA_DST, &n->addr, v6);
	if (n->state != LINUX_NUD_INCOMPLETE)
		nl_attr(r, LINUX_NDA_LLADDR, n->hw, sizeof(n->hw));
	nl_attr(r, LINUX_NDA_CACHEINFO, cacheinfo, sizeof(cacheinfo));
	nl_end(r, at);
}

void nl_dump_neighs(struct nl_request *r)
{
	uint8_t family = r->body_len ? r->body[0] : LINUX_AF_UNSPEC;
	struct net_neigh_info n;
	uint32_t index = 0;

	(void)nl_find_u32(r, sizeof(struct ndmsg), LINUX_NDA_IFINDEX, &index);
	for (uint32_t i = 0; net_neigh_at(r->st, i, &n); i++)
		if ((!index || n.if_index == index) &&
		    (family == LINUX_AF_UNSPEC ||
		     family == (net_addr_is4(&n.addr) ? LINUX_AF_INET : LINUX_AF_INET6)))
			nl_add_neigh(r, &n, LINUX_RTM_NEWNEIGH, LINUX_NLM_F_MULTI);
}

int nl_change_neigh(struct nl_request *r, bool add)
{
	struct net_neigh_info n = {.if_index = 0}, old;
	const void *hw;
	struct ndmsg m;
	uint32_t size;

	if (r->body_len < sizeof(m))
		return -EINVAL;
	memcpy(&m, r->body, sizeof(m));
	if (m.family != LINUX_AF_INET && m.family != LINUX_AF_INET6)
		return -EAFNOSUPPORT;
	if (m.ifindex <= 0)
		return add ? -EINVAL : -ENODEV;
	if (!nl_find_addr(r, sizeof(m), LINUX_NDA_DST, m.family == LINUX_AF_INET6, &n.addr)) {
		r->why = "Network address not specified";
		return -EINVAL;
	}
	n.if_index = (uint32_t)m.ifindex;
	n.state = (uint8_t)m.state;
	if (!add)
		return net_neigh_del(r->st, &n);
	if (nl_find(r, sizeof(m), LINUX_NDA_LLADDR, &hw, &size)) {
		if (size < sizeof(n.hw))
			return -EINVAL;
		memcpy(n.hw, hw, sizeof(n.hw));
	}
	for (uint32_t i = 0; net_neigh_at(r->st, i, &old); i++)
		if (old.if_index == n.if_index && net_addr_eq(&old.addr, &n.addr) &&
		    (r->h.flags & LINUX_NLM_F_EXCL))
			return -EEXIST;
	return net_neigh_set(r->st, &n, r->h.flags & LINUX_NLM_F_CREATE);
}

/* ---- notices ---- */

static void fill(struct nl_request *r, const void *arg)
{
	const struct net_event *e = arg;

	switch (e->what) {
	case NET_EVENT_LINK:
		nl_add_link(r, &e->link, e->gone ? LINUX_RTM_DELLINK : LINUX_RTM_NEWLINK, 0);
		break;
	case NET_EVENT_ADDR:
		nl_add_address(r, &e->addr, e->gone ? LINUX_RTM_DELADDR : LINUX_RTM_NEWADDR, 0);
		break;
	case NET_EVENT_ROUTE:
		nl_add_route(r, &e->route, e->gone ? LINUX_RTM_DELROUTE : LINUX_RTM_NEWROUTE, 0, 0);
		break;
	default:
		nl_add_neigh(r, &e->neigh, e->gone ? LINUX_RTM_DELNEIGH : LINUX_RTM_NEWNEIGH, 0);
		break;
	}
}

void netlink_on_event(struct net_stack *st, const struct net_event *e)
{
	uint32_t group;

	switch (e->what) {
	case NET_EVENT_LINK:
		group = LINUX_RTNLGRP_LINK;
		break;
	case NET_EVENT_ADDR:
		group = net_addr_is4(&e->addr.addr) ? LINUX_RTNLGRP_IPV4_IFADDR : LINUX_RTNLGRP_IPV6_IFADDR;
		break;
	case NET_EVENT_ROUTE:
		group = e->route.v6 ? LINUX_RTNLGRP_IPV6_ROUTE : LINUX_RTNLGRP_IPV4_ROUTE;
		break;
	default:
		group = LINUX_RTNLGRP_NEIGH;
		break;
	}
	nl_notify(st, group, fill, e);
}
