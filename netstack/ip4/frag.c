/* frag.c: putting fragments together (RFC 791, 815; IPv6: RFC 8200 4.5), for both versions. A datagram with
 * overlapping fragments is thrown away (RFC 5722; for IPv4 too, as attacks are all that overlaps are used for).
 * Memory is bounded: the oldest goes first. */
#include "netstack/proto/icmp.h"
#include "netstack/wire.h"

#define FRAG_NS	   30000000000ULL /* net.ipv4.ipfrag_time */
#define FRAG_NS6   60000000000ULL /* RFC 8200 4.5 */
#define FRAG_TOTAL 65535u
#define QUOTE_MAX  128u

struct frag_piece {
	struct list node;
	uint32_t offset, len;
	uint8_t data[];
};

struct frag_queue {
	struct list node; /* [wire->lock], as all here */
	struct frag_key key;
	struct list pieces;  /* by offset */
	uint32_t got, total; /* bytes; total 0: the last fragment hasn't come */
	uint32_t bytes;	     /* of memory */
	uint64_t expires;
	uint8_t tos, ttl;
	uint32_t quoted, quoted_head; /* the first fragment's header and some of it */
	uint8_t quote[QUOTE_MAX];
};

static void free_locked(struct wire *w, struct frag_queue *q)
{
	struct frag_piece *f, *tmp;

	list_for_each_safe (f, tmp, &q->pieces, node)
		kfree(f);
	list_del(&q->node);
	w->frag_bytes -= q->bytes;
	kfree(q);
}

static bool same_key(const struct frag_key *a, const struct frag_key *b)
{
	return a->id == b->id && a->protocol == b->protocol && a->ifindex == b->ifindex &&
	       net_addr_eq(&a->src, &b->src) && net_addr_eq(&a->dst, &b->dst);
}

static struct frag_queue *get_locked(struct wire *w, const struct frag_part *f)
{
	struct frag_queue *q;
	uint64_t now = wire_now(w);

	list_for_each (q, &w->frags, node)
		if (same_key(&q->key, &f->key))
			return q;
	q = kmalloc(sizeof(*q));
	if (!q)
		return NULL;
	q->key = f->key;
	list_init(&q->pieces);
	q->expires = now + (net_addr_is4(&f->key.src) ? FRAG_NS : FRAG_NS6);
	q->bytes = sizeof(*q);
	w->frag_bytes += q->bytes;
	list_add_tail(&w->frags, &q->node);
	if (q->expires < w->frag_timer.deadline)
		net_timer_set(&w->timers, &w->frag_timer, q->expires);
	return q;
}

enum { PLACED, AGAIN, BROKEN };

/* Where it belongs among the others; it must not overlap them. The very same one again is ignored. */
static int place_locked(struct frag_queue *q, const struct frag_part *f)
{
	struct list *before = &q->pieces;
	struct frag_piece *p, *add;

	list_for_each (p, &q->pieces, node) {
		if (p->offset == f->offset && p->len == f->len && memcmp(p->data, f->data, f->len) == 0)
			return AGAIN;
		if (p->offset < f->offset + f->len && f->offset < p->offset + p->len)
			return BROKEN;
		if (p->offset > f->offset) {
			before = &p->node;
			break;
		}
	}
	add = kmalloc(sizeof(*add) + f->len);
	if (!add)
		return AGAIN;
	add->offset = f->offset;
	add->len = f->len;
	memcpy(add->data, f->data, f->len);
	list_add_tail(before, &add->node);
	q->got += f->len;
	return PLACED;
}

static bool fits(struct frag_queue *q, const struct frag_part *f)
{
	uint32_t end = f->offset + f->len;
	struct frag_piece *last = list_last(&q->pieces, struct frag_piece, node);

	if (f->more && (f->len == 0 || f->len % 8))
		return false;
	if (end > FRAG_TOTAL || f->len == 0)
		return false;
	if (!f->more) {
		if ((q->total && q->total != end) || (last && last->offset + last->len > end))
			return false;
		q->total = end;
	}
	return !q->total || end <= q->total;
}

static bool join_locked(struct frag_queue *q, struct frag_whole *out)
{
	struct frag_piece *p;

	out->data = kmalloc(q->total);
	if (!out->data)
		return false;
	list_for_each (p, &q->pieces, node)
		memcpy(out->data + p->offset, p->data, p->len);
	out->len = q->total;
	out->tos = q->tos;
	out->ttl = q->ttl;
	return true;
}

