/* netstack_test.c: sockets on the loopback, through the public API, with plain memory as the caller's. */
#include "netstack/netstack.h"

#include <criterion/criterion.h>
#include <pthread.h>

#include "platform/abi/errno.h"
#include "platform/base/arena.h"

static struct net_stack *st;

static void setup(void)
{
	struct net_config c = {.lo_up = true};

	cr_assert_eq(arena_init(), 0);
	cr_assert_eq(net_stack_create(&c, &st), 0);
}

TestSuite(netstack, .init = setup);

static ssize_t from(struct net_io *io, void *buf, size_t n)
{
	memcpy(buf, io->arg, n);
	io->arg = (uint8_t *)io->arg + n;
	io->resid -= n;
	return (ssize_t)n;
}

static ssize_t into(struct net_io *io, void *buf, size_t n)
{
	memcpy(io->arg, buf, n);
	io->arg = (uint8_t *)io->arg + n;
	io->resid -= n;
	return (ssize_t)n;
}

static ssize_t fault(struct net_io *io, void *buf, size_t n)
{
	(void)io, (void)buf, (void)n;
	return -EFAULT;
}

static ssize_t send_bytes(struct net_sock *sk, const void *p, size_t n)
{
	struct net_io io = {.move = from, .arg = (void *)p, .resid = n};
	struct net_tx tx = {.flags = 0};

	return net_send(sk, &io, &tx);
}

static ssize_t recv_bytes(struct net_sock *sk, void *p, size_t n, uint32_t flags)
{
	struct net_io io = {.move = into, .arg = p, .resid = n};
	struct net_rx rx = {.flags = flags};

	return net_recv(sk, &io, &rx);
}

static struct net_sock *make(enum net_kind kind, int family)
{
	struct net_sock *sk;

	cr_assert_eq(net_sock_create(st, kind, family, kind == NET_TCP ? 6 : 17, NULL, 0, &sk), 0);
	return sk;
}

static struct net_name lo(uint16_t port)
{
	return (struct net_name){.addr = net_addr4(__builtin_bswap32(0x7f000001)), .port = port};
}

static struct net_name bound(struct net_sock *sk)
{
	struct net_name n = lo(0);

	cr_assert_eq(net_bind(sk, &n, 0), 0);
	cr_assert_eq(net_local_name(sk, &n), 0);
	return n;
}

static void pair(struct net_sock *out[2])
{
	struct net_sock *l = make(NET_TCP, 4);
	struct net_name n = bound(l);

	cr_assert_eq(net_listen(l, 1), 0);
	out[0] = make(NET_TCP, 4);
	cr_assert_eq(net_connect(out[0], &n), -EINPROGRESS);
	cr_assert_eq(net_connect_result(out[0]), 0);
	cr_assert_eq(net_accept(l, &out[1]), 0);
	net_sock_close(l);
}

Test(netstack, tcp_moves_bytes_and_ends)
{
	struct net_sock *s[2];
	char buf[16] = {0};

	pair(s);
	cr_assert_eq(recv_bytes(s[1], buf, 16, 0), -EAGAIN);
	cr_assert_eq(send_bytes(s[0], "hello", 5), 5);
	cr_assert_eq(net_inq(s[1]), 5);
	cr_assert_eq(recv_bytes(s[1], buf, 2, NET_PEEK), 2);
	cr_assert_eq(recv_bytes(s[1], buf, 16, 0), 5);
	cr_assert_str_eq(buf, "hello");
	cr_assert_eq(net_shutdown(s[0], false, true), 0);
	cr_assert_eq(net_sock_state(s[0]), NET_FIN_WAIT2);
	cr_assert_eq(net_sock_state(s[1]), NET_CLOSE_WAIT);
	cr_assert(net_ready(s[1]) & EV_RDHUP);
	cr_assert_eq(recv_bytes(s[1], buf, 16, 0), 0);
	net_sock_close(s[1]);
	net_sock_close(s[0]);
}

