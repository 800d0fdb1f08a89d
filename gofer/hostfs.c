/* hostfs.c: what the gofer asks of the host, always on a descriptor of a node and at most one component of a
 * name, never following a symbolic link. Data descriptors are opened through /proc/self/fd, which leads to
 * exactly the file that was looked at: a FIFO, socket or device put in its place can't be opened. */
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <stdio.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "gofer/internal.h"
#include "platform/abi/errno.h"
#include "platform/host/hostcall.h"

#define OVERFLOW_HOST_ID 65534u
#define STAT_MASK	 (STATX_BASIC_STATS | STATX_BTIME)

struct proc_name {
	char s[16];
};

static struct proc_name proc_name(int fd)
{
	struct proc_name p;

	snprintf(p.s, sizeof(p.s), "%d", fd);
	return p;
}

static struct gofer_time time_of(const struct statx_timestamp *t)
{
	return (struct gofer_time){t->tv_sec, t->tv_nsec < 1000000000u ? t->tv_nsec : 0};
}

static void attr_of(const struct server *s, const struct statx *st, struct gofer_attr *a)
{
	*a = (struct gofer_attr){
		.ino = st->stx_ino,
		.dev = makedev(st->stx_dev_major, st->stx_dev_minor),
		.rdev = makedev(st->stx_rdev_major, st->stx_rdev_minor),
		.size = st->stx_size,
		.blocks = st->stx_blocks,
		.mode = st->stx_mode,
		.uid = st->stx_uid,
		.gid = st->stx_gid,
		.nlink = st->stx_nlink,
		.blksize = st->stx_blksize,
		.atime = time_of(&st->stx_atime),
		.mtime = time_of(&st->stx_mtime),
		.ctime = time_of(&st->stx_ctime),
		.btime = time_of(&st->stx_btime),
	};
	if ((int64_t)a->size < 0)
		a->size = 0; /* some pseudo files */
	/* of ids that can't be named here, nearly all are root's */
	if (s->squash && a->uid == OVERFLOW_HOST_ID && s->own_uid != OVERFLOW_HOST_ID)
		a->uid = 0;
	if (s->squash && a->gid == OVERFLOW_HOST_ID && s->own_gid != OVERFLOW_HOST_ID)
		a->gid = 0;
}

int host_stat_fd(const struct server *s, int fd, struct gofer_attr *out)
{
	struct statx st;
	int ret = hc_statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT, STAT_MASK, &st);

	if (ret == 0)
		attr_of(s, &st, out);
	return ret;
}

int host_stat_at(const struct server *s, const struct node *dir, const char *name, struct gofer_attr *out)
{
	struct statx st;
	int ret = hc_statx(dir->fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STAT_MASK, &st);

	if (ret == 0)
		attr_of(s, &st, out);
	return ret;
}

int host_check_dir(const struct node *dir, bool list)
{
	if (!S_ISDIR(dir->mode))
		return -ENOTDIR;
	if (dir->sealed)
		return -ENOENT;
	if ((dir->root_flags & GOFER_ROOT_PUBLIC) &&
	    (!(dir->mode & S_IXOTH) || (list && !(dir->mode & S_IROTH))))
		return -EACCES;
	return 0;
}

/* Kernel interfaces in the shape of files: never handed to a guest, whatever the mode bits say. */
bool host_is_pseudo(int fd)
{
	static const uint32_t magics[] = {
		PROC_SUPER_MAGIC,
		SYSFS_MAGIC,
		DEVPTS_SUPER_MAGIC,
		CGROUP_SUPER_MAGIC,
		CGROUP2_SUPER_MAGIC,
		DEBUGFS_MAGIC,
		TRACEFS_MAGIC,
		SECURITYFS_MAGIC,
		BPF_FS_MAGIC,
		PSTOREFS_MAGIC,
		NSFS_MAGIC,
		SELINUX_MAGIC,
		SMACK_MAGIC,
		EFIVARFS_MAGIC,
		BINFMTFS_MAGIC,
		AUTOFS_SUPER_MAGIC,
		BINDERFS_SUPER_MAGIC,
		HUGETLBFS_MAGIC,
		0x65735543u /* fusectl */,
		0x62656570u /* configfs */,
		0x19800202u /* mqueue */,
		0x67596969u /* rpc_pipefs */,
		0x6e667364u /* nfsd */,
		0x7655821u /* resctrl */,
	};
	struct statfs st;

	if (hc_fstatfs(fd, &st) < 0)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(magics); i++)
		if ((uint32_t)st.f_type == magics[i])
			return true;
	return false;
}

