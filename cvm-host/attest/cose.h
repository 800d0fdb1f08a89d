/* cose.h: strict reading of CBOR (RFC 8949, through libcbor) and COSE_Sign1 (RFC 9052). */
#pragma once

#include <cbor.h>
#include <openssl/evp.h>

#include "cvm-host/attest/evidence.h"

/* The one item that fills the whole buffer. NULL when malformed, when lengths exceed the buffer or when out of
 * memory. cbor_decref() is due. */
cbor_item_t *cbor_read(const void *data, size_t size);

/* The value of a key that the map holds exactly once; NULL otherwise. Borrowed from the map. */
cbor_item_t *cbor_map_int(const cbor_item_t *map, int64_t key);
cbor_item_t *cbor_map_text(const cbor_item_t *map, const char *key);
/* False when two keys are equal, or one is neither integer nor text. */
bool cbor_map_keys_distinct(const cbor_item_t *map);

/* Typed values; false for NULL or another type. Strings of indefinite length are not taken. */
bool cbor_bytes(const cbor_item_t *item, struct attest_bytes *out);
bool cbor_text(const cbor_item_t *item, struct attest_bytes *out);
bool cbor_uint(const cbor_item_t *item, uint64_t *out);
bool cbor_int(const cbor_item_t *item, int64_t *out);

struct cose_sign1 {
	cbor_item_t *top; /* owns what the others point into */
	struct attest_bytes protected_header, payload, signature;
	int64_t alg;
};
/* With or without tag 18; the unprotected header must be empty, the protected one hold the algorithm alone.
 * -EINVAL. cose_free() is due on success. */
MUST_CHECK int cose_parse(const struct attest_bytes *b, struct cose_sign1 *out);
void cose_free(struct cose_sign1 *s);
/* ES256 with a P-256 key, ES384 with a P-384 key. */
MUST_CHECK bool cose_verify(const struct cose_sign1 *s, EVP_PKEY *key);