Test(netstack, a_fault_leaves_the_connection_whole)
{
	struct net_sock *s[2];
	struct net_io bad = {.move = fault, .arg = NULL, .resid = 10};
	struct net_tx tx = {.flags = 0};
	struct net_rx rx = {.flags = 0};
	char buf[4] = {0};

	pair(s);
	cr_assert_eq(net_send(s[0], &bad, &tx), -EFAULT);
	cr_assert_eq(send_bytes(s[0], "abc", 3), 3);
	bad.resid = 10;
	cr_assert_eq(net_recv(s[1], &bad, &rx), -EFAULT);
	cr_assert_eq(recv_bytes(s[1], buf, 4, 0), 3);
	cr_assert_str_eq(buf, "abc");
	net_sock_close(s[0]);
	net_sock_close(s[1]);
}

#define BULK (8u << 20)

static void *writer(void *arg)
{
	static uint8_t chunk[50001];
	uint64_t sent = 0;

	while (sent < BULK) {
		size_t n = MIN(sizeof(chunk), (size_t)(BULK - sent));
		ssize_t got;

		for (size_t i = 0; i < n; i++)
			chunk[i] = (uint8_t)((sent + i) * 31 >> 3);
		got = send_bytes(arg, chunk, n);
		if (got > 0)
			sent += (uint64_t)got;
	}
	cr_assert_eq(net_shutdown(arg, false, true), 0);
	return NULL;
}

/* Both ends at work at once: the ring grows under a reader, the window closes and opens. */
Test(netstack, tcp_bulk_between_threads, .timeout = 30)
{
	static uint8_t chunk[33333];
	struct net_sock *s[2];
	uint64_t got = 0, wrong = 0;
	pthread_t t;
	ssize_t n;

	pair(s);
	cr_assert_eq(pthread_create(&t, NULL, writer, s[0]), 0);
	while ((n = recv_bytes(s[1], chunk, sizeof(chunk), 0)) != 0) {
		if (n == -EAGAIN)
			continue;
		cr_assert_gt(n, 0);
		for (ssize_t i = 0; i < n; i++)
			if (chunk[i] != (uint8_t)((got + (uint64_t)i) * 31 >> 3))
				wrong++;
		got += (uint64_t)n;
	}
	cr_assert_eq(got, BULK);
	cr_assert_eq(wrong, 0);
	pthread_join(t, NULL);
	net_sock_close(s[0]);
	net_sock_close(s[1]);
}

Test(netstack, refused_and_backlog)
{
	struct net_sock *l = make(NET_TCP, 4), *c[3], *a;
	struct net_name n = bound(l), other = lo(n.port);

	c[0] = make(NET_TCP, 4);
	cr_assert_eq(net_connect(c[0], &other), -EINPROGRESS);
	cr_assert_eq(net_connect_result(c[0]), -ECONNREFUSED);
	cr_assert_eq(net_listen(l, 0), 0);
	for (int i = 0; i < 3; i++) {
		if (i)
			c[i] = make(NET_TCP, 4);
		cr_assert_eq(net_connect(c[i], &n), -EINPROGRESS);
	}
	cr_assert_eq(net_connect_result(c[0]), 0);
	cr_assert_eq(net_connect_result(c[1]), -EAGAIN);
	cr_assert_eq(net_accept(l, &a), 0);
	cr_assert_eq(net_connect_result(c[1]), 0);
	net_sock_close(l); /* c[1]'s child is reset, c[2] refused */
	cr_assert_eq(net_connect_result(c[2]), -ECONNREFUSED);
	cr_assert_eq(net_take_error(c[1]), ECONNRESET);
	net_sock_close(a);
	for (int i = 0; i < 3; i++)
		net_sock_close(c[i]);
}

