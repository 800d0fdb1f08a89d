/* jwe.c: flattened JSON Web Encryption: a random content key, wrapped for the recipient by ECDH-ES+A256KW or
 * RSA-OAEP-256, and AES-256-GCM over the content with the protected header as additional data. */
#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

#include "cvm-host/kbs/jose.h"
#include "platform/base/bytes.h"

#define CEK_SIZE     32
#define WRAPPED_SIZE 40
#define HEADER_MAX   8192

int gcm_seal(const uint8_t key[32], const uint8_t iv[12], const void *aad, size_t aad_size, const void *plain,
	     size_t size, uint8_t *cipher, uint8_t tag[16])
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	int n, ok;

	ok = size <= INT32_MAX && aad_size <= INT32_MAX && c &&
	     EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, iv) == 1 &&
	     (!aad_size || EVP_EncryptUpdate(c, NULL, &n, aad, (int)aad_size) == 1) &&
	     (!size || EVP_EncryptUpdate(c, cipher, &n, plain, (int)size) == 1) &&
	     EVP_EncryptFinal_ex(c, cipher + size, &n) == 1 &&
	     EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, 16, tag) == 1;
	EVP_CIPHER_CTX_free(c);
	return ok ? 0 : -EIO;
}

int gcm_open(const uint8_t key[32], const uint8_t iv[12], const void *aad, size_t aad_size, const void *cipher,
	     size_t size, const uint8_t tag[16], uint8_t *plain)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	uint8_t t[16];
	int n, ok;

	memcpy(t, tag, sizeof(t));
	ok = size <= INT32_MAX && aad_size <= INT32_MAX && c &&
	     EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, iv) == 1 &&
	     (!aad_size || EVP_DecryptUpdate(c, NULL, &n, aad, (int)aad_size) == 1) &&
	     (!size || EVP_DecryptUpdate(c, plain, &n, cipher, (int)size) == 1) &&
	     EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, 16, t) == 1 &&
	     EVP_DecryptFinal_ex(c, plain + size, &n) == 1;
	EVP_CIPHER_CTX_free(c);
	if (!ok && size)
		OPENSSL_cleanse(plain, size);
	return ok ? 0 : -EBADMSG;
}

/* One length-prefixed field of the KDF's OtherInfo. */
static void add_field(struct blob *b, const void *p, size_t size)
{
	uint8_t len[4];

	put_be32(len, (uint32_t)size);
	blob_add(b, len, 4);
	blob_add(b, p, size);
}

int jose_concat_kdf(const struct blob *z, const char *alg, const struct blob *apu, const struct blob *apv,
		    unsigned key_bits, uint8_t *out)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "SSKDF", NULL);
	EVP_KDF_CTX *c = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	struct blob info = {0};
	OSSL_PARAM params[4];
	uint8_t bits[4];
	int ok;

	add_field(&info, alg, strlen(alg));
	add_field(&info, apu->data, apu->size);
	add_field(&info, apv->data, apv->size);
	put_be32(bits, key_bits);
	blob_add(&info, bits, 4);
	params[0] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)(uintptr_t) "SHA256", 0);
	params[1] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, z->data, z->size);
	params[2] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info.data, info.size);
	params[3] = OSSL_PARAM_construct_end();
	ok = c && EVP_KDF_derive(c, out, key_bits / 8, params) == 1;
	EVP_KDF_CTX_free(c);
	EVP_KDF_free(kdf);
	blob_free(&info);
	return ok ? 0 : -EIO;
}

static int ecdh(EVP_PKEY *mine, EVP_PKEY *theirs, struct blob *z)
{
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(mine, NULL);
	size_t n = 0;
	int ok = c && EVP_PKEY_derive_init(c) == 1 && EVP_PKEY_derive_set_peer(c, theirs) == 1 &&
		 EVP_PKEY_derive(c, NULL, &n) == 1;

	if (ok) {
		blob_room(z, n);
		ok = EVP_PKEY_derive(c, z->data, &n) == 1 && n == z->size;
	}
	EVP_PKEY_CTX_free(c);
	return ok ? 0 : -EINVAL;
}

/* RFC 3394, in (wrap) 32 -> 40 bytes and back. */
static int key_wrap(const uint8_t kek[32], bool wrap, const uint8_t *in, size_t size, uint8_t *out)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	uint8_t buf[WRAPPED_SIZE + 16];
	int n = 0, m = 0, ok;

	EVP_CIPHER_CTX_set_flags(c, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
	ok = EVP_CipherInit_ex(c, EVP_aes_256_wrap(), NULL, kek, NULL, wrap) == 1 &&
	     EVP_CipherUpdate(c, buf, &n, in, (int)size) == 1 && EVP_CipherFinal_ex(c, buf + n, &m) == 1 &&
	     n + m == (wrap ? WRAPPED_SIZE : CEK_SIZE);
	if (ok)
		memcpy(out, buf, (size_t)(n + m));
	OPENSSL_cleanse(buf, sizeof(buf));
	EVP_CIPHER_CTX_free(c);
	return ok ? 0 : -EBADMSG;
}

