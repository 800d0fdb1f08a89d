/* internal.h: what the files of this room share: the walk over a name, the dentry cache's inner operations,
 * mount bookkeeping. Locks: mount_lock before dentry_lock; changes of the mount tree hold both for writing,
 * so that a walk needs the dentry lock alone. */
#pragma once

#include "platform/abi/errno.h"
#include "platform/abi/fcntl.h"
#include "platform/abi/fs.h"
#include "platform/abi/misc.h"
#include "platform/abi/stat.h"
#include "platform/base/arena.h"
#include "platform/base/checked.h"
#include "sentry/vfs/file.h"

#define S_ISUID	  04000u
#define S_ISGID	  02000u
#define S_ISVTX	  01000u
#define S_IXGRP	  00010u
#define S_IALLUGO 07777u

static inline bool inode_is_dir(const struct inode *i)
{
	return inode_is(i, LINUX_S_IFDIR);
}
static inline bool inode_is_reg(const struct inode *i)
{
	return inode_is(i, LINUX_S_IFREG);
}
static inline bool inode_is_link(const struct inode *i)
{
	return inode_is(i, LINUX_S_IFLNK);
}
/* devices, FIFOs, sockets: writing to them doesn't change the file system */
static inline bool inode_is_special(const struct inode *i)
{
	uint32_t t = i->mode & LINUX_S_IFMT;

	return t == LINUX_S_IFCHR || t == LINUX_S_IFBLK || t == LINUX_S_IFIFO || t == LINUX_S_IFSOCK;
}

/* ---- dentry.c ---- */
MUST_CHECK int dentry_cache_init(struct vfs *v);
/* hash of a name below a directory */
uint64_t dentry_hash(const struct vfs *v, const struct dentry *dir, const char *name, size_t len);
/* Borrowed; dentry_lock held (either way). */
struct dentry *dentry_find_locked(const struct vfs *v, const struct dentry *dir, const char *name, size_t len,
				  uint64_t hash);
/* With a reference, or NULL. */
struct dentry *dentry_lookup(struct dentry *dir, const char *name, size_t len);
/* A dentry of the name, positive or negative (inode NULL; else takes over the caller's reference, also on
 * failure), hashed unless dir was removed. The caller gets a reference. */
MUST_CHECK int dentry_add(struct dentry *dir, const char *name, size_t len, struct inode *inode,
			  struct dentry **out);
/* A dentry outside the cache: parent NULL: a root of its own. Takes over inode. */
MUST_CHECK int dentry_create(struct super *s, struct dentry *parent, const char *name, size_t len,
			     struct inode *inode, struct dentry **out);
/* A negative dentry becomes positive; takes over the caller's reference to inode. */
void dentry_instantiate(struct dentry *d, struct inode *inode);
/* After unlink, rmdir: the name is gone. d is the caller's. */
void dentry_delete(struct dentry *d);
/* Out of the cache, but not "(deleted)". */
void dentry_drop(struct dentry *d);
/* After a rename; name is a kmalloc'ed copy that d takes over. victim (may be NULL) goes. */
void dentry_move(struct dentry *d, struct dentry *new_dir, char *name, size_t len, struct dentry *victim);
/* After RENAME_EXCHANGE. */
void dentry_swap(struct dentry *a, struct dentry *b);
bool dentry_is_below(struct vfs *v, const struct dentry *d, const struct dentry *ancestor); /* or the same */
void dentry_kill_super(struct super *s);

/* ---- namei.c ---- */
enum last_type {
	LAST_NORM,
	LAST_DOT,
	LAST_DOTDOT,
	LAST_ROOT, /* the name was only slashes, or ended in a magic link: the path is the object itself */
};

struct walk {
	const struct vfs_at *at;
	struct vfs *v;
	const char *name; /* what is left */
	struct path root, path;
	uint32_t flags;
	bool parent_only; /* stop before the last component */
	bool fs_locked, own_root, own_path, perm_ok;
	bool root_used;	 /* the walk has stood at its root or asked for it */
	bool need_dir;	 /* a trailing slash was seen */
	bool last_slash; /* the last component had one */
	uint8_t depth, links, hold_count, held_count;
	enum last_type last_type;
	const char *last; /* valid until walk_end */
	size_t last_len;
	struct dentry *link;		/* symbolic link that needs readlink or follow; reference */
	const char *rest[VFS_LINK_MAX]; /* what follows each link that is being walked */
	struct walk_hold {
		struct inode *inode; /* keeps a cached link text alive; a reference once index < held_count */
		char *buf;
	} hold[VFS_LINK_MAX];
};

