/* tcp_opts.c: IPPROTO_TCP options (tcp(7)). */
#include <string.h>

#include "platform/abi/prctl.h"
#include "platform/base/clock.h"
#include "sentry/socket/inet/internal.h"

#define MSS_DEFAULT 536
#define MSS_MAX	    32767
#define CLAMP_MIN   1152 /* half of the smallest SO_RCVBUF */

#define FIELD(f) offsetof(struct net_opts, f)

static const struct opt_desc options[] = {
	{LINUX_TCP_NODELAY, OPT_BOOL, FIELD(nodelay), 0, 0, 0},
	{LINUX_TCP_CORK, OPT_BOOL, FIELD(tcp_cork), 0, 0, 0},
	{LINUX_TCP_KEEPIDLE, OPT_I32, FIELD(keepidle), 1, 32767, 0},
	{LINUX_TCP_KEEPINTVL, OPT_I32, FIELD(keepintvl), 1, 32767, 0},
	{LINUX_TCP_KEEPCNT, OPT_I32, FIELD(keepcnt), 1, 127, 0},
	{LINUX_TCP_SYNCNT, OPT_I32, FIELD(syncnt), 1, 127, 0},
	{LINUX_TCP_QUICKACK, OPT_BOOL, FIELD(quickack), 0, 0, 0},
	{LINUX_TCP_USER_TIMEOUT, OPT_U32, FIELD(user_timeout), 0, INT32_MAX, 0},
	{LINUX_TCP_NOTSENT_LOWAT, OPT_U32, FIELD(notsent_lowat), INT32_MIN, INT32_MAX, 0},
	{LINUX_TCP_FASTOPEN_CONNECT, OPT_BOOL, FIELD(fastopen_connect), 0, 1, 0},
	{LINUX_TCP_THIN_LINEAR_TIMEOUTS, OPT_BOOL, FIELD(thin), 0, 1, 0},
	{LINUX_TCP_SAVE_SYN, OPT_BOOL, FIELD(save_syn), 0, 1, 0},
	{LINUX_TCP_INQ, OPT_WANT, WANT_INQ, 0, 0, 0},
};

static int set_congestion(struct inet_sock *i, const void *val, uint32_t len)
{
	static const char *const known[] = {"cubic", "reno", "bbr"};
	char name[NET_CC_MAX] = {0};

	if (len < 1)
		return -EINVAL;
	memcpy(name, val, MIN(len, NET_CC_MAX - 1u));
	for (uint32_t n = 0; n < ARRAY_SIZE(known); n++) {
		if (strcmp(name, known[n]) == 0) {
			memcpy(net_sock_opts(i->sk)->cc, name, sizeof(name));
			return 0;
		}
	}
	return -ENOENT;
}

/* Seconds as so many retransmissions of a SYN-ACK, and back (tcp(7), TCP_DEFER_ACCEPT). */
static int32_t defer_round(int32_t seconds)
{
	int32_t total = 0, step = 1, n;

	if (seconds <= 0)
		return 0;
	for (n = 0; total < seconds && n < 255; n++) {
		total += step;
		step = MIN(step * 2, 120);
	}
	return total;
}

