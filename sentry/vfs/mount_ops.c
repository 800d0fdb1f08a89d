/* mount_ops.c: mount(2), umount2(2), pivot_root(2). Names are looked up first, without locks; the tree is
 * changed under mount_lock, and the waiters of /proc/mounts are woken after it is dropped. */
#include <string.h>

#include "sentry/vfs/internal.h"

static bool may_mount(const struct vfs_at *at)
{
	return cred_has_cap_in(at->cred, LINUX_CAP_SYS_ADMIN, at->ns->owner);
}

static void tell_watchers(struct mount_ns *ns)
{
	waitq_wake(&ns->wq, EV_PRI | EV_ERR);
}

static bool is_mount_root(const struct path *p)
{
	return p->mnt && p->dentry == p->mnt->root;
}

/* The topmost mount at p; mount_lock held. Borrowed. */
static struct path topmost(struct vfs *v, const struct path *p)
{
	struct path at = *p;
	struct mount *m;

	while ((m = mount_find_locked(v, at.mnt, at.dentry)))
		at = (struct path){m, m->root};
	return at;
}

/* Puts the tree m at p in namespace ns (p's own when NULL). Takes over the caller's reference. */
static int place_tree(struct vfs *v, struct mount *m, const struct path *p, struct mount_ns *ns,
		      bool refuse_same)
{
	struct path at;
	struct mount *i;
	struct list gone;
	int ret = -EINVAL;

	list_init(&gone);
	mount_write_lock(v);
	at = topmost(v, p);
	if (!at.mnt || !at.mnt->ns || (ns && at.mnt->ns != ns))
		goto out;
	ret = -ENOENT;
	/* nothing covers a link: only /proc/self/fd can name one here, and Linux refuses that */
	if (at.dentry->unhashed || inode_is_link(at.dentry->inode))
		goto out;
	ret = -ENOTDIR;
	if (inode_is_dir(at.dentry->inode) != inode_is_dir(m->root->inode))
		goto out;
	ret = -EBUSY;
	if (refuse_same && at.mnt->super == m->super && at.dentry == m->root)
		goto out;
	ret = mount_attach_tree_locked(m, at.mnt, at.dentry, at.mnt->ns);
	ns = at.mnt->ns;
out:
	if (ret < 0) {
		while ((i = m)) {
			while (!list_empty(&i->children))
				i = list_first(&i->children, struct mount, siblings);
			mount_unlink_locked(i);
			list_add_tail(&gone, &i->ns_node);
			if (i == m)
				break;
		}
	}
	mount_write_unlock(v);
	mount_put_list(&gone);
	if (ret == 0)
		tell_watchers(ns);
	return ret;
}

int vfs_mount_super(const struct path *p, struct super *s, struct dentry *sub, uint32_t flags)
{
	struct mount *m;
	int ret = mount_create(s, sub ? sub : s->root, flags & MOUNT_FLAGS, &m);

	if (ret < 0)
		return ret;
	return place_tree(s->vfs, m, p, NULL, false);
}

static uint32_t kept_flags(uint64_t flags)
{
	uint32_t f =
		(uint32_t)flags & (MOUNT_FLAGS & ~LINUX_MS_RELATIME); /* which is the default, not asked for */

	if (flags & LINUX_MS_STRICTATIME)
		f &= ~(uint32_t)(LINUX_MS_RELATIME | LINUX_MS_NOATIME);
	else if (!(flags & LINUX_MS_NOATIME))
		f |= LINUX_MS_RELATIME;
	return f;
}

static const struct fs_type *find_type(const struct vfs *v, const char *name)
{
	for (uint32_t i = 0; i < v->type_count; i++)
		if (!strcmp(v->types[i]->name, name))
			return v->types[i];
	return NULL;
}

static int mount_new(const struct vfs_at *at, const char *source, const struct path *p, const char *type,
		     uint64_t flags, const char *data)
{
	struct vfs *v = at->ns->vfs;
	const struct fs_type *t;
	struct super *s;
	struct mount *m;
	int ret;

	if (!type)
		return -EINVAL;
	t = find_type(v, type);
	if (!t)
		return -ENODEV;
	if (at->ns->owner->parent) {
		if (!t->user_mountable)
			return -EPERM;
		flags |= LINUX_MS_NODEV;
	}
	ret = t->mount(v, at, source, flags, data, &s);
	if (ret < 0)
		return ret;
	if (flags & LINUX_MS_RDONLY)
		__atomic_store_n(&s->read_only, true, __ATOMIC_RELAXED);
	ret = mount_create(s, s->root, kept_flags(flags), &m);
	if (ret == 0)
		ret = place_tree(v, m, p, at->ns, true);
	super_put(s);
	return ret;
}

