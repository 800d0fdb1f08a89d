/* vfs.h: the virtual file system: inodes, dentries, mounts, path lookup, and the operations on names. It
 * never sees a task and never waits for guest events: callers give credentials and an fs_context, and
 * -EAGAIN comes back where a wait is due. It may wait for a gofer's reply.
 *
 * Objects: a `super` is a mounted-or-mountable instance of a file system; its `inode`s are files; a `dentry`
 * is a cached name (negative: no such file); a `mount` attaches a dentry tree at a place; a `path` is a dentry
 * seen through a mount. Locks: inode->lock guards an inode's attributes and a directory's entries; the dentry
 * cache has its own (rank DENTRY); mounts have RANK_MOUNT. Directory operations that change names hold the
 * directory's inode lock; rename holds super->rename_lock first. */
#pragma once

#include "platform/abi/types.h"
#include "platform/base/changes.h"
#include "platform/base/list.h"
#include "platform/base/lock.h"
#include "platform/base/refs.h"
#include "platform/base/waitq.h"
#include "sentry/cred/cred.h"
#include "sentry/mm/mappable.h"
#include "sentry/vfs/uio.h"

struct file;
struct file_ops;
struct inode;
struct dentry;
struct mount;
struct mount_ns;
struct super;
struct vfs;
struct vfs_at;
struct strbuf;
struct flock_state;

#define VFS_NAME_MAX 255
#define VFS_PATH_MAX 4096
#define VFS_LINK_MAX 40 /* symbolic links in one walk: ELOOP beyond */

struct kstat {
	uint64_t dev, ino, rdev, nlink;
	uint32_t mode, uid, gid; /* kernel ids */
	uint32_t blksize;
	uint64_t size, blocks; /* blocks of 512 bytes */
	struct linux_timespec atime, mtime, ctime, btime;
	uint64_t attributes, attributes_mask; /* STATX_ATTR_* */
	uint64_t mnt_id;
	uint32_t mask; /* STATX_* that are valid */
};

/* What setattr changes: bits of `valid`. */
#define ATTR_MODE      0x001u
#define ATTR_UID       0x002u
#define ATTR_GID       0x004u
#define ATTR_SIZE      0x008u
#define ATTR_ATIME     0x010u
#define ATTR_MTIME     0x020u
#define ATTR_ATIME_NOW 0x040u
#define ATTR_MTIME_NOW 0x080u
#define ATTR_CTIME     0x100u
#define ATTR_FORCE     0x200u /* permission was checked by the caller */
struct iattr {
	uint32_t valid;
	uint32_t mode, uid, gid; /* kernel ids */
	uint64_t size;
	struct linux_timespec atime, mtime;
};

/* Access masks for permission checks. */
#define MAY_EXEC  1u
#define MAY_WRITE 2u
#define MAY_READ  4u

struct path {
	struct mount *mnt;
	struct dentry *dentry;
};
void path_get(const struct path *p);
void path_put(const struct path *p);
bool path_equal(const struct path *a, const struct path *b);

/* Operations of an inode. Names are not terminated: name, len. dir is locked for every operation on names
 * in it. A NULL slot answers -EPERM for changes of names, -ENOTDIR for lookup on a non-directory, and the
 * default named below. New inodes come back with one reference. */
