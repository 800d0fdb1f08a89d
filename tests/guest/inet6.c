/* inet6.c: IPv6 sockets on the loopback, dual stack, and what programs ask about interfaces. */
#include "tests/guest/inet.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static struct sockaddr_in6 name6(const char *text, uint16_t port)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

	MUST(inet_pton(AF_INET6, text, &a.sin6_addr) == 1);
	return a;
}

static void show_name(const char *what, const struct sockaddr_in6 *a, socklen_t n)
{
	char text[64];

	printf("%s %s len %u scope %u\n", what, inet_ntop(AF_INET6, &a->sin6_addr, text, sizeof(text)), n,
	       a->sin6_scope_id);
}

static void streams(void)
{
	struct sockaddr_in6 any = name6("::", 0), a;
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	int l = socket(AF_INET6, SOCK_STREAM, 0), s, c;
	socklen_t n = sizeof(a);

	SHOW(bind(l, sa(&any), 20));
	SHOW(bind(l, sa(&v4), sizeof(v4)));
	SHOW(bind(l, sa(&any), sizeof(any)));
	SHOW(listen(l, 4));
	SHOW(set(l, IPPROTO_IPV6, IPV6_V6ONLY, 1));
	a = name6("::1", port_of(l));
	s = socket(AF_INET6, SOCK_STREAM, 0);
	SHOW(connect(s, sa(&a), sizeof(a)));
	MUST((c = accept(l, sa(&a), &n)) >= 0);
	show_name("v6 peer", &a, n);
	close(c);
	close(s);
	v4.sin_port = htons(port_of(l));
	s = socket(AF_INET, SOCK_STREAM, 0);
	SHOW(connect(s, sa(&v4), sizeof(v4)));
	n = sizeof(a);
	MUST((c = accept(l, sa(&a), &n)) >= 0);
	show_name("v4 peer", &a, n);
	n = sizeof(a);
	MUST(getsockname(c, sa(&a), &n) == 0);
	show_name("local", &a, n);
	SHOW(send(s, "xy", 2, 0));
	SHOW(recv(c, &n, 2, 0));
	close(c);
	close(s);
	s = socket(AF_INET, SOCK_STREAM, 0);
	SHOW(bind(s, sa(&v4), sizeof(v4)));
	close(s);
	s = socket(AF_INET6, SOCK_STREAM, 0);
	a = name6("::ffff:127.0.0.1", port_of(l));
	SHOW(connect(s, sa(&a), sizeof(a)));
	n = sizeof(a);
	MUST(getsockname(s, sa(&a), &n) == 0);
	show_name("mapped local", &a, n);
	close(s);
	close(l);
}

static void only6(void)
{
	struct sockaddr_in6 any = name6("::", 0), a;
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	int l = socket(AF_INET6, SOCK_STREAM, 0), s;

	SHOW(set(l, IPPROTO_IPV6, IPV6_V6ONLY, 1));
	a = name6("::ffff:127.0.0.1", 0);
	SHOW(bind(l, sa(&a), sizeof(a)));
	SHOW(bind(l, sa(&any), sizeof(any)));
	SHOW(listen(l, 1));
	v4.sin_port = htons(port_of(l));
	s = socket(AF_INET, SOCK_STREAM, 0);
	SHOW(connect(s, sa(&v4), sizeof(v4)));
	close(s);
	s = socket(AF_INET, SOCK_STREAM, 0);
	SHOW(bind(s, sa(&v4), sizeof(v4)));
	close(s);
	s = socket(AF_INET6, SOCK_STREAM, 0);
	SHOW(set(s, IPPROTO_IPV6, IPV6_V6ONLY, 1));
	a = name6("::ffff:127.0.0.1", port_of(l));
	SHOW(connect(s, sa(&a), sizeof(a)));
	a = name6("ff02::1", 0);
	SHOW(bind(s, sa(&a), sizeof(a)));
	a = name6("2001:db8::1", 0);
	SHOW(bind(s, sa(&a), sizeof(a)));
	a = name6("fe80::1", 0);
	SHOW(bind(s, sa(&a), sizeof(a)));
	close(s);
	close(l);
}

