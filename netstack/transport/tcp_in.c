/* tcp_in.c: arriving segments (RFC 9293 3.10.7), with the checks of RFC 5961 against forged ones and of RFC
 * 7323 against old ones; acknowledgments and what they mean for recovery. */
#include "netstack/transport/tcp_conn.h"

#include "netstack/proto/icmp.h"

#define CHALLENGES_A_SECOND 1000u /* RFC 5961 section 7 */
#define INVALID_EVERY	    (500 * MS)
#define PAWS_IDLE	    (24ULL * 86400 * 1000 * MS)
#define MIN_RTT_WINDOW	    (300000 * MS)

/* An ACK that a forger could provoke: limited for the stack and for the connection. */
static void challenge(struct tcp_conn *c, uint64_t now)
{
	struct wire *w = c->w;
	uint64_t at = __atomic_load_n(&w->challenge_at, __ATOMIC_RELAXED);

	if (c->challenge_ns && now - c->challenge_ns < INVALID_EVERY)
		return;
	if (now - at >= 1000 * MS) {
		__atomic_store_n(&w->challenge_at, now, __ATOMIC_RELAXED);
		__atomic_store_n(&w->challenge_left, CHALLENGES_A_SECOND, __ATOMIC_RELAXED);
	}
	if (!__atomic_load_n(&w->challenge_left, __ATOMIC_RELAXED))
		return;
	__atomic_sub_fetch(&w->challenge_left, 1, __ATOMIC_RELAXED);
	c->challenge_ns = now;
	WCOUNT(w, tcp_challenge);
	conn_send_ack(c, now);
}

/* ---- round trips: RFC 6298 ---- */

void conn_rtt_sample(struct tcp_conn *c, uint64_t rtt)
{
	uint64_t diff;

	if (!c->srtt) {
		c->srtt = rtt;
		c->rttvar = rtt / 2;
	} else {
		diff = c->srtt > rtt ? c->srtt - rtt : rtt - c->srtt;
		c->rttvar = (3 * c->rttvar + diff) / 4;
		c->srtt = (7 * c->srtt + rtt) / 8;
	}
	c->rto = MIN(c->srtt + MAX(4 * c->rttvar, TCP_RTO_MIN), TCP_RTO_MAX);
}

static void min_rtt_sample(struct tcp_conn *c, uint64_t rtt, uint64_t now)
{
	if (rtt <= c->min_rtt || now - c->min_rtt_at > MIN_RTT_WINDOW) {
		c->min_rtt = rtt;
		c->min_rtt_at = now;
	}
}

/* ---- the handshake is over ---- */

void conn_established(struct tcp_conn *c, uint64_t now)
{
	c->t_rexmit = TIMER_NEVER;
	c->t_kind = TK_NONE;
	c->backoff = c->retries = 0;
	c->drs_ns = now;
	c->drs_seq = c->rcv_read;
	c->last_rcv_ns = now;
	c->rcv_mss = MIN(c->mss, 1448u);
	c->fack = c->snd_una;
	if (c->cfg.keepalive)
		c->t_keep = now + (uint64_t)c->cfg.keepidle_s * 1000 * MS;
	if (c->active)
		c->events |= TCP_EV_CONNECTED;
	c->events |= TCP_EV_OUT;
}

/* What both SYNs agree on. */
static void take_syn_options(struct tcp_conn *c, const struct seg_in *s)
{
	c->irs = s->seq;
	c->rcv_nxt = c->rcv_read = s->seq + 1;
	c->rcv_adv = c->rcv_nxt + MIN(conn_rcv_room(c), 65535u);
	c->last_ack_sent = c->rcv_nxt;
	if (s->o.mss)
		c->peer_mss = MAX(s->o.mss, 64u);
	c->has_ts = c->has_ts && s->o.has_ts;
	c->sack_ok = c->sack_ok && s->o.sack_ok;
	c->has_wscale = c->has_wscale && s->o.has_wscale;
	if (c->has_wscale) {
		c->snd_wscale = s->o.wscale;
	} else {
		c->snd_wscale = c->rcv_wscale = 0;
	}
	if (c->has_ts) {
		c->ts_recent = s->o.tsval;
		c->ts_recent_ns = s->now;
	}
	conn_update_mss(c);
}

