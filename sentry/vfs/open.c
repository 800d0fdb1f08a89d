/* open.c: open(2), openat2(2): finding or making the file, the checks of may_open, and what opening each
 * type of file means. */
#include <string.h>

#include "sentry/vfs/internal.h"

#define O_TMPFILE_BIT (LINUX_O_TMPFILE & ~LINUX_O_DIRECTORY)

static uint32_t open_may(uint32_t flags)
{
	static const uint8_t may[4] = {MAY_READ, MAY_WRITE, MAY_READ | MAY_WRITE, MAY_READ | MAY_WRITE};

	return may[flags & LINUX_O_ACCMODE] | (flags & LINUX_O_TRUNC ? MAY_WRITE : 0);
}

int may_open(const struct path *p, uint32_t may, uint32_t flags, const struct cred *cred)
{
	const struct inode *i = p->dentry->inode;
	int ret;

	switch (i->mode & LINUX_S_IFMT) {
	case LINUX_S_IFLNK:
		return -ELOOP;
	case LINUX_S_IFDIR:
		if (may & MAY_WRITE)
			return -EISDIR;
		break;
	case LINUX_S_IFCHR:
	case LINUX_S_IFBLK:
		if (p->mnt && (p->mnt->flags & LINUX_MS_NODEV))
			return -EACCES;
		break;
	default:
		break;
	}
	ret = vfs_permission(p, may, cred);
	if (ret < 0)
		return ret;
	if ((flags & LINUX_O_NOATIME) && !inode_owner_or_capable(i, cred))
		return -EPERM;
	return 0;
}

static int open_chrdev(struct inode *i, struct file *f)
{
	const struct vfs *v = i->super->vfs;
	uint32_t major = dev_major(i->rdev), minor = dev_minor(i->rdev);

	for (uint32_t n = 0; n < v->chrdev_count; n++) {
		const struct chrdev_range *r = &v->chrdevs[n];

		if (r->major == major && minor >= r->minor_first && minor <= r->minor_last)
			return r->open(i, f);
	}
	return -ENXIO;
}

/* The object behind: sets f->ops. */
static int open_object(struct file *f)
{
	struct inode *i = f->inode;
	struct vfs *v = i->super->vfs;

	if (i->ops && i->ops->open)
		return i->ops->open(i, f);
	switch (i->mode & LINUX_S_IFMT) {
	case LINUX_S_IFCHR:
		if (i->fops) {
			f->ops = i->fops;
			return 0;
		}
		return open_chrdev(i, f);
	case LINUX_S_IFIFO:
		return v->fifo_open ? v->fifo_open(i, f) : -ENXIO;
	case LINUX_S_IFBLK:
	case LINUX_S_IFSOCK:
		return -ENXIO;
	default:
		f->ops = i->fops;
		return f->ops ? 0 : -ENXIO;
	}
}

static int claim_write(struct file *f)
{
	struct mount *m = f->path.mnt;
	int ret;

	if (!FILE_CAN_WRITE(f) || inode_is_special(f->inode))
		return 0;
	ret = inode_get_write(f->inode);
	if (ret < 0)
		return ret;
	f->claims_inode = true;
	if (!m)
		return 0;
	/* first the claim, then the look: a remount does it the other way round */
	__atomic_add_fetch(&m->writers, 1, __ATOMIC_SEQ_CST);
	ret = mount_want_write(m);
	if (ret < 0) {
		__atomic_sub_fetch(&m->writers, 1, __ATOMIC_SEQ_CST);
		return ret;
	}
	f->write_mount = m;
	return 0;
}

/* A file of the object at p. Permission was checked. */
static int open_file(const struct path *p, uint32_t flags, const struct cred *cred, struct file **out)
{
	const uint32_t once = LINUX_O_CREAT | LINUX_O_EXCL | LINUX_O_CLOEXEC; /* the kernel looks at O_NOCTTY */
	struct file *f;
	int ret = file_alloc(p, p->dentry->inode, flags & ~once, cred, &f);

	if (ret < 0)
		return ret;
	if (flags & LINUX_O_PATH) {
		f->flags &= ~(uint32_t)LINUX_O_TRUNC;
		f->ops = &path_file_ops;
		*out = f;
		return 0;
	}
	ret = claim_write(f);
	if (ret == 0)
		ret = open_object(f);
	/* the object saw it: an overlay need not copy what is about to be cut off */
	f->flags &= ~(uint32_t)LINUX_O_TRUNC;
	if (ret < 0) {
		file_free(f);
		return ret;
	}
	*out = f;
	return 0;
}

static int open_existing(const struct path *p, uint32_t flags, const struct cred *cred, bool created,
			 struct file **out)
{
	struct inode *i = p->dentry->inode;
	bool truncate = (flags & LINUX_O_TRUNC) && !created && inode_is_reg(i);
	int ret;

