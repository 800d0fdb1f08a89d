/* fasync.h: signal-driven I/O: O_ASYNC, F_SETOWN, F_SETSIG (fcntl(2)). */
#pragma once

#include "sentry/kernel/kernel.h"

/* Starts or stops watching f, known to the caller as fd. Files that are always ready have nothing to tell. */
MUST_CHECK int file_set_async(struct task *t, struct file *f, int fd, bool on);
/* pid 0: nobody. -ESRCH */
MUST_CHECK int file_set_owner(struct task *t, struct file *f, const struct linux_f_owner_ex *ex);
/* F_NOTIFY: a signal to f's owner (the caller when there is none yet) when one of the LINUX_DN_* happens in
 * the directory f; 0 ends it. -ENOTDIR */
MUST_CHECK int file_set_dnotify(struct task *t, struct file *f, int fd, uint32_t events);
void file_get_owner(struct task *t, struct file *f, struct linux_f_owner_ex *ex);
