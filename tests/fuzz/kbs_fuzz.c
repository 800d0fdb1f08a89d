/* kbs_fuzz.c: everything of the key broker protocol that reads a stranger's bytes. The first byte says which
 * reader; what one of our writers made of an accepted message has to be read again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cvm-host/kbs/http.h"
#include "cvm-host/kbs/manifest.h"
#include "cvm-host/kbs/policy.h"
#include "cvm-host/kbs/protocol.h"
#include "cvm-host/kbs/tee.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void heads(const uint8_t *p, size_t size, bool response)
{
	struct http_head h;
	char *cookie;

	if (http_parse((const char *)p, size, response, 1 << 20, &h) != 1)
		return;
	must(h.size <= size && h.count <= HTTP_HEADERS_MAX && h.body <= 1 << 20);
	cookie = http_cookie(&h, response ? "set-cookie" : "cookie", KBS_COOKIE);
	free(cookie);
	/* a shorter head is no head */
	must(http_parse((const char *)p, h.size - 1, response, 1 << 20, &h) == 0);
}

static void messages(const uint8_t *p, size_t size)
{
	struct kbs_challenge c, d;
	struct kbs_attestation a, b;
	struct kbs_request r;
	uint8_t report[64];
	char *s;

	if (kbs_request_parse(p, size, &r, NULL) == 0)
		must(strlen(r.tee) > 0);
	if (kbs_challenge_parse(p, size, &c, NULL) == 0) {
		s = kbs_challenge_text(&c);
		must(kbs_challenge_parse(s, strlen(s), &d, NULL) == 0 && !strcmp(c.nonce, d.nonce) &&
		     c.hash == d.hash);
		free(s);
	}
	if (kbs_attestation_parse(p, size, &a, NULL) < 0)
		return;
	s = kbs_attestation_text(a.nonce, a.pubkey, a.binding, a.primary, a.additional, a.init_format,
				 a.init_body);
	must(kbs_attestation_parse(s, strlen(s), &b, NULL) == 0 && json_equal(a.pubkey, b.pubkey));
	must(kbs_report_data(KBS_SHA384, a.nonce, a.pubkey, a.additional, a.binding, report, NULL) == 0);
	free(s);
	kbs_attestation_free(&a);
	kbs_attestation_free(&b);
}

static void evidence(const uint8_t *p, size_t size)
{
	static const char *const names[] = {"sample", "snp", "tdx", "insecure-sim", "cca", "gpu"};
	static const uint8_t report[64];
	struct tee_verdict v;
	json_t *e = NULL;

	if (!size || json_read(p + 1, size - 1, 1 << 20, &e, NULL) < 0)
		return;
	if (tee_verify(names[*p % 6], e, report, 48, NULL, 1790000000, &v, NULL) == 0)
		tee_verdict_free(&v);
	json_decref(e);
}

static void jose(const uint8_t *p, size_t size)
{
	static EVP_PKEY *key;
	struct blob plain = {0};
	EVP_PKEY *theirs = NULL;
	json_t *v = NULL;
	struct jws j;

	if (!key)
		key = key_generate_ec("P-256");
	if (jws_parse((const char *)p, size, &j, NULL) == 0) {
		must(jws_check(&j, key, "ES256", NULL) < 0);
		jws_free(&j);
	}
	if (json_read(p, size, 65536, &v, NULL) < 0)
		return;
	if (jwk_import(v, &theirs, NULL) == 0)
		EVP_PKEY_free(theirs);
	must(jwe_decrypt(key, v, &plain, NULL) < 0);
	json_decref(v);
}

static void documents(const uint8_t *p, size_t size)
{
	struct policy *policy = NULL;
	json_t *v = NULL, *again = NULL;
	struct blob text = {0}, text2 = {0};
	char *s;

	if (manifest_from_initdata((const char *)p, size, &v, NULL) == 0) {
		s = manifest_initdata(v);
		if (s && strlen(s) < MANIFEST_MAX)
			must(manifest_from_initdata(s, strlen(s), &again, NULL) == 0 && json_equal(v, again));
		free(s);
		json_decref(again);
		json_decref(v);
	}
	v = again = NULL;
	if (json_read(p, size, 65536, &v, NULL) < 0)
		return;
	if (policy_load(v, &policy, NULL) == 0)
		policy_free(policy);
	if (manifest_check(v, NULL) == 0)
		must(manifest_name(v) != NULL);
	if (json_canonical(v, &text, NULL) == 0) {
		must(json_read(text.data, text.size, 1 << 20, &again, NULL) == 0 &&
		     json_canonical(again, &text2, NULL) == 0);
		must(text.size == text2.size && !memcmp(text.data, text2.data, text.size));
	}
	json_decref(v);
	json_decref(again);
	blob_free(&text);
	blob_free(&text2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	switch (*data % 6) {
	case 0:
	case 1:
		heads(data + 1, size - 1, *data % 6);
		break;
	case 2:
		messages(data + 1, size - 1);
		break;
	case 3:
		evidence(data + 1, size - 1);
		break;
	case 4:
		jose(data + 1, size - 1);
		break;
	default:
		documents(data + 1, size - 1);
	}
	return 0;
}
