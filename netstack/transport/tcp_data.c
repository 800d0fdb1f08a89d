/* tcp_data.c: the bytes of a connection whose both ends are here. Each direction is a pipe: a ring that the
 * sender fills straight from its caller's memory and the receiver empties straight into its caller's, at the
 * same time on two processors. The ring is as large as was ever needed at once, up to the window plus the
 * sender's queue. A waiter is woken only when there is one. */
#include "netstack/internal.h"

#define RING_MIN   1024u
#define RINGS_MAX  (1ULL << 30)
#define COPY_MAX   (64u * 1024) /* a receiver may begin when so much is there */
#define TELL_EVERY 64u
#define LO_MSS	   65483u

struct tcp_pipe *tcp_pipe_create(struct net_stack *st)
{
	struct tcp_pipe *p = kmalloc(sizeof(*p));

	if (!p)
		return NULL;
	refs_init(&p->refs);
	p->st = st;
	mutex_init(&p->lock, RANK_NET_PIPE);
	return p;
}

void tcp_pipe_put(struct tcp_pipe *p)
{
	if (!refs_put(&p->refs))
		return;
	__atomic_sub_fetch(&p->st->ring_bytes, p->size, __ATOMIC_RELAXED);
	kfree(p->buf);
	kfree(p);
}

void tcp_flush_counters(struct net_stack *st, struct tcp_pipe *p)
{
	uint64_t bytes = p->tail - p->told;

	COUNT_LO(st, p->packets, bytes + p->packets * 66u);
	p->told = p->tail;
	p->packets = 0;
}

/* ---- sending ---- */

/* Room for n bytes behind what is there. True if there is any room at all. Sender's lock held. */
static bool make_room(struct tcp_pipe *p, uint64_t used, uint64_t n)
{
	uint32_t size = p->size ? p->size : RING_MIN, mask;
	uint8_t *buf;
	uint64_t i;

	if (LIKELY(used + n <= p->size))
		return true;
	while (size < used + n)
		size *= 2;
	/* what all rings take together is bounded, as by net.ipv4.tcp_mem; a first ring is always granted */
	if (__atomic_load_n(&p->st->ring_bytes, __ATOMIC_RELAXED) + size > RINGS_MAX) {
		if (p->size)
			return used < p->size;
		size = RING_MIN;
	}
	buf = kmalloc(size);
	if (!buf)
		return used < p->size;
	__atomic_add_fetch(&p->st->ring_bytes, size - p->size, __ATOMIC_RELAXED);
	mutex_lock(&p->lock);
	mask = p->size - 1;
	for (i = p->head; i < p->tail;) {
		uint64_t part = MIN(p->tail - i, (uint64_t)p->size - (i & mask));

		part = MIN(part, (uint64_t)size - (i & (size - 1)));
		memcpy(buf + (i & (size - 1)), p->buf + (i & mask), part);
		i += part;
	}
	kfree(p->buf);
	p->buf = buf;
	p->size = size;
	mutex_unlock(&p->lock);
	return true;
}

static uint64_t used_of(struct tcp_pipe *p)
{
	return p->tail - __atomic_load_n(&p->head, __ATOMIC_ACQUIRE);
}

/* As sk_stream_is_writeable: a third of the queue is free. */
static bool writable(uint64_t used, uint32_t cap, uint32_t window)
{
	uint64_t queued = used > window ? used - window : 0;

	return queued + queued / 2 <= cap - window && used < cap;
}

static bool pipe_writable(struct tcp_pipe *p)
{
	uint64_t tail = __atomic_load_n(&p->tail, __ATOMIC_ACQUIRE);
	uint64_t head = __atomic_load_n(&p->head, __ATOMIC_ACQUIRE);

	return writable(tail - head, __atomic_load_n(&p->cap, __ATOMIC_RELAXED),
			__atomic_load_n(&p->window, __ATOMIC_RELAXED));
}

