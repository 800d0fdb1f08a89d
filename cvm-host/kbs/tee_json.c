/* tee_json.c: evidence in the protocol's form, as a guest makes it. No verifier comes with it. */
#include <stdlib.h>

#include "cvm-host/kbs/tee.h"

static const char *const item_names[ITEM_KIND_COUNT] = {
	[ITEM_CERTS] = "certs",
	[ITEM_CRL] = "crl",
	[ITEM_OCSP] = "ocsp",
	[ITEM_TCB_INFO] = "tcb-info",
	[ITEM_QE_IDENTITY] = "qe-identity",
	[ITEM_PCS_CHAIN] = "pcs-chain",
	[ITEM_CCA_KEY] = "cca-key",
	[ITEM_TD_QUOTE] = "td-quote",
	[ITEM_TPM_QUOTE] = "tpm-quote",
	[ITEM_TPM_SIGNATURE] = "tpm-signature",
	[ITEM_TPM_AK] = "tpm-ak",
	[ITEM_TPM_PCRS] = "tpm-pcrs",
	[ITEM_EVENTLOG] = "eventlog",
	[ITEM_CCEL] = "ccel",
	[ITEM_RIM] = "rim",
	[ITEM_ROOT] = "root",
};

const char *tee_item_name(enum attest_item_kind kind)
{
	return kind < ITEM_KIND_COUNT ? item_names[kind] : "unknown";
}

json_t *tee_evidence_json(enum attest_kind kind, const struct blob *evidence, const struct attest_item *items,
			  size_t count)
{
	json_t *list = json_array(), *v;
	char *s;

	for (size_t i = 0; i < count; i++) {
		s = b64_encode(items[i].bytes.data, items[i].bytes.size);
		json_array_append_new(list,
				      json_pack("{ss ss}", "kind", tee_item_name(items[i].kind), "data", s));
		free(s);
	}
	s = b64_encode(evidence->data, evidence->size);
	v = json_pack("{s{ss ss so}}", "sbx-evidence", "kind", attest_kind_name(kind), "evidence", s, "items",
		      list);
	free(s);
	return v;
}

json_t *tee_sample_json(const uint8_t report_data[64], const struct blob *init)
{
	char *s = b64_encode(report_data, 64);
	json_t *v = json_pack("{ss ss}", "svn", "1", "report_data", s);

	free(s);
	if (init) {
		s = b64_encode(init->data, init->size);
		json_object_set_new(v, "init_data", json_string(s));
		free(s);
	}
	return v;
}
