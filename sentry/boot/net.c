/* net.c: the link to the world outside, if sbx gave one: it becomes an interface of the first network
 * namespace, and a thread waits for its packets and for the stack's timers. What sbx says is in
 * sentry/oci/netdev.c. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "netstack/netstack.h"
#include "platform/base/arena.h"
#include "platform/base/clock.h"
#include "platform/base/log.h"
#include "platform/base/thread.h"
#include "platform/host/hostcall.h"
#include "sentry/boot/boot.h"
#include "sentry/kernel/timer.h"

struct net_poller {
	struct net_stack *st;
	uint32_t ifindex;
	int fd, kick;
};

static void kick(void *arg)
{
	struct net_poller *p = arg;
	uint64_t one = 1;

	(void)hc_write(p->kick, &one, sizeof(one));
}

static void poll_loop(void *arg)
{
	struct net_poller *p = arg;
	struct pollfd pf[2] = {{.fd = p->fd}, {.fd = p->kick, .events = POLLIN}};
	uint64_t deadline, now, drained;
	struct timespec ts;
	int ret;

	for (;;) {
		deadline = net_run_timers(p->st);
		now = clock_monotonic_ns();
		pf[0].events = (short)(POLLIN | (net_link_waits(p->st, p->ifindex) ? POLLOUT : 0));
		if (deadline != UINT64_MAX) {
			deadline = deadline > now ? deadline - now : 0;
			ts.tv_sec = (time_t)(deadline / NSEC_PER_SEC);
			ts.tv_nsec = (long)(deadline % NSEC_PER_SEC);
			ret = hc_ppoll(pf, 2, &ts, NULL);
		} else {
			ret = hc_ppoll(pf, 2, NULL, NULL);
		}
		if (ret <= 0)
			continue;
		if (pf[1].revents)
			(void)hc_read(p->kick, &drained, sizeof(drained));
		if (!pf[0].revents)
			continue;
		ret = net_link_ready(p->st, p->ifindex, pf[0].revents & (POLLIN | POLLERR | POLLHUP),
				     pf[0].revents & POLLOUT);
		if (ret < 0 && ret != -EAGAIN) {
			log_warn("the network link is gone: %d", -ret);
			pf[0].fd = -1; /* timers go on */
		}
	}
}

/* ---- stacks without a link of their own to the outside: the kernel's timer thread runs them ---- */

struct net_runner {
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
	timer_init(&r->timer, k->timers, run_stack);
	net_set_kick(st, kick_runner, r);
	net_set_release(st, release_runner);
	return true;
}

void boot_net_runner_stop(struct net_stack *st)
{
	struct net_runner *r = net_kick_arg(st);

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

static void add_addresses(struct boot *b, struct net_stack *st, uint32_t ifindex, const char *name)
{
	const char *v;
	size_t pos = 0;

	while ((v = config_next(&b->config, "net-addr", &pos))) {
		struct net_addr_info a = {.if_index = ifindex};

		if (!hex_bytes(v, a.addr.b, 16) || v[32] != '/')
			boot_fail(b, 125, "bad net-addr");
		a.prefix = (uint8_t)strtoul(v + 33, NULL, 10);
		a.scope = net_addr_linklocal6(&a.addr) ? 253 : 0;
		if (net_addr_is4(&a.addr))
			strncpy(a.label, name, NET_IF_MAX - 1);
		if (net_addr_add(st, &a) < 0)
			log_warn("an address of %s was not taken", name);
	}
	pos = 0;
	while ((v = config_next(&b->config, "net-gateway", &pos))) {
		struct net_route_info r = {.has_gateway = true, .type = 1, .protocol = 3, .if_index = ifindex};
		char *end;

		if (!hex_bytes(v, r.dst.b, 16) || v[32] != '/')
			boot_fail(b, 125, "bad net-gateway");
		r.prefix = (uint8_t)strtoul(v + 33, &end, 10);
		if (*end != ':' || !hex_bytes(end + 1, r.gateway.b, 16))
			boot_fail(b, 125, "bad net-gateway");
		r.v6 = !net_addr_is4(&r.gateway);
		if (net_route_add(st, &r) < 0)
			log_warn("a route by %s was not taken", name);
	}
}

void boot_net(struct boot *b, struct net_stack *st)
{
	const char *name = config_get(&b->config, "net-name", "eth0"),
		   *hw = config_get(&b->config, "net-hw", NULL);
	struct net_link_config c = {.name = name,
				    .fd = (int)config_get_u64(&b->config, "net-fd", 0),
				    .is_socket = true,
				    .ethernet = true,
				    .vnet_hdr = config_get(&b->config, "net-vnet", NULL) != NULL,
				    .mtu = (uint32_t)config_get_u64(&b->config, "net-mtu", 1500),
				    .pcap_fd = (int)config_get_u64(&b->config, "net-pcap-fd", 0)};
	struct net_poller *p;
	int ret;

	if (!c.fd)
		return;
	if (!hw || !hex_bytes(hw, c.hw, 6))
		boot_fail(b, 125, "bad net-hw");
	p = kmalloc(sizeof(*p));
	ret = p ? net_link_add(st, &c, &p->ifindex) : -ENOMEM;
	if (ret < 0)
		boot_fail(b, 125, "cannot make the network interface %s: %s", name, strerror(-ret));
	add_addresses(b, st, p->ifindex, name);
	p->st = st;
	p->fd = net_link_fd(st, p->ifindex);
	p->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->kick < 0)
		boot_fail(b, 125, "cannot make an eventfd: %s", strerror(errno));
	net_set_kick(st, kick, p);
	net_stack_get(st); /* the thread's, for ever */
	ret = thread_start(poll_loop, p, "sbx-net");
	if (ret < 0)
		boot_fail(b, 125, "cannot start the network's thread: %s", strerror(-ret));
}