struct inode_ops {
	/* required for directories; 0, -ENOENT (cached as negative if the super says so) or another error */
	int (*lookup)(struct inode *dir, const char *name, size_t len, struct inode **out);
	/* Optional, shared caches: is this cached entry (inode NULL: negative) still true? 1, 0, or -errno.
	 * Called without the directory's lock. */
	int (*revalidate)(struct inode *dir, const char *name, size_t len, struct inode *inode);
	/* mode includes the type: regular file, FIFO, socket, device (rdev) */
	int (*mknod)(struct inode *dir, const char *name, size_t len, uint32_t mode, uint64_t rdev,
		     const struct cred *cred, struct inode **out);
	int (*mkdir)(struct inode *dir, const char *name, size_t len, uint32_t mode, const struct cred *cred,
		     struct inode **out);
	int (*symlink)(struct inode *dir, const char *name, size_t len, const char *target,
		       const struct cred *cred, struct inode **out);
	int (*link)(struct inode *dir, const char *name, size_t len, struct inode *target);
	int (*unlink)(struct inode *dir, const char *name, size_t len, struct inode *inode);
	int (*rmdir)(struct inode *dir, const char *name, size_t len, struct inode *inode);
	/* Both directories locked; victim may be NULL; flags RENAME_NOREPLACE, EXCHANGE (victim non-NULL),
	 * WHITEOUT. Checks of types, emptiness of the victim (-ENOTEMPTY) are the file system's. */
	int (*rename)(struct inode *old_dir, const char *old_name, size_t old_len, struct inode *inode,
		      struct inode *new_dir, const char *new_name, size_t new_len, struct inode *victim,
		      uint32_t flags);
	/* O_TMPFILE; NULL: -EOPNOTSUPP */
	int (*tmpfile)(struct inode *dir, uint32_t mode, const struct cred *cred, struct inode **out);
	/* symbolic links: bytes of the target put into buf (not terminated), at most size */
	ssize_t (*readlink)(struct inode *inode, char *buf, size_t size);
	/* as readlink, for a text that depends on who asks (/proc/self); walks and vfs_readlink prefer it */
	ssize_t (*readlink_at)(struct inode *inode, const struct vfs_at *at, char *buf, size_t size);
	/* magic links (/proc/self/fd/3, exe, cwd): where it leads, with references; excludes readlink as the
	 * way to walk, readlink still serves readlink(2) */
	int (*follow)(struct inode *inode, const struct cred *cred, struct path *out);
	/* default: from the inode's fields. Called unlocked. */
	int (*getattr)(struct inode *inode, uint32_t mask, struct kstat *out);
	/* inode locked; permission already checked. default: sets the fields (ATTR_SIZE: -EINVAL) */
	int (*setattr)(struct inode *inode, const struct iattr *attr, const struct cred *cred);
	/* default: mode bits, group list, capabilities. Unlocked. */
	int (*permission)(struct inode *inode, uint32_t may, const struct cred *cred);
	/* Fills in f->ops, f->priv, f->wq. NULL: f->ops = inode->fops. flags are f->flags. Unlocked. */
	int (*open)(struct inode *inode, struct file *f);
	/* extended attributes: sizes as getxattr(2): size 0 asks for the length. Names are full
	 * ("user.x"). NULL: -EOPNOTSUPP. inode locked. */
	ssize_t (*getxattr)(struct inode *inode, const char *name, void *buf, size_t size);
	int (*setxattr)(struct inode *inode, const char *name, const void *buf, size_t size, int flags);
	ssize_t (*listxattr)(struct inode *inode, char *buf, size_t size);
	int (*removexattr)(struct inode *inode, const char *name);
	/* The last reference went: free inode->fs. nlink 0: the contents too. */
	void (*destroy)(struct inode *inode);
};

struct inode {
	struct refs refs;
	struct super *super;	     /* [I] holds a reference */
	const struct inode_ops *ops; /* [I] */
	const struct file_ops *fops; /* [I] default for open */
	uint64_t ino;		     /* [I] */
	uint64_t rdev;		     /* [I] */
	uint32_t mode;		     /* [a] written under lock; the type bits are [I] */
	uint32_t uid, gid;	     /* [a] written under lock */
	uint32_t nlink;		     /* [lock] */
	struct mutex lock;	     /* rank INODE, or INODE_LOWER for file systems that lie below an overlay */
	uint64_t size;		     /* [a] written under lock; the default getattr's */
	struct linux_timespec atime, mtime, ctime, btime; /* [lock] */
	struct mappable map;				  /* [I] ops NULL: can't be mapped */
	struct flock_state *flocks;			  /* [a] created on demand */
	struct list marks;				  /* [INOTIFY] inotify watches */
	uint32_t mark_count;				  /* [a] so that nobody else pays */
	uint32_t write_count; /* [a] open for writing; as int: negative denies writes (exec) */
	void *bound;	      /* [lock] the UNIX socket bound here (socket inodes); FIFO's pipe */
	const char *link;     /* [I] once set: a symbolic link's target, when it never changes and lies in
			       * memory that lives as long as the inode; walks then need no readlink */
	struct dentry *alias; /* [DENTRY] a name of it in the cache, without a reference; NULL: none known */
	bool linkable;	      /* [a] O_TMPFILE without O_EXCL: nlink 0 may become 1 */
	bool unstable;	      /* [a] its attributes change without a word (it is mapped): see vfs_basis */
	void *fs;	      /* [I] the file system's own */
};

