/* waits.c: waiting and being interrupted: poll, select, epoll with signals and masks, restarts, EINTR, timeouts
 * written back, blocking reads that a signal ends, nested epoll, inotify with poll. */
#include "guest.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>

static volatile int ticks;

static void on_alarm(int sig)
{
	(void)sig;
	ticks++;
}

static void arm(int ms, int flags)
{
	struct sigaction sa = {.sa_handler = on_alarm, .sa_flags = flags};
	struct itimerval it = {.it_value = {0, ms * 1000}};

	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &it, NULL);
}

static void interrupted(void)
{
	int p[2], ep = epoll_create1(0);
	struct pollfd pf;
	struct epoll_event ev = {.events = EPOLLIN};
	char c;
	fd_set r;
	struct timeval tv = {5, 0};
	struct timespec ts = {5, 0};

	MUST(pipe(p) == 0);
	pf = (struct pollfd){p[0], POLLIN, 0};
	epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev);
	arm(20, 0);
	SHOW(poll(&pf, 1, 5000));
	arm(20, SA_RESTART);
	SHOW(poll(&pf, 1, 5000));
	arm(20, SA_RESTART);
	SHOW(epoll_wait(ep, &ev, 1, 5000));
	FD_ZERO(&r);
	FD_SET(p[0], &r);
	arm(20, SA_RESTART);
	SHOW(select(p[0] + 1, &r, NULL, NULL, &tv));
	printf("left %d\n", tv.tv_sec == 4 && tv.tv_usec > 0);
	arm(20, SA_RESTART);
	SHOW(ppoll(&pf, 1, &ts, NULL));
	arm(20, 0);
	SHOW(read(p[0], &c, 1));
	pid_t pid = fork();
	if (pid == 0) {
		usleep(100000);
		MUST(write(p[1], "x", 1) == 1);
		_exit(0);
	}
	arm(20, SA_RESTART);
	SHOW(read(p[0], &c, 1));
	waitpid(pid, NULL, 0);
	printf("ticks %d\n", ticks);
	/* masks: pending signals come in during the call only */
	sigset_t block, none;
	sigemptyset(&none);
	sigemptyset(&block);
	sigaddset(&block, SIGALRM);
	sigprocmask(SIG_BLOCK, &block, NULL);
	ticks = 0;
	raise(SIGALRM);
	printf("ticks %d\n", ticks);
	SHOW(ppoll(&pf, 1, NULL, &none));
	printf("ticks %d\n", ticks);
	raise(SIGALRM);
	SHOW(pselect(0, NULL, NULL, NULL, NULL, &none));
	printf("ticks %d\n", ticks);
	raise(SIGALRM);
	SHOW(epoll_pwait(ep, &ev, 1, -1, &none));
	printf("ticks %d\n", ticks);
	sigset_t now;
	sigprocmask(SIG_SETMASK, NULL, &now);
	printf("blocked %d\n", sigismember(&now, SIGALRM));
	raise(SIGALRM);
	MUST(write(p[1], "x", 1) == 1);
	SHOW(ppoll(&pf, 1, NULL, &block));
	printf("ticks %d\n", ticks);
	SHOW(syscall(SYS_ppoll, &pf, 1, NULL, &none, 4));
	ts = (struct timespec){0, 1000000000};
	SHOW(ppoll(&pf, 1, &ts, NULL));
	sigprocmask(SIG_SETMASK, &none, NULL);
	printf("ticks %d\n", ticks);
}

static void polls(void)
{
	struct pollfd pf[10];
	int p[2], fd = open("f", O_RDWR | O_CREAT, 0600);
	struct timeval tv = {0, 2500000};
	fd_set r, w, x;

	MUST(pipe(p) == 0);
	pf[0] = (struct pollfd){p[0], POLLIN | POLLRDNORM | POLLPRI, -1};
	pf[1] = (struct pollfd){p[1], POLLOUT | POLLWRNORM, -1};
	pf[2] = (struct pollfd){-1, POLLIN, -1};
	pf[3] = (struct pollfd){777, POLLIN, -1};
	pf[4] = (struct pollfd){fd, POLLIN | POLLOUT, -1};
	pf[5] = (struct pollfd){open(".", O_RDONLY), POLLIN, 0};
	pf[6] = (struct pollfd){open("f", O_PATH), POLLIN, 0};
	pf[7] = (struct pollfd){open("/dev/null", O_RDWR), POLLIN | POLLOUT, 0};
	pf[8] = (struct pollfd){p[0], 0, 0};
	pf[9] = (struct pollfd){eventfd(0, 0), POLLIN | POLLOUT, 0};
	SHOW(poll(pf, 10, 0));
	for (int i = 0; i < 10; i++)
		printf("%d:%x ", i, pf[i].revents);
	puts("");
	close(p[1]);
	SHOW(poll(pf, 1, -1));
	printf("%x\n", pf[0].revents);
	SHOW(poll(NULL, 0, 10));
	SHOW(poll((void *)16, 1, 0));
	SHOW(poll(pf, 1 << 24, 0));
	SHOW(poll(pf, 10, -5));
	FD_ZERO(&r);
	FD_ZERO(&w);
	FD_ZERO(&x);
	FD_SET(p[0], &r);
	FD_SET(fd, &w);
	SHOW(select(fd + 1 > p[0] + 1 ? fd + 1 : p[0] + 1, &r, &w, &x, &tv));
	printf("%d %d\n", FD_ISSET(p[0], &r) != 0, FD_ISSET(fd, &w) != 0);
	FD_SET(500, &r);
	SHOW(select(501, &r, NULL, NULL, &tv));
	FD_ZERO(&r);
	SHOW(select(-1, &r, NULL, NULL, &tv));
	tv = (struct timeval){-1, 0};
	SHOW(select(0, NULL, NULL, NULL, &tv));
	tv = (struct timeval){0, 10000};
	SHOW(select(0, NULL, NULL, NULL, &tv));
	printf("%ld %ld\n", (long)tv.tv_sec, (long)tv.tv_usec);
	SHOW(select(10, (void *)16, NULL, NULL, &tv));
}

