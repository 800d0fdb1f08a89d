/* id_block.c: the ID block by which an owner names the guest that a host may launch, and its signatures. */
#include <errno.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "cvm-host/attest/ecdsa.h"
#include "cvm-host/measure/measure.h"
#include "platform/base/bytes.h"

/* ID_AUTH_INFO */
enum {
	AUTH_ID_ALGO = 0x00,
	AUTH_AUTHOR_ALGO = 0x04,
	AUTH_BLOCK_SIG = 0x40,
	AUTH_ID_KEY = 0x240,
	AUTH_KEY_SIG = 0x680,
	AUTH_AUTHOR_KEY = 0x880
};
#define ALGO_P384_SHA384 1
#define CURVE_ID_P384	 2
#define WIDTH		 72u /* bytes of a number in keys and signatures, little-endian */

void id_block_write(const struct id_block *b, uint8_t out[ID_BLOCK_SIZE])
{
	memcpy(out, b->launch_digest, 48);
	memcpy(out + 48, b->family_id, 16);
	memcpy(out + 64, b->image_id, 16);
	put_le32(out + 80, 1);
	put_le32(out + 84, b->guest_svn);
	put_le64(out + 88, b->policy);
}

static EVP_PKEY *read_key(const void *pem, size_t size, bool private)
{
	BIO *b = size <= 65536 ? BIO_new_mem_buf(pem, (int)size) : NULL;
	EVP_PKEY *k = NULL;

	if (b)
		k = private ? PEM_read_bio_PrivateKey(b, NULL, NULL, NULL)
			    : PEM_read_bio_PUBKEY(b, NULL, NULL, NULL);
	if (b && !k && !private) {
		BIO_reset(b);
		k = PEM_read_bio_PrivateKey(b, NULL, NULL, NULL);
	}
	BIO_free(b);
	ERR_clear_error();
	if (!key_is_curve(k, CURVE_P384)) {
		EVP_PKEY_free(k);
		return NULL;
	}
	return k;
}

/* The key as the firmware wants it: curve, x, y. */
static int key_write(EVP_PKEY *k, uint8_t out[ID_KEY_SIZE])
{
	BIGNUM *x = NULL, *y = NULL;
	int ret = -EINVAL;

	memset(out, 0, ID_KEY_SIZE);
	put_le32(out, CURVE_ID_P384);
	if (EVP_PKEY_get_bn_param(k, OSSL_PKEY_PARAM_EC_PUB_X, &x) == 1 &&
	    EVP_PKEY_get_bn_param(k, OSSL_PKEY_PARAM_EC_PUB_Y, &y) == 1 &&
	    BN_bn2lebinpad(x, out + 4, WIDTH) == WIDTH && BN_bn2lebinpad(y, out + 4 + WIDTH, WIDTH) == WIDTH)
		ret = 0;
	BN_free(x);
	BN_free(y);
	return ret;
}

int id_key_digest(const void *pem, size_t size, uint8_t out[48])
{
	EVP_PKEY *k = read_key(pem, size, false);
	uint8_t raw[ID_KEY_SIZE];
	int ret = k ? key_write(k, raw) : -EINVAL;

	EVP_PKEY_free(k);
	if (ret == 0 && !sha384(raw, sizeof(raw), out))
		ret = -ENOMEM;
	return ret;
}

static int sign(EVP_PKEY *k, const void *msg, size_t size, uint8_t *out)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t der[128];
	const uint8_t *p = der;
	size_t n = sizeof(der);
	ECDSA_SIG *s = NULL;
	int ret = -EINVAL;

	if (ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha384(), NULL, k) == 1 &&
	    EVP_DigestSign(ctx, der, &n, msg, size) == 1)
		s = d2i_ECDSA_SIG(NULL, &p, (long)n);
	if (s && BN_bn2lebinpad(ECDSA_SIG_get0_r(s), out, WIDTH) == WIDTH &&
	    BN_bn2lebinpad(ECDSA_SIG_get0_s(s), out + WIDTH, WIDTH) == WIDTH)
		ret = 0;
	ECDSA_SIG_free(s);
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return ret;
}

int id_auth_sign(const uint8_t block[ID_BLOCK_SIZE], const void *id_pem, size_t id_size, const void *author_pem,
		 size_t author_size, uint8_t out[ID_AUTH_SIZE])
{
	EVP_PKEY *id = read_key(id_pem, id_size, true), *author = NULL;
	int ret = id ? 0 : -EINVAL;

	memset(out, 0, ID_AUTH_SIZE);
	put_le32(out + AUTH_ID_ALGO, ALGO_P384_SHA384);
	put_le32(out + AUTH_AUTHOR_ALGO, author_pem ? ALGO_P384_SHA384 : 0);
	if (ret == 0)
		ret = sign(id, block, ID_BLOCK_SIZE, out + AUTH_BLOCK_SIG);
	if (ret == 0)
		ret = key_write(id, out + AUTH_ID_KEY);
	if (ret == 0 && author_pem) {
		author = read_key(author_pem, author_size, true);
		ret = author ? sign(author, out + AUTH_ID_KEY, ID_KEY_SIZE, out + AUTH_KEY_SIG) : -EINVAL;
		if (ret == 0)
			ret = key_write(author, out + AUTH_AUTHOR_KEY);
	}
	EVP_PKEY_free(id);
	EVP_PKEY_free(author);
	return ret;
}

static bool signed_by(const uint8_t *key, const uint8_t *sig, const void *msg, size_t size)
{
	uint8_t xy[96];
	EVP_PKEY *k;
	bool ok;

	if (get_le32(key) != CURVE_ID_P384)
		return false;
	for (size_t i = 0; i < 48; i++) {
		xy[i] = key[4 + 47 - i];
		xy[48 + i] = key[4 + WIDTH + 47 - i];
	}
	k = ecdsa_key_raw(CURVE_P384, xy);
	ok = k && ecdsa_verify_raw(k, CURVE_P384, sig, WIDTH, true, msg, size);
	EVP_PKEY_free(k);
	return ok;
}

int id_auth_verify(const uint8_t block[ID_BLOCK_SIZE], const uint8_t auth[ID_AUTH_SIZE])
{
	if (get_le32(auth + AUTH_ID_ALGO) != ALGO_P384_SHA384 ||
	    !signed_by(auth + AUTH_ID_KEY, auth + AUTH_BLOCK_SIG, block, ID_BLOCK_SIZE))
		return -EKEYREJECTED;
	if (get_le32(auth + AUTH_AUTHOR_ALGO) == 0)
		return 0;
	return signed_by(auth + AUTH_AUTHOR_KEY, auth + AUTH_KEY_SIG, auth + AUTH_ID_KEY, ID_KEY_SIZE)
		       ? 0
		       : -EKEYREJECTED;
}
