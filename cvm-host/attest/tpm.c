/* tpm.c: TPM 2.0 quotes (TPM 2.0 Library, part 2, TPMS_ATTEST): parsing, signature, quoted PCRs. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "cvm-host/attest/cursor.h"
#include "cvm-host/attest/ecdsa.h"
#include "cvm-host/attest/tpm.h"
#include "platform/base/bytes.h"

#define TPM_GENERATED 0xff544347u
#define ST_QUOTE      0x8018u
enum { ALG_RSASSA = 0x14, ALG_RSAPSS = 0x16, ALG_ECDSA = 0x18 };

static uint64_t take_be(struct cursor *c, size_t n)
{
	const uint8_t *p = take(c, n);
	uint64_t v = 0;

	for (size_t i = 0; p && i < n; i++)
		v = v << 8 | p[i];
	return v;
}

static struct attest_bytes take_2b(struct cursor *c)
{
	size_t n = take_be(c, 2);
	const uint8_t *p = take(c, n);

	return (struct attest_bytes){p, p ? n : 0};
}

static void take_selection(struct cursor *c, struct tpm_quote *out)
{
	uint32_t count = (uint32_t)take_be(c, 4);

	if (count > 8)
		c->bad = true;
	for (uint32_t i = 0; !c->bad && i < count; i++) {
		uint16_t bank = (uint16_t)take_be(c, 2);
		size_t n = take_be(c, 1);
		const uint8_t *p = take(c, n);
		uint32_t bits = 0;

		if (!p || n > 3) {
			c->bad = true;
			return;
		}
		for (size_t k = 0; k < n; k++)
			bits |= (uint32_t)p[k] << 8 * k;
		if (!bits)
			continue;
		if (out->selected)
			c->bad = true; /* two banks: no one value per PCR to claim */
		out->bank = bank;
		out->selected = bits;
	}
}

int tpm_quote_parse(const struct attest_bytes *b, struct tpm_quote *out)
{
	struct cursor c = {b->data, (const uint8_t *)b->data + b->size, false};
	uint8_t safe;

	*out = (struct tpm_quote){.message = *b};
	if (take_be(&c, 4) != TPM_GENERATED || take_be(&c, 2) != ST_QUOTE)
		return -EINVAL;
	out->signer = take_2b(&c);
	out->extra = take_2b(&c);
	out->clock = take_be(&c, 8);
	out->resets = (uint32_t)take_be(&c, 4);
	out->restarts = (uint32_t)take_be(&c, 4);
	safe = (uint8_t)take_be(&c, 1);
	out->safe = safe == 1;
	out->firmware = take_be(&c, 8);
	take_selection(&c, out);
	out->digest = take_2b(&c);
	return c.bad || c.p != c.end || safe > 1 || !tpm_alg_size(out->bank) ? -EINVAL : 0;
}

/* A TPMT_SIGNATURE becomes scheme, hash and what OpenSSL verifies; anything else is taken as that already, with
 * SHA-256. */
struct signature {
	uint16_t scheme, hash;
	const uint8_t *rsa;
	size_t rsa_size;
	struct attest_bytes r, s;
};

static bool signature_parse(const struct attest_bytes *b, EVP_PKEY *key, struct signature *out)
{
	struct cursor c = {b->data, (const uint8_t *)b->data + b->size, false};
	bool rsa = EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA;

	*out = (struct signature){
		.scheme = ALG_RSASSA, .hash = TPM_SHA256, .rsa = b->data, .rsa_size = b->size};
	if (rsa && b->size == (size_t)EVP_PKEY_get_size(key))
		return true;
	out->scheme = (uint16_t)take_be(&c, 2);
	out->hash = (uint16_t)take_be(&c, 2);
	if (rsa && (out->scheme == ALG_RSASSA || out->scheme == ALG_RSAPSS)) {
		struct attest_bytes sig = take_2b(&c);

		out->rsa = sig.data;
		out->rsa_size = sig.size;
	} else if (!rsa && out->scheme == ALG_ECDSA) {
		out->r = take_2b(&c);
		out->s = take_2b(&c);
	} else {
		return false;
	}
	return !c.bad && c.p == c.end && tpm_alg_md(out->hash) && out->hash != TPM_SHA1;
}

static bool rsa_verify(EVP_PKEY *key, const struct signature *s, const struct attest_bytes *msg)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pctx;
	bool ok = ctx && EVP_DigestVerifyInit(ctx, &pctx, tpm_alg_md(s->hash), NULL, key) == 1;

	if (ok && s->scheme == ALG_RSAPSS)
		ok = EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) > 0 &&
		     EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_AUTO) > 0;
	ok = ok && EVP_DigestVerify(ctx, s->rsa, s->rsa_size, msg->data, msg->size) == 1;
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}

