/* walls.h: what a program of the sandbox finds when it starts: an empty root, a /proc that shows only its own
 * processes, its roots as mounts of their own, no rights. Built by the child between clone and exec, in its
 * fresh namespaces, so that the program itself never holds the rights that this takes. */
#pragma once

#include <stdint.h>

#include "platform/base/attr.h"

struct walls {
	bool proc;  /* in: it needs a /proc of its processes (the sentry) */
	int *roots; /* in and out: folders and files to be mounted apart; then descriptors of the mounts */
	const bool *read_only;
	int root_count;
	int proc_fd;	  /* out: that /proc, or -1 */
	int fds_fd;	  /* out: the folder of its own descriptors */
	const char *step; /* out: what went wrong */
};

/* What needs the old root and the rights. The descriptors that it makes are `low` or above. 0 or -errno. */
MUST_CHECK int walls_build(struct walls *w, int low);
/* No core files; and as user and group 65534 when the caller is root whose power isn't needed. The
 * capabilities go with exec, but for those of user 0. threads: no more of them, in all its processes (0: as
 * many as the caller); the kernel counts them in each user namespace, and doesn't for the host's root. */
MUST_CHECK int walls_drop_identity(bool nobody, uint64_t threads);