static inline bool inode_is(const struct inode *i, uint32_t type)
{
	return (__atomic_load_n(&i->mode, __ATOMIC_RELAXED) & 0170000u) == type;
}

/* Zeroed, one reference; times now, nlink 1. super's reference is taken. */
MUST_CHECK int inode_create(struct super *s, const struct inode_ops *ops, const struct file_ops *fops,
			    uint64_t ino, uint32_t mode, struct inode **out);
/* The same with extra zeroed bytes behind the inode, which inode->fs points to. */
MUST_CHECK int inode_create_extra(struct super *s, const struct inode_ops *ops, const struct file_ops *fops,
				  uint64_t ino, uint32_t mode, size_t extra, struct inode **out);
static inline struct inode *inode_get(struct inode *i)
{
	refs_get(&i->refs);
	return i;
}
void inode_put(struct inode *i);
/* owner, group (set-group-id directories) of a new inode in dir, and mode adjusted as inode_init_owner */
void inode_init_owner(struct inode *inode, const struct inode *dir, const struct cred *cred);
void inode_touch(struct inode *i, bool a, bool m, bool c); /* times := now; takes no lock */
struct linux_timespec vfs_now(void);
void inode_fill_kstat(struct inode *i, struct kstat *out); /* the default getattr */
/* the default permission check: 0 or -EACCES */
int inode_generic_permission(const struct inode *i, uint32_t may, const struct cred *cred);
/* The default setattr, for file systems whose own does more: sets mode, owner, times (ctime always). */
void inode_set_fields(struct inode *i, const struct iattr *a);
/* the inode's own rule, with -EROFS for writing on a read-only super */
MUST_CHECK int inode_permission(struct inode *i, uint32_t may, const struct cred *cred);
/* Is cred the owner, or may it act as one (CAP_FOWNER over mapped ids)? */
bool inode_owner_or_capable(const struct inode *i, const struct cred *cred);
/* A capability over this inode: its ids must be mapped in cred's user namespace. */
bool inode_capable(const struct inode *i, const struct cred *cred, int cap);
/* Running programs can't be written: -ETXTBSY while somebody has the file open for writing. Each success
 * is undone by one inode_allow_write. */
MUST_CHECK int inode_deny_write(struct inode *i);
void inode_allow_write(struct inode *i);
/* The other side, for those who write without a file: -ETXTBSY. */
MUST_CHECK int inode_get_write(struct inode *i);
void inode_put_write(struct inode *i);

struct super_ops {
	int (*statfs)(struct super *s, struct linux_statfs *out); /* NULL: type and name length only */
	int (*sync)(struct super *s);
	/* remount with new options; NULL: only flags change */
	int (*remount)(struct super *s, const char *options);
	void (*show_options)(struct super *s, struct strbuf *out); /* ",size=..." for mountinfo */
	void (*destroy)(struct super *s);
};

struct super {
	struct refs refs;
	struct vfs *vfs;	     /* [I] */
	const struct super_ops *ops; /* [I] */
	const char *type;	     /* [I] static: "tmpfs" */
	char *source;		     /* [I] owned; for mountinfo */
	uint64_t dev;		     /* [I] unique */
	uint32_t magic;		     /* [I] for statfs */
	bool read_only;		     /* [a] */
	bool cache_negative;	     /* [I] keep negative dentries */
	bool no_cache;		     /* [I] dentries aren't kept when unused (proc) */
	bool below_overlay;	 /* [I] its inodes' locks have rank INODE_LOWER; set before the first inode */
	bool stable;		 /* [I] nothing in it changes but through this vfs: see vfs_basis */
	bool dead;		 /* [dentry_lock] nothing is mounted or cached any more */
	uint32_t objects;	 /* [a] inodes, plus one while refs > 0; refs counts mounts and creators */
	struct list supers_node; /* [mount_lock] */
	struct mutex rename_lock;
	struct dentry *root; /* [I] after creation */
	uint64_t next_ino;   /* [a] */
	void *fs;	     /* [I] */
};
MUST_CHECK int super_create(struct vfs *v, const struct super_ops *ops, const char *type, uint32_t magic,
			    const char *source, void *fs, struct super **out);
/* Makes root the root dentry; takes over the caller's reference to root. */
MUST_CHECK int super_set_root(struct super *s, struct inode *root);
void super_get(struct super *s);
void super_put(struct super *s);
uint64_t super_new_ino(struct super *s);

