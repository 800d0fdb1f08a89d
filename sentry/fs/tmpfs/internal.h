/* internal.h: a tmpfs node, its instance, and what the files of this room share. */
#pragma once

#include "platform/abi/errno.h"
#include "platform/abi/fcntl.h"
#include "platform/abi/fs.h"
#include "platform/abi/misc.h"
#include "platform/abi/stat.h"
#include "platform/base/arena.h"
#include "platform/base/checked.h"
#include "platform/base/rbtree.h"
#include "sentry/fs/tmpfs/tmpfs.h"
#include "sentry/mem/mem.h"

#define BOGO_DIRENT_SIZE 20 /* what an entry adds to a directory's size, as Linux has it */

struct tmpfs {
	uint64_t max_blocks, max_inodes;   /* [a] 0: no limit */
	uint64_t used_blocks, used_inodes; /* [a] */
	uint64_t hash_key;		   /* [I] of directory entries */
	uint32_t mode, uid, gid;	   /* [I] of the root, for show_options */
	bool size_given, inodes_given;	   /* [a] */
	bool ramfs;			   /* [I] */
	struct mutex lock;		   /* rank NONE, a leaf: the two below */
	struct list orphans;		   /* [lock] entries of directories being freed */
	bool draining;			   /* [lock] */
};

/* Behind each inode. A directory's part is guarded by the inode's lock, as is a file's. */
struct tmpfs_node {
	struct list xattrs;		   /* [inode lock] */
	uint32_t xattr_bytes, xattr_count; /* [inode lock] */
	union {
		struct {
			struct rbtree entries; /* [inode lock] by (key, name) */
			uint64_t parent_ino;   /* [a] for ".." */
		} dir;
		struct {
			struct memfile *data;	/* [inode lock] set once; NULL: nothing written yet */
			uint64_t blocks;	/* [inode lock] pages booked in used_blocks */
			uint32_t seals;		/* [inode lock] */
			uint32_t shared_writes; /* [a] shared writable mappings */
		} file;
	};
};

struct tmpfs_entry {
	struct rbnode node;
	struct list orphan;
	uint64_t
		key; /* a cursor of readdir: of the name alone, so that others coming and going don't move it */
	struct inode *inode; /* reference */
	uint16_t len;
	char name[];
};

static inline struct tmpfs_node *tmpfs_node(const struct inode *i)
{
	return i->fs;
}

static inline struct tmpfs *tmpfs_of(const struct inode *i)
{
	return i->super->fs;
}

extern const struct inode_ops tmpfs_dir_iops, tmpfs_file_iops, tmpfs_link_iops, tmpfs_special_iops;
extern const struct file_ops tmpfs_dir_fops, tmpfs_file_fops;
extern const struct mappable_ops tmpfs_mappable_ops;

/* node.c */
MUST_CHECK int tmpfs_node_create(struct super *s, const struct inode *dir, uint32_t mode, uint64_t rdev,
				 const char *target, const struct cred *cred, struct inode **out);
void tmpfs_destroy(struct inode *i);
int tmpfs_getattr(struct inode *i, uint32_t mask, struct kstat *out);

/* dir.c */
void tmpfs_drop_entries(struct inode *dir);

/* file.c */
MUST_CHECK int tmpfs_set_size(struct inode *i, uint64_t size);
MUST_CHECK int tmpfs_setattr(struct inode *i, const struct iattr *a, const struct cred *cred);
MUST_CHECK int tmpfs_data_locked(struct inode *i, struct memfile **out);

/* xattr.c; inode locked */
ssize_t tmpfs_getxattr(struct inode *i, const char *name, void *buf, size_t size);
int tmpfs_setxattr(struct inode *i, const char *name, const void *buf, size_t size, int flags);
ssize_t tmpfs_listxattr(struct inode *i, char *buf, size_t size);
int tmpfs_removexattr(struct inode *i, const char *name);
void tmpfs_free_xattrs(struct inode *i);
