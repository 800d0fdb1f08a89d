/* netpair.c: network stacks without a network. */
#include "tests/harness/netpair.h"

#include <criterion/criterion.h>

#include "netstack/proto/ip4.h"
#include "netstack/proto/ip6.h"
#include "netstack/proto/udp.h"

#define IFINDEX 2

uint32_t netsim_random(struct netsim *s, uint32_t below)
{
	s->random = s->random * 6364136223846793005UL + 1442695040888963407UL;
	return below ? (uint32_t)(s->random >> 33) % below : 0;
}

static uint64_t sim_clock(void *arg)
{
	return ((struct netsim *)arg)->now;
}

/* ---- the upper half ---- */

static bool up_is_local(void *arg, const struct net_addr *a)
{
	struct nethost *h = arg;

	return net_addr_eq(a, &h->addr4) || net_addr_eq(a, &h->addr6) || net_addr_eq(a, &h->ll6);
}

static int up_route(void *arg, const struct net_addr *dst, uint32_t oif, struct route *out)
{
	struct nethost *h = arg;

	(void)oif;
	*out = (struct route){.ifindex = IFINDEX, .mtu = 65536, .local = up_is_local(arg, dst)};
	out->src = net_addr_is4(dst) ? h->addr4 : net_addr_linklocal6(dst) ? h->ll6 : h->addr6;
	if (net_addr_is4(dst) && dst->b[12] != 10) { /* elsewhere: behind host 2 */
		out->has_gateway = true;
		out->gateway = h->addr4;
		out->gateway.b[15] = 2;
	}
	return 0;
}

static bool up_source(void *arg, uint32_t ifindex, bool v4, struct net_addr *out)
{
	struct nethost *h = arg;

	(void)ifindex;
	*out = v4 ? h->addr4 : h->ll6;
	return true;
}

static void up_deliver(void *arg, const struct ip_packet *p)
{
	struct nethost *h = arg;

	if (p->protocol == PROTO_ICMP6) /* neighbour discovery's are no datagrams of a test */
		return;
	h->got = *p;
	memcpy(h->got_data, p->data, p->len);
	h->got.data = h->got_data;
	h->got_count++;
}

static void up_error(void *arg, const struct icmp_error *e)
{
	struct nethost *h = arg;

	h->error = *e;
	h->error_count++;
}

static void *up_listener(void *arg, const struct net_name *local, const struct net_name *remote,
			 uint32_t ifindex)
{
	struct nethost *h = arg;

	(void)remote;
	(void)ifindex;
	for (int i = 0; i < 4; i++) {
		if (h->listen[i].port && h->listen[i].port == local->port) {
			h->listen[i].refs++;
			return &h->listen[i];
		}
	}
	return NULL;
}

static void up_listener_put(void *l)
{
	((struct netlisten *)l)->refs--;
}

static bool up_full(void *l)
{
	return ((struct netlisten *)l)->full;
}

static void up_config(void *l, struct tcp_conn *c)
{
	c->cfg = ((struct netlisten *)l)->cfg;
}

static int up_child(void *arg, struct tcp_conn *c)
{
	struct netlisten *l = arg;
	struct netuser *u;

	if (l->full)
		return -EAGAIN;
	if (l->refuses)
		return -ECONNREFUSED;
	u = kmalloc(sizeof(*u));
	cr_assert(u);
	u->host = c->w->up_arg;
	u->conn = conn_get(c);
	u->next = l->accepted;
	l->accepted = u;
	l->count++;
	c->user = u;
	return 0;
}

static void up_event(void *user, struct tcp_conn *c, uint32_t events)
{
	struct netuser *u = user;

	(void)c;
	u->events |= events;
}

static const struct wire_up test_up = {
	.route = up_route,
	.is_local = up_is_local,
	.source = up_source,
	.deliver = up_deliver,
	.icmp_error = up_error,
	.listener = up_listener,
	.listener_put = up_listener_put,
	.listener_full = up_full,
	.listener_config = up_config,
	.child = up_child,
	.event = up_event,
};

/* ---- the cable ---- */

static struct netframe *frame_of(const struct pkt *p)
{
	struct netframe *f = kmalloc(sizeof(*f) + pkt_len(p));
	uint32_t n = PKT_ROOM - p->start;

	cr_assert(f);
	memcpy(f->data, p->room + p->start, n);
	for (uint32_t i = 0; i < p->piece_count; i++) {
		memcpy(f->data + n, p->pieces[i].iov_base, p->pieces[i].iov_len);
		n += (uint32_t)p->pieces[i].iov_len;
	}
	f->len = n;
	return f;
}

