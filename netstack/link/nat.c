/* nat.c: a NAT as the way out: how it becomes an interface, its events, its shares of bandwidth. */
#include "netstack/link/nat.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "netstack/core/attach.h"
#include "platform/base/clock.h"
#include "platform/base/log.h"
#include "platform/host/hostcall.h"

#define EVENTS	    32
#define SHARE_NS    (NSEC_PER_SEC / 10)
#define REFILL_MS   5
#define PARK_NS	    (3 * NSEC_PER_SEC)
#define PARK_MS	    20
#define DGRAM_BATCH 64

/* ---- buffers between guest and host ---- */

uint8_t *nat_bounce_get(struct nat *n, int *which)
{
	for (uint32_t i = 0; i < NAT_BUFFERS; i++) {
		if (__atomic_fetch_or(&n->taken, 1u << i, __ATOMIC_ACQUIRE) & 1u << i)
			continue;
		if (!n->bounce[i])
			n->bounce[i] = kmalloc(NAT_BOUNCE);
		if (n->bounce[i]) {
			*which = (int)i;
			return n->bounce[i];
		}
		__atomic_fetch_and(&n->taken, ~(1u << i), __ATOMIC_RELEASE);
	}
	*which = -1;
	return kmalloc(NAT_BOUNCE);
}

void nat_bounce_put(struct nat *n, uint8_t *buf, int which)
{
	if (which < 0)
		kfree(buf);
	else
		__atomic_fetch_and(&n->taken, ~(1u << which), __ATOMIC_RELEASE);
}

/* ---- rates ---- */

static void fill_locked(struct nat_rate *r)
{
	uint64_t now = clock_monotonic_ns(), most = MAX(r->rate / 10, 1500ULL), more;

	if (!r->when)
		r->left = most;
	more = r->when ? (uint64_t)((unsigned __int128)(now - r->when) * r->rate / NSEC_PER_SEC) : 0;
	if (more || !r->when) {
		r->left = MIN(r->left + more, most);
		r->when = now;
	}
}

uint64_t nat_rate_take(struct nat *n, struct nat_rate *r, uint64_t want)
{
	if (LIKELY(!r->rate))
		return want;
	mutex_lock(&n->lock);
	fill_locked(r);
	want = MIN(want, r->left);
	r->left -= want;
	mutex_unlock(&n->lock);
	return want;
}

void nat_rate_give_back(struct nat *n, struct nat_rate *r, uint64_t n_bytes)
{
	if (LIKELY(!r->rate || !n_bytes))
		return;
	mutex_lock(&n->lock);
	r->left += n_bytes;
	mutex_unlock(&n->lock);
}

bool nat_rate_empty(struct nat *n, struct nat_rate *r)
{
	bool empty;

	if (LIKELY(!r->rate))
		return false;
	mutex_lock(&n->lock);
	fill_locked(r);
	empty = !r->left;
	mutex_unlock(&n->lock);
	return empty;
}

/* ---- events ---- */

void nat_kick(struct nat *n)
{
	uint64_t one = 1;

	(void)hc_write(n->kick, &one, sizeof(one));
}

/* The next message; *fd: the descriptor that came along, or -1. */
static ssize_t receive(int sock, void *buf, size_t size, int *fd)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {buf, size};
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	ssize_t n = hc_recvmsg(sock, &m, MSG_DONTWAIT);
	struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;

	*fd = -1;
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
	    c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(fd, CMSG_DATA(c), sizeof(int));
	return n;
}

static void lost(struct nat *n)
{
	if (__atomic_exchange_n(&n->dead, true, __ATOMIC_ACQ_REL))
		return;
	log_warn("sbx-net is gone: nothing new can be reached");
	(void)hc_epoll_ctl(n->ep, EPOLL_CTL_DEL, n->ctl, NULL);
	(void)hc_epoll_ctl(n->ep, EPOLL_CTL_DEL, n->dgram, NULL);
	nat_fail_pending(n);
}

static void park(struct nat *n, const struct nat_msg *m, int fd)
{
	if (n->parked_count == NAT_PARKED) {
		nat_reset(fd);
		return;
	}
	n->parked[n->parked_count++] =
		(struct nat_parked){.m = *m, .fd = fd, .until = clock_monotonic_ns() + PARK_NS};
}

static void try_parked(struct nat *n)
{
	uint64_t now = clock_monotonic_ns();
	uint32_t kept = 0;

	for (uint32_t i = 0; i < n->parked_count; i++) {
		struct nat_parked *p = &n->parked[i];

		if (nat_accepted(n, &p->m, p->fd))
			continue;
		if (p->until < now)
			nat_reset(p->fd);
		else
			n->parked[kept++] = *p;
	}
	n->parked_count = kept;
}

static void take_control(struct nat *n)
{
	struct nat_msg m;
	ssize_t got;
	int fd;

	while ((got = receive(n->ctl, &m, sizeof(m), &fd)) == (ssize_t)sizeof(m)) {
		switch (m.type) {
		case NAT_CONNECTED:
			nat_connected(n, &m, fd);
			break;
		case NAT_ACCEPTED:
			if (fd >= 0 && !nat_accepted(n, &m, fd))
				park(n, &m, fd);
			break;
		default:
			if (fd >= 0)
				(void)hc_close(fd);
		}
	}
	if (got != -EAGAIN && got != -EINTR)
		lost(n);
}

