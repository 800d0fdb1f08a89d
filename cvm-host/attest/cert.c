/* cert.c: reading certificates strictly, building paths to pinned anchors. Revocation is in crl.c. */
#include <errno.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "cvm-host/attest/cert.h"

static int add_cert(struct certs *set, X509 *c, size_t *index)
{
	for (size_t i = 0; i < set->cert_count; i++)
		if (X509_cmp(set->cert[i], c) == 0) {
			X509_free(c);
			*index = i;
			return 0;
		}
	if (set->cert_count == CERTS_MAX) {
		X509_free(c);
		return -ENOSPC;
	}
	*index = set->cert_count;
	set->cert[set->cert_count++] = c;
	return 0;
}

static X509 *der_cert(const uint8_t *der, size_t size)
{
	const uint8_t *p = der;
	X509 *c = d2i_X509(NULL, &p, (long)size);
	uint8_t *again = NULL;
	int n;

	if (!c)
		return NULL;
	n = i2d_X509(c, &again);
	if (p != der + size || n < 0 || (size_t)n != size || memcmp(again, der, size) != 0) {
		X509_free(c);
		c = NULL;
	}
	OPENSSL_free(again);
	return c;
}

/* `text` must be what `canonical` (BIO of what was written) says, but for CR before LF and a tail of line ends
 * and NULs. */
static bool same_text(const char *text, size_t size, BIO *canonical)
{
	char *want;
	long want_size = BIO_get_mem_data(canonical, &want);
	size_t i = 0;

	for (long w = 0; w < want_size; w++) {
		while (w && want[w] == '-' && want[w - 1] == '\n' && i < size &&
		       (text[i] == '\n' || text[i] == '\r'))
			i++; /* empty lines between blocks */
		if (i < size && text[i] == '\r' && want[w] == '\n')
			i++;
		if (i < size && text[i] == want[w])
			i++;
		else if (!(i == size && w == want_size - 1)) /* the last line may lack its end */
			return false;
	}
	for (; i < size; i++)
		if (text[i] != '\r' && text[i] != '\n' && text[i] != 0)
			return false;
	return true;
}

static bool looks_pem(const void *data, size_t size)
{
	return size > 11 && memcmp(data, "-----BEGIN ", 11) == 0;
}

static int add_pem(struct certs *set, const char *text, size_t size, size_t *first)
{
	BIO *in = BIO_new_mem_buf(text, (int)size), *out = BIO_new(BIO_s_mem());
	int ret = in && out ? 0 : -ENOMEM;
	size_t count = 0, index;
	X509 *c;

	while (ret == 0 && (c = PEM_read_bio_X509(in, NULL, NULL, NULL))) {
		if (!PEM_write_bio_X509(out, c))
			ret = -ENOMEM;
		if (ret == 0)
			ret = add_cert(set, c, &index);
		else
			X509_free(c);
		if (ret == 0 && count++ == 0 && first)
			*first = index;
	}
	ERR_clear_error();
	if (ret == 0 && (count == 0 || !same_text(text, size, out)))
		ret = -EINVAL;
	BIO_free(in);
	BIO_free(out);
	return ret;
}

int certs_add(struct certs *set, const void *data, size_t size, size_t *first)
{
	size_t index;
	X509 *c;
	int ret;

	if (size > ATTEST_INPUT_MAX)
		return -EINVAL;
	if (looks_pem(data, size))
		return add_pem(set, data, size, first);
	c = der_cert(data, size);
	ERR_clear_error();
	if (!c)
		return -EINVAL;
	ret = add_cert(set, c, &index);
	if (ret == 0 && first)
		*first = index;
	return ret;
}

int certs_add_anchor(struct certs *set, struct root root)
{
	X509 *c;

	if (set->anchor_count == CHAIN_MAX)
		return -ENOSPC;
	c = der_cert(root.der, (size_t)(root.end - root.der));
	if (!c)
		return -ENOMEM;
	set->pinned[set->anchor_count] = true;
	set->anchor[set->anchor_count++] = c;
	return 0;
}

int certs_add_root(struct certs *set, struct root root)
{
	return certs_add(set, root.der, (size_t)(root.end - root.der), NULL);
}

/* ITEM_ROOT: read like any certificate, then moved to the anchors. */
static int add_item_root(struct certs *set, const struct attest_bytes *b)
{
	size_t before = set->cert_count, first;
	int ret = certs_add(set, b->data, b->size, &first);

	if (ret < 0)
		return ret;
	if (set->cert_count != before + 1 || set->anchor_count == CHAIN_MAX)
		return -EINVAL;
	set->anchor[set->anchor_count++] = set->cert[--set->cert_count];
	return 0;
}

