/* ptrace(2): attaching, stops and their codes, registers, memory, events. */
#include "tests/guest/guest.h"

#include <elf.h>
#include <pthread.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>

static void stop_of(const char *what, pid_t p, int options)
{
	int st = 0;
	pid_t got = waitpid(p, &st, options);

	if (got <= 0) {
		printf("%s: wait %s\n", what, got ? strerrorname_np(errno) : "nothing");
		return;
	}
	if (WIFSTOPPED(st) && st >> 16)
		printf("%s: signal %d event %d\n", what, WSTOPSIG(st), st >> 16);
	else
		show_status(what, st);
}

static int data = 7;

static void child(void)
{
	ptrace(PTRACE_TRACEME, 0, 0, 0);
	raise(SIGSTOP);
	data = syscall(SYS_getppid, 1, 2, 3, 4, 5) > 0;
	raise(SIGUSR1);
	_exit(data);
}

static void plain(void)
{
	struct user_regs_struct r;
	struct iovec iov = {&r, sizeof(r)};
	siginfo_t si;
	uint64_t mask;
	pid_t p = fork();

	if (p == 0)
		child();
	stop_of("first", p, 0);
	SHOW(ptrace(PTRACE_SETOPTIONS, p, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXIT));
	SHOW(ptrace(PTRACE_SETOPTIONS, p, 0, 1 << 30));
	errno = 0;
	printf("peek %ld %d\n", ptrace(PTRACE_PEEKDATA, p, &data, 0) & 0xffffffff, errno);
	SHOW(ptrace(PTRACE_POKEDATA, p, &data, 9));
	errno = 0;
	printf("peek %ld %d\n", ptrace(PTRACE_PEEKDATA, p, &data, 0) & 0xffffffff, errno);
	SHOW(ptrace(PTRACE_PEEKDATA, p, 8, 0));
	SHOW(ptrace(PTRACE_POKEDATA, p, 8, 0));
	/* text is read-only to the program, not to us */
	mask = ptrace(PTRACE_PEEKTEXT, p, (void *)child, 0);
	SHOW(ptrace(PTRACE_POKETEXT, p, (void *)child, mask));
	SHOW(ptrace(PTRACE_GETSIGINFO, p, 0, &si));
	printf("info %d %d\n", si.si_signo, si.si_code);
	SHOW(ptrace(PTRACE_SYSCALL, p, 0, 0)); /* end of tgkill */
	stop_of("entry or exit", p, 0);
	/* find getppid */
	for (int i = 0; i < 20; i++) {
		ptrace(PTRACE_GETREGS, p, 0, &r);
		if (r.orig_rax == SYS_getppid)
			break;
		ptrace(PTRACE_SYSCALL, p, 0, 0);
		waitpid(p, NULL, 0);
	}
	printf("getppid %d %llu %llu %llu %llu %llu rax %lld\n", r.orig_rax == SYS_getppid, r.rdi, r.rsi, r.rdx,
	       r.r10, r.r8, (long long)r.rax);
	SHOW(ptrace(PTRACE_SYSCALL, p, 0, 0));
	stop_of("exit", p, 0);
	SHOW(ptrace(PTRACE_GETREGSET, p, NT_PRSTATUS, &iov));
	printf("size %d result %d\n", iov.iov_len == sizeof(r), (pid_t)r.rax == getpid());
	r.rax = 0;
	SHOW(ptrace(PTRACE_SETREGS, p, 0, &r));
	SHOW(ptrace(PTRACE_CONT, p, 0, 0));
	stop_of("usr1", p, 0);
	SHOW(ptrace(PTRACE_CONT, p, 0, 0)); /* swallowed */
	stop_of("exiting", p, 0);
	SHOW(ptrace(PTRACE_GETEVENTMSG, p, 0, &mask));
	printf("message %lx\n", (unsigned long)mask);
	SHOW(ptrace(PTRACE_CONT, p, 0, 0));
	stop_of("end", p, 0);
	SHOW(ptrace(PTRACE_CONT, p, 0, 0));
}