/* RFC 3168 5.3: congestion marked on any fragment is on the whole; ECT beside not-ECT makes none. */
static void join_tos(struct frag_queue *q, uint8_t tos)
{
	if (list_empty(&q->pieces))
		q->tos = tos;
	else if ((tos & 3) == 3 && (q->tos & 3) != 0)
		q->tos |= 3;
}

bool frag_input(struct wire *w, const struct frag_part *f, struct frag_whole *out)
{
	struct frag_queue *q;
	bool whole = false;
	int ret;

	WCOUNT(w, ip_frags_in);
	mutex_lock(&w->lock);
	q = get_locked(w, f);
	if (!q)
		goto out;
	join_tos(q, f->tos);
	if (f->offset == 0 && !q->quoted) {
		q->ttl = f->ttl;
		q->quoted_head = MIN(f->header_len, QUOTE_MAX);
		q->quoted = MIN(f->header_len + f->len, QUOTE_MAX);
		memcpy(q->quote, f->header, q->quoted);
	}
	ret = fits(q, f) ? place_locked(q, f) : BROKEN;
	if (ret == BROKEN) {
		WCOUNT(w, ip_frag_dropped);
		free_locked(w, q);
		goto out;
	}
	if (ret == PLACED) {
		q->bytes += (uint32_t)sizeof(struct frag_piece) + f->len;
		w->frag_bytes += (uint32_t)sizeof(struct frag_piece) + f->len;
	}
	if (q->total && q->got == q->total) {
		whole = join_locked(q, out);
		WCOUNT(w, ip_reassembled);
		free_locked(w, q);
	}
	while (w->frag_bytes > FRAG_BYTES) {
		WCOUNT(w, ip_frag_dropped);
		free_locked(w, list_first(&w->frags, struct frag_queue, node));
	}
out:
	mutex_unlock(&w->lock);
	return whole;
}

/* RFC 1122 3.3.2, RFC 8200 4.5: Time Exceeded if the first fragment was there. */
static void tell_timeout(struct wire *w, struct frag_queue *q)
{
	struct ip_in in = {.l = wire_link(w, q->key.ifindex),
			   .header = q->quote,
			   .header_len = q->quoted_head,
			   .unicast = true,
			   .p = {.v6 = !net_addr_is4(&q->key.src),
				 .protocol = q->key.protocol,
				 .src = q->key.src,
				 .dst = q->key.dst,
				 .ifindex = q->key.ifindex,
				 .data = q->quote + q->quoted_head,
				 .len = q->quoted - q->quoted_head}};

	if (!q->quoted || !in.l || net_addr_multicast(&q->key.dst))
		return;
	if (in.p.v6)
		icmp6_send_error(w, &in, ICMP6_TIME_EXCEEDED, 1, 0);
	else
		icmp4_send_error(w, &in, ICMP_TIME_EXCEEDED, 1, 0);
}

void frag_timer_run(struct net_timer *t)
{
	struct wire *w = container_of(t, struct wire, frag_timer);
	uint64_t now = wire_now(w);
	struct frag_queue *q, *tmp;
	struct list late;

	list_init(&late);
	mutex_lock(&w->lock);
	list_for_each_safe (q, tmp, &w->frags, node) {
		if (q->expires <= now) {
			WCOUNT(w, ip_frag_dropped);
			list_del(&q->node);
			list_add_tail(&late, &q->node);
		}
	}
	q = NULL;
	list_for_each (tmp, &w->frags, node)
		if (!q || tmp->expires < q->expires)
			q = tmp;
	net_timer_set(&w->timers, &w->frag_timer, q ? q->expires : TIMER_NEVER);
	mutex_unlock(&w->lock);
	list_for_each (q, &late, node)
		tell_timeout(w, q);
	mutex_lock(&w->lock);
	list_for_each_safe (q, tmp, &late, node)
		free_locked(w, q);
	mutex_unlock(&w->lock);
}

void frag_drop_all(struct wire *w)
{
	struct frag_queue *q, *tmp;

	net_timer_cancel(&w->timers, &w->frag_timer);
	list_for_each_safe (q, tmp, &w->frags, node)
		free_locked(w, q);
}
