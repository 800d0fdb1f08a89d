/* pipe.c: reading, writing, polling and the life of a pipe. A file's pos is not a position: it remembers
 * how many opens of the other end there had been when this description was opened, so that a FIFO's open
 * knows whether its partner has come (and perhaps gone), and poll knows whether a hang-up is news.
 *
 * Wakes happen on edges only: readers when the ring was empty, writers when room for PIPE_ATOMIC bytes
 * comes back; once somebody polled the pipe, every write wakes readers, as edge-triggered epoll expects. */
#include "sentry/fs/pipe/pipe.h"

#include <string.h>

#include "platform/abi/errno.h"
#include "platform/abi/fcntl.h"
#include "platform/abi/ioctl.h"
#include "platform/base/arena.h"
#include "sentry/fs/pipe/internal.h"

#define IN_EVENTS  (EV_IN | EV_RDNORM)
#define OUT_EVENTS (EV_OUT | EV_WRNORM)
#define NO_PARTNER UINT64_MAX /* no count of opens */

static ssize_t pipe_read(struct file *f, struct uio *dst, uint64_t *pos)
{
	struct pipe *p = file_pipe(f);
	bool packet, was_writable, wake;
	size_t avail, n;
	ssize_t ret;

	(void)pos;
	if (dst->resid == 0)
		return 0;
	mutex_lock(&p->lock);
	if (p->used == 0 || p->draining) {
		ret = p->used == 0 && p->writers == 0 ? 0 : -EAGAIN;
		mutex_unlock(&p->lock);
		return ret;
	}
	avail = pipe_readable_locked(p, &packet);
	n = MIN(avail, dst->resid);
	was_writable = pipe_writable(p);
	ret = pipe_peek_locked(p, dst, n);
	/* what doesn't fit of a packet is dropped */
	if (ret > 0)
		pipe_consume_locked(p, packet && (size_t)ret == n ? avail : (size_t)ret);
	wake = !was_writable && pipe_writable(p);
	mutex_unlock(&p->lock);
	if (wake)
		waitq_wake(&p->wq, OUT_EVENTS);
	return ret;
}

/* One packet of at most PIPE_ATOMIC bytes in a slot of its own; longer writes become several. */
static ssize_t write_packets(struct pipe *p, struct uio *src)
{
	ssize_t done = 0, ret = 0;

	if (!p->segs) {
		p->segs = kmalloc(pipe_slots(p) * sizeof(*p->segs));
		if (!p->segs)
			return -ENOMEM;
		if (p->used)
			pipe_mark_locked(p, p->used, false);
	}
	while (src->resid) {
		size_t n = MIN(src->resid, PIPE_ATOMIC);

		if (pipe_free(p) < n || p->seg_count == pipe_slots(p)) {
			ret = -EAGAIN;
			break;
		}
		ret = pipe_grow_locked(p, n);
		if (ret == 0)
			ret = pipe_fill_locked(p, src, n);
		if (ret <= 0)
			break;
		pipe_mark_locked(p, (size_t)ret, true);
		done += ret;
	}
	return done ? done : ret;
}

static ssize_t write_stream(struct pipe *p, struct uio *src)
{
	size_t room = pipe_free(p), n = src->resid;
	ssize_t ret;

	if (n > room) {
		if (n <= PIPE_ATOMIC || room == 0)
			return -EAGAIN;
		n = room;
	}
	if (p->segs && p->seg_count == pipe_slots(p))
		return -EAGAIN;
	ret = pipe_grow_locked(p, n);
	if (ret < 0)
		return ret;
	ret = pipe_fill_locked(p, src, n);
	if (ret > 0)
		pipe_mark_locked(p, (size_t)ret, false);
	return ret;
}

