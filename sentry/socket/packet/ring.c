/* ring.c: PACKET_RX_RING and PACKET_TX_RING (packet(7), Documentation/networking/packet_mmap.rst), versions 1
 * to 3: frames in memory that is shared with the socket's owner. The owner may write there what it likes at any
 * time: words are read once and checked. A block of version 3 is handed over when it is full, when somebody
 * waits, or when somebody asks whether there is something. */
#include <stdio.h>
#include <string.h>

#include "platform/base/arena.h"
#include "platform/base/clock.h"
#include "sentry/mem/mem.h"
#include "sentry/socket/packet/internal.h"

#define PAGE	   4096u
#define RING_MAX   (256u * 1024 * 1024)
#define LL_SIZE	   20u /* sizeof(struct sockaddr_ll) */
#define V1	   0
#define V2	   1
#define V3	   2
#define HEAD_MAX   48u
#define BLOCK_HEAD 48u /* struct tpacket_block_desc */
#define BLK_TMO	   32u
#define TX_SEND	   1u
#define TX_WRONG   4u
#define FRAME_MAX  (65536u + 14)
#define ALIGN16(n) (((n) + 15u) & ~15u)

struct req {
	uint32_t block_size, block_count, frame_size, frame_count, timeout, private_size, features;
};

/* The three headers of a frame. */
struct head1 {
	uint64_t status;
	uint32_t len, snaplen;
	uint16_t mac, net;
	uint32_t sec, usec;
};
struct head2 {
	uint32_t status, len, snaplen;
	uint16_t mac, net;
	uint32_t sec, nsec;
	uint16_t vlan_tci, vlan_tpid;
	uint8_t pad[4];
};
struct head3 {
	uint32_t next_offset, sec, nsec, snaplen, len, status;
	uint16_t mac, net;
	uint32_t rxhash, vlan_tci;
	uint16_t vlan_tpid, pad;
	uint8_t padding[8];
};
struct block_head {
	uint32_t version, private_offset, status, packets, first, len;
	uint64_t sequence;
	uint32_t first_sec, first_nsec, last_sec, last_nsec;
};

uint32_t packet_ring_header(uint32_t version)
{
	return version == V1   ? sizeof(struct head1)
	       : version == V2 ? sizeof(struct head2)
	       : version == V3 ? sizeof(struct head3)
			       : 0;
}

static uint64_t size_of(const struct packet_ring *r)
{
	return (uint64_t)r->block_size * r->block_count;
}

static uint64_t base_of(const struct packet_sock *p, const struct packet_ring *r)
{
	return r == &p->tx ? size_of(&p->rx) : 0;
}

/* Of frame n: frames don't cross blocks. */
static uint64_t frame_at(const struct packet_sock *p, const struct packet_ring *r, uint32_t n)
{
	uint32_t each = r->block_size / r->frame_size;

	return base_of(p, r) + (uint64_t)(n / each) * r->block_size + (uint64_t)(n % each) * r->frame_size;
}

static bool put(struct packet_sock *p, uint64_t at, const void *data, uint32_t n)
{
	return memfile_write(p->memory, data, n, at) == (ssize_t)n;
}

static bool get(struct packet_sock *p, uint64_t at, void *data, uint32_t n)
{
	return memfile_read(p->memory, data, n, at) == (ssize_t)n;
}

static uint32_t status_at(struct packet_sock *p, uint64_t at)
{
	uint32_t v = UINT32_MAX;

	(void)get(p, at, &v, sizeof(v));
	return v;
}

/* The status last: the owner waits for it. The first version's is a long. */
static void put_status(struct packet_sock *p, uint64_t at, uint32_t status)
{
	uint64_t wide = status;

	(void)put(p, at, &wide, p->version == V1 ? 8 : 4);
}

/* ---- set up ---- */

static int check(const struct packet_sock *p, bool tx, const struct req *q)
{
	uint32_t least = packet_ring_header(p->version) + LL_SIZE + p->reserve, each;

	if (!q->block_count)
		return q->frame_count ? -EINVAL : 0;
	if ((int32_t)q->block_size <= 0 || q->block_size % PAGE)
		return -EINVAL;
	if (q->frame_size < least || q->frame_size & 15)
		return -EINVAL;
	if (p->version == V3) {
		if ((uint64_t)q->private_size + BLOCK_HEAD + least > q->block_size)
			return -EINVAL;
		if (tx && (q->timeout || q->private_size || q->features))
			return -EINVAL;
	}
	each = q->block_size / q->frame_size;
	if (!each || (uint64_t)each * q->block_count != q->frame_count)
		return -EINVAL;
	return (uint64_t)q->block_size * q->block_count > RING_MAX ? -ENOMEM : 0;
}

