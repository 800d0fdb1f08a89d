/* listing.c: directories with the attributes of all entries, in the batches that the gofer sends (some 450
 * entries a request). They answer readdir, and lookups without a request; inodes are made only of what is
 * looked up. A listing is replaced, never changed, when its directory changes. */
#include "platform/base/bytes.h"
#include "platform/base/hash.h"
#include "sentry/fs/gofer/internal.h"

#define BATCHES_MAX 128 /* some 57,000 entries; a larger directory is read without keeping it */

struct glisting {
	struct refs refs;
	uint64_t loaded_ns;	 /* [I] of the first batch */
	bool complete;		 /* [inode lock] */
	uint32_t count;		 /* [inode lock] batches */
	uint64_t entries;	 /* [inode lock] */
	uint64_t bytes;		 /* [inode lock]; in the account with gofer_fs.lock */
	struct gbatch **batches; /* [inode lock] room for the next power of two, at most BATCHES_MAX */
	struct gbatch *first;	 /* [inode lock] most have just one: then batches points here */
	/* where names are: batch << 16 | offset, plus 1; built when the first name is looked up */
	uint32_t *index;		 /* [inode lock] */
	uint64_t index_mask, indexed;	 /* [inode lock] batches that are in the index */
	uint64_t key;			 /* [I] */
	uint64_t dev, ino;		 /* [I] of the directory, when it was listed ahead */
	uint32_t ahead_batch, ahead_off; /* [fs lock] directories before it were listed ahead */
};

/* What it takes in memory, roughly. */
#define LISTING_COST(b) (sizeof(*(b)) + (b)->size + sizeof(struct glisting))

bool glisting_complete(const struct glisting *l)
{
	return __atomic_load_n(&l->complete, __ATOMIC_ACQUIRE);
}

uint32_t glisting_batches(const struct glisting *l)
{
	return l->count;
}

const struct gbatch *glisting_batch(const struct glisting *l, uint32_t index)
{
	return l->batches[index];
}

void glisting_put(struct glisting *l)
{
	if (!l || !refs_put(&l->refs))
		return;
	for (uint32_t i = 0; i < l->count; i++)
		kfree(l->batches[i]);
	if (l->batches != &l->first)
		kfree(l->batches);
	kfree(l->index);
	kfree(l);
}

struct glisting *glisting_detach_locked(struct gofer_fs *fs, struct gnode *g)
{
	struct glisting *l = g->listing;

	g->listing = NULL;
	if (l) {
		list_del(&g->listing_node);
		fs->listing_bytes -= l->bytes;
	}
	return l;
}

void glisting_drop(struct inode *dir)
{
	struct gofer_fs *fs = gofer_fs_of(dir);
	struct gnode *g = gnode_of(dir);
	struct glisting *l;

	g->misses = 0;
	mutex_lock(&fs->lock);
	l = glisting_detach_locked(fs, g);
	mutex_unlock(&fs->lock);
	glisting_put(l);
	gahead_drop(dir);
}

struct glisting *glisting_get(struct inode *dir, bool fresh)
{
	struct gofer_fs *fs = gofer_fs_of(dir);
	struct gnode *g = gnode_of(dir);
	struct glisting *l;

	mutex_lock(&fs->lock);
	l = g->listing;
	if (l)
		refs_get(&l->refs);
	mutex_unlock(&fs->lock);
	if (!l || !fs->shared || !fresh || clock_monotonic_ns() - l->loaded_ns < GOFER_SHARED_NS)
		return l;
	glisting_put(l);
	glisting_drop(dir);
	return NULL;
}

static struct glisting *alloc_listing(struct gofer_fs *fs)
{
	struct glisting *l = kmalloc(sizeof(*l));

	if (!l)
		return NULL;
	refs_init(&l->refs);
	l->batches = &l->first;
	l->loaded_ns = clock_monotonic_ns();
	l->key = fs->key;
	return l;
}

static void account(struct inode *dir, struct glisting *l, uint64_t bytes);

