/* inet.h: AF_INET and AF_INET6 (ip(7), ipv6(7), tcp(7), udp(7), raw(7), icmp(7)), and network namespaces'
 * stacks, as the rest of the sentry sees them. */
#pragma once

#include "platform/base/attr.h"

struct net_stack;
struct net_tcp_info;
struct strbuf;

/* Boot: registers both families; -ENOMEM. */
MUST_CHECK int inet_init(void);
/* A namespace's stack, with a loopback device that is up (a machine that has booted) or down (a new network
 * namespace). -ENOMEM */
MUST_CHECK int inet_stack_create(bool lo_up, struct net_stack **out);
void inet_stack_get(struct net_stack *st);
void inet_stack_put(struct net_stack *st);

/* Calls add for each counter of the stack. */
void inet_stats(struct net_stack *st, void (*add)(void *arg, const char *name, uint64_t value), void *arg);
/* struct tcp_info as Linux has it; bytes written, at most room. */
uint32_t inet_tcp_info_out(const struct net_tcp_info *t, void *out, uint32_t room);
/* Of a net_show's owner (NULL: 0). */
uint64_t inet_inode(const void *owner);

/* /proc/net/NAME; st may be NULL: only the heading. */
void inet_show_sockets(struct net_stack *st, const char *name,
		       struct strbuf *out); /* tcp, tcp6, udp, udp6, raw, ... */
void inet_show_dev(struct net_stack *st, struct strbuf *out);
void inet_show_if_inet6(struct net_stack *st, struct strbuf *out);
void inet_show_route(struct net_stack *st, struct strbuf *out);
void inet_show_ipv6_route(struct net_stack *st, struct strbuf *out);
void inet_show_sockstat(struct net_stack *st, bool v6, struct strbuf *out);
void inet_show_snmp(struct net_stack *st, struct strbuf *out);
void inet_show_netstat(struct net_stack *st, struct strbuf *out);
