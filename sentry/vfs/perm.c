/* perm.c: who may do what: mode bits, groups and capabilities (path_resolution(7), capabilities(7)), and
 * what mounts and supers refuse to everybody. */
#include "sentry/vfs/internal.h"

static bool uid_mapped(const struct cred *c, uint32_t kuid)
{
	struct user_ns *ns = c->user_ns;

	return !ns->parent || user_ns_to_kuid(ns, user_ns_from_kuid(ns, kuid)) == kuid;
}

static bool gid_mapped(const struct cred *c, uint32_t kgid)
{
	struct user_ns *ns = c->user_ns;

	return !ns->parent || user_ns_to_kgid(ns, user_ns_from_kgid(ns, kgid)) == kgid;
}

bool inode_capable(const struct inode *i, const struct cred *cred, int cap)
{
	return cred_has_cap(cred, cap) && uid_mapped(cred, i->uid) && gid_mapped(cred, i->gid);
}

bool inode_owner_or_capable(const struct inode *i, const struct cred *cred)
{
	return cred->fsuid == i->uid || (cred_has_cap(cred, LINUX_CAP_FOWNER) && uid_mapped(cred, i->uid));
}

bool cred_ns_capable(const struct cred *cred, int cap)
{
	return !cred->user_ns->parent && cred_has_cap(cred, cap);
}

int inode_generic_permission(const struct inode *i, uint32_t may, const struct cred *cred)
{
	uint32_t mode = __atomic_load_n(&i->mode, __ATOMIC_RELAXED), bits = mode;

	may &= MAY_READ | MAY_WRITE | MAY_EXEC;
	if (cred->fsuid == __atomic_load_n(&i->uid, __ATOMIC_RELAXED))
		bits >>= 6;
	else if (((mode >> 3) & 7) != (mode & 7) && cred_in_group(cred, i->gid))
		bits >>= 3;
	if (!(may & ~bits & 7))
		return 0;
	if (inode_is_dir(i)) {
		if (!(may & MAY_WRITE) && inode_capable(i, cred, LINUX_CAP_DAC_READ_SEARCH))
			return 0;
		return inode_capable(i, cred, LINUX_CAP_DAC_OVERRIDE) ? 0 : -EACCES;
	}
	if (may == MAY_READ && inode_capable(i, cred, LINUX_CAP_DAC_READ_SEARCH))
		return 0;
	if ((!(may & MAY_EXEC) || (mode & 0111)) && inode_capable(i, cred, LINUX_CAP_DAC_OVERRIDE))
		return 0;
	return -EACCES;
}

int inode_permission(struct inode *i, uint32_t may, const struct cred *cred)
{
	if ((may & MAY_WRITE) && __atomic_load_n(&i->super->read_only, __ATOMIC_RELAXED) &&
	    !inode_is_special(i))
		return -EROFS;
	if (i->ops && i->ops->permission)
		return i->ops->permission(i, may, cred);
	return inode_generic_permission(i, may, cred);
}

int vfs_permission(const struct path *p, uint32_t may, const struct cred *cred)
{
	struct inode *i = p->dentry->inode;
	uint32_t f = p->mnt ? __atomic_load_n(&p->mnt->flags, __ATOMIC_RELAXED) : 0;

	if (!i)
		return -ENOENT;
	if ((may & MAY_EXEC) && inode_is_reg(i) && (f & LINUX_MS_NOEXEC))
		return -EACCES;
	if ((may & MAY_WRITE) && (f & LINUX_MS_RDONLY) && !inode_is_special(i))
		return -EROFS;
	return inode_permission(i, may, cred);
}

int mount_want_write(const struct mount *m)
{
	if (!m)
		return 0;
	if ((__atomic_load_n(&m->flags, __ATOMIC_RELAXED) & LINUX_MS_RDONLY) ||
	    __atomic_load_n(&m->super->read_only, __ATOMIC_RELAXED))
		return -EROFS;
	return 0;
}

int may_change_dir(struct inode *dir, const struct cred *cred)
{
	return inode_permission(dir, MAY_WRITE | MAY_EXEC, cred);
}

int may_delete(struct inode *dir, const struct dentry *victim, bool want_dir, const struct cred *cred)
{
	const struct inode *i = victim->inode;
	int ret = may_change_dir(dir, cred);

	if (ret < 0)
		return ret;
	if ((dir->mode & S_ISVTX) && cred->fsuid != i->uid && cred->fsuid != dir->uid &&
	    !inode_capable(i, cred, LINUX_CAP_FOWNER))
		return -EPERM;
	if (want_dir)
		return inode_is_dir(i) ? 0 : -ENOTDIR;
	return inode_is_dir(i) ? -EISDIR : 0;
}
