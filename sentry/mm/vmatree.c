/* vmatree.c: VMAs in a red-black tree by start, each with the size of the gap before it and the largest gap
 * in its subtree, so that a free place is found in logarithmic time however many mappings there are.
 *
 * The tree of platform/base knows nothing of these sums, so they are repaired afterwards: a rotation only
 * touches nodes on the way from the changed place to the root and children of such nodes, hence recomputing
 * the children and then the node, all the way up, is enough. */
#include "sentry/mm/internal.h"

#define VMA(n) rb_entry(n, struct vma, node)

struct vma *vma_first(const struct mm *mm)
{
	struct rbnode *n = rb_first(&mm->vmas);

	return n ? VMA(n) : NULL;
}

struct vma *vma_next(const struct vma *v)
{
	struct rbnode *n = rb_next(&v->node);

	return n ? VMA(n) : NULL;
}

struct vma *vma_prev(const struct vma *v)
{
	struct rbnode *n = rb_prev(&v->node);

	return n ? VMA(n) : NULL;
}

struct vma *vma_find(const struct mm *mm, uaddr_t addr)
{
	struct rbnode *n = mm->vmas.root;
	struct vma *best = NULL;

	while (n) {
		if (VMA(n)->end > addr) {
			best = VMA(n);
			n = n->left;
		} else {
			n = n->right;
		}
	}
	return best;
}

struct vma *vma_at(const struct mm *mm, uaddr_t addr)
{
	struct vma *v = vma_find(mm, addr);

	return v && v->start <= addr ? v : NULL;
}

static void max_gap_recompute(struct rbnode *n)
{
	uint64_t max;

	if (!n)
		return;
	max = VMA(n)->gap;
	if (n->left)
		max = MAX(max, VMA(n->left)->max_gap);
	if (n->right)
		max = MAX(max, VMA(n->right)->max_gap);
	VMA(n)->max_gap = max;
}

static void max_gap_repair(struct rbnode *n)
{
	for (; n; n = n->parent) {
		max_gap_recompute(n->left);
		max_gap_recompute(n->right);
		max_gap_recompute(n);
	}
}

static void gap_update(struct vma *v)
{
	struct vma *prev = vma_prev(v);

	v->gap = v->start - (prev ? prev->end : 0);
	for (struct rbnode *n = &v->node; n; n = n->parent)
		max_gap_recompute(n);
}

void vma_tree_insert(struct mm *mm, struct vma *v)
{
	struct rbnode **link = &mm->vmas.root, *parent = NULL;
	struct vma *next;

	while (*link) {
		parent = *link;
		link = v->start < VMA(parent)->start ? &parent->left : &parent->right;
	}
	v->gap = v->max_gap = 0;
	rb_insert(&mm->vmas, &v->node, parent, link);
	max_gap_repair(&v->node);
	gap_update(v);
	next = vma_next(v);
	if (next)
		gap_update(next);
}

void vma_tree_remove(struct mm *mm, struct vma *v)
{
	struct vma *next = vma_next(v);
	struct rbnode *n = &v->node, *start = n->parent;

	if (n->left && n->right) {
		/* The successor takes n's place: the deepest change is where it came from. */
		start = next->node.parent == n ? &next->node : next->node.parent;
	}
	rb_remove(&mm->vmas, n);
	max_gap_repair(start);
	if (next)
		gap_update(next);
}

void vma_tree_resized(struct mm *mm, struct vma *v)
{
	struct vma *next = vma_next(v);

	(void)mm;
	gap_update(v);
	if (next)
		gap_update(next);
}

/* The rightmost node of n's subtree whose gap is at least size; there is one. */
static struct vma *gap_rightmost(struct rbnode *n, uint64_t size)
{
	for (;;) {
		if (n->right && VMA(n->right)->max_gap >= size)
			n = n->right;
		else if (VMA(n)->gap >= size)
			return VMA(n);
		else
			n = n->left;
	}
}

/* The last node before v whose gap is at least size, or NULL. */
static struct vma *gap_before(const struct vma *v, uint64_t size)
{
	const struct rbnode *n = &v->node;

	if (n->left && VMA(n->left)->max_gap >= size)
		return gap_rightmost(n->left, size);
	for (; n->parent; n = n->parent) {
		struct rbnode *p = n->parent;

		if (n != p->right)
			continue;
		if (VMA(p)->gap >= size)
			return VMA(p);
		if (p->left && VMA(p->left)->max_gap >= size)
			return gap_rightmost(p->left, size);
	}
	return NULL;
}

/* The highest aligned place for size in [lo, hi), or 0. */
static uaddr_t gap_fit(uaddr_t lo, uaddr_t hi, uint64_t size, uint64_t align)
{
	uaddr_t at;

	if (lo >= hi || hi - lo < size)
		return 0;
	at = ROUND_DOWN(hi - size, align);
	return at >= lo ? at : 0;
}

uaddr_t vma_tree_gap(const struct mm *mm, uint64_t size, uint64_t align, uaddr_t low, uaddr_t high)
{
	struct vma *v;
	uaddr_t at;

	if (size == 0 || high <= low || high - low < size)
		return 0;
	/* The gap that high lies in or ends at: before the first VMA that ends behind it, or the last gap.
	 */
	v = vma_find(mm, high - 1);
	if (!v) {
		struct rbnode *last = rb_last(&mm->vmas);

		at = gap_fit(MAX(low, last ? VMA(last)->end : 0), high, size, align);
		if (at || !last)
			return at;
		v = VMA(last);
	}
	for (; v; v = gap_before(v, size)) {
		at = gap_fit(MAX(low, v->start - v->gap), MIN(high, v->start), size, align);
		if (at)
			return at;
		if (v->start <= low)
			break;
	}
	return 0;
}
