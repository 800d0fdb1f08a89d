/* file.c: regular files: a memfile, made when the first byte is written or mapped. All under the inode's
 * lock, which user memory may be touched under. */
#include <string.h>

#include "sentry/fs/tmpfs/internal.h"

#define BOUNCE_SMALL   1024u
#define BOUNCE_LARGE   (32 * 1024u)
#define SIZE_MAX_TMPFS ((uint64_t)INT64_MAX & PAGE_MASK)
#define SEAL_WRITES    (LINUX_F_SEAL_WRITE | LINUX_F_SEAL_FUTURE_WRITE)

int tmpfs_data_locked(struct inode *i, struct memfile **out)
{
	struct tmpfs_node *n = tmpfs_node(i);
	struct memfile *m;
	int ret;

	if (!n->file.data) {
		ret = memfile_create(&m);
		if (ret == 0 && i->size)
			ret = memfile_truncate(m, i->size);
		if (ret < 0)
			return ret;
		__atomic_store_n(&n->file.data, m, __ATOMIC_RELEASE);
	}
	*out = n->file.data;
	return 0;
}

/* Books what the file now holds. */
static void account(struct inode *i)
{
	struct tmpfs_node *n = tmpfs_node(i);
	uint64_t blocks = n->file.data ? memfile_allocated(n->file.data) / PAGE_SIZE : 0;

	if (blocks != n->file.blocks) {
		__atomic_add_fetch(&tmpfs_of(i)->used_blocks, blocks - n->file.blocks, __ATOMIC_RELAXED);
		n->file.blocks = blocks;
	}
}

/* Is there room for [off, off + len)? Pages that are there already need none. */
static int room_for(struct inode *i, uint64_t off, uint64_t len)
{
	struct tmpfs *t = tmpfs_of(i);
	uint64_t max = __atomic_load_n(&t->max_blocks, __ATOMIC_RELAXED), first, last, need;
	const struct memfile *m = tmpfs_node(i)->file.data;

	if (!max || !len)
		return 0;
	first = off / PAGE_SIZE;
	last = (off + len - 1) / PAGE_SIZE;
	need = last - first + 1;
	if (__atomic_load_n(&t->used_blocks, __ATOMIC_RELAXED) + need <= max)
		return 0;
	/* near the limit: count the holes */
	for (uint64_t p = first; m && p <= last; p++) {
		uint64_t at = p * PAGE_SIZE;

		if (at >= i->size)
			break;
		if (memfile_seek(tmpfs_node(i)->file.data, at, true) == (int64_t)at)
			need--;
	}
	return __atomic_load_n(&t->used_blocks, __ATOMIC_RELAXED) + need <= max ? 0 : -ENOSPC;
}

/* One stretch of dst from off: straight out of the page, or through buf. */
static ssize_t read_piece(struct memfile *m, struct uio *dst, uint64_t off, size_t n, char **buf)
{
	size_t avail;
	const void *p = memfile_peek(m, off, &avail);
	ssize_t got;

	if (p)
		return uio_put(dst, p, MIN(n, avail));
	if (!*buf)
		*buf = kmalloc(BOUNCE_LARGE);
	if (!*buf)
		return -ENOMEM;
	got = memfile_read(m, *buf, MIN(n, (size_t)BOUNCE_LARGE), off);
	return got > 0 ? uio_put(dst, *buf, (size_t)got) : got;
}

static ssize_t tmpfs_read(struct file *f, struct uio *dst, uint64_t *pos)
{
	struct inode *i = f->inode;
	struct memfile *m;
	uint64_t off = *pos;
	char *buf = NULL;
	ssize_t done = 0, got = 0;

	mutex_lock(&i->lock);
	m = tmpfs_node(i)->file.data;
	while (dst->resid && off < i->size) {
		size_t n = MIN(dst->resid, i->size - off);

		got = m ? read_piece(m, dst, off, n, &buf) : uio_put_zeros(dst, n);
		if (got <= 0)
			break;
		off += (uint64_t)got;
		done += got;
	}
	mutex_unlock(&i->lock);
	kfree(buf);
	*pos = off;
	return done ? done : got;
}

static int may_grow(const struct inode *i, uint64_t end)
{
	return end > i->size && (tmpfs_node(i)->file.seals & LINUX_F_SEAL_GROW) ? -EPERM : 0;
}

