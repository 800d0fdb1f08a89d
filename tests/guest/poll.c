/* poll.c: poll, select, epoll in its modes, eventfd, timerfd, signalfd, inotify. */
#include "guest.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

static void epolls(void)
{
	int ep = epoll_create1(0), p[2], n;
	struct epoll_event ev = {.events = EPOLLIN, .data.u32 = 7}, out[4];

	MUST(pipe(p) == 0);
	SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev));
	SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev));
	SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, ep, &ev));
	SHOW(epoll_ctl(ep, EPOLL_CTL_DEL, p[1], &ev));
	SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, 999, &ev));
	int file = open(".", O_RDONLY);
	SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, file, &ev));
	SHOW(epoll_wait(ep, out, 4, 0));
	write(p[1], "ab", 2);
	n = SHOW(epoll_wait(ep, out, 4, 1000));
	printf("%d %x %d\n", n, out[0].events, out[0].data.u32);
	SHOW(epoll_wait(ep, out, 4, 0));
	ev.events = EPOLLIN | EPOLLET;
	SHOW(epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &ev));
	SHOW(epoll_wait(ep, out, 4, 0));
	SHOW(epoll_wait(ep, out, 4, 0));
	write(p[1], "c", 1);
	SHOW(epoll_wait(ep, out, 4, 0));
	ev.events = EPOLLIN | EPOLLONESHOT;
	SHOW(epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &ev));
	SHOW(epoll_wait(ep, out, 4, 0));
	SHOW(epoll_wait(ep, out, 4, 0));
	close(p[1]);
	ev.events = EPOLLIN;
	epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &ev);
	epoll_wait(ep, out, 4, 0);
	printf("events %x\n", out[0].events);
	close(p[0]);
	SHOW(epoll_wait(ep, out, 4, 0));
	SHOW(epoll_wait(ep, out, 0, 0));
	SHOW(epoll_wait(p[0], out, 4, 0));
}

static void counters(void)
{
	int e = eventfd(3, EFD_NONBLOCK), s = eventfd(2, EFD_NONBLOCK | EFD_SEMAPHORE);
	uint64_t v = 0;

	SHOW(read(e, &v, 8));
	printf("%lu\n", v);
	SHOW(read(e, &v, 8));
	v = 5;
	SHOW(write(e, &v, 8));
	v = UINT64_MAX;
	SHOW(write(e, &v, 8));
	SHOW(write(e, &v, 4));
	SHOW(read(s, &v, 8));
	printf("%lu\n", v);
	int t = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	struct itimerspec its = {{0, 5000000}, {0, 5000000}};
	SHOW(read(t, &v, 8));
	SHOW(timerfd_settime(t, 0, &its, NULL));
	struct pollfd p = {t, POLLIN, 0};
	SHOW(poll(&p, 1, 1000));
	usleep(30000);
	SHOW(read(t, &v, 8));
	printf("expired %d\n", v >= 4);
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	int sf = signalfd(-1, &set, SFD_NONBLOCK);
	struct signalfd_siginfo si;
	SHOW(read(sf, &si, sizeof(si)));
	raise(SIGUSR1);
	SHOW(read(sf, &si, sizeof(si)));
	printf("%d %d\n", si.ssi_signo, si.ssi_code);
}

static void selects(void)
{
	int p[2];
	fd_set r, w;
	struct timeval tv = {0, 1000};

	MUST(pipe(p) == 0);
	FD_ZERO(&r);
	FD_ZERO(&w);
	FD_SET(p[0], &r);
	FD_SET(p[1], &w);
	SHOW(select(p[1] + 1, &r, &w, NULL, &tv));
	printf("%d %d\n", FD_ISSET(p[0], &r), FD_ISSET(p[1], &w));
	FD_ZERO(&r);
	FD_SET(p[0], &r);
	SHOW(select(p[0] + 1, &r, NULL, NULL, &tv));
	FD_ZERO(&r);
	FD_SET(500, &r);
	SHOW(select(501, &r, NULL, NULL, &tv));
	struct pollfd pf[3] = {{p[0], POLLIN, 0}, {-1, POLLIN, 7}, {600, POLLIN, 0}};
	SHOW(poll(pf, 3, 0));
	printf("%x %x %x\n", pf[0].revents, pf[1].revents, pf[2].revents);
	SHOW(poll(NULL, 0, 1));
	SHOW(poll((void *)8, 1, 1));
}

static void watches(void)
{
	int in = inotify_init1(IN_NONBLOCK), fd;
	char buf[4096];

	mkdir("w", 0755);
	SHOW(inotify_add_watch(in, "w", IN_ALL_EVENTS));
	SHOW(inotify_add_watch(in, "none", IN_ALL_EVENTS));
	SHOW(inotify_add_watch(in, "w", 0));
	fd = open("w/f", O_CREAT | O_RDWR, 0644);
	write(fd, "x", 1);
	close(fd);
	chmod("w/f", 0600);
	rename("w/f", "w/g");
	unlink("w/g");
	mkdir("w/d", 0700);
	rmdir("w/d");
	rmdir("w");
	ssize_t n = read(in, buf, sizeof(buf));
	for (char *q = buf; q < buf + n;) {
		struct inotify_event *e = (void *)q;
		printf("mask %x cookie %d name %s\n", e->mask, e->cookie != 0, e->len ? e->name : "");
		q += sizeof(*e) + e->len;
	}
	SHOW(read(in, buf, sizeof(buf)));
}

int main(void)
{
	epolls();
	counters();
	selects();
	watches();
	return 0;
}
