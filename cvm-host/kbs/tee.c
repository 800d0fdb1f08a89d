/* tee.c: from the protocol's evidence to the verifier's claims. */
#include "cvm-host/kbs/tee.h"

#include <dirent.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "cvm-host/kbs/snp_json.h"

#define COLLATERAL_MAX 48

static const struct tee {
	const char *name;
	enum attest_kind kind;
	bool insecure;
	const char *report_claim, *init_claim;
} tees[] = {
	{"snp", ATTEST_SNP, false, "snp.report_data", "snp.host_data"},
	{"tdx", ATTEST_TDX, false, "tdx.report_data", "tdx.mrconfigid"},
	{"sgx", ATTEST_SGX, false, "sgx.report_data", NULL},
	{"cca", ATTEST_CCA, false, "cca.realm.challenge", "cca.realm.personalization"},
	{"nitro", ATTEST_NITRO, false, "nitro.nonce", "nitro.user_data"},
	{"tpm", ATTEST_TPM, false, "tpm.extra_data", "tpm.pcr.sha256.8"},
	{"az-snp-vtpm", ATTEST_AZ_SNP, false, "tpm.extra_data", NULL},
	{"az-tdx-vtpm", ATTEST_AZ_TDX, false, "tpm.extra_data", NULL},
	{"insecure-sim", ATTEST_TPM, true, "tpm.extra_data", "tpm.pcr.sha256.8"},
	{TEE_DEVICE, ATTEST_GPU, false, "gpu.nonce", NULL},
	{"sample", ATTEST_AUTO, true, NULL, NULL},
};

static const struct tee *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(tees); i++)
		if (!strcmp(tees[i].name, name))
			return &tees[i];
	return NULL;
}

bool tee_known(const char *tee)
{
	return find(tee) && strcmp(tee, TEE_DEVICE) != 0;
}

/* The digest, cut or padded with zeros to the size of what the platform has room for. */
static bool digest_fits(const uint8_t *digest, size_t size, const struct blob *init)
{
	if (init->size < 32 || memcmp(digest, init->data, MIN(size, init->size)) != 0)
		return false;
	for (size_t i = size; i < init->size; i++)
		if (init->data[i])
			return false;
	return true;
}

/* A PCR that was extended once, from zero. */
static bool extended_fits(const uint8_t digest[32], const struct blob *init)
{
	uint8_t b[64] = {0}, pcr[32];

	memcpy(b + 32, digest, 32);
	sha256_of(b, sizeof(b), pcr);
	return init->size == 32 && !memcmp(pcr, init->data, 32);
}

int tee_init_data(const char *tee, const struct tee_verdict *v, const char *body, uint8_t digest[64],
		  size_t *size)
{
	static const char *const algorithms[] = {"SHA256", "SHA384", "SHA512"};
	const struct tee *t = find(tee);

	for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++) {
		const EVP_MD *md = EVP_get_digestbyname(algorithms[i]);
		unsigned n = 0;

		if (EVP_Digest(body, strlen(body), digest, &n, md, NULL) != 1)
			return -EIO;
		*size = n;
		if (t->kind == ATTEST_TPM ? n == 32 && extended_fits(digest, &v->init)
					  : digest_fits(digest, n, &v->init))
			return 0;
	}
	return -EKEYREJECTED;
}

static int item_of(const char *name, size_t len, enum attest_item_kind *out)
{
	for (size_t i = 0; i < ITEM_KIND_COUNT; i++)
		if (strlen(tee_item_name((enum attest_item_kind)i)) == len &&
		    !strncmp(tee_item_name((enum attest_item_kind)i), name, len)) {
			*out = (enum attest_item_kind)i;
			return 0;
		}
	return -EINVAL;
}

void tee_verdict_free(struct tee_verdict *v)
{
	json_decref(v->claims);
	json_decref(v->waived);
	blob_free(&v->init);
	*v = (struct tee_verdict){0};
}

/* ---- collateral -------------------------------------------------------------------------------------------
 */