/* l becomes dir's. */
static void attach(struct inode *dir, struct glisting *l)
{
	struct gofer_fs *fs = gofer_fs_of(dir);
	struct gnode *g = gnode_of(dir);

	refs_get(&l->refs);
	mutex_lock(&fs->lock);
	g->listing = l;
	fs->listing_bytes += l->bytes;
	list_add_tail(&fs->listing_list, &g->listing_node);
	mutex_unlock(&fs->lock);
	account(dir, l, 0);
}

static struct glisting *new_listing(struct inode *dir)
{
	struct glisting *l = gahead_get(dir);

	if (!l)
		l = alloc_listing(gofer_fs_of(dir));
	if (l)
		attach(dir, l);
	return l;
}

/* Others' listings go when all together are too large. The account of a listing whose directory dropped it
 * isn't kept any more: it ends with its last reader. */
static void account(struct inode *dir, struct glisting *l, uint64_t bytes)
{
	struct gofer_fs *fs = gofer_fs_of(dir);
	struct glisting *victims[4];
	uint32_t n = 0;

	mutex_lock(&fs->lock);
	l->bytes += bytes;
	if (gnode_of(dir)->listing == l)
		fs->listing_bytes += bytes;
	while (fs->listing_bytes > GOFER_LISTING_TOTAL && n < ARRAY_SIZE(victims)) {
		struct gnode *g = list_first(&fs->listing_list, struct gnode, listing_node);

		if (!g || g->listing == l)
			break;
		victims[n++] = glisting_detach_locked(fs, g);
	}
	mutex_unlock(&fs->lock);
	while (n)
		glisting_put(victims[--n]);
}

/* Walks over the entries once, so that later readers may trust them. */
static int validate(struct gbatch *b)
{
	struct gofer_entry e;
	uint32_t off = 0;

	while (off < b->size) {
		ssize_t n = gofer_entry_get(b->data + off, b->size - off, &e);

		if (n < 0)
			return -EIO;
		off += (uint32_t)n;
		b->count++;
	}
	return 0;
}

int gbatch_fetch(struct inode *dir, uint64_t cookie, struct gbatch **out, bool *at_end)
{
	const struct gofer_reply *reply;
	struct gofer_channel *ch;
	struct gbatch *b = NULL;
	struct gcall c;
	int ret;

	gcall_prepare(&c, gnode_of(dir)->h, GOFER_READDIR);
	c.req.offset = cookie;
	ret = gcall_do(&c, &ch, &reply, NULL);
	if (ret == 0) {
		b = kmalloc(sizeof(*b) + reply->data_size);
		if (!b) {
			ret = -ENOMEM;
		} else {
			b->size = reply->data_size;
			b->cookie = reply->offset;
			memcpy(b->data, reply->data, reply->data_size);
			*at_end = reply->flags & 1;
		}
	}
	gofer_done(ch);
	if (ret == 0)
		ret = validate(b);
	if (ret == 0 && !*at_end && b->cookie == cookie)
		ret = -EIO; /* it would never end */
	if (ret < 0) {
		kfree(b);
		return ret;
	}
	*out = b;
	return 0;
}

/* Room for one more. */
static int make_room(struct glisting *l)
{
	struct gbatch **bigger;

	if (!l->count || (l->count & (l->count - 1)))
		return 0;
	bigger = kmalloc(2UL * l->count * sizeof(*bigger));
	if (!bigger)
		return -ENOMEM;
	memcpy(bigger, l->batches, l->count * sizeof(*bigger));
	if (l->batches != &l->first)
		kfree(l->batches);
	l->batches = bigger;
	return 0;
}

int glisting_load(struct inode *dir, struct glisting *l, uint32_t want)
{
	while (!l->complete && l->count < want) {
		struct gbatch *b, *last = l->count ? l->batches[l->count - 1] : NULL;
		bool at_end;
		int ret;

		if (l->count == BATCHES_MAX)
			return -EFBIG;
		ret = make_room(l);
		if (ret == 0)
			ret = gbatch_fetch(dir, last ? last->cookie : 0, &b, &at_end);
		if (ret < 0)
			return ret;
		b->first = l->entries;
		l->entries += b->count;
		l->batches[l->count++] = b;
		__atomic_store_n(&l->complete, at_end, __ATOMIC_RELEASE);
		account(dir, l, LISTING_COST(b));
	}
	return 0;
}

/* ---- names */

