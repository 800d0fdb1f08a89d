/* path.c: paths, the contexts that names start from, and names for paths. */
#include <string.h>

#include "sentry/vfs/internal.h"

void path_get(const struct path *p)
{
	if (p->mnt)
		mount_get(p->mnt);
	dentry_get(p->dentry);
}

void path_put(const struct path *p)
{
	dentry_put(p->dentry);
	if (p->mnt)
		mount_put(p->mnt);
}

bool path_equal(const struct path *a, const struct path *b)
{
	return a->mnt == b->mnt && a->dentry == b->dentry;
}

static struct vfs *context_vfs(const struct fs_context *fs)
{
	return fs->root.dentry->super->vfs;
}

int fs_context_create(const struct path *root, const struct path *cwd, uint32_t umask, struct fs_context **out)
{
	struct fs_context *fs = kmalloc(sizeof(*fs));
	struct vfs *v;

	if (!fs)
		return -ENOMEM;
	refs_init(&fs->refs);
	mutex_init(&fs->lock, RANK_FS_CONTEXT);
	fs->root = *root;
	fs->cwd = *cwd;
	path_get(root);
	path_get(cwd);
	fs->umask = umask;
	v = context_vfs(fs);
	mutex_lock(&v->fs_list_lock);
	list_add_tail(&v->fs_contexts, &fs->node);
	mutex_unlock(&v->fs_list_lock);
	*out = fs;
	return 0;
}

int fs_context_copy(struct fs_context *fs, struct fs_context **out)
{
	struct path root, cwd;
	int ret;

	mutex_lock(&fs->lock);
	root = fs->root;
	cwd = fs->cwd;
	path_get(&root);
	path_get(&cwd);
	mutex_unlock(&fs->lock);
	ret = fs_context_create(&root, &cwd, __atomic_load_n(&fs->umask, __ATOMIC_RELAXED), out);
	path_put(&cwd);
	path_put(&root);
	return ret;
}

void fs_context_put(struct fs_context *fs)
{
	struct vfs *v;

	if (!refs_put(&fs->refs))
		return;
	v = context_vfs(fs);
	mutex_lock(&v->fs_list_lock);
	list_del(&fs->node);
	mutex_unlock(&v->fs_list_lock);
	path_put(&fs->cwd);
	path_put(&fs->root);
	kfree(fs);
}

void fs_context_root(struct fs_context *fs, struct path *out)
{
	mutex_lock(&fs->lock);
	*out = fs->root;
	path_get(out);
	mutex_unlock(&fs->lock);
}

void fs_context_cwd(struct fs_context *fs, struct path *out)
{
	mutex_lock(&fs->lock);
	*out = fs->cwd;
	path_get(out);
	mutex_unlock(&fs->lock);
}

static void replace(struct fs_context *fs, struct path *slot, const struct path *p)
{
	struct path old;

	uint64_t *names = &p->dentry->super->vfs->words[CHANGE_NAMES];

	path_get(p);
	mutex_lock(&fs->lock);
	change_begin(names);
	old = *slot;
	*slot = *p;
	change_end(names);
	mutex_unlock(&fs->lock);
	path_put(&old);
}

void fs_context_set_cwd(struct fs_context *fs, const struct path *p)
{
	replace(fs, &fs->cwd, p);
}

void fs_context_set_root(struct fs_context *fs, const struct path *p)
{
	replace(fs, &fs->root, p);
}

/* Writes text before *at; false when it doesn't fit. */
static bool prepend(char *buf, char **at, const char *text, size_t n)
{
	if ((size_t)(*at - buf) < n)
		return false;
	*at -= n;
	memcpy(*at, text, n);
	return true;
}

/* One step up: false at the top. */
static bool step_up(struct path *cur)
{
	while (cur->mnt && cur->dentry == cur->mnt->root) {
		if (!cur->mnt->parent)
			return false;
		cur->dentry = cur->mnt->mountpoint;
		cur->mnt = cur->mnt->parent;
	}
	if (cur->dentry->parent == cur->dentry)
		return false;
	cur->dentry = cur->dentry->parent;
	return true;
}

static const char deleted[] = " (deleted)";

