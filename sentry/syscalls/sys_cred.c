/* sys_cred.c: user and group ids, supplementary groups, capabilities (credentials(7), capabilities(7)). */
#include "sentry/kernel/task.h"
#include "sentry/syscalls/internal.h"

#define KEEP ID_INVALID /* -1: leave as it is */

int64_t sys_getuid(struct task *t, const struct sysargs *a)
{
	(void)a;
	return show_uid(t, t->cred->uid);
}

int64_t sys_geteuid(struct task *t, const struct sysargs *a)
{
	(void)a;
	return show_uid(t, t->cred->euid);
}

int64_t sys_getgid(struct task *t, const struct sysargs *a)
{
	(void)a;
	return show_gid(t, t->cred->gid);
}

int64_t sys_getegid(struct task *t, const struct sysargs *a)
{
	(void)a;
	return show_gid(t, t->cred->egid);
}

static int three_out(struct task *t, const struct sysargs *a, uint32_t r, uint32_t e, uint32_t s)
{
	if (copy_to_user(t, arg_addr(a, 0), &r, sizeof(r)) < 0 ||
	    copy_to_user(t, arg_addr(a, 1), &e, sizeof(e)) < 0)
		return -EFAULT;
	return copy_to_user(t, arg_addr(a, 2), &s, sizeof(s));
}

int64_t sys_getresuid(struct task *t, const struct sysargs *a)
{
	return three_out(t, a, show_uid(t, t->cred->uid), show_uid(t, t->cred->euid),
			 show_uid(t, t->cred->suid));
}

int64_t sys_getresgid(struct task *t, const struct sysargs *a)
{
	return three_out(t, a, show_gid(t, t->cred->gid), show_gid(t, t->cred->egid),
			 show_gid(t, t->cred->sgid));
}

/* -1 stays; anything else must be mapped. */
static int in_uid(struct task *t, uint32_t uid, uint32_t *kuid)
{
	*kuid = uid == KEEP ? KEEP : user_ns_to_kuid(t->cred->user_ns, uid);
	return uid != KEEP && *kuid == ID_INVALID ? -EINVAL : 0;
}

static int in_gid(struct task *t, uint32_t gid, uint32_t *kgid)
{
	*kgid = gid == KEEP ? KEEP : user_ns_to_kgid(t->cred->user_ns, gid);
	return gid != KEEP && *kgid == ID_INVALID ? -EINVAL : 0;
}

static bool one_of_uids(const struct cred *c, uint32_t id)
{
	return id == c->uid || id == c->euid || id == c->suid;
}

static bool one_of_gids(const struct cred *c, uint32_t id)
{
	return id == c->gid || id == c->egid || id == c->sgid;
}

/* Installs real, effective and saved ids (KEEP: no change). */
static int install_uids(struct task *t, uint32_t r, uint32_t e, uint32_t s)
{
	struct cred *c;
	int ret = cred_copy(t->cred, &c);

	if (ret < 0)
		return ret;
	if (r != KEEP)
		c->uid = r;
	if (e != KEEP)
		c->euid = e;
	if (s != KEEP)
		c->suid = s;
	c->fsuid = c->euid;
	cred_fixup_setuid(c, t->cred);
	task_set_cred(t, c);
	return 0;
}

static int install_gids(struct task *t, uint32_t r, uint32_t e, uint32_t s)
{
	struct cred *c;
	int ret = cred_copy(t->cred, &c);

	if (ret < 0)
		return ret;
	if (r != KEEP)
		c->gid = r;
	if (e != KEEP)
		c->egid = e;
	if (s != KEEP)
		c->sgid = s;
	c->fsgid = c->egid;
	task_set_cred(t, c);
	return 0;
}

int64_t sys_setuid(struct task *t, const struct sysargs *a)
{
	const struct cred *c = t->cred;
	uint32_t id = user_ns_to_kuid(c->user_ns, arg_u32(a, 0));

	if (id == ID_INVALID)
		return -EINVAL;
	if (cred_has_cap(c, LINUX_CAP_SETUID))
		return install_uids(t, id, id, id);
	if (id != c->uid && id != c->suid)
		return -EPERM;
	return install_uids(t, KEEP, id, KEEP);
}

int64_t sys_setgid(struct task *t, const struct sysargs *a)
{
	const struct cred *c = t->cred;
	uint32_t id = user_ns_to_kgid(c->user_ns, arg_u32(a, 0));

	if (id == ID_INVALID)
		return -EINVAL;
	if (cred_has_cap(c, LINUX_CAP_SETGID))
		return install_gids(t, id, id, id);
	if (id != c->gid && id != c->sgid)
		return -EPERM;
	return install_gids(t, KEEP, id, KEEP);
}

