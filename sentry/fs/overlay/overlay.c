/* overlay.c: mounting, attributes and extended attributes, the tables of operations. */
#include "sentry/fs/overlay/internal.h"

/* ---- attributes */

static int ovl_getattr(struct inode *i, uint32_t mask, struct kstat *out)
{
	struct inode *real = ovl_real(i);
	int ret = real->ops->getattr ? real->ops->getattr(real, mask, out) : real_getattr(real, out);

	if (ret < 0)
		return ret;
	out->dev = i->super->dev;
	out->ino = ovl_of(i)->ino;
	/* Differs from Linux: a directory that is still only a lower one shows that one's link count */
	if (!ovl_is_dir(i) || (ovl_of(i)->lower_count && (ovl_of(i)->upper || ovl_of(i)->lower_count > 1)) ||
	    __atomic_load_n(&i->nlink, __ATOMIC_RELAXED) == 0)
		out->nlink = __atomic_load_n(&i->nlink, __ATOMIC_RELAXED);
	mutex_lock_nested(&i->lock);
	out->atime = i->atime; /* reading is noted on ours */
	mutex_unlock(&i->lock);
	return 0;
}

static int ovl_setattr(struct inode *i, const struct iattr *a, const struct cred *cred)
{
	int ret = ovl_copy_up(i, a->valid & ATTR_SIZE ? a->size : UINT64_MAX);

	(void)cred;
	if (ret == 0)
		ret = real_setattr(ovl_upper(i), a, ovl_fs_of(i)->cred);
	if (ret == 0)
		ovl_sync_locked(i);
	return ret;
}

static ssize_t ovl_readlink(struct inode *i, char *buf, size_t size)
{
	return real_readlink(ovl_real(i), buf, size);
}

static int ovl_open(struct inode *i, struct file *f)
{
	return ovl_is_dir(i) ? ovl_dir_open(i, f) : ovl_file_open(i, f);
}

/* ---- extended attributes; the overlay's own aren't shown */

static bool is_private(const char *name)
{
	return strncmp(name, "trusted.overlay.", 16) == 0 || strncmp(name, "user.overlay.", 13) == 0;
}

static ssize_t ovl_getxattr(struct inode *i, const char *name, void *buf, size_t size)
{
	return is_private(name) ? -ENODATA : real_getxattr(ovl_real(i), name, buf, size);
}

static int ovl_setxattr(struct inode *i, const char *name, const void *buf, size_t size, int flags)
{
	int ret = is_private(name) ? -EPERM : ovl_copy_up(i, UINT64_MAX);

	return ret < 0 ? ret : real_setxattr(ovl_upper(i), name, buf, size, flags);
}

static int ovl_removexattr(struct inode *i, const char *name)
{
	ssize_t n = ovl_getxattr(i, name, NULL, 0);
	struct inode *u;
	int ret;

	if (n < 0)
		return (int)n;
	ret = ovl_copy_up(i, UINT64_MAX);
	if (ret < 0)
		return ret;
	u = ovl_upper(i);
	if (!u->ops->removexattr)
		return -EOPNOTSUPP;
	mutex_lock_nested(&u->lock);
	ret = u->ops->removexattr(u, name);
	mutex_unlock(&u->lock);
	return ret;
}

/* Keeps only the names to be shown. */
static size_t filter(char *names, size_t n)
{
	size_t kept = 0;

	for (size_t off = 0; off < n;) {
		size_t len = strnlen(names + off, n - off);

		if (!is_private(names + off)) {
			memmove(names + kept, names + off, len + 1);
			kept += len + 1;
		}
		off += len + 1;
	}
	return kept;
}

static ssize_t ovl_listxattr(struct inode *i, char *buf, size_t size)
{
	struct inode *real = ovl_real(i);
	ssize_t n = real_listxattr(real, NULL, 0);
	char *names;

	if (n <= 0)
		return n;
	names = kmalloc((size_t)n + 1);
	if (!names)
		return -ENOMEM;
	n = real_listxattr(real, names, (size_t)n);
	if (n > 0)
		n = (ssize_t)filter(names, (size_t)n);
	if (n > 0 && size) {
		if ((size_t)n > size)
			n = -ERANGE;
		else
			memcpy(buf, names, (size_t)n);
	}
	kfree(names);
	return n;
}

