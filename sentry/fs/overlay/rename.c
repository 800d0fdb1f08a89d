/* rename.c: renaming within the upper. A directory with a lower part can't move without a redirect, which
 * only a newer kernel than we claim would understand: -EXDEV, and mv(1) copies, as on Linux. */
#include "sentry/fs/overlay/internal.h"

struct rename {
	struct ovl_fs *fs;
	struct inode *old_dir, *new_dir, *inode, *victim;
	const char *old_name, *new_name;
	size_t old_len, new_len;
	bool exchange;
	bool old_below, new_below; /* a lower layer has that name */
};

static bool has_lower_part(const struct inode *i)
{
	return ovl_is_dir(i) && ovl_of(i)->lower_count;
}

static int check(const struct rename *r)
{
	if (has_lower_part(r->inode) || (r->exchange && has_lower_part(r->victim)))
		return -EXDEV;
	if (__atomic_load_n(&r->new_dir->nlink, __ATOMIC_RELAXED) == 0)
		return -ENOENT;
	if (!r->victim || r->exchange)
		return 0;
	if (ovl_is_dir(r->victim) && !ovl_is_dir(r->inode))
		return -EISDIR;
	if (!ovl_is_dir(r->victim) && ovl_is_dir(r->inode))
		return -ENOTDIR;
	return 0;
}

static int copy_up_all(const struct rename *r)
{
	int ret = ovl_copy_up(r->old_dir, UINT64_MAX);

	if (ret == 0)
		ret = ovl_copy_up(r->new_dir, UINT64_MAX);
	if (ret == 0)
		ret = ovl_copy_up(r->inode, UINT64_MAX);
	if (ret == 0 && r->exchange)
		ret = ovl_copy_up(r->victim, UINT64_MAX);
	return ret;
}

/* What lies below the names; and a directory that comes to lie over one must not show that one's contents. */
static int look_below(struct rename *r)
{
	int ret = ovl_lower_has(r->old_dir, r->old_name, r->old_len);

	if (ret < 0)
		return ret;
	r->old_below = ret;
	ret = ovl_lower_has(r->new_dir, r->new_name, r->new_len);
	if (ret < 0)
		return ret;
	r->new_below = ret;
	ret = 0;
	if (r->new_below && ovl_is_dir(r->inode))
		ret = real_set_opaque(ovl_upper(r->inode));
	if (ret == 0 && r->exchange && r->old_below && ovl_is_dir(r->victim))
		ret = real_set_opaque(ovl_upper(r->victim));
	return ret;
}

static void lock_pair(struct inode *a, struct inode *b)
{
	if (a > b) {
		struct inode *t = a;

		a = b;
		b = t;
	}
	mutex_lock_nested(&a->lock);
	if (a != b)
		mutex_lock_nested(&b->lock);
}

static void unlock_pair(struct inode *a, struct inode *b)
{
	mutex_unlock(&a->lock);
	if (a != b)
		mutex_unlock(&b->lock);
}

/* A hard link of the lower may have been copied up under another of its names: now it gets this one too. */
static int ensure_name_locked(struct inode *u, const char *name, size_t len, struct inode *upper)
{
	struct inode *there;
	int ret = real_lookup_locked(u, name, len, &there);

	if (ret == 0) {
		inode_put(there);
		return 0;
	}
	if (ret != -ENOENT)
		return ret;
	upper->linkable = true;
	return u->ops->link ? u->ops->link(u, name, len, upper) : -EPERM;
}

static int ensure_names_locked(const struct rename *r, struct inode *u1, struct inode *u2)
{
	int ret =
		ovl_is_dir(r->inode) ? 0 : ensure_name_locked(u1, r->old_name, r->old_len, ovl_upper(r->inode));

	if (ret == 0 && r->exchange && !ovl_is_dir(r->victim))
		ret = ensure_name_locked(u2, r->new_name, r->new_len, ovl_upper(r->victim));
	return ret;
}

