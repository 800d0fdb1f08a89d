/* client.h: talking to a running container: a connection through its monitor to the sentry (control/proto.h).
 */
#pragma once

#include "sentry/control/proto.h"
#include "sentry/oci/state.h"

/* The listener in the container's folder, made by the monitor. -1 and errno. */
MUST_CHECK int client_listen(const char *dir);
/* A connection to the sentry, or -1 with a text. */
MUST_CHECK int client_connect(const struct oci_state *s, char *err, size_t err_size);
/* Sends a message with descriptors. */
MUST_CHECK int client_send(int fd, uint32_t type, int64_t value, const char *data, size_t size, const int *fds,
			   size_t fd_count);

struct client_msg {
	struct control_msg m;
	char data[CONTROL_DATA_MAX + 1]; /* terminated */
};
/* The next message; -1 when there is none any more. */
MUST_CHECK int client_receive(int fd, struct client_msg *msg);
/* Sends a request and waits for its answer: CONTROL_DONE or CONTROL_STARTED with its value in *value, or an
 * error as text. */
MUST_CHECK int client_ask(int fd, uint32_t type, int64_t request, int64_t *value, char *err, size_t err_size);
/* CONTROL_START with what goes with it. */
MUST_CHECK int client_start(int fd, int64_t what, const int *fds, size_t fd_count, char *err, size_t err_size);
