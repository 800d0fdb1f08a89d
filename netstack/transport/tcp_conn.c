/* tcp_conn.c: the life of a connection over segments, and what its user does with it. */
#include "netstack/transport/tcp_conn.h"

#define TIME_WAIT_LEN (60000 * MS)

/* ---- finding ---- */

uint64_t conn_hash(struct wire *w, uint64_t key, const struct net_name *local, const struct net_name *remote)
{
	uint64_t h = hash_bytes(key ^ w->secret[0], local->addr.b, 16);

	h = hash_bytes(h, remote->addr.b, 16);
	return hash_u64(h ^ ((uint64_t)local->port << 16 | remote->port));
}

/* RFC 6528: a clock of 4 µs and a keyed hash of the names. */
uint32_t conn_isn(struct wire *w, const struct net_name *local, const struct net_name *remote, uint64_t now)
{
	return (uint32_t)(now / 4000) + (uint32_t)conn_hash(w, w->secret[1], local, remote);
}

static struct conn_bucket *bucket_of(struct wire *w, const struct net_name *local,
				     const struct net_name *remote)
{
	return &w->conns[conn_hash(w, 0, local, remote) % CONN_BUCKETS];
}

static bool same(const struct net_name *a, const struct net_name *b)
{
	return a->port == b->port && net_addr_eq(&a->addr, &b->addr);
}

static struct tcp_conn *find_locked(struct conn_bucket *b, const struct net_name *local,
				    const struct net_name *remote)
{
	struct tcp_conn *c;

	list_for_each (c, &b->conns, node)
		if (same(&c->remote, remote) && same(&c->local, local))
			return c;
	return NULL;
}

struct tcp_conn *conn_find(struct wire *w, const struct net_name *local, const struct net_name *remote)
{
	struct conn_bucket *b = bucket_of(w, local, remote);
	struct tcp_conn *c;

	mutex_lock(&b->lock);
	c = find_locked(b, local, remote);
	if (c)
		refs_get(&c->refs);
	mutex_unlock(&b->lock);
	return c;
}

int conn_insert(struct tcp_conn *c)
{
	struct conn_bucket *b = bucket_of(c->w, &c->local, &c->remote);
	int ret = 0;

	mutex_lock(&b->lock);
	if (find_locked(b, &c->local, &c->remote)) {
		ret = -EADDRNOTAVAIL;
	} else {
		refs_get(&c->refs);
		list_add(&b->conns, &c->node);
		c->hashed = true;
		__atomic_add_fetch(&c->w->conn_count, 1, __ATOMIC_RELAXED);
	}
	mutex_unlock(&b->lock);
	return ret;
}

/* ---- birth and death ---- */

int conn_new(struct wire *w, const struct net_name *local, const struct net_name *remote,
	     const struct tcp_cfg *cfg, struct tcp_conn **out)
{
	struct tcp_conn *c = kmalloc(sizeof(*c));

	if (!c)
		return -ENOMEM;
	refs_init(&c->refs);
	mutex_init(&c->lock, RANK_NET_CONN);
	c->w = w;
	c->snd.used = c->rcv.used = &w->tcp_bytes;
	list_init(&c->node);
	list_init(&c->by_time);
	c->local = *local;
	c->remote = *remote;
	c->v6 = !net_addr_is4(&remote->addr);
	c->state = NET_CLOSE;
	c->cfg = *cfg;
	net_timer_init(&c->timer, conn_timer_run, conn_timer_hold);
	c->t_rexmit = c->t_delack = c->t_keep = c->t_wait = c->t_cork = c->t_retry = c->reo_at = TIMER_NEVER;
	c->rto = TCP_RTO_INIT;
	c->min_rtt = UINT64_MAX;
	c->reo_mult = 1;
	c->quick = 16;
	c->ts_offset = (uint32_t)(conn_hash(w, 2, local, remote) >> 20);
	c->peer_mss = c->v6 ? TCP_MSS_DEFAULT6 : TCP_MSS_DEFAULT4;
	*out = c;
	return 0;
}

