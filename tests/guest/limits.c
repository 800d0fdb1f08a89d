/* Resource limits, usage, priorities, scheduling books, prctl's small things. */
#include "tests/guest/guest.h"

#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>

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

static void set(int what, rlim_t cur, rlim_t max)
{
	struct rlimit r = {cur, max};

	printf("set %d: %s\n", what, setrlimit(what, &r) < 0 ? strerrorname_np(errno) : "ok");
}

static void changing(void)
{
	struct rlimit r, old;

	set(RLIMIT_NOFILE, 100, 200);
	getrlimit(RLIMIT_NOFILE, &r);
	printf("%ld %ld\n", (long)r.rlim_cur, (long)r.rlim_max);
	set(RLIMIT_NOFILE, 300, 200);
	set(99, 1, 1);
	r = (struct rlimit){50, 150};
	SHOW(prlimit(0, RLIMIT_NOFILE, &r, &old));
	printf("%ld %ld\n", (long)old.rlim_cur, (long)old.rlim_max);
	SHOW(prlimit(999999, RLIMIT_NOFILE, NULL, &old));
	SHOW(prlimit(0, RLIMIT_NOFILE, NULL, (void *)8));
	for (int i = 3; i < 50; i++)
		close(i);
	for (int i = 0; i < 60; i++)
		if (dup(0) < 0)
			break;
	SHOW(dup(0));
	SHOW(setuid(1000));
	set(RLIMIT_NOFILE, 100, 160);
	set(RLIMIT_NOFILE, 100, 120);
	SHOW(prlimit(getppid(), RLIMIT_NOFILE, NULL, &old));
}

static void processes(void)
{
	int made = 0, err = 0;

	SHOW(setuid(12345));
	set(RLIMIT_NPROC, 4, 4);
	for (int i = 0; i < 10; i++) {
		pid_t p = fork();

		if (p == 0)
			for (;;)
				pause();
		if (p < 0) {
			err = errno;
			break;
		}
		made++;
	}
	printf("made %d then %s\n", made, strerrorname_np(err));
	fflush(stdout);
	signal(SIGTERM, SIG_IGN);
	kill(0, 0);
	for (int i = 0; i < made; i++) /* children are the only others with this id */
		kill(-1, SIGKILL);
	while (wait(NULL) > 0)
		;
}

static void cpu_soft(void)
{
	set(RLIMIT_CPU, 1, 3);
	for (;;)
		;
}

static volatile int xcpu;
static void on_xcpu(int sig)
{
	(void)sig;
	xcpu++;
}

static void cpu_hard(void)
{
	signal(SIGXCPU, on_xcpu);
	set(RLIMIT_CPU, 1, 2);
	fflush(stdout);
	for (;;)
		;
}

static void nice_values(void)
{
	errno = 0;
	printf("prio %d\n", getpriority(PRIO_PROCESS, 0));
	SHOW(setpriority(PRIO_PROCESS, 0, 5));
	printf("prio %d\n", getpriority(PRIO_PROCESS, 0));
	SHOW(setpriority(PRIO_PROCESS, 0, 100));
	printf("prio %d\n", getpriority(PRIO_PROCESS, 0));
	SHOW(setpriority(9, 0, 0));
	SHOW(getpriority(PRIO_PROCESS, 999999));
	SHOW(setpriority(PRIO_PGRP, 0, 19));
	SHOW(setuid(1000));
	SHOW(setpriority(PRIO_PROCESS, 0, 3));
	SHOW(nice(1));
	SHOW(setpriority(PRIO_PROCESS, getppid(), 3));
}

