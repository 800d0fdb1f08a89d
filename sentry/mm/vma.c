/* vma.c: single VMAs and ranges of them in the books only: allocation, splitting, merging, removal, and the
 * counts that follow. No platform calls. mm->lock is held but where internal.h says otherwise. */
#include <string.h>

#include "sentry/mm/internal.h"

int mm_batch_begin(struct mm_batch *b, uint32_t count)
{
	*b = (struct mm_batch){0};
	while (count-- > 0) {
		struct vma *v = kmalloc(sizeof(*v));

		if (!v) {
			mm_batch_end(b);
			return -ENOMEM;
		}
		v->node.parent = b->spare ? &b->spare->node : NULL;
		b->spare = v;
	}
	return 0;
}

static struct vma *batch_pop(struct vma **list)
{
	struct vma *v = *list;

	if (v) {
		*list = v->node.parent ? rb_entry(v->node.parent, struct vma, node) : NULL;
		v->node.parent = NULL;
	}
	return v;
}

struct vma *mm_batch_take(struct mm_batch *b)
{
	struct vma *v = batch_pop(&b->spare);

	BUG_ON(!v);
	return v;
}

static bool vma_shared_write(const struct vma *v)
{
	return vma_is_shared(v) && (v->max_prot & LINUX_PROT_WRITE);
}

void mm_batch_end(struct mm_batch *b)
{
	struct vma *v;

	while ((v = batch_pop(&b->spare)))
		kfree(v);
	while ((v = batch_pop(&b->dead))) {
		if (v->file) {
			if (v->file->ops->mapped)
				v->file->ops->mapped(v->file, -1, vma_shared_write(v));
			v->file->ops->put(v->file);
		}
		vma_name_put(v->anon_name);
		kfree(v);
	}
}

void vma_set_file(struct vma *v, struct mappable *file)
{
	v->file = file;
	file->ops->get(file);
	if (file->ops->mapped)
		file->ops->mapped(file, 1, vma_shared_write(v));
}

/* Private, writable and not a stack: what RLIMIT_DATA counts. */
static bool vma_is_data(const struct vma *v)
{
	return (v->prot & LINUX_PROT_WRITE) && !vma_is_shared(v) && !(v->flags & LINUX_MAP_GROWSDOWN);
}

static void vma_account(struct mm *mm, const struct vma *v, bool add)
{
	uint64_t pages = vma_size(v) / PAGE_SIZE;

	if (vma_is_hidden(v))
		return;
	if (!add)
		pages = -pages;
	mm->total_pages += pages;
	if (vma_is_data(v))
		mm->data_pages += pages;
	if (v->flags & LINUX_MAP_GROWSDOWN)
		mm->stack_pages += pages;
	if (v->flags & LINUX_MAP_LOCKED)
		mm->locked_pages += pages;
}

void vma_link(struct mm *mm, struct vma *v)
{
	vma_tree_insert(mm, v);
	vma_account(mm, v, true);
	if (!vma_is_hidden(v))
		mm->map_count++;
}

void vma_discard(struct mm *mm, struct mm_batch *b, struct vma *v)
{
	vma_account(mm, v, false);
	if (!vma_is_hidden(v))
		mm->map_count--;
	vma_tree_remove(mm, v);
	v->node.parent = b->dead ? &b->dead->node : NULL;
	b->dead = v;
}

void vma_resize(struct mm *mm, struct vma *v, uaddr_t start, uaddr_t end)
{
	vma_account(mm, v, false);
	v->offset += start - v->start;
	v->start = start;
	v->end = end;
	vma_account(mm, v, true);
	vma_tree_resized(mm, v);
}

void vma_set_prot(struct mm *mm, struct vma *v, uint32_t prot)
{
	vma_account(mm, v, false);
	v->prot = prot;
	if ((prot & LINUX_PROT_WRITE) && !(v->flags & (LINUX_MAP_SHARED | LINUX_MAP_NORESERVE)))
		v->flags |= VMA_ACCOUNT;
	vma_account(mm, v, true);
}

