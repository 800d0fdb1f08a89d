/* diag.c: NETLINK_SOCK_DIAG (sock_diag(7)): the sockets of AF_INET and AF_INET6, for ss(8). A caller's filter
 * program (INET_DIAG_REQ_BYTECODE) is not run: ss filters what it gets once more itself. */
#include <string.h>

#include "platform/abi/errno.h"
#include "platform/abi/in.h"
#include "platform/abi/socket.h"
#include "sentry/socket/inet.h"
#include "sentry/socket/netlink/internal.h"

#define BY_FAMILY	20 /* SOCK_DIAG_BY_FAMILY */
#define DIAG_MEMINFO	1
#define DIAG_INFO	2
#define DIAG_CONG	4
#define DIAG_SKMEMINFO	7
#define DIAG_SHUTDOWN	8
#define DIAG_SKV6ONLY	11
#define TIMER_TIME_WAIT 3
#define NSEC_PER_MS	1000000u

struct sockid {
	uint16_t sport, dport;
	uint8_t src[16], dst[16];
	uint32_t ifindex, cookie[2];
};
struct inet_diag_req {
	uint8_t family, protocol, ext, pad;
	uint32_t states;
	struct sockid id;
};
struct inet_diag_msg {
	uint8_t family, state, timer, retrans;
	struct sockid id;
	uint32_t expires, rqueue, wqueue, uid, inode;
};

struct diag {
	struct nl_request *r;
	struct inet_diag_req req;
	uint16_t flags;
	uint32_t found;
};

static void put_addr(uint8_t out[16], const struct net_addr *a, bool v6)
{
	memset(out, 0, 16);
	memcpy(out, v6 ? a->b : a->b + 12, v6 ? 16 : 4);
}

static bool wanted(const struct diag *d, const struct net_show *s)
{
	const struct sockid *id = &d->req.id;

	if (!(d->req.states >> s->state & 1))
		return false;
	if (d->flags & LINUX_NLM_F_MULTI)
		return (!id->sport || id->sport == __builtin_bswap16(s->local.port)) &&
		       (!id->dport || id->dport == __builtin_bswap16(s->remote.port));
	return id->sport == __builtin_bswap16(s->local.port) && id->dport == __builtin_bswap16(s->remote.port);
}

static void add_extras(struct diag *d, const struct net_show *s)
{
	uint32_t mem[9] = {s->rx_queue, 212992, s->tx_queue, 212992}, old[4] = {s->rx_queue, s->tx_queue, 0, 0};
	uint8_t buf[512], ext = d->req.ext;
	uint8_t shut = s->shut;
	uint32_t len;

	if (ext & 1u << (DIAG_MEMINFO - 1))
		nl_attr(d->r, DIAG_MEMINFO, old, sizeof(old));
	nl_attr(d->r, DIAG_SHUTDOWN, &shut, 1);
	if (ext & 1u << (DIAG_SKMEMINFO - 1))
		nl_attr(d->r, DIAG_SKMEMINFO, mem, sizeof(mem));
	if (s->family == 6 && s->kind == NET_TCP && (s->state == NET_LISTEN || s->state == NET_CLOSE))
		nl_attr(d->r, DIAG_SKV6ONLY, &s->v6only, 1);
	if (s->kind != NET_TCP || !s->info)
		return;
	if (ext & 1u << (DIAG_INFO - 1)) {
		len = inet_tcp_info_out(s->info, buf, sizeof(buf));
		nl_attr(d->r, DIAG_INFO, buf, len);
	}
	if (ext & 1u << (DIAG_CONG - 1))
		nl_attr(d->r, DIAG_CONG, "cubic", 6);
}

static void add_one(void *arg, const struct net_show *s)
{
	bool v6 = s->family == 6, waits = s->state == NET_TIME_WAIT;
	struct inet_diag_msg m = {.family = v6 ? LINUX_AF_INET6 : LINUX_AF_INET,
				  .state = s->state,
				  .timer = waits ? TIMER_TIME_WAIT : 0,
				  .expires = waits ? (uint32_t)(s->timeout_ns / NSEC_PER_MS) : 0,
				  .rqueue = s->rx_queue,
				  .wqueue = s->tx_queue,
				  .uid = s->uid};
	struct diag *d = arg;
	uint64_t inode;
	size_t at;

	if (!wanted(d, s) || (s->kind != NET_TCP && s->kind != NET_RAW && !s->local.port))
		return;
	inode = inet_inode(s->owner);
	m.inode = (uint32_t)inode;
	m.id.sport = __builtin_bswap16(s->local.port);
	m.id.dport = __builtin_bswap16(s->remote.port);
	put_addr(m.id.src, &s->local.addr, v6);
	put_addr(m.id.dst, &s->remote.addr, v6);
	m.id.cookie[0] = m.inode;
	d->found++;
	at = nl_begin(d->r, BY_FAMILY, d->flags, &m, sizeof(m));
	add_extras(d, s);
	nl_end(d->r, at);
}

static int kind_of(uint8_t protocol)
{
	switch (protocol) {
	case LINUX_IPPROTO_TCP:
		return NET_TCP;
	case LINUX_IPPROTO_UDP:
		return NET_UDP;
	case LINUX_IPPROTO_UDPLITE:
		return NET_UDPLITE;
	case LINUX_IPPROTO_RAW:
		return NET_RAW;
	default:
		return -ENOENT;
	}
}

int nl_diag(struct nl_request *r)
{
	struct diag d = {.r = r};
	int kind;

	if (r->h.type != BY_FAMILY || r->body_len < 2)
		return -EINVAL;
	if (r->body[0] != LINUX_AF_INET && r->body[0] != LINUX_AF_INET6)
		return -ENOENT; /* no handler, as if its module were not there: ss reads /proc/net then */
	if (r->body_len < sizeof(d.req) || !r->st)
		return -EINVAL;
	memcpy(&d.req, r->body, sizeof(d.req));
	kind = kind_of(d.req.protocol);
	if (kind < 0)
		return kind;
	d.flags = r->h.flags & LINUX_NLM_F_DUMP ? LINUX_NLM_F_MULTI : 0;
	net_for_each(r->st, (enum net_kind)kind, d.req.family == LINUX_AF_INET ? 4 : 6, add_one, &d);
	if (d.flags) {
		r->h.flags &= (uint16_t)~LINUX_NLM_F_ACK;
		nl_done(r);
		return 0;
	}
	return d.found ? 0 : -ENOENT;
}
