/* attr.c: attributes: stat, chmod, chown, utimensat, truncate, access. */
#include "sentry/vfs/internal.h"

int vfs_stat_path(const struct path *p, uint32_t mask, struct kstat *out)
{
	struct inode *i = p->dentry->inode;
	int ret = 0;

	if (!i)
		return -ENOENT;
	if (i->ops && i->ops->getattr)
		ret = i->ops->getattr(i, mask, out);
	else
		inode_fill_kstat(i, out);
	if (ret < 0)
		return ret;
	if (p->mnt) {
		out->mnt_id = p->mnt->id;
		out->mask |= LINUX_STATX_MNT_ID;
		if (p->dentry == p->mnt->root)
			out->attributes |= LINUX_STATX_ATTR_MOUNT_ROOT;
	}
	out->attributes_mask |= LINUX_STATX_ATTR_MOUNT_ROOT;
	return 0;
}

int vfs_stat(const struct vfs_at *at, const char *name, uint32_t lookup, uint32_t mask, struct kstat *out)
{
	struct path p;
	int ret = vfs_lookup(at, name, lookup, &p);

	if (ret < 0)
		return ret;
	if (at->basis)
		vfs_basis_inode(at->basis, p.dentry->inode);
	ret = vfs_stat_path(&p, mask, out);
	path_put(&p);
	return ret;
}

int vfs_access(const struct vfs_at *at, const char *name, uint32_t lookup, uint32_t may)
{
	struct path p;
	int ret = vfs_lookup(at, name, lookup, &p);

	if (ret < 0)
		return ret;
	if (at->basis)
		vfs_basis_inode(at->basis, p.dentry->inode);
	if (may)
		ret = vfs_permission(&p, may, at->cred);
	path_put(&p);
	return ret;
}

ssize_t vfs_readlink(const struct vfs_at *at, const char *name, char *buf, size_t size)
{
	struct path p;
	struct inode *i;
	ssize_t ret = vfs_lookup(at, name, *name ? 0 : LOOKUP_EMPTY, &p);

	if (ret < 0)
		return ret;
	i = p.dentry->inode;
	if (at->basis)
		vfs_basis_inode(at->basis, i);
	if (!inode_is_link(i))
		ret = *name ? -EINVAL : -ENOENT;
	else if (i->ops->readlink_at)
		ret = i->ops->readlink_at(i, at, buf, size);
	else
		ret = i->ops->readlink ? i->ops->readlink(i, buf, size) : -EINVAL;
	if (ret >= 0)
		touch_atime(&p, i, 0);
	path_put(&p);
	return ret;
}

static bool time_before(const struct linux_timespec *a, const struct linux_timespec *b) /* or equal */
{
	return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec <= b->tv_nsec);
}

void touch_atime(const struct path *p, struct inode *i, uint32_t file_flags)
{
	uint32_t f;
	struct linux_timespec now;

	if (!p->mnt || (file_flags & LINUX_O_NOATIME))
		return;
	f = __atomic_load_n(&p->mnt->flags, __ATOMIC_RELAXED);
	if ((f & (LINUX_MS_NOATIME | LINUX_MS_RDONLY)) || i->super->read_only)
		return;
	if ((f & LINUX_MS_NODIRATIME) && inode_is_dir(i))
		return;
	now = vfs_now();
	if ((f & LINUX_MS_RELATIME) && !time_before(&i->atime, &i->mtime) &&
	    !time_before(&i->atime, &i->ctime) && now.tv_sec - i->atime.tv_sec < 24 * 60 * 60)
		return;
	mutex_lock(&i->lock);
	inode_change_begin(i);
	i->atime = now;
	inode_change_end(i);
	mutex_unlock(&i->lock);
}

void inode_set_fields(struct inode *i, const struct iattr *a)
{
	struct linux_timespec now = vfs_now();

	if (a->valid & ATTR_UID)
		__atomic_store_n(&i->uid, a->uid, __ATOMIC_RELAXED);
	if (a->valid & ATTR_GID)
		__atomic_store_n(&i->gid, a->gid, __ATOMIC_RELAXED);
	if (a->valid & ATTR_MODE)
		__atomic_store_n(&i->mode, (i->mode & LINUX_S_IFMT) | (a->mode & S_IALLUGO), __ATOMIC_RELAXED);
	if (a->valid & ATTR_ATIME)
		i->atime = a->valid & ATTR_ATIME_NOW ? now : a->atime;
	else if (a->valid & ATTR_ATIME_NOW)
		i->atime = now;
	if (a->valid & ATTR_MTIME)
		i->mtime = a->valid & ATTR_MTIME_NOW ? now : a->mtime;
	else if (a->valid & ATTR_MTIME_NOW)
		i->mtime = now;
	i->ctime = now;
}

