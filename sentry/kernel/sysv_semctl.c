/* sysv_semctl.c: semctl(2): looking at semaphore sets and changing them by hand. */
#include "sentry/kernel/settings.h"
#include "sentry/kernel/sysv_sem.h"

static int64_t stat_out(struct task *t, struct ipc_object *o, uaddr_t buf, int64_t result, struct ipc_state *s)
{
	struct sem_set *set = sem_set_of(o);
	struct linux_semid_ds ds;
	int ret;

	memset(&ds, 0, sizeof(ds));
	ipc_fill_perm(t, o, &ds.sem_perm);
	ds.sem_otime = set->otime;
	ds.sem_ctime = set->ctime;
	ds.sem_nsems = set->count;
	mutex_unlock(&s->lock);
	ret = copy_to_user(t, buf, &ds, sizeof(ds));
	return ret < 0 ? ret : result;
}

/* Unlocks. */
static int64_t ctl_stat(struct task *t, struct ipc_state *s, int id, int cmd, uaddr_t buf)
{
	struct ipc_object *o =
		cmd == LINUX_IPC_STAT ? ipc_find_locked(s, IPC_SEM, id) : ipc_find_index_locked(s, IPC_SEM, id);
	int ret = o ? 0 : -EINVAL;

	if (ret == 0 && cmd != LINUX_SEM_STAT_ANY)
		ret = ipc_may(t, o, 4);
	if (ret == 0)
		return stat_out(t, o, buf, cmd == LINUX_IPC_STAT ? 0 : o->id, s);
	mutex_unlock(&s->lock);
	return ret;
}

static int64_t ctl_info(struct task *t, struct ipc_state *s, int cmd, uaddr_t buf)
{
	struct linux_seminfo info = {
		.semmap = LINUX_SEMMNS,
		.semmni = (int32_t)setting(t->kernel, SET_SEMMNI),
		.semmns = (int32_t)setting(t->kernel, SET_SEMMNS),
		.semmnu = LINUX_SEMMNS,
		.semmsl = (int32_t)setting(t->kernel, SET_SEMMSL),
		.semopm = (int32_t)setting(t->kernel, SET_SEMOPM),
		.semume = LINUX_SEMOPM,
		.semusz = LINUX_SEMUSZ,
		.semvmx = LINUX_SEMVMX,
		.semaem = LINUX_SEMAEM,
	};
	int32_t max;
	int ret;

	mutex_lock(&s->lock);
	max = s->tables[IPC_SEM].max_index;
	if (cmd == LINUX_SEM_INFO) {
		info.semusz = (int32_t)s->tables[IPC_SEM].used;
		info.semaem = (int32_t)s->sem_count;
	}
	mutex_unlock(&s->lock);
	ret = copy_to_user(t, buf, &info, sizeof(info));
	return ret < 0 ? ret : max;
}

static int64_t ctl_get_locked(struct task *t, struct sem_set *set, int num, int cmd)
{
	const struct sem *sem;
	int ret = ipc_may(t, &set->o, 4);

	if (ret < 0)
		return ret;
	if (num < 0 || (uint32_t)num >= set->count)
		return -EINVAL;
	sem = &set->sems[num];
	switch (cmd) {
	case LINUX_GETVAL:
		return sem->value;
	case LINUX_GETPID:
		return sem->pid;
	case LINUX_GETNCNT:
		return sem->wait_up;
	default:
		return sem->wait_zero;
	}
}

/* Values set by hand cancel what processes would have undone. */
static void forget_undo_locked(struct sem_set *set, uint32_t num)
{
	struct sem_undo *u;

	list_for_each (u, &set->undos, of_set)
		u->adjust[num] = 0;
}

static int ctl_setval_locked(struct task *t, struct sem_set *set, int num, int32_t v)
{
	int ret = ipc_may(t, &set->o, 2);

	if (ret < 0)
		return ret;
	if (num < 0 || (uint32_t)num >= set->count)
		return -EINVAL;
	if (v < 0 || v > LINUX_SEMVMX)
		return -ERANGE;
	set->sems[num].value = v;
	set->sems[num].pid = t->process->tgid;
	forget_undo_locked(set, (uint32_t)num);
	set->ctime = ipc_now();
	return 0;
}

static int ctl_set_locked(struct task *t, struct sem_set *set, const struct linux_semid_ds *ds)
{
	int ret = ipc_may_change(t, &set->o);

	if (ret == 0)
		ret = ipc_set_perm(t, &set->o, &ds->sem_perm);
	if (ret == 0)
		set->ctime = ipc_now();
	return ret;
}

