/* file.c: open files of table-made file systems: directory listings, generated texts, writes. The text of
 * an open file is guarded by a lock of its own (rank SEQ), which is held while it is made. */
#include <string.h>

#include "platform/abi/errno.h"
#include "platform/abi/fcntl.h"
#include "platform/base/arena.h"
#include "sentry/fs/pseudo/internal.h"

#define FIRST_FIXED    2u
#define FIRST_COMPUTED 0x10000u

struct seq {
	struct mutex lock;
	struct strbuf text; /* [lock] */
	bool made;	    /* [lock] */
};

int pseudo_reg_open(struct inode *inode, struct file *f)
{
	struct pseudo_node *n = pseudo_of(inode);
	struct seq *q;
	int ret;

	if (n->entry->may_open) {
		ret = n->entry->may_open(n, f->cred);
		if (ret < 0)
			return ret;
	}
	f->ops = inode->fops;
	if (n->entry->fops)
		return 0;
	q = kmalloc(sizeof(*q));
	if (!q)
		return -ENOMEM;
	mutex_init(&q->lock, RANK_SEQ);
	strbuf_init(&q->text);
	f->priv = q;
	return 0;
}

static void reg_release(struct file *f)
{
	struct seq *q = f->priv;

	if (!q)
		return;
	strbuf_fini(&q->text);
	kfree(q);
}

static int make_text_locked(struct file *f, struct seq *q)
{
	struct pseudo_node *n = pseudo_of(f->inode);
	int ret;

	q->text.len = 0;
	q->text.failed = false;
	q->made = false;
	ret = n->entry->show ? n->entry->show(n, f, &q->text) : -EINVAL;
	if (ret == 0 && !strbuf_ok(&q->text))
		ret = -ENOMEM;
	q->made = ret == 0;
	return ret;
}

static ssize_t reg_read(struct file *f, struct uio *dst, uint64_t *pos)
{
	struct seq *q = f->priv;
	ssize_t ret = 0;

	mutex_lock(&q->lock);
	if (*pos == 0 || !q->made)
		ret = make_text_locked(f, q);
	if (ret == 0 && *pos < q->text.len && dst->resid) {
		ret = uio_put(dst, q->text.data + *pos, q->text.len - *pos);
		if (ret > 0)
			*pos += (uint64_t)ret;
	}
	mutex_unlock(&q->lock);
	return ret;
}

static ssize_t reg_write(struct file *f, struct uio *src, uint64_t *pos)
{
	struct pseudo_node *n = pseudo_of(f->inode);
	size_t size = src->resid;
	ssize_t ret;
	char *buf;

	if (!n->entry->store)
		return -EIO;
	if (size > PSEUDO_WRITE_MAX)
		return -EINVAL;
	buf = kmalloc(size + 1);
	if (!buf)
		return -ENOMEM;
	ret = size ? uio_get(src, buf, size) : 0;
	if (ret >= 0 && (size_t)ret != size)
		ret = -EFAULT;
	if (ret >= 0)
		ret = n->entry->store(n, f, buf, size);
	if (ret > 0)
		*pos += (uint64_t)ret;
	kfree(buf);
	return ret;
}

static int64_t reg_seek(struct file *f, int64_t off, int whence)
{
	int64_t base = 0;

	if (whence == 1)
		base = (int64_t)f->pos;
	else if (whence != 0)
		return -EINVAL;
	if (__builtin_add_overflow(base, off, &base) || base < 0)
		return -EINVAL;
	f->pos = (uint64_t)base;
	return base;
}

const struct file_ops pseudo_reg_fops = {
	.read = reg_read,
	.write = reg_write,
	.seek = reg_seek,
	.release = reg_release,
	.seekable = true,
};

bool pseudo_emit(struct pseudo_iter *it, const char *name, uint32_t mode, uint64_t place)
{
	size_t len = strlen(name);
	uint64_t next = it->base + place + 1;

	if (!it->ctx->emit(it->ctx, name, len, pseudo_ino(it->dir_ino, name, len), mode >> 12 & 15, next))
		return false;
	it->ctx->pos = next;
	return true;
}

static int iterate_fixed(struct pseudo_node *n, struct dir_context *ctx)
{
	const struct pseudo_entry *e = n->entry->children;
	struct pseudo_iter it = {ctx, FIRST_FIXED, n->inode->ino};
	uint64_t i = 0;

	for (; e && e->name; e++, i++) {
		if (ctx->pos > FIRST_FIXED + i)
			continue;
		if (!pseudo_emit(&it, e->name, e->mode, i))
			return 1;
	}
	return 0;
}

static int dir_iterate(struct file *f, struct dir_context *ctx)
{
	struct pseudo_node *n = pseudo_of(f->inode);
	struct pseudo_iter it = {ctx, FIRST_COMPUTED, f->inode->ino};
	struct dentry *d = f->path.dentry;

	if (n->fs->alive && !n->fs->alive(n))
		return -ENOENT;
	if (ctx->pos == 0) {
		if (!ctx->emit(ctx, ".", 1, f->inode->ino, 4, 1))
			return 0;
		ctx->pos = 1;
	}
	if (ctx->pos == 1) {
		struct inode *up = d->parent ? d->parent->inode : NULL;

		if (!ctx->emit(ctx, "..", 2, up ? up->ino : f->inode->ino, 4, 2))
			return 0;
		ctx->pos = FIRST_FIXED;
	}
	if (ctx->pos < FIRST_COMPUTED) {
		if (iterate_fixed(n, ctx))
			return 0;
		ctx->pos = FIRST_COMPUTED;
	}
	if (!n->entry->iterate)
		return 0;
	return n->entry->iterate(n, &it, ctx->pos - FIRST_COMPUTED);
}

static int64_t dir_seek(struct file *f, int64_t off, int whence)
{
	return reg_seek(f, off, whence);
}

const struct file_ops pseudo_dir_fops = {
	.iterate = dir_iterate,
	.seek = dir_seek,
	.seekable = true,
};
