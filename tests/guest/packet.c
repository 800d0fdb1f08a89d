/* packet.c: AF_PACKET sockets on the loopback (packet(7)): frames in and out, filters, options, rings, fanout.
 * In a network namespace of its own, so that nothing else is heard. */
#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <sched.h>
#include <sys/ioctl.h>

#include "tests/guest/inet.h"

static int lo_index;

static void lo_up(void)
{
	struct ifreq r = {.ifr_name = "lo"};
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	MUST(ioctl(s, SIOCGIFFLAGS, &r) == 0);
	r.ifr_flags |= IFF_UP;
	MUST(ioctl(s, SIOCSIFFLAGS, &r) == 0);
	MUST(ioctl(s, SIOCGIFINDEX, &r) == 0);
	lo_index = r.ifr_ifindex;
	close(s);
}

static int open_bound(int type, int protocol)
{
	struct sockaddr_ll a = {
		.sll_family = AF_PACKET, .sll_protocol = htons((uint16_t)protocol), .sll_ifindex = lo_index};
	int s = socket(AF_PACKET, type, 0);

	MUST(s >= 0);
	MUST(bind(s, sa(&a), sizeof(a)) == 0);
	return s;
}

static void send_udp(uint16_t port, const char *text)
{
	struct sockaddr_in to = lo(port);
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	MUST(sendto(s, text, strlen(text), 0, sa(&to), sizeof(to)) == (ssize_t)strlen(text));
	close(s);
}

/* Prints frames: what kind, how long, and UDP's payload. */
static void show(int s, const char *what, bool raw)
{
	static uint8_t buf[2048];
	struct sockaddr_ll from;
	socklen_t n = sizeof(from);
	ssize_t got;

	memset(buf, 0, sizeof(buf));
	while ((got = recvfrom(s, buf, sizeof(buf), MSG_DONTWAIT, sa(&from), &n)) >= 0) {
		struct iphdr *ip = (void *)(buf + (raw ? 14 : 0));

		printf("%s: %zd bytes, name %u, family %d protocol %04x if %d hatype %d type %d halen %d", what,
		       got, n, from.sll_family, ntohs(from.sll_protocol), from.sll_ifindex == lo_index,
		       from.sll_hatype, from.sll_pkttype, from.sll_halen);
		if (ntohs(from.sll_protocol) == ETH_P_IP && ip->protocol == IPPROTO_UDP)
			printf(" udp %.*s", (int)(got - (raw ? 14 : 0) - 28), (char *)ip + 28);
		else if (ntohs(from.sll_protocol) == ETH_P_IP)
			printf(" ip %d", ip->protocol);
		puts("");
		n = sizeof(from);
	}
	printf("%s: end %s\n", what, strerrorname_np(errno));
}

static void errors(void)
{
	struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_ifindex = 4711};
	socklen_t n = sizeof(a);
	int s = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_IP));
	char byte = 0;

	SHOW(socket(AF_PACKET, SOCK_STREAM, 0));
	SHOW(socket(AF_PACKET, SOCK_SEQPACKET, 0));
	SHOW(bind(s, sa(&a), sizeof(a)));
	SHOW(bind(s, sa(&a), 8));
	a.sll_family = AF_INET;
	SHOW(bind(s, sa(&a), sizeof(a)));
	SHOW(listen(s, 1));
	SHOW(accept(s, NULL, NULL));
	SHOW(connect(s, sa(&a), sizeof(a)));
	SHOW(shutdown(s, SHUT_RDWR));
	SHOW(getpeername(s, sa(&a), &n));
	n = sizeof(a);
	SHOW(getsockname(s, sa(&a), &n));
	printf("name: %u bytes, family %d protocol %04x if %d halen %d\n", n, a.sll_family,
	       ntohs(a.sll_protocol), a.sll_ifindex, a.sll_halen);
	SHOW(send(s, "x", 1, 0));
	SHOW(recv(s, &byte, 1, MSG_DONTWAIT));
	SHOW(recv(s, &byte, 1, MSG_DONTWAIT | MSG_OOB));
	close(s);
	s = open_bound(SOCK_RAW, ETH_P_IP);
	SHOW(send(s, "short", 5, 0));
	n = sizeof(a);
	SHOW(getsockname(s, sa(&a), &n));
	printf("name: %u bytes, protocol %04x if %d hatype %d halen %d\n", n, ntohs(a.sll_protocol),
	       a.sll_ifindex == lo_index, a.sll_hatype, a.sll_halen);
	printf("%d %d %d\n", get(s, SOL_SOCKET, SO_TYPE), get(s, SOL_SOCKET, SO_DOMAIN),
	       get(s, SOL_SOCKET, SO_PROTOCOL));
	close(s);
}

