/* rename.c: renameat2(2). Locks: the super's rename_lock when two directories are involved, so that the tree
 * stands still; then both directories, an ancestor before its descendant, else by address. */
#include <string.h>

#include "sentry/vfs/internal.h"

struct rename {
	struct walk from, to;
	struct dentry *old_dir, *new_dir;
	struct dentry *source, *target; /* references; target NULL or negative: no such name */
	struct vfs *v;
	uint32_t flags;
	const struct cred *cred;
	bool two_dirs;
};

static void lock_dirs(struct rename *r)
{
	struct mutex *a = &r->old_dir->inode->lock, *b = &r->new_dir->inode->lock;

	if (a == b) {
		mutex_lock(a);
		return;
	}
	mutex_lock(&r->old_dir->super->rename_lock);
	if (dentry_is_below(r->v, r->new_dir, r->old_dir) ||
	    (!dentry_is_below(r->v, r->old_dir, r->new_dir) && a < b)) {
		mutex_lock(a);
		mutex_lock_nested(b);
	} else {
		mutex_lock(b);
		mutex_lock_nested(a);
	}
}

static void unlock_dirs(struct rename *r)
{
	mutex_unlock_pair(&r->old_dir->inode->lock, &r->new_dir->inode->lock);
	if (r->two_dirs)
		mutex_unlock(&r->old_dir->super->rename_lock);
}

static bool has_target(const struct rename *r)
{
	return r->target && r->target->inode;
}

/* The names as they are now; dirs locked. */
static int find_both(struct rename *r)
{
	int ret = dir_child_locked(r->old_dir, r->from.last, r->from.last_len, &r->source);

	if (ret < 0)
		return ret;
	if (!r->source->inode)
		return -ENOENT;
	ret = dir_child_locked(r->new_dir, r->to.last, r->to.last_len, &r->target);
	if (ret == -ENOENT) {
		r->target = NULL;
		ret = 0;
	}
	return ret;
}

/* Trailing slashes, existence, ancestry. */
static int check_shape(const struct rename *r)
{
	bool exchange = r->flags & LINUX_RENAME_EXCHANGE;

	if ((r->flags & LINUX_RENAME_NOREPLACE) && has_target(r))
		return -EEXIST;
	if (exchange) {
		if (!has_target(r))
			return -ENOENT;
		if (!inode_is_dir(r->target->inode) && r->to.last_slash)
			return -ENOTDIR;
	}
	if (!inode_is_dir(r->source->inode) && (r->from.last_slash || (!exchange && r->to.last_slash)))
		return -ENOTDIR;
	if (dentry_is_below(r->v, r->new_dir, r->source))
		return -EINVAL;
	if (has_target(r) && dentry_is_below(r->v, r->old_dir, r->target))
		return exchange ? -EINVAL : -ENOTEMPTY;
	return 0;
}

static int check_permission(const struct rename *r)
{
	struct inode *od = r->old_dir->inode, *nd = r->new_dir->inode, *i = r->source->inode;
	bool is_dir = inode_is_dir(i), exchange = r->flags & LINUX_RENAME_EXCHANGE;
	int ret = may_delete(od, r->source, is_dir, r->cred);

	if (ret < 0)
		return ret;
	if (!has_target(r))
		ret = r->new_dir->unhashed ? -ENOENT : may_change_dir(nd, r->cred);
	else
		ret = may_delete(nd, r->target, exchange ? inode_is_dir(r->target->inode) : is_dir, r->cred);
	if (ret == 0 && !od->ops->rename)
		ret = -EPERM;
	/* a directory that gets another parent is itself written: its ".." */
	if (ret == 0 && od != nd && is_dir)
		ret = inode_permission(i, MAY_WRITE, r->cred);
	if (ret == 0 && od != nd && exchange && inode_is_dir(r->target->inode))
		ret = inode_permission(r->target->inode, MAY_WRITE, r->cred);
	return ret;
}

/* The attributes that a rename touches. */
static void change_all(struct rename *r, struct inode *victim, bool begin)
{
	struct inode *all[] = {r->old_dir->inode, r->new_dir->inode, r->source->inode, victim};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (all[i] && begin)
			inode_change_begin(all[i]);
		else if (all[i])
			inode_change_end(all[i]);
}

