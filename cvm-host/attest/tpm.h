/* tpm.h: TPM 2.0 quotes. */
#pragma once

#include "cvm-host/attest/cert.h"
#include "cvm-host/attest/eventlog.h"

/* A TPMS_ATTEST of type quote, taken apart; pointers are into it. */
struct tpm_quote {
	struct attest_bytes message, signer, extra, digest;
	uint64_t clock, firmware;
	uint32_t resets, restarts;
	bool safe;
	uint16_t bank;	   /* algorithm of the one selection that isn't empty */
	uint32_t selected; /* PCRs as bits */
};
/* -EINVAL, also for selections of more than one bank. */
MUST_CHECK int tpm_quote_parse(const struct attest_bytes *b, struct tpm_quote *out);

/* Everything about a quote but where its key comes from: signature (ITEM_TPM_SIGNATURE), ITEM_TPM_PCRS,
 * ITEM_EVENTLOG, challenge. Claims "tpm.*". */
void tpm_check_quote(struct verify *v, const struct attest_bytes *message, EVP_PKEY *ak, const char *ak_source);

/* Public key of PEM SubjectPublicKeyInfo or certificate, or TPM2B_PUBLIC (a restricted signing key). NULL:
 * neither. */
EVP_PKEY *tpm_read_ak(const struct attest_bytes *b);
/* RSA key of big-endian modulus and exponent. */
EVP_PKEY *rsa_key_raw(const uint8_t *n, size_t n_size, const uint8_t *e, size_t e_size);

void tpm_verify(struct verify *v, const struct attest_bytes *evidence);
void azure_verify(struct verify *v, const struct attest_bytes *evidence);