#define OVL_INODE_OPS                                                                                          \
	.lookup = ovl_lookup, .mknod = ovl_mknod, .mkdir = ovl_mkdir, .symlink = ovl_symlink,                  \
	.link = ovl_link, .unlink = ovl_unlink, .rmdir = ovl_rmdir, .rename = ovl_rename,                      \
	.tmpfile = ovl_tmpfile, .readlink = ovl_readlink, .getattr = ovl_getattr, .setattr = ovl_setattr,      \
	.getxattr = ovl_getxattr, .setxattr = ovl_setxattr, .listxattr = ovl_listxattr,                        \
	.removexattr = ovl_removexattr, .destroy = ovl_destroy_inode

const struct inode_ops ovl_inode_ops = {OVL_INODE_OPS, .open = ovl_open};
/* devices, FIFOs, sockets: the vfs opens them by type and number */
const struct inode_ops ovl_special_inode_ops = {OVL_INODE_OPS};

/* ---- the super */

static int super_statfs(struct super *s, struct linux_statfs *out)
{
	return s->ops && s->ops->statfs ? s->ops->statfs(s, out) : 0;
}

static int ovl_statfs(struct super *s, struct linux_statfs *out)
{
	struct ovl_fs *fs = s->fs;
	struct super *real = (fs->upper ? fs->upper : fs->lowers[0])->super;
	int ret = super_statfs(real, out);

	/* Differs from Linux, which shows the upper layer alone: what the first lower one uses is used here
	 * too, and can't be freed. */
	if (ret == 0 && fs->upper && fs->lower_count) {
		struct linux_statfs low = {0};

		if (super_statfs(fs->lowers[0]->super, &low) == 0 && low.f_bsize > 0 && out->f_bsize > 0) {
			out->f_blocks += (low.f_blocks - low.f_bfree) * low.f_bsize / out->f_bsize;
			out->f_files += low.f_files - low.f_ffree;
		}
	}
	out->f_type = OVERLAY_MAGIC;
	return ret;
}

/* Called last of all when the super is unmounted for good: then nothing is to stay for later. */
static int ovl_sync_super(struct super *s)
{
	struct ovl_fs *fs = s->fs;
	struct super *up = fs->upper ? fs->upper->super : NULL;

	if (refs_read(&s->refs) == 0)
		ovl_unpin_all(fs);
	return up && up->ops && up->ops->sync && refs_read(&s->refs) ? up->ops->sync(up) : 0;
}

static void ovl_show_options(struct super *s, struct strbuf *out)
{
	struct ovl_fs *fs = s->fs;

	if (fs->options)
		strbuf_printf(out, ",%s", fs->options);
}

static void free_fs(struct ovl_fs *fs)
{
	if (fs->upper)
		inode_put(fs->upper);
	for (uint32_t n = 0; n < fs->lower_count; n++)
		inode_put(fs->lowers[n]);
	for (uint32_t n = 0; n < fs->super_count; n++)
		super_put(fs->supers[n]);
	if (fs->cred)
		cred_put(fs->cred);
	kfree(fs->options);
	kfree(fs->hash);
	kfree(fs);
}

static void ovl_destroy(struct super *s)
{
	free_fs(s->fs);
}

static const struct super_ops ovl_super_ops = {
	.statfs = ovl_statfs,
	.sync = ovl_sync_super,
	.show_options = ovl_show_options,
	.destroy = ovl_destroy,
};

/* The layers' supers stay mountable while we use them. The first lower's is number 0: its files keep their
 * inode numbers. */
static void note_super(struct ovl_fs *fs, struct super *s)
{
	for (uint32_t n = 0; n < fs->super_count; n++)
		if (fs->supers[n] == s)
			return;
	super_get(s);
	fs->supers[fs->super_count++] = s;
}

#define HASH_START 256

