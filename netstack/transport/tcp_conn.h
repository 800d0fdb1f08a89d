/* tcp_conn.h: a TCP connection over segments: the engine's state, shared by tcp_in, tcp_out, tcp_timer,
 * tcp_sack, tcp_cc, tcp_passive. It knows nothing of sockets; its user is told of what happened through
 * wire_up.event.
 *
 * A connection is in a bucket of the wire from its start until it is closed; the bucket and the user hold a
 * reference each. conn->lock (rank NET_CONN) guards all but the fields marked otherwise. Sending and receiving
 * are each for one thread at a time (the socket's locks): data is copied without conn->lock held.
 *
 * SND.NXT never goes back: what has to be sent again is marked in the scoreboard. Every segment in flight has a
 * record with the time when it was sent last (RFC 8985); a record may stand for a burst that the link cuts up.
 */
#pragma once

#include "netstack/core/bytebuf.h"
#include "netstack/proto/tcp.h"
#include "netstack/wire.h"

#define MS		   1000000ULL
#define TCP_RTO_INIT	   (1000 * MS) /* RFC 6298 2.1 */
#define TCP_RTO_MIN	   (200 * MS)  /* as Linux; the RFC says one second */
#define TCP_RTO_MAX	   (120000 * MS)
#define TCP_DELACK	   (40 * MS)
#define TCP_DELACK_MAX	   (200 * MS)
#define TCP_CORK_NS	   (200 * MS)
#define TCP_PERSIST_MAX	   (120000 * MS)
#define TCP_RETRIES	   15 /* net.ipv4.tcp_retries2 */
#define TCP_RETRIES_ORPHAN 8
#define TCP_SYN_RETRIES	   6
#define TCP_SYNACK_RETRIES 5
#define TCP_INIT_CWND	   10u
#define TCP_MSS_MIN	   88u
#define TCP_MSS_DEFAULT4   536u
#define TCP_MSS_DEFAULT6   1220u
#define TCP_BUF_MAX	   (16u * 1024 * 1024)
#define TCP_RCVBUF_INIT	   (256u * 1024)
#define TCP_SNDBUF_INIT	   (256u * 1024)
#define TCP_OOO_MAX	   64u
#define TCP_WSCALE	   9
#define TCP_TW_MAX	   16384u
#define URG_PENDING	   3 /* known of, not here yet */

/* events */
#define TCP_EV_CONNECTED 1u
#define TCP_EV_IN	 2u
#define TCP_EV_OUT	 4u
#define TCP_EV_PRI	 8u
#define TCP_EV_STATE	 16u /* conn_state; the peer may have finished */
#define TCP_EV_FAILED	 32u /* conn->error */

struct tcp_cfg {
	bool nodelay, cork, keepalive, quickack, oobinline;
	uint8_t ttl, tos;
	uint32_t sndbuf, rcvbuf; /* bytes of data; 0: automatic */
	uint32_t maxseg, window_clamp, rcvlowat, notsent_lowat;
	uint32_t keepidle_s, keepintvl_s, keepcnt, syncnt, user_timeout_ms;
	int32_t linger2_s;
	char cc[NET_CC_MAX]; /* empty: the wire's */
};

#define SEG_SACKED  1u
#define SEG_LOST    2u
#define SEG_REOUT   4u /* sent again since it was lost */
#define SEG_RETRANS 8u /* ever sent again */
#define SEG_SYN	    16u
#define SEG_FIN	    32u

struct tcp_seg {
	struct rbnode node; /* by start */
	struct list tnode;  /* by sent_ns */
	uint32_t start, end;
	uint64_t sent_ns;
	uint8_t flags;
};

enum tcp_ca { CA_OPEN, CA_CWR, CA_RECOVERY, CA_LOSS };
enum tcp_tkind { TK_NONE, TK_RTO, TK_TLP, TK_PERSIST };

struct cc_ops {
	char name[NET_CC_MAX];
	void (*init)(struct tcp_conn *c);
	/* acked bytes while not in recovery; rtt_ns 0: no sample */
	void (*ack)(struct tcp_conn *c, uint32_t acked, uint64_t rtt_ns, uint64_t now);
	/* the slow start threshold after a loss, in bytes */
	uint32_t (*ssthresh)(struct tcp_conn *c);
};

