/* manifest.c: form, signatures and digest of manifests. */
#include "cvm-host/kbs/manifest.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cvm-host/kbs/jose.h"
#include "cvm-host/kbs/protocol.h"

#define SIGNATURES_MAX 32

static const char sign_prefix[] = "sbx manifest signature v1";

/* ---- form ----------------------------------------------------------------------------------------------- */

enum kind { STRING, COUNT, BOOL, HEX32, LIST, MAP, PATH, RESOURCE, PLATFORM, VERB };

struct member {
	const char *name;
	enum kind kind;
	bool required;
	const struct member *each; /* of LIST: of every object in it; of MAP: its members, NULL: any strings */
	enum kind item;		   /* of LIST without each */
};

static int check_object(const char *what, const json_t *v, const struct member *m, struct err *e);

static bool is_hex(const char *s, size_t digits)
{
	size_t n = strspn(s, "0123456789abcdef");

	return n == digits && !s[n];
}

static bool path_ok(const char *s)
{
	if (s[0] != '/' || strlen(s) > 4095)
		return false;
	for (const char *p = s; (p = strstr(p, "/..")); p += 3)
		if (p[3] == '/' || !p[3])
			return false;
	return true;
}

static bool listed(const char *s, const char *const *list)
{
	while (*list && strcmp(*list, s) != 0)
		list++;
	return *list != NULL;
}

static bool string_ok(enum kind kind, const char *s)
{
	static const char *const platforms[] = {"snp", "tdx", "cca", "insecure-sim", "sample", NULL};
	static const char *const verbs[] = {"ping",	"shutdown", "resize", "ready",	  "exit",
					    "evidence", "relay",    "log",    "progress", "metric",
					    "signal",	"stdio",    NULL};

	switch (kind) {
	case STRING:
		return strlen(s) < 32768;
	case HEX32:
		return is_hex(s, 64);
	case PATH:
		return path_ok(s);
	case RESOURCE:
		return kbs_resource_ok(s);
	case PLATFORM:
		return listed(s, platforms);
	case VERB:
		return listed(s, verbs);
	default:
		return false;
	}
}

static int check_list(const char *what, const json_t *v, const struct member *m, struct err *e)
{
	json_t *item;
	size_t i;
	int ret = 0;

	if (!json_is_array(v) || json_array_size(v) > 4096)
		return err_set(e, -EINVAL, "%s is no array of at most 4096", what);
	json_array_foreach((json_t *)(uintptr_t)v, i, item)
	{
		if (m->each)
			ret = check_object(what, item, m->each, e);
		else if (!json_is_string(item) || !string_ok(m->item, json_string_value(item)))
			ret = err_set(e, -EINVAL, "%s: entry %zu is not what belongs there", what, i);
		if (ret)
			break;
	}
	return ret;
}

static int check_member(const json_t *v, const struct member *m, struct err *e)
{
	const char *key;
	json_t *item;
	bool ok;

	switch (m->kind) {
	case COUNT:
		ok = json_is_integer(v) && json_integer_value(v) >= 0 && json_integer_value(v) <= 1LL << 53;
		break;
	case BOOL:
		ok = json_is_boolean(v);
		break;
	case LIST:
		return check_list(m->name, v, m, e);
	case MAP:
		if (m->each)
			return check_object(m->name, v, m->each, e);
		ok = json_is_object(v);
		json_object_foreach((json_t *)(uintptr_t)v, key, item) ok = ok && json_is_string(item);
		break;
	default:
		ok = json_is_string(v) && string_ok(m->kind, json_string_value(v));
	}
	return ok ? 0 : err_set(e, -EINVAL, "%s is not what belongs there", m->name);
}

static int check_object(const char *what, const json_t *v, const struct member *m, struct err *e)
{
	size_t known = 0;
	int ret;

	if (!json_is_object(v))
		return err_set(e, -EINVAL, "%s is no object", what);
	for (; m->name; m++) {
		const json_t *x = json_object_get(v, m->name);

		if (!x && m->required)
			return err_set(e, -EINVAL, "%s: %s is missing", what, m->name);
		ret = x ? check_member(x, m, e) : 0;
		if (ret)
			return ret;
		known += x != NULL;
	}
	if (known != json_object_size(v))
		return err_set(e, -EINVAL, "%s has a member that this version doesn't know", what);
	return 0;
}

static const struct member image_form[] = {
	{"root-hash", HEX32, true, NULL, 0}, {"size", COUNT, true, NULL, 0}, {0}};
static const struct member mount_form[] = {{"volume", STRING, true, NULL, 0},
					   {"target", PATH, true, NULL, 0},
					   {"read-only", BOOL, false, NULL, 0},
					   {0}};
