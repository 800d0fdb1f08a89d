/* ratls.c: certificates with evidence. */
#include "cvm-host/kbs/ratls.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/objects.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#define TAG	     60000u
#define EVIDENCE_MAX (1u << 20)
#define HASH_SHA256  1 /* IANA named information hash algorithms */
#define CONFIRM	     "EXPORTER-sbx-ra-tls"

/* ---- CBOR (RFC 8949), as much as this needs, in its one deterministic form
 * ------------------------------------------ */

enum { CBOR_UINT, CBOR_BYTES = 2, CBOR_TEXT, CBOR_ARRAY, CBOR_MAP, CBOR_TAG };

static void put_head(struct blob *b, unsigned major, uint64_t n)
{
	uint8_t h[9];
	size_t size = n < 24 ? 0 : n < 256 ? 1 : n < 65536 ? 2 : 4;

	h[0] = (uint8_t)(major << 5 | (size == 0 ? n : size == 1 ? 24 : size == 2 ? 25 : 26));
	for (size_t i = 0; i < size; i++)
		h[1 + i] = (uint8_t)(n >> 8 * (size - 1 - i));
	blob_add(b, h, 1 + size);
}

static void put_item(struct blob *b, unsigned major, const void *p, size_t size)
{
	put_head(b, major, size);
	blob_add(b, p, size);
}

struct reader {
	const uint8_t *p;
	size_t left;
};

/* The next head, which has to be of this kind and in the shortest form. */
static int get_head(struct reader *r, unsigned major, uint64_t *n)
{
	unsigned info, size;

	if (!r->left || r->p[0] >> 5 != major)
		return -EBADMSG;
	info = r->p[0] & 31;
	size = info < 24 ? 0 : info == 24 ? 1 : info == 25 ? 2 : info == 26 ? 4 : 9;
	if (size == 9 || r->left < 1 + size)
		return -EBADMSG;
	*n = size ? 0 : info;
	for (unsigned i = 0; i < size; i++)
		*n = *n << 8 | r->p[1 + i];
	if (size && *n < (size == 1 ? 24u : size == 2 ? 256u : 65536u))
		return -EBADMSG;
	r->p += 1 + size;
	r->left -= 1 + size;
	return 0;
}

static int get_item(struct reader *r, unsigned major, struct reader *out)
{
	uint64_t n;

	if (get_head(r, major, &n) < 0 || n > r->left)
		return -EBADMSG;
	*out = (struct reader){r->p, n};
	r->p += n;
	r->left -= n;
	return 0;
}

static bool get_key(struct reader *r, const char *name)
{
	struct reader k;

	return get_item(r, CBOR_TEXT, &k) == 0 && k.left == strlen(name) && !memcmp(k.p, name, k.left);
}

/* ---- claims
 * ------------------------------------------------------------------------------------------------------------
 */

static int spki_hash(X509_PUBKEY *pub, uint8_t out[32])
{
	uint8_t *der = NULL;
	int n = i2d_X509_PUBKEY(pub, &der);

	if (n <= 0)
		return -EINVAL;
	sha256_of(der, (size_t)n, out);
	OPENSSL_free(der);
	return 0;
}

/* The members in the order of their encoded names: "tee", "nonce", "pubkey-hash". */
static void make_claims(const uint8_t hash[32], const uint8_t nonce[RATLS_NONCE_SIZE], const char *tee,
			struct blob *out)
{
	struct blob inner = {0};

	put_head(&inner, CBOR_ARRAY, 2);
	put_head(&inner, CBOR_UINT, HASH_SHA256);
	put_item(&inner, CBOR_BYTES, hash, 32);
	put_head(out, CBOR_MAP, 3);
	put_item(out, CBOR_TEXT, "tee", 3);
	put_item(out, CBOR_TEXT, tee, strlen(tee));
	put_item(out, CBOR_TEXT, "nonce", 5);
	put_item(out, CBOR_BYTES, nonce, RATLS_NONCE_SIZE);
	put_item(out, CBOR_TEXT, "pubkey-hash", 11);
	put_item(out, CBOR_BYTES, inner.data, inner.size);
	blob_free(&inner);
}

