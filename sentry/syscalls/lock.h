/* lock.h: record locks as fcntl(2) asks for them; see sys_lock.c. */
#pragma once

#include "sentry/kernel/kernel.h"

int64_t lock_query(struct task *t, struct file *f, uaddr_t arg, bool ofd);
int64_t lock_set(struct task *t, int fd, struct file *f, uaddr_t arg, bool ofd, bool wait);
