/* authenticode.c: the digest of a PE image without its checksum, its pointer to signatures and its signatures.
 */
#include <errno.h>
#include <stdlib.h>

#include <openssl/evp.h>

#include "cvm-host/measure/tdx.h"
#include "platform/base/bytes.h"

#define SECTIONS_MAX 96u

struct pe {
	const uint8_t *p;
	size_t size, checksum, cert_dir, headers, cert_size;
	const uint8_t *sections;
	unsigned int count;
};

static int read_headers(const uint8_t *p, size_t size, struct pe *out)
{
	size_t at, opt, dirs;
	uint16_t opt_size, magic;

	*out = (struct pe){.p = p, .size = size};
	if (size < 0x40 || p[0] != 'M' || p[1] != 'Z')
		return -EINVAL;
	at = get_le32(p + 0x3c);
	if (at > size || size - at < 24 + 2 || get_le32(p + at) != 0x4550) /* "PE\0\0" */
		return -EINVAL;
	out->count = get_le16(p + at + 6);
	opt_size = get_le16(p + at + 20);
	opt = at + 24;
	magic = get_le16(p + opt);
	dirs = magic == 0x20b ? 112 : magic == 0x10b ? 96 : 0;
	if (!dirs || out->count > SECTIONS_MAX || opt_size > size - opt || opt_size < dirs + 5 * 8 ||
	    get_le32(p + opt + dirs - 4) < 5)
		return -EINVAL;
	out->checksum = opt + 64;
	out->cert_dir = opt + dirs + 4 * 8;
	out->headers = get_le32(p + opt + 60);
	out->cert_size = get_le32(p + out->cert_dir + 4);
	if (size - opt - opt_size < out->count * 40u || out->headers > size ||
	    out->headers < out->cert_dir + 8 || out->cert_size > size)
		return -EINVAL;
	out->sections = p + opt + opt_size;
	return 0;
}

static int by_file_offset(const void *a, const void *b)
{
	uint32_t x = get_le32(*(const uint8_t *const *)a + 20), y = get_le32(*(const uint8_t *const *)b + 20);

	return x < y ? -1 : x > y;
}

static bool hash_sections(EVP_MD_CTX *ctx, const struct pe *pe, uint64_t *hashed)
{
	const uint8_t *order[SECTIONS_MAX];

	for (unsigned int i = 0; i < pe->count; i++)
		order[i] = pe->sections + i * 40u;
	qsort(order, pe->count, sizeof(order[0]), by_file_offset);
	for (unsigned int i = 0; i < pe->count; i++) {
		uint32_t size = get_le32(order[i] + 16), at = get_le32(order[i] + 20);

		if (size == 0)
			continue;
		if (at > pe->size || size > pe->size - at || EVP_DigestUpdate(ctx, pe->p + at, size) != 1)
			return false;
		*hashed += size;
	}
	return true;
}

int authenticode(const void *image, size_t image_size, size_t size, uint8_t *out)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	const uint8_t *p = image;
	uint64_t hashed;
	struct pe pe;
	int ret = read_headers(p, image_size, &pe);
	bool ok;

	if (ret < 0) {
		EVP_MD_CTX_free(ctx);
		return ret;
	}
	hashed = pe.headers;
	ok = ctx && EVP_DigestInit_ex(ctx, size == 48 ? EVP_sha384() : EVP_sha256(), NULL) == 1 &&
	     EVP_DigestUpdate(ctx, p, pe.checksum) == 1 &&
	     EVP_DigestUpdate(ctx, p + pe.checksum + 4, pe.cert_dir - pe.checksum - 4) == 1 &&
	     EVP_DigestUpdate(ctx, p + pe.cert_dir + 8, pe.headers - pe.cert_dir - 8) == 1 &&
	     hash_sections(ctx, &pe, &hashed);
	/* what lies behind the sections, up to the signatures at the end */
	if (ok && hashed > pe.size - pe.cert_size)
		ok = hashed <= pe.size && pe.cert_size == 0;
	else if (ok)
		ok = EVP_DigestUpdate(ctx, p + hashed, pe.size - pe.cert_size - hashed) == 1;
	ok = ok && EVP_DigestFinal_ex(ctx, out, NULL) == 1;
	EVP_MD_CTX_free(ctx);
	return ok ? 0 : -EINVAL;
}
