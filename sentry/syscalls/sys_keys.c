/* sys_keys.c: add_key(2), request_key(2), keyctl(2): arguments in, results out. */
#include <string.h>

#include "sentry/kernel/keys.h"
#include "sentry/syscalls/internal.h"

enum keyctl_command {
	GET_KEYRING_ID,
	JOIN_SESSION_KEYRING,
	UPDATE,
	REVOKE,
	CHOWN,
	SETPERM,
	DESCRIBE,
	CLEAR,
	LINK,
	UNLINK,
	SEARCH,
	READ,
	INSTANTIATE,
	NEGATE,
	SET_REQKEY_KEYRING,
	SET_TIMEOUT,
	ASSUME_AUTHORITY,
	GET_SECURITY,
	SESSION_TO_PARENT,
	REJECT,
	INSTANTIATE_IOV,
	INVALIDATE,
	GET_PERSISTENT,
	RESTRICT_KEYRING = 29,
	MOVE,
	CAPABILITIES,
};

#define MOVE_EXCL 1u
#define TYPE_MAX  32

static int get_type(struct task *t, uaddr_t src, char type[TYPE_MAX])
{
	ssize_t n = strncpy_from_user(t, type, src, TYPE_MAX);

	if (n == -ENAMETOOLONG || n == 0)
		return -EINVAL;
	if (n < 0)
		return (int)n;
	return type[0] == '.' ? -EPERM : 0;
}

/* A string of the guest's, freed with kfree. */
static int get_string(struct task *t, uaddr_t src, size_t max, char **out)
{
	char *s = kmalloc(max);
	ssize_t n;

	if (!s)
		return -ENOMEM;
	n = strncpy_from_user(t, s, src, max);
	if (n < 0) {
		kfree(s);
		return n == -ENAMETOOLONG ? -EINVAL : (int)n;
	}
	*out = s;
	return 0;
}

static int get_payload(struct task *t, uaddr_t src, uint64_t size, struct key_data *d)
{
	int ret;

	*d = (struct key_data){0};
	if (size == 0)
		return 0;
	d->payload = kmalloc(size);
	if (!d->payload)
		return -ENOMEM;
	ret = copy_from_user(t, d->payload, src, size);
	if (ret < 0) {
		kfree(d->payload);
		return ret;
	}
	d->size = size;
	return 0;
}

int64_t sys_add_key(struct task *t, const struct sysargs *a)
{
	uint64_t size = arg_u64(a, 3);
	char type[TYPE_MAX], *desc = NULL;
	struct key_data d;
	int64_t ret;

	if (size > KEY_PAYLOAD_MAX)
		return -EINVAL;
	ret = get_type(t, arg_addr(a, 0), type);
	if (ret == 0 && arg_addr(a, 1))
		ret = get_string(t, arg_addr(a, 1), KEY_DESC_MAX, &desc);
	if (ret < 0)
		return ret;
	if (desc && desc[0] == '.' && strncmp(type, "keyring", 7) == 0)
		ret = -EPERM;
	if (ret == 0)
		ret = get_payload(t, arg_addr(a, 2), size, &d);
	if (ret == 0) {
		ret = key_add(t, type, desc, &d, arg_int(a, 4));
		kfree(d.payload);
	}
	kfree(desc);
	return ret;
}

int64_t sys_request_key(struct task *t, const struct sysargs *a)
{
	char type[TYPE_MAX], *desc = NULL, *callout = NULL;
	int64_t ret = get_type(t, arg_addr(a, 0), type);

	if (ret == 0)
		ret = get_string(t, arg_addr(a, 1), KEY_DESC_MAX, &desc);
	if (ret < 0)
		return ret;
	if (arg_addr(a, 2)) /* for a helper program that makes keys: there is none */
		ret = get_string(t, arg_addr(a, 2), PAGE_SIZE, &callout);
	if (ret == 0)
		ret = key_request(t, type, desc, arg_addr(a, 2) != 0, arg_int(a, 3));
	kfree(callout);
	kfree(desc);
	return ret;
}

