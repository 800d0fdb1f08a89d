/* unix_edge.c: UNIX sockets where they are odd: errors of every call in every state, poll bits, shutdowns,
 * control messages cut short, credentials, addresses, blocking with time limits, edge-triggered epoll. */
#include "guest.h"
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

static char buf[300000];
static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
static const char *const type_names[] = {"stream", "dgram", "seqpacket"};

static int bits(int fd)
{
	struct pollfd p = {fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP | POLLRDNORM | POLLWRNORM | POLLWRBAND,
			   0};

	MUST(poll(&p, 1, 0) >= 0);
	return p.revents;
}

static socklen_t name(struct sockaddr_un *a, const char *path)
{
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	if (path[0] == '@') {
		memcpy(a->sun_path + 1, path + 1, strlen(path) - 1);
		return offsetof(struct sockaddr_un, sun_path) + strlen(path);
	}
	strcpy(a->sun_path, path);
	return offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1;
}

static int do_bind(int fd, const char *path)
{
	struct sockaddr_un a;
	socklen_t n = name(&a, path);

	return bind(fd, (void *)&a, n);
}

static int do_connect(int fd, const char *path)
{
	struct sockaddr_un a;
	socklen_t n = name(&a, path);

	return connect(fd, (void *)&a, n);
}

static void show_error(int fd)
{
	int e = -1;
	socklen_t n = sizeof(e);

	MUST(getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &n) == 0);
	printf("SO_ERROR %s\n", e ? strerrorname_np(e) : "0");
}

static void show_name(int fd, bool peer)
{
	struct sockaddr_un a;
	socklen_t n = sizeof(a);

	memset(&a, 'z', sizeof(a));
	if ((peer ? getpeername(fd, (void *)&a, &n) : getsockname(fd, (void *)&a, &n)) < 0) {
		printf("name: %s\n", strerrorname_np(errno));
		return;
	}
	printf("name %u family %d:", n, a.sun_family);
	for (unsigned i = 2; i < n && i < sizeof(a); i++)
		printf(" %02x", ((unsigned char *)&a)[i]);
	printf("\n");
}

static void fresh(void)
{
	for (int i = 0; i < 3; i++) {
		int fd, st[2];

		printf("== fresh %s\n", type_names[i]);
		MUST((fd = socket(AF_UNIX, types[i] | SOCK_NONBLOCK, 0)) >= 0);
		printf("bits %x\n", bits(fd));
		SHOW(read(fd, buf, 10));
		SHOW(recv(fd, buf, 10, MSG_OOB) == -1);
		SHOW(write(fd, "x", 1));
		SHOW(send(fd, "x", 1, MSG_NOSIGNAL));
		SHOW(listen(fd, 5));
		SHOW(accept(fd, NULL, NULL));
		show_name(fd, false);
		show_name(fd, true);
		SHOW(shutdown(fd, SHUT_RD));
		printf("bits %x\n", bits(fd));
		SHOW(read(fd, buf, 10));
		SHOW(shutdown(fd, SHUT_WR));
		printf("bits %x\n", bits(fd));
		SHOW(send(fd, "x", 1, MSG_NOSIGNAL));
		SHOW(shutdown(fd, 9));
		SHOW(do_connect(fd, "/nowhere"));
		SHOW(do_connect(fd, "@nobody"));
		SHOW(connect(fd, (void *)st, 1));
		SHOW(lseek(fd, 0, SEEK_CUR));
		SHOW(pread(fd, buf, 1, 0));
		SHOW(ftruncate(fd, 0));
		SHOW(fsync(fd));
		close(fd);
	}
}

