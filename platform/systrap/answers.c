/* answers.c: what a slot is given to remember. See stub/answers.h. Everything in the slot may be forged: it is
 * written here, and read only to choose what to replace. */
#include <string.h>

#include "platform/base/changes.h"
#include "platform/systrap/internal.h"
#include "platform/systrap/stub/answers.h"

_Static_assert(CHANGE_WORDS * sizeof(uint64_t) <= STUB_FUTEX_WORD, "changes.h");

static struct stub_answers *answers_of(struct sys_context *c)
{
	return (struct stub_answers *)((char *)c->slot + SLOT_ANSWERS);
}

void answers_forget(struct sys_context *c)
{
	c->lent = 0;
	c->slot->epoch = __atomic_add_fetch(&c->proc->platform->epoch, 1, __ATOMIC_RELAXED);
}

static void remember_dir(struct sys_context *c, const struct context_answer *a)
{
	struct stub_answer_dir *d = &answers_of(c)->dirs[(uint32_t)a->fd % ANSWER_DIRS];

	d->epoch = c->slot->epoch;
	d->dir = a->dir;
	d->fd = (uint32_t)a->fd;
	d->word = a->fd_word;
	d->value = a->fd_value;
}

static bool is_past(struct sys_context *c, const struct stub_answer_entry *e)
{
	const uint64_t *words = c->base.platform->words;

	return e->epoch != c->slot->epoch || change_read(&words[e->word[0] % CHANGE_WORDS]) != e->value[0] ||
	       change_read(&words[e->word[1] % CHANGE_WORDS]) != e->value[1];
}

/* The entry of the set that this answer takes: its own, one that is past, or the oldest. */
static struct stub_answer_entry *choose(struct sys_context *c, const struct context_answer *a, uint32_t hash,
					const uint64_t *path)
{
	struct stub_answer_entry *set = answers_of(c)->sets[hash % ANSWER_SETS], *past = NULL, *oldest = set;

	for (int i = 0; i < ANSWER_WAYS; i++) {
		struct stub_answer_entry *e = &set[i];

		if (is_past(c, e))
			past = e;
		else if (e->hash == hash && e->kind == a->kind && e->dir == a->dir && e->flags == a->flags &&
			 e->mode == a->mode && e->path_len == a->path_len && e->out_size == a->out_size &&
			 answer_same_path(&e->room[(a->out_size + 7) / 8], path, a->path_len))
			return e;
		else if (e->stamp < oldest->stamp)
			oldest = e;
	}
	return past ? past : oldest;
}

void systrap_answer(struct context *ctx, const struct context_answer *a)
{
	struct sys_context *c = sys_context(ctx);
	uint32_t len = a->path_len, path_room = ROUND_UP(len, 8U), hash;
	uint64_t path[ANSWER_PATH / 8];
	struct stub_answer_entry *e;

	if (c->facts.no_fast || ((a->value[0] | a->value[1]) & CHANGE_BUSY))
		return;
	if (a->fd >= 0 && !(a->fd_value & CHANGE_BUSY))
		remember_dir(c, a);
	if (len >= ANSWER_PATH || ROUND_UP(a->out_size, 8U) + path_room > ANSWER_ROOM)
		return;
	if (len) {
		path[(len - 1) / 8] = 0;
		memcpy(path, a->path, len);
	}
	hash = answer_hash(a->dir, path, len);
	e = choose(c, a, hash, path);
	e->epoch = c->slot->epoch;
	e->stamp = ++c->answer_stamp;
	e->hash = hash;
	e->kind = a->kind;
	e->dir = a->dir;
	e->flags = a->flags;
	e->mode = a->mode;
	e->path_len = len;
	e->out_size = a->out_size;
	for (int i = 0; i < 2; i++) {
		e->word[i] = a->word[i];
		e->value[i] = a->value[i];
	}
	if (a->out_size)
		memcpy(e->room, a->out, a->out_size);
	memcpy(&e->room[(a->out_size + 7) / 8], path, path_room);
}

uint32_t systrap_answers_used(struct context *ctx)
{
	struct sys_context *c = sys_context(ctx);
	uint32_t now = __atomic_load_n(&answers_of(c)->used, __ATOMIC_RELAXED), n = now - c->answers_used;

	c->answers_used = now;
	return n;
}
