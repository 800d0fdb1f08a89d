/* super.c: instances of file systems, the vfs object itself and its registries.
 *
 * A super lives as long as something may use its names (refs: mounts, creators), then its cached names are
 * dropped, and its memory goes with the last inode (objects). */
#include <string.h>

#include "sentry/vfs/internal.h"

int super_create(struct vfs *v, const struct super_ops *ops, const char *type, uint32_t magic,
		 const char *source, void *fs, struct super **out)
{
	struct super *s = kmalloc(sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->source = kstrdup(source && *source ? source : "none");
	if (!s->source) {
		kfree(s);
		return -ENOMEM;
	}
	refs_init(&s->refs);
	s->objects = 1;
	s->vfs = v;
	s->ops = ops;
	s->type = type;
	s->magic = magic;
	s->dev = makedev(0, (uint32_t)__atomic_add_fetch(&v->next_dev, 1, __ATOMIC_RELAXED));
	s->next_ino = 1;
	s->fs = fs;
	mutex_init(&s->rename_lock, RANK_RENAME);
	rwlock_write(&v->mount_lock);
	list_add_tail(&v->supers, &s->supers_node);
	rwlock_write_unlock(&v->mount_lock);
	*out = s;
	return 0;
}

int super_set_root(struct super *s, struct inode *root)
{
	struct dentry *d;
	int ret = dentry_create(s, NULL, "/", 1, root, &d);

	if (ret < 0)
		return ret;
	s->root = d;
	return 0;
}

void super_get(struct super *s)
{
	refs_get(&s->refs);
}

void super_object_get(struct super *s)
{
	__atomic_fetch_add(&s->objects, 1, __ATOMIC_RELAXED);
}

void super_object_put(struct super *s)
{
	if (__atomic_fetch_sub(&s->objects, 1, __ATOMIC_ACQ_REL) != 1)
		return;
	if (s->ops && s->ops->destroy)
		s->ops->destroy(s);
	kfree(s->source);
	kfree(s);
}

void super_put(struct super *s)
{
	struct vfs *v = s->vfs;

	if (!refs_put(&s->refs))
		return;
	rwlock_write(&v->mount_lock);
	list_del(&s->supers_node);
	rwlock_write_unlock(&v->mount_lock);
	fsnotify_super_gone(s);
	if (s->ops && s->ops->sync)
		(void)s->ops->sync(s);
	dentry_kill_super(s);
	super_object_put(s);
}

uint64_t super_new_ino(struct super *s)
{
	return __atomic_fetch_add(&s->next_ino, 1, __ATOMIC_RELAXED);
}

int vfs_create(struct vfs **out)
{
	struct vfs *v = kmalloc(sizeof(*v));
	int ret;

	if (!v)
		return -ENOMEM;
	mutex_init(&v->fs_list_lock, RANK_FS_LIST);
	list_init(&v->fs_contexts);
	mutex_init(&v->epoll_lock, RANK_EPOLL);
	mutex_init(&v->inotify_lock, RANK_INOTIFY);
	mutex_init(&v->lock_wait_lock, RANK_FLOCK_WAIT);
	list_init(&v->lock_waits);
	list_init(&v->watches);
	list_init(&v->mounts);
	list_init(&v->supers);
	v->words = v->own_words = kmalloc(CHANGE_WORDS * sizeof(*v->words));
	if (!v->words) {
		kfree(v);
		return -ENOMEM;
	}
	v->next_mount_id = 20; /* smaller numbers stand for what lies outside the sandbox */
	v->next_ns_ino = 0xf0000100u;
	ret = dentry_cache_init(v);
	if (ret == 0)
		ret = mount_table_init(v);
	if (ret == 0)
		ret = anon_init(v);
	if (ret < 0) {
		kfree(v->mount_hash);
		kfree(v->hash);
		kfree(v->own_words);
		kfree(v);
		return ret;
	}
	arena_set_root(ROOT_VFS, v);
	*out = v;
	return 0;
}

void vfs_use_words(struct vfs *v, uint64_t *words)
{
	v->words = words;
	kfree(v->own_words);
	v->own_words = NULL;
}

void vfs_register(struct vfs *v, const struct fs_type *type)
{
	BUG_ON(v->type_count == ARRAY_SIZE(v->types));
	v->types[v->type_count++] = type;
}

void vfs_register_chrdev(struct vfs *v, uint32_t major, uint32_t minor_first, uint32_t minor_last,
			 int (*open)(struct inode *inode, struct file *f))
{
	BUG_ON(v->chrdev_count == ARRAY_SIZE(v->chrdevs));
	v->chrdevs[v->chrdev_count++] = (struct chrdev_range){major, minor_first, minor_last, open};
}

int vfs_statfs(const struct path *p, struct linux_statfs *out)
{
	struct super *s = p->mnt ? p->mnt->super : p->dentry->super;
	uint32_t f = p->mnt ? __atomic_load_n(&p->mnt->flags, __ATOMIC_RELAXED) : 0;
	int ret = 0;

	*out = (struct linux_statfs){.f_type = s->magic, .f_bsize = PAGE_SIZE, .f_namelen = VFS_NAME_MAX};
	if (s->ops && s->ops->statfs)
		ret = s->ops->statfs(s, out);
	if (ret < 0)
		return ret;
	if (!out->f_frsize)
		out->f_frsize = out->f_bsize;
	if (!out->f_fsid[0] && !out->f_fsid[1])
		out->f_fsid[0] = (int32_t)s->dev;
	/* ST_VALID and the flags of statvfs(3), which for these bits are those of mount(2) */
	out->f_flags = 0x20 | (f & (LINUX_MS_NOSUID | LINUX_MS_NODEV | LINUX_MS_NOEXEC)) |
		       (f & (LINUX_MS_RDONLY) || s->read_only ? 1 : 0) | (f & LINUX_MS_NOATIME ? 0x400 : 0) |
		       (f & LINUX_MS_NODIRATIME ? 0x800 : 0) | (f & LINUX_MS_RELATIME ? 0x1000 : 0) |
		       (f & LINUX_MS_NOSYMFOLLOW ? 0x2000 : 0);
	return 0;
}

/* The next super behind s (NULL: the first) with a reference; s's reference goes. */
static struct super *super_next(struct vfs *v, struct super *s)
{
	struct super *next = NULL, *i;
	bool seen = !s;

	rwlock_read(&v->mount_lock);
	list_for_each (i, &v->supers, supers_node) {
		if (seen && refs_get_unless_zero(&i->refs)) {
			next = i;
			break;
		}
		seen |= i == s;
	}
	rwlock_read_unlock(&v->mount_lock);
	if (s)
		super_put(s);
	return next;
}

int vfs_sync(struct vfs *v)
{
	int ret = 0;

	for (struct super *s = super_next(v, NULL); s; s = super_next(v, s)) {
		int r = s->ops && s->ops->sync ? s->ops->sync(s) : 0;

		if (r < 0)
			ret = r;
	}
	return ret;
}
