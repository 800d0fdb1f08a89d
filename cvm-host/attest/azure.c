/* azure.c: Azure's confidential VMs: a report of the hardware ("HCL report") whose REPORT_DATA binds a JSON
 * document with the vTPM's attestation key, and a quote by that key. */
#include <jansson.h>
#include <string.h>

#include "cvm-host/attest/intel.h"
#include "cvm-host/attest/snp.h"
#include "cvm-host/attest/ecdsa.h"
#include "cvm-host/attest/tpm.h"
#include "platform/base/bytes.h"

#define HEADER	    32u
#define HW_REPORT   1184u
#define RUNTIME	    (HEADER + HW_REPORT)
#define RUNTIME_HDR 20u
enum { REPORT_SNP = 2, REPORT_TDX = 4, HASH_SHA256 = 1 };

struct hcl {
	const uint8_t *report;
	uint32_t type;
	struct attest_bytes json;
};

static bool hcl_parse(struct verify *v, const struct attest_bytes *b, struct hcl *out)
{
	const uint8_t *p = b->data, *r = p + RUNTIME;
	uint32_t len;

	if (b->size < RUNTIME + RUNTIME_HDR || memcmp(p, "HCLA", 4) != 0 || get_le32(p + 4) < 1 ||
	    get_le32(p + 4) > 2 || get_le32(p + 12) != 2 || !bytes_zero(p + 16, 16))
		return check_fail(v, "azure.format", "no HCL report");
	len = get_le32(r + 16);
	out->type = get_le32(r + 8);
	out->report = p + HEADER;
	if (len > b->size - RUNTIME - RUNTIME_HDR || get_le32(r) != len + RUNTIME_HDR || get_le32(r + 4) != 1 ||
	    get_le32(r + 12) != HASH_SHA256 || get_le32(p + 8) != RUNTIME + RUNTIME_HDR + len ||
	    (out->type != REPORT_SNP && out->type != REPORT_TDX))
		return check_fail(v, "azure.format", "the HCL report's sizes or types do not fit");
	out->json = (struct attest_bytes){r + RUNTIME_HDR, len};
	if (!bytes_zero(r + RUNTIME_HDR + len, b->size - RUNTIME - RUNTIME_HDR - len))
		return check_fail(v, "azure.format", "something other than zeros follows the runtime data");
	return check_that(v, "azure.format", true, "HCL report of %s", out->type == REPORT_SNP ? "SNP" : "TDX");
}

/* base64url without padding; its length or -1 */
static ssize_t base64url(const char *text, uint8_t *out, size_t room)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint32_t bits = 0, count = 0;
	size_t n = 0;

	for (; *text; text++) {
		const char *d = strchr(digits, *text);

		if (!d)
			return -1;
		bits = bits << 6 | (uint32_t)(d - digits);
		count += 6;
		if (count >= 8) {
			if (n == room)
				return -1;
			count -= 8;
			out[n++] = (uint8_t)(bits >> count);
		}
	}
	return (ssize_t)n;
}

/* The vTPM's attestation key: the JWK of key id HCLAkPub. */
static EVP_PKEY *runtime_ak(const struct attest_bytes *json)
{
	json_t *j = json_loadb(json->data, json->size, JSON_REJECT_DUPLICATES, NULL), *k;
	EVP_PKEY *key = NULL;
	size_t i;

	json_array_foreach(json_object_get(j, "keys"), i, k)
	{
		const char *kid = json_string_value(json_object_get(k, "kid")),
			   *kty = json_string_value(json_object_get(k, "kty")),
			   *n = json_string_value(json_object_get(k, "n")),
			   *e = json_string_value(json_object_get(k, "e"));
		uint8_t nb[512], eb[8];
		ssize_t ns, es;

		if (key || !kid || strcmp(kid, "HCLAkPub") != 0 || !kty || strcmp(kty, "RSA") != 0 || !n || !e)
			continue;
		ns = base64url(n, nb, sizeof(nb));
		es = base64url(e, eb, sizeof(eb));
		if (ns > 0 && es > 0)
			key = rsa_key_raw(nb, (size_t)ns, eb, (size_t)es);
	}
	json_decref(j);
	return key;
}

static void check_vtpm(struct verify *v, const struct hcl *h)
{
	const struct attest_bytes *quote = item_find(v->in, ITEM_TPM_QUOTE, 0);
	EVP_PKEY *ak = runtime_ak(&h->json);

	if (!quote)
		check_fail(v, "azure.vtpm",
			   "no vTPM quote was given: nothing answers the challenge or proves the boot");
	else if (check_that(v, "azure.vtpm", ak != NULL, "the runtime data names the vTPM's attestation key"))
		tpm_check_quote(v, quote, ak, "hcl");
	EVP_PKEY_free(ak);
}

/* What the hardware signed must be this HCL report's runtime data. */
static bool check_binding(struct verify *v, const struct hcl *h, const uint8_t *report_data)
{
	uint8_t hash[32];
	bool ok = sha256(h->json.data, h->json.size, hash) && memcmp(report_data, hash, 32) == 0 &&
		  bytes_zero(report_data + 32, 32);

	return check_that(v, "azure.binding", ok,
			  "the hardware's report data is the digest of the runtime data");
}

static void verify_tdx(struct verify *v, const struct hcl *h)
{
	const struct attest_bytes *quote = item_find(v->in, ITEM_TD_QUOTE, 0);
	const struct attest_claim *rd;

	if (!quote) {
		check_fail(v, "azure.quote", "no TD quote was given");
		return;
	}
	intel_verify_quote(v, quote, false);
	rd = attest_claim(v->r, "tdx.report_data");
	if (rd && check_binding(v, h, rd->bytes.data))
		check_vtpm(v, h);
}

void azure_verify(struct verify *v, const struct attest_bytes *evidence)
{
	struct hcl h;

	if (!hcl_parse(v, evidence, &h))
		return;
	v->r->kind = h.type == REPORT_SNP ? ATTEST_AZ_SNP : ATTEST_AZ_TDX;
	if (!check_that(v, "kind", v->in->kind == ATTEST_AUTO || v->in->kind == v->r->kind, "an Azure VM on %s",
			h.type == REPORT_SNP ? "SNP" : "TDX"))
		return;
	claim_text(v, "azure.runtime_data", h.json.data, h.json.size);
	if (h.type == REPORT_TDX) {
		verify_tdx(v, &h);
		return;
	}
	snp_verify_report(v, &(struct attest_bytes){h.report, HW_REPORT}, false);
	if (check_binding(v, &h, h.report + 0x50))
		check_vtpm(v, &h);
}
