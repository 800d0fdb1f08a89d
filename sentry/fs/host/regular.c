/* regular.c: a regular file of the host as standard input or output (cmd < file, cmd >> file). Its position
 * belongs to an open file description that other programs share, as in `(a; b) > file`: so reads and writes
 * at the guest's position use and move the host's. */
#include "sentry/fs/host/internal.h"

#include <sys/stat.h>

#include "platform/abi/errno.h"
#include "platform/abi/fs.h"
#include "platform/base/arena.h"

/* Is this a plain read or write of the file that shares the host's position? Then that position is made to
 * be the guest's. */
static bool use_host_pos_locked(struct file *f, struct hostfd *h, uint64_t pos)
{
	if (f != h->first || pos != f->pos)
		return false;
	if (pos != h->host_pos) {
		if (hc_lseek(h->fd, (int64_t)pos, LINUX_SEEK_SET) < 0)
			return false;
		h->host_pos = pos;
	}
	return true;
}

static ssize_t regular_read(struct file *f, struct uio *dst, uint64_t *pos)
{
	struct hostfd *h = hostfd_of(f);
	size_t done = 0;
	ssize_t n = 0;

	mutex_lock(&h->out.lock);
	if (!hostfd_buf(&h->out))
		n = -ENOMEM;
	while (n >= 0 && dst->resid) {
		size_t want = MIN(dst->resid, HOSTFD_BUF);
		bool shared = use_host_pos_locked(f, h, *pos - done);
		ssize_t put;

		n = shared ? hc_read(h->fd, h->out.buf, want) : hc_pread(h->fd, h->out.buf, want, *pos);
		if (n == -EINTR) {
			n = 0;
			continue;
		}
		if (n <= 0)
			break;
		put = uio_put(dst, h->out.buf, (size_t)n);
		if (shared)
			h->host_pos += (uint64_t)n;
		if (put > 0) {
			*pos += (uint64_t)put;
			done += (size_t)put;
		}
		/* the rest goes by position: f->pos isn't up to date within this call */
		if (put < n || (size_t)n < want || shared)
			break;
	}
	mutex_unlock(&h->out.lock);
	return done ? (ssize_t)done : n;
}

static ssize_t regular_write(struct file *f, struct uio *src, uint64_t *pos)
{
	struct hostfd *h = hostfd_of(f);
	ssize_t n = -ENOMEM, got;
	bool shared;

	if (!src->resid)
		return 0;
	mutex_lock(&h->out.lock);
	if (!hostfd_buf(&h->out))
		goto out;
	n = got = uio_get(src, h->out.buf, MIN(src->resid, HOSTFD_BUF));
	if (got <= 0)
		goto out;
	shared = f == h->first && (src->append || use_host_pos_locked(f, h, *pos));
	do {
		n = shared ? hc_write(h->fd, h->out.buf, (size_t)got)
			   : hc_pwrite(h->fd, h->out.buf, (size_t)got, *pos);
	} while (n == -EINTR);
	if (n > 0) {
		*pos += (uint64_t)n;
		if (shared)
			h->host_pos = *pos;
		if (*pos > __atomic_load_n(&f->inode->size, __ATOMIC_RELAXED))
			__atomic_store_n(&f->inode->size, *pos, __ATOMIC_RELAXED);
	}
out:
	mutex_unlock(&h->out.lock);
	return n;
}

static int64_t regular_seek(struct file *f, int64_t off, int whence)
{
	struct hostfd *h = hostfd_of(f);
	struct stat st;
	int64_t ret;

	switch (whence) {
	case LINUX_SEEK_SET:
		break;
	case LINUX_SEEK_CUR:
		if (__builtin_add_overflow(off, (int64_t)f->pos, &off))
			return -EOVERFLOW;
		break;
	case LINUX_SEEK_END:
		ret = hc_fstat(h->fd, &st);
		if (ret < 0)
			return ret;
		if (__builtin_add_overflow(off, (int64_t)st.st_size, &off))
			return -EOVERFLOW;
		break;
	case LINUX_SEEK_DATA:
	case LINUX_SEEK_HOLE:
		mutex_lock(&h->out.lock);
		ret = hc_lseek(h->fd, off, whence);
		if (ret >= 0)
			h->host_pos = (uint64_t)ret;
		mutex_unlock(&h->out.lock);
		return ret;
	default:
		return -EINVAL;
	}
	return off < 0 ? -EINVAL : off;
}

static int regular_fsync(struct file *f, bool data_only)
{
	return data_only ? hc_fdatasync(hostfd_of(f)->fd) : hc_fsync(hostfd_of(f)->fd);
}

/* The next program goes on where the guest stopped. */
static void regular_release(struct file *f)
{
	struct hostfd *h = hostfd_of(f);

	mutex_lock(&h->out.lock);
	if (f == h->first) {
		if (f->pos != h->host_pos)
			(void)hc_lseek(h->fd, (int64_t)f->pos, LINUX_SEEK_SET);
		h->first = NULL;
	}
	mutex_unlock(&h->out.lock);
}

const struct file_ops hostfd_regular_ops = {
	.read = regular_read,
	.write = regular_write,
	.seek = regular_seek,
	.fsync = regular_fsync,
	.ioctl = hostfd_ioctl,
	.release = regular_release,
	.seekable = true,
	.name = "host:[file]",
};
