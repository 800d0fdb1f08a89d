/* session_test.c: the launcher against guests, brokers and readers that don't do their part. The session runs
 * in a process of its own; the test is everybody else. */
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cvm-host/launch/session.h"

#define SIZE ((size_t)4 << 20)

static struct launch l;
static struct blob manifest;
static struct verb_reader reader;
static uint32_t seq;
static int guest, in, out[2]; /* our ends */
static pid_t session;

static void start(void)
{
	int pair[2], pipes[3][2];
	sigset_t term;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	for (int i = 0; i < 3; i++)
		cr_assert_eq(pipe(pipes[i]), 0);
	session = fork();
	if (session == 0) {
		struct session s = {.l = &l,
				    .manifest = &manifest,
				    .guest = pair[1],
				    .in = pipes[0][0],
				    .out = {pipes[1][1], pipes[2][1]}};

		signal(SIGPIPE, SIG_IGN);
		close(pair[0]);
		close(pipes[0][1]);
		close(pipes[1][0]);
		close(pipes[2][0]);
		sigemptyset(&term);
		sigaddset(&term, SIGTERM);
		sigprocmask(SIG_BLOCK, &term, NULL);
		s.signals = signalfd(-1, &term, SFD_NONBLOCK);
		_exit(session_run(&s));
	}
	signal(SIGPIPE, SIG_IGN);
	close(pair[1]);
	close(pipes[0][0]);
	close(pipes[1][1]);
	close(pipes[2][1]);
	guest = pair[0];
	in = pipes[0][1];
	out[0] = pipes[1][0];
	out[1] = pipes[2][0];
	reader = (struct verb_reader){.from = FROM_HOST};
	seq = 0;
}

static void say(enum verb v, const void *data, size_t size)
{
	static uint8_t frame[VERB_HEAD + VERB_PAYLOAD_MAX];
	size_t n = verb_put(frame, v, &seq, data, size);

	for (size_t at = 0; at < n;) {
		ssize_t k = write(guest, frame + at, n - at);

		if (k < 0)
			return; /* the session is over: its status tells */
		at += (size_t)k;
	}
}

/* The next frame of the launcher's. */
static struct verb_frame hear(void)
{
	static uint8_t byte;
	struct verb_frame f = {0};
	const uint8_t *p;
	size_t n;
	int ret = 0;

	while (!ret) {
		cr_assert_eq(read(guest, &byte, 1), 1);
		p = &byte;
		n = 1;
		ret = verb_take(&reader, &p, &n, &f);
	}
	cr_assert_eq(ret, 1);
	return f;
}

