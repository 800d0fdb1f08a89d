/* tcp_out.c: segments on their way out: what to send and when (RFC 9293 3.8.6, 1122 4.2.3.4 Nagle and silly
 * windows), and how they are made. A burst of full segments leaves as one packet where the link cuts it up. */
#include "netstack/transport/tcp_conn.h"

#define BUSY_BYTES (256u * 1024)
#define RETRY_NS   (1 * MS)

int conn_route(struct tcp_conn *c)
{
	struct route r;
	int ret = c->w->up->route(c->w->up_arg, &c->remote.addr, c->remote.scope, &r);

	if (ret < 0 || r.local)
		return ret < 0 ? ret : -ENETUNREACH;
	c->route = r;
	return 0;
}

/* The window to tell: never less than was told before, and larger only by a worthwhile step (RFC
 * 9293 3.8.6.2.2). */
static uint16_t choose_window(struct tcp_conn *c, bool syn)
{
	uint32_t right = c->rcv_nxt + conn_rcv_room(c), step = MIN(c->rcvbuf / 2, MAX(c->rcv_mss, 1u)), win;
	uint8_t scale = syn ? 0 : c->rcv_wscale;

	if (seq_lt(right, c->rcv_adv + step) && !syn)
		right = c->rcv_adv;
	if (seq_lt(right, c->rcv_nxt))
		right = c->rcv_nxt;
	win = (right - c->rcv_nxt + (1u << scale) - 1) >> scale;
	win = MIN(win, 65535u);
	if (seq_gt(c->rcv_nxt + (win << scale), c->rcv_adv) || syn)
		c->rcv_adv = c->rcv_nxt + (win << scale);
	return (uint16_t)win;
}

static uint32_t fill_options(struct tcp_conn *c, uint8_t *to, uint8_t flags, uint64_t now)
{
	struct tcp_opts o = {0};
	bool syn = flags & TCP_SYN;

	if (c->has_ts) {
		o.has_ts = true;
		o.tsval = conn_ts_now(c, now);
		o.tsecr = flags & TCP_ACK ? c->ts_recent : 0;
	}
	if (syn) {
		uint32_t mtu = ip_path_mtu(c->w, &c->remote.addr, &c->route), head = c->v6 ? 60 : 40;

		o.mss = (uint16_t)MIN(mtu > head ? mtu - head : TCP_MSS_MIN, 65535u);
		if (c->cfg.maxseg)
			o.mss = (uint16_t)MIN((uint32_t)o.mss, c->cfg.maxseg);
		o.sack_ok = c->sack_ok;
		o.has_wscale = c->has_wscale;
		o.wscale = c->rcv_wscale;
	} else if (c->ooo_count || c->has_dsack) {
		o.sack_count = (uint8_t)conn_fill_sack(c, o.sack);
	}
	return (uint32_t)tcp_put_opts(to, &o, syn);
}

static uint8_t ecn_flags(struct tcp_conn *c, uint8_t flags, uint32_t len, bool retrans)
{
	uint8_t extra = 0;

	if (!c->ecn || (flags & (TCP_SYN | TCP_RST)))
		return 0;
	if (c->ece_out)
		extra |= TCP_ECE;
	if (len && c->cwr_out && !retrans) {
		extra |= TCP_CWR;
		c->cwr_out = false;
	}
	return extra;
}

static void put_csum(struct tcp_conn *c, struct pkt *p, uint32_t hlen)
{
	uint16_t sum;

	if (c->v6)
		sum = csum_fold(csum_pseudo(c->local.addr.b, c->remote.addr.b, 16, PROTO_TCP, pkt_len(p)));
	else
		sum = csum_fold(
			csum_pseudo(c->local.addr.b + 12, c->remote.addr.b + 12, 4, PROTO_TCP, pkt_len(p)));
	memcpy(pkt_head(p) + 16, &sum, 2);
	p->partial_csum = true;
	p->l4_len = (uint8_t)hlen;
	p->csum_at = 16;
}

