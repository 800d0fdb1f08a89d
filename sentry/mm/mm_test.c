/* mm_test.c: the books against a host that counts pages: single behaviours, then long random sequences with
 * a check of every invariant after each step. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/strbuf.h"
#include "sentry/mm/internal.h"
#include "tests/harness/fake_platform.h"

#define RW	(LINUX_PROT_READ | LINUX_PROT_WRITE)
#define PRIVATE (LINUX_MAP_PRIVATE | LINUX_MAP_ANONYMOUS)
#define BASE	0x10000000UL
#define WINDOW	64 /* pages */

static struct fake_platform *fake;
static struct context *ctx;
static struct mm *mm;
static struct rlimits limits;

static void setup(bool vdso)
{
	cr_assert_eq(arena_init(), 0);
	fake = fake_platform_create(vdso);
	cr_assert_eq(fake_platform_ops.context_create(&fake->p, &ctx), 0);
	cr_assert_eq(mm_create(ctx, &mm), 0);
	rlimits_init(&limits);
}

static void teardown(void)
{
	struct arena_stats st;

	mm_put(mm);
	fake_platform_ops.context_destroy(ctx);
	cr_assert_eq(fake->spaces, 0);
	arena_stats(&st);
	cr_assert_eq(st.objects, 0, "leak: %lu objects", st.objects);
}

static int64_t map_at(uaddr_t addr, uint64_t pages, uint32_t prot, uint32_t flags, struct mappable *file,
		      uint64_t offset)
{
	struct mmap_args a = {.addr = addr,
			      .size = pages * PAGE_SIZE,
			      .prot = prot,
			      .flags = flags,
			      .file = file,
			      .offset = offset};

	return mm_mmap(mm, ctx, &limits, &a);
}

static uint64_t visible_count(void)
{
	uint64_t n = 0;

	for (struct vma *v = vma_first(mm); v; v = vma_next(v))
		n += !vma_is_hidden(v);
	return n;
}

/* The highest gap by looking at all of them. */
static uaddr_t naive_gap(uint64_t size, uaddr_t low, uaddr_t high)
{
	uaddr_t best = 0, prev = 0;

	for (struct vma *v = vma_first(mm);; v = vma_next(v)) {
		uaddr_t lo = MAX(prev, low), hi = MIN(v ? v->start : GUEST_VA_END, high);

		if (lo < hi && hi - lo >= size)
			best = hi - size;
		if (!v)
			return best;
		prev = v->end;
	}
}

static void check_pages(const struct vma *v)
{
	for (uaddr_t a = v->start; a < v->end; a += PAGE_SIZE) {
		struct fake_page *p = fake_page_find(fake_space(ctx), a);

		cr_assert(p, "no host page at %lx", a);
		cr_assert_eq(p->prot, v->prot);
		cr_assert_eq(p->shared, vma_is_shared(v));
		cr_assert_eq(p->fd >= 0, v->file != NULL);
		if (v->file)
			cr_assert_eq(p->offset, v->offset + (a - v->start));
	}
}

/* Books and host agree, and the books agree with themselves. */
static void check_all(void)
{
	uint64_t pages = 0, data = 0, locked = 0, count = 0;
	struct vma *prev = NULL;

	for (struct vma *v = vma_first(mm); v; prev = v, v = vma_next(v)) {
		uint64_t n = vma_size(v) / PAGE_SIZE, max = v->gap;

		cr_assert_lt(v->start, v->end);
		cr_assert(!prev || prev->end <= v->start);
		cr_assert_eq(v->gap, v->start - (prev ? prev->end : 0));
		if (v->node.left)
			max = MAX(max, rb_entry(v->node.left, struct vma, node)->max_gap);
		if (v->node.right)
			max = MAX(max, rb_entry(v->node.right, struct vma, node)->max_gap);
		cr_assert_eq(v->max_gap, max);
		if (vma_is_hidden(v))
			continue;
		count++;
		pages += n;
		locked += v->flags & LINUX_MAP_LOCKED ? n : 0;
		if ((v->prot & LINUX_PROT_WRITE) && !vma_is_shared(v) && !(v->flags & LINUX_MAP_GROWSDOWN))
			data += n;
		if (!vma_is_special(v))
			check_pages(v);
	}
	cr_assert_eq(mm->map_count, count);
	cr_assert_eq(mm->total_pages, pages);
	cr_assert_eq(mm->data_pages, data);
	cr_assert_eq(mm->locked_pages, locked);
	cr_assert_eq(fake_space(ctx)->count, pages - (fake->p.vdso_start ? 6 : 0));
}

