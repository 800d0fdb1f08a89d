/* cmd_manifest.c: `sbx manifest`: the owner's documents and keys. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cvm-host/cvm.h"
#include "cvm-host/kbs/jose.h"
#include "cvm-host/kbs/manifest.h"

static const char usage_text[] =
	"usage: sbx manifest keygen KEY.pem                       an Ed25519 key; prints its public JWK\n"
	"       sbx manifest public KEY.pem                       the public JWK of a key (Ed25519 or P-256)\n"
	"       sbx manifest sign --key KEY.pem MANIFEST          adds a signature, in place\n"
	"       sbx manifest verify [-k N] --keys KEYS MANIFEST   KEYS: JSON {\"who\":JWK}, or a policy's "
	"signers\n"
	"       sbx manifest show MANIFEST                        name, svn, digest, signatures\n"
	"       sbx manifest init-data MANIFEST                   the document that the platform measures "
	"(TOML)\n\n"
	"sign takes a manifest without signatures too: {\"manifest\":{...}} or the inner object alone.\n";

struct args {
	const char *key, *keys;
	unsigned threshold;
};

static int print_public(EVP_PKEY *key, struct err *e)
{
	json_t *jwk = manifest_key_export(key);

	if (!jwk)
		return err_set(e, -EINVAL, "signing keys are Ed25519 or P-256");
	json_dumpf(jwk, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(jwk);
	return 0;
}

static int keygen(const char *path, struct err *e)
{
	EVP_PKEY *key;
	int ret;

	if (access(path, F_OK) == 0)
		return err_set(e, -EEXIST, "%s exists", path);
	key = manifest_key_new();
	ret = key ? key_save(path, key, e) : err_set(e, -EIO, "OpenSSL makes no key");
	if (!ret)
		ret = print_public(key, e);
	EVP_PKEY_free(key);
	return ret;
}

static int show_public(const char *path, struct err *e)
{
	EVP_PKEY *key = NULL;
	int ret = key_load(path, &key, e);

	if (!ret)
		ret = print_public(key, e);
	EVP_PKEY_free(key);
	return ret;
}

static int sign(const struct args *a, const char *path, struct err *e)
{
	EVP_PKEY *key = NULL;
	json_t *doc = NULL;
	char *text = NULL;
	int ret = a->key ? key_load(a->key, &key, e) : err_set(e, -EINVAL, "--key is missing");

	if (!ret)
		ret = json_read_file(path, MANIFEST_MAX, &doc, e);
	if (!ret && !json_object_get(doc, "manifest"))
		doc = json_pack("{so}", "manifest", doc);
	if (!ret)
		ret = manifest_sign(doc, key, e);
	if (!ret) {
		text = json_dumps(doc, JSON_INDENT(1));
		ret = save_file(path, text, strlen(text), 0644, e);
	}
	free(text);
	json_decref(doc);
	EVP_PKEY_free(key);
	return ret;
}

static int verify(const struct args *a, const char *path, struct err *e)
{
	json_t *doc = NULL, *keys = NULL;
	int ret = a->keys ? json_read_file(a->keys, MANIFEST_MAX, &keys, e)
			  : err_set(e, -EINVAL, "--keys is missing");

	if (!ret)
		ret = json_read_file(path, MANIFEST_MAX, &doc, e);
	if (!ret)
		ret = manifest_verify(doc, json_object_get(keys, "signers") ?: keys, a->threshold, e);
	if (!ret)
		printf("%s svn %lld: signed by at least %u\n", manifest_name(doc), (long long)manifest_svn(doc),
		       a->threshold);
	json_decref(doc);
	json_decref(keys);
	return ret;
}

static int show(const char *path, bool init_data, struct err *e)
{
	json_t *doc = NULL, *sigs;
	uint8_t digest[48];
	char hex[97], *s;
	int ret = json_read_file(path, MANIFEST_MAX, &doc, e);

	if (!ret)
		ret = manifest_check(doc, e);
	if (!ret && init_data) {
		s = manifest_initdata(doc);
		fputs(s, stdout);
		free(s);
	} else if (!ret && !(ret = manifest_digest(doc, digest, e))) {
		bytes_to_hex(hex, digest, sizeof(digest));
		printf("name       %s\nsvn        %lld\ndigest     %s\n", manifest_name(doc),
		       (long long)manifest_svn(doc), hex);
		s = manifest_initdata(doc);
		sha384_of(s, strlen(s), digest);
		bytes_to_hex(hex, digest, sizeof(digest));
		printf("init data  %s\n", hex);
		free(s);
		sigs = json_object_get(doc, "signatures");
		for (size_t i = 0; i < json_array_size(sigs); i++)
			printf("signature  %s (not checked)\n",
			       json_string_value(json_object_get(json_array_get(sigs, i), "key")));
	}
	json_decref(doc);
	return ret;
}

static const struct option options[] = {{"key", required_argument, NULL, 'p'},
					{"keys", required_argument, NULL, 's'},
					{"threshold", required_argument, NULL, 'k'},
					{"help", no_argument, NULL, 'h'},
					{0}};

static int dispatch(const struct args *a, const char *verb, const char *path, struct err *e)
{
	if (!strcmp(verb, "keygen"))
		return keygen(path, e);
	if (!strcmp(verb, "public"))
		return show_public(path, e);
	if (!strcmp(verb, "sign"))
		return sign(a, path, e);
	if (!strcmp(verb, "verify"))
		return verify(a, path, e);
	if (!strcmp(verb, "show") || !strcmp(verb, "init-data"))
		return show(path, *verb == 'i', e);
	return err_set(e, -ENOSYS, "no such verb: %.40s", verb);
}

int cvm_manifest(int argc, char **argv)
{
	struct args a = {.threshold = 1};
	struct err e = {"failed"};
	int c, ret;

	while ((c = getopt_long(argc, argv, "k:h", options, NULL)) != -1) {
		if (c == 'h') {
			fputs(usage_text, stdout);
			return 0;
		}
		if (c == 'p')
			a.key = optarg;
		else if (c == 's')
			a.keys = optarg;
		else if (c == 'k')
			a.threshold = (unsigned)strtoul(optarg, NULL, 10);
		else
			argc = 0;
	}
	if (argc - optind != 2) {
		fputs(usage_text, stderr);
		return EXIT_USAGE;
	}
	ret = dispatch(&a, argv[optind], argv[optind + 1], &e);
	if (ret)
		cvm_complain("%s", e.text);
	return ret == -ENOSYS ? EXIT_USAGE : ret == -EKEYREJECTED ? EXIT_REFUSED : ret ? EXIT_OWN : 0;
}
