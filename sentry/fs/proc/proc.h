/* proc.h: proc(5). Reads the kernel's books; writes only what the unprivileged may. */
#pragma once

#include "sentry/vfs/vfs.h"

struct file;
struct kernel;
struct pid;

/* The process that an open /proc/<pid> directory names, for pidfd_send_signal(2): borrowed from f; NULL:
 * f is something else. */
struct pid *procfs_dir_pid(const struct file *f);

/* Boot: registers the type "proc". */
void procfs_register(struct vfs *v, struct kernel *k);
