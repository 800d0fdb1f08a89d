/* netdev.c: takes an interface over for a sandbox. The host's own stack must not answer there any more (it
 * would reset every connection), so its addresses are removed; routes go with them. What the sentry is told,
 * addresses as 32 hexadecimal digits (IPv4 ones as v4-mapped IPv6 ones), all in its configuration:
 *   net-name=NAME  net-mtu=N  net-hw=12 digits  net-addr=ADDR/PREFIX...  net-gateway=DST/PREFIX:GATEWAY...
 *   net-onlink=DST/PREFIX...
 * Where the host can (netguard.h), its stack is made deaf instead and keeps what it has. */
#include "sentry/oci/netdev.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/route.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sentry/oci/netguard.h"

#define BUFFERS (8 << 20)

/* linux/ipv6.h's, which clashes with netinet/in.h */
struct in6_request {
	struct in6_addr addr;
	uint32_t prefix;
	int ifindex;
};

static int failed(char *err, size_t n, const char *name, const char *what)
{
	int e = errno;

	snprintf(err, n, "interface %s: cannot %s: %s%s", name, what, strerror(e),
		 e == EPERM || e == EACCES ? " (this needs CAP_NET_ADMIN and CAP_NET_RAW)" : "");
	return -1;
}

static void hex_of(const struct in6_addr *a, char out[33])
{
	for (int i = 0; i < 16; i++)
		snprintf(out + 2 * i, 3, "%02x", a->s6_addr[i]);
}

static struct in6_addr mapped(uint32_t v4)
{
	struct in6_addr a = {0};

	a.s6_addr[10] = a.s6_addr[11] = 0xff;
	memcpy(a.s6_addr + 12, &v4, 4);
	return a;
}

static uint32_t v4_of(const struct sockaddr *sa)
{
	uint32_t v;

	memcpy(&v, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
	return v;
}

static unsigned prefix_of(const uint8_t *mask, unsigned n)
{
	unsigned bits = 0;

	for (unsigned i = 0; i < n; i++)
		bits += (unsigned)__builtin_popcount(mask[i]);
	return bits;
}

static void tell_address(struct config_writer *config, const struct ifaddrs *i)
{
	char hex[33];
	struct in6_addr a;
	uint32_t mask;

	if (i->ifa_addr->sa_family == AF_INET) {
		a = mapped(v4_of(i->ifa_addr));
		mask = v4_of(i->ifa_netmask);
		hex_of(&a, hex);
		config_add(config, "net-addr", "%s/%u", hex, prefix_of((uint8_t *)&mask, 4));
	} else {
		const struct sockaddr_in6 *s = (const void *)i->ifa_addr, *m = (const void *)i->ifa_netmask;

		hex_of(&s->sin6_addr, hex);
		config_add(config, "net-addr", "%s/%u", hex, prefix_of(m->sin6_addr.s6_addr, 16));
	}
}

/* Such a route comes with an address. */
static bool is_connected(const struct ifaddrs *i, const char *name, uint32_t dst, uint32_t mask)
{
	for (; i; i = i->ifa_next)
		if (i->ifa_addr && i->ifa_netmask && i->ifa_addr->sa_family == AF_INET &&
		    strcmp(i->ifa_name, name) == 0 && v4_of(i->ifa_netmask) == mask &&
		    (v4_of(i->ifa_addr) & mask) == dst)
			return true;
	return false;
}

/* /proc/net/route: the routes by name, but not those that an address brings along. */
static void tell_routes4(struct config_writer *config, const char *name, const struct ifaddrs *all)
{
	FILE *f = fopen("/proc/net/route", "re");
	char line[256], dev[IFNAMSIZ], dst[33], gw[33];
	unsigned d, g, flags, mask;
	struct in6_addr a;

	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%15s %x %x %x %*d %*d %*d %x", dev, &d, &g, &flags, &mask) != 5 ||
		    strcmp(dev, name) != 0)
			continue;
		a = mapped(d);
		hex_of(&a, dst);
		if (!(flags & RTF_GATEWAY)) {
			if (!is_connected(all, name, d, mask))
				config_add(config, "net-onlink", "%s/%d", dst, __builtin_popcount(mask));
			continue;
		}
		a = mapped(g);
		hex_of(&a, gw);
		config_add(config, "net-gateway", "%s/%d:%s", dst, __builtin_popcount(mask), gw);
	}
	fclose(f);
}

static void tell_gateways6(struct config_writer *config, const char *name)
{
	FILE *f = fopen("/proc/net/ipv6_route", "re");
	char line[256], dst[33], gw[33], dev[IFNAMSIZ];
	unsigned prefix, flags;

	if (!f)
		return;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%32s %x %*s %*x %32s %*x %*x %*x %x %15s", dst, &prefix, gw, &flags, dev) ==
			    5 &&
		    strcmp(dev, name) == 0 && (flags & RTF_GATEWAY))
			config_add(config, "net-gateway", "%s/%u:%s", dst, prefix, gw);
	fclose(f);
}

