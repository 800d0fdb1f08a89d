/* seccomp(2): strict mode, filters, what they answer, who inherits them. */
#include "tests/guest/guest.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>

#define NR(off)	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, off)
#define ON(nr, ret) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1), BPF_STMT(BPF_RET | BPF_K, ret)
#define ELSE(ret)   BPF_STMT(BPF_RET | BPF_K, ret)

static int install(struct sock_filter *f, unsigned short n, unsigned flags)
{
	struct sock_fprog p = {n, f};

	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &p);
}
#define INSTALL(flags, ...)                                                                                    \
	({                                                                                                     \
		struct sock_filter f_[] = {__VA_ARGS__};                                                       \
		install(f_, sizeof(f_) / sizeof(f_[0]), flags);                                                \
	})

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

static void strict(void)
{
	SHOW(prctl(PR_GET_SECCOMP));
	fflush(stdout);
	prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
	write(1, "still here\n", 11);
	syscall(SYS_exit, 3);
}

static void strict_breach(void)
{
	prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
	getppid();
}

static void errnos(void)
{
	SHOW(INSTALL(0, NR(0), ON(SYS_getppid, SECCOMP_RET_ERRNO | 42), ON(SYS_umask, SECCOMP_RET_ERRNO | 0),
		     ON(SYS_getuid, SECCOMP_RET_ERRNO | 5000), ELSE(SECCOMP_RET_ALLOW)));
	SHOW(syscall(SYS_getppid));
	SHOW(syscall(SYS_umask, 022));
	errno = 0;
	printf("%ld %d\n", syscall(SYS_getuid), errno);
	SHOW(prctl(PR_GET_SECCOMP));
	SHOW(INSTALL(0, NR(0), ON(SYS_getppid, SECCOMP_RET_ERRNO | 7), ELSE(SECCOMP_RET_ALLOW)));
	SHOW(syscall(SYS_getppid)); /* of equal actions the newest */
	if (fork() == 0) {
		SHOW(syscall(SYS_getppid));
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
	SHOW(INSTALL(0, NR(0), ON(SYS_getpgrp, SECCOMP_RET_LOG), ELSE(SECCOMP_RET_ALLOW)));
	SHOW(syscall(SYS_getpgrp) > 0);
}

static void by_argument(void)
{
	SHOW(INSTALL(0, NR(16), ON(12345, SECCOMP_RET_ERRNO | EXDEV), NR(4),
		     BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 1), ELSE(SECCOMP_RET_ALLOW),
		     ELSE(SECCOMP_RET_KILL_PROCESS)));
	SHOW(syscall(SYS_umask, 12345));
	SHOW(syscall(SYS_umask, 1) >= 0);
}

static void on_sys(int sig, siginfo_t *si, void *uc)
{
	ucontext_t *c = uc;

	printf("SIGSYS %d code %d errno %d call %d arch %x rax %d\n", sig == SIGSYS, si->si_code, si->si_errno,
	       si->si_syscall == SYS_getppid, si->si_arch, (int)c->uc_mcontext.gregs[REG_RAX] == SYS_getppid);
	c->uc_mcontext.gregs[REG_RAX] = 99;
}

static void trap(void)
{
	struct sigaction sa = {.sa_sigaction = on_sys, .sa_flags = SA_SIGINFO};

	sigaction(SIGSYS, &sa, NULL);
	SHOW(INSTALL(0, NR(0), ON(SYS_getppid, SECCOMP_RET_TRAP | 17), ELSE(SECCOMP_RET_ALLOW)));
	SHOW(syscall(SYS_getppid));
}

static void trap_unhandled(void)
{
	INSTALL(0, NR(0), ON(SYS_getppid, SECCOMP_RET_TRAP), ELSE(SECCOMP_RET_ALLOW));
	getppid();
}

static void *killed_thread(void *arg)
{
	(void)arg;
	syscall(SYS_getppid);
	return NULL;
}

static void kill_thread(void)
{
	struct timespec ts = {0, 50000000};
	pthread_t t;

	INSTALL(0, NR(0), ON(SYS_getppid, SECCOMP_RET_KILL_THREAD), ELSE(SECCOMP_RET_ALLOW));
	pthread_create(&t, NULL, killed_thread, NULL);
	nanosleep(&ts, NULL);
	printf("the rest goes on\n");
}

static void kill_process(void)
{
	pthread_t t;

	INSTALL(0, NR(0), ON(SYS_getppid, SECCOMP_RET_KILL_PROCESS), ELSE(SECCOMP_RET_ALLOW));
	pthread_create(&t, NULL, killed_thread, NULL);
	for (;;)
		pause();
}

