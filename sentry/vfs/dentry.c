/* dentry.c: the cache of names. A hashed dentry is held by the cache with one reference; it stands in its
 * parent's children, in the hash and in the LRU list. Reading needs dentry_lock for reading; a dentry found
 * under it stays valid until the lock is dropped, with its inode. The LRU is a clock: a walk only sets
 * `referenced`, so that using a name never takes the lock for writing.
 *
 * Buckets are zero until used: the table costs no memory at start. */
#include <string.h>

#include "platform/base/hash.h"
#include "platform/base/random.h"
#include "sentry/vfs/internal.h"

#define HASH_START 4096u
#define HASH_LIMIT (1u << 20)
#define DENTRY_MAX 32768u
#define SCAN_BATCH 16

int dentry_cache_init(struct vfs *v)
{
	rwlock_init(&v->dentry_lock, RANK_DENTRY);
	v->hash = kmalloc(HASH_START * sizeof(*v->hash));
	if (!v->hash)
		return -ENOMEM;
	v->hash_mask = HASH_START - 1;
	v->hash_key = random_u64();
	v->dentry_max = DENTRY_MAX;
	list_init(&v->lru);
	return 0;
}

uint64_t dentry_hash(const struct vfs *v, const struct dentry *dir, const char *name, size_t len)
{
	return hash_bytes(v->hash_key ^ (uintptr_t)dir, name, len);
}

struct dentry *dentry_find_locked(const struct vfs *v, const struct dentry *dir, const char *name, size_t len,
				  uint64_t hash)
{
	const struct list *b = &v->hash[hash & v->hash_mask];
	struct list *n;

	for (n = b->next; n && n != b; n = n->next) {
		struct dentry *d = list_entry(n, struct dentry, hash_node);

		if (d->hash == hash && d->parent == dir && d->name_len == len && !memcmp(d->name, name, len)) {
			if (!__atomic_load_n(&d->referenced, __ATOMIC_RELAXED))
				__atomic_store_n(&d->referenced, true, __ATOMIC_RELAXED);
			return d;
		}
	}
	return NULL;
}

struct dentry *dentry_lookup(struct dentry *dir, const char *name, size_t len)
{
	struct vfs *v = dir->super->vfs;
	uint64_t hash = dentry_hash(v, dir, name, len);
	struct dentry *d;

	rwlock_read(&v->dentry_lock);
	d = dentry_find_locked(v, dir, name, len, hash);
	if (d)
		refs_get(&d->refs);
	rwlock_read_unlock(&v->dentry_lock);
	return d;
}

static bool is_hashed(const struct dentry *d)
{
	return !list_empty(&d->hash_node);
}

static void hash_insert(struct vfs *v, struct dentry *d)
{
	struct list *b = &v->hash[d->hash & v->hash_mask];

	if (!b->next)
		list_init(b);
	list_add(b, &d->hash_node);
}

static void rehash_locked(struct vfs *v)
{
	uint64_t size = (v->hash_mask + 1) * 4;
	struct list *table, *old = v->hash;
	uint64_t old_size = v->hash_mask + 1;

	if (size > HASH_LIMIT)
		return;
	table = kmalloc(size * sizeof(*table));
	if (!table)
		return; /* only slower */
	v->hash = table;
	v->hash_mask = size - 1;
	for (uint64_t i = 0; i < old_size; i++) {
		struct dentry *d, *tmp;

		if (!old[i].next)
			continue;
		list_for_each_safe (d, tmp, &old[i], hash_node) {
			list_del(&d->hash_node);
			hash_insert(v, d);
		}
	}
	kfree(old);
}

/* The cache takes a reference. */
static void insert_locked(struct vfs *v, struct dentry *d)
{
	refs_get(&d->refs);
	hash_insert(v, d);
	list_add(&d->parent->children, &d->siblings);
	list_add_tail(&v->lru, &d->lru);
	v->unused_count++;
	if (++v->dentry_count > 2 * v->hash_mask)
		rehash_locked(v);
}

/* The cache's reference moves to the list, through d->lru. */
static void unhash_locked(struct vfs *v, struct dentry *d, struct list *gone)
{
	if (!is_hashed(d))
		return;
	list_del(&d->hash_node);
	list_del(&d->siblings);
	list_del(&d->lru);
	list_add_tail(gone, &d->lru);
	v->dentry_count--;
	v->unused_count--;
}

static void put_gone(struct list *gone)
{
	struct dentry *d;

	while ((d = list_first(gone, struct dentry, lru))) {
		list_del(&d->lru);
		dentry_put(d);
	}
}

