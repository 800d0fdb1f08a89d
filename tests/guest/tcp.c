/* tcp.c: TCP sockets on the loopback: life of a connection, errors, readiness, options. */
#include "tests/guest/inet.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <linux/sockios.h>
#include <pthread.h>

static int listener(int backlog)
{
	struct sockaddr_in a = lo(0);
	int s = socket(AF_INET, SOCK_STREAM, 0);

	MUST(s >= 0 && bind(s, sa(&a), sizeof(a)) == 0 && listen(s, backlog) == 0);
	return s;
}

static void pair(int fds[2])
{
	int l = listener(1);
	struct sockaddr_in a = lo(port_of(l));

	fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	MUST(connect(fds[0], sa(&a), sizeof(a)) == 0);
	fds[1] = accept(l, NULL, NULL);
	MUST(fds[1] >= 0);
	close(l);
}

static int state(int s)
{
	struct tcp_info i;
	socklen_t n = sizeof(i);

	return getsockopt(s, IPPROTO_TCP, TCP_INFO, &i, &n) < 0 ? -1 : i.tcpi_state;
}

static void creation(void)
{
	SHOW(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
	SHOW(socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP));
	SHOW(socket(AF_INET, SOCK_SEQPACKET, 0));
	SHOW(socket(AF_INET, SOCK_RAW, 0));
	SHOW(socket(AF_INET, SOCK_STREAM, 300));
	SHOW(socket(AF_INET, SOCK_STREAM, -1));
	SHOW(socketpair(AF_INET, SOCK_STREAM, 0, (int[2]){0, 0}));
	SHOW_OK(socket(AF_INET, SOCK_STREAM, IPPROTO_TCP));
}

static void unconnected(void)
{
	int s = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = lo(0), b;
	socklen_t n = sizeof(b);
	char c;

	printf("fresh: events %x state %d\n", events(s), state(s));
	SHOW(getpeername(s, sa(&b), &n));
	SHOW(send(s, "x", 1, MSG_NOSIGNAL));
	SHOW(recv(s, &c, 1, 0));
	SHOW(shutdown(s, SHUT_RDWR));
	SHOW(accept(s, NULL, NULL));
	n = sizeof(b);
	SHOW(getsockname(s, sa(&b), &n));
	printf("name %x %d\n", ntohl(b.sin_addr.s_addr), ntohs(b.sin_port));
	SHOW(bind(s, sa(&a), 4));
	a.sin_family = AF_INET6;
	SHOW(bind(s, sa(&a), sizeof(a)));
	SHOW(connect(s, sa(&a), sizeof(a)));
	a.sin_family = AF_INET;
	a.sin_addr.s_addr = htonl(0x01020304);
	SHOW(bind(s, sa(&a), sizeof(a)));
	a.sin_addr.s_addr = htonl(0x7f050607);
	SHOW(bind(s, sa(&a), sizeof(a)));
	SHOW(bind(s, sa(&a), sizeof(a)));
	close(s);
}

static void refused(void)
{
	int s = socket(AF_INET, SOCK_STREAM, 0), l = listener(1);
	struct sockaddr_in a = lo(port_of(l));
	char c;

	close(l);
	SHOW(connect(s, sa(&a), sizeof(a)));
	printf("after: events %x error %d\n", events(s), get(s, SOL_SOCKET, SO_ERROR));
	SHOW(connect(s, sa(&a), sizeof(a)));
	close(s);
	s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	SHOW(connect(s, sa(&a), sizeof(a)));
	printf("nonblocking: events %x\n", events(s));
	printf("error %d\n", get(s, SOL_SOCKET, SO_ERROR));
	printf("then %d events %x\n", get(s, SOL_SOCKET, SO_ERROR), events(s));
	SHOW(recv(s, &c, 1, 0));
	SHOW(send(s, &c, 1, MSG_NOSIGNAL));
	close(s);
}

