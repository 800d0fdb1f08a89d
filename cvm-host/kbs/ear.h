/* ear.h: attestation results as EAR tokens (draft-ietf-rats-ear), signed JWTs as the protocol's Response
 * carries them. The broker makes them and accepts its own back; a client can check one against the broker's
 * certificate. */
#pragma once

#include "cvm-host/kbs/jose.h"

#define EAR_PROFILE "tag:github.com,2024:confidential-containers/Trustee"

struct ear_signer {
	EVP_PKEY *key; /* P-256 */
	json_t *x5c;   /* array of base64 DER, leaf first */
};

struct ear_facts {
	const char *tee;
	const json_t *claims; /* flat */
	const json_t *waived; /* or NULL */
	bool affirming;	      /* the policy has a rule that accepts this guest */
	bool insecure;	    /* the evidence proves nothing: hardware is contraindicated, whatever the policy */
	const char *policy; /* its name */
	const char *nonce;
	const json_t *pubkey;
	const char *init_digest; /* hex or NULL */
	const json_t *manifest;	 /* signed document or NULL */
	const char *binding;	 /* the channel's exporter, base64, or NULL */
	int64_t now, lifetime;
};

/* To free(); NULL and e when signing fails. */
char *ear_issue(const struct ear_signer *s, const struct ear_facts *f, struct err *e);
/* Signature by key, profile and times; the payload in *out. -EKEYREJECTED, -EKEYEXPIRED. */
MUST_CHECK int ear_check(const char *token, size_t len, EVP_PKEY *key, int64_t now, json_t **out,
			 struct err *e);
/* The same with the header's x5c verified to trust. */
MUST_CHECK int ear_check_chain(const char *token, size_t len, X509_STORE *trust, int64_t now, json_t **out,
			       struct err *e);

/* Parts of a payload, borrowed; NULL when they are missing. */
const json_t *ear_claims(const json_t *payload);
const json_t *ear_member(const json_t *payload, const char *name); /* of the annotated evidence */
const json_t *ear_pubkey(const json_t *payload);
const char *ear_status(const json_t *payload);