static void hear(void)
{
	int all = open_bound(SOCK_RAW, ETH_P_ALL), ip = open_bound(SOCK_DGRAM, ETH_P_IP),
	    arp = open_bound(SOCK_RAW, ETH_P_ARP), to = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in a = lo(0);
	uint16_t port;

	MUST(bind(to, sa(&a), sizeof(a)) == 0);
	port = port_of(to);
	send_udp(port, "hello");
	show(all, "all", true);
	show(ip, "ip", false);
	show(arp, "arp", true);
	send_udp(9, "nobody");
	show(all, "all", true);
	show(ip, "ip", false);
	SHOW(set(all, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1));
	send_udp(port, "in only");
	show(all, "all", true);
	close(all);
	close(ip);
	close(arp);
	close(to);
}

static uint16_t sum16(const void *p, size_t n);

/* A TCP connection's segments, as far as they don't depend on options and timing. */
static void segments(void)
{
	int s = open_bound(SOCK_DGRAM, ETH_P_IP), l = socket(AF_INET, SOCK_STREAM, 0),
	    c = socket(AF_INET, SOCK_STREAM, 0), a;
	int syn = 0, syn_ack = 0, fin = 0, rst = 0, bad = 0;
	struct sockaddr_in to = lo(0);
	uint8_t buf[256];
	uint32_t base = 0;
	ssize_t n;

	MUST(bind(l, sa(&to), sizeof(to)) == 0 && listen(l, 1) == 0);
	to = lo(port_of(l));
	MUST(connect(c, sa(&to), sizeof(to)) == 0);
	a = accept(l, NULL, NULL);
	MUST(write(c, "payload", 7) == 7);
	MUST(read(a, buf, sizeof(buf)) == 7);
	close(c);
	close(a);
	close(l);
	c = socket(AF_INET, SOCK_STREAM, 0);
	SHOW(connect(c, sa(&to), sizeof(to)));
	while ((n = recv(s, buf, sizeof(buf), MSG_DONTWAIT)) >= 40) {
		uint8_t *t = buf + (buf[0] & 15) * 4, *data = t + (t[12] >> 4) * 4;
		uint32_t seq;

		memcpy(&seq, t + 4, 4);
		seq = ntohl(seq);
		bad += buf[9] != IPPROTO_TCP || sum16(buf, (size_t)(t - buf)) != 0;
		if ((t[13] & 0x12) == 0x02 && !syn++)
			base = seq;
		syn_ack += (t[13] & 0x12) == 0x12;
		fin += t[13] & 1;
		rst += (t[13] & 4) != 0;
		if (data < buf + n)
			printf("data at %u: %.*s\n", seq - base, (int)(buf + n - data), data);
	}
	printf("syn %d syn+ack %d fin %d rst %d bad %d\n", syn, syn_ack, fin, rst, bad);
	close(c);
	close(s);
}

static uint16_t sum16(const void *p, size_t n)
{
	const uint16_t *w = p;
	uint32_t s = 0;

	for (; n > 1; n -= 2)
		s += *w++;
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)~s;
}

