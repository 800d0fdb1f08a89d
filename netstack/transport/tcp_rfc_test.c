/* tcp_rfc_test.c: one host alone: segments are put in, what comes out is looked at, the clock is moved. Each
 * test names the section that it is about. */
#include <criterion/criterion.h>

#include "netstack/proto/icmp.h"
#include "netstack/proto/ip4.h"
#include "tests/harness/netpair.h"

#define SEC 1000000000UL

static struct netsim sim;
static struct nethost *h;
static struct netlisten *l;
static struct netout out;
static uint32_t peer_seq, our_seq; /* next of each */
static uint16_t sport;

static void setup(void)
{
	netsim_init(&sim, 1);
	h = nethost_create(&sim, 1, LINK_ETHER, 1500);
	l = nethost_listen(h, 80);
	sport = 5000;
}

static void teardown(void)
{
	struct netuser *u;

	while ((u = l->accepted)) {
		l->accepted = u->next;
		if (u->conn->user)
			conn_close(u->conn, true);
		netuser_free(u);
	}
	netsim_fini(&sim);
}

TestSuite(tcp_rfc, .init = setup, .fini = teardown);

static void inject(uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len)
{
	nethost_inject(h, &(struct netseg){.sport = sport,
					   .dport = 80,
					   .seq = seq,
					   .ack = ack,
					   .flags = flags,
					   .window = 60000,
					   .len = len});
}

static bool next_out(void)
{
	return nethost_sent_tcp(h, &out);
}

static void know(void)
{
	struct net_addr a = h->addr4;

	a.b[15] = 2;
	nethost_know(h, &a);
}

/* The peer's hardware address never grows old. */
static void run(uint64_t ns)
{
	uint64_t part;

	for (; ns; ns -= part) {
		part = MIN(ns, 20 * SEC);
		know();
		netsim_run(&sim, part, NULL, NULL);
	}
}

/* A connection from the peer, established; o: what its SYN says. */
static struct netuser *accepted(const struct tcp_opts *o, uint16_t window)
{
	know();
	nethost_inject(
		h,
		&(struct netseg){
			.sport = sport, .dport = 80, .seq = 1000, .flags = TCP_SYN, .window = window, .o = *o});
	cr_assert(next_out());
	cr_assert_eq(out.h.flags & ~(TCP_ECE | TCP_CWR), TCP_SYN | TCP_ACK);
	cr_assert_eq(out.h.ack, 1001);
	peer_seq = 1001;
	our_seq = out.h.seq + 1;
	nethost_inject(
		h, &(struct netseg){.sport = sport,
				    .dport = 80,
				    .seq = peer_seq,
				    .ack = our_seq,
				    .flags = TCP_ACK,
				    .window = window,
				    .o = {.has_ts = o->has_ts, .tsval = o->tsval + 1, .tsecr = out.o.tsval}});
	cr_assert(l->accepted);
	cr_assert_eq(l->accepted->conn->state, NET_ESTABLISHED);
	return l->accepted;
}

static struct netuser *plain(void)
{
	return accepted(&(struct tcp_opts){.mss = 1000}, 60000);
}

static struct netuser *with_sack(void)
{
	return accepted(&(struct tcp_opts){.mss = 1000, .sack_ok = true}, 60000);
}

/* ---- opening ---- */

Test(tcp_rfc, syn_for_nobody_is_reset_9293_3_10_7_1)
{
	know();
	nethost_inject(h, &(struct netseg){.sport = 9, .dport = 81, .seq = 77, .flags = TCP_SYN, .window = 1});
	cr_assert(next_out());
	cr_assert_eq(out.h.flags, TCP_RST | TCP_ACK);
	cr_assert(out.h.ack == 78 && out.h.seq == 0 && out.checksum_ok);
	nethost_inject(h,
		       &(struct netseg){
			       .sport = 9, .dport = 81, .seq = 77, .ack = 555, .flags = TCP_ACK, .window = 1});
	cr_assert(next_out());
	cr_assert(out.h.flags == TCP_RST && out.h.seq == 555);
	nethost_inject(h, &(struct netseg){.sport = 9, .dport = 81, .seq = 77, .flags = TCP_RST});
	cr_assert_not(next_out(), "an RST is never answered");
}