static void pairs(void)
{
	for (int i = 0; i < 3; i++) {
		int s[2], n;

		printf("== pair %s\n", type_names[i]);
		MUST(socketpair(AF_UNIX, types[i] | SOCK_NONBLOCK, 0, s) == 0);
		printf("bits %x\n", bits(s[0]));
		SHOW(read(s[0], buf, 10));
		SHOW(read(s[0], buf, 0));
		SHOW(write(s[0], "abc", 3));
		SHOW(write(s[0], "defg", 4));
		SHOW(write(s[0], "", 0));
		printf("bits %x %x\n", bits(s[0]), bits(s[1]));
		SHOW(ioctl(s[1], FIONREAD, &n));
		printf("%d\n", n);
		SHOW(recv(s[1], buf, 2, MSG_PEEK));
		SHOW(recv(s[1], buf, 2, MSG_PEEK | MSG_TRUNC));
		SHOW(recv(s[1], buf, 2, 0));
		SHOW(recv(s[1], buf, 100, 0));
		SHOW(recv(s[1], buf, 100, 0));
		SHOW(recv(s[1], buf, 100, 0));
		show_name(s[0], false);
		show_name(s[0], true);
		SHOW(do_connect(s[0], "@nobody"));
		SHOW(listen(s[0], 1));
		SHOW(accept(s[0], NULL, NULL));
		SHOW(shutdown(s[0], SHUT_WR));
		printf("bits %x %x\n", bits(s[0]), bits(s[1]));
		SHOW(send(s[0], "x", 1, MSG_NOSIGNAL));
		SHOW(recv(s[1], buf, 10, 0));
		SHOW(send(s[1], "y", 1, MSG_NOSIGNAL));
		SHOW(shutdown(s[0], SHUT_RD));
		printf("bits %x %x\n", bits(s[0]), bits(s[1]));
		SHOW(send(s[1], "z", 1, MSG_NOSIGNAL));
		SHOW(recv(s[0], buf, 10, 0));
		SHOW(recv(s[0], buf, 10, 0));
		close(s[0]);
		close(s[1]);

		printf("== close %s\n", type_names[i]);
		MUST(socketpair(AF_UNIX, types[i] | SOCK_NONBLOCK, 0, s) == 0);
		SHOW(write(s[0], "abc", 3));
		SHOW(write(s[1], "def", 3));
		close(s[1]);
		printf("bits %x\n", bits(s[0]));
		SHOW(send(s[0], "x", 1, MSG_NOSIGNAL));
		SHOW(read(s[0], buf, 10));
		SHOW(read(s[0], buf, 10));
		SHOW(read(s[0], buf, 10));
		show_error(s[0]);
		printf("bits %x\n", bits(s[0]));
		show_name(s[0], true);
		close(s[0]);
	}
}

static void connections(void)
{
	for (int i = 0; i < 3; i += 2) {
		int l, c[3], a;

		printf("== connect %s\n", type_names[i]);
		MUST((l = socket(AF_UNIX, types[i] | SOCK_NONBLOCK, 0)) >= 0);
		for (int k = 0; k < 3; k++)
			MUST((c[k] = socket(AF_UNIX, types[i] | SOCK_NONBLOCK, 0)) >= 0);
		SHOW(do_bind(l, "@edge"));
		SHOW(do_bind(c[0], "@edge"));
		SHOW(do_connect(c[0], "@edge"));
		SHOW(listen(l, 0));
		printf("bits %x\n", bits(l));
		SHOW(write(l, "x", 1));
		SHOW(read(l, buf, 1));
		SHOW(do_connect(l, "@edge"));
		SHOW(do_connect(c[0], "@edge"));
		SHOW(do_connect(c[0], "@edge"));
		SHOW(do_connect(c[1], "@edge"));
		printf("bits %x %x\n", bits(l), bits(c[0]));
		SHOW(write(c[0], "early", 5));
		show_name(c[0], true);
		SHOW_OK(a = accept(l, NULL, NULL));
		show_name(a, false);
		show_name(a, true);
		SHOW(read(a, buf, 10));
		SHOW(accept(l, NULL, NULL));
		SHOW(do_connect(c[1], "@edge"));
		SHOW(listen(l, 5));
		SHOW(do_connect(c[2], "@edge"));
		close(l);
		SHOW(read(c[1], buf, 1));
		SHOW(read(c[1], buf, 1));
		printf("bits %x\n", bits(c[2]));
		SHOW(write(a, "live", 4));
		SHOW(read(c[0], buf, 10));
		close(a);
		for (int k = 0; k < 3; k++)
			close(c[k]);
	}
}