void conn_put(struct tcp_conn *c)
{
	if (!refs_put(&c->refs))
		return;
	net_timer_cancel(&c->w->timers, &c->timer);
	seg_free_all(c);
	bytebuf_free(&c->snd);
	bytebuf_free(&c->rcv);
	kfree(c);
}

static void unhash(struct tcp_conn *c)
{
	struct conn_bucket *b = bucket_of(c->w, &c->local, &c->remote);
	bool was;

	mutex_lock(&b->lock);
	was = c->hashed;
	if (was) {
		list_del(&c->node);
		c->hashed = false;
	}
	mutex_unlock(&b->lock);
	if (!was)
		return;
	__atomic_sub_fetch(&c->w->conn_count, 1, __ATOMIC_RELAXED);
	conn_put(c); /* never the last: whoever locked it has one */
}

void conn_done(struct tcp_conn *c, int err)
{
	if (c->state == NET_SYN_RECV)
		__atomic_sub_fetch(&c->w->half_open, 1, __ATOMIC_RELAXED);
	if (c->state == NET_TIME_WAIT)
		__atomic_sub_fetch(&c->w->time_waits, 1, __ATOMIC_RELAXED);
	if (c->state != NET_CLOSE)
		conn_set_state(c, NET_CLOSE);
	seg_free_all(c);
	if (!c->copying)
		bytebuf_free(&c->snd);
	c->snd_una = c->snd_nxt = c->snd_end;
	c->t_rexmit = c->t_delack = c->t_keep = c->t_wait = c->t_cork = c->t_retry = c->reo_at = TIMER_NEVER;
	c->ack_now = c->ack_due = false;
	if (err)
		c->error = err;
	c->events |= err ? TCP_EV_FAILED : TCP_EV_STATE;
	if (!c->user)
		bytebuf_free(&c->rcv);
}

/* Tells, and lets go what a closed connection held; no lock may be held besides. */
void conn_unlock(struct tcp_conn *c)
{
	uint32_t events = c->events;
	void *user = c->user, *listener = NULL;
	bool closed = c->state == NET_CLOSE;

	c->events = 0;
	if (closed) {
		listener = c->listener;
		c->listener = NULL;
	}
	if (closed && c->hashed)
		unhash(c);
	if (user && events && c->w->up->user_get)
		c->w->up->user_get(user);
	mutex_unlock(&c->lock);
	if (user && events) {
		c->w->up->event(user, c, events);
		if (c->w->up->user_put)
			c->w->up->user_put(user);
	}
	if (listener)
		c->w->up->listener_put(listener);
}

void conn_time_wait(struct tcp_conn *c, uint64_t now)
{
	if (__atomic_load_n(&c->w->time_waits, __ATOMIC_RELAXED) >= TCP_TW_MAX) {
		conn_done(c, 0);
		return;
	}
	__atomic_add_fetch(&c->w->time_waits, 1, __ATOMIC_RELAXED);
	conn_set_state(c, NET_TIME_WAIT);
	seg_free_all(c);
	bytebuf_free(&c->snd);
	if (!c->user)
		bytebuf_free(&c->rcv);
	c->t_rexmit = c->t_keep = c->t_cork = c->t_retry = c->reo_at = TIMER_NEVER;
	c->t_wait = now + TIME_WAIT_LEN;
}

void tcp_conns_drop_all(struct wire *w)
{
	struct tcp_conn *c;

	for (uint32_t i = 0; i < CONN_BUCKETS; i++) {
		while ((c = list_first(&w->conns[i].conns, struct tcp_conn, node))) {
			refs_get(&c->refs);
			mutex_lock(&c->lock);
			c->user = NULL;
			conn_done(c, 0);
			conn_unlock(c);
			conn_put(c);
		}
	}
}

/* ---- settings ---- */

static uint32_t rcv_limit(const struct tcp_conn *c)
{
	return c->cfg.rcvbuf ? c->cfg.rcvbuf : TCP_BUF_MAX;
}

