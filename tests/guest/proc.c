/* proc.c: what programs read in /proc and /dev: one's own links, files and their formats, devices. */
#include "guest.h"
#include <dirent.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

static char buf[1 << 20];

static ssize_t slurp(const char *name)
{
	int fd = open(name, O_RDONLY);
	ssize_t n = 0, r = 0;

	if (fd < 0) {
		printf("%s: %s\n", name, strerrorname_np(errno));
		buf[0] = 0;
		return -1;
	}
	while (n < (ssize_t)sizeof(buf) - 1 && (r = read(fd, buf + n, sizeof(buf) - 1 - n)) > 0)
		n += r;
	close(fd);
	buf[n] = 0;
	return n;
}

/* The names before the colons, for files of "Name: value" lines. */
static bool has(const char *key)
{
	size_t n = strlen(key);

	for (char *p = buf; p; p = strchr(p, '\n'), p = p ? p + 1 : NULL)
		if (strncmp(p, key, n) == 0)
			return true;
	return false;
}

static void links(void)
{
	char name[64], target[256], mine[32];
	int p[2], sv[2], fd;
	ssize_t n;

	snprintf(mine, sizeof(mine), "%d", getpid());
	n = readlink("/proc/self", target, sizeof(target));
	target[n > 0 ? n : 0] = 0;
	printf("self %d\n", strcmp(target, mine) == 0);
	snprintf(mine, sizeof(mine), "%d/task/%d", getpid(), getpid());
	n = readlink("/proc/thread-self", target, sizeof(target));
	target[n > 0 ? n : 0] = 0;
	printf("thread-self %d\n", strcmp(target, mine) == 0);
	MUST(chdir("/tmp") == 0);
	n = readlink("/proc/self/cwd", target, sizeof(target));
	printf("cwd %.*s\n", (int)n, target);
	n = readlink("/proc/self/root", target, sizeof(target));
	printf("root %.*s\n", (int)n, target);
	n = readlink("/proc/self/exe", target, sizeof(target));
	printf("exe %d\n", n > 5 && memcmp(target + n - 5, "/proc", 5) == 0);
	MUST(pipe(p) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, sv) == 0);
	for (int i = 0; i < 2; i++) {
		struct stat st;

		fd = i ? sv[0] : p[1];
		snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
		n = readlink(name, target, sizeof(target));
		target[n] = 0;
		MUST(fstat(fd, &st) == 0);
		snprintf(mine, sizeof(mine), "%s:[%lu]", i ? "socket" : "pipe", st.st_ino);
		printf("fd %d", strcmp(mine, target) == 0);
		MUST(lstat(name, &st) == 0);
		printf(" mode %o\n", st.st_mode);
	}
	snprintf(name, sizeof(name), "/proc/self/fd/%d", p[1]);
	SHOW_OK(fd = open(name, O_WRONLY));
	SHOW(write(fd, "again", 5));
	close(fd);
	SHOW(read(p[0], buf, 100));
	snprintf(name, sizeof(name), "/proc/self/fd/%d", sv[0]);
	SHOW(open(name, O_RDWR));
	SHOW(open("/proc/self/fd/999", O_RDWR));
	/* an unlinked file can be reached */
	MUST((fd = open("/tmp/gone", O_RDWR | O_CREAT | O_TRUNC, 0600)) >= 0);
	MUST(write(fd, "still", 5) == 5 && unlink("/tmp/gone") == 0);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	n = readlink(name, target, sizeof(target));
	printf("deleted %.*s\n", (int)n, target);
	printf("reopened %zd\n", slurp(name));
	snprintf(name, sizeof(name), "/proc/self/fdinfo/%d", fd);
	slurp(name);
	printf("fdinfo %.*s\n", (int)strcspn(buf, "\n"), buf);
	SHOW(symlink("/x", "/proc/self/y"));
	SHOW(mkdir("/proc/y", 0700));
	SHOW(open("/proc/y", O_CREAT | O_RDWR, 0600));
	SHOW(open("/proc/99999999", O_RDONLY));
}

