/* handle.c: where files lie. A handle isn't known to the gofer until the first request about its file, which
 * then introduces it by parent and name: listings cost the gofer no memory. */
#include "sentry/fs/gofer/internal.h"

int ghandle_create(struct gofer_fs *fs, struct ghandle *parent, const char *name, size_t len, uint64_t id,
		   const struct gofer_attr *a, struct ghandle **out)
{
	struct ghandle *h = kmalloc(sizeof(*h));

	if (!h)
		return -ENOMEM;
	if (parent) {
		h->name = kstrndup(name, len);
		if (!h->name) {
			kfree(h);
			return -ENOMEM;
		}
		refs_get(&parent->refs);
	}
	refs_init(&h->refs);
	h->fs = fs;
	h->parent = parent;
	h->name_len = (uint8_t)len;
	h->id = id;
	list_init(&h->orphan_node);
	h->ino = a->ino;
	h->dev = a->dev;
	*out = h;
	return 0;
}

/* Without recursion: a handle may be the last user of a long chain. */
void ghandle_put(struct ghandle *h)
{
	while (h && refs_put(&h->refs)) {
		struct ghandle *parent = h->parent;

		mutex_lock(&h->fs->lock);
		list_del(&h->orphan_node);
		mutex_unlock(&h->fs->lock);
		if (__atomic_load_n(&h->bound, __ATOMIC_ACQUIRE))
			(h->gone ? gofer_forget_removed : gofer_forget)(h->fs->client, h->id);
		kfree(h->name);
		kfree(h);
		h = parent;
	}
}

static struct list *orphans_of(struct ghandle *h)
{
	return &h->fs->orphans[h->ino % GOFER_ORPHAN_LISTS];
}

void ghandle_orphan_locked(struct ghandle *h)
{
	if (refs_read(&h->refs) > 1 && h->parent && !h->gone)
		list_add(orphans_of(h), &h->orphan_node);
}

struct ghandle *ghandle_readopt(struct ghandle *h)
{
	struct gofer_fs *fs = h->fs;
	struct ghandle *o, *found = NULL;

	mutex_lock(&fs->lock);
	list_for_each (o, orphans_of(h), orphan_node)
		if (o->ino == h->ino && o->dev == h->dev && refs_get_unless_zero(&o->refs)) {
			list_del(&o->orphan_node);
			found = o;
			break;
		}
	mutex_unlock(&fs->lock);
	if (!found)
		return h;
	if (!ghandle_is(found, h->parent, h->name, h->name_len)) { /* the host has moved it */
		ghandle_move(found, h->parent, h->name, h->name_len);
		__atomic_store_n(&found->bound, 0, __ATOMIC_RELEASE);
	}
	ghandle_put(h);
	return found;
}

bool ghandle_is(struct ghandle *h, struct ghandle *dir, const char *name, size_t len)
{
	bool same;

	mutex_lock(&h->fs->lock);
	same = !h->gone && h->parent == dir && h->name_len == len && memcmp(h->name, name, len) == 0;
	mutex_unlock(&h->fs->lock);
	return same;
}

void ghandle_move(struct ghandle *h, struct ghandle *dir, const char *name, size_t len)
{
	char *copy = kstrndup(name, len), *old_name;
	struct ghandle *old;

	if (!copy)
		return; /* the gofer will say -ESTALE if it ever has to look for it */
	refs_get(&dir->refs);
	mutex_lock(&h->fs->lock);
	old = h->parent;
	old_name = h->name;
	h->parent = dir;
	h->name = copy;
	h->name_len = (uint8_t)len;
	mutex_unlock(&h->fs->lock);
	kfree(old_name);
	ghandle_put(old);
}

void ghandle_set_gone(struct ghandle *h)
{
	mutex_lock(&h->fs->lock);
	h->gone = true;
	mutex_unlock(&h->fs->lock);
}

void ghandle_path(struct ghandle *h, char *buf, size_t size)
{
	struct gofer_fs *fs = h->fs;
	size_t end = size - 1, n;

	/* built from the end of the buffer, then moved to its start */
	buf[end] = 0;
	mutex_lock(&fs->lock);
	for (; h->parent; h = h->parent) {
		if (end < h->name_len + 1UL)
			break;
		end -= h->name_len;
		memcpy(buf + end, h->name, h->name_len);
		buf[--end] = '/';
	}
	mutex_unlock(&fs->lock);
	n = strlen(fs->prefix);
	if (n <= end) {
		end -= n;
		memcpy(buf + end, fs->prefix, n);
	}
	if (end == size - 1 && end)
		buf[--end] = '/';
	memmove(buf, buf + end, size - end);
}

