/* lent.c: open files whose reads and writes the platform carries out for a while (context_file). The contents
 * of such a file don't change without a word of changes.h; its position is lent along only while nobody but
 * this task can reach it: the one descriptor of the one task that has this table. Whoever reaches for it from
 * outside calls task_settle_file first. */
#include "platform/abi/misc.h"
#include "platform/abi/stat.h"
#include "platform/base/changes.h"
#include "platform/base/thread.h"
#include "sentry/kernel/internal.h"
#include "sentry/vfs/file.h"

#define USES_MIN  4u	     /* reads or writes before a file is lent */
#define USES_STOP (1u << 31) /* it can't be */
#define NEAR	  (1u << 20) /* as far behind the window's end a reader goes on with the next one at once */
#define WAIT_MAX  20000

struct lent {
	struct file *f; /* borrowed from the table; NULL: none */
	int fd;
	bool with_pos;
	uint32_t fd_word;
	uint64_t fd_value;
	uint64_t pos; /* as the platform knows it */
	uint64_t end;
};

static void forget(struct task *t, struct lent *l)
{
	if (l->f && l->with_pos)
		t->lent_count--;
	l->f = NULL;
}

/* The platform has forgotten all. */
void lent_forget(struct task *t)
{
	for (int i = 0; t->lent && i < CONTEXT_FILES; i++)
		forget(t, &t->lent[i]);
}

/* On the way out of the guest: the positions that it moved. */
void lent_sync(struct task *t)
{
	for (unsigned i = 0; t->lent && i < CONTEXT_FILES; i++) {
		struct lent *l = &t->lent[i];

		if (!(t->event.moved >> i & 1) || !l->f || !l->with_pos)
			continue;
		l->pos = t->event.moved_to[i];
		__atomic_store_n(&l->f->pos, l->pos, __ATOMIC_RELAXED);
	}
}

/* On the way in: what can't stay lent is taken back, and positions that we moved are told. */
void lent_check(struct task *t)
{
	const struct platform_ops *ops = task_platform(t);
	const uint64_t *words = t->kernel->vfs->words;

	for (unsigned i = 0; i < CONTEXT_FILES; i++) {
		struct lent *l = &t->lent[i];

		if (!l->f || !l->with_pos)
			continue;
		/* while the word is the same the table holds the file */
		if (change_read(&words[l->fd_word]) != l->fd_value || refs_read(&t->fds->refs) != 1 ||
		    refs_read(&l->f->refs) != 1) {
			ops->take_back(t->ctx, i);
			forget(t, l);
		} else if (l->f->pos != l->pos) {
			l->pos = l->f->pos;
			ops->set_position(t->ctx, i, l->pos);
		}
	}
}

/* Reads leave no mark that they would have to leave. */
static bool reads_silently(const struct file *f)
{
	uint32_t flags = f->path.mnt ? __atomic_load_n(&f->path.mnt->flags, __ATOMIC_RELAXED) : 0;

	return (f->flags & LINUX_O_NOATIME) ||
	       (flags & (LINUX_MS_NOATIME | LINUX_MS_RDONLY | LINUX_MS_RELATIME)) || f->inode->super->read_only;
}

/* Fills in cf for reads from pos on; *m: the mappable, with a reference, or NULL at the end of the file, where
 * there is nothing to map but to know. */
static int data_of(struct file *f, uint64_t pos, bool at_end, struct context_file *cf, struct mappable **m)
{
	struct vfs_basis b = {0};
	struct kstat st;
	int ret;

	if (!f->ops->window || !reads_silently(f))
		return -ENODEV;
	vfs_basis_inode(&b, f->inode);
	ret = b.unstable ? -ENODEV : vfs_stat_path(&f->path, LINUX_STATX_SIZE, &st);
	if (ret == 0)
		ret = f->ops->window(f, m);
	if (ret < 0)
		return ret;
	cf->flags = LENT_DATA;
	cf->word[1] = b.inode_word;
	cf->value[1] = b.inode_value;
	cf->size = st.size;
	cf->from = pos;
	if (!st.size)
		return -EAGAIN;
	cf->host_fd = -1;
	if (at_end) {
		*m = NULL;
		return pos == st.size ? 0 : -EAGAIN;
	}
	(*m)->ops->get(*m);
	ret = (*m)->ops->host_fd(*m, 0, st.size, false, &cf->host_fd, &cf->host_off);
	if (ret < 0)
		(*m)->ops->put(*m);
	return ret;
}

