/* fasync.h: signal-driven I/O: O_ASYNC, F_SETOWN, F_SETSIG; see fasync.c. */
#pragma once

#include "sentry/kernel/kernel.h"

/* Starts or stops watching f. */
MUST_CHECK int file_set_async(struct task *t, struct file *f, bool on);
MUST_CHECK int file_set_owner(struct task *t, struct file *f, const struct linux_f_owner_ex *ex);
void file_get_owner(struct task *t, struct file *f, struct linux_f_owner_ex *ex);
