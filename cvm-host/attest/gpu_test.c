/* gpu_test.c: recorded measurement reports of Hopper, Blackwell and NVSwitch, and manifests. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "cvm-host/attest/ecdsa.h"
#include "cvm-host/attest/gpu.h"
#include "cvm-host/hex.h"
#include "tests/harness/vectors.h"

#define T_2024_06 1717200000
#define T_2025_06 1748736000

static struct attest_bytes hex_vector(const char *path)
{
	struct attest_bytes b = vector(path);
	char *text = calloc(1, b.size + 1);
	uint8_t *out = malloc(b.size);
	ssize_t n;

	memcpy(text, b.data, b.size);
	text[strcspn(text, "\r\n ")] = 0;
	n = hex_decode(text, out, b.size);
	cr_assert(n > 0, "%s", path);
	return (struct attest_bytes){out, (size_t)n};
}

static void gpu(struct vector_input *vi, const char *report, const char *chain, int64_t now)
{
	input_init(vi, ATTEST_AUTO, hex_vector(report), now);
	input_add(vi, ITEM_CERTS, vector(chain));
	vi->in.knobs.allow_missing_crl = vi->in.knobs.allow_no_measurement = true;
}

Test(gpu, recorded_reports)
{
	static const struct {
		const char *report, *chain, *arch;
	} cases[] = {
		{"gpu/sdk/hopperAttestationReport.txt", "gpu/sdk/hopperCertChain.txt", "HOPPER"},
		{"gpu/sdk/blackwellAttestationReport.txt", "gpu/sdk/blackwellCertChain.txt", "BLACKWELL"},
		{"gpu/sdk/switchAttestationReport.txt", "gpu/sdk/switchCertChain.txt", "NVSWITCH"},
		{"gpu/nvtrust/hopperAttestationReport.txt", "gpu/nvtrust/hopperCertChain.txt", "HOPPER"},
		{"gpu/trustee/hopperAttestationReport.txt", "gpu/trustee/hopper_cert_chain_case1.txt",
		 "HOPPER"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vector_input vi;
		struct attest_result *r;

		gpu(&vi, cases[i].report, cases[i].chain, T_2025_06);
		cr_assert_str_eq(verdict(&vi, &r), "", "%s: %s", cases[i].report,
				 attest_first_failure(r) ? attest_first_failure(r)->reason : "");
		cr_assert_eq(r->kind, ATTEST_GPU);
		cr_assert_str_eq((char *)attest_claim(r, "gpu.arch")->bytes.data, cases[i].arch);
		cr_assert(attest_claim(r, "root.pinned")->flag);
		attest_result_free(r);
		vi.in.knobs.allow_missing_crl = false;
		cr_assert_str_eq(verdict(&vi, NULL), "gpu.ocsp");
		vi.in.knobs.allow_missing_crl = true;
		vi.in.knobs.allow_no_measurement = false;
		cr_assert_str_eq(verdict(&vi, NULL), "gpu.rim");
	}
}

Test(gpu, recorded_refusals)
{
	static const struct {
		const char *report, *chain, *check;
	} cases[] = {
		{"gpu/sdk/hopperAttestationReportInvalidSignature.txt", "gpu/sdk/hopperCertChain.txt",
		 "gpu.signature"},
		{"gpu/sdk/switchAttestationReportInvalidSignature.txt", "gpu/sdk/switchCertChain.txt",
		 "gpu.signature"},
		{"gpu/trustee/hopperAttestationReport.txt", "gpu/trustee/hopper_cert_chain_case2.txt",
		 "gpu.chain"},
		{"gpu/trustee/hopperAttestationReport.txt", "gpu/trustee/hopper_cert_chain_case3.txt",
		 "gpu.chain"},
		{"gpu/trustee/hopperAttestationReport.txt", "gpu/trustee/hopper_cert_chain_case4.txt",
		 "gpu.chain"},
		{"gpu/sdk/hopperAttestationReport.txt", "gpu/sdk/blackwellCertChain.txt", "gpu.signature"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vector_input vi;

		gpu(&vi, cases[i].report, cases[i].chain, T_2025_06);
		cr_assert_str_eq(verdict(&vi, NULL), cases[i].check, "%s %s", cases[i].report, cases[i].chain);
	}
}

Test(gpu, nonce)
{
	struct vector_input vi;
	uint8_t nonce[32];

	gpu(&vi, "gpu/nvtrust/hopperAttestationReport.txt", "gpu/nvtrust/hopperCertChain.txt", T_2025_06);
	cr_assert_eq(hex_decode("931d8dd0add203ac3d8b4fbde75e115278eefcdceac5b87671a748f32364dfcb", nonce, 32),
		     32);
	vi.in.challenge = (struct attest_bytes){nonce, 32};
	cr_assert_str_eq(verdict(&vi, NULL), "");
	nonce[0] ^= 1;
	cr_assert_str_eq(verdict(&vi, NULL), "challenge");
}

Test(gpu, bits_count, .timeout = 120)
{
	struct vector_input vi;
	uint8_t *p, *c;
	size_t bit = 0;

	gpu(&vi, "gpu/sdk/blackwellAttestationReport.txt", "gpu/sdk/blackwellCertChain.txt", T_2025_06);
	vi.in.kind = ATTEST_GPU;
	p = vector_copy(vi.in.evidence);
	vi.in.evidence.data = p;
	cr_assert_str_eq(verdict(&vi, NULL), "");
	cr_assert_eq(flips_accepted(&vi, p, vi.in.evidence.size, 31, &bit), 0, "bit %zu", bit);
	c = vector_copy(vi.items[0].bytes);
	vi.items[0].bytes.data = c;
	cr_assert_eq(flips_accepted(&vi, c, vi.items[0].bytes.size, 31, &bit), 0, "chain's bit %zu", bit);
}

static const char *with_rim(const char *rim, int64_t now)
{
	struct vector_input vi;

	gpu(&vi, "gpu/sdk/hopperAttestationReport.txt", "gpu/sdk/hopperCertChain.txt", now);
	input_add(&vi, ITEM_RIM, vector(rim));
	return verdict(&vi, NULL);
}

Test(rim, signatures)
{
	/* the report's own VBIOS manifest is accepted, and then the driver's is missed */
	cr_assert_str_eq(with_rim("gpu/rim/1010_0200_882_96005E0001_PROD.swidtag", T_2024_06), "gpu.rim");
	cr_assert_str_eq(with_rim("gpu/rim/1010_0200_882_96005E0001_PROD.swidtag", T_2025_06 + 40 * 86400),
			 "rim.chain", "expired");
	cr_assert_str_eq(with_rim("gpu/rim/NV_GPU_DRIVER_GH100_550.144.03.xml", T_2025_06), "gpu.rim",
			 "another driver's");
	cr_assert_str_eq(with_rim("gpu/rim/incorrect_signature_driver_rim.xml", T_2025_06), "rim.signature");
}

