/* create.c: new names: mkdir, mknod, symlink, link. */
#include <string.h>

#include "sentry/vfs/internal.h"

uint32_t apply_umask(const struct vfs_at *at, uint32_t mode)
{
	return mode & ~__atomic_load_n(&at->fs->umask, __ATOMIC_RELAXED);
}

int create_begin(struct create *c, const struct vfs_at *at, const char *name, bool want_dir)
{
	struct dentry *d;
	int ret = walk_begin(&c->w, at, name, 0, true);

	if (ret < 0)
		return ret;
	ret = walk_do(&c->w);
	if (ret == 0 && c->w.last_type != LAST_NORM)
		ret = -EEXIST;
	if (ret < 0)
		goto err;
	c->dir = c->w.path.dentry;
	ret = lock_child(c->dir, c->w.last, c->w.last_len, &d);
	if (ret < 0)
		goto err;
	if (d && d->inode)
		ret = -EEXIST;
	else if (c->w.last_slash && !want_dir)
		ret = -ENOENT;
	else
		ret = mount_want_write(c->w.path.mnt);
	if (ret == 0 && c->dir->unhashed)
		ret = -ENOENT;
	if (ret == 0)
		ret = may_change_dir(c->dir->inode, at->cred);
	if (ret < 0) {
		mutex_unlock(&c->dir->inode->lock);
		if (d)
			dentry_put(d);
		goto err;
	}
	c->negative = d;
	change_begin(&c->w.v->words[CHANGE_CREATED]);
	inode_change_begin(c->dir->inode);
	return 0;
err:
	walk_end(&c->w);
	return ret;
}

int create_finish(struct create *c, struct inode *inode, struct dentry **out)
{
	struct inode *dir = c->dir->inode;
	bool is_dir = inode_is_dir(inode);
	struct dentry *d = c->negative;
	int ret = 0;

	if (d) {
		dentry_instantiate(d, inode);
		if (out)
			dentry_get(d);
	} else {
		ret = dentry_add(c->dir, c->w.last, c->w.last_len, inode, &d);
		if (ret == 0 && !out)
			dentry_put(d);
	}
	fsnotify_dir(dir, LINUX_IN_CREATE | (is_dir ? LINUX_IN_ISDIR : 0), c->w.last, c->w.last_len, 0);
	if (out && ret == 0)
		*out = d;
	/* without memory for a cache entry the name exists all the same */
	return out ? ret : 0;
}

void create_end(struct create *c)
{
	inode_change_end(c->dir->inode);
	change_end(&c->w.v->words[CHANGE_CREATED]);
	mutex_unlock(&c->dir->inode->lock);
	if (c->negative)
		dentry_put(c->negative);
	walk_end(&c->w);
}

int vfs_mkdir(const struct vfs_at *at, const char *name, uint32_t mode)
{
	struct create c;
	struct inode *dir, *inode;
	int ret = create_begin(&c, at, name, true);

	if (ret < 0)
		return ret;
	dir = c.dir->inode;
	mode = apply_umask(at, mode & (0777 | S_ISVTX)) | LINUX_S_IFDIR;
	ret = dir->ops->mkdir ? dir->ops->mkdir(dir, c.w.last, c.w.last_len, mode, at->cred, &inode) : -EPERM;
	if (ret == 0)
		ret = create_finish(&c, inode, NULL);
	create_end(&c);
	return ret;
}

/* Devices are for the initial namespace's administrator, but for an overlay's whiteout. */
static int may_make_device(const struct vfs_at *at, uint32_t mode, uint64_t rdev)
{
	uint32_t type = mode & LINUX_S_IFMT;

	if ((type != LINUX_S_IFCHR && type != LINUX_S_IFBLK) || (type == LINUX_S_IFCHR && rdev == 0))
		return 0;
	return cred_ns_capable(at->cred, LINUX_CAP_MKNOD) ? 0 : -EPERM;
}