struct dentry {
	struct refs refs;
	struct super *super;   /* [I] */
	struct dentry *parent; /* [DENTRY] holds a reference; root: itself, without one */
	struct inode *inode;   /* [DENTRY] holds a reference; NULL: negative */
	struct list siblings;  /* [DENTRY] in parent->children */
	struct list children;  /* [DENTRY] */
	struct list hash_node; /* [DENTRY] */
	struct list lru;       /* [DENTRY] */
	uint64_t hash;	       /* [DENTRY] */
	uint32_t mounts;       /* [a] mounts on top of it, in any namespace */
	bool unhashed;	       /* [DENTRY] removed: "(deleted)" */
	uint16_t name_len;     /* [DENTRY] */
	char *name;	       /* [DENTRY] owned, terminated */
	bool referenced;       /* [a] used since the shrinker last came by */
};
void dentry_get(struct dentry *d);
void dentry_put(struct dentry *d);
/* The entry name of dir, when it is there and nothing is mounted on it, with a reference; else -ENOENT or what
 * the file system says. Permissions aren't looked at. */
MUST_CHECK int vfs_entry(struct dentry *dir, const char *name, size_t len, struct dentry **out);
/* Drops a cached name below dir (something changed under the cache): NULL name drops all children. */
void dentry_invalidate(struct dentry *dir, const char *name, size_t len);
/* Adds a positive dentry for a name just learned (readdirplus), unless one is cached. Takes a reference to
 * inode. */
void dentry_prefill(struct dentry *dir, const char *name, size_t len, struct inode *inode);

/* A dentry outside the cache and every mount, for a file that only descriptors name; shown as "/name
 * (deleted)". Takes over inode, also on failure. */
MUST_CHECK int dentry_create_detached(struct super *s, const char *name, size_t len, struct inode *inode,
				      struct dentry **out);

/* Root, current directory and umask of a task group (CLONE_FS shares it). */
struct fs_context {
	struct refs refs;
	struct mutex lock;     /* rank FS_CONTEXT */
	struct path root, cwd; /* [lock] references */
	struct list node;      /* [fs_list_lock] in vfs->fs_contexts, for pivot_root */
	uint32_t umask;	       /* [a] */
};
MUST_CHECK int fs_context_create(const struct path *root, const struct path *cwd, uint32_t umask,
				 struct fs_context **out);
MUST_CHECK int fs_context_copy(struct fs_context *fs, struct fs_context **out);
static inline struct fs_context *fs_context_get(struct fs_context *fs)
{
	refs_get(&fs->refs);
	return fs;
}
void fs_context_put(struct fs_context *fs);
void fs_context_root(struct fs_context *fs, struct path *out); /* with references */
void fs_context_cwd(struct fs_context *fs, struct path *out);
void fs_context_set_cwd(struct fs_context *fs, const struct path *p); /* takes its own references */
void fs_context_set_root(struct fs_context *fs, const struct path *p);

/* What an answer about a name or a file rests on: changes.h's words as they were before it was found, so that
 * it can be given again while they stay. For names that lead through stable file systems only. */
struct vfs_basis {
	uint64_t names, created; /* CHANGE_NAMES, CHANGE_CREATED */
	uint32_t inode_word;	 /* index; 0: no inode was found */
	uint64_t inode_value;
	bool unstable; /* it may change without a word: not to be repeated */
};

/* Where and as whom a name is looked up. All borrowed. */
struct vfs_at {
	struct fs_context *fs;
	struct mount_ns *ns;
	const struct cred *cred;
	const struct path *base; /* relative names start here; NULL: the current directory */
	void *task; /* who asks: opaque here, for /proc/self (inode_ops.readlink_at); NULL: nobody */
	struct vfs_basis *basis; /* filled in by vfs_stat, vfs_access and the walk; NULL: nobody asks */
};

/* Around a change of an inode's attributes or contents. */
static inline uint64_t *inode_change_word(const struct inode *i);
static inline void inode_change_begin(struct inode *i)
{
	change_begin(inode_change_word(i));
}
static inline void inode_change_end(struct inode *i)
{
	change_end(inode_change_word(i));
}
/* From now on it may change at any time. */
void inode_set_unstable(struct inode *i);
/* The inode's part of a basis, to be taken before its attributes are read. */
void vfs_basis_inode(struct vfs_basis *b, const struct inode *i);

