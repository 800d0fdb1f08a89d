/* dir.c: directories, links, rename in all its forms, symlinks, getdents, unlink rules. */
#include "guest.h"
#include <dirent.h>
#include <linux/fs.h>

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void list(const char *path)
{
	struct dirent **e;
	int n = scandir(path, &e, NULL, by_name);

	printf("%s:", path);
	for (int i = 0; i < n; i++)
		printf(" %s(%d)", e[i]->d_name, e[i]->d_type);
	puts("");
}

static int touch(const char *p)
{
	int fd = open(p, O_CREAT | O_WRONLY, 0644);

	if (fd >= 0)
		close(fd);
	return fd >= 0 ? 0 : -1;
}

int main(void)
{
	char buf[256];
	struct stat st;

	SHOW(mkdir("d", 0755));
	SHOW(mkdir("d", 0755));
	SHOW(mkdir("d/e/f", 0755));
	SHOW(mkdir("d/e/", 0755));
	SHOW(touch("d/f"));
	SHOW(touch("d/e/g"));
	SHOW(rmdir("d"));
	SHOW(rmdir("d/f"));
	SHOW(unlink("d/e"));
	SHOW(rmdir("d/."));
	SHOW(rmdir("d/e/.."));
	SHOW(mkdir("d/f/x", 0755));
	list("d");
	SHOW(link("d/f", "d/l"));
	SHOW(link("d/e", "d/l2"));
	SHOW(link("d/f", "d/l"));
	stat("d/f", &st);
	printf("nlink %ld\n", (long)st.st_nlink);
	stat("d", &st);
	SHOW(symlink("f", "d/s"));
	SHOW(symlink("", "d/s2"));
	SHOW(symlink("loop2", "loop1"));
	SHOW(symlink("loop1", "loop2"));
	SHOW(open("loop1", O_RDONLY));
	SHOW(readlink("d/s", buf, sizeof(buf)));
	SHOW(readlink("d/f", buf, sizeof(buf)));
	SHOW(readlink("d/s", buf, 0));
	SHOW(lstat("d/s", &st));
	printf("%o %ld\n", st.st_mode & S_IFMT, (long)st.st_size);
	SHOW(open("d/s", O_RDONLY | O_NOFOLLOW));
	SHOW(symlink("nowhere", "dangling"));
	SHOW(open("dangling", O_RDONLY));
	SHOW(open("dangling", O_CREAT | O_EXCL | O_WRONLY, 0600));
	SHOW(touch("dangling"));
	SHOW(stat("nowhere", &st));
	SHOW(rename("d/f", "d/r"));
	SHOW(rename("d/r", "d/l"));
	list("d");
	SHOW(rename("d", "d/e/x"));
	SHOW(rename("d/e", "d/l"));
	SHOW(rename("d/l", "d/e"));
	SHOW(mkdir("empty", 0755));
	SHOW(rename("empty", "d/e"));
	SHOW(unlink("d/e/g"));
	SHOW(rename("empty", "d/e"));
	SHOW(rename("nothing", "d/x"));
	SHOW(rename("d/.", "x"));
	SHOW(syscall(SYS_renameat2, AT_FDCWD, "d/l", AT_FDCWD, "d/s", RENAME_NOREPLACE));
	SHOW(syscall(SYS_renameat2, AT_FDCWD, "d/l", AT_FDCWD, "d/e", RENAME_EXCHANGE));
	SHOW(syscall(SYS_renameat2, AT_FDCWD, "d/l", AT_FDCWD, "d/e", RENAME_EXCHANGE | RENAME_NOREPLACE));
	list("d");
	SHOW(chdir("d/l"));
	SHOW(rmdir("../l"));
	SHOW(touch("gone"));
	SHOW(open(".", O_RDONLY) >= 0);
	SHOW(chdir(".."));
	SHOW(chdir("../.."));
	memset(buf, 'n', sizeof(buf));
	buf[255] = 0;
	rmdir(buf);
	SHOW(mkdir(buf, 0700));
	rmdir(buf);
	static char longname[5000];
	memset(longname, 'x', 300);
	SHOW(touch(longname));
	memset(longname, '/', 4999);
	SHOW(open(longname, O_RDONLY));
	return 0;
}
