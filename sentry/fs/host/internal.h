/* internal.h of fs/host. Locks: each direction has one (rank PIPE), held across a host call that doesn't wait
 * and across copying to and from the guest. */
#pragma once

#include "platform/base/refs.h"
#include "platform/host/hostcall.h"
#include "sentry/fs/host/hostfd.h"
#include "sentry/fs/host/poller.h"

#define HOSTFD_BUF (64 * 1024UL)

struct hostfd_dir {
	struct mutex lock;
	void *buf;	/* [lock] HOSTFD_BUF, made when needed */
	bool no_nowait; /* [lock] RWF_NOWAIT isn't supported: ask poll first */
};

/* One for each descriptor; the inode holds it, files point to it. */
struct hostfd {
	int fd;		   /* [I] owned */
	uint32_t type;	   /* [I] LINUX_S_IF* */
	bool tty, watched; /* [I] */
	struct hostfd_dir in, out;
	uint64_t host_pos;  /* [out.lock] regular files: where the host's own position is */
	struct file *first; /* [I] the file that shares the host's position; borrowed; others have their own */
	struct waitq wq;
	struct poll_watch watch;
};

static inline struct hostfd *hostfd_of(const struct file *f)
{
	return f->inode->fs;
}
/* A waiter is about to wait for events. */
static inline void hostfd_arm(struct hostfd *h, uint32_t events)
{
	if (h->watched)
		poller_arm(&h->watch, events);
}
void *hostfd_buf(struct hostfd_dir *d);

extern const struct file_ops hostfd_regular_ops;

int64_t hostfd_ioctl(struct file *f, uint32_t cmd, uint64_t arg, const struct usermem *um,
		     const struct cred *cred);
