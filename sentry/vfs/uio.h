/* uio.h: a cursor over the caller's buffers, so that file operations need not know whether bytes go to guest
 * memory, to a kernel buffer (sendfile, loader, tests) or through the platform's bounce page. A uio has one
 * direction: a "read" uio receives what a file gives; a "write" uio supplies it. */
#pragma once

#include "platform/abi/types.h"
#include "platform/base/attr.h"
#include "sentry/mm/usermem.h"

#define UIO_MAXIOV 1024

struct cred;

struct uio {
	const struct usermem *um;	/* NULL: segments hold kernel addresses */
	const struct linux_iovec *segs; /* kernel copy, borrowed for the call */
	uint32_t seg_count, seg;	/* seg: current one */
	uint64_t seg_off;		/* within the current one */
	uint64_t resid;			/* bytes left in all */
	bool nowait;			/* RWF_NOWAIT */
	bool append, dsync;		/* RWF_APPEND, RWF_DSYNC */
	struct linux_iovec single;	/* room for uio_init_* */
	const struct cred *cred; /* write: who writes, as far as set-id bits go; NULL: the file's opener */
};

/* One buffer of guest memory, of kernel memory; segs of guest memory (sizes already checked: sum <= MAX_RW). */
void uio_init_user(struct uio *u, const struct usermem *um, uaddr_t base, uint64_t n);
void uio_init_kernel(struct uio *u, void *base, uint64_t n);
void uio_init_iov(struct uio *u, const struct usermem *um, const struct linux_iovec *segs, uint32_t count);

/* Copies min(n, resid) bytes and moves on. Bytes moved, or -EFAULT when none could be (and n, resid != 0). */
ssize_t uio_put(struct uio *u, const void *src, size_t n); /* kernel -> uio (a file's read) */
ssize_t uio_get(struct uio *u, void *dst, size_t n);	   /* uio -> kernel (a file's write) */
/* zeros, for /dev/zero and holes */
ssize_t uio_put_zeros(struct uio *u, size_t n);
/* Skips without copying. */
void uio_skip(struct uio *u, size_t n);
/* Goes back over the last n bytes that moved. */
void uio_back(struct uio *u, size_t n);

/* Linux's MAX_RW_COUNT: a single read or write never moves more. */
#define UIO_MAX_RW 0x7ffff000UL