static const struct member host_form[] = {{"host", STRING, true, NULL, 0},
					  {"port", COUNT, true, NULL, 0},
					  {"pins", LIST, true, NULL, HEX32},
					  {0}};
static const struct member network_form[] = {{"allow", LIST, true, host_form, 0}, {0}};
static const struct member broker_form[] = {
	{"url", STRING, true, NULL, 0}, {"pins", LIST, true, NULL, HEX32}, {0}};
static const struct member time_form[] = {{"min-epoch", COUNT, true, NULL, 0}, {0}};
static const struct member log_form[] = {{"recipient", MAP, true, NULL, 0}, {0}};
static const struct member boot_form[] = {{"kernel", HEX32, false, NULL, 0},
					  {"initrd", HEX32, false, NULL, 0},
					  {"cmdline", STRING, false, NULL, 0},
					  {0}};
static const struct member manifest_form[] = {
	{"version", COUNT, true, NULL, 0},	 {"name", STRING, true, NULL, 0},
	{"svn", COUNT, true, NULL, 0},		 {"platforms", LIST, true, NULL, PLATFORM},
	{"image", MAP, true, image_form, 0},	 {"boot", MAP, false, boot_form, 0},
	{"argv", LIST, true, NULL, STRING},	 {"env", MAP, true, NULL, 0},
	{"cwd", PATH, false, NULL, 0},		 {"mounts", LIST, true, mount_form, 0},
	{"network", MAP, true, network_form, 0}, {"keys", LIST, true, NULL, RESOURCE},
	{"host-verbs", LIST, true, NULL, VERB},	 {"broker", MAP, false, broker_form, 0},
	{"leases", COUNT, false, NULL, 0},	 {"time", MAP, false, time_form, 0},
	{"log", MAP, false, log_form, 0},	 {0}};

static const struct member signature_form[] = {
	{"key", STRING, true, NULL, 0}, {"signature", STRING, true, NULL, 0}, {0}};
static const struct member document_form[] = {
	{"manifest", MAP, true, manifest_form, 0}, {"signatures", LIST, true, signature_form, 0}, {0}};

int manifest_check(const json_t *doc, struct err *e)
{
	int ret = check_object("manifest", doc, document_form, e);
	const json_t *m = json_object_get(doc, "manifest");

	if (ret)
		return ret;
	if (json_integer_value(json_object_get(m, "version")) != 1)
		return err_set(e, -EINVAL, "manifest version %lld, this is for 1",
			       (long long)json_integer_value(json_object_get(m, "version")));
	if (!*manifest_name(doc) || !json_array_size(json_object_get(m, "argv")))
		return err_set(e, -EINVAL, "name or argv is empty");
	if (json_array_size(json_object_get(doc, "signatures")) > SIGNATURES_MAX)
		return err_set(e, -EINVAL, "more than %d signatures", SIGNATURES_MAX);
	return 0;
}

const char *manifest_name(const json_t *doc)
{
	return json_string_value(json_object_get(json_object_get(doc, "manifest"), "name"));
}

int64_t manifest_svn(const json_t *doc)
{
	return json_integer_value(json_object_get(json_object_get(doc, "manifest"), "svn"));
}

bool manifest_has_key(const json_t *doc, const char *resource)
{
	const json_t *keys = json_object_get(json_object_get(doc, "manifest"), "keys");

	for (size_t i = 0; i < json_array_size(keys); i++)
		if (!strcmp(json_string_value(json_array_get(keys, i)), resource))
			return true;
	return false;
}

bool manifest_has_volume(const json_t *doc, const char *volume)
{
	const json_t *mounts = json_object_get(json_object_get(doc, "manifest"), "mounts");

	for (size_t i = 0; i < json_array_size(mounts); i++)
		if (!strcmp(json_string_value(json_object_get(json_array_get(mounts, i), "volume")), volume))
			return true;
	return false;
}

int64_t manifest_leases(const json_t *doc)
{
	const json_t *n = json_object_get(json_object_get(doc, "manifest"), "leases");

	return n ? json_integer_value(n) : -1;
}

/* ---- signatures ----------------------------------------------------------------------------------------- */

static int canonical(const json_t *doc, struct blob *out, struct err *e)
{
	const json_t *m = json_object_get(doc, "manifest");

	return json_is_object(m) ? json_canonical(m, out, e)
				 : err_set(e, -EINVAL, "there is no member manifest");
}

int manifest_digest(const json_t *doc, uint8_t out[48], struct err *e)
{
	struct blob b = {0};
	int ret = canonical(doc, &b, e);

	if (!ret)
		sha384_of(b.data, b.size, out);
	blob_free(&b);
	return ret;
}

