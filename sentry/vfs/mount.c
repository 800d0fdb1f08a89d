/* mount.c: mounts, where they are attached, and mount namespaces. References: a namespace holds one on each
 * mount attached in it; a mount holds its super, its root and the dentry it stands on. A child's parent is
 * not counted: detaching a mount takes its children off first. */
#include "platform/base/hash.h"
#include "sentry/vfs/internal.h"

#define MOUNT_BUCKETS 256u

int mount_table_init(struct vfs *v)
{
	rwlock_init(&v->mount_lock, RANK_MOUNT);
	v->mount_hash = kmalloc(MOUNT_BUCKETS * sizeof(*v->mount_hash));
	return v->mount_hash ? 0 : -ENOMEM;
}

static struct list *mount_bucket(const struct vfs *v, const struct mount *m, const struct dentry *d)
{
	return &v->mount_hash[hash_u64((uintptr_t)m ^ ((uintptr_t)d << 1)) % MOUNT_BUCKETS];
}

struct mount *mount_find_locked(const struct vfs *v, const struct mount *m, const struct dentry *d)
{
	struct list *b = mount_bucket(v, m, d), *n;

	for (n = b->next; n && n != b; n = n->next) {
		struct mount *c = list_entry(n, struct mount, hash_node);

		if (c->parent == m && c->mountpoint == d)
			return c;
	}
	return NULL;
}

int mount_create(struct super *s, struct dentry *root, uint32_t flags, struct mount **out)
{
	struct mount *m;

	if (!root)
		return -EINVAL;
	m = kmalloc(sizeof(*m));
	if (!m)
		return -ENOMEM;
	refs_init(&m->refs);
	super_get(s);
	m->super = s;
	dentry_get(root);
	m->root = root;
	m->flags = flags;
	m->propagation = LINUX_MS_PRIVATE;
	m->id = __atomic_add_fetch(&s->vfs->next_mount_id, 1, __ATOMIC_RELAXED);
	list_init(&m->children);
	list_init(&m->siblings);
	list_init(&m->ns_node);
	list_init(&m->hash_node);
	list_init(&m->all_node);
	*out = m;
	return 0;
}

int mount_clone(struct mount *m, struct dentry *root, struct mount **out)
{
	int ret = mount_create(m->super, root, __atomic_load_n(&m->flags, __ATOMIC_RELAXED), out);

	if (ret < 0)
		return ret;
	(*out)->propagation = m->propagation;
	(*out)->peer_group = m->peer_group;
	(*out)->master_group = m->master_group;
	(*out)->locked_flags = m->locked_flags;
	return 0;
}

void mount_get(struct mount *m)
{
	refs_get(&m->refs);
}

void mount_put(struct mount *m)
{
	/* whoever used a mount makes MNT_EXPIRE start again */
	if (UNLIKELY(__atomic_load_n(&m->expiring, __ATOMIC_RELAXED)))
		__atomic_store_n(&m->expiring, false, __ATOMIC_RELAXED);
	mount_drop(m);
}

void mount_drop(struct mount *m)
{
	struct super *s = m->super;

	if (!refs_put(&m->refs))
		return;
	dentry_put(m->root);
	if (m->mountpoint)
		dentry_put(m->mountpoint);
	kfree(m);
	super_put(s);
}

void mount_join_locked(struct mount *m, struct mount_ns *ns)
{
	struct vfs *v = ns->vfs;

	m->ns = ns;
	ns->mount_count++;
	list_add_tail(&ns->mounts, &m->ns_node);
	rwlock_write(&v->dentry_lock); /* vfs_inode_name reads the list under it */
	list_add_tail(&v->mounts, &m->all_node);
	rwlock_write_unlock(&v->dentry_lock);
}

void mount_leave_locked(struct mount *m)
{
	struct vfs *v = m->super->vfs;

	list_del(&m->ns_node);
	rwlock_write(&v->dentry_lock);
	list_del(&m->all_node);
	rwlock_write_unlock(&v->dentry_lock);
	m->ns->mount_count--;
	m->ns = NULL;
}

void mount_link_locked(struct mount *m, struct mount *parent, struct dentry *at)
{
	struct vfs *v = m->super->vfs;
	struct dentry *old = m->mountpoint; /* of a mount that moves */
	struct list *b = mount_bucket(v, parent, at);

	dentry_get(at);
	rwlock_write(&v->dentry_lock);
	m->parent = parent;
	m->mountpoint = at;
	list_add_tail(&parent->children, &m->siblings);
	__atomic_add_fetch(&at->mounts, 1, __ATOMIC_RELAXED);
	if (!b->next)
		list_init(b);
	list_add(b, &m->hash_node);
	rwlock_write_unlock(&v->dentry_lock);
	if (old)
		dentry_put(old);
}

void mount_attach_locked(struct mount *m, struct mount *parent, struct dentry *at, struct mount_ns *ns)
{
	mount_join_locked(m, ns);
	if (parent)
		mount_link_locked(m, parent, at);
}

void mount_unlink_locked(struct mount *m)
{
	struct vfs *v = m->super->vfs;

	if (!m->parent)
		return;
	rwlock_write(&v->dentry_lock);
	list_del(&m->hash_node);
	list_del(&m->siblings);
	__atomic_sub_fetch(&m->mountpoint->mounts, 1, __ATOMIC_RELAXED);
	m->parent = NULL;
	rwlock_write_unlock(&v->dentry_lock);
}

