/* waitq.c: see waitq.h. */
#include "platform/base/waitq.h"

void waitq_init(struct waitq *q)
{
	mutex_init(&q->lock, RANK_WAITQ);
	list_init(&q->waiters);
}

void waitq_add(struct waitq *q, struct waiter *w)
{
	mutex_lock(&q->lock);
	if (w->exclusive)
		list_add_tail(&q->waiters, &w->node);
	else
		list_add(&q->waiters, &w->node);
	mutex_unlock(&q->lock);
}

void waitq_del(struct waitq *q, struct waiter *w)
{
	mutex_lock(&q->lock);
	list_del(&w->node);
	mutex_unlock(&q->lock);
}

void waitq_wake(struct waitq *q, uint32_t events)
{
	struct waiter *w, *tmp;

	/* Pairs with the waiter's "register, then look again": the caller changed the state before. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (waitq_empty(q))
		return;
	mutex_lock(&q->lock);
	list_for_each_safe (w, tmp, &q->waiters, node) {
		if (!((w->mask | EV_ERR | EV_HUP) & events))
			continue;
		if (w->func(w, events) && w->exclusive)
			break;
	}
	mutex_unlock(&q->lock);
}
