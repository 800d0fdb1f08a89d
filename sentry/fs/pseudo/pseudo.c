/* pseudo.c: inodes of table-made file systems: lookup, links, attributes. */
#include "sentry/fs/pseudo/pseudo.h"

#include <string.h>

#include "platform/abi/errno.h"
#include "platform/base/arena.h"
#include "platform/base/hash.h"
#include "sentry/fs/pseudo/internal.h"

uint64_t pseudo_ino(uint64_t dir_ino, const char *name, size_t len)
{
	/* 32 bits, as proc's; stable for a name in a directory */
	return (hash_bytes(dir_ino * 0x9e3779b97f4a7c15UL, name, len) & 0x7fffffff) | 0x10000;
}

static int node_create(struct super *s, const struct pseudo_fs *fs, const struct pseudo_child *c, void *fs_arg,
		       uint64_t ino, struct inode **out)
{
	const struct pseudo_entry *e = c->entry;
	const struct inode_ops *ops;
	const struct file_ops *fops;
	struct pseudo_node *n;
	struct inode *i;
	int ret;

	switch (e->mode & 0170000) {
	case PSEUDO_DIR:
		ops = fs->alive ? &pseudo_dir_ops_checked : &pseudo_dir_ops;
		fops = &pseudo_dir_fops;
		break;
	case PSEUDO_LINK:
		ops = e->follow ? &pseudo_magic_ops : e->readlink_at ? &pseudo_link_at_ops : &pseudo_link_ops;
		fops = NULL;
		break;
	default:
		ops = &pseudo_reg_ops;
		fops = e->fops ? e->fops : &pseudo_reg_fops;
	}
	ret = inode_create_extra(s, ops, fops, ino, e->mode, sizeof(*n), &i);
	if (ret < 0)
		return ret;
	n = i->fs;
	n->fs = fs;
	n->entry = e;
	n->inode = i;
	n->arg = c->arg;
	n->fs_arg = fs_arg;
	n->ctx = c->ctx;
	if ((e->mode & 0170000) == PSEUDO_DIR)
		i->nlink = 2;
	if (fs->alive)
		(void)fs->alive(n); /* sets the owner */
	if (!inode_is(i, 0040000) && !inode_is(i, 0120000))
		i->size = fs->file_size;
	*out = i;
	return 0;
}

static const struct pseudo_entry *find_fixed(const struct pseudo_entry *dir, const char *name, size_t len)
{
	for (const struct pseudo_entry *e = dir->children; e && e->name; e++) {
		if (strlen(e->name) == len && memcmp(e->name, name, len) == 0)
			return e;
	}
	return NULL;
}

int pseudo_dir_lookup(struct inode *dir, const char *name, size_t len, struct inode **out)
{
	struct pseudo_node *n = pseudo_of(dir);
	struct pseudo_child c = {.arg = n->arg};
	int ret;

	c.entry = find_fixed(n->entry, name, len);
	if (c.entry) {
		if (n->fs->alive && !n->fs->alive(n))
			return -ENOENT;
		c.ctx = n->ctx;
		if (c.ctx)
			n->fs->ctx_get(c.ctx);
	} else {
		if (!n->entry->lookup)
			return -ENOENT;
		ret = n->entry->lookup(n, name, len, &c);
		if (ret < 0)
			return ret;
	}
	ret = node_create(dir->super, n->fs, &c, n->fs_arg, pseudo_ino(dir->ino, name, len), out);
	if (ret < 0 && c.ctx)
		n->fs->ctx_put(c.ctx);
	return ret;
}

/* A name is good while what it shows is there; a missing one is asked for again. */
static int node_revalidate(struct inode *dir, const char *name, size_t len, struct inode *inode)
{
	struct pseudo_node *n;

	(void)dir, (void)name, (void)len;
	if (!inode)
		return 0;
	n = pseudo_of(inode);
	return n->fs->alive(n) ? 1 : 0;
}

static int node_getattr(struct inode *inode, uint32_t mask, struct kstat *out)
{
	struct pseudo_node *n = pseudo_of(inode);

	(void)mask;
	if (n->fs->alive && !n->fs->alive(n))
		return -ENOENT;
	inode_fill_kstat(inode, out);
	if (n->fs->attributes)
		n->fs->attributes(n, out);
	return 0;
}

static int node_setattr(struct inode *inode, const struct iattr *attr, const struct cred *cred)
{
	(void)inode, (void)cred;
	/* O_TRUNC of a writable file is harmless; owners and modes are the kernel's */
	return attr->valid & (ATTR_MODE | ATTR_UID | ATTR_GID) ? -EPERM : 0;
}

