/* gofer.h: files of the host, reached through the gofer. Names and attributes are asked for; data moves
 * through descriptors that the gofer hands over, without it. Two ways to cache: an EXCLUSIVE mount belongs to
 * the sandbox (or doesn't change), and what was learned stays true; on a SHARED one the host changes files too,
 * and what was learned holds for ten milliseconds. */
#pragma once

#include "gofer/client.h"
#include "sentry/vfs/vfs.h"

struct gofer_mount {
	uint32_t root; /* index among the gofer's roots */
	bool shared;
	bool below_overlay; /* its inodes are locked while an overlay's are held */
	const char *source; /* for /proc/mounts; borrowed */
	const char *prefix; /* where it is mounted, for paths in /proc/pid/maps; NULL: "/"; borrowed */
	uint32_t max_fds;   /* descriptors of data files kept open; 0: 4096 */
};

/* client is borrowed and outlives the super. A root that the gofer serves read-only gives a read-only super. */
MUST_CHECK int gofer_super_create(struct vfs *v, struct gofer_client *client, const struct gofer_mount *m,
				  struct super **out);
