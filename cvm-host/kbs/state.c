/* state.c: sessions, leases, counters, versions. */
#include "cvm-host/kbs/state.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SETS	  1024 /* of WAYS sessions each; the set is the beginning of the id, which is random */
#define WAYS	  8
#define STATE_MAX (16u << 20)

struct sessions {
	struct session s[SETS][WAYS];
};

struct sessions *sessions_new(void)
{
	return xcalloc(1, sizeof(struct sessions));
}

void sessions_free(struct sessions *t)
{
	for (size_t i = 0; t && i < SETS * WAYS; i++)
		session_drop(&t->s[i / WAYS][i % WAYS]);
	free(t);
}

void session_drop(struct session *s)
{
	free(s->token);
	*s = (struct session){0};
}

static struct session *set_of(struct sessions *t, const char *id)
{
	uint8_t b[2];
	char text[5] = {id[0], id[1], id[2], id[3], 0};

	if (bytes_from_hex(text, b, 2) < 0)
		return NULL;
	return t->s[(b[0] << 8 | b[1]) % SETS];
}

struct session *session_find(struct sessions *t, const char *id, int64_t now)
{
	struct session *set = strlen(id) == 32 ? set_of(t, id) : NULL;

	for (int i = 0; set && i < WAYS; i++) {
		if (set[i].state == SESSION_FREE || CRYPTO_memcmp(set[i].id, id, 32) != 0)
			continue;
		if (now < set[i].expires)
			return &set[i];
		session_drop(&set[i]);
	}
	return NULL;
}

struct session *session_new(struct sessions *t, int64_t now, int64_t lifetime_ms)
{
	struct session *set, *best = NULL;
	uint8_t raw[16], nonce[KBS_NONCE_SIZE];
	char id[33], *s;

	if (random_fill(raw, sizeof(raw)) < 0 || random_fill(nonce, sizeof(nonce)) < 0)
		return NULL;
	bytes_to_hex(id, raw, sizeof(raw));
	set = set_of(t, id);
	for (int i = 0; i < WAYS; i++) {
		if (set[i].state == SESSION_FREE || now >= set[i].expires) {
			best = &set[i];
			break;
		}
		if (set[i].state == SESSION_CHALLENGED && (!best || set[i].expires < best->expires))
			best = &set[i];
	}
	if (!best)
		return NULL;
	session_drop(best);
	memcpy(best->id, id, sizeof(id));
	s = b64_encode(nonce, sizeof(nonce));
	snprintf(best->challenge.nonce, sizeof(best->challenge.nonce), "%s", s);
	free(s);
	best->state = SESSION_CHALLENGED;
	best->expires = now + lifetime_ms;
	return best;
}

/* ---- files of JSON ----------------------------------------------------------------------------------------
 */

static int load_json(const char *path, json_t **out, struct err *e)
{
	struct stat st;
	int ret;

	if (stat(path, &st) < 0 && errno == ENOENT) {
		*out = json_object();
		return 0;
	}
	ret = json_read_file(path, STATE_MAX, out, e);
	if (!ret && !json_is_object(*out)) {
		json_decref(*out);
		ret = err_set(e, -EINVAL, "%s: no JSON object", path);
	}
	return ret;
}

static int store_json(const char *path, const json_t *v, struct err *e)
{
	char *s = json_dumps(v, JSON_COMPACT | JSON_SORT_KEYS);
	int ret = s ? save_file(path, s, strlen(s), 0600, e) : -ENOMEM;

	free(s);
	return ret;
}

/* ---- leases ---------------------------------------------------------------------------------------------- */

int leases_open(const char *path, struct leases *l, struct err *e)
{
	int ret = load_json(path, &l->all, e);

	if (!ret)
		l->path = xstrdup(path);
	return ret;
}

void leases_close(struct leases *l)
{
	json_decref(l->all);
	free(l->path);
	*l = (struct leases){0};
}

static void drop_expired(json_t *holders, int64_t now)
{
	const char *who;
	json_t *until;
	void *tmp;

	json_object_foreach_safe(holders, tmp, who, until)
	{
		if (json_integer_value(until) <= now)
			json_object_del(holders, who);
	}
}

