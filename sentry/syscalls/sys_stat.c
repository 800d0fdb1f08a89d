/* sys_stat.c: stat(2) in its forms, statx(2), access(2), statfs(2). */
#include "sentry/syscalls/internal.h"

#include "sentry/syscalls/answers.h"

static void fill_stat(struct task *t, const struct kstat *k, struct linux_stat *s)
{
	*s = (struct linux_stat){
		.st_dev = k->dev,
		.st_ino = k->ino,
		.st_nlink = k->nlink,
		.st_mode = k->mode,
		.st_uid = show_uid(t, k->uid),
		.st_gid = show_gid(t, k->gid),
		.st_rdev = k->rdev,
		.st_size = (int64_t)k->size,
		.st_blksize = k->blksize,
		.st_blocks = (int64_t)k->blocks,
		.st_atim = k->atime,
		.st_mtim = k->mtime,
		.st_ctim = k->ctime,
	};
}

static int stat_fd(struct task *t, int fd, uint32_t mask, struct kstat *k, struct question *q)
{
	struct file *f = sys_file_any(t, fd);
	int ret;

	if (!f)
		return -EBADF;
	question_file(q, f);
	ret = vfs_stat_path(&f->path, mask, k);
	file_put(f);
	return ret;
}

/* q: begun. */
static int stat_at(struct task *t, int dirfd, uaddr_t name, uint32_t flags, uint32_t mask, struct kstat *k,
		   struct question *q)
{
	struct at_name n;
	bool empty = false;
	int ret;

	/* fstat(3) of today: newfstatat(fd, "", AT_EMPTY_PATH) */
	if (dirfd >= 0) {
		ret = at_is_empty(t, name, flags, &empty);
		if (ret < 0)
			return ret;
		if (empty)
			return stat_fd(t, dirfd, mask, k, q);
	}
	ret = at_begin_null(t, dirfd, name, flags & LINUX_AT_EMPTY_PATH, &n);
	if (ret < 0)
		return ret;
	question_name(q, &n);
	ret = vfs_stat(&n.at, n.name, at_lookup(flags), mask, k);
	question_missing(q, &n, !(flags & LINUX_AT_SYMLINK_NOFOLLOW), ret);
	q->name = n.name; /* freed by question_end */
	n.name = NULL;
	at_end(&n);
	return ret;
}

static int64_t do_stat(struct task *t, int dirfd, uaddr_t name, uint32_t flags, uaddr_t out)
{
	struct question q;
	struct linux_stat s;
	struct kstat k;
	int ret;

	question_begin(&q, t, dirfd);
	ret = stat_at(t, dirfd, name, flags, LINUX_STATX_BASIC_STATS, &k, &q);
	if (ret == 0) {
		fill_stat(t, &k, &s);
		ret = copy_to_user(t, out, &s, sizeof(s));
		question_answer(&q, ANSWER_STAT, flags & LINUX_AT_SYMLINK_NOFOLLOW ? ANSWER_NOFOLLOW : 0, 0, &s,
				sizeof(s));
	}
	question_end(&q);
	return ret;
}

int64_t sys_stat(struct task *t, const struct sysargs *a)
{
	return do_stat(t, LINUX_AT_FDCWD, arg_addr(a, 0), 0, arg_addr(a, 1));
}

int64_t sys_lstat(struct task *t, const struct sysargs *a)
{
	return do_stat(t, LINUX_AT_FDCWD, arg_addr(a, 0), LINUX_AT_SYMLINK_NOFOLLOW, arg_addr(a, 1));
}

int64_t sys_fstat(struct task *t, const struct sysargs *a)
{
	struct question q;
	struct linux_stat s;
	struct kstat k;
	int ret;

	question_begin(&q, t, arg_int(a, 0));
	ret = stat_fd(t, arg_int(a, 0), LINUX_STATX_BASIC_STATS, &k, &q);
	if (ret == 0) {
		fill_stat(t, &k, &s);
		ret = copy_to_user(t, arg_addr(a, 1), &s, sizeof(s));
		question_answer(&q, ANSWER_STAT, 0, 0, &s, sizeof(s));
	}
	question_end(&q);
	return ret;
}

int64_t sys_newfstatat(struct task *t, const struct sysargs *a)
{
	uint32_t flags = arg_u32(a, 3);

	if (flags & ~(uint32_t)(LINUX_AT_SYMLINK_NOFOLLOW | LINUX_AT_NO_AUTOMOUNT | LINUX_AT_EMPTY_PATH))
		return -EINVAL;
	return do_stat(t, arg_int(a, 0), arg_addr(a, 1), flags, arg_addr(a, 2));
}

