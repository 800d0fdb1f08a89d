/* futex_pi.c: locks whose word holds the owner's thread id (FUTEX_LOCK_PI and friends). Ownership is handed
 * over in the order of arrival. Differs from Linux: priorities are books only, so none is inherited. */
#include "sentry/kernel/futex_internal.h"

static uint32_t own_tid(struct task *t)
{
	return (uint32_t)pid_nr(t->pid);
}

static struct futex_waiter *first_pi_locked(struct futex_bucket *b, const struct futex_key *key)
{
	struct futex_waiter *w;

	list_for_each (w, &b->waiters, node)
		if (w->pi && futex_key_equal(&w->key, key))
			return w;
	return NULL;
}

static uint32_t waiters_bit_locked(struct futex_bucket *b, const struct futex_key *key)
{
	return first_pi_locked(b, key) ? LINUX_FUTEX_WAITERS : 0;
}

/* One look at the word for task who: 0: it owns the lock now, -EINPROGRESS: it has to wait, or an error.
 * The bucket is locked. died: the owner is known to be gone. */
static int try_take_locked(struct task *t, uaddr_t addr, struct futex_bucket *b, const struct futex_key *key,
			   struct task *who, bool died)
{
	uint32_t v, tid = own_tid(who);
	struct task *owner;
	int ret;

	do {
		ret = futex_read(t, addr, &v);
		if (ret < 0)
			return ret;
		if ((v & LINUX_FUTEX_TID_MASK) == tid)
			return -EDEADLK;
		if ((v & LINUX_FUTEX_TID_MASK) == 0 || died) {
			ret = futex_cas(t, addr, v,
					tid | (v & LINUX_FUTEX_OWNER_DIED) | waiters_bit_locked(b, key) |
						(died ? LINUX_FUTEX_OWNER_DIED : 0));
			continue;
		}
		owner = task_find(t, (int32_t)(v & LINUX_FUTEX_TID_MASK));
		if (!owner || owner->p->exiting) {
			if (owner)
				task_put(owner);
			return -ESRCH;
		}
		task_put(owner);
		ret = v & LINUX_FUTEX_WAITERS ? 0 : futex_cas(t, addr, v, v | LINUX_FUTEX_WAITERS);
		if (ret == 0)
			return -EINPROGRESS;
	} while (ret == -EAGAIN && !task_interrupted(t));
	return ret == -EAGAIN ? -ERESTARTNOINTR : ret;
}

/* Waits until the lock is ours. */
static int wait_granted(struct task *t, struct futex_waiter *w, uint64_t deadline)
{
	int ret = 0;

	while (ret == 0 && __atomic_load_n(&w->queued, __ATOMIC_ACQUIRE))
		ret = task_block(t, deadline);
	if (futex_unqueue(w))
		return ret == -ERESTARTSYS ? -ERESTARTNOINTR : ret;
	return w->granted ? 0 : -EOWNERDEAD;
}

int futex_lock_pi(struct task *t, uaddr_t addr, bool is_private, uint64_t deadline, bool try)
{
	struct futex_table *table = t->kernel->futexes;
	struct futex_bucket *b;
	struct futex_key key;
	bool died = false;
	int ret = futex_key_get(t, addr, is_private, &key);

	if (ret < 0)
		return ret;
	b = futex_bucket_of(t, &key);
	do {
		struct futex_waiter w = {
			.task = t, .bitset = LINUX_FUTEX_BITSET_MATCH_ANY, .key = key, .pi = true};

		__atomic_add_fetch(&table->pi_waiters, 1, __ATOMIC_SEQ_CST);
		mutex_lock(&b->lock);
		ret = try_take_locked(t, addr, b, &key, t, died);
		if (ret == -EINPROGRESS && try)
			ret = -EAGAIN;
		if (ret == -EINPROGRESS)
			futex_enqueue_locked(b, &w);
		mutex_unlock(&b->lock);
		if (ret == -EINPROGRESS)
			ret = wait_granted(t, &w, deadline);
		__atomic_sub_fetch(&table->pi_waiters, 1, __ATOMIC_SEQ_CST);
		died = ret == -EOWNERDEAD;
	} while (died);
	return ret;
}

int futex_unlock_pi(struct task *t, uaddr_t addr, bool is_private)
{
	struct futex_wakes wakes = {.count = 0};
	struct futex_waiter *w;
	struct futex_bucket *b;
	struct futex_key key;
	uint32_t v, next = 0;
	int ret = futex_key_get(t, addr, is_private, &key);

	if (ret < 0)
		return ret;
	b = futex_bucket_of(t, &key);
	mutex_lock(&b->lock);
	do {
		ret = futex_read(t, addr, &v);
		if (ret < 0)
			break;
		if ((v & LINUX_FUTEX_TID_MASK) != own_tid(t)) {
			ret = -EPERM;
			break;
		}
		w = first_pi_locked(b, &key);
		if (w) {
			list_del(&w->node); /* to see whether others stay */
			next = own_tid(w->task) | waiters_bit_locked(b, &key);
			list_add(&b->waiters, &w->node);
		}
		ret = futex_cas(t, addr, v, w ? next : 0);
		if (ret == 0 && w) {
			w->granted = true;
			futex_release_locked(w, &wakes);
		}
	} while (ret == -EAGAIN && !task_interrupted(t));
	mutex_unlock(&b->lock);
	futex_wakes_flush(&wakes);
	return ret == -EAGAIN ? -ERESTARTNOINTR : ret;
}

