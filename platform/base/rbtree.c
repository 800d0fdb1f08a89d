/* rbtree.c: see rbtree.h. Missing children are NULL and black, so removal carries the parent along. */
#include "platform/base/rbtree.h"

static bool is_red(const struct rbnode *n)
{
	return n && n->red;
}

/* Puts child in the place of n below n's parent. */
static void replace_child(struct rbtree *t, struct rbnode *n, struct rbnode *child)
{
	struct rbnode *p = n->parent;

	if (!p)
		t->root = child;
	else if (p->left == n)
		p->left = child;
	else
		p->right = child;
	if (child)
		child->parent = p;
}

static void rotate_left(struct rbtree *t, struct rbnode *x)
{
	struct rbnode *y = x->right;

	x->right = y->left;
	if (y->left)
		y->left->parent = x;
	replace_child(t, x, y);
	y->left = x;
	x->parent = y;
}

static void rotate_right(struct rbtree *t, struct rbnode *x)
{
	struct rbnode *y = x->left;

	x->left = y->right;
	if (y->right)
		y->right->parent = x;
	replace_child(t, x, y);
	y->right = x;
	x->parent = y;
}

void rb_insert(struct rbtree *t, struct rbnode *n, struct rbnode *parent, struct rbnode **link)
{
	*n = (struct rbnode){.parent = parent, .red = true};
	*link = n;
	while (is_red(n->parent)) {
		struct rbnode *p = n->parent, *g = p->parent;
		bool left = p == g->left;
		struct rbnode *uncle = left ? g->right : g->left;

		if (is_red(uncle)) {
			p->red = uncle->red = false;
			g->red = true;
			n = g;
			continue;
		}
		if (left && n == p->right) {
			rotate_left(t, p);
			p = n;
		} else if (!left && n == p->left) {
			rotate_right(t, p);
			p = n;
		}
		p->red = false;
		g->red = true;
		if (left)
			rotate_right(t, g);
		else
			rotate_left(t, g);
		break;
	}
	t->root->red = false;
}

/* n (maybe NULL) below parent stands one black short. */
static void remove_fixup(struct rbtree *t, struct rbnode *n, struct rbnode *parent)
{
	while (n != t->root && !is_red(n)) {
		bool left = parent->left == n;
		struct rbnode *s = left ? parent->right : parent->left;

		if (is_red(s)) {
			s->red = false;
			parent->red = true;
			if (left)
				rotate_left(t, parent);
			else
				rotate_right(t, parent);
			s = left ? parent->right : parent->left;
		}
		if (!is_red(s->left) && !is_red(s->right)) {
			s->red = true;
			n = parent;
			parent = n->parent;
			continue;
		}
		if (left && !is_red(s->right)) {
			s->left->red = false;
			s->red = true;
			rotate_right(t, s);
			s = parent->right;
		} else if (!left && !is_red(s->left)) {
			s->right->red = false;
			s->red = true;
			rotate_left(t, s);
			s = parent->left;
		}
		s->red = parent->red;
		parent->red = false;
		if (left) {
			s->right->red = false;
			rotate_left(t, parent);
		} else {
			s->left->red = false;
			rotate_right(t, parent);
		}
		n = t->root;
		break;
	}
	if (n)
		n->red = false;
}

void rb_remove(struct rbtree *t, struct rbnode *n)
{
	struct rbnode *child, *parent;
	bool removed_red;

	if (n->left && n->right) {
		struct rbnode *s = n->right; /* successor: takes n's place and colour */

		while (s->left)
			s = s->left;
		removed_red = s->red;
		child = s->right;
		parent = s->parent == n ? s : s->parent;
		replace_child(t, s, child);
		s->left = n->left;
		s->right = n->right;
		s->red = n->red;
		if (s->left)
			s->left->parent = s;
		if (s->right)
			s->right->parent = s;
		replace_child(t, n, s);
	} else {
		removed_red = n->red;
		child = n->left ? n->left : n->right;
		parent = n->parent;
		replace_child(t, n, child);
	}
	if (!removed_red && t->root)
		remove_fixup(t, child, parent);
}

struct rbnode *rb_first(const struct rbtree *t)
{
	struct rbnode *n = t->root;

	while (n && n->left)
		n = n->left;
	return n;
}

struct rbnode *rb_last(const struct rbtree *t)
{
	struct rbnode *n = t->root;

	while (n && n->right)
		n = n->right;
	return n;
}

struct rbnode *rb_next(const struct rbnode *n)
{
	if (n->right) {
		n = n->right;
		while (n->left)
			n = n->left;
		return (struct rbnode *)n;
	}
	while (n->parent && n->parent->right == n)
		n = n->parent;
	return n->parent;
}

struct rbnode *rb_prev(const struct rbnode *n)
{
	if (n->left) {
		n = n->left;
		while (n->right)
			n = n->right;
		return (struct rbnode *)n;
	}
	while (n->parent && n->parent->left == n)
		n = n->parent;
	return n->parent;
}
