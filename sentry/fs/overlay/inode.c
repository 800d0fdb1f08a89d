/* inode.c: the overlay's inodes. One stands for one file: found by its real inodes, it stays the same (and
 * keeps its number) when the file is copied up, under every name of a hard link. An inode that was copied up is
 * pinned until its last name goes, because only it knows which lower file it came from. */
#include "platform/base/hash.h"
#include "sentry/fs/overlay/internal.h"

/* ---- numbers: the layer's place goes into bits that file systems rarely use */

uint64_t ovl_ino(struct ovl_fs *fs, const struct super *real, uint64_t ino)
{
	uint64_t i = 0;

	while (i < fs->super_count && fs->supers[i] != real)
		i++;
	return ino ^ (i << 48);
}

/* ---- the table */

static struct list *bucket_of(struct ovl_fs *fs, const struct inode *real)
{
	return &fs->hash[hash_u64((uintptr_t)real) & fs->hash_mask];
}

static void grow_locked(struct ovl_fs *fs)
{
	uint64_t old_size = fs->hash_mask + 1, size = old_size * 4;
	struct list *old = fs->hash, *table = kmalloc(size * sizeof(*table));

	if (!table)
		return;
	for (uint64_t i = 0; i < size; i++)
		list_init(&table[i]);
	fs->hash = table;
	fs->hash_mask = size - 1;
	for (uint64_t i = 0; i < old_size; i++) {
		struct ovl_link *l, *tmp;

		list_for_each_safe (l, tmp, &old[i], node) {
			list_del(&l->node);
			list_add(bucket_of(fs, l->real), &l->node);
		}
	}
	kfree(old);
}

static void link_locked(struct ovl_fs *fs, struct ovl_link *l, struct ovl_inode *owner, struct inode *real)
{
	l->real = real;
	l->owner = owner;
	list_add(bucket_of(fs, real), &l->node);
	if (++fs->count > fs->hash_mask)
		grow_locked(fs);
}

static void unlink_locked(struct ovl_fs *fs, struct ovl_link *l)
{
	if (list_empty(&l->node))
		return;
	list_del(&l->node);
	fs->count--;
}

static struct ovl_inode *find_locked(struct ovl_fs *fs, const struct inode *real)
{
	struct list *b = bucket_of(fs, real);
	struct ovl_link *l;

	list_for_each (l, b, node)
		if (l->real == real && refs_read(&l->owner->inode->refs))
			return l->owner;
	return NULL;
}

uint64_t ovl_ino_of_upper(struct ovl_fs *fs, const struct inode *upper)
{
	struct ovl_inode *oi;
	uint64_t ino;

	mutex_lock(&fs->lock);
	oi = find_locked(fs, upper);
	ino = oi ? oi->ino : ovl_ino(fs, upper->super, upper->ino);
	mutex_unlock(&fs->lock);
	return ino;
}

/* ---- pins and places */

void ovl_pin_locked(struct inode *i)
{
	struct ovl_inode *oi = ovl_of(i);

	if (oi->pinned)
		return;
	oi->pinned = true;
	inode_get(i);
	list_add_tail(&ovl_fs_of(i)->pinned, &oi->pin_node);
}

bool ovl_unpin_locked(struct inode *i)
{
	struct ovl_inode *oi = ovl_of(i);

	if (!oi->pinned)
		return false;
	oi->pinned = false;
	list_del(&oi->pin_node);
	return true;
}

/* The super is going away. */
void ovl_unpin_all(struct ovl_fs *fs)
{
	for (;;) {
		struct ovl_inode *oi;

		mutex_lock(&fs->lock);
		oi = list_first(&fs->pinned, struct ovl_inode, pin_node);
		if (oi)
			(void)ovl_unpin_locked(oi->inode);
		mutex_unlock(&fs->lock);
		if (!oi)
			return;
		inode_put(oi->inode);
	}
}

/* Puts parents whose children are gone, one after the other: a long chain must not become deep recursion. */
static void put_parent_later_locked(struct ovl_fs *fs, struct inode *parent)
{
	struct ovl_inode *oi = ovl_of(parent);

	if (oi->puts_due++ == 0)
		list_add_tail(&fs->parents, &oi->parent_node);
}

