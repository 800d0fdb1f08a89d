/* rw.c: one try of reading and writing, with positions and the marks that use leaves: access times, set-id
 * bits, events. */
#include "sentry/vfs/internal.h"

#define OFF_MAX INT64_MAX

static void accessed(struct file *f)
{
	struct inode *i = f->inode;

	if (inode_is_reg(i))
		touch_atime(&f->path, i, f->flags);
	fsnotify(f->path.dentry, i, LINUX_IN_ACCESS);
}

int vfs_iterate(struct file *f, struct dir_context *ctx)
{
	int ret = f->ops->iterate ? f->ops->iterate(f, ctx) : -ENOTDIR;

	if (ret == 0) {
		touch_atime(&f->path, f->inode, f->flags);
		fsnotify(f->path.dentry, f->inode, LINUX_IN_ACCESS | LINUX_IN_ISDIR);
	}
	return ret;
}

static ssize_t may_read(const struct file *f)
{
	if (!FILE_CAN_READ(f))
		return -EBADF;
	if (!f->ops->read)
		return inode_is_dir(f->inode) ? -EISDIR : -EINVAL;
	return 0;
}

ssize_t file_read(struct file *f, struct uio *dst)
{
	ssize_t n = may_read(f);

	if (n < 0)
		return n;
	if (f->ops->seekable) {
		uint64_t pos;

		mutex_lock(&f->pos_lock);
		pos = f->pos;
		n = f->ops->read(f, dst, &pos);
		f->pos = pos;
		mutex_unlock(&f->pos_lock);
	} else {
		n = f->ops->read(f, dst, NULL);
	}
	if (n > 0)
		accessed(f);
	return n;
}

ssize_t file_pread(struct file *f, struct uio *dst, uint64_t pos)
{
	ssize_t n = may_read(f);

	if (n < 0)
		return n;
	if (pos > OFF_MAX)
		return -EINVAL;
	if (!f->ops->seekable)
		return -ESPIPE;
	n = f->ops->read(f, dst, &pos);
	if (n > 0)
		accessed(f);
	return n;
}

static ssize_t may_write(const struct file *f)
{
	if (!FILE_CAN_WRITE(f))
		return -EBADF;
	return f->ops->write ? 0 : -EINVAL;
}

static ssize_t write_at(struct file *f, struct uio *src, uint64_t *pos)
{
	ssize_t n;

	if (inode_is_reg(f->inode)) {
		if (src->append || (f->flags & LINUX_O_APPEND)) {
			/* A start for the file system, which decides under its own lock. */
			src->append = true;
			if (pos)
				*pos = __atomic_load_n(&f->inode->size, __ATOMIC_ACQUIRE);
		}
		if (src->resid && (f->inode->mode & (S_ISUID | S_ISGID))) {
			n = file_remove_privs(f, src->cred ? src->cred : f->cred);
			if (n < 0)
				return n;
		}
	}
	if (inode_is_reg(f->inode)) {
		inode_change_begin(f->inode);
		n = f->ops->write(f, src, pos);
		inode_change_end(f->inode);
	} else {
		n = f->ops->write(f, src, pos);
	}
	if (n > 0)
		fsnotify(f->path.dentry, f->inode, LINUX_IN_MODIFY);
	return n;
}

ssize_t file_write(struct file *f, struct uio *src)
{
	ssize_t n = may_write(f);
	uint64_t pos;

	if (n < 0)
		return n;
	if (!f->ops->seekable)
		return write_at(f, src, NULL);
	mutex_lock(&f->pos_lock);
	pos = f->pos;
	n = write_at(f, src, &pos);
	if (n > 0)
		f->pos = pos;
	mutex_unlock(&f->pos_lock);
	return n;
}

ssize_t file_pwrite(struct file *f, struct uio *src, uint64_t pos)
{
	ssize_t n = may_write(f);

	if (n < 0)
		return n;
	if (pos > OFF_MAX)
		return -EINVAL;
	if (!f->ops->seekable)
		return -ESPIPE;
	return write_at(f, src, &pos);
}

