/* patches.c: the making of patches. When calls have come from a site by signal often enough, its text is
 * looked at (platform/patch), a trampoline is placed in a pool of hidden pages nearby, and the stub writes
 * both. Text is only patched where we mapped it private and executable ourselves. No lock but text_lock is
 * held while the stub works, and none while mm gives room. */
#include "platform/systrap/book.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "platform/base/arena.h"
#include "platform/base/hash.h"

#define TRAPS_REFUSED 255

/* Fills in the order for the stub; see struct stub_patch. */
static int64_t write_text(struct sys_context *c, uaddr_t start, const uint8_t *bytes, const struct text *t,
			  uaddr_t tramp, const uint8_t *code, size_t code_size)
{
	struct stub_patch *o = (struct stub_patch *)((char *)c->slot + SLOT_SCRATCH);
	uaddr_t page = start & PAGE_MASK;

	memset(o, 0, sizeof(*o));
	o->text = page;
	o->text_size = ROUND_UP(start + PATCH_JUMP_SIZE, PAGE_SIZE) - page;
	o->text_prot = t->prot;
	o->start = start;
	memcpy(o->jump, bytes, PATCH_JUMP_SIZE);
	if (code_size) {
		o->pool = tramp & PAGE_MASK;
		o->pool_size = ROUND_UP(tramp + code_size, PAGE_SIZE) - o->pool;
		o->tramp = tramp;
		memcpy(o->code, code, code_size);
		o->code_size = code_size;
	}
	o->alone = !__atomic_load_n(&c->proc->threaded, __ATOMIC_RELAXED);
	return stub_command(c, CMD_PATCH, 0, 0, 0, 0, 0, 0, 0);
}

/* A free place for s's trampoline. */
static bool find_place(struct patch_book *b, struct site *s, uint16_t **slot)
{
	for (uint32_t i = 0; i < b->pool_count; i++) {
		uaddr_t at = b->pools[i]->at + POOL_HEAD;

		for (uint32_t j = 0; j < POOL_SLOTS; j++, at += PATCH_TRAMP_SIZE) {
			if (b->pools[i]->site_of[j] || !patch_place_fits(&s->plan, s->start, at))
				continue;
			*slot = &b->pools[i]->site_of[j];
			s->tramp = at;
			s->entry = b->pools[i]->at;
			return true;
		}
	}
	return false;
}

/* A new pool in reach of near: room from mm, pages from the host. Without locks. */
static int add_pool(struct sys_context *c, uaddr_t near)
{
	struct aspace *as = c->base.as;
	uint64_t entry = sys_platform(c->base.platform)->stub->syscall;
	struct pool *pool = kmalloc(sizeof(*pool));
	struct patch_book *b;
	int ret = -ENOMEM;

	if (!pool)
		return -ENOMEM;
	pool->at = as->alloc_hidden ? as->alloc_hidden(as->owner, near, POOL_REACH, POOL_SIZE) : 0;
	if (!pool->at)
		goto fail;
	if (stub_command(c, CMD_CALL, SYS_mmap, pool->at, POOL_SIZE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, (uint64_t)-1, 0) != (int64_t)pool->at)
		goto fail;
	if (systrap_copy_out(as, &c->base, pool->at, &entry, sizeof(entry)) != sizeof(entry) ||
	    stub_command(c, CMD_CALL, SYS_mprotect, pool->at, POOL_SIZE, PROT_READ | PROT_EXEC, 0, 0, 0) != 0)
		goto fail;
	LOCK(&c->proc->lock);
	b = book_own(c->proc);
	if (b && b->pool_count < POOLS_MAX) {
		b->pools[b->pool_count++] = pool;
		ret = 0;
	}
	mutex_unlock(&c->proc->lock);
	if (ret == 0)
		return 0;
fail:
	kfree(pool);
	return ret;
}

/* A site that was patched before, and whose text came back from the file: the same again, or never. */
static int revive(struct patch_book *b, struct site *s, const uint8_t *window, struct site *out, struct text *t)
{
	const struct text *text = book_text(b, s->start, MAX(s->start + PATCH_JUMP_SIZE, s->call + 2));

	if (s->live)
		return 1; /* another thread was first */
	if (!text || memcmp(s->old, window + s->plan.start, PATCH_JUMP_SIZE))
		return -EINVAL;
	s->live = true;
	*out = *s;
	*t = *text;
	return 0;
}

