/* remove.c: unlink and rmdir. */
#include "sentry/vfs/internal.h"

/* With the directory locked. d: the entry, positive. */
static int unlink_locked(const struct walk *w, struct dentry *d)
{
	struct dentry *dir = w->path.dentry;
	struct inode *di = dir->inode;
	int ret = mount_want_write(w->path.mnt);

	if (ret == 0)
		ret = may_delete(di, d, false, w->at->cred);
	if (ret < 0)
		return ret;
	if (!di->ops->unlink)
		return -EPERM;
	if (__atomic_load_n(&d->mounts, __ATOMIC_RELAXED))
		return -EBUSY;
	return di->ops->unlink(di, w->last, w->last_len, d->inode);
}

int vfs_unlink(const struct vfs_at *at, const char *name)
{
	struct walk w;
	struct dentry *d;
	struct inode *di, *i;
	int ret = walk_begin(&w, at, name, 0, true);

	if (ret < 0)
		return ret;
	ret = walk_do(&w);
	if (ret == 0 && w.last_type != LAST_NORM)
		ret = -EISDIR;
	if (ret < 0)
		goto out;
	di = w.path.dentry->inode;
	ret = lock_child(w.path.dentry, w.last, w.last_len, &d);
	if (ret < 0)
		goto out;
	i = d && d->inode ? inode_get(d->inode) : NULL;
	if (!i)
		ret = -ENOENT;
	else if (w.last_slash)
		ret = inode_is_dir(i) ? -EISDIR : -ENOTDIR;
	else
		ret = unlink_locked(&w, d);
	if (ret == 0) {
		fsnotify(NULL, i, LINUX_IN_ATTRIB);
		dentry_delete(d);
	}
	mutex_unlock(&di->lock);
	if (d)
		dentry_put(d);
	if (i)
		inode_put(i);
	/* after IN_DELETE_SELF, which comes with the last reference */
	if (ret == 0)
		fsnotify_dir(di, LINUX_IN_DELETE, w.last, w.last_len, 0);
out:
	walk_end(&w);
	return ret;
}

static int rmdir_locked(const struct walk *w, struct dentry *d)
{
	struct inode *di = w->path.dentry->inode;
	int ret = mount_want_write(w->path.mnt);

	if (ret == 0)
		ret = may_delete(di, d, true, w->at->cred);
	if (ret < 0)
		return ret;
	if (!di->ops->rmdir)
		return -EPERM;
	if (__atomic_load_n(&d->mounts, __ATOMIC_RELAXED))
		return -EBUSY;
	return di->ops->rmdir(di, w->last, w->last_len, d->inode);
}

static int last_type_error(enum last_type type)
{
	switch (type) {
	case LAST_DOTDOT:
		return -ENOTEMPTY;
	case LAST_DOT:
		return -EINVAL;
	case LAST_ROOT:
		return -EBUSY;
	default:
		return 0;
	}
}

int vfs_rmdir(const struct vfs_at *at, const char *name)
{
	struct walk w;
	struct dentry *d;
	struct inode *di;
	int ret = walk_begin(&w, at, name, 0, true);

	if (ret < 0)
		return ret;
	ret = walk_do(&w);
	if (ret == 0)
		ret = last_type_error(w.last_type);
	if (ret < 0)
		goto out;
	di = w.path.dentry->inode;
	ret = lock_child(w.path.dentry, w.last, w.last_len, &d);
	if (ret < 0)
		goto out;
	ret = d && d->inode ? rmdir_locked(&w, d) : -ENOENT;
	if (ret == 0)
		dentry_delete(d);
	mutex_unlock(&di->lock);
	if (d)
		dentry_put(d);
	if (ret == 0)
		fsnotify_dir(di, LINUX_IN_DELETE | LINUX_IN_ISDIR, w.last, w.last_len, 0);
out:
	walk_end(&w);
	return ret;
}
