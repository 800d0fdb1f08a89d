/* ecdsa.c: raw ECDSA signatures over OpenSSL. */
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/param_build.h>

#include "cvm-host/attest/ecdsa.h"

static const char *curve_name(enum curve curve)
{
	return curve == CURVE_P256 ? "prime256v1" : "secp384r1";
}

bool key_is_curve(EVP_PKEY *key, enum curve curve)
{
	char name[32];
	size_t len;

	return key && EVP_PKEY_base_id(key) == EVP_PKEY_EC &&
	       EVP_PKEY_get_group_name(key, name, sizeof(name), &len) == 1 &&
	       strcmp(name, curve_name(curve)) == 0;
}

/* DER of the signature; its length, or -1. */
static int to_der(const uint8_t *sig, size_t width, bool little_endian, uint8_t **der)
{
	ECDSA_SIG *s = ECDSA_SIG_new();
	BIGNUM *r, *t;
	int n = -1;

	if (!s)
		return -1;
	r = little_endian ? BN_lebin2bn(sig, (int)width, NULL) : BN_bin2bn(sig, (int)width, NULL);
	t = little_endian ? BN_lebin2bn(sig + width, (int)width, NULL)
			  : BN_bin2bn(sig + width, (int)width, NULL);
	if (r && t && ECDSA_SIG_set0(s, r, t)) {
		n = i2d_ECDSA_SIG(s, der);
	} else {
		BN_free(r);
		BN_free(t);
	}
	ECDSA_SIG_free(s);
	return n;
}

bool ecdsa_verify_raw(EVP_PKEY *key, enum curve curve, const uint8_t *sig, size_t width, bool little_endian,
		      const void *msg, size_t size)
{
	const EVP_MD *md = curve == CURVE_P256 ? EVP_sha256() : EVP_sha384();
	EVP_MD_CTX *ctx;
	uint8_t *der = NULL;
	bool ok = false;
	int n;

	if (!key_is_curve(key, curve))
		return false;
	n = to_der(sig, width, little_endian, &der);
	ctx = EVP_MD_CTX_new();
	if (n > 0 && ctx && EVP_DigestVerifyInit(ctx, NULL, md, NULL, key) == 1)
		ok = EVP_DigestVerify(ctx, der, (size_t)n, msg, size) == 1;
	EVP_MD_CTX_free(ctx);
	OPENSSL_free(der);
	ERR_clear_error();
	return ok;
}

EVP_PKEY *ecdsa_key_raw(enum curve curve, const uint8_t *xy)
{
	size_t width = curve == CURVE_P256 ? 32 : 48;
	uint8_t point[97];
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	EVP_PKEY *key = NULL;
	OSSL_PARAM params[3];
	char group[16];

	if (!ctx)
		return NULL;
	point[0] = 4;
	memcpy(point + 1, xy, width * 2);
	memcpy(group, curve_name(curve), strlen(curve_name(curve)) + 1);
	params[0] = OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0);
	params[1] = OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, 1 + width * 2);
	params[2] = OSSL_PARAM_construct_end();
	if (EVP_PKEY_fromdata_init(ctx) != 1 || EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		key = NULL;
	EVP_PKEY_CTX_free(ctx);
	ERR_clear_error();
	return key;
}

bool sha256(const void *data, size_t size, uint8_t out[32])
{
	return EVP_Digest(data, size, out, NULL, EVP_sha256(), NULL) == 1;
}

bool sha384(const void *data, size_t size, uint8_t out[48])
{
	return EVP_Digest(data, size, out, NULL, EVP_sha384(), NULL) == 1;
}