static void policies(void)
{
	struct sched_param p = {0};
	cpu_set_t set;

	SHOW(sched_getscheduler(0));
	SHOW(sched_get_priority_max(SCHED_FIFO));
	SHOW(sched_get_priority_min(SCHED_RR));
	SHOW(sched_get_priority_max(SCHED_OTHER));
	SHOW(sched_get_priority_max(77));
	SHOW(sched_setscheduler(0, SCHED_BATCH, &p));
	SHOW(sched_getscheduler(0));
	SHOW(sched_setscheduler(0, SCHED_OTHER | SCHED_RESET_ON_FORK, &p));
	printf("%x\n", sched_getscheduler(0));
	p.sched_priority = 5;
	SHOW(sched_setscheduler(0, SCHED_OTHER, &p));
	SHOW(sched_setscheduler(0, 77, &p));
	SHOW(sched_setscheduler(-5, SCHED_OTHER, &p));
	SHOW(sched_setscheduler(999999, SCHED_OTHER, &p));
	SHOW(sched_getparam(0, NULL));
	SHOW(sched_yield());
	CPU_ZERO(&set);
	SHOW(sched_setaffinity(0, sizeof(set), &set));
	CPU_SET(0, &set);
	SHOW(sched_setaffinity(0, sizeof(set), &set));
	CPU_ZERO(&set);
	SHOW(sched_getaffinity(0, sizeof(set), &set));
	printf("cpus %d\n", CPU_COUNT(&set));
	SHOW(syscall(SYS_sched_getaffinity, 0, 3, &set));
	SHOW(syscall(SYS_sched_getaffinity, 999999, 128, &set));
}

static void usage(void)
{
	struct rusage r;
	volatile char *m;

	if (fork() == 0) {
		m = mmap(NULL, 32 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		for (int i = 0; i < 32 << 20; i += 4096)
			m[i] = 1;
		for (volatile int i = 0; i < 50000000; i++)
			;
		_exit(0);
	}
	wait4(-1, NULL, 0, &r);
	printf("rss %d time %d\n", r.ru_maxrss >= 32 << 10, r.ru_utime.tv_sec > 0 || r.ru_utime.tv_usec > 0);
	SHOW(getrusage(RUSAGE_CHILDREN, &r));
	printf("rss %d time %d\n", r.ru_maxrss >= 32 << 10, r.ru_utime.tv_sec > 0 || r.ru_utime.tv_usec > 0);
	SHOW(getrusage(RUSAGE_SELF, &r));
	printf("rss %d\n", r.ru_maxrss > 0);
	SHOW(getrusage(RUSAGE_THREAD, &r));
	SHOW(getrusage(5, &r));
	SHOW(getrusage(0, (void *)8));
}

static void prctls(void)
{
	char name[32] = "";
	int v = 0;

	SHOW(prctl(PR_SET_NAME, "a name that is too long"));
	SHOW(prctl(PR_GET_NAME, name));
	printf("%s\n", name);
	SHOW(prctl(PR_SET_NAME, 8));
	SHOW(prctl(PR_SET_PDEATHSIG, 99));
	SHOW(prctl(PR_SET_PDEATHSIG, SIGUSR1));
	SHOW(prctl(PR_GET_PDEATHSIG, &v));
	printf("%d\n", v);
	SHOW(prctl(PR_GET_TIMERSLACK));
	SHOW(prctl(PR_SET_TIMERSLACK, 1000));
	SHOW(prctl(PR_GET_TIMERSLACK));
	SHOW(prctl(PR_SET_TIMERSLACK, 0));
	SHOW(prctl(PR_GET_TIMERSLACK));
	SHOW(prctl(PR_SET_CHILD_SUBREAPER, 1));
	SHOW(prctl(PR_GET_CHILD_SUBREAPER, &v));
	printf("%d\n", v);
	SHOW(prctl(PR_GET_TIMING));
	SHOW(prctl(99999));
	SHOW(syscall(SYS_personality, 0xffffffff));
	SHOW(syscall(SYS_arch_prctl, 0x1001, 0x1234000)); /* GS */
	SHOW(syscall(SYS_arch_prctl, 0x1004, &v) == 0);
	SHOW(syscall(SYS_arch_prctl, 0x1002, 1UL << 63));
	SHOW(syscall(SYS_arch_prctl, 0x7777, 0));
}

int main(void)
{
	if (getuid() != 0) {
		printf("needs root\n");
		return 77;
	}
	in_child("changing", changing);
	in_child("processes", processes);
	in_child("cpu soft", cpu_soft);
	in_child("cpu hard", cpu_hard);
	in_child("nice", nice_values);
	in_child("policies", policies);
	in_child("usage", usage);
	in_child("prctl", prctls);
	return 0;
}
