/* cca.c: Arm CCA tokens (Realm Management Monitor specification, "Realm attestation";
 * draft-ffm-rats-cca-token): a platform token by the CPU's key, whose nonce is the digest of the key that
 * signed the realm token. */
#include <stdio.h>
#include <string.h>

#include "cvm-host/attest/cca.h"
#include "cvm-host/attest/cose.h"
#include "cvm-host/attest/ecdsa.h"
#include "cvm-host/attest/tpm.h"

enum { TAG_COLLECTION = 399, KEY_PLATFORM = 44234, KEY_REALM = 44241, EAT_CWT = 263 };
enum {
	P_NONCE = 10,
	P_INSTANCE = 256,
	P_PROFILE = 265,
	P_LIFECYCLE = 2395,
	P_IMPLEMENTATION = 2396,
	P_COMPONENTS = 2399,
	P_SERVICE = 2400,
	P_CONFIG = 2401,
	P_HASH = 2402
};
enum {
	R_CHALLENGE = 10,
	R_PERSONALIZATION = 44235,
	R_HASH = 44236,
	R_KEY = 44237,
	R_INITIAL = 44238,
	R_EXTENSIBLE = 44239,
	R_KEY_HASH = 44240
};
#define LIFECYCLE_SECURED 0x30u /* high byte */

struct token {
	struct cose_sign1 sign;
	cbor_item_t *claims;
};

/* A member of the collection: the token itself, or [content format, token]. */
static bool member(const cbor_item_t *map, int64_t key, struct attest_bytes *out)
{
	const cbor_item_t *item = cbor_map_int(map, key);
	uint64_t format;

	if (item && cbor_isa_array(item) && cbor_array_size(item) == 2) {
		cbor_item_t **pair = cbor_array_handle(item);

		return cbor_uint(pair[0], &format) && format == EAT_CWT && cbor_bytes(pair[1], out);
	}
	return cbor_bytes(item, out);
}

static bool read_token(const struct attest_bytes *b, struct token *out)
{
	if (cose_parse(b, &out->sign) < 0)
		return false;
	out->claims = cbor_read(out->sign.payload.data, out->sign.payload.size);
	return out->claims && cbor_isa_map(out->claims);
}

static void free_token(struct token *t)
{
	if (t->claims)
		cbor_decref(&t->claims);
	cose_free(&t->sign);
}

/* Bytes of one of up to three sizes (0: unused), as a claim. */
static bool sized(struct verify *v, const cbor_item_t *map, int64_t key, const char *name,
		  const size_t sizes[3], struct attest_bytes *out)
{
	struct attest_bytes b;

	if (!cbor_bytes(cbor_map_int(map, key), &b) ||
	    (b.size != sizes[0] && b.size != sizes[1] && b.size != sizes[2]) || b.size == 0)
		return false;
	claim_bytes(v, name, b.data, b.size);
	if (out)
		*out = b;
	return true;
}

static const size_t digests[3] = {32, 48, 64}, only32[3] = {32}, only33[3] = {33}, only64[3] = {64};

static bool text_claim(struct verify *v, const cbor_item_t *item, const char *name, struct attest_bytes *out)
{
	if (!cbor_text(item, out) || out->size == 0 || out->size > 256)
		return false;
	claim_text(v, name, out->data, out->size);
	return true;
}

static bool text_is(const struct attest_bytes *t, const char *want)
{
	return t->size == strlen(want) && memcmp(t->data, want, t->size) == 0;
}

static const EVP_MD *hash_named(const struct attest_bytes *t)
{
	return text_is(t, "sha-256")   ? EVP_sha256()
	       : text_is(t, "sha-384") ? EVP_sha384()
	       : text_is(t, "sha-512") ? EVP_sha512()
				       : NULL;
}

static bool component(struct verify *v, const cbor_item_t *map, size_t n)
{
	struct attest_bytes text;
	char name[48];

	if (!cbor_isa_map(map))
		return false;
	snprintf(name, sizeof(name), "cca.sw.%zu.type", n);
	if (cbor_map_int(map, 1) && !text_claim(v, cbor_map_int(map, 1), name, &text))
		return false;
	snprintf(name, sizeof(name), "cca.sw.%zu.version", n);
	if (cbor_map_int(map, 4) && !text_claim(v, cbor_map_int(map, 4), name, &text))
		return false;
	snprintf(name, sizeof(name), "cca.sw.%zu.measurement", n);
	if (!sized(v, map, 2, name, digests, NULL))
		return false;
	snprintf(name, sizeof(name), "cca.sw.%zu.signer", n);
	return sized(v, map, 5, name, digests, NULL);
}