/* ---- requests */

/* Adds h and what is above it and unknown to the gofer, topmost first, as many as there is room for. Returns
 * how many there are. fs lock held. */
static uint32_t add_binds_locked(struct gcall *c, struct ghandle *h)
{
	struct ghandle *top = h;
	uint32_t count = 0, skip;

	for (; top && top->parent && !top->gone && !__atomic_load_n(&top->bound, __ATOMIC_ACQUIRE);
	     top = top->parent)
		count++;
	if (count > GOFER_BIND_MAX - c->req.bind_count)
		return count;
	skip = c->req.bind_count;
	c->req.bind_count += count;
	for (uint32_t i = skip + count; i-- > skip; h = h->parent) {
		refs_get(&h->refs);
		c->chain[i] = h;
		memcpy(c->names[i], h->name, h->name_len);
		c->req.binds[i] = (struct gofer_bind){h->id, h->parent->id, h->ino, h->dev,
						      gofer_name_of(c->names[i], h->name_len)};
	}
	return count;
}

static void put_chain(struct gcall *c, bool bound)
{
	for (uint32_t i = 0; i < c->req.bind_count; i++) {
		if (bound)
			__atomic_store_n(&c->chain[i]->bound, 1, __ATOMIC_RELEASE);
		ghandle_put(c->chain[i]);
	}
	c->req.bind_count = 0;
}

/* A request of its own that introduces h and at most a request's worth of its ancestors. */
static int introduce(struct ghandle *h)
{
	struct gcall *c = kmalloc(sizeof(*c));
	int ret;

	if (!c)
		return -ENOMEM;
	c->req.op = GOFER_GETATTR;
	c->req.node = h->id;
	c->fs = h->fs;
	mutex_lock(&h->fs->lock);
	(void)add_binds_locked(c, h);
	mutex_unlock(&h->fs->lock);
	ret = gcall_simple(c, NULL, NULL);
	kfree(c);
	return ret;
}

/* What has to be introduced before h can be, when a request can't hold it all: the ancestor so far up that its
 * own part fits. With a reference. fs lock held. */
static struct ghandle *upper_part_locked(struct ghandle *h, uint32_t count)
{
	for (; count > GOFER_BIND_MAX; count--)
		h = h->parent;
	refs_get(&h->refs);
	return h;
}

void gcall_also(struct gcall *c, struct ghandle *h)
{
	while (!c->error && !__atomic_load_n(&h->bound, __ATOMIC_ACQUIRE)) {
		struct ghandle *up = NULL;
		uint32_t count, room = GOFER_BIND_MAX - c->req.bind_count;

		mutex_lock(&h->fs->lock);
		count = add_binds_locked(c, h);
		if (count > room)
			up = upper_part_locked(h, count);
		mutex_unlock(&h->fs->lock);
		if (!up)
			return;
		c->error = introduce(up);
		ghandle_put(up);
	}
}

void gcall_prepare(struct gcall *c, struct ghandle *h, uint32_t op)
{
	memset(&c->req, 0, offsetof(struct gofer_req, walk));
	c->req.data = NULL;
	c->req.data_size = 0;
	c->req.op = op;
	c->req.node = h->id;
	c->fs = h->fs;
	c->error = 0;
	gcall_also(c, h);
}

int gcall_do(struct gcall *c, struct gofer_channel **ch, const struct gofer_reply **reply, int *fd)
{
	int ret = c->error;

	*ch = NULL;
	*reply = NULL;
	if (ret == 0)
		ret = gofer_call(c->fs->client, &c->req, ch, reply, fd);
	else if (fd)
		*fd = -1;
	/* introduced, unless the gofer said no before it came to that: then introducing again does no harm */
	put_chain(c, ret == 0);
	return ret;
}

int gcall_simple(struct gcall *c, struct gofer_attr *attr, int *fd)
{
	const struct gofer_reply *reply;
	struct gofer_channel *ch;
	int ret = gcall_do(c, &ch, &reply, fd);

	if (ret == 0 && attr)
		*attr = reply->attrs[0];
	gofer_done(ch);
	return ret;
}
