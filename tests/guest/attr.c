/* attr.c: attributes: stat and statx, access, chmod, chown, times, xattrs, fallocate, openat2, statfs. */
#include "guest.h"
#include <linux/openat2.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <utime.h>

static void stats(void)
{
	struct stat st;
	struct statx x;
	int fd = open("f", O_RDWR | O_CREAT | O_TRUNC, 0644), dir = open(".", O_RDONLY | O_DIRECTORY);

	symlink("f", "link");
	symlink("nowhere", "dangling");
	SHOW(fstatat(dir, "f", &st, 0));
	SHOW(fstatat(dir, "link", &st, AT_SYMLINK_NOFOLLOW));
	printf("%o %ld\n", st.st_mode, (long)st.st_size);
	SHOW(fstatat(dir, "", &st, 0));
	SHOW(fstatat(dir, "", &st, AT_EMPTY_PATH));
	printf("dir %d\n", S_ISDIR(st.st_mode));
	SHOW(fstatat(fd, "x", &st, 0));
	SHOW(fstatat(999, "x", &st, 0));
	SHOW(fstatat(999, "/", &st, 0));
	SHOW(fstatat(dir, "f", &st, 0x8));
	SHOW(stat("dangling", &st));
	SHOW(lstat("dangling", &st));
	SHOW(stat((char *)16, &st));
	SHOW(stat("f", (void *)16));
	SHOW(statx(dir, "f", 0, STATX_ALL, &x));
	printf("mask %d mode %o\n", (x.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS, x.stx_mode);
	SHOW(statx(dir, "f", 0, STATX__RESERVED, &x));
	SHOW(statx(dir, "f", 0x6000, 0, &x));
	SHOW(statx(fd, "", AT_EMPTY_PATH, STATX_SIZE, &x));
	SHOW(stat("/dev/null", &st));
	printf("%d:%d %d\n", major(st.st_rdev), minor(st.st_rdev), S_ISCHR(st.st_mode));
	SHOW(access("f", F_OK));
	SHOW(access("f", 8));
	SHOW(access("nope", R_OK));
	SHOW(faccessat(dir, "dangling", F_OK, AT_SYMLINK_NOFOLLOW));
	SHOW(syscall(SYS_faccessat2, dir, "", R_OK, AT_EMPTY_PATH));
	SHOW(syscall(SYS_faccessat2, dir, "f", R_OK, 1));
	close(fd);
	close(dir);
}

static void changes(void)
{
	struct stat st;
	int fd = open("f", O_RDWR), ro = open("f", O_RDONLY);
	struct timespec ts[2] = {{1000, 5}, {2000, 6}};
	struct timeval tv[2] = {{1, 1000000}, {2, 0}};
	struct utimbuf ub = {10, 20};

	SHOW(chmod("f", 04711));
	stat("f", &st);
	printf("%o\n", st.st_mode);
	SHOW(fchmod(fd, 0600));
	SHOW(fchmodat(AT_FDCWD, "link", 0640, 0));
	SHOW(syscall(452, AT_FDCWD, "link", 0640, 1));
	SHOW(syscall(452, fd, "", 0640, AT_EMPTY_PATH));
	SHOW(chmod("nope", 0));
	SHOW(chown("f", -1, -1));
	SHOW(lchown("dangling", -1, -1));
	SHOW(fchownat(AT_FDCWD, "f", -1, -1, 7));
	SHOW(fchownat(fd, "", -1, -1, AT_EMPTY_PATH));
	SHOW(utimensat(AT_FDCWD, "f", ts, 0));
	stat("f", &st);
	printf("%ld.%09ld %ld.%09ld\n", (long)st.st_atime, st.st_atim.tv_nsec, (long)st.st_mtime,
	       st.st_mtim.tv_nsec);
	ts[0].tv_nsec = UTIME_OMIT;
	ts[1].tv_sec = 7;
	SHOW(futimens(fd, ts));
	stat("f", &st);
	printf("%ld.%09ld %ld.%09ld\n", (long)st.st_atime, st.st_atim.tv_nsec, (long)st.st_mtime,
	       st.st_mtim.tv_nsec);
	ts[1].tv_nsec = 1000000000;
	SHOW(futimens(fd, ts));
	ts[1].tv_nsec = UTIME_OMIT;
	SHOW(utimensat(AT_FDCWD, "nope", ts, 0));
	SHOW(syscall(SYS_utimensat, AT_FDCWD, NULL, NULL, 0));
	SHOW(utimensat(AT_FDCWD, "f", NULL, 99));
	SHOW(utimes("f", tv));
	SHOW(utime("f", &ub));
	stat("f", &st);
	printf("%ld %ld\n", (long)st.st_atime, (long)st.st_mtime);
	SHOW(fallocate(fd, 0, 0, 100));
	fstat(fd, &st);
	printf("size %ld\n", (long)st.st_size);
	SHOW(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 1000));
	fstat(fd, &st);
	printf("size %ld\n", (long)st.st_size);
	SHOW(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 10));
	SHOW(fallocate(fd, 0, -1, 10));
	SHOW(fallocate(fd, 0, 0, 0));
	SHOW(fallocate(ro, 0, 0, 10));
	SHOW(fallocate(fd, 0x1000, 0, 10));
	SHOW(ftruncate(ro, 0));
	SHOW(fsync(fd));
	SHOW(fdatasync(ro));
	SHOW(sync_file_range(fd, 0, 10, 7));
	SHOW(sync_file_range(fd, 0, 10, 9));
	SHOW(posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED));
	SHOW(posix_fadvise(fd, 0, 0, 77));
	SHOW(readahead(fd, 0, 10));
	int p[2];
	MUST(pipe(p) == 0);
	SHOW(fsync(p[0]));
	SHOW(posix_fadvise(p[0], 0, 0, 0));
	SHOW(ftruncate(p[1], 0));
	SHOW(fallocate(p[1], 0, 0, 10));
	SHOW(syncfs(fd));
	SHOW(umask(077));
	SHOW(umask(01022));
	SHOW(umask(022));
}

