/* broker_release.c: what an attested guest gets: resources, leases, the counters of its volumes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cvm-host/kbs/broker_internal.h"

/* ---- who asks
 * ------------------------------------------------------------------------------------------------ */

static char *token_of(struct broker *b, const struct broker_request *q)
{
	const struct http_part *auth = http_header(q->head, "authorization");
	struct session *s;
	char *id, *token = NULL;

	if (auth && auth->len > 7 && !strncmp(auth->s, "Bearer ", 7)) {
		token = strndup(auth->s + 7, auth->len - 7);
		if (!token)
			abort();
		return token;
	}
	id = http_cookie(q->head, "cookie", KBS_COOKIE);
	if (!id)
		return NULL;
	pthread_mutex_lock(&b->lock);
	s = session_find(b->sessions, id, mono_ms());
	if (s && s->state == SESSION_ATTESTED)
		token = xstrdup(s->token);
	pthread_mutex_unlock(&b->lock);
	free(id);
	return token;
}

/* Evidence that was bound to one connection is good on that connection only. */
static int check_channel(const struct broker_request *q, const json_t *payload, struct err *e)
{
	const char *bound = json_string_value(ear_member(payload, "channel-binding"));
	const char *nonce =
		json_string_value(json_object_get(ear_member(payload, "runtime_data_claims"), "nonce"));
	uint8_t have[32];
	char *s;
	int ret;

	if (!bound)
		return 0;
	if (!nonce || !q->export_channel || q->export_channel(q->connection, nonce, have) < 0)
		return err_set(e, -EACCES, "the token is bound to a TLS connection");
	s = b64_encode(have, sizeof(have));
	ret = strcmp(s, bound) != 0 ? err_set(e, -EACCES, "the token is bound to another TLS connection") : 0;
	free(s);
	return ret;
}

int guest_of(struct broker *b, const struct broker_request *q, struct guest *out, struct err *e)
{
	char *token = token_of(b, q);
	struct guest g = {0};
	uint8_t print[32];
	int ret;

	if (!token)
		return err_set(e, -ENOENT, "Attestation Token not found");
	ret = ear_check(token, strlen(token), b->signer.key, wall_now(), &g.payload, e);
	free(token);
	if (ret)
		return ret;
	ret = check_channel(q, g.payload, e);
	if (!ret)
		ret = jwk_import(ear_pubkey(g.payload), &g.key, e);
	if (!ret)
		ret = jwk_thumbprint(g.key, print);
	g.alg = json_string_value(json_object_get(ear_pubkey(g.payload), "alg"));
	g.tee = json_string_value(ear_member(g.payload, "tee"));
	if (ret || !g.alg || !g.tee) {
		guest_free(&g);
		return ret ? ret : err_set(e, -EINVAL, "the token lacks the guest's key");
	}
	bytes_to_hex(g.holder, print, sizeof(print));
	g.insecure = !json_is_true(ear_member(g.payload, "confidential"));
	g.manifest = ear_member(g.payload, "sbx-manifest");
	*out = g;
	return 0;
}

void guest_free(struct guest *g)
{
	json_decref(g->payload);
	EVP_PKEY_free(g->key);
	*g = (struct guest){0};
}

/* ---- may it?
 * -------------------------------------------------------------------------------------------------- */

/* A newer manifest may have been accepted since the token was made. */
static int check_svn(struct broker *b, const struct guest *g, struct err *e)
{
	uint8_t digest[48];
	char hex[97];
	int ret;

	if (!g->manifest)
		return 0;
	ret = manifest_digest(g->manifest, digest, e);
	if (ret)
		return ret;
	bytes_to_hex(hex, digest, sizeof(digest));
	pthread_mutex_lock(&b->lock);
	ret = svn_accept(b->svn_path, manifest_name(g->manifest), manifest_svn(g->manifest), hex, e);
	pthread_mutex_unlock(&b->lock);
	return ret < 0 ? ret : 0;
}

