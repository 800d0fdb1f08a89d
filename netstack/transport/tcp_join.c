/* tcp_join.c: a TCP socket whose other end is elsewhere: t->wire is a struct tcp_conn, which the socket holds a
 * reference of; the connection points back (its user) as long as the socket is open. */
#include "netstack/core/attach.h"
#include "netstack/transport/tcp_conn.h"

static struct tcp_conn *conn_of(const struct tcp_sock *t)
{
	return t->wire;
}

static void config_of(const struct net_sock *sk, struct tcp_cfg *out)
{
	const struct net_opts *o = &sk->opts;
	bool v4 = net_addr_is4(&sk->remote.addr);

	*out = (struct tcp_cfg){
		.nodelay = o->nodelay,
		.cork = o->tcp_cork,
		.keepalive = o->keepalive,
		.quickack = o->quickack,
		.oobinline = o->oobinline,
		.ttl = (uint8_t)((v4 ? o->ttl : o->hops) > 0 ? (v4 ? o->ttl : o->hops) : 0),
		.tos = v4 ? o->tos : o->tclass,
		.sndbuf = o->sndbuf_set ? MAX((uint32_t)o->sndbuf / 2, 2304u) : 0,
		.rcvbuf = o->rcvbuf_set ? MAX((uint32_t)o->rcvbuf / 2, 1152u) : 0,
		.maxseg = (uint32_t)MAX(o->maxseg, 0),
		.window_clamp = (uint32_t)MAX(o->window_clamp, 0),
		.rcvlowat = (uint32_t)MAX(o->rcvlowat, 1),
		.notsent_lowat = o->notsent_lowat,
		.keepidle_s = (uint32_t)o->keepidle,
		.keepintvl_s = (uint32_t)o->keepintvl,
		.keepcnt = (uint32_t)o->keepcnt,
		.syncnt = (uint32_t)MAX(o->syncnt, 0),
		.user_timeout_ms = o->user_timeout,
		.linger2_s = o->linger2,
	};
	memcpy(out->cc, o->cc, sizeof(out->cc));
}

/* ---- what the engine asks and tells ---- */

void *tcp_join_listener(void *arg, const struct net_name *local, const struct net_name *remote,
			uint32_t ifindex)
{
	struct net_sock *l = port_find_listener(arg, local, remote, ifindex);

	return l ? tcp_of(l) : NULL;
}

void tcp_join_listener_put(void *listener)
{
	sk_put(&((struct tcp_sock *)listener)->sk);
}

bool tcp_join_listener_full(void *listener)
{
	return tcp_listener_full(listener);
}

void tcp_join_listener_config(void *listener, struct tcp_conn *c)
{
	struct tcp_sock *l = listener;

	config_of(&l->sk, &c->cfg);
	if (net_addr_is4(&c->remote.addr)) {
		c->cfg.ttl = (uint8_t)MAX(l->sk.opts.ttl, 0);
		c->cfg.tos = l->sk.opts.tos;
	}
}

int tcp_join_child(void *listener, struct tcp_conn *c)
{
	struct tcp_sock *l = listener, *child;
	int ret = tcp_child_create(l, &c->local, &c->remote, &child);

	if (ret < 0)
		return ret;
	child->wire = conn_get(c);
	__atomic_store_n(&c->user, child, __ATOMIC_RELEASE);
	ret = tcp_child_ready(l, child);
	if (ret < 0) {
		__atomic_store_n(&c->user, NULL, __ATOMIC_RELEASE);
		sk_put(&child->sk); /* lets go of c */
	}
	return ret;
}

void tcp_join_user_get(void *user)
{
	sk_get(&((struct tcp_sock *)user)->sk);
}

void tcp_join_user_put(void *user)
{
	sk_put(&((struct tcp_sock *)user)->sk);
}

void tcp_join_event(void *user, struct tcp_conn *c, uint32_t events)
{
	struct tcp_sock *t = user;
	uint8_t state = __atomic_load_n(&c->state, __ATOMIC_ACQUIRE);
	uint32_t wake = 0;

	if (events & TCP_EV_CONNECTED)
		tcp_wire_connected(t);
	if (events & TCP_EV_FAILED) {
		tcp_wire_failed(t, c->error);
		return;
	}
	if (events & TCP_EV_STATE)
		tcp_wire_state(t, state == NET_TIME_WAIT ? NET_CLOSE : state, c->fin_rcvd);
	if (events & TCP_EV_IN)
		wake |= IN_EVENTS;
	if (events & TCP_EV_OUT)
		wake |= OUT_EVENTS;
	if (events & TCP_EV_PRI)
		wake |= EV_PRI;
	if (wake)
		waitq_wake(&t->sk.wq, wake);
}

/* ---- what the socket does ---- */

int tcp_join_connect(struct tcp_sock *t, const struct route *r)
{
	struct tcp_conn *c;
	struct tcp_cfg cfg;
	int ret;

	config_of(&t->sk, &cfg);
	ret = conn_connect(t->sk.st->wire_priv, &t->sk.local, &t->sk.remote, r, &cfg, t, &c);
	if (ret < 0)
		return ret;
	t->wire = c;
	return 0;
}

