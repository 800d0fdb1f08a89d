/* ahead.c: whoever reads several directories of one directory is walking the tree (find, du, grep -r, git
 * status), and will read the others too: a request for one then brings those of its next neighbours and of
 * what lies in them, as many as a reply holds. They wait here, by inode number, until they are asked for. */
#include "sentry/fs/gofer/internal.h"

#define WALK_STARTS_AT 3 /* directories of one parent listed */

static uint32_t slot_of(uint64_t ino)
{
	return (uint32_t)((ino ^ (ino >> 9)) % GOFER_AHEAD_SLOTS);
}

/* What was in the slot comes back, for the caller to put. */
static struct glisting *store_locked(struct gofer_fs *fs, uint64_t ino, struct glisting *l)
{
	struct glisting **slot = &fs->ahead[slot_of(ino)], *old = *slot;

	if (old)
		fs->ahead_bytes -= glisting_bytes(old);
	*slot = l;
	if (l)
		fs->ahead_bytes += glisting_bytes(l);
	return old;
}

void gahead_drop_all(struct gofer_fs *fs)
{
	for (uint32_t i = 0; i < GOFER_AHEAD_SLOTS; i++) {
		struct glisting *l;

		mutex_lock(&fs->lock);
		l = fs->ahead[i];
		fs->ahead[i] = NULL;
		if (l)
			fs->ahead_bytes -= glisting_bytes(l);
		mutex_unlock(&fs->lock);
		glisting_put(l);
	}
}

static struct glisting *unstore(struct gofer_fs *fs, struct gnode *g)
{
	struct glisting *l;

	mutex_lock(&fs->lock);
	l = fs->ahead[slot_of(g->host_ino)];
	if (l && glisting_is_of(l, g->host_dev, g->host_ino)) {
		(void)store_locked(fs, g->host_ino, NULL);
		g->walked = true;
	} else {
		l = NULL;
	}
	mutex_unlock(&fs->lock);
	return l;
}

void gahead_drop(struct inode *dir)
{
	if (__atomic_load_n(&gofer_fs_of(dir)->ahead_bytes, __ATOMIC_RELAXED))
		glisting_put(unstore(gofer_fs_of(dir), gnode_of(dir)));
}

static struct glisting *take_stored(struct gofer_fs *fs, struct gnode *g)
{
	struct glisting *l = unstore(fs, g);

	if (l && fs->shared && glisting_age(l) >= GOFER_SHARED_NS) {
		glisting_put(l);
		l = NULL;
	}
	return l;
}

struct neighbours {
	struct ghandle *parent; /* reference */
	char names[GOFER_WALK_MAX][GOFER_NAME_MAX + 1];
	uint32_t count;
};

/* Is somebody walking dir's parent? Then dir's name and those of directories next in turn. */
static bool choose(struct gofer_fs *fs, struct gnode *g, struct neighbours *n)
{
	struct ghandle *h = g->h;
	struct gnode *pg;

	mutex_lock(&fs->lock);
	pg = h->parent && !h->gone ? h->parent->node : NULL;
	if (pg && (++pg->child_listings >= WALK_STARTS_AT || pg->walked))
		g->walked = true; /* and so in what lies below */
	if (g->walked && pg->listing && glisting_complete(pg->listing)) {
		memcpy(n->names[0], h->name, h->name_len);
		n->names[0][h->name_len] = 0;
		n->count = 1 + glisting_next_dirs(pg->listing, n->names + 1, GOFER_WALK_MAX - 1);
	}
	if (n->count) {
		refs_get(&h->parent->refs);
		n->parent = h->parent;
	}
	mutex_unlock(&fs->lock);
	return n->count;
}

/* One request for all; the reply's bytes in a copy, or NULL. */
static void *fetch(struct neighbours *n, uint32_t *size)
{
	const struct gofer_reply *reply;
	struct gofer_channel *ch;
	struct gcall c;
	void *data = NULL;

	gcall_prepare(&c, n->parent, GOFER_READDIRS);
	c.req.walk_count = n->count;
	for (uint32_t i = 0; i < n->count; i++)
		c.req.walk[i] = (struct gofer_step){0, gofer_name_of(n->names[i], strlen(n->names[i]))};
	if (gcall_do(&c, &ch, &reply, NULL) == 0) {
		data = kmalloc(reply->data_size + 1UL);
		*size = reply->data_size;
		if (data)
			memcpy(data, reply->data, reply->data_size);
	}
	gofer_done(ch);
	return data;
}

/* The first section is the caller's; the others are stored. */
static struct glisting *unpack(struct gofer_fs *fs, const struct gnode *g, const uint8_t *data, uint32_t size)
{
	struct glisting *mine = NULL;

	for (uint32_t off = 0; off < size;) {
		struct gofer_section s;
		struct glisting *l, *old;
		ssize_t n = gofer_section_get(data + off, size - off, &s);

		if (n < 0)
			break;
		off += (uint32_t)n;
		l = glisting_from(fs, &s.attr, s.entries, s.size);
		if (!l)
			break;
		if (!mine && glisting_is_of(l, g->host_dev, g->host_ino)) {
			mine = l;
			continue;
		}
		mutex_lock(&fs->lock);
		old = store_locked(fs, s.attr.ino, l);
		mutex_unlock(&fs->lock);
		glisting_put(old);
	}
	return mine;
}

struct glisting *gahead_get(struct inode *dir)
{
	struct gofer_fs *fs = gofer_fs_of(dir);
	struct gnode *g = gnode_of(dir);
	struct glisting *l = take_stored(fs, g);
	struct neighbours *n;
	uint32_t size = 0;
	void *data;

	if (l)
		return l;
	n = kmalloc(sizeof(*n));
	if (n && choose(fs, g, n)) {
		data = fetch(n, &size);
		if (data)
			l = unpack(fs, g, data, size);
		kfree(data);
		ghandle_put(n->parent);
	}
	kfree(n);
	if (fs->ahead_bytes > GOFER_AHEAD_TOTAL)
		gahead_drop_all(fs);
	return l;
}