Test(netstack, ports_conflict_and_come_back)
{
	struct net_sock *a = make(NET_UDP, 4), *b = make(NET_UDP, 4), *six = make(NET_UDP, 6);
	struct net_name n = bound(a), any6 = {.port = n.port};

	cr_assert_eq(net_bind(b, &n, 0), -EADDRINUSE);
	cr_assert_eq(net_bind(six, &any6, 0), -EADDRINUSE);
	net_sock_opts(six)->v6only = true;
	cr_assert_eq(net_bind(six, &any6, 0), 0);
	n.addr = net_addr4(__builtin_bswap32(0x7f000002));
	cr_assert_eq(net_bind(b, &n, 0), 0);
	n.addr = net_addr4(__builtin_bswap32(0x0a000001));
	net_sock_close(b);
	b = make(NET_UDP, 4);
	cr_assert_eq(net_bind(b, &n, 0), -EADDRNOTAVAIL);
	n = lo(80);
	cr_assert_eq(net_bind(b, &n, 0), -EACCES);
	net_sock_close(a);
	net_sock_close(b);
	net_sock_close(six);
}

Test(netstack, udp_errors_come_back)
{
	struct net_sock *a = make(NET_UDP, 4), *b = make(NET_UDP, 4);
	struct net_name n = bound(a);
	char buf[8];

	cr_assert_eq(net_connect(b, &n), 0);
	cr_assert_eq(send_bytes(b, "one", 3), 3);
	cr_assert_eq(recv_bytes(a, buf, 2, NET_TRUNC), 3);
	cr_assert_eq(recv_bytes(a, buf, 2, 0), -EAGAIN);
	net_sock_close(a);
	cr_assert_eq(send_bytes(b, "two", 3), 3);
	cr_assert_eq(recv_bytes(b, buf, 8, 0), -ECONNREFUSED);
	net_sock_close(b);
}

/* A queue takes what SO_RCVBUF allows; the rest is counted, not kept. */
Test(netstack, udp_queue_is_bounded)
{
	struct net_sock *a = make(NET_UDP, 4), *b = make(NET_UDP, 4);
	struct net_name n = bound(a);
	struct net_counters c;
	static char big[60000];
	int got = 0;

	net_sock_opts(a)->rcvbuf = 100000;
	cr_assert_eq(net_connect(b, &n), 0);
	for (int i = 0; i < 50; i++)
		cr_assert_eq(send_bytes(b, big, sizeof(big)), (ssize_t)sizeof(big));
	while (recv_bytes(a, big, sizeof(big), 0) > 0)
		got++;
	cr_assert(got >= 1 && got <= 3, "%d", got);
	net_counters(st, &c);
	cr_assert_eq(c.udp_rcvbuf_errors, 50u - (uint64_t)got);
	net_sock_close(a);
	net_sock_close(b);
}

Test(netstack, a_stack_without_loopback_reaches_nothing)
{
	struct net_config c = {.lo_up = false};
	struct net_stack *down;
	struct net_sock *sk;
	struct net_name n = lo(9);

	cr_assert_eq(net_stack_create(&c, &down), 0);
	cr_assert_eq(net_sock_create(down, NET_TCP, 4, 6, NULL, 0, &sk), 0);
	cr_assert_eq(net_connect(sk, &n), -ENETUNREACH);
	cr_assert_eq(net_if_set_flags(down, 1, 1, 1), 0);
	cr_assert_eq(net_connect(sk, &n), -EINPROGRESS);
	cr_assert_eq(net_connect_result(sk), -ECONNREFUSED);
	net_sock_close(sk);
	net_stack_put(down);
}

static void count(void *arg, const struct net_show *s)
{
	(void)s;
	++*(int *)arg;
}

/* Nothing of a thousand short connections stays but their TIME_WAITs. */
Test(netstack, nothing_stays_behind)
{
	struct arena_stats before, after;
	struct net_sock *s[2];
	int n = 0;

	pair(s);
	net_sock_close(s[0]);
	net_sock_close(s[1]);
	arena_stats(&before);
	for (int i = 0; i < 1000; i++) {
		pair(s);
		cr_assert_eq(send_bytes(s[0], "x", 1), 1);
		net_sock_opts(s[0])->linger_on = true; /* with no time: RST, no TIME_WAIT */
		net_sock_close(s[0]);
		net_sock_close(s[1]);
	}
	arena_stats(&after);
	cr_assert_eq(after.objects, before.objects);
	net_for_each(st, NET_TCP, 4, count, &n);
	cr_assert_leq(n, 1);
}