static void nonblocking(void)
{
	int l = listener(1), s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), c;
	struct sockaddr_in a = lo(port_of(l));

	printf("listener: events %x\n", events(l));
	SHOW(connect(s, sa(&a), sizeof(a)));
	MUST(poll(&(struct pollfd){.fd = s, .events = POLLOUT}, 1, 1000) == 1);
	printf("events %x, listener %x, error %d\n", events(s), events(l), get(s, SOL_SOCKET, SO_ERROR));
	SHOW(connect(s, sa(&a), sizeof(a)));
	SHOW(connect(s, sa(&a), sizeof(a)));
	SHOW_OK(c = accept4(l, NULL, NULL, SOCK_NONBLOCK));
	printf("nonblock %d\n", (fcntl(c, F_GETFL) & O_NONBLOCK) != 0);
	SHOW(fcntl(l, F_SETFL, O_NONBLOCK));
	SHOW(accept(l, NULL, NULL));
	SHOW(shutdown(l, SHUT_RD));
	printf("listener shut: events %x\n", events(l));
	SHOW(accept(l, NULL, NULL));
	SHOW(listen(l, 1));
	close(l);
	close(s);
	close(c);
}

static void half_close(void)
{
	int p[2];
	char c[4];

	pair(p);
	printf("events %x %x, states %d %d\n", events(p[0]), events(p[1]), state(p[0]), state(p[1]));
	MUST(send(p[0], "ab", 2, 0) == 2);
	SHOW(shutdown(p[0], SHUT_WR));
	usleep(200000);
	printf("events %x %x, states %d %d\n", events(p[0]), events(p[1]), state(p[0]), state(p[1]));
	SHOW(send(p[0], "x", 1, MSG_NOSIGNAL));
	SHOW(recv(p[1], c, 4, 0));
	SHOW(recv(p[1], c, 4, 0));
	SHOW(send(p[1], "cd", 2, 0));
	SHOW(recv(p[0], c, 4, 0));
	SHOW(shutdown(p[1], SHUT_WR));
	printf("events %x %x, states %d %d\n", events(p[0]), events(p[1]), state(p[0]), state(p[1]));
	SHOW(recv(p[0], c, 4, 0));
	SHOW(shutdown(p[0], SHUT_RD));
	close(p[0]);
	close(p[1]);
	pair(p);
	SHOW(shutdown(p[0], SHUT_RD));
	printf("read side: events %x %x\n", events(p[0]), events(p[1]));
	SHOW(recv(p[0], c, 4, 0));
	close(p[0]);
	close(p[1]);
}

