/* inode.c: inodes by the host's identity (device, inode number, birth), so that a file with several names is
 * one inode, and what we know of each. */
#include "platform/base/hash.h"
#include "platform/host/hostcall.h"
#include "sentry/fs/gofer/internal.h"

#include <sys/stat.h>

/* Inode numbers of several host devices in one super: the device's place goes to the top byte. */
static uint64_t ino_locked(struct gofer_fs *fs, uint64_t dev, uint64_t ino)
{
	uint32_t i = 0;

	while (i < fs->dev_count && fs->devs[i] != dev)
		i++;
	if (i == fs->dev_count && i < GOFER_DEVS)
		fs->devs[fs->dev_count++] = dev;
	return ino ^ ((uint64_t)i << 56);
}

uint64_t gnode_ino(struct gofer_fs *fs, uint64_t dev, uint64_t ino)
{
	if (dev == fs->devs[0])
		return ino;
	mutex_lock(&fs->lock);
	ino = ino_locked(fs, dev, ino);
	mutex_unlock(&fs->lock);
	return ino;
}

static struct list *bucket_of(struct gofer_fs *fs, uint64_t dev, uint64_t ino)
{
	return &fs->hash[hash_u64(ino ^ (dev << 32)) & fs->hash_mask];
}

static void grow_locked(struct gofer_fs *fs)
{
	uint64_t old_size = fs->hash_mask + 1, size = old_size * 4;
	struct list *old = fs->hash, *table = kmalloc(size * sizeof(*table));

	if (!table)
		return; /* slower, not wrong */
	for (uint64_t i = 0; i < size; i++)
		list_init(&table[i]);
	fs->hash = table;
	fs->hash_mask = size - 1;
	for (uint64_t i = 0; i < old_size; i++) {
		struct gnode *g, *tmp;

		list_for_each_safe (g, tmp, &old[i], hash_node) {
			list_del(&g->hash_node);
			list_add(bucket_of(fs, g->host_dev, g->host_ino), &g->hash_node);
		}
	}
	kfree(old);
}

static bool same_birth(const struct gofer_time *a, const struct gofer_time *b)
{
	return a->sec == b->sec && a->nsec == b->nsec;
}

/* With a reference, or NULL. */
static struct inode *find_locked(struct gofer_fs *fs, const struct gofer_attr *a)
{
	struct list *b = bucket_of(fs, a->dev, a->ino);
	struct gnode *g;

	list_for_each (g, b, hash_node)
		if (g->host_ino == a->ino && g->host_dev == a->dev && same_birth(&g->btime, &a->btime) &&
		    inode_is(g->inode, a->mode & LINUX_S_IFMT) && refs_get_unless_zero(&g->inode->refs))
			return g->inode;
	return NULL;
}

static struct linux_timespec timespec_of(const struct gofer_time *t)
{
	return (struct linux_timespec){t->sec, t->nsec};
}

void gnode_update_locked(struct inode *i, const struct gofer_attr *a)
{
	struct gnode *g = gnode_of(i);

	__atomic_store_n(&i->mode, (i->mode & LINUX_S_IFMT) | (a->mode & 07777), __ATOMIC_RELAXED);
	__atomic_store_n(&i->uid, a->uid, __ATOMIC_RELAXED);
	__atomic_store_n(&i->gid, a->gid, __ATOMIC_RELAXED);
	__atomic_store_n(&i->nlink, a->nlink, __ATOMIC_RELAXED);
	__atomic_store_n(&i->size, a->size, __ATOMIC_RELAXED);
	i->atime = timespec_of(&a->atime);
	i->mtime = timespec_of(&a->mtime);
	i->ctime = timespec_of(&a->ctime);
	g->blocks = a->blocks;
	g->blksize = a->blksize;
	__atomic_store_n(&g->stale, false, __ATOMIC_RELAXED);
	__atomic_store_n(&g->checked_ns, clock_monotonic_ns(), __ATOMIC_RELAXED);
}

void gnode_update(struct inode *i, const struct gofer_attr *a)
{
	mutex_lock_nested(&i->lock);
	gnode_update_locked(i, a);
	mutex_unlock(&i->lock);
}