static int rename_locked(struct rename *r)
{
	uint64_t *names;
	struct inode *victim;
	char *name;
	int ret = find_both(r);

	if (ret == 0)
		ret = check_shape(r);
	if (ret < 0)
		return ret;
	if (has_target(r) && r->target->inode == r->source->inode)
		return 0;
	ret = check_permission(r);
	if (ret < 0)
		return ret;
	if (r->source->mounts || (has_target(r) && r->target->mounts))
		return -EBUSY;
	name = kmalloc(r->to.last_len + 1);
	if (!name)
		return -ENOMEM;
	memcpy(name, r->to.last, r->to.last_len);
	victim = has_target(r) ? inode_get(r->target->inode) : NULL;
	names = &r->v->words[CHANGE_NAMES];
	change_begin(names);
	change_all(r, victim, true);
	ret = r->old_dir->inode->ops->rename(r->old_dir->inode, r->from.last, r->from.last_len,
					     r->source->inode, r->new_dir->inode, r->to.last, r->to.last_len,
					     victim, r->flags);
	if (ret < 0 || (r->flags & LINUX_RENAME_EXCHANGE))
		kfree(name);
	else
		dentry_move(r->source, r->new_dir, name, r->to.last_len, r->target);
	if (ret == 0 && (r->flags & LINUX_RENAME_EXCHANGE))
		dentry_swap(r->source, r->target);
	change_all(r, victim, false);
	change_end(names);
	if (ret == 0) {
		struct inode *od = r->old_dir->inode, *nd = r->new_dir->inode;

		bool exchange = r->flags & LINUX_RENAME_EXCHANGE;

		fsnotify_move(od, r->from.last, r->from.last_len, nd, r->to.last, r->to.last_len,
			      r->source->inode, exchange ? NULL : victim);
		if (exchange)
			fsnotify_move(nd, r->to.last, r->to.last_len, od, r->from.last, r->from.last_len,
				      victim, NULL);
	}
	if (victim)
		inode_put(victim);
	return ret;
}

static int check_parents(const struct rename *r)
{
	if (r->from.path.mnt != r->to.path.mnt)
		return -EXDEV;
	if (r->from.last_type != LAST_NORM)
		return -EBUSY;
	if (r->to.last_type != LAST_NORM)
		return r->flags & LINUX_RENAME_NOREPLACE ? -EEXIST : -EBUSY;
	return mount_want_write(r->from.path.mnt);
}

/* Where the file system checks each use, both entries are looked at before anything is locked. */
static int revalidate_both(struct rename *r)
{
	const struct walk *ws[2] = {&r->from, &r->to};

	for (int i = 0; i < 2; i++) {
		struct dentry *dir = ws[i]->path.dentry, *d = NULL;
		int ret;

		if (!dir->inode->ops->revalidate)
			continue;
		ret = dir_child(dir, ws[i]->last, ws[i]->last_len, &d);
		if (ret < 0 && ret != -ENOENT)
			return ret;
		if (ret == 0)
			dentry_put(d);
	}
	return 0;
}

static int rename_walked(struct rename *r)
{
	int ret = check_parents(r);

	if (ret == 0)
		ret = revalidate_both(r);
	if (ret < 0)
		return ret;
	r->old_dir = r->from.path.dentry;
	r->new_dir = r->to.path.dentry;
	r->two_dirs = r->old_dir->inode != r->new_dir->inode;
	lock_dirs(r);
	ret = rename_locked(r);
	unlock_dirs(r);
	if (r->source)
		dentry_put(r->source);
	if (r->target)
		dentry_put(r->target);
	return ret;
}

int vfs_rename(const struct vfs_at *from, const char *old, const struct vfs_at *to, const char *name,
	       uint32_t flags)
{
	struct rename *r;
	int ret;

	if ((flags & ~(LINUX_RENAME_NOREPLACE | LINUX_RENAME_EXCHANGE | LINUX_RENAME_WHITEOUT)) ||
	    ((flags & LINUX_RENAME_EXCHANGE) && (flags & (LINUX_RENAME_NOREPLACE | LINUX_RENAME_WHITEOUT))))
		return -EINVAL;
	r = kmalloc(sizeof(*r)); /* two walks are too much for the stack */
	if (!r)
		return -ENOMEM;
	r->flags = flags;
	r->cred = from->cred;
	r->v = from->fs->root.dentry->super->vfs;
	ret = walk_begin(&r->from, from, old, 0, true);
	if (ret < 0)
		goto out;
	ret = walk_do(&r->from);
	if (ret < 0)
		goto out_from;
	ret = walk_begin(&r->to, to, name, 0, true);
	if (ret < 0)
		goto out_from;
	ret = walk_do(&r->to);
	if (ret == 0)
		ret = rename_walked(r);
	walk_end(&r->to);
out_from:
	walk_end(&r->from);
out:
	kfree(r);
	return ret;
}