static void texts(char **argv)
{
	static const char *const status_keys[] = {"Name:\tproc",
						  "Umask:\t",
						  "State:\tR (running)",
						  "Tgid:\t",
						  "Pid:\t",
						  "PPid:\t",
						  "TracerPid:\t0",
						  "Uid:\t",
						  "Gid:\t",
						  "FDSize:\t",
						  "Groups:\t",
						  "VmSize:\t",
						  "VmRSS:\t",
						  "Threads:\t1",
						  "SigQ:\t",
						  "SigPnd:\t",
						  "SigBlk:\t",
						  "CapEff:\t",
						  "NoNewPrivs:\t",
						  "Seccomp:\t",
						  "Cpus_allowed:\t",
						  "voluntary_ctxt_switches:\t"};
	unsigned long a, b;
	uintptr_t here = (uintptr_t)texts;
	int fields = 0, fd;
	bool found = false;
	struct rlimit r;

	slurp("/proc/self/status");
	for (size_t i = 0; i < sizeof(status_keys) / sizeof(*status_keys); i++)
		if (!has(status_keys[i]))
			printf("no %s\n", status_keys[i]);
	slurp("/proc/self/stat");
	for (char *p = strtok(buf, " \n"); p; p = strtok(NULL, " \n"))
		fields++;
	printf("stat fields %d\n", fields);
	slurp("/proc/self/statm");
	printf("statm %d\n", sscanf(buf, "%lu %lu", &a, &b) == 2 && a > 0);
	slurp("/proc/self/cmdline");
	printf("cmdline %d\n", strcmp(buf, argv[0]) == 0);
	slurp("/proc/self/maps");
	for (char *p = strtok(buf, "\n"); p; p = strtok(NULL, "\n")) {
		char perm[8];

		if (sscanf(p, "%lx-%lx %7s", &a, &b, perm) == 3 && a <= here && here < b)
			found = strcmp(perm, "r-xp") == 0;
	}
	printf("maps %d\n", found);
	MUST(getrlimit(RLIMIT_NOFILE, &r) == 0);
	slurp("/proc/self/limits");
	found = false;
	for (char *p = strtok(buf, "\n"); p; p = strtok(NULL, "\n"))
		if (sscanf(p, "Max open files %lu %lu files", &a, &b) == 2)
			found = a == r.rlim_cur && b == r.rlim_max;
	printf("limits %d\n", found);
	MUST((fd = open("/proc/self/comm", O_RDWR)) >= 0);
	SHOW(write(fd, "renamed-to-something", 20));
	close(fd);
	slurp("/proc/self/comm");
	printf("comm %s", buf);
	char name[16];

	prctl(PR_GET_NAME, name);
	printf("name %s\n", name);
	MUST((fd = open("/proc/self/oom_score_adj", O_RDWR)) >= 0);
	SHOW(write(fd, "100\n", 4));
	SHOW(write(fd, "2000", 4));
	SHOW(write(fd, "x", 1));
	close(fd);
	slurp("/proc/self/oom_score_adj");
	printf("oom %s", buf);
	SHOW(open("/proc/self/status", O_WRONLY) >= 0 || errno == EACCES);
	slurp("/proc/self/mountinfo");
	printf("mountinfo %d\n", strstr(buf, " - proc ") != NULL);
	slurp("/proc/self/mounts");
	printf("mounts %d\n", strstr(buf, " /proc proc ") != NULL);
	slurp("/proc/self/setgroups");
	printf("setgroups %s", buf);
	printf("loginuid %d\n", slurp("/proc/self/loginuid") > 0);
}

static void mem(void)
{
	static volatile int secret = 4711, v;
	int fd;

	MUST((fd = open("/proc/self/mem", O_RDWR)) >= 0);
	SHOW(pread(fd, (void *)&v, sizeof(v), (off_t)(uintptr_t)&secret));
	printf("%d\n", v);
	v = 4712;
	SHOW(pwrite(fd, (void *)&v, sizeof(v), (off_t)(uintptr_t)&secret));
	printf("%d\n", secret);
	SHOW(pread(fd, (void *)&v, sizeof(v), 8));
	close(fd);
}

