/* mmfile_test.c: mappings of files: descriptors, offsets, references, growth; and mappings that grow down.
 */
#include <criterion/criterion.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sentry/mm/internal.h"
#include "tests/harness/fake_platform.h"

#define RW   (LINUX_PROT_READ | LINUX_PROT_WRITE)
#define BASE 0x10000000UL

struct fake_file {
	struct mappable map;
	int fd, refs, mapped, shared_write, synced;
	bool read_only;
};

static struct fake_file *file_of(struct mappable *m)
{
	return container_of(m, struct fake_file, map);
}

static int file_host_fd(struct mappable *m, uint64_t off, uint64_t size, bool for_write, int *fd,
			uint64_t *fd_off)
{
	struct fake_file *f = file_of(m);

	(void)size;
	if (for_write && f->read_only)
		return -EACCES;
	*fd = f->fd;
	*fd_off = off;
	return 0;
}

static void file_get_(struct mappable *m)
{
	file_of(m)->refs++;
}

static void file_put_(struct mappable *m)
{
	file_of(m)->refs--;
}

static void file_mapped(struct mappable *m, int delta, bool shared_write)
{
	file_of(m)->mapped += delta;
	file_of(m)->shared_write += shared_write ? delta : 0;
}

static int file_sync(struct mappable *m, uint64_t off, uint64_t size)
{
	(void)off;
	file_of(m)->synced += (int)(size / PAGE_SIZE);
	return 0;
}

static uint64_t file_identity(struct mappable *m)
{
	return (uint64_t)(uintptr_t)m;
}

static const struct mappable_ops file_ops = {
	.host_fd = file_host_fd,
	.get = file_get_,
	.put = file_put_,
	.mapped = file_mapped,
	.sync = file_sync,
	.identity = file_identity,
};

static struct fake_platform *fake;
static struct context *ctx;
static struct mm *mm;
static struct rlimits limits;
static struct fake_file file;

static void setup(void)
{
	cr_assert_eq(arena_init(), 0);
	fake = fake_platform_create(false);
	cr_assert_eq(fake_platform_ops.context_create(&fake->p, &ctx), 0);
	cr_assert_eq(mm_create(ctx, &mm), 0);
	rlimits_init(&limits);
	file = (struct fake_file){.map.ops = &file_ops, .fd = memfd_create("t", 0)};
	cr_assert_eq(ftruncate(file.fd, 64 * PAGE_SIZE), 0);
}

static void teardown(void)
{
	struct arena_stats st;

	mm_put(mm);
	fake_platform_ops.context_destroy(ctx);
	cr_assert_eq(file.refs, 0);
	cr_assert_eq(file.mapped, 0);
	cr_assert_eq(file.shared_write, 0);
	arena_stats(&st);
	cr_assert_eq(st.objects, 0);
}

static int64_t map(uaddr_t addr, uint64_t pages, uint32_t prot, uint32_t flags, uint64_t page)
{
	struct mmap_args a = {.addr = addr,
			      .size = pages * PAGE_SIZE,
			      .prot = prot,
			      .flags = flags | LINUX_MAP_FIXED,
			      .file = &file.map,
			      .offset = page * PAGE_SIZE};

	return mm_mmap(mm, ctx, &limits, &a);
}

Test(mmfile, neighbours_merge_by_offset)
{
	setup();
	cr_assert_eq(map(BASE, 2, RW, LINUX_MAP_PRIVATE, 0), BASE);
	cr_assert_eq(map(BASE + 2 * PAGE_SIZE, 2, RW, LINUX_MAP_PRIVATE, 2), BASE + 2 * PAGE_SIZE);
	cr_assert_eq(mm->map_count, 1);
	cr_assert_eq(file.mapped, 1);
	cr_assert_eq(map(BASE + 4 * PAGE_SIZE, 2, RW, LINUX_MAP_PRIVATE, 5), BASE + 4 * PAGE_SIZE);
	cr_assert_eq(mm->map_count, 2);
	cr_assert_eq(mm_munmap(mm, ctx, BASE + PAGE_SIZE, PAGE_SIZE), 0);
	cr_assert_eq(vma_at(mm, BASE + 2 * PAGE_SIZE)->offset, 2 * PAGE_SIZE);
	cr_assert_eq(file.mapped, 3);
	teardown();
}

Test(mmfile, growth_in_place_and_moving)
{
	int64_t to;

	setup();
	cr_assert_eq(map(BASE, 2, RW, LINUX_MAP_SHARED, 3), BASE);
	cr_assert_eq(file.shared_write, 1);
	cr_assert_eq(mm_mremap(mm, ctx, &limits, BASE, 2 * PAGE_SIZE, 4 * PAGE_SIZE, 0, 0), BASE);
	cr_assert_eq(fake_page_find(fake_space(ctx), BASE + 3 * PAGE_SIZE)->offset, 6 * PAGE_SIZE);
	cr_assert_eq(mm->map_count, 1);
	to = mm_mremap(mm, ctx, &limits, BASE + PAGE_SIZE, 2 * PAGE_SIZE, 6 * PAGE_SIZE, LINUX_MREMAP_MAYMOVE,
		       0);
	cr_assert_gt(to, 0);
	cr_assert_eq(vma_at(mm, (uaddr_t)to)->offset, 4 * PAGE_SIZE);
	cr_assert_eq(fake_page_find(fake_space(ctx), (uaddr_t)to + 5 * PAGE_SIZE)->offset, 9 * PAGE_SIZE);
	cr_assert_eq(mm->map_count, 3);
	cr_assert_eq(file.refs, 3);
	to = mm_mremap(mm, ctx, &limits, BASE, PAGE_SIZE, PAGE_SIZE,
		       LINUX_MREMAP_MAYMOVE | LINUX_MREMAP_DONTUNMAP, 0);
	cr_assert_gt(to, 0);
	cr_assert_not_null(vma_at(mm, BASE));
	teardown();
}

