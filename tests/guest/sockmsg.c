/* sockmsg.c: messages on sockets: vectors, control messages and their truncation, flags, timeouts, options, the
 * errors of wrong arguments. */
#include "guest.h"
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>

static ssize_t send_fds(int s, int count, int creds, int flags)
{
	char buf[1024] = {0};
	struct iovec v = {"m", 1};
	struct msghdr h = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = buf};
	struct cmsghdr *c = (void *)buf;

	if (count) {
		c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)count);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		for (int i = 0; i < count; i++)
			((int *)CMSG_DATA(c))[i] = 1;
		h.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)count);
	}
	if (creds) {
		struct ucred u = {creds > 0 ? getpid() : 1 << 28, getuid(), getgid()};

		c = (void *)(buf + h.msg_controllen);
		c->cmsg_len = CMSG_LEN(sizeof(u));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_CREDENTIALS;
		memcpy(CMSG_DATA(c), &u, sizeof(u));
		h.msg_controllen += CMSG_SPACE(sizeof(u));
	}
	return sendmsg(s, &h, flags);
}

/* Prints what came, closes descriptors. */
static void show_recv(int s, size_t room, int flags)
{
	char data[64] = {0}, buf[1024];
	struct iovec v = {data, sizeof(data)};
	struct msghdr h = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = buf, .msg_controllen = room};
	ssize_t n = recvmsg(s, &h, flags);

	if (n < 0) {
		printf("recvmsg: -1 %s\n", strerrorname_np(errno));
		return;
	}
	printf("recvmsg: %zd %s flags %x control %zu:", n, data, h.msg_flags, (size_t)h.msg_controllen);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c; c = CMSG_NXTHDR(&h, c)) {
		printf(" type %d len %zu", c->cmsg_type, (size_t)c->cmsg_len);
		if (c->cmsg_type == SCM_RIGHTS) {
			size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

			for (size_t i = 0; i < count; i++) {
				int fd = ((int *)CMSG_DATA(c))[i];

				printf(" cloexec %d", fcntl(fd, F_GETFD));
				close(fd);
			}
		} else if (c->cmsg_type == SCM_CREDENTIALS) {
			struct ucred *u = (void *)CMSG_DATA(c);

			printf(" pid %d uid %d", u->pid == getpid(), u->uid == getuid());
		}
	}
	puts("");
}

