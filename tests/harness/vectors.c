/* vectors.c: reading tests/vectors; verdicts; the flipping of bits. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/harness/vectors.h"

static struct attest_bytes read_stream(FILE *f, const char *name)
{
	size_t size = 0, room = 1 << 16;
	uint8_t *data = malloc(room);

	while (f && data) {
		size_t n = fread(data + size, 1, room - size, f);

		if (n == 0)
			break;
		size += n;
		if (size == room)
			data = realloc(data, room *= 2);
	}
	if (!f || !data || size == 0) {
		fprintf(stderr, "cannot read %s\n", name);
		abort();
	}
	return (struct attest_bytes){data, size};
}

struct attest_bytes vector(const char *path)
{
	char full[512];
	struct attest_bytes b;
	FILE *f;

	snprintf(full, sizeof(full), "tests/vectors/%s", path);
	f = fopen(full, "rb");
	b = read_stream(f, full);
	fclose(f);
	return b;
}

struct attest_bytes vector_gunzip(const char *path)
{
	char command[600];
	struct attest_bytes b;
	FILE *f;

	snprintf(command, sizeof(command), "gzip -dc tests/vectors/%s", path);
	f = popen(command, "r");
	b = read_stream(f, path);
	pclose(f);
	return b;
}

uint8_t *vector_copy(struct attest_bytes b)
{
	uint8_t *p = malloc(b.size);

	if (!p)
		abort();
	memcpy(p, b.data, b.size);
	return p;
}

void input_init(struct vector_input *vi, enum attest_kind kind, struct attest_bytes evidence, int64_t now)
{
	memset(vi, 0, sizeof(*vi));
	vi->in.kind = kind;
	vi->in.evidence = evidence;
	vi->in.now = now;
	vi->in.items = vi->items;
}

void input_add(struct vector_input *vi, enum attest_item_kind kind, struct attest_bytes b)
{
	if (vi->in.item_count == ATTEST_ITEMS_MAX)
		abort();
	vi->items[vi->in.item_count++] = (struct attest_item){kind, b};
}

const char *verdict(const struct vector_input *vi, struct attest_result **out)
{
	struct attest_result *r;
	const struct attest_check *bad;
	const char *name;

	if (attest_verify(&vi->in, &r) < 0)
		abort();
	bad = attest_first_failure(r);
	name = bad ? bad->name : r->ok ? "" : "?";
	if (out)
		*out = r;
	else
		attest_result_free(r);
	return name;
}

size_t flips_accepted(const struct vector_input *vi, uint8_t *at, size_t size, size_t step, size_t *example)
{
	size_t accepted = 0;

	for (size_t bit = 0; bit < size * 8; bit += step) {
		at[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		if (verdict(vi, NULL)[0] == 0) {
			accepted++;
			*example = bit;
		}
		at[bit / 8] ^= (uint8_t)(1u << (bit % 8));
	}
	return accepted;
}
