/* tcp_cc.c: congestion control: Reno (RFC 5681), CUBIC (RFC 9438) with HyStart++ (RFC 9406), and what happens
 * around losses: proportional rate reduction (RFC 6937), timeouts, ECN (RFC 3168), and taking a reduction back
 * that was for nothing (Eifel, RFC 3522 and 4015). Windows are bytes. */
#include "netstack/transport/tcp_conn.h"

#define HYSTART_MIN_THRESH (4 * MS)
#define HYSTART_MAX_THRESH (16 * MS)
#define HYSTART_SAMPLES	   8
#define CSS_GROWTH	   4
#define CSS_ROUNDS	   5
#define CUBIC_DT_MAX	   250000 /* ms; its cube fits */

/* ---- slow start ---- */

static void new_round(struct tcp_conn *c)
{
	struct tcp_cc *cc = &c->cc;

	cc->last_min_rtt = cc->round_min_rtt;
	cc->round_min_rtt = UINT64_MAX;
	cc->samples = 0;
	cc->round_end = c->snd_nxt;
	if (cc->css && ++cc->css_rounds >= CSS_ROUNDS) {
		cc->ssthresh = cc->cwnd;
		cc->hystart_done = true;
	}
}

static void hystart(struct tcp_conn *c, uint64_t rtt)
{
	struct tcp_cc *cc = &c->cc;
	uint64_t thresh;

	if (cc->hystart_done)
		return;
	if (seq_ge(c->snd_una, cc->round_end))
		new_round(c);
	if (!rtt)
		return;
	cc->round_min_rtt = MIN(cc->round_min_rtt, rtt);
	if (++cc->samples < HYSTART_SAMPLES || cc->last_min_rtt == UINT64_MAX)
		return;
	if (cc->css) {
		if (cc->round_min_rtt < cc->css_baseline) { /* it was noise */
			cc->css = false;
			cc->css_rounds = 0;
		}
		return;
	}
	thresh = MAX(HYSTART_MIN_THRESH, MIN(cc->last_min_rtt / 8, HYSTART_MAX_THRESH));
	if (cc->round_min_rtt >= cc->last_min_rtt + thresh) {
		cc->css = true;
		cc->css_baseline = cc->round_min_rtt;
		cc->css_rounds = 0;
	}
}

/* What of acked is left for congestion avoidance. */
static uint32_t slow_start(struct tcp_conn *c, uint32_t acked)
{
	struct tcp_cc *cc = &c->cc;
	uint32_t grow = cc->css ? acked / CSS_GROWTH : acked, room = cc->ssthresh - cc->cwnd;

	if (grow > room)
		grow = room;
	cc->cwnd += grow;
	return cc->css ? 0 : acked - grow;
}

/* ---- Reno ---- */

static void reno_init(struct tcp_conn *c)
{
	c->cc.acked = 0;
	c->cc.hystart_done = true;
}

static void reno_avoid(struct tcp_conn *c, uint32_t acked)
{
	c->cc.acked += acked;
	while (c->cc.acked >= c->cc.cwnd) {
		c->cc.acked -= c->cc.cwnd;
		c->cc.cwnd += c->mss;
	}
}

static void reno_ack(struct tcp_conn *c, uint32_t acked, uint64_t rtt, uint64_t now)
{
	(void)rtt;
	(void)now;
	if (c->cc.cwnd < c->cc.ssthresh)
		acked = slow_start(c, acked);
	if (acked)
		reno_avoid(c, acked);
}

static uint32_t reno_ssthresh(struct tcp_conn *c)
{
	return MAX(c->cc.cwnd / 2, 2 * c->mss);
}

/* ---- CUBIC: windows in segments << 10 here ---- */

static uint64_t cube_root(uint64_t v)
{
	uint64_t r = 0;

	for (int b = 20; b >= 0; b--) {
		uint64_t t = r | 1UL << b;

		if (t * t * t <= v)
			r = t;
	}
	return r;
}

static uint64_t segs_of(const struct tcp_conn *c, uint32_t bytes)
{
	return ((uint64_t)bytes << 10) / c->mss;
}