static bool index_room(struct glisting *l)
{
	uint64_t size = 64;
	uint32_t *index;

	while (size < 2 * l->entries)
		size *= 2;
	if (l->index && size <= l->index_mask + 1)
		return true;
	index = kmalloc(size * sizeof(*index));
	if (!index)
		return false;
	kfree(l->index);
	l->index = index;
	l->index_mask = size - 1;
	l->indexed = 0;
	return true;
}

static bool index_fill(struct glisting *l)
{
	if (l->indexed == l->count)
		return true;
	if (!index_room(l))
		return false;
	for (; l->indexed < l->count; l->indexed++) {
		struct gbatch *b = l->batches[l->indexed];

		for (uint32_t off = 0; off < b->size;) {
			struct gofer_entry e;
			ssize_t n = gofer_entry_get(b->data + off, b->size - off, &e);
			uint64_t i;

			if (n < 0)
				return false;
			i = hash_bytes(l->key, e.name.s, e.name.len);
			while (l->index[i & l->index_mask])
				i++;
			l->index[i & l->index_mask] = ((uint32_t)l->indexed << 16 | off) + 1;
			off += (uint32_t)n;
		}
	}
	return true;
}

int glisting_find(struct glisting *l, const char *name, size_t len, struct gofer_entry *e)
{
	uint64_t i = hash_bytes(l->key, name, len);

	if (!l->count || !index_fill(l))
		return -EAGAIN;
	for (uint32_t v; (v = l->index[i & l->index_mask]) != 0; i++) {
		const struct gbatch *b = l->batches[(v - 1) >> 16];
		uint32_t off = (v - 1) & 0xffff;

		if (gofer_entry_get(b->data + off, b->size - off, e) < 0)
			return -EAGAIN;
		if (e->name.len == len && memcmp(e->name.s, name, len) == 0)
			return 0;
	}
	return l->complete ? -ENOENT : -EAGAIN;
}

/* ---- for ahead.c */

struct glisting *glisting_from(struct gofer_fs *fs, const struct gofer_attr *dir, const void *entries,
			       uint32_t size)
{
	struct glisting *l = alloc_listing(fs);
	struct gbatch *b = kmalloc(sizeof(*b) + size);

	if (!l || !b)
		goto fail;
	b->size = size;
	memcpy(b->data, entries, size);
	if (validate(b) < 0)
		goto fail;
	l->batches[l->count++] = b;
	l->entries = b->count;
	l->bytes = LISTING_COST(b);
	l->complete = true;
	l->dev = dir->dev;
	l->ino = dir->ino;
	return l;
fail:
	kfree(l);
	kfree(b);
	return NULL;
}

bool glisting_is_of(const struct glisting *l, uint64_t dev, uint64_t ino)
{
	return l->ino == ino && l->dev == dev;
}

uint64_t glisting_age(const struct glisting *l)
{
	return clock_monotonic_ns() - l->loaded_ns;
}

uint64_t glisting_bytes(const struct glisting *l)
{
	return l->bytes;
}

uint32_t glisting_next_dirs(struct glisting *l, char (*names)[GOFER_NAME_MAX + 1], uint32_t max)
{
	uint32_t n = 0, scan = 1024; /* bounded: the lock is held */

	while (n < max && l->ahead_batch < l->count && scan--) {
		const struct gbatch *b = l->batches[l->ahead_batch];
		struct gofer_entry e;
		ssize_t size = l->ahead_off < b->size
				       ? gofer_entry_get(b->data + l->ahead_off, b->size - l->ahead_off, &e)
				       : -1;

		if (size < 0) {
			l->ahead_batch++;
			l->ahead_off = 0;
			continue;
		}
		l->ahead_off += (uint32_t)size;
		if ((e.attr.mode & LINUX_S_IFMT) != LINUX_S_IFDIR)
			continue;
		memcpy(names[n], e.name.s, e.name.len);
		names[n++][e.name.len] = 0;
	}
	return n;
}

/* ---- for dir.c and names.c: the one to use, made when there is none */
struct glisting *glisting_get_or_create(struct inode *dir)
{
	struct glisting *l = glisting_get(dir, true);

	return l ? l : new_listing(dir);
}
