/* unix.c: UNIX sockets of each type, names, descriptor passing, credentials, shutdown and errors. */
#include "guest.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

static int bits(int fd)
{
	struct pollfd p = {fd, POLLIN | POLLOUT | POLLRDHUP, 0};

	poll(&p, 1, 0);
	return p.revents;
}

static int send_fd(int s, int fd)
{
	char c = 'F', ctl[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec v = {&c, 1};
	struct msghdr h = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof(ctl)};
	struct cmsghdr *cm = CMSG_FIRSTHDR(&h);

	cm->cmsg_level = SOL_SOCKET;
	cm->cmsg_type = SCM_RIGHTS;
	cm->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cm), &fd, sizeof(int));
	return sendmsg(s, &h, 0);
}

static int recv_fd(int s)
{
	char c, ctl[CMSG_SPACE(sizeof(int))];
	struct iovec v = {&c, 1};
	struct msghdr h = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof(ctl)};
	int fd = -1;

	if (recvmsg(s, &h, MSG_CMSG_CLOEXEC) != 1 || !CMSG_FIRSTHDR(&h))
		return -1;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&h)), sizeof(int));
	return fd;
}

int main(void)
{
	int s[2], st;
	char buf[300];
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "sock"}, b;
	socklen_t len = sizeof(b);

	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	SHOW(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	printf("bits %x\n", bits(s[0]));
	SHOW(write(s[0], "hello", 5));
	SHOW(recv(s[1], buf, 3, MSG_PEEK));
	int n = 0;
	SHOW(ioctl(s[1], FIONREAD, &n));
	printf("queued %d\n", n);
	SHOW(read(s[1], buf, 100));
	SHOW(recv(s[1], buf, 100, MSG_DONTWAIT));
	int fd = open("file", O_CREAT | O_RDWR | O_TRUNC, 0600);
	write(fd, "content", 7);
	SHOW(send_fd(s[0], fd));
	int got = recv_fd(s[1]);
	SHOW(pread(got, buf, 100, 0));
	SHOW(fcntl(got, F_GETFD));
	SHOW(shutdown(s[0], SHUT_WR));
	SHOW(read(s[1], buf, 10));
	printf("bits %x %x\n", bits(s[0]), bits(s[1]));
	SHOW(write(s[0], "x", 1));
	SHOW(write(s[1], "y", 1));
	close(s[0]);
	SHOW(write(s[1], "z", 1));
	printf("bits %x\n", bits(s[1]));
	SHOW(read(s[1], buf, 10));
	SHOW(read(s[1], buf, 10));
	close(s[1]);
	/* named */
	int l = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	SHOW(connect(c, (void *)&a, sizeof(a)));
	SHOW(bind(l, (void *)&a, sizeof(a)));
	SHOW(bind(l, (void *)&a, sizeof(a)));
	SHOW(connect(c, (void *)&a, sizeof(a)));
	SHOW(accept(l, NULL, NULL));
	SHOW(listen(l, 1));
	SHOW(connect(c, (void *)&a, sizeof(a)));
	SHOW(connect(c, (void *)&a, sizeof(a)));
	int x = accept(l, (void *)&b, &len);
	printf("accepted %d len %d\n", x >= 0, (int)len);
	len = sizeof(b);
	SHOW(getpeername(c, (void *)&b, &len));
	printf("%s %d\n", b.sun_path, (int)len);
	struct ucred uc;
	len = sizeof(uc);
	SHOW(getsockopt(c, SOL_SOCKET, SO_PEERCRED, &uc, &len));
	printf("%d %d\n", uc.pid == getpid(), uc.uid == getuid());
	write(c, "unread", 6);
	close(x);
	SHOW(read(c, buf, 10));
	SHOW(read(c, buf, 10));
	struct stat stt;
	stat("sock", &stt);
	printf("socket %d\n", S_ISSOCK(stt.st_mode));
	SHOW(open("sock", O_RDWR));
	close(l);
	close(c);
	c = socket(AF_UNIX, SOCK_STREAM, 0);
	SHOW(connect(c, (void *)&a, sizeof(a)));
	/* datagrams */
	SHOW(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
	SHOW(send(s[0], "one", 3, 0));
	SHOW(send(s[0], "", 0, 0));
	SHOW(send(s[0], "three", 5, 0));
	SHOW(recv(s[1], buf, 2, MSG_TRUNC));
	SHOW(recv(s[1], buf, 2, 0));
	SHOW(recv(s[1], buf, 10, 0));
	SHOW(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s));
	SHOW(write(s[0], "abc", 3));
	SHOW(write(s[0], "defg", 4));
	SHOW(read(s[1], buf, 2));
	SHOW(read(s[1], buf, 10));
	close(s[0]);
	SHOW(read(s[1], buf, 10));
	/* abstract, across processes */
	struct sockaddr_un ab = {.sun_family = AF_UNIX, .sun_path = "\0name"};
	l = socket(AF_UNIX, SOCK_STREAM, 0);
	SHOW(bind(l, (void *)&ab, sizeof(sa_family_t) + 5));
	listen(l, 5);
	int pid = fork();
	if (pid == 0) {
		int k = socket(AF_UNIX, SOCK_STREAM, 0);
		if (connect(k, (void *)&ab, sizeof(sa_family_t) + 5))
			_exit(1);
		write(k, "from child", 10);
		_exit(0);
	}
	x = accept(l, NULL, NULL);
	SHOW(read(x, buf, 100));
	waitpid(pid, &st, 0);
	show_status("child", st);
	SHOW(socket(AF_UNIX, 99, 0));
	SHOW(socket(12345, SOCK_STREAM, 0));
	SHOW(socketpair(AF_INET, SOCK_STREAM, 0, s) == -1);
	return 0;
}