static bool has_locked_children(const struct mount *m, struct dentry *root)
{
	struct mount *c;

	list_for_each (c, &m->children, siblings)
		if (c->locked && dentry_is_below(m->super->vfs, c->mountpoint, root))
			return true;
	return false;
}

/* Of the files without a name, only namespaces can be given one (ip-netns(8) keeps them so). */
static bool names_namespace(const struct inode *i)
{
	return i->fops && i->fops->name && strcmp(i->fops->name, "nsfs") == 0;
}

static int mount_bind(const struct vfs_at *at, const char *source, const struct path *p, uint64_t flags)
{
	struct vfs *v = at->ns->vfs;
	struct path from;
	struct mount *m;
	int ret;

	if (!source || !*source)
		return -EINVAL;
	ret = vfs_lookup(at, source, LOOKUP_FOLLOW, &from);
	if (ret < 0)
		return ret;
	mount_write_lock(v);
	if (!from.mnt && names_namespace(from.dentry->inode))
		ret = mount_create(v->anon, from.dentry, 0, &m);
	else if (!from.mnt || from.mnt->ns != at->ns)
		ret = -EINVAL;
	else if (from.dentry->unhashed)
		ret = -ENOENT;
	else if (!(flags & LINUX_MS_REC) && has_locked_children(from.mnt, from.dentry))
		ret = -EINVAL;
	else
		ret = mount_copy_tree_locked(from.mnt, from.dentry, flags & LINUX_MS_REC ? COPY_RECURSIVE : 0,
					     &m);
	mount_write_unlock(v);
	if (ret == 0)
		ret = place_tree(v, m, p, at->ns, false);
	path_put(&from);
	return ret;
}

static int mount_change_type(const struct vfs_at *at, const struct path *p, uint64_t flags)
{
	uint32_t type =
		(uint32_t)flags & (LINUX_MS_SHARED | LINUX_MS_PRIVATE | LINUX_MS_SLAVE | LINUX_MS_UNBINDABLE);
	struct vfs *v = at->ns->vfs;

	if ((flags & ~(uint64_t)(LINUX_MS_REC | LINUX_MS_SILENT)) != type || (type & (type - 1)))
		return -EINVAL;
	if (!is_mount_root(p))
		return -EINVAL;
	mount_write_lock(v);
	for (struct mount *m = p->mnt; m; m = flags & LINUX_MS_REC ? mount_next(m, p->mnt) : NULL)
		mount_set_type_locked(m, type);
	mount_write_unlock(v);
	tell_watchers(at->ns);
	return 0;
}

static bool tree_has_unbindable(struct mount *top)
{
	for (struct mount *m = top; m; m = mount_next(m, top))
		if (m->propagation == LINUX_MS_UNBINDABLE)
			return true;
	return false;
}

static int may_move(const struct path *from, const struct path *to, const struct mount_ns *ns)
{
	struct mount *m = from->mnt;

	if (to->dentry->unhashed)
		return -ENOENT;
	if (!is_mount_root(from) || m->ns != ns || !to->mnt || to->mnt->ns != ns || m->locked ||
	    (m->parent && m->parent->peer_group))
		return -EINVAL;
	if (inode_is_dir(to->dentry->inode) != inode_is_dir(from->dentry->inode))
		return -EINVAL;
	if (to->mnt->peer_group && tree_has_unbindable(m))
		return -EINVAL;
	return mount_is_below(to->mnt, m) ? -ELOOP : 0;
}

static int mount_move(const struct vfs_at *at, const char *source, const struct path *p)
{
	struct vfs *v = at->ns->vfs;
	struct path from, to;
	int ret;

	if (!source || !*source)
		return -EINVAL;
	ret = vfs_lookup(at, source, LOOKUP_FOLLOW, &from);
	if (ret < 0)
		return ret;
	mount_write_lock(v);
	to = topmost(v, p);
	ret = may_move(&from, &to, at->ns);
	if (ret == 0) {
		struct mount *m = from.mnt, *old_parent = m->parent;
		struct dentry *old_at = m->mountpoint;

		dentry_get(old_at);
		mount_unlink_locked(m);
		for (struct mount *i = m; i; i = mount_next(i, m))
			mount_leave_locked(i);
		ret = mount_attach_tree_locked(m, to.mnt, to.dentry, at->ns);
		if (ret < 0) { /* back where it was */
			for (struct mount *i = m; i; i = mount_next(i, m))
				mount_join_locked(i, at->ns);
			mount_link_locked(m, old_parent, old_at);
		}
		dentry_put(old_at);
	}
	mount_write_unlock(v);
	path_put(&from);
	if (ret == 0)
		tell_watchers(at->ns);
	return ret;
}