/* The whole size is the result; what doesn't fit isn't copied. */
static int64_t give(struct task *t, const void *data, int64_t size, uaddr_t buf, uint64_t room)
{
	if (buf && (uint64_t)size <= room && copy_to_user(t, buf, data, (size_t)size) < 0)
		return -EFAULT;
	return size;
}

static int64_t do_join(struct task *t, uaddr_t name)
{
	char *s = NULL;
	int64_t ret = name ? get_string(t, name, KEY_DESC_MAX, &s) : 0;

	if (ret == 0)
		ret = s && s[0] == '.' ? -EPERM : key_join_session(t, s);
	kfree(s);
	return ret;
}

static int64_t do_update(struct task *t, int32_t id, uaddr_t src, uint64_t size)
{
	struct key_data d;
	int64_t ret;

	if (size > PAGE_SIZE)
		return -EINVAL;
	ret = get_payload(t, src, src ? size : 0, &d);
	if (ret == 0) {
		ret = key_update(t, id, &d);
		kfree(d.payload);
	}
	return ret;
}

static int64_t do_chown(struct task *t, int32_t id, uint32_t uid, uint32_t gid)
{
	uint32_t kuid = uid == ID_INVALID ? uid : user_ns_to_kuid(t->cred->user_ns, uid);
	uint32_t kgid = gid == ID_INVALID ? gid : user_ns_to_kgid(t->cred->user_ns, gid);

	if ((uid != ID_INVALID && kuid == ID_INVALID) || (gid != ID_INVALID && kgid == ID_INVALID))
		return -EINVAL;
	return key_chown(t, id, kuid, kgid);
}

static int64_t do_describe(struct task *t, int32_t id, uaddr_t buf, uint64_t room)
{
	char *text = NULL;
	int64_t ret = key_describe(t, id, &text);

	if (ret > 0)
		ret = give(t, text, ret, buf, room);
	kfree(text);
	return ret;
}

static int64_t do_read(struct task *t, int32_t id, uaddr_t buf, uint64_t room)
{
	uint8_t *data = NULL;
	int64_t ret = key_read(t, id, &data);

	if (ret > 0)
		ret = give(t, data, ret, buf, room);
	kfree(data);
	return ret;
}

/* No security module labels keys: an empty string, of one byte. */
static int64_t do_security(struct task *t, int32_t id, uaddr_t buf, uint64_t room)
{
	char *text = NULL;
	int64_t ret = key_describe(t, id, &text);

	kfree(text);
	if (ret < 0)
		return ret;
	return room ? give(t, "", 1, buf, room) : 1;
}

static int64_t do_search(struct task *t, const struct sysargs *a)
{
	char type[TYPE_MAX], *desc = NULL;
	int64_t ret = get_type(t, arg_addr(a, 2), type);

	if (ret == 0)
		ret = get_string(t, arg_addr(a, 3), KEY_DESC_MAX, &desc);
	if (ret < 0)
		return ret;
	ret = key_search(t, arg_int(a, 1), type, desc, arg_int(a, 4));
	kfree(desc);
	return ret;
}

static int64_t do_restrict(struct task *t, const struct sysargs *a)
{
	char type[TYPE_MAX], *restriction = NULL;
	int64_t ret = 0;

	if (arg_addr(a, 2))
		ret = get_type(t, arg_addr(a, 2), type);
	if (ret == 0 && arg_addr(a, 3))
		ret = get_string(t, arg_addr(a, 3), PAGE_SIZE, &restriction);
	if (ret == 0)
		ret = key_restrict(t, arg_int(a, 1), arg_addr(a, 2) ? type : NULL, restriction != NULL);
	kfree(restriction);
	return ret;
}