ssize_t file_read_kernel(struct file *f, void *dst, size_t n, uint64_t pos)
{
	size_t done = 0;

	while (done < n) {
		struct uio u;
		ssize_t got;

		uio_init_kernel(&u, (char *)dst + done, n - done);
		got = file_pread(f, &u, pos + done);
		if (got < 0)
			return done ? (ssize_t)done : got;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

int file_truncate(struct file *f, uint64_t size)
{
	return file_truncate_as(f, size, f->cred);
}

int vfs_fallocate(struct file *f, int mode, uint64_t off, uint64_t len, const struct cred *cred)
{
	int ret = -EOPNOTSUPP;

	if (f->ops->fallocate) {
		inode_change_begin(f->inode);
		ret = f->ops->fallocate(f, mode, off, len);
		inode_change_end(f->inode);
	}
	if (ret == 0)
		ret = file_remove_privs(f, cred);
	if (ret == 0)
		fsnotify(f->path.dentry, f->inode, LINUX_IN_MODIFY);
	return ret;
}

int file_truncate_as(struct file *f, uint64_t size, const struct cred *cred)
{
	if (f->flags & LINUX_O_PATH)
		return -EBADF;
	if (!FILE_CAN_WRITE(f) || !inode_is_reg(f->inode) || size > OFF_MAX)
		return -EINVAL;
	return truncate_inode(f->path.dentry, f->inode, size, cred);
}

static ssize_t copy_checks(const struct file *in, uint64_t in_off, const struct file *out, uint64_t out_off,
			   uint64_t n)
{
	uint64_t end;

	if (!FILE_CAN_READ(in) || !FILE_CAN_WRITE(out) || (out->flags & LINUX_O_APPEND))
		return -EBADF;
	if (inode_is_dir(in->inode) || inode_is_dir(out->inode))
		return -EISDIR;
	if (!inode_is_reg(in->inode) || !inode_is_reg(out->inode) || !in->ops->read || !out->ops->write)
		return -EINVAL;
	if (add_overflows(in_off, n, &end) || end > OFF_MAX || add_overflows(out_off, n, &end) || end > OFF_MAX)
		return -EOVERFLOW;
	if (in->inode == out->inode && in_off < out_off + n && out_off < in_off + n)
		return -EINVAL;
	return 0;
}

static ssize_t copy_piece(struct file *in, uint64_t in_off, struct file *out, uint64_t out_off, void *buf,
			  size_t n)
{
	struct uio u;
	ssize_t got;

	uio_init_kernel(&u, buf, n);
	got = file_pread(in, &u, in_off);
	if (got <= 0)
		return got;
	uio_init_kernel(&u, buf, (uint64_t)got);
	return file_pwrite(out, &u, out_off);
}

ssize_t file_copy_range(struct file *in, uint64_t *in_off, struct file *out, uint64_t *out_off, uint64_t n)
{
	const size_t piece = 32 * 1024;
	uint64_t done = 0;
	ssize_t got = copy_checks(in, *in_off, out, *out_off, n);
	void *buf;

	if (got < 0 || n == 0)
		return got;
	n = MIN(n, UIO_MAX_RW);
	if (in->ops->copy_range && in->ops == out->ops) {
		inode_change_begin(out->inode);
		got = in->ops->copy_range(in, *in_off, out, *out_off, n);
		inode_change_end(out->inode);
		if (got != -EOPNOTSUPP) {
			if (got > 0) {
				*in_off += (uint64_t)got;
				*out_off += (uint64_t)got;
			}
			return got;
		}
	}
	buf = kmalloc(MIN(n, (uint64_t)piece));
	if (!buf)
		return -ENOMEM;
	while (done < n) {
		got = copy_piece(in, *in_off, out, *out_off, buf, MIN(n - done, (uint64_t)piece));
		if (got <= 0)
			break;
		*in_off += (uint64_t)got;
		*out_off += (uint64_t)got;
		done += (uint64_t)got;
	}
	kfree(buf);
	return done ? (ssize_t)done : got;
}