static int add_collateral(const char *dir, const char *name, struct tee_collateral *c, struct err *e)
{
	enum attest_item_kind kind;
	size_t len = strcspn(name, ".");
	char *path;
	int ret;

	/* "crl-milan.pem" is a crl; "tcb-info.json" is no tcb */
	while (len && item_of(name, len, &kind) < 0) {
		const char *dash = memrchr(name, '-', len);

		len = dash ? (size_t)(dash - name) : 0;
	}
	if (!len)
		return err_set(e, -EINVAL, "%s/%s: the name says no kind of collateral", dir, name);
	if (c->count == COLLATERAL_MAX)
		return err_set(e, -E2BIG, "%s: more than %d files", dir, COLLATERAL_MAX);
	path = xasprintf("%s/%s", dir, name);
	ret = load_file(path, ATTEST_INPUT_MAX, &c->data[c->count], e);
	free(path);
	if (!ret) {
		c->items[c->count].kind = kind;
		c->items[c->count].bytes =
			(struct attest_bytes){c->data[c->count].data, c->data[c->count].size};
		c->count++;
	}
	return ret;
}

int tee_collateral_load(const char *dir, struct tee_collateral *out, struct err *e)
{
	struct tee_collateral c = {.data = xcalloc(COLLATERAL_MAX, sizeof(struct blob)),
				   .items = xcalloc(COLLATERAL_MAX, sizeof(struct attest_item))};
	DIR *d = opendir(dir);
	struct dirent *de;
	int ret = 0;

	while (d && !ret && (de = readdir(d)))
		if (de->d_name[0] != '.')
			ret = add_collateral(dir, de->d_name, &c, e);
	if (d)
		closedir(d);
	if (ret)
		tee_collateral_free(&c);
	else
		*out = c;
	return ret;
}

void tee_collateral_free(struct tee_collateral *c)
{
	for (size_t i = 0; i < c->count; i++)
		blob_free(&c->data[i]);
	free(c->data);
	free(c->items);
	*c = (struct tee_collateral){0};
}

/* ---- the evidence's forms ----------------------------------------------------------------------------------
 */

/* Evidence and items of one verification; owns its bytes. */
struct bundle {
	struct blob evidence, data[ATTEST_ITEMS_MAX];
	struct attest_item items[ATTEST_ITEMS_MAX];
	size_t own, count; /* items with data of ours; all */
};

static void bundle_free(struct bundle *b)
{
	blob_free(&b->evidence);
	for (size_t i = 0; i < b->own; i++)
		blob_free(&b->data[i]);
	free(b);
}

static int need_b64(const json_t *obj, const char *name, struct blob *out, struct err *e)
{
	const char *s = json_need_string(obj, name, e);

	if (!s)
		return -EINVAL;
	/* both alphabets are in use among guests */
	if (b64_decode(s, strlen(s), out) < 0 && b64url_decode(s, strlen(s), out) < 0)
		return err_set(e, -EINVAL, "%s is not base64", name);
	return 0;
}

/* What a guest may add by itself: things that carry their issuer's signature, or that the quote covers. A trust
 * anchor, or the key that a TPM signs with, is the broker's to know; but where the evidence proves nothing
 * anyway, the software TPM may bring its own. */
static bool guest_may_send(const struct tee *t, enum attest_item_kind k)
{
	return k != ITEM_ROOT && k != ITEM_CCA_KEY && (k != ITEM_TPM_AK || t->insecure);
}

static int read_items(const struct tee *t, const json_t *list, struct bundle *b, struct err *e)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *item = json_array_get(list, i);
		const char *kind = json_need_string(item, "kind", e);
		enum attest_item_kind k;
		int ret;

		if (!kind)
			return -EINVAL;
		if (b->own == ATTEST_ITEMS_MAX - COLLATERAL_MAX)
			return err_set(e, -E2BIG, "more than %d items of evidence",
				       ATTEST_ITEMS_MAX - COLLATERAL_MAX);
		if (item_of(kind, strlen(kind), &k) < 0 || !guest_may_send(t, k))
			return err_set(e, -EINVAL, "a guest may not send an item %.24s", kind);
		ret = need_b64(item, "data", &b->data[b->own], e);
		if (ret)
			return ret;
		b->items[b->own].kind = k;
		b->items[b->own].bytes = (struct attest_bytes){b->data[b->own].data, b->data[b->own].size};
		b->count = ++b->own;
	}
	return 0;
}

