/* Interval timers, POSIX timers, timerfd, sleeping: what is counted and what is refused. */
#include "tests/guest/guest.h"

#include <poll.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/timex.h>
#include <sys/times.h>

static volatile int count, last_code, last_value;

static void on(int sig, siginfo_t *si, void *uc)
{
	(void)sig, (void)uc;
	count++;
	last_code = si->si_code;
	last_value = si->si_value.sival_int;
}

static long ms_since(const struct timespec *t)
{
	struct timespec n;

	clock_gettime(CLOCK_MONOTONIC, &n);
	return (n.tv_sec - t->tv_sec) * 1000 + (n.tv_nsec - t->tv_nsec) / 1000000;
}

static void itimers(void)
{
	struct itimerval it = {{0, 5000}, {0, 5000}}, old;
	struct sigaction sa = {.sa_sigaction = on, .sa_flags = SA_SIGINFO | SA_RESTART};

	sigaction(SIGALRM, &sa, NULL);
	sigaction(SIGVTALRM, &sa, NULL);
	sigaction(SIGPROF, &sa, NULL);
	SHOW(setitimer(ITIMER_REAL, &it, NULL));
	while (count < 3)
		pause();
	printf("code %d\n", last_code);
	it = (struct itimerval){{0, 0}, {0, 0}};
	SHOW(setitimer(ITIMER_REAL, &it, &old));
	printf("interval %ld %ld armed %d\n", old.it_interval.tv_sec, old.it_interval.tv_usec,
	       old.it_value.tv_usec > 0);
	SHOW(getitimer(ITIMER_REAL, &old));
	printf("off %ld %ld\n", old.it_value.tv_sec, old.it_value.tv_usec);
	it.it_value.tv_usec = 1000000;
	SHOW(setitimer(ITIMER_REAL, &it, NULL));
	SHOW(setitimer(7, &it, NULL));
	SHOW(getitimer(3, &old));
	count = 0;
	it = (struct itimerval){{0, 0}, {0, 10000}};
	SHOW(setitimer(ITIMER_VIRTUAL, &it, NULL));
	while (!count)
		;
	count = 0;
	SHOW(setitimer(ITIMER_PROF, &it, NULL));
	while (!count)
		getppid();
	SHOW(alarm(100));
	SHOW(alarm(0));
	SHOW(alarm(0));
}