static void datagrams(void)
{
	struct sockaddr_un a;
	socklen_t n;
	int x, y, z, count = 0;

	puts("== datagrams");
	MUST((x = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0)) >= 0);
	MUST((y = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0)) >= 0);
	MUST((z = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0)) >= 0);
	SHOW(do_bind(x, "@x"));
	SHOW(do_bind(y, "y.sock"));
	n = name(&a, "@x");
	SHOW(sendto(y, "hi", 2, 0, (void *)&a, n));
	n = sizeof(a);
	SHOW(recvfrom(x, buf, 10, 0, (void *)&a, &n));
	printf("from %u %s\n", n, a.sun_path);
	n = name(&a, "@x");
	SHOW(sendto(z, "anon", 4, 0, (void *)&a, n));
	n = sizeof(a);
	SHOW(recvfrom(x, buf, 10, 0, (void *)&a, &n));
	printf("from %u\n", n);
	SHOW(do_connect(x, "y.sock"));
	SHOW(do_connect(z, "@x"));
	n = name(&a, "@x");
	SHOW(sendto(z, "no", 2, 0, (void *)&a, n));
	SHOW(do_connect(y, "@x"));
	SHOW(write(x, "1", 1));
	SHOW(write(y, "2", 1));
	a.sun_family = AF_UNSPEC;
	SHOW(connect(x, (void *)&a, sizeof(sa_family_t)));
	show_name(x, true);
	SHOW(write(x, "1", 1));
	SHOW(do_connect(z, "@x"));
	memset(buf, 'b', sizeof(buf));
	SHOW(write(z, buf, 212992));
	SHOW(write(z, buf, 200000));
	SHOW(read(x, buf, sizeof(buf)));
	SHOW(read(x, buf, sizeof(buf)));
	while (write(z, "q", 1) == 1)
		count++;
	printf("full %s %d\n", strerrorname_np(errno), count > 5);
	printf("bits %x\n", bits(z) & POLLOUT);
	while (read(x, buf, 10) == 1)
		;
	printf("bits %x\n", bits(z) & POLLOUT);
	close(x);
	SHOW(write(z, "x", 1));
	SHOW(write(z, "x", 1));
	show_name(z, true);
	SHOW(unlink("y.sock"));
	close(y);
	close(z);
}

static void names(void)
{
	struct sockaddr_un a;
	int fd;

	puts("== names");
	MUST((fd = socket(AF_UNIX, SOCK_STREAM, 0)) >= 0);
	a.sun_family = AF_UNIX;
	SHOW(bind(fd, (void *)&a, 1));
	a.sun_family = AF_INET;
	SHOW(bind(fd, (void *)&a, sizeof(a)));
	a.sun_family = AF_UNIX;
	SHOW(bind(fd, (void *)&a, sizeof(a) + 1));
	SHOW(bind(fd, (void *)&a, sizeof(sa_family_t)));
	struct sockaddr_un b;
	socklen_t n = sizeof(b);

	SHOW(getsockname(fd, (void *)&b, &n));
	printf("autobind %u %d\n", n, b.sun_path[0]);
	SHOW(bind(fd, (void *)&a, sizeof(sa_family_t)));
	close(fd);
	MUST((fd = socket(AF_UNIX, SOCK_STREAM, 0)) >= 0);
	memset(a.sun_path, 'p', sizeof(a.sun_path));
	SHOW(bind(fd, (void *)&a, sizeof(a)));
	show_name(fd, false);
	n = 5;
	SHOW(getsockname(fd, (void *)&b, &n));
	printf("needs %u\n", n);
	memset(buf, 'p', 108);
	buf[108] = 0;
	SHOW(unlink(buf));
	close(fd);
	MUST((fd = socket(AF_UNIX, SOCK_STREAM, 0)) >= 0);
	SHOW(do_bind(fd, "no-such-dir/x"));
	SHOW(do_bind(fd, "."));
	memset(&a, 0, sizeof(a));
	a.sun_family = AF_UNIX;
	memcpy(a.sun_path, "\0a\0b", 4);
	SHOW(bind(fd, (void *)&a, 6));
	show_name(fd, false);
	close(fd);
}

static ssize_t send_control(int fd, const char *data, size_t n, const int *fds, int count, int type)
{
	char control[CMSG_SPACE(300 * sizeof(int))] = "";
	struct iovec iov = {(void *)data, n};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = CMSG_SPACE(count * sizeof(int))};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(c), fds, count * sizeof(int));
	return sendmsg(fd, &m, 0);
}

static void recv_control(int fd, size_t room, size_t controlroom, int flags)
{
	char control[1000];
	struct iovec iov = {buf, room};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = controlroom ? control : NULL,
			   .msg_controllen = controlroom};
	ssize_t n = recvmsg(fd, &m, flags);

	if (n < 0) {
		printf("recvmsg: %s\n", strerrorname_np(errno));
		return;
	}
	printf("recvmsg: %zd \"%.*s\" flags %x controllen %zu", n, (int)n, buf, m.msg_flags, m.msg_controllen);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		printf(" [%d %d len %zu", c->cmsg_level, c->cmsg_type, c->cmsg_len);
		if (c->cmsg_type == SCM_RIGHTS) {
			int *f = (int *)CMSG_DATA(c), count = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));

			for (int i = 0; i < count; i++) {
				printf(" fd%s", fcntl(f[i], F_GETFD) == FD_CLOEXEC ? "-cloexec" : "");
				close(f[i]);
			}
		} else if (c->cmsg_type == SCM_CREDENTIALS) {
			struct ucred u;

			memcpy(&u, CMSG_DATA(c), sizeof(u));
			printf(" pid %d uid %u", u.pid == getpid() ? 1 : u.pid == 0 ? 0 : -1, u.uid);
		}
		printf("]");
	}
	printf("\n");
}

