/* proto_test.c: what the parsers take and refuse, and that what is put parses to the same. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "netstack/proto/arp.h"
#include "netstack/proto/icmp.h"
#include "netstack/proto/ip4.h"
#include "netstack/proto/ip6.h"
#include "netstack/proto/tcp.h"
#include "netstack/proto/udp.h"

/* The sum by its definition: 16-bit big-endian words. */
static uint16_t plain_sum(const uint8_t *p, size_t n)
{
	uint32_t s = 0;

	for (size_t i = 0; i < n; i++)
		s += (uint32_t)p[i] << (i % 2 ? 0 : 8);
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)~s;
}

Test(checksum, as_defined_at_every_length_and_alignment)
{
	uint8_t buf[300];

	srandom(7);
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)random();
	memset(buf + 100, 0xff, 100);
	for (size_t at = 0; at < 9; at++) {
		for (size_t n = 0; n < 280; n++) {
			uint16_t sum = csum_finish(csum_add(0, buf + at, n));

			cr_assert_eq(get_be16(&sum), plain_sum(buf + at, n));
		}
	}
}

Test(checksum, pieces_add_up)
{
	uint8_t buf[200];
	uint16_t whole;

	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)(i * 37);
	whole = csum_finish(csum_add(0, buf, sizeof(buf)));
	for (size_t cut = 0; cut <= sizeof(buf); cut++) {
		uint32_t s = csum_add(0, buf, cut);

		s = cut % 2 ? csum_add_odd(s, buf + cut, sizeof(buf) - cut)
			    : csum_add(s, buf + cut, sizeof(buf) - cut);
		cr_assert_eq(csum_finish(s), whole);
	}
}