static bool signature_verify(EVP_PKEY *key, const struct attest_bytes *sig, const struct attest_bytes *msg,
			     uint16_t *hash)
{
	struct signature s;
	uint8_t raw[64] = {0};

	if (!signature_parse(sig, key, &s))
		return false;
	*hash = s.hash;
	if (s.scheme != ALG_ECDSA)
		return rsa_verify(key, &s, msg);
	if (s.hash != TPM_SHA256 || s.r.size > 32 || s.s.size > 32)
		return false;
	memcpy(raw + 32 - s.r.size, s.r.data, s.r.size);
	memcpy(raw + 64 - s.s.size, s.s.data, s.s.size);
	return ecdsa_verify_raw(key, CURVE_P256, raw, 32, false, msg->data, msg->size);
}

/* The values given must digest to what was quoted; then they are claims. */
static bool check_pcrs(struct verify *v, const struct tpm_quote *q, uint16_t hash,
		       const uint8_t *values[REGISTERS])
{
	const struct attest_bytes *pcrs = item_find(v->in, ITEM_TPM_PCRS, 0);
	size_t width = tpm_alg_size(q->bank), at = 0;
	uint8_t digest[64];
	char name[48];

	if (!pcrs) {
		check_skip(v, "tpm.pcrs", "no PCR values were given: only their digest is quoted");
		return false;
	}
	if (pcrs->size != width * (size_t)__builtin_popcount(q->selected) ||
	    EVP_Digest(pcrs->data, pcrs->size, digest, NULL, tpm_alg_md(hash), NULL) != 1 ||
	    q->digest.size != tpm_alg_size(hash) || memcmp(digest, q->digest.data, q->digest.size) != 0)
		return check_fail(v, "tpm.pcrs", "the PCR values are not those that were quoted");
	for (unsigned int i = 0; i < REGISTERS; i++) {
		if (!(q->selected >> i & 1))
			continue;
		values[i] = (const uint8_t *)pcrs->data + at;
		at += width;
		snprintf(name, sizeof(name), "tpm.pcr.%s.%u", tpm_alg_name(q->bank), i);
		claim_bytes(v, name, values[i], width);
	}
	return check_that(v, "tpm.pcrs", true, "the PCR values are those that were quoted");
}

static void quote_claims(struct verify *v, const struct tpm_quote *q, EVP_PKEY *ak, const char *ak_source)
{
	char list[128];
	uint8_t *spki = NULL, hash[32];
	int n = i2d_PUBKEY(ak, &spki), at = snprintf(list, sizeof(list), "%s:", tpm_alg_name(q->bank));

	if (n > 0 && sha256(spki, (size_t)n, hash))
		claim_bytes(v, "tpm.ak", hash, 32);
	OPENSSL_free(spki);
	for (unsigned int i = 0, first = 1; i < REGISTERS; i++)
		if (q->selected >> i & 1) {
			at += snprintf(list + at, sizeof(list) - (size_t)at, "%s%u", first ? "" : ",", i);
			first = 0;
		}
	claim_text(v, "tpm.pcr_selection", list, (size_t)at);
	claim_text(v, "tpm.ak_source", ak_source, strlen(ak_source));
	claim_bytes(v, "tpm.extra_data", q->extra.data, q->extra.size);
	claim_bytes(v, "tpm.qualified_signer", q->signer.data, q->signer.size);
	claim_uint(v, "tpm.firmware_version", q->firmware);
	claim_uint(v, "tpm.reset_count", q->resets);
	claim_uint(v, "tpm.restart_count", q->restarts);
	claim_bool(v, "tpm.clock_safe", q->safe);
}

void tpm_check_quote(struct verify *v, const struct attest_bytes *message, EVP_PKEY *ak, const char *ak_source)
{
	const struct attest_bytes *sig = item_find(v->in, ITEM_TPM_SIGNATURE, 0),
				  *log = item_find(v->in, ITEM_EVENTLOG, 0);
	const uint8_t *values[REGISTERS] = {0};
	struct tpm_quote q;
	uint16_t hash = TPM_SHA256;
	bool ok;

	if (!check_that(v, "tpm.format", tpm_quote_parse(message, &q) == 0,
			"TPMS_ATTEST of a quote of one bank"))
		return;
	quote_claims(v, &q, ak, ak_source);
	check_challenge(v, q.extra.data, q.extra.size, false);
	ok = sig && signature_verify(ak, sig, message, &hash);
	if (!check_that(v, "tpm.signature", ok, "%s",
			ok    ? "by the attestation key"
			: sig ? "not by the attestation key"
			      : "none was given"))
		return;
	if (check_pcrs(v, &q, hash, values) && log)
		eventlog_check_pcr(v, log, q.bank, q.selected, values);
	else if (log)
		check_fail(v, "eventlog.replay", "nothing to compare the log with");
}

void tpm_verify(struct verify *v, const struct attest_bytes *evidence)
{
	const struct attest_bytes *ak = item_find(v->in, ITEM_TPM_AK, 0);
	EVP_PKEY *key = ak ? tpm_read_ak(ak) : NULL;

	/* whoever gave the key vouches for it: endorsement is the caller's business, and the claim says so */
	if (check_that(v, "tpm.ak", key != NULL, "%s",
		       ak ? "the attestation key that was given" : "no attestation key was given")) {
		claim_bool(v, "root.pinned", false);
		tpm_check_quote(v, evidence, key, "given");
	}
	EVP_PKEY_free(key);
}
