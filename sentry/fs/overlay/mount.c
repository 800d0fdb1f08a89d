/* mount.c: mount(2) of type "overlay": lowerdir=A:B:C,upperdir=U,workdir=W. A backslash keeps ':' and ','
 * from their meaning. */
#include "sentry/fs/overlay/internal.h"

struct parsed {
	struct inode *upper, *work;
	struct inode *lowers[OVERLAY_LOWERS_MAX];
	uint32_t count;
};

/* The next piece of s up to the separator, unescaped once, in buf (VFS_PATH_MAX). Returns what follows it, or
 * NULL when s is at its end; *ret is set when it is too long. */
static const char *next_piece(const char *s, char separator, char *buf, int *ret)
{
	size_t n = 0;

	if (!*s)
		return NULL;
	while (*s && *s != separator) {
		if (n + 2 >= VFS_PATH_MAX) {
			*ret = -ENAMETOOLONG;
			return NULL;
		}
		/* an escape of another separator is left for the next round */
		if (*s == '\\' && s[1]) {
			if (s[1] != separator)
				buf[n++] = *s;
			s++;
		}
		buf[n++] = *s++;
	}
	buf[n] = 0;
	return *s ? s + 1 : s;
}

static int look_up(const struct vfs_at *at, const char *name, struct inode **out)
{
	struct path p;
	int ret = vfs_lookup(at, name, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &p);

	if (ret < 0)
		return ret;
	*out = inode_get(p.dentry->inode);
	path_put(&p);
	return 0;
}

static int add_lowers(const struct vfs_at *at, const char *list, struct parsed *p)
{
	char *name = kmalloc(VFS_PATH_MAX);
	int ret = 0;

	if (!name)
		return -ENOMEM;
	while (ret == 0 && (list = next_piece(list, ':', name, &ret))) {
		if (p->count == OVERLAY_LOWERS_MAX)
			ret = -EINVAL;
		else
			ret = look_up(at, name, &p->lowers[p->count]);
		if (ret == 0)
			p->count++;
	}
	kfree(name);
	return ret;
}

/* Options of Linux's overlay that change nothing here. */
static bool is_harmless(const char *opt)
{
	static const char *const known[] = {
		"index=",	  "xino=", "metacopy=off", "redirect_dir=off", "redirect_dir=nofollow",
		"nfs_export=off", "uuid=", "verity=off",   "userxattr",	       "volatile"};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strncmp(opt, known[i], strlen(known[i])) == 0)
			return true;
	return false;
}

static int apply(const struct vfs_at *at, const char *opt, struct parsed *p)
{
	if (strncmp(opt, "lowerdir=", 9) == 0)
		return p->count ? -EINVAL : add_lowers(at, opt + 9, p);
	if (strncmp(opt, "upperdir=", 9) == 0)
		return p->upper ? -EINVAL : look_up(at, opt + 9, &p->upper);
	if (strncmp(opt, "workdir=", 8) == 0)
		return p->work ? -EINVAL : look_up(at, opt + 8, &p->work);
	return *opt == 0 || is_harmless(opt) ? 0 : -EINVAL;
}

static int parse(const struct vfs_at *at, const char *data, struct parsed *p)
{
	char *opt = kmalloc(VFS_PATH_MAX);
	int ret = 0;

	if (!opt)
		return -ENOMEM;
	while (ret == 0 && (data = next_piece(data, ',', opt, &ret)))
		ret = apply(at, opt, p);
	kfree(opt);
	if (ret < 0)
		return ret;
	/* Linux wants a workdir beside the upperdir, on the same file system and not inside it */
	if (!p->count || (!p->upper != !p->work) || (!p->upper && p->count < 2))
		return -EINVAL;
	return p->upper && (p->upper == p->work || p->upper->super != p->work->super) ? -EINVAL : 0;
}

static int overlay_mount(struct vfs *v, const struct vfs_at *at, const char *source, uint64_t flags,
			 const char *data, struct super **out)
{
	struct parsed *p = kmalloc(sizeof(*p));
	int ret;

	(void)flags;
	if (!p)
		return -ENOMEM;
	ret = data ? parse(at, data, p) : -EINVAL;
	if (ret == 0)
		ret = overlay_create(v, p->upper, p->lowers, p->count, at->cred, source, data, out);
	if (p->upper)
		inode_put(p->upper);
	if (p->work)
		inode_put(p->work);
	while (p->count)
		inode_put(p->lowers[--p->count]);
	kfree(p);
	return ret;
}

static const struct fs_type overlay_type = {
	.name = "overlay",
	.user_mountable = true,
	.nodev = true,
	.mount = overlay_mount,
};

void overlay_register(struct vfs *v)
{
	vfs_register(v, &overlay_type);
}