/* Persistent rings, big keys, invalidation, restriction, moving; no cryptography. */
static int64_t do_capabilities(struct task *t, uaddr_t buf, uint64_t room)
{
	static const uint8_t caps[2] = {0x01 | 0x02 | 0x10 | 0x20 | 0x40 | 0x80, 0};
	static const uint8_t zeros[64];
	uint64_t n = MIN(room, (uint64_t)sizeof(caps));

	if (copy_to_user(t, buf, caps, n) < 0)
		return -EFAULT;
	while (n < room) {
		uint64_t part = MIN(room - n, (uint64_t)sizeof(zeros));

		if (copy_to_user(t, buf + n, zeros, part) < 0)
			return -EFAULT;
		n += part;
	}
	return sizeof(caps);
}

/* Without a request to answer, nobody has the authority to. */
static int64_t answer_request(uint32_t command, uint64_t size, uint32_t error)
{
	if (command == REJECT && (error == 0 || error >= 4095 || (error >= 512 && error <= 516)))
		return -EINVAL;
	return command == INSTANTIATE && size > KEY_PAYLOAD_MAX ? -EINVAL : -EPERM;
}

static int64_t do_persistent(struct task *t, uint32_t uid, int32_t dest)
{
	uint32_t kuid = uid == ID_INVALID ? uid : user_ns_to_kuid(t->cred->user_ns, uid);

	return uid != ID_INVALID && kuid == ID_INVALID ? -EINVAL : key_persistent(t, kuid, dest);
}

int64_t sys_keyctl(struct task *t, const struct sysargs *a)
{
	int32_t id = arg_int(a, 1);

	switch (arg_u32(a, 0)) {
	case GET_KEYRING_ID:
		return key_get_keyring_id(t, id, arg_int(a, 2) != 0);
	case JOIN_SESSION_KEYRING:
		return do_join(t, arg_addr(a, 1));
	case UPDATE:
		return do_update(t, id, arg_addr(a, 2), arg_u64(a, 3));
	case REVOKE:
		return key_revoke(t, id);
	case CHOWN:
		return do_chown(t, id, arg_u32(a, 2), arg_u32(a, 3));
	case SETPERM:
		return key_set_perm(t, id, arg_u32(a, 2));
	case DESCRIBE:
		return do_describe(t, id, arg_addr(a, 2), arg_u64(a, 3));
	case CLEAR:
		return key_clear(t, id);
	case LINK:
		return key_link(t, id, arg_int(a, 2));
	case UNLINK:
		return key_unlink(t, id, arg_int(a, 2));
	case SEARCH:
		return do_search(t, a);
	case READ:
		return do_read(t, id, arg_addr(a, 2), arg_u64(a, 3));
	case INSTANTIATE:
	case INSTANTIATE_IOV:
	case NEGATE:
	case REJECT:
		return answer_request(arg_u32(a, 0), arg_u64(a, 3), arg_u32(a, 3));
	case SET_REQKEY_KEYRING:
		return key_set_request_default(t, id);
	case SET_TIMEOUT:
		return key_set_timeout(t, id, arg_u32(a, 2));
	case ASSUME_AUTHORITY:
		return id < 0 ? -EINVAL : id == 0 ? 0 : -ENOKEY;
	case GET_SECURITY:
		return do_security(t, id, arg_addr(a, 2), arg_u64(a, 3));
	case SESSION_TO_PARENT:
		return key_session_to_parent(t);
	case INVALIDATE:
		return key_invalidate(t, id);
	case GET_PERSISTENT:
		return do_persistent(t, arg_u32(a, 1), arg_int(a, 2));
	case RESTRICT_KEYRING:
		return do_restrict(t, a);
	case MOVE:
		if (arg_u32(a, 4) & ~MOVE_EXCL)
			return -EINVAL;
		return key_move(t, id, arg_int(a, 2), arg_int(a, 3), arg_u32(a, 4) & MOVE_EXCL);
	case CAPABILITIES:
		return do_capabilities(t, arg_addr(a, 1), arg_u64(a, 2));
	default:
		return -EOPNOTSUPP;
	}
}
