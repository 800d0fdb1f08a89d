/* container.h: what the runtime's commands do, without their command lines. */
#pragma once

#include "sentry/oci/monitor.h"

/* Creates a container from o->bundle: the sandbox stands, its first program waits for `start`. */
MUST_CHECK int container_create(const struct create_options *o, const char *id, struct oci_state *out,
				char *err, size_t err_size);
/* Starts the first program; runs the poststart hooks. */
MUST_CHECK int container_start(struct oci_state *s, char *err, size_t err_size);
/* Sends a signal to the first process, or to all. */
MUST_CHECK int container_kill(struct oci_state *s, int sig, bool all, char *err, size_t err_size);
/* Removes a stopped container, any with force; runs the poststop hooks. Frees nothing of s. */
MUST_CHECK int container_delete(struct oci_state *s, bool force, char *err, size_t err_size);
/* The spec it was created with. */
MUST_CHECK int container_spec(const struct oci_state *s, struct oci_spec *out, char *err, size_t err_size);
/* Writes a number to a file, replacing it as a whole. */
MUST_CHECK int write_pid_file(const char *path, int pid, char *err, size_t err_size);
