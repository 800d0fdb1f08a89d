/* internal.h of fs/gofer. Locks: a directory's inode lock covers its listing's contents; gofer_fs.lock
 * (rank GOFER_FS, never held across a request) covers tables, lists, and where files lie. */
#pragma once

#include <string.h>

#include "platform/abi/errno.h"
#include "platform/abi/fcntl.h"
#include "platform/abi/fs.h"
#include "platform/abi/misc.h"
#include "platform/abi/stat.h"
#include "platform/base/arena.h"
#include "platform/base/clock.h"
#include "sentry/fs/gofer/gofer.h"
#include "sentry/vfs/file.h"

#define GOFER_SHARED_NS	    (10 * 1000000ULL) /* how long a shared mount's attributes are trusted */
#define GOFER_FDS	    4096u
#define GOFER_BUF_SIZE	    (64 * 1024UL)
#define GOFER_BUFS	    8
#define GOFER_DEVS	    64
#define GOFER_ORPHAN_LISTS  64
#define GOFER_CONTENT_FILE  (64 * 1024UL)	 /* whole small files kept in memory: largest, */
#define GOFER_CONTENT_TOTAL (8 * 1024 * 1024UL)	 /* and all together */
#define GOFER_AHEAD_SLOTS   512			 /* directories listed before anybody asked, */
#define GOFER_AHEAD_TOTAL   (8 * 1024 * 1024UL)	 /* all together */
#define GOFER_LISTING_TOTAL (16 * 1024 * 1024UL) /* directory listings kept, all together */

struct gofer_fs {
	struct super *super;			   /* [I] borrowed: it owns us */
	struct gofer_client *client;		   /* [I] borrowed */
	bool shared, read_only;			   /* [I] */
	char *prefix;				   /* [I] owned; no trailing slash */
	struct mutex lock;			   /* rank GOFER_FS */
	struct list *hash;			   /* [lock] gnodes by host identity */
	uint64_t hash_mask, count;		   /* [lock] */
	uint64_t key;				   /* [I] random: of the tables of names */
	uint64_t devs[GOFER_DEVS];		   /* [lock] the host's devices seen; [0] is the root's */
	uint32_t dev_count;			   /* [lock] */
	struct list orphans[GOFER_ORPHAN_LISTS];   /* [lock] ghandles */
	struct list fd_list;			   /* [lock] gnodes with a descriptor; a clock */
	uint32_t fd_count, fd_max;		   /* [lock], [I] */
	struct list listing_list;		   /* [lock] directories with a listing, oldest first */
	uint64_t listing_bytes;			   /* [lock] */
	struct glisting *ahead[GOFER_AHEAD_SLOTS]; /* [lock] by inode number */
	uint64_t ahead_bytes;			   /* [lock] */
	struct list content_list;		   /* [lock] files with contents in memory, oldest first */
	uint64_t content_bytes;			   /* [lock] */
	void *bufs[GOFER_BUFS];			   /* [a] free buffers of GOFER_BUF_SIZE */
};

/* Where a file lies, and what the gofer calls it. Outlives the inode while files below need it. */
struct ghandle {
	struct refs refs;
	struct gofer_fs *fs; /* [I] the super lives while inodes do; NULL parentless handles are the root's */
	uint64_t id;	     /* [I] */
	uint32_t bound;	     /* [a] the gofer knows the id */
	bool gone;	     /* [fs lock] the name was removed; the gofer keeps the file by id */
	uint8_t name_len;    /* [fs lock] */
	char *name;	     /* [fs lock] owned */
	struct ghandle *parent; /* [fs lock] reference; NULL: the root */
	struct gnode *node;	/* [fs lock] whose place it is; NULL: not there (any more) */
	uint64_t ino, dev;	/* [I] the host's, so that the gofer notices another file */
	struct list
		orphan_node; /* [fs lock] a directory's whose inode went, but files below it are still known */
};

/* A resource with users that may be taken away while it has none: value in the low 48 bits (0: nothing
 * there), users in the high 16. */
#define SLOT_VALUE(w) ((w)&0xffffffffffffULL)
#define SLOT_USER     (1ULL << 48)
#define SLOT_FULL     (0xff00ULL << 48)

struct glisting;