Test(mm, hints_fixed_and_gaps)
{
	int64_t a, b;

	setup(true);
	a = map_at(0, 1, RW, PRIVATE, NULL, 0);
	b = map_at(0, 1, RW, PRIVATE, NULL, 0);
	cr_assert_gt(a, 0);
	cr_assert_eq(b, a - (int64_t)PAGE_SIZE);		       /* top down */
	cr_assert_eq(visible_count(), 3);			       /* merged; vvar and vdso */
	cr_assert_eq(map_at(BASE + 5, 2, RW, PRIVATE, NULL, 0), BASE); /* a free hint is taken */
	cr_assert_neq(map_at(BASE, 2, RW, PRIVATE, NULL, 0), BASE);    /* a taken one isn't */
	cr_assert_eq(map_at(BASE, 1, RW, PRIVATE | LINUX_MAP_FIXED_NOREPLACE, NULL, 0), -EEXIST);
	cr_assert_eq(map_at(BASE, 1, 0, PRIVATE | LINUX_MAP_FIXED, NULL, 0), BASE);
	cr_assert_eq(map_at(BASE + 1, 1, RW, PRIVATE | LINUX_MAP_FIXED, NULL, 0), -EINVAL);
	cr_assert_eq(map_at(0x1000, 1, RW, PRIVATE | LINUX_MAP_FIXED, NULL, 0), -EPERM);
	cr_assert_eq(map_at(SBX_HOLE_START, 1, RW, PRIVATE | LINUX_MAP_FIXED, NULL, 0), -ENOMEM);
	cr_assert_eq(map_at(fake->p.vdso_start, 1, RW, PRIVATE | LINUX_MAP_FIXED, NULL, 0), -ENOMEM);
	cr_assert_eq(map_at(GUEST_VA_END, 1, RW, PRIVATE | LINUX_MAP_FIXED, NULL, 0), -ENOMEM);
	cr_assert_eq(map_at(0, 0, RW, PRIVATE, NULL, 0), -EINVAL);
	cr_assert_eq(map_at(0, 1, RW, LINUX_MAP_ANONYMOUS, NULL, 0), -EINVAL);
	cr_assert_eq(map_at(0, 1, RW, PRIVATE | LINUX_MAP_HUGETLB, NULL, 0), -ENOMEM);
	a = map_at(0, 4, RW, PRIVATE | LINUX_MAP_32BIT, NULL, 0);
	cr_assert(a >= 0x40000000 && a < 0x80000000);
	a = map_at(0, 1024, RW, PRIVATE, NULL, 0);
	cr_assert(IS_ALIGNED((uint64_t)a, MM_HUGE_PAGE));
	check_all();
	teardown();
}

Test(mm, special_areas_stay)
{
	setup(true);
	cr_assert_eq(mm_munmap(mm, ctx, fake->p.vdso_start, PAGE_SIZE), -EINVAL);
	cr_assert_eq(mm_mprotect(mm, ctx, fake->p.vdso_start, PAGE_SIZE, RW), -EACCES);
	cr_assert_eq(mm_munmap(mm, ctx, SBX_HOLE_START, PAGE_SIZE), 0); /* nothing of the guest's there */
	cr_assert_eq(mm_mprotect(mm, ctx, SBX_HOLE_START, PAGE_SIZE, RW), -ENOMEM);
	cr_assert_eq(mm_mremap(mm, ctx, &limits, SBX_HOLE_START, PAGE_SIZE, 2 * PAGE_SIZE, 1, 0), -EFAULT);
	check_all();
	teardown();
}