Test(checksum, example_of_rfc_1071)
{
	static const uint8_t data[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
	uint16_t s = csum_fold(csum_add(0, data, sizeof(data)));

	cr_assert_eq(get_be16(&s), 0xddf2);
}

Test(ip4, what_is_put_parses_and_damage_is_found)
{
	struct ip4_hdr h = {.tos = 3,
			    .ttl = 64,
			    .protocol = 6,
			    .total = 40,
			    .id = 0x1234,
			    .df = true,
			    .offset = 0,
			    .src = 0x0100000a,
			    .dst = 0x0200000a},
		       got;
	uint8_t p[60] = {0};

	ip4_put(p, &h);
	cr_assert(ip4_parse(p, sizeof(p), &got));
	cr_assert_eq(got.hlen, 20);
	cr_assert_eq(got.id, 0x1234);
	cr_assert(got.df && !got.mf && got.src == h.src && got.dst == h.dst && got.tos == 3);
	cr_assert_not(ip4_parse(p, 39, &got), "truncated");
	for (int i = 0; i < 20; i++) {
		p[i] ^= 0x10;
		cr_assert_not(ip4_parse(p, sizeof(p), &got), "byte %d", i);
		p[i] ^= 0x10;
	}
}

Test(ip6, chain_finds_the_payload)
{
	uint8_t p[80] = {0};
	struct ip6_hdr h = {.tclass = 0xa5, .flow = 0x12345, .next = IP6_HOPOPTS, .hops = 1, .payload = 40},
		       got;
	struct ip6_chain c;

	ip6_put(p, &h);
	p[40] = IP6_DSTOPTS;
	p[42] = 1; /* PadN of 4 */
	p[43] = 4;
	p[48] = 17;
	p[50] = 1;
	p[51] = 4;
	cr_assert(ip6_parse(p, sizeof(p), &got));
	cr_assert(got.tclass == 0xa5 && got.flow == 0x12345 && got.payload == 40);
	cr_assert_not(ip6_parse(p, 79, &got));
	ip6_walk(p, 80, got.next, &c);
	cr_assert(c.ok && c.protocol == 17 && c.offset == 56 && !c.fragment);
	p[50] = 0x80; /* an unknown option that wants an answer */
	ip6_walk(p, 80, got.next, &c);
	cr_assert(!c.ok && c.bad_code == 2 && c.bad_at == 50 && !c.silent);
	p[50] = 0x40;
	ip6_walk(p, 80, got.next, &c);
	cr_assert(!c.ok && c.silent);
	p[50] = 0x1e; /* unknown, to be skipped */
	ip6_walk(p, 80, got.next, &c);
	cr_assert(c.ok);
	p[40] = IP6_HOPOPTS; /* not first */
	ip6_walk(p, 80, got.next, &c);
	cr_assert(!c.ok && c.bad_code == 1);
}

Test(ip6, fragment_header_and_type_0_routing)
{
	uint8_t p[64] = {0};
	struct ip6_chain c;

	p[40] = 17;
	put_be16(p + 42, 1448 | 1);
	put_be32(p + 44, 77);
	ip6_walk(p, 64, IP6_FRAGMENT, &c);
	cr_assert(c.ok && c.fragment && c.more && c.frag_offset == 1448 && c.id == 77 && c.offset == 48);
	ip6_walk(p, 44, IP6_FRAGMENT, &c);
	cr_assert(!c.ok && c.silent);
	memset(p + 40, 0, 8);
	p[43] = 1;
	ip6_walk(p, 64, IP6_ROUTING, &c);
	cr_assert(!c.ok && c.bad_code == 0 && c.bad_at == 42);
}

Test(tcp, options_of_a_syn_come_back)
{
	struct tcp_opts o = {.mss = 1460,
			     .has_ts = true,
			     .tsval = 5,
			     .tsecr = 6,
			     .sack_ok = true,
			     .has_wscale = true,
			     .wscale = 7},
			got;
	uint8_t p[TCP_OPT_MAX];
	size_t n = tcp_put_opts(p, &o, true);

	cr_assert_eq(n, 20);
	tcp_parse_opts(p, n, &got);
	cr_assert_eq(memcmp(&o, &got, sizeof(o)), 0);
}

Test(tcp, sack_blocks_as_many_as_fit)
{
	struct tcp_opts o = {.has_ts = true, .sack_count = 4, .sack = {{1, 2}, {3, 4}, {5, 6}, {7, 8}}}, got;
	uint8_t p[TCP_OPT_MAX];
	size_t n = tcp_put_opts(p, &o, false);

	cr_assert_eq(n, 40);
	tcp_parse_opts(p, n, &got);
	cr_assert(got.sack_count == 3 && got.sack[2].end == 6);
	o.has_ts = false;
	n = tcp_put_opts(p, &o, false);
	tcp_parse_opts(p, n, &got);
	cr_assert(n == 36 && got.sack_count == 4);
}

Test(tcp, broken_options_end_the_list)
{
	static const uint8_t zero_len[] = {2, 0, 5, 180}, too_long[] = {1, 2, 40, 1}, wscale[] = {3, 3, 200, 0};
	struct tcp_opts got;

	tcp_parse_opts(zero_len, 4, &got);
	cr_assert_eq(got.mss, 0);
	tcp_parse_opts(too_long, 4, &got);
	cr_assert_eq(got.mss, 0);
	tcp_parse_opts(wscale, 4, &got);
	cr_assert(got.has_wscale && got.wscale == 14, "RFC 7323 2.3: more than 14 counts as 14");
}

Test(tcp, header_lengths_are_checked)
{
	struct tcp_hdr h = {.sport = 1,
			    .dport = 2,
			    .seq = 0xfffffff0,
			    .ack = 9,
			    .hlen = 24,
			    .flags = TCP_ACK,
			    .window = 100},
		       got;
	uint8_t p[24] = {0};

	tcp_put(p, &h);
	cr_assert(tcp_parse(p, 24, &got) && got.seq == 0xfffffff0 && got.hlen == 24);
	cr_assert_not(tcp_parse(p, 23, &got));
	p[12] = 4 << 4;
	cr_assert_not(tcp_parse(p, 24, &got), "shorter than a header");
	cr_assert(seq_lt(0xfffffff0, 5) && seq_gt(5, 0xfffffff0) && seq_ge(5, 5));
}

Test(udp, length_is_of_the_datagram)
{
	uint8_t p[20] = {0};
	struct udp_hdr h;

	udp_put(p, 53, 1024, 12, 0);
	cr_assert(udp_parse(p, 20, &h) && h.len == 12 && h.sport == 53);
	cr_assert_not(udp_parse(p, 11, &h));
	udp_put(p, 53, 1024, 7, 0);
	cr_assert_not(udp_parse(p, 20, &h));
}

Test(arp, only_ipv4_over_ethernet)
{
	struct arp_pkt a = {.op = ARP_REQUEST, .spa = 1, .tpa = 2}, got;
	uint8_t p[ARP_LEN];

	arp_put(p, &a);
	cr_assert(arp_parse(p, ARP_LEN, &got) && got.tpa == 2);
	cr_assert_not(arp_parse(p, ARP_LEN - 1, &got));
	p[3] = 1;
	cr_assert_not(arp_parse(p, ARP_LEN, &got));
}

Test(nd, an_option_of_length_zero_spoils_the_message)
{
	uint8_t p[40] = {1, 1, 2, 3, 4, 5, 6, 7, 5, 1, 0, 0, 0, 0, 5, 0xdc};
	struct nd_options o;

	cr_assert(nd_parse_options(p, 16, &o) && o.source_ll == p + 2 && o.mtu == 1500);
	p[9] = 0;
	cr_assert_not(nd_parse_options(p, 16, &o));
	p[9] = 2;
	cr_assert_not(nd_parse_options(p, 16, &o));
}
