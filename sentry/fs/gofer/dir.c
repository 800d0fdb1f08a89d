/* dir.c: reading directories. A position is the number of an entry, plus two for "." and "..". An open
 * directory reads from one listing until it is rewound. A directory too large to be kept is read through a
 * window of one batch beyond what is kept. */
#include "sentry/fs/gofer/internal.h"

struct dirfile {
	struct glisting *l;    /* [inode lock] reference; NULL: not begun */
	uint32_t batch, off;   /* [inode lock] where entry `at` lies */
	uint64_t at;	       /* [inode lock] */
	struct gbatch *window; /* [inode lock] beyond the listing; its `first` counts entries */
	bool window_end;       /* [inode lock] nothing follows the window */
};

static int dir_open(struct inode *inode, struct file *f)
{
	struct dirfile *d = kmalloc(sizeof(*d));

	(void)inode;
	if (!d)
		return -ENOMEM;
	f->priv = d;
	f->ops = &gofer_dir_ops;
	return 0;
}

static void forget_position(struct dirfile *d)
{
	d->batch = d->off = 0;
	d->at = 0;
	kfree(d->window);
	d->window = NULL;
	d->window_end = false;
}

static void dir_release(struct file *f)
{
	struct dirfile *d = f->priv;

	forget_position(d);
	glisting_put(d->l);
	kfree(d);
}

/* The next batch behind the listing or the window. 0: there is one; -ENOENT: the end. */
static int slide_window(struct inode *dir, struct dirfile *d)
{
	const struct gbatch *last = d->window;
	struct gbatch *next;
	int ret;

	if (d->window_end)
		return -ENOENT;
	if (!last)
		last = glisting_batch(d->l, glisting_batches(d->l) - 1);
	ret = gbatch_fetch(dir, last->cookie, &next, &d->window_end);
	if (ret < 0)
		return ret;
	next->first = last->first + last->count;
	kfree(d->window);
	d->window = next;
	d->off = 0;
	d->at = next->first;
	return next->count ? 0 : slide_window(dir, d) /* at most once: an empty one is the last */;
}

/* The batch that entry d->at lies in, loading what is missing. -ENOENT: the end. */
static int current_batch(struct inode *dir, struct dirfile *d, const struct gbatch **out)
{
	int ret;

	while (d->window
		       ? d->off >= d->window->size
		       : d->batch < glisting_batches(d->l) && d->off >= glisting_batch(d->l, d->batch)->size) {
		if (d->window) {
			ret = slide_window(dir, d);
			if (ret < 0)
				return ret;
		} else {
			d->batch++;
			d->off = 0;
		}
	}
	if (d->window) {
		*out = d->window;
		return 0;
	}
	if (d->batch >= glisting_batches(d->l)) {
		if (glisting_complete(d->l))
			return -ENOENT;
		ret = glisting_load(dir, d->l, d->batch + 1);
		if (ret == -EFBIG)
			ret = slide_window(dir, d);
		if (ret < 0)
			return ret;
		return current_batch(dir, d, out); /* once more: now it is there */
	}
	*out = glisting_batch(d->l, d->batch);
	return 0;
}

/* The entry d->at, without moving. */
static int peek(struct inode *dir, struct dirfile *d, struct gofer_entry *e, uint32_t *size)
{
	const struct gbatch *b;
	ssize_t n;
	int ret = current_batch(dir, d, &b);

	if (ret < 0)
		return ret;
	n = gofer_entry_get(b->data + d->off, b->size - d->off, e);
	if (n < 0)
		return -EIO;
	*size = (uint32_t)n;
	return 0;
}

static int seek_to(struct inode *dir, struct dirfile *d, uint64_t at)
{
	struct gofer_entry e;
	uint32_t size;

	if (at < d->at)
		forget_position(d);
	while (d->at < at) {
		int ret = peek(dir, d, &e, &size);

		if (ret < 0)
			return ret;
		d->off += size;
		d->at++;
	}
	return 0;
}

static bool emit_dots(struct inode *dir, struct dir_context *ctx)
{
	struct gnode *g = gnode_of(dir);

	if (ctx->pos == 0) {
		if (!ctx->emit(ctx, ".", 1, dir->ino, 4, 1))
			return false;
		ctx->pos = 1;
	}
	if (ctx->pos == 1) {
		uint64_t up = __atomic_load_n(&g->parent_ino, __ATOMIC_RELAXED);

		if (!ctx->emit(ctx, "..", 2, up ? up : dir->ino, 4, 2))
			return false;
		ctx->pos = 2;
	}
	return true;
}

static int emit_entries(struct inode *dir, struct dirfile *d, struct dir_context *ctx)
{
	struct gofer_fs *fs = gofer_fs_of(dir);
	struct gofer_entry e;
	uint32_t size;
	int ret = seek_to(dir, d, ctx->pos - 2);

	while (ret == 0 && (ret = peek(dir, d, &e, &size)) == 0) {
		if (!ctx->emit(ctx, e.name.s, e.name.len, gnode_ino(fs, e.attr.dev, e.attr.ino),
			       (e.attr.mode & LINUX_S_IFMT) >> 12, ctx->pos + 1))
			return 0;
		ctx->pos++;
		d->off += size;
		d->at++;
	}
	return ret == -ENOENT ? 0 : ret;
}

static int dir_iterate(struct file *f, struct dir_context *ctx)
{
	struct inode *dir = f->inode;
	struct dirfile *d = f->priv;
	int ret = 0;

	if ((int64_t)ctx->pos < 0)
		return -EINVAL;
	mutex_lock(&dir->lock);
	if (ctx->pos == 0 && d->l) { /* rewound: what is new is to be seen */
		glisting_put(d->l);
		d->l = NULL;
	}
	if (!d->l) {
		forget_position(d);
		d->l = __atomic_load_n(&dir->nlink, __ATOMIC_RELAXED) ? glisting_get_or_create(dir) : NULL;
		if (!d->l)
			ret = __atomic_load_n(&dir->nlink, __ATOMIC_RELAXED) ? -ENOMEM : -ENOENT;
	}
	if (ret == 0 && emit_dots(dir, ctx))
		ret = emit_entries(dir, d, ctx);
	mutex_unlock(&dir->lock);
	return ret;
}

static int dir_fsync(struct file *f, bool data_only)
{
	struct gcall c;

	if (gofer_fs_of(f->inode)->read_only)
		return 0;
	gcall_prepare(&c, gnode_of(f->inode)->h, GOFER_FSYNC);
	c.req.flags = data_only;
	return gcall_simple(&c, NULL, NULL);
}

const struct file_ops gofer_dir_ops = {
	.iterate = dir_iterate,
	.fsync = dir_fsync,
	.release = dir_release,
	.seekable = true,
};

/* For super.c's table. */
int gofer_dir_open(struct inode *inode, struct file *f)
{
	return dir_open(inode, f);
}
