/* file.c: the data of regular files, through the descriptors that the gofer gave. Bytes for guests pass
 * through one buffer of the arena; bytes for the kernel go where they belong at once. */
#include <linux/uio.h>

#include "platform/host/hostcall.h"
#include "sentry/fs/gofer/internal.h"

/* Read this often a small file is kept in memory. */
#define OPENS_TO_BE_HOT 2

int gofer_file_open(struct inode *inode, struct file *f)
{
	struct gnode *g = gnode_of(inode);
	uint64_t *slot;
	int fd, ret;

	if (FILE_CAN_WRITE(f) && gofer_fs_of(inode)->read_only)
		return -EROFS;
	__atomic_add_fetch(&g->opens, 1, __ATOMIC_ACQ_REL);
	/* now, so that open(2) says what is wrong; a file that is in memory needs none */
	if (FILE_CAN_WRITE(f) || !__atomic_load_n(&g->content, __ATOMIC_RELAXED)) {
		ret = gfd_get(g, FILE_CAN_WRITE(f), &slot, &fd);
		if (ret < 0) {
			__atomic_sub_fetch(&g->opens, 1, __ATOMIC_RELEASE);
			return ret;
		}
		gfd_put(slot);
	}
	if (__atomic_load_n(&g->open_total, __ATOMIC_RELAXED) < OPENS_TO_BE_HOT &&
	    __atomic_add_fetch(&g->open_total, 1, __ATOMIC_RELAXED) == OPENS_TO_BE_HOT)
		gcontent_load(g);
	f->ops = &gofer_file_ops;
	return 0;
}

static void file_release(struct file *f)
{
	__atomic_sub_fetch(&gnode_of(f->inode)->opens, 1, __ATOMIC_RELEASE);
}

/* ---- reading */

static ssize_t read_kernel(int fd, struct uio *dst, uint64_t pos, size_t n)
{
	size_t done = 0;

	while (done < n && dst->resid) {
		const struct linux_iovec *seg = &dst->segs[dst->seg];
		size_t room = MIN(seg->iov_len - dst->seg_off, n - done);
		ssize_t got;

		if (room == 0) { /* an empty segment */
			dst->seg++;
			dst->seg_off = 0;
			continue;
		}
		got = hc_pread(fd, (void *)(uintptr_t)(seg->iov_base + dst->seg_off), room, pos + done);
		if (got == -EINTR)
			continue;
		if (got <= 0)
			return done ? (ssize_t)done : got;
		uio_skip(dst, (size_t)got);
		done += (size_t)got;
		if ((size_t)got < room)
			break;
	}
	return (ssize_t)done;
}

static ssize_t read_user(struct gofer_fs *fs, int fd, struct uio *dst, uint64_t pos, size_t n)
{
	void *buf = gbuf_get(fs);
	size_t done = 0;
	ssize_t ret = 0;

	if (!buf)
		return -ENOMEM;
	while (done < n) {
		size_t want = MIN(n - done, GOFER_BUF_SIZE);
		ssize_t got = hc_pread(fd, buf, want, pos + done), put;

		if (got == -EINTR)
			continue;
		if (got <= 0) {
			ret = got;
			break;
		}
		put = uio_put(dst, buf, (size_t)got);
		if (put < 0) {
			ret = put;
			break;
		}
		done += (size_t)put;
		if (put < got || (size_t)got < want)
			break;
	}
	gbuf_put(fs, buf);
	return done ? (ssize_t)done : ret;
}

static ssize_t file_read_at(struct file *f, struct uio *dst, uint64_t *pos)
{
	struct inode *i = f->inode;
	struct gofer_fs *fs = gofer_fs_of(i);
	struct gnode *g = gnode_of(i);
	uint64_t n = dst->resid, *slot;
	ssize_t ret = gcontent_read(g, dst, *pos);
	int fd;

	if (ret == -EAGAIN) {
		if (!fs->shared) { /* the size is ours to know: no call to be told of the end */
			uint64_t size = __atomic_load_n(&i->size, __ATOMIC_RELAXED);

			if (*pos >= size)
				return 0;
			n = MIN(n, size - *pos);
		}
		ret = gfd_get(g, false, &slot, &fd);
		if (ret < 0)
			return ret;
		ret = dst->um ? read_user(fs, fd, dst, *pos, n) : read_kernel(fd, dst, *pos, n);
		gfd_put(slot);
	}
	if (ret > 0)
		*pos += (uint64_t)ret;
	return ret;
}

/* ---- writing */

