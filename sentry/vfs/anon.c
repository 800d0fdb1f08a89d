/* anon.c: files that no directory names: pipes, sockets, eventfds, epoll sets. Each has an inode of the anon
 * super and a dentry of its own, outside every mount. */
#include <string.h>

#include "sentry/vfs/internal.h"

/* Opened again through /proc/pid/fd: pipes can be, and what says how. */
static int anon_open(struct inode *i, struct file *f)
{
	struct vfs *v = i->super->vfs;

	if (i->fops->reopen)
		return i->fops->reopen(i, f);
	return inode_is(i, LINUX_S_IFIFO) && v->fifo_open ? v->fifo_open(i, f) : -ENXIO;
}

static void anon_destroy(struct inode *i)
{
	if (i->fops && i->fops->inode_gone)
		i->fops->inode_gone(i);
}

static const struct inode_ops anon_inode_ops = {
	.open = anon_open,
	.destroy = anon_destroy,
};

int anon_init(struct vfs *v)
{
	return super_create(v, NULL, "anon_inodefs", LINUX_ANON_INODE_FS_MAGIC, "anon_inodefs", NULL, &v->anon);
}

int file_create_anon(struct vfs *v, const struct file_ops *ops, void *priv, uint32_t flags, uint32_t mode,
		     const struct cred *cred, struct waitq *wq, struct file **out)
{
	const char *name = ops->name ? ops->name : "";
	struct path p = {0};
	struct inode *i;
	int ret = inode_create(v->anon, &anon_inode_ops, ops, super_new_ino(v->anon), mode, &i);

	if (ret < 0)
		return ret;
	i->uid = cred->fsuid;
	i->gid = cred->fsgid;
	ret = dentry_create(v->anon, NULL, name, strlen(name), i, &p.dentry);
	if (ret < 0)
		return ret;
	ret = file_alloc(&p, i, flags, cred, out);
	dentry_put(p.dentry); /* the file has its own */
	if (ret < 0)
		return ret;
	(*out)->ops = ops;
	(*out)->priv = priv;
	(*out)->wq = wq;
	return 0;
}
