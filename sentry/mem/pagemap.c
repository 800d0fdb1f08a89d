/* pagemap.c: the sparse array of pages of a memfile. See internal.h. */
#include "platform/abi/errno.h"
#include "sentry/mem/internal.h"

struct pagemap_node {
	void *slots[PAGEMAP_SLOTS];
	uint32_t used;
};

/* Does index fit a tree of this height? */
static bool pagemap_fits(uint32_t height, uint64_t index)
{
	return height * PAGEMAP_BITS >= 64 || (index >> (height * PAGEMAP_BITS)) == 0;
}

static uint32_t pagemap_slot(uint64_t index, uint32_t level)
{
	return (uint32_t)(index >> (level * PAGEMAP_BITS)) & (PAGEMAP_SLOTS - 1);
}

void *pagemap_find(const struct pagemap *pm, uint64_t index)
{
	void *p = pm->root;

	if (!pagemap_fits(pm->height, index))
		return NULL;
	for (uint32_t level = pm->height; p && level-- > 0;)
		p = ((struct pagemap_node *)p)->slots[pagemap_slot(index, level)];
	return p;
}

/* Makes the tree tall enough for index. */
static int pagemap_grow(struct pagemap *pm, uint64_t index)
{
	while (!pagemap_fits(pm->height, index)) {
		if (pm->root) {
			struct pagemap_node *n = kmalloc(sizeof(*n));

			if (!n)
				return -ENOMEM;
			n->slots[0] = pm->root;
			n->used = 1;
			pm->root = n;
		}
		pm->height++;
	}
	return 0;
}

/* Frees the nodes on the way to index that hold nothing. */
static void pagemap_prune(struct pagemap *pm, uint64_t index)
{
	struct pagemap_node *path[PAGEMAP_LEVELS + 2];
	uint32_t depth = 0, level = pm->height;
	void *p = pm->root;

	while (p && level > 0) {
		path[depth++] = p;
		p = ((struct pagemap_node *)p)->slots[pagemap_slot(index, --level)];
	}
	while (depth > 0 && path[depth - 1]->used == 0) {
		depth--;
		if (depth == 0) {
			pm->root = NULL;
			pm->height = 0;
		} else {
			uint32_t slot = pagemap_slot(index, pm->height - depth);

			path[depth - 1]->slots[slot] = NULL;
			path[depth - 1]->used--;
		}
		kfree(path[depth]);
	}
}

int pagemap_insert(struct pagemap *pm, uint64_t index, void *page)
{
	int ret = pagemap_grow(pm, index);
	void **slot = &pm->root;
	struct pagemap_node *n = NULL;

	if (ret < 0)
		return ret;
	for (uint32_t level = pm->height; level-- > 0;) {
		if (!*slot) {
			struct pagemap_node *fresh = kmalloc(sizeof(*fresh));

			if (!fresh) {
				pagemap_prune(pm, index);
				return -ENOMEM;
			}
			*slot = fresh;
			if (n)
				n->used++;
		}
		n = *slot;
		slot = &n->slots[pagemap_slot(index, level)];
	}
	*slot = page;
	if (n)
		n->used++;
	pm->count++;
	return 0;
}

void *pagemap_remove(struct pagemap *pm, uint64_t index)
{
	void **slot = &pm->root, *page;
	struct pagemap_node *n = NULL;

	if (!pagemap_fits(pm->height, index))
		return NULL;
	for (uint32_t level = pm->height; level-- > 0;) {
		if (!*slot)
			return NULL;
		n = *slot;
		slot = &n->slots[pagemap_slot(index, level)];
	}
	page = *slot;
	if (!page)
		return NULL;
	*slot = NULL;
	pm->count--;
	if (n) {
		n->used--;
		pagemap_prune(pm, index);
	}
	return page;
}

bool pagemap_next(const struct pagemap *pm, uint64_t from, uint64_t *index)
{
	while (pagemap_fits(pm->height, from) && pm->root) {
		void *p = pm->root;
		uint32_t level = pm->height;
		uint64_t span;

		while (level > 0) {
			void *next = ((struct pagemap_node *)p)->slots[pagemap_slot(from, level - 1)];

			if (!next)
				break;
			p = next;
			level--;
		}
		if (level == 0) {
			*index = from;
			return true;
		}
		/* Nothing below this slot: on to the next one of the same level. */
		span = 1UL << ((level - 1) * PAGEMAP_BITS);
		from = ROUND_DOWN(from, span) + span;
	}
	return false;
}

uint64_t pagemap_next_hole(const struct pagemap *pm, uint64_t from)
{
	while (pagemap_find(pm, from))
		from++;
	return from;
}
