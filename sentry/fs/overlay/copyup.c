/* copyup.c: before a file of a lower layer changes, it gets an upper inode: its directories first, then data,
 * attributes and extended attributes. A regular file is copied into one without a name, which then gets its
 * name at once: nobody sees half a copy, and a file whose name was removed can be copied up too. */
#include "sentry/fs/overlay/internal.h"

/* ---- contents */

/* The next offset with data, at or behind off; the size when there is none. */
static uint64_t next_data(struct file *f, uint64_t off, uint64_t size)
{
	int64_t next;

	if (!f->ops->seek)
		return off;
	next = f->ops->seek(f, (int64_t)off, LINUX_SEEK_DATA);
	if (next == -ENXIO)
		return size;
	return next < (int64_t)off ? off : (uint64_t)next;
}

static int copy_piece(struct file *from, struct file *to, void *buf, uint64_t *off, uint64_t end)
{
	uint64_t pos = *off;
	struct uio u;
	ssize_t n, put;

	uio_init_kernel(&u, buf, MIN(end - pos, OVL_BUF_SIZE));
	n = from->ops->read(from, &u, &pos);
	if (n <= 0)
		return n < 0 ? (int)n : 1; /* shorter than it said: done */
	for (ssize_t done = 0; done < n; done += put) {
		pos = *off;
		uio_init_kernel(&u, (char *)buf + done, (uint64_t)(n - done));
		put = to->ops->write(to, &u, &pos);
		if (put <= 0)
			return put < 0 ? (int)put : -EIO;
		*off += (uint64_t)put;
	}
	return 0;
}

static int copy_open_files(struct ovl_fs *fs, struct file *from, struct inode *up, struct file *to,
			   uint64_t size)
{
	struct iattr a = {.valid = ATTR_SIZE | ATTR_FORCE, .size = size};
	void *buf = kalloc_pages(OVL_BUF_SIZE / PAGE_SIZE);
	uint64_t off = next_data(from, 0, size);
	int ret = buf ? 0 : -ENOMEM;

	while (ret == 0 && off < size) {
		ret = copy_piece(from, to, buf, &off, size);
		if (ret == 0)
			off = next_data(from, off, size);
	}
	kfree(buf);
	if (ret < 0)
		return ret;
	/* a hole at the end */
	return off != size || off == 0 || up->size != size ? real_setattr(up, &a, fs->cred) : 0;
}

static int copy_data(struct ovl_fs *fs, struct inode *low, struct inode *up, uint64_t limit)
{
	struct file *from, *to;
	struct kstat st;
	int ret = real_getattr(low, &st);

	if (ret < 0)
		return ret;
	st.size = MIN(st.size, limit);
	if (st.size == 0)
		return 0;
	ret = real_open(low, LINUX_O_RDONLY, fs->cred, &from);
	if (ret < 0)
		return ret;
	ret = real_open(up, LINUX_O_RDWR, fs->cred, &to);
	if (ret == 0) {
		if (!from->ops->read || !to->ops->write)
			ret = -EIO;
		else
			ret = copy_open_files(fs, from, up, to, st.size);
		real_close(to);
	}
	real_close(from);
	return ret;
}

/* ---- attributes */

static bool is_private(const char *name)
{
	return strncmp(name, "trusted.overlay.", 16) == 0 || strncmp(name, "user.overlay.", 13) == 0;
}

static int copy_one_xattr(struct inode *low, struct inode *up, const char *name)
{
	ssize_t n = real_getxattr(low, name, NULL, 0);
	void *value;
	int ret;

	if (n < 0)
		return n == -ENODATA ? 0 : (int)n;
	value = kmalloc((size_t)n + 1);
	if (!value)
		return -ENOMEM;
	n = real_getxattr(low, name, value, (size_t)n + 1);
	ret = n < 0 ? (int)n : real_setxattr(up, name, value, (size_t)n, 0);
	kfree(value);
	return ret == -EOPNOTSUPP || ret == -EPERM ? 0 : ret;
}

