/* session.c: one loop over guest, broker, standard files and signals. Nothing in it waits for one of them
 * alone, but for the connection to the broker, which has ten seconds. */
#include "cvm-host/launch/session.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cvm-host/cvm.h"
#include "cvm-host/kbs/tls.h"

#define PIECE 4096 /* a pipe that poll() calls writable takes that much without waiting (pipe(7): PIPE_BUF) */

static bool waits(const struct queue *q)
{
	return q->at < q->b.size;
}

static void drop(struct queue *q)
{
	q->at = q->b.size = 0;
}

static void took(struct queue *q, ssize_t n)
{
	q->at += (size_t)n;
	if (!waits(q))
		drop(q);
}

static bool again(ssize_t n)
{
	return n < 0 && (errno == EAGAIN || errno == EINTR);
}

/* What fits goes out now. false: the peer is gone, and the queue with it. */
static bool flush_socket(struct queue *q, int fd)
{
	while (waits(q)) {
		ssize_t n = send(fd, q->b.data + q->at, q->b.size - q->at, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (again(n))
			return true;
		if (n <= 0) {
			drop(q);
			return false;
		}
		took(q, n);
	}
	return true;
}

static void send_verb(struct session *s, enum verb v, const void *data, size_t size)
{
	static uint8_t frame[VERB_HEAD + VERB_PAYLOAD_MAX];

	blob_add(&s->to_guest.b, frame, verb_put(frame, v, &s->seq, data, size));
}

/* ---- the broker ------------------------------------------------------------------------------------------ */

static void leave_broker(struct session *s, bool tell)
{
	const uint8_t op = RELAY_CLOSE;

	if (s->broker_open)
		close(s->broker);
	s->broker_open = s->broker_leaving = false;
	drop(&s->to_broker);
	if (tell)
		send_verb(s, VERB_RELAY, &op, 1);
}

static void open_broker(struct session *s)
{
	char *host = xstrdup(s->l->broker), *colon = strrchr(host, ':');
	struct err e = {"HOST:PORT is wanted"};
	int fd = -EINVAL;

	if (colon) {
		*colon = 0;
		fd = tls_tcp_connect(host, colon + 1, (int)MAX(MIN(s->deadline - mono_ms(), 10000), 1), &e);
	}
	s->broker = fd;
	s->broker_open = fd >= 0;
	if (fd < 0) {
		cvm_complain("broker: %s", e.text);
		leave_broker(s, true);
	}
	free(host);
}

static int relay_verb(struct session *s, const struct verb_frame *f)
{
	if ((f->data[0] == RELAY_OPEN) == s->had_relay)
		return -EPROTO;
	if (f->data[0] == RELAY_OPEN) {
		s->had_relay = true;
		open_broker(s);
	} else if (f->data[0] == RELAY_CLOSE)
		s->broker_leaving = s->broker_open; /* when what came before has gone out */
	else if (s->broker_open && !s->broker_leaving)
		blob_add(&s->to_broker.b, f->data + 1, f->size - 1);
	return 0;
}

static void read_broker(struct session *s)
{
	static uint8_t buf[1 + 16384] = {RELAY_DATA};
	ssize_t n = recv(s->broker, buf + 1, sizeof(buf) - 1, MSG_DONTWAIT);

	if (n > 0)
		send_verb(s, VERB_RELAY, buf, (size_t)n + 1);
	else if (!again(n))
		leave_broker(s, true);
}

/* ---- the workload's streams ------------------------------------------------------------------------------ */

static void end_input(struct session *s)
{
	s->input_ended = true;
	send_verb(s, VERB_STDIO, "", 1);
}

static void read_input(struct session *s)
{
	static uint8_t buf[1 + 16384];
	ssize_t n = read(s->in, buf + 1, sizeof(buf) - 1);

	if (again(n))
		return;
	s->wants_input = false;
	if (n > 0)
		send_verb(s, VERB_STDIO, buf, (size_t)n + 1);
	else
		end_input(s);
}

static void put_output(struct session *s, int i, const void *p, size_t size)
{
	if (s->out[i] >= 0)
		blob_add(&s->to_out[i].b, p, size);
}

static int stdio_verb(struct session *s, const struct verb_frame *f)
{
	if (f->data[0]) {
		put_output(s, f->data[0] - 1, f->data + 1, f->size - 1);
		return 0;
	}
	if (s->wants_input || s->input_ended)
		return -EPROTO;
	if (s->l->input)
		s->wants_input = true;
	else
		end_input(s);
	return 0;
}

/* A reader that is gone is no reason to stop the guest. */
static void write_output(struct session *s, int i)
{
	struct queue *q = &s->to_out[i];
	ssize_t n = write(s->out[i], q->b.data + q->at, MIN(q->b.size - q->at, (size_t)PIECE));

	if (n > 0)
		took(q, n);
	else if (!again(n)) {
		drop(q);
		s->out[i] = -1;
	}
}

/* ---- the guest ------------------------------------------------------------------------------------------- */

static int send_manifest(struct session *s)
{
	const struct blob *m = s->manifest;

	if (s->had_ready)
		return -EPROTO;
	s->had_ready = true;
	for (size_t at = 0; at < m->size; at += 32768)
		send_verb(s, VERB_READY, m->data + at, MIN(m->size - at, (size_t)32768));
	send_verb(s, VERB_READY, NULL, 0);
	return 0;
}

/* Guest's text on a terminal: printable ASCII only. */
static void show_progress(struct session *s, const struct verb_frame *f)
{
	static const char head[] = "sbx: guest: ";
	char text[513];
	size_t n = MIN(f->size, sizeof(text) - 1);

	for (size_t i = 0; i < n; i++)
		text[i] = f->data[i] >= ' ' && f->data[i] < 0x7f ? (char)f->data[i] : '?';
	text[n] = '\n';
	if (s->l->quiet && strncmp(text, "refused", 7) != 0)
		return;
	put_output(s, 1, head, sizeof(head) - 1);
	put_output(s, 1, text, n + 1);
}

static int guest_says(struct session *s, const struct verb_frame *f)
{
	switch (f->verb) {
	case VERB_READY:
		return send_manifest(s);
	case VERB_RELAY:
		return relay_verb(s, f);
	case VERB_STDIO:
		return stdio_verb(s, f);
	case VERB_PROGRESS:
		show_progress(s, f);
		return 0;
	case VERB_EXIT:
		s->exited = true;
		s->status = f->data[0] == 0 ? f->data[1] : f->data[0] == 1 ? 128 + f->data[1] : EXIT_OWN;
		return 0;
	default:
		return 0; /* pings' answers; logs of guests that the manifest gives no log */
	}
}

static int read_guest(struct session *s)
{
	static uint8_t buf[65536];
	ssize_t n = recv(s->guest, buf, sizeof(buf), MSG_DONTWAIT);
	const uint8_t *p = buf;
	size_t size = n > 0 ? (size_t)n : 0;
	struct verb_frame f;
	int ret = n > 0 || again(n) ? 0 : -EPIPE;

	while (!ret && !s->exited && (ret = verb_take(&s->reader, &p, &size, &f)) == 1)
		ret = guest_says(s, &f);
	if (ret == -EPROTO)
		cvm_complain("the guest broke the channel's rules");
	return ret;
}

/* ---- the loop -------------------------------------------------------------------------------------------- */

enum { GUEST, BROKER, INPUT, SIGNALS, OUT, PARTIES = OUT + 2 };

/* Whoever is to be read from is not while what it said last waits for somebody: queues stay short. */
static void watch(const struct session *s, struct pollfd p[PARTIES])
{
	bool guest_busy = waits(&s->to_guest), broker_busy = waits(&s->to_broker),
	     hear_guest = !s->exited && !broker_busy && !waits(&s->to_out[0]) && !waits(&s->to_out[1]),
	     hear_broker = !guest_busy && !s->broker_leaving;

	p[GUEST] = (struct pollfd){s->guest, (hear_guest ? POLLIN : 0) | (guest_busy ? POLLOUT : 0), 0};
	p[BROKER] = (struct pollfd){s->broker, (hear_broker ? POLLIN : 0) | (broker_busy ? POLLOUT : 0), 0};
	p[INPUT] = (struct pollfd){s->in, s->wants_input && !guest_busy ? POLLIN : 0, 0};
	p[SIGNALS] = (struct pollfd){s->signals, POLLIN, 0};
	for (int i = 0; i < 2; i++)
		p[OUT + i] = (struct pollfd){s->out[i], waits(&s->to_out[i]) ? POLLOUT : 0, 0};
	if (!s->broker_open)
		p[BROKER].fd = -1;
	for (int i = 0; i < PARTIES; i++)
		if (!p[i].events)
			p[i].fd = -1; /* else its hanging up would be told again and again */
}

static int serve(struct session *s, const struct pollfd p[PARTIES])
{
	for (int i = 0; i < 2; i++)
		if (p[OUT + i].revents)
			write_output(s, i);
	if (p[BROKER].revents && waits(&s->to_broker))
		(void)!flush_socket(&s->to_broker, s->broker); /* its end is seen by the reading side */
	if (p[BROKER].revents && p[BROKER].events & POLLIN && s->broker_open)
		read_broker(s);
	if (p[INPUT].revents)
		read_input(s);
	if (p[GUEST].revents && p[GUEST].events & POLLIN)
		return read_guest(s);
	return 0;
}

static int converse(struct session *s)
{
	struct signalfd_siginfo sig;
	struct pollfd p[PARTIES];
	int ret = 0;

	while (!ret && (!s->exited || waits(&s->to_out[0]) || waits(&s->to_out[1]))) {
		int64_t left = s->deadline - mono_ms();

		if (left <= 0) {
			cvm_complain("timeout");
			return EXIT_TIMEOUT;
		}
		(void)!flush_socket(&s->to_guest, s->guest); /* read_guest() sees that it is gone */
		if (s->broker_leaving && !waits(&s->to_broker))
			leave_broker(s, false);
		watch(s, p);
		if (poll(p, PARTIES, (int)MIN(left, 1000)) < 0) {
			if (errno != EINTR)
				return EXIT_OWN;
			continue;
		}
		if (p[SIGNALS].revents && read(s->signals, &sig, sizeof(sig)) == sizeof(sig))
			return 128 + (int)sig.ssi_signo;
		ret = serve(s, p);
	}
	if (!s->exited)
		cvm_complain("the guest is gone without an exit status");
	return s->exited ? s->status : EXIT_OWN;
}

/* What can still be said without waiting. */
static void say_last(struct session *s, int i)
{
	struct pollfd p = {s->out[i], POLLOUT, 0};

	while (waits(&s->to_out[i]) && poll(&p, 1, 0) > 0)
		write_output(s, i);
}

int session_run(struct session *s)
{
	int ret;

	s->deadline = s->l->timeout ? mono_ms() + s->l->timeout * 1000ll : INT64_MAX;
	s->reader.from = FROM_GUEST;
	ret = converse(s);
	leave_broker(s, false);
	blob_free(&s->to_guest.b);
	blob_free(&s->to_broker.b);
	for (int i = 0; i < 2; i++) {
		say_last(s, i);
		blob_free(&s->to_out[i].b);
	}
	return ret;
}