Test(tcp_rfc, options_are_agreed_on_only_if_both_say_them_7323_2018)
{
	accepted(&(struct tcp_opts){.mss = 1000}, 60000);
	cr_assert(!out.o.has_ts && !out.o.sack_ok && !out.o.has_wscale && out.o.mss == 1460);
	sport++;
	accepted(&(struct tcp_opts){.mss = 1000,
				    .has_ts = true,
				    .tsval = 7,
				    .sack_ok = true,
				    .has_wscale = true,
				    .wscale = 3},
		 60000);
	cr_assert(out.o.has_ts && out.o.sack_ok && out.o.has_wscale && out.o.tsecr == 7);
	cr_assert_eq(l->accepted->conn->snd_wscale, 3);
}

Test(tcp_rfc, no_mss_option_means_536_9293_3_7_1)
{
	struct netuser *u = accepted(&(struct tcp_opts){0}, 60000);

	cr_assert_eq(netuser_send(u, 0, 2000, 0), 2000);
	cr_assert(next_out());
	cr_assert_eq(out.len, 536);
}

Test(tcp_rfc, syn_is_sent_again_with_doubled_timeouts_6298_and_given_up)
{
	struct netuser *u;
	int n = 0;

	know();
	u = nethost_connect(h, NULL, 99, false, NULL);
	cr_assert(next_out() && out.h.flags == TCP_SYN);
	run(1 * SEC + 1);
	cr_assert(next_out() && out.h.flags == TCP_SYN);
	run(SEC);
	cr_assert_not(next_out(), "the second waits for two seconds");
	run(SEC);
	cr_assert(next_out());
	run(200 * SEC);
	while (next_out())
		n++;
	cr_assert_eq(n, 4, "six retries in all, not %d", n + 2);
	cr_assert(u->events & TCP_EV_FAILED);
	cr_assert_eq(u->conn->error, ETIMEDOUT);
	netuser_free(u);
}

Test(tcp_rfc, answers_to_a_syn_that_cant_be_right_3_10_7_3)
{
	struct netuser *u;
	uint32_t iss;

	know();
	u = nethost_connect(h, NULL, 99, false, NULL);
	cr_assert(next_out());
	iss = out.h.seq;
	nethost_inject(h, &(struct netseg){.sport = 99,
					   .dport = u->conn->local.port,
					   .seq = 5,
					   .ack = iss + 2,
					   .flags = TCP_SYN | TCP_ACK,
					   .window = 9});
	cr_assert(next_out() && (out.h.flags & TCP_RST));
	cr_assert_eq(u->conn->state, NET_SYN_SENT);
	nethost_inject(h, &(struct netseg){.sport = 99,
					   .dport = u->conn->local.port,
					   .seq = 5,
					   .ack = iss,
					   .flags = TCP_RST | TCP_ACK});
	cr_assert_eq(u->conn->state, NET_SYN_SENT, "an RST for another SYN");
	nethost_inject(h, &(struct netseg){.sport = 99,
					   .dport = u->conn->local.port,
					   .seq = 5,
					   .ack = iss + 1,
					   .flags = TCP_RST | TCP_ACK});
	cr_assert_eq(u->conn->error, ECONNREFUSED);
	netuser_free(u);
}