int tcp_set(struct inet_sock *i, const struct sock_caller *c, int name, const void *val, uint32_t len)
{
	struct net_opts *o = net_sock_opts(i->sk);
	int32_t v;
	int ret;

	(void)c;
	switch (name) {
	case LINUX_TCP_CONGESTION:
		return set_congestion(i, val, len);
	case LINUX_TCP_ULP:
		return -ENOENT;
	default:
		break;
	}
	if (len < sizeof(v))
		return -EINVAL;
	memcpy(&v, val, sizeof(v));
	switch (name) {
	case LINUX_TCP_MAXSEG:
		if (v && (v < 88 || v > MSS_MAX))
			return -EINVAL;
		o->maxseg = v;
		return 0;
	case LINUX_TCP_WINDOW_CLAMP:
		if (!v && net_sock_state(i->sk) != NET_CLOSE)
			return -EINVAL;
		o->window_clamp = v && v < CLAMP_MIN ? CLAMP_MIN : v;
		return 0;
	case LINUX_TCP_LINGER2:
		o->linger2 = v < 0 ? -1 : v > 120 ? 0 : v ? v : 60;
		return 0;
	case LINUX_TCP_DEFER_ACCEPT:
		o->defer_accept = defer_round(v);
		return 0;
	case LINUX_TCP_FASTOPEN:
		if (v < 0 || (net_sock_state(i->sk) != NET_CLOSE && net_sock_state(i->sk) != NET_LISTEN))
			return -EINVAL;
		o->fastopen = MIN(v, 4096);
		return 0;
	case LINUX_TCP_THIN_DUPACK:
		return v < 0 || v > 1 ? -EINVAL : 0;
	case LINUX_TCP_REPAIR:
		return -EPERM;
	case LINUX_TCP_FASTOPEN_NO_COOKIE:
		return v < 0 || v > 1 ? -EINVAL : 0;
	default:
		break;
	}
	ret = inet_opt_set(i, options, ARRAY_SIZE(options), name, v);
	if (ret == 1)
		net_sock_options_changed(i->sk);
	return ret == 1 ? 0 : ret < 0 ? ret : -ENOPROTOOPT;
}

struct linux_tcp_info {
	uint8_t state, ca_state, retransmits, probes, backoff, options, wscales, flags;
	uint32_t rto, ato, snd_mss, rcv_mss, unacked, sacked, lost, retrans, fackets;
	uint32_t last_data_sent, last_ack_sent, last_data_recv, last_ack_recv;
	uint32_t pmtu, rcv_ssthresh, rtt, rttvar, snd_ssthresh, snd_cwnd, advmss, reordering, rcv_rtt,
		rcv_space, total_retrans;
	uint64_t pacing_rate, max_pacing_rate, bytes_acked, bytes_received;
	uint32_t segs_out, segs_in, notsent_bytes, min_rtt, data_segs_in, data_segs_out;
	uint64_t delivery_rate, busy_time, rwnd_limited, sndbuf_limited;
	uint32_t delivered, delivered_ce;
	uint64_t bytes_sent, bytes_retrans;
	uint32_t dsack_dups, reord_seen, rcv_ooopack, snd_wnd, rcv_wnd, rehash;
};

static uint32_t ms_since(uint64_t then)
{
	return then ? (uint32_t)((clock_monotonic_ns() - then) / 1000000) : 0;
}

static void fill_info(const struct net_tcp_info *t, struct linux_tcp_info *out)
{
	bool listening = t->state == NET_LISTEN;

	*out = (struct linux_tcp_info){.state = t->state,
				       .ca_state = t->ca_state,
				       .retransmits = t->retransmits,
				       .probes = t->probes,
				       .backoff = t->backoff,
				       .options = t->options,
				       .wscales = (uint8_t)(t->snd_wscale | t->rcv_wscale << 4),
				       .rto = t->rto_us,
				       .ato = t->ato_us,
				       .snd_mss = t->snd_mss,
				       .rcv_mss = t->rcv_mss,
				       .unacked = listening ? t->backlog : t->unacked,
				       .sacked = listening ? t->backlog_max : t->sacked,
				       .lost = t->lost,
				       .retrans = t->retrans,
				       .last_data_sent = ms_since(t->last_send_ns),
				       .last_data_recv = ms_since(t->last_recv_ns),
				       .last_ack_recv = ms_since(t->last_send_ns),
				       .pmtu = t->pmtu,
				       .rcv_ssthresh = t->rcv_ssthresh,
				       .rtt = t->rtt_us,
				       .rttvar = t->rttvar_us,
				       .snd_ssthresh = t->ssthresh,
				       .snd_cwnd = t->cwnd,
				       .advmss = t->advmss,
				       .reordering = t->reordering,
				       .rcv_rtt = t->rcv_rtt_us,
				       .rcv_space = t->rcv_space,
				       .total_retrans = t->total_retrans,
				       .pacing_rate = t->pacing_rate,
				       .max_pacing_rate = UINT64_MAX,
				       .bytes_acked = t->bytes_acked,
				       .bytes_received = t->bytes_received,
				       .segs_out = (uint32_t)t->segs_out,
				       .segs_in = (uint32_t)t->segs_in,
				       .notsent_bytes = t->unsent,
				       .min_rtt = t->min_rtt_us,
				       .data_segs_in = t->data_segs_in,
				       .data_segs_out = t->data_segs_out,
				       .delivery_rate = t->delivery_rate,
				       .busy_time = t->busy_us,
				       .rwnd_limited = t->rwnd_limited_us,
				       .sndbuf_limited = t->sndbuf_limited_us,
				       .delivered = t->delivered,
				       .delivered_ce = t->delivered_ce,
				       .bytes_sent = t->bytes_sent,
				       .bytes_retrans = t->bytes_retrans,
				       .dsack_dups = t->dsack_dups,
				       .reord_seen = t->reord_seen,
				       .rcv_ooopack = t->ooo_packets,
				       .snd_wnd = t->snd_wnd,
				       .rcv_wnd = t->rcv_wnd};
}

