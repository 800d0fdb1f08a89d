/* server.c: connections through handshake, request, reply. A connection belongs to one thread; only the table
 * of peers is shared. */
#include "cvm-host/kbs/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cvm-host/kbs/protocol.h"

#define PEERS	     4096
#define HANDSHAKE_MS 10000

enum conn_state { CONN_HANDSHAKE, CONN_READ, CONN_WRITE };

struct conn {
	struct conn *next, *prev;
	struct worker *w;
	SSL *ssl;
	int fd;
	enum conn_state state;
	uint32_t events; /* that epoll waits for */
	int64_t deadline;
	bool close_after;
	struct blob in, out;
	size_t sent;
	char peer[INET6_ADDRSTRLEN];
	uint64_t peer_hash;
};

struct worker {
	struct server *s;
	pthread_t thread;
	int epoll;
	struct conn *conns;
	unsigned count;
};

/* How many requests a peer has left; refilled with time. Two peers may share a place: then they share the
 * limit. */
struct peer {
	uint64_t hash;
	int64_t at; /* mono_ms of the last refill */
	uint32_t left;
};

struct server {
	struct server_config c;
	SSL_CTX *tls;
	int listener, stop; /* stop: an eventfd */
	uint16_t port;
	struct worker *workers;
	unsigned started;
	uint64_t seed;
	pthread_mutex_t lock;
	struct peer peers[PEERS]; /* [lock] */
};

static bool peer_may(struct server *s, uint64_t hash)
{
	struct peer *p = &s->peers[hash % PEERS];
	uint32_t burst = 2 * s->c.per_second;
	int64_t now = mono_ms(), gain;
	bool ok;

	if (!s->c.per_second)
		return true;
	pthread_mutex_lock(&s->lock);
	if (p->hash != hash) {
		/* the place is another's: it is taken over when that one has been quiet, and shared otherwise
		 */
		if (now - p->at > 2000)
			*p = (struct peer){hash, now, burst};
	}
	gain = (now - p->at) * s->c.per_second / 1000;
	if (gain > 0) {
		p->left = (uint32_t)MIN((int64_t)p->left + gain, (int64_t)burst);
		p->at = now;
	}
	ok = p->left > 0;
	if (ok)
		p->left--;
	pthread_mutex_unlock(&s->lock);
	return ok;
}

/* An IPv6 peer is its /64. */
static void name_peer(struct conn *c, const struct sockaddr_storage *a)
{
	const struct sockaddr_in6 *v6 = (const void *)a;
	const struct sockaddr_in *v4 = (const void *)a;
	const uint8_t *p = a->ss_family == AF_INET6 ? v6->sin6_addr.s6_addr : (const uint8_t *)&v4->sin_addr;
	size_t n = a->ss_family == AF_INET6 ? 8 : 4;
	uint64_t h = c->w->s->seed ^ 0xcbf29ce484222325ULL;

	for (size_t i = 0; i < n; i++)
		h = (h ^ p[i]) * 0x100000001b3ULL;
	c->peer_hash = h ^ h >> 29;
	inet_ntop(a->ss_family, a->ss_family == AF_INET6 ? (const void *)&v6->sin6_addr : &v4->sin_addr,
		  c->peer, sizeof(c->peer));
}

static void conn_close(struct conn *c)
{
	struct worker *w = c->w;

	if (c->prev)
		c->prev->next = c->next;
	else
		w->conns = c->next;
	if (c->next)
		c->next->prev = c->prev;
	w->count--;
	SSL_free(c->ssl);
	close(c->fd);
	blob_free(&c->in);
	blob_free(&c->out);
	free(c);
}

static void conn_new(struct worker *w, int fd, const struct sockaddr_storage *a)
{
	struct conn *c = xcalloc(1, sizeof(*c));
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
	int one = 1;

	c->w = w;
	c->fd = fd;
	c->ssl = SSL_new(w->s->tls);
	c->events = EPOLLIN;
	c->deadline = mono_ms() + HANDSHAKE_MS;
	name_peer(c, a);
	c->next = w->conns;
	if (c->next)
		c->next->prev = c;
	w->conns = c;
	w->count++;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (!c->ssl || SSL_set_fd(c->ssl, fd) != 1 || epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &ev) < 0) {
		conn_close(c);
		return;
	}
	SSL_set_accept_state(c->ssl);
}