Test(rim, bits_count, .timeout = 120)
{
	struct attest_bytes b = vector("gpu/rim/NV_GPU_DRIVER_GH100_550.144.03.xml");
	uint8_t *p = vector_copy(b);
	struct attest_bytes changed = {p, b.size};
	struct xml_signed sig;
	struct rim *rim = malloc(sizeof(*rim));
	uint8_t info[4096];
	size_t accepted = 0, first = 0;
	int size;

	cr_assert_eq(rim_parse(&changed, &sig, rim), 0);
	cr_assert_eq(memcmp(sig.digest, sig.said_digest, 48), 0);
	cr_assert_str_eq(rim->version, "550.144.03");
	size = sig.signed_info_size;
	cr_assert_leq((size_t)size, sizeof(info));
	memcpy(info, sig.signed_info, (size_t)size);
	/* the part that is digested: everything before the signature; a flip must change the digest, or not
	 * parse */
	size_t end = (size_t)((const uint8_t *)memmem(p, b.size, "<ds:Signature ", 14) - p);

	for (size_t bit = 0; bit < end * 8; bit += 13) {
		struct xml_signed s;

		p[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		if (rim_parse(&changed, &s, rim) == 0 && memcmp(s.digest, sig.digest, 48) == 0 &&
		    accepted++ == 0)
			first = bit;
		rim_signed_free(&s);
		p[bit / 8] ^= (uint8_t)(1u << (bit % 8));
	}
	cr_assert_eq(accepted, 0, "bit %zu", first);
	rim_signed_free(&sig);
	free(rim);
}
