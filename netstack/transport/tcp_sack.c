/* tcp_sack.c: the scoreboard: what is in flight, what has arrived out of order (RFC 2018, 2883), what is lost
 * (RACK, RFC 8985; three duplicate ACKs, RFC 5681 and 6582, when the peer has no SACK). */
#include "netstack/transport/tcp_conn.h"

static uint32_t len_of(const struct tcp_seg *s)
{
	return s->end - s->start;
}

static struct tcp_seg *first(const struct tcp_conn *c)
{
	struct rbnode *n = rb_first(&c->segs);

	return n ? rb_entry(n, struct tcp_seg, node) : NULL;
}

static struct tcp_seg *next(const struct tcp_seg *s)
{
	struct rbnode *n = rb_next(&s->node);

	return n ? rb_entry(n, struct tcp_seg, node) : NULL;
}

/* The record that seq lies in, or the first one behind it. */
static struct tcp_seg *at_or_after(const struct tcp_conn *c, uint32_t seq)
{
	struct rbnode *n = c->segs.root;
	struct tcp_seg *best = NULL;

	while (n) {
		struct tcp_seg *s = rb_entry(n, struct tcp_seg, node);

		if (seq_gt(s->end, seq)) {
			best = s;
			n = n->left;
		} else {
			n = n->right;
		}
	}
	return best;
}

static void insert(struct tcp_conn *c, struct tcp_seg *s)
{
	struct rbnode **link = &c->segs.root, *parent = NULL;

	while (*link) {
		parent = *link;
		link = seq_lt(s->start, rb_entry(parent, struct tcp_seg, node)->start) ? &parent->left
										       : &parent->right;
	}
	rb_insert(&c->segs, &s->node, parent, link);
}

struct tcp_seg *seg_add(struct tcp_conn *c, uint32_t start, uint32_t end, uint8_t flags, uint64_t now)
{
	struct tcp_seg *s = kmalloc(sizeof(*s));

	if (!s)
		return NULL;
	s->start = start;
	s->end = end;
	s->flags = flags;
	s->sent_ns = now;
	insert(c, s);
	list_add_tail(&c->by_time, &s->tnode);
	return s;
}

bool seg_split(struct tcp_conn *c, struct tcp_seg *s, uint32_t at)
{
	struct tcp_seg *rest = kmalloc(sizeof(*rest));

	if (!rest)
		return false;
	*rest = *s;
	list_init(&rest->tnode);
	rest->start = at;
	s->end = at;
	rest->flags &= (uint8_t)~SEG_SYN;
	s->flags &= (uint8_t)~SEG_FIN;
	insert(c, rest);
	if (!list_empty(&s->tnode))
		list_add(&s->tnode, &rest->tnode); /* right behind it */
	return true;
}

static void forget(struct tcp_conn *c, struct tcp_seg *s)
{
	if (s->flags & SEG_SACKED)
		c->sacked -= len_of(s);
	else if ((s->flags & SEG_LOST) && !(s->flags & SEG_REOUT))
		c->lost -= len_of(s);
	list_del(&s->tnode);
	rb_remove(&c->segs, &s->node);
	kfree(s);
}

void seg_free_all(struct tcp_conn *c)
{
	struct tcp_seg *s;

	while ((s = first(c)))
		forget(c, s);
	c->sacked = c->lost = c->reno_sacked = 0;
	c->sack_cached = 0;
}

/* ---- lost ---- */

void seg_mark_lost(struct tcp_conn *c, struct tcp_seg *s)
{
	if ((s->flags & SEG_SACKED) || ((s->flags & SEG_LOST) && !(s->flags & SEG_REOUT)))
		return;
	s->flags = (uint8_t)((s->flags | SEG_LOST) & ~SEG_REOUT);
	c->lost += len_of(s);
	list_del(&s->tnode);
	if (c->lost == len_of(s) || seq_lt(s->start, c->lost_hint))
		c->lost_hint = s->start;
}

void seg_mark_all_lost(struct tcp_conn *c)
{
	struct tcp_seg *s = first(c);
	bool renege = s && (s->flags & SEG_SACKED);

	for (; s; s = next(s)) {
		if (renege && (s->flags & SEG_SACKED)) { /* RFC 2018 section 8: it was taken back */
			s->flags &= (uint8_t)~SEG_SACKED;
			c->sacked -= len_of(s);
		}
		seg_mark_lost(c, s);
	}
	if (renege)
		c->sack_cached = 0;
	c->reno_sacked = 0;
}

