/* fork.c: the books of a forked child: a copy of the parent's tree, made while the parent's lock is held
 * from before the host copied the space until after this. */
#include <string.h>

#include "sentry/mm/internal.h"

void mm_fork_begin(struct mm *mm)
{
	mutex_lock(&mm->lock);
}

void mm_fork_end(struct mm *mm)
{
	mutex_unlock(&mm->lock);
}

/* The parts of the books that aren't VMAs. */
static void mm_copy_fields(struct mm *n, const struct mm *mm)
{
	n->mmap_top = mm->mmap_top;
	n->brk_start = mm->brk_start;
	n->brk = mm->brk;
	n->start_code = mm->start_code;
	n->end_code = mm->end_code;
	n->start_data = mm->start_data;
	n->end_data = mm->end_data;
	n->start_stack = mm->start_stack;
	n->arg_start = mm->arg_start;
	n->arg_end = mm->arg_end;
	n->env_start = mm->env_start;
	n->env_end = mm->env_end;
	memcpy(n->auxv, mm->auxv, sizeof(n->auxv));
	n->auxv_count = mm->auxv_count;
	n->dumpable = __atomic_load_n(&mm->dumpable, __ATOMIC_RELAXED);
	n->exe = mm->exe;
	if (n->exe)
		n->exe->ops->get(n->exe);
}

/* A copy of one VMA below parent, without children. What the child won't inherit gets no references: it is
 * taken out of the tree right after. NULL: no memory. */
static struct rbnode *fork_vma(const struct rbnode *from, struct rbnode *parent)
{
	const struct vma *src = rb_entry(from, struct vma, node);
	struct vma *v = kmemdup(src, sizeof(*src));

	if (!v)
		return NULL;
	v->node.parent = parent;
	v->node.left = v->node.right = NULL;
	v->flags &= ~(uint32_t)LINUX_MAP_LOCKED; /* locks aren't inherited */
	if (v->dontfork) {
		v->file = NULL;
		v->anon_name = NULL;
	}
	vma_name_get(v->anon_name);
	if (v->file)
		vma_set_file(v, v->file);
	return &v->node;
}

/* The same tree again, colours and gaps included: no searching, no balancing. */
static int fork_tree(const struct mm *mm, struct mm *n)
{
	const struct rbnode *src = mm->vmas.root;
	struct rbnode *dst;

	if (!src)
		return 0;
	dst = n->vmas.root = fork_vma(src, NULL);
	if (!dst)
		return -ENOMEM;
	while (src) {
		struct rbnode **to = NULL;

		if (src->left && !dst->left) {
			src = src->left;
			to = &dst->left;
		} else if (src->right && !dst->right) {
			src = src->right;
			to = &dst->right;
		} else {
			src = src->parent;
			dst = dst->parent;
			continue;
		}
		*to = fork_vma(src, dst);
		if (!*to)
			return -ENOMEM;
		dst = *to;
	}
	n->total_pages = mm->total_pages;
	n->data_pages = mm->data_pages;
	n->stack_pages = mm->stack_pages;
	n->map_count = mm->map_count;
	return 0;
}

/* Takes MADV_DONTFORK ranges out of the child's books, and notes what its thread has to do. */
static int fork_fixups(struct mm *n)
{
	struct mm_batch b = {0};
	struct vma *v, *next;
	uint32_t count = 0;

	for (v = vma_first(n); v; v = vma_next(v))
		count += v->dontfork || v->wipeonfork;
	if (count == 0)
		return 0;
	n->fixups = kmalloc(count * sizeof(*n->fixups));
	if (!n->fixups)
		return -ENOMEM;
	for (v = vma_first(n); v; v = next) {
		next = vma_next(v);
		if (v->dontfork || v->wipeonfork)
			n->fixups[n->fixup_count++] =
				(struct mm_fixup){v->start, v->end, v->prot, !v->dontfork};
		if (v->dontfork)
			vma_discard(n, &b, v);
	}
	mm_batch_end(&b);
	return 0;
}

int mm_fork(struct mm *mm, struct context *child, struct mm **out)
{
	struct mm *n;
	int ret = mm_alloc(child, &n);

	if (ret < 0)
		return ret;
	mm_copy_fields(n, mm);
	ret = fork_tree(mm, n);
	if (ret == 0)
		ret = fork_fixups(n);
	if (ret < 0) {
		/* mm's own VMAs still hold every file: nothing is destroyed under its lock. */
		mm_put(n);
		return ret;
	}
	mm_own_aspace(n);
	*out = n;
	return 0;
}

int mm_fork_finish(struct mm *mm, struct context *ctx)
{
	int ret = 0;

	/* Threads that share mm find nothing: the child that has it began alone. */
	if (!__atomic_load_n(&mm->fixup_count, __ATOMIC_RELAXED))
		return 0;
	mutex_lock(&mm->lock);
	for (uint32_t i = 0; i < mm->fixup_count && ret == 0; i++) {
		const struct mm_fixup *f = &mm->fixups[i];

		if (f->wipe) {
			struct map_request r = {
				.addr = f->start, .size = f->end - f->start, .prot = f->prot, .fd = -1};

			ret = mm_ops(mm)->map(ctx, &r);
		} else {
			ret = mm_ops(mm)->unmap(ctx, f->start, f->end - f->start);
		}
	}
	kfree(mm->fixups);
	mm->fixups = NULL;
	mm->fixup_count = 0;
	mutex_unlock(&mm->lock);
	return ret;
}