/* Policy, then version, then lease of `what`. The answer's reason is for the log, e for the guest. */
static int may(struct broker *b, const struct guest *g, const char *resource, const char *volume,
	       const char *what, struct policy_answer *a, struct err *e)
{
	struct policy_question q = {.tee = g->tee,
				    .insecure = g->insecure,
				    .waived = ear_member(g->payload, "waived"),
				    .claims = ear_claims(g->payload),
				    .manifest = g->manifest,
				    .resource = resource,
				    .volume = volume};
	struct rules *rules = rules_get(b);
	int64_t leases;
	int ret;

	policy_decide(rules->policy, &q, a);
	rules_put(b, rules);
	if (!a->allowed)
		return err_set(e, -EACCES, "Access denied by policy: %s", a->check);
	ret = a->manifest ? check_svn(b, g, e) : 0;
	if (!ret) {
		leases = a->manifest && manifest_leases(g->manifest) >= 0 ? manifest_leases(g->manifest)
									  : a->leases;
		pthread_mutex_lock(&b->lock);
		ret = lease_take(&b->leases, what, g->holder, leases, wall_now(), a->lease_seconds, e);
		pthread_mutex_unlock(&b->lock);
	}
	if (ret)
		snprintf(a->reason, sizeof(a->reason), "%s", e->text);
	return ret;
}

static json_t *event_of(const char *event, const char *what, const struct guest *g,
			const struct policy_answer *a, int ret)
{
	json_t *v = json_pack("{ss ss sb}", "event", event, "what", what, "released", !ret);

	if (g->tee)
		json_object_set_new(v, "tee", json_string(g->tee));
	if (g->holder[0])
		json_object_set_new(v, "holder", json_string(g->holder));
	if (g->payload)
		json_object_set_new(v, "confidential", json_boolean(!g->insecure));
	if (ret)
		json_object_set_new(v, "reason", json_string(a->reason) ?: json_string("?"));
	return v;
}

static void reply_no(struct broker_reply *out, int ret, const struct err *e)
{
	switch (ret) {
	case -ENOENT:
		reply_error(out, 401, "TokenNotFound", "%s", e->text);
		break;
	case -EACCES:
		reply_error(out, 403, "PolicyDeny", "%s", e->text);
		break;
	case -EBUSY:
		reply_error(out, 403, "LeaseHeld", "%s", e->text);
		break;
	case -ESTALE:
		reply_error(out, 403, "Stale", "%s", e->text);
		break;
	default:
		reply_error(out, 401, "TokenVerifierError", "%s", e->text);
	}
}

/* ---- resources
 * -------------------------------------------------------------------------------------------------- */

static int seal_resource(struct broker *b, const struct guest *g, const char *path, json_t **jwe, struct err *e)
{
	char *file = xasprintf("%s/%s", b->resources, path);
	struct blob plain = {0};
	int ret = load_file(file, RESOURCE_MAX, &plain, e);

	free(file);
	if (!ret)
		ret = jwe_encrypt(g->key, g->alg, plain.data, plain.size, jwe, e);
	blob_free(&plain);
	return ret;
}

void broker_resource(struct broker *b, const struct broker_request *q, const char *path,
		     struct broker_reply *out)
{
	struct policy_answer a = {0};
	struct guest g = {0};
	json_t *jwe = NULL;
	struct err e;
	int ret;

	if (!kbs_resource_ok(path)) {
		reply_error(out, 404, "InvalidRequestPath", "Request path is invalid");
		return;
	}
	ret = guest_of(b, q, &g, &e);
	if (ret)
		snprintf(a.reason, sizeof(a.reason), "%s", e.text);
	else
		ret = may(b, &g, path, NULL, path, &a, &e);
	if (!ret && seal_resource(b, &g, path, &jwe, &e) < 0) {
		ret = -ENODATA;
		snprintf(a.reason, sizeof(a.reason), "%s", e.text);
	}
	if (audit_event(b, q, event_of("resource", path, &g, &a, ret), !ret) < 0 && !ret)
		ret = err_set(&e, -EIO, "the audit log cannot be written");
	if (ret == -ENODATA) {
		reply_error(out, 404, "PluginInternalError", "there is no such resource");
	} else if (ret) {
		reply_no(out, ret, &e);
	} else {
		reply_json(out, json_dumps(jwe, JSON_COMPACT));
		out->type = "application/jwe";
	}
	json_decref(jwe);
	policy_answer_free(&a);
	guest_free(&g);
}

/* ---- leases
 * ------------------------------------------------------------------------------------------------------ */

static int parse_action(const struct broker_request *q, bool *release, struct err *e)
{
	json_t *v = NULL;
	const char *s;
	int ret = json_read(q->body, q->body_size, 4096, &v, e);

	if (ret)
		return ret;
	s = json_need_string(v, "action", e);
	if (!s)
		ret = -EINVAL;
	else if (strcmp(s, "renew") != 0 && strcmp(s, "release") != 0)
		ret = err_set(e, -EINVAL, "action is renew or release");
	else
		*release = !strcmp(s, "release");
	json_decref(v);
	return ret;
}