struct tcp_cc {
	const struct cc_ops *ops;
	uint32_t cwnd, ssthresh; /* bytes */
	uint32_t acked;		 /* bytes towards the next segment of growth */
	/* CUBIC (RFC 9438); windows in segments << 10 */
	uint64_t w_max, origin, w_est;
	uint64_t epoch_ns, k_ms;
	/* HyStart++ (RFC 9406) */
	uint64_t round_min_rtt, last_min_rtt, css_baseline;
	uint32_t round_end, samples, css_rounds;
	bool css, hystart_done;
};

struct tcp_conn {
	struct refs refs;
	struct mutex lock;	       /* rank NET_CONN */
	struct wire *w;		       /* [I] */
	struct list node;	       /* [bucket] */
	struct net_name local, remote; /* [I] */
	bool v6;		       /* [I] */
	uint8_t state;		       /* [a] NET_*; written under lock */
	bool hashed, joining, active;
	void *user;	/* NULL: nobody's (half-open, orphan, TIME_WAIT) */
	void *listener; /* of a half-open one; reference */
	struct tcp_cfg cfg;
	struct route route;
	uint32_t events;	   /* not yet told */
	int32_t error, soft_error; /* soft: what a time-out will be called */
	struct net_timer timer;

	/* sending */
	struct bytebuf snd;
	uint32_t iss, snd_una, snd_nxt, snd_end; /* end of what the user has given */
	uint32_t snd_wnd, snd_wl1, snd_wl2, max_wnd;
	uint32_t snd_up, snd_sml;
	uint32_t sndbuf;
	uint8_t snd_wscale, rcv_wscale;
	bool copying;	    /* the user's data is on its way into snd */
	uint32_t lost_hint; /* nothing before it is lost and not sent again */
	bool fin_queued, fin_sent, push_all, urgent_out, more, want_out;
	bool has_ts, sack_ok, has_wscale, ecn;
	uint32_t mss, peer_mss; /* payload of a full segment with the usual options; what the peer allows */
	uint32_t ts_offset, ts_recent;
	uint64_t ts_recent_ns;

	/* scoreboard */
	struct rbtree segs;
	struct list by_time;
	uint32_t sacked, lost, reno_sacked, dupacks; /* bytes; lost: marked and not sent again */
	struct tcp_block sack_cache[TCP_SACK_MAX];
	uint8_t sack_cached;
	uint64_t rack_ns, rack_rtt, reo_at;
	uint32_t rack_end, reo_mult, reo_persist;
	uint32_t fack; /* highest sequence that has arrived there */
	bool reordering, dsack_seen;
	uint32_t dsack_round;
	uint32_t tlp_end;
	bool tlp_retrans, tlp_out;

	/* recovery */
	uint8_t ca;
	uint32_t recovery_point, prior_cwnd, prior_ssthresh, undo_stamp;
	bool undo_ok;
	uint32_t prr_delivered, prr_out, prr_fs;
	uint32_t cwr_point;
	bool ece_out, cwr_out;
	struct tcp_cc cc;

	/* round trips */
	uint64_t srtt, rttvar, rto, min_rtt; /* ns */
	uint64_t min_rtt_at;
	uint32_t backoff, retries;
	uint64_t first_retry_ns; /* when the oldest unanswered one was sent */

	/* receiving */
	struct bytebuf rcv;			  /* counted in w->tcp_bytes, as snd */
	uint32_t irs, rcv_nxt, rcv_read, rcv_adv; /* read: what the user has taken; adv: the right edge told */
	uint32_t rcvbuf;
	struct tcp_block ooo[TCP_OOO_MAX]; /* by start; ooo[0].start > rcv_nxt */
	uint32_t ooo_count, ooo_last;	   /* the start of the one that changed last */
	struct tcp_block dsack;
	bool has_dsack;
	bool fin_rcvd, shut_rd;
	uint32_t fin_seq;
	bool has_fin_seq;
	uint8_t urg, urg_byte;
	uint32_t urg_seq;
	uint32_t rcv_mss, last_ack_sent, unacked_in, quick;
	bool ack_now, ack_due;
	uint32_t last_rcv_window;
	/* auto-tuning: bytes taken in the last round trip */
	uint64_t drs_ns;
	uint32_t drs_seq;
	uint64_t rcv_rtt;

	/* timers: absolute, TIMER_NEVER: off */
	uint64_t t_rexmit, t_delack, t_keep, t_wait, t_cork, t_retry;
	uint8_t t_kind;
	uint32_t keep_probes;
	uint64_t last_rcv_ns, last_snd_ns;
	uint64_t challenge_ns; /* out-of-window answers are limited */
	/* counters */
	uint64_t bytes_sent, bytes_received, segs_out, segs_in, total_retrans;
};

