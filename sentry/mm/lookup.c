/* lookup.c: questions about an address: what is mapped there, and what a futex in it is called. */
#include "sentry/mm/internal.h"

int mm_lookup(struct mm *mm, uaddr_t addr, uint32_t *prot, enum vma_kind *kind)
{
	struct vma *v;
	int ret = -EFAULT;

	mutex_lock(&mm->lock);
	v = vma_at(mm, addr);
	if (v && !vma_is_hidden(v)) {
		*prot = v->prot;
		*kind = v->kind;
		ret = 0;
	}
	mutex_unlock(&mm->lock);
	return ret;
}

int mm_futex_key(struct mm *mm, uaddr_t addr, bool is_private, struct futex_key *out)
{
	struct vma *v;
	int ret = 0;

	*out = (struct futex_key){mm->id, addr};
	if (is_private)
		return mm_range_ok(addr, sizeof(uint32_t)) ? 0 : -EFAULT;
	mutex_lock(&mm->lock);
	v = vma_at(mm, addr);
	if (!v || vma_is_hidden(v))
		ret = -EFAULT;
	else if (v->file && vma_is_shared(v))
		/* A private mapping's page is the process's own once a futex word in it was written. */
		*out = (struct futex_key){v->file->ops->identity(v->file), v->offset + (addr - v->start)};
	mutex_unlock(&mm->lock);
	return ret;
}

void mm_usage(struct mm *mm, uint64_t *virtual_size, uint64_t *resident, uint64_t *data, uint64_t *stack,
	      uint64_t *text)
{
	mutex_lock(&mm->lock);
	*virtual_size = mm->total_pages * PAGE_SIZE;
	*data = mm->data_pages * PAGE_SIZE;
	*stack = mm->stack_pages * PAGE_SIZE;
	*text = ROUND_UP(mm->end_code, PAGE_SIZE) - ROUND_DOWN(mm->start_code, PAGE_SIZE);
	mutex_unlock(&mm->lock);
	*resident = mm->moved ? 0 : mm_ops(mm)->resident(mm->as);
}
