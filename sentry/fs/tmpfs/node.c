/* node.c: the life of a tmpfs inode. */
#include <string.h>

#include "sentry/fs/tmpfs/internal.h"

static const struct inode_ops *iops_for(uint32_t mode)
{
	switch (mode & LINUX_S_IFMT) {
	case LINUX_S_IFDIR:
		return &tmpfs_dir_iops;
	case LINUX_S_IFREG:
		return &tmpfs_file_iops;
	case LINUX_S_IFLNK:
		return &tmpfs_link_iops;
	default:
		return &tmpfs_special_iops;
	}
}

static int book_inode(struct tmpfs *t)
{
	uint64_t max = __atomic_load_n(&t->max_inodes, __ATOMIC_RELAXED);

	if (__atomic_add_fetch(&t->used_inodes, 1, __ATOMIC_RELAXED) > max && max) {
		__atomic_sub_fetch(&t->used_inodes, 1, __ATOMIC_RELAXED);
		return -ENOSPC;
	}
	return 0;
}

int tmpfs_node_create(struct super *s, const struct inode *dir, uint32_t mode, uint64_t rdev,
		      const char *target, const struct cred *cred, struct inode **out)
{
	struct tmpfs *t = s->fs;
	size_t len = target ? strlen(target) : 0, extra = sizeof(struct tmpfs_node) + (target ? len + 1 : 0);
	bool is_dir = (mode & LINUX_S_IFMT) == LINUX_S_IFDIR, is_reg = (mode & LINUX_S_IFMT) == LINUX_S_IFREG;
	struct tmpfs_node *n;
	struct inode *i;
	int ret = book_inode(t);

	if (ret < 0)
		return ret;
	ret = inode_create_extra(s, iops_for(mode),
				 is_dir	  ? &tmpfs_dir_fops
				 : is_reg ? &tmpfs_file_fops
					  : NULL,
				 super_new_ino(s), mode, extra, &i);
	if (ret < 0) {
		__atomic_sub_fetch(&t->used_inodes, 1, __ATOMIC_RELAXED);
		return ret;
	}
	inode_init_owner(i, dir, cred);
	n = tmpfs_node(i);
	list_init(&n->xattrs);
	i->rdev = rdev;
	if (is_dir) {
		i->nlink = 2;
		i->size = 2 * BOGO_DIRENT_SIZE;
		n->dir.parent_ino = dir ? dir->ino : i->ino;
	} else if (is_reg) {
		i->map.ops = &tmpfs_mappable_ops;
		n->file.seals = LINUX_F_SEAL_SEAL;
	} else if (target) {
		i->size = len;
		i->link = memcpy(n + 1, target, len + 1);
	}
	*out = i;
	return 0;
}

void tmpfs_destroy(struct inode *i)
{
	struct tmpfs *t = tmpfs_of(i);
	struct tmpfs_node *n = tmpfs_node(i);

	if (inode_is(i, LINUX_S_IFREG)) {
		if (n->file.data)
			memfile_destroy(n->file.data);
		__atomic_sub_fetch(&t->used_blocks, n->file.blocks, __ATOMIC_RELAXED);
	}
	if (!list_empty(&n->xattrs))
		tmpfs_free_xattrs(i);
	__atomic_sub_fetch(&t->used_inodes, 1, __ATOMIC_RELAXED);
	if (inode_is(i, LINUX_S_IFDIR) && n->dir.entries.root)
		tmpfs_drop_entries(i); /* only when the whole instance goes */
}

int tmpfs_getattr(struct inode *i, uint32_t mask, struct kstat *out)
{
	(void)mask;
	inode_fill_kstat(i, out);
	if (inode_is(i, LINUX_S_IFREG)) {
		struct memfile *m = __atomic_load_n(&tmpfs_node(i)->file.data, __ATOMIC_ACQUIRE);

		out->blocks = m ? memfile_allocated(m) / 512 : 0;
	} else {
		out->blocks = 0;
	}
	return 0;
}

static ssize_t tmpfs_readlink(struct inode *i, char *buf, size_t size)
{
	size_t n = MIN(size, i->size);

	memcpy(buf, i->link, n);
	return (ssize_t)n;
}

const struct inode_ops tmpfs_link_iops = {
	.readlink = tmpfs_readlink,
	.getattr = tmpfs_getattr,
	.getxattr = tmpfs_getxattr,
	.setxattr = tmpfs_setxattr,
	.listxattr = tmpfs_listxattr,
	.removexattr = tmpfs_removexattr,
	.destroy = tmpfs_destroy,
};

const struct inode_ops tmpfs_special_iops = {
	.getattr = tmpfs_getattr,
	.getxattr = tmpfs_getxattr,
	.setxattr = tmpfs_setxattr,
	.listxattr = tmpfs_listxattr,
	.removexattr = tmpfs_removexattr,
	.destroy = tmpfs_destroy,
};