static int copy_xattrs(struct inode *low, struct inode *up)
{
	ssize_t n = real_listxattr(low, NULL, 0);
	char *names;
	int ret = 0;

	if (n <= 0)
		return 0; /* none, or none to be had */
	names = kmalloc((size_t)n + 1);
	if (!names)
		return -ENOMEM;
	n = real_listxattr(low, names, (size_t)n);
	for (ssize_t off = 0; ret == 0 && off < n; off += (ssize_t)strlen(names + off) + 1)
		if (names[off] && !is_private(names + off))
			ret = copy_one_xattr(low, up, names + off);
	kfree(names);
	return ret;
}

static int copy_attributes(struct ovl_fs *fs, struct inode *low, struct inode *up)
{
	struct kstat st;
	struct iattr a = {.valid = ATTR_UID | ATTR_GID | ATTR_FORCE};
	int ret = real_getattr(low, &st);

	if (ret == 0)
		ret = copy_xattrs(low, up);
	if (ret < 0)
		return ret;
	a.uid = st.uid;
	a.gid = st.gid;
	ret = real_setattr(up, &a, fs->cred);
	if (ret < 0)
		return ret;
	a.valid = ATTR_ATIME | ATTR_MTIME | ATTR_FORCE;
	if (!inode_is(up, LINUX_S_IFLNK)) /* after the owner, which drops set-id bits */
		a.valid |= ATTR_MODE;
	a.mode = st.mode & 07777;
	a.atime = st.atime;
	a.mtime = st.mtime;
	return real_setattr(up, &a, fs->cred);
}

/* ---- one inode */

struct spot {
	struct inode *dir; /* upper directory */
	const char *name;
	size_t len;
};

/* Where i's upper inode goes; dir NULL: it has no name any more. fs lock held. */
static int spot_locked(struct inode *i, struct spot *s)
{
	struct ovl_inode *oi = ovl_of(i);

	*s = (struct spot){0};
	if (oi->nameless || !oi->parent)
		return 0;
	s->dir = ovl_upper(oi->parent);
	s->name = oi->name;
	s->len = oi->name_len;
	return s->dir ? 0 : -EAGAIN; /* its directory first */
}

static int make_special_locked(struct ovl_fs *fs, const struct spot *s, struct inode *low, struct inode **out)
{
	char *target;
	ssize_t n;
	int ret;

	switch (low->mode & LINUX_S_IFMT) {
	case LINUX_S_IFDIR:
		if (!s->dir->ops->mkdir)
			return -EPERM;
		return s->dir->ops->mkdir(s->dir, s->name, s->len, LINUX_S_IFDIR | 0700, fs->cred, out);
	case LINUX_S_IFLNK:
		target = kmalloc(VFS_PATH_MAX + 1);
		if (!target)
			return -ENOMEM;
		n = real_readlink(low, target, VFS_PATH_MAX);
		ret = n < 0 ? (int)n
		      : s->dir->ops->symlink
			      ? s->dir->ops->symlink(s->dir, s->name, s->len, target, fs->cred, out)
			      : -EPERM;
		kfree(target);
		return ret;
	default:
		if (!s->dir->ops->mknod)
			return -EPERM;
		return s->dir->ops->mknod(s->dir, s->name, s->len, (low->mode & LINUX_S_IFMT) | 0600, low->rdev,
					  fs->cred, out);
	}
}

static void remove_half(const struct spot *s, struct inode *up)
{
	mutex_lock_nested(&s->dir->lock);
	if (inode_is(up, LINUX_S_IFDIR))
		(void)!s->dir->ops->rmdir(s->dir, s->name, s->len, up);
	else
		(void)!s->dir->ops->unlink(s->dir, s->name, s->len, up);
	mutex_unlock(&s->dir->lock);
}