void conn_init_windows(struct tcp_conn *c)
{
	uint32_t most = rcv_limit(c);
	uint8_t scale = 0;

	c->rcvbuf = c->cfg.rcvbuf ? c->cfg.rcvbuf : TCP_RCVBUF_INIT;
	c->sndbuf = c->cfg.sndbuf ? c->cfg.sndbuf : TCP_SNDBUF_INIT;
	if (c->cfg.window_clamp)
		c->rcvbuf = MIN(c->rcvbuf, c->cfg.window_clamp);
	while (scale < TCP_WSCALE_MAX && most > 65535u << scale)
		scale++;
	c->rcv_wscale = scale;
}

void conn_update_mss(struct tcp_conn *c)
{
	uint32_t head = c->v6 ? 60 : 40, mtu = ip_path_mtu(c->w, &c->remote.addr, &c->route), old = c->mss;
	uint32_t mss = mtu > head + TCP_MSS_MIN ? mtu - head : TCP_MSS_MIN;

	mss = MIN(mss, c->peer_mss);
	if (c->cfg.maxseg)
		mss = MIN(mss, c->cfg.maxseg);
	mss = MAX(mss, TCP_MSS_MIN);
	if (c->has_ts)
		mss -= 12;
	c->mss = mss;
	if (old && c->cc.cwnd && mss != old) {
		c->cc.cwnd = MAX((uint32_t)((uint64_t)c->cc.cwnd * mss / old), mss);
		if (c->cc.ssthresh != UINT32_MAX)
			c->cc.ssthresh = MAX((uint32_t)((uint64_t)c->cc.ssthresh * mss / old), 2 * mss);
	}
}

void conn_configure(struct tcp_conn *c, const struct tcp_cfg *cfg)
{
	uint64_t now = wire_now(c->w);
	bool cc_changed;

	mutex_lock(&c->lock);
	cc_changed = memcmp(c->cfg.cc, cfg->cc, sizeof(cfg->cc)) != 0;
	c->cfg = *cfg;
	if (cfg->rcvbuf && cfg->rcvbuf > c->rcvbuf)
		c->rcvbuf = MIN(cfg->rcvbuf, 65535u << c->rcv_wscale);
	if (cfg->sndbuf)
		c->sndbuf = cfg->sndbuf;
	if (cc_changed && c->cc.ops) {
		c->cc.ops = cc_find(cfg->cc[0] ? cfg->cc : c->w->cc);
		c->cc.ops->init(c);
	}
	if (!cfg->keepalive)
		c->t_keep = TIMER_NEVER;
	else if (c->t_keep == TIMER_NEVER && conn_can_send(c->state))
		c->t_keep = now + (uint64_t)cfg->keepidle_s * 1000 * MS;
	if (conn_can_send(c->state)) {
		c->push_all = cfg->nodelay && !cfg->cork;
		conn_push(c, now);
	}
	conn_unlock(c);
}

int conn_connect(struct wire *w, const struct net_name *local, const struct net_name *remote,
		 const struct route *r, const struct tcp_cfg *cfg, void *user, struct tcp_conn **out)
{
	uint64_t now = wire_now(w);
	struct tcp_conn *c;
	int ret = conn_new(w, local, remote, cfg, &c);

	if (ret < 0)
		return ret;
	mutex_lock(&c->lock);
	c->user = user;
	c->route = *r;
	c->active = true;
	c->has_ts = c->sack_ok = c->has_wscale = true; /* asked for */
	c->ecn = w->ecn == 1;
	conn_init_windows(c);
	conn_update_mss(c);
	c->iss = conn_isn(w, local, remote, now);
	c->snd_una = c->snd_nxt = c->iss;
	c->snd_end = c->snd_up = c->snd_sml = c->iss + 1;
	cc_init(c);
	ret = conn_insert(c);
	if (ret < 0) {
		mutex_unlock(&c->lock);
		conn_put(c);
		return ret;
	}
	conn_set_state(c, NET_SYN_SENT);
	c->events = 0;
	conn_send_syn(c, now);
	conn_arm_rexmit(c, now);
	conn_arm(c);
	*out = c;
	mutex_unlock(&c->lock);
	return 0;
}