Test(tcp_rfc, both_open_at_once_3_5_figure_7)
{
	struct netuser *u;
	uint32_t iss;

	know();
	u = nethost_connect(h, NULL, 99, false, NULL);
	cr_assert(next_out());
	iss = out.h.seq;
	nethost_inject(h, &(struct netseg){.sport = 99,
					   .dport = u->conn->local.port,
					   .seq = 500,
					   .flags = TCP_SYN,
					   .window = 9000});
	cr_assert(next_out());
	cr_assert(out.h.flags == (TCP_SYN | TCP_ACK) && out.h.seq == iss && out.h.ack == 501);
	nethost_inject(h, &(struct netseg){.sport = 99,
					   .dport = u->conn->local.port,
					   .seq = 501,
					   .ack = iss + 1,
					   .flags = TCP_ACK,
					   .window = 9000});
	cr_assert_eq(u->conn->state, NET_ESTABLISHED);
	cr_assert(u->events & TCP_EV_CONNECTED);
	conn_close(u->conn, true);
	netuser_free(u);
}

Test(tcp_rfc, syn_cookies_when_too_many_are_half_open_4987)
{
	h->w->cookie_after = 0;
	accepted(&(struct tcp_opts){.mss = 1400,
				    .has_ts = true,
				    .tsval = 9,
				    .sack_ok = true,
				    .has_wscale = true,
				    .wscale = 5},
		 60000);
	cr_assert_eq(h->w->counters.tcp_syn_cookies_ok, 1);
	cr_assert(l->accepted->conn->sack_ok && l->accepted->conn->snd_wscale == 5);
	cr_assert_eq(l->accepted->conn->peer_mss, 1380);
	sport++;
	inject(TCP_ACK, 1001, 0x12345678, 0);
	cr_assert(next_out() && (out.h.flags & TCP_RST), "a forged one");
	cr_assert_eq(l->count, 1);
}

Test(tcp_rfc, a_full_listener_drops_syns_and_takes_the_connection_later)
{
	struct netuser *u;

	know();
	l->full = true;
	inject(TCP_SYN, 1000, 0, 0);
	cr_assert_not(next_out());
	l->full = false;
	inject(TCP_SYN, 1000, 0, 0);
	cr_assert(next_out());
	l->full = true;
	inject(TCP_ACK, 1001, out.h.seq + 1, 0);
	cr_assert_eq(l->count, 0);
	l->full = false;
	inject(TCP_ACK | TCP_PSH, 1001, out.h.seq + 1, 10);
	cr_assert_eq(l->count, 1);
	u = l->accepted;
	cr_assert_eq(netuser_recv(u, 0), 10);
	cr_assert_eq(h->w->half_open, 0);
}

/* ---- forged and old segments ---- */

Test(tcp_rfc, rst_only_at_the_exact_place_5961_3)
{
	struct netuser *u = plain();

	inject(TCP_RST, peer_seq + 100, 0, 0);
	cr_assert_eq(u->conn->state, NET_ESTABLISHED);
	cr_assert(next_out(), "a challenge");
	cr_assert(out.h.flags == TCP_ACK && out.h.ack == peer_seq);
	inject(TCP_RST, peer_seq - 1, 0, 0);
	cr_assert_eq(u->conn->state, NET_ESTABLISHED);
	inject(TCP_RST, peer_seq, 0, 0);
	cr_assert_eq(u->conn->state, NET_CLOSE);
	cr_assert_eq(u->conn->error, ECONNRESET);
}

Test(tcp_rfc, syn_in_a_connection_is_challenged_5961_4)
{
	struct netuser *u = plain();

	inject(TCP_SYN, peer_seq + 5, 0, 0);
	cr_assert_eq(u->conn->state, NET_ESTABLISHED);
	cr_assert(next_out() && out.h.flags == TCP_ACK);
}

Test(tcp_rfc, acks_of_what_wasnt_sent_or_long_ago_5961_5)
{
	struct netuser *u = plain();

	inject(TCP_ACK, peer_seq, our_seq + 1, 4);
	cr_assert_eq(netuser_recv(u, 0), -EAGAIN, "its data isn't taken either");
	cr_assert(next_out() && out.h.ack == peer_seq);
	run(SEC);
	inject(TCP_ACK, peer_seq, our_seq - 100000, 4);
	cr_assert_eq(netuser_recv(u, 0), -EAGAIN);
	inject(TCP_ACK, peer_seq, our_seq - 10, 4);
	cr_assert_eq(netuser_recv(u, 0), 4, "an old one is ignored, its data is not");
}

