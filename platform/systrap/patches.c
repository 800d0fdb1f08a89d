/* patches.c: which call sites of a process are patched, where their trampolines are, and the making of a new
 * one: the second time that a call comes from a site by signal, its text is looked at (platform/patch), a
 * trampoline is placed in a pool of hidden pages nearby, and the stub writes both.
 *
 * The books are shared between a process and its forks until one of them changes them. Text is only patched
 * where we mapped it private and executable ourselves. Lock: proc.lock; none is held while the stub works or
 * mm gives room. */
#include "platform/systrap/internal.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "platform/abi/mman.h"
#include "platform/base/arena.h"
#include "platform/base/hash.h"
#include "platform/patch/patch.h"

#define POOL_SIZE   0x10000UL
#define POOL_HEAD   64 /* holds the address of the stub's entry */
#define POOL_SLOTS  ((POOL_SIZE - POOL_HEAD) / PATCH_TRAMP_SIZE)
#define POOL_REACH  0x60000000UL
#define POOLS_MAX   64
#define SITES_MAX   8192
#define TEXTS_MAX   512
#define PATCH_AFTER_TRAPS 2
#define TRAPS_REFUSED	  255

struct site {
	uaddr_t call;  /* address of the call instruction */
	uaddr_t start; /* of the jump */
	uaddr_t tramp, entry; /* the trampoline, and where its pool keeps the stub's entry */
	struct patch_plan plan;
	bool live; /* the jump is in the text */
	uint8_t old[PATCH_JUMP_SIZE];
};

struct pool {
	uaddr_t at;
	uint16_t site_of[POOL_SLOTS]; /* index + 1; 0: free. Never reused: a thread may still be in there. */
};

struct text {
	uaddr_t start, end;
	uint32_t prot;
};

struct patch_book {
	struct refs refs;
	bool disabled;
	uint32_t site_count, site_cap, text_count, pool_count, hash_cap;
	struct site *sites;
	uint16_t *hash; /* open addressing by call: index + 1 */
	struct text *texts; /* TEXTS_MAX, sorted by start, disjoint */
	struct pool *pools[POOLS_MAX];
};

/* ---- books ------------------------------------------------------------------------------------------ */

void patch_book_put(struct patch_book *b)
{
	if (!b || !refs_put(&b->refs))
		return;
	for (uint32_t i = 0; i < b->pool_count; i++)
		kfree(b->pools[i]);
	kfree(b->sites);
	kfree(b->hash);
	kfree(b->texts);
	kfree(b);
}

struct patch_book *patch_book_get(struct patch_book *b)
{
	if (b)
		refs_get(&b->refs);
	return b;
}

static struct patch_book *book_clone(const struct patch_book *from)
{
	struct patch_book *b = kmalloc(sizeof(*b));

	if (!b)
		return NULL;
	if (from)
		*b = *from;
	refs_init(&b->refs);
	b->texts = kmalloc(TEXTS_MAX * sizeof(*b->texts));
	b->sites = from && from->site_cap ? kmemdup(from->sites, from->site_cap * sizeof(*b->sites)) : NULL;
	b->hash = from && from->hash_cap ? kmemdup(from->hash, from->hash_cap * sizeof(*b->hash)) : NULL;
	b->pool_count = 0;
	if (!b->texts || (b->site_cap && !b->sites) || (b->hash_cap && !b->hash))
		goto fail;
	if (from)
		memcpy(b->texts, from->texts, from->text_count * sizeof(*b->texts));
	for (uint32_t i = 0; from && i < from->pool_count; i++) {
		b->pools[i] = kmemdup(from->pools[i], sizeof(struct pool));
		if (!b->pools[i])
			goto fail;
		b->pool_count++;
	}
	return b;
fail:
	patch_book_put(b);
	return NULL;
}

/* The book of proc, its own, for a change; NULL without memory. Called with proc->lock. */
static struct patch_book *book_own(struct sys_proc *proc)
{
	struct patch_book *b = proc->patches;

	if (b && refs_read(&b->refs) == 1)
		return b;
	b = book_clone(proc->patches);
	if (!b)
		return NULL;
	patch_book_put(proc->patches);
	proc->patches = b;
	return b;
}

