/* dns_msg.c: messages of DNS (RFC 1035), as far as a forwarder has to understand them: the question, and the
 * addresses that an answer gives. No I/O, no state. */
#include <ctype.h>
#include <string.h>

#include "netstack/nat/internal.h"
#include "platform/abi/errno.h"

#define HEAD	  12u
#define CLASS_IN  1
#define TYPE_OPT  41
#define JUMPS_MAX 64
#define RECORDS	  512u
#define QR	  0x80 /* of byte 2 */
#define OPCODE	  0x78
#define RCODE_BAD 1
#define RCODE_NOT 4
#define NAME_WIRE 255u
#define LABEL_MAX 63u

static unsigned get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

/* A name at *at; follows pointers, which must lead backwards. Bytes that no host name has become '?'. */
static int parse_name(const uint8_t *m, size_t n, size_t *at, char out[NAT_NAME_MAX])
{
	size_t pos = *at, len = 0, limit = *at;
	bool jumped = false;

	for (int i = 0; i < 128 + JUMPS_MAX; i++) {
		unsigned label;

		if (pos >= n)
			return -EINVAL;
		label = m[pos];
		if ((label & 0xc0) == 0xc0) {
			if (pos + 1 >= n)
				return -EINVAL;
			if (!jumped)
				*at = pos + 2;
			jumped = true;
			pos = get16(m + pos) & 0x3fff;
			if (pos >= limit)
				return -EINVAL;
			limit = pos;
			continue;
		}
		if (label > LABEL_MAX || pos + 1 + label > n || len + label + 2 > NAT_NAME_MAX)
			return -EINVAL;
		pos++;
		if (label == 0) {
			out[len ? len - 1 : 0] = 0;
			if (!jumped)
				*at = pos;
			return 0;
		}
		for (unsigned k = 0; k < label; k++) {
			unsigned char c = m[pos + k];

			out[len++] = c > ' ' && c < 127 && c != '.' && c != '*' ? (char)tolower(c) : '?';
		}
		out[len++] = '.';
		pos += label;
	}
	return -EINVAL;
}

static int parse_question(const uint8_t *m, size_t n, struct dns_question *q)
{
	size_t at = HEAD;

	if (parse_name(m, n, &at, q->name) < 0 || at + 4 > n)
		return -EINVAL;
	q->type = (uint16_t)get16(m + at);
	q->class = (uint16_t)get16(m + at + 2);
	q->end = at + 4;
	return 0;
}

/* Behind a name: type, class, TTL, length. */
struct record {
	char name[NAT_NAME_MAX];
	unsigned type, class, size;
	uint32_t ttl;
	size_t data;
};

static int parse_record(const uint8_t *m, size_t n, size_t *at, struct record *r)
{
	if (parse_name(m, n, at, r->name) < 0 || *at + 10 > n)
		return -EINVAL;
	r->type = get16(m + *at);
	r->class = get16(m + *at + 2);
	r->ttl = get32(m + *at + 4);
	r->size = get16(m + *at + 8);
	r->data = *at + 10;
	if (r->data + r->size > n)
		return -EINVAL;
	*at = r->data + r->size;
	return 0;
}

int dns_parse_query(const uint8_t *m, size_t n, struct dns_question *q, unsigned *rcode)
{
	struct record r;
	size_t at;

	*rcode = 0;
	memset(q, 0, sizeof(*q));
	if (n < HEAD || m[2] & QR)
		return -EINVAL;
	*rcode = m[2] & OPCODE ? RCODE_NOT : RCODE_BAD;
	if (m[2] & OPCODE || n > DNS_MAX || get16(m + 4) != 1 || get16(m + 6) || get16(m + 8) ||
	    get16(m + 10) > 2)
		return -EINVAL;
	if (parse_question(m, n, q) < 0) {
		q->end = 0;
		return -EINVAL;
	}
	at = q->end;
	for (unsigned i = get16(m + 10); i; i--)
		if (parse_record(m, n, &at, &r) < 0)
			return -EINVAL;
	return at == n ? 0 : -EINVAL;
}

int dns_parse_answer(const uint8_t *m, size_t n, const struct dns_question *q,
		     void (*address)(void *arg, const uint8_t addr[16], uint32_t ttl), void *arg)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	struct dns_question mine;
	uint32_t least = UINT32_MAX;
	unsigned answers;
	size_t at;

	if (n < HEAD || !(m[2] & QR) || m[2] & OPCODE || get16(m + 4) != 1 || parse_question(m, n, &mine) < 0)
		return -EINVAL;
	if (strcmp(mine.name, q->name) != 0 || mine.type != q->type || mine.class != q->class)
		return -EINVAL;
	answers = get16(m + 6);
	if (answers > RECORDS)
		return -EINVAL;
	at = mine.end;
	for (unsigned i = 0; i < answers; i++) {
		uint8_t addr[16];
		struct record r;

		if (parse_record(m, n, &at, &r) < 0)
			return m[2] & 2 ? 0 : -EINVAL; /* truncated: it is asked again by TCP */
		if (r.class != CLASS_IN || r.type == TYPE_OPT)
			continue;
		least = MIN(least, r.ttl);
		if (r.type == DNS_TYPE_A && r.size == 4) {
			memcpy(addr, mapped, 12);
			memcpy(addr + 12, m + r.data, 4);
		} else if (r.type == DNS_TYPE_AAAA && r.size == 16) {
			memcpy(addr, m + r.data, 16);
		} else {
			continue;
		}
		if (address && q->name[0])
			address(arg, addr, least);
	}
	return 0;
}

size_t dns_refuse(const uint8_t *query, size_t n, const struct dns_question *q, unsigned rcode, uint8_t *out,
		  size_t size)
{
	size_t end = q->end ? q->end : HEAD;

	if (n < end || size < end)
		return 0;
	memcpy(out, query, end);
	out[2] = (uint8_t)((query[2] & 0x79) | QR); /* opcode and RD as they were */
	out[3] = (uint8_t)(0x80 | rcode);	    /* recursion is available */
	memset(out + 4, 0, 8);
	out[5] = q->end ? 1 : 0;
	return end;
}
