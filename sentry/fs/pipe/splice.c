/* splice.c: moving bytes between a pipe and another file without the guest's memory in between. The other
 * file's operation runs without the pipe's lock, so a splice first claims what it will touch: room in the
 * ring when it fills, the sole right to read when it drains. */
#include "platform/abi/errno.h"
#include "platform/abi/fcntl.h"
#include "sentry/fs/pipe/internal.h"

#define IN_EVENTS  (EV_IN | EV_RDNORM)
#define OUT_EVENTS (EV_OUT | EV_WRNORM)

static ssize_t read_other(struct file *from, uint64_t *off, void *buf, size_t n)
{
	struct uio u;
	ssize_t ret;

	uio_init_kernel(&u, buf, n);
	if (!off)
		return file_read(from, &u);
	ret = file_pread(from, &u, *off);
	if (ret > 0)
		*off += (uint64_t)ret;
	return ret;
}

static ssize_t write_other(struct file *to, uint64_t *off, void *buf, size_t n)
{
	struct uio u;
	ssize_t ret;

	uio_init_kernel(&u, buf, n);
	if (!off)
		return file_write(to, &u);
	ret = file_pwrite(to, &u, *off);
	if (ret > 0)
		*off += (uint64_t)ret;
	return ret;
}

ssize_t pipe_splice_in(struct file *pipe, struct file *from, uint64_t *off, size_t n, void *bounce, size_t size)
{
	struct pipe *p = file_pipe(pipe);
	bool was_empty = false;
	struct uio u;
	ssize_t ret;

	n = MIN(n, size);
	mutex_lock(&p->lock);
	if (p->readers == 0)
		ret = -EPIPE;
	else if (!pipe_writable(p))
		ret = -EAGAIN;
	else {
		n = MIN(n, (size_t)pipe_free(p));
		ret = pipe_grow_locked(p, n + p->reserved);
		if (ret == 0)
			p->reserved += (uint32_t)n;
	}
	mutex_unlock(&p->lock);
	if (ret < 0)
		return ret;

	ret = read_other(from, off, bounce, n);

	mutex_lock(&p->lock);
	p->reserved -= (uint32_t)n;
	if (ret > 0) {
		was_empty = p->used == 0;
		uio_init_kernel(&u, bounce, (uint64_t)ret);
		/* the ring may have been shrunk to its contents meanwhile */
		if (pipe_grow_locked(p, (size_t)ret) == 0) {
			(void)pipe_fill_locked(p, &u, (size_t)ret);
			pipe_mark_locked(p, (size_t)ret, false);
		} else {
			ret = -ENOMEM;
		}
	}
	mutex_unlock(&p->lock);
	if (ret > 0 && (was_empty || __atomic_load_n(&p->polled, __ATOMIC_RELAXED)))
		waitq_wake(&p->wq, IN_EVENTS);
	else if (ret <= 0)
		waitq_wake(&p->wq, OUT_EVENTS); /* the claim may have turned a writer away */
	return ret;
}

ssize_t pipe_splice_out(struct file *pipe, struct file *to, uint64_t *off, size_t n, void *bounce, size_t size)
{
	struct pipe *p = file_pipe(pipe);
	bool was_writable, packet, wake_out, wake_in;
	struct uio u;
	ssize_t ret;

	n = MIN(n, size);
	mutex_lock(&p->lock);
	if (p->used == 0 || p->draining) {
		ret = p->used == 0 && p->writers == 0 ? 0 : -EAGAIN;
		mutex_unlock(&p->lock);
		return ret;
	}
	n = MIN(n, pipe_readable_locked(p, &packet));
	uio_init_kernel(&u, bounce, n);
	(void)pipe_peek_locked(p, &u, n);
	p->draining = true;
	mutex_unlock(&p->lock);

	ret = write_other(to, off, bounce, n);

	mutex_lock(&p->lock);
	was_writable = pipe_writable(p);
	if (ret > 0)
		pipe_consume_locked(p, (size_t)ret);
	p->draining = false;
	wake_out = !was_writable && pipe_writable(p);
	wake_in = p->used != 0;
	mutex_unlock(&p->lock);
	if (wake_out || wake_in)
		waitq_wake(&p->wq, (wake_out ? OUT_EVENTS : 0) | (wake_in ? IN_EVENTS : 0));
	return ret;
}

/* Ring to ring, both locked: the pieces of the source's ring are the segments of a write. */
static ssize_t copy_rings(struct pipe *a, struct pipe *b, size_t n)
{
	struct linux_iovec segs[2];
	size_t first = MIN(n, (size_t)(a->size - a->head));
	struct uio u;
	ssize_t ret;

	ret = pipe_grow_locked(b, n);
	if (ret < 0)
		return ret;
	segs[0] = (struct linux_iovec){(uaddr_t)(uintptr_t)(a->buf + a->head), first};
	segs[1] = (struct linux_iovec){(uaddr_t)(uintptr_t)a->buf, n - first};
	uio_init_iov(&u, NULL, segs, n > first ? 2 : 1);
	ret = pipe_fill_locked(b, &u, n);
	if (ret > 0)
		pipe_mark_locked(b, (size_t)ret, false);
	return ret;
}

ssize_t pipe_tee(struct file *from, struct file *to, size_t n, bool move)
{
	struct pipe *a = file_pipe(from), *b = file_pipe(to);
	bool packet, was_empty, was_writable, wake_out = false;
	ssize_t ret;

	if (a == b)
		return -EINVAL;
	mutex_lock_pair(&a->lock, &b->lock);
	was_empty = b->used == 0;
	was_writable = pipe_writable(a);
	if (b->readers == 0) {
		ret = -EPIPE;
	} else if (a->used == 0 || a->draining) {
		ret = a->used == 0 && a->writers == 0 ? 0 : -EAGAIN;
	} else if (!pipe_writable(b)) {
		ret = -EAGAIN;
	} else {
		n = MIN(n, pipe_readable_locked(a, &packet));
		n = MIN(n, (size_t)pipe_free(b));
		ret = copy_rings(a, b, n);
		if (ret > 0 && move)
			pipe_consume_locked(a, (size_t)ret);
		wake_out = !was_writable && pipe_writable(a);
	}
	mutex_unlock_pair(&a->lock, &b->lock);
	if (ret > 0 && (was_empty || __atomic_load_n(&b->polled, __ATOMIC_RELAXED)))
		waitq_wake(&b->wq, IN_EVENTS);
	if (wake_out)
		waitq_wake(&a->wq, OUT_EVENTS);
	return ret;
}
