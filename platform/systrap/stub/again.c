/* again.c: calls about names and descriptors, answered as the sentry answered the same call before, while
 * nothing has changed that the answer rests on. See answers.h. */
#include "platform/base/changes.h"
#include "platform/systrap/stub/answers.h"
#include "platform/systrap/stub/stub.h"

#define NR_open	      2
#define NR_stat	      4
#define NR_fstat      5
#define NR_lstat      6
#define NR_access     21
#define NR_readlink   89
#define NR_openat     257
#define NR_newfstatat 262
#define NR_readlinkat 267
#define NR_faccessat  269
#define NR_statx      332
#define NR_faccessat2 439

#define ENOENT		  2
#define AT_FDCWD	  (-100)
#define NOFOLLOW	  0x100u /* AT_SYMLINK_NOFOLLOW */
#define EACCESS		  0x200u
#define NO_AUTOMOUNT	  0x800u
#define EMPTY_PATH	  0x1000u
#define STATX_DONT_SYNC	  0x4000u
#define OPEN_CREAT	  0100u
#define OPEN_TMPFILE	  020000000u
#define OPEN_NOFOLLOW	  0400000u
#define STATX_RESERVED_UP 0x80000000u

/* as platform.h numbers them */
enum { MISSING, STAT, STATX, ACCESS, NOT_LINK };
#define FLAG_NOFOLLOW 1u
#define FLAG_FD	      2u
#define FLAG_EACCESS  8u
#define DIR_ROOT      0u
#define DIR_CWD	      1u

struct question {
	uint32_t kind, flags, mode;
	int dirfd;
	uint64_t path, out; /* guest addresses */
};

int stub_holds(uint32_t word, uint64_t value)
{
	const uint64_t *words = (const uint64_t *)STUB_WORDS_ADDR;

	return change_read(&words[word % CHANGE_WORDS]) == value;
}

/* The call as a question, or 0 when it isn't one that is ever answered here. */
static int ask(struct question *q, int64_t nr, const uint64_t a[6])
{
	uint32_t at = 0, open = 0;

	*q = (struct question){.kind = STAT, .dirfd = AT_FDCWD, .path = a[0], .out = a[1]};
	if (nr == NR_newfstatat || nr == NR_statx || nr == NR_openat || nr == NR_faccessat ||
	    nr == NR_faccessat2 || nr == NR_readlinkat) {
		q->dirfd = (int)a[0];
		q->path = a[1];
		q->out = a[2];
	}
	switch (nr) {
	case NR_stat:
		break;
	case NR_lstat:
		at = NOFOLLOW;
		break;
	case NR_fstat:
		q->dirfd = (int)a[0];
		q->flags = FLAG_FD;
		break;
	case NR_newfstatat:
		at = (uint32_t)a[3];
		if (at & ~(NOFOLLOW | NO_AUTOMOUNT | EMPTY_PATH))
			return 0;
		break;
	case NR_statx:
		at = (uint32_t)a[2];
		q->kind = STATX;
		q->mode = (uint32_t)a[3];
		q->out = a[4];
		if ((at & ~(NOFOLLOW | NO_AUTOMOUNT | EMPTY_PATH | STATX_DONT_SYNC)) ||
		    (q->mode & STATX_RESERVED_UP))
			return 0;
		break;
	case NR_access:
		q->kind = ACCESS;
		q->mode = (uint32_t)a[1];
		break;
	case NR_faccessat:
	case NR_faccessat2:
		at = nr == NR_faccessat2 ? (uint32_t)a[3] : 0;
		q->kind = ACCESS;
		q->mode = (uint32_t)a[2];
		if (at & ~(NOFOLLOW | EACCESS))
			return 0;
		break;
	case NR_open:
	case NR_openat:
		open = (uint32_t)(nr == NR_open ? a[1] : a[2]);
		q->kind = MISSING;
		if (open & (OPEN_CREAT | OPEN_TMPFILE))
			return 0;
		at = open & OPEN_NOFOLLOW ? NOFOLLOW : 0;
		break;
	case NR_readlink:
	case NR_readlinkat:
		if ((int)(nr == NR_readlink ? a[2] : a[3]) <= 0)
			return 0;
		q->kind = NOT_LINK;
		at = NOFOLLOW;
		break;
	default:
		return 0;
	}
	if (q->kind == ACCESS && (q->mode & ~7u))
		return 0;
	q->flags |= (at & NOFOLLOW ? FLAG_NOFOLLOW : 0) | (at & EACCESS ? FLAG_EACCESS : 0);
	if (at & EMPTY_PATH) {
		char first;

		if (q->path && (!stub_is_guest(q->path, 1) || stub_copy(&first, (const void *)q->path, 1) != 1))
			return 0;
		if (!q->path || !first) {
			q->flags = FLAG_FD;
			return q->dirfd >= 0;
		}
	}
	return 1;
}