void vma_set_locked(struct mm *mm, struct vma *v, bool locked)
{
	vma_account(mm, v, false);
	if (locked)
		v->flags |= LINUX_MAP_LOCKED;
	else
		v->flags &= ~(uint32_t)LINUX_MAP_LOCKED;
	vma_account(mm, v, true);
}

struct vma *vma_split(struct mm *mm, struct mm_batch *b, struct vma *v, uaddr_t at)
{
	struct vma *n = mm_batch_take(b);

	*n = *v;
	n->start = at;
	n->offset += at - v->start;
	if (n->file)
		vma_set_file(n, n->file);
	vma_name_get(n->anon_name);
	vma_resize(mm, v, v->start, at);
	vma_link(mm, n);
	return n;
}

static bool vma_can_merge(const struct vma *a, const struct vma *b)
{
	return a->end == b->start && a->kind == b->kind && !vma_is_special(a) && !vma_is_hidden(a) &&
	       a->prot == b->prot && a->max_prot == b->max_prot && a->flags == b->flags && a->file == b->file &&
	       a->offset + vma_size(a) == b->offset && a->dontfork == b->dontfork &&
	       a->wipeonfork == b->wipeonfork && a->dontdump == b->dontdump &&
	       vma_name_equal(a->anon_name, b->anon_name);
}

void mm_merge_range(struct mm *mm, struct mm_batch *b, uaddr_t start, uaddr_t end)
{
	struct vma *v = vma_find(mm, start), *prev = v ? vma_prev(v) : NULL;

	while (v && v->start <= end) {
		if (prev && vma_can_merge(prev, v)) {
			uaddr_t new_end = v->end;

			vma_discard(mm, b, v);
			vma_resize(mm, prev, prev->start, new_end);
		} else {
			prev = v;
		}
		v = vma_next(prev);
	}
}

struct vma *mm_isolate(struct mm *mm, struct mm_batch *b, uaddr_t start, uaddr_t end)
{
	struct vma *v = vma_at(mm, end);

	if (v && v->start < end && !vma_is_hidden(v))
		vma_split(mm, b, v, end);
	v = vma_find(mm, start);
	if (v && v->start < start && !vma_is_hidden(v))
		v = vma_split(mm, b, v, start);
	return v;
}

void mm_clear_range(struct mm *mm, struct mm_batch *b, uaddr_t start, uaddr_t end)
{
	struct vma *v = mm_isolate(mm, b, start, end);

	while (v && v->start < end) {
		struct vma *next = vma_next(v);

		if (!vma_is_hidden(v))
			vma_discard(mm, b, v);
		v = next;
	}
}

bool mm_range_has(const struct mm *mm, uaddr_t start, uaddr_t end, bool (*what)(const struct vma *v))
{
	for (struct vma *v = vma_find(mm, start); v && v->start < end; v = vma_next(v))
		if (what(v))
			return true;
	return false;
}

bool mm_count_exceeded(const struct mm *mm, uint32_t more)
{
	return mm->map_count + more > MM_MAX_MAP_COUNT;
}

uaddr_t mm_covered(const struct mm *mm, uaddr_t start, uaddr_t end)
{
	uaddr_t at = start;

	for (struct vma *v = vma_find(mm, start); v && at < end; v = vma_next(v)) {
		if (v->start > at || vma_is_hidden(v))
			break;
		at = v->end;
	}
	return MIN(at, end);
}

struct vma_name *vma_name_get(struct vma_name *n)
{
	if (n)
		refs_get(&n->refs);
	return n;
}

void vma_name_put(struct vma_name *n)
{
	if (n && refs_put(&n->refs))
		kfree(n);
}

bool vma_name_equal(const struct vma_name *a, const struct vma_name *b)
{
	return a == b || (a && b && strcmp(a->text, b->text) == 0);
}
