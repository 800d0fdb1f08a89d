/* names.c: looking names up through the layers, and making new ones in the upper. The directory is locked. */
#include "sentry/fs/overlay/internal.h"

/* ---- lookup */

struct found {
	struct inode *upper;
	struct inode *lowers[OVERLAY_LOWERS_MAX];
	uint32_t count;
};

static void drop_found(struct found *f)
{
	if (f->upper)
		inode_put(f->upper);
	while (f->count)
		inode_put(f->lowers[--f->count]);
}

/* The upper's part. 1: what lies below is hidden; 0: go on; -errno */
static int find_upper(struct inode *dir, const char *name, size_t len, struct found *f)
{
	struct inode *u = ovl_upper(dir), *i;
	int ret;

	if (!u)
		return 0;
	ret = real_lookup(u, name, len, &i);
	if (ret < 0)
		return ret == -ENOENT ? 0 : ret;
	if (ovl_is_whiteout(i)) {
		inode_put(i);
		return 1;
	}
	f->upper = i;
	/* nothing below to hide: no need to ask */
	return !ovl_is_dir(i) || (ovl_of(dir)->lower_count && real_is_opaque(i));
}

/* One lower layer's part, the same way. more: there are layers below it. */
static int find_lower(struct inode *low, const char *name, size_t len, bool more, struct found *f)
{
	struct inode *i;
	int ret = real_lookup(low, name, len, &i);

	if (ret < 0)
		return ret == -ENOENT ? 0 : ret;
	if (ovl_is_whiteout(i) || (!ovl_is_dir(i) && (f->upper || f->count))) {
		inode_put(i);
		return 1;
	}
	f->lowers[f->count++] = i;
	return !ovl_is_dir(i) || (more && real_is_opaque(i));
}

int ovl_lookup(struct inode *dir, const char *name, size_t len, struct inode **out)
{
	struct ovl_inode *oi = ovl_of(dir);
	struct found f = {0};
	int ret = find_upper(dir, name, len, &f);

	for (uint32_t n = 0; ret == 0 && n < oi->lower_count; n++)
		ret = find_lower(oi->lowers[n], name, len, n + 1 < oi->lower_count, &f);
	if (ret >= 0 && !f.upper && !f.count)
		ret = -ENOENT;
	if (ret < 0) {
		drop_found(&f);
		return ret;
	}
	return ovl_get(ovl_fs_of(dir), f.upper, f.lowers, f.count, dir, name, len, out);
}

int ovl_lower_has(struct inode *dir, const char *name, size_t len)
{
	struct ovl_inode *oi = ovl_of(dir);

	for (uint32_t n = 0; n < oi->lower_count; n++) {
		struct inode *i;
		int ret = real_lookup(oi->lowers[n], name, len, &i);
		bool whiteout;

		if (ret == -ENOENT)
			continue;
		if (ret < 0)
			return ret;
		whiteout = ovl_is_whiteout(i);
		inode_put(i);
		return !whiteout;
	}
	return 0;
}

/* ---- making */

struct maker {
	struct inode *dir;
	const char *name;
	size_t len;
	uint32_t op; /* LINUX_S_IF* of what is made; 0: a link */
	uint32_t mode;
	uint64_t rdev;
	const char *target;
	struct inode *old; /* links: upper inode */
	const struct cred *cred;
};

static int make_locked(const struct maker *m, struct inode *u, struct inode **out)
{
	switch (m->op) {
	case 0:
		/* its upper inode may have no name though it has others below; whether it may be linked is
		 * decided on ours */
		m->old->linkable = true;
		return u->ops->link ? u->ops->link(u, m->name, m->len, m->old) : -EPERM;
	case LINUX_S_IFDIR:
		return u->ops->mkdir ? u->ops->mkdir(u, m->name, m->len, m->mode, m->cred, out) : -EPERM;
	case LINUX_S_IFLNK:
		return u->ops->symlink ? u->ops->symlink(u, m->name, m->len, m->target, m->cred, out) : -EPERM;
	default:
		return u->ops->mknod ? u->ops->mknod(u, m->name, m->len, m->mode, m->rdev, m->cred, out)
				     : -EPERM;
	}
}

/* Removes a whiteout that is in the way: 1 when there was one. Upper directory locked. */
static int clear_whiteout_locked(struct inode *u, const char *name, size_t len)
{
	struct inode *i;
	int ret = real_lookup_locked(u, name, len, &i);

	if (ret < 0)
		return ret == -ENOENT ? 0 : ret;
	ret = !ovl_is_whiteout(i) ? -EEXIST : u->ops->unlink ? u->ops->unlink(u, name, len, i) : -EPERM;
	inode_put(i);
	return ret < 0 ? ret : 1;
}

