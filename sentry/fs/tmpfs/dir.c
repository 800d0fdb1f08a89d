/* dir.c: directories: a tree of entries by a keyed hash of the name, which is also readdir's cursor: entries
 * that come and go don't move the others. Called with the directory locked; link counts of other inodes
 * change atomically; a directory that is to go is locked inside its parent, so that nothing enters it. */
#include <string.h>

#include "platform/base/hash.h"
#include "sentry/fs/tmpfs/internal.h"

#define FIRST_KEY 3u /* 0 and 1 are "." and ".." */

static uint64_t entry_key(const struct tmpfs *t, const char *name, size_t len)
{
	uint64_t key = hash_bytes(t->hash_key, name, len) >> 2; /* an off_t, with room to count on */

	return MAX(key, (uint64_t)FIRST_KEY);
}

static int compare(const struct tmpfs_entry *e, uint64_t key, const char *name, size_t len)
{
	int c;

	if (key != e->key)
		return key < e->key ? -1 : 1;
	c = memcmp(name, e->name, MIN(len, (size_t)e->len));
	return c ? c : (int)len - (int)e->len;
}

static struct tmpfs_entry *find(const struct inode *dir, const char *name, size_t len)
{
	uint64_t key = entry_key(tmpfs_of(dir), name, len);
	struct rbnode *n = tmpfs_node(dir)->dir.entries.root;

	while (n) {
		struct tmpfs_entry *e = rb_entry(n, struct tmpfs_entry, node);
		int c = compare(e, key, name, len);

		if (c == 0)
			return e;
		n = c < 0 ? n->left : n->right;
	}
	return NULL;
}

static struct tmpfs_entry *entry_alloc(const struct inode *dir, const char *name, size_t len)
{
	struct tmpfs_entry *e = kmalloc(sizeof(*e) + len);

	if (!e)
		return NULL;
	e->key = entry_key(tmpfs_of(dir), name, len);
	e->len = (uint16_t)len;
	memcpy(e->name, name, len);
	return e;
}

static void size_add(struct inode *dir, int64_t delta)
{
	__atomic_store_n(&dir->size, dir->size + (uint64_t)delta, __ATOMIC_RELAXED);
}

/* inode: a reference that the entry takes over. */
static void insert(struct inode *dir, struct tmpfs_entry *e, struct inode *inode)
{
	struct rbtree *t = &tmpfs_node(dir)->dir.entries;
	struct rbnode **link = &t->root, *parent = NULL;

	e->inode = inode;
	while (*link) {
		parent = *link;
		link = compare(rb_entry(parent, struct tmpfs_entry, node), e->key, e->name, e->len) < 0
			       ? &parent->left
			       : &parent->right;
	}
	rb_insert(t, &e->node, parent, link);
	size_add(dir, BOGO_DIRENT_SIZE);
}

/* The entry's reference goes to the caller. */
static struct inode *take_out(struct inode *dir, struct tmpfs_entry *e)
{
	struct inode *i = e->inode;

	rb_remove(&tmpfs_node(dir)->dir.entries, &e->node);
	size_add(dir, -BOGO_DIRENT_SIZE);
	kfree(e);
	return i;
}

static void changed(struct inode *dir, const struct linux_timespec *now)
{
	dir->mtime = dir->ctime = *now;
}

static void nlink_add(struct inode *i, int delta)
{
	__atomic_add_fetch(&i->nlink, (uint32_t)delta, __ATOMIC_ACQ_REL);
}

/* An entry's inode: its times are under its own lock, taken inside the directory's. */
static void touch_ctime(struct inode *i, const struct linux_timespec *now)
{
	mutex_lock_nested(&i->lock);
	i->ctime = *now;
	mutex_unlock(&i->lock);
}

static bool is_dead(const struct inode *dir)
{
	return dir->nlink == 0;
}

static int tmpfs_lookup(struct inode *dir, const char *name, size_t len, struct inode **out)
{
	struct tmpfs_entry *e = find(dir, name, len);

	if (!e)
		return -ENOENT;
	*out = inode_get(e->inode);
	return 0;
}