Test(tcp_rfc, old_time_stamps_are_dropped_7323_5)
{
	struct netuser *u = accepted(&(struct tcp_opts){.mss = 1000, .has_ts = true, .tsval = 1000}, 60000);
	struct netseg s = {.sport = sport,
			   .dport = 80,
			   .seq = peer_seq,
			   .ack = our_seq,
			   .flags = TCP_ACK,
			   .window = 60000,
			   .len = 5,
			   .o = {.has_ts = true, .tsval = 900}};

	nethost_inject(h, &s);
	cr_assert_eq(netuser_recv(u, 0), -EAGAIN);
	cr_assert(next_out() && out.h.ack == peer_seq && out.o.tsecr == 1001);
	s.o.tsval = 1002;
	nethost_inject(h, &s);
	cr_assert_eq(netuser_recv(u, 0), 5);
	cr_assert(next_out() && out.o.tsecr == 1002);
}

Test(tcp_rfc, bad_checksums_are_dropped_silently)
{
	struct netuser *u = plain();

	nethost_inject(h, &(struct netseg){.sport = sport,
					   .dport = 80,
					   .seq = peer_seq,
					   .ack = our_seq,
					   .flags = TCP_ACK,
					   .window = 60000,
					   .len = 5,
					   .bad_checksum = true});
	cr_assert_eq(netuser_recv(u, 0), -EAGAIN);
	cr_assert_not(next_out());
}

/* ---- receiving ---- */

Test(tcp_rfc, holes_are_told_in_sack_blocks_the_latest_first_2018_4)
{
	struct netuser *u = with_sack();

	inject(TCP_ACK, peer_seq + 100, our_seq, 50);
	cr_assert(next_out());
	cr_assert(out.h.ack == peer_seq && out.o.sack_count == 1 && out.o.sack[0].start == peer_seq + 100 &&
		  out.o.sack[0].end == peer_seq + 150);
	inject(TCP_ACK, peer_seq + 300, our_seq, 50);
	cr_assert(next_out());
	cr_assert(out.o.sack_count == 2 && out.o.sack[0].start == peer_seq + 300 &&
		  out.o.sack[1].start == peer_seq + 100);
	inject(TCP_ACK, peer_seq + 100, our_seq, 50);
	cr_assert(next_out());
	cr_assert(out.o.sack[0].start == peer_seq + 100 && out.o.sack[0].end == peer_seq + 150,
		  "D-SACK, RFC 2883");
	cr_assert_eq(out.o.sack_count, 3);
	cr_assert_eq(netuser_recv(u, 0), -EAGAIN);
}

Test(tcp_rfc, what_was_received_already_is_a_dsack_2883)
{
	struct netuser *u = with_sack();

	inject(TCP_ACK, peer_seq, our_seq, 100);
	cr_assert(next_out());
	inject(TCP_ACK, peer_seq, our_seq, 100);
	cr_assert(next_out());
	cr_assert(out.h.ack == peer_seq + 100 && out.o.sack_count == 1 && out.o.sack[0].start == peer_seq &&
		  out.o.sack[0].end == peer_seq + 100);
	cr_assert_eq(netuser_recv(u, 0), 100);
}

Test(tcp_rfc, acks_are_delayed_but_for_every_second_segment_5681_4_2)
{
	struct netuser *u = plain();

	u->conn->quick = 0;
	u->conn->rcv_mss = 1000;
	inject(TCP_ACK, peer_seq, our_seq, 1000);
	cr_assert_not(next_out());
	run(TCP_DELACK + 1);
	cr_assert(next_out() && out.h.ack == peer_seq + 1000);
	inject(TCP_ACK, peer_seq + 1000, our_seq, 1000);
	inject(TCP_ACK, peer_seq + 2000, our_seq, 1000);
	cr_assert(next_out() && out.h.ack == peer_seq + 3000);
}

