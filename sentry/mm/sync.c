/* sync.c: msync(2) and mincore(2): what is in memory, and what must reach the file. */
#include "sentry/mm/internal.h"

#define MINCORE_CHUNK 4096 /* pages asked for at once */

struct sync_step {
	struct mappable *file; /* reference, or NULL: nothing to do here */
	uint64_t offset, size;
	uaddr_t next;
	bool hole;
};

/* Looks at one VMA from `at` on, under the lock. */
static int sync_step(struct mm *mm, uaddr_t at, uaddr_t end, int flags, struct sync_step *s)
{
	struct vma *v;
	int ret = 0;

	*s = (struct sync_step){.next = end};
	mutex_lock(&mm->lock);
	v = vma_find(mm, at);
	if (!v || v->start >= end) {
		s->hole = true;
		goto out;
	}
	s->hole = v->start > at || vma_is_hidden(v);
	s->next = MIN(v->end, end);
	if (vma_is_hidden(v))
		goto out;
	if ((flags & LINUX_MS_INVALIDATE) && (v->flags & LINUX_MAP_LOCKED)) {
		ret = -EBUSY;
		goto out;
	}
	if ((flags & LINUX_MS_SYNC) && v->file && vma_is_shared(v) && v->file->ops->sync) {
		uaddr_t from = MAX(at, v->start);

		s->file = v->file;
		s->file->ops->get(s->file);
		s->offset = v->offset + (from - v->start);
		s->size = s->next - from;
	}
out:
	mutex_unlock(&mm->lock);
	return ret;
}

int mm_msync(struct mm *mm, struct context *ctx, uaddr_t addr, uint64_t size, int flags)
{
	uaddr_t at = addr, end;
	bool hole = false;

	(void)ctx;
	if (flags & ~(LINUX_MS_ASYNC | LINUX_MS_INVALIDATE | LINUX_MS_SYNC))
		return -EINVAL;
	if (!IS_ALIGNED(addr, PAGE_SIZE) || ((flags & LINUX_MS_ASYNC) && (flags & LINUX_MS_SYNC)))
		return -EINVAL;
	if (!mm_range_ok(addr, size))
		return -ENOMEM;
	end = addr + ROUND_UP(size, PAGE_SIZE);
	while (at < end) {
		struct sync_step s;
		int ret = sync_step(mm, at, end, flags, &s);

		if (ret < 0)
			return ret;
		if (s.file) {
			ret = s.file->ops->sync(s.file, s.offset, s.size);
			s.file->ops->put(s.file);
			if (ret < 0)
				return ret;
		}
		hole |= s.hole;
		at = s.next;
	}
	return hole ? -ENOMEM : 0;
}

int mm_mincore(struct mm *mm, struct context *ctx, uaddr_t addr, uint64_t size, uaddr_t vec)
{
	struct usermem um = mm_usermem(mm, ctx);
	uint64_t pages;
	uint8_t *buf;
	int ret = 0;

	if (!IS_ALIGNED(addr, PAGE_SIZE))
		return -EINVAL;
	if (!mm_range_ok(addr, size))
		return -ENOMEM;
	pages = ROUND_UP(size, PAGE_SIZE) / PAGE_SIZE;
	if (pages == 0)
		return 0;
	buf = kmalloc(MIN(pages, (uint64_t)MINCORE_CHUNK));
	if (!buf)
		return -ENOMEM;
	while (pages && ret == 0) {
		uint64_t n = MIN(pages, (uint64_t)MINCORE_CHUNK);

		mutex_lock(&mm->lock);
		if (mm_covered(mm, addr, addr + n * PAGE_SIZE) < addr + n * PAGE_SIZE)
			ret = -ENOMEM;
		else
			ret = mm_ops(mm)->mincore(ctx, addr, n * PAGE_SIZE, buf);
		mutex_unlock(&mm->lock);
		for (uint64_t i = 0; i < n; i++)
			buf[i] &= 1;
		if (ret == 0)
			ret = usermem_out(&um, vec, buf, n);
		addr += n * PAGE_SIZE;
		vec += n;
		pages -= n;
	}
	kfree(buf);
	return ret;
}
