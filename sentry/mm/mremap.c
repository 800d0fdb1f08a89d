/* mremap.c: mremap(2). Growing in place maps the piece that is missing; moving is the host's mremap, so
 * that page contents never pass through the sentry. */
#include "sentry/mm/internal.h"

#define REMAP_KNOWN  ((uint32_t)(LINUX_MREMAP_MAYMOVE | LINUX_MREMAP_FIXED | LINUX_MREMAP_DONTUNMAP))
#define REMAP_SPARES 5 /* two splits at either end, and the new VMA */

struct remap {
	struct mm *mm;
	struct context *ctx;
	struct rlimits *limits;
	struct mm_batch b;
	uaddr_t old, to;
	uint64_t old_size, new_size;
	uint32_t flags;
	struct mappable *file; /* reference; with fd, fd_offset: what backs file offset file_offset on */
	uint64_t file_offset, fd_offset;
	bool file_write;
	int fd;
};

static int remap_check(struct remap *r)
{
	if (r->flags & ~REMAP_KNOWN)
		return -EINVAL;
	if ((r->flags & (LINUX_MREMAP_FIXED | LINUX_MREMAP_DONTUNMAP)) && !(r->flags & LINUX_MREMAP_MAYMOVE))
		return -EINVAL;
	if (!IS_ALIGNED(r->old, PAGE_SIZE) || r->new_size == 0 || r->new_size > GUEST_VA_END ||
	    r->old_size > GUEST_VA_END)
		return -EINVAL;
	r->old_size = ROUND_UP(r->old_size, PAGE_SIZE);
	r->new_size = ROUND_UP(r->new_size, PAGE_SIZE);
	if ((r->flags & LINUX_MREMAP_DONTUNMAP) && r->old_size != r->new_size)
		return -EINVAL;
	if (!mm_range_ok(r->old, r->old_size))
		return -EFAULT;
	if (!(r->flags & (LINUX_MREMAP_FIXED | LINUX_MREMAP_DONTUNMAP)))
		return 0;
	/* Without FIXED, DONTUNMAP takes the new address as a hint, and checks it all the same. */
	if (!IS_ALIGNED(r->to, PAGE_SIZE) || !mm_range_ok(r->to, r->new_size))
		return -EINVAL;
	if (r->old < r->to + r->new_size && r->to < r->old + r->old_size)
		return -EINVAL;
	return (r->flags & LINUX_MREMAP_FIXED) && r->to < GUEST_VA_MIN ? -EPERM : 0;
}

/* What vma_to_resize checks. */
static int remap_check_vma(const struct remap *r, const struct vma *v)
{
	uint64_t at = r->old - v->start + v->offset, grown;

	if (vma_is_hidden(v))
		return -EFAULT;
	if (vma_is_special(v))
		return r->new_size > r->old_size ? -EFAULT : -EINVAL;
	if (r->old_size == 0 && !vma_is_shared(v))
		return -EINVAL;
	if (r->old_size > v->end - r->old)
		return -EFAULT;
	if (v->file && at + r->new_size > INT64_MAX)
		return -EINVAL;
	grown = (r->flags & LINUX_MREMAP_DONTUNMAP) ? r->new_size : r->new_size - MIN(r->old_size, r->new_size);
	if ((v->flags & LINUX_MAP_LOCKED) && mm_may_lock(r->mm, r->limits, grown / PAGE_SIZE) < 0)
		return -EAGAIN;
	if ((v->flags & VMA_ACCOUNT) && mm_overcommits(grown))
		return -ENOMEM;
	if (!mm_may_expand(r->mm, r->limits, grown / PAGE_SIZE,
			   (v->prot & LINUX_PROT_WRITE) && !vma_is_shared(v)))
		return -ENOMEM;
	return 0;
}