Test(mmfile, read_only_files)
{
	setup();
	file.read_only = true;
	cr_assert_eq(map(BASE, 1, RW, LINUX_MAP_SHARED, 0), -EACCES);
	cr_assert_eq(map(BASE, 1, LINUX_PROT_READ, LINUX_MAP_SHARED, 0), BASE);
	cr_assert_eq(mm_mprotect(mm, ctx, BASE, PAGE_SIZE, RW), -EACCES);
	cr_assert_eq(file.shared_write, 0);
	cr_assert_eq(map(BASE + PAGE_SIZE, 1, RW, LINUX_MAP_PRIVATE, 0), BASE + PAGE_SIZE);
	cr_assert_eq(mm_madvise(mm, ctx, BASE, PAGE_SIZE, LINUX_MADV_REMOVE), -EACCES);
	cr_assert_eq(mm_madvise(mm, ctx, BASE, PAGE_SIZE, LINUX_MADV_FREE), -EINVAL);
	cr_assert_eq(mm_madvise(mm, ctx, BASE, PAGE_SIZE, LINUX_MADV_WIPEONFORK), -EINVAL);
	cr_assert_eq(mm_madvise(mm, ctx, BASE, 3 * PAGE_SIZE, LINUX_MADV_DONTNEED), -ENOMEM);
	teardown();
}

Test(mmfile, msync_reaches_shared_mappings)
{
	setup();
	cr_assert_eq(map(BASE, 2, RW, LINUX_MAP_SHARED, 0), BASE);
	cr_assert_eq(map(BASE + 2 * PAGE_SIZE, 2, RW, LINUX_MAP_PRIVATE, 2), BASE + 2 * PAGE_SIZE);
	cr_assert_eq(mm_msync(mm, ctx, BASE + PAGE_SIZE, 3 * PAGE_SIZE, LINUX_MS_SYNC), 0);
	cr_assert_eq(file.synced, 1);
	cr_assert_eq(mm_msync(mm, ctx, BASE, 5 * PAGE_SIZE, LINUX_MS_SYNC), -ENOMEM);
	cr_assert_eq(mm_msync(mm, ctx, BASE, PAGE_SIZE, LINUX_MS_SYNC | LINUX_MS_ASYNC), -EINVAL);
	cr_assert_eq(mm_msync(mm, ctx, BASE, PAGE_SIZE, 8), -EINVAL);
	cr_assert_eq(mm_msync(mm, ctx, BASE + 1, PAGE_SIZE, LINUX_MS_SYNC), -EINVAL);
	cr_assert_eq(mm_mlock(mm, &limits, true, BASE, PAGE_SIZE, true), 0);
	cr_assert_eq(mm_msync(mm, ctx, BASE, PAGE_SIZE, LINUX_MS_INVALIDATE), -EBUSY);
	teardown();
}

Test(mmfile, stacks_grow_down)
{
	struct mmap_args a = {.addr = BASE + (1UL << 24),
			      .size = PAGE_SIZE,
			      .prot = RW,
			      .flags = LINUX_MAP_PRIVATE | LINUX_MAP_ANONYMOUS | LINUX_MAP_FIXED |
				       LINUX_MAP_GROWSDOWN};
	uaddr_t top = a.addr;

	setup();
	cr_assert_eq(mm_mmap(mm, ctx, &limits, &a), (int64_t)top);
	cr_assert_eq(mm_grow(mm, ctx, &limits, top), -EFAULT); /* mapped */
	cr_assert_eq(mm_grow(mm, ctx, &limits, top - 3 * PAGE_SIZE + 8), 0);
	cr_assert_eq(vma_at(mm, top)->start, top - 3 * PAGE_SIZE);
	cr_assert_not_null(fake_page_find(fake_space(ctx), top - 2 * PAGE_SIZE));
	cr_assert_eq(mm_grow(mm, ctx, &limits, top - (9UL << 20)), -ENOMEM); /* RLIMIT_STACK */
	cr_assert_eq(map(top - (2UL << 20), 1, RW, LINUX_MAP_PRIVATE, 0), (int64_t)(top - (2UL << 20)));
	cr_assert_eq(mm_grow(mm, ctx, &limits, top - (1UL << 20) - PAGE_SIZE), -ENOMEM); /* guard */
	cr_assert_eq(mm_grow(mm, ctx, &limits, top + PAGE_SIZE), -EFAULT);
	cr_assert_eq(mm->stack_pages, 4);
	teardown();
}
