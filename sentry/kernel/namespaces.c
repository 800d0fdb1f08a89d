/* namespaces.c: which namespaces a task is in: copies for clone(2), unshare(2), setns(2), and what
 * /proc/pid/ns tells. */
#include "platform/abi/fcntl.h"
#include "platform/abi/misc.h"
#include "platform/abi/fs.h"
#include "sentry/kernel/internal.h"
#include "sentry/kernel/settings.h"

#define PLAIN_NS                                                                                               \
	(LINUX_CLONE_NEWUTS | LINUX_CLONE_NEWIPC | LINUX_CLONE_NEWNET | LINUX_CLONE_NEWCGROUP |                \
	 LINUX_CLONE_NEWTIME)

int cred_new_user_ns(struct task *t, struct cred **out)
{
	struct user_ns *ns;
	struct cred *c;
	int ret =
		setting(t->kernel, SET_MAX_USER_NS) ? user_ns_create(t->cred->user_ns, t->cred, &ns) : -ENOSPC;

	if (ret < 0)
		return ret;
	ns->ino = __atomic_add_fetch(&t->kernel->next_ns_ino, 1, __ATOMIC_RELAXED);
	ret = cred_copy(t->cred, &c);
	if (ret == 0) {
		cred_enter_user_ns(c, ns);
		*out = c;
	}
	user_ns_put(ns);
	return ret;
}

static int copy_ns(struct kernel *k, struct ns *from, uint32_t type, struct user_ns *owner, uint64_t flags,
		   struct ns **out)
{
	struct ns *ns;
	int ret;

	if (!(flags & type)) {
		*out = ns_get(from);
		return 0;
	}
	ret = ns_create(k, type, owner, &ns);
	if (ret == 0)
		*out = ns;
	return ret;
}

static int copy_mounts(struct task *t, struct task *c, struct user_ns *owner, struct fs_context *fs,
		       uint64_t flags)
{
	if (flags & LINUX_CLONE_NEWNS)
		return mount_ns_copy(t->mount_ns, owner, fs, &c->mount_ns);
	mount_ns_get(t->mount_ns);
	c->mount_ns = t->mount_ns;
	return 0;
}

static int copy_pids(struct task *t, struct task *c, struct user_ns *owner, uint64_t flags)
{
	if (!(flags & LINUX_CLONE_NEWPID)) {
		c->child_pid_ns = pid_ns_get(t->child_pid_ns);
		return 0;
	}
	if (t->child_pid_ns != task_pid_ns(t))
		return -EINVAL;
	return pid_ns_create(t->kernel, t->child_pid_ns, owner, &c->child_pid_ns);
}

int namespaces_copy(struct task *t, struct task *c, struct user_ns *owner, struct fs_context *fs,
		    uint64_t flags)
{
	struct kernel *k = t->kernel;
	int ret = copy_mounts(t, c, owner, fs, flags);

	if (ret == 0) {
		if (flags & LINUX_CLONE_NEWUTS)
			ret = uts_ns_create(k, t->uts_ns, owner, &c->uts_ns);
		else
			c->uts_ns = uts_ns_get(t->uts_ns);
	}
	if (ret == 0)
		ret = copy_ns(k, t->ipc_ns, LINUX_CLONE_NEWIPC, owner, flags, &c->ipc_ns);
	if (ret == 0)
		ret = copy_ns(k, t->net_ns, LINUX_CLONE_NEWNET, owner, flags, &c->net_ns);
	if (ret == 0)
		ret = copy_ns(k, t->cgroup_ns, LINUX_CLONE_NEWCGROUP, owner, flags, &c->cgroup_ns);
	if (ret == 0)
		ret = copy_ns(k, t->time_ns, LINUX_CLONE_NEWTIME, owner, flags, &c->time_ns);
	if (ret == 0)
		ret = copy_pids(t, c, owner, flags);
	return ret; /* what was made goes with c */
}

/* ---- unshare(2) ---- */

