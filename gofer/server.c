/* server.c: one thread a connection. The threads share the table of nodes and nothing else. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "gofer/internal.h"
#include "platform/abi/errno.h"
#include "platform/base/bytes.h"
#include "platform/host/fdpass.h"
#include "platform/host/hostcall.h"

#define CLIENT_TIMEOUT_S 10 /* as client.h's GOFER_DEADLINE_NS */
#define STACK_SIZE	 (256 * 1024UL)

int server_init(struct server *s, const struct gofer_root *roots, size_t root_count, int self, bool all_ids)
{
	struct rlimit rl;

	memset(s, 0, sizeof(*s));
	s->roots = roots;
	s->root_count = root_count;
	if (pthread_mutex_init(&s->lock, NULL))
		return -ENOMEM;
	s->open_max = 512;
	if (getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur > 1024)
		s->open_max = MIN(rl.rlim_cur / 2, 65536UL);
	s->proc_fd = self;
	if (self < 0)
		s->proc_fd = hc_openat(AT_FDCWD, "/proc/self/fd", O_PATH | O_DIRECTORY, 0);
	s->squash = !all_ids;
	s->own_uid = hc_getuid();
	s->own_gid = hc_getgid();
	nodes_init(s);
	return 0;
}

void server_fini(struct server *s)
{
	nodes_fini(s);
	if (s->proc_fd >= 0)
		hc_close(s->proc_fd);
	pthread_mutex_destroy(&s->lock);
}

void server_run(struct server *s, int sock)
{
	struct session *ss = calloc(1, sizeof(*ss));
	ssize_t n;

	if (ss) {
		ss->server = s;
		ss->sock = sock;
		do {
			unsigned fd_count = 0;

			n = fdpass_recv(sock, ss->in, sizeof(ss->in), NULL, &fd_count, 0);
		} while (n > 0 && session_serve(ss, (size_t)n) == 0);
		free(ss);
	}
	hc_close(sock);
}

struct channel {
	struct server *s;
	int sock;
};

static void *channel_main(void *arg)
{
	struct channel c = *(struct channel *)arg;

	free(arg);
	server_run(c.s, c.sock);
	return NULL;
}

static int start_channel(struct server *s, int sock)
{
	struct channel *c = malloc(sizeof(*c));
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	if (!c)
		return -ENOMEM;
	*c = (struct channel){s, sock};
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	err = pthread_create(&thread, &attr, channel_main, c);
	pthread_attr_destroy(&attr);
	if (err)
		free(c);
	return -err;
}

int server_add_channel(struct server *s)
{
	struct timeval tv = {.tv_sec = CLIENT_TIMEOUT_S};
	int fds[2], ret;

	if (__atomic_add_fetch(&s->channels, 1, __ATOMIC_RELAXED) >= GOFER_CHANNEL_MAX)
		return -EUSERS;
	ret = hc_socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds);
	if (ret < 0)
		return ret;
	/* the client need not be able to */
	hc_setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	hc_setsockopt(fds[0], SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	ret = start_channel(s, fds[1]);
	if (ret < 0) {
		hc_close(fds[0]);
		hc_close(fds[1]);
		return ret;
	}
	return fds[0];
}
