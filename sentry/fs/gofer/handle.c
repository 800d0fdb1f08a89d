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

		if (__atomic_load_n(&h->bound, __ATOMIC_ACQUIRE))
			gofer_forget(h->fs->client, h->id);
		kfree(h->name);
		kfree(h);
		h = parent;
	}
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

void gcall_prepare(struct gcall *c, struct ghandle *h, uint32_t op)
{
	memset(&c->req, 0, offsetof(struct gofer_req, walk));
	c->req.data = NULL;
	c->req.data_size = 0;
	c->req.op = op;
	c->req.node = h->id;
	c->h = h;
	if (__atomic_load_n(&h->bound, __ATOMIC_ACQUIRE))
		return;
	mutex_lock(&h->fs->lock);
	if (h->parent) {
		c->req.bind = true;
		c->req.parent = h->parent->id;
		c->req.ino = h->ino;
		c->req.dev = h->dev;
		memcpy(c->name, h->name, h->name_len);
		c->req.bind_name = gofer_name_of(c->name, h->name_len);
	}
	mutex_unlock(&h->fs->lock);
}

int gcall_do(struct gcall *c, struct gofer_channel **ch, const struct gofer_reply **reply, int *fd)
{
	int ret = gofer_call(c->h->fs->client, &c->req, ch, reply, fd);

	/* introduced, unless the gofer said no before it came to that: then introducing again does no harm */
	if (c->req.bind && ret == 0)
		__atomic_store_n(&c->h->bound, 1, __ATOMIC_RELEASE);
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