/* "pipe:[7]" and the like: objects that never had a place. */
static char *anon_name(const struct path *p, char *buf, size_t size)
{
	const struct inode *i = p->dentry->inode;
	const char *kind = inode_is(i, LINUX_S_IFIFO) ? "pipe" : inode_is(i, LINUX_S_IFSOCK) ? "socket" : NULL;
	char digits[24], *d = digits + sizeof(digits), *at = buf + size;
	uint64_t n = i->ino;
	bool ok;

	if (!kind) {
		const char *name = i->fops && i->fops->name ? i->fops->name : p->dentry->name;
		size_t len = strlen(name) + 1;

		return prepend(buf, &at, name, len) ? at : NULL;
	}
	do
		*--d = (char)('0' + n % 10);
	while (n /= 10);
	ok = prepend(buf, &at, "]", 2) && prepend(buf, &at, d, (size_t)(digits + sizeof(digits) - d)) &&
	     prepend(buf, &at, ":[", 2) && prepend(buf, &at, kind, strlen(kind));
	return ok ? at : NULL;
}

/* dentry_lock held. mark: say so when the place was removed. */
static char *path_name_locked(const struct path *p, const struct path *root, bool mark, char *buf, size_t size)
{
	struct path cur = *p;
	char *at = buf + size, *end;
	bool ok = prepend(buf, &at, "", 1);

	if (ok && mark && cur.dentry->unhashed)
		ok = prepend(buf, &at, deleted, sizeof(deleted) - 1);
	if (!p->mnt) { /* a file of its own (memfd) */
		ok = ok && prepend(buf, &at, cur.dentry->name, cur.dentry->name_len) &&
		     prepend(buf, &at, "/", 1);
		return ok ? at : NULL;
	}
	end = at;
	while (ok && !(root && path_equal(&cur, root))) {
		struct path here = cur;

		/* the name belongs to the dentry that the step leaves */
		while (here.dentry == here.mnt->root && here.mnt->parent &&
		       !(root && path_equal(&here, root))) {
			here.dentry = here.mnt->mountpoint;
			here.mnt = here.mnt->parent;
		}
		if (root && path_equal(&here, root))
			break;
		cur = here;
		if (!step_up(&cur))
			break;
		ok = prepend(buf, &at, here.dentry->name, here.dentry->name_len) && prepend(buf, &at, "/", 1);
	}
	if (ok && at == end)
		ok = prepend(buf, &at, "/", 1);
	return ok ? at : NULL;
}

char *vfs_path_name(const struct path *p, const struct path *root, char *buf, size_t size)
{
	struct vfs *v = p->dentry->super->vfs;
	char *name;

	if (p->dentry->super == v->anon)
		return anon_name(p, buf, size);
	rwlock_read(&v->dentry_lock);
	name = path_name_locked(p, root, true, buf, size);
	rwlock_read_unlock(&v->dentry_lock);
	return name;
}

char *path_name_unmarked(const struct path *p, const struct path *root, char *buf, size_t size)
{
	struct vfs *v = p->dentry->super->vfs;
	char *name;

	rwlock_read(&v->dentry_lock);
	name = path_name_locked(p, root, false, buf, size);
	rwlock_read_unlock(&v->dentry_lock);
	return name;
}

static bool below_locked(const struct dentry *d, const struct dentry *ancestor)
{
	while (d != ancestor && d->parent != d)
		d = d->parent;
	return d == ancestor;
}

void vfs_inode_name(struct inode *i, char *buf, size_t size)
{
	struct vfs *v = i->super->vfs;
	struct path p = {0};
	struct mount *m;
	char *name = NULL;

	rwlock_read(&v->dentry_lock);
	p.dentry = __atomic_load_n(&i->alias, __ATOMIC_ACQUIRE);
	if (p.dentry && p.dentry->parent != p.dentry) {
		list_for_each (m, &v->mounts, all_node) {
			if (m->super != i->super || !below_locked(p.dentry, m->root))
				continue;
			p.mnt = m;
			break;
		}
	}
	if (p.dentry)
		name = path_name_locked(&p, NULL, true, buf, size);
	rwlock_read_unlock(&v->dentry_lock);
	if (name)
		memmove(buf, name, strlen(name) + 1);
	else if (size)
		buf[0] = 0;
}

bool vfs_path_reachable(const struct path *p, const struct path *root)
{
	struct vfs *v = p->dentry->super->vfs;
	struct path cur = *p;
	bool found = false;

	rwlock_read(&v->dentry_lock);
	for (;;) {
		if (path_equal(&cur, root)) {
			found = true;
			break;
		}
		if (cur.mnt && cur.dentry == cur.mnt->root) {
			if (!cur.mnt->parent)
				break;
			cur.dentry = cur.mnt->mountpoint;
			cur.mnt = cur.mnt->parent;
		} else if (cur.dentry->parent == cur.dentry) {
			break;
		} else {
			cur.dentry = cur.dentry->parent;
		}
	}
	rwlock_read_unlock(&v->dentry_lock);
	return found;
}
