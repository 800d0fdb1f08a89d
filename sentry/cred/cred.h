/* cred.h: who a task is: ids, groups, capabilities, user namespace; and resource limits. A struct cred is
 * immutable once it is shared (credentials(7), capabilities(7)); to change one, copy it, edit the copy and
 * install it. */
#pragma once

#include "platform/abi/types.h"
#include "platform/abi/prctl.h"
#include "platform/abi/resource.h"
#include "platform/base/attr.h"
#include "platform/base/lock.h"
#include "platform/base/refs.h"

#define ID_MAP_MAX  340
#define ID_INVALID  ((uint32_t)-1)
#define OVERFLOW_ID 65534u

typedef uint64_t capset_t;
#define CAPSET_ALL   ((1ULL << (LINUX_CAP_LAST_CAP + 1)) - 1)
#define CAP_BIT(cap) (1ULL << (cap))

struct id_extent {
	uint32_t inside, outside, count;
};

struct id_map {
	uint32_t count; /* [cred lock] 0: not written yet */
	struct id_extent extents[5];
};

/* user_namespaces(7). Kernel ids ("kuid") are those of the initial namespace. */
struct user_ns {
	struct refs refs;
	struct user_ns *parent; /* [I] NULL: initial */
	uint32_t level;		/* [I] */
	uint32_t owner_uid, owner_gid; /* [I] kernel ids */
	struct mutex lock;
	struct id_map uid_map, gid_map; /* [lock] set once */
	bool setgroups_denied;		/* [lock] */
	uint64_t ino;			/* [I] for /proc/pid/ns/user */
};

struct cred {
	struct refs refs;
	uint32_t uid, gid, euid, egid, suid, sgid, fsuid, fsgid; /* [I] kernel ids */
	capset_t permitted, effective, inheritable, bounding, ambient; /* [I] */
	uint32_t securebits; /* [I] */
	bool no_new_privs;   /* [I] */
	struct user_ns *user_ns; /* [I] holds a reference */
	uint32_t group_count;	 /* [I] */
	uint32_t *groups;	 /* [I] kernel ids, sorted; owned */
};

/* root in the initial namespace with the given capabilities */
MUST_CHECK int cred_create(struct user_ns *ns, uint32_t uid, uint32_t gid, capset_t caps, struct cred **out);
/* An editable copy. */
MUST_CHECK int cred_copy(const struct cred *c, struct cred **out);
MUST_CHECK int cred_set_groups(struct cred *c, const uint32_t *groups, uint32_t count);
static inline struct cred *cred_get(struct cred *c)
{
	refs_get(&c->refs);
	return c;
}
void cred_put(struct cred *c);

bool cred_in_group(const struct cred *c, uint32_t kgid); /* fsgid or supplementary */
/* capability in the credential's own namespace */
static inline bool cred_has_cap(const struct cred *c, int cap)
{
	return (c->effective & CAP_BIT(cap)) != 0;
}
/* capability with respect to ns: also an ancestor's owner, as user_namespaces(7) says */
bool cred_has_cap_in(const struct cred *c, int cap, const struct user_ns *ns);

MUST_CHECK int user_ns_create(struct user_ns *parent, const struct cred *owner, struct user_ns **out);
static inline struct user_ns *user_ns_get(struct user_ns *ns)
{
	refs_get(&ns->refs);
	return ns;
}
void user_ns_put(struct user_ns *ns);
/* ID_INVALID when not mapped */
uint32_t user_ns_to_kuid(struct user_ns *ns, uint32_t uid);
uint32_t user_ns_to_kgid(struct user_ns *ns, uint32_t gid);
/* OVERFLOW_ID when not mapped */
uint32_t user_ns_from_kuid(struct user_ns *ns, uint32_t kuid);
uint32_t user_ns_from_kgid(struct user_ns *ns, uint32_t kgid);

/* Limits of a thread group: getrlimit(2). */
struct rlimits {
	struct mutex lock; /* rank CRED */
	struct linux_rlimit r[LINUX_RLIM_NLIMITS]; /* [lock] */
};
void rlimits_init(struct rlimits *l);
uint64_t rlimit_cur(struct rlimits *l, int resource);