/* ---- data ---- */

void conn_push(struct tcp_conn *c, uint64_t now)
{
	if (c->state == NET_CLOSE)
		return;
	if (c->state != NET_SYN_SENT && c->state != NET_SYN_RECV && c->state != NET_TIME_WAIT)
		conn_output(c, now);
	else if (c->ack_now && c->state != NET_SYN_SENT)
		conn_send_ack(c, now);
	conn_arm(c);
}

static uint32_t room_of(const struct tcp_conn *c)
{
	uint32_t used = c->snd_end - c->snd_una;

	if (UNLIKELY(used >= CHUNK_SIZE &&
		     __atomic_load_n(&c->w->tcp_bytes, __ATOMIC_RELAXED) >= c->w->tcp_mem))
		return 0; /* what is acknowledged makes room */
	return used < c->sndbuf ? c->sndbuf - used : 0;
}

static bool send_ready(const struct tcp_conn *c)
{
	if (c->cfg.notsent_lowat && c->snd_end - c->snd_nxt >= c->cfg.notsent_lowat)
		return false;
	return room_of(c) >= c->sndbuf / 3;
}

static ssize_t send_error(struct tcp_conn *c)
{
	if (c->state == NET_SYN_SENT || c->state == NET_SYN_RECV) {
		c->want_out = true;
		return -EAGAIN;
	}
	return -EPIPE;
}

/* Copies up to n bytes of the user's behind snd_end, with the lock given up; how many, or an error. */
static ssize_t copy_in(struct tcp_conn *c, struct net_io *io, uint32_t n)
{
	uint32_t at = c->snd_end, done = 0, part;
	ssize_t ret = 0;

	if (bytebuf_reserve(&c->snd, c->snd_una, at, at + n) < 0)
		return -ENOBUFS;
	c->copying = true;
	mutex_unlock(&c->lock);
	while (done < n) {
		uint8_t *to;

		part = n - done;
		to = bytebuf_at(&c->snd, at + done, &part);
		ret = io->move(io, to, part);
		if (ret <= 0)
			break;
		done += (uint32_t)ret;
		if ((uint32_t)ret < part)
			break;
	}
	mutex_lock(&c->lock);
	c->copying = false;
	if (c->state == NET_CLOSE)
		bytebuf_free(&c->snd);
	return done ? (ssize_t)done : ret;
}

ssize_t conn_send(struct tcp_conn *c, struct net_io *io, uint32_t flags)
{
	ssize_t total = 0, ret = 0;
	uint32_t n;

	mutex_lock(&c->lock);
	while (io->resid) {
		if (!conn_can_send(c->state) || c->fin_queued) {
			ret = send_error(c);
			break;
		}
		n = (uint32_t)MIN((uint64_t)room_of(c), io->resid);
		if (!n || (c->cfg.notsent_lowat && c->snd_end - c->snd_nxt >= c->cfg.notsent_lowat)) {
			c->want_out = true;
			ret = -EAGAIN;
			break;
		}
		ret = copy_in(c, io, MIN(n, 128u * 1024));
		if (ret <= 0)
			break;
		if (!conn_can_send(c->state)) {
			ret = -EPIPE; /* it ended meanwhile; the buffer went with it */
			break;
		}
		c->snd_end += (uint32_t)ret;
		total += ret;
		if ((flags & NET_OOB) && !io->resid) {
			c->snd_up = c->snd_end;
			c->urgent_out = true;
		}
		c->more = (flags & NET_MORE) || io->resid;
		if (c->more && !(flags & NET_MORE) && c->snd_end - c->snd_nxt < c->mss)
			continue;
		conn_push(c, wire_now(c->w));
	}
	c->more = flags & NET_MORE;
	if (total && !c->more && c->snd_nxt != c->snd_end)
		conn_push(c, wire_now(c->w));
	conn_unlock(c);
	return total ? total : ret;
}

