/* answers.c: what is known of names and files is asked for again and again, and must be true each time: after
 * changes by the process itself, by another, and while another is at it. A platform may keep answers; none may
 * outlive what it says. */
#include "guest.h"
#include <dirent.h>
#include <pthread.h>
#include <sched.h>

/* Prints what each way of asking about a name says, after asking a few times. */
static void ask_at(int dir, const char *name)
{
	struct stat s = {0}, l = {0};
	struct statx x = {0};
	int a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0;
	char to[64];

	for (int i = 0; i < 4; i++) {
		errno = 0;
		a = fstatat(dir, name, &s, 0) ? errno : 0;
		b = fstatat(dir, name, &l, AT_SYMLINK_NOFOLLOW) ? errno : 0;
		c = statx(dir, name, 0, STATX_BASIC_STATS, &x) ? errno : 0;
		d = faccessat(dir, name, R_OK, 0) ? errno : 0;
		e = faccessat(dir, name, X_OK, 0) ? errno : 0;
		int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
		f = fd < 0 ? errno : 0;
		g = *name && readlinkat(dir, name, to, sizeof(to)) < 0 ? errno : 0;
		if (fd >= 0)
			close(fd);
	}
	printf("%s: stat %d lstat %d statx %d R %d X %d open %d link %d", name, a, b, c, d, e, f, g);
	if (!a && S_ISREG(s.st_mode))
		printf(" mode %o size %ld links %ld uid %d x %ld", s.st_mode, (long)s.st_size, (long)s.st_nlink,
		       s.st_uid, (long)x.stx_size);
	else if (!a)
		printf(" mode %o", s.st_mode);
	if (!b)
		printf(" lmode %o", l.st_mode & S_IFMT);
	puts("");
}

static void ask(const char *name)
{
	ask_at(AT_FDCWD, name);
}

