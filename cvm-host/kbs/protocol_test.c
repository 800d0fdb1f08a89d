/* protocol_test.c: the samples of the protocol's own repository, our messages there and back, the binding hash,
 * and HTTP heads good and bad. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cvm-host/kbs/http.h"
#include "cvm-host/kbs/protocol.h"
#include "tests/harness/vectors.h"

static int request(const char *s, struct kbs_request *r)
{
	return kbs_request_parse(s, strlen(s), r, NULL);
}

Test(kbs_protocol, requests_say_version_and_tee)
{
	struct kbs_request r;
	char *s;

	cr_assert_eq(request("{\"version\":\"0.4.0\",\"tee\":\"snp\",\"extra-params\":\"\"}", &r), 0);
	cr_assert_str_eq(r.tee, "snp");
	cr_assert_eq(r.hash, KBS_SHA384);
	cr_assert_not(r.binding);
	cr_assert_eq(request("{\"version\":\"0.4.0\",\"tee\":\"se\",\"extra-params\":{\"supported-hash-"
			     "algorithms\":[\"md5\",\"sha512\",\"sha256\"]}}",
			     &r),
		     0);
	cr_assert_eq(r.hash, KBS_SHA512);
	s = kbs_request_text("tdx");
	cr_assert_eq(request(s, &r), 0);
	cr_assert(r.binding && r.hash == KBS_SHA384 && !strcmp(r.tee, "tdx"));
	free(s);
	/* the sample of virtee/kbs-types is of another version */
	cr_assert_eq(request("{\"version\":\"0.0.0\",\"tee\":\"sev\",\"extra-params\":\"\"}", &r),
		     -EPROTONOSUPPORT);
	cr_assert_eq(request("{\"version\":\"0.1.1\",\"tee\":\"snp\"}", &r), -EPROTONOSUPPORT);
	cr_assert_lt(request("{\"version\":\"0.4.0\",\"tee\":\"../x\"}", &r), 0);
	cr_assert_lt(request("{\"version\":\"0.4.0\",\"tee\":\"abcdefghijklmnopqrstuvwxyz\"}", &r), 0);
	cr_assert_lt(request("{\"version\":\"0.4.0\"}", &r), 0);
	cr_assert_lt(request("{\"version\":\"0.4.0\",\"tee\":\"snp\",\"extra-params\":{\"supported-hash-"
			     "algorithms\":[\"md5\"]}}",
			     &r),
		     0);
	cr_assert_lt(request("[]", &r), 0);
}

Test(kbs_protocol, challenges_come_back_the_same)
{
	struct kbs_challenge c = {.nonce = "bm9uY2U=", .hash = KBS_SHA512, .binding = true}, d;
	char *s = kbs_challenge_text(&c);

	cr_assert_eq(kbs_challenge_parse(s, strlen(s), &d, NULL), 0);
	cr_assert(!strcmp(d.nonce, c.nonce) && d.hash == c.hash && d.binding);
	free(s);
	s = (char *)(uintptr_t) "{\"nonce\":\"42\",\"extra-params\":\"\"}"; /* virtee/kbs-types parse_challenge
									     */
	cr_assert_eq(kbs_challenge_parse(s, strlen(s), &d, NULL), 0);
	cr_assert(!strcmp(d.nonce, "42") && d.hash == KBS_SHA384 && !d.binding);
	s = (char *)(uintptr_t) "{\"nonce\":\"42\",\"extra-params\":{\"selected-hash-algorithm\":\"md5\"}}";
	cr_assert_lt(kbs_challenge_parse(s, strlen(s), &d, NULL), 0);
	s = (char *)(uintptr_t) "{\"nonce\":\"\"}";
	cr_assert_lt(kbs_challenge_parse(s, strlen(s), &d, NULL), 0);
}

#define EC_KEY "{\"kty\":\"EC\",\"crv\":\"P-256\",\"alg\":\"ECDH-ES+A256KW\",\"x\":\"eA\",\"y\":\"eQ\"}"

static int attestation(const char *key, const char *evidence, struct kbs_attestation *a)
{
	char *s = xasprintf("{\"runtime-data\":{\"nonce\":\"n\",\"tee-pubkey\":%s},\"tee-evidence\":%s}", key,
			    evidence);
	int ret = kbs_attestation_parse(s, strlen(s), a, NULL);

	free(s);
	return ret;
}

