/* idmap.h: which ids a program of the sandbox can name in its user namespace. */
#pragma once

#include <sys/types.h>

#include "platform/base/attr.h"

#define IDMAP_NOBODY_ID 65534u

enum idmap {
	IDMAP_OWN,    /* just its own user and group */
	IDMAP_ALL,    /* all that the caller can name: for root, who may give it the power over them */
	IDMAP_NOBODY, /* the caller's and 65534, which it can become */
};

/* What the process can do then. */
#define IDMAP_CAN_BE_NOBODY 1u /* become 65534 */
#define IDMAP_NAMES_ALL	    2u /* name every id of the host */

/* Writes the maps of process pid, which is in a user namespace that the caller made and has run nothing in it
 * yet. The kernel takes a map of more than one's own id from a privileged process outside only. What can't be
 * mapped stays unmapped: less power, not more. Returns IDMAP_* bits. */
unsigned idmap_write(pid_t pid, enum idmap which);
