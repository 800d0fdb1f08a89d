/* real.c: operations on the inodes of the layers. They are called as the vfs would call them: with the locks
 * that vfs.h asks for, by nobody in particular (permission was checked on the overlay's inode). */
#include "sentry/fs/overlay/internal.h"

void real_adopt(struct inode *i)
{
	/* only a label: which lock is inside which is the same either way */
	__atomic_store_n(&i->lock.rank, (uint16_t)RANK_INODE_LOWER, __ATOMIC_RELAXED);
}

int real_lookup_locked(struct inode *dir, const char *name, size_t len, struct inode **out)
{
	int ret = dir->ops->lookup ? dir->ops->lookup(dir, name, len, out) : -ENOTDIR;

	if (ret == 0)
		real_adopt(*out);
	return ret;
}

int real_lookup(struct inode *dir, const char *name, size_t len, struct inode **out)
{
	int ret;

	mutex_lock_nested(&dir->lock);
	ret = real_lookup_locked(dir, name, len, out);
	mutex_unlock(&dir->lock);
	return ret;
}

static int default_setattr(struct inode *i, const struct iattr *a)
{
	if (a->valid & ATTR_SIZE)
		return -EINVAL;
	if (a->valid & ATTR_MODE)
		i->mode = (i->mode & LINUX_S_IFMT) | (a->mode & 07777);
	if (a->valid & ATTR_UID)
		i->uid = a->uid;
	if (a->valid & ATTR_GID)
		i->gid = a->gid;
	if (a->valid & ATTR_ATIME)
		i->atime = a->atime;
	if (a->valid & ATTR_MTIME)
		i->mtime = a->mtime;
	inode_touch(i, a->valid & ATTR_ATIME_NOW, a->valid & ATTR_MTIME_NOW, true);
	return 0;
}

int real_setattr(struct inode *i, const struct iattr *a, const struct cred *cred)
{
	int ret;

	mutex_lock_nested(&i->lock);
	ret = i->ops->setattr ? i->ops->setattr(i, a, cred) : default_setattr(i, a);
	mutex_unlock(&i->lock);
	return ret;
}

int real_getattr(struct inode *i, struct kstat *out)
{
	if (i->ops->getattr)
		return i->ops->getattr(i, LINUX_STATX_BASIC_STATS | LINUX_STATX_BTIME, out);
	inode_fill_kstat(i, out);
	return 0;
}

ssize_t real_getxattr(struct inode *i, const char *name, void *buf, size_t size)
{
	ssize_t ret;

	if (!i->ops->getxattr)
		return -EOPNOTSUPP;
	mutex_lock_nested(&i->lock);
	ret = i->ops->getxattr(i, name, buf, size);
	mutex_unlock(&i->lock);
	return ret;
}

ssize_t real_listxattr(struct inode *i, char *buf, size_t size)
{
	ssize_t ret;

	if (!i->ops->listxattr)
		return 0;
	mutex_lock_nested(&i->lock);
	ret = i->ops->listxattr(i, buf, size);
	mutex_unlock(&i->lock);
	return ret;
}

int real_setxattr(struct inode *i, const char *name, const void *buf, size_t size, int flags)
{
	int ret;

	if (!i->ops->setxattr)
		return -EOPNOTSUPP;
	mutex_lock_nested(&i->lock);
	ret = i->ops->setxattr(i, name, buf, size, flags);
	mutex_unlock(&i->lock);
	return ret;
}

ssize_t real_readlink(struct inode *i, char *buf, size_t size)
{
	const char *link = __atomic_load_n(&i->link, __ATOMIC_ACQUIRE);
	size_t n;

	if (!link)
		return i->ops->readlink ? i->ops->readlink(i, buf, size) : -EINVAL;
	n = MIN(strlen(link), size);
	memcpy(buf, link, n);
	return (ssize_t)n;
}

int real_open(struct inode *i, uint32_t flags, const struct cred *cred, struct file **out)
{
	struct file *f = kmalloc(sizeof(*f));
	int ret = 0;

	if (!f)
		return -ENOMEM;
	refs_init(&f->refs);
	f->inode = inode_get(i);
	f->cred = cred_get((struct cred *)(uintptr_t)cred);
	f->flags = flags;
	mutex_init(&f->pos_lock, RANK_FILE_POS);
	list_init(&f->epolls);
	f->ops = i->fops;
	if (i->ops->open)
		ret = i->ops->open(i, f);
	if (ret == 0 && !f->ops)
		ret = -ENXIO;
	if (ret < 0) {
		f->ops = NULL;
		real_close(f);
		return ret;
	}
	*out = f;
	return 0;
}

void real_close(struct file *f)
{
	if (!f)
		return;
	if (f->ops && f->ops->release)
		f->ops->release(f);
	inode_put(f->inode);
	cred_put(f->cred);
	kfree(f);
}

static bool is_yes(struct inode *dir, const char *name)
{
	char value[2];

	return real_getxattr(dir, name, value, sizeof(value)) == 1 && value[0] == 'y';
}

bool real_is_opaque(struct inode *dir)
{
	return is_yes(dir, OVL_OPAQUE) || is_yes(dir, OVL_OPAQUE_USER);
}

int real_set_opaque(struct inode *dir)
{
	int ret = real_setxattr(dir, OVL_OPAQUE, "y", 1, 0);

	if (ret == -EOPNOTSUPP || ret == -EPERM)
		ret = real_setxattr(dir, OVL_OPAQUE_USER, "y", 1, 0);
	return ret;
}

int real_whiteout_locked(struct ovl_fs *fs, struct inode *dir, const char *name, size_t len)
{
	struct inode *i;
	int ret;

	if (!dir->ops->mknod)
		return -EPERM;
	ret = dir->ops->mknod(dir, name, len, LINUX_S_IFCHR, 0, fs->cred, &i);
	if (ret == 0)
		inode_put(i);
	return ret;
}