/* Asks the receiver for a wake-up; false when there is room after all. */
static bool want_room(struct tcp_pipe *p)
{
	__atomic_store_n(&p->want, 1, __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return !pipe_writable(p);
}

static ssize_t put_bytes(struct tcp_pipe *p, struct net_io *io, uint64_t n)
{
	uint64_t tail = p->tail, at = tail & (p->size - 1);
	uint64_t first = MIN(n, (uint64_t)p->size - at);
	ssize_t got = io->move(io, p->buf + at, first), more;

	if (got < 0)
		return got;
	if ((uint64_t)got == first && n > first) {
		more = io->move(io, p->buf, n - first);
		if (more > 0)
			got += more;
	}
	__atomic_store_n(&p->tail, tail + (uint64_t)got, __ATOMIC_SEQ_CST);
	p->packets += 1 + (uint32_t)got / LO_MSS;
	return got;
}

static void set_urgent(struct tcp_pipe *p)
{
	uint64_t pos = p->tail - 1;

	mutex_lock(&p->lock);
	p->urg_byte = p->buf[pos & (p->size - 1)];
	__atomic_store_n(&p->urg_pos, pos, __ATOMIC_RELAXED);
	__atomic_store_n(&p->urg, URG_VALID, __ATOMIC_RELEASE);
	mutex_unlock(&p->lock);
}

/* What cannot be sent: why. 0: it can. */
static int send_check(struct tcp_sock *t)
{
	uint8_t state = sk_state(&t->sk);
	int err;

	if (LIKELY((state == NET_ESTABLISHED || state == NET_CLOSE_WAIT) &&
		   !__atomic_load_n(&t->sk.error, __ATOMIC_RELAXED) && !(sk_shut(&t->sk) & SHUT_WR_)))
		return 0;
	if (state == NET_SYN_SENT)
		return -EAGAIN;
	err = net_take_error(&t->sk);
	return err ? -err : -EPIPE;
}

/* The other end was closed: the data is answered with RST. send_lock held. */
static void send_into_the_void(struct tcp_sock *t, struct tcp_sock *peer)
{
	mutex_lock(&t->sk.lock);
	tcp_reset_locked(t);
	mutex_unlock(&t->sk.lock);
	COUNT(peer->sk.st, tcp_rst_out);
	tcp_wake_all(t);
}

/* The data goes nowhere, but is taken from the caller. */
static ssize_t swallow(struct net_io *io)
{
	uint8_t waste[256];
	ssize_t n, total = 0;

	while (io->resid) {
		n = io->move(io, waste, MIN(io->resid, sizeof(waste)));
		if (n <= 0)
			return total ? total : n;
		total += n;
	}
	return total;
}

static ssize_t send_locked(struct tcp_sock *t, struct net_io *io, const struct net_tx *tx)
{
	struct tcp_sock *peer = t->peer;
	struct tcp_pipe *p = t->out;
	uint64_t used, n, cap;
	ssize_t ret, total = 0;
	int err = send_check(t);

	if (UNLIKELY(err < 0))
		return err;
	if (UNLIKELY(!peer || !p))
		return -EPIPE;
	if (UNLIKELY(__atomic_load_n(&peer->sk.closed, __ATOMIC_ACQUIRE))) {
		ret = swallow(io);
		if (ret > 0)
			send_into_the_void(t, peer);
		return ret;
	}
	while (io->resid) {
		used = used_of(p);
		cap = __atomic_load_n(&p->cap, __ATOMIC_RELAXED);
		if (used >= cap) {
			if (total || want_room(p))
				break;
			continue;
		}
		n = MIN(MIN(cap - used, io->resid), (uint64_t)COPY_MAX);
		if (UNLIKELY(!make_room(p, used, n))) {
			if (total || (p->size && want_room(p)))
				break;
			return p->size ? -EAGAIN : -ENOBUFS;
		}
		n = MIN(n, (uint64_t)p->size - used);
		ret = put_bytes(p, io, n);
		if (ret < 0)
			return total ? total : ret;
		total += ret;
		if (UNLIKELY(stack_tapped(t->sk.st)))
			tcp_tap_data(t, (uint64_t)ret);
		if (UNLIKELY((tx->flags & NET_OOB) && !io->resid)) {
			set_urgent(p);
			waitq_wake(&peer->sk.wq, EV_PRI | EV_RDBAND);
		}
		waitq_wake(&peer->sk.wq, IN_EVENTS);
		if (UNLIKELY((uint64_t)ret < n))
			break;
	}
	if (UNLIKELY(p->packets >= TELL_EVERY))
		tcp_flush_counters(t->sk.st, p);
	if (UNLIKELY(__atomic_load_n(&peer->deferred, __ATOMIC_RELAXED)))
		tcp_undefer(peer);
	return total || !io->resid ? total : -EAGAIN;
}

ssize_t tcp_send(struct net_sock *sk, struct net_io *io, const struct net_tx *tx)
{
	struct tcp_sock *t = tcp_of(sk);
	ssize_t ret;

	mutex_lock(&t->send_lock);
	ret = UNLIKELY(t->wire != NULL) ? sk->st->wire->send(t, io, tx) : send_locked(t, io, tx);
	mutex_unlock(&t->send_lock);
	return ret;
}

/* ---- receiving ---- */

static ssize_t get_bytes(struct tcp_pipe *p, struct net_io *io, uint64_t from, uint64_t n, bool drop)
{
	uint64_t at = from & (p->size - 1), first = MIN(n, (uint64_t)p->size - at);
	ssize_t put, more;

	if (UNLIKELY(drop)) {
		io->resid -= n;
		return (ssize_t)n;
	}
	put = io->move(io, p->buf + at, first);
	if (put < 0)
		return put;
	if ((uint64_t)put == first && n > first) {
		more = io->move(io, p->buf, n - first);
		if (more > 0)
			put += more;
	}
	return put;
}

static void tell_sender(struct tcp_sock *t, struct tcp_pipe *p)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (LIKELY(!__atomic_load_n(&p->want, __ATOMIC_RELAXED)) || !pipe_writable(p))
		return;
	__atomic_store_n(&p->want, 0, __ATOMIC_SEQ_CST);
	if (t->peer)
		waitq_wake(&t->peer->sk.wq, OUT_EVENTS);
}

