/* sigmask.c: a mask that is changed all the time while signals arrive: none may be lost, none may come while it
 * is blocked, and one that is blocked at the right time waits. */
#include "guest.h"

#include <pthread.h>
#include <sys/mman.h>

#define ROUNDS 500

static volatile int handled, blocked_now, wrong;
static volatile int over;
static pthread_t toggler;

static void on_usr1(int sig)
{
	(void)sig;
	if (blocked_now)
		wrong++;
	__atomic_add_fetch(&handled, 1, __ATOMIC_SEQ_CST);
}

static void *toggle(void *arg)
{
	sigset_t set;

	(void)arg;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	while (!over) {
		pthread_sigmask(SIG_BLOCK, &set, NULL);
		blocked_now = 1;
		for (volatile int i = 0; i < 50; i++)
			;
		blocked_now = 0;
		pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	}
	return NULL;
}

/* Each signal is waited for without a call that could help it along. */
static int send_each(int to_thread)
{
	int lost = 0;

	for (int i = 0; i < ROUNDS; i++) {
		int before = handled;
		struct timespec a, b;

		if (to_thread)
			pthread_kill(toggler, SIGUSR1);
		else
			kill(getpid(), SIGUSR1);
		clock_gettime(CLOCK_MONOTONIC, &a);
		do
			clock_gettime(CLOCK_MONOTONIC, &b);
		while (handled == before && b.tv_sec - a.tv_sec < 10);
		if (handled == before) {
			lost++;
			break;
		}
	}
	return lost;
}

/* A child that ends when told through memory, after its parent has blocked SIGCHLD (ignored by default). */
static int wait_for_child(volatile int *go)
{
	sigset_t set, old;
	siginfo_t info;
	struct timespec limit = {10, 0};
	pid_t pid;
	int ret;

	*go = 0;
	pid = fork();
	if (pid == 0) {
		while (!*go)
			;
		_exit(0);
	}
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, &old);
	*go = 1;
	for (volatile int i = 0; i < 200000; i++)
		;
	do
		ret = sigtimedwait(&set, &info, &limit);
	while (ret < 0 && errno == EINTR);
	sigprocmask(SIG_SETMASK, &old, NULL);
	waitpid(pid, NULL, 0);
	return ret == SIGCHLD && info.si_pid == pid;
}

int main(void)
{
	volatile int *go = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct sigaction sa = {.sa_handler = on_usr1};
	sigset_t set;
	int got = 0;

	sigaction(SIGUSR1, &sa, NULL);
	pthread_create(&toggler, NULL, toggle, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL); /* the toggler alone takes them */
	printf("to the thread: %d lost\n", send_each(1));
	printf("to the process: %d lost\n", send_each(0));
	over = 1;
	pthread_join(toggler, NULL);
	printf("while blocked: %d\n", wrong);
	for (int i = 0; i < 30; i++)
		got += wait_for_child(go);
	printf("children seen: %d\n", got);
	return 0;
}
