/* intel_test.c: recorded TDX and SGX quotes with the collateral of their time. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "cvm-host/attest/intel.h"
#include "tests/harness/vectors.h"

#define T_2023_06 1687305600 /* 2023-06-21 */
#define T_2025_06 1750809600 /* 2025-06-25 */
#define T_2026_02 1771977600 /* 2026-02-25 */

static void phala_tdx(struct vector_input *vi)
{
	input_init(vi, ATTEST_AUTO, vector("tdx/phala/tdx_quote.bin"), T_2025_06);
	input_add_pcs(vi, "tdx/phala/tdx_quote_collateral.json");
}

static const char *text(const struct attest_result *r, const char *claim)
{
	return (const char *)attest_claim(r, claim)->bytes.data;
}

Test(intel, tdx_up_to_date)
{
	struct vector_input vi;
	struct attest_result *r;

	phala_tdx(&vi);
	cr_assert_str_eq(verdict(&vi, &r), "");
	cr_assert_eq(r->kind, ATTEST_TDX);
	cr_assert_str_eq(text(r, "intel.tcb_status"), "UpToDate");
	cr_assert_str_eq(text(r, "intel.advisories"), "");
	cr_assert(attest_claim(r, "root.pinned")->flag);
	cr_assert_eq(attest_check(r, "intel.tcb")->outcome, CHECK_PASSED);
	attest_result_free(r);
}

Test(intel, tdx_out_of_date)
{
	struct vector_input vi;
	struct attest_result *r;

	input_init(&vi, ATTEST_TDX, vector("tdx/phala/tdx_quote_outdated.bin"), T_2026_02);
	input_add_pcs(&vi, "tdx/phala/tdx_quote_outdated_collateral.json");
	cr_assert_str_eq(verdict(&vi, &r), "intel.tcb.level");
	cr_assert_str_eq(text(r, "intel.tcb_status"), "OutOfDate");
	cr_assert_eq(attest_check(r, "intel.tcb")->outcome, CHECK_FAILED);
	attest_result_free(r);
	vi.in.knobs.tcb_status = 1u << TCB_OUT_OF_DATE;
	cr_assert_str_eq(verdict(&vi, NULL), "intel.tcb.level",
			 "a platform below all levels is accepted by no knob");
}

Test(intel, sgx_configuration_and_hardening_needed)
{
	struct vector_input vi;
	struct attest_result *r;
	const char *const deny[] = {"INTEL-SA-00289"};

	input_init(&vi, ATTEST_AUTO, vector("sgx/phala/sgx_quote.bin"), T_2025_06);
	input_add_pcs(&vi, "sgx/phala/sgx_quote_collateral.json");
	cr_assert_str_eq(verdict(&vi, &r), "intel.tcb");
	cr_assert_eq(r->kind, ATTEST_SGX);
	cr_assert_str_eq(text(r, "intel.tcb_status"), "ConfigurationAndSWHardeningNeeded");
	cr_assert_str_eq(text(r, "intel.advisories"), "INTEL-SA-00289,INTEL-SA-00615");
	attest_result_free(r);
	vi.in.knobs.tcb_status = 1u << TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED;
	cr_assert_str_eq(verdict(&vi, &r), "");
	cr_assert_eq(attest_check(r, "intel.tcb")->outcome, CHECK_WAIVED);
	attest_result_free(r);
	vi.in.knobs.denied_advisories = deny;
	vi.in.knobs.denied_advisory_count = 1;
	cr_assert_str_eq(verdict(&vi, NULL), "intel.advisories");
	vi.in.kind = ATTEST_TDX;
	cr_assert_str_eq(verdict(&vi, NULL), "intel.kind");
}

Test(intel, what_follows_a_quote)
{
	struct attest_bytes b = vector("tdx/google/quote_v4.bin");
	struct vector_input vi;

	input_init(&vi, ATTEST_TDX, b, T_2023_06);
	vi.in.knobs.allow_missing_crl = true;
	cr_assert_str_eq(verdict(&vi, NULL), "intel.format", "a line of text follows this one");
	vi.in.evidence.size = 4935;
	cr_assert_str_eq(verdict(&vi, NULL), "intel.pcs", "genuine; without collateral");
	input_init(&vi, ATTEST_TDX, vector("tdx/google/ccel/cos-113-tdx-quote.dat"), T_2026_02);
	vi.in.knobs.allow_missing_crl = true;
	cr_assert_str_eq(verdict(&vi, NULL), "intel.pcs", "zeros may follow");
}