static int add_crl(struct certs *set, const struct attest_bytes *b)
{
	BIO *in = NULL, *out = NULL;
	X509_CRL *crl = NULL;
	const uint8_t *p = b->data;
	bool good;

	if (set->crl_count == CRLS_MAX)
		return -ENOSPC;
	if (looks_pem(b->data, b->size)) {
		in = BIO_new_mem_buf(b->data, (int)b->size);
		out = BIO_new(BIO_s_mem());
		crl = in ? PEM_read_bio_X509_CRL(in, NULL, NULL, NULL) : NULL;
		good = crl && out && PEM_write_bio_X509_CRL(out, crl) && same_text(b->data, b->size, out);
	} else {
		uint8_t *again = NULL;
		int n;

		crl = d2i_X509_CRL(NULL, &p, (long)b->size);
		n = crl ? i2d_X509_CRL(crl, &again) : -1;
		good = n >= 0 && (size_t)n == b->size && memcmp(again, b->data, b->size) == 0;
		OPENSSL_free(again);
	}
	BIO_free(in);
	BIO_free(out);
	ERR_clear_error();
	if (!good) {
		X509_CRL_free(crl);
		return -EINVAL;
	}
	set->crl[set->crl_count++] = crl;
	return 0;
}

bool certs_load(struct verify *v, struct certs *set)
{
	const struct attest_input *in = v->in;
	int ret = 0;

	for (size_t i = 0; i < in->item_count && ret == 0; i++) {
		const struct attest_item *item = &in->items[i];

		if (item->kind == ITEM_ROOT)
			ret = add_item_root(set, &item->bytes);
		else if (item->kind == ITEM_CERTS)
			ret = certs_add(set, item->bytes.data, item->bytes.size, NULL);
		else if (item->kind == ITEM_CRL)
			ret = add_crl(set, &item->bytes);
		if (ret < 0)
			return check_fail(v, "collateral.certs",
					  "item %zu: not a certificate or revocation list in strict encoding",
					  i);
	}
	return true;
}

void certs_free(struct certs *set)
{
	for (size_t i = 0; i < set->cert_count; i++)
		X509_free(set->cert[i]);
	for (size_t i = 0; i < set->anchor_count; i++)
		X509_free(set->anchor[i]);
	for (size_t i = 0; i < set->crl_count; i++)
		X509_CRL_free(set->crl[i]);
}

static bool name_cn_is(X509_NAME *name, const char *cn)
{
	char text[128];
	int n = X509_NAME_get_text_by_NID(name, NID_commonName, text, sizeof(text));

	return n >= 0 && (size_t)n == strlen(cn) && memcmp(text, cn, (size_t)n) == 0;
}

bool cert_cn_is(X509 *cert, const char *cn)
{
	return name_cn_is(X509_get_subject_name(cert), cn);
}

bool cert_issuer_cn_is(X509 *cert, const char *cn)
{
	return name_cn_is(X509_get_issuer_name(cert), cn);
}

int certs_find_cn(const struct certs *set, const char *cn, size_t from)
{
	for (size_t i = from; i < set->cert_count; i++)
		if (cert_cn_is(set->cert[i], cn))
			return (int)i;
	return -1;
}

const uint8_t *cert_extension(X509 *cert, const char *oid, size_t *size)
{
	ASN1_OBJECT *obj = OBJ_txt2obj(oid, 1);
	int i = obj ? X509_get_ext_by_OBJ(cert, obj, -1) : -1;
	const ASN1_OCTET_STRING *s;

	ASN1_OBJECT_free(obj);
	if (i < 0)
		return NULL;
	s = X509_EXTENSION_get_data(X509_get_ext(cert, i));
	*size = (size_t)ASN1_STRING_length(s);
	return ASN1_STRING_get0_data(s);
}

int64_t asn1_time(const ASN1_TIME *t)
{
	ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
	int days, secs;
	int64_t ret = 0;

	if (epoch && t && ASN1_TIME_diff(&days, &secs, epoch, t))
		ret = (int64_t)days * 86400 + secs;
	ASN1_TIME_free(epoch);
	return ret;
}

