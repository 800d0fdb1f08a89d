/* show.c: /proc/net/{tcp,tcp6,udp,udp6,raw,raw6,icmp,icmp6}: one line a socket (proc(5)). Addresses of kernel
 * objects are zeros, as Linux shows them with kptr_restrict. */
#include <stdio.h>
#include <string.h>

#include "platform/base/arena.h"
#include "platform/base/strbuf.h"
#include "sentry/socket/inet/internal.h"

#define HZ_NS	     10000000u /* a jiffy as user space sees it */
#define TIMER_NONE   0
#define TIMER_TW     3
#define LINE_TCP     149
#define LINE_UDP     127
#define HEAD_LOCAL6  "  sl  local_address                         remote_address                        "
#define HEAD_UDP_END "st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops"

struct lines {
	struct strbuf *out;
	uint32_t n;
	bool v6, tcp;
};

static void put_name(char *at, size_t size, bool v6, const struct net_name *n)
{
	const uint32_t *w = n->addr.w;

	if (v6)
		(void)snprintf(at, size, "%08X%08X%08X%08X:%04X", w[0], w[1], w[2], w[3], n->port);
	else
		(void)snprintf(at, size, "%08X:%04X", w[3], n->port);
}

uint64_t inet_inode(const void *owner)
{
	const struct inet_sock *i = owner;

	return i ? i->s.ino : 0;
}

static void put_line(struct lines *l, const char *text, int width)
{
	if (l->v6)
		strbuf_printf(l->out, "%s\n", text);
	else
		strbuf_printf(l->out, "%-*s\n", width, text);
}

static void tcp_line(struct lines *l, const struct net_show *s, const char *local, const char *remote)
{
	bool waits = s->state == NET_TIME_WAIT || (!s->owner && s->state == NET_FIN_WAIT2);
	char text[256];

	if (waits)
		(void)snprintf(text, sizeof(text),
			       "%4u: %s %s %02X %08X:%08X %02X:%08lX %08X %5d %8d %d %d %016x", l->n, local,
			       remote, s->state, 0, 0, TIMER_TW, s->timeout_ns / HZ_NS, 0, 0, 0, 0,
			       (int)s->refs, 0);
	else
		(void)snprintf(text, sizeof(text),
			       "%4u: %s %s %02X %08X:%08X %02X:%08lX %08X %5u %8d %lu %d %016x %d %d %d %d %d",
			       l->n, local, remote, s->state, s->state == NET_LISTEN ? 0 : s->tx_queue,
			       s->rx_queue, TIMER_NONE, 0UL, 0, s->uid, 0, inet_inode(s->owner), (int)s->refs,
			       0, s->state == NET_LISTEN ? 100 : 20, s->state == NET_LISTEN ? 0 : 4,
			       s->state == NET_LISTEN ? 0 : 30, 10, s->state == NET_LISTEN ? 0 : -1);
	put_line(l, text, LINE_TCP);
}

static void dgram_line(struct lines *l, const struct net_show *s, const char *local, const char *remote)
{
	char text[256];

	(void)snprintf(text, sizeof(text), "%5u: %s %s %02X %08X:%08X %02X:%08lX %08X %5u %8d %lu %d %016x %u",
		       l->n, local, remote, s->state, s->tx_queue, s->rx_queue, 0, 0UL, 0, s->uid, 0,
		       inet_inode(s->owner), (int)s->refs, 0, s->drops);
	put_line(l, text, LINE_UDP);
}

static void line(void *arg, const struct net_show *s)
{
	char local[48], remote[48];
	struct lines *l = arg;

	if (!l->tcp && net_kind_udp(s->kind) && !s->local.port)
		return; /* not bound: not in the table */
	put_name(local, sizeof(local), l->v6, &s->local);
	put_name(remote, sizeof(remote), l->v6, &s->remote);
	if (l->tcp)
		tcp_line(l, s, local, remote);
	else
		dgram_line(l, s, local, remote);
	l->n++;
}

static void heading(const struct lines *l, enum net_kind kind)
{
	char text[192];

	if (l->tcp && l->v6)
		strbuf_puts(l->out,
			    HEAD_LOCAL6 "st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n");
	else if (l->v6)
		strbuf_puts(l->out, HEAD_LOCAL6 HEAD_UDP_END "\n");
	else {
		(void)snprintf(text, sizeof(text), "%s  sl  local_address rem_address   %s",
			       net_kind_udp(kind) || kind == NET_PING ? " " : "",
			       l->tcp ? "st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"
				      : HEAD_UDP_END);
		strbuf_printf(l->out, "%-*s\n", l->tcp ? LINE_TCP : LINE_UDP, text);
	}
}

void inet_show_sockets(struct net_stack *st, const char *name, struct strbuf *out)
{
	struct lines l = {.out = out, .v6 = name[strlen(name) - 1] == '6', .tcp = name[0] == 't'};
	enum net_kind kind = name[0] == 't'   ? NET_TCP
			     : name[0] == 'u' ? (name[3] == 'l' ? NET_UDPLITE : NET_UDP)
			     : name[0] == 'r' ? NET_RAW
					      : NET_PING;

	heading(&l, kind);
	if (st)
		net_for_each(st, kind, l.v6 ? 6 : 4, line, &l);
}
