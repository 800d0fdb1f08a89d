/* internal.h: AF_NETLINK (netlink(7)): a socket's replies wait in a list of datagrams. Lock: the socket's,
 * rank SOCKET. */
#pragma once

#include "platform/abi/netlink.h"
#include "platform/base/strbuf.h"
#include "sentry/socket/socket.h"

struct nl_msg {
	struct list node;
	uint32_t len;
	uint8_t data[];
};

struct nl_sock {
	struct socket s;
	struct mutex lock;
	struct list msgs;	 /* [lock] */
	uint32_t count, bytes;	 /* [lock] */
	uint32_t portid, groups; /* [lock] */
};

/* As on the wire; the host's byte order. */
struct nl_header {
	uint32_t len;
	uint16_t type, flags;
	uint32_t seq, pid;
};

/* One request and where its answer is collected. */
struct nl_request {
	struct nl_header h;
	const uint8_t *body; /* h.len - sizeof(h) bytes */
	uint32_t body_len;
	uint32_t portid; /* of the asker */
	const struct cred *cred;
	struct strbuf *out;
};

/* Messages are built between begin and end; attributes in between. Returns the message's place. */
size_t nl_begin(struct nl_request *r, uint16_t type, uint16_t flags, const void *fixed, size_t size);
void nl_attr(struct nl_request *r, uint16_t type, const void *data, size_t size);
void nl_attr_u32(struct nl_request *r, uint16_t type, uint32_t v);
void nl_end(struct nl_request *r, size_t at);

/* route.c: 0 (answers are in r->out), or the error to answer with */
int nl_route(struct nl_request *r);
