/* policy.h: who gets which resource. A policy is a JSON document of rules; nothing is allowed that no rule
 * allows.
 *
 *   {"version":1, "name":"production",
 *    "signers":{"alice":{JWK}, "bob":{JWK}},
 *    "rules":[{"name":"web", "tee":"snp",
 *              "resources":["web/key/disk","web/tls/+"],      "+": any one last part
 *              "volumes":["web-data"],
 *              "claims":{"measurement":{"in":["ab..."]}, "tcb.snp":{"min":23}, "debug":{"is":false}},
 *              "ignore":["chip_id","report_id"],
 *              "opt-in":["snp.milan"],
 *              "manifest":{"name":"web","signers":["alice","bob"],"threshold":2,"min-svn":3},
 *              "leases":1, "lease-seconds":300}]}
 *
 * A rule accepts an attested guest when the TEE is the rule's, every claim of "claims" is there and fits, and
 * every other claim that the evidence makes is named in "ignore": a claim that the rule doesn't know refuses
 * the guest. A check of the verifier that failed and can be waived (a debuggable guest, a platform with a known
 * break, no revocation list) refuses unless "opt-in" names that check. Evidence that proves nothing (TEE
 * "sample", "insecure-sim") is accepted only by a rule that names that TEE and also says "insecure":true; then
 * it counts as not confidential everywhere. */
#pragma once

#include "cvm-host/kbs/json.h"

struct policy;

/* Checks everything that can be checked without evidence: unknown members, operators, keys and types are
 * refused. */
MUST_CHECK int policy_load(const json_t *doc, struct policy **out, struct err *e);
MUST_CHECK int policy_load_file(const char *path, struct policy **out, struct err *e);
void policy_free(struct policy *p);
const char *policy_name(const struct policy *p);

/* What is asked. All borrowed. */
struct policy_question {
	const char *tee;
	bool insecure;		/* the evidence proves nothing */
	const json_t *waived;	/* array of the names of checks that would have to be waived, or NULL */
	const json_t *claims;	/* flat object: strings, integers, booleans, arrays of strings */
	const json_t *manifest; /* the signed manifest that the evidence is bound to (manifest.h), or NULL */
	const char *resource;	/* repository/type/tag; NULL: is there any rule that accepts the guest? */
	const char *volume;	/* instead of a resource */
};

struct policy_answer {
	bool allowed;
	const char *rule; /* that allowed it; borrowed from the policy */
	int64_t leases, lease_seconds;
	bool insecure;
	bool manifest;	/* the rule checked the manifest's signatures; otherwise its words count for nothing */
	json_t *trace;	/* array of {"rule","check","ok","reason"}, in the order they were made; owned */
	char check[64]; /* the check that refused, for the guest: without what was wanted */
	char reason[240]; /* one sentence with values, for the operator: why not */
};

/* Always fills the answer. */
void policy_decide(const struct policy *p, const struct policy_question *q, struct policy_answer *out);
void policy_answer_free(struct policy_answer *a);
/* The trace for people, one line a check. To free(). */
char *policy_explain(const struct policy_answer *a);
