/* hostfd.c: pipes, sockets and terminals of the host as files of the guest, and what they have in common with
 * regular files (regular.c). Reads and writes never wait in the host: the descriptor's O_NONBLOCK is shared
 * with other programs and is left alone, so each call says for itself that it won't wait (MSG_DONTWAIT,
 * RWF_NOWAIT) or asks poll first. */
#include "sentry/fs/host/internal.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "platform/abi/errno.h"
#include "platform/abi/fs.h"
#include "platform/abi/termios.h"
#include "platform/base/arena.h"

/* A pipe that poll calls writable takes so much without waiting (PIPE_BUF). */
#define SAFE_WRITE 4096UL

void *hostfd_buf(struct hostfd_dir *d)
{
	if (!d->buf)
		d->buf = kalloc_pages(HOSTFD_BUF / PAGE_SIZE);
	return d->buf;
}

static uint32_t poll_now(struct hostfd *h, uint32_t events)
{
	struct pollfd p = {.fd = h->fd, .events = (short)events};
	struct timespec none = {0};

	return hc_ppoll(&p, 1, &none, NULL) > 0 ? (uint32_t)(uint16_t)p.revents : 0;
}

static ssize_t read_some(struct hostfd *h, void *buf, size_t n)
{
	struct iovec iov = {buf, n};
	ssize_t got;

	if (h->type == LINUX_S_IFSOCK)
		return hc_recvfrom(h->fd, buf, n, MSG_DONTWAIT, NULL, NULL);
	if (!h->in.no_nowait) {
		got = hc_preadv2(h->fd, &iov, 1, -1, LINUX_RWF_NOWAIT);
		if (got != -EOPNOTSUPP && got != -ENOSYS && got != -EINVAL)
			return got;
		h->in.no_nowait = true;
	}
	if (h->watched && !(poll_now(h, POLLIN) & (POLLIN | POLLHUP | POLLERR)))
		return -EAGAIN;
	return hc_read(h->fd, buf, n);
}

static ssize_t write_some(struct hostfd *h, const void *buf, size_t n)
{
	struct iovec iov = {(void *)(uintptr_t)buf, n};
	ssize_t put;

	if (h->type == LINUX_S_IFSOCK)
		return hc_sendto(h->fd, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);
	if (!h->out.no_nowait) {
		put = hc_pwritev2(h->fd, &iov, 1, -1, LINUX_RWF_NOWAIT);
		if (put != -EOPNOTSUPP && put != -ENOSYS && put != -EINVAL)
			return put;
		h->out.no_nowait = true;
	}
	if (h->watched && !(poll_now(h, POLLOUT) & (POLLOUT | POLLHUP | POLLERR)))
		return -EAGAIN;
	return hc_write(h->fd, buf, MIN(n, SAFE_WRITE));
}

static ssize_t stream_read(struct file *f, struct uio *dst, uint64_t *pos)
{
	struct hostfd *h = hostfd_of(f);
	ssize_t n;

	(void)pos;
	if (!dst->resid)
		return 0;
	mutex_lock(&h->in.lock);
	if (!hostfd_buf(&h->in)) {
		n = -ENOMEM;
	} else {
		do {
			n = read_some(h, h->in.buf, MIN(dst->resid, HOSTFD_BUF));
		} while (n == -EINTR);
		if (n > 0) {
			ssize_t put = uio_put(dst, h->in.buf, (size_t)n);

			n = put; /* bytes behind a bad address are lost, as with any pipe read in pieces */
		}
	}
	mutex_unlock(&h->in.lock);
	if (n == -EAGAIN)
		hostfd_arm(h, EV_IN);
	return n;
}

static ssize_t stream_write(struct file *f, struct uio *src, uint64_t *pos)
{
	struct hostfd *h = hostfd_of(f);
	size_t done = 0;
	ssize_t n = 0;

	(void)pos;
	mutex_lock(&h->out.lock);
	if (!hostfd_buf(&h->out))
		n = -ENOMEM;
	while (n >= 0 && src->resid) {
		struct uio start = *src;
		ssize_t got = uio_get(src, h->out.buf, MIN(src->resid, HOSTFD_BUF));

		if (got <= 0) {
			n = got;
			break;
		}
		do {
			n = write_some(h, h->out.buf, (size_t)got);
		} while (n == -EINTR);
		if (n < got) { /* what wasn't written wasn't taken */
			*src = start;
			if (n > 0)
				uio_skip(src, (size_t)n);
		}
		if (n > 0)
			done += (size_t)n;
	}
	mutex_unlock(&h->out.lock);
	if (n == -EAGAIN)
		hostfd_arm(h, EV_OUT);
	return done ? (ssize_t)done : n;
}

static uint32_t stream_ready(struct file *f)
{
	struct hostfd *h = hostfd_of(f);
	uint32_t want = (FILE_CAN_READ(f) ? EV_IN | EV_PRI : 0) | (FILE_CAN_WRITE(f) ? EV_OUT : 0), now;

	if (!h->watched)
		return EV_IN | EV_OUT | EV_RDNORM | EV_WRNORM;
	if (h->type == LINUX_S_IFSOCK)
		want |= EV_RDHUP;
	now = poll_now(h, want);
	/* somebody may be about to wait for what isn't there */
	if (want & ~now & ~EV_PRI)
		hostfd_arm(h, want & ~now);
	if (now & EV_IN)
		now |= EV_RDNORM;
	if (now & EV_OUT)
		now |= EV_WRNORM;
	return now;
}

#define STREAM_OPS .read = stream_read, .write = stream_write, .ready = stream_ready, .ioctl = hostfd_ioctl

