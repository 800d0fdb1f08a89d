/* pbuf.h: packets on their way out. A struct pkt lives on its sender's stack: headers grow downwards in its
 * room, the data behind them is pieces of somebody else's memory, so that nothing is copied on the way to the
 * link. What has to wait (for an address, for room) is copied into a struct pbuf. */
#pragma once

#include <string.h>
#include <sys/uio.h>

#include "platform/base/list.h"

#define PKT_ROOM   192u
#define PKT_PIECES 12u

struct pkt {
	uint32_t start;	   /* of the headers in room */
	uint32_t data_len; /* of all pieces */
	uint32_t piece_count;
	struct iovec pieces[PKT_PIECES];
	/* The transport header, for links that fill in or for software that does: offset from the packet's end
	 * of headers. */
	bool partial_csum; /* the checksum field holds the pseudo-header's sum only */
	uint8_t l4_len;	   /* bytes of the transport header, which ends where room ends */
	uint8_t csum_at;   /* of the checksum in it */
	uint16_t gso_size; /* payload bytes of each segment; 0: one segment */
	bool v6;
	uint8_t room[PKT_ROOM];
};

static inline void pkt_init(struct pkt *p)
{
	p->start = PKT_ROOM;
	p->data_len = p->piece_count = 0;
	p->partial_csum = false;
	p->gso_size = 0;
	p->l4_len = 0;
}
static inline uint8_t *pkt_push(struct pkt *p, uint32_t n)
{
	p->start -= n;
	return p->room + p->start;
}
static inline uint8_t *pkt_head(struct pkt *p)
{
	return p->room + p->start;
}
static inline uint32_t pkt_head_len(const struct pkt *p)
{
	return PKT_ROOM - p->start;
}
static inline uint32_t pkt_len(const struct pkt *p)
{
	return PKT_ROOM - p->start + p->data_len;
}
void pkt_add(struct pkt *p, const void *data, uint32_t n);
/* The checksum of the transport header and the pieces, on top of what the field holds, is put into the field.
 */
void pkt_fill_csum(struct pkt *p);

/* All pkt_len bytes in one piece. */
void pkt_flatten(const struct pkt *p, uint8_t *out);

struct pbuf {
	struct list node;
	struct pkt pkt; /* its one piece is data */
	uint8_t data[];
};
/* A copy; NULL: no memory. */
MUST_CHECK struct pbuf *pbuf_copy(const struct pkt *p);