/* Where a read ends because of urgent data; *skip: it begins behind the urgent byte. */
static uint32_t until_urgent(struct tcp_conn *c, uint32_t avail, bool *skip)
{
	uint32_t off = c->urg_seq - c->rcv_read;

	if (c->urg == URG_NONE || off >= avail)
		return avail;
	if (off)
		return off;
	if (!c->cfg.oobinline) {
		*skip = true;
		return avail - 1;
	}
	return avail;
}

static void taken(struct tcp_conn *c, uint32_t n)
{
	uint32_t old = c->rcv_read;
	bool empty;

	c->rcv_read += n;
	if (c->urg != URG_NONE && seq_gt(c->rcv_read, c->urg_seq))
		c->urg = URG_NONE;
	empty = !conn_avail(c) && !c->ooo_count;
	bytebuf_drop(&c->rcv, old, c->rcv_read, empty);
}

/* A window update is worth a segment when it opens the window by two segments or half of the buffer (RFC 9293
 * 3.8.6.2.2). */
static void maybe_update_window(struct tcp_conn *c, uint64_t now)
{
	uint32_t room = conn_rcv_room(c), open = c->rcv_adv - c->rcv_nxt;

	conn_tune_rcvbuf(c, now);
	if (c->fin_rcvd || c->state == NET_CLOSE || c->state == NET_TIME_WAIT || c->state == NET_SYN_SENT)
		return;
	if (room <= open || room - open < MIN(c->rcvbuf / 2, 2 * c->rcv_mss))
		return;
	if (open > c->rcvbuf / 2 && open > 4 * c->rcv_mss) /* plenty: tell with the next ACK */
		return;
	conn_send_ack(c, now);
	conn_arm(c);
}

static ssize_t recv_oob(struct tcp_conn *c, struct net_io *io, uint32_t flags, bool *oob)
{
	uint8_t byte = c->urg_byte;
	ssize_t ret = 1;

	if (c->cfg.oobinline || c->urg != URG_VALID)
		return -EINVAL;
	*oob = true;
	if (!(flags & NET_PEEK))
		c->urg = URG_READ;
	mutex_unlock(&c->lock);
	if (io->resid)
		ret = io->move(io, &byte, 1);
	mutex_lock(&c->lock);
	return ret;
}

ssize_t conn_recv(struct tcp_conn *c, struct net_io *io, uint32_t flags, bool *oob)
{
	uint32_t n, part, at, done = 0;
	ssize_t ret = 0;
	bool skip = false;

	mutex_lock(&c->lock);
	if (flags & NET_OOB) {
		ret = recv_oob(c, io, flags, oob);
		conn_unlock(c);
		return ret;
	}
	n = until_urgent(c, conn_avail(c), &skip);
	if (skip && !(flags & NET_PEEK)) {
		taken(c, 1);
		skip = false;
	}
	n = (uint32_t)MIN((uint64_t)n, io->resid);
	at = c->rcv_read + skip;
	while (done < n) {
		part = n - done;
		if (flags & NET_TRUNC) {
			io->resid -= part;
			done = n;
			break;
		}
		const uint8_t *from = bytebuf_at(&c->rcv, at + done, &part);

		mutex_unlock(&c->lock);
		ret = io->move(io, (void *)from, part);
		mutex_lock(&c->lock);
		if (ret > 0)
			done += (uint32_t)ret;
		if (ret < (ssize_t)part)
			break;
	}
	if (done && !(flags & NET_PEEK)) {
		taken(c, done);
		maybe_update_window(c, wire_now(c->w));
	}
	if (!done && !n)
		ret = c->fin_rcvd || c->shut_rd || c->state == NET_CLOSE ? 0 : -EAGAIN;
	conn_unlock(c);
	return done ? (ssize_t)done : ret;
}

/* ---- finishing ---- */

