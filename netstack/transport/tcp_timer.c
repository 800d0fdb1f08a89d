/* tcp_timer.c: what happens to a connection when nothing arrives: retransmission (RFC 6298), the probe of the
 * tail (RFC 8985 section 7), zero windows (RFC 9293 3.8.6.1), delayed ACKs, keepalive (RFC 1122 4.2.3.6),
 * FIN-WAIT-2 and TIME-WAIT. One timer a connection, set to the earliest of them. */
#include "netstack/transport/tcp_conn.h"

#define BLACK_HOLE_RETRIES 3 /* RFC 4821: full segments die without a word: try smaller ones */
#define BLACK_HOLE_MSS	   512u

static uint64_t backed_off(const struct tcp_conn *c)
{
	uint64_t t = c->rto;

	for (uint32_t i = 0; i < c->backoff && t < TCP_RTO_MAX; i++)
		t *= 2;
	return MIN(t, TCP_RTO_MAX);
}

static bool handshake(const struct tcp_conn *c)
{
	return c->state == NET_SYN_SENT || c->state == NET_SYN_RECV;
}

void conn_arm_rexmit(struct tcp_conn *c, uint64_t now)
{
	uint64_t pto;

	if (!conn_outstanding(c)) {
		if (!c->fin_sent && (c->snd_nxt != c->snd_end || c->fin_queued) && !handshake(c)) {
			c->t_kind = TK_PERSIST;
			c->t_rexmit = now + MIN(backed_off(c), TCP_PERSIST_MAX);
		} else {
			c->t_kind = TK_NONE;
			c->t_rexmit = TIMER_NEVER;
		}
		return;
	}
	c->t_kind = TK_RTO;
	c->t_rexmit = now + backed_off(c);
	if (handshake(c) || !c->sack_ok || c->ca != CA_OPEN || c->tlp_out || c->sacked || c->lost ||
	    c->backoff || !c->srtt)
		return;
	pto = 2 * c->srtt + (conn_outstanding(c) <= c->mss ? TCP_DELACK_MAX : 2 * MS);
	if (now + pto < c->t_rexmit) {
		c->t_kind = TK_TLP;
		c->t_rexmit = now + pto;
	}
}

/* ---- time-outs ---- */

static bool given_up(struct tcp_conn *c, uint64_t now)
{
	uint32_t most = TCP_RETRIES;

	if (c->cfg.user_timeout_ms && !handshake(c))
		return now - c->first_retry_ns >= c->cfg.user_timeout_ms * MS;
	if (c->state == NET_SYN_SENT)
		most = c->cfg.syncnt ? c->cfg.syncnt : TCP_SYN_RETRIES;
	else if (c->state == NET_SYN_RECV)
		most = TCP_SYNACK_RETRIES;
	else if (!c->user)
		most = TCP_RETRIES_ORPHAN;
	return c->retries >= most;
}

static void give_up(struct tcp_conn *c)
{
	bool passive = c->state == NET_SYN_RECV && !c->active;

	conn_done(c, passive || !c->user ? 0 : c->soft_error ? c->soft_error : ETIMEDOUT);
}

static uint64_t oldest_sent(const struct tcp_conn *c)
{
	struct rbnode *n = rb_first(&c->segs);

	return n ? rb_entry(n, struct tcp_seg, node)->sent_ns : 0;
}

static void rto(struct tcp_conn *c, uint64_t now)
{
	if (!c->first_retry_ns)
		c->first_retry_ns = oldest_sent(c);
	if (given_up(c, now)) {
		give_up(c);
		return;
	}
	WCOUNT(c->w, tcp_rto);
	c->retries++;
	c->backoff++;
	if (handshake(c)) {
		conn_send_syn(c, now);
		c->t_kind = TK_RTO;
		c->t_rexmit = now + backed_off(c);
		return;
	}
	if (c->retries == BLACK_HOLE_RETRIES && c->mss > BLACK_HOLE_MSS) {
		ip_pmtu_learn(c->w, &c->remote.addr, BLACK_HOLE_MSS + (c->v6 ? 60 : 40) + 12);
		conn_update_mss(c);
	}
	if (c->retries % 4 == 0)
		(void)conn_route(c);
	cc_enter_loss(c);
	c->tlp_out = false;
	seg_mark_all_lost(c);
	conn_output(c, now);
	conn_arm_rexmit(c, now);
}

