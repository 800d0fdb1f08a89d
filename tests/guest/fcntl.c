/* fcntl.c: descriptors, fcntl(2) in its commands, record locks and flock(2), ioctls of any file,
 * close_range(2). */
#include "guest.h"
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

static void dups(void)
{
	int fd = open("f", O_RDWR | O_CREAT | O_TRUNC, 0644);

	SHOW(dup2(fd, fd) == fd);
	SHOW(dup2(99, 98));
	SHOW(dup3(fd, fd, 0));
	SHOW(dup3(fd, 20, 0x1000));
	SHOW(dup3(fd, 20, O_CLOEXEC));
	SHOW(fcntl(20, F_GETFD));
	SHOW(fcntl(20, F_SETFD, 0));
	SHOW(fcntl(20, F_GETFD));
	SHOW(fcntl(fd, F_DUPFD, 30));
	SHOW(fcntl(fd, F_DUPFD_CLOEXEC, 30));
	SHOW(fcntl(fd, F_DUPFD, -1));
	SHOW(fcntl(fd, F_DUPFD, 1 << 30));
	SHOW(fcntl(31, F_GETFD));
	SHOW(fcntl(fd, 12345));
	SHOW(fcntl(1000, 12345));
	SHOW(dup2(fd, -1));
	SHOW(dup2(fd, 1 << 30));
	SHOW(syscall(SYS_close_range, 20, 31, 0));
	SHOW(fcntl(20, F_GETFD));
	SHOW(syscall(SYS_close_range, 31, 20, 0));
	SHOW(syscall(SYS_close_range, 40, 50, 8));
	SHOW(dup2(fd, 50));
	SHOW(syscall(SYS_close_range, 40, ~0U, 4));
	SHOW(fcntl(50, F_GETFD));
	struct rlimit r = {16, 16};
	SHOW(setrlimit(RLIMIT_NOFILE, &r));
	SHOW(dup2(fd, 16));
	SHOW(dup2(fd, 15));
	SHOW(fcntl(fd, F_DUPFD, 15));
	SHOW(fcntl(fd, F_DUPFD, 16));
	SHOW(dup2(50, 10));
	close(fd);
}

static void flags(void)
{
	int fd = open("f", O_RDWR | O_APPEND | O_CLOEXEC | O_NOCTTY | O_CREAT, 0644);
	int path = open("f", O_PATH), p[2];

	SHOW(fcntl(fd, F_GETFL));
	SHOW(fcntl(fd, F_SETFL, O_NONBLOCK));
	SHOW(fcntl(fd, F_GETFL));
	SHOW(fcntl(path, F_GETFL));
	SHOW(fcntl(path, F_SETFL, 0));
	SHOW(fcntl(path, F_GETFD));
	SHOW(read(path, p, 1));
	SHOW(fchmod(path, 0600));
	SHOW(ioctl(path, FIONREAD, p));
	SHOW(lseek(path, 0, SEEK_SET));
	MUST(pipe(p) == 0);
	SHOW(fcntl(p[0], F_GETPIPE_SZ));
	SHOW(fcntl(p[0], F_SETPIPE_SZ, 5000));
	SHOW(fcntl(fd, F_GETPIPE_SZ));
	SHOW(fcntl(p[0], F_SETFL, O_NONBLOCK));
	SHOW(read(p[0], p, 0));
	SHOW(read(p[0], &path, 1));
	SHOW(fcntl(p[0], F_GET_SEALS));
	SHOW(fcntl(fd, F_GETLEASE));
	SHOW(fcntl(p[0], F_GETOWN));
	SHOW(fcntl(p[0], F_SETOWN, getpid()));
	SHOW(fcntl(p[0], F_GETOWN) == getpid());
	SHOW(fcntl(p[0], F_SETOWN, 123456789));
	SHOW(fcntl(p[0], F_SETOWN, -getpgrp()));
	struct f_owner_ex ex;
	SHOW(fcntl(p[0], F_GETOWN_EX, &ex));
	printf("type %d %d\n", ex.type, ex.pid == getpgrp());
	ex.type = 9;
	SHOW(fcntl(p[0], F_SETOWN_EX, &ex));
	SHOW(fcntl(p[0], F_SETSIG, 65));
	SHOW(fcntl(p[0], F_SETSIG, 34));
	SHOW(fcntl(p[0], F_GETSIG));
	int n = 1, left;
	SHOW(ioctl(fd, FIONBIO, &n));
	SHOW(fcntl(fd, F_GETFL) & O_NONBLOCK);
	SHOW(ioctl(fd, FIOCLEX, 0));
	SHOW(fcntl(fd, F_GETFD));
	SHOW(ioctl(fd, FIONCLEX, 0));
	SHOW(fcntl(fd, F_GETFD));
	SHOW(write(fd, "0123456789", 10));
	SHOW(lseek(fd, 4, SEEK_SET));
	SHOW(ioctl(fd, FIONREAD, &left));
	printf("left %d\n", left);
	SHOW(ioctl(fd, TCGETS, &left));
	SHOW(ioctl(fd, 0x12345678, 0));
	SHOW(ioctl(999, FIONREAD, &left));
	SHOW(ioctl(fd, FIONREAD, NULL));
}

static volatile int got;
static volatile int code, band_fd;

static void on_io(int sig, siginfo_t *si, void *uc)
{
	(void)uc;
	got = sig;
	code = si->si_code;
	band_fd = si->si_fd;
}

