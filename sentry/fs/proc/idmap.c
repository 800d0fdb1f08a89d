/* idmap.c: uid_map, gid_map, setgroups of a task's user namespace (user_namespaces(7)). */
#include "sentry/fs/proc/internal.h"

static struct user_ns *node_user_ns(struct pseudo_node *n)
{
	struct task *t = proc_task(n);
	struct user_ns *ns = NULL;
	struct cred *c;

	if (!t)
		return NULL;
	c = task_cred_get(t);
	task_put(t);
	if (c) {
		ns = user_ns_get(c->user_ns);
		cred_put(c);
	}
	return ns;
}

int proc_show_idmap(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	struct user_ns *ns = node_user_ns(n);
	struct id_extent e;

	if (!ns)
		return -EINVAL;
	for (uint32_t i = 0; user_ns_map_extent(ns, n->entry->arg != 0, i, f->cred->user_ns, &e); i++)
		strbuf_printf(out, "%10u %10u %10u\n", e.inside, e.outside, e.count);
	user_ns_put(ns);
	return 0;
}

ssize_t proc_store_idmap(struct pseudo_node *n, struct file *f, char *buf, size_t size)
{
	struct user_ns *ns = node_user_ns(n);
	struct task *t;
	int ret;

	if (!ns)
		return -EINVAL;
	ret = user_ns_write_map(ns, n->entry->arg != 0, buf, size, f->cred);
	user_ns_put(ns);
	t = ret < 0 ? NULL : proc_task(n);
	if (t) {
		user_ns_map_changed(t->kernel);
		task_put(t);
	}
	return ret < 0 ? ret : (ssize_t)size;
}

int proc_show_setgroups(struct pseudo_node *n, struct file *f, struct strbuf *out)
{
	struct user_ns *ns = node_user_ns(n);
	bool denied;

	(void)f;
	if (!ns)
		return -EINVAL;
	mutex_lock(&ns->lock);
	denied = ns->setgroups_denied;
	mutex_unlock(&ns->lock);
	user_ns_put(ns);
	strbuf_puts(out, denied ? "deny\n" : "allow\n");
	return 0;
}

ssize_t proc_store_setgroups(struct pseudo_node *n, struct file *f, char *buf, size_t size)
{
	struct user_ns *ns = node_user_ns(n);
	int ret = -EPERM;

	if (!ns)
		return -EINVAL;
	if (cred_has_cap_in(f->cred, 21 /* CAP_SYS_ADMIN */, ns))
		ret = user_ns_write_setgroups(ns, buf, size);
	user_ns_put(ns);
	return ret < 0 ? ret : (ssize_t)size;
}
