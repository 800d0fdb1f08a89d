/* ip_test.c: the wire below TCP: neighbours, fragments, ICMP, with a host alone. */
#include <criterion/criterion.h>

#include "netstack/proto/arp.h"
#include "netstack/proto/icmp.h"
#include "netstack/proto/ip4.h"
#include "netstack/proto/ip6.h"
#include "tests/harness/netpair.h"

#define SEC 1000000000UL

static struct netsim sim;
static struct nethost *h;

static void setup(void)
{
	netsim_init(&sim, 1);
	h = nethost_create(&sim, 1, LINK_ETHER, 1500);
}

static void teardown(void)
{
	netsim_fini(&sim);
}

TestSuite(ip, .init = setup, .fini = teardown);

static struct net_addr peer4(void)
{
	struct net_addr a = h->addr4;

	a.b[15] = 2;
	return a;
}

static void echo(uint32_t n)
{
	uint8_t *p = kmalloc(8 + n);
	uint16_t sum;

	cr_assert(p);
	icmp_put(p, ICMP_ECHO, 0, 0x00010002);
	sum = csum_finish(csum_add(0, p, 8 + n));
	memcpy(p + 2, &sum, 2);
	nethost_inject_ip(h, PROTO_ICMP, false, p, 8 + n);
	kfree(p);
}

Test(ip, arp_is_answered_and_asked_826)
{
	uint8_t f[42];
	struct arp_pkt a = {.op = ARP_REQUEST,
			    .sha = {2, 0, 0, 0, 0, 2},
			    .spa = peer4().w[3],
			    .tpa = h->addr4.w[3]},
		       r;
	struct netframe *o;

	eth_put(f, (uint8_t[]){255, 255, 255, 255, 255, 255}, a.sha, ETH_P_ARP);
	arp_put(f + 14, &a);
	nethost_frame(h, f, sizeof(f));
	o = nethost_sent(h);
	cr_assert(o && arp_parse(o->data + 14, o->len - 14, &r));
	cr_assert(r.op == ARP_REPLY && r.spa == h->addr4.w[3] && memcmp(r.sha, h->l->hw, 6) == 0);
	kfree(o);
	echo(10); /* the question has told who it is: no need to ask */
	o = nethost_sent(h);
	cr_assert(o && get_be16(o->data + 12) == ETH_P_IP4 && o->data[14 + 20] == ICMP_ECHO_REPLY);
	kfree(o);
}

Test(ip, packets_wait_for_an_address_and_arp_gives_up)
{
	struct netframe *o;
	int asked = 0;

	echo(10);
	echo(10);
	for (int i = 0; i < 10; i++) {
		while ((o = nethost_sent(h))) {
			cr_assert_eq(get_be16(o->data + 12), ETH_P_ARP);
			asked++;
			kfree(o);
		}
		netsim_run(&sim, SEC, NULL, NULL);
	}
	cr_assert_eq(asked, 3);
	cr_assert_eq(h->w->counters.neigh_failed, 2);
}

Test(ip, what_waited_is_sent_in_order)
{
	struct net_addr a = peer4();
	struct netframe *o;

	echo(10);
	echo(20);
	kfree(nethost_sent(h));
	nethost_know(h, &a);
	o = nethost_sent(h);
	cr_assert(o && o->len == 14 + 20 + 18);
	kfree(o);
	o = nethost_sent(h);
	cr_assert(o && o->len == 14 + 20 + 28);
	kfree(o);
}

static void fragment(uint16_t id, uint32_t offset, bool more, const uint8_t *data, uint32_t n)
{
	uint8_t f[2000];
	struct ip4_hdr q = {.protocol = 17,
			    .ttl = 60,
			    .total = (uint16_t)(20 + n),
			    .id = id,
			    .mf = more,
			    .offset = offset,
			    .src = peer4().w[3],
			    .dst = h->addr4.w[3]};

	eth_put(f, h->l->hw, (uint8_t[]){2, 0, 0, 0, 0, 2}, ETH_P_IP4);
	ip4_put(f + 14, &q);
	memcpy(f + 34, data, n);
	nethost_frame(h, f, 34 + n);
}

Test(ip, fragments_in_any_order_791_815)
{
	uint8_t data[3000];

	for (uint32_t i = 0; i < sizeof(data); i++)
		data[i] = netuser_byte(i);
	fragment(1, 2000, false, data + 2000, 1000);
	fragment(1, 0, true, data, 1000);
	fragment(2, 0, true, data, 1000); /* another datagram */
	cr_assert_eq(h->got_count, 0);
	fragment(1, 0, true, data, 1000); /* again */
	fragment(1, 1000, true, data + 1000, 1000);
	cr_assert_eq(h->got_count, 1);
	cr_assert(h->got.len == 3000 && memcmp(h->got_data, data, 3000) == 0);
}

Test(ip, overlapping_fragments_are_thrown_away_5722)
{
	uint8_t data[3000] = {0};

	fragment(1, 0, true, data, 1000);
	fragment(1, 992, false, data, 100);
	fragment(1, 1000, false, data, 100);
	cr_assert_eq(h->got_count, 0);
	fragment(2, 65528, false, data, 100); /* beyond what a datagram may be */
	fragment(3, 0, true, data, 1001);     /* not a multiple of eight */
	cr_assert_eq(h->got_count, 0);
	cr_assert_geq(h->w->counters.ip_frag_dropped, 3);
}