static void put(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_APPEND, 0644);

	MUST(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

static void by_oneself(void)
{
	struct timespec t[2] = {{1000, 0}, {2000, 0}};
	struct stat s;

	puts("-- by oneself");
	ask("f");
	put("f", "one");
	ask("f");
	put("f", "two");
	ask("f");
	SHOW(truncate("f", 100));
	ask("f");
	SHOW(chmod("f", 0755));
	ask("f");
	SHOW(link("f", "g"));
	ask("f");
	ask("g");
	SHOW(utimensat(AT_FDCWD, "f", t, 0));
	SHOW(stat("g", &s));
	printf("times %ld %ld\n", (long)s.st_atime, (long)s.st_mtime);
	SHOW(unlink("f"));
	ask("f");
	ask("g");
	SHOW(rename("g", "f"));
	ask("f");
	ask("g");
	SHOW(symlink("f", "l"));
	ask("l");
	SHOW(unlink("l"));
	SHOW(symlink("nowhere", "l"));
	ask("l");
	put("nowhere", "here");
	ask("l");
	SHOW(unlink("nowhere"));
	ask("l");
	SHOW(mkdir("d", 0755));
	ask("d/e");
	ask("d");
	put("d/e", "x");
	ask("d/e");
	SHOW(rename("d", "dd"));
	ask("d/e");
	ask("dd/e");
	SHOW(unlink("dd/e"));
	SHOW(rmdir("dd"));
	ask("dd");
	ask("dd/e");
	SHOW(mkdir("dd", 0700));
	ask("dd");
	int big = open("f", O_RDWR);
	SHOW(ftruncate(big, 0));
	ask("f");
	SHOW(fallocate(big, 0, 0, 5000));
	ask("f");
	SHOW(pwrite(big, "x", 1, 9000));
	ask("f");
	close(big);
	SHOW(unlink("f"));
	SHOW(mkfifo("f", 0600));
	SHOW(stat("f", &s));
	printf("%o\n", s.st_mode);
	SHOW(unlink("f"));
	SHOW(unlink("l"));
	SHOW(rmdir("dd"));
}

static void where(void)
{
	puts("-- where");
	MUST(mkdir("a", 0755) == 0 && mkdir("b", 0755) == 0);
	put("a/n", "1");
	put("b/n", "22");
	SHOW(chdir("a"));
	ask("n");
	SHOW(chdir("../b"));
	ask("n");
	SHOW(chdir(".."));
	ask("n");
	int a = open("a", O_RDONLY | O_DIRECTORY), b = open("b", O_RDONLY | O_DIRECTORY);
	ask_at(a, "n");
	ask_at(b, "n");
	ask_at(b, "m");
	MUST(dup2(b, a) == a);
	ask_at(a, "n");
	close(a);
	SHOW(fstatat(a, "n", &(struct stat){0}, 0));
	SHOW(rename("b/n", "b/m"));
	ask_at(b, "n");
	ask_at(b, "m");
	SHOW(rename("b", "c"));
	ask_at(b, "m");
	SHOW(unlink("c/m"));
	ask_at(b, "m");
	SHOW(rmdir("c"));
	ask_at(b, "m");
	close(b);
	SHOW(unlink("a/n"));
	SHOW(rmdir("a"));
}

static long size_of(int fd)
{
	struct stat s;

	for (int i = 0; i < 3; i++)
		if (fstat(fd, &s))
			return -errno;
	return (long)s.st_size;
}

static void descriptors(void)
{
	puts("-- descriptors");
	put("p", "12345");
	put("q", "1234567");
	int p = open("p", O_RDWR), q = open("q", O_RDONLY);
	printf("%ld %ld\n", size_of(p), size_of(q));
	SHOW(write(p, "abcdefghi", 9));
	printf("%ld\n", size_of(p));
	MUST(dup2(q, p) == p);
	printf("%ld\n", size_of(p));
	close(p);
	printf("%ld\n", size_of(p));
	MUST(open("p", O_RDONLY) == p);
	printf("%ld\n", size_of(p));
	struct stat s;
	SHOW(unlink("p"));
	fstat(p, &s);
	printf("links %ld\n", (long)s.st_nlink);
	SHOW(rename("q", "r"));
	SHOW(fchmod(q, 0600));
	fstat(q, &s);
	printf("mode %o\n", s.st_mode);
	SHOW(unlink("r"));
	fstat(q, &s);
	printf("links %ld\n", (long)s.st_nlink);
	close(p);
	close(q);
}

/* As find and ls do it: a directory is read, then each entry is looked at. */
static void listed(void)
{
	char name[32];

	puts("-- listed");
	MUST(mkdir("many", 0755) == 0);
	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "many/%d", i);
		put(name, "0123456789" + i % 10);
	}
	for (int round = 0; round < 6; round++) {
		DIR *d = opendir("many");
		struct dirent *e;
		struct stat s;
		long sum = 0, n = 0;

		MUST(d);
		char names[64][256];
		while ((e = readdir(d)))
			if (e->d_name[0] != '.')
				strcpy(names[n++], e->d_name);
		if (round == 3)
			put("many/7", "more than there was");
		if (round == 4)
			MUST(unlink("many/8") == 0);
		for (long i = 0; i < n; i++)
			if (fstatat(dirfd(d), names[i], &s, AT_SYMLINK_NOFOLLOW) == 0)
				sum += s.st_size;
		closedir(d);
		printf("%ld names, %ld bytes\n", n, sum);
	}
	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "many/%d", i);
		unlink(name);
	}
	SHOW(rmdir("many"));
}

/* Who may read a directory may not therefore look at its entries. */
static void rights(void)
{
	puts("-- rights");
	if (geteuid() != 0) {
		puts("not root");
		return;
	}
	MUST(chmod(".", 0755) == 0 && mkdir("r", 0755) == 0);
	put("r/x", "x");
	MUST(chmod("r/x", 0640) == 0);
	ask("r/x");
	pid_t p = fork();
	if (p == 0) {
		DIR *d;
		struct dirent *e;

		ask("r/x");
		SHOW(setuid(12345));
		ask("r/x");
		fflush(stdout);
		d = opendir("r");
		MUST(d);
		for (int round = 0; round < 3; round++) {
			struct stat s;
			while ((e = readdir(d)))
				if (e->d_name[0] == 'x')
					SHOW(fstatat(dirfd(d), "x", &s, AT_SYMLINK_NOFOLLOW));
			rewinddir(d);
			fflush(stdout);
			if (round == 0) {
				kill(getpid(), SIGSTOP);
				ask("r/x");
			}
		}
		fflush(stdout);
		_exit(0);
	}
	int st;
	MUST(waitpid(p, &st, WUNTRACED) == p && WIFSTOPPED(st));
	MUST(chmod("r", 0744) == 0);
	kill(p, SIGCONT);
	waitpid(p, &st, 0);
	show_status("child", st);
	unlink("r/x");
	rmdir("r");
}