/* On failure nothing needs undoing; else walk_end. */
MUST_CHECK int walk_begin(struct walk *w, const struct vfs_at *at, const char *name, uint32_t flags,
			  bool parent_only);
/* w->path: the object, or the parent of w->last; references held by w. */
MUST_CHECK int walk_do(struct walk *w);
/* After a parent walk found that the last component is the link d: goes on to the parent of its target. */
MUST_CHECK int walk_follow_last(struct walk *w, struct dentry *d);
/* After a parent walk whose last component is "..": the step itself. */
MUST_CHECK int walk_last_dotdot(struct walk *w);
void walk_end(struct walk *w);
/* w->path handed to the caller. */
void walk_take_path(struct walk *w, struct path *out);
/* The child of a directory, from the cache or the file system, without and with the directory's lock held.
 * Absent names: a negative dentry, or -ENOENT. The caller gets a reference. */
MUST_CHECK int dir_child(struct dentry *dir, const char *name, size_t len, struct dentry **out);
MUST_CHECK int dir_child_locked(struct dentry *dir, const char *name, size_t len, struct dentry **out);
/* Locks dir's inode and finds the name, revalidated first where the file system wants that. Absent: *out NULL
 * or a negative dentry. The lock is held on success only. */
MUST_CHECK int lock_child(struct dentry *dir, const char *name, size_t len, struct dentry **out);
/* Moves p (references held) on to what is mounted on top. */
void path_cross_mounts(struct vfs *v, struct path *p);

/* ---- path.c ---- */
/* vfs_path_name of a mount, without "(deleted)". */
char *path_name_unmarked(const struct path *p, const struct path *root, char *buf, size_t size);

/* ---- perm.c ---- */
/* The mount and the super allow changes: 0 or -EROFS. */
MUST_CHECK int mount_want_write(const struct mount *m);
/* May cred make or remove entries in dir? */
MUST_CHECK int may_change_dir(struct inode *dir, const struct cred *cred);
/* May cred remove victim from dir (sticky bit, types)? want_dir: rmdir's rules. */
MUST_CHECK int may_delete(struct inode *dir, const struct dentry *victim, bool want_dir,
			  const struct cred *cred);
bool cred_ns_capable(const struct cred *cred, int cap); /* in the initial namespace */

/* ---- open.c, file.c ---- */
MUST_CHECK int file_alloc(const struct path *p, struct inode *inode, uint32_t flags, const struct cred *cred,
			  struct file **out);
void file_free(struct file *f); /* never opened */
MUST_CHECK int may_open(const struct path *p, uint32_t may, uint32_t flags, const struct cred *cred);
extern const struct file_ops path_file_ops;

/* ---- create.c ---- */
/* The place of a new name: directory locked, write access checked, no such name. Ends with create_end. */
struct create {
	struct walk w;
	struct dentry *dir;
	struct dentry *negative; /* reference, or NULL */
};
MUST_CHECK int create_begin(struct create *c, const struct vfs_at *at, const char *name, bool want_dir);
/* The inode made at the place (taken over) gets its dentry, with a reference in *out when wanted. */
MUST_CHECK int create_finish(struct create *c, struct inode *inode, struct dentry **out);
void create_end(struct create *c);
uint32_t apply_umask(const struct vfs_at *at, uint32_t mode);

/* ---- attr.c ---- */
MUST_CHECK int setattr_locked(struct inode *i, const struct iattr *a, const struct cred *cred);
/* write and truncate by the unprivileged take the set-id bits away */
MUST_CHECK int file_remove_privs(struct file *f, const struct cred *cred);
MUST_CHECK int truncate_inode(struct dentry *d, struct inode *i, uint64_t size, const struct cred *cred);
void touch_atime(const struct path *p, struct inode *i, uint32_t file_flags);

