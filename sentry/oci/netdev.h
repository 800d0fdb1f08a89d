/* netdev.h: an interface of the caller's network namespace becomes the sandbox's: a packet socket on it, and
 * its addresses and routes. */
#pragma once

#include "sentry/control/config.h"

/* Adds net-* keys to config (but net-fd). The packet socket, or -1 after writing why into err. Needs
 * CAP_NET_RAW and CAP_NET_ADMIN in the namespace. guard NULL: the host gives its addresses up. Else it keeps
 * them and hears nothing while *guard is open; on a host that can't do that (*guard -1) it gives them up; and
 * an interface of which somebody else gets every packet, as another sandbox does, is refused. */
MUST_CHECK int netdev_take_over(const char *name, struct config_writer *config, int *guard, char *err,
				size_t err_size);
