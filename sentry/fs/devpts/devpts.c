/* devpts.c: the "devpts" file system: a directory with ptmx and one character device for each terminal
 * whose master is open. Every mount is an instance of its own. Lock: the instance's, rank INODE. */
#include "sentry/fs/devpts/devpts.h"

#include <stdio.h>
#include <string.h>

#include "platform/abi/errno.h"
#include "platform/abi/fcntl.h"
#include "platform/abi/misc.h"
#include "platform/base/arena.h"
#include "platform/base/strbuf.h"
#include "sentry/fs/devpts/internal.h"

#define FIRST_INO 3u
#define FIRST_POS 3u

static struct devpts *devpts_of(const struct inode *i)
{
	return i->super->fs;
}

/* ---- slaves ---- */
static int pts_open(struct inode *inode, struct file *f)
{
	return pty_open_slave(inode->fs, f);
}

static void pts_destroy(struct inode *inode)
{
	pty_put(inode->fs);
}

const struct inode_ops pts_inode_ops = {
	.open = pts_open,
	.destroy = pts_destroy,
};

/* Device numbers without an instance (made by mknod elsewhere) lead nowhere. */
static int pts_chrdev_open(struct inode *inode, struct file *f)
{
	return inode->ops == &pts_inode_ops ? pts_open(inode, f) : -ENXIO;
}

/* ---- ptmx ---- */
static int ptmx_open(struct inode *inode, struct file *f)
{
	return pty_open_master(devpts_of(inode), f);
}

static const struct inode_ops ptmx_inode_ops = {
	.open = ptmx_open,
};

static int ptmx_chrdev_open(struct inode *inode, struct file *f)
{
	return inode->ops == &ptmx_inode_ops ? ptmx_open(inode, f) : -ENXIO;
}

/* ---- /dev/tty, /dev/console ---- */
static int ctty_open_ctty(struct file *f, struct tty *tty)
{
	return pty_open_slave(container_of(tty, struct pty, tty), f);
}

static int64_t no_seek(struct file *f, int64_t off, int whence)
{
	(void)f, (void)off, (void)whence;
	return -ESPIPE;
}

/* Between open and file_open_block; stays when nobody calls that. */
static const struct file_ops ctty_ops = {
	.open_ctty = ctty_open_ctty,
	.seek = no_seek,
};

static int tty5_open(struct inode *inode, struct file *f)
{
	if (dev_minor(inode->rdev) == 2)
		return ptmx_chrdev_open(inode, f);
	if (dev_minor(inode->rdev) != 0)
		return -ENXIO; /* no system console */
	f->ops = &ctty_ops;
	return 0;
}

/* ---- the directory ---- */
static bool parse_index(const char *name, size_t len, uint32_t *out)
{
	uint32_t v = 0;

	if (len == 0 || len > 7 || (len > 1 && name[0] == '0'))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (name[i] < '0' || name[i] > '9')
			return false;
		v = v * 10 + (uint32_t)(name[i] - '0');
	}
	*out = v;
	return true;
}

static int devpts_lookup(struct inode *dir, const char *name, size_t len, struct inode **out)
{
	struct devpts *fs = devpts_of(dir);
	uint32_t index;
	int ret = -ENOENT;

	if (len == 4 && memcmp(name, "ptmx", 4) == 0) {
		*out = inode_get(fs->ptmx);
		return 0;
	}
	if (!parse_index(name, len, &index))
		return -ENOENT;
	mutex_lock_nested(&fs->lock);
	if (index < fs->size && fs->ptys[index]) {
		*out = inode_get(fs->ptys[index]->inode);
		ret = 0;
	}
	mutex_unlock(&fs->lock);
	return ret;
}

