/* eventfd.h: eventfd(2): a counter as a file. */
#pragma once

#include "sentry/vfs/file.h"

/* flags: LINUX_EFD_SEMAPHORE, LINUX_O_NONBLOCK; the caller checked them. */
MUST_CHECK int eventfd_create_file(struct vfs *v, const struct cred *cred, uint32_t initval, uint32_t flags,
				   struct file **out);
bool file_is_eventfd(const struct file *f);
/* Adds n without waiting, saturating (completion of asynchronous I/O). */
void eventfd_signal(struct file *f, uint64_t n);