static bool platform_claims(struct verify *v, const cbor_item_t *m, uint64_t *lifecycle,
			    struct attest_bytes *nonce)
{
	const cbor_item_t *list = cbor_map_int(m, P_COMPONENTS);
	struct attest_bytes profile, hash, config, instance;

	if (!text_claim(v, cbor_map_int(m, P_PROFILE), "cca.profile", &profile) ||
	    (!text_is(&profile, "http://arm.com/CCA-SSD/1.0.0") &&
	     !text_is(&profile, "tag:arm.com,2023:cca_platform#1.0.0")))
		return check_fail(v, "cca.platform.format", "no profile that is known");
	if (!text_claim(v, cbor_map_int(m, P_HASH), "cca.hash", &hash) || !hash_named(&hash) ||
	    !sized(v, m, P_IMPLEMENTATION, "cca.implementation_id", only32, NULL) ||
	    !sized(v, m, P_INSTANCE, "cca.instance_id", only33, &instance) ||
	    *(const uint8_t *)instance.data != 1 || !cbor_bytes(cbor_map_int(m, P_CONFIG), &config) ||
	    !cbor_uint(cbor_map_int(m, P_LIFECYCLE), lifecycle) || *lifecycle > UINT16_MAX ||
	    !cbor_bytes(cbor_map_int(m, P_NONCE), nonce))
		return check_fail(v, "cca.platform.format", "a mandatory claim is missing or malformed");
	claim_bytes(v, "cca.config", config.data, config.size);
	claim_uint(v, "cca.lifecycle", *lifecycle);
	if (!list || !cbor_isa_array(list) || cbor_array_size(list) == 0 || cbor_array_size(list) > 32)
		return check_fail(v, "cca.platform.format", "no software components");
	for (size_t i = 0; i < cbor_array_size(list); i++)
		if (!component(v, cbor_array_handle(list)[i], i))
			return check_fail(v, "cca.platform.format", "software component %zu is malformed", i);
	return check_that(v, "cca.platform.format", true, "all mandatory claims");
}

static bool realm_claims(struct verify *v, const cbor_item_t *m, struct attest_bytes *challenge,
			 struct attest_bytes *key, struct attest_bytes *key_hash)
{
	const cbor_item_t *list = cbor_map_int(m, R_EXTENSIBLE);
	struct attest_bytes hash;

	if (!sized(v, m, R_CHALLENGE, "cca.realm.challenge", only64, challenge) ||
	    !sized(v, m, R_PERSONALIZATION, "cca.realm.personalization", only64, NULL) ||
	    !text_claim(v, cbor_map_int(m, R_HASH), "cca.realm.hash", &hash) || !hash_named(&hash) ||
	    !sized(v, m, R_INITIAL, "cca.realm.initial_measurement", digests, NULL) ||
	    !cbor_bytes(cbor_map_int(m, R_KEY), key) || !cbor_text(cbor_map_int(m, R_KEY_HASH), key_hash) ||
	    !list || !cbor_isa_array(list) || cbor_array_size(list) != 4)
		return check_fail(v, "cca.realm.format", "a mandatory claim is missing or malformed");
	for (size_t i = 0; i < 4; i++) {
		struct attest_bytes b;
		char name[32];

		if (!cbor_bytes(cbor_array_handle(list)[i], &b) ||
		    (b.size != 32 && b.size != 48 && b.size != 64))
			return check_fail(v, "cca.realm.format", "extensible measurement %zu is malformed", i);
		snprintf(name, sizeof(name), "cca.realm.extended%zu", i);
		claim_bytes(v, name, b.data, b.size);
	}
	claim_bytes(v, "cca.realm.public_key", key->data, key->size);
	return check_that(v, "cca.realm.format", true, "all mandatory claims");
}