Test(kbs_protocol, attestations_carry_key_nonce_and_evidence)
{
	static const char ev[] = "{\"primary_evidence\":{\"svn\":\"1\"},\"additional_evidence\":\"\"}";
	struct kbs_attestation a, b;
	char *s;

	cr_assert_eq(attestation(EC_KEY, ev, &a), 0);
	s = kbs_attestation_text(a.nonce, a.pubkey, "YmluZA==", a.primary, a.additional, "toml", "x = 1");
	cr_assert_eq(kbs_attestation_parse(s, strlen(s), &b, NULL), 0);
	cr_assert(json_equal(a.pubkey, b.pubkey) && json_equal(a.primary, b.primary));
	cr_assert(!strcmp(b.binding, "YmluZA==") && !strcmp(b.init_body, "x = 1") &&
		  !strcmp(b.init_format, "toml"));
	free(s);
	kbs_attestation_free(&a);
	kbs_attestation_free(&b);
	cr_assert_lt(attestation(EC_KEY, "{\"additional_evidence\":\"\"}", &a), 0);
	cr_assert_lt(attestation(EC_KEY, "{\"primary_evidence\":{}}", &a), 0);
	cr_assert_lt(attestation(EC_KEY, "\"fakeevidence\"", &a), 0, "before 0.2 evidence was a string");
	cr_assert_lt(
		attestation("{\"kty\":\"EC\",\"alg\":\"fakealgorithm\",\"crv\":\"c\",\"x\":\"x\",\"y\":\"y\"}",
			    ev, &a),
		0);
	cr_assert_lt(attestation("{\"kty\":\"RSA\",\"alg\":\"RSA1_5\",\"n\":\"x\",\"e\":\"y\"}", ev, &a), 0);
	cr_assert_lt(
		attestation("{\"kty\":\"RSA\",\"alg\":\"RSA-OAEP-256\",\"n\":\"x\",\"e\":\"y\",\"d\":\"z\"}",
			    ev, &a),
		0);
	cr_assert_lt(attestation("{\"kty\":\"RSA\",\"alg\":\"RSA-OAEP-256\",\"n\":\"x\",\"e\":3}", ev, &a), 0);
}

/* SHA-384 of {"additional-evidence":"","nonce":"n","tee-pubkey":{"alg":...}} as Python's hashlib computes it */
Test(kbs_protocol, report_data_is_the_hash_of_the_canonical_runtime_data)
{
	static const char text[] =
		"{\"additional-evidence\":\"\",\"nonce\":\"n\",\"tee-pubkey\":{\"alg\":\"ECDH-ES+A256KW\","
		"\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"eA\",\"y\":\"eQ\"}}";
	json_t *key = json_loads(EC_KEY, 0, NULL);
	uint8_t out[64], other[64], want[64] = {0};

	sha384_of(text, strlen(text), want);
	cr_assert_eq(kbs_report_data(KBS_SHA384, "n", key, "", NULL, out, NULL), 0);
	cr_assert_arr_eq(out, want, 64);
	cr_assert_eq(kbs_report_data(KBS_SHA384, "n", key, NULL, NULL, other, NULL), 0);
	cr_assert_neq(memcmp(out, other, 64), 0, "devices commit to less");
	cr_assert_eq(kbs_report_data(KBS_SHA384, "n", key, "", "c", other, NULL), 0);
	cr_assert_neq(memcmp(out, other, 64), 0, "the channel counts");
	cr_assert_eq(kbs_report_data(KBS_SHA384, "m", key, "", NULL, other, NULL), 0);
	cr_assert_neq(memcmp(out, other, 64), 0, "the nonce counts");
	json_decref(key);
}

Test(kbs_protocol, resource_names_are_safe_paths)
{
	static const char *const bad[] = {"",	    "a/b",   "a/b/c/d",	 "/a/b/c",  "a/b/",   "a//c",  "../b/c",
					  "a/../c", "a/b/.", "a/b/c%2f", "a/b/c d", "a/b/\\", "a/.b/c"};

	cr_assert(kbs_resource_ok("default/key/disk-1_a~"));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		cr_assert_not(kbs_resource_ok(bad[i]), "%s", bad[i]);
}

Test(kbs_protocol, errors_say_kind_and_detail)
{
	char *s = kbs_error_text("PolicyDeny", "no \"rule\"");
	struct err e;

	cr_assert_not_null(
		strstr(s, "\"type\":\"https://github.com/confidential-containers/kbs/errors/PolicyDeny\""));
	kbs_error_parse(s, strlen(s), &e);
	cr_assert_str_eq(e.text, "no \"rule\"");
	free(s);
	kbs_error_parse("<html>\n", 7, &e);
	cr_assert_str_eq(e.text, "<html>?");
	s = kbs_error_text("X", "\xff");
	cr_assert_not_null(strstr(s, "\"detail\":\"\""));
	free(s);
}

static int head(const char *s, bool response, struct http_head *h)
{
	return http_parse(s, strlen(s), response, 1000, h);
}

