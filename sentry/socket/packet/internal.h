/* internal.h: AF_PACKET sockets (packet(7)). Lock: the socket's, rank PACKET; frames arrive with locks of the
 * stack held. */
#pragma once

#include "netstack/netstack.h"
#include "platform/abi/errno.h"
#include "platform/abi/netlink.h"
#include "platform/abi/socket.h"
#include "sentry/socket/filter.h"
#include "sentry/socket/socket.h"

#define PACKET_STATUS_USER	1u
#define PACKET_STATUS_COPY	2u
#define PACKET_STATUS_LOSING	4u
#define PACKET_STATUS_CSUM_OPEN 8u

struct memfile;

struct sockaddr_ll {
	uint16_t family, protocol; /* protocol: big endian */
	int32_t ifindex;
	uint16_t hatype;
	uint8_t pkttype, halen, addr[8];
};

struct packet_msg {
	struct list node;
	struct sockaddr_ll from;
	uint64_t stamp_ns;
	uint32_t len, kept, net_off; /* of the frame; what data holds of it */
	uint32_t status;	     /* PACKET_STATUS_* */
	uint8_t data[];
};

struct packet_member {
	struct list node;
	int32_t ifindex;
	uint16_t type, alen;
	uint8_t addr[8];
	uint32_t count;
};

/* PACKET_RX_RING or PACKET_TX_RING: blocks of frames in memory that the owner maps. */
struct packet_ring {
	uint32_t block_size, block_count, frame_size, frame_count; /* [lock] block_count 0: none */
	uint32_t head;						   /* [lock] the next frame or block */
	/* TPACKET_V3: the block that is being filled */
	uint32_t used, packets, first_at, last_at; /* [lock] bytes; offsets in the block */
	uint32_t timeout_ms, private_size;	   /* [lock] */
	uint64_t sequence, opened_ns;		   /* [lock] */
};

struct packet_fanout;

struct packet_sock {
	struct socket s;
	struct net_tap tap;
	bool hooked;	      /* [lock] tap is in the stack's list */
	struct net_stack *st; /* [I] reference */
	struct mutex lock;
	struct list msgs;	 /* [lock] */
	uint32_t count, bytes;	 /* [a] written under lock */
	uint32_t ifindex;	 /* [lock] bound to; 0: all */
	uint16_t protocol;	 /* [lock] ETH_P_* */
	uint32_t packets, drops; /* [lock] PACKET_STATISTICS */
	struct list members;	 /* [lock] */
	bool auxdata, origdev, vnet_hdr, ignore_outgoing, loss, tx_has_off, qdisc_bypass; /* [a] */
	uint32_t version, reserve, copy_thresh, timestamp;				  /* [a] */
	uint64_t stamp_ns;								  /* [a] SIOCGSTAMP */
	struct packet_fanout *fanout;							  /* [fanout list] */
	/* rings */
	struct mappable map;
	struct memfile *memory;	   /* [lock] NULL: no rings */
	struct packet_ring rx, tx; /* [lock] */
	uint32_t mapped;	   /* [a] */
	struct refs refs;	   /* the file's, and mappings' */
};

static inline struct packet_sock *packet_of(struct socket *s)
{
	return (struct packet_sock *)s;
}

/* A frame for p: into its ring or its queue. Takes p->lock. */
void packet_deliver(struct packet_sock *p, const struct net_frame *f);
void packet_put(struct packet_sock *p);

/* opts.c */
int packet_setsockopt(struct socket *s, const struct sock_caller *c, int level, int name, const void *val,
		      uint32_t len);
int packet_getsockopt(struct socket *s, const struct sock_caller *c, int level, int name, void *val,
		      uint32_t *len);
void packet_members_drop(struct packet_sock *p);

/* ring.c. rx, tx: struct tpacket_req or tpacket_req3 as the version says. */
MUST_CHECK int packet_ring_set(struct packet_sock *p, bool tx, const void *val, uint32_t len);
/* p->lock held; false: no room. */
bool packet_ring_put_locked(struct packet_sock *p, const struct net_frame *f, uint32_t keep, bool dgram);
/* Is there something for the owner to look at? p->lock held */
bool packet_ring_ready_locked(struct packet_sock *p);
/* Sends what the owner has put into the TX ring: bytes. */
MUST_CHECK ssize_t packet_ring_send(struct packet_sock *p, const struct sock_caller *c, uint32_t ifindex,
				    uint16_t protocol, const uint8_t *to);
MUST_CHECK int packet_mappable(struct socket *s, struct mappable **out);
/* The header's size for a version; 0: no such version. */
uint32_t packet_ring_header(uint32_t version);
void packet_ring_fini(struct packet_sock *p);

/* fanout.c */
MUST_CHECK int packet_fanout_init(void);
MUST_CHECK int packet_fanout_add(struct packet_sock *p, uint32_t arg);
void packet_fanout_leave(struct packet_sock *p);
MUST_CHECK int packet_fanout_get(struct packet_sock *p, uint32_t *arg);

/* packet.c: one frame out. ll: SOCK_DGRAM: whose link header is made. */
MUST_CHECK int packet_send_frame(struct packet_sock *p, uint32_t ifindex, uint16_t protocol, const uint8_t *to,
				 const uint8_t *data, uint32_t len);
