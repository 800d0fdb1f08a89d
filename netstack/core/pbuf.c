/* pbuf.c: packets on their way out. */
#include "netstack/core/pbuf.h"

#include <string.h>

#include "netstack/core/checksum.h"
#include "platform/base/arena.h"
#include "platform/base/bug.h"

void pkt_add(struct pkt *p, const void *data, uint32_t n)
{
	if (!n)
		return;
	BUG_ON(p->piece_count == PKT_PIECES);
	p->pieces[p->piece_count++] = (struct iovec){(void *)data, n};
	p->data_len += n;
}

void pkt_fill_csum(struct pkt *p)
{
	uint8_t *l4 = p->room + PKT_ROOM - p->l4_len;
	uint32_t sum = csum_add(0, l4, p->l4_len);
	bool odd = p->l4_len & 1;
	uint16_t fin;

	for (uint32_t i = 0; i < p->piece_count; i++) {
		sum = odd ? csum_add_odd(sum, p->pieces[i].iov_base, p->pieces[i].iov_len)
			  : csum_add(sum, p->pieces[i].iov_base, p->pieces[i].iov_len);
		odd ^= p->pieces[i].iov_len & 1;
	}
	fin = csum_finish(sum);
	if (!fin)
		fin = 0xffff; /* the same number, and never UDP's "none" */
	memcpy(l4 + p->csum_at, &fin, 2);
	p->partial_csum = false;
}

void pkt_flatten(const struct pkt *p, uint8_t *out)
{
	memcpy(out, p->room + p->start, pkt_head_len(p));
	out += pkt_head_len(p);
	for (uint32_t i = 0; i < p->piece_count; i++) {
		memcpy(out, p->pieces[i].iov_base, p->pieces[i].iov_len);
		out += p->pieces[i].iov_len;
	}
}

struct pbuf *pbuf_copy(const struct pkt *p)
{
	struct pbuf *b = kmalloc(sizeof(*b) + p->data_len);
	uint32_t at = 0;

	if (!b)
		return NULL;
	b->pkt = *p;
	for (uint32_t i = 0; i < p->piece_count; i++) {
		memcpy(b->data + at, p->pieces[i].iov_base, p->pieces[i].iov_len);
		at += (uint32_t)p->pieces[i].iov_len;
	}
	b->pkt.piece_count = at ? 1 : 0;
	b->pkt.pieces[0] = (struct iovec){b->data, at};
	return b;
}
