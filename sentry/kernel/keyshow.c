/* keyshow.c: /proc/keys and /proc/key-users (proc(5), keyrings(7)). */
#include <stdio.h>

#include "platform/base/strbuf.h"
#include "sentry/kernel/keys_internal.h"

static void format_left(const struct key *k, char *buf, size_t size)
{
	int64_t now = clock_realtime_ns() / (int64_t)NSEC_PER_SEC, left = k->expiry - now;

	if (!k->expiry)
		(void)snprintf(buf, size, "perm");
	else if (left <= 0)
		(void)snprintf(buf, size, "expd");
	else if (left < 60)
		(void)snprintf(buf, size, "%us", (unsigned)left);
	else if (left < 3600)
		(void)snprintf(buf, size, "%um", (unsigned)(left / 60));
	else if (left < 86400)
		(void)snprintf(buf, size, "%uh", (unsigned)(left / 3600));
	else if (left < 7 * 86400)
		(void)snprintf(buf, size, "%ud", (unsigned)(left / 86400));
	else
		(void)snprintf(buf, size, "%uw", (unsigned)(left / (7 * 86400)));
}

/* Without possession: a file knows whose it is, not which rings its reader has. */
void key_show_all(struct kernel *kernel, const struct cred *cred, struct strbuf *out)
{
	struct rbnode *n;
	char left[16];

	keys_lock(kernel);
	for (n = rb_first(&kernel->keys->keys); n; n = rb_next(n)) {
		struct key *k = rb_entry(n, struct key, node);

		if (!key_permitted(cred, (struct key_ref){k, false}, KEY_NEED_VIEW))
			continue;
		format_left(k, left, sizeof(left));
		strbuf_printf(out, "%08x I%c-Q--%c %5u %4s %08x %5d %5d %-9.9s %s: ", (uint32_t)k->serial,
			      k->revoked ? 'R' : '-', k->invalidated ? 'i' : '-', k->usage, left, k->perm,
			      (int32_t)user_ns_from_kuid(cred->user_ns, k->uid),
			      k->gid == ID_INVALID ? -1 : (int32_t)user_ns_from_kgid(cred->user_ns, k->gid),
			      k->type->name, k->desc);
		if (k->type->keyring && k->count == 0)
			strbuf_puts(out, "empty\n");
		else
			strbuf_printf(out, "%lu\n", k->type->keyring ? (size_t)k->count : k->size);
	}
	keys_unlock(kernel);
}

void key_show_users(struct kernel *kernel, struct strbuf *out)
{
	struct rbnode *n;

	keys_lock(kernel);
	for (n = rb_first(&kernel->keys->users); n; n = rb_next(n)) {
		struct key_user *u = rb_entry(n, struct key_user, node);

		strbuf_printf(out, "%5u: %5u %u/%u %lu/%lu %lu/%lu\n", u->uid, u->keys + 1, u->keys, u->keys,
			      u->quota_keys, key_max_keys(u), u->quota_bytes, key_max_bytes(u));
	}
	keys_unlock(kernel);
}
