/* unix_test.c: AF_UNIX sockets as unix(7) has them. */
#include <criterion/criterion.h>
#include <string.h>

#include "platform/abi/errno.h"
#include "platform/abi/fcntl.h"
#include "platform/base/arena.h"
#include "sentry/fs/eventfd.h"
#include "sentry/fs/pipe/pipe.h"
#include "sentry/fs/tmpfs/tmpfs.h"
#include "sentry/socket/unix/internal.h"
#include "tests/harness/fsbox.h"

static struct fsbox box;
static struct sock_caller me;

static void setup(void)
{
	struct super *s;

	fsbox_init(&box);
	box.v->fifo_open = pipe_fifo_open;
	cr_assert_eq(tmpfs_super_create(box.v, "t", NULL, false, &s), 0);
	fsbox_mount(&box, s);
	cr_assert_eq(unix_init(), 0);
	me = (struct sock_caller){.at = &box.at, .pid = 42, .net_ns = &box};
}

TestSuite(unix_sockets, .init = setup);

static struct file *file_of(struct socket *s)
{
	struct file *f;

	cr_assert_eq(socket_file(box.v, s, &me, 0, &f), 0);
	return f;
}

static struct file *make(int type)
{
	struct socket *s;

	cr_assert_eq(socket_create(LINUX_AF_UNIX, type, 0, &me, &s), 0);
	return file_of(s);
}

static void pair(int type, struct file *f[2])
{
	struct socket *s[2];

	cr_assert_eq(socket_pair(LINUX_AF_UNIX, type, 0, &me, s), 0);
	f[0] = file_of(s[0]);
	f[1] = file_of(s[1]);
}

static struct socket *sock(struct file *f)
{
	struct socket *s;

	cr_assert_eq(file_socket(f, &s), 0);
	return s;
}

static struct sockaddr_buf name(const char *path)
{
	struct sockaddr_buf a = {.family = LINUX_AF_UNIX};
	size_t n = strlen(path);

	if (path[0] == '@') { /* abstract */
		memcpy(a.bytes + 2, path, n);
		a.bytes[2] = 0;
		a.len = (uint32_t)(2 + n);
	} else {
		memcpy(a.bytes + 2, path, n + 1);
		a.len = (uint32_t)(3 + n);
	}
	return a;
}

static ssize_t put(struct file *f, const char *text)
{
	struct uio u;

	uio_init_kernel(&u, (void *)(uintptr_t)text, strlen(text));
	return file_write(f, &u);
}

static ssize_t get(struct file *f, char *buf, size_t n)
{
	struct uio u;
	ssize_t ret;

	uio_init_kernel(&u, buf, n);
	ret = file_read(f, &u);
	if (ret >= 0 && (size_t)ret < n)
		buf[ret] = 0;
	return ret;
}

static ssize_t send_files(struct file *f, const char *text, struct file **files, uint32_t n)
{
	struct sock_msg m = {.files = files, .file_count = n};
	struct uio u;

	uio_init_kernel(&u, (void *)(uintptr_t)text, strlen(text));
	m.uio = &u;
	return sock(f)->ops->send(sock(f), &me, &m);
}

static ssize_t recv_files(struct file *f, char *buf, size_t size, struct sock_msg *m, struct file **files,
			  uint32_t max, uint32_t flags)
{
	struct uio u;

	uio_init_kernel(&u, buf, size);
	*m = (struct sock_msg){.uio = &u, .files = files, .file_max = max, .flags = flags};
	return sock(f)->ops->recv(sock(f), &me, m);
}

static int do_bind(struct file *f, const char *path)
{
	struct sockaddr_buf a = name(path);

	return sock(f)->ops->bind(sock(f), &me, &a);
}

static int do_connect(struct file *f, const char *path)
{
	struct sockaddr_buf a = name(path);

	return sock(f)->ops->connect(sock(f), &me, &a, 0);
}