static int make(struct inode *dir, const char *name, size_t len, uint32_t mode, uint64_t rdev,
		const char *target, const struct cred *cred, struct inode **out)
{
	struct tmpfs_entry *e;
	struct inode *i;
	int ret;

	if (is_dead(dir))
		return -ENOENT;
	e = entry_alloc(dir, name, len);
	if (!e)
		return -ENOMEM;
	ret = tmpfs_node_create(dir->super, dir, mode, rdev, target, cred, &i);
	if (ret < 0) {
		kfree(e);
		return ret;
	}
	insert(dir, e, inode_get(i));
	if (inode_is(i, LINUX_S_IFDIR))
		nlink_add(dir, 1);
	changed(dir, &i->ctime);
	*out = i;
	return 0;
}

static int tmpfs_mknod(struct inode *dir, const char *name, size_t len, uint32_t mode, uint64_t rdev,
		       const struct cred *cred, struct inode **out)
{
	return make(dir, name, len, mode, rdev, NULL, cred, out);
}

static int tmpfs_mkdir(struct inode *dir, const char *name, size_t len, uint32_t mode, const struct cred *cred,
		       struct inode **out)
{
	return make(dir, name, len, mode, 0, NULL, cred, out);
}

static int tmpfs_symlink(struct inode *dir, const char *name, size_t len, const char *target,
			 const struct cred *cred, struct inode **out)
{
	return make(dir, name, len, LINUX_S_IFLNK | 0777, 0, target, cred, out);
}

static int tmpfs_tmpfile(struct inode *dir, uint32_t mode, const struct cred *cred, struct inode **out)
{
	int ret;

	if (is_dead(dir))
		return -ENOENT;
	ret = tmpfs_node_create(dir->super, dir, mode, 0, NULL, cred, out);
	if (ret == 0)
		(*out)->nlink = 0;
	return ret;
}

static int tmpfs_link(struct inode *dir, const char *name, size_t len, struct inode *target)
{
	uint32_t n = __atomic_load_n(&target->nlink, __ATOMIC_RELAXED);
	struct linux_timespec now = vfs_now();
	struct tmpfs_entry *e;

	if (is_dead(dir))
		return -ENOENT;
	e = entry_alloc(dir, name, len);
	if (!e)
		return -ENOMEM;
	do {
		int ret = n == 0 && !target->linkable ? -ENOENT : n >= INT32_MAX ? -EMLINK : 0;

		if (ret < 0) { /* the last name went meanwhile */
			kfree(e);
			return ret;
		}
	} while (!__atomic_compare_exchange_n(&target->nlink, &n, n + 1, true, __ATOMIC_ACQ_REL,
					      __ATOMIC_RELAXED));
	insert(dir, e, inode_get(target));
	touch_ctime(target, &now);
	changed(dir, &now);
	return 0;
}

static int tmpfs_unlink(struct inode *dir, const char *name, size_t len, struct inode *inode)
{
	struct tmpfs_entry *e = find(dir, name, len);
	struct linux_timespec now = vfs_now();
	struct inode *i;

	(void)inode;
	if (!e)
		return -ENOENT;
	if (inode_is(e->inode, LINUX_S_IFDIR))
		return -EISDIR;
	i = take_out(dir, e);
	nlink_add(i, -1);
	touch_ctime(i, &now);
	changed(dir, &now);
	inode_put(i);
	return 0;
}

/* Locks a directory inside its parent and marks it removed if it is empty. */
static int kill_dir(struct inode *victim)
{
	int ret = 0;

	mutex_lock_nested(&victim->lock);
	if (tmpfs_node(victim)->dir.entries.root)
		ret = -ENOTEMPTY;
	else
		__atomic_store_n(&victim->nlink, 0, __ATOMIC_RELEASE);
	mutex_unlock(&victim->lock);
	return ret;
}