#define UNSHARE_FLAGS                                                                                          \
	(LINUX_CLONE_THREAD | LINUX_CLONE_FS | LINUX_CLONE_NEWNS | LINUX_CLONE_SIGHAND | LINUX_CLONE_VM |      \
	 LINUX_CLONE_FILES | LINUX_CLONE_SYSVSEM | LINUX_CLONE_NEWUTS | LINUX_CLONE_NEWIPC |                   \
	 LINUX_CLONE_NEWNET | LINUX_CLONE_NEWUSER | LINUX_CLONE_NEWPID | LINUX_CLONE_NEWCGROUP |               \
	 LINUX_CLONE_NEWTIME)

#define SWAP_IN(field, put)                                                                                    \
	do {                                                                                                   \
		__typeof__(t->field) old_ = t->field;                                                          \
		t->field = c->field;                                                                           \
		c->field = old_;                                                                               \
	} while (0)

/* What is taken over is swapped, so that the scratch task holds the old parts and drops them. */
static void swap_in(struct task *t, struct task *c)
{
	mutex_lock(&t->process->lock);
	SWAP_IN(mount_ns, );
	SWAP_IN(uts_ns, );
	SWAP_IN(ipc_ns, );
	SWAP_IN(net_ns, );
	SWAP_IN(cgroup_ns, );
	SWAP_IN(time_ns, );
	SWAP_IN(child_pid_ns, );
	SWAP_IN(fs, );
	SWAP_IN(fds, );
	mutex_unlock(&t->process->lock);
	task_set_work(t, TASK_WORK_FACTS);
}

/* Ids, and what was answered with ids in it, read otherwise from now on. Which tasks see the map matters
 * little: a map is written once, so all are told. */
void user_ns_map_changed(struct kernel *k)
{
	struct process *p;
	struct task_private *tp;

	mutex_lock(&k->tasklist_lock);
	list_for_each (p, &k->processes, node) {
		mutex_lock(&p->lock);
		process_for_each (tp, p) {
			task_set_work(tp->self, TASK_WORK_FACTS);
			task_poke(tp->self);
		}
		mutex_unlock(&p->lock);
	}
	mutex_unlock(&k->tasklist_lock);
}

static int unshare_check(struct task *t, uint64_t *flags)
{
	if (*flags & ~(uint64_t)UNSHARE_FLAGS)
		return -EINVAL;
	if (*flags & LINUX_CLONE_NEWUSER)
		*flags |= LINUX_CLONE_THREAD | LINUX_CLONE_FS;
	if (*flags & LINUX_CLONE_NEWNS)
		*flags |= LINUX_CLONE_FS;
	if (*flags & LINUX_CLONE_VM)
		*flags |= LINUX_CLONE_SIGHAND;
	if (*flags & LINUX_CLONE_SIGHAND)
		*flags |= LINUX_CLONE_THREAD;
	if ((*flags & LINUX_CLONE_THREAD) && t->process->task_count > 1)
		return -EINVAL;
	if ((*flags & LINUX_CLONE_SIGHAND) && refs_read(&t->process->p->actions->refs) > 1)
		return -EINVAL;
	if ((*flags & LINUX_CLONE_VM) && refs_read(&t->mm->refs) > 1)
		return -EINVAL;
	return 0;
}