struct gnode {
	struct inode *inode;	     /* [I] the one we are embedded in */
	struct ghandle *h;	     /* [I] reference */
	struct list hash_node;	     /* [fs lock] */
	uint64_t host_dev, host_ino; /* [I] */
	struct gofer_time btime;     /* [I] part of the identity: inode numbers are reused */
	uint64_t parent_ino;	     /* [a] directories: of ".." */
	uint64_t checked_ns;	     /* [a] when the attributes were last seen */
	bool stale;		     /* [a] changed since by ourselves, ask again */
	uint64_t blocks;	     /* [inode lock] */
	uint32_t blksize;	     /* [inode lock] */
	/* regular files */
	uint64_t ro, rw;	  /* [a] slots: descriptor + 1 */
	bool rw_no_read;	  /* [a] rw can't be read from */
	bool fd_used, fd_sticky;  /* [a] */
	uint32_t opens, map_refs; /* [a] */
	uint32_t open_total;	  /* [a] saturates: is it read often? */
	struct list fd_node;	  /* [fs lock] */
	uint64_t content;	  /* [a] slot: pointer to all bytes */
	struct list content_node; /* [fs lock] */
	/* directories */
	struct glisting *listing; /* [fs lock] reference; contents [inode lock] */
	struct list listing_node; /* [fs lock] */
	uint32_t child_listings;  /* [fs lock] of directories in this one that were loaded: is somebody walking
				     here? */
	bool walked;		  /* [fs lock] somebody is walking the tree that it lies in */
	uint32_t misses;	  /* [inode lock] lookups that went to the gofer since the listing was loaded */
};

static inline struct gnode *gnode_of(const struct inode *i)
{
	return i->fs;
}
static inline struct gofer_fs *gofer_fs_of(const struct inode *i)
{
	return i->super->fs;
}

extern const struct inode_ops gofer_inode_ops, gofer_shared_inode_ops, gofer_special_inode_ops;
extern const struct file_ops gofer_file_ops, gofer_dir_ops;
extern const struct mappable_ops gofer_mappable_ops;
extern const struct super_ops gofer_super_ops;

/* ---- handle.c */
/* A handle for name in parent (NULL: a root); refs of parent are taken. */
MUST_CHECK int ghandle_create(struct gofer_fs *fs, struct ghandle *parent, const char *name, size_t len,
			      uint64_t id, const struct gofer_attr *a, struct ghandle **out);
void ghandle_put(struct ghandle *h);
/* Does h stand for name in dir? */
bool ghandle_is(struct ghandle *h, struct ghandle *dir, const char *name, size_t len);
void ghandle_move(struct ghandle *h, struct ghandle *dir, const char *name, size_t len);
/* A directory has one handle as long as anything below it is known, so that renaming it moves them all: when
 * its inode goes, and when a new one is made (then h, put, gives way to the one returned). */
void ghandle_orphan_locked(struct ghandle *h);
struct ghandle *ghandle_readopt(struct ghandle *h);
void ghandle_set_gone(struct ghandle *h);
/* Path below the mount's prefix; always terminated. */
void ghandle_path(struct ghandle *h, char *buf, size_t size);

/* A request about a file. prepare fills in req.node and introduces the file and what is above it, as far as the
 * gofer doesn't know them yet; also does the same for another node that the request names. Every prepared call
 * must be done. */
struct gcall {
	struct gofer_req req;
	struct gofer_fs *fs;
	int error;			       /* what went wrong while preparing; the result of doing it */
	struct ghandle *chain[GOFER_BIND_MAX]; /* references; those of req.binds */
	char names[GOFER_BIND_MAX][GOFER_NAME_MAX + 1];
};
void gcall_prepare(struct gcall *c, struct ghandle *h, uint32_t op);
void gcall_also(struct gcall *c, struct ghandle *h);
/* As gofer_call, gofer_call_simple. */
MUST_CHECK int gcall_do(struct gcall *c, struct gofer_channel **ch, const struct gofer_reply **reply, int *fd);
MUST_CHECK int gcall_simple(struct gcall *c, struct gofer_attr *attr, int *fd);

/* ---- inode.c */
/* The inode of a file just heard of; h is taken over. A known file of a shared mount gets the new attributes if
 * they are fresh; one of an exclusive mount is known better here. */
MUST_CHECK int gnode_get(struct gofer_fs *fs, const struct gofer_attr *a, struct ghandle *h,
			 uint64_t parent_ino, bool fresh, struct inode **out);
/* We changed the file: listings that show it with its old attributes go, and they are asked for when needed.
 * Any or no lock of inodes held. */
void gnode_changed(struct inode *i);
void gnode_update(struct inode *i, const struct gofer_attr *a);
void gnode_update_locked(struct inode *i, const struct gofer_attr *a);
/* Asks again when needed; force: now. */
MUST_CHECK int gnode_refresh(struct inode *i, bool force);
uint64_t gnode_ino(struct gofer_fs *fs, uint64_t dev, uint64_t ino);
void gnode_destroy(struct inode *i);
/* Sets a symbolic link's text, once. */
void gnode_set_link(struct inode *i, const void *text, size_t len);

