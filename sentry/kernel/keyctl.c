/* keyctl.c: what add_key(2), request_key(2) and the commands of keyctl(2) do, each under the table's lock
 * from beginning to end. */
#include <stdio.h>
#include <string.h>

#include "sentry/kernel/keys_internal.h"

static int64_t done(struct task *t, int64_t ret)
{
	keys_unlock(t->kernel);
	return ret;
}

static int check_new(const struct key_type *type, const char *desc, const struct key_data *d)
{
	const char *colon = desc ? strchr(desc, ':') : NULL;

	if (!desc || !*desc)
		return -EINVAL;
	if (type->prefixed && (!colon || colon == desc))
		return -EINVAL;
	return type->keyring ? (d->size ? -EINVAL : 0) : (d->size == 0 || d->size > type->max ? -EINVAL : 0);
}

static uint32_t default_perm(const struct key_type *type)
{
	uint32_t pos = KEY_NEED_VIEW | KEY_NEED_SEARCH | KEY_NEED_LINK | KEY_NEED_SETATTR;

	if (type->readable)
		pos |= KEY_NEED_READ;
	if (type->keyring || type->updatable)
		pos |= KEY_NEED_WRITE;
	return KEY_POS(pos) | KEY_USR(KEY_NEED_VIEW);
}

static int add_new(struct task *t, const struct key_type *type, const char *desc, struct key_data *d,
		   struct key *ring, int32_t *serial)
{
	struct key_table *kt = key_table(t);
	struct key *k;
	int ret = key_create(kt, type, desc, t->cred->fsuid, t->cred->fsgid, default_perm(type), false, &k);

	if (ret < 0)
		return ret;
	if (!type->keyring)
		ret = key_set_payload(k, d);
	if (ret == 0)
		ret = ring_link(kt, ring, k);
	*serial = k->serial;
	key_put(kt, k);
	return ret;
}

static int add_or_update(struct task *t, const char *type_name, const char *desc, struct key_data *d,
			 struct key_ref ring, int32_t *serial)
{
	const struct key_type *type = key_type_find(type_name);
	struct key *old;
	int ret;

	if (!type)
		return -ENODEV;
	if (!ring.key->type->keyring)
		return -ENOTDIR;
	ret = check_new(type, desc, d);
	if (ret < 0)
		return ret;
	if (ring.key->restricted)
		return -EPERM;
	old = type->updatable ? ring_find(ring.key, type, desc) : NULL;
	if (!old || old->revoked || old->invalidated)
		return add_new(t, type, desc, d, ring.key, serial);
	if (!key_permitted(t->cred, (struct key_ref){old, ring.possessed}, KEY_NEED_WRITE))
		return -EACCES;
	*serial = old->serial;
	ret = key_set_payload(old, d);
	if (ret == 0)
		old->expiry = 0;
	return ret;
}

int64_t key_add(struct task *t, const char *type, const char *desc, struct key_data *d, int32_t ring)
{
	struct key_ref r;
	int32_t serial = 0;
	int ret;

	keys_lock(t->kernel);
	ret = key_lookup_locked(t, ring, KEY_LOOKUP_CREATE, KEY_NEED_WRITE, &r);
	if (ret == 0)
		ret = add_or_update(t, type, desc, d, r, &serial);
	return done(t, ret < 0 ? ret : serial);
}

/* Found: into dest too, if that is a ring (0: none). */
static int64_t hand_over(struct task *t, struct key_ref found, struct key *dest)
{
	int ret = 0;

	if (dest && !key_permitted(t->cred, found, KEY_NEED_LINK))
		ret = -EACCES;
	else if (dest)
		ret = ring_link(key_table(t), dest, found.key);
	return ret < 0 ? ret : found.key->serial;
}

#define NEGATIVE_SECONDS 60

/* Where a key that is made on request goes when nothing is said: KEYCTL_SET_REQKEY_KEYRING. */
static int default_ring(struct task *t, struct key_ref *out)
{
	static const int8_t ids[] = {0, -1, -2, -3, -4, -5};
	int32_t which = t->p->request_ring;

	if (which >= 1 && which <= 5)
		return key_lookup_locked(t, ids[which], KEY_LOOKUP_CREATE, KEY_NEED_WRITE, out);
	return key_lookup_locked(t,
				 t->p->thread_ring    ? LINUX_KEY_SPEC_THREAD_KEYRING
				 : t->p->process_ring ? LINUX_KEY_SPEC_PROCESS_KEYRING
						      : LINUX_KEY_SPEC_SESSION_KEYRING,
				 0, KEY_NEED_WRITE, out);
}

