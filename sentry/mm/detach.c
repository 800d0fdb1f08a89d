/* detach.c: shmdt(2): unmapping an object as a whole, however it was cut by munmap and mprotect since. */
#include "sentry/mm/internal.h"

/* Part of the mapping that began at addr. */
static bool belongs(const struct vma *v, uaddr_t addr, const struct mappable_ops *ops,
		    const struct mappable *file)
{
	if (!v->file || v->file->ops != ops || (file && v->file != file))
		return false;
	return v->start >= addr && v->start - addr == v->offset;
}

int mm_unmap_object(struct mm *mm, struct context *ctx, uaddr_t addr, const struct mappable_ops *ops)
{
	struct mappable *file = NULL;
	struct mm_batch b;
	struct vma *v, *next;
	int ret = mm_batch_begin(&b, 2);

	if (ret < 0)
		return ret;
	ret = -EINVAL;
	mutex_lock(&mm->lock);
	for (v = vma_find(mm, addr); v; v = next) {
		uaddr_t start = v->start, end = v->end;

		next = vma_next(v);
		if (!belongs(v, addr, ops, file))
			continue;
		file = v->file; /* stays alive: the batch keeps the dead VMAs */
		ret = mm_unmap_locked(mm, ctx, &b, start, end);
		if (ret < 0)
			break;
	}
	mutex_unlock(&mm->lock);
	mm_batch_end(&b);
	return ret;
}