void seg_unmark_lost(struct tcp_conn *c)
{
	for (struct tcp_seg *s = first(c); s; s = next(s)) {
		if (!(s->flags & SEG_LOST) || (s->flags & SEG_SACKED))
			continue;
		if (!(s->flags & SEG_REOUT)) {
			c->lost -= len_of(s);
			list_add_tail(&c->by_time, &s->tnode);
			s->sent_ns = MAX(s->sent_ns, c->rack_ns);
		}
		s->flags &= (uint8_t) ~(SEG_LOST | SEG_REOUT);
	}
}

struct tcp_seg *seg_first_lost(struct tcp_conn *c)
{
	struct tcp_seg *s;

	if (!c->lost)
		return NULL;
	for (s = at_or_after(c, seq_gt(c->lost_hint, c->snd_una) ? c->lost_hint : c->snd_una); s; s = next(s)) {
		if ((s->flags & SEG_LOST) && !(s->flags & (SEG_REOUT | SEG_SACKED))) {
			c->lost_hint = s->start;
			return s;
		}
	}
	return NULL;
}

void seg_resent(struct tcp_conn *c, struct tcp_seg *s, uint64_t now)
{
	if ((s->flags & SEG_LOST) && !(s->flags & (SEG_REOUT | SEG_SACKED)))
		c->lost -= len_of(s);
	s->flags |= SEG_RETRANS | (s->flags & SEG_LOST ? SEG_REOUT : 0);
	s->sent_ns = now;
	list_del(&s->tnode);
	list_add_tail(&c->by_time, &s->tnode);
}

/* ---- arrived ---- */

static bool sent_after(uint64_t t1, uint32_t end1, uint64_t t2, uint32_t end2)
{
	return t1 > t2 || (t1 == t2 && seq_gt(end1, end2));
}

/* RFC 8985 6.2 steps 1 and 2, and the samples of round-trip time (Karn: never of what was sent again). */
static void arrived(struct tcp_conn *c, const struct tcp_seg *s, uint64_t now, struct ack_result *r)
{
	uint64_t rtt = now - s->sent_ns, sample = rtt ? rtt : 1;

	if (s->flags & SEG_RETRANS) {
		r->retrans_acked = true;
		if (rtt < c->min_rtt)
			return; /* the answer to the first one */
	} else {
		r->rtt_first = MAX(r->rtt_first, sample);
		r->rtt_last = r->rtt_last ? MIN(r->rtt_last, sample) : sample;
		if (seq_lt(s->end, c->fack))
			c->reordering = true;
	}
	if (seq_gt(s->end, c->fack))
		c->fack = s->end;
	c->rack_rtt = rtt;
	if (sent_after(s->sent_ns, s->end, c->rack_ns, c->rack_end)) {
		c->rack_ns = s->sent_ns;
		c->rack_end = s->end;
	}
}

static void sack_range(struct tcp_conn *c, uint32_t start, uint32_t end, uint64_t now, struct ack_result *r)
{
	struct tcp_seg *s;

	if (seq_ge(start, end))
		return;
	s = at_or_after(c, start);
	if (s && seq_lt(s->start, start)) {
		if (!(s->flags & SEG_SACKED) && !seg_split(c, s, start))
			return;
		s = next(s);
	}
	for (; s && seq_lt(s->start, end); s = next(s)) {
		if (s->flags & SEG_SACKED)
			continue;
		if (seq_gt(s->end, end) && !seg_split(c, s, end))
			return;
		if ((s->flags & SEG_LOST) && !(s->flags & SEG_REOUT))
			c->lost -= len_of(s);
		list_del(&s->tnode);
		arrived(c, s, now, r);
		s->flags |= SEG_SACKED;
		c->sacked += len_of(s);
		r->sacked += len_of(s);
	}
}

/* RFC 2883: the first block lies below the ACK, or inside of the second. */
static bool is_dsack(const struct tcp_conn *c, const struct seg_in *s)
{
	const struct tcp_block *b = s->o.sack;

	(void)c;
	if (seq_lt(b[0].start, s->h.ack))
		return true;
	return s->o.sack_count > 1 && seq_ge(b[0].start, b[1].start) && seq_le(b[0].end, b[1].end);
}

static void saw_dsack(struct tcp_conn *c, struct ack_result *r)
{
	r->dsack = true;
	WCOUNT(c->w, tcp_dsack);
	if (seq_ge(c->snd_una, c->dsack_round)) { /* RFC 8985 6.2 step 4: once a round trip */
		c->dsack_round = c->snd_nxt;
		c->reo_mult = MIN(c->reo_mult + 1, 20u);
	}
	c->reo_persist = 16;
}

