/* fake_platform.c: see fake_platform.h. */
#include "tests/harness/fake_platform.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "platform/abi/errno.h"
#include "platform/abi/mman.h"
#include "platform/base/bug.h"

#define VVAR_START 0x7ffff7fc0000UL
#define VDSO_START 0x7ffff7fc4000UL
#define VDSO_END   0x7ffff7fc6000UL

static struct fake_platform *fake_of(struct platform *p)
{
	return (struct fake_platform *)p;
}

static struct fake_page **page_slot(struct fake_aspace *s, uaddr_t addr)
{
	struct fake_page **p = &s->pages[(addr / PAGE_SIZE) % FAKE_BUCKETS];

	while (*p && (*p)->addr != addr)
		p = &(*p)->next;
	return p;
}

struct fake_page *fake_page_find(struct fake_aspace *s, uaddr_t addr)
{
	return *page_slot(s, addr);
}

void fake_cut(struct fake_aspace *s, uaddr_t addr)
{
	struct fake_page *p = fake_page_find(s, addr);

	if (p)
		p->cut = true;
}

static struct fake_page *page_take(struct fake_aspace *s, uaddr_t addr)
{
	struct fake_page **slot = page_slot(s, addr), *p = *slot;

	if (p) {
		*slot = p->next;
		s->count--;
	}
	return p;
}

static void page_drop(struct fake_aspace *s, uaddr_t addr)
{
	struct fake_page *p = page_take(s, addr);

	if (p)
		free(p->data);
	free(p);
}

static void page_put(struct fake_aspace *s, struct fake_page *p)
{
	struct fake_page **slot = page_slot(s, p->addr);

	BUG_ON(*slot);
	p->next = NULL;
	*slot = p;
	s->count++;
}

static bool must_fail(struct context *c)
{
	struct fake_platform *f = fake_of(c->platform);

	return ++f->calls == f->fail_at;
}

static bool bad_range(uaddr_t addr, uint64_t size)
{
	return !IS_ALIGNED(addr | size, PAGE_SIZE) || size == 0 || addr < GUEST_VA_MIN ||
	       addr + size > GUEST_VA_END || addr + size < addr ||
	       (addr < SBX_HOLE_END && addr + size > SBX_HOLE_START);
}

static int fake_map(struct context *c, const struct map_request *r)
{
	struct fake_aspace *s = fake_space(c);

	BUG_ON(bad_range(r->addr, r->size)); /* the kernel must never ask for this */
	if (must_fail(c))
		return -ENOMEM;
	for (uaddr_t a = r->addr; a < r->addr + r->size; a += PAGE_SIZE) {
		struct fake_page *p = calloc(1, sizeof(*p));

		page_drop(s, a);
		*p = (struct fake_page){.addr = a,
					.prot = r->prot,
					.shared = r->shared,
					.fd = r->fd,
					.offset = r->fd < 0 ? 0 : r->offset + (a - r->addr),
					.stamp = ++fake_of(c->platform)->next_stamp};
		page_put(s, p);
	}
	return 0;
}

static int fake_unmap(struct context *c, uaddr_t addr, uint64_t size)
{
	BUG_ON(bad_range(addr, size));
	if (must_fail(c))
		return -ENOMEM;
	for (uaddr_t a = addr; a < addr + size; a += PAGE_SIZE)
		page_drop(fake_space(c), a);
	return 0;
}

static int fake_protect(struct context *c, uaddr_t addr, uint64_t size, uint32_t prot)
{
	BUG_ON(bad_range(addr, size));
	if (must_fail(c))
		return -ENOMEM;
	for (uaddr_t a = addr; a < addr + size; a += PAGE_SIZE) {
		struct fake_page *p = fake_page_find(fake_space(c), a);

		if (!p)
			return -ENOMEM;
		p->prot = prot;
	}
	return 0;
}