/* The tail again, or something new: so that an ACK tells what was lost. */
static void tlp(struct tcp_conn *c, uint64_t now)
{
	struct rbnode *n = rb_last(&c->segs);
	struct tcp_seg *s;

	WCOUNT(c->w, tcp_tlp);
	c->tlp_retrans = false;
	if (!conn_send_one(c, now) && n) {
		s = rb_entry(n, struct tcp_seg, node);
		if (s->end - s->start > c->mss && !seg_split(c, s, s->end - c->mss))
			s = NULL;
		n = rb_last(&c->segs);
		s = s ? rb_entry(n, struct tcp_seg, node) : NULL;
		if (s)
			c->tlp_retrans = conn_retransmit(c, s, c->mss, now);
	}
	c->tlp_out = true;
	c->tlp_end = c->snd_nxt;
	c->t_kind = TK_RTO;
	c->t_rexmit = now + backed_off(c);
}

static void persist(struct tcp_conn *c, uint64_t now)
{
	uint32_t wnd = c->snd_una + c->snd_wnd - c->snd_nxt;

	if (!c->first_retry_ns)
		c->first_retry_ns = now;
	if ((int32_t)wnd > 0 && conn_send_one(c, now)) {
		conn_arm_rexmit(c, now);
		return;
	}
	/* a peer that answers may keep its window shut for ever; one that doesn't is gone */
	if (given_up(c, now)) {
		give_up(c);
		return;
	}
	c->retries++;
	c->backoff++;
	conn_send_probe(c, now);
	conn_arm_rexmit(c, now);
}

static void keepalive(struct tcp_conn *c, uint64_t now)
{
	uint64_t idle = now - MAX(c->last_rcv_ns, c->last_snd_ns),
		 want = (uint64_t)c->cfg.keepidle_s * 1000 * MS;

	if (conn_outstanding(c) || c->snd_nxt != c->snd_end) { /* retransmission finds out */
		c->t_keep = now + want;
		return;
	}
	if (!c->keep_probes && idle < want) {
		c->t_keep = now + want - idle;
		return;
	}
	if (c->cfg.user_timeout_ms ? c->keep_probes && now - c->last_rcv_ns >= c->cfg.user_timeout_ms * MS
				   : c->keep_probes >= c->cfg.keepcnt) {
		conn_send_rst(c, now);
		conn_done(c, c->soft_error ? c->soft_error : ETIMEDOUT);
		return;
	}
	c->keep_probes++;
	WCOUNT(c->w, tcp_keepalive);
	conn_send_probe(c, now);
	c->t_keep = now + (uint64_t)c->cfg.keepintvl_s * 1000 * MS;
}

static bool due(uint64_t *t, uint64_t now)
{
	if (*t > now)
		return false;
	*t = TIMER_NEVER;
	return true;
}

static void run_due(struct tcp_conn *c, uint64_t now)
{
	bool push = false;

	if (due(&c->t_wait, now)) {
		conn_done(c, 0);
		return;
	}
	if (due(&c->t_delack, now)) {
		c->ack_now = c->ack_due;
		c->quick = 0;
		push = true;
	}
	if (due(&c->reo_at, now)) {
		rack_detect(c, now);
		if (c->lost && c->ca < CA_RECOVERY)
			cc_enter_recovery(c);
		if (c->lost && c->ca == CA_RECOVERY)
			cc_recovery_ack(c, 0);
		push = true;
	}
	if (due(&c->t_cork, now)) {
		c->push_all = true;
		push = true;
	}
	if (due(&c->t_retry, now))
		push = true;
	if (push)
		conn_output(c, now);
	if (due(&c->t_rexmit, now)) {
		switch (c->t_kind) {
		case TK_RTO:
			rto(c, now);
			break;
		case TK_TLP:
			tlp(c, now);
			break;
		case TK_PERSIST:
			persist(c, now);
			break;
		default:
			break;
		}
	}
	if (c->state != NET_CLOSE && due(&c->t_keep, now))
		keepalive(c, now);
}

bool conn_timer_hold(struct net_timer *t)
{
	return refs_get_unless_zero(&container_of(t, struct tcp_conn, timer)->refs);
}

void conn_timer_run(struct net_timer *t)
{
	struct tcp_conn *c = container_of(t, struct tcp_conn, timer);

	mutex_lock(&c->lock);
	if (c->state != NET_CLOSE) {
		run_due(c, wire_now(c->w));
		conn_arm(c);
	}
	conn_unlock(c);
	conn_put(c);
}

void conn_arm(struct tcp_conn *c)
{
	uint64_t t = MIN(c->t_rexmit, c->t_delack);

	t = MIN(t, c->t_keep);
	t = MIN(t, c->t_wait);
	t = MIN(t, c->t_cork);
	t = MIN(t, c->t_retry);
	t = MIN(t, c->reo_at);
	net_timer_set(&c->w->timers, &c->timer, t);
}
