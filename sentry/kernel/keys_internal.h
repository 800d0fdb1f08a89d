/* keys_internal.h: what keys.c, keyring.c, keyctl.c and keyshow.c share. Everything is guarded by
 * key_table.lock, a leaf. */
#pragma once

#include "sentry/kernel/internal.h"
#include "sentry/kernel/keys.h"
#include "sentry/kernel/settings.h"

#define KEY_PERM_MASK  0x3f3f3f3fu
#define KEY_POS(bits)  ((uint32_t)(bits) << 24)
#define KEY_USR(bits)  ((uint32_t)(bits) << 16)
#define KEY_LINK_BYTES 4 /* what a link costs of the ring's owner's quota */
#define KEYRING_DEPTH  6 /* of rings in rings */

struct key_type {
	const char *name;
	bool keyring, readable, updatable, prefixed; /* prefixed: "service:name" */
	size_t max;				     /* bytes of payload; 0: none may be given */
};

/* Whose quota. One for each user id that ever had a key. */
struct key_user {
	struct rbnode node; /* by uid */
	uint32_t uid;
	uint32_t keys; /* that exist */
	uint64_t quota_keys, quota_bytes;
	struct kernel *kernel;			      /* [I] for its settings */
	struct key *ring, *session_ring, *persistent; /* references; NULL: not made yet */
};

struct key {
	struct rbnode node; /* by serial */
	struct key *next_free;
	uint32_t usage; /* links, tasks, users */
	int32_t serial;
	const struct key_type *type;
	struct key_user *user;
	uint32_t uid, gid, perm;
	char *desc; /* owned */
	uint8_t *payload;
	size_t size;
	struct key **links; /* a ring's: references */
	uint32_t count, cap;
	int64_t expiry; /* CLOCK_REALTIME s; 0: never */
	uint64_t quota; /* bytes counted at user */
	bool revoked, invalidated, restricted;
	bool negative; /* nobody could make it: stands for -ENOKEY until it expires */
};

struct key_table {
	struct mutex lock;     /* rank KEYS */
	struct kernel *kernel; /* [I] */
	struct rbtree keys, users;
	uint32_t count;
};

static inline struct key_table *key_table(struct task *t)
{
	return t->kernel->keys;
}

extern const struct key_type key_type_keyring;
const struct key_type *key_type_find(const char *name);
MUST_CHECK int key_user_get(struct key_table *kt, uint32_t uid, struct key_user **out);
struct key *key_find(struct key_table *kt, int32_t serial); /* borrowed, or NULL */
static inline struct key *key_get(struct key *k)
{
	k->usage++;
	return k;
}
void key_put(struct key_table *kt, struct key *k); /* NULL is allowed */
/* A key with one reference. -EDQUOT (unless overrun), -ENOMEM */
MUST_CHECK int key_create(struct key_table *kt, const struct key_type *type, const char *desc, uint32_t uid,
			  uint32_t gid, uint32_t perm, bool overrun, struct key **out);
/* The quota of k's user goes from what it was to bytes. */
MUST_CHECK int key_reserve(struct key *k, uint64_t bytes);
MUST_CHECK int key_account_move(struct key_table *kt, struct key *k, uint32_t uid);
/* 0, or why it can't be used: -ENOKEY, -EKEYREVOKED, -EKEYEXPIRED */
int key_validate(const struct key *k);
void key_drop_payload(struct key *k);
int key_set_payload(struct key *k, struct key_data *d);
bool key_permitted(const struct cred *c, struct key_ref r, uint32_t need);

static inline uint64_t key_max_keys(const struct key_user *u)
{
	return setting(u->kernel, u->uid ? SET_KEYS_MAXKEYS : SET_KEYS_ROOT_MAXKEYS);
}
static inline uint64_t key_max_bytes(const struct key_user *u)
{
	return setting(u->kernel, u->uid ? SET_KEYS_MAXBYTES : SET_KEYS_ROOT_MAXBYTES);
}

/* keyring.c */
MUST_CHECK int ring_link(struct key_table *kt, struct key *ring, struct key *k);
MUST_CHECK int ring_unlink(struct key_table *kt, struct key *ring, struct key *k);
void ring_clear(struct key_table *kt, struct key *ring);
struct key *ring_find(struct key *ring, const struct key_type *type, const char *desc);
/* A key of that type and name (or that very one) below ring: 0, -ENOKEY, or why what is there can't be had. */
int ring_search(const struct cred *c, struct key_ref ring, const struct key_type *type, const char *desc,
		const struct key *itself, struct key_ref *out);
int task_search(struct task *t, const struct key_type *type, const char *desc, const struct key *itself,
		struct key_ref *out);
struct key *ring_by_name(struct task *t, const char *name);
MUST_CHECK int key_session_install(struct task *t, const char *name); /* NULL: anonymous */