Test(tcp_rfc, the_window_closes_and_opens_without_silly_steps_9293_3_8_6_2_2)
{
	struct netuser *u;
	uint32_t seq, total = 0;

	l->cfg.rcvbuf = 8000;
	u = plain();
	for (seq = peer_seq; total < 8000; total += 1000, seq += 1000)
		inject(TCP_ACK, seq, our_seq, 1000);
	while (next_out())
		;
	cr_assert_eq(out.h.window, 0);
	inject(TCP_ACK, seq, our_seq, 1);
	cr_assert(next_out() && out.h.ack == seq && out.h.window == 0, "a probe is answered, not taken");
	/* the streams' bytes repeat with each segment here, so they are only counted */
	cr_assert_eq(conn_unread(u->conn), 8000);
}

Test(tcp_rfc, urgent_data_is_the_byte_before_the_pointer_6093)
{
	struct netuser *u = plain();

	nethost_inject(h, &(struct netseg){.sport = sport,
					   .dport = 80,
					   .seq = peer_seq,
					   .ack = our_seq,
					   .window = 60000,
					   .flags = TCP_ACK | TCP_URG,
					   .len = 10,
					   .urgent = 4});
	cr_assert(u->events & TCP_EV_PRI);
	cr_assert(u->conn->urg == URG_VALID && u->conn->urg_byte == netuser_byte(3));
	cr_assert_eq(netuser_recv(u, 0), 3, "a read ends before it");
	cr_assert(conn_at_mark(u->conn));
	cr_assert_eq(netuser_recv(u, 4), 6, "and goes on behind it");
}

/* ---- sending ---- */

Test(tcp_rfc, initial_window_is_ten_segments_6928)
{
	struct netuser *u = plain();
	int n = 0;

	cr_assert_eq(netuser_send(u, 0, 50000, 0), 50000);
	while (next_out()) {
		cr_assert(out.len == 1000 && out.checksum_ok && out.df);
		n++;
	}
	cr_assert_eq(n, 10);
}

Test(tcp_rfc, nagle_holds_small_segments_1122_4_2_3_4)
{
	struct netuser *u = plain();
	struct tcp_cfg cfg = {.nodelay = true};

	netuser_send(u, 0, 10, 0);
	cr_assert(next_out() && out.len == 10);
	netuser_send(u, 10, 10, 0);
	cr_assert_not(next_out());
	inject(TCP_ACK, peer_seq, our_seq + 10, 0);
	cr_assert(next_out() && out.len == 10);
	conn_configure(u->conn, &cfg);
	netuser_send(u, 20, 10, 0);
	cr_assert(next_out() && out.len == 10, "TCP_NODELAY");
}

Test(tcp_rfc, zero_window_is_probed_9293_3_8_6_1)
{
	struct netuser *u = accepted(&(struct tcp_opts){.mss = 1000}, 0);
	int n = 0;

	netuser_send(u, 0, 500, 0);
	cr_assert_not(next_out());
	run(2 * SEC);
	cr_assert(next_out() && out.len == 0 && out.h.seq == our_seq - 1);
	for (int i = 0; i < 40; i++) { /* it lives, and keeps its window shut */
		nethost_inject(h, &(struct netseg){.sport = sport,
						   .dport = 80,
						   .seq = peer_seq,
						   .ack = our_seq,
						   .flags = TCP_ACK});
		run(130 * SEC);
		while (next_out())
			n++;
	}
	cr_assert(n >= 30, "%d", n);
	cr_assert_eq(u->conn->state, NET_ESTABLISHED);
	inject(TCP_ACK, peer_seq, our_seq, 0);
	cr_assert(next_out() && out.len == 500);
}