static int remove_address(int fd4, int fd6, const char *name, const struct ifaddrs *i)
{
	if (i->ifa_addr->sa_family == AF_INET) {
		struct ifreq r = {0};

		strncpy(r.ifr_name, name, IFNAMSIZ - 1);
		r.ifr_addr.sa_family = AF_INET; /* 0.0.0.0: none; also when there were several */
		return ioctl(fd4, SIOCSIFADDR, &r) < 0 && errno != EADDRNOTAVAIL ? -1 : 0;
	}
	struct in6_request r6 = {.ifindex = (int)if_nametoindex(name)};
	const struct sockaddr_in6 *s = (const void *)i->ifa_addr, *m = (const void *)i->ifa_netmask;

	r6.addr = s->sin6_addr;
	r6.prefix = prefix_of(m->sin6_addr.s6_addr, 16);
	return ioctl(fd6, SIOCDIFADDR, &r6) < 0 && errno != EADDRNOTAVAIL ? -1 : 0;
}

/* keep: the host's stack keeps them */
static int take_addresses(const char *name, struct config_writer *config, bool keep)
{
	int fd4 = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0),
	    fd6 = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifaddrs *all = NULL, *i;
	int ret = fd4 < 0 ? -1 : getifaddrs(&all);

	if (ret == 0) {
		tell_routes4(config, name, all);
		tell_gateways6(config, name);
	}
	for (int pass = 0; pass < (keep ? 1 : 2) && ret == 0; pass++) { /* all are told before one goes */
		for (i = all; i && ret == 0; i = i->ifa_next) {
			if (!i->ifa_addr || strcmp(i->ifa_name, name) != 0 ||
			    (i->ifa_addr->sa_family != AF_INET && i->ifa_addr->sa_family != AF_INET6))
				continue;
			if (pass == 0)
				tell_address(config, i);
			else
				ret = remove_address(fd4, fd6, name, i);
		}
	}
	if (all)
		freeifaddrs(all);
	if (fd4 >= 0)
		close(fd4);
	if (fd6 >= 0)
		close(fd6);
	return ret;
}

static int describe(int fd, const char *name, struct config_writer *config)
{
	struct ifreq r = {0};
	const uint8_t *hw = (const uint8_t *)r.ifr_hwaddr.sa_data;

	strncpy(r.ifr_name, name, IFNAMSIZ - 1);
	if (ioctl(fd, SIOCGIFMTU, &r) < 0)
		return -1;
	config_add(config, "net-name", "%s", name);
	config_add(config, "net-mtu", "%d", r.ifr_mtu);
	if (ioctl(fd, SIOCGIFHWADDR, &r) < 0)
		return -1;
	config_add(config, "net-hw", "%02x%02x%02x%02x%02x%02x", hw[0], hw[1], hw[2], hw[3], hw[4], hw[5]);
	return 0;
}

/* Everything on the interface, once the socket is bound. */
static int open_packet_socket(int ifindex)
{
	struct sockaddr_ll sa = {
		.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = ifindex};
	struct packet_mreq all = {.mr_ifindex = ifindex, .mr_type = PACKET_MR_ALLMULTI};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1, size = BUFFERS, e;

	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all)) < 0 ||
	    bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		e = errno;
		close(fd);
		errno = e;
		return -1;
	}
	return fd;
}

/* Sockets that get every packet of the interface: packet(7)'s list in the thread's network namespace. */
static unsigned readers_of_all(int ifindex)
{
	FILE *f = fopen("/proc/thread-self/net/packet", "re");
	unsigned proto, count = 0;
	char line[256];
	int index;

	while (f && fgets(line, sizeof(line), f))
		count += sscanf(line, "%*s %*u %*u %x %d", &proto, &index) == 2 && proto == ETH_P_ALL &&
			 index == ifindex;
	if (f)
		fclose(f);
	return count;
}

static int refuse_shared(char *err, size_t n, const char *name)
{
	snprintf(err, n,
		 "interface %s is another sandbox's, or something else reads all its packets: two containers "
		 "can't share a network namespace, each has a network stack of its own",
		 name);
	return -1;
}

int netdev_take_over(const char *name, struct config_writer *config, int *guard, char *err, size_t err_size)
{
	int ifindex = (int)if_nametoindex(name), fd;
	bool keep = false;

	if (!ifindex)
		return failed(err, err_size, name, "find it");
	if (guard && readers_of_all(ifindex))
		return refuse_shared(err, err_size, name);
	fd = open_packet_socket(ifindex);
	if (fd < 0)
		return failed(err, err_size, name, "open a packet socket on it");
	if (guard && readers_of_all(ifindex) > 1) { /* two at once: neither has taken anything yet */
		close(fd);
		return refuse_shared(err, err_size, name);
	}
	if (describe(fd, name, config) < 0) {
		close(fd);
		return failed(err, err_size, name, "look at it");
	}
	if (guard) {
		*guard = netguard_attach(ifindex, fd);
		keep = *guard >= 0;
	}
	if (take_addresses(name, config, keep) < 0) {
		close(fd);
		if (keep)
			close(*guard);
		return failed(err, err_size, name, "take its addresses over");
	}
	return fd;
}