/* SYN-SENT: 3.10.7.3 */
static void syn_sent(struct tcp_conn *c, struct seg_in *s)
{
	bool ack = s->h.flags & TCP_ACK, acceptable;
	struct ack_result r = {0};

	acceptable = ack && seq_gt(s->h.ack, c->iss) && seq_le(s->h.ack, c->snd_nxt);
	if (ack && !acceptable) {
		if (!(s->h.flags & TCP_RST))
			conn_send_rst(c, s->now);
		return;
	}
	if (s->h.flags & TCP_RST) {
		if (acceptable)
			conn_done(c, ECONNREFUSED);
		return;
	}
	if (!(s->h.flags & TCP_SYN))
		return;
	take_syn_options(c, s);
	c->snd_wnd = s->h.window; /* never scaled in a SYN */
	c->max_wnd = MAX(c->max_wnd, c->snd_wnd);
	c->snd_wl1 = s->seq;
	if (!acceptable) { /* both at once */
		conn_set_state(c, NET_SYN_RECV);
		__atomic_add_fetch(&c->w->half_open, 1, __ATOMIC_RELAXED);
		conn_send_syn(c, s->now);
		conn_arm_rexmit(c, s->now);
		return;
	}
	c->ecn = c->ecn && (s->h.flags & (TCP_ECE | TCP_CWR)) == TCP_ECE;
	ack_clean(c, s->h.ack, s->now, &r);
	c->snd_una = s->h.ack;
	c->snd_wl2 = s->h.ack;
	if (r.rtt_first) {
		conn_rtt_sample(c, r.rtt_first);
		min_rtt_sample(c, r.rtt_last, s->now);
	}
	cc_init(c);
	conn_set_state(c, NET_ESTABLISHED);
	conn_established(c, s->now);
	s->seq++; /* data on a SYN-ACK goes on below */
	c->ack_now = true;
	if (s->len || (s->h.flags & TCP_FIN))
		conn_data_in(c, s);
}

/* ---- acknowledgments ---- */

static void ecn_in(struct tcp_conn *c, const struct seg_in *s)
{
	if (c->ca == CA_CWR && seq_ge(c->snd_una, c->cwr_point))
		c->ca = CA_OPEN;
	if (c->ecn && (s->h.flags & TCP_ECE))
		cc_congestion_seen(c);
}

/* The probe of the tail was acknowledged: RFC 8985 7.4. Without a duplicate, it repaired a loss. */
static void tlp_in(struct tcp_conn *c, const struct ack_result *r)
{
	if (!c->tlp_out || seq_lt(c->snd_una, c->tlp_end))
		return;
	if (c->tlp_retrans && !r->dsack && c->ca == CA_OPEN) {
		c->cc.ssthresh = c->cc.ops->ssthresh(c);
		c->cc.cwnd = c->cc.ssthresh;
	}
	c->tlp_out = false;
}

/* Was what was sent again acknowledged before that could have arrived? (RFC 3522) */
static bool spurious(const struct tcp_conn *c, const struct seg_in *s, const struct ack_result *r)
{
	return c->undo_ok && c->undo_stamp && r->acked && c->has_ts && s->o.has_ts && s->o.tsecr &&
	       seq_lt(s->o.tsecr, c->undo_stamp);
}

static void recovery(struct tcp_conn *c, struct seg_in *s, struct ack_result *r, bool dup, uint32_t flight)
{
	uint32_t delivered = r->acked + r->sacked;

	if (c->ca >= CA_RECOVERY && spurious(c, s, r))
		cc_undo(c);
	if (c->ca >= CA_RECOVERY && seq_ge(c->snd_una, c->recovery_point))
		cc_exit_recovery(c);
	tlp_in(c, r);
	if (c->sack_ok) {
		if (r->acked || r->sacked)
			rack_detect(c, s->now);
	} else if (dup) {
		reno_dupack(c);
		delivered = c->mss;
	} else if (r->acked) {
		c->dupacks = 0;
		if (c->ca >= CA_RECOVERY)
			reno_partial_ack(c, r->acked);
		else
			c->reno_sacked = 0;
	}
	if (c->lost && c->ca < CA_RECOVERY) {
		cc_enter_recovery(c);
		delivered = r->acked + r->sacked;
	}
	if (c->ca == CA_RECOVERY)
		cc_recovery_ack(c, delivered);
	else if (r->acked && flight + 2 * c->mss >= c->cc.cwnd / (c->cc.cwnd < c->cc.ssthresh ? 2 : 1))
		c->cc.ops->ack(c, r->acked, r->rtt_last,
			       s->now); /* RFC 7661: only a window that was used grows */
}

