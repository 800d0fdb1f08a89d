/* madvise.c: madvise(2) and PR_SET_VMA_ANON_NAME. Three kinds of advice: what changes the books only
 * (inheritance, dumps, names), what the host does on the range (dropping or fetching contents), and what is
 * refused because the machine we show has no such thing (KSM, memory failure injection). */
#include <string.h>

#include "sentry/mm/internal.h"

enum advice_kind {
	ADVICE_BOOKS,
	ADVICE_HINT, /* to the host; its refusal is nobody's business */
	ADVICE_HOST, /* to the host; its answer is the guest's */
	ADVICE_EPERM,
	ADVICE_EINVAL,
};

static enum advice_kind advice_kind(int advice)
{
	switch (advice) {
	case LINUX_MADV_DONTFORK:
	case LINUX_MADV_DOFORK:
	case LINUX_MADV_DONTDUMP:
	case LINUX_MADV_DODUMP:
	case LINUX_MADV_WIPEONFORK:
	case LINUX_MADV_KEEPONFORK:
		return ADVICE_BOOKS;
	case LINUX_MADV_NORMAL:
	case LINUX_MADV_RANDOM:
	case LINUX_MADV_SEQUENTIAL:
	case LINUX_MADV_WILLNEED:
	case LINUX_MADV_COLD:
	case LINUX_MADV_PAGEOUT:
		return ADVICE_HINT;
	case LINUX_MADV_DONTNEED:
	case LINUX_MADV_DONTNEED_LOCKED:
	case LINUX_MADV_FREE:
	case LINUX_MADV_REMOVE:
	case LINUX_MADV_HUGEPAGE:
	case LINUX_MADV_NOHUGEPAGE:
	case LINUX_MADV_COLLAPSE:
	case LINUX_MADV_POPULATE_READ:
	case LINUX_MADV_POPULATE_WRITE:
		return ADVICE_HOST;
	case LINUX_MADV_HWPOISON:
	case LINUX_MADV_SOFT_OFFLINE:
		return ADVICE_EPERM;
	default:
		return ADVICE_EINVAL;
	}
}

/* Does this VMA take this advice? */
static int advice_check(const struct vma *v, int advice)
{
	bool locked = v->flags & LINUX_MAP_LOCKED;

	switch (advice) {
	case LINUX_MADV_WIPEONFORK:
		return !vma_is_anon(v) || vma_is_shared(v) ? -EINVAL : 0;
	case LINUX_MADV_DOFORK:
	case LINUX_MADV_DONTFORK:
		/* The vDSO can't be left out of a child. */
		return vma_is_special(v) && advice == LINUX_MADV_DONTFORK ? -EINVAL : 0;
	case LINUX_MADV_DONTNEED:
		return locked || vma_is_special(v) ? -EINVAL : 0;
	case LINUX_MADV_FREE:
		return !vma_is_anon(v) ? -EINVAL : 0;
	case LINUX_MADV_REMOVE:
		if (locked || !v->file)
			return -EINVAL;
		return vma_is_shared(v) && (v->max_prot & LINUX_PROT_WRITE) ? 0 : -EACCES;
	case LINUX_MADV_POPULATE_WRITE:
		return v->prot & LINUX_PROT_WRITE ? 0 : -EINVAL;
	case LINUX_MADV_POPULATE_READ:
		return v->prot ? 0 : -EINVAL;
	default:
		return 0;
	}
}

static void advice_note(struct vma *v, int advice)
{
	switch (advice) {
	case LINUX_MADV_DONTFORK:
	case LINUX_MADV_DOFORK:
		v->dontfork = advice == LINUX_MADV_DONTFORK;
		break;
	case LINUX_MADV_DONTDUMP:
	case LINUX_MADV_DODUMP:
		v->dontdump = advice == LINUX_MADV_DONTDUMP;
		break;
	default:
		v->wipeonfork = advice == LINUX_MADV_WIPEONFORK;
	}
}

/* One mapped run [start, end) inside one VMA. Books: splits are made by the caller. */
static int advise_one(struct mm *mm, struct context *ctx, struct vma *v, uaddr_t start, uaddr_t end, int advice,
		      enum advice_kind kind)
{
	int ret = advice_check(v, advice);