static int read_claims(struct reader r, const uint8_t hash[32], const uint8_t nonce[RATLS_NONCE_SIZE],
		       char tee[24], struct err *e)
{
	struct reader t, n, inner, h;
	uint64_t count, alg;

	if (get_head(&r, CBOR_MAP, &count) < 0 || count != 3 || !get_key(&r, "tee") ||
	    get_item(&r, CBOR_TEXT, &t) < 0 || !get_key(&r, "nonce") || get_item(&r, CBOR_BYTES, &n) < 0 ||
	    !get_key(&r, "pubkey-hash") || get_item(&r, CBOR_BYTES, &inner) < 0 || r.left ||
	    get_head(&inner, CBOR_ARRAY, &count) < 0 || count != 2 || get_head(&inner, CBOR_UINT, &alg) < 0 ||
	    get_item(&inner, CBOR_BYTES, &h) < 0 || inner.left)
		return err_set(e, -EKEYREJECTED, "the certificate's claims are malformed");
	if (alg != HASH_SHA256 || h.left != 32 || memcmp(h.p, hash, 32) != 0)
		return err_set(e, -EKEYREJECTED, "the evidence is of another key");
	if (n.left != RATLS_NONCE_SIZE || CRYPTO_memcmp(n.p, nonce, RATLS_NONCE_SIZE) != 0)
		return err_set(e, -EKEYREJECTED, "the evidence is not for our nonce");
	if (!t.left || t.left > 23 || memchr(t.p, 0, t.left))
		return err_set(e, -EKEYREJECTED, "the certificate names no TEE");
	memcpy(tee, t.p, t.left);
	tee[t.left] = 0;
	return 0;
}

/* ---- certificates
 * -------------------------------------------------------------------------------------------------------- */

static int add_evidence(X509 *x, const struct blob *value)
{
	ASN1_OBJECT *oid = OBJ_txt2obj(RATLS_OID, 1);
	ASN1_OCTET_STRING *s = ASN1_OCTET_STRING_new();
	X509_EXTENSION *ext = NULL;
	int ok = oid && s && ASN1_OCTET_STRING_set(s, value->data, (int)value->size) == 1 &&
		 (ext = X509_EXTENSION_create_by_OBJ(NULL, oid, 0, s)) && X509_add_ext(x, ext, -1) == 1;

	X509_EXTENSION_free(ext);
	ASN1_OCTET_STRING_free(s);
	ASN1_OBJECT_free(oid);
	return ok ? 0 : -EIO;
}

int ratls_make(EVP_PKEY *key, const char *tee, const uint8_t nonce[RATLS_NONCE_SIZE], kbs_attester *attester,
	       void *arg, X509 **out, struct err *e)
{
	X509 *x = x509_make(key, "sbx guest", NULL, false, 1, NULL, NULL);
	struct blob claims = {0}, value = {0};
	uint8_t hash[32], report[64] = {0};
	json_t *evidence = NULL;
	char *text = NULL;
	int ret = x ? spki_hash(X509_get_X509_PUBKEY(x), hash) : tls_error(e, -EIO, "making a certificate");

	if (!ret) {
		make_claims(hash, nonce, tee, &claims);
		sha256_of(claims.data, claims.size, report);
		ret = attester(arg, report, 32, &evidence, e);
	}
	if (!ret) {
		text = json_dumps(evidence, JSON_COMPACT);
		put_head(&value, CBOR_TAG, TAG);
		put_head(&value, CBOR_ARRAY, 2);
		put_item(&value, CBOR_BYTES, text, strlen(text));
		put_item(&value, CBOR_BYTES, claims.data, claims.size);
		ret = add_evidence(x, &value);
	}
	if (!ret && X509_sign(x, key, EVP_sha256()) <= 0)
		ret = tls_error(e, -EIO, "signing a certificate");
	free(text);
	json_decref(evidence);
	blob_free(&claims);
	blob_free(&value);
	if (ret)
		X509_free(x);
	else
		*out = x;
	return ret;
}