static void update_window(struct tcp_conn *c, const struct seg_in *s)
{
	if (seq_lt(c->snd_wl1, s->seq) ||
	    (c->snd_wl1 == s->seq &&
	     (seq_lt(c->snd_wl2, s->h.ack) || (c->snd_wl2 == s->h.ack && s->window > c->snd_wnd)))) {
		c->snd_wnd = s->window;
		c->snd_wl1 = s->seq;
		c->snd_wl2 = s->h.ack;
		c->max_wnd = MAX(c->max_wnd, c->snd_wnd);
	}
}

static void grow_sndbuf(struct tcp_conn *c)
{
	uint64_t want = 2ULL * c->cc.cwnd + 64 * 1024;

	if (!c->cfg.sndbuf && want > c->sndbuf)
		c->sndbuf = (uint32_t)MIN(want, (uint64_t)TCP_BUF_MAX);
}

static void advanced(struct tcp_conn *c, struct seg_in *s, uint32_t old_una)
{
	uint32_t data_from = old_una == c->iss ? old_una + 1 : old_una;
	uint32_t data_to = c->fin_sent && c->snd_una == c->snd_end + 1 ? c->snd_end : c->snd_una;

	bytebuf_drop(&c->snd, data_from, data_to, data_to == c->snd_end && !c->copying);
	c->backoff = c->retries = 0;
	c->first_retry_ns = 0;
	grow_sndbuf(c);
	if (seq_lt(c->snd_sml, c->snd_una))
		c->snd_sml = c->snd_una;
	if (c->want_out && c->snd_end - c->snd_una <= c->sndbuf - c->sndbuf / 3) {
		c->want_out = false;
		c->events |= TCP_EV_OUT;
	}
	conn_arm_rexmit(c, s->now);
}

/* False: the segment is not to be looked at further. */
static bool ack_in(struct tcp_conn *c, struct seg_in *s)
{
	uint32_t ack = s->h.ack, una = c->snd_una, flight = conn_in_flight(c), old_wnd = c->snd_wnd;
	struct ack_result r = {0};
	bool dup;

	if (seq_gt(ack, c->snd_nxt)) {
		challenge(c, s->now);
		return false;
	}
	if (seq_lt(ack, una - MAX(c->max_wnd, 65535u))) { /* RFC 5961 5.2 */
		challenge(c, s->now);
		return false;
	}
	if (seq_lt(ack, una))
		return true;
	update_window(c, s);
	dup = ack == una && !s->len && !(s->h.flags & (TCP_SYN | TCP_FIN)) && c->snd_wnd == old_wnd &&
	      conn_outstanding(c);
	if (s->o.sack_count && c->sack_ok)
		sack_input(c, s, &r);
	if (seq_gt(ack, una)) {
		ack_clean(c, ack, s->now, &r);
		c->snd_una = ack;
	}
	if (r.rtt_first) {
		conn_rtt_sample(c, r.rtt_first);
		min_rtt_sample(c, r.rtt_last, s->now);
	}
	ecn_in(c, s);
	recovery(c, s, &r, dup, flight);
	if (seq_gt(ack, una))
		advanced(c, s, una);
	else if (c->t_kind == TK_PERSIST && s->window != old_wnd)
		conn_arm_rexmit(c, s->now);
	else if (c->t_kind == TK_PERSIST)
		c->retries = 0; /* it lives (RFC 9293 3.8.6.1) */
	return true;
}

/* Our FIN was acknowledged? */
static void after_ack(struct tcp_conn *c, uint64_t now)
{
	if (!c->fin_sent || c->snd_una != c->snd_end + 1)
		return;
	switch (c->state) {
	case NET_FIN_WAIT1:
		conn_set_state(c, NET_FIN_WAIT2);
		c->t_rexmit = TIMER_NEVER;
		if (!c->user)
			c->t_wait = now + (c->cfg.linger2_s > 0 ? (uint64_t)c->cfg.linger2_s * 1000 * MS
								: 60000 * MS);
		break;
	case NET_CLOSING:
		conn_time_wait(c, now);
		break;
	case NET_LAST_ACK:
		conn_done(c, 0);
		break;
	default:
		break;
	}
}