static void open_block_locked(struct packet_sock *p)
{
	struct packet_ring *r = &p->rx;

	r->used = BLOCK_HEAD + ((r->private_size + 7u) & ~7u);
	r->packets = 0;
	r->last_at = 0;
}

/* Rings lie behind one another in one file: its size is what may be mapped. */
static int resize_locked(struct packet_sock *p)
{
	uint64_t size = size_of(&p->rx) + size_of(&p->tx);
	int ret;

	if (!p->memory) {
		ret = memfile_create(&p->memory);
		if (ret < 0)
			return ret;
	}
	ret = memfile_truncate(p->memory, 0); /* all frames are the kernel's, with zeros */
	return ret < 0 ? ret : memfile_truncate(p->memory, size);
}

static int set_locked(struct packet_sock *p, bool tx, const struct req *q)
{
	struct packet_ring *r = tx ? &p->tx : &p->rx, old = *r;
	int ret;

	if (__atomic_load_n(&p->mapped, __ATOMIC_ACQUIRE) || (r->block_count && q->block_count))
		return -EBUSY;
	ret = check(p, tx, q);
	if (ret < 0)
		return ret;
	*r = (struct packet_ring){.block_size = q->block_size,
				  .block_count = q->block_count,
				  .frame_size = q->frame_size,
				  .frame_count = q->frame_count,
				  .timeout_ms = q->timeout,
				  .private_size = q->private_size,
				  .sequence = 1};
	ret = resize_locked(p);
	if (ret < 0)
		*r = old;
	else if (!tx && p->version == V3)
		open_block_locked(p);
	return ret;
}

int packet_ring_set(struct packet_sock *p, bool tx, const void *val, uint32_t len)
{
	uint32_t need = p->version == V3 ? 28 : 16;
	struct req q = {0};
	int ret;

	if (len < need)
		return -EINVAL;
	memcpy(&q, val, need);
	mutex_lock(&p->lock);
	ret = set_locked(p, tx, &q);
	mutex_unlock(&p->lock);
	return ret;
}

void packet_ring_fini(struct packet_sock *p)
{
	if (p->memory)
		memfile_destroy(p->memory);
}

/* ---- arriving frames ---- */

/* What lies where in a frame's place. */
struct layout {
	uint32_t mac, net, skip, keep;
	uint64_t now;
};

static void lay_out(const struct packet_sock *p, const struct net_frame *f, uint32_t keep, bool dgram,
		    uint32_t room, struct layout *l)
{
	uint32_t head = ALIGN16(packet_ring_header(p->version)) + LL_SIZE;

	l->skip = dgram ? f->net_off : 0;
	if (dgram) {
		l->mac = l->net = ALIGN16(head) + 16 + p->reserve;
	} else {
		l->net = ALIGN16(head + MAX(f->net_off, 16u)) + p->reserve;
		l->mac = l->net - f->net_off;
	}
	l->keep = room > l->mac ? MIN(keep, room - l->mac) : 0;
	l->now = (uint64_t)clock_realtime_ns();
}

static bool put_body(struct packet_sock *p, const struct net_frame *f, const struct layout *l, uint64_t at)
{
	struct sockaddr_ll ll = {.family = LINUX_AF_PACKET,
				 .protocol = __builtin_bswap16(f->protocol),
				 .ifindex = (int32_t)f->ifindex,
				 .hatype = f->hw_type,
				 .pkttype = f->type,
				 .halen = f->src_len};

	memcpy(ll.addr, f->src, f->src_len);
	return put(p, at + ALIGN16(packet_ring_header(p->version)), &ll, sizeof(ll)) &&
	       put(p, at + l->mac, f->data + l->skip, l->keep);
}

static uint32_t status_of(const struct packet_sock *p, const struct net_frame *f)
{
	return PACKET_STATUS_USER | (f->csum_unfinished ? PACKET_STATUS_CSUM_OPEN : 0) |
	       (p->drops ? PACKET_STATUS_LOSING : 0);
}