int64_t sys_setreuid(struct task *t, const struct sysargs *a)
{
	const struct cred *c = t->cred;
	uint32_t r, e, s = KEEP;

	if (in_uid(t, arg_u32(a, 0), &r) < 0 || in_uid(t, arg_u32(a, 1), &e) < 0)
		return -EINVAL;
	if (!cred_has_cap(c, LINUX_CAP_SETUID) &&
	    ((r != KEEP && r != c->uid && r != c->euid) || (e != KEEP && !one_of_uids(c, e))))
		return -EPERM;
	if (r != KEEP || (e != KEEP && e != c->uid))
		s = e != KEEP ? e : c->euid;
	return install_uids(t, r, e, s);
}

int64_t sys_setregid(struct task *t, const struct sysargs *a)
{
	const struct cred *c = t->cred;
	uint32_t r, e, s = KEEP;

	if (in_gid(t, arg_u32(a, 0), &r) < 0 || in_gid(t, arg_u32(a, 1), &e) < 0)
		return -EINVAL;
	if (!cred_has_cap(c, LINUX_CAP_SETGID) &&
	    ((r != KEEP && r != c->gid && r != c->egid) || (e != KEEP && !one_of_gids(c, e))))
		return -EPERM;
	if (r != KEEP || (e != KEEP && e != c->gid))
		s = e != KEEP ? e : c->egid;
	return install_gids(t, r, e, s);
}

int64_t sys_setresuid(struct task *t, const struct sysargs *a)
{
	const struct cred *c = t->cred;
	uint32_t r, e, s;

	if (in_uid(t, arg_u32(a, 0), &r) < 0 || in_uid(t, arg_u32(a, 1), &e) < 0 ||
	    in_uid(t, arg_u32(a, 2), &s) < 0)
		return -EINVAL;
	if (!cred_has_cap(c, LINUX_CAP_SETUID) &&
	    ((r != KEEP && !one_of_uids(c, r)) || (e != KEEP && !one_of_uids(c, e)) ||
	     (s != KEEP && !one_of_uids(c, s))))
		return -EPERM;
	return install_uids(t, r, e, s);
}

int64_t sys_setresgid(struct task *t, const struct sysargs *a)
{
	const struct cred *c = t->cred;
	uint32_t r, e, s;

	if (in_gid(t, arg_u32(a, 0), &r) < 0 || in_gid(t, arg_u32(a, 1), &e) < 0 ||
	    in_gid(t, arg_u32(a, 2), &s) < 0)
		return -EINVAL;
	if (!cred_has_cap(c, LINUX_CAP_SETGID) &&
	    ((r != KEEP && !one_of_gids(c, r)) || (e != KEEP && !one_of_gids(c, e)) ||
	     (s != KEEP && !one_of_gids(c, s))))
		return -EPERM;
	return install_gids(t, r, e, s);
}

/* The old id is the result, whether it changed or not. */
int64_t sys_setfsuid(struct task *t, const struct sysargs *a)
{
	const struct cred *old = t->cred;
	uint32_t was = show_uid(t, old->fsuid), id = user_ns_to_kuid(old->user_ns, arg_u32(a, 0));
	struct cred *c;

	if (id == ID_INVALID ||
	    (!one_of_uids(old, id) && id != old->fsuid && !cred_has_cap(old, LINUX_CAP_SETUID)))
		return was;
	if (cred_copy(old, &c) < 0)
		return was;
	c->fsuid = id;
	cred_fixup_setfsuid(c, old);
	task_set_cred(t, c);
	return was;
}

int64_t sys_setfsgid(struct task *t, const struct sysargs *a)
{
	const struct cred *old = t->cred;
	uint32_t was = show_gid(t, old->fsgid), id = user_ns_to_kgid(old->user_ns, arg_u32(a, 0));
	struct cred *c;

	if (id == ID_INVALID ||
	    (!one_of_gids(old, id) && id != old->fsgid && !cred_has_cap(old, LINUX_CAP_SETGID)))
		return was;
	if (cred_copy(old, &c) < 0)
		return was;
	c->fsgid = id;
	task_set_cred(t, c);
	return was;
}

int64_t sys_getgroups(struct task *t, const struct sysargs *a)
{
	const struct cred *c = t->cred;
	int size = arg_int(a, 0);
	uint32_t id;

	if (size < 0)
		return -EINVAL;
	if (size == 0)
		return c->group_count;
	if ((uint32_t)size < c->group_count)
		return -EINVAL;
	for (uint32_t i = 0; i < c->group_count; i++) {
		id = show_gid(t, c->groups[i]);
		if (copy_to_user(t, arg_addr(a, 1) + i * sizeof(id), &id, sizeof(id)) < 0)
			return -EFAULT;
	}
	return c->group_count;
}

