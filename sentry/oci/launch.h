/* launch.h: starts the programs of a sandbox: the gofer and the sentry, each in namespaces of its own, with
 * the descriptors that it is to have and no others. */
#pragma once

#include "platform/base/attr.h"
#include "sentry/control/config.h"

struct gofer_root {
	int fd; /* O_PATH of the directory (or file); owned */
	bool read_only;
	bool public_only; /* only what every user of the host may read */
};

struct launch {
	struct gofer_root *roots; /* malloc */
	size_t root_count;
	struct config_writer config;
	int log_fd, strace_fd, stats_fd, tty_fd; /* -1: none */
	int stdio[3];
	bool debug;
	/* out */
	int control_fd; /* our end */
	int sentry_pid, gofer_pid;
	int sentry_pidfd, gofer_pidfd;
};

/* Index of the new root. */
size_t launch_add_root(struct launch *l, int fd, bool read_only, bool public_only);
/* Starts both programs. 0, or -1 after writing why into err. */
MUST_CHECK int launch_start(struct launch *l, char *err, size_t err_size);
/* Ends what still runs and reaps it. */
void launch_stop(struct launch *l);
void launch_free(struct launch *l);