/* Everything that leaves goes through here. */
static void emit(struct tcp_conn *c, uint32_t seq, uint32_t len, uint8_t flags, uint64_t now, bool retrans)
{
	struct ip_out o = {.src = c->local.addr,
			   .dst = c->remote.addr,
			   .protocol = PROTO_TCP,
			   .ttl = c->cfg.ttl,
			   .tos = c->cfg.tos & 0xfc,
			   .df = true,
			   .r = &c->route};
	struct tcp_hdr h = {.sport = c->local.port, .dport = c->remote.port, .seq = seq};
	uint8_t opts[TCP_OPT_MAX];
	uint32_t n = fill_options(c, opts, flags, now), at, part;
	struct pkt p;
	uint8_t *to;

	pkt_init(&p);
	for (at = seq; at != seq + len; at += part) {
		part = seq + len - at;
		to = bytebuf_at(&c->snd, at, &part);
		pkt_add(&p, to, part);
	}
	h.hlen = (uint8_t)(TCP_HLEN + n);
	h.flags = flags | ecn_flags(c, flags, len, retrans);
	h.window = flags & TCP_RST ? 0 : choose_window(c, flags & TCP_SYN);
	if (flags & TCP_ACK) {
		h.ack = c->rcv_nxt;
		c->last_ack_sent = c->rcv_nxt;
		c->ack_now = c->ack_due = false;
		c->unacked_in = 0;
		c->t_delack = TIMER_NEVER;
	}
	if (c->urgent_out && seq_gt(c->snd_up, seq) && c->snd_up - seq <= 0xffff && len) {
		h.flags |= TCP_URG;
		h.urgent = (uint16_t)(c->snd_up - seq);
	}
	memcpy(pkt_push(&p, n), opts, n);
	tcp_put(pkt_push(&p, TCP_HLEN), &h);
	if (len > c->mss)
		p.gso_size = (uint16_t)c->mss;
	put_csum(c, &p, h.hlen);
	if (c->ecn && len && !retrans)
		o.tos |= 2; /* ECT(0), never on what is sent again (RFC 3168 6.1.5) */
	c->segs_out++;
	WCOUNT(c->w, tcp_out);
	if (wire_ip_output(c->w, &p, &o) == -EMSGSIZE)
		conn_update_mss(c);
}

/* ---- without data ---- */

void conn_send_ack(struct tcp_conn *c, uint64_t now)
{
	emit(c, c->snd_nxt, 0, TCP_ACK, now, false);
}

void conn_send_probe(struct tcp_conn *c, uint64_t now)
{
	WCOUNT(c->w, tcp_probes);
	emit(c, c->snd_una - 1, 0, TCP_ACK, now, false);
}

void conn_send_rst(struct tcp_conn *c, uint64_t now)
{
	WCOUNT(c->w, tcp_rst_out);
	emit(c, c->snd_nxt, 0, c->state == NET_SYN_SENT ? TCP_RST : TCP_RST | TCP_ACK, now, false);
}

void conn_send_syn(struct tcp_conn *c, uint64_t now)
{
	uint8_t flags = c->state == NET_SYN_SENT ? TCP_SYN : TCP_SYN | TCP_ACK;
	struct rbnode *first;

	if (c->snd_nxt == c->iss) {
		if (!seg_add(c, c->iss, c->iss + 1, SEG_SYN, now))
			return; /* the timer tries again */
		c->snd_nxt = c->iss + 1;
		c->first_retry_ns = now;
	} else {
		first = rb_first(&c->segs);
		if (first) /* else it was acknowledged, but the listener had no room */
			seg_resent(c, rb_entry(first, struct tcp_seg, node), now);
		WCOUNT(c->w, tcp_retrans);
	}
	if (c->ecn && !c->retries)
		flags |= flags & TCP_ACK ? TCP_ECE : TCP_ECE | TCP_CWR;
	emit(c, c->iss, 0, flags, now, false);
}

/* ---- with data ---- */

static uint32_t burst_max(const struct tcp_conn *c)
{
	struct link *l = wire_link(c->w, c->route.ifindex);

	if (!l || !(l->features & LINK_TSO))
		return c->mss;
	return MAX(MIN(LINK_GSO_MAX, c->cc.cwnd / 2) / c->mss * c->mss, c->mss);
}

/* SACK blocks beside data make a full segment smaller. */
static uint32_t segment_max(const struct tcp_conn *c)
{
	uint32_t blocks = MIN(c->ooo_count, 3u);

	return blocks && c->sack_ok ? c->mss - MIN(c->mss / 2, 4 + 8 * blocks) : c->mss;
}

bool conn_retransmit(struct tcp_conn *c, struct tcp_seg *s, uint32_t max, uint64_t now)
{
	uint32_t len = s->end - s->start - !!(s->flags & SEG_FIN) - !!(s->flags & SEG_SYN),
		 most = MAX(burst_max(c), c->mss);
	bool fin;

	if (s->flags & SEG_SYN)
		return false;
	if (burst_max(c) == c->mss)
		most = segment_max(c);
	most = MIN(most, MAX(max, c->mss));
	if (len > most) {
		if (!seg_split(c, s, s->start + most))
			return false;
		len = most;
	}
	fin = s->flags & SEG_FIN;
	if (c->undo_ok && !c->undo_stamp)
		c->undo_stamp = MAX(conn_ts_now(c, now), 1u);
	seg_resent(c, s, now);
	c->total_retrans++;
	WCOUNT(c->w, tcp_retrans);
	emit(c, s->start, len, (uint8_t)(TCP_ACK | (fin ? TCP_FIN : 0) | (s->end == c->snd_end ? TCP_PSH : 0)),
	     now, true);
	if (c->ca == CA_RECOVERY)
		c->prr_out += len + fin;
	return true;
}

