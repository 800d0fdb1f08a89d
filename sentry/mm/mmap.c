/* mmap.c: mmap(2): checking the request, choosing the place, mapping it on the host, noting it. */
#include "platform/base/checked.h"
#include "sentry/mm/internal.h"

#define MAP_32BIT_LOW  0x40000000UL
#define MAP_32BIT_HIGH 0x80000000UL
#define STACK_GUARD    (1UL << 20)
/* the flags that MAP_SHARED_VALIDATE knows */
#define MAP_KNOWN                                                                                              \
	((uint32_t)(LINUX_MAP_TYPE | LINUX_MAP_FIXED | LINUX_MAP_ANONYMOUS | LINUX_MAP_DENYWRITE |             \
		    LINUX_MAP_EXECUTABLE | LINUX_MAP_UNINITIALIZED | LINUX_MAP_GROWSDOWN | LINUX_MAP_LOCKED |  \
		    LINUX_MAP_NORESERVE | LINUX_MAP_POPULATE | LINUX_MAP_NONBLOCK | LINUX_MAP_STACK |          \
		    LINUX_MAP_HUGETLB | LINUX_MAP_32BIT |                                                      \
		    ((uint32_t)LINUX_MAP_HUGE_MASK << LINUX_MAP_HUGE_SHIFT)))

struct map_plan {
	uaddr_t addr;
	uint64_t size, offset;
	uint32_t prot, max_prot, flags;
	bool shared, fixed;
	enum vma_kind kind;
	struct mappable *file;
	int fd;
	uint64_t fd_offset;
};

static int plan_hugetlb(uint32_t flags)
{
	uint32_t log = (flags >> LINUX_MAP_HUGE_SHIFT) & LINUX_MAP_HUGE_MASK;

	/* A machine that has set no huge pages aside. */
	return log == 0 || log == 21 || log == 30 ? -ENOMEM : -EINVAL;
}

static int plan_flags(struct map_plan *p, const struct mmap_args *a)
{
	uint32_t type = a->flags & LINUX_MAP_TYPE;

	if (type != LINUX_MAP_SHARED && type != LINUX_MAP_PRIVATE &&
	    (type != LINUX_MAP_SHARED_VALIDATE || !a->file))
		return -EINVAL;
	if (type == LINUX_MAP_SHARED_VALIDATE && (a->flags & ~MAP_KNOWN))
		return -EOPNOTSUPP;
	if (a->flags & LINUX_MAP_HUGETLB)
		return a->file ? -EINVAL : plan_hugetlb(a->flags);
	p->shared = type != LINUX_MAP_PRIVATE;
	if ((a->flags & LINUX_MAP_GROWSDOWN) && (a->file || p->shared))
		return -EINVAL;
	p->flags = a->flags & ~(LINUX_MAP_TYPE | VMA_ACCOUNT);
	if (p->shared)
		p->flags |= LINUX_MAP_SHARED;
	p->fixed = a->flags & (LINUX_MAP_FIXED | LINUX_MAP_FIXED_NOREPLACE);
	return 0;
}

static int plan_init(struct map_plan *p, const struct mmap_args *a)
{
	uint64_t end;
	int ret;

	*p = (struct map_plan){.addr = a->addr, .offset = a->offset, .kind = a->kind, .fd = -1};
	if (a->size == 0 || !IS_ALIGNED(a->offset, PAGE_SIZE))
		return -EINVAL;
	if (a->size > GUEST_VA_END)
		return -ENOMEM;
	p->size = ROUND_UP(a->size, PAGE_SIZE);
	if (a->file && (add_overflows(a->offset, p->size, &end) || end > INT64_MAX))
		return -EOVERFLOW;
	ret = plan_flags(p, a);
	if (ret < 0)
		return ret;
	p->prot = a->prot & PROT_ALL;
	p->max_prot = a->max_prot ? a->max_prot & PROT_ALL : PROT_ALL;
	if (!p->shared && (p->prot & LINUX_PROT_WRITE) && !(p->flags & LINUX_MAP_NORESERVE))
		p->flags |= VMA_ACCOUNT;
	if (p->prot & ~p->max_prot)
		return -EACCES;
	return 0;
}

/* The host descriptor, asked for without mm's lock. A file that can't be written stays mappable for
 * reading; mprotect is then told so. */