static const struct inode_ops *ops_for(const struct gofer_fs *fs, uint32_t mode)
{
	uint32_t type = mode & LINUX_S_IFMT;

	if (type != LINUX_S_IFREG && type != LINUX_S_IFDIR && type != LINUX_S_IFLNK)
		return &gofer_special_inode_ops;
	return fs->shared ? &gofer_shared_inode_ops : &gofer_inode_ops;
}

static const struct file_ops *fops_for(uint32_t mode)
{
	switch (mode & LINUX_S_IFMT) {
	case LINUX_S_IFREG:
		return &gofer_file_ops;
	case LINUX_S_IFDIR:
		return &gofer_dir_ops;
	default:
		return NULL;
	}
}

/* A known type, or a regular file that can't be opened would be mistaken for something else. */
static bool type_known(uint32_t mode)
{
	switch (mode & LINUX_S_IFMT) {
	case LINUX_S_IFREG:
	case LINUX_S_IFDIR:
	case LINUX_S_IFLNK:
	case LINUX_S_IFIFO:
	case LINUX_S_IFSOCK:
	case LINUX_S_IFCHR:
	case LINUX_S_IFBLK:
		return true;
	default:
		return false;
	}
}

static int create(struct gofer_fs *fs, const struct gofer_attr *a, struct inode **out)
{
	struct inode *i;
	struct gnode *g;
	int ret = inode_create_extra(fs->super, ops_for(fs, a->mode), fops_for(a->mode),
				     gnode_ino(fs, a->dev, a->ino), a->mode & 0177777u, sizeof(*g), &i);

	if (ret < 0)
		return ret;
	g = i->fs;
	g->inode = i;
	g->host_dev = a->dev;
	g->host_ino = a->ino;
	g->btime = a->btime;
	i->rdev = a->rdev;
	i->btime = timespec_of(&a->btime);
	list_init(&g->hash_node);
	list_init(&g->fd_node);
	list_init(&g->content_node);
	list_init(&g->listing_node);
	if (inode_is(i, LINUX_S_IFREG))
		i->map.ops = &gofer_mappable_ops;
	gnode_update_locked(i, a); /* nobody else has it yet */
	*out = i;
	return 0;
}

/* The file may have another name than the one it was first met under. The handle keeps the first, unless that
 * is known to be gone or it is a directory, which has one name only. */
static void adopt_place(struct inode *i, struct ghandle *h)
{
	struct ghandle *own = gnode_of(i)->h;

	if (inode_is(i, LINUX_S_IFDIR) && own->parent && h->parent &&
	    !ghandle_is(own, h->parent, h->name, h->name_len)) {
		ghandle_move(own, h->parent, h->name, h->name_len);
		/* the gofer is told with the next request */
		__atomic_store_n(&own->bound, 0, __ATOMIC_RELEASE);
	}
	ghandle_put(h);
}

int gnode_get(struct gofer_fs *fs, const struct gofer_attr *a, struct ghandle *h, uint64_t parent_ino,
	      bool fresh_attr, struct inode **out)
{
	struct inode *i, *fresh = NULL;
	int ret;

	if (!type_known(a->mode)) {
		ghandle_put(h);
		return -EIO;
	}
	mutex_lock(&fs->lock);
	i = find_locked(fs, a);
	mutex_unlock(&fs->lock);
	if (!i) {
		if ((a->mode & LINUX_S_IFMT) == LINUX_S_IFDIR)
			h = ghandle_readopt(h);
		ret = create(fs, a, &fresh);
		if (ret < 0) {
			ghandle_put(h);
			return ret;
		}
		mutex_lock(&fs->lock);
		i = find_locked(fs, a); /* somebody may have been quicker */
		if (!i) {
			i = fresh;
			gnode_of(i)->h = h;
			h->node = gnode_of(i);
			list_add(bucket_of(fs, a->dev, a->ino), &gnode_of(i)->hash_node);
			if (++fs->count > fs->hash_mask)
				grow_locked(fs);
		}
		mutex_unlock(&fs->lock);
	}
	if (i != fresh) {
		if (fresh)
			inode_put(fresh);
		adopt_place(i, h);
		if (fs->shared && fresh_attr)
			gnode_update(i, a);
	}
	__atomic_store_n(&gnode_of(i)->parent_ino, parent_ino, __ATOMIC_RELAXED);
	*out = i;
	return 0;
}

