/* jwk.c: JSON Web Keys to and from OpenSSL's. */
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

#include "cvm-host/kbs/jose.h"

static const struct curve {
	const char *name, *group;
	size_t size;
} curves[] = {{"P-256", "prime256v1", 32}, {"P-384", "secp384r1", 48}, {"P-521", "secp521r1", 66}};

static int build(const char *type, OSSL_PARAM_BLD *b, bool private, EVP_PKEY **out)
{
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(b);
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *key = NULL;
	int ok = params && c && EVP_PKEY_fromdata_init(c) == 1 &&
		 EVP_PKEY_fromdata(c, &key, private ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY, params) == 1;

	EVP_PKEY_CTX_free(c);
	OSSL_PARAM_free(params);
	if (!ok)
		return -EINVAL;
	*out = key;
	return 0;
}

static int import_ec(const json_t *jwk, EVP_PKEY **out, struct err *e)
{
	const char *crv = json_need_string(jwk, "crv", e);
	struct blob x = {0}, y = {0}, d = {0}, point = {0};
	const struct curve *c = NULL;
	OSSL_PARAM_BLD *b = NULL;
	BIGNUM *n = NULL;
	int ret = -EINVAL;

	for (size_t i = 0; crv && i < ARRAY_SIZE(curves); i++)
		if (!strcmp(crv, curves[i].name))
			c = &curves[i];
	if (!c)
		return crv ? err_set(e, -EINVAL, "curve %.20s is not supported", crv) : -EINVAL;
	if (json_need_b64url(jwk, "x", c->size, &x, e) < 0 || json_need_b64url(jwk, "y", c->size, &y, e) < 0 ||
	    (json_object_get(jwk, "d") && json_need_b64url(jwk, "d", c->size, &d, e) < 0))
		goto out;
	blob_add(&point, "\4", 1);
	blob_add(&point, x.data, x.size);
	blob_add(&point, y.data, y.size);
	b = OSSL_PARAM_BLD_new();
	n = d.size ? BN_bin2bn(d.data, (int)d.size, NULL) : NULL;
	if (b && OSSL_PARAM_BLD_push_utf8_string(b, OSSL_PKEY_PARAM_GROUP_NAME, c->group, 0) == 1 &&
	    OSSL_PARAM_BLD_push_octet_string(b, OSSL_PKEY_PARAM_PUB_KEY, point.data, point.size) == 1 &&
	    (!n || OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_PRIV_KEY, n) == 1))
		ret = build("EC", b, n != NULL, out);
	if (ret)
		err_set(e, ret, "the point is not on %s", c->name);
out:
	BN_clear_free(n);
	OSSL_PARAM_BLD_free(b);
	blob_free(&x);
	blob_free(&y);
	blob_free(&d);
	blob_free(&point);
	return ret;
}

static const struct rsa_part {
	const char *jwk, *param;
} rsa_parts[] = {{"n", OSSL_PKEY_PARAM_RSA_N},		{"e", OSSL_PKEY_PARAM_RSA_E},
		 {"d", OSSL_PKEY_PARAM_RSA_D},		{"p", OSSL_PKEY_PARAM_RSA_FACTOR1},
		 {"q", OSSL_PKEY_PARAM_RSA_FACTOR2},	{"dp", OSSL_PKEY_PARAM_RSA_EXPONENT1},
		 {"dq", OSSL_PKEY_PARAM_RSA_EXPONENT2}, {"qi", OSSL_PKEY_PARAM_RSA_COEFFICIENT1}};

static int check_rsa(const BIGNUM *n, const BIGNUM *exp, struct err *e)
{
	if (BN_num_bits(n) < 2048 || BN_num_bits(n) > 8192 || !BN_is_odd(n))
		return err_set(e, -EINVAL, "an RSA modulus of %d bits (2048 to 8192)", BN_num_bits(n));
	if (!BN_is_odd(exp) || BN_is_one(exp) || BN_num_bits(exp) > 64)
		return err_set(e, -EINVAL, "the RSA exponent is not fit");
	return 0;
}