static void queue_by_time(struct list *q, struct netframe *f)
{
	struct netframe *o;

	for (o = list_last(q, struct netframe, node); o && o->at > f->at;
	     o = o->node.prev == q ? NULL : list_entry(o->node.prev, struct netframe, node))
		;
	list_add(o ? &o->node : q, &f->node);
}

static bool hits(struct netsim *s, uint32_t chance)
{
	return chance && netsim_random(s, 10000) < chance;
}

static void travel(struct nethost *to, struct netframe *f)
{
	struct nethazard *z = &to->hazard;
	struct netsim *s = to->sim;
	struct netframe *again;

	if (hits(s, z->lose) || (z->drop_above && f->len > z->drop_above)) {
		to->frames_lost++;
		kfree(f);
		return;
	}
	f->at = s->now;
	if (z->rate) {
		uint64_t start = MAX(to->line_free, s->now), wait = start - s->now;

		if (wait * z->rate / 1000000000UL > (uint64_t)(z->queue ? z->queue : 1000) * 1500) {
			to->frames_lost++;
			kfree(f);
			return;
		}
		to->line_free = start + f->len * 1000000000UL / z->rate;
		f->at = to->line_free;
	}
	f->at += z->delay_ns;
	if (hits(s, z->reorder))
		f->at += 1 + z->reorder_ns;
	if (hits(s, z->damage) && f->len > 20)
		f->data[14 + netsim_random(s, f->len - 14)] ^= (uint8_t)(1u << netsim_random(s, 8));
	if (hits(s, z->repeat)) {
		again = kmalloc(sizeof(*again) + f->len);
		cr_assert(again);
		memcpy(again, f, sizeof(*f) + f->len);
		again->at += 1;
		queue_by_time(&to->in, again);
	}
	queue_by_time(&to->in, f);
}

static int cable_send(struct link *l, const struct pkt *p)
{
	struct nethost *h = l->priv;
	struct netframe *f = frame_of(p);

	if (h->peer)
		travel(h->peer, f);
	else
		list_add_tail(&h->out, &f->node);
	return 0;
}

static int cable_receive(struct link *l, uint32_t budget)
{
	(void)l;
	(void)budget;
	return 0;
}

static void cable_close(struct link *l)
{
	kfree(l);
}

static const struct link_ops cable_ops = {cable_send, cable_receive, cable_close};

/* ---- hosts ---- */

void netsim_init(struct netsim *s, uint64_t seed)
{
	cr_assert_eq(arena_init(), 0);
	s->now = 1000000000000UL;
	s->random = seed;
	list_init(&s->hosts);
}

struct nethost *nethost_create(struct netsim *s, uint8_t n, uint32_t features, uint32_t mtu)
{
	struct nethost *h = kmalloc(sizeof(*h));

	cr_assert(h);
	h->sim = s;
	list_init(&h->in);
	list_init(&h->out);
	h->addr4 = net_addr4(0);
	h->addr4.b[12] = 10;
	h->addr4.b[15] = n;
	h->addr6 = (struct net_addr){.b = {0xfd, [15] = n}};
	h->ll6 = (struct net_addr){.b = {0xfe, 0x80, [15] = n}};
	cr_assert_eq(wire_create(&test_up, h, sim_clock, s, &h->w), 0);
	h->l = kmalloc(sizeof(*h->l));
	cr_assert(h->l);
	h->l->ops = &cable_ops;
	h->l->ifindex = IFINDEX;
	h->l->features = features;
	h->l->mtu = mtu;
	h->l->fd = -1;
	h->l->priv = h;
	memcpy(h->l->hw, (uint8_t[]){2, 0, 0, 0, 0, n}, 6);
	cr_assert_eq(wire_attach(h->w, h->l), 0);
	list_add_tail(&s->hosts, &h->node);
	return h;
}

void netpair_connect(struct nethost *a, struct nethost *b)
{
	a->peer = b;
	b->peer = a;
}

static void drop_frames(struct list *q)
{
	struct netframe *f, *tmp;

	list_for_each_safe (f, tmp, q, node) {
		list_del(&f->node);
		kfree(f);
	}
}

void netsim_fini(struct netsim *s)
{
	struct nethost *h, *tmp;

	list_for_each_safe (h, tmp, &s->hosts, node) {
		wire_destroy(h->w);
		drop_frames(&h->in);
		drop_frames(&h->out);
		kfree(h);
	}
}

void nethost_frame(struct nethost *h, const uint8_t *frame, uint32_t n)
{
	uint8_t *copy = kmalloc(n); /* of its exact size, so that ASan sees who reads too far */

	cr_assert(copy);
	memcpy(copy, frame, n);
	wire_input(h->l, copy, n, (h->l->features & LINK_CSUM) != 0);
	kfree(copy);
}