/* How far a read may go because of urgent data, and whether it begins behind the urgent byte. */
static uint64_t limit_by_urgent(const struct tcp_sock *t, struct tcp_pipe *p, uint64_t avail, uint64_t *skip)
{
	uint64_t off = p->urg_pos - p->head;

	if (off >= avail)
		return avail;
	if (off)
		return off;
	if (!t->sk.opts.oobinline) {
		*skip = 1;
		avail--;
	}
	return avail;
}

static void advance(struct tcp_pipe *p, uint64_t n)
{
	__atomic_store_n(&p->head, p->head + n, __ATOMIC_SEQ_CST);
	if (UNLIKELY(p->urg != URG_NONE) && p->head > p->urg_pos)
		__atomic_store_n(&p->urg, URG_NONE, __ATOMIC_RELEASE);
}

/* What is there, into io; 0 when nothing is. recv_lock held. */
static ssize_t take(struct tcp_sock *t, struct tcp_pipe *p, struct net_io *io, struct net_rx *rx)
{
	uint64_t avail, n, skip = 0;
	ssize_t ret;

	mutex_lock(&p->lock);
	avail = __atomic_load_n(&p->tail, __ATOMIC_ACQUIRE) - p->head;
	if (UNLIKELY(p->urg != URG_NONE) && avail)
		avail = limit_by_urgent(t, p, avail, &skip);
	if (skip && !avail && !(rx->flags & NET_PEEK))
		advance(p, skip);
	n = MIN(avail, io->resid);
	ret = n ? get_bytes(p, io, p->head + skip, n, rx->flags & NET_TRUNC) : 0;
	if (ret > 0 && LIKELY(!(rx->flags & NET_PEEK)))
		advance(p, (uint64_t)ret + skip);
	mutex_unlock(&p->lock);
	return ret;
}

static ssize_t recv_urgent(struct tcp_sock *t, struct net_io *io, struct net_rx *rx)
{
	struct tcp_pipe *p = t->in;
	ssize_t ret = 1;

	if (!p)
		return sk_state(&t->sk) == NET_CLOSE || sk_state(&t->sk) == NET_LISTEN ? -EINVAL : -EAGAIN;
	mutex_lock(&p->lock);
	if (t->sk.opts.oobinline || p->urg != URG_VALID) {
		ret = -EINVAL;
	} else {
		rx->oob = true;
		if (io->resid)
			ret = io->move(io, &p->urg_byte, 1);
		else
			rx->truncated = true;
		if (!(rx->flags & NET_PEEK) && ret >= 0)
			__atomic_store_n(&p->urg, URG_READ, __ATOMIC_RELEASE);
	}
	mutex_unlock(&p->lock);
	return ret;
}

