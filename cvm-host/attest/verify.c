/* verify.c: attest_verify(): sizes and kind first, then the verifier of that kind. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cvm-host/attest/cca.h"
#include "cvm-host/attest/gpu.h"
#include "cvm-host/attest/intel.h"
#include "cvm-host/attest/nitro.h"
#include "cvm-host/attest/snp.h"
#include "cvm-host/attest/tpm.h"
#include "platform/base/bytes.h"

typedef void (*verifier)(struct verify *v, const struct attest_bytes *evidence);

static const verifier verifiers[ATTEST_KIND_COUNT] = {
	[ATTEST_SNP] = snp_verify,	[ATTEST_TDX] = intel_verify,	[ATTEST_SGX] = intel_verify,
	[ATTEST_CCA] = cca_verify,	[ATTEST_NITRO] = nitro_verify,	[ATTEST_TPM] = tpm_verify,
	[ATTEST_AZ_SNP] = azure_verify, [ATTEST_AZ_TDX] = azure_verify, [ATTEST_GPU] = gpu_verify,
};

/* By what only one kind can begin with. */
static enum attest_kind detect(const struct attest_bytes *b)
{
	const uint8_t *p = b->data;

	if (b->size == SNP_REPORT_SIZE && get_le32(p) >= 2 && get_le32(p) <= 5)
		return ATTEST_SNP;
	if (b->size > 436 && get_le16(p) >= 3 && get_le16(p) <= 5 && get_le16(p + 2) == 2)
		return get_le32(p + 4) == 0x81 ? ATTEST_TDX : ATTEST_SGX;
	if (b->size > 3 && p[0] == 0xd9 && get_be16(p + 1) == 399)
		return ATTEST_CCA;
	if (b->size > 8 && (memcmp(p, "\x84\x44\xa1\x01\x38\x22", 6) == 0 ||
			    memcmp(p, "\xd2\x84\x44\xa1\x01\x38\x22", 7) == 0))
		return ATTEST_NITRO;
	if (b->size > 37 && p[0] == 0x11 && p[1] == 0xe0 && p[37] == 0x11 && p[38] == 0x60)
		return ATTEST_GPU;
	if (b->size > 6 && get_be32(p) == 0xff544347)
		return ATTEST_TPM;
	if (b->size > 1236 && memcmp(p, "HCLA", 4) == 0)
		return get_le32(p + 1224) == 4 ? ATTEST_AZ_TDX : ATTEST_AZ_SNP;
	return ATTEST_AUTO;
}

static bool input_sane(struct verify *v)
{
	const struct attest_input *in = v->in;

	if (!in->evidence.data || !in->evidence.size || in->evidence.size > ATTEST_INPUT_MAX ||
	    in->item_count > ATTEST_ITEMS_MAX)
		return check_fail(v, "input", "no evidence, or too much of it");
	for (size_t i = 0; i < in->item_count; i++)
		if (!in->items[i].bytes.data || in->items[i].bytes.size > ATTEST_INPUT_MAX)
			return check_fail(v, "input", "collateral item %zu is missing or too large", i);
	return check_that(v, "input", in->now > 0, "sizes and the clock");
}

int attest_verify(const struct attest_input *in, struct attest_result **out)
{
	struct verify v = {.in = in};

	v.r = calloc(1, sizeof(*v.r));
	if (!v.r)
		return -ENOMEM;
	v.r->ok = true;
	v.r->kind = in->kind;
	if (input_sane(&v)) {
		if (v.r->kind == ATTEST_AUTO)
			v.r->kind = detect(&in->evidence);
		if (v.r->kind < ATTEST_KIND_COUNT && verifiers[v.r->kind])
			verifiers[v.r->kind](&v, &in->evidence);
		else
			check_fail(&v, "kind", "no verifier for evidence of this kind");
	}
	if (v.oom) {
		attest_result_free(v.r);
		return -ENOMEM;
	}
	*out = v.r;
	return 0;
}