static int read_own_form(const struct tee *t, const json_t *v, struct bundle *b, struct err *e)
{
	const char *kind = json_need_string(v, "kind", e);
	int ret;

	if (!kind)
		return -EINVAL;
	if (strcmp(kind, attest_kind_name(t->kind)) != 0)
		return err_set(e, -EINVAL, "evidence of kind %.20s for TEE %s", kind, t->name);
	ret = need_b64(v, "evidence", &b->evidence, e);
	return ret ? ret : read_items(t, json_object_get(v, "items"), b, e);
}

static int read_evidence(const struct tee *t, const json_t *primary, struct bundle *b, struct err *e)
{
	const json_t *own = json_object_get(primary, "sbx-evidence");

	if (own)
		return read_own_form(t, own, b, e);
	if (t->kind == ATTEST_TDX)
		return need_b64(primary, "quote", &b->evidence, e);
	if (t->kind == ATTEST_SNP) {
		int ret = snp_json_report(primary, &b->evidence, e);

		if (!ret)
			ret = snp_json_certs(primary, &b->data[0], e);
		if (!ret && b->data[0].size) {
			b->items[0].kind = ITEM_CERTS;
			b->items[0].bytes = (struct attest_bytes){b->data[0].data, b->data[0].size};
			b->own = b->count = 1;
		}
		return ret;
	}
	return err_set(e, -EINVAL, "primary_evidence has no form that is known for TEE %s", t->name);
}

/* ---- claims ------------------------------------------------------------------------------------------------
 */

static json_t *claim_json(const struct attest_claim *c)
{
	json_t *v;
	char *s;

	switch (c->type) {
	case CLAIM_BOOL:
		return json_boolean(c->flag);
	case CLAIM_UINT:
		/* words with the top bit set have no place in JSON's integers: as hex */
		if (c->number <= INT64_MAX)
			return json_integer((json_int_t)c->number);
		s = xasprintf("0x%llx", (unsigned long long)c->number);
		break;
	case CLAIM_TIME:
		return json_integer(c->time);
	case CLAIM_TEXT:
		return json_stringn((const char *)c->bytes.data, c->bytes.size) ?: json_string("");
	default:
		s = bytes_hex_string(c->bytes.data, c->bytes.size);
	}
	v = json_string(s);
	free(s);
	return v;
}

static void fill_verdict(const struct tee *t, const struct attest_result *r, struct tee_verdict *out)
{
	out->claims = json_object();
	out->waived = json_array();
	out->insecure = t->insecure;
	for (size_t i = 0; i < r->claim_count; i++) {
		const struct attest_claim *c = &r->claims[i];

		if (t->init_claim && !strcmp(c->name, t->init_claim) && c->type == CLAIM_BYTES)
			blob_set(&out->init, c->bytes.data, c->bytes.size);
		if (!t->report_claim || strcmp(c->name, t->report_claim) != 0)
			json_object_set_new(out->claims, c->name, claim_json(c));
	}
	for (size_t i = 0; i < r->check_count; i++)
		if (r->checks[i].outcome == CHECK_WAIVED)
			json_array_append_new(out->waived, json_string(r->checks[i].name));
}

/* Everything that the verifier can waive is waived here and listed: the policy decides (opt-in). */
static const struct attest_knobs all_open = {
	.allow_debug = true,
	.allow_migration = true,
	.allow_missing_crl = true,
	.allow_milan_vcek = true,
	.allow_provisional = true,
	.allow_no_measurement = true,
	.allow_unsecured = true,
	.max_vmpl = 3,
	.tcb_status = ((1u << TCB_STATUS_COUNT) - 1) & ~(1u << TCB_REVOKED) & ~(1u << TCB_UNRECOGNIZED),
};