/* Another process changes things and says so in shared memory; whoever reads that must see it. */
static volatile long *said;

static void by_another(void)
{
	puts("-- by another");
	said = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	MUST(said != MAP_FAILED);
	put("grow", "");
	int fd = open("grow", O_RDONLY);
	pid_t p = fork();
	if (p == 0) {
		int w = open("grow", O_WRONLY | O_APPEND);
		char name[32];

		for (long i = 1; i <= 400; i++) {
			MUST(write(w, "x", 1) == 1);
			said[0] = i;
			snprintf(name, sizeof(name), "new%ld", i);
			MUST(mknod(name, S_IFREG | 0600, 0) == 0);
			said[1] = i;
			MUST(unlink(name) == 0);
			said[2] = i;
			MUST(chmod("grow", i % 512) == 0);
			said[3] = i;
			if (i % 16 == 0)
				sched_yield();
		}
		_exit(0);
	}
	long wrong = 0, rounds = 0;
	int st = 0;
	char name[32];
	while (waitpid(p, &st, WNOHANG) == 0) {
		struct stat s;
		for (int k = 0; k < 20; k++, rounds++) {
			long n = said[0];
			if (stat("grow", &s) || s.st_size < n)
				wrong++;
			n = said[0];
			if (fstat(fd, &s) || s.st_size < n)
				wrong++;
			/* the next one may come at any time, the last one is gone for good once it was said */
			n = said[2];
			snprintf(name, sizeof(name), "new%ld", n);
			if (n && stat(name, &s) == 0)
				wrong++;
			n = said[1];
			snprintf(name, sizeof(name), "new%ld", n);
			if (stat(name, &s) != 0 && n && said[2] < n && said[1] == n && said[2] < n) {
				/* it was there; it may have gone since: then that is said soon */
				for (int w = 0; w < 1000000 && said[2] < n; w++)
					sched_yield();
				if (said[2] < n)
					wrong++;
			}
		}
	}
	show_status("changer", st);
	printf("wrong: %ld, looked: %s\n", wrong, rounds ? "yes" : "no");
	struct stat s;
	SHOW(stat("grow", &s));
	printf("size %ld mode %o\n", (long)s.st_size, s.st_mode);
	close(fd);
	unlink("grow");
}

/* Two names change places again and again: one of the two is always there under each name. */
static void swapped(void)
{
	puts("-- swapped");
	put("one", "1");
	put("two", "22");
	said[0] = 0;
	pid_t p = fork();
	if (p == 0) {
		for (int i = 0; i < 600; i++)
			MUST(renameat2(AT_FDCWD, "one", AT_FDCWD, "two", RENAME_EXCHANGE) == 0);
		_exit(0);
	}
	long wrong = 0;
	int st;
	while (waitpid(p, &st, WNOHANG) == 0)
		for (int i = 0; i < 50; i++) {
			struct stat s;
			if (stat("one", &s) || s.st_size < 1 || s.st_size > 2)
				wrong++;
		}
	show_status("swapper", st);
	printf("wrong: %ld\n", wrong);
	ask("one");
	unlink("one");
	unlink("two");
}

/* A thread changes the directory of all. */
static void *mover(void *arg)
{
	for (long i = 1; i <= 300; i++) {
		MUST(chdir(i % 2 ? "/" : (const char *)arg) == 0);
		__atomic_store_n(&said[0], i, __ATOMIC_SEQ_CST);
		while (__atomic_load_n(&said[1], __ATOMIC_SEQ_CST) < i)
			sched_yield();
	}
	return NULL;
}