static void control(void)
{
	int s[2], on = 1;

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
	SHOW(send_fds(s[0], 2, 0, 0));
	show_recv(s[1], 1024, 0);
	SHOW(send_fds(s[0], 3, 0, 0));
	show_recv(s[1], CMSG_LEN(sizeof(int)), MSG_CMSG_CLOEXEC);
	SHOW(send_fds(s[0], 3, 0, 0));
	show_recv(s[1], CMSG_LEN(2 * sizeof(int)), 0);
	SHOW(send_fds(s[0], 1, 0, 0));
	show_recv(s[1], 10, 0);
	SHOW(send_fds(s[0], 1, 0, 0));
	show_recv(s[1], 0, 0);
	SHOW(send_fds(s[0], 0, 1, 0));
	show_recv(s[1], 1024, 0);
	SHOW(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
	SHOW(send_fds(s[0], 1, 1, 0));
	show_recv(s[1], 1024, 0);
	SHOW(send(s[0], "p", 1, 0));
	show_recv(s[1], 1024, 0);
	SHOW(send_fds(s[0], 0, -1, 0));
	SHOW(send_fds(s[0], 2, 0, 0));
	show_recv(s[1], 1024, MSG_PEEK);
	show_recv(s[1], 1024, 0);
	SHOW(send_fds(s[0], 1, 0, 0));
	SHOW(send(s[0], "tail", 4, 0));
	show_recv(s[1], 1024, 0);
	show_recv(s[1], 1024, 0);
	/* malformed */
	char buf[64] = {0};
	struct cmsghdr *c = (void *)buf;
	struct msghdr h = {.msg_control = buf, .msg_controllen = 24};
	c->cmsg_len = 8;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	SHOW(sendmsg(s[0], &h, 0));
	c->cmsg_len = 100;
	SHOW(sendmsg(s[0], &h, 0));
	c->cmsg_len = CMSG_LEN(4);
	*(int *)CMSG_DATA(c) = 999;
	SHOW(sendmsg(s[0], &h, 0));
	c->cmsg_type = 77;
	SHOW(sendmsg(s[0], &h, 0));
	c->cmsg_level = 99;
	SHOW(sendmsg(s[0], &h, 0));
	h = (struct msghdr){.msg_iov = (void *)16, .msg_iovlen = 1};
	SHOW(sendmsg(s[0], &h, 0));
	h.msg_iovlen = 1025;
	SHOW(sendmsg(s[0], &h, 0));
	SHOW(recvmsg(s[0], &h, MSG_DONTWAIT));
	SHOW(sendmsg(s[0], (void *)16, 0));
	close(s[0]);
	close(s[1]);
}

static void flags(void)
{
	int s[2], d[2], n;
	char buf[64] = {0};

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, d) == 0);
	SHOW(recv(s[1], buf, 4, MSG_DONTWAIT));
	SHOW(send(s[0], "hello", 5, 0));
	SHOW(recv(s[1], buf, 3, MSG_PEEK));
	SHOW(ioctl(s[1], FIONREAD, &n));
	printf("%d\n", n);
	SHOW(recv(s[1], buf, 64, 0));
	SHOW(send(s[0], "", 0, 0));
	SHOW(recv(s[1], buf, 64, MSG_DONTWAIT));
	SHOW(send(d[0], "", 0, 0));
	SHOW(recv(d[1], buf, 64, MSG_DONTWAIT));
	SHOW(send(d[0], "datagram", 8, 0));
	SHOW(recv(d[1], buf, 3, MSG_PEEK | MSG_TRUNC));
	SHOW(recv(d[1], buf, 3, 0));
	SHOW(recv(d[1], buf, 3, MSG_DONTWAIT));
	SHOW(send(s[0], "ab", 2, 0));
	pid_t pid = fork();
	if (pid == 0) {
		usleep(30000);
		MUST(send(s[0], "cdef", 4, 0) == 4);
		_exit(0);
	}
	SHOW(recv(s[1], buf, 6, MSG_WAITALL));
	printf("%.6s\n", buf);
	waitpid(pid, NULL, 0);
	struct timeval tv = {0, 30000}, got;
	socklen_t len = sizeof(got);
	SHOW(setsockopt(s[1], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	SHOW(getsockopt(s[1], SOL_SOCKET, SO_RCVTIMEO, &got, &len));
	printf("%ld %d %u\n", (long)got.tv_sec, got.tv_usec > 20000, len);
	SHOW(recv(s[1], buf, 6, 0));
	SHOW(read(s[1], buf, 6));
	SHOW(send(s[0], "xy", 2, 0));
	SHOW(recv(s[1], buf, 6, MSG_WAITALL));
	SHOW(setsockopt(s[1], SOL_SOCKET, SO_RCVTIMEO, &tv, 4));
	tv.tv_usec = 2000000;
	SHOW(setsockopt(s[1], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	SHOW(setsockopt(s[1], SOL_SOCKET, 9999, &n, sizeof(n)));
	SHOW(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &n, -1));
	SHOW(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, NULL, 4));
	len = -1;
	SHOW(getsockopt(s[1], SOL_SOCKET, SO_TYPE, &n, &len));
	len = 2;
	SHOW(getsockopt(s[1], SOL_SOCKET, SO_TYPE, &n, &len));
	printf("%u\n", len);
	len = 4;
	SHOW(getsockopt(d[1], SOL_SOCKET, SO_TYPE, &n, &len));
	printf("%d\n", n);
	struct ucred u;
	len = sizeof(u);
	SHOW(getsockopt(s[1], SOL_SOCKET, SO_PEERCRED, &u, &len));
	printf("%d %d\n", u.pid == getpid(), u.uid == getuid());
	signal(SIGPIPE, SIG_IGN);
	SHOW(shutdown(s[0], 3));
	SHOW(shutdown(s[0], SHUT_WR));
	SHOW(send(s[0], "x", 1, MSG_NOSIGNAL));
	SHOW(recv(s[1], buf, 6, 0));
	SHOW(send(s[1], "back", 4, 0));
	SHOW(recv(s[0], buf, 6, 0));
	close(s[1]);
	SHOW(recv(s[0], buf, 6, 0));
	close(d[1]);
	SHOW(send(d[0], "x", 1, 0));
}

static void many(void)
{
	int d[2];
	char a[3][8] = {{0}};
	struct iovec v[3] = {{a[0], 8}, {a[1], 8}, {a[2], 8}}, o[2] = {{"one", 3}, {"three", 5}};
	struct mmsghdr in[3] = {0}, out[2] = {0};
	struct timespec ts = {0, 20000000};

	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, d) == 0);
	for (int i = 0; i < 3; i++)
		in[i].msg_hdr = (struct msghdr){.msg_iov = &v[i], .msg_iovlen = 1};
	for (int i = 0; i < 2; i++)
		out[i].msg_hdr = (struct msghdr){.msg_iov = &o[i], .msg_iovlen = 1};
	SHOW(sendmmsg(d[0], out, 2, 0));
	printf("%u %u\n", out[0].msg_len, out[1].msg_len);
	SHOW(recvmmsg(d[1], in, 3, MSG_WAITFORONE, NULL));
	printf("%u %s %u %s\n", in[0].msg_len, a[0], in[1].msg_len, a[1]);
	SHOW(sendmmsg(d[0], out, 2, 0));
	SHOW(recvmmsg(d[1], in, 3, MSG_DONTWAIT, &ts));
	SHOW(recvmmsg(d[1], in, 3, MSG_DONTWAIT, NULL));
	ts.tv_nsec = -1;
	SHOW(recvmmsg(d[1], in, 3, 0, &ts));
	SHOW(sendmmsg(999, out, 2, 0));
	SHOW(sendmmsg(1, out, 2, 0));
	SHOW(sendmmsg(d[0], (void *)16, 2, 0));
	SHOW(sendmmsg(d[0], out, 0, 0));
}