/* Made in its place with the fs lock held, so that nobody looks meanwhile. */
static int copy_in_place(struct ovl_fs *fs, struct inode *i, uint64_t limit)
{
	struct inode *low = ovl_of(i)->lowers[0], *up;
	struct spot s;
	int ret;

	mutex_lock(&fs->lock);
	ret = spot_locked(i, &s);
	if (ret == 0 && !s.dir)
		ret = -ESTALE; /* removed, and not a regular file: nothing to write to */
	if (ret < 0)
		goto out;
	mutex_lock_nested(&s.dir->lock);
	ret = make_special_locked(fs, &s, low, &up);
	mutex_unlock(&s.dir->lock);
	if (ret < 0)
		goto out;
	real_adopt(up);
	ret = inode_is(low, LINUX_S_IFREG) ? copy_data(fs, low, up, limit) : 0;
	if (ret == 0)
		ret = copy_attributes(fs, low, up);
	if (ret == 0) {
		ovl_set_upper_locked(i, up);
		ovl_pin_locked(i);
	} else {
		remove_half(&s, up);
		inode_put(up);
	}
out:
	mutex_unlock(&fs->lock);
	return ret;
}

static int tmpfile(struct ovl_fs *fs, struct inode **out)
{
	int ret;

	if (!fs->upper->ops->tmpfile || !fs->upper->ops->link)
		return -EOPNOTSUPP;
	mutex_lock_nested(&fs->upper->lock);
	ret = fs->upper->ops->tmpfile(fs->upper, LINUX_S_IFREG | 0600, fs->cred, out);
	mutex_unlock(&fs->upper->lock);
	if (ret == 0) {
		real_adopt(*out);
		(*out)->linkable = true;
	}
	return ret;
}

static int give_name(struct ovl_fs *fs, struct inode *i, struct inode *up)
{
	struct spot s;
	int ret;

	mutex_lock(&fs->lock);
	ret = spot_locked(i, &s);
	if (ret == 0 && s.dir) {
		mutex_lock_nested(&s.dir->lock);
		ret = s.dir->ops->link(s.dir, s.name, s.len, up);
		mutex_unlock(&s.dir->lock);
	}
	if (ret == 0) {
		ovl_set_upper_locked(i, up);
		if (__atomic_load_n(&i->nlink, __ATOMIC_RELAXED))
			ovl_pin_locked(i);
	}
	mutex_unlock(&fs->lock);
	return ret;
}

static int copy_regular(struct ovl_fs *fs, struct inode *i, uint64_t limit)
{
	struct inode *low = ovl_of(i)->lowers[0], *up;
	int ret = tmpfile(fs, &up);

	if (ret == -EOPNOTSUPP)
		return copy_in_place(fs, i, limit);
	if (ret < 0)
		return ret;
	ret = copy_data(fs, low, up, limit);
	if (ret == 0)
		ret = copy_attributes(fs, low, up);
	if (ret == 0)
		ret = give_name(fs, i, up);
	if (ret < 0)
		inode_put(up);
	return ret;
}

/* i's directory is up, or i has no name. */
static int copy_one(struct ovl_fs *fs, struct inode *i, uint64_t limit)
{
	struct ovl_inode *oi = ovl_of(i);
	int ret = 0;

	mutex_lock_nested(&oi->copy_lock);
	if (!ovl_upper(i))
		ret = inode_is(i, LINUX_S_IFREG) ? copy_regular(fs, i, limit) : copy_in_place(fs, i, limit);
	mutex_unlock(&oi->copy_lock);
	return ret;
}

/* The topmost directory above i that isn't up, or i itself; with a reference. */
static struct inode *first_missing(struct ovl_fs *fs, struct inode *i)
{
	mutex_lock(&fs->lock);
	while (!ovl_of(i)->nameless && ovl_of(i)->parent && !ovl_upper(ovl_of(i)->parent))
		i = ovl_of(i)->parent;
	inode_get(i);
	mutex_unlock(&fs->lock);
	return i;
}

int ovl_copy_up(struct inode *i, uint64_t limit)
{
	struct ovl_fs *fs = ovl_fs_of(i);

	if (LIKELY(ovl_upper(i)))
		return 0;
	if (!fs->upper)
		return -EROFS;
	while (!ovl_upper(i)) {
		struct inode *x = first_missing(fs, i);
		int ret;

		inode_change_begin(x);
		ret = copy_one(fs, x, x == i ? limit : UINT64_MAX);
		inode_change_end(x);
		inode_put(x);
		if (ret < 0 && ret != -EAGAIN)
			return ret;
	}
	return 0;
}