static int signed_bytes(const json_t *doc, struct blob *out, struct err *e)
{
	struct blob b = {0};
	int ret = canonical(doc, &b, e);

	if (!ret) {
		blob_set(out, sign_prefix, sizeof(sign_prefix)); /* with its NUL */
		blob_add(out, b.data, b.size);
	}
	blob_free(&b);
	return ret;
}

static int import_okp(const json_t *jwk, EVP_PKEY **out, struct err *e)
{
	const char *crv = json_need_string(jwk, "crv", e);
	struct blob x = {0};
	int ret;

	if (!crv || strcmp(crv, "Ed25519") != 0)
		return err_set(e, -EINVAL, "OKP keys: Ed25519 only");
	ret = json_need_b64url(jwk, "x", 32, &x, e);
	if (!ret) {
		*out = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x.data, x.size);
		ret = *out ? 0 : err_set(e, -EINVAL, "not an Ed25519 key");
	}
	blob_free(&x);
	return ret;
}

static int import_key(const json_t *jwk, EVP_PKEY **out, struct err *e)
{
	const char *kty = json_need_string(jwk, "kty", e), *crv;

	if (!kty)
		return -EINVAL;
	if (!strcmp(kty, "OKP"))
		return import_okp(jwk, out, e);
	crv = json_string_value(json_object_get(jwk, "crv"));
	if (strcmp(kty, "EC") != 0 || !crv || strcmp(crv, "P-256") != 0)
		return err_set(e, -EINVAL, "signing keys are Ed25519 or P-256");
	return jwk_import(jwk, out, e);
}

int manifest_key_check(const json_t *jwk, struct err *e)
{
	EVP_PKEY *key = NULL;
	int ret = import_key(jwk, &key, e);

	EVP_PKEY_free(key);
	return ret;
}

EVP_PKEY *manifest_key_new(void)
{
	return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
}

json_t *manifest_key_export(EVP_PKEY *key)
{
	uint8_t x[32];
	size_t n = sizeof(x);
	json_t *jwk;
	char *s;

	if (EVP_PKEY_is_a(key, "EC"))
		return jwk_export(key, NULL);
	if (!EVP_PKEY_is_a(key, "ED25519") || EVP_PKEY_get_raw_public_key(key, x, &n) != 1)
		return NULL;
	s = b64url_encode(x, n);
	jwk = json_pack("{ss ss ss}", "kty", "OKP", "crv", "Ed25519", "x", s);
	free(s);
	return jwk;
}

/* RFC 7638 of the key, base64url: names a signature's key; two spellings of one key have one name. */
static char *key_id(EVP_PKEY *key)
{
	json_t *jwk = manifest_key_export(key);
	struct blob b = {0};
	uint8_t d[32];
	char *s = NULL;

	if (jwk && json_canonical(jwk, &b, NULL) == 0) {
		sha256_of(b.data, b.size, d);
		s = b64url_encode(d, sizeof(d));
	}
	blob_free(&b);
	json_decref(jwk);
	return s;
}

static const EVP_MD *md_of(EVP_PKEY *key)
{
	return EVP_PKEY_is_a(key, "ED25519") ? NULL : EVP_sha256();
}

static bool signature_ok(EVP_PKEY *key, const struct blob *text, const char *sig64)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	struct blob sig = {0};
	bool ok = b64url_decode(sig64, strlen(sig64), &sig) == 0 && sig.size && c &&
		  EVP_DigestVerifyInit(c, NULL, md_of(key), NULL, key) == 1 &&
		  EVP_DigestVerify(c, sig.data, sig.size, text->data, text->size) == 1;

	EVP_MD_CTX_free(c);
	blob_free(&sig);
	return ok;
}

/* Did this key sign? At most one signature of each key counts, whatever the document repeats. */
static bool key_signed(const json_t *doc, EVP_PKEY *key, const char *id, const struct blob *text)
{
	const json_t *sigs = json_object_get(doc, "signatures");

	for (size_t i = 0; i < json_array_size(sigs) && i < SIGNATURES_MAX; i++) {
		const json_t *s = json_array_get(sigs, i);
		const char *who = json_string_value(json_object_get(s, "key"));
		const char *sig = json_string_value(json_object_get(s, "signature"));

		if (who && sig && !strcmp(who, id) && signature_ok(key, text, sig))
			return true;
	}
	return false;
}