static int fake_remap(struct context *c, uaddr_t old, uint64_t old_size, uaddr_t new_addr, uint64_t new_size,
		      uint32_t flags)
{
	struct fake_aspace *s = fake_space(c);
	struct fake_page *last = NULL, *p;

	BUG_ON(bad_range(old, old_size) || bad_range(new_addr, new_size) || new_size < old_size);
	BUG_ON(old < new_addr + new_size && new_addr < old + old_size);
	if (must_fail(c))
		return -ENOMEM;
	for (uaddr_t a = old; a < old + old_size; a += PAGE_SIZE) {
		p = fake_page_find(s, a);
		if (!p || (p->cut && a != old))
			return -EFAULT;
	}
	for (uaddr_t a = new_addr; a < new_addr + new_size; a += PAGE_SIZE)
		page_drop(s, a);
	for (uint64_t off = 0; off < new_size; off += PAGE_SIZE) {
		p = off < old_size ? page_take(s, old + off) : NULL;
		if (!p) { /* grown */
			p = calloc(1, sizeof(*p));
			*p = *last;
			p->data = NULL;
			p->offset = last->fd < 0 ? 0 : last->offset + PAGE_SIZE;
			p->stamp = ++fake_of(c->platform)->next_stamp;
		}
		p->addr = new_addr + off;
		p->cut = false;
		page_put(s, p);
		if (flags & LINUX_MREMAP_DONTUNMAP) {
			struct fake_page *q = calloc(1, sizeof(*q));

			*q = *p;
			q->data = NULL;
			q->addr = old + off;
			q->stamp = ++fake_of(c->platform)->next_stamp;
			page_put(s, q);
		}
		last = p;
	}
	return 0;
}

static int fake_advise(struct context *c, uaddr_t addr, uint64_t size, int advice)
{
	for (uaddr_t a = addr; a < addr + size; a += PAGE_SIZE) {
		struct fake_page *p = fake_page_find(fake_space(c), a);

		if (!p)
			return -ENOMEM;
		if (advice == LINUX_MADV_DONTNEED) {
			free(p->data);
			p->data = NULL;
		}
	}
	return 0;
}

static int fake_mincore(struct context *c, uaddr_t addr, uint64_t size, uint8_t *vec)
{
	for (uint64_t i = 0; i < size / PAGE_SIZE; i++) {
		struct fake_page *p = fake_page_find(fake_space(c), addr + i * PAGE_SIZE);

		if (!p)
			return -ENOMEM;
		vec[i] = p->data != NULL;
	}
	return 0;
}

/* One page's worth; false: a fault. */
static bool page_copy(struct fake_page *p, size_t in, void *buf, size_t n, bool write)
{
	if (!p || !(p->prot & (write ? LINUX_PROT_WRITE : LINUX_PROT_READ)))
		return false;
	if (p->shared && p->fd >= 0) {
		off_t off = (off_t)(p->offset + in);

		return (write ? pwrite(p->fd, buf, n, off) : pread(p->fd, buf, n, off)) == (ssize_t)n;
	}
	if (!p->data) {
		p->data = calloc(1, PAGE_SIZE);
		if (p->fd >= 0 && pread(p->fd, p->data, PAGE_SIZE, (off_t)p->offset) <= 0)
			return false; /* beyond the end: SIGBUS */
	}
	memcpy(write ? (void *)(p->data + in) : buf, write ? buf : (void *)(p->data + in), n);
	return true;
}

static ssize_t space_copy(struct aspace *as, uaddr_t addr, void *buf, size_t n, bool write)
{
	size_t done = 0;

	while (done < n) {
		uaddr_t a = addr + done;
		size_t in = a % PAGE_SIZE, part = MIN(n - done, PAGE_SIZE - in);

		if (!page_copy(fake_page_find((struct fake_aspace *)as, a - in), in, (char *)buf + done, part,
			       write))
			break;
		done += part;
	}
	return (ssize_t)done;
}

static ssize_t fake_copy_in(struct aspace *as, struct context *c, void *dst, uaddr_t src, size_t size)
{
	(void)c;
	return space_copy(as, src, dst, size, false);
}

static ssize_t fake_copy_out(struct aspace *as, struct context *c, uaddr_t dst, const void *src, size_t size)
{
	(void)c;
	return space_copy(as, dst, (void *)(uintptr_t)src, size, true);
}

static int fake_cmpxchg(struct context *c, uaddr_t addr, uint32_t *expected, uint32_t desired)
{
	uint32_t now;

	if (space_copy(c->as, addr, &now, sizeof(now), false) != sizeof(now))
		return -EFAULT;
	if (now == *expected && space_copy(c->as, addr, &desired, sizeof(desired), true) != sizeof(desired))
		return -EFAULT;
	*expected = now;
	return 0;
}

static struct fake_aspace *space_create(struct platform *p)
{
	struct fake_aspace *s = calloc(1, sizeof(*s));

	s->as.platform = p;
	refs_init(&s->as.refs);
	fake_of(p)->spaces++;
	return s;
}