static uint32_t hash_start(const struct patch_book *b, uaddr_t call)
{
	return (uint32_t)hash_u64(call) & (b->hash_cap - 1);
}

static struct site *find_site(const struct patch_book *b, uaddr_t call)
{
	if (!b || !b->hash_cap)
		return NULL;
	for (uint32_t h = hash_start(b, call);; h = (h + 1) & (b->hash_cap - 1)) {
		if (!b->hash[h])
			return NULL;
		if (b->sites[b->hash[h] - 1].call == call)
			return &b->sites[b->hash[h] - 1];
	}
}

static void hash_insert(struct patch_book *b, uint32_t index)
{
	uint32_t h = hash_start(b, b->sites[index].call);

	while (b->hash[h])
		h = (h + 1) & (b->hash_cap - 1);
	b->hash[h] = (uint16_t)(index + 1);
}

static int grow_sites(struct patch_book *b)
{
	uint32_t cap = b->site_cap ? b->site_cap * 2 : 32;
	struct site *sites;
	uint16_t *hash;

	if (b->site_count < b->site_cap)
		return 0;
	if (cap > SITES_MAX)
		return -ENOMEM;
	sites = kmalloc(cap * sizeof(*sites));
	hash = kmalloc(cap * 2 * sizeof(*hash));
	if (!sites || !hash) {
		kfree(sites);
		kfree(hash);
		return -ENOMEM;
	}
	if (b->site_count)
		memcpy(sites, b->sites, b->site_count * sizeof(*sites));
	kfree(b->sites);
	kfree(b->hash);
	b->sites = sites;
	b->hash = hash;
	b->site_cap = cap;
	b->hash_cap = cap * 2;
	for (uint32_t i = 0; i < b->site_count; i++)
		hash_insert(b, i);
	return 0;
}

/* ---- instruction pointers ---------------------------------------------------------------------------- */

static struct site *site_by_tramp(const struct patch_book *b, uaddr_t ip, uint32_t *off)
{
	for (uint32_t i = 0; b && i < b->pool_count; i++) {
		uint64_t at = ip - b->pools[i]->at;

		if (at < POOL_HEAD || at >= POOL_SIZE)
			continue;
		at -= POOL_HEAD;
		*off = (uint32_t)(at % PATCH_TRAMP_SIZE);
		if (!b->pools[i]->site_of[at / PATCH_TRAMP_SIZE])
			return NULL;
		return &b->sites[b->pools[i]->site_of[at / PATCH_TRAMP_SIZE] - 1];
	}
	return NULL;
}

uint64_t patch_ip_to_guest(struct sys_context *c, uint64_t ip)
{
	struct sys_proc *proc = c->proc;
	uaddr_t out = ip;
	uint32_t off;
	struct site *s;

	if (!proc->patches)
		return ip;
	LOCK(&proc->lock);
	if (ip == sys_platform(c->base.platform)->stub->syscall) {
		/* at the stub's door, the call not yet made: rcx says where from */
		s = site_by_tramp(proc->patches, c->regs.rcx, &off);
		out = s ? s->call : c->regs.rcx - REGS_SYSCALL_INSN_SIZE;
	} else {
		s = site_by_tramp(proc->patches, ip, &off);
		if (s && !patch_ip_out(&s->plan, s->call, off, &out))
			out = ip;
	}
	mutex_unlock(&proc->lock);
	return out;
}

/* Where to go on for a thread that returns into a jump. */
static bool into_tramp(const struct patch_book *b, uaddr_t ip, uaddr_t *to)
{
	for (uaddr_t call = ip - 4; b && call < ip - 1; call++) {
		struct site *s = find_site(b, call);
		uint32_t off;

		if (!s || !s->live || !patch_ip_in(&s->plan, call, ip, &off))
			continue;
		*to = s->tramp + off;
		return true;
	}
	return false;
}