void sack_input(struct tcp_conn *c, struct seg_in *s, struct ack_result *r)
{
	uint8_t i = 0;

	if (is_dsack(c, s)) {
		saw_dsack(c, r);
		i = 1;
	}
	for (; i < s->o.sack_count; i++) {
		struct tcp_block b = s->o.sack[i];

		if (seq_le(b.end, b.start) || seq_gt(b.end, c->snd_nxt) || seq_lt(b.start, c->snd_una))
			continue; /* nonsense, or old */
		for (uint8_t k = 0; k < c->sack_cached; k++) {
			struct tcp_block old = c->sack_cache[k];

			if (seq_le(b.start, old.start) && seq_ge(b.end, old.end)) {
				sack_range(c, b.start, old.start, s->now, r);
				b.start = old.end;
				break;
			}
		}
		sack_range(c, b.start, b.end, s->now, r);
	}
	memcpy(c->sack_cache, s->o.sack, sizeof(c->sack_cache));
	c->sack_cached = 0;
	if (!r->dsack) {
		for (i = 0; i < s->o.sack_count; i++)
			if (seq_lt(s->o.sack[i].start, s->o.sack[i].end) &&
			    seq_ge(s->o.sack[i].start, c->snd_una) && seq_le(s->o.sack[i].end, c->snd_nxt))
				c->sack_cache[c->sack_cached++] = s->o.sack[i];
	}
}

void ack_clean(struct tcp_conn *c, uint32_t ack, uint64_t now, struct ack_result *r)
{
	struct tcp_seg *s;

	while ((s = first(c)) && seq_lt(s->start, ack)) {
		if (seq_gt(s->end, ack)) {
			uint32_t n = ack - s->start;

			if (s->flags & SEG_SACKED)
				c->sacked -= n;
			else if ((s->flags & SEG_LOST) && !(s->flags & SEG_REOUT))
				c->lost -= n;
			if (!(s->flags & SEG_SACKED))
				r->acked += n;
			s->start = ack; /* the order in the tree stays */
			return;
		}
		if (!(s->flags & SEG_SACKED)) {
			r->acked += len_of(s);
			arrived(c, s, now, r);
		}
		forget(c, s);
	}
}

/* ---- RACK ---- */

static uint64_t reo_window(const struct tcp_conn *c)
{
	if (!c->reordering && (c->ca >= CA_RECOVERY || c->sacked >= 3 * c->mss))
		return 0;
	return MIN(c->reo_mult * (c->min_rtt == UINT64_MAX ? c->srtt : c->min_rtt) / 4, c->srtt);
}

void rack_detect(struct tcp_conn *c, uint64_t now)
{
	struct tcp_seg *s, *tmp;
	uint64_t wnd = reo_window(c), late;

	c->reo_at = TIMER_NEVER;
	if (!c->rack_ns)
		return;
	list_for_each_safe (s, tmp, &c->by_time, tnode) {
		if (!sent_after(c->rack_ns, c->rack_end, s->sent_ns, s->end))
			break;
		late = s->sent_ns + c->rack_rtt + wnd;
		if (late <= now) {
			seg_mark_lost(c, s);
		} else {
			c->reo_at = late;
			break;
		}
	}
}

/* ---- without SACK ---- */

static void mark_head(struct tcp_conn *c)
{
	struct tcp_seg *s = first(c);

	if (!s)
		return;
	if (len_of(s) > c->mss && !(s->flags & SEG_LOST))
		(void)seg_split(c, s, s->start + c->mss);
	seg_mark_lost(c, s);
}

void reno_dupack(struct tcp_conn *c)
{
	uint32_t most = conn_outstanding(c) > c->mss ? conn_outstanding(c) - c->mss : 0;

	c->dupacks++;
	c->reno_sacked = MIN(c->reno_sacked + c->mss, most);
	if (c->dupacks == 3 && c->ca < CA_RECOVERY)
		mark_head(c);
}

/* RFC 6582 3.2 step 3: the next hole. */
void reno_partial_ack(struct tcp_conn *c, uint32_t acked)
{
	uint32_t more = acked > c->mss ? acked - c->mss : 0;

	c->reno_sacked = c->reno_sacked > more ? c->reno_sacked - more : 0;
	c->reno_sacked = MIN(c->reno_sacked, conn_outstanding(c));
	if (c->ca == CA_RECOVERY)
		mark_head(c);
}
