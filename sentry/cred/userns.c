/* userns.c: user namespaces: their tree, their id maps, and the text that sets the maps. A map is written
 * once; `count` is published last, so that translation takes no lock. */
#include <string.h>

#include "platform/abi/errno.h"
#include "sentry/cred/internal.h"

int user_ns_create(struct user_ns *parent, const struct cred *owner, struct user_ns **out)
{
	struct user_ns *ns;

	if (parent && parent->level >= USER_NS_MAX_LEVEL)
		return -ENOSPC;
	/* The creator must exist in its own namespace, or nothing could be said about who owns the new one.
	 */
	if (parent && owner &&
	    (!user_ns_knows_kuid(parent, owner->euid) || !user_ns_knows_kgid(parent, owner->egid)))
		return -EPERM;
	ns = kmalloc(sizeof(*ns));
	if (!ns)
		return -ENOMEM;
	refs_init(&ns->refs);
	mutex_init(&ns->lock, RANK_CRED);
	if (parent) {
		ns->parent = user_ns_get(parent);
		ns->level = parent->level + 1;
		mutex_lock(&parent->lock);
		ns->setgroups_denied = parent->setgroups_denied;
		mutex_unlock(&parent->lock);
	}
	ns->owner_uid = owner ? owner->euid : 0;
	ns->owner_gid = owner ? owner->egid : 0;
	*out = ns;
	return 0;
}

void user_ns_put(struct user_ns *ns)
{
	while (ns && refs_put(&ns->refs)) {
		struct user_ns *parent = ns->parent;

		kfree(ns->uid_map.extents);
		kfree(ns->gid_map.extents);
		kfree(ns);
		ns = parent;
	}
}

bool user_ns_is_ancestor(const struct user_ns *ancestor, const struct user_ns *ns)
{
	while (ns && ns->level > ancestor->level)
		ns = ns->parent;
	return ns == ancestor;
}

static uint32_t map_in(const struct user_ns *ns, const struct id_map *m, uint32_t id)
{
	uint32_t count = __atomic_load_n(&m->count, __ATOMIC_ACQUIRE);

	if (!ns->parent)
		return id; /* the initial namespace is the identity */
	for (uint32_t i = 0; i < count; i++) {
		const struct id_extent *e = &m->extents[i];

		if (id >= e->inside && id - e->inside < e->count)
			return e->outside + (id - e->inside);
	}
	return ID_INVALID;
}

static uint32_t map_out(const struct user_ns *ns, const struct id_map *m, uint32_t kid)
{
	uint32_t count = __atomic_load_n(&m->count, __ATOMIC_ACQUIRE);

	if (!ns->parent)
		return kid;
	for (uint32_t i = 0; i < count; i++) {
		const struct id_extent *e = &m->extents[i];

		if (kid >= e->outside && kid - e->outside < e->count)
			return e->inside + (kid - e->outside);
	}
	return ID_INVALID;
}

uint32_t user_ns_to_kuid(struct user_ns *ns, uint32_t uid)
{
	return map_in(ns, &ns->uid_map, uid);
}

uint32_t user_ns_to_kgid(struct user_ns *ns, uint32_t gid)
{
	return map_in(ns, &ns->gid_map, gid);
}

uint32_t user_ns_from_kuid(struct user_ns *ns, uint32_t kuid)
{
	uint32_t id = map_out(ns, &ns->uid_map, kuid);

	return id == ID_INVALID ? OVERFLOW_ID : id;
}

uint32_t user_ns_from_kgid(struct user_ns *ns, uint32_t kgid)
{
	uint32_t id = map_out(ns, &ns->gid_map, kgid);

	return id == ID_INVALID ? OVERFLOW_ID : id;
}

bool user_ns_knows_kuid(const struct user_ns *ns, uint32_t kuid)
{
	return map_out(ns, &ns->uid_map, kuid) != ID_INVALID;
}

bool user_ns_knows_kgid(const struct user_ns *ns, uint32_t kgid)
{
	return map_out(ns, &ns->gid_map, kgid) != ID_INVALID;
}

/* One unsigned number of at most 32 bits; -EINVAL. *p moves behind it. */
static int parse_id(const char **p, const char *end, uint32_t *out)
{
	uint64_t v = 0;
	bool any = false;

	while (*p < end && (**p == ' ' || **p == '\t'))
		(*p)++;
	for (; *p < end && **p >= '0' && **p <= '9'; (*p)++) {
		v = v * 10 + (uint64_t)(**p - '0');
		any = true;
		if (v > UINT32_MAX)
			return -EINVAL;
	}
	*out = (uint32_t)v;
	return any ? 0 : -EINVAL;
}

static bool ranges_meet(uint32_t a, uint32_t an, uint32_t b, uint32_t bn)
{
	return a < (uint64_t)b + bn && b < (uint64_t)a + an;
}