static void node_destroy(struct inode *inode)
{
	struct pseudo_node *n = pseudo_of(inode);

	if (n->ctx)
		n->fs->ctx_put(n->ctx);
}

static ssize_t put_text(const char *s, char *buf, size_t size)
{
	size_t n = MIN(strlen(s), size);

	memcpy(buf, s, n);
	return (ssize_t)n;
}

static ssize_t link_read(struct inode *inode, char *buf, size_t size)
{
	struct pseudo_node *n = pseudo_of(inode);

	if (n->entry->target)
		return put_text(n->entry->target, buf, size);
	return n->entry->readlink ? n->entry->readlink(n, buf, size) : -EINVAL;
}

static ssize_t link_read_at(struct inode *inode, const struct vfs_at *at, char *buf, size_t size)
{
	struct pseudo_node *n = pseudo_of(inode);

	return n->entry->readlink_at ? n->entry->readlink_at(n, at, buf, size) : link_read(inode, buf, size);
}

static int link_follow(struct inode *inode, const struct cred *cred, struct path *out)
{
	struct pseudo_node *n = pseudo_of(inode);

	return n->entry->follow(n, cred, out);
}

#define NODE_OPS .getattr = node_getattr, .setattr = node_setattr, .destroy = node_destroy

const struct inode_ops pseudo_dir_ops = {
	NODE_OPS,
	.lookup = pseudo_dir_lookup,
};

/* In /proc a name that isn't there can't be made, either: Linux says so with ENOENT. */
static int no_mknod(struct inode *dir, const char *name, size_t len, uint32_t mode, uint64_t rdev,
		    const struct cred *cred, struct inode **out)
{
	(void)dir, (void)name, (void)len, (void)mode, (void)rdev, (void)cred, (void)out;
	return -ENOENT;
}

static int no_mkdir(struct inode *dir, const char *name, size_t len, uint32_t mode, const struct cred *cred,
		    struct inode **out)
{
	(void)dir, (void)name, (void)len, (void)mode, (void)cred, (void)out;
	return -ENOENT;
}

static int no_symlink(struct inode *dir, const char *name, size_t len, const char *target,
		      const struct cred *cred, struct inode **out)
{
	(void)dir, (void)name, (void)len, (void)target, (void)cred, (void)out;
	return -ENOENT;
}

const struct inode_ops pseudo_dir_ops_checked = {
	NODE_OPS,	   .lookup = pseudo_dir_lookup, .mknod = no_mknod,
	.mkdir = no_mkdir, .symlink = no_symlink,	.revalidate = node_revalidate,
};

const struct inode_ops pseudo_reg_ops = {
	NODE_OPS,
	.open = pseudo_reg_open,
};

const struct inode_ops pseudo_link_ops = {
	NODE_OPS,
	.readlink = link_read,
};

const struct inode_ops pseudo_link_at_ops = {
	NODE_OPS,
	.readlink = link_read,
	.readlink_at = link_read_at,
};

const struct inode_ops pseudo_magic_ops = {
	NODE_OPS,
	.readlink = link_read,
	.readlink_at = link_read_at,
	.follow = link_follow,
};

struct pseudo_super {
	struct super_ops ops;
	const struct pseudo_fs *fs;
	void *arg;
};

static void super_destroy(struct super *s)
{
	struct pseudo_super *ps = s->fs;

	if (ps->fs->destroy)
		ps->fs->destroy(ps->arg);
	kfree(ps);
}

int pseudo_super_create(struct vfs *v, const struct pseudo_fs *fs, const struct pseudo_entry *root,
			const char *source, void *fs_arg, struct super **out)
{
	struct pseudo_child c = {.entry = root};
	struct pseudo_super *ps = kmalloc(sizeof(*ps));
	struct inode *inode;
	struct super *s;
	int ret = -ENOMEM;

	if (ps) {
		ps->fs = fs;
		ps->arg = fs_arg;
		ps->ops.destroy = super_destroy;
		ps->ops.show_options = fs->show_options;
		ret = super_create(v, &ps->ops, fs->type, fs->magic, source, ps, &s);
	}
	if (ret < 0) {
		kfree(ps);
		if (fs->destroy)
			fs->destroy(fs_arg);
		return ret;
	}
	s->no_cache = fs->no_cache;
	ret = node_create(s, fs, &c, fs_arg, 1, &inode);
	if (ret == 0)
		ret = super_set_root(s, inode);
	if (ret < 0) {
		super_put(s);
		return ret;
	}
	*out = s;
	return 0;
}
