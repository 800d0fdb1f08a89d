/* snp_launch_test.c: launch digests that another implementation expects, and one that real hardware reported.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/pem.h>

#include "cvm-host/hex.h"
#include "cvm-host/measure/measure.h"
#include "platform/base/bytes.h"
#include "tests/harness/forge.h"
#include "tests/harness/vectors.h"

static json_t *load(const char *path)
{
	struct attest_bytes b = vector(path);
	json_t *j = json_loadb(b.data, b.size, 0, NULL);

	cr_assert(j);
	return j;
}

static const char *text(const json_t *j, const char *name)
{
	return json_string_value(json_object_get(j, name));
}

/* One recorded call of the other implementation: positional Python arguments as text. */
static void one_case(const json_t *c, size_t *done)
{
	const json_t *args = json_object_get(c, "args");
	const char *mode = json_string_value(json_array_get(args, 0)),
		   *ovmf = json_string_value(json_array_get(args, 3)),
		   *kernel = json_string_value(json_array_get(args, 4)),
		   *append = json_string_value(json_array_get(args, 6));
	struct attest_bytes image;
	struct ovmf_info info;
	struct kernel_hashes hashes;
	struct snp_launch l = {.info = &info, .vcpu_signature = vcpu_signature_of("EPYC-v4")};
	uint8_t got[48], want[48], firmware[48];
	char cmdline[256] = "", path[128];
	ssize_t n = 0;
	int ret;

	if (strstr(mode, "SVSM")) /* needs an SVSM image */
		return;
	snprintf(path, sizeof(path), "launch-digest/%s", strrchr(ovmf, '/') + 1);
	path[strlen(path) - 1] = 0; /* the quote */
	image = vector(path);
	cr_assert_eq(ovmf_parse(image.data, image.size, &info), 0);
	l.firmware = image.data;
	l.firmware_size = image.size;
	l.vcpus = (uint32_t)strtoul(json_string_value(json_array_get(args, 1)), NULL, 10);
	l.features = strtoull(json_string_value(json_array_get(args, 7)), NULL, 16);
	for (size_t i = 8; i < json_array_size(args); i++) {
		const char *a = json_string_value(json_array_get(args, i));

		l.vmm = strstr(a, "ec2") ? VMM_EC2 : strstr(a, "gce") ? VMM_GCE : l.vmm;
	}
	if (text(c, "ovmf_hash")) {
		n = hex_decode(text(c, "ovmf_hash"), firmware, 48);
		l.firmware_digest = firmware;
	}
	if (strcmp(append, "None") != 0 && strlen(append) >= 2)
		snprintf(cmdline, sizeof(cmdline), "%.*s", (int)strlen(append) - 2, append + 1);
	if (strcmp(kernel, "None") != 0) {
		cr_assert(kernel_hashes_of("", 0, NULL, 0, cmdline, &hashes));
		l.kernel = &hashes;
	}
	if (strstr(mode, "SNP"))
		ret = snp_launch_digest(&l, got);
	else
		ret = sev_launch_digest(&l, strstr(mode, "SEV_ES") != NULL, got);
	if (json_is_true(json_object_get(c, "must_fail"))) {
		cr_assert_eq(ret, -ENOENT, "%s", text(c, "name"));
	} else {
		cr_assert_eq(ret, 0, "%s", text(c, "name"));
		n = hex_decode(text(c, "expected"), want, 48);
		cr_assert(n == 48 || n == 32);
		cr_assert_eq(memcmp(got, want, (size_t)n), 0, "%s", text(c, "name"));
		if (text(c, "expected_ovmf_hash")) {
			cr_assert_eq(hex_decode(text(c, "expected_ovmf_hash"), want, 48), 48);
			cr_assert_eq(snp_firmware_digest(image.data, image.size, got), 0);
			cr_assert_eq(memcmp(got, want, 48), 0);
		}
	}
	++*done;
}

Test(snp_launch, as_another_implementation_expects)
{
	json_t *j = load("launch-digest/expected-launch-digests.json"), *c;
	size_t i, done = 0;

	json_array_foreach(json_object_get(j, "cases"), i, c) one_case(c, &done);
	cr_assert_eq(done, 24);
	json_decref(j);
}

/* MEASUREMENT and HOST_DATA of a report that a Milan processor signed, from the files' hashes. */
Test(snp_launch, as_hardware_reported)
{
	json_t *j = load("snp/milan-dstack/measurement-inputs.json"), *s;
	struct attest_bytes report = vector("snp/milan-dstack/report.bin");
	const char *cmdline = text(j, "cmdline"), *config = text(j, "mr_config");
	struct ovmf_info info = {.has_hashes = true, .has_reset = true};
	struct kernel_hashes hashes;
	uint8_t firmware[48], got[48];
	struct snp_launch l = {
		.info = &info, .kernel = &hashes, .firmware_digest = firmware, .vcpus = 2, .features = 1};
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t i;

	info.hashes_gpa = (uint32_t)json_integer_value(json_object_get(j, "hashes_table_gpa"));
	info.reset_eip = (uint32_t)json_integer_value(json_object_get(j, "reset_eip"));
	json_array_foreach(json_object_get(j, "ovmf_sections"), i, s) info.sections[info.section_count++] =
		(struct ovmf_section){(uint32_t)json_integer_value(json_object_get(s, "gpa")),
				      (uint32_t)json_integer_value(json_object_get(s, "size")),
				      (uint32_t)json_integer_value(json_object_get(s, "type"))};
	l.vcpu_signature = vcpu_signature_of(text(j, "vcpu_type"));
	cr_assert_eq(hex_decode(text(j, "ovmf_hash"), firmware, 48), 48);
	cr_assert_eq(hex_decode(text(j, "kernel_sha256"), hashes.kernel, 32), 32);
	cr_assert_eq(hex_decode(text(j, "initrd_sha256"), hashes.initrd, 32), 32);
	EVP_Digest(cmdline, strlen(cmdline) + 1, hashes.cmdline, NULL, EVP_sha256(), NULL);
	cr_assert_eq(snp_launch_digest(&l, got), 0);
	cr_assert_eq(memcmp(got, (const uint8_t *)report.data + 0x90, 48), 0);
	l.vcpus = 3;
	cr_assert_eq(snp_launch_digest(&l, got), 0);
	cr_assert_neq(memcmp(got, (const uint8_t *)report.data + 0x90, 48), 0);
	EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);
	EVP_DigestUpdate(ctx, "dstack-mr-config-v3:", 21); /* with its NUL */
	EVP_DigestUpdate(ctx, config, strlen(config));
	EVP_DigestFinal_ex(ctx, got, NULL);
	cr_assert_eq(memcmp(got, (const uint8_t *)report.data + 0xc0, 32), 0);
	EVP_MD_CTX_free(ctx);
	json_decref(j);
}

