/* jose_test.c: the examples of RFC 7515 to 7518 and 7638, both key encryptions there and back, and what is
 * refused. */
#include <criterion/criterion.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "cvm-host/kbs/jose.h"

static json_t *parse(const char *s)
{
	json_t *v = NULL;

	cr_assert_eq(json_read(s, strlen(s), 65536, &v, NULL), 0, "%s", s);
	return v;
}

static EVP_PKEY *import(const char *s)
{
	json_t *jwk = parse(s);
	EVP_PKEY *key = NULL;

	cr_assert_eq(jwk_import(jwk, &key, NULL), 0);
	json_decref(jwk);
	return key;
}

static int import_fails(const char *s)
{
	json_t *jwk = parse(s);
	EVP_PKEY *key = NULL;
	int ret = jwk_import(jwk, &key, NULL);

	EVP_PKEY_free(key);
	json_decref(jwk);
	return ret;
}

#define ES256_XY                                                                                               \
	"\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","              \
	"\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\""
#define ES256_JWS                                                                                              \
	"eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19" \
	"yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-"      \
	"Kg6NU1Q"

Test(jose, es256_of_rfc7515_a3_verifies_and_no_changed_byte_does)
{
	EVP_PKEY *key = import("{" ES256_XY "}");
	char text[] = ES256_JWS;
	struct jws j;

	cr_assert_eq(jws_parse(text, strlen(text), &j, NULL), 0);
	cr_assert_eq(jws_check(&j, key, "ES256", NULL), 0);
	cr_assert_lt(jws_check(&j, key, "ES384", NULL), 0);
	cr_assert_lt(jws_check(&j, key, "RS256", NULL), 0);
	jws_free(&j);
	for (size_t i = 0; i < strlen(text); i += 3) {
		char old = text[i];

		text[i] = old == 'A' ? 'B' : 'A';
		if (jws_parse(text, strlen(text), &j, NULL) == 0) {
			cr_assert_lt(jws_check(&j, key, "ES256", NULL), 0, "byte %zu", i);
			jws_free(&j);
		}
		text[i] = old;
	}
	EVP_PKEY_free(key);
}

Test(jose, what_we_sign_verifies)
{
	static const char *const kinds[][2] = {{"P-256", "ES256"}, {"P-384", "ES384"}};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		EVP_PKEY *key = key_generate_ec(kinds[i][0]);
		json_t *head = json_pack("{ss ss}", "alg", kinds[i][1], "typ", "JWT");
		char *text = jws_sign(key, head, "{}", 2, NULL);
		struct jws j;

		cr_assert_not_null(text);
		cr_assert_eq(jws_parse(text, strlen(text), &j, NULL), 0);
		cr_assert_eq(jws_check(&j, key, kinds[i][1], NULL), 0);
		cr_assert(j.payload.size == 2 && !memcmp(j.payload.data, "{}", 2));
		jws_free(&j);
		free(text);
		json_object_set_new(head, "alg", json_string("none"));
		cr_assert_null(jws_sign(key, head, "{}", 2, NULL));
		json_decref(head);
		EVP_PKEY_free(key);
	}
}

Test(jose, a_jws_without_algorithm_or_with_critical_extensions_is_refused)
{
	static const char *const heads[] = {"{}",
					    "{\"alg\":5}",
					    "{\"alg\":\"ES256\",\"crit\":[\"b64\"]}",
					    "{\"alg\":\"ES256\",\"b64\":false}",
					    "[]",
					    "{\"alg\":\"ES256\",\"alg\":\"none\"}"};

	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		char *h = b64url_encode(heads[i], strlen(heads[i])), *text = xasprintf("%s.e30.AA", h);
		struct jws j;

		cr_assert_lt(jws_parse(text, strlen(text), &j, NULL), 0, "%s", heads[i]);
		free(h);
		free(text);
	}
}

#define RFC7517_N                                                                                              \
	"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_"              \
	"BJECPebWKRXjBZCiF"                                                                                    \
	"V4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_"                              \
	"FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9"                                                                    \
	"c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_"         \
	"xBniIqbw0Ls1"                                                                                         \
	"jF44-csFCur-kEgU8awapJzKnqDKgw"