static int lend(struct task *t, struct lent *l, struct context_file *cf, struct file *f)
{
	uint64_t *words = t->kernel->vfs->words, end = 0;
	struct file *now;
	int ret;

	cf->word[0] = change_fd_word(t->fds, (uint32_t)cf->fd);
	cf->value[0] = change_read(&words[cf->word[0]]);
	cf->word[2] = CHANGE_WATCHES;
	cf->value[2] = change_read(&words[CHANGE_WATCHES]);
	if (!(cf->flags & LENT_DATA)) { /* no contents that could change */
		cf->word[1] = cf->word[2];
		cf->value[1] = cf->value[2];
	}
	now = fdtable_get(t->fds, cf->fd); /* still the same? */
	if (now)
		file_put(now);
	if (now != f || __atomic_load_n(&t->kernel->vfs->watch_count, __ATOMIC_RELAXED))
		return -EAGAIN;
	/* the table's reference, and our caller's */
	if ((cf->flags & LENT_DATA) && f->ops->seekable && refs_read(&f->refs) == 2 &&
	    refs_read(&t->fds->refs) == 1)
		cf->flags |= LENT_POS;
	cf->pos = f->pos;
	forget(t, l);
	ret = task_platform(t)->lend(t->ctx, cf, &end);
	if (ret < 0)
		return ret;
	*l = (struct lent){.f = f,
			   .fd = cf->fd,
			   .with_pos = cf->flags & LENT_POS,
			   .fd_word = cf->word[0],
			   .fd_value = cf->value[0],
			   .pos = cf->pos,
			   .end = end};
	t->lent_count += l->with_pos;
	return 0;
}

static struct lent *lent_of(struct task *t, int fd)
{
	if (!t->lent)
		t->lent = kmalloc(CONTEXT_FILES * sizeof(*t->lent));
	return t->lent ? &t->lent[(unsigned)fd % CONTEXT_FILES] : NULL;
}

/* Has it been used so often that it is worth the trouble? next: where a read would go on. */
static bool is_due(struct task *t, int fd, struct file *f, uint64_t next)
{
	uint32_t uses = __atomic_add_fetch(&f->uses, 1, __ATOMIC_RELAXED);
	struct lent *l;

	if (uses & USES_STOP) {
		__atomic_store_n(&f->uses, USES_STOP, __ATOMIC_RELAXED);
		return false;
	}
	l = t->lent ? &t->lent[(unsigned)fd % CONTEXT_FILES] : NULL;
	if (uses < USES_MIN && !(l && l->f == f && l->end && next >= l->end && next - l->end < NEAR))
		return false;
	__atomic_store_n(&f->uses, 0, __ATOMIC_RELAXED);
	return true;
}

void task_used_file(struct task *t, int fd, struct file *f, bool write, uint64_t next, bool at_end)
{
	struct context_file cf = {.fd = fd, .flags = LENT_SINK};
	struct mappable *m = NULL;
	struct lent *l;
	int ret;

	if (!(write ? f->ops->discards : f->ops->window != NULL) || !task_platform(t)->lend ||
	    t->kernel->vfs->words != t->kernel->platform->words)
		return;
	if (is_due(t, fd, f, next))
		at_end = false;
	else if (!at_end)
		return;
	l = lent_of(t, fd);
	if (!l || (at_end && l->f == f && l->end))
		return;
	ret = write ? 0 : data_of(f, next, at_end, &cf, &m);
	if (ret == 0) {
		ret = lend(t, l, &cf, f);
		if (m)
			m->ops->put(m);
	}
	if (ret < 0 && ret != -EAGAIN)
		__atomic_store_n(&f->uses, USES_STOP, __ATOMIC_RELAXED);
}

void task_settle_file(struct task *t, struct fdtable *fds, int fd)
{
	uint32_t seen = __atomic_load_n(&t->arrivals, __ATOMIC_ACQUIRE);

	if (!__atomic_load_n(&t->p->in_guest, __ATOMIC_SEQ_CST))
		return;
	change_mark(&t->kernel->vfs->words[change_fd_word(fds, (uint32_t)fd)]);
	mutex_lock(&t->process->lock);
	task_poke(t);
	mutex_unlock(&t->process->lock);
	for (int i = 0; i < WAIT_MAX && __atomic_load_n(&t->p->in_guest, __ATOMIC_SEQ_CST) &&
			__atomic_load_n(&t->arrivals, __ATOMIC_ACQUIRE) == seen;
	     i++)
		thread_yield();
}
