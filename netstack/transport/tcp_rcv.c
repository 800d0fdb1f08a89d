/* tcp_rcv.c: data that arrives: in order or not, urgent data, the end; SACK blocks that tell of it; the receive
 * buffer that grows with the bandwidth. */
#include "netstack/transport/tcp_conn.h"

/* ---- out of order ---- */

/* Remembers [start, end); false: too many holes. What is known of it already is told to the peer (RFC 2883). */
static bool note_range(struct tcp_conn *c, uint32_t start, uint32_t end)
{
	struct tcp_block *o = c->ooo;
	uint32_t i = 0, j;

	while (i < c->ooo_count && seq_lt(o[i].end, start))
		i++;
	if (i < c->ooo_count && seq_ge(start, o[i].start) && seq_le(end, o[i].end)) {
		c->dsack = (struct tcp_block){start, end};
		c->has_dsack = true;
		c->ooo_last = o[i].start;
		return true;
	}
	for (j = i; j < c->ooo_count && seq_le(o[j].start, end); j++) {
		start = seq_lt(o[j].start, start) ? o[j].start : start;
		end = seq_gt(o[j].end, end) ? o[j].end : end;
	}
	if (j == i) {
		if (c->ooo_count == TCP_OOO_MAX)
			return false;
		memmove(o + i + 1, o + i, (c->ooo_count - i) * sizeof(*o));
		c->ooo_count++;
	} else {
		memmove(o + i + 1, o + j, (c->ooo_count - j) * sizeof(*o));
		c->ooo_count -= j - i - 1;
	}
	o[i] = (struct tcp_block){start, end};
	c->ooo_last = start;
	return true;
}

/* Ranges that now join what is in order. */
static void join_ranges(struct tcp_conn *c)
{
	uint32_t n = 0;

	while (n < c->ooo_count && seq_le(c->ooo[n].start, c->rcv_nxt)) {
		if (seq_gt(c->ooo[n].end, c->rcv_nxt))
			c->rcv_nxt = c->ooo[n].end;
		n++;
	}
	if (!n)
		return;
	memmove(c->ooo, c->ooo + n, (c->ooo_count - n) * sizeof(*c->ooo));
	c->ooo_count -= n;
}

/* RFC 2018 section 4: the block that changed last is first; before it a duplicate (RFC 2883). */
uint32_t conn_fill_sack(struct tcp_conn *c, struct tcp_block *out)
{
	uint32_t n = 0, i;

	if (!c->sack_ok)
		return 0;
	if (c->has_dsack) {
		out[n++] = c->dsack;
		c->has_dsack = false;
	}
	for (i = 0; i < c->ooo_count; i++) {
		if (c->ooo[i].start == c->ooo_last) {
			out[n++] = c->ooo[i];
			break;
		}
	}
	for (i = c->ooo_count; i-- > 0 && n < TCP_SACK_MAX;)
		if (c->ooo[i].start != c->ooo_last)
			out[n++] = c->ooo[i];
	return n;
}

/* ---- buffers ---- */

void conn_tune_rcvbuf(struct tcp_conn *c, uint64_t now)
{
	uint64_t rtt = c->rcv_rtt ? c->rcv_rtt : c->srtt, took;
	uint32_t most;

	if (c->cfg.rcvbuf || !rtt || now - c->drs_ns < rtt ||
	    __atomic_load_n(&c->w->tcp_bytes, __ATOMIC_RELAXED) > c->w->tcp_mem / 2)
		return; /* under pressure no buffer grows */
	took = c->rcv_read - c->drs_seq;
	/* twice what is read in a round trip: the window never holds the sender back in slow start */
	most = MIN(TCP_BUF_MAX, 65535u << c->rcv_wscale);
	if (c->cfg.window_clamp)
		most = MIN(most, c->cfg.window_clamp);
	if (took * 4 > c->rcvbuf && c->rcvbuf < most)
		c->rcvbuf = (uint32_t)MIN(took * 4 + 16 * c->rcv_mss, (uint64_t)most);
	c->drs_ns = now;
	c->drs_seq = c->rcv_read;
}

/* ---- urgent data: the byte before the pointer, as BSD has it (RFC 6093 3.1) ---- */

static void urgent_in(struct tcp_conn *c, struct seg_in *s)
{
	uint32_t pos = s->seq + s->h.urgent - 1, off;

	if (!s->h.urgent || seq_lt(pos, c->rcv_read))
		return;
	if (c->urg != URG_NONE && seq_le(pos, c->urg_seq)) {
		if (c->urg != URG_PENDING || pos != c->urg_seq)
			return;
	} else {
		c->urg = URG_PENDING;
		c->urg_seq = pos;
		c->events |= TCP_EV_PRI;
	}
	off = pos - s->seq;
	if (off < s->len) {
		c->urg_byte = s->data[off];
		c->urg = URG_VALID;
		c->events |= TCP_EV_PRI;
	}
}

/* ---- the end ---- */

static void fin_in(struct tcp_conn *c, uint64_t now)
{
	c->rcv_nxt++;
	c->fin_rcvd = true;
	c->ack_now = true;
	c->events |= TCP_EV_IN | TCP_EV_STATE;
	switch (c->state) {
	case NET_SYN_RECV:
	case NET_ESTABLISHED:
		conn_set_state(c, NET_CLOSE_WAIT);
		break;
	case NET_FIN_WAIT1:
		conn_set_state(c, NET_CLOSING);
		break;
	case NET_FIN_WAIT2:
		conn_send_ack(c, now);
		conn_time_wait(c, now);
		break;
	default:
		break;
	}
}

