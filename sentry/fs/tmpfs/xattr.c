/* xattr.c: extended attributes of tmpfs: a short list per inode. The namespaces' rules are the vfs's. */
#include <string.h>

#include "sentry/fs/tmpfs/internal.h"

#define XATTR_BYTES_MAX (1024 * 1024u) /* of one inode */
#define XATTR_COUNT_MAX 1024u

struct xattr {
	struct list node;
	uint32_t size;
	uint16_t name_len;
	char name[]; /* terminated; the value behind it */
};

static char *value_of(struct xattr *x)
{
	return x->name + x->name_len + 1;
}

static uint32_t bytes_of(const struct xattr *x)
{
	return x->name_len + 1u + x->size;
}

static struct xattr *find(struct inode *i, const char *name)
{
	struct xattr *x;

	list_for_each (x, &tmpfs_node(i)->xattrs, node)
		if (!strcmp(x->name, name))
			return x;
	return NULL;
}

ssize_t tmpfs_getxattr(struct inode *i, const char *name, void *buf, size_t size)
{
	struct xattr *x = find(i, name);

	if (!x)
		return -ENODATA;
	if (!size)
		return x->size;
	if (size < x->size)
		return -ERANGE;
	memcpy(buf, value_of(x), x->size);
	return x->size;
}

static void drop(struct inode *i, struct xattr *x)
{
	struct tmpfs_node *n = tmpfs_node(i);

	n->xattr_bytes -= bytes_of(x);
	n->xattr_count--;
	list_del(&x->node);
	kfree(x);
}

int tmpfs_setxattr(struct inode *i, const char *name, const void *buf, size_t size, int flags)
{
	struct tmpfs_node *n = tmpfs_node(i);
	struct xattr *old = find(i, name), *x;
	size_t len = strlen(name);
	uint32_t have = old ? bytes_of(old) : 0;

	if (old && (flags & LINUX_XATTR_CREATE))
		return -EEXIST;
	if (!old && (flags & LINUX_XATTR_REPLACE))
		return -ENODATA;
	if (n->xattr_bytes - have + len + 1 + size > XATTR_BYTES_MAX ||
	    (!old && n->xattr_count == XATTR_COUNT_MAX))
		return -ENOSPC;
	x = kmalloc(sizeof(*x) + len + 1 + size);
	if (!x)
		return -ENOMEM;
	x->name_len = (uint16_t)len;
	x->size = (uint32_t)size;
	memcpy(x->name, name, len);
	if (size)
		memcpy(value_of(x), buf, size);
	if (old)
		drop(i, old);
	list_add_tail(&n->xattrs, &x->node);
	n->xattr_bytes += bytes_of(x);
	n->xattr_count++;
	inode_touch(i, false, false, true);
	return 0;
}

ssize_t tmpfs_listxattr(struct inode *i, char *buf, size_t size)
{
	size_t total = 0;
	struct xattr *x;

	list_for_each (x, &tmpfs_node(i)->xattrs, node) {
		size_t n = x->name_len + 1u;

		if (size) {
			if (total + n > size)
				return -ERANGE;
			memcpy(buf + total, x->name, n);
		}
		total += n;
	}
	return (ssize_t)total;
}

int tmpfs_removexattr(struct inode *i, const char *name)
{
	struct xattr *x = find(i, name);

	if (!x)
		return -ENODATA;
	drop(i, x);
	inode_touch(i, false, false, true);
	return 0;
}

void tmpfs_free_xattrs(struct inode *i)
{
	struct xattr *x;

	while ((x = list_first(&tmpfs_node(i)->xattrs, struct xattr, node)))
		drop(i, x);
}
