/* sysv_sem.c: System V semaphores (semop(2)). A call's operations happen all at once or not at all. A caller
 * who can't go on sleeps on the set's queue and tries again when anything in the set changed.
 *
 * Undo: per process and set one array of adjustments, linked from both; the process's list has its own lock
 * (rank IPC_UNDO, inside IPC). */
#include "sentry/kernel/internal.h"
#include "sentry/kernel/settings.h"
#include "sentry/kernel/sysv_sem.h"

static void set_destroy(struct ipc_object *o)
{
	kfree(sem_set_of(o));
}

static void set_show(struct ipc_object *o, struct user_ns *ns, struct strbuf *out)
{
	struct sem_set *set = sem_set_of(o);

	strbuf_printf(out, "%10d %10d  %4o %10u ", o->key, o->id, o->mode, set->count);
	ipc_show_owner(o, ns, out);
	strbuf_printf(out, "%10ld %10ld\n", set->otime, set->ctime);
}

static int set_create(struct task *t, struct ipc_state *s, int32_t key, int count, int flags, int64_t *id)
{
	struct sem_set *set;
	int ret;

	if (count == 0)
		return -EINVAL;
	if (s->tables[IPC_SEM].used >= setting(t->kernel, SET_SEMMNI) ||
	    s->sem_count + (uint64_t)count > MIN(setting(t->kernel, SET_SEMMNS), SEM_TOTAL_MAX))
		return -ENOSPC;
	set = kmalloc(sizeof(*set) + (size_t)count * sizeof(set->sems[0]));
	if (!set)
		return -ENOMEM;
	refs_init(&set->o.refs);
	set->o.destroy = set_destroy;
	set->o.show = set_show;
	waitq_init(&set->o.wq);
	list_init(&set->undos);
	set->count = (uint32_t)count;
	set->ctime = ipc_now();
	ret = ipc_add_locked(t, s, &set->o, IPC_SEM, key, flags);
	if (ret < 0) {
		kfree(set);
		return ret;
	}
	s->sem_count += (uint64_t)count;
	*id = set->o.id;
	return 0;
}

int64_t sem_get(struct task *t, int32_t key, int count, int flags)
{
	struct ipc_object *o;
	struct ipc_state *s;
	int64_t id = 0;
	int ret;

	if (count < 0 || (uint64_t)count > setting(t->kernel, SET_SEMMSL))
		return -EINVAL;
	ret = ipc_state_of(t, &s);
	if (ret < 0)
		return ret;
	mutex_lock(&s->lock);
	ret = ipc_find_key_locked(t, s, IPC_SEM, key, flags, &o);
	if (ret == 1) {
		ret = set_create(t, s, key, count, flags, &id);
	} else if (ret == 0) {
		id = o->id;
		if ((uint32_t)count > sem_set_of(o)->count)
			ret = -EINVAL;
	}
	mutex_unlock(&s->lock);
	return ret < 0 ? ret : id;
}

/* ---- undo ---- */

static struct sem_undo_list *undo_list_of(struct process *p)
{
	struct sem_undo_list *l = __atomic_load_n(&p->sem_undo, __ATOMIC_ACQUIRE), *none = NULL;

