/* result.c: checks and claims of one result, and looking them up. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cvm-host/attest/internal.h"

static bool grow(struct verify *v, void **array, size_t count, size_t size)
{
	void *p;

	if (count & (count - 1) || (count && count < 16)) /* full only at powers of two from 16 up, and at 0 */
		return true;
	p = realloc(*array, (count ? count * 2 : 16) * size);
	if (!p) {
		v->oom = true;
		return false;
	}
	*array = p;
	return true;
}

static void add_check(struct verify *v, const char *name, enum attest_outcome outcome, const char *fmt,
		      va_list ap)
{
	struct attest_result *r = v->r;
	struct attest_check *c;

	if (outcome == CHECK_FAILED)
		r->ok = false;
	if (!grow(v, (void **)&r->checks, r->check_count, sizeof(*r->checks)))
		return;
	c = &r->checks[r->check_count++];
	c->name = name;
	c->outcome = outcome;
	vsnprintf(c->reason, sizeof(c->reason), fmt, ap);
	for (char *p = c->reason; *p; p++)
		if (*p < 0x20 || *p > 0x7e)
			*p = '?';
}

bool check_that(struct verify *v, const char *name, bool ok, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add_check(v, name, ok ? CHECK_PASSED : CHECK_FAILED, fmt, ap);
	va_end(ap);
	return ok;
}

bool check_knob(struct verify *v, const char *name, bool ok, const char *knob_if_set, const char *fmt, ...)
{
	char text[160];
	va_list ap;

	va_start(ap, fmt);
	if (ok || !knob_if_set) {
		add_check(v, name, ok ? CHECK_PASSED : CHECK_FAILED, fmt, ap);
		va_end(ap);
		return ok;
	}
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	check_that(v, name, true, "%s (accepted: %s)", text, knob_if_set);
	if (!v->oom)
		v->r->checks[v->r->check_count - 1].outcome = CHECK_WAIVED;
	return true;
}

bool check_fail(struct verify *v, const char *name, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add_check(v, name, CHECK_FAILED, fmt, ap);
	va_end(ap);
	return false;
}

void check_skip(struct verify *v, const char *name, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add_check(v, name, CHECK_SKIPPED, fmt, ap);
	va_end(ap);
}

static struct attest_claim *add_claim(struct verify *v, const char *name, enum attest_claim_type type)
{
	struct attest_result *r = v->r;
	struct attest_claim *c;

	if (attest_claim(r, name) || strlen(name) >= sizeof(c->name)) {
		check_fail(v, "claims", "claim %s twice, or its name is too long", name);
		return NULL;
	}
	if (!grow(v, (void **)&r->claims, r->claim_count, sizeof(*r->claims)))
		return NULL;
	c = &r->claims[r->claim_count++];
	memset(c, 0, sizeof(*c));
	snprintf(c->name, sizeof(c->name), "%s", name);
	c->type = type;
	return c;
}

void claim_bool(struct verify *v, const char *name, bool value)
{
	struct attest_claim *c = add_claim(v, name, CLAIM_BOOL);

	if (c)
		c->flag = value;
}

void claim_uint(struct verify *v, const char *name, uint64_t value)
{
	struct attest_claim *c = add_claim(v, name, CLAIM_UINT);

	if (c)
		c->number = value;
}

void claim_time(struct verify *v, const char *name, int64_t value)
{
	struct attest_claim *c = add_claim(v, name, CLAIM_TIME);

	if (c)
		c->time = value;
}

static struct attest_claim *claim_data(struct verify *v, const char *name, enum attest_claim_type type,
				       const void *data, size_t size)
{
	struct attest_claim *c = add_claim(v, name, type);
	uint8_t *copy;

	if (!c)
		return NULL;
	copy = malloc(size + 1);
	if (!copy) {
		v->oom = true;
		v->r->claim_count--;
		return NULL;
	}
	if (size)
		memcpy(copy, data, size);
	copy[size] = 0;
	c->bytes.data = copy;
	c->bytes.size = size;
	return c;
}

void claim_bytes(struct verify *v, const char *name, const void *data, size_t size)
{
	claim_data(v, name, CLAIM_BYTES, data, size);
}

void claim_text(struct verify *v, const char *name, const char *text, size_t size)
{
	struct attest_claim *c = claim_data(v, name, CLAIM_TEXT, text, size);

	if (!c)
		return;
	for (size_t i = 0; i < size; i++)
		if (c->bytes.data[i] < 0x20 || c->bytes.data[i] > 0x7e)
			c->bytes.data[i] = '?';
}

const struct attest_claim *attest_claim(const struct attest_result *r, const char *name)
{
	for (size_t i = 0; i < r->claim_count; i++)
		if (strcmp(r->claims[i].name, name) == 0)
			return &r->claims[i];
	return NULL;
}

const struct attest_check *attest_check(const struct attest_result *r, const char *name)
{
	for (size_t i = 0; i < r->check_count; i++)
		if (strcmp(r->checks[i].name, name) == 0)
			return &r->checks[i];
	return NULL;
}

const struct attest_check *attest_first_failure(const struct attest_result *r)
{
	for (size_t i = 0; i < r->check_count; i++)
		if (r->checks[i].outcome == CHECK_FAILED)
			return &r->checks[i];
	return NULL;
}

void attest_result_free(struct attest_result *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->claim_count; i++)
		if (r->claims[i].type == CLAIM_BYTES || r->claims[i].type == CLAIM_TEXT)
			free(r->claims[i].bytes.data);
	free(r->claims);
	free(r->checks);
	free(r);
}

const struct attest_bytes *item_find(const struct attest_input *in, enum attest_item_kind kind, size_t n)
{
	for (size_t i = 0; i < in->item_count; i++)
		if (in->items[i].kind == kind && n-- == 0)
			return &in->items[i].bytes;
	return NULL;
}

bool bytes_zero(const void *p, size_t n)
{
	const uint8_t *b = p;
	uint8_t all = 0;

	for (size_t i = 0; i < n; i++)
		all |= b[i];
	return all == 0;
}

bool bytes_equal(const void *a, const void *b, size_t n)
{
	return n == 0 || memcmp(a, b, n) == 0;
}

void check_challenge(struct verify *v, const void *carried, size_t size, bool padded)
{
	const struct attest_bytes *want = &v->in->challenge;
	bool ok;

	if (!want->data) {
		check_skip(v, "challenge", "none was given to compare with: the evidence may be old");
		return;
	}
	ok = want->size <= size && (padded || want->size == size) && want->size > 0 &&
	     bytes_equal(want->data, carried, want->size) &&
	     bytes_zero((const uint8_t *)carried + want->size, size - want->size);
	check_that(v, "challenge", ok,
		   ok ? "the evidence answers this challenge" : "the evidence answers another challenge");
}
