/* broker_attest.c: a nonce for evidence, evidence for a token. A nonce is used up by the first attestation that
 * names its session, whatever comes of it. */
#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "cvm-host/kbs/broker_internal.h"

void broker_auth(struct broker *b, const struct broker_request *q, struct broker_reply *out)
{
	struct kbs_request r;
	struct session *s;
	struct err e;

	if (kbs_request_parse(q->body, q->body_size, &r, &e) < 0) {
		reply_error(out, 401, "AttestationError", "%s", e.text);
		return;
	}
	if (!tee_known(r.tee)) {
		reply_error(out, 401, "AttestationError", "TEE %s is not supported", r.tee);
		return;
	}
	pthread_mutex_lock(&b->lock);
	s = session_new(b->sessions, mono_ms(), b->session_seconds * 1000);
	if (s) {
		s->request = r;
		s->challenge.hash = r.hash;
		s->challenge.binding = r.binding && q->export_channel;
		out->cookie = xstrdup(s->id);
		reply_json(out, kbs_challenge_text(&s->challenge));
	}
	pthread_mutex_unlock(&b->lock);
	if (!s)
		reply_error(out, 503, "AttestationError", "too many sessions");
}

/* What one attestation is about, gathered step by step. */
struct attempt {
	struct broker *b;
	const struct broker_request *q;
	struct rules *rules;
	struct kbs_request request;
	struct kbs_challenge challenge;
	struct kbs_attestation att;
	struct tee_verdict verdict;
	char init_digest[129];
	json_t *manifest;
	struct policy_answer answer;
};

static int check_binding(struct attempt *a, struct err *e)
{
	struct blob sent = {0};
	uint8_t have[32];
	int ret;

	if (!a->att.binding)
		return a->b->require_binding || a->challenge.binding
			       ? err_set(e, -EKEYREJECTED, "the evidence is not bound to this TLS connection")
			       : 0;
	if (!a->challenge.binding)
		return err_set(e, -EINVAL, "a channel binding that was not agreed on");
	ret = b64_decode(a->att.binding, strlen(a->att.binding), &sent);
	if (!ret)
		ret = a->q->export_channel(a->q->connection, a->challenge.nonce, have);
	if (!ret && (sent.size != sizeof(have) || CRYPTO_memcmp(sent.data, have, sizeof(have)) != 0))
		ret = -EKEYREJECTED;
	blob_free(&sent);
	return ret ? err_set(e, ret, "the evidence is bound to another TLS connection") : 0;
}

/* additional_evidence is a text {"gpu":EVIDENCE}; its claims join the primary's. */
static int check_devices(struct attempt *a, struct err *e)
{
	struct tee_verdict device = {0};
	json_t *map = NULL, *evidence;
	uint8_t report[64];
	const char *name;
	int ret;

	if (!*a->att.additional)
		return 0;
	ret = json_read(a->att.additional, strlen(a->att.additional), KBS_BODY_MAX, &map, e);
	if (!ret && !json_is_object(map))
		ret = err_set(e, -EINVAL, "additional_evidence is no object");
	if (!ret)
		ret = kbs_report_data(a->request.hash, a->challenge.nonce, a->att.pubkey, NULL, a->att.binding,
				      report, e);
	json_object_foreach(map, name, evidence)
	{
		if (ret)
			break;
		ret = strcmp(name, TEE_DEVICE) != 0 ? err_set(e, -EINVAL, "device %.20s is not supported", name)
						    : tee_verify(name, evidence, report, 32,
								 &a->rules->collateral, wall_now(), &device, e);
		if (!ret) {
			json_object_update(a->verdict.claims, device.claims);
			json_array_extend(a->verdict.waived, device.waived);
		}
		tee_verdict_free(&device);
	}
	json_decref(map);
	return ret;
}

static int check_init(struct attempt *a, struct err *e)
{
	uint8_t digest[64];
	size_t size;
	int ret;

	if (!a->att.init_body)
		return 0;
	if (tee_init_data(a->request.tee, &a->verdict, a->att.init_body, digest, &size) < 0)
		return err_set(e, -EKEYREJECTED, "the init data is not what the platform measured");
	bytes_to_hex(a->init_digest, digest, size);
	ret = manifest_from_initdata(a->att.init_body, strlen(a->att.init_body), &a->manifest, e);
	return ret == -ENOENT ? 0 : ret;
}

/* A manifest whose owners' signatures the policy has just checked: not older than any before, and on the public
 * log. */
static int accept_manifest(struct attempt *a, struct err *e)
{
	struct broker *b = a->b;
	char hex[97];
	uint8_t digest[48];
	uint64_t index;
	int ret;

	if (!a->manifest || !a->answer.allowed || !a->answer.manifest)
		return 0;
	ret = manifest_digest(a->manifest, digest, e);
	if (ret)
		return ret;
	bytes_to_hex(hex, digest, sizeof(digest));
	pthread_mutex_lock(&b->lock);
	ret = svn_accept(b->svn_path, manifest_name(a->manifest), manifest_svn(a->manifest), hex, e);
	if (ret == 1)
		ret = translog_add(&b->translog,
				   json_pack("{ss sI ss ss sI}", "name", manifest_name(a->manifest), "svn",
					     (json_int_t)manifest_svn(a->manifest), "digest", hex, "policy",
					     policy_name(a->rules->policy), "time", (json_int_t)wall_now()),
				   &index, e);
	pthread_mutex_unlock(&b->lock);
	return ret;
}

