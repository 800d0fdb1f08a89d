/* network.c: see network.h. `start` does it, when hooks and plugins have done their part, by a visit to the
 * container's network namespace. */
#include "sentry/oci/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sentry/oci/log.h"
#include "sentry/oci/netdev.h"
#include "sentry/oci/netguard.h"
#include "sentry/oci/same_file.h"

#define LINKS_MAX     16
#define ENGINE_SERVER 0x7f00000bu /* 127.0.0.11 */

/* Ethernet that is up: not the loopback, nor the tunnels that some kernels put into every namespace. */
static bool is_wanted(const char *name)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq r = {0};
	bool wanted = false;

	if (fd < 0)
		return false;
	strncpy(r.ifr_name, name, IFNAMSIZ - 1);
	if (ioctl(fd, SIOCGIFFLAGS, &r) == 0 && (r.ifr_flags & IFF_UP) && !(r.ifr_flags & IFF_LOOPBACK))
		wanted = ioctl(fd, SIOCGIFHWADDR, &r) == 0 && r.ifr_hwaddr.sa_family == ARPHRD_ETHER;
	close(fd);
	return wanted;
}

/* guard: as of netdev_take_over */
static int take_link(const char *name, struct network *n, int *guard, char *err, size_t err_size)
{
	struct config_writer config = {0};
	int sealed, fd;

	config_add(&config, "net-vnet", "1");
	fd = netdev_take_over(name, &config, guard, err, err_size);
	if (fd < 0) {
		free(config.data);
		return -1;
	}
	sealed = config_seal(&config);
	free(config.data);
	if (sealed < 0) {
		snprintf(err, err_size, "cannot make a configuration: %s", strerror(-sealed));
		close(fd);
		if (*guard >= 0)
			close(*guard);
		*guard = -1;
		return -1;
	}
	n->fds[n->count++] = sealed;
	n->fds[n->count++] = fd;
	n->what++;
	return 0;
}

/* Where the engine's server listens for datagrams, by /proc/net/udp: rules of its own lead port 53 there. 0:
 * there is none. */
static uint16_t engine_port(void)
{
	FILE *f = fopen("/proc/thread-self/net/udp", "re");
	unsigned addr, port, found = 0;
	char line[256];

	if (!f)
		return 0;
	while (!found && fgets(line, sizeof(line), f))
		if (sscanf(line, " %*u: %8X:%4X", &addr, &port) == 2 && addr == htonl(ENGINE_SERVER))
			found = port;
	fclose(f);
	return (uint16_t)found;
}

static void take_name_server(struct network *n)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr = {htonl(ENGINE_SERVER)}};
	uint16_t port = engine_port();
	int fd;

	if (!port)
		return;
	sa.sin_port = htons(port);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		oci_log("warning", "the name server at 127.0.0.11: %s", strerror(errno));
		if (fd >= 0)
			close(fd);
		return;
	}
	n->fds[n->count++] = fd;
	n->what |= CONTROL_START_DNS;
}

static int take_all(struct network *n, char *err, size_t err_size)
{
	struct if_nameindex *all = if_nameindex();
	int guards[LINKS_MAX], ret = 0;
	size_t links = 0;

	for (size_t i = 0; all && all[i].if_index && ret == 0; i++) {
		if (!is_wanted(all[i].if_name))
			continue;
		if (links == LINKS_MAX) {
			snprintf(err, err_size, "more than %d network interfaces", LINKS_MAX);
			ret = -1;
			break;
		}
		guards[links] = -1;
		ret = take_link(all[i].if_name, n, &guards[links], err, err_size);
		links += ret == 0;
	}
	if (all)
		if_freenameindex(all);
	if (ret == 0 && links)
		netguard_reserve_ports();
	if (ret == 0)
		take_name_server(n);
	for (size_t i = 0; i < links; i++)
		if (guards[i] >= 0)
			n->fds[n->count++] = guards[i];
	return ret;
}

int network_take(const struct oci_state *s, struct network *n, char *err, size_t err_size)
{
	char path[40];
	int theirs, own, ret = 0;

	*n = (struct network){0};
	snprintf(path, sizeof(path), "/proc/%d/ns/net", s->pid);
	theirs = open(path, O_RDONLY | O_CLOEXEC);
	own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (theirs < 0 || own < 0) {
		snprintf(err, err_size, "network namespace: %s", strerror(errno));
		ret = -1;
	} else if (!same_file(theirs, own)) {
		if (setns(theirs, CLONE_NEWNET) < 0) {
			snprintf(err, err_size, "cannot visit the container's network namespace: %s",
				 strerror(errno));
			ret = -1;
		} else {
			ret = take_all(n, err, err_size);
			if (setns(own, CLONE_NEWNET) < 0) {
				snprintf(err, err_size, "cannot come back to the network namespace: %s",
					 strerror(errno));
				ret = -1;
			}
		}
	}
	if (theirs >= 0)
		close(theirs);
	if (own >= 0)
		close(own);
	return ret;
}

void network_free(struct network *n)
{
	for (size_t i = 0; i < n->count; i++)
		close(n->fds[i]);
	n->count = 0;
}
