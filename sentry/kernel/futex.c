/* futex.c: futex(2) without priority inheritance: waiting, waking, requeueing, vectors. */
#include "sentry/kernel/futex_internal.h"

#include "platform/base/hash.h"
#include "platform/base/random.h"

int futex_table_create(struct futex_table **out)
{
	struct futex_table *f = kmalloc(sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->seed = random_u64();
	for (int i = 0; i < FUTEX_BUCKETS; i++) {
		mutex_init(&f->buckets[i].lock, RANK_FUTEX);
		list_init(&f->buckets[i].waiters);
	}
	*out = f;
	return 0;
}

struct futex_bucket *futex_bucket_of(struct task *t, const struct futex_key *key)
{
	struct futex_table *f = t->kernel->futexes;
	uint64_t h = hash_u64(hash_u64(f->seed ^ key->object) ^ key->offset);

	return &f->buckets[h % FUTEX_BUCKETS];
}

int futex_key_get(struct task *t, uaddr_t addr, bool is_private, struct futex_key *key)
{
	if (addr & 3)
		return -EINVAL;
	if (addr >= GUEST_VA_END)
		return -EFAULT;
	if (is_private) {
		*key = (struct futex_key){.object = t->mm->id, .offset = addr};
		return 0;
	}
	return mm_futex_key(t->mm, addr, false, key);
}

int futex_read(struct task *t, uaddr_t addr, uint32_t *v)
{
	return copy_from_user(t, v, addr, sizeof(*v));
}

int futex_cas(struct task *t, uaddr_t addr, uint32_t from, uint32_t to)
{
	uint32_t expected = from;
	int ret = task_platform(t)->cmpxchg_u32(t->ctx, addr, &expected, to);

	if (ret < 0)
		return ret;
	return expected == from ? 0 : -EAGAIN;
}

void futex_enqueue_locked(struct futex_bucket *b, struct futex_waiter *w)
{
	__atomic_store_n(&w->bucket, b, __ATOMIC_RELAXED);
	__atomic_store_n(&w->queued, 1, __ATOMIC_RELAXED);
	list_add_tail(&b->waiters, &w->node);
}

void futex_release_locked(struct futex_waiter *w, struct futex_wakes *wakes)
{
	struct task *t = task_get(w->task);

	list_del(&w->node);
	__atomic_store_n(&w->queued, 0, __ATOMIC_RELEASE); /* w isn't ours from here on */
	if (wakes->count == WAKE_BATCH) {
		task_wake(t);
		task_put(t);
		return;
	}
	wakes->tasks[wakes->count++] = t;
}

void futex_wakes_flush(struct futex_wakes *wakes)
{
	for (uint32_t i = 0; i < wakes->count; i++) {
		task_wake(wakes->tasks[i]);
		task_put(wakes->tasks[i]);
	}
	wakes->count = 0;
}

bool futex_unqueue(struct futex_waiter *w)
{
	struct futex_bucket *b;
	bool was = false;

	while (__atomic_load_n(&w->queued, __ATOMIC_ACQUIRE)) {
		b = __atomic_load_n(&w->bucket, __ATOMIC_ACQUIRE);
		mutex_lock(&b->lock);
		if (w->bucket == b) {
			was = w->queued;
			if (was)
				list_del(&w->node);
			w->queued = 0;
			mutex_unlock(&b->lock);
			break;
		}
		mutex_unlock(&b->lock); /* it was moved meanwhile */
	}
	return was;
}

void futex_move_locked(struct futex_waiter *w, struct futex_bucket *to, const struct futex_key *key)
{
	list_del(&w->node);
	w->key = *key;
	list_add_tail(&to->waiters, &w->node);
	__atomic_store_n(&w->bucket, to, __ATOMIC_RELEASE);
}

/* Waiters of ours are no secret to who wakes without us. */
static void announce(struct task *t, bool is_private, int delta)
{
	if (task_platform(t)->futex_waiters)
		task_platform(t)->futex_waiters(t->ctx, is_private, delta);
}

/* Those who wait without us. (Its stub may have woken some already; whoever comes by signal comes at once.) */
static int wake_others(struct task *t, uaddr_t addr, bool is_private, int64_t count)
{
	if (count <= 0 || !task_platform(t)->futex_wake)
		return 0;
	return task_platform(t)->futex_wake(t->ctx, addr, is_private, (uint32_t)count);
}

/* Compares and queues in one step: a wake-up that comes after the comparison finds us. */
static int queue_if_equal(struct task *t, const struct futex_wait_args *a, struct futex_waiter *w)
{
	struct futex_bucket *b;
	uint32_t v;
	int ret = futex_key_get(t, a->addr, a->is_private, &w->key);

	if (ret < 0)
		return ret;
	b = futex_bucket_of(t, &w->key);
	mutex_lock(&b->lock);
	ret = futex_read(t, a->addr, &v);
	if (ret == 0 && v != a->value)
		ret = -EAGAIN;
	if (ret == 0)
		futex_enqueue_locked(b, w);
	mutex_unlock(&b->lock);
	return ret;
}

static int64_t wait_again(struct task *t, struct restart_block *r)
{
	struct futex_wait_args a = {.addr = r->a[0],
				    .value = (uint32_t)r->a[1],
				    .bitset = (uint32_t)r->a[2],
				    .is_private = r->a[3] != 0,
				    .deadline = r->deadline};

	return futex_wait(t, &a, true);
}

int64_t futex_wait(struct task *t, const struct futex_wait_args *a, bool restartable)
{
	struct futex_waiter w = {.task = t, .bitset = a->bitset};
	bool queued;
	int ret;

	if (!a->bitset)
		return -EINVAL;
	announce(t, a->is_private, 1);
	ret = queue_if_equal(t, a, &w);
	if (ret < 0) {
		announce(t, a->is_private, -1);
		return ret;
	}
	while (ret == 0 && __atomic_load_n(&w.queued, __ATOMIC_ACQUIRE))
		ret = task_block(t, a->deadline);
	queued = futex_unqueue(&w);
	announce(t, a->is_private, -1);
	if (!queued)
		return 0;
	if (ret != -ERESTARTSYS || !a->deadline || !restartable)
		return ret;
	t->p->restart = (struct restart_block){
		.fn = wait_again, .deadline = a->deadline, .a = {a->addr, a->value, a->bitset, a->is_private}};
	return -ERESTART_RESTARTBLOCK;
}

static int wake_locked(struct futex_bucket *b, const struct futex_key *key, uint32_t count, uint32_t bitset,
		       struct futex_wakes *wakes)
{
	struct futex_waiter *w, *tmp;
	int woken = 0;

	list_for_each_safe (w, tmp, &b->waiters, node) {
		if ((uint32_t)woken >= count)
			break;
		if (!futex_key_equal(&w->key, key) || !(w->bitset & bitset))
			continue;
		if (w->pi || w->wants_pi)
			return -EINVAL; /* a plain wake-up of a PI futex */
		futex_release_locked(w, wakes);
		woken++;
	}
	return woken;
}

static int wake_key(struct task *t, const struct futex_key *key, uint32_t count, uint32_t bitset)
{
	struct futex_bucket *b = futex_bucket_of(t, key);
	struct futex_wakes wakes = {.count = 0};
	int ret;

	/* Nobody there is the usual case of an exit or a library's habit. Pairs with the waiter, which
	 * queues itself before it compares under the same lock: the caller changed the word before it came
	 * here. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__atomic_load_n(&b->waiters.next, __ATOMIC_ACQUIRE) == &b->waiters && !mutex_is_locked(&b->lock))
		return 0;
	mutex_lock(&b->lock);
	ret = wake_locked(b, key, count, bitset, &wakes);
	mutex_unlock(&b->lock);
	futex_wakes_flush(&wakes);
	return ret;
}

int futex_wake(struct task *t, uaddr_t addr, bool is_private, uint32_t count, uint32_t bitset)
{
	struct futex_key key;
	int ret;

	if (!bitset)
		return -EINVAL;
	ret = futex_key_get(t, addr, is_private, &key);
	if (ret == 0)
		ret = wake_key(t, &key, count, bitset);
	if (ret >= 0)
		ret += wake_others(t, addr, is_private, (int64_t)count - ret);
	return ret;
}

void futex_wake_exit(struct task *t, uaddr_t addr)
{
	if (futex_wake(t, addr, false, 1, LINUX_FUTEX_BITSET_MATCH_ANY) < 0)
		return; /* the address is the guest's own affair */
	if (futex_wake(t, addr, true, 1, LINUX_FUTEX_BITSET_MATCH_ANY) < 0)
		return;
}

void futex_wake_goodbye(struct task *t, uaddr_t addr)
{
	struct futex_key key;

	if (!task_platform(t)->futex_wake_last || !task_platform(t)->futex_wake_last(t->ctx, addr)) {
		futex_wake_exit(t, addr);
		return;
	}
	/* those who wait here; an address that has no key is the guest's own affair */
	if (futex_key_get(t, addr, false, &key) < 0 || wake_key(t, &key, 1, LINUX_FUTEX_BITSET_MATCH_ANY) < 0)
		return;
	if (futex_key_get(t, addr, true, &key) < 0 || wake_key(t, &key, 1, LINUX_FUTEX_BITSET_MATCH_ANY) < 0)
		return;
}

int futex_requeue(struct task *t, uaddr_t addr, bool is_private, uaddr_t addr2, bool is_private2, uint32_t wake,
		  uint32_t move, bool cmp, uint32_t value)
{
	struct futex_wakes wakes = {.count = 0};
	struct futex_waiter *w, *tmp;
	struct futex_bucket *b, *b2;
	struct futex_key key, key2;
	uint32_t v, done = 0;
	int ret = futex_key_get(t, addr, is_private, &key);

	if (ret == 0)
		ret = futex_key_get(t, addr2, is_private2, &key2);
	if (ret < 0)
		return ret;
	b = futex_bucket_of(t, &key);
	b2 = futex_bucket_of(t, &key2);
	mutex_lock_pair(&b->lock, &b2->lock);
	if (cmp) {
		ret = futex_read(t, addr, &v);
		if (ret == 0 && v != value)
			ret = -EAGAIN;
	}
	list_for_each_safe (w, tmp, &b->waiters, node) {
		if (ret < 0 || done >= (uint64_t)wake + move)
			break;
		if (!futex_key_equal(&w->key, &key))
			continue;
		if (w->pi || w->wants_pi) {
			ret = -EINVAL;
			break;
		}
		if (done++ < wake)
			futex_release_locked(w, &wakes);
		else if (!futex_key_equal(&key, &key2))
			futex_move_locked(w, b2, &key2);
	}
	mutex_unlock_pair(&b->lock, &b2->lock);
	futex_wakes_flush(&wakes);
	if (ret < 0)
		return ret;
	/* those can't be moved from here; who is woken for no reason looks again */
	done += (uint32_t)wake_others(t, addr, is_private, (int64_t)wake + move - done);
	return (int)done;
}

static int apply_op(uint32_t op, uint32_t arg, uint32_t old, uint32_t *new)
{
	switch (op) {
	case LINUX_FUTEX_OP_SET:
		*new = arg;
		return 0;
	case LINUX_FUTEX_OP_ADD:
		*new = old + arg;
		return 0;
	case LINUX_FUTEX_OP_OR:
		*new = old | arg;
		return 0;
	case LINUX_FUTEX_OP_ANDN:
		*new = old & ~arg;
		return 0;
	case LINUX_FUTEX_OP_XOR:
		*new = old ^ arg;
		return 0;
	default:
		return -ENOSYS;
	}
}

static int compare_op(uint32_t cmp, int32_t old, int32_t arg)
{
	switch (cmp) {
	case LINUX_FUTEX_OP_CMP_EQ:
		return old == arg;
	case LINUX_FUTEX_OP_CMP_NE:
		return old != arg;
	case LINUX_FUTEX_OP_CMP_LT:
		return old < arg;
	case LINUX_FUTEX_OP_CMP_GE:
		return old >= arg;
	case LINUX_FUTEX_OP_CMP_LE:
		return old <= arg;
	case LINUX_FUTEX_OP_CMP_GT:
		return old > arg;
	default:
		return -ENOSYS;
	}
}

/* Changes the word at addr as op says; 1 or 0: did the old value meet the comparison? */
static int change_word(struct task *t, uaddr_t addr, uint32_t op)
{
	uint32_t kind = (op >> 28) & 7, old, new;
	int32_t arg = (int32_t)(op << 8) >> 20, cmp_arg = (int32_t)(op << 20) >> 20;
	int ret;

	if (op >> 31) {
		if (arg < 0 || arg > 31)
			arg &= 31;
		arg = (int32_t)(1u << arg);
	}
	do {
		ret = futex_read(t, addr, &old);
		if (ret == 0)
			ret = apply_op(kind, (uint32_t)arg, old, &new);
		if (ret == 0)
			ret = futex_cas(t, addr, old, new);
	} while (ret == -EAGAIN && !task_interrupted(t));
	if (ret < 0)
		return ret == -EAGAIN ? -ERESTARTNOINTR : ret;
	return compare_op((op >> 24) & 15, (int32_t)old, cmp_arg);
}

int futex_wake_op(struct task *t, uaddr_t addr, uaddr_t addr2, bool is_private, uint32_t wake, uint32_t wake2,
		  uint32_t op)
{
	struct futex_wakes wakes = {.count = 0};
	struct futex_bucket *b, *b2;
	struct futex_key key, key2;
	int ret = futex_key_get(t, addr, is_private, &key), n, met;

	if (ret == 0)
		ret = futex_key_get(t, addr2, is_private, &key2);
	if (ret < 0)
		return ret;
	b = futex_bucket_of(t, &key);
	b2 = futex_bucket_of(t, &key2);
	mutex_lock_pair(&b->lock, &b2->lock);
	ret = met = change_word(t, addr2, op);
	if (ret >= 0)
		ret = wake_locked(b, &key, wake, LINUX_FUTEX_BITSET_MATCH_ANY, &wakes);
	if (ret >= 0 && met > 0) {
		n = wake_locked(b2, &key2, wake2, LINUX_FUTEX_BITSET_MATCH_ANY, &wakes);
		ret = n < 0 ? n : ret + n;
	}
	mutex_unlock_pair(&b->lock, &b2->lock);
	futex_wakes_flush(&wakes);
	if (ret >= 0 && (uint32_t)ret < wake)
		ret += wake_others(t, addr, is_private, wake);
	if (ret >= 0 && met > 0)
		ret += wake_others(t, addr2, is_private, wake2);
	return ret;
}

/* Takes all off; the index of one that was woken, or -1. */
static int unqueue_all(struct futex_waiter *w, uint32_t count)
{
	int woken = -1;

	for (uint32_t i = 0; i < count; i++)
		if (!futex_unqueue(&w[i]))
			woken = (int)i;
	return woken;
}

static bool all_queued(struct futex_waiter *w, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (!__atomic_load_n(&w[i].queued, __ATOMIC_ACQUIRE))
			return false;
	return true;
}

int64_t futex_waitv(struct task *t, const struct futex_wait_args *v, uint32_t count, uint64_t deadline)
{
	struct futex_waiter *w;
	uint32_t queued = 0;
	int ret = 0, woken;

	if (count == 0 || count > LINUX_FUTEX_WAITV_MAX)
		return -EINVAL;
	w = kmalloc(count * sizeof(*w));
	if (!w)
		return -ENOMEM;
	announce(t, true, 1);
	announce(t, false, 1);
	for (; ret == 0 && queued < count; queued++) {
		w[queued] = (struct futex_waiter){.task = t, .bitset = LINUX_FUTEX_BITSET_MATCH_ANY};
		ret = queue_if_equal(t, &v[queued], &w[queued]);
		if (ret < 0)
			break;
	}
	while (ret == 0 && all_queued(w, count))
		ret = task_block(t, deadline);
	woken = unqueue_all(w, queued);
	announce(t, true, -1);
	announce(t, false, -1);
	kfree(w);
	return woken >= 0 ? woken : ret;
}