void mount_detach_locked(struct mount *m)
{
	mount_unlink_locked(m);
	mount_leave_locked(m);
	mount_leave_groups_locked(m);
}

struct mount *mount_next(struct mount *m, const struct mount *top)
{
	if (!list_empty(&m->children))
		return list_first(&m->children, struct mount, siblings);
	while (m != top) {
		if (m->siblings.next != &m->parent->children)
			return list_entry(m->siblings.next, struct mount, siblings);
		m = m->parent;
	}
	return NULL;
}

bool mount_is_below(const struct mount *m, const struct mount *ancestor)
{
	for (; m; m = m->parent)
		if (m == ancestor)
			return true;
	return false;
}

void mount_detach_tree_locked(struct mount *m, struct list *gone)
{
	for (;;) {
		struct mount *leaf = m;

		while (!list_empty(&leaf->children))
			leaf = list_first(&leaf->children, struct mount, siblings);
		mount_detach_locked(leaf);
		list_add_tail(gone, &leaf->ns_node);
		if (leaf == m)
			return;
	}
}

void mount_put_list(struct list *gone)
{
	struct mount *m;

	while ((m = list_first(gone, struct mount, ns_node))) {
		list_del(&m->ns_node);
		mount_put(m);
	}
}

static int ns_alloc(struct vfs *v, struct user_ns *owner, struct mount_ns **out)
{
	struct mount_ns *ns = kmalloc(sizeof(*ns));

	if (!ns)
		return -ENOMEM;
	refs_init(&ns->refs);
	ns->vfs = v;
	ns->owner = user_ns_get(owner);
	ns->ino = __atomic_add_fetch(&v->next_ns_ino, 1, __ATOMIC_RELAXED);
	list_init(&ns->mounts);
	waitq_init(&ns->wq);
	*out = ns;
	return 0;
}

int mount_ns_create(struct vfs *v, struct super *root, uint32_t flags, struct user_ns *owner,
		    struct mount_ns **out)
{
	struct mount_ns *ns;
	struct mount *m;
	int ret = ns_alloc(v, owner, &ns);

	if (ret < 0)
		return ret;
	ret = mount_create(root, root->root, flags, &m);
	if (ret < 0) {
		mount_ns_put(ns);
		return ret;
	}
	mount_write_lock(v);
	mount_attach_locked(m, NULL, NULL, ns);
	ns->root = m;
	mount_write_unlock(v);
	*out = ns;
	return 0;
}

void mount_ns_get(struct mount_ns *ns)
{
	refs_get(&ns->refs);
}

void mount_ns_put(struct mount_ns *ns)
{
	struct vfs *v = ns->vfs;
	struct list gone;

	if (!refs_put(&ns->refs))
		return;
	list_init(&gone);
	mount_write_lock(v);
	if (ns->root)
		mount_detach_tree_locked(ns->root, &gone);
	mount_write_unlock(v);
	mount_put_list(&gone);
	user_ns_put(ns->owner);
	kfree(ns);
}

void mount_ns_root(struct mount_ns *ns, struct path *out)
{
	rwlock_read(&ns->vfs->mount_lock);
	out->mnt = ns->root;
	out->dentry = ns->root->root;
	path_get(out);
	rwlock_read_unlock(&ns->vfs->mount_lock);
	path_cross_mounts(ns->vfs, out);
}

/* The context's paths move to the copies of the mounts they stand on; what they held goes to old. */
static int switch_context(struct fs_context *fs, struct mount_ns *ns, struct path old[2])
{
	struct path *slots[2] = {&fs->root, &fs->cwd};
	int n = 0;

	mutex_lock(&fs->lock);
	for (int i = 0; i < 2; i++) {
		struct mount *m = slots[i]->mnt;

		if (!m || m->ns != ns)
			continue;
		old[n++] = *slots[i];
		slots[i]->mnt = m->copy;
		path_get(slots[i]);
	}
	mutex_unlock(&fs->lock);
	return n;
}

int mount_ns_copy(struct mount_ns *ns, struct user_ns *owner, struct fs_context *fs, struct mount_ns **out)
{
	struct vfs *v = ns->vfs;
	bool less = owner != ns->owner;
	struct mount_ns *copy;
	struct path old[2];
	struct mount *m;
	int n = 0, ret = ns_alloc(v, owner, &copy);

	if (ret < 0)
		return ret;
	mount_write_lock(v);
	ret = mount_copy_tree_locked(ns->root, ns->root->root, COPY_RECURSIVE | COPY_UNBINDABLE, &m);
	if (ret == 0) {
		copy->root = m;
		for (struct mount *i = m; i; i = mount_next(i, m)) {
			mount_join_locked(i, copy);
			if (less) {
				i->locked = true;
				i->locked_flags = i->flags & MOUNT_LOCKABLE;
			}
			if (less && i->peer_group) { /* events come in, none go out */
				i->master_group = i->peer_group;
				i->peer_group = 0;
				i->propagation = LINUX_MS_SLAVE;
			}
		}
		if (fs)
			n = switch_context(fs, ns, old);
	}
	mount_write_unlock(v);
	while (n)
		path_put(&old[--n]);
	if (ret < 0) {
		mount_ns_put(copy);
		return ret;
	}
	*out = copy;
	return 0;
}