/* Nobody makes the key: whoever asks again within a minute hears so at once. */
static int refuse_to_make(struct task *t, const struct key_type *type, const char *desc, struct key *ring)
{
	struct key_table *kt = key_table(t);
	struct key_ref to = {.key = ring};
	struct key *k;
	int ret = ring ? 0 : default_ring(t, &to);

	if (ret == 0 && (type->keyring || !*desc))
		ret = type->keyring ? -EPERM : -EINVAL;
	if (ret == 0)
		ret = key_create(kt, type, desc, t->cred->fsuid, t->cred->fsgid, default_perm(type), false, &k);
	if (ret < 0)
		return ret;
	k->negative = true;
	k->expiry = clock_realtime_ns() / (int64_t)NSEC_PER_SEC + NEGATIVE_SECONDS;
	ret = ring_link(kt, to.key, k);
	key_put(kt, k);
	return ret < 0 ? ret : -ENOKEY;
}

int64_t key_request(struct task *t, const char *type_name, const char *desc, bool callout, int32_t dest)
{
	const struct key_type *type;
	struct key_ref to = {0}, found;
	int ret = 0;

	keys_lock(t->kernel);
	if (dest)
		ret = key_lookup_locked(t, dest, KEY_LOOKUP_CREATE, KEY_NEED_WRITE, &to);
	type = key_type_find(type_name);
	if (ret == 0 && !type)
		ret = -ENOKEY;
	if (ret == 0)
		ret = task_search(t, type, desc, NULL, &found);
	if (ret == -ENOKEY && type && callout)
		ret = refuse_to_make(t, type, desc, to.key);
	return done(t, ret < 0 ? ret : hand_over(t, found, to.key));
}

int64_t key_search(struct task *t, int32_t ring, const char *type_name, const char *desc, int32_t dest)
{
	const struct key_type *type;
	struct key_ref from, to = {0}, found;
	int ret;

	keys_lock(t->kernel);
	ret = key_lookup_locked(t, ring, 0, KEY_NEED_SEARCH, &from);
	if (ret == 0 && dest)
		ret = key_lookup_locked(t, dest, KEY_LOOKUP_CREATE, KEY_NEED_WRITE, &to);
	type = key_type_find(type_name);
	if (ret == 0 && !type)
		ret = -ENOKEY;
	if (ret == 0)
		ret = ring_search(t->cred, from, type, desc, NULL, &found);
	return done(t, ret < 0 ? ret : hand_over(t, found, to.key));
}

int64_t key_get_keyring_id(struct task *t, int32_t id, bool create)
{
	struct key_ref r;
	int ret;

	keys_lock(t->kernel);
	ret = key_lookup_locked(t, id, create ? KEY_LOOKUP_CREATE : 0, KEY_NEED_SEARCH, &r);
	return done(t, ret < 0 ? ret : r.key->serial);
}

int64_t key_join_session(struct task *t, const char *name)
{
	int ret;

	keys_lock(t->kernel);
	ret = key_session_install(t, name);
	return done(t, ret < 0 ? ret : t->p->session_ring->serial);
}

/* Only to a parent that is the same person, has one thread, and isn't init. */
int64_t key_session_to_parent(struct task *t)
{
	struct task *parent = NULL;
	struct process *pp;
	struct key_ref r;
	struct key *old;
	struct cred *c;
	int ret;

	mutex_lock(&t->kernel->tasklist_lock);
	pp = t->process->parent;
	if (pp && pp->task_count == 1 && pp->leader && pid_nr(pp->pid) > 1)
		parent = task_get(pp->leader);
	mutex_unlock(&t->kernel->tasklist_lock);
	if (!parent)
		return -EPERM;
	c = task_cred_get(parent);
	keys_lock(t->kernel);
	ret = key_lookup_locked(t, LINUX_KEY_SPEC_SESSION_KEYRING, 0, KEY_NEED_LINK, &r);
	if (ret == 0 &&
	    (!c || c->uid != t->cred->euid || c->euid != t->cred->euid || c->suid != t->cred->euid ||
	     c->gid != t->cred->egid || c->egid != t->cred->egid || c->sgid != t->cred->egid))
		ret = -EPERM;
	if (ret == 0 && parent->p->session_ring != r.key) {
		old = parent->p->session_ring;
		parent->p->session_ring = key_get(r.key);
		key_put(key_table(t), old);
	}
	keys_unlock(t->kernel);
	if (c)
		cred_put(c);
	task_put(parent);
	return ret;
}