uint64_t patch_ip_to_host(struct sys_context *c, uint64_t ip)
{
	struct sys_proc *proc = c->proc;
	uaddr_t to = ip;

	if (!proc->patches)
		return ip;
	LOCK(&proc->lock);
	(void)into_tramp(proc->patches, ip, &to);
	mutex_unlock(&proc->lock);
	return to;
}

static bool starts_jump(const struct patch_book *b, uaddr_t start)
{
	/* the jump starts at the call, or up to 7 bytes before */
	for (uaddr_t call = start; b && call <= start + 7; call++) {
		struct site *s = find_site(b, call);

		if (s && s->live && s->start == start)
			return true;
	}
	return false;
}

/* SIGILL in the middle of a jump: on in the trampoline. SIGTRAP at its start: it is being written; again. */
bool patch_fault(struct sys_context *c)
{
	struct stub_frame *f = context_frame(c);
	struct sys_proc *proc = c->proc;
	uint64_t signo = c->slot->arg[0], ip = f->rip;
	uaddr_t to = ip;
	bool ours = false;

	if ((signo != SIGILL && signo != SIGTRAP) || !proc->patches)
		return false;
	LOCK(&proc->lock);
	if (signo == SIGILL)
		ours = into_tramp(proc->patches, ip, &to);
	else if (starts_jump(proc->patches, ip - 1)) {
		to = ip - 1;
		ours = true;
	}
	mutex_unlock(&proc->lock);
	if (ours) {
		f->rip = to;
		STAT_INC(c, repaired);
	}
	return ours;
}

/* ---- text ---------------------------------------------------------------------------------------------- */

static void text_delete(struct patch_book *b, uint32_t i)
{
	memmove(&b->texts[i], &b->texts[i + 1], (b->text_count - i - 1) * sizeof(*b->texts));
	b->text_count--;
}

static void text_insert(struct patch_book *b, uaddr_t start, uaddr_t end, uint32_t prot)
{
	uint32_t i = 0;

	if (b->text_count == TEXTS_MAX || start >= end)
		return; /* its sites go on by signal */
	while (i < b->text_count && b->texts[i].start < start)
		i++;
	memmove(&b->texts[i + 1], &b->texts[i], (b->text_count - i) * sizeof(*b->texts));
	b->texts[i] = (struct text){start, end, prot};
	b->text_count++;
}

/* Cuts [start, end) out of what is known. prot: what the parts that were known get, or -1. */
static void text_cut(struct patch_book *b, uaddr_t start, uaddr_t end, int64_t prot)
{
	for (uint32_t i = 0; i < b->text_count; i++) {
		struct text t = b->texts[i];

		if (t.end <= start || t.start >= end || (prot >= 0 && t.prot == (uint32_t)prot))
			continue;
		text_delete(b, i);
		text_insert(b, t.start, MIN(t.end, start), t.prot);
		text_insert(b, MAX(t.start, end), t.end, t.prot);
		if (prot >= 0)
			text_insert(b, MAX(t.start, start), MIN(t.end, end), (uint32_t)prot);
		i = UINT32_MAX; /* from the start: few and rare */
	}
}

static bool text_known(const struct patch_book *b, uaddr_t start, uaddr_t end)
{
	for (uint32_t i = 0; b && i < b->text_count; i++)
		if (b->texts[i].start < end && b->texts[i].end > start)
			return true;
	return false;
}

void patch_note_text(struct sys_context *c, uaddr_t addr, uint64_t size, uint32_t prot)
{
	struct patch_book *b;

	LOCK(&c->proc->lock);
	b = book_own(c->proc);
	if (b)
		text_insert(b, addr, addr + size, prot);
	mutex_unlock(&c->proc->lock);
}

static void sites_forget(struct patch_book *b, uaddr_t start, uaddr_t end)
{
	for (uint32_t i = 0; i < b->site_count; i++)
		if (b->sites[i].start + PATCH_JUMP_SIZE > start && b->sites[i].start < end)
			b->sites[i].live = false;
}

