/* msg.h: what a sentry with `--network nat` and sbx-net say to each other. Two SEQPACKET socket pairs: on one
 * go connections (with a descriptor when there is one), on the other datagrams, so that many of these don't
 * hold those up. Every message is a struct nat_msg; behind NAT_DGRAM's comes the payload. Addresses are 16
 * bytes, IPv4 ones as v4-mapped IPv6 ones; ports are in host order. */
#pragma once

#include "platform/base/attr.h"

enum nat_type {
	/* sentry to net */
	NAT_CONNECT = 1, /* TCP to dst, dport; id is the sentry's */
	NAT_CANCEL,	 /* the connection `id` is no longer wanted */
	/* both ways: a datagram; src and dst are those of the packet */
	NAT_DGRAM,
	/* net to sentry */
	NAT_CONNECTED, /* id; error: a positive errno, or 0 and the connected socket comes along */
	NAT_ACCEPTED,  /* somebody at src, sport connected to the published port dst, dport: the socket comes
			  along */
	NAT_ERROR,     /* an ICMP error about a datagram from src to dst: type, code, offender (as `from`) */
};

#define NAT_REFUSED 1u /* in flags, with error: it was the policy that said no */

struct nat_msg {
	uint32_t type;
	int32_t error;
	uint64_t id;
	uint8_t src[16], dst[16], from[16];
	uint16_t sport, dport;
	uint8_t protocol; /* IPPROTO_* */
	uint8_t ttl, tos;
	uint8_t icmp_type, icmp_code;
	uint8_t flags;
	uint8_t unused[2];
	uint32_t info; /* path MTU, with "too big" */
};

_Static_assert(sizeof(struct nat_msg) == 80, "no padding: it crosses between processes");

/* Payload of a datagram at most. */
#define NAT_DGRAM_MAX 65535u