/* A TPM's qualifying data and a Nitro nonce have the hash's size; report data is 64 bytes. */
static size_t challenge_size(const struct tee *t, size_t hash_size)
{
	switch (t->kind) {
	case ATTEST_TPM:
	case ATTEST_AZ_SNP:
	case ATTEST_AZ_TDX:
	case ATTEST_NITRO:
		return hash_size;
	case ATTEST_GPU:
		return 32; /* a GPU's nonce: the hash's beginning */
	default:
		return 64;
	}
}

static int verify_hardware(const struct tee *t, const json_t *primary, const uint8_t report_data[64],
			   size_t hash_size, const struct tee_collateral *c, int64_t now,
			   struct tee_verdict *out, struct err *e)
{
	struct bundle *b = xcalloc(1, sizeof(*b));
	struct attest_input in = {.kind = t->kind, .now = now, .knobs = all_open};
	const struct attest_check *bad;
	struct attest_result *r = NULL;
	int ret = read_evidence(t, primary, b, e);

	for (size_t i = 0; !ret && c && i < c->count && b->count < ATTEST_ITEMS_MAX; i++)
		b->items[b->count++] = c->items[i];
	in.evidence = (struct attest_bytes){b->evidence.data, b->evidence.size};
	in.items = b->items;
	in.item_count = b->count;
	in.challenge = (struct attest_bytes){report_data, challenge_size(t, hash_size)};
	if (!ret)
		ret = attest_verify(&in, &r);
	if (!ret && !r->ok) {
		bad = attest_first_failure(r);
		ret = err_set(e, -EKEYREJECTED, "%s: %s", bad ? bad->name : "evidence",
			      bad ? bad->reason : "refused");
	}
	if (!ret)
		fill_verdict(t, r, out);
	attest_result_free(r);
	bundle_free(b);
	return ret;
}

static int verify_sample(const json_t *primary, const uint8_t report_data[64], size_t hash_size,
			 struct tee_verdict *out, struct err *e)
{
	const char *svn = json_need_string(primary, "svn", e);
	struct blob got = {0}, init = {0};
	uint8_t padded[64] = {0};
	int ret = svn ? need_b64(primary, "report_data", &got, e) : -EINVAL;

	if (!ret && json_object_get(primary, "init_data"))
		ret = need_b64(primary, "init_data", &init, e);
	if (!ret && (got.size < hash_size || got.size > 64))
		ret = err_set(e, -EKEYREJECTED, "report_data has %zu bytes", got.size);
	if (!ret) {
		memcpy(padded, got.data, got.size);
		if (memcmp(padded, report_data, 64) != 0)
			ret = err_set(e, -EKEYREJECTED, "report_data is not this session's");
	}
	if (!ret) {
		out->claims = json_pack("{ss sb}", "sample.svn", svn, "sample.debug", 0);
		out->waived = json_array();
		out->insecure = true;
		out->init = init;
		init = (struct blob){0};
		if (out->init.size) {
			char *s = bytes_hex_string(out->init.data, out->init.size);

			json_object_set_new(out->claims, "sample.init_data", json_string(s));
			free(s);
		}
	}
	blob_free(&got);
	blob_free(&init);
	return ret;
}

int tee_verify(const char *tee, const json_t *primary, const uint8_t report_data[64], size_t hash_size,
	       const struct tee_collateral *c, int64_t now, struct tee_verdict *out, struct err *e)
{
	const struct tee *t = find(tee);

	*out = (struct tee_verdict){0};
	if (!t)
		return err_set(e, -EINVAL, "TEE %.24s is not supported", tee);
	if (t->kind == ATTEST_AUTO)
		return verify_sample(primary, report_data, hash_size, out, e);
	return verify_hardware(t, primary, report_data, hash_size, c, now, out, e);
}