/* The part of src that fits into buf, at off. */
static ssize_t write_piece(struct inode *i, struct memfile *m, struct uio *src, uint64_t off, void *buf,
			   size_t size)
{
	struct uio saved = *src;
	ssize_t n = uio_get(src, buf, size), done;
	int ret;

	if (n <= 0)
		return n;
	ret = room_for(i, off, (uint64_t)n);
	done = ret < 0 ? ret : memfile_write(m, buf, (size_t)n, off);
	if (done < n) { /* what wasn't written stays in src */
		*src = saved;
		if (done > 0)
			uio_skip(src, (size_t)done);
	}
	if (done > 0) {
		account(i);
		if (off + (uint64_t)done > i->size)
			__atomic_store_n(&i->size, off + (uint64_t)done, __ATOMIC_RELEASE);
	}
	return done;
}

static ssize_t write_locked(struct inode *i, struct uio *src, uint64_t *pos, void *buf, size_t size)
{
	struct memfile *m;
	ssize_t done = 0, got;
	int ret = tmpfs_data_locked(i, &m);

	if (ret < 0)
		return ret;
	do {
		got = write_piece(i, m, src, *pos, buf, size);
		if (got <= 0)
			break;
		*pos += (uint64_t)got;
		done += got;
	} while (src->resid);
	if (done)
		inode_touch(i, false, true, true);
	return done ? done : got;
}

static ssize_t tmpfs_write(struct file *f, struct uio *src, uint64_t *pos)
{
	struct inode *i = f->inode;
	char small[BOUNCE_SMALL], *buf = small;
	size_t size = sizeof(small);
	ssize_t ret = 0;

	if (src->resid == 0)
		return 0;
	if (src->resid > sizeof(small)) {
		size = MIN(src->resid, (uint64_t)BOUNCE_LARGE);
		buf = kmalloc(size);
		if (!buf)
			return -ENOMEM;
	}
	mutex_lock(&i->lock);
	if (src->append)
		*pos = i->size;
	if (*pos >= SIZE_MAX_TMPFS || SIZE_MAX_TMPFS - *pos < src->resid)
		ret = -EFBIG;
	else if (tmpfs_node(i)->file.seals & SEAL_WRITES)
		ret = -EPERM;
	else
		ret = may_grow(i, *pos + src->resid);
	if (ret == 0)
		ret = write_locked(i, src, pos, buf, size);
	mutex_unlock(&i->lock);
	if (buf != small)
		kfree(buf);
	return ret;
}

int tmpfs_set_size(struct inode *i, uint64_t size)
{
	struct tmpfs_node *n = tmpfs_node(i);
	int ret;

	if (size > SIZE_MAX_TMPFS)
		return -EFBIG;
	if (size < i->size && (n->file.seals & LINUX_F_SEAL_SHRINK))
		return -EPERM;
	ret = may_grow(i, size);
	if (ret == 0 && n->file.data && size == i->size) /* what fallocate left behind the end goes */
		ret = memfile_punch(n->file.data, ROUND_UP(size, PAGE_SIZE), INT64_MAX);
	else if (ret == 0 && n->file.data)
		ret = memfile_truncate(n->file.data, size);
	if (ret < 0)
		return ret;
	__atomic_store_n(&i->size, size, __ATOMIC_RELEASE);
	account(i);
	inode_touch(i, false, true, true);
	return 0;
}

int tmpfs_setattr(struct inode *i, const struct iattr *a, const struct cred *cred)
{
	const uint32_t fields = a->valid & ~(uint32_t)(ATTR_SIZE | ATTR_FORCE);
	int ret;

	(void)cred;
	if ((a->valid & ATTR_MODE) && (tmpfs_node(i)->file.seals & 0x20 /* F_SEAL_EXEC */) &&
	    ((i->mode ^ a->mode) & 0111))
		return -EPERM;
	if (a->valid & ATTR_SIZE) {
		ret = tmpfs_set_size(i, a->size);
		if (ret < 0)
			return ret;
	}
	if (fields)
		inode_set_fields(i, a);
	return 0;
}

static int punch(struct inode *i, uint64_t off, uint64_t len)
{
	struct tmpfs_node *n = tmpfs_node(i);
	int ret = 0;

	if (n->file.seals & SEAL_WRITES)
		return -EPERM;
	if (n->file.data)
		ret = memfile_punch(n->file.data, off, len);
	return ret;
}