/* GETALL and SETALL; the set is referenced, its count fixed. */
static int64_t ctl_all(struct task *t, struct sem_set *set, bool put, uaddr_t array)
{
	struct ipc_state *s = set->o.ipc;
	uint16_t *v = task_bounce(t);
	size_t bytes = set->count * sizeof(*v);
	uint32_t i;
	int ret = v ? 0 : -ENOMEM;

	if (ret == 0 && put)
		ret = copy_from_user(t, v, array, bytes);
	for (i = 0; ret == 0 && put && i < set->count; i++)
		if (v[i] > LINUX_SEMVMX)
			ret = -ERANGE;
	if (ret < 0)
		return ret;
	mutex_lock(&s->lock);
	ret = set->o.dead ? -EIDRM : ipc_may(t, &set->o, put ? 2 : 4);
	for (i = 0; ret == 0 && i < set->count; i++) {
		if (!put) {
			v[i] = (uint16_t)set->sems[i].value;
			continue;
		}
		set->sems[i].value = v[i];
		set->sems[i].pid = t->process->tgid;
		forget_undo_locked(set, i);
		set->ctime = ipc_now();
	}
	mutex_unlock(&s->lock);
	if (ret == 0 && !put)
		ret = copy_to_user(t, array, v, bytes);
	return ret;
}

/* Commands on one set, which the caller has referenced; wake: something changed. */
static int64_t ctl_on_set(struct task *t, struct sem_set *set, int num, int cmd, uint64_t arg,
			  const struct linux_semid_ds *ds, bool *wake)
{
	struct ipc_state *s = set->o.ipc;
	bool removed = false;
	int64_t ret;

	if (cmd == LINUX_GETALL || cmd == LINUX_SETALL) {
		*wake = cmd == LINUX_SETALL;
		return ctl_all(t, set, *wake, arg);
	}
	mutex_lock(&s->lock);
	if (set->o.dead) {
		ret = -EIDRM;
	} else if (cmd == LINUX_IPC_RMID) {
		ret = ipc_may_change(t, &set->o);
		removed = ret == 0;
		if (removed) {
			ipc_remove_locked(&set->o);
			s->sem_count -= set->count;
			sem_undo_drop_locked(set);
		}
	} else if (cmd == LINUX_IPC_SET) {
		ret = ctl_set_locked(t, set, ds);
	} else if (cmd == LINUX_SETVAL) {
		ret = ctl_setval_locked(t, set, num, (int32_t)arg);
	} else {
		ret = ctl_get_locked(t, set, num, cmd);
	}
	mutex_unlock(&s->lock);
	if (cmd == LINUX_GETPID && ret > 0)
		ret = ipc_show_pid(t, (int32_t)ret);
	*wake = removed || cmd == LINUX_SETVAL;
	if (removed) {
		waitq_wake(&set->o.wq, EV_INTERNAL);
		ipc_put(&set->o); /* the table's */
	}
	return ret;
}

int64_t sem_ctl(struct task *t, int id, int num, int cmd, uint64_t arg)
{
	struct linux_semid_ds ds;
	struct ipc_object *o;
	struct ipc_state *s;
	bool wake = false;
	int64_t ret;

	if (id < 0)
		return -EINVAL;
	ret = ipc_state_of(t, &s);
	if (ret < 0)
		return ret;
	switch (cmd) {
	case LINUX_IPC_INFO:
	case LINUX_SEM_INFO:
		return ctl_info(t, s, cmd, arg);
	case LINUX_IPC_STAT:
	case LINUX_SEM_STAT:
	case LINUX_SEM_STAT_ANY:
		mutex_lock(&s->lock);
		return ctl_stat(t, s, id, cmd, arg);
	case LINUX_IPC_SET:
		ret = copy_from_user(t, &ds, arg, sizeof(ds));
		if (ret < 0)
			return ret;
		break;
	case LINUX_IPC_RMID:
	case LINUX_GETALL:
	case LINUX_SETALL:
	case LINUX_GETVAL:
	case LINUX_SETVAL:
	case LINUX_GETPID:
	case LINUX_GETNCNT:
	case LINUX_GETZCNT:
		break;
	default:
		return -EINVAL;
	}
	mutex_lock(&s->lock);
	o = ipc_find_locked(s, IPC_SEM, id);
	if (o)
		refs_get(&o->refs);
	mutex_unlock(&s->lock);
	if (!o)
		return -EINVAL;
	ret = ctl_on_set(t, sem_set_of(o), num, cmd, arg, &ds, &wake);
	if (wake)
		waitq_wake(&o->wq, EV_INTERNAL);
	ipc_put(o);
	return ret;
}
