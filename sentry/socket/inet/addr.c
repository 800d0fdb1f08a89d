/* addr.c: names between sockaddr_in, sockaddr_in6 and the stack's form. */
#include <string.h>

#include "sentry/socket/inet/internal.h"

static void from4(const struct sockaddr_buf *a, struct net_name *out)
{
	struct inet_sockaddr4 in;

	memcpy(&in, a->bytes, sizeof(in));
	*out = (struct net_name){.addr = net_addr4(in.addr), .port = be16(in.port)};
}

static void from6(const struct sockaddr_buf *a, struct net_name *out)
{
	struct inet_sockaddr6 in = {0};

	memcpy(&in, a->bytes, MIN((size_t)a->len, sizeof(in)));
	*out = (struct net_name){.port = be16(in.port), .flow = in.flow, .scope = in.scope};
	memcpy(out->addr.b, in.addr, sizeof(in.addr));
	if (!net_addr_linklocal6(&out->addr) && !net_addr_multicast(&out->addr))
		out->scope = 0;
}

int inet_name_in(int family, const struct sockaddr_buf *a, bool loose, struct net_name *out)
{
	if (a->len < sizeof(a->family))
		return -EINVAL;
	if (family == LINUX_AF_INET || (loose && a->family == LINUX_AF_INET)) {
		if (a->len < sizeof(struct inet_sockaddr4))
			return -EINVAL;
		if (a->family != LINUX_AF_INET && !(loose && a->family == LINUX_AF_UNSPEC))
			return -EAFNOSUPPORT;
		from4(a, out);
		return 0;
	}
	if (a->len < SOCKADDR6_MIN)
		return -EINVAL;
	if (a->family != LINUX_AF_INET6)
		return -EAFNOSUPPORT;
	from6(a, out);
	return 0;
}

void inet_name_out(int family, const struct net_name *n, struct sockaddr_buf *out)
{
	if (family == LINUX_AF_INET) {
		struct inet_sockaddr4 in = {
			.family = LINUX_AF_INET, .port = be16(n->port), .addr = n->addr.w[3]};

		memcpy(out->bytes, &in, sizeof(in));
		out->len = sizeof(in);
	} else {
		struct inet_sockaddr6 in = {
			.family = LINUX_AF_INET6, .port = be16(n->port), .flow = n->flow, .scope = n->scope};

		memcpy(in.addr, n->addr.b, sizeof(in.addr));
		memcpy(out->bytes, &in, sizeof(in));
		out->len = sizeof(in);
	}
}
