/* super.c: superblocks, keys, whole blocks of the file. */
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <string.h>
#include <unistd.h>

#include "cvm-host/volume/internal.h"
#include "platform/base/bytes.h"

int volume_file_read(int fd, void *buf, size_t size, uint64_t place, struct err *e)
{
	uint8_t *p = buf;

	for (size_t n = 0; n < size;) {
		ssize_t r = pread(fd, p + n, size - n, (off_t)(place * VOLUME_BLOCK + n));

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return err_set(e, -errno, "reading the volume: %s", strerror(errno));
		if (!r)
			return err_set(e, -EBADMSG, "the volume's file is too short");
		n += (size_t)r;
	}
	return 0;
}

int volume_file_write(int fd, const void *buf, size_t size, uint64_t place, struct err *e)
{
	const uint8_t *p = buf;

	for (size_t n = 0; n < size;) {
		ssize_t r = pwrite(fd, p + n, size - n, (off_t)(place * VOLUME_BLOCK + n));

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return err_set(e, r ? -errno : -EIO, "writing the volume: %s",
				       strerror(r ? errno : EIO));
		n += (size_t)r;
	}
	return 0;
}

/* HKDF-SHA256 of the volume's key; the id is the salt, so that no two volumes share keys. */
static int derive(const uint8_t key[32], const uint8_t id[16], const char *what, uint8_t out[32])
{
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, NULL);
	size_t n = 32;
	int ok = c && EVP_PKEY_derive_init(c) == 1 && EVP_PKEY_CTX_set_hkdf_md(c, EVP_sha256()) == 1 &&
		 EVP_PKEY_CTX_set1_hkdf_salt(c, id, 16) == 1 && EVP_PKEY_CTX_set1_hkdf_key(c, key, 32) == 1 &&
		 EVP_PKEY_CTX_add1_hkdf_info(c, (const uint8_t *)what, (int)strlen(what)) == 1 &&
		 EVP_PKEY_derive(c, out, &n) == 1;

	EVP_PKEY_CTX_free(c);
	return ok ? 0 : -EIO;
}

int volume_keys(struct volume *v, const uint8_t key[32])
{
	uint8_t enc[32];
	int ret = derive(key, v->s.id, "sbx volume blocks", enc);

	if (!ret)
		ret = derive(key, v->s.id, "sbx volume superblock", v->mac_key);
	v->seal = EVP_CIPHER_CTX_new();
	v->open = EVP_CIPHER_CTX_new();
	if (!ret &&
	    (!v->seal || !v->open || EVP_EncryptInit_ex(v->seal, EVP_aes_256_gcm(), NULL, enc, NULL) != 1 ||
	     EVP_DecryptInit_ex(v->open, EVP_aes_256_gcm(), NULL, enc, NULL) != 1))
		ret = -ENOMEM;
	OPENSSL_cleanse(enc, sizeof(enc));
	return ret;
}

static void mac(const struct volume *v, const uint8_t *block, uint8_t out[32])
{
	unsigned n = 32;

	if (!HMAC(EVP_sha256(), v->mac_key, 32, block, SUPER_USED - 32, out, &n))
		memset(out, 0, 32);
}

void volume_super_write(const struct volume *v, uint8_t b[VOLUME_BLOCK])
{
	memset(b, 0, VOLUME_BLOCK);
	memcpy(b, SUPER_MAGIC, 8);
	memcpy(b + 8, v->s.id, 16);
	put_le64(b + 24, v->s.blocks);
	put_le32(b + 32, v->s.places);
	put_le64(b + 40, v->s.epoch);
	put_le32(b + 48, v->s.mount);
	put_le32(b + 52, v->s.top);
	memcpy(b + 56, v->s.top_hash, 28);
	mac(v, b, b + SUPER_USED - 32);
}

void volume_root_of(const uint8_t block[VOLUME_BLOCK], char root[65])
{
	uint8_t h[32];

	sha256_of(block, VOLUME_BLOCK, h);
	bytes_to_hex(root, h, sizeof(h));
}

int volume_super_parse(const struct volume *v, const uint8_t b[VOLUME_BLOCK], struct super *out)
{
	struct super s = {.blocks = get_le64(b + 24),
			  .places = get_le32(b + 32),
			  .epoch = get_le64(b + 40),
			  .mount = get_le32(b + 48),
			  .top = get_le32(b + 52)};
	uint8_t want[32];

	mac(v, b, want);
	if (memcmp(b, SUPER_MAGIC, 8) != 0 || CRYPTO_memcmp(want, b + SUPER_USED - 32, 32) != 0)
		return -EBADMSG;
	if (!s.blocks || s.blocks > UINT32_MAX / 2 || s.places <= s.blocks ||
	    (s.top && (s.top < FIRST_PLACE || s.top >= s.places)))
		return -EBADMSG;
	memcpy(s.id, b + 8, 16);
	memcpy(s.top_hash, b + 56, 28);
	*out = s;
	return 0;
}
