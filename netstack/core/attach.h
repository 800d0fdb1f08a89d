/* attach.h: the seam between sockets and the wire: what core/attach.c and transport/tcp_join.c give each other.
 */
#pragma once

#include "netstack/wire.h"

/* The wire of a stack, made when there is none. -ENOMEM */
MUST_CHECK int stack_wire(struct net_stack *st, struct wire **out);
/* Takes l (also on failure: closed); sets its ifindex. -EEXIST, -ENOMEM, -ENOSPC. Before the stack is in use.
 */
MUST_CHECK int stack_attach(struct net_stack *st, struct link *l, const char *name);
/* As Linux's dev_valid_name: not empty, short, without slash, colon and blanks. */
bool if_name_ok(const char *name);
/* A virtual link, down; fresh: it isn't among the wire's yet. On failure a fresh one is closed, another dead.
 */
MUST_CHECK int stack_attach_down(struct net_stack *st, struct link *l, const char *name, bool fresh);
/* The thread that runs the stack has something to do. */
void stack_kick(struct net_stack *st);
/* An interface without a link that is up: a NAT's. -EEXIST, -ENOMEM */
MUST_CHECK int stack_add_iface(struct net_stack *st, const char *name, uint32_t mtu, const uint8_t hw[6],
			       uint32_t *ifindex);
void stack_wire_destroy(struct net_stack *st);

void *tcp_join_listener(void *arg, const struct net_name *local, const struct net_name *remote,
			uint32_t ifindex);
void tcp_join_listener_put(void *listener);
bool tcp_join_listener_full(void *listener);
void tcp_join_listener_config(void *listener, struct tcp_conn *c);
int tcp_join_child(void *listener, struct tcp_conn *c);
void tcp_join_event(void *user, struct tcp_conn *c, uint32_t events);
void tcp_join_user_get(void *user);
void tcp_join_user_put(void *user);

int tcp_join_connect(struct tcp_sock *t, const struct route *r);
ssize_t tcp_join_send(struct tcp_sock *t, struct net_io *io, const struct net_tx *tx);
ssize_t tcp_join_recv(struct tcp_sock *t, struct net_io *io, struct net_rx *rx);
uint32_t tcp_join_ready(struct tcp_sock *t);
void tcp_join_shutdown(struct tcp_sock *t, bool rd, bool wr);
void tcp_join_close(struct tcp_sock *t, bool abort);
void tcp_join_destroy(struct tcp_sock *t);
void tcp_join_info(struct tcp_sock *t, struct net_tcp_info *out);
int64_t tcp_join_inq(struct tcp_sock *t);
int64_t tcp_join_outq(struct tcp_sock *t);
bool tcp_join_at_mark(struct tcp_sock *t);
void tcp_join_options_changed(struct tcp_sock *t);
