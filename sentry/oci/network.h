/* network.h: what an engine, or a plugin of its, has put into a container's network namespace, for the sandbox.
 */
#pragma once

#include "sentry/control/proto.h"
#include "sentry/oci/state.h"

struct network {
	int fds[CONTROL_FDS_MAX]; /* in the order of CONTROL_START */
	size_t count;
	int64_t what; /* CONTROL_START_* */
};

/* Takes over what is in the network namespace of the container's monitor: interfaces, and the engine's name
 * server at 127.0.0.11. Nothing when that namespace is the caller's own. 0, or -1 after writing why into err;
 * network_free in both cases. */
MUST_CHECK int network_take(const struct oci_state *s, struct network *n, char *err, size_t err_size);
void network_free(struct network *n);
