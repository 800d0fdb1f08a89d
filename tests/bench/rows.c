/* rows.c: one benchmark row, timed from inside, so that the same binary runs natively and in a sandbox:
 *	rows ROW		prints nanoseconds for one operation: the median of a few repetitions
 *	rows run N CMD...	the median time of N runs of a command, output discarded
 * and, as a second number, the CPU time used by this process and its children per wall time. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define REPS 7

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int fd = -1, fds[2], fds2[2];
static char buf[65536];

static void op_getpid(void)
{
	getpid();
}
static void op_getppid_raw(void)
{
	syscall(SYS_getppid);
}
static void op_umask(void)
{
	umask(022);
}
static void op_clock_gettime(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
}
static void op_clock_raw(void)
{
	struct timespec t;
	syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t);
}
static void set_zero(void)
{
	fd = open("/dev/zero", O_RDONLY);
}
static void op_read1(void)
{
	if (read(fd, buf, 1) != 1)
		die("read");
}
static void op_read64k(void)
{
	if (read(fd, buf, 65536) != 65536)
		die("read");
}
static int ep;
static void set_epoll(void)
{
	struct epoll_event e = {.events = EPOLLIN};

	ep = epoll_create1(0);
	fd = eventfd(1, 0);
	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
}
static void op_epoll(void)
{
	struct epoll_event e;
	if (epoll_wait(ep, &e, 1, -1) != 1)
		die("epoll_wait");
}
static void op_stat(void)
{
	struct stat s;
	if (stat("/usr/bin/env", &s))
		die("stat");
}
static void op_stat_missing(void)
{
	struct stat s;
	if (!stat("/usr/bin/no-such-file", &s))
		die("stat");
}
static void op_open_close(void)
{
	int f = open("/usr/bin/env", O_RDONLY);
	if (f < 0)
		die("open");
	close(f);
}
static void set_rootfs(void)
{
	fd = open("/usr/bin/env", O_RDONLY);
	if (fd < 0)
		die("open");
}
static void op_pread4k(void)
{
	if (pread(fd, buf, 4096, 4096) != 4096)
		die("pread");
}
static char tmp_name[64];
static void set_tmp(void)
{
	snprintf(tmp_name, sizeof(tmp_name), "/tmp/sbx-bench.%d", getpid());
	fd = open(tmp_name, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0)
		die("open");
	unlink(tmp_name);
}
static void op_pwrite4k(void)
{
	if (pwrite(fd, buf, 4096, 4096) != 4096)
		die("pwrite");
}
static void op_create_unlink(void)
{
	int f = open(tmp_name, O_RDWR | O_CREAT | O_EXCL, 0600);

	if (f < 0)
		die("create");
	close(f);
	unlink(tmp_name);
}
static void handler(int s)
{
	(void)s;
}
static void set_signal(void)
{
	signal(SIGUSR1, handler);
}
static void op_signal(void)
{
	kill(getpid(), SIGUSR1);
}
static void set_pipes(void)
{
	if (pipe(fds) || pipe(fds2))
		die("pipe");
	if (fork() == 0) {
		char c;

		close(fds[1]);
		close(fds2[0]);
		while (read(fds[0], &c, 1) == 1)
			if (write(fds2[1], &c, 1) != 1)
				break;
		_exit(0);
	}
	close(fds[0]);
	close(fds2[1]);
}
static void op_pipe(void)
{
	char c = 0;

	if (write(fds[1], &c, 1) != 1 || read(fds2[0], &c, 1) != 1)
		die("pipe");
}

/* A connected pair over the loopback: fd here, the other end in a child that runs peer. */
static void set_net(int type, void (*peer)(int s))
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}}, b = a;
	int l = socket(AF_INET, type, 0), one = 1;
	socklen_t n = sizeof(a);

	fd = socket(AF_INET, type, 0);
	if (bind(l, (struct sockaddr *)&a, n) || getsockname(l, (struct sockaddr *)&a, &n))
		die("bind");
	if (type == SOCK_STREAM && listen(l, 1))
		die("listen");
	if (type == SOCK_DGRAM &&
	    (bind(fd, (struct sockaddr *)&b, n) || getsockname(fd, (struct sockaddr *)&b, &n)))
		die("bind");
	if (connect(fd, (struct sockaddr *)&a, n))
		die("connect");
	if (type == SOCK_STREAM)
		l = accept(l, NULL, NULL);
	else if (connect(l, (struct sockaddr *)&b, n))
		die("connect");
	if (type == SOCK_STREAM && (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) ||
				    setsockopt(l, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one))))
		die("TCP_NODELAY");
	if (fork() == 0) {
		close(fd);
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* a datagram socket has no end of file */
		peer(l);
		_exit(0);
	}
	close(l);
}
static void echo(int s)
{
	ssize_t n;

	while ((n = recv(s, buf, sizeof(buf), 0)) > 0)
		if (send(s, buf, (size_t)n, 0) != n)
			break;
}
static void swallow(int s)
{
	while (recv(s, buf, sizeof(buf), 0) > 0)
		;
}
static void set_tcp(void)
{
	set_net(SOCK_STREAM, echo);
}
static void set_udp(void)
{
	set_net(SOCK_DGRAM, echo);
}
static void set_stream(void)
{
	set_net(SOCK_STREAM, swallow);
}
static void op_round_trip(void)
{
	char c = 0;

	if (send(fd, &c, 1, 0) != 1 || recv(fd, &c, 1, 0) != 1)
		die("round trip");
}
static void op_stream(void)
{
	if (send(fd, buf, sizeof(buf), 0) != sizeof(buf))
		die("send");
}
static uint32_t turn;
static void futex_wait_turn(uint32_t me)
{
	uint32_t v;

	while ((v = __atomic_load_n(&turn, __ATOMIC_ACQUIRE)) != me)
		syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, v, NULL, NULL, 0);
}
static void pass_turn(uint32_t to)
{
	__atomic_store_n(&turn, to, __ATOMIC_RELEASE);
	syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}
