/* manifest.h: the owner's word on what may run: a JSON document with signatures, measured into the guest. No
 * I/O.
 *
 *   {"manifest":{"version":1,"name":"web","svn":7,
 *      "platforms":["snp","tdx"],
 *      "image":{"root-hash":"64 hex","size":n},
 *      "argv":["/bin/web"],"env":{"K":"v"},"cwd":"/",
 *      "mounts":[{"volume":"web-data","target":"/data","read-only":false}],
 *      "network":{"allow":[{"host":"db.example","port":5432,"pins":["sha256 hex of SubjectPublicKeyInfo"]}]},
 *      "keys":["web/key/disk"],
 *      "host-verbs":["ready","exit"],
 *      "broker":{"url":"https://...","pins":["..."]},
 *      "leases":1, "time":{"min-epoch":1790000000},
 *      "log":{"recipient":{JWK}}},
 *    "signatures":[{"key":"thumbprint","signature":"base64url"}]}
 *
 * Signed is the canonical form (RFC 8785) of the inner object behind a fixed prefix, so that the signature is
 * none of anything else, with Ed25519 or ECDSA P-256 (SHA-256, DER). The digest is SHA-384 of the canonical
 * inner object. */
#pragma once

#include <openssl/evp.h>

#include "cvm-host/kbs/json.h"

#define MANIFEST_MAX (256u << 10)

/* The form of the whole document: every member known and of its type; no signature is checked. */
MUST_CHECK int manifest_check(const json_t *doc, struct err *e);
/* At least threshold different keys of `keys` ({"who":JWK}) signed it; then the form too. */
MUST_CHECK int manifest_verify(const json_t *doc, const json_t *keys, unsigned threshold, struct err *e);
/* Adds or replaces key's signature. */
MUST_CHECK int manifest_sign(json_t *doc, EVP_PKEY *key, struct err *e);
MUST_CHECK int manifest_digest(const json_t *doc, uint8_t out[48], struct err *e);

/* Of a checked document; borrowed. */
const char *manifest_name(const json_t *doc);
int64_t manifest_svn(const json_t *doc);
bool manifest_has_key(const json_t *doc, const char *resource);
bool manifest_has_volume(const json_t *doc, const char *volume);
int64_t manifest_leases(const json_t *doc); /* -1: the manifest does not say */

/* Signing keys: Ed25519 (RFC 8037 "OKP") and P-256 in JWK form. */
MUST_CHECK int manifest_key_check(const json_t *jwk, struct err *e);
json_t *manifest_key_export(EVP_PKEY *key); /* NULL for other kinds */
EVP_PKEY *manifest_key_new(void);	    /* Ed25519 */

/* The init-data document of CoCo: TOML with the manifest as its one data entry, and back. The digest of its
 * bytes is what the platform measures. */
char *manifest_initdata(const json_t *doc);
MUST_CHECK int manifest_from_initdata(const char *text, size_t size, json_t **out, struct err *e);