static int do_accept(struct file *l, struct file **out)
{
	struct sockaddr_buf peer;
	struct socket *s;
	int ret = sock(l)->ops->accept(sock(l), &me, &s, &peer);

	if (ret == 0)
		*out = file_of(s);
	return ret;
}

static int do_listen(struct file *f, int backlog)
{
	return sock(f)->ops->listen(sock(f), &me, backlog);
}

#define ALWAYS_OUT (EV_OUT | EV_WRNORM | EV_WRBAND)

Test(unix_sockets, stream_pair_is_a_byte_stream)
{
	struct file *f[2];
	char buf[32];

	pair(LINUX_SOCK_STREAM, f);
	cr_assert_eq(get(f[0], buf, 4), -EAGAIN);
	cr_assert_eq(file_ready(f[0]), ALWAYS_OUT);
	cr_assert_eq(put(f[0], "abc"), 3);
	cr_assert_eq(put(f[0], "def"), 3);
	cr_assert_eq(file_ready(f[1]), ALWAYS_OUT | IN_EVENTS);
	cr_assert_eq(get(f[1], buf, 4), 4);
	cr_assert_eq(get(f[1], buf, 32), 2);
	cr_assert_str_eq(buf, "ef");
	put(f[0], "last");
	file_put(f[0]);
	cr_assert_eq(file_ready(f[1]), ALWAYS_OUT | IN_EVENTS | EV_HUP | EV_RDHUP);
	cr_assert_eq(get(f[1], buf, 32), 4);
	cr_assert_eq(get(f[1], buf, 32), 0);
	cr_assert_eq(put(f[1], "x"), -EPIPE);
	file_put(f[1]);
}

Test(unix_sockets, closing_with_unread_data_resets)
{
	struct file *f[2];
	char buf[8];

	pair(LINUX_SOCK_STREAM, f);
	put(f[0], "unread");
	file_put(f[1]);
	cr_assert_eq(file_ready(f[0]) & EV_ERR, EV_ERR);
	cr_assert_eq(get(f[0], buf, 8), -ECONNRESET);
	cr_assert_eq(get(f[0], buf, 8), 0);
	file_put(f[0]);
}

Test(unix_sockets, stream_fills_and_drains)
{
	struct file *f[2];
	char *big = kmalloc(300000);
	struct uio u;
	ssize_t n;

	pair(LINUX_SOCK_STREAM, f);
	uio_init_kernel(&u, big, 300000);
	n = file_write(f[0], &u);
	cr_assert_eq(n, SOCKET_BUF_DEFAULT);
	cr_assert_eq(put(f[0], "x"), -EAGAIN);
	cr_assert_eq(file_ready(f[0]), 0);
	cr_assert_eq(get(f[1], big, 100000), 100000);
	cr_assert_eq(file_ready(f[0]), 0);
	cr_assert_eq(get(f[1], big, 100000), 100000);
	cr_assert_eq(file_ready(f[0]), ALWAYS_OUT);
	file_put(f[0]);
	file_put(f[1]);
}

Test(unix_sockets, shutdown_halves)
{
	struct file *f[2];
	char buf[8];

	pair(LINUX_SOCK_STREAM, f);
	put(f[0], "data");
	cr_assert_eq(sock(f[0])->ops->shutdown(sock(f[0]), LINUX_SHUT_WR), 0);
	cr_assert_eq(put(f[0], "x"), -EPIPE);
	cr_assert_eq(file_ready(f[1]), ALWAYS_OUT | IN_EVENTS | EV_RDHUP);
	cr_assert_eq(get(f[1], buf, 8), 4);
	cr_assert_eq(get(f[1], buf, 8), 0);
	cr_assert_eq(put(f[1], "back"), 4);
	cr_assert_eq(get(f[0], buf, 8), 4);
	cr_assert_eq(sock(f[0])->ops->shutdown(sock(f[0]), 3), -EINVAL);
	file_put(f[0]);
	file_put(f[1]);
}

