/* snp_test.c: recorded reports of Milan, Genoa and Turin; forged ones for what nobody has recorded. */
#include <criterion/criterion.h>
#include <string.h>

#include "platform/base/bytes.h"
#include "tests/harness/forge.h"
#include "tests/harness/vectors.h"

#define T_2025_06 1748736000 /* 2025-06-01: the recorded VLEKs were valid */
#define T_2026_07 1782864000 /* 2026-07-01 */

static void recorded(struct vector_input *vi, const char *report, const char *leaf, int64_t now)
{
	input_init(vi, ATTEST_AUTO, vector(report), now);
	input_add(vi, ITEM_CERTS, vector(leaf));
	vi->in.knobs.allow_missing_crl = true;
	vi->in.knobs.allow_milan_vcek = true;
}

Test(snp, recorded_reports_verify)
{
	static const struct {
		const char *report, *leaf, *product;
		int64_t now;
		uint64_t version;
	} cases[] = {
		{"snp/milan-ms/report.bin", "snp/milan-ms/vcek.pem", "Milan", T_2026_07, 3},
		{"snp/genoa-ms/report.bin", "snp/genoa-ms/vcek.pem", "Genoa", T_2026_07, 3},
		{"snp/turin-ms/report.bin", "snp/turin-ms/vcek.pem", "Turin", T_2026_07, 5},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vector_input vi;
		struct attest_result *r;

		recorded(&vi, cases[i].report, cases[i].leaf, cases[i].now);
		cr_assert_str_eq(verdict(&vi, &r), "", "%s", cases[i].report);
		cr_assert_eq(r->kind, ATTEST_SNP);
		cr_assert_str_eq((char *)attest_claim(r, "snp.product")->bytes.data, cases[i].product);
		cr_assert_eq(attest_claim(r, "snp.version")->number, cases[i].version);
		cr_assert(attest_claim(r, "root.pinned")->flag);
		attest_result_free(r);
		vi.in.knobs.allow_missing_crl = false;
		cr_assert_str_eq(verdict(&vi, NULL), "snp.crl");
	}
}

Test(snp, recorded_refusals)
{
	struct vector_input vi;

	recorded(&vi, "snp/milan-google/report.bin", "snp/milan-google/vcek.der", T_2025_06);
	cr_assert_str_eq(verdict(&vi, NULL), "snp.debug");
	vi.in.knobs.allow_debug = true;
	cr_assert_str_eq(verdict(&vi, NULL), "");
	recorded(&vi, "snp/milan-trustee/report.bin", "snp/milan-trustee/vcek.der", T_2025_06);
	cr_assert_str_eq(verdict(&vi, NULL), "snp.tcb.provisional");
	vi.in.knobs.allow_provisional = true;
	cr_assert_str_eq(verdict(&vi, NULL), "");
	vi.in.knobs.allow_milan_vcek = false;
	cr_assert_str_eq(verdict(&vi, NULL), "snp.product.trusted");
	recorded(&vi, "snp/milan-trustee/report.bin", "snp/milan-trustee/vcek-invalid-legacy.der", T_2025_06);
	cr_assert_str_eq(verdict(&vi, NULL), "snp.chain");
	recorded(&vi, "snp/milan-trustee/report.bin", "snp/milan-trustee/vcek-invalid-new.der", T_2025_06);
	cr_assert_str_eq(verdict(&vi, NULL), "snp.chain");
	recorded(&vi, "snp/milan-vlek-trustee/report.bin", "snp/milan-vlek-trustee/vlek.der", T_2025_06);
	vi.in.knobs.allow_milan_vcek = false; /* this is no VCEK */
	cr_assert_str_eq(verdict(&vi, NULL), "snp.tcb.provisional", "AWS ran microcode 220 with 219 committed");
	vi.in.knobs.allow_provisional = true;
	cr_assert_str_eq(verdict(&vi, NULL), "snp.vmpl");
	vi.in.knobs.max_vmpl = 1;
	cr_assert_str_eq(verdict(&vi, NULL), "");
	vi.in.now = T_2026_07;
	cr_assert_str_eq(verdict(&vi, NULL), "snp.chain", "the VLEK has expired");
}

