/* tpm2.c: TPM 2.0 commands (TPM 2.0 Library, part 3), marshalled by hand. The TPM's answers are the host's in
 * an emulated TPM: sizes are checked, nothing else is believed. */
#include "cvm-host/guest/tpm2.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "platform/base/bytes.h"

enum {
	ST_NO_SESSIONS = 0x8001,
	ST_SESSIONS = 0x8002,
	CC_CREATE_PRIMARY = 0x131,
	CC_QUOTE = 0x158,
	CC_PCR_READ = 0x17e,
	CC_PCR_EXTEND = 0x182,
	ALG_SHA256 = 0x0b,
	ALG_NULL = 0x10,
	ALG_ECDSA = 0x18,
	ALG_ECC = 0x23,
	ECC_P256 = 3,
};
#define RH_OWNER 0x40000001u
#define RS_PW	 0x40000009u
/* fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, noDA, restricted, sign */
#define AK_ATTRIBUTES 0x00050472u
#define ANSWER_MAX    4096u

static void be16(struct blob *b, unsigned v)
{
	uint8_t p[2];

	put_be16(p, (uint16_t)v);
	blob_add(b, p, 2);
}

static void be32(struct blob *b, uint32_t v)
{
	uint8_t p[4];

	put_be32(p, v);
	blob_add(b, p, 4);
}

static void start(struct blob *b, unsigned tag, uint32_t command)
{
	*b = (struct blob){0};
	be16(b, tag);
	be32(b, 0); /* the size, later */
	be32(b, command);
}

/* The empty password. */
static void authorize(struct blob *b)
{
	be32(b, 9);
	be32(b, RS_PW);
	be16(b, 0);
	blob_add(b, "", 1);
	be16(b, 0);
}

static void selection(struct blob *b, uint32_t pcrs)
{
	const uint8_t bits[3] = {(uint8_t)pcrs, (uint8_t)(pcrs >> 8), (uint8_t)(pcrs >> 16)};

	be32(b, 1);
	be16(b, ALG_SHA256);
	blob_add(b, "\3", 1);
	blob_add(b, bits, 3);
}

/* Sends the command, frees it; the answer's bytes behind its head in *out (from *at on), or the TPM's error. */
static int transact(int fd, struct blob *command, struct blob *out, const char *what, struct err *e)
{
	uint8_t *answer;
	ssize_t n;
	int ret = 0;

	put_be32(command->data + 2, (uint32_t)command->size);
	n = write(fd, command->data, command->size);
	if (n != (ssize_t)command->size)
		ret = err_set(e, n < 0 ? -errno : -EIO, "TPM %s: cannot be sent", what);
	blob_free(command);
	if (ret)
		return ret;
	answer = blob_room(out, ANSWER_MAX);
	n = read(fd, answer, ANSWER_MAX);
	if (n < 10 || get_be32(answer + 2) != (uint32_t)n)
		return err_set(e, n < 0 ? -errno : -EPROTO, "TPM %s: a malformed answer", what);
	if (get_be32(answer + 6))
		return err_set(e, -EIO, "TPM %s: error 0x%x", what, get_be32(answer + 6));
	out->size = (size_t)n;
	return 0;
}

int tpm2_extend(int fd, unsigned pcr, const uint8_t sha256[32], struct err *e)
{
	struct blob c, a = {0};
	int ret;

	start(&c, ST_SESSIONS, CC_PCR_EXTEND);
	be32(&c, pcr);
	authorize(&c);
	be32(&c, 1);
	be16(&c, ALG_SHA256);
	blob_add(&c, sha256, 32);
	ret = transact(fd, &c, &a, "PCR_Extend", e);
	blob_free(&a);
	return ret;
}

int tpm2_pcr_read(int fd, unsigned pcr, uint8_t sha256[32], struct err *e)
{
	struct blob c, a = {0};
	int ret;

	start(&c, ST_NO_SESSIONS, CC_PCR_READ);
	selection(&c, 1u << pcr);
	ret = transact(fd, &c, &a, "PCR_Read", e);
	/* head 10, counter 4, selection 10, count 4, size 2 */
	if (!ret && (a.size != 62 || get_be32(a.data + 24) != 1 || get_be16(a.data + 28) != 32))
		ret = err_set(e, -EPROTO, "TPM PCR_Read: no SHA-256 value of PCR %u", pcr);
	if (!ret)
		memcpy(sha256, a.data + 30, 32);
	blob_free(&a);
	return ret;
}

int tpm2_create_ak(int fd, struct tpm2_key *out, struct err *e)
{
	struct blob c, a = {0};
	size_t size;
	int ret;

	start(&c, ST_SESSIONS, CC_CREATE_PRIMARY);
	be32(&c, RH_OWNER);
	authorize(&c);
	be16(&c, 4); /* sensitive: no password, no data */
	be32(&c, 0);
	be16(&c, 24); /* public area */
	be16(&c, ALG_ECC);
	be16(&c, ALG_SHA256);
	be32(&c, AK_ATTRIBUTES);
	be16(&c, 0);
	be16(&c, ALG_NULL);
	be16(&c, ALG_ECDSA);
	be16(&c, ALG_SHA256);
	be16(&c, ECC_P256);
	be16(&c, ALG_NULL);
	be16(&c, 0);
	be16(&c, 0);
	be16(&c, 0); /* outside info */
	be32(&c, 0); /* creation PCRs */
	ret = transact(fd, &c, &a, "CreatePrimary", e);
	/* head 10, handle 4, parameter size 4, then TPM2B_PUBLIC */
	size = !ret && a.size >= 20 ? get_be16(a.data + 18) + 2u : 0;
	if (!ret && (size < 12 || size > a.size - 18))
		ret = err_set(e, -EPROTO, "TPM CreatePrimary: no public area");
	if (!ret) {
		*out = (struct tpm2_key){.handle = get_be32(a.data + 10)};
		blob_set(&out->public, a.data + 18, size);
	}
	blob_free(&a);
	return ret;
}

int tpm2_quote(int fd, const struct tpm2_key *key, uint32_t pcrs, const void *extra, size_t extra_size,
	       struct blob *attest, struct blob *signature, struct err *e)
{
	struct blob c, a = {0};
	size_t size, end;
	int ret;

	start(&c, ST_SESSIONS, CC_QUOTE);
	be32(&c, key->handle);
	authorize(&c);
	be16(&c, (unsigned)extra_size);
	blob_add(&c, extra, extra_size);
	be16(&c, ALG_NULL); /* the key's own scheme */
	selection(&c, pcrs);
	ret = transact(fd, &c, &a, "Quote", e);
	if (ret)
		goto out;
	/* head 10, parameter size 4, then TPM2B_ATTEST and TPMT_SIGNATURE */
	end = a.size >= 16 ? 14 + (size_t)get_be32(a.data + 10) : 0;
	size = a.size >= 16 ? get_be16(a.data + 14) : 0;
	if (end > a.size || end < 16 || size > end - 16)
		ret = err_set(e, -EPROTO, "TPM Quote: a malformed answer");
	if (!ret) {
		blob_set(attest, a.data + 16, size);
		blob_set(signature, a.data + 16 + size, end - 16 - size);
	}
out:
	blob_free(&a);
	return ret;
}