static ssize_t recv_locked(struct tcp_sock *t, struct net_io *io, struct net_rx *rx)
{
	/* Looked at before the bytes: what the peer sent before its end comes before that. */
	uint8_t state = sk_state(&t->sk), shut = sk_shut(&t->sk);
	struct tcp_pipe *p = t->in;
	bool fin = false;
	ssize_t ret;
	int err;

	if (UNLIKELY(rx->flags & NET_OOB))
		return recv_urgent(t, io, rx);
	if (state == NET_LISTEN)
		return -ENOTCONN;
	if (state == NET_SYN_SENT)
		return -EAGAIN;
	if (LIKELY(p != NULL)) {
		fin = __atomic_load_n(&p->fin, __ATOMIC_ACQUIRE);
		if (UNLIKELY(io->resid == 0) && used_of(p))
			return 0;
		ret = take(t, p, io, rx);
		if (LIKELY(ret != 0)) {
			if (LIKELY(ret > 0 && !(rx->flags & NET_PEEK)))
				tell_sender(t, p);
			return ret;
		}
		if (fin)
			return 0;
	}
	err = net_take_error(&t->sk);
	if (err)
		return -err;
	if (shut & SHUT_RD_)
		return 0;
	return state == NET_CLOSE ? -ENOTCONN : -EAGAIN;
}

ssize_t tcp_recv(struct net_sock *sk, struct net_io *io, struct net_rx *rx)
{
	struct tcp_sock *t = tcp_of(sk);
	ssize_t ret;

	mutex_lock(&t->recv_lock);
	ret = UNLIKELY(t->wire != NULL) ? sk->st->wire->recv(t, io, rx) : recv_locked(t, io, rx);
	mutex_unlock(&t->recv_lock);
	return ret;
}

/* ---- looking ---- */

static bool readable_locked(struct tcp_sock *t)
{
	struct tcp_pipe *p = t->in;
	uint64_t avail =
		__atomic_load_n(&p->tail, __ATOMIC_ACQUIRE) - __atomic_load_n(&p->head, __ATOMIC_ACQUIRE);
	uint64_t target = (uint64_t)MAX(t->sk.opts.rcvlowat, 1);

	target = MIN(target, (uint64_t)p->window);
	if (UNLIKELY(p->urg != URG_NONE) && p->urg_pos == p->head && !t->sk.opts.oobinline)
		target++;
	return avail >= target;
}

static uint32_t ready_locked(struct tcp_sock *t)
{
	uint8_t state = sk_state(&t->sk), shut = sk_shut(&t->sk);
	uint32_t ev = 0;

	if (state == NET_LISTEN)
		return __atomic_load_n(&t->queued, __ATOMIC_ACQUIRE) ? IN_EVENTS : 0;
	if (shut == SHUT_ALL || state == NET_CLOSE)
		ev |= EV_HUP;
	if (shut & SHUT_RD_)
		ev |= IN_EVENTS | EV_RDHUP;
	if (state != NET_SYN_SENT) {
		if (t->in && readable_locked(t))
			ev |= IN_EVENTS;
		if ((shut & SHUT_WR_) || !t->out || pipe_writable(t->out) || !want_room(t->out))
			ev |= OUT_EVENTS;
		if (t->in && __atomic_load_n(&t->in->urg, __ATOMIC_ACQUIRE) == URG_VALID)
			ev |= EV_PRI;
	}
	if (__atomic_load_n(&t->sk.error, __ATOMIC_ACQUIRE))
		ev |= EV_ERR;
	return ev;
}

uint32_t tcp_ready(struct net_sock *sk)
{
	uint32_t ev;

	if (UNLIKELY(tcp_of(sk)->wire != NULL))
		return sk->st->wire->ready(tcp_of(sk));
	mutex_lock(&sk->lock);
	ev = ready_locked(tcp_of(sk));
	mutex_unlock(&sk->lock);
	return ev;
}

