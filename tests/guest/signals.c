/* signals.c: handlers, masks, queues, alternate stack, restart, faults, FP state across handlers. */
#include "guest.h"
#include <pthread.h>
#include <setjmp.h>
#include <sys/time.h>
#include <ucontext.h>

static volatile int count, last_code, last_value;
static volatile uintptr_t last_addr;
static sigjmp_buf env;

static void handler(int sig, siginfo_t *si, void *uc)
{
	(void)sig, (void)uc;
	count++;
	last_code = si->si_code;
	last_value = si->si_value.sival_int;
	last_addr = (uintptr_t)si->si_addr;
}

static void fault(int sig, siginfo_t *si, void *uc)
{
	(void)uc;
	last_code = si->si_code;
	last_addr = (uintptr_t)si->si_addr;
	siglongjmp(env, sig);
}

static void install(int sig, void (*fn)(int, siginfo_t *, void *), int flags)
{
	struct sigaction sa = {.sa_sigaction = fn, .sa_flags = SA_SIGINFO | flags};

	MUST(sigaction(sig, &sa, NULL) == 0);
}

static void masks(void)
{
	sigset_t set, old;

	install(SIGUSR1, handler, 0);
	install(SIGRTMIN, handler, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &set, &old);
	kill(getpid(), SIGUSR1);
	kill(getpid(), SIGUSR1);
	for (int i = 0; i < 3; i++)
		sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = i + 10});
	printf("blocked %d\n", count);
	sigpending(&set);
	printf("pending %d %d %d\n", sigismember(&set, SIGUSR1), sigismember(&set, SIGRTMIN),
	       sigismember(&set, SIGINT));
	siginfo_t si;
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	SHOW(sigwaitinfo(&set, &si) == SIGRTMIN);
	printf("value %d code %d\n", si.si_value.sival_int, si.si_code);
	sigprocmask(SIG_SETMASK, &old, NULL);
	printf("unblocked %d last %d\n", count, last_value);
	struct timespec ts = {0, 1000000};
	SHOW(sigtimedwait(&set, &si, &ts));
	SHOW(sigaction(SIGKILL, &(struct sigaction){.sa_handler = SIG_IGN}, NULL));
	SHOW(sigaction(65, NULL, NULL));
	SHOW(kill(getpid(), 0));
	SHOW(kill(getpid(), 65));
	SHOW(kill(99999999, SIGUSR1));
}

static void faults(void)
{
	install(SIGSEGV, fault, SA_ONSTACK | SA_NODEFER);
	install(SIGBUS, fault, SA_NODEFER);
	install(SIGFPE, fault, SA_NODEFER);
	install(SIGILL, fault, SA_NODEFER);
	install(SIGTRAP, fault, SA_NODEFER);
	int sig;

	if ((sig = sigsetjmp(env, 1)) == 0)
		*(volatile int *)0x10 = 1;
	printf("sig %d code %d addr %lx\n", sig, last_code, (long)last_addr);
	char *p = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if ((sig = sigsetjmp(env, 1)) == 0)
		p[5] = 1;
	printf("sig %d code %d off %ld\n", sig, last_code, (long)(last_addr - (uintptr_t)p));
	int fd = open("short", O_CREAT | O_RDWR | O_TRUNC, 0600);
	ftruncate(fd, 10);
	char *m = mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 0);
	if ((sig = sigsetjmp(env, 1)) == 0)
		printf("%d\n", ((volatile char *)m)[5000]);
	printf("sig %d code %d\n", sig, last_code);
	if ((sig = sigsetjmp(env, 1)) == 0) {
		volatile int zero = 0;
		printf("%d\n", 1 / zero);
	}
	printf("sig %d code %d\n", sig, last_code);
	if ((sig = sigsetjmp(env, 1)) == 0)
		__asm__ volatile("ud2");
	printf("sig %d code %d\n", sig, last_code);
	if ((sig = sigsetjmp(env, 1)) == 0)
		__asm__ volatile("int3");
	printf("sig %d code %d\n", sig, last_code);
	if ((sig = sigsetjmp(env, 1)) == 0)
		__asm__ volatile("hlt");
	printf("sig %d code %d addr %lx\n", sig, last_code, (long)last_addr);
	if ((sig = sigsetjmp(env, 1)) == 0)
		((void (*)(void))p)();
	printf("sig %d code %d\n", sig, last_code);
}

static char altstack[65536];
static volatile int on_alt;

static void alt_handler(int sig, siginfo_t *si, void *uc)
{
	char here;
	stack_t ss;

	(void)sig, (void)si, (void)uc;
	on_alt = &here >= altstack && &here < altstack + sizeof(altstack);
	sigaltstack(NULL, &ss);
	printf("in handler: flags %d\n", ss.ss_flags);
}

static void alt(void)
{
	stack_t ss = {.ss_sp = altstack, .ss_size = sizeof(altstack)}, old;

	SHOW(sigaltstack(&ss, &old));
	printf("old flags %d\n", old.ss_flags);
	SHOW(sigaltstack(&(stack_t){.ss_sp = altstack, .ss_size = 100}, NULL));
	install(SIGUSR2, alt_handler, SA_ONSTACK);
	raise(SIGUSR2);
	printf("on alt %d\n", on_alt);
	SHOW(sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL));
	raise(SIGUSR2);
	printf("on alt %d\n", on_alt);
}

static void restart(void)
{
	int p[2];
	char c;
	struct itimerval it = {.it_value.tv_usec = 20000};

	MUST(pipe(p) == 0);
	install(SIGALRM, handler, 0);
	setitimer(ITIMER_REAL, &it, NULL);
	SHOW(read(p[0], &c, 1));
	install(SIGALRM, handler, SA_RESTART);
	int pid = fork();
	if (pid == 0) {
		usleep(100000);
		write(p[1], "x", 1);
		_exit(0);
	}
	setitimer(ITIMER_REAL, &it, NULL);
	SHOW(read(p[0], &c, 1));
	setitimer(ITIMER_REAL, &it, NULL);
	struct timespec ts = {5, 0}, rem = {0};
	SHOW(nanosleep(&ts, &rem));
	printf("remaining %d\n", rem.tv_sec == 4);
	sigset_t none;
	sigemptyset(&none);
	setitimer(ITIMER_REAL, &it, NULL);
	SHOW(sigsuspend(&none));
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	install(SIGUSR1, handler, SA_RESETHAND);
	raise(SIGUSR1);
	struct sigaction sa;
	sigaction(SIGUSR1, NULL, &sa);
	printf("reset %d\n", sa.sa_handler == SIG_DFL);
}

static void fp_handler(int sig)
{
	double x = 1.5;

	__asm__ volatile("movsd %0, %%xmm7\n xorps %%xmm0, %%xmm0\n xorps %%xmm15, %%xmm15" ::"m"(x)
			 : "xmm7", "xmm0", "xmm15");
	count += sig;
}

static void fp(void)
{
	double in = 3.25, out7 = 0, out15 = 0;
	long pid = getpid(), r;

	signal(SIGUSR1, fp_handler);
	__asm__ volatile("movsd %3, %%xmm7\n movsd %3, %%xmm15\n"
			 "syscall\n"
			 "movsd %%xmm7, %0\n movsd %%xmm15, %1\n"
			 : "=m"(out7), "=m"(out15), "=a"(r)
			 : "m"(in), "2"((long)SYS_kill), "D"(pid), "S"((long)SIGUSR1)
			 : "rcx", "r11", "memory", "xmm7", "xmm15");
	printf("fp %g %g %ld\n", out7, out15, r);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	masks();
	faults();
	alt();
	restart();
	fp();
	return 0;
}