int manifest_verify(const json_t *doc, const json_t *keys, unsigned threshold, struct err *e)
{
	json_t *seen = json_object();
	struct blob text = {0};
	const char *who;
	json_t *jwk;
	int ret = signed_bytes(doc, &text, e);

	if (!threshold)
		ret = err_set(e, -EINVAL, "a threshold of 0 signatures");
	json_object_foreach((json_t *)(uintptr_t)keys, who, jwk)
	{
		EVP_PKEY *key = NULL;
		char *id = NULL;

		if (!ret)
			ret = import_key(jwk, &key, e);
		if (!ret && (id = key_id(key)) && key_signed(doc, key, id, &text))
			json_object_set_new(seen, id, json_true()); /* one key under two names counts once */
		free(id);
		EVP_PKEY_free(key);
	}
	if (!ret && json_object_size(seen) < threshold)
		ret = err_set(e, -EKEYREJECTED, "%zu of the %u signatures that are needed",
			      json_object_size(seen), threshold);
	json_decref(seen);
	blob_free(&text);
	return ret ? ret : manifest_check(doc, e);
}

static int make_signature(EVP_PKEY *key, const struct blob *text, char **out)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	struct blob sig = {0};
	size_t n = 0;
	int ret = -EIO;

	if (c && EVP_DigestSignInit(c, NULL, md_of(key), NULL, key) == 1 &&
	    EVP_DigestSign(c, NULL, &n, text->data, text->size) == 1) {
		blob_room(&sig, n);
		if (EVP_DigestSign(c, sig.data, &n, text->data, text->size) == 1) {
			*out = b64url_encode(sig.data, n);
			ret = 0;
		}
	}
	EVP_MD_CTX_free(c);
	blob_free(&sig);
	return ret;
}

int manifest_sign(json_t *doc, EVP_PKEY *key, struct err *e)
{
	json_t *jwk = manifest_key_export(key), *sigs;
	struct blob text = {0};
	char *id = NULL, *sig = NULL;
	int ret = jwk ? manifest_key_check(jwk, e) : err_set(e, -EINVAL, "signing keys are Ed25519 or P-256");

	json_decref(jwk);
	if (ret)
		return ret;
	if (!json_object_get(doc, "signatures"))
		json_object_set_new(doc, "signatures", json_array());
	ret = manifest_check(doc, e);
	if (!ret)
		ret = signed_bytes(doc, &text, e);
	id = ret ? NULL : key_id(key);
	if (!ret && (!id || make_signature(key, &text, &sig) < 0))
		ret = err_set(e, -EIO, "signing failed");
	sigs = json_object_get(doc, "signatures");
	for (size_t i = json_array_size(sigs); !ret && i-- > 0;)
		if (!strcmp(json_string_value(json_object_get(json_array_get(sigs, i), "key")), id))
			json_array_remove(sigs, i);
	if (!ret)
		json_array_append_new(sigs, json_pack("{ss ss}", "key", id, "signature", sig));
	free(id);
	free(sig);
	blob_free(&text);
	return ret;
}

/* ---- init data ------------------------------------------------------------------------------------------ */
/* TOML's multi-line literal string holds the text as it is; canonical JSON has no apostrophes in a row unless a
 * string of the manifest has, and then they are written as \u0027. */

static const char init_head[] =
	"version = \"0.1.0\"\nalgorithm = \"sha384\"\n\n[data]\n\"sbx-manifest.json\" = '''\n";
static const char init_tail[] = "'''\n";

char *manifest_initdata(const json_t *doc)
{
	struct blob text = {0}, out = {0};

	if (json_canonical(doc, &text, NULL) < 0)
		return NULL;
	blob_set(&out, init_head, strlen(init_head));
	for (size_t i = 0; i < text.size; i++) {
		if (text.data[i] == '\'')
			blob_add(&out, "\\u0027", 6);
		else
			blob_add(&out, &text.data[i], 1);
	}
	blob_add(&out, init_tail, strlen(init_tail));
	blob_free(&text);
	return (char *)out.data;
}

int manifest_from_initdata(const char *text, size_t size, json_t **out, struct err *e)
{
	size_t head = strlen(init_head), tail = strlen(init_tail);
	json_t *doc = NULL;
	int ret;

	if (size < head + tail || size > MANIFEST_MAX || memcmp(text, init_head, head) != 0 ||
	    memcmp(text + size - tail, init_tail, tail) != 0)
		return err_set(e, -ENOENT, "the init data carries no sbx manifest");
	if (memchr(text + head, '\'', size - head - tail))
		return err_set(e, -EINVAL, "the init data has a second string");
	ret = json_read(text + head, size - head - tail, MANIFEST_MAX, &doc, e);
	if (!ret)
		ret = manifest_check(doc, e);
	if (ret) {
		json_decref(doc);
		return ret;
	}
	*out = doc;
	return 0;
}