static int preallocate(struct inode *i, uint64_t off, uint64_t len, bool keep_size)
{
	struct memfile *m;
	int ret;

	if (off + len > SIZE_MAX_TMPFS)
		return -EFBIG;
	ret = may_grow(i, off + len);
	if (ret == 0)
		ret = room_for(i, off, len);
	if (ret == 0)
		ret = tmpfs_data_locked(i, &m);
	if (ret == 0)
		ret = memfile_allocate(m, off, len, keep_size);
	if (ret == 0 && !keep_size && off + len > i->size)
		__atomic_store_n(&i->size, off + len, __ATOMIC_RELEASE);
	return ret;
}

static int tmpfs_fallocate(struct file *f, int mode, uint64_t off, uint64_t len)
{
	struct inode *i = f->inode;
	int ret;

	if (mode & ~(LINUX_FALLOC_FL_KEEP_SIZE | LINUX_FALLOC_FL_PUNCH_HOLE))
		return -EOPNOTSUPP;
	mutex_lock(&i->lock);
	if (mode & LINUX_FALLOC_FL_PUNCH_HOLE)
		ret = mode & LINUX_FALLOC_FL_KEEP_SIZE ? punch(i, off, len) : -EOPNOTSUPP;
	else
		ret = preallocate(i, off, len, mode & LINUX_FALLOC_FL_KEEP_SIZE);
	account(i);
	if (ret == 0)
		inode_touch(i, false, true, true);
	mutex_unlock(&i->lock);
	return ret;
}

static int64_t tmpfs_seek(struct file *f, int64_t off, int whence)
{
	struct inode *i = f->inode;
	int64_t ret;

	if (whence != LINUX_SEEK_DATA && whence != LINUX_SEEK_HOLE)
		return file_default_seek(f, off, whence);
	mutex_lock(&i->lock);
	if (off < 0 || (uint64_t)off >= i->size)
		ret = -ENXIO;
	else if (!tmpfs_node(i)->file.data) /* one hole */
		ret = whence == LINUX_SEEK_HOLE ? off : -ENXIO;
	else
		ret = memfile_seek(tmpfs_node(i)->file.data, (uint64_t)off, whence == LINUX_SEEK_DATA);
	mutex_unlock(&i->lock);
	return ret;
}

static struct inode *mapped_inode(struct mappable *m)
{
	return container_of(m, struct inode, map);
}

static int map_host_fd(struct mappable *mp, uint64_t off, uint64_t size, bool for_write, int *fd,
		       uint64_t *fd_off)
{
	struct inode *i = mapped_inode(mp);
	struct memfile *m;
	int ret = 0;

	(void)size;
	inode_set_unstable(i); /* its pages get memory, and it gets blocks, when they are touched */
	mutex_lock(&i->lock);
	if (for_write && (tmpfs_node(i)->file.seals & SEAL_WRITES))
		ret = -EPERM;
	if (ret == 0)
		ret = tmpfs_data_locked(i, &m);
	if (ret == 0)
		ret = memfile_host_fd(m, for_write, fd);
	mutex_unlock(&i->lock);
	*fd_off = off;
	return ret;
}

static void map_get(struct mappable *m)
{
	inode_get(mapped_inode(m));
}

static void map_put(struct mappable *m)
{
	inode_put(mapped_inode(m));
}

static void map_describe(struct mappable *m, uint64_t *dev, uint64_t *ino, char *buf, size_t size)
{
	struct inode *i = mapped_inode(m);

	*dev = i->super->dev;
	*ino = i->ino;
	vfs_inode_name(i, buf, size);
}

static void map_mapped(struct mappable *m, int delta, bool shared_write)
{
	if (shared_write)
		__atomic_add_fetch(&tmpfs_node(mapped_inode(m))->file.shared_writes, (uint32_t)delta,
				   __ATOMIC_ACQ_REL);
}

static uint64_t map_identity(struct mappable *m)
{
	return (uint64_t)(uintptr_t)mapped_inode(m);
}

const struct mappable_ops tmpfs_mappable_ops = {
	.host_fd = map_host_fd,
	.get = map_get,
	.put = map_put,
	.describe = map_describe,
	.mapped = map_mapped,
	.identity = map_identity,
};

const struct inode_ops tmpfs_file_iops = {
	.getattr = tmpfs_getattr,
	.setattr = tmpfs_setattr,
	.getxattr = tmpfs_getxattr,
	.setxattr = tmpfs_setxattr,
	.listxattr = tmpfs_listxattr,
	.removexattr = tmpfs_removexattr,
	.destroy = tmpfs_destroy,
};

const struct file_ops tmpfs_file_fops = {
	.read = tmpfs_read,
	.write = tmpfs_write,
	.seek = tmpfs_seek,
	.fallocate = tmpfs_fallocate,
	.seekable = true,
};