/* Where the name starts. */
static int find_dir(struct stub_slot *s, const struct question *q, char first, uint64_t *dir)
{
	const struct stub_answers *all = (const struct stub_answers *)((char *)s + SLOT_ANSWERS);
	const struct stub_answer_dir *d;

	if (q->flags & FLAG_FD) {
		*dir = (uint32_t)q->dirfd;
		return 1;
	}
	*dir = first == '/' ? DIR_ROOT : DIR_CWD;
	if (first == '/' || q->dirfd == AT_FDCWD)
		return 1;
	d = &all->dirs[(uint32_t)q->dirfd % ANSWER_DIRS];
	*dir = d->dir;
	return d->epoch == s->epoch && d->fd == (uint32_t)q->dirfd && stub_holds(d->word, d->value);
}

static const struct stub_answer_entry *find(struct stub_slot *s, const struct question *q, uint64_t dir,
					    const uint64_t *path, uint32_t len)
{
	const struct stub_answers *all = (const struct stub_answers *)((char *)s + SLOT_ANSWERS);
	uint32_t hash = answer_hash(dir, path, len);
	const struct stub_answer_entry *set = all->sets[hash % ANSWER_SETS];

	for (int i = 0; i < ANSWER_WAYS; i++) {
		const struct stub_answer_entry *e = &set[i];

		if (e->hash != hash || e->epoch != s->epoch || e->dir != dir || e->path_len != len)
			continue;
		if (e->kind == MISSING ? e->flags != (q->flags & FLAG_NOFOLLOW)
				       : e->kind != q->kind || e->flags != q->flags || e->mode != q->mode)
			continue;
		if (answer_same_path(&e->room[(e->out_size + 7) / 8], path, len) &&
		    stub_holds(e->word[0], e->value[0]) && stub_holds(e->word[1], e->value[1]))
			return e;
	}
	return 0;
}

int stub_again(struct stub_slot *s, int64_t nr, const uint64_t a[6], int64_t *result)
{
	struct stub_answers *all = (struct stub_answers *)((char *)s + SLOT_ANSWERS);
	uint64_t *path = (uint64_t *)((char *)s + SLOT_SMALL), dir, len = 0;
	const struct stub_answer_entry *e;
	struct question q;

	if (!ask(&q, nr, a))
		return 0;
	if (!(q.flags & FLAG_FD)) {
		if (!stub_is_guest(q.path, ANSWER_PATH))
			return 0;
		len = stub_copy_path((char *)path, q.path, ANSWER_PATH - 8);
		if (len < 2)
			return 0;
		for (uint64_t i = len--; i % 8; i++)
			((char *)path)[i] = 0;
	}
	if (!find_dir(s, &q, *(const char *)path, &dir))
		return 0;
	e = find(s, &q, dir, path, (uint32_t)len);
	if (!e)
		return 0;
	/* where it can't be written to, the sentry has the last word: a stack may grow */
	if (e->out_size && stub_give(q.out, e->room, e->out_size) < 0)
		return 0;
	*result = e->kind == MISSING ? -ENOENT : e->kind == NOT_LINK ? -EINVAL : 0;
	all->used++;
	return 1;
}