Test(snp, milan_dstack_is_genuine_and_answers_its_challenge)
{
	struct vector_input vi;
	struct attest_result *r;

	recorded(&vi, "snp/milan-dstack/report.bin", "snp/milan-dstack/vcek.pem", T_2026_07);
	vi.in.challenge = (struct attest_bytes){"attest-test-fixture-2026", 24};
	cr_assert_str_eq(verdict(&vi, &r), "");
	cr_assert_eq(attest_check(r, "challenge")->outcome, CHECK_PASSED);
	cr_assert_eq(attest_check(r, "snp.product.trusted")->outcome, CHECK_WAIVED);
	attest_result_free(r);
	vi.in.challenge = (struct attest_bytes){"attest-test-fixture-2025", 24};
	cr_assert_str_eq(verdict(&vi, NULL), "challenge");
	vi.in.challenge = (struct attest_bytes){"attest-test-fixture-202", 23};
	cr_assert_str_eq(verdict(&vi, NULL), "challenge", "a prefix is no answer");
}

static void forged_input(struct vector_input *vi, const struct forged_snp *s)
{
	input_init(vi, ATTEST_SNP, (struct attest_bytes){s->report, sizeof(s->report)}, FORGE_NOW);
	input_add(vi, ITEM_ROOT, s->ark_der);
	input_add(vi, ITEM_CERTS, s->ask_der);
	input_add(vi, ITEM_CERTS, s->vcek_der);
	input_add(vi, ITEM_CRL, s->crl);
}

static const uint8_t no_data[64];

Test(snp, forged_is_accepted_only_with_its_root)
{
	static struct forged_snp s;
	struct vector_input vi;
	struct attest_result *r;

	forge_snp(&s, no_data);
	forged_input(&vi, &s);
	cr_assert_str_eq(verdict(&vi, &r), "");
	cr_assert_not(attest_claim(r, "root.pinned")->flag);
	attest_result_free(r);
	vi.items[0].kind = ITEM_CERTS;
	cr_assert_str_eq(verdict(&vi, NULL), "snp.chain");
}

Test(snp, revocation)
{
	static struct forged_snp s;
	struct vector_input vi;
	struct forged other;

	forge_snp(&s, no_data);
	forged_input(&vi, &s);
	vi.items[3].bytes = forge_crl(&s.ark, FORGE_NOW - 1000, FORGE_NOW + 1000, s.ask.cert);
	cr_assert_str_eq(verdict(&vi, NULL), "snp.crl");
	vi.in.knobs.allow_missing_crl = true;
	cr_assert_str_eq(verdict(&vi, NULL), "snp.crl", "revoked is not missing");
	vi.in.knobs.allow_missing_crl = false;
	vi.items[3].bytes = forge_crl(&s.ark, FORGE_NOW - 1000, FORGE_NOW - 1, NULL);
	cr_assert_str_eq(verdict(&vi, NULL), "snp.crl", "expired");
	vi.items[3].bytes = forge_crl(&s.ark, FORGE_NOW + 1, FORGE_NOW + 1000, NULL);
	cr_assert_str_eq(verdict(&vi, NULL), "snp.crl", "from the future");
	vi.items[3].bytes = forge_crl(&s.ark, FORGE_NOW - 1000, 0, NULL);
	cr_assert_str_eq(verdict(&vi, NULL), "snp.crl", "without a next update");
	vi.items[3].bytes = forge_crl(&s.ask, FORGE_NOW - 1000, FORGE_NOW + 1000, NULL);
	cr_assert_str_eq(verdict(&vi, NULL), "snp.crl", "another issuer's");
	other = forge_cert("ARK-Genoa", "P-256", NULL, true);
	vi.items[3].bytes = forge_crl(&other, FORGE_NOW - 1000, FORGE_NOW + 1000, NULL);
	cr_assert_str_eq(verdict(&vi, NULL), "snp.crl", "of the same name but another key");
}

static const char *changed(size_t at, uint8_t value, struct attest_knobs knobs)
{
	static struct forged_snp s;
	struct vector_input vi;

	if (!s.ark.cert)
		forge_snp(&s, no_data);
	else
		forge_snp_sign(&s);
	uint8_t old = s.report[at];

	s.report[at] = value;
	forge_snp_sign(&s);
	forged_input(&vi, &s);
	vi.in.knobs = knobs;
	const char *ret = verdict(&vi, NULL);

	s.report[at] = old;
	return ret;
}

