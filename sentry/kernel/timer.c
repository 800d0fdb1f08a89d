/* timer.c: the queue of everything that has a deadline, and the one thread that serves it. It sleeps on a
 * word until the earliest deadline, for ever when there is none: an idle sandbox has no wake-ups. It is
 * started with the first timer. Lock: the queue's, rank TIMER; not held while a timer's function runs. */
#include "sentry/kernel/internal.h"

#include "platform/base/thread.h"

struct timer_queue {
	struct mutex lock;
	struct rbtree tree;    /* [lock] by expires */
	struct timer *running; /* [lock] */
	uint32_t done;	       /* [a] counts functions that have returned: who waits for one sleeps on it */
	uint32_t word;	       /* [a] changes when the thread has to look again */
	uint64_t sleeps_until; /* [lock] 0: for ever */
	bool started;	       /* [lock] */
};

int timer_queue_create(struct kernel *k, struct timer_queue **out)
{
	struct timer_queue *q = kmalloc(sizeof(*q));

	(void)k;
	if (!q)
		return -ENOMEM;
	mutex_init(&q->lock, RANK_TIMER);
	*out = q;
	return 0;
}

static void serve_due_locked(struct timer_queue *q)
{
	struct rbnode *n;

	while ((n = rb_first(&q->tree))) {
		struct timer *timer = rb_entry(n, struct timer, node);

		if (timer->expires > kernel_now())
			return;
		rb_remove(&q->tree, n);
		timer->queued = false;
		q->running = timer;
		mutex_unlock(&q->lock);
		timer->fn(timer);
		mutex_lock(&q->lock);
		q->running = NULL;
		__atomic_add_fetch(&q->done, 1, __ATOMIC_RELEASE);
		futex_wake_word(&q->done, INT32_MAX);
	}
}

static void timer_main(void *arg)
{
	struct timer_queue *q = arg;

	for (;;) {
		struct rbnode *n;
		uint32_t word;

		mutex_lock(&q->lock);
		serve_due_locked(q);
		n = rb_first(&q->tree);
		q->sleeps_until = n ? rb_entry(n, struct timer, node)->expires : 0;
		word = __atomic_load_n(&q->word, __ATOMIC_ACQUIRE);
		mutex_unlock(&q->lock);
		(void)futex_wait_word(&q->word, word, q->sleeps_until);
	}
}

void timer_init(struct timer *timer, struct timer_queue *q, void (*fn)(struct timer *timer))
{
	timer->queue = q;
	timer->fn = fn;
	timer->queued = false;
}

static void insert_locked(struct timer_queue *q, struct timer *timer)
{
	struct rbnode **link = &q->tree.root, *parent = NULL;

	while (*link) {
		parent = *link;
		link = timer->expires < rb_entry(parent, struct timer, node)->expires ? &parent->left
										      : &parent->right;
	}
	rb_insert(&q->tree, &timer->node, parent, link);
	timer->queued = true;
}

void timer_set(struct timer *timer, uint64_t expires)
{
	struct timer_queue *q = timer->queue;
	bool wake = false, start = false;

	mutex_lock(&q->lock);
	if (timer->queued)
		rb_remove(&q->tree, &timer->node);
	timer->expires = expires ? expires : 1;
	insert_locked(q, timer);
	if (!q->started)
		start = q->started = true;
	else if (q->sleeps_until == 0 || timer->expires < q->sleeps_until)
		wake = true;
	if (wake)
		__atomic_add_fetch(&q->word, 1, __ATOMIC_RELEASE);
	mutex_unlock(&q->lock);
	if (wake)
		futex_wake_word(&q->word, 1);
	if (start && thread_start(timer_main, q, "timers") < 0) {
		mutex_lock(&q->lock);
		q->started = false; /* the next one tries again */
		mutex_unlock(&q->lock);
	}
}

bool timer_cancel(struct timer *timer)
{
	struct timer_queue *q = timer->queue;
	bool was;

	if (!q)
		return false;
	mutex_lock(&q->lock);
	was = timer->queued;
	if (was)
		rb_remove(&q->tree, &timer->node);
	timer->queued = false;
	mutex_unlock(&q->lock);
	return was;
}

void timer_cancel_sync(struct timer *timer)
{
	struct timer_queue *q = timer->queue;

	if (!q)
		return;
	for (;;) {
		uint32_t done;
		bool running;

		mutex_lock(&q->lock);
		if (timer->queued)
			rb_remove(&q->tree, &timer->node);
		timer->queued = false;
		running = q->running == timer;
		done = __atomic_load_n(&q->done, __ATOMIC_ACQUIRE);
		mutex_unlock(&q->lock);
		if (!running)
			return;
		(void)futex_wait_word(&q->done, done, 0);
	}
}
