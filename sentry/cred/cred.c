/* cred.c: life of a credential, groups, and capability questions. Not here: what happens to capabilities
 * when ids change (caps.c), namespaces and their maps (userns.c). No locks: a shared credential never
 * changes. */
#include "sentry/cred/cred.h"

#include <string.h>

#include "platform/abi/errno.h"
#include "sentry/cred/internal.h"

int cred_create(struct user_ns *ns, uint32_t uid, uint32_t gid, capset_t caps, struct cred **out)
{
	struct cred *c = kmalloc(sizeof(*c));

	if (!c)
		return -ENOMEM;
	refs_init(&c->refs);
	c->uid = c->euid = c->suid = c->fsuid = uid;
	c->gid = c->egid = c->sgid = c->fsgid = gid;
	c->permitted = c->effective = c->bounding = caps & CAPSET_ALL;
	c->user_ns = user_ns_get(ns);
	*out = c;
	return 0;
}

int cred_copy(const struct cred *old, struct cred **out)
{
	struct cred *c = kmemdup(old, sizeof(*old));

	if (!c)
		return -ENOMEM;
	refs_init(&c->refs);
	c->groups = NULL;
	if (old->group_count) {
		c->groups = kmemdup(old->groups, old->group_count * sizeof(*c->groups));
		if (!c->groups) {
			kfree(c);
			return -ENOMEM;
		}
	}
	user_ns_get(c->user_ns);
	*out = c;
	return 0;
}

void cred_put(struct cred *c)
{
	if (!c || !refs_put(&c->refs))
		return;
	user_ns_put(c->user_ns);
	kfree(c->groups);
	kfree(c);
}

/* Heap sort: a guest chooses the input, so no worst case. */
static void groups_sift(uint32_t *g, uint32_t root, uint32_t count)
{
	for (uint32_t child; (child = root * 2 + 1) < count; root = child) {
		uint32_t tmp = g[root];

		if (child + 1 < count && g[child + 1] > g[child])
			child++;
		if (g[child] <= tmp)
			return;
		g[root] = g[child];
		g[child] = tmp;
	}
}

static void groups_sort(uint32_t *g, uint32_t count)
{
	for (uint32_t i = count / 2; i-- > 0;)
		groups_sift(g, i, count);
	for (uint32_t end = count; end > 1;) {
		uint32_t tmp = g[--end];

		g[end] = g[0];
		g[0] = tmp;
		groups_sift(g, 0, end);
	}
}

int cred_set_groups(struct cred *c, const uint32_t *groups, uint32_t count)
{
	uint32_t *copy = NULL;

	if (count > GROUPS_MAX)
		return -EINVAL;
	if (count) {
		copy = kmemdup(groups, count * sizeof(*copy));
		if (!copy)
			return -ENOMEM;
		groups_sort(copy, count);
	}
	kfree(c->groups);
	c->groups = copy;
	c->group_count = count;
	return 0;
}

bool cred_in_group(const struct cred *c, uint32_t kgid)
{
	uint32_t lo = 0, hi = c->group_count;

	if (kgid == c->fsgid)
		return true;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (c->groups[mid] == kgid)
			return true;
		if (c->groups[mid] < kgid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

bool cred_has_cap_in(const struct cred *c, int cap, const struct user_ns *ns)
{
	for (; ns; ns = ns->parent) {
		if (ns == c->user_ns)
			return cred_has_cap(c, cap);
		/* Neither an ancestor of ours nor ourselves: nothing further up can be below us. */
		if (ns->level <= c->user_ns->level)
			return false;
		/* The owner of a namespace, in its parent, has every capability in it. */
		if (ns->parent == c->user_ns && ns->owner_uid == c->euid)
			return true;
	}
	return false;
}
