/* show_stats.c: /proc/net/{dev,route,if_inet6,ipv6_route,sockstat,snmp,snmp6,netstat}: interfaces, routes and
 * counters. */
#include <string.h>

#include "platform/abi/ioctl.h"
#include "platform/base/strbuf.h"
#include "sentry/socket/inet/internal.h"

#define RTF_UP	    1
#define RTF_GATEWAY 2
#define RTF_LOCAL   0x80000000u
#define TABLE_MAIN  254

void inet_show_dev(struct net_stack *st, struct strbuf *out)
{
	struct net_if_info i;

	strbuf_puts(out, "Inter-|   Receive                                                |  Transmit\n"
			 " face |bytes    packets errs drop fifo frame compressed multicast|"
			 "bytes    packets errs drop fifo colls carrier compressed\n");
	for (uint32_t n = 0; st && net_if_at(st, n, &i); n++)
		strbuf_printf(out,
			      "%6s: %7lu %7lu %4u %4lu %4u %5u %10u %9u %8lu %7lu %4u %4lu %4u %5u %7u %10u\n",
			      i.name, i.rx_bytes, i.rx_packets, 0, i.rx_dropped, 0, 0, 0, 0, i.tx_bytes,
			      i.tx_packets, 0, i.tx_dropped, 0, 0, 0, 0);
}

static void put_hex(struct strbuf *out, const uint8_t *b)
{
	for (int n = 0; n < 16; n++)
		strbuf_printf(out, "%02x", b[n]);
}

void inet_show_if_inet6(struct net_stack *st, struct strbuf *out)
{
	struct net_addr_info a;
	struct net_if_info i;

	for (uint32_t n = 0; st && net_addr_at(st, n, &a); n++) {
		if (net_addr_is4(&a.addr) || !net_if_find(st, a.if_index, NULL, &i))
			continue;
		put_hex(out, a.addr.b);
		strbuf_printf(out, " %02x %02x %02x %02x %8s\n", i.index, a.prefix,
			      a.scope == 254   ? 0x10
			      : a.scope == 253 ? 0x20
					       : 0,
			      0x80, i.name);
	}
}

void inet_show_route(struct net_stack *st, struct strbuf *out)
{
	struct net_route_info r;
	struct net_if_info i;
	struct strbuf line;

	strbuf_printf(out, "%-127s\n",
		      "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow"
		      "\tIRTT");
	for (uint32_t n = 0; st && net_route_at(st, n, &r); n++) {
		uint32_t mask = r.prefix ? be32(UINT32_MAX << (32 - r.prefix)) : 0;

		if (r.v6 || r.local || r.table != TABLE_MAIN || !net_if_find(st, r.if_index, NULL, &i))
			continue;
		strbuf_init(&line);
		strbuf_printf(&line, "%s\t%08X\t%08X\t%04X\t%d\t%u\t%u\t%08X\t%d\t%u\t%u", i.name, r.dst.w[3],
			      r.has_gateway ? r.gateway.w[3] : 0, RTF_UP | (r.has_gateway ? RTF_GATEWAY : 0), 0,
			      0, r.metric, mask, 0, 0, 0);
		if (strbuf_ok(&line))
			strbuf_printf(out, "%-127s\n", line.data);
		strbuf_fini(&line);
	}
}

void inet_show_ipv6_route(struct net_stack *st, struct strbuf *out)
{
	static const uint8_t none[16];
	struct net_route_info r;
	struct net_if_info i;

	for (uint32_t n = 0; st && net_route_at(st, n, &r); n++) {
		if (!r.v6 || !net_if_find(st, r.if_index, NULL, &i))
			continue;
		put_hex(out, r.dst.b);
		strbuf_printf(out, " %02x ", r.prefix);
		put_hex(out, none);
		strbuf_puts(out, " 00 ");
		put_hex(out, r.has_gateway ? r.gateway.b : none);
		strbuf_printf(out, " %08x %08x %08x %08x %8s\n", r.metric, 2, 0,
			      r.local ? RTF_LOCAL | 0x200001u : RTF_UP | (r.has_gateway ? RTF_GATEWAY : 0u),
			      i.name);
	}
}

void inet_show_sockstat(struct net_stack *st, bool v6, struct strbuf *out)
{
	struct net_counters c = {.orphans = 0};
	uint32_t used = 0;

	if (st)
		net_counters(st, &c);
	if (v6) {
		strbuf_printf(out,
			      "TCP6: inuse %u\nUDP6: inuse %u\nUDPLITE6: inuse %u\nRAW6: inuse %u\n"
			      "FRAG6: inuse 0 memory 0\n",
			      c.inuse[NET_TCP][1], c.inuse[NET_UDP][1], c.inuse[NET_UDPLITE][1],
			      c.inuse[NET_RAW][1]);
		return;
	}
	for (int k = 0; k < NET_KINDS; k++)
		used += c.inuse[k][0] + c.inuse[k][1];
	strbuf_printf(out,
		      "sockets: used %u\nTCP: inuse %u orphan %u tw %u alloc %u mem 0\nUDP: inuse %u mem 0\n"
		      "UDPLITE: inuse %u\nRAW: inuse %u\nFRAG: inuse 0 memory 0\n",
		      used, c.inuse[NET_TCP][0], c.orphans, c.time_wait,
		      c.inuse[NET_TCP][0] + c.inuse[NET_TCP][1], c.inuse[NET_UDP][0], c.inuse[NET_UDPLITE][0],
		      c.inuse[NET_RAW][0]);
}