void stat_opened(struct task *t, int fd)
{
	uint32_t credit = t->opened_credit; /* asking here earns none */
	struct question q;
	struct linux_stat s;
	struct kstat k;

	question_begin(&q, t, fd);
	if (stat_fd(t, fd, LINUX_STATX_BASIC_STATS, &k, &q) == 0) {
		fill_stat(t, &k, &s);
		question_answer(&q, ANSWER_STAT, 0, 0, &s, sizeof(s));
	}
	question_end(&q);
	t->opened_credit = credit;
}

void stat_listed(struct task *t, int fd, struct file *dir, const char *names, size_t size)
{
	struct question q;
	struct linux_stat s;
	struct kstat k;
	uint32_t left = LISTED_MAX;

	if (!dir->inode->super->stable)
		return;
	for (size_t at = 0; at < size && left; at += get_le16(names + at + 16), left--) {
		const char *name = names + at + 19;
		struct path p = {.mnt = dir->path.mnt};

		if (name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2])))
			continue;
		question_begin(&q, t, fd);
		question_listed(&q, dir, name);
		/* who may read a directory may not look at what is in it; a change of that takes the answer
		 * back */
		if (vfs_permission(&dir->path, MAY_EXEC, t->cred) < 0)
			return;
		if (vfs_entry(dir->path.dentry, name, strlen(name), &p.dentry) < 0)
			continue;
		vfs_basis_inode(&q.basis, p.dentry->inode);
		if (vfs_stat_path(&p, LINUX_STATX_BASIC_STATS, &k) == 0) {
			fill_stat(t, &k, &s);
			question_answer(&q, ANSWER_STAT, ANSWER_NOFOLLOW, 0, &s, sizeof(s));
		}
		dentry_put(p.dentry);
	}
}

static struct linux_statx_timestamp statx_time(const struct linux_timespec *ts)
{
	return (struct linux_statx_timestamp){.tv_sec = ts->tv_sec, .tv_nsec = (uint32_t)ts->tv_nsec};
}

int64_t sys_statx(struct task *t, const struct sysargs *a)
{
	uint32_t flags = arg_u32(a, 2), mask = arg_u32(a, 3);
	struct linux_statx x;
	struct question q;
	struct kstat k;
	int ret;

	if (mask & LINUX_STATX__RESERVED)
		return -EINVAL;
	if (flags & ~(uint32_t)(LINUX_AT_SYMLINK_NOFOLLOW | LINUX_AT_NO_AUTOMOUNT | LINUX_AT_EMPTY_PATH |
				LINUX_AT_STATX_SYNC_TYPE))
		return -EINVAL;
	if ((flags & LINUX_AT_STATX_SYNC_TYPE) == LINUX_AT_STATX_SYNC_TYPE)
		return -EINVAL;
	question_begin(&q, t, arg_int(a, 0));
	ret = stat_at(t, arg_int(a, 0), arg_addr(a, 1), flags, mask, &k, &q);
	if (ret < 0)
		goto out;
	memset(&x, 0, sizeof(x));
	x.stx_mask = k.mask;
	x.stx_blksize = k.blksize;
	x.stx_attributes = k.attributes;
	x.stx_attributes_mask = k.attributes_mask;
	x.stx_nlink = (uint32_t)k.nlink;
	x.stx_uid = show_uid(t, k.uid);
	x.stx_gid = show_gid(t, k.gid);
	x.stx_mode = (uint16_t)k.mode;
	x.stx_ino = k.ino;
	x.stx_size = k.size;
	x.stx_blocks = k.blocks;
	x.stx_atime = statx_time(&k.atime);
	x.stx_btime = statx_time(&k.btime);
	x.stx_ctime = statx_time(&k.ctime);
	x.stx_mtime = statx_time(&k.mtime);
	x.stx_rdev_major = dev_major(k.rdev);
	x.stx_rdev_minor = dev_minor(k.rdev);
	x.stx_dev_major = dev_major(k.dev);
	x.stx_dev_minor = dev_minor(k.dev);
	x.stx_mnt_id = k.mnt_id;
	ret = copy_to_user(t, arg_addr(a, 4), &x, sizeof(x));
	if ((flags & LINUX_AT_STATX_SYNC_TYPE) == 0)
		question_answer(&q, ANSWER_STATX, flags & LINUX_AT_SYMLINK_NOFOLLOW ? ANSWER_NOFOLLOW : 0, mask,
				&x, sizeof(x));
out:
	question_end(&q);
	return ret;
}