static void wrong(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX}, b;
	socklen_t len = sizeof(b);
	int s, fds[2];

	SHOW(socket(AF_UNIX, 99, 0));
	SHOW(socket(AF_UNIX, SOCK_STREAM, 5));
	SHOW(socket(99, SOCK_STREAM, 0));
	SHOW(socket(AF_UNIX, SOCK_STREAM | 0x100000, 0));
	SHOW(socketpair(AF_UNIX, SOCK_STREAM, 0, (void *)16));
	s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	SHOW(fcntl(s, F_GETFD));
	SHOW(fcntl(s, F_GETFL));
	SHOW(connect(s, (void *)&a, -1));
	SHOW(connect(s, (void *)&a, 1000));
	SHOW(connect(s, (void *)16, 10));
	SHOW(connect(s, (void *)&a, 1));
	SHOW(bind(s, (void *)&a, 1));
	SHOW(bind(1, (void *)&a, sizeof(a)));
	SHOW(accept(s, NULL, NULL));
	SHOW(accept4(s, NULL, NULL, 1));
	SHOW(listen(s, 1));
	SHOW(getpeername(s, (void *)&b, &len));
	SHOW(getsockname(s, (void *)&b, &len));
	printf("len %u\n", len);
	len = -1;
	SHOW(getsockname(s, (void *)&b, &len));
	SHOW(getsockname(s, (void *)&b, (void *)16));
	SHOW(sendto(s, "x", 1, MSG_NOSIGNAL, NULL, 0));
	SHOW(recv(s, &b, 1, 0));
	SHOW(sendto(s, "x", 1, MSG_NOSIGNAL, (void *)&a, 1000));
	SHOW(send(s, (void *)16, 1, MSG_NOSIGNAL));
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	SHOW(send(fds[0], (void *)16, 1, 0));
	SHOW(send(fds[0], "x", 1, 0));
	SHOW(recv(fds[1], (void *)16, 1, 0));
	SHOW(recv(fds[1], &b, 1, MSG_DONTWAIT));
	SHOW(accept(fds[1], NULL, NULL));
	SHOW(lseek(fds[1], 0, SEEK_SET));
	SHOW(pread(fds[1], &b, 1, 0));
	SHOW(fsync(fds[1]));
	SHOW(ftruncate(fds[1], 0));
	/* a descriptor of its own kind that is sent through itself */
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	control();
	flags();
	many();
	wrong();
	return 0;
}