static void epolls(void)
{
	int ep = epoll_create1(0), in = epoll_create1(EPOLL_CLOEXEC), e = eventfd(0, EFD_NONBLOCK);
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = 0x123456789abcdefULL}, out[4];
	uint64_t one = 1;

	SHOW(epoll_create(0));
	SHOW(epoll_create1(1));
	SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, e, &ev));
	SHOW(epoll_ctl(in, EPOLL_CTL_ADD, ep, &ev));
	SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, in, &ev));
	SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, ep, &ev));
	SHOW(epoll_ctl(ep, 9, e, &ev));
	SHOW(epoll_ctl(e, EPOLL_CTL_ADD, ep, &ev));
	SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, open("f", O_RDONLY), &ev));
	SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, 999, &ev));
	SHOW(epoll_ctl(999, EPOLL_CTL_ADD, e, &ev));
	SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, e, NULL));
	SHOW(epoll_ctl(ep, EPOLL_CTL_MOD, 0 + in, &ev));
	SHOW(epoll_wait(ep, out, 0, 0));
	SHOW(epoll_wait(ep, out, -1, 0));
	SHOW(epoll_wait(e, out, 1, 0));
	SHOW(epoll_wait(in, out, 4, 0));
	MUST(write(e, &one, 8) == 8);
	SHOW(epoll_wait(in, out, 4, -1));
	printf("%x %llx\n", out[0].events, (unsigned long long)out[0].data.u64);
	SHOW(epoll_wait(ep, (void *)16, 4, 0));
	SHOW(epoll_wait(ep, out, 4, 0));
	ev.events = EPOLLIN | EPOLLET;
	SHOW(epoll_ctl(ep, EPOLL_CTL_MOD, e, &ev));
	SHOW(epoll_wait(ep, out, 4, 0));
	SHOW(epoll_wait(ep, out, 4, 0));
	MUST(write(e, &one, 8) == 8);
	SHOW(epoll_wait(ep, out, 4, 0));
	ev.events = EPOLLIN | EPOLLONESHOT;
	SHOW(epoll_ctl(ep, EPOLL_CTL_MOD, e, &ev));
	SHOW(epoll_wait(ep, out, 4, 0));
	SHOW(epoll_wait(ep, out, 4, 0));
	ev.events = EPOLLIN | EPOLLEXCLUSIVE;
	SHOW(epoll_ctl(ep, EPOLL_CTL_MOD, e, &ev));
	SHOW(epoll_ctl(ep, EPOLL_CTL_DEL, e, NULL));
	SHOW(epoll_ctl(ep, EPOLL_CTL_DEL, e, NULL));
	SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, e, &ev));
	struct timespec ts = {0, 1000000};
	SHOW(syscall(SYS_epoll_pwait2, ep, out, 4, &ts, NULL, 8));
	uint64_t v;
	MUST(read(e, &v, 8) == 8);
	SHOW(syscall(SYS_epoll_pwait2, ep, out, 4, &ts, NULL, 8));
	ts.tv_nsec = -1;
	SHOW(syscall(SYS_epoll_pwait2, ep, out, 4, &ts, NULL, 8));
	int e2 = dup(e);
	close(e);
	MUST(write(e2, &one, 8) == 8);
	SHOW(epoll_wait(ep, out, 4, 0));
	close(e2);
	SHOW(epoll_wait(ep, out, 4, 0));
}

static void notify(void)
{
	int in = inotify_init1(IN_NONBLOCK);
	char buf[4096] __attribute__((aligned(8)));
	struct pollfd pf = {in, POLLIN, 0};

	mkdir("w", 0755);
	SHOW(inotify_init1(1));
	SHOW(inotify_add_watch(in, "w", 0));
	SHOW(inotify_add_watch(in, "nope", IN_CREATE));
	SHOW(inotify_add_watch(1, "w", IN_CREATE));
	SHOW(inotify_add_watch(in, "f", IN_CREATE | IN_ONLYDIR));
	SHOW(inotify_add_watch(in, "w", IN_CREATE | IN_DELETE | IN_MOVE));
	SHOW(inotify_add_watch(in, "w", IN_CREATE | IN_DELETE | IN_MOVE));
	SHOW(inotify_add_watch(in, "w", IN_CREATE | IN_MASK_CREATE));
	SHOW(poll(&pf, 1, 0));
	close(open("w/a", O_CREAT | O_RDWR, 0600));
	rename("w/a", "w/b");
	unlink("w/b");
	SHOW(poll(&pf, 1, -1));
	SHOW(read(in, buf, 8));
	ssize_t n = read(in, buf, sizeof(buf));
	for (char *p = buf; n > 0 && p < buf + n;) {
		struct inotify_event *e = (void *)p;

		printf("wd %d mask %x cookie %d name %s\n", e->wd, e->mask, e->cookie != 0,
		       e->len ? e->name : "");
		p += sizeof(*e) + e->len;
	}
	SHOW(read(in, buf, sizeof(buf)));
	SHOW(inotify_rm_watch(in, 77));
	SHOW(inotify_rm_watch(in, 1));
	n = read(in, buf, sizeof(buf));
	printf("%zd %x\n", n, ((struct inotify_event *)buf)->mask);
}

int main(void)
{
	polls();
	interrupted();
	epolls();
	notify();
	return 0;
}
