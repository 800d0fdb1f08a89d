/* internal.h of fs/overlay. "Real" inodes are those of the layers.
 *
 * Locks, outermost first: the overlay's inodes (rank INODE); one inode's copy lock (rank OVERLAY_COPY), held
 * while it is copied up; the overlay's lock (rank OVERLAY): the table, where files lie, and what upper they
 * have; then real inodes (rank INODE_LOWER), one by one or a pair. */
#pragma once

#include <string.h>

#include "platform/abi/errno.h"
#include "platform/abi/fcntl.h"
#include "platform/abi/fs.h"
#include "platform/abi/misc.h"
#include "platform/abi/stat.h"
#include "platform/base/arena.h"
#include "platform/base/strbuf.h"
#include "sentry/fs/overlay/overlay.h"
#include "sentry/vfs/file.h"

#define OVERLAY_MAGIC	0x794c7630u
#define OVL_OPAQUE	"trusted.overlay.opaque"
#define OVL_OPAQUE_USER "user.overlay.opaque" /* where trusted ones can't be had */
#define OVL_BUF_SIZE	(64 * 1024UL)

struct ovl_fs {
	struct super *super;			      /* [I] borrowed: it owns us */
	struct cred *cred;			      /* [I] reference */
	struct inode *upper;			      /* [I] reference; NULL: read-only */
	struct inode *lowers[OVERLAY_LOWERS_MAX];     /* [I] references */
	uint32_t lower_count;			      /* [I] */
	struct super *supers[OVERLAY_LOWERS_MAX + 1]; /* [I] references; distinct; index: inode number space */
	uint32_t super_count;			      /* [I] */
	char *options;				      /* [I] owned; NULL: none */
	struct mutex lock;			      /* rank OVERLAY */
	struct list *hash;			      /* [lock] ovl_links by real inode */
	uint64_t hash_mask, count;		      /* [lock] */
	struct list pinned;			      /* [lock] inodes that stay without users */
	struct list parents;			      /* [lock] inodes with puts due */
	bool draining;				      /* [lock] somebody is at it */
};

struct ovl_link {
	struct list node;   /* [fs lock] */
	struct inode *real; /* [I] once linked: the key */
	struct ovl_inode *owner;
};

struct ovl_inode {
	struct inode *inode;		    /* [I] the one we are embedded in */
	struct inode *upper;		    /* [a] reference; set once, with the fs lock */
	struct inode **lowers;		    /* [I] references, topmost first */
	uint32_t lower_count;		    /* [I] non-directories: at most 1 */
	struct inode *one_lower;	    /* [I] room for lowers of the usual length */
	struct ovl_link by_upper, by_lower; /* [fs lock] */
	struct inode *parent;		    /* [fs lock] overlay's directory; reference; NULL: the root */
	char *name;			    /* [fs lock] owned */
	uint16_t name_len;		    /* [fs lock] */
	bool nameless;			    /* [fs lock] the name was removed (others may remain) */
	bool pinned;			    /* [fs lock] holds a reference to itself */
	struct list pin_node;		    /* [fs lock] */
	struct mutex copy_lock;		    /* rank OVERLAY_COPY */
	uint64_t ino;			    /* [I] */
	struct list parent_node;	    /* [fs lock] in fs->parents */
	uint32_t puts_due;		    /* [fs lock] */
};

static inline struct ovl_inode *ovl_of(const struct inode *i)
{
	return i->fs;
}
static inline struct ovl_fs *ovl_fs_of(const struct inode *i)
{
	return i->super->fs;
}
static inline struct inode *ovl_upper(const struct inode *i)
{
	return __atomic_load_n(&ovl_of(i)->upper, __ATOMIC_ACQUIRE);
}
/* The real inode that counts for attributes and data; borrowed. */
static inline struct inode *ovl_real(const struct inode *i)
{
	struct inode *upper = ovl_upper(i);

	return upper ? upper : ovl_of(i)->lowers[0];
}
static inline bool ovl_is_dir(const struct inode *i)
{
	return inode_is(i, LINUX_S_IFDIR);
}
static inline bool ovl_is_whiteout(const struct inode *real)
{
	return inode_is(real, LINUX_S_IFCHR) && real->rdev == 0;
}

extern const struct inode_ops ovl_inode_ops, ovl_special_inode_ops;
extern const struct file_ops ovl_file_ops, ovl_dir_ops;

/* ---- inode.c */
/* The overlay's inode of these real ones: the known one, or a new one. Takes over upper and lowers' references.
 * parent, name: where. */
MUST_CHECK int ovl_get(struct ovl_fs *fs, struct inode *upper, struct inode **lowers, uint32_t lower_count,
		       struct inode *parent, const char *name, size_t len, struct inode **out);