int task_unshare(struct task *t, uint64_t flags)
{
	struct cred *cred = NULL;
	struct user_ns *owner;
	struct task *c;
	int ret = unshare_check(t, &flags);

	if (ret < 0)
		return ret;
	ret = task_alloc(t->kernel, &c);
	if (ret < 0)
		return ret;
	c->process = process_get(t->process);
	if (flags & LINUX_CLONE_NEWUSER)
		ret = cred_new_user_ns(t, &cred);
	owner = cred ? cred->user_ns : t->cred->user_ns;
	if (ret == 0 && (flags & (PLAIN_NS | LINUX_CLONE_NEWNS | LINUX_CLONE_NEWPID)) &&
	    !cred_has_cap_in(cred ? cred : t->cred, LINUX_CAP_SYS_ADMIN, owner))
		ret = -EPERM;
	if (ret == 0) {
		if (flags & LINUX_CLONE_FS)
			ret = fs_context_copy(t->fs, &c->fs);
		else
			c->fs = fs_context_get(t->fs);
	}
	if (ret == 0)
		ret = namespaces_copy(t, c, owner, c->fs, flags);
	if (ret == 0) {
		if (flags & LINUX_CLONE_FILES)
			ret = fdtable_copy(t->fds, &c->fds);
		else
			c->fds = fdtable_get_ref(t->fds);
	}
	if (ret == 0) {
		swap_in(t, c);
		if (cred)
			task_set_cred(t, cred);
		cred = NULL;
	}
	task_drop_parts(c);
	task_put(c);
	if (cred)
		cred_put(cred);
	return ret;
}

/* ---- /proc/pid/ns and setns(2) ---- */

struct ns_ref {
	uint32_t type; /* LINUX_CLONE_NEW* */
	uint64_t ino;
	void *ns;
};

static void *ns_part(struct task *t, uint32_t type, bool for_children, uint64_t *ino)
{
	struct pid_ns *pns;

	switch (type) {
	case LINUX_CLONE_NEWNS:
		if (!t->mount_ns)
			return NULL;
		*ino = t->mount_ns->ino;
		return t->mount_ns;
	case LINUX_CLONE_NEWUTS:
		if (!t->uts_ns)
			return NULL;
		*ino = t->uts_ns->ino;
		return t->uts_ns;
	case LINUX_CLONE_NEWUSER:
		if (!t->cred)
			return NULL;
		*ino = t->cred->user_ns->ino;
		return t->cred->user_ns;
	case LINUX_CLONE_NEWPID:
		pns = for_children ? t->child_pid_ns : t->fs ? task_pid_ns(t) : NULL;
		if (!pns)
			return NULL;
		*ino = pns->ino;
		return pns;
	default: {
		struct ns *ns = type == LINUX_CLONE_NEWIPC	? t->ipc_ns
				: type == LINUX_CLONE_NEWNET	? t->net_ns
				: type == LINUX_CLONE_NEWCGROUP ? t->cgroup_ns
				: type == LINUX_CLONE_NEWTIME	? t->time_ns
								: NULL;

		if (!ns)
			return NULL;
		*ino = ns->ino;
		return ns;
	}
	}
}

static void ns_ref_get(struct ns_ref *r)
{
	if (r->type == LINUX_CLONE_NEWNS)
		mount_ns_get(r->ns);
	else if (r->type == LINUX_CLONE_NEWUTS)
		uts_ns_get(r->ns);
	else if (r->type == LINUX_CLONE_NEWUSER)
		user_ns_get(r->ns);
	else if (r->type == LINUX_CLONE_NEWPID)
		pid_ns_get(r->ns);
	else
		ns_get(r->ns);
}

static void ns_ref_put(struct ns_ref *r)
{
	if (r->type == LINUX_CLONE_NEWNS)
		mount_ns_put(r->ns);
	else if (r->type == LINUX_CLONE_NEWUTS)
		uts_ns_put(r->ns);
	else if (r->type == LINUX_CLONE_NEWUSER)
		user_ns_put(r->ns);
	else if (r->type == LINUX_CLONE_NEWPID)
		pid_ns_put(r->ns);
	else
		ns_put(r->ns);
}

static bool ns_ref_of(struct task *t, uint32_t type, bool for_children, struct ns_ref *r)
{
	r->type = type;
	mutex_lock(&t->process->lock);
	r->ns = ns_part(t, type, for_children, &r->ino);
	if (r->ns)
		ns_ref_get(r);
	mutex_unlock(&t->process->lock);
	return r->ns != NULL;
}