/* ---- fd.c */
/* A descriptor to use until gfd_put. write: for writing. */
MUST_CHECK int gfd_get(struct gnode *g, bool write, uint64_t **slot, int *fd);
/* One that is O_RDONLY. */
MUST_CHECK int gfd_get_readonly(struct gnode *g, uint64_t **slot, int *fd);
void gfd_put(uint64_t *slot);
/* One only if it is open already: for fstat. */
bool gfd_get_any(struct gnode *g, uint64_t **slot, int *fd);
/* A fresh read-write descriptor (taken over) that came with the file. */
void gfd_install(struct gnode *g, int fd);
void gfd_close_all(struct gnode *g);
void gfd_close(int fd);
void *gbuf_get(struct gofer_fs *fs);
void gbuf_put(struct gofer_fs *fs, void *buf);

/* ---- content.c */
/* Copies from memory when the file's contents are there: bytes or -EAGAIN. */
ssize_t gcontent_read(struct gnode *g, struct uio *dst, uint64_t pos);
/* The file is read often: brings it in. */
void gcontent_load(struct gnode *g);
void gcontent_drop(struct gnode *g);

/* ---- listing.c; the directory's inode is locked unless it says otherwise */
struct gbatch {
	uint64_t first, cookie; /* number of its first entry; where the next batch starts */
	uint32_t count, size;
	uint8_t data[];
};
/* The listing to use, with a reference; fresh: not one of a shared mount that is too old. */
struct glisting *glisting_get(struct inode *dir, bool fresh);
/* As get with fresh; an empty one when there is none. NULL: out of memory. */
struct glisting *glisting_get_or_create(struct inode *dir);
void glisting_put(struct glisting *l);
void glisting_drop(struct inode *dir);
/* fs lock held: taken from its directory, for the caller to put after unlocking; may be NULL */
struct glisting *glisting_detach_locked(struct gofer_fs *fs, struct gnode *g);
/* Loads until at least want batches are there or it is complete. -EFBIG: it has grown too large. */
MUST_CHECK int glisting_load(struct inode *dir, struct glisting *l, uint32_t want);
bool glisting_complete(const struct glisting *l);
uint32_t glisting_batches(const struct glisting *l);
const struct gbatch *glisting_batch(const struct glisting *l, uint32_t index);
/* 0 and the entry; -ENOENT: surely not there; -EAGAIN: can't tell. */
MUST_CHECK int glisting_find(struct glisting *l, const char *name, size_t len, struct gofer_entry *e);
/* One batch from cookie on, validated; not kept. at_end is set when nothing follows. */
MUST_CHECK int gbatch_fetch(struct inode *dir, uint64_t cookie, struct gbatch **out, bool *at_end);

/* ---- ahead.c */
/* Forgets one that waits for dir. */
void gahead_drop(struct inode *dir);
/* A listing for dir that is there already or comes with those of its neighbours; NULL: load it the usual way.
 * Complete, with a reference for the caller. */
struct glisting *gahead_get(struct inode *dir);
void gahead_drop_all(struct gofer_fs *fs);
/* listing.c: a complete listing of a directory from all its entries. */
struct glisting *glisting_from(struct gofer_fs *fs, const struct gofer_attr *dir, const void *entries,
			       uint32_t size);
bool glisting_is_of(const struct glisting *l, uint64_t dev, uint64_t ino);
uint64_t glisting_age(const struct glisting *l);
uint64_t glisting_bytes(const struct glisting *l);
/* Up to max names of directories (GOFER_NAME_MAX + 1 each) from where the last call stopped. fs lock held; the
 * listing is complete. */
uint32_t glisting_next_dirs(struct glisting *l, char (*names)[GOFER_NAME_MAX + 1], uint32_t max);

/* ---- names.c, dir.c: operations */
int gofer_lookup(struct inode *dir, const char *name, size_t len, struct inode **out);
int gofer_revalidate(struct inode *dir, const char *name, size_t len, struct inode *inode);
int gofer_mknod(struct inode *dir, const char *name, size_t len, uint32_t mode, uint64_t rdev,
		const struct cred *cred, struct inode **out);
int gofer_mkdir(struct inode *dir, const char *name, size_t len, uint32_t mode, const struct cred *cred,
		struct inode **out);
int gofer_symlink(struct inode *dir, const char *name, size_t len, const char *target, const struct cred *cred,
		  struct inode **out);
int gofer_link(struct inode *dir, const char *name, size_t len, struct inode *target);
int gofer_unlink(struct inode *dir, const char *name, size_t len, struct inode *inode);
int gofer_rmdir(struct inode *dir, const char *name, size_t len, struct inode *inode);
int gofer_rename(struct inode *old_dir, const char *old_name, size_t old_len, struct inode *inode,
		 struct inode *new_dir, const char *new_name, size_t new_len, struct inode *victim,
		 uint32_t flags);
int gofer_tmpfile(struct inode *dir, uint32_t mode, const struct cred *cred, struct inode **out);
int gofer_dir_open(struct inode *inode, struct file *f);
int gofer_file_open(struct inode *inode, struct file *f);
