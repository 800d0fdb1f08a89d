/* keys.c: keys as objects: types, whose they are, quotas, permissions, their end (keyrings(7)). */
#include "sentry/kernel/keys.h"

#include <string.h>

#include "platform/base/random.h"
#include "sentry/kernel/keys_internal.h"

const struct key_type key_type_keyring = {.name = "keyring", .keyring = true, .readable = true};
static const struct key_type other_types[] = {
	{.name = "user", .readable = true, .updatable = true, .max = 32767},
	{.name = "logon", .updatable = true, .prefixed = true, .max = 32767},
	{.name = "big_key", .readable = true, .updatable = true, .max = 1024 * 1024},
};

const struct key_type *key_type_find(const char *name)
{
	if (strcmp(name, key_type_keyring.name) == 0)
		return &key_type_keyring;
	for (size_t i = 0; i < ARRAY_SIZE(other_types); i++)
		if (strcmp(name, other_types[i].name) == 0)
			return &other_types[i];
	return NULL;
}

struct key_table *key_table_create(struct kernel *k)
{
	struct key_table *kt = kmalloc(sizeof(*kt));

	if (!kt)
		return NULL;
	mutex_init(&kt->lock, RANK_KEYS);
	kt->kernel = k;
	return kt;
}

void keys_lock(struct kernel *k)
{
	mutex_lock(&k->keys->lock);
}

void keys_unlock(struct kernel *k)
{
	mutex_unlock(&k->keys->lock);
}

/* ---- users ---- */
int key_user_get(struct key_table *kt, uint32_t uid, struct key_user **out)
{
	struct rbnode **link = &kt->users.root, *parent = NULL;
	struct key_user *u;

	while (*link) {
		parent = *link;
		u = rb_entry(parent, struct key_user, node);
		if (u->uid == uid) {
			*out = u;
			return 0;
		}
		link = uid < u->uid ? &parent->left : &parent->right;
	}
	u = kmalloc(sizeof(*u));
	if (!u)
		return -ENOMEM;
	u->uid = uid;
	u->kernel = kt->kernel;
	rb_insert(&kt->users, &u->node, parent, link);
	*out = u;
	return 0;
}

static bool fits(const struct key_user *u, uint64_t keys, uint64_t bytes)
{
	return u->quota_keys + keys <= key_max_keys(u) && u->quota_bytes + bytes <= key_max_bytes(u);
}

int key_reserve(struct key *k, uint64_t bytes)
{
	if (bytes > k->quota && !fits(k->user, 0, bytes - k->quota))
		return -EDQUOT;
	k->user->quota_bytes += bytes - k->quota;
	k->quota = bytes;
	return 0;
}

int key_account_move(struct key_table *kt, struct key *k, uint32_t uid)
{
	struct key_user *to;
	int ret = key_user_get(kt, uid, &to);

	if (ret < 0 || to == k->user)
		return ret;
	if (!fits(to, 1, k->quota))
		return -EDQUOT;
	k->user->quota_keys--;
	k->user->quota_bytes -= k->quota;
	k->user->keys--;
	to->quota_keys++;
	to->quota_bytes += k->quota;
	to->keys++;
	k->user = to;
	return 0;
}

/* ---- the table ---- */
struct key *key_find(struct key_table *kt, int32_t serial)
{
	struct rbnode *n = kt->keys.root;

	while (n) {
		struct key *k = rb_entry(n, struct key, node);

		if (k->serial == serial)
			return k;
		n = serial < k->serial ? n->left : n->right;
	}
	return NULL;
}

/* A number that nobody has; 1 and 2 look too much like descriptors, as Linux finds. */
static void insert(struct key_table *kt, struct key *k)
{
	struct rbnode **link, *parent = NULL;
	uint32_t r;

	do {
		random_bytes(&r, sizeof(r));
		k->serial = (int32_t)(r >> 1);
	} while (k->serial < 3 || key_find(kt, k->serial));
	link = &kt->keys.root;
	while (*link) {
		parent = *link;
		link = k->serial < rb_entry(parent, struct key, node)->serial ? &parent->left : &parent->right;
	}
	rb_insert(&kt->keys, &k->node, parent, link);
	kt->count++;
}

