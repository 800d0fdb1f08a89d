/* dev.h: the memory devices (null, zero, full, random, urandom) and "devtmpfs", a tmpfs that starts out
 * with the names that programs expect under /dev. Terminals are devpts's. */
#pragma once

#include "sentry/vfs/file.h"

/* Boot: registers the file system type and the devices' numbers. */
void dev_register(struct vfs *v);
