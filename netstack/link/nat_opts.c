/* nat_opts.c: options of TCP sockets that are the host's business here, and what it tells about a connection.
 */
#include <netinet/in.h>
#include <sys/socket.h>

#include <linux/tcp.h>

#include "netstack/link/nat.h"
#include "platform/host/hostcall.h"

static void set_int(struct nat_conn *c, int level, int name, int value)
{
	(void)hc_setsockopt(c->fd, level, name, &value, sizeof(value));
}

/* Those that differ from what the host's socket has. */
static void apply_locked(struct nat_conn *c, const struct net_opts *o)
{
	struct net_opts *s = &c->set;

#define SET(field, level, name, value)                                                                         \
	do {                                                                                                   \
		if (s->field != o->field) {                                                                    \
			s->field = o->field;                                                                   \
			set_int(c, level, name, (int)(value));                                                 \
		}                                                                                              \
	} while (0)
	SET(nodelay, IPPROTO_TCP, TCP_NODELAY, o->nodelay);
	SET(tcp_cork, IPPROTO_TCP, TCP_CORK, o->tcp_cork);
	SET(quickack, IPPROTO_TCP, TCP_QUICKACK, o->quickack);
	SET(keepidle, IPPROTO_TCP, TCP_KEEPIDLE, o->keepidle);
	SET(keepintvl, IPPROTO_TCP, TCP_KEEPINTVL, o->keepintvl);
	SET(keepcnt, IPPROTO_TCP, TCP_KEEPCNT, o->keepcnt);
	SET(user_timeout, IPPROTO_TCP, TCP_USER_TIMEOUT, o->user_timeout);
	SET(notsent_lowat, IPPROTO_TCP, TCP_NOTSENT_LOWAT, o->notsent_lowat);
	SET(keepalive, SOL_SOCKET, SO_KEEPALIVE, o->keepalive);
	SET(oobinline, SOL_SOCKET, SO_OOBINLINE, o->oobinline);
	SET(rcvlowat, SOL_SOCKET, SO_RCVLOWAT, o->rcvlowat);
	/* as getsockopt shows them, which is twice what was asked for */
	if (o->sndbuf_set)
		SET(sndbuf, SOL_SOCKET, SO_SNDBUF, o->sndbuf / 2);
	if (o->rcvbuf_set)
		SET(rcvbuf, SOL_SOCKET, SO_RCVBUF, o->rcvbuf / 2);
#undef SET
}

void nat_configure(struct nat_conn *c)
{
	struct net_sock *sk = &c->t->sk;

	if (c->local)
		return;
	mutex_lock(&c->lock);
	/* as a fresh socket of the host is */
	c->set.quickack = true;
	c->set.keepidle = sk->opts.keepidle == 7200 ? 7200 : 0;
	c->set.keepintvl = sk->opts.keepintvl == 75 ? 75 : 0;
	c->set.keepcnt = sk->opts.keepcnt == 9 ? 9 : 0;
	c->set.rcvlowat = sk->opts.rcvlowat <= 1 ? sk->opts.rcvlowat : 1;
	apply_locked(c, &sk->opts);
	mutex_unlock(&c->lock);
}

void nat_options_changed(struct tcp_sock *t)
{
	struct nat_conn *c;

	mutex_lock(&t->sk.lock);
	c = t->wire;
	if (c && __atomic_load_n(&c->fd, __ATOMIC_ACQUIRE) >= 0 && !c->local) {
		mutex_lock(&c->lock);
		apply_locked(c, &t->sk.opts);
		mutex_unlock(&c->lock);
	}
	mutex_unlock(&t->sk.lock);
}

/* The host's figures are true of this connection. Called with the socket's lock. */
void nat_info(struct tcp_sock *t, struct net_tcp_info *out)
{
	struct nat_conn *c = t->wire;
	struct tcp_info i = {0};
	unsigned size = sizeof(i);

	out->bytes_sent = __atomic_load_n(&c->sent, __ATOMIC_RELAXED);
	out->bytes_received = __atomic_load_n(&c->received, __ATOMIC_RELAXED);
	if (c->local || c->fd < 0 || hc_getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &i, &size) < 0)
		return;
	if (i.tcpi_state)
		out->state = i.tcpi_state;
	out->ca_state = i.tcpi_ca_state;
	out->retransmits = i.tcpi_retransmits;
	out->probes = i.tcpi_probes;
	out->backoff = i.tcpi_backoff;
	out->options = i.tcpi_options;
	out->snd_wscale = i.tcpi_snd_wscale;
	out->rcv_wscale = i.tcpi_rcv_wscale;
	out->rto_us = i.tcpi_rto;
	out->ato_us = i.tcpi_ato;
	out->mss = out->snd_mss = i.tcpi_snd_mss;
	out->rcv_mss = i.tcpi_rcv_mss;
	out->unacked = i.tcpi_unacked;
	out->sacked = i.tcpi_sacked;
	out->lost = i.tcpi_lost;
	out->retrans = i.tcpi_retrans;
	out->pmtu = i.tcpi_pmtu;
	out->rcv_ssthresh = i.tcpi_rcv_ssthresh;
	out->rtt_us = i.tcpi_rtt;
	out->rttvar_us = i.tcpi_rttvar;
	out->ssthresh = i.tcpi_snd_ssthresh;
	out->cwnd = i.tcpi_snd_cwnd;
	out->advmss = i.tcpi_advmss;
	out->reordering = i.tcpi_reordering;
	out->rcv_rtt_us = i.tcpi_rcv_rtt;
	out->rcv_space = i.tcpi_rcv_space;
	out->total_retrans = i.tcpi_total_retrans;
	out->pacing_rate = i.tcpi_pacing_rate;
	out->bytes_acked = i.tcpi_bytes_acked;
	out->segs_out = i.tcpi_segs_out;
	out->segs_in = i.tcpi_segs_in;
	out->min_rtt_us = i.tcpi_min_rtt;
	out->data_segs_in = i.tcpi_data_segs_in;
	out->data_segs_out = i.tcpi_data_segs_out;
	out->delivery_rate = i.tcpi_delivery_rate;
	out->delivered = i.tcpi_delivered;
	out->unsent = i.tcpi_notsent_bytes;
	out->snd_wnd = i.tcpi_snd_wnd;
	out->unread = (uint32_t)nat_inq(t);
}