Test(tcp_rfc, three_duplicate_acks_without_sack_5681_3_2)
{
	struct netuser *u = plain();

	netuser_send(u, 0, 8000, 0);
	while (next_out())
		;
	run(10 * 1000000);
	inject(TCP_ACK, peer_seq, our_seq, 0);
	inject(TCP_ACK, peer_seq, our_seq, 0);
	cr_assert_not(next_out());
	inject(TCP_ACK, peer_seq, our_seq, 0);
	cr_assert(next_out());
	cr_assert(out.h.seq == our_seq && out.len == 1000);
	inject(TCP_ACK, peer_seq, our_seq + 3000, 0);
	cr_assert(next_out() && out.h.seq == our_seq + 3000, "a partial ACK: the next hole, RFC 6582");
}

Test(tcp_rfc, the_tail_is_probed_before_the_timeout_8985_7)
{
	struct netuser *u = with_sack();

	u->conn->srtt = 10 * MS;
	netuser_send(u, 0, 3000, 0);
	while (next_out())
		;
	run(100 * MS);
	cr_assert(next_out());
	cr_assert(out.h.seq == our_seq + 2000 && out.len == 1000);
	cr_assert_eq(u->conn->ca, CA_OPEN);
}

Test(tcp_rfc, timeouts_double_and_the_window_is_one_segment_6298_5)
{
	struct netuser *u = plain();
	uint64_t last, gap, before = 0;
	int n;

	netuser_send(u, 0, 5000, 0);
	while (next_out())
		;
	last = sim.now;
	for (int i = 0; i < 5; i++) {
		do
			run(10 * MS);
		while (!next_out());
		cr_assert_eq(out.h.seq, our_seq);
		n = 1;
		while (next_out())
			n++;
		cr_assert_eq(n, 1);
		gap = sim.now - last;
		cr_assert(i == 0 || gap > before * 19 / 10, "%lu after %lu", gap, before);
		before = gap;
		last = sim.now;
	}
	cr_assert_eq(u->conn->cc.cwnd, u->conn->mss);
}

Test(tcp_rfc, gives_up_in_the_end_1122_4_2_3_5)
{
	struct netuser *u = plain();

	netuser_send(u, 0, 100, 0);
	run(3000 * SEC);
	cr_assert_eq(u->conn->state, NET_CLOSE);
	cr_assert_eq(u->conn->error, ETIMEDOUT);
}

Test(tcp_rfc, user_timeout_5482)
{
	struct netuser *u;

	l->cfg.user_timeout_ms = 5000;
	u = plain();
	netuser_send(u, 0, 100, 0);
	run(4 * SEC);
	cr_assert_eq(u->conn->state, NET_ESTABLISHED);
	run(10 * SEC);
	cr_assert_eq(u->conn->error, ETIMEDOUT);
}

Test(tcp_rfc, keepalive_1122_4_2_3_6)
{
	struct netuser *u;
	int n = 0;

	l->cfg = (struct tcp_cfg){.keepalive = true, .keepidle_s = 10, .keepintvl_s = 2, .keepcnt = 3};
	u = plain();
	run(9 * SEC);
	cr_assert_not(next_out());
	run(2 * SEC);
	cr_assert(next_out() && out.len == 0 && out.h.seq == our_seq - 1);
	inject(TCP_ACK, peer_seq, our_seq, 0);
	run(10 * SEC + 1);
	while (next_out())
		n++;
	cr_assert_eq(n, 1, "an answer begins it anew");
	run(20 * SEC);
	cr_assert_eq(u->conn->error, ETIMEDOUT);
}

