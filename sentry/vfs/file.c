/* file.c: open file descriptions: their life and what they answer beyond reading and writing. */
#include "sentry/vfs/internal.h"

static uint32_t path_ready(struct file *f)
{
	(void)f;
	return EV_NVAL;
}

/* O_PATH: a place, not an open file. */
const struct file_ops path_file_ops = {
	.ready = path_ready,
};

int file_alloc(const struct path *p, struct inode *inode, uint32_t flags, const struct cred *cred,
	       struct file **out)
{
	struct file *f = kmalloc(sizeof(*f));

	if (!f)
		return -ENOMEM;
	refs_init(&f->refs);
	f->path = *p;
	path_get(p);
	f->inode = inode_get(inode);
	f->cred = cred_get((struct cred *)(uintptr_t)cred);
	f->flags = flags;
	mutex_init(&f->pos_lock, RANK_FILE_POS);
	list_init(&f->epolls);
	*out = f;
	return 0;
}

void file_free(struct file *f)
{
	if (f->write_mount)
		__atomic_sub_fetch(&f->write_mount->writers, 1, __ATOMIC_SEQ_CST);
	if (f->claims_inode)
		inode_put_write(f->inode);
	inode_put(f->inode);
	path_put(&f->path);
	cred_put(f->cred);
	kfree(f);
}

static void file_close_events(struct file *f)
{
	uint32_t mask = FILE_CAN_WRITE(f) ? LINUX_IN_CLOSE_WRITE : LINUX_IN_CLOSE_NOWRITE;

	if (inode_is_dir(f->inode))
		mask |= LINUX_IN_ISDIR;
	fsnotify(f->path.dentry, f->inode, mask);
}

void file_put(struct file *f)
{
	if (!refs_put(&f->refs))
		return;
	if (!list_empty(&f->epolls))
		epoll_forget_file(f);
	if (UNLIKELY(f->fasync))
		f->fasync->release(f);
	if (!(f->flags & LINUX_O_PATH)) {
		file_close_events(f);
		if (f->inode->flocks)
			flock_file_closed(f);
		if (f->ops->release)
			f->ops->release(f);
	}
	file_free(f);
}

static int64_t file_size(struct file *f, uint64_t *size)
{
	struct inode *i = f->inode;
	struct kstat st;
	int ret;

	if (!i->ops || !i->ops->getattr) {
		*size = __atomic_load_n(&i->size, __ATOMIC_ACQUIRE);
		return 0;
	}
	ret = i->ops->getattr(i, LINUX_STATX_SIZE, &st);
	*size = ret < 0 ? 0 : st.size;
	return ret;
}

int64_t file_default_seek(struct file *f, int64_t off, int whence)
{
	int64_t base = 0, to;
	uint64_t size = 0;
	int64_t ret;

	if (whence == LINUX_SEEK_END || whence == LINUX_SEEK_DATA || whence == LINUX_SEEK_HOLE) {
		if (inode_is_dir(f->inode) && whence != LINUX_SEEK_END)
			return -EINVAL;
		ret = file_size(f, &size);
		if (ret < 0)
			return ret;
	}
	switch (whence) {
	case LINUX_SEEK_SET:
		break;
	case LINUX_SEEK_CUR:
		base = (int64_t)f->pos;
		break;
	case LINUX_SEEK_END:
		base = (int64_t)size;
		break;
	case LINUX_SEEK_DATA:
	case LINUX_SEEK_HOLE:
		if (off < 0 || (uint64_t)off >= size)
			return -ENXIO;
		if (whence == LINUX_SEEK_HOLE)
			off = (int64_t)size;
		break;
	default:
		return -EINVAL;
	}
	if (add_overflows(base, off, &to))
		return off > 0 ? -EOVERFLOW : -EINVAL;
	return to < 0 ? -EINVAL : to;
}

int64_t file_seek(struct file *f, int64_t off, int whence)
{
	int64_t ret;

	if (f->flags & LINUX_O_PATH)
		return -EBADF;
	if (whence < LINUX_SEEK_SET || whence > LINUX_SEEK_HOLE)
		return -EINVAL;
	if (!f->ops->seekable && !f->ops->seek)
		return -ESPIPE;
	mutex_lock(&f->pos_lock);
	ret = f->ops->seek ? f->ops->seek(f, off, whence) : file_default_seek(f, off, whence);
	if (ret >= 0)
		f->pos = (uint64_t)ret;
	mutex_unlock(&f->pos_lock);
	return ret;
}

int file_mappable(struct file *f, struct mappable **out)
{
	if (f->flags & LINUX_O_PATH)
		return -EBADF;
	if (f->ops->mappable)
		return f->ops->mappable(f, out);
	if (!f->inode->map.ops)
		return -ENODEV;
	*out = &f->inode->map;
	return 0;
}