static void control(void)
{
	int s[2], fds[260], on = 1, p[2];
	struct ucred me = {getpid(), getuid(), getgid()};

	puts("== control");
	MUST(pipe(p) == 0);
	for (int i = 0; i < 260; i++)
		fds[i] = p[i % 2];
	for (int i = 0; i < 3; i++) {
		printf("-- %s\n", type_names[i]);
		MUST(socketpair(AF_UNIX, types[i] | SOCK_NONBLOCK, 0, s) == 0);
		SHOW(send_control(s[0], "one", 3, fds, 1, SCM_RIGHTS));
		recv_control(s[1], 100, 100, 0);
		SHOW(send_control(s[0], "two", 3, fds, 2, SCM_RIGHTS));
		recv_control(s[1], 100, 100, MSG_CMSG_CLOEXEC);
		SHOW(send_control(s[0], "three", 5, fds, 3, SCM_RIGHTS));
		recv_control(s[1], 100, CMSG_LEN(2 * sizeof(int)), 0);
		SHOW(send_control(s[0], "none", 4, fds, 1, SCM_RIGHTS));
		recv_control(s[1], 100, 0, 0);
		SHOW(send_control(s[0], "tiny", 4, fds, 1, SCM_RIGHTS));
		recv_control(s[1], 100, 10, 0);
		SHOW(send_control(s[0], "peek", 4, fds, 1, SCM_RIGHTS));
		recv_control(s[1], 100, 100, MSG_PEEK);
		recv_control(s[1], 100, 100, 0);
		SHOW(send_control(s[0], "part", 4, fds, 1, SCM_RIGHTS));
		recv_control(s[1], 2, 100, 0);
		recv_control(s[1], 100, 100, 0);
		SHOW(send_control(s[0], "", 0, fds, 1, SCM_RIGHTS));
		recv_control(s[1], 100, 100, 0);
		SHOW(send_control(s[0], "many", 4, fds, 253, SCM_RIGHTS));
		recv_control(s[1], 100, 100, 0);
		SHOW(send_control(s[0], "more", 4, fds, 254, SCM_RIGHTS));
		fds[1] = 9999;
		SHOW(send_control(s[0], "bad", 3, fds, 2, SCM_RIGHTS));
		fds[1] = p[1];
		SHOW(send_control(s[0], "type", 4, fds, 1, 77));
		/* plain, with, plain */
		SHOW(write(s[0], "aa", 2));
		SHOW(send_control(s[0], "bb", 2, fds, 1, SCM_RIGHTS));
		SHOW(write(s[0], "cc", 2));
		recv_control(s[1], 100, 100, 0);
		recv_control(s[1], 100, 100, 0);
		recv_control(s[1], 100, 100, 0);
		/* credentials */
		SHOW(write(s[0], "before", 6));
		SHOW(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
		recv_control(s[1], 100, 100, 0);
		SHOW(write(s[0], "after", 5));
		recv_control(s[1], 100, 100, 0);
		SHOW(send_control(s[0], "given", 5, (int *)&me, 3, SCM_CREDENTIALS));
		recv_control(s[1], 100, 100, 0);
		SHOW(send_control(s[0], "both", 4, fds, 1, SCM_RIGHTS));
		recv_control(s[1], 100, 100, 0);
		SHOW(send_control(s[0], "short", 5, (int *)&me, 2, SCM_CREDENTIALS));
		close(s[0]);
		close(s[1]);
	}
}

static void options(void)
{
	static const int opts[] = {SO_TYPE,	 SO_DOMAIN,   SO_PROTOCOL,  SO_ERROR,	  SO_ACCEPTCONN,
				   SO_SNDBUF,	 SO_RCVBUF,   SO_REUSEADDR, SO_KEEPALIVE, SO_BROADCAST,
				   SO_LINGER,	 SO_PASSCRED, SO_RCVLOWAT,  SO_SNDLOWAT,  SO_PRIORITY,
				   SO_OOBINLINE, SO_RCVTIMEO, SO_TIMESTAMP, SO_REUSEPORT, SO_DONTROUTE,
				   SO_DEBUG,	 9999};
	int s[2], v;
	struct timeval tv = {0, 50000};
	socklen_t n;

	puts("== options");
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
	for (size_t i = 0; i < sizeof(opts) / sizeof(*opts); i++) {
		int out[4] = {0};

		n = sizeof(out);
		printf("opt %d: %d", opts[i], getsockopt(s[0], SOL_SOCKET, opts[i], out, &n));
		printf(" len %u value %d\n", n, out[0]);
	}
	for (int i = 0; i < 3; i++) {
		static const int sizes[] = {1, 5000, 100000};

		v = sizes[i];
		SHOW(setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &v, sizeof(v)));
		n = sizeof(v);
		MUST(getsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &v, &n) == 0);
		printf("%d\n", v);
		v = sizes[i];
		SHOW(setsockopt(s[0], SOL_SOCKET, SO_RCVBUF, &v, sizeof(v)));
		MUST(getsockopt(s[0], SOL_SOCKET, SO_RCVBUF, &v, &n) == 0);
		printf("%d\n", v);
	}
	SHOW(setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &v, 3));
	SHOW(setsockopt(s[0], SOL_SOCKET, SO_TYPE, &v, 4));
	SHOW(setsockopt(s[0], SOL_SOCKET, 9999, &v, 4));
	SHOW(setsockopt(s[0], 6 /* TCP */, 1, &v, 4));
	SHOW(getsockopt(s[0], 6 /* TCP */, 1, &v, &n));
	n = 2;
	v = -1;
	SHOW(getsockopt(s[0], SOL_SOCKET, SO_TYPE, &v, &n));
	printf("%u %x\n", n, v);
	n = -1;
	SHOW(getsockopt(s[0], SOL_SOCKET, SO_TYPE, &v, &n));
	SHOW(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	SHOW(read(s[0], buf, 10));
	SHOW(setsockopt(s[0], SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)));
	while (write(s[0], buf, 10000) > 0)
		;
	printf("send timeout %s\n", strerrorname_np(errno));
	tv.tv_usec = 1000000;
	SHOW(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	close(s[0]);
	close(s[1]);
}

