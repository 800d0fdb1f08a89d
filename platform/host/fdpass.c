/* fdpass.c: see fdpass.h. */
#include "platform/host/fdpass.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "platform/host/hostcall.h"

union fdpass_control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(FDPASS_MAX * sizeof(int))];
};

ssize_t fdpass_send(int sock, const void *buf, size_t n, const int *fds, unsigned count, int flags)
{
	union fdpass_control control;
	struct iovec iov = {.iov_base = (void *)(uintptr_t)buf, .iov_len = n};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t ret;

	if (!n || count > FDPASS_MAX)
		return -EINVAL;
	if (count) {
		struct cmsghdr *c = &control.align;

		memset(&control, 0, sizeof(control));
		m.msg_control = &control;
		m.msg_controllen = CMSG_SPACE(count * sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(c), fds, count * sizeof(int));
	}
	do {
		ret = hc_sendmsg(sock, &m, flags);
	} while (ret == -EINTR);
	return ret;
}

/* Moves the descriptors of a message into fds; closes those beyond room. */
static void fdpass_collect(struct msghdr *m, int *fds, unsigned room, unsigned *count)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		size_t got;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		got = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < got; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (*count < room)
				fds[(*count)++] = fd;
			else
				hc_close(fd);
		}
	}
}

ssize_t fdpass_recv(int sock, void *buf, size_t n, int *fds, unsigned *count, int flags)
{
	union fdpass_control control;
	struct iovec iov = {.iov_base = buf, .iov_len = n};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	unsigned room = *count;
	ssize_t ret;

	*count = 0;
	do {
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
		ret = hc_recvmsg(sock, &m, flags);
	} while (ret == -EINTR);
	if (ret < 0)
		return ret;
	fdpass_collect(&m, fds, room, count);
	if (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		while (*count)
			hc_close(fds[--*count]);
		return -EPROTO;
	}
	return ret;
}