static bool put_frame_locked(struct packet_sock *p, const struct net_frame *f, uint32_t keep, bool dgram)
{
	struct packet_ring *r = &p->rx;
	uint64_t at = frame_at(p, r, r->head);
	struct layout l;
	bool ok;

	if (status_at(p, at) != 0)
		return false;
	lay_out(p, f, keep, dgram, r->frame_size, &l);
	if (p->version == V1) {
		struct head1 h = {.len = f->len - l.skip,
				  .snaplen = l.keep,
				  .mac = (uint16_t)l.mac,
				  .net = (uint16_t)l.net,
				  .sec = (uint32_t)(l.now / NSEC_PER_SEC),
				  .usec = (uint32_t)(l.now % NSEC_PER_SEC / 1000)};

		ok = put(p, at + 8, (uint8_t *)&h + 8, sizeof(h) - 8);
	} else {
		struct head2 h = {.len = f->len - l.skip,
				  .snaplen = l.keep,
				  .mac = (uint16_t)l.mac,
				  .net = (uint16_t)l.net,
				  .sec = (uint32_t)(l.now / NSEC_PER_SEC),
				  .nsec = (uint32_t)(l.now % NSEC_PER_SEC)};

		ok = put(p, at + 4, (uint8_t *)&h + 4, sizeof(h) - 4);
	}
	if (!ok || !put_body(p, f, &l, at))
		return false;
	put_status(p, at, status_of(p, f));
	r->head = (r->head + 1) % r->frame_count;
	return true;
}

/* ---- version 3: blocks ---- */

static uint64_t block_at(const struct packet_ring *r, uint32_t n)
{
	return (uint64_t)n * r->block_size;
}

static void close_block_locked(struct packet_sock *p, bool timeout)
{
	struct packet_ring *r = &p->rx;
	uint64_t at = block_at(r, r->head), now = (uint64_t)clock_realtime_ns();
	struct block_head h = {.version = 1,
			       .private_offset = BLOCK_HEAD,
			       .packets = r->packets,
			       .first = BLOCK_HEAD + ((r->private_size + 7u) & ~7u),
			       .len = r->used,
			       .sequence = r->sequence++,
			       .first_sec = (uint32_t)(r->opened_ns / NSEC_PER_SEC),
			       .first_nsec = (uint32_t)(r->opened_ns % NSEC_PER_SEC),
			       .last_sec = (uint32_t)(now / NSEC_PER_SEC),
			       .last_nsec = (uint32_t)(now % NSEC_PER_SEC)};
	uint32_t status = PACKET_STATUS_USER | (timeout ? BLK_TMO : 0) | (p->drops ? PACKET_STATUS_LOSING : 0);

	(void)put(p, at, &h, 8);
	(void)put(p, at + 12, (uint8_t *)&h + 12, sizeof(h) - 12);
	(void)put(p, at + 8, &status, sizeof(status));
	r->head = (r->head + 1) % r->block_count;
	open_block_locked(p);
}

static bool put_in_block_locked(struct packet_sock *p, const struct net_frame *f, uint32_t keep, bool dgram)
{
	struct packet_ring *r = &p->rx;
	struct head3 h = {0};
	struct layout l;
	uint32_t size, next;
	uint64_t at;

	lay_out(p, f, keep, dgram, r->block_size - BLOCK_HEAD - ((r->private_size + 7u) & ~7u), &l);
	size = (l.mac + l.keep + 7u) & ~7u;
	if (r->packets && r->used + size > r->block_size)
		close_block_locked(p, false);
	if (status_at(p, block_at(r, r->head) + 8) != 0 || r->used + size > r->block_size)
		return false;
	at = block_at(r, r->head) + r->used;
	h = (struct head3){.sec = (uint32_t)(l.now / NSEC_PER_SEC),
			   .nsec = (uint32_t)(l.now % NSEC_PER_SEC),
			   .snaplen = l.keep,
			   .len = f->len - l.skip,
			   .status = status_of(p, f),
			   .mac = (uint16_t)l.mac,
			   .net = (uint16_t)l.net};
	if (!put(p, at, &h, sizeof(h)) || !put_body(p, f, &l, at))
		return false;
	if (r->packets) {
		next = r->used - r->last_at;
		(void)put(p, block_at(r, r->head) + r->last_at, &next, sizeof(next));
	} else {
		r->opened_ns = l.now;
	}
	r->last_at = r->used;
	r->used += size;
	r->packets++;
	if (!waitq_empty(&p->s.wq))
		close_block_locked(p, true);
	return true;
}

bool packet_ring_put_locked(struct packet_sock *p, const struct net_frame *f, uint32_t keep, bool dgram)
{
	return p->version == V3 ? put_in_block_locked(p, f, keep, dgram) : put_frame_locked(p, f, keep, dgram);
}

bool packet_ring_ready_locked(struct packet_sock *p)
{
	struct packet_ring *r = &p->rx;
	uint32_t last;

	if (p->version == V3) {
		if (r->packets)
			close_block_locked(p, true);
		last = (r->head + r->block_count - 1) % r->block_count;
		return status_at(p, block_at(r, last) + 8) & PACKET_STATUS_USER;
	}
	last = (r->head + r->frame_count - 1) % r->frame_count;
	return status_at(p, frame_at(p, r, last)) & PACKET_STATUS_USER;
}

/* ---- sending ---- */

