/* virt.h: links that end in this machine (virt.c), as the stack's interfaces know them. */
#pragma once

#include "netstack/wire.h"

bool link_is_virtual(const struct link *l);
/* "dummy", "veth", "bridge"; "" for others. */
const char *link_kind(struct link *l);
/* A virtual link's: the number of the interface at the other end of the cable, 0: there is none; whose it is (a
 * reference if hold and not 0, else good for comparing), and whether it is up. */
uint32_t link_peer(struct link *l, bool hold, struct net_stack **st, bool *up);
/* -EINVAL: it belongs to its stack */
MUST_CHECK int link_move(struct link *l, struct net_stack *to, const char *name, uint32_t *ifindex);
/* Nothing goes in or out any more. */
void link_dead(struct link *l);
/* Frames that wait in cables go up; true: there are more. On the thread that runs the stack's timers. */
bool links_run(struct wire *w);