static void *late_writer(void *arg)
{
	int fd = *(int *)arg;

	usleep(50000);
	MUST(write(fd, "12345", 5) == 5);
	usleep(50000);
	MUST(write(fd, "67890", 5) == 5);
	usleep(50000);
	close(fd);
	return NULL;
}

static void blocking(void)
{
	pthread_t t;
	int s[2];

	puts("== blocking");
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
	MUST(pthread_create(&t, NULL, late_writer, &s[1]) == 0);
	SHOW(recv(s[0], buf, 8, MSG_WAITALL));
	SHOW(recv(s[0], buf, 8, MSG_WAITALL));
	SHOW(recv(s[0], buf, 8, MSG_WAITALL));
	pthread_join(t, NULL);
	close(s[0]);
}

static void edges(void)
{
	struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET | EPOLLRDHUP};
	int s[2], ep;

	puts("== edge-triggered");
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s) == 0);
	MUST((ep = epoll_create1(0)) >= 0);
	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, s[0], &e) == 0);
	SHOW(epoll_wait(ep, &e, 1, 0));
	printf("%x\n", e.events);
	SHOW(epoll_wait(ep, &e, 1, 0));
	MUST(write(s[1], "a", 1) == 1);
	SHOW(epoll_wait(ep, &e, 1, 0));
	printf("%x\n", e.events);
	SHOW(epoll_wait(ep, &e, 1, 0));
	MUST(write(s[1], "b", 1) == 1);
	SHOW(epoll_wait(ep, &e, 1, 0));
	SHOW(read(s[0], buf, 1));
	SHOW(epoll_wait(ep, &e, 1, 0));
	while (write(s[0], buf, 1000) > 0)
		;
	SHOW(epoll_wait(ep, &e, 1, 0));
	while (read(s[1], buf, sizeof(buf)) > 0)
		;
	SHOW(epoll_wait(ep, &e, 1, 0));
	printf("%x\n", e.events);
	shutdown(s[1], SHUT_WR);
	SHOW(epoll_wait(ep, &e, 1, 0));
	printf("%x\n", e.events);
	close(s[1]);
	SHOW(epoll_wait(ep, &e, 1, 0));
	printf("%x\n", e.events);
	close(s[0]);
	close(ep);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	fresh();
	pairs();
	connections();
	datagrams();
	names();
	control();
	options();
	blocking();
	edges();
	return 0;
}