static uint64_t inq_locked(struct tcp_sock *t)
{
	struct tcp_pipe *p = t->in;
	uint64_t n;

	if (!p)
		return 0;
	n = MIN(p->tail - p->head, (uint64_t)p->window);
	if (p->urg != URG_NONE && !t->sk.opts.oobinline && p->urg_pos >= p->head && p->urg_pos < p->tail)
		n = p->urg_pos - p->head;
	return n;
}

static uint64_t outq_locked(struct tcp_sock *t)
{
	struct tcp_pipe *p = t->out;
	uint64_t used;

	if (!p || (t->peer && t->peer->sk.closed))
		return 0;
	used = p->tail - p->head;
	return used > p->window ? used - p->window : 0;
}

int64_t net_inq(struct net_sock *sk)
{
	struct net_msg *m;
	int64_t n;

	mutex_lock(&sk->lock);
	if (sk->kind == NET_TCP) {
		n = sk->state == NET_LISTEN ? -EINVAL
		    : tcp_of(sk)->wire	    ? sk->st->wire->inq(tcp_of(sk))
					    : (int64_t)inq_locked(tcp_of(sk));
	} else {
		m = list_first(&dgram_of(sk)->msgs, struct net_msg, node);
		n = m ? (int64_t)m->len : 0;
	}
	mutex_unlock(&sk->lock);
	return n;
}

int64_t net_outq(struct net_sock *sk)
{
	/* also under sk->lock, from sock.c's show */
	if (sk->kind != NET_TCP)
		return 0;
	if (tcp_of(sk)->wire)
		return sk->st->wire->outq(tcp_of(sk));
	return sk->state == NET_LISTEN ? -EINVAL : (int64_t)outq_locked(tcp_of(sk));
}

bool net_at_mark(struct net_sock *sk)
{
	struct tcp_sock *t = tcp_of(sk);
	bool at;

	if (sk->kind != NET_TCP)
		return false;
	mutex_lock(&sk->lock);
	at = t->wire ? sk->st->wire->at_mark(t)
		     : t->in && t->in->urg != URG_NONE && t->in->urg_pos == t->in->head;
	mutex_unlock(&sk->lock);
	return at;
}

void tcp_info_locked(struct tcp_sock *t, struct net_tcp_info *out)
{
	struct net_sock *sk = &t->sk;

	*out = (struct net_tcp_info){.mss = LO_MSS,
				     .snd_mss = LO_MSS,
				     .rcv_mss = LO_MSS,
				     .advmss = LO_MSS,
				     .pmtu = 65535,
				     .cwnd = 10,
				     .ssthresh = INT32_MAX,
				     .reordering = 3,
				     .rto_us = 201000,
				     .ato_us = 40000,
				     .rtt_us = 20,
				     .rttvar_us = 10,
				     .min_rtt_us = 20,
				     .options = 7 /* timestamps, SACK, window scale */,
				     .snd_wscale = 7,
				     .rcv_wscale = 7};
	out->state = sk->state;
	if (sk->state == NET_LISTEN) {
		out->backlog = t->queued;
		out->backlog_max = t->backlog;
	}
	if (t->wire) {
		sk->st->wire->info(t, out);
		return;
	}
	if (t->in) {
		out->bytes_received = t->in->tail;
		out->segs_in = 1 + t->in->tail / LO_MSS;
		out->unread = (uint32_t)inq_locked(t);
		out->rcvbuf = t->in->window;
	}
	if (t->out) {
		out->bytes_sent = t->out->tail;
		out->segs_out = 1 + t->out->tail / LO_MSS;
		out->unsent = (uint32_t)outq_locked(t);
		out->sndbuf = t->out->cap - t->out->window;
		out->bytes_acked = out->bytes_sent;
		out->data_segs_out = (uint32_t)out->segs_out;
		out->data_segs_in = (uint32_t)out->segs_in;
		out->delivered = (uint32_t)out->segs_out;
		out->rcv_space = out->rcv_ssthresh = out->snd_wnd = out->rcv_wnd = t->out->window;
	}
}

void net_tcp_info(struct net_sock *sk, struct net_tcp_info *out)
{
	mutex_lock(&sk->lock);
	tcp_info_locked(tcp_of(sk), out);
	mutex_unlock(&sk->lock);
}
