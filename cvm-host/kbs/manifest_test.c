/* manifest_test.c: k of n signatures, what is refused, the digest, the init data there and back. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cvm-host/kbs/jose.h"
#include "cvm-host/kbs/manifest.h"

static const char good[] =
	"{\"manifest\":{\"version\":1,\"name\":\"app\",\"svn\":7,\"platforms\":[\"snp\",\"insecure-sim\"],"
	"\"image\":{\"root-hash\":\"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\","
	"\"size\":4096},"
	"\"argv\":[\"/bin/app\",\"it's '''\"],\"env\":{\"A\":\"b\"},\"cwd\":\"/\","
	"\"mounts\":[{\"volume\":\"data\",\"target\":\"/data\",\"read-only\":false}],"
	"\"network\":{\"allow\":[{\"host\":\"db\",\"port\":5432,\"pins\":[]}]},"
	"\"keys\":[\"web/key/"
	"disk\"],\"host-verbs\":[\"ready\",\"exit\"],\"leases\":2,\"time\":{\"min-epoch\":1}}}";

static json_t *parse(const char *s)
{
	json_t *v = json_loads(s, 0, NULL);

	cr_assert_not_null(v);
	return v;
}

static void add_key(json_t *keys, const char *who, EVP_PKEY *k)
{
	json_object_set_new(keys, who, manifest_key_export(k));
}

Test(manifest, k_of_n_different_keys_have_to_sign)
{
	EVP_PKEY *a = manifest_key_new(), *b = key_generate_ec("P-256"), *c = manifest_key_new(),
		 *weak = key_generate_ec("P-384");
	json_t *doc = parse(good), *keys = json_object();

	add_key(keys, "a", a);
	add_key(keys, "b", b);
	cr_assert_lt(manifest_verify(doc, keys, 1, NULL), 0);
	cr_assert_eq(manifest_sign(doc, a, NULL), 0);
	cr_assert_eq(manifest_sign(doc, a, NULL), 0);
	cr_assert_eq(json_array_size(json_object_get(doc, "signatures")), 1, "a key signs once");
	cr_assert_eq(manifest_verify(doc, keys, 1, NULL), 0);
	cr_assert_eq(manifest_verify(doc, keys, 2, NULL), -EKEYREJECTED);
	cr_assert_eq(manifest_sign(doc, c, NULL), 0);
	cr_assert_eq(manifest_verify(doc, keys, 2, NULL), -EKEYREJECTED,
		     "a stranger's signature counts for nothing");
	add_key(keys, "a again", a);
	cr_assert_eq(manifest_verify(doc, keys, 2, NULL), -EKEYREJECTED, "one key under two names");
	cr_assert_eq(manifest_sign(doc, b, NULL), 0);
	cr_assert_eq(manifest_verify(doc, keys, 2, NULL), 0);
	cr_assert_lt(manifest_verify(doc, keys, 0, NULL), 0);
	cr_assert_lt(manifest_sign(doc, weak, NULL), 0);
	json_decref(doc);
	json_decref(keys);
	EVP_PKEY_free(a);
	EVP_PKEY_free(b);
	EVP_PKEY_free(c);
	EVP_PKEY_free(weak);
}

Test(manifest, no_member_can_change_after_signing)
{
	EVP_PKEY *a = manifest_key_new();
	json_t *doc = parse(good), *keys = json_object(), *m, *member, *copy;
	const char *name;

	add_key(keys, "a", a);
	cr_assert_eq(manifest_sign(doc, a, NULL), 0);
	m = json_object_get(doc, "manifest");
	json_object_foreach(m, name, member)
	{
		copy = json_deep_copy(doc);
		json_object_del(json_object_get(copy, "manifest"), name);
		cr_assert_eq(manifest_verify(copy, keys, 1, NULL), -EKEYREJECTED, "%s", name);
		json_decref(copy);
	}
	json_object_set_new(json_object_get(m, "env"), "A", json_string("c"));
	cr_assert_eq(manifest_verify(doc, keys, 1, NULL), -EKEYREJECTED);
	json_decref(doc);
	json_decref(keys);
	EVP_PKEY_free(a);
}

Test(manifest, the_form_is_strict)
{
	static const struct {
		const char *path, *member, *value;
	} bad[] = {
		{"", "version", "2"},
		{"", "name", "\"\""},
		{"", "svn", "-1"},
		{"", "svn", "\"7\""},
		{"", "platforms", "[\"vax\"]"},
		{"", "argv", "[]"},
		{"", "argv", "[5]"},
		{"", "env", "{\"A\":1}"},
		{"", "cwd", "\"relative\""},
		{"", "cwd", "\"/a/../b\""},
		{"", "keys", "[\"../../x\"]"},
		{"", "host-verbs", "[\"exec\"]"},
		{"", "surprise", "1"},
		{"image", "root-hash", "\"AB\""},
		{"image", "extra", "1"},
		{"network", "allow", "[{\"host\":\"x\"}]"},
		{"", "mounts", "[{\"volume\":\"v\",\"target\":\"x\"}]"},
		{"", "leases", "1.5"},
		{"", "network", "[]"},
	};
	json_t *doc = parse(good);
	struct err e;

	json_object_set_new(doc, "signatures", json_array());
	cr_assert_eq(manifest_check(doc, &e), 0, "%s", e.text);
	cr_assert(manifest_has_key(doc, "web/key/disk") && !manifest_has_key(doc, "web/key/other"));
	cr_assert(manifest_has_volume(doc, "data") && !manifest_has_volume(doc, "web"));
	cr_assert_eq(manifest_leases(doc), 2);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		json_t *copy = json_deep_copy(doc), *at = json_object_get(copy, "manifest");

		if (*bad[i].path)
			at = json_object_get(at, bad[i].path);
		json_object_set_new(at, bad[i].member, json_loads(bad[i].value, JSON_DECODE_ANY, NULL));
		cr_assert_lt(manifest_check(copy, NULL), 0, "%s.%s = %s", bad[i].path, bad[i].member,
			     bad[i].value);
		json_decref(copy);
	}
	json_decref(doc);
}

Test(manifest, init_data_carries_it_unchanged)
{
	EVP_PKEY *a = manifest_key_new();
	json_t *doc = parse(good), *again = NULL;
	char *text;

	cr_assert_eq(manifest_sign(doc, a, NULL), 0);
	text = manifest_initdata(doc);
	cr_assert_eq(manifest_from_initdata(text, strlen(text), &again, NULL), 0);
	cr_assert(json_equal(doc, again));
	cr_assert_eq(manifest_from_initdata("version = 1\n", 12, &again, NULL), -ENOENT);
	cr_assert_lt(manifest_from_initdata(text, strlen(text) - 1, &again, NULL), 0);
	text[strlen(text) - 6] = '\'';
	cr_assert_lt(manifest_from_initdata(text, strlen(text), &again, NULL), 0);
	free(text);
	json_decref(doc);
	json_decref(again);
	EVP_PKEY_free(a);
}