/* The frame's length and where its bytes begin; false: it makes no sense. */
static bool tx_frame(struct packet_sock *p, uint64_t at, uint32_t *len, uint32_t *from)
{
	struct head1 h1;
	struct head2 h2;
	struct head3 h3;

	*from = packet_ring_header(p->version);
	switch (p->version) {
	case V1:
		if (!get(p, at, &h1, sizeof(h1)))
			return false;
		*len = h1.len;
		if (p->tx_has_off)
			*from = h1.mac;
		break;
	case V2:
		if (!get(p, at, &h2, sizeof(h2)))
			return false;
		*len = h2.len;
		if (p->tx_has_off)
			*from = h2.mac;
		break;
	default:
		if (!get(p, at, &h3, sizeof(h3)) || h3.next_offset)
			return false;
		*len = h3.len;
		if (p->tx_has_off)
			*from = h3.mac;
		break;
	}
	return *from >= packet_ring_header(p->version) && *from < p->tx.frame_size && *len <= FRAME_MAX &&
	       *len <= p->tx.frame_size - *from;
}

ssize_t packet_ring_send(struct packet_sock *p, const struct sock_caller *c, uint32_t ifindex,
			 uint16_t protocol, const uint8_t *to)
{
	uint32_t status_off = p->version == V3 ? offsetof(struct head3, status) : 0, len, from;
	uint8_t *buf = kmalloc(FRAME_MAX);
	ssize_t total = 0;
	uint64_t at;
	int ret = 0;
	bool ok;

	(void)c;
	if (!buf)
		return -ENOBUFS;
	for (uint32_t n = 0; ret == 0; n++) {
		mutex_lock(&p->lock);
		at = p->tx.block_count && n < p->tx.frame_count ? frame_at(p, &p->tx, p->tx.head) : 0;
		ok = p->tx.block_count && n < p->tx.frame_count && (status_at(p, at + status_off) & TX_SEND);
		if (!ok) {
			mutex_unlock(&p->lock);
			break;
		}
		ok = tx_frame(p, at, &len, &from) && get(p, at + from, buf, len);
		mutex_unlock(&p->lock);
		ret = ok ? packet_send_frame(p, ifindex, protocol, to, buf, len) : -EINVAL;
		mutex_lock(&p->lock);
		if (ret == 0 || p->loss) {
			total += ret == 0 ? (ssize_t)len : 0;
			ret = 0;
			put_status(p, at + status_off, 0);
			p->tx.head = (p->tx.head + 1) % p->tx.frame_count;
		} else if (ret == -EINVAL || ret == -EMSGSIZE) {
			put_status(p, at + status_off, TX_WRONG);
		}
		mutex_unlock(&p->lock);
	}
	kfree(buf);
	return total ? total : ret;
}

/* ---- mapping ---- */

static struct packet_sock *mapped_sock(struct mappable *m)
{
	return container_of(m, struct packet_sock, map);
}

static int map_host_fd(struct mappable *m, uint64_t off, uint64_t size, bool for_write, int *fd,
		       uint64_t *fd_off)
{
	struct packet_sock *p = mapped_sock(m);
	int ret = -EINVAL;

	mutex_lock(&p->lock);
	if (p->memory && off == 0 && size == size_of(&p->rx) + size_of(&p->tx))
		ret = memfile_host_fd(p->memory, for_write, fd);
	mutex_unlock(&p->lock);
	*fd_off = off;
	return ret;
}

static void map_get(struct mappable *m)
{
	refs_get(&mapped_sock(m)->s.refs);
}

static void map_put(struct mappable *m)
{
	packet_put(mapped_sock(m));
}

static void map_describe(struct mappable *m, uint64_t *dev, uint64_t *ino, char *buf, size_t size)
{
	struct packet_sock *p = mapped_sock(m);

	*dev = 8;
	*ino = p->s.ino;
	snprintf(buf, size, "socket:[%llu]", (unsigned long long)p->s.ino);
}

static void map_mapped(struct mappable *m, int delta, bool shared_write)
{
	(void)shared_write;
	__atomic_add_fetch(&mapped_sock(m)->mapped, (uint32_t)delta, __ATOMIC_ACQ_REL);
}

static uint64_t map_identity(struct mappable *m)
{
	return (uint64_t)(uintptr_t)mapped_sock(m);
}

static const struct mappable_ops ring_mappable_ops = {
	.host_fd = map_host_fd,
	.get = map_get,
	.put = map_put,
	.describe = map_describe,
	.mapped = map_mapped,
	.identity = map_identity,
};

int packet_mappable(struct socket *s, struct mappable **out)
{
	struct packet_sock *p = packet_of(s);

	p->map.ops = &ring_mappable_ops;
	*out = &p->map;
	return 0;
}
