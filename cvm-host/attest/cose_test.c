/* cose_test.c: Nitro documents and CCA tokens as recorded. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "cvm-host/attest/cose.h"
#include "platform/base/bytes.h"
#include "tests/harness/vectors.h"

/* The document's own timestamp, in seconds: its leaf lives for hours. */
static int64_t timestamp(struct attest_bytes b)
{
	const uint8_t *p = memmem(b.data, b.size, "timestamp", 9);

	cr_assert(p && p[9] == 0x1b);
	return (int64_t)(get_be64(p + 10) / 1000);
}

static void nitro(struct vector_input *vi, struct attest_bytes b)
{
	input_init(vi, ATTEST_AUTO, b, timestamp(b));
}

static struct attest_bytes unwrapped(struct attest_bytes b)
{
	const uint8_t *p = b.data;

	return (struct attest_bytes){p + 4, get_le16(p + 2) >> 2};
}

Test(nitro, recorded_documents)
{
	struct attest_bytes b = vector("nitro/valid-attestation-doc-bytes"),
			    w = vector("nitro/dstack_nitro_attestation.bin"),
			    d = vector("nitro/nitro_attestation_dbg.bin");
	struct vector_input vi;
	struct attest_result *r;

	nitro(&vi, b);
	cr_assert_str_eq(verdict(&vi, &r), "", "%s",
			 attest_first_failure(r) ? attest_first_failure(r)->reason : "");
	cr_assert_eq(r->kind, ATTEST_NITRO);
	cr_assert(attest_claim(r, "root.pinned")->flag);
	cr_assert_eq(attest_claim(r, "nitro.pcr0")->bytes.size, 48);
	cr_assert_not(attest_claim(r, "nitro.debug")->flag);
	attest_result_free(r);
	vi.in.now += 4 * 3600;
	cr_assert_str_eq(verdict(&vi, NULL), "nitro.chain", "hours later");
	vi.in.now -= 8 * 3600;
	cr_assert_str_eq(verdict(&vi, NULL), "nitro.time", "hours before");
	nitro(&vi, vector("nitro/debug-mode-attestation-doc-bytes"));
	cr_assert_str_eq(verdict(&vi, NULL), "nitro.debug");
	vi.in.knobs.allow_debug = true;
	cr_assert_str_eq(verdict(&vi, NULL), "");
	/* maps of indefinite length; in a wrapper of SCALE: two bytes, then the length times four plus one */
	nitro(&vi, unwrapped(w));
	vi.in.kind = ATTEST_NITRO;
	cr_assert_str_eq(verdict(&vi, &r), "", "%s",
			 attest_first_failure(r) ? attest_first_failure(r)->reason : "");
	attest_result_free(r);
	nitro(&vi, unwrapped(d));
	vi.in.kind = ATTEST_NITRO;
	cr_assert_str_eq(verdict(&vi, NULL), "nitro.debug");
}

Test(nitro, bits_count, .timeout = 120)
{
	struct attest_bytes b = vector("nitro/valid-attestation-doc-bytes");
	struct vector_input vi;
	uint8_t *p = vector_copy(b);
	size_t bit = 0;

	nitro(&vi, b);
	vi.in.evidence.data = p;
	vi.in.kind = ATTEST_NITRO;
	cr_assert_eq(flips_accepted(&vi, p, b.size, 7, &bit), 0, "bit %zu", bit);
}

static void cca(struct vector_input *vi)
{
	input_init(vi, ATTEST_AUTO, vector("cca/tf-rmm/cca_token.cbor"), 1750000000);
	input_add(vi, ITEM_CCA_KEY, vector("cca/tf-rmm/cca_platform.pub"));
}

Test(cca, tf_rmm_token)
{
	struct vector_input vi;
	struct attest_result *r;
	uint8_t challenge[64];

	cca(&vi);
	cr_assert_str_eq(verdict(&vi, &r), "", "%s",
			 attest_first_failure(r) ? attest_first_failure(r)->reason : "");
	cr_assert_eq(r->kind, ATTEST_CCA);
	cr_assert_eq(attest_claim(r, "cca.lifecycle")->number, 0x3003);
	cr_assert_eq(attest_claim(r, "cca.instance_id")->bytes.size, 33);
	cr_assert_eq(attest_check(r, "cca.binding")->outcome, CHECK_PASSED);
	memcpy(challenge, attest_claim(r, "cca.realm.challenge")->bytes.data, 64);
	attest_result_free(r);
	vi.in.challenge = (struct attest_bytes){challenge, 64};
	cr_assert_str_eq(verdict(&vi, NULL), "");
	challenge[63] ^= 1;
	cr_assert_str_eq(verdict(&vi, NULL), "challenge");
	vi.in.challenge.data = NULL;
	vi.in.item_count = 0;
	cr_assert_str_eq(verdict(&vi, NULL), "cca.platform.signature");
	vi.in.item_count = 1;
	vi.items[0].bytes = vector("cca/psa/public.pem");
	cr_assert_str_eq(verdict(&vi, NULL), "cca.platform.signature", "another key");
}

Test(cca, bits_count, .timeout = 120)
{
	struct vector_input vi;
	uint8_t *p;
	size_t bit = 0;

	cca(&vi);
	p = vector_copy(vi.in.evidence);
	vi.in.evidence.data = p;
	vi.in.kind = ATTEST_CCA;
	cr_assert_eq(flips_accepted(&vi, p, vi.in.evidence.size, 1, &bit), 0, "bit %zu", bit);
}

/* The platform token of one, the realm token of another. */
Test(cca, tokens_that_do_not_belong_together)
{
	struct attest_bytes a = vector("cca/tf-rmm/cca_token.cbor"),
			    b = vector("cca/veraison/cca-evidence.cbor");
	const uint8_t *pa = a.data, *pb = b.data;
	size_t na = 4 + 3 + 3 + get_be16(pa + 8), nb = 4 + 3 + 3 + get_be16(pb + 8);
	uint8_t *mixed = malloc(a.size + b.size);
	struct vector_input vi;

	memcpy(mixed, pa, na);
	memcpy(mixed + na, pb + nb, b.size - nb);
	cca(&vi);
	vi.in.evidence = (struct attest_bytes){mixed, na + b.size - nb};
	cr_assert_str_eq(verdict(&vi, NULL), "cca.binding");
}

Test(cbor, lengths_beyond_the_buffer)
{
	static const uint8_t huge_array[] = {0x9b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
			     huge_map[] = {0xbb, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff},
			     huge_bytes[] = {0x5a, 0xff, 0xff, 0xff, 0xff, 1},
			     twice[] = {0xa2, 0x01, 0x02, 0x01, 0x03}, tail[] = {0x01, 0x02};
	cbor_item_t *m;

	cr_assert_null(cbor_read(huge_array, sizeof(huge_array)));
	cr_assert_null(cbor_read(huge_map, sizeof(huge_map)));
	cr_assert_null(cbor_read(huge_bytes, sizeof(huge_bytes)));
	cr_assert_null(cbor_read(tail, sizeof(tail)));
	m = cbor_read(twice, sizeof(twice));
	cr_assert(m);
	cr_assert_null(cbor_map_int(m, 1), "which of the two?");
	cbor_decref(&m);
}