int64_t key_update(struct task *t, int32_t id, struct key_data *d)
{
	struct key_ref r;
	int ret;

	keys_lock(t->kernel);
	ret = key_lookup_locked(t, id, 0, KEY_NEED_WRITE, &r);
	if (ret == 0 && !r.key->type->updatable)
		ret = -EOPNOTSUPP;
	if (ret == 0 && (d->size == 0 || d->size > r.key->type->max))
		ret = -EINVAL;
	if (ret == 0)
		ret = key_set_payload(r.key, d);
	if (ret == 0)
		r.key->expiry = 0;
	return done(t, ret);
}

int64_t key_revoke(struct task *t, int32_t id)
{
	struct key_ref r;
	int ret;

	keys_lock(t->kernel);
	ret = key_lookup_locked(t, id, 0, KEY_NEED_WRITE, &r);
	if (ret == -EACCES)
		ret = key_lookup_locked(t, id, 0, KEY_NEED_SETATTR, &r);
	if (ret == 0) {
		r.key->revoked = true;
		key_drop_payload(r.key);
		ring_clear(key_table(t), r.key);
		ret = key_reserve(r.key, strlen(r.key->desc) + 1);
	}
	return done(t, ret);
}

/* At once, wherever it is linked. */
int64_t key_invalidate(struct task *t, int32_t id)
{
	struct key_table *kt = key_table(t);
	struct rbnode *n;
	struct key_ref r;
	int ret;

	keys_lock(t->kernel);
	ret = key_lookup_locked(t, id, 0, KEY_NEED_SEARCH, &r);
	if (ret < 0)
		return done(t, ret);
	(void)key_get(r.key);
	r.key->invalidated = true;
	for (n = rb_first(&kt->keys); n; n = rb_next(n)) {
		struct key *ring = rb_entry(n, struct key, node);

		if (ring->type->keyring)
			ret = ring_unlink(kt, ring, r.key);
	}
	key_put(kt, r.key);
	return done(t, 0);
}

int64_t key_chown(struct task *t, int32_t id, uint32_t uid, uint32_t gid)
{
	struct key_ref r;
	int ret = 0;

	if (uid == ID_INVALID && gid == ID_INVALID)
		return 0;
	keys_lock(t->kernel);
	ret = key_lookup_locked(t, id, KEY_LOOKUP_CREATE | KEY_LOOKUP_PARTIAL, KEY_NEED_SETATTR, &r);
	if (ret == 0 && !cred_has_cap_in(t->cred, LINUX_CAP_SYS_ADMIN, t->kernel->user_ns)) {
		if (uid != ID_INVALID && uid != r.key->uid)
			ret = -EACCES;
		else if (gid != ID_INVALID && gid != r.key->gid && !cred_in_group(t->cred, gid))
			ret = -EACCES;
	}
	if (ret == 0 && uid != ID_INVALID)
		ret = key_account_move(key_table(t), r.key, uid);
	if (ret == 0 && uid != ID_INVALID)
		r.key->uid = uid;
	if (ret == 0 && gid != ID_INVALID)
		r.key->gid = gid;
	return done(t, ret);
}

int64_t key_set_perm(struct task *t, int32_t id, uint32_t perm)
{
	struct key_ref r;
	int ret;

	if (perm & ~KEY_PERM_MASK)
		return -EINVAL;
	keys_lock(t->kernel);
	ret = key_lookup_locked(t, id, KEY_LOOKUP_CREATE | KEY_LOOKUP_PARTIAL, KEY_NEED_SETATTR, &r);
	if (ret == 0 && r.key->uid != t->cred->fsuid &&
	    !cred_has_cap_in(t->cred, LINUX_CAP_SYS_ADMIN, t->kernel->user_ns))
		ret = -EACCES;
	if (ret == 0)
		r.key->perm = perm;
	return done(t, ret);
}