/* A whole UDP datagram, sent from below, arrives at a UDP socket. */
static void inject(int type)
{
	int s = open_bound(type, ETH_P_IP), to = socket(AF_INET, SOCK_DGRAM, 0),
	    see = open_bound(SOCK_RAW, ETH_P_ALL);
	struct sockaddr_ll ll = {.sll_family = AF_PACKET,
				 .sll_protocol = htons(ETH_P_IP),
				 .sll_ifindex = lo_index,
				 .sll_halen = 6};
	struct sockaddr_in a = lo(0);
	uint8_t f[14 + 28 + 4] = {0};
	struct iphdr *ip = (void *)(f + 14);
	struct udphdr *udp = (void *)(f + 34);
	char got[16] = "";

	MUST(bind(to, sa(&a), sizeof(a)) == 0);
	f[12] = 8;
	*ip = (struct iphdr){.version = 4,
			     .ihl = 5,
			     .tot_len = htons(32),
			     .ttl = 7,
			     .protocol = IPPROTO_UDP,
			     .saddr = htonl(INADDR_LOOPBACK),
			     .daddr = htonl(INADDR_LOOPBACK)};
	ip->check = sum16(ip, 20);
	*udp = (struct udphdr){.source = htons(1234), .dest = htons(port_of(to)), .len = htons(12)};
	memcpy(f + 42, "deep", 4);
	if (type == SOCK_RAW)
		SHOW(sendto(s, f, sizeof(f), 0, sa(&ll), sizeof(ll)));
	else
		SHOW(sendto(s, f + 14, 32, 0, sa(&ll), sizeof(ll)));
	SHOW(recv(to, got, sizeof(got), MSG_DONTWAIT));
	puts(got);
	show(s, "own", type == SOCK_RAW);
	show(see, "other", true);
	close(s);
	close(to);
	close(see);
}

static void filters(void)
{
	struct sock_filter udp_only[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 14 + 9),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 40),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_filter incoming[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)SKF_AD_OFF + SKF_AD_PKTTYPE),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_HOST, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0xffff),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_filter bad[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0)};
	struct sock_fprog p = {4, udp_only}, q = {4, incoming}, no = {1, bad}, none = {0, udp_only};
	int s = open_bound(SOCK_RAW, ETH_P_ALL), u = socket(AF_INET, SOCK_DGRAM, 0), pair[2];
	struct sockaddr_in a = lo(0);
	char buf[64];

	SHOW(setsockopt(s, SOL_SOCKET, SO_DETACH_FILTER, &u, 4));
	SHOW(setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &no, sizeof(no)));
	SHOW(setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &none, sizeof(none)));
	SHOW(setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &p, 4));
	SHOW(setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof(p)));
	send_udp(9, "filtered");
	show(s, "40 bytes", true);
	SHOW(setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &q, sizeof(q)));
	send_udp(9, "incoming");
	show(s, "incoming", true);
	SHOW(set(s, SOL_SOCKET, SO_LOCK_FILTER, 1));
	SHOW(set(s, SOL_SOCKET, SO_LOCK_FILTER, 0));
	SHOW(setsockopt(s, SOL_SOCKET, SO_DETACH_FILTER, &u, 4));
	printf("locked %d\n", get(s, SOL_SOCKET, SO_LOCK_FILTER));
	close(s);
	/* of a UDP socket: from its header on; of a UNIX one: the data */
	MUST(bind(u, sa(&a), sizeof(a)) == 0);
	udp_only[0].k = 8;
	udp_only[1].k = 'y';
	udp_only[2].k = 11;
	SHOW(setsockopt(u, SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof(p)));
	send_udp(port_of(u), "no");
	send_udp(port_of(u), "yes and more");
	SHOW(recv(u, buf, sizeof(buf), MSG_DONTWAIT));
	SHOW(recv(u, buf, sizeof(buf), MSG_DONTWAIT));
	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0);
	udp_only[0].k = 0;
	SHOW(setsockopt(pair[1], SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof(p)));
	SHOW(send(pair[0], "no", 2, 0));
	SHOW(send(pair[0], "yes, a long message", 19, 0));
	SHOW(recv(pair[1], buf, sizeof(buf), MSG_DONTWAIT));
	SHOW(recv(pair[1], buf, sizeof(buf), MSG_DONTWAIT));
}

