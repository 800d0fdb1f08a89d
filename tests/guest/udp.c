/* udp.c: UDP, UDP-Lite and ICMP sockets on the loopback: addresses, errors, control messages, groups, batches.
 */
#include "tests/guest/inet.h"

#include <arpa/inet.h>
#include <linux/errqueue.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static int bound(int type, int proto)
{
	struct sockaddr_in a = lo(0);
	int s = socket(AF_INET, type, proto);

	MUST(s >= 0 && bind(s, sa(&a), sizeof(a)) == 0);
	return s;
}

static void basics(void)
{
	int s = bound(SOCK_DGRAM, 0), c = socket(AF_INET, SOCK_DGRAM, 0), n;
	struct sockaddr_in a = lo(port_of(s)), from = {0};
	socklen_t len = sizeof(from);
	char buf[16];

	printf("events %x\n", events(c));
	SHOW(send(c, "x", 1, 0));
	SHOW(recv(c, buf, 1, MSG_DONTWAIT));
	SHOW(sendto(c, "hello", 5, 0, sa(&a), sizeof(a)));
	printf("events %x\n", events(s));
	SHOW(ioctl(s, FIONREAD, &n));
	printf("first %d\n", n);
	SHOW(recvfrom(s, buf, 2, MSG_PEEK, sa(&from), &len));
	printf("from %x port right %d\n", ntohl(from.sin_addr.s_addr), ntohs(from.sin_port) == port_of(c));
	SHOW(recv(s, buf, 2, MSG_PEEK | MSG_TRUNC));
	SHOW(recv(s, buf, 2, MSG_TRUNC));
	SHOW(recv(s, buf, 2, MSG_DONTWAIT));
	SHOW(sendto(c, "", 0, 0, sa(&a), sizeof(a)));
	SHOW(recv(s, buf, 2, 0));
	a.sin_port = 0;
	SHOW(sendto(c, "x", 1, 0, sa(&a), sizeof(a)));
	SHOW(sendto(c, "x", 1, MSG_OOB, sa(&a), sizeof(a)));
	SHOW(sendto(c, "x", 1, 0, sa(&a), 5));
	a = lo(port_of(s));
	a.sin_family = AF_UNIX;
	SHOW(sendto(c, "x", 1, 0, sa(&a), sizeof(a)));
	SHOW(listen(c, 1));
	SHOW(accept(c, NULL, NULL));
	SHOW(shutdown(c, SHUT_RD));
	SHOW(set(c, SOL_SOCKET, SO_BROADCAST, 0));
	a = lo(9);
	a.sin_addr.s_addr = htonl(0x7fffffff);
	SHOW(sendto(c, "x", 1, 0, sa(&a), sizeof(a)));
	close(c);
	close(s);
}

static void large(void)
{
	int s = bound(SOCK_DGRAM, 0), c = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in a = lo(port_of(s));
	static char big[70000];

	memset(big, 'q', sizeof(big));
	SHOW(sendto(c, big, 65507, 0, sa(&a), sizeof(a)));
	SHOW(recv(s, big, sizeof(big), 0));
	SHOW(sendto(c, big, 65508, 0, sa(&a), sizeof(a)));
	SHOW(sendto(c, big, 70000, 0, sa(&a), sizeof(a)));
	close(c);
	close(s);
}