Test(unix_sockets, connect_and_accept_by_path_and_abstract_name)
{
	static const char *const paths[] = {"/sock", "@abstract"};
	struct sockaddr_buf a;
	char buf[8];

	for (int i = 0; i < 2; i++) {
		struct file *l = make(LINUX_SOCK_STREAM), *c = make(LINUX_SOCK_STREAM), *s;

		cr_assert_eq(do_connect(c, paths[i]), i ? -ECONNREFUSED : -ENOENT);
		cr_assert_eq(do_listen(l, 5), -EINVAL);
		cr_assert_eq(do_bind(l, paths[i]), 0);
		cr_assert_eq(do_bind(l, paths[i]), i ? -EINVAL : -EADDRINUSE);
		cr_assert_eq(do_bind(l, "/other"), -EINVAL);
		cr_assert_eq(do_connect(c, paths[i]), -ECONNREFUSED);
		cr_assert_eq(file_ready(c), ALWAYS_OUT | EV_HUP);
		cr_assert_eq(do_listen(l, 5), 0);
		cr_assert_eq(do_accept(l, &s), -EAGAIN);
		cr_assert_eq(file_ready(l), 0);
		cr_assert_eq(do_connect(c, paths[i]), 0);
		cr_assert_eq(do_connect(c, paths[i]), -EISCONN);
		cr_assert_eq(file_ready(l), IN_EVENTS);
		cr_assert_eq(put(c, "early"), 5);
		cr_assert_eq(do_accept(l, &s), 0);
		cr_assert_eq(get(s, buf, 8), 5);
		cr_assert_eq(sock(c)->ops->getname(sock(c), true, &a), 0);
		cr_assert_eq(a.len, name(paths[i]).len);
		cr_assert_eq(sock(s)->ops->getname(sock(s), true, &a), 0);
		cr_assert_eq(a.len, 2);
		file_put(l);
		cr_assert_eq(put(s, "x"), 1); /* a connection outlives its listener */
		file_put(s);
		file_put(c);
		c = make(LINUX_SOCK_STREAM);
		cr_assert_eq(do_connect(c, paths[i]), -ECONNREFUSED);
		file_put(c);
		l = make(LINUX_SOCK_STREAM);
		cr_assert_eq(do_bind(l, paths[i]), i ? 0 : -EADDRINUSE);
		file_put(l);
	}
}

Test(unix_sockets, full_backlog_makes_connect_wait)
{
	struct file *l = make(LINUX_SOCK_STREAM), *c[3], *s;

	do_bind(l, "@l");
	do_listen(l, 0);
	for (int i = 0; i < 3; i++)
		c[i] = make(LINUX_SOCK_STREAM);
	cr_assert_eq(do_connect(c[0], "@l"), 0);
	cr_assert_eq(do_connect(c[1], "@l"), -EAGAIN);
	cr_assert_eq(file_ready(c[1]), 0);
	cr_assert_eq(sock(c[1])->ops->connect_result(sock(c[1])), -EAGAIN);
	cr_assert_eq(do_accept(l, &s), 0);
	cr_assert_eq(file_ready(c[1]) & EV_OUT, EV_OUT);
	cr_assert_eq(sock(c[1])->ops->connect_result(sock(c[1])), 0);
	cr_assert_eq(do_connect(c[2], "@l"), -EAGAIN);
	file_put(l);
	cr_assert_eq(sock(c[2])->ops->connect_result(sock(c[2])), -ECONNREFUSED);
	/* never accepted: reset */
	char b[4];

	cr_assert_eq(get(c[1], b, 4), -ECONNRESET);
	file_put(s);
	for (int i = 0; i < 3; i++)
		file_put(c[i]);
}

Test(unix_sockets, wrong_type_of_target)
{
	struct file *d = make(LINUX_SOCK_DGRAM), *c = make(LINUX_SOCK_STREAM);

	do_bind(d, "/d");
	cr_assert_eq(do_connect(c, "/d"), -EPROTOTYPE);
	cr_assert_eq(fsbox_write(&box, "/plain", "x", LINUX_O_CREAT), 0);
	cr_assert_eq(do_connect(c, "/plain"), -ECONNREFUSED);
	cr_assert_eq(put(c, "x"), -ENOTCONN);
	file_put(d);
	file_put(c);
}

