/* pipe.c: pipes, FIFOs, poll bits, atomicity, splice and friends. */
#include "guest.h"
#include <poll.h>
#include <sys/sendfile.h>

static int bits(int fd)
{
	struct pollfd p = {fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP, 0};

	MUST(poll(&p, 1, 0) >= 0);
	return p.revents;
}

int main(void)
{
	char buf[70000];
	int p[2], st, pid;

	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	MUST(pipe2(p, O_NONBLOCK) == 0);
	printf("bits %x %x\n", bits(p[0]), bits(p[1]));
	SHOW(read(p[0], buf, 1));
	SHOW(write(p[1], "abc", 3));
	printf("bits %x %x\n", bits(p[0]), bits(p[1]));
	SHOW(read(p[0], buf, 2));
	SHOW(read(p[0], buf, 100));
	memset(buf, 'x', sizeof(buf));
	SHOW(write(p[1], buf, sizeof(buf)));
	SHOW(write(p[1], buf, 1));
	printf("bits %x %x\n", bits(p[0]), bits(p[1]));
	SHOW(read(p[0], buf, 4095));
	SHOW(write(p[1], buf, 4096));
	SHOW(read(p[0], buf, 1));
	SHOW(write(p[1], buf, 4096));
	SHOW(fcntl(p[1], F_GETPIPE_SZ));
	close(p[1]);
	printf("bits %x\n", bits(p[0]));
	while (read(p[0], buf, sizeof(buf)) > 0)
		;
	SHOW(read(p[0], buf, 1));
	printf("bits %x\n", bits(p[0]));
	close(p[0]);
	MUST(pipe(p) == 0);
	close(p[0]);
	SHOW(write(p[1], "x", 1));
	printf("bits %x\n", bits(p[1]));
	close(p[1]);
	/* FIFO */
	SHOW(mkfifo("fifo", 0600));
	SHOW(open("fifo", O_WRONLY | O_NONBLOCK));
	pid = fork();
	if (pid == 0) {
		int fd = open("fifo", O_WRONLY);
		write(fd, "hello", 5);
		_exit(0);
	}
	int fd = open("fifo", O_RDONLY);
	SHOW(read(fd, buf, 100));
	printf("%.5s\n", buf);
	waitpid(pid, &st, 0);
	SHOW(read(fd, buf, 100));
	close(fd);
	/* blocking transfer of a lot */
	MUST(pipe(p) == 0);
	pid = fork();
	if (pid == 0) {
		close(p[0]);
		for (int i = 0; i < 100; i++)
			if (write(p[1], buf, 50000) != 50000)
				_exit(1);
		_exit(0);
	}
	close(p[1]);
	long total = 0, n;
	while ((n = read(p[0], buf, sizeof(buf))) > 0)
		total += n;
	printf("total %ld\n", total);
	waitpid(pid, &st, 0);
	show_status("writer", st);
	/* splice, tee, sendfile, copy_file_range */
	int a[2], b[2];
	MUST(pipe(a) == 0 && pipe(b) == 0);
	fd = open("data", O_RDWR | O_CREAT | O_TRUNC, 0600);
	write(fd, "0123456789", 10);
	loff_t off = 2;
	SHOW(splice(fd, &off, a[1], NULL, 5, 0));
	printf("off %ld\n", (long)off);
	SHOW(tee(a[0], b[1], 3, 0));
	SHOW(read(a[0], buf, 100));
	SHOW(read(b[0], buf, 100));
	printf("%.3s\n", buf);
	int out = open("out", O_RDWR | O_CREAT | O_TRUNC, 0600);
	off_t so = 1;
	SHOW(sendfile(out, fd, &so, 4));
	SHOW(lseek(out, 0, SEEK_CUR));
	off_t ci = 5, co = 0;
	SHOW(copy_file_range(fd, &ci, out, &co, 3, 0));
	SHOW(pread(out, buf, 100, 0));
	printf("%.4s\n", buf);
	SHOW(splice(fd, NULL, out, NULL, 5, 0));
	return 0;
}
