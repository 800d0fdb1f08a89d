/* snp.h: AMD SEV-SNP attestation reports (SEV-SNP Firmware ABI Specification, 56860, ATTESTATION_REPORT). */
#pragma once

#include "cvm-host/attest/cert.h"

#define SNP_REPORT_SIZE 0x4A0u
#define SNP_SIGNED_SIZE 0x2A0u
#define SNP_R_AT	0x2A0u
#define SNP_COMPONENT	72u /* bytes of R and of S, little-endian */

enum snp_product { SNP_MILAN, SNP_GENOA, SNP_TURIN, SNP_PRODUCT_COUNT };
enum snp_signer { SNP_VCEK = 0, SNP_VLEK = 1 };

#define SNP_POLICY_SMT	      (1ull << 16)
#define SNP_POLICY_ONE	      (1ull << 17)
#define SNP_POLICY_MIGRATE_MA (1ull << 18)
#define SNP_POLICY_DEBUG      (1ull << 19)
#define SNP_POLICY_SINGLE     (1ull << 20)
#define SNP_POLICY_KNOWN      ((1ull << 26) - 1)

/* A report whose size, version and reserved bytes have been checked. Fields that are compared here; all others
 * become claims straight from the bytes. */
struct snp_report {
	const uint8_t *bytes; /* SNP_REPORT_SIZE, borrowed */
	uint32_t version;
	uint32_t vmpl;
	uint64_t policy;
	bool has_cpuid; /* version 3 and up */
	uint8_t family, model;
	enum snp_signer signer;
	bool author_key, chip_key_masked;
	uint64_t current, committed, launch, reported;
};

/* Adds the check "snp.format". */
MUST_CHECK bool snp_parse(struct verify *v, const struct attest_bytes *b, struct snp_report *out);
void snp_claims(struct verify *v, const struct snp_report *r, enum snp_product product);
struct attest_snp_tcb snp_tcb_split(uint64_t tcb, enum snp_product product);
const char *snp_product_name(enum snp_product product);

/* What a VCEK or VLEK certificate says in AMD's extensions (VCEK Certificate and KDS Interface Specification,
 * 57230). */
struct snp_leaf {
	X509 *cert;
	char product[16];
	struct attest_snp_tcb tcb;
	bool has_fmc;
	const uint8_t *hwid; /* 8 or 64 bytes, borrowed from the certificate; NULL for a VLEK */
	size_t hwid_size;
	const uint8_t *csp; /* VLEK: the cloud's id, IA5String's bytes */
	size_t csp_size;
};
/* -EINVAL when an extension is missing or malformed. */
MUST_CHECK int snp_leaf_parse(X509 *cert, enum snp_signer signer, struct snp_leaf *out);

/* The verifier; `check_report_data` false leaves challenge and REPORT_DATA to the caller (Azure binds other
 * data). */
void snp_verify_report(struct verify *v, const struct attest_bytes *evidence, bool check_report_data);
void snp_verify(struct verify *v, const struct attest_bytes *evidence);
