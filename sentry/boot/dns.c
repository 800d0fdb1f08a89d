/* dns.c: engines answer names at 127.0.0.11 in a container's network namespace on the host, where the guest's
 * packets never come. A socket of the stack's own takes them (at some port, as the engine's server does: 53
 * stays free for the guest), and what it gets goes out through a socket that sbx connected to the engine's
 * server. Only the identifier of a message (RFC 1035, 4.1.1) is looked at: it says whose answer comes back. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "netstack/netstack.h"
#include "platform/base/arena.h"
#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/base/random.h"
#include "platform/host/hostcall.h"
#include "sentry/boot/boot.h"

#define DNS_HEADER 12u
#define DNS_PORT   53
#define MESSAGE	   65536u
#define SLOTS	   256u /* queries under way; the oldest makes room */
#define BURST	   64

struct dns_query {
	struct net_name from;
	uint16_t id, sent_id; /* the guest's, and as sent: the low byte is the slot */
	bool waiting;
};

struct dns_relay {
	struct net_sock *sk;
	int fd;
	void (*kick)(void *arg);
	void *kick_arg;
	struct waiter waiter;
	struct dns_query slot[SLOTS]; /* only dns_run's */
	uint8_t next;
	uint8_t message[MESSAGE];
};

struct memory_io {
	struct net_io io;
	uint8_t *at;
	bool out; /* from memory to the stack */
};

static ssize_t memory_move(struct net_io *io, void *buf, size_t n)
{
	struct memory_io *m = container_of(io, struct memory_io, io);

	n = MIN(n, (size_t)io->resid);
	if (m->out)
		memcpy(buf, m->at, n);
	else
		memcpy(m->at, buf, n);
	m->at += n;
	io->resid -= n;
	return (ssize_t)n;
}

static bool on_query(struct waiter *w, uint32_t events MAYBE_UNUSED)
{
	struct dns_relay *d = w->arg;

	d->kick(d->kick_arg);
	return true;
}

int dns_fd(const struct dns_relay *d)
{
	return d->fd;
}

static void send_query(struct dns_relay *d, const struct net_name *from, size_t n)
{
	struct dns_query *q = &d->slot[d->next];
	uint8_t noise;

	random_bytes(&noise, 1);
	*q = (struct dns_query){.from = *from,
				.id = get_be16(d->message),
				.sent_id = (uint16_t)(noise << 8 | d->next),
				.waiting = true};
	put_be16(d->message, q->sent_id);
	d->next++;
	(void)hc_sendto(d->fd, d->message, n, MSG_DONTWAIT, NULL, 0); /* who asked asks again */
}

static void send_answer(struct dns_relay *d, size_t n)
{
	uint16_t id = get_be16(d->message);
	struct dns_query *q = &d->slot[id & (SLOTS - 1)];
	struct memory_io m = {.io = {memory_move, NULL, n}, .at = d->message, .out = true};
	struct net_tx tx = {.name = &q->from};

	if (!q->waiting || q->sent_id != id)
		return;
	q->waiting = false;
	put_be16(d->message, q->id);
	(void)net_send(d->sk, &m.io, &tx);
}

void dns_run(struct dns_relay *d)
{
	ssize_t n;

	for (int i = 0; i < BURST; i++) {
		struct memory_io m = {.io = {memory_move, NULL, MESSAGE}, .at = d->message};
		struct net_rx rx = {0};

		n = net_recv(d->sk, &m.io, &rx);
		if (n < 0)
			break;
		if ((size_t)n >= DNS_HEADER)
			send_query(d, &rx.src, (size_t)n);
	}
	if (n >= 0)
		d->kick(d->kick_arg); /* there is more */
	for (int i = 0; i < BURST; i++) {
		n = hc_recvfrom(d->fd, d->message, MESSAGE, MSG_DONTWAIT, NULL, NULL);
		if (n < 0 && n != -ECONNREFUSED) /* of one before */
			break;
		if (n >= (ssize_t)DNS_HEADER)
			send_answer(d, (size_t)n);
	}
}

struct dns_relay *dns_create(struct net_stack *st, int fd, void (*kick)(void *arg), void *arg)
{
	struct net_name name = {.addr = net_addr4(__builtin_bswap32(0x7f00000b))};
	struct dns_relay *d = kmalloc(sizeof(*d));

	if (!d)
		return NULL;
	d->fd = fd;
	d->kick = kick;
	d->kick_arg = arg;
	d->waiter = (struct waiter){.mask = EV_IN, .func = on_query, .arg = d};
	if (net_sock_create(st, NET_UDP, 4, 0, NULL, 0, &d->sk) < 0 || net_bind(d->sk, &name, 0) < 0 ||
	    net_local_name(d->sk, &name) < 0) {
		kfree(d); /* the sandbox ends */
		return NULL;
	}
	waitq_add(net_sock_waitq(d->sk), &d->waiter);
	net_redirect_udp(st, &name.addr, DNS_PORT, name.port);
	return d;
}
