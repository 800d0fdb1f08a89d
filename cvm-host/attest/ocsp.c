/* ocsp.c: OCSP responses (RFC 6960) that came with the evidence. */
#include <openssl/err.h>
#include <openssl/ocsp.h>

#include "cvm-host/attest/gpu.h"

/* The response's signer must be under one of the set's anchors. */
static OCSP_BASICRESP *read_response(struct certs *set, const struct attest_bytes *b)
{
	const uint8_t *p = b->data;
	OCSP_RESPONSE *r = d2i_OCSP_RESPONSE(NULL, &p, (long)b->size);
	OCSP_BASICRESP *basic = NULL;
	X509_STORE *store = X509_STORE_new();
	STACK_OF(X509) *others = sk_X509_new_null();

	for (size_t i = 0; store && i < set->anchor_count; i++)
		X509_STORE_add_cert(store, set->anchor[i]);
	for (size_t i = 0; others && i < set->cert_count; i++)
		sk_X509_push(others, set->cert[i]);
	if (r && store && others && p == (const uint8_t *)b->data + b->size &&
	    OCSP_response_status(r) == OCSP_RESPONSE_STATUS_SUCCESSFUL)
		basic = OCSP_response_get1_basic(r);
	if (basic && OCSP_basic_verify(basic, others, store, 0) != 1) {
		OCSP_BASICRESP_free(basic);
		basic = NULL;
	}
	OCSP_RESPONSE_free(r);
	X509_STORE_free(store);
	sk_X509_free(others);
	ERR_clear_error();
	return basic;
}

/* 1 good, 0 says nothing of this certificate, -1 revoked (holds count), unknown or out of its time. */
static int status_of(OCSP_BASICRESP *basic, X509 *cert, X509 *issuer, int64_t now)
{
	static const int digests[] = {NID_sha1, NID_sha256, NID_sha384};
	ASN1_GENERALIZEDTIME *from, *until;
	int status, reason;

	for (size_t i = 0; i < ARRAY_SIZE(digests); i++) {
		OCSP_CERTID *id = OCSP_cert_to_id(EVP_get_digestbynid(digests[i]), cert, issuer);
		int found = id ? OCSP_resp_find_status(basic, id, &status, &reason, NULL, &from, &until) : 0;

		OCSP_CERTID_free(id);
		if (!found)
			continue;
		if (status != V_OCSP_CERTSTATUS_GOOD || !until || asn1_time(from) > now ||
		    asn1_time(until) <= now)
			return -1;
		return 1;
	}
	return 0;
}

bool chain_check_ocsp(struct verify *v, const char *name, struct certs *set, const struct chain *chain,
		      size_t first, size_t last)
{
	size_t good = 0;

	for (size_t n = 0; item_find(v->in, ITEM_OCSP, n); n++) {
		OCSP_BASICRESP *basic = read_response(set, item_find(v->in, ITEM_OCSP, n));

		if (!basic)
			return check_fail(v, name, "OCSP response %zu is malformed or signed by nobody known",
					  n);
		for (size_t i = first; i <= last; i++) {
			int s = status_of(basic, chain->cert[i], chain->cert[i + 1], v->in->now);

			if (s < 0) {
				OCSP_BASICRESP_free(basic);
				return check_fail(v, name,
						  "certificate %zu of the chain is revoked, on hold, or the "
						  "answer is old",
						  i);
			}
			good += s > 0;
		}
		OCSP_BASICRESP_free(basic);
	}
	if (good >= last - first + 1)
		return check_that(v, name, true, "current OCSP responses find the whole chain good");
	return check_knob(v, name, false, v->in->knobs.allow_missing_crl ? "allow_missing_crl" : NULL,
			  "not every certificate of the chain has an OCSP response");
}