static int new_fs(struct inode *upper, struct inode *const *lowers, uint32_t count, const struct cred *cred,
		  const char *options, struct ovl_fs **out)
{
	struct ovl_fs *fs = kmalloc(sizeof(*fs));

	if (!fs)
		return -ENOMEM;
	mutex_init(&fs->lock, RANK_OVERLAY);
	list_init(&fs->pinned);
	list_init(&fs->parents);
	fs->hash = kmalloc(HASH_START * sizeof(*fs->hash));
	fs->options = options ? kstrdup(options) : NULL;
	if (!fs->hash || (options && !fs->options)) {
		free_fs(fs);
		return -ENOMEM;
	}
	fs->hash_mask = HASH_START - 1;
	for (int i = 0; i < HASH_START; i++)
		list_init(&fs->hash[i]);
	fs->cred = cred_get((struct cred *)(uintptr_t)cred);
	for (uint32_t n = 0; n < count; n++) {
		fs->lowers[fs->lower_count++] = inode_get(lowers[n]);
		real_adopt(lowers[n]);
		note_super(fs, lowers[n]->super);
	}
	if (upper) {
		fs->upper = inode_get(upper);
		real_adopt(upper);
		note_super(fs, upper->super);
	}
	*out = fs;
	return 0;
}

static int make_root(struct ovl_fs *fs, struct inode **out)
{
	struct inode *lowers[OVERLAY_LOWERS_MAX];

	for (uint32_t n = 0; n < fs->lower_count; n++)
		lowers[n] = inode_get(fs->lowers[n]);
	if (fs->upper)
		inode_get(fs->upper);
	return ovl_get(fs, fs->upper, lowers, fs->lower_count, NULL, NULL, 0, out);
}

/* Nobody else changes this layer behind the overlay's back. */
static bool is_own_layer(const struct super *layer)
{
	return layer->stable && (layer->below_overlay || layer->read_only);
}

int overlay_create(struct vfs *v, struct inode *upper, struct inode *const *lowers, uint32_t count,
		   const struct cred *cred, const char *source, const char *options, struct super **out)
{
	struct inode *root;
	struct ovl_fs *fs;
	struct super *s;
	int ret;

	if (count == 0 || count > OVERLAY_LOWERS_MAX || (upper && !ovl_is_dir(upper)))
		return -EINVAL;
	for (uint32_t n = 0; n < count; n++)
		if (!ovl_is_dir(lowers[n]))
			return -ENOTDIR;
	ret = new_fs(upper, lowers, count, cred, options, &fs);
	if (ret < 0)
		return ret;
	ret = super_create(v, &ovl_super_ops, "overlay", OVERLAY_MAGIC, source ? source : "overlay", fs, &s);
	if (ret < 0) {
		free_fs(fs);
		return ret;
	}
	fs->super = s;
	s->cache_negative = true;
	s->read_only = !upper;
	s->stable = !upper || is_own_layer(upper->super);
	for (uint32_t n = 0; n < count; n++)
		s->stable &= is_own_layer(lowers[n]->super);
	ret = make_root(fs, &root);
	if (ret == 0)
		ret = super_set_root(s, root);
	if (ret < 0) {
		super_put(s);
		return ret;
	}
	*out = s;
	return 0;
}

/* The root is seen with the upper's attributes: a fresh one takes the lower's. */
static int look_like(struct inode *upper, struct inode *low, const struct cred *cred)
{
	struct iattr a = {.valid = ATTR_UID | ATTR_GID | ATTR_FORCE};
	struct kstat st;
	int ret = real_getattr(low, &st);

	if (ret < 0)
		return ret;
	a.uid = st.uid;
	a.gid = st.gid;
	ret = real_setattr(upper, &a, cred);
	if (ret < 0)
		return ret;
	a = (struct iattr){.valid = ATTR_MODE | ATTR_ATIME | ATTR_MTIME | ATTR_FORCE,
			   .mode = st.mode & 07777,
			   .atime = st.atime,
			   .mtime = st.mtime};
	return real_setattr(upper, &a, cred);
}

int overlay_over_super(struct vfs *v, struct super *upper, struct super *lower, struct super **out)
{
	struct inode *low = lower->root->inode;
	struct user_ns *ns;
	struct cred *cred;
	int ret = user_ns_create(NULL, NULL, &ns);

	if (ret < 0)
		return ret;
	ret = cred_create(ns, 0, 0, CAPSET_ALL, &cred);
	user_ns_put(ns);
	if (ret < 0)
		return ret;
	ret = look_like(upper->root->inode, low, cred);
	if (ret == 0)
		ret = overlay_create(v, upper->root->inode, &low, 1, cred, "overlay", NULL, out);
	cred_put(cred);
	return ret;
}
