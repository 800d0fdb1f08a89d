/* broker.h: the key broker behind its HTTP end: one request in, one reply out. Thread-safe; requests may come
 * in on any thread. What it must never do: release a resource that no rule of the policy releases, take a nonce
 * twice, or forget a counter. Paths it serves (all under /kbs/v0/):
 *
 *   POST auth                       Request -> Challenge, cookie kbs-session-id
 *   POST attest                     Attestation -> {"token":EAR}
 *   GET  resource/REPO/TYPE/TAG     -> flattened JWE for the attested key
 *   POST sbx-lease/REPO/TYPE/TAG    {"action":"renew"|"release"}
 *   GET  sbx-volume/NAME            -> {"epoch","root"}; takes the volume's lease
 *   POST sbx-volume/NAME            {"epoch","root","previous"}: one step forward
 *   GET  sbx-log/head               -> {"size","root","audit":{...},"time","signed":JWS of these}
 *   GET  sbx-log/entry/I, sbx-log/proof/I/N, sbx-log/consistency/M/N
 */
#pragma once

#include "cvm-host/kbs/http.h"
#include "cvm-host/kbs/json.h"

struct broker;

struct broker_config {
	const char *dir;	 /* state, resources, collateral: see broker_open() */
	const char *policy;	 /* path */
	const char *token_key;	 /* path, PEM; P-256 */
	const char *token_cert;	 /* path, PEM: chain, leaf first */
	int64_t session_seconds; /* 0: 300 */
	int64_t token_seconds;	 /* 0: 300 */
	bool require_binding;	 /* refuse guests that don't bind the TLS channel */
};

struct broker_request {
	const struct http_head *head;
	const void *body;
	size_t body_size;
	/* 32 bytes of the connection's TLS exporter for context; -errno without TLS. */
	int (*export_channel)(void *connection, const char *context, uint8_t out[32]);
	void *connection;
	const char *peer; /* address, for the audit log */
};

struct broker_reply {
	int status;
	const char *type; /* content type; static */
	char *cookie;	  /* session id for Set-Cookie, or NULL; owned */
	char *body;	  /* owned */
};

/* dir has the folders resources/ and, if wanted, collateral/; state/ is made. */
MUST_CHECK int broker_open(const struct broker_config *c, struct broker **out, struct err *e);
void broker_close(struct broker *b);
/* Reads policy and collateral again; what was in force stays when they are wrong. */
MUST_CHECK int broker_reload(struct broker *b, struct err *e);
/* Always fills the reply. */
void broker_handle(struct broker *b, const struct broker_request *q, struct broker_reply *out);
void broker_reply_free(struct broker_reply *r);
