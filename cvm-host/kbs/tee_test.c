/* tee_test.c: CoCo's JSON form of an SNP report becomes the bytes that the processor signed; sample evidence;
 * init data. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cvm-host/kbs/snp_json.h"
#include "cvm-host/kbs/tee.h"
#include "platform/base/bytes.h"
#include "tests/harness/vectors.h"

/* A report's JSON with counting bytes in every field. */
static json_t *counting(size_t size, int start)
{
	json_t *v = json_array();

	for (size_t i = 0; i < size; i++)
		json_array_append_new(v, json_integer((json_int_t)((unsigned)start + i) & 255));
	return v;
}

static json_t *tcb(int base, bool fmc)
{
	return json_pack("{so si si si si}", "fmc", fmc ? json_integer(base + 4) : json_null(), "bootloader",
			 base, "tee", base + 1, "snp", base + 2, "microcode", base + 3);
}

static json_t *report_json(bool turin)
{
	json_t *r = json_pack("{si si sI si si si si si si si}", "version", 3, "guest_svn", 9, "policy",
			      (json_int_t)196608, "vmpl", 1, "sig_algo", 1, "plat_info", 37, "key_info", 4,
			      "cpuid_fam_id", 25, "cpuid_mod_id", 160, "cpuid_step", 2);
	static const struct {
		const char *name;
		size_t size;
	} parts[] = {
		{"family_id", 16},    {"image_id", 16},	     {"report_data", 64},	{"measurement", 48},
		{"host_data", 32},    {"id_key_digest", 48}, {"author_key_digest", 48}, {"report_id", 32},
		{"report_id_ma", 32}, {"chip_id", 64}};

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		json_object_set_new(r, parts[i].name, counting(parts[i].size, (int)i * 10));
	json_object_set_new(r, "current_tcb", tcb(10, turin));
	json_object_set_new(r, "reported_tcb", tcb(20, turin));
	json_object_set_new(r, "committed_tcb", tcb(30, turin));
	json_object_set_new(r, "launch_tcb", tcb(40, turin));
	json_object_set_new(r, "current", json_pack("{si si si}", "major", 1, "minor", 55, "build", 40));
	json_object_set_new(r, "committed", json_pack("{si si si}", "major", 1, "minor", 54, "build", 39));
	json_object_set_new(r, "signature", json_pack("{so so}", "r", counting(72, 3), "s", counting(72, 7)));
	return json_pack("{so}", "attestation_report", r);
}

Test(kbs_tee, snp_json_becomes_the_reports_bytes)
{
	for (int turin = 0; turin < 2; turin++) {
		json_t *v = report_json(turin);
		struct blob b = {0};
		const uint8_t *p;

		cr_assert_eq(snp_json_report(v, &b, NULL), 0);
		cr_assert_eq(b.size, 0x4a0u);
		p = b.data;
		cr_assert(get_le32(p) == 3 && get_le32(p + 4) == 9 && get_le64(p + 8) == 0x30000 &&
			  get_le32(p + 0x30) == 1);
		cr_assert(p[0x50] == 20 && p[0x90] == 30 && p[0xc0] == 40 && p[0x1a0] == 90 &&
			  p[0x1df] == 90 + 63);
		cr_assert(p[0x188] == 25 && p[0x189] == 160 && p[0x18a] == 2);
		cr_assert(p[0x1e8] == 40 && p[0x1e9] == 55 && p[0x1ea] == 1 && p[0x1ec] == 39);
		cr_assert(p[0x2a0] == 3 && p[0x2a0 + 72] == 7 && p[0x2a0 + 144] == 0);
		if (turin)
			cr_assert(p[0x180] == 24 && p[0x181] == 20 && p[0x182] == 21 && p[0x183] == 22 &&
				  p[0x187] == 23);
		else
			cr_assert(p[0x180] == 20 && p[0x181] == 21 && p[0x186] == 22 && p[0x187] == 23);
		json_decref(v);
		blob_free(&b);
	}
}

Test(kbs_tee, snp_json_that_is_none_is_refused)
{
	static const char *const members[] = {"version",      "policy",	   "measurement",
					      "reported_tcb", "signature", "current"};
	json_t *v = report_json(false), *r = json_object_get(v, "attestation_report");
	struct blob b = {0};

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		json_t *old = json_incref(json_object_get(r, members[i]));

		json_object_set_new(r, members[i], json_string("x"));
		cr_assert_lt(snp_json_report(v, &b, NULL), 0, "%s", members[i]);
		json_object_del(r, members[i]);
		cr_assert_lt(snp_json_report(v, &b, NULL), 0, "%s", members[i]);
		json_object_set_new(r, members[i], old);
	}
	json_array_append_new(json_object_get(r, "host_data"), json_integer(1));
	cr_assert_lt(snp_json_report(v, &b, NULL), 0, "33 bytes");
	json_array_remove(json_object_get(r, "host_data"), 32);
	json_array_set_new(json_object_get(r, "host_data"), 3, json_integer(256));
	cr_assert_lt(snp_json_report(v, &b, NULL), 0, "a byte of 256");
	json_decref(v);
	blob_free(&b);
}