#define LOOKUP_FOLLOW	 0x01u /* follow a symbolic link in the last component */
#define LOOKUP_DIRECTORY 0x02u /* -ENOTDIR unless a directory */
#define LOOKUP_EMPTY	 0x04u /* "" names the base (AT_EMPTY_PATH) */
#define LOOKUP_NO_XDEV	 0x10u /* openat2's RESOLVE_*: */
#define LOOKUP_NO_MAGIC	 0x20u
#define LOOKUP_NO_LINKS	 0x40u
#define LOOKUP_BENEATH	 0x80u
#define LOOKUP_IN_ROOT	 0x100u
#define LOOKUP_REAL_IDS	 0x200u /* access(2): ids are the caller's business via cred; only a marker */

/* The path with references. */
MUST_CHECK int vfs_lookup(const struct vfs_at *at, const char *name, uint32_t flags, struct path *out);
/* /proc-style absolute name of p as seen from root, into buf; " (deleted)" appended where it was removed.
 * Returns a pointer into buf, or NULL when it doesn't fit. root NULL: the namespace's. */
char *vfs_path_name(const struct path *p, const struct path *root, char *buf, size_t size);
/* Some name of the inode, for /proc/pid/maps (mappable_ops.describe): as vfs_path_name from the root of a
 * namespace; "" when none is cached. Always terminated. May be called with any lock ranked before DENTRY. */
void vfs_inode_name(struct inode *i, char *buf, size_t size);
/* true when p can be reached from root */
bool vfs_path_reachable(const struct path *p, const struct path *root);

/* open(2)/openat2(2): flags LINUX_O_*, mode with the umask not yet applied, resolve LOOKUP_* bits. The file
 * may be unready (FIFO): see file_ops.open_ready. */
MUST_CHECK int vfs_open(const struct vfs_at *at, const char *name, uint32_t flags, uint32_t mode,
			uint32_t resolve, struct file **out);
/* Opens what p names (exec, magic links). */
MUST_CHECK int vfs_open_path(const struct path *p, uint32_t flags, const struct cred *cred, struct file **out);
MUST_CHECK int vfs_mkdir(const struct vfs_at *at, const char *name, uint32_t mode);
MUST_CHECK int vfs_mknod(const struct vfs_at *at, const char *name, uint32_t mode, uint64_t rdev);
/* As mknod of a socket; the new inode's reference (bind(2)). */
MUST_CHECK int vfs_mksock(const struct vfs_at *at, const char *name, uint32_t mode, struct path *out);
MUST_CHECK int vfs_symlink(const struct vfs_at *at, const char *target, const char *name);
MUST_CHECK int vfs_link(const struct vfs_at *from, const char *old, uint32_t lookup, const struct vfs_at *to,
			const char *name);
MUST_CHECK int vfs_unlink(const struct vfs_at *at, const char *name);
MUST_CHECK int vfs_rmdir(const struct vfs_at *at, const char *name);
MUST_CHECK int vfs_rename(const struct vfs_at *from, const char *old, const struct vfs_at *to, const char *name,
			  uint32_t flags);
MUST_CHECK int vfs_stat(const struct vfs_at *at, const char *name, uint32_t lookup, uint32_t mask,
			struct kstat *out);
MUST_CHECK int vfs_stat_path(const struct path *p, uint32_t mask, struct kstat *out);
MUST_CHECK int vfs_access(const struct vfs_at *at, const char *name, uint32_t lookup, uint32_t may);
/* chmod, chown, utimensat, truncate: permission as the system calls; set-id bits are dropped as Linux does. */
MUST_CHECK int vfs_setattr(const struct vfs_at *at, const char *name, uint32_t lookup, const struct iattr *a);
MUST_CHECK int vfs_setattr_path(const struct path *p, const struct cred *cred, const struct iattr *a);
MUST_CHECK ssize_t vfs_readlink(const struct vfs_at *at, const char *name, char *buf, size_t size);
MUST_CHECK int vfs_statfs(const struct path *p, struct linux_statfs *out);
MUST_CHECK int vfs_permission(const struct path *p, uint32_t may, const struct cred *cred);
/* xattrs: namespaces' rules (user., trusted., security., system.) checked here */
ssize_t vfs_getxattr(const struct path *p, const struct cred *cred, const char *name, void *buf, size_t size);
MUST_CHECK int vfs_setxattr(const struct path *p, const struct cred *cred, const char *name, const void *buf,
			    size_t size, int flags);
