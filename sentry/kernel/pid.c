/* pid.c: identities and pid namespaces: a number in each level, lookups by number. Numbers are given in
 * circles, as Linux does. Lock: tasklist_lock, unless said otherwise. */
#include "sentry/kernel/internal.h"
#include "sentry/kernel/settings.h"

#define PID_RESERVED  300 /* after a wrap, numbers start here */
#define PID_NS_LEVELS 32

int pid_ns_create(struct kernel *k, struct pid_ns *parent, struct user_ns *owner, struct pid_ns **out)
{
	struct pid_ns *ns;

	if (parent && parent->level + 1 >= PID_NS_LEVELS)
		return -ENOSPC;
	ns = kmalloc(sizeof(*ns));
	if (!ns)
		return -ENOMEM;
	refs_init(&ns->refs);
	ns->kernel = k;
	ns->parent = parent ? pid_ns_get(parent) : NULL;
	ns->owner = user_ns_get(owner);
	ns->level = parent ? parent->level + 1 : 0;
	ns->ino = __atomic_add_fetch(&k->next_ns_ino, 1, __ATOMIC_RELAXED);
	*out = ns;
	return 0;
}

struct pid_ns *pid_ns_get(struct pid_ns *ns)
{
	refs_get(&ns->refs);
	return ns;
}

void pid_ns_put(struct pid_ns *ns)
{
	while (ns && refs_put(&ns->refs)) {
		struct pid_ns *parent = ns->parent;

		user_ns_put(ns->owner);
		kfree(ns);
		ns = parent;
	}
}

static struct pid_nr *nr_find(struct pid_ns *ns, int32_t nr, struct rbnode **parent, struct rbnode ***link)
{
	struct rbnode **l = &ns->ids.root, *p = NULL;

	while (*l) {
		struct pid_nr *n = rb_entry(*l, struct pid_nr, node);

		p = *l;
		if (n->nr == nr)
			return n;
		l = nr < n->nr ? &p->left : &p->right;
	}
	if (parent) {
		*parent = p;
		*link = l;
	}
	return NULL;
}

/* The struct pid that an entry of ns (at level ns->level) is part of. */
static struct pid *pid_of_nr(struct pid_nr *n)
{
	return container_of(n - n->ns->level, struct pid, nrs[0]);
}

struct pid *pid_find_locked(struct pid_ns *ns, int32_t nr)
{
	struct pid_nr *n = nr_find(ns, nr, NULL, NULL);

	return n ? pid_of_nr(n) : NULL;
}

static int32_t nr_pick(struct pid_ns *ns)
{
	int32_t nr = ns->last, max = (int32_t)setting(ns->kernel, SET_PID_MAX);

	for (int tries = 0; tries < max; tries++) {
		nr = nr + 1 >= max ? PID_RESERVED : nr + 1;
		if (!nr_find(ns, nr, NULL, NULL)) {
			ns->last = nr;
			return nr;
		}
	}
	return 0;
}

static int nr_take_locked(struct pid_ns *ns, int32_t wanted, struct pid_nr *n)
{
	struct rbnode *parent, **link;
	int32_t nr = wanted;

	if (ns->dead)
		return -ENOMEM; /* as Linux says in a pid namespace without its init */
	if (ns->count == 0 && wanted > 1)
		return -EINVAL; /* the first one is init */
	if (!wanted)
		nr = nr_pick(ns);
	if (!nr)
		return -EAGAIN;
	if (nr_find(ns, nr, &parent, &link))
		return -EEXIST;
	n->nr = nr;
	rb_insert(&ns->ids, &n->node, parent, link);
	ns->count++;
	return 0;
}

static void nr_drop_locked(struct pid_nr *n)
{
	rb_remove(&n->ns->ids, &n->node);
	n->ns->count--;
}

int pid_alloc(struct pid_ns *ns, const int32_t *wanted, uint32_t wanted_count, struct pid **out)
{
	uint32_t levels = ns->level + 1;
	struct kernel *k = ns->kernel;
	struct pid_ns *at = ns;
	struct pid *pid;
	int ret = 0;

	pid = kmalloc(sizeof(*pid) + levels * sizeof(pid->nrs[0]));
	if (!pid)
		return -ENOMEM;
	refs_init(&pid->refs);
	pid->kernel = k;
	pid->levels = levels;
	list_init(&pid->group);
	list_init(&pid->session);
	waitq_init(&pid->wq);
	mutex_lock(&k->tasklist_lock);
	for (uint32_t i = levels; i-- > 0; at = at->parent) {
		uint32_t depth = levels - 1 - i;
		int32_t want = depth < wanted_count ? wanted[depth] : 0;

		pid->nrs[i].ns = pid_ns_get(at);
		ret = nr_take_locked(at, want, &pid->nrs[i]);
		if (ret < 0) {
			struct pid_ns *failed = pid->nrs[i].ns;

			pid->nrs[i].ns = NULL;
			for (uint32_t j = i + 1; j < levels; j++)
				nr_drop_locked(&pid->nrs[j]);
			mutex_unlock(&k->tasklist_lock);
			pid_ns_put(failed);
			pid_put(pid);
			return ret;
		}
	}
	mutex_unlock(&k->tasklist_lock);
	*out = pid;
	return 0;
}

