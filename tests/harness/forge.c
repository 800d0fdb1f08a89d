/* forge.c: test keys, certificates, lists. */
#include <stdlib.h>
#include <string.h>

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "tests/harness/forge.h"

#define NEED(x)                                                                                                \
	do {                                                                                                   \
		if (!(x))                                                                                      \
			abort();                                                                               \
	} while (0)

EVP_PKEY *forge_key(const char *curve)
{
	EVP_PKEY *k = EVP_EC_gen(curve);

	NEED(k);
	return k;
}

struct forged forge_cert_begin(const char *cn, const char *curve, const struct forged *issuer, bool ca)
{
	static long serial = 1000;
	struct forged f = {X509_new(), forge_key(curve)};
	X509_NAME *name;

	NEED(f.cert && X509_set_version(f.cert, 2));
	ASN1_INTEGER_set(X509_get_serialNumber(f.cert), ++serial);
	ASN1_TIME_set(X509_getm_notBefore(f.cert), FORGE_NOW - 864000);
	ASN1_TIME_set(X509_getm_notAfter(f.cert), FORGE_NOW + 864000);
	name = X509_get_subject_name(f.cert);
	NEED(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)cn, -1, -1, 0));
	X509_set_issuer_name(f.cert, issuer ? X509_get_subject_name(issuer->cert) : name);
	NEED(X509_set_pubkey(f.cert, f.key));
	if (ca) {
		X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE");

		NEED(e && X509_add_ext(f.cert, e, -1));
		X509_EXTENSION_free(e);
	}
	return f;
}

void forge_sign(struct forged *f, const struct forged *issuer)
{
	NEED(X509_sign(f->cert, issuer ? issuer->key : f->key, EVP_sha384()) > 0);
}

struct forged forge_cert(const char *cn, const char *curve, const struct forged *issuer, bool ca)
{
	struct forged f = forge_cert_begin(cn, curve, issuer, ca);

	forge_sign(&f, issuer);
	return f;
}

void forge_extension(X509 *cert, const char *oid, const void *data, size_t size)
{
	ASN1_OBJECT *obj = OBJ_txt2obj(oid, 1);
	ASN1_OCTET_STRING *s = ASN1_OCTET_STRING_new();
	X509_EXTENSION *e;

	NEED(obj && s && ASN1_OCTET_STRING_set(s, data, (int)size));
	e = X509_EXTENSION_create_by_OBJ(NULL, obj, 0, s);
	NEED(e && X509_add_ext(cert, e, -1));
	X509_EXTENSION_free(e);
	ASN1_OBJECT_free(obj);
	ASN1_OCTET_STRING_free(s);
}

struct attest_bytes forge_cert_der(X509 *cert)
{
	uint8_t *der = NULL;
	int n = i2d_X509(cert, &der);

	NEED(n > 0);
	return (struct attest_bytes){der, (size_t)n};
}

struct attest_bytes forge_cert_pem(X509 *const *certs, size_t count)
{
	BIO *b = BIO_new(BIO_s_mem());
	struct attest_bytes out;
	char *p, *copy;
	long n;

	for (size_t i = 0; i < count; i++)
		NEED(PEM_write_bio_X509(b, certs[i]));
	n = BIO_get_mem_data(b, &p);
	copy = malloc((size_t)n);
	NEED(copy);
	memcpy(copy, p, (size_t)n);
	BIO_free(b);
	out = (struct attest_bytes){copy, (size_t)n};
	return out;
}

struct attest_bytes forge_crl(const struct forged *issuer, int64_t last, int64_t next, X509 *revoked)
{
	X509_CRL *crl = X509_CRL_new();
	ASN1_TIME *t = ASN1_TIME_set(NULL, (time_t)last);
	uint8_t *der = NULL;
	int n;

	NEED(crl && t && X509_CRL_set_version(crl, 1));
	X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer->cert));
	X509_CRL_set1_lastUpdate(crl, t);
	if (revoked) {
		X509_REVOKED *r = X509_REVOKED_new();

		X509_REVOKED_set_serialNumber(r, X509_get_serialNumber(revoked));
		X509_REVOKED_set_revocationDate(r, t);
		NEED(X509_CRL_add0_revoked(crl, r));
	}
	if (next) {
		ASN1_TIME_set(t, (time_t)next);
		X509_CRL_set1_nextUpdate(crl, t);
	}
	ASN1_TIME_free(t);
	NEED(X509_CRL_sign(crl, issuer->key, EVP_sha384()) > 0);
	n = i2d_X509_CRL(crl, &der);
	NEED(n > 0);
	X509_CRL_free(crl);
	return (struct attest_bytes){der, (size_t)n};
}

void forge_sig_raw(EVP_PKEY *key, const char *md, const void *msg, size_t size, uint8_t *out, size_t width,
		   bool little_endian)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t der[160];
	const uint8_t *p = der;
	size_t n = sizeof(der);
	ECDSA_SIG *s;

	NEED(ctx && EVP_DigestSignInit(ctx, NULL, EVP_get_digestbyname(md), NULL, key) == 1);
	NEED(EVP_DigestSign(ctx, der, &n, msg, size) == 1);
	EVP_MD_CTX_free(ctx);
	s = d2i_ECDSA_SIG(NULL, &p, (long)n);
	NEED(s);
	if (little_endian) {
		BN_bn2lebinpad(ECDSA_SIG_get0_r(s), out, (int)width);
		BN_bn2lebinpad(ECDSA_SIG_get0_s(s), out + width, (int)width);
	} else {
		BN_bn2binpad(ECDSA_SIG_get0_r(s), out, (int)width);
		BN_bn2binpad(ECDSA_SIG_get0_s(s), out + width, (int)width);
	}
	ECDSA_SIG_free(s);
}