void gnode_changed(struct inode *i)
{
	struct gofer_fs *fs = gofer_fs_of(i);
	struct gnode *g = gnode_of(i), *pg;
	bool many = __atomic_load_n(&i->nlink, __ATOMIC_RELAXED) > 1 && !inode_is(i, LINUX_S_IFDIR);
	struct glisting *l;

	__atomic_store_n(&g->stale, true, __ATOMIC_RELAXED);
	do { /* a file with several names may be listed anywhere */
		mutex_lock(&fs->lock);
		pg = g->h->parent ? g->h->parent->node : NULL;
		if (many)
			pg = list_first(&fs->listing_list, struct gnode, listing_node);
		l = pg && pg->listing ? glisting_detach_locked(fs, pg) : NULL;
		mutex_unlock(&fs->lock);
		glisting_put(l);
	} while (many && l);
}

/* Attributes from the host through an open descriptor: no request. The inode is locked, so that no write of
 * ours comes in between. */
static bool refresh_by_fd_locked(struct inode *i)
{
	struct gnode *g = gnode_of(i);
	struct stat st;
	uint64_t *slot;
	int fd, ret;

	if (!gfd_get_any(g, &slot, &fd))
		return false;
	ret = hc_fstat(fd, &st);
	gfd_put(slot);
	if (ret < 0)
		return false;
	/* ids as the gofer showed them: it may see others than we */
	__atomic_store_n(&i->mode, (i->mode & LINUX_S_IFMT) | (st.st_mode & 07777), __ATOMIC_RELAXED);
	__atomic_store_n(&i->nlink, (uint32_t)st.st_nlink, __ATOMIC_RELAXED);
	__atomic_store_n(&i->size, (uint64_t)st.st_size, __ATOMIC_RELAXED);
	i->atime = (struct linux_timespec){st.st_atim.tv_sec, st.st_atim.tv_nsec};
	i->mtime = (struct linux_timespec){st.st_mtim.tv_sec, st.st_mtim.tv_nsec};
	i->ctime = (struct linux_timespec){st.st_ctim.tv_sec, st.st_ctim.tv_nsec};
	g->blocks = (uint64_t)st.st_blocks;
	__atomic_store_n(&g->stale, false, __ATOMIC_RELAXED);
	return true;
}

int gnode_refresh(struct inode *i, bool force)
{
	struct gnode *g = gnode_of(i);
	struct gofer_attr a;
	struct gcall c;
	int ret;

	if (!force && !__atomic_load_n(&g->stale, __ATOMIC_RELAXED) &&
	    (!gofer_fs_of(i)->shared ||
	     clock_monotonic_ns() - __atomic_load_n(&g->checked_ns, __ATOMIC_RELAXED) < GOFER_SHARED_NS))
		return 0;
	mutex_lock_nested(&i->lock);
	if (refresh_by_fd_locked(i)) {
		ret = 0;
	} else {
		gcall_prepare(&c, g->h, GOFER_GETATTR);
		ret = gcall_simple(&c, &a, NULL);
		if (ret == 0)
			gnode_update_locked(i, &a);
	}
	mutex_unlock(&i->lock);
	return ret;
}

void gnode_set_link(struct inode *i, const void *text, size_t len)
{
	char *copy;
	const char *none = NULL;

	if (!len || len > GOFER_TARGET_MAX || memchr(text, 0, len) ||
	    __atomic_load_n(&i->link, __ATOMIC_ACQUIRE))
		return;
	copy = kstrndup(text, len);
	if (copy &&
	    !__atomic_compare_exchange_n(&i->link, &none, copy, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		kfree(copy);
}

void gnode_destroy(struct inode *i)
{
	struct gofer_fs *fs = gofer_fs_of(i);
	struct gnode *g = gnode_of(i);

	mutex_lock(&fs->lock);
	if (g->h) {
		g->h->node = NULL;
		if (inode_is(i, LINUX_S_IFDIR))
			ghandle_orphan_locked(g->h);
	}
	if (!list_empty(&g->hash_node)) {
		list_del(&g->hash_node);
		fs->count--;
	}
	mutex_unlock(&fs->lock);
	if (inode_is(i, LINUX_S_IFDIR))
		glisting_drop(i);
	gcontent_drop(g);
	gfd_close_all(g);
	kfree((void *)(uintptr_t)i->link);
	ghandle_put(g->h);
}