/* ---- segments of a connection ---- */

static bool in_window(const struct tcp_conn *c, const struct seg_in *s)
{
	return seq_ge(s->end, c->last_ack_sent) && seq_le(s->seq, c->rcv_adv);
}

static bool too_old(const struct tcp_conn *c, const struct seg_in *s)
{
	return c->has_ts && s->o.has_ts && seq_lt(s->o.tsval, c->ts_recent) &&
	       s->now - c->ts_recent_ns < PAWS_IDLE;
}

static void reset_in(struct tcp_conn *c, struct seg_in *s)
{
	if (s->seq != c->rcv_nxt) { /* RFC 5961 3.2 */
		if (seq_ge(s->seq, c->rcv_nxt) && seq_lt(s->seq, c->rcv_adv))
			challenge(c, s->now);
		return;
	}
	WCOUNT(c->w, tcp_rst_in);
	switch (c->state) {
	case NET_SYN_RECV:
		conn_done(c, c->active ? ECONNREFUSED : 0);
		break;
	case NET_CLOSE_WAIT:
		conn_done(c, EPIPE);
		break;
	case NET_TIME_WAIT:
		conn_done(c, 0);
		break;
	default:
		conn_done(c, ECONNRESET);
		break;
	}
}

/* The ACK of our SYN. False: not to be looked at further. */
static bool syn_recv(struct tcp_conn *c, struct seg_in *s)
{
	struct ack_result r = {0};

	if (seq_le(s->h.ack, c->iss) || seq_gt(s->h.ack, c->snd_nxt)) {
		conn_send_rst(c, s->now);
		return false;
	}
	if (c->joining)
		return false;
	ack_clean(c, s->h.ack, s->now, &r);
	c->snd_una = s->h.ack;
	c->snd_wnd = s->window;
	c->max_wnd = MAX(c->max_wnd, c->snd_wnd);
	c->snd_wl1 = s->seq;
	c->snd_wl2 = s->h.ack;
	if (r.rtt_first) {
		conn_rtt_sample(c, r.rtt_first);
		min_rtt_sample(c, r.rtt_last, s->now);
	}
	cc_init(c);
	if (!c->listener) {
		__atomic_sub_fetch(&c->w->half_open, 1, __ATOMIC_RELAXED);
		conn_set_state(c, NET_ESTABLISHED);
		conn_established(c, s->now);
		return true;
	}
	return conn_join(c, s->now);
}

/* Data for somebody who is gone: RFC 9293 3.10.4 says that it may be reset. */
static bool data_for_nobody(struct tcp_conn *c, struct seg_in *s)
{
	if (!s->len || !seq_gt(s->seq + s->len, c->rcv_nxt))
		return false;
	if (c->user && !(c->shut_rd && (c->state == NET_FIN_WAIT1 || c->state == NET_FIN_WAIT2)))
		return false;
	if (!c->user && c->state == NET_SYN_RECV)
		return false;
	conn_send_rst(c, s->now);
	conn_done(c, c->user ? ECONNRESET : 0);
	return true;
}