Test(mm, protection_splits_and_merges)
{
	setup(false);
	cr_assert_eq(map_at(BASE, 8, RW, PRIVATE | LINUX_MAP_FIXED, NULL, 0), BASE);
	cr_assert_eq(mm_mprotect(mm, ctx, BASE + 2 * PAGE_SIZE, 2 * PAGE_SIZE, LINUX_PROT_READ), 0);
	cr_assert_eq(visible_count(), 3);
	cr_assert_eq(mm->data_pages, 6);
	cr_assert_eq(mm_mprotect(mm, ctx, BASE, 8 * PAGE_SIZE, RW), 0);
	cr_assert_eq(visible_count(), 1);
	cr_assert_eq(mm_munmap(mm, ctx, BASE + 4 * PAGE_SIZE, PAGE_SIZE), 0);
	/* up to the hole, then -ENOMEM */
	cr_assert_eq(mm_mprotect(mm, ctx, BASE, 8 * PAGE_SIZE, LINUX_PROT_READ), -ENOMEM);
	cr_assert_eq(mm->data_pages, 3);
	check_all();
	teardown();
}

Test(mm, limits_refuse)
{
	struct linux_rlimit l = {16 * PAGE_SIZE, 16 * PAGE_SIZE};

	setup(false);
	cr_assert_eq(rlimit_change(&limits, LINUX_RLIMIT_AS, &l, NULL, true), 0);
	cr_assert_eq(map_at(BASE, 12, RW, PRIVATE | LINUX_MAP_FIXED, NULL, 0), BASE);
	cr_assert_eq(map_at(0, 8, RW, PRIVATE, NULL, 0), -ENOMEM);
	cr_assert_eq(map_at(BASE, 16, RW, PRIVATE | LINUX_MAP_FIXED, NULL, 0), BASE); /* replaces 12 */
	l.rlim_cur = 2 * PAGE_SIZE;
	cr_assert_eq(rlimit_change(&limits, LINUX_RLIMIT_MEMLOCK, &l, NULL, true), 0);
	cr_assert_eq(mm_mlock(mm, &limits, false, BASE, 3 * PAGE_SIZE, true), -ENOMEM);
	cr_assert_eq(mm_mlock(mm, &limits, true, BASE, 3 * PAGE_SIZE, true), 0);
	check_all();
	teardown();
}

Test(mm, brk_grows_and_shrinks)
{
	setup(false);
	mm->brk_start = mm->brk = BASE;
	cr_assert_eq(mm_brk(mm, ctx, &limits, 0), BASE);
	cr_assert_eq(mm_brk(mm, ctx, &limits, BASE + 100), BASE + 100);
	cr_assert_eq(mm_brk(mm, ctx, &limits, BASE + 3 * PAGE_SIZE), BASE + 3 * PAGE_SIZE);
	cr_assert_eq(visible_count(), 1);
	cr_assert_eq(map_at(BASE + 5 * PAGE_SIZE, 1, RW, PRIVATE | LINUX_MAP_FIXED, NULL, 0),
		     BASE + 5 * PAGE_SIZE);
	cr_assert_eq(mm_brk(mm, ctx, &limits, BASE + 5 * PAGE_SIZE), BASE + 3 * PAGE_SIZE); /* guard */
	cr_assert_eq(mm_brk(mm, ctx, &limits, BASE + 4 * PAGE_SIZE), BASE + 4 * PAGE_SIZE);
	cr_assert_eq(mm_brk(mm, ctx, &limits, BASE), BASE);
	cr_assert_eq(visible_count(), 1);
	check_all();
	teardown();
}

static void check_child(struct mm *m2, struct context *child)
{
	struct mm *parent = mm;
	struct context *parent_ctx = ctx;

	mm = m2;
	ctx = child;
	check_all();
	cr_assert_eq(map_at(BASE + 20 * PAGE_SIZE, 1, RW, PRIVATE | LINUX_MAP_FIXED, NULL, 0),
		     BASE + 20 * PAGE_SIZE);
	cr_assert_eq(mm_munmap(mm, ctx, BASE, 3 * PAGE_SIZE), 0);
	check_all();
	mm = parent;
	ctx = parent_ctx;
}