Test(snp, well_signed_reports_that_say_the_wrong_thing)
{
	struct attest_knobs none = {0}, min = {.has_min_tcb = true, .min_tcb = {10, 1, 23, 84, 0}}, k;
	uint8_t chip[64];
	struct attest_bytes list = {chip, 64};

	cr_assert_str_eq(changed(0x90, 1, none), "");
	cr_assert_str_eq(changed(0x0a, 0x0b, none), "snp.debug");
	cr_assert_str_eq(changed(0x0a, 0x07, none), "snp.migration");
	cr_assert_str_eq(changed(0x0a, 0x01, none), "snp.format", "bit 17 of the policy");
	cr_assert_str_eq(changed(0x0f, 0x80, none), "snp.format", "reserved policy bit");
	cr_assert_str_eq(changed(0x30, 1, none), "snp.vmpl");
	cr_assert_str_eq(changed(0x34, 2, none), "snp.format");
	cr_assert_str_eq(changed(0x48, 1 << 2, none), "snp.leaf", "VLEK signer without a VLEK");
	cr_assert_str_eq(changed(0x48, 7 << 2, none), "snp.format", "signed by nothing");
	cr_assert_str_eq(changed(0x00, 6, none), "snp.format");
	cr_assert_str_eq(changed(0x188, 0x1a, none), "snp.product");
	cr_assert_str_eq(changed(0x1a0, 0, none), "snp.leaf.chip_id");
	cr_assert_str_eq(changed(0x180, 9, none), "snp.leaf.tcb");
	cr_assert_str_eq(changed(0x1e0, 11, none), "snp.tcb.order");
	cr_assert_str_eq(changed(0x1e0, 9, none), "snp.tcb.provisional");
	cr_assert_str_eq(changed(0x90, 0, min), "");
	cr_assert_str_eq(changed(0x1f0, 9, min), "snp.tcb.minimum", "launched on older firmware");
	k = min;
	k.min_tcb.snp = 24;
	cr_assert_str_eq(changed(0x90, 0, k), "snp.tcb.minimum");
	k = none;
	k.chip_ids = &list;
	k.chip_id_count = 1;
	memset(chip, 0x5c, 64);
	cr_assert_str_eq(changed(0x90, 0, k), "");
	chip[63] = 0;
	cr_assert_str_eq(changed(0x90, 0, k), "snp.chip_id.allowed");
}

Test(snp, every_bit_counts, .timeout = 120)
{
	static struct forged_snp s;
	struct vector_input vi;
	size_t bit = 0;

	forge_snp(&s, no_data);
	forged_input(&vi, &s);
	vi.in.challenge = (struct attest_bytes){no_data, 64};
	cr_assert_str_eq(verdict(&vi, NULL), "");
	cr_assert_eq(flips_accepted(&vi, s.report, sizeof(s.report), 1, &bit), 0, "report bit %zu", bit);
	/* every third bit: all bytes, and all positions over three of them. All but item 0: the trust anchor is
	 * the relying party's own, not collateral */
	for (size_t i = 1; i < vi.in.item_count; i++) {
		uint8_t *p = vector_copy(vi.items[i].bytes);

		vi.items[i].bytes.data = p;
		cr_assert_eq(flips_accepted(&vi, p, vi.items[i].bytes.size, 3, &bit), 0, "item %zu bit %zu", i,
			     bit);
	}
}

Test(snp, every_bit_of_pem_counts, .timeout = 120)
{
	struct vector_input vi;
	struct attest_bytes pem = vector("snp/turin-ms/vcek.pem");
	uint8_t *p = vector_copy(pem);
	size_t bit = 0;

	recorded(&vi, "snp/turin-ms/report.bin", "snp/turin-ms/vcek.pem", T_2026_07);
	vi.items[0].bytes.data = p;
	cr_assert_str_eq(verdict(&vi, NULL), "");
	cr_assert_eq(flips_accepted(&vi, p, pem.size, 3, &bit), 0, "bit %zu", bit);
}

Test(snp, cut_short)
{
	struct vector_input vi;

	recorded(&vi, "snp/turin-ms/report.bin", "snp/turin-ms/vcek.pem", T_2026_07);
	vi.in.kind = ATTEST_SNP;
	for (size_t n = 1; n < 0x4a0; n += 37) {
		vi.in.evidence.size = n;
		cr_assert_str_eq(verdict(&vi, NULL), "snp.format");
	}
	vi.in.evidence.size = 0;
	cr_assert_str_neq(verdict(&vi, NULL), "");
	vi.in.now = 0;
	cr_assert_str_eq(verdict(&vi, NULL), "input", "no clock");
}