/* Up to a buffer full from src to pos, or to the end of a shared file (append). */
static ssize_t write_chunk(int fd, struct uio *src, void *buf, uint64_t pos, bool append)
{
	size_t want = MIN(src->resid, GOFER_BUF_SIZE), done = 0;
	ssize_t n = uio_get(src, buf, want);

	if (n <= 0)
		return n;
	while (done < (size_t)n) {
		struct iovec iov = {(char *)buf + done, (size_t)n - done};
		ssize_t put = append ? hc_pwritev2(fd, &iov, 1, 0, LINUX_RWF_APPEND)
				     : hc_pwrite(fd, iov.iov_base, iov.iov_len, pos + done);

		if (put == -EINTR)
			continue;
		if (put <= 0)
			return done ? (ssize_t)done : put ? put : -EIO;
		done += (size_t)put;
	}
	return (ssize_t)done;
}

static ssize_t write_locked(struct file *f, int fd, struct uio *src, uint64_t *pos, bool append)
{
	struct inode *i = f->inode;
	struct gofer_fs *fs = gofer_fs_of(i);
	void *buf = gbuf_get(fs);
	size_t done = 0;
	ssize_t n = 0;

	if (!buf)
		return -ENOMEM;
	if (append && !fs->shared)
		*pos = i->size;
	while (src->resid) {
		size_t left = src->resid;

		n = write_chunk(fd, src, buf, *pos, append && fs->shared);
		if (n <= 0)
			break;
		done += (size_t)n;
		*pos += (uint64_t)n;
		if (*pos > i->size)
			__atomic_store_n(&i->size, *pos, __ATOMIC_RELAXED);
		if ((size_t)n < MIN(left, GOFER_BUF_SIZE))
			break;
	}
	gbuf_put(fs, buf);
	if (!done)
		return n;
	if (append && fs->shared) { /* the host knows where it went */
		int64_t end = hc_lseek(fd, 0, LINUX_SEEK_END);

		if (end >= 0)
			*pos = (uint64_t)end;
	}
	i->mtime = i->ctime = vfs_now();
	gnode_changed(i);
	return (ssize_t)done;
}

static ssize_t file_write_at(struct file *f, struct uio *src, uint64_t *pos)
{
	uint32_t flags = __atomic_load_n(&f->flags, __ATOMIC_RELAXED);
	bool append = src->append || (flags & LINUX_O_APPEND);
	struct inode *i = f->inode;
	uint64_t *slot;
	ssize_t ret;
	int fd;

	if (!src->resid)
		return 0;
	ret = gfd_get(gnode_of(i), true, &slot, &fd);
	if (ret < 0)
		return ret;
	mutex_lock(&i->lock);
	ret = write_locked(f, fd, src, pos, append);
	mutex_unlock(&i->lock);
	if (ret > 0 && (src->dsync || (flags & LINUX_O_DSYNC))) {
		int err = hc_fdatasync(fd);

		if (err < 0)
			ret = err;
	}
	gfd_put(slot);
	return ret;
}

/* ---- the rest */

static int64_t file_seek_at(struct file *f, int64_t off, int whence)
{
	struct inode *i = f->inode;
	uint64_t *slot;
	int64_t ret;
	int fd;

	switch (whence) {
	case LINUX_SEEK_SET:
		break;
	case LINUX_SEEK_CUR:
		if (__builtin_add_overflow(off, (int64_t)f->pos, &off))
			return -EOVERFLOW;
		break;
	case LINUX_SEEK_END:
		ret = gnode_refresh(i, false);
		if (ret < 0)
			return ret;
		if (__builtin_add_overflow(off, (int64_t)__atomic_load_n(&i->size, __ATOMIC_RELAXED), &off))
			return -EOVERFLOW;
		break;
	case LINUX_SEEK_DATA:
	case LINUX_SEEK_HOLE:
		if (off < 0)
			return -ENXIO;
		ret = gfd_get(gnode_of(i), false, &slot, &fd);
		if (ret < 0)
			return ret;
		ret = hc_lseek(fd, off, whence);
		gfd_put(slot);
		return ret;
	default:
		return -EINVAL;
	}
	return off < 0 ? -EINVAL : off;
}

static int file_fsync(struct file *f, bool data_only)
{
	struct gnode *g = gnode_of(f->inode);
	uint64_t *slot;
	int fd, ret;

	if (gofer_fs_of(f->inode)->read_only)
		return 0;
	ret = gfd_get(g, false, &slot, &fd);
	if (ret < 0)
		return ret;
	ret = data_only ? hc_fdatasync(fd) : hc_fsync(fd);
	gfd_put(slot);
	return ret;
}

