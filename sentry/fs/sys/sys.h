/* sys.h: sysfs(5): the little of it that programs read: processors, nodes, huge pages, network interfaces.
 * Nothing can be changed. */
#pragma once

#include "sentry/vfs/vfs.h"

struct kernel;

/* Boot: registers the type "sysfs". */
void sysfs_register(struct vfs *v, struct kernel *k);