Test(mm, fork_copies_and_fixes_up)
{
	struct context *child;
	struct mm *m2;

	setup(true);
	cr_assert_eq(map_at(BASE, 6, RW, PRIVATE | LINUX_MAP_FIXED, NULL, 0), BASE);
	cr_assert_eq(mm_madvise(mm, ctx, BASE + PAGE_SIZE, PAGE_SIZE, LINUX_MADV_DONTFORK), 0);
	cr_assert_eq(mm_madvise(mm, ctx, BASE + 3 * PAGE_SIZE, PAGE_SIZE, LINUX_MADV_WIPEONFORK), 0);
	cr_assert_eq(mm_mlock(mm, &limits, false, BASE, PAGE_SIZE, true), 0);
	mm_fork_begin(mm);
	cr_assert_eq(fake_platform_ops.context_fork(ctx, &child), 0);
	cr_assert_eq(mm_fork(mm, child, &m2), 0);
	mm_fork_end(mm);
	cr_assert_eq(mm_fork_finish(m2, child), 0);
	cr_assert_null(fake_page_find(fake_space(child), BASE + PAGE_SIZE));
	cr_assert_neq(fake_page_find(fake_space(child), BASE + 3 * PAGE_SIZE)->stamp,
		      fake_page_find(fake_space(ctx), BASE + 3 * PAGE_SIZE)->stamp);
	cr_assert_eq(m2->locked_pages, 0);
	cr_assert_eq(m2->total_pages, mm->total_pages - 1);
	cr_assert_neq(m2->id, mm->id);
	check_child(m2, child);
	mm_put(m2);
	fake_platform_ops.context_destroy(child);
	check_all();
	teardown();
}

Test(mm, shared_anonymous_and_futex_keys)
{
	struct futex_key a, b, c;
	int64_t at, dup;

	setup(false);
	at = map_at(0, 4, RW, LINUX_MAP_SHARED | LINUX_MAP_ANONYMOUS, NULL, 0);
	cr_assert_gt(at, 0);
	/* old size 0 makes a second mapping of the same memory */
	dup = mm_mremap(mm, ctx, &limits, (uaddr_t)at + PAGE_SIZE, 0, 2 * PAGE_SIZE, LINUX_MREMAP_MAYMOVE, 0);
	cr_assert_gt(dup, 0);
	cr_assert_eq(mm_futex_key(mm, (uaddr_t)at + PAGE_SIZE + 8, false, &a), 0);
	cr_assert_eq(mm_futex_key(mm, (uaddr_t)dup + 8, false, &b), 0);
	cr_assert(a.object == b.object && a.offset == b.offset);
	cr_assert_eq(mm_futex_key(mm, (uaddr_t)dup + 8, true, &c), 0);
	cr_assert_neq(c.object, a.object);
	cr_assert_eq(mm_futex_key(mm, BASE, false, &c), -EFAULT);
	check_all();
	teardown();
}

Test(mm, user_memory_stays_in_the_guest)
{
	char buf[32];
	struct usermem um;

	setup(false);
	um = mm_usermem(mm, ctx);
	cr_assert_eq(map_at(BASE, 2, RW, PRIVATE | LINUX_MAP_FIXED, NULL, 0), BASE);
	cr_assert_eq(usermem_out(&um, BASE + PAGE_SIZE - 3, "hello", 6), 0);
	cr_assert_eq(usermem_strncpy(&um, buf, BASE + PAGE_SIZE - 3, sizeof(buf)), 5);
	cr_assert_str_eq(buf, "hello");
	cr_assert_eq(usermem_strncpy(&um, buf, BASE + PAGE_SIZE - 3, 4), -ENAMETOOLONG);
	cr_assert_eq(usermem_out(&um, BASE + 2 * PAGE_SIZE - 3, "xyz", 3), 0);
	cr_assert_eq(usermem_strncpy(&um, buf, BASE + 2 * PAGE_SIZE - 3, sizeof(buf)), -EFAULT);
	cr_assert_eq(usermem_in(&um, buf, SBX_HOLE_START, 1), -EFAULT);
	cr_assert_eq(usermem_in(&um, buf, GUEST_VA_END, 1), -EFAULT);
	cr_assert_eq(usermem_in(&um, buf, UINT64_MAX - 3, 8), -EFAULT);
	teardown();
}