/* A descriptor with these host flags of a node that is a regular file or a directory. */
static int reopen(const struct server *s, const struct node *n, int flags)
{
	struct gofer_attr a;
	int fd, ret;

	flags |= O_NONBLOCK | O_NOCTTY;
	if (s->proc_fd >= 0)
		return hc_openat(s->proc_fd, proc_name(n->fd).s, flags, 0);
	/* without /proc: by name, and it must be the same file; a FIFO doesn't block, but a device may notice
	 */
	if (!n->parent || n->parent->fd < 0)
		return -ESTALE;
	fd = hc_openat2(n->parent->fd, n->name, (uint64_t)flags | O_NOFOLLOW, 0,
			RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS);
	if (fd < 0)
		return fd;
	ret = host_stat_fd(s, fd, &a);
	if (ret == 0 && (a.ino != n->ino || a.dev != n->dev))
		ret = -ESTALE;
	if (ret < 0)
		hc_close(fd);
	return ret < 0 ? ret : fd;
}

int host_open(const struct server *s, const struct node *n, uint32_t flags)
{
	static const int modes[] = {-1, O_RDONLY, O_WRONLY, O_RDWR};
	struct gofer_attr a;
	int ret, mode = modes[flags & 3];

	if (mode < 0 || (flags & ~(GOFER_OPEN_READ | GOFER_OPEN_WRITE)))
		return -EINVAL;
	ret = host_stat_fd(s, n->fd, &a);
	if (ret < 0)
		return ret;
	if (S_ISDIR(a.mode))
		return -EISDIR;
	if (S_ISLNK(a.mode))
		return -ELOOP;
	if (!S_ISREG(a.mode))
		return -ENXIO;
	if (n->sealed)
		return -EACCES;
	if ((flags & GOFER_OPEN_WRITE) && (n->root_flags & GOFER_ROOT_READONLY))
		return -EROFS;
	if ((n->root_flags & GOFER_ROOT_PUBLIC) && !(a.mode & S_IROTH))
		return -EACCES;
	return reopen(s, n, mode);
}

/* The owner that the guest's kernel decided on. A gofer that may not give files away leaves its own. */
static int give_owner(const struct server *s, int dir, const char *name, const struct gofer_req *q,
		      int at_flags)
{
	struct gofer_attr a;
	struct statx st;
	int ret = hc_statx(dir, name, at_flags | AT_NO_AUTOMOUNT, STAT_MASK, &st);

	if (ret < 0)
		return ret;
	attr_of(s, &st, &a);
	if (a.uid == q->uid && a.gid == q->gid)
		return 0;
	ret = hc_fchownat(dir, name, q->uid, q->gid, at_flags);
	return ret == -EPERM || ret == -EINVAL ? 0 : ret;
}

/* chown drops set-id bits, and creation may not have kept them all. */
static int give_mode(const struct server *s, int fd, uint32_t mode)
{
	struct gofer_attr a;
	int ret = host_stat_fd(s, fd, &a);

	if (ret < 0 || (a.mode & 07777) == mode)
		return ret;
	return hc_fchmod(fd, mode);
}

int host_create(const struct server *s, const struct node *dir, const char *name, const struct gofer_req *q,
		struct gofer_attr *attr, int *out)
{
	int fd = hc_openat2(dir->fd, name, O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY,
			    q->mode & 07777, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS);
	int ret;