static int go;
static void *synced(void *arg)
{
	(void)arg;
	while (!__atomic_load_n(&go, __ATOMIC_ACQUIRE))
		usleep(1000);
	SHOW(syscall(SYS_getppid));
	return NULL;
}

static void tsync(void)
{
	pthread_t t;

	pthread_create(&t, NULL, synced, NULL);
	SHOW(INSTALL(SECCOMP_FILTER_FLAG_TSYNC, NR(0), ON(SYS_getppid, SECCOMP_RET_ERRNO | 33),
		     ELSE(SECCOMP_RET_ALLOW)));
	__atomic_store_n(&go, 1, __ATOMIC_RELEASE);
	pthread_join(t, NULL);
}

static void traced_without_tracer(void)
{
	SHOW(INSTALL(0, NR(0), ON(SYS_getppid, SECCOMP_RET_TRACE | 1), ELSE(SECCOMP_RET_ALLOW)));
	SHOW(syscall(SYS_getppid));
}

static void refused(void)
{
	struct sock_fprog empty = {0, NULL};
	unsigned action = SECCOMP_RET_TRAP;

	SHOW(INSTALL(0, NR(0)));
	SHOW(INSTALL(0, NR(3), ELSE(0)));
	SHOW(INSTALL(0, NR(64), ELSE(0)));
	SHOW(INSTALL(0, BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0), ELSE(0)));
	SHOW(INSTALL(1 << 20, NR(0), ELSE(SECCOMP_RET_ALLOW)));
	SHOW(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &empty));
	SHOW(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, 8));
	SHOW(syscall(SYS_seccomp, 77, 0, 0));
	SHOW(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action));
	action = 0x12340000;
	SHOW(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action));
	SHOW(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 1, &action));
}

static void unprivileged(void)
{
	SHOW(setuid(1000));
	SHOW(INSTALL(0, NR(0), ELSE(SECCOMP_RET_ALLOW)));
	SHOW(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	SHOW(INSTALL(0, NR(0), ELSE(SECCOMP_RET_ALLOW)));
	SHOW(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
}

/* Calls that a filter lets pass need not be looked at, whoever answers them; those whose arguments it looks at,
 * or that it refuses later on, must be, also where they were made before. */
static void fast_ones(void)
{
	struct stat s;
	char to[8];

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 100; i++)
			MUST(syscall(SYS_getuid) == 0);
		errno = 0;
		for (int i = 0; i < 100; i++) {
			stat("/proc", &s);
			readlink("/", to, sizeof(to));
		}
		printf("getuid %ld ", syscall(SYS_getuid));
		errno = 0;
		printf("geteuid %ld %d ", syscall(SYS_geteuid), errno);
		errno = 0;
		printf("getppid(1) %d %d ", syscall(SYS_getppid, 1) < 0, errno);
		errno = 0;
		printf("getppid(2) %d %d ", syscall(SYS_getppid, 2) < 0, errno);
		errno = 0;
		printf("umask %d %d ", umask(022) == (mode_t)-1, errno);
		errno = 0;
		printf("readlink %zd %d\n", readlink("/", to, sizeof(to)), errno);
		fflush(stdout);
		if (round == 0)
			MUST(!INSTALL(0, NR(0), ON(SYS_geteuid, SECCOMP_RET_ERRNO | 71),
				      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 3), NR(16),
				      ON(2, SECCOMP_RET_ERRNO | 72), ELSE(SECCOMP_RET_ALLOW)));
		if (round == 1) /* in the middle of it, for what was free before */
			MUST(!INSTALL(0, NR(0), ON(SYS_umask, SECCOMP_RET_ERRNO | 73),
				      ON(SYS_readlink, SECCOMP_RET_ERRNO | 74), ELSE(SECCOMP_RET_ALLOW)));
	}
}

int main(void)
{
	if (getuid() != 0) {
		printf("needs root\n");
		return 77;
	}
	in_child("strict", strict);
	in_child("strict breach", strict_breach);
	in_child("errno", errnos);
	in_child("argument", by_argument);
	in_child("trap", trap);
	in_child("trap unhandled", trap_unhandled);
	in_child("kill thread", kill_thread);
	in_child("kill process", kill_process);
	in_child("tsync", tsync);
	in_child("trace", traced_without_tracer);
	in_child("fast ones", fast_ones);
	in_child("refused", refused);
	in_child("unprivileged", unprivileged);
	return 0;
}