int64_t sys_setgroups(struct task *t, const struct sysargs *a)
{
	uint32_t count = arg_u32(a, 0), *ids;
	struct cred *c;
	int ret = 0;

	if (!cred_has_cap(t->cred, LINUX_CAP_SETGID) || !user_ns_may_setgroups(t->cred->user_ns))
		return -EPERM;
	if (count > LINUX_NGROUPS_MAX)
		return -EINVAL;
	ids = kmalloc(MAX(count, 1u) * sizeof(*ids));
	if (!ids)
		return -ENOMEM;
	if (count)
		ret = copy_from_user(t, ids, arg_addr(a, 1), count * sizeof(*ids));
	for (uint32_t i = 0; ret == 0 && i < count; i++) {
		ids[i] = user_ns_to_kgid(t->cred->user_ns, ids[i]);
		if (ids[i] == ID_INVALID)
			ret = -EINVAL;
	}
	if (ret == 0)
		ret = cred_copy(t->cred, &c);
	if (ret == 0) {
		ret = cred_set_groups(c, ids, count);
		if (ret == 0)
			task_set_cred(t, c);
		else
			cred_put(c);
	}
	kfree(ids);
	return ret;
}

/* ---- capget(2), capset(2) ---- */

#define CAP_VERSION_1 0x19980330u
#define CAP_VERSION_2 0x20071026u
#define CAP_VERSION_3 0x20080522u

/* Words of data the header's version means; an unknown one is answered with ours. */
static int cap_words(struct task *t, uaddr_t addr, struct linux_cap_header *h, uint32_t *words)
{
	uint32_t ours = CAP_VERSION_3;

	if (copy_from_user(t, h, addr, sizeof(*h)) < 0)
		return -EFAULT;
	switch (h->version) {
	case CAP_VERSION_1:
		*words = 1;
		return 0;
	case CAP_VERSION_2:
	case CAP_VERSION_3:
		*words = 2;
		return 0;
	default:
		if (copy_to_user(t, addr, &ours, sizeof(ours)) < 0)
			return -EFAULT;
		return -EINVAL;
	}
}

int64_t sys_capget(struct task *t, const struct sysargs *a)
{
	struct linux_cap_data d[2] = {0};
	struct linux_cap_header h;
	struct task *target;
	struct cred *c;
	uint32_t words;
	int ret = cap_words(t, arg_addr(a, 0), &h, &words);

	if (ret < 0) /* a probe for the version */
		return ret == -EINVAL && !arg_addr(a, 1) ? 0 : ret;
	if (h.pid < 0)
		return -EINVAL;
	target = task_find_or_self(t, h.pid);
	if (!target)
		return -ESRCH;
	c = task_cred_get(target);
	task_put(target);
	if (!c)
		return -ESRCH;
	for (uint32_t i = 0; i < 2; i++) {
		d[i].effective = (uint32_t)(c->effective >> (32 * i));
		d[i].permitted = (uint32_t)(c->permitted >> (32 * i));
		d[i].inheritable = (uint32_t)(c->inheritable >> (32 * i));
	}
	cred_put(c);
	if (!arg_addr(a, 1))
		return 0;
	return copy_to_user(t, arg_addr(a, 1), d, words * sizeof(d[0]));
}

int64_t sys_capset(struct task *t, const struct sysargs *a)
{
	struct linux_cap_data d[2] = {0};
	struct linux_cap_header h;
	struct cred *c;
	uint32_t words;
	int ret = cap_words(t, arg_addr(a, 0), &h, &words);

	if (ret < 0)
		return ret;
	if (h.pid != 0 && h.pid != task_tid_in(t, t))
		return -EPERM;
	if (copy_from_user(t, d, arg_addr(a, 1), words * sizeof(d[0])) < 0)
		return -EFAULT;
	ret = cred_copy(t->cred, &c);
	if (ret < 0)
		return ret;
	ret = cred_capset(c, (d[0].effective | (uint64_t)d[1].effective << 32) & CAPSET_ALL,
			  (d[0].permitted | (uint64_t)d[1].permitted << 32) & CAPSET_ALL,
			  (d[0].inheritable | (uint64_t)d[1].inheritable << 32) & CAPSET_ALL);
	if (ret < 0)
		cred_put(c);
	else
		task_set_cred(t, c);
	return ret;
}