static int oaep(EVP_PKEY *key, bool encrypt, const uint8_t *in, size_t size, struct blob *out)
{
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(key, NULL);
	size_t n = 0;
	int ok;

	ok = c && (encrypt ? EVP_PKEY_encrypt_init(c) : EVP_PKEY_decrypt_init(c)) == 1 &&
	     EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_OAEP_PADDING) == 1 &&
	     EVP_PKEY_CTX_set_rsa_oaep_md(c, EVP_sha256()) == 1 &&
	     EVP_PKEY_CTX_set_rsa_mgf1_md(c, EVP_sha256()) == 1 &&
	     (encrypt ? EVP_PKEY_encrypt(c, NULL, &n, in, size) : EVP_PKEY_decrypt(c, NULL, &n, in, size)) == 1;
	if (ok) {
		blob_room(out, n);
		ok = (encrypt ? EVP_PKEY_encrypt(c, out->data, &n, in, size)
			      : EVP_PKEY_decrypt(c, out->data, &n, in, size)) == 1;
		out->size = ok ? n : 0;
	}
	EVP_PKEY_CTX_free(c);
	return ok ? 0 : -EBADMSG;
}

static int kek_for(EVP_PKEY *mine, EVP_PKEY *theirs, const struct blob *apu, const struct blob *apv,
		   uint8_t kek[32])
{
	struct blob z = {0};
	int ret = ecdh(mine, theirs, &z);

	if (!ret)
		ret = jose_concat_kdf(&z, JWE_ECDH, apu, apv, 256, kek);
	blob_free(&z);
	return ret;
}

static int wrap_ecdh(EVP_PKEY *recipient, const uint8_t *cek, json_t *header, struct blob *wrapped)
{
	struct blob none = {0};
	char group[40] = "";
	EVP_PKEY *eph = NULL;
	uint8_t kek[32];
	json_t *epk;
	int ret = -EINVAL;

	if (EVP_PKEY_is_a(recipient, "EC") &&
	    EVP_PKEY_get_group_name(recipient, group, sizeof(group), NULL) == 1)
		eph = key_generate_ec(group);
	epk = eph ? jwk_export(eph, NULL) : NULL;
	if (epk)
		ret = kek_for(eph, recipient, &none, &none, kek);
	if (!ret)
		ret = key_wrap(kek, true, cek, CEK_SIZE, blob_room(wrapped, WRAPPED_SIZE));
	if (!ret)
		json_object_set(header, "epk", epk);
	OPENSSL_cleanse(kek, sizeof(kek));
	json_decref(epk);
	EVP_PKEY_free(eph);
	return ret;
}

static void set_b64url(json_t *obj, const char *name, const void *p, size_t size)
{
	char *s = b64url_encode(p, size);

	json_object_set_new(obj, name, json_string(s));
	free(s);
}

int jwe_encrypt(EVP_PKEY *recipient, const char *alg, const void *plain, size_t size, json_t **out,
		struct err *e)
{
	json_t *header = json_pack("{ss ss}", "alg", alg, "enc", "A256GCM");
	struct blob wrapped = {0}, cipher = {0};
	uint8_t cek[CEK_SIZE], iv[12], tag[16];
	char *text = NULL, *aad = NULL;
	int ret;

	ret = random_fill(cek, sizeof(cek));
	if (!ret)
		ret = random_fill(iv, sizeof(iv));
	if (ret)
		goto out;
	if (!strcmp(alg, JWE_ECDH))
		ret = wrap_ecdh(recipient, cek, header, &wrapped);
	else if (!strcmp(alg, JWE_RSA) && EVP_PKEY_is_a(recipient, "RSA"))
		ret = oaep(recipient, true, cek, sizeof(cek), &wrapped);
	else
		ret = -EINVAL;
	if (ret) {
		err_set(e, ret, "no content key can be wrapped with %.20s for this public key", alg);
		goto out;
	}
	text = json_dumps(header, JSON_COMPACT);
	aad = b64url_encode(text, strlen(text));
	blob_room(&cipher, size);
	ret = gcm_seal(cek, iv, aad, strlen(aad), plain, size, cipher.data, tag);
	if (ret)
		goto out;
	*out = json_object();
	json_object_set_new(*out, "protected", json_string(aad));
	set_b64url(*out, "encrypted_key", wrapped.data, wrapped.size);
	set_b64url(*out, "iv", iv, sizeof(iv));
	set_b64url(*out, "ciphertext", cipher.data, cipher.size);
	set_b64url(*out, "tag", tag, sizeof(tag));
out:
	OPENSSL_cleanse(cek, sizeof(cek));
	blob_free(&wrapped);
	blob_free(&cipher);
	free(text);
	free(aad);
	json_decref(header);
	return ret;
}

