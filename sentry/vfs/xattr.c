/* xattr.c: extended attributes: the rules of the namespaces (xattr(7)); the file systems keep the values. */
#include <string.h>

#include "sentry/vfs/internal.h"

static bool has_prefix(const char *name, const char *prefix)
{
	return !strncmp(name, prefix, strlen(prefix));
}

/* Is there somebody who keeps such names? Asked after permission. */
static int resolve_name(const char *name)
{
	static const char *const kept[] = {"user.", "trusted.", "security."};

	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		if (has_prefix(name, kept[i]))
			return name[strlen(kept[i])] ? 0 : -EINVAL;
	return -EOPNOTSUPP; /* access control lists (system.) aren't kept either */
}

static int check_name(const char *name)
{
	size_t len = strlen(name);

	return len == 0 || len > LINUX_XATTR_NAME_MAX ? -ERANGE : 0;
}

/* May cred touch the attribute at all? write: change it. */
static int xattr_permission(const struct path *p, const struct cred *cred, const char *name, bool write)
{
	struct inode *i = p->dentry->inode;
	uint32_t may = write ? MAY_WRITE : MAY_READ;

	if (write) {
		int ret = mount_want_write(p->mnt);

		if (ret < 0)
			return ret;
	}
	if (has_prefix(name, "system.") || has_prefix(name, "security."))
		return 0;
	if (has_prefix(name, "trusted.")) {
		if (!cred_ns_capable(cred, LINUX_CAP_SYS_ADMIN))
			return write ? -EPERM : -ENODATA;
		return 0;
	}
	if (has_prefix(name, "user.")) {
		if (!inode_is_reg(i) && !inode_is_dir(i))
			return write ? -EPERM : -ENODATA;
		if (write && inode_is_dir(i) && (i->mode & S_ISVTX) && !inode_owner_or_capable(i, cred))
			return -EPERM;
	}
	return inode_permission(i, may, cred);
}

/* Everything before the file system is asked. */
static int check_access(const struct path *p, const struct cred *cred, const char *name, bool write)
{
	bool caps = !strcmp(name, "security.capability");
	int ret = check_name(name);

	if (ret == 0)
		ret = xattr_permission(p, cred, name, write);
	if (ret < 0)
		return ret;
	if (write && has_prefix(name, "security.") &&
	    !inode_capable(p->dentry->inode, cred, caps ? LINUX_CAP_SETFCAP : LINUX_CAP_SYS_ADMIN))
		return -EPERM;
	return resolve_name(name);
}

ssize_t vfs_getxattr(const struct path *p, const struct cred *cred, const char *name, void *buf, size_t size)
{
	struct inode *i = p->dentry->inode;
	ssize_t ret = check_access(p, cred, name, false);

	if (ret < 0)
		return ret;
	if (!i->ops->getxattr)
		return -EOPNOTSUPP;
	mutex_lock(&i->lock);
	ret = i->ops->getxattr(i, name, buf, size);
	mutex_unlock(&i->lock);
	return ret;
}

int vfs_setxattr(const struct path *p, const struct cred *cred, const char *name, const void *buf, size_t size,
		 int flags)
{
	struct inode *i = p->dentry->inode;
	int ret;

	if (flags & ~(LINUX_XATTR_CREATE | LINUX_XATTR_REPLACE))
		return -EINVAL;
	ret = check_name(name);
	if (ret == 0 && size > LINUX_XATTR_SIZE_MAX)
		ret = -E2BIG;
	if (ret == 0)
		ret = check_access(p, cred, name, true);
	if (ret < 0)
		return ret;
	if (!i->ops->setxattr)
		return -EOPNOTSUPP;
	mutex_lock(&i->lock);
	inode_change_begin(i);
	ret = i->ops->setxattr(i, name, buf, size, flags);
	inode_change_end(i);
	mutex_unlock(&i->lock);
	if (ret == 0)
		fsnotify(p->dentry, i, LINUX_IN_ATTRIB | (inode_is_dir(i) ? LINUX_IN_ISDIR : 0));
	return ret;
}

/* Keeps the names that cred may see; the new length. */
static size_t filter_names(char *names, size_t len, const struct cred *cred)
{
	bool admin = cred_ns_capable(cred, LINUX_CAP_SYS_ADMIN);
	size_t from = 0, to = 0;

	while (from < len) {
		size_t n = strnlen(names + from, len - from) + 1;

		n = MIN(n, len - from);
		if (admin || strncmp(names + from, "trusted.", 8) != 0) {
			memmove(names + to, names + from, n);
			to += n;
		}
		from += n;
	}
	return to;
}

ssize_t vfs_listxattr(const struct path *p, const struct cred *cred, char *buf, size_t size)
{
	struct inode *i = p->dentry->inode;
	ssize_t n;
	char *names;

	if (!i->ops->listxattr)
		return 0;
	names = kmalloc(LINUX_XATTR_LIST_MAX);
	if (!names)
		return -ENOMEM;
	mutex_lock(&i->lock);
	n = i->ops->listxattr(i, names, LINUX_XATTR_LIST_MAX);
	mutex_unlock(&i->lock);
	if (n == -ERANGE)
		n = -E2BIG;
	if (n > 0) {
		n = (ssize_t)filter_names(names, (size_t)n, cred);
		if (size && (size_t)n > size)
			n = -ERANGE;
		else if (size)
			memcpy(buf, names, (size_t)n);
	}
	kfree(names);
	return n;
}

int vfs_removexattr(const struct path *p, const struct cred *cred, const char *name)
{
	struct inode *i = p->dentry->inode;
	int ret = check_access(p, cred, name, true);

	if (ret < 0)
		return ret;
	if (!i->ops->removexattr)
		return -EOPNOTSUPP;
	mutex_lock(&i->lock);
	inode_change_begin(i);
	ret = i->ops->removexattr(i, name);
	inode_change_end(i);
	mutex_unlock(&i->lock);
	if (ret == 0)
		fsnotify(p->dentry, i, LINUX_IN_ATTRIB | (inode_is_dir(i) ? LINUX_IN_ISDIR : 0));
	return ret;
}
