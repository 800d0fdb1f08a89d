/* pipe.h: pipes and FIFOs (pipe(7)): a byte ring that grows to the pipe's capacity, with packet marks when
 * O_DIRECT is used. Both ends are descriptions of one inode; the pipe hangs off inode->bound while a
 * description of it is open. */
#pragma once

#include "sentry/vfs/file.h"

#define PIPE_ATOMIC	  4096UL /* PIPE_BUF: writes up to it are never torn */
#define PIPE_DEFAULT_SIZE 65536UL
#define PIPE_MAX_SIZE	  (1024UL * 1024) /* /proc/sys/fs/pipe-max-size */

/* pipe2(2): flags LINUX_O_NONBLOCK, LINUX_O_DIRECT. out[0] reads, out[1] writes. */
MUST_CHECK int pipe_create(struct vfs *v, const struct cred *cred, uint32_t flags, struct file *out[2]);
/* The vfs's hook for opening a FIFO inode: sets ops, priv, wq of f. */
MUST_CHECK int pipe_fifo_open(struct inode *inode, struct file *f);

bool file_is_pipe(const struct file *f);
/* fcntl(2) F_GETPIPE_SZ, F_SETPIPE_SZ: the capacity, -EBADF if f is no pipe, -EBUSY, -EPERM (above
 * max), -EINVAL. */
int64_t pipe_get_size(struct file *f);
int64_t pipe_set_size(struct file *f, uint64_t size, uint64_t max);

/* splice(2), one try each; bounce is the caller's scratch buffer. Bytes moved, 0 at the end of the input,
 * -EAGAIN when pipe or file would block, -EPIPE. off NULL: the file's own position. No byte is lost when
 * the other side takes less than was read. */
ssize_t pipe_splice_in(struct file *pipe, struct file *from, uint64_t *off, size_t n, void *bounce,
		       size_t size);
ssize_t pipe_splice_out(struct file *pipe, struct file *to, uint64_t *off, size_t n, void *bounce, size_t size);
/* tee(2) and pipe-to-pipe splice(2): move consumes from the input. -EINVAL for a pipe and itself. */
ssize_t pipe_tee(struct file *from, struct file *to, size_t n, bool move);