/* ---- data ---- */

/* When to acknowledge: RFC 9293 3.8.6.3, RFC 5681 4.2. */
static void schedule_ack(struct tcp_conn *c, struct seg_in *s, bool in_order)
{
	if (!in_order || c->ooo_count || c->quick || c->cfg.quickack) {
		c->ack_now = true;
		if (c->quick)
			c->quick--;
		return;
	}
	c->unacked_in += s->len;
	if (c->unacked_in >= 2 * c->rcv_mss)
		c->ack_now = true;
	else
		c->ack_due = true;
}

static void note_mss(struct tcp_conn *c, uint32_t len)
{
	uint32_t most = c->route.mtu && c->route.mtu < 65536 ? c->route.mtu : 1460;

	if (len > c->rcv_mss && c->rcv_mss < most)
		c->rcv_mss = MIN(len, MAX(c->mss, 536u));
	else if (!c->rcv_mss)
		c->rcv_mss = 536;
}

/* The receiver's own idea of the round trip: from the time stamps it is echoed. */
static void receiver_rtt(struct tcp_conn *c, const struct seg_in *s)
{
	uint64_t rtt;
	uint32_t ms;

	if (!c->has_ts || !s->o.has_ts || !s->o.tsecr || s->len < c->rcv_mss)
		return;
	ms = conn_ts_now(c, s->now) - s->o.tsecr;
	if (ms > 60000)
		return;
	rtt = MAX((uint64_t)ms, 1UL) * MS;
	c->rcv_rtt = !c->rcv_rtt || rtt < c->rcv_rtt ? rtt : (7 * c->rcv_rtt + rtt) / 8;
}

static void trim(struct tcp_conn *c, struct seg_in *s)
{
	uint32_t skip, over;

	if (seq_lt(s->seq, c->rcv_nxt)) {
		skip = c->rcv_nxt - s->seq;
		if (skip > s->len)
			skip = s->len;
		if (skip) {
			c->dsack = (struct tcp_block){s->seq, s->seq + skip};
			c->has_dsack = true;
			c->ack_now = true;
		}
		s->seq += skip;
		s->data += skip;
		s->len -= skip;
	}
	if (s->len && seq_gt(s->seq + s->len, c->rcv_adv)) {
		over = s->seq + s->len - c->rcv_adv;
		s->len = over < s->len ? s->len - over : 0;
		s->h.flags &= (uint8_t)~TCP_FIN;
		c->ack_now = true;
	}
}

/* All connections together hold as much as they may (tcp_mem): each still gets its next few bytes, so that it
 * moves on once its reader does; what is out of order can wait. */
static bool short_of_memory(const struct tcp_conn *c, bool in_order)
{
	if (LIKELY(__atomic_load_n(&c->w->tcp_bytes, __ATOMIC_RELAXED) < c->w->tcp_mem))
		return false;
	return !in_order || c->rcv_nxt - c->rcv_read >= CHUNK_SIZE;
}

static void store(struct tcp_conn *c, struct seg_in *s)
{
	bool in_order = s->seq == c->rcv_nxt;

	if (UNLIKELY(short_of_memory(c, in_order))) {
		WCOUNT(c->w, tcp_mem_dropped);
		c->ack_now = true;
		return;
	}
	if (bytebuf_reserve(&c->rcv, c->rcv_read, s->seq, s->seq + s->len) < 0)
		return; /* as if it were lost */
	if (in_order) {
		bytebuf_put(&c->rcv, s->seq, s->data, s->len);
		c->rcv_nxt += s->len;
		join_ranges(c);
		c->events |= TCP_EV_IN;
	} else if (note_range(c, s->seq, s->seq + s->len)) {
		WCOUNT(c->w, tcp_ooo);
		bytebuf_put(&c->rcv, s->seq, s->data, s->len);
	}
	c->bytes_received += s->len;
	schedule_ack(c, s, in_order);
}

void conn_data_in(struct tcp_conn *c, struct seg_in *s)
{
	bool fin = s->h.flags & TCP_FIN;
	uint32_t fin_seq = s->seq + s->len;

	if ((s->h.flags & TCP_URG) && s->h.urgent)
		urgent_in(c, s);
	if (s->len) {
		note_mss(c, s->len);
		receiver_rtt(c, s);
	}
	if (c->fin_rcvd) {
		if (s->len || fin)
			c->ack_now = true;
		return;
	}
	if (s->len) {
		if (c->ecn && s->ecn == 3)
			c->ece_out = true;
		if (s->h.flags & TCP_CWR)
			c->ece_out = c->ecn && s->ecn == 3;
		trim(c, s);
		if (s->len && !(c->has_fin_seq && seq_gt(s->seq + s->len, c->fin_seq)))
			store(c, s);
	}
	if (fin && (s->h.flags & TCP_FIN) && !c->has_fin_seq && seq_ge(fin_seq, c->rcv_nxt)) {
		c->has_fin_seq = true;
		c->fin_seq = fin_seq;
		if (fin_seq != c->rcv_nxt)
			c->ack_now = true;
	}
	if (c->has_fin_seq && c->rcv_nxt == c->fin_seq)
		fin_in(c, s->now);
}