static int devpts_iterate(struct file *f, struct dir_context *ctx)
{
	struct devpts *fs = devpts_of(f->inode);
	struct dentry *up = f->path.dentry->parent;
	char name[16];

	if (ctx->pos == 0) {
		if (!ctx->emit(ctx, ".", 1, f->inode->ino, 4, 1))
			return 0;
		ctx->pos = 1;
	}
	if (ctx->pos == 1) {
		if (!ctx->emit(ctx, "..", 2, up && up->inode ? up->inode->ino : f->inode->ino, 4, 2))
			return 0;
		ctx->pos = 2;
	}
	if (ctx->pos == 2) {
		if (!ctx->emit(ctx, "ptmx", 4, fs->ptmx->ino, 2, FIRST_POS))
			return 0;
		ctx->pos = FIRST_POS;
	}
	for (;;) {
		uint32_t i = (uint32_t)(ctx->pos - FIRST_POS);
		int n;

		mutex_lock(&fs->lock);
		while (i < fs->size && !fs->ptys[i])
			i++;
		n = i < fs->size ? (int)i : -1;
		mutex_unlock(&fs->lock);
		if (n < 0)
			return 0;
		snprintf(name, sizeof(name), "%d", n);
		if (!ctx->emit(ctx, name, strlen(name), (uint64_t)n + FIRST_INO, 2,
			       FIRST_POS + (uint64_t)n + 1))
			return 0;
		ctx->pos = FIRST_POS + (uint64_t)n + 1;
	}
}

static int64_t dir_seek(struct file *f, int64_t off, int whence)
{
	if (whence == 1)
		off += (int64_t)f->pos;
	if (whence > 1 || off < 0)
		return -EINVAL;
	f->pos = (uint64_t)off;
	return off;
}

static const struct file_ops devpts_dir_fops = {
	.iterate = devpts_iterate,
	.seek = dir_seek,
	.seekable = true,
};

static int reserve_index_locked(struct devpts *fs, uint32_t *out)
{
	uint32_t i = 0, size = fs->size ? fs->size * 2 : 16;
	struct pty **ptys;

	if (fs->count >= fs->max)
		return -ENOSPC;
	while (i < fs->size && fs->ptys[i])
		i++;
	if (i == fs->size) {
		ptys = krealloc(fs->ptys, size * sizeof(*ptys));
		if (!ptys)
			return -ENOMEM;
		fs->ptys = ptys;
		fs->size = size;
	}
	*out = i;
	return 0;
}

static int add_locked(struct devpts *fs, struct pty *p, const struct cred *cred)
{
	struct inode *inode;
	int ret = reserve_index_locked(fs, &p->index);

	if (ret < 0)
		return ret;
	ret = inode_create(fs->super, &pts_inode_ops, NULL, p->index + FIRST_INO, 0020000 | fs->mode, &inode);
	if (ret < 0)
		return ret;
	inode->rdev = makedev(PTS_MAJOR + (p->index >> 8), p->index & 255);
	inode->uid = fs->uid == ID_INVALID ? cred->fsuid : fs->uid;
	inode->gid = fs->gid == ID_INVALID ? cred->fsgid : fs->gid;
	refs_get(&p->refs);
	inode->fs = p;
	p->inode = inode;
	p->fs = fs;
	pty_init_tty(p);
	fs->ptys[p->index] = p;
	fs->count++;
	return 0;
}

int devpts_add(struct devpts *fs, struct pty *p, const struct cred *cred)
{
	int ret;

	mutex_lock(&fs->lock);
	ret = add_locked(fs, p, cred);
	mutex_unlock(&fs->lock);
	return ret;
}

void devpts_remove(struct devpts *fs, struct pty *p)
{
	struct inode *inode;
	char name[16];

	mutex_lock(&fs->lock);
	fs->ptys[p->index] = NULL;
	fs->count--;
	inode = p->inode;
	p->inode = NULL;
	mutex_unlock(&fs->lock);
	snprintf(name, sizeof(name), "%u", p->index);
	dentry_invalidate(fs->super->root, name, strlen(name));
	inode_put(inode);
}