static bool retransmit_lost(struct tcp_conn *c, uint64_t now)
{
	struct tcp_seg *s;
	bool sent = false;
	uint32_t flight;

	while ((s = seg_first_lost(c))) {
		flight = conn_in_flight(c);
		if (flight && flight + MIN(c->mss, s->end - s->start) > c->cc.cwnd)
			break;
		if (!conn_retransmit(
			    c, s, c->cc.cwnd > flight ? (c->cc.cwnd - flight) / c->mss * c->mss : c->mss, now))
			break;
		sent = true;
	}
	return sent;
}

static void note_sent(struct tcp_conn *c, uint32_t n, bool fin, uint64_t now)
{
	c->snd_nxt += n + fin;
	c->fin_sent |= fin;
	c->bytes_sent += n;
	c->last_snd_ns = now;
	if (n < c->mss)
		c->snd_sml = c->snd_nxt;
	if (c->ca == CA_RECOVERY)
		c->prr_out += n + fin;
}

/* Sends n bytes of new data; false: no memory. */
static bool send_new(struct tcp_conn *c, uint32_t n, bool fin, uint64_t now)
{
	uint32_t seq = c->snd_nxt;
	uint8_t flags = TCP_ACK;

	if (!seg_add(c, seq, seq + n + fin, fin ? SEG_FIN : 0, now))
		return false;
	if (seq + n == c->snd_end)
		flags |= TCP_PSH;
	if (fin)
		flags |= TCP_FIN;
	emit(c, seq, n, flags, now, false);
	note_sent(c, n, fin, now);
	return true;
}

/* Nagle as Minshall has it: one small segment in flight at a time. */
static bool hold_small(struct tcp_conn *c, uint64_t now)
{
	if (c->urgent_out && seq_gt(c->snd_up, c->snd_nxt))
		return false;
	if (c->cfg.cork || c->more) {
		if (c->push_all)
			return false;
		if (c->t_cork == TIMER_NEVER)
			c->t_cork = now + TCP_CORK_NS;
		return true;
	}
	return !c->cfg.nodelay && seq_gt(c->snd_sml, c->snd_una);
}

/* How much of what is there may go in one packet now; *fin: and the end. 0 and no fin: nothing. */
static uint32_t how_much(struct tcp_conn *c, bool *fin, uint64_t now)
{
	uint32_t avail = c->snd_end - c->snd_nxt, wnd = c->snd_una + c->snd_wnd - c->snd_nxt, n, flight, room,
		 tail;
	uint32_t mss = segment_max(c);

	*fin = false;
	if ((int32_t)wnd < 0)
		wnd = 0;
	flight = conn_in_flight(c);
	if (flight >= c->cc.cwnd || (!avail && !c->fin_queued))
		return 0;
	room = c->cc.cwnd - flight;
	n = MIN(avail, wnd);
	if (n > room)
		n = MAX(room / mss * mss, flight ? 0 : MIN(mss, n));
	n = MIN(n, mss == c->mss ? burst_max(c) : mss);
	tail = n % mss;
	if (n == avail) {
		*fin = c->fin_queued && wnd > n;
		if (tail && !c->fin_queued && hold_small(c, now))
			n -= tail;
	} else if (tail && n >= mss) {
		n -= tail;
	} else if (tail && (n < c->max_wnd / 2 || !n)) { /* a silly window: wait, the timer sends it */
		n = 0;
	}
	return n;
}

bool conn_send_one(struct tcp_conn *c, uint64_t now)
{
	uint32_t avail = c->snd_end - c->snd_nxt, wnd = c->snd_una + c->snd_wnd - c->snd_nxt, n;
	bool fin;

	if (c->fin_sent || (int32_t)wnd <= 0)
		return false;
	n = MIN(avail, wnd);
	n = MIN(n, segment_max(c));
	fin = c->fin_queued && n == avail && wnd > n;
	if (!n && !fin)
		return false;
	return send_new(c, n, fin, now);
}

/* RFC 5681 4.1: what was learned of the path before it fell idle is old. */
static void restart_after_idle(struct tcp_conn *c, uint64_t now)
{
	uint64_t idle = now - c->last_snd_ns;
	uint32_t least = MIN(TCP_INIT_CWND * c->mss, c->cc.cwnd);

	if (conn_outstanding(c) || c->snd_nxt == c->snd_end || !c->last_snd_ns || idle < c->rto ||
	    c->ca != CA_OPEN)
		return;
	c->cc.ssthresh = MAX(c->cc.ssthresh, c->cc.cwnd / 4 * 3);
	for (; idle > c->rto && c->cc.cwnd > least; idle -= c->rto)
		c->cc.cwnd /= 2;
	c->cc.cwnd = MAX(c->cc.cwnd, least);
	c->cc.epoch_ns = 0;
	c->last_snd_ns = now;
}