Test(tcp_rfc, ecn_is_echoed_until_cwr_3168_6_1_3)
{
	struct netseg s = {.sport = sport,
			   .dport = 80,
			   .seq = 1000,
			   .flags = TCP_SYN | TCP_ECE | TCP_CWR,
			   .window = 60000};

	know();
	nethost_inject(h, &s);
	cr_assert(next_out() && (out.h.flags & TCP_ECE) && !(out.h.flags & TCP_CWR));
	our_seq = out.h.seq + 1;
	peer_seq = 1001;
	inject(TCP_ACK, 1001, our_seq, 0);
	nethost_inject(h, &(struct netseg){.sport = sport,
					   .dport = 80,
					   .seq = 1001,
					   .ack = our_seq,
					   .flags = TCP_ACK,
					   .window = 60000,
					   .len = 10,
					   .ecn = 3});
	cr_assert(next_out() && (out.h.flags & TCP_ECE));
	nethost_inject(h, &(struct netseg){.sport = sport,
					   .dport = 80,
					   .seq = 1011,
					   .ack = our_seq,
					   .flags = TCP_ACK | TCP_CWR,
					   .window = 60000,
					   .len = 10,
					   .ecn = 2});
	cr_assert(next_out() && !(out.h.flags & TCP_ECE));
	netuser_send(l->accepted, 0, 100, 0);
	cr_assert(next_out());
	cr_assert_eq(out.tos & 3, 2, "ECT(0) on data");
	inject(TCP_ACK | TCP_ECE, 1021, our_seq + 100, 0);
	cr_assert(l->accepted->conn->cc.cwnd < 10 * l->accepted->conn->mss);
	netuser_send(l->accepted, 100, 100, 0);
	cr_assert(next_out() && (out.h.flags & TCP_CWR));
}

/* ---- closing ---- */

Test(tcp_rfc, close_from_here_and_time_wait_3_6)
{
	struct netuser *u = plain();

	conn_shutdown(u->conn, false, true);
	cr_assert(next_out() && (out.h.flags & TCP_FIN));
	cr_assert_eq(u->conn->state, NET_FIN_WAIT1);
	inject(TCP_ACK, peer_seq, our_seq + 1, 0);
	cr_assert_eq(u->conn->state, NET_FIN_WAIT2);
	inject(TCP_FIN | TCP_ACK, peer_seq, our_seq + 1, 0);
	cr_assert_eq(u->conn->state, NET_TIME_WAIT);
	cr_assert(next_out() && out.h.ack == peer_seq + 1);
	run(30 * SEC);
	inject(TCP_FIN | TCP_ACK, peer_seq, our_seq + 1, 0);
	cr_assert(next_out() && out.h.ack == peer_seq + 1, "its FIN again: our ACK was lost");
	run(50 * SEC);
	cr_assert_eq(u->conn->state, NET_TIME_WAIT, "begun anew");
	run(11 * SEC);
	cr_assert_eq(u->conn->state, NET_CLOSE);
}

Test(tcp_rfc, both_close_at_once_3_6_figure_13)
{
	struct netuser *u = plain();

	conn_shutdown(u->conn, false, true);
	cr_assert(next_out());
	inject(TCP_FIN | TCP_ACK, peer_seq, our_seq, 0);
	cr_assert_eq(u->conn->state, NET_CLOSING);
	inject(TCP_ACK, peer_seq + 1, our_seq + 1, 0);
	cr_assert_eq(u->conn->state, NET_TIME_WAIT);
}

Test(tcp_rfc, a_new_syn_ends_time_wait_6191)
{
	struct netuser *u = plain();

	conn_shutdown(u->conn, false, true);
	inject(TCP_ACK, peer_seq, our_seq + 1, 0);
	inject(TCP_FIN | TCP_ACK, peer_seq, our_seq + 1, 0);
	while (next_out())
		;
	inject(TCP_SYN, peer_seq + 100000, 0, 0);
	cr_assert(next_out() && out.h.flags == (TCP_SYN | TCP_ACK));
	cr_assert_eq(u->conn->state, NET_CLOSE);
}

Test(tcp_rfc, closing_with_unread_data_resets_2525_2_17)
{
	struct netuser *u = plain();

	inject(TCP_ACK, peer_seq, our_seq, 10);
	while (next_out())
		;
	conn_close(u->conn, false);
	cr_assert(next_out() && (out.h.flags & TCP_RST));
}