static void moved(void)
{
	char here[4096];
	pthread_t t;
	long wrong = 0;

	puts("-- moved");
	MUST(getcwd(here, sizeof(here)));
	put("only-here", "x");
	said[0] = said[1] = 0;
	MUST(pthread_create(&t, NULL, mover, here) == 0);
	for (long i = 1; i <= 300; i++) {
		struct stat s;

		while (__atomic_load_n(&said[0], __ATOMIC_SEQ_CST) < i)
			sched_yield();
		for (int k = 0; k < 3; k++)
			if ((stat("only-here", &s) == 0) != (i % 2 == 0))
				wrong++;
		__atomic_store_n(&said[1], i, __ATOMIC_SEQ_CST);
	}
	pthread_join(t, NULL);
	printf("wrong: %ld\n", wrong);
	unlink("only-here");
}

/* A thread closes and opens descriptors. */
static void *opener(void *arg)
{
	int fd = (int)(long)arg;

	for (long i = 1; i <= 300; i++) {
		int n = open(i % 2 ? "odd" : "even", O_RDONLY);

		MUST(n >= 0 && dup2(n, fd) == fd && close(n) == 0);
		__atomic_store_n(&said[0], i, __ATOMIC_SEQ_CST);
		while (__atomic_load_n(&said[1], __ATOMIC_SEQ_CST) < i)
			sched_yield();
	}
	return NULL;
}

static void reopened(void)
{
	pthread_t t;
	long wrong = 0;

	puts("-- reopened");
	put("odd", "1");
	put("even", "22");
	int fd = open("even", O_RDONLY);
	said[0] = said[1] = 0;
	MUST(pthread_create(&t, NULL, opener, (void *)(long)fd) == 0);
	for (long i = 1; i <= 300; i++) {
		while (__atomic_load_n(&said[0], __ATOMIC_SEQ_CST) < i)
			sched_yield();
		if (size_of(fd) != (i % 2 ? 1 : 2))
			wrong++;
		__atomic_store_n(&said[1], i, __ATOMIC_SEQ_CST);
	}
	pthread_join(t, NULL);
	printf("wrong: %ld\n", wrong);
	close(fd);
	unlink("odd");
	unlink("even");
}

/* Addresses that can't be read or written, and names of all lengths. */
static void bad(void)
{
	static char name[5000];
	struct stat s;

	puts("-- bad");
	put("x", "x");
	for (int i = 0; i < 3; i++) {
		SHOW(syscall(SYS_stat, "x", 1));
		SHOW(syscall(SYS_stat, 1, &s));
		SHOW(syscall(SYS_stat, NULL, &s));
		SHOW(syscall(SYS_newfstatat, AT_FDCWD, "", &s, 0));
		SHOW(syscall(SYS_newfstatat, AT_FDCWD, "x", &s, 0x40));
		SHOW(syscall(SYS_access, "x", 8));
		SHOW(syscall(SYS_fstat, -1, &s));
		SHOW(syscall(SYS_fstat, 1000, &s));
		SHOW(syscall(SYS_newfstatat, 1000, "x", &s, 0));
		SHOW(syscall(SYS_statx, AT_FDCWD, "x", 0x6000, 0x7ff, &s));
		SHOW(syscall(SYS_open, "missing", O_RDONLY));
		SHOW(syscall(SYS_open, "x/", O_RDONLY));
		SHOW(syscall(SYS_open, "missing/", O_RDONLY));
	}
	for (int len = 120; len < 400; len += 7) {
		memset(name, '/', (size_t)len);
		strcpy(name + len, "x");
		name[0] = '.';
		MUST(stat(name, &s) == 0 && stat(name, &s) == 0 && s.st_size == 1);
		name[len] = 'y';
		MUST(stat(name, &s) < 0 && stat(name, &s) < 0 && errno == ENOENT);
	}
	unlink("x");
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	umask(022);
	by_oneself();
	where();
	descriptors();
	listed();
	rights();
	by_another();
	swapped();
	moved();
	reopened();
	bad();
	return 0;
}