/* ---- instances ---- */
/* "name=number" in base 8 or 10; a number that is none becomes one that nothing accepts. */
static bool option_u32(const char *opt, const char *name, uint32_t base, uint32_t *out)
{
	size_t n = strlen(name);
	uint64_t v = 0;

	if (strncmp(opt, name, n) != 0 || opt[n] != '=')
		return false;
	opt += n + 1;
	for (n = 0; opt[n] && v < UINT32_MAX; n++) {
		if (opt[n] < '0' || opt[n] >= '0' + (int)base)
			break;
		v = v * base + (uint64_t)(opt[n] - '0');
	}
	*out = opt[n] || n == 0 || v >= UINT32_MAX ? ID_INVALID - 1 : (uint32_t)v;
	return true;
}

static int parse_option(struct devpts *fs, const char *opt, const struct cred *cred)
{
	uint32_t v;

	if (!*opt || strcmp(opt, "newinstance") == 0)
		return 0;
	if (option_u32(opt, "uid", 10, &v)) {
		fs->uid = user_ns_to_kuid(cred->user_ns, v);
		return fs->uid == ID_INVALID ? -EINVAL : 0;
	}
	if (option_u32(opt, "gid", 10, &v)) {
		fs->gid = user_ns_to_kgid(cred->user_ns, v);
		return fs->gid == ID_INVALID ? -EINVAL : 0;
	}
	if (option_u32(opt, "mode", 8, &v)) {
		fs->mode = v & 07777;
		return 0;
	}
	if (option_u32(opt, "ptmxmode", 8, &v)) {
		fs->ptmx_mode = v & 07777;
		return 0;
	}
	if (option_u32(opt, "max", 10, &v)) {
		fs->max = MIN(v, PTS_MAX);
		return 0;
	}
	return -EINVAL;
}

static int parse_options(struct devpts *fs, const char *data, const struct cred *cred)
{
	char *copy, *opt, *next;
	int ret = 0;

	if (!data)
		return 0;
	copy = kstrdup(data);
	if (!copy)
		return -ENOMEM;
	for (opt = copy; opt && ret == 0; opt = next) {
		next = strchr(opt, ',');
		if (next)
			*next++ = 0;
		ret = parse_option(fs, opt, cred);
	}
	kfree(copy);
	return ret;
}

static void devpts_show_options(struct super *s, struct strbuf *out)
{
	struct devpts *fs = s->fs;

	if (fs->uid != ID_INVALID)
		strbuf_printf(out, ",uid=%u", fs->uid);
	if (fs->gid != ID_INVALID)
		strbuf_printf(out, ",gid=%u", fs->gid);
	strbuf_printf(out, ",mode=%03o,ptmxmode=%03o", fs->mode, fs->ptmx_mode);
	if (fs->max != PTS_MAX)
		strbuf_printf(out, ",max=%u", fs->max);
}

static void devpts_destroy(struct super *s)
{
	struct devpts *fs = s->fs;

	kfree(fs->ptys);
	kfree(fs);
}

static const struct super_ops devpts_super_ops = {
	.show_options = devpts_show_options,
	.destroy = devpts_destroy,
};

static void root_destroy(struct inode *inode)
{
	struct devpts *fs = devpts_of(inode);

	if (fs->ptmx)
		inode_put(fs->ptmx);
	fs->ptmx = NULL;
}

static const struct inode_ops devpts_root_ops = {
	.lookup = devpts_lookup,
	.destroy = root_destroy,
};

static int make_inodes(struct super *s, struct devpts *fs)
{
	struct inode *root;
	int ret = inode_create(s, &devpts_root_ops, &devpts_dir_fops, 1, 0040755, &root);

	if (ret < 0)
		return ret;
	root->nlink = 2;
	ret = inode_create(s, &ptmx_inode_ops, NULL, 2, 0020000 | fs->ptmx_mode, &fs->ptmx);
	if (ret < 0) {
		inode_put(root);
		return ret;
	}
	fs->ptmx->rdev = makedev(5, 2);
	return super_set_root(s, root);
}

