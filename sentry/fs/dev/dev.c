/* dev.c: what a fresh /dev holds. */
#include "sentry/fs/dev/dev.h"

#include <string.h>

#include "platform/abi/errno.h"
#include "platform/base/arena.h"
#include "sentry/fs/dev/internal.h"
#include "sentry/fs/tmpfs/tmpfs.h"

#define S_CHR 0020000u
#define S_DIR 0040000u
#define S_LNK 0120000u

static const struct dev_entry {
	const char *name;
	uint32_t mode, major, minor;
	const char *target;
} entries[] = {
	{"null", S_CHR | 0666, 1, 3, NULL},	    {"zero", S_CHR | 0666, 1, 5, NULL},
	{"full", S_CHR | 0666, 1, 7, NULL},	    {"random", S_CHR | 0666, 1, 8, NULL},
	{"urandom", S_CHR | 0666, 1, 9, NULL},	    {"tty", S_CHR | 0666, 5, 0, NULL},
	{"console", S_CHR | 0620, 5, 1, NULL},	    {"ptmx", S_LNK, 0, 0, "pts/ptmx"},
	{"fd", S_LNK, 0, 0, "/proc/self/fd"},	    {"stdin", S_LNK, 0, 0, "/proc/self/fd/0"},
	{"stdout", S_LNK, 0, 0, "/proc/self/fd/1"}, {"stderr", S_LNK, 0, 0, "/proc/self/fd/2"},
	{"pts", S_DIR | 0755, 0, 0, NULL},	    {"shm", S_DIR | 01777, 0, 0, NULL},
	{"mqueue", S_DIR | 01777, 0, 0, NULL},
};

static int add_entry(struct inode *dir, const struct dev_entry *e, const struct cred *cred)
{
	size_t len = strlen(e->name);
	struct inode *inode;
	int ret;

	mutex_lock(&dir->lock);
	if (e->target)
		ret = dir->ops->symlink(dir, e->name, len, e->target, cred, &inode);
	else if ((e->mode & 0170000) == S_DIR)
		ret = dir->ops->mkdir(dir, e->name, len, e->mode, cred, &inode);
	else
		ret = dir->ops->mknod(dir, e->name, len, e->mode, makedev(e->major, e->minor), cred, &inode);
	mutex_unlock(&dir->lock);
	if (ret == 0)
		inode_put(inode);
	return ret;
}

static int devtmpfs_mount(struct vfs *v, const struct vfs_at *at, const char *source, uint64_t flags,
			  const char *data, struct super **out)
{
	struct super *s;
	int ret = tmpfs_super_create(v, source, data && *data ? data : "mode=755", false, &s);

	(void)flags;
	if (ret < 0)
		return ret;
	s->type = "devtmpfs";
	for (size_t i = 0; i < ARRAY_SIZE(entries); i++) {
		ret = add_entry(s->root->inode, &entries[i], at->cred);
		if (ret < 0) {
			super_put(s);
			return ret;
		}
	}
	*out = s;
	return 0;
}

static const struct fs_type devtmpfs_type = {
	.name = "devtmpfs",
	.nodev = true,
	.mount = devtmpfs_mount,
};

void dev_register(struct vfs *v)
{
	vfs_register(v, &devtmpfs_type);
	dev_mem_register(v);
}
