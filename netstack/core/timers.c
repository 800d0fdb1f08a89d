/* timers.c: timers in a tree by deadline. */
#include "netstack/core/timers.h"

#include "platform/base/attr.h"

void timers_init(struct timers *ts)
{
	mutex_init(&ts->lock, RANK_NET_TIMERS);
	ts->tree.root = NULL;
	ts->told = TIMER_NEVER;
	ts->kick = NULL;
}

void net_timer_init(struct net_timer *t, void (*run)(struct net_timer *), bool (*hold)(struct net_timer *))
{
	t->queued_for = t->deadline = TIMER_NEVER;
	t->run = run;
	t->hold = hold;
}

static void queue_locked(struct timers *ts, struct net_timer *t, uint64_t deadline)
{
	struct rbnode **link = &ts->tree.root, *parent = NULL;

	while (*link) {
		parent = *link;
		link = deadline < rb_entry(parent, struct net_timer, node)->queued_for ? &parent->left
										       : &parent->right;
	}
	__atomic_store_n(&t->queued_for, deadline, __ATOMIC_SEQ_CST);
	rb_insert(&ts->tree, &t->node, parent, link);
}

static void unqueue_locked(struct timers *ts, struct net_timer *t)
{
	if (t->queued_for == TIMER_NEVER)
		return;
	rb_remove(&ts->tree, &t->node);
	__atomic_store_n(&t->queued_for, TIMER_NEVER, __ATOMIC_SEQ_CST);
}

void net_timer_set(struct timers *ts, struct net_timer *t, uint64_t deadline)
{
	bool kick = false;

	__atomic_store_n(&t->deadline, deadline, __ATOMIC_SEQ_CST);
	if (deadline >= __atomic_load_n(&t->queued_for, __ATOMIC_SEQ_CST))
		return;
	mutex_lock(&ts->lock);
	if (deadline < t->queued_for) {
		unqueue_locked(ts, t);
		queue_locked(ts, t, deadline);
		if (deadline < ts->told) {
			ts->told = deadline;
			kick = true;
		}
	}
	mutex_unlock(&ts->lock);
	if (kick && ts->kick)
		ts->kick(ts->kick_arg);
}

void net_timer_cancel(struct timers *ts, struct net_timer *t)
{
	__atomic_store_n(&t->deadline, TIMER_NEVER, __ATOMIC_RELEASE);
	mutex_lock(&ts->lock);
	unqueue_locked(ts, t);
	mutex_unlock(&ts->lock);
}

uint64_t timers_run(struct timers *ts, uint64_t now)
{
	struct net_timer *t;
	struct rbnode *n;
	uint64_t deadline;

	for (;;) {
		mutex_lock(&ts->lock);
		n = rb_first(&ts->tree);
		t = n ? rb_entry(n, struct net_timer, node) : NULL;
		if (!t || t->queued_for > now) {
			ts->told = t ? t->queued_for : TIMER_NEVER;
			deadline = ts->told;
			mutex_unlock(&ts->lock);
			return deadline;
		}
		unqueue_locked(ts, t);
		deadline = __atomic_load_n(&t->deadline, __ATOMIC_SEQ_CST);
		if (deadline > now) {
			if (deadline != TIMER_NEVER)
				queue_locked(ts, t, deadline);
			mutex_unlock(&ts->lock);
			continue;
		}
		__atomic_store_n(&t->deadline, TIMER_NEVER, __ATOMIC_RELEASE);
		if (t->hold && !t->hold(t))
			t = NULL;
		mutex_unlock(&ts->lock);
		if (t)
			t->run(t);
	}
}