static void replaced(void)
{
	struct user_regs_struct r;
	pid_t p = fork();

	if (p == 0) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		_exit(syscall(SYS_getppid) == -55 ? 1 : syscall(SYS_getpgrp) == 1234 ? 2 : 3);
	}
	waitpid(p, NULL, 0);
	ptrace(PTRACE_SETOPTIONS, p, 0, PTRACE_O_TRACESYSGOOD);
	for (int i = 0; i < 20; i++) {
		ptrace(PTRACE_SYSCALL, p, 0, 0);
		waitpid(p, NULL, 0);
		ptrace(PTRACE_GETREGS, p, 0, &r);
		if (r.orig_rax == SYS_getpgrp)
			break;
	}
	r.orig_rax = -1; /* no call at all */
	r.rax = 1234;
	SHOW(ptrace(PTRACE_SETREGS, p, 0, &r));
	SHOW(ptrace(PTRACE_SYSCALL, p, 0, 0));
	stop_of("skipped", p, 0);
	errno = 0;
	printf("rax %ld\n", ptrace(PTRACE_PEEKUSER, p, offsetof(struct user_regs_struct, rax), 0));
	ptrace(PTRACE_POKEUSER, p, offsetof(struct user_regs_struct, rax), 1234L);
	SHOW(ptrace(PTRACE_PEEKUSER, p, 3, 0));
	ptrace(PTRACE_CONT, p, 0, 0);
	stop_of("end", p, 0);
}

static void forks(void)
{
	unsigned long msg;
	pid_t p = fork(), q;
	int st;

	if (p == 0) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		q = fork();
		if (q == 0)
			_exit(4);
		waitpid(q, NULL, 0);
		q = vfork();
		if (q == 0)
			_exit(5);
		execl("/proc/self/exe", "ptrace", "child", NULL);
		_exit(6);
	}
	waitpid(p, NULL, 0);
	SHOW(ptrace(PTRACE_SETOPTIONS, p, 0,
		    PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEVFORKDONE | PTRACE_O_TRACEEXEC));
	ptrace(PTRACE_CONT, p, 0, 0);
	stop_of("fork", p, 0);
	ptrace(PTRACE_GETEVENTMSG, p, 0, &msg);
	q = msg;
	stop_of("child of it", q, __WALL);
	ptrace(PTRACE_CONT, q, 0, 0);
	ptrace(PTRACE_CONT, p, 0, 0);
	stop_of("child ends", q, __WALL);
	stop_of("SIGCHLD", p, 0);
	ptrace(PTRACE_CONT, p, 0, 0);
	stop_of("vfork", p, 0);
	ptrace(PTRACE_GETEVENTMSG, p, 0, &msg);
	q = msg;
	stop_of("child of it", q, __WALL);
	ptrace(PTRACE_CONT, p, 0, 0);
	ptrace(PTRACE_CONT, q, 0, 0);
	stop_of("child ends", q, __WALL);
	/* the order of these two is open */
	for (int i = 0; i < 2; i++) {
		waitpid(p, &st, 0);
		ptrace(PTRACE_CONT, p, 0, 0);
	}
	stop_of("exec", p, 0);
	ptrace(PTRACE_CONT, p, 0, 0);
	stop_of("end", p, 0);
}

static void attach(void)
{
	struct timespec ts = {0, 20000000};
	siginfo_t si;
	pid_t p = fork();

	if (p == 0)
		for (;;)
			getppid();
	SHOW(ptrace(PTRACE_CONT, p, 0, 0));
	SHOW(ptrace(PTRACE_ATTACH, p, 0, 0));
	stop_of("attached", p, 0);
	SHOW(ptrace(PTRACE_ATTACH, p, 0, 0));
	for (int i = 0; i < 3; i++) {
		SHOW(ptrace(PTRACE_SINGLESTEP, p, 0, 0));
		stop_of("step", p, 0);
	}
	SHOW(ptrace(PTRACE_GETSIGINFO, p, 0, &si));
	printf("code %d\n", si.si_code);
	SHOW(ptrace(PTRACE_DETACH, p, 0, 0));
	SHOW(waitpid(p, NULL, WNOHANG));
	SHOW(ptrace(PTRACE_SEIZE, p, 0, PTRACE_O_EXITKILL));
	SHOW(ptrace(PTRACE_CONT, p, 0, 0));
	SHOW(ptrace(PTRACE_INTERRUPT, p, 0, 0));
	stop_of("interrupted", p, 0);
	SHOW(ptrace(PTRACE_CONT, p, 0, 0));
	kill(p, SIGSTOP);
	stop_of("signal", p, 0);
	SHOW(ptrace(PTRACE_CONT, p, 0, SIGSTOP));
	stop_of("group stop", p, 0);
	SHOW(ptrace(PTRACE_LISTEN, p, 0, 0));
	nanosleep(&ts, NULL);
	SHOW(waitpid(p, NULL, WNOHANG));
	kill(p, SIGCONT);
	stop_of("notified", p, 0);
	SHOW(ptrace(PTRACE_CONT, p, 0, 0));
	stop_of("cont", p, 0);
	SHOW(ptrace(PTRACE_DETACH, p, 0, SIGKILL));
	stop_of("end", p, 0);
	SHOW(ptrace(PTRACE_ATTACH, getpid(), 0, 0));
	SHOW(ptrace(PTRACE_ATTACH, 999999, 0, 0));
	SHOW(ptrace(999, 1, 0, 0));
}