static void xattrs(void)
{
	char buf[64] = {0};
	int fd = open("f", O_RDWR);

	if (setxattr("f", "user.probe", "x", 1, 0) < 0) {
		printf("no user xattrs here\n");
		return;
	}
	SHOW(removexattr("f", "user.probe"));
	SHOW(setxattr("f", "user.a", "value", 5, XATTR_REPLACE));
	SHOW(setxattr("f", "user.a", "value", 5, XATTR_CREATE));
	SHOW(setxattr("f", "user.a", "value", 5, XATTR_CREATE));
	SHOW(setxattr("f", "user.a", "value", 5, 9));
	SHOW(getxattr("f", "user.a", buf, 64));
	SHOW(getxattr("f", "user.a", buf, 2));
	SHOW(getxattr("f", "user.a", NULL, 0));
	SHOW(getxattr("f", "user.none", buf, 64));
	SHOW(getxattr("f", "", buf, 64));
	SHOW(getxattr("f", "nonamespace", buf, 64));
	SHOW(fsetxattr(fd, "user.b", "", 0, 0));
	SHOW(listxattr("f", NULL, 0));
	SHOW(flistxattr(fd, buf, 3));
	SHOW(lsetxattr("link", "user.x", "x", 1, 0));
	SHOW(lgetxattr("link", "user.a", buf, 64));
	SHOW(removexattr("f", "user.a"));
	SHOW(removexattr("f", "user.a"));
	SHOW(fremovexattr(fd, "user.b"));
	SHOW(fgetxattr(999, "user.a", buf, 64));
}

static long openat2(int dir, const char *name, struct open_how *how, size_t size)
{
	return syscall(SYS_openat2, dir, name, how, size);
}

