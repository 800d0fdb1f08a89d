/* monitor.h: the process that stands for a container on the host: it is in the container's control groups and
 * network namespace, starts the sentry and the gofer, passes signals and connections on, and exits with the
 * status of the container's first process. Its id is what --pid-file holds. */
#pragma once

#include "sentry/oci/spec.h"
#include "sentry/oci/state.h"

struct create_options {
	const char *bundle, *console_socket, *pid_file, *root, *platform, *log_dir;
	uint32_t preserve_fds;
	bool debug, systemd_cgroup;
	int tty; /* `run` on the caller's terminal: its descriptor; -1 */
};

/* Starts one for s and returns once the sentry is ready for `start`: its id, or -1 with a text. The state's
 * folder exists; its cgroup is made. */
MUST_CHECK int monitor_start(const struct create_options *o, const struct oci_spec *s, struct oci_state *state,
			     char *err, size_t err_size);
/* `create` is done; without this the monitor removes the container when its creator is gone. */
void monitor_keep(struct oci_state *state);