int key_create(struct key_table *kt, const struct key_type *type, const char *desc, uint32_t uid, uint32_t gid,
	       uint32_t perm, bool overrun, struct key **out)
{
	uint64_t bytes = strlen(desc) + 1;
	struct key_user *u;
	struct key *k;
	int ret = key_user_get(kt, uid, &u);

	if (ret < 0)
		return ret;
	if (!overrun && !fits(u, 1, bytes))
		return -EDQUOT;
	k = kmalloc(sizeof(*k));
	if (!k)
		return -ENOMEM;
	k->desc = kstrdup(desc);
	if (!k->desc) {
		kfree(k);
		return -ENOMEM;
	}
	k->usage = 1;
	k->type = type;
	k->user = u;
	k->uid = uid;
	k->gid = gid;
	k->perm = perm;
	k->quota = bytes;
	u->keys++;
	u->quota_keys++;
	u->quota_bytes += bytes;
	insert(kt, k);
	*out = k;
	return 0;
}

void key_drop_payload(struct key *k)
{
	if (k->payload)
		explicit_bzero(k->payload, k->size);
	kfree(k->payload);
	k->payload = NULL;
	k->size = 0;
}

int key_set_payload(struct key *k, struct key_data *d)
{
	int ret = key_reserve(k, strlen(k->desc) + 1 + d->size);

	if (ret < 0)
		return ret;
	key_drop_payload(k);
	k->negative = false;
	k->payload = d->payload;
	k->size = d->size;
	d->payload = NULL;
	return 0;
}

/* The last reference of a ring gives back those of what it holds: a list takes the place of recursion. */
void key_put(struct key_table *kt, struct key *k)
{
	struct key *dead = NULL;

	if (!k || --k->usage > 0)
		return;
	k->next_free = NULL;
	dead = k;
	while ((k = dead)) {
		dead = k->next_free;
		for (uint32_t i = 0; i < k->count; i++) {
			struct key *l = k->links[i];

			if (--l->usage == 0) {
				l->next_free = dead;
				dead = l;
			}
		}
		rb_remove(&kt->keys, &k->node);
		kt->count--;
		k->user->keys--;
		k->user->quota_keys--;
		k->user->quota_bytes -= k->quota;
		key_drop_payload(k);
		kfree(k->links);
		kfree(k->desc);
		kfree(k);
	}
}

int key_validate(const struct key *k)
{
	if (k->invalidated || k->negative)
		return -ENOKEY;
	if (k->revoked)
		return -EKEYREVOKED;
	if (k->expiry && clock_realtime_ns() / (int64_t)NSEC_PER_SEC >= k->expiry)
		return -EKEYEXPIRED;
	return 0;
}

bool key_permitted(const struct cred *c, struct key_ref r, uint32_t need)
{
	const struct key *k = r.key;
	uint32_t bits;

	if (k->uid == c->fsuid)
		bits = k->perm >> 16;
	else if (k->gid != ID_INVALID && (k->perm & (KEY_NEED_ALL << 8)) && cred_in_group(c, k->gid))
		bits = k->perm >> 8;
	else
		bits = k->perm;
	if (r.possessed)
		bits |= k->perm >> 24;
	return (bits & need) == need;
}

bool key_permitted_locked(struct task *t, struct key_ref r, uint32_t need)
{
	return key_permitted(t->cred, r, need);
}

/* ---- tasks ---- */
void keys_fork(struct task *t, struct task *c, bool thread)
{
	if (!t->p->session_ring && !t->p->process_ring)
		return; /* only the task itself and its children, never at once, give it one */
	keys_lock(t->kernel);
	if (t->p->session_ring)
		c->p->session_ring = key_get(t->p->session_ring);
	if (thread && t->p->process_ring)
		c->p->process_ring = key_get(t->p->process_ring);
	keys_unlock(t->kernel);
}

static void drop(struct task *t, bool session)
{
	struct key_table *kt = key_table(t);

	if (!t->p->thread_ring && !t->p->process_ring && !(session && t->p->session_ring))
		return;
	keys_lock(t->kernel);
	key_put(kt, t->p->thread_ring);
	key_put(kt, t->p->process_ring);
	t->p->thread_ring = t->p->process_ring = NULL;
	if (session) {
		key_put(kt, t->p->session_ring);
		t->p->session_ring = NULL;
	}
	keys_unlock(t->kernel);
}

void keys_exec(struct task *t)
{
	drop(t, false);
}

void keys_exit(struct task *t)
{
	drop(t, true);
}
