/* report.c: a result as JSON. */
#include <jansson.h>
#include <stdlib.h>

#include "cvm-host/attest/evidence.h"

static json_t *hex(const uint8_t *data, size_t size)
{
	static const char digits[] = "0123456789abcdef";
	char *text = malloc(size * 2 + 1);
	json_t *j;

	if (!text)
		return NULL;
	for (size_t i = 0; i < size; i++) {
		text[i * 2] = digits[data[i] >> 4];
		text[i * 2 + 1] = digits[data[i] & 15];
	}
	j = json_stringn(text, size * 2);
	free(text);
	return j;
}

static json_t *claim_value(const struct attest_claim *c)
{
	switch (c->type) {
	case CLAIM_BOOL:
		return json_boolean(c->flag);
	case CLAIM_UINT: /* JSON numbers of jansson are signed: what does not fit is hexadecimal text */
		if (c->number > INT64_MAX)
			return json_sprintf("0x%llx", (unsigned long long)c->number);
		return json_integer((json_int_t)c->number);
	case CLAIM_TIME:
		return json_integer(c->time);
	case CLAIM_TEXT:
		return json_stringn((const char *)c->bytes.data, c->bytes.size);
	case CLAIM_BYTES:
		return hex(c->bytes.data, c->bytes.size);
	}
	return NULL;
}

char *attest_result_json(const struct attest_result *r)
{
	json_t *claims = json_object(), *checks = json_array(), *top;
	char *text;

	for (size_t i = 0; i < r->claim_count; i++)
		json_object_set_new(claims, r->claims[i].name, claim_value(&r->claims[i]));
	for (size_t i = 0; i < r->check_count; i++)
		json_array_append_new(checks, json_pack("{s:s, s:s, s:s}", "name", r->checks[i].name, "outcome",
							attest_outcome_name(r->checks[i].outcome), "reason",
							r->checks[i].reason));
	top = json_pack("{s:b, s:s, s:o, s:o}", "ok", r->ok, "kind", attest_kind_name(r->kind), "claims",
			claims, "checks", checks);
	text = top ? json_dumps(top, JSON_INDENT(2) | JSON_PRESERVE_ORDER) : NULL;
	json_decref(top);
	return text;
}
