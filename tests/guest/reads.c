/* reads.c: an open file that is read again and again, with all that may come in between: its position is moved,
 * shared by fork, dup, SCM_RIGHTS and pidfd_getfd, its descriptor becomes another's; ends and bad addresses.
 * The files are the system's, which a platform may let a process read by itself. */
#include "guest.h"
#include <pthread.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define FILE_A "/usr/bin/env"
#define FILE_B "/usr/bin/id"

static char *all_a, *all_b;
static long size_a, size_b;

static char *load(const char *path, long *size)
{
	int fd = open(path, O_RDONLY);
	struct stat s;
	char *p;

	MUST(fd >= 0 && fstat(fd, &s) == 0);
	p = mmap(NULL, (size_t)s.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	MUST(p != MAP_FAILED);
	close(fd);
	*size = (long)s.st_size;
	return p;
}

static char buf[1 << 16];

/* n bytes at pos of a, by read; prints what is wrong only. */
static void expect(int fd, long n, long pos, const char *what)
{
	long want = pos >= size_a ? 0 : n < size_a - pos ? n : size_a - pos;
	long got = read(fd, buf, (size_t)n);

	if (got != want || memcmp(buf, all_a + pos, (size_t)want))
		printf("%s: read %ld at %ld gave %ld\n", what, n, pos, got);
}

static void whole(long step)
{
	int fd = open(FILE_A, O_RDONLY);
	long pos = 0;

	while (pos < size_a) {
		expect(fd, step, pos, "whole");
		pos += step < size_a - pos ? step : size_a - pos;
		if (lseek(fd, 0, SEEK_CUR) != pos)
			printf("step %ld: at %ld\n", step, (long)lseek(fd, 0, SEEK_CUR));
	}
	SHOW(read(fd, buf, 10));
	SHOW(read(fd, buf, 10));
	SHOW(close(fd));
}

static int warm(void)
{
	int fd = open(FILE_A, O_RDONLY);

	for (int i = 0; i < 10; i++)
		expect(fd, 100, i * 100, "warm");
	return fd; /* at 1000 */
}

static void seeks(void)
{
	int fd = warm();

	puts("-- seeks");
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(lseek(fd, 10, SEEK_CUR));
	SHOW(lseek(fd, -2000, SEEK_CUR));
	SHOW(lseek(fd, -1, SEEK_SET));
	SHOW(lseek(fd, 5, 9));
	SHOW(lseek(fd, 0, SEEK_CUR));
	printf("%d\n", lseek(fd, -3, SEEK_END) == size_a - 3);
	expect(fd, 10, size_a - 3, "end");
	printf("%d\n", lseek(fd, 1000, SEEK_END) == size_a + 1000);
	SHOW(read(fd, buf, 1));
	SHOW(lseek(fd, 1 << 30, SEEK_SET));
	SHOW(read(fd, buf, 1));
	SHOW(lseek(fd, 1, SEEK_CUR));
	SHOW(lseek(fd, 0, SEEK_DATA));
	SHOW(lseek(fd, 70, SEEK_SET));
	expect(fd, 10, 70, "set");
	for (int i = 0; i < 8; i++) {
		SHOW(pread(fd, buf, 10, 500));
		if (memcmp(buf, all_a + 500, 10))
			puts("pread differs");
		SHOW(pread(fd, buf, 10, -1));
		SHOW(pread(fd, buf, 10, size_a + 5));
	}
	expect(fd, 10, 80, "after pread");
	SHOW(read(fd, (void *)1, 10));
	SHOW(read(fd, NULL, 0));
	SHOW(read(fd, (void *)0x7ec010000000, 10));
	SHOW(read(fd, (void *)-10L, 5));
	expect(fd, 10, 90, "after EFAULT");
	SHOW(write(fd, "x", 1));
	struct iovec v[2] = {{buf, 3}, {buf + 3, 7}};
	SHOW(readv(fd, v, 2));
	if (memcmp(buf, all_a + 100, 10))
		puts("readv differs");
	expect(fd, 10, 110, "after readv");
	close(fd);
	SHOW(read(fd, buf, 1));
}

static void shared(void)
{
	int fd = warm(), st;

	puts("-- shared");
	pid_t p = fork();
	if (p == 0) {
		for (int i = 0; i < 10; i++)
			expect(fd, 10, 1000 + i * 10, "child");
		_exit(0);
	}
	waitpid(p, &st, 0);
	show_status("child", st);
	SHOW(lseek(fd, 0, SEEK_CUR));
	for (int i = 0; i < 10; i++)
		expect(fd, 10, 1100 + i * 10, "parent");
	int d = dup(fd);
	for (int i = 0; i < 10; i++) {
		expect(fd, 10, 1200 + i * 20, "dup a");
		expect(d, 10, 1210 + i * 20, "dup b");
	}
	close(d);
	for (int i = 0; i < 10; i++)
		expect(fd, 10, 1400 + i * 10, "alone again");
	/* the descriptor becomes another file's */
	int other = open(FILE_B, O_RDONLY);
	MUST(dup2(other, fd) == fd);
	SHOW(read(fd, buf, 10));
	if (memcmp(buf, all_b, 10))
		puts("not the other file");
	close(other);
	close(fd);
	/* a position that a program inherits */
	fd = warm();
	p = fork();
	if (p == 0) {
		dup2(fd, 0);
		execl("/usr/bin/head", "head", "-c", "20", (char *)NULL);
		_exit(127);
	}
	waitpid(p, &st, 0);
	show_status("head", st);
	SHOW(lseek(fd, 0, SEEK_CUR) > 1000);
	close(fd);
}

/* Through a socket, and by force. */
static void sent(void)
{
	int pair[2], fd = warm(), st;
	union {
		struct cmsghdr h;
		char room[CMSG_SPACE(sizeof(int))];
	} c = {.h = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
	struct iovec v = {"x", 1};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c)};

	puts("-- sent");
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	memcpy(CMSG_DATA(&c.h), &fd, sizeof(fd));
	SHOW(sendmsg(pair[0], &m, 0));
	pid_t p = fork();
	if (p == 0) {
		char byte;
		v = (struct iovec){&byte, 1};
		MUST(recvmsg(pair[1], &m, 0) == 1);
		int got;
		memcpy(&got, CMSG_DATA(&c.h), sizeof(got));
		for (int i = 0; i < 8; i++)
			expect(got, 10, 1000 + i * 10, "received");
		_exit(0);
	}
	waitpid(p, &st, 0);
	show_status("child", st);
	for (int i = 0; i < 8; i++)
		expect(fd, 10, 1080 + i * 10, "sender");
	close(fd);
	close(pair[0]);
	close(pair[1]);

	/* a child reads without end; its file is taken while it does */
	volatile long *word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	MUST(word != MAP_FAILED);
	p = fork();
	if (p == 0) {
		fd = open(FILE_A, O_RDONLY);
		word[1] = fd;
		for (long i = 0; !word[2]; i++) {
			if (lseek(fd, 0, SEEK_CUR) > size_a / 2)
				lseek(fd, 0, SEEK_SET);
			if (read(fd, buf, 16) != 16)
				_exit(1);
			if (i > 1000)
				word[0] = 1;
		}
		/* how far: nobody else has moved it but by the bytes that were taken */
		word[3] = lseek(fd, 0, SEEK_CUR);
		_exit(0);
	}
	while (!word[0])
		usleep(1000);
	int pidfd = (int)syscall(SYS_pidfd_open, p, 0);
	int mine = (int)syscall(SYS_pidfd_getfd, pidfd, (int)word[1], 0);
	MUST(mine >= 0);
	word[2] = 1;
	waitpid(p, &st, 0);
	show_status("reader", st);
	printf("same position: %d\n", lseek(mine, 0, SEEK_CUR) == word[3]);
	close(mine);
	close(pidfd);
}