	if (truncate) {
		ret = mount_want_write(p->mnt);
		if (ret < 0)
			return ret;
	}
	if (!created) {
		ret = may_open(p, open_may(flags), flags, cred);
		if (ret < 0)
			return ret;
	}
	ret = open_file(p, flags, cred, out);
	if (ret < 0)
		return ret;
	fsnotify(p->dentry, i, LINUX_IN_OPEN | (inode_is_dir(i) ? LINUX_IN_ISDIR : 0));
	if (truncate) {
		ret = FILE_CAN_WRITE(*out) ? 0 : inode_get_write(i);
		if (ret == 0) {
			ret = truncate_inode(p->dentry, i, 0, cred);
			if (!FILE_CAN_WRITE(*out))
				inode_put_write(i);
		}
		if (ret < 0) {
			file_put(*out);
			return ret;
		}
	}
	return 0;
}

int vfs_open_path(const struct path *p, uint32_t flags, const struct cred *cred, struct file **out)
{
	if (!p->dentry->inode)
		return -ENOENT;
	if ((flags & LINUX_O_DIRECTORY) && !inode_is_dir(p->dentry->inode))
		return -ENOTDIR;
	if (flags & LINUX_O_PATH)
		return open_file(p, flags, cred, out);
	return open_existing(p, flags, cred, false, out);
}

/* O_CREAT: the last component in its locked directory. *d: the entry, positive. */
static int find_or_create(struct walk *w, uint32_t mode, struct dentry **d, bool *created)
{
	struct dentry *dir = w->path.dentry, *child;
	struct inode *di = dir->inode, *i;
	int ret = lock_child(dir, w->last, w->last_len, &child);

	if (ret < 0)
		return ret;
	if (child && child->inode) {
		mutex_unlock(&di->lock);
		*d = child;
		return 0;
	}
	ret = mount_want_write(w->path.mnt);
	if (ret == 0 && dir->unhashed)
		ret = -ENOENT;
	if (ret == 0)
		ret = may_change_dir(di, w->at->cred);
	if (ret == 0) {
		change_begin(&w->v->words[CHANGE_CREATED]);
		inode_change_begin(di);
		ret = di->ops->mknod ? di->ops->mknod(di, w->last, w->last_len, mode, 0, w->at->cred, &i)
				     : -EACCES;
		if (ret == 0 && child) {
			dentry_instantiate(child, i);
			*d = child;
			child = NULL;
		} else if (ret == 0) {
			ret = dentry_add(dir, w->last, w->last_len, i, d);
		}
		inode_change_end(di);
		change_end(&w->v->words[CHANGE_CREATED]);
	}
	if (ret == 0) {
		*created = true;
		fsnotify_dir(di, LINUX_IN_CREATE, w->last, w->last_len, 0);
	}
	mutex_unlock(&di->lock);
	if (child)
		dentry_put(child);
	return ret;
}

/* The existing file that O_CREAT met, if it is there without taking the directory's lock. */
static struct dentry *find_existing(const struct walk *w)
{
	struct dentry *dir = w->path.dentry, *d;

	if (dir->inode->ops->revalidate)
		return NULL;
	d = dentry_lookup(dir, w->last, w->last_len);
	if (d && !__atomic_load_n(&d->inode, __ATOMIC_ACQUIRE)) {
		dentry_put(d);
		d = NULL;
	}
	return d;
}

/* O_CREAT in a sticky directory that all may write doesn't open what others put there, unless it is an
 * ordinary file or a FIFO (fs.protected_regular and protected_fifos are 0). */
static int may_create_in_sticky(const struct inode *dir, const struct inode *i, const struct cred *cred)
{
	const uint32_t both = S_ISVTX | 0002;

	if ((dir->mode & both) != both || inode_is_reg(i) || inode_is(i, LINUX_S_IFIFO))
		return 0;
	return i->uid == dir->uid || i->uid == cred->fsuid ? 0 : -EACCES;
}

/* The walk of O_CREAT: p gets the object with references. */
static int walk_create(struct walk *w, uint32_t flags, uint32_t mode, struct path *p, bool *created)
{
	const struct inode *dir = NULL;
	int ret = walk_do(w);

	for (;;) {
		struct dentry *d;

		if (ret < 0)
			return ret;
		if (w->last_type == LAST_DOTDOT) {
			ret = walk_last_dotdot(w);
			if (ret < 0)
				return ret;
		}
		dir = w->path.dentry->inode;
		if (w->last_type != LAST_NORM) {
			walk_take_path(w, p);
			break;
		}
		if (w->last_slash)
			return -EISDIR;
		d = find_existing(w);
		if (!d) {
			ret = find_or_create(w, mode, &d, created);
			if (ret < 0)
				return ret;
		}
		if (!*created && inode_is_link(d->inode) && !(flags & (LINUX_O_EXCL | LINUX_O_NOFOLLOW))) {
			ret = walk_follow_last(w, d);
			dentry_put(d);
			continue;
		}
		p->mnt = w->path.mnt;
		p->dentry = d;
		if (p->mnt)
			mount_get(p->mnt);
		path_cross_mounts(w->v, p);
		break;
	}
	if (*created)
		return 0;
	if (flags & LINUX_O_EXCL)
		ret = -EEXIST;
	else if (inode_is_dir(p->dentry->inode))
		ret = -EISDIR;
	else
		ret = may_create_in_sticky(dir, p->dentry->inode, w->at->cred);
	if (ret < 0)
		path_put(p);
	return ret;
}

