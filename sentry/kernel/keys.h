/* keys.h: keyrings(7): keys, the rings that hold them, whose they are. Every function but keys_create takes
 * the lock of the table itself or is called with it held (_locked); under it nothing but the allocator and
 * credentials is used, so the caller copies from and to the guest outside. */
#pragma once

#include "sentry/kernel/kernel.h"

struct key;
struct key_table;
struct strbuf;

#define KEY_DESC_MAX	4096
#define KEY_PAYLOAD_MAX (1024 * 1024 - 1)

#define LINUX_KEY_SPEC_THREAD_KEYRING	    -1
#define LINUX_KEY_SPEC_PROCESS_KEYRING	    -2
#define LINUX_KEY_SPEC_SESSION_KEYRING	    -3
#define LINUX_KEY_SPEC_USER_KEYRING	    -4
#define LINUX_KEY_SPEC_USER_SESSION_KEYRING -5
#define LINUX_KEY_SPEC_GROUP_KEYRING	    -6
#define LINUX_KEY_SPEC_REQKEY_AUTH_KEY	    -7
#define LINUX_KEY_SPEC_REQUESTOR_KEYRING    -8

/* What the caller wants to do: bits of each byte of key->perm. */
#define KEY_NEED_VIEW	 0x01u
#define KEY_NEED_READ	 0x02u
#define KEY_NEED_WRITE	 0x04u
#define KEY_NEED_SEARCH	 0x08u
#define KEY_NEED_LINK	 0x10u
#define KEY_NEED_SETATTR 0x20u
#define KEY_NEED_ALL	 0x3fu

/* Flags of key_lookup_locked. */
#define KEY_LOOKUP_CREATE  0x1u /* special keyrings come into being */
#define KEY_LOOKUP_PARTIAL 0x2u /* revoked and expired ones too */
#define KEY_LOOKUP_NOPERM  0x4u /* no permission is asked for */

struct key_ref {
	struct key *key; /* borrowed: valid while the lock is held */
	bool possessed;
};

/* New data of a key: the payload is taken (and set to NULL) on success. */
struct key_data {
	uint8_t *payload; /* kmalloc; NULL when size is 0 */
	size_t size;
};

struct key_table *key_table_create(struct kernel *k); /* NULL: no memory */
void keys_lock(struct kernel *k);
void keys_unlock(struct kernel *k);

/* The books of a task: clone(2), execve(2), its end. */
void keys_fork(struct task *parent, struct task *child, bool thread);
void keys_exec(struct task *t);
void keys_exit(struct task *t);

/* [lock] -EINVAL, -ENOKEY, -EKEYREVOKED, -EKEYEXPIRED, -EACCES, -EDQUOT, -ENOMEM */
MUST_CHECK int key_lookup_locked(struct task *t, int32_t id, uint32_t flags, uint32_t need,
				 struct key_ref *out);
bool key_permitted_locked(struct task *t, struct key_ref r, uint32_t need);

/* add_key(2), request_key(2) and the commands of keyctl(2) that need no buffer: the serial, or -errno. */
int64_t key_add(struct task *t, const char *type, const char *desc, struct key_data *d, int32_t ring);
/* callout: a helper program may be asked to make the key. There is none, so a negative key takes its place. */
int64_t key_request(struct task *t, const char *type, const char *desc, bool callout, int32_t dest);
int64_t key_get_keyring_id(struct task *t, int32_t id, bool create);
int64_t key_join_session(struct task *t, const char *name); /* NULL: a new one without a name */
int64_t key_session_to_parent(struct task *t);
int64_t key_update(struct task *t, int32_t id, struct key_data *d);
int64_t key_revoke(struct task *t, int32_t id);
int64_t key_invalidate(struct task *t, int32_t id);
int64_t key_chown(struct task *t, int32_t id, uint32_t uid, uint32_t gid); /* kernel ids; ID_INVALID: keep */
int64_t key_set_perm(struct task *t, int32_t id, uint32_t perm);
int64_t key_set_timeout(struct task *t, int32_t id, uint32_t seconds);
int64_t key_clear(struct task *t, int32_t id);
int64_t key_link(struct task *t, int32_t id, int32_t ring);
int64_t key_unlink(struct task *t, int32_t id, int32_t ring);
int64_t key_move(struct task *t, int32_t id, int32_t from, int32_t to, bool exclusive);
int64_t key_search(struct task *t, int32_t ring, const char *type, const char *desc, int32_t dest);
int64_t key_restrict(struct task *t, int32_t id, const char *type, bool has_restriction);
int64_t key_persistent(struct task *t, uint32_t uid, int32_t dest); /* kernel id; ID_INVALID: one's own */
int64_t key_set_request_default(struct task *t, int32_t which);
/* The text or the contents as a fresh buffer (freed with kfree): its whole size, or -errno. */
int64_t key_describe(struct task *t, int32_t id, char **out);
int64_t key_read(struct task *t, int32_t id, uint8_t **out);
/* /proc/keys and /proc/key-users as cred sees them. */
void key_show_all(struct kernel *k, const struct cred *cred, struct strbuf *out);
void key_show_users(struct kernel *k, struct strbuf *out);
