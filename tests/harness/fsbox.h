/* fsbox.h: a vfs with one mount namespace, for tests of file systems: names in, errno out. */
#pragma once

#include "sentry/vfs/file.h"

struct fsbox {
	struct vfs *v;
	struct user_ns *user_ns;
	struct cred *cred;
	struct mount_ns *ns;
	struct fs_context *fs;
	struct vfs_at at;
};

/* The arena, a vfs, root credentials; not mounted yet. */
void fsbox_init(struct fsbox *b);
/* s becomes the root (the reference is taken over). */
void fsbox_mount(struct fsbox *b, struct super *s);
void fsbox_fini(struct fsbox *b);

/* Whole files as strings: -errno or bytes. */
ssize_t fsbox_read(struct fsbox *b, const char *name, char *buf, size_t size);
int fsbox_write(struct fsbox *b, const char *name, const char *text, uint32_t flags);
int fsbox_open(struct fsbox *b, const char *name, uint32_t flags, struct file **out);
int fsbox_stat(struct fsbox *b, const char *name, struct kstat *st);
/* Names but for "." and "..", sorted, each followed by a blank: "a b ". -errno */
int fsbox_list(struct fsbox *b, const char *name, char *buf, size_t size);
/* Random changes (writes, links, renames, removals, directories) made to both; every result and now and then
 * the trees are compared, and a's cache of names is emptied at times. -EXDEV from a is passed over. */
void fsbox_compare_changes(struct fsbox *a, struct fsbox *b, uint32_t steps);