static bool evictable(const struct dentry *d)
{
	return refs_read(&d->refs) == 1 && list_empty(&d->children) &&
	       !__atomic_load_n(&d->mounts, __ATOMIC_RELAXED) &&
	       !(d->inode && __atomic_load_n(&d->inode->mark_count, __ATOMIC_RELAXED));
}

static void shrink_locked(struct vfs *v, uint32_t keep, uint32_t scan, struct list *gone)
{
	while (v->dentry_count > keep && scan--) {
		struct dentry *d = list_first(&v->lru, struct dentry, lru);

		if (!d)
			return;
		if (evictable(d) && !d->referenced) {
			unhash_locked(v, d, gone);
			continue;
		}
		d->referenced = false;
		list_del(&d->lru);
		list_add_tail(&v->lru, &d->lru);
	}
}

void vfs_shrink(struct vfs *v, uint32_t keep)
{
	struct list gone;

	/* Children are freed before their parents become evictable: a few rounds, two for the clock. */
	for (int round = 0; round < 8; round++) {
		list_init(&gone);
		rwlock_write(&v->dentry_lock);
		shrink_locked(v, keep, v->dentry_count, &gone);
		rwlock_write_unlock(&v->dentry_lock);
		put_gone(&gone);
	}
}

int dentry_create(struct super *s, struct dentry *parent, const char *name, size_t len, struct inode *inode,
		  struct dentry **out)
{
	struct dentry *d = kmalloc(sizeof(*d) + len + 1);

	if (!d) {
		if (inode)
			inode_put(inode);
		return -ENOMEM;
	}
	refs_init(&d->refs);
	d->super = s;
	d->parent = parent ? parent : d;
	if (parent)
		refs_get(&parent->refs);
	d->inode = inode;
	list_init(&d->siblings);
	list_init(&d->children);
	list_init(&d->hash_node);
	list_init(&d->lru);
	d->name = (char *)(d + 1);
	d->name_len = (uint16_t)len;
	memcpy(d->name, name, len);
	if (inode && s != s->vfs->anon)
		__atomic_store_n(&inode->alias, d, __ATOMIC_RELEASE);
	*out = d;
	return 0;
}

