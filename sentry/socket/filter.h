/* filter.h: SO_ATTACH_FILTER (socket(7), Documentation/networking/filter.rst): classic BPF programs over what a
 * socket receives. */
#pragma once

#include "platform/base/attr.h"

struct socket;
struct sock_caller;
struct sock_filter_prog;

/* What a program looks at. data is what offsets count from; the whole frame is there where the socket has it.
 */
struct filter_packet {
	const uint8_t *data;
	uint32_t len;
	const uint8_t *link, *net; /* SKF_LL_OFF, SKF_NET_OFF; NULL: not there */
	uint16_t protocol, hw_type;
	uint8_t type;
	uint32_t ifindex, mark;
};

/* Bytes to keep, at most p->len: 0: drop it. p->len when s has no filter. Takes a lock of rank FILTER. */
MUST_CHECK uint32_t socket_filter_run(struct socket *s, const struct filter_packet *p);
/* SO_ATTACH_FILTER, SO_DETACH_FILTER, SO_LOCK_FILTER, SO_ATTACH_BPF; 1: another option. -EINVAL, -EPERM,
 * -ENOENT, -ENOMEM, -EFAULT */
MUST_CHECK int socket_filter_set(struct socket *s, const struct sock_caller *c, int name, const void *val,
				 uint32_t len);
static inline bool socket_filter_option(int name)
{
	return name == 26 || name == 27 || name == 44 || name == 50;
}
void socket_filter_drop(struct socket *s);

/* A program by itself, for SO_ATTACH_REUSEPORT_CBPF and PACKET_FANOUT_DATA. val is a struct sock_fprog. */
MUST_CHECK int filter_prog_in(const struct sock_caller *c, const void *val, uint32_t len,
			      struct sock_filter_prog **out);
uint32_t filter_prog_run(const struct sock_filter_prog *f, const struct filter_packet *p);
