/* tdx_test.c: RTMRs of a real TD from what its image's makers published; MRTD and Authenticode on small made
 * images. */
#include <criterion/criterion.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "cvm-host/attest/cose.h"
#include "cvm-host/hex.h"
#include "cvm-host/measure/tdx.h"
#include "platform/base/bytes.h"
#include "tests/harness/vectors.h"

enum { MRTD_AT = 48 + 0x88, RTMR0_AT = 48 + 0x148 };

struct recorded {
	uint8_t *quote;
	json_t *log, *config;
};

static json_t *json_member(const json_t *j, const char *name)
{
	json_t *out = json_loads(json_string_value(json_object_get(j, name)), 0, NULL);

	cr_assert(out);
	return out;
}

static void load(const char *path, struct recorded *out)
{
	struct attest_bytes b = vector(path);
	json_t *j = json_loadb(b.data, b.size, 0, NULL);
	const char *hex = json_string_value(json_object_get(j, "quote"));

	out->quote = malloc(strlen(hex) / 2);
	cr_assert(hex_decode(hex, out->quote, strlen(hex) / 2) > 1000);
	out->log = json_member(j, "event_log");
	out->config = json_object_get(j, "vm_config") ? json_member(j, "vm_config") : NULL;
}

/* Events of one register, extended in order. */
static void replay(const json_t *log, int imr, uint8_t out[48])
{
	uint8_t digests[128][48];
	const json_t *e;
	size_t i, n = 0;

	json_array_foreach(log, i, e)
	{
		if (json_integer_value(json_object_get(e, "imr")) != imr)
			continue;
		cr_assert(n < 128);
		cr_assert_eq(hex_decode(json_string_value(json_object_get(e, "digest")), digests[n++], 48), 48);
	}
	cr_assert_eq(tdx_rtmr0((const uint8_t(*)[48])digests, n, out), 0);
}

Test(tdx_measure, event_digests_replay_to_the_quote)
{
	struct recorded r;
	uint8_t got[48];

	load("tdx/dstack/quote-report.json", &r);
	for (int i = 0; i < 4; i++) {
		replay(r.log, i, got);
		cr_assert_eq(memcmp(got, r.quote + RTMR0_AT + i * 48, 48), 0, "rtmr%d", i);
	}
	load("tdx/dstack/tdx-lite-getquote.json", &r);
	for (int i = 0; i < 3; i++) {
		replay(r.log, i, got);
		cr_assert_eq(memcmp(got, r.quote + RTMR0_AT + i * 48, 48), 0, "rtmr%d", i);
	}
}

static void digest_of(const cbor_item_t *map, const char *name, uint8_t *out)
{
	struct attest_bytes b;

	cr_assert(cbor_bytes(cbor_map_text(map, name), &b) && b.size == 48, "%s", name);
	memcpy(out, b.data, 48);
}

/* RTMR1 and RTMR2 of a quote that hardware signed, from the image's published digests of kernel, command line,
 * initrd. */
Test(tdx_measure, rtmrs_as_hardware_reported)
{
	struct recorded r;
	const char *b64;
	uint8_t bytes[4096], got[48];
	struct boot_digests d = {.size = 48, .has_initrd = true};
	cbor_item_t *top;
	int n;

	load("tdx/dstack/tdx-lite-getquote.json", &r);
	b64 = json_string_value(json_object_get(json_object_get(r.config, "tdx_measurement"), "measurement"));
	n = EVP_DecodeBlock(bytes, (const uint8_t *)b64, (int)strlen(b64));
	cr_assert(n > 0);
	top = NULL;
	for (int cut = 0; cut < 3 && !top; cut++) /* padding of the base64 text */
		top = cbor_read(bytes, (size_t)(n - cut));
	cr_assert(top);
	const cbor_item_t *image = cbor_map_text(top, "image"), *tdvf = cbor_map_text(top, "tdvf");

	digest_of(image, "kernel_authenticode", d.kernel);
	digest_of(image, "cmdline_sha384", d.cmdline);
	digest_of(image, "initrd_sha384", d.initrd);
	cr_assert_eq(tdx_rtmr1(&d, got), 0);
	cr_assert_eq(memcmp(got, r.quote + RTMR0_AT + 48, 48), 0);
	cr_assert_eq(tdx_rtmr2(&d, got), 0);
	cr_assert_eq(memcmp(got, r.quote + RTMR0_AT + 96, 48), 0);
	digest_of(cbor_map_text(tdvf, "mrtd"), "two_pass", got);
	cr_assert_eq(memcmp(got, r.quote + MRTD_AT, 48), 0);
	d.has_initrd = false;
	cr_assert_eq(tdx_rtmr2(&d, got), 0);
	cr_assert_neq(memcmp(got, r.quote + RTMR0_AT + 96, 48), 0);
	cbor_decref(&top);
}

#define FW_SIZE 8192u

/* Two pages that are measured, with metadata and the table at their end, and two that are only added. */
static void made_firmware(uint8_t image[FW_SIZE])
{
	uint8_t *d = image + FW_SIZE - 0x100, *end = image + FW_SIZE - 32;
	static const uint8_t footer[16] = {0xde, 0x82, 0xb5, 0x96, 0xb2, 0x1f, 0xf7, 0x45,
					   0xba, 0xea, 0xa3, 0x66, 0xc5, 0x5a, 0x08, 0x2d},
			     tdx[16] = {0x35, 0x65, 0x7a, 0xe4, 0x4a, 0x98, 0x98, 0x47,
					0x86, 0x5e, 0x46, 0x85, 0xa7, 0xbf, 0x8e, 0xc2};

	for (size_t i = 0; i < FW_SIZE; i++)
		image[i] = (uint8_t)(i * 7 + i / 4096);
	memcpy(d, "TDVF", 4);
	put_le32(d + 4, 16 + 64);
	put_le32(d + 8, 1);
	put_le32(d + 12, 2);
	memset(d + 16, 0, 64);
	put_le32(d + 20, FW_SIZE);
	put_le64(d + 24, 0xffffe000);
	put_le64(d + 32, FW_SIZE);
	put_le32(d + 44, TDVF_EXTEND);
	put_le64(d + 56, 0x810000);
	put_le64(d + 64, 8192);
	put_le32(d + 72, TDVF_TEMP_MEM);
	memcpy(end - 16, footer, 16);
	put_le16(end - 18, 18 + 22);
	memcpy(end - 34, tdx, 16);
	put_le16(end - 36, 22);
	put_le32(end - 40, 0x100);
}

