/* mm.c: life of an address space's books: made fresh for execve, copied for fork, dropped. Also the pages
 * that the platform keeps inside the guest's range. */
#include "sentry/mm/mm.h"

#include "platform/base/random.h"
#include "sentry/mm/internal.h"

/* The highest stack top and the room below it that mappings leave free. */
#define STACK_RANDOM_MAX (16UL << 30)
#define STACK_GAP	 (128UL << 20)
#define MMAP_RANDOM_BITS 27 /* pages: the part of the address space above the hole is 1 TiB */

/* Records something that exists already: no platform call. */
static int mm_record(struct mm *mm, uaddr_t start, uaddr_t end, enum vma_kind kind, uint32_t prot)
{
	struct vma *v;

	if (start >= end || end > GUEST_VA_END || !IS_ALIGNED(start | end, PAGE_SIZE))
		return 0;
	v = vma_find(mm, start);
	if (v && v->start < end)
		return 0; /* inside the hole: hidden already */
	v = kmalloc(sizeof(*v));
	if (!v)
		return -ENOMEM;
	v->start = start;
	v->end = end;
	v->kind = kind;
	v->prot = v->max_prot = prot;
	vma_link(mm, v);
	return 0;
}

/* struct aspace's callback; takes mm's lock. */
static uaddr_t mm_alloc_hidden(void *owner, uaddr_t near, uint64_t reach, uint64_t size)
{
	struct mm *mm = owner;
	uaddr_t low = GUEST_VA_MIN, high = GUEST_VA_END, at;
	struct mm_batch b;
	struct vma *v;

	size = ROUND_UP(size, PAGE_SIZE);
	if (size == 0 || size > reach || mm_batch_begin(&b, 1) < 0)
		return 0;
	if (near > reach)
		low = MAX(low, ROUND_UP(near - reach, PAGE_SIZE));
	if (near < GUEST_VA_END && reach < GUEST_VA_END - near)
		high = ROUND_DOWN(near + reach, PAGE_SIZE);
	mutex_lock(&mm->lock);
	/* Below first: above an image lies its heap, which wants to grow. */
	at = near > low ? vma_tree_gap(mm, size, PAGE_SIZE, low, MIN(ROUND_DOWN(near, PAGE_SIZE), high)) : 0;
	if (!at)
		at = vma_tree_gap(mm, size, PAGE_SIZE, low, high);
	if (at) {
		v = mm_batch_take(&b);
		v->start = at;
		v->end = at + size;
		v->kind = VMA_HIDDEN;
		vma_link(mm, v);
	}
	mutex_unlock(&mm->lock);
	mm_batch_end(&b);
	return at;
}

int mm_alloc(struct context *ctx, struct mm **out)
{
	struct mm *mm = kmalloc(sizeof(*mm));

	if (!mm)
		return -ENOMEM;
	refs_init(&mm->refs);
	mutex_init(&mm->lock, RANK_MM);
	mm->id = (uint64_t)(uintptr_t)mm | 1; /* odd: no object's address */
	mm->dumpable = 1;
	mm->as = ctx->as;
	aspace_get(mm->as);
	*out = mm;
	return 0;
}

void mm_own_aspace(struct mm *mm)
{
	mm->as->owner = mm;
	mm->as->alloc_hidden = mm_alloc_hidden;
}

int mm_create(struct context *ctx, struct mm **out)
{
	const struct platform *p = ctx->as->platform;
	uint64_t rnd = random_u64() & ((1UL << MMAP_RANDOM_BITS) - 1);
	struct mm *mm;
	int ret = mm_alloc(ctx, &mm);

	if (ret < 0)
		return ret;
	mm->mmap_top = GUEST_VA_END - STACK_RANDOM_MAX - STACK_GAP - rnd * PAGE_SIZE;
	ret = mm_record(mm, SBX_HOLE_START, SBX_HOLE_END, VMA_HIDDEN, 0);
	if (ret == 0 && p->vdso_start)
		ret = mm_record(mm, p->vvar_start, p->vdso_start, VMA_VVAR, LINUX_PROT_READ);
	if (ret == 0 && p->vdso_start)
		ret = mm_record(mm, p->vdso_start, p->vdso_end, VMA_VDSO, LINUX_PROT_READ | LINUX_PROT_EXEC);
	if (ret < 0) {
		mm_put(mm);
		return ret;
	}
	mm_own_aspace(mm);
	*out = mm;
	return 0;
}

/* All VMAs, without keeping the tree in order. */
static void mm_free_vmas(struct mm *mm)
{
	struct rbnode *n = mm->vmas.root;
	struct mm_batch b = {0};

	while (n) {
		struct rbnode *parent = n->parent;
		struct vma *v = rb_entry(n, struct vma, node);

		if (n->left) {
			n = n->left;
			continue;
		}
		if (n->right) {
			n = n->right;
			continue;
		}
		if (parent && parent->left == n)
			parent->left = NULL;
		else if (parent)
			parent->right = NULL;
		n->parent = NULL;
		b.dead = v;
		mm_batch_end(&b);
		n = parent;
	}
	mm->vmas.root = NULL;
}

void mm_put(struct mm *mm)
{
	if (!mm || !refs_put(&mm->refs))
		return;
	if (mm->as->owner == mm) {
		mm->as->alloc_hidden = NULL;
		mm->as->owner = NULL;
	}
	if (mm->aio)
		mm->aio_destroy(mm->aio);
	mm_free_vmas(mm);
	if (mm->exe)
		mm->exe->ops->put(mm->exe);
	aspace_put(mm->as);
	kfree(mm->fixups);
	kfree(mm);
}
