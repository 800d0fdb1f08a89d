/* namei.c: from a name to a path (path_resolution(7), openat2(2)).
 *
 * A walk runs over cached names under dentry_lock alone, without references and without allocating. What
 * that can't do (a name that isn't cached, a file system that checks each use, links whose text must be
 * read) stops the run, takes references, does that one thing without the lock, and runs on. The texts of
 * links stay where they are; `rest` remembers what follows each. */
#include <string.h>

#include "sentry/vfs/internal.h"

#define WALK_SLOW 1

#define SCOPED (LOOKUP_BENEATH | LOOKUP_IN_ROOT)

static void begin_basis(const struct vfs_at *at)
{
	struct vfs_basis *b = at->basis;
	const uint64_t *words = at->fs->root.dentry->super->vfs->words; /* the vfs is the same for ever */

	b->names = change_read(&words[CHANGE_NAMES]);
	b->created = change_read(&words[CHANGE_CREATED]);
	b->inode_word = 0;
	b->unstable = false;
}

int walk_begin(struct walk *w, const struct vfs_at *at, const char *name, uint32_t flags, bool parent_only)
{
	struct path base;

	if (!*name && !(flags & LOOKUP_EMPTY))
		return -ENOENT;
	if (*name == '/' && (flags & LOOKUP_BENEATH))
		return -EXDEV;
	w->at = at;
	w->name = name;
	w->flags = flags;
	w->parent_only = parent_only;
	w->own_root = w->own_path = w->perm_ok = w->need_dir = w->last_slash = false;
	w->depth = w->links = w->hold_count = w->held_count = 0;
	w->root_used = *name == '/' || (flags & SCOPED);
	w->last_type = LAST_ROOT;
	w->link = NULL;
	if (at->basis)
		begin_basis(at);
	mutex_lock(&at->fs->lock);
	w->fs_locked = true;
	base = at->base ? *at->base : at->fs->cwd;
	w->root = flags & SCOPED ? base : at->fs->root;
	w->path = *name == '/' ? w->root : base;
	w->v = base.dentry->super->vfs;
	return 0;
}

static void release_fs(struct walk *w)
{
	if (w->fs_locked)
		mutex_unlock(&w->at->fs->lock);
	w->fs_locked = false;
}

void walk_end(struct walk *w)
{
	release_fs(w);
	if (w->own_path)
		path_put(&w->path);
	if (w->own_root)
		path_put(&w->root);
	if (w->link)
		dentry_put(w->link);
	for (int i = 0; i < w->hold_count; i++) {
		if (w->hold[i].inode && i < w->held_count)
			inode_put(w->hold[i].inode);
		kfree(w->hold[i].buf);
	}
}

/* Mounts stacked on p; dentry_lock held. */
static int cross_locked(const struct walk *w, struct path *p)
{
	while (UNLIKELY(__atomic_load_n(&p->dentry->mounts, __ATOMIC_RELAXED))) {
		struct mount *m = mount_find_locked(w->v, p->mnt, p->dentry);

		if (!m)
			return 0;
		if (w->flags & LOOKUP_NO_XDEV)
			return -EXDEV;
		p->mnt = m;
		p->dentry = m->root;
	}
	return 0;
}

void path_cross_mounts(struct vfs *v, struct path *p)
{
	struct path old = *p;

	rwlock_read(&v->dentry_lock);
	while (__atomic_load_n(&p->dentry->mounts, __ATOMIC_RELAXED)) {
		struct mount *m = mount_find_locked(v, p->mnt, p->dentry);

		if (!m)
			break;
		p->mnt = m;
		p->dentry = m->root;
	}
	if (!path_equal(&old, p))
		path_get(p);
	rwlock_read_unlock(&v->dentry_lock);
	if (!path_equal(&old, p))
		path_put(&old);
}

static int walk_up(struct walk *w, struct path *cur)
{
	w->root_used = true;
	for (;;) {
		if (path_equal(cur, &w->root)) {
			if (w->flags & LOOKUP_BENEATH)
				return -EXDEV;
			break;
		}
		if (!cur->mnt || cur->dentry != cur->mnt->root) {
			cur->dentry = cur->dentry->parent;
			break;
		}
		if (!cur->mnt->parent)
			break;
		if (w->flags & LOOKUP_NO_XDEV)
			return -EXDEV;
		cur->dentry = cur->mnt->mountpoint;
		cur->mnt = cur->mnt->parent;
	}
	return cross_locked(w, cur);
}

