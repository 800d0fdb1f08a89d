/* book.c: which call sites of a process are patched, where their trampolines and the texts are; and what an
 * instruction pointer in a trampoline, or in the middle of a jump, means. A book is shared between a
 * process and its forks until one of them changes it. Lock: proc.lock. */
#include "platform/systrap/book.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "platform/abi/mman.h"
#include "platform/base/arena.h"
#include "platform/base/hash.h"

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

struct patch_book *book_own(struct sys_proc *proc)
{
	struct patch_book *b = proc->patches;

	if (b && refs_read(&b->refs) == 1)
		return b;
	b = book_clone(proc->patches);
	if (!b)
		return NULL;
	patch_book_put(proc->patches);
	__atomic_store_n(&proc->patches, b, __ATOMIC_RELEASE);
	return b;
}

static uint32_t hash_start(const struct patch_book *b, uaddr_t call)
{
	return (uint32_t)hash_u64(call) & (b->hash_cap - 1);
}

struct site *book_find(const struct patch_book *b, uaddr_t call)
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

int book_add(struct patch_book *b, const struct site *s)
{
	int ret = grow_sites(b);

	if (ret < 0)
		return ret;
	b->sites[b->site_count++] = *s;
	hash_insert(b, b->site_count - 1);
	return (int)b->site_count;
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

	if (!has_book(proc))
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
		struct site *s = book_find(b, call);
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

	if (!has_book(proc))
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
		struct site *s = book_find(b, call);

		if (s && s->live && s->start == start)
			return true;
	}
	return false;
}

/* SIGILL in the middle of a jump: on in the trampoline. SIGTRAP at its start: it is being written; again.
 */
bool patch_fault(struct sys_context *c)
{
	struct stub_frame *f = context_frame(c);
	struct sys_proc *proc = c->proc;
	uint64_t signo = c->slot->arg[0], ip = f->rip;
	uaddr_t to = ip;
	bool ours = false;

	if ((signo != SIGILL && signo != SIGTRAP) || !has_book(proc))
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

/* ---- text ----------------------------------------------------------------------------------------------
 */

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

	if (!has_book(c->proc))
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

	if (!has_book(c->proc))
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

const struct text *book_text(const struct patch_book *b, uaddr_t start, uaddr_t end)
{
	for (uint32_t i = 0; i < b->text_count; i++)
		if (b->texts[i].start <= start && b->texts[i].end >= end)
			return (b->texts[i].prot & (LINUX_PROT_EXEC | LINUX_PROT_WRITE)) == LINUX_PROT_EXEC
				       ? &b->texts[i]
				       : NULL;
	return NULL;
}
