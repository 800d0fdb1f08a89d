/* ipc.c: what the kinds of System V objects share: tables, ids, keys, permissions. */
#include "sentry/kernel/internal.h"
#include "sentry/kernel/ipc_internal.h"

static void state_destroy(struct ipc_state *s)
{
	int i;

	for (i = 0; i < IPC_KINDS; i++)
		kfree(s->tables[i].slots);
	user_ns_put(s->owner);
	kfree(s);
}

void ipc_state_put(struct ipc_state *s)
{
	if (refs_put(&s->refs))
		state_destroy(s);
}

/* The namespace ends: nobody can name its objects any more. Attached segments live on in their mappings. */
static void ns_destroy(struct ns *ns)
{
	struct ipc_state *s = ns->priv;
	struct ipc_object *o;
	uint32_t i, k;

	if (!s)
		return;
	for (k = 0; k < IPC_KINDS; k++) {
		for (i = 0; i < s->tables[k].size; i++) {
			mutex_lock(&s->lock);
			o = s->tables[k].slots[i];
			if (o)
				ipc_remove_locked(o);
			mutex_unlock(&s->lock);
			if (o)
				ipc_put(o);
		}
	}
	mq_namespace_ends(s);
	ipc_state_put(s);
}

int ipc_state_of(struct task *t, struct ipc_state **out)
{
	struct ns *ns = t->ipc_ns;
	struct ipc_state *s = __atomic_load_n(&ns->priv, __ATOMIC_ACQUIRE), *fresh;
	void *none = NULL;

	if (LIKELY(s)) {
		*out = s;
		return 0;
	}
	fresh = kmalloc(sizeof(*fresh));
	if (!fresh)
		return -ENOMEM;
	refs_init(&fresh->refs);
	fresh->owner = user_ns_get(ns->owner);
	mutex_init(&fresh->lock, RANK_IPC);
	list_init(&fresh->mqs);
	__atomic_store_n(&ns->destroy, ns_destroy, __ATOMIC_RELEASE);
	if (!__atomic_compare_exchange_n(&ns->priv, &none, fresh, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
		state_destroy(fresh);
		fresh = none;
	}
	*out = fresh;
	return 0;
}

static struct ipc_object *find_key_locked(struct ipc_table *tab, int32_t key)
{
	uint32_t i;

	for (i = 0; i < tab->size; i++)
		if (tab->slots[i] && tab->slots[i]->key == key)
			return tab->slots[i];
	return NULL;
}

int ipc_find_key_locked(struct task *t, struct ipc_state *s, enum ipc_kind kind, int32_t key, int flags,
			struct ipc_object **out)
{
	struct ipc_object *o;
	uint32_t want = ((uint32_t)flags >> 6 | (uint32_t)flags >> 3 | (uint32_t)flags) & 7;
	int ret;

	if (key == LINUX_IPC_PRIVATE)
		return 1;
	o = find_key_locked(&s->tables[kind], key);
	if (!o)
		return flags & LINUX_IPC_CREAT ? 1 : -ENOENT;
	if ((flags & LINUX_IPC_CREAT) && (flags & LINUX_IPC_EXCL))
		return -EEXIST;
	ret = ipc_may(t, o, want);
	if (ret == 0)
		*out = o;
	return ret;
}

/* A free slot, the table grown when it is full. */
static int free_slot_locked(struct ipc_table *tab, uint32_t *slot)
{
	struct ipc_object **bigger;
	uint32_t i, size;

	for (i = 0; i < tab->size && tab->used < tab->size; i++) {
		if (!tab->slots[i]) {
			*slot = i;
			return 0;
		}
	}
	if (tab->size == IPC_MAX_IDS)
		return -ENOSPC;
	size = tab->size ? tab->size * 2 : 16;
	bigger = krealloc(tab->slots, size * sizeof(*bigger));
	if (!bigger)
		return -ENOMEM;
	*slot = tab->size;
	tab->slots = bigger;
	tab->size = size;
	return 0;
}

int ipc_add_locked(struct task *t, struct ipc_state *s, struct ipc_object *o, enum ipc_kind kind, int32_t key,
		   int flags)
{
	struct ipc_table *tab = &s->tables[kind];
	uint32_t slot;
	int ret = free_slot_locked(tab, &slot);

	if (ret < 0)
		return ret;
	refs_get(&s->refs);
	o->ipc = s;
	o->kind = kind;
	o->key = key;
	o->mode = (uint32_t)flags & 0777;
	o->uid = o->cuid = t->cred->euid;
	o->gid = o->cgid = t->cred->egid;
	/* a new number for a slot used again, so that an old id names nothing */
	o->id = (int32_t)((tab->seq % (INT32_MAX / IPC_MAX_IDS)) * IPC_MAX_IDS + slot);
	tab->seq++;
	tab->slots[slot] = o;
	tab->used++;
	tab->max_index = MAX(tab->max_index, (int32_t)slot);
	return 0;
}

struct ipc_object *ipc_find_index_locked(struct ipc_state *s, enum ipc_kind kind, int32_t index)
{
	struct ipc_table *tab = &s->tables[kind];

	return index >= 0 && (uint32_t)index < tab->size ? tab->slots[index] : NULL;
}

struct ipc_object *ipc_find_locked(struct ipc_state *s, enum ipc_kind kind, int32_t id)
{
	struct ipc_object *o = id < 0 ? NULL : ipc_find_index_locked(s, kind, id % IPC_MAX_IDS);

	return o && o->id == id ? o : NULL;
}

void ipc_remove_locked(struct ipc_object *o)
{
	struct ipc_table *tab = &o->ipc->tables[o->kind];

	BUG_ON(o->dead);
	o->dead = true;
	tab->slots[o->id % IPC_MAX_IDS] = NULL;
	while (tab->max_index > 0 && !tab->slots[tab->max_index])
		tab->max_index--;
	tab->used--;
}

void ipc_put(struct ipc_object *o)
{
	struct ipc_state *s = o->ipc;

	if (!refs_put(&o->refs))
		return;
	o->destroy(o);
	ipc_state_put(s);
}

int ipc_may(struct task *t, const struct ipc_object *o, uint32_t want)
{
	const struct cred *c = t->cred;
	uint32_t mode = o->mode;

	if (c->euid == o->cuid || c->euid == o->uid)
		mode >>= 6;
	else if (c->egid == o->cgid || c->egid == o->gid || cred_in_group(c, o->cgid) ||
		 cred_in_group(c, o->gid))
		mode >>= 3;
	if ((want & ~mode & 7) && !cred_has_cap_in(c, LINUX_CAP_IPC_OWNER, o->ipc->owner))
		return -EACCES;
	return 0;
}

int ipc_may_change(struct task *t, const struct ipc_object *o)
{
	const struct cred *c = t->cred;

	if (c->euid == o->cuid || c->euid == o->uid || cred_has_cap_in(c, LINUX_CAP_SYS_ADMIN, o->ipc->owner))
		return 0;
	return -EPERM;
}

void ipc_fill_perm(struct task *t, const struct ipc_object *o, struct linux_ipc_perm *p)
{
	struct user_ns *ns = t->cred->user_ns;

	memset(p, 0, sizeof(*p));
	p->key = o->key;
	p->uid = user_ns_from_kuid(ns, o->uid);
	p->gid = user_ns_from_kgid(ns, o->gid);
	p->cuid = user_ns_from_kuid(ns, o->cuid);
	p->cgid = user_ns_from_kgid(ns, o->cgid);
	p->mode = o->mode;
	p->seq = (uint16_t)(o->id / IPC_MAX_IDS);
}

int ipc_set_perm(struct task *t, struct ipc_object *o, const struct linux_ipc_perm *p)
{
	uint32_t uid = user_ns_to_kuid(t->cred->user_ns, p->uid),
		 gid = user_ns_to_kgid(t->cred->user_ns, p->gid);

	if (uid == ID_INVALID || gid == ID_INVALID)
		return -EINVAL;
	o->uid = uid;
	o->gid = gid;
	o->mode = (o->mode & ~0777u) | (p->mode & 0777);
	return 0;
}

int32_t ipc_show_pid(struct task *t, int32_t pid)
{
	struct process *p;
	int32_t nr;

	if (pid == 0 || task_pid_ns(t) == t->kernel->pid_ns)
		return pid;
	p = process_find_in(t->kernel->pid_ns, pid);
	if (!p)
		return 0;
	nr = pid_nr_in(p->pid, task_pid_ns(t));
	process_put(p);
	return nr;
}

static const char *const headings[IPC_KINDS] = {
	[IPC_SEM] = "       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n",
	[IPC_SHM] =
		"       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid"
		"      atime      dtime      ctime                   rss                  swap\n",
	[IPC_MSG] = "       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid"
		    "      stime      rtime      ctime\n",
};

void ipc_show(struct kernel *k, enum ipc_kind kind, const struct cred *cred, struct strbuf *out)
{
	struct ipc_state *s = __atomic_load_n(&k->ipc_ns->priv, __ATOMIC_ACQUIRE);

	strbuf_puts(out, headings[kind]);
	if (!s)
		return;
	mutex_lock(&s->lock);
	for (uint32_t i = 0; i < s->tables[kind].size; i++) {
		struct ipc_object *o = s->tables[kind].slots[i];

		if (o && o->show)
			o->show(o, cred->user_ns, out);
	}
	mutex_unlock(&s->lock);
}

void ipc_show_owner(const struct ipc_object *o, struct user_ns *ns, struct strbuf *out)
{
	strbuf_printf(out, "%5u %5u %5u %5u ", user_ns_from_kuid(ns, o->uid), user_ns_from_kgid(ns, o->gid),
		      user_ns_from_kuid(ns, o->cuid), user_ns_from_kgid(ns, o->cgid));
}