static int devpts_mount(struct vfs *v, const struct vfs_at *at, const char *source, uint64_t flags,
			const char *data, struct super **out)
{
	struct devpts *fs = kmalloc(sizeof(*fs));
	struct super *s;
	int ret;

	(void)flags;
	if (!fs)
		return -ENOMEM;
	mutex_init(&fs->lock, RANK_INODE);
	fs->uid = fs->gid = ID_INVALID;
	fs->mode = 0600;
	fs->max = PTS_MAX;
	ret = parse_options(fs, data, at->cred);
	if (ret == 0)
		ret = super_create(v, &devpts_super_ops, "devpts", LINUX_DEVPTS_SUPER_MAGIC, source, fs, &s);
	if (ret < 0) {
		kfree(fs);
		return ret;
	}
	fs->super = s;
	ret = make_inodes(s, fs);
	if (ret < 0) {
		super_put(s);
		return ret;
	}
	*out = s;
	return 0;
}

static const struct fs_type devpts_type = {
	.name = "devpts",
	.user_mountable = true,
	.nodev = true,
	.mount = devpts_mount,
};

void devpts_register(struct vfs *v)
{
	vfs_register(v, &devpts_type);
	vfs_register_chrdev(v, 5, 0, 2, tty5_open);
	for (uint32_t major = PTS_MAJOR; major < PTS_MAJOR + PTS_MAX / 256; major++)
		vfs_register_chrdev(v, major, 0, 255, pts_chrdev_open);
}

/* ---- for others ---- */
/* Lookups that start at dir, as whoever cred is. */
static int at_dir(struct vfs_at *at, const struct path *dir, struct mount_ns *ns, const struct cred *cred)
{
	struct fs_context *fs;
	int ret = fs_context_create(dir, dir, 0, &fs);

	if (ret == 0)
		*at = (struct vfs_at){.fs = fs, .ns = ns, .cred = cred};
	return ret;
}

int devpts_open_peer(struct file *f, uint32_t flags, struct file **out)
{
	struct path dir = {f->path.mnt, f->inode->super->root};
	struct vfs_at at;
	char name[16];
	int ret;

	if (f->ops != &pty_master_ops)
		return f->ops == &pty_slave_ops ? -EIO : -ENOTTY;
	ret = at_dir(&at, &dir, f->path.mnt->ns, f->cred);
	if (ret < 0)
		return ret;
	snprintf(name, sizeof(name), "%u", file_pty(f)->index);
	ret = vfs_open(&at, name, flags, 0, 0, out);
	fs_context_put(at.fs);
	return ret;
}

int devpts_create_pair(struct vfs *v, struct mount_ns *ns, const struct cred *cred, uint16_t rows,
		       uint16_t cols, struct file **master, struct file **slave)
{
	struct linux_winsize ws = {rows, cols, 0, 0};
	struct vfs_at at;
	struct path root;
	char name[32];
	int ret;

	(void)v;
	mount_ns_root(ns, &root);
	ret = at_dir(&at, &root, ns, cred);
	path_put(&root);
	if (ret < 0)
		return ret;
	ret = vfs_open(&at, "/dev/pts/ptmx", LINUX_O_RDWR | LINUX_O_NOCTTY, 0, 0, master);
	if (ret == 0) {
		struct pty *p = file_pty(*master);

		mutex_lock(&p->lock);
		p->locked = false;
		p->size = ws;
		mutex_unlock(&p->lock);
		snprintf(name, sizeof(name), "/dev/pts/%u", p->index);
		ret = vfs_open(&at, name, LINUX_O_RDWR | LINUX_O_NOCTTY, 0, 0, slave);
		if (ret < 0)
			file_put(*master);
	}
	fs_context_put(at.fs);
	return ret;
}

void devpts_set_winsize(struct file *master, uint16_t rows, uint16_t cols)
{
	struct linux_winsize ws = {rows, cols, 0, 0};

	pty_set_winsize(file_pty(master), &ws);
}