/* The credential that access(2) asks about: real ids instead of effective ones. */
static int real_cred(struct task *t, struct cred **out)
{
	struct cred *c = t->cred, *r;
	capset_t want = c->effective;
	int ret;

	if (!(c->securebits & LINUX_SECBIT_NO_SETUID_FIXUP))
		want = user_ns_from_kuid(c->user_ns, c->uid) == 0 ? c->permitted : 0;
	if (c->fsuid == c->uid && c->fsgid == c->gid && want == c->effective) {
		*out = cred_get(c);
		return 0;
	}
	ret = cred_copy(c, &r);
	if (ret < 0)
		return ret;
	r->fsuid = c->uid;
	r->fsgid = c->gid;
	r->effective = want;
	*out = r;
	return 0;
}

static int64_t do_access(struct task *t, int dirfd, uaddr_t name, uint32_t mode, uint32_t flags)
{
	struct cred *cred = NULL;
	struct question q;
	struct at_name n;
	int ret;

	if (mode & ~7u)
		return -EINVAL;
	if (flags & ~(uint32_t)(LINUX_AT_EACCESS | LINUX_AT_SYMLINK_NOFOLLOW | LINUX_AT_EMPTY_PATH))
		return -EINVAL;
	question_begin(&q, t, dirfd);
	ret = at_begin_null(t, dirfd, name, flags & LINUX_AT_EMPTY_PATH, &n);
	if (ret < 0)
		return ret;
	question_name(&q, &n);
	if (!(flags & LINUX_AT_EACCESS)) {
		ret = real_cred(t, &cred);
		if (ret < 0)
			goto out;
		n.at.cred = cred;
	}
	ret = vfs_access(&n.at, n.name, at_lookup(flags), mode);
	question_missing(&q, &n, !(flags & LINUX_AT_SYMLINK_NOFOLLOW), ret);
	q.name = n.name; /* at_end frees it */
	if (ret == 0)
		question_answer(&q, ANSWER_ACCESS,
				(flags & LINUX_AT_SYMLINK_NOFOLLOW ? ANSWER_NOFOLLOW : 0) |
					(flags & LINUX_AT_EACCESS ? ANSWER_EACCESS : 0),
				mode, NULL, 0);
	if (cred)
		cred_put(cred);
out:
	at_end(&n);
	return ret;
}

int64_t sys_access(struct task *t, const struct sysargs *a)
{
	return do_access(t, LINUX_AT_FDCWD, arg_addr(a, 0), arg_u32(a, 1), 0);
}

int64_t sys_faccessat(struct task *t, const struct sysargs *a)
{
	return do_access(t, arg_int(a, 0), arg_addr(a, 1), arg_u32(a, 2), 0);
}

int64_t sys_faccessat2(struct task *t, const struct sysargs *a)
{
	return do_access(t, arg_int(a, 0), arg_addr(a, 1), arg_u32(a, 2), arg_u32(a, 3));
}

int64_t sys_statfs(struct task *t, const struct sysargs *a)
{
	struct linux_statfs s;
	struct at_name n;
	struct path p;
	int ret = at_begin(t, LINUX_AT_FDCWD, arg_addr(a, 0), &n);

	if (ret < 0)
		return ret;
	ret = vfs_lookup(&n.at, n.name, LOOKUP_FOLLOW, &p);
	at_end(&n);
	if (ret < 0)
		return ret;
	memset(&s, 0, sizeof(s));
	ret = vfs_statfs(&p, &s);
	path_put(&p);
	return ret < 0 ? ret : copy_to_user(t, arg_addr(a, 1), &s, sizeof(s));
}

int64_t sys_fstatfs(struct task *t, const struct sysargs *a)
{
	struct file *f = sys_file_any(t, arg_int(a, 0));
	struct linux_statfs s;
	int ret;

	if (!f)
		return -EBADF;
	memset(&s, 0, sizeof(s));
	ret = vfs_statfs(&f->path, &s);
	file_put(f);
	return ret < 0 ? ret : copy_to_user(t, arg_addr(a, 1), &s, sizeof(s));
}