static void take_datagrams(struct nat *n)
{
	struct nat_msg m;
	ssize_t got = 0;
	int fd;

	for (uint32_t i = 0; i < DGRAM_BATCH; i++) {
		got = receive(n->dgram, n->packet, sizeof(m) + NAT_DGRAM_MAX, &fd);
		if (fd >= 0)
			(void)hc_close(fd);
		if (got < (ssize_t)sizeof(m))
			break;
		memcpy(&m, n->packet, sizeof(m));
		nat_dgram_input(n, &m, n->packet + sizeof(m), (uint32_t)got - (uint32_t)sizeof(m));
	}
	if (got == 0)
		lost(n);
}

static int timeout_ms(struct nat *n)
{
	bool throttled;

	mutex_lock(&n->lock);
	throttled = n->throttled;
	mutex_unlock(&n->lock);
	return throttled ? REFILL_MS : n->parked_count ? PARK_MS : -1;
}

void net_nat_poll(struct net_stack *st)
{
	struct nat *n = nat_of(st);
	struct epoll_event ev[EVENTS];
	uint64_t drained;
	int count = hc_epoll_pwait(n->ep, ev, EVENTS, timeout_ms(n));

	for (int i = 0; i < count; i++) {
		switch (ev[i].data.u64) {
		case NAT_TAG_CTL:
			take_control(n);
			break;
		case NAT_TAG_DGRAM:
			take_datagrams(n);
			break;
		case NAT_TAG_KICK:
			(void)hc_read(n->kick, &drained, sizeof(drained));
			break;
		default:
			nat_conn_event(n, ev[i].data.u64, ev[i].events);
		}
	}
	nat_feed(n);
	if (n->parked_count)
		try_parked(n);
}

/* ---- its life ---- */

static void stop(struct net_stack *st)
{
	struct nat *n = nat_of(st);
	int fds[] = {n->ctl, n->dgram, n->ep, n->kick};

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		if (fds[i] >= 0)
			(void)hc_close(fds[i]);
	for (uint32_t i = 0; i < NAT_BUFFERS; i++)
		kfree(n->bounce[i]);
	pcap_destroy(n->pcap);
	kfree(n->slots);
	kfree(n->packet);
	kfree(n->ip_packet);
	kfree(n);
}

const struct net_wire_ops nat_wire_ops = {
	.output = nat_output,
	.connect = nat_connect,
	.send = nat_send,
	.recv = nat_recv,
	.ready = nat_ready,
	.shutdown = nat_shutdown,
	.close = nat_close,
	.destroy = nat_destroy,
	.info = nat_info,
	.inq = nat_inq,
	.outq = nat_outq,
	.at_mark = nat_at_mark,
	.options_changed = nat_options_changed,
	.pull_error = nat_pull_error,
	.stop = stop,
};

static int watch(struct nat *n, int fd, uint64_t tag)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = tag};

	return hc_epoll_ctl(n->ep, EPOLL_CTL_ADD, fd, &ev);
}

static int open_all(struct nat *n, const struct net_nat_config *c)
{
	int ret = 0;

	if (c->pcap_fd > 0)
		ret = pcap_create(c->pcap_fd, false, &n->pcap);
	if (ret < 0)
		return ret;
	n->ep = hc_epoll_create();
	n->kick = hc_eventfd(0, EFD_NONBLOCK);
	if (n->ep < 0 || n->kick < 0)
		return n->ep < 0 ? n->ep : n->kick;
	n->slots = kmalloc(NAT_CONNS * sizeof(*n->slots));
	n->packet = kmalloc(sizeof(struct nat_msg) + NAT_DGRAM_MAX);
	n->ip_packet = kmalloc(NAT_DGRAM_MAX + 8);
	if (!n->slots || !n->packet || !n->ip_packet)
		return -ENOMEM;
	ret = watch(n, n->ctl, NAT_TAG_CTL);
	if (ret == 0)
		ret = watch(n, n->dgram, NAT_TAG_DGRAM);
	return ret == 0 ? watch(n, n->kick, NAT_TAG_KICK) : ret;
}

int net_nat_add(struct net_stack *st, const struct net_nat_config *c, uint32_t *ifindex)
{
	struct nat *n = kmalloc(sizeof(*n));
	int ret;

	if (!n || st->wire) {
		kfree(n);
		return n ? -EEXIST : -ENOMEM;
	}
	n->st = st;
	n->ctl = c->ctl_fd;
	n->dgram = c->dgram_fd;
	n->ep = n->kick = -1;
	n->in.rate = c->rate_in;
	n->out.rate = c->rate_out;
	mutex_init(&n->lock, RANK_NET_WIRE);
	st->nat = n;
	st->resolver = c->resolver;
	__atomic_store_n(&st->wire, &nat_wire_ops, __ATOMIC_RELEASE);
	ret = open_all(n, c);
	if (ret == 0)
		ret = stack_add_iface(st, c->name, c->mtu, c->hw, &n->ifindex);
	if (ret == 0)
		*ifindex = n->ifindex;
	return ret;
}

bool net_nat_counters(struct net_stack *st, struct net_nat_counters *out)
{
	if (st->wire != &nat_wire_ops)
		return false;
	*out = nat_of(st)->counters;
	return true;
}