static void connected(void)
{
	int s = bound(SOCK_DGRAM, 0), c = socket(AF_INET, SOCK_DGRAM, 0), other = bound(SOCK_DGRAM, 0);
	struct sockaddr_in a = lo(port_of(s)), b;
	struct sockaddr un = {.sa_family = AF_UNSPEC};
	socklen_t n = sizeof(b);
	char buf[8];

	SHOW(getpeername(c, sa(&b), &n));
	SHOW(connect(c, sa(&a), sizeof(a)));
	SHOW(getpeername(c, sa(&b), &n));
	printf("peer right %d\n", b.sin_port == a.sin_port);
	n = sizeof(b);
	SHOW(getsockname(c, sa(&b), &n));
	printf("local %x\n", ntohl(b.sin_addr.s_addr));
	SHOW(sendto(other, "no", 2, 0, sa(&b), sizeof(b)));
	SHOW(recv(c, buf, 8, MSG_DONTWAIT));
	SHOW(sendto(s, "yes", 3, 0, sa(&b), sizeof(b)));
	SHOW(recv(c, buf, 8, 0));
	close(s);
	SHOW(send(c, "x", 1, 0));
	printf("events %x\n", events(c));
	SHOW(recv(c, buf, 8, 0));
	SHOW(send(c, "x", 1, 0));
	SHOW(send(c, "x", 1, 0));
	printf("error %d\n", get(c, SOL_SOCKET, SO_ERROR));
	SHOW(shutdown(c, SHUT_WR));
	SHOW(send(c, "x", 1, MSG_NOSIGNAL));
	printf("events %x\n", events(c));
	SHOW(shutdown(c, SHUT_RD));
	printf("events %x\n", events(c));
	SHOW(recv(c, buf, 8, 0));
	SHOW(connect(c, &un, sizeof(un)));
	n = sizeof(b);
	SHOW(getsockname(c, sa(&b), &n));
	printf("local %x %d\n", ntohl(b.sin_addr.s_addr), b.sin_port);
	close(c);
	close(other);
}

static void show_cmsgs(struct msghdr *h)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		printf("  level %d type %d len %zu:", c->cmsg_level, c->cmsg_type, (size_t)c->cmsg_len);
		if (c->cmsg_level == SOL_SOCKET)
			printf(" (time)");
		else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_ORIGDSTADDR)
			printf(" (name)");
		else
			for (size_t i = 0; i < c->cmsg_len - CMSG_LEN(0); i++)
				printf(" %02x", CMSG_DATA(c)[i]);
		printf("\n");
	}
}

static ssize_t receive(int s, int flags, bool small)
{
	char data[64], control[256];
	struct sockaddr_in from;
	struct iovec v = {data, sizeof(data)};
	struct msghdr h = {&from, sizeof(from), &v, 1, control, small ? 20 : sizeof(control), 0};
	ssize_t n = recvmsg(s, &h, flags);

	printf("recvmsg %zd %s flags %x control %zu name %u\n", n, n < 0 ? strerrorname_np(errno) : "",
	       h.msg_flags, (size_t)h.msg_controllen, h.msg_namelen);
	if (n >= 0 && !small)
		show_cmsgs(&h);
	return n;
}

static void messages(void)
{
	int s = bound(SOCK_DGRAM, 0), c = socket(AF_INET, SOCK_DGRAM, 0), v = 9;
	struct sockaddr_in a = lo(port_of(s));
	char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {"ttl", 3};
	struct msghdr h = {&a, sizeof(a), &iov, 1, control, sizeof(control), 0};
	struct cmsghdr *cm = CMSG_FIRSTHDR(&h);

	SHOW(set(s, IPPROTO_IP, IP_PKTINFO, 1));
	SHOW(set(s, IPPROTO_IP, IP_RECVTTL, 1));
	SHOW(set(s, IPPROTO_IP, IP_RECVTOS, 1));
	SHOW(set(s, IPPROTO_IP, IP_RECVORIGDSTADDR, 1));
	SHOW(set(s, SOL_SOCKET, SO_TIMESTAMP, 1));
	MUST(sendto(c, "abc", 3, 0, sa(&a), sizeof(a)) == 3);
	receive(s, 0, false);
	SHOW(set(s, SOL_SOCKET, SO_TIMESTAMPNS, 1));
	SHOW(set(c, IPPROTO_IP, IP_TTL, 5));
	SHOW(set(c, IPPROTO_IP, IP_TOS, 0x10));
	MUST(sendto(c, "abc", 3, 0, sa(&a), sizeof(a)) == 3);
	receive(s, 0, false);
	*cm = (struct cmsghdr){.cmsg_level = IPPROTO_IP, .cmsg_type = IP_TTL, .cmsg_len = CMSG_LEN(sizeof(v))};
	memcpy(CMSG_DATA(cm), &v, sizeof(v));
	SHOW(sendmsg(c, &h, 0));
	receive(s, 0, false);
	MUST(sendto(c, "abc", 3, 0, sa(&a), sizeof(a)) == 3);
	receive(s, 0, true);
	v = 900;
	memcpy(CMSG_DATA(cm), &v, sizeof(v));
	SHOW(sendmsg(c, &h, 0));
	cm->cmsg_type = 99;
	SHOW(sendmsg(c, &h, 0));
	close(s);
	close(c);
}

