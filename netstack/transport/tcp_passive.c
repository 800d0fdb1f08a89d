/* tcp_passive.c: passive opens: half-open connections, SYN cookies when there are too many (RFC 4987 3.6), and
 * segments that belong to no connection. A cookie's sequence number holds a keyed hash of the names and the
 * minute, and the peer's segment size; what else its SYN said comes back in the time stamp. */
#include "netstack/transport/tcp_conn.h"

#define COOKIE_NS     (60000 * MS)
#define COOKIE_AGE    2u
#define COOKIE_TSMASK 63u

static const uint16_t cookie_mss[8] = {536, 1220, 1300, 1380, 1440, 1460, 4312, 8960};

static uint32_t cookie_hash(struct wire *w, const struct net_name *l, const struct net_name *r, uint32_t irs,
			    uint32_t minute)
{
	uint64_t h = conn_hash(w, w->secret[1] ^ minute ^ (uint64_t)irs << 32, l, r);

	return (uint32_t)(hash_u64(h) >> 40); /* 24 bits */
}

static uint32_t cookie_make(struct wire *w, const struct net_name *l, const struct net_name *r,
			    const struct seg_in *s)
{
	uint32_t minute = (uint32_t)(s->now / COOKIE_NS), mss = s->o.mss ? s->o.mss : TCP_MSS_DEFAULT4, i = 7;

	while (i && cookie_mss[i] > mss)
		i--;
	return (minute & 31) << 27 | i << 24 | cookie_hash(w, l, r, s->seq, minute);
}

/* The peer's segment size, 0: no cookie of ours. */
static uint16_t cookie_check(struct wire *w, const struct net_name *l, const struct net_name *r,
			     const struct seg_in *s)
{
	uint32_t cookie = s->h.ack - 1, minute = (uint32_t)(s->now / COOKIE_NS),
		 age = (minute - (cookie >> 27)) & 31;

	if (age > COOKIE_AGE || (cookie & 0xffffff) != cookie_hash(w, l, r, s->seq - 1, minute - age))
		return 0;
	return cookie_mss[cookie >> 24 & 7];
}

/* Bits of the time stamp: window scale (15: none), SACK, ECN. */
static uint32_t cookie_stamp(const struct seg_in *s)
{
	uint32_t ts = (uint32_t)(s->now / MS) & ~COOKIE_TSMASK;

	return ts | (s->o.has_wscale ? s->o.wscale : 15u) | (s->o.sack_ok ? 16u : 0);
}

static int make_conn(struct wire *w, void *listener, const struct net_name *local,
		     const struct net_name *remote, struct tcp_conn **out)
{
	static const struct tcp_cfg none;
	struct tcp_conn *c;
	int ret = conn_new(w, local, remote, &none, &c);

	if (ret < 0)
		return ret;
	w->up->listener_config(listener, c);
	c->local = *local;
	c->remote = *remote;
	if (net_addr_linklocal6(&remote->addr))
		c->remote.scope = remote->scope;
	ret = conn_route(c);
	if (ret < 0) {
		conn_put(c);
		return ret;
	}
	c->listener = listener;
	conn_init_windows(c);
	*out = c;
	return 0;
}

static void from_syn(struct tcp_conn *c, const struct seg_in *s, uint32_t irs)
{
	c->has_ts = s->o.has_ts;
	c->sack_ok = s->o.sack_ok;
	c->has_wscale = s->o.has_wscale;
	c->irs = irs;
	c->rcv_nxt = c->rcv_read = irs + 1;
	c->last_ack_sent = c->rcv_nxt;
	c->rcv_adv = c->rcv_nxt + MIN(c->rcvbuf, 65535u);
	if (s->o.mss)
		c->peer_mss = MAX(s->o.mss, 64u);
	if (c->has_wscale)
		c->snd_wscale = s->o.wscale;
	else
		c->rcv_wscale = 0;
	if (c->has_ts) {
		c->ts_recent = s->o.tsval;
		c->ts_recent_ns = s->now;
	}
	conn_update_mss(c);
}

static void start_sending(struct tcp_conn *c, uint32_t iss)
{
	c->iss = iss;
	c->snd_una = c->snd_nxt = iss;
	c->snd_end = c->snd_up = c->snd_sml = iss + 1;
	cc_init(c);
}

static void send_cookie(struct wire *w, const struct ip_in *in, const struct seg_in *s,
			const struct net_name *local, const struct net_name *remote)
{
	struct route r;
	uint32_t mtu, head = in->p.v6 ? 60 : 40;

	if (w->up->route(w->up_arg, &in->p.src, 0, &r) < 0)
		return;
	mtu = ip_path_mtu(w, &in->p.src, &r);
	tcp_send_cookie(w, in, s, cookie_make(w, local, remote, s), cookie_stamp(s), (uint16_t)(mtu - head),
			65535, TCP_WSCALE);
}

/* A SYN for a listener, whose reference is taken. */
static void syn_in(struct wire *w, const struct ip_in *in, struct seg_in *s, void *listener,
		   const struct net_name *local, const struct net_name *remote)
{
	struct tcp_conn *c;

	if (w->up->listener_full(listener)) {
		WCOUNT(w, tcp_listen_overflow);
		goto drop;
	}
	if (__atomic_load_n(&w->half_open, __ATOMIC_RELAXED) >= w->cookie_after) {
		send_cookie(w, in, s, local, remote);
		goto drop;
	}
	if (make_conn(w, listener, local, remote, &c) < 0) {
		WCOUNT(w, tcp_syn_dropped);
		goto drop;
	}
	mutex_lock(&c->lock);
	from_syn(c, s, s->seq);
	c->ecn = w->ecn && (s->h.flags & (TCP_ECE | TCP_CWR)) == (TCP_ECE | TCP_CWR) && !(s->ecn);
	start_sending(c, conn_isn(w, local, remote, s->now));
	c->snd_wnd = c->max_wnd = s->h.window;
	c->snd_wl1 = s->seq;
	c->state = NET_SYN_RECV;
	__atomic_add_fetch(&w->half_open, 1, __ATOMIC_RELAXED);
	if (conn_insert(c) < 0) { /* another one was faster */
		conn_done(c, 0);
	} else {
		conn_send_syn(c, s->now);
		conn_arm_rexmit(c, s->now);
		conn_arm(c);
	}
	conn_unlock(c);
	conn_put(c);
	return;
drop:
	w->up->listener_put(listener);
}

