/* ear.c: issuing and checking EAR tokens. */
#include "cvm-host/kbs/ear.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Clocks of broker and client may differ by this much. */
#define SKEW 60

/* AR4SI values: 2 affirming, 97 contraindicated hardware ("not genuine"), 99 of the rest: no claim is worth
 * more than the hardware that makes it. */
static json_t *vector(const struct ear_facts *f)
{
	int good = f->affirming && !f->insecure ? 2 : 0, hardware = f->insecure ? 97 : 2;
	int sw = f->insecure ? 99 : f->affirming ? 2 : 33;

	return json_pack("{si si si si si si si si}", "instance-identity", good, "configuration",
			 f->insecure ? 99 : good, "executables", sw, "file-system", 0, "hardware", hardware,
			 "runtime-opaque", 0, "storage-opaque", 0, "sourced-data", 0);
}

static json_t *annotated(const struct ear_facts *f)
{
	json_t *v = json_pack("{s{ss sO} sb ss sO}", "runtime_data_claims", "nonce", f->nonce, "tee-pubkey",
			      f->pubkey, "confidential", !f->insecure, "tee", f->tee, f->tee, f->claims);

	if (f->waived)
		json_object_set(v, "waived", (json_t *)(uintptr_t)f->waived);
	if (f->init_digest)
		json_object_set_new(v, "init_data", json_string(f->init_digest));
	if (f->manifest)
		json_object_set(v, "sbx-manifest", (json_t *)(uintptr_t)f->manifest);
	if (f->binding)
		json_object_set_new(v, "channel-binding", json_string(f->binding));
	return v;
}

char *ear_issue(const struct ear_signer *s, const struct ear_facts *f, struct err *e)
{
	const char *status = f->insecure || !f->affirming ? "contraindicated" : "affirming";
	json_t *head = json_pack("{ss ss sO so}", "alg", "ES256", "typ", "JWT", "x5c", s->x5c, "jwk",
				 jwk_export(s->key, "ES256"));
	json_t *body = json_pack(
		"{ss sI sI s{ss ss} s{s{ss so ss so}}}", "eat_profile", EAR_PROFILE, "iat", (json_int_t)f->now,
		"exp", (json_int_t)(f->now + f->lifetime), "ear.verifier-id", "developer", "sbx", "build",
		"sbx-cvm", "submods", "cpu0", "ear.status", status, "ear.trustworthiness-vector", vector(f),
		"ear.appraisal-policy-id", f->policy, "ear.veraison.annotated-evidence", annotated(f));
	char *text = head && body ? json_dumps(body, JSON_COMPACT) : NULL, *token = NULL;

	if (text)
		token = jws_sign(s->key, head, text, strlen(text), e);
	else
		err_set(e, -EINVAL, "the token's claims are no JSON");
	free(text);
	json_decref(head);
	json_decref(body);
	return token;
}

static int check_payload(const struct jws *j, int64_t now, json_t **out, struct err *e)
{
	const char *profile;
	json_t *v = NULL;
	int64_t iat, exp;
	int ret = json_read(j->payload.data, j->payload.size, 1u << 20, &v, e);

	if (ret)
		return ret;
	profile = json_string_value(json_object_get(v, "eat_profile"));
	ret = json_opt_int(v, "iat", 0, INT64_MAX / 2, -1, &iat, e);
	if (!ret)
		ret = json_opt_int(v, "exp", 0, INT64_MAX / 2, -1, &exp, e);
	if (!ret && (!profile || strcmp(profile, EAR_PROFILE) != 0 || iat < 0 || exp < 0))
		ret = err_set(e, -EKEYREJECTED, "the token is no EAR of this profile");
	if (!ret && (now >= exp || now < iat - SKEW))
		ret = err_set(e, -EKEYEXPIRED, "the token is %s", now >= exp ? "expired" : "from the future");
	if (ret)
		json_decref(v);
	else
		*out = v;
	return ret;
}

int ear_check(const char *token, size_t len, EVP_PKEY *key, int64_t now, json_t **out, struct err *e)
{
	struct jws j;
	int ret = jws_parse(token, len, &j, e);

	if (ret)
		return ret;
	ret = jws_check(&j, key, "ES256", e);
	if (!ret)
		ret = check_payload(&j, now, out, e);
	jws_free(&j);
	return ret;
}

int ear_check_chain(const char *token, size_t len, X509_STORE *trust, int64_t now, json_t **out, struct err *e)
{
	EVP_PKEY *key = NULL;
	struct jws j;
	int ret = jws_parse(token, len, &j, e);

	if (ret)
		return ret;
	ret = jws_chain(&j, trust, now, &key, e);
	if (!ret)
		ret = jws_check(&j, key, "ES256", e);
	if (!ret)
		ret = check_payload(&j, now, out, e);
	EVP_PKEY_free(key);
	jws_free(&j);
	return ret;
}

static const json_t *cpu(const json_t *payload)
{
	return json_object_get(json_object_get(payload, "submods"), "cpu0");
}

const json_t *ear_member(const json_t *payload, const char *name)
{
	return json_object_get(json_object_get(cpu(payload), "ear.veraison.annotated-evidence"), name);
}

const json_t *ear_claims(const json_t *payload)
{
	const char *tee = json_string_value(ear_member(payload, "tee"));

	return tee ? ear_member(payload, tee) : NULL;
}

const json_t *ear_pubkey(const json_t *payload)
{
	return json_object_get(ear_member(payload, "runtime_data_claims"), "tee-pubkey");
}

const char *ear_status(const json_t *payload)
{
	return json_string_value(json_object_get(cpu(payload), "ear.status"));
}