Test(unix_sockets, datagrams_keep_edges_and_names)
{
	struct file *a = make(LINUX_SOCK_DGRAM), *b = make(LINUX_SOCK_DGRAM);
	struct sockaddr_buf from;
	struct sock_msg m;
	char buf[8];
	struct uio u;

	do_bind(a, "@a");
	do_bind(b, "@b");
	cr_assert_eq(put(a, "x"), -ENOTCONN);
	cr_assert_eq(do_connect(a, "@b"), 0);
	cr_assert_eq(put(a, "one"), 3);
	cr_assert_eq(put(a, ""), 0);
	cr_assert_eq(put(a, "a long message"), 14);
	uio_init_kernel(&u, buf, sizeof(buf));
	m = (struct sock_msg){.uio = &u, .name = &from};
	cr_assert_eq(sock(b)->ops->recv(sock(b), &me, &m), 3);
	cr_assert_eq(from.len, 4);
	cr_assert_eq(memcmp(from.bytes + 2, "\0a", 2), 0);
	cr_assert_eq(get(b, buf, 8), 0);
	uio_init_kernel(&u, buf, sizeof(buf));
	m = (struct sock_msg){.uio = &u, .flags = LINUX_MSG_PEEK | LINUX_MSG_TRUNC};
	cr_assert_eq(sock(b)->ops->recv(sock(b), &me, &m), 14);
	cr_assert(m.flags & LINUX_MSG_TRUNC);
	cr_assert_eq(get(b, buf, 8), 8);
	cr_assert_eq(get(b, buf, 8), -EAGAIN);
	file_put(b);
	cr_assert_eq(put(a, "x"), -ECONNREFUSED);
	cr_assert_eq(put(a, "x"), -ENOTCONN);
	file_put(a);
}

Test(unix_sockets, full_datagram_queue_wakes_its_senders)
{
	struct file *a = make(LINUX_SOCK_DGRAM), *b = make(LINUX_SOCK_DGRAM);
	char buf[8];
	int n = 0;

	do_bind(b, "@b");
	do_connect(a, "@b");
	while (put(a, "x") == 1)
		n++;
	cr_assert(n >= 100 && n <= (int)UNIX_DGRAM_QLEN);
	cr_assert_eq(put(a, "x"), -EAGAIN);
	cr_assert_eq(file_ready(a), 0);
	while (get(b, buf, 8) == 1)
		;
	cr_assert_eq(file_ready(a), ALWAYS_OUT);
	file_put(a);
	file_put(b);
}

Test(unix_sockets, seqpacket_is_connected_and_keeps_edges)
{
	struct file *f[2];
	char buf[8];

	pair(LINUX_SOCK_SEQPACKET, f);
	put(f[0], "ab");
	put(f[0], "cd");
	cr_assert_eq(get(f[1], buf, 8), 2);
	cr_assert_eq(get(f[1], buf, 1), 1);
	cr_assert_eq(get(f[1], buf, 8), -EAGAIN);
	file_put(f[1]);
	cr_assert_eq(put(f[0], "x"), -EPIPE);
	cr_assert_eq(get(f[0], buf, 8), 0);
	file_put(f[0]);
}