void patch_note_prot(struct sys_context *c, uaddr_t addr, uint64_t size, uint32_t prot)
{
	struct patch_book *b;

	if (!c->proc->patches)
		return;
	LOCK(&c->proc->lock);
	if (text_known(c->proc->patches, addr, addr + size)) {
		b = book_own(c->proc);
		if (b)
			text_cut(b, addr, addr + size, prot);
		/* what the guest may write is the guest's */
		if (b && prot & LINUX_PROT_WRITE)
			sites_forget(b, addr, addr + size);
	}
	mutex_unlock(&c->proc->lock);
}

void patch_forget(struct sys_context *c, uaddr_t addr, uint64_t size)
{
	struct patch_book *b;

	if (!c->proc->patches)
		return;
	LOCK(&c->proc->lock);
	if (text_known(c->proc->patches, addr, addr + size)) {
		b = book_own(c->proc);
		if (b) {
			text_cut(b, addr, addr + size, -1);
			sites_forget(b, addr, addr + size);
		}
	}
	mutex_unlock(&c->proc->lock);
}

/* ---- patching ------------------------------------------------------------------------------------------- */

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

static const struct text *text_of(const struct patch_book *b, uaddr_t start, uaddr_t end)
{
	for (uint32_t i = 0; i < b->text_count; i++)
		if (b->texts[i].start <= start && b->texts[i].end >= end)
			return (b->texts[i].prot & (LINUX_PROT_EXEC | LINUX_PROT_WRITE)) == LINUX_PROT_EXEC
				       ? &b->texts[i]
				       : NULL;
	return NULL;
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
	const struct text *text = text_of(b, s->start, MAX(s->start + PATCH_JUMP_SIZE, s->call + 2));

	if (s->live)
		return 1; /* another thread was first */
	if (!text || memcmp(s->old, window + s->plan.start, PATCH_JUMP_SIZE))
		return -EINVAL;
	s->live = true;
	*out = *s;
	*t = *text;
	return 0;
}

/* Enters the site into the book. Called with proc->lock. *t: the text it lies in. 1: nothing to do; -ENOSPC: no
 * pool has a place. An entry, once made, names its trampoline for good: a thread may be in there. */
static int reserve(struct sys_context *c, uaddr_t call, const uint8_t *window, struct site *out, struct text *t)
{
	struct patch_book *b = book_own(c->proc);
	struct site *s = find_site(b, call);
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
	text = text_of(b, MIN(out->start, call), MAX(out->start + PATCH_JUMP_SIZE, call + 2));
	if (!text)
		return -EINVAL;
	*t = *text;
	if (!find_place(b, out, &slot))
		return -ENOSPC;
	ret = grow_sites(b);
	if (ret < 0)
		return ret;
	b->sites[b->site_count++] = *out;
	hash_insert(b, b->site_count - 1);
	*slot = (uint16_t)b->site_count;
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

/* A call came by signal. Sites that come again are patched; those that can't be are remembered. Calls still
 * come so from patched ones: when made again, or when a branch passes the jump by. */
void patch_arrival(struct sys_context *c)
{
	uaddr_t call = context_frame(c)->rip - REGS_SYSCALL_INSN_SIZE;
	struct trap_count *t = &c->traps[hash_u64(call) % TRAP_COUNTS];
	struct site *s;
	bool live;

	if (!c->proc->patches || c->gs_base)
		return;
	if (t->site != call)
		*t = (struct trap_count){.site = call};
	if (t->count == TRAPS_REFUSED || ++t->count < PATCH_AFTER_TRAPS)
		return;
	LOCK(&c->proc->lock);
	s = find_site(c->proc->patches, call);
	live = s && s->live;
	mutex_unlock(&c->proc->lock);
	if (live)
		return;
	if (try_patch(c, call) == 0) {
		STAT_INC(c, sites_patched);
		t->count = 0;
	} else {
		STAT_INC(c, sites_refused);
		t->count = TRAPS_REFUSED;
		c->slot->hopeless[HOPELESS_INDEX(call + REGS_SYSCALL_INSN_SIZE)] =
			(uint32_t)(call + REGS_SYSCALL_INSN_SIZE);
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
			text = text_of(c->proc->patches, s.start, s.start + PATCH_JUMP_SIZE);
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
	if (!c->proc->patches)
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