static struct map_request remap_request(const struct remap *r, const struct vma *v, uaddr_t addr, uint64_t size)
{
	return (struct map_request){
		.addr = addr,
		.size = size,
		.prot = v->prot,
		.shared = vma_is_shared(v),
		.noreserve = v->flags & LINUX_MAP_NORESERVE,
		.populate = v->flags & LINUX_MAP_LOCKED,
		.fd = v->file ? r->fd : -1,
		.offset = r->fd_offset,
	};
}

/* In place, when v ends with the old range and there is room behind: 0, or -ENOMEM. */
static int remap_grow(struct remap *r, struct vma *v)
{
	uint64_t extra = r->new_size - r->old_size;
	struct map_request req;
	int ret;

	if (r->old + r->old_size != v->end || !mm_is_free(r->mm, v->end, extra))
		return -ENOMEM;
	req = remap_request(r, v, v->end, extra);
	ret = mm_ops(r->mm)->map(r->ctx, &req);
	if (ret < 0)
		return ret;
	vma_resize(r->mm, v, v->start, v->end + extra);
	mm_merge_range(r->mm, &r->b, v->start, v->end);
	return 0;
}

/* The host's move. Its mappings may be cut finer than ours (pages faulted before and after a fork, say),
 * and mremap(2) refuses to move more than one at once: then in smaller pieces. */
static int remap_host_move(struct remap *r)
{
	uint64_t done = 0, piece = r->old_size;

	while (done < r->old_size) {
		uint64_t to_size = piece;
		int ret;

		if (done + piece == r->old_size)
			to_size = r->new_size - done;
		ret = mm_ops(r->mm)->remap(r->ctx, r->old + done, piece, r->to + done, to_size,
					   r->flags | LINUX_MREMAP_FIXED | LINUX_MREMAP_MAYMOVE);
		if (ret == -EFAULT && piece > PAGE_SIZE) {
			piece = ROUND_UP(piece / 2, PAGE_SIZE);
			continue;
		}
		if (ret < 0) {
			if (done) /* bring back what was moved */
				(void)!mm_ops(r->mm)->remap(r->ctx, r->to, done, r->old, done,
							    LINUX_MREMAP_FIXED | LINUX_MREMAP_MAYMOVE);
			return ret;
		}
		done += piece;
		piece = r->old_size - done;
	}
	return 0;
}

static bool vma_is_untouchable(const struct vma *v)
{
	return vma_is_hidden(v) || vma_is_special(v);
}

/* Settles r->to. */
static int remap_choose(struct remap *r)
{
	uaddr_t end;

	if (!(r->flags & LINUX_MREMAP_FIXED)) {
		if ((r->flags & LINUX_MREMAP_DONTUNMAP) && r->to && mm_is_free(r->mm, r->to, r->new_size))
			return 0;
		r->to = vma_tree_gap(r->mm, r->new_size, PAGE_SIZE, GUEST_VA_MIN, r->mm->mmap_top);
		if (!r->to)
			r->to = vma_tree_gap(r->mm, r->new_size, PAGE_SIZE, GUEST_VA_MIN, GUEST_VA_END);
		return r->to ? 0 : -ENOMEM;
	}
	end = r->to + r->new_size;
	if (mm_range_has(r->mm, r->to, end, vma_is_untouchable))
		return -EINVAL;
	return mm_unmap_locked(r->mm, r->ctx, &r->b, r->to, end);
}

