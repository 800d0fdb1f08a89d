/* jose.h: the parts of JOSE that the key broker protocol needs: JWK (RFC 7517), compact JWS (RFC 7515),
 * flattened JWE (RFC 7516) with the algorithms of RFC 7518 named below, over OpenSSL. Nothing here does I/O. */
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "cvm-host/kbs/json.h"

/* ---- keys ------------------------------------------------------------------------------------------------ */
/* EC on P-256, P-384, P-521, or RSA of 2048 to 8192 bits; with the private part if it is there. The caller
 * frees *out. Members that the type does not have are ignored (RFC 7517 section 4). */
MUST_CHECK int jwk_import(const json_t *jwk, EVP_PKEY **out, struct err *e);
/* The public part; with "alg" unless NULL. NULL for other kinds of keys. */
json_t *jwk_export(EVP_PKEY *key, const char *alg);
/* RFC 7638, SHA-256. */
MUST_CHECK int jwk_thumbprint(EVP_PKEY *key, uint8_t out[32]);
EVP_PKEY *key_generate_ec(const char *curve); /* "P-256" ...; NULL when OpenSSL fails */
EVP_PKEY *key_generate_rsa(unsigned bits);
/* PEM files. */
MUST_CHECK int key_load(const char *path, EVP_PKEY **out, struct err *e);
MUST_CHECK int key_save(const char *path, EVP_PKEY *key, struct err *e);

/* ---- signatures ------------------------------------------------------------------------------------------ */
struct jws {
	json_t *header;
	struct blob payload, sig;
	struct blob signed_part; /* ASCII(BASE64URL(header) || '.' || BASE64URL(payload)) */
};

/* header's "alg" must say ES256 or ES384 and fit the key. A string to free(), or NULL and e. */
char *jws_sign(EVP_PKEY *key, const json_t *header, const void *payload, size_t size, struct err *e);
/* Takes it apart and checks nothing but the form; "crit" and "b64" are refused. */
MUST_CHECK int jws_parse(const char *text, size_t len, struct jws *out, struct err *e);
/* The signature, with the algorithm that the caller expects ("ES256", "ES384", "RS256"); the header has to
 * agree. */
MUST_CHECK int jws_check(const struct jws *j, EVP_PKEY *key, const char *alg, struct err *e);
/* The certificate chain of header x5c, leaf first, verified to one in trust at time now. Its key in *leaf. */
MUST_CHECK int jws_chain(const struct jws *j, X509_STORE *trust, int64_t now, EVP_PKEY **leaf, struct err *e);
void jws_free(struct jws *j);

/* ---- encryption ------------------------------------------------------------------------------------------ */
#define JWE_ECDH "ECDH-ES+A256KW"
#define JWE_RSA	 "RSA-OAEP-256"

/* Flattened JSON for the recipient; alg is one of the two, enc is A256GCM. The caller owns *out. */
MUST_CHECK int jwe_encrypt(EVP_PKEY *recipient, const char *alg, const void *plain, size_t size, json_t **out,
			   struct err *e);
MUST_CHECK int jwe_decrypt(EVP_PKEY *key, const json_t *jwe, struct blob *out, struct err *e);
/* RFC 7518 section 4.6.2 with SHA-256; apu and apv may have size 0. key_bits 128 or 256. */
MUST_CHECK int jose_concat_kdf(const struct blob *z, const char *alg, const struct blob *apu,
			       const struct blob *apv, unsigned key_bits, uint8_t *out);
/* A256GCM: 32-byte key, 12-byte iv, 16-byte tag. */
MUST_CHECK int gcm_seal(const uint8_t key[32], const uint8_t iv[12], const void *aad, size_t aad_size,
			const void *plain, size_t size, uint8_t *cipher, uint8_t tag[16]);
MUST_CHECK int gcm_open(const uint8_t key[32], const uint8_t iv[12], const void *aad, size_t aad_size,
			const void *cipher, size_t size, const uint8_t tag[16], uint8_t *plain);
