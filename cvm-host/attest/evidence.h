/* evidence.h: the verifier of attestation evidence, as one function from bytes to claims.
 *
 * Everything a verdict depends on is an argument: the evidence, the collateral (certificates, revocation lists,
 * vendor statements, event logs), the clock, the challenge and the few knobs below. Nothing here does I/O,
 * reads a clock or the environment, or keeps state between calls; calls may run in parallel on any threads.
 *
 * A result lists every check that was made, in order, each with its outcome and a reason, and the claims that
 * the evidence makes. `ok` is true when no check failed. The knobs are for what the hardware's vendor defines
 * (revocation, security versions, debug, migration). What a relying party wants to find in the claims
 * (measurements, host data, which platforms at all) is its own policy over them: cvm-host/kbs. */
#pragma once

#include "platform/base/attr.h"

/* Evidence, collateral or an event log larger than this is refused unread. */
#define ATTEST_INPUT_MAX (4u << 20)
/* An item's count in one input. */
#define ATTEST_ITEMS_MAX 64

/* What the evidence is. AUTO looks at the bytes; it never guesses between two that both fit. */
enum attest_kind {
	ATTEST_AUTO,
	ATTEST_SNP,    /* AMD SEV-SNP report, 0x4A0 bytes, version 2 to 5 */
	ATTEST_TDX,    /* Intel TDX quote, version 4 or 5 */
	ATTEST_SGX,    /* Intel SGX quote, version 3 */
	ATTEST_CCA,    /* Arm CCA token: CBOR collection of platform and realm token */
	ATTEST_NITRO,  /* AWS Nitro attestation document: COSE_Sign1 */
	ATTEST_TPM,    /* TPM2 quote: TPMS_ATTEST; needs items TPM_SIGNATURE and TPM_AK */
	ATTEST_AZ_SNP, /* Azure HCL report around an SNP report; with items TPM_QUOTE and TPM_SIGNATURE the
			  vTPM's too */
	ATTEST_AZ_TDX, /* Azure HCL report around a TD report; needs item TD_QUOTE; vTPM as above */
	ATTEST_GPU,    /* NVIDIA SPDM GET_MEASUREMENTS request and response (Hopper, Blackwell, NVSwitch) */
	ATTEST_KIND_COUNT,
};

/* Collateral and side evidence. Several items of one kind may be given where that makes sense. */
enum attest_item_kind {
	ITEM_CERTS,    /* X.509 certificates, PEM (any number) or one DER: chains of any kind, in any order */
	ITEM_CRL,      /* an X.509 revocation list, PEM or DER */
	ITEM_OCSP,     /* an OCSP response, DER (GPU) */
	ITEM_TCB_INFO, /* Intel PCS: {"tcbInfo":{...},"signature":"..."} byte for byte as served */
	ITEM_QE_IDENTITY,   /* Intel PCS: {"enclaveIdentity":{...},"signature":"..."} */
	ITEM_PCS_CHAIN,	    /* certificates that signed TCB info and QE identity, PEM */
	ITEM_CCA_KEY,	    /* the CCA platform's attestation key (CPAK), PEM SubjectPublicKeyInfo */
	ITEM_TD_QUOTE,	    /* the TDX quote that goes with an Azure HCL report */
	ITEM_TPM_QUOTE,	    /* TPMS_ATTEST that goes with an Azure HCL report */
	ITEM_TPM_SIGNATURE, /* TPMT_SIGNATURE, or the bare RSA or DER ECDSA signature */
	ITEM_TPM_AK,	    /* the attestation key: PEM SubjectPublicKeyInfo or certificate, or TPM2B_PUBLIC */
	ITEM_TPM_PCRS,	    /* values of the quoted PCRs in order of index, one after the other */
	ITEM_EVENTLOG,	    /* TCG2 event log (binary_bios_measurements) to replay against quoted PCRs */
	ITEM_CCEL,	    /* event log of a TD (the CCEL table's data) to replay against RTMR 0..3 */
	ITEM_RIM,	    /* NVIDIA reference integrity manifest (SWID XML, signed) */
	ITEM_ROOT, /* an extra trust anchor, one certificate: for tests and private fleets; shows as claim
		      "root.pinned" = false */
	ITEM_KIND_COUNT,
};

struct attest_bytes {
	const void *data; /* borrowed for the call */
	size_t size;
};

struct attest_item {
	enum attest_item_kind kind;
	struct attest_bytes bytes;
};

/* TCB of SNP, component by component; what a product lacks (FMC before Turin) is not compared. */
struct attest_snp_tcb {
	uint8_t bootloader, tee, snp, microcode, fmc;
};

/* States of an Intel platform, from best to worst. The bit (1 << state) in attest_knobs.tcb_status. */
enum attest_tcb_status {
	TCB_UP_TO_DATE,
	TCB_SW_HARDENING_NEEDED,
	TCB_CONFIGURATION_NEEDED,
	TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED,
	TCB_RELAUNCH_ADVISED,
	TCB_RELAUNCH_ADVISED_CONFIGURATION_NEEDED,
	TCB_OUT_OF_DATE,
	TCB_OUT_OF_DATE_CONFIGURATION_NEEDED,
	TCB_REVOKED,
	TCB_UNRECOGNIZED,
	TCB_STATUS_COUNT,
};

