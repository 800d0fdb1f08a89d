/* protocol.h: the messages of the KBS attestation protocol 0.4.0 (Request, Challenge, Attestation, Response and
 * the error body), as both ends make and read them, and the hash that binds evidence to a session. No I/O.
 * Source: the protocol's document kbs/docs/kbs_attestation_protocol.md and its OpenAPI description.
 *
 * One extension, used only when the broker offers it and the client answers it: the challenge's extra-params
 * carry "channel-binding":"tls-exporter", runtime-data then carries "channel-binding" (base64 of the TLS 1.3
 * exporter of this connection, label KBS_EXPORTER, context the nonce's text), and the hash covers that member
 * too. */
#pragma once

#include "cvm-host/kbs/jose.h"

#define KBS_VERSION    "0.4.0"
#define KBS_BASE       "/kbs/v0/"
#define KBS_COOKIE     "kbs-session-id"
#define KBS_BODY_MAX   (1u << 20)
#define KBS_NONCE_SIZE 32
#define KBS_EXPORTER   "EXPORTER-sbx-kbs-attestation"
#define KBS_ERRORS     "https://github.com/confidential-containers/kbs/errors/"

enum kbs_hash { KBS_SHA384, KBS_SHA512, KBS_SHA256 };
const char *kbs_hash_name(enum kbs_hash h);

struct kbs_request {
	char tee[24];
	enum kbs_hash hash; /* the best of those that the client supports; SHA-384 when it names none */
	bool binding;	    /* the client can bind the channel */
};
/* The version has to be exactly ours (-EPROTONOSUPPORT). */
MUST_CHECK int kbs_request_parse(const void *body, size_t size, struct kbs_request *out, struct err *e);
char *kbs_request_text(const char *tee);

struct kbs_challenge {
	char nonce[64];
	enum kbs_hash hash;
	bool binding;
};
MUST_CHECK int kbs_challenge_parse(const void *body, size_t size, struct kbs_challenge *out, struct err *e);
/* named: the client sent hash algorithms, so the chosen one is told. */
char *kbs_challenge_text(const struct kbs_challenge *c);

struct kbs_attestation {
	json_t *root;			     /* owns what follows */
	const char *nonce;		     /* runtime-data */
	const json_t *pubkey;		     /* runtime-data tee-pubkey: only JWK members that are strings */
	const char *pubkey_alg;		     /* JWE_ECDH or JWE_RSA */
	const char *binding;		     /* or NULL */
	const json_t *primary;		     /* tee-evidence primary_evidence */
	const char *additional;		     /* tee-evidence additional_evidence: JSON text, "" when none */
	const char *init_format, *init_body; /* init-data, or NULL */
};
MUST_CHECK int kbs_attestation_parse(const void *body, size_t size, struct kbs_attestation *out, struct err *e);
void kbs_attestation_free(struct kbs_attestation *a);
/* Of the parts above; init_body NULL leaves init-data out. Takes nothing. */
char *kbs_attestation_text(const char *nonce, const json_t *pubkey, const char *binding, const json_t *primary,
			   const char *additional, const char *init_format, const char *init_body);

/* H(JCS({"additional-evidence":a,"nonce":n,"tee-pubkey":k})), zeros up to 64 bytes: what the primary evidence's
 * report data has to be. additional NULL: without that member, as for device evidence. */
MUST_CHECK int kbs_report_data(enum kbs_hash h, const char *nonce, const json_t *pubkey, const char *additional,
			       const char *binding, uint8_t out[64], struct err *e);

/* {"type":KBS_ERRORS kind,"detail":...} */
char *kbs_error_text(const char *kind, const char *detail);
/* The detail of such a body, or the body's beginning, made printable. */
void kbs_error_parse(const void *body, size_t size, struct err *e);

/* repository/type/tag of RFC 3986 unreserved characters, none of them "." or "..": also a safe relative path.
 */
bool kbs_resource_ok(const char *path);
