/* nat.c: see nat.h: what `--network nat` gives the sentry and sbx-net. */
#include "sentry/oci/nat.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "netstack/nat/rule.h"
#include "platform/base/bug.h"

#define PREFIX6	     "fd00:5b78::"
#define RESOLVER_LO  "127.0.0.11"
#define QUEUE	     (4 << 20) /* of datagrams between sentry and sbx-net */
#define BACKLOG	     1024
#define NAT_MTU	     65520 /* no packet of ours is on a wire: the host cuts what goes out */
#define CONTROL_WAIT 10

static PRINTF_LIKE(2, 3) void add_arg(struct nat_launch *n, const char *fmt, ...)
{
	va_list ap;

	n->args = realloc(n->args, (n->arg_count + 1) * sizeof(*n->args));
	BUG_ON(!n->args);
	va_start(ap, fmt);
	BUG_ON(vasprintf(&n->args[n->arg_count++], fmt, ap) < 0);
	va_end(ap);
}

/* ---- addresses ---- */

/* A network of 256 addresses that this host isn't in: "A.B.C". */
static void choose_network(char out[16])
{
	static const char *const candidates[] = {"10.0.2", "10.0.3", "172.31.254", "192.168.253", "10.254.254"};
	struct ifaddrs *all = NULL;
	size_t i = 0;
	bool taken = true;

	if (getifaddrs(&all) < 0)
		all = NULL;
	for (; i < ARRAY_SIZE(candidates) && taken; i++) {
		char text[20];
		struct in_addr net;

		snprintf(text, sizeof(text), "%s.0", candidates[i]);
		inet_pton(AF_INET, text, &net);
		taken = false;
		for (struct ifaddrs *a = all; a; a = a->ifa_next) {
			struct sockaddr_in in, mask;
			uint32_t both;

			if (!a->ifa_addr || !a->ifa_netmask || a->ifa_addr->sa_family != AF_INET)
				continue;
			memcpy(&in, a->ifa_addr, sizeof(in));
			memcpy(&mask, a->ifa_netmask, sizeof(mask));
			both = mask.sin_addr.s_addr & htonl(0xffffff00);
			taken |= ((in.sin_addr.s_addr ^ net.s_addr) & both) == 0;
		}
	}
	freeifaddrs(all);
	snprintf(out, 16, "%s", candidates[taken ? 0 : i - 1]);
}

static void hex_of(const char *text, char out[33])
{
	uint8_t a[16];

	BUG_ON(nat_addr_parse(text, a) < 0);
	for (int i = 0; i < 16; i++)
		snprintf(out + 2 * i, 3, "%02x", a[i]);
}

static void tell_addresses(struct config_writer *w, struct nat_launch *n, const char *net)
{
	char guest[20], gateway[20], resolver[20], hex[33], gw[33];

	snprintf(guest, sizeof(guest), "%s.15", net);
	snprintf(gateway, sizeof(gateway), "%s.2", net);
	snprintf(resolver, sizeof(resolver), "%s.3", net);
	hex_of(guest, hex);
	config_add(w, "net-addr", "%s/24", hex);
	hex_of(PREFIX6 "15", hex);
	config_add(w, "net-addr", "%s/64", hex);
	hex_of("0.0.0.0", hex);
	hex_of(gateway, gw);
	config_add(w, "net-gateway", "%s/0:%s", hex, gw);
	hex_of("::", hex);
	hex_of(PREFIX6 "2", gw);
	config_add(w, "net-gateway", "%s/0:%s", hex, gw);
	hex_of(RESOLVER_LO, hex);
	config_add(w, "net-resolver", "%s", hex);
	add_arg(n, "--guest=%s", guest);
	add_arg(n, "--guest=" PREFIX6 "15");
	add_arg(n, "--gateway=%s", gateway);
	add_arg(n, "--gateway=" PREFIX6 "2");
	add_arg(n, "--resolver=%s", resolver);
	add_arg(n, "--resolver=" PREFIX6 "3");
	add_arg(n, "--resolver=" RESOLVER_LO);
}

/* ---- names ---- */

/* The host's /etc/resolv.conf: name servers for sbx-net, the rest for the guest's own file. */
static void tell_resolver(const struct nat_options *o, struct config_writer *w, struct nat_launch *n,
			  const char *net)
{
	FILE *f = fopen("/etc/resolv.conf", "re"), *text;
	char line[512], word[64], value[256], *file = NULL;
	size_t size = 0;
	uint8_t addr[16];
	bool any = false;

	text = open_memstream(&file, &size);
	BUG_ON(!text);
	fprintf(text, "nameserver %s.3\n", net);
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%63s %255[^\n]", word, value) != 2)
			continue;
		if (strcmp(word, "search") == 0 || strcmp(word, "domain") == 0 || strcmp(word, "options") == 0)
			fprintf(text, "%s %s\n", word, value);
		value[strcspn(value, " \t#;")] = 0;
		if (strcmp(word, "nameserver") == 0 && !o->dns_count && nat_addr_parse(value, addr) == 0) {
			add_arg(n, "--server=%s", value);
			any = true;
		}
	}
	if (f)
		fclose(f);
	for (size_t i = 0; i < o->dns_count; i++)
		add_arg(n, "--server=%s", o->dns[i]);
	if (!any && !o->dns_count)
		add_arg(n, "--server=127.0.0.1"); /* resolv.conf(5) */
	fclose(text);
	config_add(w, "net-file", "/etc/resolv.conf:%s", file);
	free(file);
}