/* Every knob at zero is the strict default. A check that a knob lets pass appears as CHECK_WAIVED. */
struct attest_knobs {
	bool allow_debug;	/* debuggable guests, enclaves, realms; Nitro documents with zero PCRs */
	bool allow_migration;	/* SNP MIGRATE_MA; TDX MRSERVICETD != 0 or attribute MIGRATABLE */
	bool allow_missing_crl; /* no revocation list (or OCSP response) given: accept */
	bool allow_milan_vcek;	/* SNP reports of Milan signed by a VCEK (its root seed was extracted, 2026) */
	bool allow_provisional; /* SNP: CURRENT_TCB above COMMITTED_TCB */
	bool allow_no_measurement; /* GPU: no RIM given to compare with */
	bool allow_unsecured;	   /* CCA: life cycle other than secured */
	uint8_t max_vmpl;	   /* SNP: highest VMPL that may have asked for the report */
	uint32_t tcb_status;	   /* TDX, SGX: accepted states as bits; 0 means only TCB_UP_TO_DATE */
	bool has_min_tcb;	   /* SNP: committed, launch and reported TCB must each be at least: */
	struct attest_snp_tcb min_tcb;
	uint32_t min_tcb_evaluation; /* TDX, SGX: lowest tcbEvaluationDataNumber of the collateral */
	/* Allow-lists; empty means any. SNP CHIP_ID (as in the report, 64 bytes), TDX and SGX PPID (16 bytes).
	 * A masked CHIP_ID (all zero) is on no list. */
	const struct attest_bytes *chip_ids;
	size_t chip_id_count;
	const struct attest_bytes *ppids;
	size_t ppid_count;
	/* Advisories ("INTEL-SA-00837") that refuse a platform whatever its state. */
	const char *const *denied_advisories;
	size_t denied_advisory_count;
};

struct attest_input {
	enum attest_kind kind;
	struct attest_bytes evidence;
	const struct attest_item *items;
	size_t item_count;
	int64_t now; /* seconds since 1970, UTC; validity windows are measured against it. Required: 0 is
			refused */
	/* What the evidence must carry: SNP, TDX, SGX REPORT_DATA, CCA challenge (64 bytes; a shorter value
	 * must be followed by zeros), Nitro nonce, TPM extraData, GPU nonce (exact). data == NULL: not
	 * compared, and the result has the check "challenge" as CHECK_SKIPPED. */
	struct attest_bytes challenge;
	struct attest_knobs knobs;
};

enum attest_outcome {
	CHECK_PASSED,
	CHECK_FAILED,
	CHECK_WAIVED,  /* would have failed; a knob lets it pass, and the reason names the knob */
	CHECK_SKIPPED, /* the input asked for nothing here, or this product has no such thing */
};

struct attest_check {
	const char *name; /* stable, e.g. "snp.signature", "crl", "tdx.tcb"; static */
	enum attest_outcome outcome;
	char reason[192]; /* for people; printable ASCII */
};

enum attest_claim_type { CLAIM_BOOL, CLAIM_UINT, CLAIM_BYTES, CLAIM_TEXT, CLAIM_TIME };

/* Names are dotted, lower case, and stable; claims.md lists them. A name appears once. */
struct attest_claim {
	char name[48];
	enum attest_claim_type type;
	union {
		bool flag;
		uint64_t number;
		int64_t time; /* seconds since 1970 */
		struct {
			uint8_t *data; /* owned by the result */
			size_t size;   /* of text: without its NUL */
		} bytes;	       /* CLAIM_BYTES, CLAIM_TEXT (UTF-8, NUL-terminated) */
	};
};

struct attest_result {
	bool ok; /* no check failed */
	enum attest_kind kind;
	struct attest_check *checks;
	size_t check_count;
	struct attest_claim *claims;
	size_t claim_count;
};

/* Verifies. Returns 0 and a result (also when the evidence is refused: see result->ok), or -ENOMEM. Claims of
 * refused evidence are what its bytes say and prove nothing. */
MUST_CHECK int attest_verify(const struct attest_input *in, struct attest_result **out);
void attest_result_free(struct attest_result *r);

/* The claim of that name, or NULL. Borrowed from the result. */
const struct attest_claim *attest_claim(const struct attest_result *r, const char *name);
/* The first failed check, or NULL. Borrowed. */
const struct attest_check *attest_first_failure(const struct attest_result *r);
/* The first check of that name, or NULL. Borrowed. */
const struct attest_check *attest_check(const struct attest_result *r, const char *name);

/* "snp", "tdx", "az-snp" ...; and back (-ENOENT when there is none such). Static strings. */
const char *attest_kind_name(enum attest_kind kind);
MUST_CHECK int attest_kind_of(const char *name, enum attest_kind *out);
/* "UpToDate", ... as Intel writes them */
const char *attest_tcb_status_name(enum attest_tcb_status status);
const char *attest_outcome_name(enum attest_outcome outcome);

/* The result as JSON: {"ok":b,"kind":s,"claims":{name:value...},"checks":[{"name","outcome","reason"}...]};
 * bytes as lower-case hex, times as numbers of seconds. malloc'ed text, NULL when out of memory. The claims'
 * order is the result's. */
char *attest_result_json(const struct attest_result *r);