static void resolve(void)
{
	struct open_how how = {.flags = O_RDONLY};
	struct {
		struct open_how how;
		uint64_t more;
	} big = {.how = {.flags = O_RDONLY}};
	int dir;

	mkdir("d", 0755);
	close(open("d/in", O_CREAT | O_WRONLY, 0644));
	symlink("/etc", "d/abs");
	symlink("..", "d/up");
	symlink("in", "d/rel");
	dir = open("d", O_RDONLY);
	SHOW_OK(openat2(dir, "in", &how, sizeof(how)));
	SHOW(openat2(dir, "in", &how, 8));
	SHOW_OK(openat2(dir, "in", &big.how, sizeof(big)));
	big.more = 1;
	SHOW(openat2(dir, "in", &big.how, sizeof(big)));
	how.resolve = RESOLVE_BENEATH;
	SHOW_OK(openat2(dir, "in", &how, sizeof(how)));
	SHOW_OK(openat2(dir, "rel", &how, sizeof(how)));
	SHOW(openat2(dir, "../f", &how, sizeof(how)));
	SHOW(openat2(dir, "up/f", &how, sizeof(how)));
	SHOW(openat2(dir, "abs", &how, sizeof(how)));
	SHOW(openat2(dir, "/etc", &how, sizeof(how)));
	how.resolve = RESOLVE_NO_SYMLINKS;
	SHOW(openat2(dir, "rel", &how, sizeof(how)));
	how.resolve = RESOLVE_IN_ROOT;
	SHOW_OK(openat2(dir, "/in", &how, sizeof(how)));
	SHOW(openat2(dir, "abs", &how, sizeof(how)));
	SHOW_OK(openat2(dir, "up/in", &how, sizeof(how)));
	how.resolve = RESOLVE_IN_ROOT | RESOLVE_BENEATH;
	SHOW(openat2(dir, "in", &how, sizeof(how)));
	how.resolve = 1 << 20;
	SHOW(openat2(dir, "in", &how, sizeof(how)));
	how = (struct open_how){.flags = O_RDONLY, .mode = 0600};
	SHOW(openat2(dir, "in", &how, sizeof(how)));
	how = (struct open_how){.flags = O_RDONLY | 0x80000000ULL << 8};
	SHOW(openat2(dir, "in", &how, sizeof(how)));
	how = (struct open_how){.flags = O_PATH | O_RDWR};
	SHOW(openat2(dir, "in", &how, sizeof(how)));
	how = (struct open_how){.flags = O_TMPFILE | O_RDONLY};
	SHOW(openat2(dir, ".", &how, sizeof(how)));
	SHOW(open("d", O_TMPFILE | O_RDONLY, 0600));
	SHOW_OK(open("d", O_TMPFILE | O_RDWR, 0600));
	SHOW(open("d", O_RDWR));
	SHOW(open("d", O_CREAT | O_RDONLY, 0600));
	SHOW(open("d/in", O_CREAT | O_EXCL, 0600));
	SHOW(open("link", O_RDONLY | O_NOFOLLOW));
	SHOW_OK(open("link", O_PATH | O_NOFOLLOW));
	SHOW(open("dangling", O_CREAT | O_EXCL | O_RDWR, 0600));
	SHOW(open("nodir/x", O_CREAT | O_RDWR, 0600));
	SHOW(open("f/", O_RDONLY));
	SHOW(open("newdir/", O_CREAT | O_RDWR, 0600));
	int lp = open("d/rel", O_PATH | O_NOFOLLOW);
	char buf[64] = {0};
	SHOW(readlinkat(lp, "", buf, 64));
	printf("%s\n", buf);
	SHOW(readlink("d/rel", buf, 1));
	SHOW(readlink("d/rel", buf, 0));
	SHOW(readlink("d/in", buf, 64));
	SHOW(readlinkat(dir, "", buf, 64));
	SHOW(mknod("fifo", S_IFIFO | 0600, 0));
	SHOW(mknod("reg", 0600, 0));
	SHOW(mknod("bad", S_IFDIR | 0600, 0));
	SHOW(mknod("bad", 0170000, 0));
	SHOW(renameat2(AT_FDCWD, "reg", AT_FDCWD, "fifo", 1));
	SHOW(renameat2(AT_FDCWD, "reg", AT_FDCWD, "fifo", 2));
	SHOW(renameat2(AT_FDCWD, "reg", AT_FDCWD, "fifo", 3));
	SHOW(renameat2(AT_FDCWD, "reg", AT_FDCWD, "fifo", 8));
	SHOW(unlinkat(AT_FDCWD, "d", 0));
	SHOW(unlinkat(AT_FDCWD, "d", 1));
	SHOW(unlinkat(AT_FDCWD, "d", AT_REMOVEDIR));
	SHOW(linkat(AT_FDCWD, "f", AT_FDCWD, "hard", 7));
	SHOW(linkat(AT_FDCWD, "dangling", AT_FDCWD, "hard", 0));
	SHOW(linkat(AT_FDCWD, "dangling", AT_FDCWD, "hard2", AT_SYMLINK_FOLLOW));
	SHOW(symlink("", "empty"));
	SHOW(symlink("x", "f"));
	SHOW(rename("d", "d/sub"));
	SHOW(rename("f", "d"));
	SHOW(rename("d", "f"));
	SHOW(rmdir("."));
	SHOW(rmdir("d/.."));
	SHOW(link("d", "dl"));
}

int main(void)
{
	struct statfs fs;

	stats();
	changes();
	xattrs();
	resolve();
	SHOW(statfs(".", &fs));
	SHOW(statfs("nope", &fs));
	SHOW(fstatfs(999, &fs));
	SHOW(chdir("f"));
	SHOW(chdir("d"));
	SHOW(fchdir(0 + open("in", O_RDONLY)));
	SHOW(fchdir(open("..", O_PATH)));
	char buf[8];
	SHOW_OK(syscall(SYS_getcwd, buf, 1));
	mkdir("gone", 0700);
	SHOW(chdir("gone"));
	SHOW(rmdir("../gone"));
	SHOW(syscall(SYS_getcwd, buf, 8));
	SHOW(open("x", O_CREAT | O_RDWR, 0600));
	return 0;
}
