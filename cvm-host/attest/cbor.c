/* cbor.c: CBOR through libcbor, held to what evidence needs. */
#include <string.h>

#include "cvm-host/attest/cose.h"

/* A pass over the items' heads before anything is allocated for them: a length can't exceed what is left. */
struct scan {
	size_t left;
	bool bad;
};

static void bounded(void *ctx, size_t n)
{
	struct scan *s = ctx;

	if (n > s->left)
		s->bad = true;
}

static void bounded_string(void *ctx, cbor_data data, size_t n)
{
	(void)data;
	bounded(ctx, n);
}

static bool heads_sane(const uint8_t *p, size_t size)
{
	struct cbor_callbacks cb = cbor_empty_callbacks;
	struct scan s = {.left = size};

	cb.array_start = bounded;
	cb.map_start = bounded;
	cb.byte_string = bounded_string;
	cb.string = bounded_string;
	while (s.left && !s.bad) {
		struct cbor_decoder_result r = cbor_stream_decode(p + size - s.left, s.left, &cb, &s);

		if (r.status != CBOR_DECODER_FINISHED || r.read == 0 || r.read > s.left)
			return false;
		s.left -= r.read;
	}
	return !s.bad;
}

cbor_item_t *cbor_read(const void *data, size_t size)
{
	struct cbor_load_result r;
	cbor_item_t *item;

	if (size == 0 || size > ATTEST_INPUT_MAX || !heads_sane(data, size))
		return NULL;
	item = cbor_load(data, size, &r);
	if (item && r.read != size)
		cbor_decref(&item);
	return item;
}

bool cbor_int(const cbor_item_t *item, int64_t *out)
{
	uint64_t n;

	if (!item || !cbor_is_int(item))
		return false;
	n = cbor_get_int(item);
	if (n > INT64_MAX)
		return false;
	*out = cbor_isa_negint(item) ? -1 - (int64_t)n : (int64_t)n;
	return true;
}

bool cbor_uint(const cbor_item_t *item, uint64_t *out)
{
	if (!item || !cbor_isa_uint(item))
		return false;
	*out = cbor_get_int(item);
	return true;
}

bool cbor_bytes(const cbor_item_t *item, struct attest_bytes *out)
{
	if (!item || !cbor_isa_bytestring(item) || !cbor_bytestring_is_definite(item))
		return false;
	*out = (struct attest_bytes){cbor_bytestring_handle(item), cbor_bytestring_length(item)};
	return true;
}

bool cbor_text(const cbor_item_t *item, struct attest_bytes *out)
{
	if (!item || !cbor_isa_string(item) || !cbor_string_is_definite(item))
		return false;
	*out = (struct attest_bytes){cbor_string_handle(item), cbor_string_length(item)};
	return true;
}

static bool same_key(const cbor_item_t *a, const cbor_item_t *b)
{
	struct attest_bytes x, y;
	int64_t m, n;

	if (cbor_int(a, &m) && cbor_int(b, &n))
		return m == n;
	return cbor_text(a, &x) && cbor_text(b, &y) && x.size == y.size && memcmp(x.data, y.data, x.size) == 0;
}

bool cbor_map_keys_distinct(const cbor_item_t *map)
{
	struct cbor_pair *p = cbor_map_handle(map);
	struct attest_bytes text;
	int64_t n;

	for (size_t i = 0; i < cbor_map_size(map); i++) {
		if (!cbor_int(p[i].key, &n) && !cbor_text(p[i].key, &text))
			return false;
		for (size_t k = 0; k < i; k++)
			if (same_key(p[i].key, p[k].key))
				return false;
	}
	return true;
}

cbor_item_t *cbor_map_int(const cbor_item_t *map, int64_t key)
{
	struct cbor_pair *p;
	int64_t n;

	if (!map || !cbor_isa_map(map) || !cbor_map_keys_distinct(map))
		return NULL;
	p = cbor_map_handle(map);
	for (size_t i = 0; i < cbor_map_size(map); i++)
		if (cbor_int(p[i].key, &n) && n == key)
			return p[i].value;
	return NULL;
}

cbor_item_t *cbor_map_text(const cbor_item_t *map, const char *key)
{
	struct attest_bytes text;
	struct cbor_pair *p;

	if (!map || !cbor_isa_map(map) || !cbor_map_keys_distinct(map))
		return NULL;
	p = cbor_map_handle(map);
	for (size_t i = 0; i < cbor_map_size(map); i++)
		if (cbor_text(p[i].key, &text) && text.size == strlen(key) &&
		    memcmp(text.data, key, text.size) == 0)
			return p[i].value;
	return NULL;
}