Test(mm, maps_look_like_linux)
{
	struct strbuf b;

	setup(true);
	strbuf_init(&b);
	cr_assert_eq(map_at(BASE, 2, RW, PRIVATE | LINUX_MAP_FIXED, NULL, 0), BASE);
	cr_assert_eq(mm_set_anon_name(mm, BASE + PAGE_SIZE, PAGE_SIZE, "pool"), 0);
	mm_show_maps(mm, &b, false);
	cr_assert(strbuf_ok(&b));
	cr_assert(strstr(b.data, "10000000-10001000 rw-p 00000000 00:00 0 \n"), "%s", b.data);
	cr_assert(strstr(b.data, "10001000-10002000 rw-p 00000000 00:00 0                                  "
				 "[anon:pool]\n"),
		  "%s", b.data);
	cr_assert(strstr(b.data, "r-xp 00000000 00:00 0                          [vdso]\n"));
	strbuf_fini(&b);
	teardown();
}

Test(mm, hidden_pages_near)
{
	uaddr_t at;

	setup(false);
	cr_assert_eq(map_at(BASE, 8, RW, PRIVATE | LINUX_MAP_FIXED, NULL, 0), BASE);
	at = ctx->as->alloc_hidden(ctx->as->owner, BASE, 1UL << 31, PAGE_SIZE);
	cr_assert_eq(at, BASE - PAGE_SIZE);
	cr_assert_eq(map_at(at, 1, RW, PRIVATE | LINUX_MAP_FIXED, NULL, 0), -ENOMEM);
	/* munmap over it spares it */
	cr_assert_eq(mm_munmap(mm, ctx, at - PAGE_SIZE, 4 * PAGE_SIZE), 0);
	cr_assert_not_null(vma_at(mm, at));
	cr_assert_null(vma_at(mm, BASE));
	check_all();
	teardown();
}

Test(mm, host_refusal_changes_nothing)
{
	setup(false);
	cr_assert_eq(map_at(BASE, 8, RW, PRIVATE | LINUX_MAP_FIXED, NULL, 0), BASE);
	fake->fail_at = fake->calls + 1;
	cr_assert_eq(mm_mprotect(mm, ctx, BASE, PAGE_SIZE, 0), -ENOMEM);
	check_all();
	fake->fail_at = fake->calls + 1;
	cr_assert_eq(mm_munmap(mm, ctx, BASE, PAGE_SIZE), -ENOMEM);
	check_all();
	fake->fail_at = fake->calls + 1;
	cr_assert_eq(mm_mremap(mm, ctx, &limits, BASE, PAGE_SIZE, 2 * PAGE_SIZE, LINUX_MREMAP_MAYMOVE, 0),
		     -ENOMEM);
	check_all();
	fake->fail_at = fake->calls + 1;
	cr_assert_eq(map_at(BASE + 2 * PAGE_SIZE, 2, RW, PRIVATE | LINUX_MAP_FIXED, NULL, 0), -ENOMEM);
	check_all();
	teardown();
}

/* ---- random sequences against an array of pages ---- */

struct model_page {
	bool mapped, shared;
	uint32_t prot;
	uint64_t stamp;
};

static struct model_page model[WINDOW];

static void model_refresh(void)
{
	for (int i = 0; i < WINDOW; i++) {
		struct fake_page *p = fake_page_find(fake_space(ctx), BASE + (uint64_t)i * PAGE_SIZE);

		model[i] = p ? (struct model_page){true, p->shared, p->prot, p->stamp} : (struct model_page){0};
	}
}

