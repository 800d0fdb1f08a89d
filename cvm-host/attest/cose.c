/* cose.c: COSE_Sign1. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cvm-host/attest/cose.h"
#include "cvm-host/attest/ecdsa.h"
#include "platform/base/bytes.h"

enum { ALG_ES256 = -7, ALG_ES384 = -35 };
#define TAG_SIGN1_BYTE 0xd2 /* tag 18 */

static int read_alg(struct cose_sign1 *s)
{
	cbor_item_t *map = cbor_read(s->protected_header.data, s->protected_header.size);
	int ret = -EINVAL;

	if (map && cbor_isa_map(map) && cbor_map_size(map) == 1 && cbor_int(cbor_map_int(map, 1), &s->alg))
		ret = 0;
	if (map)
		cbor_decref(&map);
	return ret;
}

int cose_parse(const struct attest_bytes *b, struct cose_sign1 *out)
{
	cbor_item_t *array, **item;

	memset(out, 0, sizeof(*out));
	if (b->size && *(const uint8_t *)b->data == TAG_SIGN1_BYTE) /* libcbor takes no tag of one byte */
		out->top = cbor_read((const uint8_t *)b->data + 1, b->size - 1);
	else
		out->top = cbor_read(b->data, b->size);
	if (!out->top)
		return -EINVAL;
	array = out->top;
	if (!cbor_isa_array(array) || !cbor_array_is_definite(array) || cbor_array_size(array) != 4)
		goto bad;
	item = cbor_array_handle(array);
	if (!cbor_bytes(item[0], &out->protected_header) || !cbor_isa_map(item[1]) ||
	    cbor_map_size(item[1]) != 0 || !cbor_map_is_definite(item[1]) ||
	    !cbor_bytes(item[2], &out->payload) || !cbor_bytes(item[3], &out->signature) || read_alg(out) < 0)
		goto bad;
	return 0;
bad:
	cose_free(out);
	return -EINVAL;
}

void cose_free(struct cose_sign1 *s)
{
	if (s->top)
		cbor_decref(&s->top);
	s->top = NULL;
}

static size_t put_bytes(uint8_t *p, const struct attest_bytes *b)
{
	if (b->size < 24) {
		p[0] = (uint8_t)(0x40 + b->size);
		memcpy(p + 1, b->data, b->size);
		return 1 + b->size;
	}
	p[0] = 0x5a; /* four bytes of length, then shortened to the form that is deterministic */
	put_be32(p + 1, (uint32_t)b->size);
	if (b->size < 0x100) {
		p[0] = 0x58;
		p[1] = (uint8_t)b->size;
		memcpy(p + 2, b->data, b->size);
		return 2 + b->size;
	}
	if (b->size < 0x10000) {
		p[0] = 0x59;
		put_be16(p + 1, (uint16_t)b->size);
		memcpy(p + 3, b->data, b->size);
		return 3 + b->size;
	}
	memcpy(p + 5, b->data, b->size);
	return 5 + b->size;
}

bool cose_verify(const struct cose_sign1 *s, EVP_PKEY *key)
{
	enum curve curve = s->alg == ALG_ES256 ? CURVE_P256 : CURVE_P384;
	size_t width = curve == CURVE_P256 ? 32 : 48, n = 12;
	uint8_t *tbs;
	bool ok;

	if ((s->alg != ALG_ES256 && s->alg != ALG_ES384) || s->signature.size != 2 * width)
		return false;
	tbs = malloc(32 + s->protected_header.size + s->payload.size);
	if (!tbs)
		return false;
	memcpy(tbs, "\x84\x6aSignature1", 12);
	n += put_bytes(tbs + n, &s->protected_header);
	tbs[n++] = 0x40; /* no external data */
	n += put_bytes(tbs + n, &s->payload);
	ok = ecdsa_verify_raw(key, curve, s->signature.data, width, false, tbs, n);
	free(tbs);
	return ok;
}