ssize_t tcp_join_send(struct tcp_sock *t, struct net_io *io, const struct net_tx *tx)
{
	int err = net_take_error(&t->sk);
	ssize_t ret;

	if (err)
		return -err;
	ret = conn_send(conn_of(t), io, tx->flags);
	if (ret == -EPIPE) {
		err = net_take_error(&t->sk);
		if (err)
			ret = -err;
	}
	return ret;
}

ssize_t tcp_join_recv(struct tcp_sock *t, struct net_io *io, struct net_rx *rx)
{
	ssize_t ret = conn_recv(conn_of(t), io, rx->flags, &rx->oob);
	int err;

	if (ret > 0 || (ret < 0 && ret != -EAGAIN))
		return ret;
	err = net_take_error(&t->sk);
	return err ? -err : ret;
}

uint32_t tcp_join_ready(struct tcp_sock *t)
{
	uint32_t ev = conn_ready(conn_of(t)) & ~EV_ERR;
	uint8_t shut = sk_shut(&t->sk);

	if (__atomic_load_n(&t->sk.error, __ATOMIC_ACQUIRE))
		ev |= EV_ERR;
	if (shut == SHUT_ALL)
		ev |= EV_HUP;
	return ev;
}

void tcp_join_shutdown(struct tcp_sock *t, bool rd, bool wr)
{
	mutex_lock(&t->sk.lock);
	sk_add_shut(&t->sk, (uint8_t)((rd ? SHUT_RD_ : 0) | (wr ? SHUT_WR_ : 0)));
	mutex_unlock(&t->sk.lock);
	conn_shutdown(conn_of(t), rd, wr);
}

void tcp_join_close(struct tcp_sock *t, bool abort)
{
	conn_close(conn_of(t), abort);
}

void tcp_join_destroy(struct tcp_sock *t)
{
	conn_put(t->wire);
	t->wire = NULL;
}

int64_t tcp_join_inq(struct tcp_sock *t)
{
	return (int64_t)conn_unread(conn_of(t));
}

int64_t tcp_join_outq(struct tcp_sock *t)
{
	return (int64_t)conn_unacked(conn_of(t));
}

bool tcp_join_at_mark(struct tcp_sock *t)
{
	return conn_at_mark(conn_of(t));
}

void tcp_join_options_changed(struct tcp_sock *t)
{
	struct tcp_cfg cfg;

	config_of(&t->sk, &cfg);
	conn_configure(conn_of(t), &cfg);
}

void tcp_join_info(struct tcp_sock *t, struct net_tcp_info *out)
{
	struct tcp_conn *c = conn_of(t);

	mutex_lock(&c->lock);
	*out = (struct net_tcp_info){
		.state = c->state == NET_TIME_WAIT ? NET_CLOSE : c->state,
		.bytes_sent = c->bytes_sent,
		.bytes_received = c->bytes_received,
		.segs_out = c->segs_out,
		.segs_in = c->segs_in,
		.mss = c->mss,
		.unread = conn_avail(c),
		.unsent = c->snd_end - c->snd_nxt,
		.sndbuf = c->sndbuf,
		.rcvbuf = c->rcvbuf,
		.last_send_ns = c->last_snd_ns,
		.last_recv_ns = c->last_rcv_ns,
		.ca_state = c->ca == CA_OPEN ? (c->sacked ? 1 : 0)
					     : c->ca + 1, /* Linux counts disorder in between */
		.retransmits = (uint8_t)c->retries,
		.probes = (uint8_t)c->keep_probes,
		.backoff = (uint8_t)c->backoff,
		.options = (uint8_t)((c->has_ts ? 1 : 0) | (c->sack_ok ? 2 : 0) | (c->has_wscale ? 4 : 0) |
				     (c->ecn ? 8 : 0)),
		.snd_wscale = c->snd_wscale,
		.rcv_wscale = c->rcv_wscale,
		.rto_us = (uint32_t)(c->rto / 1000),
		.ato_us = (uint32_t)(TCP_DELACK / 1000),
		.rtt_us = (uint32_t)(c->srtt / 1000),
		.rttvar_us = (uint32_t)(c->rttvar / 1000),
		.min_rtt_us = c->min_rtt == UINT64_MAX ? 0 : (uint32_t)(c->min_rtt / 1000),
		.rcv_rtt_us = (uint32_t)(c->rcv_rtt / 1000),
		.snd_mss = c->mss,
		.rcv_mss = c->rcv_mss,
		.advmss = c->mss,
		.pmtu = c->mss + (c->v6 ? 60 : 40) + (c->has_ts ? 12 : 0),
		.cwnd = c->mss ? c->cc.cwnd / c->mss : 0,
		.ssthresh = c->cc.ssthresh == UINT32_MAX ? 0x7fffffff : c->cc.ssthresh / MAX(c->mss, 1u),
		.rcv_ssthresh = c->rcvbuf,
		.reordering = 3,
		.unacked = c->mss ? (conn_outstanding(c) + c->mss - 1) / c->mss : 0,
		.sacked = c->mss ? c->sacked / c->mss : 0,
		.lost = c->mss ? c->lost / c->mss : 0,
		.total_retrans = (uint32_t)c->total_retrans,
		.rcv_space = c->rcvbuf,
		.snd_wnd = c->snd_wnd,
		.rcv_wnd = c->rcv_adv - c->rcv_nxt,
		.bytes_acked = c->bytes_sent - conn_outstanding(c),
	};
	mutex_unlock(&c->lock);
}
