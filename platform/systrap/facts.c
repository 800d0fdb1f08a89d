/* facts.c: what a stub may answer in the sentry's place. It all lies in the slot, where the guest could
 * change it: a guest that does so lies to itself. */
#include "platform/systrap/internal.h"

#include <elf.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>

_Static_assert(CALL_WORDS == STUB_CALL_WORDS, "platform.h");

/* Answers that fit the table: not negative, and one less than what a word holds. */
static void quick(struct stub_slot *s, unsigned nr, int64_t value)
{
	bool fits = value >= 0 && value < UINT32_MAX && !(s->refused[nr / 64] >> nr % 64 & 1);

	s->quick[nr] = fits ? (uint32_t)value + 1 : 0;
}

void systrap_publish(struct context *ctx, const struct context_facts *f)
{
	struct sys_context *c = sys_context(ctx);
	struct stub_slot *s = c->slot;

	if (f->allowed && f->allowed != c->allowed)
		memcpy(c->allowed, f->allowed, sizeof(c->allowed));
	c->facts = *f;
	c->facts.allowed = f->allowed ? c->allowed : NULL;
	f = &c->facts;
	answers_forget(c); /* who asks, and in what surroundings, may be new */
	if (f->no_fast) {
		s->fast = 0;
		s->robust = 0;
		memset(s->quick, 0, sizeof(s->quick));
		return;
	}
	for (int i = 0; i < CALL_WORDS; i++)
		s->refused[i] = f->allowed ? ~f->allowed[i] : 0;
	quick(s, SYS_getpid, f->pid);
	quick(s, SYS_gettid, f->tid);
	quick(s, SYS_getppid, f->ppid);
	quick(s, SYS_getuid, f->uid);
	quick(s, SYS_geteuid, f->euid);
	quick(s, SYS_getgid, f->gid);
	quick(s, SYS_getegid, f->egid);
	s->umask = f->umask;
	s->umask_changed = 0;
	s->fast = FAST_TIME | FAST_SELF | FAST_FUTEX | (f->umask_own ? FAST_UMASK : 0);
}

/* Before the guest runs: its signal mask, and whether it may change it. */
void facts_offer(struct sys_context *c)
{
	struct stub_slot *s = c->slot;

	if (s->sigmask != c->base.sigmask)
		__atomic_store_n(&s->sigmask, c->base.sigmask, __ATOMIC_RELAXED);
	if (s->mask_own != c->base.sigmask_own)
		s->mask_own = c->base.sigmask_own;
	if (s->sig_plain != c->base.plain_signals)
		s->sig_plain = c->base.plain_signals;
	if (c->base.sigmask_own)
		__atomic_store_n(&c->base.sigmask_out, 1, __ATOMIC_RELEASE);
}

/* What the guest changed in our absence. */
void facts_sync(struct sys_context *c, struct run_event *ev)
{
	struct stub_slot *s = c->slot;

	if (UNLIKELY(__atomic_load_n(&s->umask_changed, __ATOMIC_RELAXED))) {
		s->umask_changed = 0;
		ev->umask_changed = c->facts.umask_own;
		ev->umask = __atomic_load_n(&s->umask, __ATOMIC_RELAXED) & 0777;
		if (c->facts.umask_own)
			c->facts.umask = ev->umask;
	}
	if (UNLIKELY(__atomic_load_n(&s->robust_changed, __ATOMIC_RELAXED))) {
		s->robust_changed = 0;
		ev->robust_changed = true;
		ev->robust = __atomic_load_n(&s->robust, __ATOMIC_RELAXED);
	}
	if (UNLIKELY(__atomic_load_n(&s->mask_changed, __ATOMIC_RELAXED))) {
		s->mask_changed = 0;
		ev->sigmask_changed = c->base.sigmask_own;
		ev->sigmask = __atomic_load_n(&s->sigmask, __ATOMIC_RELAXED);
	}
	if (UNLIKELY(__atomic_load_n(&s->sig_set, __ATOMIC_RELAXED))) {
		ev->actions_set = __atomic_load_n(&s->sig_set, __ATOMIC_RELAXED) & c->base.plain_signals;
		ev->action_flags = __atomic_load_n(&s->sig_action.flags, __ATOMIC_RELAXED);
		ev->action_restorer = __atomic_load_n(&s->sig_action.restorer, __ATOMIC_RELAXED);
		ev->action_mask = __atomic_load_n(&s->sig_action.mask, __ATOMIC_RELAXED);
		s->sig_set = 0;
	}
	if (c->lent)
		lent_positions(c, ev);
}