Test(tdx_measure, mrtd_of_a_made_firmware)
{
	/* computed with Python's hashlib after the ABI specification, apart from this code */
	static const char two_pass[] = "4b981c279f36733b3b04ea6f7aaf698fafcd69143429ba3ea95f26725e8a6cf490a3692"
				       "11d8a45e1c3da704a92842afc",
			  single_pass[] = "b4d616b560eba8a7813eb07d7198a2255700dade1f7f1c258c1bd922bae385596a7e"
					  "3fb5d5cf68159097f1129f9f0944";
	uint8_t image[FW_SIZE], got[48], want[48];

	made_firmware(image);
	cr_assert_eq(tdx_mrtd(image, sizeof(image), MRTD_TWO_PASS, got), 0);
	cr_assert_eq(hex_decode(two_pass, want, 48), 48);
	cr_assert_eq(memcmp(got, want, 48), 0);
	cr_assert_eq(tdx_mrtd(image, sizeof(image), MRTD_SINGLE_PASS, got), 0);
	cr_assert_eq(hex_decode(single_pass, want, 48), 48);
	cr_assert_eq(memcmp(got, want, 48), 0);
	for (size_t bit = 0; bit < sizeof(image) * 8;
	     bit += 3) { /* malformed: an error, never outside the image */
		image[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		struct tdvf_info info;
		int ret = tdvf_parse(image, sizeof(image), &info);

		cr_assert(ret == 0 || ret == -EINVAL || ret == -ENOENT);
		image[bit / 8] ^= (uint8_t)(1u << (bit % 8));
	}
}

static void made_pe(uint8_t pe[2048])
{
	memset(pe, 0, 2048);
	for (size_t i = 1024; i < 2048; i++)
		pe[i] = (uint8_t)(i * 13);
	pe[0] = 'M';
	pe[1] = 'Z';
	put_le32(pe + 0x3c, 0x80);
	put_le32(pe + 0x80, 0x4550);
	put_le16(pe + 0x86, 2);
	put_le16(pe + 0x94, 240);
	put_le16(pe + 0x98, 0x20b);
	put_le32(pe + 0x98 + 60, 1024);
	put_le32(pe + 0x98 + 64, 0x12345678);
	put_le32(pe + 0x98 + 108, 16);
	put_le32(pe + 0x188 + 16, 256); /* the second in the file comes first in the table */
	put_le32(pe + 0x188 + 20, 1536);
	put_le32(pe + 0x1b0 + 16, 512);
	put_le32(pe + 0x1b0 + 20, 1024);
}

Test(tdx_measure, authenticode_of_a_made_image)
{
	static const char sha256_hex[] = "6bb9a0d0362b01a7928b541dd9c2c965bdae1390abd908737f69a4b27cbeb776";
	uint8_t pe[2048], got[48], want[48];

	made_pe(pe);
	cr_assert_eq(authenticode(pe, sizeof(pe), 32, got), 0);
	cr_assert_eq(hex_decode(sha256_hex, want, 32), 32);
	cr_assert_eq(memcmp(got, want, 32), 0);
	put_le32(pe + 0x98 + 64, 0); /* the checksum is not covered */
	cr_assert_eq(authenticode(pe, sizeof(pe), 32, got), 0);
	cr_assert_eq(memcmp(got, want, 32), 0);
	pe[2047] ^= 1; /* what trails the sections is */
	cr_assert_eq(authenticode(pe, sizeof(pe), 32, got), 0);
	cr_assert_neq(memcmp(got, want, 32), 0);
	put_le32(pe + 0x1b0 + 20, 2000);
	cr_assert_eq(authenticode(pe, sizeof(pe), 32, got), -EINVAL);
	cr_assert_eq(authenticode("MZ", 2, 32, got), -EINVAL);
}

Test(tdx_measure, boot_with_and_without_initrd)
{
	uint8_t pe[2048], a[32], b[32], rtmr[48];
	struct boot_files files = {.kernel = pe, .kernel_size = sizeof(pe), .cmdline = "console=ttyS0"};
	struct boot_digests d;

	made_pe(pe);
	cr_assert_eq(boot_digests_of(&files, 32, &d), 0);
	cr_assert_eq(tpm_pcr9(&d, a), 0);
	cr_assert_eq(tpm_pcr4(&d, b), 0);
	files.initrd = "x";
	files.initrd_size = 1;
	cr_assert_eq(boot_digests_of(&files, 32, &d), 0);
	cr_assert_eq(tpm_pcr9(&d, b), 0);
	cr_assert_neq(memcmp(a, b, 32), 0);
	cr_assert_eq(tpm_pcr8(NULL, b), 0);
	cr_assert(b[0] == 0 && memcmp(b, b + 1, 31) == 0);
	files.cmdline = "\xc3\xa4";
	cr_assert_eq(boot_digests_of(&files, 32, &d), -EINVAL);
	cr_assert_eq(tdx_rtmr1(&d, rtmr), -EINVAL, "digests of the other size");
}
