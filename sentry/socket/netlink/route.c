/* route.c: NETLINK_ROUTE (rtnetlink(7)): addresses of the socket's network stack, attributes, and which request
 * is whose. Links are in link.c, routes and rules in fib.c, neighbours and notices in neigh.c. */
#include <string.h>

#include "platform/abi/errno.h"
#include "platform/abi/ioctl.h"
#include "platform/abi/prctl.h"
#include "platform/abi/socket.h"
#include "sentry/socket/netlink/internal.h"

#define PERMANENT   0x80u /* IFA_F_PERMANENT */
#define NETNSA_NSID 1

struct ifaddrmsg {
	uint8_t family, prefix, flags, scope;
	uint32_t index;
};

/* ---- attributes of a request ---- */

bool nl_find_in(const void *attrs, uint32_t total, uint16_t type, const void **data, uint32_t *size)
{
	const uint8_t *a = attrs;
	uint32_t at = 0;

	while (total >= 4 && at <= total - 4) {
		uint16_t len, got;

		memcpy(&len, a + at, 2);
		memcpy(&got, a + at + 2, 2);
		if (len < 4 || len > total - at)
			return false;
		if ((got & 0x3fff) == type) {
			*data = a + at + 4;
			*size = len - 4u;
			return true;
		}
		at += ROUND_UP((uint32_t)len, 4u);
	}
	return false;
}

bool nl_find(const struct nl_request *r, uint32_t fixed, uint16_t type, const void **data, uint32_t *size)
{
	fixed = ROUND_UP(fixed, 4u);
	return r->body_len > fixed && nl_find_in(r->body + fixed, r->body_len - fixed, type, data, size);
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

/* ---- addresses ---- */

void nl_add_address(struct nl_request *r, const struct net_addr_info *a, uint16_t type, uint16_t flags)
{
	static const uint32_t forever[4] = {UINT32_MAX, UINT32_MAX, 0, 0};
	bool v6 = !net_addr_is4(&a->addr);
	struct ifaddrmsg m = {v6 ? LINUX_AF_INET6 : LINUX_AF_INET, a->prefix, PERMANENT, a->scope, a->if_index};
	size_t at = nl_begin(r, type, flags, &m, sizeof(m));

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
	struct ifaddrmsg m = {.index = 0};

	if (r->strict && r->body_len >= sizeof(m))
		memcpy(&m, r->body, sizeof(m));
	for (int v6 = 0; v6 < 2; v6++)
		for (uint32_t n = 0; net_addr_at(r->st, n, &a); n++)
			if (net_addr_is4(&a.addr) == !v6 && (!m.index || m.index == a.if_index) &&
			    (family == LINUX_AF_UNSPEC || family == (v6 ? LINUX_AF_INET6 : LINUX_AF_INET)))
				nl_add_address(r, &a, LINUX_RTM_NEWADDR, LINUX_NLM_F_MULTI);
}

/* An IPv4 address may have a name of its own, that begins with the interface's. */
static void label_of(const struct nl_request *r, const char *name, char label[NET_IF_MAX])
{
	const void *data;
	uint32_t size;

	memset(label, 0, NET_IF_MAX);
	if (nl_find(r, sizeof(struct ifaddrmsg), LINUX_IFA_LABEL, &data, &size))
		memcpy(label, data, MIN(size, NET_IF_MAX - 1u));
	else
		memcpy(label, name, NET_IF_MAX);
}

/* There already: it stays as it is, since nothing of it but its life could change. */
static int replace_address(struct nl_request *r, const struct net_addr_info *a)
{
	int ret = net_addr_add(r->st, a);

	return ret == -EEXIST ? 0 : ret;
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
	if (!v6)
		label_of(r, i.name, a.label);
	if (add && (r->h.flags & LINUX_NLM_F_REPLACE))
		return replace_address(r, &a);
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

	switch (r->h.type) {
	case LINUX_RTM_GETLINK:
		nl_dump_links(r);
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
		nl_dump_neighs(r);
		break;
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
		return nl_new_link(r);
	case LINUX_RTM_DELLINK:
		return nl_del_link(r);
	case LINUX_RTM_NEWNEIGH:
	case LINUX_RTM_DELNEIGH:
		return nl_change_neigh(r, r->h.type == LINUX_RTM_NEWNEIGH);
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

/* Namespaces have no numbers for one another: none has been given (RTM_NEWNSID). */
static int get_nsid(struct nl_request *r)
{
	uint8_t family[4] = {0};
	size_t at = nl_begin(r, LINUX_RTM_NEWNSID, 0, family, sizeof(family));

	nl_attr_u32(r, NETNSA_NSID, UINT32_MAX);
	nl_end(r, at);
	return 0;
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
		return nl_get_link(r);
	case LINUX_RTM_GETROUTE:
		return nl_get_route(r);
	case LINUX_RTM_GETNSID:
		return get_nsid(r);
	default:
		return -EOPNOTSUPP;
	}
}
