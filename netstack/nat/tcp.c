/* tcp.c: TCP connections: made here as the policy allows, handed over once they stand. Not before: a socket
 * that isn't connected yet, or whose connect failed, could be made to connect elsewhere. */
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "netstack/nat/internal.h"
#include "platform/abi/errno.h"
#include "platform/host/hostcall.h"

#define ACCEPT_BATCH 16

struct pending {
	struct source s; /* first */
	struct list node;
	uint64_t id;
	struct sockaddr_storage to;
	unsigned to_size;
};

struct listener {
	struct source s; /* first */
	uint16_t guest_port;
};

static void answer(struct broker *b, uint64_t id, int error, unsigned flags, int fd)
{
	struct nat_msg m = {.type = NAT_CONNECTED, .id = id, .error = error, .flags = (uint8_t)flags};

	say(b, &m, fd);
}

static void forget(struct broker *b, struct pending *p)
{
	list_del(&p->node);
	b->pending_count--;
	source_end(b, &p->s);
}

/* The host's word: err (0 or positive), and it stands. */
static void decided(struct broker *b, struct pending *p, int err)
{
	if (err == 0) {
		/* A second connect marks the socket as connected for good: before it, Linux would let its owner
		 * start anew with MSG_FASTOPEN. */
		err = -hc_connect(p->s.fd, (struct sockaddr *)&p->to, p->to_size);
		if (err == EISCONN)
			err = 0;
	}
	answer(b, p->id, err, 0, err ? -1 : p->s.fd);
	forget(b, p);
}

static void pending_ready(struct broker *b, struct source *s, uint32_t events)
{
	int err = 0;
	unsigned size = sizeof(err);

	if (!(events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
		return;
	if (hc_getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &err, &size) < 0)
		err = ECONNABORTED;
	decided(b, container_of(s, struct pending, s), err);
}

static void start(struct broker *b, const struct nat_msg *m, const uint8_t to[16])
{
	struct pending *p = calloc(1, sizeof(*p));
	int ret;

	if (!p) {
		answer(b, m->id, ENOBUFS, 0, -1);
		return;
	}
	p->id = m->id;
	p->s.ready = pending_ready;
	p->to_size = sockaddr_of(to, m->dport, &p->to);
	p->s.fd = hc_socket(p->to.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (p->s.fd < 0) {
		answer(b, m->id, -p->s.fd, 0, -1);
		free(p);
		return;
	}
	list_add_tail(&b->pending, &p->node);
	b->pending_count++;
	ret = hc_connect(p->s.fd, (struct sockaddr *)&p->to, p->to_size);
	if (ret == -EINPROGRESS)
		ret = source_add(b, &p->s, EPOLLOUT);
	else if (ret == 0)
		ret = 1; /* at once */
	if (ret)
		decided(b, p, ret == 1 ? 0 : -ret);
}

static void to_resolver(struct broker *b, const struct nat_msg *m)
{
	int fd = -1, err = m->dport == DNS_PORT ? dns_stream(b, &fd) : ECONNREFUSED;

	answer(b, m->id, err, 0, fd);
	if (fd >= 0)
		(void)hc_close(fd);
}

void tcp_request(struct broker *b, const struct nat_msg *m)
{
	uint8_t to[16];

	if (addr_is_resolver(b, m->dst)) {
		to_resolver(b, m);
		return;
	}
	addr_outward(b, m->dst, to);
	if (!policy_allows(b, to, m->dport))
		answer(b, m->id, EACCES, NAT_REFUSED, -1);
	else if (b->pending_count >= PENDING_MAX)
		answer(b, m->id, ENOBUFS, 0, -1);
	else
		start(b, m, to);
}

void tcp_cancel(struct broker *b, uint64_t id)
{
	struct pending *p, *tmp;

	list_for_each_safe (p, tmp, &b->pending, node)
		if (p->id == id)
			forget(b, p);
}

/* ---- published ports ---- */

static void listener_ready(struct broker *b, struct source *s, uint32_t events)
{
	struct listener *l = container_of(s, struct listener, s);

	(void)events;
	for (int i = 0; i < ACCEPT_BATCH; i++) {
		struct nat_msg m = {.type = NAT_ACCEPTED, .protocol = IPPROTO_TCP, .dport = l->guest_port};
		struct sockaddr_storage sa;
		unsigned size = sizeof(sa);
		struct endpoint peer;
		int fd = hc_accept4(s->fd, (struct sockaddr *)&sa, &size, SOCK_NONBLOCK);

		if (fd < 0)
			return;
		if (endpoint_of(&sa, &peer)) {
			addr_inward(b, peer.addr, m.src);
			m.sport = peer.port;
			memcpy(m.dst, addr_is4(peer.addr) ? b->guest4 : b->guest6, 16);
			say(b, &m, fd);
		}
		(void)hc_close(fd);
	}
}

int tcp_publish(struct broker *b, int fd, uint16_t guest_port)
{
	struct listener *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->s = (struct source){.fd = fd, .ready = listener_ready};
	l->guest_port = guest_port;
	return source_add(b, &l->s, EPOLLIN);
}