static void datagrams(void)
{
	struct sockaddr_in6 a = name6("::", 0), to;
	int s = socket(AF_INET6, SOCK_DGRAM, 0), c = socket(AF_INET6, SOCK_DGRAM, 0),
	    c4 = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	char data[16], control[256];
	struct iovec v = {data, sizeof(data)};
	struct msghdr h = {&a, sizeof(a), &v, 1, control, sizeof(control), 0};

	MUST(bind(s, sa(&a), sizeof(a)) == 0);
	SHOW(set(s, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1));
	SHOW(set(s, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1));
	SHOW(set(s, IPPROTO_IPV6, IPV6_RECVTCLASS, 1));
	to = name6("::1", port_of(s));
	for (int i = 0; i < 3; i++) {
		if (i == 0)
			SHOW(sendto(c, "abc", 3, 0, sa(&to), sizeof(to)));
		v4.sin_port = htons(port_of(s));
		if (i == 1)
			SHOW(sendto(c4, "abcd", 4, 0, sa(&v4), sizeof(v4)));
		if (i == 2)
			SHOW(sendto(c, "abcde", 5, 0, sa(&v4), sizeof(v4)));
		h.msg_namelen = sizeof(a);
		h.msg_controllen = sizeof(control);
		SHOW(recvmsg(s, &h, MSG_DONTWAIT));
		show_name("from", &a, h.msg_namelen);
		for (struct cmsghdr *m = CMSG_FIRSTHDR(&h); m; m = CMSG_NXTHDR(&h, m)) {
			printf("  level %d type %d:", m->cmsg_level, m->cmsg_type);
			for (size_t k = 0; k < m->cmsg_len - CMSG_LEN(0); k++)
				printf(" %02x", CMSG_DATA(m)[k]);
			printf("\n");
		}
	}
	close(s);
	SHOW(connect(c, sa(&to), sizeof(to)));
	SHOW(send(c, "x", 1, 0));
	SHOW(recv(c, data, 1, 0));
	close(c);
	close(c4);
}

static void options(void)
{
	static const int names[] = {IPV6_UNICAST_HOPS, IPV6_MULTICAST_HOPS, IPV6_MULTICAST_LOOP,
				    IPV6_MULTICAST_IF, IPV6_V6ONLY,	    IPV6_RECVERR,
				    IPV6_MTU_DISCOVER, IPV6_TCLASS,	    IPV6_RECVPKTINFO,
				    IPV6_RECVHOPLIMIT, IPV6_DONTFRAG,	    IPV6_FREEBIND,
				    IPV6_MTU,	       IPV6_CHECKSUM};
	int s = socket(AF_INET6, SOCK_DGRAM, 0);

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		printf("ipv6 %d: %d,", names[i], get(s, IPPROTO_IPV6, names[i]));
		printf(" set 1 %d", set(s, IPPROTO_IPV6, names[i], 1) < 0 ? errno : 0);
		printf(" set 300 %d", set(s, IPPROTO_IPV6, names[i], 300) < 0 ? errno : 0);
		printf(" set -1 %d", set(s, IPPROTO_IPV6, names[i], -1) < 0 ? errno : 0);
		printf(": %d\n", get(s, IPPROTO_IPV6, names[i]));
	}
	close(s);
	s = socket(AF_INET, SOCK_DGRAM, 0);
	SHOW(get(s, IPPROTO_IPV6, IPV6_V6ONLY));
	SHOW(set(s, IPPROTO_IPV6, IPV6_V6ONLY, 1));
	close(s);
}

static void interfaces(void)
{
	struct ifreq r = {.ifr_name = "lo"};
	int s = socket(AF_INET, SOCK_DGRAM, 0), u = socket(AF_UNIX, SOCK_DGRAM, 0);
	struct ifaddrs *all, *i;
	char text[64];

	SHOW(if_nametoindex("lo"));
	SHOW(if_nametoindex("nosuch"));
	printf("%s\n", if_indextoname(1, text));
	SHOW(ioctl(s, SIOCGIFFLAGS, &r));
	printf("flags %x\n", r.ifr_flags & 0xffff);
	SHOW(ioctl(u, SIOCGIFMTU, &r));
	printf("mtu %d\n", r.ifr_mtu);
	SHOW(ioctl(s, SIOCGIFADDR, &r));
	printf("addr %s\n", inet_ntoa(((struct sockaddr_in *)&r.ifr_addr)->sin_addr));
	SHOW(ioctl(s, SIOCGIFNETMASK, &r));
	printf("mask %s\n", inet_ntoa(((struct sockaddr_in *)&r.ifr_addr)->sin_addr));
	SHOW(ioctl(s, SIOCGIFHWADDR, &r));
	printf("type %d\n", r.ifr_hwaddr.sa_family);
	strcpy(r.ifr_name, "nosuch");
	SHOW(ioctl(s, SIOCGIFFLAGS, &r));
	MUST(getifaddrs(&all) == 0);
	for (i = all; i; i = i->ifa_next) {
		if (strcmp(i->ifa_name, "lo") != 0 || !i->ifa_addr || i->ifa_addr->sa_family == AF_PACKET)
			continue;
		printf("lo has family %d %s\n", i->ifa_addr->sa_family,
		       inet_ntop(i->ifa_addr->sa_family,
				 i->ifa_addr->sa_family == AF_INET
					 ? (void *)&((struct sockaddr_in *)i->ifa_addr)->sin_addr
					 : (void *)&((struct sockaddr_in6 *)i->ifa_addr)->sin6_addr,
				 text, sizeof(text)));
	}
	freeifaddrs(all);
	close(s);
	close(u);
}

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	streams();
	only6();
	datagrams();
	options();
	interfaces();
	return 0;
}