static void error_queue(void)
{
	int s = bound(SOCK_DGRAM, 0), c = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in a = lo(port_of(s));

	close(s);
	SHOW(set(c, IPPROTO_IP, IP_RECVERR, 1));
	receive(c, MSG_ERRQUEUE, false);
	SHOW(sendto(c, "lost", 4, 0, sa(&a), sizeof(a)));
	printf("events %x\n", events(c));
	receive(c, MSG_ERRQUEUE, false);
	printf("events %x, error %d\n", events(c), get(c, SOL_SOCKET, SO_ERROR));
	close(c);
}

static void corked(void)
{
	int s = bound(SOCK_DGRAM, 0), c = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in a = lo(port_of(s));
	char buf[64];

	MUST(connect(c, sa(&a), sizeof(a)) == 0);
	SHOW(send(c, "ab", 2, MSG_MORE));
	SHOW(recv(s, buf, 64, MSG_DONTWAIT));
	SHOW(send(c, "cd", 2, 0));
	SHOW(recv(s, buf, 64, 0));
	SHOW(set(c, IPPROTO_UDP, UDP_CORK, 1));
	SHOW(send(c, "abc", 3, 0));
	SHOW(send(c, "def", 3, 0));
	SHOW(set(c, IPPROTO_UDP, UDP_CORK, 0));
	SHOW(recv(s, buf, 64, 0));
	SHOW(set(c, IPPROTO_UDP, UDP_SEGMENT, 3));
	SHOW(send(c, "abcdefgh", 8, 0));
	SHOW(recv(s, buf, 64, 0));
	SHOW(recv(s, buf, 64, 0));
	SHOW(recv(s, buf, 64, 0));
	close(s);
	close(c);
}

static void batches(void)
{
	int s = bound(SOCK_DGRAM, 0), c = socket(AF_INET, SOCK_DGRAM, 0), i;
	struct sockaddr_in a = lo(port_of(s));
	struct mmsghdr m[3] = {0};
	struct iovec v[3];
	char buf[3][8];

	for (i = 0; i < 3; i++) {
		v[i] = (struct iovec){"12345", (size_t)i + 1};
		m[i].msg_hdr = (struct msghdr){&a, sizeof(a), &v[i], 1, NULL, 0, 0};
	}
	SHOW(sendmmsg(c, m, 3, 0));
	for (i = 0; i < 3; i++) {
		v[i] = (struct iovec){buf[i], 8};
		m[i].msg_hdr = (struct msghdr){NULL, 0, &v[i], 1, NULL, 0, 0};
	}
	SHOW(recvmmsg(s, m, 3, MSG_WAITFORONE, NULL));
	printf("%u %u %u\n", m[0].msg_len, m[1].msg_len, m[2].msg_len);
	close(s);
	close(c);
}

static void groups(void)
{
	struct sockaddr_in any = {.sin_family = AF_INET}, to;
	struct ip_mreqn m = {.imr_multiaddr = {htonl(0xe9010203)}, .imr_ifindex = (int)if_nametoindex("lo")};
	int s = socket(AF_INET, SOCK_DGRAM, 0), c = socket(AF_INET, SOCK_DGRAM, 0);
	char buf[8];

	MUST(bind(s, sa(&any), sizeof(any)) == 0);
	SHOW(setsockopt(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof(m)));
	SHOW(setsockopt(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof(m)));
	SHOW(setsockopt(c, IPPROTO_IP, IP_MULTICAST_IF, &m, sizeof(m)));
	printf("ttl %d loop %d all %d\n", get(c, IPPROTO_IP, IP_MULTICAST_TTL),
	       get(c, IPPROTO_IP, IP_MULTICAST_LOOP), get(c, IPPROTO_IP, IP_MULTICAST_ALL));
	to = (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = htons(port_of(s)), .sin_addr = m.imr_multiaddr};
	SHOW(sendto(c, "group", 5, 0, sa(&to), sizeof(to)));
	SHOW(recv(s, buf, 8, 0));
	to.sin_addr.s_addr = htonl(0xe9010204);
	SHOW(sendto(c, "other", 5, 0, sa(&to), sizeof(to)));
	SHOW(recv(s, buf, 8, MSG_DONTWAIT));
	SHOW(setsockopt(s, IPPROTO_IP, IP_DROP_MEMBERSHIP, &m, sizeof(m)));
	SHOW(setsockopt(s, IPPROTO_IP, IP_DROP_MEMBERSHIP, &m, sizeof(m)));
	m.imr_multiaddr.s_addr = htonl(0x01020304);
	SHOW(setsockopt(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof(m)));
	m.imr_ifindex = 999;
	m.imr_multiaddr.s_addr = htonl(0xe9010203);
	SHOW(setsockopt(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof(m)));
	close(s);
	close(c);
}

