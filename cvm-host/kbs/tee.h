/* tee.h: evidence as the protocol carries it (JSON in primary_evidence) handed to the verifier
 * (attest/evidence.h), and its claims as the policy reads them.
 *
 * Forms that are read, by TEE:
 *   any        {"sbx-evidence":{"kind":KIND,"evidence":b64,"items":[{"kind":ITEM,"data":b64}...]}}; kinds as
 *              attest_kind_name() has them, items as tee_item_name()
 *   snp        {"attestation_report":{...},"cert_chain":[{"cert_type":..,"data":[bytes]}]}, the form of CoCo's
 * guests tdx        {"quote":b64,...}, likewise sample     {"svn":s,"report_data":b64[,"init_data":b64]}:
 * proves nothing, for tests; also what insecure-sim sends besides its TPM quote. */
#pragma once

#include "cvm-host/attest/evidence.h"
#include "cvm-host/kbs/json.h"

/* Collateral that the broker adds to every verification: a folder with files named ITEM[-anything].EXT. */
struct tee_collateral {
	struct blob *data;
	struct attest_item *items;
	size_t count;
};
MUST_CHECK int tee_collateral_load(const char *dir, struct tee_collateral *out, struct err *e);
void tee_collateral_free(struct tee_collateral *c);

struct tee_verdict {
	json_t *claims; /* flat; without those that the broker itself has compared */
	json_t *waived; /* array of the names of checks that only pass if somebody waives them */
	bool insecure;
	struct blob init; /* what the platform measured of the init data (HOST_DATA, MRCONFIGID ...); empty:
			     nothing */
};

#define TEE_DEVICE "gpu" /* the one kind of additional_evidence */

bool tee_known(const char *tee); /* as a primary TEE */
/* report_data: what the evidence has to carry; hash_size of its 64 bytes aren't zero. -EKEYREJECTED and the
 * reason when the evidence is refused. */
MUST_CHECK int tee_verify(const char *tee, const json_t *primary, const uint8_t report_data[64],
			  size_t hash_size, const struct tee_collateral *c, int64_t now,
			  struct tee_verdict *out, struct err *e);
void tee_verdict_free(struct tee_verdict *v);
/* Is body the init data that the platform measured (verdict.init)? With SHA-256, SHA-384 or SHA-512 of its
 * bytes, cut or padded to the field's size; for a TPM, PCR 8 extended once with SHA-256. The digest and its
 * size on success. */
MUST_CHECK int tee_init_data(const char *tee, const struct tee_verdict *v, const char *body, uint8_t digest[64],
			     size_t *size);

const char *tee_item_name(enum attest_item_kind kind);
/* {"sbx-evidence":...} of parts. */
json_t *tee_evidence_json(enum attest_kind kind, const struct blob *evidence, const struct attest_item *items,
			  size_t count);
/* Evidence of the kind "sample". init may be NULL. */
json_t *tee_sample_json(const uint8_t report_data[64], const struct blob *init);
