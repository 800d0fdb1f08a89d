/* net.c: links to the world outside, if sbx gave some, at start or with CONTROL_START: they become interfaces
 * of the first network namespace, and a thread waits for their packets and for the stack's timers. What sbx
 * says is in sentry/oci/netdev.c. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "netstack/netstack.h"
#include "platform/base/arena.h"
#include "platform/base/clock.h"
#include "platform/base/log.h"
#include "platform/base/thread.h"
#include "platform/host/hostcall.h"
#include "sentry/boot/boot.h"
#include "sentry/kernel/timer.h"
#include "sentry/boot/program.h"
#include "sentry/control/proto.h"

#define LINKS_MAX 16

/* What a stack's kick is given: who runs it. */
struct net_driver {
	bool runner; /* a net_runner; else net_links */
};

struct net_links {
	struct net_driver driver;
	struct net_stack *st;
	struct {
		uint32_t ifindex;
		int fd;
	} link[LINKS_MAX];
	uint32_t count; /* [I] once the thread runs, as everything here */
	struct dns_relay *dns;
	int kick;
};

static void kick(void *arg)
{
	struct net_links *l = arg;
	uint64_t one = 1;

	(void)hc_write(l->kick, &one, sizeof(one));
}

static void serve_link(struct net_links *l, uint32_t i, struct pollfd *pf)
{
	int ret = net_link_ready(l->st, l->link[i].ifindex, pf->revents & (POLLIN | POLLERR | POLLHUP),
				 pf->revents & POLLOUT);

	if (ret < 0 && ret != -EAGAIN) {
		log_warn("the network link is gone: %d", -ret);
		pf->fd = -1; /* timers go on */
	}
}

/* Until the next event or deadline. */
static int wait_for(struct net_links *l, struct pollfd *pf, nfds_t n)
{
	uint64_t deadline = net_run_timers(l->st), now = clock_monotonic_ns();
	struct timespec ts;

	for (uint32_t i = 0; i < l->count; i++)
		pf[i].events = (short)(POLLIN | (net_link_waits(l->st, l->link[i].ifindex) ? POLLOUT : 0));
	if (deadline == UINT64_MAX)
		return hc_ppoll(pf, n, NULL, NULL);
	deadline = deadline > now ? deadline - now : 0;
	ts.tv_sec = (time_t)(deadline / NSEC_PER_SEC);
	ts.tv_nsec = (long)(deadline % NSEC_PER_SEC);
	return hc_ppoll(pf, n, &ts, NULL);
}

static void poll_loop(void *arg)
{
	struct net_links *l = arg;
	struct pollfd pf[LINKS_MAX + 2] = {0};
	uint32_t n = l->count;
	uint64_t drained;

	for (uint32_t i = 0; i < n; i++)
		pf[i].fd = l->link[i].fd;
	pf[n] = (struct pollfd){.fd = l->kick, .events = POLLIN};
	pf[n + 1] = (struct pollfd){.fd = l->dns ? dns_fd(l->dns) : -1, .events = POLLIN};
	for (;;) {
		if (wait_for(l, pf, n + 2) <= 0)
			continue;
		if (pf[n].revents)
			(void)hc_read(l->kick, &drained, sizeof(drained));
		for (uint32_t i = 0; i < n; i++)
			if (pf[i].revents)
				serve_link(l, i, &pf[i]);
		if (l->dns && (pf[n].revents || pf[n + 1].revents))
			dns_run(l->dns);
	}
}

/* ---- stacks without a link of their own to the outside: the kernel's timer thread runs them ---- */

struct net_runner {
	struct net_driver driver;
	struct timer timer;
	struct net_stack *st;
	uint32_t kicked; /* [a] */
	uint32_t dead;	 /* [a] the namespace is gone; sockets may still hold the stack */
};

static void run_stack(struct timer *t)
{
	struct net_runner *r = container_of(t, struct net_runner, timer);
	uint64_t deadline;

	if (__atomic_load_n(&r->dead, __ATOMIC_ACQUIRE))
		return;
	__atomic_store_n(&r->kicked, 0, __ATOMIC_SEQ_CST);
	deadline = net_run_timers(r->st);
	if (deadline != UINT64_MAX)
		timer_set(t, deadline);
	if (__atomic_load_n(&r->kicked, __ATOMIC_SEQ_CST))
		timer_set(t, 1);
}

static void kick_runner(void *arg)
{
	struct net_runner *r = arg;

	__atomic_store_n(&r->kicked, 1, __ATOMIC_SEQ_CST);
	if (!__atomic_load_n(&r->dead, __ATOMIC_ACQUIRE))
		timer_set(&r->timer, 1);
}

