/* threads.c: pthreads, mutexes, condition variables, futex calls, robust mutexes, exit of threads, exec. */
#include "guest.h"
#include <linux/futex.h>
#include <pthread.h>

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static int turn, counter;

static void *add(void *arg)
{
	for (int i = 0; i < 20000; i++) {
		pthread_mutex_lock(&m);
		counter++;
		pthread_mutex_unlock(&m);
	}
	return arg;
}

static void *pingpong(void *arg)
{
	int me = (int)(intptr_t)arg;

	for (int i = 0; i < 500; i++) {
		pthread_mutex_lock(&m);
		while (turn != me)
			pthread_cond_wait(&c, &m);
		turn = !me;
		pthread_cond_broadcast(&c);
		pthread_mutex_unlock(&m);
	}
	return NULL;
}

static void *robust(void *arg)
{
	pthread_mutex_lock(arg);
	return NULL;
}

static void *sleeper(void *arg)
{
	(void)arg;
	for (;;)
		pause();
}

int main(void)
{
	pthread_t t[8];
	void *r;
	int word = 5;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (long i = 0; i < 8; i++)
		MUST(pthread_create(&t[i], NULL, add, (void *)i) == 0);
	for (long i = 0; i < 8; i++) {
		pthread_join(t[i], &r);
		MUST((long)r == i);
	}
	printf("counter %d\n", counter);
	for (long i = 0; i < 2; i++)
		pthread_create(&t[i], NULL, pingpong, (void *)i);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	puts("pingpong done");
	SHOW(syscall(SYS_futex, &word, FUTEX_WAIT, 4, NULL, NULL, 0));
	struct timespec ts = {0, 1000000};
	SHOW(syscall(SYS_futex, &word, FUTEX_WAIT, 5, &ts, NULL, 0));
	SHOW(syscall(SYS_futex, &word, FUTEX_WAKE, 1, NULL, NULL, 0));
	SHOW(syscall(SYS_futex, (char *)&word + 1, FUTEX_WAIT, 5, NULL, NULL, 0));
	SHOW(syscall(SYS_futex, 16, FUTEX_WAIT, 5, NULL, NULL, 0));
	SHOW(syscall(SYS_futex, &word, 99, 5, NULL, NULL, 0));
	pthread_mutexattr_t a;
	pthread_mutexattr_init(&a);
	pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_t rm;
	pthread_mutex_init(&rm, &a);
	pthread_create(&t[0], NULL, robust, &rm);
	pthread_join(t[0], NULL);
	printf("robust %d\n", pthread_mutex_lock(&rm) == EOWNERDEAD);
	pthread_mutexattr_t pa;
	pthread_mutexattr_init(&pa);
	pthread_mutexattr_setprotocol(&pa, PTHREAD_PRIO_INHERIT);
	pthread_mutex_t pi;
	pthread_mutex_init(&pi, &pa);
	printf("pi %d %d\n", pthread_mutex_lock(&pi), pthread_mutex_unlock(&pi));
	/* a process whose other threads sleep: exit, exec, kill */
	int pid = fork(), st;
	if (pid == 0) {
		for (int i = 0; i < 4; i++)
			pthread_create(&t[i], NULL, sleeper, NULL);
		_exit(3);
	}
	waitpid(pid, &st, 0);
	show_status("exit with threads", st);
	pid = fork();
	if (pid == 0) {
		for (int i = 0; i < 4; i++)
			pthread_create(&t[i], NULL, sleeper, NULL);
		pthread_exit(NULL);
	}
	usleep(50000);
	kill(pid, SIGTERM);
	waitpid(pid, &st, 0);
	show_status("leader gone", st);
	return 0;
}