static int plan_resolve(struct map_plan *p)
{
	bool write = p->shared && (p->max_prot & LINUX_PROT_WRITE);
	int ret;

	if (!p->file)
		return 0;
	ret = p->file->ops->host_fd(p->file, p->offset, p->size, write, &p->fd, &p->fd_offset);
	if (ret == -EACCES && write && !(p->prot & LINUX_PROT_WRITE)) {
		p->max_prot &= ~(uint32_t)LINUX_PROT_WRITE;
		ret = p->file->ops->host_fd(p->file, p->offset, p->size, false, &p->fd, &p->fd_offset);
	}
	return ret;
}

static bool vma_is_untouchable(const struct vma *v)
{
	return vma_is_hidden(v) || vma_is_special(v);
}

static bool vma_is_any(const struct vma *v)
{
	return v != NULL;
}

bool mm_is_free(struct mm *mm, uaddr_t addr, uint64_t size)
{
	struct vma *v;

	if (!mm_range_ok(addr, size) || addr < GUEST_VA_MIN)
		return false;
	v = vma_find(mm, addr);
	return !v || v->start >= addr + size;
}

static int check_fixed(const struct mm *mm, const struct map_plan *p)
{
	if (!IS_ALIGNED(p->addr, PAGE_SIZE))
		return -EINVAL;
	if (!mm_range_ok(p->addr, p->size))
		return -ENOMEM;
	if (p->addr < GUEST_VA_MIN)
		return -EPERM;
	if ((p->flags & LINUX_MAP_FIXED_NOREPLACE) && mm_range_has(mm, p->addr, p->addr + p->size, vma_is_any))
		return -EEXIST;
	return mm_range_has(mm, p->addr, p->addr + p->size, vma_is_untouchable) ? -ENOMEM : 0;
}

/* Room for the guard that Linux keeps below a mapping that grows down. */
static bool hint_fits(struct mm *mm, uaddr_t addr, uint64_t size)
{
	struct vma *v;

	if (!mm_is_free(mm, addr, size))
		return false;
	v = vma_find(mm, addr);
	return !v || !(v->flags & LINUX_MAP_GROWSDOWN) || v->start - (addr + size) >= STACK_GUARD;
}

static uaddr_t mm_gap(const struct mm *mm, uint64_t size, uint64_t align)
{
	uaddr_t at = vma_tree_gap(mm, size, align, GUEST_VA_MIN, mm->mmap_top);

	if (!at && align > PAGE_SIZE)
		at = vma_tree_gap(mm, size, PAGE_SIZE, GUEST_VA_MIN, mm->mmap_top);
	return at ? at : vma_tree_gap(mm, size, PAGE_SIZE, GUEST_VA_MIN, GUEST_VA_END);
}

uaddr_t mm_find_free(struct mm *mm, uint64_t size, uint64_t align)
{
	uaddr_t at;

	mutex_lock(&mm->lock);
	at = mm_gap(mm, size, align);
	mutex_unlock(&mm->lock);
	return at;
}

/* Settles p->addr. */
static int choose_addr(struct mm *mm, struct map_plan *p)
{
	uaddr_t hint = ROUND_DOWN(p->addr, PAGE_SIZE), top = GUEST_VA_END;
	bool huge;

	if (p->fixed)
		return check_fixed(mm, p);
	if (p->flags & LINUX_MAP_32BIT)
		top = MAP_32BIT_HIGH;
	if (hint) {
		hint = MAX(hint, GUEST_VA_MIN);
		if (mm_range_ok(hint, p->size) && hint + p->size <= top && hint_fits(mm, hint, p->size)) {
			p->addr = hint;
			return 0;
		}
	}
	/* Large anonymous areas start where a huge page may. */
	huge = !p->file && p->size >= MM_HUGE_PAGE && IS_ALIGNED(p->size, MM_HUGE_PAGE);
	if (p->flags & LINUX_MAP_32BIT)
		p->addr = vma_tree_gap(mm, p->size, PAGE_SIZE, MAP_32BIT_LOW, MAP_32BIT_HIGH);
	else
		p->addr = mm_gap(mm, p->size, huge ? MM_HUGE_PAGE : PAGE_SIZE);
	return p->addr ? 0 : -ENOMEM;
}

