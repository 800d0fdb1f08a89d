/* file.c: finding and opening what is to be executed: interpreters of scripts and of ELF files. */
#include "platform/abi/fcntl.h"
#include "platform/abi/misc.h"
#include "platform/abi/fs.h"
#include "sentry/loader/internal.h"

int exec_check_file(struct file *f)
{
	if (!inode_is(f->inode, LINUX_S_IFREG))
		return -EACCES;
	if (f->path.mnt && (__atomic_load_n(&f->path.mnt->flags, __ATOMIC_RELAXED) & LINUX_MS_NOEXEC))
		return -EACCES;
	return (int32_t)__atomic_load_n(&f->inode->write_count, __ATOMIC_RELAXED) > 0 ? -ETXTBSY : 0;
}

/* A program may be executable without being readable: its contents are then read in its own right. */
static int open_unreadable(const struct path *p, const struct cred *cred, struct file **out)
{
	struct cred *c;
	int ret = cred_copy(cred, &c);

	if (ret < 0)
		return ret;
	c->effective |= CAP_BIT(LINUX_CAP_DAC_READ_SEARCH) | CAP_BIT(LINUX_CAP_DAC_OVERRIDE);
	ret = vfs_open_path(p, LINUX_O_RDONLY, c, out);
	cred_put(c);
	return ret;
}

int exec_open(struct task *t, const char *path, struct file **out)
{
	struct vfs_at at = task_at(t, NULL);
	struct file *f;
	struct path p;
	int ret = vfs_lookup(&at, path, LOOKUP_FOLLOW, &p);

	if (ret < 0)
		return ret;
	if (!inode_is(p.dentry->inode, LINUX_S_IFREG))
		ret = -EACCES;
	if (ret == 0)
		ret = vfs_permission(&p, MAY_EXEC, t->cred);
	if (ret == 0) {
		ret = vfs_open_path(&p, LINUX_O_RDONLY, t->cred, &f);
		if (ret == -EACCES)
			ret = open_unreadable(&p, t->cred, &f);
	}
	path_put(&p);
	if (ret < 0)
		return ret;
	ret = exec_check_file(f);
	if (ret < 0) {
		file_put(f);
		return ret;
	}
	*out = f;
	return 0;
}
