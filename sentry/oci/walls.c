/* walls.c: see walls.h. Runs in the child of sbx, in namespaces of its own, before exec. */
#include "sentry/oci/walls.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/mount.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* <sys/mount.h> and <linux/mount.h> can't be had together */
#define MNT_DETACH_ 2
#define MS_PRIVATE_ (1 << 18)
int umount2(const char *, int);

#define NOBODY 65534u

/* Nothing in these mounts is a program, a device or a way elsewhere. Links count: those below /proc/PID lead
 * to files that were opened for less. */
#define SEALED (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOSYMFOLLOW)

static int sys_open_tree(int dir, const char *path, unsigned flags)
{
	long fd = syscall(SYS_open_tree, dir, path, flags | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	return fd < 0 ? -errno : (int)fd;
}

/* A new file system of that type, mounted nowhere. subset: of proc. */
static int mount_new(const char *type, const char *subset, uint64_t attributes)
{
	int fs = (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC), fd;

	if (fs < 0)
		return -errno;
	if (subset && syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "subset", subset, 0) < 0)
		fd = -errno;
	else if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		fd = -errno;
	else
		fd = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, attributes);
	if (fd == -1)
		fd = -errno;
	close(fs);
	return fd;
}

static int set_attributes(int fd, uint64_t attributes)
{
	struct mount_attr a = {.attr_set = attributes, .propagation = MS_PRIVATE_};

	return syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &a, sizeof(a)) < 0 ? -errno : 0;
}

static int raised(int fd, int low)
{
	int high = fd < 0 ? fd : fcntl(fd, F_DUPFD_CLOEXEC, low);

	if (fd >= 0)
		close(fd);
	return high < 0 && fd >= 0 ? -errno : high;
}

/* The same file in our own mount namespace: only its mounts can be cloned. */
static int find_again(int fd)
{
	char link[32], path[4096];
	struct stat a, b;
	ssize_t n;
	int again;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return -errno;
	path[n] = 0;
	again = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (again < 0)
		return -errno;
	if (fstat(fd, &a) < 0 || fstat(again, &b) < 0 || a.st_dev != b.st_dev || a.st_ino != b.st_ino) {
		close(again);
		return -ESTALE;
	}
	return again;
}

/* A root becomes a mount of its own, so that ".." ends there; what the host mounts below it later isn't seen.
 * Programs in it must stay executable: guests map them. */
static int clone_root(int fd, bool read_only)
{
	int again = find_again(fd), clone, ret;

	if (again < 0)
		return again;
	clone = sys_open_tree(again, "", AT_EMPTY_PATH | AT_RECURSIVE);
	close(again);
	if (clone < 0)
		return clone;
	ret = set_attributes(clone, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
					    (read_only ? (uint64_t)MOUNT_ATTR_RDONLY : 0));
	if (ret < 0)
		close(clone);
	return ret < 0 ? ret : clone;
}

static int clone_roots(struct walls *w, int low)
{
	w->step = "mount its roots apart";
	for (int i = 0; i < w->root_count; i++) {
		int fd = raised(clone_root(w->roots[i], w->read_only[i]), low);

		if (fd < 0)
			return fd;
		w->roots[i] = fd;
	}
	return 0;
}

/* Where processes have the numbers that the sentry knows; a host that allows no such mount (part of its /proc
 * is hidden) still lets it look at itself. */
static int own_proc(void)
{
	int fd = mount_new("proc", "pid", SEALED);

	if (fd >= 0)
		return fd;
	fd = sys_open_tree(AT_FDCWD, "/proc/self", 0);
	return fd < 0 ? fd : set_attributes(fd, SEALED) ?: fd;
}

static int make_proc(struct walls *w, int low)
{
	w->step = "have a /proc of its own";
	w->proc_fd = -1;
	if (w->proc) {
		w->proc_fd = raised(own_proc(), low);
		if (w->proc_fd < 0)
			return w->proc_fd;
	}
	/* there is no way up from there */
	w->fds_fd = raised(sys_open_tree(AT_FDCWD, "/proc/self/fd", 0), low);
	return w->fds_fd < 0 ? w->fds_fd : 0;
}

/* The root is an empty folder that can't be written to, and the host's tree is gone. */
static int empty_root(struct walls *w)
{
	int fd = mount_new("tmpfs", NULL, SEALED | MOUNT_ATTR_RDONLY), ret = 0;

	w->step = "leave the host's files";
	if (fd < 0)
		return fd;
	if (syscall(SYS_move_mount, fd, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0 || fchdir(fd) < 0)
		ret = -errno;
	else if (syscall(SYS_pivot_root, ".", ".") == 0)
		ret = umount2(".", MNT_DETACH_) < 0 ? -errno : 0;
	else if (chroot(".") < 0) /* the host's root can't be moved: initramfs */
		ret = -errno;
	close(fd);
	return ret == 0 && chdir("/") < 0 ? -errno : ret;
}

int walls_build(struct walls *w, int low)
{
	int ret = make_proc(w, low);

	if (ret == 0)
		ret = clone_roots(w, low);
	/* a dynamically linked program still needs its interpreter */
	return ret == 0 && SBX_STATIC ? empty_root(w) : ret;
}

int walls_drop_identity(bool nobody, uint64_t threads)
{
	struct rlimit none = {0, 0}, some = {threads, threads}, now;

	if (setrlimit(RLIMIT_CORE, &none) < 0)
		return -errno;
	if (threads && getrlimit(RLIMIT_NPROC, &now) == 0 && now.rlim_max > threads &&
	    setrlimit(RLIMIT_NPROC, &some) < 0)
		return -errno;
	if (!nobody)
		return 0;
	if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
	    setresuid(NOBODY, NOBODY, NOBODY) < 0)
		return -errno;
	/* changing the user undid it */
	return prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ? -errno : 0;
}
