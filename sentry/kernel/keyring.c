/* keyring.c: rings: what they hold, finding keys in them, and the rings that every task and user has. */
#include <stdio.h>
#include <string.h>

#include "sentry/kernel/keys_internal.h"

/* ---- links ---- */
struct key *ring_find(struct key *ring, const struct key_type *type, const char *desc)
{
	for (uint32_t i = 0; i < ring->count; i++)
		if (ring->links[i]->type == type && strcmp(ring->links[i]->desc, desc) == 0)
			return ring->links[i];
	return NULL;
}

struct walk {
	struct key *ring;
	uint32_t next;
};

/* Would ring be below itself, or too deep, with sub in it? */
static int check_cycle(const struct key *ring, struct key *sub)
{
	struct walk stack[KEYRING_DEPTH];
	int depth = 0;

	if (ring == sub)
		return -EDEADLK;
	stack[0] = (struct walk){sub, 0};
	while (depth >= 0) {
		struct walk *w = &stack[depth];
		struct key *k;

		if (w->next == w->ring->count) {
			depth--;
			continue;
		}
		k = w->ring->links[w->next++];
		if (!k->type->keyring)
			continue;
		if (k == ring)
			return -EDEADLK;
		if (++depth == KEYRING_DEPTH)
			return -ELOOP;
		stack[depth] = (struct walk){k, 0};
	}
	return 0;
}

static int make_room(struct key *ring)
{
	uint32_t cap = ring->cap ? ring->cap * 2 : 8;
	struct key **links;

	if (ring->count < ring->cap)
		return 0;
	links = kmalloc(cap * sizeof(struct key *));
	if (!links)
		return -ENOMEM;
	if (ring->count)
		memcpy(links, ring->links, ring->count * sizeof(struct key *));
	kfree(ring->links);
	ring->links = links;
	ring->cap = cap;
	return 0;
}

/* One of the same type and name is displaced. */
int ring_link(struct key_table *kt, struct key *ring, struct key *k)
{
	int ret;

	if (!ring->type->keyring)
		return -ENOTDIR;
	if (ring->restricted)
		return -EPERM;
	ret = k->type->keyring ? check_cycle(ring, k) : 0;
	if (ret < 0)
		return ret;
	for (uint32_t i = 0; i < ring->count; i++) {
		struct key *old = ring->links[i];

		if (old->type != k->type || strcmp(old->desc, k->desc) != 0)
			continue;
		ring->links[i] = key_get(k);
		key_put(kt, old);
		return 0;
	}
	ret = make_room(ring);
	if (ret == 0)
		ret = key_reserve(ring, ring->quota + KEY_LINK_BYTES);
	if (ret < 0)
		return ret;
	ring->links[ring->count++] = key_get(k);
	return 0;
}

static void remove_at(struct key_table *kt, struct key *ring, uint32_t i)
{
	struct key *k = ring->links[i];

	memmove(&ring->links[i], &ring->links[i + 1], (ring->count - i - 1) * sizeof(struct key *));
	ring->count--;
	ring->quota -= KEY_LINK_BYTES;
	ring->user->quota_bytes -= KEY_LINK_BYTES;
	key_put(kt, k);
}

int ring_unlink(struct key_table *kt, struct key *ring, struct key *k)
{
	if (!ring->type->keyring)
		return -ENOTDIR;
	for (uint32_t i = 0; i < ring->count; i++)
		if (ring->links[i] == k) {
			remove_at(kt, ring, i);
			return 0;
		}
	return -ENOENT;
}

void ring_clear(struct key_table *kt, struct key *ring)
{
	while (ring->count)
		remove_at(kt, ring, ring->count - 1);
}

/* ---- searches ---- */
struct search {
	const struct cred *cred;
	const struct key_type *type;
	const char *desc;
	const struct key *itself; /* not NULL: that very one, in whatever state */
	bool possessed;
	int error; /* of what matched and can't be had */
};

static bool matches(const struct search *s, const struct key *k)
{
	return s->itself ? k == s->itself : k->type == s->type && strcmp(k->desc, s->desc) == 0;
}