static bool link_full(struct tcp_conn *c)
{
	struct link *l = wire_link(c->w, c->route.ifindex);

	return l && __atomic_load_n(&l->queued, __ATOMIC_RELAXED) > BUSY_BYTES;
}

static bool has_more(const struct tcp_conn *c)
{
	return !c->fin_sent && (c->snd_nxt != c->snd_end || c->fin_queued);
}

void conn_output(struct tcp_conn *c, uint64_t now)
{
	bool sent, fin;
	uint32_t n;

	restart_after_idle(c, now);
	sent = retransmit_lost(c, now);
	while (!c->lost && has_more(c)) {
		if (link_full(c)) {
			c->t_retry = now + RETRY_NS;
			break;
		}
		n = how_much(c, &fin, now);
		if ((!n && !fin) || !send_new(c, n, fin, now))
			break;
		sent = true;
	}
	c->push_all = c->push_all && has_more(c);
	if (c->urgent_out && seq_ge(c->snd_una, c->snd_up))
		c->urgent_out = false;
	if (c->ack_now)
		conn_send_ack(c, now);
	else if (c->ack_due && c->t_delack == TIMER_NEVER)
		c->t_delack = now + TCP_DELACK;
	if (sent ? c->t_kind != TK_RTO : has_more(c) && !conn_outstanding(c) && c->t_kind != TK_PERSIST)
		conn_arm_rexmit(c, now);
}

/* ---- without a connection ---- */

static void send_bare(struct wire *w, const struct ip_in *in, struct tcp_hdr *h, const uint8_t *opts,
		      uint32_t n)
{
	struct ip_out o = {.src = in->p.dst, .dst = in->p.src, .protocol = PROTO_TCP, .df = true};
	bool v6 = in->p.v6;
	struct route r;
	struct pkt p;
	uint16_t sum;

	if (w->up->route(w->up_arg, &in->p.src, net_addr_linklocal6(&in->p.src) ? in->p.ifindex : 0, &r) < 0 ||
	    r.local)
		return;
	o.r = &r;
	h->hlen = (uint8_t)(TCP_HLEN + n);
	pkt_init(&p);
	if (n)
		memcpy(pkt_push(&p, n), opts, n);
	tcp_put(pkt_push(&p, TCP_HLEN), h);
	sum = csum_fold(csum_pseudo(v6 ? in->p.dst.b : in->p.dst.b + 12, v6 ? in->p.src.b : in->p.src.b + 12,
				    v6 ? 16 : 4, PROTO_TCP, pkt_len(&p)));
	memcpy(pkt_head(&p) + 16, &sum, 2);
	p.partial_csum = true;
	p.l4_len = h->hlen;
	p.csum_at = 16;
	WCOUNT(w, tcp_out);
	(void)wire_ip_output(w, &p, &o);
}

void tcp_answer_rst(struct wire *w, const struct ip_in *in, const struct seg_in *s)
{
	struct tcp_hdr h = {.sport = s->h.dport, .dport = s->h.sport};

	if (s->h.flags & TCP_RST)
		return;
	WCOUNT(w, tcp_rst_out);
	if (s->h.flags & TCP_ACK) { /* 3.5.2 */
		h.seq = s->h.ack;
		h.flags = TCP_RST;
	} else {
		h.ack = s->end;
		h.flags = TCP_RST | TCP_ACK;
	}
	send_bare(w, in, &h, NULL, 0);
}

void tcp_send_cookie(struct wire *w, const struct ip_in *in, const struct seg_in *s, uint32_t iss,
		     uint32_t tsval, uint16_t mss, uint16_t window, uint8_t wscale)
{
	struct tcp_hdr h = {.sport = s->h.dport,
			    .dport = s->h.sport,
			    .seq = iss,
			    .ack = s->seq + 1,
			    .flags = TCP_SYN | TCP_ACK,
			    .window = window};
	struct tcp_opts o = {.mss = mss};
	uint8_t opts[TCP_OPT_MAX];

	if (s->o.has_ts) {
		o.has_ts = true;
		o.tsval = tsval;
		o.tsecr = s->o.tsval;
		o.sack_ok = s->o.sack_ok;
		o.has_wscale = s->o.has_wscale;
		o.wscale = wscale;
	}
	WCOUNT(w, tcp_syn_cookies_sent);
	send_bare(w, in, &h, opts, (uint32_t)tcp_put_opts(opts, &o, true));
}
