/* rtnl.c: NETLINK_ROUTE in network namespaces of the program's own: links that are made, changed and deleted,
 * addresses, routes, neighbours, who is told of it, errors; and two namespaces joined by a cable and by a
 * bridge. */
#include <arpa/inet.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>

#include "tests/guest/inet.h"

static struct {
	struct nlmsghdr h;
	char body[2048];
} q;
static uint32_t seq;

static void begin(int type, int flags, const void *fixed, size_t n)
{
	memset(&q, 0, sizeof(q));
	q.h.nlmsg_type = (uint16_t)type;
	q.h.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
	q.h.nlmsg_seq = ++seq;
	memcpy(q.body, fixed, n);
	q.h.nlmsg_len = NLMSG_LENGTH(n);
}

static struct rtattr *add(int type, const void *data, size_t n)
{
	struct rtattr *a = (void *)((char *)&q + NLMSG_ALIGN(q.h.nlmsg_len));

	a->rta_type = (uint16_t)type;
	a->rta_len = (uint16_t)RTA_LENGTH(n);
	if (n)
		memcpy(RTA_DATA(a), data, n);
	q.h.nlmsg_len = NLMSG_ALIGN(q.h.nlmsg_len) + RTA_ALIGN(a->rta_len);
	return a;
}

static void end(struct rtattr *a)
{
	a->rta_len = (uint16_t)((char *)&q + q.h.nlmsg_len - (char *)a);
}

/* Sends what was built: 0 or -errno. */
static int talk(int s)
{
	static char buf[65536];
	struct nlmsghdr *h = (void *)buf;

	MUST(send(s, &q, q.h.nlmsg_len, 0) == (ssize_t)q.h.nlmsg_len);
	for (;;) {
		MUST(recv(s, buf, sizeof(buf), 0) > 0);
		if (h->nlmsg_type == NLMSG_ERROR && h->nlmsg_seq == seq)
			return ((struct nlmsgerr *)NLMSG_DATA(h))->error;
	}
}

static void say(const char *what, int r)
{
	printf("%s: %s\n", what, r ? strerrorname_np(-r) : "ok");
}

static int link_by_name(const char *name)
{
	return (int)if_nametoindex(name);
}

static int make(int s, const char *kind, const char *name, const char *peer, int flags, pid_t peer_ns)
{
	struct ifinfomsg m = {.ifi_family = AF_UNSPEC};
	struct rtattr *info, *data, *p;

	begin(RTM_NEWLINK, flags, &m, sizeof(m));
	add(IFLA_IFNAME, name, strlen(name) + 1);
	info = add(IFLA_LINKINFO, NULL, 0);
	add(IFLA_INFO_KIND, kind, strlen(kind));
	if (peer) {
		data = add(IFLA_INFO_DATA, NULL, 0);
		p = add(VETH_INFO_PEER, &m, sizeof(m));
		add(IFLA_IFNAME, peer, strlen(peer) + 1);
		if (peer_ns)
			add(IFLA_NET_NS_PID, &peer_ns, 4);
		end(p);
		end(data);
	}
	end(info);
	return talk(s);
}

static int change(int s, int type, int index, unsigned flags, unsigned mask, int attr, const void *v, size_t n)
{
	struct ifinfomsg m = {.ifi_index = index, .ifi_flags = flags, .ifi_change = mask};

	begin(type, 0, &m, sizeof(m));
	if (attr)
		add(attr, v, n);
	return talk(s);
}

static int address(int s, int type, int flags, int index, const char *text, int prefix)
{
	struct ifaddrmsg m = {
		.ifa_family = AF_INET, .ifa_prefixlen = (uint8_t)prefix, .ifa_index = (uint32_t)index};
	struct in_addr a;

	inet_aton(text, &a);
	begin(type, flags, &m, sizeof(m));
	add(IFA_LOCAL, &a, 4);
	add(IFA_ADDRESS, &a, 4);
	return talk(s);
}