/* The range is mapped in one piece as far as the books go. */
static bool model_one_vma(int first, int n)
{
	struct vma *v = vma_at(mm, BASE + (uint64_t)first * PAGE_SIZE);

	return v && v->end >= BASE + (uint64_t)(first + n) * PAGE_SIZE;
}

static void step_protect(int first, int n, uint32_t prot)
{
	int covered = 0, ret;

	while (covered < n && model[first + covered].mapped)
		covered++;
	ret = mm_mprotect(mm, ctx, BASE + (uint64_t)first * PAGE_SIZE, (uint64_t)n * PAGE_SIZE, prot);
	cr_assert_eq(ret, covered < n ? -ENOMEM : 0);
	for (int i = 0; i < n; i++) {
		struct fake_page *p = fake_page_find(fake_space(ctx), BASE + (uint64_t)(first + i) * PAGE_SIZE);

		cr_assert_eq(p != NULL, model[first + i].mapped);
		if (p)
			cr_assert_eq(p->prot, i < covered ? prot : model[first + i].prot);
	}
}

static void step_remap(int from, int n, int to, int to_n, uint32_t extra)
{
	bool overlap = from < to + to_n && to < from + n, one = model_one_vma(from, n);
	int64_t ret = mm_mremap(mm, ctx, &limits, BASE + (uint64_t)from * PAGE_SIZE, (uint64_t)n * PAGE_SIZE,
				(uint64_t)to_n * PAGE_SIZE, LINUX_MREMAP_MAYMOVE | LINUX_MREMAP_FIXED | extra,
				BASE + (uint64_t)to * PAGE_SIZE);

	if (overlap || ((extra & LINUX_MREMAP_DONTUNMAP) && n != to_n)) {
		cr_assert_eq(ret, -EINVAL);
		return;
	}
	if (!model[from].mapped) {
		cr_assert_eq(ret, -EFAULT);
		return;
	}
	if (ret < 0) {
		cr_assert((ret == -EFAULT && !one) || (ret == -EINVAL && model[from].shared), "%ld", ret);
		return;
	}
	for (int i = 0; i < MIN(n, to_n); i++)
		cr_assert_eq(fake_page_find(fake_space(ctx), BASE + (uint64_t)(to + i) * PAGE_SIZE)->stamp,
			     model[from + i].stamp, "contents didn't move along");
}

static void step(unsigned *seed)
{
	int first = rand_r(seed) % WINDOW, n = 1 + rand_r(seed) % 8, to = rand_r(seed) % (WINDOW - 10);
	uaddr_t addr;
	uint32_t prot = (uint32_t)rand_r(seed) & PROT_ALL;
	static const int advices[] = {LINUX_MADV_DONTFORK, LINUX_MADV_DOFORK, LINUX_MADV_DONTDUMP,
				      LINUX_MADV_DODUMP, LINUX_MADV_DONTNEED};
	int64_t ret;

	n = MIN(n, WINDOW - first);
	addr = BASE + (uint64_t)first * PAGE_SIZE;
	model_refresh();
	switch (rand_r(seed) % 12) {
	case 0:
	case 1:
	case 2:
		ret = map_at(addr, (uint64_t)n, prot,
			     (rand_r(seed) % 4 ? PRIVATE : LINUX_MAP_SHARED | LINUX_MAP_ANONYMOUS) |
				     LINUX_MAP_FIXED,
			     NULL, 0);
		cr_assert_eq(ret, (int64_t)addr);
		break;
	case 3:
		cr_assert_eq(mm_munmap(mm, ctx, addr, (uint64_t)n * PAGE_SIZE), 0);
		for (int i = 0; i < n; i++)
			cr_assert_null(fake_page_find(fake_space(ctx), addr + (uint64_t)i * PAGE_SIZE));
		break;
	case 4:
	case 5:
		step_protect(first, n, prot);
		break;
	case 6:
	case 7:
		fake_cut(fake_space(ctx), addr + PAGE_SIZE);
		step_remap(first, n, to, 1 + rand_r(seed) % 10, rand_r(seed) % 4 ? 0 : LINUX_MREMAP_DONTUNMAP);
		break;
	case 8: /* wherever it likes; may fail, must stay consistent */
		ret = mm_mremap(mm, ctx, &limits, addr, (uint64_t)n * PAGE_SIZE,
				(uint64_t)(1 + rand_r(seed) % 12) * PAGE_SIZE, rand_r(seed) % 2, 0);
		if (ret > 0 && ((uaddr_t)ret < BASE || (uaddr_t)ret >= BASE + WINDOW * PAGE_SIZE))
			cr_assert_eq(mm_munmap(mm, ctx, (uaddr_t)ret, 16 * PAGE_SIZE), 0);
		break;
	case 9:
		(void)!mm_madvise(mm, ctx, addr, (uint64_t)n * PAGE_SIZE, advices[rand_r(seed) % 5]);
		break;
	case 10:
		(void)!mm_mlock(mm, &limits, true, addr, (uint64_t)n * PAGE_SIZE, rand_r(seed) % 2);
		break;
	default:
		ret = map_at(rand_r(seed) % 2 ? addr : 0, (uint64_t)n, prot, PRIVATE, NULL, 0);
		cr_assert_gt(ret, 0);
		if ((uaddr_t)ret >= BASE + WINDOW * PAGE_SIZE || (uaddr_t)ret < BASE)
			cr_assert_eq(mm_munmap(mm, ctx, (uaddr_t)ret, (uint64_t)n * PAGE_SIZE), 0);
	}
}

