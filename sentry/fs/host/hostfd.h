/* hostfd.h: files of the guest that are descriptors of the host, given at start: standard input, output and
 * error. */
#pragma once

#include "sentry/vfs/file.h"

/* Takes host_fd over, also on failure. flags: the guest's O_ACCMODE, O_APPEND, O_NONBLOCK. The host's file
 * status flags are left alone: the user's shell may share them. */
MUST_CHECK int hostfd_file_create(struct vfs *v, int host_fd, uint32_t flags, const struct cred *cred,
				  struct file **out);