static uint64_t next_of(struct nethost *h)
{
	struct netframe *f = list_first(&h->in, struct netframe, node);
	uint64_t t = wire_run_timers(h->w);

	return f && f->at < t ? f->at : t;
}

bool netsim_run(struct netsim *s, uint64_t ns, bool (*done)(void *arg), void *arg)
{
	uint64_t end = s->now + ns, next;
	struct nethost *h;
	struct netframe *f;

	for (;;) {
		list_for_each (h, &s->hosts, node) {
			while ((f = list_first(&h->in, struct netframe, node)) && f->at <= s->now) {
				list_del(&f->node);
				wire_input(h->l, f->data, f->len,
					   (h->l->features & LINK_CSUM) && !h->hazard.damage);
				kfree(f);
			}
			wire_run_timers(h->w);
		}
		if (done && done(arg))
			return true;
		next = UINT64_MAX;
		list_for_each (h, &s->hosts, node)
			next = MIN(next, next_of(h));
		if (next > end) {
			s->now = end;
			return false;
		}
		s->now = MAX(next, s->now);
	}
}

struct netlisten *nethost_listen(struct nethost *h, uint16_t port)
{
	for (int i = 0; i < 4; i++) {
		if (!h->listen[i].port) {
			h->listen[i].port = port;
			return &h->listen[i];
		}
	}
	cr_assert_fail("too many listeners");
	return NULL;
}

struct netuser *nethost_connect(struct nethost *h, struct nethost *to, uint16_t port, bool v6,
				const struct tcp_cfg *cfg)
{
	static const struct tcp_cfg none;
	struct netuser *u = kmalloc(sizeof(*u));
	struct net_name local = {.addr = v6 ? h->addr6 : h->addr4}, remote = {.port = port};
	struct route r;

	cr_assert(u);
	remote.addr = v6 ? h->addr6 : h->addr4;
	remote.addr.b[15] = to ? to->addr4.b[15] : 2;
	cr_assert_eq(up_route(h, &remote.addr, 0, &r), 0);
	u->host = h;
	local.port = (uint16_t)(40000 + netsim_random(h->sim, 20000));
	while (conn_connect(h->w, &local, &remote, &r, cfg ? cfg : &none, u, &u->conn) == -EADDRNOTAVAIL)
		local.port++;
	cr_assert(u->conn);
	return u;
}

void netuser_free(struct netuser *u)
{
	conn_put(u->conn);
	kfree(u);
}

uint8_t netuser_byte(uint64_t i)
{
	return (uint8_t)(i * 2654435761u >> 13 ^ i >> 8);
}

struct stream {
	struct net_io io;
	uint64_t at;
	bool wrong;
};

static ssize_t stream_out(struct net_io *io, void *buf, size_t n)
{
	struct stream *s = container_of(io, struct stream, io);
	uint8_t *p = buf;

	n = MIN(n, io->resid);
	for (size_t i = 0; i < n; i++)
		p[i] = netuser_byte(s->at++);
	io->resid -= n;
	return (ssize_t)n;
}

static ssize_t stream_check(struct net_io *io, void *buf, size_t n)
{
	struct stream *s = container_of(io, struct stream, io);
	uint8_t *p = buf;

	n = MIN(n, io->resid);
	for (size_t i = 0; i < n; i++)
		if (p[i] != netuser_byte(s->at++))
			s->wrong = true;
	io->resid -= n;
	return (ssize_t)n;
}

ssize_t netuser_send(struct netuser *u, uint64_t from, uint32_t n, uint32_t flags)
{
	struct stream s = {.io = {.move = stream_out, .resid = n}, .at = from};

	return conn_send(u->conn, &s.io, flags);
}

ssize_t netuser_recv(struct netuser *u, uint64_t at)
{
	struct stream s = {.io = {.move = stream_check, .resid = 1 << 20}, .at = at};
	bool oob = false;
	ssize_t n = conn_recv(u->conn, &s.io, 0, &oob);

	cr_assert_not(s.wrong, "bytes behind %lu are not those that were sent", (unsigned long)at);
	return n;
}

/* ---- one host alone ---- */

void nethost_know(struct nethost *h, const struct net_addr *a)
{
	neigh_learn(h->l, a, (uint8_t[]){2, 0, 0, 0, 0, 2}, true, true, true);
}

