/* tpm_test.c: recorded vTPM and TPM quotes, event logs. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "cvm-host/attest/eventlog.h"
#include "cvm-host/hex.h"
#include "tests/harness/vectors.h"

#define T_2025_06 1748736000
#define T_2026_02 1771977600

static struct attest_bytes any64(const char *text)
{
	size_t n = strlen(text), m = 0;
	char *padded = calloc(1, n + 5);
	uint8_t *out = malloc(n + 4);
	int size;

	for (size_t i = 0; i < n; i++)
		padded[m++] = text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i];
	while (m % 4)
		padded[m++] = '=';
	size = EVP_DecodeBlock(out, (const uint8_t *)padded, (int)m);
	cr_assert(size > 0);
	for (size_t i = m; i > 0 && padded[i - 1] == '='; i--)
		size--;
	return (struct attest_bytes){out, (size_t)size};
}

static struct attest_bytes from_hex(const char *text)
{
	uint8_t *out = malloc(strlen(text) / 2);
	ssize_t n = hex_decode(text, out, strlen(text) / 2);

	cr_assert(n > 0);
	return (struct attest_bytes){out, (size_t)n};
}

static const char *text(const json_t *j, const char *name)
{
	return json_string_value(json_object_get(j, name));
}

static struct attest_bytes pcr_values(const json_t *list)
{
	uint8_t *out = malloc(json_array_size(list) * 32);

	for (size_t i = 0; i < json_array_size(list); i++)
		cr_assert_eq(hex_decode(json_string_value(json_array_get(list, i)), out + i * 32, 32), 32);
	return (struct attest_bytes){out, json_array_size(list) * 32};
}

static void azure(struct vector_input *vi, const char *path, int64_t now)
{
	struct attest_bytes b = vector(path);
	json_t *j = json_loadb(b.data, b.size, 0, NULL), *q = json_object_get(j, "tpm_quote");

	cr_assert(j && q);
	input_init(vi, ATTEST_AUTO, any64(text(j, "hcl_report")), now);
	input_add(vi, ITEM_TPM_QUOTE, from_hex(text(q, "message")));
	input_add(vi, ITEM_TPM_SIGNATURE, from_hex(text(q, "signature")));
	input_add(vi, ITEM_TPM_PCRS, pcr_values(json_object_get(q, "pcrs")));
	if (text(j, "vcek"))
		input_add(vi, ITEM_CERTS, any64(text(j, "vcek")));
	if (text(j, "td_quote"))
		input_add(vi, ITEM_TD_QUOTE, any64(text(j, "td_quote")));
	vi->in.knobs.allow_missing_crl = true;
	vi->in.knobs.allow_milan_vcek = true;
}

Test(azure, snp)
{
	static const char *const paths[] = {"vtpm/az-snp/evidence-v1.json", "vtpm/az-snp/evidence-v2.json"};

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		struct vector_input vi;
		struct attest_result *r;
		uint8_t *p;
		size_t bit = 0;

		azure(&vi, paths[i], T_2026_02);
		cr_assert_str_eq(verdict(&vi, &r), "", "%s: %s", paths[i],
				 attest_first_failure(r) ? attest_first_failure(r)->reason : "");
		cr_assert_eq(r->kind, ATTEST_AZ_SNP);
		cr_assert(attest_claim(r, "tpm.pcr.sha256.4"));
		cr_assert_str_eq((char *)attest_claim(r, "tpm.ak_source")->bytes.data, "hcl");
		attest_result_free(r);
		vi.in.knobs.allow_missing_crl = false;
		cr_assert_str_eq(verdict(&vi, NULL), "snp.crl");
		vi.in.knobs.allow_missing_crl = true;
		vi.in.challenge = (struct attest_bytes){"challengf", 9};
		cr_assert_str_eq(verdict(&vi, NULL), "challenge");
		vi.in.challenge.data = NULL;
		p = vector_copy(vi.in.evidence);
		vi.in.evidence.data = p;
		cr_assert_eq(flips_accepted(&vi, p, vi.in.evidence.size, 5, &bit), 0, "bit %zu", bit);
		for (size_t n = 0; n < 3; n++) {
			uint8_t *item = vector_copy(vi.items[n].bytes);

			vi.items[n].bytes.data = item;
			cr_assert_eq(flips_accepted(&vi, item, vi.items[n].bytes.size, 5, &bit), 0,
				     "item %zu bit %zu", n, bit);
		}
	}
}

Test(azure, tdx_up_to_its_collateral)
{
	struct vector_input vi;
	struct attest_result *r;

	azure(&vi, "vtpm/az-tdx/evidence-v1.json", T_2026_02);
	cr_assert_str_eq(verdict(&vi, &r), "intel.pcs", "nobody recorded this platform's collateral");
	cr_assert_eq(r->kind, ATTEST_AZ_TDX);
	cr_assert_eq(attest_check(r, "intel.signature")->outcome, CHECK_PASSED);
	cr_assert_eq(attest_check(r, "azure.binding")->outcome, CHECK_PASSED);
	cr_assert_eq(attest_check(r, "tpm.signature")->outcome, CHECK_PASSED);
	cr_assert_eq(attest_check(r, "tpm.pcrs")->outcome, CHECK_PASSED);
	attest_result_free(r);
}

Test(azure, quote_of_another_key)
{
	struct vector_input vi;

	input_init(&vi, ATTEST_AUTO, vector("vtpm/az-snp/hcl-report.bin"), T_2026_02);
	input_add(&vi, ITEM_CERTS, vector("vtpm/az-snp/vcek.pem"));
	vi.in.knobs.allow_missing_crl = vi.in.knobs.allow_milan_vcek = vi.in.knobs.allow_provisional = true;
	cr_assert_str_eq(verdict(&vi, NULL), "azure.vtpm");
	input_add(&vi, ITEM_TPM_QUOTE, vector("vtpm/az-snp/tpm-quote.msg"));
	input_add(&vi, ITEM_TPM_SIGNATURE, vector("vtpm/az-snp/tpm-quote.sig"));
	cr_assert_str_eq(verdict(&vi, NULL), "tpm.signature");
}

Test(tpm, plain_quote)
{
	struct attest_bytes b = vector("vtpm/tpm_evidence.json");
	json_t *j = json_loadb(b.data, b.size, 0, NULL), *q = json_object_get(j, "tpm_quote");
	struct vector_input vi;
	struct attest_result *r;
	char pem[1024];
	uint8_t *p;
	size_t bit = 0;

	input_init(&vi, ATTEST_AUTO, any64(text(q, "message")), T_2026_02);
	input_add(&vi, ITEM_TPM_SIGNATURE, any64(text(q, "signature")));
	snprintf(pem, sizeof(pem), "-----BEGIN PUBLIC KEY-----\n");
	for (size_t i = 0; i < strlen(text(j, "ak_public")); i += 64)
		snprintf(pem + strlen(pem), sizeof(pem) - strlen(pem), "%.64s\n", text(j, "ak_public") + i);
	snprintf(pem + strlen(pem), sizeof(pem) - strlen(pem), "-----END PUBLIC KEY-----\n");
	input_add(&vi, ITEM_TPM_AK, (struct attest_bytes){pem, strlen(pem)});
	cr_assert_str_eq(verdict(&vi, &r), "", "%s",
			 attest_first_failure(r) ? attest_first_failure(r)->reason : "");
	cr_assert_eq(r->kind, ATTEST_TPM);
	cr_assert_not(attest_claim(r, "root.pinned")->flag);
	attest_result_free(r);
	input_add(&vi, ITEM_TPM_PCRS, pcr_values(json_object_get(q, "pcrs")));
	cr_assert_str_eq(verdict(&vi, NULL), "");
	p = vector_copy(vi.in.evidence);
	vi.in.evidence.data = p;
	vi.in.kind = ATTEST_TPM;
	cr_assert_eq(flips_accepted(&vi, p, vi.in.evidence.size, 1, &bit), 0, "bit %zu", bit);
	vi.in.item_count = 1;
	cr_assert_str_eq(verdict(&vi, NULL), "tpm.ak");
}

Test(eventlog, ccel_replays_to_the_quoted_rtmrs)
{
	struct attest_bytes log = vector_gunzip("tdx/google/ccel/ccel_data.dat.gz");
	struct vector_input vi;
	struct attest_result *r;
	uint8_t *p = vector_copy(log);

	input_init(&vi, ATTEST_TDX, vector("tdx/google/ccel/cos-113-tdx-quote.dat"), T_2026_02);
	input_add(&vi, ITEM_CCEL, log);
	vi.in.knobs.allow_missing_crl = true;
	cr_assert_str_eq(verdict(&vi, &r), "intel.pcs");
	cr_assert_str_eq((char *)attest_claim(r, "eventlog.matched")->bytes.data, "rtmr0,rtmr1,rtmr2,rtmr3");
	attest_result_free(r);
	p[0x41 + 0x20] ^= 1; /* in the first event's digest */
	vi.items[0].bytes.data = p;
	cr_assert(strncmp(verdict(&vi, NULL), "eventlog.", 9) == 0);
	vi.in.evidence = vector("tdx/google/quote_v5.bin");
	vi.items[0].bytes = log;
	cr_assert_str_eq(verdict(&vi, NULL), "eventlog.replay", "the log of another guest");
}

