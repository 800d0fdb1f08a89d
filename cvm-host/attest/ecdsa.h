/* ecdsa.h: signatures and digests as evidence carries them. */
#pragma once

#include <openssl/evp.h>

#include "platform/base/attr.h"

enum curve { CURVE_P256, CURVE_P384 };

/* SHA-256 with P-256, SHA-384 with P-384. The signature is r || s, each `width` bytes, big- or little-endian.
 * The key must be on that curve. */
MUST_CHECK bool ecdsa_verify_raw(EVP_PKEY *key, enum curve curve, const uint8_t *sig, size_t width,
				 bool little_endian, const void *msg, size_t size);
/* A public key from x || y, big-endian (32 or 48 bytes each). NULL when it is no point of the curve. Caller
 * frees. */
EVP_PKEY *ecdsa_key_raw(enum curve curve, const uint8_t *xy);
bool key_is_curve(EVP_PKEY *key, enum curve curve);

/* Digest of one buffer; false only when out of memory. `out` has room for the digest's size. */
MUST_CHECK bool sha256(const void *data, size_t size, uint8_t out[32]);
MUST_CHECK bool sha384(const void *data, size_t size, uint8_t out[48]);