static void frame_around(struct nethost *h, uint8_t protocol, bool v6, uint8_t tos, uint8_t *buf, uint32_t n)
{
	static const uint8_t from[6] = {2, 0, 0, 0, 0, 2};
	struct net_addr src = v6 ? h->addr6 : h->addr4;
	struct ip4_hdr h4 = {.protocol = protocol, .ttl = 64, .tos = tos, .total = (uint16_t)(20 + n)};
	struct ip6_hdr h6 = {.next = protocol, .hops = 64, .tclass = tos, .payload = (uint16_t)n};

	src.b[15] = 2;
	eth_put(buf, h->l->hw, from, v6 ? ETH_P_IP6 : ETH_P_IP4);
	if (v6) {
		memcpy(h6.src, src.b, 16);
		memcpy(h6.dst, h->addr6.b, 16);
		ip6_put(buf + 14, &h6);
	} else {
		h4.src = src.w[3];
		h4.dst = h->addr4.w[3];
		ip4_put(buf + 14, &h4);
	}
}

void nethost_inject_ip(struct nethost *h, uint8_t protocol, bool v6, const uint8_t *data, uint32_t n)
{
	uint32_t head = 14 + (v6 ? 40 : 20);
	uint8_t *buf = kmalloc(head + n);

	cr_assert(buf);
	frame_around(h, protocol, v6, 0, buf, n);
	memcpy(buf + head, data, n);
	nethost_frame(h, buf, head + n);
	kfree(buf);
}

void nethost_inject(struct nethost *h, const struct netseg *s)
{
	uint32_t head = 14 + (s->v6 ? 40 : 20), opts, n;
	uint8_t *buf = kmalloc(head + 60 + s->len);
	struct tcp_hdr t = {.sport = s->sport,
			    .dport = s->dport,
			    .seq = s->seq,
			    .ack = s->ack,
			    .flags = s->flags,
			    .window = s->window,
			    .urgent = (uint16_t)s->urgent};
	struct net_addr src = s->v6 ? h->addr6 : h->addr4, dst = src;
	uint16_t sum;

	cr_assert(buf);
	src.b[15] = 2;
	opts = (uint32_t)tcp_put_opts(buf + head + 20, &s->o, s->flags & TCP_SYN);
	t.hlen = (uint8_t)(20 + opts);
	tcp_put(buf + head, &t);
	for (uint32_t i = 0; i < s->len; i++)
		buf[head + t.hlen + i] = netuser_byte(i);
	n = t.hlen + s->len;
	sum = csum_finish(csum_join(
		csum_pseudo(s->v6 ? src.b : src.b + 12, s->v6 ? dst.b : dst.b + 12, s->v6 ? 16 : 4, 6, n),
		csum_add(0, buf + head, n)));
	if (s->bad_checksum)
		sum ^= 0x10;
	memcpy(buf + head + 16, &sum, 2);
	frame_around(h, 6, s->v6, s->ecn, buf, n);
	nethost_frame(h, buf, head + n);
	kfree(buf);
}

struct netframe *nethost_sent(struct nethost *h)
{
	struct netframe *f = list_first(&h->out, struct netframe, node);

	if (f)
		list_del(&f->node);
	return f;
}

static bool parse_out(const struct netframe *f, struct netout *out)
{
	const uint8_t *p = f->data + 14;
	uint32_t n, pseudo;
	struct ip4_hdr h4;
	struct ip6_hdr h6;

	if (get_be16(f->data + 12) == ETH_P_IP4) {
		cr_assert(ip4_parse(p, f->len - 14, &h4));
		if (h4.protocol != 6)
			return false;
		n = h4.total - 20u;
		out->tos = h4.tos;
		out->df = h4.df;
		pseudo = csum_pseudo(&h4.src, &h4.dst, 4, 6, n);
		p += 20;
	} else if (get_be16(f->data + 12) == ETH_P_IP6) {
		cr_assert(ip6_parse(p, f->len - 14, &h6));
		if (h6.next != 6)
			return false;
		n = h6.payload;
		out->tos = h6.tclass;
		pseudo = csum_pseudo(h6.src, h6.dst, 16, 6, n);
		p += 40;
	} else {
		return false;
	}
	cr_assert(tcp_parse(p, n, &out->h));
	tcp_parse_opts(p + 20, out->h.hlen - 20u, &out->o);
	out->len = n - out->h.hlen;
	memcpy(out->data, p + out->h.hlen, out->len);
	out->checksum_ok = csum_finish(csum_join(pseudo, csum_add(0, p, n))) == 0;
	return true;
}

bool nethost_sent_tcp(struct nethost *h, struct netout *out)
{
	struct netframe *f;
	bool found = false;

	while (!found && (f = nethost_sent(h))) {
		found = parse_out(f, out);
		kfree(f);
	}
	return found;
}