static void accept_some(struct worker *w)
{
	for (int i = 0; i < 16; i++) {
		struct sockaddr_storage a = {0};
		socklen_t len = sizeof(a);
		int fd = accept4(w->s->listener, (struct sockaddr *)&a, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0)
			return;
		if (w->count >= w->s->c.connections)
			close(fd);
		else
			conn_new(w, fd, &a);
	}
}

/* ---- one request
 * ------------------------------------------------------------------------------------------------ */

static int export_channel(void *connection, const char *context, uint8_t out[32])
{
	return tls_export(connection, KBS_EXPORTER, context, out);
}

static void put_reply(struct conn *c, const struct broker_reply *r)
{
	char *cookie =
		r->cookie ? xasprintf("Set-Cookie: " KBS_COOKIE "=%s; Path=/; Secure; HttpOnly\r\n", r->cookie)
			  : xstrdup("");
	char *head = xasprintf("HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nCache-Control: "
			       "no-store\r\n%s%s\r\n",
			       r->status, http_reason(r->status), r->type, strlen(r->body), cookie,
			       c->close_after ? "Connection: close\r\n" : "");

	blob_free(&c->out);
	blob_add(&c->out, head, strlen(head));
	blob_add(&c->out, r->body, strlen(r->body));
	c->sent = 0;
	c->state = CONN_WRITE;
	free(head);
	free(cookie);
}

static void put_error(struct conn *c, int status, const char *detail)
{
	struct broker_reply r = {
		.status = status, .type = "application/json", .body = kbs_error_text("InvalidRequest", detail)};

	c->close_after = true;
	put_reply(c, &r);
	broker_reply_free(&r);
}

/* Looks for a whole request in what came in. */
static void take_request(struct conn *c)
{
	struct broker_request q = {.export_channel = export_channel, .connection = c->ssl, .peer = c->peer};
	struct broker_reply r;
	struct http_head h;
	size_t total;
	int ret = http_parse((char *)c->in.data, c->in.size, false, KBS_BODY_MAX, &h);

	if (ret < 0) {
		put_error(c, ret == -EMSGSIZE ? 413 : 400, "the request is not understood");
		return;
	}
	total = ret ? h.size + h.body : 0;
	if (!ret || c->in.size < total)
		return;
	q.head = &h;
	q.body = c->in.data + h.size;
	q.body_size = h.body;
	c->close_after = !h.keep_alive;
	if (peer_may(c->w->s, c->peer_hash)) {
		broker_handle(c->w->s->c.broker, &q, &r);
		put_reply(c, &r);
		broker_reply_free(&r);
	} else {
		put_error(c, 429, "too many requests");
	}
	/* what follows is the next request's */
	memmove(c->in.data, c->in.data + total, c->in.size - total);
	c->in.size -= total;
}

/* ---- steps of a connection
 * ------------------------------------------------------------------------------------ */

/* 1: go on, 0: wait, -1: close */
static int wait_for(struct conn *c, int ret)
{
	int why = SSL_get_error(c->ssl, ret);
	struct epoll_event ev = {.events = why == SSL_ERROR_WANT_WRITE ? EPOLLOUT : EPOLLIN, .data.ptr = c};

	if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) {
		ERR_clear_error();
		return -1;
	}
	if (ev.events != c->events && epoll_ctl(c->w->epoll, EPOLL_CTL_MOD, c->fd, &ev) < 0)
		return -1;
	c->events = ev.events;
	return 0;
}

static int step_read(struct conn *c)
{
	uint8_t buf[16384];
	int n = SSL_read(c->ssl, buf, sizeof(buf));

	if (n <= 0)
		return wait_for(c, n);
	blob_add(&c->in, buf, (size_t)n);
	take_request(c);
	return 1;
}

static int step_write(struct conn *c)
{
	int n = SSL_write(c->ssl, c->out.data + c->sent, (int)MIN(c->out.size - c->sent, (size_t)65536));

	if (n <= 0)
		return wait_for(c, n);
	c->sent += (size_t)n;
	if (c->sent < c->out.size)
		return 1;
	blob_free(&c->out);
	if (c->close_after) {
		SSL_shutdown(c->ssl);
		return -1;
	}
	c->state = CONN_READ;
	c->deadline = mono_ms() + c->w->s->c.idle_ms;
	if (c->in.size)
		take_request(c);
	else
		blob_free(&c->in);
	return 1;
}

