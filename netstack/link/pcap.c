/* pcap.c: a copy of a link's packets, in the format of pcap(3). One write a packet, so that packets of several
 * threads don't mix (O_APPEND). */
#include "netstack/link/pcap.h"

#include "platform/abi/errno.h"
#include "platform/base/arena.h"
#include "platform/base/bytes.h"
#include "platform/base/clock.h"
#include "platform/host/hostcall.h"

#define PCAP_MAGIC_NS  0xa1b23c4du
#define LINKTYPE_ETHER 1
#define LINKTYPE_RAW   101
#define SNAP	       262144u

struct pcap {
	int fd;
};

int pcap_create(int fd, bool ether, struct pcap **out)
{
	uint8_t head[24] = {0};
	struct pcap *p = kmalloc(sizeof(*p));
	ssize_t n;

	if (!p) {
		hc_close(fd);
		return -ENOMEM;
	}
	put_le32(head, PCAP_MAGIC_NS);
	put_le16(head + 4, 2);
	put_le16(head + 6, 4);
	put_le32(head + 16, SNAP);
	put_le32(head + 20, ether ? LINKTYPE_ETHER : LINKTYPE_RAW);
	n = hc_write(fd, head, sizeof(head));
	if (n != (ssize_t)sizeof(head)) {
		hc_close(fd);
		kfree(p);
		return n < 0 ? (int)n : -EIO;
	}
	p->fd = fd;
	*out = p;
	return 0;
}

void pcap_destroy(struct pcap *p)
{
	if (!p)
		return;
	hc_close(p->fd);
	kfree(p);
}

static void record(struct pcap *p, struct iovec *iov, int count, size_t n)
{
	uint64_t now = (uint64_t)clock_realtime_ns();
	uint8_t head[16];

	put_le32(head, (uint32_t)(now / NSEC_PER_SEC));
	put_le32(head + 4, (uint32_t)(now % NSEC_PER_SEC));
	put_le32(head + 8, (uint32_t)n);
	put_le32(head + 12, (uint32_t)n);
	iov[0] = (struct iovec){head, sizeof(head)};
	(void)hc_writev(p->fd, iov, count); /* a full disk costs the copy, not the packet */
}

void pcap_write(struct pcap *p, const uint8_t *frame, size_t n)
{
	struct iovec iov[2] = {{0}, {(void *)frame, n}};

	record(p, iov, 2, n);
}

void pcap_write_pkt(struct pcap *p, const struct pkt *pkt)
{
	struct iovec iov[2 + PKT_PIECES] = {{0}, {(void *)(pkt->room + pkt->start), PKT_ROOM - pkt->start}};

	memcpy(iov + 2, pkt->pieces, pkt->piece_count * sizeof(*iov));
	record(p, iov, (int)(2 + pkt->piece_count), pkt_len(pkt));
}
