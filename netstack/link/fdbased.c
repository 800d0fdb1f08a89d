/* fdbased.c: a link over a descriptor that carries one frame a message: TAP, an AF_PACKET socket, a SEQPACKET
 * or datagram socket pair. With virtio-net headers (struct virtio_net_hdr, as PACKET_VNET_HDR and IFF_VNET_HDR
 * have it) bursts of TCP segments go out and come in as one, and checksums are left to whoever has them cheap.
 */
#include "netstack/link/fdbased.h"

#include <sys/socket.h>

#include "netstack/core/attach.h"
#include "netstack/link/pcap.h"
#include "platform/host/hostcall.h"

#define FRAME_MAX (65536u + 64)
#define VNET_LEN  10u

#define VNET_NEEDS_CSUM 1
#define VNET_DATA_VALID 2
#define VNET_GSO_TCP4	1
#define VNET_GSO_TCP6	4
#define VNET_GSO_ECN	0x80

struct fd_link {
	struct link l;
	bool vnet, socket;
	uint8_t *buf; /* FRAME_MAX */
};

static struct fd_link *fd_of(struct link *l)
{
	return container_of(l, struct fd_link, l);
}

static void put_vnet(const struct pkt *p, uint8_t *h)
{
	uint32_t head = PKT_ROOM - p->start, l4 = head - p->l4_len;

	memset(h, 0, VNET_LEN);
	if (p->partial_csum) {
		h[0] = VNET_NEEDS_CSUM;
		put_le16(h + 6, (uint16_t)l4);
		put_le16(h + 8, p->csum_at);
	}
	if (p->gso_size) {
		h[1] = p->v6 ? VNET_GSO_TCP6 : VNET_GSO_TCP4;
		put_le16(h + 2, (uint16_t)head);
		put_le16(h + 4, p->gso_size);
	}
}

static int fd_send(struct link *l, const struct pkt *p)
{
	struct fd_link *f = fd_of(l);
	struct iovec iov[2 + PKT_PIECES];
	struct msghdr m = {.msg_iov = iov};
	uint8_t vnet[VNET_LEN];
	int n = 0;
	ssize_t ret;

	if (f->vnet) {
		put_vnet(p, vnet);
		iov[n++] = (struct iovec){vnet, VNET_LEN};
	}
	iov[n++] = (struct iovec){(void *)(p->room + p->start), PKT_ROOM - p->start};
	for (uint32_t i = 0; i < p->piece_count; i++)
		iov[n++] = p->pieces[i];
	if (f->socket) {
		m.msg_iovlen = (size_t)n;
		ret = hc_sendmsg(l->fd, &m, MSG_DONTWAIT);
	} else {
		ret = hc_writev(l->fd, iov, n);
	}
	if (ret == -ENOBUFS || ret == -EINTR)
		ret = -EAGAIN;
	return ret < 0 ? (int)ret : 0;
}

static void take(struct fd_link *f, const uint8_t *p, size_t n)
{
	bool ok = false;

	if (f->vnet) {
		if (n < VNET_LEN)
			return;
		ok = p[0] & (VNET_NEEDS_CSUM | VNET_DATA_VALID);
		p += VNET_LEN;
		n -= VNET_LEN;
	}
	wire_input(&f->l, p, n, ok);
}

static int fd_receive(struct link *l, uint32_t budget)
{
	struct fd_link *f = fd_of(l);
	uint32_t got = 0;
	ssize_t n = 0;

	for (; got < budget; got++) {
		n = f->socket ? hc_recvfrom(l->fd, f->buf, FRAME_MAX, MSG_DONTWAIT, NULL, NULL)
			      : hc_read(l->fd, f->buf, FRAME_MAX);
		if (n <= 0)
			break;
		take(f, f->buf, (size_t)n);
	}
	if (n == 0 && got < budget)
		return -EPIPE; /* the other end of a pair is gone */
	return n < 0 && n != -EAGAIN && n != -EINTR && n != -ENETDOWN ? (int)n : (int)got;
}

static void fd_close(struct link *l)
{
	struct fd_link *f = fd_of(l);

	hc_close(l->fd);
	pcap_destroy(l->pcap);
	kfree(f->buf);
	kfree(f);
}

static const struct link_ops fd_ops = {fd_send, fd_receive, fd_close};

int fdbased_create(const struct net_link_config *c, struct link **out)
{
	struct fd_link *f = kmalloc(sizeof(*f));

	if (f)
		f->buf = kmalloc(FRAME_MAX);
	if (!f || !f->buf) {
		kfree(f);
		hc_close(c->fd);
		return -ENOMEM;
	}
	f->vnet = c->vnet_hdr;
	f->socket = c->is_socket;
	f->l.ops = &fd_ops;
	f->l.fd = c->fd;
	f->l.mtu = c->mtu;
	f->l.features = c->ethernet ? LINK_ETHER : 0;
	if (c->vnet_hdr)
		f->l.features |= LINK_CSUM | LINK_TSO;
	memcpy(f->l.hw, c->hw, ETH_ALEN);
	*out = &f->l;
	return 0;
}

int net_link_add(struct net_stack *st, const struct net_link_config *c, uint32_t *ifindex)
{
	struct link *l;
	int ret = fdbased_create(c, &l);

	if (ret < 0)
		return ret;
	if (c->pcap_fd > 0) {
		ret = pcap_create(c->pcap_fd, c->ethernet, &l->pcap);
		if (ret < 0) {
			l->pcap = NULL;
			l->ops->close(l);
			return ret;
		}
	}
	ret = stack_attach(st, l, c->name);
	if (ret == 0)
		*ifindex = l->ifindex;
	return ret;
}
