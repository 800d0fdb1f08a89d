/* memory.c: the rarer calls on memory: advice, locks, remapping in every form, limits, and the shape of
 * /proc/self/maps around a mapping. */
#include "guest.h"

#include <sys/resource.h>

#define P 4096L

static char *room(long pages)
{
	char *p = mmap(NULL, (pages + 2) * P, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	MUST(p != MAP_FAILED);
	return p + P;
}

static char *anon_at(char *at, long pages, int prot)
{
	char *p = mmap(at, pages * P, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	MUST(p == at);
	return p;
}

/* The lines of /proc/self/maps that lie in [p, p + pages), with addresses relative to p, in pages. */
static void show_maps(const char *what, char *p, long pages)
{
	unsigned long start, end, off, base = (unsigned long)p;
	char line[512], perms[8];
	FILE *f = fopen("/proc/self/maps", "r");

	MUST(f);
	printf("%s:", what);
	while (fgets(line, sizeof(line), f)) {
		MUST(sscanf(line, "%lx-%lx %7s %lx", &start, &end, perms, &off) == 4);
		if (end <= base || start >= base + (unsigned long)pages * P)
			continue;
		printf(" [%ld-%ld %s %lx]", (long)(start - base) / P, (long)(end - base) / P, perms, off);
	}
	printf("\n");
	fclose(f);
}

static void advice(void)
{
	char *p = anon_at(room(8), 8, PROT_READ | PROT_WRITE);
	int all[] = {MADV_NORMAL,	  MADV_RANDOM,	   MADV_SEQUENTIAL, MADV_WILLNEED, MADV_DONTNEED,
		     MADV_FREE,		  MADV_DONTFORK,   MADV_DOFORK,	    MADV_DONTDUMP, MADV_DODUMP,
		     MADV_WIPEONFORK,	  MADV_KEEPONFORK, MADV_COLD,	    MADV_PAGEOUT,  MADV_POPULATE_READ,
		     MADV_POPULATE_WRITE, MADV_REMOVE};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		printf("%d ", all[i]);
		SHOW(madvise(p, 8 * P, all[i]));
	}
	memset(p, 7, 8 * P);
	SHOW(madvise(p + 2 * P, P, MADV_DONTNEED));
	printf("%d %d %d\n", p[P], p[2 * P], p[3 * P]);
	SHOW(madvise(p + 1, P, MADV_DONTNEED));
	SHOW(madvise(p, -1, MADV_DONTNEED));
	SHOW(madvise(p, 0, MADV_DONTNEED));
	munmap(p + 4 * P, P);
	SHOW(madvise(p, 8 * P, MADV_DONTNEED));
	printf("%d %d\n", p[0], p[7 * P]);
	SHOW(madvise(p, 8 * P, MADV_DONTDUMP));
	SHOW(mlock(p, P));
	SHOW(madvise(p, P, MADV_DONTNEED));
	SHOW(munlock(p, P));
	SHOW(madvise(p, P, MADV_DONTNEED));
}

static void locks(void)
{
	char *p = anon_at(room(8), 8, PROT_READ | PROT_WRITE);
	struct rlimit r = {4 * P, 4 * P};

	SHOW(mlock(p, 2 * P));
	SHOW(mlock(p + 5, 2 * P));
	SHOW(munlock(p, 8 * P));
	munmap(p + 4 * P, P);
	SHOW(mlock(p, 8 * P));
	SHOW(munlock(p, 8 * P));
	SHOW(munlockall());
	SHOW(mlockall(0));
	SHOW(mlockall(64));
	SHOW(mlock2(p, P, MLOCK_ONFAULT));
	SHOW(mlock2(p, P, 2));
	SHOW(msync(p, P, MS_INVALIDATE));
	SHOW(munlock(p, P));
	if (geteuid() != 0) {
		setrlimit(RLIMIT_MEMLOCK, &r);
		SHOW(mlock(p, 4 * P));
		SHOW(mlock(p + 5 * P, P));
	}
}

static void shapes(void)
{
	char *p = anon_at(room(16), 16, PROT_READ | PROT_WRITE);

	memset(p, 1, 16 * P);
	show_maps("whole", p, 16);
	mprotect(p + 4 * P, 4 * P, PROT_READ);
	show_maps("middle read-only", p, 16);
	mprotect(p + 4 * P, 4 * P, PROT_READ | PROT_WRITE);
	show_maps("merged again", p, 16);
	munmap(p + 8 * P, P);
	show_maps("hole", p, 16);
	anon_at(p + 8 * P, 1, PROT_READ | PROT_WRITE);
	show_maps("filled", p, 16);
	madvise(p + 2 * P, 2 * P, MADV_DONTFORK);
	show_maps("dontfork", p, 16);
	madvise(p + 2 * P, 2 * P, MADV_DOFORK);
	show_maps("dofork", p, 16);
	SHOW(mprotect(p + 14 * P, 3 * P, PROT_READ | PROT_EXEC));
	show_maps("into the guard", p - P, 18);
}

static void remaps(void)
{
	char *p = anon_at(room(8), 8, PROT_READ | PROT_WRITE), *q = room(8), *r;

	for (int i = 0; i < 8; i++)
		p[i * P] = (char)('a' + i);
	SHOW((long)mremap(p, 2 * P, 2 * P, MREMAP_FIXED | MREMAP_MAYMOVE, p + P));
	SHOW((long)mremap(p, 2 * P, 2 * P, MREMAP_FIXED, q));
	SHOW((long)mremap(p, 2 * P, 2 * P, 64));
	SHOW((long)mremap(p + 1, 2 * P, 2 * P, MREMAP_MAYMOVE));
	SHOW((long)mremap(p, 0, 2 * P, MREMAP_MAYMOVE));
	SHOW((long)mremap(p, 2 * P, 2 * P, MREMAP_FIXED | MREMAP_MAYMOVE, q + 1));
	SHOW((long)mremap(p, 2 * P, 3 * P, MREMAP_DONTUNMAP | MREMAP_MAYMOVE, q));
	SHOW(mremap(p + 2 * P, 2 * P, 4 * P, MREMAP_FIXED | MREMAP_MAYMOVE, q) == q);
	printf("%c%c%d%d\n", q[0], q[P], q[2 * P], q[3 * P]);
	show_maps("source", p, 8);
	show_maps("target", q, 8);
	r = mremap(q, 2 * P, 2 * P, MREMAP_DONTUNMAP | MREMAP_MAYMOVE, NULL);
	SHOW((long)mremap(q, 2 * P, 2 * P, MREMAP_DONTUNMAP | MREMAP_MAYMOVE, q + P));
	MUST(r != MAP_FAILED);
	printf("%c%c %d\n", r[0], r[P], q[0]);
	SHOW(mremap(q, 4 * P, P, 0) == q);
	show_maps("shrunk", q, 8);
	/* a shared mapping, twice */
	char *s = mmap(NULL, 2 * P, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char *t = mremap(s, 0, 2 * P, MREMAP_MAYMOVE);
	MUST(t != MAP_FAILED);
	s[0] = 'S';
	t[P] = 'T';
	printf("%c%c\n", t[0], s[P]);
}

static void limits(void)
{
	struct rlimit r, old;
	char *p;
	int st;

	if (fork() == 0) {
		getrlimit(RLIMIT_AS, &old);
		r = (struct rlimit){64 << 20, old.rlim_max};
		setrlimit(RLIMIT_AS, &r);
		SHOW((long)mmap(NULL, 128 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
		SHOW_OK(mmap(NULL, 1 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
		setrlimit(RLIMIT_AS, &old);
		r = (struct rlimit){8 << 20, RLIM_INFINITY};
		setrlimit(RLIMIT_DATA, &r);
		SHOW((long)mmap(NULL, 16 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
		SHOW_OK(mmap(NULL, 16 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
		SHOW((long)sbrk(16 << 20));
		fflush(stdout);
		_exit(0);
	}
	wait(&st);
	show_status("limits", st);
	p = mmap(NULL, P, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	MUST(p != MAP_FAILED);
	SHOW((long)mmap(NULL, P, PROT_READ, MAP_SHARED | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0));
	SHOW((long)mmap(NULL, P, PROT_READ, MAP_SHARED_VALIDATE | MAP_ANONYMOUS, -1, 0));
	SHOW((long)mmap((void *)-P, P, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	SHOW(munmap((void *)-P, P));
	SHOW(mprotect((void *)-P, P, PROT_READ));
	SHOW(mprotect(p, -1, PROT_READ));
	SHOW(msync(p, P, MS_SYNC | MS_ASYNC));
	SHOW(msync(p + 1, P, MS_SYNC));
	SHOW(msync(p, P, 16));
	SHOW(mincore(p + 1, P, (void *)p));
	SHOW(mincore((void *)0x10000, P, (void *)p));
	SHOW(mincore(p, P, (void *)8));
	p = mmap(NULL, P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	SHOW((unsigned long)p < 0x80000000UL);
}

static void grows(void)
{
	char *p = room(64) + 60 * P, *q;

	munmap(p - 60 * P, 61 * P);
	q = mmap(p, P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN, -1, 0);
	MUST(q == p);
	munmap(room(512), 1); /* keep what is below apart */
	q[-2 * P] = 5;
	printf("%d\n", q[-2 * P]);
	show_maps("grown", p - 4 * P, 5);
	SHOW(mprotect(p, P, PROT_READ | PROT_GROWSDOWN));
	SHOW(mprotect(p, P, PROT_READ | PROT_GROWSUP));
	show_maps("from its start", p - 4 * P, 5);
}

static void bus(int sig)
{
	printf("signal %d\n", sig);
	fflush(stdout);
	_exit(0);
}

/* Beyond the end of a file there is SIGBUS. */
static void beyond(void)
{
	int fd = open("f", O_RDWR | O_CREAT | O_TRUNC, 0600), st;
	char *p;

	MUST(write(fd, "abc", 3) == 3);
	p = mmap(NULL, 2 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	MUST(p != MAP_FAILED);
	printf("%s|%d\n", p, p[P - 1]);
	if (fork() == 0) {
		signal(SIGBUS, bus);
		_exit(p[P] + 3);
	}
	wait(&st);
	show_status("beyond the end", st);
	if (fork() == 0) {
		signal(SIGSEGV, bus);
		*(volatile char *)8 = 1;
		_exit(3);
	}
	wait(&st);
	show_status("nothing there", st);
}

static void forks(void)
{
	char *p = anon_at(room(6), 6, PROT_READ | PROT_WRITE);
	unsigned char vec[6];
	int st;

	memset(p, 3, 6 * P);
	SHOW(madvise(p + P, P, MADV_DONTFORK));
	SHOW(madvise(p + 3 * P, P, MADV_WIPEONFORK));
	if (fork() == 0) {
		SHOW(mincore(p + P, P, vec));
		printf("%d %d %d\n", p[0], p[3 * P], p[4 * P]);
		if (fork() == 0) {
			p[3 * P] = 9;
			if (fork() == 0)
				_exit(p[3 * P] + 40);
			wait(&st);
			_exit(WEXITSTATUS(st));
		}
		wait(&st);
		show_status("grandchild", st);
		fflush(stdout);
		_exit(0);
	}
	wait(&st);
	show_status("child", st);
	printf("%d %d\n", p[P], p[3 * P]);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	advice();
	locks();
	remaps();
	limits();
	beyond();
	forks();
	grows();
	shapes();
	return 0;
}