/* The stack goes; nobody kicks any more. */
static void release_runner(void *arg)
{
	struct net_runner *r = arg;

	timer_cancel_sync(&r->timer);
	kfree(r);
}

bool boot_net_runner(struct kernel *k, struct net_stack *st)
{
	struct net_runner *r;

	if (net_kick_arg(st))
		return true; /* it has a thread of its own */
	r = kmalloc(sizeof(*r));
	if (!r)
		return false;
	r->st = st;
	r->driver.runner = true;
	timer_init(&r->timer, k->timers, run_stack);
	net_set_kick(st, kick_runner, r);
	net_set_release(st, release_runner);
	return true;
}

void boot_net_runner_stop(struct net_stack *st)
{
	struct net_driver *d = net_kick_arg(st);
	struct net_runner *r = container_of(d, struct net_runner, driver);

	if (!d->runner)
		return;
	__atomic_store_n(&r->dead, 1, __ATOMIC_RELEASE);
	timer_cancel_sync(&r->timer);
}

static bool hex_bytes(const char *s, uint8_t *out, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char two[3] = {s[2 * i], s[2 * i] ? s[2 * i + 1] : 0, 0}, *end;

		out[i] = (uint8_t)strtoul(two, &end, 16);
		if (end != two + 2)
			return false;
	}
	return true;
}

static const char *add_addresses(const struct config *config, struct net_stack *st, uint32_t ifindex,
				 const char *name)
{
	const char *v;
	size_t pos = 0;

	while ((v = config_next(config, "net-addr", &pos))) {
		struct net_addr_info a = {.if_index = ifindex};

		if (!hex_bytes(v, a.addr.b, 16) || v[32] != '/')
			return "bad net-addr";
		a.prefix = (uint8_t)strtoul(v + 33, NULL, 10);
		a.scope = net_addr_linklocal6(&a.addr) ? 253 : 0;
		if (net_addr_is4(&a.addr))
			strncpy(a.label, name, NET_IF_MAX - 1);
		if (net_addr_add(st, &a) < 0)
			log_warn("an address of %s was not taken", name);
	}
	return NULL;
}

/* Those on the link first: gateways may be reached by them. */
static const char *add_routes(const struct config *config, struct net_stack *st, uint32_t ifindex,
			      const char *key, bool gateways)
{
	const char *v;
	size_t pos = 0;
	int ret;

	while ((v = config_next(config, key, &pos))) {
		struct net_route_info r = {
			.has_gateway = gateways, .type = 1, .protocol = 3, .if_index = ifindex};
		char *end;

		if (!hex_bytes(v, r.dst.b, 16) || v[32] != '/')
			return "bad route";
		r.prefix = (uint8_t)strtoul(v + 33, &end, 10);
		if (gateways && (*end != ':' || !hex_bytes(end + 1, r.gateway.b, 16)))
			return "bad net-gateway";
		r.v6 = !net_addr_is4(gateways ? &r.gateway : &r.dst);
		if (!gateways)
			r.scope = 253;
		ret = net_route_add(st, &r);
		if (ret < 0 && ret != -EEXIST)
			log_warn("a route of that interface was not taken: %d", -ret);
	}
	return NULL;
}

/* fd becomes the interface that config describes. NULL, or what is wrong. */
static const char *add_link(struct net_links *l, const struct config *config, int fd, int pcap_fd)
{
	const char *name = config_get(config, "net-name", "eth0"), *hw = config_get(config, "net-hw", NULL),
		   *wrong;
	struct net_link_config c = {.name = name,
				    .fd = fd,
				    .is_socket = true,
				    .ethernet = true,
				    .vnet_hdr = config_get(config, "net-vnet", NULL) != NULL,
				    .mtu = (uint32_t)config_get_u64(config, "net-mtu", 1500),
				    .pcap_fd = pcap_fd};
	uint32_t ifindex;

	if (l->count == LINKS_MAX || !hw || !hex_bytes(hw, c.hw, 6)) {
		hc_close(fd);
		return "too many of them, or a bad net-hw";
	}
	if (net_link_add(l->st, &c, &ifindex) < 0)
		return "no memory, or a name that is taken";
	l->link[l->count].ifindex = ifindex;
	l->link[l->count++].fd = net_link_fd(l->st, ifindex);
	wrong = add_addresses(config, l->st, ifindex, name);
	if (!wrong)
		wrong = add_routes(config, l->st, ifindex, "net-onlink", false);
	return wrong ?: add_routes(config, l->st, ifindex, "net-gateway", true);
}

static struct net_links *make_links(struct net_stack *st)
{
	struct net_links *l = kmalloc(sizeof(*l));

