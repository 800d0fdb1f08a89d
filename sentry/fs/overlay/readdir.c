/* readdir.c: reading directories. One with a single layer is read through. A merged one is listed once, when
 * reading begins or is rewound; a position is then the number of a name. */
#include "platform/base/hash.h"
#include "platform/base/random.h"
#include "sentry/fs/overlay/internal.h"

struct name {
	uint32_t off; /* in list.names */
	uint8_t len, type;
	bool whiteout;
	bool look; /* the real inode has to be looked at */
	uint64_t ino;
};

struct list_of_names {
	struct name *v;
	uint32_t count, cap;
	struct strbuf names;
	uint32_t *index; /* number + 1 */
	uint32_t index_size;
	uint64_t key;
};

struct dirfile {
	struct mutex lock;	    /* rank OVERLAY_COPY: taken with the directory's */
	struct file *real;	    /* [lock] the single layer's; NULL: merged or not begun */
	struct super *real_super;   /* [lock] */
	struct list_of_names *list; /* [lock] NULL: read through, or not begun */
};

/* ---- all names of a real directory */

struct each {
	struct dir_context ctx;
	int (*func)(void *arg, const char *name, size_t len, uint64_t ino, uint32_t type);
	void *arg;
	uint64_t next;
	uint32_t emitted;
	int ret;
};

