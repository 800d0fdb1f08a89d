/* host.h: runs the emulator, confined, and is the guest's launcher until the guest is gone. */
#pragma once

#include "cvm-host/launch/launch.h"

struct launch {
	struct vm_config vm;  /* firmware, memory_mib, cpus, cmdline, tee; the rest is filled in */
	const char *image;    /* folder of `sbx image build` */
	const char *manifest; /* path */
	const char *broker;   /* HOST:PORT that TLS is relayed to */
	const char *disk_path[VM_DISKS_MAX];
	const char *console; /* or NULL */
	unsigned timeout;    /* seconds; 0: none */
	bool quiet;	     /* no progress on standard error */
	bool input;	     /* standard input goes in; without, the workload's has its end at once */
};
/* The guest's exit status, 128 + signal (the workload's, or SIGINT, SIGTERM or SIGHUP to us), 125 (refused or
 * failed), 124 (timeout). Blocks those signals. */
int launch_run(struct launch *l);
