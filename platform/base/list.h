/* list.h: intrusive doubly linked list; the head is a node too. No locks. */
#pragma once

#include "platform/base/attr.h"

struct list {
	struct list *next, *prev;
};

#define LIST_INIT(name)                                                                                        \
	{                                                                                                      \
		&(name), &(name)                                                                               \
	}

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_insert_(struct list *n, struct list *prev, struct list *next)
{
	n->prev = prev;
	n->next = next;
	prev->next = n;
	next->prev = n;
}

/* behind the head: first */
static inline void list_add(struct list *head, struct list *n)
{
	list_insert_(n, head, head->next);
}

/* before the head: last */
static inline void list_add_tail(struct list *head, struct list *n)
{
	list_insert_(n, head->prev, head);
}

/* leaves n pointing to itself, so that a second del and list_empty(n) are safe */
static inline void list_del(struct list *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	n->next = n->prev = n;
}

/* all of src to the tail of dst; src becomes empty */
static inline void list_splice_tail(struct list *dst, struct list *src)
{
	if (list_empty(src))
		return;
	src->next->prev = dst->prev;
	dst->prev->next = src->next;
	src->prev->next = dst;
	dst->prev = src->prev;
	list_init(src);
}

#define list_entry(ptr, type, member)  container_of(ptr, type, member)
#define list_first(head, type, member) (list_empty(head) ? NULL : list_entry((head)->next, type, member))
#define list_last(head, type, member)  (list_empty(head) ? NULL : list_entry((head)->prev, type, member))

#define list_for_each(pos, head, member)                                                                       \
	for (pos = list_entry((head)->next, __typeof__(*pos), member); &pos->member != (head);                 \
	     pos = list_entry(pos->member.next, __typeof__(*pos), member))

/* pos may be removed (and freed) in the body */
#define list_for_each_safe(pos, tmp, head, member)                                                             \
	for (pos = list_entry((head)->next, __typeof__(*pos), member),                                         \
	    tmp = list_entry(pos->member.next, __typeof__(*pos), member);                                      \
	     &pos->member != (head); pos = tmp, tmp = list_entry(tmp->member.next, __typeof__(*tmp), member))