/* k matches: can it be had? */
static bool usable(struct search *s, struct key *k)
{
	int ret = s->itself ? 0 : key_validate(k);

	if (ret == 0 && !key_permitted(s->cred, (struct key_ref){k, s->possessed}, KEY_NEED_SEARCH))
		ret = -EACCES;
	if (ret < 0)
		s->error = k->invalidated ? -EKEYREVOKED : ret;
	return ret == 0;
}

static struct key *match_in(struct search *s, struct key *ring)
{
	for (uint32_t i = 0; i < ring->count; i++)
		if (matches(s, ring->links[i]) && usable(s, ring->links[i]))
			return ring->links[i];
	return NULL;
}

static bool may_enter(const struct search *s, struct key *ring)
{
	return ring->type->keyring && key_validate(ring) == 0 &&
	       key_permitted(s->cred, (struct key_ref){ring, s->possessed}, KEY_NEED_SEARCH);
}

/* What lies in a ring itself comes before what lies in the rings it holds. */
static struct key *search_below(struct search *s, struct key *top)
{
	struct walk stack[KEYRING_DEPTH];
	struct key *found = match_in(s, top);
	int depth = 0;

	stack[0] = (struct walk){top, 0};
	while (!found && depth >= 0) {
		struct walk *w = &stack[depth];
		struct key *k;

		if (w->next == w->ring->count) {
			depth--;
			continue;
		}
		k = w->ring->links[w->next++];
		if (depth + 1 == KEYRING_DEPTH || !may_enter(s, k))
			continue;
		found = match_in(s, k);
		stack[++depth] = (struct walk){k, 0};
	}
	return found;
}

int ring_search(const struct cred *c, struct key_ref ring, const struct key_type *type, const char *desc,
		const struct key *itself, struct key_ref *out)
{
	struct search s = {c, type, desc, itself, ring.possessed, -ENOKEY};
	struct key *k = ring.key;
	int ret;

	if (!k->type->keyring)
		return -ENOTDIR;
	ret = key_validate(k);
	if (ret < 0)
		return ret;
	if (!key_permitted(c, ring, KEY_NEED_SEARCH))
		return -EACCES;
	if (!(matches(&s, k) && usable(&s, k)))
		k = search_below(&s, k);
	if (!k)
		return s.error;
	*out = (struct key_ref){k, ring.possessed};
	return 0;
}

static int user_rings(struct task *t, struct key_user **out);

int task_search(struct task *t, const struct key_type *type, const char *desc, const struct key *itself,
		struct key_ref *out)
{
	struct key *rings[3] = {t->p->thread_ring, t->p->process_ring, t->p->session_ring};
	int ret, error = -ENOKEY;
	struct key_user *u;

	if (!rings[2] && key_user_get(key_table(t), t->cred->uid, &u) == 0)
		rings[2] = u->session_ring;
	for (int i = 0; i < 3; i++) {
		if (!rings[i])
			continue;
		ret = ring_search(t->cred, (struct key_ref){rings[i], true}, type, desc, itself, out);
		if (ret == 0)
			return 0;
		if (ret != -ENOKEY)
			error = ret;
	}
	return error;
}

struct key *ring_by_name(struct task *t, const char *name)
{
	struct rbnode *n;

	for (n = rb_first(&key_table(t)->keys); n; n = rb_next(n)) {
		struct key *k = rb_entry(n, struct key, node);

		if (k->type->keyring && !k->revoked && !k->invalidated && strcmp(k->desc, name) == 0 &&
		    key_permitted(t->cred, (struct key_ref){k, false}, KEY_NEED_SEARCH))
			return k;
	}
	return NULL;
}

/* ---- the rings of tasks and users ---- */
static int user_ring(struct key_table *kt, struct key_user *u, const char *fmt, struct key **slot)
{
	char name[32];

	if (*slot)
		return 0;
	(void)snprintf(name, sizeof(name), "%s.%u", fmt, u->uid);
	return key_create(kt, &key_type_keyring, name, u->uid, ID_INVALID,
			  KEY_POS(KEY_NEED_ALL & ~KEY_NEED_SETATTR) | KEY_USR(KEY_NEED_ALL), true, slot);
}