static void tell_hosts(const struct nat_options *o, struct config_writer *w, const char *net,
		       const char *hostname)
{
	char *file = NULL;
	size_t size = 0;
	FILE *text = open_memstream(&file, &size);

	BUG_ON(!text);
	fprintf(text, "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\n"
		      "ff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n");
	if (hostname && *hostname)
		fprintf(text, "%s.15\t%s\n", net, hostname);
	for (size_t i = 0; i < o->host_count; i++) {
		if (strncmp(o->hosts[i], "host-gateway\t", 13) == 0)
			fprintf(text, "%s.2\t%s\n", net, o->hosts[i] + 13);
		else
			fprintf(text, "%s\n", o->hosts[i]);
	}
	fclose(text);
	config_add(w, "net-file", "/etc/hosts:%s", file);
	free(file);
}

/* ---- published ports ---- */

static int open_port(const struct nat_port *p, int family, uint16_t port, int *fd)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	bool v4 = family == AF_INET;
	int one = 1;

	if (p->host)
		inet_pton(family, p->host, v4 ? (void *)&in.sin_addr : (void *)&in6.sin6_addr);
	*fd = socket(family, (p->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (*fd < 0)
		return -errno;
	if (!p->udp)
		(void)setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (!v4)
		(void)setsockopt(*fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(*fd, v4 ? (struct sockaddr *)&in : (struct sockaddr *)&in6, v4 ? sizeof(in) : sizeof(in6)) ==
		    0 &&
	    (p->udp || listen(*fd, BACKLOG) == 0))
		return 0;
	one = errno;
	close(*fd);
	return -one;
}

static int publish(const struct nat_port *p, uint16_t port, struct nat_launch *n, char *err, size_t err_size)
{
	bool four = !p->host || !strchr(p->host, ':'), six = !p->host || strchr(p->host, ':');

	for (int pass = 0; pass < 2; pass++) {
		int fd, ret;

		if (pass == 0 ? !four : !six)
			continue;
		ret = open_port(p, pass == 0 ? AF_INET : AF_INET6, port, &fd);
		if (ret == -EAFNOSUPPORT && four && pass == 1)
			continue; /* a host without IPv6 */
		if (ret == -EADDRNOTAVAIL && four && pass == 1)
			continue;
		if (ret < 0) {
			snprintf(err, err_size, "cannot publish the host's port %u/%s%s%s: %s%s", port,
				 p->udp ? "udp" : "tcp", p->host ? " at " : "", p->host ? p->host : "",
				 strerror(-ret), ret == -EACCES ? " (ports below 1024 need a privilege)" : "");
			return -1;
		}
		n->sockets = realloc(n->sockets, (n->socket_count + 1) * sizeof(*n->sockets));
		BUG_ON(!n->sockets);
		n->sockets[n->socket_count++] =
			(struct nat_socket){fd, p->udp, (uint16_t)(p->guest + (port - p->first))};
	}
	return 0;
}

/* ---- all of it ---- */

static int make_pairs(struct nat_launch *n)
{
	struct timeval tv = {.tv_sec = CONTROL_WAIT};
	int size = QUEUE;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, n->control) < 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, n->datagrams) < 0)
		return -errno;
	for (int i = 0; i < 2; i++) {
		/* whoever doesn't listen for so long isn't waited for */
		(void)setsockopt(n->control[i], SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
		(void)setsockopt(n->datagrams[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	}
	return 0;
}

int nat_prepare(const struct nat_options *o, const char *hostname, struct config_writer *w,
		struct nat_launch *n, char *err, size_t err_size)
{
	char net[16];

	*n = (struct nat_launch){.control = {-1, -1}, .datagrams = {-1, -1}, .netns = -1};
	for (size_t i = 0; i < o->port_count; i++)
		for (uint32_t port = o->ports[i].first; port <= o->ports[i].last; port++)
			if (publish(&o->ports[i], (uint16_t)port, n, err, err_size) < 0)
				return -1;
	if (make_pairs(n) < 0) {
		snprintf(err, err_size, "cannot make a socket pair: %s", strerror(errno));
		return -1;
	}
	choose_network(net);
	config_add(w, "network", "nat");
	config_add(w, "net-name", "eth0");
	config_add(w, "net-hw", "525400120215");
	config_add(w, "net-mtu", "%d", NAT_MTU);
	if (o->rate)
		config_add(w, "net-rate", "%llu", (unsigned long long)o->rate);
	tell_addresses(w, n, net);
	tell_resolver(o, w, n, net);
	tell_hosts(o, w, net, hostname);
	for (size_t i = 0; i < o->allow_count; i++)
		add_arg(n, "--allow=%s", o->allow[i]);
	for (size_t i = 0; i < o->deny_count; i++)
		add_arg(n, "--deny=%s", o->deny[i]);
	return 0;
}

void nat_launch_free(struct nat_launch *n)
{
	for (size_t i = 0; i < n->arg_count; i++)
		free(n->args[i]);
	for (size_t i = 0; i < n->socket_count; i++)
		close(n->sockets[i].fd);
	for (int i = 0; i < 2; i++) {
		if (n->control[i] >= 0)
			close(n->control[i]);
		if (n->datagrams[i] >= 0)
			close(n->datagrams[i]);
	}
	if (n->netns >= 0)
		close(n->netns);
	free(n->args);
	free(n->sockets);
	*n = (struct nat_launch){.control = {-1, -1}, .datagrams = {-1, -1}, .netns = -1};
}