uint64_t task_ns_ino(struct task *t, uint32_t type, bool for_children)
{
	struct ns_ref r;
	uint64_t ino;

	if (!ns_ref_of(t, type, for_children, &r))
		return 0;
	ino = r.ino;
	ns_ref_put(&r);
	return ino;
}

/* The namespace is the inode's, so that /proc/pid/ns/X and /proc/pid/fd can be opened again. */
static int nsfile_reopen(struct inode *inode, struct file *f)
{
	f->ops = inode->fops;
	f->priv = inode->bound;
	return 0;
}

static void nsfile_gone(struct inode *inode)
{
	struct ns_ref *r = inode->bound;

	if (!r)
		return;
	ns_ref_put(r);
	kfree(r);
}

static int64_t nsfile_ioctl(struct file *f, uint32_t cmd, uint64_t arg, const struct usermem *um,
			    const struct cred *cred)
{
	struct ns_ref *r = f->priv;
	uint32_t uid;

	switch (cmd) {
	case LINUX_NS_GET_NSTYPE:
		return r->type;
	case LINUX_NS_GET_OWNER_UID:
		if (r->type != LINUX_CLONE_NEWUSER)
			return -EINVAL;
		uid = user_ns_from_kuid(cred->user_ns, ((struct user_ns *)r->ns)->owner_uid);
		return usermem_out(um, arg, &uid, sizeof(uid));
	default:
		return -ENOTTY;
	}
}

static const struct file_ops nsfile_ops = {
	.ioctl = nsfile_ioctl,
	.reopen = nsfile_reopen,
	.inode_gone = nsfile_gone,
	.name = "nsfs",
};

/* A file of what r refers to: takes r, also on failure. */
static int file_of_ref(struct task *t, struct ns_ref *r, const struct cred *cred, struct file **out)
{
	int ret = file_create_anon(t->kernel->vfs, &nsfile_ops, r, LINUX_O_RDONLY, LINUX_S_IFREG | 0444, cred,
				   NULL, out);

	if (ret < 0) {
		ns_ref_put(r);
		kfree(r);
		return ret;
	}
	(*out)->inode->bound = r;
	(*out)->inode->ino = r->ino; /* what stat(2) tells two of them apart by */
	return 0;
}

int ns_file_create(struct task *t, uint32_t type, bool for_children, const struct cred *cred, struct file **out)
{
	struct ns_ref *r = kmalloc(sizeof(*r));

	if (!r)
		return -ENOMEM;
	if (!ns_ref_of(t, type, for_children, r)) {
		kfree(r);
		return -ENOENT;
	}
	return file_of_ref(t, r, cred, out);
}

/* Whose it is: a user namespace's is its parent's. */
static struct user_ns *owner_of(const struct ns_ref *r)
{
	switch (r->type) {
	case LINUX_CLONE_NEWUSER:
		return ((struct user_ns *)r->ns)->parent;
	case LINUX_CLONE_NEWNS:
		return ((struct mount_ns *)r->ns)->owner;
	case LINUX_CLONE_NEWUTS:
		return ((struct uts_ns *)r->ns)->owner;
	case LINUX_CLONE_NEWPID:
		return ((struct pid_ns *)r->ns)->owner;
	default:
		return ((struct ns *)r->ns)->owner;
	}
}

/* NS_GET_USERNS, NS_GET_PARENT (ioctl_nsfs(2)): nothing above the caller's own is shown. */
int ns_file_related(struct task *t, struct file *f, bool parent, struct file **out)
{
	struct ns_ref *from = f->priv, *r;
	struct pid_ns *pns = NULL;
	struct user_ns *uns = NULL;

	if (f->ops != &nsfile_ops)
		return -ENOTTY;
	if (parent && from->type == LINUX_CLONE_NEWPID) {
		pns = ((struct pid_ns *)from->ns)->parent;
		for (struct pid_ns *p = pns; p != task_pid_ns(t); p = p->parent)
			if (!p)
				return -EPERM;
	} else if (parent && from->type != LINUX_CLONE_NEWUSER) {
		return -EINVAL;
	} else {
		uns = owner_of(from);
		if (!uns || !user_ns_is_ancestor(t->cred->user_ns, uns))
			return -EPERM;
	}
	r = kmalloc(sizeof(*r));
	if (!r)
		return -ENOMEM;
	*r = pns ? (struct ns_ref){LINUX_CLONE_NEWPID, pns->ino, pns}
		 : (struct ns_ref){LINUX_CLONE_NEWUSER, uns->ino, uns};
	ns_ref_get(r);
	return file_of_ref(t, r, t->cred, out);
}

