/* pseudo.h: file systems made of tables: directories and files whose contents are functions. proc, sysfs
 * and parts of others describe themselves as arrays of struct pseudo_entry; this room turns them into
 * inodes and files. A text is made when a read starts at offset 0, and further reads of that open file see
 * the same. */
#pragma once

#include "platform/base/strbuf.h"
#include "sentry/vfs/file.h"

struct pseudo_iter;
struct pseudo_node;

#define PSEUDO_DIR	 0040000u
#define PSEUDO_REG	 0100000u
#define PSEUDO_LINK	 0120000u
#define PSEUDO_WRITE_MAX 4096u /* a longer write is -EINVAL */

/* A child that is computed. ctx: a reference, handed over (see pseudo_fs.ctx_put); NULL for none. */
struct pseudo_child {
	const struct pseudo_entry *entry;
	void *ctx;
	uint64_t arg;
};

struct pseudo_entry {
	const char *name; /* NULL ends a table */
	uint32_t mode;	  /* PSEUDO_* | permissions */
	/* files: the text; -errno makes read fail. */
	int (*show)(struct pseudo_node *n, struct file *f, struct strbuf *out);
	/* files: buf is a terminated copy of what was written; n (all of it) or -errno */
	ssize_t (*store)(struct pseudo_node *n, struct file *f, char *buf, size_t size);
	/* whether cred may open it, beyond the mode; NULL: yes */
	int (*may_open)(struct pseudo_node *n, const struct cred *cred);
	const struct pseudo_entry *children; /* directories: fixed ones */
	/* directories: computed ones, looked up behind the fixed: -ENOENT. */
	int (*lookup)(struct pseudo_node *n, const char *name, size_t len, struct pseudo_child *out);
	/* Emits those from place `from` on (0 first); places are the directory's own, increasing; see
	 * pseudo_emit. 0 or -errno. */
	int (*iterate)(struct pseudo_node *n, struct pseudo_iter *it, uint64_t from);
	const char *target; /* links: fixed, or computed by one of these */
	ssize_t (*readlink)(struct pseudo_node *n, char *buf, size_t size);
	ssize_t (*readlink_at)(struct pseudo_node *n, const struct vfs_at *at, char *buf, size_t size);
	int (*follow)(struct pseudo_node *n, const struct cred *cred, struct path *out);
	const struct file_ops *fops; /* files that aren't text */
	uint64_t arg;		     /* the entry's own, for tables that share functions */
};

struct pseudo_fs {
	const char *type;
	uint32_t magic;
	void (*ctx_get)(void *ctx);
	void (*ctx_put)(void *ctx);
	/* Is what n shows still there? false: its name is forgotten. May change the inode's uid, gid. */
	bool (*alive)(struct pseudo_node *n);
	/* nlink, size and the like. NULL: the inode's */
	void (*attributes)(struct pseudo_node *n, struct kstat *st);
	void (*destroy)(void *arg);
	void (*show_options)(struct super *s, struct strbuf *out);
	uint64_t file_size; /* st_size of files: 0 for proc, 4096 for sysfs */
	bool no_cache;
};

struct pseudo_node {
	const struct pseudo_fs *fs;	  /* [I] */
	const struct pseudo_entry *entry; /* [I] */
	struct inode *inode;		  /* [I] borrowed: it embeds this */
	void *ctx;			  /* [I] reference, inherited by children; NULL: none */
	uint64_t arg;			  /* [I] of a computed child, inherited by fixed children */
	void *fs_arg;			  /* [I] of the super */
};

struct pseudo_iter {
	struct dir_context *ctx;
	uint64_t base; /* of computed places in ctx->pos */
	uint64_t dir_ino;
};

/* true: emitted, go on. place: this entry's; the next read begins behind it. */
bool pseudo_emit(struct pseudo_iter *it, const char *name, uint32_t mode, uint64_t place);

static inline struct pseudo_node *pseudo_of(const struct inode *i)
{
	return i->fs;
}

/* fs_arg is destroyed through fs->destroy, also on failure. */
MUST_CHECK int pseudo_super_create(struct vfs *v, const struct pseudo_fs *fs, const struct pseudo_entry *root,
				   const char *source, void *fs_arg, struct super **out);