static ssize_t pipe_write(struct file *f, struct uio *src, uint64_t *pos)
{
	struct pipe *p = file_pipe(f);
	bool was_empty;
	ssize_t ret;

	(void)pos;
	if (src->resid == 0)
		return 0;
	mutex_lock(&p->lock);
	if (p->readers == 0) {
		mutex_unlock(&p->lock);
		return -EPIPE;
	}
	was_empty = p->used == 0;
	if (UNLIKELY(f->flags & LINUX_O_DIRECT))
		ret = write_packets(p, src);
	else
		ret = write_stream(p, src);
	mutex_unlock(&p->lock);
	if (ret > 0 && (was_empty || __atomic_load_n(&p->polled, __ATOMIC_RELAXED)))
		waitq_wake(&p->wq, IN_EVENTS);
	return ret;
}

static uint32_t pipe_ready(struct file *f)
{
	struct pipe *p = file_pipe(f);
	uint32_t ev = 0;

	__atomic_store_n(&p->polled, true, __ATOMIC_RELAXED);
	mutex_lock(&p->lock);
	if (FILE_CAN_READ(f)) {
		if (p->used && !p->draining)
			ev |= IN_EVENTS;
		if (p->writers == 0 && f->pos != p->writer_opens)
			ev |= EV_HUP;
	}
	if (FILE_CAN_WRITE(f)) {
		if (pipe_writable(p))
			ev |= OUT_EVENTS;
		if (p->readers == 0)
			ev |= EV_ERR;
	}
	mutex_unlock(&p->lock);
	return ev;
}

/* A FIFO's open waits for its partner, also for one that came and went while nobody looked. */
static int pipe_open_ready(struct file *f)
{
	struct pipe *p = file_pipe(f);
	int ret = 0;

	mutex_lock(&p->lock);
	if ((f->flags & 3) == LINUX_O_RDONLY) {
		if (!(f->flags & LINUX_O_NONBLOCK) && p->writers == 0 && f->pos == p->writer_opens)
			ret = -EAGAIN;
	} else if ((f->flags & 3) == LINUX_O_WRONLY) {
		if (p->readers == 0 && f->pos == p->reader_opens)
			ret = -EAGAIN;
	}
	mutex_unlock(&p->lock);
	return ret;
}

static int64_t pipe_ioctl(struct file *f, uint32_t cmd, uint64_t arg, const struct usermem *um,
			  const struct cred *cred)
{
	struct pipe *p = file_pipe(f);
	int32_t n;

	(void)cred;
	if (cmd != LINUX_FIONREAD)
		return -ENOTTY;
	mutex_lock(&p->lock);
	n = (int32_t)p->used;
	mutex_unlock(&p->lock);
	return usermem_out(um, arg, &n, sizeof(n));
}

/* The capacities of all pipes are counted: beyond PIPE_PAGES_MAX new ones get little, and none may grow.
 * Linux counts by user and spares root; a sandbox's root is a guest like any other. */
static bool claim_pages(struct vfs *v, uint32_t pages)
{
	if (__atomic_add_fetch(&v->pipe_pages, pages, __ATOMIC_RELAXED) <= PIPE_PAGES_MAX)
		return true;
	__atomic_sub_fetch(&v->pipe_pages, pages, __ATOMIC_RELAXED);
	return false;
}

static void unclaim_pages(struct vfs *v, uint32_t pages)
{
	__atomic_sub_fetch(&v->pipe_pages, pages, __ATOMIC_RELAXED);
}

static void pipe_free_locked_inode(struct inode *inode, struct pipe *p)
{
	inode->bound = NULL;
	unclaim_pages(inode->super->vfs, p->claimed);
	kfree(p->buf);
	kfree(p->segs);
	kfree(p);
}