static int route(int s, int type, int flags, const char *dst, int prefix, const char *via, int oif)
{
	struct rtmsg m = {.rtm_family = AF_INET,
			  .rtm_dst_len = (uint8_t)prefix,
			  .rtm_table = RT_TABLE_MAIN,
			  .rtm_protocol = RTPROT_STATIC,
			  .rtm_type = RTN_UNICAST,
			  .rtm_scope = via ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK};
	struct in_addr a;

	begin(type, flags, &m, sizeof(m));
	inet_aton(dst, &a);
	if (prefix)
		add(RTA_DST, &a, 4);
	if (via) {
		inet_aton(via, &a);
		add(RTA_GATEWAY, &a, 4);
	}
	if (oif)
		add(RTA_OIF, &oif, 4);
	return talk(s);
}

/* Prints whether a listener has been told of such a thing, and by whom; drops the rest. */
static void told(int s, int type)
{
	static char buf[65536];
	struct sockaddr_nl from;
	socklen_t n = sizeof(from);
	struct nlmsghdr *h = (void *)buf;
	bool found = false;

	while (recvfrom(s, buf, sizeof(buf), MSG_DONTWAIT, sa(&from), &n) > 0) {
		if (h->nlmsg_type == type && !found) {
			printf("told of %d from %u groups %x\n", type, from.nl_pid, from.nl_groups);
			found = true;
		}
	}
	if (!found)
		printf("not told of %d\n", type);
}

static int listener(unsigned groups)
{
	struct sockaddr_nl a = {.nl_family = AF_NETLINK, .nl_groups = groups};
	int s = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);

	MUST(bind(s, sa(&a), sizeof(a)) == 0);
	return s;
}

static void links(int s)
{
	int l = listener(RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE), one = link_by_name("lo"), i, v;
	char name[IF_NAMESIZE];

	say("lo up", change(s, RTM_NEWLINK, one, IFF_UP, IFF_UP, 0, NULL, 0));
	told(l, RTM_NEWLINK);
	say("bridge", make(s, "bridge", "d0", NULL, NLM_F_CREATE | NLM_F_EXCL, 0));
	say("bridge again", make(s, "bridge", "d0", NULL, NLM_F_CREATE | NLM_F_EXCL, 0));
	say("no such kind", make(s, "nonsense", "x0", NULL, NLM_F_CREATE | NLM_F_EXCL, 0));
	say("bad name", make(s, "bridge", "a/b", NULL, NLM_F_CREATE | NLM_F_EXCL, 0));
	say("not to be made", make(s, "bridge", "d1", NULL, 0, 0));
	i = link_by_name("d0");
	printf("it is there %d\n", i > 0);
	told(l, RTM_NEWLINK);
	say("address while down", address(s, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, i, "10.77.0.1", 24));
	told(l, RTM_NEWADDR);
	say("address again", address(s, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, i, "10.77.0.1", 24));
	say("address replaced", address(s, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, i, "10.77.0.1", 24));
	say("no such interface", address(s, RTM_NEWADDR, NLM_F_CREATE, 4711, "10.77.0.1", 24));
	v = 1400;
	say("mtu", change(s, RTM_NEWLINK, i, 0, 0, IFLA_MTU, &v, 4));
	v = 20;
	say("small mtu", change(s, RTM_NEWLINK, i, 0, 0, IFLA_MTU, &v, 4));
	say("rename", change(s, RTM_NEWLINK, i, 0, 0, IFLA_IFNAME, "fine", 5));
	printf("%s\n", if_indextoname((unsigned)i, name));
	say("taken", change(s, RTM_NEWLINK, i, 0, 0, IFLA_IFNAME, "lo", 3));
	say("no such link", change(s, RTM_NEWLINK, 4711, IFF_UP, IFF_UP, 0, NULL, 0));
	say("up", change(s, RTM_NEWLINK, i, IFF_UP, IFF_UP, 0, NULL, 0));
	say("route", route(s, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, "10.78.0.0", 16, "10.77.0.9", 0));
	told(l, RTM_NEWROUTE);
	say("route again", route(s, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, "10.78.0.0", 16, "10.77.0.9", 0));
	say("route replaced",
	    route(s, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, "10.78.0.0", 16, "10.77.0.8", 0));
	say("route not to be made", route(s, RTM_NEWROUTE, 0, "10.79.0.0", 16, "10.77.0.9", 0));
	say("no way to the gateway", route(s, RTM_NEWROUTE, NLM_F_CREATE, "10.79.0.0", 16, "192.0.2.1", 0));
	say("route deleted", route(s, RTM_DELROUTE, 0, "10.78.0.0", 16, "10.77.0.8", 0));
	say("route deleted again", route(s, RTM_DELROUTE, 0, "10.78.0.0", 16, "10.77.0.8", 0));
	say("address deleted", address(s, RTM_DELADDR, 0, i, "10.77.0.1", 24));
	say("address deleted again", address(s, RTM_DELADDR, 0, i, "10.77.0.1", 24));
	told(l, RTM_DELADDR);
	say("link deleted", change(s, RTM_DELLINK, i, 0, 0, 0, NULL, 0));
	told(l, RTM_DELLINK);
	say("link deleted again", change(s, RTM_DELLINK, i, 0, 0, 0, NULL, 0));
	say("lo deleted", change(s, RTM_DELLINK, one, 0, 0, 0, NULL, 0));
	close(l);
}