/* ---- mount.c ---- */
/* mount_lock for writing: what names lead to changes. */
static inline void mount_write_lock(struct vfs *v)
{
	rwlock_write(&v->mount_lock);
	change_begin(&v->words[CHANGE_NAMES]);
}
static inline void mount_write_unlock(struct vfs *v)
{
	change_end(&v->words[CHANGE_NAMES]);
	rwlock_write_unlock(&v->mount_lock);
}
MUST_CHECK int mount_table_init(struct vfs *v);
/* What is mounted on (m, d): borrowed; dentry_lock held. */
struct mount *mount_find_locked(const struct vfs *v, const struct mount *m, const struct dentry *d);
MUST_CHECK int mount_create(struct super *s, struct dentry *root, uint32_t flags, struct mount **out);
MUST_CHECK int mount_clone(struct mount *m, struct dentry *root, struct mount **out);
/* mount_lock held for writing for all of these. attach: takes over the caller's reference to m. */
void mount_attach_locked(struct mount *m, struct mount *parent, struct dentry *at, struct mount_ns *ns);
/* The two halves of it: into a namespace's list, onto a place. */
void mount_join_locked(struct mount *m, struct mount_ns *ns);
void mount_leave_locked(struct mount *m); /* the opposite of join */
void mount_link_locked(struct mount *m, struct mount *parent, struct dentry *at);
/* Takes m out of the tree and its namespace; the reference moves to the caller. */
void mount_detach_locked(struct mount *m);
void mount_unlink_locked(struct mount *m); /* off its place only (it moves) */
/* All of m's subtree out; the references go to the list (through ns_node), to be put after unlocking. */
void mount_detach_tree_locked(struct mount *m, struct list *gone);
void mount_put_list(struct list *gone);
void mount_drop(struct mount *m); /* mount_put of one who only looked */
/* The next mount of a subtree in pre-order, or NULL. */
struct mount *mount_next(struct mount *m, const struct mount *top);
bool mount_is_below(const struct mount *m, const struct mount *ancestor);

#define MOUNT_LOCKABLE (LINUX_MS_RDONLY | LINUX_MS_NOSUID | LINUX_MS_NODEV | LINUX_MS_NOEXEC)
#define MOUNT_ATIME    (LINUX_MS_NOATIME | LINUX_MS_NODIRATIME | LINUX_MS_RELATIME)
#define MOUNT_FLAGS    (MOUNT_LOCKABLE | MOUNT_ATIME | LINUX_MS_NOSYMFOLLOW)

#define MOUNTS_MAX 100000u /* in one namespace, as fs.mount-max has it */

/* ---- propagate.c; mount_lock held for writing ---- */
uint32_t mount_new_group(struct vfs *v);
/* m, a whole tree with references owned by the caller, appears at (parent, d): m itself and the copies that
 * parent's peers and slaves get. */
MUST_CHECK int mount_attach_tree_locked(struct mount *m, struct mount *parent, struct dentry *d,
					struct mount_ns *ns);
void mount_detach_propagated_locked(struct mount *m, struct list *gone);
#define COPY_RECURSIVE	1u
#define COPY_UNBINDABLE 2u
/* m as seen from root, with what is mounted below when COPY_RECURSIVE; linked among themselves, in no
 * namespace. Each mount that was copied has its copy in ->copy until the next call. */
MUST_CHECK int mount_copy_tree_locked(struct mount *m, struct dentry *root, uint32_t flags, struct mount **out);
void mount_leave_groups_locked(struct mount *m);
void mount_set_type_locked(struct mount *m, uint32_t type);

/* ---- super.c ---- */
void super_object_get(struct super *s);
void super_object_put(struct super *s);

/* ---- flock.c ---- */
void flock_state_free(struct flock_state *s);
/* the file's flock and open-file-description locks */
void flock_file_closed(struct file *f);

/* ---- inotify.c ---- */
void fsnotify_move(struct inode *old_dir, const char *old_name, size_t old_len, struct inode *new_dir,
		   const char *new_name, size_t new_len, struct inode *moved, struct inode *overwritten);
/* The last name of an inode without links went. */
void fsnotify_inode_gone(struct inode *i);
void fsnotify_super_gone(struct super *s);

/* ---- anon.c ---- */
MUST_CHECK int anon_init(struct vfs *v);