ssize_t vfs_listxattr(const struct path *p, const struct cred *cred, char *buf, size_t size);
MUST_CHECK int vfs_removexattr(const struct path *p, const struct cred *cred, const char *name);

/* Mounts: mount(2), mount_namespaces(7). */
struct mount {
	struct refs refs;
	struct super *super;			 /* [I] */
	struct dentry *root;			 /* [I] what is shown at the mount point */
	struct mount *parent;			 /* [MOUNT] NULL: root of its namespace */
	struct dentry *mountpoint;		 /* [MOUNT] */
	struct list children, siblings, ns_node; /* [MOUNT] */
	struct list hash_node;			 /* [MOUNT] by (parent, mountpoint) */
	struct mount_ns *ns;			 /* [MOUNT] borrowed; NULL: detached */
	uint32_t flags;	       /* [a] LINUX_MS_RDONLY, NOSUID, NODEV, NOEXEC, NOATIME, RELATIME, ... */
	uint32_t propagation;  /* [MOUNT] LINUX_MS_SHARED, SLAVE, PRIVATE, UNBINDABLE */
	uint32_t peer_group;   /* [MOUNT] shared: its group; 0: none */
	uint32_t master_group; /* [MOUNT] slave: whom it follows; 0: none */
	uint32_t writers;      /* [a] files open for writing */
	bool expiring;	       /* [a] MNT_EXPIRE was asked once */
	bool locked;	       /* [MOUNT] came from a more privileged namespace: can't be taken off alone */
	uint32_t locked_flags; /* [MOUNT] flags that can't be cleared, for the same reason */
	struct list all_node;  /* [MOUNT] in vfs->mounts while attached */
	struct mount *copy;    /* [MOUNT] while a tree is being copied */
	uint64_t id;	       /* [I] */
};
void mount_get(struct mount *m);
void mount_put(struct mount *m);

struct mount_ns {
	struct refs refs;
	struct vfs *vfs;       /* [I] */
	struct mount *root;    /* [MOUNT] */
	struct list mounts;    /* [MOUNT] all, in mount order */
	uint32_t mount_count;  /* [MOUNT] */
	struct user_ns *owner; /* [I] */
	uint64_t ino;	       /* [I] */
	struct waitq wq;       /* poll on /proc/mounts */
};
MUST_CHECK int mount_ns_create(struct vfs *v, struct super *root, uint32_t flags, struct user_ns *owner,
			       struct mount_ns **out);
MUST_CHECK int mount_ns_copy(struct mount_ns *ns, struct user_ns *owner, struct fs_context *fs,
			     struct mount_ns **out);
void mount_ns_get(struct mount_ns *ns);
void mount_ns_put(struct mount_ns *ns);
void mount_ns_root(struct mount_ns *ns, struct path *out); /* with references */

/* Mounts super (from its root, or from sub when given) at p. */
MUST_CHECK int vfs_mount_super(const struct path *p, struct super *s, struct dentry *sub, uint32_t flags);
/* mount(2) as a whole: type looked up among the registered ones; bind, move, remount, propagation too. */
MUST_CHECK int vfs_mount(const struct vfs_at *at, const char *source, const char *target, const char *type,
			 uint64_t flags, const char *data);
MUST_CHECK int vfs_umount(const struct vfs_at *at, const char *target, uint32_t flags);
MUST_CHECK int vfs_pivot_root(const struct vfs_at *at, const char *new_root, const char *put_old);
/* /proc/pid/mounts, mountinfo, mountstats */
enum mounts_format { MOUNTS_MOUNTS, MOUNTS_INFO, MOUNTS_STATS };
void mount_ns_show(struct mount_ns *ns, const struct path *root, enum mounts_format format, struct strbuf *out);

struct fs_type {
	const char *name;
	bool user_mountable; /* in a user namespace by its root */
	bool nodev;	     /* for /proc/filesystems */
	int (*mount)(struct vfs *v, const struct vfs_at *at, const char *source, uint64_t flags,
		     const char *data, struct super **out);
};