static void neighbours(int s)
{
	struct ndmsg m = {.ndm_family = AF_INET, .ndm_state = NUD_PERMANENT};
	struct in_addr a;
	uint8_t hw[6] = {2, 0, 0, 0, 0, 7};

	make(s, "veth", "n0", "n1", NLM_F_CREATE | NLM_F_EXCL, 0);
	m.ndm_ifindex = link_by_name("n0");
	change(s, RTM_NEWLINK, m.ndm_ifindex, IFF_UP, IFF_UP, 0, NULL, 0);
	inet_aton("10.1.1.1", &a);
	for (int i = 0; i < 2; i++) {
		begin(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_EXCL, &m, sizeof(m));
		add(NDA_DST, &a, 4);
		add(NDA_LLADDR, hw, 6);
		say("neighbour", talk(s));
	}
	for (int i = 0; i < 2; i++) {
		begin(RTM_DELNEIGH, 0, &m, sizeof(m));
		add(NDA_DST, &a, 4);
		say("neighbour deleted", talk(s));
	}
	begin(RTM_NEWNEIGH, NLM_F_CREATE, &m, sizeof(m));
	say("neighbour without an address", talk(s));
	say("veth deleted", change(s, RTM_DELLINK, m.ndm_ifindex, 0, 0, 0, NULL, 0));
	printf("its peer is gone %d\n", link_by_name("n1") == 0);
}

static void options(void)
{
	int s = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), t = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	struct sockaddr_nl a = {.nl_family = AF_NETLINK, .nl_pid = 77777};
	uint32_t groups[2] = {0};
	socklen_t n = sizeof(groups);
	static const int names[] = {NETLINK_PKTINFO, NETLINK_BROADCAST_ERROR, NETLINK_NO_ENOBUFS,
				    NETLINK_CAP_ACK, NETLINK_EXT_ACK,	      NETLINK_GET_STRICT_CHK};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		printf("%d", get(s, SOL_NETLINK, names[i]));
		printf(" %d", set(s, SOL_NETLINK, names[i], 1));
		printf(" %d\n", get(s, SOL_NETLINK, names[i]));
	}
	SHOW(set(s, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, 0));
	SHOW(set(s, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, 1000));
	SHOW(set(s, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, RTNLGRP_LINK));
	SHOW(set(s, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, RTNLGRP_IPV4_ROUTE));
	SHOW(getsockopt(s, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, groups, &n));
	printf("groups %x\n", groups[0]);
	SHOW(set(s, SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, RTNLGRP_LINK));
	SHOW(set(s, SOL_NETLINK, 4711, 1));
	SHOW(bind(s, sa(&a), sizeof(a)));
	SHOW(bind(t, sa(&a), sizeof(a)));
	a.nl_family = AF_INET;
	SHOW(bind(t, sa(&a), sizeof(a)));
	SHOW(socket(AF_NETLINK, SOCK_STREAM, 0));
	SHOW(socket(AF_NETLINK, SOCK_RAW, 100));
	close(s);
	close(t);
}