static void options(void)
{
	int s = open_bound(SOCK_RAW, ETH_P_ALL), v = TPACKET_V3;
	struct packet_mreq m = {.mr_ifindex = lo_index, .mr_type = PACKET_MR_PROMISC};
	struct tpacket_stats st;
	socklen_t n = sizeof(st);
	char buf[256], control[256];
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr h = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct ifreq r = {.ifr_name = "lo"};

	SHOW(setsockopt(s, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &m, sizeof(m)));
	SHOW(setsockopt(s, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &m, sizeof(m)));
	SHOW(setsockopt(s, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &m, 4));
	SHOW(setsockopt(s, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &m, sizeof(m)));
	m.mr_ifindex = 4711;
	SHOW(setsockopt(s, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &m, sizeof(m)));
	send_udp(9, "one");
	SHOW(getsockopt(s, SOL_PACKET, PACKET_STATISTICS, &st, &n));
	printf("packets %u drops %u\n", st.tp_packets, st.tp_drops);
	SHOW(getsockopt(s, SOL_PACKET, PACKET_STATISTICS, &st, &n));
	printf("packets %u drops %u\n", st.tp_packets, st.tp_drops);
	SHOW(set(s, SOL_PACKET, PACKET_AUXDATA, 1));
	printf("auxdata %d\n", get(s, SOL_PACKET, PACKET_AUXDATA));
	SHOW(recvmsg(s, &h, 0));
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c; c = CMSG_NXTHDR(&h, c)) {
		struct tpacket_auxdata *a = (void *)CMSG_DATA(c);

		printf("level %d type %d: len %u snaplen %u mac %u net %u\n", c->cmsg_level, c->cmsg_type,
		       a->tp_len, a->tp_snaplen, a->tp_mac, a->tp_net);
	}
	SHOW(recv(s, buf, 10, MSG_TRUNC | MSG_DONTWAIT) > 40);
	n = sizeof(v);
	for (v = 0; v < 4; v++) {
		int x = v;

		n = sizeof(x);
		printf("header of version %d: %d", v,
		       getsockopt(s, SOL_PACKET, PACKET_HDRLEN, &x, &n) < 0 ? -errno : x);
		puts("");
	}
	SHOW(set(s, SOL_PACKET, PACKET_VERSION, 3));
	SHOW(set(s, SOL_PACKET, 4711, 3));
	SHOW(get(s, SOL_PACKET, 4711));
	SHOW(ioctl(s, SIOCGIFINDEX, &r));
	SHOW(ioctl(s, SIOCGIFFLAGS, &r));
	printf("up %d running %d\n", !!(r.ifr_flags & IFF_UP), !!(r.ifr_flags & IFF_RUNNING));
	close(s);
}