static int user_rings(struct task *t, struct key_user **out)
{
	struct key_table *kt = key_table(t);
	int ret = key_user_get(kt, t->cred->uid, out);

	if (ret == 0)
		ret = user_ring(kt, *out, "_uid", &(*out)->ring);
	if (ret < 0 || (*out)->session_ring)
		return ret;
	ret = user_ring(kt, *out, "_uid_ses", &(*out)->session_ring);
	return ret < 0 ? ret : ring_link(kt, (*out)->session_ring, (*out)->ring);
}

static int own_ring(struct task *t, const char *name, bool create, struct key **slot)
{
	if (*slot)
		return 0;
	if (!create)
		return -ENOKEY;
	return key_create(key_table(t), &key_type_keyring, name, t->cred->uid, t->cred->gid,
			  KEY_POS(KEY_NEED_ALL) | KEY_USR(KEY_NEED_VIEW), true, slot);
}

int key_session_install(struct task *t, const char *name)
{
	struct key *k = name ? ring_by_name(t, name) : NULL, *old = t->p->session_ring;
	uint32_t usr = KEY_NEED_VIEW | KEY_NEED_READ | (name ? KEY_NEED_LINK : 0);
	int ret = 0;

	if (k)
		(void)key_get(k);
	else
		ret = key_create(key_table(t), &key_type_keyring, name ? name : "_ses", t->cred->uid,
				 t->cred->gid, KEY_POS(KEY_NEED_ALL) | KEY_USR(usr), false, &k);
	if (ret < 0)
		return ret;
	t->p->session_ring = k;
	key_put(key_table(t), old);
	return 0;
}

static int session_ring(struct task *t, bool create, struct key **out)
{
	struct key_user *u;
	int ret = 0;

	if (!t->p->session_ring) {
		ret = user_rings(t, &u);
		if (ret == 0 && create)
			ret = key_session_install(t, NULL);
		else if (ret == 0)
			t->p->session_ring = key_get(u->session_ring);
	} else if (create && key_user_get(key_table(t), t->cred->uid, &u) == 0 &&
		   t->p->session_ring == u->session_ring) {
		ret = key_session_install(t, NULL);
	}
	*out = t->p->session_ring;
	return ret;
}

/* A key, or one of the names for a task's rings. */
static int resolve(struct task *t, int32_t id, bool create, struct key_ref *out)
{
	struct key_user *u;
	int ret;

	out->possessed = true;
	switch (id) {
	case LINUX_KEY_SPEC_THREAD_KEYRING:
		ret = own_ring(t, "_tid", create, &t->p->thread_ring);
		out->key = t->p->thread_ring;
		return ret;
	case LINUX_KEY_SPEC_PROCESS_KEYRING:
		ret = own_ring(t, "_pid", create, &t->p->process_ring);
		out->key = t->p->process_ring;
		return ret;
	case LINUX_KEY_SPEC_SESSION_KEYRING:
		return session_ring(t, create, &out->key);
	case LINUX_KEY_SPEC_USER_KEYRING:
	case LINUX_KEY_SPEC_USER_SESSION_KEYRING:
		ret = user_rings(t, &u);
		if (ret == 0)
			out->key = id == LINUX_KEY_SPEC_USER_KEYRING ? u->ring : u->session_ring;
		return ret;
	case LINUX_KEY_SPEC_REQKEY_AUTH_KEY:
	case LINUX_KEY_SPEC_REQUESTOR_KEYRING:
		return -ENOKEY; /* nobody is asked to make keys here */
	default:
		break;
	}
	if (id < 1)
		return -EINVAL;
	out->key = key_find(key_table(t), id);
	return out->key ? 0 : -ENOKEY;
}

int key_lookup_locked(struct task *t, int32_t id, uint32_t flags, uint32_t need, struct key_ref *out)
{
	struct key_ref mine;
	int ret = resolve(t, id, (flags & KEY_LOOKUP_CREATE) != 0, out);

	if (ret < 0)
		return ret;
	if (id > 0)
		out->possessed = task_search(t, NULL, NULL, out->key, &mine) == 0;
	if (!(flags & KEY_LOOKUP_PARTIAL)) {
		ret = key_validate(out->key);
		if (ret < 0)
			return ret;
	}
	if (!(flags & KEY_LOOKUP_NOPERM) && !key_permitted(t->cred, *out, need))
		return -EACCES;
	return 0;
}
