/* idmap.h: which ids a program of the sandbox can name in its user namespace. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

enum idmap {
	IDMAP_OWN, /* just its own user and group */
	IDMAP_ALL, /* all that the caller can name: for root, who may give it the power over them */
};

/* Writes the maps of process pid, which is in a user namespace that the caller made and has run nothing in it
 * yet. The kernel takes a map of more than one's own id from a privileged process outside only. What can't be
 * mapped stays unmapped: less power, not more. */
void idmap_write(pid_t pid, enum idmap which);