static int tmpfs_rmdir(struct inode *dir, const char *name, size_t len, struct inode *inode)
{
	struct tmpfs_entry *e = find(dir, name, len);
	struct linux_timespec now = vfs_now();
	struct inode *i;
	int ret;

	(void)inode;
	if (!e)
		return -ENOENT;
	if (!inode_is(e->inode, LINUX_S_IFDIR))
		return -ENOTDIR;
	ret = kill_dir(e->inode);
	if (ret < 0)
		return ret;
	i = take_out(dir, e);
	nlink_add(dir, -1);
	changed(dir, &now);
	inode_put(i);
	return 0;
}

/* A directory changed its parent. */
static void reparent(struct inode *i, struct inode *from, struct inode *to)
{
	if (from == to || !inode_is(i, LINUX_S_IFDIR))
		return;
	nlink_add(from, -1);
	nlink_add(to, 1);
	__atomic_store_n(&tmpfs_node(i)->dir.parent_ino, to->ino, __ATOMIC_RELAXED);
}

static int exchange(struct inode *old_dir, struct tmpfs_entry *a, struct inode *new_dir, struct tmpfs_entry *b)
{
	struct inode *i = a->inode;

	a->inode = b->inode;
	b->inode = i;
	reparent(i, old_dir, new_dir);
	reparent(a->inode, new_dir, old_dir);
	return 0;
}

/* What overwriting b demands: kinds agree, a directory is empty (and is then dead). */
static int give_way(const struct inode *i, struct inode *victim)
{
	bool is_dir = inode_is(i, LINUX_S_IFDIR);

	if (!inode_is(victim, LINUX_S_IFDIR))
		return is_dir ? -ENOTDIR : 0;
	return is_dir ? kill_dir(victim) : -EISDIR;
}

static int replace(struct inode *old_dir, struct tmpfs_entry *a, struct inode *new_dir, struct tmpfs_entry *b,
		   const struct linux_timespec *now)
{
	struct inode *victim = b->inode, *i = a->inode;
	int ret = give_way(i, victim);

	if (ret < 0)
		return ret;
	b->inode = i;
	a->inode = NULL;
	if (inode_is(victim, LINUX_S_IFDIR))
		nlink_add(new_dir, -1);
	else
		nlink_add(victim, -1);
	touch_ctime(victim, now);
	reparent(i, old_dir, new_dir);
	inode_put(victim);
	return 0;
}

static int whiteout_create(struct inode *dir, struct inode **out)
{
	const struct cred as = {.fsuid = dir->uid, .fsgid = dir->gid};

	return tmpfs_node_create(dir->super, NULL, LINUX_S_IFCHR, 0, NULL, &as, out);
}

static int tmpfs_rename(struct inode *old_dir, const char *old_name, size_t old_len, struct inode *inode,
			struct inode *new_dir, const char *new_name, size_t new_len, struct inode *victim,
			uint32_t flags)
{
	struct tmpfs_entry *a = find(old_dir, old_name, old_len), *b = find(new_dir, new_name, new_len),
			   *fresh = NULL;
	struct linux_timespec now = vfs_now();
	struct inode *i, *white = NULL;
	int ret = 0;

	(void)inode, (void)victim;
	if (!a || is_dead(new_dir) || ((flags & LINUX_RENAME_EXCHANGE) && !b))
		return -ENOENT;
	if (b && (flags & LINUX_RENAME_NOREPLACE))
		return -EEXIST;
	if (b && b->inode == a->inode)
		return 0;
	i = a->inode;
	if (flags & LINUX_RENAME_EXCHANGE) {
		ret = exchange(old_dir, a, new_dir, b);
		goto done;
	}
	if (flags & LINUX_RENAME_WHITEOUT)
		ret = whiteout_create(old_dir, &white);
	if (ret == 0 && !b) {
		fresh = entry_alloc(new_dir, new_name, new_len);
		ret = fresh ? 0 : -ENOMEM;
	}
	if (ret == 0 && b)
		ret = replace(old_dir, a, new_dir, b, &now);
	if (ret < 0) {
		if (white)
			inode_put(white);
		return ret;
	}
	if (fresh) {
		insert(new_dir, fresh, i);
		reparent(i, old_dir, new_dir);
	}
	if (white)
		a->inode = white;
	else
		(void)take_out(old_dir, a);
done:
	touch_ctime(i, &now);
	changed(old_dir, &now);
	changed(new_dir, &now);
	return ret;
}