static bool super_has_writers(struct super *s)
{
	struct mount *m;

	list_for_each (m, &s->vfs->mounts, all_node)
		if (m->super == s && __atomic_load_n(&m->writers, __ATOMIC_ACQUIRE))
			return true;
	return false;
}

static int remount_flags_locked(struct mount *m, uint64_t flags)
{
	uint32_t old = m->flags, new = kept_flags(flags);

	if (!(flags & (MOUNT_ATIME | LINUX_MS_STRICTATIME)))
		new = (new & ~(uint32_t)MOUNT_ATIME) | (old & MOUNT_ATIME);
	if (m->locked_flags & ~new)
		return -EPERM;
	if ((new & ~old &LINUX_MS_RDONLY) && __atomic_load_n(&m->writers, __ATOMIC_ACQUIRE))
		return -EBUSY;
	__atomic_store_n(&m->flags, new, __ATOMIC_RELEASE);
	return 0;
}

static int mount_remount(const struct vfs_at *at, const struct path *p, uint64_t flags, const char *data)
{
	struct vfs *v = at->ns->vfs;
	struct super *s;
	bool ro = flags & LINUX_MS_RDONLY;
	int ret = 0;

	if (!is_mount_root(p) || p->mnt->ns != at->ns)
		return -EINVAL;
	s = p->mnt->super;
	if (!(flags & LINUX_MS_BIND)) {
		if (at->ns->owner->parent)
			return -EPERM;
		if (s->ops && s->ops->remount)
			ret = s->ops->remount(s, data);
		if (ret < 0)
			return ret;
	}
	mount_write_lock(v);
	if (!(flags & LINUX_MS_BIND) && ro && !s->read_only && super_has_writers(s))
		ret = -EBUSY;
	if (ret == 0)
		ret = remount_flags_locked(p->mnt, flags);
	if (ret == 0 && !(flags & LINUX_MS_BIND))
		__atomic_store_n(&s->read_only, ro, __ATOMIC_RELEASE);
	mount_write_unlock(v);
	if (ret == 0)
		tell_watchers(at->ns);
	return ret;
}

int vfs_mount(const struct vfs_at *at, const char *source, const char *target, const char *type, uint64_t flags,
	      const char *data)
{
	struct path p;
	int ret;

	if ((flags & LINUX_MS_MGC_MSK) == LINUX_MS_MGC_VAL)
		flags &= ~(uint64_t)LINUX_MS_MGC_MSK;
	ret = vfs_lookup(at, target, LOOKUP_FOLLOW, &p);
	if (ret < 0)
		return ret;
	if (!may_mount(at))
		ret = -EPERM;
	else if (flags & LINUX_MS_REMOUNT)
		ret = mount_remount(at, &p, flags, data);
	else if (flags & LINUX_MS_BIND)
		ret = mount_bind(at, source, &p, flags);
	else if (flags & (LINUX_MS_SHARED | LINUX_MS_PRIVATE | LINUX_MS_SLAVE | LINUX_MS_UNBINDABLE))
		ret = mount_change_type(at, &p, flags);
	else if (flags & LINUX_MS_MOVE)
		ret = mount_move(at, source, &p);
	else
		ret = mount_new(at, source, &p, type, flags, data);
	path_put(&p);
	return ret;
}

#define MNT_FORCE	1u
#define MNT_DETACH	2u
#define MNT_EXPIRE	4u
#define UMOUNT_NOFOLLOW 8u

/* The namespace's reference and the caller's. */
static bool mount_busy(const struct mount *m)
{
	return !list_empty(&m->children) || refs_read(&m->refs) > 2;
}

static int umount_locked(struct mount *m, const struct mount_ns *ns, uint32_t flags, struct list *gone)
{
	if (m->ns != ns || m->locked)
		return -EINVAL;
	if (!m->parent)
		return flags & MNT_DETACH ? -EINVAL : -EBUSY;
	if (!(flags & MNT_DETACH) && mount_busy(m))
		return -EBUSY;
	if ((flags & MNT_EXPIRE) && !m->expiring) {
		m->expiring = true;
		return -EAGAIN;
	}
	mount_detach_propagated_locked(m, gone);
	return 0;
}

