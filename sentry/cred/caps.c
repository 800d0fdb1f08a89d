/* caps.c: capability sets across changes of ids, execve, capset and securebits, as capabilities(7) defines
 * them. "root" is user id 0 of the credential's own namespace. */
#include "platform/abi/errno.h"
#include "sentry/cred/internal.h"

/* The capabilities that follow the file-system user id. */
#define CAPSET_FS                                                                                              \
	(CAP_BIT(LINUX_CAP_CHOWN) | CAP_BIT(LINUX_CAP_DAC_OVERRIDE) | CAP_BIT(LINUX_CAP_DAC_READ_SEARCH) |     \
	 CAP_BIT(LINUX_CAP_FOWNER) | CAP_BIT(LINUX_CAP_FSETID) | CAP_BIT(LINUX_CAP_LINUX_IMMUTABLE) |          \
	 CAP_BIT(LINUX_CAP_MKNOD) | CAP_BIT(LINUX_CAP_MAC_OVERRIDE))

static bool any_root(const struct cred *c, uint32_t root)
{
	return c->uid == root || c->euid == root || c->suid == root;
}

void cred_fixup_setuid(struct cred *c, const struct cred *old)
{
	uint32_t root = user_ns_to_kuid(c->user_ns, 0);

	if ((c->securebits & LINUX_SECBIT_NO_SETUID_FIXUP) || root == ID_INVALID)
		return;
	if (any_root(old, root) && !any_root(c, root)) {
		if (!(c->securebits & LINUX_SECBIT_KEEP_CAPS))
			c->permitted = c->effective = 0;
		c->ambient = 0;
	}
	if (old->euid == root && c->euid != root)
		c->effective = 0;
	if (old->euid != root && c->euid == root)
		c->effective = c->permitted;
	cred_fixup_setfsuid(c, old);
}

void cred_fixup_setfsuid(struct cred *c, const struct cred *old)
{
	uint32_t root = user_ns_to_kuid(c->user_ns, 0);

	if ((c->securebits & LINUX_SECBIT_NO_SETUID_FIXUP) || root == ID_INVALID)
		return;
	if (old->fsuid == root && c->fsuid != root)
		c->effective &= ~CAPSET_FS;
	if (old->fsuid != root && c->fsuid == root)
		c->effective |= c->permitted & CAPSET_FS;
}

int cred_exec(const struct cred *old, uint32_t set_uid, uint32_t set_gid, bool *secure, struct cred **out)
{
	uint32_t root = user_ns_to_kuid(old->user_ns, 0);
	bool effective = false, set_id;
	struct cred *c;
	int ret = cred_copy(old, &c);

	if (ret < 0)
		return ret;
	if (!c->no_new_privs) {
		/* An id that doesn't exist in the namespace can't be taken on. */
		if (set_uid != ID_INVALID && user_ns_knows_kuid(c->user_ns, set_uid))
			c->euid = set_uid;
		if (set_gid != ID_INVALID && user_ns_knows_kgid(c->user_ns, set_gid))
			c->egid = set_gid;
	}
	set_id = c->euid != old->uid || c->egid != old->gid;
	c->permitted = 0;
	if (!(c->securebits & LINUX_SECBIT_NOROOT) && root != ID_INVALID) {
		/* Root's files are taken to carry all capabilities, permitted and inheritable. */
		if (c->euid == root || c->uid == root)
			c->permitted = c->inheritable | c->bounding;
		effective = c->euid == root;
	}
	if (set_id)
		c->ambient = 0;
	c->permitted |= c->ambient;
	c->effective = effective ? c->permitted : c->ambient;
	c->suid = c->fsuid = c->euid;
	c->sgid = c->fsgid = c->egid;
	c->securebits &= ~(uint32_t)LINUX_SECBIT_KEEP_CAPS;
	*secure = set_id || (c->uid != root && (effective || (c->permitted & ~c->ambient)));
	*out = c;
	return 0;
}

void cred_enter_user_ns(struct cred *c, struct user_ns *ns)
{
	user_ns_get(ns);
	user_ns_put(c->user_ns);
	c->user_ns = ns;
	c->permitted = c->effective = c->bounding = CAPSET_ALL;
	c->inheritable = c->ambient = 0;
	c->securebits = LINUX_SECUREBITS_DEFAULT;
}

int cred_capset(struct cred *c, capset_t effective, capset_t permitted, capset_t inheritable)
{
	effective &= CAPSET_ALL;
	permitted &= CAPSET_ALL;
	inheritable &= CAPSET_ALL;
	if (!cred_has_cap(c, LINUX_CAP_SETPCAP) && (inheritable & ~(c->inheritable | c->permitted)))
		return -EPERM;
	if (inheritable & ~(c->inheritable | c->bounding))
		return -EPERM;
	if ((permitted & ~c->permitted) || (effective & ~permitted))
		return -EPERM;
	c->effective = effective;
	c->permitted = permitted;
	c->inheritable = inheritable;
	c->ambient &= permitted & inheritable;
	return 0;
}

int cred_set_securebits(struct cred *c, uint32_t bits)
{
	uint32_t old = c->securebits, locked = (old & LINUX_SECURE_ALL_LOCKS) >> 1;

	if (bits & ~(uint32_t)(LINUX_SECURE_ALL_BITS | LINUX_SECURE_ALL_LOCKS))
		return -EPERM;
	if (((old ^ bits) & locked) || ((old & LINUX_SECURE_ALL_LOCKS) & ~bits))
		return -EPERM;
	if (!cred_has_cap(c, LINUX_CAP_SETPCAP))
		return -EPERM;
	c->securebits = bits;
	return 0;
}