static void posix(void)
{
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
	struct itimerspec its = {{0, 2000000}, {0, 2000000}}, old;
	struct sigaction sa = {.sa_sigaction = on, .sa_flags = SA_SIGINFO};
	struct timespec ts = {0, 50000000};
	sigset_t set, none;
	siginfo_t si;
	timer_t t;

	ev.sigev_value.sival_int = 77;
	sigaction(SIGRTMIN, &sa, NULL);
	sigemptyset(&set);
	sigemptyset(&none);
	sigaddset(&set, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	SHOW(timer_create(CLOCK_MONOTONIC, &ev, &t));
	SHOW(timer_settime(t, 0, &its, NULL));
	while (nanosleep(&ts, &ts) < 0)
		;
	SHOW(sigwaitinfo(&set, &si) == SIGRTMIN);
	printf("value %d code %d overrun many %d\n", si.si_value.sival_int, si.si_code, si.si_overrun > 10);
	SHOW(timer_getoverrun(t) > 10);
	its = (struct itimerspec){0};
	SHOW(timer_settime(t, 0, &its, &old));
	printf("interval %ld\n", old.it_interval.tv_nsec);
	SHOW(timer_gettime(t, &old));
	printf("off %ld %ld\n", old.it_value.tv_sec, old.it_value.tv_nsec);
	its.it_value.tv_nsec = 2000000000;
	SHOW(timer_settime(t, 0, &its, NULL));
	SHOW(timer_delete(t));
	SHOW(syscall(SYS_timer_delete, 99));
	SHOW(syscall(SYS_timer_settime, 99, 0, &its, NULL));
	ev.sigev_signo = 99;
	SHOW(timer_create(CLOCK_MONOTONIC, &ev, &t));
	ev.sigev_signo = SIGUSR1;
	SHOW(timer_create(99, &ev, &t));
	ev.sigev_notify = 9;
	SHOW(syscall(SYS_timer_create, CLOCK_MONOTONIC, &ev, &t));
	ev = (struct sigevent){.sigev_notify = SIGEV_NONE};
	SHOW(timer_create(CLOCK_REALTIME, &ev, &t));
	clock_gettime(CLOCK_REALTIME, &its.it_value);
	its.it_value.tv_sec += 100;
	SHOW(timer_settime(t, TIMER_ABSTIME, &its, NULL));
	SHOW(timer_gettime(t, &old));
	printf("left %d\n", old.it_value.tv_sec >= 98 && old.it_value.tv_sec <= 100);
	SHOW(timer_create(CLOCK_PROCESS_CPUTIME_ID, NULL, &t));
	sa.sa_sigaction = on;
	sigaction(SIGALRM, &sa, NULL);
	its = (struct itimerspec){{0, 0}, {0, 10000000}};
	count = 0;
	SHOW(timer_settime(t, 0, &its, NULL));
	while (!count)
		;
	printf("cpu timer code %d\n", last_code);
}

static void tfd(void)
{
	struct itimerspec its = {{0, 2000000}, {0, 2000000}}, old;
	struct timespec ts = {0, 30000000};
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	struct pollfd p = {fd, POLLIN, 0};
	uint64_t n;

	SHOW(read(fd, &n, 8));
	SHOW(timerfd_settime(fd, 0, &its, NULL));
	SHOW(poll(&p, 1, 1000));
	nanosleep(&ts, NULL);
	SHOW(read(fd, &n, 8));
	printf("many %d\n", n >= 10);
	SHOW(read(fd, &n, 4));
	SHOW(write(fd, &n, 8));
	its = (struct itimerspec){0};
	SHOW(timerfd_settime(fd, 0, &its, &old));
	printf("interval %ld\n", old.it_interval.tv_nsec);
	SHOW(timerfd_gettime(fd, &old));
	printf("off %ld\n", old.it_value.tv_nsec);
	SHOW(poll(&p, 1, 5));
	its.it_value.tv_nsec = 1; /* long past */
	SHOW(timerfd_settime(fd, TFD_TIMER_ABSTIME, &its, NULL));
	SHOW(poll(&p, 1, 1000));
	SHOW(read(fd, &n, 8));
	printf("once %lu\n", (unsigned long)n);
	SHOW(timerfd_settime(fd, 4, &its, NULL) == -1 && errno == EINVAL);
	SHOW(timerfd_settime(0, 0, &its, NULL));
	SHOW(timerfd_create(99, 0));
	SHOW(timerfd_create(CLOCK_MONOTONIC, 1));
	SHOW(lseek(fd, 0, SEEK_SET));
}

static void sleeping(void)
{
	struct timespec t, d = {0, 20000000}, a;

	clock_gettime(CLOCK_MONOTONIC, &t);
	SHOW(clock_nanosleep(CLOCK_MONOTONIC, 0, &d, NULL));
	printf("slept %d\n", ms_since(&t) >= 20);
	clock_gettime(CLOCK_REALTIME, &a);
	a.tv_nsec += 20000000;
	if (a.tv_nsec >= 1000000000)
		a.tv_sec++, a.tv_nsec -= 1000000000;
	SHOW(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &a, NULL));
	printf("slept %d\n", ms_since(&t) >= 39);
	SHOW(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL));
	d.tv_nsec = 1000000000;
	SHOW(nanosleep(&d, NULL));
	d = (struct timespec){-1, 0};
	SHOW(nanosleep(&d, NULL));
	SHOW(clock_nanosleep(99, 0, &d, NULL));
	d = (struct timespec){0, 1};
	SHOW(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &d, NULL));
	SHOW(nanosleep((void *)8, NULL));
}

static void clocks(void)
{
	static const int ids[] = {CLOCK_REALTIME,
				  CLOCK_MONOTONIC,
				  CLOCK_PROCESS_CPUTIME_ID,
				  CLOCK_THREAD_CPUTIME_ID,
				  CLOCK_MONOTONIC_RAW,
				  CLOCK_REALTIME_COARSE,
				  CLOCK_MONOTONIC_COARSE,
				  CLOCK_BOOTTIME,
				  CLOCK_TAI,
				  10,
				  99,
				  -1};
	struct timespec a, b, r;
	struct tms tms;
	clockid_t c;

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		int x = syscall(SYS_clock_gettime, ids[i], &a), y = syscall(SYS_clock_getres, ids[i], &r);

		syscall(SYS_clock_gettime, ids[i], &b);
		printf("clock %d: %d %d forward %d\n", ids[i], x, y,
		       x < 0 || b.tv_sec > a.tv_sec || (b.tv_sec == a.tv_sec && b.tv_nsec >= a.tv_nsec));
	}
	SHOW(clock_getcpuclockid(0, &c));
	SHOW(clock_gettime(c, &a));
	SHOW(clock_getcpuclockid(getpid(), &c));
	SHOW(clock_gettime(c, &a));
	SHOW(clock_getres(CLOCK_MONOTONIC, NULL));
	SHOW(times(&tms) > 0);
	SHOW(times(NULL) > 0);
	SHOW(syscall(SYS_time, 8));
	for (volatile int i = 0; i < 100000000; i++)
		;
	times(&tms);
	printf("user time %d\n", tms.tms_utime > 0);
}

int main(void)
{
	itimers();
	posix();
	tfd();
	sleeping();
	clocks();
	return 0;
}