uint32_t inet_tcp_info_out(const struct net_tcp_info *t, void *out, uint32_t room)
{
	struct linux_tcp_info info;

	fill_info(t, &info);
	room = MIN(room, (uint32_t)sizeof(info));
	memcpy(out, &info, room);
	return room;
}

static int get_info(struct inet_sock *i, void *val, uint32_t *len)
{
	struct linux_tcp_info out;
	struct net_tcp_info t;

	net_tcp_info(i->sk, &t);
	fill_info(&t, &out);
	return socket_option_put(val, len, &out, sizeof(out));
}

int tcp_get(struct inet_sock *i, int name, void *val, uint32_t *len)
{
	struct net_opts *o = net_sock_opts(i->sk);
	enum net_state state = net_sock_state(i->sk);
	struct net_tcp_info t;
	int32_t v;

	switch (name) {
	case LINUX_TCP_INFO:
		return get_info(i, val, len);
	case LINUX_TCP_CONGESTION:
		return socket_option_put(val, len, o->cc, NET_CC_MAX);
	case LINUX_TCP_ULP:
		*len = 0;
		return 0;
	case LINUX_TCP_SAVED_SYN:
		*len = 0;
		return 0;
	case LINUX_TCP_MAXSEG:
		net_tcp_info(i->sk, &t);
		v = state == NET_CLOSE || state == NET_LISTEN ? (o->maxseg ? o->maxseg : MSS_DEFAULT)
							      : (int32_t)t.snd_mss;
		break;
	case LINUX_TCP_LINGER2:
		v = o->linger2;
		break;
	case LINUX_TCP_DEFER_ACCEPT:
		v = o->defer_accept;
		break;
	case LINUX_TCP_FASTOPEN:
		v = o->fastopen;
		break;
	case LINUX_TCP_WINDOW_CLAMP:
		v = o->window_clamp;
		break;
	case LINUX_TCP_TIMESTAMP:
		v = (int32_t)(clock_monotonic_ns() / 1000000);
		break;
	case LINUX_TCP_THIN_DUPACK:
	case LINUX_TCP_REPAIR:
	case LINUX_TCP_FASTOPEN_NO_COOKIE:
	case LINUX_TCP_TX_DELAY:
		v = 0;
		break;
	case LINUX_TCP_REPAIR_QUEUE:
	case LINUX_TCP_REPAIR_WINDOW:
		return -EINVAL;
	default:
		if (!inet_opt_get(i, options, ARRAY_SIZE(options), name, &v))
			return -ENOPROTOOPT;
		break;
	}
	return socket_option_put(val, len, &v, sizeof(v));
}