static int remap_move(struct remap *r)
{
	struct mm *mm = r->mm;
	struct vma *v, *n;
	int ret;

	if (mm_count_exceeded(mm, 3))
		return -ENOMEM;
	ret = remap_choose(r);
	if (ret < 0)
		return ret;
	v = vma_at(mm, r->old); /* making room may have split it */
	if (r->old_size == 0) {
		struct map_request req = remap_request(r, v, r->to, r->new_size);

		ret = mm_ops(mm)->map(r->ctx, &req);
	} else {
		ret = remap_host_move(r);
	}
	if (ret < 0)
		return ret;
	n = mm_batch_take(&r->b);
	*n = *v;
	n->start = r->to;
	n->end = r->to + r->new_size;
	n->offset = v->offset + (r->old - v->start);
	n->kind = VMA_NORMAL;
	vma_name_get(n->anon_name);
	if (n->file)
		vma_set_file(n, n->file);
	if (r->flags & LINUX_MREMAP_DONTUNMAP)
		vma_set_locked(mm, v, false);
	else
		mm_clear_range(mm, &r->b, r->old, r->old + r->old_size);
	vma_link(mm, n);
	mm_merge_range(mm, &r->b, n->start, n->end);
	return 0;
}

/* Everything under the lock. -EAGAIN with *need set: the file's descriptor must be asked for first. */
static int64_t remap_locked(struct remap *r, bool *need)
{
	struct vma *v = vma_at(r->mm, r->old);
	uint64_t from;
	int ret;

	*need = false;
	if (!v)
		return -EFAULT;
	if (r->old_size > r->new_size) {
		uaddr_t keep = r->old + r->new_size;

		if (vma_is_hidden(v))
			return -EFAULT;
		ret = mm_unmap_locked(r->mm, r->ctx, &r->b, keep, r->old + r->old_size);
		if (ret < 0)
			return ret;
		r->old_size = r->new_size;
		v = vma_at(r->mm, r->old);
	}
	if (r->old_size == r->new_size && !(r->flags & (LINUX_MREMAP_FIXED | LINUX_MREMAP_DONTUNMAP)))
		return vma_is_hidden(v) ? -EFAULT : (int64_t)r->old;
	ret = remap_check_vma(r, v);
	if (ret < 0)
		return ret;
	from = v->offset + (r->old - v->start) + r->old_size;
	if (v->file && r->new_size > r->old_size && (v->file != r->file || r->file_offset != from)) {
		if (r->file) /* it changed under us once: no third try */
			return -EFAULT;
		r->file = v->file;
		r->file->ops->get(r->file);
		r->file_offset = from;
		r->file_write = vma_is_shared(v) && (v->max_prot & LINUX_PROT_WRITE);
		*need = true;
		return -EAGAIN;
	}
	if (!(r->flags & (LINUX_MREMAP_FIXED | LINUX_MREMAP_DONTUNMAP)) && r->old_size) {
		ret = remap_grow(r, v);
		if (ret == 0)
			return (int64_t)r->old;
		if (!(r->flags & LINUX_MREMAP_MAYMOVE))
			return -ENOMEM;
	}
	if (!(r->flags & LINUX_MREMAP_MAYMOVE))
		return -ENOMEM;
	ret = remap_move(r);
	return ret < 0 ? ret : (int64_t)r->to;
}

int64_t mm_mremap(struct mm *mm, struct context *ctx, struct rlimits *limits, uaddr_t old, uint64_t old_size,
		  uint64_t new_size, uint32_t flags, uaddr_t new_addr)
{
	struct remap r = {.mm = mm,
			  .ctx = ctx,
			  .limits = limits,
			  .old = old,
			  .to = new_addr,
			  .old_size = old_size,
			  .new_size = new_size,
			  .flags = flags,
			  .fd = -1};
	int64_t ret = remap_check(&r);
	bool need;

	if (ret < 0)
		return ret;
	ret = mm_batch_begin(&r.b, REMAP_SPARES + 2);
	if (ret < 0)
		return ret;
	do {
		mutex_lock(&mm->lock);
		ret = remap_locked(&r, &need);
		mutex_unlock(&mm->lock);
		if (need) {
			ret = r.file->ops->host_fd(r.file, r.file_offset, r.new_size - r.old_size, r.file_write,
						   &r.fd, &r.fd_offset);
			if (ret < 0)
				break;
		}
	} while (need);
	mm_batch_end(&r.b);
	if (r.file)
		r.file->ops->put(r.file);
	return ret;
}