/* The first entry whose key is at least pos. */
static struct tmpfs_entry *seek_entry(const struct inode *dir, uint64_t pos)
{
	struct rbnode *n = tmpfs_node(dir)->dir.entries.root;
	struct tmpfs_entry *best = NULL;

	while (n) {
		struct tmpfs_entry *e = rb_entry(n, struct tmpfs_entry, node);

		if (e->key >= pos) {
			best = e;
			n = n->left;
		} else {
			n = n->right;
		}
	}
	return best;
}

static int tmpfs_iterate(struct file *f, struct dir_context *ctx)
{
	struct inode *dir = f->inode;
	const struct tmpfs_node *n = tmpfs_node(dir);
	struct rbnode *next;
	struct tmpfs_entry *e;
	int ret = 0;

	mutex_lock(&dir->lock);
	if (is_dead(dir)) {
		ret = -ENOENT;
		goto out;
	}
	if (ctx->pos == 0) {
		if (!ctx->emit(ctx, ".", 1, dir->ino, LINUX_S_IFDIR >> 12, 1))
			goto out;
		ctx->pos = 1;
	}
	if (ctx->pos == 1) {
		if (!ctx->emit(ctx, "..", 2, n->dir.parent_ino, LINUX_S_IFDIR >> 12, 2))
			goto out;
		ctx->pos = 2;
	}
	for (e = seek_entry(dir, ctx->pos); e; e = next ? rb_entry(next, struct tmpfs_entry, node) : NULL) {
		next = rb_next(&e->node);
		if (!ctx->emit(ctx, e->name, e->len, e->inode->ino, (e->inode->mode & LINUX_S_IFMT) >> 12,
			       e->key + 1))
			break;
		ctx->pos = e->key + 1;
	}
out:
	mutex_unlock(&dir->lock);
	return ret;
}

/* A directory that is freed with entries in it: their inodes may be directories too, as deep as a guest made
 * them, so they are put from a list and not from within each other. */
void tmpfs_drop_entries(struct inode *dir)
{
	struct tmpfs *t = tmpfs_of(dir);
	struct rbtree *entries = &tmpfs_node(dir)->dir.entries;
	struct rbnode *n;
	bool drain;

	mutex_lock(&t->lock);
	while ((n = entries->root)) {
		struct tmpfs_entry *e = rb_entry(n, struct tmpfs_entry, node);

		rb_remove(entries, n);
		list_add_tail(&t->orphans, &e->orphan);
	}
	drain = !t->draining;
	t->draining = true;
	while (drain) {
		struct tmpfs_entry *e = list_first(&t->orphans, struct tmpfs_entry, orphan);

		if (!e) {
			t->draining = false;
			break;
		}
		list_del(&e->orphan);
		mutex_unlock(&t->lock);
		inode_put(e->inode);
		kfree(e);
		mutex_lock(&t->lock);
	}
	mutex_unlock(&t->lock);
}

const struct inode_ops tmpfs_dir_iops = {
	.lookup = tmpfs_lookup,
	.mknod = tmpfs_mknod,
	.mkdir = tmpfs_mkdir,
	.symlink = tmpfs_symlink,
	.link = tmpfs_link,
	.unlink = tmpfs_unlink,
	.rmdir = tmpfs_rmdir,
	.rename = tmpfs_rename,
	.tmpfile = tmpfs_tmpfile,
	.getattr = tmpfs_getattr,
	.getxattr = tmpfs_getxattr,
	.setxattr = tmpfs_setxattr,
	.listxattr = tmpfs_listxattr,
	.removexattr = tmpfs_removexattr,
	.destroy = tmpfs_destroy,
};

const struct file_ops tmpfs_dir_fops = {
	.iterate = tmpfs_iterate,
	.seekable = true,
};