Test(kbs_tee, sample_evidence_has_to_carry_the_report_data)
{
	uint8_t report[64] = {1, 2, 3};
	struct blob init = {0};
	struct tee_verdict v;
	json_t *e;

	blob_set(&init, "0123456789abcdef0123456789abcdef", 32);
	e = tee_sample_json(report, &init);
	cr_assert_eq(tee_verify("sample", e, report, 48, NULL, 1, &v, NULL), 0);
	cr_assert(v.insecure && json_is_false(json_object_get(v.claims, "sample.debug")) && v.init.size == 32);
	tee_verdict_free(&v);
	report[0]++;
	cr_assert_eq(tee_verify("sample", e, report, 48, NULL, 1, &v, NULL), -EKEYREJECTED);
	cr_assert_lt(tee_verify("snp", e, report, 48, NULL, 1, &v, NULL), 0);
	cr_assert_lt(tee_verify("nonsense", e, report, 48, NULL, 1, &v, NULL), 0);
	cr_assert_not(tee_known(TEE_DEVICE));
	json_decref(e);
	blob_free(&init);
}

Test(kbs_tee, a_guest_may_not_bring_its_own_trust)
{
	static const char *const kinds[] = {"root", "tpm-ak", "cca-key", "nonsense"};
	uint8_t report[64] = {0};
	struct tee_verdict v;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		json_t *e = json_pack("{s{ss ss s[{ss ss}]}}", "sbx-evidence", "kind", "snp", "evidence",
				      "AAAA", "items", "kind", kinds[i], "data", "AAAA");
		struct err err = {""};

		cr_assert_lt(tee_verify("snp", e, report, 48, NULL, 1, &v, &err), 0);
		cr_assert_not_null(strstr(err.text, "may not send"), "%s", err.text);
		json_decref(e);
	}
}

Test(kbs_tee, init_data_is_compared_with_what_was_measured)
{
	static const char body[] = "version = \"0.1.0\"\n";
	struct tee_verdict v = {0};
	uint8_t d[64] = {0}, got[64], pcr_in[64] = {0};
	size_t size;

	sha384_of(body, strlen(body), d);
	blob_set(&v.init, d, 32); /* HOST_DATA: cut */
	cr_assert_eq(tee_init_data("snp", &v, body, got, &size), 0);
	cr_assert(size == 48 && !memcmp(got, d, 48));
	cr_assert_lt(tee_init_data("snp", &v, "else", got, &size), 0);
	blob_set(&v.init, d, 64); /* CCA's personalization value: padded */
	cr_assert_eq(tee_init_data("cca", &v, body, got, &size), 0);
	v.init.data[60] = 1;
	cr_assert_lt(tee_init_data("cca", &v, body, got, &size), 0);
	blob_set(&v.init, d, 16);
	cr_assert_lt(tee_init_data("snp", &v, body, got, &size), 0, "too short to mean anything");
	sha256_of(body, strlen(body), pcr_in + 32);
	sha256_of(pcr_in, 64, d);
	blob_set(&v.init, d, 32); /* PCR 8 */
	cr_assert_eq(tee_init_data("insecure-sim", &v, body, got, &size), 0);
	cr_assert_lt(tee_init_data("insecure-sim", &v, "else", got, &size), 0);
	blob_free(&v.init);
}

/* A Genoa report and its VCEK as a CoCo guest sent them (tests/vectors/kbs): after the way through JSON the
 * processor's signature still verifies, and nothing but the missing freshness and revocation list is held
 * against it. */
Test(kbs_tee, a_recorded_report_in_cocos_json_verifies)
{
	struct attest_bytes text = vector("kbs/snp-evidence-e2e.json");
	struct attest_item certs = {.kind = ITEM_CERTS};
	struct attest_input in = {.kind = ATTEST_SNP, .now = 1756000000, .items = &certs, .item_count = 1};
	struct blob report = {0}, pem = {0};
	struct attest_result *r = NULL;
	struct tee_verdict v;
	uint8_t wrong[64] = {0};
	struct err e = {""};
	json_t *evidence = NULL;

	cr_assert_eq(json_read(text.data, text.size, 1 << 20, &evidence, NULL), 0);
	cr_assert_eq(snp_json_report(evidence, &report, &e), 0, "%s", e.text);
	cr_assert_eq(snp_json_certs(evidence, &pem, &e), 0, "%s", e.text);
	in.evidence = (struct attest_bytes){report.data, report.size};
	certs.bytes = (struct attest_bytes){pem.data, pem.size};
	in.knobs.allow_missing_crl = true;
	cr_assert_eq(attest_verify(&in, &r), 0);
	cr_assert(r->ok, "%s", attest_first_failure(r) ? attest_first_failure(r)->reason : "");
	cr_assert_eq(attest_check(r, "snp.signature")->outcome, CHECK_PASSED);
	attest_result_free(r);
	/* the same as a session's evidence: its report data is of another session */
	cr_assert_eq(tee_verify("snp", evidence, wrong, 48, NULL, 1756000000, &v, &e), -EKEYREJECTED);
	cr_assert_not_null(strstr(e.text, "challenge"), "%s", e.text);
	/* and of its own */
	cr_assert_eq(tee_verify("snp", evidence, report.data + 0x50, 64, NULL, 1756000000, &v, &e), 0, "%s",
		     e.text);
	cr_assert(!v.insecure && v.init.size == 32 && json_array_size(v.waived) == 1);
	cr_assert_str_eq(json_string_value(json_array_get(v.waived, 0)), "snp.crl");
	cr_assert_null(json_object_get(v.claims, "snp.report_data"));
	cr_assert_str_eq(json_string_value(json_object_get(v.claims, "snp.product")), "Genoa");
	tee_verdict_free(&v);
	json_decref(evidence);
	blob_free(&report);
	blob_free(&pem);
}
