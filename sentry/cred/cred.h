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
	uint32_t count;		   /* [a] 0: not written yet; set last, so that readers need no lock */
	struct id_extent *extents; /* [I] once count is set; owned; outside ids are kernel ids */
};

/* user_namespaces(7). Kernel ids ("kuid") are those of the initial namespace. */
struct user_ns {
	struct refs refs;
	struct user_ns *parent;	       /* [I] NULL: initial */
	uint32_t level;		       /* [I] */
	uint32_t owner_uid, owner_gid; /* [I] kernel ids */
	struct mutex lock;
	struct id_map uid_map, gid_map; /* [lock] set once */
	bool setgroups_denied;		/* [lock] */
	uint64_t ino;			/* [I] for /proc/pid/ns/user */
};

struct cred {
	struct refs refs;
	uint32_t uid, gid, euid, egid, suid, sgid, fsuid, fsgid;       /* [I] kernel ids */
	capset_t permitted, effective, inheritable, bounding, ambient; /* [I] */
	uint32_t securebits;					       /* [I] */
	bool no_new_privs;					       /* [I] */
	struct user_ns *user_ns;				       /* [I] holds a reference */
	uint32_t group_count;					       /* [I] */
	uint32_t *groups;					       /* [I] kernel ids, sorted; owned */
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

/* What capabilities(7) says happens to the sets of `c` (an editable copy of old, ids already changed) when
 * the real, effective and saved user ids, or the file-system user id, changed. */
void cred_fixup_setuid(struct cred *c, const struct cred *old);
void cred_fixup_setfsuid(struct cred *c, const struct cred *old);
/* execve: the credential that the new image runs with. set_uid, set_gid: kernel ids of a set-id file or
 * ID_INVALID; ignored under no_new_privs. secure: AT_SECURE. Files carry no capabilities of their own. */
MUST_CHECK int cred_exec(const struct cred *old, uint32_t set_uid, uint32_t set_gid, bool *secure,
			 struct cred **out);
/* unshare(CLONE_NEWUSER): c (an editable copy) enters ns with all capabilities there; takes a reference. */
void cred_enter_user_ns(struct cred *c, struct user_ns *ns);
/* capset(2): 0, or -EPERM as the rules there demand; c is an editable copy of the caller's. */
MUST_CHECK int cred_capset(struct cred *c, capset_t effective, capset_t permitted, capset_t inheritable);
/* prctl(PR_SET_SECUREBITS): -EPERM when locked or not capable. */
MUST_CHECK int cred_set_securebits(struct cred *c, uint32_t bits);

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

bool user_ns_is_ancestor(const struct user_ns *ancestor, const struct user_ns *ns); /* or the same */

/* /proc/pid/uid_map, gid_map, setgroups: user_namespaces(7). writer is the credential that opened
 * the file. The whole map comes in one write, once. */
MUST_CHECK int user_ns_write_map(struct user_ns *ns, bool gid, const char *text, size_t n,
				 const struct cred *writer);
MUST_CHECK int user_ns_write_setgroups(struct user_ns *ns, const char *text, size_t n);
/* The i-th extent as seen from viewer's namespace: false when there is none. */
bool user_ns_map_extent(struct user_ns *ns, bool gid, uint32_t i, struct user_ns *viewer,
			struct id_extent *out);
/* setgroups(2) is possible: gid_map written and not denied. */
bool user_ns_may_setgroups(struct user_ns *ns);

/* Limits of a thread group: getrlimit(2). */
struct rlimits {
	struct mutex lock;			   /* rank CRED */
	struct linux_rlimit r[LINUX_RLIM_NLIMITS]; /* [lock] */
};
void rlimits_init(struct rlimits *l);
void rlimits_copy(struct rlimits *dst, struct rlimits *src);
uint64_t rlimit_cur(struct rlimits *l, int resource);
/* prlimit(2): old and new may be NULL. -EINVAL, -EPERM (raising a hard limit without cap). */
MUST_CHECK int rlimit_change(struct rlimits *l, int resource, const struct linux_rlimit *new_limit,
			     struct linux_rlimit *old, bool cap_sys_resource);
