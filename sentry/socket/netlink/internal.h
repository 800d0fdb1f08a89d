/* internal.h: AF_NETLINK (netlink(7)): a socket's replies wait in a list of datagrams. Lock: the socket's,
 * rank PACKET. */
#pragma once

#include "netstack/netstack.h"
#include "platform/abi/netlink.h"
#include "platform/base/strbuf.h"
#include "sentry/socket/inet.h"
#include "sentry/socket/socket.h"

struct nl_msg {
	struct list node;
	uint32_t len, group; /* group: 0: an answer */
	uint8_t data[];
};

struct nl_sock {
	struct socket s;
	struct mutex lock;
	struct list msgs;      /* [lock] */
	uint32_t count, bytes; /* [lock] */
	uint32_t portid;       /* [lock] */
	uint64_t groups;       /* [lock] bit n: group n + 1 */
	uint32_t flags;	       /* [a] bit n: the option NETLINK_n is on */
	bool overrun;	       /* [lock] a notice was lost: the next recv says so */
	struct list all_node;  /* [state's lock] */
};
#define NL_GROUPS 36u /* RTNLGRP_MAX */

struct nl_state {
	uint32_t next_port; /* [a] */
	struct mutex lock;  /* rank SOCKET_NAMES: the list */
	struct list all;
};
static inline bool nl_option(const struct nl_sock *n, int name)
{
	return (__atomic_load_n(&n->flags, __ATOMIC_RELAXED) >> name & 1) != 0;
}

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
	const struct sock_caller *caller; /* NULL: a notice is being made */
	struct net_stack *st;		  /* of the socket */
	bool strict;			  /* NETLINK_GET_STRICT_CHK */
	const char *why;		  /* NLMSGERR_ATTR_MSG, or NULL */
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

/* Attributes within attributes: begin returns the place for end. */
size_t nl_nest_begin(struct nl_request *r, uint16_t type);
void nl_nest_end(struct nl_request *r, size_t at);
/* The same within an attribute's value. */
bool nl_find_in(const void *attrs, uint32_t len, uint16_t type, const void **data, uint32_t *size);

/* netlink.c: a message for all who listen to a group of st's NETLINK_ROUTE. fill makes it. */
void nl_notify(struct net_stack *st, uint32_t group, void (*fill)(struct nl_request *r, const void *arg),
	       const void *arg);

/* route.c, link.c, neigh.c, fib.c: answers and notices */
void nl_add_link(struct nl_request *r, const struct net_if_info *i, uint16_t type, uint16_t flags);
void nl_add_address(struct nl_request *r, const struct net_addr_info *a, uint16_t type, uint16_t flags);
void nl_add_route(struct nl_request *r, const struct net_route_info *i, uint16_t type, uint16_t nl_flags,
		  uint32_t flags);
void nl_add_neigh(struct nl_request *r, const struct net_neigh_info *n, uint16_t type, uint16_t flags);
int nl_find_link(struct nl_request *r, struct net_if_info *out);
int nl_get_link(struct nl_request *r);
int nl_new_link(struct nl_request *r);
int nl_del_link(struct nl_request *r);
void nl_dump_links(struct nl_request *r);
void nl_dump_neighs(struct nl_request *r);
int nl_change_neigh(struct nl_request *r, bool add);

/* fib.c. family: AF_UNSPEC, AF_INET or AF_INET6 */
void nl_dump_routes(struct nl_request *r, uint8_t family);
void nl_dump_rules(struct nl_request *r, uint8_t family);
MUST_CHECK int nl_get_route(struct nl_request *r);
MUST_CHECK int nl_change_route(struct nl_request *r, bool add);
/* diag.c: as nl_route */
int nl_diag(struct nl_request *r);

/* route.c: 0 (answers are in r->out), or the error to answer with */
int nl_route(struct nl_request *r);
