/* file.c: open regular files. Each has an open file of the real inode behind it, and hands calls on. A file
 * opened for reading before its inode was copied up goes over to the upper one when it is next used. */
#include "sentry/fs/overlay/internal.h"

struct ovl_file {
	struct file *real;  /* [I] as opened */
	struct file *later; /* [a] of the upper inode; set once */
	bool upper;	    /* [I] real is of the upper */
};

static int open_later(struct file *f, struct ovl_file *of, struct inode *upper, struct file **out)
{
	struct file *r, *none = NULL;
	int ret = real_open(upper, f->flags, f->cred, &r);

	if (ret < 0)
		return ret;
	if (!__atomic_compare_exchange_n(&of->later, &none, r, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
		real_close(r);
		r = none;
	}
	*out = r;
	return 0;
}

/* The real file to use now; borrowed. */
static int real_of(struct file *f, struct file **out)
{
	struct ovl_file *of = f->priv;
	struct inode *upper;

	*out = of->real;
	if (LIKELY(of->upper))
		return 0;
	upper = ovl_upper(f->inode);
	if (LIKELY(!upper))
		return 0;
	*out = __atomic_load_n(&of->later, __ATOMIC_ACQUIRE);
	return *out ? 0 : open_later(f, of, upper, out);
}

static ssize_t file_read_at(struct file *f, struct uio *dst, uint64_t *pos)
{
	struct file *r;
	int ret = real_of(f, &r);

	if (ret < 0)
		return ret;
	return r->ops->read ? r->ops->read(r, dst, pos) : -EINVAL;
}

static ssize_t file_write_at(struct file *f, struct uio *src, uint64_t *pos)
{
	struct inode *i = f->inode;
	struct file *r;
	ssize_t n = real_of(f, &r);

	if (n < 0)
		return n;
	if (!r->ops->write)
		return -EINVAL;
	n = r->ops->write(r, src, pos);
	if (n > 0) { /* what others look at without asking */
		__atomic_store_n(&i->size, __atomic_load_n(&r->inode->size, __ATOMIC_RELAXED),
				 __ATOMIC_RELAXED);
		mutex_lock(&i->lock);
		i->mtime = i->ctime = vfs_now();
		mutex_unlock(&i->lock);
	}
	return n;
}

static int64_t file_ioctl(struct file *f, uint32_t cmd, uint64_t arg, const struct usermem *um,
			  const struct cred *cred)
{
	struct file *r;
	int ret = real_of(f, &r);

	if (ret < 0)
		return ret;
	return r->ops->ioctl ? r->ops->ioctl(r, cmd, arg, um, cred) : -ENOTTY;
}

static int64_t file_seek_at(struct file *f, int64_t off, int whence)
{
	struct kstat st;
	struct file *r;
	int ret = real_of(f, &r);

	if (ret < 0)
		return ret;
	switch (whence) {
	case LINUX_SEEK_SET:
		break;
	case LINUX_SEEK_CUR:
		if (__builtin_add_overflow(off, (int64_t)f->pos, &off))
			return -EOVERFLOW;
		break;
	case LINUX_SEEK_DATA:
	case LINUX_SEEK_HOLE:
		if (r->ops->seek)
			return r->ops->seek(r, off, whence);
		FALLTHROUGH;
	case LINUX_SEEK_END:
		ret = real_getattr(r->inode, &st);
		if (ret < 0)
			return ret;
		if (whence != LINUX_SEEK_END) {
			if (off < 0 || (uint64_t)off >= st.size)
				return -ENXIO;
			return whence == LINUX_SEEK_DATA ? off : (int64_t)st.size;
		}
		if (__builtin_add_overflow(off, (int64_t)st.size, &off))
			return -EOVERFLOW;
		break;
	default:
		return -EINVAL;
	}
	return off < 0 ? -EINVAL : off;
}

static int file_fsync(struct file *f, bool data_only)
{
	struct file *r;
	int ret = real_of(f, &r);

	if (ret < 0 || !ovl_upper(f->inode))
		return ret;
	return r->ops->fsync ? r->ops->fsync(r, data_only) : 0;
}

static int file_fallocate(struct file *f, int mode, uint64_t off, uint64_t len)
{
	struct file *r;
	int ret = real_of(f, &r);

	if (ret < 0)
		return ret;
	ret = r->ops->fallocate ? r->ops->fallocate(r, mode, off, len) : -EOPNOTSUPP;
	if (ret == 0)
		ovl_sync(f->inode);
	return ret;
}

/* The layer's own: a mapping made before a copy-up stays with the lower file, as on Linux. */
static int file_mappable_of(struct file *f, struct mappable **out)
{
	struct file *r;
	int ret = real_of(f, &r);

	if (ret < 0)
		return ret;
	if (ovl_upper(f->inode)) /* the host finds room for its pages without telling us */
		inode_set_unstable(f->inode);
	if (r->ops->mappable)
		return r->ops->mappable(r, out);
	if (!r->inode->map.ops)
		return -ENODEV;
	*out = &r->inode->map;
	return 0;
}

static int file_window(struct file *f, struct mappable **out)
{
	struct ovl_file *of = f->priv;
	struct file *r = of->real;

	if (of->upper || ovl_upper(f->inode) || !r->ops->window)
		return -ENODEV;
	return r->ops->window(r, out);
}

static int file_set_flags(struct file *f, uint32_t flags)
{
	struct file *r;
	int ret = real_of(f, &r);

	if (ret < 0)
		return ret;
	ret = r->ops->set_flags ? r->ops->set_flags(r, flags) : 0;
	if (ret == 0)
		__atomic_store_n(&r->flags, (r->flags & LINUX_O_ACCMODE) | (flags & ~(uint32_t)LINUX_O_ACCMODE),
				 __ATOMIC_RELAXED);
	return ret;
}

static ssize_t file_copy(struct file *in, uint64_t in_off, struct file *out, uint64_t out_off, uint64_t n)
{
	struct file *from, *to;
	ssize_t ret = real_of(in, &from);

	if (ret == 0)
		ret = real_of(out, &to);
	if (ret < 0)
		return ret;
	if (!from->ops->copy_range || from->ops != to->ops)
		return -EOPNOTSUPP;
	ret = from->ops->copy_range(from, in_off, to, out_off, n);
	if (ret > 0)
		ovl_sync(out->inode);
	return ret;
}

static void file_release(struct file *f)
{
	struct ovl_file *of = f->priv;

	real_close(of->real);
	real_close(of->later);
	kfree(of);
}

const struct file_ops ovl_file_ops = {
	.read = file_read_at,
	.write = file_write_at,
	.ioctl = file_ioctl,
	.seek = file_seek_at,
	.fsync = file_fsync,
	.fallocate = file_fallocate,
	.mappable = file_mappable_of,
	.window = file_window,
	.set_flags = file_set_flags,
	.copy_range = file_copy,
	.release = file_release,
	.seekable = true,
};

int ovl_file_open(struct inode *inode, struct file *f)
{
	struct ovl_file *of;
	struct inode *upper;
	int ret = 0;

	if (FILE_CAN_WRITE(f)) /* to be cut to nothing: then nothing needs copying */
		ret = ovl_copy_up(inode, f->flags & LINUX_O_TRUNC ? 0 : UINT64_MAX);
	if (ret < 0)
		return ret;
	of = kmalloc(sizeof(*of));
	if (!of)
		return -ENOMEM;
	upper = ovl_upper(inode);
	of->upper = upper;
	ret = real_open(upper ? upper : ovl_of(inode)->lowers[0], f->flags & ~(uint32_t)LINUX_O_TRUNC, f->cred,
			&of->real);
	if (ret < 0) {
		kfree(of);
		return ret;
	}
	f->priv = of;
	f->ops = &ovl_file_ops;
	return 0;
}
