/* ratls_test.c: certificates with evidence: whose key, which nonce, which connection. */
#include <criterion/criterion.h>
#include <errno.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cvm-host/kbs/ratls.h"

static const uint8_t nonce[RATLS_NONCE_SIZE] = {42}, other_nonce[RATLS_NONCE_SIZE] = {43};

static int sample(void *arg, const uint8_t report_data[64], size_t hash_size, json_t **out, struct err *e)
{
	(void)arg;
	(void)hash_size;
	(void)e;
	*out = tee_sample_json(report_data, NULL);
	return 0;
}

static int find_evidence(X509 *cert)
{
	ASN1_OBJECT *oid = OBJ_txt2obj(RATLS_OID, 1);
	int at = X509_get_ext_by_OBJ(cert, oid, -1);

	ASN1_OBJECT_free(oid);
	cr_assert_geq(at, 0);
	return at;
}

static int verify(X509 *cert, const uint8_t *n, int64_t now)
{
	struct tee_verdict v = {0};
	char tee[24];
	int ret = ratls_verify(cert, n, NULL, now, tee, &v, NULL);

	if (!ret) {
		cr_assert_str_eq(tee, "sample");
		cr_assert(v.insecure);
		tee_verdict_free(&v);
	}
	return ret;
}

Test(ratls, a_certificate_is_good_for_its_key_nonce_and_day)
{
	EVP_PKEY *key = key_generate_ec("P-256"), *other = key_generate_ec("P-256");
	X509 *cert = NULL, *stolen, *plain;
	int at;

	cr_assert_eq(ratls_make(key, "sample", nonce, sample, NULL, &cert, NULL), 0);
	cr_assert_eq(verify(cert, nonce, wall_now()), 0);
	cr_assert_eq(verify(cert, other_nonce, wall_now()), -EKEYREJECTED);
	cr_assert_eq(verify(cert, nonce, wall_now() + 2 * 86400), -EKEYREJECTED);
	cr_assert_eq(verify(cert, nonce, wall_now() - 86400), -EKEYREJECTED);
	/* its evidence in a certificate of another key */
	stolen = x509_make(other, "sbx guest", NULL, false, 1, NULL, NULL);
	plain = X509_dup(stolen);
	at = find_evidence(cert);
	cr_assert_eq(X509_add_ext(stolen, X509_get_ext(cert, at), -1), 1);
	cr_assert_gt(X509_sign(stolen, other, EVP_sha256()), 0);
	cr_assert_eq(verify(stolen, nonce, wall_now()), -EKEYREJECTED);
	cr_assert_eq(verify(plain, nonce, wall_now()), -EKEYREJECTED, "no evidence at all");
	/* twice the evidence */
	cr_assert_eq(X509_add_ext(cert, X509_get_ext(cert, at), -1), 1);
	cr_assert_gt(X509_sign(cert, key, EVP_sha256()), 0);
	cr_assert_eq(verify(cert, nonce, wall_now()), -EKEYREJECTED);
	X509_free(cert);
	X509_free(stolen);
	X509_free(plain);
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
}

Test(ratls, no_byte_of_the_evidence_can_change)
{
	EVP_PKEY *key = key_generate_ec("P-256");
	X509 *cert = NULL;
	ASN1_OCTET_STRING *s;
	int at;

	cr_assert_eq(ratls_make(key, "sample", nonce, sample, NULL, &cert, NULL), 0);
	at = find_evidence(cert);
	s = X509_EXTENSION_get_data(X509_get_ext(cert, at));
	for (int i = 0; i < ASN1_STRING_length(s); i++) {
		uint8_t *p = (uint8_t *)(uintptr_t)ASN1_STRING_get0_data(s) + i, old = *p;

		*p ^= 2;
		X509_sign(cert, key, EVP_sha256()); /* the key's holder may sign what it likes */
		/* the sample's "svn" is the one thing that nothing binds: it is the evidence's own word */
		if (verify(cert, nonce, wall_now()) == 0)
			cr_assert(old == '1', "byte %d (%c)", i, old);
		*p = old;
	}
	X509_free(cert);
	EVP_PKEY_free(key);
}

/* Two ends of one TLS 1.3 connection in memory. */
static void connection(SSL **client, SSL **server, X509 *cert, EVP_PKEY *key)
{
	SSL_CTX *c = SSL_CTX_new(TLS_client_method()), *s = SSL_CTX_new(TLS_server_method());
	BIO *a, *b;
	int done = 0;

	cr_assert_eq(SSL_CTX_use_certificate(s, cert), 1);
	cr_assert_eq(SSL_CTX_use_PrivateKey(s, key), 1);
	cr_assert_eq(BIO_new_bio_pair(&a, 0, &b, 0), 1);
	*client = SSL_new(c);
	*server = SSL_new(s);
	SSL_set_bio(*client, a, a);
	SSL_set_bio(*server, b, b);
	for (int i = 0; i < 20 && done != 3; i++) {
		done |= SSL_connect(*client) == 1 ? 1 : 0;
		done |= SSL_accept(*server) == 1 ? 2 : 0;
	}
	cr_assert_eq(done, 3);
	SSL_CTX_free(c);
	SSL_CTX_free(s);
}

Test(ratls, the_confirmation_is_of_one_connection_key_and_nonce)
{
	EVP_PKEY *key = key_generate_ec("P-256"), *other = key_generate_ec("P-256");
	X509 *cert = NULL, *cert2 = NULL, *seen;
	SSL *c1, *s1, *c2, *s2;
	uint8_t a[64], b[64], x[64];

	cr_assert_eq(ratls_make(key, "sample", nonce, sample, NULL, &cert, NULL), 0);
	cr_assert_eq(ratls_make(other, "sample", nonce, sample, NULL, &cert2, NULL), 0);
	connection(&c1, &s1, cert, key);
	connection(&c2, &s2, cert, key);
	seen = SSL_get1_peer_certificate(c1);
	cr_assert_eq(verify(seen, nonce, wall_now()), 0);
	cr_assert_eq(ratls_confirm_data(c1, seen, nonce, a), 0);
	cr_assert_eq(ratls_confirm_data(s1, cert, nonce, b), 0);
	cr_assert_arr_eq(a, b, 64, "both ends agree");
	cr_assert_eq(ratls_confirm_data(c2, seen, nonce, x), 0);
	cr_assert(memcmp(a, x, 64) != 0, "another connection with the same certificate");
	cr_assert_eq(ratls_confirm_data(c1, seen, other_nonce, x), 0);
	cr_assert(memcmp(a, x, 64) != 0);
	cr_assert_eq(ratls_confirm_data(c1, cert2, nonce, x), 0);
	cr_assert(memcmp(a, x, 64) != 0);
	SSL_free(c1);
	SSL_free(s1);
	SSL_free(c2);
	SSL_free(s2);
	X509_free(seen);
	X509_free(cert);
	X509_free(cert2);
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
}