static void machine(void)
{
	static const char *const mem_keys[] = {
		"MemTotal:",  "MemFree:",  "MemAvailable:", "Buffers:",	    "Cached:",
		"SwapTotal:", "SwapFree:", "Shmem:",	    "CommitLimit:", "HugePages_Total:"};
	double up, idle;
	unsigned a, b, c, d;
	char s[64];

	slurp("/proc/meminfo");
	for (size_t i = 0; i < sizeof(mem_keys) / sizeof(*mem_keys); i++)
		if (!has(mem_keys[i]))
			printf("no %s\n", mem_keys[i]);
	slurp("/proc/uptime");
	printf("uptime %d\n", sscanf(buf, "%lf %lf", &up, &idle) == 2 && up > 0);
	slurp("/proc/loadavg");
	printf("loadavg %d\n", sscanf(buf, "%u.%u %*s %*s %u/%u %*d", &a, &b, &c, &d) == 4);
	slurp("/proc/stat");
	printf("stat %d %d %d\n", has("cpu  "), has("cpu0 "), has("btime "));
	slurp("/proc/cpuinfo");
	printf("cpuinfo %d %d\n", has("processor\t: 0"), has("flags\t\t: "));
	slurp("/proc/version");
	printf("version %d\n", sscanf(buf, "Linux version %63s", s) == 1);
	slurp("/proc/filesystems");
	printf("filesystems %d %d\n", has("nodev\tproc"), has("nodev\ttmpfs"));
	slurp("/proc/sys/kernel/ostype");
	printf("ostype %s", buf);
	slurp("/proc/sys/kernel/random/uuid");
	printf("uuid %zu %c\n", strlen(buf), buf[14]);
	slurp("/proc/sys/fs/pipe-max-size");
	printf("pipe-max-size %s", buf);
	slurp("/sys/devices/system/cpu/online");
	printf("online %c\n", buf[0]);
}

static void devices(void)
{
	char b[64] = "x";
	struct stat st;
	int fd;
	char *p;

	MUST((fd = open("/dev/null", O_RDWR)) >= 0);
	SHOW(read(fd, b, 10));
	SHOW(write(fd, b, 10));
	SHOW(lseek(fd, 100, SEEK_SET));
	close(fd);
	MUST((fd = open("/dev/full", O_RDWR)) >= 0);
	SHOW(read(fd, b, 10));
	SHOW(write(fd, b, 10));
	close(fd);
	MUST((fd = open("/dev/zero", O_RDWR)) >= 0);
	b[0] = 'x';
	SHOW(read(fd, b, 10));
	printf("%d\n", b[0]);
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	MUST(p != MAP_FAILED);
	p[0] = 1;
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	MUST(p != MAP_FAILED);
	if (fork() == 0) {
		p[0] = 42;
		_exit(0);
	}
	wait(NULL);
	printf("shared zero %d\n", p[0]);
	close(fd);
	MUST((fd = open("/dev/urandom", O_RDONLY)) >= 0);
	SHOW(read(fd, b, sizeof(b)));
	close(fd);
	MUST(stat("/dev/null", &st) == 0);
	printf("null %o %lx\n", st.st_mode, (long)st.st_rdev);
}

/* A stream of names: no entry twice, and this process among them. */
static void listing(void)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	int me = 0, self = 0, status = 0;

	MUST(d);
	while ((e = readdir(d))) {
		me += atoi(e->d_name) == getpid();
		self += strcmp(e->d_name, "self") == 0;
	}
	closedir(d);
	MUST((d = opendir("/proc/self")));
	while ((e = readdir(d)))
		status += strcmp(e->d_name, "status") == 0 && e->d_type == DT_REG;
	closedir(d);
	printf("listing %d %d %d\n", me, self, status);
}

static void zombie(void)
{
	char name[64];
	int pid = fork();

	if (pid == 0)
		_exit(3);
	usleep(50000);
	snprintf(name, sizeof(name), "/proc/%d/status", pid);
	slurp(name);
	printf("zombie %d\n", has("State:\tZ (zombie)"));
	snprintf(name, sizeof(name), "/proc/%d/cmdline", pid);
	printf("cmdline %zd\n", slurp(name));
	waitpid(pid, NULL, 0);
	SHOW(open(name, O_RDONLY));
}

int main(int argc, char **argv)
{
	(void)argc;
	setvbuf(stdout, NULL, _IOLBF, 0);
	texts(argv);
	links();
	mem();
	machine();
	devices();
	listing();
	zombie();
	return 0;
}