/* Goes on with the text of a link that stands in cur. */
static int walk_jump(struct walk *w, struct path *cur, const char *text)
{
	if (!*text)
		return -ENOENT;
	if (*w->name) {
		BUG_ON(w->depth == VFS_LINK_MAX);
		w->rest[w->depth++] = w->name;
	}
	w->name = text;
	if (*text != '/')
		return 0;
	if (w->flags & LOOKUP_BENEATH)
		return -EXDEV;
	/* Linux doesn't know its root before it needs it, and then says that it may lie elsewhere. */
	if ((w->flags & LOOKUP_NO_XDEV) && (!w->root_used || cur->mnt != w->root.mnt))
		return -EXDEV;
	w->root_used = true;
	*cur = w->root;
	return 0;
}

/* The link d stands in cur; dentry_lock held. WALK_SLOW: its text has to be read first. */
static int walk_link(struct walk *w, struct path *cur, struct dentry *d)
{
	struct inode *i = d->inode;

	if (++w->links > VFS_LINK_MAX || (w->flags & LOOKUP_NO_LINKS))
		return -ELOOP;
	if (cur->mnt && (cur->mnt->flags & LINUX_MS_NOSYMFOLLOW))
		return -ELOOP;
	if (i->link) {
		w->hold[w->hold_count++] = (struct walk_hold){.inode = i};
		return walk_jump(w, cur, i->link);
	}
	refs_get(&d->refs);
	w->link = d;
	return WALK_SLOW;
}

/* The component at w->name. */
struct component {
	const char *name;
	size_t len;
	const char *next; /* behind it and its slashes */
	bool slash, final;
	enum last_type type;
};

static bool next_component(struct walk *w, struct component *c)
{
	const char *s = w->name, *e;

	for (;;) {
		while (*s == '/')
			s++;
		if (*s)
			break;
		if (!w->depth) {
			w->name = s;
			return false;
		}
		s = w->rest[--w->depth];
	}
	for (e = s + 1; *e && *e != '/'; e++)
		;
	w->name = c->name = s;
	c->len = (size_t)(e - s);
	c->slash = *e == '/';
	while (*e == '/')
		e++;
	c->next = e;
	c->final = !*e && !w->depth;
	c->type = LAST_NORM;
	if (UNLIKELY(*s == '.')) {
		if (c->len == 1)
			c->type = LAST_DOT;
		else if (c->len == 2 && s[1] == '.')
			c->type = LAST_DOTDOT;
	}
	return true;
}

static void advance(struct walk *w, const struct component *c)
{
	w->name = c->next;
	if (!*c->next && w->depth)
		w->name = w->rest[--w->depth];
}

/* May the walker pass through dir? WALK_SLOW: the file system must be asked. */
static inline int may_pass(struct walk *w, const struct inode *dir)
{
	if (UNLIKELY(!inode_is_dir(dir)))
		return -ENOTDIR;
	if (w->perm_ok) {
		w->perm_ok = false;
		return 0;
	}
	if (dir->ops->permission)
		return WALK_SLOW;
	if ((__atomic_load_n(&dir->mode, __ATOMIC_RELAXED) & 0111) == 0111)
		return 0;
	return inode_generic_permission(dir, MAY_EXEC, w->at->cred);
}

/* From cur to the named child. given: the child, already looked up (its parent was checked), or NULL. */
static int step_to_child(struct walk *w, struct path *cur, const struct component *c, struct dentry *given)
{
	struct path p = {cur->mnt, given};
	int ret;

	if (!given) {
		struct dentry *dir = cur->dentry;

		if (c->len > VFS_NAME_MAX)
			return -ENAMETOOLONG;
		if (dir->inode->ops->revalidate)
			return WALK_SLOW;
		p.dentry =
			dentry_find_locked(w->v, dir, c->name, c->len, dentry_hash(w->v, dir, c->name, c->len));
		if (!p.dentry)
			return WALK_SLOW;
	}
	if (!p.dentry->inode)
		return -ENOENT;
	advance(w, c);
	ret = cross_locked(w, &p);
	if (ret < 0)
		return ret;
	if (UNLIKELY(inode_is_link(p.dentry->inode)) &&
	    (!c->final || w->need_dir || (w->flags & LOOKUP_FOLLOW)))
		return walk_link(w, cur, p.dentry);
	*cur = p;
	return 0;
}