/* A fork's books agree with its space. */
static void check_fork(void)
{
	struct context *child;
	struct mm *m2;

	fake->fail_at = 0;
	mm_fork_begin(mm);
	cr_assert_eq(fake_platform_ops.context_fork(ctx, &child), 0);
	cr_assert_eq(mm_fork(mm, child, &m2), 0);
	mm_fork_end(mm);
	cr_assert_eq(mm_fork_finish(m2, child), 0);
	check_child(m2, child);
	mm_put(m2);
	fake_platform_ops.context_destroy(child);
}

static void run_random(unsigned seed, int steps, bool failures)
{
	for (int i = 0; i < steps; i++) {
		uint64_t size = (1 + (uint64_t)rand_r(&seed) % 40) * PAGE_SIZE;
		uaddr_t high = BASE + (uint64_t)(rand_r(&seed) % (WINDOW + 8)) * PAGE_SIZE;

		if (failures && rand_r(&seed) % 3 == 0)
			fake->fail_at = fake->calls + 1 + (uint32_t)rand_r(&seed) % 3;
		if (failures) {
			uaddr_t addr = BASE + (uint64_t)(rand_r(&seed) % WINDOW) * PAGE_SIZE;
			uint64_t len = (1 + (uint64_t)rand_r(&seed) % 8) * PAGE_SIZE;

			switch (rand_r(&seed) % 5) {
			case 0:
				(void)!map_at(addr, len / PAGE_SIZE, RW, PRIVATE | LINUX_MAP_FIXED, NULL, 0);
				break;
			case 1:
				(void)!mm_munmap(mm, ctx, addr, len);
				break;
			case 2:
				(void)!mm_mprotect(mm, ctx, addr, len, (uint32_t)rand_r(&seed) & 7);
				break;
			default:
				(void)!mm_mremap(mm, ctx, &limits, addr, len, len + PAGE_SIZE, 3,
						 BASE + (uint64_t)(rand_r(&seed) % WINDOW) * PAGE_SIZE);
			}
		} else {
			step(&seed);
		}
		check_all();
		if (i % 40 == 0)
			check_fork();
		cr_assert_eq(vma_tree_gap(mm, size, PAGE_SIZE, GUEST_VA_MIN, high),
			     naive_gap(size, GUEST_VA_MIN, high));
	}
}

Test(mm, random_sequences)
{
	setup(true);
	for (unsigned seed = 1; seed <= 20; seed++)
		run_random(seed * 7919, 400, false);
	teardown();
}

Test(mm, random_host_failures)
{
	setup(false);
	for (unsigned seed = 1; seed <= 10; seed++)
		run_random(seed * 104729, 300, true);
	teardown();
}