void ovl_drain(struct ovl_fs *fs)
{
	mutex_lock(&fs->lock);
	if (fs->draining) {
		mutex_unlock(&fs->lock);
		return;
	}
	fs->draining = true;
	for (;;) {
		struct ovl_inode *oi = list_first(&fs->parents, struct ovl_inode, parent_node);
		uint32_t n;

		if (!oi)
			break;
		list_del(&oi->parent_node);
		n = oi->puts_due;
		oi->puts_due = 0;
		mutex_unlock(&fs->lock);
		while (n--)
			inode_put(oi->inode);
		mutex_lock(&fs->lock);
	}
	fs->draining = false;
	mutex_unlock(&fs->lock);
}

void ovl_set_place_locked(struct inode *i, struct inode *parent, char *name, size_t len)
{
	struct ovl_inode *oi = ovl_of(i);

	if (oi->parent)
		put_parent_later_locked(ovl_fs_of(i), oi->parent);
	kfree(oi->name);
	oi->parent = parent ? inode_get(parent) : NULL;
	oi->name = name;
	oi->name_len = (uint16_t)len;
	oi->nameless = !name && parent;
}

void ovl_set_upper_locked(struct inode *i, struct inode *upper)
{
	struct ovl_inode *oi = ovl_of(i);

	link_locked(ovl_fs_of(i), &oi->by_upper, oi, upper);
	__atomic_store_n(&oi->upper, upper, __ATOMIC_RELEASE);
}

void ovl_name_gone(struct inode *i, struct inode *dir, const char *name, size_t len)
{
	struct ovl_fs *fs = ovl_fs_of(i);
	struct ovl_inode *oi = ovl_of(i);
	bool put = false;

	mutex_lock_nested(&i->lock);
	if (ovl_is_dir(i))
		__atomic_store_n(&i->nlink, 0, __ATOMIC_RELAXED);
	else if (i->nlink)
		__atomic_store_n(&i->nlink, i->nlink - 1, __ATOMIC_RELAXED);
	i->ctime = vfs_now();
	mutex_unlock(&i->lock);
	mutex_lock(&fs->lock);
	if (oi->parent == dir && oi->name_len == len && oi->name && memcmp(oi->name, name, len) == 0)
		oi->nameless = true;
	if (__atomic_load_n(&i->nlink, __ATOMIC_RELAXED) == 0)
		put = ovl_unpin_locked(i);
	else if (!oi->upper)
		ovl_pin_locked(i); /* it knows how many names are left */
	mutex_unlock(&fs->lock);
	if (put)
		inode_put(i);
}

/* ---- attributes */

void ovl_sync_locked(struct inode *i)
{
	struct inode *real = ovl_real(i);
	struct kstat st;

	if (real_getattr(real, &st) < 0)
		return;
	__atomic_store_n(&i->mode, (i->mode & LINUX_S_IFMT) | (st.mode & 07777), __ATOMIC_RELAXED);
	__atomic_store_n(&i->uid, st.uid, __ATOMIC_RELAXED);
	__atomic_store_n(&i->gid, st.gid, __ATOMIC_RELAXED);
	__atomic_store_n(&i->size, st.size, __ATOMIC_RELAXED);
	i->atime = st.atime;
	i->mtime = st.mtime;
	i->ctime = st.ctime;
}

void ovl_sync(struct inode *i)
{
	mutex_lock_nested(&i->lock);
	ovl_sync_locked(i);
	mutex_unlock(&i->lock);
}

/* ---- life */

static int set_lowers(struct ovl_inode *oi, struct inode **lowers, uint32_t count)
{
	oi->lowers = &oi->one_lower;
	if (count > 1) {
		oi->lowers = kmalloc(count * sizeof(*oi->lowers));
		if (!oi->lowers)
			return -ENOMEM;
	}
	for (uint32_t n = 0; n < count; n++)
		oi->lowers[n] = lowers[n];
	oi->lower_count = count;
	return 0;
}

static int create(struct ovl_fs *fs, struct inode *upper, struct inode **lowers, uint32_t count,
		  struct inode **out)
{
	struct inode *real = upper ? upper : lowers[0], *i;
	struct ovl_inode *oi;
	bool plain =
		inode_is(real, LINUX_S_IFREG) || inode_is(real, LINUX_S_IFDIR) || inode_is(real, LINUX_S_IFLNK);
	/* a merged directory has the number of its lowest part: that never changes */
	struct inode *first = count ? lowers[count - 1] : upper;
	uint64_t ino = ovl_ino(fs, first->super, first->ino);
	int ret = inode_create_extra(fs->super, plain ? &ovl_inode_ops : &ovl_special_inode_ops, NULL, ino,
				     real->mode, sizeof(*oi), &i);

