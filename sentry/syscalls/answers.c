/* answers.c: see answers.h. */
#include "sentry/syscalls/answers.h"

#include "platform/base/changes.h"

static const struct platform_ops *ops_of(const struct task *t)
{
	return t->kernel->platform->ops;
}

static bool is_wanted(const struct task *t)
{
	return ops_of(t)->answer && t->kernel->vfs->words == t->kernel->platform->words;
}

void question_begin(struct question *q, struct task *t, int dirfd)
{
	q->t = is_wanted(t) ? t : NULL;
	q->dirfd = dirfd;
	q->name = NULL;
	q->by_fd = false;
	q->dir = ANSWER_DIR_CWD;
	q->basis = (struct vfs_basis){.unstable = true}; /* until the walk says what it rests on */
	if (q->t && dirfd >= 0) {
		q->fd_word = change_fd_word(t->fds, (uint32_t)dirfd);
		q->fd_value = change_read(&t->kernel->vfs->words[q->fd_word]);
	}
}

/* What names a directory while it exists: where it is mounted, and its number there. */
static uint64_t directory(const struct path *p)
{
	const struct inode *i = p->dentry->inode;
	uint64_t h = hash_u64(i->ino ^ hash_u64(i->super->dev ^ hash_u64(p->mnt ? p->mnt->id : 0)));

	return h | 1UL << 63; /* none of ANSWER_DIR_* */
}

void question_name(struct question *q, struct at_name *n)
{
	if (!q->t)
		return;
	n->at.basis = &q->basis;
	if (n->name[0] == '/')
		q->dir = ANSWER_DIR_ROOT;
	else if (n->dir) {
		q->dir = directory(&n->dir->path);
		q->t->listed_credit = FORESIGHT;
	}
	if (!n->dir)
		q->dirfd = -1;
}

void question_file(struct question *q, struct file *f)
{
	if (!q->t)
		return;
	q->by_fd = true;
	q->t->opened_credit = FORESIGHT;
	q->basis = (struct vfs_basis){0};
	vfs_basis_inode(&q->basis, f->inode);
}

void question_listed(struct question *q, struct file *dir, const char *name)
{
	const uint64_t *words = q->t ? q->t->kernel->vfs->words : NULL;

	q->name = (char *)(uintptr_t)name;
	q->dir = directory(&dir->path);
	if (!words)
		return;
	q->basis = (struct vfs_basis){.names = change_read(&words[CHANGE_NAMES])};
	q->basis.unstable = !dir->inode->super->stable;
}

static void give(struct question *q, struct context_answer *a, const char *name)
{
	struct task *t = q->t;

	a->dir = q->dir;
	a->fd = -1;
	if (name) {
		a->path = name;
		a->path_len = (uint32_t)strlen(name);
		if (q->dirfd >= 0) {
			a->fd = q->dirfd;
			a->fd_word = q->fd_word;
			a->fd_value = q->fd_value;
		}
	}
	ops_of(t)->answer(t->ctx, a);
}

void question_missing(struct question *q, const struct at_name *n, bool follow, int ret)
{
	struct context_answer a = {.kind = ANSWER_MISSING, .flags = follow ? 0 : ANSWER_NOFOLLOW};

	if (!q->t || ret != -ENOENT || q->basis.unstable || !n->name[0] || q->basis.inode_word)
		return;
	a.word[0] = CHANGE_NAMES;
	a.value[0] = q->basis.names;
	a.word[1] = CHANGE_CREATED;
	a.value[1] = q->basis.created;
	give(q, &a, n->name);
}

void question_answer(struct question *q, enum answer_kind kind, uint32_t flags, uint32_t mode, const void *out,
		     uint32_t size)
{
	struct context_answer a = {.kind = kind, .flags = flags, .mode = mode, .out = out, .out_size = size};

	if (!q->t || q->basis.unstable || !q->basis.inode_word)
		return;
	a.word[0] = CHANGE_NAMES;
	a.value[0] = q->basis.names;
	a.word[1] = q->basis.inode_word;
	a.value[1] = q->basis.inode_value;
	if (q->by_fd) {
		a.flags = ANSWER_FD;
		a.word[0] = q->fd_word;
		a.value[0] = q->fd_value;
		q->dir = (uint32_t)q->dirfd;
		give(q, &a, NULL);
	} else if (q->name && q->name[0]) {
		give(q, &a, q->name);
	}
}

/* Those who took what they were told are told more. */
static bool take_credit(struct task *t, uint32_t *credit, uint32_t enough)
{
	if (ops_of(t)->answers_used(t->ctx) >= enough)
		*credit = FORESIGHT;
	if (!*credit)
		return false;
	--*credit;
	return true;
}

bool listing_wanted(struct task *t)
{
	return is_wanted(t) && take_credit(t, &t->listed_credit, LISTED_USED);
}

bool fstat_wanted(struct task *t)
{
	return is_wanted(t) && take_credit(t, &t->opened_credit, 1);
}

void question_end(struct question *q)
{
	kfree(q->name);
}
