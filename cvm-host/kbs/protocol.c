/* protocol.c: the protocol's JSON, read and written. */
#include "cvm-host/kbs/protocol.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	const char *md;
	size_t size;
} hashes[] = {[KBS_SHA384] = {"sha384", "SHA384", 48},
	      [KBS_SHA512] = {"sha512", "SHA512", 64},
	      [KBS_SHA256] = {"sha256", "SHA256", 32}};

const char *kbs_hash_name(enum kbs_hash h)
{
	return hashes[h].name;
}

static int hash_of(const char *name, enum kbs_hash *out)
{
	for (size_t i = 0; name && i < ARRAY_SIZE(hashes); i++)
		if (!strcmp(hashes[i].name, name)) {
			*out = (enum kbs_hash)i;
			return 0;
		}
	return -EINVAL;
}

/* The earliest of our list that the client's list names; names that we do not know are no error. */
static int choose_hash(const json_t *list, enum kbs_hash *out, struct err *e)
{
	unsigned offered = 0;

	for (size_t i = 0; i < json_array_size(list); i++) {
		enum kbs_hash h;

		if (hash_of(json_string_value(json_array_get(list, i)), &h) == 0)
			offered |= 1u << h;
	}
	if (!json_is_array(list) || !offered)
		return err_set(e, -EINVAL, "supported-hash-algorithms names none of sha256, sha384, sha512");
	*out = (enum kbs_hash)__builtin_ctz(offered);
	return 0;
}

static bool word_ok(const char *s, size_t max)
{
	size_t n = strlen(s);

	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)s[i]) && s[i] != '-')
			return false;
	return n > 0 && n < max;
}

int kbs_request_parse(const void *body, size_t size, struct kbs_request *out, struct err *e)
{
	json_t *root = NULL, *extra, *list;
	struct kbs_request r = {.hash = KBS_SHA384};
	const char *version, *tee;
	int ret = json_read(body, size, KBS_BODY_MAX, &root, e);

	if (ret)
		return ret;
	ret = -EINVAL;
	version = json_need_string(root, "version", e);
	tee = version ? json_need_string(root, "tee", e) : NULL;
	if (!tee)
		goto out;
	if (strcmp(version, KBS_VERSION) != 0) {
		ret = err_set(e, -EPROTONOSUPPORT, "protocol version %.20s, this broker speaks exactly %s",
			      version, KBS_VERSION);
		goto out;
	}
	if (!word_ok(tee, sizeof(r.tee))) {
		err_set(e, ret, "tee is no name");
		goto out;
	}
	snprintf(r.tee, sizeof(r.tee), "%s", tee);
	extra = json_object_get(root, "extra-params"); /* "" in clients that have nothing to say */
	list = json_object_get(extra, "supported-hash-algorithms");
	ret = list ? choose_hash(list, &r.hash, e) : 0;
	r.binding = json_is_true(json_object_get(extra, "channel-binding"));
	if (!ret)
		*out = r;
out:
	json_decref(root);
	return ret;
}

static char *text_of(json_t *v)
{
	char *s = json_dumps(v, JSON_COMPACT);

	json_decref(v);
	if (!s)
		abort();
	return s;
}

char *kbs_request_text(const char *tee)
{
	return text_of(json_pack("{ss ss s{s[sss] sb}}", "version", KBS_VERSION, "tee", tee, "extra-params",
				 "supported-hash-algorithms", "sha256", "sha384", "sha512", "channel-binding",
				 1));
}

int kbs_challenge_parse(const void *body, size_t size, struct kbs_challenge *out, struct err *e)
{
	struct kbs_challenge c = {.hash = KBS_SHA384};
	const char *nonce, *binding;
	json_t *root = NULL, *extra, *chosen;
	int ret = json_read(body, size, KBS_BODY_MAX, &root, e);

	if (ret)
		return ret;
	ret = -EINVAL;
	nonce = json_need_string(root, "nonce", e);
	if (!nonce)
		goto out;
	if (!*nonce || strlen(nonce) >= sizeof(c.nonce)) {
		err_set(e, ret, "the nonce has %zu characters", strlen(nonce));
		goto out;
	}
	snprintf(c.nonce, sizeof(c.nonce), "%s", nonce);
	extra = json_object_get(root, "extra-params");
	chosen = json_object_get(extra, "selected-hash-algorithm");
	if (chosen && hash_of(json_string_value(chosen), &c.hash) < 0) {
		err_set(e, ret, "the broker chose an unknown hash algorithm");
		goto out;
	}
	binding = json_string_value(json_object_get(extra, "channel-binding"));
	c.binding = binding && !strcmp(binding, "tls-exporter");
	*out = c;
	ret = 0;
out:
	json_decref(root);
	return ret;
}

char *kbs_challenge_text(const struct kbs_challenge *c)
{
	json_t *extra = json_pack("{ss}", "selected-hash-algorithm", kbs_hash_name(c->hash));

	if (c->binding)
		json_object_set_new(extra, "channel-binding", json_string("tls-exporter"));
	return text_of(json_pack("{ss so}", "nonce", c->nonce, "extra-params", extra));
}

/* The public key as sent is what is hashed: only members that a JWK of its type has, all of them strings. */
static int check_pubkey(const json_t *jwk, const char **alg, struct err *e)
{
	static const char *const ec[] = {"kty", "crv", "alg", "x", "y", NULL};
	static const char *const rsa[] = {"kty", "alg", "n", "e", NULL};
	const char *kty = json_need_string(jwk, "kty", e), *key;
	bool is_ec = kty && !strcmp(kty, "EC");
	json_t *v;

	*alg = json_need_string(jwk, "alg", e);
	if (!kty || !*alg)
		return -EINVAL;
	if (strcmp(*alg, is_ec ? JWE_ECDH : JWE_RSA) != 0)
		return err_set(e, -EINVAL, "tee-pubkey: algorithm %.24s for a key of type %.8s", *alg, kty);
	json_object_foreach((json_t *)(uintptr_t)jwk, key, v)
	{
		if (!json_is_string(v))
			return err_set(e, -EINVAL, "tee-pubkey: %.24s is no string", key);
	}
	return json_only(jwk, is_ec ? ec : rsa, e);
}