/* In the upper; both its directories locked. */
static int rename_upper_locked(const struct rename *r, struct inode *u1, struct inode *u2)
{
	struct inode *there = NULL;
	bool whiteout = false;
	int ret = real_lookup_locked(u2, r->new_name, r->new_len, &there);

	if (ret < 0 && ret != -ENOENT)
		return ret;
	if (ret == -ENOENT)
		there = NULL;
	if (there && ovl_is_whiteout(there)) {
		ret = u2->ops->unlink(u2, r->new_name, r->new_len, there);
		inode_put(there);
		there = NULL;
		if (ret < 0)
			return ret;
		whiteout = true;
	}
	ret = u1->ops->rename(u1, r->old_name, r->old_len, ovl_upper(r->inode), u2, r->new_name, r->new_len,
			      there, r->exchange ? LINUX_RENAME_EXCHANGE : 0);
	if (there)
		inode_put(there);
	if (ret < 0 && whiteout)
		(void)!real_whiteout_locked(r->fs, u2, r->new_name, r->new_len);
	if (ret == 0 && r->old_below && !r->exchange)
		ret = real_whiteout_locked(r->fs, u1, r->old_name, r->old_len);
	return ret;
}

/* The upper rename and our books of where files lie, as one. */
static int rename_both(const struct rename *r)
{
	struct inode *u1 = ovl_upper(r->old_dir), *u2 = ovl_upper(r->new_dir);
	char *name = kstrndup(r->new_name, r->new_len), *other = kstrndup(r->old_name, r->old_len);
	int ret = -ENOMEM;

	if (!name || !other)
		goto out;
	ret = -EPERM;
	if (!u1->ops->rename)
		goto out;
	mutex_lock(&r->fs->lock);
	lock_pair(u1, u2);
	ret = ensure_names_locked(r, u1, u2);
	if (ret == 0)
		ret = rename_upper_locked(r, u1, u2);
	unlock_pair(u1, u2);
	if (ret == 0) {
		ovl_set_place_locked(r->inode, r->new_dir, name, r->new_len);
		name = NULL;
		if (r->exchange) {
			ovl_set_place_locked(r->victim, r->old_dir, other, r->old_len);
			other = NULL;
		}
	}
	mutex_unlock(&r->fs->lock);
	ovl_drain(r->fs);
out:
	kfree(name);
	kfree(other);
	return ret;
}

/* The victim goes; a directory is locked until it counts as removed. */
static int rename_over(const struct rename *r)
{
	bool dir = r->victim && !r->exchange && ovl_is_dir(r->victim);
	int ret = 0;

	if (dir) {
		mutex_lock_nested(&r->victim->lock);
		ret = ovl_clear_dir(r->victim);
	}
	if (ret == 0)
		ret = rename_both(r);
	if (dir) {
		if (ret == 0)
			__atomic_store_n(&r->victim->nlink, 0, __ATOMIC_RELAXED);
		mutex_unlock(&r->victim->lock);
	}
	return ret;
}

int ovl_rename(struct inode *old_dir, const char *old_name, size_t old_len, struct inode *inode,
	       struct inode *new_dir, const char *new_name, size_t new_len, struct inode *victim,
	       uint32_t flags)
{
	struct rename r = {.fs = ovl_fs_of(old_dir),
			   .old_dir = old_dir,
			   .new_dir = new_dir,
			   .inode = inode,
			   .victim = victim,
			   .old_name = old_name,
			   .new_name = new_name,
			   .old_len = old_len,
			   .new_len = new_len,
			   .exchange = flags & LINUX_RENAME_EXCHANGE};
	int ret;

	if (flags & ~(uint32_t)(LINUX_RENAME_NOREPLACE | LINUX_RENAME_EXCHANGE))
		return -EINVAL;
	if (r.exchange && !victim)
		return -ENOENT;
	ret = check(&r);
	if (ret == 0)
		ret = copy_up_all(&r);
	if (ret == 0)
		ret = look_below(&r);
	if (ret == 0)
		ret = rename_over(&r);
	if (ret < 0)
		return ret;
	if (victim && !r.exchange)
		ovl_name_gone(victim, new_dir, new_name, new_len);
	ovl_sync_locked(old_dir);
	if (new_dir != old_dir)
		ovl_sync_locked(new_dir);
	return 0;
}