/* Enters the site into the book. Called with proc->lock. *t: the text it lies in. 1: nothing to do;
 * -ENOSPC: no pool has a place. An entry, once made, names its trampoline for good: a thread may be in
 * there. */
static int reserve(struct sys_context *c, uaddr_t call, const uint8_t *window, struct site *out, struct text *t)
{
	struct patch_book *b = book_own(c->proc);
	struct site *s = book_find(b, call);
	const struct text *text;
	uint16_t *slot;
	int ret;

	if (!b || b->disabled)
		return -EINVAL;
	if (s)
		return revive(b, s, window, out, t);
	*out = (struct site){.call = call, .live = true};
	ret = patch_plan(window, &c->regs, &out->plan);
	if (ret < 0)
		return ret;
	out->start = call - PATCH_WINDOW_HEAD + out->plan.start;
	memcpy(out->old, window + out->plan.start, PATCH_JUMP_SIZE);
	text = book_text(b, MIN(out->start, call), MAX(out->start + PATCH_JUMP_SIZE, call + 2));
	if (!text)
		return -EINVAL;
	*t = *text;
	if (!find_place(b, out, &slot))
		return -ENOSPC;
	ret = book_add(b, out);
	if (ret < 0)
		return ret;
	*slot = (uint16_t)ret;
	return 0;
}

/* The text around a call; zeros where there is none. */
static int read_window(struct sys_context *c, uaddr_t call, uint8_t *window)
{
	size_t head = MIN(call & ~PAGE_MASK, (uaddr_t)PATCH_WINDOW_HEAD), need = head + REGS_SYSCALL_INSN_SIZE;
	ssize_t n = 0;

	if (head < PATCH_WINDOW_HEAD) /* the page before may not be mapped */
		n = systrap_copy_in(c->base.as, &c->base, window, call - PATCH_WINDOW_HEAD,
				    PATCH_WINDOW_HEAD - head);
	(void)n;
	n = systrap_copy_in(c->base.as, &c->base, window + PATCH_WINDOW_HEAD - head, call - head,
			    head + PATCH_WINDOW_TAIL);
	return n >= (ssize_t)need ? 0 : -EFAULT;
}

/* Called with text_lock. */
static int patch_site(struct sys_context *c, uaddr_t call, const uint8_t *window)
{
	uint8_t jump[PATCH_JUMP_SIZE], code[PATCH_TRAMP_SIZE];
	struct site s;
	struct text t;
	size_t n;
	int ret;

	LOCK(&c->proc->lock);
	ret = reserve(c, call, window, &s, &t);
	mutex_unlock(&c->proc->lock);
	if (ret)
		return MIN(ret, 0);
	n = patch_build(&s.plan, call, s.tramp, s.entry, code);
	patch_jump(s.start, s.tramp, jump);
	if (write_text(c, s.start, jump, &t, s.tramp, code, n) == 0)
		return 0;
	patch_forget(c, s.start, PATCH_JUMP_SIZE);
	return -EFAULT;
}

static int try_patch(struct sys_context *c, uaddr_t call)
{
	uint8_t window[PATCH_WINDOW_HEAD + PATCH_WINDOW_TAIL] = {0};
	int ret = read_window(c, call, window);

	if (ret < 0)
		return ret;
	regs_pull(c);
	for (int tries = 0; tries < 2; tries++) {
		LOCK(&c->proc->text_lock);
		ret = patch_site(c, call, window);
		mutex_unlock(&c->proc->text_lock);
		if (ret != -ENOSPC)
			return ret;
		ret = add_pool(c, call);
		if (ret < 0)
			return ret;
	}
	return -ENOMEM;
}

/* One of two places. */
static struct trap_count *find_count(struct sys_proc *proc, uaddr_t call)
{
	uint64_t h = hash_u64(call);
	struct trap_count *a = &proc->traps[h % TRAP_COUNTS], *b = &proc->traps[(h >> 32) % TRAP_COUNTS];

	if (__atomic_load_n(&a->site, __ATOMIC_RELAXED) == call)
		return a;
	if (__atomic_load_n(&b->site, __ATOMIC_RELAXED) == call)
		return b;
	return __atomic_load_n(&a->count, __ATOMIC_RELAXED) <= __atomic_load_n(&b->count, __ATOMIC_RELAXED) ? a
													    : b;
}