static void cubic_init(struct tcp_conn *c)
{
	c->cc.w_max = 0;
	c->cc.epoch_ns = 0;
	c->cc.hystart_done = false;
	c->cc.css = false;
	c->cc.round_min_rtt = c->cc.last_min_rtt = UINT64_MAX;
	c->cc.round_end = c->snd_nxt;
}

static void cubic_epoch(struct tcp_conn *c, uint64_t now)
{
	struct tcp_cc *cc = &c->cc;
	uint64_t w = segs_of(c, cc->cwnd);

	cc->epoch_ns = now;
	cc->w_est = w;
	if (w < cc->w_max) {
		/* K = cbrt((w_max - cwnd) / 0.4) seconds */
		cc->k_ms = cube_root((cc->w_max - w) * 2500000 / 1024 * 1000);
		cc->origin = cc->w_max;
	} else {
		cc->k_ms = 0;
		cc->origin = w;
	}
}

/* W(t) = 0.4 (t - K)^3 + origin */
static uint64_t cubic_window(const struct tcp_cc *cc, uint64_t t_ms)
{
	int64_t dt = (int64_t)t_ms - (int64_t)cc->k_ms, delta, w;

	dt = MAX(MIN(dt, (int64_t)CUBIC_DT_MAX), -(int64_t)CUBIC_DT_MAX);
	delta = dt * dt * dt / 1000000 * 4096 / 10000;
	w = (int64_t)cc->origin + delta;
	return w > 0 ? (uint64_t)w : 0;
}

static void cubic_avoid(struct tcp_conn *c, uint32_t acked, uint64_t now)
{
	struct tcp_cc *cc = &c->cc;
	uint64_t w = segs_of(c, cc->cwnd), target, t, next;

	if (!cc->epoch_ns)
		cubic_epoch(c, now);
	t = (now - cc->epoch_ns) / MS;
	target = cubic_window(cc, t + (c->srtt / MS));
	target = MAX(MIN(target, w + w / 2), w);
	/* 4.3: as Reno would do: alpha 3 (1 - 0.7) / (1 + 0.7), 1 once it is where it was */
	cc->w_est += (uint64_t)acked * (cc->w_est < cc->w_max ? 542 : 1024) / MAX(cc->cwnd, 1u);
	next = w + (target - w) * acked / MAX(cc->cwnd, 1u);
	if (cubic_window(cc, t) < cc->w_est && next < cc->w_est)
		next = cc->w_est;
	cc->acked += (uint32_t)(((next - w) * c->mss) & 1023);
	cc->cwnd += (uint32_t)(((next - w) * c->mss) >> 10) + (cc->acked >> 10);
	cc->acked &= 1023;
}

static void cubic_ack(struct tcp_conn *c, uint32_t acked, uint64_t rtt, uint64_t now)
{
	if (c->cc.cwnd < c->cc.ssthresh) {
		hystart(c, rtt);
		if (c->cc.cwnd < c->cc.ssthresh)
			acked = slow_start(c, acked);
	}
	if (acked && c->cc.cwnd >= c->cc.ssthresh)
		cubic_avoid(c, acked, now);
}

static uint32_t cubic_ssthresh(struct tcp_conn *c)
{
	struct tcp_cc *cc = &c->cc;
	uint64_t w = segs_of(c, cc->cwnd);

	cc->w_max = w < cc->w_max ? w * 85 / 100 : w; /* 4.7: fast convergence */
	cc->epoch_ns = 0;
	cc->hystart_done = true;
	return MAX((uint32_t)((uint64_t)cc->cwnd * 7 / 10), 2 * c->mss);
}

static const struct cc_ops algorithms[] = {
	{"cubic", cubic_init, cubic_ack, cubic_ssthresh},
	{"reno", reno_init, reno_ack, reno_ssthresh},
};

const struct cc_ops *cc_find(const char *name)
{
	for (uint32_t i = 0; i < ARRAY_SIZE(algorithms); i++)
		if (strncmp(algorithms[i].name, name, NET_CC_MAX) == 0)
			return &algorithms[i];
	return &algorithms[0];
}

