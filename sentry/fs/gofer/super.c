/* super.c: mounting, attributes, extended attributes; the tables of operations. */
#include "platform/base/random.h"
#include "platform/host/hostcall.h"
#include "sentry/fs/gofer/internal.h"

/* ---- attributes */

static int gofer_getattr(struct inode *i, uint32_t mask, struct kstat *out)
{
	struct gnode *g = gnode_of(i);
	int ret = gnode_refresh(i, false);

	(void)mask;
	/* of a file whose name the host removed, what was known last is still true enough */
	if (ret < 0 && ret != -ESTALE && ret != -ENOENT)
		return ret;
	inode_fill_kstat(i, out);
	mutex_lock_nested(&i->lock);
	out->blocks = g->blocks;
	if (g->blksize)
		out->blksize = g->blksize;
	mutex_unlock(&i->lock);
	return 0;
}

static uint32_t set_bits(uint32_t valid)
{
	static const struct {
		uint32_t attr, set;
	} bits[] = {
		{ATTR_MODE, GOFER_SET_MODE},
		{ATTR_UID, GOFER_SET_UID},
		{ATTR_GID, GOFER_SET_GID},
		{ATTR_SIZE, GOFER_SET_SIZE},
		{ATTR_ATIME, GOFER_SET_ATIME},
		{ATTR_MTIME, GOFER_SET_MTIME},
		{ATTR_ATIME_NOW, GOFER_SET_ATIME_NOW},
		{ATTR_MTIME_NOW, GOFER_SET_MTIME_NOW},
	};
	uint32_t set = 0;

	for (size_t i = 0; i < ARRAY_SIZE(bits); i++)
		if (valid & bits[i].attr)
			set |= bits[i].set;
	return set;
}

/* Truncation of an open file needs no request. */
static int set_size_by_fd(struct inode *i, uint64_t size)
{
	struct gnode *g = gnode_of(i);
	uint64_t *slot;
	int fd, ret;

	if (!SLOT_VALUE(__atomic_load_n(&g->rw, __ATOMIC_RELAXED)) || gfd_get(g, true, &slot, &fd) < 0)
		return -EAGAIN;
	ret = hc_ftruncate(fd, size);
	gfd_put(slot);
	if (ret == 0) {
		__atomic_store_n(&i->size, size, __ATOMIC_RELAXED);
		i->mtime = i->ctime = vfs_now();
		gnode_changed(i);
	}
	return ret;
}

static int gofer_setattr(struct inode *i, const struct iattr *attr, const struct cred *cred)
{
	struct gofer_setattr set;
	struct gofer_attr a;
	struct gcall c;
	int ret;

	(void)cred;
	if (gofer_fs_of(i)->read_only)
		return -EROFS;
	set = (struct gofer_setattr){
		.valid = set_bits(attr->valid),
		.mode = attr->mode & 07777,
		.uid = attr->uid,
		.gid = attr->gid,
		.size = attr->size,
		.atime = {attr->atime.tv_sec, (uint32_t)attr->atime.tv_nsec},
		.mtime = {attr->mtime.tv_sec, (uint32_t)attr->mtime.tv_nsec},
	};
	if (attr->valid & ATTR_SIZE) {
		if ((int64_t)attr->size < 0)
			return -EINVAL;
		ret = set_size_by_fd(i, attr->size);
		if (ret == 0)
			set.valid &= ~GOFER_SET_SIZE;
		else if (ret != -EAGAIN)
			return ret;
		/* the times change with the size */
		if (ret == 0)
			set.valid &= ~(GOFER_SET_MTIME_NOW);
	} else {
		set.size = 0;
	}
	if (set.atime.nsec >= NSEC_PER_SEC)
		set.atime.nsec = 0;
	if (set.mtime.nsec >= NSEC_PER_SEC)
		set.mtime.nsec = 0;
	if (!set.valid)
		return 0;
	gcall_prepare(&c, gnode_of(i)->h, GOFER_SETATTR);
	c.req.set = set;
	ret = gcall_simple(&c, &a, NULL);
	if (ret == 0) {
		gnode_changed(i);
		gnode_update_locked(i, &a);
	}
	return ret;
}