static void *futex_peer(void *arg)
{
	for (;;) {
		futex_wait_turn(1);
		pass_turn(0);
	}
	return arg;
}
static void set_futex(void)
{
	pthread_t t;
	if (pthread_create(&t, NULL, futex_peer, NULL))
		die("thread");
}
static void op_futex(void)
{
	pass_turn(1);
	futex_wait_turn(0);
}
static void *nothing(void *a)
{
	return a;
}
static void op_thread(void)
{
	pthread_t t;

	if (pthread_create(&t, NULL, nothing, NULL))
		die("thread");
	pthread_join(t, NULL);
}
static void op_fork(void)
{
	pid_t p = fork();

	if (p == 0)
		_exit(0);
	if (waitpid(p, NULL, 0) != p)
		die("wait");
}
static char self_true[PATH_MAX];
static void set_true(void)
{
	ssize_t n = readlink("/proc/self/exe", self_true, sizeof(self_true) - 10);
	char *s;

	if (n < 0)
		die("readlink");
	self_true[n] = 0;
	s = strrchr(self_true, '/');
	strcpy(s, "/true");
}
static void op_exec(void)
{
	pid_t p = fork();

	if (p == 0) {
		execl(self_true, "true", (char *)NULL);
		_exit(127);
	}
	int st;
	if (waitpid(p, &st, 0) != p || st)
		die("exec");
}
static void op_mmap(void)
{
	char *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("mmap");
	for (int i = 0; i < 1 << 20; i += 4096)
		p[i] = 1;
	munmap(p, 1 << 20);
}

static const struct row {
	const char *name;
	void (*setup)(void);
	void (*op)(void);
	int count;
} rows[] = {
	{"getpid", NULL, op_getpid, 20000},
	{"getppid_raw", NULL, op_getppid_raw, 20000},
	{"umask", NULL, op_umask, 20000},
	{"clock_gettime", NULL, op_clock_gettime, 100000},
	{"clock_gettime_raw", NULL, op_clock_raw, 20000},
	{"read_1", set_zero, op_read1, 20000},
	{"read_64k", set_zero, op_read64k, 5000},
	{"epoll_wait", set_epoll, op_epoll, 20000},
	{"stat", NULL, op_stat, 20000},
	{"stat_missing", NULL, op_stat_missing, 20000},
	{"open_close", NULL, op_open_close, 10000},
	{"pread_4k", set_rootfs, op_pread4k, 20000},
	{"pwrite_4k", set_tmp, op_pwrite4k, 20000},
	{"create_unlink", set_tmp, op_create_unlink, 5000},
	{"signal_self", set_signal, op_signal, 5000},
	{"pipe_pingpong", set_pipes, op_pipe, 3000},
	{"tcp_rtt", set_tcp, op_round_trip, 3000},
	{"tcp_stream", set_stream, op_stream, 5000}, /* 64 KiB */
	{"udp_rtt", set_udp, op_round_trip, 3000},
	{"futex_pingpong", set_futex, op_futex, 3000},
	{"thread_create_join", NULL, op_thread, 500},
	{"fork_exit_wait", NULL, op_fork, 100},
	{"fork_exec_wait", set_true, op_exec, 50},
	{"mmap_touch_1m", NULL, op_mmap, 100},
};

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void report(double *t, int n, uint64_t wall, double cpu)
{
	qsort(t, (size_t)n, sizeof(*t), by_value);
	printf("%.1f %.3f\n", t[n / 2], cpu / (double)wall);
}

static double cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int run_row(const struct row *r)
{
	double t[REPS];
	uint64_t begin;
	double cpu;

	if (r->setup)
		r->setup();
	for (int i = 0; i < r->count / 5 + 1; i++)
		r->op();
	begin = now();
	cpu = cpu_ns();
	for (int k = 0; k < REPS; k++) {
		uint64_t a = now();

		for (int i = 0; i < r->count; i++)
			r->op();
		t[k] = (double)(now() - a) / r->count;
	}
	report(t, REPS, now() - begin, cpu_ns() - cpu);
	return 0;
}

static int run_command(int n, char **argv)
{
	posix_spawn_file_actions_t fa;
	extern char **environ;
	double t[100];

	if (n < 1 || n > 100)
		return 1;
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&fa, 2, "/dev/null", O_WRONLY, 0);
	for (int i = -1; i < n; i++) { /* the first run warms up */
		uint64_t a = now();
		pid_t p;
		int st;

		if (posix_spawnp(&p, argv[0], &fa, NULL, argv, environ))
			die(argv[0]);
		waitpid(p, &st, 0);
		if (i >= 0)
			t[i] = (double)(now() - a);
	}
	report(t, n, 1, 0);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 3 && strcmp(argv[1], "run") == 0)
		return run_command(atoi(argv[2]), argv + 3);
	for (size_t i = 0; argc == 2 && i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strcmp(argv[1], rows[i].name) == 0)
			return run_row(&rows[i]);
	fprintf(stderr, "usage: rows ROW | rows run N CMD...\n");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		fprintf(stderr, "  %s\n", rows[i].name);
	return 2;
}