static void sharing(void)
{
	int a = bound(SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0), i, got = 0;
	struct sockaddr_in n = lo(port_of(a));
	char c;

	SHOW(bind(b, sa(&n), sizeof(n)));
	SHOW(set(b, SOL_SOCKET, SO_REUSEADDR, 1));
	SHOW(bind(b, sa(&n), sizeof(n)));
	SHOW(set(a, SOL_SOCKET, SO_REUSEADDR, 1));
	SHOW(bind(b, sa(&n), sizeof(n)));
	close(a);
	close(b);
	a = socket(AF_INET, SOCK_DGRAM, 0);
	b = socket(AF_INET, SOCK_DGRAM, 0);
	SHOW(set(a, SOL_SOCKET, SO_REUSEPORT, 1));
	SHOW(set(b, SOL_SOCKET, SO_REUSEPORT, 1));
	n = lo(0);
	MUST(bind(a, sa(&n), sizeof(n)) == 0);
	n = lo(port_of(a));
	SHOW(bind(b, sa(&n), sizeof(n)));
	for (i = 0; i < 40; i++) {
		int s = socket(AF_INET, SOCK_DGRAM, 0);

		MUST(sendto(s, "x", 1, 0, sa(&n), sizeof(n)) == 1);
		close(s);
	}
	while (recv(a, &c, 1, MSG_DONTWAIT) == 1)
		got++;
	printf("both had some: %d\n", got > 0 && got < 40);
	while (recv(b, &c, 1, MSG_DONTWAIT) == 1)
		got++;
	printf("all: %d\n", got);
	close(a);
	close(b);
}

static void lite(void)
{
	int s = bound(SOCK_DGRAM, IPPROTO_UDPLITE), c = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE);
	struct sockaddr_in a = lo(port_of(s));
	char buf[8];

	SHOW(sendto(c, "lite", 4, 0, sa(&a), sizeof(a)));
	SHOW(recv(s, buf, 8, 0));
	printf("protocol %d\n", get(s, SOL_SOCKET, SO_PROTOCOL));
	close(s);
	close(c);
}

/* Raw sockets need privilege: without it the socket(2) call is all there is to compare. */
static void raw(void)
{
	int s = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
	struct icmphdr h = {.type = ICMP_ECHO, .un.echo.id = htons(77), .un.echo.sequence = htons(1)};
	struct sockaddr_in a = lo(0);
	uint8_t buf[128];
	ssize_t n;
	int i;

	if (s < 0)
		return;
	h.checksum = (uint16_t) ~(htons(0x0800) + htons(77) + htons(1));
	SHOW(sendto(s, &h, sizeof(h), 0, sa(&a), sizeof(a)));
	for (i = 0; i < 2; i++) {
		n = recv(s, buf, sizeof(buf), 0);
		printf("got %zd: version %x protocol %d type %d id %d\n", n, buf[0], buf[9], buf[20],
		       buf[24] << 8 | buf[25]);
	}
	close(s);
	SHOW_OK(s = socket(AF_INET, SOCK_RAW, 200));
	SHOW(get(s, SOL_SOCKET, SO_PROTOCOL));
	SHOW(sendto(s, "payload", 7, 0, sa(&a), sizeof(a)));
	SHOW(recv(s, buf, sizeof(buf), 0));
	printf("%.7s\n", buf + 20);
	close(s);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IONBF, 0);
	basics();
	large();
	connected();
	messages();
	error_queue();
	corked();
	batches();
	groups();
	sharing();
	lite();
	raw();
	return 0;
}