int setattr_locked(struct inode *i, const struct iattr *a, const struct cred *cred)
{
	/* a directory's rights decide about the names below it */
	uint64_t *names = inode_is_dir(i) ? &i->super->vfs->words[CHANGE_NAMES] : NULL;
	int ret = 0;

	if (names)
		change_begin(names);
	inode_change_begin(i);
	if (i->ops && i->ops->setattr)
		ret = i->ops->setattr(i, a, cred);
	else if (a->valid & ATTR_SIZE)
		ret = -EINVAL;
	else
		inode_set_fields(i, a);
	inode_change_end(i);
	if (names)
		change_end(names);
	return ret;
}

/* The set-id bits that writing, truncating or giving away takes: the group's counts when the group may
 * execute, or when the caller isn't in it. */
static uint32_t privileged_bits(const struct inode *i, const struct cred *cred)
{
	uint32_t bits = i->mode & S_ISUID;

	if ((i->mode & S_ISGID) && ((i->mode & S_IXGRP) || (!cred_in_group(cred, i->gid) &&
							    !inode_capable(i, cred, LINUX_CAP_FSETID))))
		bits |= S_ISGID;
	return bits;
}

/* What writing takes from the unprivileged. */
static bool write_strips(const struct inode *i, const struct cred *cred)
{
	return inode_is_reg(i) && (i->mode & (S_ISUID | S_ISGID)) && privileged_bits(i, cred) &&
	       !inode_capable(i, cred, LINUX_CAP_FSETID);
}

static void drop_privileged_bits(const struct inode *i, struct iattr *a, const struct cred *cred)
{
	uint32_t bits = privileged_bits(i, cred);

	if (!bits)
		return;
	if (!(a->valid & ATTR_MODE))
		a->mode = i->mode;
	a->mode &= ~bits;
	a->valid |= ATTR_MODE;
}

int file_remove_privs(struct file *f, const struct cred *cred)
{
	struct inode *i = f->inode;
	struct iattr a = {.valid = ATTR_FORCE};
	int ret = 0;

	if (!write_strips(i, cred))
		return 0;
	mutex_lock(&i->lock);
	drop_privileged_bits(i, &a, cred);
	if (a.valid & ATTR_MODE)
		ret = setattr_locked(i, &a, cred);
	mutex_unlock(&i->lock);
	if (ret == 0 && (a.valid & ATTR_MODE))
		fsnotify(f->path.dentry, i, LINUX_IN_ATTRIB);
	return ret;
}

int truncate_inode(struct dentry *d, struct inode *i, uint64_t size, const struct cred *cred)
{
	struct iattr a = {.valid = ATTR_SIZE | ATTR_FORCE, .size = size};
	int ret;

	mutex_lock(&i->lock);
	if (write_strips(i, cred))
		drop_privileged_bits(i, &a, cred);
	ret = setattr_locked(i, &a, cred);
	mutex_unlock(&i->lock);
	if (ret == 0)
		fsnotify(d, i, LINUX_IN_MODIFY | (a.valid & ATTR_MODE ? LINUX_IN_ATTRIB : 0));
	return ret;
}

static int may_chown(const struct inode *i, const struct iattr *a, const struct cred *cred)
{
	bool owner = cred->fsuid == i->uid;

	if ((a->valid & ATTR_UID) && !(owner && a->uid == i->uid) && !inode_capable(i, cred, LINUX_CAP_CHOWN))
		return -EPERM;
	if ((a->valid & ATTR_GID) && !(owner && (a->gid == i->gid || cred_in_group(cred, a->gid))) &&
	    !inode_capable(i, cred, LINUX_CAP_CHOWN))
		return -EPERM;
	return 0;
}

