/* internal.h: a pipe's own state, for the files of this room. */
#pragma once

#include "sentry/fs/pipe/pipe.h"

#define PIPE_PAGES_MAX	65536u /* 256 MiB of all pipes */
#define PIPE_SMALL_SIZE (2 * PAGE_SIZE)

/* What one O_DIRECT write, or the bytes between two of them, left in the ring. */
struct pipe_seg {
	uint32_t len;
	bool packet;
};

struct pipe {
	struct mutex lock;	   /* rank PIPE */
	uint32_t files;		   /* [lock] descriptions; also under the inode's lock when it becomes 0 or 1 */
	uint32_t readers, writers; /* [lock] */
	uint64_t reader_opens, writer_opens; /* [lock] ever, for opens that wait for the other end */
	uint8_t *buf;			     /* [lock] ring of `size` bytes, a power of two; NULL until used */
	uint32_t size;			     /* [lock] */
	uint32_t capacity;		     /* [lock] what size may grow to */
	uint32_t claimed;		     /* [lock] pages counted for it in vfs->pipe_pages */
	uint32_t head, used;		     /* [lock] */
	uint32_t reserved;		     /* [lock] room promised to splices that are reading their file */
	bool draining;	       /* [lock] a splice is writing what it peeked; others may not read */
	bool polled;	       /* [a] somebody polls: each write is news, as edge-triggered epoll expects */
	struct pipe_seg *segs; /* [lock] ring of capacity / PAGE_SIZE; NULL until O_DIRECT is used */
	uint32_t seg_head, seg_count; /* [lock] */
	struct waitq wq;
};

extern const struct file_ops pipe_file_ops;

static inline struct pipe *file_pipe(const struct file *f)
{
	return f->priv;
}

static inline uint32_t pipe_free(const struct pipe *p)
{
	return p->capacity - p->used - p->reserved;
}

static inline uint32_t pipe_slots(const struct pipe *p)
{
	return p->capacity / PAGE_SIZE;
}

/* Room for PIPE_ATOMIC bytes: what poll and blocked writers mean by writable. */
static inline bool pipe_writable(const struct pipe *p)
{
	return pipe_free(p) >= PIPE_ATOMIC && (!p->segs || p->seg_count < pipe_slots(p));
}

/* All with the lock held. Makes the ring hold n more bytes: -ENOMEM. */
MUST_CHECK int pipe_grow_locked(struct pipe *p, size_t n);
/* Moves up to n bytes between ring and uio; the room or the bytes must be there. Bytes, or -EFAULT. */
ssize_t pipe_fill_locked(struct pipe *p, struct uio *src, size_t n);
ssize_t pipe_peek_locked(const struct pipe *p, struct uio *dst, size_t n);
void pipe_consume_locked(struct pipe *p, size_t n);
/* Books n bytes just filled in as a packet or as part of a stream. */
void pipe_mark_locked(struct pipe *p, size_t n, bool packet);
/* Bytes a read may take now: the whole stream, or up to the end of the first packet. */
size_t pipe_readable_locked(const struct pipe *p, bool *packet);