/* Good now, and signed by its own key: its fields are the key holder's. */
static int check_certificate(X509 *cert, int64_t now, struct err *e)
{
	EVP_PKEY *key = X509_get0_pubkey(cert);
	time_t t = (time_t)now;

	if (!key || X509_verify(cert, key) != 1)
		return err_set(e, -EKEYREJECTED, "the certificate is not signed by its own key");
	if (X509_cmp_time(X509_get0_notBefore(cert), &t) >= 0 ||
	    X509_cmp_time(X509_get0_notAfter(cert), &t) <= 0)
		return err_set(e, -EKEYREJECTED, "the certificate is not valid now");
	return 0;
}

static int find_evidence(X509 *cert, struct reader *evidence, struct reader *claims, struct err *e)
{
	ASN1_OBJECT *oid = OBJ_txt2obj(RATLS_OID, 1);
	int at = X509_get_ext_by_OBJ(cert, oid, -1), again = at < 0 ? -1 : X509_get_ext_by_OBJ(cert, oid, at);
	const ASN1_OCTET_STRING *s = at < 0 ? NULL : X509_EXTENSION_get_data(X509_get_ext(cert, at));
	struct reader r = {0};
	uint64_t n;

	ASN1_OBJECT_free(oid);
	if (!s || again >= 0)
		return err_set(e, -EKEYREJECTED, "the certificate carries no evidence, or two");
	r = (struct reader){ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s)};
	if (get_head(&r, CBOR_TAG, &n) < 0 || n != TAG || get_head(&r, CBOR_ARRAY, &n) < 0 || n != 2 ||
	    get_item(&r, CBOR_BYTES, evidence) < 0 || get_item(&r, CBOR_BYTES, claims) < 0 || r.left)
		return err_set(e, -EKEYREJECTED, "the certificate's evidence is malformed");
	return 0;
}

int ratls_verify(X509 *cert, const uint8_t nonce[RATLS_NONCE_SIZE], const struct tee_collateral *c, int64_t now,
		 char tee[24], struct tee_verdict *out, struct err *e)
{
	struct reader evidence = {0}, claims = {0};
	uint8_t hash[32], report[64] = {0};
	json_t *primary = NULL;
	int ret = check_certificate(cert, now, e);

	if (!ret)
		ret = spki_hash(X509_get_X509_PUBKEY(cert), hash);
	if (!ret)
		ret = find_evidence(cert, &evidence, &claims, e);
	if (!ret)
		ret = read_claims(claims, hash, nonce, tee, e);
	if (!ret)
		ret = json_read(evidence.p, evidence.left, EVIDENCE_MAX, &primary, e);
	if (!ret) {
		sha256_of(claims.p, claims.left, report);
		ret = tee_verify(tee, primary, report, 32, c, now, out, e);
	}
	json_decref(primary);
	return ret;
}

int ratls_confirm_data(SSL *s, X509 *cert, const uint8_t nonce[RATLS_NONCE_SIZE], uint8_t out[64])
{
	uint8_t b[96];
	char hex[2 * RATLS_NONCE_SIZE + 1];
	int ret;

	bytes_to_hex(hex, nonce, RATLS_NONCE_SIZE);
	ret = tls_export(s, CONFIRM, hex, b);
	if (!ret)
		ret = spki_hash(X509_get_X509_PUBKEY(cert), b + 32);
	memcpy(b + 64, nonce, RATLS_NONCE_SIZE);
	memset(out, 0, 64);
	if (!ret)
		sha256_of(b, sizeof(b), out);
	OPENSSL_cleanse(b, sizeof(b));
	return ret;
}