static int make_node(const struct vfs_at *at, const char *name, uint32_t mode, uint64_t rdev, struct path *out)
{
	struct create c;
	struct inode *dir, *inode;
	int ret = create_begin(&c, at, name, false);

	if (ret < 0)
		return ret;
	dir = c.dir->inode;
	mode = apply_umask(at, mode & S_IALLUGO) | (mode & LINUX_S_IFMT);
	ret = may_make_device(at, mode, rdev);
	if (ret == 0)
		ret = dir->ops->mknod
			      ? dir->ops->mknod(dir, c.w.last, c.w.last_len, mode, rdev, at->cred, &inode)
			      : -EPERM;
	if (ret == 0)
		ret = create_finish(&c, inode, out ? &out->dentry : NULL);
	if (ret == 0 && out) {
		out->mnt = c.w.path.mnt;
		if (out->mnt)
			mount_get(out->mnt);
	}
	create_end(&c);
	return ret;
}

int vfs_mknod(const struct vfs_at *at, const char *name, uint32_t mode, uint64_t rdev)
{
	switch (mode & LINUX_S_IFMT) {
	case 0:
		mode |= LINUX_S_IFREG;
		break;
	case LINUX_S_IFREG:
	case LINUX_S_IFIFO:
	case LINUX_S_IFSOCK:
	case LINUX_S_IFCHR:
	case LINUX_S_IFBLK:
		break;
	case LINUX_S_IFDIR:
		return -EPERM;
	default:
		return -EINVAL;
	}
	return make_node(at, name, mode, rdev, NULL);
}

int vfs_mksock(const struct vfs_at *at, const char *name, uint32_t mode, struct path *out)
{
	int ret = make_node(at, name, (mode & S_IALLUGO) | LINUX_S_IFSOCK, 0, out);

	return ret == -EEXIST ? -EADDRINUSE : ret;
}

int vfs_symlink(const struct vfs_at *at, const char *target, const char *name)
{
	struct create c;
	struct inode *dir, *inode;
	int ret;

	if (!*target)
		return -ENOENT;
	if (strlen(target) >= VFS_PATH_MAX)
		return -ENAMETOOLONG;
	ret = create_begin(&c, at, name, false);
	if (ret < 0)
		return ret;
	dir = c.dir->inode;
	ret = dir->ops->symlink ? dir->ops->symlink(dir, c.w.last, c.w.last_len, target, at->cred, &inode)
				: -EPERM;
	if (ret == 0)
		ret = create_finish(&c, inode, NULL);
	create_end(&c);
	return ret;
}

static int may_link(const struct path *old, const struct create *c)
{
	const struct inode *i = old->dentry->inode;

	if (old->mnt != c->w.path.mnt || i->super != c->dir->super)
		return -EXDEV;
	if (inode_is_dir(i) || !c->dir->inode->ops->link)
		return -EPERM;
	if (__atomic_load_n(&i->nlink, __ATOMIC_RELAXED) == 0 && !i->linkable)
		return -ENOENT;
	return 0;
}

int vfs_link(const struct vfs_at *from, const char *old, uint32_t lookup, const struct vfs_at *to,
	     const char *name)
{
	struct create c;
	struct path p;
	struct inode *dir, *i;
	int ret = vfs_lookup(from, old, lookup, &p);

	if (ret < 0)
		return ret;
	i = p.dentry->inode;
	/* linking a bare descriptor is for who could have reached the file by name */
	if (!*old && !cred_has_cap(from->cred, LINUX_CAP_DAC_READ_SEARCH) && from->cred->fsuid != i->uid)
		ret = -ENOENT;
	else
		ret = create_begin(&c, to, name, false);
	if (ret < 0)
		goto out;
	dir = c.dir->inode;
	ret = may_link(&p, &c);
	if (ret == 0) {
		inode_change_begin(i);
		ret = dir->ops->link(dir, c.w.last, c.w.last_len, i);
		inode_change_end(i);
	}
	if (ret == 0) {
		i->linkable = false;
		fsnotify(NULL, i, LINUX_IN_ATTRIB);
		ret = create_finish(&c, inode_get(i), NULL);
	}
	create_end(&c);
out:
	path_put(&p);
	return ret;
}
