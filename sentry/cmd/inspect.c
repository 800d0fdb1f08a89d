/* inspect.c: see inspect.h. The protocol is one request word and a stream of text until the end. */
#include "sentry/cmd/inspect.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "sentry/cmd/cmd.h"

static socklen_t address(struct sockaddr_un *a, int pid)
{
	int n;

	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	n = snprintf(a->sun_path + 1, sizeof(a->sun_path) - 1, "sbx/%d", pid);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

int inspect_listen(void)
{
	struct sockaddr_un a;
	socklen_t len = address(&a, getpid());
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0 && (bind(fd, (struct sockaddr *)&a, len) < 0 || listen(fd, 4) < 0)) {
		close(fd);
		return -1;
	}
	return fd;
}

int inspect_accept(int listener, uint32_t *request)
{
	struct timeval soon = {.tv_usec = 200000};
	struct ucred peer;
	socklen_t len = sizeof(peer);
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof(soon));
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 ||
	    (peer.uid != 0 && peer.uid != getuid()) ||
	    recv(fd, request, sizeof(*request), 0) != (ssize_t)sizeof(*request) ||
	    (*request != CONTROL_DUMP && *request != CONTROL_STATS)) {
		close(fd);
		return -1;
	}
	return fd;
}

int inspect_ask(int pid, uint32_t request)
{
	struct timeval patience = {.tv_sec = 10};
	struct sockaddr_un a;
	socklen_t len = address(&a, pid);
	char buf[4096];
	ssize_t n;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&a, len) < 0) {
		complain("debug: process %d is not a running `sbx run` (%s)", pid, strerror(errno));
		return EXIT_SBX;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (send(fd, &request, sizeof(request), MSG_NOSIGNAL) < 0) {
		complain("debug: cannot ask: %s", strerror(errno));
		return EXIT_SBX;
	}
	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0)
		fwrite(buf, 1, (size_t)n, stdout);
	close(fd);
	if (n < 0) {
		complain("debug: the sandbox does not answer: %s", strerror(errno));
		return EXIT_SBX;
	}
	return 0;
}