static void pipe_detach(struct inode *inode, struct pipe *p, uint32_t flags)
{
	bool last, reader_gone, writer_gone;
	uint32_t access = flags & 3;

	mutex_lock(&inode->lock);
	mutex_lock(&p->lock);
	if (access != LINUX_O_WRONLY)
		p->readers--;
	if (access != LINUX_O_RDONLY)
		p->writers--;
	reader_gone = p->readers == 0 && p->writers != 0;
	writer_gone = p->writers == 0 && p->readers != 0;
	mutex_unlock(&p->lock);
	/* Wake while the pipe can't go away: waiters never take an inode's lock. */
	if (reader_gone || writer_gone)
		waitq_wake(&p->wq, EV_ERR | EV_HUP | IN_EVENTS | OUT_EVENTS);
	last = --p->files == 0;
	if (last)
		pipe_free_locked_inode(inode, p);
	mutex_unlock(&inode->lock);
}

static void pipe_release(struct file *f)
{
	pipe_detach(f->inode, file_pipe(f), f->flags);
}

static int pipe_set_flags(struct file *f, uint32_t flags)
{
	(void)f;
	(void)flags; /* O_DIRECT is looked at by each write */
	return 0;
}

const struct file_ops pipe_file_ops = {
	.read = pipe_read,
	.write = pipe_write,
	.ready = pipe_ready,
	.open_ready = pipe_open_ready,
	.ioctl = pipe_ioctl,
	.set_flags = pipe_set_flags,
	.release = pipe_release,
};

static const struct file_ops anon_pipe_ops = {
	.read = pipe_read,
	.write = pipe_write,
	.ready = pipe_ready,
	.ioctl = pipe_ioctl,
	.set_flags = pipe_set_flags,
	.release = pipe_release,
	.name = "pipe",
};

bool file_is_pipe(const struct file *f)
{
	return f->ops == &pipe_file_ops || f->ops == &anon_pipe_ops;
}

static struct pipe *pipe_new(struct vfs *v)
{
	struct pipe *p = kmalloc(sizeof(*p));

	if (!p)
		return NULL;
	mutex_init(&p->lock, RANK_PIPE);
	waitq_init(&p->wq);
	if (claim_pages(v, PIPE_DEFAULT_SIZE / PAGE_SIZE))
		p->claimed = PIPE_DEFAULT_SIZE / PAGE_SIZE;
	p->capacity = p->claimed ? PIPE_DEFAULT_SIZE : PIPE_SMALL_SIZE;
	return p;
}

/* Adds a description that has f's access mode. */
static void pipe_attach_locked(struct pipe *p, struct file *f)
{
	uint32_t access = f->flags & 3;
	bool partner = access == LINUX_O_WRONLY ? p->readers != 0 : p->writers != 0;

	if (access != LINUX_O_WRONLY) {
		p->readers++;
		p->reader_opens++;
	}
	if (access != LINUX_O_RDONLY) {
		p->writers++;
		p->writer_opens++;
	}
	if (partner || f->ops == &anon_pipe_ops)
		f->pos = NO_PARTNER; /* had one: its going is a hang-up */
	else
		f->pos = access == LINUX_O_WRONLY ? p->reader_opens : p->writer_opens;
	f->priv = p;
	f->wq = &p->wq;
}

int pipe_fifo_open(struct inode *inode, struct file *f)
{
	struct pipe *p;
	int ret = 0;

	if ((f->flags & 3) == 3)
		return -EINVAL;
	mutex_lock(&inode->lock);
	p = inode->bound;
	if (!p) {
		p = pipe_new(inode->super->vfs);
		if (!p) {
			mutex_unlock(&inode->lock);
			return -ENOMEM;
		}
		inode->bound = p;
	}
	f->ops = inode->fops == &anon_pipe_ops ? &anon_pipe_ops : &pipe_file_ops;
	mutex_lock(&p->lock);
	if ((f->flags & 3) == LINUX_O_WRONLY && (f->flags & LINUX_O_NONBLOCK) && p->readers == 0)
		ret = -ENXIO;
	else
		pipe_attach_locked(p, f);
	mutex_unlock(&p->lock);
	if (ret == 0) {
		p->files++;
		waitq_wake(&p->wq, IN_EVENTS | OUT_EVENTS | EV_INTERNAL);
	} else if (p->files == 0) {
		pipe_free_locked_inode(inode, p);
	}
	mutex_unlock(&inode->lock);
	return ret;
}