static int walk_run(struct walk *w, struct path *cur, struct dentry *given)
{
	struct component c;
	int ret;

	if (given)
		w->perm_ok = true;
	while (next_component(w, &c)) {
		ret = may_pass(w, cur->dentry->inode);
		if (ret)
			return ret;
		if (w->at->basis && !cur->dentry->super->stable)
			w->at->basis->unstable = true;
		if (c.final) {
			w->need_dir |= c.slash;
			w->last_type = c.type;
			if (w->parent_only) {
				w->last = c.name;
				w->last_len = c.len;
				w->last_slash = c.slash;
				return 0;
			}
		}
		if (LIKELY(c.type == LAST_NORM)) {
			ret = step_to_child(w, cur, &c, given);
			given = NULL;
		} else {
			ret = c.type == LAST_DOTDOT ? walk_up(w, cur) : 0;
			if (ret == 0)
				advance(w, &c);
		}
		if (ret)
			return ret;
	}
	w->last_type = LAST_ROOT;
	if ((w->need_dir || (w->flags & LOOKUP_DIRECTORY)) && !w->parent_only &&
	    !inode_is_dir(cur->dentry->inode))
		return -ENOTDIR;
	return 0;
}

/* Before the lock goes: references for all that the walk still needs. */
static void take_references(struct walk *w)
{
	if (!w->own_root) {
		path_get(&w->root);
		w->own_root = true;
	}
	for (; w->held_count < w->hold_count; w->held_count++)
		if (w->hold[w->held_count].inode)
			inode_get(w->hold[w->held_count].inode);
}

static int walk_fast(struct walk *w, struct dentry *given)
{
	struct path cur = w->path, old = w->path;
	bool put = w->own_path;
	int ret;

	rwlock_read(&w->v->dentry_lock);
	ret = walk_run(w, &cur, given);
	w->own_path = ret >= 0;
	if (ret >= 0) {
		path_get(&cur);
		w->path = cur;
		if (ret == WALK_SLOW || w->parent_only || (w->flags & SCOPED))
			take_references(w);
	}
	rwlock_read_unlock(&w->v->dentry_lock);
	release_fs(w);
	if (put)
		path_put(&old);
	return ret;
}

static int add_negative(struct dentry *dir, const char *name, size_t len, struct dentry **out)
{
	if (!dir->super->cache_negative)
		return -ENOENT;
	return dentry_add(dir, name, len, NULL, out);
}

int dir_child_locked(struct dentry *dir, const char *name, size_t len, struct dentry **out)
{
	struct inode *di = dir->inode, *i;
	int ret;

	if (len > VFS_NAME_MAX)
		return -ENAMETOOLONG;
	*out = dentry_lookup(dir, name, len);
	if (*out)
		return 0;
	if (!di->ops->lookup)
		return -ENOTDIR;
	ret = di->ops->lookup(di, name, len, &i);
	if (ret == -ENOENT)
		return add_negative(dir, name, len, out);
	if (ret < 0)
		return ret;
	return dentry_add(dir, name, len, i, out);
}

int dir_child(struct dentry *dir, const char *name, size_t len, struct dentry **out)
{
	struct inode *di = dir->inode;
	struct dentry *d;
	int ret;

	if (len > VFS_NAME_MAX)
		return -ENAMETOOLONG;
	d = dentry_lookup(dir, name, len);
	if (d && di->ops->revalidate && !d->mounts) {
		ret = di->ops->revalidate(di, name, len, d->inode);
		if (ret <= 0) {
			if (ret == 0)
				dentry_drop(d);
			dentry_put(d);
			d = NULL;
			if (ret < 0)
				return ret;
		}
	}
	if (d) {
		*out = d;
		return 0;
	}
	mutex_lock(&di->lock);
	ret = dir_child_locked(dir, name, len, out);
	mutex_unlock(&di->lock);
	return ret;
}

int vfs_entry(struct dentry *dir, const char *name, size_t len, struct dentry **out)
{
	struct dentry *d;
	int ret = dir_child(dir, name, len, &d);

	if (ret < 0)
		return ret;
	if (!__atomic_load_n(&d->inode, __ATOMIC_ACQUIRE) || __atomic_load_n(&d->mounts, __ATOMIC_RELAXED)) {
		dentry_put(d);
		return -ENOENT;
	}
	*out = d;
	return 0;
}

int lock_child(struct dentry *dir, const char *name, size_t len, struct dentry **out)
{
	struct inode *di = dir->inode;
	int ret;

	*out = NULL;
	if (di->ops->revalidate) {
		ret = dir_child(dir, name, len, out);
		if (ret < 0 && ret != -ENOENT)
			return ret;
		if (*out)
			dentry_put(*out);
		*out = NULL;
	}
	mutex_lock(&di->lock);
	ret = dir_child_locked(dir, name, len, out);
	if (ret == -ENOENT) {
		*out = NULL;
		ret = 0;
	}
	if (ret < 0)
		mutex_unlock(&di->lock);
	return ret;
}

