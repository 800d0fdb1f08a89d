/* gpu.h: NVIDIA GPUs' and switches' SPDM measurements, and the reference integrity manifests (RIMs) to compare
 * them with. */
#pragma once

#include "cvm-host/attest/cert.h"

#define SPDM_BLOCKS_MAX	 128
#define RIM_ALTERNATIVES 16
#define SHA384_SIZE	 48u

/* GET_MEASUREMENTS request and MEASUREMENTS response (SPDM 1.1, DSP0274), taken apart; pointers are into them.
 */
struct spdm {
	const uint8_t *start;
	size_t signed_size;
	const uint8_t *nonce;				 /* 32, of the requester */
	const uint8_t *signature;			 /* 96 */
	const uint8_t *measurement[SPDM_BLOCKS_MAX + 1]; /* by block index from 1; SHA384_SIZE bytes or NULL */
	const uint8_t *opaque;
	size_t opaque_size;
};
/* -EINVAL. One byte or more of zeros may follow. */
MUST_CHECK int spdm_parse(const struct attest_bytes *b, struct spdm *out);
/* A field of NVIDIA's opaque data, or NULL. */
const uint8_t *spdm_opaque(const struct spdm *s, uint16_t type, size_t *size);

/* Golden values by RIM index (block index less one). */
struct rim {
	char version[64]; /* of the driver or VBIOS */
	struct {
		bool active;
		uint8_t value[RIM_ALTERNATIVES][SHA384_SIZE];
		size_t count;
	} entry[SPDM_BLOCKS_MAX];
};
/* Verifies signature and chain of a manifest and reads it. Checks "rim.*". */
MUST_CHECK bool rim_read(struct verify *v, const struct attest_bytes *b, struct rim *out);

/* The payload of manifest text: whether `sig` (r || s) signs it and what it covers. Declared for the fuzzer:
 * verifies no chain. -EINVAL. */
struct xml_signed {
	uint8_t digest[SHA384_SIZE]; /* of the document without its signature */
	uint8_t said_digest[SHA384_SIZE];
	uint8_t signature[96];
	unsigned char *signed_info; /* canonical; xmlFree() */
	int signed_info_size;
	struct attest_bytes cert[CHAIN_MAX]; /* DER, malloc'ed */
	size_t cert_count;
};
MUST_CHECK int rim_parse(const struct attest_bytes *b, struct xml_signed *sig, struct rim *out);
void rim_signed_free(struct xml_signed *sig);

/* Good OCSP responses for chain->cert[first..last]; adds the check `name`. */
bool chain_check_ocsp(struct verify *v, const char *name, struct certs *set, const struct chain *chain,
		      size_t first, size_t last);

void gpu_verify(struct verify *v, const struct attest_bytes *evidence);
