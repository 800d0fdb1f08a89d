/* intel.h: Intel quotes (DCAP ECDSA, versions 3, 4 and 5) and the collateral of Intel's provisioning service.
 */
#pragma once

#include <jansson.h>

#include "cvm-host/attest/cert.h"

#define SGX_BODY_SIZE  384u
#define TD10_BODY_SIZE 584u
#define TD15_BODY_SIZE 648u
#define QE_REPORT_SIZE 384u
#define TCB_COMPONENTS 16

/* Offsets in a TD report body ("TD Quote Body", Intel TDX DCAP Quoting Library API, A.3.2). */
enum {
	TD_TEE_TCB_SVN = 0x00,
	TD_MRSEAM = 0x10,
	TD_MRSIGNERSEAM = 0x40,
	TD_SEAM_ATTRIBUTES = 0x70,
	TD_ATTRIBUTES = 0x78,
	TD_XFAM = 0x80,
	TD_MRTD = 0x88,
	TD_MRCONFIGID = 0xb8,
	TD_MROWNER = 0xe8,
	TD_MROWNERCONFIG = 0x118,
	TD_RTMR0 = 0x148,
	TD_REPORT_DATA = 0x208,
	TD_TEE_TCB_SVN2 = 0x248,
	TD_MRSERVICETD = 0x258,
};
/* Offsets in an SGX report body. */
enum {
	SGX_CPUSVN = 0,
	SGX_MISCSELECT = 16,
	SGX_ATTRIBUTES = 48,
	SGX_MRENCLAVE = 64,
	SGX_MRSIGNER = 128,
	SGX_ISVPRODID = 256,
	SGX_ISVSVN = 258,
	SGX_REPORT_DATA = 320,
};

/* A quote taken apart; every pointer is into the quote. */
struct quote {
	uint16_t version;
	bool td;   /* else an SGX enclave's */
	bool td15; /* body of TDX 1.5 */
	const uint8_t *start;
	size_t signed_size; /* from the start: header and body */
	const uint8_t *body;
	const uint8_t *signature; /* 64 */
	const uint8_t *key;	  /* attestation key, x || y */
	const uint8_t *qe_report; /* QE_REPORT_SIZE */
	const uint8_t *qe_signature;
	const uint8_t *auth;
	size_t auth_size;
	const char *pem; /* the PCK chain */
	size_t pem_size;
};
/* Adds the check "intel.format". Zeros may follow the quote, nothing else. */
MUST_CHECK bool quote_parse(struct verify *v, const struct attest_bytes *b, struct quote *out);

/* Intel's extension of a PCK certificate (Intel SGX PCK Certificate and CRL Profile Specification). */
struct pck {
	uint8_t ppid[16], cpu_svn[16], pceid[2], fmspc[6], piid[16];
	bool has_piid;
	uint8_t svn[TCB_COMPONENTS];
	uint16_t pce_svn;
};
/* -EINVAL when anything required is missing, twice, or of another size. */
MUST_CHECK int pck_parse(X509 *cert, struct pck *out);

/* A status as Intel composes it; merging takes the worst of everything. */
struct tcb_state {
	bool sw_hardening, configuration, relaunch, out_of_date, revoked, unrecognized;
	bool below_all; /* reaches none of the levels: out of date, and never acceptable */
};
void tcb_merge(struct tcb_state *into, const struct tcb_state *other);
enum attest_tcb_status tcb_status(const struct tcb_state *s);

#define ADVISORIES_MAX 64
struct advisories {
	const char *id[ADVISORIES_MAX]; /* borrowed from the JSON */
	size_t count;
};

/* One signed statement of the service: its text without the wrapper, parsed. */
struct statement {
	json_t *json;
	int64_t issued, next_update;
	uint32_t evaluation;
};
/* {"MEMBER":{...},"signature":"hex"}: signature by `key` over the member's bytes, then the parse. Adds the
 * check `name`. */
MUST_CHECK bool statement_read(struct verify *v, const char *name, const struct attest_bytes *b,
			       const char *member, EVP_PKEY *key, struct statement *out);
void statement_free(struct statement *s);

/* What TCB info says of a platform with this PCK certificate; `tee_tcb_svn` NULL for SGX. Each false with a
 * reason in the check that it adds. */
MUST_CHECK bool tcb_info_platform(struct verify *v, const struct statement *info, const struct pck *pck,
				  const uint8_t *tee_tcb_svn, struct tcb_state *state, struct advisories *adv,
				  int64_t *date);
MUST_CHECK bool tcb_info_module(struct verify *v, const struct statement *info, const uint8_t *body,
				const uint8_t *tee_tcb_svn, struct tcb_state *state, struct advisories *adv);
MUST_CHECK bool qe_identity_check(struct verify *v, const struct statement *id, const uint8_t *qe_report,
				  bool td, struct tcb_state *state, struct advisories *adv);

/* Verifiers. `check_report_data` false leaves REPORT_DATA to the caller. */
void intel_verify_quote(struct verify *v, const struct attest_bytes *evidence, bool check_report_data);
void intel_verify(struct verify *v, const struct attest_bytes *evidence);