Test(jose, thumbprint_of_rfc7638)
{
	EVP_PKEY *key = import("{\"kty\":\"RSA\",\"n\":\"" RFC7517_N
			       "\",\"e\":\"AQAB\",\"alg\":\"RS256\",\"kid\":\"2011-04-29\"}");
	uint8_t t[32];
	char *s;

	cr_assert_eq(jwk_thumbprint(key, t), 0);
	s = b64url_encode(t, 32);
	cr_assert_str_eq(s, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
	free(s);
	EVP_PKEY_free(key);
}

Test(jose, keys_come_back_the_same)
{
	static const char *const curves[] = {"P-256", "P-384", "P-521"};

	for (size_t i = 0; i <= ARRAY_SIZE(curves); i++) {
		EVP_PKEY *key = i < ARRAY_SIZE(curves) ? key_generate_ec(curves[i]) : key_generate_rsa(2048),
			 *again = NULL;
		json_t *jwk = jwk_export(key, "x");

		cr_assert_not_null(jwk);
		cr_assert_eq(jwk_import(jwk, &again, NULL), 0);
		cr_assert_eq(EVP_PKEY_eq(key, again), 1);
		EVP_PKEY_free(key);
		EVP_PKEY_free(again);
		json_decref(jwk);
	}
}

Test(jose, keys_that_are_none_are_refused)
{
	cr_assert_lt(import_fails("{\"kty\":\"oct\",\"k\":\"AA\"}"), 0);
	cr_assert_lt(import_fails("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":"
				  "\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
				  "\"y\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\"}"),
		     0, "not on the curve");
	cr_assert_lt(import_fails("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83O\",\"y\":\"f83O\"}"), 0,
		     "short");
	cr_assert_lt(import_fails("{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"f83O\",\"y\":\"f83O\"}"), 0);
	cr_assert_lt(import_fails("{\"kty\":\"RSA\",\"n\":\"0vx7\",\"e\":\"AQAB\"}"), 0, "24 bits");
	cr_assert_lt(import_fails("{\"kty\":\"RSA\",\"n\":\"" RFC7517_N "\",\"e\":\"AQ\"}"), 0, "exponent 1");
	cr_assert_lt(import_fails("{\"kty\":\"RSA\",\"n\":\"" RFC7517_N "=\",\"e\":\"AQAB\"}"), 0, "padded");
	cr_assert_lt(import_fails("[]"), 0);
}

Test(jose, concat_kdf_of_rfc7518_appendix_c)
{
	static const uint8_t z[32] = {158, 86,	217, 29,  129, 113, 53,	 211, 114, 131, 66,
				      131, 191, 132, 38,  156, 251, 49,	 110, 163, 218, 128,
				      106, 72,	246, 218, 167, 121, 140, 254, 144, 196};
	struct blob zb = {0}, apu = {0}, apv = {0};
	uint8_t key[16];
	char *s;

	blob_set(&zb, z, sizeof(z));
	blob_set(&apu, "Alice", 5);
	blob_set(&apv, "Bob", 3);
	cr_assert_eq(jose_concat_kdf(&zb, "A128GCM", &apu, &apv, 128, key), 0);
	s = b64url_encode(key, 16);
	cr_assert_str_eq(s, "VqqN6vgjbSBcIijNcacQGg");
	free(s);
	blob_free(&zb);
	blob_free(&apu);
	blob_free(&apv);
}

Test(jose, a256gcm_of_rfc7516_a1)
{
	static const uint8_t cek[32] = {177, 161, 244, 128, 84,	 143, 225, 115, 63, 180, 3,
					255, 107, 154, 212, 246, 138, 7,   110, 91, 112, 46,
					34,  105, 47,  130, 203, 46,  122, 234, 64, 252};
	static const uint8_t iv[12] = {227, 197, 117, 252, 2, 219, 233, 68, 180, 225, 77, 219};
	static const char plain[] = "The true sign of intelligence is not knowledge but imagination.";
	static const char aad[] = "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ";
	static const char cipher[] =
		"5eym8TW_c8SuK0ltJ3rpYIzOeDQz7TALvtu6UG9oMo4vpzs9tX_EFShS8iB7j6jiSdiwkIr3ajwQzaBtQD_A";
	uint8_t out[80], tag[16];
	char *s;

	cr_assert_eq(gcm_seal(cek, iv, aad, strlen(aad), plain, strlen(plain), out, tag), 0);
	s = b64url_encode(out, strlen(plain));
	cr_assert_str_eq(s, cipher);
	free(s);
	s = b64url_encode(tag, 16);
	cr_assert_str_eq(s, "XFBoMYUZodetZdvTiFvSkQ");
	free(s);
}

static void both_ways(EVP_PKEY *key, EVP_PKEY *other, const char *alg)
{
	static const char *const members[] = {"protected", "encrypted_key", "iv", "ciphertext", "tag"};
	static const char secret[] = "not for the operator";
	struct blob out = {0};
	json_t *jwe = NULL;

	cr_assert_eq(jwe_encrypt(key, alg, secret, sizeof(secret), &jwe, NULL), 0);
	cr_assert_eq(json_object_size(jwe), 5);
	cr_assert_eq(jwe_decrypt(key, jwe, &out, NULL), 0);
	cr_assert(out.size == sizeof(secret) && !memcmp(out.data, secret, out.size));
	cr_assert_lt(jwe_decrypt(other, jwe, &out, NULL), 0, "another key opens it");
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		char *good = xstrdup(json_string_value(json_object_get(jwe, members[i]))), *bad = xstrdup(good);

		for (size_t at = 0; at < strlen(good); at += strlen(good) / 8 + 1) {
			bad[at] = good[at] == 'Q' ? 'R' : 'Q';
			json_object_set_new(jwe, members[i], json_string(bad));
			cr_assert_lt(jwe_decrypt(key, jwe, &out, NULL), 0, "%s byte %zu", members[i], at);
			bad[at] = good[at];
		}
		json_object_set_new(jwe, members[i], json_string(good));
		free(good);
		free(bad);
	}
	json_object_set_new(jwe, "aad", json_string("ZXh0cmE"));
	cr_assert_lt(jwe_decrypt(key, jwe, &out, NULL), 0, "additional data that was not there");
	json_decref(jwe);
	blob_free(&out);
}