/* out: a reference to the new upper inode; not for links. */
static int make(const struct maker *m, struct inode **out)
{
	struct ovl_fs *fs = ovl_fs_of(m->dir);
	struct inode *u;
	int ret, cleared;

	if (__atomic_load_n(&m->dir->nlink, __ATOMIC_RELAXED) == 0)
		return -ENOENT; /* it has been removed */
	ret = ovl_copy_up(m->dir, UINT64_MAX);
	if (ret < 0)
		return ret;
	u = ovl_upper(m->dir);
	mutex_lock_nested(&u->lock);
	cleared = clear_whiteout_locked(u, m->name, m->len);
	ret = cleared < 0 ? cleared : make_locked(m, u, out);
	if (ret < 0 && cleared > 0)
		(void)!real_whiteout_locked(fs, u, m->name, m->len);
	mutex_unlock(&u->lock);
	if (ret == 0 && m->op)
		real_adopt(*out);
	/* a new directory doesn't show what an old one of its name had */
	if (ret == 0 && m->op == LINUX_S_IFDIR && cleared > 0)
		ret = real_set_opaque(*out);
	ovl_sync_locked(m->dir);
	return ret;
}

static int make_inode(const struct maker *m, struct inode **out)
{
	struct inode *up;
	int ret = make(m, &up);

	return ret < 0 ? ret : ovl_get(ovl_fs_of(m->dir), up, NULL, 0, m->dir, m->name, m->len, out);
}

int ovl_mknod(struct inode *dir, const char *name, size_t len, uint32_t mode, uint64_t rdev,
	      const struct cred *cred, struct inode **out)
{
	struct maker m = {.dir = dir,
			  .name = name,
			  .len = len,
			  .op = LINUX_S_IFREG,
			  .mode = mode,
			  .rdev = rdev,
			  .cred = cred};

	if ((mode & LINUX_S_IFMT) == LINUX_S_IFCHR && rdev == 0)
		return -EPERM; /* it would vanish */
	return make_inode(&m, out);
}

int ovl_mkdir(struct inode *dir, const char *name, size_t len, uint32_t mode, const struct cred *cred,
	      struct inode **out)
{
	struct maker m = {
		.dir = dir, .name = name, .len = len, .op = LINUX_S_IFDIR, .mode = mode, .cred = cred};

	return make_inode(&m, out);
}

int ovl_symlink(struct inode *dir, const char *name, size_t len, const char *target, const struct cred *cred,
		struct inode **out)
{
	struct maker m = {
		.dir = dir, .name = name, .len = len, .op = LINUX_S_IFLNK, .target = target, .cred = cred};

	return make_inode(&m, out);
}

int ovl_link(struct inode *dir, const char *name, size_t len, struct inode *target)
{
	struct maker m = {.dir = dir, .name = name, .len = len};
	struct ovl_fs *fs = ovl_fs_of(dir);
	char *copy;
	int ret = ovl_copy_up(target, UINT64_MAX);

	if (ret < 0)
		return ret;
	copy = kstrndup(name, len);
	if (!copy)
		return -ENOMEM;
	m.old = ovl_upper(target);
	ret = make(&m, NULL);
	if (ret < 0) {
		kfree(copy);
		return ret;
	}
	mutex_lock_nested(&target->lock);
	__atomic_store_n(&target->nlink, target->nlink + 1, __ATOMIC_RELAXED);
	target->ctime = vfs_now();
	mutex_unlock(&target->lock);
	mutex_lock(&fs->lock);
	if (ovl_of(target)->nameless || !ovl_of(target)->parent) {
		ovl_set_place_locked(target, dir, copy, len);
		copy = NULL;
	}
	mutex_unlock(&fs->lock);
	kfree(copy);
	ovl_drain(fs);
	return 0;
}

int ovl_tmpfile(struct inode *dir, uint32_t mode, const struct cred *cred, struct inode **out)
{
	struct inode *u, *up;
	int ret = ovl_copy_up(dir, UINT64_MAX);

	if (ret < 0)
		return ret;
	u = ovl_upper(dir);
	if (!u->ops->tmpfile)
		return -EOPNOTSUPP;
	mutex_lock_nested(&u->lock);
	ret = u->ops->tmpfile(u, mode, cred, &up);
	mutex_unlock(&u->lock);
	if (ret < 0)
		return ret;
	real_adopt(up);
	up->linkable = true; /* whether it may be linked is decided on ours */
	return ovl_get(ovl_fs_of(dir), up, NULL, 0, NULL, NULL, 0, out);
}