static int verify(struct attempt *a, struct err *e)
{
	struct policy_question q = {.tee = a->request.tee};
	uint8_t report[64];
	EVP_PKEY *key = NULL;
	int ret;

	if (strcmp(a->att.nonce, a->challenge.nonce) != 0)
		return err_set(e, -EKEYREJECTED, "the nonce is not this session's");
	ret = jwk_import(a->att.pubkey, &key, e);
	EVP_PKEY_free(key);
	if (!ret)
		ret = check_binding(a, e);
	if (!ret)
		ret = kbs_report_data(a->request.hash, a->challenge.nonce, a->att.pubkey, a->att.additional,
				      a->att.binding, report, e);
	if (!ret)
		ret = tee_verify(a->request.tee, a->att.primary, report,
				 a->request.hash == KBS_SHA512	 ? 64
				 : a->request.hash == KBS_SHA384 ? 48
								 : 32,
				 &a->rules->collateral, wall_now(), &a->verdict, e);
	if (!ret)
		ret = check_devices(a, e);
	if (!ret)
		ret = check_init(a, e);
	if (ret)
		return ret;
	q.insecure = a->verdict.insecure;
	q.claims = a->verdict.claims;
	q.waived = a->verdict.waived;
	q.manifest = a->manifest;
	policy_decide(a->rules->policy, &q, &a->answer);
	return accept_manifest(a, e);
}

static char *make_token(struct attempt *a, struct err *e)
{
	struct ear_facts f = {
		.tee = a->request.tee,
		.claims = a->verdict.claims,
		.waived = a->verdict.waived,
		.affirming = a->answer.allowed,
		.insecure = a->verdict.insecure,
		.policy = policy_name(a->rules->policy),
		.nonce = a->challenge.nonce,
		.pubkey = a->att.pubkey,
		.init_digest = a->init_digest[0] ? a->init_digest : NULL,
		.manifest = a->manifest,
		.binding = a->att.binding,
		.now = wall_now(),
		.lifetime = a->b->token_seconds,
	};

	return ear_issue(&a->b->signer, &f, e);
}

/* The session's old token, or its challenge to be used up now. -ENOENT: no such session, or its nonce is gone.
 */
static int claim_session(struct broker *b, const char *id, struct attempt *a, char **token)
{
	struct session *s;
	int ret = -ENOENT;

	pthread_mutex_lock(&b->lock);
	s = id ? session_find(b->sessions, id, mono_ms()) : NULL;
	if (s && s->state == SESSION_ATTESTED) {
		*token = xstrdup(s->token);
		ret = 0;
	} else if (s && s->state == SESSION_CHALLENGED) {
		s->state = SESSION_CHECKING;
		a->request = s->request;
		a->challenge = s->challenge;
		ret = 0;
	}
	pthread_mutex_unlock(&b->lock);
	return ret;
}

static void finish_session(struct broker *b, const char *id, const char *token)
{
	struct session *s;

	pthread_mutex_lock(&b->lock);
	s = session_find(b->sessions, id, mono_ms());
	if (s && s->state == SESSION_CHECKING) {
		if (token) {
			s->token = xstrdup(token);
			s->state = SESSION_ATTESTED;
			s->expires = mono_ms() + b->token_seconds * 1000;
		} else {
			session_drop(s);
		}
	}
	pthread_mutex_unlock(&b->lock);
}

static void reply_token(struct broker_reply *out, const char *id, const char *token)
{
	json_t *v = json_pack("{ss}", "token", token);

	out->cookie = xstrdup(id);
	reply_json(out, json_dumps(v, JSON_COMPACT));
	json_decref(v);
}

static json_t *attest_event(const struct attempt *a, const char *id, int ret, const struct err *e)
{
	json_t *v = json_pack("{ss ss ss sb}", "event", "attest", "session", id, "tee", a->request.tee,
			      "accepted", !ret);

	if (ret)
		json_object_set_new(v, "reason", json_string(e->text) ?: json_string("?"));
	else if (a->answer.allowed)
		json_object_set_new(v, "rule", json_string(a->answer.rule));
	else
		json_object_set_new(v, "policy", json_string(a->answer.reason) ?: json_string("?"));
	if (!ret)
		json_object_set_new(v, "confidential", json_boolean(!a->verdict.insecure));
	if (a->manifest)
		json_object_set_new(v, "manifest",
				    json_pack("{ss sI}", "name", manifest_name(a->manifest), "svn",
					      (json_int_t)manifest_svn(a->manifest)));
	return v;
}

static void attempt_fini(struct attempt *a)
{
	rules_put(a->b, a->rules);
	kbs_attestation_free(&a->att);
	tee_verdict_free(&a->verdict);
	json_decref(a->manifest);
	policy_answer_free(&a->answer);
}

void broker_attest(struct broker *b, const struct broker_request *q, struct broker_reply *out)
{
	char *id = http_cookie(q->head, "cookie", KBS_COOKIE), *token = NULL;
	struct attempt a = {.b = b, .q = q};
	struct err e = {"no session: ask for a challenge first"};
	int ret = claim_session(b, id, &a, &token);

	if (ret || token) {
		if (token)
			reply_token(out, id, token);
		else
			reply_error(out, 401, "AttestationError", "%s", e.text);
		goto out;
	}
	a.rules = rules_get(b);
	ret = kbs_attestation_parse(q->body, q->body_size, &a.att, &e);
	if (!ret)
		ret = verify(&a, &e);
	if (!ret) {
		token = make_token(&a, &e);
		ret = token ? 0 : -EIO;
	}
	if (audit_event(b, q, attest_event(&a, id, ret, &e), false) < 0 && !ret)
		ret = err_set(&e, -EIO, "the audit log cannot be written");
	finish_session(b, id, ret ? NULL : token);
	if (ret)
		reply_error(out, 401, "AttestationError", "%s", e.text);
	else
		reply_token(out, id, token);
	attempt_fini(&a);
out:
	free(token);
	free(id);
}