void futex_pi_left(struct task *t, uaddr_t addr)
{
	struct futex_wakes wakes = {.count = 0};
	struct futex_waiter *w;
	struct futex_bucket *b;
	struct futex_key key;

	for (int is_private = 0; is_private < 2; is_private++) {
		if (futex_key_get(t, addr, is_private, &key) < 0)
			continue;
		b = futex_bucket_of(t, &key);
		mutex_lock(&b->lock);
		w = first_pi_locked(b, &key);
		if (w)
			futex_release_locked(w, &wakes);
		mutex_unlock(&b->lock);
		futex_wakes_flush(&wakes);
	}
}

/* A waiter may wait for a lock that t takes with it: it looks again by itself. */
void futex_owner_dies(struct task *t)
{
	struct futex_table *table = t->kernel->futexes;
	struct futex_wakes wakes = {.count = 0};
	struct futex_waiter *w, *tmp;
	uint32_t v;

	if (__atomic_load_n(&table->pi_waiters, __ATOMIC_SEQ_CST) == 0)
		return;
	for (int i = 0; i < FUTEX_BUCKETS; i++) {
		struct futex_bucket *b = &table->buckets[i];

		if (__atomic_load_n(&b->waiters.next, __ATOMIC_ACQUIRE) == &b->waiters)
			continue;
		mutex_lock(&b->lock);
		list_for_each_safe (w, tmp, &b->waiters, node) {
			/* private futexes: the offset is the address */
			if (!w->pi || w->key.object != t->mm->id || first_pi_locked(b, &w->key) != w)
				continue;
			if (futex_read(t, w->key.offset, &v) < 0 || (v & LINUX_FUTEX_TID_MASK) != own_tid(t))
				continue;
			futex_release_locked(w, &wakes);
		}
		mutex_unlock(&b->lock);
		futex_wakes_flush(&wakes);
	}
}

int64_t futex_wait_requeue_pi(struct task *t, const struct futex_wait_args *a, uaddr_t addr2)
{
	struct futex_waiter w = {.task = t, .bitset = a->bitset, .wants_pi = true};
	struct futex_table *table = t->kernel->futexes;
	struct futex_bucket *b;
	uint32_t v;
	int ret;

	if (!a->bitset || a->addr == addr2)
		return -EINVAL;
	ret = futex_key_get(t, a->addr, a->is_private, &w.key);
	if (ret == 0)
		ret = futex_key_get(t, addr2, a->is_private, &w.pi_key);
	if (ret < 0)
		return ret;
	__atomic_add_fetch(&table->pi_waiters, 1, __ATOMIC_SEQ_CST);
	b = futex_bucket_of(t, &w.key);
	mutex_lock(&b->lock);
	ret = futex_read(t, a->addr, &v);
	if (ret == 0 && v != a->value)
		ret = -EAGAIN;
	if (ret == 0)
		futex_enqueue_locked(b, &w);
	mutex_unlock(&b->lock);
	if (ret == 0)
		ret = wait_granted(t, &w, a->deadline);
	__atomic_sub_fetch(&table->pi_waiters, 1, __ATOMIC_SEQ_CST);
	if (ret == -EOWNERDEAD) /* requeued, and the owner of the lock died */
		return futex_lock_pi(t, addr2, a->is_private, a->deadline, false);
	return ret == -ERESTARTNOINTR && !w.pi ? -EINTR : ret;
}

int futex_cmp_requeue_pi(struct task *t, uaddr_t addr, bool is_private, uaddr_t addr2, uint32_t move,
			 uint32_t value)
{
	struct futex_wakes wakes = {.count = 0};
	struct futex_waiter *w, *tmp;
	struct futex_bucket *b, *b2;
	struct futex_key key, key2;
	uint32_t v, done = 0;
	int ret = futex_key_get(t, addr, is_private, &key);

	if (ret == 0)
		ret = futex_key_get(t, addr2, is_private, &key2);
	if (ret == 0 && futex_key_equal(&key, &key2))
		ret = -EINVAL;
	if (ret < 0)
		return ret;
	b = futex_bucket_of(t, &key);
	b2 = futex_bucket_of(t, &key2);
	mutex_lock_pair(&b->lock, &b2->lock);
	ret = futex_read(t, addr, &v);
	if (ret == 0 && v != value)
		ret = -EAGAIN;
	list_for_each_safe (w, tmp, &b->waiters, node) {
		if (ret < 0 || done > move)
			break;
		if (!futex_key_equal(&w->key, &key))
			continue;
		if (!w->wants_pi || !futex_key_equal(&w->pi_key, &key2)) {
			ret = -EINVAL;
			break;
		}
		ret = try_take_locked(t, addr2, b2, &key2, w->task, false);
		if (ret == -EDEADLK)
			ret = -EINVAL;
		if (ret == 0) {
			w->granted = true;
			futex_release_locked(w, &wakes);
		} else if (ret == -EINPROGRESS) {
			w->pi = true;
			futex_move_locked(w, b2, &key2);
			ret = 0;
		} else {
			break;
		}
		done++;
	}
	mutex_unlock_pair(&b->lock, &b2->lock);
	futex_wakes_flush(&wakes);
	return ret < 0 && !done ? ret : (int)done;
}