/* Each recorded log replays; what they replay to is checked by the values' use elsewhere and by two known ones
 * here. */
Test(eventlog, recorded_logs)
{
	static const struct {
		const char *path;
		uint16_t alg;
		size_t at_least;
	} logs[] = {
		{"vtpm/eventlogs/debian-10.bin.gz", TPM_SHA1, 25},
		{"vtpm/eventlogs/ubuntu-2404-amd-sevsnp.bin.gz", TPM_SHA256, 50},
		{"vtpm/eventlogs/cos-101-amd-sev.bin.gz", TPM_SHA256, 48},
		{"tdx/trustee/CCEL_data.gz", TPM_SHA384, 5},
		{"tdx/trustee/CCEL_data_ovmf.gz", TPM_SHA384, 10},
		{"tdx/trustee/CCEL_AAEL_alibabacloud.gz", TPM_SHA384, 10},
	};

	for (size_t i = 0; i < ARRAY_SIZE(logs); i++) {
		struct attest_bytes log = vector_gunzip(logs[i].path);
		struct registers r, none;

		cr_assert_eq(eventlog_replay(log.data, log.size, logs[i].alg, &r), 0, "%s", logs[i].path);
		cr_assert_geq(r.events, logs[i].at_least, "%s", logs[i].path);
		cr_assert_neq(eventlog_replay(log.data, log.size, TPM_SHA512, &none), 0);
		for (size_t n = 0; n < log.size; n += 97) { /* cut anywhere: no crash, and never more events */
			struct registers cut;

			if (eventlog_replay(log.data, n, logs[i].alg, &cut) == 0)
				cr_assert_leq(cut.events, r.events);
		}
	}
}
