/* client.h: the sentry's end of the connections to its gofer. Any thread may call at any time: there are a
 * few connections, made as they are needed, each with one request under way; a caller that finds all of
 * them busy waits for one (lock rank GOFER). A gofer that is gone or hasn't answered for ten seconds is given
 * up for good: from then on every call is -EIO at once, and `dead` has been called, once. */
#pragma once

#include "gofer/wire.h"
#include "platform/base/lock.h"

struct gofer_client;
struct gofer_channel;

#define GOFER_DEADLINE_NS (10 * 1000000000ULL)

/* fd: the socket, taken over. dead: called from whichever thread found out; may be NULL. */
MUST_CHECK int gofer_client_create(int fd, void (*dead)(void *arg, const char *why), void *arg,
				   struct gofer_client **out);
/* No call may be under way. The gofer ends when the sockets close. */
void gofer_client_destroy(struct gofer_client *c);
bool gofer_client_is_dead(const struct gofer_client *c);
uint32_t gofer_client_root_count(const struct gofer_client *c);

/* One request and its reply. On success or on the gofer's own error the reply lies in *ch, which the caller
 * holds until gofer_done: it must not wait for anything meanwhile. The result is the reply's error. fd: a
 * descriptor that came (-1: none), the caller's; NULL when none is wanted. */
MUST_CHECK int gofer_call(struct gofer_client *c, struct gofer_req *req, struct gofer_channel **ch,
			  const struct gofer_reply **reply, int *fd);
void gofer_done(struct gofer_channel *ch);
/* For requests whose reply holds nothing of interest. attr may be NULL: the first attributes. */
MUST_CHECK int gofer_call_simple(struct gofer_client *c, struct gofer_req *req, struct gofer_attr *attr,
				 int *fd);

/* A fresh node id. */
uint64_t gofer_new_id(struct gofer_client *c);
/* The client won't use id again; sent when enough of them have come together. */
void gofer_forget(struct gofer_client *c, uint64_t id);
/* The same for a file that has no name any more: sent with the next request, because the host's file system
 * keeps its space until then. */
void gofer_forget_removed(struct gofer_client *c, uint64_t id);