static uint64_t mapped_pages(const struct mm *mm, uaddr_t start, uaddr_t end)
{
	uint64_t pages = 0;

	for (struct vma *v = vma_find(mm, start); v && v->start < end; v = vma_next(v))
		pages += (MIN(v->end, end) - MAX(v->start, start)) / PAGE_SIZE;
	return pages;
}

static int check_limits(const struct mm *mm, struct rlimits *limits, const struct map_plan *p)
{
	uint64_t pages = p->size / PAGE_SIZE, replaced = 0;
	bool data = (p->prot & LINUX_PROT_WRITE) && !p->shared && !(p->flags & LINUX_MAP_GROWSDOWN);

	if (p->fixed)
		replaced = mapped_pages(mm, p->addr, p->addr + p->size);
	if (!mm_may_expand(mm, limits, pages - replaced, data) || mm_count_exceeded(mm, replaced ? 2 : 1))
		return -ENOMEM;
	if ((p->flags & VMA_ACCOUNT) && mm_overcommits(p->size))
		return -ENOMEM;
	if (p->flags & LINUX_MAP_LOCKED)
		return mm_may_lock(mm, limits, pages);
	return 0;
}

static void plan_note(struct mm *mm, struct mm_batch *b, const struct map_plan *p)
{
	struct vma *v = mm_batch_take(b);

	mm_clear_range(mm, b, p->addr, p->addr + p->size);
	v->start = p->addr;
	v->end = p->addr + p->size;
	v->prot = p->prot;
	v->max_prot = p->max_prot;
	v->flags = p->flags & (VMA_FLAGS_KEPT | VMA_ACCOUNT);
	v->kind = p->kind;
	v->offset = p->file ? p->offset : p->addr;
	if (p->file)
		vma_set_file(v, p->file);
	vma_link(mm, v);
	mm_merge_range(mm, b, v->start, v->end);
}

static int map_locked(struct mm *mm, struct context *ctx, struct rlimits *limits, struct mm_batch *b,
		      struct map_plan *p)
{
	struct map_request r;
	int ret = choose_addr(mm, p);

	if (ret < 0)
		return ret;
	if (mm->lock_future)
		p->flags |= LINUX_MAP_LOCKED;
	ret = check_limits(mm, limits, p);
	if (ret < 0)
		return ret;
	r = (struct map_request){
		.addr = p->addr,
		.size = p->size,
		.prot = p->prot,
		.shared = p->shared,
		.noreserve = p->flags & LINUX_MAP_NORESERVE,
		.populate = (p->flags & LINUX_MAP_LOCKED) ||
			    (p->flags & (LINUX_MAP_POPULATE | LINUX_MAP_NONBLOCK)) == LINUX_MAP_POPULATE,
		.fd = p->fd,
		.offset = p->fd_offset,
	};
	ret = mm_ops(mm)->map(ctx, &r);
	if (ret < 0) {
		/* What was there may be gone already: make it so on both sides, as Linux does. */
		if (p->fixed && mm_range_has(mm, p->addr, p->addr + p->size, vma_is_any) &&
		    mm_ops(mm)->unmap(ctx, p->addr, p->size) == 0)
			mm_clear_range(mm, b, p->addr, p->addr + p->size);
		return ret;
	}
	plan_note(mm, b, p);
	return 0;
}

int64_t mm_mmap(struct mm *mm, struct context *ctx, struct rlimits *limits, const struct mmap_args *a)
{
	struct mappable *own = NULL;
	struct mm_batch b;
	struct map_plan p;
	int ret = plan_init(&p, a);

	if (ret < 0)
		return ret;
	p.file = a->file;
	if (!p.file && p.shared) {
		if (mm_overcommits(p.size))
			return -ENOMEM;
		ret = anon_shared_create(p.size, "/dev/zero (deleted)", &own);
		if (ret < 0)
			return ret;
		p.file = own;
		p.offset = 0;
	}
	ret = plan_resolve(&p);
	if (ret < 0)
		goto out;
	ret = mm_batch_begin(&b, 3);
	if (ret < 0)
		goto out;
	mutex_lock(&mm->lock);
	ret = map_locked(mm, ctx, limits, &b, &p);
	mutex_unlock(&mm->lock);
	mm_batch_end(&b);
out:
	if (own)
		own->ops->put(own);
	return ret < 0 ? ret : (int64_t)p.addr;
}