/* "inside outside count" a line into e; the count of lines, or -EINVAL. */
static int parse_map(const char *text, size_t n, struct id_extent *e)
{
	const char *p = text, *end = text + n;
	uint32_t count = 0;

	while (p < end) {
		struct id_extent x;

		if (count == ID_MAP_MAX || parse_id(&p, end, &x.inside) < 0 ||
		    parse_id(&p, end, &x.outside) < 0 || parse_id(&p, end, &x.count) < 0)
			return -EINVAL;
		while (p < end && (*p == ' ' || *p == '\t'))
			p++;
		if (p < end && *p++ != '\n')
			return -EINVAL;
		if (x.count == 0 || x.inside == ID_INVALID || x.outside == ID_INVALID ||
		    (uint64_t)x.inside + x.count > ID_INVALID || (uint64_t)x.outside + x.count > ID_INVALID)
			return -EINVAL;
		for (uint32_t i = 0; i < count; i++)
			if (ranges_meet(e[i].inside, e[i].count, x.inside, x.count) ||
			    ranges_meet(e[i].outside, e[i].count, x.outside, x.count))
				return -EINVAL;
		e[count++] = x;
	}
	return count ? (int)count : -EINVAL;
}

/* Parent ids to kernel ids: a whole extent must lie in one extent of the parent. */
static int map_to_kernel(struct user_ns *parent, bool gid, struct id_extent *e)
{
	const struct id_map *m = gid ? &parent->gid_map : &parent->uid_map;
	uint32_t first = map_in(parent, m, e->outside);
	uint32_t last = map_in(parent, m, e->outside + e->count - 1);

	if (first == ID_INVALID || last == ID_INVALID || last - first != e->count - 1)
		return -EPERM;
	e->outside = first;
	return 0;
}

/* May writer set this map? CAP_SET[UG]ID in the parent allows any; without it, only one's own id. */
static bool map_allowed(struct user_ns *ns, bool gid, const struct id_extent *e, int count,
			const struct cred *writer)
{
	if (!cred_has_cap_in(writer, LINUX_CAP_SYS_ADMIN, ns))
		return false;
	if (count == 1 && e->count == 1 && writer->euid == ns->owner_uid) {
		if (!gid && e->outside == writer->euid)
			return true;
		if (gid && e->outside == writer->egid && ns->setgroups_denied)
			return true;
	}
	return cred_has_cap_in(writer, gid ? LINUX_CAP_SETGID : LINUX_CAP_SETUID, ns->parent);
}

int user_ns_write_map(struct user_ns *ns, bool gid, const char *text, size_t n, const struct cred *writer)
{
	struct id_map *m = gid ? &ns->gid_map : &ns->uid_map;
	struct id_extent *e;
	int count, ret = 0;

	if (!ns->parent)
		return -EPERM;
	if (n >= PAGE_SIZE)
		return -EINVAL;
	e = kmalloc(ID_MAP_MAX * sizeof(*e));
	if (!e)
		return -ENOMEM;
	count = parse_map(text, n, e);
	if (count < 0) {
		kfree(e);
		return count;
	}
	for (int i = 0; i < count && ret == 0; i++)
		ret = map_to_kernel(ns->parent, gid, &e[i]);
	mutex_lock(&ns->lock);
	if (ret == 0 && (m->count || !map_allowed(ns, gid, e, count, writer)))
		ret = -EPERM;
	if (ret == 0) {
		m->extents = e;
		__atomic_store_n(&m->count, (uint32_t)count, __ATOMIC_RELEASE);
	}
	mutex_unlock(&ns->lock);
	if (ret < 0)
		kfree(e);
	return ret;
}

int user_ns_write_setgroups(struct user_ns *ns, const char *text, size_t n)
{
	bool deny;
	int ret = 0;

	while (n && (text[n - 1] == '\n' || text[n - 1] == ' '))
		n--;
	if (n == 4 && memcmp(text, "deny", 4) == 0)
		deny = true;
	else if (n == 5 && memcmp(text, "allow", 5) == 0)
		deny = false;
	else
		return -EINVAL;
	mutex_lock(&ns->lock);
	if (deny && ns->gid_map.count == 0 && ns->parent)
		ns->setgroups_denied = true;
	else if (deny ? !ns->setgroups_denied : ns->setgroups_denied)
		ret = -EPERM;
	mutex_unlock(&ns->lock);
	return ret;
}

bool user_ns_map_extent(struct user_ns *ns, bool gid, uint32_t i, struct user_ns *viewer, struct id_extent *out)
{
	struct id_map *m = gid ? &ns->gid_map : &ns->uid_map;
	uint32_t count = __atomic_load_n(&m->count, __ATOMIC_ACQUIRE);

	if (!ns->parent) {
		*out = (struct id_extent){0, 0, ID_INVALID};
		return i == 0;
	}
	if (i >= count)
		return false;
	*out = m->extents[i];
	/* A reader inside the namespace is shown the parent's ids. */
	if (viewer == ns)
		viewer = ns->parent;
	out->outside = map_out(viewer, gid ? &viewer->gid_map : &viewer->uid_map, out->outside);
	return true;
}

bool user_ns_may_setgroups(struct user_ns *ns)
{
	bool ok;

	mutex_lock(&ns->lock);
	ok = !ns->parent || (ns->gid_map.count && !ns->setgroups_denied);
	mutex_unlock(&ns->lock);
	return ok;
}