static void resets(void)
{
	struct linger l = {1, 0};
	char c[4];
	int p[2];

	pair(p); /* closed with data unread */
	MUST(send(p[0], "ab", 2, 0) == 2);
	MUST(poll(&(struct pollfd){.fd = p[1], .events = POLLIN}, 1, 1000) == 1);
	close(p[1]);
	printf("unread: events %x\n", events(p[0]));
	SHOW(recv(p[0], c, 4, 0));
	SHOW(recv(p[0], c, 4, 0));
	SHOW(send(p[0], c, 4, MSG_NOSIGNAL));
	close(p[0]);
	pair(p); /* sent to after close */
	close(p[1]);
	printf("closed: events %x state %d\n", events(p[0]), state(p[0]));
	SHOW(send(p[0], c, 4, MSG_NOSIGNAL));
	MUST(poll(&(struct pollfd){.fd = p[0]}, 1, 1000) == 1);
	printf("reset: events %x\n", events(p[0]));
	SHOW(send(p[0], c, 4, MSG_NOSIGNAL));
	SHOW(recv(p[0], c, 4, 0));
	close(p[0]);
	pair(p);
	SHOW(setsockopt(p[1], SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
	close(p[1]);
	printf("lingered: events %x error %d\n", events(p[0]), get(p[0], SOL_SOCKET, SO_ERROR));
	SHOW(recv(p[0], c, 4, 0));
	close(p[0]);
}

static void flags(void)
{
	char c[16] = {0};
	int p[2], n;

	pair(p);
	SHOW(recv(p[1], c, 4, MSG_DONTWAIT));
	MUST(send(p[0], "abcdef", 6, 0) == 6);
	SHOW(recv(p[1], c, 3, MSG_PEEK));
	SHOW(recv(p[1], c, 16, MSG_PEEK));
	printf("%.6s\n", c);
	SHOW(recv(p[1], c, 2, MSG_TRUNC));
	SHOW(recv(p[1], c, 16, 0));
	printf("%.4s\n", c);
	SHOW(ioctl(p[1], SIOCINQ, &n));
	printf("inq %d\n", n);
	MUST(send(p[0], "abc", 3, MSG_MORE) == 3 && send(p[0], "def", 3, 0) == 3);
	SHOW(recv(p[1], c, 6, MSG_WAITALL));
	SHOW(ioctl(p[0], SIOCOUTQ, &n));
	printf("outq %d\n", n);
	SHOW(send(p[0], "", 0, 0));
	SHOW(recv(p[1], c, 4, MSG_DONTWAIT));
	SHOW(recv(p[1], c, 0, MSG_DONTWAIT));
	close(p[0]);
	close(p[1]);
}

static void urgent(void)
{
	char c[16] = {0};
	int p[2], n;

	pair(p);
	SHOW(recv(p[1], c, 1, MSG_OOB));
	MUST(send(p[0], "ab", 2, 0) == 2);
	SHOW(send(p[0], "cX", 2, MSG_OOB));
	MUST(send(p[0], "de", 2, 0) == 2);
	MUST(poll(&(struct pollfd){.fd = p[1], .events = POLLPRI}, 1, 1000) == 1);
	printf("events %x\n", events(p[1]));
	SHOW(ioctl(p[1], SIOCATMARK, &n));
	printf("at mark %d\n", n);
	SHOW(recv(p[1], c, 16, 0));
	printf("%.3s\n", c);
	SHOW(ioctl(p[1], SIOCATMARK, &n));
	printf("at mark %d, events %x\n", n, events(p[1]));
	SHOW(recv(p[1], c, 1, MSG_OOB));
	printf("%.1s, events %x\n", c, events(p[1]));
	SHOW(recv(p[1], c, 1, MSG_OOB));
	SHOW(recv(p[1], c, 16, 0));
	printf("%.2s\n", c);
	SHOW(set(p[1], SOL_SOCKET, SO_OOBINLINE, 1));
	MUST(send(p[0], "Y", 1, MSG_OOB) == 1);
	SHOW(recv(p[1], c, 1, MSG_OOB));
	SHOW(recv(p[1], c, 16, 0));
	close(p[0]);
	close(p[1]);
}

static void ports(void)
{
	int l = listener(4), s = socket(AF_INET, SOCK_STREAM, 0), c;
	struct sockaddr_in a = lo(port_of(l)), b = a;
	uint16_t e;

	SHOW(bind(s, sa(&a), sizeof(a)));
	SHOW(set(s, SOL_SOCKET, SO_REUSEADDR, 1));
	SHOW(bind(s, sa(&a), sizeof(a)));
	b.sin_addr.s_addr = htonl(0x7f000002);
	SHOW(bind(s, sa(&b), sizeof(b)));
	close(s);
	s = socket(AF_INET, SOCK_STREAM, 0);
	MUST(connect(s, sa(&a), sizeof(a)) == 0);
	e = port_of(s);
	printf("ephemeral %d\n", e >= 32768 && e <= 60999);
	c = accept(l, NULL, NULL);
	close(c); /* first: its port keeps a TIME_WAIT */
	close(s);
	close(l);
	s = socket(AF_INET, SOCK_STREAM, 0);
	SHOW(bind(s, sa(&a), sizeof(a)));
	SHOW(set(s, SOL_SOCKET, SO_REUSEADDR, 1));
	SHOW(bind(s, sa(&a), sizeof(a)));
	SHOW(listen(s, 0));
	c = socket(AF_INET, SOCK_STREAM, 0);
	SHOW(set(c, SOL_SOCKET, SO_REUSEADDR, 1));
	SHOW(bind(c, sa(&a), sizeof(a)));
	close(c);
	close(s);
	s = socket(AF_INET, SOCK_STREAM, 0);
	c = socket(AF_INET, SOCK_STREAM, 0);
	a = lo(0);
	SHOW(set(s, SOL_SOCKET, SO_REUSEPORT, 1));
	SHOW(set(c, SOL_SOCKET, SO_REUSEPORT, 1));
	SHOW(bind(s, sa(&a), sizeof(a)));
	a.sin_port = htons(port_of(s));
	SHOW(bind(c, sa(&a), sizeof(a)));
	SHOW(listen(s, 1));
	SHOW(listen(c, 1));
	close(s);
	close(c);
}

static void again(void)
{
	int l = listener(4), s = socket(AF_INET, SOCK_STREAM, 0), c;
	struct sockaddr_in a = lo(port_of(l));
	struct sockaddr un = {.sa_family = AF_UNSPEC};

	MUST(connect(s, sa(&a), sizeof(a)) == 0);
	SHOW(connect(s, sa(&a), sizeof(a)));
	c = accept(l, NULL, NULL);
	SHOW(connect(s, &un, sizeof(un)));
	printf("peer: events %x error %d\n", events(c), get(c, SOL_SOCKET, SO_ERROR));
	SHOW(connect(s, sa(&a), sizeof(a)));
	SHOW(listen(s, 1));
	close(c);
	close(s);
	close(l);
	s = socket(AF_INET, SOCK_STREAM, 0); /* to itself */
	a = lo(0);
	MUST(bind(s, sa(&a), sizeof(a)) == 0);
	a.sin_port = htons(port_of(s));
	SHOW(connect(s, sa(&a), sizeof(a)));
	SHOW(send(s, "me", 2, 0));
	SHOW(recv(s, &l, 2, 0));
	close(s);
}

static void options(void)
{
	static const int names[] = {
		TCP_NODELAY,  TCP_MAXSEG,	TCP_CORK,     TCP_KEEPIDLE,	 TCP_KEEPINTVL,
		TCP_KEEPCNT,  TCP_SYNCNT,	TCP_LINGER2,  TCP_DEFER_ACCEPT,	 TCP_WINDOW_CLAMP,
		TCP_QUICKACK, TCP_USER_TIMEOUT, TCP_FASTOPEN, TCP_NOTSENT_LOWAT, 99};
	int s = socket(AF_INET, SOCK_STREAM, 0), i;
	char cc[16] = {0};
	socklen_t n = sizeof(cc);

	for (i = 0; i < (int)(sizeof(names) / sizeof(names[0])); i++) {
		printf("tcp %d: %d,", names[i], get(s, IPPROTO_TCP, names[i]));
		printf(" set 0 %d", set(s, IPPROTO_TCP, names[i], 0) < 0 ? errno : 0);
		printf(" set 7 %d", set(s, IPPROTO_TCP, names[i], 7) < 0 ? errno : 0);
		printf(" set -1 %d", set(s, IPPROTO_TCP, names[i], -1) < 0 ? errno : 0);
		if (names[i] != TCP_MAXSEG && names[i] != TCP_QUICKACK)
			printf(": %d", get(s, IPPROTO_TCP, names[i]));
		printf("\n");
	}
	SHOW(getsockopt(s, IPPROTO_TCP, TCP_CONGESTION, cc, &n));
	printf("%d\n", n);
	SHOW(setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
	SHOW(setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, "nosuch", 6));
	for (i = 0; i < 60; i++) {
		if (i == SO_COOKIE || i == SO_INCOMING_CPU || i == SO_INCOMING_NAPI_ID || i == SO_MEMINFO ||
		    i == 17 || i == 31 || i == 59 || i == 50 || i == 51 || i == 52 || i == SO_MAX_PACING_RATE ||
		    i == 58 || i == SO_BPF_EXTENSIONS || i == 26 || i == SO_LINGER || i == SO_RCVTIMEO ||
		    i == SO_SNDTIMEO)
			continue;
		printf("socket %d: %d\n", i, get(s, SOL_SOCKET, i));
	}
	SHOW(set(s, SOL_SOCKET, SO_SNDBUF, 1));
	SHOW(set(s, SOL_SOCKET, SO_RCVBUF, 10000));
	printf("buffers %d %d\n", get(s, SOL_SOCKET, SO_SNDBUF), get(s, SOL_SOCKET, SO_RCVBUF));
	for (i = 1; i < 25; i++) {
		if (i == IP_OPTIONS || i == IP_XFRM_POLICY || i == IP_IPSEC_POLICY || i == IP_PKTOPTIONS)
			continue;
		printf("ip %d: %d, set 1 %d, set 300 %d\n", i, get(s, IPPROTO_IP, i),
		       set(s, IPPROTO_IP, i, 1) < 0 ? errno : 0, set(s, IPPROTO_IP, i, 300) < 0 ? errno : 0);
	}
	SHOW(setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
	SHOW(setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "nosuch0", 8));
	close(s);
}

static void backlog(void)
{
	int l = listener(0), s[4], i, c;
	struct sockaddr_in a = lo(port_of(l));

	for (i = 0; i < 3; i++) {
		s[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		SHOW(connect(s[i], sa(&a), sizeof(a)));
	}
	printf("first: %x\n", events(s[0]));
	SHOW_OK(c = accept(l, NULL, NULL));
	close(c);
	close(l);
	for (i = 0; i < 3; i++)
		close(s[i]);
}

static unsigned long sink_total, sink_sum;
static ssize_t sink_end;

static void *sink(void *arg)
{
	int fd = *(int *)arg;
	static char buf[100000];
	unsigned long total = 0, sum = 0;
	ssize_t n, k;

	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0) {
		for (k = 0; k < n; k++)
			sum += (unsigned char)buf[k] * ((total + (unsigned long)k) % 251 + 1);
		total += (unsigned long)n;
	}
	sink_total = total;
	sink_sum = sum;
	sink_end = n;
	return NULL;
}

static void bulk(void)
{
	static char buf[300000];
	int p[2], f = memfd_create("f", 0), pip[2];
	off_t off = 5;
	pthread_t t;

	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (char)(i * 7 + i / 256);
	pair(p);
	MUST(pthread_create(&t, NULL, sink, &p[1]) == 0);
	for (int i = 0; i < 30; i++)
		MUST(send(p[0], buf, sizeof(buf) - (size_t)i, 0) == (ssize_t)sizeof(buf) - i);
	MUST(write(f, buf, 200000) == 200000);
	SHOW(sendfile(p[0], f, &off, 100000));
	MUST(pipe(pip) == 0 && write(pip[1], buf, 5000) == 5000);
	SHOW(splice(pip[0], NULL, p[0], NULL, 5000, 0));
	SHOW(shutdown(p[0], SHUT_WR));
	pthread_join(t, NULL);
	printf("received %lu, sum %lu, end %zd\n", sink_total, sink_sum, sink_end);
	close(p[0]);
	close(p[1]);
	pair(p);
	MUST(set(p[0], SOL_SOCKET, SO_SNDBUF, 20000) == 0);
	fcntl(p[0], F_SETFL, O_NONBLOCK);
	while (send(p[0], buf, sizeof(buf), 0) > 0)
		;
	printf("full: %s, events %x\n", strerrorname_np(errno), events(p[0]));
	fcntl(p[1], F_SETFL, O_NONBLOCK);
	while (recv(p[1], buf, sizeof(buf), 0) > 0)
		usleep(1000);
	printf("empty: %s, events %x\n", strerrorname_np(errno), events(p[0]));
	close(p[0]);
	close(p[1]);
}

static void edges(void)
{
	struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET}, got[4];
	int p[2], ep = epoll_create1(0);
	char c;

	pair(p);
	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, p[1], &e) == 0);
	SHOW(epoll_wait(ep, got, 4, 0));
	printf("%x\n", got[0].events);
	SHOW(epoll_wait(ep, got, 4, 0));
	MUST(send(p[0], "abc", 3, 0) == 3);
	SHOW(epoll_wait(ep, got, 4, 1000));
	printf("%x\n", got[0].events);
	MUST(recv(p[1], &c, 1, 0) == 1);
	SHOW(epoll_wait(ep, got, 4, 0));
	MUST(send(p[0], "d", 1, 0) == 1);
	SHOW(epoll_wait(ep, got, 4, 1000));
	MUST(shutdown(p[0], SHUT_WR) == 0);
	SHOW(epoll_wait(ep, got, 4, 1000));
	printf("%x\n", got[0].events);
	close(p[0]);
	close(p[1]);
	close(ep);
}

static void timeouts(void)
{
	struct timeval tv = {0, 50000};
	char c;
	int p[2], l = listener(1);

	pair(p);
	SHOW(setsockopt(p[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	SHOW(recv(p[0], &c, 1, 0));
	SHOW(setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	SHOW(accept(l, NULL, NULL));
	close(p[0]);
	close(p[1]);
	close(l);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IONBF, 0);
	creation();
	unconnected();
	refused();
	nonblocking();
	half_close();
	resets();
	flags();
	urgent();
	ports();
	again();
	options();
	backlog();
	bulk();
	edges();
	timeouts();
	return 0;
}
