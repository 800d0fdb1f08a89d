/* client.c: see client.h. */
#include "sentry/oci/client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "platform/base/bug.h"

/* The folder's name may be too long for an address, so it is named through a descriptor. */
static int address(struct sockaddr_un *a, const char *dir)
{
	int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	*a = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (fd >= 0)
		snprintf(a->sun_path, sizeof(a->sun_path), "/proc/self/fd/%d/control", fd);
	return fd;
}

int client_listen(const char *dir)
{
	struct sockaddr_un a;
	int d = address(&a, dir), fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (d >= 0)
		unlink(a.sun_path);
	if (d < 0 || fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 64) < 0) {
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	if (d >= 0)
		close(d);
	return fd;
}

int client_connect(const struct oci_state *s, char *err, size_t err_size)
{
	struct sockaddr_un a;
	int d = address(&a, s->dir), fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (d < 0 || fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		snprintf(err, err_size, "cannot reach the container: %s", strerror(errno));
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	if (d >= 0)
		close(d);
	return fd;
}

int client_send(int fd, uint32_t type, int64_t value, const char *data, size_t size, const int *fds,
		size_t fd_count)
{
	struct control_msg m = {.type = type, .size = (uint32_t)size, .value = value};
	struct iovec iov[2] = {{&m, sizeof(m)}, {(void *)(uintptr_t)data, size}};
	union {
		char buf[CMSG_SPACE(CONTROL_FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct msghdr h = {.msg_iov = iov, .msg_iovlen = size ? 2 : 1};
	struct cmsghdr *c;

	BUG_ON(fd_count > CONTROL_FDS_MAX);
	if (fd_count) {
		memset(&control, 0, sizeof(control));
		h.msg_control = control.buf;
		h.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		c = CMSG_FIRSTHDR(&h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(c), fds, fd_count * sizeof(int));
	}
	return sendmsg(fd, &h, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

int client_receive(int fd, struct client_msg *msg)
{
	ssize_t n;

	do {
		n = recv(fd, msg, sizeof(*msg) - 1, 0);
	} while (n < 0 && errno == EINTR);
	if (n < (ssize_t)sizeof(msg->m) || (size_t)n - sizeof(msg->m) != msg->m.size)
		return -1;
	msg->data[msg->m.size] = 0;
	return 0;
}

static int ask(int fd, uint32_t type, int64_t request, const int *fds, size_t fd_count, int64_t *value,
	       char *err, size_t err_size)
{
	struct client_msg *msg = malloc(sizeof(*msg));
	int ret = -1;

	BUG_ON(!msg);
	if (client_send(fd, type, request, NULL, 0, fds, fd_count) < 0 || client_receive(fd, msg) < 0)
		snprintf(err, err_size, "the container has ended");
	else if (msg->m.type == CONTROL_ERROR)
		snprintf(err, err_size, "%s", msg->data);
	else
		ret = 0;
	if (ret == 0)
		*value = msg->m.value;
	free(msg);
	return ret;
}

int client_ask(int fd, uint32_t type, int64_t request, int64_t *value, char *err, size_t err_size)
{
	return ask(fd, type, request, NULL, 0, value, err, err_size);
}

int client_start(int fd, int64_t what, const int *fds, size_t fd_count, char *err, size_t err_size)
{
	int64_t value;

	return ask(fd, CONTROL_START, what, fds, fd_count, &value, err, err_size);
}