void conn_segment(struct tcp_conn *c, struct seg_in *s)
{
	c->segs_in++;
	if (c->state == NET_SYN_SENT) {
		syn_sent(c, s);
		return;
	}
	if (!(s->h.flags & TCP_RST) && too_old(c, s)) {
		WCOUNT(c->w, tcp_paws);
		if (s->len || (s->h.flags & (TCP_SYN | TCP_FIN)))
			c->ack_now = true;
		return;
	}
	if (s->h.flags & TCP_SYN && c->state == NET_SYN_RECV && s->seq == c->irs && !(s->h.flags & TCP_ACK)) {
		conn_send_syn(c, s->now); /* ours was lost */
		return;
	}
	if (!in_window(c, s)) {
		if (s->h.flags & TCP_RST)
			return;
		if (s->len || (s->h.flags & (TCP_SYN | TCP_FIN))) {
			if (s->len) {
				c->dsack = (struct tcp_block){s->seq, s->seq + s->len};
				c->has_dsack = seq_le(s->seq + s->len, c->rcv_nxt);
			}
			c->ack_now = true;
		} else {
			challenge(c, s->now);
		}
		return;
	}
	if (s->h.flags & TCP_RST) {
		reset_in(c, s);
		return;
	}
	if (s->h.flags & TCP_SYN && !(c->state == NET_SYN_RECV && c->active && (s->h.flags & TCP_ACK))) {
		challenge(c, s->now); /* RFC 5961 4.2 */
		return;
	}
	if (c->has_ts && s->o.has_ts && seq_le(s->seq, c->last_ack_sent) && seq_ge(s->o.tsval, c->ts_recent)) {
		c->ts_recent = s->o.tsval;
		c->ts_recent_ns = s->now;
	}
	if (!(s->h.flags & TCP_ACK))
		return;
	c->last_rcv_ns = s->now;
	c->keep_probes = 0;
	if (c->state == NET_SYN_RECV) {
		if (!syn_recv(c, s))
			return;
	} else if (!ack_in(c, s)) {
		return;
	}
	after_ack(c, s->now);
	if (c->state == NET_CLOSE || c->state == NET_TIME_WAIT || data_for_nobody(c, s))
		return;
	if (s->h.flags & TCP_SYN) {
		s->seq++;
		c->ack_now = true;
	}
	conn_data_in(c, s);
}

/* A segment of a connection that is over. True: it begins a new one. */
static bool time_wait(struct tcp_conn *c, struct seg_in *s)
{
	if (s->h.flags & TCP_RST) {
		if (s->seq == c->rcv_nxt)
			conn_done(c, 0);
		return false;
	}
	if ((s->h.flags & (TCP_SYN | TCP_ACK)) == TCP_SYN &&
	    (seq_gt(s->seq, c->rcv_nxt) || (c->has_ts && s->o.has_ts && seq_gt(s->o.tsval, c->ts_recent)))) {
		conn_done(c, 0); /* RFC 6191 */
		return true;
	}
	if (s->len || (s->h.flags & (TCP_SYN | TCP_FIN))) {
		if ((s->h.flags & TCP_FIN) && seq_le(s->end, c->rcv_nxt) && seq_ge(s->seq, c->rcv_nxt - 65536))
			c->t_wait = s->now + 60000 * MS;
		conn_send_ack(c, s->now);
	}
	return false;
}

static bool good_checksum(const struct ip_in *in)
{
	bool v6 = in->p.v6;
	uint32_t sum;

	if (in->csum_ok)
		return true;
	sum = csum_pseudo(v6 ? in->p.src.b : in->p.src.b + 12, v6 ? in->p.dst.b : in->p.dst.b + 12, v6 ? 16 : 4,
			  PROTO_TCP, in->p.len);
	return csum_finish(csum_join(sum, csum_add(0, in->p.data, in->p.len))) == 0;
}

static void names_of(const struct ip_in *in, const struct tcp_hdr *h, struct net_name *local,
		     struct net_name *remote)
{
	*local = (struct net_name){.addr = in->p.dst, .port = h->dport};
	*remote = (struct net_name){.addr = in->p.src, .port = h->sport};
}

void tcp_input(struct wire *w, const struct ip_in *in)
{
	struct net_name local, remote;
	struct seg_in s = {.now = wire_now(w), .ecn = in->p.tos & 3};
	struct tcp_conn *c;
	bool fresh = false;

	WCOUNT(w, tcp_in);
	if (!tcp_parse(in->p.data, in->p.len, &s.h) || !s.h.sport || !s.h.dport || !good_checksum(in)) {
		WCOUNT(w, tcp_bad_checksum);
		return;
	}
	tcp_parse_opts(in->p.data + TCP_HLEN, s.h.hlen - TCP_HLEN, &s.o);
	s.data = in->p.data + s.h.hlen;
	s.len = in->p.len - s.h.hlen;
	s.seq = s.h.seq;
	s.end = s.seq + s.len + !!(s.h.flags & TCP_SYN) + !!(s.h.flags & TCP_FIN);
	names_of(in, &s.h, &local, &remote);
	c = conn_find(w, &local, &remote);
	if (!c) {
		tcp_passive(w, in, &s);
		return;
	}
	mutex_lock(&c->lock);
	s.window = (uint32_t)s.h.window << (s.h.flags & TCP_SYN ? 0 : c->snd_wscale);
	if (c->state == NET_CLOSE) {
		fresh = true;
	} else if (c->state == NET_TIME_WAIT) {
		fresh = time_wait(c, &s);
		conn_arm(c);
	} else {
		conn_segment(c, &s);
		conn_push(c, s.now);
	}
	conn_unlock(c);
	conn_put(c);
	if (fresh)
		tcp_passive(w, in, &s);
}

