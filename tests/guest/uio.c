/* uio.c: vectors and their limits, preadv2 flags, bad addresses, RLIMIT_FSIZE, sendfile, splice, tee, vmsplice,
 * copy_file_range, process_vm_readv. */
#include "guest.h"
#include <limits.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

static void vectors(void)
{
	char a[4] = "abc", b[8] = "defghij", out[32] = {0};
	struct iovec v[3] = {{a, 3}, {NULL, 0}, {b, 7}};
	int fd = open("v", O_RDWR | O_CREAT | O_TRUNC, 0644), p[2];
	static struct iovec many[1025];

	MUST(pipe(p) == 0);
	SHOW(writev(fd, v, 3));
	SHOW(writev(fd, v, -1));
	SHOW(writev(fd, v, 0));
	SHOW(writev(fd, many, 1024));
	SHOW(writev(fd, many, 1025));
	v[1].iov_len = (size_t)-1;
	SHOW(writev(fd, v, 3));
	v[1] = (struct iovec){(void *)1, 5};
	SHOW(writev(fd, v, 3));
	SHOW(lseek(fd, 0, SEEK_CUR));
	v[1] = (struct iovec){NULL, 0};
	SHOW(preadv(fd, &(struct iovec){out, 20}, 1, 2));
	printf("%s\n", out);
	SHOW(preadv(fd, v, 1, -1));
	SHOW(preadv(p[0], v, 1, 0));
	SHOW(pwritev(p[1], v, 1, 0));
	SHOW(pread(p[0], out, 1, 0));
	SHOW(preadv2(fd, v, 1, -1, 0));
	SHOW(preadv2(fd, v, 1, 0, 0x4000));
	SHOW(preadv2(fd, v, 1, -2, 0));
	SHOW(pwritev2(fd, &(struct iovec){"zz", 2}, 1, 0, RWF_APPEND));
	SHOW(lseek(fd, 0, SEEK_END));
	SHOW(preadv2(p[0], &(struct iovec){out, 1}, 1, -1, RWF_NOWAIT));
	SHOW(read(fd, (void *)-1, 1));
	SHOW(read(fd, (void *)16, 1));
	SHOW(pread(fd, (void *)16, 1, 0));
	SHOW(write(fd, (void *)16, 1));
	SHOW(read(fd, out, -1));
	SHOW(read(999, (void *)-1, -1));
	SHOW(write(p[0], "x", 1));
	SHOW(read(p[1], out, 1));
	SHOW(read(open(".", O_RDONLY), out, 1));
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(page + 4096, 4096);
	memset(page, 'p', 4096);
	SHOW(pwrite(fd, page + 4090, 20, 0));
	SHOW(write(p[1], page + 4090, 20));
	SHOW(pread(fd, page + 4094, 8, 0));
	SHOW(lseek(p[0], 0, SEEK_SET));
}

static volatile int xfsz;

static void on_xfsz(int sig)
{
	xfsz = sig;
}

static void limits(void)
{
	struct rlimit r = {100, 100};
	char buf[200] = {0};
	int fd = open("l", O_RDWR | O_CREAT | O_TRUNC, 0644);

	signal(SIGXFSZ, on_xfsz);
	SHOW(setrlimit(RLIMIT_FSIZE, &r));
	SHOW(write(fd, buf, 200));
	printf("signal %d\n", xfsz);
	SHOW(write(fd, buf, 1));
	printf("signal %d\n", xfsz);
	xfsz = 0;
	SHOW(pwrite(fd, buf, 10, 95));
	SHOW(pwrite(fd, buf, 10, 100));
	printf("signal %d\n", xfsz);
	xfsz = 0;
	SHOW(ftruncate(fd, 101));
	printf("signal %d\n", xfsz);
	SHOW(ftruncate(fd, 50));
	SHOW(posix_fallocate(fd, 0, 200));
	SHOW(truncate("l", 99));
	SHOW(lseek(fd, 0, SEEK_SET));
	SHOW(pwrite(fd, buf, 1, LONG_MAX));
}

