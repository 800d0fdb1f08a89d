/* mmap.c: mappings of every kind, protection, remap, holes, sharing across fork. */
#include "guest.h"

#define P 4096L

static void anon(void)
{
	char *p = mmap(NULL, 4 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	MUST(p != MAP_FAILED);
	memset(p, 1, 4 * P);
	SHOW(munmap(p + P, P));
	SHOW(munmap(p + 1, P));
	SHOW(munmap(p, 0));
	SHOW(mprotect(p, 4 * P, PROT_READ));
	SHOW(mprotect(p, P, PROT_READ));
	SHOW(mprotect(p, P, 0x100));
	SHOW_OK(mmap(p + P, P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	SHOW(p[P]);
	SHOW((long)mmap(p, P, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
	SHOW((long)mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	SHOW((long)mmap(NULL, P, PROT_READ, MAP_ANONYMOUS, -1, 0));
	SHOW((long)mmap(NULL, P, PROT_READ, MAP_PRIVATE, -1, 0));
	SHOW((long)mmap((void *)1, P, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	SHOW((long)mmap(NULL, 1UL << 50, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	SHOW(madvise(p, P, MADV_DONTNEED));
	SHOW(madvise(p, P, 12345));
	SHOW(msync(p, P, MS_SYNC));
	unsigned char vec[4] = {9, 9, 9, 9};
	p[2 * P - 1] = 1;
	SHOW(mincore(p + P, P, vec));
	printf("%d\n", vec[0] & 1);
}

static void files(void)
{
	int fd = open("f", O_RDWR | O_CREAT | O_TRUNC, 0600), ro = open("f", O_RDONLY);
	char buf[8];

	MUST(ftruncate(fd, 2 * P) == 0);
	pwrite(fd, "abcdef", 6, 0);
	char *s = mmap(NULL, 2 * P, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	char *v = mmap(NULL, 2 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	MUST(s != MAP_FAILED && v != MAP_FAILED);
	s[0] = 'X';
	pread(fd, buf, 3, 0);
	printf("%.3s %.3s\n", buf, v);
	v[1] = 'Y';
	pwrite(fd, "Z", 1, 2);
	printf("%.3s %.3s\n", s, v);
	SHOW((long)mmap(NULL, P, PROT_READ | PROT_WRITE, MAP_SHARED, ro, 0));
	SHOW_OK(mmap(NULL, P, PROT_READ | PROT_WRITE, MAP_PRIVATE, ro, 0));
	SHOW((long)mmap(NULL, P, PROT_READ, MAP_PRIVATE, fd, 100));
	char *r = mmap(NULL, P, PROT_READ, MAP_SHARED, ro, 0);
	SHOW(mprotect(r, P, PROT_READ | PROT_WRITE));
	SHOW(ftruncate(fd, P));
	SHOW(write(1, "", 0));
	pwrite(fd, "tail", 4, P - 4);
	printf("%.4s\n", s + P - 4);
	int wo = open("f", O_WRONLY);
	SHOW((long)mmap(NULL, P, PROT_READ, MAP_PRIVATE, wo, 0));
}

static void sharing(void)
{
	int *s = mmap(NULL, P, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int *v = mmap(NULL, P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *d = mmap(NULL, P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int pid, st;

	*s = *v = 1;
	*d = 5;
	SHOW(madvise(d, P, MADV_WIPEONFORK));
	pid = fork();
	if (pid == 0) {
		*s = 2;
		*v = 2;
		_exit(*d);
	}
	waitpid(pid, &st, 0);
	printf("%d %d wiped %d\n", *s, *v, WEXITSTATUS(st));
}

static void remap(void)
{
	char *p = mmap(NULL, 4 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *q;

	p[0] = 'a';
	p[3 * P] = 'd';
	SHOW(mremap(p, 4 * P, 2 * P, 0) == p);
	SHOW((long)mremap(p, 2 * P, 0, 0));
	mmap(p + 2 * P, P, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	SHOW((long)mremap(p, 2 * P, 8 * P, 0));
	q = mremap(p, 2 * P, 8 * P, MREMAP_MAYMOVE);
	MUST(q != MAP_FAILED);
	printf("%c %d\n", q[0], q[7 * P]);
	SHOW(msync(p, P, MS_ASYNC));
	char *t = mmap(NULL, 8 * P, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	SHOW(mremap(q, 2 * P, 2 * P, MREMAP_MAYMOVE | MREMAP_FIXED, t) == t);
	printf("%c\n", t[0]);
	SHOW((long)mremap((void *)0x10000, P, P, 0));
	void *b = sbrk(0);
	SHOW(brk((char *)b + 10 * P));
	((char *)b)[9 * P] = 1;
	SHOW((char *)sbrk(0) - (char *)b);
	SHOW(brk(b));
}

static void memfds(void)
{
	int fd = memfd_create("x", MFD_ALLOW_SEALING);
	char c;

	SHOW(ftruncate(fd, P));
	char *p = mmap(NULL, P, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	p[7] = 'q';
	SHOW(pread(fd, &c, 1, 7));
	printf("%c\n", c);
	SHOW(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW));
	SHOW(fcntl(fd, F_GET_SEALS));
	SHOW(ftruncate(fd, 0));
	SHOW(ftruncate(fd, 2 * P));
	SHOW(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	munmap(p, P);
	SHOW(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	SHOW(write(fd, "a", 1));
	SHOW((long)mmap(NULL, P, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
}

int main(void)
{
	anon();
	files();
	sharing();
	remap();
	memfds();
	return 0;
}