int lease_take(struct leases *l, const char *what, const char *holder, int64_t limit, int64_t now,
	       int64_t seconds, struct err *e)
{
	json_t *holders = json_object_get(l->all, what), *old;
	int ret;

	if (!limit)
		return 0;
	if (!holders) {
		holders = json_object();
		json_object_set_new(l->all, what, holders);
	}
	drop_expired(holders, now);
	old = json_incref(json_object_get(holders, holder));
	if (!old && (int64_t)json_object_size(holders) >= limit)
		return err_set(e, -EBUSY, "%.100s is leased to another instance (%zu of %lld)", what,
			       json_object_size(holders), (long long)limit);
	json_object_set_new(holders, holder, json_integer(now + seconds));
	ret = store_json(l->path, l->all, e);
	if (ret && old)
		json_object_set(holders, holder, old);
	else if (ret)
		json_object_del(holders, holder);
	json_decref(old);
	return ret;
}

int lease_drop(struct leases *l, const char *what, const char *holder, struct err *e)
{
	json_t *holders = json_object_get(l->all, what);

	if (json_object_del(holders, holder) < 0)
		return err_set(e, -ENOENT, "no such lease");
	if (!json_object_size(holders))
		json_object_del(l->all, what);
	return store_json(l->path, l->all, e);
}

bool lease_held(const struct leases *l, const char *what, const char *holder, int64_t now)
{
	return json_integer_value(json_object_get(json_object_get(l->all, what), holder)) > now;
}

/* ---- counters -------------------------------------------------------------------------------------------- */

bool volume_name_ok(const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)name[i]) && (!i || !strchr("-._", name[i])))
			return false;
	return n > 0 && n <= 64;
}

int counter_get(const char *dir, const char *volume, struct counter *out, struct err *e)
{
	const char *root;
	json_t *v = NULL;
	char *path;
	int64_t epoch;
	int ret;

	if (!volume_name_ok(volume))
		return err_set(e, -EINVAL, "not the name of a volume");
	path = xasprintf("%s/%s", dir, volume);
	ret = load_json(path, &v, e);
	free(path);
	if (ret)
		return ret;
	ret = json_opt_int(v, "epoch", 0, INT64_MAX, 0, &epoch, e);
	root = json_string_value(json_object_get(v, "root")) ?: "";
	if (!ret && strlen(root) != (epoch ? 64u : 0u))
		ret = err_set(e, -EBADMSG, "the counter of %s is damaged", volume);
	if (!ret) {
		out->epoch = (uint64_t)epoch;
		snprintf(out->root, sizeof(out->root), "%s", root);
	}
	json_decref(v);
	return ret;
}

int counter_advance(const char *dir, const char *volume, const char *previous, const struct counter *next,
		    struct err *e)
{
	struct counter now;
	uint8_t raw[32];
	json_t *v;
	char *path;
	int ret = counter_get(dir, volume, &now, e);

	if (ret)
		return ret;
	if (bytes_from_hex(next->root, raw, 32) < 0)
		return err_set(e, -EINVAL, "a root has 64 hex digits");
	if (next->epoch != now.epoch + 1 || strcmp(previous, now.root) != 0)
		return err_set(e, -ESTALE, "volume %s is at epoch %llu", volume, (unsigned long long)now.epoch);
	v = json_pack("{sI ss sI}", "epoch", (json_int_t)next->epoch, "root", next->root, "time",
		      (json_int_t)wall_now());
	path = xasprintf("%s/%s", dir, volume);
	ret = store_json(path, v, e);
	free(path);
	json_decref(v);
	return ret;
}

int svn_accept(const char *path, const char *name, int64_t svn, const char *digest, struct err *e)
{
	json_t *all = NULL, *old;
	int64_t seen = -1;
	const char *was;
	int ret = load_json(path, &all, e);

	if (ret)
		return ret;
	old = json_object_get(all, name);
	was = json_string_value(json_object_get(old, "digest"));
	if (old && (json_opt_int(old, "svn", 0, INT64_MAX, -1, &seen, e) < 0 || !was))
		ret = err_set(e, -EBADMSG, "%s is damaged", path);
	else if (svn < seen)
		ret = err_set(e, -ESTALE, "manifest %.60s: svn %lld, %lld has been accepted before", name,
			      (long long)svn, (long long)seen);
	else if (svn == seen && strcmp(was, digest) != 0)
		ret = err_set(e, -ESTALE, "manifest %.60s: another one with svn %lld has been accepted before",
			      name, (long long)svn);
	else if (svn > seen) {
		json_object_set_new(all, name, json_pack("{sI ss}", "svn", (json_int_t)svn, "digest", digest));
		ret = store_json(path, all, e);
		ret = ret ? ret : 1;
	}
	json_decref(all);
	return ret;
}
