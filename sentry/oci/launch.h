/* launch.h: starts the programs of a sandbox: the gofer, the sentry and, for `--network nat`, sbx-net, each in
 * namespaces of its own, with the descriptors that it is to have and no others. */
#pragma once

#include "platform/base/attr.h"
#include "sentry/control/config.h"
#include "sentry/oci/nat.h"

struct gofer_root {
	int fd; /* O_PATH of the directory (or file); owned */
	bool read_only;
	bool public_only; /* only what every user of the host may read */
};

struct launch {
	struct gofer_root *roots; /* malloc */
	size_t root_count;
	struct config_writer config;
	uint64_t max_tasks;			 /* 0: no limit given */
	int log_fd, strace_fd, stats_fd, tty_fd; /* -1: none */
	int net_fd, pcap_fd;			 /* 0: none; the network link, a copy of its packets */
	struct nat_launch *nat;			 /* NULL: no sbx-net; malloc */
	int stdio[3];
	struct {
		int host, guest; /* a descriptor of ours, its number in the first program */
	} * fds;		 /* malloc */
	size_t fd_count;
	bool debug;
	/* out */
	int control_fd; /* our end */
	int sentry_pid, gofer_pid, net_pid;
	int sentry_pidfd, gofer_pidfd, net_pidfd;
};

/* Roots and further descriptors that fit into a sandbox. */
#define LAUNCH_ROOTS_MAX 400
#define LAUNCH_FDS_MAX	 100

/* Index of the new root. */
size_t launch_add_root(struct launch *l, int fd, bool read_only, bool public_only);
/* host (borrowed) becomes descriptor guest of the first program. */
void launch_add_fd(struct launch *l, int host, int guest);
/* Starts the programs. 0, or -1 after writing why into err. */
MUST_CHECK int launch_start(struct launch *l, char *err, size_t err_size);
/* Ends what still runs and reaps it. */
void launch_stop(struct launch *l);
/* The sentry has said that it is over: gives it a moment to end by itself, then as launch_stop. */
void launch_end(struct launch *l);
void launch_free(struct launch *l);
