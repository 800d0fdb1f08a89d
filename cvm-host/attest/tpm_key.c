/* tpm_key.c: attestation keys of TPMs in the forms that they come in. */
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>

#include "cvm-host/attest/ecdsa.h"
#include "cvm-host/attest/tpm.h"
#include "platform/base/bytes.h"

/* TPM_ALG and TPMA_OBJECT values (TPM 2.0 Library, part 2) */
enum { ALG_RSA = 1, ALG_NULL = 0x10, ALG_ECC = 0x23, ECC_P256 = 3 };
#define ATTR_FIXED_TPM	(1u << 1)
#define ATTR_RESTRICTED (1u << 16)
#define ATTR_SIGN	(1u << 18)
#define ATTR_DECRYPT	(1u << 17)

EVP_PKEY *rsa_key_raw(const uint8_t *n, size_t n_size, const uint8_t *e, size_t e_size)
{
	BIGNUM *bn = BN_bin2bn(n, (int)n_size, NULL), *be = BN_bin2bn(e, (int)e_size, NULL);
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	OSSL_PARAM *params = NULL;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	EVP_PKEY *key = NULL;

	if (bn && be && bld && ctx && OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, bn) &&
	    OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, be))
		params = OSSL_PARAM_BLD_to_param(bld);
	if (params && EVP_PKEY_fromdata_init(ctx) == 1 &&
	    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		key = NULL;
	if (key && EVP_PKEY_get_bits(key) < 2048) {
		EVP_PKEY_free(key);
		key = NULL;
	}
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(bld);
	EVP_PKEY_CTX_free(ctx);
	BN_free(bn);
	BN_free(be);
	ERR_clear_error();
	return key;
}

/* TPMT_PUBLIC of an RSA or P-256 signing key without a symmetric algorithm. */
static EVP_PKEY *tpm2b_public(const uint8_t *p, size_t size)
{
	static const uint8_t f4[] = {1, 0, 1};
	const uint8_t *end = p + size;
	uint32_t attr, exponent;
	uint16_t type, policy, scheme, n;
	uint8_t e[4], xy[64];

	if (size < 12 || get_be16(p) != size - 2)
		return NULL;
	type = get_be16(p + 2);
	attr = get_be32(p + 6);
	policy = get_be16(p + 10);
	p += 12;
	if ((size_t)(end - p) < policy + 4u || !(attr & ATTR_FIXED_TPM) || !(attr & ATTR_RESTRICTED) ||
	    !(attr & ATTR_SIGN) || (attr & ATTR_DECRYPT))
		return NULL;
	p += policy;
	if (get_be16(p) != ALG_NULL)
		return NULL;
	scheme = get_be16(p + 2);
	p += 4 + (scheme == ALG_NULL ? 0 : 2);
	if (type == ALG_RSA && end - p >= 8) {
		exponent = get_be32(p + 2);
		n = get_be16(p + 6);
		put_be32(e, exponent);
		if (end - p != 8 + n)
			return NULL;
		return exponent ? rsa_key_raw(p + 8, n, e, 4) : rsa_key_raw(p + 8, n, f4, 3);
	}
	if (type == ALG_ECC && end - p == 4 + 2 + 32 + 2 + 32 && get_be16(p) == ECC_P256 &&
	    get_be16(p + 2) == ALG_NULL && get_be16(p + 4) == 32 && get_be16(p + 38) == 32) {
		memcpy(xy, p + 6, 32);
		memcpy(xy + 32, p + 40, 32);
		return ecdsa_key_raw(CURVE_P256, xy);
	}
	return NULL;
}

EVP_PKEY *tpm_read_ak(const struct attest_bytes *b)
{
	EVP_PKEY *key = NULL;
	BIO *in;
	X509 *c;

	if (b->size > 65536)
		return NULL;
	if (b->size < 11 || memcmp(b->data, "-----BEGIN ", 11) != 0)
		return tpm2b_public(b->data, b->size);
	in = BIO_new_mem_buf(b->data, (int)b->size);
	if (!in)
		return NULL;
	key = PEM_read_bio_PUBKEY(in, NULL, NULL, NULL);
	if (!key) {
		BIO_reset(in);
		c = PEM_read_bio_X509(in, NULL, NULL, NULL);
		key = c ? X509_get_pubkey(c) : NULL;
		X509_free(c);
	}
	BIO_free(in);
	ERR_clear_error();
	return key;
}
