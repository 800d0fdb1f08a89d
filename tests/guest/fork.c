/* fork.c: fork, vfork, clone, exit, wait in all forms, exec, reparenting, process groups. */
#include "guest.h"
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static int value = 1;

static void plain(void)
{
	int st, pid = fork();

	if (pid == 0) {
		value = 2;
		_exit(7);
	}
	SHOW(waitpid(pid, &st, 0) == pid);
	show_status("child", st);
	printf("value %d\n", value);
	pid = vfork();
	if (pid == 0) {
		value = 3;
		_exit(8);
	}
	waitpid(pid, &st, 0);
	show_status("vfork", st);
	printf("value %d\n", value);
	pid = fork();
	if (pid == 0) {
		raise(SIGKILL);
	}
	waitpid(pid, &st, 0);
	show_status("killed", st);
	pid = fork();
	if (pid == 0) {
		*(volatile int *)8 = 1;
	}
	waitpid(pid, &st, 0);
	show_status("segv", st & ~0x80);
	SHOW(waitpid(-1, &st, 0));
	SHOW(waitpid(12345678, &st, 0));
	SHOW(waitpid(-1, &st, 0x1000));
}

static void stops(void)
{
	siginfo_t si = {0};
	int st, pid = fork();

	if (pid == 0) {
		raise(SIGSTOP);
		usleep(200000);
		_exit(3);
	}
	SHOW(waitpid(pid, &st, WUNTRACED) == pid);
	show_status("a", st);
	SHOW(waitpid(pid, &st, WNOHANG));
	kill(pid, SIGCONT);
	SHOW(waitpid(pid, &st, WCONTINUED) == pid);
	show_status("b", st);
	SHOW(waitid(P_PID, pid, &si, WEXITED | WNOWAIT));
	printf("%d %d %d %d\n", si.si_signo, si.si_code, si.si_status, si.si_pid == pid);
	SHOW(waitid(P_PID, pid, &si, WEXITED));
	SHOW(waitid(P_PID, pid, &si, WEXITED));
}

static void groups(void)
{
	int st, pid, p[2];

	MUST(pipe(p) == 0);
	pid = fork();
	if (pid == 0) {
		SHOW(setpgid(0, 0));
		SHOW(getpgrp() == getpid());
		SHOW(setsid());
		SHOW(getsid(0) != getpid());
		int g = fork();
		if (g == 0) {
			SHOW(setsid() == getpid());
			SHOW(getpgid(0) == getpid());
			SHOW(getsid(0) == getpid());
			SHOW(setpgid(0, 0));
			fflush(stdout);
			_exit(0);
		}
		waitpid(g, &st, 0);
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, &st, 0);
	/* reparenting to a subreaper */
	SHOW(prctl(PR_SET_CHILD_SUBREAPER, 1));
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		if (fork() == 0) {
			char c;
			close(p[1]);
			read(p[0], &c, 1);
			_exit(getppid() > 0 ? 5 : 6);
		}
		_exit(4);
	}
	waitpid(pid, &st, 0);
	show_status("middle", st);
	close(p[1]);
	SHOW(wait(&st) > 0);
	show_status("orphan", st);
}

static int thread_fn(void *arg)
{
	*(int *)arg = 42;
	return 9;
}

static void clones(void)
{
	static char stack[65536] __attribute__((aligned(16)));
	int shared = 0, st, pid;

	pid = clone(thread_fn, stack + sizeof(stack), CLONE_VM | SIGCHLD, &shared);
	SHOW(waitpid(pid, &st, 0) == pid);
	show_status("clone", st);
	printf("shared %d\n", shared);
	shared = 0;
	signal(SIGUSR1, SIG_IGN);
	pid = clone(thread_fn, stack + sizeof(stack), SIGUSR1, &shared);
	SHOW(waitpid(pid, &st, 0));
	SHOW(waitpid(pid, &st, __WALL) == pid);
	printf("shared %d\n", shared);
	SHOW(syscall(SYS_clone, CLONE_THREAD, 0, 0, 0, 0));
	SHOW(syscall(SYS_clone, CLONE_SIGHAND, 0, 0, 0, 0));
}

static void execs(char *self)
{
	int st, pid;
	char *env[] = {"A=1", "B=two words", NULL};

	fflush(stdout);
	pid = fork();
	if (pid == 0)
		execve(self, (char *[]){"name", "child", "x y", "", NULL}, env);
	waitpid(pid, &st, 0);
	show_status("exec", st);
	SHOW(execve("/nonexistent", (char *[]){"a", NULL}, env));
	SHOW(execve("/", (char *[]){"a", NULL}, env));
	int fd = open("script", O_CREAT | O_WRONLY | O_TRUNC, 0755);
	dprintf(fd, "#!%s child arg\nignored\n", self);
	close(fd);
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		execve("./script", (char *[]){"ignored", "last", NULL}, env);
	waitpid(pid, &st, 0);
	show_status("script", st);
	chmod("script", 0644);
	if (geteuid())
		SHOW(execve("./script", (char *[]){"a", NULL}, env));
	fd = open("bad", O_CREAT | O_WRONLY | O_TRUNC, 0755);
	write(fd, "\177ELF garbage", 12);
	close(fd);
	SHOW(execve("./bad", (char *[]){"a", NULL}, env));
	fd = open("noint", O_CREAT | O_WRONLY | O_TRUNC, 0755);
	dprintf(fd, "#!/no/such/interpreter\n");
	close(fd);
	SHOW(execve("./noint", (char *[]){"a", NULL}, env));
	fd = open("empty", O_CREAT | O_WRONLY | O_TRUNC, 0755);
	close(fd);
	SHOW(execve("./empty", (char *[]){"a", NULL}, env));
	SHOW(execve((char *)8, (char *[]){"a", NULL}, env));
	SHOW(execve("./bad", (char **)8, env));
}

int main(int argc, char **argv, char **envp)
{
	char self[4096];
	ssize_t n;

	if (argc > 1 && strcmp(argv[1], "child") == 0) {
		for (int i = 1; i < argc; i++)
			printf("arg %s\n", strcmp(argv[i], "./script") ? argv[i] : "SCRIPT");
		for (; *envp; envp++)
			printf("env %s\n", *envp);
		return 5;
	}
	if (argc > 1 && strncmp(argv[1], "child ", 6) == 0) { /* a script's one optional argument */
		for (int i = 1; i < argc; i++)
			printf("arg %s\n", argv[i]);
		return 6;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	MUST(n > 0);
	self[n] = 0;
	plain();
	stops();
	groups();
	clones();
	execs(self);
	return 0;
}
