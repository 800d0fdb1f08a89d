/* changing_memory.c SECONDS: one thread makes calls with structures that another thread changes all the time:
 * lengths, pointers, paths, iovecs, control messages, poll sets, unmapping them under the kernel's hands. */
#include "../guest.h"
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/uio.h>

static volatile bool stop;
static struct iovec *iov;
static struct msghdr *mh;
static char *path, *page;
static struct pollfd *pf;

static void *mutate(void *arg)
{
	uint64_t s = 88172645463325252ULL;

	while (!stop) {
		s ^= s << 13;
		s ^= s >> 7;
		s ^= s << 17;
		iov[s % 4].iov_len = s % 5 ? s % 9000 : s;
		iov[s % 4].iov_base = s % 3 ? page + s % 4096 : (void *)(s & 0xffff);
		path[s % 20] = (char)(s % 3 ? 'a' + s % 26 : s % 2 ? '/' : 0);
		mh->msg_iovlen = s % 7;
		mh->msg_controllen = s % 5 ? s % 200 : s;
		((struct cmsghdr *)mh->msg_control)->cmsg_len = s % 64;
		pf[s % 8].fd = (int)(s % 20);
		if (s % 512 == 0)
			mmap(page, 4096, s % 1024 ? PROT_NONE : PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		if (s % 300 == 0)
			mprotect(page, 4096, PROT_READ | PROT_WRITE);
	}
	return arg;
}

int main(int argc, char **argv)
{
	time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 5);
	char *m = mmap(NULL, 8 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_t t;
	int sp[2], p[2], fd;
	struct stat st;

	iov = (void *)m;
	mh = (void *)(m + 4096);
	path = m + 2 * 4096;
	page = m + 3 * 4096;
	pf = (void *)(m + 4 * 4096);
	*mh = (struct msghdr){.msg_iov = iov, .msg_control = m + 5 * 4096};
	*(struct cmsghdr *)mh->msg_control = (struct cmsghdr){20, SOL_SOCKET, SCM_RIGHTS};
	strcpy(path, "/tmp/abcdefgh");
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sp) == 0);
	MUST(pipe2(p, O_NONBLOCK) == 0);
	fd = open("/tmp/cm", O_RDWR | O_CREAT, 0600);
	MUST(pthread_create(&t, NULL, mutate, NULL) == 0);
	while (time(NULL) < end) {
		for (int i = 0; i < 1000; i++) {
			writev(p[1], iov, 4);
			readv(p[0], iov, 4);
			pwritev(fd, iov, 4, 0);
			preadv(fd, iov, 4, 0);
			sendmsg(sp[0], mh, MSG_DONTWAIT | MSG_NOSIGNAL);
			recvmsg(sp[1], mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
			stat(path, &st);
			open(path, O_CREAT | O_WRONLY, 0600);
			unlink(path);
			poll(pf, 8, 0);
			execve(path, (char **)iov, NULL);
			if (i % 100 == 0)
				for (int k = 10; k < 200; k++)
					close(k);
		}
	}
	stop = true;
	pthread_join(t, NULL);
	puts("still here");
	return 0;
}