/* All of the vfs: dentry cache, registered types, counters. */
struct vfs {
	struct rwlock dentry_lock;
	struct list *hash;		     /* [dentry_lock] */
	uint64_t hash_key, hash_mask;	     /* [I] */
	uint64_t *words;		     /* [I] CHANGE_WORDS of them (changes.h); never NULL */
	uint64_t *own_words;		     /* [I] the same, owned; NULL: they are the platform's */
	struct list lru;		     /* [dentry_lock] unused dentries, oldest first */
	uint32_t dentry_count, unused_count; /* [dentry_lock] */
	struct rwlock mount_lock;	     /* rank MOUNT */
	struct list *mount_hash;	     /* [mount_lock] */
	const struct fs_type *types[32];     /* [I] after boot */
	uint32_t type_count;
	uint64_t next_dev, next_mount_id, next_ns_ino, next_group; /* [a] */
	struct super *anon;					   /* [I] inodes of pipes, sockets, eventfds */
	uint32_t dentry_max;	     /* [a] dentries kept before unused ones are dropped */
	struct super *shm;	     /* [I] tmpfs behind memfd_create, made when tmpfs is registered */
	uint64_t tmpfs_default_size; /* [I] bytes of a tmpfs mounted without size=; 0: 8 GiB */
	/* Opening a FIFO: as inode_ops.open. Set at boot; NULL: -ENXIO. */
	int (*fifo_open)(struct inode *inode, struct file *f);
	struct chrdev_range {
		uint32_t major, minor_first, minor_last;
		int (*open)(struct inode *inode, struct file *f);
	} chrdevs[48]; /* [I] after boot */
	uint32_t chrdev_count;
	struct list mounts;	     /* [mount_lock] all attached mounts of all namespaces */
	struct list supers;	     /* [mount_lock] for sync(2) */
	struct mutex fs_list_lock;   /* rank FS_LIST */
	struct list fs_contexts;     /* [fs_list_lock] */
	struct mutex epoll_lock;     /* rank EPOLL: which files are watched by which sets */
	uint64_t epoll_gen;	     /* [epoll_lock] */
	struct mutex inotify_lock;   /* rank INOTIFY: all marks and queues */
	uint32_t watch_count;	     /* [a] inotify marks; 0: the hooks cost one load */
	uint32_t next_cookie;	     /* [a] of IN_MOVED_* */
	struct list watches;	     /* [inotify_lock] all marks */
	uint64_t inotify_instances;  /* [a] */
	uint32_t pipe_pages;	     /* [a] capacity of all pipes, for fs/pipe's limit */
	struct mutex lock_wait_lock; /* rank FLOCK_WAIT: who waits for whose record lock */
	struct list lock_waits;	     /* [lock_wait_lock] */
};
static inline uint64_t *inode_change_word(const struct inode *i)
{
	return &i->super->vfs->words[change_inode_word(i)];
}
/* Makes the words lie in the platform's memory, borrowed. Before anything is mounted. */
void vfs_use_words(struct vfs *v, uint64_t *words);

/* sync(2), syncfs(2) */
MUST_CHECK int vfs_sync(struct vfs *v);

MUST_CHECK int vfs_create(struct vfs **out);
void vfs_register(struct vfs *v, const struct fs_type *type);
/* What to do when a character device of that number is opened: as inode_ops.open (fills in f->ops, priv,
 * wq). Boot only. Unregistered numbers: -ENXIO. */
void vfs_register_chrdev(struct vfs *v, uint32_t major, uint32_t minor_first, uint32_t minor_last,
			 int (*open)(struct inode *inode, struct file *f));
static inline uint64_t makedev(uint32_t major, uint32_t minor)
{
	return ((uint64_t)(major & 0xfffff000u) << 32) | ((uint64_t)(major & 0xfff) << 8) |
	       ((uint64_t)(minor & 0xffffff00u) << 12) | (minor & 0xff);
}
static inline uint32_t dev_major(uint64_t dev)
{
	return (uint32_t)((dev >> 32) & 0xfffff000u) | (uint32_t)((dev >> 8) & 0xfff);
}
static inline uint32_t dev_minor(uint64_t dev)
{
	return (uint32_t)((dev >> 12) & 0xffffff00u) | (uint32_t)(dev & 0xff);
}
/* Drops unused dentries until at most keep remain. */
void vfs_shrink(struct vfs *v, uint32_t keep);

/* inotify hooks, cheap when nobody watches. name: the entry in dir, or NULL. */
void fsnotify_dir(struct inode *dir, uint32_t mask, const char *name, size_t len, uint32_t cookie);
/* the inode itself and, through d, its parent */
void fsnotify(const struct dentry *d, struct inode *inode, uint32_t mask);