int pipe_create(struct vfs *v, const struct cred *cred, uint32_t flags, struct file *out[2])
{
	struct pipe *p = pipe_new(v);
	struct file *r, *w;
	int ret;

	if (!p)
		return -ENOMEM;
	ret = file_create_anon(v, &anon_pipe_ops, p, LINUX_O_RDONLY | flags, 0010600, cred, &p->wq, &r);
	if (ret < 0) {
		unclaim_pages(v, p->claimed);
		kfree(p);
		return ret;
	}
	pipe_attach_locked(p, r);
	r->inode->bound = p;
	p->files = 1;
	/* the other end is a second description of the same inode */
	ret = vfs_open_path(&r->path, LINUX_O_WRONLY | flags, cred, &w);
	if (ret < 0) {
		file_put(r);
		return ret;
	}
	out[0] = r;
	out[1] = w;
	return 0;
}

int64_t pipe_get_size(struct file *f)
{
	struct pipe *p;
	int64_t ret;

	if (!file_is_pipe(f))
		return -EBADF;
	p = file_pipe(f);
	mutex_lock(&p->lock);
	ret = p->capacity;
	mutex_unlock(&p->lock);
	return ret;
}

/* Packet marks lie in a ring of one slot a page, so they move with the capacity. */
static int resize_segs(struct pipe *p, uint32_t capacity)
{
	struct pipe_seg *segs;

	if (!p->segs)
		return 0;
	if (p->seg_count > capacity / PAGE_SIZE)
		return -EBUSY;
	segs = kmalloc(capacity / PAGE_SIZE * sizeof(*segs));
	if (!segs)
		return -ENOMEM;
	for (uint32_t i = 0; i < p->seg_count; i++)
		segs[i] = p->segs[(p->seg_head + i) % pipe_slots(p)];
	kfree(p->segs);
	p->segs = segs;
	p->seg_head = 0;
	return 0;
}

static int claim_capacity(struct vfs *v, struct pipe *p, uint32_t capacity)
{
	uint32_t pages = capacity / PAGE_SIZE;

	if (pages > p->claimed && capacity > p->capacity && !claim_pages(v, pages - p->claimed))
		return -EPERM;
	if (pages < p->claimed)
		unclaim_pages(v, p->claimed - pages);
	if (pages < p->claimed || capacity > p->capacity)
		p->claimed = pages;
	return 0;
}

int64_t pipe_set_size(struct file *f, uint64_t size, uint64_t max)
{
	uint32_t capacity = PAGE_SIZE;
	bool wake = false;
	struct pipe *p;
	int ret = 0;

	if (!file_is_pipe(f))
		return -EBADF;
	if (size == 0 || size > (1UL << 31))
		return -EINVAL;
	p = file_pipe(f);
	while (capacity < size)
		capacity *= 2;
	mutex_lock(&p->lock);
	if (capacity > max && capacity > p->capacity)
		ret = -EPERM;
	else if (capacity > 64 * PIPE_MAX_SIZE)
		ret = -ENOMEM;
	else if (p->used + p->reserved > capacity)
		ret = -EBUSY;
	if (ret == 0)
		ret = claim_capacity(f->inode->super->vfs, p, capacity);
	if (ret == 0)
		ret = resize_segs(p, capacity);
	if (ret == 0) {
		wake = !pipe_writable(p);
		p->capacity = capacity;
		wake = wake && pipe_writable(p);
	}
	mutex_unlock(&p->lock);
	if (wake)
		waitq_wake(&p->wq, OUT_EVENTS);
	return ret < 0 ? ret : (int64_t)capacity;
}
