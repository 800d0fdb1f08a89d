/* edges.c: small print that real programs and other people's suites lean on: a child's end against its own
 * signal, programs that run can't be written, directories of /proc as process handles, dnotify, what
 * asynchronous I/O refuses at once, a current directory outside the root. */
#include <linux/aio_abi.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#include "guest.h"

static volatile sig_atomic_t signals, code, descriptor;

static void on_signal(int sig)
{
	(void)sig;
	signals++;
}

static void on_info(int sig, siginfo_t *si, void *ctx)
{
	(void)sig, (void)ctx;
	code = si->si_code;
	descriptor = si->si_fd;
	signals++;
}

/* The signal that tells of a child's end doesn't turn the wait for it into EINTR. */
static void child_and_signal(void)
{
	struct sigaction sa = {.sa_handler = on_signal};
	int good = 0;

	sigaction(SIGCHLD, &sa, NULL);
	for (int i = 0; i < 50; i++) {
		pid_t pid = fork();
		int st;

		if (pid == 0) {
			usleep(1000);
			_exit(i);
		}
		if (waitpid(pid, &st, 0) == pid)
			good++;
		else
			waitpid(pid, &st, 0);
	}
	printf("waits %d signals %d\n", good, signals);
	signal(SIGCHLD, SIG_DFL);
}

static void copy_self(const char *to)
{
	char buf[65536];
	int in = open("/proc/self/exe", O_RDONLY), out = open(to, O_CREAT | O_WRONLY | O_TRUNC, 0755);
	ssize_t n;

	MUST(in >= 0 && out >= 0);
	while ((n = read(in, buf, sizeof(buf))) > 0)
		MUST(write(out, buf, n) == n);
	close(in);
	close(out);
}

static void running_program(void)
{
	int p[2], st;
	pid_t pid;
	char c;

	copy_self("prog");
	MUST(pipe(p) == 0);
	pid = fork();
	if (pid == 0) {
		dup2(p[0], 0);
		dup2(p[1], 1);
		execl("./prog", "prog", "wait", NULL);
		_exit(1);
	}
	MUST(read(p[0], &c, 1) == 1);
	SHOW(open("prog", O_WRONLY));
	SHOW(open("prog", O_WRONLY | O_TRUNC));
	SHOW(truncate("prog", 0));
	SHOW_OK(open("prog", O_RDONLY));
	SHOW(unlink("prog"));
	kill(pid, SIGKILL);
	waitpid(pid, &st, 0);
	show_status("program", st);
	copy_self("prog");
	SHOW_OK(open("prog", O_WRONLY));
}

static void process_directories(void)
{
	int self = open("/proc/self", O_DIRECTORY | O_RDONLY), root = open("/", O_RDONLY);
	int task = open("/proc/self/task", O_RDONLY), path = open("/proc/self", O_PATH);

	SHOW(syscall(SYS_pidfd_send_signal, self, 0, NULL, 0));
	SHOW(syscall(SYS_pidfd_send_signal, root, 0, NULL, 0));
	SHOW(syscall(SYS_pidfd_send_signal, task, 0, NULL, 0));
	SHOW(syscall(SYS_pidfd_send_signal, path, 0, NULL, 0));
	SHOW(syscall(SYS_pidfd_getfd, self, 0, 0));
}

static void touch(const char *name)
{
	close(open(name, O_CREAT | O_WRONLY, 0600));
	usleep(30000);
}

static void directory_notes(void)
{
	struct sigaction sa = {.sa_sigaction = on_info, .sa_flags = SA_SIGINFO};
	int fd, file = open("plain", O_CREAT | O_RDWR, 0600);

	mkdir("watched", 0755);
	fd = open("watched", O_RDONLY);
	signals = 0;
	sigaction(SIGIO, &sa, NULL);
	sigaction(SIGRTMIN, &sa, NULL);
	SHOW(fcntl(file, F_NOTIFY, DN_CREATE));
	SHOW(fcntl(fd, F_NOTIFY, DN_CREATE));
	touch("watched/a");
	printf("once: %d\n", signals);
	touch("watched/b");
	printf("not again: %d\n", signals);
	SHOW(fcntl(fd, F_SETSIG, SIGRTMIN));
	SHOW(fcntl(fd, F_NOTIFY, DN_CREATE | DN_DELETE | DN_MULTISHOT));
	touch("watched/c");
	touch("watched/d");
	rename("plain", "watched/plain");
	usleep(30000);
	printf("each: %d code %d same %d\n", signals, code, descriptor == fd);
	unlink("watched/a");
	usleep(30000);
	printf("removed: %d\n", signals);
	signals = 0;
	SHOW(fcntl(fd, F_NOTIFY, DN_RENAME | DN_MULTISHOT));
	rename("watched/b", "watched/f");
	usleep(30000);
	printf("renamed: %d\n", signals);
	SHOW(fcntl(fd, F_NOTIFY, 0));
	touch("watched/e");
	printf("off: %d\n", signals);
	close(fd);
}

static void watch_books(void)
{
	int in = inotify_init(), n;
	char name[64], buf[1024], *mask;

	touch("seen");
	MUST(inotify_add_watch(in, "seen", IN_MODIFY | IN_ONESHOT) > 0);
	snprintf(name, sizeof(name), "/proc/self/fdinfo/%d", in);
	int fd = open(name, O_RDONLY);
	n = read(fd, buf, sizeof(buf) - 1);
	buf[n > 0 ? n : 0] = 0;
	mask = strstr(buf, "mask:");
	printf("%.13s\n", mask ? mask : "none");
}

static void asynchronous(void)
{
	aio_context_t ctx = 0;
	char buf[16] = "data";
	struct iocb cb = {.aio_lio_opcode = IOCB_CMD_PREAD, .aio_buf = (uintptr_t)buf, .aio_nbytes = 4};
	struct iocb *list[1] = {&cb};

	SHOW(syscall(SYS_io_setup, -1, &ctx));
	SHOW(syscall(SYS_io_setup, 4, &ctx));
	cb.aio_fildes = open("out", O_CREAT | O_WRONLY, 0600);
	SHOW(syscall(SYS_io_submit, ctx, 1, list));
	cb.aio_fildes = open("out", O_RDONLY);
	cb.aio_lio_opcode = IOCB_CMD_PWRITE;
	SHOW(syscall(SYS_io_submit, ctx, 1, list));
	cb.aio_lio_opcode = IOCB_CMD_PREAD;
	SHOW(syscall(SYS_io_submit, ctx, 1, list));
	SHOW(syscall(SYS_io_cancel, ctx, NULL, NULL));
	SHOW(syscall(SYS_io_destroy, ctx));
}

static void outside(void)
{
	char buf[4096];

	if (geteuid() != 0)
		return;
	mkdir("jail", 0755);
	if (chroot("jail") != 0)
		return;
	long n = syscall(SYS_getcwd, buf, sizeof(buf));
	printf("getcwd %d %.13s\n", n > 0, buf);
	SHOW(getcwd(buf, sizeof(buf)) ? 0 : -1);
}

int main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1) {
		(void)!write(1, "x", 1);
		pause();
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	child_and_signal();
	running_program();
	process_directories();
	directory_notes();
	watch_books();
	asynchronous();
	outside();
	return 0;
}