static int shared_fd;
static long sum;

static void *reader(void *arg)
{
	char mine[64];

	for (int i = 0; i < 200; i++) {
		long n = read(shared_fd, mine, sizeof(mine));

		__atomic_fetch_add(&sum, n, __ATOMIC_SEQ_CST);
	}
	return arg;
}

/* Two threads share a position: no byte is read twice. */
static void threads(void)
{
	pthread_t t[2];

	puts("-- threads");
	shared_fd = warm();
	for (int i = 0; i < 2; i++)
		MUST(pthread_create(&t[i], NULL, reader, NULL) == 0);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	printf("all: %d\n", lseek(shared_fd, 0, SEEK_CUR) == 1000 + sum);
	expect(shared_fd, 10, 1000 + sum, "after threads");
	close(shared_fd);
}

/* Who watches a file is told of each read. */
static void watched(void)
{
	char events[1024];
	int in = inotify_init1(IN_NONBLOCK), fd = warm();

	puts("-- watched");
	MUST(inotify_add_watch(in, FILE_A, IN_ACCESS) > 0);
	expect(fd, 10, 1000, "watched");
	printf("told: %d\n", read(in, events, sizeof(events)) > 0);
	close(in);
	close(fd);
}

static void nothing(void)
{
	int fd = open("/dev/null", O_WRONLY);

	puts("-- nothing");
	for (int i = 0; i < 8; i++) {
		SHOW(write(fd, buf, 1000));
		SHOW(write(fd, buf, 0));
		SHOW(write(fd, (void *)-10L, 100));
		SHOW(read(fd, buf, 1));
		SHOW(lseek(fd, 0, SEEK_CUR));
	}
	int f = open("out", O_RDWR | O_CREAT, 0600);
	MUST(dup2(f, fd) == fd);
	SHOW(write(fd, buf, 1000));
	SHOW(lseek(f, 0, SEEK_END));
	close(f);
	close(fd);
	SHOW(write(fd, buf, 1));
	unlink("out");
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	all_a = load(FILE_A, &size_a);
	all_b = load(FILE_B, &size_b);
	whole(100);
	whole(4096);
	whole(5000);
	whole(60000);
	seeks();
	shared();
	sent();
	threads();
	watched();
	nothing();
	return 0;
}
