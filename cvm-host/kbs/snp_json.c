/* snp_json.c: fields of an SNP report to their offsets (SEV Secure Nested Paging Firmware ABI, table
 * ATTESTATION_REPORT). */
#include "cvm-host/kbs/snp_json.h"

#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

#include "platform/base/bytes.h"

#define REPORT_SIZE 0x4a0
#define CERT_MAX    16384

static const struct number {
	const char *name;
	uint16_t offset;
	uint8_t size;
	bool optional; /* of later versions of the report */
} numbers[] = {
	{"version", 0x00, 4, false},
	{"guest_svn", 0x04, 4, false},
	{"policy", 0x08, 8, false},
	{"vmpl", 0x30, 4, false},
	{"sig_algo", 0x34, 4, false},
	{"plat_info", 0x40, 8, false},
	{"key_info", 0x48, 4, false},
	{"cpuid_fam_id", 0x188, 1, true},
	{"cpuid_mod_id", 0x189, 1, true},
	{"cpuid_step", 0x18a, 1, true},
	{"launch_mit_vector", 0x1f8, 8, true},
	{"current_mit_vector", 0x200, 8, true},
};

static const struct bytes_field {
	const char *name;
	uint16_t offset, size;
} fields[] = {
	{"family_id", 0x10, 16},	  {"image_id", 0x20, 16},   {"report_data", 0x50, 64},
	{"measurement", 0x90, 48},	  {"host_data", 0xc0, 32},  {"id_key_digest", 0xe0, 48},
	{"author_key_digest", 0x110, 48}, {"report_id", 0x140, 32}, {"report_id_ma", 0x160, 32},
	{"chip_id", 0x1a0, 64},
};

static const struct {
	const char *name;
	uint16_t offset;
} tcbs[] = {{"current_tcb", 0x38}, {"reported_tcb", 0x180}, {"committed_tcb", 0x1e0}, {"launch_tcb", 0x1f0}};

static const struct {
	const char *name;
	uint16_t offset;
} versions[] = {{"current", 0x1e8}, {"committed", 0x1ec}};

static int put_number(const json_t *v, const char *name, size_t size, uint8_t *at, struct err *e)
{
	json_int_t n = json_integer_value(v);
	uint8_t le[8];

	if (!json_is_integer(v) || n < 0 || (size < 8 && n >> (8 * size)))
		return err_set(e, -EINVAL, "attestation_report: %s is no number of %zu bytes", name, size);
	put_le64(le, (uint64_t)n);
	memcpy(at, le, size);
	return 0;
}

static int put_bytes(const json_t *v, const char *name, size_t size, uint8_t *at, struct err *e)
{
	int ret = 0;

	if (json_array_size(v) != size)
		return err_set(e, -EINVAL, "attestation_report: %s has not %zu bytes", name, size);
	for (size_t i = 0; i < size && !ret; i++)
		ret = put_number(json_array_get(v, i), name, 1, at + i, e);
	return ret;
}

/* Turin puts the FMC first and moves the others up; a report without one has null there. */
static int put_tcb(const json_t *v, const char *name, uint8_t *at, struct err *e)
{
	static const struct {
		const char *name;
		uint8_t plain, turin;
	} parts[] = {{"bootloader", 0, 1}, {"tee", 1, 2}, {"snp", 6, 3}, {"microcode", 7, 7}};
	const json_t *fmc = json_object_get(v, "fmc");
	bool turin = fmc && !json_is_null(fmc);
	int ret = turin ? put_number(fmc, name, 1, at, e) : 0;

	for (size_t i = 0; i < ARRAY_SIZE(parts) && !ret; i++)
		ret = put_number(json_object_get(v, parts[i].name), name, 1,
				 at + (turin ? parts[i].turin : parts[i].plain), e);
	return ret;
}