Test(jose, content_reaches_the_recipient_unchanged_or_not_at_all)
{
	static const char *const curves[] = {"P-256", "P-384", "P-521"};
	EVP_PKEY *rsa = key_generate_rsa(2048), *rsa2 = key_generate_rsa(2048);
	json_t *jwe = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(curves); i++) {
		EVP_PKEY *a = key_generate_ec(curves[i]), *b = key_generate_ec(curves[i]);

		both_ways(a, b, JWE_ECDH);
		cr_assert_lt(jwe_encrypt(a, JWE_RSA, "x", 1, &jwe, NULL), 0);
		EVP_PKEY_free(a);
		EVP_PKEY_free(b);
	}
	both_ways(rsa, rsa2, JWE_RSA);
	cr_assert_lt(jwe_encrypt(rsa, JWE_ECDH, "x", 1, &jwe, NULL), 0);
	cr_assert_lt(jwe_encrypt(rsa, "RSA1_5", "x", 1, &jwe, NULL), 0);
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(rsa2);
}

Test(jose, canonical_json_of_rfc8785)
{
	json_t *v = parse(
		"{\"z\":[null,true,false,-7],\"\\u20ac\":\"\\u20ac$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\",\"a\":{},"
		"\"\\ufb33\":1,\"\\ud83d\\ude00\":2}");
	struct blob b = {0};

	cr_assert_eq(json_canonical(v, &b, NULL), 0);
	cr_assert_str_eq(
		(char *)b.data,
		"{\"a\":{},\"z\":[null,true,false,-7],\"\u20ac\":\"\u20ac$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\","
		"\"\U0001f600\":2,\"\ufb33\":1}");
	json_decref(v);
	v = parse("[1.5]");
	cr_assert_lt(json_canonical(v, &b, NULL), 0);
	json_decref(v);
	blob_free(&b);
}

Test(jose, json_is_read_strictly)
{
	static const char *const bad[] = {
		"{\"a\":1,\"a\":2}",
		"{} x",
		"[1,]",
		"",
		"{\"a\":\"\\u0000\"}",
		"nul",
		"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"};
	json_t *v = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		cr_assert_lt(json_read(bad[i], strlen(bad[i]), 4096, &v, NULL), 0, "%s", bad[i]);
	cr_assert_lt(json_read("[1]", 3, 2, &v, NULL), 0);
}

Test(jose, base64_has_one_form)
{
	static const char *const bad[] = {
		"A", "AB", "AA=", "A===", "AAAA=", "AA==AA==", "A-==", "A A=", "AAA=\n"};
	struct blob b = {0};

	cr_assert_eq(b64_decode("AA==", 4, &b), 0);
	cr_assert_eq(b.size, 1);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		cr_assert_lt(b64_decode(bad[i], strlen(bad[i]), &b), 0, "%s", bad[i]);
	cr_assert_lt(b64url_decode("AB", 2, &b), 0, "unused bits");
	cr_assert_lt(b64url_decode("AA==", 4, &b), 0);
	cr_assert_lt(b64url_decode("A/", 2, &b), 0);
	for (size_t n = 0; n < 70; n++) {
		uint8_t in[70];
		char *s;

		cr_assert_eq(random_fill(in, sizeof(in)), 0);
		s = b64url_encode(in, n);
		cr_assert_eq(b64url_decode(s, strlen(s), &b), 0);
		cr_assert(b.size == n && !memcmp(b.data, in, n));
		free(s);
		s = b64_encode(in, n);
		cr_assert_eq(b64_decode(s, strlen(s), &b), 0);
		cr_assert(b.size == n && !memcmp(b.data, in, n));
		free(s);
	}
	blob_free(&b);
}
