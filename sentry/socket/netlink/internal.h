/* internal.h: AF_NETLINK (netlink(7)): a socket's replies wait in a list of datagrams. Lock: the socket's,
 * rank SOCKET. */
#pragma once

#include "netstack/netstack.h"
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
	struct net_stack *st; /* of the socket */
	struct strbuf *out;
};

/* Messages are built between begin and end; attributes in between. Returns the message's place. */
size_t nl_begin(struct nl_request *r, uint16_t type, uint16_t flags, const void *fixed, size_t size);
void nl_attr(struct nl_request *r, uint16_t type, const void *data, size_t size);
void nl_attr_u32(struct nl_request *r, uint16_t type, uint32_t v);
void nl_end(struct nl_request *r, size_t at);

/* A multi-part answer's end. */
void nl_done(struct nl_request *r);
void nl_attr_addr(struct nl_request *r, uint16_t type, const struct net_addr *a, bool v6);
/* An attribute of the request, behind its fixed part of so many bytes; false: it isn't there, or too short. */
bool nl_find(const struct nl_request *r, uint32_t fixed, uint16_t type, const void **data, uint32_t *size);
bool nl_find_u32(const struct nl_request *r, uint32_t fixed, uint16_t type, uint32_t *v);
bool nl_find_addr(const struct nl_request *r, uint32_t fixed, uint16_t type, bool v6, struct net_addr *a);

/* fib.c. family: AF_UNSPEC, AF_INET or AF_INET6 */
void nl_dump_routes(struct nl_request *r, uint8_t family);
void nl_dump_rules(struct nl_request *r, uint8_t family);
MUST_CHECK int nl_get_route(struct nl_request *r);
MUST_CHECK int nl_change_route(struct nl_request *r, bool add);
/* diag.c: as nl_route */
int nl_diag(struct nl_request *r);

/* route.c: 0 (answers are in r->out), or the error to answer with */
int nl_route(struct nl_request *r);
