/* processes.c SECONDS: the life of processes under pressure: forks, kills and execs of processes whose threads
 * come and go, stops and continues, tracers that come and go, floods of signals, crowds on a futex. What must
 * hold is checked: every end has the right status. */
#include "../guest.h"

#include <pthread.h>
#include <sys/ptrace.h>
#include <sys/time.h>

static double end;
static volatile long hits;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void wrong(const char *what, int st)
{
	printf("WRONG: %s: %x errno %d\n", what, st, errno);
	fflush(stdout);
}

static void *sleeper(void *arg)
{
	struct timespec t = {0, 1000000};

	while (!nanosleep(&t, NULL) || errno == EINTR)
		;
	return arg;
}

static void *brief(void *arg)
{
	usleep(1000);
	return arg;
}

static void *maker(void *arg)
{
	pthread_attr_t a;
	pthread_t t;

	pthread_attr_init(&a);
	pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
	for (;;) {
		if (pthread_create(&t, &a, brief, NULL) == 0)
			usleep(500);
	}
	return arg;
}

static void crowd(void)
{
	pthread_t t;

	for (int i = 0; i < 3; i++)
		pthread_create(&t, NULL, sleeper, NULL);
	pthread_create(&t, NULL, maker, NULL);
}

static void forks(void)
{
	int st;

	for (int i = 0; i < 4; i++) {
		if (fork())
			continue;
		while (now() < end) {
			pid_t p = fork();

			if (p == 0)
				_exit(1);
			if (p > 0 && (waitpid(p, &st, 0) != p || WEXITSTATUS(st) != 1))
				wrong("fork", st);
		}
		_exit(0);
	}
	while (wait(NULL) > 0)
		;
}

static void kills(void)
{
	int st;

	while (now() < end) {
		pid_t p = fork();

		if (p == 0) {
			crowd();
			for (;;)
				pause();
		}
		usleep((unsigned)rand() % 10000);
		kill(p, SIGKILL);
		if (waitpid(p, &st, 0) != p || !WIFSIGNALED(st) || WTERMSIG(st) != SIGKILL)
			wrong("kill", st);
	}
}

static void execs(void)
{
	int st;

	while (now() < end) {
		pid_t p = fork();

		if (p == 0) {
			crowd();
			usleep((unsigned)rand() % 3000);
			execl("/proc/self/exe", "processes", "done", NULL);
			_exit(77);
		}
		if (waitpid(p, &st, 0) != p || !WIFEXITED(st) || WEXITSTATUS(st) != 33)
			wrong("exec", st);
	}
}

static void stops(void)
{
	pid_t p = fork();
	int st;

	if (p == 0) {
		crowd();
		for (;;)
			pause();
	}
	for (int n = 0; now() < end; n++) {
		kill(p, SIGSTOP);
		if (waitpid(p, &st, WUNTRACED) != p || !WIFSTOPPED(st))
			wrong("stop", st);
		kill(p, SIGCONT);
		if (n % 2 && (waitpid(p, &st, WCONTINUED) != p || !WIFCONTINUED(st)))
			wrong("continue", st);
	}
	kill(p, SIGKILL);
	waitpid(p, NULL, 0);
}

static void on(int sig)
{
	(void)sig;
	hits++;
}

static void signals(void)
{
	pid_t me = getpid(), k[4];
	pthread_t t;

	signal(SIGUSR1, on);
	signal(SIGRTMIN, on);
	for (int i = 0; i < 4; i++) {
		k[i] = fork();
		if (k[i] == 0) {
			for (;;) {
				usleep(5000);
				kill(me, SIGUSR1);
				sigqueue(me, SIGRTMIN, (union sigval){1});
			}
		}
	}
	for (int i = 0; i < 3; i++)
		pthread_create(&t, NULL, sleeper, NULL);
	while (now() < end)
		getppid();
	for (int i = 0; i < 4; i++)
		kill(k[i], SIGKILL);
	while (wait(NULL) > 0 || errno == EINTR)
		;
	if (!hits)
		wrong("signals", 0);
}

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static int stop_waiting;

static void *waiter(void *arg)
{
	struct timespec ts;
	int done = 0;

	while (!done) {
		pthread_mutex_lock(&m);
		clock_gettime(CLOCK_REALTIME, &ts);
		ts.tv_nsec += 1000000;
		if (ts.tv_nsec >= 1000000000)
			ts.tv_sec++, ts.tv_nsec -= 1000000000;
		pthread_cond_timedwait(&c, &m, &ts);
		done = stop_waiting;
		pthread_mutex_unlock(&m);
	}
	return arg;
}

static void futexes(void)
{
	pthread_t t[10];

	for (int i = 0; i < 10; i++)
		pthread_create(&t[i], NULL, waiter, NULL);
	while (now() < end) {
		pthread_mutex_lock(&m);
		pthread_cond_broadcast(&c);
		pthread_mutex_unlock(&m);
	}
	pthread_mutex_lock(&m);
	stop_waiting = 1;
	pthread_mutex_unlock(&m);
	for (int i = 0; i < 10; i++)
		pthread_join(t[i], NULL);
}

static void traces(void)
{
	pid_t p = fork();
	int st;

	if (p == 0)
		for (;;)
			getppid();
	while (now() < end) {
		if (ptrace(PTRACE_ATTACH, p, 0, 0))
			wrong("attach", 0);
		if (waitpid(p, &st, 0) != p || !WIFSTOPPED(st))
			wrong("attached", st);
		for (int i = 0; i < 5; i++) {
			ptrace(i & 1 ? PTRACE_SYSCALL : PTRACE_SINGLESTEP, p, 0, 0);
			if (waitpid(p, &st, 0) != p || !WIFSTOPPED(st))
				wrong("step", st);
		}
		if (ptrace(PTRACE_DETACH, p, 0, 0))
			wrong("detach", 0);
	}
	kill(p, SIGKILL);
	waitpid(p, NULL, 0);
}

/* A tracer that dies, with its tracees in every state. */
static void lost_tracers(void)
{
	pid_t p = fork(), q;

	if (p == 0) {
		crowd();
		for (;;)
			getppid();
	}
	while (now() < end) {
		q = fork();
		if (q == 0) {
			ptrace(PTRACE_SEIZE, p, 0, 0);
			ptrace(PTRACE_INTERRUPT, p, 0, 0);
			if (rand() % 2)
				waitpid(p, NULL, 0);
			if (rand() % 2)
				ptrace(PTRACE_SYSCALL, p, 0, 0);
			_exit(0);
		}
		waitpid(q, NULL, 0);
		rand();
	}
	kill(p, SIGKILL);
	waitpid(p, NULL, 0);
}

int main(int argc, char **argv)
{
	static void (*const parts[])(void) = {forks,   kills,	execs,	stops,
					      signals, futexes, traces, lost_tracers};
	double share;
	int st;

	if (argc > 1 && !strcmp(argv[1], "done"))
		return 33;
	share = (argc > 1 ? atof(argv[1]) : 5) / (double)(sizeof(parts) / sizeof(parts[0]));
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		pid_t p = fork();

		if (p == 0) {
			end = now() + share;
			parts[i]();
			exit(0);
		}
		waitpid(p, &st, 0);
		if (st)
			wrong("part", st);
	}
	printf("still here\n");
	return 0;
}