static bool each_emit(struct dir_context *ctx, const char *name, size_t len, uint64_t ino, uint32_t type,
		      uint64_t next)
{
	struct each *e = container_of(ctx, struct each, ctx);

	e->emitted++;
	if (!(name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.'))))
		e->ret = e->func(e->arg, name, len, ino, type);
	e->next = next;
	return e->ret == 0;
}

static int for_each_ino(struct inode *dir, const struct cred *cred,
			int (*func)(void *arg, const char *name, size_t len, uint64_t ino, uint32_t type),
			void *arg)
{
	struct each e = {.ctx = {.emit = each_emit}, .func = func, .arg = arg};
	struct file *f;
	int ret = real_open(dir, LINUX_O_RDONLY | LINUX_O_DIRECTORY, cred, &f);

	if (ret < 0)
		return ret;
	if (!f->ops->iterate)
		ret = -ENOTDIR;
	while (ret == 0) {
		uint64_t before = e.ctx.pos;

		e.emitted = 0;
		ret = f->ops->iterate(f, &e.ctx);
		if (ret == 0)
			ret = e.ret;
		if (!e.emitted || e.ctx.pos == before)
			break;
	}
	real_close(f);
	return ret;
}

struct plain_each {
	int (*func)(void *arg, const char *name, size_t len, uint32_t type);
	void *arg;
};

static int plain_func(void *arg, const char *name, size_t len, uint64_t ino, uint32_t type)
{
	struct plain_each *p = arg;

	(void)ino;
	return p->func(p->arg, name, len, type);
}

int real_for_each(struct inode *dir, const struct cred *cred,
		  int (*func)(void *arg, const char *name, size_t len, uint32_t type), void *arg)
{
	struct plain_each p = {func, arg};

	return for_each_ino(dir, cred, plain_func, &p);
}

/* ---- merging */

struct merge {
	struct ovl_fs *fs;
	struct list_of_names *l;
	struct inode *real; /* the layer's directory being read */
	bool upper;
};

static void list_free(struct list_of_names *l)
{
	if (!l)
		return;
	strbuf_fini(&l->names);
	kfree(l->index);
	kfree(l->v);
	kfree(l);
}

static int grow(struct list_of_names *l)
{
	uint32_t cap = l->cap ? 2 * l->cap : 64;
	struct name *v = krealloc(l->v, cap * sizeof(*v));
	uint32_t *index;

	if (!v)
		return -ENOMEM;
	l->v = v;
	l->cap = cap;
	index = kmalloc(2UL * cap * sizeof(*index));
	if (!index)
		return -ENOMEM;
	kfree(l->index);
	l->index = index;
	l->index_size = 2 * cap;
	for (uint32_t n = 0; n < l->count; n++) {
		uint64_t h = hash_bytes(l->key, l->names.data + v[n].off, v[n].len);

		while (index[h & (l->index_size - 1)])
			h++;
		index[h & (l->index_size - 1)] = n + 1;
	}
	return 0;
}

/* Where name is or would be. */
static uint32_t *index_slot(struct list_of_names *l, const char *name, size_t len)
{
	uint64_t h = hash_bytes(l->key, name, len);

	for (;; h++) {
		uint32_t *slot = &l->index[h & (l->index_size - 1)];
		const struct name *n;

		if (!*slot)
			return slot;
		n = &l->v[*slot - 1];
		if (n->len == len && memcmp(l->names.data + n->off, name, len) == 0)
			return slot;
	}
}

/* Upper entries are looked at: whiteouts can be told by their number only, and files that were copied up
 * keep the number they had. After reading, because a directory that is being read is locked. */
static void look_at(struct merge *m, struct name *n)
{
	struct inode *i;

	n->look = false;
	if (real_lookup(m->real, m->l->names.data + n->off, n->len, &i) < 0) {
		n->whiteout = true; /* gone meanwhile: not to be shown */
		return;
	}
	n->whiteout = ovl_is_whiteout(i);
	if (m->upper)
		n->ino = ovl_ino_of_upper(m->fs, i);
	inode_put(i);
}

static int merge_one(void *arg, const char *name, size_t len, uint64_t ino, uint32_t type)
{
	struct merge *m = arg;
	struct list_of_names *l = m->l;
	struct name n = {.off = (uint32_t)l->names.len, .len = (uint8_t)len, .type = (uint8_t)type};
	uint32_t *slot;

	if (len > VFS_NAME_MAX)
		return 0;
	if (l->count == l->cap && grow(l) < 0)
		return -ENOMEM;
	slot = index_slot(l, name, len);
	if (*slot) /* a layer above has it */
		return 0;
	n.ino = ovl_ino(m->fs, m->real->super, ino);
	n.look = m->upper || type == LINUX_S_IFCHR >> 12;
	strbuf_add(&l->names, name, len);
	if (!strbuf_ok(&l->names))
		return -ENOMEM;
	l->v[l->count++] = n;
	*slot = l->count;
	return 0;
}

static int merge_layer(struct merge *m)
{
	uint32_t first = m->l->count;
	int ret = for_each_ino(m->real, m->fs->cred, merge_one, m);

	for (uint32_t n = first; ret == 0 && n < m->l->count; n++)
		if (m->l->v[n].look)
			look_at(m, &m->l->v[n]);
	return ret;
}

static int list_merged(struct inode *dir, struct list_of_names **out)
{
	struct ovl_inode *oi = ovl_of(dir);
	struct ovl_fs *fs = ovl_fs_of(dir);
	struct merge m = {.fs = fs, .l = kmalloc(sizeof(*m.l)), .real = ovl_upper(dir), .upper = true};
	int ret = 0;

	if (!m.l)
		return -ENOMEM;
	strbuf_init(&m.l->names);
	m.l->key = random_u64();
	if (m.real)
		ret = merge_layer(&m);
	m.upper = false;
	for (uint32_t n = 0; ret == 0 && n < oi->lower_count; n++) {
		m.real = oi->lowers[n];
		ret = merge_layer(&m);
	}
	if (ret < 0) {
		list_free(m.l);
		return ret;
	}
	*out = m.l;
	return 0;
}

static bool is_merged(struct inode *dir)
{
	return ovl_of(dir)->lower_count + (ovl_upper(dir) ? 1 : 0) > 1;
}

int ovl_dir_is_empty(struct inode *dir)
{
	struct list_of_names *l;
	int ret = list_merged(dir, &l), empty = 1;

	if (ret < 0)
		return ret;
	for (uint32_t n = 0; n < l->count; n++)
		if (!l->v[n].whiteout)
			empty = 0;
	list_free(l);
	return empty;
}

/* ---- the open directory */

static void reset(struct dirfile *d)
{
	real_close(d->real);
	list_free(d->list);
	d->real = NULL;
	d->list = NULL;
}

static int begin(struct file *f, struct dirfile *d)
{
	struct inode *dir = f->inode, *real;

	if (d->real || d->list)
		return 0;
	if (__atomic_load_n(&dir->nlink, __ATOMIC_RELAXED) == 0)
		return -ENOENT;
	if (is_merged(dir))
		return list_merged(dir, &d->list);
	real = ovl_real(dir);
	d->real_super = real->super;
	return real_open(real, LINUX_O_RDONLY | LINUX_O_DIRECTORY, f->cred, &d->real);
}

struct through {
	struct dir_context ctx;
	struct dir_context *outer;
	struct ovl_fs *fs;
	struct super *real;
	uint64_t self, up; /* "." and ".." */
};

static uint64_t up_ino(struct inode *dir)
{
	struct ovl_fs *fs = ovl_fs_of(dir);
	uint64_t ino;

	mutex_lock(&fs->lock);
	ino = ovl_of(dir)->parent ? ovl_of(ovl_of(dir)->parent)->ino : ovl_of(dir)->ino;
	mutex_unlock(&fs->lock);
	return ino;
}

static bool through_emit(struct dir_context *ctx, const char *name, size_t len, uint64_t ino, uint32_t type,
			 uint64_t next)
{
	struct through *t = container_of(ctx, struct through, ctx);

	if (len == 1 && name[0] == '.')
		ino = t->self;
	else if (len == 2 && name[0] == '.' && name[1] == '.')
		ino = t->up;
	else
		ino = ovl_ino(t->fs, t->real, ino);
	return t->outer->emit(t->outer, name, len, ino, type, next);
}

static int read_through(struct file *f, struct dirfile *d, struct dir_context *ctx)
{
	struct through t = {.ctx = {.emit = through_emit, .pos = ctx->pos},
			    .outer = ctx,
			    .fs = ovl_fs_of(f->inode),
			    .real = d->real_super,
			    .self = ovl_of(f->inode)->ino,
			    .up = up_ino(f->inode)};
	int ret = d->real->ops->iterate ? d->real->ops->iterate(d->real, &t.ctx) : -ENOTDIR;

	ctx->pos = t.ctx.pos;
	return ret;
}

static void read_list(struct file *f, struct list_of_names *l, struct dir_context *ctx)
{
	if (ctx->pos == 0) {
		if (!ctx->emit(ctx, ".", 1, ovl_of(f->inode)->ino, 4, 1))
			return;
		ctx->pos = 1;
	}
	if (ctx->pos == 1) {
		if (!ctx->emit(ctx, "..", 2, up_ino(f->inode), 4, 2))
			return;
		ctx->pos = 2;
	}
	for (; ctx->pos - 2 < l->count; ctx->pos++) {
		const struct name *n = &l->v[ctx->pos - 2];

		if (!n->whiteout &&
		    !ctx->emit(ctx, l->names.data + n->off, n->len, n->ino, n->type, ctx->pos + 1))
			return;
	}
}

static int dir_iterate(struct file *f, struct dir_context *ctx)
{
	struct dirfile *d = f->priv;
	int ret;

	mutex_lock(&f->inode->lock);
	mutex_lock(&d->lock);
	if (ctx->pos == 0)
		reset(d);
	ret = begin(f, d);
	if (ret == 0 && d->list)
		read_list(f, d->list, ctx);
	/* a real directory locks itself, and not ours */
	mutex_unlock(&f->inode->lock);
	if (ret == 0 && d->real)
		ret = read_through(f, d, ctx);
	mutex_unlock(&d->lock);
	return ret;
}

static int dir_fsync(struct file *f, bool data_only)
{
	struct inode *u = ovl_upper(f->inode);
	struct file *r;
	int ret;

	if (!u)
		return 0;
	ret = real_open(u, LINUX_O_RDONLY | LINUX_O_DIRECTORY, f->cred, &r);
	if (ret < 0)
		return ret;
	ret = r->ops->fsync ? r->ops->fsync(r, data_only) : 0;
	real_close(r);
	return ret;
}

static void dir_release(struct file *f)
{
	reset(f->priv);
	kfree(f->priv);
}

const struct file_ops ovl_dir_ops = {
	.iterate = dir_iterate,
	.fsync = dir_fsync,
	.release = dir_release,
	.seekable = true,
};

int ovl_dir_open(struct inode *inode, struct file *f)
{
	struct dirfile *d = kmalloc(sizeof(*d));

	(void)inode;
	if (!d)
		return -ENOMEM;
	mutex_init(&d->lock, RANK_OVERLAY_COPY);
	f->priv = d;
	f->ops = &ovl_dir_ops;
	return 0;
}