static int import_rsa(const json_t *jwk, EVP_PKEY **out, struct err *e)
{
	bool private = json_object_get(jwk, "d") != NULL;
	size_t count = private ? ARRAY_SIZE(rsa_parts) : 2;
	BIGNUM *n[ARRAY_SIZE(rsa_parts)] = {0};
	OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
	int ret = b ? 0 : -ENOMEM;

	for (size_t i = 0; i < count && !ret; i++) {
		struct blob v = {0};

		ret = json_need_b64url(jwk, rsa_parts[i].jwk, 0, &v, e);
		if (!ret && v.size > 1024)
			ret = err_set(e, -EINVAL, "an RSA number is too long");
		if (!ret) {
			n[i] = BN_bin2bn(v.data, (int)v.size, NULL);
			ret = n[i] && OSSL_PARAM_BLD_push_BN(b, rsa_parts[i].param, n[i]) == 1 ? 0 : -ENOMEM;
		}
		blob_free(&v);
	}
	if (!ret)
		ret = check_rsa(n[0], n[1], e);
	if (!ret && build("RSA", b, private, out) < 0)
		ret = err_set(e, -EINVAL, "not an RSA key");
	for (size_t i = 0; i < count; i++)
		BN_clear_free(n[i]);
	OSSL_PARAM_BLD_free(b);
	return ret;
}

int jwk_import(const json_t *jwk, EVP_PKEY **out, struct err *e)
{
	const char *kty = json_need_string(jwk, "kty", e);

	if (!kty)
		return -EINVAL;
	if (!strcmp(kty, "EC"))
		return import_ec(jwk, out, e);
	if (!strcmp(kty, "RSA"))
		return import_rsa(jwk, out, e);
	return err_set(e, -EINVAL, "key type %.20s is not supported", kty);
}

static void set_bn(json_t *jwk, const char *name, EVP_PKEY *key, const char *param, size_t size)
{
	BIGNUM *n = NULL;
	uint8_t buf[1100];
	char *s;

	if (EVP_PKEY_get_bn_param(key, param, &n) != 1)
		return;
	if (!size)
		size = (size_t)BN_num_bytes(n);
	if (size <= sizeof(buf) && BN_bn2binpad(n, buf, (int)size) >= 0) {
		s = b64url_encode(buf, size);
		json_object_set_new(jwk, name, json_string(s));
		free(s);
	}
	BN_free(n);
}

json_t *jwk_export(EVP_PKEY *key, const char *alg)
{
	json_t *jwk = json_object();
	char group[40] = "";

	if (EVP_PKEY_is_a(key, "RSA")) {
		json_object_set_new(jwk, "kty", json_string("RSA"));
		set_bn(jwk, "n", key, OSSL_PKEY_PARAM_RSA_N, 0);
		set_bn(jwk, "e", key, OSSL_PKEY_PARAM_RSA_E, 0);
	} else if (EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) == 1) {
		for (size_t i = 0; i < ARRAY_SIZE(curves); i++) {
			if (strcmp(group, curves[i].group) != 0)
				continue;
			json_object_set_new(jwk, "kty", json_string("EC"));
			json_object_set_new(jwk, "crv", json_string(curves[i].name));
			set_bn(jwk, "x", key, OSSL_PKEY_PARAM_EC_PUB_X, curves[i].size);
			set_bn(jwk, "y", key, OSSL_PKEY_PARAM_EC_PUB_Y, curves[i].size);
		}
	}
	if (json_object_size(jwk) < 3) {
		json_decref(jwk);
		return NULL;
	}
	if (alg)
		json_object_set_new(jwk, "alg", json_string(alg));
	return jwk;
}

int jwk_thumbprint(EVP_PKEY *key, uint8_t out[32])
{
	json_t *jwk = jwk_export(key, NULL); /* exactly the required members */
	struct blob b = {0};
	int ret = jwk ? json_canonical(jwk, &b, NULL) : -EINVAL;

	if (!ret)
		sha256_of(b.data, b.size, out);
	blob_free(&b);
	json_decref(jwk);
	return ret;
}

EVP_PKEY *key_generate_ec(const char *curve)
{
	return EVP_EC_gen(curve);
}

EVP_PKEY *key_generate_rsa(unsigned bits)
{
	return EVP_RSA_gen(bits);
}

int key_load(const char *path, EVP_PKEY **out, struct err *e)
{
	struct blob b = {0};
	int ret = load_file(path, 65536, &b, e);
	BIO *bio;

	if (ret)
		return ret;
	bio = BIO_new_mem_buf(b.data, (int)b.size);
	*out = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	BIO_free(bio);
	blob_free(&b);
	return *out ? 0 : err_set(e, -EINVAL, "%s: no private key in PEM form", path);
}

int key_save(const char *path, EVP_PKEY *key, struct err *e)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	char *p;
	long n;
	int ret;

	if (!bio || PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1)
		ret = err_set(e, -EIO, "%s: the key could not be written as PEM", path);
	else if ((n = BIO_get_mem_data(bio, &p)) <= 0)
		ret = -EIO;
	else
		ret = save_file(path, p, (size_t)n, 0600, e);
	BIO_free(bio);
	return ret;
}
