/* file.c: open flags, read, write, seek, append, truncate, holes, O_EXCL, O_TMPFILE, pread, readv. */
#include "guest.h"
#include <sys/uio.h>

static void flags(void)
{
	SHOW_OK(open("a", O_RDONLY));
	int fd = SHOW_OK(open("a", O_RDWR | O_CREAT | O_EXCL, 0640));
	SHOW(open("a", O_RDWR | O_CREAT | O_EXCL, 0640));
	SHOW(open("a", O_RDWR | O_DIRECTORY));
	SHOW(open("a/b", O_RDONLY));
	SHOW(open("", O_RDONLY));
	SHOW(open(".", O_WRONLY));
	SHOW(write(fd, "hello world", 11));
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(lseek(fd, -5, SEEK_END));
	char buf[64] = {0};
	SHOW(read(fd, buf, sizeof(buf)));
	puts(buf);
	SHOW(read(fd, buf, sizeof(buf)));
	SHOW(lseek(fd, -100, SEEK_SET));
	SHOW(lseek(fd, 0, 77));
	SHOW(pwrite(fd, "J", 1, 0));
	SHOW(pread(fd, buf, 5, 0));
	printf("%.5s\n", buf);
	SHOW(pread(fd, buf, 5, -1));
	SHOW(close(fd));
	SHOW(close(fd));
	fd = open("a", O_WRONLY | O_APPEND);
	SHOW(write(fd, "!", 1));
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(read(fd, buf, 1));
	close(fd);
	fd = open("a", O_RDONLY);
	SHOW(write(fd, "x", 1));
	SHOW(ftruncate(fd, 0));
	close(fd);
	fd = open("a", O_WRONLY | O_TRUNC);
	struct stat st;
	SHOW(fstat(fd, &st));
	printf("size %ld mode %o nlink %ld\n", (long)st.st_size, st.st_mode, (long)st.st_nlink);
	close(fd);
}

static void holes(void)
{
	int fd = open("h", O_RDWR | O_CREAT | O_TRUNC, 0600);
	char buf[16];

	SHOW(pwrite(fd, "end", 3, 1 << 20));
	SHOW(lseek(fd, 0, SEEK_END));
	SHOW(pread(fd, buf, 4, 4096));
	printf("%d%d%d%d\n", buf[0], buf[1], buf[2], buf[3]);
	SHOW(ftruncate(fd, 10));
	SHOW(pread(fd, buf, 16, 0));
	SHOW(ftruncate(fd, -1));
	SHOW(truncate("h", 5));
	SHOW(truncate("nope", 5));
	SHOW(lseek(fd, 0, SEEK_END));
	SHOW(unlink("h"));
	SHOW(pwrite(fd, "still", 5, 0));
	struct stat st;
	fstat(fd, &st);
	printf("nlink %ld\n", (long)st.st_nlink);
	close(fd);
}

static void vectors(void)
{
	char a[4], b[4];
	struct iovec v[3] = {{a, 3}, {NULL, 0}, {b, 4}};
	int fd = open("v", O_RDWR | O_CREAT | O_TRUNC, 0600);

	SHOW(writev(fd, (struct iovec[]){{"abc", 3}, {"defg", 4}}, 2));
	lseek(fd, 0, SEEK_SET);
	SHOW(readv(fd, v, 3));
	printf("%.3s %.4s\n", a, b);
	SHOW(readv(fd, v, -1));
	SHOW(readv(fd, v, 2000));
	SHOW(writev(fd, (struct iovec[]){{(void *)8, 3}}, 1));
	SHOW(preadv(fd, v, 1, 2));
	SHOW(pwritev2(fd, (struct iovec[]){{"ZZ", 2}}, 1, 0, RWF_APPEND));
	SHOW(lseek(fd, 0, SEEK_END));
	SHOW(read(fd, (void *)8, 1));
	lseek(fd, 0, SEEK_SET);
	SHOW(read(fd, (void *)8, 1));
	SHOW(read(fd, NULL, 0));
	close(fd);
}

static void descriptors(void)
{
	int fd = open("v", O_RDWR | O_CLOEXEC);
	int d = dup(fd);

	SHOW(fcntl(fd, F_GETFD));
	SHOW(fcntl(d, F_GETFD));
	SHOW(fcntl(d, F_SETFD, FD_CLOEXEC));
	SHOW(fcntl(d, F_GETFD));
	SHOW(fcntl(fd, F_GETFL) == (O_RDWR | O_LARGEFILE) || fcntl(fd, F_GETFL) == O_RDWR);
	SHOW(fcntl(fd, F_SETFL, O_APPEND | O_NONBLOCK));
	SHOW(fcntl(d, F_GETFL) & (O_APPEND | O_NONBLOCK));
	SHOW(dup2(fd, 100));
	SHOW(dup2(fd, fd));
	SHOW(dup3(fd, fd, 0));
	SHOW(dup3(fd, 101, O_CLOEXEC));
	SHOW(fcntl(101, F_GETFD));
	SHOW(fcntl(fd, F_DUPFD, 200));
	SHOW(fcntl(fd, F_DUPFD, 1 << 30));
	SHOW(dup2(999, 5));
	SHOW(close_range(100, 201, 0));
	SHOW(fcntl(100, F_GETFD));
	SHOW(lseek(d, 3, SEEK_SET));
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(fcntl(fd, 9999));
}

int main(void)
{
	umask(022);
	flags();
	holes();
	vectors();
	descriptors();
	int fd = open(".", O_TMPFILE | O_RDWR, 0600);
	if (fd >= 0) {
		char path[64];
		SHOW(write(fd, "tmp", 3));
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		SHOW(linkat(AT_FDCWD, path, AT_FDCWD, "linked", AT_SYMLINK_FOLLOW));
		struct stat st;
		SHOW(stat("linked", &st));
		printf("%ld %ld\n", (long)st.st_size, (long)st.st_nlink);
	}
	return 0;
}
