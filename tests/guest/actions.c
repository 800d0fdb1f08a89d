/* actions.c: what sigaction(2) says of signals that keep their default action, after they were given flags, a
 * mask and a restorer that have no effect: asked for again, inherited, lost by exec; and that a signal sent at
 * any time afterwards finds the right action. */
#include "guest.h"
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>

struct action {
	unsigned long handler, flags, restorer, mask;
};

static long act(int sig, const struct action *new, struct action *old)
{
	return syscall(SYS_rt_sigaction, sig, new, old, 8) < 0 ? -errno : 0;
}

static void show(const char *what, int sig)
{
	struct action a = {9, 9, 9, 9};
	long ret = act(sig, NULL, &a);

	printf("%s: %d: %ld handler %lx flags %lx restorer %lx mask %lx\n", what, sig, ret, a.handler, a.flags,
	       a.restorer, a.mask);
}

static void show_some(const char *what)
{
	static const int some[] = {1, 2, 9, 10, 17, 19, 33, 40, 64, 65, 0, -1};

	for (int k = 0; k < 2; k++)
		for (unsigned i = 0; i < sizeof(some) / sizeof(some[0]); i++)
			show(what, some[i]);
}

static void set(int sig, unsigned long handler, unsigned long flags, unsigned long restorer, unsigned long mask)
{
	struct action a = {handler, flags, restorer, mask}, old = {9, 9, 9, 9};
	long ret = act(sig, &a, &old);

	printf("set %d: %ld old %lx %lx %lx %lx\n", sig, ret, old.handler, old.flags, old.restorer, old.mask);
}

static volatile int hits;

static void on_signal(int sig)
{
	(void)sig;
	hits++;
}

static void change(void)
{
	show_some("at first");
	for (int sig = 1; sig <= 12; sig++)
		set(sig, 0, 0x4000000, 0x1234, ~0UL);
	show_some("all alike");
	set(1, 0, 0x10000000, 0, 0); /* another one */
	set(2, 0, 0, 0, 0);	     /* as at first */
	set(17, 0, 2, 0, 0);	     /* no zombies */
	set(17, 0, 0, 0, 0);
	set(40, 0, 0xffffffffUL, 5, 7); /* unknown flags */
	set(41, 0, 0xffffffffUL, 5, 7);
	set(42, 1, 0, 0, 0);
	set(43, 0, 0x4000000, 0x1234, ~0UL);
	show_some("then");
	show("then", 41);
	show("then", 42);
	show("then", 43);
	printf("bad memory: %ld %ld\n", act(50, (void *)1, NULL), act(50, NULL, (void *)1));
	printf("bad memory: %ld", act(50, &(struct action){0, 4, 0, 0}, (void *)1));
	printf(" size: %d\n", syscall(SYS_rt_sigaction, 50, NULL, NULL, 4) < 0 ? errno : 0);
	show("set all the same", 50);
}

/* A handler, the default with flags, and a handler again: what comes in between must be what counts. */
static void act_upon(void)
{
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, old;

	for (int i = 0; i < 3; i++) {
		MUST(sigaction(SIGURG, &sa, &old) == 0);
		raise(SIGURG);
		printf("handled %d, before that %s flags %x\n", hits,
		       old.sa_handler == SIG_DFL ? "default" : "?", (unsigned)old.sa_flags & ~0x4000000u);
		sa.sa_handler = SIG_DFL;
		MUST(sigaction(SIGURG, &sa, NULL) == 0);
		raise(SIGURG);
		MUST(sigaction(SIGURG, &sa, &old) == 0);
		printf("default %d flags %x\n", hits, (unsigned)old.sa_flags & ~0x4000000u);
		sa.sa_handler = on_signal;
	}
	signal(SIGURG, SIG_DFL);
}

static int clone_child(void *arg)
{
	(void)arg;
	set(44, 0, 0x4000000, 0x77, 3);
	show("by the sharer", 44);
	return 0;
}

static void inherit(void)
{
	static char stack[65536] __attribute__((aligned(16)));
	int st;

	set(45, 0, 0x4000000, 0x88, 0);
	fflush(stdout);
	if (fork() == 0) {
		show("by the child", 45);
		set(46, 0, 0x4000000, 0x99, 0);
		fflush(stdout);
		_exit(0);
	}
	wait(&st);
	show("after the child", 46);
	/* a process that shares them */
	show("before it is shared", 44);
	fflush(stdout);
	st = clone(clone_child, stack + sizeof(stack), CLONE_VM | CLONE_SIGHAND | SIGCHLD, NULL);
	MUST(st > 0 && waitpid(st, NULL, 0) == st);
	show("after it was shared", 44);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "again") == 0) {
		show_some("after exec");
		show("after exec", 42);
		return 0;
	}
	if (argc == 1) { /* whoever started us may have had signals ignored */
		for (int sig = 1; sig <= 64; sig++)
			act(sig, &(struct action){0, 0, 0, 0}, NULL);
		execl("/proc/self/exe", argv[0], "afresh", (char *)NULL);
		return 1;
	}
	change();
	act_upon();
	inherit();
	fflush(stdout);
	execl("/proc/self/exe", argv[0], "again", (char *)NULL);
	return 1;
}
