/* nitro.c: AWS Nitro enclaves' attestation documents (AWS, "Verifying the root of trust"). */
#include <stdio.h>
#include <string.h>

#include "cvm-host/attest/cert.h"
#include "cvm-host/attest/cose.h"
#include "cvm-host/attest/nitro.h"

#define PCRS	    32
#define CLOCK_SLACK 300 /* seconds that the enclave's clock may be ahead of ours */

static bool text_is(const cbor_item_t *item, const char *want)
{
	struct attest_bytes t;

	return cbor_text(item, &t) && t.size == strlen(want) && memcmp(t.data, want, t.size) == 0;
}

/* PCR numbers to values of 48 bytes; whether 0, 1 and 2 are zero, as they are in debug mode. */
static bool pcr_claims(struct verify *v, const cbor_item_t *pcrs, bool *debug)
{
	struct cbor_pair *p;
	bool measured = false;

	if (!pcrs || !cbor_isa_map(pcrs) || cbor_map_size(pcrs) == 0 || cbor_map_size(pcrs) > PCRS ||
	    !cbor_map_keys_distinct(pcrs))
		return false;
	p = cbor_map_handle(pcrs);
	for (size_t i = 0; i < cbor_map_size(pcrs); i++) {
		struct attest_bytes value;
		uint64_t n;
		char name[32];

		if (!cbor_uint(p[i].key, &n) || n >= PCRS || !cbor_bytes(p[i].value, &value) ||
		    value.size != 48)
			return false;
		snprintf(name, sizeof(name), "nitro.pcr%u", (unsigned int)n);
		claim_bytes(v, name, value.data, value.size);
		if (n <= 2 && !bytes_zero(value.data, value.size))
			measured = true;
	}
	*debug = !measured;
	return true;
}

/* public_key, user_data, nonce: bytes, or null or absent. */
static bool optional(struct verify *v, const cbor_item_t *doc, const char *key, const char *claim, size_t max,
		     struct attest_bytes *out)
{
	const cbor_item_t *item = cbor_map_text(doc, key);

	*out = (struct attest_bytes){"", 0};
	if (!item || cbor_is_null(item))
		return true;
	if (!cbor_bytes(item, out) || out->size > max)
		return false;
	claim_bytes(v, claim, out->data, out->size);
	return true;
}

static bool read_document(struct verify *v, const cbor_item_t *doc, struct attest_bytes *nonce, bool *debug)
{
	struct attest_bytes module, unused;
	uint64_t ms;

	if (!doc || !cbor_isa_map(doc) || !cbor_text(cbor_map_text(doc, "module_id"), &module) ||
	    module.size == 0 || module.size > 256 || !text_is(cbor_map_text(doc, "digest"), "SHA384") ||
	    !cbor_uint(cbor_map_text(doc, "timestamp"), &ms) || ms == 0 || ms > INT64_MAX)
		return check_fail(v, "nitro.format", "no attestation document");
	claim_text(v, "nitro.module_id", module.data, module.size);
	claim_time(v, "nitro.timestamp", (int64_t)(ms / 1000));
	if (!pcr_claims(v, cbor_map_text(doc, "pcrs"), debug) ||
	    !optional(v, doc, "public_key", "nitro.public_key", 4096, &unused) ||
	    !optional(v, doc, "user_data", "nitro.user_data", 4096, &unused) ||
	    !optional(v, doc, "nonce", "nitro.nonce", 4096, nonce))
		return check_fail(v, "nitro.format", "a field of the document is malformed");
	claim_bool(v, "nitro.debug", *debug);
	check_that(v, "nitro.format", true, "an attestation document");
	return check_that(v, "nitro.time", (int64_t)(ms / 1000) <= v->in->now + CLOCK_SLACK,
			  "the document is not from the future");
}

/* The document's own certificate and CA bundle (root first). */
static X509 *read_certs(const cbor_item_t *doc, struct certs *set)
{
	const cbor_item_t *bundle = cbor_map_text(doc, "cabundle");
	struct attest_bytes der;
	size_t leaf = 0;

	if (!cbor_bytes(cbor_map_text(doc, "certificate"), &der) ||
	    certs_add(set, der.data, der.size, &leaf) < 0 || !bundle || !cbor_isa_array(bundle))
		return NULL;
	for (size_t i = 0; i < cbor_array_size(bundle); i++)
		if (!cbor_bytes(cbor_array_handle(bundle)[i], &der) ||
		    certs_add(set, der.data, der.size, NULL) < 0)
			return NULL;
	return set->cert[leaf];
}

static void verify_document(struct verify *v, struct certs *set, const struct cose_sign1 *s,
			    const cbor_item_t *doc)
{
	struct attest_bytes nonce;
	struct chain chain;
	bool debug = true, ok;
	X509 *leaf;

	if (!read_document(v, doc, &nonce, &debug) || !certs_load(v, set))
		return;
	leaf = read_certs(doc, set);
	if (!leaf || certs_add_anchor(set, ROOT(aws_nitro)) < 0) {
		check_fail(v, "nitro.chain", "the document's certificates are malformed");
		return;
	}
	if (!chain_verify(v, "nitro.chain", set, leaf, &chain))
		return;
	chain_claim_root(v, set, &chain);
	/* AWS says to leave revocation lists out: the leaf lives for three hours */
	check_skip(v, "nitro.crl", "certificates of hours are not revoked");
	ok = certs_all_good(v, set) && cose_verify(s, X509_get0_pubkey(leaf));
	if (!check_that(v, "nitro.signature", ok, "%s",
			ok ? "by the document's certificate" : "not by the document's certificate"))
		return;
	check_knob(v, "nitro.debug", !debug, v->in->knobs.allow_debug ? "allow_debug" : NULL, "%s",
		   debug ? "the enclave runs in debug mode: PCR 0 to 2 are zero" : "not in debug mode");
	check_challenge(v, nonce.data, nonce.size, false);
}

void nitro_verify(struct verify *v, const struct attest_bytes *evidence)
{
	struct certs set = {0};
	struct cose_sign1 s;
	cbor_item_t *doc;

	if (cose_parse(evidence, &s) < 0) {
		check_fail(v, "nitro.format",
			   "no COSE_Sign1 with an algorithm and nothing else in its headers");
		return;
	}
	doc = cbor_read(s.payload.data, s.payload.size);
	verify_document(v, &set, &s, doc);
	if (doc)
		cbor_decref(&doc);
	cose_free(&s);
	certs_free(&set);
}