/* dentry_lock held for writing: whoever reads an alias holds it for reading. */
static void forget_alias_locked(struct inode *i, struct dentry *d)
{
	struct dentry *expected = d;

	__atomic_compare_exchange_n(&i->alias, &expected, NULL, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

int dentry_create_detached(struct super *s, const char *name, size_t len, struct inode *inode,
			   struct dentry **out)
{
	int ret = dentry_create(s, NULL, name, len, inode, out);

	if (ret == 0)
		(*out)->unhashed = true;
	return ret;
}

int dentry_add(struct dentry *dir, const char *name, size_t len, struct inode *inode, struct dentry **out)
{
	struct vfs *v = dir->super->vfs;
	struct list gone;
	struct dentry *d, *other;
	int ret = dentry_create(dir->super, dir, name, len, inode, &d);

	if (ret < 0)
		return ret;
	list_init(&gone);
	d->hash = dentry_hash(v, dir, name, len);
	rwlock_write(&v->dentry_lock);
	other = dentry_find_locked(v, dir, name, len, d->hash);
	if (other) /* a stale entry, or a prefill that lost its race */
		unhash_locked(v, other, &gone);
	if (!dir->unhashed && !dir->super->dead)
		insert_locked(v, d);
	if (v->dentry_count > v->dentry_max)
		shrink_locked(v, v->dentry_max, SCAN_BATCH, &gone);
	rwlock_write_unlock(&v->dentry_lock);
	put_gone(&gone);
	*out = d;
	return 0;
}

void dentry_instantiate(struct dentry *d, struct inode *inode)
{
	struct vfs *v = d->super->vfs;

	rwlock_write(&v->dentry_lock);
	__atomic_store_n(&d->inode, inode, __ATOMIC_RELEASE); /* holders of d look without the lock */
	__atomic_store_n(&inode->alias, d, __ATOMIC_RELEASE);
	rwlock_write_unlock(&v->dentry_lock);
}

void dentry_get(struct dentry *d)
{
	refs_get(&d->refs);
}

static void put_inode_of_dead_name(struct inode *i)
{
	if (__atomic_load_n(&i->mark_count, __ATOMIC_RELAXED) &&
	    __atomic_load_n(&i->nlink, __ATOMIC_RELAXED) == 0)
		fsnotify_inode_gone(i);
	inode_put(i);
}

static void dentry_free(struct dentry *d)
{
	if (d->inode && __atomic_load_n(&d->inode->alias, __ATOMIC_RELAXED) == d) {
		struct vfs *v = d->super->vfs;

		rwlock_write(&v->dentry_lock);
		forget_alias_locked(d->inode, d);
		rwlock_write_unlock(&v->dentry_lock);
	}
	if (d->inode)
		put_inode_of_dead_name(d->inode);
	if (d->name != (char *)(d + 1))
		kfree(d->name);
	kfree(d);
}

/* A super that keeps no unused names: d's only holders are the cache and the caller. */
static void drop_unused(struct dentry *d)
{
	struct vfs *v = d->super->vfs;
	struct list gone;

	list_init(&gone);
	rwlock_write(&v->dentry_lock);
	if (refs_read(&d->refs) == 2 && list_empty(&d->children) && !d->mounts &&
	    !(d->inode && d->inode->mark_count))
		unhash_locked(v, d, &gone);
	rwlock_write_unlock(&v->dentry_lock);
	if (!list_empty(&gone)) {
		list_del(&d->lru);
		BUG_ON(refs_put(&d->refs)); /* the caller has one */
	}
}

void dentry_put(struct dentry *d)
{
	for (;;) {
		struct dentry *parent;

		if (UNLIKELY(d->super->no_cache) && refs_read(&d->refs) == 2 && is_hashed(d))
			drop_unused(d);
		if (!refs_put(&d->refs))
			return;
		parent = d->parent;
		if (parent == d)
			parent = NULL;
		dentry_free(d);
		if (!parent)
			return;
		d = parent;
	}
}

/* Names below a directory that is gone: all negative, or left behind by a file system that changed. */
static void drop_children_locked(struct vfs *v, struct dentry *d, struct list *gone)
{
	struct dentry *c, *tmp;

	list_for_each_safe (c, tmp, &d->children, siblings)
		if (!c->mounts)
			unhash_locked(v, c, gone);
}

void dentry_delete(struct dentry *d)
{
	struct vfs *v = d->super->vfs;
	struct inode *inode = NULL;
	struct list gone;

	list_init(&gone);
	rwlock_write(&v->dentry_lock);
	if (is_hashed(d) && d->super->cache_negative && refs_read(&d->refs) == 2 && d->inode &&
	    !inode_is_dir(d->inode)) {
		inode = d->inode; /* nobody else has it: becomes a negative entry in place */
		d->inode = NULL;
		forget_alias_locked(inode, d);
	} else {
		drop_children_locked(v, d, &gone);
		unhash_locked(v, d, &gone);
		d->unhashed = true;
	}
	rwlock_write_unlock(&v->dentry_lock);
	if (inode)
		put_inode_of_dead_name(inode);
	put_gone(&gone);
}

void dentry_drop(struct dentry *d)
{
	struct vfs *v = d->super->vfs;
	struct list gone;

	list_init(&gone);
	rwlock_write(&v->dentry_lock);
	if (!d->mounts)
		unhash_locked(v, d, &gone);
	rwlock_write_unlock(&v->dentry_lock);
	put_gone(&gone);
}

void dentry_invalidate(struct dentry *dir, const char *name, size_t len)
{
	struct vfs *v = dir->super->vfs;
	struct list gone;
	struct dentry *d;

	list_init(&gone);
	rwlock_write(&v->dentry_lock);
	if (!name) {
		drop_children_locked(v, dir, &gone);
	} else {
		d = dentry_find_locked(v, dir, name, len, dentry_hash(v, dir, name, len));
		if (d && !d->mounts)
			unhash_locked(v, d, &gone);
	}
	rwlock_write_unlock(&v->dentry_lock);
	put_gone(&gone);
}

void dentry_prefill(struct dentry *dir, const char *name, size_t len, struct inode *inode)
{
	struct vfs *v = dir->super->vfs;
	uint64_t hash = dentry_hash(v, dir, name, len);
	struct list gone;
	struct dentry *d;

	rwlock_read(&v->dentry_lock);
	d = dentry_find_locked(v, dir, name, len, hash);
	rwlock_read_unlock(&v->dentry_lock);
	if (d || dentry_create(dir->super, dir, name, len, inode_get(inode), &d) < 0)
		return;
	d->hash = hash;
	list_init(&gone);
	rwlock_write(&v->dentry_lock);
	if (!dir->unhashed && !dir->super->dead && !dentry_find_locked(v, dir, name, len, hash))
		insert_locked(v, d);
	if (v->dentry_count > v->dentry_max)
		shrink_locked(v, v->dentry_max, SCAN_BATCH, &gone);
	rwlock_write_unlock(&v->dentry_lock);
	dentry_put(d);
	put_gone(&gone);
}

/* Puts d, out of the lists, under a new name; references of the old parent go to *old. */
static void place_locked(struct vfs *v, struct dentry *d, struct dentry *dir, char *name, uint16_t len)
{
	d->parent = dir;
	d->name = name;
	d->name_len = len;
	d->hash = dentry_hash(v, dir, name, len);
	hash_insert(v, d);
	list_add(&dir->children, &d->siblings);
}

void dentry_move(struct dentry *d, struct dentry *new_dir, char *name, size_t len, struct dentry *victim)
{
	struct vfs *v = d->super->vfs;
	struct dentry *old_dir = d->parent, *other;
	char *old_name = d->name == (char *)(d + 1) ? NULL : d->name;
	struct list gone;

	list_init(&gone);
	refs_get(&new_dir->refs);
	rwlock_write(&v->dentry_lock);
	if (victim) {
		drop_children_locked(v, victim, &gone);
		unhash_locked(v, victim, &gone);
		victim->unhashed = victim->inode != NULL;
	}
	other = dentry_find_locked(v, new_dir, name, len, dentry_hash(v, new_dir, name, len));
	if (other && other != d)
		unhash_locked(v, other, &gone);
	if (is_hashed(d)) {
		list_del(&d->hash_node);
		list_del(&d->siblings);
		place_locked(v, d, new_dir, name, (uint16_t)len);
	} else {
		d->parent = new_dir;
		d->name = name;
		d->name_len = (uint16_t)len;
	}
	rwlock_write_unlock(&v->dentry_lock);
	kfree(old_name);
	dentry_put(old_dir);
	put_gone(&gone);
}

/* Inline names can't change owner: a copy. NULL: no memory. */
static char *movable_name(struct dentry *d)
{
	if (d->name != (char *)(d + 1))
		return d->name;
	return kmemdup(d->name, d->name_len + 1u);
}

void dentry_swap(struct dentry *a, struct dentry *b)
{
	struct vfs *v = a->super->vfs;
	struct dentry *pa, *pb;
	struct list gone;
	char *na, *nb;
	uint16_t la, lb;

	list_init(&gone);
	rwlock_write(&v->dentry_lock);
	na = movable_name(a);
	nb = movable_name(b);
	pa = a->parent;
	pb = b->parent;
	la = a->name_len;
	lb = b->name_len;
	if (!na || !nb || !is_hashed(a) || !is_hashed(b)) {
		/* Without memory the cache forgets both; the file system knows. */
		if (na != a->name)
			kfree(na);
		if (nb != b->name)
			kfree(nb);
		unhash_locked(v, a, &gone);
		unhash_locked(v, b, &gone);
	} else {
		list_del(&a->hash_node);
		list_del(&a->siblings);
		list_del(&b->hash_node);
		list_del(&b->siblings);
		place_locked(v, a, pb, nb, lb);
		place_locked(v, b, pa, na, la);
	}
	rwlock_write_unlock(&v->dentry_lock);
	put_gone(&gone);
}

bool dentry_is_below(struct vfs *v, const struct dentry *d, const struct dentry *ancestor)
{
	bool found = false;

	rwlock_read(&v->dentry_lock);
	for (;; d = d->parent) {
		if (d == ancestor) {
			found = true;
			break;
		}
		if (d->parent == d)
			break;
	}
	rwlock_read_unlock(&v->dentry_lock);
	return found;
}

void dentry_kill_super(struct super *s)
{
	struct vfs *v = s->vfs;
	struct dentry *root = s->root, *d = root;
	struct list gone;

	if (!root)
		return;
	list_init(&gone);
	rwlock_write(&v->dentry_lock);
	s->dead = true;
	s->root = NULL;
	while (d != root || !list_empty(&d->children)) {
		struct dentry *parent;

		if (!list_empty(&d->children)) {
			d = list_first(&d->children, struct dentry, siblings);
			continue;
		}
		parent = d->parent;
		unhash_locked(v, d, &gone);
		d = parent;
	}
	rwlock_write_unlock(&v->dentry_lock);
	put_gone(&gone);
	dentry_put(root);
}