uint64_t systrap_sigmask_now(struct context *ctx)
{
	struct sys_context *c = sys_context(ctx);
	uint64_t mask = ctx->sigmask;

	/* where_lock: the slot goes with exec */
	LOCK(&c->where_lock);
	if (c->slot)
		mask = __atomic_load_n(&c->slot->sigmask, __ATOMIC_SEQ_CST);
	mutex_unlock(&c->where_lock);
	return mask;
}

bool systrap_asleep(struct context *ctx)
{
	struct sys_context *c = sys_context(ctx);
	bool ret = false;

	LOCK(&c->where_lock);
	if (c->slot)
		ret = __atomic_load_n(&c->slot->waits, __ATOMIC_RELAXED);
	mutex_unlock(&c->where_lock);
	return ret;
}

/* The count for private ones lies in the slot with index 0, whoever uses that. */
void systrap_futex_waiters(struct context *ctx, bool is_private, int delta)
{
	struct stub_slot *s = (struct stub_slot *)sys_context(ctx)->proc->slots;
	uint32_t *word = (uint32_t *)((char *)ctx->platform->words + STUB_FUTEX_WORD);

	__atomic_fetch_add(is_private ? &s->futex_sentry : word, (uint32_t)delta, __ATOMIC_SEQ_CST);
}

/* The word is the guest's and the wake-up too: by its own thread. */
int systrap_futex_wake(struct context *ctx, uaddr_t addr, bool is_private, uint32_t count)
{
	struct sys_context *c = sys_context(ctx);
	struct stub_slot *s = (struct stub_slot *)c->proc->slots;
	int64_t n;

	if (is_private && !__atomic_load_n(&s->futex_stubs, __ATOMIC_SEQ_CST))
		return 0;
	copies_flush(c);
	n = stub_command(c, CMD_CALL, SYS_futex, addr, FUTEX_WAKE | (is_private ? FUTEX_PRIVATE_FLAG : 0),
			 MIN(count, (uint32_t)INT32_MAX), 0, 0, 0);
	return n > 0 ? (int)MIN(n, (int64_t)count) : 0;
}

/* Threads other than the first end for good when they are told to, and can do it on their way. */
bool systrap_futex_wake_last(struct context *ctx, uaddr_t addr)
{
	struct sys_context *c = sys_context(ctx);

	if (c->gone || c->tid == c->proc->pid)
		return false;
	c->exit_wake = addr;
	return true;
}

/* An image of size bytes at base, which is the host kernel's own: offset of a symbol, or 0. */
uint64_t vdso_symbol(uint64_t base, uint64_t size, const char *name)
{
	const Elf64_Ehdr *eh = (const Elf64_Ehdr *)base;
	const Elf64_Phdr *ph = (const Elf64_Phdr *)(base + eh->e_phoff);
	const Elf64_Sym *sym = NULL;
	const char *str = NULL;

	if (!base || size < sizeof(*eh) || memcmp(eh->e_ident, ELFMAG, SELFMAG) ||
	    eh->e_phoff + eh->e_phnum * sizeof(*ph) > size)
		return 0;
	for (int i = 0; i < eh->e_phnum; i++) {
		if (ph[i].p_type != PT_DYNAMIC || ph[i].p_offset + ph[i].p_memsz > size)
			continue;
		for (const Elf64_Dyn *d = (const Elf64_Dyn *)(base + ph[i].p_offset); d->d_tag != DT_NULL;
		     d++) {
			if (d->d_tag == DT_SYMTAB && d->d_un.d_ptr < size)
				sym = (const Elf64_Sym *)(base + d->d_un.d_ptr);
			else if (d->d_tag == DT_STRTAB && d->d_un.d_ptr < size)
				str = (const char *)(base + d->d_un.d_ptr);
		}
	}
	/* The table has no length of its own; the strings follow it. */
	for (; sym && str && (const char *)(sym + 1) <= str; sym++)
		if (sym->st_name < size && !strcmp(str + sym->st_name, name) && sym->st_value < size)
			return sym->st_value;
	return 0;
}