void cc_init(struct tcp_conn *c)
{
	c->cc.ops = cc_find(c->cfg.cc[0] ? c->cfg.cc : c->w->cc);
	c->cc.cwnd = TCP_INIT_CWND * c->mss; /* RFC 6928 */
	c->cc.ssthresh = UINT32_MAX;
	c->cc.ops->init(c);
}

/* ---- around losses ---- */

static void remember(struct tcp_conn *c)
{
	c->prior_cwnd = c->cc.cwnd;
	c->prior_ssthresh = c->cc.ssthresh;
	c->undo_ok = true;
	c->undo_stamp = 0;
}

void cc_enter_recovery(struct tcp_conn *c)
{
	remember(c);
	WCOUNT(c->w, tcp_fast_recovery);
	if (c->ca != CA_CWR)
		c->cc.ssthresh = c->cc.ops->ssthresh(c);
	c->ca = CA_RECOVERY;
	c->recovery_point = c->snd_nxt;
	c->prr_delivered = c->prr_out = 0;
	c->prr_fs = MAX(conn_outstanding(c), c->mss);
	c->cwr_out = c->ecn;
}

void cc_recovery_ack(struct tcp_conn *c, uint32_t delivered)
{
	uint32_t pipe = conn_in_flight(c), count, limit;
	uint64_t want;

	c->prr_delivered += delivered;
	if (pipe > c->cc.ssthresh) {
		want = ((uint64_t)c->prr_delivered * c->cc.ssthresh + c->prr_fs - 1) / c->prr_fs;
		count = want > c->prr_out ? (uint32_t)(want - c->prr_out) : 0;
	} else {
		limit = c->prr_delivered > c->prr_out ? c->prr_delivered - c->prr_out : 0;
		limit = MAX(limit, delivered) + c->mss;
		count = MIN(c->cc.ssthresh - pipe, limit);
	}
	if (!c->prr_out)
		count = MAX(count, c->mss); /* the fast retransmit */
	c->cc.cwnd = pipe + count;
}

void cc_exit_recovery(struct tcp_conn *c)
{
	if (c->ca == CA_RECOVERY)
		c->cc.cwnd = MAX(c->cc.ssthresh, 2 * c->mss);
	c->ca = CA_OPEN;
	c->dupacks = 0;
	c->reno_sacked = 0;
	c->undo_ok = false;
	if (c->reo_persist && --c->reo_persist == 0)
		c->reo_mult = 1;
}

void cc_enter_loss(struct tcp_conn *c)
{
	if (c->ca != CA_LOSS) {
		if (c->ca == CA_OPEN)
			remember(c);
		if (c->ca != CA_RECOVERY)
			c->cc.ssthresh = c->cc.ops->ssthresh(c);
	}
	c->ca = CA_LOSS;
	c->recovery_point = c->snd_nxt;
	c->cc.cwnd = c->mss; /* RFC 5681 3.1: the loss window */
	c->cc.acked = 0;
	c->cc.epoch_ns = 0;
	c->cwr_out = c->ecn;
}

void cc_congestion_seen(struct tcp_conn *c)
{
	if (c->ca != CA_OPEN)
		return;
	c->cc.ssthresh = c->cc.ops->ssthresh(c);
	c->cc.cwnd = c->cc.ssthresh;
	c->ca = CA_CWR;
	c->cwr_point = c->snd_nxt;
	c->cwr_out = c->ecn;
}

void cc_undo(struct tcp_conn *c)
{
	WCOUNT(c->w, tcp_undo);
	c->cc.cwnd = MAX(c->cc.cwnd, c->prior_cwnd);
	c->cc.ssthresh = c->prior_ssthresh;
	c->cc.epoch_ns = 0;
	c->ca = CA_OPEN;
	c->dupacks = 0;
	c->reno_sacked = 0;
	c->undo_ok = false;
	c->backoff = c->retries = 0;
	seg_unmark_lost(c);
}
