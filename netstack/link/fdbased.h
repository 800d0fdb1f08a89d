/* fdbased.h: links over a descriptor that carries one frame a message. */
#pragma once

#include "netstack/wire.h"

/* Takes c->fd over, also on failure; pcap_fd isn't looked at. -ENOMEM */
MUST_CHECK int fdbased_create(const struct net_link_config *c, struct link **out);
