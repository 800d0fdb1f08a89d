/* tcp_pair_test.c: two stacks on a cable that loses, repeats, delays, reorders and damages: what was sent
 * arrives, and nothing stays behind. */
#include <criterion/criterion.h>

#include "tests/harness/netpair.h"

struct transfer {
	struct netsim sim;
	struct nethost *a, *b;
	struct netuser *ua, *ub;
	struct netlisten *l;
	uint64_t total, sent[2], got[2];
	bool both, closed[2];
};

static void pump(struct netuser *u, int side, struct transfer *t)
{
	ssize_t n;

	if (!u)
		return;
	if (side == 0 || t->both) {
		while (t->sent[side] < t->total) {
			n = netuser_send(u, t->sent[side], (uint32_t)MIN(t->total - t->sent[side], 100000UL),
					 0);
			if (n <= 0)
				break;
			t->sent[side] += (uint64_t)n;
		}
	}
	while ((n = netuser_recv(u, t->got[side])) > 0)
		t->got[side] += (uint64_t)n;
	if (n == 0 && !t->closed[side])
		t->closed[side] = true;
	if (t->sent[side] == ((side == 0 || t->both) ? t->total : 0) && u->conn->state != NET_CLOSE)
		conn_shutdown(u->conn, false, true);
}

static bool step(void *arg)
{
	struct transfer *t = arg;

	if (!t->ub)
		t->ub = t->l->accepted;
	pump(t->ua, 0, t);
	pump(t->ub, 1, t);
	return t->closed[0] && t->closed[1];
}

static void run(struct transfer *t, uint64_t total, bool both, uint32_t features, uint32_t mtu,
		const struct nethazard *z, bool v6, const char *cc)
{
	struct arena_stats before, after;
	struct tcp_cfg cfg = {0};
	struct netuser *u;

	netsim_init(&t->sim, 42);
	arena_stats(&before);
	strncpy(cfg.cc, cc ? cc : "", sizeof(cfg.cc) - 1);
	t->a = nethost_create(&t->sim, 1, features, mtu);
	t->b = nethost_create(&t->sim, 2, features, mtu);
	netpair_connect(t->a, t->b);
	t->a->hazard = t->b->hazard = *z;
	t->l = nethost_listen(t->b, 80);
	t->total = total;
	t->both = both;
	t->ua = nethost_connect(t->a, t->b, 80, v6, &cfg);
	cr_assert(netsim_run(&t->sim, 3600UL * 1000000000, step, t),
		  "stuck: %lu and %lu of %lu after %lu s, state %d %d", t->got[1], t->got[0], total,
		  (t->sim.now - 1000000000000UL) / 1000000000, t->ua->conn->state,
		  t->ub ? t->ub->conn->state : 0);
	cr_assert_eq(t->got[1], total);
	cr_assert_eq(t->got[0], both ? total : 0);
	conn_close(t->ua->conn, false);
	conn_close(t->ub->conn, false);
	netuser_free(t->ua);
	while ((u = t->l->accepted)) {
		t->l->accepted = u->next;
		netuser_free(u);
	}
	/* both ends forget it when TIME-WAIT is over */
	netsim_run(&t->sim, 200UL * 1000000000, NULL, NULL);
	cr_assert_eq(t->a->w->conn_count, 0);
	cr_assert_eq(t->b->w->conn_count, 0);
	cr_assert_eq(t->b->w->half_open, 0);
	cr_assert_eq(t->l->refs, 0);
	netsim_fini(&t->sim);
	arena_stats(&after);
	cr_assert_eq(before.objects, after.objects, "%lu objects stay", after.objects - before.objects);
}

#define ETHERNET 1500, &(struct nethazard)

Test(tcp_pair, clean)
{
	struct transfer t = {0};

	run(&t, 20 << 20, false, LINK_ETHER, ETHERNET{.delay_ns = 100000}, false, NULL);
}

Test(tcp_pair, clean_with_bursts_both_ways)
{
	struct transfer t = {0};

	run(&t, 20 << 20, true, LINK_ETHER | LINK_CSUM | LINK_TSO, ETHERNET{.delay_ns = 20000}, true, NULL);
}

Test(tcp_pair, small_mtu_ipv6)
{
	struct transfer t = {0};

	run(&t, 4 << 20, true, LINK_ETHER, 1280, &(struct nethazard){.delay_ns = 1000000}, true, NULL);
}

Test(tcp_pair, loss_1_percent)
{
	struct transfer t = {0};

	run(&t, 10 << 20, false, LINK_ETHER, ETHERNET{.delay_ns = 1000000, .lose = 100}, false, NULL);
}

Test(tcp_pair, loss_5_percent_both_ways)
{
	struct transfer t = {0};

	run(&t, 4 << 20, true, LINK_ETHER, ETHERNET{.delay_ns = 1000000, .lose = 500}, true, NULL);
}

Test(tcp_pair, loss_20_percent)
{
	struct transfer t = {0};

	run(&t, 1 << 20, true, LINK_ETHER, ETHERNET{.delay_ns = 1000000, .lose = 2000}, false, NULL);
}

Test(tcp_pair, reordering)
{
	struct transfer t = {0};

	run(&t, 10 << 20, true, LINK_ETHER,
	    ETHERNET{.delay_ns = 1000000, .reorder = 2500, .reorder_ns = 2000000}, false, NULL);
}

Test(tcp_pair, repeated)
{
	struct transfer t = {0};

	run(&t, 10 << 20, true, LINK_ETHER, ETHERNET{.delay_ns = 1000000, .repeat = 1000}, false, NULL);
}

Test(tcp_pair, damaged)
{
	struct transfer t = {0};

	run(&t, 4 << 20, true, LINK_ETHER, ETHERNET{.delay_ns = 1000000, .damage = 200}, false, NULL);
}

Test(tcp_pair, everything_at_once)
{
	struct transfer t = {0};

	run(&t, 4 << 20, true, LINK_ETHER,
	    ETHERNET{.delay_ns = 5000000,
		     .lose = 300,
		     .repeat = 300,
		     .reorder = 1000,
		     .reorder_ns = 3000000,
		     .damage = 100},
	    true, NULL);
}

Test(tcp_pair, slow_line_with_short_queue)
{
	struct transfer t = {0};

	run(&t, 10 << 20, false, LINK_ETHER, ETHERNET{.delay_ns = 10000000, .rate = 12500000, .queue = 50},
	    false, NULL);
}

Test(tcp_pair, reno_on_a_slow_line)
{
	struct transfer t = {0};

	run(&t, 4 << 20, false, LINK_ETHER, ETHERNET{.delay_ns = 10000000, .rate = 12500000, .queue = 50},
	    false, "reno");
}

Test(tcp_pair, black_hole_of_large_packets)
{
	struct transfer t = {0};

	run(&t, 1 << 20, true, LINK_ETHER, ETHERNET{.delay_ns = 1000000, .drop_above = 1000}, false, NULL);
}
