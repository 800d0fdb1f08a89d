/* tcp.h: TCP headers and options (RFC 9293 3.1, 7323, 2018): parse and put, no state. Host order. */
#pragma once

#include "platform/base/bytes.h"

#define TCP_HLEN     20
#define TCP_HLEN_MAX 60
#define TCP_OPT_MAX  40

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_PSH 0x08
#define TCP_ACK 0x10
#define TCP_URG 0x20
#define TCP_ECE 0x40
#define TCP_CWR 0x80

#define TCP_SACK_MAX   4
#define TCP_WSCALE_MAX 14

struct tcp_hdr {
	uint16_t sport, dport, window, urgent;
	uint32_t seq, ack;
	uint8_t hlen, flags;
};

struct tcp_block {
	uint32_t start, end;
};

struct tcp_opts {
	bool has_ts, sack_ok, has_wscale;
	uint8_t wscale, sack_count;
	uint16_t mss; /* 0: none */
	uint32_t tsval, tsecr;
	struct tcp_block sack[TCP_SACK_MAX];
};

/* Sequence numbers are compared modulo 2^32. */
static inline bool seq_lt(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}
static inline bool seq_le(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) <= 0;
}
static inline bool seq_gt(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}
static inline bool seq_ge(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) >= 0;
}

static inline MUST_CHECK bool tcp_parse(const uint8_t *p, size_t n, struct tcp_hdr *out)
{
	if (n < TCP_HLEN)
		return false;
	out->sport = get_be16(p);
	out->dport = get_be16(p + 2);
	out->seq = get_be32(p + 4);
	out->ack = get_be32(p + 8);
	out->hlen = (uint8_t)((p[12] >> 4) * 4);
	out->flags = p[13];
	out->window = get_be16(p + 14);
	out->urgent = get_be16(p + 18);
	return out->hlen >= TCP_HLEN && out->hlen <= n;
}

/* The checksum is left zero. */
static inline void tcp_put(uint8_t *p, const struct tcp_hdr *h)
{
	put_be16(p, h->sport);
	put_be16(p + 2, h->dport);
	put_be32(p + 4, h->seq);
	put_be32(p + 8, h->ack);
	p[12] = (uint8_t)(h->hlen / 4 << 4);
	p[13] = h->flags;
	put_be16(p + 14, h->window);
	put_be16(p + 16, 0);
	put_be16(p + 18, h->urgent);
}

static inline void tcp_parse_option(const uint8_t *p, size_t len, struct tcp_opts *out)
{
	switch (p[0]) {
	case 2:
		if (len == 4)
			out->mss = get_be16(p + 2);
		break;
	case 3:
		if (len == 3) {
			out->has_wscale = true;
			out->wscale = p[2] > TCP_WSCALE_MAX ? TCP_WSCALE_MAX : p[2]; /* RFC 7323, 2.3 */
		}
		break;
	case 4:
		if (len == 2)
			out->sack_ok = true;
		break;
	case 5:
		if (len < 10 || (len - 2) % 8)
			break;
		out->sack_count = 0;
		for (size_t at = 2; at < len && out->sack_count < TCP_SACK_MAX; at += 8)
			out->sack[out->sack_count++] =
				(struct tcp_block){get_be32(p + at), get_be32(p + at + 4)};
		break;
	case 8:
		if (len == 10) {
			out->has_ts = true;
			out->tsval = get_be32(p + 2);
			out->tsecr = get_be32(p + 6);
		}
		break;
	default:
		break;
	}
}

/* Unknown options are skipped; what follows a broken one is ignored (RFC 9293, 3.2: MUST-6, MUST-7). */
static inline void tcp_parse_opts(const uint8_t *p, size_t n, struct tcp_opts *out)
{
	*out = (struct tcp_opts){0};
	while (n) {
		if (p[0] == 0)
			return;
		if (p[0] == 1) {
			p++;
			n--;
			continue;
		}
		if (n < 2 || p[1] < 2 || p[1] > n)
			return;
		tcp_parse_option(p, p[1], out);
		n -= p[1];
		p += p[1];
	}
}

/* Options in the order that fits best; the length, a multiple of four. p has room for TCP_OPT_MAX bytes. syn:
 * mss, wscale and sack_ok are those of a SYN; else SACK blocks, as many as fit. */
static inline size_t tcp_put_opts(uint8_t *p, const struct tcp_opts *o, bool syn)
{
	size_t n = 0, blocks;

	if (syn && o->mss) {
		p[n] = 2;
		p[n + 1] = 4;
		put_be16(p + n + 2, o->mss);
		n += 4;
	}
	if (o->has_ts) {
		p[n] = syn && o->sack_ok ? 4 : 1;
		p[n + 1] = syn && o->sack_ok ? 2 : 1;
		p[n + 2] = 8;
		p[n + 3] = 10;
		put_be32(p + n + 4, o->tsval);
		put_be32(p + n + 8, o->tsecr);
		n += 12;
	} else if (syn && o->sack_ok) {
		memcpy(p + n, (uint8_t[]){1, 1, 4, 2}, 4);
		n += 4;
	}
	if (syn && o->has_wscale) {
		memcpy(p + n, (uint8_t[]){1, 3, 3, o->wscale}, 4);
		n += 4;
	}
	blocks = syn ? 0 : MIN((size_t)o->sack_count, (TCP_OPT_MAX - n - 4) / 8);
	if (!blocks)
		return n;
	memcpy(p + n, (uint8_t[]){1, 1, 5, (uint8_t)(2 + blocks * 8)}, 4);
	n += 4;
	for (size_t i = 0; i < blocks; i++, n += 8) {
		put_be32(p + n, o->sack[i].start);
		put_be32(p + n + 4, o->sack[i].end);
	}
	return n;
}