/* The text of w->link into memory that the walk holds. */
static int read_link_text(struct walk *w, char **out)
{
	struct inode *i = w->link->inode;
	size_t size = 256;

	for (;;) {
		char *buf = kmalloc(size);
		ssize_t n;

		if (!buf)
			return -ENOMEM;
		if (i->ops->readlink_at)
			n = i->ops->readlink_at(i, w->at, buf, size - 1);
		else
			n = i->ops->readlink ? i->ops->readlink(i, buf, size - 1) : -EINVAL;
		if (n >= 0 && ((size_t)n < size - 1 || size == VFS_PATH_MAX)) {
			buf[n] = 0;
			*out = buf;
			return 0;
		}
		kfree(buf);
		if (n < 0)
			return (int)n;
		size = VFS_PATH_MAX;
	}
}

static int follow_magic(struct walk *w)
{
	struct inode *i = w->link->inode;
	struct path p;
	int ret;

	if (w->flags & LOOKUP_NO_MAGIC)
		return -ELOOP;
	if (w->flags & SCOPED)
		return -EXDEV;
	ret = i->ops->follow(i, w->at->cred, &p);
	if (ret < 0)
		return ret;
	if ((w->flags & LOOKUP_NO_XDEV) && p.mnt != w->path.mnt) {
		path_put(&p);
		return -EXDEV;
	}
	path_put(&w->path);
	w->path = p;
	return 0;
}

static int slow_link(struct walk *w)
{
	struct path cur = w->path;
	char *text = NULL;
	int ret;

	if (w->link->inode->ops->follow) {
		ret = follow_magic(w);
	} else {
		ret = read_link_text(w, &text);
		if (ret == 0) {
			w->hold[w->hold_count++] = (struct walk_hold){.buf = text};
			w->held_count = w->hold_count;
			ret = walk_jump(w, &cur, text);
			if (ret == 0 && !path_equal(&cur, &w->path)) {
				path_get(&cur);
				path_put(&w->path);
				w->path = cur;
			}
		}
	}
	dentry_put(w->link);
	w->link = NULL;
	return ret;
}

/* What stopped the run: a link, or the component at w->name. */
static int walk_slow(struct walk *w, struct dentry **child)
{
	struct inode *dir = w->path.dentry->inode;
	struct component c;
	int ret;

	if (w->link)
		return slow_link(w);
	if (!next_component(w, &c))
		return 0;
	ret = inode_permission(dir, MAY_EXEC, w->at->cred);
	if (ret < 0)
		return ret;
	w->perm_ok = true;
	if (c.type != LAST_NORM || (c.final && w->parent_only))
		return 0;
	return dir_child(w->path.dentry, c.name, c.len, child);
}

int walk_do(struct walk *w)
{
	struct dentry *child = NULL;
	int ret;

	for (;;) {
		ret = walk_fast(w, child);
		if (child) {
			dentry_put(child);
			child = NULL;
		}
		if (ret <= 0)
			break;
		ret = walk_slow(w, &child);
		if (ret < 0)
			break;
	}
	/* A rename or mount during a slow step may have moved the place out of the scope. */
	if (ret == 0 && (w->flags & SCOPED) && !vfs_path_reachable(&w->path, &w->root))
		return -EXDEV;
	return ret;
}

int walk_follow_last(struct walk *w, struct dentry *d)
{
	struct path cur = w->path;
	int ret;

	w->name = "";
	rwlock_read(&w->v->dentry_lock);
	take_references(w);
	ret = walk_link(w, &cur, d);
	if (ret >= 0)
		take_references(w);
	if (ret == 0 && !path_equal(&cur, &w->path))
		path_get(&cur);
	rwlock_read_unlock(&w->v->dentry_lock);
	if (ret < 0)
		return ret;
	if (ret == 0 && !path_equal(&cur, &w->path)) {
		path_put(&w->path);
		w->path = cur;
	}
	if (ret == WALK_SLOW) {
		ret = slow_link(w);
		if (ret < 0)
			return ret;
	}
	return walk_do(w);
}

int walk_last_dotdot(struct walk *w)
{
	struct path cur = w->path;
	int ret;

	rwlock_read(&w->v->dentry_lock);
	ret = walk_up(w, &cur);
	if (ret == 0)
		path_get(&cur);
	rwlock_read_unlock(&w->v->dentry_lock);
	if (ret < 0)
		return ret;
	path_put(&w->path);
	w->path = cur;
	return 0;
}

void walk_take_path(struct walk *w, struct path *out)
{
	*out = w->path;
	w->own_path = false;
}

int vfs_lookup(const struct vfs_at *at, const char *name, uint32_t flags, struct path *out)
{
	struct walk w;
	int ret = walk_begin(&w, at, name, flags, false);

	if (ret < 0)
		return ret;
	ret = walk_do(&w);
	if (ret == 0)
		walk_take_path(&w, out);
	walk_end(&w);
	return ret;
}