void broker_lease(struct broker *b, const struct broker_request *q, const char *path, struct broker_reply *out)
{
	const char *volume = strncmp(path, "volume:", 7) == 0 ? path + 7 : NULL;
	struct policy_answer a = {0};
	struct guest g = {0};
	bool release = false;
	struct err e;
	int ret;

	if (volume ? !volume_name_ok(volume) : !kbs_resource_ok(path)) {
		reply_error(out, 404, "InvalidRequestPath", "Request path is invalid");
		return;
	}
	ret = guest_of(b, q, &g, &e);
	if (!ret && parse_action(q, &release, &e) < 0) {
		reply_error(out, 400, "InvalidRequest", "%s", e.text);
		guest_free(&g);
		return;
	}
	if (!ret && release) {
		pthread_mutex_lock(&b->lock);
		ret = lease_drop(&b->leases, path, g.holder, &e) == -ENOENT ? -EBUSY : 0;
		pthread_mutex_unlock(&b->lock);
	} else if (!ret) {
		ret = may(b, &g, volume ? NULL : path, volume, path, &a, &e);
	}
	if (ret)
		snprintf(a.reason, sizeof(a.reason), "%s", e.text);
	if (audit_event(b, q, event_of(release ? "lease-release" : "lease-renew", path, &g, &a, ret), false) <
		    0 &&
	    !ret)
		ret = err_set(&e, -EIO, "the audit log cannot be written");
	if (ret)
		reply_no(out, ret, &e);
	else
		reply_json(out, xstrdup("{}"));
	policy_answer_free(&a);
	guest_free(&g);
}

/* ---- volumes
 * ------------------------------------------------------------------------------------------------------ */

static int advance(struct broker *b, const struct broker_request *q, const char *name, struct err *e)
{
	const char *root, *previous;
	struct counter next = {0};
	json_t *v = NULL;
	int64_t epoch;
	int ret = json_read(q->body, q->body_size, 4096, &v, e);

	if (ret)
		return ret;
	root = json_need_string(v, "root", e);
	previous = root ? json_need_string(v, "previous", e) : NULL;
	ret = previous ? json_opt_int(v, "epoch", 1, INT64_MAX, 0, &epoch, e) : -EINVAL;
	if (!ret && strlen(root) != 64)
		ret = err_set(e, -EINVAL, "a root has 64 hex digits");
	if (!ret) {
		next.epoch = (uint64_t)epoch;
		snprintf(next.root, sizeof(next.root), "%s", root);
		pthread_mutex_lock(&b->lock);
		ret = counter_advance(b->volumes, name, previous, &next, e);
		pthread_mutex_unlock(&b->lock);
	}
	json_decref(v);
	return ret;
}

static int show_counter(struct broker *b, const char *name, struct broker_reply *out, struct err *e)
{
	struct counter c;
	int ret;

	pthread_mutex_lock(&b->lock);
	ret = counter_get(b->volumes, name, &c, e);
	pthread_mutex_unlock(&b->lock);
	if (!ret)
		reply_json(out,
			   xasprintf("{\"epoch\":%llu,\"root\":\"%s\"}", (unsigned long long)c.epoch, c.root));
	return ret;
}

void broker_volume(struct broker *b, const struct broker_request *q, const char *path, struct broker_reply *out)
{
	bool post = http_is(&q->head->method, "POST");
	struct policy_answer a = {0};
	struct guest g = {0};
	char *what;
	struct err e;
	int ret;

	if (!volume_name_ok(path)) {
		reply_error(out, 404, "InvalidRequestPath", "Request path is invalid");
		return;
	}
	what = xasprintf("volume:%s", path);
	ret = guest_of(b, q, &g, &e);
	if (!ret && g.manifest && !manifest_has_volume(g.manifest, path))
		ret = err_set(&e, -EACCES, "the manifest mounts no volume %.64s", path);
	if (!ret)
		ret = may(b, &g, NULL, path, what, &a, &e);
	if (!ret && post)
		ret = advance(b, q, path, &e);
	if (!ret)
		ret = show_counter(b, path, out, &e);
	if (ret)
		snprintf(a.reason, sizeof(a.reason), "%s", e.text);
	if (audit_event(b, q, event_of(post ? "volume-advance" : "volume", what, &g, &a, ret), false) < 0 &&
	    !ret)
		ret = err_set(&e, -EIO, "the audit log cannot be written");
	if (ret == -EINVAL && g.payload)
		reply_error(out, 400, "InvalidRequest", "%s", e.text);
	else if (ret)
		reply_no(out, ret, &e);
	free(what);
	policy_answer_free(&a);
	guest_free(&g);
}