int ns_net_find(struct task *t, struct file *f, int32_t tgid, struct ns **out)
{
	struct ns *ns = NULL;
	struct ns_ref *r;
	struct task *of;

	if (f) {
		r = f->priv;
		if (f->ops != &nsfile_ops || r->type != LINUX_CLONE_NEWNET)
			return -EINVAL;
		ns = ns_get(r->ns);
	} else {
		of = task_find_in(task_pid_ns(t), tgid);
		if (!of)
			return -ESRCH;
		mutex_lock(&of->process->lock);
		if (of->net_ns)
			ns = ns_get(of->net_ns);
		mutex_unlock(&of->process->lock);
		task_put(of);
	}
	if (!ns)
		return -ESRCH;
	if (!cred_has_cap_in(t->cred, LINUX_CAP_NET_ADMIN, ns->owner)) {
		ns_put(ns);
		return -EPERM;
	}
	*out = ns;
	return 0;
}

/* Joining one namespace. The new part is put into c, a scratch task that holds a copy of all of t's. */
static int join_one(struct task *t, struct task *c, struct ns_ref *r)
{
	struct user_ns *own = t->cred->user_ns, *owner;
	struct path root;

	switch (r->type) {
	case LINUX_CLONE_NEWNS:
		owner = ((struct mount_ns *)r->ns)->owner;
		if (!cred_has_cap_in(t->cred, LINUX_CAP_SYS_ADMIN, owner) ||
		    !cred_has_cap_in(t->cred, LINUX_CAP_SYS_CHROOT, own))
			return -EPERM;
		if (refs_read(&t->fs->refs) > 1)
			return -EINVAL;
		mount_ns_put(c->mount_ns);
		c->mount_ns = r->ns;
		mount_ns_get(c->mount_ns);
		mount_ns_root(c->mount_ns, &root);
		fs_context_set_root(c->fs, &root);
		fs_context_set_cwd(c->fs, &root);
		path_put(&root);
		return 0;
	case LINUX_CLONE_NEWUTS:
		if (!cred_has_cap_in(t->cred, LINUX_CAP_SYS_ADMIN, ((struct uts_ns *)r->ns)->owner))
			return -EPERM;
		uts_ns_put(c->uts_ns);
		c->uts_ns = uts_ns_get(r->ns);
		return 0;
	case LINUX_CLONE_NEWPID: {
		struct pid_ns *ns = r->ns, *a = ns;

		if (!cred_has_cap_in(t->cred, LINUX_CAP_SYS_ADMIN, ns->owner))
			return -EPERM;
		while (a && a != task_pid_ns(t))
			a = a->parent;
		if (!a)
			return -EINVAL; /* only downwards */
		pid_ns_put(c->child_pid_ns);
		c->child_pid_ns = pid_ns_get(ns);
		return 0;
	}
	default: {
		struct ns *ns = r->ns, **slot = r->type == LINUX_CLONE_NEWIPC	   ? &c->ipc_ns
						: r->type == LINUX_CLONE_NEWNET	   ? &c->net_ns
						: r->type == LINUX_CLONE_NEWCGROUP ? &c->cgroup_ns
										   : &c->time_ns;

		if (!cred_has_cap_in(t->cred, LINUX_CAP_SYS_ADMIN, ns->owner))
			return -EPERM;
		ns_put(*slot);
		*slot = ns_get(ns);
		return 0;
	}
	}
}