	if (l)
		return l;
	l = kmalloc(sizeof(*l));
	if (!l)
		return NULL;
	mutex_init(&l->lock, RANK_IPC_UNDO);
	list_init(&l->undos);
	if (__atomic_compare_exchange_n(&p->sem_undo, &none, l, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return l;
	kfree(l);
	return none;
}

/* The caller's undo of the set, made when missing. [IPC] */
static int undo_get_locked(struct task *t, struct sem_set *set, struct sem_undo **out)
{
	struct sem_undo_list *l = undo_list_of(t->process);
	struct sem_undo *u;

	if (!l)
		return -ENOMEM;
	list_for_each (u, &set->undos, of_set) {
		if (u->list == l) {
			*out = u;
			return 0;
		}
	}
	u = kmalloc(sizeof(*u) + set->count * sizeof(u->adjust[0]));
	if (!u)
		return -ENOMEM;
	u->list = l;
	u->set = set;
	refs_get(&set->o.refs);
	list_add(&set->undos, &u->of_set);
	mutex_lock(&l->lock);
	list_add(&l->undos, &u->of_process);
	mutex_unlock(&l->lock);
	*out = u;
	return 0;
}

/* Those whose process is just ending are left to sem_exit. */
void sem_undo_drop_locked(struct sem_set *set)
{
	struct sem_undo *u, *next;
	bool ours;

	list_for_each_safe (u, next, &set->undos, of_set) {
		mutex_lock(&u->list->lock);
		ours = !list_empty(&u->of_process);
		list_del(&u->of_process);
		mutex_unlock(&u->list->lock);
		if (!ours)
			continue;
		list_del(&u->of_set);
		kfree(u);
		BUG_ON(refs_put(&set->o.refs));
	}
}

static void undo_apply_locked(struct sem_set *set, const struct sem_undo *u, int32_t pid)
{
	uint32_t i;

	for (i = 0; i < set->count; i++) {
		int32_t v = set->sems[i].value + u->adjust[i];

		if (!u->adjust[i])
			continue;
		set->sems[i].value = MIN(MAX(v, 0), LINUX_SEMVMX);
		set->sems[i].pid = pid;
	}
	set->otime = ipc_now();
}

void sem_exit(struct process *p)
{
	struct sem_undo_list *l = __atomic_exchange_n(&p->sem_undo, NULL, __ATOMIC_ACQ_REL);
	struct sem_undo *u;

	if (!l)
		return;
	for (;;) {
		struct ipc_state *s;
		struct sem_set *set;

		mutex_lock(&l->lock);
		u = list_first(&l->undos, struct sem_undo, of_process);
		if (u)
			list_del(&u->of_process);
		mutex_unlock(&l->lock);
		if (!u)
			break;
		set = u->set;
		s = set->o.ipc;
		mutex_lock(&s->lock);
		if (!set->o.dead)
			undo_apply_locked(set, u, p->tgid);
		list_del(&u->of_set);
		mutex_unlock(&s->lock);
		waitq_wake(&set->o.wq, EV_INTERNAL);
		ipc_put(&set->o);
		kfree(u);
	}
	kfree(l);
}

/* ---- semop ---- */

struct sem_call {
	const struct linux_sembuf *ops;
	uint32_t count;
	struct sem_undo *undo; /* NULL: none asked for */
	uint32_t *blocked_on;  /* wait counter raised while sleeping */
	bool nowait;	       /* the operation that blocks said IPC_NOWAIT */
};

/* Takes back the first n operations. */
static void rollback_locked(struct sem_set *set, struct sem_call *c, uint32_t n)
{
	while (n--)
		set->sems[c->ops[n].sem_num].value -= c->ops[n].sem_op;
}

static int32_t undo_after(const struct sem_call *c, uint16_t num)
{
	int32_t adjust = c->undo->adjust[num];
	uint32_t i;

	for (i = 0; i < c->count; i++)
		if (c->ops[i].sem_num == num && (c->ops[i].sem_flg & LINUX_SEM_UNDO))
			adjust -= c->ops[i].sem_op;
	return adjust;
}

/* 0: done; -EAGAIN: can't yet, c->blocked_on says what for; else an error. Nothing changed unless 0. */
static int try_locked(struct sem_set *set, struct sem_call *c, int32_t pid)
{
	uint32_t i;

	for (i = 0; i < c->count; i++) {
		const struct linux_sembuf *op = &c->ops[i];
		struct sem *sem = &set->sems[op->sem_num];
		int32_t v = sem->value + op->sem_op;

		c->nowait = op->sem_flg & LINUX_IPC_NOWAIT;
		if ((op->sem_op == 0 && sem->value != 0) || v < 0) {
			c->blocked_on = op->sem_op == 0 ? &sem->wait_zero : &sem->wait_up;
			rollback_locked(set, c, i);
			return -EAGAIN;
		}
		if (v > LINUX_SEMVMX) {
			rollback_locked(set, c, i);
			return -ERANGE;
		}
		if (op->sem_flg & LINUX_SEM_UNDO) {
			int32_t adjust = undo_after(c, op->sem_num);

			if (adjust < -LINUX_SEMAEM - 1 || adjust > LINUX_SEMAEM) {
				rollback_locked(set, c, i);
				return -ERANGE;
			}
		}
		sem->value = v;
	}
	for (i = 0; i < c->count; i++) {
		if (c->ops[i].sem_flg & LINUX_SEM_UNDO)
			c->undo->adjust[c->ops[i].sem_num] =
				(int16_t)(c->undo->adjust[c->ops[i].sem_num] - c->ops[i].sem_op);
		set->sems[c->ops[i].sem_num].pid = pid;
	}
	set->otime = ipc_now();
	return 0;
}

/* The set by id with a reference, permission and numbers checked, undo prepared. */
static int begin_locked(struct task *t, struct ipc_state *s, int id, struct sem_call *c, struct sem_set **out)
{
	struct ipc_object *o = ipc_find_locked(s, IPC_SEM, id);
	bool alters = false, undoes = false;
	struct sem_set *set;
	uint32_t i;
	int ret;

	if (!o)
		return -EINVAL;
	set = sem_set_of(o);
	for (i = 0; i < c->count; i++) {
		if (c->ops[i].sem_num >= set->count)
			return -EFBIG;
		alters |= c->ops[i].sem_op != 0;
		undoes |= (c->ops[i].sem_flg & LINUX_SEM_UNDO) != 0;
	}
	ret = ipc_may(t, o, alters ? 2 : 4);
	if (ret == 0 && undoes)
		ret = undo_get_locked(t, set, &c->undo);
	if (ret < 0)
		return ret;
	refs_get(&o->refs);
	*out = set;
	return 0;
}

static int sem_wait(struct task *t, struct sem_set *set, struct sem_call *c, uint64_t deadline)
{
	struct ipc_state *s = set->o.ipc;
	struct waiter w;
	uint32_t *counter = NULL;
	int ret, woken = 0;

	task_waiter(t, &w, EV_INTERNAL);
	waitq_add(&set->o.wq, &w);
	for (;;) {
		mutex_lock(&s->lock);
		if (counter)
			--*counter;
		counter = NULL;
		ret = set->o.dead ? -EIDRM : try_locked(set, c, t->process->tgid);
		if (ret == -EAGAIN && woken == 0 && !c->nowait) {
			counter = c->blocked_on;
			++*counter;
		} else if (ret == -EAGAIN && woken < 0) {
			ret = woken;
		}
		mutex_unlock(&s->lock);
		if (!counter)
			break;
		woken = task_block(t, deadline);
		if (woken == -ETIMEDOUT)
			woken = -EAGAIN;
		else if (woken < 0)
			woken = -EINTR; /* semop(2) is never restarted */
	}
	waitq_del(&set->o.wq, &w);
	return ret;
}

int64_t sem_op(struct task *t, int id, const struct linux_sembuf *ops, uint32_t count, uint64_t deadline)
{
	struct sem_call c = {.ops = ops, .count = count};
	struct ipc_state *s;
	struct sem_set *set;
	int ret = ipc_state_of(t, &s);

	if (ret < 0)
		return ret;
	mutex_lock(&s->lock);
	ret = begin_locked(t, s, id, &c, &set);
	if (ret < 0) {
		mutex_unlock(&s->lock);
		return ret;
	}
	ret = try_locked(set, &c, t->process->tgid);
	mutex_unlock(&s->lock);
	if (ret == -EAGAIN && !c.nowait)
		ret = sem_wait(t, set, &c, deadline);
	if (ret == 0)
		waitq_wake(&set->o.wq, EV_INTERNAL);
	ipc_put(&set->o);
	return ret;
}