static int context_make(struct platform *p, struct aspace *as, struct context **out)
{
	struct fake_context *c = calloc(1, sizeof(*c));

	c->c.platform = p;
	c->c.as = as;
	fake_of(p)->contexts++;
	*out = &c->c;
	return 0;
}

static int fake_context_create(struct platform *p, struct context **out)
{
	return context_make(p, &space_create(p)->as, out);
}

static int fake_context_fork(struct context *c, struct context **out)
{
	struct fake_aspace *s = space_create(c->platform);

	for (size_t i = 0; i < FAKE_BUCKETS; i++)
		for (struct fake_page *p = fake_space(c)->pages[i]; p; p = p->next) {
			struct fake_page *q = calloc(1, sizeof(*q));

			*q = *p;
			if (p->data) {
				q->data = malloc(PAGE_SIZE);
				memcpy(q->data, p->data, PAGE_SIZE);
			}
			page_put(s, q);
		}
	return context_make(c->platform, &s->as, out);
}

static int fake_context_thread(struct context *c, struct context **out)
{
	aspace_get(c->as);
	return context_make(c->platform, c->as, out);
}

static int fake_context_new_aspace(struct context *c)
{
	struct aspace *old = c->as;

	c->as = &space_create(c->platform)->as;
	aspace_put(old);
	return 0;
}

static int fake_context_bind(struct context *c)
{
	(void)c;
	return 0;
}

static void fake_context_destroy(struct context *c)
{
	fake_of(c->platform)->contexts--;
	aspace_put(c->as);
	free(c);
}

static void fake_aspace_destroy(struct aspace *as)
{
	struct fake_aspace *s = (struct fake_aspace *)as;

	fake_of(as->platform)->spaces--;
	for (size_t i = 0; i < FAKE_BUCKETS; i++)
		while (s->pages[i])
			page_drop(s, s->pages[i]->addr);
	free(s);
}

void fake_queue_event(struct context *c, const struct run_event *ev)
{
	struct fake_context *f = (struct fake_context *)c;

	BUG_ON(f->event_count == ARRAY_SIZE(f->events));
	f->events[f->event_count++] = *ev;
}

static int fake_run(struct context *c, struct run_event *ev)
{
	struct fake_context *f = (struct fake_context *)c;

	if (f->event_next == f->event_count)
		*ev = (struct run_event){.reason = RUN_EXITED};
	else
		*ev = f->events[f->event_next++];
	return 0;
}

static void fake_kick(struct context *c)
{
	((struct fake_context *)c)->kicks++;
}

static struct guest_regs *fake_regs(struct context *c, bool write)
{
	(void)write;
	return &((struct fake_context *)c)->regs;
}

static void fake_set_result(struct context *c, int64_t result)
{
	((struct fake_context *)c)->result = result;
}

static size_t fake_fpstate_size(struct platform *p, uint64_t *xfeatures)
{
	(void)p;
	*xfeatures = 3;
	return 576;
}

static uint64_t fake_resident(struct aspace *as)
{
	return ((struct fake_aspace *)as)->count * PAGE_SIZE;
}

const struct platform_ops fake_platform_ops = {
	.name = "fake",
	.context_create = fake_context_create,
	.context_fork = fake_context_fork,
	.context_thread = fake_context_thread,
	.context_new_aspace = fake_context_new_aspace,
	.context_bind = fake_context_bind,
	.context_destroy = fake_context_destroy,
	.aspace_destroy = fake_aspace_destroy,
	.run = fake_run,
	.kick = fake_kick,
	.regs = fake_regs,
	.set_result = fake_set_result,
	.fpstate_size = fake_fpstate_size,
	.map = fake_map,
	.unmap = fake_unmap,
	.protect = fake_protect,
	.remap = fake_remap,
	.advise = fake_advise,
	.mincore = fake_mincore,
	.copy_in = fake_copy_in,
	.copy_out = fake_copy_out,
	.cmpxchg_u32 = fake_cmpxchg,
	.resident = fake_resident,
};

struct fake_platform *fake_platform_create(bool vdso)
{
	struct fake_platform *f = calloc(1, sizeof(*f));

	f->p.ops = &fake_platform_ops;
	if (vdso) {
		f->p.vvar_start = VVAR_START;
		f->p.vdso_start = VDSO_START;
		f->p.vdso_end = VDSO_END;
	}
	return f;
}
