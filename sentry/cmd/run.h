/* run.h: the options of `sbx run`, parsed (run_options.c), and turned into a sandbox (run.c). */
#pragma once

#include "platform/base/attr.h"
#include "sentry/oci/nat.h"

struct volume {
	const char *source, *target;
	bool read_only;
};

struct run_options {
	const char *rootfs, *platform, *workdir, *user, *hostname;
	struct volume *volumes;
	size_t volume_count;
	const char **env;
	size_t env_count;
	bool interactive, tty, read_only, debug, strace, stats;
	uint64_t memory, cpus, pids, files; /* 0: not given */
	double timeout;			    /* seconds; 0: none */
	const char *network, *pcap_file;    /* NULL: loopback; none */
	struct nat_options nat;
	const char *strace_file, *log_file, *stats_file;
	char **argv; /* the program; NULL-terminated */
};

/* 0; -1 after a message (exit EXIT_SBX); 1 when --help was printed. */
int run_options_parse(struct run_options *o, int argc, char **argv);

/* run_cgroup.c: the limits in control groups of the host, where they can be made; else *set is empty, which
 * --debug tells. */
struct cgroup_set;
void run_cgroup_enter(const struct run_options *o, struct cgroup_set *set);
/* Once the sandbox's programs are gone. */
void run_cgroup_leave(struct cgroup_set *set);
