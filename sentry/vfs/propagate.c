/* propagate.c: shared subtrees (mount_namespaces(7)): peer groups, slaves, and what mounting and unmounting
 * in one place does in others. Groups are numbers; members are found by looking through all attached mounts,
 * of which there are few. */
#include "sentry/vfs/internal.h"

#define GROUPS_MAX 64

uint32_t mount_new_group(struct vfs *v)
{
	return (uint32_t)__atomic_add_fetch(&v->next_group, 1, __ATOMIC_RELAXED);
}

static bool group_has_members(struct vfs *v, uint32_t group, const struct mount *but)
{
	struct mount *m;

	list_for_each (m, &v->mounts, all_node)
		if (m != but && m->peer_group == group)
			return true;
	return false;
}

/* m leaves; slaves of a group that has nobody left follow its master instead. */
void mount_leave_groups_locked(struct mount *m)
{
	struct vfs *v = m->super->vfs;
	uint32_t group = m->peer_group;
	struct mount *s;

	m->peer_group = 0;
	if (group && !group_has_members(v, group, m)) {
		list_for_each (s, &v->mounts, all_node) {
			if (s->master_group != group)
				continue;
			s->master_group = m->master_group;
			if (!s->master_group && !s->peer_group)
				s->propagation = LINUX_MS_PRIVATE;
		}
	}
	m->master_group = 0;
}

void mount_set_type_locked(struct mount *m, uint32_t type)
{
	struct vfs *v = m->super->vfs;

	if (type == LINUX_MS_SHARED) {
		if (!m->peer_group)
			m->peer_group = mount_new_group(v);
	} else if (type == LINUX_MS_SLAVE) {
		uint32_t group = m->peer_group, master = m->master_group;

		if (group && group_has_members(v, group, m)) {
			m->peer_group = 0;
			m->master_group = group;
		} else if (group) {
			mount_leave_groups_locked(m);
			m->master_group = master;
		}
		if (!m->master_group)
			type = m->propagation == LINUX_MS_UNBINDABLE ? LINUX_MS_UNBINDABLE : LINUX_MS_PRIVATE;
	} else {
		mount_leave_groups_locked(m);
	}
	m->propagation = type;
}

/* Depth-first without m's subtree. */
static struct mount *next_outside(struct mount *m, const struct mount *top)
{
	while (m != top) {
		if (m->siblings.next != &m->parent->children)
			return list_entry(m->siblings.next, struct mount, siblings);
		m = m->parent;
	}
	return NULL;
}

static void drop_tree(struct mount *top)
{
	struct list gone;

	list_init(&gone);
	for (;;) {
		struct mount *leaf = top;

		while (!list_empty(&leaf->children))
			leaf = list_first(&leaf->children, struct mount, siblings);
		mount_unlink_locked(leaf);
		list_add_tail(&gone, &leaf->ns_node);
		if (leaf == top)
			break;
	}
	mount_put_list(&gone);
}

int mount_copy_tree_locked(struct mount *m, struct dentry *root, uint32_t flags, struct mount **out)
{
	struct vfs *v = m->super->vfs;
	struct mount *top, *i;
	int ret;

	if (m->propagation == LINUX_MS_UNBINDABLE && !(flags & COPY_UNBINDABLE))
		return -EINVAL;
	ret = mount_clone(m, root, &top);
	if (ret < 0)
		return ret;
	m->copy = top;
	i = flags & COPY_RECURSIVE ? mount_next(m, m) : NULL;
	while (i) {
		struct mount *c;

		if ((i->propagation == LINUX_MS_UNBINDABLE && !(flags & COPY_UNBINDABLE)) ||
		    (i->parent == m && !dentry_is_below(v, i->mountpoint, root))) {
			i = next_outside(i, m);
			continue;
		}
		ret = mount_clone(i, i->root, &c);
		if (ret < 0) {
			drop_tree(top);
			return ret;
		}
		c->locked = i->locked;
		i->copy = c;
		mount_link_locked(c, i->parent->copy, i->mountpoint);
		i = mount_next(i, m);
	}
	*out = top;
	return 0;
}

struct receivers {
	uint32_t groups[GROUPS_MAX];
	uint32_t count;
};

static bool has_group(const struct receivers *r, uint32_t g)
{
	for (uint32_t i = 0; i < r->count; i++)
		if (g && r->groups[i] == g)
			return true;
	return false;
}

/* The group and all groups that follow it, however far. */
static void find_groups(struct vfs *v, uint32_t group, struct receivers *r)
{
	struct mount *m;
	bool more = true;

	r->groups[0] = group;
	r->count = 1;
	while (more) {
		more = false;
		list_for_each (m, &v->mounts, all_node) {
			if (!m->peer_group || has_group(r, m->peer_group) || !has_group(r, m->master_group) ||
			    r->count == GROUPS_MAX)
				continue;
			r->groups[r->count++] = m->peer_group;
			more = true;
		}
	}
}