void ovl_destroy_inode(struct inode *i);
/* fs lock held */
void ovl_set_upper_locked(struct inode *i, struct inode *upper);
void ovl_pin_locked(struct inode *i);
/* true: the caller puts the inode once more, after unlocking. */
bool ovl_unpin_locked(struct inode *i);
void ovl_set_place_locked(struct inode *i, struct inode *parent, char *name, size_t len);
void ovl_unpin_all(struct ovl_fs *fs);
/* After changes of places: puts directories that were left. No lock held. */
void ovl_drain(struct ovl_fs *fs);
uint64_t ovl_ino(struct ovl_fs *fs, const struct super *real, uint64_t ino);
/* The overlay's number for an upper inode that may have been copied up. */
uint64_t ovl_ino_of_upper(struct ovl_fs *fs, const struct inode *upper);
/* Copies what the vfs looks at (mode, owner, size, times) from the real inode. Inode locked. */
void ovl_sync_locked(struct inode *i);
void ovl_sync(struct inode *i);
/* A name went: link count, place. dir, name: the one that went. */
void ovl_name_gone(struct inode *i, struct inode *dir, const char *name, size_t len);

/* ---- real.c: operations on real inodes, which are locked by these */
MUST_CHECK int real_lookup(struct inode *dir, const char *name, size_t len, struct inode **out);
MUST_CHECK int real_lookup_locked(struct inode *dir, const char *name, size_t len, struct inode **out);
MUST_CHECK int real_setattr(struct inode *i, const struct iattr *a, const struct cred *cred);
MUST_CHECK int real_getattr(struct inode *i, struct kstat *out);
ssize_t real_getxattr(struct inode *i, const char *name, void *buf, size_t size);
ssize_t real_listxattr(struct inode *i, char *buf, size_t size);
MUST_CHECK int real_setxattr(struct inode *i, const char *name, const void *buf, size_t size, int flags);
ssize_t real_readlink(struct inode *i, char *buf, size_t size);
/* An open file of the real inode, without a path; ended with real_close. */
MUST_CHECK int real_open(struct inode *i, uint32_t flags, const struct cred *cred, struct file **out);
void real_close(struct file *f);
bool real_is_opaque(struct inode *dir);
MUST_CHECK int real_set_opaque(struct inode *dir);
/* dir locked */
MUST_CHECK int real_whiteout_locked(struct ovl_fs *fs, struct inode *dir, const char *name, size_t len);
/* From now on locked below the overlay's own. */
void real_adopt(struct inode *i);

/* ---- copyup.c */
/* Makes sure that i has an upper inode. limit: as much of the data will be needed. */
MUST_CHECK int ovl_copy_up(struct inode *i, uint64_t limit);

/* ---- names.c */
/* Does a lower layer of dir have name? 1, 0, -errno */
int ovl_lower_has(struct inode *dir, const char *name, size_t len);
int ovl_lookup(struct inode *dir, const char *name, size_t len, struct inode **out);
int ovl_mknod(struct inode *dir, const char *name, size_t len, uint32_t mode, uint64_t rdev,
	      const struct cred *cred, struct inode **out);
int ovl_mkdir(struct inode *dir, const char *name, size_t len, uint32_t mode, const struct cred *cred,
	      struct inode **out);
int ovl_symlink(struct inode *dir, const char *name, size_t len, const char *target, const struct cred *cred,
		struct inode **out);
int ovl_link(struct inode *dir, const char *name, size_t len, struct inode *target);
int ovl_tmpfile(struct inode *dir, uint32_t mode, const struct cred *cred, struct inode **out);

/* ---- remove.c */
int ovl_unlink(struct inode *dir, const char *name, size_t len, struct inode *inode);
int ovl_rmdir(struct inode *dir, const char *name, size_t len, struct inode *inode);
/* victim is a directory that is to go, locked: -ENOTEMPTY, or its upper has been emptied of whiteouts */
MUST_CHECK int ovl_clear_dir(struct inode *victim);

/* ---- rename.c */
int ovl_rename(struct inode *old_dir, const char *old_name, size_t old_len, struct inode *inode,
	       struct inode *new_dir, const char *new_name, size_t new_len, struct inode *victim,
	       uint32_t flags);

/* ---- readdir.c */
int ovl_dir_open(struct inode *inode, struct file *f);
/* The directory's lock is held by the caller. 1, 0, -errno */
int ovl_dir_is_empty(struct inode *dir);
/* Names in one real directory, whiteouts included, "." and ".." not: calls each until it returns an error. */
MUST_CHECK int real_for_each(struct inode *dir, const struct cred *cred,
			     int (*each)(void *arg, const char *name, size_t len, uint32_t type), void *arg);

/* ---- file.c */
int ovl_file_open(struct inode *inode, struct file *f);
