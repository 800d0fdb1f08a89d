/* sys_dir.c: the current and the root directory, getcwd(2), umask(2), and reading directories. */
#include <string.h>

#include "sentry/syscalls/answers.h"

static int lookup_dir(struct task *t, uaddr_t uname, struct path *p)
{
	struct at_name n;
	int ret = at_begin(t, LINUX_AT_FDCWD, uname, &n);

	if (ret < 0)
		return ret;
	ret = vfs_lookup(&n.at, n.name, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, p);
	at_end(&n);
	if (ret < 0)
		return ret;
	ret = vfs_permission(p, MAY_EXEC, t->cred);
	if (ret < 0)
		path_put(p);
	return ret;
}

int64_t sys_chdir(struct task *t, const struct sysargs *a)
{
	struct path p;
	int ret = lookup_dir(t, arg_addr(a, 0), &p);

	if (ret < 0)
		return ret;
	fs_context_set_cwd(t->fs, &p);
	path_put(&p);
	return 0;
}

int64_t sys_fchdir(struct task *t, const struct sysargs *a)
{
	struct file *f = sys_file_any(t, arg_int(a, 0));
	int ret;

	if (!f)
		return -EBADF;
	ret = -ENOTDIR;
	if (inode_is(f->inode, LINUX_S_IFDIR))
		ret = vfs_permission(&f->path, MAY_EXEC, t->cred);
	if (ret == 0)
		fs_context_set_cwd(t->fs, &f->path);
	file_put(f);
	return ret;
}

int64_t sys_chroot(struct task *t, const struct sysargs *a)
{
	struct path p;
	int ret = lookup_dir(t, arg_addr(a, 0), &p);

	if (ret < 0)
		return ret;
	if (cred_has_cap(t->cred, LINUX_CAP_SYS_CHROOT))
		fs_context_set_root(t->fs, &p);
	else
		ret = -EPERM;
	path_put(&p);
	return ret;
}

#define UNREACHABLE "(unreachable)"

/* Below another root than the caller's, Linux says so in a form that can't be taken for a path. */
static char *getcwd_name(const struct path *cwd, const struct path *root, char *buf)
{
	char *name;

	if (vfs_path_reachable(cwd, root))
		return vfs_path_name(cwd, root, buf, VFS_PATH_MAX);
	name = vfs_path_name(cwd, NULL, buf + sizeof(UNREACHABLE), VFS_PATH_MAX);
	return name ? memcpy(name - strlen(UNREACHABLE), UNREACHABLE, strlen(UNREACHABLE)) : NULL;
}

int64_t sys_getcwd(struct task *t, const struct sysargs *a)
{
	uint64_t size = arg_u64(a, 1);
	struct path root, cwd;
	int64_t ret = -ENOENT;
	char *buf, *name;
	size_t len;

	buf = kmalloc(VFS_PATH_MAX + 32);
	if (!buf)
		return -ENOMEM;
	fs_context_root(t->fs, &root);
	fs_context_cwd(t->fs, &cwd);
	if (__atomic_load_n(&cwd.dentry->unhashed, __ATOMIC_RELAXED))
		goto out;
	name = getcwd_name(&cwd, &root, buf);
	ret = -ENAMETOOLONG;
	if (!name)
		goto out;
	len = strlen(name) + 1;
	ret = -ERANGE;
	if (len > size)
		goto out;
	ret = copy_to_user(t, arg_addr(a, 0), name, len);
	if (ret == 0)
		ret = (int64_t)len;
out:
	path_put(&cwd);
	path_put(&root);
	kfree(buf);
	return ret;
}

int64_t sys_umask(struct task *t, const struct sysargs *a)
{
	/* the platform may know it too */
	__atomic_fetch_or(&t->work, TASK_WORK_FACTS, __ATOMIC_SEQ_CST);
	return __atomic_exchange_n(&t->fs->umask, arg_u32(a, 0) & 0777, __ATOMIC_RELAXED);
}

/* Entries are laid out in the bounce buffer and copied out once. */
struct dents {
	struct dir_context ctx;
	char *buf;
	size_t size, used, last; /* last: offset of the entry added last */
	uint64_t resume;	 /* position behind it */
	bool old;		 /* getdents(2): the type is the last byte */
	bool full;
};

static bool dents_emit(struct dir_context *ctx, const char *name, size_t len, uint64_t ino, uint32_t type,
		       uint64_t next)
{
	struct dents *d = container_of(ctx, struct dents, ctx);
	size_t reclen = ROUND_UP((d->old ? 18 + len + 2 : offsetof(struct linux_dirent64, d_name) + len + 1),
				 sizeof(uint64_t));
	char *e = d->buf + d->used;

	if (len > VFS_NAME_MAX || reclen > d->size - d->used) {
		d->full = true;
		return false;
	}
	memset(e, 0, reclen);
	put_le64(e, ino);
	put_le64(e + 8, next);
	put_le16(e + 16, (uint16_t)reclen);
	if (d->old) {
		memcpy(e + 18, name, len);
		e[reclen - 1] = (char)type;
	} else {
		e[18] = (char)type;
		memcpy(e + 19, name, len);
	}
	d->last = d->used;
	d->used += reclen;
	d->resume = next;
	return true;
}

static int64_t do_getdents(struct task *t, int fd, uaddr_t ubuf, uint32_t size, bool old)
{
	struct file *f = sys_file(t, fd);
	struct dents d = {.ctx.emit = dents_emit, .old = old};
	bool listed = false;
	int64_t ret;

	if (!f)
		return -EBADF;
	ret = -ENOTDIR;
	if (!f->ops->iterate || !inode_is(f->inode, LINUX_S_IFDIR))
		goto out;
	d.buf = task_bounce(t);
	d.size = MIN((size_t)size, (size_t)TASK_BOUNCE_SIZE);
	ret = -ENOMEM;
	if (!d.buf)
		goto out;
	mutex_lock(&f->pos_lock);
	d.ctx.pos = f->pos;
	ret = vfs_iterate(f, &d.ctx);
	if (d.used) {
		ret = copy_to_user(t, ubuf, d.buf, d.used);
		if (ret == 0) {
			f->pos = d.full ? d.resume : d.ctx.pos;
			ret = (int64_t)d.used;
			listed = !old && listing_wanted(t);
		}
	} else if (d.full) {
		ret = -EINVAL;
	} else if (ret == 0) {
		f->pos = d.ctx.pos;
	}
	mutex_unlock(&f->pos_lock);
	if (listed)
		stat_listed(t, fd, f, d.buf, d.used);
out:
	file_put(f);
	return ret;
}

int64_t sys_getdents(struct task *t, const struct sysargs *a)
{
	return do_getdents(t, arg_int(a, 0), arg_addr(a, 1), arg_u32(a, 2), true);
}

int64_t sys_getdents64(struct task *t, const struct sysargs *a)
{
	return do_getdents(t, arg_int(a, 0), arg_addr(a, 1), arg_u32(a, 2), false);
}