void pid_release_locked(struct pid *pid)
{
	if (pid->released || pid->task || pid->process || !list_empty(&pid->group) ||
	    !list_empty(&pid->session))
		return;
	pid->released = true;
	for (uint32_t i = 0; i < pid->levels; i++)
		nr_drop_locked(&pid->nrs[i]);
}

/* The last holder of an identity that was never published takes its numbers back itself. */
void pid_put(struct pid *pid)
{
	if (!pid || !refs_put(&pid->refs))
		return;
	BUG_ON(pid->task || pid->process);
	for (uint32_t i = 0; i < pid->levels; i++)
		if (pid->nrs[i].ns)
			pid_ns_put(pid->nrs[i].ns);
	kfree(pid);
}

int32_t pid_nr_in(const struct pid *pid, const struct pid_ns *ns)
{
	if (!pid || ns->level >= pid->levels || pid->nrs[ns->level].ns != ns)
		return 0;
	return pid->nrs[ns->level].nr;
}

struct pid_ns *task_pid_ns(struct task *t)
{
	return pid_ns_of(t->pid);
}

struct pid *task_pid_find(struct task *t, int32_t nr)
{
	struct kernel *k = t->kernel;
	struct pid *pid;

	mutex_lock(&k->tasklist_lock);
	pid = pid_find_locked(task_pid_ns(t), nr);
	if (pid)
		pid_get(pid);
	mutex_unlock(&k->tasklist_lock);
	return pid;
}

struct task *task_find_in(struct pid_ns *ns, int32_t tid)
{
	struct task *t = NULL;
	struct pid *pid;

	mutex_lock(&ns->kernel->tasklist_lock);
	pid = pid_find_locked(ns, tid);
	if (pid && pid->task)
		t = task_get(pid->task);
	mutex_unlock(&ns->kernel->tasklist_lock);
	return t;
}

struct task *task_find(struct task *caller, int32_t tid)
{
	return task_find_in(task_pid_ns(caller), tid);
}

struct process *process_find_in(struct pid_ns *ns, int32_t tgid)
{
	struct process *p = NULL;
	struct pid *pid;

	mutex_lock(&ns->kernel->tasklist_lock);
	pid = pid_find_locked(ns, tgid);
	if (pid && pid->process)
		p = process_get(pid->process);
	mutex_unlock(&ns->kernel->tasklist_lock);
	return p;
}

struct process *pid_process_get(struct pid *pid)
{
	struct process *p = NULL;

	mutex_lock(&pid->kernel->tasklist_lock);
	if (pid->process)
		p = process_get(pid->process);
	mutex_unlock(&pid->kernel->tasklist_lock);
	return p;
}

/* The entry with the lowest number above `after`. */
static struct pid_nr *nr_above(struct pid_ns *ns, int32_t after)
{
	struct rbnode *n = ns->ids.root;
	struct pid_nr *best = NULL;

	while (n) {
		struct pid_nr *e = rb_entry(n, struct pid_nr, node);

		if (e->nr > after) {
			best = e;
			n = n->left;
		} else {
			n = n->right;
		}
	}
	return best;
}

struct task *process_next(struct pid_ns *ns, int32_t after)
{
	struct task *t = NULL;
	struct pid_nr *n;

	mutex_lock(&ns->kernel->tasklist_lock);
	for (n = nr_above(ns, after); n; n = nr_above(ns, n->nr)) {
		struct pid *pid = pid_of_nr(n);

		if (!pid->process || !pid->process->leader)
			continue;
		t = task_get(pid->process->leader);
		break;
	}
	mutex_unlock(&ns->kernel->tasklist_lock);
	return t;
}

struct task *task_next(struct process *p, struct pid_ns *ns, int32_t after)
{
	struct task *best = NULL;
	struct task_private *tp;
	int32_t best_nr = 0;

	mutex_lock(&p->kernel->tasklist_lock);
	process_for_each (tp, p) {
		int32_t nr = pid_nr_in(tp->self->pid, ns);

		if (nr <= after || (best && nr > best_nr))
			continue;
		best = tp->self;
		best_nr = nr;
	}
	if (best)
		task_get(best);
	mutex_unlock(&p->kernel->tasklist_lock);
	return best;
}

int32_t task_tid_in(struct task *viewer, struct task *t)
{
	struct kernel *k = viewer->kernel;
	int32_t nr;

	if (viewer == t)
		return pid_nr(t->pid);
	mutex_lock(&k->tasklist_lock);
	nr = pid_nr_in(t->pid, task_pid_ns(viewer));
	mutex_unlock(&k->tasklist_lock);
	return nr;
}

int32_t task_tgid_in(struct task *viewer, struct task *t)
{
	if (viewer == t)
		return pid_nr(t->process->pid);
	return pid_nr_in(t->process->pid, task_pid_ns(viewer));
}

struct task *process_leader_get(struct process *p)
{
	struct task *t;

	mutex_lock(&p->kernel->tasklist_lock);
	t = p->leader ? task_get(p->leader) : NULL;
	mutex_unlock(&p->kernel->tasklist_lock);
	return t;
}