static bool silent(int ms)
{
	uint8_t byte;

	usleep((useconds_t)ms * 1000);
	return recv(guest, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0;
}

static int status(void)
{
	int st;

	cr_assert_eq(waitpid(session, &st, 0), session);
	cr_assert(WIFEXITED(st));
	return WEXITSTATUS(st);
}

static int listener(void)
{
	static char address[32];
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	cr_assert(bind(fd, (struct sockaddr *)&a, len) == 0 && listen(fd, 1) == 0 &&
		  getsockname(fd, (struct sockaddr *)&a, &len) == 0);
	snprintf(address, sizeof(address), "127.0.0.1:%u", ntohs(a.sin_port));
	l.broker = address;
	return fd;
}

Test(session, input_goes_in_when_the_guest_asks, .timeout = 20)
{
	struct verb_frame f;

	l = (struct launch){.input = true};
	start();
	cr_assert_eq(write(in, "first", 5), 5);
	cr_expect(silent(200), "input that nobody asked for");
	say(VERB_STDIO, "\0", 1);
	f = hear();
	cr_expect(f.verb == VERB_STDIO && f.size == 6 && !memcmp(f.data, "\0first", 6));
	cr_assert_eq(write(in, "second", 6), 6);
	cr_expect(silent(200), "input that nobody asked for");
	say(VERB_STDIO, "\0", 1);
	f = hear();
	cr_expect(f.size == 7 && !memcmp(f.data, "\0second", 7));
	close(in);
	say(VERB_STDIO, "\0", 1);
	cr_expect_eq(hear().size, 1);
	say(VERB_STDIO, "\1said", 5);
	say(VERB_EXIT, "\0\7", 2);
	cr_expect_eq(status(), 7);
}

Test(session, without_input_the_workload_finds_its_end, .timeout = 20)
{
	char text[8];

	l = (struct launch){.input = false};
	start();
	cr_assert_eq(write(in, "x", 1), 1);
	say(VERB_STDIO, "\0", 1);
	cr_expect_eq(hear().size, 1);
	say(VERB_STDIO, "\1said", 5);
	say(VERB_EXIT, "\1\11", 2);
	cr_expect_eq(status(), 128 + 9);
	cr_expect_eq(read(out[0], text, sizeof(text)), 4);
}

/* What a guest says twice, or before its time. */
Test(session, out_of_turn_is_the_end, .timeout = 20)
{
	static const struct {
		enum verb v;
		const char *first, *second;
	} cases[] = {
		{VERB_READY, "\1", "\1"}, {VERB_RELAY, "\0", "\0"}, {VERB_RELAY, NULL, "\1"},
		{VERB_RELAY, NULL, "\2"}, {VERB_STDIO, "\0", "\0"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int fd = listener();

		l.input = false;
		start();
		if (cases[i].first)
			say(cases[i].v, cases[i].first, 1);
		say(cases[i].v,
		    cases[i].v == VERB_RELAY && *cases[i].second == RELAY_DATA ? "\1x" : cases[i].second,
		    cases[i].v == VERB_RELAY && *cases[i].second == RELAY_DATA ? 2 : 1);
		cr_expect_eq(status(), 125, "case %zu", i);
		close(fd);
	}
}

Test(session, a_guest_that_does_not_read_is_stopped_in_time, .timeout = 20)
{
	int64_t before = mono_ms();

	l = (struct launch){.timeout = 1};
	blob_room(&manifest, SIZE);
	start();
	say(VERB_READY, "\1", 1);
	cr_expect_eq(status(), 124);
	cr_expect_lt(mono_ms() - before, 10000);
}

Test(session, a_reader_that_does_not_read_holds_the_guest_and_no_signal, .timeout = 20)
{
	static char data[VERB_PAYLOAD_MAX] = {1};
	pid_t writer;
	int st;

	l = (struct launch){0};
	start();
	writer = fork();
	if (writer == 0) {
		for (size_t n = 0; n < SIZE; n += sizeof(data))
			say(VERB_STDIO, data, sizeof(data));
		_exit(0);
	}
	usleep(300000);
	cr_expect_eq(waitpid(writer, &st, WNOHANG), 0, "4 MiB went into a pipe and nowhere");
	kill(session, SIGTERM);
	cr_expect_eq(status(), 128 + SIGTERM);
	close(guest);
	waitpid(writer, &st, 0);
}

Test(session, a_reader_that_is_gone_does_not_stop_the_guest, .timeout = 20)
{
	l = (struct launch){0};
	start();
	close(out[0]);
	say(VERB_STDIO, "\1x", 2);
	say(VERB_STDIO, "\1y", 2);
	say(VERB_EXIT, "\0\3", 2);
	cr_expect_eq(status(), 3);
}

Test(session, all_of_it_reaches_a_slow_broker, .timeout = 20)
{
	static char data[VERB_PAYLOAD_MAX] = {RELAY_DATA};
	size_t got = 0, sent = 0;
	int listening = listener(), fd, st, small = 4096;
	pid_t writer;
	ssize_t n;

	setsockopt(listening, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	l.timeout = 15;
	start();
	memset(data + 1, 'r', sizeof(data) - 1);
	writer = fork();
	if (writer == 0) {
		say(VERB_RELAY, "\0", 1);
		for (size_t i = 0; i < SIZE; i += sizeof(data))
			say(VERB_RELAY, data, sizeof(data));
		say(VERB_RELAY, "\2", 1);
		pause();
	}
	fd = accept(listening, NULL, NULL);
	cr_assert(fd >= 0);
	usleep(300000);
	for (size_t i = 0; i < SIZE; i += sizeof(data))
		sent += sizeof(data) - 1;
	while ((n = read(fd, data, sizeof(data))) > 0)
		got += (size_t)n;
	cr_expect_eq(got, sent);
	kill(writer, SIGKILL);
	waitpid(writer, &st, 0);
	close(guest);
	cr_expect_eq(status(), 125);
}

Test(session, a_broker_that_is_not_there_is_told, .timeout = 20)
{
	struct verb_frame f;

	close(listener());
	start();
	say(VERB_RELAY, "\0", 1);
	f = hear();
	cr_expect(f.verb == VERB_RELAY && f.data[0] == RELAY_CLOSE);
	say(VERB_RELAY, "\1x", 2); /* said before it heard that */
	say(VERB_EXIT, "\2\1", 2);
	cr_expect_eq(status(), 125);
}