void inet_show_snmp(struct net_stack *st, struct strbuf *out)
{
	struct net_counters c = {.orphans = 0};

	if (st)
		net_counters(st, &c);
	strbuf_printf(
		out,
		"Ip: Forwarding DefaultTTL InReceives InHdrErrors InAddrErrors ForwDatagrams InUnknownProtos "
		"InDiscards InDelivers OutRequests OutDiscards OutNoRoutes ReasmTimeout ReasmReqds ReasmOKs "
		"ReasmFails FragOKs FragFails FragCreates OutTransmits\n"
		"Ip: 2 64 %lu 0 0 0 0 0 %lu %lu 0 0 0 0 0 0 0 0 0 %lu\n",
		c.ip_in, c.ip_delivers, c.ip_out, c.ip_out);
	strbuf_printf(
		out,
		"Icmp: InMsgs InErrors InCsumErrors InDestUnreachs InTimeExcds InParmProbs InSrcQuenchs "
		"InRedirects InEchos InEchoReps InTimestamps InTimestampReps InAddrMasks InAddrMaskReps "
		"OutMsgs "
		"OutErrors OutRateLimitGlobal OutRateLimitHost OutDestUnreachs OutTimeExcds OutParmProbs "
		"OutSrcQuenchs OutRedirects OutEchos OutEchoReps OutTimestamps OutTimestampReps OutAddrMasks "
		"OutAddrMaskReps\n"
		"Icmp: %lu 0 0 %lu 0 0 0 0 %lu %lu 0 0 0 0 %lu %lu 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
		c.icmp_in, c.icmp_unreach_in, c.icmp_echo_in, c.icmp_echo_rep_in, c.icmp_out, c.icmp_errors);
	strbuf_printf(
		out,
		"Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets "
		"CurrEstab InSegs OutSegs RetransSegs InErrs OutRsts InCsumErrors\n"
		"Tcp: 1 200 120000 -1 %lu %lu %lu %lu %lu %lu %lu 0 0 %lu 0\n",
		c.tcp_active, c.tcp_passive, c.tcp_fails, c.tcp_resets, c.tcp_established, c.tcp_in, c.tcp_out,
		c.tcp_rst_out);
	strbuf_printf(
		out,
		"Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors "
		"IgnoredMulti MemErrors\nUdp: %lu %lu %lu %lu %lu 0 0 0 0\n"
		"UdpLite: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors "
		"IgnoredMulti MemErrors\nUdpLite: 0 0 0 0 0 0 0 0 0\n",
		c.udp_in, c.udp_no_port, c.udp_errors + c.udp_rcvbuf_errors, c.udp_out, c.udp_rcvbuf_errors);
}

void inet_show_netstat(struct net_stack *st, struct strbuf *out)
{
	struct net_counters c = {.orphans = 0};
	struct net_if_info lo = {.rx_bytes = 0};

	if (st) {
		net_counters(st, &c);
		(void)net_if_at(st, 0, &lo);
	}
	strbuf_printf(
		out,
		"TcpExt: SyncookiesSent SyncookiesRecv SyncookiesFailed EmbryonicRsts TW TWRecycled TWKilled "
		"ListenOverflows ListenDrops TCPAbortOnData TCPAbortOnClose\n"
		"TcpExt: 0 0 0 0 %u 0 0 0 0 0 0\n"
		"IpExt: InNoRoutes InTruncatedPkts InMcastPkts OutMcastPkts InBcastPkts OutBcastPkts InOctets "
		"OutOctets\nIpExt: 0 0 0 0 0 0 %lu %lu\n",
		c.time_wait, lo.rx_bytes, lo.tx_bytes);
}

void inet_stats(struct net_stack *st, void (*add)(void *arg, const char *name, uint64_t value), void *arg)
{
	struct net_nat_counters n;
	struct net_counters c;
	struct net_if_info i;

	net_counters(st, &c);
	add(arg, "tcp_active_opens", c.tcp_active);
	add(arg, "tcp_passive_opens", c.tcp_passive);
	add(arg, "tcp_attempt_fails", c.tcp_fails);
	add(arg, "tcp_resets", c.tcp_resets);
	add(arg, "tcp_established", c.tcp_established);
	add(arg, "tcp_time_wait", c.time_wait);
	add(arg, "udp_in", c.udp_in);
	add(arg, "udp_out", c.udp_out);
	add(arg, "udp_no_port", c.udp_no_port);
	add(arg, "udp_receive_buffer_errors", c.udp_rcvbuf_errors);
	add(arg, "icmp_in", c.icmp_in);
	add(arg, "icmp_out", c.icmp_out);
	if (net_nat_counters(st, &n)) {
		add(arg, "nat_connects", n.connects);
		add(arg, "nat_accepted", n.accepted);
		add(arg, "nat_refused", n.refused);
		add(arg, "nat_failed", n.failed);
		add(arg, "nat_tcp_in", n.tcp_in);
		add(arg, "nat_tcp_out", n.tcp_out);
		add(arg, "nat_datagrams_in", n.dgrams_in);
		add(arg, "nat_datagrams_out", n.dgrams_out);
		add(arg, "nat_datagrams_dropped", n.dgrams_dropped);
		add(arg, "nat_datagram_bytes_in", n.dgram_bytes_in);
		add(arg, "nat_datagram_bytes_out", n.dgram_bytes_out);
	}
	if (net_if_at(st, 0, &i)) {
		add(arg, "lo_packets", i.rx_packets);
		add(arg, "lo_bytes", i.rx_bytes);
	}
}