/* An arrived segment. */
struct seg_in {
	struct tcp_hdr h;
	struct tcp_opts o;
	const uint8_t *data;
	uint32_t len, seq, end; /* end counts SYN and FIN */
	uint32_t window;	/* scaled */
	uint8_t ecn;		/* of the IP header */
	uint64_t now;
};

/* ---- the user's side ---- */

/* Sends a SYN. user: told of events. *out: the user's reference. -EADDRNOTAVAIL: there is one with these names;
 * -ENOMEM */
MUST_CHECK int conn_connect(struct wire *w, const struct net_name *local, const struct net_name *remote,
			    const struct route *r, const struct tcp_cfg *cfg, void *user,
			    struct tcp_conn **out);
/* Bytes; -EAGAIN: no room (and TCP_EV_OUT will come); -EPIPE; -ENOBUFS. flags: NET_MORE, NET_OOB */
ssize_t conn_send(struct tcp_conn *c, struct net_io *io, uint32_t flags);
/* Bytes; 0: the end; -EAGAIN. flags: NET_PEEK, NET_TRUNC, NET_OOB; *oob is set for an urgent byte */
ssize_t conn_recv(struct tcp_conn *c, struct net_io *io, uint32_t flags, bool *oob);
/* FIN after what was given. */
void conn_shutdown(struct tcp_conn *c, bool rd, bool wr);
/* The user lets it go: it finishes by itself, or is reset (abort, or data was never read). The user's reference
 * stays the caller's. */
void conn_close(struct tcp_conn *c, bool abort);
uint32_t conn_ready(struct tcp_conn *c);
void conn_configure(struct tcp_conn *c, const struct tcp_cfg *cfg);
void conn_put(struct tcp_conn *c);
uint64_t conn_unread(struct tcp_conn *c);
uint64_t conn_unacked(struct tcp_conn *c);
bool conn_at_mark(struct tcp_conn *c);

/* ---- inside ---- */

static inline struct tcp_conn *conn_get(struct tcp_conn *c)
{
	refs_get(&c->refs);
	return c;
}
static inline void conn_set_state(struct tcp_conn *c, uint8_t s)
{
	__atomic_store_n(&c->state, s, __ATOMIC_RELEASE);
	c->events |= TCP_EV_STATE;
}
static inline uint32_t conn_outstanding(const struct tcp_conn *c)
{
	return c->snd_nxt - c->snd_una;
}
static inline uint32_t conn_in_flight(const struct tcp_conn *c)
{
	uint32_t gone = c->sacked + c->lost + c->reno_sacked, all = conn_outstanding(c);

	return all > gone ? all - gone : 0;
}
static inline uint32_t conn_ts_now(const struct tcp_conn *c, uint64_t now)
{
	return (uint32_t)(now / MS) + c->ts_offset;
}
/* Both states in which the handshake is over and the user may send. */
static inline bool conn_can_send(uint8_t state)
{
	return state == NET_ESTABLISHED || state == NET_CLOSE_WAIT;
}
/* Bytes that the user can read. */
static inline uint32_t conn_avail(const struct tcp_conn *c)
{
	return c->rcv_nxt - c->rcv_read - (c->fin_rcvd ? 1 : 0);
}
static inline uint32_t conn_rcv_room(const struct tcp_conn *c)
{
	uint32_t used = conn_avail(c);

	return used < c->rcvbuf ? c->rcvbuf - used : 0;
}

/* tcp_conn.c */
MUST_CHECK int conn_new(struct wire *w, const struct net_name *local, const struct net_name *remote,
			const struct tcp_cfg *cfg, struct tcp_conn **out);
/* Into its bucket; -EADDRNOTAVAIL */
MUST_CHECK int conn_insert(struct tcp_conn *c);
/* With a reference. */
struct tcp_conn *conn_find(struct wire *w, const struct net_name *local, const struct net_name *remote);
/* Over. err: what the user will hear, 0: nothing. Locked. */
void conn_done(struct tcp_conn *c, int err);
/* Unlocks and tells the user. */
void conn_unlock(struct tcp_conn *c);
/* What follows from what changed: output, timers. Locked. */
void conn_push(struct tcp_conn *c, uint64_t now);
void conn_arm(struct tcp_conn *c);
void conn_time_wait(struct tcp_conn *c, uint64_t now);
uint32_t conn_isn(struct wire *w, const struct net_name *local, const struct net_name *remote, uint64_t now);
uint64_t conn_hash(struct wire *w, uint64_t key, const struct net_name *local, const struct net_name *remote);
void conn_update_mss(struct tcp_conn *c);
/* The window scale and buffers before the handshake. */
void conn_init_windows(struct tcp_conn *c);