	if (!l)
		return NULL;
	l->st = st;
	l->kick = hc_eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->kick < 0) {
		kfree(l);
		return NULL;
	}
	if (net_kick_arg(st))
		boot_net_runner_stop(st); /* it stays: somebody may be in its kick */
	net_set_kick(st, kick, l);
	net_set_release(st, NULL);
	net_stack_get(st); /* the thread's, for ever */
	return l;
}

/* ---- nat ---- */

static void nat_loop(void *arg)
{
	for (;;)
		net_nat_poll(arg);
}

static void boot_nat(struct boot *b, struct net_stack *st)
{
	const char *name = config_get(&b->config, "net-name", "eth0");
	struct net_nat_config c = {.name = name,
				   .ctl_fd = (int)config_get_u64(&b->config, "net-control-fd", 0),
				   .dgram_fd = (int)config_get_u64(&b->config, "net-datagrams-fd", 0),
				   .mtu = (uint32_t)config_get_u64(&b->config, "net-mtu", 1500),
				   .pcap_fd = (int)config_get_u64(&b->config, "net-pcap-fd", 0),
				   .rate_in = config_get_u64(&b->config, "net-rate", 0),
				   .rate_out = config_get_u64(&b->config, "net-rate", 0)};
	const char *wrong;
	uint32_t ifindex;
	int ret;

	if (!hex_bytes(config_get(&b->config, "net-hw", ""), c.hw, 6) ||
	    !hex_bytes(config_get(&b->config, "net-resolver", ""), c.resolver.b, 16))
		boot_fail(b, 125, "bad configuration of the network");
	ret = net_nat_add(st, &c, &ifindex);
	if (ret < 0)
		boot_fail(b, 125, "cannot make the network interface %s: %s", name, strerror(-ret));
	wrong = add_addresses(&b->config, st, ifindex, name);
	if (!wrong)
		wrong = add_routes(&b->config, st, ifindex, "net-gateway", true);
	if (wrong)
		boot_fail(b, 125, "cannot make the network interface %s: %s", name, wrong);
	net_stack_get(st); /* the thread's, for ever */
	ret = thread_start(nat_loop, st, "sbx-nat");
	if (ret < 0)
		boot_fail(b, 125, "cannot start the network's thread: %s", strerror(-ret));
}

void boot_net(struct boot *b, struct net_stack *st)
{
	const char *wrong;
	int fd = (int)config_get_u64(&b->config, "net-fd", 0);

	if (config_get(&b->config, "net-control-fd", NULL)) {
		boot_nat(b, st);
		return;
	}
	if (!fd)
		return;
	b->links = make_links(st);
	if (!b->links)
		boot_fail(b, 125, "out of memory");
	wrong = add_link(b->links, &b->config, fd, (int)config_get_u64(&b->config, "net-pcap-fd", 0));
	if (wrong)
		boot_fail(b, 125, "cannot make the network interface: %s", wrong);
	if (thread_start(poll_loop, b->links, "sbx-net") < 0)
		boot_fail(b, 125, "cannot start the network's thread");
}

/* One link: a configuration and its socket, which is taken; the configuration's descriptor stays the caller's.
 */
static int add_given(struct net_links *l, int config_fd, int fd, struct reason *why)
{
	struct config c = {0};
	const char *wrong = "bad configuration";

	if (config_open(&c, config_fd) < 0) {
		hc_close(fd);
	} else {
		wrong = add_link(l, &c, fd, 0);
		munmap((void *)(uintptr_t)c.data, c.size);
	}
	return wrong ? reason_set(why, 125, "cannot make the network interface: %s", wrong) : 0;
}

int boot_net_add(struct boot *b, const int *fds, size_t count, uint64_t what, struct reason *why)
{
	size_t links = what & CONTROL_START_LINKS, used = 0;
	bool dns = what & CONTROL_START_DNS;
	int ret = 0;

	if (2 * links + dns > count || b->links) {
		for (size_t i = 0; i < count; i++)
			hc_close(fds[i]);
		return reason_set(why, 125, "the request to start is malformed");
	}
	if (!links && !dns)
		return 0;
	b->links = make_links(b->net);
	if (!b->links)
		ret = reason_set(why, 125, "out of memory");
	for (; used < 2 * links && ret == 0; used += 2) {
		ret = add_given(b->links, fds[used], fds[used + 1], why);
		hc_close(fds[used]);
	}
	if (ret == 0 && dns) {
		b->links->dns = dns_create(b->net, fds[used++], kick, b->links);
		if (!b->links->dns)
			ret = reason_set(why, 125, "cannot take over the name server at 127.0.0.11");
	}
	if (ret == 0 && thread_start(poll_loop, b->links, "sbx-net") < 0)
		ret = reason_set(why, 125, "cannot start the network's thread");
	return ret; /* a failure ends the sandbox; the rest of fds is only held */
}