int64_t key_set_timeout(struct task *t, int32_t id, uint32_t seconds)
{
	struct key_ref r;
	int ret;

	keys_lock(t->kernel);
	ret = key_lookup_locked(t, id, KEY_LOOKUP_CREATE | KEY_LOOKUP_PARTIAL, KEY_NEED_SETATTR, &r);
	if (ret == 0)
		r.key->expiry = seconds ? clock_realtime_ns() / (int64_t)NSEC_PER_SEC + seconds : 0;
	return done(t, ret);
}

int64_t key_clear(struct task *t, int32_t id)
{
	struct key_ref r;
	int ret;

	keys_lock(t->kernel);
	ret = key_lookup_locked(t, id, KEY_LOOKUP_CREATE, KEY_NEED_WRITE, &r);
	if (ret == 0 && !r.key->type->keyring)
		ret = -ENOTDIR;
	if (ret == 0)
		ring_clear(key_table(t), r.key);
	return done(t, ret);
}

int64_t key_link(struct task *t, int32_t id, int32_t ring)
{
	struct key_ref r, k;
	int ret;

	keys_lock(t->kernel);
	ret = key_lookup_locked(t, ring, KEY_LOOKUP_CREATE, KEY_NEED_WRITE, &r);
	if (ret == 0)
		ret = key_lookup_locked(t, id, KEY_LOOKUP_CREATE, KEY_NEED_LINK, &k);
	if (ret == 0)
		ret = ring_link(key_table(t), r.key, k.key);
	return done(t, ret);
}

int64_t key_unlink(struct task *t, int32_t id, int32_t ring)
{
	struct key_ref r, k;
	int ret;

	keys_lock(t->kernel);
	ret = key_lookup_locked(t, ring, 0, KEY_NEED_WRITE, &r);
	if (ret == 0)
		ret = key_lookup_locked(t, id, KEY_LOOKUP_PARTIAL | KEY_LOOKUP_NOPERM, 0, &k);
	if (ret == 0)
		ret = ring_unlink(key_table(t), r.key, k.key);
	return done(t, ret);
}

int64_t key_move(struct task *t, int32_t id, int32_t from, int32_t to, bool exclusive)
{
	struct key_table *kt = key_table(t);
	struct key_ref k, f, d;
	struct key *there;
	int ret;

	keys_lock(t->kernel);
	ret = key_lookup_locked(t, id, KEY_LOOKUP_CREATE, KEY_NEED_LINK, &k);
	if (ret == 0)
		ret = key_lookup_locked(t, from, 0, KEY_NEED_WRITE, &f);
	if (ret == 0)
		ret = key_lookup_locked(t, to, KEY_LOOKUP_CREATE, KEY_NEED_WRITE, &d);
	if (ret < 0 || f.key == d.key)
		return done(t, ret);
	if (!f.key->type->keyring || !d.key->type->keyring)
		return done(t, -ENOTDIR);
	if (ring_find(f.key, k.key->type, k.key->desc) != k.key)
		return done(t, -ENOENT);
	there = ring_find(d.key, k.key->type, k.key->desc);
	if (there && exclusive)
		return done(t, -EEXIST);
	ret = ring_link(kt, d.key, k.key);
	if (ret == 0)
		ret = ring_unlink(kt, f.key, k.key);
	return done(t, ret);
}

/* Only the simplest restriction exists: nothing more may be linked. No type here offers another. */
int64_t key_restrict(struct task *t, int32_t id, const char *type, bool has_restriction)
{
	struct key_ref r;
	int ret;

	keys_lock(t->kernel);
	ret = key_lookup_locked(t, id, 0, KEY_NEED_SETATTR, &r);
	if (ret == 0 && !type && has_restriction)
		ret = -EINVAL;
	else if (ret == 0 && !r.key->type->keyring)
		ret = -ENOTDIR;
	else if (ret == 0 && type)
		ret = key_type_find(type) ? -ENOENT : -ENOKEY;
	else if (ret == 0 && r.key->restricted)
		ret = -EEXIST;
	if (ret == 0)
		r.key->restricted = true;
	return done(t, ret);
}