Test(kbs_http, heads_are_taken_apart)
{
	static const char req[] = "POST /kbs/v0/auth HTTP/1.1\r\nHost: x\r\ncontent-length:  12 \r\nCookie: "
				  "a=b; kbs-session-id=77; c=d\r\n\r\nrest";
	struct http_head h;
	char *c;

	cr_assert_eq(head(req, false, &h), 1);
	cr_assert(http_is(&h.method, "POST") && http_is(&h.target, "/kbs/v0/auth"));
	cr_assert(h.body == 12 && h.size == strlen(req) - 4 && h.keep_alive);
	c = http_cookie(&h, "cookie", "kbs-session-id");
	cr_assert_str_eq(c, "77");
	free(c);
	cr_assert_null(http_cookie(&h, "cookie", "session-id"));
	for (size_t n = 0; n < h.size; n++)
		cr_assert_eq(http_parse(req, n, false, 1000, &h), 0, "%zu bytes", n);
	cr_assert_eq(head("HTTP/1.1 401 Not you\r\nConnection: close\r\n\r\n", true, &h), 1);
	cr_assert(h.status == 401 && !h.keep_alive && h.body == 0);
}

Test(kbs_http, what_could_be_read_in_two_ways_is_refused)
{
	static const char *const bad[] = {
		"GET / HTTP/1.1\nHost: x\n\n",
		"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
		"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
		"GET / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\n",
		"GET / HTTP/1.1\r\nContent-Length: +1\r\n\r\n",
		"GET / HTTP/1.1\r\nContent-Length: 1001\r\n\r\n",
		"GET / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
		"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
		"GET / HTTP/1.1\r\nContent-Length : 1\r\n\r\n",
		"GET / HTTP/1.1\r\n: 1\r\n\r\n",
		"GET / HTTP/1.1\r\nA: \x01\r\n\r\n",
		"GET  / HTTP/1.1\r\n\r\n",
		"GET http://x/ HTTP/1.1\r\n\r\n",
		"GET / HTTP/2.0\r\n\r\n",
		"GET / HTTP/1.0\r\n\r\n",
		"GET /\r\n\r\n",
		"\r\n\r\n",
		" GET / HTTP/1.1\r\n\r\n",
	};
	struct http_head h;
	char big[HTTP_HEAD_MAX + 1];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		cr_assert_lt(head(bad[i], false, &h), 0, "%zu: %s", i, bad[i]);
	cr_assert_lt(head("HTTP/1.1 4x1 \r\n\r\n", true, &h), 0);
	cr_assert_lt(http_parse("GET / HTTP/1.1\r\nA: b\0c\r\n\r\n", 26, false, 9, &h), 0);
	memset(big, 'a', sizeof(big));
	memcpy(big, "GET /", 5);
	cr_assert_eq(http_parse(big, sizeof(big), false, 9, &h), -EMSGSIZE);
}

/* virtee/kbs-types' own samples (tests/vectors/kbs). They are of versions before 0.4.0: what is refused is
 * refused for that reason, the rest reads, and what we write of it reads the same. */
Test(kbs_protocol, the_samples_of_the_protocols_repository)
{
	struct attest_bytes file = vector("kbs/kbs-types-samples.json");
	json_t *root = NULL, *samples, *sample;
	EVP_PKEY *key = key_generate_ec("P-256");
	size_t i, seen = 0;

	cr_assert_eq(json_read(file.data, file.size, 1 << 20, &root, NULL), 0);
	samples = json_object_get(root, "samples");
	json_array_foreach(samples, i, sample)
	{
		const char *name = json_string_value(json_object_get(sample, "test"));
		json_t *v = json_object_get(sample, "json");
		char *text = json_dumps(v, JSON_COMPACT), *again;
		struct kbs_attestation a;
		struct kbs_challenge c;
		struct kbs_request r;
		struct blob plain = {0};
		struct err e = {""};

		seen++;
		if (!strcmp(name, "parse_request")) {
			cr_assert_eq(kbs_request_parse(text, strlen(text), &r, &e), -EPROTONOSUPPORT);
			json_object_set_new(v, "version", json_string("0.4.0"));
			again = json_dumps(v, JSON_COMPACT);
			cr_assert_eq(kbs_request_parse(again, strlen(again), &r, &e), 0, "%s", e.text);
			cr_assert_str_eq(r.tee, "sev");
			free(again);
		} else if (!strcmp(name, "parse_challenge")) {
			cr_assert_eq(kbs_challenge_parse(text, strlen(text), &c, &e), 0);
			cr_assert_str_eq(c.nonce, "42");
		} else if (!strncmp(name, "parse_response", 14)) {
			/* a JWE in form, with algorithms named "fakealg" */
			cr_assert_lt(jwe_decrypt(key, v, &plain, &e), 0);
			cr_assert(strstr(e.text, "12 bytes") || strstr(e.text, "fakeenc") ||
					  strstr(e.text, "JSON"),
				  "%s", e.text);
		} else if (!strncmp(name, "parse_attestation", 17)) {
			cr_assert_lt(kbs_attestation_parse(text, strlen(text), &a, &e), 0);
			cr_assert_not_null(strstr(e.text, "tee-evidence"), "%s", e.text);
		} else {
			cr_assert_str_eq(name, "parse_error_information");
			kbs_error_parse(text, strlen(text), &e);
			cr_assert_str_eq(e.text, "problemdetail");
		}
		free(text);
	}
	cr_assert_eq(seen, 9);
	json_decref(root);
	EVP_PKEY_free(key);
}
