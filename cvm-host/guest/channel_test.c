/* channel_test.c: the launcher's input comes when it is asked for, whole, and at no other time. */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cvm-host/guest/channel.h"

static struct channel ch;

/* A channel without threads: the test is the launcher, and the reading thread too. */
static int open_channel(void)
{
	int pair[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ch = (struct channel){.lock = PTHREAD_MUTEX_INITIALIZER,
			      .changed = PTHREAD_COND_INITIALIZER,
			      .fd = pair[0],
			      .relay = -1};
	return pair[1];
}

static int hear(const char *data, size_t size)
{
	const struct verb_frame f = {VERB_STDIO, (const uint8_t *)data, size};

	return channel_hear(&ch, &f);
}

static void expect_ask(int host)
{
	static struct verb_reader r;
	static uint32_t seq;
	uint8_t buf[VERB_HEAD + 1];
	const uint8_t *p = buf;
	struct verb_frame f;
	size_t n = sizeof(buf);

	r = (struct verb_reader){.from = FROM_GUEST, .seq = seq++};
	cr_assert_eq(recv(host, buf, n, MSG_WAITALL), (ssize_t)n);
	cr_assert_eq(verb_take(&r, &p, &n, &f), 1);
	cr_expect_eq(f.verb, VERB_STDIO);
	cr_expect_eq(f.size, 1);
	cr_expect_eq(f.data[0], 0);
}

static void *input(void *fd)
{
	channel_input(&ch, *(int *)fd);
	return NULL;
}

Test(channel, input_that_nobody_asked_for_is_a_breach)
{
	open_channel();
	cr_expect_eq(hear("\0x", 2), -EPROTO);
	cr_expect_eq(hear("\0", 1), -EPROTO);
	channel_allow(&ch, true, false); /* that it may come some time is no question */
	cr_expect_eq(hear("\0x", 2), -EPROTO);
}

Test(channel, each_piece_of_input_is_asked_for_and_arrives, .timeout = 20)
{
	static char big[1 + 100000];
	int host = open_channel(), workload[2];
	static char got[sizeof(big) + 16];
	size_t n = 0;
	pthread_t t;

	cr_assert_eq(pipe(workload), 0);
	channel_allow(&ch, true, false);
	cr_assert_eq(pthread_create(&t, NULL, input, &workload[1]), 0);
	expect_ask(host);
	cr_expect_eq(hear("\0hello\n", 7), 0);
	expect_ask(host);
	memset(big + 1, 'z', sizeof(big) - 1);
	cr_expect_eq(hear(big, sizeof(big)), 0); /* more than fits in the workload's pipe */
	while (n < 6 + sizeof(big) - 1) {
		ssize_t k = read(workload[0], got + n, sizeof(got) - n);

		cr_assert(k > 0);
		n += (size_t)k;
	}
	cr_expect(!memcmp(got, "hello\n", 6) && got[6] == 'z' && got[n - 1] == 'z');
	expect_ask(host);
	cr_expect_eq(hear("\0", 1), 0);
	cr_expect_eq(hear("\0", 1), -EPROTO); /* an end has nothing after it */
	cr_expect_eq(read(workload[0], got, 1), 0);
	cr_assert_eq(pthread_join(t, NULL), 0);
}

Test(channel, a_workload_that_reads_no_more_ends_the_questions, .timeout = 20)
{
	int host = open_channel(), workload[2];
	pthread_t t;

	signal(SIGPIPE, SIG_IGN); /* as the guest has it */
	cr_assert_eq(pipe(workload), 0);
	close(workload[0]);
	cr_assert_eq(pthread_create(&t, NULL, input, &workload[1]), 0);
	expect_ask(host);
	cr_expect_eq(hear("\0x", 2), 0);
	cr_assert_eq(pthread_join(t, NULL), 0);
	cr_expect_eq(recv(host, &t, 1, MSG_DONTWAIT), -1);
}
