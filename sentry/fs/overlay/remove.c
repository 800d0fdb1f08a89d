/* remove.c: removing names: from the upper what is there, and a whiteout over what is below. */
#include "sentry/fs/overlay/internal.h"

/* The name in the upper directory: its inode with a reference, or NULL when there is none or a whiteout. */
static int upper_child_locked(struct inode *u, const char *name, size_t len, struct inode **out)
{
	int ret = real_lookup_locked(u, name, len, out);

	if (ret == 0 && ovl_is_whiteout(*out)) {
		inode_put(*out);
		*out = NULL;
	}
	if (ret < 0)
		*out = NULL;
	return ret == -ENOENT ? 0 : ret;
}

static int remove_upper_locked(struct inode *u, const char *name, size_t len, struct inode *child)
{
	if (ovl_is_dir(child))
		return u->ops->rmdir ? u->ops->rmdir(u, name, len, child) : -EPERM;
	return u->ops->unlink ? u->ops->unlink(u, name, len, child) : -EPERM;
}

/* Both steps; the directory has an upper. */
static int remove_name(struct inode *dir, const char *name, size_t len)
{
	struct inode *u = ovl_upper(dir), *child;
	int below = ovl_lower_has(dir, name, len), ret;

	if (below < 0)
		return below;
	mutex_lock_nested(&u->lock);
	ret = upper_child_locked(u, name, len, &child);
	if (ret == 0 && child) {
		ret = remove_upper_locked(u, name, len, child);
		inode_put(child);
	}
	if (ret == 0 && below)
		ret = real_whiteout_locked(ovl_fs_of(dir), u, name, len);
	mutex_unlock(&u->lock);
	return ret;
}

int ovl_unlink(struct inode *dir, const char *name, size_t len, struct inode *inode)
{
	int ret;

	if (ovl_is_dir(inode))
		return -EISDIR;
	ret = ovl_copy_up(dir, UINT64_MAX);
	if (ret == 0)
		ret = remove_name(dir, name, len);
	if (ret < 0)
		return ret;
	ovl_name_gone(inode, dir, name, len);
	ovl_sync_locked(dir);
	return 0;
}

/* ---- directories */

struct clearing {
	struct inode *u; /* locked */
	int ret;
};

static int clear_one(void *arg, const char *name, size_t len, uint32_t type)
{
	struct clearing *c = arg;
	struct inode *i;
	int ret;

	(void)type;
	ret = real_lookup_locked(c->u, name, len, &i);
	if (ret < 0)
		return ret == -ENOENT ? 0 : ret;
	ret = ovl_is_whiteout(i) ? c->u->ops->unlink(c->u, name, len, i) : -ENOTEMPTY;
	inode_put(i);
	return ret;
}

struct name_list {
	struct strbuf names; /* each with its length in a byte before it */
};

static int collect(void *arg, const char *name, size_t len, uint32_t type)
{
	struct name_list *l = arg;

	(void)type;
	strbuf_putc(&l->names, (char)(uint8_t)len);
	strbuf_add(&l->names, name, len);
	return strbuf_ok(&l->names) ? 0 : -ENOMEM;
}

/* The names first, then the removal: a directory isn't changed while it is read. */
static int clear_whiteouts(struct inode *victim)
{
	struct ovl_fs *fs = ovl_fs_of(victim);
	struct clearing c = {.u = ovl_upper(victim)};
	struct name_list l;
	int ret;

	strbuf_init(&l.names);
	ret = real_for_each(c.u, fs->cred, collect, &l);
	mutex_lock_nested(&c.u->lock);
	for (size_t off = 0; ret == 0 && off < l.names.len;) {
		size_t len = (uint8_t)l.names.data[off];

		ret = clear_one(&c, l.names.data + off + 1, len, 0);
		off += len + 1;
	}
	mutex_unlock(&c.u->lock);
	strbuf_fini(&l.names);
	return ret;
}

int ovl_clear_dir(struct inode *victim)
{
	int ret = ovl_dir_is_empty(victim);

	if (ret <= 0)
		return ret < 0 ? ret : -ENOTEMPTY;
	return ovl_upper(victim) && ovl_of(victim)->lower_count ? clear_whiteouts(victim) : 0;
}

int ovl_rmdir(struct inode *dir, const char *name, size_t len, struct inode *inode)
{
	int ret;

	if (!ovl_is_dir(inode))
		return -ENOTDIR;
	ret = ovl_copy_up(dir, UINT64_MAX);
	if (ret < 0)
		return ret;
	/* locked until it counts as removed: nothing can be made in it in between */
	mutex_lock_nested(&inode->lock);
	ret = ovl_clear_dir(inode);
	if (ret == 0)
		ret = remove_name(dir, name, len);
	if (ret == 0)
		__atomic_store_n(&inode->nlink, 0, __ATOMIC_RELAXED);
	mutex_unlock(&inode->lock);
	if (ret < 0)
		return ret;
	ovl_name_gone(inode, dir, name, len);
	ovl_sync_locked(dir);
	return 0;
}
