/* internal.h: shared by the files of this room. */
#pragma once

#include "sentry/fs/dev/dev.h"

void dev_mem_register(struct vfs *v);
