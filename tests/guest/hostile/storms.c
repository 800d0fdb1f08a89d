/* storms.c SECONDS: forks, threads, signals and descriptors without end, within the limits of the sandbox. */
#include "../guest.h"
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>

static void *nothing(void *a)
{
	usleep(1000);
	return a;
}

static void handler(int s)
{
	(void)s;
}

static void forks(void)
{
	for (int i = 0; i < 200; i++) {
		int p = fork();

		if (p == 0) {
			if (i % 3 == 0)
				fork();
			if (i % 5 == 0)
				kill(getppid(), SIGUSR1);
			if (i % 7 == 0)
				raise(SIGKILL);
			_exit(i);
		}
		if (p < 0)
			break;
		if (i % 2)
			kill(p, i % 4 == 1 ? SIGSTOP : SIGUSR1), kill(p, SIGCONT);
	}
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
}

static void threads(void)
{
	pthread_t t[400];
	int n = 0;
	pthread_attr_t a;

	pthread_attr_init(&a);
	pthread_attr_setstacksize(&a, 65536);
	while (n < 400 && pthread_create(&t[n], &a, nothing, NULL) == 0)
		n++;
	for (int i = 0; i < n; i++)
		pthread_join(t[i], NULL);
}

static void signals(void)
{
	int p = fork();

	if (p == 0) {
		for (;;)
			pause();
	}
	for (int i = 0; i < 3000; i++) {
		kill(p, SIGUSR1);
		sigqueue(p, SIGRTMIN, (union sigval){.sival_int = i});
	}
	kill(p, SIGKILL);
	while (waitpid(p, NULL, 0) < 0 && errno == EINTR)
		;
}

static void descriptors(void)
{
	int n = 0, fd, p = fork();

	if (p) {
		while (waitpid(p, NULL, 0) < 0 && errno == EINTR)
			;
		return;
	}
	while ((fd = open("/dev/null", O_RDONLY)) >= 0 && n++ < 100000)
		;
	for (fd = 3; fd < 5000; fd++)
		close(fd);
	for (n = 0; n < 5000; n++) {
		int sp[2], ep;

		if (pipe(sp) < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, sp) < 0)
			break;
		/* sockets in flight in each other */
		char c = 0, ctl[CMSG_SPACE(8)] = {0};
		struct iovec v = {&c, 1};
		struct msghdr h = {
			.msg_iov = &v, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof(ctl)};
		struct cmsghdr *cm = CMSG_FIRSTHDR(&h);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(8);
		memcpy(CMSG_DATA(cm), sp, 8);
		sendmsg(sp[0], &h, MSG_DONTWAIT | MSG_NOSIGNAL);
		sendmsg(sp[1], &h, MSG_DONTWAIT | MSG_NOSIGNAL);
		ep = open("/tmp", O_RDONLY);
		close(sp[0]);
		close(sp[1]);
		close(ep);
	}
	_exit(0);
}

static void memory(void)
{
	int p = fork();

	if (p == 0) {
		/* mappings until the limit of their number, then a lot of address space */
		for (int i = 0; i < 70000; i++)
			if (mmap(NULL, 4096, i % 2 ? PROT_READ : PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
				break;
		while (mmap(NULL, 1UL << 40, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) !=
		       MAP_FAILED)
			;
		_exit(0);
	}
	while (waitpid(p, NULL, 0) < 0 && errno == EINTR)
		;
	int fd = open("/tmp/big", O_RDWR | O_CREAT | O_TRUNC, 0600);
	static char buf[65536];
	for (int i = 0; i < 200; i++)
		if (pwrite(fd, buf, sizeof(buf), (off_t)i << 32) < 0)
			break;
	ftruncate(fd, 0);
	close(fd);
	unlink("/tmp/big");
}

int main(int argc, char **argv)
{
	time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 5);

	signal(SIGUSR1, handler);
	signal(SIGRTMIN, handler);
	do {
		forks();
		threads();
		signals();
		descriptors();
		memory();
	} while (time(NULL) < end);
	puts("still here");
	return 0;
}