/* Signature chains of quotes whose collateral nobody recorded: all is well up to the missing collateral. */
Test(intel, recorded_quotes_are_genuine)
{
	static const struct {
		const char *path, *first;
	} cases[] = {
		{"tdx/google/quote_v5.bin", "intel.pcs"},
		{"tdx/google/ccel/cos-113-tdx-quote.dat", "intel.pcs"},
		{"tdx/trustee/tdx_quote_4.dat", "tdx.debug"},
		{"tdx/trustee/tdx_quote_5.dat", "tdx.migration"}, /* a service TD */
		{"tdx/trustee/tdx_quote_6.dat", "intel.pcs"},
		{"sgx/occlum_quote.dat", "sgx.debug"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vector_input vi;
		struct attest_result *r;
		const struct attest_check *c;

		input_init(&vi, ATTEST_AUTO, vector(cases[i].path), T_2026_02);
		vi.in.knobs.allow_missing_crl = true;
		cr_assert_str_eq(verdict(&vi, &r), cases[i].first, "%s: %s", cases[i].path,
				 attest_first_failure(r)->reason);
		c = attest_check(r, "intel.qe.signature");
		cr_assert(c && c->outcome == CHECK_PASSED, "%s", cases[i].path);
		cr_assert_eq(attest_check(r, "intel.signature")->outcome, CHECK_PASSED);
		attest_result_free(r);
	}
}

Test(intel, windows_and_lists)
{
	struct vector_input vi;
	uint8_t ppid[16];
	struct attest_bytes list = {ppid, 16};
	struct attest_result *r;

	phala_tdx(&vi);
	vi.in.now = 1752920000; /* 2025-07-19, after nextUpdate */
	cr_assert_str_eq(verdict(&vi, NULL), "intel.pck.crl");
	vi.in.now = 1750300000; /* 2025-06-19 02:26, before issueDate */
	cr_assert_str_eq(verdict(&vi, NULL), "intel.pck.crl");
	phala_tdx(&vi);
	vi.in.knobs.min_tcb_evaluation = 18;
	cr_assert_str_eq(verdict(&vi, NULL), "intel.tcb_info");
	phala_tdx(&vi);
	cr_assert_str_eq(verdict(&vi, &r), "");
	memcpy(ppid, attest_claim(r, "intel.ppid")->bytes.data, 16);
	attest_result_free(r);
	vi.in.knobs.ppids = &list;
	vi.in.knobs.ppid_count = 1;
	cr_assert_str_eq(verdict(&vi, NULL), "");
	ppid[0] ^= 1;
	cr_assert_str_eq(verdict(&vi, NULL), "intel.ppid.allowed");
	phala_tdx(&vi);
	vi.in.item_count--; /* no QE identity */
	cr_assert_str_eq(verdict(&vi, NULL), "intel.pcs");
	phala_tdx(&vi);
	input_add_pcs(&vi, "tdx/phala/tdx_quote_collateral.json"); /* which TCB info is meant? */
	cr_assert_str_eq(verdict(&vi, NULL), "intel.pcs");
	phala_tdx(&vi);
	vi.items[4].bytes = vector("tdx/google/tcb_info_v5.json"); /* genuine, of another platform and time */
	cr_assert_str_eq(verdict(&vi, NULL), "intel.tcb_info");
}

Test(intel, statuses_merge_to_the_worst)
{
	struct tcb_state a = {.configuration = true}, b = {.out_of_date = true}, c = {.sw_hardening = true},
			 all = {0};

	cr_assert_eq(tcb_status(&all), TCB_UP_TO_DATE);
	tcb_merge(&all, &c);
	cr_assert_eq(tcb_status(&all), TCB_SW_HARDENING_NEEDED);
	tcb_merge(&all, &a);
	cr_assert_eq(tcb_status(&all), TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED);
	tcb_merge(&all, &b);
	cr_assert_eq(tcb_status(&all), TCB_OUT_OF_DATE_CONFIGURATION_NEEDED);
	all.revoked = true;
	cr_assert_eq(tcb_status(&all), TCB_REVOKED);
	all.unrecognized = true;
	cr_assert_eq(tcb_status(&all), TCB_UNRECOGNIZED);
}

/* All bits take minutes: FLIP_STEP=1 tries them, by default it is every 11th (all bit positions over 8 bytes).
 */
static size_t flip_step(void)
{
	const char *step = getenv("FLIP_STEP");

	return step && *step >= '1' && *step <= '9' ? (size_t)(*step - '0') : 11;
}

Test(intel, bits_of_the_quote_count, .timeout = 300)
{
	struct vector_input vi;
	uint8_t *p;
	size_t bit = 0;

	phala_tdx(&vi);
	p = vector_copy(vi.in.evidence);
	vi.in.evidence.data = p;
	cr_assert_str_eq(verdict(&vi, NULL), "");
	cr_assert_eq(flips_accepted(&vi, p, vi.in.evidence.size, flip_step(), &bit), 0, "bit %zu", bit);
}

Test(intel, bits_of_the_collateral_count, .timeout = 300)
{
	struct vector_input vi;
	size_t bit = 0;

	phala_tdx(&vi);
	for (size_t i = 0; i < vi.in.item_count; i++) {
		uint8_t *p = vector_copy(vi.items[i].bytes);

		vi.items[i].bytes.data = p;
		cr_assert_eq(flips_accepted(&vi, p, vi.items[i].bytes.size, flip_step(), &bit), 0,
			     "item %zu bit %zu", i, bit);
	}
}