Test(unix_sockets, descriptors_travel_with_their_bytes)
{
	struct file *f[2], *e, *got[4];
	struct sock_msg m;
	char buf[16];

	pair(LINUX_SOCK_STREAM, f);
	cr_assert_eq(eventfd_create_file(box.v, box.cred, 7, 0, &e), 0);
	put(f[0], "before");
	cr_assert_eq(send_files(f[0], "withfd", &e, 1), 6);
	put(f[0], "after");
	file_put(e);
	/* a peek copies */
	cr_assert_eq(recv_files(f[1], buf, 16, &m, got, 4, LINUX_MSG_PEEK), 12);
	cr_assert_eq(m.file_count, 1);
	file_put(got[0]);
	/* the bytes before may come along, the bytes behind don't */
	cr_assert_eq(recv_files(f[1], buf, 8, &m, got, 4, 0), 8);
	cr_assert_eq(m.file_count, 1);
	cr_assert(file_is_eventfd(got[0]));
	file_put(got[0]);
	cr_assert_eq(recv_files(f[1], buf, 16, &m, got, 4, 0), 9);
	cr_assert_eq(m.file_count, 0);
	file_put(f[0]);
	file_put(f[1]);
	cr_assert_eq(unix_state()->inflight_socks, 0);
}

Test(unix_sockets, no_room_for_descriptors_drops_them)
{
	struct file *f[2], *p[2];
	struct sock_msg m;
	char buf[16];

	pair(LINUX_SOCK_STREAM, f);
	cr_assert_eq(pipe_create(box.v, box.cred, 0, p), 0);
	cr_assert_eq(send_files(f[0], "x", &p[1], 1), 1);
	file_put(p[1]);
	cr_assert_eq(get(p[0], buf, 1), -EAGAIN);
	cr_assert_eq(recv_files(f[1], buf, 16, &m, NULL, 0, 0), 1);
	cr_assert(m.flags & LINUX_MSG_CTRUNC);
	cr_assert_eq(get(p[0], buf, 1), 0); /* it is closed */
	file_put(p[0]);
	file_put(f[0]);
	file_put(f[1]);
}

Test(unix_sockets, credentials_when_asked_for)
{
	struct file *f[2];
	struct sock_msg m;
	int32_t on = 1;
	char buf[16];

	pair(LINUX_SOCK_STREAM, f);
	put(f[0], "old");
	cr_assert_eq(sock(f[1])->ops->setsockopt(sock(f[1]), &me, LINUX_SOL_SOCKET, LINUX_SO_PASSCRED, &on, 4),
		     0);
	cr_assert_eq(send_files(f[0], "new", NULL, 0), 3);
	cr_assert_eq(recv_files(f[1], buf, 16, &m, NULL, 0, 0), 3);
	cr_assert(m.have_cred && m.cred_pid == 0 && m.cred_uid == OVERFLOW_ID);
	cr_assert_eq(recv_files(f[1], buf, 16, &m, NULL, 0, 0), 3);
	cr_assert(m.have_cred && m.cred_pid == 42 && m.cred_uid == 0);
	/* bytes of different senders aren't mixed */
	send_files(f[0], "a", NULL, 0);
	send_files(f[0], "b", NULL, 0);
	me.pid = 43;
	send_files(f[0], "c", NULL, 0);
	cr_assert_eq(recv_files(f[1], buf, 16, &m, NULL, 0, 0), 2);
	cr_assert_eq(recv_files(f[1], buf, 16, &m, NULL, 0, 0), 1);
	cr_assert_eq(m.cred_pid, 43);
	file_put(f[0]);
	file_put(f[1]);
}

Test(unix_sockets, cycles_of_descriptors_are_collected)
{
	struct arena_stats before, after;
	struct file *f[2], *g[2];

	pair(LINUX_SOCK_STREAM, f); /* warms the caches up */
	file_put(f[0]);
	file_put(f[1]);
	arena_stats(&before);
	for (int i = 0; i < 50; i++) {
		pair(LINUX_SOCK_STREAM, f);
		pair(LINUX_SOCK_DGRAM, g);
		cr_assert_eq(send_files(f[0], "x", &f[1], 1), 1); /* in its own queue */
		cr_assert_eq(send_files(f[1], "x", &f[0], 1), 1);
		cr_assert_eq(send_files(f[0], "x", &g[0], 1), 1);
		cr_assert_eq(send_files(g[1], "x", &f[1], 1), 1);
		cr_assert_eq(send_files(g[0], "x", &g[1], 1), 1);
		file_put(f[0]);
		file_put(g[0]);
		file_put(f[1]);
		file_put(g[1]);
	}
	cr_assert_lt(unix_state()->inflight_socks, 70); /* sends collect, too */
	pair(LINUX_SOCK_STREAM, f);
	file_put(f[0]);
	file_put(f[1]);
	cr_assert_eq(unix_state()->inflight_socks, 0);
	arena_stats(&after);
	cr_assert_leq(after.objects, before.objects + 8);
}