/* An ACK for a listener: perhaps of a cookie. Takes the reference. */
static void cookie_in(struct wire *w, const struct ip_in *in, struct seg_in *s, void *listener,
		      const struct net_name *local, const struct net_name *remote)
{
	struct seg_in syn = {.now = s->now, .seq = s->seq - 1};
	uint16_t mss = cookie_check(w, local, remote, s);
	struct tcp_conn *c;
	bool ok;

	if (!mss || make_conn(w, listener, local, remote, &c) < 0) {
		w->up->listener_put(listener);
		if (!mss)
			tcp_answer_rst(w, in, s);
		return;
	}
	WCOUNT(w, tcp_syn_cookies_ok);
	syn.o.mss = mss;
	if (s->o.has_ts) {
		syn.o.has_ts = true;
		syn.o.tsval = s->o.tsval;
		syn.o.sack_ok = s->o.tsecr & 16;
		syn.o.has_wscale = (s->o.tsecr & 15) != 15;
		syn.o.wscale = (uint8_t)MIN(s->o.tsecr & 15, (uint32_t)TCP_WSCALE_MAX);
	}
	mutex_lock(&c->lock);
	from_syn(c, &syn, syn.seq);
	if (c->has_wscale)
		c->rcv_wscale = TCP_WSCALE; /* as the cookie's SYN-ACK said */
	if (s->o.has_ts)
		c->ts_offset = s->o.tsecr - (uint32_t)(s->now / MS); /* its clock goes on from there */
	start_sending(c, s->h.ack - 1);
	c->snd_una = c->snd_nxt = s->h.ack;
	s->window = (uint32_t)s->h.window << c->snd_wscale;
	c->snd_wnd = c->max_wnd = s->window;
	c->snd_wl1 = s->seq;
	c->snd_wl2 = s->h.ack;
	c->state = NET_SYN_RECV;
	__atomic_add_fetch(&w->half_open, 1, __ATOMIC_RELAXED);
	ok = conn_insert(c) == 0;
	if (ok)
		ok = conn_join(c, s->now);
	if (ok) {
		conn_data_in(c, s);
		conn_push(c, s->now);
	} else if (c->state == NET_SYN_RECV) {
		conn_done(c, 0); /* the peer's next ACK is a cookie again */
	}
	conn_unlock(c);
	conn_put(c);
}

bool conn_join(struct tcp_conn *c, uint64_t now)
{
	void *listener = c->listener;
	int ret;

	c->joining = true;
	__atomic_store_n(&c->state, NET_ESTABLISHED, __ATOMIC_RELEASE);
	conn_established(c, now);
	c->events = 0;
	mutex_unlock(&c->lock);
	ret = c->w->up->child(listener, c);
	mutex_lock(&c->lock);
	c->joining = false;
	if (ret == 0) {
		__atomic_sub_fetch(&c->w->half_open, 1, __ATOMIC_RELAXED);
		c->listener = NULL;
		mutex_unlock(&c->lock);
		c->w->up->listener_put(listener);
		mutex_lock(&c->lock);
		return c->state != NET_CLOSE;
	}
	if (c->state == NET_ESTABLISHED) {
		__atomic_store_n(&c->state, NET_SYN_RECV, __ATOMIC_RELEASE);
	} else { /* it was reset meanwhile */
		__atomic_sub_fetch(&c->w->half_open, 1, __ATOMIC_RELAXED);
		return false;
	}
	if (ret == -EAGAIN) { /* as if the ACK had been lost */
		WCOUNT(c->w, tcp_listen_overflow);
		c->t_kind = TK_RTO;
		c->t_keep = TIMER_NEVER;
		c->t_rexmit = now + TCP_RTO_INIT;
		return false;
	}
	conn_send_rst(c, now);
	conn_done(c, 0);
	return false;
}

void tcp_passive(struct wire *w, const struct ip_in *in, struct seg_in *s)
{
	struct net_name local = {.addr = in->p.dst, .port = s->h.dport},
			remote = {.addr = in->p.src, .port = s->h.sport};
	void *listener;

	if (s->h.flags & TCP_RST)
		return;
	if (net_addr_linklocal6(&remote.addr))
		remote.scope = local.scope = in->p.ifindex;
	listener = w->up->listener(w->up_arg, &local, &remote, in->p.ifindex);
	if (!listener) {
		tcp_answer_rst(w, in, s);
		return;
	}
	if ((s->h.flags & (TCP_SYN | TCP_ACK)) == TCP_SYN && !(s->h.flags & TCP_FIN)) {
		syn_in(w, in, s, listener, &local, &remote);
	} else if ((s->h.flags & (TCP_SYN | TCP_ACK)) == TCP_ACK) {
		cookie_in(w, in, s, listener, &local, &remote);
	} else {
		w->up->listener_put(listener);
		if (s->h.flags & TCP_ACK)
			tcp_answer_rst(w, in, s);
	}
}