/* Threads may mix up each other's counts: then a site is patched a little later. */
static uint32_t count_trap(struct trap_count *t, uaddr_t call, uint32_t n)
{
	if (__atomic_load_n(&t->site, __ATOMIC_RELAXED) != call) {
		__atomic_store_n(&t->site, call, __ATOMIC_RELAXED);
		__atomic_store_n(&t->count, 0, __ATOMIC_RELAXED);
	}
	if (__atomic_load_n(&t->count, __ATOMIC_RELAXED) == TRAPS_REFUSED)
		return TRAPS_REFUSED;
	return __atomic_add_fetch(&t->count, n, __ATOMIC_RELAXED);
}

/* The stub of this thread may answer calls from there without asking. */
static void mark_hopeless(struct sys_context *c, uaddr_t call)
{
	uint32_t ip = (uint32_t)(call + REGS_SYSCALL_INSN_SIZE);

	c->slot->hopeless[HOPELESS_INDEX(ip)] = ip;
	__atomic_store_n(&c->proc->hopeless[HOPELESS_INDEX(ip)], ip, __ATOMIC_RELAXED);
}

/* A call came by signal. Sites that come again are patched; those that can't be are remembered. Calls still
 * come so from patched ones: when made again, or when a branch passes the jump by. */
void patch_arrival(struct sys_context *c)
{
	uaddr_t call = context_frame(c)->rip - REGS_SYSCALL_INSN_SIZE;
	struct trap_count *t = find_count(c->proc, call);
	struct site *s;
	uint32_t count, n = 1;
	bool live;

	if (UNLIKELY(__atomic_load_n(&c->slot->trap_due,
				     __ATOMIC_RELAXED))) { /* with those that we didn't see */
		c->slot->trap_due = 0;
		n = TRAPS_ENOUGH;
	}
	if (!has_book(c->proc) || c->gs_base)
		return;
	count = count_trap(t, call, n);
	if (count == TRAPS_REFUSED)
		mark_hopeless(c, call);
	if (count == TRAPS_REFUSED || count < TRAPS_ENOUGH)
		return;
	LOCK(&c->proc->lock);
	s = book_find(c->proc->patches, call);
	live = s && s->live;
	mutex_unlock(&c->proc->lock);
	if (live)
		return;
	if (try_patch(c, call) == 0) {
		STAT_INC(c, sites_patched);
		__atomic_store_n(&t->count, 0, __ATOMIC_RELAXED);
	} else {
		STAT_INC(c, sites_refused);
		__atomic_store_n(&t->count, TRAPS_REFUSED, __ATOMIC_RELAXED);
		mark_hopeless(c, call);
	}
}

/* Puts the old bytes back. Called with text_lock. */
static void undo(struct sys_context *c, uaddr_t from, uaddr_t to)
{
	for (uint32_t i = 0;; i++) {
		const struct text *text;
		struct text t = {0};
		struct site s = {0};
		bool more;

		LOCK(&c->proc->lock);
		more = c->proc->patches && i < c->proc->patches->site_count;
		if (more) {
			s = c->proc->patches->sites[i];
			text = book_text(c->proc->patches, s.start, s.start + PATCH_JUMP_SIZE);
			if (text)
				t = *text;
			else
				s.live = false;
		}
		mutex_unlock(&c->proc->lock);
		if (!more)
			break;
		if (s.live && s.start < to && s.start + PATCH_JUMP_SIZE > from)
			(void)write_text(c, s.start, s.old, &t, 0, NULL, 0);
	}
}

/* Changes of mappings and the writing of text keep out of each other's way. */
void patch_lock_text(struct sys_context *c)
{
	copies_flush(c);
	LOCK(&c->proc->text_lock);
}

void patch_unlock_text(struct sys_context *c)
{
	mutex_unlock(&c->proc->text_lock);
}

void patch_undo(struct sys_context *c, uaddr_t addr, uint64_t size)
{
	if (!has_book(c->proc))
		return;
	undo(c, addr, addr + size);
	patch_forget(c, addr, size);
}

void patch_disable(struct sys_context *c)
{
	struct patch_book *b;

	patch_lock_text(c);
	undo(c, 0, GUEST_VA_END);
	LOCK(&c->proc->lock);
	b = book_own(c->proc);
	for (uint32_t i = 0; b && i < b->site_count; i++)
		b->sites[i].live = false;
	if (b)
		b->disabled = true;
	mutex_unlock(&c->proc->lock);
	patch_unlock_text(c);
}