static void ring(int version)
{
	struct tpacket_req3 q = {
		.tp_block_size = 4096, .tp_block_nr = 4, .tp_frame_size = 1024, .tp_frame_nr = 16};
	size_t n = version == TPACKET_V3 ? sizeof(q) : sizeof(struct tpacket_req);
	int s = socket(AF_PACKET, SOCK_RAW, 0);
	struct sockaddr_ll a = {
		.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_ifindex = lo_index};
	struct pollfd p = {.fd = s, .events = POLLIN};
	uint8_t *m;

	SHOW(set(s, SOL_PACKET, PACKET_VERSION, version));
	q.tp_frame_nr = 15;
	SHOW(setsockopt(s, SOL_PACKET, PACKET_RX_RING, &q, n));
	q.tp_frame_nr = 16;
	q.tp_block_size = 1000;
	SHOW(setsockopt(s, SOL_PACKET, PACKET_RX_RING, &q, n));
	q.tp_block_size = 4096;
	SHOW(mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, s, 0) == MAP_FAILED);
	SHOW(setsockopt(s, SOL_PACKET, PACKET_RX_RING, &q, n));
	SHOW(setsockopt(s, SOL_PACKET, PACKET_RX_RING, &q, n));
	SHOW(set(s, SOL_PACKET, PACKET_VERSION, version));
	SHOW(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, s, 0) == MAP_FAILED);
	m = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, s, 0);
	MUST(m != MAP_FAILED);
	SHOW(bind(s, sa(&a), sizeof(a)));
	SHOW(poll(&p, 1, 0));
	send_udp(9, "ring");
	SHOW(poll(&p, 1, 1000));
	if (version == TPACKET_V2) {
		struct tpacket2_hdr *h = (void *)m;

		printf("status %u len %u snaplen %u mac %u net %u: %.4s\n", h->tp_status & TP_STATUS_USER,
		       h->tp_len, h->tp_snaplen, h->tp_mac, h->tp_net, m + h->tp_net + 28);
		h->tp_status = 0;
	} else if (version == TPACKET_V1) {
		struct tpacket_hdr *h = (void *)m;

		printf("status %lu len %u snaplen %u mac %u net %u: %.4s\n", h->tp_status & TP_STATUS_USER,
		       h->tp_len, h->tp_snaplen, h->tp_mac, h->tp_net, m + h->tp_net + 28);
		h->tp_status = 0;
	} else {
		struct tpacket_block_desc *b = (void *)m;
		struct tpacket3_hdr *h = (void *)(m + b->hdr.bh1.offset_to_first_pkt);

		printf("block status %u packets %u first %u seq %llu len %u snaplen %u mac %u net %u: %.4s\n",
		       b->hdr.bh1.block_status & TP_STATUS_USER, b->hdr.bh1.num_pkts,
		       b->hdr.bh1.offset_to_first_pkt, (unsigned long long)b->hdr.bh1.seq_num, h->tp_len,
		       h->tp_snaplen, h->tp_mac, h->tp_net, (char *)h + h->tp_net + 28);
		b->hdr.bh1.block_status = 0;
	}
	SHOW(poll(&p, 1, 0));
	munmap(m, 4 * 4096);
	close(s);
}

static void fanout(void)
{
	int s[2], mode = 7 | PACKET_FANOUT_LB << 16, got = 0;
	char buf[256];

	for (int i = 0; i < 2; i++) {
		s[i] = open_bound(SOCK_RAW, ETH_P_IP);
		SHOW(set(s[i], SOL_PACKET, PACKET_FANOUT, mode));
	}
	SHOW(set(s[0], SOL_PACKET, PACKET_FANOUT, mode));
	printf("fanout %x\n", get(s[0], SOL_PACKET, PACKET_FANOUT));
	for (int i = 0; i < 4; i++)
		send_udp(9, "shared"); /* and as many answers: the port is closed */
	for (int i = 0; i < 2; i++) {
		int n = 0;

		while (recv(s[i], buf, sizeof(buf), MSG_DONTWAIT) >= 0)
			n++;
		printf("socket %d has some: %d\n", i, n > 0);
		got += n;
	}
	printf("in all %d\n", got);
}

int main(void)
{
	if (unshare(CLONE_NEWNET) < 0) {
		puts("no right to a network namespace");
		return 77;
	}
	lo_up();
	errors();
	hear();
	segments();
	inject(SOCK_RAW);
	inject(SOCK_DGRAM);
	filters();
	options();
	ring(TPACKET_V1);
	ring(TPACKET_V2);
	ring(TPACKET_V3);
	fanout();
	return 0;
}