static ssize_t gofer_readlink(struct inode *i, char *buf, size_t size)
{
	const struct gofer_reply *reply;
	struct gofer_channel *ch;
	const char *link = __atomic_load_n(&i->link, __ATOMIC_ACQUIRE);
	struct gcall c;
	size_t n;
	int ret;

	if (!link) {
		gcall_prepare(&c, gnode_of(i)->h, GOFER_READLINK);
		ret = gcall_do(&c, &ch, &reply, NULL);
		if (ret == 0)
			gnode_set_link(i, reply->data, reply->data_size);
		gofer_done(ch);
		if (ret < 0)
			return ret;
		link = __atomic_load_n(&i->link, __ATOMIC_ACQUIRE);
		if (!link)
			return -EIO;
	}
	n = MIN(strlen(link), size);
	memcpy(buf, link, n);
	return (ssize_t)n;
}

/* ---- extended attributes: the gofer shows only these two kinds, so others need no request */

static bool may_have(const char *name)
{
	return strncmp(name, "user.", 5) == 0 || strcmp(name, "security.capability") == 0;
}

static ssize_t copy_data(int ret, const struct gofer_reply *reply, void *buf, size_t size)
{
	if (ret < 0)
		return ret;
	if (size == 0)
		return (ssize_t)reply->size;
	if (reply->data_size > size)
		return -ERANGE;
	memcpy(buf, reply->data, reply->data_size);
	return reply->data_size;
}

static ssize_t gofer_getxattr(struct inode *i, const char *name, void *buf, size_t size)
{
	const struct gofer_reply *reply;
	struct gofer_channel *ch;
	struct gcall c;
	ssize_t ret;

	if (!may_have(name))
		return strncmp(name, "system.", 7) == 0 ? -EOPNOTSUPP : -ENODATA;
	gcall_prepare(&c, gnode_of(i)->h, GOFER_GETXATTR);
	c.req.name = gofer_name_of(name, strlen(name));
	c.req.size = size;
	ret = gcall_do(&c, &ch, &reply, NULL);
	ret = copy_data((int)ret, reply, buf, size);
	gofer_done(ch);
	return ret;
}

static ssize_t gofer_listxattr(struct inode *i, char *buf, size_t size)
{
	const struct gofer_reply *reply;
	struct gofer_channel *ch;
	struct gcall c;
	ssize_t ret;

	gcall_prepare(&c, gnode_of(i)->h, GOFER_LISTXATTR);
	c.req.size = size;
	ret = gcall_do(&c, &ch, &reply, NULL);
	ret = copy_data((int)ret, reply, buf, size);
	gofer_done(ch);
	return ret == -EACCES || ret == -EOPNOTSUPP ? 0 : ret;
}

static int gofer_setxattr(struct inode *i, const char *name, const void *buf, size_t size, int flags)
{
	struct gcall c;

	if (!may_have(name))
		return -EOPNOTSUPP;
	if (size > GOFER_DATA_MAX)
		return -E2BIG;
	gcall_prepare(&c, gnode_of(i)->h, GOFER_SETXATTR);
	c.req.name = gofer_name_of(name, strlen(name));
	c.req.data = buf;
	c.req.data_size = (uint32_t)size;
	c.req.flags = (uint32_t)flags;
	return gcall_simple(&c, NULL, NULL);
}

static int gofer_removexattr(struct inode *i, const char *name)
{
	struct gcall c;

	if (!may_have(name))
		return strncmp(name, "system.", 7) == 0 ? -EOPNOTSUPP : -ENODATA;
	gcall_prepare(&c, gnode_of(i)->h, GOFER_REMOVEXATTR);
	c.req.name = gofer_name_of(name, strlen(name));
	return gcall_simple(&c, NULL, NULL);
}

static int gofer_open(struct inode *i, struct file *f)
{
	return inode_is(i, LINUX_S_IFDIR) ? gofer_dir_open(i, f) : gofer_file_open(i, f);
}

#define GOFER_INODE_OPS                                                                                        \
	.lookup = gofer_lookup, .mknod = gofer_mknod, .mkdir = gofer_mkdir, .symlink = gofer_symlink,          \
	.link = gofer_link, .unlink = gofer_unlink, .rmdir = gofer_rmdir, .rename = gofer_rename,              \
	.tmpfile = gofer_tmpfile, .readlink = gofer_readlink, .getattr = gofer_getattr,                        \
	.setattr = gofer_setattr, .getxattr = gofer_getxattr, .setxattr = gofer_setxattr,                      \
	.listxattr = gofer_listxattr, .removexattr = gofer_removexattr, .destroy = gnode_destroy

const struct inode_ops gofer_inode_ops = {GOFER_INODE_OPS, .open = gofer_open};
const struct inode_ops gofer_shared_inode_ops = {GOFER_INODE_OPS, .open = gofer_open,
						 .revalidate = gofer_revalidate};