Test(tcp_rfc, data_for_who_has_gone_is_reset_9293_3_10_4)
{
	struct netuser *u = plain();

	conn_close(u->conn, false);
	cr_assert(next_out() && (out.h.flags & TCP_FIN));
	inject(TCP_ACK, peer_seq, our_seq + 1, 10);
	cr_assert(next_out() && (out.h.flags & TCP_RST));
	cr_assert_eq(h->w->conn_count, 0);
}

Test(tcp_rfc, fin_out_of_order_waits_for_the_rest)
{
	struct netuser *u = plain();

	inject(TCP_FIN | TCP_ACK, peer_seq + 10, our_seq, 5);
	cr_assert_eq(u->conn->state, NET_ESTABLISHED);
	inject(TCP_ACK, peer_seq, our_seq, 10);
	cr_assert_eq(u->conn->state, NET_CLOSE_WAIT);
	while (next_out())
		;
	cr_assert_eq(out.h.ack, peer_seq + 16);
}

/* ---- ICMP ---- */

/* An error about the segment that was sent last. */
static void icmp(uint8_t code, uint32_t rest, uint32_t seq)
{
	uint8_t p[8 + 28] = {0};
	struct ip4_hdr q = {
		.protocol = 6, .ttl = 60, .total = 1040, .src = h->addr4.w[3], .dst = h->addr4.w[3]};
	uint16_t sum;

	((uint8_t *)&q.dst)[3] = 2;
	icmp_put(p, ICMP_UNREACH, code, rest);
	ip4_put(p + 8, &q);
	put_be16(p + 28, 80);
	put_be16(p + 30, sport);
	put_be32(p + 32, seq);
	sum = csum_finish(csum_add(0, p, sizeof(p)));
	memcpy(p + 2, &sum, 2);
	nethost_inject_ip(h, PROTO_ICMP, false, p, sizeof(p));
}

Test(tcp_rfc, path_mtu_is_learned_1191_and_checked_5927)
{
	struct netuser *u = plain();

	netuser_send(u, 0, 2000, 0);
	while (next_out())
		;
	icmp(ICMP_UNREACH_FRAG, 600, our_seq + 100000);
	cr_assert_eq(u->conn->mss, 1000, "not about anything that is in flight");
	icmp(ICMP_UNREACH_FRAG, 600, our_seq);
	cr_assert_eq(u->conn->mss, 560);
	cr_assert(next_out());
	cr_assert(out.h.seq == our_seq && out.len == 560);
}

Test(tcp_rfc, soft_errors_dont_end_a_connection_5461)
{
	struct netuser *u = plain();

	netuser_send(u, 0, 100, 0);
	icmp(1, 0, our_seq);
	cr_assert_eq(u->conn->state, NET_ESTABLISHED);
	run(3000 * SEC);
	cr_assert_eq(u->conn->error, EHOSTUNREACH, "but it is what the end is called");
}

/* tcp(7), tcp_mem: all connections together; one that holds little still moves on. */
Test(tcp_rfc, buffers_of_all_connections_are_bounded)
{
	struct netuser *u = plain();
	struct tcp_conn *c = u->conn;
	uint32_t n;

	h->w->tcp_mem = 2 * CHUNK_SIZE;
	for (n = 0; n < 40; n++) {
		inject(TCP_ACK, c->rcv_nxt, our_seq, 1000);
		while (next_out())
			cr_assert_eq(out.h.ack, c->rcv_nxt);
	}
	cr_assert_geq(c->rcv_nxt - c->rcv_read, CHUNK_SIZE);
	cr_assert_leq(c->rcv_nxt - c->rcv_read, 2 * CHUNK_SIZE);
	cr_assert_leq(h->w->tcp_bytes, 3 * CHUNK_SIZE);
	n = c->rcv_nxt;
	inject(TCP_ACK, n + 1000, our_seq, 1000); /* out of order: not now */
	cr_assert_eq(c->ooo_count, 0);
	h->w->tcp_mem = 100 * CHUNK_SIZE;
	inject(TCP_ACK, n, our_seq, 1000);
	cr_assert_eq(c->rcv_nxt, n + 1000);
}