int64_t key_persistent(struct task *t, uint32_t uid, int32_t dest)
{
	struct key_table *kt = key_table(t);
	struct key_user *u;
	struct key_ref d;
	char name[32];
	int ret;

	if (uid == ID_INVALID)
		uid = t->cred->uid;
	else if (uid != t->cred->uid && uid != t->cred->euid && !cred_has_cap(t->cred, LINUX_CAP_SETUID))
		return -EPERM;
	keys_lock(t->kernel);
	ret = key_lookup_locked(t, dest, KEY_LOOKUP_CREATE, KEY_NEED_WRITE, &d);
	if (ret == 0 && !d.key->type->keyring)
		ret = -ENOTDIR;
	if (ret == 0)
		ret = key_user_get(kt, uid, &u);
	if (ret == 0 && (!u->persistent || key_validate(u->persistent) < 0)) {
		key_put(kt, u->persistent);
		u->persistent = NULL;
		(void)snprintf(name, sizeof(name), "_persistent.%u", uid);
		ret = key_create(kt, &key_type_keyring, name, uid, ID_INVALID,
				 KEY_POS(KEY_NEED_ALL & ~KEY_NEED_SETATTR) |
					 KEY_USR(KEY_NEED_VIEW | KEY_NEED_READ),
				 true, &u->persistent);
	}
	if (ret == 0)
		ret = ring_link(kt, d.key, u->persistent);
	if (ret == 0)
		u->persistent->expiry = clock_realtime_ns() / (int64_t)NSEC_PER_SEC + 3L * 24 * 3600;
	return done(t, ret < 0 ? ret : u->persistent->serial);
}

int64_t key_set_request_default(struct task *t, int32_t which)
{
	int32_t old = t->p->request_ring;
	struct key_ref r;
	int ret = 0;

	if (which == -1)
		return old;
	if (which < 0 || which > 7 || which == 6)
		return -EINVAL;
	if (which == 1 || which == 2) {
		keys_lock(t->kernel);
		ret = key_lookup_locked(t, -which, KEY_LOOKUP_CREATE, 0, &r);
		keys_unlock(t->kernel);
	}
	if (ret < 0)
		return ret;
	t->p->request_ring = which;
	return old;
}

int64_t key_describe(struct task *t, int32_t id, char **out)
{
	struct key_ref r;
	size_t size;
	int ret;

	keys_lock(t->kernel);
	ret = key_lookup_locked(t, id, KEY_LOOKUP_PARTIAL, KEY_NEED_VIEW, &r);
	if (ret < 0)
		return done(t, ret);
	size = strlen(r.key->desc) + 64;
	*out = kmalloc(size);
	if (!*out)
		return done(t, -ENOMEM);
	ret = snprintf(*out, size, "%s;%d;%d;%08x;%s", r.key->type->name,
		       (int32_t)user_ns_from_kuid(task_user_ns(t), r.key->uid),
		       r.key->gid == ID_INVALID ? -1 : (int32_t)user_ns_from_kgid(task_user_ns(t), r.key->gid),
		       r.key->perm, r.key->desc);
	return done(t, ret + 1);
}

static int64_t copy_contents(struct key *k, uint8_t **out)
{
	size_t size = k->type->keyring ? k->count * sizeof(int32_t) : k->size;

	*out = kmalloc(MAX(size, (size_t)1));
	if (!*out)
		return -ENOMEM;
	if (k->type->keyring)
		for (uint32_t i = 0; i < k->count; i++)
			memcpy(*out + i * sizeof(int32_t), &k->links[i]->serial, sizeof(int32_t));
	else if (size)
		memcpy(*out, k->payload, size);
	return (int64_t)size;
}

int64_t key_read(struct task *t, int32_t id, uint8_t **out)
{
	struct key_ref r;
	int64_t ret;

	keys_lock(t->kernel);
	if (key_lookup_locked(t, id, KEY_LOOKUP_PARTIAL | KEY_LOOKUP_NOPERM, 0, &r) < 0)
		return done(t, -ENOKEY);
	ret = key_validate(r.key);
	/* who possesses a key that can be searched for may read it, whatever else is missing */
	if (ret == 0 && !key_permitted(t->cred, r, KEY_NEED_READ) && !r.possessed)
		ret = -EACCES;
	if (ret == 0 && !r.key->type->readable)
		ret = -EOPNOTSUPP;
	if (ret == 0)
		ret = copy_contents(r.key, out);
	return done(t, ret);
}