/* ---- ICMP ---- */

static int icmp_errno(const struct icmp_error *e, bool v6, bool *hard)
{
	static const uint8_t unreach4[] = {ENETUNREACH,	 EHOSTUNREACH, ENOPROTOOPT,  ECONNREFUSED,
					   EMSGSIZE,	 EOPNOTSUPP,   ENETUNREACH,  EHOSTDOWN,
					   ENONET,	 ENETUNREACH,  EHOSTUNREACH, ENETUNREACH,
					   EHOSTUNREACH, EHOSTUNREACH, EHOSTUNREACH, EHOSTUNREACH};
	static const uint8_t unreach6[] = {ENETUNREACH,	 EACCES, EHOSTUNREACH, EHOSTUNREACH,
					   ECONNREFUSED, EACCES, EACCES};

	*hard = false;
	if (v6) {
		*hard = e->type == ICMP6_UNREACH && (e->code == 1 || e->code == 4);
		if (e->type == ICMP6_UNREACH)
			return e->code < ARRAY_SIZE(unreach6) ? unreach6[e->code] : EPROTO;
		return e->type == ICMP6_TIME_EXCEEDED ? EHOSTUNREACH : EPROTO;
	}
	*hard = e->type == ICMP_UNREACH &&
		(e->code == 2 || e->code == 3 || e->code == 9 || e->code == 10 || e->code == 13);
	if (e->type == ICMP_UNREACH)
		return e->code < ARRAY_SIZE(unreach4) ? unreach4[e->code] : EHOSTUNREACH;
	return e->type == ICMP_TIME_EXCEEDED ? EHOSTUNREACH : EPROTO;
}

static void path_mtu(struct tcp_conn *c, uint32_t mtu, uint64_t now)
{
	uint32_t old = c->mss;

	if (!mtu)
		mtu = old * 3 / 4 + (c->v6 ? 60 : 40); /* an old router says nothing (RFC 1191 section 7) */
	if (mtu >= old + (c->v6 ? 60u : 40u) + (c->has_ts ? 12 : 0))
		return;
	ip_pmtu_learn(c->w, &c->remote.addr, mtu);
	conn_update_mss(c);
	if (c->mss >= old || c->state == NET_SYN_SENT)
		return;
	seg_mark_all_lost(c); /* none of them arrived; not congestion (RFC 1191 6.5) */
	conn_push(c, now);
}

void tcp_icmp_error(struct wire *w, const struct icmp_error *e, uint32_t seq)
{
	bool v6 = !net_addr_is4(&e->remote.addr), hard;
	struct tcp_conn *c = conn_find(w, &e->local, &e->remote);
	int err = icmp_errno(e, v6, &hard);

	if (!c)
		return;
	mutex_lock(&c->lock);
	/* RFC 5927 4.1: it must be about something that is in flight */
	if (c->state == NET_CLOSE || c->state == NET_TIME_WAIT || seq_lt(seq, c->snd_una) ||
	    seq_ge(seq, c->snd_nxt))
		goto out;
	if (v6 ? e->type == ICMP6_TOO_BIG : e->type == ICMP_UNREACH && e->code == ICMP_UNREACH_FRAG) {
		path_mtu(c, e->info, wire_now(w));
	} else if (c->state == NET_SYN_SENT || (c->state == NET_SYN_RECV && c->active)) {
		conn_done(c, err);
	} else {
		c->soft_error = hard || !c->soft_error
					? err
					: c->soft_error; /* RFC 5461: not the end; if it ends, why */
	}
	conn_arm(c);
out:
	conn_unlock(c);
	conn_put(c);
}