/* Another namespace at the end of a cable: pings by UDP and TCP across it. */
static void other_side(int ready, int go)
{
	char byte;
	int s, u, l, c, i;
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(5555)};
	socklen_t n = sizeof(a);
	char buf[64];

	MUST(unshare(CLONE_NEWNET) == 0);
	MUST(write(ready, "r", 1) == 1);
	MUST(read(go, &byte, 1) == 1);
	s = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	i = link_by_name("east");
	MUST(i > 0);
	MUST(address(s, RTM_NEWADDR, NLM_F_CREATE, i, "10.9.0.2", 24) == 0);
	MUST(change(s, RTM_NEWLINK, i, IFF_UP, IFF_UP, 0, NULL, 0) == 0);
	u = socket(AF_INET, SOCK_DGRAM, 0);
	l = socket(AF_INET, SOCK_STREAM, 0);
	MUST(bind(u, sa(&a), sizeof(a)) == 0);
	MUST(bind(l, sa(&a), sizeof(a)) == 0 && listen(l, 5) == 0);
	MUST(write(ready, "r", 1) == 1);
	i = (int)recvfrom(u, buf, sizeof(buf), 0, sa(&a), &n);
	MUST(sendto(u, buf, (size_t)i, 0, sa(&a), n) == i);
	c = accept(l, NULL, NULL);
	while ((i = (int)read(c, buf, sizeof(buf))) > 0)
		MUST(write(c, buf, (size_t)i) == i);
	exit(0);
}

static void across(int s, bool bridged)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(5555)};
	int ready[2], go[2], status, west, u, t, br;
	char buf[64] = "";
	pid_t pid;

	MUST(pipe(ready) == 0 && pipe(go) == 0);
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		other_side(ready[1], go[0]);
	MUST(read(ready[0], buf, 1) == 1);
	say("veth into another namespace", make(s, "veth", "west", "east", NLM_F_CREATE | NLM_F_EXCL, pid));
	west = link_by_name("west");
	printf("east is not here %d\n", link_by_name("east") == 0);
	say("west up", change(s, RTM_NEWLINK, west, IFF_UP, IFF_UP, 0, NULL, 0));
	if (bridged) {
		say("bridge", make(s, "bridge", "br0", NULL, NLM_F_CREATE | NLM_F_EXCL, 0));
		br = link_by_name("br0");
		say("port", change(s, RTM_NEWLINK, west, 0, 0, IFLA_MASTER, &br, 4));
		say("bridge up", change(s, RTM_NEWLINK, br, IFF_UP, IFF_UP, 0, NULL, 0));
		say("its address", address(s, RTM_NEWADDR, NLM_F_CREATE, br, "10.9.0.1", 24));
	} else {
		say("its address", address(s, RTM_NEWADDR, NLM_F_CREATE, west, "10.9.0.1", 24));
	}
	MUST(write(go[1], "g", 1) == 1);
	MUST(read(ready[0], buf, 1) == 1);
	inet_aton("10.9.0.2", &to.sin_addr);
	u = socket(AF_INET, SOCK_DGRAM, 0);
	SHOW(sendto(u, "across", 6, 0, sa(&to), sizeof(to)));
	SHOW(recv(u, buf, sizeof(buf), 0));
	printf("%.6s\n", buf);
	t = socket(AF_INET, SOCK_STREAM, 0);
	SHOW(connect(t, sa(&to), sizeof(to)));
	SHOW(write(t, "segments", 8));
	SHOW(read(t, buf, sizeof(buf)));
	printf("%.8s\n", buf);
	close(t);
	close(u);
	MUST(waitpid(pid, &status, 0) == pid);
	show_status("other side", status);
	change(s, RTM_DELLINK, link_by_name("west"), 0, 0, 0, NULL, 0);
	printf("west is gone %d\n", link_by_name("west") == 0);
	if (bridged)
		say("bridge deleted", change(s, RTM_DELLINK, link_by_name("br0"), 0, 0, 0, NULL, 0));
	close(ready[0]);
	close(ready[1]);
	close(go[0]);
	close(go[1]);
}

int main(void)
{
	int s;

	alarm(30);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (unshare(CLONE_NEWNET) < 0) {
		puts("no right to a network namespace");
		return 77;
	}
	s = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	if (make(s, "veth", "probe0", NULL, NLM_F_CREATE | NLM_F_EXCL, 0) < 0) {
		puts("the host makes no such interfaces");
		return 77;
	}
	change(s, RTM_DELLINK, link_by_name("probe0"), 0, 0, 0, NULL, 0);
	options();
	links(s);
	neighbours(s);
	across(s, false);
	across(s, true);
	return 0;
}