static int may_set_times(struct inode *i, const struct iattr *a, const struct cred *cred)
{
	const uint32_t times = ATTR_ATIME | ATTR_MTIME | ATTR_ATIME_NOW | ATTR_MTIME_NOW;

	if (!(a->valid & times) || inode_owner_or_capable(i, cred))
		return 0;
	/* both to now: who may write may; anything else is the owner's */
	if ((a->valid & ATTR_ATIME_NOW) && (a->valid & ATTR_MTIME_NOW))
		return inode_permission(i, MAY_WRITE, cred) == 0 ? 0 : -EACCES;
	return -EPERM;
}

/* inode locked. Checks a and makes it what will be done. */
static int prepare(struct inode *i, struct iattr *a, const struct cred *cred)
{
	int ret;

	if (a->valid & ATTR_FORCE)
		return 0;
	ret = may_chown(i, a, cred);
	if (ret < 0)
		return ret;
	/* chown(2), even of nothing to nobody, takes the set-id bits; that is a change of mode */
	if (((a->valid & (ATTR_UID | ATTR_GID)) || a->valid == ATTR_CTIME) && !inode_is_dir(i))
		drop_privileged_bits(i, a, cred);
	if (a->valid & ATTR_MODE) {
		uint32_t gid = a->valid & ATTR_GID ? a->gid : i->gid;

		if (!inode_owner_or_capable(i, cred))
			return -EPERM;
		if (!cred_in_group(cred, gid) && !inode_capable(i, cred, LINUX_CAP_FSETID))
			a->mode &= ~S_ISGID;
	}
	return may_set_times(i, a, cred);
}

static uint32_t change_events(uint32_t valid)
{
	uint32_t mask = 0;

	if (valid & (ATTR_UID | ATTR_GID | ATTR_MODE))
		mask |= LINUX_IN_ATTRIB;
	if (valid & ATTR_SIZE)
		mask |= LINUX_IN_MODIFY;
	if ((valid & (ATTR_ATIME | ATTR_ATIME_NOW)) && (valid & (ATTR_MTIME | ATTR_MTIME_NOW)))
		mask |= LINUX_IN_ATTRIB;
	else if (valid & (ATTR_ATIME | ATTR_ATIME_NOW))
		mask |= LINUX_IN_ACCESS;
	else if (valid & (ATTR_MTIME | ATTR_MTIME_NOW))
		mask |= LINUX_IN_MODIFY;
	return mask;
}

static int truncate_path(const struct path *p, const struct cred *cred, uint64_t size)
{
	struct inode *i = p->dentry->inode;
	int ret;

	if (inode_is_dir(i))
		return -EISDIR;
	if (!inode_is_reg(i) || size > INT64_MAX)
		return -EINVAL;
	ret = mount_want_write(p->mnt);
	if (ret == 0)
		ret = vfs_permission(p, MAY_WRITE, cred);
	if (ret == 0)
		ret = inode_get_write(i);
	if (ret < 0)
		return ret;
	ret = truncate_inode(p->dentry, i, size, cred);
	inode_put_write(i);
	return ret;
}

int vfs_setattr_path(const struct path *p, const struct cred *cred, const struct iattr *attr)
{
	struct inode *i = p->dentry->inode;
	struct iattr a = *attr;
	uint32_t events;
	int ret;

	if (!i)
		return -ENOENT;
	if (a.valid & ATTR_SIZE)
		return truncate_path(p, cred, a.size);
	ret = mount_want_write(p->mnt);
	if (ret < 0)
		return ret;
	if ((a.valid & ATTR_MODE) && inode_is_link(i))
		return -EOPNOTSUPP;
	mutex_lock(&i->lock);
	ret = prepare(i, &a, cred);
	if (ret == 0)
		ret = setattr_locked(i, &a, cred);
	mutex_unlock(&i->lock);
	events = change_events(a.valid);
	if (ret == 0 && events)
		fsnotify(p->dentry, i, events | (inode_is_dir(i) ? LINUX_IN_ISDIR : 0));
	return ret;
}

int vfs_setattr(const struct vfs_at *at, const char *name, uint32_t lookup, const struct iattr *a)
{
	struct path p;
	int ret = vfs_lookup(at, name, lookup, &p);

	if (ret < 0)
		return ret;
	ret = vfs_setattr_path(&p, at->cred, a);
	path_put(&p);
	return ret;
}
