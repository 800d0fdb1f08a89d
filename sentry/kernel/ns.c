/* ns.c: namespaces without state of their own here (ns), and the UTS one. */
#include <string.h>

#include "sentry/kernel/internal.h"

int ns_create(struct kernel *k, uint32_t type, struct user_ns *owner, struct ns **out)
{
	struct ns *ns = kmalloc(sizeof(*ns));

	if (!ns)
		return -ENOMEM;
	refs_init(&ns->refs);
	ns->type = type;
	ns->owner = user_ns_get(owner);
	ns->ino = __atomic_add_fetch(&k->next_ns_ino, 1, __ATOMIC_RELAXED);
	if (type == LINUX_CLONE_NEWNET && k->ops.net_ns_created) {
		int ret = k->ops.net_ns_created(k, ns, !k->net_ns);

		if (ret < 0) {
			ns_put(ns);
			return ret;
		}
	}
	*out = ns;
	return 0;
}

struct ns *ns_get(struct ns *ns)
{
	refs_get(&ns->refs);
	return ns;
}

void ns_put(struct ns *ns)
{
	if (!ns || !refs_put(&ns->refs))
		return;
	if (ns->destroy)
		ns->destroy(ns);
	user_ns_put(ns->owner);
	kfree(ns);
}

int uts_ns_create(struct kernel *k, struct uts_ns *from, struct user_ns *owner, struct uts_ns **out)
{
	struct uts_ns *ns = kmalloc(sizeof(*ns));

	if (!ns)
		return -ENOMEM;
	refs_init(&ns->refs);
	mutex_init(&ns->lock, RANK_CRED);
	ns->owner = user_ns_get(owner);
	ns->ino = __atomic_add_fetch(&k->next_ns_ino, 1, __ATOMIC_RELAXED);
	if (from) {
		mutex_lock(&from->lock);
		memcpy(ns->nodename, from->nodename, sizeof(ns->nodename));
		memcpy(ns->domainname, from->domainname, sizeof(ns->domainname));
		mutex_unlock(&from->lock);
	}
	*out = ns;
	return 0;
}

struct uts_ns *uts_ns_get(struct uts_ns *ns)
{
	refs_get(&ns->refs);
	return ns;
}

void uts_ns_put(struct uts_ns *ns)
{
	if (!ns || !refs_put(&ns->refs))
		return;
	user_ns_put(ns->owner);
	kfree(ns);
}
