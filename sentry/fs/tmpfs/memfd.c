/* memfd.c: memfd_create(2) and file seals (fcntl(2)). */
#include <string.h>

#include "sentry/fs/tmpfs/internal.h"

#define MFD_NOEXEC_SEAL 8u
#define MFD_EXEC	16u
#define F_SEAL_EXEC	0x20u
#define MFD_KNOWN	(LINUX_MFD_CLOEXEC | LINUX_MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL | MFD_EXEC)
#define MFD_NAME_MAX	249u
#define SEALS_KNOWN                                                                                            \
	(LINUX_F_SEAL_SEAL | LINUX_F_SEAL_SHRINK | LINUX_F_SEAL_GROW | LINUX_F_SEAL_WRITE |                    \
	 LINUX_F_SEAL_FUTURE_WRITE | F_SEAL_EXEC)

static const char prefix[] = "memfd:";

static int name_file(struct inode *i, const char *name, size_t len, struct path *out)
{
	size_t head = sizeof(prefix) - 1;
	char *text = kmalloc(head + len + 1);
	int ret;

	if (!text) {
		inode_put(i);
		return -ENOMEM;
	}
	memcpy(text, prefix, head);
	memcpy(text + head, name, len);
	ret = dentry_create_detached(i->super, text, head + len, i, &out->dentry);
	kfree(text);
	out->mnt = NULL;
	return ret;
}

int memfd_create_file(struct vfs *v, const char *name, uint32_t flags, const struct cred *cred,
		      struct file **out)
{
	size_t len = strnlen(name, MFD_NAME_MAX + 1);
	uint32_t mode = LINUX_S_IFREG | (flags & MFD_NOEXEC_SEAL ? 0666 : 0777);
	struct inode *i;
	struct path p;
	int ret;

	if ((flags & ~(uint32_t)MFD_KNOWN) ||
	    (flags & (MFD_EXEC | MFD_NOEXEC_SEAL)) == (MFD_EXEC | MFD_NOEXEC_SEAL) || len > MFD_NAME_MAX)
		return -EINVAL;
	ret = tmpfs_node_create(v->shm, NULL, mode, 0, NULL, cred, &i);
	if (ret < 0)
		return ret;
	i->nlink = 0;
	if (flags & MFD_NOEXEC_SEAL)
		tmpfs_node(i)->file.seals = F_SEAL_EXEC;
	else if (flags & LINUX_MFD_ALLOW_SEALING)
		tmpfs_node(i)->file.seals = 0;
	ret = name_file(i, name, len, &p);
	if (ret < 0)
		return ret;
	ret = vfs_open_path(&p, LINUX_O_RDWR | LINUX_O_LARGEFILE, cred, out);
	path_put(&p);
	return ret;
}

static bool is_sealable(const struct file *f)
{
	return f->inode->ops == &tmpfs_file_iops && !(f->flags & LINUX_O_PATH);
}

int memfd_add_seals(struct file *f, uint32_t seals)
{
	struct tmpfs_node *n = tmpfs_node(f->inode);
	int ret = 0;

	if (!is_sealable(f))
		return -EINVAL;
	if (!FILE_CAN_WRITE(f))
		return -EPERM;
	if (seals & ~(uint32_t)SEALS_KNOWN)
		return -EINVAL;
	mutex_lock(&f->inode->lock);
	if (n->file.seals & LINUX_F_SEAL_SEAL)
		ret = -EPERM;
	else if ((seals & LINUX_F_SEAL_WRITE) && !(n->file.seals & LINUX_F_SEAL_WRITE) &&
		 __atomic_load_n(&n->file.shared_writes, __ATOMIC_ACQUIRE))
		ret = -EBUSY;
	if (ret == 0) {
		/* what may run and can't be changed to not run must not change at all */
		if ((seals & F_SEAL_EXEC) && (f->inode->mode & 0111))
			seals |= LINUX_F_SEAL_SHRINK | LINUX_F_SEAL_GROW | LINUX_F_SEAL_WRITE |
				 LINUX_F_SEAL_FUTURE_WRITE;
		n->file.seals |= seals;
	}
	mutex_unlock(&f->inode->lock);
	return ret;
}

int memfd_get_seals(struct file *f)
{
	return is_sealable(f) ? (int)__atomic_load_n(&tmpfs_node(f->inode)->file.seals, __ATOMIC_RELAXED)
			      : -EINVAL;
}