static int file_fallocate(struct file *f, int mode, uint64_t off, uint64_t len)
{
	struct inode *i = f->inode;
	uint64_t *slot;
	int fd, ret;

	ret = gfd_get(gnode_of(i), true, &slot, &fd);
	if (ret < 0)
		return ret;
	ret = hc_fallocate(fd, mode, off, len);
	gfd_put(slot);
	gnode_changed(i);
	return ret < 0 ? ret : gnode_refresh(i, true);
}

static ssize_t file_copy(struct file *in, uint64_t in_off, struct file *out, uint64_t out_off, uint64_t n)
{
	int64_t from = (int64_t)in_off, to = (int64_t)out_off;
	uint64_t *in_slot, *out_slot;
	int in_fd, out_fd;
	ssize_t ret;

	if (out->ops != &gofer_file_ops)
		return -EOPNOTSUPP;
	ret = gfd_get(gnode_of(in->inode), false, &in_slot, &in_fd);
	if (ret < 0)
		return ret;
	ret = gfd_get(gnode_of(out->inode), true, &out_slot, &out_fd);
	if (ret == 0) {
		ret = hc_copy_file_range(in_fd, &from, out_fd, &to, MIN(n, UIO_MAX_RW), 0);
		gfd_put(out_slot);
	}
	gfd_put(in_slot);
	if (ret == -EXDEV || ret == -EINVAL || ret == -ENOSYS)
		return -EOPNOTSUPP;
	if (ret > 0) {
		int err;

		gnode_changed(out->inode);
		err = gnode_refresh(out->inode, true);

		if (err < 0)
			return err;
	}
	return ret;
}

static int file_window(struct file *f, struct mappable **out)
{
	if (!f->inode->super->stable || FILE_CAN_WRITE(f))
		return -ENODEV;
	*out = &f->inode->map;
	return 0;
}

const struct file_ops gofer_file_ops = {
	.window = file_window,
	.read = file_read_at,
	.write = file_write_at,
	.seek = file_seek_at,
	.fsync = file_fsync,
	.fallocate = file_fallocate,
	.release = file_release,
	.copy_range = file_copy,
	.seekable = true,
};

/* ---- mapping: guest processes map the donated descriptor itself, so that the host's page cache is shared */

static struct inode *inode_of(struct mappable *m)
{
	return container_of(m, struct inode, map);
}

static int map_host_fd(struct mappable *m, uint64_t off, uint64_t size, bool for_write, int *out,
		       uint64_t *out_off)
{
	struct inode *i = inode_of(m);
	struct gnode *g = gnode_of(i);
	uint64_t *slot;
	int ret;

	(void)size;
	if (for_write && gofer_fs_of(i)->read_only)
		return -EACCES;
	__atomic_store_n(&g->fd_sticky, true, __ATOMIC_RELAXED);
	/* a process that may only read gets a descriptor that can only read */
	ret = for_write ? gfd_get(g, true, &slot, out) : gfd_get_readonly(g, &slot, out);
	if (ret < 0)
		return ret;
	gfd_put(slot); /* it stays: the caller holds the file open or mapped */
	*out_off = off;
	return 0;
}

static void map_get(struct mappable *m)
{
	struct inode *i = inode_of(m);

	inode_get(i);
	__atomic_add_fetch(&gnode_of(i)->map_refs, 1, __ATOMIC_ACQ_REL);
}

static void map_put(struct mappable *m)
{
	struct inode *i = inode_of(m);

	__atomic_sub_fetch(&gnode_of(i)->map_refs, 1, __ATOMIC_RELEASE);
	inode_put(i);
}

static void map_describe(struct mappable *m, uint64_t *dev, uint64_t *ino, char *buf, size_t size)
{
	struct inode *i = inode_of(m);

	*dev = i->super->dev;
	*ino = i->ino;
	ghandle_path(gnode_of(i)->h, buf, size);
}

static void map_mapped(struct mappable *m, int delta, bool shared_write)
{
	(void)delta;
	if (shared_write) /* the host changes the times */
		__atomic_store_n(&gnode_of(inode_of(m))->stale, true, __ATOMIC_RELAXED);
}

static int map_sync(struct mappable *m, uint64_t off, uint64_t size)
{
	struct gnode *g = gnode_of(inode_of(m));
	uint64_t *slot;
	int fd, ret;

	(void)off, (void)size;
	if (!gfd_get_any(g, &slot, &fd))
		return 0;
	ret = hc_fdatasync(fd);
	gfd_put(slot);
	return ret;
}

static uint64_t map_identity(struct mappable *m)
{
	return (uintptr_t)m;
}

const struct mappable_ops gofer_mappable_ops = {
	.host_fd = map_host_fd,
	.get = map_get,
	.put = map_put,
	.describe = map_describe,
	.mapped = map_mapped,
	.sync = map_sync,
	.identity = map_identity,
};