Test(unix_sockets, what_is_reachable_is_not_collected)
{
	struct file *f[2], *g[2], *got[2], *h[2];
	struct sock_msg m;
	char buf[8];

	pair(LINUX_SOCK_STREAM, f);
	pair(LINUX_SOCK_STREAM, g);
	send_files(f[0], "x", &g[0], 1); /* in f[1]'s queue, which we hold */
	send_files(g[1], "y", &g[1], 1); /* g[1] only through g[0]'s queue */
	file_put(g[0]);
	file_put(g[1]);
	pair(LINUX_SOCK_STREAM, h);
	file_put(h[0]);
	file_put(h[1]); /* collects */
	cr_assert_eq(recv_files(f[1], buf, 8, &m, got, 1, 0), 1);
	cr_assert_eq(m.file_count, 1);
	cr_assert_eq(recv_files(got[0], buf, 8, &m, got + 1, 1, 0), 1);
	cr_assert_eq(m.file_count, 1);
	cr_assert_eq(put(got[1], "z"), 1);
	cr_assert_eq(get(got[0], buf, 8), 1);
	file_put(got[0]);
	file_put(got[1]);
	file_put(f[0]);
	file_put(f[1]);
	cr_assert_eq(unix_state()->inflight_socks, 0);
}

Test(unix_sockets, a_long_chain_of_queues_does_not_recurse)
{
	struct file *f[2], *next[2];

	pair(LINUX_SOCK_DGRAM, f);
	for (int i = 0; i < 3000; i++) {
		pair(LINUX_SOCK_DGRAM, next);
		cr_assert_eq(send_files(next[0], "x", f, 2), 1);
		file_put(f[0]);
		file_put(f[1]);
		f[0] = next[0];
		f[1] = next[1];
	}
	file_put(f[0]);
	file_put(f[1]);
	cr_assert_eq(unix_state()->inflight_socks, 0);
}

Test(unix_sockets, options)
{
	struct file *f[2];
	struct linux_ucred id;
	uint32_t len = sizeof(id);
	int32_t v = 10000;

	pair(LINUX_SOCK_STREAM, f);
	struct socket *s = sock(f[0]);

	cr_assert_eq(s->ops->setsockopt(s, &me, LINUX_SOL_SOCKET, LINUX_SO_SNDBUF, &v, 4), 0);
	len = 4;
	cr_assert_eq(s->ops->getsockopt(s, &me, LINUX_SOL_SOCKET, LINUX_SO_SNDBUF, &v, &len), 0);
	cr_assert_eq(v, 20000);
	len = 12;
	cr_assert_eq(s->ops->getsockopt(s, &me, LINUX_SOL_SOCKET, LINUX_SO_PEERCRED, &id, &len), 0);
	cr_assert(id.pid == 42 && id.uid == 0);
	len = 4;
	cr_assert_eq(s->ops->getsockopt(s, &me, LINUX_SOL_SOCKET, LINUX_SO_TYPE, &v, &len), 0);
	cr_assert_eq(v, LINUX_SOCK_STREAM);
	cr_assert_eq(s->ops->getsockopt(s, &me, LINUX_SOL_SOCKET, 9999, &v, &len), -ENOPROTOOPT);
	cr_assert_eq(s->ops->setsockopt(s, &me, LINUX_SOL_SOCKET, LINUX_SO_SNDBUF, &v, 2), -EINVAL);
	file_put(f[0]);
	file_put(f[1]);
}
