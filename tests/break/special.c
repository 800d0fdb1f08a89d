/* special.c: see special.h. */
#include "tests/break/special.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include "platform/host/procfd.h"

#define P(s) ((long)(s))

/* getpid of the 32-bit table, where 20 is writev's number in ours */
long special_int80(int where)
{
	long ret;

	(void)where;
	__asm__ volatile("int $0x80" : "=a"(ret) : "a"(20L) : "r8", "r9", "r10", "r11", "memory");
	return ret;
}

/* ---- the sentry. The folder of descriptors is its own process's: an attempt is made by a child, which the
 * host may not even let in (EACCES). */

static char byte;
static struct iovec local = {&byte, 1};

/* pid 1 of the sandbox is itself; a process of the host has no number here. */
static long read_outside(int where)
{
	(void)where;
	for (int pid = 1000; pid < 1200; pid++) {
		struct iovec remote = {(void *)0x400000, 1};

		if (syscall(SYS_process_vm_readv, pid, &local, 1, &remote, 1, 0) >= 0 || errno != ESRCH)
			return 0;
	}
	errno = ESRCH;
	return -1;
}

static long kill_outside(int where)
{
	(void)where;
	for (int pid = 1000; pid < 1200; pid++)
		if (kill(pid, 0) == 0)
			return 0;
	return -1;
}

/* More than the sandbox's own processes in its /proc? */
static long proc_of_the_host(int where)
{
	(void)where;
	return openat(PROC_DIR_FD, "sys/kernel/hostname", O_RDONLY | O_CLOEXEC);
}

static long up_from(int dir, const char *path)
{
	return openat(dir, path, O_RDONLY | O_CLOEXEC);
}

static long up_from_proc(int where)
{
	(void)where;
	return up_from(PROC_DIR_FD, "../../../etc/passwd");
}

static long up_from_fds(int where)
{
	(void)where;
	return up_from(PROC_FDS_FD, "../../../etc/passwd");
}

static long maps_above_fds(int where)
{
	(void)where;
	return up_from(PROC_FDS_FD, "../maps");
}

static long root_link(int where)
{
	(void)where;
	return up_from(PROC_DIR_FD, "1/root/etc/passwd");
}

static long fd_link(int where)
{
	(void)where;
	return openat(PROC_DIR_FD, "1/fd/2", O_RDWR | O_CLOEXEC);
}

static long absolute(int where)
{
	(void)where;
	return up_from(PROC_DIR_FD, "/etc/passwd");
}

static long down_a_socket(int where)
{
	(void)where;
	return up_from(PROC_FDS_FD, "3");
}

const struct attempt special_sentry[] = {
	{"a file by path", SYS_openat, {AT_FDCWD, P("/etc/passwd"), O_RDONLY | O_CLOEXEC}, {ENOENT}},
	{"a file below standard input", SYS_openat, {0, P("x"), O_RDONLY | O_CLOEXEC}},
	{"a new file in /proc", SYS_openat, {PROC_DIR_FD, P("x"), O_RDWR | O_CREAT | O_CLOEXEC, 0600}},
	{"a folder in /proc", SYS_openat, {PROC_DIR_FD, P("1"), O_PATH | O_CLOEXEC}},
	{"an own descriptor for writing", SYS_openat, {PROC_FDS_FD, P("2"), O_RDWR | O_CLOEXEC}},
	{"a file without closing at exec", SYS_openat, {PROC_DIR_FD, P("1/maps"), O_RDONLY}},
	{"up from /proc", -1, {0}, {ENOENT}, up_from_proc},
	{"up from the descriptors", -1, {0}, {ENOENT, EACCES}, up_from_fds},
	{"above the descriptors", -1, {0}, {ENOENT, EACCES}, maps_above_fds},
	{"by the root's link", -1, {0}, {ELOOP}, root_link},
	{"by a descriptor's link", -1, {0}, {ELOOP}, fd_link},
	{"an absolute path", -1, {0}, {ENOENT}, absolute},
	{"the socket's inode", -1, {0}, {ENXIO, ENOENT, EACCES}, down_a_socket},
	{"the host's settings", -1, {0}, {ENOENT}, proc_of_the_host},
	{"memory outside", -1, {0}, {ESRCH}, read_outside},
	{"a signal outside", -1, {0}, {ESRCH}, kill_outside},
	{"ptrace", SYS_ptrace, {PTRACE_TRACEME, 0, 0, 0}},
	{"openat2", SYS_openat2, {AT_FDCWD, P("/"), P(&byte), 24}},
	{"mkdirat", SYS_mkdirat, {PROC_DIR_FD, P("x"), 0700}},
	{"unlinkat", SYS_unlinkat, {PROC_DIR_FD, P("x"), 0}},
	{"symlinkat", SYS_symlinkat, {P("x"), PROC_DIR_FD, P("y")}},
	{"linkat", SYS_linkat, {PROC_DIR_FD, P("x"), PROC_DIR_FD, P("y"), 0}},
	{"renameat2", SYS_renameat2, {PROC_DIR_FD, P("x"), PROC_DIR_FD, P("y"), 0}},
	{"mknodat", SYS_mknodat, {PROC_DIR_FD, P("x"), S_IFIFO | 0600, 0}},
	{"fchmod", SYS_fchmod, {2, 0777}},
	{"getdents", SYS_getdents64, {PROC_DIR_FD, P(&byte), 1}},
	{"control: its /proc", SYS_openat, {PROC_DIR_FD, P("1/maps"), O_RDONLY | O_CLOEXEC}},
	{0},
};

