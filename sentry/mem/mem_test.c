/* mem_test.c: memfiles against a plain array, in the arena and in a memfd. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "platform/abi/errno.h"
#include "sentry/mem/internal.h"

#define SPAN (40 * PAGE_SIZE)

static void check_leaks(void)
{
	struct arena_stats st;

	arena_stats(&st);
	cr_assert_eq(st.objects, 1, "%lu objects", st.objects); /* mem_state */
	cr_assert_eq(mem_used(), 0);
}

Test(mem, holes_and_sizes)
{
	struct memfile *m;
	char buf[16];
	size_t avail;

	cr_assert_eq(arena_init(), 0);
	mem_init(0);
	cr_assert_eq(memfile_create(&m), 0);
	cr_assert_eq(memfile_read(m, buf, 16, 0), 0);
	cr_assert_eq(memfile_write(m, "abc", 3, 1UL << 40), 3);
	cr_assert_eq(memfile_size(m), (1UL << 40) + 3);
	cr_assert_eq(memfile_allocated(m), PAGE_SIZE);
	cr_assert_eq(memfile_seek(m, 5, true), 1L << 40);
	cr_assert_eq(memfile_seek(m, 5, false), 5);
	cr_assert_eq(memfile_seek(m, (1UL << 40) + 3, true), -ENXIO);
	cr_assert_eq(memfile_read(m, buf, 16, (1UL << 40) - 2), 5);
	cr_assert_eq(memcmp(buf, "\0\0abc", 5), 0);
	cr_assert_null(memfile_peek(m, 0, &avail));
	cr_assert_eq(memcmp(memfile_peek(m, (1UL << 40) + 1, &avail), "bc", 2), 0);
	cr_assert_eq(avail, 2);
	/* what is cut off reads as zero when it comes back */
	cr_assert_eq(memfile_truncate(m, (1UL << 40) + 1), 0);
	cr_assert_eq(memfile_truncate(m, (1UL << 40) + 3), 0);
	cr_assert_eq(memfile_read(m, buf, 16, 1UL << 40), 3);
	cr_assert_eq(memcmp(buf, "a\0\0", 3), 0);
	cr_assert_eq(memfile_write(m, "x", 1, INT64_MAX), -EFBIG);
	memfile_destroy(m);
	check_leaks();
}

Test(mem, limit_is_enforced)
{
	struct memfile *m;
	char *buf = calloc(1, 8 * PAGE_SIZE);

	cr_assert_eq(arena_init(), 0);
	mem_init(4 * PAGE_SIZE);
	cr_assert_eq(memfile_create(&m), 0);
	cr_assert_eq(memfile_write(m, buf, 8 * PAGE_SIZE, 0), 4 * (ssize_t)PAGE_SIZE);
	cr_assert_eq(memfile_write(m, buf, 1, 8 * PAGE_SIZE), -ENOSPC);
	cr_assert_eq(memfile_allocate(m, 0, 8 * PAGE_SIZE, true), -ENOSPC);
	cr_assert_eq(memfile_truncate(m, 0), 0);
	cr_assert_eq(mem_used(), 0);
	cr_assert_eq(memfile_write(m, buf, PAGE_SIZE, 0), (ssize_t)PAGE_SIZE);
	memfile_destroy(m);
	check_leaks();
	free(buf);
}

Test(mem, conversion_keeps_contents)
{
	struct memfile *m;
	char buf[8];
	int fd, again;

	cr_assert_eq(arena_init(), 0);
	mem_init(0);
	cr_assert_eq(memfile_create(&m), 0);
	cr_assert_eq(memfile_write(m, "hello", 5, 3 * PAGE_SIZE), 5);
	cr_assert_eq(memfile_host_fd(m, true, &fd), 0);
	cr_assert_eq(memfile_host_fd(m, true, &again), 0);
	cr_assert_eq(fd, again);
	cr_assert_eq(lseek(fd, 0, SEEK_END), 3 * (off_t)PAGE_SIZE + 5);
	cr_assert_eq(pread(fd, buf, 8, 3 * PAGE_SIZE), 5);
	cr_assert_eq(memcmp(buf, "hello", 5), 0);
	cr_assert_eq(memfile_allocated(m), PAGE_SIZE);
	cr_assert_eq(mem_used(), PAGE_SIZE);
	memfile_destroy(m);
	check_leaks();
}

Test(mem, what_is_mapped_for_reading_cannot_be_mapped_for_writing)
{
	struct memfile *m;
	int fd, again;
	char *p;

	cr_assert_eq(arena_init(), 0);
	mem_init(0);
	cr_assert_eq(memfile_create(&m), 0);
	cr_assert_eq(memfile_write(m, "hello", 5, 0), 5);
	cr_assert_eq(memfile_host_fd(m, false, &fd), 0);
	cr_assert_eq(mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	p = mmap(NULL, PAGE_SIZE, PROT_READ, MAP_SHARED, fd, 0);
	cr_assert_neq(p, MAP_FAILED);
	cr_assert_eq(memfile_host_fd(m, false, &again), 0);
	cr_assert_eq(fd, again);
	cr_assert_eq(memfile_host_fd(m, true, &again), 0);
	cr_assert_neq(fd, again);
	cr_assert_eq(memfile_write(m, "J", 1, 0), 1);
	cr_assert_eq(memcmp(p, "Jello", 5), 0, "both are one file");
	munmap(p, PAGE_SIZE);
	memfile_destroy(m);
	check_leaks();
}

/* Every operation on a small range, compared with an array; half of the runs end in a memfd. */
static void random_run(unsigned seed, bool convert)
{
	static uint8_t model[SPAN], buf[SPAN];
	uint64_t size = 0;
	struct memfile *m;

	memset(model, 0, sizeof(model));
	cr_assert_eq(memfile_create(&m), 0);
	for (int i = 0; i < 300; i++) {
		uint64_t off = (uint64_t)rand_r(&seed) % SPAN,
			 n = 1 + (uint64_t)rand_r(&seed) % (4 * PAGE_SIZE);
		int fd;

		n = MIN(n, SPAN - off);
		switch (rand_r(&seed) % 5) {
		case 0:
		case 1:
			for (uint64_t j = 0; j < n; j++)
				buf[j] = (uint8_t)(1 + rand_r(&seed) % 255);
			cr_assert_eq(memfile_write(m, buf, n, off), (ssize_t)n);
			memcpy(model + off, buf, n);
			size = MAX(size, off + n);
			break;
		case 2:
			cr_assert_eq(memfile_truncate(m, off), 0);
			memset(model + off, 0, SPAN - off);
			size = off;
			break;
		case 3:
			cr_assert_eq(memfile_punch(m, off, n), 0);
			memset(model + off, 0, n);
			break;
		default:
			cr_assert_eq(memfile_allocate(m, off, n, rand_r(&seed) % 2), 0);
			size = memfile_size(m);
		}
		if (convert && i == 150)
			cr_assert_eq(memfile_host_fd(m, true, &fd), 0);
		cr_assert_eq(memfile_size(m), size);
		cr_assert_eq(memfile_read(m, buf, SPAN, 0), (ssize_t)size);
		cr_assert_eq(memcmp(buf, model, size), 0);
		cr_assert_eq(mem_used(), memfile_allocated(m));
	}
	memfile_destroy(m);
}

Test(mem, random_operations)
{
	cr_assert_eq(arena_init(), 0);
	mem_init(0);
	for (unsigned seed = 1; seed <= 10; seed++)
		random_run(seed, seed % 2);
	check_leaks();
}