/* pipes and sockets are named by number */
static const struct file_ops hostfd_stream_ops = {STREAM_OPS};
static const struct file_ops hostfd_device_ops = {STREAM_OPS, .name = "host:[device]"};

static const struct file_ops *ops_for(const struct hostfd *h)
{
	switch (h->type) {
	case LINUX_S_IFREG:
		return &hostfd_regular_ops;
	case LINUX_S_IFIFO:
	case LINUX_S_IFSOCK:
		return &hostfd_stream_ops;
	default:
		return &hostfd_device_ops;
	}
}

/* ---- the inode: also for those who open it again through /proc/self/fd (/dev/stdout) */

static int host_open(struct inode *i, struct file *f)
{
	struct hostfd *h = i->fs;
	int host = hc_fcntl(h->fd, F_GETFL, 0);
	bool reads = (host & O_ACCMODE) != O_WRONLY, writes = (host & O_ACCMODE) != O_RDONLY;

	if (host < 0)
		return host;
	if ((FILE_CAN_READ(f) && !reads) || (FILE_CAN_WRITE(f) && !writes))
		return -EACCES;
	f->ops = ops_for(h);
	f->wq = &h->wq;
	return 0;
}

static int host_getattr(struct inode *i, uint32_t mask, struct kstat *out)
{
	struct hostfd *h = i->fs;
	struct stat st;
	int ret = hc_fstat(h->fd, &st);

	(void)mask;
	if (ret < 0)
		return ret;
	inode_fill_kstat(i, out);
	out->size = (uint64_t)st.st_size;
	out->blocks = (uint64_t)st.st_blocks;
	out->blksize = (uint32_t)st.st_blksize;
	out->atime = (struct linux_timespec){st.st_atim.tv_sec, st.st_atim.tv_nsec};
	out->mtime = (struct linux_timespec){st.st_mtim.tv_sec, st.st_mtim.tv_nsec};
	out->ctime = (struct linux_timespec){st.st_ctim.tv_sec, st.st_ctim.tv_nsec};
	return 0;
}

/* A size may be set where the descriptor allows it; owner, mode and times of the user's file stay. */
static int host_setattr(struct inode *i, const struct iattr *a, const struct cred *cred)
{
	struct hostfd *h = i->fs;
	int ret;

	(void)cred;
	if (!(a->valid & ATTR_SIZE))
		return a->valid & (ATTR_MODE | ATTR_UID | ATTR_GID) ? -EPERM : 0;
	if (h->type != LINUX_S_IFREG)
		return 0;
	ret = hc_ftruncate(h->fd, a->size);
	if (ret == 0)
		__atomic_store_n(&i->size, a->size, __ATOMIC_RELAXED);
	return ret;
}

static void host_destroy(struct inode *i)
{
	struct hostfd *h = i->fs;

	if (h->watched)
		poller_remove(&h->watch);
	hc_close(h->fd);
	kfree(h->in.buf);
	kfree(h->out.buf);
	kfree(h);
}

static const struct inode_ops hostfd_inode_ops = {
	.open = host_open,
	.getattr = host_getattr,
	.setattr = host_setattr,
	.destroy = host_destroy,
};

static void woken(struct poll_watch *w, uint32_t events)
{
	struct hostfd *h = container_of(w, struct hostfd, watch);

	if (events & EV_IN)
		events |= EV_RDNORM;
	if (events & EV_OUT)
		events |= EV_WRNORM;
	waitq_wake(&h->wq, events);
}

static int setup(struct hostfd *h, int fd, struct stat *st)
{
	uint8_t termios[sizeof(struct linux_termios2)];
	int ret = hc_fstat(fd, st);

	if (ret < 0)
		return ret;
	h->type = st->st_mode & LINUX_S_IFMT;
	h->tty = h->type == LINUX_S_IFCHR && hc_ioctl(fd, LINUX_TCGETS, (unsigned long)termios) == 0;
	mutex_init(&h->in.lock, RANK_PIPE);
	mutex_init(&h->out.lock, RANK_PIPE);
	waitq_init(&h->wq);
	if (h->type == LINUX_S_IFREG) {
		int64_t pos = hc_lseek(fd, 0, LINUX_SEEK_CUR);

		h->host_pos = pos > 0 ? (uint64_t)pos : 0;
		return 0;
	}
	ret = poller_add(&h->watch, fd, woken);
	if (ret < 0 && ret != -EPERM)
		return ret;
	h->watched = ret == 0;
	return 0;
}

int hostfd_file_create(struct vfs *v, int host_fd, uint32_t flags, const struct cred *cred, struct file **out)
{
	struct hostfd *h = kmalloc(sizeof(*h));
	bool regular;
	struct stat st;
	struct file *f;
	int ret = -ENOMEM;

	if (!h)
		goto fail;
	ret = setup(h, host_fd, &st);
	if (ret < 0)
		goto fail;
	regular = h->type == LINUX_S_IFREG;
	if (regular && (hc_fcntl(host_fd, F_GETFL, 0) & O_APPEND))
		flags |= LINUX_O_APPEND;
	ret = file_create_anon(v, ops_for(h), h, flags, h->type | 0666, cred, &h->wq, &f);
	if (ret < 0) {
		if (h->watched)
			poller_remove(&h->watch);
		goto fail;
	}
	h->fd = host_fd;
	f->inode->ops = &hostfd_inode_ops;
	f->inode->fs = h;
	f->inode->rdev = st.st_rdev;
	f->inode->size = regular ? (uint64_t)st.st_size : 0;
	if (regular) {
		h->first = f;
		f->pos = h->host_pos;
	}
	*out = f;
	return 0;
fail:
	kfree(h);
	hc_close(host_fd);
	return ret;
}