	if (ret < 0)
		return ret;
	if (kind == ADVICE_BOOKS) {
		advice_note(v, advice);
		return 0;
	}
	ret = mm_ops(mm)->advise(ctx, start, end - start, advice);
	return kind == ADVICE_HOST ? ret : 0;
}

/* As Linux: holes are skipped, and reported at the end; an error stops. */
static int advise_locked(struct mm *mm, struct context *ctx, struct mm_batch *b, uaddr_t start, uaddr_t end,
			 int advice)
{
	enum advice_kind kind = advice_kind(advice);
	uaddr_t at = start;
	int ret = 0, err = 0;
	struct vma *v;

	if (kind == ADVICE_BOOKS) {
		if (mm_count_exceeded(mm, 2))
			return -ENOMEM;
		mm_isolate(mm, b, start, end);
	}
	for (v = vma_find(mm, start); v && v->start < end && err == 0; v = vma_next(v)) {
		if (v->start > at || vma_is_hidden(v))
			ret = -ENOMEM;
		if (!vma_is_hidden(v))
			err = advise_one(mm, ctx, v, MAX(v->start, start), MIN(v->end, end), advice, kind);
		at = v->end;
	}
	if (at < end && err == 0)
		ret = -ENOMEM;
	if (kind == ADVICE_BOOKS)
		mm_merge_range(mm, b, start, end);
	return err < 0 ? err : ret;
}

int mm_madvise(struct mm *mm, struct context *ctx, uaddr_t addr, uint64_t size, int advice)
{
	enum advice_kind kind = advice_kind(advice);
	struct mm_batch b;
	int ret;

	if (kind == ADVICE_EINVAL || !IS_ALIGNED(addr, PAGE_SIZE))
		return -EINVAL;
	if (kind == ADVICE_EPERM)
		return -EPERM;
	if (size > UINT64_MAX - PAGE_SIZE || addr + ROUND_UP(size, PAGE_SIZE) < addr)
		return -EINVAL;
	if (size == 0)
		return 0;
	if (!mm_range_ok(addr, size))
		return -ENOMEM;
	size = ROUND_UP(size, PAGE_SIZE);
	ret = mm_batch_begin(&b, 2);
	if (ret < 0)
		return ret;
	mutex_lock(&mm->lock);
	ret = advise_locked(mm, ctx, &b, addr, addr + size, advice);
	mutex_unlock(&mm->lock);
	mm_batch_end(&b);
	return ret;
}

static int name_range(struct mm *mm, struct mm_batch *b, uaddr_t start, uaddr_t end, struct vma_name *name)
{
	uaddr_t at = start;
	int ret = 0;

	if (mm_count_exceeded(mm, 2))
		return -ENOMEM;
	for (struct vma *v = mm_isolate(mm, b, start, end); v && v->start < end; v = vma_next(v)) {
		if (v->start > at || vma_is_hidden(v))
			ret = -ENOMEM;
		at = v->end;
		if (vma_is_hidden(v))
			continue;
		if (!vma_is_anon(v)) {
			ret = -EBADF;
			break;
		}
		vma_name_put(v->anon_name);
		v->anon_name = vma_name_get(name);
	}
	if (at < end && ret == 0)
		ret = -ENOMEM;
	mm_merge_range(mm, b, start, end);
	return ret;
}

int mm_set_anon_name(struct mm *mm, uaddr_t addr, uint64_t size, const char *name)
{
	struct vma_name *n = NULL;
	struct mm_batch b;
	int ret;

	if (!IS_ALIGNED(addr, PAGE_SIZE) || size > UINT64_MAX - PAGE_SIZE)
		return -EINVAL;
	if (size == 0)
		return 0;
	if (!mm_range_ok(addr, size))
		return -ENOMEM;
	size = ROUND_UP(size, PAGE_SIZE);
	if (name) {
		size_t len = strlen(name) + 1;

		n = kmalloc(sizeof(*n) + len);
		if (!n)
			return -ENOMEM;
		refs_init(&n->refs);
		memcpy(n->text, name, len);
	}
	ret = mm_batch_begin(&b, 2);
	if (ret == 0) {
		mutex_lock(&mm->lock);
		ret = name_range(mm, &b, addr, addr + size, n);
		mutex_unlock(&mm->lock);
		mm_batch_end(&b);
	}
	vma_name_put(n);
	return ret;
}