static int parse_init(const json_t *init, struct kbs_attestation *a, struct err *e)
{
	if (!init || json_is_null(init))
		return 0;
	a->init_format = json_need_string(init, "format", e);
	a->init_body = a->init_format ? json_need_string(init, "body", e) : NULL;
	if (!a->init_body)
		return -EINVAL;
	if (strcmp(a->init_format, "toml") != 0 && strcmp(a->init_format, "json") != 0)
		return err_set(e, -EINVAL, "init-data: format %.20s", a->init_format);
	return 0;
}

int kbs_attestation_parse(const void *body, size_t size, struct kbs_attestation *out, struct err *e)
{
	struct kbs_attestation a = {0};
	const json_t *runtime, *evidence, *binding;
	int ret = json_read(body, size, KBS_BODY_MAX, &a.root, e);

	if (ret)
		return ret;
	ret = -EINVAL;
	runtime = json_need_object(a.root, "runtime-data", e);
	evidence = runtime ? json_need_object(a.root, "tee-evidence", e) : NULL;
	a.pubkey = evidence ? json_need_object(runtime, "tee-pubkey", e) : NULL;
	a.nonce = a.pubkey ? json_need_string(runtime, "nonce", e) : NULL;
	a.additional = a.nonce ? json_need_string(evidence, "additional_evidence", e) : NULL;
	a.primary = a.additional ? json_object_get(evidence, "primary_evidence") : NULL;
	if (!a.additional)
		goto bad;
	if (!a.primary || json_is_null(a.primary)) {
		err_set(e, ret, "primary_evidence is missing");
		goto bad;
	}
	binding = json_object_get(runtime, "channel-binding");
	if (binding && !json_is_string(binding)) {
		err_set(e, ret, "channel-binding is no string");
		goto bad;
	}
	a.binding = json_string_value(binding);
	ret = check_pubkey(a.pubkey, &a.pubkey_alg, e);
	if (!ret)
		ret = parse_init(json_object_get(a.root, "init-data"), &a, e);
	if (ret)
		goto bad;
	*out = a;
	return 0;
bad:
	json_decref(a.root);
	return ret;
}

void kbs_attestation_free(struct kbs_attestation *a)
{
	json_decref(a->root);
	*a = (struct kbs_attestation){0};
}

char *kbs_attestation_text(const char *nonce, const json_t *pubkey, const char *binding, const json_t *primary,
			   const char *additional, const char *init_format, const char *init_body)
{
	json_t *runtime = json_pack("{ss sO}", "nonce", nonce, "tee-pubkey", pubkey);
	json_t *root;

	if (binding)
		json_object_set_new(runtime, "channel-binding", json_string(binding));
	root = json_pack("{so s{sO ss}}", "runtime-data", runtime, "tee-evidence", "primary_evidence", primary,
			 "additional_evidence", additional);
	if (init_body)
		json_object_set_new(root, "init-data",
				    json_pack("{ss ss}", "format", init_format, "body", init_body));
	return text_of(root);
}

int kbs_report_data(enum kbs_hash h, const char *nonce, const json_t *pubkey, const char *additional,
		    const char *binding, uint8_t out[64], struct err *e)
{
	json_t *v = json_pack("{ss sO}", "nonce", nonce, "tee-pubkey", pubkey);
	const EVP_MD *md = EVP_get_digestbyname(hashes[h].md);
	struct blob text = {0};
	int ret;

	if (additional)
		json_object_set_new(v, "additional-evidence", json_string(additional));
	if (binding)
		json_object_set_new(v, "channel-binding", json_string(binding));
	ret = json_canonical(v, &text, e);
	memset(out, 0, 64);
	if (!ret && EVP_Digest(text.data, text.size, out, NULL, md, NULL) != 1)
		ret = -EIO;
	blob_free(&text);
	json_decref(v);
	return ret;
}

char *kbs_error_text(const char *kind, const char *detail)
{
	char *type = xasprintf(KBS_ERRORS "%s", kind);
	json_t *v = json_pack("{ss ss}", "type", type, "detail", detail);

	free(type);
	if (!v) /* the detail was no UTF-8 */
		return kbs_error_text(kind, "");
	return text_of(v);
}

void kbs_error_parse(const void *body, size_t size, struct err *e)
{
	const char *detail = NULL;
	json_t *root = NULL;

	if (json_read(body, size, KBS_BODY_MAX, &root, NULL) == 0)
		detail = json_string_value(json_object_get(root, "detail"));
	if (detail)
		snprintf(e->text, sizeof(e->text), "%s", detail);
	else
		snprintf(e->text, sizeof(e->text), "%.*s", (int)MIN(size, sizeof(e->text) - 1),
			 (const char *)body);
	for (char *s = e->text; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = '?';
	json_decref(root);
}

bool kbs_resource_ok(const char *path)
{
	size_t parts = 1, len = 0;

	if (strlen(path) > 255)
		return false;
	for (const char *s = path;; s++) {
		if (*s == '/' || !*s) {
			if (!len || s[-(ssize_t)len] == '.')
				return false;
			if (!*s)
				return parts == 3;
			parts++;
			len = 0;
		} else if (isalnum((unsigned char)*s) || strchr("-._~", *s)) {
			len++;
		} else {
			return false;
		}
	}
}