static void moves(void)
{
	int fd = open("s", O_RDWR | O_CREAT | O_TRUNC, 0644), to = open("t", O_RDWR | O_CREAT | O_TRUNC, 0644);
	int p[2], q[2];
	off_t off = 2;
	loff_t loff = 3, lout = 1;
	char buf[32] = {0};

	MUST(pipe(p) == 0 && pipe(q) == 0);
	MUST(write(fd, "0123456789", 10) == 10);
	SHOW(sendfile(to, fd, &off, 5));
	printf("off %ld\n", (long)off);
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(sendfile(to, fd, NULL, 5));
	lseek(fd, 0, SEEK_SET);
	SHOW(sendfile(to, fd, NULL, 4));
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(pread(to, buf, 20, 0));
	printf("%s\n", buf);
	SHOW(sendfile(to, p[0], &off, 5));
	SHOW(sendfile(p[1], fd, NULL, 3));
	SHOW(splice(p[0], NULL, q[1], NULL, 2, 0));
	SHOW(splice(p[0], NULL, p[1], NULL, 2, 0));
	SHOW(splice(fd, NULL, to, NULL, 2, 0));
	SHOW(splice(fd, &loff, p[1], NULL, 3, 0));
	printf("off %ld\n", (long)loff);
	SHOW(splice(p[0], &loff, q[1], NULL, 2, 0));
	SHOW(splice(p[0], NULL, to, &lout, 4, 0));
	printf("off %ld\n", (long)lout);
	SHOW(splice(p[0], NULL, to, NULL, 4, SPLICE_F_NONBLOCK));
	SHOW(splice(p[0], NULL, to, NULL, 4, 0x100));
	SHOW(tee(q[0], p[1], 10, 0));
	memset(buf, 0, sizeof(buf));
	SHOW(read(p[0], buf, 10));
	printf("%s\n", buf);
	SHOW(read(q[0], buf, 10));
	SHOW(tee(q[0], q[1], 10, 0));
	SHOW(tee(fd, q[1], 10, 0));
	SHOW(vmsplice(p[1], &(struct iovec){"vm", 2}, 1, 0));
	SHOW(vmsplice(fd, &(struct iovec){"vm", 2}, 1, 0));
	SHOW(read(p[0], buf, 10));
	int ap = open("t", O_WRONLY | O_APPEND);
	SHOW(sendfile(ap, fd, NULL, 1));
	loff = 0, lout = 20;
	SHOW(copy_file_range(fd, &loff, to, &lout, 4, 0));
	printf("%ld %ld\n", (long)loff, (long)lout);
	SHOW(copy_file_range(fd, &loff, to, NULL, 100, 0));
	SHOW(copy_file_range(fd, &loff, to, NULL, 100, 0));
	SHOW(copy_file_range(fd, NULL, to, NULL, 1, 1));
	SHOW(copy_file_range(fd, NULL, p[1], NULL, 1, 0));
	SHOW(copy_file_range(fd, NULL, ap, NULL, 1, 0));
	loff = 0, lout = 1;
	SHOW(copy_file_range(fd, &loff, fd, &lout, 4, 0));
	lout = 10;
	SHOW(copy_file_range(fd, &loff, fd, &lout, 4, 0));
	SHOW(copy_file_range(open(".", O_RDONLY), NULL, to, NULL, 1, 0));
	signal(SIGPIPE, SIG_IGN);
	close(p[0]);
	SHOW(splice(fd, &loff, p[1], NULL, 3, 0));
	SHOW(write(p[1], "x", 1));
}

static void others_memory(void)
{
	static char secret[16] = "secret";
	char buf[16] = {0};
	int p[2], st;
	struct iovec l = {buf, 16}, r = {secret, 16};

	MUST(pipe(p) == 0);
	pid_t pid = fork();
	if (pid == 0) {
		strcpy(secret, "child's");
		MUST(write(p[1], "x", 1) == 1);
		pause();
	}
	char c;
	MUST(read(p[0], &c, 1) == 1);
	SHOW(process_vm_readv(pid, &l, 1, &r, 1, 0));
	printf("%s\n", buf);
	strcpy(buf, "written");
	SHOW(process_vm_writev(pid, &l, 1, &r, 1, 0));
	memset(buf, 0, 16);
	SHOW(process_vm_readv(pid, &l, 1, &r, 1, 0));
	printf("%s here %s\n", buf, secret);
	r.iov_base = (void *)16;
	SHOW(process_vm_readv(pid, &l, 1, &r, 1, 0));
	SHOW(process_vm_readv(pid, &l, 1, &r, 1, 1));
	SHOW(process_vm_readv(999999, &l, 1, &r, 1, 0));
	kill(pid, SIGKILL);
	waitpid(pid, &st, 0);
}

int main(void)
{
	vectors();
	moves();
	others_memory();
	limits();
	return 0;
}