/* ---- the gofer: where is its first root, which is read-only and holds a device */

static long up_from_root(int where)
{
	struct stat a, b;
	int fd = openat(where, "..", O_PATH | O_DIRECTORY);

	if (fd < 0)
		return -1;
	if (fstat(fd, &a) < 0 || fstat(where, &b) < 0)
		return 0;
	errno = EXDEV;
	return a.st_ino == b.st_ino && a.st_dev == b.st_dev ? -1 : 0;
}

static long far_up(int where)
{
	return openat(where, "../../../../../../etc/passwd", O_RDONLY);
}

static long write_to_root(int where)
{
	return openat(where, "new", O_RDWR | O_CREAT, 0600);
}

static long write_to_file(int where)
{
	return openat(where, "marker", O_WRONLY);
}

static long folder_in_root(int where)
{
	return mkdirat(where, "new", 0700);
}

static long remove_from_root(int where)
{
	return unlinkat(where, "marker", 0);
}

static long mode_in_root(int where)
{
	return fchmodat(where, "marker", 0777, 0);
}

static long open_device(int where)
{
	return openat(where, "device", O_RDONLY | O_NONBLOCK);
}

static long absolute_link(int where)
{
	return openat(where, "link-to-etc-passwd", O_RDONLY);
}

static long make_device(int where)
{
	return syscall(SYS_mknodat, where, "new", S_IFCHR | 0600, makedev(1, 3));
}

const struct attempt special_gofer[] = {
	{"a file by path", SYS_openat, {AT_FDCWD, P("/etc/passwd"), O_RDONLY}, {ENOENT}},
	{"a new file by path", SYS_openat, {AT_FDCWD, P("/x"), O_RDWR | O_CREAT, 0600}, {EROFS}},
	{"up from its root", -1, {0}, {EXDEV}, up_from_root},
	{"far up from its root", -1, {0}, {ENOENT}, far_up},
	{"a new file in a read-only root", -1, {0}, {EROFS}, write_to_root},
	{"writing in a read-only root", -1, {0}, {EROFS}, write_to_file},
	{"a folder in a read-only root", -1, {0}, {EROFS}, folder_in_root},
	{"removing from a read-only root", -1, {0}, {EROFS}, remove_from_root},
	{"a mode in a read-only root", -1, {0}, {EROFS}, mode_in_root},
	{"a device in its root", -1, {0}, {EACCES, ENOENT}, open_device},
	{"a link in its root", -1, {0}, {ENOENT, ELOOP}, absolute_link},
	{"making a device", -1, {0}, {0}, make_device},
	{"ptrace", SYS_ptrace, {PTRACE_TRACEME, 0, 0, 0}},
	{"process_vm_readv", SYS_process_vm_readv, {1, P(&local), 1, P(&local), 1, 0}},
	{"kill", SYS_kill, {1, 0}},
	{"memfd", SYS_memfd_create, {P("x"), 0}},
	{0},
};
