/* devpts.h: pseudo-terminals (pty(7)) and the file system that names them ("devpts"). The ends: a master,
 * made by opening ptmx, and slaves, which are terminals with a line discipline. Job control is the kernel's
 * (sentry/kernel/tty.h). */
#pragma once

#include "sentry/vfs/file.h"

/* Boot: the file system type and the numbers of /dev/tty, /dev/console and pts devices. */
void devpts_register(struct vfs *v);

/* The terminal of `sbx run -t`: opens /dev/pts/ptmx and its slave in ns. Both with a reference; the slave
 * is to become the controlling terminal of the first task. */
MUST_CHECK int devpts_create_pair(struct vfs *v, struct mount_ns *ns, const struct cred *cred, uint16_t rows,
				  uint16_t cols, struct file **master, struct file **slave);
/* The host's window changed: as TIOCSWINSZ on the master, with its SIGWINCH. */
void devpts_set_winsize(struct file *master, uint16_t rows, uint16_t cols);

/* ioctl(2) TIOCGPTPEER: opens the slave of f with flags LINUX_O_*. -ENOTTY when f is no terminal, -EIO for
 * a slave. The caller installs the descriptor. */
MUST_CHECK int devpts_open_peer(struct file *f, uint32_t flags, struct file **out);