	if (fd < 0)
		return fd;
	ret = give_owner(s, fd, "", q, AT_EMPTY_PATH);
	if (ret == 0)
		ret = give_mode(s, fd, q->mode & 07777);
	if (ret == 0)
		ret = host_stat_fd(s, fd, attr);
	if (ret < 0) {
		hc_close(fd);
		(void)!hc_unlinkat(dir->fd, name, 0);
		return ret;
	}
	*out = fd;
	return 0;
}

int host_tmpfile(const struct server *s, const struct node *dir, const struct gofer_req *q, int *out)
{
	int fd = hc_openat(dir->fd, ".", O_TMPFILE | O_RDWR | O_NONBLOCK, q->mode & 07777);
	int ret;

	if (fd < 0)
		return fd;
	ret = give_owner(s, fd, "", q, AT_EMPTY_PATH);
	if (ret == 0)
		ret = give_mode(s, fd, q->mode & 07777);
	if (ret < 0) {
		hc_close(fd);
		return ret;
	}
	*out = fd;
	return 0;
}

int host_mkdir(const struct server *s, const struct node *dir, const char *name, const struct gofer_req *q)
{
	int ret = hc_mkdirat(dir->fd, name, q->mode & 01777), fd;

	if (ret < 0)
		return ret;
	ret = give_owner(s, dir->fd, name, q, AT_SYMLINK_NOFOLLOW);
	if (ret == 0) {
		fd = hc_openat2(dir->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0,
				RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS);
		/* a mode that keeps ourselves out is what was asked for */
		ret = fd == -EACCES ? 0 : fd;
		if (fd >= 0) {
			ret = give_mode(s, fd, q->mode & 07777);
			hc_close(fd);
		}
	}
	if (ret < 0)
		(void)!hc_unlinkat(dir->fd, name, AT_REMOVEDIR);
	return ret;
}

int host_mknod(const struct server *s, const struct node *dir, const char *name, const struct gofer_req *q)
{
	uint32_t type = q->mode & S_IFMT;
	int ret;

	/* A device of the host must not come into being; the whiteout of overlay file systems isn't one. */
	if (type != S_IFREG && type != S_IFIFO && type != S_IFSOCK && !(type == S_IFCHR && q->rdev == 0))
		return -EPERM;
	ret = hc_mknodat(dir->fd, name, type | (q->mode & 07777), 0);
	if (ret < 0)
		return ret;
	ret = give_owner(s, dir->fd, name, q, AT_SYMLINK_NOFOLLOW);
	if (ret < 0)
		(void)!hc_unlinkat(dir->fd, name, 0);
	return ret;
}

int host_symlink(const struct server *s, const struct node *dir, const char *name, const struct gofer_req *q)
{
	char target[GOFER_TARGET_MAX];
	int ret;

	if (q->data_size == 0 || memchr(q->data, 0, q->data_size))
		return q->data_size ? -EINVAL : -ENOENT;
	if (q->data_size >= sizeof(target))
		return -ENAMETOOLONG;
	memcpy(target, q->data, q->data_size);
	target[q->data_size] = 0;
	ret = hc_symlinkat(target, dir->fd, name);
	if (ret < 0)
		return ret;
	ret = give_owner(s, dir->fd, name, q, AT_SYMLINK_NOFOLLOW);
	if (ret < 0)
		(void)!hc_unlinkat(dir->fd, name, 0);
	return ret;
}

int host_link(const struct server *s, const struct node *n, const struct node *dir, const char *name)
{
	int ret = -ENOENT;

	if (s->proc_fd >= 0)
		ret = hc_linkat(s->proc_fd, proc_name(n->fd).s, dir->fd, name, AT_SYMLINK_FOLLOW);
	if (ret == -ENOENT || ret == -EPERM || ret == -EXDEV) {
		int again = hc_linkat(n->fd, "", dir->fd, name, AT_EMPTY_PATH);

		if (again == 0 || s->proc_fd < 0)
			ret = again;
	}
	return ret;
}