static void queue_fin(struct tcp_conn *c)
{
	if (c->fin_queued)
		return;
	switch (c->state) {
	case NET_ESTABLISHED:
	case NET_SYN_RECV:
		conn_set_state(c, NET_FIN_WAIT1);
		break;
	case NET_CLOSE_WAIT:
		conn_set_state(c, NET_LAST_ACK);
		break;
	default:
		return;
	}
	c->fin_queued = true;
}

void conn_shutdown(struct tcp_conn *c, bool rd, bool wr)
{
	mutex_lock(&c->lock);
	if (rd)
		c->shut_rd = true;
	if (wr) {
		queue_fin(c);
		conn_push(c, wire_now(c->w));
	}
	conn_unlock(c);
}

/* How long an orphan waits in FIN_WAIT2: TCP_LINGER2. */
static uint64_t linger2(const struct tcp_conn *c)
{
	return c->cfg.linger2_s > 0 ? (uint64_t)c->cfg.linger2_s * 1000 * MS : TIME_WAIT_LEN;
}

void conn_close(struct tcp_conn *c, bool abort)
{
	uint64_t now = wire_now(c->w);
	bool unread;

	mutex_lock(&c->lock);
	unread = conn_avail(c) != 0;
	c->user = NULL;
	c->events = 0;
	c->shut_rd = true;
	if (c->state == NET_SYN_SENT) {
		conn_done(c, 0);
	} else if (c->state != NET_CLOSE && c->state != NET_TIME_WAIT && (abort || unread)) {
		conn_send_rst(c, now); /* RFC 2525 2.17: data was lost */
		conn_done(c, 0);
	} else if (c->state == NET_CLOSE || c->state == NET_TIME_WAIT) {
		bytebuf_free(&c->rcv);
		c->rcv_read = c->rcv_nxt - c->fin_rcvd;
	} else {
		queue_fin(c);
		if (c->state == NET_FIN_WAIT2)
			c->t_wait = now + linger2(c);
		c->more = false;
		conn_push(c, now);
	}
	conn_unlock(c);
}

/* ---- looking ---- */

uint32_t conn_ready(struct tcp_conn *c)
{
	uint32_t ev = 0, avail, target;

	mutex_lock(&c->lock);
	avail = conn_avail(c);
	target = MAX(c->cfg.rcvlowat, 1u);
	target = MIN(target, c->rcvbuf / 2);
	if (c->urg != URG_NONE && c->urg_seq == c->rcv_read && !c->cfg.oobinline)
		target++;
	if (avail >= target || c->fin_rcvd || c->shut_rd || c->state == NET_CLOSE)
		ev |= IN_EVENTS;
	if (c->fin_rcvd || c->shut_rd || c->state == NET_CLOSE)
		ev |= EV_RDHUP;
	if (c->state != NET_SYN_SENT && c->state != NET_SYN_RECV) {
		if (!conn_can_send(c->state) || send_ready(c))
			ev |= OUT_EVENTS;
		else
			c->want_out = true;
	}
	if (c->state == NET_CLOSE || c->state == NET_TIME_WAIT)
		ev |= EV_HUP;
	if (c->urg == URG_VALID)
		ev |= EV_PRI;
	if (c->error)
		ev |= EV_ERR;
	mutex_unlock(&c->lock);
	return ev;
}

uint64_t conn_unread(struct tcp_conn *c)
{
	bool skip = false;
	uint64_t n;

	mutex_lock(&c->lock);
	n = until_urgent(c, conn_avail(c), &skip);
	mutex_unlock(&c->lock);
	return n;
}

uint64_t conn_unacked(struct tcp_conn *c)
{
	uint64_t n;

	mutex_lock(&c->lock);
	n = c->state == NET_CLOSE || c->state == NET_SYN_SENT ? 0 : c->snd_end - c->snd_una;
	mutex_unlock(&c->lock);
	return n;
}

bool conn_at_mark(struct tcp_conn *c)
{
	bool at;

	mutex_lock(&c->lock);
	at = c->urg != URG_NONE && c->urg_seq == c->rcv_read;
	mutex_unlock(&c->lock);
	return at;
}