/* One X509_verify_cert(): 0 or OpenSSL's error code. `now` 0: no validity periods. */
static int find_path(struct certs *set, X509 *leaf, int64_t now, STACK_OF(X509) * *path)
{
	STACK_OF(X509) *trusted = sk_X509_new_null(), *others = sk_X509_new_null();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	X509_VERIFY_PARAM *param;
	int ret = X509_V_ERR_OUT_OF_MEM;

	if (!trusted || !others || !ctx)
		goto out;
	for (size_t i = 0; i < set->anchor_count; i++)
		sk_X509_push(trusted, set->anchor[i]);
	for (size_t i = 0; i < set->cert_count; i++)
		sk_X509_push(others, set->cert[i]);
	if (!X509_STORE_CTX_init(ctx, NULL, leaf, others))
		goto out;
	X509_STORE_CTX_set0_trusted_stack(ctx, trusted);
	param = X509_STORE_CTX_get0_param(ctx);
	X509_VERIFY_PARAM_set_depth(param, CHAIN_MAX - 2);
	X509_VERIFY_PARAM_set_auth_level(param, 2);
	if (now)
		X509_VERIFY_PARAM_set_time(param, (time_t)now);
	else
		X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_NO_CHECK_TIME);
	ret = X509_verify_cert(ctx) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(ctx);
	if (ret == X509_V_OK && path)
		*path = X509_STORE_CTX_get1_chain(ctx);
	else if (X509_STORE_CTX_get_error(ctx) == X509_V_OK && ret != X509_V_OK)
		ret = X509_V_ERR_UNSPECIFIED;
out:
	X509_STORE_CTX_free(ctx);
	sk_X509_free(trusted);
	sk_X509_free(others);
	ERR_clear_error();
	return ret;
}

/* Our own object for a certificate of OpenSSL's path: it may have taken an equal one. */
static X509 *own(struct certs *set, X509 *c)
{
	for (size_t i = 0; i < set->anchor_count; i++)
		if (set->anchor[i] == c)
			return c;
	for (size_t i = 0; i < set->cert_count; i++)
		if (set->cert[i] == c) {
			set->used[i] = true;
			return c;
		}
	return NULL;
}

bool chain_verify(struct verify *v, const char *name, struct certs *set, X509 *leaf, struct chain *out)
{
	STACK_OF(X509) *path = NULL;
	int err = find_path(set, leaf, v->in->now, &path);
	bool ok = err == X509_V_OK && path && sk_X509_num(path) >= 1 && sk_X509_num(path) <= CHAIN_MAX;

	out->count = 0;
	for (int i = 0; ok && i < sk_X509_num(path); i++) {
		X509 *c = own(set, sk_X509_value(path, i));

		if (c)
			out->cert[out->count++] = c;
		else
			ok = false;
	}
	sk_X509_pop_free(path, X509_free);
	if (!ok)
		return check_fail(v, name, "no valid path to a trust anchor: %s",
				  err == X509_V_OK ? "path too long" : X509_verify_cert_error_string(err));
	return check_that(v, name, true, "%zu certificates up to the anchor, all valid at the time",
			  out->count);
}

static bool is_anchor(const struct certs *set, X509 *c)
{
	for (size_t i = 0; i < set->anchor_count; i++)
		if (X509_cmp(set->anchor[i], c) == 0)
			return true;
	return false;
}

static bool crl_signed_by_any(struct certs *set, X509_CRL *crl)
{
	for (size_t i = 0; i < set->anchor_count + set->cert_count; i++) {
		X509 *c = i < set->anchor_count ? set->anchor[i] : set->cert[i - set->anchor_count];

		if (X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(c)) == 0 &&
		    X509_CRL_verify(crl, X509_get0_pubkey(c)) == 1)
			return true;
	}
	return false;
}

bool certs_all_good(struct verify *v, struct certs *set)
{
	for (size_t i = 0; i < set->cert_count; i++) {
		int err;

		if (set->used[i] || is_anchor(set, set->cert[i]))
			continue;
		err = find_path(set, set->cert[i], 0, NULL);
		if (err != X509_V_OK)
			return check_fail(v, "collateral.unused",
					  "a certificate that was given has no path to an anchor: %s",
					  X509_verify_cert_error_string(err));
	}
	for (size_t i = 0; i < set->crl_count; i++) {
		bool good = set->crl_used[i] || crl_signed_by_any(set, set->crl[i]);

		ERR_clear_error();
		if (!good)
			return check_fail(v, "collateral.unused",
					  "a revocation list that was given is signed by nobody known");
	}
	return true;
}

void chain_claim_root(struct verify *v, const struct certs *set, const struct chain *chain)
{
	bool pinned = false;

	for (size_t i = 0; i < set->anchor_count; i++)
		if (set->pinned[i] && chain->count && chain->cert[chain->count - 1] == set->anchor[i])
			pinned = true;
	claim_bool(v, "root.pinned", pinned);
}