static void async(void)
{
	struct sigaction sa = {.sa_sigaction = on_io, .sa_flags = SA_SIGINFO};
	int p[2];

	MUST(pipe(p) == 0);
	sigaction(SIGRTMIN + 3, &sa, NULL);
	sigaction(SIGIO, &sa, NULL);
	SHOW(fcntl(p[0], F_SETOWN, getpid()));
	SHOW(fcntl(p[0], F_SETFL, O_ASYNC | O_NONBLOCK));
	SHOW(write(p[1], "x", 1));
	for (int i = 0; i < 200 && !got; i++)
		usleep(10000);
	printf("got %d\n", got);
	got = 0;
	char c;
	SHOW(read(p[0], &c, 1));
	SHOW(fcntl(p[0], F_SETSIG, SIGRTMIN + 3));
	SHOW(write(p[1], "x", 1));
	for (int i = 0; i < 200 && !got; i++)
		usleep(10000);
	printf("got %d code %d fd %d\n", got - SIGRTMIN, code, band_fd == p[0]);
	SHOW(fcntl(p[0], F_SETFL, 0));
	got = 0;
	SHOW(read(p[0], &c, 1));
	SHOW(write(p[1], "x", 1));
	usleep(20000);
	printf("got %d\n", got);
	close(p[0]);
	close(p[1]);
}

static int child(int (*fn)(void))
{
	int st;
	pid_t pid = fork();

	if (pid == 0) {
		fflush(stdout);
		_exit(fn());
	}
	waitpid(pid, &st, 0);
	return st;
}

static int try_lock(void)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 5, .l_len = 10};
	int fd = open("f", O_RDWR), r;

	printf("child ");
	SHOW(fcntl(fd, F_SETLK, &l));
	printf("child ");
	SHOW(fcntl(fd, F_GETLK, &l));
	printf("type %d start %ld len %ld parent %d\n", l.l_type, (long)l.l_start, (long)l.l_len,
	       l.l_type == F_UNLCK || l.l_pid == getppid());
	l.l_type = F_WRLCK;
	l.l_start = 100;
	r = fcntl(fd, F_SETLK, &l);
	fflush(stdout);
	return r == 0 ? 0 : 9;
}

static int wait_lock(void)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 0};
	int fd = open("f", O_RDWR);

	return fcntl(fd, F_SETLKW, &l) == 0 ? 3 : 9;
}

static void locks(void)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 10};
	int fd = open("f", O_RDWR), ro = open("f", O_RDONLY);

	SHOW(fcntl(fd, F_SETLK, &l));
	show_status("lock", child(try_lock));
	l.l_type = 7;
	SHOW(fcntl(fd, F_SETLK, &l));
	l.l_type = F_WRLCK;
	SHOW(fcntl(ro, F_SETLK, &l));
	l.l_type = F_RDLCK;
	SHOW(fcntl(ro, F_SETLK, &l));
	l.l_whence = 5;
	SHOW(fcntl(ro, F_SETLK, &l));
	l.l_whence = SEEK_SET;
	l.l_start = -5;
	SHOW(fcntl(ro, F_SETLK, &l));
	close(ro); /* drops them all */
	l.l_start = 0;
	l.l_type = F_WRLCK;
	SHOW(fcntl(fd, F_SETLK, &l));
	pid_t pid = fork();
	if (pid == 0)
		_exit(wait_lock());
	usleep(50000);
	l.l_type = F_UNLCK;
	SHOW(fcntl(fd, F_SETLK, &l));
	int st;
	waitpid(pid, &st, 0);
	show_status("waited", st);
	/* open file description locks */
	struct flock o = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int a = open("f", O_RDWR), b = open("f", O_RDWR);
	SHOW(fcntl(a, F_OFD_SETLK, &o));
	SHOW(fcntl(b, F_OFD_SETLK, &o));
	SHOW(fcntl(b, F_OFD_GETLK, &o));
	printf("type %d pid %d\n", o.l_type, o.l_pid);
	o.l_pid = 5;
	SHOW(fcntl(b, F_OFD_SETLK, &o));
	close(a);
	o = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET};
	SHOW(fcntl(b, F_OFD_SETLK, &o));
	close(b);
	/* flock */
	a = open("f", O_RDONLY);
	int c = open("f", O_RDONLY);
	SHOW(flock(a, LOCK_EX | LOCK_NB));
	SHOW(flock(c, LOCK_SH | LOCK_NB));
	SHOW(flock(a, LOCK_SH));
	SHOW(flock(c, LOCK_SH | LOCK_NB));
	SHOW(flock(a, LOCK_EX | LOCK_NB));
	SHOW(flock(c, LOCK_UN));
	SHOW(flock(a, LOCK_EX | LOCK_NB));
	SHOW(flock(a, 77));
	SHOW(flock(999, LOCK_EX));
	close(a);
	close(c);
	close(fd);
}

static int deadlock(void)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 1, .l_len = 1};
	int fd = open("f", O_RDWR), r;

	MUST(fcntl(fd, F_SETLKW, &l) == 0);
	usleep(100000);
	l.l_start = 0;
	r = fcntl(fd, F_SETLKW, &l);
	return r == 0 ? 0 : errno == EDEADLK ? 7 : 9;
}

static void deadlocks(void)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
	int fd = open("f", O_RDWR), st, r;

	MUST(fcntl(fd, F_SETLKW, &l) == 0);
	pid_t pid = fork();
	if (pid == 0)
		_exit(deadlock());
	usleep(50000);
	l.l_start = 1;
	r = fcntl(fd, F_SETLKW, &l);
	if (r < 0 && errno == EDEADLK) {
		l.l_start = 0;
		l.l_type = F_UNLCK;
		fcntl(fd, F_SETLK, &l);
	}
	waitpid(pid, &st, 0);
	printf("one of two: %d\n", (r < 0) + (WEXITSTATUS(st) == 7));
}

int main(void)
{
	flags();
	async();
	locks();
	deadlocks();
	dups();
	return 0;
}