static int put_version(const json_t *v, const char *name, uint8_t *at, struct err *e)
{
	static const char *const parts[] = {"build", "minor", "major"};
	int ret = 0;

	for (size_t i = 0; i < 3 && !ret; i++)
		ret = put_number(json_object_get(v, parts[i]), name, 1, at + i, e);
	return ret;
}

int snp_json_report(const json_t *evidence, struct blob *out, struct err *e)
{
	const json_t *r = json_need_object(evidence, "attestation_report", e), *sig;
	struct blob b = {0};
	int ret = r ? 0 : -EINVAL;

	blob_room(&b, REPORT_SIZE);
	for (size_t i = 0; i < ARRAY_SIZE(numbers) && !ret; i++) {
		const json_t *v = json_object_get(r, numbers[i].name);

		if (!numbers[i].optional || (v && !json_is_null(v)))
			ret = put_number(v, numbers[i].name, numbers[i].size, b.data + numbers[i].offset, e);
	}
	for (size_t i = 0; i < ARRAY_SIZE(fields) && !ret; i++)
		ret = put_bytes(json_object_get(r, fields[i].name), fields[i].name, fields[i].size,
				b.data + fields[i].offset, e);
	for (size_t i = 0; i < ARRAY_SIZE(tcbs) && !ret; i++)
		ret = put_tcb(json_object_get(r, tcbs[i].name), tcbs[i].name, b.data + tcbs[i].offset, e);
	for (size_t i = 0; i < ARRAY_SIZE(versions) && !ret; i++)
		ret = put_version(json_object_get(r, versions[i].name), versions[i].name,
				  b.data + versions[i].offset, e);
	sig = json_object_get(r, "signature");
	if (!ret)
		ret = put_bytes(json_object_get(sig, "r"), "signature.r", 72, b.data + 0x2a0, e);
	if (!ret)
		ret = put_bytes(json_object_get(sig, "s"), "signature.s", 72, b.data + 0x2a0 + 72, e);
	if (ret) {
		blob_free(&b);
		return ret;
	}
	blob_free(out);
	*out = b;
	return 0;
}

static int add_pem(const json_t *data, struct blob *out, struct err *e)
{
	struct blob der = {0};
	const uint8_t *p;
	X509 *x = NULL;
	BIO *bio;
	char *text;
	long n;
	int ret;

	if (json_array_size(data) > CERT_MAX || !json_array_size(data))
		return err_set(e, -EINVAL, "cert_chain: a certificate of %zu bytes", json_array_size(data));
	blob_room(&der, json_array_size(data));
	ret = put_bytes(data, "cert_chain", der.size, der.data, e);
	p = der.data;
	if (!ret)
		x = d2i_X509(NULL, &p, (long)der.size);
	if (!ret && !x)
		ret = err_set(e, -EINVAL, "cert_chain: not a certificate");
	bio = BIO_new(BIO_s_mem());
	if (!ret && PEM_write_bio_X509(bio, x) == 1 && (n = BIO_get_mem_data(bio, &text)) > 0)
		blob_add(out, text, (size_t)n);
	BIO_free(bio);
	X509_free(x);
	blob_free(&der);
	return ret;
}

int snp_json_certs(const json_t *evidence, struct blob *out, struct err *e)
{
	const json_t *chain = json_object_get(evidence, "cert_chain");
	int ret = 0;

	blob_free(out);
	if (json_array_size(chain) > 8)
		return err_set(e, -EINVAL, "cert_chain has %zu entries", json_array_size(chain));
	for (size_t i = 0; i < json_array_size(chain) && !ret; i++) {
		const json_t *entry = json_array_get(chain, i);
		const char *type = json_string_value(json_object_get(entry, "cert_type"));

		/* the table may also hold a CRL or what a vendor put there */
		if (type && (!strcmp(type, "VCEK") || !strcmp(type, "VLEK") || !strcmp(type, "ASK") ||
			     !strcmp(type, "ARK")))
			ret = add_pem(json_object_get(entry, "data"), out, e);
	}
	return ret;
}