static void *loop(void *arg)
{
	while (getppid() >= 0)
		;
	return arg;
}

/* PTRACE_GET_SYSCALL_INFO, extended state, and a traced thread that isn't the leader */
static void more(void)
{
	struct __ptrace_syscall_info info;
	struct user_fpregs_struct fp;
	pid_t p = fork(), tid;
	int pipefd[2];
	pthread_t t;
	uint64_t mask;

	if (p == 0) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		getppid();
		_exit(0);
	}
	waitpid(p, NULL, 0);
	ptrace(PTRACE_SETOPTIONS, p, 0, PTRACE_O_TRACESYSGOOD);
	for (int i = 0; i < 20; i++) {
		ptrace(PTRACE_SYSCALL, p, 0, 0);
		waitpid(p, NULL, 0);
		ptrace(PTRACE_GET_SYSCALL_INFO, p, sizeof(info), &info);
		if (info.op == PTRACE_SYSCALL_INFO_ENTRY && info.entry.nr == SYS_getppid)
			break;
	}
	printf("op %d arch %x\n", info.op, info.arch);
	ptrace(PTRACE_SYSCALL, p, 0, 0);
	waitpid(p, NULL, 0);
	SHOW(ptrace(PTRACE_GET_SYSCALL_INFO, p, sizeof(info), &info));
	printf("op %d error %d result %d\n", info.op, info.exit.is_error, info.exit.rval == getpid());
	SHOW(ptrace(PTRACE_GETFPREGS, p, 0, &fp));
	printf("mxcsr %x\n", fp.mxcsr);
	fp.mxcsr = 0x1fa0;
	SHOW(ptrace(PTRACE_SETFPREGS, p, 0, &fp));
	memset(&fp, 0, sizeof(fp));
	SHOW(ptrace(PTRACE_GETFPREGS, p, 0, &fp));
	printf("mxcsr %x\n", fp.mxcsr);
	fp.mxcsr = 0xffffffff;
	SHOW(ptrace(PTRACE_SETFPREGS, p, 0, &fp));
	SHOW(ptrace(PTRACE_GETSIGMASK, p, 8, &mask));
	SHOW(ptrace(PTRACE_GETSIGMASK, p, 4, &mask));
	kill(p, SIGKILL);
	stop_of("killed", p, 0);
	pipe(pipefd);
	p = fork();
	if (p == 0) {
		pthread_create(&t, NULL, loop, NULL);
		tid = 0;
		for (int i = getpid() + 1; !tid && i < getpid() + 100000; i++)
			if (syscall(SYS_tgkill, getpid(), i, 0) == 0)
				tid = i;
		write(pipefd[1], &tid, sizeof(tid));
		loop(NULL);
	}
	read(pipefd[0], &tid, sizeof(tid));
	SHOW(ptrace(PTRACE_SEIZE, tid, 0, 0));
	SHOW(ptrace(PTRACE_INTERRUPT, tid, 0, 0));
	stop_of("thread", tid, __WALL);
	kill(p, SIGKILL);
	stop_of("thread end", tid, __WALL);
	stop_of("leader end", p, 0);
}

int main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1)
		return 8;
	if (access("/proc/self/exe", F_OK) < 0)
		return 77;
	plain();
	replaced();
	forks();
	attach();
	more();
	return 0;
}