/* FIFOs are the guest's own, devices those of its number in the guest: the host's are never opened. */
const struct inode_ops gofer_special_inode_ops = {GOFER_INODE_OPS};

/* ---- the super */

static int gofer_statfs(struct super *s, struct linux_statfs *out)
{
	const struct gofer_reply *reply;
	struct gofer_channel *ch;
	struct gcall c;
	int ret;

	gcall_prepare(&c, gnode_of(s->root->inode)->h, GOFER_STATFS);
	ret = gcall_do(&c, &ch, &reply, NULL);
	if (ret == 0)
		*out = reply->statfs;
	gofer_done(ch);
	return ret;
}

static void free_fs(struct gofer_fs *fs)
{
	if (!fs)
		return;
	gahead_drop_all(fs);
	for (int i = 0; i < GOFER_BUFS; i++)
		kfree(fs->bufs[i]);
	kfree(fs->hash);
	kfree(fs->prefix);
	kfree(fs);
}

static void gofer_destroy(struct super *s)
{
	free_fs(s->fs);
}

const struct super_ops gofer_super_ops = {.statfs = gofer_statfs, .destroy = gofer_destroy};

#define HASH_START 256

static struct gofer_fs *new_fs(struct gofer_client *client, const struct gofer_mount *m)
{
	struct gofer_fs *fs = kmalloc(sizeof(*fs));
	const char *prefix = m->prefix ? m->prefix : "/";
	size_t n = strlen(prefix);

	if (!fs)
		return NULL;
	while (n && prefix[n - 1] == '/')
		n--;
	fs->client = client;
	fs->key = random_u64();
	fs->shared = m->shared;
	fs->fd_max = m->max_fds ? m->max_fds : GOFER_FDS;
	mutex_init(&fs->lock, RANK_GOFER_FS);
	for (int i = 0; i < GOFER_ORPHAN_LISTS; i++)
		list_init(&fs->orphans[i]);
	list_init(&fs->fd_list);
	list_init(&fs->listing_list);
	list_init(&fs->content_list);
	fs->prefix = kstrndup(prefix, n);
	fs->hash = kmalloc(HASH_START * sizeof(*fs->hash));
	if (!fs->prefix || !fs->hash) {
		free_fs(fs);
		return NULL;
	}
	fs->hash_mask = HASH_START - 1;
	for (int i = 0; i < HASH_START; i++)
		list_init(&fs->hash[i]);
	return fs;
}

/* Asks for the root: its inode, bound. */
static int attach(struct gofer_fs *fs, uint32_t root, struct inode **out)
{
	struct gofer_req req = {.op = GOFER_ATTACH, .size = root, .node = gofer_new_id(fs->client)};
	const struct gofer_reply *reply;
	struct gofer_channel *ch;
	struct gofer_attr a = {0};
	struct ghandle *h;
	uint32_t flags = 0;
	int ret = gofer_call(fs->client, &req, &ch, &reply, NULL);

	if (ret == 0) {
		a = reply->attrs[0];
		flags = reply->flags;
	}
	gofer_done(ch);
	if (ret < 0)
		return ret;
	if ((a.mode & LINUX_S_IFMT) == LINUX_S_IFLNK)
		return -ELOOP;
	fs->read_only = flags & GOFER_ROOT_READONLY;
	fs->super->read_only = fs->read_only;
	/* what can be written to changes its blocks later, on the host */
	fs->super->stable = fs->read_only && !fs->shared;
	fs->devs[fs->dev_count++] = a.dev;
	ret = ghandle_create(fs, NULL, "", 0, req.node, &a, &h);
	if (ret < 0)
		return ret;
	h->bound = 1;
	return gnode_get(fs, &a, h, 0, true, out);
}

int gofer_super_create(struct vfs *v, struct gofer_client *client, const struct gofer_mount *m,
		       struct super **out)
{
	struct gofer_fs *fs = new_fs(client, m);
	struct inode *root;
	struct super *s;
	int ret;

	if (!fs)
		return -ENOMEM;
	ret = super_create(v, &gofer_super_ops, "hostfs",
			   0x01021997 /* V9FS_MAGIC, what guests know of such a kind */,
			   m->source ? m->source : "host", fs, &s);
	if (ret < 0) {
		free_fs(fs);
		return ret;
	}
	fs->super = s;
	s->below_overlay = m->below_overlay;
	s->cache_negative = !m->shared;
	ret = attach(fs, m->root, &root);
	if (ret == 0)
		ret = super_set_root(s, root);
	if (ret < 0) {
		super_put(s);
		return ret;
	}
	*out = s;
	return 0;
}
