/* jws.c: compact JSON Web Signatures. */
#include <errno.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "cvm-host/kbs/jose.h"

#define JWS_MAX	  (512u << 10)
#define CHAIN_MAX 8

static const struct sig_alg {
	const char *name, *type, *group;
	const EVP_MD *(*md)(void);
	size_t half; /* of an ECDSA signature; 0: RSA PKCS#1 */
} sig_algs[] = {{"ES256", "EC", "prime256v1", EVP_sha256, 32},
		{"ES384", "EC", "secp384r1", EVP_sha384, 48},
		{"RS256", "RSA", NULL, EVP_sha256, 0}};

static const struct sig_alg *find_alg(const char *name, EVP_PKEY *key)
{
	char group[40] = "";

	for (size_t i = 0; i < ARRAY_SIZE(sig_algs); i++) {
		const struct sig_alg *a = &sig_algs[i];

		if (strcmp(a->name, name) != 0 || !EVP_PKEY_is_a(key, a->type))
			continue;
		if (a->group && (EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) != 1 ||
				 strcmp(group, a->group) != 0))
			continue;
		return a;
	}
	return NULL;
}

/* RFC 7518 section 3.4: R and S as two big-endian numbers of fixed size. */
static int ecdsa_raw(const uint8_t *der, size_t size, size_t half, struct blob *out)
{
	ECDSA_SIG *s = d2i_ECDSA_SIG(NULL, &der, (long)size);
	const BIGNUM *r, *v;
	uint8_t *p;
	int ok;

	if (!s)
		return -EINVAL;
	ECDSA_SIG_get0(s, &r, &v);
	p = blob_room(out, 2 * half);
	ok = BN_bn2binpad(r, p, (int)half) >= 0 && BN_bn2binpad(v, p + half, (int)half) >= 0;
	ECDSA_SIG_free(s);
	return ok ? 0 : -EINVAL;
}

static int ecdsa_der(const struct blob *raw, size_t half, struct blob *out)
{
	ECDSA_SIG *s = ECDSA_SIG_new();
	BIGNUM *r, *v;
	uint8_t *p = NULL;
	int n;

	if (!s || raw->size != 2 * half)
		goto bad;
	r = BN_bin2bn(raw->data, (int)half, NULL);
	v = BN_bin2bn(raw->data + half, (int)half, NULL);
	if (!r || !v || ECDSA_SIG_set0(s, r, v) != 1) {
		BN_free(r);
		BN_free(v);
		goto bad;
	}
	n = i2d_ECDSA_SIG(s, &p);
	if (n <= 0)
		goto bad;
	blob_set(out, p, (size_t)n);
	OPENSSL_free(p);
	ECDSA_SIG_free(s);
	return 0;
bad:
	ECDSA_SIG_free(s);
	return -EINVAL;
}

static int sign(EVP_PKEY *key, const struct sig_alg *a, const struct blob *text, struct blob *sig)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	struct blob der = {0};
	size_t n = 0;
	int ret = -EIO;

	if (c && EVP_DigestSignInit(c, NULL, a->md(), NULL, key) == 1 &&
	    EVP_DigestSign(c, NULL, &n, text->data, text->size) == 1) {
		blob_room(&der, n);
		if (EVP_DigestSign(c, der.data, &n, text->data, text->size) == 1)
			ret = ecdsa_raw(der.data, n, a->half, sig);
	}
	EVP_MD_CTX_free(c);
	blob_free(&der);
	return ret;
}

char *jws_sign(EVP_PKEY *key, const json_t *header, const void *payload, size_t size, struct err *e)
{
	const char *alg = json_need_string(header, "alg", e);
	const struct sig_alg *a = alg ? find_alg(alg, key) : NULL;
	struct blob text = {0}, sig = {0};
	char *h, *h64, *p64, *s64, *out = NULL;

	if (!a || !a->half) {
		err_set(e, -EINVAL, "the key does not sign %.20s", alg ? alg : "without an algorithm");
		return NULL;
	}
	h = json_dumps(header, JSON_COMPACT);
	h64 = b64url_encode(h, strlen(h));
	p64 = b64url_encode(payload, size);
	blob_add(&text, h64, strlen(h64));
	blob_add(&text, ".", 1);
	blob_add(&text, p64, strlen(p64));
	if (sign(key, a, &text, &sig) == 0) {
		s64 = b64url_encode(sig.data, sig.size);
		out = xasprintf("%s.%s", (char *)text.data, s64);
		free(s64);
	} else {
		err_set(e, -EIO, "signing failed");
	}
	free(h);
	free(h64);
	free(p64);
	blob_free(&text);
	blob_free(&sig);
	return out;
}

void jws_free(struct jws *j)
{
	json_decref(j->header);
	blob_free(&j->payload);
	blob_free(&j->sig);
	blob_free(&j->signed_part);
	*j = (struct jws){0};
}