static int join_user_ns(struct task *t, struct user_ns *ns)
{
	struct cred *c;
	int ret;

	if (ns == t->cred->user_ns || t->process->task_count > 1 || refs_read(&t->fs->refs) > 1)
		return -EINVAL;
	if (!cred_has_cap_in(t->cred, LINUX_CAP_SYS_ADMIN, ns))
		return -EPERM;
	ret = cred_copy(t->cred, &c);
	if (ret < 0)
		return ret;
	cred_enter_user_ns(c, ns);
	task_set_cred(t, c);
	return 0;
}

static int join_all(struct task *t, struct ns_ref *refs, uint32_t count)
{
	struct task *c;
	int ret = task_alloc(t->kernel, &c);

	if (ret < 0)
		return ret;
	c->process = process_get(t->process);
	c->fds = fdtable_get_ref(t->fds);
	ret = fs_context_copy(t->fs, &c->fs);
	if (ret == 0)
		ret = namespaces_copy(t, c, t->cred->user_ns, c->fs, 0);
	for (uint32_t i = 0; ret == 0 && i < count; i++)
		ret = join_one(t, c, &refs[i]);
	if (ret == 0)
		swap_in(t, c);
	task_drop_parts(c);
	task_put(c);
	return ret;
}

static int setns_pidfd(struct task *t, struct pid *pid, uint64_t flags)
{
	static const uint32_t types[] = {LINUX_CLONE_NEWNS,  LINUX_CLONE_NEWUTS, LINUX_CLONE_NEWIPC,
					 LINUX_CLONE_NEWNET, LINUX_CLONE_NEWPID, LINUX_CLONE_NEWCGROUP,
					 LINUX_CLONE_NEWTIME};
	struct ns_ref refs[ARRAY_SIZE(types)];
	struct process *p;
	struct task *target = NULL;
	uint32_t count = 0;
	int ret = 0;

	if (!flags ||
	    (flags & ~(uint64_t)(PLAIN_NS | LINUX_CLONE_NEWNS | LINUX_CLONE_NEWPID | LINUX_CLONE_NEWUSER)))
		return -EINVAL;
	p = pid_process_get(pid);
	if (!p)
		return -ESRCH;
	mutex_lock(&t->kernel->tasklist_lock);
	if (p->leader)
		target = task_get(p->leader);
	mutex_unlock(&t->kernel->tasklist_lock);
	process_put(p);
	if (!target)
		return -ESRCH;
	if (!task_may_access(t, target))
		ret = -EPERM;
	if (ret == 0 && (flags & LINUX_CLONE_NEWUSER)) {
		struct ns_ref r;

		if (!ns_ref_of(target, LINUX_CLONE_NEWUSER, false, &r)) {
			ret = -ESRCH;
		} else {
			ret = join_user_ns(t, r.ns);
			ns_ref_put(&r);
		}
	}
	for (uint32_t i = 0; ret == 0 && i < ARRAY_SIZE(types); i++) {
		if (!(flags & types[i]))
			continue;
		if (ns_ref_of(target, types[i], false, &refs[count]))
			count++;
		else
			ret = -ESRCH;
	}
	if (ret == 0 && count)
		ret = join_all(t, refs, count);
	while (count)
		ns_ref_put(&refs[--count]);
	task_put(target);
	return ret;
}

int task_setns(struct task *t, struct file *f, uint64_t flags)
{
	struct pid *pid = pidfd_pid(f);
	struct ns_ref *r;

	if (pid)
		return setns_pidfd(t, pid, flags);
	if (f->ops != &nsfile_ops)
		return -EINVAL;
	r = f->priv;
	if (flags && flags != r->type)
		return -EINVAL;
	if (r->type == LINUX_CLONE_NEWUSER)
		return join_user_ns(t, r->ns);
	return join_all(t, r, 1);
}
