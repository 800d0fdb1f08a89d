/* statement.c: signed statements of Intel's provisioning certification service: wrapper, signature, validity.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cvm-host/attest/ecdsa.h"
#include "cvm-host/attest/intel.h"
#include "cvm-host/hex.h"

#define SIGNATURE_HEX 128u

/* The wrapper is taken byte for byte as the service writes it, so that none of it is open to interpretation. */
static const char *member_text(const struct attest_bytes *b, const char *member, size_t *size,
			       const char **signature)
{
	static const char middle[] = ",\"signature\":\"";
	const char *text = b->data;
	size_t n = b->size, before, tail = sizeof(middle) - 1 + SIGNATURE_HEX + 2;
	char prefix[64];

	while (n && (text[n - 1] == '\n' || text[n - 1] == '\r'))
		n--;
	before = (size_t)snprintf(prefix, sizeof(prefix), "{\"%s\":", member);
	if (n <= before + tail || memcmp(text, prefix, before) != 0 || memcmp(text + n - 2, "\"}", 2) != 0 ||
	    memcmp(text + n - tail, middle, sizeof(middle) - 1) != 0)
		return NULL;
	*size = n - before - tail;
	*signature = text + n - 2 - SIGNATURE_HEX;
	return text + before;
}

/* "2025-06-19T10:16:03Z"; 0 when it is something else */
static int64_t parse_time(const json_t *j)
{
	const char *text = json_string_value(j);
	struct tm tm = {0};
	const char *end;

	if (!text || strlen(text) != 20)
		return 0;
	end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
	if (!end || *end)
		return 0;
	return (int64_t)timegm(&tm);
}

static bool fresh(struct verify *v, const char *name, const struct statement *s)
{
	const struct attest_knobs *k = &v->in->knobs;
	char window[80];

	snprintf(window, sizeof(window), "%s to %s", json_string_value(json_object_get(s->json, "issueDate")),
		 json_string_value(json_object_get(s->json, "nextUpdate")));
	if (v->in->now < s->issued || v->in->now >= s->next_update)
		return check_fail(v, name, "not valid at the time: %s", window);
	if (s->evaluation < k->min_tcb_evaluation)
		return check_fail(v, name, "TCB evaluation %u is below the minimum of %u", s->evaluation,
				  k->min_tcb_evaluation);
	return check_that(v, name, true, "signed by Intel, valid from %s", window);
}

bool statement_read(struct verify *v, const char *name, const struct attest_bytes *b, const char *member,
		    EVP_PKEY *key, struct statement *out)
{
	size_t size = 0;
	const char *signature = NULL, *text = member_text(b, member, &size, &signature);
	const json_t *n;
	uint8_t sig[64];

	if (!text || hex_decode_lower(signature, SIGNATURE_HEX, sig, sizeof(sig)) != 64)
		return check_fail(v, name, "not a signed %s as the service writes it", member);
	if (!ecdsa_verify_raw(key, CURVE_P256, sig, 32, false, text, size))
		return check_fail(v, name, "the signature is not the TCB signing certificate's");
	out->json = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(out->json))
		return check_fail(v, name, "not JSON");
	out->issued = parse_time(json_object_get(out->json, "issueDate"));
	out->next_update = parse_time(json_object_get(out->json, "nextUpdate"));
	n = json_object_get(out->json, "tcbEvaluationDataNumber");
	if (!out->issued || !out->next_update || !json_is_integer(n) || json_integer_value(n) < 0 ||
	    json_integer_value(n) > UINT32_MAX)
		return check_fail(v, name, "no dates or evaluation number");
	out->evaluation = (uint32_t)json_integer_value(n);
	return fresh(v, name, out);
}

void statement_free(struct statement *s)
{
	json_decref(s->json);
	s->json = NULL;
}