static int open_create(const struct vfs_at *at, const char *name, uint32_t flags, uint32_t mode,
		       uint32_t resolve, struct file **out)
{
	struct walk w;
	struct path p;
	bool created = false;
	int ret = walk_begin(&w, at, name, resolve & ~(uint32_t)LOOKUP_EMPTY, true);

	if (ret < 0)
		return ret;
	mode = apply_umask(at, mode & S_IALLUGO) | LINUX_S_IFREG;
	ret = walk_create(&w, flags, mode, &p, &created);
	if (ret == 0) {
		if ((resolve & LOOKUP_NO_XDEV) && p.mnt != w.path.mnt && w.own_path)
			ret = -EXDEV;
		else
			ret = open_existing(&p, flags, at->cred, created, out);
		path_put(&p);
	}
	walk_end(&w);
	return ret;
}

/* A file without a name, "#ino" in its directory's eyes. */
static int make_tmpfile(const struct path *dir, uint32_t flags, uint32_t mode, const struct cred *cred,
			struct path *out)
{
	struct inode *di = dir->dentry->inode, *i;
	char name[24];
	size_t n = sizeof(name);
	uint64_t ino;
	int ret;

	mutex_lock(&di->lock);
	ret = di->ops->tmpfile ? di->ops->tmpfile(di, mode, cred, &i) : -EOPNOTSUPP;
	mutex_unlock(&di->lock);
	if (ret < 0)
		return ret;
	i->linkable = !(flags & LINUX_O_EXCL);
	ino = i->ino;
	do
		name[--n] = (char)('0' + ino % 10);
	while (ino /= 10);
	name[--n] = '#';
	ret = dentry_create(i->super, dir->dentry, name + n, sizeof(name) - n, i, &out->dentry);
	if (ret < 0)
		return ret;
	out->dentry->unhashed = true;
	out->mnt = dir->mnt;
	if (out->mnt)
		mount_get(out->mnt);
	return 0;
}

static int open_tmpfile(const struct vfs_at *at, const char *name, uint32_t flags, uint32_t mode,
			uint32_t resolve, struct file **out)
{
	struct path dir, p;
	int ret;

	if (!(open_may(flags & ~(uint32_t)LINUX_O_TRUNC) & MAY_WRITE))
		return -EINVAL;
	ret = vfs_lookup(at, name, (resolve & ~(uint32_t)LOOKUP_EMPTY) | LOOKUP_FOLLOW | LOOKUP_DIRECTORY,
			 &dir);
	if (ret < 0)
		return ret;
	ret = mount_want_write(dir.mnt);
	if (ret == 0)
		ret = may_change_dir(dir.dentry->inode, at->cred);
	if (ret == 0)
		ret = make_tmpfile(&dir, flags, apply_umask(at, mode & S_IALLUGO) | LINUX_S_IFREG, at->cred,
				   &p);
	if (ret == 0) {
		flags &= ~(uint32_t)(LINUX_O_TMPFILE | LINUX_O_TRUNC);
		ret = open_existing(&p, flags, at->cred, true, out);
		path_put(&p);
	}
	path_put(&dir);
	return ret;
}

int vfs_open(const struct vfs_at *at, const char *name, uint32_t flags, uint32_t mode, uint32_t resolve,
	     struct file **out)
{
	uint32_t lookup = resolve;
	struct path p;
	int ret;

	if (flags & LINUX_O_PATH)
		flags &= LINUX_O_PATH | LINUX_O_DIRECTORY | LINUX_O_NOFOLLOW | LINUX_O_CLOEXEC;
	if (flags & O_TMPFILE_BIT) {
		if (!(flags & LINUX_O_DIRECTORY) || (flags & LINUX_O_CREAT))
			return -EINVAL;
		return open_tmpfile(at, name, flags, mode, resolve, out);
	}
	if (flags & LINUX_O_CREAT) {
		if (flags & LINUX_O_DIRECTORY)
			return -EINVAL;
		return open_create(at, name, flags, mode, resolve, out);
	}
	if (!(flags & LINUX_O_NOFOLLOW))
		lookup |= LOOKUP_FOLLOW;
	if (flags & LINUX_O_DIRECTORY)
		lookup |= LOOKUP_DIRECTORY;
	ret = vfs_lookup(at, name, lookup, &p);
	if (ret < 0)
		return ret;
	if (at->basis)
		vfs_basis_inode(at->basis, p.dentry->inode);
	ret = vfs_open_path(&p, flags, at->cred, out);
	path_put(&p);
	return ret;
}