static int set_size(const struct server *s, const struct node *n, uint64_t size)
{
	int fd = host_open(s, n, GOFER_OPEN_WRITE), ret;

	if (fd < 0)
		return fd;
	ret = hc_ftruncate(fd, size);
	hc_close(fd);
	return ret;
}

static int set_mode(const struct server *s, const struct node *n, uint32_t mode)
{
	int fd, ret;

	if (S_ISLNK(n->mode))
		return -EOPNOTSUPP;
	if (s->proc_fd >= 0)
		return hc_fchmodat(s->proc_fd, proc_name(n->fd).s, mode);
	fd = reopen(s, n, O_RDONLY);
	if (fd < 0)
		return fd;
	ret = hc_fchmod(fd, mode);
	hc_close(fd);
	return ret;
}

static int set_owner(const struct server *s, const struct node *n, const struct gofer_setattr *a)
{
	uint32_t uid = a->valid & GOFER_SET_UID ? a->uid : (uint32_t)-1;
	uint32_t gid = a->valid & GOFER_SET_GID ? a->gid : (uint32_t)-1;
	struct gofer_attr now;
	int ret = hc_fchownat(n->fd, "", uid, gid, AT_EMPTY_PATH);

	if ((ret == -EPERM || ret == -EINVAL) && s->squash && host_stat_fd(s, n->fd, &now) == 0 &&
	    (uid == (uint32_t)-1 || uid == now.uid) && (gid == (uint32_t)-1 || gid == now.gid))
		return 0; /* it looks that way already */
	return ret;
}

static struct timespec time_for(uint32_t valid, uint32_t set, uint32_t now, const struct gofer_time *t)
{
	struct timespec ts = {.tv_nsec = UTIME_OMIT};

	if (valid & now)
		ts.tv_nsec = UTIME_NOW;
	else if (valid & set)
		ts = (struct timespec){t->sec, t->nsec};
	return ts;
}

int host_setattr(const struct server *s, const struct node *n, const struct gofer_setattr *a)
{
	const uint32_t times = GOFER_SET_ATIME | GOFER_SET_MTIME | GOFER_SET_ATIME_NOW | GOFER_SET_MTIME_NOW;
	int ret = 0;

	if (a->valid & GOFER_SET_SIZE)
		ret = set_size(s, n, a->size);
	if (ret == 0 && (a->valid & (GOFER_SET_UID | GOFER_SET_GID)))
		ret = set_owner(s, n, a);
	if (ret == 0 && (a->valid & GOFER_SET_MODE))
		ret = set_mode(s, n, a->mode);
	if (ret == 0 && (a->valid & times)) {
		struct timespec ts[2] = {time_for(a->valid, GOFER_SET_ATIME, GOFER_SET_ATIME_NOW, &a->atime),
					 time_for(a->valid, GOFER_SET_MTIME, GOFER_SET_MTIME_NOW, &a->mtime)};

		ret = hc_utimensat(n->fd, "", ts, AT_EMPTY_PATH);
	}
	return ret;
}

int host_statfs(const struct node *n, struct linux_statfs *out)
{
	struct statfs st;
	int ret = hc_fstatfs(n->fd, &st);

	if (ret < 0)
		return ret;
	*out = (struct linux_statfs){
		.f_type = st.f_type,
		.f_bsize = st.f_bsize,
		.f_blocks = (int64_t)st.f_blocks,
		.f_bfree = (int64_t)st.f_bfree,
		.f_bavail = (int64_t)st.f_bavail,
		.f_files = (int64_t)st.f_files,
		.f_ffree = (int64_t)st.f_ffree,
		.f_namelen = st.f_namelen,
		.f_frsize = st.f_frsize,
		.f_flags = st.f_flags,
	};
	return 0;
}