Test(snp_launch, malformed_firmware)
{
	struct attest_bytes b = vector("launch-digest/ovmf_AmdSev_suffix.bin");
	uint8_t *p = vector_copy(b);
	struct ovmf_info info;

	cr_assert_eq(ovmf_parse(p, b.size - 1, &info), -EINVAL);
	for (size_t i = 0; i < b.size * 8;
	     i++) { /* whatever is parsed stays within the image: the sanitizer build says */
		p[i / 8] ^= (uint8_t)(1u << (i % 8));
		int ret = ovmf_parse(p, b.size, &info);

		cr_assert(ret == 0 || ret == -EINVAL);
		p[i / 8] ^= (uint8_t)(1u << (i % 8));
	}
	memset(p, 0, b.size);
	cr_assert_eq(ovmf_parse(p, b.size, &info), 0);
	cr_assert_eq(info.section_count, 0);
}

Test(snp_launch, models)
{
	cr_assert_eq(vcpu_signature_of("EPYC-v4"), 0x800f12);
	cr_assert_eq(vcpu_signature_of("EPYC-Milan-v2"), 0xa00f11);
	cr_assert_eq(vcpu_signature_of("EPYC-Genoa"), 0xa10f10);
	cr_assert_eq(vcpu_signature_of("EPYC-Turin"), 0xb00f00);
	cr_assert_eq(vcpu_signature_of("EPYC-Milan-"), 0);
	cr_assert_eq(vcpu_signature_of("Skylake-Server"), 0);
}

static struct attest_bytes key_pem(EVP_PKEY *k)
{
	BIO *b = BIO_new(BIO_s_mem());
	char *p;
	long n;

	cr_assert(PEM_write_bio_PrivateKey(b, k, NULL, NULL, 0, NULL, NULL));
	n = BIO_get_mem_data(b, &p);
	return (struct attest_bytes){p, (size_t)n};
}

Test(id_block, layout_and_signatures)
{
	json_t *j = load("launch-digest/id-block-expected.json");
	struct id_block b = {.policy = 196608};
	uint8_t want[ID_BLOCK_SIZE + 3], got[ID_BLOCK_SIZE], auth[ID_AUTH_SIZE], digest[48], again[48];
	struct attest_bytes id = key_pem(forge_key("P-384")), author = key_pem(forge_key("P-384")),
			    other = key_pem(forge_key("P-256"));

	EVP_DecodeBlock(want, (const uint8_t *)text(j, "id_block_b64"), (int)strlen(text(j, "id_block_b64")));
	EVP_DecodeBlock(b.launch_digest, (const uint8_t *)text(j, "launch_digest_b64"), 64);
	id_block_write(&b, got);
	cr_assert_eq(memcmp(got, want, ID_BLOCK_SIZE), 0);
	cr_assert_eq(id_auth_sign(got, id.data, id.size, author.data, author.size, auth), 0);
	cr_assert_eq(id_auth_verify(got, auth), 0);
	cr_assert_eq(id_key_digest(id.data, id.size, digest), 0);
	EVP_Digest(auth + 0x240, ID_KEY_SIZE, again, NULL, EVP_sha384(), NULL);
	cr_assert_eq(memcmp(digest, again, 48), 0);
	auth[0x680] ^= 1;
	cr_assert_eq(id_auth_verify(got, auth), -EKEYREJECTED);
	auth[0x680] ^= 1;
	got[95] ^= 1;
	cr_assert_eq(id_auth_verify(got, auth), -EKEYREJECTED);
	cr_assert_eq(id_auth_sign(got, other.data, other.size, NULL, 0, auth), -EINVAL);
	json_decref(j);
}

/* The auth information that virtee/sev made: laid out as ours, and its author did sign its ID key. */
Test(id_block, recorded_auth)
{
	struct attest_bytes b = vector("launch-digest/id-block-virtee/test_auth_block.bin"),
			    sig = vector("launch-digest/id-block-virtee/test_auth_sig.bin");
	uint8_t auth[ID_AUTH_SIZE], none[ID_BLOCK_SIZE] = {0};

	cr_assert_eq(b.size, ID_AUTH_SIZE);
	memcpy(auth, b.data, b.size);
	cr_assert_eq(memcmp(auth + 0x680, sig.data, 144), 0);
	cr_assert_eq(id_auth_verify(none, auth), -EKEYREJECTED, "for another block");
}
