/* tpm2.h: the few TPM 2.0 commands that a guest needs, over a device of the kernel (/dev/tpm0). Blocking. */
#pragma once

#include "cvm-host/kbs/util.h"

/* An attestation key made by the TPM: restricted, P-256, gone at the next reset. */
struct tpm2_key {
	uint32_t handle;
	struct blob public; /* TPM2B_PUBLIC */
};
MUST_CHECK int tpm2_extend(int fd, unsigned pcr, const uint8_t sha256[32], struct err *e);
MUST_CHECK int tpm2_pcr_read(int fd, unsigned pcr, uint8_t sha256[32], struct err *e);
MUST_CHECK int tpm2_create_ak(int fd, struct tpm2_key *out, struct err *e);
/* PCRs as bits (0 to 23), SHA-256 bank. attest: TPMS_ATTEST, signature: TPMT_SIGNATURE. */
MUST_CHECK int tpm2_quote(int fd, const struct tpm2_key *key, uint32_t pcrs, const void *extra,
			  size_t extra_size, struct blob *attest, struct blob *signature, struct err *e);