static bool receives(const struct receivers *r, const struct mount *m)
{
	return has_group(r, m->peer_group) || has_group(r, m->master_group);
}

/* The copy that receiver q gets of a shared tree: a peer's is a peer, a slave's is a slave. */
static void adopt_types(struct mount *copy, const struct mount *q, uint32_t group)
{
	struct vfs *v = copy->super->vfs;

	if (q->peer_group == group)
		return;
	for (struct mount *i = copy; i; i = mount_next(i, copy)) {
		i->master_group = i->peer_group;
		i->peer_group = q->peer_group ? mount_new_group(v) : 0;
		i->propagation = q->peer_group ? LINUX_MS_SHARED : LINUX_MS_SLAVE;
	}
}

static void attach_whole(struct mount *m, struct mount *parent, struct dentry *d, struct mount_ns *ns)
{
	for (struct mount *i = m; i; i = mount_next(i, m))
		mount_join_locked(i, ns);
	mount_link_locked(m, parent, d);
}

struct pending {
	struct mount *copy, *at;
};

static int count_check(const struct mount_ns *ns, struct mount *tree)
{
	uint32_t n = ns->mount_count;

	for (struct mount *i = tree; i; i = mount_next(i, tree))
		if (++n > MOUNTS_MAX)
			return -ENOSPC;
	return 0;
}

int mount_attach_tree_locked(struct mount *m, struct mount *parent, struct dentry *d, struct mount_ns *ns)
{
	struct vfs *v = m->super->vfs;
	struct receivers *r;
	struct pending *todo = NULL;
	uint32_t count = 0, max = 0;
	struct mount *q;
	int ret = count_check(ns, m);

	if (ret < 0)
		return ret;
	if (!parent->peer_group) {
		attach_whole(m, parent, d, ns);
		return 0;
	}
	r = kmalloc(sizeof(*r));
	if (!r)
		return -ENOMEM;
	for (q = m; q; q = mount_next(q, m))
		if (!q->peer_group)
			mount_set_type_locked(q, LINUX_MS_SHARED);
	find_groups(v, parent->peer_group, r);
	list_for_each (q, &v->mounts, all_node)
		max += receives(r, q);
	todo = kmalloc((max + 1) * sizeof(*todo));
	if (!todo)
		ret = -ENOMEM;
	list_for_each (q, &v->mounts, all_node) {
		if (ret < 0)
			break;
		if (q == parent || !receives(r, q) || q->super != parent->super ||
		    !dentry_is_below(v, d, q->root))
			continue;
		ret = count_check(q->ns, m);
		if (ret == 0)
			ret = mount_copy_tree_locked(m, m->root, COPY_RECURSIVE | COPY_UNBINDABLE,
						     &todo[count].copy);
		if (ret < 0)
			break;
		adopt_types(todo[count].copy, q, parent->peer_group);
		todo[count++].at = q;
	}
	for (uint32_t i = 0; i < count; i++) {
		struct path at = {todo[i].at, d};
		struct mount *on;

		if (ret < 0) {
			drop_tree(todo[i].copy);
			continue;
		}
		while ((on = mount_find_locked(v, at.mnt, at.dentry)))
			at = (struct path){on, on->root};
		attach_whole(todo[i].copy, at.mnt, at.dentry, todo[i].at->ns);
	}
	kfree(todo);
	kfree(r);
	if (ret == 0)
		attach_whole(m, parent, d, ns);
	return ret;
}

/* The same mounts elsewhere: m's twins on the peers and slaves of its parent, unless something stands on
 * them. */
static void detach_twins(struct mount *m, struct list *gone)
{
	struct vfs *v = m->super->vfs;
	struct receivers *r;
	struct mount *q;

	if (!m->parent || !m->parent->peer_group)
		return;
	r = kmalloc(sizeof(*r));
	if (!r)
		return;
	find_groups(v, m->parent->peer_group, r);
	/* a twin leaves the list that is being walked: start again after each */
	for (q = list_first(&v->mounts, struct mount, all_node); q;) {
		struct mount *twin = NULL;

		if (q != m->parent && receives(r, q))
			twin = mount_find_locked(v, q, m->mountpoint);
		if (twin && twin != m && twin->super == m->super && twin->root == m->root &&
		    list_empty(&twin->children)) {
			mount_detach_locked(twin);
			list_add_tail(gone, &twin->ns_node);
			q = list_first(&v->mounts, struct mount, all_node);
			continue;
		}
		q = q->all_node.next == &v->mounts ? NULL
						   : list_entry(q->all_node.next, struct mount, all_node);
	}
	kfree(r);
}

void mount_detach_propagated_locked(struct mount *m, struct list *gone)
{
	for (;;) {
		struct mount *leaf = m;

		while (!list_empty(&leaf->children))
			leaf = list_first(&leaf->children, struct mount, siblings);
		detach_twins(leaf, gone);
		mount_detach_locked(leaf);
		list_add_tail(gone, &leaf->ns_node);
		if (leaf == m)
			return;
	}
}