static int opt_party(const json_t *header, const char *name, struct blob *out, struct err *e)
{
	return json_object_get(header, name) ? json_need_b64url(header, name, 0, out, e) : 0;
}

static int unwrap_ecdh(EVP_PKEY *key, const json_t *header, const struct blob *wrapped, uint8_t *cek,
		       struct err *e)
{
	struct blob apu = {0}, apv = {0};
	EVP_PKEY *epk = NULL;
	uint8_t kek[32];
	int ret = jwk_import(json_object_get(header, "epk"), &epk, e);

	if (!ret)
		ret = opt_party(header, "apu", &apu, e);
	if (!ret)
		ret = opt_party(header, "apv", &apv, e);
	if (!ret) {
		ret = wrapped->size == WRAPPED_SIZE ? kek_for(key, epk, &apu, &apv, kek) : -EINVAL;
		if (!ret)
			ret = key_wrap(kek, false, wrapped->data, wrapped->size, cek);
		if (ret)
			err_set(e, ret, "the content key does not unwrap with our key");
	}
	OPENSSL_cleanse(kek, sizeof(kek));
	EVP_PKEY_free(epk);
	blob_free(&apu);
	blob_free(&apv);
	return ret;
}

static int unwrap(EVP_PKEY *key, const json_t *header, const struct blob *wrapped, uint8_t *cek, struct err *e)
{
	const char *alg = json_need_string(header, "alg", e), *enc = json_need_string(header, "enc", e);
	struct blob plain = {0};
	int ret;

	if (!alg || !enc)
		return -EINVAL;
	if (strcmp(enc, "A256GCM") != 0 || json_object_get(header, "zip") || json_object_get(header, "crit"))
		return err_set(e, -EINVAL, "content encryption %.20s, or compressed, or extended", enc);
	if (!strcmp(alg, JWE_ECDH) && EVP_PKEY_is_a(key, "EC"))
		return unwrap_ecdh(key, header, wrapped, cek, e);
	if (strcmp(alg, JWE_RSA) != 0 || !EVP_PKEY_is_a(key, "RSA"))
		return err_set(e, -EINVAL, "key encryption %.20s does not fit our key", alg);
	ret = oaep(key, false, wrapped->data, wrapped->size, &plain);
	if (!ret && plain.size != CEK_SIZE)
		ret = -EBADMSG;
	if (!ret)
		memcpy(cek, plain.data, CEK_SIZE);
	else
		err_set(e, ret, "the content key does not unwrap with our key");
	blob_free(&plain);
	return ret;
}

static int protected_header(const char *text, json_t **out, struct err *e)
{
	struct blob b = {0};
	int ret = b64url_decode(text, strlen(text), &b);

	ret = ret ? err_set(e, ret, "the protected header is not base64url")
		  : json_read(b.data, b.size, HEADER_MAX, out, e);
	blob_free(&b);
	return ret;
}

int jwe_decrypt(EVP_PKEY *key, const json_t *jwe, struct blob *out, struct err *e)
{
	const char *text = json_need_string(jwe, "protected", e);
	const json_t *extra = json_object_get(jwe, "aad");
	struct blob wrapped = {0}, iv = {0}, cipher = {0}, tag = {0}, plain = {0};
	uint8_t cek[CEK_SIZE] = {0};
	json_t *header = NULL;
	char *aad = NULL;
	int ret = -EINVAL;

	if (!text)
		return -EINVAL;
	ret = protected_header(text, &header, e);
	if (!ret)
		ret = json_need_b64url(jwe, "encrypted_key", 0, &wrapped, e);
	if (!ret)
		ret = json_need_b64url(jwe, "iv", 12, &iv, e);
	if (!ret)
		ret = json_need_b64url(jwe, "ciphertext", 0, &cipher, e);
	if (!ret)
		ret = json_need_b64url(jwe, "tag", 16, &tag, e);
	if (!ret)
		ret = unwrap(key, header, &wrapped, cek, e);
	if (ret)
		goto out;
	/* RFC 7516 section 5.1 step 14 */
	aad = json_is_string(extra) ? xasprintf("%s.%s", text, json_string_value(extra)) : xstrdup(text);
	blob_room(&plain, cipher.size);
	ret = gcm_open(cek, iv.data, aad, strlen(aad), cipher.data, cipher.size, tag.data, plain.data);
	if (ret) {
		err_set(e, ret, "the content does not authenticate");
		goto out;
	}
	blob_free(out);
	*out = plain;
	plain = (struct blob){0};
out:
	OPENSSL_cleanse(cek, sizeof(cek));
	blob_free(&wrapped);
	blob_free(&iv);
	blob_free(&cipher);
	blob_free(&tag);
	blob_free(&plain);
	free(aad);
	json_decref(header);
	return ret;
}