Test(ip, fragments_time_out_with_a_word_1122_3_3_2)
{
	uint8_t data[1000] = {0};
	struct net_addr a = peer4();
	struct netframe *o;

	nethost_know(h, &a);
	fragment(1, 0, true, data, 1000);
	fragment(2, 1000, true, data, 1000); /* its first never came: nothing is said */
	netsim_run(&sim, 60 * SEC, NULL, NULL);
	o = nethost_sent(h);
	cr_assert(o && o->data[34] == ICMP_TIME_EXCEEDED && o->data[35] == 1);
	kfree(o);
	while ((o = nethost_sent(h))) {
		cr_assert_eq(get_be16(o->data + 12), ETH_P_ARP,
			     "but for the neighbour, nobody is told anything");
		kfree(o);
	}
	cr_assert_eq(h->w->frag_bytes, 0);
}

Test(ip, fragments_are_bounded_in_memory)
{
	uint8_t data[1480] = {0};

	for (uint32_t i = 0; i < 10000; i++)
		fragment((uint16_t)i, 1480, true, data, 1480);
	cr_assert_leq(h->w->frag_bytes, FRAG_BYTES);
}

Test(ip, large_datagrams_leave_in_fragments_and_arrive_whole)
{
	struct nethost *b = nethost_create(&sim, 2, LINK_ETHER, 1500);
	uint8_t *data = kmalloc(20000);
	struct route r = {.ifindex = 2, .mtu = 65536};

	cr_assert(data);
	netpair_connect(h, b);
	for (uint32_t i = 0; i < 20000; i++)
		data[i] = netuser_byte(i);
	for (int v6 = 0; v6 < 2; v6++) {
		struct ip_out o = {.src = v6 ? h->addr6 : h->addr4,
				   .dst = v6 ? b->addr6 : b->addr4,
				   .protocol = 17,
				   .r = &r};
		struct pkt p;

		pkt_init(&p);
		pkt_add(&p, data, 20000);
		cr_assert_eq(wire_ip_output(h->w, &p, &o), 0);
		netsim_run(&sim, SEC, NULL, NULL);
		cr_assert_eq(b->got.protocol, 17);
		cr_assert(b->got.len == 20000 && memcmp(b->got_data, data, 20000) == 0);
		o.df = true;
		pkt_init(&p);
		pkt_add(&p, data, 20000);
		cr_assert_eq(wire_ip_output(h->w, &p, &o), -EMSGSIZE);
	}
	kfree(data);
}

Test(ip, neighbour_solicitations_are_answered_only_from_the_link_4861_7_1_1)
{
	uint8_t f[14 + 40 + 32] = {0};
	struct ip6_hdr q = {.next = PROTO_ICMP6, .payload = 32, .hops = 64};
	struct net_addr src = h->addr6;
	struct netframe *o;
	uint16_t sum;

	src.b[15] = 2;
	eth_put(f, h->l->hw, (uint8_t[]){2, 0, 0, 0, 0, 2}, ETH_P_IP6);
	memcpy(q.src, src.b, 16);
	memcpy(q.dst, h->addr6.b, 16);
	f[54] = ICMP6_NS;
	memcpy(f + 62, h->addr6.b, 16);
	memcpy(f + 78, (uint8_t[]){1, 1, 2, 0, 0, 0, 0, 2}, 8);
	sum = csum_finish(csum_join(csum_pseudo(q.src, q.dst, 16, PROTO_ICMP6, 32), csum_add(0, f + 54, 32)));
	memcpy(f + 56, &sum, 2);
	ip6_put(f + 14, &q);
	nethost_frame(h, f, sizeof(f));
	cr_assert_null(nethost_sent(h), "hop limit 64: it came through a router");
	q.hops = 255;
	ip6_put(f + 14, &q);
	nethost_frame(h, f, sizeof(f));
	o = nethost_sent(h);
	cr_assert(o && o->data[54] == ICMP6_NA && o->data[58] == 0x60);
	cr_assert_eq(memcmp(o->data + 80, h->l->hw, 6), 0);
	kfree(o);
}

Test(ip, errors_are_limited_in_rate)
{
	struct ip_in in = {.l = h->l,
			   .unicast = true,
			   .header = (const uint8_t[28]){0x45},
			   .header_len = 20,
			   .p = {.protocol = 17,
				 .src = peer4(),
				 .dst = h->addr4,
				 .data = (const uint8_t[8]){0},
				 .len = 8}};

	netsim_run(&sim, SEC, NULL, NULL);
	for (int i = 0; i < 1000; i++)
		icmp4_send_error(h->w, &in, ICMP_UNREACH, ICMP_UNREACH_PORT, 0);
	cr_assert_eq(h->w->counters.icmp_out, 50);
	cr_assert_eq(h->w->counters.icmp_limited, 950);
}

Test(ip, an_error_is_no_cause_for_an_error_1122_3_2_2)
{
	uint8_t data[16] = {ICMP_UNREACH};
	struct ip_in in = {
		.l = h->l,
		.unicast = true,
		.header = (const uint8_t[28]){0x45},
		.header_len = 20,
		.p = {.protocol = PROTO_ICMP, .src = peer4(), .dst = h->addr4, .data = data, .len = 16}};

	netsim_run(&sim, SEC, NULL, NULL);
	icmp4_send_error(h->w, &in, ICMP_TIME_EXCEEDED, 1, 0);
	in.p.protocol = 17;
	in.unicast = false;
	icmp4_send_error(h->w, &in, ICMP_UNREACH, 3, 0);
	cr_assert_eq(h->w->counters.icmp_out, 0);
}
