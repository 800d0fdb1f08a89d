/* sealedlog.c: writing and reading sealed logs. */
#include "cvm-host/volume/sealedlog.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cvm-host/kbs/jose.h"
#include "platform/base/bytes.h"

#define MAGIC	   "SBXLOG1\n"
#define HEADER_MAX 16384u
#define KIND_TEXT  0u
#define KIND_END   1u
#define PREFIX	   5u /* of the sealed text: le32 size, kind */
#define SEALED_MAX (LOG_RECORD + LOG_PAD + PREFIX)

/* Where both ends are in the chain. */
struct chain {
	uint8_t key[32];
	uint64_t count;
	uint8_t hash[32]; /* of header and records so far */
};

struct sealed_log {
	int fd;
	struct chain c;
};

static void chain_start(struct chain *c, const uint8_t key[32], const void *header, size_t size)
{
	memcpy(c->key, key, 32);
	c->count = 0;
	sha256_of(header, size, c->hash);
}

/* One record further: the old key is gone. */
static void chain_step(struct chain *c, const uint8_t tag[16])
{
	uint8_t b[64] = "sbx log key";

	memcpy(b + 32, c->key, 32);
	sha256_of(b, sizeof(b), c->key);
	memcpy(b, c->hash, 32);
	memcpy(b + 32, tag, 16);
	sha256_of(b, 48, c->hash);
	OPENSSL_cleanse(b, sizeof(b));
	c->count++;
}

/* Every key seals one record, so the IV is its number. */
static void chain_iv(const struct chain *c, uint8_t iv[12])
{
	memset(iv, 0, 12);
	put_le64(iv, c->count);
}

static int put(int fd, const void *p, size_t size, struct err *e)
{
	ssize_t n = write(fd, p, size);

	return n == (ssize_t)size ? 0 : err_set(e, n < 0 ? -errno : -ENOSPC, "the log could not be written");
}

int sealed_log_create(int fd, EVP_PKEY *recipient, struct sealed_log **out, struct err *e)
{
	const char *alg = EVP_PKEY_is_a(recipient, "RSA") ? JWE_RSA : JWE_ECDH;
	struct sealed_log *l = xcalloc(1, sizeof(*l));
	struct blob header = {0};
	json_t *jwe = NULL;
	uint8_t key[32], size[4];
	char *text = NULL;
	int ret = random_fill(key, sizeof(key));

	l->fd = fd;
	if (!ret)
		ret = jwe_encrypt(recipient, alg, key, sizeof(key), &jwe, e);
	if (!ret) {
		text = json_dumps(jwe, JSON_COMPACT);
		put_le32(size, (uint32_t)strlen(text));
		blob_add(&header, MAGIC, 8);
		blob_add(&header, size, 4);
		blob_add(&header, text, strlen(text));
		chain_start(&l->c, key, header.data, header.size);
		ret = put(fd, header.data, header.size, e);
	}
	OPENSSL_cleanse(key, sizeof(key));
	free(text);
	json_decref(jwe);
	blob_free(&header);
	if (ret)
		free(l);
	else
		*out = l;
	return ret;
}

static int write_record(struct sealed_log *l, uint8_t kind, const void *text, size_t size, struct err *e)
{
	size_t sealed = (PREFIX + size + LOG_PAD - 1) / LOG_PAD * LOG_PAD;
	uint8_t *plain = xcalloc(1, sealed), *out = xcalloc(1, 4 + sealed + 16), iv[12];
	int ret;

	put_le32(plain, (uint32_t)size);
	plain[4] = kind;
	if (size)
		memcpy(plain + PREFIX, text, size);
	put_le32(out, (uint32_t)(sealed + 16));
	chain_iv(&l->c, iv);
	ret = gcm_seal(l->c.key, iv, l->c.hash, 32, plain, sealed, out + 4, out + 4 + sealed);
	if (!ret) {
		chain_step(&l->c, out + 4 + sealed);
		ret = put(l->fd, out, 4 + sealed + 16, e);
	}
	OPENSSL_cleanse(plain, sealed);
	free(plain);
	free(out);
	return ret;
}

int sealed_log_write(struct sealed_log *l, const void *text, size_t size, struct err *e)
{
	const uint8_t *p = text;
	int ret = 0;

	while (size && !ret) {
		size_t n = MIN(size, (size_t)LOG_RECORD);

		ret = write_record(l, KIND_TEXT, p, n, e);
		p += n;
		size -= n;
	}
	return ret;
}

void sealed_log_state(const struct sealed_log *l, uint64_t *count, uint8_t hash[32])
{
	*count = l->c.count;
	memcpy(hash, l->c.hash, 32);
}

int sealed_log_finish(struct sealed_log *l, struct err *e)
{
	int ret = write_record(l, KIND_END, NULL, 0, e);

	OPENSSL_cleanse(l, sizeof(*l));
	free(l);
	return ret;
}

static int read_header(const uint8_t *p, size_t size, EVP_PKEY *owner, struct chain *c, size_t *used,
		       struct err *e)
{
	struct blob key = {0};
	json_t *jwe = NULL;
	size_t n;
	int ret;

	if (size < 12 || memcmp(p, MAGIC, 8) != 0)
		return err_set(e, -EBADMSG, "not a sealed log");
	n = get_le32(p + 8);
	if (n > HEADER_MAX || n > size - 12)
		return err_set(e, -EBADMSG, "the log's header is cut off");
	ret = json_read(p + 12, n, HEADER_MAX, &jwe, e);
	if (!ret)
		ret = jwe_decrypt(owner, jwe, &key, e);
	if (!ret && key.size != 32)
		ret = err_set(e, -EBADMSG, "the log's key has %zu bytes", key.size);
	if (!ret) {
		chain_start(c, key.data, p, 12 + n);
		*used = 12 + n;
	}
	json_decref(jwe);
	blob_free(&key);
	return ret;
}

int sealed_log_read(const void *data, size_t size, EVP_PKEY *owner,
		    void (*line)(void *arg, const void *text, size_t size), void *arg, bool *closed,
		    struct err *e)
{
	const uint8_t *p = data;
	uint8_t *plain = xcalloc(1, SEALED_MAX), iv[12];
	struct chain c;
	size_t at = 0;
	int ret = read_header(p, size, owner, &c, &at, e);

	*closed = false;
	while (!ret && at < size) {
		size_t n = size - at >= 4 ? get_le32(p + at) : 0, sealed = n - 16, text;

		if (*closed || n < 16 + LOG_PAD || sealed > SEALED_MAX || n > size - at - 4) {
			ret = err_set(e, -EBADMSG, "record %llu is cut off, or follows the end",
				      (unsigned long long)c.count);
			break;
		}
		chain_iv(&c, iv);
		ret = gcm_open(c.key, iv, c.hash, 32, p + at + 4, sealed, p + at + 4 + sealed, plain);
		text = ret ? 0 : get_le32(plain);
		if (ret || text > sealed - PREFIX || plain[4] > KIND_END) {
			ret = err_set(e, -EBADMSG, "record %llu is not the one that was written there",
				      (unsigned long long)c.count);
			break;
		}
		if (plain[4] == KIND_END)
			*closed = true;
		else
			line(arg, plain + PREFIX, text);
		chain_step(&c, p + at + 4 + sealed);
		at += 4 + n;
	}
	OPENSSL_cleanse(plain, SEALED_MAX);
	OPENSSL_cleanse(&c, sizeof(c));
	free(plain);
	return ret;
}
