/* server.c: the loop of sbx-net, and its messages to the sentry. */
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "netstack/nat/internal.h"
#include "platform/abi/errno.h"
#include "platform/base/bytes.h"
#include "platform/base/clock.h"
#include "platform/base/log.h"
#include "platform/base/random.h"
#include "platform/host/fdpass.h"
#include "platform/host/hostcall.h"

#define EVENTS	    64
#define TICK_MS	    500
#define DGRAM_BATCH 64

int source_add(struct broker *b, struct source *s, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = s};

	return hc_epoll_ctl(b->ep, EPOLL_CTL_ADD, s->fd, &ev);
}

void source_want(struct broker *b, struct source *s, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = s};

	(void)hc_epoll_ctl(b->ep, EPOLL_CTL_MOD, s->fd, &ev);
}

void source_end(struct broker *b, struct source *s)
{
	if (s->fd >= 0) {
		/* the sentry may have the same socket, and closing ours would leave it watched */
		(void)hc_epoll_ctl(b->ep, EPOLL_CTL_DEL, s->fd, NULL);
		(void)hc_close(s->fd);
	}
	s->fd = -1;
	s->ended = true;
	s->next_gone = b->gone;
	b->gone = s;
}

void say(struct broker *b, const struct nat_msg *m, int fd)
{
	if (fdpass_send(b->ctl_fd, m, sizeof(*m), &fd, fd >= 0 ? 1 : 0, 0) != (ssize_t)sizeof(*m))
		hc_exit_group(0);
}

void say_dgram(struct broker *b, const struct nat_msg *m, const void *data, size_t n)
{
	struct iovec iov[2] = {{(void *)m, sizeof(*m)}, {(void *)data, n}};
	struct msghdr h = {.msg_iov = iov, .msg_iovlen = 2};

	(void)!hc_sendmsg(b->dgram_fd, &h, MSG_DONTWAIT); /* a full queue loses it, as networks do */
}

void say_error(struct broker *b, const struct nat_msg *m, unsigned type, unsigned code)
{
	struct nat_msg e = *m;

	e.type = NAT_ERROR;
	e.icmp_type = (uint8_t)type;
	e.icmp_code = (uint8_t)code;
	memcpy(e.from, addr_is4(m->dst) ? b->gateway4 : b->gateway6, 16);
	say_dgram(b, &e, NULL, 0);
}

void say_prohibited(struct broker *b, const struct nat_msg *m)
{
	if (addr_is4(m->dst))
		say_error(b, m, 3, 13);
	else
		say_error(b, m, 1, 1);
}

static void control_ready(struct broker *b, struct source *s, uint32_t events)
{
	struct nat_msg m;
	ssize_t n;

	(void)events;
	while ((n = hc_recvfrom(s->fd, &m, sizeof(m), MSG_DONTWAIT | MSG_TRUNC, NULL, NULL)) > 0) {
		if (n != (ssize_t)sizeof(m))
			continue;
		if (m.type == NAT_CONNECT)
			tcp_request(b, &m);
		else if (m.type == NAT_CANCEL)
			tcp_cancel(b, m.id);
	}
	if (n != -EAGAIN && n != -EINTR)
		hc_exit_group(0);
}

static void dgram_ready(struct broker *b, struct source *s, uint32_t events)
{
	struct nat_msg m;
	ssize_t n = 0;

	(void)events;
	for (int i = 0; i < DGRAM_BATCH; i++) {
		n = hc_recvfrom(s->fd, b->buf, sizeof(b->buf), MSG_DONTWAIT, NULL, NULL);
		if (n <= 0)
			break;
		if (n < (ssize_t)sizeof(m) || n > (ssize_t)(sizeof(m) + NAT_DGRAM_MAX))
			continue;
		memcpy(&m, b->buf, sizeof(m));
		if (m.type == NAT_DGRAM)
			dgram_request(b, &m, b->buf + sizeof(m), (size_t)n - sizeof(m));
	}
	if (n == 0)
		hc_exit_group(0);
}

int broker_init(struct broker *b)
{
	uint64_t key;
	int ret;

	random_bytes(&key, sizeof(key));
	b->hash_key = key;
	b->ep = hc_epoll_create();
	b->names = calloc(NAMES_MAX, sizeof(*b->names));
	if (b->ep < 0 || !b->names)
		return b->ep < 0 ? b->ep : -ENOMEM;
	list_init(&b->pending);
	list_init(&b->flows);
	list_init(&b->ports);
	list_init(&b->queries);
	list_init(&b->streams);
	for (unsigned i = 0; i < FLOW_BUCKETS; i++)
		list_init(&b->buckets[i]);
	b->ctl = (struct source){.fd = b->ctl_fd, .ready = control_ready};
	b->dgram = (struct source){.fd = b->dgram_fd, .ready = dgram_ready};
	ret = source_add(b, &b->ctl, EPOLLIN);
	return ret == 0 ? source_add(b, &b->dgram, EPOLLIN) : ret;
}

void broker_run(struct broker *b)
{
	struct epoll_event ev[EVENTS];
	bool tick = false;

	for (;;) {
		int n = hc_epoll_pwait(b->ep, ev, EVENTS, tick ? TICK_MS : -1);

		b->now = clock_monotonic_ns();
		for (int i = 0; i < n; i++) {
			struct source *s = ev[i].data.ptr;

			if (!s->ended)
				s->ready(b, s, ev[i].events);
		}
		tick = dgram_expire(b);
		tick |= dns_expire(b);
		while (b->gone) {
			struct source *s = b->gone;

			b->gone = s->next_gone;
			free(s);
		}
	}
}