/* The realm's key: an uncompressed point of P-384, or a COSE_Key of one (RFC 9052, 7). */
static EVP_PKEY *realm_key(const struct attest_bytes *b)
{
	const uint8_t *p = b->data;
	cbor_item_t *map;
	struct attest_bytes x, y;
	EVP_PKEY *key = NULL;
	int64_t kty, crv;
	uint8_t xy[96];

	if (b->size == 97 && p[0] == 4)
		return ecdsa_key_raw(CURVE_P384, p + 1);
	map = cbor_read(b->data, b->size);
	if (map && cbor_isa_map(map) && cbor_int(cbor_map_int(map, 1), &kty) && kty == 2 &&
	    cbor_int(cbor_map_int(map, -1), &crv) && crv == 2 && cbor_bytes(cbor_map_int(map, -2), &x) &&
	    x.size == 48 && cbor_bytes(cbor_map_int(map, -3), &y) && y.size == 48) {
		memcpy(xy, x.data, 48);
		memcpy(xy + 48, y.data, 48);
		key = ecdsa_key_raw(CURVE_P384, xy);
	}
	if (map)
		cbor_decref(&map);
	return key;
}

static void check_realm(struct verify *v, const struct token *realm, const struct attest_bytes *nonce)
{
	struct attest_bytes challenge, key_bytes, hash_name;
	const EVP_MD *md;
	uint8_t digest[64];
	unsigned int n = 0;
	EVP_PKEY *key;
	bool ok;

	if (!realm_claims(v, realm->claims, &challenge, &key_bytes, &hash_name))
		return;
	key = realm_key(&key_bytes);
	ok = key && cose_verify(&realm->sign, key);
	EVP_PKEY_free(key);
	check_that(v, "cca.realm.signature", ok, "%s", ok ? "by the realm's key" : "not by the realm's key");
	md = hash_named(&hash_name);
	ok = md && EVP_Digest(key_bytes.data, key_bytes.size, digest, &n, md, NULL) == 1 && nonce->size == n &&
	     memcmp(nonce->data, digest, n) == 0;
	check_that(v, "cca.binding", ok, "the platform token's nonce is the digest of the realm's key");
	check_challenge(v, challenge.data, challenge.size, true);
}

static void check_tokens(struct verify *v, const struct token *platform, const struct token *realm)
{
	const struct attest_bytes *given = item_find(v->in, ITEM_CCA_KEY, 0);
	struct attest_bytes nonce;
	uint64_t lifecycle = 0;
	EVP_PKEY *key = given ? tpm_read_ak(given) : NULL;
	bool secured, ok;

	if (platform_claims(v, platform->claims, &lifecycle, &nonce)) {
		claim_bool(v, "root.pinned",
			   false); /* there is no one CCA root: the key is the manufacturer's endorsement */
		ok = key && cose_verify(&platform->sign, key);
		check_that(v, "cca.platform.signature", ok, "%s",
			   ok	   ? "by the platform key that was given"
			   : given ? "not by the platform key that was given"
				   : "no platform key was given");
		secured = lifecycle >> 8 == LIFECYCLE_SECURED;
		check_knob(v, "cca.lifecycle", secured, v->in->knobs.allow_unsecured ? "allow_unsecured" : NULL,
			   secured ? "secured" : "life cycle 0x%llx is not secured",
			   (unsigned long long)lifecycle);
		check_realm(v, realm, &nonce);
	}
	EVP_PKEY_free(key);
}

void cca_verify(struct verify *v, const struct attest_bytes *evidence)
{
	cbor_item_t *top = cbor_read(evidence->data, evidence->size), *map = NULL;
	struct token platform = {0}, realm = {0};
	struct attest_bytes p, r;
	bool ok;

	if (top && cbor_isa_tag(top) && cbor_tag_value(top) == TAG_COLLECTION)
		map = cbor_tag_item(top);
	ok = map && cbor_isa_map(map) && cbor_map_size(map) == 2 && member(map, KEY_PLATFORM, &p) &&
	     member(map, KEY_REALM, &r) && read_token(&p, &platform) && read_token(&r, &realm);
	if (check_that(v, "cca.format", ok, "a collection of platform and realm token"))
		check_tokens(v, &platform, &realm);
	free_token(&platform);
	free_token(&realm);
	if (map)
		cbor_decref(&map);
	if (top)
		cbor_decref(&top);
}