	if (ret < 0)
		return ret;
	oi = i->fs;
	oi->inode = i;
	oi->ino = ino;
	list_init(&oi->by_upper.node);
	list_init(&oi->by_lower.node);
	list_init(&oi->pin_node);
	list_init(&oi->parent_node);
	mutex_init(&oi->copy_lock, RANK_OVERLAY_COPY);
	ret = set_lowers(oi, lowers, count);
	if (ret < 0) {
		oi->lower_count = 0;
		inode_put(i);
		return ret;
	}
	oi->upper = upper;
	i->rdev = real->rdev;
	i->nlink = ovl_is_dir(i) && count ? 1 : __atomic_load_n(&real->nlink, __ATOMIC_RELAXED);
	i->btime = real->btime;
	ovl_sync_locked(i);
	if (inode_is(i, LINUX_S_IFLNK)) /* lives as long as the real inode, which we hold */
		i->link = __atomic_load_n(&real->link, __ATOMIC_ACQUIRE);
	*out = i;
	return 0;
}

static void put_all(struct inode *upper, struct inode **lowers, uint32_t count)
{
	if (upper)
		inode_put(upper);
	for (uint32_t n = 0; n < count; n++)
		inode_put(lowers[n]);
}

/* With a reference, or NULL. */
static struct inode *find_known_locked(struct ovl_fs *fs, struct inode *upper, struct inode **lowers,
				       uint32_t count)
{
	struct ovl_inode *oi = upper ? find_locked(fs, upper) : find_locked(fs, lowers[0]);

	(void)count;
	return oi && refs_get_unless_zero(&oi->inode->refs) ? oi->inode : NULL;
}

int ovl_get(struct ovl_fs *fs, struct inode *upper, struct inode **lowers, uint32_t count, struct inode *parent,
	    const char *name, size_t len, struct inode **out)
{
	struct inode *i, *fresh;
	char *copy;
	int ret;

	copy = name ? kstrndup(name, len) : NULL;
	if (name && !copy) {
		put_all(upper, lowers, count);
		return -ENOMEM;
	}
	mutex_lock(&fs->lock);
	i = find_known_locked(fs, upper, lowers, count);
	if (i && ovl_of(i)->nameless && copy) { /* met under another of its names */
		ovl_set_place_locked(i, parent, copy, len);
		copy = NULL;
	}
	mutex_unlock(&fs->lock);
	if (i) {
		kfree(copy);
		put_all(upper, lowers, count);
		ovl_drain(fs);
		*out = i;
		return 0;
	}
	ret = create(fs, upper, lowers, count, &fresh);
	if (ret < 0) {
		put_all(upper, lowers, count);
		kfree(copy);
		return ret;
	}
	mutex_lock(&fs->lock);
	i = find_known_locked(fs, upper, lowers, count);
	if (!i) {
		struct ovl_inode *oi = ovl_of(fresh);

		i = fresh;
		if (upper)
			link_locked(fs, &oi->by_upper, oi, upper);
		if (count)
			link_locked(fs, &oi->by_lower, oi, oi->lowers[0]);
		ovl_set_place_locked(i, parent, copy, len);
		copy = NULL;
	}
	mutex_unlock(&fs->lock);
	kfree(copy);
	if (i != fresh)
		inode_put(fresh);
	*out = i;
	return 0;
}

void ovl_destroy_inode(struct inode *i)
{
	struct ovl_fs *fs = ovl_fs_of(i);
	struct ovl_inode *oi = ovl_of(i);

	mutex_lock(&fs->lock);
	unlink_locked(fs, &oi->by_upper);
	unlink_locked(fs, &oi->by_lower);
	if (oi->parent)
		put_parent_later_locked(fs, oi->parent);
	mutex_unlock(&fs->lock);
	put_all(oi->upper, oi->lowers, oi->lower_count);
	if (oi->lowers != &oi->one_lower)
		kfree(oi->lowers);
	kfree(oi->name);
	ovl_drain(fs);
}