/* tcp_in.c */
void conn_segment(struct tcp_conn *c, struct seg_in *s);
void conn_established(struct tcp_conn *c, uint64_t now);
void conn_rtt_sample(struct tcp_conn *c, uint64_t rtt);

/* tcp_rcv.c */
void conn_data_in(struct tcp_conn *c, struct seg_in *s);
void conn_tune_rcvbuf(struct tcp_conn *c, uint64_t now);
uint32_t conn_fill_sack(struct tcp_conn *c, struct tcp_block *out);

/* tcp_out.c */
void conn_output(struct tcp_conn *c, uint64_t now);
void conn_send_ack(struct tcp_conn *c, uint64_t now);
/* One that asks for an answer: a sequence number that was acknowledged already. */
void conn_send_probe(struct tcp_conn *c, uint64_t now);
void conn_send_syn(struct tcp_conn *c, uint64_t now);
void conn_send_rst(struct tcp_conn *c, uint64_t now);
/* Sends what the record stands for again, at most max bytes of it. False: not sent. */
bool conn_retransmit(struct tcp_conn *c, struct tcp_seg *s, uint32_t max, uint64_t now);
/* One segment of new data if the peer's window allows. */
bool conn_send_one(struct tcp_conn *c, uint64_t now);
/* An RST for a segment that nobody wants. */
void tcp_answer_rst(struct wire *w, const struct ip_in *in, const struct seg_in *s);
/* A SYN-ACK without a connection. */
void tcp_send_cookie(struct wire *w, const struct ip_in *in, const struct seg_in *s, uint32_t iss,
		     uint32_t tsval, uint16_t mss, uint16_t window, uint8_t wscale);
int conn_route(struct tcp_conn *c);

/* tcp_timer.c */
void conn_timer_run(struct net_timer *t);
bool conn_timer_hold(struct net_timer *t);
/* After something was sent or acknowledged: the retransmission timer begins anew. */
void conn_arm_rexmit(struct tcp_conn *c, uint64_t now);

/* tcp_sack.c */
struct tcp_seg *seg_add(struct tcp_conn *c, uint32_t start, uint32_t end, uint8_t flags, uint64_t now);
/* s ends at at, the rest is a new record; false: no memory. */
bool seg_split(struct tcp_conn *c, struct tcp_seg *s, uint32_t at);
void seg_resent(struct tcp_conn *c, struct tcp_seg *s, uint64_t now);
struct tcp_seg *seg_first_lost(struct tcp_conn *c);
void seg_free_all(struct tcp_conn *c);
struct ack_result {
	uint32_t acked, sacked;	      /* bytes, new */
	uint64_t rtt_first, rtt_last; /* samples, 0: none */
	bool dsack, retrans_acked;
};
void sack_input(struct tcp_conn *c, struct seg_in *s, struct ack_result *r);
void ack_clean(struct tcp_conn *c, uint32_t ack, uint64_t now, struct ack_result *r);
/* Marks what is lost by RACK; arms reo_at. */
void rack_detect(struct tcp_conn *c, uint64_t now);
void reno_dupack(struct tcp_conn *c);
void reno_partial_ack(struct tcp_conn *c, uint32_t acked);
void seg_mark_lost(struct tcp_conn *c, struct tcp_seg *s);
void seg_mark_all_lost(struct tcp_conn *c);
void seg_unmark_lost(struct tcp_conn *c);

/* tcp_cc.c */
const struct cc_ops *cc_find(const char *name);
void cc_init(struct tcp_conn *c);
void cc_enter_recovery(struct tcp_conn *c);
void cc_enter_loss(struct tcp_conn *c);
void cc_congestion_seen(struct tcp_conn *c); /* ECN */
void cc_recovery_ack(struct tcp_conn *c, uint32_t delivered);
void cc_exit_recovery(struct tcp_conn *c);
void cc_undo(struct tcp_conn *c);

/* tcp_passive.c */
void tcp_passive(struct wire *w, const struct ip_in *in, struct seg_in *s);
/* A half-open connection got the ACK of its SYN-ACK. Locked, and locked again on return. True: go on. */
bool conn_join(struct tcp_conn *c, uint64_t now);
