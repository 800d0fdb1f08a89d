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

/* An ordinary file's name is gone when its link count says so; others may lie in the way of names. */
static int unlink_entry(const struct walk *w, struct dentry *d, struct inode *i)
{
	struct inode *di = w->path.dentry->inode;
	uint64_t *names = inode_is_reg(i) ? NULL : &w->v->words[CHANGE_NAMES];
	int ret;

	if (names)
		change_begin(names);
	inode_change_begin(i);
	inode_change_begin(di);
	ret = unlink_locked(w, d);
	if (ret == 0) {
		fsnotify(NULL, i, LINUX_IN_ATTRIB);
		dentry_delete(d);
	}
	inode_change_end(di);
	inode_change_end(i);
	if (names)
		change_end(names);
	return ret;
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
		ret = unlink_entry(&w, d, i);
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

static int rmdir_entry(const struct walk *w, struct dentry *d)
{
	struct inode *di = w->path.dentry->inode, *i = inode_get(d->inode);
	int ret;

	change_begin(&w->v->words[CHANGE_NAMES]);
	inode_change_begin(i);
	inode_change_begin(di);
	ret = rmdir_locked(w, d);
	if (ret == 0)
		dentry_delete(d);
	inode_change_end(di);
	inode_change_end(i);
	change_end(&w->v->words[CHANGE_NAMES]);
	inode_put(i);
	return ret;
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
	ret = d && d->inode ? rmdir_entry(&w, d) : -ENOENT;
	mutex_unlock(&di->lock);
	if (d)
		dentry_put(d);
	if (ret == 0)
		fsnotify_dir(di, LINUX_IN_DELETE | LINUX_IN_ISDIR, w.last, w.last_len, 0);
out:
	walk_end(&w);
	return ret;
}
