/* proc.h: proc(5). Reads the kernel's books; writes only what the unprivileged may. */
#pragma once

#include "sentry/vfs/vfs.h"

struct kernel;

/* Boot: registers the type "proc". */
void procfs_register(struct vfs *v, struct kernel *k);