int vfs_umount(const struct vfs_at *at, const char *target, uint32_t flags)
{
	struct vfs *v = at->ns->vfs;
	struct list gone;
	struct path p;
	int ret;

	if (flags & ~(MNT_FORCE | MNT_DETACH | MNT_EXPIRE | UMOUNT_NOFOLLOW))
		return -EINVAL;
	ret = vfs_lookup(at, target, flags & UMOUNT_NOFOLLOW ? 0 : LOOKUP_FOLLOW, &p);
	if (ret < 0)
		return ret;
	path_cross_mounts(v, &p); /* "." may have been covered since it became the current directory */
	list_init(&gone);
	if (!may_mount(at))
		ret = -EPERM;
	else if (!is_mount_root(&p) || ((flags & MNT_EXPIRE) && (flags & (MNT_FORCE | MNT_DETACH))))
		ret = -EINVAL;
	else {
		mount_write_lock(v);
		ret = umount_locked(p.mnt, at->ns, flags, &gone);
		mount_write_unlock(v);
	}
	dentry_put(p.dentry);
	mount_drop(p.mnt); /* our own use is none for MNT_EXPIRE */
	mount_put_list(&gone);
	if (ret == 0)
		tell_watchers(at->ns);
	return ret;
}

static int may_pivot(const struct path *root, const struct path *new, const struct path *old,
		     const struct mount_ns *ns)
{
	struct mount *r = root->mnt, *n = new->mnt;

	if (!r || !n || !old->mnt || old->mnt->peer_group || (n->parent && n->parent->peer_group) ||
	    (r->parent && r->parent->peer_group))
		return -EINVAL;
	if (r->ns != ns || n->ns != ns || old->mnt->ns != ns || n->locked)
		return -EINVAL;
	if (new->dentry->unhashed || old->dentry->unhashed)
		return -ENOENT;
	if (n == r || old->mnt == r)
		return -EBUSY;
	if (root->dentry != r->root || new->dentry != n->root || !n->parent)
		return -EINVAL;
	if (!vfs_path_reachable(old, new) || !vfs_path_reachable(new, root))
		return -EINVAL;
	return 0;
}

static void pivot_locked(struct mount_ns *ns, const struct path *root, const struct path *new,
			 const struct path *old)
{
	struct mount *r = root->mnt, *n = new->mnt, *parent = r->parent;
	struct dentry *at = r->mountpoint;
	bool locked = r->locked;

	if (parent)
		dentry_get(at);
	mount_unlink_locked(n);
	mount_unlink_locked(r);
	mount_link_locked(r, old->mnt, old->dentry);
	if (parent) {
		mount_link_locked(n, parent, at);
		dentry_put(at);
	} else {
		ns->root = n;
	}
	if (locked) {
		r->locked = false;
		n->locked = true;
	}
}

/* Everybody who stood on the old root stands on the new one. */
static void move_contexts(struct vfs *v, const struct path *from, const struct path *to)
{
	struct fs_context *fs;
	uint32_t moved = 0;

	change_begin(&v->words[CHANGE_NAMES]);
	mutex_lock(&v->fs_list_lock);
	list_for_each (fs, &v->fs_contexts, node) {
		mutex_lock(&fs->lock);
		if (path_equal(&fs->root, from)) {
			fs->root = *to;
			path_get(to);
			moved++;
		}
		if (path_equal(&fs->cwd, from)) {
			fs->cwd = *to;
			path_get(to);
			moved++;
		}
		mutex_unlock(&fs->lock);
	}
	mutex_unlock(&v->fs_list_lock);
	change_end(&v->words[CHANGE_NAMES]);
	while (moved--)
		path_put(from);
}

int vfs_pivot_root(const struct vfs_at *at, const char *new_root, const char *put_old)
{
	struct vfs *v = at->ns->vfs;
	struct path new, old, root, top;
	int ret;

	if (!may_mount(at))
		return -EPERM;
	ret = vfs_lookup(at, new_root, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &new);
	if (ret < 0)
		return ret;
	ret = vfs_lookup(at, put_old, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &old);
	if (ret < 0) {
		path_put(&new);
		return ret;
	}
	fs_context_root(at->fs, &root);
	mount_write_lock(v);
	top = topmost(v, &old);
	ret = may_pivot(&root, &new, &top, at->ns);
	if (ret == 0)
		pivot_locked(at->ns, &root, &new, &top);
	mount_write_unlock(v);
	if (ret == 0) {
		move_contexts(v, &root, &new);
		tell_watchers(at->ns);
	}
	path_put(&root);
	path_put(&old);
	path_put(&new);
	return ret;
}