int jws_parse(const char *text, size_t len, struct jws *out, struct err *e)
{
	const char *dot = len <= JWS_MAX ? memchr(text, '.', len) : NULL;
	const char *dot2 = dot ? memchr(dot + 1, '.', len - (size_t)(dot + 1 - text)) : NULL;
	struct blob head = {0};
	struct jws j = {0};
	int ret = -EINVAL;

	if (!dot2)
		return err_set(e, -EINVAL, "a compact JWS has three parts");
	if (b64url_decode(text, (size_t)(dot - text), &head) < 0 ||
	    b64url_decode(dot + 1, (size_t)(dot2 - dot - 1), &j.payload) < 0 ||
	    b64url_decode(dot2 + 1, len - (size_t)(dot2 + 1 - text), &j.sig) < 0) {
		err_set(e, -EINVAL, "a part of the JWS is not base64url");
		goto out;
	}
	ret = json_read(head.data, head.size, JWS_MAX, &j.header, e);
	if (ret)
		goto out;
	ret = -EINVAL;
	if (!json_need_string(j.header, "alg", e))
		goto out;
	if (json_object_get(j.header, "crit") || json_object_get(j.header, "b64")) {
		err_set(e, -EINVAL, "a JWS with critical extensions");
		goto out;
	}
	blob_set(&j.signed_part, text, (size_t)(dot2 - text));
	*out = j;
	j = (struct jws){0};
	ret = 0;
out:
	blob_free(&head);
	jws_free(&j);
	return ret;
}

int jws_check(const struct jws *j, EVP_PKEY *key, const char *alg, struct err *e)
{
	const char *says = json_string_value(json_object_get(j->header, "alg"));
	const struct sig_alg *a = find_alg(alg, key);
	EVP_MD_CTX *c;
	struct blob der = {0};
	int ok = 0;

	if (!says || strcmp(says, alg) != 0 || !a)
		return err_set(e, -EKEYREJECTED, "the JWS is not signed with %s", alg);
	if (a->half ? ecdsa_der(&j->sig, a->half, &der) < 0 : (blob_set(&der, j->sig.data, j->sig.size), 0))
		return err_set(e, -EKEYREJECTED, "the JWS signature has the wrong size");
	c = EVP_MD_CTX_new();
	if (c && EVP_DigestVerifyInit(c, NULL, a->md(), NULL, key) == 1)
		ok = EVP_DigestVerify(c, der.data, der.size, j->signed_part.data, j->signed_part.size) == 1;
	EVP_MD_CTX_free(c);
	blob_free(&der);
	return ok ? 0 : err_set(e, -EKEYREJECTED, "the JWS signature is wrong");
}

static int chain_certs(const json_t *x5c, STACK_OF(X509) * certs, struct err *e)
{
	size_t count = json_array_size(x5c);

	if (!count || count > CHAIN_MAX)
		return err_set(e, -EINVAL, "x5c has %zu certificates (1 to %d)", count, CHAIN_MAX);
	for (size_t i = 0; i < count; i++) {
		const char *s = json_string_value(json_array_get(x5c, i));
		struct blob der = {0};
		const uint8_t *p;
		X509 *x = NULL;

		if (s && b64_decode(s, strlen(s), &der) == 0) {
			p = der.data;
			x = d2i_X509(NULL, &p, (long)der.size);
			if (x && p != der.data + der.size) {
				X509_free(x);
				x = NULL;
			}
		}
		blob_free(&der);
		if (!x)
			return err_set(e, -EINVAL, "x5c entry %zu is no certificate", i);
		sk_X509_push(certs, x);
	}
	return 0;
}

int jws_chain(const struct jws *j, X509_STORE *trust, int64_t now, EVP_PKEY **leaf, struct err *e)
{
	STACK_OF(X509) *certs = sk_X509_new_null();
	X509_STORE_CTX *c = X509_STORE_CTX_new();
	int ret = chain_certs(json_object_get(j->header, "x5c"), certs, e);

	if (ret)
		goto out;
	ret = -EKEYREJECTED;
	if (!c || X509_STORE_CTX_init(c, trust, sk_X509_value(certs, 0), certs) != 1) {
		err_set(e, ret, "x5c: OpenSSL refused the chain");
		goto out;
	}
	X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(c), (time_t)now);
	X509_VERIFY_PARAM_set_depth(X509_STORE_CTX_get0_param(c), CHAIN_MAX);
	if (X509_verify_cert(c) != 1) {
		err_set(e, ret, "x5c: %s", X509_verify_cert_error_string(X509_STORE_CTX_get_error(c)));
		goto out;
	}
	*leaf = X509_get_pubkey(sk_X509_value(certs, 0));
	ret = *leaf ? 0 : err_set(e, -EKEYREJECTED, "x5c: the leaf has no usable key");
out:
	X509_STORE_CTX_free(c);
	sk_X509_pop_free(certs, X509_free);
	return ret;
}
