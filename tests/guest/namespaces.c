/* unshare(2), setns(2), clone flags: pid, uts and user namespaces. Needs the right to make them. */
#include "tests/guest/guest.h"

#include <grp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/utsname.h>

static void in_child(const char *what, void (*fn)(void))
{
	pid_t p;
	int st;

	fflush(stdout);
	p = fork();
	if (p == 0) {
		fn();
		fflush(stdout);
		_exit(0);
	}
	waitpid(p, &st, 0);
	show_status(what, st);
}

static void uts(void)
{
	struct utsname u;
	char name[65];
	pid_t p;

	SHOW(unshare(CLONE_NEWUTS));
	SHOW(sethostname("inner", 5));
	SHOW(setdomainname("dom", 3));
	uname(&u);
	printf("%s %s %s\n", u.nodename, u.domainname, u.sysname);
	memset(name, 'x', sizeof(name));
	SHOW(sethostname(name, 65));
	SHOW(sethostname(name, 64));
	SHOW(sethostname((void *)8, 4));
	SHOW(sethostname("", 0));
	p = fork();
	if (p == 0) {
		SHOW(setuid(1000));
		SHOW(sethostname("no", 2));
		fflush(stdout);
		_exit(0);
	}
	waitpid(p, NULL, 0);
}

static void child_of_init(void)
{
	if (fork() == 0) {
		usleep(50000);
		printf("orphan's parent %d\n", getppid());
		fflush(stdout);
		_exit(7);
	}
	_exit(0);
}

static void pids(void)
{
	pid_t p;
	int st;

	SHOW(unshare(CLONE_NEWPID));
	printf("own pid unchanged %d\n", getpid() > 1);
	fflush(stdout);
	p = fork();
	if (p == 0) {
		printf("pid %d parent %d group %d session %d\n", getpid(), getppid(), getpgrp(), getsid(0));
		SHOW(kill(getpid(), SIGTERM)); /* init without a handler */
		SHOW(kill(getpid(), SIGKILL));
		SHOW(setsid());
		fflush(stdout);
		p = fork();
		if (p == 0)
			child_of_init();
		printf("child %d\n", p);
		waitpid(p, &st, 0);
		p = wait(&st);
		printf("adopted %d ended %d\n", p, WEXITSTATUS(st));
		fflush(stdout);
		if (fork() == 0)
			for (;;)
				pause();
		_exit(9); /* the rest is killed */
	}
	waitpid(p, &st, 0);
	show_status("init", st);
	SHOW_OK(fork()); /* its namespace is dead */
}

static void pid_twice(void)
{
	int st;
	pid_t p;

	SHOW(unshare(CLONE_NEWPID));
	SHOW(unshare(CLONE_NEWPID));
	fflush(stdout);
	p = syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
	printf("clone %d\n", p < 0 ? errno : 0);
	if (p == 0)
		_exit(0);
	fflush(stdout);
	p = fork();
	if (p == 0) {
		p = syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
		if (p == 0)
			_exit(getpid());
		waitpid(p, &st, 0);
		printf("nested init says %d\n", WEXITSTATUS(st));
		fflush(stdout);
		_exit(0);
	}
	waitpid(p, &st, 0);
}

static void put(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY);

	printf("%s: %s\n", name, fd < 0 || write(fd, text, strlen(text)) < 0 ? strerrorname_np(errno) : "ok");
	close(fd);
}

static void users(void)
{
	int st;
	pid_t p;

	SHOW(setgid(1000));
	SHOW(setuid(1000));
	SHOW(prctl(PR_SET_DUMPABLE, 1)); /* or /proc/self/uid_map isn't ours */
	SHOW(unshare(CLONE_NEWUTS));
	if (SHOW(unshare(CLONE_NEWUSER)) < 0)
		return;
	printf("uid %d gid %d\n", getuid(), getgid());
	put("/proc/self/setgroups", "deny");
	put("/proc/self/uid_map", "0 1000 1");
	put("/proc/self/gid_map", "0 1000 1");
	printf("uid %d gid %d\n", getuid(), getgid());
	SHOW(unshare(CLONE_NEWUTS));
	SHOW(sethostname("mine", 4));
	SHOW(setuid(5));
	SHOW(setgroups(0, NULL));
	SHOW(unshare(CLONE_NEWPID));
	fflush(stdout);
	p = fork();
	if (p == 0)
		_exit(getpid() + 10 * getuid());
	waitpid(p, &st, 0);
	show_status("in both", st);
}

static void join(void)
{
	struct utsname u;
	int fd, mine;
	pid_t p;

	mine = open("/proc/self/ns/uts", O_RDONLY);
	p = fork();
	if (p == 0) {
		unshare(CLONE_NEWUTS);
		sethostname("other", 5);
		kill(getpid(), SIGSTOP);
		_exit(0);
	}
	waitpid(p, NULL, WUNTRACED);
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/uts", p);
	fd = open(path, O_RDONLY);
	SHOW(setns(fd, CLONE_NEWPID));
	SHOW(setns(fd, CLONE_NEWUTS));
	uname(&u);
	printf("%s\n", u.nodename);
	SHOW(setns(mine, 0));
	SHOW(setns(0, 0));
	SHOW(setns(-1, 0));
	kill(p, SIGKILL);
	waitpid(p, NULL, 0);
}

static void refused(void)
{
	SHOW(unshare(0x40));
	SHOW(unshare(0));
	SHOW(unshare(CLONE_FS | CLONE_FILES));
	SHOW(syscall(SYS_clone, CLONE_THREAD | SIGCHLD, 0, 0, 0, 0));
	SHOW(syscall(SYS_clone, CLONE_SIGHAND | SIGCHLD, 0, 0, 0, 0));
	SHOW(syscall(SYS_clone, CLONE_NEWNS | CLONE_FS | SIGCHLD, 0, 0, 0, 0));
	SHOW(syscall(SYS_clone, CLONE_NEWUSER | CLONE_FS | SIGCHLD, 0, 0, 0, 0));
	SHOW(setuid(1000));
	SHOW(unshare(CLONE_NEWPID));
	SHOW(unshare(CLONE_NEWNS));
	SHOW(unshare(CLONE_NEWIPC));
	SHOW(syscall(SYS_clone, CLONE_NEWUTS | SIGCHLD, 0, 0, 0, 0));
}

int main(void)
{
	pid_t p = fork();
	int st;

	if (p == 0)
		_exit(getuid() != 0 || unshare(CLONE_NEWUTS | CLONE_NEWPID) < 0);
	waitpid(p, &st, 0);
	if (st) {
		printf("may not make namespaces\n");
		return 77;
	}
	in_child("uts", uts);
	in_child("pids", pids);
	in_child("nested", pid_twice);
	in_child("users", users);
	in_child("join", join);
	in_child("refused", refused);
	return 0;
}