static int step(struct conn *c)
{
	int ret;

	switch (c->state) {
	case CONN_HANDSHAKE:
		ret = SSL_accept(c->ssl);
		if (ret != 1)
			return wait_for(c, ret);
		c->state = CONN_READ;
		c->deadline = mono_ms() + c->w->s->c.idle_ms;
		return 1;
	case CONN_READ:
		return step_read(c);
	default:
		return step_write(c);
	}
}

/* A few steps at a time, so that no connection keeps the others waiting: epoll comes back to it, but for bytes
 * that OpenSSL has already read, which are no event. */
static void serve(struct conn *c)
{
	int ret = 1;

	for (int i = 0; ret > 0 && (i < 64 || SSL_has_pending(c->ssl) || c->state == CONN_WRITE); i++) {
		ERR_clear_error();
		ret = step(c);
	}
	if (ret < 0)
		conn_close(c);
}

static void close_late(struct worker *w)
{
	int64_t now = mono_ms();

	for (struct conn *c = w->conns, *next; c; c = next) {
		next = c->next;
		if (now >= c->deadline)
			conn_close(c);
	}
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct epoll_event ev[64];
	bool stop = false;
	int64_t swept = mono_ms();

	while (!stop) {
		int n = epoll_wait(w->epoll, ev, ARRAY_SIZE(ev), 500);

		for (int i = 0; i < n; i++) {
			if (ev[i].data.ptr == &w->s->listener)
				accept_some(w);
			else if (ev[i].data.ptr == &w->s->stop)
				stop = true;
			else
				serve(ev[i].data.ptr);
		}
		if (mono_ms() - swept >= 500) {
			close_late(w);
			swept = mono_ms();
		}
	}
	while (w->conns)
		conn_close(w->conns);
	OPENSSL_thread_stop();
	return NULL;
}

/* ---- starting and stopping
 * ----------------------------------------------------------------------------------- */

static int start_worker(struct server *s, struct worker *w)
{
	struct epoll_event in = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.ptr = &s->listener};
	struct epoll_event stop = {.events = EPOLLIN, .data.ptr = &s->stop};

	w->s = s;
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (w->epoll < 0 || epoll_ctl(w->epoll, EPOLL_CTL_ADD, s->listener, &in) < 0 ||
	    epoll_ctl(w->epoll, EPOLL_CTL_ADD, s->stop, &stop) < 0 ||
	    pthread_create(&w->thread, NULL, work, w) != 0) {
		if (w->epoll >= 0)
			close(w->epoll);
		return -EAGAIN;
	}
	return 0;
}

int server_start(const struct server_config *c, struct server **out, struct err *e)
{
	struct server *s = xcalloc(1, sizeof(*s));
	int ret;

	s->c = *c;
	s->c.threads = c->threads ? c->threads : 2;
	s->c.connections = c->connections ? c->connections : 256;
	s->c.idle_ms = c->idle_ms ? c->idle_ms : 30000;
	s->listener = -1;
	pthread_mutex_init(&s->lock, NULL);
	s->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s->workers = xcalloc(s->c.threads, sizeof(*s->workers));
	ret = random_fill(&s->seed, sizeof(s->seed));
	if (!ret)
		ret = tls_server(c->cert, c->key, &s->tls, e);
	if (!ret) {
		s->listener = tls_tcp_listen(c->listen, &s->port, e);
		ret = MIN(s->listener, 0);
	}
	while (!ret && s->started < s->c.threads) {
		ret = start_worker(s, &s->workers[s->started]);
		if (ret)
			err_set(e, ret, "a thread could not be started");
		else
			s->started++;
	}
	if (ret) {
		server_stop(s);
		return ret;
	}
	*out = s;
	return 0;
}

uint16_t server_port(const struct server *s)
{
	return s->port;
}

void server_stop(struct server *s)
{
	uint64_t one = 1;

	if (s->stop >= 0 && write(s->stop, &one, sizeof(one)) < 0)
		abort(); /* an eventfd that can't be written is our bug */
	for (unsigned i = 0; i < s->started; i++) {
		pthread_join(s->workers[i].thread, NULL);
		close(s->workers[i].epoll);
	}
	if (s->listener >= 0)
		close(s->listener);
	if (s->stop >= 0)
		close(s->stop);
	SSL_CTX_free(s->tls);
	free(s->workers);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
