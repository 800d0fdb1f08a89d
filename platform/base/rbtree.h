/* rbtree.h: intrusive red-black tree (CLRS chapter 13). The caller walks to find the place of a new node;
 * the tree only balances. No locks. */
#pragma once

#include "platform/base/attr.h"

struct rbnode {
	struct rbnode *parent, *left, *right;
	bool red;
};

struct rbtree {
	struct rbnode *root;
};

#define rb_entry(ptr, type, member) container_of(ptr, type, member)

/* Links n below parent (NULL: the root) at *link, which is &tree->root, &parent->left or &parent->right,
 * and rebalances. */
void rb_insert(struct rbtree *t, struct rbnode *n, struct rbnode *parent, struct rbnode **link);
void rb_remove(struct rbtree *t, struct rbnode *n);
struct rbnode *rb_first(const struct rbtree *t);
struct rbnode *rb_last(const struct rbtree *t);
struct rbnode *rb_next(const struct rbnode *n);
struct rbnode *rb_prev(const struct rbnode *n);
